# A hot item under fire: clients promise from slots, commit, give back, let expire, count; backends and the server are killed. Nothing is
# oversold, and what is promised is what reservations say.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('hot');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'distsync'
distsync.instance = 'lab'
distsync.hot_wait = 0
distsync.slots_max = 8
max_connections = 60
log_statement = none
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
SELECT * FROM distsync.apply_all('item', '[{"sku":"HOT","base_unit":"EA"},{"sku":"LAST","base_unit":"EA"},{"sku":"WARM","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"1","kind":"count","sku":"HOT","site":"S1","quantity":3000,"event_at":"2024-01-01T00:00:00Z"},
	{"event_id":"2","kind":"count","sku":"LAST","site":"S1","quantity":700,"event_at":"2024-01-01T00:00:00Z"},
	{"event_id":"3","kind":"count","sku":"WARM","site":"S1","quantity":100000,"event_at":"2024-01-01T00:00:00Z"}]', 'wms');
CREATE SEQUENCE told;
-- mine: a hold of the client; another one of it may be at it, or time
CREATE FUNCTION mine(client integer) RETURNS bigint LANGUAGE sql VOLATILE AS $$
	SELECT reservation_id FROM dist.reservation WHERE holder = 'client ' || client AND state = 'held' ORDER BY random() LIMIT 1 $$;
-- act does one thing that a client may do; what the verbs refuse by their rules is no failure
CREATE FUNCTION act(client integer, what integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CASE
	WHEN what <= 2 THEN PERFORM distsync.commit_reservation(mine(client), 1, '{"keep_rest":true}');
	WHEN what <= 4 THEN PERFORM distsync.release_reservation(mine(client));
	WHEN what = 5 THEN PERFORM distsync.extend_reservation(mine(client), '1 hour');
	WHEN what = 6 THEN PERFORM distsync.release_reservation((SELECT reservation_id FROM dist.reservation WHERE holder = 'client ' || client AND state = 'committed' LIMIT 1), NULL, '{"void":true}');
	ELSE PERFORM distsync.apply('stock_event', jsonb_build_object('event_id', 'T' || nextval('told'), 'kind', 'delta', 'sku', 'HOT', 'site', 'S1', 'quantity', 1 - 2 * (client % 2), 'event_at', '2024-01-02T00:00:00Z'), 'wms');
	END CASE;
EXCEPTION WHEN SQLSTATE 'SD001' OR SQLSTATE 'SD041' OR SQLSTATE 'SD042' THEN
	NULL;
END
$$;
-- reality: what was promised beyond stock, from the reservations alone; a count never takes stock away from what is promised here
CREATE VIEW reality AS SELECT i.sku, b.quantity AS stock, COALESCE(r.live, 0) AS live, COALESCE(r.over, 0) AS over FROM dist.item i
	JOIN dist.stock_balance b USING (item_id)
	LEFT JOIN (SELECT item_id, sum(quantity - shipped) AS live, sum(quantity - shipped) FILTER (WHERE state = 'held' AND expires_at <= clock_timestamp()) AS over
		FROM dist.reservation WHERE state IN ('held', 'committed') GROUP BY item_id) r USING (item_id);
SQL

my $script = $node->basedir . '/mixed.sql';
append_to_file($script, <<'SQL');
\set what random(1, 20)
\set n random(1, 3)
\if :what > 7
SELECT outcome FROM distsync.reserve(('[{"item":"HOT","quantity":' || :n || '}]')::jsonb, jsonb_build_object('holder', 'client ' || :client_id, 'ttl', CASE WHEN :what > 14 THEN '300 milliseconds' ELSE '1 hour' END, 'commit', :what = 8));
\elif :what = 7
SELECT outcome FROM distsync.reserve('[{"item":"WARM","quantity":1},{"item":"HOT","quantity":1}]', jsonb_build_object('holder', 'client ' || :client_id, 'ttl', '1 hour'));
\else
SELECT act(:client_id, :what + (random() * 2)::integer);
\endif
SQL

# load starts 16 clients that never end by themselves.
sub load
{
	my ($file) = @_;
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start([ 'pgbench', '-n', '-f', $file, '-c', 16, '-j', 2, '-T', 600, '-h', $node->host, '-p', $node->port, '-U', $node->safe_psql('postgres', 'SELECT current_user'), 'postgres' ], '>', \$out, '2>', \$err);
	return { run => $run, err => \$err };
}

# promised is how many reservations there are.
sub promised { return $node->safe_psql('postgres', 'SELECT COALESCE(max(reservation_id), 0) FROM dist.reservation'); }

# wait_for waits until clients have made so many more promises.
sub wait_for
{
	my ($more) = @_;
	my $until = promised() + $more;
	$node->poll_query_until('postgres', "SELECT max(reservation_id) >= $until FROM dist.reservation") or die 'nobody promises';
	return;
}

# is_whole checks what everybody relies on.
sub is_whole
{
	my ($when) = @_;
	is($node->safe_psql('postgres', "SELECT invariant, entity_key, detail FROM distsync.verify() WHERE entity IN ('stock_pool', 'reservation', 'stock_balance', 'demand')"), '', "every invariant holds $when");
	is($node->safe_psql('postgres', 'SELECT sku, stock, live FROM reality WHERE live > stock'), '', "nothing is oversold $when");
	is($node->safe_psql('postgres', "SELECT r.sku, r.stock - r.live + r.over, a.atp FROM reality r, distsync.atp(r.sku) a WHERE a.atp <> r.stock - r.live + r.over AND r.over = 0"), '', "what may be promised is what is left $when");
	return;
}

my $fire = load($script);
wait_for(300);
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM distsync.hot_items() WHERE item = 'HOT' AND slots > 0"), 'the item has slots');
for my $shot (1 .. 8)
{
	wait_for(60);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgbench' ORDER BY random() LIMIT 1");
}
wait_for(100);
# the server dies with everybody in the middle of something
$node->stop('immediate');
IPC::Run::finish($fire->{run});
unlike(${ $fire->{err} }, qr/ERROR:  (?!.*terminat)/, 'no client had an error of its own');
unlike(slurp_file($node->logfile), qr/deadlock detected|PANIC/, 'nobody waited in a circle');
$node->start;
$node->poll_query_until('postgres', "SELECT distsync_internal.inventory_sweep(100) >= 0 AND NOT EXISTS (SELECT FROM dist.reservation WHERE state = 'held' AND expires_at <= clock_timestamp())") or die 'holds do not end';
is_whole('after a crash with slots');

# to the last unit, from slots and from the row: all of it is sold, and not one more
my $last = $node->basedir . '/last.sql';
append_to_file($last, "SELECT outcome FROM distsync.reserve('[{\"item\":\"LAST\",\"quantity\":1}]', '{\"holder\":\"last\",\"commit\":true}');\n");
my $rush = load($last);
$node->poll_query_until('postgres', "SELECT sum(quantity) >= 700 FROM dist.reservation WHERE holder = 'last'") or die 'it is not sold';
$node->safe_psql('postgres', "SELECT pg_sleep(0.5)");
$rush->{run}->signal('TERM');
IPC::Run::finish($rush->{run});
unlike(${ $rush->{err} }, qr/ERROR/, 'no client had an error');
is($node->safe_psql('postgres', "SELECT sum(quantity) FROM dist.reservation WHERE holder = 'last'"), '700.000000', 'exactly what there was is sold');
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'");
is_whole('after the rush');

# the clerk takes slots away where nobody asks any more
$node->append_conf('postgresql.conf', "distsync.hot_for = 1");
$node->reload;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM dist.stock_pool_slot'), 'nothing is hot for ever');
is_whole('when nothing is hot');
$node->stop;
done_testing();
