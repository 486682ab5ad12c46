-- What the clerk does for orders: those that nobody answered in time, and those that go on but whose stock was given back.

-- order_clerk_unanswered does the giving up of one order whose owner did not answer in its time.
CREATE FUNCTION distsync_internal.order_clerk_unanswered(max_rows integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
	o record;
	key text;
BEGIN
	SELECT s.customer_id, s.order_id, s.account_id INTO f FROM dist.sales_order s
	WHERE s.answer_due_at <= (SELECT clock_timestamp()) AND s.state IN ('accepted', 'sent') ORDER BY s.answer_due_at LIMIT 1;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	SELECT s.*, c.code AS company INTO o FROM dist.sales_order s JOIN dist.company c ON c.company_id = s.company_id
	WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id AND s.answer_due_at <= clock_timestamp() AND s.state IN ('accepted', 'sent');
	IF FOUND THEN
		key := o.company || '/' || o.order_number;
		PERFORM distsync_internal.order_end(f.customer_id, f.order_id, 'rejected', 'no answer');
		PERFORM distsync_internal.base_exception('no_answer', key, 'order', 'error', o.company, 'order', key, jsonb_build_object('due_at', o.answer_due_at, 'owner', to_jsonb(distsync_internal.order_owner(o.company))),
			NULL, o.gross_amount, o.currency, o.correlation_id);
		PERFORM distsync_internal.order_emit(f.customer_id, f.order_id, 'order.rejected', '{"reason":"no answer"}');
		PERFORM distsync_internal.order_settle(f.account_id, 'no_answer', jsonb_build_object('correlation_id', o.correlation_id));
	END IF;
	RETURN 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_unanswered(integer) IS
	'Task of the clerk: one order (one transaction holds the locks of one) whose answer is overdue is rejected, gives back stock and exposure, opens no_answer, emits order.rejected. Returns 1 if there was one.';

-- order_clerk_unanswered_due does the telling of when the next answer is due.
CREATE FUNCTION distsync_internal.order_clerk_unanswered_due() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(s.answer_due_at) FROM dist.sales_order s WHERE s.answer_due_at IS NOT NULL AND s.state IN ('accepted', 'sent')
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_unanswered_due() IS 'Earliest instant at which an order counts as unanswered, NULL = none.';

-- order_clerk_restock does the promising again of one released order whose stock was given back while it was held.
CREATE FUNCTION distsync_internal.order_clerk_restock(max_rows integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
	o jsonb;
	s record;
BEGIN
	SELECT x.customer_id, x.order_id, x.account_id INTO f FROM dist.sales_order x WHERE x.state = 'held' AND x.credit_state = 'released' ORDER BY x.order_id LIMIT 1;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	SELECT x.*, c.code AS company INTO s FROM dist.sales_order x JOIN dist.company c ON c.company_id = x.company_id
	WHERE x.customer_id = f.customer_id AND x.order_id = f.order_id AND x.state = 'held' AND x.credit_state = 'released';
	IF NOT FOUND THEN
		RETURN 1;
	END IF;
	o := jsonb_build_object('company', s.company, 'company_id', s.company_id, 'customer_id', s.customer_id, 'channel_id', s.channel_id, 'order_number', s.order_number, 'requested_at', s.requested_at,
		'policy', s.policy || '{"shortage":"backorder","all_or_none":false}', 'lines', (SELECT jsonb_agg(jsonb_build_object('ordinal', l.line_no, 'line', l.line_no, 'item_id', l.item_id, 'unit', l.unit, 'numerator', 1, 'denominator', 1,
			'base_quantity', l.base_quantity - l.cancelled_quantity - l.shipped_quantity, 'components', l.components, 'disposition', 'accept', 'requested_at', l.requested_at, 'site_id', CASE WHEN l.reservation_id IS NULL THEN l.site_id END) ORDER BY l.line_no)
			FROM dist.order_line l WHERE l.customer_id = s.customer_id AND l.order_id = s.order_id AND l.base_quantity > l.cancelled_quantity + l.shipped_quantity));
	o := distsync_internal.order_promised(o, (SELECT COALESCE(jsonb_agg(to_jsonb(p)), '[]') FROM distsync_internal.inventory_reserve(distsync_internal.order_wanted(o), distsync_internal.order_stock_options(o)) p));
	UPDATE dist.order_line l SET site_id = COALESCE((x ->> 'site_id')::bigint, l.site_id), reservation_id = (x ->> 'reservation_id')::bigint, promised_at = (x ->> 'promised_at')::timestamptz,
		disposition = CASE WHEN x ->> 'disposition' = 'backorder' THEN 'backorder' WHEN l.promised_at < (x ->> 'promised_at')::timestamptz THEN 'changed_date' ELSE l.disposition END
	FROM jsonb_array_elements(o -> 'lines') x WHERE l.customer_id = s.customer_id AND l.order_id = s.order_id AND l.line_no = (x ->> 'line')::integer;
	PERFORM distsync_internal.order_backorders(o);
	UPDATE dist.sales_order x SET decision = x.decision || '{"stock":"kept"}' WHERE x.customer_id = s.customer_id AND x.order_id = s.order_id;
	PERFORM distsync_internal.order_resume(s.customer_id, s.order_id, 0, COALESCE(s.decision -> 'released', '{}'), '{}');
	RETURN 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_restock(integer) IS
	'Task of the clerk: one released order whose stock was given back is promised again, then goes on with order.released; what is short now is back-ordered, a later date is changed_date. Returns 1 if there was one.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('clerk', 'order_restock', 20, 'distsync_internal.order_clerk_restock'),
	('clerk', 'order_unanswered', 40, 'distsync_internal.order_clerk_unanswered'),
	('clerk', 'order_unanswered.next_due', 40, 'distsync_internal.order_clerk_unanswered_due');
