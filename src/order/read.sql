-- Reading an order document: codes become ids, numbers are checked, the customer's policy is laid under the document's.

-- order_refuse does the raising of an error about a field of an order document.
CREATE FUNCTION distsync_internal.order_refuse(code text, field text, message text, hint text, detail text DEFAULT '') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, COLUMN = field, DETAIL = rtrim(format('Field: %s. %s', field, detail)), HINT = hint;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_refuse(text, text, text, text, text) IS 'Raises an error of class SD with its field, message, hint and detail.';

-- order_number_in does the reading of a number from its text: never through a double, never rounded.
CREATE FUNCTION distsync_internal.order_number_in(doc jsonb, name text, field text, scale integer, sign text DEFAULT 'any') RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	told text := doc ->> name;
	n numeric;
BEGIN
	IF told IS NULL THEN
		RETURN NULL;
	END IF;
	IF jsonb_typeof(doc -> name) NOT IN ('number', 'string') OR told !~ '^[+-]?[0-9]{1,20}(\.[0-9]{1,20})?$' THEN
		PERFORM distsync_internal.order_refuse('SD002', field, format('"%s" is not a number', left(told, 40)), 'Send a decimal number without exponent.');
	END IF;
	n := told::numeric;
	IF min_scale(n) > scale THEN
		PERFORM distsync_internal.order_refuse('SD002', field, format('%s has too many decimals', told), format('Send at most %s decimals.', scale));
	ELSIF abs(n) >= 10 ^ (20 - CASE WHEN scale > 6 THEN 8 ELSE 6 END) THEN
		PERFORM distsync_internal.order_refuse('SD002', field, format('%s is too large', told), 'Send a number with at most 12 digits before the point.');
	ELSIF sign = 'positive' AND n <= 0 OR sign = 'nonnegative' AND n < 0 THEN
		PERFORM distsync_internal.order_refuse('SD002', field, format('%s must %s', told, CASE sign WHEN 'positive' THEN 'be above 0' ELSE 'not be negative' END), 'Correct the sign.');
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_number_in(jsonb, text, text, integer, text) IS
	'Number of a document field from its text, NULL if absent: at most scale decimals, sign any | nonnegative | positive. Errors: SD002 naming the field.';

-- order_instant_in does the reading of an instant; a date alone is its first instant in the time zone of the company.
CREATE FUNCTION distsync_internal.order_instant_in(doc jsonb, name text, field text, tz text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	told text := doc ->> name;
BEGIN
	IF told ~ '^\d{4}-\d\d-\d\d$' THEN
		RETURN told::date::timestamp AT TIME ZONE tz;
	END IF;
	IF told !~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)$' THEN
		PERFORM distsync_internal.order_refuse('SD002', field, format('"%s" is not an instant', left(told, 40)), 'Send ISO 8601 with an offset, for example 2026-01-31T12:00:00Z, or a date.');
	END IF;
	RETURN told::timestamptz;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
	PERFORM distsync_internal.order_refuse('SD002', field, format('"%s" is not an instant', left(told, 40)), 'Send a day that exists.');
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_instant_in(jsonb, text, text, text) IS 'Instant of a document field, NULL if absent; a date alone is its first instant in the time zone. Errors: SD002 naming the field.';

-- order_policy does the laying of policies over each other: ours, the customer's, the document's. What cannot be used of the customer's,
-- because it was written past the door, is left out: a document is refused for what it says itself.
CREATE FUNCTION distsync_internal.order_policy(customer jsonb, document jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	laid jsonb := '{"shortage":"backorder","price_mismatch":"change","price_tolerance":0,"held_stock":"keep","duplicate_po":"warn","on_hold":"hold","no_price":"reject","all_or_none":false,"split":true,"priority":100}';
	own jsonb := COALESCE(customer, '{}');
	f record;
BEGIN
	SELECT * INTO f FROM distsync_internal.master_policy_faults(document, false) LIMIT 1;
	IF FOUND THEN
		PERFORM distsync_internal.order_refuse(f.code, rtrim('policy.' || f.key, '.'), f.message, f.hint);
	END IF;
	IF own <> '{}' THEN
		own := CASE WHEN jsonb_typeof(own) = 'object' THEN own - ARRAY(SELECT x.key FROM distsync_internal.master_policy_faults(own, true) x) ELSE '{}' END;
	END IF;
	RETURN laid || own || COALESCE(NULLIF(document, 'null'), '{}');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_policy(jsonb, jsonb) IS 'Policy that decides an order: the shipped one, over it the customer''s (party.order_policy), over it the document''s. Errors: SD002, SD005 naming the policy.';

-- order_check_ext does the check of what a document keeps for others.
CREATE FUNCTION distsync_internal.order_check_ext(doc jsonb, at text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF jsonb_typeof(doc) = 'object' AND jsonb_typeof(doc -> 'ext') NOT IN ('object', 'null') THEN
		PERFORM distsync_internal.order_refuse('SD005', at || 'ext', format('ext is of type %s', jsonb_typeof(doc -> 'ext')), 'Send an object of what is to be kept and told as it is, or leave it out.');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_check_ext(jsonb, text) IS 'Checks the member ext of an order or a line. Errors: SD005 no object.';

-- order_read_line does the reading of one line.
CREATE FUNCTION distsync_internal.order_read_line(doc jsonb, place integer, source text, tz text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	at text := format('lines[%s].', place - 1);
	item record;
	unit text;
	told numeric;
	f record;
	components jsonb;
BEGIN
	PERFORM distsync_internal.order_check_ext(doc, at);
	IF jsonb_typeof(doc) <> 'object' THEN
		PERFORM distsync_internal.order_refuse('SD005', rtrim(at, '.'), 'a line must be an object', 'Send {"line": 1, "item": "SKU", "quantity": 1}.');
	ELSIF doc ->> 'item' IS NULL OR doc ->> 'quantity' IS NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', at || CASE WHEN doc ->> 'item' IS NULL THEN 'item' ELSE 'quantity' END, 'a line needs an item and a quantity', 'Complete the line.');
	END IF;
	SELECT i.item_id, i.sku, COALESCE(doc ->> 'unit', CASE WHEN i.sku <> doc ->> 'item' THEN (SELECT m.unit FROM distsync_internal.master_items(ARRAY[doc ->> 'item'], source) m) END, i.base_unit) AS unit, i.status, i.kit INTO item
	FROM dist.item i WHERE i.item_id = distsync_internal.master_item(doc ->> 'item', at || 'item', source);
	told := distsync_internal.order_number_in(doc, 'quantity', at || 'quantity', 6, 'positive');
	SELECT * INTO f FROM distsync_internal.master_unit_factor(item.item_id, item.unit, at || 'unit');
	IF distsync_internal.order_number_in(doc, 'line', at || 'line', 0, 'positive') > 2147483647 THEN
		PERFORM distsync_internal.order_refuse('SD002', at || 'line', format('%s is too large', doc ->> 'line'), 'Number the lines from 1.');
	END IF;
	components := CASE WHEN item.kit THEN distsync_internal.inventory_made_of(item.item_id) END;
	IF components = '[]' THEN
		PERFORM distsync_internal.order_refuse('SD002', at || 'item', format('kit "%s" has no components', item.sku), 'Send the kit with its components first.');
	ELSIF components IS NOT NULL AND mod(told * f.numerator, f.denominator) <> 0 THEN
		PERFORM distsync_internal.order_refuse('SD002', at || 'quantity', format('quantity %s is no number of whole kits', told), 'Send a whole number of kits.');
	END IF;
	RETURN jsonb_build_object('ordinal', place, 'line', COALESCE(distsync_internal.order_number_in(doc, 'line', at || 'line', 0, 'positive'), place), 'item_id', item.item_id, 'item', item.sku,
		'quantity', told, 'requested_quantity', told, 'unit', item.unit, 'numerator', f.numerator, 'denominator', f.denominator, 'status', item.status,
		'base_quantity', distsync_internal.master_to_base(item.item_id, told, item.unit), 'disposition', 'accept',
		'expected_price', distsync_internal.order_number_in(doc, 'expected_price', at || 'expected_price', 8, 'nonnegative'),
		'requested_at', distsync_internal.order_instant_in(doc, 'requested_at', at || 'requested_at', tz),
		'site', doc ->> 'site', 'site_id', distsync_internal.master_site(doc ->> 'site', at || 'site', source), 'components', components,
		'tax_code', doc ->> 'tax_code', 'tax_told', COALESCE(distsync_internal.order_number_in(doc, 'tax_amount', at || 'tax_amount', 4, 'nonnegative'), 0),
		'unit_price', distsync_internal.order_number_in(doc, 'unit_price', at || 'unit_price', 8, 'nonnegative'), 'price_per', COALESCE(distsync_internal.order_number_in(doc, 'price_per', at || 'price_per', 0, 'positive'), 1),
		'net_told', distsync_internal.order_number_in(doc, 'net_amount', at || 'net_amount', 4),
		'ext', doc - '{line,item,quantity,unit,expected_price,requested_at,site,tax_code,tax_amount,unit_price,price_per,net_amount,ext}'::text[] || COALESCE(doc -> 'ext', '{}'));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_read_line(jsonb, integer, text, text) IS
	'One line with item, unit factor, base quantity and site resolved; unknown fields stay in ext. Errors: SD001, SD002, SD004, SD005 naming lines[n].field.';

-- order_parties does the finding of everybody an order names and of what carries it.
CREATE FUNCTION distsync_internal.order_parties(doc jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	company record;
	buyer record;
	job bigint := distsync_internal.master_party(doc ->> 'job', 'job', source);
	payer bigint := distsync_internal.master_party(doc ->> 'payer', 'payer', source);
	account record;
BEGIN
	IF doc ->> 'customer' IS NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', 'customer', 'an order needs a customer', 'Name who buys.');
	END IF;
	SELECT c.* INTO company FROM dist.company c
	WHERE c.company_id = COALESCE(distsync_internal.master_company(doc ->> 'company', 'company', source), (SELECT min(o.company_id) FROM dist.company o WHERE o.status = 'active' HAVING count(*) = 1));
	IF NOT FOUND THEN
		PERFORM distsync_internal.order_refuse('SD005', 'company', 'several companies could sell this', 'Name the company.');
	END IF;
	SELECT p.* INTO buyer FROM dist.party p WHERE p.party_id = distsync_internal.master_party(doc ->> 'customer', 'customer', source);
	SELECT a.account_id, a.code, a.currency, m.minor_units INTO account FROM dist.credit_account a JOIN dist.currency m ON m.currency = a.currency
	WHERE a.account_id = distsync_internal.credit_account_for(buyer.party_id, company.company_id, jsonb_strip_nulls(jsonb_build_object('job_id', job, 'payer_id', payer)));
	RETURN jsonb_build_object('company_id', company.company_id, 'company', company.code, 'tz', company.tz, 'customer_id', buyer.party_id, 'customer', buyer.code, 'status', buyer.status,
		'payer_id', COALESCE(payer, buyer.payer_id, buyer.party_id), 'order_policy', buyer.order_policy,
		'ship_to_id', distsync_internal.master_party(doc ->> 'ship_to', 'ship_to', source), 'job_id', job, 'channel_id', distsync_internal.master_channel(doc ->> 'channel', 'channel', source),
		'account_id', account.account_id, 'account', account.code, 'account_currency', account.currency, 'account_units', account.minor_units);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_parties(jsonb, text) IS 'Ids and codes of company, customer, payer, ship-to, job, channel and credit account (of who pays) of an order document. Errors: SD001, SD005 naming the field.';

-- order_read does the reading of a whole order document.
CREATE FUNCTION distsync_internal.order_read(doc jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o jsonb;
	lines jsonb;
	twice text;
BEGIN
	IF jsonb_typeof(doc) IS DISTINCT FROM 'object' THEN
		PERFORM distsync_internal.order_refuse('SD005', 'document', 'an order must be an object', 'Send {"company": …, "customer": …, "lines": […]}.');
	ELSIF doc ->> 'schema' IS NOT NULL AND doc ->> 'schema' <> 'order/1' THEN
		PERFORM distsync_internal.order_refuse('SD005', 'schema', format('document says it is %s', doc ->> 'schema'), 'Send order/1.');
	ELSIF jsonb_typeof(doc -> 'lines') IS DISTINCT FROM 'array' OR jsonb_array_length(doc -> 'lines') = 0 THEN
		PERFORM distsync_internal.order_refuse('SD005', 'lines', 'an order needs at least one line', 'Send lines as an array of objects.');
	ELSIF jsonb_array_length(doc -> 'lines') > 10000 THEN
		PERFORM distsync_internal.order_refuse('SD006', 'lines', 'an order has at most 10,000 lines', 'Make several orders of it.');
	ELSIF jsonb_typeof(doc -> 'payment_terms') NOT IN ('string', 'null') OR length(doc ->> 'payment_terms') NOT BETWEEN 1 AND 255 THEN
		PERFORM distsync_internal.order_refuse('SD002', 'payment_terms', 'payment terms have 1 to 255 characters', 'Send the code of the terms, or leave it out for those of the payer.');
	ELSIF length(doc ->> 'order_number') NOT BETWEEN 1 AND 255 OR doc ->> 'order_number' ~ '/' THEN
		PERFORM distsync_internal.order_refuse('SD002', 'order_number', 'an order number has 1 to 255 characters and no slash', 'Correct the number, or leave it out.');
	ELSIF length(doc ->> 'customer_po') > 255 THEN
		PERFORM distsync_internal.order_refuse('SD002', 'customer_po', 'a customer''s order number has at most 255 characters', 'Send the number alone.');
	ELSIF doc ->> 'correlation_id' !~ '^([0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}$' THEN
		PERFORM distsync_internal.order_refuse('SD002', 'correlation_id', format('"%s" is no UUID', left(doc ->> 'correlation_id', 40)), 'Send the UUID of what caused it, or leave it out.');
	END IF;
	PERFORM distsync_internal.order_check_ext(doc, '');
	o := distsync_internal.order_parties(doc, source);
	SELECT jsonb_agg(distsync_internal.order_read_line(l.value, l.place::integer, source, o ->> 'tz') ORDER BY l.place) INTO lines FROM jsonb_array_elements(doc -> 'lines') WITH ORDINALITY l(value, place);
	SELECT l ->> 'line' INTO twice FROM jsonb_array_elements(lines) l GROUP BY l ->> 'line' HAVING count(*) > 1 LIMIT 1;
	IF twice IS NOT NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', 'lines[].line', format('line %s is there twice', twice), 'Number the lines.');
	END IF;
	RETURN o || jsonb_build_object('source', source, 'order_number', doc ->> 'order_number', 'currency', doc ->> 'currency', 'customer_po', CASE WHEN distsync_internal.base_said(doc ->> 'customer_po') IS NOT NULL THEN doc ->> 'customer_po' END, 'payment_terms', doc ->> 'payment_terms', 'channel', doc ->> 'channel',
		'ship_to', doc ->> 'ship_to', 'job', doc ->> 'job', 'ordered_at', COALESCE(distsync_internal.order_instant_in(doc, 'ordered_at', 'ordered_at', o ->> 'tz'), statement_timestamp()),
		'requested_at', distsync_internal.order_instant_in(doc, 'requested_at', 'requested_at', o ->> 'tz'), 'policy', distsync_internal.order_policy(o -> 'order_policy', doc -> 'policy'), 'lines', lines,
		'ext', doc - '{schema,order_number,company,customer,payer,ship_to,job,channel,currency,customer_po,payment_terms,ordered_at,requested_at,source,lines,policy,ext,correlation_id,owner_number,state,kind,version,updated_at}'::text[]
			|| COALESCE(doc -> 'ext', '{}'));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_read(jsonb, text) IS
	'An order document with everything resolved: ids beside codes, policy, account, lines with base quantities. Errors: SD001 unknown code, SD002 number, SD004 unit, SD005 shape, SD006 too many lines; each names its field.';
