-- Shelf life: lots that expire too soon for whoever asks. What the item itself demands is in the terms of its pools; what a customer
-- demands beyond that is taken off when he asks. Promises name no lot, so that what is promised counts against those that live long enough for him.

-- inventory_shelf does the look-up of the days that lots must have left for a customer.
CREATE FUNCTION distsync_internal.inventory_shelf(item_id bigint, customer_id bigint, asked integer) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN COALESCE(asked, CASE WHEN customer_id IS NOT NULL THEN (SELECT r.shelf_days FROM dist.shelf_rule r
		WHERE r.customer_id = inventory_shelf.customer_id AND r.item_id IN (inventory_shelf.item_id, 0) ORDER BY r.item_id DESC LIMIT 1) END);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_shelf(bigint, bigint, integer) IS 'Days that lots of an item must have left: as asked, or as the customer has it for the item, or for all items; NULL = only what the item itself demands.';

-- inventory_short_lived does the summing of promisable stock that is good enough for the item but not for so many days.
CREATE FUNCTION distsync_internal.inventory_short_lived(item_id bigint, site_id bigint, at timestamptz, shelf_days integer, OUT phys numeric, OUT book numeric, OUT turns_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	zone text := COALESCE((SELECT z.tz FROM dist.site z WHERE z.site_id = inventory_short_lived.site_id), 'UTC');
	today date := (at AT TIME ZONE zone)::date;
	first date := today + COALESCE((SELECT i.min_shelf_days FROM dist.item i WHERE i.item_id = inventory_short_lived.item_id), 0);
BEGIN
	phys := 0;
	book := 0;
	IF shelf_days IS NULL THEN
		RETURN;
	END IF;
	SELECT COALESCE(sum(b.quantity) FILTER (WHERE b.perspective = 'phys' AND b.expires_on < today + shelf_days), 0),
		COALESCE(sum(b.quantity) FILTER (WHERE b.perspective = 'book' AND b.expires_on < today + shelf_days), 0),
		(min(b.expires_on) FILTER (WHERE b.expires_on >= today + shelf_days) + 1 - shelf_days)::timestamp AT TIME ZONE zone
	INTO phys, book, turns_at
	FROM dist.stock_balance b JOIN dist.stock_state s ON s.state = b.state AND s.promisable
	WHERE b.item_id = inventory_short_lived.item_id AND b.site_id = inventory_short_lived.site_id AND b.expires_on >= first AND b.quantity > 0;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_short_lived(bigint, bigint, timestamptz, integer) IS
	'Promisable stock of an item at a site, base units by perspective, in lots that the item itself allows but that have fewer than so many days left (NULL = no rule: 0); turns_at: when the next lot becomes one of them.';

-- inventory_shelf_changed does the deriving of pools anew when an item wants its lots to live longer or shorter.
CREATE FUNCTION distsync_internal.inventory_shelf_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	items bigint[];
	sites bigint[];
BEGIN
	SELECT array_agg(p.item_id), array_agg(p.site_id) INTO items, sites
	FROM come c JOIN gone g ON g.item_id = c.item_id AND g.min_shelf_days IS DISTINCT FROM c.min_shelf_days JOIN dist.stock_pool p ON p.item_id = c.item_id;
	IF items IS NOT NULL THEN
		PERFORM distsync_internal.inventory_lock(items, sites);
		PERFORM distsync_internal.inventory_refresh(items, sites);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_shelf_changed() IS 'Statement trigger on dist.item: pools follow min_shelf_days.';

-- inventory_refresh_days does the deriving of pools anew where days or states mean something else.
CREATE FUNCTION distsync_internal.inventory_refresh_days(of_sites bigint[], of_states text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	items bigint[];
	sites bigint[];
BEGIN
	SELECT array_agg(b.item_id), array_agg(b.site_id) INTO items, sites
	FROM (SELECT DISTINCT x.item_id, x.site_id FROM dist.stock_balance x LEFT JOIN dist.stock_state s ON s.state = x.state
		WHERE x.site_id = ANY (of_sites) AND (x.expires_on IS NOT NULL OR s.ages_into IS NOT NULL AND x.quantity > 0) OR x.state = ANY (of_states)) b;
	IF items IS NOT NULL THEN
		PERFORM distsync_internal.inventory_lock(items, sites);
		PERFORM distsync_internal.inventory_refresh(items, sites);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_refresh_days(bigint[], text[]) IS 'Locks and derives anew the pools of these sites that have lots that expire or goods that wait, and those with stock in these states; NULL = none.';

-- inventory_site_days_changed does that for sites whose day, on which lots expire, or whose working days are others.
CREATE FUNCTION distsync_internal.inventory_site_days_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	changed bigint[] := ARRAY(SELECT c.site_id FROM come c JOIN gone g ON g.site_id = c.site_id AND (g.tz, g.calendar_id) IS DISTINCT FROM (c.tz, c.calendar_id));
BEGIN
	IF changed <> '{}' THEN
		PERFORM distsync_internal.inventory_refresh_days(changed, NULL);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_site_days_changed() IS 'Statement trigger on dist.site: pools follow tz and calendar_id.';

-- inventory_state_days_changed does it for states: whether what is in them may be promised, or when it will be.
CREATE FUNCTION distsync_internal.inventory_state_days_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	changed text[] := ARRAY(SELECT c.state FROM come c JOIN gone g ON g.state = c.state AND (g.promisable, g.ages_into, g.release_days, g.release_share) IS DISTINCT FROM (c.promisable, c.ages_into, c.release_days, c.release_share));
BEGIN
	IF changed <> '{}' THEN
		PERFORM distsync_internal.inventory_refresh_days(NULL, changed);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_state_days_changed() IS 'Statement trigger on dist.stock_state: pools follow what states mean.';

-- inventory_calendar_changed does it for calendars and their special days.
CREATE FUNCTION distsync_internal.inventory_calendar_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.inventory_refresh_days(ARRAY(SELECT s.site_id FROM dist.site s WHERE s.calendar_id IN (SELECT d.calendar_id FROM days d)), NULL);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_calendar_changed() IS 'Statement trigger on dist.calendar and dist.calendar_day: pools of sites follow working days.';

-- inventory_triggers does the setting of the triggers of this room.
CREATE FUNCTION distsync_internal.inventory_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	CREATE OR REPLACE TRIGGER item_shelf_trg AFTER UPDATE ON dist.item REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.inventory_shelf_changed();
	CREATE OR REPLACE TRIGGER site_days_trg AFTER UPDATE ON dist.site REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.inventory_site_days_changed();
	CREATE OR REPLACE TRIGGER stock_state_days_trg AFTER UPDATE ON dist.stock_state REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.inventory_state_days_changed();
	CREATE OR REPLACE TRIGGER calendar_days_trg AFTER UPDATE ON dist.calendar REFERENCING NEW TABLE AS days FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.inventory_calendar_changed();
	CREATE OR REPLACE TRIGGER calendar_day_came_trg AFTER INSERT ON dist.calendar_day REFERENCING NEW TABLE AS days FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.inventory_calendar_changed();
	CREATE OR REPLACE TRIGGER calendar_day_changed_trg AFTER UPDATE ON dist.calendar_day REFERENCING NEW TABLE AS days FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.inventory_calendar_changed();
	CREATE OR REPLACE TRIGGER calendar_day_went_trg AFTER DELETE ON dist.calendar_day REFERENCING OLD TABLE AS days FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.inventory_calendar_changed();
	PERFORM distsync_internal.base_watch_codes('dist', 'stock_state');
	PERFORM distsync_internal.base_watch_codes('dist', 'stock_barrier');
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_triggers() IS 'Part of setup(): triggers of this room.';
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('trigger', 'inventory', 70, 'distsync_internal.inventory_triggers');

-- inventory_apply_shelf_rule does the entity handler of shelf_rule.
CREATE FUNCTION distsync_internal.inventory_apply_shelf_rule(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	l record;
	bad boolean := false;
	results distsync_internal.apply_result[] := '{}';
BEGIN
	FOR l IN
		WITH d AS MATERIALIZED (SELECT (e->>'ordinal')::integer AS ordinal, e->'doc' AS doc FROM jsonb_array_elements(docs) e)
		SELECT d.ordinal, concat_ws('/', d.doc->>'customer', d.doc->>'sku') AS key, CASE
			WHEN p.id IS NULL THEN ARRAY['SD001', 'customer', format('unknown party "%s"', d.doc->>'customer'), 'Send the party first, correct the code, or add a cross-reference for it.']
			WHEN d.doc->>'sku' IS NOT NULL AND i.id IS NULL THEN ARRAY['SD001', 'sku', format('unknown item "%s"', d.doc->>'sku'), 'Send the item first, correct the code, or add a cross-reference for it.']
			WHEN ctx->>'operation' IS DISTINCT FROM 'deactivate' AND d.doc->>'shelf_days' IS NULL THEN ARRAY['SD005', 'shelf_days', 'field "shelf_days" is missing', 'Say how many days, or deactivate the rule.']
			WHEN (d.doc->>'shelf_days')::numeric > 36600 THEN ARRAY['SD002', 'shelf_days', format('%s days are too many', d.doc->>'shelf_days'), 'Check the value.'] END AS fault
		FROM d
		LEFT JOIN distsync_internal.master_parties(ARRAY(SELECT DISTINCT c.doc->>'customer' FROM d c), ctx->>'source') p ON p.code = d.doc->>'customer'
		LEFT JOIN distsync_internal.master_items(ARRAY(SELECT DISTINCT c.doc->>'sku' FROM d c), ctx->>'source') i ON i.code = d.doc->>'sku'
		ORDER BY d.ordinal
	LOOP
		bad := bad OR l.fault IS NOT NULL AND ctx->>'on_error' IS DISTINCT FROM 'collect';
		results := results || distsync_internal.inventory_result(l.ordinal, l.key, l.fault);
	END LOOP;
	IF NOT bad THEN
		FOR l IN
			SELECT distsync_internal.master_party(e->'doc'->>'customer', 'customer', ctx->>'source') AS customer_id, COALESCE(distsync_internal.master_item(e->'doc'->>'sku', 'sku', ctx->>'source'), 0) AS item_id,
				(e->'doc'->>'shelf_days')::integer AS shelf_days
			FROM jsonb_array_elements(docs) e JOIN unnest(results) x ON x.ordinal = (e->>'ordinal')::integer AND x.outcome = 'applied' ORDER BY 1, 2, x.ordinal
		LOOP
			IF ctx->>'operation' = 'deactivate' THEN
				DELETE FROM dist.shelf_rule r WHERE r.customer_id = l.customer_id AND r.item_id = l.item_id;
			ELSE
				INSERT INTO dist.shelf_rule AS r (customer_id, item_id, shelf_days) VALUES (l.customer_id, l.item_id, l.shelf_days)
				ON CONFLICT ON CONSTRAINT shelf_rule_pk DO UPDATE SET shelf_days = excluded.shelf_days;
			END IF;
		END LOOP;
	END IF;
	RETURN QUERY SELECT x.* FROM unnest(results) x;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_apply_shelf_rule(jsonb, jsonb) IS 'Entity handler of shelf_rule: the shelf life that a customer wants to be left; operation deactivate takes the rule away.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'shelf_rule', 'distsync_internal.inventory_apply_shelf_rule');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('shelf_rule', '{customer,sku}', 'stock', 'The shelf life that a customer wants to be left when goods ship.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('shelf_rule', 'customer', 'code', true, 'any', 'Customer.', NULL, false),
	('shelf_rule', 'sku', 'code', false, 'any', 'Item, every item if left out.', NULL, false),
	('shelf_rule', 'shelf_days', 'integer', false, 'nonnegative', 'Days a lot must have left.', NULL, false);
