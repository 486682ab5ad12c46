# pg_cron really runs the reconciliation that finds a planted difference; a standby can be watched like its primary.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'distsync,pg_cron'\ncron.database_name = 'postgres'\ncron.use_background_workers = on\n"
      . "distsync.instance = 'lab'\nmax_worker_processes = 16\n");
$node->start;

# without the extension pg_cron, and in another database than pg_cron's, schedule() says what to do
$node->safe_psql('postgres', 'CREATE EXTENSION distsync; SELECT distsync.setup()');
my ($rc, $out, $err) = $node->psql('postgres', 'SELECT distsync.schedule()');
like($err, qr/extension "pg_cron" is not installed in database "postgres".*HINT:\s+Run CREATE EXTENSION pg_cron/s, 'schedule() says that pg_cron is not there');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION distsync; SELECT distsync.setup()');
($rc, $out, $err) = $node->psql('other', 'SELECT distsync.schedule()');
like($err, qr/pg_cron works in database "postgres", not in "other"/, 'schedule() says that pg_cron works elsewhere');
my ($commands) = $err =~ /HINT:\s+In database "postgres" run: (.*;)/;
$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');
$node->safe_psql('postgres', $commands);
is($node->safe_psql('postgres', "SELECT string_agg(jobname, ', ' ORDER BY jobname) FROM cron.job WHERE database = 'other'"),
    'distsync: prices @other, distsync: stock @other, distsync: verify @other', 'what the hint says works when pasted');

# plant a difference; the job of every minute finds it
$node->safe_psql('postgres', <<'SQL');
INSERT INTO dist.currency (currency) VALUES ('USD');
INSERT INTO dist.unit (unit) VALUES ('EA');
INSERT INTO dist.company (code, name, currency) VALUES ('C1', 'One', 'USD');
INSERT INTO dist.site (code, company_id) SELECT 'W1', company_id FROM dist.company;
INSERT INTO dist.item (sku, base_unit) VALUES ('SKU1', 'EA');
INSERT INTO dist.stock_balance (item_id, site_id, perspective, state, quantity, last_event_at)
SELECT item_id, site_id, p, 'available', CASE p WHEN 'book' THEN 10 ELSE 7 END, now() FROM dist.item, dist.site, unnest(ARRAY['book', 'phys']) p;
UPDATE sync.reconcile_job SET schedule = '* * * * *' WHERE code = 'stock';
SQL
is($node->safe_psql('postgres', "SELECT string_agg(job || ' ' || outcome, ', ') FROM distsync.schedule()"),
    'distsync: history scheduled, distsync: prices scheduled, distsync: stock scheduled, distsync: verify scheduled', 'schedule() takes its jobs to pg_cron');
ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM distsync.exceptions() WHERE trace_key = 'stock:W1/SKU1/available' AND delta = 3)"),
    'pg_cron ran the reconciliation, which found the difference');
ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM cron.job_run_details d JOIN cron.job j USING (jobid) WHERE j.jobname = 'distsync: stock' AND j.database = 'postgres' AND d.status = 'succeeded')"),
    'and pg_cron calls it a success');
like($node->safe_psql('postgres', 'SELECT distsync.status()'), qr/ · reconcile stock \d\d:\d\d 1 of 1 differ · 1 exception/, 'status() tells it');
is($node->safe_psql('postgres', "SELECT ok FROM distsync.doctor() WHERE check_name = 'reconcile stock'"), 't', 'doctor() sees the job run');

# a standby answers whoever watches, and writes nothing
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
like($standby->safe_psql('postgres', 'SELECT distsync.status()'), qr/^standby · /, 'status() on a standby');
is($standby->safe_psql('postgres', 'SELECT live, ready, state FROM distsync.health()'), 't|t|standby', 'health() on a standby');
is($standby->safe_psql('postgres', "SELECT string_agg(check_name || ' ' || detail, '; ') FROM distsync.doctor() WHERE detail LIKE 'the check failed%'"), '', 'every check of doctor() runs on a standby');
like($standby->safe_psql('postgres', 'SELECT distsync.metrics_text()'), qr/^distsync_reconcile_differing\{job="stock"\} 1$/m, 'metrics_text() on a standby');
is($standby->safe_psql('postgres', "SELECT count(*) FROM distsync.metrics() WHERE name = 'distsync_metric_errors' AND value <> 0"), '0', 'every source of metrics runs on a standby');
is($standby->safe_psql('postgres', "SELECT count(*) FROM distsync.verify() WHERE invariant = 'verify.check_failed'"), '0', 'every invariant can be proved on a standby');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM distsync.exceptions()'), '1', 'exceptions() on a standby');
($rc, $out, $err) = $standby->psql('postgres', "SELECT distsync.reconcile('stock')");
like($err, qr/read-only transaction|during recovery/, 'reconcile() is refused on a standby');
$standby->stop;

# teardown() takes the jobs along
$node->safe_psql('postgres', 'SELECT distsync.teardown(); DROP EXTENSION distsync');
is($node->safe_psql('postgres', "SELECT count(*) FROM cron.job WHERE database = 'postgres'"), '0', 'teardown() takes the jobs out of pg_cron');
$node->stop;
done_testing();
