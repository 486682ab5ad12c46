# Credit under fire: clients order, agree to offers, cancel, ship, bill, pay, bounce, claim, hold, let go, change limits and rules and answer for owners, of few accounts
# below two groups, all at once and at random, while backends and the server are killed. No command passes a limit, nothing stays held that fits,
# nothing that was acknowledged is lost or done twice, nobody waits in a circle: summed up from what clients were told (test/fire/credit_*.sql), and by
# verify(). FIRE_CLIENTS and FIRE_SECONDS make it longer (64 and 60 in make soak); the seed is printed.
use strict;
use warnings;
use DistSync::Fire;
use DistSync::House qw(rise);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $clients = $ENV{FIRE_CLIENTS} || 12;
my $seconds = $ENV{FIRE_SECONDS} || 20;
my $seed = $ENV{SEED} // int(rand(1_000_000));
srand($seed);
note("seed $seed, $clients clients, $seconds s");

# every eighth works in REPEATABLE READ
my $fire = DistSync::Fire->new(clients => $clients, seconds => $seconds, conf => "distsync.release_inline = 5\ntimezone = 'UTC'", parts => [map { "credit_$_" } qw(world judge clients readers)], pause => 0.05, old => sub { $_[0] % 8 == 0 });
my $node = $fire->{node};
$fire->begin;
my ($started, %killed) = (time);
my @shots = sort { $a <=> $b } map { rand($seconds) } 1 .. $seconds / 2;
my $crash = $seconds * .5;
while ((my $now = time - $started) < $seconds)
{
    if ($crash && $now > $crash)
    {
        $crash = 0;
        # the postmaster with all it has, as if the power had gone
        $node->kill9;
        rise($node) or BAIL_OUT('the server does not start');
        $fire->up;
        $killed{'server'}++;
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

# a small run on a slow machine may not have come to everything
my $never = <<'SQL';
SELECT v FROM unnest('{submit,shared,again,cancel,ship,shipment,invoice,payment,deposit,bounce,memo,dispute,limit,limits,status,rule,norule,hold,release,owned,booked,rejected,reply,read,look,days,day}'::text[]) v WHERE NOT EXISTS (SELECT FROM fire.told t WHERE t.verb = v)
SQL
for (1 .. 300)
{
    last if $node->safe_psql('postgres', $never) eq '';
    local $ENV{PGAPPNAME} = 'fire 1';
    $node->psql('postgres', "SELECT fire.$_(1)") for qw(submit again cancel ship bill pay bounce claim limits rule hold answer agree days day);
}

# what came to clients as an error: refusals by our codes, and the ends of backends (F0001: a start while the dead server is still on its way out); nothing else.
# An answer to our message that meets the end of its order is brought again by the courier
my (%refused, %other);
for (split /\n/, slurp_file($node->logfile))
{
    next unless /^\S+ \S+ \S+ \[\d+\] (.*?) ?([0-9A-Z]{5}) (ERROR|FATAL|PANIC):  (.*)/;
    my ($who, $code, $message) = ($1, $2, $4);
    if ($who =~ /^fire/ && $code =~ /^SD(002|005|010|060|061|070)$/ || $code eq '40001' && ($who eq 'fire old' || $message =~ /was given up while its answer came/)) { $refused{$code}++ }
    elsif ($code !~ /^(57P0[123]|F0001)$/) { $other{"$code $who: $message"}++ }
}
note('refused: ' . join(', ', map { "$refused{$_} x $_" } sort keys %refused));
is(join("\n", map { "$other{$_} x $_" } sort keys %other), '', 'nobody met an error that is no refusal');
unlike(slurp_file($node->logfile), qr/deadlock detected|PANIC|TRAP/, 'nobody waited in a circle');

# then the clerk comes to rest: nothing is due, no sweep is on its way, nothing goes on that waits for stock or for its turn. An offer waits for its
# customer, not for the clerk.
my $busy = <<'SQL';
SELECT 'due ' || distsync_internal.credit_clerk_next_due() WHERE distsync_internal.credit_clerk_next_due() <= clock_timestamp() + interval '2 seconds'
UNION ALL SELECT 'sweep ' || to_jsonb(s)::text FROM dist.credit_sweep s
UNION ALL SELECT 'waiting ' || a.code FROM dist.credit_account a WHERE a.waiting_from IS NOT NULL
UNION ALL SELECT 'to decide ' || o.order_number || ' from ' || o.redecide_at FROM dist.sales_order o WHERE o.state = 'held' AND o.redecide_at IS NOT NULL
UNION ALL SELECT 'offer of ' || o.order_number || ' until ' || f.lapses_at FROM dist.order_offer f JOIN dist.sales_order o ON o.customer_id = f.customer_id AND o.order_id = f.order_id WHERE f.state = 'open' AND f.lapses_at <= clock_timestamp() + interval '1 minute'
UNION ALL SELECT 'moved ' || m.order_id || '/' || m.line_no FROM dist.order_line_moved m
UNION ALL SELECT 'unanswered ' || distsync_internal.order_clerk_unanswered_due() WHERE distsync_internal.order_clerk_unanswered_due() <= clock_timestamp()
SQL

# rests waits until it has, and tells what is left otherwise.
sub rests
{
    my ($name) = @_;
    my $left;
    for (1 .. 240) { ($left = $node->safe_psql('postgres', $busy)) eq '' and last; sleep(0.5) }
    is($left, '', $name);
}
rests('the clerk comes to rest');
note($node->safe_psql('postgres', "SELECT string_agg(n || ' x ' || verb, ', ' ORDER BY n DESC) FROM (SELECT verb, count(*) AS n FROM fire.told GROUP BY verb) t"));
note($node->safe_psql('postgres', "SELECT string_agg(n || ' x ' || verb || ' ' || outcome, ', ' ORDER BY n DESC) FROM (SELECT verb, outcome, count(*) AS n FROM fire.decision GROUP BY 1, 2) t"));
is($node->safe_psql('postgres', $never), '', 'everything was done, and answered');
$node->safe_psql('postgres', 'REFRESH MATERIALIZED VIEW fire.booked; REFRESH MATERIALIZED VIEW fire.moved');
for my $wrong (split /\n/, $node->safe_psql('postgres', "SELECT c.oid::regclass || '|' || obj_description(c.oid) FROM pg_class c WHERE c.relnamespace = 'fire'::regnamespace AND c.relname LIKE 'wrong%' ORDER BY 1"))
{
    my ($view, $truth) = split /\|/, $wrong;
    is($node->safe_psql('postgres', "SELECT * FROM $view LIMIT 5"), '', $truth);
}
is($node->safe_psql('postgres', 'SELECT invariant, entity_key, detail FROM distsync.verify()'), '', 'every invariant holds');

# without rules, blocks and limits that end all of it is money alone: the clerk lets go of what fits, and what is left is left to the last cent
$node->safe_psql('postgres', "SELECT * FROM distsync.apply_all('credit_rule', (SELECT jsonb_agg(jsonb_build_object('code', code)) FROM dist.credit_rule), 'erp', NULL, '{\"operation\":\"deactivate\"}')") if $node->safe_psql('postgres', 'SELECT count(*) FROM dist.credit_rule');
$node->safe_psql('postgres', "SELECT * FROM distsync.apply_all('credit_account', (SELECT jsonb_agg(jsonb_build_object('code', code, 'status', 'open')) FROM fire.account), 'erp')");
rests('the clerk comes to rest again');
for my $view (qw(wrong_held wrong_over wrong_later wrong_sums wrong_parents)) { is($node->safe_psql('postgres', "SELECT * FROM fire.$view LIMIT 5"), '', "$view once more") }
is($node->safe_psql('postgres', 'SELECT invariant, entity_key, detail FROM distsync.verify()'), '', 'every invariant holds still');
is($node->safe_psql('postgres', "SELECT * FROM fire.last_dollar() WHERE (fits, too_much) <> ('approved', 'held')"), '', 'what is left is left to the last cent');
$node->stop;
done_testing();
