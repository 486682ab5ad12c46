-- Explaining: the terms behind a number, with what binds it. The terms add up to the answer.

-- inventory_explain_site does the terms of one site.
CREATE FUNCTION distsync_internal.inventory_explain_site(item_id bigint, site_id bigint, code text, at timestamptz, mode text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	m distsync_internal.inventory_terms;
	base numeric;
	book_binds boolean;
	low_point record;
	total numeric;
BEGIN
	SELECT * INTO m FROM distsync_internal.inventory_terms(ARRAY[inventory_explain_site.item_id], ARRAY[inventory_explain_site.site_id], inventory_explain_site.at);
	base := distsync_internal.inventory_base(m.phys, m.book, m.in_flight, m.outside, mode, m.doubt);
	book_binds := m.phys IS NULL OR base = m.book + m.in_flight AND distsync_internal.inventory_basis(mode, m.phys, m.book, m.doubt) <> 'physical';
	total := base + m.low - m.held - m.committed + m.backorder;
	SELECT z.moment, z.running INTO low_point
	FROM (SELECT c.moment, sum(sum(c.change)) OVER (ORDER BY c.moment) AS running FROM distsync_internal.inventory_changes(inventory_explain_site.item_id, inventory_explain_site.site_id, inventory_explain_site.at) c GROUP BY c.moment) z
	ORDER BY z.running, z.moment LIMIT 1;
	RETURN jsonb_build_object('site', code, 'basis', distsync_internal.inventory_basis(mode, m.phys, m.book, m.doubt), 'doubt', m.doubt,
		'stock', (SELECT jsonb_agg(jsonb_build_object('perspective', b.perspective, 'state', b.state, 'quantity', b.quantity, 'promisable', s.promisable, 'counted_at', b.counted_at) ORDER BY b.perspective, b.state)
			FROM (SELECT x.perspective, x.state, sum(x.quantity) AS quantity, max(x.counted_at) AS counted_at FROM dist.stock_balance x
				WHERE x.item_id = inventory_explain_site.item_id AND x.site_id = inventory_explain_site.site_id GROUP BY x.perspective, x.state) b
			JOIN dist.stock_state s ON s.state = b.state),
		'terms', jsonb_build_array(
			jsonb_build_object('term', CASE WHEN book_binds THEN 'book stock' ELSE 'physical stock' END, 'quantity', COALESCE(CASE WHEN book_binds THEN m.book ELSE m.phys END, 0)),
			CASE WHEN book_binds THEN jsonb_build_object('term', 'movements the book has not posted', 'quantity', m.in_flight)
				ELSE jsonb_build_object('term', 'allocated stock outside the physical number', 'quantity', m.outside) END,
			jsonb_build_object('term', 'demand of others, due', 'quantity', m.due),
			jsonb_build_object('term', 'later demand that no supply covers', 'quantity', m.low - m.due + m.safety),
			jsonb_build_object('term', 'safety stock', 'quantity', -m.safety),
			jsonb_build_object('term', 'held', 'quantity', -m.held),
			jsonb_build_object('term', 'committed', 'quantity', -m.committed),
			jsonb_build_object('term', 'backorder allowance', 'quantity', m.backorder),
			jsonb_build_object('term', 'floor at 0', 'quantity', greatest(0, -total))),
		'projected', base + m.due - m.held - m.committed, 'atp', greatest(0, total),
		'atp_book', CASE WHEN m.book IS NOT NULL THEN greatest(0, m.book + m.in_flight + m.low - m.held - m.committed + m.backorder) END,
		'atp_phys', CASE WHEN m.phys IS NOT NULL THEN greatest(0, m.phys + m.outside + m.low - m.held - m.committed + m.backorder) END,
		'known_at', m.known_at, 'valid_until', m.moves_at,
		'binds', CASE WHEN m.low + m.safety < m.due THEN jsonb_build_object('what', 'look-ahead', 'at', low_point.moment)
			WHEN m.phys IS NULL AND m.book IS NULL THEN jsonb_build_object('what', 'no stock was ever told')
			WHEN m.phys IS NOT NULL AND m.book IS NOT NULL AND m.phys + m.outside <> m.book + m.in_flight AND mode = 'conservative'
				THEN jsonb_build_object('what', CASE WHEN book_binds THEN 'book is lower' ELSE 'physical is lower' END)
			ELSE jsonb_build_object('what', 'stock') END);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_explain_site(bigint, bigint, text, timestamptz, text) IS
	'Terms of the availability of an item at a site now, base units: the quantities of "terms" add up to "atp"; "binds" names what sets it.';

-- explain_atp does the answer to "why this number?".
CREATE FUNCTION distsync.explain_atp(item text, quantity numeric DEFAULT 1, unit text DEFAULT NULL, site text DEFAULT NULL, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	this_moment timestamptz := statement_timestamp();
	mode text := distsync_internal.inventory_mode(options, '{mode:text,company:text,holder:text,ship_to:text,zone:text,carrier:text}');
	a record;
	sites jsonb;
	answer distsync_internal.inventory_atp;
BEGIN
	SELECT * INTO a FROM distsync_internal.inventory_asked(explain_atp.item, explain_atp.quantity, explain_atp.unit, '');
	SELECT * INTO answer FROM distsync.atp(explain_atp.item, explain_atp.quantity, explain_atp.unit, explain_atp.site, explain_atp.at, explain_atp.options);
	sites := (SELECT COALESCE(jsonb_agg(distsync_internal.inventory_explain_site(a.item_id, s.site_id, s.code, this_moment, mode) ORDER BY s.rank, s.code COLLATE "C"), '[]')
		FROM distsync_internal.inventory_sites(a.item_id, distsync_internal.master_site(explain_atp.site, 'site'), distsync_internal.master_company(options->>'company', 'options.company')) s);
	RETURN jsonb_build_object('answer', to_jsonb(answer) - 'detail', 'mode', mode, 'base_unit', a.base_unit, 'base_quantity', a.base_quantity, 'sites', sites,
		'own_holds', CASE WHEN options ? 'holder' THEN distsync_internal.inventory_own_holds(a.item_id,
			ARRAY(SELECT s.site_id FROM distsync_internal.inventory_sites(a.item_id, distsync_internal.master_site(explain_atp.site, 'site'), distsync_internal.master_company(options->>'company', 'options.company')) s),
			options->>'holder', this_moment) ELSE 0 END,
		'timeline', (SELECT COALESCE(jsonb_agg(to_jsonb(t) ORDER BY t.moment), '[]') FROM distsync.atp_timeline(explain_atp.item, explain_atp.site, NULL, options - '{holder,ship_to,zone,carrier}'::text[]) t));
END
$$;
COMMENT ON FUNCTION distsync.explain_atp(text, numeric, text, text, timestamptz, jsonb) IS
	'Why atp() says what it says: the answer, for each site the terms in base units (they add up to its atp now) and what binds it, and the timeline. Same arguments and errors as atp(). Reads only.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('atp', '{reader,order_entry,integrator,operator,admin}'),
	('atp_timeline', '{reader,order_entry,integrator,operator,admin}'),
	('explain_atp', '{reader,order_entry,integrator,operator,admin}');
