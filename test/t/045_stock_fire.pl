# Stock under fire: clients reserve, commit, give back, extend, ship, count, move, tell papers and feeds of few items, all at once and at random,
# while backends and the server are killed. No promise is lost, none made twice, nothing is oversold, nobody waits in a circle: summed up from what
# clients were told (test/fire), and by verify(). FIRE_CLIENTS, FIRE_SECONDS and FIRE_REQUESTS make it longer (64, 60 and 100000 in make soak); the seed is printed.
use strict;
use warnings;
use DistSync::Fire;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $clients = $ENV{FIRE_CLIENTS} || 12;
my $seconds = $ENV{FIRE_SECONDS} || 6;
my $requests = $ENV{FIRE_REQUESTS} || 1000;
my $seed = $ENV{SEED} // int(rand(1_000_000));
srand($seed);
note("seed $seed, $clients clients, $seconds s, $requests requests");

# every fourth deals items out to slots whatever they wait, the last of them works in REPEATABLE READ
my $fire = DistSync::Fire->new(clients => $clients, seconds => $seconds, conf => 'distsync.hot_for = 2', parts => [qw(world clients readers judge)], pause => 0.02,
    old => sub { $_[0] == $clients }, options => sub { $_[0] % 4 == 0 ? '-c distsync.hot_wait=0 -c distsync.slots_max=8' : '' });
my $node = $fire->{node};
$fire->begin;
my ($started, %killed) = (time);
my @shots = sort { $a <=> $b } map { rand($seconds) } 1 .. $seconds;
my @crashes = map { $seconds * $_ } $seconds >= 30 ? (.35, .7) : (.55);
while ((my $now = time - $started) < $seconds)
{
    if (@crashes && $now > $crashes[0])
    {
        shift @crashes;
        if (@crashes || $seconds < 30)
        {
            my $pid = $fire->victim or next;
            kill 'KILL', $pid;
            $killed{'backend by SIGKILL'}++;
            sleep(0.2);
            $fire->up;
        }
        else { $node->stop('immediate'); $node->start; $killed{'server'}++ }
        # it took its time: what is left of the load is as long as it was
        $started += time - $started - $now;
    }
    elsif (@shots && $now > $shots[0])
    {
        shift @shots;
        $killed{'backend'}++ if $fire->hit;
    }
    sleep(0.05);
}
$fire->cease;
note(join(', ', map { "$killed{$_} x $_" } sort keys %killed));

# many items in one call, in random order, in all modes, while stock moves: this is where circles would come from
my ($calls, $moves) = map { $node->basedir . "/$_.sql" } qw(calls moves);
append_to_file($calls, "SELECT fire.reserve(:client_id + 1, 2 + (random() * 4)::integer);\n");
append_to_file($moves, "SELECT fire.stock(:client_id + 1);\n");
my $many = "SELECT count(*) FROM fire.told WHERE verb IN ('reserve', 'refused') AND jsonb_array_length(asked->'lines') > 1";
my ($before, $each) = ($node->safe_psql('postgres', $many), int($requests * 1.25 / $clients) + 10);
my $all = $each * $clients;
{
    # they need not last, and are many
    local ($ENV{PGAPPNAME}, $ENV{PGOPTIONS}) = ('fire calls', '-c synchronous_commit=off');
    $node->command_checks_all([ 'pgbench', '-n', '-f', "$calls\@6", '-f', "$moves\@1", '-c', $clients, '-j', 2, '-t', $each, '--random-seed', $seed, $node->connstr('postgres') ], 0, [qr{actually processed: $all/$all}], [], 'every call was answered');
}
my $asked = $node->safe_psql('postgres', $many) - $before;
# a small run on a slow machine may not have come to everything
my $never = "SELECT v FROM unnest('{reserve,refused,commit,release,extend,event,supply,demand,order,item_site,stock_quota,read,look}'::text[]) v WHERE NOT EXISTS (SELECT FROM fire.told t WHERE t.verb = v)";
for (1 .. 300)
{
    last if $node->safe_psql('postgres', $never) eq '';
    local $ENV{PGAPPNAME} = 'fire calls';
    $node->psql('postgres', "SELECT fire.$_(1)") for qw(paper settle stock);
}
cmp_ok($asked, '>=', $requests, "$asked calls of several items were answered");

# what came to clients as an error: refusals by our codes, and the ends of backends; nothing else
my (%refused, %other);
for (split /\n/, slurp_file($node->logfile))
{
    next unless /^\S+ \S+ \S+ \[\d+\] (.*?) ?([0-9A-Z]{5}) (ERROR|FATAL|PANIC):  (.*)/;
    my ($who, $code, $message) = ($1, $2, $4);
    if ($who =~ /^fire/ && $code =~ /^SD(001|010|041|042)$/ || $code eq '40001' && $who eq 'fire old') { $refused{$code}++ }
    elsif ($code !~ /^57P0[123]$/) { $other{"$code $who: $message"}++ }
}
note('refused: ' . join(', ', map { "$refused{$_} x $_" } sort keys %refused));
is(join("\n", map { "$other{$_} x $_" } sort keys %other), '', 'nobody met an error that is no refusal');
unlike(slurp_file($node->logfile), qr/deadlock detected|PANIC|TRAP/, 'nobody waited in a circle');

# time alone changes nothing more: then everything that happened is told, and the sums must agree
$node->safe_psql('postgres', 'CALL fire.drain()');
# (the longest holds last ten minutes)
my $quiet = <<'SQL';
SELECT distsync_internal.inventory_sweep(1000) >= 0 AND NOT EXISTS (SELECT FROM dist.reservation WHERE state = 'held' AND expires_at < clock_timestamp() + interval '1 minute')
	AND NOT EXISTS (SELECT FROM dist.supply WHERE status = 'open' AND expected_at BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 minute')
	AND NOT EXISTS (SELECT FROM dist.demand WHERE status = 'open' AND required_at BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 minute')
SQL
for my $n (1 .. 900) { last if $node->safe_psql('postgres', $quiet) eq 't'; die 'holds do not end' if $n == 900; sleep(1) }
note($node->safe_psql('postgres', "SELECT string_agg(n || ' x ' || verb, ', ' ORDER BY n DESC) FROM (SELECT verb, count(*) AS n FROM fire.told GROUP BY verb) t"));
is($node->safe_psql('postgres', $never), '', 'everything was done, and answered');
cmp_ok($node->safe_psql('postgres', "SELECT count(DISTINCT kit_group) FROM dist.reservation WHERE kit_group IS NOT NULL"), '>', 5, 'kits were promised');
for my $wrong (split /\n/, $node->safe_psql('postgres', "SELECT c.oid::regclass || '|' || obj_description(c.oid) FROM pg_class c WHERE c.relnamespace = 'fire'::regnamespace AND c.relname LIKE 'wrong%' ORDER BY 1"))
{
    my ($view, $truth) = split /\|/, $wrong;
    is($node->safe_psql('postgres', "SELECT * FROM $view LIMIT 5"), '', $truth);
}
is($node->safe_psql('postgres', 'SELECT invariant, entity_key, detail FROM distsync.verify()'), '', 'every invariant holds');
is($node->safe_psql('postgres', "SELECT * FROM distsync.rebuild_stock(options => '{\"dry_run\":true}')"), '', 'made anew from zero, balances are the same');
$node->safe_psql('postgres', "SELECT fire.look(1)");
is($node->safe_psql('postgres', 'SELECT * FROM fire.last_of_all() l WHERE l.may IS NULL OR l.got <> l.may OR l.left_over <> 0'), '', 'who asks for more than there is gets exactly what may be promised');
is($node->safe_psql('postgres', 'SELECT invariant, entity_key, detail FROM distsync.verify()'), '', 'and then still');
$node->stop;
done_testing();
