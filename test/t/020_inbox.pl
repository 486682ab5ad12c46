# What comes in, by the real workers and over real HTTP: a partner's queue is pulled, webhooks are pushed through the door, a crash
# in the middle loses nothing and applies nothing twice.
use strict;
use warnings FATAL => 'all';

use Digest::SHA qw(hmac_sha256_base64);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use HTTP::Tiny;
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Worker;

my $json = JSON::PP->new->utf8->canonical;
my $http = HTTP::Tiny->new(timeout => 30, max_redirect => 0);
my $secret = 'whsec_' . encode_base64('0123456789abcdef0123456789abcdef', '');
my $log = PostgreSQL::Test::Utils::tempdir;
my @running;

# launch starts a program of examples/partners and returns its address; it ends with this test, or when its lifeline is cut.
sub launch
{
    my ($program, @arguments) = @_;
    pipe(my $child_in, my $lifeline) or die "pipe: $!";
    pipe(my $ready, my $child_out) or die "pipe: $!";
    my $pid = fork() // die "fork: $!";
    if (!$pid)
    {
        close $lifeline;
        close $ready;
        open(STDIN, '<&', $child_in) or die $!;
        open(STDOUT, '>&', $child_out) or die $!;
        exec '/usr/bin/python3', "$FindBin::RealBin/../../examples/partners/$program.py", '--stdin-lifeline', @arguments;
        die "cannot run $program: $!";
    }
    close $child_in;
    close $child_out;
    my $hello = $json->decode(scalar <$ready>);
    push @running, [$pid, $lifeline, $ready];
    return "http://127.0.0.1:$hello->{port}";
}

# push_hook sends a webhook, signed unless the key is another one, and returns the status of the door.
sub push_hook
{
    my ($url, $id, $body, $key) = @_;
    my $at = time;
    my $mac = hmac_sha256_base64("$id.$at.$body", decode_base64(substr($key // $secret, 6)));
    $mac .= '=' while length($mac) % 4;
    return $http->post($url, { content => $body, headers => { 'content-type' => 'application/json', 'webhook-id' => $id,
        'webhook-timestamp' => $at, 'webhook-signature' => "v1,$mac" } })->{status};
}

sub currency { my ($n) = @_; return 'T' . chr(65 + int($n / 26)) . chr(65 + $n % 26) }

my $wms = launch('wms', '--queue-secret', $secret, '--token', 't0ken', '--log', "$log/wms");

# enqueue puts a message into the WMS's queue.
sub enqueue
{
    my (%message) = @_;
    my $answer = $http->post("$wms/do", { content => $json->encode({ action => 'enqueue', %message }) });
    die "$answer->{status} $answer->{content}" unless $answer->{success};
}

# every message is currency number n; all of it is in when this many are in an end state
sub all_in
{
    my ($node, $source, $n, $what) = @_;
    wait_for_sql($node, 'in', "SELECT count(*) = $n AND bool_and(state <> 'received') FROM sync.inbox WHERE source = '$source'", $what);
}

my $node = worker_node('inbox');
$node->start;
my $offset = -s $node->logfile;
with_extension($node, 'in');
workers_run($node, 'in', 'workers run');
$node->safe_psql('in', "INSERT INTO sync.system (code, kind) VALUES ('wms', 'wms'), ('erp', 'erp')");
$node->safe_psql('in', "SELECT distsync.add_source('$_', '$_', '{\"secret\": \"$secret\", \"entity\": \"currency\"}')") for 'wms', 'erp';

# pulled: pages of ten, woken by the commit of add_feed and by the clock of the feed, applied by the clerk
enqueue(message_id => "q$_", document => { currency => currency($_) }) for 0 .. 24;
enqueue(message_id => 'broken', raw => '{"currency": ');
enqueue(message_id => 'q25', document => { currency => currency(25) });
$node->safe_psql('in', "SELECT distsync.add_feed('wms', 'wms', '$wms/queue', '{\"token\": \"t0ken\", \"batch\": 10, \"every\": \"100 ms\", \"allow_http\": true, \"allow_private\": true}')");
all_in($node, 'wms', 27, 'the queue was pulled to its end');
is($node->safe_psql('in', "SELECT string_agg(DISTINCT state || ' ' || COALESCE(sqlstate, ''), ', ' ORDER BY state || ' ' || COALESCE(sqlstate, '')) FROM sync.inbox"),
    'applied , quarantined SD005', 'applied, and the broken one set aside');
is($node->safe_psql('in', "SELECT count(*) FROM dist.currency WHERE currency LIKE 'T__'"), 26, 'each currency is in the books');
is($node->safe_psql('in', "SELECT string_agg(message_id, ' ' ORDER BY applied_at) = string_agg(message_id, ' ' ORDER BY inbox_id) FROM sync.inbox WHERE source = 'wms'"), 't', 'in the order of the queue');

# pushed: the door's answers, and the clerk woken by the caller's commit
my $door = launch('door', '--dsn', $node->connstr('in'));
is(push_hook("$door/in/erp", 'p1', '{"currency": "TZA"}'), 202, 'accepted');
is(push_hook("$door/in/erp", 'p1', '{"currency": "TZA"}'), 200, 'again: duplicate');
is(push_hook("$door/in/erp", 'p1', '{"currency": "TZB"}'), 409, 'another body under its id: conflict');
is(push_hook("$door/in/erp", 'p2', '{"currency": "TZC"}', 'whsec_' . encode_base64('f' x 32, '')), 401, 'signed by somebody else');
is(push_hook("$door/in/nobody", 'p2', '{"currency": "TZC"}'), 404, 'unknown source');
is(push_hook("$door/in/erp", 'p3', '{"currency": "TZD", "name": "' . 'x' x 1100000 . '"}'), 413, 'too large');
is(push_hook("$door/in/erp", 'p4', "{\"currency\": \"\xff\"}"), 202, 'no UTF-8: taken, its signature holds');
all_in($node, 'erp', 5, 'all of them in an end state');
is($node->safe_psql('in', "SELECT string_agg(left(message_id, 6) || ' ' || state || ' ' || COALESCE(sqlstate, ''), ', ' ORDER BY inbox_id) FROM sync.inbox WHERE source = 'erp'"),
    'p1 applied , p1 quarantined SD010, p2 quarantined SD020, sha256 quarantined SD006, p4 quarantined SD007', 'one applied, all that was refused is kept');
is($node->safe_psql('in', "SELECT string_agg(reason, ' ' ORDER BY reason COLLATE \"C\") FROM (SELECT DISTINCT reason FROM sync.refused) r"),
    'conflict signature_invalid too_large unknown_source', 'every refusal is counted');

# a crash while messages stream in: the cursor, the messages and what they did are one commit each
enqueue(message_id => "q$_", document => { currency => currency($_) }) for 26 .. 225;
wait_for_sql($node, 'in', "SELECT count(*) > 60 FROM sync.inbox WHERE source = 'wms' AND state = 'applied'", 'some of them are in');
$node->stop('immediate');
$node->start;
all_in($node, 'wms', 227, 'after the crash the rest comes in');
is($node->safe_psql('in', "SELECT count(*) FROM dist.currency WHERE currency LIKE 'T__'"), 227, 'nothing is lost');
is($node->safe_psql('in', "SELECT count(*) FROM sync.inbox WHERE source = 'wms' AND (outcome -> 'applied' IS DISTINCT FROM '1' AND message_id <> 'broken')"), 0, 'nothing is applied twice');
is($node->safe_psql('in', 'SELECT * FROM distsync_internal.inbox_verify_messages()'), '', 'no invariant is broken');

# a queue that does not answer: noted, tried again, and the doctor tells
close $running[0][1];
waitpid($running[0][0], 0);
wait_for_sql($node, 'in', "SELECT failures > 0 AND last_error IS NOT NULL FROM sync.feed WHERE code = 'wms'", 'a queue that is gone is noted');
is($node->safe_psql('in', "SELECT count(*) FROM sync.inbox WHERE source = 'wms'"), 227, 'and nothing else happens');
stopped_cleanly($node, $offset, 'no crash of ours');
$node->stop;

for my $program (@running[1 .. $#running])
{
    close $program->[1];
    waitpid($program->[0], 0);
}
done_testing();
