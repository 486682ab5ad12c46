-- What happens to goods that come back: they are received, into a state that nobody is promised from, and found good, bad, or not ours to keep.

-- order_return_lots does the choice of the lots that a part of what has come and is not inspected is of.
CREATE FUNCTION distsync_internal.order_return_lots(customer_id bigint, return_id bigint, line_no integer, quantity numeric, lot text) RETURNS TABLE (of_lot text, of_quantity numeric)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH waits AS (
		SELECT s.lot, sum(CASE s.kind WHEN 'receive' THEN s.quantity ELSE -s.quantity END) AS quantity FROM dist.return_step s
		WHERE s.customer_id = order_return_lots.customer_id AND s.return_id = order_return_lots.return_id AND s.line_no = order_return_lots.line_no AND (COALESCE(order_return_lots.lot, '') = '' OR s.lot = order_return_lots.lot)
		GROUP BY s.lot
	), upto AS (
		SELECT w.lot, w.quantity, COALESCE(sum(w.quantity) OVER (ORDER BY w.lot COLLATE "C" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before FROM waits w WHERE w.quantity > 0
	)
	SELECT u.lot, least(u.quantity, order_return_lots.quantity - u.before) FROM upto u WHERE u.before < order_return_lots.quantity ORDER BY u.lot COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_lots(bigint, bigint, integer, numeric, text) IS
	'Lots of which a quantity of a line is, among those that have come and are not inspected, by name; lot: that one only, '''' or NULL = any. Adds up to less than the quantity where less waits.';

-- order_return_take does the recording of steps, and the movements of stock that they are.
CREATE FUNCTION distsync_internal.order_return_take(customer_id bigint, return_id bigint, steps jsonb, ctx jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	r record;
	moves jsonb;
	happened timestamptz := COALESCE((ctx ->> 'happened_at')::timestamptz, clock_timestamp());
BEGIN
	SELECT x.* INTO r FROM dist.customer_return x WHERE x.customer_id = order_return_take.customer_id AND x.return_id = order_return_take.return_id;
	INSERT INTO dist.return_step (customer_id, return_id, line_no, kind, quantity, lot, state, happened_at, source, by_whom, note)
	SELECT r.customer_id, r.return_id, s.line, s.kind, s.quantity, COALESCE(s.lot, ''), s.state, happened, ctx ->> 'source', session_user, s.note
	FROM jsonb_to_recordset(steps) s(line integer, kind text, quantity numeric, lot text, state text, note text) WHERE s.quantity > 0;
	UPDATE dist.return_line l SET received = l.received + n.received, restocked = l.restocked + n.restocked, scrapped = l.scrapped + n.scrapped, refused = l.refused + n.refused, claimed = greatest(l.claimed, l.received + n.received - l.refused - n.refused)
	FROM (SELECT s.line, COALESCE(sum(s.quantity) FILTER (WHERE s.kind = 'receive'), 0) AS received, COALESCE(sum(s.quantity) FILTER (WHERE s.kind = 'restock'), 0) AS restocked,
			COALESCE(sum(s.quantity) FILTER (WHERE s.kind = 'scrap'), 0) AS scrapped, COALESCE(sum(s.quantity) FILTER (WHERE s.kind = 'refuse'), 0) AS refused
		FROM jsonb_to_recordset(steps) s(line integer, kind text, quantity numeric) GROUP BY s.line) n
	WHERE l.customer_id = r.customer_id AND l.return_id = r.return_id AND l.line_no = n.line;
	IF NOT r.moves_stock OR r.backfill THEN
		RETURN;
	END IF;
	SELECT jsonb_agg(jsonb_build_object('item_id', p.item_id, 'lot', CASE WHEN p.item_id = l.item_id THEN COALESCE(s.lot, '') ELSE '' END, 'quantity', s.quantity * p.per,
		'from_state', CASE WHEN s.kind <> 'receive' THEN 'returns' END, 'to_state', CASE WHEN s.kind = 'receive' THEN 'returns' ELSE s.state END) ORDER BY s.place, p.item_id) INTO moves
	FROM ROWS FROM (jsonb_to_recordset(steps) AS (line integer, kind text, quantity numeric, lot text, state text)) WITH ORDINALITY s(line, kind, quantity, lot, state, place)
	JOIN dist.return_line l ON l.customer_id = r.customer_id AND l.return_id = r.return_id AND l.line_no = s.line
	CROSS JOIN LATERAL distsync_internal.inventory_taken_from(l.item_id, l.components) p WHERE s.quantity > 0;
	IF moves IS NOT NULL THEN
		PERFORM distsync_internal.inventory_take_back(moves, r.site_id, happened, ctx ->> 'source', r.return_number, r.correlation_id);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_take(bigint, bigint, jsonb, jsonb) IS
	'Records steps [{line, kind: receive | restock | scrap | refuse, quantity in base units, lot, state (stock state it goes to, null = out of our books), note}] of a return, adds them to its lines and moves its stock under its number as reference; ctx: source, happened_at. The caller holds the locks of order and return, and calls order_return_advance().';

-- order_return_asked does the reading of the lines of a command about a return.
CREATE FUNCTION distsync_internal.order_return_asked(lines jsonb, customer_id bigint, return_id bigint, inspects boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	l record;
	r record;
	q numeric;
	unknown text;
	asked jsonb := '[]';
BEGIN
	IF jsonb_typeof(lines) IS DISTINCT FROM 'array' OR jsonb_array_length(lines) NOT BETWEEN 1 AND 10000 THEN
		PERFORM distsync_internal.order_refuse('SD005', 'lines', 'the lines must be an array of 1 to 10,000', CASE WHEN inspects THEN 'Send [{"line": 1, "outcome": "restock", "quantity": 1}].' ELSE 'Send [{"line": 1, "quantity": 1}].' END);
	END IF;
	FOR l IN SELECT x.value AS doc, format('lines[%s].', x.place - 1) AS at FROM jsonb_array_elements(lines) WITH ORDINALITY x(value, place) ORDER BY x.place LOOP
		IF jsonb_typeof(l.doc) <> 'object' THEN
			PERFORM distsync_internal.order_refuse('SD005', rtrim(l.at, '.'), 'a line must be an object', 'Send {"line": 1, "quantity": 1}.');
		END IF;
		SELECT min(k COLLATE "C") INTO unknown FROM jsonb_object_keys(l.doc) k WHERE k <> ALL (CASE WHEN inspects THEN '{line,outcome,quantity,unit,lot,state,destroyed,note}'::text[] ELSE '{line,quantity,unit,lot,note}' END);
		IF unknown IS NOT NULL THEN
			PERFORM distsync_internal.order_refuse('SD005', l.at || unknown, format('unknown field %s', left(unknown, 80)), 'Leave it out.');
		END IF;
		SELECT x.* INTO r FROM dist.return_line x WHERE x.customer_id = order_return_asked.customer_id AND x.return_id = order_return_asked.return_id AND x.line_no = distsync_internal.order_number_in(l.doc, 'line', l.at || 'line', 0, 'positive');
		IF NOT FOUND THEN
			PERFORM distsync_internal.order_refuse('SD001', l.at || 'line', format('unknown line %s of the return', COALESCE(l.doc ->> 'line', 'NULL')), 'Name a line of the return; return_status() lists them.');
		END IF;
		q := distsync_internal.order_number_in(l.doc, 'quantity', l.at || 'quantity', 6, 'positive');
		IF q IS NULL THEN
			PERFORM distsync_internal.order_refuse('SD005', l.at || 'quantity', 'a line needs a quantity', 'Say how much.');
		END IF;
		q := distsync_internal.master_to_base(r.item_id, q, l.doc ->> 'unit', l.at || 'quantity');
		IF r.components IS NOT NULL AND q <> trunc(q) THEN
			PERFORM distsync_internal.order_refuse('SD002', l.at || 'quantity', format('%s is no whole number of kits', l.doc ->> 'quantity'), 'A kit comes back as a whole; components that come alone are a return of their own.');
		END IF;
		asked := asked || jsonb_build_object('at', l.at, 'line', r.line_no, 'quantity', q, 'lot', COALESCE(l.doc ->> 'lot', ''), 'note', l.doc -> 'note', 'outcome', l.doc -> 'outcome', 'state', l.doc -> 'state', 'destroyed', l.doc -> 'destroyed');
	END LOOP;
	RETURN asked;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_asked(jsonb, bigint, bigint, boolean) IS
	'Lines of receive_return() or inspect_return() resolved: [{at (field prefix), line, quantity in base units, lot, note, outcome, state, destroyed}]. Errors: SD001, SD002, SD004, SD005 naming the field.';

-- order_return_answer does the answer of a command about a return, kept under its key.
CREATE FUNCTION distsync_internal.order_return_answer(customer_id bigint, return_id bigint, verb text, company text, before text, extra jsonb, reason text, source text, key text, request jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	answer jsonb;
	r record;
BEGIN
	SELECT x.* INTO r FROM dist.customer_return x WHERE x.customer_id = order_return_answer.customer_id AND x.return_id = order_return_answer.return_id;
	answer := (distsync_internal.order_return_document(r.customer_id, r.return_id) - '{schema,source,version,reason,authorised_by,authorised_at}'::text[]) || extra || jsonb_build_object('correlation_id', r.correlation_id);
	PERFORM distsync_internal.base_audit(verb, 'return', company || '/' || r.return_number, jsonb_build_object('state', before), jsonb_build_object('state', r.state) || extra, reason, r.correlation_id);
	PERFORM distsync_internal.base_answer(source, verb, key, request, answer);
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_answer(bigint, bigint, text, text, text, jsonb, text, text, text, jsonb) IS 'Answer of a verb about a return: the return as it is now with extra fields, noted in the audit and under the idempotency key.';

-- receive_return does the noting that goods have come back, as far as they were allowed to.
CREATE FUNCTION distsync.receive_return(return_number text, lines jsonb DEFAULT NULL, idempotency_key text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('return_number', return_number, 'lines', lines, 'options', options);
	source text := distsync_internal.order_source(options, true);
	answer jsonb := distsync_internal.base_answered(source, 'receive_return', idempotency_key, request);
	f record;
	r record;
	x record;
	asked jsonb;
BEGIN
	IF answer IS NOT NULL THEN
		RETURN answer;
	END IF;
	SELECT * INTO f FROM distsync_internal.order_return_find(receive_return.return_number, options, '{source:text,happened_at:instant}');
	PERFORM distsync_internal.order_return_lock(ARRAY[f.order_id], ARRAY[f.return_id]);
	SELECT y.* INTO r FROM dist.customer_return y WHERE y.customer_id = f.customer_id AND y.return_id = f.return_id;
	IF NOT r.awaits OR r.expires_at <= clock_timestamp() AND r.closed_at IS NULL THEN
		PERFORM distsync_internal.order_return_refuse_state(r.return_number, CASE WHEN r.awaits THEN 'expired' ELSE r.state END, 'nothing of it may come any more', 'Authorise another return; what has come all the same is a fact: send it through apply().');
	END IF;
	asked := CASE WHEN receive_return.lines IS NOT NULL THEN distsync_internal.order_return_asked(receive_return.lines, f.customer_id, f.return_id, false)
		ELSE (SELECT jsonb_agg(jsonb_build_object('at', 'lines', 'line', l.line_no, 'quantity', l.authorised - l.received, 'lot', '') ORDER BY l.line_no) FROM dist.return_line l
			WHERE l.customer_id = f.customer_id AND l.return_id = f.return_id AND l.authorised > l.received) END;
	SELECT l.line_no, l.authorised - l.received AS left_open, sum(a.quantity) AS quantity, min(a.at) AS at INTO x
	FROM jsonb_to_recordset(asked) a(line integer, quantity numeric, at text) JOIN dist.return_line l ON l.customer_id = f.customer_id AND l.return_id = f.return_id AND l.line_no = a.line
	GROUP BY l.line_no, l.authorised, l.received HAVING sum(a.quantity) > l.authorised - l.received ORDER BY l.line_no LIMIT 1;
	IF FOUND OR asked IS NULL THEN
		PERFORM distsync_internal.order_refuse('SD002', COALESCE(x.at || 'quantity', 'lines'), format('%s is more than the %s that may still come', COALESCE(trim_scale(x.quantity)::text, 'this'), trim_scale(COALESCE(greatest(x.left_open, 0), 0))),
			'Receive at most what was authorised and has not come; what has come all the same is a fact: send it through apply().', format('Line %s.', COALESCE(x.line_no::text, 'none')));
	END IF;
	SELECT a.at INTO x FROM jsonb_to_recordset(asked) a(line integer, lot text, at text) JOIN dist.return_line l ON l.customer_id = f.customer_id AND l.return_id = f.return_id AND l.line_no = a.line AND l.components IS NULL
	JOIN dist.item i ON i.item_id = l.item_id AND i.lot_controlled WHERE a.lot = '' LIMIT 1;
	IF FOUND THEN
		PERFORM distsync_internal.order_refuse('SD005', rtrim(x.at, '.') || '.lot', 'the item is kept by lot and the line names none', 'Name the lot that came back.');
	END IF;
	PERFORM distsync_internal.order_return_take(f.customer_id, f.return_id, (SELECT jsonb_agg(a || '{"kind":"receive","state":"returns"}') FROM jsonb_array_elements(asked) a), jsonb_build_object('source', source, 'happened_at', options -> 'happened_at'));
	PERFORM distsync_internal.order_return_advance(f.customer_id, f.return_id);
	PERFORM distsync_internal.order_return_tell(f.customer_id, f.return_id, 'return.received', jsonb_build_object('receipt', (SELECT jsonb_agg(jsonb_build_object('line', a -> 'line', 'quantity', a -> 'quantity', 'lot', a -> 'lot') ORDER BY n)
		FROM jsonb_array_elements(asked) WITH ORDINALITY u(a, n))), r.state, jsonb_build_object('source', source));
	RETURN distsync_internal.order_return_answer(f.customer_id, f.return_id, 'receive_return', f.company, r.state, '{}', NULL, source, idempotency_key, request);
END
$$;
COMMENT ON FUNCTION distsync.receive_return(text, jsonb, text, jsonb) IS
	'Receives goods of a return: lines [{line, quantity, unit, lot, note}], NULL = all that may still come. They are stock in the state returns, which nobody is promised from, until they are inspected. Emits return.received. Options: company, source, happened_at. Returns the return. Errors: SD001, SD002 more than may still come, SD004, SD005, SD010, SD022, SD075 cancelled or expired.';

-- order_return_found does the checking of what an inspection says, and the steps that it means.
CREATE FUNCTION distsync_internal.order_return_found(asked jsonb, customer_id bigint, return_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a jsonb;
	l record;
	to_state text;
	steps jsonb := '[]';
	waits numeric;
	taken jsonb := '{}';
	k text;
BEGIN
	FOR a IN SELECT x.value FROM jsonb_array_elements(asked) WITH ORDINALITY x(value, place) ORDER BY x.place LOOP
		IF COALESCE(a ->> 'outcome', '') NOT IN ('restock', 'scrap', 'refuse') THEN
			PERFORM distsync_internal.order_refuse('SD005', (a ->> 'at') || 'outcome', format('unknown outcome "%s"', left(COALESCE(a ->> 'outcome', 'NULL'), 40)), 'Say restock, scrap or refuse.');
		ELSIF a ->> 'destroyed' IS NOT NULL AND (jsonb_typeof(a -> 'destroyed') <> 'boolean' OR a ->> 'outcome' <> 'scrap') THEN
			PERFORM distsync_internal.order_refuse('SD002', (a ->> 'at') || 'destroyed', 'only what is scrapped is destroyed', 'Send true with the outcome scrap, or leave it out.');
		END IF;
		to_state := CASE WHEN a ->> 'outcome' = 'refuse' OR (a ->> 'destroyed')::boolean THEN NULL ELSE COALESCE(a ->> 'state', CASE a ->> 'outcome' WHEN 'restock' THEN 'available' ELSE 'damaged' END) END;
		IF a ->> 'state' IS NOT NULL AND (to_state IS NULL OR NOT EXISTS (SELECT FROM dist.stock_state s WHERE s.state = to_state AND s.physical AND s.owned AND s.state NOT IN ('returns', 'allocated') AND (a ->> 'outcome' = 'restock' OR NOT s.promisable))) THEN
			PERFORM distsync_internal.order_refuse('SD002', (a ->> 'at') || 'state', format('goods with outcome %s can not become "%s"', a ->> 'outcome', left(a ->> 'state', 40)),
				'Name a state of dist.stock_state that is in the building and ours, of scrap one that is not promised from, or leave it out.');
		END IF;
		k := (a ->> 'line') || '/' || (a ->> 'lot');
		waits := COALESCE((SELECT sum(w.of_quantity) FROM distsync_internal.order_return_lots(order_return_found.customer_id, order_return_found.return_id, (a ->> 'line')::integer, 1e13, a ->> 'lot') w), 0)
			- COALESCE((SELECT sum((t.value)::numeric) FROM jsonb_each_text(taken) t WHERE CASE WHEN a ->> 'lot' = '' THEN split_part(t.key, '/', 1) = a ->> 'line' ELSE t.key = k OR t.key = (a ->> 'line') || '/' END), 0);
		IF (a ->> 'quantity')::numeric > waits THEN
			PERFORM distsync_internal.order_refuse('SD002', (a ->> 'at') || 'quantity', format('%s is more than the %s that wait to be inspected', trim_scale((a ->> 'quantity')::numeric), trim_scale(greatest(waits, 0))),
				'Inspect at most what has come and is not inspected, in base units; name lots in all lines of an item or in none.', format('Line %s, lot "%s".', a ->> 'line', a ->> 'lot'));
		END IF;
		taken := taken || jsonb_build_object(k, COALESCE((taken ->> k)::numeric, 0) + (a ->> 'quantity')::numeric);
		steps := steps || jsonb_build_object('line', a -> 'line', 'kind', a -> 'outcome', 'quantity', a -> 'quantity', 'lot', a -> 'lot', 'state', to_state, 'note', a -> 'note');
	END LOOP;
	RETURN steps;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_found(jsonb, bigint, bigint) IS
	'Steps of an inspection, as order_return_take() takes them, of lines that order_return_asked() read; lots that are not named are not chosen yet. Errors: SD002 more than waits, or a state that the goods cannot become, SD005 outcome.';

-- order_return_by_lot does the choice of lots for steps that name none, one after the other.
CREATE FUNCTION distsync_internal.order_return_by_lot(customer_id bigint, return_id bigint, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s jsonb;
	w record;
	chosen jsonb := '[]';
	rest numeric;
	part numeric;
BEGIN
	FOR s IN SELECT x.value FROM jsonb_array_elements(steps) WITH ORDINALITY x(value, place) ORDER BY x.value ->> 'lot' = '', x.place LOOP
		rest := (s ->> 'quantity')::numeric;
		FOR w IN SELECT l.of_lot, l.of_quantity - COALESCE((SELECT sum((c ->> 'quantity')::numeric) FROM jsonb_array_elements(chosen) c WHERE c -> 'line' = s -> 'line' AND c ->> 'lot' = l.of_lot), 0) AS free
			FROM distsync_internal.order_return_lots(order_return_by_lot.customer_id, order_return_by_lot.return_id, (s ->> 'line')::integer, 1e13, s ->> 'lot') l ORDER BY l.of_lot COLLATE "C"
		LOOP
			part := least(rest, greatest(w.free, 0));
			IF part > 0 THEN
				chosen := chosen || (s || jsonb_build_object('lot', w.of_lot, 'quantity', part));
				rest := rest - part;
			END IF;
		END LOOP;
		IF rest > 0 THEN
			chosen := chosen || (s || jsonb_build_object('quantity', rest));
		END IF;
	END LOOP;
	RETURN chosen;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_by_lot(bigint, bigint, jsonb) IS 'Steps of an inspection with the lots that they are of: those named first, then of the rest by name. What no lot covers stays as it is told.';

-- inspect_return does the noting of what goods that came back are worth: good, bad, or not ours to keep.
CREATE FUNCTION distsync.inspect_return(return_number text, lines jsonb, idempotency_key text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('return_number', return_number, 'lines', lines, 'options', options);
	source text := distsync_internal.order_source(options, true);
	answer jsonb := distsync_internal.base_answered(source, 'inspect_return', idempotency_key, request);
	f record;
	r record;
	steps jsonb;
BEGIN
	IF answer IS NOT NULL THEN
		RETURN answer;
	END IF;
	SELECT * INTO f FROM distsync_internal.order_return_find(inspect_return.return_number, options, '{source:text,happened_at:instant}');
	PERFORM distsync_internal.order_return_lock(ARRAY[f.order_id], ARRAY[f.return_id]);
	SELECT y.* INTO r FROM dist.customer_return y WHERE y.customer_id = f.customer_id AND y.return_id = f.return_id;
	steps := distsync_internal.order_return_by_lot(f.customer_id, f.return_id, distsync_internal.order_return_found(distsync_internal.order_return_asked(inspect_return.lines, f.customer_id, f.return_id, true), f.customer_id, f.return_id));
	PERFORM distsync_internal.order_return_take(f.customer_id, f.return_id, steps, jsonb_build_object('source', source, 'happened_at', options -> 'happened_at'));
	PERFORM distsync_internal.order_return_advance(f.customer_id, f.return_id);
	PERFORM distsync_internal.order_return_tell(f.customer_id, f.return_id, 'return.inspected', jsonb_build_object('inspection', steps), r.state, jsonb_build_object('source', source));
	RETURN distsync_internal.order_return_answer(f.customer_id, f.return_id, 'inspect_return', f.company, r.state, '{}', NULL, source, idempotency_key, request);
END
$$;
COMMENT ON FUNCTION distsync.inspect_return(text, jsonb, text, jsonb) IS
	'Inspects goods that came back, in parts: lines [{line, outcome restock | scrap | refuse, quantity, unit, lot, state, destroyed, note}]. restock: they become available (or state); scrap: damaged (or state, or destroyed: they leave the books), both are ours and may be credited; refuse: they go back to the customer and are not. Emits return.inspected. Options: company, source, happened_at. Returns the return. Errors: SD001, SD002 more than waits, SD004, SD005, SD010, SD022.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('receive_return', '{order_entry,integrator,operator,admin}'), ('inspect_return', '{order_entry,integrator,operator,admin}');
