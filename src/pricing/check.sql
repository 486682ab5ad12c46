-- check_prices(): what was charged, against what we say, and what of it was our own late word.

CREATE TYPE distsync_internal.price_observation AS (
	source			text,
	channel			text,
	document_type	text,
	document_key	text,
	line_no			integer,
	customer_id		bigint,
	item_id			bigint,
	quantity		numeric,
	priced_quantity	numeric,
	unit			text,
	unit_price		numeric,
	price_per		integer,
	currency		text,
	tax_percent		numeric,
	charged_at		timestamptz,
	priced_at		timestamptz,
	site			text,
	override		text,
	company			text,
	options			jsonb,
	peers			jsonb
);
COMMENT ON TYPE distsync_internal.price_observation IS
	'A price that was charged, as rooms tell it to check_prices() (handlers of kind observe): unit_price for price_per units; quantity charged, priced_quantity that decided the tier; charged_at: the date of the document, priced_at: when the price was decided; options: those of price() that it was asked with, without currency, site and known_at; peers: lines [{"item_id","quantity","unit","site"}] that were priced together with the document''s and are not on it, the same for all its lines, NULL = none.';

CREATE TYPE distsync_internal.price_check AS (
	source			text,
	channel			text,
	customer		text,
	document_type	text,
	document_key	text,
	line_no			integer,
	item			text,
	quantity		numeric,
	unit			text,
	currency		text,
	priced_at		timestamptz,
	charged			numeric,
	expected		numeric,
	difference		numeric,
	amount_at_risk	numeric,
	loser			text,
	side			text,
	cause			text,
	detail			jsonb
);
COMMENT ON TYPE distsync_internal.price_check IS 'A price that was charged beside ours, both for one unit, and what it means: see check_prices().';

-- pricing_observed does the telling of what channels and others charged, for check_prices().
CREATE FUNCTION distsync_internal.pricing_observed(scope jsonb) RETURNS SETOF distsync_internal.price_observation
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT 'observed', h.code, o.document_type, o.document_key, o.line_no, o.customer_id, o.item_id, o.quantity, o.quantity, o.unit, o.unit_price, o.price_per, o.currency, o.tax_percent, o.priced_at, o.priced_at, w.code, o.override, c.code,
		jsonb_strip_nulls(jsonb_build_object('company', c.code, 'channel', h.code, 'ship_to', s.code, 'job', j.code, 'document_type', o.lock_type, 'document_key', o.lock_key, 'requested_ship', o.requested_ship))
			|| CASE WHEN jsonb_typeof(o.context) = 'object' THEN jsonb_build_object('context', o.context) ELSE '{}' END, NULL::jsonb
	FROM dist.observed_price o
	LEFT JOIN dist.channel h ON h.channel_id = o.channel_id
	LEFT JOIN dist.company c ON c.company_id = o.company_id
	LEFT JOIN dist.party s ON s.party_id = o.ship_to_id
	LEFT JOIN dist.party j ON j.party_id = o.job_id
	LEFT JOIN dist.site w ON w.site_id = o.site_id
	WHERE o.priced_at >= (scope->>'since')::timestamptz AND o.priced_at < (scope->>'until')::timestamptz
		AND (scope->>'customer_id' IS NULL OR o.customer_id = (scope->>'customer_id')::bigint) AND (scope->>'channel_id' IS NULL OR o.channel_id = (scope->>'channel_id')::bigint)
		AND (scope->>'document_type' IS NULL OR o.document_type = scope->>'document_type') AND (scope->>'document_key' IS NULL OR o.document_key = scope->>'document_key')
		AND COALESCE(scope->>'source', 'observed') = 'observed';
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_observed(jsonb) IS 'Handler of kind observe: rows of dist.observed_price in a scope {"since","until","customer_id","channel_id","document_type","document_key","source"}; since and until are of charged_at.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('observe', 'observed', 'distsync_internal.pricing_observed');

-- pricing_charged does the asking of every room for what was charged.
CREATE FUNCTION distsync_internal.pricing_charged(scope jsonb) RETURNS SETOF distsync_internal.price_observation
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	told text;
BEGIN
	FOR told IN SELECT h.function FROM distsync_internal.handler h WHERE h.kind = 'observe' ORDER BY h.name LOOP
		-- %s is the name of a function that a room registered
		RETURN QUERY EXECUTE format('SELECT * FROM %s($1)', told) USING scope;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_charged(jsonb) IS 'Everything that was charged in a scope, as the handlers of kind observe tell it.';

-- pricing_check_scope does the reading of the options of check_prices().
CREATE FUNCTION distsync_internal.pricing_check_scope(options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o jsonb := distsync_internal.base_options(options, '{source:text,channel:text,customer:text,item:text,document_type:text,document_key:text,since:instant,until:instant,limit:integer:1:1000000,tolerance,tax_rates:object,agreeing:boolean,causes:boolean}');
	known text := (SELECT string_agg(h.name, ', ' ORDER BY h.name) FROM distsync_internal.handler h WHERE h.kind = 'observe');
BEGIN
	IF o->>'source' IS NOT NULL AND NOT EXISTS (SELECT FROM distsync_internal.handler h WHERE h.kind = 'observe' AND h.name = o->>'source') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('nobody tells prices of the source "%s"', left(o->>'source', 80)), COLUMN = 'options.source', DETAIL = 'Field: options.source.', HINT = format('Known sources are %s.', known);
	ELSIF o->>'tolerance' IS NOT NULL AND (jsonb_typeof(o->'tolerance') NOT IN ('number', 'string') OR o->>'tolerance' !~ '^[0-9]{1,12}(\.[0-9]{1,8})?$') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('option "tolerance" cannot be %s', left((o->'tolerance')::text, 80)), COLUMN = 'options.tolerance', DETAIL = 'Field: options.tolerance.', HINT = 'Send an amount of at least 0 with at most 8 decimals.';
	END IF;
	RETURN o || jsonb_build_object('since', COALESCE((o->>'since')::timestamptz, statement_timestamp() - interval '31 days'), 'until', COALESCE((o->>'until')::timestamptz, 'infinity'),
		'customer_id', distsync_internal.master_party(o->>'customer', 'options.customer'), 'channel_id', distsync_internal.master_channel(o->>'channel', 'options.channel'),
		'item_id', distsync_internal.master_item(o->>'item', 'options.item'), 'limit', COALESCE((o->>'limit')::integer, 1000), 'tolerance', COALESCE((o->>'tolerance')::numeric, 0));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_check_scope(jsonb) IS 'Options of check_prices(), checked, with ids and defaults. Errors: SD001, SD002, SD005 naming the option.';

-- pricing_judge_line does the judgement over one line: whose word differs, by how much, and for whom that is bad.
CREATE FUNCTION distsync_internal.pricing_judge_line(line jsonb, then_row distsync_internal.price_result, now_row distsync_internal.price_result, tolerance numeric)
RETURNS TABLE (charged numeric, expected numeric, then_price numeric, now_price numeric, side text, cause text)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	charged := trim_scale((line->>'unit_price')::numeric / (line->>'price_per')::integer);
	then_price := trim_scale(then_row.unit_price / then_row.price_per);
	now_price := trim_scale(now_row.unit_price / now_row.price_per);
	expected := COALESCE(then_price, now_price);
	side := CASE WHEN abs(charged - expected) <= tolerance THEN CASE WHEN abs(charged - now_price) <= tolerance THEN 'none' ELSE 'our_correction' END ELSE 'channel' END;
	IF side = 'our_correction' THEN
		expected := now_price;
		cause := 'late_correction';
	ELSIF side = 'channel' AND abs(charged - now_price) <= tolerance THEN
		cause := 'known_later';
	END IF;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_judge_line(jsonb, distsync_internal.price_result, distsync_internal.price_result, numeric) IS
	'What was charged and ours for one unit, as known then and now; side none (both agree), our_correction (only what we know now differs) or channel; cause late_correction, known_later (what was charged is what we hold true now) or NULL: to be found.';

-- pricing_asked does the lines of a document as prices() takes them, those that were priced with it last.
CREATE FUNCTION distsync_internal.pricing_asked(lines jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('item_id', x.l->'item_id', 'quantity', x.l->'priced_quantity', 'unit', x.l->'unit', 'site', x.l->'site')) ORDER BY x.place) FROM jsonb_array_elements(lines) WITH ORDINALITY x(l, place))
		|| COALESCE(NULLIF(lines->0->'peers', 'null'), '[]');
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_asked(jsonb) IS 'Rows of price_observation as lines of prices(), then their peers.';

-- pricing_check_ctx does the putting together of what the search for a cause needs to know about a line.
CREATE FUNCTION distsync_internal.pricing_check_ctx(line jsonb, place bigint, lines jsonb, options jsonb, known_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ctx jsonb;
	answer distsync_internal.price_result;
BEGIN
	ctx := jsonb_build_object('customer_id', line->'customer_id', 'item_id', line->'item_id', 'quantity', line->'priced_quantity', 'unit', line->'unit', 'site', line->'site', 'at', line->'priced_at', 'known_at', known_at,
		'options', options, 'charged', trim_scale((line->>'unit_price')::numeric / (line->>'price_per')::integer), 'price_per', line->'price_per', 'tax_percent', line->'tax_percent', 'override', line->'override',
		'minor_units', (SELECT c.minor_units FROM dist.currency c WHERE c.currency = line->>'currency'),
		'parties', (SELECT jsonb_agg(p.party_id) FROM dist.party p WHERE p.party_id = (line->>'customer_id')::bigint OR p.code IN (options->>'ship_to', options->>'job')),
		'peers', (SELECT COALESCE(jsonb_agg(k.l ORDER BY k.place), '[]') FROM (
			SELECT x.place, x.l FROM jsonb_array_elements(distsync_internal.pricing_asked(lines)) WITH ORDINALITY x(l, place)
			JOIN dist.item mine ON mine.item_id = (line->>'item_id')::bigint JOIN dist.item i ON i.item_id = (x.l->>'item_id')::bigint
			WHERE x.place <> pricing_check_ctx.place AND (i.item_id = mine.item_id OR i.family = mine.family) ORDER BY x.place LIMIT 200) k));
	answer := distsync_internal.pricing_try(ctx, '{}');
	RETURN ctx || jsonb_build_object('row', to_jsonb(answer) - 'detail', 'detail', answer.detail, 'won', distsync_internal.pricing_won(answer));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_check_ctx(jsonb, bigint, jsonb, jsonb, timestamptz) IS
	'What pricing_cause() wants to know of a line of a document, with our answer as known at an instant (NULL = now) and its whole waterfall. Of the other lines those count that measures can sum: the same item or family, at most 200.';

-- pricing_granted does the reckoning of how much of an item a document gives away, in the line's unit.
CREATE FUNCTION distsync_internal.pricing_granted(line jsonb, lines jsonb, options jsonb) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (
	SELECT COALESCE(sum((g->>'quantity')::numeric), 0) * max(f.denominator) / max(f.numerator)
	FROM dist.item i JOIN distsync_internal.pricing_factors(i.item_id) f ON f.unit = line->>'unit'
	LEFT JOIN distsync_internal.pricing_prices((line->>'customer_id')::bigint, distsync_internal.pricing_asked(lines), (line->>'priced_at')::timestamptz, options) p ON true
	LEFT JOIN LATERAL jsonb_array_elements(COALESCE(p.detail->'free_goods', '[]')) g ON g->>'item' = i.sku
	WHERE i.item_id = (line->>'item_id')::bigint);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_granted(jsonb, jsonb, jsonb) IS 'Quantity of a line''s item that the other lines of its document give free, in the unit of the line.';

-- pricing_check_line does the finding out about a line that does not agree: who made our price, the cause, the money.
CREATE FUNCTION distsync_internal.pricing_check_line(line jsonb, lines jsonb, options jsonb, known_at timestamptz, j record, scope jsonb) RETURNS distsync_internal.price_check
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r distsync_internal.price_check;
	ctx jsonb;
	found jsonb := '{}';
	free numeric := 0;
	quantity numeric := (line->>'quantity')::numeric;
BEGIN
	r.charged := j.charged;
	r.expected := j.expected;
	r.side := j.side;
	r.cause := j.cause;
	IF j.side = 'none' THEN
		r.difference := r.charged - r.expected;
		RETURN r;
	END IF;
	ctx := distsync_internal.pricing_check_ctx(line, j.place, lines, options, CASE WHEN j.side = 'channel' AND j.then_price IS NOT NULL THEN known_at END);
	IF j.charged = 0 AND j.side = 'channel' THEN
		free := least(distsync_internal.pricing_granted(line, lines, options), abs(quantity));
	END IF;
	IF free > 0 THEN
		r.cause := 'free_goods';
		found := jsonb_build_object('supposed', jsonb_build_object('granted', trim_scale(free)));
		r.side := CASE WHEN free >= abs(quantity) THEN 'none' ELSE r.side END;
	ELSIF r.cause IS NULL AND COALESCE((scope->>'causes')::boolean, true) THEN
		found := distsync_internal.pricing_cause(ctx);
		r.cause := found->>'cause';
	END IF;
	r.difference := trim_scale(r.charged - r.expected);
	r.amount_at_risk := round(CASE r.cause WHEN 'known_later' THEN 0 ELSE r.difference * (quantity - free * sign(quantity)) END, (ctx->>'minor_units')::integer);
	r.loser := CASE WHEN r.side = 'none' OR r.cause = 'known_later' THEN NULL WHEN r.difference * quantity < 0 THEN 'us' WHEN r.difference * quantity > 0 THEN 'customer' END;
	r.detail := jsonb_strip_nulls(jsonb_build_object('company', line->'company', 'charged_at', line->'charged_at', 'expected_then', j.then_price, 'expected_now', j.now_price, 'known_at', CASE WHEN j.then_price IS NOT NULL THEN known_at END,
		'ours', ctx->'won', 'supposed', found->'supposed', 'gives', found->'gives', 'override', line->'override', 'below', CASE WHEN r.side = 'none' OR r.cause = 'known_later' THEN NULL
			WHEN r.charged < (ctx->'detail'->>'floor')::numeric THEN 'floor' WHEN r.charged < r.expected THEN CASE WHEN (ctx->'detail'->>'locked')::boolean THEN 'lock' ELSE ctx->'won'->>'slot' END END));
	RETURN r;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_check_line(jsonb, jsonb, jsonb, timestamptz, record, jsonb) IS
	'A line judged by pricing_judge_line() (j) as a row of check_prices(), what names the line aside. Free goods that the document gives agree with 0.';

-- pricing_used_then does the reckoning of what had been used of the volumes that prices looked at, when a document was priced.
CREATE FUNCTION distsync_internal.pricing_used_then(rows distsync_internal.price_result[], at timestamptz, document text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (
	SELECT jsonb_object_agg(n.code, jsonb_build_object('quantity', n.quantity - u.quantity, 'amount', n.amount - u.amount))
	FROM (SELECT v->>'agreement' AS code, max((v->>'used_quantity')::numeric) AS quantity, max((v->>'used_amount')::numeric) AS amount
		FROM unnest(rows) r CROSS JOIN LATERAL jsonb_array_elements(COALESCE(r.detail->'commitments', '[]')) v GROUP BY 1) n
	JOIN dist.agreement a ON a.code = n.code
	LEFT JOIN dist.commitment c ON c.agreement_id = a.agreement_id
	CROSS JOIN LATERAL (SELECT COALESCE(sum(x.quantity), 0) AS quantity, COALESCE(sum(x.amount), 0) AS amount FROM dist.commitment_use x
		WHERE x.agreement_id = a.agreement_id AND NOT x.used_at <= c.told_at IS TRUE AND (x.used_at >= pricing_used_then.at OR x.document_key = document)) u);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_used_then(distsync_internal.price_result[], timestamptz, text) IS
	'Option used of prices() for an instant: what is used of the volumes that answers looked at, less what the document itself and those placed since use; NULL where none was looked at.';

-- pricing_check_document does the pricing of a document, as known when it was priced and as known now, and tells its lines that do not agree.
CREATE FUNCTION distsync_internal.pricing_check_document(lines jsonb, scope jsonb) RETURNS SETOF distsync_internal.price_check
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	customer bigint := (lines->0->>'customer_id')::bigint;
	at timestamptz := (lines->0->>'priced_at')::timestamptz;
	options jsonb := jsonb_build_object('tax_rates', scope->'tax_rates') || (lines->0->'options') || jsonb_build_object('currency', lines->0->'currency');
	known jsonb := CASE WHEN at >= (SELECT min(p.published_at) FROM dist.price_policy p) THEN jsonb_build_object('known_at', at) ELSE '{}' END;
	asked jsonb := distsync_internal.pricing_asked(lines);
	now_rows distsync_internal.price_result[] := ARRAY(SELECT p FROM distsync_internal.pricing_prices(customer, asked, at, options) p);
	used jsonb := distsync_internal.pricing_used_then(now_rows, at, (options->>'company') || '/' || (options->>'document_key'));
	j record;
	r distsync_internal.price_check;
BEGIN
	IF used IS NOT NULL THEN
		options := options || jsonb_build_object('used', used);
		now_rows := ARRAY(SELECT p FROM distsync_internal.pricing_prices(customer, asked, at, options) p);
	END IF;
	FOR j IN
		SELECT x.l AS line, x.place, w.* FROM jsonb_array_elements(lines) WITH ORDINALITY x(l, place)
		JOIN unnest(now_rows) n ON n.ordinal = x.place
		LEFT JOIN distsync_internal.pricing_prices(customer, asked, at, options || known) t ON known <> '{}' AND t.ordinal = x.place
		CROSS JOIN LATERAL distsync_internal.pricing_judge_line(x.l, t, n, (scope->>'tolerance')::numeric) w
		WHERE (w.side <> 'none' OR (scope->>'agreeing')::boolean) AND COALESCE(scope->'item_id' = x.l->'item_id' OR scope->'item_id' = 'null', true)
		ORDER BY x.place
	LOOP
		r := distsync_internal.pricing_check_line(j.line, lines, options, at, j, scope);
		IF r.side = 'none' AND NOT COALESCE((scope->>'agreeing')::boolean, false) THEN
			CONTINUE;
		END IF;
		r.source := j.line->>'source'; r.channel := j.line->>'channel'; r.document_type := j.line->>'document_type'; r.document_key := j.line->>'document_key'; r.line_no := (j.line->>'line_no')::integer;
		r.customer := (SELECT p.code FROM dist.party p WHERE p.party_id = customer);
		r.item := (SELECT i.sku FROM dist.item i WHERE i.item_id = (j.line->>'item_id')::bigint);
		r.quantity := (j.line->>'quantity')::numeric; r.unit := j.line->>'unit'; r.currency := j.line->>'currency'; r.priced_at := at;
		RETURN NEXT r;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_check_document(jsonb, jsonb) IS
	'Lines of one document (rows of price_observation as JSON) that do not agree with us, or all of them. What was charged before we published any policy is judged by what we know now; volumes count as they were used then.';

-- pricing_check does the comparison over a scope, document by document, the oldest first.
CREATE FUNCTION distsync_internal.pricing_check(scope jsonb) RETURNS SETOF distsync_internal.price_check
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d record;
	r distsync_internal.price_check;
	left_over bigint := (scope->>'limit')::bigint;
BEGIN
	FOR d IN
		SELECT jsonb_agg(to_jsonb(o) ORDER BY o.line_no) AS lines
		FROM distsync_internal.pricing_charged(scope) o
		JOIN dist.item i ON i.item_id = o.item_id AND (i.base_unit = o.unit OR EXISTS (SELECT FROM dist.item_unit u WHERE u.item_id = o.item_id AND u.unit = o.unit))
		JOIN dist.party p ON p.party_id = o.customer_id
		GROUP BY o.priced_at, p.code, o.source, o.channel, o.document_type, o.document_key, o.currency, o.options, o.peers
		HAVING scope->>'item_id' IS NULL OR bool_or(o.item_id = (scope->>'item_id')::bigint)
		ORDER BY o.priced_at, p.code COLLATE "C", o.source, o.channel COLLATE "C", o.document_type, o.document_key COLLATE "C", o.currency, o.options, o.peers
	LOOP
		FOR r IN SELECT * FROM distsync_internal.pricing_check_document(d.lines, scope) LOOP
			EXIT WHEN left_over = 0;
			left_over := left_over - 1;
			RETURN NEXT r;
		END LOOP;
		EXIT WHEN left_over = 0;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_check(jsonb) IS 'Rows of check_prices() for a scope of pricing_check_scope(); limit null = all. Lines whose item has lost their unit are left out: nothing can price them.';

-- check_prices does the comparison of what channels and invoices charged with what we say.
CREATE FUNCTION distsync.check_prices(options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.price_check
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY SELECT * FROM distsync_internal.pricing_check(distsync_internal.pricing_check_scope(options));
END
$$;
COMMENT ON FUNCTION distsync.check_prices(jsonb) IS
	'What was charged and is not our price, the oldest first: observed prices, invoice lines and the lines of orders not yet billed, each priced as known when it was priced and as known now. charged, expected and difference are for one unit; amount_at_risk = difference × quantity in the currency, negative: we lose (loser us | customer). side: channel (it differs from what we said then) or our_correction (only what we know now differs). cause: the first of the causes in docs/price_check.md that gives the number that was charged, exactly; detail: expected_then, expected_now, ours (who made our price), supposed and gives (the cause''s), below (floor | lock | the slot of the price it is below). options: source (observed | invoice | order), channel, customer, item, document_type, document_key, since (31 days ago) and until (of the document''s date), limit (1000 rows), tolerance (for one unit; exact by default), tax_rates (percent by tax class), agreeing (rows that agree too), causes (false: do not look for them). Errors: SD001 unknown code, SD002 option, SD005 options no object.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('check_prices', '{reader,operator,admin}');
