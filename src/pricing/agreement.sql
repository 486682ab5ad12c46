-- The door for agreements: apply('agreement', ...). A document makes a new draft version with its rates; a fact of the owner, or a
-- document that says so, is published with it.

INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('agreement', '{code}', 'agreement', 'A price list, book, contract, promotion, adjustment or guard. With rates it makes a new version; without, it changes the head only.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('agreement', 'code', 'code', true, 'any', 'Business code.', NULL, false),
	('agreement', 'name', 'text', false, 'any', 'Name for people.', NULL, false),
	('agreement', 'slot', 'text', false, 'any', 'Where it stands in the waterfall.', '{list,book,contract,promotion,adjustment,guard,charge,rebate,claim}', true),
	('agreement', 'company', 'code', false, 'any', 'Company that sells; without it every company.', NULL, false),
	('agreement', 'currency', 'currency', false, 'any', 'Currency of its rates.', NULL, true),
	('agreement', 'tz', 'text', false, 'any', 'Time zone in which date-only ends become instants.', NULL, false),
	('agreement', 'combine', 'text', false, 'any', 'How it meets others of its slot.', '{override,best,additive,compound,exclusive,always}', false),
	('agreement', 'stack_group', 'text', false, 'any', 'Adjustments of one group stand against each other.', NULL, false),
	('agreement', 'priority', 'integer', false, 'any', 'Explicit priority, higher wins where the policy asks.', NULL, false),
	('agreement', 'fx_allowed', 'boolean', false, 'any', 'May be converted at a dated rate.', NULL, false),
	('agreement', 'rounding', 'code', false, 'any', 'Code of the rounding; without it the policy''s.', NULL, false),
	('agreement', 'commit_quantity', 'quantity', false, 'nonnegative', 'Volume agreed, base units.', NULL, false),
	('agreement', 'commit_amount', 'amount', false, 'nonnegative', 'Volume agreed, in its currency.', NULL, false),
	('agreement', 'cap_behavior', 'text', false, 'any', 'What happens when the volume is used up.', '{stop,continue,warn}', false),
	('agreement', 'status', 'text', false, 'any', 'active or inactive.', '{active,inactive}', false),
	('agreement', 'version', 'integer', false, 'nonnegative', 'The sender''s version: an older one is ignored.', NULL, false),
	('agreement', 'valid_from', 'instant_or_date', false, 'any', 'From when the version holds; a date is its first day. Without it: since ever.', NULL, false),
	('agreement', 'valid_to', 'instant_or_date', false, 'any', 'Until when; an instant is not part of it, a date is its last day. Without it: for ever.', NULL, false),
	('agreement', 'publish', 'boolean', false, 'any', 'Publish the version at once, replacing what it overlaps.', NULL, false),
	('agreement', 'assignments', 'list', false, 'any', 'Who may use it; replaces the earlier list.', NULL, false),
	('agreement', 'assignments[].who_kind', 'text', true, 'any', 'What who names.', '{customer,parent,buying_group,price_class,region,channel,all}', false),
	('agreement', 'assignments[].who', 'text', false, 'any', 'Its code; nothing for all.', NULL, false),
	('agreement', 'assignments[].rank', 'integer', false, 'any', 'Among lists of the same level, lower first.', NULL, false),
	('agreement', 'rates', 'list', false, 'any', 'The rates of the new version.', NULL, false),
	('agreement', 'rates[].line', 'code', false, 'any', 'Key of the line in the source; without it its place.', NULL, false),
	('agreement', 'rates[].customer', 'code', false, 'any', 'Party the rate is for; without it everybody the agreement is assigned to.', NULL, false),
	('agreement', 'rates[].what_kind', 'text', false, 'any', 'What "what" names; item if missing.', '{item,variant_parent,category,brand,family,vendor,all}', false),
	('agreement', 'rates[].what', 'text', false, 'any', 'SKU, category, vendor, brand or family code; nothing for all.', NULL, false),
	('agreement', 'rates[].channel', 'code', false, 'any', 'Only on this channel.', NULL, false),
	('agreement', 'rates[].site', 'code', false, 'any', 'Only from this site.', NULL, false),
	('agreement', 'rates[].unit', 'unit', false, 'any', 'Unit of price and tier; without it the base unit.', NULL, false),
	('agreement', 'rates[].min_quantity', 'quantity', false, 'nonnegative', 'Tier: from this quantity on, in unit.', NULL, false),
	('agreement', 'rates[].calc', 'text', false, 'any', 'net if missing.', '{net,percent_off,amount_off,markup,margin,formula,reference,per_weight}', false),
	('agreement', 'rates[].value', 'number', true, 'any', 'Price, percent or amount.', NULL, false),
	('agreement', 'rates[].price_per', 'integer', false, 'positive', 'The price is for 1, 100 or 1000 units.', NULL, false),
	('agreement', 'rates[].base', 'code', false, 'any', 'Agreement that a percentage starts from; without it the list.', NULL, false),
	('agreement', 'rates[].floor_price', 'price', false, 'nonnegative', 'Never below, for one unit.', NULL, false),
	('agreement', 'rates[].ceiling_price', 'price', false, 'nonnegative', 'Never above, for one unit.', NULL, false),
	('agreement', 'rates[].min_margin', 'number', false, 'any', 'Least margin as a fraction below 1.', NULL, false),
	('agreement', 'rates[].condition', 'json', false, 'any', 'Context that must be present.', NULL, false);

-- pricing_period does the making of a version's period: a date-only start is its first instant, a date-only end its last day.
CREATE FUNCTION distsync_internal.pricing_period(doc jsonb, tz text) RETURNS tstzrange
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH e AS (
		SELECT CASE WHEN doc->>'valid_from' ~ '^\d{4}-\d{2}-\d{2}$' THEN (doc->>'valid_from')::date::timestamp AT TIME ZONE tz ELSE (doc->>'valid_from')::timestamptz END AS low,
			CASE WHEN doc->>'valid_to' ~ '^\d{4}-\d{2}-\d{2}$' THEN distsync_internal.master_due_instant((doc->>'valid_to')::date, tz) ELSE (doc->>'valid_to')::timestamptz END AS high
	)
	SELECT CASE WHEN low >= high THEN 'empty' ELSE tstzrange(low, high) END FROM e
$$;
COMMENT ON FUNCTION distsync_internal.pricing_period(jsonb, text) IS 'Half-open period of valid_from and valid_to of a document; empty where the end is not after the start.';

-- pricing_rate_rows does the reading of a document's rates, codes resolved; problem names the first field that cannot be taken.
CREATE FUNCTION distsync_internal.pricing_rate_rows(doc jsonb, source text)
RETURNS TABLE (n bigint, customer_id bigint, line_key text, what_kind text, what_key text, channel_id bigint, site_id bigint, unit text, min_quantity numeric, calc text, value numeric,
	price_per integer, base_agreement_id bigint, floor_price numeric, ceiling_price numeric, min_margin numeric, condition jsonb, sqlstate text, field text, problem text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH r AS MATERIALIZED (
		SELECT x.ordinality - 1 AS n, x.value AS d, COALESCE(x.value->>'what_kind', 'item') AS kind, x.value->>'what' AS what, COALESCE(x.value->>'calc', 'net') AS calc
		FROM jsonb_array_elements(CASE WHEN jsonb_typeof(doc->'rates') = 'array' THEN doc->'rates' ELSE '[]' END) WITH ORDINALITY x
	), items AS MATERIALIZED (
		SELECT * FROM distsync_internal.master_items(ARRAY(SELECT DISTINCT what FROM r WHERE kind IN ('item', 'variant_parent') AND what IS NOT NULL), pricing_rate_rows.source)
	), parties AS MATERIALIZED (
		SELECT * FROM distsync_internal.master_parties(ARRAY(SELECT DISTINCT d->>'customer' FROM r WHERE d->>'customer' IS NOT NULL
			UNION SELECT what FROM r WHERE kind = 'vendor' AND what IS NOT NULL), pricing_rate_rows.source)
	), joined AS (
		SELECT r.*, c.id AS customer_id, CASE r.kind WHEN 'all' THEN '' WHEN 'brand' THEN r.what WHEN 'family' THEN r.what WHEN 'category' THEN k.category_id::text
				WHEN 'vendor' THEN v.id::text ELSE i.id::text END AS what_key,
			h.channel_id, s.site_id, b.agreement_id AS base_id
		FROM r
		LEFT JOIN parties c ON c.code = r.d->>'customer'
		LEFT JOIN items i ON r.kind IN ('item', 'variant_parent') AND i.code = r.what
		LEFT JOIN parties v ON r.kind = 'vendor' AND v.code = r.what
		LEFT JOIN dist.category k ON r.kind = 'category' AND k.code = r.what
		LEFT JOIN dist.channel h ON h.code = r.d->>'channel'
		LEFT JOIN dist.site s ON s.code = r.d->>'site'
		LEFT JOIN dist.agreement b ON b.code = r.d->>'base'
	)
	SELECT n, customer_id, COALESCE(d->>'line', (n + 1)::text), kind, what_key, COALESCE(channel_id, 0), COALESCE(site_id, 0), d->>'unit', COALESCE((d->>'min_quantity')::numeric, 0), calc,
		(d->>'value')::numeric, COALESCE((d->>'price_per')::integer, 1), base_id, (d->>'floor_price')::numeric, (d->>'ceiling_price')::numeric, (d->>'min_margin')::numeric, d->'condition',
		p.sqlstate, p.field, p.problem
	FROM joined
	LEFT JOIN LATERAL (
		SELECT * FROM (VALUES
			(1, 'SD001', 'customer', format('customer "%s" is not known', d->>'customer'), d->>'customer' IS NOT NULL AND customer_id IS NULL),
			(2, 'SD001', 'what', format('%s "%s" is not known', kind, what), what_key IS NULL),
			(3, 'SD001', 'channel', format('channel "%s" is not known', d->>'channel'), d->>'channel' IS NOT NULL AND channel_id IS NULL),
			(4, 'SD001', 'site', format('site "%s" is not known', d->>'site'), d->>'site' IS NOT NULL AND site_id IS NULL),
			(5, 'SD001', 'base', format('agreement "%s" is not known', d->>'base'), d->>'base' IS NOT NULL AND base_id IS NULL),
			(6, 'SD004', 'unit', format('unit "%s" is not known', d->>'unit'), d->>'unit' IS NOT NULL AND NOT EXISTS (SELECT FROM dist.unit u WHERE u.unit = d->>'unit')),
			(7, 'SD002', 'value', format('%s %s is not a price', calc, d->>'value'), calc IN ('net', 'amount_off') AND (d->>'value')::numeric < 0),
			(8, 'SD002', 'value', format('%s %s is not between 0 and 100', calc, d->>'value'), calc = 'percent_off' AND (d->>'value')::numeric NOT BETWEEN 0 AND 100
				OR calc = 'margin' AND ((d->>'value')::numeric < 0 OR (d->>'value')::numeric >= 100)),
			(9, 'SD002', 'price_per', format('price_per %s is not 1, 100 or 1000', d->>'price_per'), COALESCE((d->>'price_per')::integer, 1) NOT IN (1, 100, 1000)),
			(10, 'SD002', 'min_margin', format('min_margin %s is not below 1', d->>'min_margin'), (d->>'min_margin')::numeric >= 1)
		) q(no, sqlstate, field, problem, bad) WHERE q.bad ORDER BY q.no LIMIT 1
	) p ON true
$$;
COMMENT ON FUNCTION distsync_internal.pricing_rate_rows(jsonb, text) IS 'Rates of an agreement document with codes resolved; sqlstate, field and problem of the first thing wrong with each, NULL = nothing.';

-- pricing_check_agreement does the finding of the first thing wrong with a document, before anything is written.
CREATE FUNCTION distsync_internal.pricing_check_agreement(doc jsonb, source text, OUT sqlstate text, OUT field text, OUT message text, OUT hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r record;
BEGIN
	IF doc->>'currency' IS NOT NULL AND NOT EXISTS (SELECT FROM dist.currency c WHERE c.currency = doc->>'currency') THEN
		sqlstate := 'SD003'; field := 'currency'; message := format('currency "%s" is not known', doc->>'currency'); hint := 'Send the currency first: distsync.apply(''currency'', ...).';
	ELSIF doc->>'company' IS NOT NULL AND NOT EXISTS (SELECT FROM dist.company c WHERE c.code = doc->>'company') THEN
		sqlstate := 'SD001'; field := 'company'; message := format('company "%s" is not known', doc->>'company'); hint := 'Send the company first: distsync.apply(''company'', ...).';
	ELSIF doc->>'tz' IS NOT NULL AND NOT EXISTS (SELECT FROM pg_timezone_names t WHERE t.name = doc->>'tz') THEN
		sqlstate := 'SD002'; field := 'tz'; message := format('time zone "%s" is not known', doc->>'tz'); hint := 'Use a name of pg_timezone_names, for example Europe/Paris.';
	ELSIF doc->>'rounding' IS NOT NULL AND NOT EXISTS (SELECT FROM dist.rounding x WHERE x.rounding = doc->>'rounding') THEN
		sqlstate := 'SD001'; field := 'rounding'; message := format('rounding "%s" is not known', doc->>'rounding'); hint := 'Insert it into dist.rounding first.';
	ELSIF isempty(distsync_internal.pricing_period(doc, COALESCE(doc->>'tz', 'UTC'))) THEN
		sqlstate := 'SD002'; field := 'valid_to'; message := 'valid_to is not after valid_from'; hint := 'Give a period that contains at least one instant; periods are half-open.';
	ELSE
		WITH x AS MATERIALIZED (
			SELECT * FROM distsync_internal.pricing_rate_rows(doc, source)
		), problem AS (
			SELECT x.sqlstate, x.n, x.n AS m, x.field, x.problem FROM x WHERE x.problem IS NOT NULL ORDER BY x.n LIMIT 1
		), twin AS (
			SELECT 'SD008', min(x.n), max(x.n), 'min_quantity', NULL FROM x
			GROUP BY x.customer_id, x.what_kind, x.what_key, x.channel_id, x.site_id, COALESCE(x.unit, ''), x.min_quantity HAVING count(*) > 1 ORDER BY 2 LIMIT 1
		)
		SELECT * INTO r FROM problem UNION ALL SELECT * FROM twin WHERE NOT EXISTS (SELECT FROM problem);
		IF FOUND THEN
			sqlstate := r.sqlstate;
			field := format('rates[%s].%s', r.m, r.field);
			message := COALESCE(r.problem, format('rates[%s] and rates[%s] are for the same buyer, target and tier', r.n, r.m));
			hint := CASE WHEN r.problem IS NULL THEN 'Keep one rate for each tier.' ELSE 'Correct this rate, or send what it names first; nothing of the document was taken.' END;
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_check_agreement(jsonb, text) IS 'First thing wrong with an agreement document: SQLSTATE, field, message, hint; all NULL where it can be taken.';

-- pricing_write_head does the upsert of the agreement itself and of its assignments: absent fields stay, null ones are cleared.
CREATE FUNCTION distsync_internal.pricing_write_head(doc jsonb, source text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a dist.agreement%ROWTYPE;
	fields jsonb := doc - ARRAY['assignments', 'rates', 'publish', 'valid_from', 'valid_to', 'version', 'company', 'schema', 'ext', 'updated_at'];
BEGIN
	SELECT * INTO a FROM dist.agreement x WHERE x.code = doc->>'code' FOR UPDATE;
	IF NOT FOUND THEN
		a := jsonb_populate_record(NULL::dist.agreement, '{"name":"","tz":"UTC","combine":"override","stack_group":"","priority":0,"tier_scope":"own","tier_basis":"line","tier_mode":"all_units","price_date":"order","fx_allowed":false,"tax_included":false,"cap_behavior":"stop","on_tie":"lowest","status":"active","ext":{}}');
		a.agreement_id := nextval('dist.agreement_agreement_id_seq');
		a.owner_system := CASE WHEN source <> 'distsync' THEN source END;
	END IF;
	a := jsonb_populate_record(a, fields);
	a.ext := a.ext || COALESCE(doc->'ext', '{}');
	IF doc ? 'company' THEN
		a.company_id := (SELECT c.company_id FROM dist.company c WHERE c.code = doc->>'company');
	END IF;
	INSERT INTO dist.agreement SELECT a.*
	ON CONFLICT (agreement_id) DO UPDATE SET name = excluded.name, slot = excluded.slot, company_id = excluded.company_id, currency = excluded.currency, tz = excluded.tz,
		combine = excluded.combine, stack_group = excluded.stack_group, priority = excluded.priority, fx_allowed = excluded.fx_allowed, rounding = excluded.rounding,
		commit_quantity = excluded.commit_quantity, commit_amount = excluded.commit_amount, cap_behavior = excluded.cap_behavior, status = excluded.status, ext = excluded.ext;
	IF doc ? 'assignments' THEN
		DELETE FROM dist.agreement_assignment s WHERE s.agreement_id = a.agreement_id;
		INSERT INTO dist.agreement_assignment (agreement_id, who_kind, who_key, rank)
		SELECT a.agreement_id, x->>'who_kind', COALESCE(x->>'who', ''), COALESCE((x->>'rank')::integer, 100)
		FROM jsonb_array_elements(CASE WHEN jsonb_typeof(doc->'assignments') = 'array' THEN doc->'assignments' ELSE '[]' END) x;
		PERFORM distsync_internal.base_touch_epoch('price', 0);
	END IF;
	RETURN a.agreement_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_write_head(jsonb, text) IS 'Creates or changes an agreement and its assignments from a checked document. Returns its id.';

-- pricing_write_version does the making of a draft version with the rates of a checked document.
CREATE FUNCTION distsync_internal.pricing_write_version(agreement_id bigint, doc jsonb, source text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	v bigint := nextval('dist.agreement_version_version_id_seq');
	tz text;
BEGIN
	SELECT a.tz INTO tz FROM dist.agreement a WHERE a.agreement_id = pricing_write_version.agreement_id;
	INSERT INTO dist.agreement_version (version_id, agreement_id, version_no, valid, rate_set_id, source)
	SELECT v, pricing_write_version.agreement_id, COALESCE(max(x.version_no), 0) + 1, distsync_internal.pricing_period(doc, tz), v, pricing_write_version.source
	FROM dist.agreement_version x WHERE x.agreement_id = pricing_write_version.agreement_id;
	WITH r AS MATERIALIZED (
		SELECT * FROM distsync_internal.pricing_rate_rows(doc, pricing_write_version.source)
	), own AS (
		INSERT INTO dist.customer_rate (customer_id, version_id, line_key, what_kind, what_key, channel_id, site_id, unit, min_quantity, calc, value, price_per, base_agreement_id, floor_price, ceiling_price, min_margin, condition)
		SELECT r.customer_id, v, r.line_key, r.what_kind, r.what_key, r.channel_id, r.site_id, r.unit, r.min_quantity, r.calc, r.value, r.price_per, r.base_agreement_id, r.floor_price, r.ceiling_price, r.min_margin, r.condition
		FROM r WHERE r.customer_id IS NOT NULL
	)
	INSERT INTO dist.book_rate (version_id, line_key, what_kind, what_key, channel_id, site_id, unit, min_quantity, calc, value, price_per, base_agreement_id, floor_price, ceiling_price, min_margin, condition)
	SELECT v, r.line_key, r.what_kind, r.what_key, r.channel_id, r.site_id, r.unit, r.min_quantity, r.calc, r.value, r.price_per, r.base_agreement_id, r.floor_price, r.ceiling_price, r.min_margin, r.condition
	FROM r WHERE r.customer_id IS NULL;
	RETURN v;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_write_version(bigint, jsonb, text) IS 'Makes a draft version of an agreement with the rates of a checked document. Returns its id.';

-- pricing_apply_agreement does the taking of agreement documents: each is checked whole before anything of any is written.
CREATE FUNCTION distsync_internal.pricing_apply_agreement(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d record;
	bad record;
	r distsync_internal.apply_result;
	results distsync_internal.apply_result[] := '{}';
	source text := ctx->>'source';
	failed boolean := false;
	id bigint;
	p record;
BEGIN
	FOR d IN SELECT (x->>'ordinal')::integer AS ordinal, x->'doc' AS doc FROM jsonb_array_elements(docs) x LOOP
		SELECT * INTO bad FROM distsync_internal.pricing_check_agreement(d.doc, source);
		r := ROW(d.ordinal, CASE WHEN bad.sqlstate IS NULL THEN 'applied' ELSE 'rejected' END, d.doc->>'code', bad.sqlstate, bad.field, bad.message, bad.hint, NULL);
		failed := failed OR bad.sqlstate IS NOT NULL;
		results := results || r;
	END LOOP;
	IF failed AND ctx->>'on_error' IS DISTINCT FROM 'collect' THEN
		RETURN QUERY SELECT * FROM unnest(results);
		RETURN;
	END IF;
	FOR d IN SELECT (x->>'ordinal')::integer AS ordinal, x->'doc' AS doc FROM jsonb_array_elements(docs) x LOOP
		SELECT x.* INTO r FROM unnest(results) x WHERE x.ordinal = d.ordinal;
		IF r.outcome = 'applied' THEN
			id := distsync_internal.pricing_write_head(d.doc, source);
			IF d.doc ? 'rates' THEN
				id := distsync_internal.pricing_write_version(id, d.doc, source);
				IF COALESCE((d.doc->>'publish')::boolean, source <> 'distsync') THEN
					SELECT * INTO p FROM distsync_internal.pricing_publish(id, true, NULL);
					r.detail := jsonb_build_object('version', p.version_no, 'published_at', p.stamp, 'superseded', p.cut);
				ELSE
					r.detail := jsonb_build_object('version', (SELECT v.version_no FROM dist.agreement_version v WHERE v.version_id = id), 'draft', true);
				END IF;
			END IF;
		END IF;
		RETURN NEXT r;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_apply_agreement(jsonb, jsonb) IS
	'Entity handler for agreement. A document with rates makes a new version; published at once if it says so or if it is a fact of another system, replacing what it overlaps. detail: {"version","published_at","superseded"} or {"version","draft"}.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'agreement', 'distsync_internal.pricing_apply_agreement');
