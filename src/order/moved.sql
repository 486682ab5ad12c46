-- Dates that move: stock tells that a promise has another date, and the line of the order follows. Whoever moves it has pools locked, and
-- orders are locked before pools; so he only notes which lines, and the clerk brings the dates in, an order at a time.

-- order_promise_changed does the noting of lines whose promises have other dates.
CREATE FUNCTION distsync_internal.order_promise_changed(context jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO dist.order_line_moved (customer_id, order_id, line_no)
	SELECT DISTINCT l.customer_id, l.order_id, l.line_no
	FROM (SELECT regexp_match(p.value->>'demand_key', '^([^/]*)/([^/]*)/([0-9]{1,9})$') AS key FROM jsonb_array_elements(context->'promises') p) k
	JOIN dist.company c ON c.code = k.key[1]
	JOIN dist.sales_order o ON o.company_id = c.company_id AND o.kind = 'order' AND o.order_number = k.key[2]
	JOIN dist.order_line l ON l.customer_id = o.customer_id AND l.order_id = o.order_id AND l.line_no = k.key[3]::integer
	ORDER BY 1, 2, 3;
	IF FOUND THEN
		PERFORM distsync_internal.worker_wake('clerk');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_promise_changed(jsonb) IS 'Hook stock.promise_changed: notes the order lines among promises [{"demand_key": company/order/line}] in dist.order_line_moved and wakes the clerk. It locks nothing of the order.';

-- order_clerk_moved does the bringing in of the dates of one order. What is read is no older than the notes that are gone: both are of one
-- snapshot, and whoever moves a date again notes it again.
CREATE FUNCTION distsync_internal.order_clerk_moved(max_rows integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
BEGIN
	SELECT m.customer_id, m.order_id INTO f FROM dist.order_line_moved m ORDER BY m.move_id LIMIT 1;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	PERFORM FROM dist.sales_order o WHERE o.customer_id = f.customer_id AND o.order_id = f.order_id FOR NO KEY UPDATE;
	WITH gone AS (
		DELETE FROM dist.order_line_moved m WHERE m.customer_id = f.customer_id AND m.order_id = f.order_id RETURNING m.line_no
	), n AS MATERIALIZED (
		SELECT l.line_no, CASE WHEN (SELECT sum(d.reserved) FROM dist.demand d WHERE d.demand_key = k.key AND d.item_id = l.item_id) >= l.base_quantity - l.cancelled_quantity THEN r.promised_at END AS promised_at
		FROM (SELECT DISTINCT g.line_no FROM gone g) g
		JOIN dist.order_line l ON l.customer_id = f.customer_id AND l.order_id = f.order_id AND l.line_no = g.line_no
		JOIN dist.sales_order o ON o.customer_id = l.customer_id AND o.order_id = l.order_id JOIN dist.company c ON c.company_id = o.company_id
		CROSS JOIN LATERAL (SELECT c.code || '/' || o.order_number || '/' || l.line_no AS key) k
		CROSS JOIN LATERAL (SELECT CASE WHEN bool_and(x.promised_at IS NOT NULL) THEN max(x.promised_at) END AS promised_at, count(*) AS live
			FROM dist.reservation x WHERE x.demand_key = k.key AND x.item_id = l.item_id AND x.state IN ('held', 'committed')) r
		WHERE r.live > 0
	)
	UPDATE dist.order_line l SET promised_at = n.promised_at, disposition = CASE WHEN l.disposition = 'accept' AND n.promised_at > l.promised_at THEN 'changed_date' ELSE l.disposition END
	FROM n WHERE l.customer_id = f.customer_id AND l.order_id = f.order_id AND l.line_no = n.line_no AND l.promised_at IS DISTINCT FROM n.promised_at;
	RETURN 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_moved(integer) IS
	'Task of the clerk: the lines noted of one order get the date on which the last part of their promise is covered (NULL = not foreseen, or not all of the line is promised); one that gets later is changed_date. Returns 1 if there was one.';

-- order_clerk_moved_due does the answer to "when is there work again".
CREATE FUNCTION distsync_internal.order_clerk_moved_due() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(m.moved_at) FROM dist.order_line_moved m
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_moved_due() IS 'When the first line was noted whose date is to be brought in, NULL = none.';

-- order_reservations_forgotten does the end of what lines say of reservations that are not kept any more.
CREATE FUNCTION distsync_internal.order_reservations_forgotten(context jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	WITH n AS MATERIALIZED (
		SELECT l.customer_id, l.order_id, l.line_no
		FROM (SELECT regexp_match(p.value->>'demand_key', '^([^/]*)/([^/]*)/([0-9]{1,9})$') AS key, (p.value->>'reservation_id')::bigint AS reservation_id FROM jsonb_array_elements(context->'reservations') p) k
		JOIN dist.company c ON c.code = k.key[1]
		JOIN dist.sales_order o ON o.company_id = c.company_id AND o.kind = 'order' AND o.order_number = k.key[2]
		JOIN dist.order_line l ON l.customer_id = o.customer_id AND l.order_id = o.order_id AND l.line_no = k.key[3]::integer AND l.reservation_id = k.reservation_id
	), o AS MATERIALIZED (
		SELECT s.customer_id, s.order_id FROM dist.sales_order s WHERE (s.customer_id, s.order_id) IN (SELECT n.customer_id, n.order_id FROM n) ORDER BY s.customer_id, s.order_id FOR NO KEY UPDATE
	)
	UPDATE dist.order_line l SET reservation_id = NULL FROM n JOIN o ON o.customer_id = n.customer_id AND o.order_id = n.order_id
	WHERE l.customer_id = n.customer_id AND l.order_id = n.order_id AND l.line_no = n.line_no;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_reservations_forgotten(jsonb) IS 'Hook stock.reservations_forgotten: lines name none of the reservations [{"reservation_id", "demand_key": company/order/line}] any more. Locks their orders; the caller has no pools locked yet.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('hook', 'stock.reservations_forgotten', 100, 'distsync_internal.order_reservations_forgotten'),
	('hook', 'stock.promise_changed', 100, 'distsync_internal.order_promise_changed'),
	('clerk', 'order_moved', 30, 'distsync_internal.order_clerk_moved'),
	('clerk', 'order_moved.next_due', 30, 'distsync_internal.order_clerk_moved_due');
