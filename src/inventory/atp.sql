-- Availability: how much may be promised, when, and why. Decisions are reads: nothing here writes, all of it runs on a standby.

CREATE TYPE distsync_internal.inventory_atp AS (
	outcome		text,
	item		text,
	site		text,
	quantity	numeric,
	unit		text,
	on_hand		numeric,
	projected	numeric,
	atp_book	numeric,
	atp_phys	numeric,
	atp			numeric,
	available_at	timestamptz,
	ship_at		timestamptz,
	deliver_on	date,
	basis		text,
	valid_until	timestamptz,
	as_of		timestamptz,
	known_at	timestamptz,
	detail		jsonb
);
COMMENT ON TYPE distsync_internal.inventory_atp IS 'Answer of atp(): outcome available | later | short; quantities in unit; on_hand: promisable stock of the basis; projected: what the running sum says for as_of, may be below 0; atp_book, atp_phys: what either perspective alone would allow (NULL = it says nothing); atp: what may be promised (NULL = any quantity: as_of is beyond the time replenishment takes); available_at: first instant for the quantity asked (NULL = not foreseen); ship_at: when it can leave (the cut-off of that day, NULL = never or not foreseen); deliver_on: when it can arrive, if options say where to; basis physical | book | conservative | mixed | none | lead_time; valid_until: first instant at which time alone changes the answer; known_at: stamp of the last change of what was read.';

-- inventory_viewed does the reading of how somebody looks at the stock of an item.
CREATE FUNCTION distsync_internal.inventory_viewed(options jsonb, item_id bigint, step numeric DEFAULT NULL) RETURNS distsync_internal.inventory_view
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	view distsync_internal.inventory_view;
BEGIN
	view.mode := COALESCE(options->>'mode', 'conservative');
	IF view.mode NOT IN ('physical', 'book', 'conservative') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('unknown mode "%s"', left(view.mode, 80)), COLUMN = 'options.mode',
			DETAIL = 'Field: options.mode. Known: physical, book, conservative.', HINT = 'Use one of the known modes, or leave it out for conservative.';
	END IF;
	IF NOT options ? 'channel_id' THEN
		PERFORM distsync_internal.master_channel(options->>'channel', 'options.channel');
	END IF;
	view.holder := options->>'holder';
	view.step := inventory_viewed.step;
	view.use_safety := COALESCE((options->>'use_safety')::boolean, false);
	view.shelf_days := distsync_internal.inventory_shelf(inventory_viewed.item_id, CASE WHEN options ? 'customer_id' THEN (options->>'customer_id')::bigint ELSE distsync_internal.master_party(options->>'customer', 'options.customer') END, (options->>'min_shelf_days')::integer);
	RETURN view;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_viewed(jsonb, bigint, numeric) IS 'options.mode, use_safety, min_shelf_days, holder and customer (its rules of shelf life; customer_id and channel_id are those who know ids) for an item; the options are checked already. Errors: SD001 unknown customer or channel, SD002 mode.';

-- inventory_asked_any does the reading of what is asked: the item or kit, its unit and the quantity in base units, with every check.
CREATE FUNCTION distsync_internal.inventory_asked_any(code text, quantity numeric, unit text, within text, OUT item_id bigint, OUT sku text, OUT base_unit text, OUT base_quantity numeric,
	OUT numerator bigint, OUT denominator bigint, OUT kit boolean, OUT step numeric, OUT status text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	scale integer;
	base_scale integer;
BEGIN
	SELECT i.item_id, i.sku, i.base_unit, i.kit, i.status INTO item_id, sku, base_unit, kit, status FROM dist.item i WHERE i.sku = inventory_asked_any.code;
	IF NOT FOUND THEN
		SELECT i.item_id, i.sku, i.base_unit, i.kit, i.status INTO item_id, sku, base_unit, kit, status FROM dist.item i WHERE i.item_id = distsync_internal.master_item(inventory_asked_any.code, within || 'item');
		IF NOT FOUND THEN
			PERFORM distsync_internal.base_required(within || 'item', NULL);
		END IF;
	END IF;
	IF inventory_asked_any.quantity IS NULL OR inventory_asked_any.quantity < 0 OR inventory_asked_any.quantity >= 100000000000000 OR min_scale(inventory_asked_any.quantity) > 6 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('quantity %s cannot be asked for', COALESCE(left(inventory_asked_any.quantity::text, 40), 'NULL')), COLUMN = within || 'quantity',
			DETAIL = format('Field: %squantity. Item "%s".', within, sku), HINT = 'Send a quantity of 0 or more, with at most 14 digits before and 6 after the point.';
	END IF;
	numerator := 1;
	denominator := 1;
	base_quantity := inventory_asked_any.quantity;
	IF inventory_asked_any.unit <> base_unit THEN
		SELECT f.numerator, f.denominator INTO numerator, denominator FROM distsync_internal.master_unit_factor(item_id, inventory_asked_any.unit, within || 'unit') f;
		base_quantity := distsync_internal.master_to_base(item_id, inventory_asked_any.quantity, inventory_asked_any.unit, within || 'quantity');
	END IF;
	SELECT b.scale, u.scale INTO base_scale, scale FROM dist.unit b LEFT JOIN dist.unit u ON u.unit = COALESCE(inventory_asked_any.unit, base_unit) WHERE b.unit = base_unit;
	IF scale < 6 OR base_scale < 6 OR kit THEN
		step := distsync_internal.inventory_step(numerator, denominator, scale, CASE WHEN kit THEN 0 ELSE base_scale END);
		IF min_scale(inventory_asked_any.quantity) > scale OR NOT kit AND mod(base_quantity, step) <> 0 THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('quantity %s is no whole number of what can be had of it', inventory_asked_any.quantity), COLUMN = within || 'quantity',
				DETAIL = format('Field: %squantity. Item "%s" in "%s"; it is counted in steps of %s %s.', within, sku, COALESCE(inventory_asked_any.unit, base_unit), trim_scale(step), base_unit),
				HINT = 'Ask for whole steps, or in another unit; dist.unit.scale says with how many decimals a unit is counted.';
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_asked_any(text, numeric, text, text) IS
	'Item by code, quantity in base units and the factor of the unit (NULL = base unit), whether it is a kit, in which steps it is promised (base units, kits; NULL = in any), and its status. within: what stands before the fields that errors name (lines[0]. or nothing). Errors: SD001 unknown item, SD002 quantity, also one finer than its unit, SD004 unknown unit.';

-- inventory_asked does the same for what has stock of its own.
CREATE FUNCTION distsync_internal.inventory_asked(code text, quantity numeric, unit text, within text, OUT item_id bigint, OUT sku text, OUT base_unit text, OUT base_quantity numeric,
	OUT numerator bigint, OUT denominator bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	is_kit boolean;
	in_steps numeric;
	its_status text;
BEGIN
	SELECT * INTO item_id, sku, base_unit, base_quantity, numerator, denominator, is_kit, in_steps, its_status FROM distsync_internal.inventory_asked_any(code, quantity, unit, within);
	IF is_kit THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('item "%s" is a kit and has no stock of its own', sku), COLUMN = within || 'item',
			DETAIL = format('Field: %sitem.', within), HINT = 'Ask for each of its components.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_asked(text, numeric, text, text) IS
	'Item by code, quantity in base units and the factor of the unit (NULL = base unit). within: what stands before the fields that errors name (lines[0]. or nothing). Errors: SD001 unknown item, SD002 kit or quantity, SD004 unknown unit.';

-- inventory_basis does the naming of the perspective a number stands on.
CREATE FUNCTION distsync_internal.inventory_basis(mode text, phys numeric, book numeric, doubt text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN phys IS NULL AND book IS NULL THEN 'none' WHEN phys IS NULL THEN 'book' WHEN book IS NULL THEN 'physical'
		WHEN mode = 'physical' AND doubt IS NULL OR mode = 'book' THEN mode ELSE 'conservative' END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_basis(text, numeric, numeric, text) IS 'physical | book | conservative | none: what inventory_base() reckons from.';

-- inventory_options does the check of the options of atp() and explain_atp().
CREATE FUNCTION distsync_internal.inventory_options(options jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.base_options(options, '{mode:text,company:text,holder:text,ship_to:text,zone:text,carrier:text,use_safety:boolean,min_shelf_days:integer:0:36600,customer:text,channel:text,detail:boolean,substitutes:boolean}');
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_options(jsonb) IS 'Checks options that atp() takes. Errors: SD002, SD005.';

-- inventory_own_holds does the listing of what a holder holds already, for callers that must not stand in their own way: from now on, or from
-- the date on for which it is promised. What counts on the time that replenishment takes is in no number before.
CREATE FUNCTION distsync_internal.inventory_own_holds(item_id bigint, site_id bigint, holder text, at timestamptz) RETURNS TABLE (moment timestamptz, quantity numeric)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT CASE WHEN r.kind = 'inbound' THEN greatest(r.promised_at, inventory_own_holds.at) ELSE inventory_own_holds.at END,
		CASE WHEN r.state = 'held' AND r.expires_at <= inventory_own_holds.at THEN r.committed ELSE r.quantity END - r.shipped
	FROM dist.reservation r
	WHERE r.holder = inventory_own_holds.holder AND r.state IN ('held', 'committed') AND r.item_id = inventory_own_holds.item_id AND r.site_id = inventory_own_holds.site_id
		AND NOT (r.kind = 'planned' AND r.promised_at > inventory_own_holds.at);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_own_holds(bigint, bigint, text, timestamptz) IS 'Live reservations of a holder on an item at a site, base units, with the instant from which on each counts: the one given, or its date. Without those that count on replenishment.';

-- inventory_own_part does the reckoning of what a holder has of a site: what counts now, and what his promises for later dates take from what
-- may be promised now, because without them the lowest point to come would be higher.
CREATE FUNCTION distsync_internal.inventory_own_part(item_id bigint, site_id bigint, phys numeric, book numeric, holder text, at timestamptz, OUT own numeric, OUT lift numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	view distsync_internal.inventory_view;
	dated boolean;
BEGIN
	SELECT COALESCE(sum(h.quantity) FILTER (WHERE h.moment = inventory_own_part.at), 0), COALESCE(bool_or(h.moment > inventory_own_part.at), false) INTO own, dated
	FROM distsync_internal.inventory_own_holds(inventory_own_part.item_id, inventory_own_part.site_id, inventory_own_part.holder, inventory_own_part.at) h;
	lift := 0;
	IF dated THEN
		view.holder := inventory_own_part.holder;
		lift := (
			WITH z AS (
				SELECT w.counted, c.moment, sum(c.coming + c.going) OVER o AS running, min(c.own) OVER o AS own
				FROM (VALUES (true, NULL::distsync_internal.inventory_view), (false, view)) w(counted, view)
				CROSS JOIN LATERAL distsync_internal.inventory_course(inventory_own_part.item_id, inventory_own_part.site_id, inventory_own_part.at, inventory_own_part.phys, inventory_own_part.book, w.view) c
				WINDOW o AS (PARTITION BY w.counted ORDER BY c.moment)
			), low AS (
				SELECT z.counted, least(0, min(CASE WHEN z.own IS NULL THEN z.running ELSE greatest(z.running, -z.own) END)) AS low FROM z
				WHERE NOT EXISTS (SELECT FROM dist.item_site i WHERE i.item_id = inventory_own_part.item_id AND i.site_id = inventory_own_part.site_id AND z.moment > inventory_own_part.at + i.lead_days * interval '24 hours')
				GROUP BY z.counted
			)
			SELECT COALESCE(sum(CASE WHEN l.counted THEN -l.low ELSE l.low END), 0) FROM low l);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_own_part(bigint, bigint, numeric, numeric, text, timestamptz) IS
	'What a holder has of an item at a site, base units: own, of now, and lift, by how much the term low would be higher without what he is promised for later dates. phys, book: the stock that there is, with what is outside or in flight.';

-- inventory_staleness does the look at when the warehouse was last heard of: the stream of these sites that has been silent longest.
CREATE FUNCTION distsync_internal.inventory_staleness(site_ids bigint[], at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT jsonb_build_object('last_heard_at', min(v.last_received_at), 'silent_seconds', round(extract(epoch FROM at - min(v.last_received_at))),
			'doubt', CASE WHEN bool_or(v.gap_from IS NOT NULL) THEN 'gap' WHEN bool_or(v.last_received_at + v.max_lag < at) THEN 'stale' END)
		FROM dist.stock_stream v WHERE v.perspective = 'phys' AND (v.site_id = ANY (site_ids) OR v.site_id = 0) HAVING count(*) > 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_staleness(bigint[], timestamptz) IS
	'{"last_heard_at", "silent_seconds", "doubt": gap | stale | null} of the physical streams of these sites, the one that has been silent longest; NULL = no numbered stream tells of them.';

-- inventory_on_hand does the stock by state.
CREATE FUNCTION distsync_internal.inventory_on_hand(item_id bigint, site_ids bigint[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT COALESCE(jsonb_object_agg(x.perspective, x.states), '{}')
		FROM (SELECT y.perspective, jsonb_object_agg(y.state, trim_scale(y.quantity)) AS states
			FROM (SELECT b.perspective, b.state, sum(b.quantity) AS quantity FROM dist.stock_balance b
				WHERE b.item_id = inventory_on_hand.item_id AND b.site_id = ANY (site_ids) GROUP BY b.perspective, b.state) y
			WHERE y.quantity <> 0 GROUP BY y.perspective) x);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_on_hand(bigint, bigint[]) IS 'Stock of an item at these sites by perspective and state, base units: {"phys": {"available": 40, "quality": 100}, "book": {...}}.';

-- inventory_atp_more does what an answer says beside its numbers: dates, outcome, and what was asked for in detail.
CREATE FUNCTION distsync_internal.inventory_atp_more(answer distsync_internal.inventory_atp, item_id bigint, kit boolean, base_quantity numeric, site_ids bigint[], amounts numeric[], at timestamptz, options jsonb)
RETURNS distsync_internal.inventory_atp
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	d record;
BEGIN
	IF answer.available_at IS NOT NULL AND site_ids IS NOT NULL THEN
		d := distsync_internal.inventory_dates(inventory_atp_more.item_id, kit, site_ids, CASE WHEN answer.available_at = inventory_atp_more.at THEN amounts END, base_quantity, answer.available_at, inventory_atp_more.at, options);
		answer.ship_at := d.ship_at;
		answer.deliver_on := d.deliver_on;
		answer.detail := answer.detail || d.detail;
		IF answer.available_at = inventory_atp_more.at THEN
			answer.valid_until := least(answer.valid_until, d.turns_at);
		END IF;
	END IF;
	IF (options->>'detail')::boolean AND NOT kit THEN
		answer.detail := answer.detail || jsonb_build_object('on_hand', distsync_internal.inventory_on_hand(inventory_atp_more.item_id, site_ids), 'staleness', distsync_internal.inventory_staleness(site_ids, inventory_atp_more.at));
	END IF;
	answer.outcome := CASE WHEN answer.available_at <= answer.as_of THEN 'available' WHEN answer.available_at IS NOT NULL THEN 'later' ELSE 'short' END;
	IF (options->>'substitutes')::boolean AND answer.outcome <> 'available' THEN
		answer.detail := answer.detail || jsonb_build_object('substitutes', distsync_internal.inventory_substitutes(inventory_atp_more.item_id, answer.quantity, answer.unit, answer.site, answer.as_of, options));
	END IF;
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_atp_more(distsync_internal.inventory_atp, bigint, boolean, numeric, bigint[], numeric[], timestamptz, jsonb) IS
	'An answer of atp() in base units, with ship_at, deliver_on, outcome and what options.detail and substitutes ask for. amounts: what each site may promise now, NULL = to be found out where it matters.';

-- inventory_atp_whole does the answer to "can I have so much, where, when?" from everything that is known.
CREATE FUNCTION distsync_internal.inventory_atp_whole(item text, quantity numeric, unit text, site text, at timestamptz, options jsonb) RETURNS distsync_internal.inventory_atp
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	this_moment timestamptz := statement_timestamp();
	view distsync_internal.inventory_view;
	site_id bigint;
	company_id bigint;
	a record;
	n record;
	w record;
	answer distsync_internal.inventory_atp;
	quotas bigint[];
BEGIN
	SELECT * INTO a FROM distsync_internal.inventory_asked_any(inventory_atp_whole.item, inventory_atp_whole.quantity, inventory_atp_whole.unit, '');
	IF options IS DISTINCT FROM '{}' THEN
		PERFORM distsync_internal.inventory_options(options);
		view := distsync_internal.inventory_viewed(options, a.item_id, a.step);
	END IF;
	view.step := a.step;
	IF inventory_atp_whole.site IS NOT NULL THEN
		site_id := distsync_internal.master_site(inventory_atp_whole.site, 'site');
	END IF;
	IF options ? 'company' THEN
		company_id := distsync_internal.master_company(options->>'company', 'options.company');
	END IF;
	IF a.kit THEN
		SELECT * INTO n FROM distsync_internal.inventory_kit_sum(a.item_id, site_id, company_id, this_moment, options, a.step);
	ELSE
		SELECT * INTO n FROM distsync_internal.inventory_sum(a.item_id, site_id, company_id, this_moment, view);
	END IF;
	answer.item := a.sku;
	answer.site := inventory_atp_whole.site;
	answer.quantity := inventory_atp_whole.quantity;
	answer.unit := COALESCE(inventory_atp_whole.unit, a.base_unit);
	answer.as_of := greatest(inventory_atp_whole.at, this_moment);
	answer.on_hand := n.on_hand;
	answer.projected := n.projected;
	answer.atp_book := n.atp_book;
	answer.atp_phys := n.atp_phys;
	answer.atp := n.atp;
	answer.basis := n.basis;
	answer.known_at := n.known_at;
	answer.valid_until := n.moves_at;
	answer.detail := n.detail || CASE WHEN a.status = 'active' THEN '{}' ELSE jsonb_build_object('status', a.status) END;
	quotas := CASE WHEN n.sites IS NOT NULL THEN distsync_internal.inventory_shared(a.item_id, a.kit) ELSE '{}' END;
	answer.available_at := CASE WHEN n.atp >= a.base_quantity THEN answer.as_of END;
	IF quotas <> '{}' OR n.moves AND (answer.as_of > this_moment OR answer.available_at IS NULL) THEN
		SELECT (array_agg(c.projected ORDER BY c.moment DESC) FILTER (WHERE c.moment <= answer.as_of))[1] AS projected, (array_agg(c.atp ORDER BY c.moment DESC) FILTER (WHERE c.moment <= answer.as_of))[1] AS atp,
			(array_agg(c.binds ORDER BY c.moment DESC) FILTER (WHERE c.moment <= answer.as_of))[1] AS binds, min(c.moment) FILTER (WHERE c.moment > answer.as_of AND (c.atp >= a.base_quantity OR c.atp IS NULL)) AS later
		INTO w FROM distsync_internal.inventory_walk(a.item_id, a.kit, n.sites, this_moment, options, a.step) c;
		answer.projected := w.projected;
		answer.atp := w.atp;
		answer.available_at := CASE WHEN w.atp >= a.base_quantity OR w.atp IS NULL THEN answer.as_of ELSE w.later END;
		answer.detail := answer.detail || CASE WHEN w.binds IS NULL THEN '{}' ELSE jsonb_build_object('quota', w.binds) END;
	END IF;
	IF answer.atp IS NULL THEN
		answer.basis := 'lead_time';
	END IF;
	IF quotas <> '{}' THEN
		answer.valid_until := least(answer.valid_until, (SELECT min(b.turn) FROM dist.stock_quota q CROSS JOIN LATERAL (VALUES (lower(q.period)), (upper(q.period))) b(turn) WHERE q.item_id = ANY (quotas) AND b.turn > this_moment));
	END IF;
	answer := distsync_internal.inventory_atp_more(answer, a.item_id, a.kit, a.base_quantity, n.sites, CASE WHEN quotas = '{}' THEN n.amounts END, this_moment, options);
	IF a.numerator <> a.denominator THEN
		answer := distsync_internal.inventory_in_unit(answer, a.numerator, a.denominator);
	END IF;
	answer.on_hand := trim_scale(answer.on_hand);
	answer.projected := trim_scale(answer.projected);
	answer.atp_book := trim_scale(answer.atp_book);
	answer.atp_phys := trim_scale(answer.atp_phys);
	answer.atp := trim_scale(answer.atp);
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_atp_whole(text, numeric, text, text, timestamptz, jsonb) IS 'The answer of atp(), from all that is known; the verb asks it what one pool cannot answer. Same arguments, same errors.';

-- atp does the same: from one row where that is enough.
CREATE FUNCTION distsync.atp(item text, quantity numeric DEFAULT 1, unit text DEFAULT NULL, site text DEFAULT NULL, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS distsync_internal.inventory_atp
AS 'MODULE_PATHNAME', 'ds_sql_inventory_atp' LANGUAGE c STABLE;
COMMENT ON FUNCTION distsync.atp(text, numeric, text, text, timestamptz, jsonb) IS
	'How much of an item may be promised, and whether the quantity asked may, at an instant (default now): one row, quantities in unit (NULL = base unit), site NULL = over all sites that may promise. options: mode physical | book | conservative (default; also where the physical stream is in doubt), company, holder (what it holds itself does not count, neither against stock nor against its quotas), ship_to (party), zone (country or country-region) and carrier, for deliver_on; use_safety (safety stock is for this one), min_shelf_days (days that lots must have left), customer (for its rules of shelf life and its quotas), channel (for its quotas; detail.quota names the one that binds), detail (true: detail.on_hand has the stock by perspective and state in base units, detail.staleness when the warehouse was last heard of), substitutes (true: where it is not available, detail.substitutes has what may stand in for it, by rank, with the same answer for each). A kit is as many whole kits as its components at a site allow; detail.components tells them. detail.status: blocked | inactive, why nothing of it may be promised; detail names what is not 0: held, committed, promised_later (of these, for a later date), demand_of_others, and sites if it is not one. atp is cumulative with look-ahead and never below 0: see docs/inventory.md. Reads only. Errors: SD001 unknown code, SD002 quantity, mode, option, SD004 unknown unit.';

-- inventory_atp_customer does the answer of atp() to a restricted caller: whether what he asks for is there and when, but not how much
-- there is, nor who else waits.
CREATE FUNCTION distsync_internal.inventory_atp_customer(item text, quantity numeric, unit text, site text, at timestamptz, options jsonb) RETURNS distsync_internal.inventory_atp
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a distsync_internal.inventory_atp;
BEGIN
	PERFORM distsync_internal.master_scope_only(options, '{customer,company,ship_to,zone,carrier,min_shelf_days}', 'options.');
	a := distsync_internal.inventory_atp_whole(item, quantity, unit, site, at, options);
	a.atp := least(a.atp, a.quantity);
	a.on_hand := NULL;
	a.projected := NULL;
	a.atp_book := NULL;
	a.atp_phys := NULL;
	a.basis := NULL;
	a.detail := NULL;
	RETURN a;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_atp_customer(text, numeric, text, text, timestamptz, jsonb) IS
	'atp() for a caller who is restricted to a customer scope: atp up to the quantity asked, the dates, valid_until; no stock, no detail. Errors: those of atp(), SD012 an option or party that is not for him.';

-- inventory_sum does the adding up over sites. Pools keep the terms as their writers left them; only where time has passed a pool
-- since, its terms are reckoned anew. Streams are looked at only where doubt would change the answer.
CREATE FUNCTION distsync_internal.inventory_sum(item_id bigint, site_id bigint, company_id bigint, at timestamptz, view distsync_internal.inventory_view, OUT sites bigint[], OUT amounts numeric[], OUT on_hand numeric, OUT projected numeric,
	OUT atp_book numeric, OUT atp_phys numeric, OUT atp numeric, OUT basis text, OUT moves boolean, OUT moves_at timestamptz, OUT known_at timestamptz, OUT detail jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	m record;
	lost record;
	mode text := COALESCE(view.mode, 'conservative');
	doubt text;
	one_doubt text;
	next_doubt timestamptz;
	one_basis text;
	base numeric;
	promised numeric;
	active boolean := (SELECT i.status = 'active' FROM dist.item i WHERE i.item_id = inventory_sum.item_id);
	held numeric := 0;
	committed numeric := 0;
	due numeric := 0;
	inbound numeric := 0;
	own numeric := 0;
BEGIN
	on_hand := 0;
	projected := 0;
	atp := 0;
	moves := false;
	-- a loop and not an aggregate: most answers are about one site or two
	FOR m IN
		SELECT n.* FROM dist.stock_pool p
		JOIN dist.site s ON s.site_id = p.site_id AND s.can_promise AND s.status = 'active'
		CROSS JOIN LATERAL (
			SELECT p.site_id, p.phys, p.book, p.due, p.low, p.held, p.committed, p.backorder_cap AS backorder, p.changed_at AS known_at, p.valid_until AS turns_at, p.ahead AS future, p.safety, p.inbound
			WHERE p.slots = 0 AND (p.valid_until IS NULL OR p.valid_until > inventory_sum.at)
			UNION ALL
			SELECT t.site_id, t.phys + t.outside, t.book + t.in_flight, t.due, t.low, t.held, t.committed, t.backorder, t.known_at, t.turns_at, t.future, t.safety, t.inbound
			FROM distsync_internal.inventory_now(ARRAY[p.item_id], ARRAY[p.site_id], inventory_sum.at) t
			WHERE p.slots > 0 OR p.valid_until <= inventory_sum.at) n
		WHERE p.item_id = inventory_sum.item_id AND (p.site_id = inventory_sum.site_id OR inventory_sum.site_id IS NULL)
			AND (s.company_id = inventory_sum.company_id OR inventory_sum.company_id IS NULL)
	LOOP
		IF mode = 'physical' THEN
			SELECT v.doubt, v.next_doubt INTO one_doubt, next_doubt FROM distsync_internal.inventory_doubt(m.site_id, inventory_sum.at) v;
			doubt := COALESCE(doubt, one_doubt);
		END IF;
		IF view.holder IS NOT NULL THEN
			SELECT o.own, m.low + o.lift INTO own, m.low FROM distsync_internal.inventory_own_part(inventory_sum.item_id, m.site_id, m.phys, m.book, view.holder, inventory_sum.at) o;
		END IF;
		IF view.shelf_days IS NOT NULL THEN
			lost := distsync_internal.inventory_short_lived(inventory_sum.item_id, m.site_id, inventory_sum.at, view.shelf_days);
			m.phys := m.phys - lost.phys;
			m.book := m.book - lost.book;
			m.turns_at := least(m.turns_at, lost.turns_at);
		END IF;
		m.low := m.low + CASE WHEN view.use_safety THEN m.safety ELSE 0 END;
		one_basis := distsync_internal.inventory_basis(mode, m.phys, m.book, one_doubt);
		base := distsync_internal.inventory_base(m.phys, m.book, 0, 0, mode, one_doubt);
		promised := m.held + m.committed - own - m.backorder;
		sites := sites || m.site_id;
		amounts := amounts || CASE WHEN active THEN COALESCE(div(greatest(0, base + m.low - promised), view.step) * view.step, greatest(0, base + m.low - promised)) ELSE 0 END;
		on_hand := on_hand + base;
		projected := projected + base + m.due - m.held - m.committed + own + m.inbound;
		atp := atp + amounts[cardinality(amounts)];
		atp_book := CASE WHEN m.book IS NULL THEN atp_book ELSE COALESCE(atp_book, 0) + CASE WHEN active THEN COALESCE(div(greatest(0, m.book + m.low - promised), view.step) * view.step, greatest(0, m.book + m.low - promised)) ELSE 0 END END;
		atp_phys := CASE WHEN m.phys IS NULL THEN atp_phys ELSE COALESCE(atp_phys, 0) + CASE WHEN active THEN COALESCE(div(greatest(0, m.phys + m.low - promised), view.step) * view.step, greatest(0, m.phys + m.low - promised)) ELSE 0 END END;
		basis := CASE WHEN basis IS NULL OR basis = one_basis THEN one_basis ELSE 'mixed' END;
		moves := moves OR m.future;
		moves_at := least(moves_at, m.turns_at, next_doubt);
		known_at := greatest(known_at, m.known_at);
		held := held + m.held;
		committed := committed + m.committed;
		due := due - m.due;
		inbound := inbound + m.inbound;
	END LOOP;
	basis := COALESCE(basis, 'none');
	detail := jsonb_strip_nulls(jsonb_build_object('held', trim_scale(NULLIF(held, 0)), 'committed', trim_scale(NULLIF(committed, 0)), 'promised_later', trim_scale(NULLIF(inbound, 0)), 'demand_of_others', trim_scale(NULLIF(due, 0)),
		'sites', NULLIF(COALESCE(cardinality(sites), 0), 1), 'doubt', doubt));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_sum(bigint, bigint, bigint, timestamptz, distsync_internal.inventory_view) IS
	'Terms of an item added up over the sites that may promise it (site NULL = all, company NULL = any), base units, at an instant: the numbers of atp(), the sites, and what may be promised at each. moves: something is known to come or go later.';

-- inventory_in_unit does the turning of an answer into another unit. What may be promised is cut to the decimals the unit allows:
-- eleven pieces are no box of twelve.
CREATE FUNCTION distsync_internal.inventory_in_unit(answer distsync_internal.inventory_atp, numerator bigint, denominator bigint) RETURNS distsync_internal.inventory_atp
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	scale integer := COALESCE((SELECT u.scale FROM dist.unit u WHERE u.unit = answer.unit), 6);
BEGIN
	answer.on_hand := round(answer.on_hand * denominator / numerator, 6);
	answer.projected := round(answer.projected * denominator / numerator, 6);
	answer.atp_book := trunc(answer.atp_book * denominator / numerator, scale);
	answer.atp_phys := trunc(answer.atp_phys * denominator / numerator, scale);
	answer.atp := trunc(answer.atp * denominator / numerator, scale);
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_in_unit(distsync_internal.inventory_atp, bigint, bigint) IS
	'An answer in base units turned into another unit: stock rounded to six decimals, what may be promised cut to the decimals of the unit.';
