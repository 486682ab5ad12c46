-- Checking: the invariants of stock, for verify(), and its health, for doctor().

-- inventory_verify_stock does the proof of balances and caps: fold(events) = balance, what is in flight is what one side has not told, and a pool keeps what its terms say.
CREATE FUNCTION distsync_internal.inventory_verify_stock() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	-- not of the statement: what others have promised since it began is seen
	at timestamptz := clock_timestamp();
BEGIN
	RETURN QUERY
	SELECT 'fold of the stock events equals the balance', 'stock_balance', concat_ws('/', i.sku, s.code, x.perspective, x.state, NULLIF(x.lot, '')), jsonb_build_object('balance', x.balance, 'fold', x.fold)
	FROM (SELECT COALESCE(b.item_id, e.item_id) AS item_id, COALESCE(b.site_id, e.site_id) AS site_id, COALESCE(b.perspective, e.perspective) AS perspective, COALESCE(b.state, e.state) AS state,
			COALESCE(b.lot, e.lot) AS lot, COALESCE(b.quantity, 0) AS balance, COALESCE(e.quantity, 0) AS fold
		FROM dist.stock_balance b
		FULL JOIN distsync_internal.inventory_folded(NULL, NULL, NULL, NULL, NULL) e USING (item_id, site_id, perspective, state, lot, owner_id)) x
	LEFT JOIN dist.item i ON i.item_id = x.item_id LEFT JOIN dist.site s ON s.site_id = x.site_id
	WHERE x.balance <> x.fold;
	RETURN QUERY
	SELECT 'what is in flight follows from what was told', 'stock_in_flight', concat_ws('/', i.sku, s.code, x.reference), jsonb_build_object('phys', x.was_phys, 'book', x.was_book, 'told_phys', x.phys, 'told_book', x.book)
	FROM (SELECT array_agg(u.item_id) AS items, array_agg(u.site_id) AS sites FROM (SELECT w.item_id, w.site_id FROM dist.stock_in_flight w UNION SELECT b.item_id, b.site_id FROM dist.stock_balance b GROUP BY 1, 2 HAVING count(DISTINCT b.perspective) = 2) u) k
	CROSS JOIN LATERAL distsync_internal.inventory_unflown(k.items, k.sites, false) x
	LEFT JOIN dist.item i ON i.item_id = x.item_id LEFT JOIN dist.site s ON s.site_id = x.site_id;
	RETURN QUERY
	SELECT v.invariant, 'stock_pool', i.sku || '/' || s.code, v.detail
	FROM (SELECT array_agg(q.item_id) AS items, array_agg(q.site_id) AS sites FROM dist.stock_pool q WHERE q.valid_until IS NULL OR q.valid_until > at) a
	CROSS JOIN LATERAL distsync_internal.inventory_terms(a.items, a.sites, at) m
	CROSS JOIN LATERAL (SELECT distsync_internal.inventory_base(m.phys, m.book, m.in_flight, m.outside, 'conservative', NULL) + m.low) c(cap)
	JOIN dist.stock_pool p ON p.item_id = m.item_id AND p.site_id = m.site_id
	LEFT JOIN (SELECT y.item_id, y.site_id, min(y.valid_until) AS valid_until FROM dist.stock_pool_slot y GROUP BY 1, 2) o ON o.item_id = p.item_id AND o.site_id = p.site_id
	LEFT JOIN dist.item i ON i.item_id = p.item_id LEFT JOIN dist.site s ON s.site_id = p.site_id
	CROSS JOIN LATERAL (VALUES
		('a pool keeps the terms of its stock, supply and demand', p.cap <> c.cap OR p.phys IS DISTINCT FROM m.phys + m.outside OR p.book IS DISTINCT FROM m.book + m.in_flight OR p.low <> m.low OR p.due <> m.due OR p.inbound <> m.inbound
			OR (p.backorder_cap, p.safety, p.ruled) IS DISTINCT FROM (m.backorder, m.safety, m.ruled),
			jsonb_build_object('cap', p.cap, 'derived', c.cap, 'phys', p.phys, 'derived_phys', m.phys + m.outside, 'book', p.book, 'derived_book', m.book + m.in_flight, 'inbound', p.inbound, 'derived_inbound', m.inbound)),
		('a pool is looked at again when the first thing of it turns', COALESCE(least(p.valid_until, o.valid_until), 'infinity') > m.turns_at OR COALESCE(p.cap_until, 'infinity') > m.cap_until,
			jsonb_build_object('valid_until', least(p.valid_until, o.valid_until), 'turns_at', m.turns_at, 'cap_until', p.cap_until, 'cap_turns_at', m.cap_until))) v(invariant, wrong, detail)
	WHERE v.wrong;
	RETURN QUERY
	SELECT 'the gap of a stream is the first number that is missing', 'stock_stream', concat_ws('/', s.source, s.stream), jsonb_build_object('next_sequence', s.next_sequence, 'ahead', s.ahead::text, 'gap_from', s.gap_from)
	FROM dist.stock_stream s
	WHERE s.gap_from IS DISTINCT FROM CASE WHEN NOT isempty(s.ahead) THEN s.next_sequence END OR (s.gap_from IS NULL) <> (s.gap_since IS NULL) OR s.next_sequence < s.first_sequence OR lower(s.ahead) <= s.next_sequence;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_verify_stock() IS 'Verify handler: balances are the fold of their events; what is in flight follows from them; pools keep what their terms say, and until when; streams know what is missing. No row = fine.';

-- inventory_verify_promises does the proof of promises: counters are the sum of live reservations, nothing is promised beyond what
-- may be, what has ended has ended.
CREATE FUNCTION distsync_internal.inventory_verify_promises() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	at timestamptz := clock_timestamp();
BEGIN
	RETURN QUERY
	SELECT 'held and committed of a pool are the sum of its live reservations', 'stock_pool', i.sku || '/' || s.code,
		jsonb_build_object('held', x.held, 'committed', x.committed, 'reserved_held', x.r_held, 'reserved_committed', x.r_committed)
	FROM (SELECT item_id, site_id, COALESCE(p.held, 0) + COALESCE(o.held, 0) AS held, COALESCE(p.committed, 0) + COALESCE(o.committed, 0) AS committed, COALESCE(r.held, 0) AS r_held, COALESCE(r.committed, 0) AS r_committed
		FROM dist.stock_pool p
		LEFT JOIN (SELECT y.item_id, y.site_id, sum(y.held) AS held, sum(y.committed) AS committed FROM dist.stock_pool_slot y GROUP BY 1, 2) o USING (item_id, site_id)
		FULL JOIN (SELECT v.item_id, v.site_id, sum(v.quantity - v.committed) AS held, sum(v.committed - v.shipped) AS committed FROM dist.reservation v WHERE v.state IN ('held', 'committed') GROUP BY 1, 2) r
			USING (item_id, site_id)) x
	LEFT JOIN dist.item i ON i.item_id = x.item_id LEFT JOIN dist.site s ON s.site_id = x.site_id
	WHERE x.held <> x.r_held OR x.committed <> x.r_committed;
	RETURN QUERY
	SELECT 'nothing is promised beyond cap, backorder allowance and shortfall, and a shortfall has a cause', 'stock_pool', i.sku || '/' || s.code, to_jsonb(p)
	FROM dist.stock_pool p LEFT JOIN dist.item i ON i.item_id = p.item_id LEFT JOIN dist.site s ON s.site_id = p.site_id
	WHERE p.held + p.committed + p.dealt > p.cap + p.safety + p.backorder_cap + p.shortfall OR p.shortfall > greatest(0, p.held + p.committed + p.dealt - p.cap - p.backorder_cap);
	RETURN QUERY
	SELECT 'what is promised for a later date is covered by then, and by nothing that others are promised', 'reservation', d.reservation_id::text,
		jsonb_build_object('item', i.sku, 'site', s.code, 'kind', r.kind, 'promised_at', r.promised_at, 'covered_at', d.promised_at)
	FROM (SELECT DISTINCT v.item_id, v.site_id FROM dist.reservation v WHERE v.kind IN ('inbound', 'planned') AND v.state IN ('held', 'committed')) k
	JOIN dist.stock_pool p ON p.item_id = k.item_id AND p.site_id = k.site_id AND (p.valid_until IS NULL OR p.valid_until > at)
	CROSS JOIN LATERAL unnest(distsync_internal.inventory_later(k.item_id, k.site_id, at)) d
	JOIN dist.reservation r ON r.item_id = k.item_id AND r.reservation_id = d.reservation_id
	LEFT JOIN dist.item i ON i.item_id = k.item_id LEFT JOIN dist.site s ON s.site_id = k.site_id
	WHERE (r.kind, r.promised_at) IS DISTINCT FROM (d.kind, d.promised_at) AND d.kind <> 'planned'
		-- what is drawn from a share elsewhere leaves more here, which the pool does not hear of: the next refresh brings forward
		AND NOT (d.promised_at < r.promised_at AND EXISTS (SELECT FROM dist.stock_quota q WHERE q.item_id = k.item_id));
	RETURN QUERY
	SELECT 'a pool whose promises wait says so', 'stock_pool', i.sku || '/' || s.code, jsonb_build_object('waiting', p.waiting)
	FROM (SELECT DISTINCT v.item_id, v.site_id FROM dist.reservation v WHERE v.state IN ('held', 'committed') AND (v.kind IN ('inbound', 'planned') OR v.promised_at IS NULL OR v.promised_at > at)) k
	JOIN dist.stock_pool p ON p.item_id = k.item_id AND p.site_id = k.site_id AND NOT p.waiting LEFT JOIN dist.item i ON i.item_id = p.item_id LEFT JOIN dist.site s ON s.site_id = p.site_id
	WHERE distsync_internal.inventory_waits(p.item_id, p.site_id, at);
	RETURN QUERY
	SELECT 'what a pool has dealt out are the shares of its slots', 'stock_pool', i.sku || '/' || s.code, jsonb_build_object('slots', x.slots, 'dealt', x.dealt, 'shares', x.cap)
	FROM (SELECT item_id, site_id, COALESCE(p.slots, 0) AS slots, COALESCE(p.dealt, 0) AS dealt, COALESCE(o.cap, 0) AS cap FROM dist.stock_pool p
		FULL JOIN (SELECT y.item_id, y.site_id, sum(y.cap) AS cap FROM dist.stock_pool_slot y GROUP BY 1, 2) o USING (item_id, site_id)) x
	LEFT JOIN dist.item i ON i.item_id = x.item_id LEFT JOIN dist.site s ON s.site_id = x.site_id
	WHERE x.dealt <> x.cap OR x.slots = 0 AND x.cap > 0;
	RETURN QUERY
	SELECT 'no more is promised from a quota than it has', 'stock_quota', concat_ws('/', i.sku, q.scope_kind, q.scope_key), jsonb_build_object('quantity', q.quantity, 'promised', u.used)
	FROM (SELECT k.item_id, x.* FROM (SELECT DISTINCT y.item_id FROM dist.stock_quota y) k CROSS JOIN LATERAL distsync_internal.inventory_quota_uses(k.item_id, NULL, at) x OFFSET 0) u
	JOIN dist.stock_quota q ON q.item_id = u.item_id AND q.quota_id = u.quota_id LEFT JOIN dist.item i ON i.item_id = q.item_id
	WHERE u.used > q.quantity;
	RETURN QUERY
	SELECT 'what has left of a quota is no less than its reservations have shipped', 'stock_quota', concat_ws('/', i.sku, q.scope_kind, q.scope_key), jsonb_build_object('shipped', k.shipped, 'reservations', sum(u.shipped))
	FROM (SELECT r.item_id, r.site_id, x AS quota_id, sum(r.shipped) AS shipped FROM dist.reservation r CROSS JOIN LATERAL unnest(r.quota_ids) x WHERE r.quota_ids IS NOT NULL AND r.shipped > 0 GROUP BY 1, 2, 3) u
	JOIN dist.stock_quota q ON q.item_id = u.item_id AND q.quota_id = u.quota_id LEFT JOIN dist.item i ON i.item_id = q.item_id
	CROSS JOIN LATERAL (SELECT COALESCE(sum(s.quantity), 0) AS shipped FROM dist.stock_quota_shipped s WHERE s.item_id = u.item_id AND s.quota_id = u.quota_id AND s.site_id = u.site_id) k
	WHERE k.shipped < u.shipped GROUP BY i.sku, q.scope_kind, q.scope_key, q.quota_id, k.shipped;
	RETURN QUERY
	SELECT 'no more of a reservation is shipped than committed, and its state agrees', 'reservation', r.reservation_id::text, jsonb_build_object('state', r.state, 'quantity', r.quantity, 'committed', r.committed, 'shipped', r.shipped)
	FROM dist.reservation r
	WHERE r.shipped > r.committed OR r.committed > r.quantity
		OR r.state = 'committed' AND r.committed <> r.quantity OR r.state = 'shipped' AND r.shipped <> r.quantity
		OR (r.state IN ('held', 'committed')) <> (r.ended_at IS NULL) OR r.state IN ('released', 'expired', 'void') AND r.shipped > 0;
	RETURN QUERY SELECT * FROM distsync_internal.inventory_verify_demand();
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_verify_promises() IS 'Verify handler: counters, reservations and demand agree, nothing is oversold. No row = fine.';

-- inventory_verify_demand does the proof of demands against what was promised and shipped, and that kits are promised whole.
CREATE FUNCTION distsync_internal.inventory_verify_demand() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	at timestamptz := clock_timestamp();
BEGIN
	RETURN QUERY
	SELECT v.invariant, 'demand', d.demand_key, v.detail
	FROM dist.demand d
	LEFT JOIN (SELECT x.demand_key, x.item_id, x.site_id, sum(x.quantity) AS quantity, sum(x.shipped) AS shipped FROM dist.reservation x
		WHERE x.demand_key IS NOT NULL AND x.state IN ('held', 'committed', 'shipped') GROUP BY 1, 2, 3) p ON p.demand_key = d.demand_key AND p.item_id = d.item_id AND p.site_id = d.site_id
	CROSS JOIN LATERAL (SELECT COALESCE(p.quantity, 0), COALESCE(p.shipped, 0)) r(quantity, shipped)
	CROSS JOIN LATERAL (VALUES
		('what a demand says is reserved are its reservations', d.reserved <> r.quantity, jsonb_build_object('reserved', d.reserved, 'reservations', r.quantity)),
		('what has shipped of reservations has shipped of their demand', d.shipped < r.shipped, jsonb_build_object('shipped', d.shipped, 'reservations', r.shipped)),
		('a demand is open as long as something of it is owed', d.status <> distsync_internal.inventory_demand_status(d.reserved, d.ordered, d.allocated, d.shipped), jsonb_build_object('status', d.status, 'reserved', d.reserved, 'ordered', d.ordered, 'allocated', d.allocated, 'shipped', d.shipped))
	) v(invariant, wrong, detail)
	WHERE v.wrong;
	RETURN QUERY
	-- components ship one by one; and a hold that is over ends for each of them when somebody looks
	SELECT 'a kit is promised whole', 'reservation', k.kit_group::text, jsonb_agg(jsonb_build_object('reservation_id', k.reservation_id, 'state', k.state, 'kits', trim_scale(k.kits), 'committed', trim_scale(k.committed)) ORDER BY k.reservation_id)
	FROM (SELECT r.kit_group, r.kit_id, r.site_id, r.reservation_id, r.shipped, CASE WHEN o.over THEN CASE WHEN r.committed = 0 THEN 'expired' ELSE 'committed' END ELSE r.state END AS state,
			CASE WHEN o.over AND r.committed > 0 THEN r.committed ELSE r.quantity END / r.kit_per AS kits, r.committed / r.kit_per AS committed
		FROM dist.reservation r CROSS JOIN LATERAL (SELECT r.state = 'held' AND COALESCE(r.expires_at <= at, false)) o(over) WHERE r.kit_group IS NOT NULL) k
	GROUP BY k.kit_group
	HAVING count(DISTINCT (k.kit_id, k.site_id)) > 1 OR min(k.reservation_id) <> k.kit_group OR sum(k.shipped) = 0 AND count(DISTINCT (k.state, k.kits, k.committed)) > 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_verify_demand() IS 'Part of inventory_verify_promises(): demands say what their reservations say, and kits are promised whole. No row = fine.';

-- inventory_doctor does the look at streams: gaps and silence make physical numbers doubtful.
CREATE FUNCTION distsync_internal.inventory_doctor() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT 'stock stream without gap', s.gap_from IS NULL, format('%s/%s: %s', s.source, s.stream, CASE WHEN s.gap_from IS NULL THEN format('in order up to %s', s.next_sequence - 1) ELSE format('number %s is missing since %s', s.gap_from, s.gap_since) END),
		CASE WHEN s.gap_from IS NOT NULL THEN 'Ask the source to send the missing numbers again; until then physical answers fall back to the lower of both truths.' END, NULL::text
	FROM dist.stock_stream s WHERE s.next_sequence > 1 OR s.gap_from IS NOT NULL
	ORDER BY 3;
	RETURN QUERY
	SELECT 'stock stream not silent', s.last_received_at + s.max_lag >= clock_timestamp(), format('%s/%s: last heard of %s', s.source, s.stream, s.last_received_at),
		CASE WHEN s.last_received_at + s.max_lag < clock_timestamp() THEN 'Look at the sender, or let the stream be silent for longer.' END,
		CASE WHEN s.last_received_at + s.max_lag < clock_timestamp() THEN format('UPDATE dist.stock_stream SET max_lag = %L WHERE source = %L AND stream = %L', '1 day', s.source, s.stream) END
	FROM dist.stock_stream s ORDER BY 3;
	RETURN QUERY
	SELECT 'holds are swept', count(*) = 0, CASE WHEN count(*) = 0 THEN 'no pool waits' ELSE format('%s pools wait since %s', count(*), min(p.valid_until)) END, CASE WHEN count(*) > 0 THEN 'Start the clerk; answers are exact without it, but channels are not told.' END,
		CASE WHEN count(*) > 0 THEN 'SELECT distsync_internal.inventory_sweep(10000)' END
	FROM dist.stock_pool p WHERE p.valid_until IS NOT NULL AND p.valid_until < clock_timestamp() - interval '1 minute';
	RETURN QUERY
	SELECT 'slots of hot items are given back', count(*) = 0, CASE WHEN count(*) = 0 THEN 'no slots are idle' ELSE format('%s items have had slots without need since %s', count(*), min(h.changed_at)) END,
		CASE WHEN count(*) > 0 THEN 'Start the clerk; answers are exact without it, but releases and counts of these items are slower.' END, CASE WHEN count(*) > 0 THEN 'SELECT distsync_internal.inventory_sweep(10000)' END
	FROM (SELECT max(s.changed_at) AS changed_at FROM dist.stock_pool_slot s GROUP BY s.item_id, s.site_id) h
	WHERE h.changed_at < clock_timestamp() - distsync_internal.inventory_hot_for() - interval '1 minute';
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_doctor() IS 'Doctor handler: gaps and silence of stock streams, pools that wait for the clerk.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('verify', 'stock', 'distsync_internal.inventory_verify_stock'),
	('verify', 'promises', 'distsync_internal.inventory_verify_promises'),
	('doctor', 'inventory', 'distsync_internal.inventory_doctor');
