# The courier against a partner that misbehaves in every way: what is committed arrives, in order for each entity, under one id and with the same
# bytes however often; what can't arrive is set aside, with the partner's reply, and goes on when people say so.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Chaos;
use DistSync::Delivery;
use DistSync::House;

my $json = JSON::PP->new->utf8->canonical;
my $chaos = DistSync::Chaos->start(secrets => [$SECRET]);
# what acts on connections concerns all of a server, so it has one of its own
my $far = DistSync::Chaos->start(secrets => [$SECRET]);
my $node = house_node('main', 'distsync.lease' => "'1s'", 'distsync.courier_poll_interval' => "'10min'", 'restart_after_crash' => 'on');
$node->start;
my $lab = DistSync::Delivery->new(node => $node, database => 'lab', secret => $SECRET);

# every fault of one request: the next try is fine, and what came twice was the same
my %fault = (
    ok => ['ok', ''], unavailable => ['status(503) times 2; ok', 'retry retry'], conflict => ['status(409) times 1; ok', 'retry'], timeout => ['status(408) times 1; ok', 'retry'],
    hang => ['hang times 1; ok', 'retry'], drip => ['drip(bps=10, bytes=100000) times 1; ok', 'retry'], endless_head => ['endless_head(bps=10) times 1; ok', 'retry'],
    garbage => ['garbage(seed=7) times 1; ok', 'retry'], reset_inside => ['reset(after_bytes=30) times 1; ok', 'retry'], short => ['wrong_length(delta=10) times 1; ok', 'retry'],
    header_flood => ['header_flood(count=1, size=1000000) times 1; ok', 'retry'], bad_line => ['raw("HTTP/9.9 banana\r\n\r\n") times 1; ok', 'retry'],
    reset => ['reset(0) times 1; ok', undef], half_close => ['half_close(0) times 1; ok', undef]);
subtest 'faults of one answer' => sub {
    $chaos->program(map { ("/$_" => $fault{$_}[0]) } keys %fault);
    $lab->endpoint($_, $chaos->url("/$_"), timeout => '700 milliseconds') for sort keys %fault;
    $lab->tell($_, 'P', 'one', 'two') for sort keys %fault;
    for my $kind (sort keys %fault)
    {
        $lab->settled($kind, 2, "$kind: both events are delivered");
        my @requests = $chaos->requests(path => "/$kind");
        is(DistSync::Delivery::names(@requests), 'one two', "$kind: acknowledged once each, in order");
        # on a connection that was kept and closed, libcurl repeats a request by itself
        is($lab->attempts($kind), join(' ', $fault{$kind}[1] || (), 'delivered', 'delivered'), "$kind: tries are kept") if defined $fault{$kind}[1];
        cmp_ok(scalar @requests, '>=', 2 + !!($fault{$kind}[0] =~ /;/), "$kind: the partner saw the try that failed too");
    }
    is($lab->sql("SELECT count(*) FROM sync.attempt WHERE verdict = 'retry' AND status IS NULL AND (curl_code = 0 OR error IS NULL OR error = '')"), '0', 'a try without an answer says why');
    is($lab->sql('SELECT count(*) FROM sync.endpoint WHERE failing_since IS NOT NULL'), '0', 'who works again is not failing');
};

subtest 'Retry-After' => sub {
    my %wanted = (seconds => ['1', '1'], nonsense => ['"soon"', ''], negative => ['-5', ''], huge => ['1000000000000', undef]);
    $chaos->program(map { ("/after_$_" => "retry_after($wanted{$_}[0]) times 1; ok") } keys %wanted);
    for my $kind (sort keys %wanted)
    {
        $lab->endpoint("after_$kind", $chaos->url("/after_$kind"));
        $lab->tell("after_$kind", 'P', 'one');
    }
    for my $kind (sort keys %wanted)
    {
        $lab->settled("after_$kind", 1, "429 with Retry-After $kind: delivered");
        is($lab->attempts("after_$kind", "CASE a.attempt_no WHEN 1 THEN COALESCE(a.retry_after::text, 'none') END"), $wanted{$kind}[1] || 'none', "$kind: what the partner asked for is kept") if defined $wanted{$kind}[1];
    }
    my $pause = "SELECT max(a.finished_at) - min(a.finished_at) FROM sync.attempt a JOIN sync.delivery d USING (delivery_id) JOIN sync.endpoint p USING (endpoint_id) WHERE p.code";
    is($lab->sql("SELECT ($pause = 'after_seconds') >= '1 second'"), 't', 'and done: not before a second had passed');
    is($lab->sql("SELECT ($pause = 'after_huge') >= '3 seconds'"), 't', 'an absurd wish is honoured up to the maximum of the policy');
};

subtest 'answers that are too much' => sub {
    $chaos->program('/big' => 'big(bytes=100000)', '/endless' => 'endless_chunked(bps=0)', '/bomb' => 'gzip_bomb(bytes=10485760)', '/flood' => 'flood_1xx(count=1000)');
    for my $kind (qw(big endless bomb flood))
    {
        $lab->endpoint($kind, $chaos->url("/$kind"), max_response => 1000);
        $lab->tell($kind, 'P', 'one');
        $lab->settled($kind, 1, "$kind: the status counts");
    }
    is($lab->attempts('big', 'length(a.response_body)'), '1000', 'as much of the answer as the endpoint says is kept');
    is($lab->sql('SELECT bool_and(length(response_body) <= 1048576) AND max(length(response_headers)) <= 20000 FROM sync.attempt'), 't', 'never more than there is room for');
};

subtest 'redirections are answers' => sub {
    my %codes = (301 => 'http://127.0.0.1:%d/away', 302 => 'http://127.0.0.1:%d/away', 307 => 'file:///etc/passwd', 308 => '/loop');
    my $before = $far->status->{connections};
    for my $code (sort keys %codes)
    {
        (my $url = $codes{$code}) =~ s/%d/$far->port/e;
        $chaos->program("/moved$code" => "redirect(\"$url\", code=$code)");
        $lab->endpoint("moved$code", $chaos->url("/moved$code"));
        $lab->tell("moved$code", 'P', 'one');
    }
    for my $code (sort keys %codes)
    {
        $lab->becomes("SELECT count(*) = 1 FROM sync.dead_letter x JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'moved$code' AND x.reason = 'rejected'", "$code: a dead letter");
        is(scalar $chaos->requests(path => "/moved$code"), 1, "$code: asked once");
    }
    is($far->status->{connections}, $before, 'nobody went there');
    is(scalar $chaos->requests(path => '/loop'), 0, 'nor round in a loop');
};

subtest 'a partner that is not there, or not who he says' => sub {
    $lab->endpoint('refused', $far->url('/refused'));
    $far->program('*' => 'down');
    $lab->tell('refused', 'P', 'one');
    $lab->becomes("SELECT count(*) >= 2 FROM sync.attempt a JOIN sync.delivery d USING (delivery_id) JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'refused' AND a.verdict = 'retry'", 'a closed port: tried again');
    is($lab->sql("SELECT failing_since IS NOT NULL AND state = 'active' FROM sync.endpoint WHERE code = 'refused'"), 't', 'the endpoint is known to fail');
    $far->program('*' => 'silence times 1; ok');
    $lab->settled('refused', 1, 'delivered when he is back');
    like($lab->attempts('refused', 'a.error'), qr/refused|connect/i, 'the reason is kept');
    $far->program('*' => 'refuse(2)');
    $lab->tell('refused', 'P', 'two');
    $lab->settled('refused', 2, 'connections that are reset at once');

    $far->program('/closed' => 'close_keepalive(mode=next) times 1; ok');
    $lab->endpoint('closed', $far->url('/closed'));
    $lab->tell('closed', 'P', 'one');
    $lab->settled('closed', 1, 'a connection that says it is kept');
    $lab->tell('closed', 'P', 'two');
    $lab->settled('closed', 2, 'and is not');

    for my $kind (qw(good self_signed expired wrong_host tls10 truncated))
    {
        $far->program('*' => "tls($kind)");
        $lab->endpoint("tls_$kind", $far->https_url("/tls_$kind"), allow_http => JSON::PP::false);
        $lab->tell("tls_$kind", 'P', 'one');
        $lab->becomes("SELECT count(*) >= 2 FROM sync.attempt a JOIN sync.delivery d USING (delivery_id) JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'tls_$kind' AND a.verdict = 'retry'", "TLS $kind: not trusted, tried again");
        $lab->sql("SELECT distsync.set_endpoint_state('tls_$kind', 'paused', 'seen enough')");
        is(scalar $far->requests(path => "/tls_$kind"), 0, "TLS $kind: not a byte of the message went out");
    }
    like($lab->attempts('tls_good', 'a.error'), qr/certificate|SSL|issuer/i, 'the reason is kept');
    $far->clear;
};

subtest 'dead letters and lanes' => sub {
    my $reply = '{"why":"no such customer"}';
    $chaos->program("/$_" => 'status(400, {"X-Reason":"unknown"}, "{\"why\":\"no such customer\"}") containing "unwanted"; ok') for qw(block skip);
    $lab->endpoint('block', $chaos->url('/block'), on_block => 'block');
    $lab->endpoint('skip', $chaos->url('/skip'), on_block => 'skip');
    for my $endpoint (qw(block skip))
    {
        $lab->tell($endpoint, 'A', 'unwanted', 'two', 'three');
        $lab->tell($endpoint, 'B', 'other');
    }
    $lab->settled('skip', 3, 'skip: what is behind a dead letter goes on');
    is($lab->state('skip'), 'dead delivered delivered delivered', 'skip: one is dead');
    $lab->becomes("SELECT count(*) = 1 FROM sync.dead_letter x JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'block'", 'block: a dead letter');
    $lab->becomes("SELECT count(*) = 1 FROM sync.delivery d JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'block' AND d.state = 'delivered'", 'block: another entity goes on');
    is($lab->state('block'), 'dead queued queued delivered', 'block: what is behind it waits');
    is($lab->attempts('block', "CASE a.status WHEN 400 THEN convert_from(a.response_body, 'UTF8') END"), $reply, 'the reply of the partner is kept');
    is($lab->attempts('block', "CASE a.status WHEN 400 THEN a.response_headers LIKE '%X-Reason: unknown%' END"), 'true', 'with its headers');
    is($lab->sql("SELECT reason || ' ' || attempts || ' ' || resolution FROM sync.dead_letter x JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'block'"), 'rejected 1 open', 'a refusal is not repeated');
    is($lab->sql("SELECT severity FROM sync.exception WHERE kind = 'dead_letter' AND trace_key = 'block' AND state = 'open'"), 'error', 'people are told');

    # people mend it
    is($lab->sql(q(SELECT distsync.requeue('{"endpoint":"block","dry_run":true}'))), '1', 'requeue, dry run: counts');
    is($lab->state('block'), 'dead queued queued delivered', 'and changes nothing');
    $chaos->program('/block' => 'ok');
    is($lab->sql(q(SELECT distsync.requeue('{"endpoint":"block"}'))), '1', 'requeue');
    $lab->settled('block', 4, 'it is delivered, and what waited behind it');
    is(DistSync::Delivery::names($chaos->requests(path => '/block', containing => 'block-A')), 'unwanted two three', 'in order');
    is($lab->sql("SELECT string_agg(resolution, ' ') FROM sync.dead_letter x JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'block'"), 'delivered_later', 'the dead letter knows');
    is($lab->sql("SELECT state FROM sync.exception WHERE kind = 'dead_letter' AND trace_key = 'block'"), 'auto_resolved', 'and the exception is closed');
    is($lab->sql(q(SELECT distsync.requeue('{"endpoint":"skip","resolution":"ignored"}'))), '1', 'one that nobody wants is given up');
    is($lab->state('skip'), 'dead delivered delivered delivered', 'and stays where it is');

    # latest: only the newest state is worth telling
    $chaos->program('/latest' => 'hang containing "one"; ok');
    $lab->endpoint('latest', $chaos->url('/latest'), on_block => 'latest', timeout => '1 minute');
    $lab->tell('latest', 'P', 'one');
    $chaos->wait_for(1, path => '/latest');
    $lab->tell('latest', 'P', 'two', 'three');
    $lab->becomes("SELECT count(*) = 3 FROM sync.delivery d JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'latest'", 'latest: three are routed while the first is out');
    is($lab->state('latest'), 'queued superseded queued', 'latest: the one between is superseded');
    $chaos->program('/latest' => 'ok');
    $chaos->drop;
    $lab->becomes("SELECT count(*) = 0 FROM sync.lane l JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'latest'", 'latest: done');
    is(DistSync::Delivery::names($chaos->requests(path => '/latest')), 'one three', 'latest: the newest came last');

    # a schedule that ends
    $chaos->program('/exhausted' => 'status(500, {}, "still ill")');
    $lab->endpoint('exhausted', $chaos->url('/exhausted'), retry_policy => 'tired');
    $lab->tell('exhausted', 'P', 'one');
    $lab->becomes("SELECT count(*) = 1 FROM sync.dead_letter x JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'exhausted' AND x.reason = 'exhausted' AND x.attempts = 3", 'after the last try of the schedule: a dead letter');
    is(scalar $chaos->requests(path => '/exhausted'), 3, 'three tries, as the policy says');
};

subtest 'order survives retries' => sub {
    $chaos->program('/order' => 'status(503) every 2; ok');
    $lab->endpoint('order', $chaos->url('/order'));
    my @names = map { "n$_" } 1 .. 12;
    $lab->sql(join ';', map { my $name = $_; map { "SELECT distsync.apply('party', '{\"code\":\"order-$_\",\"name\":\"$name\"}', 'erp')" } 1 .. 3 } @names[0 .. 5]);
    for my $party (1 .. 3) { $lab->tell('order', $party, @names[6 .. 11]) }
    $lab->settled('order', 36, 'all delivered');
    for my $party (1 .. 3)
    {
        my @requests = $chaos->requests(path => '/order', containing => "\"order-$party\"");
        is(DistSync::Delivery::names(@requests), "@names", "party $party: in order");
        my @seen = map { $json->decode($_->{body})->{data}{name} } @requests;
        my @sorted = sort { substr($a, 1) <=> substr($b, 1) } @seen;
        is("@seen", "@sorted", "party $party: nothing is tried before what comes first has been taken");
    }
};

subtest 'one endpoint does not hold up another' => sub {
    $chaos->program('/stuck' => 'hang', '/free' => 'ok');
    $lab->endpoint('stuck', $chaos->url('/stuck'), timeout => '5 minutes', max_inflight => 20);
    $lab->endpoint('free', $chaos->url('/free'));
    $lab->tell('stuck', $_, 'one') for 1 .. 30;
    $chaos->wait_for(20, path => '/stuck');
    $lab->tell('free', $_, 'one') for 1 .. 5;
    $lab->settled('free', 5, 'others are delivered');
    is($lab->sql("SELECT count(*) FILTER (WHERE l.state = 'leased') || ' ' || count(*) FILTER (WHERE l.state = 'ready') FROM sync.lane l JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'stuck'"), '20 10', 'while twenty are out and ten wait for their turn');
    # the courier may be in the midst of recording the five; a transaction, a snapshot or a lock that lived as long as the twenty would never go
    $lab->becomes("SELECT xact_start IS NULL AND backend_xmin IS NULL AND backend_xid IS NULL AND state = 'idle' AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'relation') FROM pg_stat_activity a WHERE backend_type = 'distsync courier' AND datname = 'lab'",
        'and no transaction, no snapshot and no lock on a table is held meanwhile');
    is($lab->sql("SELECT count(*) FROM sync.lane l JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'stuck' AND l.state = 'leased'"), '20', 'the twenty are still out');
    $chaos->clear;
    $chaos->drop;
    $lab->settled('stuck', 30, 'and go out when he is well');
};

subtest '410: the endpoint is gone until people say otherwise' => sub {
    $chaos->program('/gone' => 'status(410)');
    $lab->endpoint('gone', $chaos->url('/gone'));
    $lab->tell('gone', 'P', 'one');
    $lab->becomes("SELECT state = 'disabled' AND state_reason LIKE '%410%' FROM sync.endpoint WHERE code = 'gone'", 'it is disabled');
    $lab->tell('gone', 'P', 'two', 'three');
    $lab->tell('gone', 'Q', 'four');
    $lab->becomes("SELECT count(*) = 4 FROM sync.delivery d JOIN sync.endpoint p USING (endpoint_id) WHERE p.code = 'gone' AND d.state = 'parked'", 'what comes after is parked, and the first is not lost');
    is(scalar $chaos->requests(path => '/gone'), 1, 'nobody asks again');
    is($lab->sql("SELECT state FROM sync.exception WHERE kind = 'endpoint_disabled' AND trace_key = 'gone'"), 'open', 'people are told');
    $chaos->program('/gone' => 'ok');
    is($lab->sql("SELECT distsync.set_endpoint_state('gone', 'active')"), '4', 'people open it again');
    $lab->settled('gone', 4, 'everything goes out');
    is(DistSync::Delivery::names($chaos->requests(path => '/gone', containing => 'gone-P')), 'one two three', 'in order');
    is($lab->sql("SELECT state FROM sync.exception WHERE kind = 'endpoint_disabled' AND trace_key = 'gone'"), 'auto_resolved', 'and the exception is closed');
};

subtest 'keys change hands with an overlap' => sub {
    my $new = 'whsec_' . encode_base64('the next key of thirty-two bytes', '');
    $lab->endpoint('rotate', $chaos->url('/rotate'));
    $chaos->secrets('/rotate', $SECRET);
    is($lab->sql("SELECT distsync.rotate_secret('rotate', '$new', '1 hour')"), $new, 'a new key');
    $lab->tell('rotate', 'P', 'one');
    $lab->settled('rotate', 1, 'delivered');
    my ($request) = $chaos->requests(path => '/rotate');
    is($request->{signature}, 'valid', 'a partner with the old key can verify');
    is(scalar(() = $request->{headers}{'webhook-signature'} =~ /v1,/g), 2, 'both keys sign');
    $chaos->secrets('/rotate', $new);
    $lab->tell('rotate', 'P', 'two');
    $lab->settled('rotate', 2, 'delivered');
    is(($chaos->requests(path => '/rotate'))[1]{signature}, 'valid', 'so can one with the new key');
    my $made = $lab->sql("SELECT distsync.rotate_secret('rotate', overlap => '0')");
    $lab->tell('rotate', 'P', 'three');
    $lab->settled('rotate', 3, 'delivered');
    is(($chaos->requests(path => '/rotate'))[2]{signature}, 'signature_invalid', 'without an overlap the old key is worth nothing');
    $chaos->secrets('/rotate', $made);
    $lab->tell('rotate', 'P', 'four');
    $lab->settled('rotate', 4, 'delivered');
    is(($chaos->requests(path => '/rotate'))[3]{signature}, 'valid', 'the one that was made is in force');
    is($lab->sql("SELECT count(*) FROM sync.audit WHERE verb = 'rotate_secret' AND entity_key = 'rotate' AND to_jsonb(audit)::text NOT LIKE '%whsec%'"), '2', 'the audit knows when, not what');
};

subtest 'replay' => sub {
    $lab->endpoint('replay', $chaos->url('/replay'));
    $lab->tell('replay', 'P', 'one', 'two', 'three');
    $lab->settled('replay', 3, 'delivered');
    my @first = map { "$_->{webhook_id} $_->{body_sha256}" } $chaos->requests(path => '/replay');
    is($lab->sql(q(SELECT events || ' ' || queued FROM distsync.replay('replay', '{"entity_key":"replay-P"}'))), '3 false', 'a dry run counts');
    is($lab->state('replay'), 'delivered delivered delivered', 'and queues nothing');
    is($lab->sql(q(SELECT events || ' ' || queued FROM distsync.replay('replay', '{"entity_key":"replay-P","dry_run":false}'))), '3 true', 'then in earnest');
    $lab->settled('replay', 6, 'delivered again');
    my @again = map { "$_->{webhook_id} $_->{body_sha256}" } $chaos->requests(path => '/replay');
    is_deeply([@again[3 .. 5]], \@first, 'the same ids, the same bytes, in order');
};

subtest 'a courier that dies' => sub {
    $chaos->program('/killed' => 'hang times 1; ok');
    $lab->endpoint('killed', $chaos->url('/killed'), timeout => '4 seconds');
    $lab->tell('killed', 'P', 'one');
    is(scalar $chaos->wait_for(1, path => '/killed'), 1, 'a request is out');
    my $courier = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'distsync courier' AND datname = 'lab'");
    kill 'KILL', $courier;
    $lab->settled('killed', 1, 'its lease ends, and another one delivers');
    is($lab->attempts('killed'), 'lost delivered', 'both tries are known');
    my @requests = $chaos->requests(path => '/killed');
    is(scalar(@requests), 2, 'the partner saw it twice');
    is("$requests[0]{webhook_id} $requests[0]{body_sha256}", "$requests[1]{webhook_id} $requests[1]{body_sha256}", 'and can tell');
};

# the oracle over everything: who sent what
my (%sha, @changed, @unsigned);
for my $request (grep { $_->{path} ne '/rotate' } $chaos->requests, $far->requests)
{
    my $id = $request->{webhook_id};
    push @changed, $id if defined $sha{$id} && $sha{$id} ne $request->{body_sha256};
    push @unsigned, $request->{seq} if $request->{signature} ne 'valid';
    $sha{$id} = $request->{body_sha256};
}
is("@changed", '', scalar(keys %sha) . ' messages: however often one was sent, its bytes were the same');
is("@unsigned", '', 'every request was signed');
is($lab->sql("SELECT string_agg(message_id::text, ' ') FROM sync.event WHERE message_id = ANY ('{" . join(',', keys %sha) . "}') AND encode(sha256(body), 'hex') <> ALL ('{" . join(',', values %sha) . "}')"), '', 'and those of the stream');
is($lab->sql("SELECT count(*) FROM sync.lane l WHERE NOT EXISTS (SELECT FROM sync.delivery d WHERE d.delivery_id = l.head_id AND d.state IN ('queued', 'parked', 'dead'))"), '0', 'no lane is left without a head');
is($lab->sql("SELECT count(*) FROM sync.lane l WHERE l.depth <> (SELECT count(*) FROM sync.delivery d WHERE d.endpoint_id = l.endpoint_id AND d.lane_key = l.lane_key AND (d.state IN ('queued', 'parked') OR d.delivery_id = l.head_id))"), '0', 'and each counts what waits in it');
$node->stop;
done_testing();
