-- What prices read besides the closures: statement triggers move the price epoch whoever writes it, and only if something that prices
-- read has changed.

-- master_touched does the moving of the price epoch for the rows that a statement changed.
CREATE FUNCTION distsync_internal.master_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id text := CASE WHEN TG_ARGV[0] = 'shared' THEN '0::bigint' ELSE format('%I', TG_ARGV[1]) END;
	ids bigint[];
BEGIN
	-- %s is a column that %I quoted, or the list of columns that prices read, which is ours: see master_touch_triggers
	EXECUTE format(CASE TG_OP WHEN 'INSERT' THEN 'SELECT array_agg(DISTINCT %1$s) FROM come'
		WHEN 'DELETE' THEN 'SELECT array_agg(DISTINCT %1$s) FROM gone'
		ELSE 'SELECT array_agg(DISTINCT %1$s) FROM ((SELECT %2$s FROM come EXCEPT SELECT %2$s FROM gone) UNION ALL (SELECT %2$s FROM gone EXCEPT SELECT %2$s FROM come)) d' END,
		id, TG_ARGV[2]) INTO ids;
	IF ids IS NOT NULL THEN
		PERFORM distsync_internal.base_touch_prices(CASE TG_ARGV[0] WHEN 'shared' THEN '{0}' WHEN 'price' THEN distsync_internal.base_buckets(ids) ELSE '{}' END,
			CASE TG_ARGV[0] WHEN 'item' THEN distsync_internal.base_buckets(ids) ELSE '{}' END);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_touched() IS
	'Statement trigger: moves the price epoch. Arguments: domain (shared = price 0, price, item), the column of the party or item, the columns that prices read.';

-- master_clock_first does the locking of the price clock before a statement writes rows that say since when they are known: their
-- clock_timestamp() is then after every stamp that anybody has seen.
CREATE FUNCTION distsync_internal.master_clock_first() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.base_lock_prices();
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_clock_first() IS 'Statement trigger, before: locks the price clock.';

-- master_watch_prices does the setting of these triggers on one table.
CREATE FUNCTION distsync_internal.master_watch_prices(target text, domain text, id_column text, columns text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('CREATE OR REPLACE TRIGGER %5$I AFTER INSERT ON dist.%1$I REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.master_touched(%2$L, %3$L, %4$L)',
		target, domain, id_column, columns, target || '_price_insert_trg');
	EXECUTE format('CREATE OR REPLACE TRIGGER %5$I AFTER UPDATE ON dist.%1$I REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.master_touched(%2$L, %3$L, %4$L)',
		target, domain, id_column, columns, target || '_price_update_trg');
	EXECUTE format('CREATE OR REPLACE TRIGGER %5$I AFTER DELETE ON dist.%1$I REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.master_touched(%2$L, %3$L, %4$L)',
		target, domain, id_column, columns, target || '_price_delete_trg');
	IF columns LIKE '%known%' THEN
		EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE INSERT OR UPDATE ON dist.%I FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.master_clock_first()', target || '_price_clock_trg', target);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_watch_prices(text, text, text, text) IS
	'Part of setup(): triggers on a table of dist that move the price epoch. domain: shared | price | item; id_column: the party or item (empty for shared); columns: those that prices read, as SQL.';

-- master_touch_triggers does the listing of the tables of this room.
CREATE FUNCTION distsync_internal.master_touch_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.master_watch_prices('currency', 'shared', '', 'currency, minor_units');
	PERFORM distsync_internal.master_watch_prices('exchange_rate', 'shared', '', 'from_currency, to_currency, kind, rate, valid, known');
	PERFORM distsync_internal.master_watch_prices('company', 'shared', '', 'company_id, code, currency, tz, status');
	PERFORM distsync_internal.master_watch_prices('channel', 'shared', '', 'channel_id, code, company_id');
	PERFORM distsync_internal.master_watch_prices('category', 'shared', '', 'category_id, code');
	PERFORM distsync_internal.master_watch_prices('party_group', 'shared', '', 'group_id, kind, code');
	PERFORM distsync_internal.master_watch_prices('party_member', 'price', 'party_id', 'party_id, group_id, valid, known');
	PERFORM distsync_internal.master_watch_prices('item_unit', 'item', 'item_id', 'item_id, unit, numerator, denominator, sell_multiple');
	PERFORM distsync_internal.master_watch_prices('item_cost', 'item', 'item_id', 'item_id, company_id, site_id, kind, unit, cost, currency, valid, known');
END
$$;
COMMENT ON FUNCTION distsync_internal.master_touch_triggers() IS 'Part of setup(): which tables of master data move which price epoch.';
