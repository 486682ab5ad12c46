-- clients.sql: what clients do in t/045_stock_fire.pl. step() is one random act: one verb, in one transaction, and its line in the ledger.
-- What a verb refuses is an error that reaches the client; the log of the server tells which. What is wrong raises FIRE1.
\set ON_ERROR_STOP 1

-- one_of does the drawing of one element.
CREATE FUNCTION fire.one_of(VARIADIC elements anyarray) RETURNS anyelement LANGUAGE sql VOLATILE AS $$ SELECT elements[1 + floor(random() * cardinality(elements))] $$;

-- some_item does the drawing of an item, the hot one most often.
CREATE FUNCTION fire.some_item(clean boolean DEFAULT NULL) RETURNS fire.item LANGUAGE sql VOLATILE AS $$
	SELECT i FROM fire.item i WHERE some_item.clean IS NULL OR i.clean = some_item.clean ORDER BY -ln(1 - random()) / i.weight LIMIT 1 $$;

-- lines does the making of lines of a call, in any order and with the same item twice at times.
CREATE FUNCTION fire.lines(client integer, many integer) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	i fire.item;
	all_lines jsonb := '[]';
	boxes boolean;
BEGIN
	FOR n IN 1..many LOOP
		i := fire.some_item();
		boxes := i.opening >= 80 AND random() < .1;
		all_lines := all_lines || jsonb_strip_nulls(jsonb_build_object('item', i.sku, 'quantity', CASE WHEN boxes THEN 1 WHEN i.rests THEN trunc((.01 + 3 * random())::numeric, 2) ELSE 1 + floor(4 * random()) END, 'unit', CASE WHEN boxes THEN 'BX' END,
			'site', CASE WHEN random() < .3 THEN fire.one_of(VARIADIC i.sites) END,
			'demand_key', CASE WHEN random() < .5 THEN NULL WHEN i.clean THEN format('C/%s.%s/%s', client, currval('fire.number'), n) ELSE format('C/all%s/%s', floor(12 * random()), n) END));
	END LOOP;
	RETURN all_lines;
END
$$;

-- options does the making of the options of a call.
CREATE FUNCTION fire.options(client integer) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('holder', 'client ' || client, 'ttl', fire.one_of('50 milliseconds'::text, '300 milliseconds', '1 second', '1 second', '10 minutes'), 'mode', fire.one_of('all_or_none'::text, 'all_or_none', 'take_up_to', NULL),
		'split', fire.one_of(true, NULL, NULL, false), 'commit', fire.one_of(true, NULL, NULL, NULL), 'kind', fire.one_of('soft'::text, 'hard', NULL), 'take_over', fire.one_of(true, NULL, NULL), 'priority', fire.one_of(50, NULL), 'customer', fire.one_of('P1'::text, 'P2', NULL, NULL), 'channel', fire.one_of('WEB'::text, NULL, NULL),
		'company', fire.one_of('C'::text, NULL, NULL), 'use_safety', fire.one_of(true, NULL, NULL, NULL), 'min_shelf_days', fire.one_of(60, NULL, NULL, NULL), 'idempotency_key', CASE WHEN random() < .3 THEN format('%s/%s', client, currval('fire.number')) END)) $$;

-- ask does a call, and the noting of its answer. What is refused does not burn its key, so that it is no answer to be given again.
CREATE FUNCTION fire.ask(client integer, lines jsonb, options jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	answer jsonb := (SELECT jsonb_agg(to_jsonb(r)) FROM distsync.reserve(lines, options) r);
BEGIN
	INSERT INTO fire.told (client, verb, key, asked, answer)
	VALUES (client, CASE WHEN answer @? '$[*].reservation_id ? (@ > 0)' THEN 'reserve' ELSE 'refused' END, options->>'idempotency_key', jsonb_build_object('lines', lines, 'options', options), answer);
	RETURN answer;
END
$$;

-- kits does the making of lines of kits, at times for a demand, between others.
CREATE FUNCTION fire.kits(client integer, many integer) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('item', k.kit, 'quantity', 1 + floor(3 * random()), 'site', CASE WHEN random() < .3 THEN fire.one_of('S1'::text, 'S2') END,
		'demand_key', CASE WHEN random() < .5 THEN NULL WHEN k.kit = 'KIT' THEN format('C/%s.%s/99', client, currval('fire.number')) ELSE format('C/all%s/3', floor(12 * random())) END)))
	|| CASE WHEN many > 1 THEN fire.lines(client, many - 1) ELSE '[]' END
	FROM (SELECT fire.one_of('KIT'::text, 'KIT', 'SET') AS kit) k $$;

-- reserve does a call of so many lines; every eighth has kits, whole or taken apart.
CREATE FUNCTION fire.reserve(client integer, many integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('fire.number');
	PERFORM fire.ask(client, CASE WHEN random() < .88 THEN fire.lines(client, many) WHEN random() < .8 THEN fire.kits(client, many)
		ELSE '[{"item":"KB","quantity":2,"site":"S2"},{"item":"KA","quantity":4,"site":"S2"}]'::jsonb END, fire.options(client));
END
$$;

-- again does a call that was answered once more under its key; sometimes another call under that key, which must fail. Or what many ask under
-- one key at the same time.
CREATE FUNCTION fire.again(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	old fire.told;
	other boolean := random() < .15;
	answer jsonb;
BEGIN
	SELECT * INTO old FROM fire.told t WHERE t.client = again.client AND t.verb = 'reserve' AND t.key IS NOT NULL AND t.key NOT LIKE 'all%' ORDER BY random() LIMIT 1;
	IF old.id IS NULL OR random() < .5 THEN
		PERFORM fire.ask(client, '[{"item":"HOT","quantity":1}]', jsonb_build_object('holder', 'all', 'ttl', '2 seconds', 'source', 'erp', 'idempotency_key', 'all ' || floor(extract(epoch FROM clock_timestamp()) * 4)));
		RETURN;
	END IF;
	answer := fire.ask(client, old.asked->'lines', old.asked->'options' || CASE WHEN other THEN '{"priority":7}' ELSE '{}' END::jsonb);
	IF other OR answer <> old.answer THEN
		RAISE EXCEPTION USING ERRCODE = 'FIRE1', MESSAGE = 'a key was answered twice, and not the same', DETAIL = format('%s: %s, then %s', old.asked, old.answer, answer);
	END IF;
END
$$;

-- mine does the choice of a live reservation: of the client itself, or, where the item is not clean, of anybody.
CREATE FUNCTION fire.mine(client integer, states text[]) RETURNS dist.reservation LANGUAGE sql VOLATILE AS $$
	SELECT x FROM (SELECT r AS x FROM dist.reservation r WHERE r.holder = 'client ' || mine.client AND r.state = ANY (states) AND random() < .8
	UNION ALL (SELECT r FROM dist.reservation r JOIN dist.item d ON d.item_id = r.item_id JOIN fire.item i ON i.sku = d.sku AND NOT i.clean WHERE r.state = ANY (states) AND random() < .1 LIMIT 20)) u
	ORDER BY random() LIMIT 1 $$;

-- settle does a commit, a release or an extension of a reservation, of all or a part of it, or the same again under its key.
CREATE FUNCTION fire.settle(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	doing text := fire.one_of('commit'::text, 'commit', 'release', 'extend');
	r dist.reservation := fire.mine(client, '{held}');
	part numeric;
	options jsonb;
	old fire.told;
	answer jsonb;
BEGIN
	options := jsonb_strip_nulls(jsonb_build_object('keep_rest', CASE WHEN doing = 'commit' THEN fire.one_of(true, NULL) END, 'holder', CASE WHEN random() < .05 THEN 'somebody else' WHEN random() < .3 THEN r.holder END,
		'idempotency_key', CASE WHEN random() < .3 THEN format('%s/%s', client, nextval('fire.number')) END));
	IF doing = 'release' AND random() < .3 THEN
		r := fire.mine(client, '{held,committed}');
		options := options || '{"void":true}';
	END IF;
	part := CASE WHEN random() < .5 THEN NULL WHEN random() < .1 THEN r.quantity + 1 WHEN r.kit_per IS NOT NULL THEN ceil(r.quantity / r.kit_per * random()) ELSE greatest(.01, trunc((r.quantity * random())::numeric, 2)) END;
	IF random() < .15 THEN
		SELECT * INTO old FROM fire.told t WHERE t.client = settle.client AND t.verb = doing AND t.key IS NOT NULL ORDER BY random() LIMIT 1;
		r.reservation_id := COALESCE(old.subject, r.reservation_id);
		part := CASE WHEN old.id IS NULL THEN part ELSE (old.asked->>'part')::numeric END;
		options := COALESCE(old.asked->'options', options);
	END IF;
	answer := CASE doing WHEN 'commit' THEN (SELECT jsonb_agg(to_jsonb(x)) FROM distsync.commit_reservation(r.reservation_id, part, options) x)
		WHEN 'release' THEN (SELECT jsonb_agg(to_jsonb(x)) FROM distsync.release_reservation(r.reservation_id, part, options) x)
		ELSE (SELECT jsonb_agg(to_jsonb(x)) FROM distsync.extend_reservation(r.reservation_id, COALESCE(part, 1) * interval '1 second', options) x) END;
	IF old.id IS NOT NULL AND answer <> old.answer THEN
		RAISE EXCEPTION USING ERRCODE = 'FIRE1', MESSAGE = 'a key was answered twice, and not the same', DETAIL = format('%s %s %s: %s, then %s', doing, r.reservation_id, options, old.answer, answer);
	END IF;
	INSERT INTO fire.told (client, verb, key, subject, asked, answer) VALUES (client, doing, options->>'idempotency_key', r.reservation_id, jsonb_build_object('part', part, 'options', options), answer);
END
$$;

-- ship does the leaving of goods that are committed to a demand, or a part of them.
CREATE FUNCTION fire.ship(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r dist.reservation;
BEGIN
	SELECT x.* INTO r FROM dist.reservation x WHERE x.holder = 'client ' || ship.client AND x.state = 'committed' AND x.demand_key IS NOT NULL ORDER BY random() LIMIT 1;
	IF FOUND THEN
		PERFORM fire.tell(client, ARRAY[fire.happen('wms', jsonb_build_object('kind', 'ship', 'sku', (SELECT i.sku FROM dist.item i WHERE i.item_id = r.item_id), 'site', (SELECT s.code FROM dist.site s WHERE s.site_id = r.site_id),
			'quantity', CASE WHEN random() < .5 THEN r.committed - r.shipped ELSE greatest(least(.01, r.committed - r.shipped), trunc(((r.committed - r.shipped) * random())::numeric, 2)) END, 'reference', r.demand_key))]);
	END IF;
END
$$;

-- stock does the happening of an event of stock, which is told now or later by anybody.
CREATE FUNCTION fire.stock(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	i fire.item := fire.some_item();
	site text := fire.one_of(VARIADIC i.sites);
	kind text := CASE WHEN i.clean THEN 'receive' ELSE fire.one_of('receive'::text, 'receive', 'delta', 'delta', 'count', 'transfer', 'transfer', 'ship', 'reverse') END;
	side text := CASE WHEN i.twin AND NOT i.clean THEN fire.one_of('wms'::text, 'erp') ELSE 'wms' END;
	doc jsonb;
	old fire.event;
	numbers bigint[];
	later boolean := random() < .4;
BEGIN
	doc := jsonb_build_object('kind', kind, 'sku', i.sku, 'site', site, 'quantity', CASE kind WHEN 'count' THEN floor(80 * random()) WHEN 'delta' THEN floor(11 * random()) - 5 ELSE 1 + floor(CASE WHEN i.clean THEN 20 ELSE 5 END * random()) END)
		|| CASE WHEN i.lots THEN fire.one_of('{"lot":"L1"}'::text, '{"lot":"L2"}', '{"lot":"L3"}')::jsonb ELSE '{}' END;
	IF kind = 'transfer' THEN
		doc := doc || fire.one_of('{"to_state":"quality"}'::text, '{"state":"quality"}', '{"to_state":"damaged"}', jsonb_build_object('to_site', fire.one_of(VARIADIC i.sites))::text)::jsonb;
	ELSIF kind = 'reverse' THEN
		SELECT e.* INTO old FROM fire.event e WHERE e.n > 10000 AND e.source = side AND e.doc->>'sku' = i.sku AND e.doc->>'kind' IN ('delta', 'receive', 'transfer') ORDER BY random() LIMIT 1;
		doc := CASE WHEN old.n IS NOT NULL THEN jsonb_build_object('kind', kind, 'sku', i.sku, 'site', old.doc->>'site', 'reverses', old.doc->>'event_id') ELSE doc || '{"kind":"delta"}' END;
	ELSIF kind IN ('receive', 'ship') AND NOT i.clean THEN
		doc := doc || CASE WHEN random() < .5 THEN '{}' WHEN kind = 'receive' THEN jsonb_build_object('reference', 'PO/' || floor(10 * random())) ELSE jsonb_build_object('reference', format('C/all%s/1', floor(12 * random()))) END;
	ELSIF kind = 'receive' AND i.twin THEN
		-- the warehouse tells it, and the book the same, somewhen
		doc := doc || jsonb_build_object('reference', 'RC/' || nextval('fire.number'));
		PERFORM fire.happen('erp', doc);
	END IF;
	-- a reversal may be refused, because there is one already, and its number would be missing for ever
	numbers := ARRAY[fire.happen(side, doc, later AND doc->>'kind' <> 'reverse' AND random() < .5)];
	IF NOT later THEN
		PERFORM fire.tell(client, numbers);
	END IF;
END
$$;

-- feed does the telling of events that wait, and of some that were told before.
CREATE FUNCTION fire.feed(client integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fire.tell(client, ARRAY(SELECT e.n FROM fire.event e WHERE NOT e.told ORDER BY e.n DESC LIMIT 5 FOR UPDATE SKIP LOCKED)
		|| ARRAY(SELECT e.n FROM fire.event e WHERE e.told AND e.n > 10000 ORDER BY e.n DESC OFFSET floor(100 * random()) LIMIT 2));
END
$$;

-- paper does the telling of a document about what will come, what is wanted, and what shall be taken into account.
CREATE FUNCTION fire.paper(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	i fire.item := fire.some_item(false);
	site text := fire.one_of(VARIADIC i.sites);
	entity text := fire.one_of('supply'::text, 'supply', 'demand', 'demand', 'demand', 'order', 'item_site', 'stock_quota');
	soon timestamptz := clock_timestamp() + fire.one_of('-1 hour'::text, '1 second', '3 seconds', '1 day')::interval;
	doc jsonb;
	answer jsonb;
BEGIN
	doc := CASE entity
		WHEN 'supply' THEN jsonb_build_object('kind', 'purchase', 'reference', 'PO/' || floor(10 * random()), 'sku', i.sku, 'site', site, 'quantity', 5 + floor(20 * random()), 'expected_at', soon, 'confidence', fire.one_of(1.0, .5))
		WHEN 'demand' THEN jsonb_strip_nulls(CASE WHEN random() < .2 THEN jsonb_build_object('demand_key', format('C/all%s/3', floor(12 * random())), 'sku', 'SET') ELSE jsonb_build_object('demand_key', format('C/all%s/%s', floor(12 * random()), fire.one_of(1, 2)), 'sku', i.sku) END || jsonb_build_object('site', CASE WHEN site = 'S3' THEN 'S2' ELSE site END, 'ordered', floor(6 * random()), 'allocated', fire.one_of(NULL, NULL, 1, 3), 'required_at', fire.one_of(NULL, soon)))
		WHEN 'order' THEN jsonb_build_object('company', 'C', 'order_number', 'all' || floor(12 * random()), 'customer', 'P1', 'currency', 'USD', 'lines', jsonb_build_array(
			jsonb_build_object('line', 1, 'item', i.sku, 'quantity', 1 + floor(4 * random()), 'unit_price', 1, 'site', site), jsonb_build_object('line', 2, 'item', 'D1', 'quantity', 1, 'unit_price', 1, 'site', 'S2'), jsonb_build_object('line', 3, 'item', 'SET', 'quantity', 1 + floor(2 * random()), 'unit_price', 1, 'site', fire.one_of('S1'::text, 'S2'))))
		WHEN 'item_site' THEN jsonb_build_object('sku', i.sku, 'site', site, 'safety', floor(4 * random()), 'backorder_cap', floor(4 * random()), 'lead_days', fire.one_of(NULL, NULL, 30))
		ELSE jsonb_build_object('sku', 'QUO', 'scope_kind', 'channel', 'scope_key', 'WEB', 'quantity', 40 + floor(60 * random())) END;
	answer := (SELECT jsonb_agg(to_jsonb(r)) FROM distsync.apply(entity, doc, 'erp', NULL, '{"on_error":"collect"}') r);
	IF answer->0->>'outcome' NOT IN ('applied', 'unchanged') AND NOT (entity = 'stock_quota' AND answer->0->>'sqlstate' = 'SD002') THEN
		RAISE EXCEPTION USING ERRCODE = 'FIRE1', MESSAGE = format('a fact was refused: %s', entity), DETAIL = format('%s: %s', doc, answer);
	END IF;
	INSERT INTO fire.told (client, verb, asked, answer) VALUES (client, entity, doc, answer);
END
$$;
