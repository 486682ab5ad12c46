-- Many reservations at once: commit or release by number or by holder, and their status.

-- inventory_hold_lines does the reading of the lines of a bulk command: numbers and quantities, or all live ones of a holder.
CREATE FUNCTION distsync_internal.inventory_hold_lines(lines jsonb, options jsonb) RETURNS TABLE (ordinal integer, reservation_id bigint, quantity numeric, fault text[])
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF lines IS NULL AND options->>'holder' IS NOT NULL THEN
		RETURN QUERY SELECT row_number() OVER (ORDER BY r.reservation_id)::integer, r.reservation_id, NULL::numeric, NULL::text[] FROM dist.reservation r
		WHERE r.holder = options->>'holder' AND (r.state = 'held' AND (r.expires_at > clock_timestamp() OR r.expires_at IS NULL) OR (options->>'void')::boolean AND r.state = 'committed') AND (r.kit_group IS NULL OR r.kit_group = r.reservation_id)
		ORDER BY r.reservation_id LIMIT 10001;
		RETURN;
	ELSIF jsonb_typeof(lines) IS DISTINCT FROM 'array' OR jsonb_array_length(lines) NOT BETWEEN 1 AND 10000 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'lines must be an array of 1 to 10000 objects', COLUMN = 'lines',
			DETAIL = 'Field: lines.', HINT = 'Send [{"reservation_id": 42, "quantity": 1}], or NULL with options.holder for all that it holds.';
	END IF;
	RETURN QUERY
	SELECT x.n::integer, i.id, q.quantity, CASE
		WHEN i.id IS NULL THEN ARRAY['SD005', 'reservation_id', format('line %s needs the number of a reservation', x.n), format('Field: reservation_id. It is %s.', left(x.value::text, 200)), 'Send {"reservation_id": 42}, as a plain number.']
		WHEN q.quantity IS NULL AND x.value->>'quantity' IS NOT NULL THEN ARRAY['SD002', 'quantity', format('"%s" is no quantity', left(x.value->>'quantity', 40)), 'Field: quantity.', 'Send a plain number above 0, or leave it out for all of it.']
		WHEN count(*) OVER (PARTITION BY COALESCE((SELECT r.kit_group FROM dist.reservation r WHERE r.reservation_id = i.id), i.id)) > 1
			THEN ARRAY['SD002', 'reservation_id', format('reservation %s is named twice', i.id), 'Field: reservation_id. A kit is named by any of its components.', 'Name each reservation once, with the quantity in all.'] END
	FROM jsonb_array_elements(lines) WITH ORDINALITY x(value, n)
	CROSS JOIN LATERAL (SELECT CASE WHEN x.value->>'reservation_id' ~ '^[0-9]{1,18}$' THEN (x.value->>'reservation_id')::bigint END AS id) i
	CROSS JOIN LATERAL (SELECT CASE WHEN x.value->>'quantity' ~ '^[+-]?[0-9]{1,20}(\.[0-9]{1,20})?$' THEN (x.value->>'quantity')::numeric END AS quantity) q
	ORDER BY x.n;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_hold_lines(jsonb, jsonb) IS
	'Lines [{"reservation_id","quantity"?}] with what is wrong with their shape; NULL with options.holder: all that it holds (with option void also what is committed), at most 10000 and one more. Errors: SD005.';

-- inventory_hold_many does a command on many reservations: all pools are locked at once, everything is checked before anything is written.
CREATE FUNCTION distsync_internal.inventory_hold_many(verb text, lines jsonb, options jsonb) RETURNS SETOF distsync_internal.inventory_settled
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	source text := COALESCE(options->>'source', session_user);
	name text := verb || '_reservations';
	request jsonb := jsonb_build_object('lines', lines, 'options', options);
	answer jsonb := distsync_internal.base_answered(source, name, options->>'idempotency_key', request);
	collect boolean;
	k record;
	l record;
	r record;
	fault text[];
	-- of each line what is wrong with it, and what became of it
	faults jsonb[] := '{}';
	rows jsonb[] := '{}';
BEGIN
	IF answer IS NULL THEN
		options := distsync_internal.base_options(options, CASE verb WHEN 'commit' THEN '{keep_rest:boolean,holder:text,on_error:text,idempotency_key:text,source:text,reason:text}'::text[] ELSE '{void:boolean,holder:text,on_error:text,idempotency_key:text,source:text,reason:text}' END);
		IF COALESCE(options->>'on_error', 'abort') NOT IN ('abort', 'collect') THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('unknown on_error "%s"', left(options->>'on_error', 80)), COLUMN = 'options.on_error', DETAIL = 'Field: options.on_error. Known: abort, collect.', HINT = 'Use abort (nothing is done if one line is wrong) or collect (the others are done).';
		END IF;
		collect := COALESCE(options->>'on_error' = 'collect', false);
		SELECT * INTO k FROM distsync_internal.inventory_hold_lock(ARRAY(SELECT x.reservation_id FROM distsync_internal.inventory_hold_lines(lines, options) x));
		IF lines IS NULL THEN
			-- what the holder had when its pools were locked; what it reserves meanwhile is not meant
			lines := (SELECT COALESCE(jsonb_agg(jsonb_build_object('reservation_id', x.reservation_id) ORDER BY x.ordinal), '[]') FROM distsync_internal.inventory_hold_lines(NULL, options) x
				WHERE NOT distsync_internal.inventory_hold_strays(x.reservation_id, k.items, k.sites));
		END IF;
		FOR l IN SELECT x.* FROM distsync_internal.inventory_hold_lines(lines, options) x WHERE lines <> '[]' LOOP
			fault := COALESCE(l.fault, CASE WHEN distsync_internal.inventory_hold_strays(l.reservation_id, k.items, k.sites) THEN distsync_internal.inventory_hold_unknown(l.reservation_id)
				ELSE distsync_internal.inventory_hold_fault(verb, l.reservation_id, l.quantity, options) END);
			IF NOT collect THEN
				PERFORM distsync_internal.inventory_hold_raise(fault, format('lines[%s].', l.ordinal - 1));
			END IF;
			faults := array_append(faults, to_jsonb(fault));
		END LOOP;
		FOR l IN SELECT x.* FROM distsync_internal.inventory_hold_lines(lines, options) x WHERE lines <> '[]' LOOP
			IF faults[l.ordinal] IS NULL THEN
				PERFORM distsync_internal.inventory_hold_do(verb, l.reservation_id, l.quantity, options);
			END IF;
			r := distsync_internal.inventory_hold(CASE WHEN faults[l.ordinal]->>0 IS DISTINCT FROM 'SD001' THEN l.reservation_id END);
			rows := array_append(rows, to_jsonb(ROW(l.ordinal, CASE WHEN faults[l.ordinal] IS NULL THEN 'done' ELSE 'rejected' END, l.reservation_id, r.state, trim_scale(r.quantity), trim_scale(r.committed), trim_scale(r.shipped),
				faults[l.ordinal]->>0, faults[l.ordinal]->>1, faults[l.ordinal]->>2, faults[l.ordinal]->>4)::distsync_internal.inventory_settled));
		END LOOP;
		answer := to_jsonb(rows);
		IF k.items IS NOT NULL THEN
			PERFORM distsync_internal.inventory_refresh(k.items, k.sites);
		END IF;
		PERFORM distsync_internal.base_answer(source, name, options->>'idempotency_key', request, answer);
		PERFORM distsync_internal.base_audit(name, 'reservation', options->>'holder', NULL, answer, options->>'reason');
	END IF;
	RETURN QUERY SELECT * FROM jsonb_populate_recordset(NULL::distsync_internal.inventory_settled, answer);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_hold_many(text, jsonb, jsonb) IS 'commit | release of many reservations, with idempotency and audit; a row each.';

-- commit_reservations does the same as commit_reservation() for many.
CREATE FUNCTION distsync.commit_reservations(lines jsonb, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_settled
AS 'MODULE_PATHNAME', 'ds_sql_inventory_commit_many' LANGUAGE c ROWS 10;
COMMENT ON FUNCTION distsync.commit_reservations(jsonb, jsonb) IS
	'Commits holds: lines [{"reservation_id","quantity"?}], at most 10000, quantity in base units, of a kit in whole kits, left out = all; lines NULL = all that options.holder holds (none is fine). options: on_error abort (default: one wrong line and nothing is done) | collect, keep_rest, holder, idempotency_key, source, reason. One row a line: done | rejected. Errors: SD005 shape, SD002 named twice, otherwise as commit_reservation().';

-- release_reservations does the same as release_reservation() for many.
CREATE FUNCTION distsync.release_reservations(lines jsonb, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_settled
AS 'MODULE_PATHNAME', 'ds_sql_inventory_release_many' LANGUAGE c ROWS 10;
COMMENT ON FUNCTION distsync.release_reservations(jsonb, jsonb) IS
	'Gives holds back: lines [{"reservation_id","quantity"?}], at most 10000, as commit_reservations(); lines NULL = all that options.holder holds. options: on_error abort (default) | collect, void (true: also what is committed and not shipped), holder, idempotency_key, source, reason. One row a line: done | rejected. Errors: SD005 shape, SD002 named twice, otherwise as release_reservation().';

-- reservation_status does the reading of reservations: those named, or the live ones of a holder, a demand, an item or a site.
CREATE FUNCTION distsync.reservation_status(reservation_id bigint DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_reservation
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	for_item bigint;
	for_site bigint;
	most integer;
BEGIN
	options := distsync_internal.base_options(options, '{holder:text,demand_key:text,item:text,site:text,ids,limit:integer:1:10000,after:integer:0:999999999999999999}');
	IF options ? 'ids' AND (jsonb_typeof(options->'ids') <> 'array' OR EXISTS (SELECT FROM jsonb_array_elements_text(options->'ids') u WHERE COALESCE(u, '') !~ '^[0-9]{1,18}$') OR jsonb_array_length(options->'ids') > 10000) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'ids must be an array of at most 10000 numbers', COLUMN = 'options.ids', DETAIL = 'Field: options.ids.', HINT = 'Send numbers that reserve() has given.';
	END IF;
	for_item := CASE WHEN options->>'item' IS NOT NULL THEN distsync_internal.master_item(options->>'item', 'options.item') END;
	for_site := CASE WHEN options->>'site' IS NOT NULL THEN distsync_internal.master_site(options->>'site', 'options.site') END;
	most := COALESCE((options->>'limit')::integer, 1000);
	RETURN QUERY SELECT * FROM distsync_internal.inventory_reservations(ARRAY(
		SELECT r.reservation_id FROM dist.reservation r WHERE r.reservation_id = reservation_status.reservation_id
		UNION
		SELECT r.reservation_id FROM dist.reservation r WHERE reservation_status.reservation_id IS NULL AND r.reservation_id = ANY (ARRAY(SELECT u::bigint FROM jsonb_array_elements_text(options->'ids') u))
		UNION
		(SELECT r.reservation_id FROM dist.reservation r
		WHERE reservation_status.reservation_id IS NULL AND NOT options ? 'ids' AND options ?| '{holder,demand_key,item,site}' AND r.state IN ('held', 'committed')
			AND (r.holder = options->>'holder' OR NOT options ? 'holder') AND (r.demand_key = options->>'demand_key' OR NOT options ? 'demand_key')
			AND (r.item_id = for_item OR for_item IS NULL) AND (r.site_id = for_site OR for_site IS NULL)
			AND r.reservation_id > COALESCE((options->>'after')::bigint, 0)
		ORDER BY r.reservation_id LIMIT most)));
END
$$;
COMMENT ON FUNCTION distsync.reservation_status(bigint, jsonb) IS
	'A reservation by number, those of options.ids (at most 10000), or the live ones that fit options.holder, demand_key (company/order/line), item and site together, by number: at most limit (default 1000, up to 10000) after the number in after. No row = none. Quantities in base units. Reads only. Errors: SD001 unknown item or site, SD002, SD005.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('commit_reservation', '{order_entry,integrator,admin}'),
	('commit_reservations', '{order_entry,integrator,admin}'),
	('release_reservation', '{order_entry,integrator,operator,admin}'),
	('release_reservations', '{order_entry,integrator,operator,admin}'),
	('extend_reservation', '{order_entry,integrator,admin}'),
	('reservation_status', '{reader,order_entry,integrator,operator,admin}');
