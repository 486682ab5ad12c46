# Who listens hears: NOTIFY from the courier and from the writer, id and type only; the stream is the truth behind it, also for a listener that
# was away, and also when somebody commits late.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Delivery;
use DistSync::House;

my $json = JSON::PP->new->utf8;
my $node = house_node('main', 'distsync.courier_poll_interval' => "'10min'");
$node->start;
my $lab = DistSync::Delivery->new(node => $node, database => 'lab', secret => $SECRET);

# a listener is a plain psql; heard returns the payloads that came on a channel, once there are so many
my $listener = $node->background_psql('lab', on_error_stop => 1);
$listener->query_safe("LISTEN distsync_$_") for qw(price stock credit order exception);
my %heard;
sub gather
{
    my $out = $listener->query_safe('SELECT 1');
    push @{ $heard{$1} }, $2 while $out =~ /Asynchronous notification "distsync_(\w+)" with payload "(.*)" received/g;
    return;
}
sub heard
{
    my ($channel, $n) = @_;
    for (1 .. 600) { gather(); last if @{ $heard{$channel} // [] } >= $n; select(undef, undef, undef, 0.05) }
    return @{ delete $heard{$channel} // [] };
}
# change commits a change of a party with a setting of notify, and returns the id of its event's message.
sub change
{
    my ($code, $name, $notify) = @_;
    return $lab->sql(($notify ? "SET distsync.notify = '$notify'; " : '') . "SELECT distsync.apply('party', '{\"code\":\"$code\",\"name\":\"$name\"}', 'erp') \\g /dev/null
        SELECT message_id FROM sync.outbox WHERE entity = 'party' AND entity_key = '$code' ORDER BY outbox_id DESC LIMIT 1");
}

my $id = change('C1', 'one');
my @payload = heard('credit', 1);
is_deeply([map { $json->decode($_) } @payload], [{ id => $id, type => 'party.changed' }], 'the courier rings: id and type, no more');
is($lab->sql("SELECT ring FROM sync.outbox WHERE message_id = '$id'"), 'courier', 'the row says who');
is($lab->sql("SELECT event_type || ' ' || entity_key || ' ' || (body -> 'data' ->> 'name') FROM distsync.events_since(NULL, '{\"entity\":\"party\"}') WHERE message_id = '$id'"), 'party.changed C1 one', 'the rest is in the stream when it rings');

# every domain has its channel
$lab->sql("SELECT distsync.apply_all('unit', '[{\"unit\":\"EA\"}]', 'erp'); SELECT distsync.apply('item', '{\"sku\":\"I1\",\"base_unit\":\"EA\"}', 'erp')");
like(join(' ', heard('stock', 1)), qr/"item\.changed"/, 'stock');
$lab->sql("SELECT distsync.apply('agreement', '{\"code\":\"LIST\",\"slot\":\"list\",\"currency\":\"USD\",\"assignments\":[{\"who_kind\":\"all\"}],\"rates\":[{\"what\":\"I1\",\"value\":\"10\"}]}', 'erp')");
like(join(' ', heard('price', 1)), qr/"price\.changed"/, 'price');
$lab->sql("SELECT distsync_internal.base_exception('test', 'listener', 'sync', 'info', NULL, NULL, NULL, '{}')");
like(join(' ', heard('exception', 1)), qr/"exception\.opened"/, 'exception');
$lab->sql("SELECT distsync_internal.base_emit('customer', 0, 'order.accepted', 'order', 'SO-1', '{}')");
like(join(' ', heard('order', 1)), qr/"order\.accepted"/, 'order');

# off: nothing rings, the stream has it all the same
my $quiet = change('C2', 'quiet', 'off');
my $loud = change('C2', 'loud');
is_deeply([map { $json->decode($_)->{id} } heard('credit', 1)], [$loud], 'off: nobody is told, and the next change rings again');
is($lab->sql("SELECT string_agg(body -> 'data' ->> 'name', ' ' ORDER BY position) FROM distsync.events_since(NULL, '{\"entity_key\":\"C2\"}')"), 'quiet loud', 'the stream has both');

# trigger: the writer rings at its commit; no courier is needed
$lab->sql("SELECT distsync.pause('the courier has a day off')");
$id = change('C3', 'one', 'trigger');
is_deeply([map { $json->decode($_)->{id} } heard('credit', 1)], [$id], 'trigger: the writer rings, without a courier');
$lab->sql("BEGIN; SET LOCAL distsync.notify = 'trigger'; SELECT distsync.apply('party', '{\"code\":\"C3\",\"name\":\"two\"}', 'erp'); ROLLBACK");
$lab->sql("SET distsync.notify = 'trigger'; SELECT distsync.apply('item', '{\"sku\":\"I2\",\"base_unit\":\"EA\"}', 'erp')");
like(join(' ', heard('stock', 1)), qr/"item\.changed"/, 'trigger: on every channel');
is(scalar @{ $heard{credit} // [] }, 0, 'what was rolled back rang nobody');
$lab->sql('SELECT distsync.resume()');
$lab->becomes("SELECT count(*) = 1 FROM sync.event WHERE message_id = '$id'", 'the courier routes it when he is back');
$id = change('C4', 'after');
is_deeply([map { $json->decode($_)->{id} } heard('credit', 1)], [$id], 'and does not ring again for what rang');

# a late committer: begun first, committed last; nobody waits for it, nobody misses it. Changes of master data would wait for each other
my $late = $node->background_psql('lab', on_error_stop => 1);
$late->query_safe("BEGIN; SELECT distsync_internal.base_emit('customer', 0, 'invoice.requested', 'invoice', 'LATE', '{}')");
my $early = change('EARLY', 'committed first');
$lab->becomes("SELECT count(*) = 1 FROM sync.event WHERE message_id = '$early'", 'who commits first is told first');
my $position = $lab->sql("SELECT next_position FROM distsync.events_since() ORDER BY position DESC LIMIT 1");
is($lab->sql("SELECT count(*) FROM distsync.events_since('$position')"), '0', 'a listener is up to date');
heard('credit', 1);
$late->query_safe('COMMIT');
like(join(' ', heard('credit', 1)), qr/invoice\.requested/, 'the late one rings');
is($lab->sql("SELECT string_agg(entity_key, ' ') FROM distsync.events_since('$position')"), 'LATE', 'and is behind the position');
$late->quit;

# a listener that comes back reads in pages, each event once, without gaps
my ($from, @seen) = ('NULL');
while (1)
{
    my @page = split /\n/, $lab->sql("SELECT next_position || ' ' || message_id FROM distsync.events_since($from, '{\"limit\":3}') ORDER BY position");
    last unless @page;
    push @seen, map { (split / /)[1] } @page;
    $from = "'" . (split / /, $page[-1])[0] . "'";
}
is(join(' ', @seen), $lab->sql("SELECT string_agg(message_id::text, ' ' ORDER BY position) FROM sync.event"), 'pages are the whole stream');
is($lab->sql('SELECT count(*) FROM distsync.events_since(\'latest\')'), '1', 'latest: where to start from now');

# a position that is not one of this stream is refused, not guessed at
for my $case (['e999999999', 'SD083'], ['nonsense', 'SD002'])
{
    my (undef, undef, $error) = $node->psql('lab', "\\set VERBOSITY sqlstate\nSELECT * FROM distsync.events_since('$case->[0]')");
    like($error, qr/\b$case->[1]\b/, "position $case->[0]: $case->[1]");
}

$listener->quit;
$node->stop;
done_testing();
