# What channels are told under fire: clients promise, give back, count, change rules, shares and what channels show; holds end and shares begin by
# time alone; courier, clients and the server are killed. Afterwards every channel was last told what is true, versions only grew, nothing was
# told twice in a row, and many changes were few events.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::House;

my $node = house_node('told', 'restart_after_crash' => 'on', 'distsync.clerk_poll_interval' => "'200ms'", 'distsync.courier_poll_interval' => "'200ms'", 'log_statement' => 'none', 'max_connections' => 40);
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION distsync CASCADE;
SELECT distsync.setup();
SELECT distsync.add_system('wms', 'wms'), distsync.add_system('erp', 'erp');
SELECT * FROM distsync.apply('currency', '{"currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply('unit', '{"unit":"EA"}', 'distsync');
SELECT * FROM distsync.apply('company', '{"code":"C","name":"c","currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"S1","name":"one","company":"C"},{"code":"S2","name":"two","company":"C"}]', 'distsync');
SELECT * FROM distsync.apply_all('channel', '[{"code":"WEB","name":"w"},{"code":"EDI","name":"e"}]', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"A","base_unit":"EA"},{"sku":"B","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"K","base_unit":"EA","kit":true,"components":[{"sku":"A","quantity":2},{"sku":"B","quantity":1}]}', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"1","kind":"count","sku":"A","site":"S1","quantity":50000,"event_at":"2024-01-01T00:00:00Z"},
	{"event_id":"2","kind":"count","sku":"A","site":"S2","quantity":100,"event_at":"2024-01-01T00:00:00Z"},{"event_id":"3","kind":"count","sku":"B","site":"S1","quantity":9000,"event_at":"2024-01-01T00:00:00Z"}]', 'wms');
SELECT * FROM distsync.apply('stock_event', '{"event_id":"4","kind":"count","sku":"A","site":"S1","quantity":49000,"event_at":"2024-01-01T00:00:00Z"}', 'erp');
SELECT * FROM distsync.apply_all('channel_item', '[{"channel":"WEB","sku":"A","mode":"physical"},{"channel":"WEB","sku":"B","buffer":5,"threshold":10},{"channel":"WEB","sku":"K"},
	{"channel":"EDI","sku":"A","mode":"book"},{"channel":"EDI","sku":"B","cap":4000},{"channel":"EDI","sku":"K","mode":"physical"}]', 'erp');
CREATE SEQUENCE told;
-- act does one thing that changes something, now or later
CREATE FUNCTION act(client integer, what integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	sku text := CASE client % 2 WHEN 0 THEN 'A' ELSE 'B' END;
	n bigint := nextval('told');
BEGIN
	CASE
	WHEN what <= 12 THEN PERFORM distsync.reserve(jsonb_build_array(jsonb_build_object('item', sku, 'quantity', 1 + n % 3, 'site', 'S1')), jsonb_build_object('holder', 'c' || client, 'ttl', CASE what % 3 WHEN 0 THEN '1 hour' ELSE '700 milliseconds' END));
	WHEN what <= 14 THEN PERFORM distsync.release_reservation(r.reservation_id) FROM dist.reservation r WHERE r.holder = 'c' || client AND r.state = 'held' AND r.expires_at > clock_timestamp() LIMIT 1;
	WHEN what = 15 THEN PERFORM distsync.apply('stock_event', jsonb_build_object('event_id', 'T' || n, 'kind', 'delta', 'sku', sku, 'site', CASE n % 2 WHEN 0 THEN 'S1' ELSE 'S2' END, 'quantity', 3 - n % 7, 'event_at', '2024-01-02T00:00:00Z'), 'wms');
	WHEN what = 16 THEN PERFORM distsync.apply('item_site', jsonb_build_object('sku', sku, 'site', 'S1', 'safety', n % 5), 'erp');
	WHEN what = 17 THEN PERFORM distsync.apply('channel_item', jsonb_build_object('channel', 'WEB', 'sku', sku, 'buffer', n % 4), 'erp');
	WHEN what = 18 THEN PERFORM distsync.apply('stock_quota', jsonb_build_object('sku', sku, 'scope_kind', 'channel', 'scope_key', 'EDI', 'quantity', 900 + n % 50, 'valid_from', clock_timestamp() + interval '500 milliseconds',
		'valid_to', clock_timestamp() + interval '1 second'), 'erp');
	WHEN what = 19 THEN UPDATE dist.site SET can_promise = n % 2 = 0 WHERE code = 'S2';
	ELSE UPDATE dist.stock_stream SET max_lag = CASE n % 2 WHEN 0 THEN '1 hour' ELSE '100 milliseconds' END::interval;
	END CASE;
EXCEPTION WHEN SQLSTATE 'SD001' OR SQLSTATE 'SD002' OR SQLSTATE 'SD041' OR SQLSTATE 'SD042' THEN
	NULL;
END
$$;
SQL

my $script = $node->basedir . '/act.sql';
append_to_file($script, "\\set what random(1, 20)\nSELECT act(:client_id, :what);\n");

# fire runs clients for some seconds, while something happens; they may lose their connections.
sub fire
{
    my ($seconds, $happens) = @_;
    my ($out, $err) = ('', '');
    my @running = map { IPC::Run::start(['pgbench', '-n', '-c', 2, '-T', $seconds, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres'], '>', \$out, '2>', \$err) } 1 .. 3;
    select(undef, undef, undef, $seconds / 2);
    $happens->();
    $_->finish for @running;
    return;
}

# pid_of is the process of a kind that has an activity of ours
sub pid_of { return ask($node, 'postgres', "SELECT min(pid) FROM pg_stat_activity WHERE backend_type = '$_[0]'") }

fire(4, sub { ask($node, 'postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type IN ('distsync courier', 'distsync clerk')") });
fire(4, sub { my $pid = pid_of('distsync courier'); kill 'KILL', $pid if $pid });
ok(until_true($node, 'postgres', 'SELECT NOT pg_is_in_recovery()', 60), 'the server is back after its courier was killed');
fire(4, sub { my $pid = ask($node, 'postgres', "SELECT min(pid) FROM pg_stat_activity WHERE application_name = 'pgbench'"); kill 'KILL', $pid if $pid });
ok(until_true($node, 'postgres', 'SELECT NOT pg_is_in_recovery()', 60), 'the server is back after a client was killed');
fire(4, sub { $node->stop('immediate'); rise($node) });
ok(until_true($node, 'postgres', 'SELECT NOT pg_is_in_recovery()', 60), 'the server is back after it was stopped at once');

# everything that time changes has changed, and has been told
my $settled = <<'SQL';
SELECT NOT EXISTS (SELECT FROM dist.stock_pool WHERE valid_until <= clock_timestamp() + interval '30 seconds') AND NOT EXISTS (SELECT FROM dist.stock_quota WHERE turns_at IS NOT NULL)
	AND NOT EXISTS (SELECT FROM distsync_internal.inventory_streams_doubted(clock_timestamp()))
	AND NOT EXISTS (SELECT FROM dist.item i WHERE distsync_internal.outbox_waiting('stock.atp_changed', i.item_id))
SQL
ok(until_true($node, 'postgres', $settled, 60), 'nothing waits to be told');
is($node->safe_psql('postgres', "SELECT c, p.item_code, p.told, p.would_be_told FROM unnest('{WEB,EDI}'::text[]) c, distsync.published_stock(c) p WHERE p.told IS DISTINCT FROM p.would_be_told"), '', 'channels were told what is true');
is($node->safe_psql('postgres', "SELECT count(*) FROM unnest('{WEB,EDI}'::text[]) c, distsync.published_stock(c) p"), '6', 'each of what they sell');
my $last = <<'SQL';
WITH last AS (SELECT DISTINCT ON (e.entity_key) e.entity_key, e.entity_version, convert_from(e.body, 'UTF8')::jsonb->'data' AS data FROM sync.event e WHERE e.event_type = 'stock.atp_changed' ORDER BY e.entity_key, e.position DESC)
SELECT i.sku, l.data, r.body FROM dist.item i CROSS JOIN LATERAL distsync_internal.inventory_render(ARRAY[i.item_id::text]) r JOIN last l ON l.entity_key = r.entity_key
WHERE r.key = i.item_id::text AND l.data - 'known_at' IS DISTINCT FROM r.body - 'known_at'
SQL
is($node->safe_psql('postgres', $last), '', 'the last event of each item says what is true');
is($node->safe_psql('postgres', "SELECT count(*) FROM (SELECT entity_version, lag(entity_version) OVER (PARTITION BY entity_key ORDER BY position) AS before, (convert_from(body, 'UTF8')::jsonb->'data') - 'known_at' AS said,
	lag((convert_from(body, 'UTF8')::jsonb->'data') - 'known_at') OVER (PARTITION BY entity_key ORDER BY position) AS said_before FROM sync.event WHERE event_type = 'stock.atp_changed') v
	WHERE v.entity_version <= v.before OR v.said = v.said_before"), '0', 'versions grow, and no event says what the one before said');
my ($markers, $events) = split /\|/, $node->safe_psql('postgres', "SELECT (SELECT count(*) FROM sync.outbox_item WHERE kind = 'state'), (SELECT count(*) FROM sync.event WHERE event_type = 'stock.atp_changed')");
cmp_ok($events, '<', $markers, "$markers markers were $events events, kits with them");
is(verify_rows($node, 'postgres'), '', 'verify() finds nothing');
$node->stop;
done_testing();
