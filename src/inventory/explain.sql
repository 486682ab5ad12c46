-- Explaining: the terms behind a number, with what binds it. The terms add up to the answer.

-- inventory_explain_ahead does the terms of what is to come: until the instant asked for, and what binds after it.
CREATE FUNCTION distsync_internal.inventory_explain_ahead(m distsync_internal.inventory_terms, stand numeric, at timestamptz, as_of timestamptz, view distsync_internal.inventory_view, OUT supply numeric, OUT demand numeric, OUT later numeric,
	OUT spoils numeric, OUT spoils_at timestamptz, OUT lots text, OUT gap numeric, OUT own numeric, OUT binds_at timestamptz, OUT documents jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	WITH c AS MATERIALIZED (
		SELECT x.* FROM distsync_internal.inventory_changes(m.item_id, m.site_id, inventory_explain_ahead.at) x
		UNION ALL
		SELECT h.moment, h.quantity, 'own_hold', view.holder FROM distsync_internal.inventory_own_holds(m.item_id, m.site_id, view.holder, inventory_explain_ahead.at) h WHERE view.holder IS NOT NULL
	), r AS MATERIALIZED (
		SELECT x.moment, x.lots, sum(x.coming + x.going) OVER w AS run, min(x.rest) OVER w AS rest, min(x.own) OVER w AS own
		FROM distsync_internal.inventory_course(m.item_id, m.site_id, inventory_explain_ahead.at, m.phys + m.outside, m.book + m.in_flight, view, CASE WHEN view.mode = 'physical' THEN m.doubt END) x WINDOW w AS (ORDER BY x.moment)
	), o AS MATERIALIZED (
		SELECT COALESCE(max(z.run), 0) AS run, max(z.own) AS own, least(0, max(z.rest) - stand) AS spoils FROM (SELECT r.* FROM r WHERE r.moment <= inventory_explain_ahead.as_of ORDER BY r.moment DESC LIMIT 1) z
	), lowest AS (
		-- where more is wanted after lots expire than there will be, they are for whoever comes before
		SELECT r.moment, l.amount FROM r CROSS JOIN o CROSS JOIN LATERAL (SELECT CASE WHEN r.own IS DISTINCT FROM o.own THEN greatest(r.run, -r.own) ELSE r.run END - o.run AS amount) l
		WHERE r.moment > inventory_explain_ahead.as_of AND (r.moment <= m.lead_at OR m.lead_at IS NULL) AND l.amount < 0 ORDER BY l.amount, r.moment LIMIT 1
	)
	SELECT COALESCE((SELECT sum(c.change) FROM c WHERE c.moment <= inventory_explain_ahead.as_of AND c.change > 0 AND c.kind <> 'own_hold'), 0), COALESCE((SELECT sum(c.change) FROM c WHERE c.moment <= inventory_explain_ahead.as_of AND c.change < 0 AND c.kind <> 'promise'), 0),
		COALESCE((SELECT sum(r.quantity - r.shipped) FROM dist.reservation r WHERE r.item_id = m.item_id AND r.site_id = m.site_id AND (r.kind = 'inbound' AND r.promised_at > inventory_explain_ahead.as_of OR r.kind = 'planned' AND r.promised_at > inventory_explain_ahead.at)
			AND (r.state = 'committed' OR r.state = 'held' AND (r.expires_at IS NULL OR r.expires_at > inventory_explain_ahead.at))), 0),
		COALESCE(o.spoils, 0), (SELECT min(r.moment) FROM r WHERE o.spoils < 0 AND r.rest - stand = o.spoils), COALESCE((SELECT l.amount FROM lowest l), 0), COALESCE((SELECT sum(c.change) FROM c WHERE c.moment <= inventory_explain_ahead.as_of AND c.kind = 'own_hold'), 0), (SELECT l.moment FROM lowest l),
		(SELECT jsonb_agg(jsonb_build_object('kind', c.kind, 'reference', c.reference, 'change', trim_scale(c.change), 'at', c.moment) ORDER BY c.moment, c.kind COLLATE "C", c.reference COLLATE "C")
			FROM (SELECT k.* FROM c k, lowest l WHERE k.change < 0 AND k.moment > inventory_explain_ahead.as_of AND k.moment <= l.moment ORDER BY k.moment DESC, k.change, k.reference COLLATE "C" LIMIT 20) c),
		(SELECT r.lots FROM r WHERE o.spoils < 0 AND r.rest - stand = o.spoils ORDER BY r.moment LIMIT 1)
	INTO supply, demand, later, spoils, spoils_at, gap, own, binds_at, documents, lots FROM o;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_explain_ahead(distsync_internal.inventory_terms, numeric, timestamptz, timestamptz, distsync_internal.inventory_view) IS
	'Supply and demand (as a negative) until as_of, base units; later: what is promised for a date after it; spoils: what expires until then, as a negative, of a stock less what is due and promised (stand), with the lots that decide it and when they expire; gap: lowest point after as_of, relative to it (0 = none), as far as replenishment takes; own: what the holder has of all promises that count until as_of; when that is, and the last twenty documents that lead there.';

-- inventory_explain_lots does the listing of lots, with those that do not count and why.
CREATE FUNCTION distsync_internal.inventory_explain_lots(item_id bigint, site_id bigint, at timestamptz, shelf_days integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	today date := (at AT TIME ZONE COALESCE((SELECT z.tz FROM dist.site z WHERE z.site_id = inventory_explain_lots.site_id), 'UTC'))::date;
	least_days integer := COALESCE((SELECT i.min_shelf_days FROM dist.item i WHERE i.item_id = inventory_explain_lots.item_id), 0);
BEGIN
	RETURN (SELECT COALESCE(jsonb_agg(jsonb_build_object('lot', b.lot, 'perspective', b.perspective, 'state', b.state, 'quantity', trim_scale(b.quantity), 'expires_on', b.expires_on,
			'counts', b.why IS NULL, 'why', b.why) ORDER BY b.expires_on, b.lot COLLATE "C", b.perspective, b.state), '[]')
		FROM (SELECT x.*, CASE WHEN NOT s.promisable THEN 'state' WHEN x.expires_on < today THEN 'expired' WHEN x.expires_on < today + least_days THEN 'shelf life of the item'
				WHEN x.expires_on < today + inventory_explain_lots.shelf_days THEN 'shelf life asked for' END AS why
			FROM dist.stock_balance x JOIN dist.stock_state s ON s.state = x.state
			WHERE x.item_id = inventory_explain_lots.item_id AND x.site_id = inventory_explain_lots.site_id AND (x.lot <> '' OR x.expires_on IS NOT NULL) AND x.quantity <> 0
			ORDER BY x.expires_on, x.lot COLLATE "C", x.perspective, x.state LIMIT 100) b);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_explain_lots(bigint, bigint, timestamptz, integer) IS
	'The first hundred lots of an item at a site by expiry, base units: whether each counts, and if not, why: state | expired | shelf life of the item | shelf life asked for.';

-- inventory_explain_overdue does the listing of documents that are overdue, and what is made of them.
CREATE FUNCTION distsync_internal.inventory_explain_overdue(item_id bigint, site_id bigint, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		WITH r AS MATERIALIZED (
			SELECT max(x.supply_grace_days) * interval '24 hours' AS grace, max(x.demand_fence_days) * interval '24 hours' AS fence FROM dist.item_site x
			WHERE x.item_id = inventory_explain_overdue.item_id AND x.site_id = inventory_explain_overdue.site_id
		), o AS (
			SELECT s.kind, s.reference, s.quantity - s.received AS quantity, s.expected_at AS due_at, CASE WHEN s.expected_at + r.grace > inventory_explain_overdue.at THEN s.expected_at + r.grace END AS counts_from
			FROM r CROSS JOIN dist.supply s
			WHERE s.item_id = inventory_explain_overdue.item_id AND s.site_id = inventory_explain_overdue.site_id AND s.status = 'open' AND s.expected_at <= inventory_explain_overdue.at AND s.quantity > s.received
			UNION ALL
			SELECT w.kind, w.reference, w.quantity, w.due_at, w.moment
			FROM distsync_internal.inventory_releases(inventory_explain_overdue.item_id, inventory_explain_overdue.site_id, inventory_explain_overdue.at) w WHERE w.due_at <= inventory_explain_overdue.at AND w.quantity > 0
			UNION ALL
			SELECT 'demand', d.demand_key, greatest(d.reserved, d.ordered, d.allocated) - d.shipped, d.required_at, CASE WHEN d.required_at + r.fence <= inventory_explain_overdue.at THEN NULL ELSE d.required_at END
			FROM r CROSS JOIN dist.demand d
			WHERE d.item_id = inventory_explain_overdue.item_id AND d.site_id = inventory_explain_overdue.site_id AND d.status = 'open' AND d.required_at <= inventory_explain_overdue.at
		)
		SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', x.kind, 'reference', x.reference, 'quantity', trim_scale(x.quantity), 'due_at', x.due_at, 'counts_from', x.counts_from) ORDER BY x.due_at, x.kind COLLATE "C", x.reference COLLATE "C"), '[]')
		FROM (SELECT o.* FROM o ORDER BY o.due_at, o.kind COLLATE "C", o.reference COLLATE "C" LIMIT 100) x);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_explain_overdue(bigint, bigint, timestamptz) IS
	'The first hundred overdue documents of an item at a site, base units: since when each is due, and from when it counts (NULL = not at all: supply beyond its grace, demand beyond its fence).';

-- inventory_explain_site does the terms of one site.
CREATE FUNCTION distsync_internal.inventory_explain_site(item_id bigint, site_id bigint, code text, at timestamptz, as_of timestamptz, view distsync_internal.inventory_view) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	m distsync_internal.inventory_terms;
	a record;
	lost record;
	basis text;
	book_binds boolean;
	terms jsonb;
	total numeric;
	whole numeric;
	status text := (SELECT i.status FROM dist.item i WHERE i.item_id = inventory_explain_site.item_id);
	unlimited boolean;
BEGIN
	SELECT * INTO m FROM distsync_internal.inventory_terms(ARRAY[inventory_explain_site.item_id], ARRAY[inventory_explain_site.site_id], inventory_explain_site.at);
	lost := distsync_internal.inventory_short_lived(inventory_explain_site.item_id, inventory_explain_site.site_id, inventory_explain_site.at, view.shelf_days);
	a := distsync_internal.inventory_explain_ahead(m, distsync_internal.inventory_base(m.phys - lost.phys, m.book - lost.book, m.in_flight, m.outside, view.mode, CASE WHEN view.mode = 'physical' THEN m.doubt END) + m.due - m.held - m.committed + m.inbound
		+ CASE WHEN view.holder IS NULL THEN 0 ELSE (SELECT COALESCE(sum(h.quantity), 0) FROM distsync_internal.inventory_own_holds(m.item_id, m.site_id, view.holder, inventory_explain_site.at) h WHERE h.moment = inventory_explain_site.at) END,
		inventory_explain_site.at, inventory_explain_site.as_of, view);
	basis := distsync_internal.inventory_basis(view.mode, m.phys, m.book, m.doubt);
	book_binds := basis = 'book' OR basis = 'conservative' AND m.book - lost.book + m.in_flight < m.phys - lost.phys + m.outside;
	unlimited := status = 'active' AND COALESCE(inventory_explain_site.as_of >= m.lead_at, false);
	terms := jsonb_build_array(
		jsonb_build_object('term', CASE WHEN book_binds THEN 'book stock' ELSE 'physical stock' END, 'quantity', COALESCE(CASE WHEN book_binds THEN m.book ELSE m.phys END, 0)),
		jsonb_build_object('term', 'lots with too short a life', 'quantity', -CASE WHEN book_binds THEN lost.book ELSE lost.phys END),
		CASE WHEN book_binds THEN jsonb_build_object('term', 'movements the book has not posted', 'quantity', m.in_flight)
			ELSE jsonb_build_object('term', 'allocated stock outside the physical number', 'quantity', m.outside) END,
		jsonb_build_object('term', 'demand of others, due', 'quantity', m.due),
		jsonb_build_object('term', 'supply until then', 'quantity', a.supply),
		jsonb_build_object('term', 'demand of others until then', 'quantity', a.demand),
		jsonb_build_object('term', 'lots that expire until then', 'quantity', a.spoils),
		jsonb_build_object('term', 'later demand that no supply covers', 'quantity', a.gap),
		jsonb_build_object('term', 'safety stock', 'quantity', CASE WHEN view.use_safety THEN 0 ELSE -m.safety END),
		jsonb_build_object('term', 'held', 'quantity', -m.held),
		jsonb_build_object('term', 'committed', 'quantity', -m.committed),
		jsonb_build_object('term', 'of these, for a later date', 'quantity', a.later),
		jsonb_build_object('term', 'own holds', 'quantity', a.own),
		jsonb_build_object('term', 'backorder allowance', 'quantity', m.backorder));
	total := (SELECT sum((t->>'quantity')::numeric) FROM jsonb_array_elements(terms) t);
	whole := distsync_internal.inventory_in_steps(greatest(0, total), view.step);
	RETURN jsonb_build_object('site', code, 'basis', basis, 'doubt', m.doubt, 'terms', terms || jsonb_build_object('term', 'floor at 0', 'quantity', greatest(0, -total)) || jsonb_build_object('term', 'parts of a unit', 'quantity', whole - greatest(0, total))
			|| CASE WHEN status = 'active' THEN '[]' ELSE jsonb_build_array(jsonb_build_object('term', 'the item is ' || status, 'quantity', -whole)) END,
		'projected', total - a.gap + CASE WHEN view.use_safety THEN 0 ELSE m.safety END - m.backorder, 'atp', CASE WHEN status <> 'active' THEN 0 WHEN NOT unlimited THEN whole END,
		'known_at', m.known_at, 'valid_until', least(m.moves_at, lost.turns_at), 'any_from', m.lead_at,
		'binds', CASE WHEN status <> 'active' THEN jsonb_build_object('what', 'the item is ' || status) WHEN unlimited THEN jsonb_build_object('what', 'lead time')
			WHEN a.gap < 0 THEN jsonb_build_object('what', 'look-ahead', 'at', a.binds_at, 'documents', a.documents)
			WHEN a.spoils < 0 THEN jsonb_build_object('what', 'expiry', 'at', a.spoils_at, 'lots', a.lots)
			WHEN m.phys IS NULL AND m.book IS NULL THEN jsonb_build_object('what', 'no stock was ever told')
			WHEN basis = 'conservative' AND m.phys - lost.phys + m.outside <> m.book - lost.book + m.in_flight THEN jsonb_build_object('what', CASE WHEN book_binds THEN 'book is lower' ELSE 'physical is lower' END)
			ELSE jsonb_build_object('what', 'stock') END,
		'limits', (SELECT COALESCE(jsonb_agg(t->>'term'), '[]') FROM jsonb_array_elements(terms) t WHERE (t->>'quantity')::numeric < 0))
		|| distsync_internal.inventory_explain_sources(inventory_explain_site.item_id, inventory_explain_site.site_id, inventory_explain_site.at, view.shelf_days);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_explain_site(bigint, bigint, text, timestamptz, timestamptz, distsync_internal.inventory_view) IS
	'Terms of the availability of an item at a site as of an instant, as known at another, base units: the quantities of "terms" add up to "atp" (NULL = any quantity can be had by then); "binds" names what sets it, "limits" the terms that lower it.';

-- inventory_explain_sources does the listing of what the terms of a site were read from.
CREATE FUNCTION distsync_internal.inventory_explain_sources(item_id bigint, site_id bigint, at timestamptz, shelf_days integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN jsonb_build_object(
		'stock', (SELECT COALESCE(jsonb_agg(jsonb_build_object('perspective', b.perspective, 'state', b.state, 'quantity', b.quantity, 'promisable', s.promisable, 'counted_at', b.counted_at) ORDER BY b.perspective, b.state), '[]')
			FROM (SELECT x.perspective, x.state, sum(x.quantity) AS quantity, max(x.counted_at) AS counted_at FROM dist.stock_balance x
				WHERE x.item_id = inventory_explain_sources.item_id AND x.site_id = inventory_explain_sources.site_id GROUP BY x.perspective, x.state) b
			JOIN dist.stock_state s ON s.state = b.state),
		'lots', distsync_internal.inventory_explain_lots(inventory_explain_sources.item_id, inventory_explain_sources.site_id, inventory_explain_sources.at, inventory_explain_sources.shelf_days),
		'overdue', distsync_internal.inventory_explain_overdue(inventory_explain_sources.item_id, inventory_explain_sources.site_id, inventory_explain_sources.at),
		'promised', (SELECT COALESCE(jsonb_agg(jsonb_build_object('reservation_id', r.reservation_id, 'holder', r.holder, 'demand_key', r.demand_key, 'state', r.state, 'quantity', trim_scale(r.quantity - r.shipped), 'expires_at', r.expires_at)
				ORDER BY r.quantity - r.shipped DESC, r.holder COLLATE "C", r.reservation_id), '[]')
			FROM (SELECT x.* FROM dist.reservation x WHERE x.item_id = inventory_explain_sources.item_id AND x.site_id = inventory_explain_sources.site_id AND x.state IN ('held', 'committed')
					AND (x.state = 'committed' OR x.expires_at IS NULL OR x.expires_at > inventory_explain_sources.at) ORDER BY x.quantity - x.shipped DESC, x.holder COLLATE "C", x.reservation_id LIMIT 20) r),
		'rules', (SELECT to_jsonb(r) - '{item_id,site_id,recorded_at}'::text[] FROM dist.item_site r WHERE r.item_id = inventory_explain_sources.item_id AND r.site_id = inventory_explain_sources.site_id),
		'staleness', distsync_internal.inventory_staleness(ARRAY[inventory_explain_sources.site_id], inventory_explain_sources.at));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_explain_sources(bigint, bigint, timestamptz, integer) IS
	'What the terms of an item at a site come from, base units: stock by perspective and state, lots, overdue documents, the twenty largest promises, the rules of dist.item_site, and when the warehouse was last heard of.';

-- inventory_explain_kit does the terms of a kit: those of its components at each site, and which of them decides.
CREATE FUNCTION distsync_internal.inventory_explain_kit(kit_id bigint, for_site bigint, for_company bigint, at timestamptz, as_of timestamptz, options jsonb, step numeric) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	status text := (SELECT i.status FROM dist.item i WHERE i.item_id = kit_id);
BEGIN
	RETURN (
		WITH c AS MATERIALIZED (
			SELECT * FROM distsync_internal.inventory_components(kit_id)
		), p AS MATERIALIZED (
			SELECT s.code, s.rank, c.sku, c.per, distsync_internal.inventory_explain_site(c.item_id, s.site_id, s.code, inventory_explain_kit.at, inventory_explain_kit.as_of, distsync_internal.inventory_viewed(options, c.item_id)) AS site
			FROM c CROSS JOIN LATERAL distsync_internal.inventory_sites(c.item_id, for_site, for_company) s
		), k AS (
			SELECT p.code, p.rank, min(floor((p.site->>'atp')::numeric / p.per)) AS kits,
				jsonb_agg(jsonb_build_object('item', p.sku, 'per_kit', trim_scale(p.per), 'kits', floor((p.site->>'atp')::numeric / p.per), 'why', p.site) ORDER BY p.sku COLLATE "C") AS components
			FROM p GROUP BY p.code, p.rank HAVING count(*) = (SELECT count(*) FROM c)
		)
		SELECT COALESCE(jsonb_agg(jsonb_build_object('site', k.code, 'atp', CASE WHEN status = 'active' THEN distsync_internal.inventory_in_steps(k.kits, step) ELSE 0 END, 'components', k.components,
				'binds', CASE WHEN status <> 'active' THEN jsonb_build_object('what', 'the kit is ' || status) ELSE jsonb_build_object('what', 'component', 'items',
				(SELECT jsonb_agg(e->'item' ORDER BY e->>'item' COLLATE "C") FROM jsonb_array_elements(k.components) e WHERE (e->>'kits')::numeric = k.kits)) END) ORDER BY k.rank, k.code COLLATE "C"), '[]') FROM k);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_explain_kit(bigint, bigint, bigint, timestamptz, timestamptz, jsonb, numeric) IS
	'For each site that may promise all components of a kit: how many whole kits (they add up to the answer; NULL = any), which components decide, and the terms of each of them in base units.';

-- explain_atp does the answer to "why this number?".
CREATE FUNCTION distsync.explain_atp(item text, quantity numeric DEFAULT 1, unit text DEFAULT NULL, site text DEFAULT NULL, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	this_moment timestamptz := statement_timestamp();
	a record;
	view distsync_internal.inventory_view;
	company_of bigint;
	site_of bigint;
	sites jsonb;
	answer distsync_internal.inventory_atp;
BEGIN
	PERFORM distsync_internal.inventory_options(options);
	SELECT * INTO a FROM distsync_internal.inventory_asked_any(explain_atp.item, explain_atp.quantity, explain_atp.unit, '');
	view := distsync_internal.inventory_viewed(options, a.item_id, a.step);
	site_of := distsync_internal.master_site(explain_atp.site, 'site');
	company_of := distsync_internal.master_company(options->>'company', 'options.company');
	SELECT * INTO answer FROM distsync.atp(explain_atp.item, explain_atp.quantity, explain_atp.unit, explain_atp.site, explain_atp.at, explain_atp.options);
	sites := CASE WHEN a.kit THEN distsync_internal.inventory_explain_kit(a.item_id, site_of, company_of, this_moment, answer.as_of, options, a.step)
		ELSE (SELECT COALESCE(jsonb_agg(distsync_internal.inventory_explain_site(a.item_id, s.site_id, s.code, this_moment, answer.as_of, view) ORDER BY s.rank, s.code COLLATE "C"), '[]')
			FROM distsync_internal.inventory_sites(a.item_id, site_of, company_of) s) END;
	RETURN jsonb_build_object('answer', to_jsonb(answer), 'mode', view.mode, 'base_unit', a.base_unit, 'base_quantity', a.base_quantity, 'sites', sites,
		-- the answer is in the unit asked for, its sites are not
		'quota', CASE WHEN answer.detail ? 'quota' THEN (answer.detail->'quota') || jsonb_build_object('takes', (SELECT CASE WHEN bool_and(s->>'atp' IS NOT NULL) THEN trim_scale(sum((s->>'atp')::numeric) - COALESCE(o.atp, 0)) END FROM jsonb_array_elements(sites) s)) END,
		'timeline', (SELECT COALESCE(jsonb_agg(to_jsonb(t) ORDER BY t.moment), '[]') FROM distsync.atp_timeline(explain_atp.item, explain_atp.site, NULL, COALESCE(options, '{}') - '{ship_to,zone,carrier,detail,substitutes}'::text[]) t))
	FROM (SELECT CASE WHEN answer.detail ? 'quota' THEN (SELECT u.atp FROM distsync.atp(explain_atp.item, 0, NULL, explain_atp.site, explain_atp.at, explain_atp.options - 'substitutes') u) END AS atp) o;
END
$$;
COMMENT ON FUNCTION distsync.explain_atp(text, numeric, text, text, timestamptz, jsonb) IS
	'Why atp() says what it says: the answer; for each site the terms in base units (they add up to its atp at that instant, and all sites to the answer; less what quota takes, if there is one, which names the quota that binds), what binds it with the orders that do, lots, overdue documents, promises, rules and staleness; and the timeline. Same arguments and errors as atp(). Reads only.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('atp', '{reader,order_entry,integrator,operator,admin,portal}'),
	('atp_timeline', '{reader,order_entry,integrator,operator,admin}'),
	('explain_atp', '{reader,order_entry,integrator,operator,admin}');
