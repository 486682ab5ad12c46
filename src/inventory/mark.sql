-- Marking: what changes the availability of items without a change of rows of theirs. Sites, channels, units and states of stock change by
-- people; quotas begin and end, and streams fall silent, by time alone: that is for the clerk.

-- inventory_mark does the marking of items for stock.atp_changed.
CREATE FUNCTION distsync_internal.inventory_mark(items bigint[]) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN cardinality(items) > 0 THEN distsync_internal.base_mark('item', 'stock.atp_changed', 'item', items, items) ELSE 0 END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_mark(bigint[]) IS 'Leaves a marker of stock.atp_changed for each of these items (NULL = none). Returns how many.';

-- inventory_site_marks does the marking of all items of sites whose code, company or say in promises changes.
CREATE FUNCTION distsync_internal.inventory_site_marks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.inventory_mark(ARRAY(SELECT DISTINCT p.item_id FROM come c
		JOIN gone g ON g.site_id = c.site_id AND (g.code, g.company_id, g.can_promise, g.status) IS DISTINCT FROM (c.code, c.company_id, c.can_promise, c.status)
		JOIN dist.stock_pool p ON p.site_id = c.site_id));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_site_marks() IS 'Statement trigger on dist.site: items at sites that promise no longer, or do again, are told anew.';

-- inventory_channel_marks does the same for channels whose code or company changes.
CREATE FUNCTION distsync_internal.inventory_channel_marks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.inventory_mark(ARRAY(SELECT DISTINCT i.item_id FROM come c
		JOIN gone g ON g.channel_id = c.channel_id AND (g.code, g.company_id) IS DISTINCT FROM (c.code, c.company_id)
		JOIN dist.channel_item i ON i.channel_id = c.channel_id));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_channel_marks() IS 'Statement trigger on dist.channel: items of channels that sell for another company are told anew.';

-- inventory_item_marks does the same for items that get another code or unit, become kits, or are blocked.
CREATE FUNCTION distsync_internal.inventory_item_marks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.inventory_mark(ARRAY(SELECT c.item_id FROM come c JOIN gone g ON g.item_id = c.item_id AND (g.sku, g.base_unit, g.kit, g.status) IS DISTINCT FROM (c.sku, c.base_unit, c.kit, c.status)));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_item_marks() IS 'Statement trigger on dist.item: items that are called or counted otherwise, or may be promised no longer or again, are told anew.';

-- inventory_state_changed does the deriving of pools anew when stock in some state may be promised, or no longer may. Pools change, and
-- that is captured.
CREATE FUNCTION distsync_internal.inventory_state_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	items bigint[];
	sites bigint[];
BEGIN
	SELECT array_agg(k.item_id), array_agg(k.site_id) INTO items, sites
	FROM (SELECT DISTINCT b.item_id, b.site_id FROM come c JOIN gone g ON g.state = c.state AND g.promisable <> c.promisable JOIN dist.stock_balance b ON b.state = c.state) k;
	IF items IS NOT NULL THEN
		PERFORM distsync_internal.inventory_lock(items, sites);
		PERFORM distsync_internal.inventory_refresh(items, sites);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_state_changed() IS 'Statement trigger on dist.stock_state: pools with stock in a state follow promisable. It holds the locks of all of them.';

-- inventory_mark_triggers does the setting of these triggers.
CREATE FUNCTION distsync_internal.inventory_mark_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	CREATE OR REPLACE TRIGGER site_stock_trg AFTER UPDATE ON dist.site REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.inventory_site_marks();
	CREATE OR REPLACE TRIGGER channel_stock_trg AFTER UPDATE ON dist.channel REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.inventory_channel_marks();
	CREATE OR REPLACE TRIGGER item_stock_trg AFTER UPDATE ON dist.item REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.inventory_item_marks();
	CREATE OR REPLACE TRIGGER stock_state_pool_trg AFTER UPDATE ON dist.stock_state REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.inventory_state_changed();
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_mark_triggers() IS 'Part of setup(): triggers that mark items when sites, channels, items or states of stock change.';

-- inventory_streams_doubted does the listing of streams that channels should be told otherwise about than they were. A gap that closes soon
-- is none: numbers often come out of order, and whoever sells from the site would be told twice for nothing.
CREATE FUNCTION distsync_internal.inventory_streams_doubted(at timestamptz) RETURNS TABLE (source text, stream text, was bigint, is_now bigint)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT v.source, v.stream, v.doubt_site, d.site FROM dist.stock_stream v
	CROSS JOIN LATERAL (SELECT CASE WHEN v.gap_from IS NOT NULL AND (v.doubt_site IS NOT NULL OR v.gap_since <= inventory_streams_doubted.at - interval '5 seconds') OR v.last_received_at + v.max_lag < inventory_streams_doubted.at
		THEN v.site_id END) d(site)
	WHERE v.perspective = 'phys' AND d.site IS DISTINCT FROM v.doubt_site ORDER BY v.source COLLATE "C", v.stream COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_streams_doubted(timestamptz) IS
	'Physical streams that have fallen silent, have had a gap for five seconds, or are well again, as of an instant, while channels were told the opposite: site they were (was) and are doubtful for (0 = all, NULL = none).';

-- inventory_turns does what time alone changes of quotas and streams, for the clerk. A quota that begins or ends changes, which is captured;
-- a stream that is doubted, or no longer, concerns the items of its site that some channel of mode physical sells, and kits there.
CREATE FUNCTION distsync_internal.inventory_turns(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
	s record;
	n integer;
BEGIN
	UPDATE dist.stock_quota q SET turns_at = CASE WHEN lower(q.period) > t THEN lower(q.period) WHEN upper(q.period) > t THEN upper(q.period) END
	FROM (SELECT x.item_id, x.quota_id FROM dist.stock_quota x WHERE x.turns_at <= t ORDER BY x.item_id, x.quota_id LIMIT max_rows FOR NO KEY UPDATE SKIP LOCKED) k
	WHERE q.item_id = k.item_id AND q.quota_id = k.quota_id;
	GET DIAGNOSTICS n = ROW_COUNT;
	FOR s IN SELECT * FROM distsync_internal.inventory_streams_doubted(t) LOOP
		-- who tells of the stream meanwhile may have ended the doubt: then it is for the next call
		UPDATE dist.stock_stream v SET doubt_site = d.is_now FROM distsync_internal.inventory_streams_doubted(t) d
		WHERE v.source = s.source AND v.stream = s.stream AND d.source = v.source AND d.stream = v.stream AND v.doubt_site IS NOT DISTINCT FROM d.was;
		IF FOUND THEN
			n := n + 1 + distsync_internal.inventory_mark(ARRAY(SELECT c.item_id FROM dist.channel_item c
				WHERE c.mode = 'physical' AND (EXISTS (SELECT FROM dist.item i WHERE i.item_id = c.item_id AND i.kit)
					OR EXISTS (SELECT FROM dist.stock_pool p WHERE p.item_id = c.item_id AND (0 IN (s.was, s.is_now) OR p.site_id IN (s.was, s.is_now)))) GROUP BY c.item_id));
		END IF;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_turns(integer) IS
	'Clerk task: notes that quotas have begun or ended, at most so many, and that channels take streams for doubtful or no longer do; marks the items. Returns how many quotas, streams and items.';

-- inventory_turns_due does the answer to "when is there work again".
CREATE FUNCTION distsync_internal.inventory_turns_due() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT least((SELECT min(q.turns_at) FROM dist.stock_quota q WHERE q.turns_at IS NOT NULL),
		(SELECT min(least(v.last_received_at + v.max_lag, CASE WHEN v.gap_from IS NOT NULL THEN v.gap_since + interval '5 seconds' END)) FROM dist.stock_stream v WHERE v.perspective = 'phys' AND v.doubt_site IS NULL AND v.site_id IS NOT NULL))
$$;
COMMENT ON FUNCTION distsync_internal.inventory_turns_due() IS 'Earliest instant at which a quota begins or ends, a stream counts as silent or its gap as one; NULL = none.';

-- inventory_keys does the finding of items by code, for resync() and the check of what was told.
CREATE FUNCTION distsync_internal.inventory_keys(codes text[]) RETURNS TABLE (key bigint, entity_key text, group_id bigint, settled boolean, moved_by bigint[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
	at timestamptz := statement_timestamp();
BEGIN
	IF codes IS NULL THEN
		RETURN QUERY SELECT i.item_id, i.sku, i.item_id, false, NULL::bigint[] FROM dist.item i
			WHERE EXISTS (SELECT FROM dist.stock_pool p WHERE p.item_id = i.item_id) OR EXISTS (SELECT FROM dist.channel_item c WHERE c.item_id = i.item_id) ORDER BY i.item_id;
		RETURN;
	END IF;
	RETURN QUERY
	SELECT i.item_id, i.sku, i.item_id, NOT EXISTS (SELECT FROM dist.stock_pool p WHERE p.item_id = ANY (m.items) AND p.valid_until <= at)
		AND NOT EXISTS (SELECT FROM dist.stock_pool_slot y WHERE y.item_id = ANY (m.items) AND y.valid_until <= at)
		AND NOT EXISTS (SELECT FROM dist.stock_quota q WHERE q.item_id = ANY (m.items) AND q.turns_at <= at), m.items
	FROM dist.item i CROSS JOIN LATERAL (SELECT CASE WHEN i.kit THEN ARRAY(SELECT i.item_id UNION SELECT c.item_id FROM distsync_internal.inventory_components(i.item_id) c) ELSE ARRAY[i.item_id] END AS items) m
	WHERE i.sku = ANY (codes);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_keys(text[]) IS
	'Handler of kind keys for items: id, code, group in the outbox, whether time has changed nothing that the clerk has not seen yet, and the items whose markers tell of it (kits: with their components). NULL: all items with stock or in a channel, without looking at the time.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('trigger', 'inventory_mark', 71, 'distsync_internal.inventory_mark_triggers'),
	('clerk', 'inventory_turns', 100, 'distsync_internal.inventory_turns'),
	('clerk', 'inventory_turns.next_due', 100, 'distsync_internal.inventory_turns_due'),
	('keys', 'item', 100, 'distsync_internal.inventory_keys');
