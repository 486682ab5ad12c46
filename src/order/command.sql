-- What a command may not say of an order though its owner may: commands ask, we decide.

-- order_check_payer does the check of a payer whom a command names: the customer himself, who pays for him, or who stands above one of
-- these. An account must limit the order where that of his own payer would.
CREATE FUNCTION distsync_internal.order_check_payer(document jsonb, o jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	payer bigint := (o ->> 'payer_id')::bigint;
	customer bigint := (o ->> 'customer_id')::bigint;
BEGIN
	IF document ->> 'payer' IS NULL OR payer = (SELECT COALESCE(p.payer_id, p.party_id) FROM dist.party p WHERE p.party_id = customer) THEN
		RETURN;
	END IF;
	IF NOT EXISTS (
		WITH RECURSIVE up (party_id, parent_id, step) AS (
			SELECT p.party_id, p.parent_id, 1 FROM dist.party c JOIN dist.party p ON p.party_id IN (c.party_id, c.payer_id) WHERE c.party_id = customer
			UNION
			SELECT p.party_id, p.parent_id, up.step + 1 FROM up JOIN dist.party p ON p.party_id = up.parent_id WHERE up.step <= 16)
		SELECT FROM up WHERE up.party_id = payer) THEN
		PERFORM distsync_internal.order_refuse('SD002', 'payer', format('"%s" does not pay for "%s"', document ->> 'payer', o ->> 'customer'), 'Name the customer, who pays for him or who stands above these, or leave payer out.');
	ELSIF o ->> 'account_id' IS NULL AND distsync_internal.credit_account_for(customer, (o ->> 'company_id')::bigint) IS NOT NULL THEN
		PERFORM distsync_internal.order_refuse('SD002', 'payer', format('"%s" has no credit account', document ->> 'payer'), 'Open an account for who pays, or leave payer out.');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_check_payer(jsonb, jsonb) IS 'Checks the payer that a read order of a command names. Errors: SD002 who has nothing to do with the customer, or has no account where the customer has one.';

-- order_check_quantity does the check of how much a command may want in one line: a number that is read from the wrong field (a bar code)
-- would take all there is, and many of them what the books of an item can hold.
CREATE FUNCTION distsync_internal.order_check_quantity(base numeric, field text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF base > 1000000000 THEN
		PERFORM distsync_internal.order_refuse('SD002', field, format('%s base units are too many for a line', trim_scale(base)), 'Check the quantity: a line is at most 1000000000 base units.');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_check_quantity(numeric, text) IS 'Checks the quantity of a line that a command wants, base units. Errors: SD002 above 1000000000.';

-- order_command does the checks of a document that a command brings, beside those of its shape.
CREATE FUNCTION distsync_internal.order_command(document jsonb, o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	field text;
	at timestamptz := (o ->> 'ordered_at')::timestamptz;
	t timestamptz := clock_timestamp();
BEGIN
	SELECT format('lines[%s].%s', l.place - 1, f.name) INTO field
	FROM jsonb_array_elements(document -> 'lines') WITH ORDINALITY l(value, place), unnest(ARRAY['net_amount', 'unit_price', 'price_per']) WITH ORDINALITY f(name, place)
	WHERE l.value ->> f.name IS NOT NULL ORDER BY l.place, f.place LIMIT 1;
	IF field IS NOT NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', field, 'the price of an order is decided, not told', 'Leave it out; say in expected_price which price the customer expects.');
	END IF;
	PERFORM distsync_internal.order_check_quantity((l ->> 'base_quantity')::numeric, format('lines[%s].quantity', (l ->> 'ordinal')::integer - 1)) FROM jsonb_array_elements(o -> 'lines') l;
	PERFORM distsync_internal.order_check_payer(document, o);
	IF at < t - COALESCE(o -> 'policy' ->> 'backdate', '1 day')::interval THEN
		PERFORM distsync_internal.order_refuse('SD002', 'ordered_at', format('"%s" is too long ago', document ->> 'ordered_at'), 'Send the order in time, or leave the date out; how far back it may be is policy backdate of the customer.',
			format('At most %s.', COALESCE(o -> 'policy' ->> 'backdate', '1 day')));
	ELSIF at > t + (CASE WHEN length(document ->> 'ordered_at') = 10 THEN interval '1 day' ELSE interval '5 minutes' END) THEN
		PERFORM distsync_internal.order_refuse('SD002', 'ordered_at', format('"%s" is in the future', document ->> 'ordered_at'), 'Say in requested_at when it is wanted, and leave ordered_at out.');
	END IF;
	-- a clock that is ahead of ours, or a day that has not begun where we sell
	RETURN o || jsonb_build_object('ordered_at', least(at, t));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_command(jsonb, jsonb) IS
	'An order document of a command as order_read() reads it, after the checks of what only its owner may say. Errors: SD005 net_amount, unit_price or price_per of a line, SD002 payer who does not pay for the customer, ordered_at longer ago than policy backdate of the customer (1 day) or in the future; up to five minutes ahead is now.';

-- order_source does the telling of where a command comes from: people, or a system where orders are taken. Whoever sends it is not told
-- of it, so it may not be the owner of orders, who must hear of it, nor, unless goods leave, who handles them.
CREATE FUNCTION distsync_internal.order_source(document jsonb, ships boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	told text := document ->> 'source';
	what text;
BEGIN
	IF told IS NULL OR told = 'distsync' THEN
		RETURN 'distsync';
	END IF;
	SELECT s.kind INTO what FROM sync.system s WHERE s.code = told AND s.status = 'active';
	IF NOT FOUND THEN
		PERFORM distsync_internal.order_refuse('SD022', 'source', format('unknown source "%s"', told), 'Add the system first, or leave source out.');
	ELSIF what IN ('credit', 'bank') OR NOT ships AND what IN ('wms', 'transport')
		OR told = ANY (distsync_internal.order_owner(COALESCE(document ->> 'company', (SELECT min(c.code) FROM dist.company c WHERE c.status = 'active' HAVING count(*) = 1)))) THEN
		PERFORM distsync_internal.order_refuse('SD022', 'source', format('system "%s" gives no such command', told), 'Name the system where it was given, or leave source out; what its owner says is a fact: send it through apply().');
	END IF;
	RETURN told;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_source(jsonb, boolean) IS
	'Code of the active system a command document names as source, distsync if none. It must not be the owner of the company''s orders, a bank or a credit platform, and, unless it ships, no warehouse and no carrier. Errors: SD022.';

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
