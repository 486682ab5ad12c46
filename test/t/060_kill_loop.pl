# kill -9 of the postmaster and of workers, again and again, under mixed load: nothing acknowledged is lost, nothing is applied twice, and
# verify() finds nothing. KILL_CYCLES sets how often (20 in make test, more in make soak); the seed is printed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use DistSync::Chaos;
use DistSync::House;

my $cycles = $ENV{KILL_CYCLES} // 20;
my $seed = $ENV{SEED} // int(rand(1_000_000));
srand($seed);
note("seed $seed, $cycles cycles");

my $chaos = DistSync::Chaos->start(secrets => [$SECRET]);
$chaos->program('/shop' => "status(503) probability 0.05 seed $seed; reset(0) probability 0.03 seed $seed; ok");
my $node = house_node('main', 'fsync' => 'on', 'restart_after_crash' => 'on', 'checkpoint_timeout' => "'30s'", 'distsync.lease' => "'5s'");
$node->start;
furnish($node, 'shopdb', $chaos->url('/shop'));
my $base = $node->safe_psql('shopdb', "SELECT sum(quantity) FROM dist.stock_balance WHERE perspective = 'phys'");

my $load = File::Spec->catfile($FindBin::RealBin, '..', 'chaos', 'load.py');
my @clients;
for my $number (1 .. 4)
{
    my $log = $node->basedir . "/load.$number.jsonl";
    my $pid = fork() // die "fork: $!";
    if (!$pid)
    {
        open(STDERR, '>', "$log.err") or die;
        exec '/usr/bin/python3', $load, '--dsn', $node->connstr('shopdb'), '--log', $log, '--seed', $seed * 10 + $number, '--secret', $SECRET or die;
    }
    push @clients, { pid => $pid, log => $log };
}

# victim chooses what is killed: the postmaster, or one of the workers (then the server restarts itself)
my %killed;
for my $cycle (1 .. $cycles)
{
    sleep(0.5 + rand(1.0));
    my $what = (qw(postmaster courier clerk))[ $cycle % 3 ];
    my $pid;
    if ($what ne 'postmaster')
    {
        my ($rc, $out) = $node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'distsync $what' LIMIT 1");
        $pid = $out if defined $out && $out =~ /^\d+$/;
        $what = 'postmaster' unless $pid;
    }
    $killed{$what}++;
    if ($what eq 'postmaster')
    {
        $node->kill9;
        for (1 .. 100) { last if $node->start(fail_ok => 1); sleep(0.1); }
    }
    else
    {
        kill 'KILL', $pid;
        until_true($node, 'shopdb', 'SELECT NOT pg_is_in_recovery()', 30) or BAIL_OUT('the server did not come back');
    }
}
note(join(', ', map { "$killed{$_} x $_" } sort keys %killed));

kill 'TERM', map { $_->{pid} } @clients;
for my $client (@clients)
{
    waitpid($client->{pid}, 0);
    is($?, 0, "client ended well") or diag(slurp_file("$client->{log}.err"));
}
$chaos->program('/shop' => 'ok');
ok(until_true($node, 'shopdb', "SELECT NOT EXISTS (SELECT FROM sync.inbox WHERE state = 'received')", 60), 'every message is settled');
ok(until_true($node, 'shopdb', "SELECT NOT EXISTS (SELECT FROM sync.delivery WHERE state = 'queued') AND (SELECT count(*) FROM sync.event) > 0", 120), 'every event is delivered')
    or diag($node->safe_psql('shopdb', "SELECT * FROM sync.lane WHERE state <> 'idle' LIMIT 5"));

# what was acknowledged
my $json = JSON::PP->new;
my (%order, %message, $acknowledged);
for my $client (@clients)
{
    for my $line (split /\n/, slurp_file($client->{log}))
    {
        my $entry = eval { $json->decode($line) } or next;
        next unless $entry->{what} eq 'acknowledged';
        $acknowledged++;
        $order{ $entry->{key} } = $entry->{answer}{order_number} if $entry->{kind} eq 'order';
        $message{"m-$entry->{key}"} = $entry->{kind} if $entry->{kind} =~ /^(payment|stock)$/;
    }
}
cmp_ok($acknowledged, '>', 20, "$acknowledged operations were acknowledged");
my %stored = map { $_ => 1 } split /\n/, $node->safe_psql('shopdb', 'SELECT order_number FROM dist.sales_order');
is(join(' ', grep { !$stored{ $order{$_} } } sort keys %order), '', scalar(keys %order) . ' acknowledged orders are there');
my %twice;
$twice{ $order{$_} }++ for keys %order;
is(join(' ', grep { $twice{$_} > 1 } sort keys %twice), '', 'no two keys share an order');
is($node->safe_psql('shopdb', "SELECT key FROM sync.idempotency WHERE verb = 'submit_order' GROUP BY source, key HAVING count(*) > 1"), '', 'no key made two orders');
is($node->safe_psql('shopdb', "SELECT (SELECT count(*) FROM sync.idempotency WHERE verb = 'submit_order') = (SELECT count(*) FROM dist.sales_order)"), 't', 'as many orders as keys');
my %applied = map { $_ => 1 } split /\n/, $node->safe_psql('shopdb', "SELECT message_id FROM sync.inbox WHERE state = 'applied'");
is(join(' ', grep { !$applied{$_} } sort keys %message), '', scalar(keys %message) . ' acknowledged messages are applied');
is($node->safe_psql('shopdb', "SELECT message_id FROM sync.inbox WHERE state = 'applied' GROUP BY source, message_id HAVING count(*) > 1"), '', 'none is applied twice');
is($node->safe_psql('shopdb', "SELECT (SELECT sum(quantity) FROM dist.stock_balance WHERE perspective = 'phys') - $base - (SELECT count(*) FROM sync.inbox WHERE entity = 'stock_event' AND state = 'applied')"),
    '0.000000', 'every stock message moved exactly one unit');
is($node->safe_psql('shopdb', "SELECT (SELECT count(*) FROM dist.payment) = (SELECT count(*) FROM sync.inbox WHERE entity = 'payment' AND state = 'applied')"), 't', 'as many payments as messages');

# what the partner heard: every event at least once, nothing else, the same bytes each time, in order for each entity
my (%heard, %digest, @changed, %version, @backwards);
for my $request ($chaos->requests(path => '/shop'))
{
    next unless $request->{signature} eq 'valid' && ($request->{body} // '') ne '';
    my ($id, $sha) = @{$request}{qw(webhook_id body_sha256)};
    push @changed, $id if defined $digest{$id} && $digest{$id} ne $sha;
    $digest{$id} = $sha;
    next unless $request->{answer}{intent} eq 'acknowledged';
    $heard{$id}++;
    my $body = $json->decode($request->{body});
    my ($incarnation, $n) = split /\./, $body->{entityversion};
    my $key = $body->{subject};
    push @backwards, "$key $n after $version{$key}" if $heard{$id} == 1 && defined $version{$key} && $n < $version{$key};
    $version{$key} = $n if !defined $version{$key} || $n > $version{$key};
}
my %event = map { $_ => 1 } split /\n/, $node->safe_psql('shopdb', 'SELECT message_id FROM sync.event');
my %due = map { $_ => 1 } split /\n/, $node->safe_psql('shopdb', "SELECT message_id FROM sync.delivery WHERE state = 'delivered'");
is(join(' ', grep { !$heard{$_} } keys %due), '', scalar(keys %due) . ' delivered events were heard');
is(join(' ', grep { !$event{$_} } keys %heard), '', 'nothing was heard that did not happen');
is(join(' ', @changed), '', 'a repeated message has the same bytes');
is(join(', ', @backwards), '', 'each entity was told in order');
is($node->safe_psql('shopdb', "SELECT count(*) FROM sync.delivery WHERE state NOT IN ('delivered', 'superseded')"), '0', 'nothing is left over or dead');
is(verify_rows($node, 'shopdb'), '', 'verify() finds nothing');
$node->stop;
done_testing();
