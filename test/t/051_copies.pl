# A base-backup clone and a promoted standby behave: decisions work on a standby, nobody sends twice.
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
my $primary = house_node('primary');
$primary->start;
furnish($primary, 'shopdb', $chaos->url('/shop'));
$primary->backup('clone');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'clone', has_streaming => 1);
$standby->start;
my $submit = q{SELECT order_number FROM distsync.submit_order('{"company":"CM","customer":"C6","currency":"USD","source":"shop","lines":[{"line":1,"item":"I1","quantity":"3","unit":"EA"}]}', '%s')};
$primary->safe_psql('shopdb', sprintf($submit, 'k1'));
$primary->wait_for_catchup($standby, 'replay');

for my $decision (
    q{SELECT outcome, unit_price, net_amount, agreement, code FROM distsync.price('C6', 'I1', 5, 'EA', '2026-06-01', '{"company":"CM"}')},
    q{SELECT outcome, on_hand, atp FROM distsync.atp('I1', 5, 'EA', 'S1')},
    q{SELECT outcome, credit_limit, exposure, headroom FROM distsync.credit('C6', 100, 'USD', '{"company":"CM"}')})
{
    is($standby->safe_psql('shopdb', $decision), $primary->safe_psql('shopdb', $decision), "the standby answers as the primary: $decision");
}
my ($rc, $out, $err) = $standby->psql('shopdb', sprintf($submit, 'k2'));
isnt($rc, 0, 'a command is refused on a standby');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'distsync%'"), '0', 'no workers on a standby');

# a clone that was started as a server of its own, and has its own settings, as docs say: it has all else of the primary
my $clone = PostgreSQL::Test::Cluster->new('clone');
$clone->init_from_backup($primary, 'clone');
$clone->append_conf('postgresql.conf', "distsync.instance = ''\n");
$clone->start;
isnt($clone->safe_psql('shopdb', 'SELECT distsync_internal.instance_state()'), 'active', 'the clone knows that it is not the one')
    or diag($clone->safe_psql('shopdb', 'SELECT * FROM sync.instance'));
$clone->stop;

# promotion
ok(until_true($primary, 'shopdb', "SELECT count(*) = 0 FROM sync.delivery WHERE state = 'queued'"), 'the primary has sent everything');
$primary->wait_for_catchup($standby, 'replay');
$primary->stop('immediate');
$standby->promote;
ok(until_true($standby, 'shopdb', "SELECT distsync_internal.instance_state() LIKE 'promoted%'"), 'a promoted standby waits for people');
my $order = $standby->safe_psql('shopdb', sprintf($submit, 'k3'));
$standby->safe_psql('shopdb', 'SELECT pg_sleep(1)');
is(scalar(grep { ($_->{body} // '') =~ /\Q$order\E/ } $chaos->requests), 0, 'it sends nothing before resume()');
$standby->safe_psql('shopdb', 'SELECT distsync.resume()');
ok(scalar $chaos->wait_for(1, containing => $order), 'after resume() it sends');
is(verify_rows($standby, 'shopdb'), '', 'verify() finds nothing');

# with on_promote = continue it goes on by itself
$standby->append_conf('postgresql.conf', "distsync.on_promote = 'continue'\n");
$standby->reload;
is($standby->safe_psql('shopdb', 'SELECT distsync_internal.instance_state()'), 'active', 'active on the new timeline');
$standby->stop;
done_testing();
