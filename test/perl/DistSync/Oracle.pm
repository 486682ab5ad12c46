# DistSync::Oracle - mixed load through crashes, and what must be true after them, for TAP tests.
#
#   my $load = DistSync::Oracle->new(node => $node, database => 'shopdb', chaos => $chaos, path => '/shop');
#   $load->begin(clients => 4, seed => 42);
#   ...kill what you like...
#   $load->end;
#   $load->check;      nothing acknowledged is lost, nothing is applied twice, the partner heard all of it, in order
#
# Three witnesses are compared: what the clients were told (test/chaos/load.py writes it down), the books, and what the partner saw.
package DistSync::Oracle;

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use File::Spec;
use JSON::PP ();
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

use DistSync::House;

my $JSON = JSON::PP->new->utf8;
my $LOAD = File::Spec->rel2abs(File::Spec->catfile(dirname(__FILE__), '..', '..', 'chaos', 'load.py'));

# new remembers where everything is, and how much stock there was.
sub new
{
    my ($class, %self) = @_;
    my $self = bless { %self, clients => [] }, $class;
    $self->{base} = $self->sql("SELECT sum(quantity) FROM dist.stock_balance WHERE perspective = 'phys'");
    return $self;
}

sub sql { my ($self, $query) = @_; return $self->{node}->safe_psql($self->{database}, $query) }

# begin starts clients that order, pay, move stock and ask for prices until they are told to stop.
sub begin
{
    my ($self, %options) = @_;
    for my $number (1 .. $options{clients})
    {
        my $log = $self->{node}->basedir . "/load.$number.jsonl";
        my $pid = fork() // die "fork: $!";
        if (!$pid)
        {
            open(STDERR, '>', "$log.err") or die;
            exec '/usr/bin/python3', $LOAD, '--dsn', $self->{node}->connstr($self->{database}), '--log', $log, '--seed', $options{seed} * 10 + $number, '--secret', $SECRET or die;
        }
        push @{ $self->{clients} }, { pid => $pid, log => $log, ended => 0 };
    }
    return;
}

# end stops the clients, between two operations.
sub end
{
    my ($self) = @_;
    kill 'TERM', map { $_->{pid} } @{ $self->{clients} };
    for my $client (@{ $self->{clients} })
    {
        waitpid($client->{pid}, 0);
        $client->{ended} = 1;
        is($?, 0, 'client ended well') or diag(slurp_file("$client->{log}.err"));
    }
    return;
}

# DESTROY ends clients of a test that died: they never give up by themselves.
sub DESTROY
{
    my ($self) = @_;
    local ($?, $!, $@);
    kill 'KILL', map { $_->{pid} } grep { !$_->{ended} } @{ $self->{clients} };
    return;
}

# settle waits until nothing is on its way in or out.
sub settle
{
    my ($self) = @_;
    my ($node, $database) = @{$self}{qw(node database)};
    ok(until_true($node, $database, "SELECT NOT EXISTS (SELECT FROM sync.inbox WHERE state = 'received')", 120), 'every message is settled')
        or diag($self->sql("SELECT inbox_id, attempts, next_at, sqlstate, error FROM sync.inbox WHERE state = 'received' LIMIT 5"));
    ok(until_true($node, $database, "SELECT NOT EXISTS (SELECT FROM sync.delivery WHERE state = 'queued')
            AND (SELECT count(*) FROM sync.event WHERE event_type !~ '_changed\$|^price') >= (SELECT count(*) FROM sync.outbox WHERE kind = 'document' AND event_type !~ '^price')", 120), 'every event is routed and delivered')
        or diag($self->sql("SELECT * FROM sync.lane WHERE state <> 'idle' LIMIT 5"), $self->sql('SELECT * FROM distsync_internal.worker_status()'));
    return;
}

# acknowledged reads what the clients were told.
sub acknowledged
{
    my ($self) = @_;
    my %told = (order => {}, message => {}, n => 0);
    for my $client (@{ $self->{clients} })
    {
        for my $line (split /\n/, slurp_file($client->{log}))
        {
            my $entry = eval { $JSON->decode($line) } or next;
            next unless $entry->{what} eq 'acknowledged';
            $told{n}++;
            $told{order}{ $entry->{key} } = $entry->{answer}{order_number} if $entry->{kind} eq 'order';
            $told{message}{"m-$entry->{key}"} = $entry->{kind} if $entry->{kind} =~ /^(payment|stock)$/;
        }
    }
    return \%told;
}

# check_books compares what was acknowledged with what is there.
sub check_books
{
    my ($self) = @_;
    my $told = $self->acknowledged;
    my ($order, $message) = @{$told}{qw(order message)};
    cmp_ok($told->{n}, '>', 20, "$told->{n} operations were acknowledged");
    my %stored = map { $_ => 1 } split /\n/, $self->sql('SELECT order_number FROM dist.sales_order');
    is(join(' ', grep { !$stored{ $order->{$_} } } sort keys %$order), '', scalar(keys %$order) . ' acknowledged orders are there');
    my %twice;
    $twice{ $order->{$_} }++ for keys %$order;
    is(join(' ', grep { $twice{$_} > 1 } sort keys %twice), '', 'no two keys share an order');
    is($self->sql("SELECT key FROM sync.idempotency WHERE verb = 'submit_order' GROUP BY source, key HAVING count(*) > 1"), '', 'no key made two orders');
    is($self->sql("SELECT (SELECT count(*) FROM sync.idempotency WHERE verb = 'submit_order') || ' keys, ' || (SELECT count(*) FROM dist.sales_order) || ' orders'"),
        join(' ', (scalar keys %stored) . ' keys,', (scalar keys %stored) . ' orders'), 'as many orders as keys');
    my %applied = map { $_ => 1 } split /\n/, $self->sql("SELECT message_id FROM sync.inbox WHERE state = 'applied'");
    is(join(' ', grep { !$applied{$_} } sort keys %$message), '', scalar(keys %$message) . ' acknowledged messages are applied')
        or diag($self->sql("SELECT message_id, state, sqlstate, error FROM sync.inbox WHERE state <> 'applied' LIMIT 5"));
    is($self->sql("SELECT message_id FROM sync.inbox WHERE state = 'applied' GROUP BY source, message_id HAVING count(*) > 1"), '', 'none is applied twice');
    is($self->sql("SELECT (SELECT sum(quantity) FROM dist.stock_balance WHERE perspective = 'phys') - $self->{base} - (SELECT count(*) FROM sync.inbox WHERE entity = 'stock_event' AND state = 'applied')"),
        '0.000000', 'every stock message moved exactly one unit');
    is($self->sql("SELECT (SELECT count(*) FROM dist.payment) = (SELECT count(*) FROM sync.inbox WHERE entity = 'payment' AND state = 'applied')"), 't', 'as many payments as messages');
    return;
}

# check_partner compares what the partner heard: every event at least once, nothing else, the same bytes each time, in order for each entity.
sub check_partner
{
    my ($self) = @_;
    my (%heard, %digest, @changed, %version, @backwards);
    for my $request ($self->{chaos}->requests(path => $self->{path}))
    {
        next unless $request->{signature} eq 'valid' && ($request->{body} // '') ne '';
        my ($id, $sha) = @{$request}{qw(webhook_id body_sha256)};
        push @changed, $id if defined $digest{$id} && $digest{$id} ne $sha;
        $digest{$id} = $sha;
        next unless $request->{answer}{intent} eq 'acknowledged';
        $heard{$id}++;
        my $body = $JSON->decode($request->{body});
        my ($incarnation, $n) = split /\./, $body->{entityversion};
        my $key = $body->{subject};
        push @backwards, "$key $n after $version{$key}" if $heard{$id} == 1 && defined $version{$key} && $n < $version{$key};
        $version{$key} = $n if !defined $version{$key} || $n > $version{$key};
    }
    my %event = map { $_ => 1 } split /\n/, $self->sql('SELECT message_id FROM sync.event');
    my %due = map { $_ => 1 } split /\n/, $self->sql("SELECT message_id FROM sync.delivery WHERE state = 'delivered'");
    is(join(' ', grep { !$heard{$_} } keys %due), '', scalar(keys %due) . ' delivered events were heard');
    is(join(' ', grep { !$event{$_} } keys %heard), '', 'nothing was heard that did not happen');
    is(join(' ', @changed), '', 'a repeated message has the same bytes');
    is(join(', ', @backwards), '', 'each entity was told in order');
    is($self->sql("SELECT count(*) FROM sync.delivery WHERE state NOT IN ('delivered', 'superseded')"), '0', 'nothing is left over or dead');
    return;
}

# check does all of it, and asks the house itself.
sub check
{
    my ($self) = @_;
    $self->check_books;
    $self->check_partner;
    is($self->sql("SELECT count(*) FROM sync.outbox o WHERE o.kind = 'document' AND NOT EXISTS (SELECT FROM sync.event e WHERE e.message_id = o.message_id)"), '0', 'every event of a commit is in the stream');
    is($self->sql('SELECT count(*) - count(DISTINCT message_id) FROM sync.event'), '0', 'once');
    is(verify_rows(@{$self}{qw(node database)}), '', 'verify() finds nothing');
    return;
}

1;
