-- Changing an order: what is less is given back, what is more is taken, under the locks of all that it touches, or nothing happens.

-- order_change_price does the prices of lines that are new or have another quantity. A line that is less and has no price now keeps the one it has.
CREATE FUNCTION distsync_internal.order_change_price(o jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key text := (o ->> 'company') || '/' || (o ->> 'order_number');
	n jsonb := o;
BEGIN
	IF EXISTS (SELECT FROM jsonb_array_elements(o -> 'lines') l WHERE (l ->> 'reprice')::boolean) THEN
		n := distsync_internal.order_price_again(o);
	END IF;
	IF n ? 'volumes' THEN
		n := distsync_internal.order_take_volume(o, n);
	ELSE
		PERFORM distsync_internal.order_lock_volume(key);
	END IF;
	n := n || jsonb_build_object('lines', (SELECT jsonb_agg(CASE WHEN l.value ? 'unpriced' AND l.value ->> 'reason' <> 'price_changed' AND NOT COALESCE((l.value ->> 'added')::boolean, false)
			AND (l.value ->> 'base_quantity')::numeric <= (l.value -> 'was' ->> 'base_quantity')::numeric
			THEN (l.value || (SELECT jsonb_object_agg(k, l.value -> 'was' -> k) FROM unnest('{unit_price,price_per,agreement,price_proof}'::text[]) k) || '{"fresh":false,"disposition":"accept"}') - '{unpriced,reason}'::text[] ELSE l.value END ORDER BY l.place)
		FROM jsonb_array_elements(n -> 'lines') WITH ORDINALITY l(value, place)));
	RETURN n || jsonb_strip_nulls(jsonb_build_object('refused', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('rule', l -> 'unpriced', 'line', l -> 'line', 'item', l -> 'item', 'code', l -> 'price_code')) ORDER BY (l ->> 'ordinal')::integer)
		FROM jsonb_array_elements(n -> 'lines') l WHERE l ? 'unpriced')));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_change_price(jsonb) IS 'Prices the lines of a read change that say reprice, under the locks of the agreed volumes that the order used or uses; refused: [{rule, line, item}] of those that have no price, or by policy must not have another than expected.';

-- order_change_stock does the stock of a read change: what is less is given back, what is wanted at another date too, and what lines lack is promised.
CREATE FUNCTION distsync_internal.order_change_stock(o jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n jsonb;
	l jsonb;
	key text;
	base numeric;
BEGIN
	PERFORM distsync_internal.order_lock_again(o);
	n := distsync_internal.order_had(o);
	FOR l IN SELECT x FROM jsonb_array_elements(n -> 'lines') x WHERE NOT COALESCE((x ->> 'added')::boolean, false) ORDER BY (x ->> 'item_id')::bigint, (x ->> 'line')::integer LOOP
		key := (o ->> 'company') || '/' || (o ->> 'order_number') || '/' || (l ->> 'line');
		base := (l ->> 'base_quantity')::numeric - (l ->> 'cancelled')::numeric;
		IF (l ->> 'cut')::boolean THEN
			PERFORM distsync_internal.inventory_abandon(key, ARRAY(SELECT DISTINCT d.item_id FROM dist.demand d WHERE d.demand_key = key));
		ELSIF (l ->> 'moved')::boolean AND (l ->> 'want')::boolean THEN
			PERFORM distsync_internal.inventory_release(key);
		ELSIF (l ->> 'had')::numeric > base THEN
			PERFORM distsync_internal.inventory_release(key, (l ->> 'had')::numeric - base);
		END IF;
		-- what somebody said is wanted of it: it is this much now
		IF (l ->> 'changed')::boolean AND NOT COALESCE((l ->> 'cut')::boolean, false) AND EXISTS (SELECT FROM dist.demand d WHERE d.demand_key = key AND d.ordered > 0) THEN
			PERFORM distsync_internal.inventory_demand((l ->> 'item_id')::bigint, (SELECT COALESCE((l ->> 'site_id')::bigint, min(d.site_id)) FROM dist.demand d WHERE d.demand_key = key), key, (o ->> 'customer_id')::bigint, base,
				(l ->> 'requested_at')::timestamptz, 'distsync', NULLIF(l -> 'components', 'null'));
		END IF;
	END LOOP;
	n := distsync_internal.order_promise_again(distsync_internal.order_had(n));
	RETURN n || jsonb_strip_nulls(jsonb_build_object('refused', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('rule', COALESCE(x ->> 'reason', 'short'), 'line', x -> 'line', 'item', x -> 'item', 'available', x -> 'available')) ORDER BY (x ->> 'ordinal')::integer)
		FROM jsonb_array_elements(n -> 'lines') x WHERE (x ->> 'promised')::boolean AND (x ->> 'disposition' = 'reject' OR (o -> 'policy' ->> 'all_or_none')::boolean AND x ? 'backordered'
			OR (x ->> 'base_quantity')::numeric < least((x -> 'was' ->> 'base_quantity')::numeric, (SELECT (y ->> 'base_quantity')::numeric FROM jsonb_array_elements(o -> 'lines') y WHERE y -> 'line' = x -> 'line'))))));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_change_stock(jsonb) IS
	'Gives back and promises stock for a read change whose lines say what they shall be; takes the locks of stock. refused: [{rule, line, item, available}] of lines that by policy must not be short, or would become less than they were.';

-- order_change_write does the writing of the lines of a decided change.
CREATE FUNCTION distsync_internal.order_change_write(o jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key text := (o ->> 'company') || '/' || (o ->> 'order_number');
	fresh jsonb := (SELECT COALESCE(jsonb_agg(l), '[]') FROM jsonb_array_elements(o -> 'lines') l WHERE (l ->> 'added')::boolean);
BEGIN
	UPDATE dist.order_line t SET quantity = (l ->> 'quantity')::numeric, requested_quantity = (l ->> 'requested_quantity')::numeric, base_quantity = (l ->> 'base_quantity')::numeric, cancelled_quantity = (l ->> 'cancelled')::numeric,
		unit_price = (l ->> 'unit_price')::numeric, price_per = (l ->> 'price_per')::integer, expected_price = (l ->> 'expected_price')::numeric, net_amount = (l ->> 'net_amount')::numeric, tax_amount = (l ->> 'tax_amount')::numeric,
		tax_by = CASE WHEN l ? 'tax_new' THEN 'distsync' ELSE t.tax_by END, agreement_code = l ->> 'agreement', price_proof = decode(l ->> 'price_proof', 'hex'), disposition = l ->> 'disposition', requested_at = (l ->> 'requested_at')::timestamptz
	FROM jsonb_array_elements(o -> 'lines') l WHERE NOT COALESCE((l ->> 'added')::boolean, false) AND ((l ->> 'changed')::boolean OR (l ->> 'reprice')::boolean)
		AND t.customer_id = (o ->> 'customer_id')::bigint AND t.order_id = (o ->> 'order_id')::bigint AND t.line_no = (l ->> 'line')::integer;
	IF fresh <> '[]' THEN
		PERFORM distsync_internal.order_write_lines(o || jsonb_build_object('lines', fresh));
	END IF;
	PERFORM distsync_internal.order_keep_promise(o);
	IF o ? 'price_proof' THEN
		PERFORM distsync_internal.pricing_keep_proof((o ->> 'customer_id')::bigint, o ->> 'price_proof', o -> 'price_document');
	END IF;
	UPDATE dist.sales_order s SET requested_at = (o ->> 'requested_at')::timestamptz, ship_to_id = (o ->> 'ship_to_id')::bigint, picked_at = NULL WHERE s.customer_id = (o ->> 'customer_id')::bigint AND s.order_id = (o ->> 'order_id')::bigint;
	PERFORM distsync_internal.order_recount((o ->> 'customer_id')::bigint, (o ->> 'order_id')::bigint, (o ->> 'account_amount')::numeric);
	PERFORM distsync_internal.order_drop_volume(key, ARRAY(SELECT (l ->> 'line')::integer FROM jsonb_array_elements(o -> 'lines') l WHERE (l ->> 'fresh')::boolean), o -> 'volumes');
	PERFORM distsync_internal.order_count_volume((o ->> 'customer_id')::bigint, (o ->> 'order_id')::bigint, key, o -> 'volumes');
	PERFORM distsync_internal.order_exceptions(o || jsonb_build_object('lines', (SELECT COALESCE(jsonb_agg(l), '[]') FROM jsonb_array_elements(o -> 'lines') l WHERE (l ->> 'fresh')::boolean)));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_change_write(jsonb) IS 'Writes the lines, amounts, promises, proof and agreed volumes of a decided change; it has to be picked anew. Exposure was moved before by order_take_again().';

-- order_change_done does the end of an order of which all that is left has shipped: what was open of it has been cut.
CREATE FUNCTION distsync_internal.order_change_done(customer_id bigint, order_id bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF EXISTS (SELECT FROM dist.order_line l WHERE l.customer_id = order_change_done.customer_id AND l.order_id = order_change_done.order_id AND l.shipped_quantity < l.base_quantity - l.cancelled_quantity) THEN
		RETURN false;
	END IF;
	PERFORM distsync_internal.order_end_holds(order_change_done.customer_id, order_change_done.order_id, 'shipped');
	UPDATE dist.sales_order s SET state = CASE WHEN EXISTS (SELECT FROM dist.order_line l WHERE l.customer_id = s.customer_id AND l.order_id = s.order_id AND l.invoiced_quantity < greatest(l.base_quantity - l.cancelled_quantity, l.shipped_quantity)) THEN 'shipped' ELSE 'closed' END,
		credit_state = CASE WHEN s.credit_state = 'held' THEN 'none' ELSE s.credit_state END, answer_due_at = NULL, redecide_at = NULL, keep_until = NULL
	WHERE s.customer_id = order_change_done.customer_id AND s.order_id = order_change_done.order_id;
	RETURN true;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_change_done(bigint, bigint) IS 'Moves an order of which nothing is left to ship to shipped, or closed where all of it is billed, and ends its holds. Tells whether it did. The caller holds its locks.';

-- order_changes does the list of what a change has changed.
CREATE FUNCTION distsync_internal.order_changes(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT COALESCE(jsonb_agg(jsonb_build_object('line', l -> 'line', 'item', l -> 'item', 'field', f.name, 'before', l -> 'was' -> f.field, 'after', l -> f.field) ORDER BY (l ->> 'ordinal')::integer, f.place), '[]')
		FROM jsonb_array_elements(o -> 'lines') l, (VALUES (1, 'quantity', 'quantity'), (2, 'requested_at', 'requested_at'), (3, 'net_amount', 'net_amount'), (4, 'tax_amount', 'tax_amount')) f(place, name, field)
		WHERE CASE f.name WHEN 'requested_at' THEN (l ->> 'requested_at')::timestamptz IS DISTINCT FROM (l -> 'was' ->> 'requested_at')::timestamptz ELSE (l ->> f.field)::numeric IS DISTINCT FROM (l -> 'was' ->> f.field)::numeric END);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_changes(jsonb) IS 'What lines of a decided change have otherwise than they were: [{line, item, field: quantity | requested_at | net_amount | tax_amount, before, after}].';

-- order_change_hold does the holding of an order that its change makes too much for credit, or whose new price people must look at.
CREATE FUNCTION distsync_internal.order_change_hold(o jsonb, decision jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	customer bigint := (o ->> 'customer_id')::bigint;
	id bigint := (o ->> 'order_id')::bigint;
	counted numeric := distsync_internal.order_counts(o);
	others jsonb := distsync_internal.order_other_holds(o || jsonb_build_object('lines', (SELECT COALESCE(jsonb_agg(l), '[]') FROM jsonb_array_elements(o -> 'lines') l WHERE (l ->> 'fresh')::boolean)));
	h jsonb;
	was_held boolean := o ->> 'state' = 'held' AND o ->> 'credit_state' <> 'released';
BEGIN
	IF decision ->> 'outcome' IS DISTINCT FROM 'held' AND others = '[]' THEN
		-- what it has taken more is as soft as what it had
		IF o ->> 'state' = 'held' AND o ->> 'stock' = 'soft' THEN
			PERFORM distsync_internal.inventory_turn(distsync_internal.order_keys(customer, id), 'soft');
		END IF;
		RETURN '[]';
	END IF;
	IF NOT was_held AND o ->> 'account_id' IS NOT NULL THEN
		decision := COALESCE(CASE WHEN decision ->> 'outcome' = 'held' THEN decision END, distsync_internal.credit_decide((o ->> 'account_id')::bigint, 0, distsync_internal.order_credit_context(o) || jsonb_build_object('at', clock_timestamp())));
		PERFORM distsync_internal.order_hold_again(customer, id, counted, decision, 'change', source);
	ELSIF NOT was_held THEN
		UPDATE dist.sales_order s SET state = 'held', answer_due_at = NULL, redecide_at = NULL, credit_state = 'none', decision = s.decision || CASE WHEN s.state = 'held' THEN '{}' ELSE jsonb_build_object('resume', s.state) END WHERE s.customer_id = customer AND s.order_id = id;
	END IF;
	FOR h IN SELECT x FROM jsonb_array_elements(others) x LOOP
		PERFORM distsync_internal.credit_hold(NULL, h || jsonb_build_object('customer_id', customer, 'order_id', id, 'company_id', o -> 'company_id', 'order_number', o -> 'order_number', 'priority', o -> 'policy' -> 'priority', 'placed_by', session_user));
	END LOOP;
	IF o ->> 'account_id' IS NULL OR was_held THEN
		PERFORM distsync_internal.order_emit(customer, id, 'order.held', jsonb_build_object('reasons', (SELECT jsonb_agg(r) FROM jsonb_array_elements(others) x, jsonb_array_elements(x -> 'reasons') r), 'checkpoint', 'change'), jsonb_build_object('source', NULLIF(source, 'distsync')));
	END IF;
	PERFORM distsync_internal.order_keep_stock(customer, id);
	RETURN COALESCE(decision -> 'reasons', '[]') || (SELECT COALESCE(jsonb_agg(r), '[]') FROM jsonb_array_elements(others) x, jsonb_array_elements(x -> 'reasons') r);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_change_hold(jsonb, jsonb, text) IS 'Holds an order after its change where credit says so (decision), or a price that people must look at; what it keeps of its stock is its policy''s. Returns the reasons, [] = it is not held by this.';

-- order_change does a change that was read, all of it or nothing.
CREATE FUNCTION distsync_internal.order_change(o jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n jsonb := o;
	refused jsonb;
	decision jsonb;
	reasons jsonb;
	done boolean;
BEGIN
	BEGIN
		n := distsync_internal.order_change_price(n);
		refused := n -> 'refused';
		IF refused IS NULL THEN
			n := distsync_internal.order_change_stock(n);
			refused := n -> 'refused';
		END IF;
		IF refused IS NULL THEN
			n := distsync_internal.order_total_again(n);
			n := n || jsonb_build_object('ship_on', distsync_internal.order_ship_on(n));
			decision := distsync_internal.order_take_again(n, distsync_internal.order_counts(n), 'change_order');
			IF decision ->> 'outcome' = 'held' AND n -> 'policy' ->> 'on_hold' = 'refuse' THEN
				refused := decision -> 'reasons';
			END IF;
		END IF;
		IF refused IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'SD071', MESSAGE = 'change was refused', DETAIL = 'Everything it took is given back.', HINT = 'See the reasons of the answer.';
		END IF;
		PERFORM distsync_internal.order_change_write(n);
		done := distsync_internal.order_change_done((n ->> 'customer_id')::bigint, (n ->> 'order_id')::bigint);
		PERFORM distsync_internal.order_emit((n ->> 'customer_id')::bigint, (n ->> 'order_id')::bigint, 'order.changed', jsonb_build_object('changes', distsync_internal.order_changes(n)), jsonb_build_object('source', NULLIF(source, 'distsync')));
		reasons := CASE WHEN done THEN '[]' ELSE distsync_internal.order_change_hold(n, decision, source) END;
	EXCEPTION WHEN SQLSTATE 'SD071' THEN
		RETURN jsonb_build_object('outcome', 'refused', 'reasons', COALESCE(refused, '[]'), 'changes', '[]'::jsonb);
	END;
	RETURN jsonb_strip_nulls(jsonb_build_object('cure', decision -> 'cure')) || jsonb_build_object('outcome', CASE WHEN reasons = '[]' THEN 'changed' ELSE 'held' END, 'reasons', reasons, 'changes', distsync_internal.order_changes(n));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_change(jsonb, text) IS
	'Decides and writes a read change: {outcome: changed | held | refused (nothing was written), reasons, changes, cure}. Emits order.changed, and order.held. The caller holds the locks of order_lock() and goes on with order_settle().';

-- change_order does the change of what has not left.
CREATE FUNCTION distsync.change_order(order_number text, document jsonb, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('order_number', order_number, 'document', document, 'options', CASE WHEN jsonb_typeof(options) = 'object' THEN options - 'idempotency_key' ELSE options END);
	source text;
	key_source text;
	answer jsonb;
	f record;
	s record;
	o jsonb;
	told jsonb;
BEGIN
	PERFORM distsync_internal.order_scope_change(order_number, document, options);
	source := distsync_internal.order_source(options);
	key_source := distsync_internal.order_key_source(source, order_number);
	answer := distsync_internal.base_answered(key_source, 'change_order', options ->> 'idempotency_key', request);
	IF answer IS NOT NULL THEN
		RETURN distsync_internal.order_scope_told(answer);
	END IF;
	PERFORM distsync_internal.order_change_check(document);
	SELECT * INTO f FROM distsync_internal.order_find(change_order.order_number, options, '{idempotency_key:text,source:text}');
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	PERFORM distsync_internal.order_redecide_first(f.customer_id, f.order_id);
	SELECT x.* INTO s FROM dist.sales_order x WHERE x.customer_id = f.customer_id AND x.order_id = f.order_id;
	IF s.state NOT IN ('accepted', 'sent', 'booked', 'held') THEN
		PERFORM distsync_internal.order_refuse_state(s.order_number, s.state, 'changed', 'What has left stays; take another order, or a return.');
	ELSIF EXISTS (SELECT FROM dist.order_offer x WHERE x.customer_id = f.customer_id AND x.order_id = f.order_id AND x.state = 'open') THEN
		PERFORM distsync_internal.order_refuse_state(s.order_number, 'offered', 'changed', 'Answer its offer first: answer_offer().');
	END IF;
	o := distsync_internal.order_change_read(distsync_internal.order_again(f.customer_id, f.order_id), document, source);
	IF NOT EXISTS (SELECT FROM jsonb_array_elements(o -> 'lines') l WHERE (l ->> 'base_quantity')::numeric > 0) THEN
		PERFORM distsync_internal.order_refuse('SD005', 'lines', 'nothing would be left of the order', 'Cancel it: cancel_order().');
	ELSIF (o ->> 'elsewhere')::boolean OR (o ->> 'redated')::boolean OR EXISTS (SELECT FROM jsonb_array_elements(o -> 'lines') l WHERE (l ->> 'changed')::boolean) THEN
		told := distsync_internal.order_change(o, source);
	ELSE
		told := '{"outcome":"unchanged","reasons":[],"changes":[]}';
	END IF;
	IF told ->> 'outcome' IN ('changed', 'held') THEN
		PERFORM distsync_internal.base_audit('change_order', 'order', f.company || '/' || s.order_number, jsonb_build_object('state', s.state, 'gross_amount', s.gross_amount, 'exposure_amount', s.exposure_amount),
			(SELECT jsonb_build_object('state', x.state, 'gross_amount', x.gross_amount, 'changes', told -> 'changes') FROM dist.sales_order x WHERE x.customer_id = f.customer_id AND x.order_id = f.order_id), NULL, s.correlation_id);
		PERFORM distsync_internal.order_settle(f.account_id, 'change_order', jsonb_build_object('correlation_id', s.correlation_id));
	END IF;
	answer := (SELECT jsonb_build_object('order_number', x.order_number, 'state', x.state, 'credit_state', x.credit_state, 'currency', x.currency, 'net_amount', x.net_amount, 'tax_amount', x.tax_amount, 'gross_amount', x.gross_amount, 'correlation_id', x.correlation_id,
			'lines', distsync_internal.order_document(f.customer_id, f.order_id) -> 'lines') FROM dist.sales_order x WHERE x.customer_id = f.customer_id AND x.order_id = f.order_id) || told;
	IF told ->> 'outcome' <> 'refused' THEN
		PERFORM distsync_internal.base_answer(key_source, 'change_order', options ->> 'idempotency_key', request, answer);
	END IF;
	RETURN distsync_internal.order_scope_told(answer);
END
$$;
COMMENT ON FUNCTION distsync.change_order(text, jsonb, jsonb) IS
	'Changes an order of which something has not left: document {lines [{line, quantity (0 = cut), cut, requested_at, expected_price, tax_amount} of lines it has, {line, item, quantity, unit, expected_price, requested_at, site, tax_code, tax_amount} of new ones], requested_at, ship_to}; what is not named stays. Less gives back exactly its stock, agreed volumes and exposure; more is priced, promised and asks credit for the whole order. An order that credit has let go is decided again first, unless its stock has to be promised anew. Options: company, source, idempotency_key. Returns {order_number, outcome changed | held | unchanged | refused (nothing was written, the key is not burnt), state, credit_state, currency, net_amount, tax_amount, gross_amount, lines, changes, reasons, cure, correlation_id}. Emits order.changed, and order.held. Errors: SD001, SD002 number, date, or less than has left, SD004 unit, SD005 what can not be changed, or nothing left, SD006, SD010 key with another request, SD012 not for this caller, SD022 source, SD070 shipped, ended, or an offer is open.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('change_order', '{order_entry,integrator,operator,admin,portal}');
