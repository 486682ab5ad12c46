-- stock_history.sql: more events beside stock.sql, until there are :events: changes of one unit up and one down by turns, with their balances.
\set ON_ERROR_STOP on
SET session_replication_role = replica;
SET synchronous_commit = off;
SELECT count(*) AS told FROM dist.stock_event \gset
CREATE TEMP TABLE change AS
SELECT n, 1 + n / 2 / :sites % :items AS item_id, 1 + n / 2 % :sites AS site_id, CASE WHEN n % 2 = 0 THEN 'book' ELSE 'phys' END AS perspective, 1 - 2 * (n / (2 * :sites * :items) % 2) AS quantity
FROM generate_series(0::bigint, :events - :told - 1) n;
INSERT INTO dist.stock_event (item_id, event_key, event_at, kind, perspective, site_id, state, quantity, source)
SELECT c.item_id, 'H-' || c.n, now() - interval '12 hours' + c.n * interval '10 milliseconds', 'delta', c.perspective, c.site_id, 'available', c.quantity, CASE c.perspective WHEN 'book' THEN 'bench-erp' ELSE 'bench-wms' END FROM change c;
UPDATE dist.stock_balance b SET quantity = b.quantity + c.quantity, last_event_at = c.event_at
FROM (SELECT item_id, site_id, perspective, sum(quantity) AS quantity, now() - interval '12 hours' + max(n) * interval '10 milliseconds' AS event_at FROM change GROUP BY 1, 2, 3) c
WHERE b.item_id = c.item_id AND b.site_id = c.site_id AND b.perspective = c.perspective AND b.state = 'available';
UPDATE dist.stock_pool p SET phys = b.phys, book = b.book, cap = least(b.phys, b.book) + p.low
FROM (SELECT item_id, site_id, sum(quantity) FILTER (WHERE perspective = 'phys') AS phys, sum(quantity) FILTER (WHERE perspective = 'book') AS book FROM dist.stock_balance GROUP BY 1, 2) b
WHERE p.item_id = b.item_id AND p.site_id = b.site_id;
RESET session_replication_role;
VACUUM ANALYZE dist.stock_event, dist.stock_balance, dist.stock_pool;
