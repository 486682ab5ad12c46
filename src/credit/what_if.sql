-- What if: the same decision over supposed changes, and who of what waits would go. Nothing is written, nothing is locked: a world of
-- {at, accounts {id: {term: what is added, due {day: [amount, disputed]}, limits [{kind, amount, valid}]}}, items {id: {open, disputed}},
-- gone {hold: true}, released [...], tries, complete} goes from change to change, and decisions are made over it.

-- credit_if_refuse does the refusing of a change.
CREATE FUNCTION distsync_internal.credit_if_refuse(sqlstate text, place integer, name text, message text, hint text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.credit_command_refuse(sqlstate, format('changes[%s]%s', place, COALESCE('.' || name, '')), message, '', hint);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_if_refuse(text, integer, text, text, text) IS 'Raises an error about a field of a change (NULL = the change itself).';

-- credit_if_instant does the reading of an instant of a change.
CREATE FUNCTION distsync_internal.credit_if_instant(change jsonb, name text, place integer) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF change ->> name IS NOT NULL AND NOT distsync_internal.base_is_instant(change ->> name) THEN
		PERFORM distsync_internal.credit_if_refuse('SD002', place, name, format('"%s" is not an instant', left(change ->> name, 40)), 'Send an instant with its zone, for example "2026-05-14T10:00:00Z".');
	END IF;
	RETURN (change ->> name)::timestamptz;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_if_instant(jsonb, text, integer) IS 'Instant of a change, NULL if absent. Errors: SD002 naming changes[n].name.';

-- credit_if_add does the adding to the terms of an account and of all above it.
CREATE FUNCTION distsync_internal.credit_if_add(world jsonb, account_id bigint, moved jsonb, ship_on date DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint;
	own jsonb;
	accounts jsonb := world -> 'accounts';
BEGIN
	FOREACH id IN ARRAY distsync_internal.credit_chain(credit_if_add.account_id) LOOP
		own := COALESCE(accounts -> id::text, '{}');
		accounts := accounts || jsonb_build_object(id::text, own || (SELECT jsonb_object_agg(m.key, COALESCE((own ->> m.key)::numeric, 0) + m.value::numeric) FROM jsonb_each_text(moved) m)
			|| CASE WHEN credit_if_add.ship_on IS NULL THEN '{}' ELSE jsonb_build_object('later', COALESCE(own -> 'later', '{}') || jsonb_build_object(to_jsonb(credit_if_add.ship_on) #>> '{}',
				COALESCE((own -> 'later' ->> (to_jsonb(credit_if_add.ship_on) #>> '{}'))::numeric, 0) + (moved ->> 'open_orders')::numeric)) END);
	END LOOP;
	RETURN world || jsonb_build_object('accounts', accounts);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_if_add(jsonb, bigint, jsonb, date) IS 'A world with {term: amount} added to the terms of an account and of all above it, as credit_add() would; open orders that ship on a day (NULL = at once) beside it to that day.';

-- credit_if_item does the setting of what is open and in dispute of an item that is owed to us.
CREATE FUNCTION distsync_internal.credit_if_item(world jsonb, customer_id bigint, open_item_id bigint, now_open numeric, now_disputed numeric) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	i record;
	due jsonb;
	p record;
BEGIN
	SELECT o.account_id, o.due_on, o.amount, o.account_total, o.open_item_id, o.customer_id, COALESCE((world -> 'items' -> o.open_item_id::text ->> 'open')::numeric, o.open_amount) AS open_amount,
		COALESCE((world -> 'items' -> o.open_item_id::text ->> 'disputed')::numeric, o.disputed_amount) AS disputed_amount INTO i
	FROM dist.open_item o WHERE o.customer_id = credit_if_item.customer_id AND o.open_item_id = credit_if_item.open_item_id;
	world := distsync_internal.credit_if_add(world, i.account_id, jsonb_build_object('receivable', round(i.account_total * now_open / i.amount, 4) - round(i.account_total * i.open_amount / i.amount, 4),
		'disputed', round(i.account_total * now_disputed / i.amount, 4) - round(i.account_total * i.disputed_amount / i.amount, 4)));
	due := COALESCE(world -> 'accounts' -> i.account_id::text -> 'due', '{}');
	FOR p IN SELECT x.due_on::text AS day, sum(x.amount) AS amount, sum(x.disputed) AS disputed
		FROM (SELECT b.due_on, -b.amount AS amount, -b.disputed AS disputed FROM unnest(distsync_internal.credit_parts(i.customer_id, i.open_item_id, i.due_on, i.amount, i.account_total, i.open_amount, i.disputed_amount)) b
			UNION ALL
			SELECT a.due_on, a.amount, a.disputed FROM unnest(distsync_internal.credit_parts(i.customer_id, i.open_item_id, i.due_on, i.amount, i.account_total, now_open, now_disputed)) a) x GROUP BY 1
	LOOP
		due := due || jsonb_build_object(p.day, jsonb_build_array(COALESCE((due -> p.day ->> 0)::numeric, 0) + p.amount, COALESCE((due -> p.day ->> 1)::numeric, 0) + p.disputed));
	END LOOP;
	world := jsonb_set(world, ARRAY['accounts', i.account_id::text, 'due'], due);
	RETURN world || jsonb_build_object('items', (world -> 'items') || jsonb_build_object(i.open_item_id::text, jsonb_build_object('open', now_open, 'disputed', now_disputed)));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_if_item(jsonb, bigint, bigint, numeric, numeric) IS 'A world with other amounts open and in dispute of an item: receivable, disputed and what is due by day follow, as credit_item_set() has it.';

-- credit_if_pay does the supposing of a payment: what it names, then what has been due longest, with the discount it takes.
CREATE FUNCTION distsync_internal.credit_if_pay(world jsonb, f jsonb, change jsonb, place integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	at timestamptz := (world ->> 'at')::timestamptz;
	amount numeric := distsync_internal.credit_command_amount(change -> 'pay', format('changes[%s].pay', place));
	left_of numeric := amount;
	a record;
	t record;
	now_open numeric;
	now_disputed numeric;
	part numeric;
	discount numeric;
	total numeric;
BEGIN
	SELECT c.account_id, c.currency, COALESCE(change ->> 'currency', c.currency) AS paid_in, m.minor_units INTO a
	FROM dist.credit_account c JOIN dist.currency m ON m.currency = c.currency WHERE c.account_id = distsync_internal.credit_account_for((f ->> 'payer_id')::bigint, (f ->> 'company_id')::bigint);
	IF NOT FOUND OR amount = 0 THEN
		RETURN world;
	END IF;
	total := CASE WHEN a.paid_in = a.currency THEN amount ELSE round(distsync_internal.master_convert(amount, a.paid_in, a.currency, at), a.minor_units) END;
	FOR t IN SELECT o.*, o.document_number IS NOT DISTINCT FROM change ->> 'invoice' AS named
		FROM dist.open_item o
		WHERE o.customer_id = (f ->> 'payer_id')::bigint AND o.company_id = (f ->> 'company_id')::bigint AND o.currency = a.paid_in AND o.open_amount > 0 AND o.due_on IS NOT NULL AND o.kind IN ('invoice', 'debit_memo')
			AND (o.account_id = a.account_id OR o.document_number = change ->> 'invoice')
		ORDER BY o.document_number IS NOT DISTINCT FROM change ->> 'invoice' DESC, CASE WHEN o.document_number = change ->> 'invoice' THEN o.kind END DESC, o.due_on, o.posted_at, o.document_number
	LOOP
		EXIT WHEN left_of <= 0;
		now_open := COALESCE((world -> 'items' -> t.open_item_id::text ->> 'open')::numeric, t.open_amount);
		now_disputed := COALESCE((world -> 'items' -> t.open_item_id::text ->> 'disputed')::numeric, t.disputed_amount);
		part := least(left_of, now_open - CASE WHEN t.named THEN 0 ELSE now_disputed END);
		CONTINUE WHEN part <= 0;
		discount := CASE WHEN t.discount_amount > 0 AND now_disputed = 0 AND distsync_internal.credit_company_day(t.company_id, at) <= t.discount_until
			AND now_open - part BETWEEN 0 AND distsync_internal.credit_discount_left(t.customer_id, t.open_item_id) THEN now_open - part ELSE 0 END;
		world := distsync_internal.credit_if_item(world, t.customer_id, t.open_item_id, now_open - part - discount, least(now_disputed, now_open - part - discount));
		left_of := left_of - part;
	END LOOP;
	world := distsync_internal.credit_if_add(world, a.account_id, jsonb_build_object('unapplied', round(total * left_of / amount, 4)));
	RETURN jsonb_set(world, '{told}', jsonb_build_object('applied', amount - left_of, 'unapplied', left_of, 'currency', a.paid_in));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_if_pay(jsonb, jsonb, jsonb, integer) IS
	'A world with a payment {pay, currency, invoice} of a payer {payer_id, company_id}, applied as credit_post_payment() would. told: applied, unapplied, currency. Errors: SD002, SD003 no rate.';

-- credit_if_owed does the look-up of the invoice that a change names.
CREATE FUNCTION distsync_internal.credit_if_owed(world jsonb, f jsonb, change jsonb, place integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	found jsonb;
BEGIN
	SELECT jsonb_build_object('customer_id', o.customer_id, 'open_item_id', o.open_item_id, 'account_id', o.account_id, 'kind', o.kind, 'currency', o.currency, 'open', COALESCE((world -> 'items' -> o.open_item_id::text ->> 'open')::numeric, o.open_amount),
		'disputed', COALESCE((world -> 'items' -> o.open_item_id::text ->> 'disputed')::numeric, o.disputed_amount)) INTO found
	FROM dist.open_item o WHERE o.customer_id = (f ->> 'payer_id')::bigint AND o.company_id = (f ->> 'company_id')::bigint AND o.kind IN ('invoice', 'debit_memo') AND o.document_number = change ->> 'invoice' ORDER BY o.kind DESC LIMIT 1;
	IF found IS NULL AND change ->> 'invoice' IS NOT NULL THEN
		PERFORM distsync_internal.credit_if_refuse('SD001', place, 'invoice', format('unknown invoice "%s"', left(change ->> 'invoice', 255)), 'Name an invoice of the payer in the company.');
	END IF;
	RETURN found;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_if_owed(jsonb, jsonb, jsonb, integer) IS 'Item of the invoice that a change names, as it is in a world {customer_id, open_item_id, account_id, kind, currency, open, disputed}, NULL where it names none. Errors: SD001.';

-- credit_if_claim does the supposing of a dispute or of a credit memo.
CREATE FUNCTION distsync_internal.credit_if_claim(world jsonb, f jsonb, change jsonb, place integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	amount numeric := distsync_internal.credit_command_amount(COALESCE(change -> 'memo', change -> 'dispute'), format('changes[%s].%s', place, CASE WHEN change ? 'memo' THEN 'memo' ELSE 'dispute' END));
	item jsonb := distsync_internal.credit_if_owed(world, f, change, place);
	still numeric := (item ->> 'open')::numeric;
	account bigint := COALESCE((item ->> 'account_id')::bigint, distsync_internal.credit_account_for((f ->> 'payer_id')::bigint, (f ->> 'company_id')::bigint));
	a record;
	part numeric := 0;
	total numeric;
BEGIN
	IF change ? 'dispute' THEN
		IF item IS NULL THEN
			PERFORM distsync_internal.credit_if_refuse('SD005', place, 'invoice', 'a dispute is about an invoice', 'Name it in invoice.');
		END IF;
		RETURN distsync_internal.credit_if_item(world, (item ->> 'customer_id')::bigint, (item ->> 'open_item_id')::bigint, still, least(still, (item ->> 'disputed')::numeric + amount));
	END IF;
	SELECT c.currency, COALESCE(change ->> 'currency', item ->> 'currency', c.currency) AS billed_in, m.minor_units INTO a FROM dist.credit_account c JOIN dist.currency m ON m.currency = c.currency WHERE c.account_id = account;
	IF NOT FOUND OR amount = 0 THEN
		RETURN world;
	END IF;
	total := CASE WHEN a.billed_in = a.currency THEN amount ELSE round(distsync_internal.master_convert(amount, a.billed_in, a.currency, (world ->> 'at')::timestamptz), a.minor_units) END;
	IF item ->> 'kind' = 'invoice' AND item ->> 'currency' = a.billed_in AND still > 0 THEN
		part := least(still, amount);
		world := distsync_internal.credit_if_item(world, (item ->> 'customer_id')::bigint, (item ->> 'open_item_id')::bigint, still - part, least((item ->> 'disputed')::numeric, still - part));
	END IF;
	RETURN distsync_internal.credit_if_add(world, account, jsonb_build_object('credits', round(total * (amount - part) / amount, 4)));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_if_claim(jsonb, jsonb, jsonb, integer) IS
	'A world with a dispute {dispute, invoice} or a credit memo {memo, currency, invoice}, which is applied to its invoice. Errors: SD001, SD002, SD003 no rate, SD005 no invoice.';

-- credit_if_limit does the supposing of a limit: from an instant to another it stands in the place of those of its kind, a temporary or
-- seasonal one beside them.
CREATE FUNCTION distsync_internal.credit_if_limit(world jsonb, account_id bigint, change jsonb, place integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	what text := COALESCE(change ->> 'kind', 'base');
	amount numeric := CASE WHEN jsonb_typeof(change -> 'limit') <> 'null' THEN distsync_internal.credit_command_amount(change -> 'limit', format('changes[%s].limit', place)) END;
	begins timestamptz := COALESCE(distsync_internal.credit_if_instant(change, 'from', place), (world ->> 'at')::timestamptz);
	ends timestamptz := distsync_internal.credit_if_instant(change, 'to', place);
	limits jsonb := world -> 'accounts' -> account_id::text -> 'limits';
BEGIN
	IF what <> ALL ('{base,temporary,seasonal,insured}') THEN
		PERFORM distsync_internal.credit_if_refuse('SD002', place, 'kind', format('unknown kind "%s"', left(what, 40)), 'It is base, temporary, seasonal or insured.');
	ELSIF begins >= ends THEN
		PERFORM distsync_internal.credit_if_refuse('SD002', place, 'to', 'a limit ends before it begins', 'Send from before to.');
	END IF;
	limits := COALESCE(limits, (SELECT jsonb_agg(jsonb_build_object('kind', l.kind, 'amount', l.amount, 'valid', l.valid)) FROM dist.credit_limit l WHERE l.account_id = credit_if_limit.account_id), '[]');
	limits := (SELECT COALESCE(jsonb_agg(x.told), '[]') FROM (
		SELECT jsonb_build_object('kind', l.kind, 'amount', l.amount, 'valid', v.valid) AS told
		FROM jsonb_to_recordset(limits) AS l(kind text, amount numeric, valid tstzrange)
		CROSS JOIN LATERAL unnest(CASE WHEN l.kind = what AND what IN ('base', 'insured') THEN ARRAY[l.valid * tstzrange(NULL, begins), l.valid * CASE WHEN ends IS NULL THEN 'empty' ELSE tstzrange(ends, NULL) END] ELSE ARRAY[l.valid] END) AS v(valid)
		WHERE NOT isempty(v.valid)
		UNION ALL
		SELECT jsonb_build_object('kind', what, 'amount', amount, 'valid', tstzrange(begins, ends))) x);
	RETURN jsonb_set(distsync_internal.credit_if_add(world, account_id, '{"receivable":0}'), ARRAY['accounts', account_id::text, 'limits'], limits);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_if_limit(jsonb, bigint, jsonb, integer) IS
	'A world with a limit {limit (null = unlimited), kind, from, to} of an account; from absent = now, to absent = no end. Errors: SD002.';

-- credit_if_queue does the trying of what waits in the trees of accounts, as credit_reevaluate() would, to the end or a thousand orders.
CREATE FUNCTION distsync_internal.credit_if_queue(world jsonb, account_ids bigint[], place integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	most CONSTANT integer := 1000;
	t record;
	w record;
	deposit numeric;
	decision jsonb;
	kept jsonb;
	tries integer := (world ->> 'tries')::integer;
BEGIN
	FOR t IN SELECT DISTINCT ON (a.account_id) u.id, a.release_order FROM unnest(account_ids) AS u(id) CROSS JOIN LATERAL distsync_internal.credit_chain(u.id) AS c(ids)
		JOIN dist.credit_account a ON a.account_id = c.ids[cardinality(c.ids)] ORDER BY a.account_id, u.id
	LOOP
		kept := '{}';
		FOR w IN SELECT * FROM distsync_internal.credit_waiting(t.id, NULL, most + 1) LOOP
			CONTINUE WHEN world -> 'gone' ? w.hold_id::text;
			IF tries >= most THEN
				world := world || '{"complete":false}';
				EXIT;
			END IF;
			deposit := distsync_internal.credit_deposit(w.customer_id, w.account_id, w.company_id, w.order_number);
			CONTINUE WHEN w.amount >= (kept ->> w.account_id::text)::numeric AND w.ship_on IS NULL AND deposit = 0;
			tries := tries + 1;
			decision := distsync_internal.credit_decide_whole(w.account_id, w.amount, jsonb_build_object('at', world -> 'at', 'order_id', w.order_id, 'customer_id', w.customer_id, 'payment_terms', w.payment_terms, 'ship_on', w.ship_on, 'deposit', deposit, 'supposed', world -> 'accounts'));
			IF decision ->> 'outcome' = 'approved' THEN
				world := distsync_internal.credit_if_add(world, w.account_id, jsonb_build_object('open_orders', w.amount), w.ship_on);
				world := world || jsonb_build_object('gone', (world -> 'gone') || jsonb_build_object(w.hold_id::text, true), 'released', (world -> 'released') || (
					SELECT jsonb_build_object('order_number', w.order_number, 'company', (SELECT c.code FROM dist.company c WHERE c.company_id = w.company_id), 'customer', p.code, 'account', a.code, 'amount', w.amount, 'change', place)
					FROM dist.credit_account a, dist.party p WHERE a.account_id = w.account_id AND p.party_id = w.customer_id));
			ELSIF decision -> 'reasons' @> '[{"rule":"limit"}]' THEN
				EXIT WHEN t.release_order = 'prefix';
				kept := kept || jsonb_build_object(w.account_id::text, w.amount);
			END IF;
		END LOOP;
	END LOOP;
	RETURN world || jsonb_build_object('tries', tries);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_if_queue(jsonb, bigint[], integer) IS
	'A world in which what waits in the trees of these accounts and fits has been let go, in its order; released gets {order_number, company, customer, account, amount, change}, complete is false where a thousand orders of a call were tried.';

-- credit_if_order does the supposing of a new order, or of the letting go of one that is held, by people.
CREATE FUNCTION distsync_internal.credit_if_order(world jsonb, f jsonb, change jsonb, place integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	account bigint := (f ->> 'account_id')::bigint;
	amount numeric;
	decision jsonb;
	held record;
BEGIN
	IF change ? 'order' THEN
		amount := distsync_internal.credit_amount(account, distsync_internal.credit_command_amount(change -> 'order', format('changes[%s].order', place)), change ->> 'currency', (world ->> 'at')::timestamptz);
		decision := distsync_internal.credit_decide_whole(account, amount, jsonb_build_object('at', world -> 'at', 'customer_id', f -> 'customer_id', 'supposed', world -> 'accounts'));
		IF decision ->> 'outcome' = 'approved' THEN
			world := distsync_internal.credit_if_add(world, account, jsonb_build_object('open_orders', amount));
		END IF;
		RETURN jsonb_set(world, '{told}', jsonb_build_object('outcome', decision -> 'outcome', 'reasons', decision -> 'reasons', 'cure', decision -> 'cure'));
	END IF;
	SELECT sum(h.amount) AS amount, max(h.account_id) AS account_id, max(h.ship_on) AS ship_on, jsonb_object_agg(h.hold_id::text, true) AS holds INTO held
	FROM dist.hold h WHERE h.order_number = change ->> 'release' AND h.released_at IS NULL AND (f ->> 'company_id' IS NULL OR h.company_id = (f ->> 'company_id')::bigint) AND NOT world -> 'gone' ? h.hold_id::text;
	IF held.holds IS NULL THEN
		PERFORM distsync_internal.credit_if_refuse('SD061', place, 'release', format('order "%s" is not held', left(change ->> 'release', 255)), 'There is nothing to release.');
	END IF;
	world := world || jsonb_build_object('gone', (world -> 'gone') || held.holds, 'touched', jsonb_build_array(held.account_id));
	RETURN CASE WHEN held.account_id IS NULL THEN world ELSE distsync_internal.credit_if_add(world, held.account_id, jsonb_build_object('open_orders', held.amount), held.ship_on) END;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_if_order(jsonb, jsonb, jsonb, integer) IS
	'A world with a new order {order, currency} of a customer {customer_id, account_id}, which takes its amount where it is approved (told: outcome, reasons, cure), or without the holds of an order {release}. Errors: SD002, SD003 no rate, SD061 not held.';

-- credit_if_change does one change, whichever it is.
CREATE FUNCTION distsync_internal.credit_if_change(world jsonb, f jsonb, change jsonb, place integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kinds CONSTANT text[] := '{pay,order,limit,at,release,dispute,memo}';
	what text := (SELECT min(k) FROM unnest(kinds) k WHERE change ? k);
	wrong text;
	account bigint := (f ->> 'account_id')::bigint;
	touched bigint[];
BEGIN
	IF jsonb_typeof(change) <> 'object' OR (SELECT count(*) FROM unnest(kinds) k WHERE change ? k) <> 1 THEN
		PERFORM distsync_internal.credit_if_refuse('SD005', place, NULL, 'a change is one of pay, order, limit, at, release, dispute and memo', 'Send for instance {"pay": 100}.');
	END IF;
	wrong := (SELECT min(k.key COLLATE "C") FROM jsonb_object_keys(change) k(key) WHERE k.key <> ALL (CASE what WHEN 'pay' THEN '{pay,currency,invoice}' WHEN 'memo' THEN '{memo,currency,invoice}' WHEN 'dispute' THEN '{dispute,invoice}'
		WHEN 'order' THEN '{order,currency}' WHEN 'limit' THEN '{limit,kind,from,to,account}' ELSE ARRAY[what] END::text[]));
	IF wrong IS NOT NULL THEN
		PERFORM distsync_internal.credit_if_refuse('SD005', place, wrong, format('unknown field "%s"', left(wrong, 255)), format('See what a change "%s" takes.', what));
	ELSIF what IN ('pay', 'memo', 'dispute') AND f ->> 'company_id' IS NULL THEN
		PERFORM distsync_internal.credit_command_refuse('SD005', 'options.company', 'no company is named', 'There are several.', 'Name the company of the document in options.company.');
	END IF;
	world := world - 'told' - 'touched';
	IF what = 'limit' AND change ? 'account' THEN
		account := (SELECT a.account_id FROM dist.credit_account a WHERE a.code = change ->> 'account');
		IF account IS NULL THEN
			PERFORM distsync_internal.credit_if_refuse('SD001', place, 'account', format('unknown credit account "%s"', left(change ->> 'account', 255)), 'Name an account, or leave it out for the customer''s own.');
		END IF;
	ELSIF what = 'at' THEN
		world := world || jsonb_build_object('at', COALESCE(distsync_internal.credit_if_instant(change, 'at', place), (world ->> 'at')::timestamptz));
	END IF;
	world := CASE what WHEN 'pay' THEN distsync_internal.credit_if_pay(world, f, change, place) WHEN 'limit' THEN distsync_internal.credit_if_limit(world, account, change, place)
		WHEN 'order' THEN distsync_internal.credit_if_order(world, f, change, place) WHEN 'release' THEN distsync_internal.credit_if_order(world, f, change, place)
		WHEN 'at' THEN world ELSE distsync_internal.credit_if_claim(world, f, change, place) END;
	-- whoever makes room lets go of what waits; an order takes it
	IF what <> 'order' THEN
		touched := ARRAY(SELECT x.id FROM (SELECT account AS id UNION SELECT distsync_internal.credit_account_for((f ->> 'payer_id')::bigint, (f ->> 'company_id')::bigint) UNION SELECT e::bigint FROM jsonb_array_elements_text(world -> 'touched') e
			UNION SELECT o.account_id FROM dist.open_item o WHERE o.customer_id = (f ->> 'payer_id')::bigint AND o.company_id = (f ->> 'company_id')::bigint AND o.document_number = change ->> 'invoice') x WHERE x.id IS NOT NULL);
		world := distsync_internal.credit_if_queue(world, touched, place);
	END IF;
	RETURN world || jsonb_build_object('changes', (world -> 'changes') || (change || COALESCE(world -> 'told', '{}')));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_if_change(jsonb, jsonb, jsonb, integer) IS
	'A world after one change of a customer {customer_id, payer_id, company_id, account_id}: what waits and fits then is let go, but not by an order. Errors: SD001, SD002, SD003, SD005, SD061, naming changes[n].field.';

-- credit_what_if does the decision over supposed changes.
CREATE FUNCTION distsync.credit_what_if(customer text, changes jsonb, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
	c record;
	at timestamptz;
	amount numeric;
	world jsonb;
	found jsonb;
BEGIN
	PERFORM distsync_internal.master_scope_only(options, '{company,job,segment,amount,currency}', 'options.');
	IF jsonb_typeof(changes) IS DISTINCT FROM 'array' OR jsonb_array_length(CASE WHEN jsonb_typeof(changes) = 'array' THEN changes ELSE '[]' END) > 100 THEN
		PERFORM distsync_internal.credit_command_refuse('SD005', 'changes', 'changes must be a list of at most 100', '', 'Send for instance [{"pay": 100}].');
	END IF;
	options := distsync_internal.base_options(options, '{company:text,job:text,segment:text,at:instant,source:text,amount:text,currency:text}');
	amount := distsync_internal.credit_command_amount(options -> 'amount', 'options.amount');
	SELECT * INTO f FROM distsync_internal.credit_find(customer, options - '{amount,currency}'::text[], '{company:text,job:text,segment:text,at:instant,source:text}');
	at := COALESCE((options ->> 'at')::timestamptz, statement_timestamp());
	IF f.account_id IS NULL THEN
		RETURN jsonb_build_object('outcome', 'no_account', 'reasons', '[]'::jsonb, 'as_of', at, 'known_at', statement_timestamp(), 'changes', changes, 'released', '[]'::jsonb, 'complete', true);
	END IF;
	world := jsonb_build_object('at', at, 'accounts', '{}'::jsonb, 'items', '{}'::jsonb, 'gone', '{}'::jsonb, 'released', '[]'::jsonb, 'changes', '[]'::jsonb, 'tries', 0, 'complete', true);
	FOR c IN SELECT x.value, x.place::integer - 1 AS place FROM jsonb_array_elements(changes) WITH ORDINALITY x(value, place) ORDER BY x.place LOOP
		world := distsync_internal.credit_if_change(world, to_jsonb(f), c.value, c.place);
	END LOOP;
	amount := distsync_internal.credit_amount(f.account_id, COALESCE(amount, 0), options ->> 'currency', (world ->> 'at')::timestamptz);
	found := distsync_internal.credit_decide_whole(f.account_id, amount, jsonb_build_object('at', world -> 'at', 'customer_id', f.customer_id, 'supposed', world -> 'accounts')) || jsonb_build_object('known_at', statement_timestamp());
	RETURN to_jsonb(distsync_internal.credit_row(found)) || jsonb_build_object('changes', world -> 'changes', 'released', world -> 'released', 'complete', world -> 'complete',
		'before', to_jsonb(distsync_internal.credit_row(distsync_internal.credit_decide_whole(f.account_id, amount, jsonb_build_object('at', at, 'customer_id', f.customer_id)) || jsonb_build_object('known_at', statement_timestamp()))));
END
$$;
COMMENT ON FUNCTION distsync.credit_what_if(text, jsonb, jsonb) IS
	'What would credit() say after supposed changes, one after the other, and which waiting orders would be let go: a read, also on a standby. changes: a list of {pay, currency, invoice} (applied as a payment that came now), {order, currency} (takes its amount if it is approved), {limit (null = unlimited), kind base | temporary | seasonal | insured, from, to, account}, {at} (time passes), {release: order number} (by people), {dispute, invoice}, {memo, currency, invoice}. Options: as credit(), and amount, currency: asked in the end. Returns an object with the columns of credit(), before (the same without the changes), changes (as sent; orders with outcome, reasons and cure, payments with applied and unapplied), released [{order_number, company, customer, account, amount, change}] in their order, complete (false: more than a thousand waiting orders to try). Errors: SD001, SD002, SD003, SD005, SD061 not held, naming changes[n].field.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('credit_what_if', '{reader,order_entry,operator,admin}');
