-- Promises beyond stock wait in a queue: by priority, then by when they are wanted, behind what stock covers: a promise that is made takes
-- nothing away from one that is kept. What comes in serves the first of it before anybody
-- else is promised anything, because the pool takes no new promises until all of it is covered. When that is for each of them, and when
-- it changes, is told.

-- inventory_queue does the reckoning of when each live promise of a pool is covered: by its place in the queue and what is there or to come.
CREATE FUNCTION distsync_internal.inventory_queue(item_id bigint, site_id bigint, at timestamptz) RETURNS TABLE (reservation_id bigint, place numeric, covered_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH q AS MATERIALIZED (
		SELECT r.reservation_id, sum(r.quantity - r.shipped) OVER (ORDER BY r.promised_at IS NULL OR r.promised_at > inventory_queue.at OR r.created_at >= inventory_queue.at, r.priority, d.required_at NULLS FIRST, COALESCE(r.demand_key, r.holder) COLLATE "C", r.created_at, r.reservation_id ROWS UNBOUNDED PRECEDING) AS place
		FROM dist.reservation r LEFT JOIN dist.demand d ON d.demand_key = r.demand_key AND d.item_id = r.item_id AND d.site_id = r.site_id
		WHERE r.item_id = inventory_queue.item_id AND r.site_id = inventory_queue.site_id AND r.state IN ('held', 'committed') AND (r.state = 'committed' OR r.expires_at IS NULL OR r.expires_at > inventory_queue.at)
	), c AS MATERIALIZED (
		-- what promises may count on from each instant on: nothing that a later demand already needs
		SELECT u.moment, u.atp IS NULL AS any_quantity, p.held + p.committed + min(u.projected) OVER (ORDER BY u.moment DESC ROWS UNBOUNDED PRECEDING) AS stock
		FROM dist.stock_pool p CROSS JOIN LATERAL distsync_internal.inventory_curve(p.item_id, ARRAY[p.site_id], inventory_queue.at) u
		WHERE p.item_id = inventory_queue.item_id AND p.site_id = inventory_queue.site_id
	)
	SELECT q.reservation_id, q.place, (SELECT min(c.moment) FROM c WHERE c.any_quantity OR c.stock >= q.place) FROM q;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_queue(bigint, bigint, timestamptz) IS
	'Live promises of an item at a site in the order in which they are served (what stock covers already, then the others; priority, when wanted, demand or holder): how much is promised up to each of them, base units, and when stock and supply cover that (NULL = not foreseen, the instant itself = now). The caller has the pool locked and refreshed, or is satisfied with a guess.';

-- inventory_repromise does the dating of the promises of a pool anew, and the telling of those whose date has changed.
CREATE FUNCTION distsync_internal.inventory_repromise(item_id bigint, site_id bigint, at timestamptz, told boolean, correlation_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	i record;
	late boolean;
	changes jsonb;
BEGIN
	WITH n AS MATERIALIZED (
		SELECT r.reservation_id, r.demand_key, r.holder, r.quantity - r.shipped AS quantity, r.promised_at AS was, r.created_at, q.place, CASE WHEN q.covered_at <= inventory_repromise.at THEN least(r.promised_at, inventory_repromise.at) ELSE q.covered_at END AS promised_at
		FROM distsync_internal.inventory_queue(inventory_repromise.item_id, inventory_repromise.site_id, inventory_repromise.at) q JOIN dist.reservation r ON r.item_id = inventory_repromise.item_id AND r.reservation_id = q.reservation_id
	), u AS (
		UPDATE dist.reservation r SET promised_at = n.promised_at FROM n
		WHERE r.item_id = inventory_repromise.item_id AND r.reservation_id = n.reservation_id AND r.promised_at IS DISTINCT FROM n.promised_at
	)
	SELECT (SELECT bool_or(n.promised_at IS NULL OR n.promised_at > inventory_repromise.at) FROM n),
		(SELECT jsonb_agg(jsonb_build_object('demand_key', m.demand_key, 'holder', m.holder, 'quantity', trim_scale(m.quantity), 'was', m.was, 'promised_at', m.promised_at) ORDER BY m.place)
			-- who is promised something just now is answered, not told
			FROM (SELECT n.* FROM n WHERE n.promised_at IS DISTINCT FROM n.was AND n.created_at < inventory_repromise.at ORDER BY n.place LIMIT 1000) m)
	INTO late, changes;
	UPDATE dist.stock_pool p SET waiting = COALESCE(late, false) WHERE p.item_id = inventory_repromise.item_id AND p.site_id = inventory_repromise.site_id AND p.waiting <> COALESCE(late, false);
	SELECT x.sku, s.code AS site, y.code AS company INTO i FROM dist.item x, dist.site s JOIN dist.company y ON y.company_id = s.company_id WHERE x.item_id = inventory_repromise.item_id AND s.site_id = inventory_repromise.site_id;
	IF told AND changes IS NOT NULL THEN
		PERFORM distsync_internal.base_emit('item', inventory_repromise.item_id, 'stock.promise_changed', 'item', i.sku, jsonb_build_object('sku', i.sku, 'site', i.site, 'promises', changes), inventory_repromise.correlation_id);
		IF EXISTS (SELECT FROM jsonb_array_elements(changes) c WHERE (c->>'promised_at')::timestamptz > COALESCE((c->>'was')::timestamptz, 'infinity') OR c->>'promised_at' IS NULL) THEN
			PERFORM distsync_internal.base_exception('promise_moved', i.sku || '@' || i.site, 'stock', 'warning', i.company, 'item_site', i.sku || '@' || i.site, jsonb_build_object('sku', i.sku, 'site', i.site, 'promises', changes), NULL, NULL, NULL, inventory_repromise.correlation_id);
		END IF;
	END IF;
	IF NOT COALESCE(late, false) THEN
		PERFORM distsync_internal.base_exception_close('promise_moved', i.sku || '@' || i.site, 'stock covers what is promised again');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_repromise(bigint, bigint, timestamptz, boolean, uuid) IS
	'Sets promised_at of the live promises of a pool to when they are covered (a date that has come stays; NULL = not foreseen), under the pool''s lock, after its refresh. told: emits stock.promise_changed {"sku","site","promises":[{"demand_key","holder","quantity","was","promised_at"}]} for the first thousand that changed, in the order of the queue, and opens the exception promise_moved where one got later; it closes when all are covered.';
