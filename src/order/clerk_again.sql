-- What the clerk does for orders that credit has let go: decides them again, and ends offers that nobody answered.

-- order_clerk_failed does the noting of an order that can not be decided again: people are told, and it is tried later.
CREATE FUNCTION distsync_internal.order_clerk_failed(customer_id bigint, order_id bigint, code text, message text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	UPDATE dist.sales_order s SET redecide_at = clock_timestamp() + interval '15 minutes' WHERE s.customer_id = order_clerk_failed.customer_id AND s.order_id = order_clerk_failed.order_id AND s.redecide_at IS NOT NULL;
	PERFORM distsync_internal.base_exception('redecide_failed', c.code || '/' || s.order_number, 'order', 'error', c.code, 'order', c.code || '/' || s.order_number, jsonb_build_object('sqlstate', order_clerk_failed.code, 'message', order_clerk_failed.message), NULL, s.gross_amount, s.currency, s.correlation_id)
	FROM dist.sales_order s JOIN dist.company c ON c.company_id = s.company_id WHERE s.customer_id = order_clerk_failed.customer_id AND s.order_id = order_clerk_failed.order_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_failed(bigint, bigint, text, text) IS 'Opens redecide_failed for an order; the clerk tries it again in 15 minutes.';

-- order_redecide_alone does the deciding again of one order so that it fails nobody: what can not be decided stays, and is told.
CREATE FUNCTION distsync_internal.order_redecide_alone(customer_id bigint, order_id bigint, beside jsonb DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	became text;
BEGIN
	became := distsync_internal.order_redecide(order_redecide_alone.customer_id, order_redecide_alone.order_id, beside);
	PERFORM distsync_internal.base_exception_close('redecide_failed', c.code || '/' || s.order_number, 'it was decided')
	FROM dist.sales_order s JOIN dist.company c ON c.company_id = s.company_id WHERE s.customer_id = order_redecide_alone.customer_id AND s.order_id = order_redecide_alone.order_id;
	RETURN became;
EXCEPTION WHEN OTHERS THEN
	IF distsync_internal.base_passing(SQLSTATE) THEN
		RAISE;
	END IF;
	PERFORM distsync_internal.order_clerk_failed(order_redecide_alone.customer_id, order_redecide_alone.order_id, SQLSTATE, SQLERRM);
	RETURN 'failed';
END
$$;
COMMENT ON FUNCTION distsync_internal.order_redecide_alone(bigint, bigint, jsonb) IS
	'order_redecide() in a subtransaction (beside: pools {items, sites} that the verb will touch, locked with those that are promised anew): its answer, or failed where it raises; then redecide_failed is open and the clerk tries it later. Errors: those of base_passing(). The caller holds the locks of order_lock() and none of volumes and stock.';

-- order_redecide_first does the same at the beginning of a change, which goes on to lock volumes and stock: only where the order has kept
-- its stock, and none of it has to be locked before that.
CREATE FUNCTION distsync_internal.order_redecide_first(customer_id bigint, order_id bigint) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF EXISTS (SELECT FROM dist.sales_order s WHERE s.customer_id = order_redecide_first.customer_id AND s.order_id = order_redecide_first.order_id AND s.redecide_at IS NOT NULL AND s.state = 'held'
		AND COALESCE(s.decision ->> 'stock', 'kept') NOT IN ('released', 'soft')) THEN
		RETURN distsync_internal.order_redecide_alone(order_redecide_first.customer_id, order_redecide_first.order_id);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_redecide_first(bigint, bigint) IS
	'order_redecide_alone() where it is due and takes no locks of stock; NULL where it is not due, or has to promise stock again: that is for the clerk, or a verb that names the pools it will touch (order_redecide_alone()). The caller holds the locks of order_lock() and none of volumes and stock.';

-- order_clerk_redecide does the deciding again of one order.
CREATE FUNCTION distsync_internal.order_clerk_redecide(max_rows integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
BEGIN
	SELECT s.customer_id, s.order_id, s.account_id, s.correlation_id INTO f FROM dist.sales_order s
	WHERE s.redecide_at <= clock_timestamp() AND s.state = 'held' ORDER BY s.redecide_at, s.order_id LIMIT 1;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	PERFORM distsync_internal.order_redecide_alone(f.customer_id, f.order_id);
	PERFORM distsync_internal.order_settle(f.account_id, 'redecide', jsonb_build_object('correlation_id', f.correlation_id));
	RETURN 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_redecide(integer) IS
	'Task of the clerk: one order that credit has let go is decided again (order_redecide_alone()); what can not be decided opens redecide_failed and is tried later. Returns 1 if there was one.';

-- order_clerk_redecide_due does the telling of when there is one.
CREATE FUNCTION distsync_internal.order_clerk_redecide_due() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(s.redecide_at) FROM dist.sales_order s WHERE s.redecide_at IS NOT NULL AND s.state = 'held'
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_redecide_due() IS 'Earliest instant at which an order is to be decided again, NULL = none.';

-- order_clerk_lapsed does the end of one order whose offer nobody answered: nobody agreed to what we can do.
CREATE FUNCTION distsync_internal.order_clerk_lapsed(max_rows integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
	o record;
	key text;
BEGIN
	SELECT s.customer_id, s.order_id, s.account_id INTO f FROM dist.order_offer x JOIN dist.sales_order s ON s.customer_id = x.customer_id AND s.order_id = x.order_id
	WHERE x.state = 'open' AND x.lapses_at <= clock_timestamp() ORDER BY x.lapses_at, x.offer_id LIMIT 1;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	SELECT s.*, c.code AS company, x.changes, x.lapses_at INTO o FROM dist.order_offer x JOIN dist.sales_order s ON s.customer_id = x.customer_id AND s.order_id = x.order_id JOIN dist.company c ON c.company_id = s.company_id
	WHERE x.customer_id = f.customer_id AND x.order_id = f.order_id AND x.state = 'open' AND x.lapses_at <= clock_timestamp();
	IF FOUND THEN
		key := o.company || '/' || o.order_number;
		PERFORM distsync_internal.order_end_offer(f.customer_id, f.order_id, 'lapsed');
		PERFORM distsync_internal.order_end(f.customer_id, f.order_id, 'cancelled', 'offer lapsed');
		PERFORM distsync_internal.base_exception('offer_lapsed', key, 'order', 'warning', o.company, 'order', key, jsonb_build_object('changes', o.changes, 'lapses_at', o.lapses_at), NULL, o.gross_amount, o.currency, o.correlation_id);
		PERFORM distsync_internal.order_emit(f.customer_id, f.order_id, 'order.cancelled', '{"reason":"offer lapsed"}');
		PERFORM distsync_internal.order_settle(f.account_id, 'offer_lapsed', jsonb_build_object('correlation_id', o.correlation_id));
	END IF;
	RETURN 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_lapsed(integer) IS 'Task of the clerk: one order whose offer was not answered in its time is cancelled, gives everything back, opens offer_lapsed, emits order.cancelled. Returns 1 if there was one.';

-- order_clerk_lapsed_due does the telling of when the next offer lapses.
CREATE FUNCTION distsync_internal.order_clerk_lapsed_due() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(x.lapses_at) FROM dist.order_offer x WHERE x.state = 'open'
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_lapsed_due() IS 'Earliest instant at which an open offer lapses, NULL = none.';

-- order_verify_offers does the check of offers and of orders that wait for a decision.
CREATE FUNCTION distsync_internal.order_verify_offers() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'order_offer', 'order', o.order_number, jsonb_build_object('state', o.state, 'credit_state', o.credit_state, 'redecide_at', o.redecide_at, 'offer', f.offer_id)
	FROM dist.sales_order o LEFT JOIN dist.order_offer f ON f.customer_id = o.customer_id AND f.order_id = o.order_id AND f.state = 'open'
	WHERE (o.state = 'held' AND o.credit_state = 'released') <> ((f.offer_id IS NOT NULL) <> (o.redecide_at IS NOT NULL AND o.state = 'held')) OR f.offer_id IS NOT NULL AND (o.state <> 'held' OR o.redecide_at IS NOT NULL)
	UNION ALL
	-- while an offer is open its order counts what it would count in either case
	SELECT 'offer_exposure', 'order', o.order_number, jsonb_build_object('exposure_amount', o.exposure_amount, 'gross_before', f.gross_before, 'gross_after', f.gross_after)
	FROM dist.order_offer f JOIN dist.sales_order o ON o.customer_id = f.customer_id AND o.order_id = f.order_id JOIN dist.credit_account a ON a.account_id = o.account_id
	WHERE f.state = 'open' AND a.currency = o.currency AND o.exposure_amount < greatest(f.gross_before, f.gross_after, 0)
		AND NOT EXISTS (SELECT FROM dist.order_line l WHERE l.customer_id = o.customer_id AND l.order_id = o.order_id AND l.shipped_quantity + l.invoiced_quantity + l.cancelled_quantity > 0)
	UNION ALL
	SELECT 'offer_total', 'order', o.order_number, jsonb_build_object('gross_after', f.gross_after, 'lines', t.gross)
	FROM dist.order_offer f JOIN dist.sales_order o ON o.customer_id = f.customer_id AND o.order_id = f.order_id
	CROSS JOIN LATERAL (SELECT sum(COALESCE((x ->> 'net_amount')::numeric + (x ->> 'tax_amount')::numeric, l.net_amount + l.tax_amount)) AS gross
		FROM dist.order_line l LEFT JOIN jsonb_array_elements(f.terms -> 'lines') x ON (x ->> 'line')::integer = l.line_no WHERE l.customer_id = o.customer_id AND l.order_id = o.order_id) t
	WHERE f.state = 'open' AND f.gross_after <> t.gross
$$;
COMMENT ON FUNCTION distsync_internal.order_verify_offers() IS
	'Orders that credit has let go and that neither wait for a decision nor for the answer to an offer, or for both; open offers of orders that are not held; offers whose order counts less than it would when they are accepted or declined, or whose amount is not that of the lines with what they offer.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('clerk', 'order_redecide', 20, 'distsync_internal.order_clerk_redecide'),
	('clerk', 'order_redecide.next_due', 20, 'distsync_internal.order_clerk_redecide_due'),
	('clerk', 'order_offer', 45, 'distsync_internal.order_clerk_lapsed'),
	('clerk', 'order_offer.next_due', 45, 'distsync_internal.order_clerk_lapsed_due');
INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('verify', 'order_offers', 'distsync_internal.order_verify_offers');
