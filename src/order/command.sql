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
