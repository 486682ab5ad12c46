-- credit_clients.sql: what clients do in t/091_credit_fire.pl. step() is one random act: one verb, in one transaction, and its line in the ledger.
-- What a verb refuses is an error that reaches the client; the log of the server tells which. What is wrong raises FIRE1.
\set ON_ERROR_STOP 1

-- one_of does the drawing of one element.
CREATE FUNCTION fire.one_of(VARIADIC elements anyarray) RETURNS anyelement LANGUAGE sql VOLATILE AS $$ SELECT elements[1 + floor(random() * cardinality(elements))] $$;

-- some_account does the drawing of an account that carries a customer.
CREATE FUNCTION fire.some_account(clean boolean DEFAULT NULL) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT a.code FROM fire.account a WHERE a.weight > 0 AND (some_account.clean IS NULL OR a.clean = some_account.clean) ORDER BY -ln(1 - random()) / a.weight LIMIT 1 $$;

-- recent is the orders that came last, with the account that carries them. What is told of an order of a clean account goes by its number, so that
-- nothing comes too late and counts all the same: class 0 its owner books, 1 people cancel and hold, 2 its owner rejects.
CREATE VIEW fire.recent AS
	SELECT o.customer_id, o.order_id, o.order_number, o.state, o.credit_state, o.exposure_amount, o.gross_amount, a.code AS account, f.clean, o.order_id % 3 AS class
	FROM (SELECT * FROM dist.sales_order ORDER BY order_id DESC LIMIT 250) o JOIN dist.credit_account a ON a.account_id = o.account_id JOIN fire.account f ON f.code = a.code;

-- some_order does the drawing of one of them: in one of these states, and of a clean account only of these classes.
CREATE FUNCTION fire.some_order(states text[], classes bigint[] DEFAULT '{0,1,2}') RETURNS fire.recent LANGUAGE sql VOLATILE AS $$
	SELECT r FROM fire.recent r WHERE r.state = ANY (states) AND (NOT r.clean OR r.class = ANY (classes)) ORDER BY random() LIMIT 1 $$;

-- note does the line in the ledger.
CREATE FUNCTION fire.note(client integer, verb text, account text, number text, amount numeric, asked jsonb DEFAULT NULL, answer jsonb DEFAULT NULL, key text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO fire.told (client, verb, account, number, amount, asked, answer, key, decided_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8,
		-- what is seen and not committed is ours
		(SELECT min(d.decided_at) FROM dist.credit_decision d WHERE d.decided_at >= transaction_timestamp() AND pg_xact_status(d.xmin::text::xid8) = 'in progress')) $$;

-- tell does the telling of a fact; of what was known before the ledger says that it was told again.
CREATE FUNCTION fire.tell(client integer, verb text, entity text, document jsonb, source text, account text, number text, amount numeric, options jsonb DEFAULT '{}') RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	r jsonb := (SELECT to_jsonb(x) FROM distsync.apply(entity, document, source, NULL, options) x);
	applied boolean := r->>'outcome' = 'applied';
BEGIN
	PERFORM fire.note(client, CASE WHEN applied THEN verb ELSE 'known' END, account, number, amount, document, r);
	RETURN applied;
END
$$;

-- submit does the order of a customer, sometimes one that many send at once under one key.
CREATE FUNCTION fire.submit(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n bigint := nextval('fire.number');
	account text := fire.some_account();
	document jsonb := jsonb_build_object('company', 'C', 'customer', account, 'source', 'shop', 'lines', (SELECT jsonb_agg(jsonb_build_object('item', fire.one_of('X1'::text, 'X1', 'X2', 'X2', 'X3', 'X3', 'X4', CASE WHEN random() < .4 THEN 'RARE' ELSE 'X1' END), 'quantity', 1 + floor(4 * random())))
		FROM generate_series(1, 1 + floor(5 * random())::integer)));
	key text := CASE WHEN random() < .5 THEN format('%s/%s', client, n) END;
	answer jsonb;
BEGIN
	IF random() < .08 THEN
		account := 'S1';
		document := '{"company":"C","customer":"S1","source":"shop","lines":[{"item":"X1","quantity":3},{"item":"X2","quantity":2}]}';
		key := 'all ' || floor(extract(epoch FROM clock_timestamp()) * 2);
	ELSIF random() < .2 THEN
		document := document || jsonb_build_object('policy', jsonb_build_object('priority', 1 + floor(3 * random())));
	ELSIF random() < .1 THEN
		document := document || jsonb_build_object('order_number', 'O' || n);
	END IF;
	IF account LIKE 'H%' AND random() < .8 THEN
		document := document || jsonb_build_object('requested_at', (current_date + floor(11 * random())::integer)::text);
	END IF;
	answer := (SELECT to_jsonb(s) FROM distsync.submit_order(document, key) s);
	PERFORM fire.note(client, CASE WHEN answer->>'state' = 'refused' THEN 'refused' WHEN key LIKE 'all%' THEN 'shared' ELSE 'submit' END, account, answer->>'order_number', (answer->>'gross_amount')::numeric, document, answer, key);
END
$$;

-- again does an order that was answered once more under its key; sometimes another one under that key, which must fail.
CREATE FUNCTION fire.again(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	old fire.told;
	other boolean := random() < .2;
	answer jsonb;
BEGIN
	SELECT * INTO old FROM fire.told t WHERE t.client = again.client AND t.verb = 'submit' AND t.key IS NOT NULL ORDER BY random() LIMIT 1;
	IF old.id IS NULL THEN
		RETURN;
	END IF;
	answer := (SELECT to_jsonb(s) FROM distsync.submit_order(old.asked || CASE WHEN other THEN '{"policy":{"priority":9}}' ELSE '{}' END::jsonb, old.key) s);
	IF other OR answer <> old.answer THEN
		RAISE EXCEPTION USING ERRCODE = 'FIRE1', MESSAGE = 'a key was answered twice, and not the same', DETAIL = format('%s: %s, then %s', old.asked, old.answer, answer);
	END IF;
	PERFORM fire.note(client, 'again', old.account, old.number, old.amount);
END
$$;

-- given_back does the amount that an order which has just ended gave back: nothing where a hold ended with it, for it did not count.
CREATE FUNCTION fire.given_back(o fire.recent, reason text) RETURNS numeric LANGUAGE sql AS $$
	SELECT CASE WHEN EXISTS (SELECT FROM dist.hold h WHERE h.order_id = o.order_id AND h.account_id IS NOT NULL AND h.release_reason = reason) THEN 0
		ELSE (SELECT COALESCE(sum(l.net_amount * l.cancelled_quantity / l.base_quantity), 0) FROM dist.order_line l WHERE l.customer_id = o.customer_id AND l.order_id = o.order_id) END $$;

-- cancel does the cancelling of an order.
CREATE FUNCTION fire.cancel(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	o fire.recent := fire.some_order('{accepted,sent,booked,held}', '{1}');
	answer jsonb;
BEGIN
	IF o.order_id IS NOT NULL THEN
		answer := distsync.cancel_order(o.order_number, 'changed his mind', CASE WHEN random() < .5 THEN 'c' || o.order_id END);
		IF EXISTS (SELECT FROM fire.told t WHERE t.verb = 'cancel' AND t.number = o.order_number) THEN
			PERFORM fire.note(client, 'again', o.account, o.order_number, 0);
		ELSE
			PERFORM fire.note(client, 'cancel', o.account, o.order_number, fire.given_back(o, 'cancelled'), NULL, answer);
		END IF;
	END IF;
END
$$;

-- left_of does the lines of a shipment of what is left of an order: all of it, or a part.
CREATE FUNCTION fire.left_of(o fire.recent, by_name boolean) RETURNS TABLE (lines jsonb, amount numeric) LANGUAGE sql VOLATILE AS $$
	SELECT jsonb_agg(jsonb_build_object('quantity', x.part) || CASE WHEN by_name THEN jsonb_build_object('sku', x.sku) ELSE jsonb_build_object('order_line', x.line_no) END), sum(x.part * x.price)
	FROM (SELECT l.line_no, i.sku, i.price, CASE WHEN d.whole THEN l.base_quantity - l.shipped_quantity ELSE 1 + floor(random() * (l.base_quantity - l.shipped_quantity - 1)) END AS part, random() AS chance, d.whole
		FROM (SELECT random() < .5 AS whole) d, dist.order_line l JOIN dist.item n USING (item_id) JOIN fire.item i ON i.sku = n.sku
		WHERE l.customer_id = (o).customer_id AND l.order_id = (o).order_id AND l.base_quantity > l.shipped_quantity + l.cancelled_quantity) x WHERE x.whole OR x.chance < .6 $$;

-- ship does the leaving of goods, as a command or as a fact. One at a time has the order: of clean accounts nothing leaves twice.
CREATE FUNCTION fire.ship(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	fact boolean := random() < .5;
	o fire.recent := fire.some_order(CASE WHEN random() < .05 THEN '{accepted,sent,booked,held,cancelled,shipped}'::text[] ELSE '{accepted,sent,booked}' END, CASE WHEN fact THEN '{0}'::bigint[] ELSE '{0,1,2}' END);
	s record;
	document jsonb;
	answer jsonb;
	number text := 'S' || nextval('fire.number');
BEGIN
	IF o.order_id IS NULL OR o.clean AND (NOT pg_try_advisory_xact_lock(o.order_id) OR fact AND o.state NOT IN ('accepted', 'sent', 'booked')) THEN
		RETURN;
	END IF;
	SELECT * INTO s FROM fire.left_of(o, NOT fact AND random() < .3);
	IF s.lines IS NULL THEN
		RETURN;
	END IF;
	document := jsonb_build_object('company', 'C', 'shipment_number', number, 'order_number', o.order_number, 'site', fire.one_of('S1'::text, 'S2'), 'lines', s.lines);
	IF fact THEN
		PERFORM fire.tell(client, 'shipment', 'shipment', document, 'wms', o.account, number, s.amount);
	ELSE
		answer := distsync.ship(document || '{"source":"wms"}', number);
		-- held at the dock: nothing has left
		PERFORM fire.note(client, CASE WHEN answer ->> 'outcome' = 'held' THEN 'stopped' ELSE 'ship' END, o.account, number, s.amount, document, answer);
	END IF;
END
$$;

-- bill does the invoice of a shipment: of clean accounts exactly what has left, of others at times more, or before it leaves.
CREATE FUNCTION fire.bill(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	t record;
	o fire.recent;
	odd boolean := random() < .1;
BEGIN
	IF odd THEN
		o := fire.some_order('{accepted,booked,held}', '{}');
		IF o.order_id IS NOT NULL THEN
			PERFORM fire.tell(client, 'invoice', 'invoice', jsonb_build_object('company', 'C', 'invoice_number', 'J' || o.order_number, 'order_number', o.order_number, 'currency', 'USD', 'net_amount', o.gross_amount, 'due_on', current_date), 'erp', o.account, 'J' || o.order_number, o.gross_amount);
		END IF;
		RETURN;
	END IF;
	SELECT x.number, x.account, x.amount * CASE WHEN f.clean OR random() < .9 THEN 1 ELSE 1.1 END AS amount INTO t FROM (SELECT * FROM fire.told d WHERE d.verb IN ('ship', 'shipment') ORDER BY d.id DESC LIMIT 150) x JOIN fire.account f ON f.code = x.account
	WHERE NOT EXISTS (SELECT FROM fire.told b WHERE b.verb = 'invoice' AND b.number = 'I' || x.number) ORDER BY random() LIMIT 1;
	IF FOUND THEN
		PERFORM fire.tell(client, 'invoice', 'invoice', jsonb_build_object('company', 'C', 'invoice_number', 'I' || t.number, 'shipment_number', t.number, 'currency', 'USD', 'net_amount', t.amount, 'due_on', current_date + floor(9 * random())::integer - 4), 'erp', t.account, 'I' || t.number, t.amount);
	END IF;
END
$$;

-- pay does the payment of a customer, with or without a remittance that is right or wrong; or a deposit, which of clean accounts is for no order.
CREATE FUNCTION fire.pay(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a record;
	o fire.recent;
	number text := 'P' || nextval('fire.number');
	told numeric;
	document jsonb;
BEGIN
	SELECT f.code, f.clean, c.account_id, c.receivable INTO a FROM (SELECT fire.some_account() AS code OFFSET 0) s JOIN fire.account f USING (code) JOIN dist.credit_account c USING (code);
	told := CASE WHEN a.receivable > 0 AND random() < .9 THEN greatest(ceil(a.receivable * (.1 + random())), 1) ELSE 1 + floor(200 * random()) END;
	document := jsonb_build_object('company', 'C', 'payment_number', number, 'customer', a.code, 'currency', 'USD', 'amount', told);
	IF random() < .15 THEN
		IF NOT a.clean THEN
			o := fire.some_order('{accepted,held,booked}', '{}');
		END IF;
		document := document || jsonb_build_object('kind', 'deposit', 'order', COALESCE(o.order_number, 'none'), 'customer', COALESCE(o.account, a.code), 'amount', COALESCE(fire.one_of(o.gross_amount, 10::numeric), 20));
		PERFORM fire.tell(client, 'deposit', 'payment', document, 'erp', COALESCE(o.account, a.code), number, (document->>'amount')::numeric);
		RETURN;
	ELSIF random() < .5 THEN
		document := document || jsonb_build_object('remittance', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('invoice', CASE WHEN random() < .05 THEN 'IX' ELSE x.document_number END, 'amount', CASE WHEN random() < .5 THEN ceil(x.open_amount * (.3 + random())) END)))
			FROM (SELECT i.document_number, i.open_amount FROM dist.open_item i WHERE i.account_id = a.account_id AND i.kind = 'invoice' AND i.open_amount > 0 ORDER BY random() LIMIT 3) x));
	END IF;
	PERFORM fire.tell(client, 'payment', 'payment', jsonb_strip_nulls(document), 'erp', a.code, number, told);
END
$$;

-- bounce does the taking back of a payment, sometimes twice.
CREATE FUNCTION fire.bounce(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	t record;
	number text;
BEGIN
	SELECT x.number, x.account, x.amount INTO t FROM (SELECT * FROM fire.told d WHERE d.verb IN ('payment', 'deposit') ORDER BY d.id DESC LIMIT 100) x JOIN fire.account f ON f.code = x.account AND NOT f.clean ORDER BY random() LIMIT 1;
	IF FOUND THEN
		number := CASE WHEN random() < .9 THEN 'R' || t.number ELSE 'RR' || t.number END;
		PERFORM fire.tell(client, 'bounce', 'payment', jsonb_build_object('company', 'C', 'payment_number', number, 'reverses', t.number, 'currency', 'USD', 'amount', t.amount), 'erp', t.account, number, t.amount);
	END IF;
END
$$;

-- claim does a credit memo for an invoice, or a dispute of it that opens, changes or ends.
CREATE FUNCTION fire.claim(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	i record;
	number text := 'M' || nextval('fire.number');
	part numeric;
BEGIN
	SELECT x.document_number, x.amount, x.open_amount, a.code INTO i FROM (SELECT * FROM dist.open_item y WHERE y.kind = 'invoice' ORDER BY y.open_item_id DESC LIMIT 100) x JOIN dist.credit_account a USING (account_id) ORDER BY x.open_amount > 0 DESC, random() LIMIT 1;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	part := greatest(floor(i.amount * random() / 2), 1);
	IF random() < .4 THEN
		PERFORM fire.tell(client, 'memo', 'invoice', jsonb_build_object('company', 'C', 'invoice_number', number, 'kind', 'credit_memo', 'customer', i.code, 'corrects', i.document_number, 'currency', 'USD', 'net_amount', part), 'erp', i.code, number, part);
	ELSE
		PERFORM fire.tell(client, 'dispute', 'dispute', jsonb_build_object('company', 'C', 'customer', i.code, 'dispute_number', 'D' || i.document_number, 'invoice', i.document_number, 'amount', least(part, i.amount), 'closed', random() < .5), 'erp', i.code, 'D' || i.document_number, part);
	END IF;
END
$$;

-- limits does the change of a limit, up or down, of an account or a group. Of some that are not clean it may be one that ends soon, none at all, or a block.
CREATE FUNCTION fire.limits(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a fire.account;
	told numeric;
	document jsonb;
BEGIN
	SELECT * INTO a FROM fire.account x WHERE x.limit_amount IS NOT NULL ORDER BY random() LIMIT 1;
	told := 50 * round(a.limit_amount * (.6 + .6 * random()) / 50);
	document := jsonb_build_object('code', a.code, 'limit', told, 'approved_by', 'client ' || client);
	IF NOT a.clean AND random() < .3 THEN
		document := jsonb_build_object('code', a.code, 'status', CASE WHEN random() < .3 THEN 'blocked' ELSE 'open' END, 'status_reason', 'fire');
		PERFORM fire.tell(client, 'status', 'credit_account', document, 'erp', a.code, NULL, NULL);
		RETURN;
	ELSIF a.code IN ('G2', 'S3') AND random() < .6 THEN
		document := jsonb_build_object('code', a.code, 'approved_by', 'client ' || client, 'limits', jsonb_build_array(jsonb_build_object('amount', told),
			jsonb_build_object('kind', 'temporary', 'amount', 300, 'from', clock_timestamp() + random() * interval '1 second', 'to', clock_timestamp() + interval '1 second' + random() * interval '2 seconds')));
		PERFORM fire.tell(client, 'limits', 'credit_account', document, 'erp', a.code, NULL, NULL);
		RETURN;
	END IF;
	-- the row is his until the end: whoever looks sees the limit and the highest together
	UPDATE fire.account x SET highest = greatest(x.highest, told) WHERE x.code = a.code;
	PERFORM fire.tell(client, 'limit', 'credit_account', document, 'erp', a.code, NULL, told);
END
$$;

-- rule does the telling of a rule, or its taking back. None lets an order of a clean account pass.
CREATE FUNCTION fire.rule(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	document jsonb := (fire.one_of(VARIADIC ARRAY['{"code":"LATE","type":"overdue_amount","scope_kind":"customer","scope_key":"A1","threshold":150}', '{"code":"SHARE","type":"limit_share","scope_kind":"customer","scope_key":"A2","threshold":80}',
		'{"code":"BIG","type":"order_amount","scope_kind":"all","scope_key":"","threshold":350}', '{"code":"NOTE","type":"overdue_share","scope_kind":"all","scope_key":"","threshold":20,"action":"warn"}',
		'{"code":"SMALL","type":"order_amount","scope_kind":"customer","scope_key":"B1","threshold":40,"action":"release"}', '{"code":"OLD","type":"oldest_item","scope_kind":"customer","scope_key":"B2","threshold":2}',
		'{"code":"NOBIG","type":"order_amount","scope_kind":"customer","scope_key":"S1","action":"exclude"}']))::jsonb;
BEGIN
	IF random() < .4 OR NOT EXISTS (SELECT FROM dist.credit_rule r WHERE r.code = document->>'code') THEN
		PERFORM fire.tell(client, 'rule', 'credit_rule', document || '{"valid_to":null}', 'erp', NULL, document->>'code', NULL);
	ELSE
		PERFORM fire.tell(client, 'norule', 'credit_rule', jsonb_build_object('code', document->'code'), 'erp', NULL, document->>'code', NULL, '{"operation":"deactivate"}');
	END IF;
END
$$;

-- hold does the stopping of an order by people, or their letting it go. Of a clean account nobody's authority lets it pass credit.
CREATE FUNCTION fire.hold(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	o fire.recent;
	h record;
	answer jsonb;
	options jsonb;
BEGIN
	IF random() < .4 THEN
		o := fire.some_order('{accepted,sent,booked,held}', '{1}');
		IF o.order_id IS NOT NULL THEN
			options := CASE WHEN random() < .3 THEN '{"owner":"legal","kind":"forced"}' WHEN NOT o.clean AND random() < .3 THEN '{"kind":"forced"}' ELSE '{}' END::jsonb;
			answer := distsync.hold_order(o.order_number, 'look at it', options);
			PERFORM fire.note(client, 'hold', o.account, o.order_number, (SELECT x.amount FROM dist.hold x WHERE x.customer_id = o.customer_id AND x.hold_id = (answer->>'hold')::bigint), options, answer);
		END IF;
		RETURN;
	END IF;
	SELECT r.order_number, r.account, r.clean, x.kind, x.owner INTO h FROM fire.recent r JOIN dist.hold x ON x.order_id = r.order_id AND x.released_at IS NULL WHERE r.state = 'held' ORDER BY x.kind = 'auto', random() LIMIT 1;
	IF FOUND THEN
		options := jsonb_build_object('owner', h.owner) || CASE WHEN h.owner <> 'credit' OR NOT h.clean AND random() < .5 THEN '{"authority":"the boss"}' ELSE '{}' END::jsonb;
		answer := distsync.release_order(h.order_number, 'it is well', options);
		PERFORM fire.note(client, 'release', h.account, h.order_number, 0, options, answer);
	END IF;
END
$$;

-- answer does the word of the owner about an order; or an order that he took himself, of accounts that are not clean, and its change.
CREATE FUNCTION fire.answer(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	o fire.recent;
	says text;
	whose text;
	number text;
BEGIN
	IF random() < .12 THEN
		whose := fire.some_account(false);
		number := COALESCE(CASE WHEN random() < .4 THEN (SELECT r.order_number FROM fire.recent r WHERE r.order_number LIKE 'F%' AND r.account = whose ORDER BY random() LIMIT 1) END, 'F' || nextval('fire.number'));
		PERFORM fire.tell(client, 'owned', 'order', jsonb_build_object('company', 'C', 'order_number', number, 'customer', whose, 'lines', jsonb_build_array(jsonb_build_object('line', 1, 'item', 'X1', 'quantity', 1 + floor(9 * random()), 'unit_price', 10))), 'erp', whose, number, NULL);
		RETURN;
	END IF;
	o := fire.some_order(CASE WHEN random() < .1 THEN '{held,rejected,cancelled,shipped}'::text[] ELSE '{accepted,sent,booked,held}' END, '{0,2}');
	IF o.order_id IS NULL OR o.clean AND o.class = 0 AND o.state IN ('rejected', 'cancelled') THEN
		RETURN;
	END IF;
	says := CASE WHEN o.clean THEN CASE WHEN o.class = 0 THEN 'booked' ELSE 'rejected' END ELSE fire.one_of('booked'::text, 'booked', 'booked', 'booked', 'rejected', 'cancelled', 'closed') END;
	IF random() < .5 AND o.state = 'accepted' THEN
		-- the answer to our message
		PERFORM distsync_internal.order_replied(jsonb_build_object('event_type', 'order.accepted', 'entity', 'order', 'entity_key', 'C/' || o.order_number, 'system', 'erp', 'status', 200,
			'reply', CASE WHEN says = 'rejected' THEN '{"state":"rejected","reason":"no"}' WHEN random() < .3 THEN '{}' ELSE jsonb_build_object('order_number', 'E' || o.order_id) END));
		PERFORM fire.note(client, 'reply', o.account, o.order_number, CASE WHEN o.clean AND says = 'rejected' AND NOT EXISTS (SELECT FROM fire.told t WHERE t.number = o.order_number AND t.verb IN ('reply', 'rejected') AND t.amount IS NOT NULL) THEN fire.given_back(o, 'rejected') END, to_jsonb(says));
	ELSE
		PERFORM fire.tell(client, CASE says WHEN 'rejected' THEN 'rejected' ELSE 'booked' END, 'order', jsonb_build_object('company', 'C', 'order_number', o.order_number, 'owner_number', 'E' || o.order_id, 'state', says), 'erp', o.account, o.order_number,
			NULL);
		UPDATE fire.told t SET amount = fire.given_back(o, 'rejected') WHERE o.clean AND says = 'rejected' AND t.id = currval('fire.number') AND t.verb = 'rejected'
			AND NOT EXISTS (SELECT FROM fire.told b WHERE b.number = o.order_number AND b.verb IN ('reply', 'rejected') AND b.amount IS NOT NULL);
	END IF;
END
$$;

-- agree does the answer of a customer to another promise than the one he had, which he got when his order was let go.
CREATE FUNCTION fire.agree(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	o fire.recent;
	yes boolean := random() < .7;
	answer jsonb;
BEGIN
	SELECT r.* INTO o FROM fire.recent r JOIN dist.order_offer f ON f.customer_id = r.customer_id AND f.order_id = r.order_id AND f.state = 'open' ORDER BY random() LIMIT 1;
	IF o.order_id IS NOT NULL THEN
		yes := yes OR o.clean AND o.class <> 1;
		answer := distsync.answer_offer(o.order_number, yes);
		PERFORM fire.note(client, CASE WHEN yes THEN 'agreed' ELSE 'cancel' END, o.account, o.order_number, CASE WHEN NOT yes THEN fire.given_back(o, 'offer declined') END, NULL, answer);
	END IF;
END
$$;

-- days does the change of a horizon: the open orders below it are read, a few here, the others by the clerk.
CREATE FUNCTION fire.days(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	account text := fire.one_of('G3'::text, 'H1', 'H2', 'H3');
BEGIN
	PERFORM fire.tell(client, 'days', 'credit_account', jsonb_build_object('code', account, 'horizon_days', CASE WHEN random() < .8 THEN 1 + floor(7 * random()) END), 'erp', account, NULL, NULL);
END
$$;

-- day does the passing of a day for accounts with a horizon: all that is to come for them is a day nearer, and the clerk has to look. The locks are those of everybody.
CREATE FUNCTION fire.day(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	ids bigint[] := ARRAY(SELECT a.account_id FROM dist.credit_account a WHERE a.code IN ('G3', 'H1', 'H2', 'H3'));
BEGIN
	PERFORM distsync_internal.credit_lock(ids);
	PERFORM FROM dist.sales_order o WHERE o.account_id = ANY (ids) AND o.requested_at IS NOT NULL ORDER BY o.order_id FOR NO KEY UPDATE;
	UPDATE dist.order_line l SET requested_at = l.requested_at - interval '1 day' FROM dist.sales_order o WHERE o.order_id = l.order_id AND o.customer_id = l.customer_id AND o.account_id = ANY (ids) AND l.requested_at IS NOT NULL;
	UPDATE dist.sales_order o SET ship_on = o.ship_on - 1, requested_at = o.requested_at - interval '1 day' WHERE o.account_id = ANY (ids) AND o.requested_at IS NOT NULL;
	UPDATE dist.hold h SET ship_on = h.ship_on - 1 WHERE h.account_id = ANY (ids) AND h.ship_on IS NOT NULL;
	UPDATE dist.open_order_day d SET ship_on = d.ship_on - 100001 WHERE d.account_id = ANY (ids);
	UPDATE dist.open_order_day d SET ship_on = d.ship_on + 100000 WHERE d.account_id = ANY (ids);
	UPDATE dist.credit_account a SET horizon_on = a.horizon_on - 1, horizon_to = a.horizon_to - CASE WHEN a.horizon_to < 'infinity' THEN 1 ELSE 0 END, due_at = clock_timestamp() WHERE a.account_id = ANY (ids) AND a.horizon_on IS NOT NULL;
	PERFORM fire.note(client, 'day', NULL, NULL, NULL);
END
$$;
