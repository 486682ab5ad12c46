\set SHOW_CONTEXT never
-- What the clerk looks for reads what is due and no more, however much is to come.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
INSERT INTO dist.currency (currency) VALUES ('USD') ON CONFLICT DO NOTHING;
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO dist.credit_account (code, customer_id, currency, due_at) SELECT 'CLERK-' || n, -n, 'USD', now() + interval '1 year' FROM generate_series(1, 500) n;
INSERT INTO dist.sales_order (customer_id, company_id, order_number, source, payer_id, currency, ordered_at, state, credit_state, answer_due_at, correlation_id)
SELECT -n, -1, 'CLERK-' || n, 'clerk', -n, 'USD', now(), 'accepted', 'none', now() + interval '1 year', gen_random_uuid() FROM generate_series(1, 500) n;
INSERT INTO dist.stock_pool (item_id, site_id, valid_until) SELECT -n, -1, now() + interval '1 year' FROM generate_series(1, 500) n;
INSERT INTO dist.credit_sweep (scope_kind, scope_key) VALUES ('customer', 'CLERK-NOBODY');
SET LOCAL session_replication_role = origin;
SET LOCAL enable_seqscan = off;
-- what is due by now is done before
DO $$ BEGIN WHILE distsync_internal.credit_clerk(50) > 0 LOOP END LOOP; END $$;
CREATE TEMP VIEW rows_read AS SELECT relname, idx_tup_fetch + seq_tup_read AS n FROM pg_stat_xact_user_tables WHERE schemaname = 'dist' AND relname IN ('credit_account', 'sales_order', 'stock_pool');
CREATE TEMP TABLE before AS TABLE rows_read;
SELECT distsync_internal.credit_clerk(1) < 2 AS credit, distsync_internal.credit_clerk_sweep(1) AS sweep, distsync_internal.order_clerk_unanswered(1) < 2 AS orders, distsync_internal.inventory_sweep(1) < 2 AS stock;
SELECT r.relname, r.n - b.n < 300 AS few FROM rows_read r JOIN before b USING (relname) ORDER BY 1;
ROLLBACK;
