-- Deciding again, after credit has let an order go: the accepted promise stands and the order goes on, or another one is offered to its customer.

-- order_end_offer does the ending of an offer that is open.
CREATE FUNCTION distsync_internal.order_end_offer(customer_id bigint, order_id bigint, state text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	UPDATE dist.order_offer f SET state = order_end_offer.state, decided_at = clock_timestamp(), decided_by = session_user
	WHERE f.customer_id = order_end_offer.customer_id AND f.order_id = order_end_offer.order_id AND f.state = 'open';
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_end_offer(bigint, bigint, text) IS 'Ends the open offer of an order: accepted | declined | lapsed | withdrawn. Tells whether there was one. The caller holds the lock of the order.';

-- order_terms does the list of what lines get that have a new price, and when.
CREATE FUNCTION distsync_internal.order_terms(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN jsonb_strip_nulls(jsonb_build_object('priced_at', o -> 'priced_at', 'account_amount', o -> 'account_amount', 'volumes', o -> 'volumes')) || jsonb_build_object('lines', (
		SELECT COALESCE(jsonb_agg(jsonb_build_object('line', l -> 'line', 'unit_price', l -> 'unit_price', 'price_per', l -> 'price_per', 'net_amount', l -> 'net_amount', 'tax_amount', l -> 'tax_amount',
			'agreement', l -> 'agreement', 'price_proof', l -> 'price_proof') ORDER BY (l ->> 'ordinal')::integer), '[]') FROM jsonb_array_elements(o -> 'lines') l WHERE (l ->> 'fresh')::boolean));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_terms(jsonb) IS 'What lines of a document of order_again() with a new price get: {priced_at, account_amount, volumes, lines [{line, unit_price, price_per, net_amount, tax_amount, agreement, price_proof}]}.';

-- order_set_terms does the writing of such terms, and counts again what the order takes of agreed volumes and of credit: no more than it has taken.
CREATE FUNCTION distsync_internal.order_set_terms(customer_id bigint, order_id bigint, terms jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	key text := (SELECT c.code || '/' || s.order_number FROM dist.sales_order s JOIN dist.company c ON c.company_id = s.company_id WHERE s.customer_id = order_set_terms.customer_id AND s.order_id = order_set_terms.order_id);
	o jsonb;
BEGIN
	IF terms -> 'lines' <> '[]' THEN
		UPDATE dist.order_line l SET unit_price = (x ->> 'unit_price')::numeric, price_per = (x ->> 'price_per')::integer, net_amount = (x ->> 'net_amount')::numeric, tax_amount = (x ->> 'tax_amount')::numeric,
			agreement_code = x ->> 'agreement', price_proof = decode(x ->> 'price_proof', 'hex')
		FROM jsonb_array_elements(terms -> 'lines') x WHERE l.customer_id = order_set_terms.customer_id AND l.order_id = order_set_terms.order_id AND l.line_no = (x ->> 'line')::integer;
		UPDATE dist.sales_order s SET net_amount = t.net, tax_amount = t.tax, gross_amount = t.net + t.tax, priced_at = (terms ->> 'priced_at')::timestamptz,
			decision = s.decision || jsonb_build_object('account_amount', terms -> 'account_amount')
		FROM (SELECT sum(l.net_amount) AS net, sum(l.tax_amount) AS tax FROM dist.order_line l WHERE l.customer_id = order_set_terms.customer_id AND l.order_id = order_set_terms.order_id) t
		WHERE s.customer_id = order_set_terms.customer_id AND s.order_id = order_set_terms.order_id;
		PERFORM distsync_internal.order_drop_volume(key, ARRAY(SELECT (x ->> 'line')::integer FROM jsonb_array_elements(terms -> 'lines') x), terms -> 'volumes');
		PERFORM distsync_internal.order_count_volume(order_set_terms.customer_id, order_set_terms.order_id, key, terms -> 'volumes');
	END IF;
	o := distsync_internal.order_again(order_set_terms.customer_id, order_set_terms.order_id);
	PERFORM distsync_internal.order_take_again(o, least(distsync_internal.order_counts(o), (o ->> 'exposure_amount')::numeric), 'redecide');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_set_terms(bigint, bigint, jsonb) IS 'Gives the lines of an order the prices of order_terms(), counts its volumes again and gives back what it counts too much as open order. The caller holds the locks of order and volumes.';

-- order_reprice does the pricing of an order that is decided again, where its policy wants it: lines of which nothing has left, as of now.
CREATE FUNCTION distsync_internal.order_reprice(o jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	asked jsonb := o || jsonb_build_object('priced_at', clock_timestamp(), 'lines', (SELECT jsonb_agg(l.value || jsonb_build_object('expected_price', NULL, 'reprice', (l.value ->> 'quantity')::numeric > 0 AND (l.value ->> 'shipped')::numeric = 0
			AND (l.value ->> 'invoiced')::numeric = 0, 'asked', l.value -> CASE WHEN l.value ->> 'disposition' = 'cut' THEN 'requested_quantity' ELSE 'quantity' END) ORDER BY l.place)
		FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY l(value, place)));
	priced jsonb;
BEGIN
	IF NOT EXISTS (SELECT FROM jsonb_array_elements(asked -> 'lines') l WHERE (l ->> 'reprice')::boolean) THEN
		RETURN o;
	END IF;
	priced := distsync_internal.order_price_again(asked);
	IF priced ? 'volumes' OR EXISTS (SELECT FROM dist.commitment_use u WHERE u.document_key = (o ->> 'company') || '/' || (o ->> 'order_number')) THEN
		priced := distsync_internal.order_take_volume(asked, priced);
	END IF;
	-- a line that has no price any more keeps the one that was accepted
	priced := priced || jsonb_build_object('lines', (SELECT jsonb_agg(CASE WHEN x.value ? 'unpriced' THEN l.value ELSE x.value || jsonb_build_object('disposition', l.value -> 'disposition', 'expected_price', l.value -> 'expected_price') - 'reason' END ORDER BY l.place)
		FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY l(value, place) JOIN jsonb_array_elements(priced -> 'lines') WITH ORDINALITY x(value, place) ON x.place = l.place));
	PERFORM distsync_internal.pricing_keep_proof((o ->> 'customer_id')::bigint, priced ->> 'price_proof', priced -> 'price_document');
	RETURN distsync_internal.order_total_again(priced);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_reprice(jsonb) IS 'Prices a document of order_again() as of now, under the locks of the agreed volumes it uses, and adds it up; keeps the proof. Lines of which something has left or is billed, and those without a price now, keep theirs.';

-- order_price_changes does the list of lines whose price is another than accepted, by more than the policy lets pass.
CREATE FUNCTION distsync_internal.order_price_changes(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT COALESCE(jsonb_agg(jsonb_build_object('line', l -> 'line', 'item', l -> 'item', 'field', 'price', 'before', l -> 'was' -> 'net_amount', 'after', l -> 'net_amount', 'unit_price', l -> 'unit_price', 'price_per', l -> 'price_per') ORDER BY (l ->> 'ordinal')::integer), '[]')
		FROM jsonb_array_elements(o -> 'lines') l WHERE (l ->> 'fresh')::boolean
			AND abs((l ->> 'net_amount')::numeric - (l -> 'was' ->> 'net_amount')::numeric) > (l -> 'was' ->> 'net_amount')::numeric * COALESCE((o -> 'policy' ->> 'price_tolerance')::numeric, 0) / 100);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_price_changes(jsonb) IS 'Lines with a new price whose net amount differs from that accepted (was) by more than policy price_tolerance: [{line, item, field: price, before, after, unit_price, price_per}].';

-- order_restock does the promising again of what an order has not: all of it where it gave its stock back, else what others have taken.
CREATE FUNCTION distsync_internal.order_restock(o jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n jsonb := o || jsonb_build_object('policy', (o -> 'policy') || '{"shortage":"backorder","all_or_none":false}', 'lines', (SELECT jsonb_agg(l.value || jsonb_build_object('want', (l.value ->> 'base_quantity')::numeric > (l.value ->> 'cancelled')::numeric
			+ (l.value ->> 'shipped')::numeric AND (o ->> 'stock' = 'released' OR l.value ->> 'disposition' <> 'backorder')) ORDER BY l.place) FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY l(value, place)));
BEGIN
	PERFORM distsync_internal.order_lock_again(n);
	PERFORM distsync_internal.inventory_turn(distsync_internal.order_keys((o ->> 'customer_id')::bigint, (o ->> 'order_id')::bigint), 'hard');
	n := distsync_internal.order_promise_again(distsync_internal.order_had(n));
	n := n || jsonb_build_object('lines', (SELECT jsonb_agg(l.value || CASE WHEN (l.value ->> 'promised')::boolean THEN jsonb_build_object('later', CASE WHEN (l.value ->> 'covered')::boolean
			THEN (l.value ->> 'promised_at')::timestamptz > greatest((l.value -> 'was' ->> 'promised_at')::timestamptz, clock_timestamp(), COALESCE((l.value ->> 'requested_at')::timestamptz, (o ->> 'requested_at')::timestamptz)) AND l.value -> 'was' ->> 'promised_at' IS NOT NULL
			ELSE l.value -> 'was' ->> 'disposition' <> 'backorder' END) ELSE '{}' END ORDER BY l.place) FROM jsonb_array_elements(n -> 'lines') WITH ORDINALITY l(value, place)));
	PERFORM distsync_internal.order_keep_promise(n);
	UPDATE dist.sales_order s SET decision = s.decision || '{"stock":"kept"}' WHERE s.customer_id = (o ->> 'customer_id')::bigint AND s.order_id = (o ->> 'order_id')::bigint;
	RETURN (SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('line', l -> 'line', 'item', l -> 'item', 'field', 'date', 'backordered', l -> 'backordered'))
			|| jsonb_build_object('before', l -> 'was' -> 'promised_at', 'after', l -> 'promised_at') ORDER BY (l ->> 'ordinal')::integer), '[]')
		FROM jsonb_array_elements(n -> 'lines') l WHERE (l ->> 'later')::boolean);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_restock(jsonb) IS
	'Promises again what a document of order_again() with was has not of its stock, and makes what was soft hard; what is short now is back-ordered. Takes the locks of stock. Returns the lines that are later than accepted: [{line, item, field: date, before, after (null = not foreseen), backordered}].';

-- order_offer does the offering of another promise.
CREATE FUNCTION distsync_internal.order_offer(o jsonb, changes jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	customer bigint := (o ->> 'customer_id')::bigint;
	id bigint := (o ->> 'order_id')::bigint;
	lapses timestamptz := clock_timestamp() + COALESCE(o -> 'policy' ->> 'offer_within', '3 days')::interval;
	before numeric := (SELECT s.gross_amount FROM dist.sales_order s WHERE s.customer_id = customer AND s.order_id = id);
BEGIN
	INSERT INTO dist.order_offer (customer_id, order_id, changes, terms, gross_before, gross_after, lapses_at)
	VALUES (customer, id, changes, distsync_internal.order_terms(o), before, (o ->> 'gross_amount')::numeric, lapses);
	IF o ? 'volumes' THEN
		PERFORM distsync_internal.order_count_volume(customer, id, (o ->> 'company') || '/' || (o ->> 'order_number'), o -> 'volumes');
	END IF;
	UPDATE dist.sales_order s SET redecide_at = NULL, version = s.version + 1 WHERE s.customer_id = customer AND s.order_id = id;
	PERFORM distsync_internal.order_emit(customer, id, 'order.offer', jsonb_build_object('offer', jsonb_build_object('changes', changes, 'gross_before', before, 'gross_after', o -> 'gross_amount', 'lapses_at', lapses)));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_offer(jsonb, jsonb) IS
	'Offers an order that was decided again to its customer until policy offer_within (3 days) is over: keeps its terms, takes the agreed volumes they use, emits order.offer {changes, gross_before, gross_after, lapses_at}. The caller holds the locks.';

-- order_redecide does the deciding again of an order that credit has let go.
CREATE FUNCTION distsync_internal.order_redecide(customer_id bigint, order_id bigint, beside jsonb DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s record;
	o jsonb;
	changes jsonb := '[]';
	later jsonb := '[]';
	decision jsonb;
	asks boolean;
BEGIN
	SELECT x.* INTO s FROM dist.sales_order x WHERE x.customer_id = order_redecide.customer_id AND x.order_id = order_redecide.order_id;
	IF s.redecide_at IS NULL OR s.state <> 'held' OR s.credit_state <> 'released' THEN
		-- it was held again, or has left: it is decided when it is let go
		UPDATE dist.sales_order x SET redecide_at = NULL WHERE x.customer_id = s.customer_id AND x.order_id = s.order_id AND x.redecide_at IS NOT NULL;
		RETURN s.state;
	END IF;
	o := distsync_internal.order_again(s.customer_id, s.order_id);
	o := o || jsonb_build_object('beside', beside, 'lines', (SELECT jsonb_agg(l.value || jsonb_build_object('was', l.value) ORDER BY l.place) FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY l(value, place)));
	IF s.policy ->> 'reprice' IN ('offer', 'take') AND s.decision ->> 'resume' IS NULL THEN
		o := distsync_internal.order_reprice(o);
		changes := distsync_internal.order_price_changes(o);
	END IF;
	asks := changes <> '[]' AND s.policy ->> 'reprice' = 'offer';
	decision := distsync_internal.order_take_again(o, greatest(distsync_internal.order_counts(o), s.exposure_amount), 'redecide');
	IF decision ->> 'outcome' = 'held' THEN
		PERFORM distsync_internal.order_hold_again(s.customer_id, s.order_id, distsync_internal.order_counts(o), decision, 'entry');
		RETURN 'held';
	END IF;
	IF s.decision ->> 'stock' IN ('released', 'soft') THEN
		later := distsync_internal.order_restock(o);
		asks := asks OR later <> '[]' AND s.policy ->> 'repromise' IS DISTINCT FROM 'take';
	END IF;
	IF asks THEN
		PERFORM distsync_internal.order_offer(o, changes || later);
		RETURN 'offered';
	END IF;
	PERFORM distsync_internal.base_exception('price_changed', (o ->> 'company') || '/' || s.order_number || '/' || (c ->> 'line'), 'price', 'warning', o ->> 'company', 'order', (o ->> 'company') || '/' || s.order_number,
		jsonb_build_object('line', c -> 'line', 'item', c -> 'item', 'expected', c -> 'before', 'price', c -> 'after'), NULL, abs((c ->> 'after')::numeric - (c ->> 'before')::numeric), s.currency, s.correlation_id)
	FROM jsonb_array_elements(changes) c;
	PERFORM distsync_internal.order_set_terms(s.customer_id, s.order_id, distsync_internal.order_terms(o));
	RETURN distsync_internal.order_go_on(s.customer_id, s.order_id, COALESCE(s.decision -> 'released', '{}'), '{}');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_redecide(bigint, bigint, jsonb) IS
	'Decides price (policy reprice) and stock again of an order that credit has let go, where that is due: it goes on with order.released, is offered to its customer (order.offer) where price or date is another than accepted, or held again where credit does not allow a higher amount. Returns its state, or offered. The caller holds the locks of order_lock() and goes on with order_settle(); takes those of volumes and stock.';

-- answer_offer does the customer's answer to another promise.
CREATE FUNCTION distsync.answer_offer(order_number text, accept boolean, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('order_number', order_number, 'accept', accept, 'options', CASE WHEN jsonb_typeof(options) = 'object' THEN options - 'idempotency_key' ELSE options END);
	source text;
	key_source text;
	answer jsonb;
	f record;
	o record;
	offer record;
BEGIN
	PERFORM distsync_internal.order_scope_order(order_number, CASE WHEN jsonb_typeof(options) = 'object' THEN options - 'idempotency_key' ELSE options END);
	source := distsync_internal.order_source(options);
	key_source := distsync_internal.order_key_source(source, order_number);
	answer := distsync_internal.base_answered(key_source, 'answer_offer', options ->> 'idempotency_key', request);
	IF answer IS NOT NULL THEN
		RETURN answer;
	END IF;
	IF accept IS NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', 'accept', 'an offer is accepted or declined', 'Send true or false.');
	END IF;
	SELECT * INTO f FROM distsync_internal.order_find(answer_offer.order_number, options, '{idempotency_key:text,source:text}');
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	SELECT s.* INTO o FROM dist.sales_order s WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id;
	SELECT x.* INTO offer FROM dist.order_offer x WHERE x.customer_id = f.customer_id AND x.order_id = f.order_id AND x.state = 'open';
	IF NOT FOUND OR offer.lapses_at <= clock_timestamp() OR o.state <> 'held' OR o.credit_state <> 'released' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD070', MESSAGE = format('order "%s" has no open offer', o.order_number), COLUMN = 'order_number', DETAIL = format('Field: order_number. State: %s.', o.state),
			HINT = 'An offer is answered once, until it lapses; order_status tells what became of it.';
	END IF;
	PERFORM distsync_internal.order_end_offer(f.customer_id, f.order_id, CASE WHEN accept THEN 'accepted' ELSE 'declined' END);
	IF accept THEN
		PERFORM distsync_internal.order_lock_volume(f.company || '/' || o.order_number);
		PERFORM distsync_internal.order_set_terms(f.customer_id, f.order_id, offer.terms);
		PERFORM distsync_internal.order_go_on(f.customer_id, f.order_id, COALESCE(o.decision -> 'released', '{}') || '{"offer":"accepted"}', jsonb_build_object('source', NULLIF(source, 'distsync')));
	ELSE
		PERFORM distsync_internal.order_end(f.customer_id, f.order_id, 'cancelled', 'offer declined');
		PERFORM distsync_internal.order_emit(f.customer_id, f.order_id, 'order.cancelled', '{"reason":"offer declined"}', jsonb_build_object('source', NULLIF(source, 'distsync')));
	END IF;
	PERFORM distsync_internal.order_settle(f.account_id, 'answer_offer', jsonb_build_object('correlation_id', o.correlation_id));
	answer := (SELECT jsonb_build_object('order_number', s.order_number, 'state', s.state, 'currency', s.currency, 'gross_amount', s.gross_amount, 'correlation_id', s.correlation_id)
		FROM dist.sales_order s WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id);
	PERFORM distsync_internal.base_audit('answer_offer', 'order', f.company || '/' || o.order_number, jsonb_build_object('state', o.state, 'gross_amount', o.gross_amount), answer || jsonb_build_object('accept', accept), NULL, o.correlation_id);
	PERFORM distsync_internal.base_answer(key_source, 'answer_offer', options ->> 'idempotency_key', request, answer);
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync.answer_offer(text, boolean, jsonb) IS
	'Answers the open offer of an order (event order.offer): accepted, its lines get the prices and dates offered and it goes on with order.released; declined, it is cancelled and gives everything back (order.cancelled). Options: company, source, idempotency_key. Returns {order_number, state, currency, gross_amount, correlation_id}. Errors: SD001 unknown, SD005, SD010 key with another request, SD022 source, SD070 no offer is open, or it has lapsed.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('answer_offer', '{order_entry,integrator,operator,admin,portal}');
