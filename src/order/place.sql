-- The verbs submit_order and preview_order over the steps of deciding.

-- order_place_holds does the placing of all holds of a decided order, and what it keeps of its stock.
CREATE FUNCTION distsync_internal.order_place_holds(o jsonb, others jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	h jsonb;
	ctx jsonb := jsonb_build_object('customer_id', o -> 'customer_id', 'order_id', o -> 'order_id', 'company_id', o -> 'company_id', 'order_number', o -> 'order_number',
		'priority', o -> 'policy' -> 'priority', 'payment_terms', o -> 'payment_terms', 'ship_on', o -> 'ship_on', 'placed_by', session_user);
BEGIN
	IF o ->> 'account_id' IS NOT NULL THEN
		PERFORM distsync_internal.credit_hold((o ->> 'account_id')::bigint, ctx || jsonb_build_object('amount', o -> 'account_amount', 'reasons', o -> 'decision' -> 'reasons', 'kind', 'auto',
			'placed_by', 'distsync', 'valid_until', o -> 'decision' -> 'valid_until'));
	END IF;
	FOR h IN SELECT x FROM jsonb_array_elements(others) x LOOP
		PERFORM distsync_internal.credit_hold(NULL, ctx || h);
	END LOOP;
	PERFORM distsync_internal.order_keep_stock((o ->> 'customer_id')::bigint, (o ->> 'order_id')::bigint);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_place_holds(jsonb, jsonb) IS 'Places the credit hold and the other holds of an order that is stored, which keeps of its stock what its policy says.';

-- order_place_credit_hold does the same for an order that only credit holds.
CREATE FUNCTION distsync_internal.order_place_credit_hold(o jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.order_place_holds(o, '[]');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_place_credit_hold(jsonb) IS 'order_place_holds() for an order that nothing else holds.';

-- order_emit_held does the telling of a held order, with why and what would free it.
CREATE FUNCTION distsync_internal.order_emit_held(o jsonb) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN distsync_internal.order_emit((o ->> 'customer_id')::bigint, (o ->> 'order_id')::bigint, 'order.held', jsonb_build_object('reasons', o -> 'reasons', 'cure', o -> 'decision' -> 'cure'),
		jsonb_build_object('source', NULLIF(o ->> 'source', 'distsync')));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_emit_held(jsonb) IS 'Emits order.held with reasons and the cure. Returns the message id.';

-- order_backorders does the noting of what is wanted and not promised, so that it counts as demand.
CREATE FUNCTION distsync_internal.order_backorders(o jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l jsonb;
	site bigint;
BEGIN
	FOR l IN SELECT x FROM jsonb_array_elements(o -> 'lines') x WHERE x ? 'backordered' ORDER BY (x ->> 'item_id')::bigint, (x ->> 'ordinal')::integer LOOP
		site := COALESCE((l ->> 'site_id')::bigint, distsync_internal.inventory_serving((l ->> 'item_id')::bigint, (o ->> 'company_id')::bigint));
		IF site IS NOT NULL THEN
			PERFORM distsync_internal.inventory_demand((l ->> 'item_id')::bigint, site, (o ->> 'company') || '/' || (o ->> 'order_number') || '/' || (l ->> 'line'), (o ->> 'customer_id')::bigint,
				(l ->> 'base_quantity')::numeric, COALESCE((l ->> 'requested_at')::timestamptz, (o ->> 'requested_at')::timestamptz), 'distsync', NULLIF(l -> 'components', 'null'));
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_backorders(jsonb) IS 'Notes back-ordered lines as demand at the site that serves them, else at the first that knows the item.';

-- order_own_number does the number of an order that has none: ours, and where somebody has taken that before, one that he could not know.
CREATE FUNCTION distsync_internal.order_own_number(o jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	own text := 'D' || (o ->> 'order_id');
BEGIN
	IF EXISTS (SELECT FROM dist.sales_order s WHERE s.company_id = (o ->> 'company_id')::bigint AND s.kind = 'order' AND s.order_number = own) THEN
		own := own || '-' || left(o ->> 'correlation_id', 8);
	END IF;
	RETURN own;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_own_number(jsonb) IS 'Number that we give an order: D and its id; with the first digits of its correlation id where another order has that number.';

-- order_submit does the whole command after the key: decides under the locks, stores, tells.
CREATE FUNCTION distsync_internal.order_submit(document jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o jsonb := distsync_internal.order_command(document, distsync_internal.order_read(document, source));
	account bigint := (o ->> 'account_id')::bigint;
	asked jsonb;
	refused jsonb;
	others jsonb;
BEGIN
	o := o || jsonb_build_object('order_id', nextval('dist.sales_order_order_id_seq'), 'correlation_id', COALESCE((document ->> 'correlation_id')::uuid, gen_random_uuid()), 'credit_state', 'none');
	o := o || jsonb_build_object('order_number', COALESCE(o ->> 'order_number', distsync_internal.order_own_number(o)));
	PERFORM distsync_internal.order_lock_po(o);
	refused := distsync_internal.order_check(o);
	IF refused IS NULL THEN
		o := distsync_internal.order_substitute(o);
		asked := o;
		o := distsync_internal.order_total(distsync_internal.order_price(o));
		refused := distsync_internal.order_refused(o);
	END IF;
	-- a price needs no lock unless it uses an agreed volume; from here on nobody else moves this account
	IF refused IS NULL AND account IS NOT NULL THEN
		PERFORM distsync_internal.credit_lock(ARRAY[account]);
		o := o || jsonb_build_object('ship_on', distsync_internal.order_ship_on(o));
	END IF;
	IF refused IS NULL AND o ? 'volumes' THEN
		o := distsync_internal.order_take_volume(asked, o);
		refused := distsync_internal.order_refused(o);
	END IF;
	IF refused IS NULL AND account IS NOT NULL AND o -> 'policy' ->> 'on_hold' = 'refuse' THEN
		o := o || jsonb_build_object('decision', distsync_internal.credit_decide(account, (o ->> 'account_amount')::numeric, distsync_internal.order_credit_context(o) || jsonb_build_object('at', clock_timestamp())));
		refused := NULLIF(o -> 'decision' -> 'reasons', '[]');
	END IF;
	IF refused IS NULL THEN
		o := distsync_internal.order_total(distsync_internal.order_try_stock(o));
		refused := distsync_internal.order_refused(o);
	END IF;
	IF refused IS NOT NULL THEN
		RETURN distsync_internal.order_answer(o || jsonb_build_object('state', 'refused', 'reasons', refused, 'order_number', document -> 'order_number'));
	END IF;
	others := distsync_internal.order_other_holds(o);
	IF account IS NOT NULL AND others = '[]' THEN
		o := o || jsonb_build_object('decision', distsync_internal.credit_take(account, (o ->> 'account_amount')::numeric, distsync_internal.order_credit_context(o)));
	ELSIF account IS NOT NULL THEN
		o := o || jsonb_build_object('decision', distsync_internal.credit_decide(account, (o ->> 'account_amount')::numeric, distsync_internal.order_credit_context(o)) || '{"outcome":"held"}');
	END IF;
	o := o || jsonb_build_object('credit_state', COALESCE(o -> 'decision' ->> 'outcome', 'none'), 'reasons', COALESCE(o -> 'decision' -> 'reasons', '[]')
		|| (SELECT COALESCE(jsonb_agg(r), '[]') FROM jsonb_array_elements(others) h, jsonb_array_elements(h -> 'reasons') r));
	o := o || jsonb_build_object('state', CASE WHEN o ->> 'credit_state' = 'held' OR others <> '[]' THEN 'held' WHEN 'distsync' = ANY (distsync_internal.order_owner(o ->> 'company')) THEN 'booked' ELSE 'accepted' END);
	PERFORM distsync_internal.order_finish(o, others);
	RETURN distsync_internal.order_answer(o);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_submit(jsonb, text) IS 'Decides and stores an order document; the answer of submit_order() as an object, state refused where nothing was written.';

-- order_finish does the storing and telling of an order that was decided.
CREATE FUNCTION distsync_internal.order_finish(o jsonb, others jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	customer bigint := (o ->> 'customer_id')::bigint;
	id bigint := (o ->> 'order_id')::bigint;
	native boolean := o ->> 'state' = 'booked';
BEGIN
	PERFORM distsync_internal.order_write(o);
	IF o ? 'volumes' THEN
		PERFORM distsync_internal.order_count_volume(customer, id, (o ->> 'company') || '/' || (o ->> 'order_number'), o -> 'volumes');
	END IF;
	IF o ->> 'state' = 'held' THEN
		PERFORM distsync_internal.order_place_holds(o, others);
	END IF;
	PERFORM distsync_internal.order_backorders(o);
	PERFORM distsync_internal.order_exceptions(o);
	IF o ->> 'state' = 'held' THEN
		PERFORM distsync_internal.order_emit_held(o);
	ELSE
		PERFORM distsync_internal.order_emit(customer, id, 'order.accepted', '{}', jsonb_build_object('source', NULLIF(o ->> 'source', 'distsync')));
	END IF;
	IF native THEN
		UPDATE dist.sales_order s SET owner_number = s.order_number WHERE s.customer_id = customer AND s.order_id = id;
		PERFORM distsync_internal.order_emit(customer, id, 'order.booked');
	END IF;
	PERFORM distsync_internal.base_audit('submit_order', 'order', (o ->> 'company') || '/' || (o ->> 'order_number'), NULL,
		jsonb_build_object('state', o -> 'state', 'credit_state', o -> 'credit_state', 'gross_amount', o -> 'gross_amount', 'currency', o -> 'currency', 'source', o -> 'source'), NULL, (o ->> 'correlation_id')::uuid);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_finish(jsonb, jsonb) IS 'Stores a decided order with its holds, back-orders and exceptions; emits order.accepted or order.held, and order.booked where orders are ours.';

-- order_submit_whole does the promise of an order as a command, whatever it takes.
CREATE FUNCTION distsync_internal.order_submit_whole(document jsonb, idempotency_key text)
RETURNS TABLE (order_number text, state text, credit_state text, currency text, net_amount numeric, tax_amount numeric, gross_amount numeric, lines jsonb, reasons jsonb, correlation_id uuid, detail jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	source text;
	key_source text;
	answer jsonb;
BEGIN
	PERFORM distsync_internal.order_scope(document);
	source := distsync_internal.order_source(document);
	key_source := distsync_internal.order_key_source(source, document ->> 'customer');
	answer := distsync_internal.base_answered(key_source, 'submit_order', idempotency_key, document);
	IF answer IS NULL THEN
		answer := distsync_internal.order_submit(document, source);
		IF answer ->> 'state' <> 'refused' THEN
			PERFORM distsync_internal.base_answer(key_source, 'submit_order', idempotency_key, document, answer);
		END IF;
	END IF;
	RETURN QUERY SELECT a.* FROM jsonb_to_record(distsync_internal.order_scope_answer(answer)) AS a(order_number text, state text, credit_state text, currency text, net_amount numeric, tax_amount numeric, gross_amount numeric,
		lines jsonb, reasons jsonb, correlation_id uuid, detail jsonb);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_submit_whole(jsonb, text) IS 'What submit_order() does, in SQL: every case. Same arguments, same answer, same errors.';

-- submit_order does the promise: price, stock and credit, decided and taken in one transaction; in C where nothing is short or unusual, otherwise by order_submit_whole().
CREATE FUNCTION distsync.submit_order(document jsonb, idempotency_key text DEFAULT NULL)
RETURNS TABLE (order_number text, state text, credit_state text, currency text, net_amount numeric, tax_amount numeric, gross_amount numeric, lines jsonb, reasons jsonb, correlation_id uuid, detail jsonb)
AS 'MODULE_PATHNAME', 'ds_sql_order_submit' LANGUAGE c ROWS 1;
COMMENT ON FUNCTION distsync.submit_order(jsonb, text) IS
	'Takes an order: prices it, promises stock, checks credit and stores it, all or nothing, once for each key. document {order_number?, company, customer, ship_to, job, channel, currency, customer_po, ordered_at, requested_at, source, policy, lines [{line, item, quantity, unit, expected_price, requested_at, site, tax_code, tax_amount}]}. One row: state accepted | booked | held | refused (nothing was written, the key is not burnt), credit_state none | approved | held, amounts in currency, lines with disposition, price, site and promise, reasons. Emits order.accepted or order.held. Errors: SD001 unknown code, SD002 number or date, SD003 currency, SD004 unit, SD005 shape, SD008 number taken, SD010 key with another body, SD012 not in the caller''s scope, SD022 source.';

-- preview_order does the same decision as a read.
CREATE FUNCTION distsync.preview_order(document jsonb, options jsonb DEFAULT '{}')
RETURNS TABLE (order_number text, state text, credit_state text, currency text, net_amount numeric, tax_amount numeric, gross_amount numeric, lines jsonb, reasons jsonb, correlation_id uuid, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o jsonb;
	refused jsonb;
	others jsonb;
	decision jsonb;
BEGIN
	PERFORM distsync_internal.order_scope(document);
	PERFORM distsync_internal.master_scope_only(options, '{}', 'options.');
	o := distsync_internal.order_command(document, distsync_internal.order_read(document, distsync_internal.order_source(document)));
	refused := distsync_internal.order_check(o);
	options := distsync_internal.base_options(options, '{drafts}');
	o := distsync_internal.order_total(distsync_internal.order_price(distsync_internal.order_substitute(o) || jsonb_build_object('order_number', COALESCE(o ->> 'order_number', 'preview'), 'drafts', options -> 'drafts')));
	refused := COALESCE(refused, distsync_internal.order_refused(o));
	IF refused IS NULL THEN
		o := distsync_internal.order_total(distsync_internal.order_promised(o, (SELECT COALESCE(jsonb_agg(to_jsonb(p) ORDER BY p.ordinal, p.site_id), '[]')
			FROM distsync_internal.inventory_preview(distsync_internal.order_wanted(o), distsync_internal.order_stock_options(o)) p)));
		refused := distsync_internal.order_refused(o);
	END IF;
	others := distsync_internal.order_other_holds(o);
	IF o ->> 'account_id' IS NOT NULL THEN
		o := o || jsonb_build_object('ship_on', distsync_internal.order_ship_on(o));
		decision := distsync_internal.credit_decide((o ->> 'account_id')::bigint, (o ->> 'account_amount')::numeric, distsync_internal.order_credit_context(o));
		IF refused IS NULL AND o -> 'policy' ->> 'on_hold' = 'refuse' THEN
			refused := NULLIF(decision -> 'reasons', '[]');
		END IF;
	END IF;
	o := o || jsonb_build_object('order_number', document -> 'order_number', 'decision', decision, 'credit_state', COALESCE(decision ->> 'outcome', 'none'),
		'reasons', COALESCE(refused, COALESCE(decision -> 'reasons', '[]') || (SELECT COALESCE(jsonb_agg(r), '[]') FROM jsonb_array_elements(others) h, jsonb_array_elements(h -> 'reasons') r)),
		'state', CASE WHEN refused IS NOT NULL THEN 'refused' WHEN decision ->> 'outcome' = 'held' OR others <> '[]' THEN 'held'
			WHEN 'distsync' = ANY (distsync_internal.order_owner(o ->> 'company')) THEN 'booked' ELSE 'accepted' END);
	RETURN QUERY SELECT a.* FROM jsonb_to_record(distsync_internal.order_scope_answer(distsync_internal.order_answer(o))) AS a(order_number text, state text, credit_state text, currency text, net_amount numeric, tax_amount numeric, gross_amount numeric,
		lines jsonb, reasons jsonb, correlation_id uuid, detail jsonb);
END
$$;
COMMENT ON FUNCTION distsync.preview_order(jsonb, jsonb) IS
	'What submit_order() would answer to this document now, as a read: it writes nothing, takes no lock and promises nothing. options: drafts (agreements whose newest draft counts as if it had been published, as in price()). Same columns, same errors.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('submit_order', '{order_entry,integrator,admin,portal}'), ('preview_order', '{reader,order_entry,integrator,operator,admin,portal}');
