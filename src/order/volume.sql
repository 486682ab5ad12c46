-- What orders use of agreed volumes. A use is a function of the line and of what was billed for it, so that counting again changes
-- nothing: submit and facts take, cut, cancel, reject and close give back, invoices and memos correct, shipments move nothing.

-- order_volumes does the list of the volumes that the lines of a priced order use.
CREATE FUNCTION distsync_internal.order_volumes(lines jsonb, currency text, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT jsonb_agg(jsonb_build_object('agreement_id', a.agreement_id, 'line', l -> 'line', 'rate', distsync_internal.pricing_commitment_rate(order_volumes.currency, a.currency, at)) ORDER BY a.agreement_id, (l ->> 'line')::integer)
	FROM jsonb_array_elements(lines) l CROSS JOIN LATERAL jsonb_array_elements(l -> 'price_detail' -> 'commitments') c JOIN dist.agreement a ON a.code = c ->> 'agreement'
	WHERE (c ->> 'uses')::boolean AND l ->> 'disposition' <> 'reject');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_volumes(jsonb, text, timestamptz) IS 'Volumes [{agreement_id, line, rate: the agreement''s currency for one of the order''s}] that priced lines use, NULL = none.';

-- order_take_volume does the pricing of an order again under the locks of the volumes it uses: from here on nobody else takes of them. If
-- the new price uses others too, everything is let go and all are locked at once, so that locks are always taken in one order.
CREATE FUNCTION distsync_internal.order_take_volume(asked jsonb, priced jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o jsonb := priced;
	wanted bigint[] := '{}';
	again boolean := COALESCE((asked ->> 'again')::boolean, false);
	more bigint[] := ARRAY(SELECT DISTINCT (v ->> 'agreement_id')::bigint FROM jsonb_array_elements(priced -> 'volumes') v);
BEGIN
	-- an order that is decided again uses some already
	IF again THEN
		more := more || distsync_internal.pricing_commitment_of(ARRAY[(asked ->> 'company') || '/' || (asked ->> 'order_number')]);
	END IF;
	WHILE more <> '{}' LOOP
		wanted := wanted || more;
		BEGIN
			PERFORM distsync_internal.pricing_commitment_lock(wanted);
			o := CASE WHEN again THEN distsync_internal.order_price_again(asked) ELSE distsync_internal.order_total(distsync_internal.order_price(asked)) END;
			more := ARRAY(SELECT DISTINCT (v ->> 'agreement_id')::bigint FROM jsonb_array_elements(o -> 'volumes') v WHERE (v ->> 'agreement_id')::bigint <> ALL (wanted));
			IF more <> '{}' THEN
				RAISE EXCEPTION USING ERRCODE = 'SD071', MESSAGE = 'the order uses other volumes now', DETAIL = 'Their locks are taken together.', HINT = 'It is tried again.';
			END IF;
		EXCEPTION WHEN SQLSTATE 'SD071' THEN
			NULL;
		END;
	END LOOP;
	RETURN o;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_take_volume(jsonb, jsonb) IS
	'Locks the volumes a priced order uses, or used before (a document of order_again()), and prices it again (asked: the order as it was read), until it uses none that is not locked. Returns the order as it is priced then; its volumes are its own until the transaction ends.';

-- order_volume_lines does the reckoning of what lines of an order count: what is ordered and not cancelled, or billed if that is more, less what was credited.
CREATE FUNCTION distsync_internal.order_volume_lines(customer_id bigint, order_id bigint) RETURNS TABLE (line_no integer, quantity numeric, amount numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT l.line_no, greatest(greatest(l.base_quantity - l.cancelled_quantity, COALESCE(b.billed, 0)) - COALESCE(b.credited, 0), 0),
		greatest(COALESCE(b.net, 0) + CASE WHEN l.base_quantity > 0 THEN l.net_amount * greatest(l.base_quantity - l.cancelled_quantity - COALESCE(b.billed, 0), 0) / l.base_quantity ELSE 0 END, 0)
	FROM dist.order_line l JOIN dist.sales_order o ON o.customer_id = l.customer_id AND o.order_id = l.order_id
	LEFT JOIN LATERAL (
		SELECT sum(x.base_quantity) FILTER (WHERE i.kind = 'invoice') AS billed, sum(x.base_quantity) FILTER (WHERE i.kind = 'credit_memo') AS credited,
			sum(CASE i.kind WHEN 'credit_memo' THEN -1 ELSE 1 END * CASE WHEN i.currency = o.currency THEN x.net_amount WHEN l.base_quantity > 0 THEN l.net_amount * COALESCE(x.base_quantity, 0) / l.base_quantity ELSE 0 END)
				FILTER (WHERE i.kind <> 'invoice' OR x.base_quantity IS NOT NULL) AS net
		FROM dist.invoice i JOIN dist.invoice_line x ON x.customer_id = i.customer_id AND x.invoice_id = i.invoice_id
		WHERE i.order_id = l.order_id AND i.status = 'posted' AND x.order_line_no = l.line_no) b ON true
	WHERE l.customer_id = order_volume_lines.customer_id AND l.order_id = order_volume_lines.order_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_volume_lines(bigint, bigint) IS
	'What each line of an order counts of an agreed volume: base units, and net amount in the order''s currency, unrounded. Invoice lines with a quantity count as billed instead of as ordered, credit memos are taken off, debit memos added, what is void counts for nothing; documents in another currency count at the order''s price.';

-- order_count_volume does the counting of an order's volumes, or counting them again after it changed.
CREATE FUNCTION distsync_internal.order_count_volume(customer_id bigint, order_id bigint, key text, volumes jsonb DEFAULT NULL, fact boolean DEFAULT false, context jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	uses jsonb;
	ordered timestamptz;
BEGIN
	IF volumes IS NULL AND NOT EXISTS (SELECT FROM dist.commitment_use u WHERE u.document_key = key) THEN
		RETURN;
	END IF;
	SELECT s.ordered_at INTO ordered FROM dist.sales_order s WHERE s.customer_id = order_count_volume.customer_id AND s.order_id = order_count_volume.order_id;
	SELECT jsonb_agg(jsonb_build_object('agreement_id', u.agreement_id, 'document_key', key, 'line_no', u.line_no, 'rate', u.rate, 'quantity', l.quantity, 'amount', l.amount,
		'used_at', CASE WHEN fact THEN ordered ELSE clock_timestamp() END)) INTO uses
	FROM (
		SELECT w.agreement_id, w.line_no, w.rate FROM dist.commitment_use w WHERE w.document_key = key
		UNION
		SELECT v.agreement_id, v.line, v.rate FROM jsonb_to_recordset(volumes) v(agreement_id bigint, line integer, rate numeric)
		WHERE v.rate IS NOT NULL AND NOT EXISTS (SELECT FROM dist.commitment_use w WHERE w.agreement_id = v.agreement_id AND w.document_key = key AND w.line_no = v.line)) u
	JOIN distsync_internal.order_volume_lines(order_count_volume.customer_id, order_count_volume.order_id) l ON l.line_no = u.line_no;
	IF uses IS NULL THEN
		RETURN;
	END IF;
	PERFORM distsync_internal.pricing_commitment_set(uses);
	PERFORM distsync_internal.pricing_commitment_watch(ARRAY(SELECT DISTINCT (u ->> 'agreement_id')::bigint FROM jsonb_array_elements(uses) u), ordered,
		fact AND NOT COALESCE((context ->> 'backfill')::boolean, false), jsonb_strip_nulls(jsonb_build_object('order', key, 'by', context -> 'source', 'correlation_id', context -> 'correlation_id')));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_count_volume(bigint, bigint, text, jsonb, boolean, jsonb) IS
	'Sets what an order (key: company/order number) uses of agreed volumes to what its lines count now: those it uses already and volumes [{agreement_id, line, rate}] that it uses from now on. fact: its owner said so, beyond a volume over_commitment is opened (not with context.backfill). The caller holds the locks of the volumes.';

-- order_drop_volume does the giving back of volumes that lines with a new price do not use any more.
CREATE FUNCTION distsync_internal.order_drop_volume(key text, lines integer[], volumes jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	gone jsonb := (SELECT jsonb_agg(jsonb_build_object('agreement_id', u.agreement_id, 'document_key', u.document_key, 'line_no', u.line_no)) FROM dist.commitment_use u
		WHERE u.document_key = key AND u.line_no = ANY (lines)
			AND NOT EXISTS (SELECT FROM jsonb_to_recordset(volumes) v(agreement_id bigint, line integer) WHERE v.agreement_id = u.agreement_id AND v.line = u.line_no));
BEGIN
	IF gone IS NOT NULL THEN
		PERFORM distsync_internal.pricing_commitment_drop(gone);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_drop_volume(text, integer[], jsonb) IS 'Gives back the agreed volumes that these lines of an order (company/order number) used and that are not among volumes [{agreement_id, line}]. The caller holds the locks of the volumes.';

-- order_lock_volume does the locking of the volumes that an order uses, before it gives them back.
CREATE FUNCTION distsync_internal.order_lock_volume(key text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM dist.commitment_use u WHERE u.document_key = key) THEN
		PERFORM distsync_internal.pricing_commitment_lock(distsync_internal.pricing_commitment_of(ARRAY[key]));
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_lock_volume(text) IS 'Locks the volumes that an order (company/order number) uses; after its own lock and before stock.';

-- order_fact_volumes does the finding of the volumes that lines of an owner's order use: those of the agreement he names, else of those that would
-- decide the price if nothing were used up. Lines that are known keep theirs.
CREATE FUNCTION distsync_internal.order_fact_volumes(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fresh jsonb;
	priced jsonb;
BEGIN
	IF NOT EXISTS (SELECT FROM dist.agreement_version v WHERE v.commit_quantity IS NOT NULL OR v.commit_amount IS NOT NULL OR v.tier_basis = 'period') THEN
		RETURN NULL;
	END IF;
	SELECT jsonb_agg(l ORDER BY (l ->> 'line')::integer) INTO fresh FROM jsonb_array_elements(o -> 'lines') l
	WHERE (l ->> 'quantity')::numeric > 0 AND NOT EXISTS (SELECT FROM dist.order_line t WHERE t.customer_id = (o ->> 'customer_id')::bigint AND t.order_id = (o ->> 'order_id')::bigint AND t.line_no = (l ->> 'line')::integer);
	IF fresh IS NULL THEN
		RETURN NULL;
	END IF;
	SELECT jsonb_agg(l.value || jsonb_build_object('price_detail', CASE WHEN v.counts THEN jsonb_build_object('commitments', jsonb_build_array(jsonb_build_object('agreement', l.value -> 'agreement', 'uses', true))) WHEN v.counts IS NULL THEN p.detail END)) INTO priced
	FROM jsonb_array_elements(fresh) WITH ORDINALITY l(value, place)
	JOIN distsync_internal.pricing_prices((o ->> 'customer_id')::bigint,
		(SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('item_id', f -> 'item_id', 'quantity', f ->> 'quantity', 'unit', f -> 'unit', 'site', f -> 'site'))) FROM jsonb_array_elements(fresh) f),
		(o ->> 'ordered_at')::timestamptz,
		jsonb_strip_nulls(jsonb_build_object('currency', o -> 'currency', 'company', o -> 'doc' -> 'company', 'channel', o -> 'channel', 'ship_to', o -> 'ship_to', 'job', o -> 'job', 'source', o -> 'source', 'commitment', 'fact'))) p ON p.ordinal = l.place
	LEFT JOIN LATERAL (SELECT EXISTS (SELECT FROM dist.agreement_version x WHERE x.agreement_id = a.agreement_id AND (x.commit_quantity IS NOT NULL OR x.commit_amount IS NOT NULL OR x.tier_basis = 'period')) AS counts
		FROM dist.agreement a WHERE a.code = l.value ->> 'agreement') v ON true;
	RETURN distsync_internal.order_volumes(priced, o ->> 'currency', (o ->> 'ordered_at')::timestamptz);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_fact_volumes(jsonb) IS 'Volumes [{agreement_id, line, rate}] that lines of a read order of its owner use which we do not know yet, NULL = none.';

-- order_verify_volumes does the check that what orders use is what their lines count.
CREATE FUNCTION distsync_internal.order_verify_volumes() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'order_volume', 'order_line', u.document_key || '/' || u.line_no, jsonb_build_object('agreement', a.code, 'quantity', u.quantity, 'line_quantity', l.quantity, 'amount', u.amount, 'line_amount', round(l.amount * u.rate, 4))
	FROM dist.commitment_use u
	JOIN dist.agreement a ON a.agreement_id = u.agreement_id
	LEFT JOIN (dist.sales_order o JOIN dist.company c ON c.company_id = o.company_id) ON u.document_key = c.code || '/' || o.order_number AND o.kind = 'order'
	LEFT JOIN LATERAL distsync_internal.order_volume_lines(o.customer_id, o.order_id) l ON l.line_no = u.line_no
	WHERE (u.quantity, u.amount) IS DISTINCT FROM (l.quantity, round(l.amount * u.rate, 4))
$$;
COMMENT ON FUNCTION distsync_internal.order_verify_volumes() IS 'Uses of agreed volumes that are not what the line of the order counts, or that no line has. No row = all are.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('verify', 'order_volumes', 'distsync_internal.order_verify_volumes');
