-- An account that is opened later takes over what belongs to it now: open orders, with what they have waiting and unbilled, and the items of
-- their invoices and of its payer. The clerk does it, a few documents at a time, under the locks of both trees.

-- order_rehome_customers does the list of whose orders may belong to an account: who is its party, who is paid for by it, who stands below it,
-- who orders for the job.
CREATE FUNCTION distsync_internal.order_rehome_customers(account_id bigint) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	party bigint := (SELECT a.customer_id FROM dist.credit_account a WHERE a.account_id = order_rehome_customers.account_id);
BEGIN
	RETURN ARRAY(
		WITH RECURSIVE down (party_id, step) AS (
			SELECT party, 0
			UNION
			SELECT p.party_id, d.step + 1 FROM down d JOIN dist.party p ON p.parent_id = d.party_id WHERE d.step < 16)
		SELECT d.party_id FROM down d UNION SELECT p.party_id FROM down d JOIN dist.party p ON p.payer_id = d.party_id UNION SELECT o.customer_id FROM dist.sales_order o WHERE o.job_id = party);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_rehome_customers(bigint) IS 'Parties of whom orders may be carried by an account.';

-- order_rehome_orders does the list of open orders that belong to an account and are on another one, or on none.
CREATE FUNCTION distsync_internal.order_rehome_orders(account_id bigint, most integer) RETURNS TABLE (customer_id bigint, order_id bigint, from_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT o.customer_id, o.order_id, o.account_id
	FROM dist.credit_account n CROSS JOIN LATERAL unnest(distsync_internal.order_rehome_customers(n.account_id)) AS c(id)
	JOIN dist.sales_order o ON o.customer_id = c.id AND o.kind = 'order' AND o.account_id IS DISTINCT FROM n.account_id AND o.company_id = COALESCE(NULLIF(n.company_id, 0), o.company_id)
	LEFT JOIN dist.credit_account a ON a.account_id = o.account_id
	WHERE n.account_id = order_rehome_orders.account_id AND COALESCE(a.currency, o.currency) = n.currency
		AND (o.state IN ('accepted', 'sent', 'booked', 'held') OR EXISTS (SELECT FROM dist.shipment s WHERE s.order_id = o.order_id AND s.customer_id = o.customer_id AND s.unbilled_amount > 0))
		AND distsync_internal.credit_account_for(o.customer_id, o.company_id, jsonb_strip_nulls(jsonb_build_object('job_id', o.job_id, 'payer_id', o.payer_id))) = n.account_id
	ORDER BY o.order_id LIMIT most;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_rehome_orders(bigint, integer) IS 'Orders that are not at their end, or not billed, that an account carries now, in its currency, with the account where they are (NULL = none); at most so many.';

-- order_rehome_items does the list of items that belong to an account and are on another one: those of an order follow it, a memo what it
-- corrects, the rest the payer.
CREATE FUNCTION distsync_internal.order_rehome_items(account_id bigint, most integer) RETURNS TABLE (customer_id bigint, open_item_id bigint, from_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT i.customer_id, i.open_item_id, i.account_id
	FROM dist.credit_account n
	CROSS JOIN LATERAL (SELECT n.customer_id AS id UNION SELECT o.payer_id FROM dist.sales_order o WHERE o.job_id = n.customer_id) p
	JOIN dist.open_item i ON i.customer_id = p.id AND i.account_id <> n.account_id AND i.company_id = COALESCE(NULLIF(n.company_id, 0), i.company_id)
	JOIN dist.credit_account a ON a.account_id = i.account_id AND a.currency = n.currency
	LEFT JOIN dist.invoice v ON v.customer_id = i.customer_id AND v.company_id = i.company_id AND v.kind = i.kind AND v.invoice_number = i.document_number
	LEFT JOIN dist.sales_order o ON o.order_id = v.order_id
	LEFT JOIN dist.open_item t ON t.customer_id = i.customer_id AND t.company_id = i.company_id AND i.kind = 'credit_memo' AND t.kind = 'invoice' AND t.document_number = v.corrects_number
	WHERE n.account_id = order_rehome_items.account_id
		AND COALESCE(o.account_id, t.account_id, distsync_internal.credit_account_for(i.customer_id, i.company_id)) = n.account_id
	ORDER BY i.customer_id, i.open_item_id LIMIT most;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_rehome_items(bigint, integer) IS 'Items of the sub-ledger, open or not, that an account carries now, in its currency, with the account where they are; at most so many.';

-- order_rehome_order does the taking over of one order: what it has open, waiting and unbilled is counted in the new account. One that
-- nobody counted is counted from now on.
CREATE FUNCTION distsync_internal.order_rehome_order(customer_id bigint, order_id bigint, account_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	unbilled numeric;
	held numeric;
	day date;
BEGIN
	SELECT s.* INTO o FROM dist.sales_order s WHERE s.customer_id = order_rehome_order.customer_id AND s.order_id = order_rehome_order.order_id;
	IF o.account_id IS NULL THEN
		UPDATE dist.sales_order s SET account_id = order_rehome_order.account_id, credit_state = CASE WHEN s.state = 'held' THEN 'held' ELSE 'approved' END, version = s.version + 1 WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id;
		UPDATE dist.hold h SET account_id = order_rehome_order.account_id, amount = 0
		WHERE h.customer_id = o.customer_id AND h.hold_id = (SELECT min(x.hold_id) FROM dist.hold x WHERE x.customer_id = o.customer_id AND x.order_id = o.order_id AND x.released_at IS NULL);
		PERFORM distsync_internal.order_recount(o.customer_id, o.order_id, greatest(o.gross_amount, 0));
		RETURN;
	END IF;
	SELECT COALESCE(sum(x.unbilled_amount), 0) INTO unbilled FROM dist.shipment x WHERE x.customer_id = o.customer_id AND x.order_id = o.order_id;
	SELECT COALESCE(sum(h.amount), 0) INTO held FROM dist.hold h WHERE h.customer_id = o.customer_id AND h.order_id = o.order_id AND h.account_id = o.account_id AND h.released_at IS NULL;
	PERFORM distsync_internal.credit_add(o.account_id, open_orders => -o.exposure_amount, unbilled => -unbilled, held_demand => -held, ship_on => o.ship_on, order_id => o.order_id);
	UPDATE dist.sales_order s SET account_id = order_rehome_order.account_id WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id;
	day := distsync_internal.order_ship_day(o.customer_id, o.order_id);
	PERFORM distsync_internal.credit_add(order_rehome_order.account_id, open_orders => o.exposure_amount, unbilled => unbilled, held_demand => held, ship_on => day, order_id => o.order_id);
	UPDATE dist.hold h SET ship_on = day WHERE h.customer_id = o.customer_id AND h.order_id = o.order_id AND h.released_at IS NULL;
	UPDATE dist.hold h SET account_id = order_rehome_order.account_id WHERE h.customer_id = o.customer_id AND h.order_id = o.order_id AND h.account_id = o.account_id AND h.released_at IS NULL;
	UPDATE dist.sales_order s SET ship_on = day, version = s.version + 1 WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_rehome_order(bigint, bigint, bigint) IS 'Moves an order to another account with its exposure, holds and unbilled shipments. The caller holds the locks of both trees and of the order.';

-- order_rehome_item does the taking over of one item, and of what is to be billed again of it.
CREATE FUNCTION distsync_internal.order_rehome_item(customer_id bigint, open_item_id bigint, account_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	again numeric;
	i record;
BEGIN
	SELECT t.* INTO i FROM dist.open_item t WHERE t.customer_id = order_rehome_item.customer_id AND t.open_item_id = order_rehome_item.open_item_id;
	PERFORM distsync_internal.credit_item_move(i.customer_id, i.open_item_id, order_rehome_item.account_id);
	SELECT sum(v.rebill_amount) INTO again FROM dist.invoice v WHERE v.customer_id = i.customer_id AND v.company_id = i.company_id AND v.kind = i.kind AND v.invoice_number = i.document_number AND v.rebill = 'awaited';
	IF again > 0 THEN
		PERFORM distsync_internal.credit_add(i.account_id, unbilled => -again);
		PERFORM distsync_internal.credit_add(order_rehome_item.account_id, unbilled => again);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_rehome_item(bigint, bigint, bigint) IS 'Moves an item to another account, with what is awaited of it to be billed again. The caller holds the locks of both trees.';

-- order_account_opened does the noting of an account that has documents to take over: the hook of the credit room.
CREATE FUNCTION distsync_internal.order_account_opened(context jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint := (context ->> 'account_id')::bigint;
BEGIN
	IF EXISTS (SELECT FROM distsync_internal.order_rehome_orders(id, 1)) OR EXISTS (SELECT FROM distsync_internal.order_rehome_items(id, 1)) THEN
		INSERT INTO dist.account_rehome AS r (account_id) VALUES (id) ON CONFLICT (account_id) DO UPDATE SET noted_at = excluded.noted_at, again_at = excluded.again_at;
		PERFORM distsync_internal.credit_wake();
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_account_opened(jsonb) IS 'Hook credit.account_opened {account_id}: the clerk is to take over what belongs to the account, if there is anything.';

-- order_clerk_rehome does the next documents of the account that has waited longest. It looks once more after a minute: what was on its way
-- when the account was opened has been booked by then.
CREATE FUNCTION distsync_internal.order_clerk_rehome(max_rows integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most CONSTANT integer := 100;
	r record;
	d record;
	locked bigint[];
	n integer := 0;
BEGIN
	SELECT * INTO r FROM dist.account_rehome x WHERE x.again_at <= clock_timestamp() ORDER BY x.again_at, x.account_id LIMIT 1;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	locked := ARRAY(SELECT r.account_id UNION SELECT o.from_id FROM distsync_internal.order_rehome_orders(r.account_id, most) o WHERE o.from_id IS NOT NULL UNION SELECT i.from_id FROM distsync_internal.order_rehome_items(r.account_id, most) i);
	PERFORM distsync_internal.credit_lock_tree(locked);
	PERFORM FROM dist.sales_order s WHERE (s.customer_id, s.order_id) IN (SELECT o.customer_id, o.order_id FROM distsync_internal.order_rehome_orders(r.account_id, most) o) ORDER BY s.order_id FOR NO KEY UPDATE;
	-- under the locks; what is on an account that is not locked comes next time
	FOR d IN SELECT * FROM distsync_internal.order_rehome_orders(r.account_id, most) LOOP
		IF d.from_id IS NULL OR d.from_id = ANY (locked) THEN
			PERFORM distsync_internal.order_rehome_order(d.customer_id, d.order_id, r.account_id);
			n := n + 1;
		END IF;
	END LOOP;
	FOR d IN SELECT * FROM distsync_internal.order_rehome_items(r.account_id, most) LOOP
		IF d.from_id = ANY (locked) THEN
			PERFORM distsync_internal.order_rehome_item(d.customer_id, d.open_item_id, r.account_id);
			n := n + 1;
		END IF;
	END LOOP;
	IF n > 0 THEN
		PERFORM distsync_internal.credit_settle(locked, 'rehome', '{}');
		UPDATE dist.account_rehome x SET again_at = clock_timestamp() WHERE x.account_id = r.account_id;
	ELSIF cardinality(locked) = 1 AND clock_timestamp() > r.noted_at + interval '1 minute' THEN
		DELETE FROM dist.account_rehome x WHERE x.account_id = r.account_id AND x.noted_at = r.noted_at;
	ELSE
		UPDATE dist.account_rehome x SET again_at = greatest(r.noted_at + interval '1 minute 1 second', clock_timestamp()) WHERE x.account_id = r.account_id AND x.noted_at = r.noted_at;
	END IF;
	RETURN 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_rehome(integer) IS
	'Task of the clerk: the next documents (a hundred orders, a hundred items) that belong to an account opened after them are taken over by it, under the locks of both trees; what waits and fits then goes on. Returns 1 if there was an account to look at.';

-- order_clerk_rehome_due does the telling of when there is such an account to look at.
CREATE FUNCTION distsync_internal.order_clerk_rehome_due() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(r.again_at) FROM dist.account_rehome r
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_rehome_due() IS 'When the clerk has next to look at an account that takes documents over, NULL = never.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('hook', 'credit.account_opened', 100, 'distsync_internal.order_account_opened'),
	('clerk', 'order_rehome', 32, 'distsync_internal.order_clerk_rehome'),
	('clerk', 'order_rehome.next_due', 32, 'distsync_internal.order_clerk_rehome_due');
