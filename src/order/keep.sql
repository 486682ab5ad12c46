-- What a held order keeps of stock, by policy of its customer: all of it, what others may take (soft), or nothing; for good or for a time.

-- order_keys does the list of the demands of an order.
CREATE FUNCTION distsync_internal.order_keys(customer_id bigint, order_id bigint) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(SELECT c.code || '/' || o.order_number || '/' || l.line_no FROM dist.sales_order o JOIN dist.company c ON c.company_id = o.company_id
		JOIN dist.order_line l ON l.customer_id = o.customer_id AND l.order_id = o.order_id WHERE o.customer_id = order_keys.customer_id AND o.order_id = order_keys.order_id ORDER BY l.line_no);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_keys(bigint, bigint) IS 'Demand keys (company/order number/line) of the lines of an order.';

-- order_give_stock does the giving back of what is promised to an order and has not left: it is promised again when the order goes on.
CREATE FUNCTION distsync_internal.order_give_stock(customer_id bigint, order_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	key text;
BEGIN
	FOREACH key IN ARRAY distsync_internal.order_keys(order_give_stock.customer_id, order_give_stock.order_id) LOOP
		PERFORM distsync_internal.inventory_release(key);
	END LOOP;
	UPDATE dist.sales_order s SET decision = s.decision || '{"stock":"released"}', keep_until = NULL WHERE s.customer_id = order_give_stock.customer_id AND s.order_id = order_give_stock.order_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_give_stock(bigint, bigint) IS 'Gives back the stock promised to an order that has not left; decision.stock is released then. The caller holds the locks of the demands and their pools.';

-- order_keep_stock does what its policy says when an order is held.
CREATE FUNCTION distsync_internal.order_keep_stock(customer_id bigint, order_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
BEGIN
	SELECT s.policy ->> 'held_stock' AS keeps, s.policy ->> 'keep_for' AS long, s.decision ->> 'stock' AS stock INTO o FROM dist.sales_order s WHERE s.customer_id = order_keep_stock.customer_id AND s.order_id = order_keep_stock.order_id;
	IF o.stock = 'released' THEN
		RETURN;
	ELSIF o.keeps = 'none' THEN
		PERFORM distsync_internal.order_give_stock(order_keep_stock.customer_id, order_keep_stock.order_id);
		RETURN;
	ELSIF o.keeps = 'soft' THEN
		PERFORM distsync_internal.inventory_turn(distsync_internal.order_keys(order_keep_stock.customer_id, order_keep_stock.order_id), 'soft');
	END IF;
	IF o.keeps = 'soft' OR o.long IS NOT NULL THEN
		UPDATE dist.sales_order s SET decision = s.decision || CASE WHEN o.keeps = 'soft' THEN '{"stock":"soft"}' ELSE '{}' END::jsonb, keep_until = clock_timestamp() + o.long::interval
		WHERE s.customer_id = order_keep_stock.customer_id AND s.order_id = order_keep_stock.order_id;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_keep_stock(bigint, bigint) IS
	'What a held order keeps, by its policy held_stock: none gives its stock back, soft lets others take it; keep_for is how long before the clerk gives it back. The caller holds the locks of the demands and their pools.';

-- order_clerk_kept does the giving back of the stock of one order that was held too long.
CREATE FUNCTION distsync_internal.order_clerk_kept(max_rows integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
	o record;
BEGIN
	SELECT s.customer_id, s.order_id, s.account_id INTO f FROM dist.sales_order s WHERE s.keep_until <= clock_timestamp() AND s.state = 'held' ORDER BY s.keep_until, s.order_id LIMIT 1;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	-- the account as well: who lets others go of it has pools locked
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	SELECT s.*, c.code AS company INTO o FROM dist.sales_order s JOIN dist.company c ON c.company_id = s.company_id
	WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id AND s.keep_until <= clock_timestamp() AND s.state = 'held' AND s.redecide_at IS NULL;
	IF FOUND THEN
		PERFORM distsync_internal.order_lock_stock(f.customer_id, f.order_id);
		PERFORM distsync_internal.order_give_stock(f.customer_id, f.order_id);
		PERFORM distsync_internal.base_audit('held_stock', 'order', o.company || '/' || o.order_number, jsonb_build_object('stock', o.decision -> 'stock', 'keep_until', o.keep_until), '{"stock":"released"}', 'held too long', o.correlation_id);
	ELSE
		UPDATE dist.sales_order s SET keep_until = NULL WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id AND s.redecide_at IS NOT NULL;
	END IF;
	RETURN 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_kept(integer) IS 'Task of the clerk: one order that is held longer than its policy keep_for gives its stock back; it is promised again when the order goes on. Returns 1 if there was one.';

-- order_clerk_kept_due does the telling of when the next one is.
CREATE FUNCTION distsync_internal.order_clerk_kept_due() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(s.keep_until) FROM dist.sales_order s WHERE s.keep_until IS NOT NULL AND s.state = 'held'
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_kept_due() IS 'Earliest instant until which a held order keeps its stock, NULL = none.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('clerk', 'order_kept', 35, 'distsync_internal.order_clerk_kept'),
	('clerk', 'order_kept.next_due', 35, 'distsync_internal.order_clerk_kept_due');
