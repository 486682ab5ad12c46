-- judge.sql: what must be true when all is over in t/045_stock_fire.pl, summed up from what clients were told, and from nothing that verify()
-- reads of the pools. Each view has a row for each thing that is wrong, and its comment says what must be true.
\set ON_ERROR_STOP 1

-- drain does the telling of all that waits, each call in a transaction of its own: the clerk is at the same pools.
CREATE PROCEDURE fire.drain() LANGUAGE plpgsql AS $$
BEGIN
	WHILE EXISTS (SELECT FROM fire.event e WHERE NOT e.told) LOOP
		PERFORM fire.tell(0, ARRAY(SELECT e.n FROM fire.event e WHERE NOT e.told ORDER BY random() LIMIT 50));
		COMMIT;
	END LOOP;
END
$$;

-- call is each call that was answered, once: what is told again under a key is the same call
CREATE VIEW fire.call AS SELECT DISTINCT ON (t.verb, COALESCE(t.key, t.id::text)) t.* FROM fire.told t WHERE t.verb IN ('reserve', 'commit', 'release', 'extend') ORDER BY t.verb, COALESCE(t.key, t.id::text), t.id;
-- promise is each reservation that clients were told of
CREATE VIEW fire.promise AS
	SELECT c.id, c.asked, p->>'item' AS sku, a->>'site' AS site, (a->>'ordinal')::integer AS ordinal, (p->>'reservation_id')::bigint AS reservation_id, (p->>'quantity')::numeric AS quantity, (a->>'expires_at')::timestamptz AS expires_at
	FROM fire.call c, jsonb_array_elements(c.answer) a, jsonb_array_elements(COALESCE(a->'detail'->'components', jsonb_build_array(jsonb_build_object('item', a->'item', 'reservation_id', a->'reservation_id', 'quantity', a->'detail'->'base_quantity')))) p
	WHERE c.verb = 'reserve' AND a->>'reservation_id' IS NOT NULL;
-- line is each line of a call that promised something, of a kit one for each component
CREATE VIEW fire.line AS
	SELECT c.id, l.n AS ordinal, COALESCE(p.sku, l.line->>'item') AS sku, (l.line->>'quantity')::numeric * COALESCE(p.per, CASE WHEN l.line->>'unit' = 'BX' THEN 12 ELSE 1 END) AS quantity, COALESCE(c.asked->'options'->>'mode', 'all_or_none') AS mode
	FROM fire.call c CROSS JOIN jsonb_array_elements(c.asked->'lines') WITH ORDINALITY l(line, n) LEFT JOIN fire.part p ON p.kit = l.line->>'item' WHERE c.verb = 'reserve';
-- ordered is each reservation of an order of the ERP, or of a line that it wants no more: it may lower them whenever it likes
CREATE VIEW fire.ordered AS SELECT r.reservation_id FROM dist.reservation r WHERE EXISTS (SELECT FROM fire.told t WHERE t.verb = 'order' AND split_part(r.demand_key, '/', 2) = t.asked->>'order_number' OR t.verb = 'demand' AND r.demand_key = t.asked->>'demand_key' AND t.asked->>'ordered' = '0');
-- taken is each reservation that somebody else got something of, as its holder was told
CREATE VIEW fire.taken AS
	WITH t AS (SELECT (x->>'reservation_id')::bigint AS reservation_id, a.reason FROM sync.audit a CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(a.after) WHEN 'array' THEN a.after ELSE '[]' END) x WHERE a.verb = 'reallocate' AND a.entity = 'item_site')
	SELECT * FROM t UNION SELECT k.reservation_id, t.reason FROM t JOIN dist.reservation r USING (reservation_id) JOIN dist.reservation k ON k.kit_group = r.kit_group;
-- state is a reservation after each answer about it
CREATE VIEW fire.state AS
	SELECT p.reservation_id, p.id, 'reserve' AS verb, p.asked, 1::numeric AS per, CASE WHEN p.expires_at IS NULL THEN 'committed' ELSE 'held' END AS state, p.quantity, CASE WHEN p.expires_at IS NULL THEN p.quantity ELSE 0 END AS committed, 0::numeric AS shipped, p.expires_at FROM fire.promise p
	UNION ALL SELECT (a->>'reservation_id')::bigint, c.id, c.verb, c.asked, COALESCE((a->'detail'->>'per_kit')::numeric, 1), a->>'state', (a->>'quantity')::numeric, (a->>'committed')::numeric, (a->>'shipped')::numeric, (a->>'expires_at')::timestamptz
	FROM fire.call c, jsonb_array_elements(c.answer) a WHERE c.verb <> 'reserve';
-- fact is each stock event that was taken
CREATE VIEW fire.fact AS SELECT t.id, t.key AS source, CASE t.key WHEN 'erp' THEN 'book' ELSE 'phys' END AS perspective, t.asked->>'event_id' AS event_id, t.asked->>'kind' AS kind, t.asked->>'sku' AS sku, t.asked->>'site' AS site,
		(t.asked->>'quantity')::numeric AS quantity, (t.asked->>'event_at')::timestamptz AS event_at, t.asked->>'reference' AS reference, t.asked AS doc
	FROM fire.told t WHERE t.verb = 'event' AND t.answer->>'outcome' = 'applied';

CREATE VIEW fire.wrong_promises AS
	SELECT p.reservation_id, p.sku, r.reservation_id AS found FROM fire.promise p FULL JOIN dist.reservation r ON r.reservation_id = p.reservation_id
	LEFT JOIN dist.item i ON i.item_id = r.item_id LEFT JOIN dist.site s ON s.site_id = r.site_id WHERE (p.reservation_id, p.sku, p.site) IS DISTINCT FROM (r.reservation_id, i.sku, s.code)
	UNION ALL SELECT p.reservation_id, min(p.sku), count(*) FROM fire.promise p GROUP BY 1 HAVING count(*) > 1;
COMMENT ON VIEW fire.wrong_promises IS 'every promise that was told is kept, and told once; nobody holds what nobody was told of';

CREATE VIEW fire.wrong_lines AS
	SELECT l.*, p.quantity AS promised FROM fire.line l LEFT JOIN (SELECT x.id, x.ordinal, x.sku, sum(x.quantity) AS quantity FROM fire.promise x GROUP BY 1, 2, 3) p USING (id, ordinal, sku)
	WHERE l.mode = 'all_or_none' AND p.quantity IS DISTINCT FROM l.quantity OR p.quantity > l.quantity
	UNION ALL SELECT t.id, 0, t.answer::text, 0, t.verb, 0 FROM fire.told t WHERE t.verb = 'refused' AND t.answer @? '$[*] ? (@.outcome != "short" && @.outcome != "refused")';
COMMENT ON VIEW fire.wrong_lines IS 'calls are atomic: all lines to the last digit, or none; taken up to never more than asked';

CREATE VIEW fire.wrong_steps AS
	WITH b AS MATERIALIZED (SELECT s.*, lag(s.quantity) OVER w AS b_quantity, lag(s.committed) OVER w AS b_committed, lag(s.shipped) OVER w AS b_shipped, lag(s.expires_at) OVER w AS b_expires_at FROM fire.state s WINDOW w AS (PARTITION BY s.reservation_id ORDER BY s.id))
	SELECT b.* FROM b WHERE b.shipped = b.b_shipped AND b.reservation_id NOT IN (SELECT o.reservation_id FROM fire.ordered o UNION SELECT t.reservation_id FROM fire.taken t)
	-- meanwhile what was held beside a committed part may have ended by time
	AND NOT EXISTS (SELECT FROM (VALUES (b.b_quantity), (CASE WHEN b.verb = 'release' AND b.b_expires_at IS NOT NULL AND b.b_committed > 0 THEN b.b_committed END)) h(quantity)
		-- of a kit of which something has shipped no more of a component is given back than has not
		CROSS JOIN LATERAL (SELECT LEAST(COALESCE((b.asked->>'part')::numeric * b.per, h.quantity - CASE WHEN b.asked->'options' ? 'void' THEN b.b_shipped ELSE b.b_committed END), CASE WHEN b.verb = 'release' THEN h.quantity - b.b_shipped END)) c(part)
		WHERE (b.quantity, b.committed) IS NOT DISTINCT FROM CASE
			WHEN b.verb = 'commit' THEN (CASE WHEN b.asked->'options' ? 'keep_rest' THEN h.quantity ELSE b.b_committed + c.part END, b.b_committed + c.part)
			WHEN b.verb = 'extend' THEN (h.quantity, b.b_committed)
			WHEN c.part = h.quantity THEN (h.quantity, 0::numeric)
			ELSE (h.quantity - c.part, b.b_committed - greatest(0, c.part - (h.quantity - b.b_committed))) END) AND b.b_quantity IS NOT NULL;
COMMENT ON VIEW fire.wrong_steps IS 'each commit, release, void and extension did to a reservation what it says: parts and rest are the whole';

CREATE VIEW fire.wrong_ends AS
	SELECT l.*, r.state AS r_state, r.quantity AS r_quantity, r.committed AS r_committed, r.shipped AS r_shipped FROM (SELECT DISTINCT ON (s.reservation_id) s.* FROM fire.state s ORDER BY s.reservation_id, s.id DESC) l JOIN dist.reservation r USING (reservation_id)
	WHERE l.reservation_id NOT IN (SELECT o.reservation_id FROM fire.ordered o UNION SELECT t.reservation_id FROM fire.taken t) AND NOT CASE WHEN l.state = 'committed' THEN r.state IN ('committed', 'shipped') AND (r.quantity, r.committed) = (l.quantity, l.committed) AND r.shipped >= l.shipped
		WHEN l.state <> 'held' THEN (r.state, r.quantity, r.committed, r.shipped) = (l.state, l.quantity, l.committed, l.shipped)
		WHEN r.state = 'held' THEN (r.quantity, r.expires_at) = (l.quantity, l.expires_at) AND r.committed - l.committed BETWEEN 0 AND r.shipped
		WHEN r.state = 'expired' THEN r.quantity = l.quantity AND l.committed + r.committed + r.shipped = 0 AND l.expires_at <= r.ended_at
		WHEN r.state IN ('committed', 'shipped') THEN r.quantity = r.committed AND r.committed BETWEEN l.committed AND l.quantity AND (l.expires_at <= clock_timestamp() OR r.shipped > 0)
		ELSE false END;
COMMENT ON VIEW fire.wrong_ends IS 'each reservation is as it was last told, but for time and shipments; what had ended has never changed';

CREATE VIEW fire.wrong_losses AS
	SELECT r.reservation_id, d.sku, r.kind, r.state, r.reason FROM dist.reservation r JOIN dist.item d ON d.item_id = r.item_id JOIN fire.item i ON i.sku = d.sku
	LEFT JOIN (SELECT t.reservation_id, array_agg(DISTINCT t.reason) AS reasons FROM fire.taken t GROUP BY 1) t ON t.reservation_id = r.reservation_id
	WHERE r.reason IS NOT NULL AND t.reservation_id IS NULL OR t.reservation_id IS NOT NULL AND (r.kind <> 'soft' OR i.clean AND t.reasons <> '{taken_over}');
COMMENT ON VIEW fire.wrong_losses IS 'only what is soft is taken, and told; and where stock never fails, only by who is more important';

CREATE VIEW fire.wrong_oversold AS
	SELECT i.sku, s AS site, f.received, f.shipped, r.shipped AS r_shipped, r.live FROM fire.item i, unnest(i.sites) s
	CROSS JOIN LATERAL (SELECT COALESCE(sum(x.quantity) FILTER (WHERE x.kind <> 'ship'), 0) AS received, COALESCE(sum(x.quantity) FILTER (WHERE x.kind = 'ship'), 0) AS shipped FROM fire.fact x WHERE x.sku = i.sku AND x.site = s AND x.perspective = 'phys') f
	CROSS JOIN LATERAL (SELECT COALESCE(sum(r.shipped), 0) AS shipped, COALESCE(sum(r.quantity - r.shipped) FILTER (WHERE r.state IN ('held', 'committed')), 0) AS live
		FROM dist.reservation r JOIN dist.item d ON d.item_id = r.item_id AND d.sku = i.sku JOIN dist.site e ON e.site_id = r.site_id AND e.code = s) r
	WHERE i.clean AND (r.shipped <> f.shipped OR f.shipped + r.live > f.received + i.backorder);
COMMENT ON VIEW fire.wrong_oversold IS 'nothing is oversold: what has shipped and what is promised is not more than what there ever was';

CREATE VIEW fire.wrong_events AS
	SELECT e.source, e.doc, t.applied, t.rejected FROM fire.event e
	LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE x.answer->>'outcome' = 'applied') AS applied, count(*) FILTER (WHERE x.answer->>'outcome' = 'rejected') AS rejected, count(*) FILTER (WHERE x.answer->>'outcome' NOT IN ('applied', 'rejected', 'duplicate')) AS other
		FROM fire.told x WHERE x.verb = 'event' AND x.asked->>'event_id' = e.doc->>'event_id') t ON true
	WHERE NOT e.told OR t.other > 0 OR t.applied + least(t.rejected, 1) <> 1 OR t.rejected > 0 AND e.doc->>'kind' <> 'reverse'
	UNION ALL SELECT s.source, to_jsonb(s), s.next_sequence, f.last FROM dist.stock_stream s JOIN fire.stream f USING (source) WHERE s.stream = 'fire' AND f.last > 0 AND (s.gap_from IS NOT NULL OR s.next_sequence <> f.last + 1);
COMMENT ON VIEW fire.wrong_events IS 'each event was taken once, however often it was told, and no stream has a gap when all is told';

CREATE VIEW fire.wrong_balances AS
	WITH fact AS MATERIALIZED (SELECT f.* FROM fire.fact f WHERE f.kind <> 'reverse' AND NOT EXISTS (SELECT FROM fire.fact u WHERE u.kind = 'reverse' AND u.source = f.source AND u.doc->>'reverses' = f.event_id)),
	leg AS MATERIALIZED (
		SELECT f.sku, f.site, f.perspective, COALESCE(f.doc->>'state', 'available') AS state, COALESCE(f.doc->>'lot', '') AS lot, CASE WHEN f.kind IN ('ship', 'transfer') THEN -f.quantity ELSE f.quantity END AS quantity, f.event_at, f.kind FROM fact f
		UNION ALL SELECT f.sku, COALESCE(f.doc->>'to_site', f.site), f.perspective, COALESCE(f.doc->>'to_state', CASE WHEN f.doc->>'state' = 'quality' AND f.doc->>'to_site' IS NULL THEN 'available' ELSE f.doc->>'state' END, 'available'),
			COALESCE(f.doc->>'lot', ''), f.quantity, f.event_at, f.kind FROM fact f WHERE f.kind = 'transfer'),
	sum AS (
		SELECT l.sku, l.site, l.perspective, l.state, l.lot, sum(l.quantity) AS quantity FROM leg l
		LEFT JOIN LATERAL (SELECT max(c.event_at) AS event_at FROM leg c WHERE c.kind = 'count' AND (c.sku, c.site, c.perspective, c.state, c.lot) = (l.sku, l.site, l.perspective, l.state, l.lot)) c ON true
		WHERE c.event_at IS NULL OR l.event_at >= c.event_at GROUP BY 1, 2, 3, 4, 5),
	kept AS (SELECT i.sku, s.code AS site, b.perspective, b.state, b.lot, b.quantity FROM dist.stock_balance b JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id))
	SELECT sku, site, perspective, state, lot, s.quantity AS told, k.quantity AS kept FROM sum s FULL JOIN kept k USING (sku, site, perspective, state, lot) WHERE COALESCE(s.quantity, 0) <> COALESCE(k.quantity, 0);
COMMENT ON VIEW fire.wrong_balances IS 'balances are what was told: the last count, and what moved since';

CREATE VIEW fire.wrong_demands AS
	SELECT COALESCE(d.demand_key, f.reference) AS demand_key, n.sku, d.shipped, f.quantity FROM (SELECT x.demand_key, i.sku, sum(x.shipped) AS shipped FROM dist.demand x JOIN dist.item i USING (item_id) GROUP BY 1, 2) d
	FULL JOIN (SELECT x.reference, x.sku, sum(x.quantity) AS quantity FROM fire.fact x WHERE x.kind = 'ship' AND x.perspective = 'phys' AND x.reference IS NOT NULL GROUP BY 1, 2) f ON f.reference = d.demand_key AND f.sku = d.sku
	CROSS JOIN LATERAL (SELECT COALESCE(d.sku, f.sku)) n(sku)
	WHERE COALESCE(d.shipped, 0) <> COALESCE(f.quantity, 0);
COMMENT ON VIEW fire.wrong_demands IS 'what has shipped of a demand is what was told of it, also before anybody wanted it';

CREATE VIEW fire.wrong_quotas AS
	SELECT q.scope_kind, q.scope_key, q.quantity, u.used FROM dist.stock_quota q JOIN dist.item i ON i.item_id = q.item_id
	CROSS JOIN LATERAL (SELECT COALESCE(sum(CASE WHEN r.state = 'held' AND r.expires_at <= clock_timestamp() THEN r.committed ELSE r.quantity END), 0) AS used FROM dist.reservation r
		-- what had left before it was promised takes nothing from a quota
		WHERE r.item_id = q.item_id AND r.state IN ('held', 'committed', 'shipped') AND r.ended_at IS DISTINCT FROM r.created_at AND CASE q.scope_kind
			WHEN 'channel' THEN r.channel_id = (SELECT c.channel_id FROM dist.channel c WHERE c.code = q.scope_key)
			WHEN 'customer' THEN r.customer_id = (SELECT p.party_id FROM dist.party p WHERE p.code = q.scope_key)
			ELSE r.channel_id IS NULL AND r.customer_id IS DISTINCT FROM (SELECT p.party_id FROM dist.party p WHERE p.code = 'P1') END) u
	WHERE u.used > q.quantity;
COMMENT ON VIEW fire.wrong_quotas IS 'nobody has more than his quota';

CREATE VIEW fire.wrong_history AS
	SELECT k.sku, k.site, k.known_at, k.stock, a.stock AS now FROM (SELECT x.* FROM fire.known x ORDER BY x.known_at DESC LIMIT 300) k
	CROSS JOIN LATERAL (SELECT jsonb_agg(to_jsonb(x) - 'known_at' ORDER BY x.perspective, x.state, x.lot) AS stock FROM distsync.stock_as_of(k.sku, k.site, NULL, jsonb_build_object('known_at', k.known_at)) x) a
	WHERE a.stock IS DISTINCT FROM k.stock;
COMMENT ON VIEW fire.wrong_history IS 'what was known then is answered again';

-- last_of_all does the asking for more than there is of each item: it gets exactly what may be promised, and then there is nothing left.
CREATE FUNCTION fire.last_of_all() RETURNS TABLE (sku text, may numeric, got numeric, left_over numeric) LANGUAGE plpgsql AS $$
BEGIN
	FOR sku IN SELECT i.sku FROM fire.item i LOOP
		SELECT a.atp INTO may FROM distsync.atp(sku) a;
		SELECT COALESCE(sum(r.quantity) FILTER (WHERE r.reservation_id IS NOT NULL), 0) INTO got FROM distsync.reserve(jsonb_build_array(jsonb_build_object('item', sku, 'quantity', 1000000)), '{"holder":"last","mode":"take_up_to"}') r;
		SELECT a.atp INTO left_over FROM distsync.atp(sku) a;
		RETURN NEXT;
	END LOOP;
END
$$;
