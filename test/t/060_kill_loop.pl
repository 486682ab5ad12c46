# kill -9 of the postmaster and of workers, again and again, under mixed load: nothing acknowledged is lost, nothing is applied twice, and
# verify() finds nothing. KILL_CYCLES sets how often (20 in make test, more in make soak); the seed is printed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use DistSync::Chaos;
use DistSync::House;
use DistSync::Oracle;

my $cycles = $ENV{KILL_CYCLES} // 20;
my $seed = $ENV{SEED} // int(rand(1_000_000));
srand($seed);
note("seed $seed, $cycles cycles");

my $chaos = DistSync::Chaos->start(secrets => [$SECRET]);
$chaos->program('/shop' => "status(503) probability 0.05 seed $seed; reset(0) probability 0.03 seed $seed; ok");
my $node = house_node('main', 'fsync' => 'on', 'restart_after_crash' => 'on', 'checkpoint_timeout' => "'30s'", 'distsync.lease' => "'1s'");
$node->start;
furnish($node, 'shopdb', $chaos->url('/shop'));
my $load = DistSync::Oracle->new(node => $node, database => 'shopdb', chaos => $chaos, path => '/shop');
$load->begin(clients => 4, seed => $seed);

# victim chooses what is killed: the postmaster, or one of the workers (then the server restarts itself)
my %killed;
for my $cycle (1 .. $cycles)
{
    sleep(0.5 + rand(1.0));
    my $what = (qw(postmaster courier clerk))[ $cycle % 3 ];
    my $pid;
    if ($what ne 'postmaster')
    {
        $pid = ask($node, 'postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'distsync $what' LIMIT 1");
        $pid = undef unless ($pid // '') =~ /^\d+$/;
        $what = 'postmaster' unless $pid;
    }
    $killed{$what}++;
    if ($what eq 'postmaster') { $node->kill9; rise($node) or BAIL_OUT('the server does not start') }
    else
    {
        kill 'KILL', $pid;
        until_true($node, 'shopdb', 'SELECT NOT pg_is_in_recovery()', 30) or BAIL_OUT('the server did not come back');
    }
}
note(join(', ', map { "$killed{$_} x $_" } sort keys %killed));

$load->end;
$chaos->program('/shop' => 'ok');
$load->settle;
$load->check;
$node->stop;
done_testing();
