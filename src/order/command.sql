-- What a command may not say of an order though its owner may: commands ask, we decide.

-- order_command does the checks of a document that a command brings, beside those of its shape.
CREATE FUNCTION distsync_internal.order_command(document jsonb, o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	field text;
BEGIN
	SELECT format('lines[%s].%s', l.place - 1, f.name) INTO field
	FROM jsonb_array_elements(document -> 'lines') WITH ORDINALITY l(value, place), unnest(ARRAY['net_amount', 'unit_price', 'price_per']) WITH ORDINALITY f(name, place)
	WHERE l.value ->> f.name IS NOT NULL ORDER BY l.place, f.place LIMIT 1;
	IF field IS NOT NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', field, 'the price of an order is decided, not told', 'Leave it out; say in expected_price which price the customer expects.');
	END IF;
	RETURN o;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_command(jsonb, jsonb) IS
	'An order document of a command as order_read() reads it, after the checks of what only its owner may say: SD005 net_amount, unit_price or price_per of a line.';

-- order_lock_po does the locking of a customer's PO number while an order with it is taken, so that of two at once the second sees the
-- first. It comes with the keys, before all other locks; where policy allows duplicates they do not wait for each other.
CREATE FUNCTION distsync_internal.order_lock_po(o jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key bigint := hashtextextended(format('distsync.po:%s:%s', o ->> 'customer_id', o ->> 'customer_po'), 0);
BEGIN
	IF o ->> 'customer_po' IS NULL THEN
		RETURN;
	ELSIF o -> 'policy' ->> 'duplicate_po' = 'allow' THEN
		PERFORM pg_advisory_xact_lock_shared(key);
	ELSE
		PERFORM pg_advisory_xact_lock(key);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_lock_po(jsonb) IS 'Locks the customer''s PO number of a read order until the end of the transaction, shared where policy duplicate_po is allow; nothing without one.';
