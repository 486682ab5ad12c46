# A dump is complete, a restore fires no trigger, and the restored copy stays silent until it is told that it is the one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Chaos;
use DistSync::House;

my $chaos = DistSync::Chaos->start(secrets => [$SECRET]);
my $node = house_node('main');
$node->start;
furnish($node, 'shopdb', $chaos->url('/shop'));
my $order = $node->safe_psql('shopdb', q{SELECT order_number FROM distsync.submit_order('{"company":"CM","customer":"C6","currency":"USD","source":"shop","lines":[{"line":1,"item":"I1","quantity":"3","unit":"EA"}]}', 'k1')});
like($order, qr/\S/, 'there is an order');
ok(scalar $chaos->wait_for(1, containing => $order), 'which is told');
ok(until_true($node, 'shopdb', "SELECT count(*) = 0 FROM sync.delivery WHERE state = 'queued'"), 'everything is delivered')
    or diag($node->safe_psql('shopdb', 'SELECT * FROM sync.lane; SELECT d.*, a.* FROM sync.delivery d LEFT JOIN sync.attempt a USING (delivery_id) WHERE d.state = \'queued\'; SELECT * FROM distsync_internal.worker_status()'));
$node->safe_psql('shopdb', 'ALTER TABLE dist.item ADD COLUMN shelf text; CREATE INDEX item_shelf_idx ON dist.item (shelf); UPDATE dist.item SET shelf = sku');
$node->safe_psql('shopdb', "SELECT distsync.pause('backup')");
my $before = fingerprint($node, 'shopdb');

my $dump = $node->basedir . '/shopdb.dump';
for my $format (qw(custom directory plain))
{
    my $target = "$dump.$format";
    my $copy = "copy_$format";
    command_ok([ 'pg_dump', '-F', $format, '-f', $target, '-d', $node->connstr('shopdb') ], "pg_dump $format");
    $node->safe_psql('postgres', "CREATE DATABASE $copy");
    if ($format eq 'plain') { command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $target, $node->connstr($copy) ], 'psql restores it') }
    else { command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr($copy), $target ], 'pg_restore restores it') }
    is(fingerprint($node, $copy), $before, "$format: same content in every table");
    is($node->safe_psql($copy, "SELECT count(*) FROM pg_indexes WHERE indexname = 'item_shelf_idx'"), '1', "$format: a user's column and index are there");
    isnt($node->safe_psql($copy, 'SELECT distsync_internal.instance_state()'), 'active', "$format: the copy is silent");
    is($node->safe_psql($copy, 'SELECT count(*) FROM distsync.verify()'), '0', "$format: verify() finds nothing");
}

# the copy is not the one: new business there reaches nobody, until resume()
my $mark = scalar $chaos->requests;
$node->safe_psql('copy_custom', 'SELECT distsync.setup()');
my $other = $node->safe_psql('copy_custom', q{SELECT order_number FROM distsync.submit_order('{"company":"CM","customer":"C7","currency":"USD","source":"shop","lines":[{"line":1,"item":"I2","quantity":"1","unit":"EA"}]}', 'k2')});
like($node->safe_psql('copy_custom', 'SELECT distsync_internal.instance_state()'), qr/copy/, 'it says that it is a copy');
$node->safe_psql('copy_custom', "SELECT distsync_internal.worker_wake('both'); SELECT pg_sleep(1)");
is(scalar $chaos->requests, $mark, 'nothing was sent by the copy');
my $version = $node->safe_psql('copy_custom', 'SELECT incarnation FROM sync.instance');
like($node->safe_psql('copy_custom', 'SELECT distsync.resume()'), qr/active as "house", incarnation 2/, 'resume() adopts it under a new incarnation');
ok(until_true($node, 'copy_custom', "SELECT EXISTS (SELECT FROM sync.delivery d JOIN sync.event e USING (position) WHERE d.state = 'delivered' AND e.incarnation = 2)"), 'now it sends');
is($node->safe_psql('copy_custom', "SELECT count(*) FROM (SELECT message_id FROM sync.event GROUP BY message_id HAVING count(*) > 1) x"), '0', 'no message id is used twice');
$node->stop;
done_testing();
