# Under mixed load the house fails once at every point where it can: in the loops of the workers, and in the middle of each write that a commit is
# made of; by an error and by kill -9. Afterwards the oracle of the kill loop must find nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Chaos;
use DistSync::House;
use DistSync::Oracle;
use DistSync::Worker qw(with_failpoints);

my $seed = $ENV{SEED} // int(rand(1_000_000));
note("seed $seed");
my $chaos = DistSync::Chaos->start(secrets => [$SECRET]);
$chaos->program('/shop' => "status(503) probability 0.05 seed $seed; ok", '/queue' => 'status(200, {}, "{\"messages\":[],\"next_cursor\":\"1\",\"more\":false}")');
my $node = house_node('main', 'restart_after_crash' => 'on', 'distsync.lease' => "'1s'", 'distsync.courier_poll_interval' => "'200ms'", 'distsync.clerk_poll_interval' => "'200ms'");
$node->start;
furnish($node, 'shopdb', $chaos->url('/shop'));
with_failpoints($node, 'shopdb');
my $feed = $chaos->url('/queue');
$node->safe_psql('shopdb', "SELECT distsync.add_feed('queue', 'erp', '$feed', '{\"allow_http\":true,\"allow_private\":true,\"every\":\"100 milliseconds\"}')");

# the writes of SQL rooms fail through triggers of the test: the row is written, its commit is not
my @writes = ('sync.inbox INSERT', 'sync.dedupe INSERT', 'sync.inbox UPDATE', 'sync.idempotency INSERT', 'sync.outbox_customer INSERT', 'sync.outbox_item INSERT', 'sync.router_cursor UPDATE',
    'sync.event INSERT', 'sync.delivery INSERT', 'sync.delivery UPDATE', 'sync.attempt INSERT', 'sync.lane INSERT', 'sync.lane UPDATE', 'sync.lane DELETE', 'sync.feed UPDATE', 'dist.sales_order INSERT',
    'dist.order_line INSERT', 'dist.reservation INSERT', 'dist.stock_pool UPDATE', 'dist.stock_event INSERT', 'dist.stock_balance UPDATE', 'dist.payment INSERT', 'dist.open_item INSERT',
    'dist.credit_account UPDATE', 'dist.hold INSERT', 'dist.credit_decision INSERT');
$node->safe_psql('shopdb', "CREATE FUNCTION distsync_test.hit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \$\$ BEGIN PERFORM distsync_test.failpoint(TG_ARGV[0]); RETURN NULL; END \$\$");
my $number = 0;
for my $write (@writes)
{
    my ($table, $event) = split / /, $write;
    $number++;
    $node->safe_psql('shopdb', "CREATE TRIGGER zz_failpoint_$number AFTER $event ON $table FOR EACH STATEMENT EXECUTE FUNCTION distsync_test.hit('$write')");
}
my @points = ((map { "worker.$_" } qw(start launcher.before_start route.after claim.before_commit claim.after_commit submit.after record.before finish.before_commit
    feed_finish.before_commit finish.after_commit clerk.before_commit clerk.after_commit)), @writes);

my $load = DistSync::Oracle->new(node => $node, database => 'shopdb', chaos => $chaos, path => '/shop');
$load->begin(clients => 3, seed => $seed);

# crashes counts the children of the server that died by SIGKILL.
sub crashes { return scalar(() = slurp_file($node->logfile) =~ /was terminated by signal 9/g) }

# arm sets a point to act at its next hit; what starts a worker is hit when one is started.
sub arm
{
    my ($point, $action) = @_;
    until_true($node, 'shopdb', "SELECT true FROM distsync_test.failpoint_set('$point', '$action', nth => 1)", 30) or return 0;
    ask($node, 'postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'distsync courier'") if $point =~ /start$/;
    return 1;
}

for my $action (qw(error sigkill))
{
    for my $point (@points)
    {
        my $before = crashes();
        ok(arm($point, $action), "$point is armed") or next;
        my $happened = 0;
        for (1 .. 600)
        {
            if ($action eq 'sigkill') { $happened = crashes() > $before }
            else { $happened = (ask($node, 'shopdb', "SELECT acted FROM distsync_test.failpoint_list() WHERE name = '$point'") // '') eq '1' }
            last if $happened;
            select(undef, undef, undef, 0.05);
        }
        ok($happened, "$action at $point happens");
        until_true($node, 'shopdb', 'SELECT NOT pg_is_in_recovery()', 60) or BAIL_OUT('the server did not come back');
    }
}
$load->end;
$chaos->program('/shop' => 'ok');

# what an error of a test set aside is played again, as people would
ok(until_true($node, 'shopdb', "SELECT NOT EXISTS (SELECT FROM sync.inbox WHERE state = 'received')", 120), 'every message has reached an end');
my $aside = $node->safe_psql('shopdb', "SELECT count(*) FROM sync.inbox WHERE state = 'quarantined'");
is($node->safe_psql('shopdb', "SELECT count(*) FROM sync.inbox WHERE state = 'quarantined' AND sqlstate <> 'SD099'"), '0', "$aside are set aside, all for the error of the test");
$node->safe_psql('shopdb', "SELECT * FROM distsync.replay_inbox(NULL, '{\"sqlstate\":\"SD099\",\"dry_run\":false}')");
$load->settle;
$load->check;
$node->stop;
done_testing();
