-- The entity order, and the owner's reply to our message.

-- order_apply_one does the taking of one read order.
CREATE FUNCTION distsync_internal.order_apply_one(o jsonb, ctx jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	changed boolean := false;
	answered boolean;
BEGIN
	IF NOT (o ->> 'known')::boolean THEN
		PERFORM distsync_internal.order_fact_new(o, ctx);
		RETURN true;
	END IF;
	IF o -> 'lines' <> '[]' AND NOT EXISTS (SELECT FROM dist.sales_order s WHERE s.customer_id = (o ->> 'customer_id')::bigint AND s.order_id = (o ->> 'order_id')::bigint AND s.state IN ('cancelled', 'rejected', 'closed')) THEN
		changed := distsync_internal.order_fact_change(o, ctx);
	END IF;
	answered := distsync_internal.order_fact_answer((o ->> 'customer_id')::bigint, (o ->> 'order_id')::bigint, o ->> 'state', o ->> 'owner_number', o ->> 'reason', ctx);
	RETURN changed OR answered;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_apply_one(jsonb, jsonb) IS 'Takes one read order of its owner: new, changed, answered. Tells whether anything changed. The caller holds the locks.';

-- order_apply_order does the handling of the entity.
CREATE FUNCTION distsync_internal.order_apply_order(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d jsonb;
	t record;
	ready jsonb[] := '{}';
	key text;
	changed boolean;
BEGIN
	IF ctx ->> 'operation' = 'deactivate' THEN
		docs := (SELECT jsonb_agg(x || jsonb_build_object('doc', jsonb_build_object('company', x -> 'doc' -> 'company', 'order_number', x -> 'doc' -> 'order_number', 'state', 'cancelled'))) FROM jsonb_array_elements(docs) x);
	END IF;
	FOR d IN SELECT r FROM distsync_internal.order_resolve(docs, ctx ->> 'source') r LOOP
		key := (d -> 'doc' ->> 'company') || '/' || (d -> 'doc' ->> 'order_number');
		IF d ->> 'company_id' IS NULL THEN
			RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', key, 'SD001', 'company', format('unknown company "%s"', d -> 'doc' ->> 'company'), 'Send the company first.');
			CONTINUE;
		END IF;
		SELECT * INTO t FROM distsync_internal.order_try('order', d, ctx ->> 'source', key);
		IF (t.bad).outcome IS NOT NULL THEN
			RETURN NEXT t.bad;
			CONTINUE;
		END IF;
		ready := ready || t.read;
	END LOOP;
	PERFORM distsync_internal.order_lock_many(to_jsonb(ready), true, true);
	FOREACH d IN ARRAY ready LOOP
		-- the same order may come twice in one call
		IF d ->> 'order_id' IS NULL AND EXISTS (SELECT FROM dist.sales_order s WHERE s.company_id = (d ->> 'company_id')::bigint AND s.kind = 'order' AND s.order_number = d ->> 'order_number') THEN
			d := distsync_internal.order_fact_read(d - 'known' - 'lines', ctx ->> 'source');
		END IF;
		changed := distsync_internal.order_apply_one(d, ctx);
		RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, CASE WHEN changed THEN 'applied' ELSE 'unchanged' END, (d -> 'doc' ->> 'company') || '/' || (d ->> 'order_number'));
	END LOOP;
	PERFORM distsync_internal.credit_settle(ARRAY(SELECT DISTINCT (x ->> 'account_id')::bigint FROM unnest(ready) x WHERE x ->> 'account_id' IS NOT NULL), 'order', ctx);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_apply_order(jsonb, jsonb) IS
	'Handler of the entity order: new orders of their owner (counted at once, over the limit opens over_limit), changes of lines, answers (owner_number, state). Rejects what can not be read (SD001 to SD006).';

-- order_replied does the taking of the owner's reply to order.accepted or order.released: his number for it, or that he does not want it.
CREATE FUNCTION distsync_internal.order_replied(context jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o record;
	reply jsonb := context -> 'reply';
	company text := regexp_replace(context ->> 'entity_key', '/[^/]*$', '');
	told text := reply ->> 'state';
	whole boolean;
BEGIN
	IF context ->> 'event_type' NOT IN ('order.accepted', 'order.released') OR context ->> 'entity' <> 'order' OR jsonb_typeof(reply) IS DISTINCT FROM 'object'
		OR context ->> 'system' <> ALL (distsync_internal.order_owner(company)) THEN
		RETURN;
	END IF;
	SELECT s.customer_id, s.order_id, s.account_id, s.state, s.order_number INTO o FROM dist.sales_order s JOIN dist.company c ON c.company_id = s.company_id
	WHERE c.code = company AND s.kind = 'order' AND s.order_number = regexp_replace(context ->> 'entity_key', '^.*/', '');
	IF NOT FOUND THEN
		RETURN;
	END IF;
	-- what gives back or counts again takes accounts, order, volumes and stock, in this order; what only notes the answer takes the order
	whole := told IN ('rejected', 'cancelled') OR o.state IN ('rejected', 'cancelled');
	IF whole THEN
		PERFORM distsync_internal.order_lock_many(jsonb_build_array(jsonb_build_object('account_id', o.account_id, 'customer_id', o.customer_id, 'order_id', o.order_id, 'order_number', o.order_number,
			'doc', jsonb_build_object('company', company), 'lines', '[]'::jsonb)), true, true);
	ELSE
		PERFORM FROM dist.sales_order s WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id FOR NO KEY UPDATE;
		IF (SELECT s.state FROM dist.sales_order s WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id) IN ('rejected', 'cancelled') THEN
			RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = format('order "%s" was given up while its answer came', o.order_number), DETAIL = 'The answer needs more locks now.', HINT = 'Bring the answer again.';
		END IF;
	END IF;
	IF reply ->> 'order_number' IS NULL AND told IS NULL THEN
		UPDATE dist.sales_order s SET state = 'sent' WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id AND s.state = 'accepted';
		RETURN;
	END IF;
	PERFORM distsync_internal.order_fact_answer(o.customer_id, o.order_id, CASE WHEN told IN ('rejected', 'cancelled') THEN told ELSE 'booked' END, reply ->> 'order_number', reply ->> 'reason',
		jsonb_strip_nulls(jsonb_build_object('source', context -> 'system', 'causation_id', context -> 'message_id')));
	IF whole THEN
		PERFORM distsync_internal.order_settle(o.account_id, 'order', jsonb_build_object('correlation_id', context -> 'correlation_id'));
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_replied(jsonb) IS
	'Hook outbox.replied: a reply of the order''s owner with order_number books the order, one with state rejected (and reason) gives everything back; any other reply marks it sent. Replies of other systems mean nothing here. Errors: 40001 it was given up meanwhile, the courier brings the answer again.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('entity', 'order', 'distsync_internal.order_apply_order'),
	('hook', 'outbox.replied', 'distsync_internal.order_replied');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES ('order', '{company,order_number}', 'order', 'An order of its owner: taken there, changed there, or his answer to ours.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('order', 'company', 'code', true, 'any', 'Company that sells.', NULL, false),
	('order', 'order_number', 'code', true, 'any', 'Our number, or the owner''s; without slash.', NULL, false),
	('order', 'owner_number', 'code', false, 'any', 'Number in the system that owns orders.', NULL, false),
	('order', 'state', 'code', false, 'any', 'Absent = booked.', '{accepted,sent,booked,rejected,cancelled,closed}', false),
	('order', 'reason', 'text', false, 'any', 'Why it was rejected or cancelled.', NULL, false),
	('order', 'customer', 'code', false, 'any', 'Sold-to.', NULL, true),
	('order', 'payer', 'code', false, 'any', 'Who pays, absent = the customer''s payer.', NULL, false),
	('order', 'ship_to', 'code', false, 'any', 'Ship-to, absent = the customer.', NULL, false),
	('order', 'job', 'code', false, 'any', 'Job.', NULL, false),
	('order', 'channel', 'code', false, 'any', 'Channel.', NULL, false),
	('order', 'currency', 'currency', false, 'any', 'Currency, absent = the customer''s or the company''s.', NULL, false),
	('order', 'customer_po', 'text', false, 'any', 'The customer''s order number.', NULL, false),
	('order', 'payment_terms', 'text', false, 'any', 'Terms it asks for, absent = the payer''s.', NULL, false),
	('order', 'ordered_at', 'instant', false, 'any', 'When it was placed.', NULL, false),
	('order', 'requested_at', 'instant', false, 'any', 'When it is wanted.', NULL, false),
	('order', 'lines', 'list', false, 'any', 'All lines; what is not among them is cancelled.', NULL, true),
	('order', 'lines[].line', 'integer', false, 'positive', 'Number of the line, absent = its place.', NULL, false),
	('order', 'lines[].item', 'code', true, 'any', 'Item.', NULL, false),
	('order', 'lines[].quantity', 'quantity', true, 'positive', 'Quantity in unit.', NULL, false),
	('order', 'lines[].unit', 'unit', false, 'any', 'Unit, absent = base unit.', NULL, false),
	('order', 'lines[].unit_price', 'price', false, 'nonnegative', 'The owner''s price.', NULL, false),
	('order', 'lines[].price_per', 'integer', false, 'positive', 'The price is for 1, 100 or 1000 units.', NULL, false),
	('order', 'lines[].net_amount', 'amount', false, 'any', 'Extension, absent = quantity × price.', NULL, false),
	('order', 'lines[].agreement', 'code', false, 'any', 'Agreement whose volume the line uses; absent = those that would decide our price.', NULL, false),
	('order', 'lines[].tax_code', 'text', false, 'any', 'Tax code.', NULL, false),
	('order', 'lines[].tax_amount', 'amount', false, 'nonnegative', 'Tax of the line.', NULL, false),
	('order', 'lines[].site', 'code', false, 'any', 'Site that serves it.', NULL, false),
	('order', 'lines[].expected_price', 'price', false, 'nonnegative', 'Price the customer expects.', NULL, false),
	('order', 'lines[].requested_at', 'instant', false, 'any', 'When it is wanted.', NULL, false);
