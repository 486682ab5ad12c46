-- The master entities: currency, unit, company, party, category, item, site, calendar, carrier, channel. What their documents hold is declared here.

-- master_units does the look-up of unit codes, for documents: the unit is its own id.
CREATE FUNCTION distsync_internal.master_units(codes text[], source text DEFAULT NULL) RETURNS TABLE (code text, id text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT c.code, COALESCE(u.unit, v.unit)
	FROM (SELECT DISTINCT n.code FROM unnest(codes) AS n(code) WHERE n.code IS NOT NULL) c
	LEFT JOIN dist.unit u ON u.unit = c.code
	LEFT JOIN sync.xref x ON u.unit IS NULL AND x.system = master_units.source AND x.entity = 'unit' AND x.external_id = c.code
		AND x.status IN ('active', 'merged') AND x.valid @> statement_timestamp()
	LEFT JOIN dist.unit v ON v.unit = x.code;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_units(text[], text) IS 'Our units by code or by the name a system uses; one row for each distinct code, id NULL = unknown.';

-- master_categories does the look-up of category codes.
CREATE FUNCTION distsync_internal.master_categories(codes text[], source text DEFAULT NULL) RETURNS TABLE (code text, id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT c.code, COALESCE(s.category_id, t.category_id)
	FROM (SELECT DISTINCT n.code FROM unnest(codes) AS n(code) WHERE n.code IS NOT NULL) c
	LEFT JOIN dist.category s ON s.code = c.code
	LEFT JOIN sync.xref x ON s.category_id IS NULL AND x.system = master_categories.source AND x.entity = 'category' AND x.external_id = c.code
		AND x.status IN ('active', 'merged') AND x.valid @> statement_timestamp()
	LEFT JOIN dist.category t ON t.code = x.code;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_categories(text[], text) IS 'Ids of categories by our code or by the name a system uses; one row for each distinct code, id NULL = unknown.';

-- master_calendars does the look-up of calendar codes.
CREATE FUNCTION distsync_internal.master_calendars(codes text[], source text DEFAULT NULL) RETURNS TABLE (code text, id bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.code, k.calendar_id
	FROM (SELECT DISTINCT n.code FROM unnest(codes) AS n(code) WHERE n.code IS NOT NULL) c
	LEFT JOIN dist.calendar k ON k.code = c.code
$$;
COMMENT ON FUNCTION distsync_internal.master_calendars(text[], text) IS 'Ids of calendars by our code; one row for each distinct code, id NULL = unknown.';

INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('currency', '{currency}', 'currency', 'A currency that amounts may carry.'),
	('unit', '{unit}', 'unit', 'A unit of measure that quantities may carry.'),
	('calendar', '{code}', 'site', 'Working days and the hour after which an order counts for the next working day.'),
	('company', '{code}', 'company', 'A legal entity that sells, ships and bills.'),
	('category', '{code}', 'item', 'A node of the item tree.'),
	('party', '{code}', 'party', 'Anybody we deal with: customer, ship-to, payer, job, buying group, vendor, carrier.'),
	('item', '{sku}', 'item', 'Something we sell, stock or price.'),
	('site', '{code}', 'site', 'A place that holds, ships or receives stock.'),
	('carrier', '{code}', 'site', 'Who moves goods.'),
	('channel', '{code}', 'company', 'A way orders come in and availability and prices go out.');

INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('currency', 'currency', 'code', true, 'any', 'ISO 4217 code, three capitals.', NULL, false),
	('currency', 'minor_units', 'integer', false, 'nonnegative', 'Decimals that documents are rounded to.', '{0,1,2,3,4}', false),
	('currency', 'name', 'text', false, 'any', 'Name for people.', NULL, false),
	('unit', 'unit', 'code', true, 'any', 'Code, for example EA, BX, KG.', NULL, false),
	('unit', 'name', 'text', false, 'any', 'Name for people.', NULL, false),
	('unit', 'scale', 'integer', false, 'nonnegative', 'Decimals a quantity may have.', '{0,1,2,3,4,5,6}', false),
	('calendar', 'code', 'code', true, 'any', 'Business code.', NULL, false),
	('calendar', 'name', 'text', false, 'any', 'Name for people.', NULL, false),
	('calendar', 'tz', 'timezone', false, 'any', 'Time zone of days and cut-off.', NULL, false),
	('calendar', 'weekdays', 'json', false, 'any', 'Open ISO weekdays, 1 = Monday.', NULL, false),
	('calendar', 'cut_off', 'code', false, 'any', 'Orders after it count for the next open day, HH:MM.', NULL, false),
	('company', 'code', 'code', true, 'any', 'Business code.', NULL, false),
	('company', 'name', 'text', false, 'any', 'Name for people.', NULL, true),
	('company', 'currency', 'currency', false, 'any', 'Its own currency.', NULL, true),
	('company', 'tz', 'timezone', false, 'any', 'Its time zone: date-only ends become instants in it.', NULL, false),
	('company', 'status', 'text', false, 'any', 'Status.', '{active,inactive}', false),
	('category', 'code', 'code', true, 'any', 'Business code.', NULL, false),
	('category', 'name', 'text', false, 'any', 'Name for people.', NULL, false),
	('category', 'parent', 'code', false, 'any', 'Code of the node above it.', NULL, false),
	('party', 'code', 'code', true, 'any', 'Business code.', NULL, false),
	('party', 'name', 'text', false, 'any', 'Name for people.', NULL, true),
	('party', 'kind', 'text', false, 'any', 'What it is.', '{organization,ship_to,job,group}', false),
	('party', 'roles', 'list', false, 'any', 'What it is to us; the list replaces the one before. sold_to, ship_to, bill_to, payer, job, vendor, carrier.', '{sold_to,ship_to,bill_to,payer,job,vendor,carrier}', false),
	('party', 'parent', 'code', false, 'any', 'Code of the party above it.', NULL, false),
	('party', 'payer', 'code', false, 'any', 'Code of the party that pays for it, null = itself.', NULL, false),
	('party', 'currency', 'currency', false, 'any', 'Currency it is priced and billed in.', NULL, false),
	('party', 'tz', 'timezone', false, 'any', 'Time zone of its documents.', NULL, false),
	('party', 'price_class', 'text', false, 'any', 'Price class code.', NULL, false),
	('party', 'segment', 'text', false, 'any', 'Credit segment.', NULL, false),
	('party', 'payment_terms', 'text', false, 'any', 'Terms code.', NULL, false),
	('party', 'address', 'json', false, 'any', '{"lines":[],"city","region","postal_code","country"}.', NULL, false),
	('party', 'order_policy', 'json', false, 'any', 'How its orders are decided.', NULL, false),
	('party', 'groups', 'list', false, 'any', 'Groups it is a member of, from the moment the document is applied; the list replaces the one before.', NULL, false),
	('party', 'groups[].kind', 'text', true, 'any', 'Kind of group.', '{buying_group,price_class,segment,region}', false),
	('party', 'groups[].code', 'code', true, 'any', 'Code of the group; made if it is new.', NULL, false),
	('party', 'status', 'text', false, 'any', 'Status.', '{active,blocked,inactive}', false),
	('item', 'sku', 'code', true, 'any', 'Business code.', NULL, false),
	('item', 'name', 'text', false, 'any', 'Name for people.', NULL, false),
	('item', 'base_unit', 'unit', false, 'any', 'Unit that stock is counted in; fixed once the item exists.', NULL, true),
	('item', 'category', 'code', false, 'any', 'Code of its node in the item tree.', NULL, false),
	('item', 'brand', 'text', false, 'any', 'Brand code.', NULL, false),
	('item', 'family', 'text', false, 'any', 'Family code.', NULL, false),
	('item', 'vendor', 'code', false, 'any', 'Code of the preferred vendor.', NULL, false),
	('item', 'variant_of', 'code', false, 'any', 'SKU of the item it is a variant of.', NULL, false),
	('item', 'tax_class', 'text', false, 'any', 'Tax class code.', NULL, false),
	('item', 'weight', 'quantity', false, 'nonnegative', 'Kilograms of one base unit.', NULL, false),
	('item', 'catch_weight', 'boolean', false, 'any', 'Billed by the weight found at picking.', NULL, false),
	('item', 'lot_controlled', 'boolean', false, 'any', 'Stock is kept by lot.', NULL, false),
	('item', 'serial_controlled', 'boolean', false, 'any', 'Stock is kept by serial number.', NULL, false),
	('item', 'min_shelf_days', 'integer', false, 'nonnegative', 'Days a lot must have left when it ships.', NULL, false),
	('item', 'kit', 'boolean', false, 'any', 'Made of its components at picking.', NULL, false),
	('item', 'status', 'text', false, 'any', 'Status.', '{active,blocked,inactive}', false),
	('item', 'units', 'list', false, 'any', 'Other units; the list replaces the one before.', NULL, false),
	('item', 'units[].unit', 'unit', true, 'any', 'The other unit.', NULL, false),
	('item', 'units[].numerator', 'factor', true, 'any', 'Base units ...', NULL, false),
	('item', 'units[].denominator', 'factor', false, 'any', '... per so many of this unit, 1 if left out.', NULL, false),
	('item', 'units[].sell_multiple', 'quantity', false, 'positive', 'Sold only in multiples of it.', NULL, false),
	('item', 'identifiers', 'list', false, 'any', 'Other names of the item; the list replaces the one before.', NULL, false),
	('item', 'identifiers[].kind', 'text', true, 'any', 'Kind of name.', '{gtin,buyer_part,vendor_part}', false),
	('item', 'identifiers[].party', 'code', false, 'any', 'Whose name it is: buyer or vendor; none for gtin.', NULL, false),
	('item', 'identifiers[].identifier', 'code', true, 'any', 'The name.', NULL, false),
	('item', 'identifiers[].unit', 'unit', false, 'any', 'Unit it means, none = base unit.', NULL, false),
	('item', 'components', 'list', false, 'any', 'What a kit is made of; the list replaces the one before.', NULL, false),
	('item', 'components[].sku', 'code', true, 'any', 'An item in it.', NULL, false),
	('item', 'components[].quantity', 'quantity', true, 'positive', 'Base units of it in one base unit of the kit.', NULL, false),
	('site', 'code', 'code', true, 'any', 'Business code.', NULL, false),
	('site', 'name', 'text', false, 'any', 'Name for people.', NULL, false),
	('site', 'company', 'code', false, 'any', 'Code of the legal entity whose stock it holds.', NULL, true),
	('site', 'kind', 'text', false, 'any', 'What it is.', '{warehouse,third_party,store,vendor,virtual}', false),
	('site', 'parent', 'code', false, 'any', 'Code of the site group it belongs to.', NULL, false),
	('site', 'tz', 'timezone', false, 'any', 'Its time zone.', NULL, false),
	('site', 'calendar', 'code', false, 'any', 'Code of its calendar, null = always open.', NULL, false),
	('site', 'vendor', 'code', false, 'any', 'For kind vendor: code of the party.', NULL, false),
	('site', 'can_promise', 'boolean', false, 'any', 'Its stock may be promised.', NULL, false),
	('site', 'can_ship', 'boolean', false, 'any', 'Orders may leave from it.', NULL, false),
	('site', 'rank', 'integer', false, 'any', 'Order in which sites are tried, lower first.', NULL, false),
	('site', 'status', 'text', false, 'any', 'Status.', '{active,inactive}', false),
	('carrier', 'code', 'code', true, 'any', 'Business code (SCAC where there is one).', NULL, false),
	('carrier', 'name', 'text', false, 'any', 'Name for people.', NULL, false),
	('carrier', 'calendar', 'code', false, 'any', 'Code of the calendar of days on which it moves, null = every day.', NULL, false),
	('channel', 'code', 'code', true, 'any', 'Business code.', NULL, false),
	('channel', 'name', 'text', false, 'any', 'Name for people.', NULL, false),
	('channel', 'company', 'code', false, 'any', 'Code of the company it sells for, null = any.', NULL, false);

INSERT INTO distsync_internal.master_table (entity, table_name, key_field, key_column, id_column, extras) VALUES
	('currency', 'currency', 'currency', 'currency', 'currency', '{}'),
	('unit', 'unit', 'unit', 'unit', 'unit', '{}'),
	('calendar', 'calendar', 'code', 'code', 'calendar_id', '{}'),
	('company', 'company', 'code', 'code', 'company_id', '{}'),
	('category', 'category', 'code', 'code', 'category_id', '{}'),
	('party', 'party', 'code', 'code', 'party_id', '{master_write_roles,master_write_groups}'),
	('item', 'item', 'sku', 'sku', 'item_id', '{master_write_units,master_write_identifiers,master_write_components}'),
	('site', 'site', 'code', 'code', 'site_id', '{}'),
	('carrier', 'carrier', 'code', 'code', 'carrier_id', '{}'),
	('channel', 'channel', 'code', 'code', 'channel_id', '{}');

INSERT INTO distsync_internal.master_column (entity, field, column_name, type, lookup) VALUES
	('currency', 'minor_units', 'minor_units', 'integer', NULL), ('currency', 'name', 'name', 'text', NULL),
	('unit', 'name', 'name', 'text', NULL), ('unit', 'scale', 'scale', 'integer', NULL),
	('calendar', 'name', 'name', 'text', NULL), ('calendar', 'tz', 'tz', 'text', NULL), ('calendar', 'weekdays', 'weekdays', 'smallint[]', NULL),
	('calendar', 'cut_off', 'cut_off', 'time', NULL),
	('company', 'name', 'name', 'text', NULL), ('company', 'currency', 'currency', 'text', NULL), ('company', 'tz', 'tz', 'text', NULL),
	('company', 'status', 'status', 'text', NULL), ('company', 'ext', 'ext', 'jsonb', NULL),
	('category', 'name', 'name', 'text', NULL), ('category', 'parent', 'parent_id', 'id', 'self'),
	('party', 'name', 'name', 'text', NULL), ('party', 'kind', 'kind', 'text', NULL), ('party', 'parent', 'parent_id', 'id', 'self'),
	('party', 'payer', 'payer_id', 'id', 'self'), ('party', 'currency', 'currency', 'text', NULL), ('party', 'tz', 'tz', 'text', NULL),
	('party', 'price_class', 'price_class', 'text', NULL), ('party', 'segment', 'segment', 'text', NULL), ('party', 'payment_terms', 'payment_terms', 'text', NULL),
	('party', 'address', 'address', 'jsonb', NULL), ('party', 'order_policy', 'order_policy', 'jsonb', NULL), ('party', 'status', 'status', 'text', NULL),
	('party', 'ext', 'ext', 'jsonb', NULL),
	('item', 'name', 'name', 'text', NULL), ('item', 'base_unit', 'base_unit', 'id', 'master_units'), ('item', 'category', 'category_id', 'id', 'master_categories'),
	('item', 'brand', 'brand', 'text', NULL), ('item', 'family', 'family', 'text', NULL), ('item', 'vendor', 'vendor_id', 'id', 'master_parties'),
	('item', 'variant_of', 'variant_of_id', 'id', 'self'), ('item', 'tax_class', 'tax_class', 'text', NULL), ('item', 'weight', 'weight', 'numeric', NULL),
	('item', 'catch_weight', 'catch_weight', 'boolean', NULL), ('item', 'lot_controlled', 'lot_controlled', 'boolean', NULL),
	('item', 'serial_controlled', 'serial_controlled', 'boolean', NULL), ('item', 'min_shelf_days', 'min_shelf_days', 'integer', NULL),
	('item', 'kit', 'kit', 'boolean', NULL), ('item', 'status', 'status', 'text', NULL), ('item', 'ext', 'ext', 'jsonb', NULL),
	('site', 'name', 'name', 'text', NULL), ('site', 'company', 'company_id', 'id', 'master_companies'), ('site', 'kind', 'kind', 'text', NULL),
	('site', 'parent', 'parent_id', 'id', 'self'), ('site', 'tz', 'tz', 'text', NULL), ('site', 'calendar', 'calendar_id', 'id', 'master_calendars'),
	('site', 'vendor', 'vendor_id', 'id', 'master_parties'), ('site', 'can_promise', 'can_promise', 'boolean', NULL), ('site', 'can_ship', 'can_ship', 'boolean', NULL),
	('site', 'rank', 'rank', 'integer', NULL), ('site', 'status', 'status', 'text', NULL), ('site', 'ext', 'ext', 'jsonb', NULL),
	('carrier', 'name', 'name', 'text', NULL), ('carrier', 'calendar', 'calendar_id', 'id', 'master_calendars'),
	('channel', 'name', 'name', 'text', NULL), ('channel', 'company', 'company_id', 'id', 'master_companies');
