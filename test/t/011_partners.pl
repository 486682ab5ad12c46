# The partner programs of the quickstart: what they accept, refuse, remember and offer, over real HTTP.
use strict;
use warnings FATAL => 'all';

use Digest::SHA qw(hmac_sha256_base64);
use FindBin;
use HTTP::Tiny;
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $json = JSON::PP->new->utf8->canonical;
my $http = HTTP::Tiny->new(timeout => 30, max_redirect => 0);
my $secret = 'whsec_' . encode_base64('0123456789abcdef0123456789abcdef', '');
my $other = 'whsec_' . encode_base64('fedcba9876543210fedcba9876543210', '');
my @running;

# launch starts a program of examples/partners and returns its address; it ends with this test.
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

# mac returns the signature of a message.
sub mac
{
    my ($key, $id, $at, $body) = @_;
    my $mac = hmac_sha256_base64("$id.$at.$body", decode_base64(substr($key, 6)));
    $mac .= '=' while length($mac) % 4;
    return "v1,$mac";
}

# hook sends a signed webhook and returns (status, answer).
sub hook
{
    my ($url, $id, $body, $key) = @_;
    my $at = time;
    my $answer = $http->post($url, { content => $body, headers => { 'content-type' => 'application/json', 'webhook-id' => $id,
        'webhook-timestamp' => $at, 'webhook-signature' => mac($key // $secret, $id, $at, $body) } });
    return ($answer->{status}, $json->decode($answer->{content}));
}

# play asks a partner for an action and returns (status, result).
sub play
{
    my ($url, %action) = @_;
    my $answer = $http->post("$url/do", { content => $json->encode(\%action) });
    return ($answer->{status}, $json->decode($answer->{content}));
}

sub fetch
{
    my ($url, %headers) = @_;
    my $answer = $http->get($url, { headers => \%headers });
    return ($answer->{status}, $json->decode($answer->{content}));
}

my $log = PostgreSQL::Test::Utils::tempdir;

subtest 'a receiver' => sub {
    my $shop = launch('shop', '--secret', $secret, '--secret', $other, '--log', "$log/shop");
    my $event = '{"specversion":"1.0","type":"order.accepted","subject":"SO-1","data":{"total":19.990}}';
    is((hook("$shop/hook", 'm1', $event))[0], 200, 'a signed message');
    is((hook("$shop/hook", 'm2', $event, $other))[0], 200, 'signed with the other live secret');
    my ($status, $answer) = hook("$shop/hook", 'm3', $event, 'whsec_' . encode_base64('x' x 32, ''));
    is("$status $answer->{error}", '401 signature_invalid', 'signed by somebody else');
    is($http->post("$shop/hook", { content => $event })->{status}, 401, 'not signed');
    is((hook("$shop/hook", 'm1', $event))[0], 200, 'a repeated message is answered again');
    is((hook("$shop/hook", 'm4', '[1]'))[0], 422, 'no JSON object');
    ($status, my $seen) = fetch("$shop/log?since=0");
    is(join(' ', map { $_->{signature} . ($_->{duplicate} ? '+' : '') } @{ $seen->{messages} }),
        'valid valid signature_invalid signature_missing valid+ valid', 'all of it is in the log, in order');
    is($seen->{messages}[0]{body}{data}{total}, '19.990', 'numbers as they were written');
    cmp_ok($seen->{messages}[0]{arrived_ns} / 1e9, '>', time - 60, 'arrival in ns');
    is_deeply((fetch("$shop/log?since=$seen->{next}"))[1], { messages => [], next => $seen->{next} }, 'nothing after the last');
    is(scalar @{ (fetch("$shop/log?containing=SO-1&wait=5"))[1]{messages} }, 5, 'search and wait');
    play($shop, action => 'fail', times => 1, status => 500);
    is(join(' ', (hook("$shop/hook", 'm5', $event))[0], (hook("$shop/hook", 'm5', $event))[0]), '500 200', 'fail, then not');
    is((play($shop, action => 'dance'))[0], 400, 'an unknown action');
};

subtest 'the ERP and the WMS' => sub {
    my $erp = launch('erp', '--secret', $secret, '--log', "$log/erp");
    my @numbers = map { (hook("$erp/hook", "o$_->[0]", qq({"specversion":"1.0","type":"order.accepted","data":{"order_number":"$_->[1]"}})))[1]{order_number} }
        ([1, 'SO-1'], [2, 'SO-2'], [3, 'SO-1'], [1, 'SO-1']);
    is("@numbers", 'ERP-10001 ERP-10002 ERP-10001 ERP-10001', 'one number an order, however often it comes');
    my ($status, $answer) = play($erp, action => 'invoice', document => {});
    is($status, 400, 'nobody to tell without a door');

    my $wms = launch('wms', '--queue-secret', $secret, '--token', 't0ken', '--log', "$log/wms");
    play($wms, action => 'ship', document => { order_number => 'SO-1' });
    play($wms, action => 'delta', document => { item => 'S10', quantity => '-5' }, message_id => 'msg_fixed');
    play($wms, action => 'enqueue', raw => '{"price": 19.990}');
    is((fetch("$wms/queue"))[0], 401, 'the queue needs its token');
    my %token = (authorization => 'Bearer t0ken');
    my ($first) = (fetch("$wms/queue?limit=2", %token))[1];
    ok(@{ $first->{messages} } == 2 && $first->{more}, 'two of three');
    my ($second) = (fetch("$wms/queue?limit=2&cursor=$first->{next_cursor}", %token))[1];
    ok(@{ $second->{messages} } == 1 && !$second->{more}, 'the rest');
    is(decode_base64($second->{messages}[0]{body_base64}), '{"price": 19.990}', 'raw bytes');
    my ($again) = (fetch("$wms/queue?limit=2", %token))[1];
    is(join(' ', map { $_->{id} } @{ $again->{messages} }), join(' ', map { $_->{id} } @{ $first->{messages} }), 'read again, same ids');
    is($again->{messages}[1]{id}, 'msg_fixed', 'an id of our choice');
    my ($empty) = (fetch("$wms/queue?cursor=$second->{next_cursor}", %token))[1];
    is_deeply($empty, { messages => [], next_cursor => $second->{next_cursor}, more => JSON::PP::false }, 'the end keeps its cursor');
    is(scalar @{ (fetch("$wms/queue?cursor=12345678-2", %token))[1]{messages} }, 3, 'a cursor of another life starts over');
    for my $message (@{ $first->{messages} })
    {
        my $headers = $message->{headers};
        is($headers->{'webhook-signature'}, mac($secret, $message->{id}, $headers->{'webhook-timestamp'}, decode_base64($message->{body_base64})),
            "$message->{id} is signed");
    }
    is((fetch("$wms/queue?limit=0", %token))[0], 400, 'a limit has limits');
};

subtest 'the door' => sub {
    my $node = PostgreSQL::Test::Cluster->new('door');
    $node->init;
    $node->start;
    # The door is tested for what it does with any outcome, so the outcome is chosen by the source here.
    $node->safe_psql('postgres', q{
        CREATE SCHEMA distsync;
        CREATE TABLE got (source text, headers jsonb, body bytea);
        CREATE FUNCTION distsync.receive(source text, headers jsonb, body bytea, OUT outcome text, OUT inbox_id bigint, OUT reason text)
        LANGUAGE plpgsql AS $$
        BEGIN
            IF source = 'error' THEN RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = 'no'; END IF;
            INSERT INTO public.got VALUES (source, headers, body);
            outcome := split_part(source, ':', 1);
            reason := nullif(split_part(source, ':', 2), '');
            inbox_id := 7;
        END $$});
    my $door = launch('door', '--dsn', $node->connstr('postgres'));
    my %expected = ('accepted' => 202, 'duplicate' => 200, 'refused:signature_invalid' => 401, 'refused:timestamp_stale' => 401,
        'refused:unknown_source' => 404, 'refused:too_large' => 413, 'refused:malformed' => 422, 'error' => 503);
    for my $source (sort keys %expected)
    {
        is($http->post("$door/in/$source", { content => 'x' })->{status}, $expected{$source}, "$source is $expected{$source}");
    }
    my $bytes = join '', map { chr } 0 .. 255;
    is($http->post("$door/in/accepted", { content => $bytes, headers => { 'X-Two' => ['a', 'b'], 'X-Quote' => q{'";--\\} } })->{status},
        202, 'any bytes');
    is($node->safe_psql('postgres', 'SELECT encode(body, $$hex$$) FROM got ORDER BY length(body) DESC LIMIT 1'), unpack('H*', $bytes), 'arrive');
    is($node->safe_psql('postgres', q{SELECT (headers->>'x-two') || (headers->>'x-quote') FROM got ORDER BY length(body) DESC LIMIT 1}),
        q{a, b'";--\\}, 'with their headers');
    is($http->post("$door/in/a%00b", { content => 'x' })->{status}, 400, 'control characters');
    is($http->get("$door/in/accepted")->{status}, 405, 'GET');
    is($http->post("$door/elsewhere", { content => 'x' })->{status}, 404, 'another path');
    $node->stop;
    my $answer = $http->post("$door/in/accepted", { content => 'x' });
    is("$answer->{status} $answer->{headers}{'retry-after'}", '503 1', 'no database: come back');
    $node->start;
    is($http->post("$door/in/accepted", { content => 'x' })->{status}, 202, 'and it is well again');

    my $erp = launch('erp', '--door', "$door/in/accepted", '--door-secret', $secret, '--log', "$log/erp2");
    my (undef, $told) = play($erp, action => 'invoice', type => 'invoice.created', message_id => 'msg_inv', document => { amount => '1.10' });
    is("$told->{status} $told->{attempts} $told->{document}{invoice_number}", '202 1 INV-50001', 'a fact is told through the door');
    my ($headers, $body) = split /\n/, $node->safe_psql('postgres',
        q{SELECT headers::text || E'\n' || convert_from(body, 'UTF8') FROM got WHERE headers->>'webhook-id' = 'msg_inv'});
    $headers = $json->decode($headers);
    is($headers->{'webhook-signature'}, mac($secret, 'msg_inv', $headers->{'webhook-timestamp'}, $body), 'signed');
    my $event = $json->decode($body);
    is("$event->{specversion} $event->{type} $event->{id} $event->{data}{schema}", '1.0 invoice.created msg_inv invoice/1', 'as a CloudEvent');
};

for my $program (@running)
{
    my ($pid, $lifeline) = @$program;
    close $lifeline;
    waitpid($pid, 0);
    is($?, 0, 'a partner ends with its parent');
}
done_testing();
