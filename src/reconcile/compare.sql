-- Stock, compared: the ERP's book against what the warehouse has, key by key, in one statement and so in one snapshot.

-- reconcile_stock_setting does the merging of the job's row with the options of one call, checked, so that what follows can rely on it.
CREATE FUNCTION distsync_internal.reconcile_stock_setting(job text, options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	j sync.reconcile_job%ROWTYPE;
	s jsonb;
	known CONSTANT text[] := ARRAY['tolerance', 'tolerance_percent', 'grace', 'lookback', 'company', 'site', 'state_groups', 'lots', 'error_above'];
	wrong text;
BEGIN
	SELECT * INTO STRICT j FROM sync.reconcile_job r WHERE r.code = job;
	PERFORM distsync_internal.base_options(options, known);
	s := jsonb_build_object('tolerance', j.tolerance, 'tolerance_percent', 0, 'grace', j.grace, 'lookback', '31 days', 'lots', 'auto',
		'state_groups', '{"allocated": "available", "safety": "available"}'::jsonb) || j.options || options;
	SELECT string_agg(k, ', ' ORDER BY k) INTO wrong FROM jsonb_object_keys(s) k WHERE k <> ALL (known);
	IF wrong IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('reconcile(''%s'') does not know the option %s', job, wrong),
			DETAIL = format('Field: options. Known are %s.', array_to_string(known, ', ')), HINT = 'Leave it out, here or in sync.reconcile_job.options.';
	END IF;
	FOREACH wrong IN ARRAY ARRAY['tolerance', 'tolerance_percent', 'error_above'] LOOP
		IF s ? wrong AND NOT COALESCE(jsonb_typeof(s -> wrong) = 'number' AND (s ->> wrong)::numeric >= 0, false) THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('option "%s" must be a number of at least 0', wrong),
				DETAIL = format('Field: options.%s. Value: %s.', wrong, s -> wrong), HINT = 'Give a number, not a string.';
		END IF;
	END LOOP;
	IF COALESCE(s ->> 'lots', '') NOT IN ('auto', 'always', 'never') OR COALESCE(jsonb_typeof(s -> 'state_groups'), '') <> 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'option "lots" must be auto, always or never, option "state_groups" an object',
			DETAIL = format('Field: options. Values: %s, %s.', s -> 'lots', s -> 'state_groups'), HINT = 'For example {"lots": "auto", "state_groups": {"allocated": "available"}}.';
	END IF;
	FOREACH wrong IN ARRAY ARRAY['grace', 'lookback'] LOOP
		BEGIN
			IF COALESCE((s ->> wrong)::interval, '-1 second') < '0' THEN
				RAISE invalid_datetime_format;
			END IF;
		EXCEPTION WHEN invalid_datetime_format OR datetime_field_overflow OR interval_field_overflow THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('option "%s" must be an interval of at least 0', wrong),
				DETAIL = format('Field: options.%s. Value: %s.', wrong, s -> wrong), HINT = 'For example "5 minutes".';
		END;
	END LOOP;
	IF s ->> 'site' IS NOT NULL AND NOT EXISTS (SELECT FROM dist.site t WHERE t.code = s ->> 'site') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('site "%s" is not known', s ->> 'site'), DETAIL = 'Field: options.site.', HINT = 'Give the code of a site in dist.site.';
	END IF;
	IF s ->> 'company' IS NOT NULL AND NOT EXISTS (SELECT FROM dist.company c WHERE c.code = s ->> 'company') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('company "%s" is not known', s ->> 'company'), DETAIL = 'Field: options.company.', HINT = 'Give the code of a company in dist.company.';
	END IF;
	RETURN s;
END
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_stock_setting(text, jsonb) IS
	'Settings of one run: tolerance (base units), tolerance_percent, grace, lookback, company, site, state_groups {state: group}, lots auto | always | never, error_above (money). Errors: SD002 unknown or impossible option, SD001 unknown company or site.';

-- reconcile_stock_sites does the listing of the sites of a run, and of how many sides speak about each.
CREATE FUNCTION distsync_internal.reconcile_stock_sites(setting jsonb) RETURNS TABLE (site_id bigint, code text, sides bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT b.site_id, t.code, count(DISTINCT b.perspective)
	FROM dist.stock_balance b
	LEFT JOIN dist.site t ON t.site_id = b.site_id
	LEFT JOIN dist.company c ON c.company_id = t.company_id
	WHERE (setting ->> 'site' IS NULL OR t.code = setting ->> 'site') AND (setting ->> 'company' IS NULL OR c.code = setting ->> 'company')
	GROUP BY b.site_id, t.code
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_stock_sites(jsonb) IS 'Sites that have stock, of the company or site of a run: id, code, number of perspectives (2 = book and physical).';

-- reconcile_stock_keys does the putting side by side of both perspectives. States that are one to the business are one group; lots
-- are compared where both sides keep them, otherwise their sum; sites about which only one side speaks are left out, because there
-- is nothing to compare with.
CREATE FUNCTION distsync_internal.reconcile_stock_keys(setting jsonb)
RETURNS TABLE (item_id bigint, site_id bigint, state_group text, lot text, owner_id bigint, keeps_lots boolean, book numeric, phys numeric, book_counted_at timestamptz, phys_counted_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH both_sides AS (
		SELECT o.site_id FROM distsync_internal.reconcile_stock_sites(setting) o WHERE o.sides = 2
	), side AS (
		SELECT b.item_id, b.site_id, COALESCE(setting -> 'state_groups' ->> b.state, b.state) AS state_group, b.lot, b.owner_id, b.perspective, b.quantity, b.counted_at
		FROM dist.stock_balance b
		JOIN both_sides USING (site_id)
		JOIN dist.stock_state s ON s.state = b.state AND s.physical
	), item AS (
		SELECT s.item_id, s.site_id,
			CASE setting ->> 'lots' WHEN 'always' THEN true WHEN 'never' THEN false
				ELSE bool_or(s.perspective = 'book' AND s.lot <> '') AND bool_or(s.perspective = 'phys' AND s.lot <> '') END AS keeps_lots
		FROM side s GROUP BY s.item_id, s.site_id
	)
	SELECT s.item_id, s.site_id, s.state_group, l.lot, s.owner_id, i.keeps_lots,
		COALESCE(sum(s.quantity) FILTER (WHERE s.perspective = 'book'), 0), COALESCE(sum(s.quantity) FILTER (WHERE s.perspective = 'phys'), 0),
		max(s.counted_at) FILTER (WHERE s.perspective = 'book'), max(s.counted_at) FILTER (WHERE s.perspective = 'phys')
	FROM side s
	JOIN item i USING (item_id, site_id)
	CROSS JOIN LATERAL (SELECT CASE WHEN i.keeps_lots THEN s.lot ELSE '' END) l(lot)
	GROUP BY s.item_id, s.site_id, s.state_group, l.lot, s.owner_id, i.keeps_lots
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_stock_keys(jsonb) IS
	'Book and physical stock of each item, site, group of states, lot and owner, base units; states that are not in the building are left out. Last counts of both sides.';

-- reconcile_stock_waiting does the listing of movements that one side has told within the grace and the other has not shown yet,
-- matched by reference. Only what is young waits, and only up to what the other side lacks of that reference: an old debt under the
-- same reference stays a difference. A later count of the other side ends the wait, because it saw the result.
CREATE FUNCTION distsync_internal.reconcile_stock_waiting(keys jsonb, setting jsonb, at timestamptz)
RETURNS TABLE (ordinal bigint, reference text, book_waits numeric, phys_waits numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH k AS (
		SELECT * FROM jsonb_to_recordset(keys) AS r(ordinal bigint, item_id bigint, site_id bigint, state_group text, lot text, owner_id bigint, keeps_lots boolean,
			book_counted_at timestamptz, phys_counted_at timestamptz)
	), moved AS (
		SELECT k.ordinal, e.reference, e.perspective, e.quantity,
			e.recorded_at > at - (setting ->> 'grace')::interval
				AND e.event_at > COALESCE(CASE e.perspective WHEN 'phys' THEN k.book_counted_at ELSE k.phys_counted_at END, '-infinity') AS young
		FROM k
		JOIN dist.stock_event e ON e.item_id = k.item_id AND e.site_id = k.site_id AND e.owner_id = k.owner_id
			AND COALESCE(setting -> 'state_groups' ->> e.state, e.state) = k.state_group AND (NOT k.keeps_lots OR e.lot = k.lot)
		WHERE e.recorded_at > at - greatest((setting ->> 'lookback')::interval, (setting ->> 'grace')::interval)
			AND e.reference IS NOT NULL AND e.kind NOT IN ('count', 'offset')
	), r AS (
		SELECT m.ordinal, m.reference,
			COALESCE(sum(m.quantity) FILTER (WHERE m.perspective = 'book'), 0) - COALESCE(sum(m.quantity) FILTER (WHERE m.perspective = 'phys'), 0) AS ahead,
			COALESCE(sum(m.quantity) FILTER (WHERE m.perspective = 'book' AND m.young), 0) AS book_young,
			COALESCE(sum(m.quantity) FILTER (WHERE m.perspective = 'phys' AND m.young), 0) AS phys_young
		FROM moved m GROUP BY m.ordinal, m.reference HAVING bool_or(m.young)
	)
	SELECT r.ordinal, r.reference,
		CASE WHEN r.book_young < 0 THEN greatest(r.book_young, least(0, r.ahead)) ELSE least(r.book_young, greatest(0, r.ahead)) END,
		CASE WHEN r.phys_young < 0 THEN greatest(r.phys_young, least(0, -r.ahead)) ELSE least(r.phys_young, greatest(0, -r.ahead)) END
	FROM r
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_stock_waiting(jsonb, jsonb, timestamptz) IS
	'Movements in flight for keys of reconcile_stock_keys that carry an ordinal: per reference what the book has told and the warehouse not (book_waits), and the other way (phys_waits), base units.';

-- reconcile_stock_compare does the comparison: raw difference, less what movements in flight explain, beyond tolerance, with its
-- value. Movements in flight explain a difference, they never make one: what they say stays between zero and the raw difference.
CREATE FUNCTION distsync_internal.reconcile_stock_compare(setting jsonb, at timestamptz)
RETURNS TABLE (compared bigint, trace_key text, site text, sku text, company text, state_group text, lot text, owner text,
	book numeric, phys numeric, in_flight numeric, delta numeric, money numeric, currency text, waiting jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH k AS MATERIALIZED (
		SELECT * FROM distsync_internal.reconcile_stock_keys(setting)
	), raw AS MATERIALIZED (
		SELECT row_number() OVER () AS ordinal, k.*,
			greatest((setting ->> 'tolerance')::numeric, (setting ->> 'tolerance_percent')::numeric / 100 * greatest(abs(k.book), abs(k.phys))) AS tolerance
		FROM k WHERE k.book <> k.phys
	), w AS (
		SELECT x.ordinal, sum(x.book_waits - x.phys_waits) AS explained,
			jsonb_agg(jsonb_build_object('reference', x.reference, 'book', x.book_waits, 'phys', x.phys_waits) ORDER BY x.reference)
				FILTER (WHERE x.book_waits <> 0 OR x.phys_waits <> 0) AS waiting
		FROM distsync_internal.reconcile_stock_waiting((SELECT jsonb_agg(to_jsonb(raw)) FROM raw WHERE abs(raw.book - raw.phys) > raw.tolerance), setting, at) x
		GROUP BY x.ordinal
	), d AS (
		SELECT raw.*, w.waiting, COALESCE(CASE WHEN raw.book > raw.phys THEN least(raw.book - raw.phys, greatest(0, w.explained))
			ELSE greatest(raw.book - raw.phys, least(0, w.explained)) END, 0) AS in_flight
		FROM raw LEFT JOIN w USING (ordinal)
	)
	SELECT n.compared, CASE WHEN d.item_id IS NOT NULL THEN array_to_string(ARRAY[c.site, c.sku, d.state_group] || CASE WHEN d.lot <> '' OR d.owner_id <> 0 THEN ARRAY[c.lot] END
			|| CASE WHEN d.owner_id <> 0 THEN ARRAY[c.owner] END, '/') END,
		s.code, i.sku, m.code, d.state_group, d.lot, p.code,
		d.book, d.phys, d.in_flight, d.book - d.phys - d.in_flight, round(abs(d.book - d.phys - d.in_flight) * v.cost, 4), v.currency, d.waiting
	FROM (SELECT count(*) AS compared FROM k) n
	LEFT JOIN d ON abs(d.book - d.phys - d.in_flight) > d.tolerance
	LEFT JOIN dist.site s ON s.site_id = d.site_id
	LEFT JOIN dist.company m ON m.company_id = s.company_id
	LEFT JOIN dist.item i ON i.item_id = d.item_id
	LEFT JOIN dist.party p ON p.party_id = d.owner_id AND d.owner_id <> 0
	CROSS JOIN LATERAL (SELECT replace(replace(COALESCE(s.code, d.site_id::text), '\', '\\'), '/', '\/'), replace(replace(COALESCE(i.sku, d.item_id::text), '\', '\\'), '/', '\/'),
		replace(replace(d.lot, '\', '\\'), '/', '\/'), replace(replace(COALESCE(p.code, d.owner_id::text), '\', '\\'), '/', '\/')) AS c(site, sku, lot, owner)
	LEFT JOIN LATERAL distsync_internal.master_cost(d.item_id, s.company_id, d.site_id, at) v ON d.item_id IS NOT NULL
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_stock_compare(jsonb, timestamptz) IS
	'One row a difference beyond tolerance, or a single row of NULLs if there is none; compared = number of keys. Quantities in base units, delta = book - phys - in_flight, money = |delta| × cost. trace_key: site/sku/group, then /lot and /owner where there are some.';
