# The courier pulls a partner's queue that misbehaves: every message exactly once, the cursor moves only with what was taken, one bad message
# holds up no good one, failures wait longer each time, and an answer counts only under the lease it was asked for.
use strict;
use warnings FATAL => 'all';

use Digest::SHA qw(hmac_sha256_base64);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Chaos;
use DistSync::Delivery;
use DistSync::House;

my $json = JSON::PP->new->utf8->canonical;
my $chaos = DistSync::Chaos->start;
my $node = house_node('main', 'distsync.courier_poll_interval' => "'10min'", 'distsync.clerk_poll_interval' => "'10min'");
$node->start;
my $lab = DistSync::Delivery->new(node => $node, database => 'lab', secret => $SECRET);
$lab->sql("SELECT distsync.add_source('queue', 'erp', '{\"secret\":\"$SECRET\"}')");

# message is an entry of the queue: unit number n, signed, by the wrong key if asked for.
sub message
{
    my ($n, $key) = @_;
    my ($id, $at, $body) = ("msg-$n", time, qq({"specversion":"1.0","id":"msg-$n","source":"erp","type":"unit","data":{"unit":"U$n"}}));
    my $mac = hmac_sha256_base64("$id.$at.$body", decode_base64(substr($key // $SECRET, 6)));
    $mac .= '=' while length($mac) % 4;
    return { id => $id, headers => { 'webhook-id' => $id, 'webhook-timestamp' => "$at", 'webhook-signature' => "v1,$mac" }, body_base64 => encode_base64($body, '') };
}

# page is a step of the partner's program: an answer of the queue; answer is one with any bytes.
sub answer { my ($code, $body, %more) = @_; return { do => 'status', args => [$code, {}, $body], %more } }
sub page { my ($cursor, $more, $messages, %step) = @_; return answer(200, $json->encode({ messages => $messages, next_cursor => $cursor, more => $more ? JSON::PP::true : JSON::PP::false }), %step) }
sub units { return $lab->sql("SELECT string_agg(unit, ' ' ORDER BY unit) FROM dist.unit") }

my $other = 'whsec_' . encode_base64('somebody else has this other key', '');
$chaos->program('/queue' => [
    page('c1', 1, [message(1), message(2)], times => 1),
    page('c2', 0, [message(3), message(4, $other), message(5)], times => 1),
    answer(500, 'ill', times => 2),
    page('c3', 1, [message(5), message(6)], times => 1),
    answer(200, '<html>maintenance</html>', times => 1),
    answer(200, '{"messages":[],"more":false}', times => 1),
    page('c4', 0, [message(7), { id => 'msg-8', body_base64 => '!!!' }], times => 1),
    page('c4', 0, [])]);
my $url = $chaos->url('/queue');
$lab->sql("SELECT distsync.add_feed('queue', 'queue', '$url', '{\"allow_http\":true,\"allow_private\":true,\"every\":\"100 milliseconds\",\"batch\":64,\"token\":\"t0ken\"}')");
$lab->becomes("SELECT cursor = 'c4' AND failures = 0 FROM sync.feed", 'the queue is read to its end', 120);
$lab->becomes("SELECT count(*) = 0 FROM sync.inbox WHERE state = 'received'", 'and all of it is settled');
is(units(), 'U1 U2 U3 U5 U6 U7', 'the good ones are applied, those behind bad ones too');
is($lab->sql("SELECT count(*) || ' ' || count(DISTINCT message_id) FROM sync.inbox WHERE state = 'applied'"), '6 6', 'each exactly once, although one came twice');
is($lab->sql("SELECT state || ' ' || sqlstate || ' ' || convert_from(body, 'UTF8') FROM sync.inbox WHERE message_id = 'msg-4'"),
    'quarantined SD020 ' . decode_base64(message(4)->{body_base64}), 'the one with a wrong signature is in quarantine with its bytes: nobody would send it again');
is($lab->sql("SELECT state || ' ' || sqlstate FROM sync.inbox WHERE message_id = 'msg-8'"), 'quarantined SD005', 'so is the one that could not be decoded');

my @pulls = $chaos->wait_for(9, path => '/queue');
my @asked = map { join '/', $_->{query} =~ /cursor=(\w+)&limit=(\d+)/ } @pulls;
is(join(' ', @asked[0 .. 8]), '0/64 c1/64 c2/64 c2/32 c2/16 c3/64 c3/32 c3/16 c4/64', 'the cursor moves with what was taken; who fails is asked for less');
is(scalar(grep { ($_->{headers}{authorization} // '') ne 'Bearer t0ken' } @pulls), 0, 'the token goes with every pull');
my @gap = map { ($pulls[$_]{mono_ns} - $pulls[$_ - 1]{mono_ns}) / 1e9 } 1 .. 8;
ok($gap[2] >= 1 && $gap[3] >= 2 && $gap[5] >= 1 && $gap[6] >= 2, 'after a failure there is a pause, longer each time') or diag("@gap");

# fencing: paused while a pull is out, so its answer counts for nothing
$lab->sql("SELECT distsync.set_feed_state('queue', 'paused')");
my $mark = $chaos->mark('fencing');
$chaos->program('/queue' => [page('c5', 0, [message(9)], delay => 3, times => 1), page('c6', 0, [message(9), message(10)], times => 1), page('c6', 0, [])]);
$lab->sql("SELECT distsync.set_feed_state('queue', 'active')");
$lab->becomes('SELECT lease IS NOT NULL FROM sync.feed', 'a pull is out');
$lab->sql("SELECT distsync.set_feed_state('queue', 'paused')");
is($lab->sql("SELECT lease IS NULL AND cursor = 'c4' FROM sync.feed"), 't', 'people pause the feed');
ok(scalar $chaos->wait_for(1, path => '/queue', since => $mark), 'the partner answers after that');
my $loops = $lab->sql("SELECT loops FROM distsync_internal.worker_status() WHERE kind = 'courier' AND database = 'lab'");
$lab->becomes("SELECT loops > $loops + 1 FROM distsync_internal.worker_status(), distsync_internal.worker_wake('courier') WHERE kind = 'courier' AND database = 'lab'", 'the courier has seen it');
is($lab->sql("SELECT cursor || ' ' || (SELECT count(*) FROM sync.inbox WHERE message_id = 'msg-9') FROM sync.feed"), 'c4 0', 'what the partner answers then is not taken');
$lab->sql("SELECT distsync.set_feed_state('queue', 'active')");
$lab->becomes("SELECT cursor = 'c6' FROM sync.feed", 'it goes on from where it was');
$lab->becomes("SELECT count(*) = 2 FROM sync.inbox WHERE message_id IN ('msg-9', 'msg-10') AND state = 'applied'", 'and nothing is missed');
is(units(), 'U1 U10 U2 U3 U5 U6 U7 U9', 'nor taken twice');

# a partner that is gone: the feed says so, and comes back by itself
$chaos->program('/queue' => 'reset(0)');
$lab->becomes('SELECT failures >= 1 AND last_error IS NOT NULL FROM sync.feed', 'a feed that fails says why');
$chaos->program('/queue' => [page('c7', 0, [message(11)], times => 1), page('c7', 0, [])]);
$lab->becomes("SELECT cursor = 'c7' AND failures = 0 AND last_error IS NULL FROM sync.feed", 'and is well again by itself');
is(verify_rows($node, 'lab'), '', 'verify() finds nothing');
$node->stop;
done_testing();
