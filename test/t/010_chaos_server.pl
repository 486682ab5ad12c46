# The chaos server is the oracle of the delivery tests, so it is tested itself first: every behaviour is exercised with plain
# sockets, and what the log says is compared with what was sent.
use strict;
use warnings FATAL => 'all';

use Digest::SHA qw(hmac_sha256_base64 sha256_hex);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IO::Select;
use IO::Socket::INET;
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use POSIX qw(ECONNREFUSED);
use Socket qw(SHUT_WR);
use Test::More;
use Time::HiRes qw(sleep time);

use DistSync::Chaos;

# a partner that resets a connection while we still write is what is tested here
$SIG{PIPE} = 'IGNORE';

my $secret = 'whsec_' . encode_base64('0123456789abcdef0123456789abcdef', '');
my $old_secret = 'whsec_' . encode_base64('fedcba9876543210fedcba9876543210', '');
my $chaos = DistSync::Chaos->start(secrets => [$secret, $old_secret]);

# dial opens a connection, or returns undef with $! set.
sub dial { return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $chaos->port, Proto => 'tcp', Timeout => 10) }

# request_bytes builds a POST.
sub request_bytes
{
    my ($path, $body, %headers) = @_;
    return join("\r\n", "POST $path HTTP/1.1", 'Host: chaos', 'Content-Length: ' . length $body,
        map({"$_: $headers{$_}"} sort keys %headers), '', $body);
}

# read_some reads until the end, an error, a number of bytes or some seconds; returns (bytes, how it ended).
sub read_some
{
    my ($socket, %limit) = @_;
    my ($got, $end) = ('', time + ($limit{seconds} // 10));
    my $select = IO::Select->new($socket);
    while (length $got < ($limit{bytes} // 1e12))
    {
        my $left = $end - time;
        return ($got, 'silence') if $left <= 0 || !$select->can_read($left);
        my $room = ($limit{bytes} // 1e12) - length $got;
        my $count = sysread($socket, my $piece, $room < 65536 ? $room : 65536);
        return ($got, 'reset') if !defined $count;
        return ($got, 'eof') if !$count;
        $got .= $piece;
    }
    return ($got, 'enough');
}

# read_answer reads one response with a Content-Length and returns (status, head, body).
sub read_answer
{
    my ($socket) = @_;
    my $got = '';
    while ($got !~ /\r\n\r\n/)
    {
        my ($piece, $how) = read_some($socket, bytes => 1);
        return (0, $got, $how) if $piece eq '';
        $got .= $piece;
    }
    my ($head, $body) = $got =~ /\A(.*?\r\n\r\n)(.*)\z/s;
    my ($length) = $head =~ /^content-length: *(\d+)/mi;
    while (length $body < ($length // 0))
    {
        my ($piece, $how) = read_some($socket, bytes => $length - length $body);
        return (0, $head, $how) if $piece eq '';
        $body .= $piece;
    }
    my ($status) = $head =~ m{\AHTTP/1\.1 (\d+)};
    return ($status, $head, $body);
}

# exchange sends one request on a connection of its own under a program and returns (bytes, how it ended).
sub exchange
{
    my ($program, %limit) = @_;
    $chaos->program('*' => $program);
    my $socket = dial() or return ('', 'refused');
    print $socket request_bytes('/x', 'body', $limit{close} ? (Connection => 'close') : ());
    return read_some($socket, %limit);
}

# post sends one request on its own connection and returns (status, head, body).
sub post
{
    my ($path, $body, %headers) = @_;
    my $socket = dial() or return (0, '', "$!");
    print $socket request_bytes($path, $body, %headers);
    return read_answer($socket);
}

# signed returns the three headers of a message.
sub signed
{
    my ($key, $id, $at, $body) = @_;
    my $mac = hmac_sha256_base64("$id.$at.$body", decode_base64(substr($key, 6)));
    $mac .= '=' while length($mac) % 4;
    return ('Webhook-Id' => $id, 'Webhook-Timestamp' => $at, 'Webhook-Signature' => "v1,$mac");
}

subtest 'plain requests and the log' => sub {
    my $body = "{\"n\":1,\"t\":\"gr\xc3\xbcn\"}";
    my ($status, undef, $answer) = post('/plain?a=b', $body, 'X-One' => 'two', 'Webhook-Id' => 'msg_1');
    is($status, 200, 'ok by default');
    is($answer, '{"ok":true}', 'body of ok');
    my ($line) = $chaos->requests(path => '/plain');
    is($line->{method} . $line->{query}, 'POSTa=b', 'method and query');
    is($line->{headers}{'x-one'}, 'two', 'headers with lower-case names');
    is($line->{webhook_id}, 'msg_1', 'webhook id');
    is($line->{body_sha256}, sha256_hex($body), 'hash of the body');
    is($line->{body}, do { my $text = $body; utf8::decode($text); $text }, 'body as text');
    is($line->{answer}{intent}, 'acknowledged', 'what it answered');
    cmp_ok($line->{wall_ns} / 1e9, '>', time - 60, 'wall time in ns');
    cmp_ok($line->{mono_ns}, '>', 0, 'monotonic time in ns');
    post('/binary', "\xff\x00\xfe");
    ($line) = $chaos->requests(path => '/binary');
    is($line->{body_base64}, encode_base64("\xff\x00\xfe", ''), 'a body that is no text comes as base64');
};

subtest 'keep-alive, pipelining, chunked bodies, 100-continue' => sub {
    my $socket = dial();
    for my $n (1 .. 3)
    {
        print $socket request_bytes("/keep/$n", 'x' x $n);
        is((read_answer($socket))[0], 200, "request $n on one connection");
    }
    my %connections = map { $_->{conn} => 1 } grep { $_->{path} =~ m{^/keep/} } $chaos->requests;
    is(scalar(keys %connections), 1, 'one connection id');
    print $socket join('', map { request_bytes("/pipe/$_", 'p') } 1 .. 50);
    is((read_answer($socket))[0], 200, "pipelined answer $_") for 1 .. 50;
    is_deeply([map { $_->{path} } grep { $_->{path} =~ m{^/pipe/} } $chaos->requests], [map {"/pipe/$_"} 1 .. 50],
        'pipelined requests are answered in order');
    print $socket "POST /chunked HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n6;ext=1\r\npedia \r\n0\r\n\r\n";
    is((read_answer($socket))[0], 200, 'chunked request');
    is(($chaos->requests(path => '/chunked'))[0]{body}, 'wikipedia ', 'chunks are joined');
    print $socket "POST /expect HTTP/1.1\r\nHost: c\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    is((read_answer($socket))[0], 100, 'the body is asked for');
    print $socket 'abc';
    is((read_answer($socket))[0], 200, 'and taken');
};

subtest 'signature verdicts' => sub {
    my $now = int time;
    my @cases = (
        ['valid', signed($secret, 'msg_v', $now, 'body')],
        ['valid', signed($old_secret, 'msg_o', $now, 'body')],
        ['signature_invalid', signed($secret, 'msg_i', $now, 'other')],
        ['timestamp_stale', signed($secret, 'msg_s', $now - 1000, 'body')],
        ['timestamp_stale', signed($secret, 'msg_f', $now + 1000, 'body')],
        ['signature_missing', 'Webhook-Id' => 'msg_m', 'Webhook-Timestamp' => $now],
        ['header_invalid', signed($secret, 'msg_h', 'noon', 'body')],
        ['timestamp_missing', 'Webhook-Id' => 'msg_t', 'Webhook-Signature' => 'v1,AAAA']);
    for my $case (@cases)
    {
        my ($verdict, %headers) = @$case;
        post('/signed', 'body', %headers);
        is(($chaos->requests(id => $headers{'Webhook-Id'}))[0]{signature}, $verdict, "$headers{'Webhook-Id'}: $verdict");
    }
    is(($chaos->requests(id => 'msg_o'))[0]{secret}, 1, 'which of two secrets matched');
    my %both = signed($secret, 'msg_b', $now, 'body');
    $both{'Webhook-Signature'} = "v1,AAAA v9,zz $both{'Webhook-Signature'}";
    post('/signed', 'body', %both);
    is(($chaos->requests(id => 'msg_b'))[0]{signature}, 'valid', 'any of several signatures is enough');
    $chaos->secrets('/own', $old_secret);
    post('/own', 'body', signed($secret, 'msg_own', $now, 'body'));
    is(($chaos->requests(id => 'msg_own'))[0]{signature}, 'signature_invalid', 'a path with a secret of its own');
};

subtest 'conditions' => sub {
    my $run = sub { my ($path, $count) = @_; return join ' ', map { (post($path, 'b'))[0] } 1 .. $count };
    $chaos->program('/c' => 'status(503) times 2; status(410) after 1 times 1; ok');
    is($run->('/c', 5), '503 503 200 410 200', 'times, after');
    $chaos->program('/c' => 'status(500) every 3');
    is($run->('/c', 6), '500 200 200 500 200 200', 'every');
    $chaos->program('/c' => 'status(500) probability 0.5 seed 42');
    my $first = $run->('/c', 30);
    $chaos->program('/c' => 'status(500) probability 0.5 seed 42');
    is($run->('/c', 30), $first, 'the same seed decides the same');
    like($first, qr/500.*200.*500|200.*500.*200/, 'and both ways occur');
    $chaos->program('/c' => 'status(422) containing PO-13');
    is((post('/c', 'order PO-13'))[0], 422, 'containing');
    is((post('/c', 'order PO-14'))[0], 200, 'not containing');
    $chaos->program('/a/*' => 'status(501)', '/a/b/*' => 'status(502) times 1', '*' => 'status(503)', '/c' => 'ok');
    is(join(' ', (post('/a/b/c', 'b'))[0], (post('/a/b/c', 'b'))[0], (post('/z', 'b'))[0], (post('/c', 'b'))[0]),
        '502 501 503 200', 'the narrowest program that applies decides');
    $chaos->program('/d' => 'ok delay 0.2');
    my $start = time;
    post('/d', 'b');
    cmp_ok(time - $start, '>=', 0.2, 'delay is waited for');
    $chaos->program('/j' => [{ do => 'status', args => { code => 409, body => 'x' }, times => 1 }]);
    is($run->('/j', 2), '409 503', 'JSON form');
    is($chaos->programs->{'/j'}[0]{used}, 1, 'counters are shown');
    $chaos->clear;
    is($run->('/a/b/c', 1), '200', 'clear');
    for my $wrong ('nonsense', 'status()', 'status(500', 'ok times x', 'ok sometimes 3', 'tls(purple)', 'big("x")')
    {
        ok(!eval { $chaos->program('*' => $wrong); 1 }, "refused: $wrong");
    }
    ok(!eval { $chaos->program('/p' => 'refuse(1)'); 1 }, 'refuse has no path');
    ok(!eval { $chaos->program('/new' => 'status(500)', '*' => 'nonsense'); 1 }, 'one wrong program');
    is($run->('/new', 1), '200', 'and none is set');
};

subtest 'answers' => sub {
    my ($got, $how) = exchange('status(429, {"Retry-After": "7", "X-Two": ["a", "b"]}, "slow down")', close => 1);
    like($got, qr{\AHTTP/1.1 429 Too Many Requests\r\n.*Retry-After: 7\r\nX-Two: a\r\nX-Two: b\r\n\r\nslow down\z}s, 'status');
    is($how, 'eof', 'Connection: close is honoured');
    ($got) = exchange('retry_after(-5, 503)', close => 1);
    like($got, qr/ 503 .*Retry-After: -5\r\n/s, 'retry_after');
    ($got) = exchange('retry_after("Fri, 31 Dec 1999 23:59:59 GMT")', close => 1);
    like($got, qr/ 429 .*Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n/s, 'retry_after with a date');
    ($got) = exchange('redirect(http://127.0.0.1:9/x, 307)', close => 1);
    like($got, qr{ 307 .*Location: http://127.0.0.1:9/x\r\n}s, 'redirect');
    ($got, $how) = exchange('raw("HTTP/0.9 \u0000\u00ff")');
    is("$got $how", "HTTP/0.9 \0\xff eof", 'raw');
    my ($one) = exchange('garbage(7, 300)');
    my ($two) = exchange('garbage(7, 300)');
    my ($three) = exchange('garbage(8, 300)');
    ok(length $one == 300 && $one eq $two && $one ne $three, 'garbage depends on its seed');
};

subtest 'slow and silent' => sub {
    my ($got, $how) = exchange('hang', seconds => 0.3);
    is("[$got] $how", '[] silence', 'hang');
    ($got) = exchange('hang(0.1)', close => 1);
    like($got, qr/ 200 /, 'hang for a while');
    ($got, $how) = exchange('drip(100, 20)', close => 1);
    like($got, qr/\r\n\r\n {20}\z/, 'drip delivers everything in the end');
    ($got, $how) = exchange('drip(1, 1000)', seconds => 0.4);
    ok($how eq 'silence' && $got =~ /Content-Length: 1000\r\n\r\n {1,2}\z/, 'drip is slow');
    ($got, $how) = exchange('endless_head(2000)', bytes => 2000);
    ok($how eq 'enough' && $got !~ /\r\n\r\n/, 'endless_head');
    ($got, $how) = exchange('silence', seconds => 0.3);
    is("[$got] $how", '[] silence', 'silence');
    ok($chaos->wait_for(1, event => 'close', since => 0), 'ends are logged');
};

subtest 'broken connections' => sub {
    my ($got, $how) = exchange('reset');
    is("[$got] $how", '[] reset', 'reset at once');
    ($got, $how) = exchange('reset(20)');
    is(length($got) . " $how", '20 reset', 'reset after some bytes');
    ($got, $how) = exchange('half_close(10)');
    is(length($got) . " $how", '10 eof', 'half_close');
    ($got, $how) = exchange('close_keepalive');
    ok($got =~ /keep-alive/ && $how eq 'eof', 'close_keepalive');
    $chaos->program('*' => 'close_keepalive(next)');
    my $socket = dial();
    print $socket request_bytes('/race/1', 'b');
    is((read_answer($socket))[0], 200, 'close_keepalive(next) answers the first');
    print $socket request_bytes('/race/2', 'b');
    is((read_some($socket))[1], 'reset', 'and resets at the second');
    is(($chaos->requests(path => '/race/2'))[0]{answer}{intent}, 'ambiguous', 'which is in the log');
    ($got, $how) = exchange('wrong_length(10)');
    my ($length, $body) = $got =~ /Content-Length: (\d+).*\r\n\r\n(.*)\z/s;
    is($length - length $body, 10, 'wrong_length: too long');
    ($got) = exchange('wrong_length(-5)');
    ($length, $body) = $got =~ /Content-Length: (\d+).*\r\n\r\n(.*)\z/s;
    is($length - length $body, -5, 'wrong_length: too short');
};

subtest 'floods' => sub {
    my ($got, $how) = exchange('big(3000000)', close => 1);
    my ($body) = $got =~ /\r\n\r\n(.*)\z/s;
    is(length $body, 3000000, 'big');
    ($got, $how) = exchange('endless_chunked', bytes => 5_000_000);
    ok($how eq 'enough' && $got =~ /Transfer-Encoding: chunked/, 'endless_chunked');
    ($got) = exchange('flood_1xx(250)', close => 1);
    is(scalar(() = $got =~ m{HTTP/1.1 103}g) . substr($got, -11), '250{"ok":true}', 'flood_1xx');
    ($got) = exchange('header_flood(1234, 5)', close => 1);
    is(scalar(() = $got =~ /^X-Flood-\d+: vvvvv\r$/mg), 1234, 'header_flood');
    ($got) = exchange('header_flood(1, 1000000)', close => 1);
    cmp_ok(length $got, '>', 1000000, 'header_flood with one long header');
    ($got) = exchange('gzip_bomb(10000000)', close => 1);
    ($body) = $got =~ /\r\n\r\n(.*)\z/s;
    cmp_ok(length $body, '<', 100000, 'gzip_bomb is small');
    gunzip(\$body => \my $inflated) or fail("gunzip: $GunzipError");
    is(length $inflated, 10 * 1024 * 1024, 'and inflates to whole megabytes');
    is((post('/after', 'b'))[0] // 0, 200, 'the server lives on') if $chaos->clear;
};

subtest 'refusals' => sub {
    $chaos->program('*' => 'refuse(2)');
    my @ends = map { my $socket = dial(); $socket ? (read_some($socket))[1] : 'reset' } 1 .. 2;
    is("@ends", 'reset reset', 'refuse resets connections');
    is((post('/x', 'b'))[0], 200, 'as many as asked');
    my $idle = dial();
    print $idle request_bytes('/x', 'b');
    read_answer($idle);
    $chaos->program('*' => 'down');
    ok(!dial(), 'down: no connection');
    is($! + 0, ECONNREFUSED, 'down: connection refused');
    isnt((read_some($idle))[1], 'silence', 'down takes open connections with it');
    $chaos->clear;
    is((post('/x', 'b'))[0], 200, 'up again');
    $chaos->program('*' => 'down(0.2)');
    ok(!dial(), 'down for a while');
    my $end = time + 10;
    sleep 0.05 while !dial() && time < $end;
    is((post('/x', 'b'))[0], 200, 'comes back by itself');
    $idle = dial();
    print $idle request_bytes('/x', 'b');
    read_answer($idle);
    cmp_ok($chaos->drop->{dropped}, '>=', 1, 'drop');
    is((read_some($idle))[1], 'reset', 'drop resets idle connections');
};

subtest 'bad requests' => sub {
    my %cases = (
        'no HTTP' => ["hello\r\n\r\n", 400],
        'NUL in a header' => ["GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", 400],
        'bare LF' => ["GET / HTTP/1.1\r\nX: a\nY: b\r\n\r\n", 400],
        'two framings' => ["POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
        'a negative length' => ["POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400],
        'a huge length' => ["POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413],
        'HTTP/3.0' => ["GET / HTTP/3.0\r\n\r\n", 505],
        'an endless head' => ["GET / HTTP/1.1\r\nX: " . ('x' x 300000), 431]);
    for my $name (sort keys %cases)
    {
        my $socket = dial();
        print $socket $cases{$name}[0];
        is((read_answer($socket))[0], $cases{$name}[1], "$name is $cases{$name}[1]");
    }
    is(scalar($chaos->requests(event => 'bad_request')), scalar(keys %cases), 'all in the log');
};

# tls_client sends a request with openssl s_client, which trusts our authority only, and returns everything that is said.
sub tls_client
{
    my ($kind) = @_;
    $chaos->program('*' => "tls($kind)");
    my ($ca, $port) = ($chaos->ca_file, $chaos->port);
    open(my $client, '-|', 'sh', '-c',
        "printf 'GET /tls/$kind HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' "
            . "| timeout 20 openssl s_client -connect 127.0.0.1:$port -CAfile '$ca' -verify_hostname localhost "
            . '-verify_return_error -quiet 2>&1') or die "openssl: $!";
    local $/ = undef;
    my $text = <$client>;
    close $client;
    return $text;
}

subtest 'TLS' => sub {
    like(tls_client('good'), qr/HTTP\/1.1 200/, 'good: trusted with the authority');
    is(($chaos->requests(path => '/tls/good'))[0]{tls}, 'good', 'the log names the kind');
    like(tls_client('expired'), qr/certificate has expired/, 'expired');
    like(tls_client('self_signed'), qr/self[- ]signed certificate/, 'self_signed');
    like(tls_client('wrong_host'), qr/hostname mismatch/i, 'wrong_host');
    like(my $said = tls_client('tls10'), qr/SSL routines/, 'tls10: the client refuses the old protocol');
    unlike($said, qr/HTTP\/1.1 200/, 'and gets no answer');
    unlike(tls_client('truncated'), qr/HTTP\/1.1 200/, 'truncated');
    unlike(tls_client('client_cert'), qr/HTTP\/1.1 200/, 'client_cert');
    is(scalar(grep { ($_->{path} // '') =~ m{^/tls/} && $_->{path} ne '/tls/good' } $chaos->requests), 0,
        'no request gets through a certificate that must not be trusted');
    is((post('/plain-beside-tls', 'b'))[0], 200, 'plain HTTP on the same port');
};

subtest 'the end' => sub {
    my $log = $chaos->log_file;
    my @lines = $chaos->events;
    is_deeply([map { $_->{seq} } @lines], [1 .. @lines], 'lines are numbered without a gap');
    is($chaos->stop, 0, 'SIGTERM ends it cleanly');
    my ($last) = reverse $chaos->events;
    is($last->{event}, 'stop', 'and is the last line of the log');
    my $other = DistSync::Chaos->start;
    close $other->{lifeline};
    is(waitpid(delete $other->{pid}, 0) > 0 ? $? : -1, 0, 'it ends with its parent');
};

done_testing();
