-- Orders as facts: typed in the ERP, changed there, or our own order answered by its owner. They count whatever they break.

-- order_fact_read does the reading of an order document of its owner: an answer about an order we know, or the order itself.
CREATE FUNCTION distsync_internal.order_fact_read(d jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := d -> 'doc';
	old record;
	o jsonb;
BEGIN
	SELECT s.*, p.code AS customer, c.code AS company INTO old
	FROM dist.sales_order s JOIN dist.party p ON p.party_id = s.customer_id JOIN dist.company c ON c.company_id = s.company_id
	WHERE s.company_id = (d ->> 'company_id')::bigint AND s.kind = 'order' AND (s.order_number = doc ->> 'order_number' OR s.owner_number = doc ->> 'order_number')
	ORDER BY s.order_number = doc ->> 'order_number' DESC LIMIT 1;
	IF old.order_id IS NULL AND (doc -> 'lines' IS NULL OR doc ->> 'customer' IS NULL) THEN
		PERFORM distsync_internal.order_refuse('SD001', 'order_number', format('unknown order "%s"', doc ->> 'order_number'), 'Send the order with its customer and lines, or correct the number.');
	END IF;
	IF doc -> 'lines' IS NOT NULL THEN
		o := distsync_internal.order_read((doc - 'policy' - 'schema') || CASE WHEN old.order_id IS NULL THEN '{}' ELSE jsonb_build_object('customer', old.customer, 'currency', COALESCE(doc ->> 'currency', old.currency)) END, source);
		IF EXISTS (SELECT FROM jsonb_array_elements(o -> 'lines') l WHERE l ->> 'unit_price' IS NULL AND l ->> 'net_told' IS NULL) THEN
			PERFORM distsync_internal.order_refuse('SD005', 'lines[].unit_price', 'the owner of an order tells its prices', 'Send unit_price or net_amount with each line.');
		END IF;
		o := o || jsonb_build_object('currency', COALESCE(o ->> 'currency', (SELECT COALESCE(p.currency, c.currency) FROM dist.party p, dist.company c
			WHERE p.party_id = (o ->> 'customer_id')::bigint AND c.company_id = (o ->> 'company_id')::bigint)),
			'lines', (SELECT jsonb_agg(l || jsonb_build_object('agreement', l -> 'ext' -> 'agreement', 'ext', (l -> 'ext') - 'agreement', 'site_id', COALESCE((l ->> 'site_id')::bigint,
				distsync_internal.inventory_serving((l ->> 'item_id')::bigint, (o ->> 'company_id')::bigint))) ORDER BY (l ->> 'ordinal')::integer)
				FROM jsonb_array_elements(o -> 'lines') l));
		o := distsync_internal.order_total(o);
		o := o || jsonb_strip_nulls(jsonb_build_object('volumes', distsync_internal.order_fact_volumes(o || d || jsonb_build_object('customer_id', COALESCE(old.customer_id, (o ->> 'customer_id')::bigint), 'order_id', old.order_id,
			'ordered_at', COALESCE(old.ordered_at, (o ->> 'ordered_at')::timestamptz), 'lines', o -> 'lines'))));
	END IF;
	RETURN COALESCE(o, '{}') || d || jsonb_build_object('known', old.order_id IS NOT NULL, 'order_id', old.order_id, 'customer_id', COALESCE(old.customer_id, (o ->> 'customer_id')::bigint),
		'order_number', COALESCE(old.order_number, doc ->> 'order_number'), 'account_id', CASE WHEN old.order_id IS NULL THEN (o ->> 'account_id')::bigint ELSE old.account_id END,
		'owner_number', COALESCE(doc ->> 'owner_number', CASE WHEN doc ->> 'order_number' <> old.order_number THEN doc ->> 'order_number' END, old.owner_number, CASE WHEN old.order_id IS NULL THEN doc ->> 'order_number' END),
		'state', doc -> 'state', 'reason', doc -> 'reason', 'lines', COALESCE(o -> 'lines', '[]'));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_fact_read(jsonb, text) IS
	'An order document {doc, company_id} of its owner: the order it is about if known, lines with the owner''s prices and the sites that serve them. Errors: SD001, SD002, SD003, SD004, SD005, SD006 naming the field.';

-- order_fact_demand does the telling of inventory what the owner ordered of each line, and gives back what we promised beyond it. Where a
-- line is of another item now, nothing is owed of what it was, and what has left of that is no part of what it still wants.
CREATE FUNCTION distsync_internal.order_fact_demand(o jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l record;
	key text;
	others bigint[];
	wanted numeric;
	reserved numeric;
BEGIN
	FOR l IN SELECT t.* FROM dist.order_line t WHERE t.customer_id = (o ->> 'customer_id')::bigint AND t.order_id = (o ->> 'order_id')::bigint ORDER BY t.item_id, t.line_no LOOP
		key := (o -> 'doc' ->> 'company') || '/' || (o ->> 'order_number') || '/' || l.line_no;
		others := ARRAY(SELECT DISTINCT d.item_id FROM dist.demand d WHERE d.demand_key = key AND d.item_id NOT IN (SELECT p.item_id FROM distsync_internal.inventory_taken_from(l.item_id, l.components) p));
		wanted := l.base_quantity - l.cancelled_quantity;
		IF others <> '{}' THEN
			PERFORM distsync_internal.inventory_abandon(key, others);
			wanted := greatest(0, wanted - greatest(0, l.shipped_quantity - (SELECT min(COALESCE((SELECT sum(d.shipped) FROM dist.demand d WHERE d.demand_key = key AND d.item_id = p.item_id), 0) / p.per)
				FROM distsync_internal.inventory_taken_from(l.item_id, l.components) p)));
		END IF;
		CONTINUE WHEN l.site_id IS NULL;
		-- a demand that is not kept any more had shipped what the line says: it is not owed again
		IF l.shipped_quantity > 0 AND NOT EXISTS (SELECT FROM dist.demand d WHERE d.demand_key = key) THEN
			CONTINUE WHEN wanted <= l.shipped_quantity;
			PERFORM distsync_internal.inventory_demand_again(l.item_id, l.site_id, key, l.shipped_quantity, l.components);
		END IF;
		SELECT max(CASE WHEN l.components IS NULL THEN r.reserved ELSE ceil(r.reserved / p.per) END) INTO reserved FROM distsync_internal.inventory_taken_from(l.item_id, l.components) p
		CROSS JOIN LATERAL (SELECT sum(d.reserved) AS reserved FROM dist.demand d WHERE d.item_id = p.item_id AND d.demand_key = key) r;
		IF reserved > wanted THEN
			PERFORM distsync_internal.inventory_release(key, reserved - wanted);
		END IF;
		PERFORM distsync_internal.inventory_demand(l.item_id, l.site_id, key, (o ->> 'customer_id')::bigint, wanted, l.requested_at, o ->> 'source', l.components);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_fact_demand(jsonb) IS 'Notes the quantities of an order''s lines as the owner''s demand; the caller holds the pools'' locks.';

-- order_fact_new does the recording of an order that its owner took: it counts at once, whatever the limit says.
CREATE FUNCTION distsync_internal.order_fact_new(o jsonb, ctx jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	live boolean := COALESCE(o ->> 'state', 'booked') IN ('accepted', 'sent', 'booked');
	full_order jsonb := o || jsonb_build_object('order_id', nextval('dist.sales_order_order_id_seq'), 'state', COALESCE(o ->> 'state', 'booked'), 'source', ctx ->> 'source',
		'correlation_id', COALESCE(ctx ->> 'correlation_id', gen_random_uuid()::text), 'backfill', COALESCE(ctx -> 'backfill', 'false'),
		'credit_state', CASE WHEN live AND o ->> 'account_id' IS NOT NULL THEN 'approved' ELSE 'none' END);
BEGIN
	IF live AND o ->> 'account_id' IS NOT NULL THEN
		full_order := full_order || jsonb_build_object('ship_on', distsync_internal.order_ship_on(full_order));
		PERFORM distsync_internal.credit_count((o ->> 'account_id')::bigint, (o ->> 'account_amount')::numeric, 'open_orders', (full_order ->> 'ship_on')::date, (full_order ->> 'order_id')::bigint);
	END IF;
	PERFORM distsync_internal.order_write(full_order);
	IF live THEN
		PERFORM distsync_internal.order_count_volume((full_order ->> 'customer_id')::bigint, (full_order ->> 'order_id')::bigint, (o -> 'doc' ->> 'company') || '/' || (o ->> 'order_number'), o -> 'volumes', true,
			ctx || jsonb_build_object('correlation_id', full_order -> 'correlation_id'));
		PERFORM distsync_internal.order_fact_demand(full_order);
	END IF;
	PERFORM distsync_internal.order_emit((full_order ->> 'customer_id')::bigint, (full_order ->> 'order_id')::bigint, 'order.' || (full_order ->> 'state'), '{}', ctx);
	RETURN full_order;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_fact_new(jsonb, jsonb) IS 'Stores a read order of its owner, counts its exposure and demand, emits order.booked (or its state). Returns it with its id.';

-- order_recount does the reckoning of an order's amounts and exposure again from its lines: what is left to ship and not yet billed.
CREATE FUNCTION distsync_internal.order_recount(customer_id bigint, order_id bigint, account_amount numeric) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	t record;
	counted numeric;
	h record;
	day date := distsync_internal.order_ship_day(order_recount.customer_id, order_recount.order_id);
BEGIN
	SELECT s.*, m.minor_units INTO o FROM dist.sales_order s LEFT JOIN dist.credit_account a ON a.account_id = s.account_id LEFT JOIN dist.currency m ON m.currency = a.currency
	WHERE s.customer_id = order_recount.customer_id AND s.order_id = order_recount.order_id;
	SELECT sum(l.net_amount) AS net, sum(l.tax_amount) AS tax,
		sum(CASE WHEN l.base_quantity > 0 THEN (l.net_amount + l.tax_amount) * greatest(l.base_quantity - l.cancelled_quantity - greatest(l.shipped_quantity, l.invoiced_quantity), 0) / l.base_quantity ELSE 0 END) AS left_open INTO t
	FROM dist.order_line l WHERE l.customer_id = order_recount.customer_id AND l.order_id = order_recount.order_id;
	counted := CASE WHEN t.net + t.tax > 0 THEN round(t.left_open * order_recount.account_amount / (t.net + t.tax), o.minor_units) ELSE 0 END;
	IF o.account_id IS NOT NULL AND o.credit_state IN ('approved', 'released') THEN
		PERFORM distsync_internal.credit_give_back(o.account_id, o.exposure_amount, 'open_orders', o.ship_on, o.order_id);
		PERFORM distsync_internal.credit_count(o.account_id, counted, 'open_orders', day, o.order_id);
	ELSIF o.credit_state = 'held' THEN
		SELECT x.hold_id, x.amount INTO h FROM dist.hold x WHERE x.customer_id = o.customer_id AND x.order_id = o.order_id AND x.account_id IS NOT NULL AND x.released_at IS NULL ORDER BY x.amount DESC, x.hold_id LIMIT 1;
		UPDATE dist.hold x SET ship_on = day WHERE x.customer_id = o.customer_id AND x.order_id = o.order_id AND x.released_at IS NULL;
		UPDATE dist.hold x SET amount = counted WHERE x.customer_id = o.customer_id AND x.hold_id = h.hold_id;
		PERFORM distsync_internal.credit_add(o.account_id, held_demand => counted - h.amount);
	END IF;
	UPDATE dist.sales_order s SET net_amount = t.net, tax_amount = t.tax, gross_amount = t.net + t.tax, version = s.version + 1, ship_on = day, decision = s.decision || jsonb_build_object('account_amount', order_recount.account_amount),
		exposure_amount = CASE WHEN s.account_id IS NOT NULL AND s.credit_state IN ('approved', 'released') THEN counted ELSE s.exposure_amount END
	WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_recount(bigint, bigint, numeric) IS
	'Sums an order again after its lines changed (account_amount = its gross in the account''s currency) and moves exposure, or held demand, by the difference, and to the day on which it ships now.';

-- order_fact_change does the change of an order by its owner: the lines he tells take the place of ours.
CREATE FUNCTION distsync_internal.order_fact_change(o jsonb, ctx jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	customer bigint := (o ->> 'customer_id')::bigint;
	id bigint := (o ->> 'order_id')::bigint;
	changed integer := distsync_internal.order_write_lines(o);
	gone integer := 0;
BEGIN
	IF COALESCE(ctx ->> 'mode', 'document') = 'document' THEN
		UPDATE dist.order_line l SET quantity = l.shipped_quantity * l.quantity / l.base_quantity, base_quantity = l.shipped_quantity, net_amount = l.net_amount * l.shipped_quantity / l.base_quantity,
			tax_amount = l.tax_amount * l.shipped_quantity / l.base_quantity, disposition = 'cut'
		WHERE l.customer_id = customer AND l.order_id = id AND l.base_quantity > l.shipped_quantity AND NOT EXISTS (SELECT FROM jsonb_array_elements(o -> 'lines') x WHERE (x ->> 'line')::integer = l.line_no);
		GET DIAGNOSTICS gone = ROW_COUNT;
	END IF;
	IF changed + gone = 0 THEN
		RETURN false;
	END IF;
	PERFORM distsync_internal.order_recount(customer, id, (o ->> 'account_amount')::numeric);
	-- what was offered was another order
	IF distsync_internal.order_end_offer(customer, id, 'withdrawn') THEN
		UPDATE dist.sales_order s SET redecide_at = clock_timestamp() WHERE s.customer_id = customer AND s.order_id = id;
		PERFORM distsync_internal.credit_wake();
	END IF;
	-- what had shipped in full goes on where there is more to ship now
	UPDATE dist.sales_order s SET state = 'booked' WHERE s.customer_id = customer AND s.order_id = id AND s.state IN ('shipped', 'closed')
		AND EXISTS (SELECT FROM dist.order_line l WHERE l.customer_id = customer AND l.order_id = id AND l.base_quantity - l.cancelled_quantity > l.shipped_quantity);
	PERFORM distsync_internal.order_count_volume(customer, id, (o -> 'doc' ->> 'company') || '/' || (o ->> 'order_number'), o -> 'volumes', true, ctx);
	PERFORM distsync_internal.order_fact_demand(o || jsonb_build_object('source', ctx ->> 'source'));
	PERFORM distsync_internal.order_emit(customer, id, 'order.changed', '{}', ctx);
	RETURN true;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_fact_change(jsonb, jsonb) IS 'Replaces the lines of a known order by the owner''s, moves exposure and demand by the difference, emits order.changed. Tells whether anything changed.';

-- order_fact_answer does the owner's word about an order's state.
CREATE FUNCTION distsync_internal.order_fact_answer(customer_id bigint, order_id bigint, state text, owner_number text, reason text, ctx jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	key text;
BEGIN
	SELECT s.*, c.code AS company INTO o FROM dist.sales_order s JOIN dist.company c ON c.company_id = s.company_id WHERE s.customer_id = order_fact_answer.customer_id AND s.order_id = order_fact_answer.order_id;
	key := o.company || '/' || o.order_number;
	IF order_fact_answer.owner_number IS DISTINCT FROM o.owner_number AND order_fact_answer.owner_number IS NOT NULL THEN
		UPDATE dist.sales_order s SET owner_number = order_fact_answer.owner_number WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id;
	ELSIF order_fact_answer.state IS NULL OR order_fact_answer.state = o.state THEN
		RETURN false;
	END IF;
	IF COALESCE(order_fact_answer.state, 'booked') = 'booked' AND o.state IN ('accepted', 'sent') THEN
		UPDATE dist.sales_order s SET state = 'booked', answer_due_at = NULL, version = s.version + 1 WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id;
		PERFORM distsync_internal.order_emit(o.customer_id, o.order_id, 'order.booked', '{}', ctx);
	ELSIF order_fact_answer.state = 'booked' AND o.state = 'held' THEN
		UPDATE dist.sales_order s SET decision = s.decision || '{"resume":"booked"}', version = s.version + 1 WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id;
	ELSIF order_fact_answer.state IN ('rejected', 'cancelled') AND o.state IN ('accepted', 'sent', 'booked', 'held') THEN
		PERFORM distsync_internal.order_end(o.customer_id, o.order_id, order_fact_answer.state, reason);
		IF order_fact_answer.state = 'rejected' THEN
			PERFORM distsync_internal.base_exception('order_rejected', key, 'order', 'error', o.company, 'order', key, jsonb_build_object('reason', reason, 'by', ctx ->> 'source'), NULL, o.gross_amount, o.currency, o.correlation_id);
		END IF;
		PERFORM distsync_internal.order_emit(o.customer_id, o.order_id, 'order.' || order_fact_answer.state, jsonb_build_object('reason', reason), ctx);
	ELSIF o.state IN ('rejected', 'cancelled') AND order_fact_answer.state = 'booked' THEN
		PERFORM distsync_internal.base_exception('answered_late', key, 'order', 'error', o.company, 'order', key, jsonb_build_object('state', o.state, 'answer', order_fact_answer.state, 'owner_number', order_fact_answer.owner_number, 'by', ctx ->> 'source'),
			NULL, o.gross_amount, o.currency, o.correlation_id);
		PERFORM distsync_internal.order_revive(o.customer_id, o.order_id, o.account_id, (o.decision ->> 'account_amount')::numeric, ctx);
	ELSIF order_fact_answer.state = 'closed' THEN
		PERFORM distsync_internal.order_end(o.customer_id, o.order_id, 'closed', reason);
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_fact_answer(bigint, bigint, text, text, text, jsonb) IS
	'Takes an owner''s answer about an order: number, state booked | rejected | cancelled | closed. Rejected gives everything back and opens order_rejected; booked after we gave up revives the order and opens answered_late. The caller holds the locks. Tells whether anything changed.';

-- order_revive does the counting again of an order that its owner took after all.
CREATE FUNCTION distsync_internal.order_revive(customer_id bigint, order_id bigint, account_id bigint, account_amount numeric, ctx jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	UPDATE dist.order_line l SET cancelled_quantity = 0 WHERE l.customer_id = order_revive.customer_id AND l.order_id = order_revive.order_id;
	UPDATE dist.sales_order s SET state = 'booked', credit_state = CASE WHEN s.account_id IS NULL THEN 'none' ELSE 'approved' END WHERE s.customer_id = order_revive.customer_id AND s.order_id = order_revive.order_id;
	PERFORM distsync_internal.order_recount(order_revive.customer_id, order_revive.order_id, order_revive.account_amount);
	PERFORM distsync_internal.order_count_volume(s.customer_id, s.order_id, c.code || '/' || s.order_number, NULL, true, ctx)
	FROM dist.sales_order s JOIN dist.company c ON c.company_id = s.company_id WHERE s.customer_id = order_revive.customer_id AND s.order_id = order_revive.order_id;
	PERFORM distsync_internal.order_fact_demand((SELECT jsonb_build_object('customer_id', s.customer_id, 'order_id', s.order_id, 'order_number', s.order_number, 'source', ctx ->> 'source', 'doc', jsonb_build_object('company', c.code))
		FROM dist.sales_order s JOIN dist.company c ON c.company_id = s.company_id WHERE s.customer_id = order_revive.customer_id AND s.order_id = order_revive.order_id));
	PERFORM distsync_internal.order_emit(order_revive.customer_id, order_revive.order_id, 'order.booked', '{}', ctx);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_revive(bigint, bigint, bigint, numeric, jsonb) IS 'Counts exposure and demand of a rejected or cancelled order again as a fact and sets it booked.';
