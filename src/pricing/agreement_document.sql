-- What a document of an agreement may say, and what it says together with what is there: the head, the terms, the periods.

INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('agreement', '{code}', 'agreement',
	 'A price list, book, contract, promotion, adjustment, guard, order discount, charge, rebate or claim. With rates, other terms or another period it makes a new version; without, it changes the head and who may use it.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('agreement', 'code', 'code', true, 'any', 'Business code.', NULL, false),
	('agreement', 'name', 'text', false, 'any', 'Name for people.', NULL, false),
	('agreement', 'slot', 'text', false, 'any', 'Where it stands in the waterfall; fixed once a version is published, like company, currency and tz.', '{list,book,contract,promotion,adjustment,guard,order,charge,rebate,claim}', true),
	('agreement', 'company', 'code', false, 'any', 'Company that sells; without it every company.', NULL, false),
	('agreement', 'currency', 'currency', false, 'any', 'Currency of its rates.', NULL, true),
	('agreement', 'tz', 'timezone', false, 'any', 'Time zone in which date-only ends become instants, UTC if left out.', NULL, false),
	('agreement', 'approval', 'text', false, 'any', 'second_person: who approves may not be who wrote the draft.', '{none,second_person}', false),
	('agreement', 'vendor', 'code', false, 'any', 'For claims: the supplier.', NULL, false),
	('agreement', 'vendor_reference', 'text', false, 'any', 'For claims: the supplier''s number of the contract.', NULL, false),
	('agreement', 'charge_kind', 'text', false, 'any', 'For charges: what they are for, fee if left out; fixed once a version is published, like tax_class.', '{freight,fee,minimum_order}', false),
	('agreement', 'tax_class', 'code', false, 'any', 'For charges: the class by which they are taxed.', NULL, false),
	('agreement', 'status', 'text', false, 'any', 'inactive withdraws all its versions; active again publishes them anew, with the same rates and periods.', '{active,inactive}', false),
	('agreement', 'version', 'integer', false, 'nonnegative', 'The sender''s version: an older one is ignored.', NULL, false),
	('agreement', 'valid_from', 'instant_or_date', false, 'any', 'From when the version holds; a date is its first day. Without it since ever, or with no rates as before.', NULL, false),
	('agreement', 'valid_to', 'instant_or_date', false, 'any', 'Until when; an instant is not part of it, a date is its last day. Without it for ever, or with no rates as before.', NULL, false),
	('agreement', 'publish', 'boolean', false, 'any', 'Publish the version at once, replacing what it overlaps. Without it: what another system sends is published, what people enter stays a draft.', NULL, false),
	('agreement', 'combine', 'text', false, 'any', 'How it meets others of its slot, override if never said. This and the fields to cap_behavior are terms: of the newest version where the document leaves them out.', '{override,best,additive,compound,exclusive,always}', false),
	('agreement', 'stack_group', 'text', false, 'any', 'Adjustments of one group stand against each other.', NULL, false),
	('agreement', 'priority', 'integer', false, 'any', 'Explicit priority, higher wins where the policy asks.', NULL, false),
	('agreement', 'tier_measure', 'text', false, 'any', 'What min_quantity of its rates counts, quantity if never said.', '{quantity,amount,weight}', false),
	('agreement', 'tier_basis', 'text', false, 'any', 'Over what it is counted, line if never said.', '{line,item_order,family_order,period}', false),
	('agreement', 'tier_mode', 'text', false, 'any', 'all_units: the tier reached holds for all; incremental: each band at its own price.', '{all_units,incremental}', false),
	('agreement', 'tier_scope', 'text', false, 'any', 'merge: higher tiers of the list count too.', '{own,merge}', false),
	('agreement', 'price_date', 'text', false, 'any', 'The date that its periods are tested against, order if never said.', '{order,requested_ship,ship,invoice}', false),
	('agreement', 'fx_allowed', 'boolean', false, 'any', 'May be converted at a dated rate.', NULL, false),
	('agreement', 'tax_included', 'boolean', false, 'any', 'Its rates contain tax.', NULL, false),
	('agreement', 'rounding', 'code', false, 'any', 'Code of the rounding; without it the policy''s.', NULL, false),
	('agreement', 'on_breach', 'text', false, 'any', 'What happens at its floors, ceilings and margins, clamp if never said.', '{clamp,flag}', false),
	('agreement', 'commit_quantity', 'quantity', false, 'nonnegative', 'Volume agreed, base units.', NULL, false),
	('agreement', 'commit_amount', 'amount', false, 'nonnegative', 'Volume agreed, in its currency.', NULL, false),
	('agreement', 'cap_behavior', 'text', false, 'any', 'What happens when the volume is used up.', '{stop,continue,warn}', false),
	('agreement', 'assignments', 'list', false, 'any', 'Who may use its shared rates; replaces the earlier list.', NULL, false),
	('agreement', 'assignments[].who_kind', 'text', true, 'any', 'What who names.', '{customer,ship_to,job,parent,buying_group,price_class,region,channel,all}', false),
	('agreement', 'assignments[].who', 'text', false, 'any', 'Its code; nothing for all.', NULL, false),
	('agreement', 'assignments[].rank', 'integer', false, 'any', 'Among lists of the same level, lower first; 100 if left out.', NULL, false),
	('agreement', 'assignments[].blocking', 'boolean', false, 'any', 'Stands alone, where the policy walks lists by rank.', NULL, false),
	('agreement', 'assignments[].valid_from', 'instant_or_date', false, 'any', 'From when it may be used.', NULL, false),
	('agreement', 'assignments[].valid_to', 'instant_or_date', false, 'any', 'Until when, like valid_to of the version.', NULL, false),
	('agreement', 'rates', 'list', false, 'any', 'All rates of the new version.', NULL, false),
	('agreement', 'rates[].line', 'code', false, 'any', 'Key of the line in the source; without it its place.', NULL, false),
	('agreement', 'rates[].customer', 'code', false, 'any', 'Party the rate is for; without it everybody the agreement is assigned to.', NULL, false),
	('agreement', 'rates[].what_kind', 'text', false, 'any', 'What "what" names; item if missing.', '{item,variant_parent,category,brand,family,vendor,all}', false),
	('agreement', 'rates[].what', 'text', false, 'any', 'SKU, category, vendor, brand or family code; nothing for all.', NULL, false),
	('agreement', 'rates[].channel', 'code', false, 'any', 'Only on this channel.', NULL, false),
	('agreement', 'rates[].site', 'code', false, 'any', 'Only from this site.', NULL, false),
	('agreement', 'rates[].unit', 'unit', false, 'any', 'Unit of price and tier; without it the base unit.', NULL, false),
	('agreement', 'rates[].min_quantity', 'quantity', false, 'nonnegative', 'Tier: from this measure on (see tier_measure); 0 is the same as nothing.', NULL, false),
	('agreement', 'rates[].calc', 'text', false, 'any', 'net if missing.', '{net,percent_off,amount_off,markup,margin,formula,reference,per_weight,buy_get}', false),
	('agreement', 'rates[].value', 'number', false, 'any', 'Price, percent, amount or factor; for buy_get the quantity to buy, in base units.', NULL, false),
	('agreement', 'rates[].value2', 'number', false, 'any', 'formula: amount added; buy_get: base units that come free.', NULL, false),
	('agreement', 'rates[].price_per', 'integer', false, 'positive', 'The price is for 1, 100 or 1000 units.', NULL, false),
	('agreement', 'rates[].base', 'code', false, 'any', 'Agreement that a percentage or formula starts from; without it the list.', NULL, false),
	('agreement', 'rates[].floor_price', 'price', false, 'nonnegative', 'Never below, for price_per units.', NULL, false),
	('agreement', 'rates[].ceiling_price', 'price', false, 'nonnegative', 'Never above, for price_per units.', NULL, false),
	('agreement', 'rates[].min_margin', 'number', false, 'any', 'Least margin as a fraction below 1.', NULL, false),
	('agreement', 'rates[].condition', 'json', false, 'any', 'Context that must be present, an object.', NULL, false),
	('agreement', 'rates[].valid_from', 'instant_or_date', false, 'any', 'From when the rate holds, within the version.', NULL, false),
	('agreement', 'rates[].valid_to', 'instant_or_date', false, 'any', 'Until when, like valid_to of the version.', NULL, false),
	('agreement', 'rates[].free_item', 'code', false, 'any', 'buy_get: the item that comes free; without it the same item.', NULL, false),
	('agreement', 'rates[].percent', 'number', false, 'positive', 'buy_get: percent off the free units, 100 if left out.', NULL, false);

-- pricing_period does the making of a period: a date-only start is its first instant, a date-only end its last day.
CREATE FUNCTION distsync_internal.pricing_period(doc jsonb, tz text, before tstzrange DEFAULT NULL) RETURNS tstzrange
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH e AS (
		SELECT CASE WHEN NOT doc ? 'valid_from' THEN lower(before)
				WHEN doc->>'valid_from' ~ '^\d{4}-\d{2}-\d{2}$' THEN (doc->>'valid_from')::date::timestamp AT TIME ZONE tz ELSE (doc->>'valid_from')::timestamptz END AS low,
			CASE WHEN NOT doc ? 'valid_to' THEN upper(before)
				WHEN doc->>'valid_to' ~ '^\d{4}-\d{2}-\d{2}$' THEN distsync_internal.master_due_instant((doc->>'valid_to')::date, tz) ELSE (doc->>'valid_to')::timestamptz END AS high
	)
	SELECT CASE WHEN low >= high THEN 'empty' ELSE tstzrange(low, high) END FROM e
$$;
COMMENT ON FUNCTION distsync_internal.pricing_period(jsonb, text, tstzrange) IS
	'Half-open period of valid_from and valid_to of a document, of an earlier period where the document leaves one out; empty where the end is not after the start.';

-- pricing_overlay does the laying of a document's fields over what is there: absent = unchanged, null = back to the default.
CREATE FUNCTION distsync_internal.pricing_overlay(there jsonb, defaults jsonb, doc jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT defaults || COALESCE((SELECT jsonb_object_agg(k, COALESCE(there->k, 'null')) FROM jsonb_object_keys(defaults) k WHERE there IS NOT NULL), '{}')
		|| COALESCE((SELECT jsonb_object_agg(k, CASE WHEN doc->k = 'null' THEN defaults->k ELSE doc->k END) FROM jsonb_object_keys(defaults) k WHERE doc ? k), '{}')
$$;
COMMENT ON FUNCTION distsync_internal.pricing_overlay(jsonb, jsonb, jsonb) IS 'Fields named in defaults: from the document, else from what is there (NULL = nothing), else the default.';

-- pricing_head does the reading of what an agreement is after a document: its columns, company and vendor as codes resolved.
CREATE FUNCTION distsync_internal.pricing_head(doc jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	there jsonb := (SELECT to_jsonb(a) FROM dist.agreement a WHERE a.code = doc->>'code');
	head jsonb := distsync_internal.pricing_overlay(there,
		'{"name": "", "slot": null, "currency": null, "tz": "UTC", "approval": "none", "vendor_reference": null, "charge_kind": null, "tax_class": null, "status": "active"}', doc);
BEGIN
	RETURN head || jsonb_build_object('code', doc->'code', 'agreement_id', there->'agreement_id', 'was', there,
		'company_id', CASE WHEN doc->>'company' IS NOT NULL THEN to_jsonb((SELECT c.id FROM distsync_internal.master_companies(ARRAY[doc->>'company'], source) c)) WHEN doc ? 'company' THEN 'null' ELSE there->'company_id' END,
		'vendor_id', CASE WHEN doc->>'vendor' IS NOT NULL THEN to_jsonb((SELECT p.id FROM distsync_internal.master_parties(ARRAY[doc->>'vendor'], source) p)) WHEN doc ? 'vendor' THEN 'null' ELSE there->'vendor_id' END,
		'ext', COALESCE(there->'ext', '{}') || COALESCE(doc->'ext', '{}'));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_head(jsonb, text) IS
	'An agreement as it is after a document: its columns by name, and was: the row before, null = it is new. A company or vendor that nobody knows is null.';

-- pricing_newest does the finding of the newest version that somebody said; what only lives on of a cut one, or was published again,
-- follows another and is not it.
CREATE FUNCTION distsync_internal.pricing_newest(agreement_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT to_jsonb(v) FROM dist.agreement_version v WHERE v.agreement_id = pricing_newest.agreement_id AND v.supersedes_id IS NULL
	ORDER BY v.version_no DESC LIMIT 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_newest(bigint) IS 'Newest version of an agreement that a document or a person made, as JSON; NULL = none.';

-- pricing_terms does the reading of the terms of an agreement's next version.
CREATE FUNCTION distsync_internal.pricing_terms(doc jsonb, newest jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT distsync_internal.pricing_overlay(newest, '{"combine": "override", "stack_group": "", "priority": 0, "tier_measure": "quantity", "tier_basis": "line", "tier_mode": "all_units",
		"tier_scope": "own", "price_date": "order", "fx_allowed": false, "tax_included": false, "rounding": null, "on_breach": "clamp", "commit_quantity": null, "commit_amount": null,
		"cap_behavior": "stop"}', doc)
$$;
COMMENT ON FUNCTION distsync_internal.pricing_terms(jsonb, jsonb) IS 'Terms of the next version: the document''s, else those of the newest version (NULL = none), else the defaults. Columns of dist.agreement_version by name.';
