-- What the clerk does for returns: authorities that are over, and steps that nobody needs any more; and what must always be true of returns.

-- order_clerk_returns does the ending of one authority whose time is over: what has not come may be authorised anew.
CREATE FUNCTION distsync_internal.order_clerk_returns(max_rows integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
	r record;
BEGIN
	SELECT x.customer_id, x.return_id, x.order_id INTO f FROM dist.customer_return x WHERE x.awaits AND x.closed_at IS NULL AND x.expires_at <= clock_timestamp() ORDER BY x.expires_at, x.return_id LIMIT 1;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	PERFORM distsync_internal.order_return_lock(ARRAY[f.order_id], ARRAY[f.return_id]);
	SELECT x.* INTO r FROM dist.customer_return x WHERE x.customer_id = f.customer_id AND x.return_id = f.return_id AND x.awaits AND x.closed_at IS NULL AND x.expires_at <= clock_timestamp();
	IF FOUND THEN
		UPDATE dist.customer_return x SET awaits = false WHERE x.customer_id = f.customer_id AND x.return_id = f.return_id;
		PERFORM distsync_internal.order_return_advance(f.customer_id, f.return_id, 'expired');
		PERFORM distsync_internal.order_return_tell(f.customer_id, f.return_id, 'return.expired', '{}', r.state, '{}');
	END IF;
	RETURN 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_returns(integer) IS
	'Task of the clerk: one return whose authority is over (one transaction holds the locks of one): what has not come may not come any more. Emits return.expired. Returns 1 if there was one.';

-- order_clerk_returns_due does the telling of when the next authority is over.
CREATE FUNCTION distsync_internal.order_clerk_returns_due() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(x.expires_at) FROM dist.customer_return x WHERE x.awaits AND x.closed_at IS NULL AND x.expires_at IS NOT NULL
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_returns_due() IS 'Earliest instant at which the authority of a return is over, NULL = none.';

-- order_retain_returns does the clearing away of the steps of returns that have ended long ago. Their sums, and what they were credited, stay.
CREATE FUNCTION distsync_internal.order_retain_returns(max_rows integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer;
BEGIN
	WITH old AS (
		SELECT r.customer_id, r.return_id FROM dist.customer_return r
		WHERE r.steps_kept AND r.closed_at IS NOT NULL AND r.closed_at < distsync_internal.inventory_kept_until('distsync.return_retention', clock_timestamp())
		ORDER BY r.closed_at, r.return_id LIMIT least(max_rows, 1000) FOR NO KEY UPDATE SKIP LOCKED
	), gone AS (
		DELETE FROM dist.return_step s USING old WHERE s.customer_id = old.customer_id AND s.return_id = old.return_id
	)
	UPDATE dist.customer_return r SET steps_kept = false FROM old WHERE r.customer_id = old.customer_id AND r.return_id = old.return_id;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_retain_returns(integer) IS 'Task of the clerk: deletes the steps of returns that ended longer ago than distsync.return_retention, at most 1,000 returns at once. Returns how many.';

-- order_verify_returns does the check of returns against their steps, their credits and their orders.
CREATE FUNCTION distsync_internal.order_verify_returns() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH step AS (
		SELECT s.customer_id, s.return_id, s.line_no, sum(CASE s.kind WHEN 'receive' THEN s.quantity ELSE -s.quantity END) AS waits FROM dist.return_step s GROUP BY 1, 2, 3
	), credit AS (
		SELECT k.customer_id, k.return_id, k.line_no, sum(k.quantity) FILTER (WHERE k.state = 'requested') AS requested, sum(k.quantity) FILTER (WHERE k.state = 'posted') AS credited FROM dist.return_credit k GROUP BY 1, 2, 3
	), line AS (
		SELECT c.code || '/' || r.return_number AS key, r.awaits, r.state, l.*, COALESCE(s.waits, 0) AS waits, COALESCE(k.requested, 0) AS asked, COALESCE(k.credited, 0) AS memoed
		FROM dist.return_line l JOIN dist.customer_return r ON r.customer_id = l.customer_id AND r.return_id = l.return_id JOIN dist.company c ON c.company_id = r.company_id
		LEFT JOIN step s ON s.customer_id = l.customer_id AND s.return_id = l.return_id AND s.line_no = l.line_no
		LEFT JOIN credit k ON k.customer_id = l.customer_id AND k.return_id = l.return_id AND k.line_no = l.line_no
	), state AS (
		SELECT l.key, l.state, CASE WHEN sum(l.received - l.restocked - l.scrapped - l.refused) > 0 THEN '{received}'::text[] WHEN sum(greatest(l.restocked + l.scrapped - l.credited, 0)) > 0 THEN '{inspected}'
			WHEN bool_or(l.awaits AND l.authorised > l.received) THEN CASE WHEN sum(l.received) = 0 THEN '{authorised}'::text[] WHEN sum(l.credited) > 0 THEN '{credited}' ELSE '{inspected}' END
			WHEN sum(l.received) > 0 THEN '{closed}' ELSE '{cancelled,expired}' END AS should
		FROM line l GROUP BY l.key, l.state
	)
	SELECT 'return_quantity', 'return', l.key || '/' || l.line_no, jsonb_build_object('claimed', l.claimed, 'received', l.received, 'waits', l.received - l.restocked - l.scrapped - l.refused, 'steps', l.waits, 'requested', l.requested, 'asked', l.asked,
		'credited', l.credited, 'memos', l.memoed)
	FROM line l WHERE l.claimed <> CASE WHEN l.awaits THEN greatest(l.authorised, l.received) ELSE l.received END - l.refused OR l.received - l.restocked - l.scrapped - l.refused <> l.waits OR l.requested <> l.asked OR l.credited <> l.memoed
	UNION ALL
	SELECT 'return_state', 'return', s.key, jsonb_build_object('state', s.state, 'should', to_jsonb(s.should)) FROM state s WHERE s.state <> ALL (s.should)
	UNION ALL
	SELECT 'return_memo', 'return', c.code || '/' || r.return_number, jsonb_build_object('memo_number', k.memo_number, 'quantity', k.quantity)
	FROM dist.return_credit k JOIN dist.customer_return r ON r.customer_id = k.customer_id AND r.return_id = k.return_id JOIN dist.company c ON c.company_id = r.company_id
	WHERE k.state = 'posted' AND NOT EXISTS (SELECT FROM dist.invoice i WHERE i.company_id = r.company_id AND i.kind = 'credit_memo' AND i.invoice_number = k.memo_number AND i.return_number = r.return_number AND i.status = 'posted')
	UNION ALL
	SELECT 'return_beyond', 'order_line', c.code || '/' || o.order_number || '/' || x.order_line_no, jsonb_build_object('shipped_quantity', t.shipped_quantity, 'claimed', x.claimed)
	FROM (SELECT l.customer_id, l.order_id, l.order_line_no, sum(l.claimed) AS claimed, bool_and(r.backfill) AS loaded FROM dist.return_line l JOIN dist.customer_return r ON r.customer_id = l.customer_id AND r.return_id = l.return_id
		WHERE l.order_line_no IS NOT NULL GROUP BY 1, 2, 3) x
	JOIN dist.sales_order o ON o.customer_id = x.customer_id AND o.order_id = x.order_id JOIN dist.company c ON c.company_id = o.company_id
	JOIN dist.order_line t ON t.customer_id = x.customer_id AND t.order_id = x.order_id AND t.line_no = x.order_line_no
	WHERE x.claimed > t.shipped_quantity AND NOT x.loaded
		AND NOT EXISTS (SELECT FROM sync.exception e WHERE e.kind = 'over_returned' AND e.trace_key = c.code || '/' || o.order_number || '/' || x.order_line_no)
$$;
COMMENT ON FUNCTION distsync_internal.order_verify_returns() IS
	'Lines of returns that are not the sums of their steps and credits, or claim of their order what they should not; returns in another state than their quantities say; credits whose memo does not stand; lines of orders of which more came back than left, and over_returned was never told.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('verify', 'order_returns', 50, 'distsync_internal.order_verify_returns'),
	('clerk', 'order_returns', 45, 'distsync_internal.order_clerk_returns'),
	('clerk', 'order_returns.next_due', 45, 'distsync_internal.order_clerk_returns_due'),
	('clerk', 'order_returns_retain', 830, 'distsync_internal.order_retain_returns');
