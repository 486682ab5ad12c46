# DistSync::Delivery - a database that tells partners of its parties, for TAP tests of delivery.
#
#   my $lab = DistSync::Delivery->new(node => $node, database => 'lab', secret => $secret);
#   $lab->endpoint('shop', $chaos->url('/shop'), timeout => '1 second');
#   $lab->tell('shop', 'C1', 'first name', 'second name');     one commit each; only endpoint shop wants them
#   $lab->settled('shop', 2, 'both are delivered');
#
# What is told is real: apply() changes a party, its event party.changed goes the whole way. A route takes what its endpoint's code begins.
package DistSync::Delivery;

use strict;
use warnings FATAL => 'all';

use JSON::PP ();
use Test::More;

use DistSync::House qw(until_true);

my $JSON = JSON::PP->new->utf8->canonical;

# new makes the database: the extension, an ERP that changes parties, a retry policy that does not keep tests waiting.
sub new
{
    my ($class, %self) = @_;
    my $self = bless { %self }, $class;
    $self->{node}->safe_psql('postgres', "CREATE DATABASE $self->{database}");
    $self->sql('CREATE EXTENSION distsync');
    $self->sql("SELECT distsync.setup(); SELECT distsync.add_system('erp', 'erp');
        SELECT distsync.apply('currency', '{\"currency\":\"USD\",\"minor_units\":2}', 'erp');
        INSERT INTO sync.retry_policy (code, schedule, retry_after_max) VALUES
            ('patient', array_fill('100 milliseconds'::interval, ARRAY[50]), '3 seconds'), ('tired', ARRAY['50 milliseconds', '50 milliseconds']::interval[], '1 hour')");
    return $self;
}

sub sql { my ($self, $query) = @_; return $self->{node}->safe_psql($self->{database}, $query) }
sub until { my ($self, $query, $seconds) = @_; return until_true($self->{node}, $self->{database}, $query, $seconds) }

# becomes waits until a query is true, and is a test; what the endpoint's lanes and tries look like is shown where it never is.
sub becomes
{
    my ($self, $query, $what, $seconds) = @_;
    return ok($self->until($query, $seconds), $what) || !diag(
        $self->sql('SELECT p.code, l.* FROM sync.lane l JOIN sync.endpoint p USING (endpoint_id) ORDER BY p.code, l.lane_key LIMIT 20'), "\n",
        $self->sql('SELECT p.code, p.state, d.delivery_id, d.state, a.* FROM sync.delivery d JOIN sync.endpoint p USING (endpoint_id) LEFT JOIN sync.attempt a USING (delivery_id) ORDER BY a.finished_at DESC NULLS FIRST LIMIT 20'), "\n",
        $self->sql('SELECT * FROM distsync_internal.worker_status()'));
}

# endpoint adds a system, its endpoint and a route for the parties whose code begins with the endpoint's. Options of the verbs, on_block of the route.
sub endpoint
{
    my ($self, $code, $url, %options) = @_;
    my $on_block = delete $options{on_block} // 'block';
    my $document = $JSON->encode({ secret => $self->{secret}, allow_http => JSON::PP::true, allow_private => JSON::PP::true, retry_policy => 'patient', timeout => '10 seconds', %options });
    $self->sql("SELECT distsync.add_system('$code', 'shop'); SELECT distsync.add_endpoint('$code', '$code', '$url', '$document');
        SELECT distsync.add_route('$code', '$code', 'party.changed', '{\"on_block\": \"$on_block\", \"filter\": \"\$.code starts with \\\"$code-\\\"\"}')");
    return;
}

# tell changes a party of an endpoint, once for each name, each in a commit of its own.
sub tell
{
    my ($self, $endpoint, $party, @names) = @_;
    $self->sql("SELECT distsync.apply('party', '{\"code\":\"$endpoint-$party\",\"name\":\"$_\"}', 'erp')") for @names;
    return;
}

# state is the state of each delivery of an endpoint, in order.
sub state
{
    my ($self, $endpoint) = @_;
    return $self->sql("SELECT string_agg(d.state, ' ' ORDER BY d.delivery_id) FROM sync.delivery d JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = '$endpoint'");
}

# settled waits until so many deliveries of an endpoint are delivered and none is left over.
sub settled
{
    my ($self, $endpoint, $n, $what) = @_;
    return $self->becomes("SELECT count(*) FILTER (WHERE d.state = 'delivered') = $n AND count(*) FILTER (WHERE d.state IN ('queued', 'parked')) = 0
        FROM sync.delivery d JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = '$endpoint'", $what);
}

# attempts is the verdicts of an endpoint's tries, in order; another expression over sync.attempt a instead if given.
sub attempts
{
    my ($self, $endpoint, $expression) = @_;
    $expression //= 'a.verdict';
    return $self->sql("SELECT string_agg(($expression)::text, ' ' ORDER BY a.finished_at, a.delivery_id, a.attempt_no) FROM sync.attempt a JOIN sync.delivery d USING (delivery_id) JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = '$endpoint'");
}

# names is what a partner acknowledged: the names in the bodies of the requests, in order.
sub names
{
    my (@requests) = @_;
    return join ' ', map { $JSON->decode($_->{body})->{data}{name} } grep { $_->{answer}{intent} eq 'acknowledged' } @requests;
}

1;
