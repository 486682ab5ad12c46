-- What the clerk does for orders that nobody answered in time.

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

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('clerk', 'order_unanswered', 40, 'distsync_internal.order_clerk_unanswered'),
	('clerk', 'order_unanswered.next_due', 40, 'distsync_internal.order_clerk_unanswered_due');
