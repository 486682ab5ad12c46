-- One handler for each master entity: the door calls f(docs, ctx).

-- master_apply_currency does the handling of currency documents.
CREATE FUNCTION distsync_internal.master_apply_currency(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_apply('currency', docs, ctx) $$;
COMMENT ON FUNCTION distsync_internal.master_apply_currency(jsonb, jsonb) IS 'Entity handler of currency: see master_apply.';

-- master_apply_unit does the handling of unit documents.
CREATE FUNCTION distsync_internal.master_apply_unit(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_apply('unit', docs, ctx) $$;
COMMENT ON FUNCTION distsync_internal.master_apply_unit(jsonb, jsonb) IS 'Entity handler of unit: see master_apply.';

-- master_apply_calendar does the handling of calendar documents.
CREATE FUNCTION distsync_internal.master_apply_calendar(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_apply('calendar', docs, ctx) $$;
COMMENT ON FUNCTION distsync_internal.master_apply_calendar(jsonb, jsonb) IS 'Entity handler of calendar: see master_apply.';

-- master_apply_company does the handling of company documents.
CREATE FUNCTION distsync_internal.master_apply_company(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_apply('company', docs, ctx) $$;
COMMENT ON FUNCTION distsync_internal.master_apply_company(jsonb, jsonb) IS 'Entity handler of company: see master_apply.';

-- master_apply_category does the handling of category documents.
CREATE FUNCTION distsync_internal.master_apply_category(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_apply('category', docs, ctx) $$;
COMMENT ON FUNCTION distsync_internal.master_apply_category(jsonb, jsonb) IS 'Entity handler of category: see master_apply.';

-- master_apply_party does the handling of party documents.
CREATE FUNCTION distsync_internal.master_apply_party(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_apply('party', docs, ctx) $$;
COMMENT ON FUNCTION distsync_internal.master_apply_party(jsonb, jsonb) IS 'Entity handler of party: see master_apply.';

-- master_apply_item does the handling of item documents.
CREATE FUNCTION distsync_internal.master_apply_item(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_apply('item', docs, ctx) $$;
COMMENT ON FUNCTION distsync_internal.master_apply_item(jsonb, jsonb) IS 'Entity handler of item: see master_apply.';

-- master_apply_site does the handling of site documents.
CREATE FUNCTION distsync_internal.master_apply_site(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_apply('site', docs, ctx) $$;
COMMENT ON FUNCTION distsync_internal.master_apply_site(jsonb, jsonb) IS 'Entity handler of site: see master_apply.';

-- master_apply_carrier does the handling of carrier documents.
CREATE FUNCTION distsync_internal.master_apply_carrier(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_apply('carrier', docs, ctx) $$;
COMMENT ON FUNCTION distsync_internal.master_apply_carrier(jsonb, jsonb) IS 'Entity handler of carrier: see master_apply.';

-- master_apply_channel does the handling of channel documents.
CREATE FUNCTION distsync_internal.master_apply_channel(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_apply('channel', docs, ctx) $$;
COMMENT ON FUNCTION distsync_internal.master_apply_channel(jsonb, jsonb) IS 'Entity handler of channel: see master_apply.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('entity', 'currency', 'distsync_internal.master_apply_currency'),
	('entity', 'unit', 'distsync_internal.master_apply_unit'),
	('entity', 'calendar', 'distsync_internal.master_apply_calendar'),
	('entity', 'company', 'distsync_internal.master_apply_company'),
	('entity', 'category', 'distsync_internal.master_apply_category'),
	('entity', 'party', 'distsync_internal.master_apply_party'),
	('entity', 'item', 'distsync_internal.master_apply_item'),
	('entity', 'site', 'distsync_internal.master_apply_site'),
	('entity', 'carrier', 'distsync_internal.master_apply_carrier'),
	('entity', 'channel', 'distsync_internal.master_apply_channel'),
	('entity', 'party.scope', 'distsync_internal.master_scope_party'),
	('entity', 'item.scope', 'distsync_internal.master_scope_item'),
	('entity', 'site.scope', 'distsync_internal.master_scope_site');
