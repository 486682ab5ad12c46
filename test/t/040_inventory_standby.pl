# Availability on a hot standby: the same answers as on the primary, to the instant; promises are refused by the server there.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->start;
$primary->safe_psql('postgres', <<'SQL');
CREATE EXTENSION distsync CASCADE;
SELECT distsync.setup();
SELECT distsync.add_system('erp', 'erp'), distsync.add_system('wms', 'wms');
SELECT * FROM distsync.apply('currency', '{"currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply('unit', '{"unit":"EA"}', 'distsync');
SELECT * FROM distsync.apply('company', '{"code":"C","name":"c","currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"S1","name":"one","company":"C","rank":1},{"code":"S2","name":"two","company":"C","rank":2}]', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"A","base_unit":"EA"}', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"1","kind":"count","sku":"A","site":"S1","quantity":10,"event_at":"2024-01-01T00:00:00Z"},
	{"event_id":"2","kind":"count","sku":"A","site":"S2","quantity":5,"event_at":"2024-01-01T00:00:00Z"}]', 'wms');
SELECT * FROM distsync.apply('supply', '{"kind":"purchase","reference":"P/1","sku":"A","site":"S1","quantity":20,"expected_at":"2999-01-01T00:00:00Z"}', 'erp');
SELECT * FROM distsync.apply('demand', '{"demand_key":"C/1/1","sku":"A","site":"S1","ordered":3}', 'erp');
SELECT * FROM distsync.reserve('[{"item":"A","quantity":2}]', '{"holder":"long","ttl":"1 hour"}');
SELECT * FROM distsync.reserve('[{"item":"A","quantity":1}]', '{"holder":"brief","ttl":"1 second"}');
SQL

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

# the brief hold ends although nobody sweeps it there
$standby->poll_query_until('postgres', "SELECT state = 'expired' FROM distsync.reservation_status((SELECT reservation_id FROM dist.reservation WHERE holder = 'brief'))") or die 'the hold does not end';
for my $query (
    "SELECT outcome, on_hand, projected, atp_book, atp_phys, atp, basis, valid_until, known_at FROM distsync.atp('A', 10)",
    "SELECT outcome, atp, available_at FROM distsync.atp('A', 25)",
    "SELECT supply, demand, projected, atp FROM distsync.atp_timeline('A', 'S1')",
    "SELECT jsonb_path_query_array(distsync.explain_atp('A'), '\$.sites[*].terms')",
    "SELECT outcome, site_id, base_quantity FROM distsync_internal.inventory_preview('[{\"ordinal\":1,\"item_id\":1,\"base_quantity\":8}]')",
    "SELECT * FROM distsync.stock_as_of()",
    "SELECT site, quantity FROM distsync.stock_as_of('A', NULL, '2023-12-31 23:59:59Z')",
    "SELECT count(*) FROM distsync.rebuild_stock(options => '{\"dry_run\":true}')",
    "SELECT count(*) FROM distsync.count_differences()",
    "SELECT state, quantity FROM distsync.reservation_status(NULL, '{\"holder\":\"long\"}')")
{
    is($standby->safe_psql('postgres', $query), $primary->safe_psql('postgres', $query), "the same on both: $query");
}
is($standby->safe_psql('postgres', "SELECT atp FROM distsync.atp('A')"), '10', 'ten may be promised');
my ($rc, $out, $err) = $standby->psql('postgres', "SELECT * FROM distsync.reserve('[{\"item\":\"A\"}]')");
like($err, qr/read-only transaction|during recovery/, 'a promise is refused there');

# and it follows
$primary->safe_psql('postgres', "SELECT * FROM distsync.reserve('[{\"item\":\"A\",\"quantity\":4}]', '{\"commit\":true}')");
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT atp FROM distsync.atp('A')"), '6', 'what is promised on the primary is gone on the standby');
$standby->stop;
$primary->stop;
done_testing();
