# Where stock is written past the executor: what users add to the tables, errors in the middle, tables that change meanwhile, and calls that meet.
# Whatever happens, a call says and keeps what a statement would.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Worker qw(with_failpoints);

my $node = PostgreSQL::Test::Cluster->new('ways');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'distsync'
distsync.instance = 'lab'
distsync.clerk_poll_interval = '1h'
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION distsync CASCADE;
SELECT distsync.setup();
SELECT distsync.add_system('wms', 'wms');
SELECT * FROM distsync.apply('currency', '{"currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply('unit', '{"unit":"EA"}', 'distsync');
SELECT * FROM distsync.apply('company', '{"code":"C","name":"c","currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply('site', '{"code":"S1","name":"one","company":"C"}', 'distsync');
SELECT * FROM distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', 'I' || i, 'base_unit', 'EA')) FROM generate_series(1, 40) i), 'distsync');
SELECT * FROM distsync.apply_all('stock_event', (SELECT jsonb_agg(jsonb_build_object('event_id', 'c' || i, 'kind', 'count', 'sku', 'I' || i, 'site', 'S1', 'quantity', 1000, 'event_at', '2024-01-01T00:00:00Z')) FROM generate_series(1, 40) i), 'wms');
SELECT distsync.pause('test');
CREATE SEQUENCE told;
-- event is a document of a movement at S1; more is what else it says
CREATE FUNCTION event(sku text, quantity numeric, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT jsonb_build_object('event_id', 'T' || nextval('told'), 'kind', 'delta', 'sku', sku, 'site', 'S1', 'quantity', quantity, 'event_at', '2024-02-01T00:00:00Z') || more $$;
-- tell tells one, and says how it went
CREATE FUNCTION tell(sku text, quantity numeric, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT outcome FROM distsync.apply('stock_event', event(sku, quantity, more), 'wms') $$;
-- ask promises so much of an item
CREATE FUNCTION ask(sku text, quantity numeric, options jsonb DEFAULT '{}') RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT string_agg(outcome, ' ') FROM distsync.reserve(jsonb_build_array(jsonb_build_object('item', sku, 'quantity', quantity)), options) $$;
-- caught runs a statement and says with which error it failed, undone then
CREATE FUNCTION caught(statement text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	EXECUTE statement;
	RETURN 'none';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
CREATE FUNCTION item_id(sku text) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT i.item_id FROM dist.item i WHERE i.sku = item_id.sku $$;
CREATE VIEW broken AS SELECT * FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT * FROM distsync_internal.inventory_verify_promises();
SQL
with_failpoints($node, 'postgres');

sub sql { return $node->safe_psql('postgres', join("\n", @_)) }

# session is a client of its own; what it is asked without waiting goes on until answer() is called
sub session { return $node->background_psql('postgres', on_error_stop => 0) }
sub begin { my ($client, $sql) = @_; $client->{stdin} .= "$sql\n;\n"; $client->{run}->pump_nb; return }
# wait_for waits for a condition of the server
sub wait_for { my ($condition) = @_; return $node->poll_query_until('postgres', "SELECT $condition") || die "never: $condition" }

# columns of users stay what they were, also where a neighbour was looked for in vain
sql('ALTER TABLE dist.stock_balance ADD COLUMN u_note text, ADD COLUMN u_more text',
	q{; UPDATE dist.stock_balance SET u_note = 'mine ' || item_id, u_more = repeat('x', 40)});
sql(q{BEGIN; INSERT INTO dist.stock_balance (item_id, site_id, perspective, state, lot, owner_id, quantity, version, last_event_at, u_note, u_more)
	SELECT item_id, site_id, perspective, 'quality', repeat('l', 60), 0, 1, 1, now(), repeat('y', 100), 'of a row that never was' FROM dist.stock_balance WHERE item_id = item_id('I1'); ROLLBACK});
is(sql(q{SELECT string_agg(outcome, ' ') FROM distsync.apply_all('stock_event', jsonb_build_array(event('I1', 1), event('I1', 1, jsonb_build_object('state', 'quality', 'lot', repeat('l', 60)))), 'wms')}), 'applied applied', 'two states of an item, one of them new');
is(sql(q{SELECT state, quantity, u_note = 'mine ' || item_id, length(u_more) FROM dist.stock_balance WHERE item_id = item_id('I1') ORDER BY 1}), "available|1001.000000|t|40\nquality|1.000000||", 'the columns of users are as they were');

# a CHECK of a user that fails while it is made ready is asked the next time
sql('SELECT 1');
{
	my ($out, $err) = ('', '');
	$node->psql('postgres', <<'SQL', stdout => \$out, stderr => \$err, on_error_stop => 0);
SELECT ask('I2', 5), ask('I2', 5);
CREATE FUNCTION above_ten(numeric) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 > 10; END';
REVOKE EXECUTE ON FUNCTION above_ten(numeric) FROM PUBLIC;
ALTER TABLE dist.reservation ADD CONSTRAINT zz_user_chk CHECK (above_ten(quantity)) NOT VALID;
SELECT ask('I2', 5);
GRANT EXECUTE ON FUNCTION above_ten(numeric) TO PUBLIC;
SELECT ask('I2', 5);
SELECT ask('I2', 11);
ALTER TABLE dist.reservation DROP CONSTRAINT zz_user_chk;
SELECT ask('I2', 5);
SQL
	is($out, "reserved|reserved\nreserved\nreserved", 'promised where there is no CHECK, or it holds');
	like($err, qr/permission denied for function above_ten.*violates check constraint "zz_user_chk"/s, 'a CHECK is asked, also after it could not be made ready');
}

# somebody is at every slot; until more are dealt, another call takes all of them back and nearly all there was
sql(q{SELECT distsync.apply('item_site', '{"sku":"I4","site":"S1","safety":100}', 'distsync');
	SET distsync.hot_wait = 0; SET distsync.slots_max = 4; SELECT ask('I4', 1)});
is(sql(q{SELECT slots FROM dist.stock_pool WHERE item_id = item_id('I4')}), '4', 'a pool with slots');
{
	my @holder = map { session() } 1 .. 4;
	my $client = session();
	for my $holder (@holder) { $holder->query_safe(q{SET distsync.slots_max = 4; BEGIN; SELECT ask('I4', 1)}) }
	sql(q{SELECT distsync_test.failpoint_set('inventory.slots.busy', 'sleep', nth => 1, sleep_ms => 5000)});
	$client->query_safe(q{SET distsync.slots_max = 64});
	begin($client, q{SELECT 'late ' || ask('I4', 50)});
	wait_for(q{hits = 1 FROM distsync_test.failpoint_list() WHERE name = 'inventory.slots.busy'});
	$_->query_safe('COMMIT') for @holder;
	is(sql(q{SELECT outcome FROM distsync_internal.inventory_reserve_whole('[{"item":"I4","quantity":880}]', '{}')}), 'reserved', 'all but a few');
	is($client->query('SELECT 1'), "late short\n1", 'who found somebody at every slot and comes too late is short');
	is(sql(q{SELECT sum(quantity) FROM dist.reservation WHERE item_id = item_id('I4') AND state = 'held'}), '885.000000', 'nothing is oversold');
	sql(q{SELECT distsync_test.failpoint_set('inventory.slots.busy', 'off')});
	$_->quit for @holder, $client;
}

# whoever only sees to it that rows stay (FOR KEY SHARE), alone or with others, is in nobody's way
sql(q{SET distsync.hot_wait = 0; SET distsync.slots_max = 2; SELECT ask('I11', 1)});
{
	my @looker = map { session() } 1 .. 2;
	$_->query_safe(q{BEGIN; SELECT FROM dist.stock_pool_slot WHERE item_id = item_id('I11') FOR KEY SHARE; SELECT FROM dist.stock_pool WHERE item_id IN (item_id('I11'), item_id('I12')) FOR KEY SHARE}) for @looker;
	is(sql(q{SET statement_timeout = '60s'; SET distsync.slots_max = 2; SELECT ask('I11', 2), ask('I12', 3)}), 'reserved|reserved', 'from a slot and a row that others look at');
	is(sql(q{SELECT sum(y.held), p.held FROM dist.stock_pool_slot y JOIN dist.stock_pool p USING (item_id) WHERE item_id = item_id('I11') GROUP BY p.held}), '2.000000|1.000000', 'the slot has promised it');
	$looker[0]->query_safe('COMMIT');
	is(sql(q{SET statement_timeout = '60s'; SET distsync.slots_max = 2; SELECT ask('I11', 2), ask('I12', 3)}), 'reserved|reserved', 'that one looks at');
	$looker[1]->query_safe('COMMIT');
	# who wants nobody to change them, is
	$_->query_safe(q{BEGIN; SELECT FROM dist.stock_pool_slot WHERE item_id = item_id('I11') FOR SHARE}) for @looker;
	my $client = session();
	$client->query_safe('SET distsync.slots_max = 2');
	begin($client, q{SELECT 'then ' || ask('I11', 2)});
	wait_for("count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%then%'");
	$_->query_safe('COMMIT') for @looker;
	is($client->query('SELECT 1'), "then reserved\n1", 'who waited for two promises afterwards');
	is(sql(q{SELECT sum(quantity) FROM dist.reservation WHERE item_id = item_id('I11')}), '7.000000', 'and each once');
	$_->quit for @looker, $client;
}

# while somebody waits for a slot, supply that demand of others counts on does not come
sql(q{SELECT distsync.add_system('erp', 'erp');
	SELECT distsync.apply('supply', jsonb_build_object('sku', 'I13', 'site', 'S1', 'kind', 'purchase', 'reference', 'PO1', 'quantity', 995, 'expected_at', clock_timestamp() + interval '5 seconds'), 'erp');
	SELECT distsync.apply('demand', jsonb_build_object('demand_key', 'D1', 'sku', 'I13', 'site', 'S1', 'ordered', 995, 'required_at', clock_timestamp() + interval '1 hour'), 'erp');
	SET distsync.hot_wait = 0; SET distsync.slots_max = 2; SELECT ask('I13', 1)});
is(sql(q{SELECT cap, slots, cap_until IS NOT NULL FROM dist.stock_pool WHERE item_id = item_id('I13')}), '1000.000000|2|t', 'a pool that time will change');
{
	my @holder = map { session() } 1 .. 2;
	my $client = session();
	$_->query_safe(q{SET distsync.slots_max = 2; BEGIN; SELECT ask('I13', 1)}) for @holder;
	$client->query_safe('SET distsync.slots_max = 2');
	begin($client, q{SELECT 'late ' || ask('I13', 100)});
	wait_for("count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%late%'");
	wait_for(q{cap_until < clock_timestamp() - interval '10 milliseconds' FROM dist.stock_pool WHERE item_id = item_id('I13')});
	$_->query_safe('COMMIT') for @holder;
	is($client->query('SELECT 1'), "late short\n1", 'time has passed what it saw before it waited');
	is(sql(q{SELECT cap, sum(r.quantity) FROM dist.stock_pool p JOIN dist.reservation r USING (item_id) WHERE item_id = item_id('I13') GROUP BY cap}), '5.000000|3.000000', 'and no more is promised than is left');
	$_->quit for @holder, $client;
}

# a key that was committed after the snapshot of a transaction is nothing that it can judge
{
	my $old = session();
	$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM dist.item');
	is(sql(q{SELECT tell('I5', 1, '{"event_id":"raced"}')}), 'applied', 'told after an old snapshot');
	is($old->query_safe(q{SELECT caught($$SELECT tell('I5', 1, '{"event_id":"raced"}')$$)}), '40001', 'told again under the old snapshot');
	is($old->query_safe(q{SELECT caught($$SELECT * FROM distsync.apply('stock_event', event('I5', 1, '{"event_id":"raced"}'), 'wms', NULL, '{"on_error":"collect"}')$$)}), '40001', 'and so where faults are collected');
	is($old->query_safe(q{ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT tell('I5', 1, '{"event_id":"own"}'), tell('I5', 1, '{"event_id":"own"}'), tell('I5', 1, '{"event_id":"c5","kind":"count","quantity":1000,"event_at":"2024-01-01T00:00:00Z"}')}), 'applied|duplicate|duplicate', 'what it has told itself, or sees, it knows');
	$old->query_safe('COMMIT');
	$old->quit;
	is(sql(q{SELECT quantity FROM dist.stock_balance WHERE item_id = item_id('I5')}), '1002.000000', 'each counts once');
}

# who may not write does not
for my $act (q{tell('I5', 1)}, q{ask('I5', 1)})
{
	is((split /\n/, sql("BEGIN READ ONLY; SELECT caught(\$\$SELECT $act\$\$); ROLLBACK"))[0], '25006', "$act in a transaction that only reads");
}

# a trigger of a user that promises while somebody promises
sql(q{CREATE FUNCTION one_more() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$ BEGIN PERFORM ask('I6', 2), ask('I8', 1), tell('I6', 5); RETURN NULL; END $$; CREATE TRIGGER zz_one_more AFTER INSERT ON sync.idempotency FOR EACH ROW EXECUTE FUNCTION one_more()});
is(sql(q{SELECT ask('I6', 1, '{"idempotency_key":"outer"}')}), 'reserved', 'a promise within a promise');
is(sql(q{SELECT caught($$SELECT ask('I6', 1, '{"idempotency_key":"other"}') || 1 / 0$$), ask('I6', 1, '{"idempotency_key":"again"}')}), '22012|reserved', 'after an error, too');
is(sql(q{SELECT (SELECT sum(quantity) FROM dist.reservation WHERE item_id = item_id('I6')), p.held, p.cap FROM dist.stock_pool p WHERE item_id = item_id('I6')}), '6.000000|6.000000|1010.000000', 'each is kept once');
sql('DROP TRIGGER zz_one_more ON sync.idempotency');

# a column of a user whose type brings a default of its own
sql(q{CREATE DOMAIN u_short AS text DEFAULT 'short' NOT NULL; ALTER TABLE dist.reservation ADD COLUMN u_length u_short});
is(sql(q{SELECT ask('I9', 1)}), 'reserved', 'promised beside a column of a domain');
is(sql(q{SELECT u_length FROM dist.reservation WHERE item_id = item_id('I9')}), 'short', 'its default is there');
sql('ALTER TABLE dist.reservation DROP COLUMN u_length');

# partitions are counted anew where one is attached while we wait
{
	my ($holder, $client) = (session(), session());
	$holder->query_safe(q{BEGIN; SELECT FROM dist.stock_pool WHERE item_id = item_id('I10') FOR UPDATE});
	begin($client, q{SELECT 'then ' || ask('I10', 1, '{"holder":"attached"}')});
	wait_for("count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%attached%'");
	sql(map { "CREATE TABLE sync.audit_long_ago_$_ (LIKE sync.audit INCLUDING ALL); ALTER TABLE sync.audit ATTACH PARTITION sync.audit_long_ago_$_ FOR VALUES FROM ('200$_-01-01') TO ('200$_-02-01');" } 1 .. 6);
	$holder->query_safe('COMMIT');
	is($client->query('SELECT 1'), "then reserved\n1", 'promised');
	is(sql(q{SELECT count(*) FROM sync.audit WHERE entity_key = 'attached' AND at > now() - interval '1 day'}), '1', 'audited where it belongs');
	$_->quit for $holder, $client;
}

# a call that goes the whole way leaves nothing behind for each row
is(sql(q{CREATE FUNCTION memory() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts $$;
	CREATE TEMP TABLE grown AS SELECT n, (distsync.apply('stock_event', event('I14', 1, '{"updated_at":"2024-02-01T00:00:00Z"}'), 'wms')).outcome AS outcome, memory() AS bytes FROM generate_series(1, 300) n;
	SELECT count(*) FILTER (WHERE outcome = 'applied'), max(bytes) FILTER (WHERE n > 290) - max(bytes) FILTER (WHERE n BETWEEN 40 AND 60) < 1024 * 1024 FROM grown}), '300|t', 'memory does not grow with rows');

# a receipt that names a document looks for that one, however much supply its item ever had
sql(q{INSERT INTO dist.supply (item_id, site_id, source, kind, reference, quantity, received, expected_at, status)
	SELECT item_id('I15'), s.site_id, 'erp', 'purchase', 'PO' || g, 1, 1, now(), 'done' FROM dist.site s, generate_series(1, 3000) g; ANALYZE dist.supply});
is(sql(q{BEGIN; SELECT tell('I15', 1, '{"kind":"receive","reference":"R1"}'); SELECT COALESCE(sum(seq_tup_read + idx_tup_fetch), 0) < 100 FROM pg_stat_xact_user_tables WHERE relid = 'dist.supply'::regclass; COMMIT}), "applied\nt", 'no other is read');
is(sql(q{SELECT tell('I15', 1, '{"kind":"receive","reference":"PO7"}'); SELECT received FROM dist.supply WHERE reference = 'PO7'}), "applied\n2.000000", 'and that one is found');

is(sql('SELECT * FROM broken'), '', 'every invariant holds');

# a column that is replaced while a client looks the table up: from then on it reads the new one
{
	my ($owner, $client) = (session(), session());
	$owner->query_safe(q{BEGIN; ALTER TABLE dist.stock_pool RENAME COLUMN low TO low_old; ALTER TABLE dist.stock_pool ADD COLUMN low numeric(20,6) NOT NULL DEFAULT 0;
		UPDATE dist.stock_pool SET low = low_old - x.less, cap = cap - x.less, version = version + 1
		FROM (SELECT i.item_id, CASE i.sku WHEN 'I3' THEN 100 ELSE 0 END AS less FROM dist.item i) x WHERE x.item_id = stock_pool.item_id; ALTER TABLE dist.stock_pool DROP COLUMN low_old CASCADE});
	begin($client, q{SELECT 'first ' || outcome FROM distsync.atp('I3', 1, NULL, 'S1')});
	wait_for("count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%first%'");
	$owner->query_safe('COMMIT');
	is($client->query(q{SELECT 'second ' || atp FROM distsync.atp('I3', 1, NULL, 'S1')}), "first available\nsecond 900", 'a pool is read as the table is by then');
	$_->quit for $owner, $client;
}

$node->stop;
unlike(slurp_file($node->logfile), qr/was terminated by signal|PANIC|TRAP:/, 'the server did not crash');
done_testing();
