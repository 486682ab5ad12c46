# Bad input, in one table: each fault has an SQLSTATE of its own, a message, a detail that names the field, a hint that is a sentence, and it
# changes nothing. What a partner sent is kept with its bytes.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::House;

my $json = JSON::PP->new->utf8->canonical;
my $node = house_node('main');
$node->start;
furnish($node, 'shopdb', 'http://127.0.0.1:1/nobody');
sub sql { return $node->safe_psql('shopdb', $_[0]) }
# a currency that is known and has no rate, an order key that is taken, a reservation key too
sql(q{SELECT distsync.apply('currency', '{"currency":"EUR","minor_units":2}', 'erp')});
my $line = '{"line":1,"item":"I1","quantity":"1","unit":"EA"}';
my $order = qq({"company":"CM","customer":"C6","currency":"USD","source":"shop","lines":[$line]});
sql(qq{SELECT order_number FROM distsync.submit_order('$order', 'taken')});
sql(q{SELECT * FROM distsync.reserve('[{"item":"I1","quantity":1,"unit":"EA","site":"S1"}]', '{"source":"shop","idempotency_key":"taken","holder":"h"}')});
sql(q{SELECT * FROM distsync.apply('unit', '{"unit":"BOX"}', 'erp', 'taken')});
# fault runs a statement and returns what was raised
sql(q{CREATE SCHEMA distsync_test; CREATE FUNCTION distsync_test.fault(statement text, OUT state text, OUT message text, OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END $$});

# well_worded checks what everybody reads.
sub well_worded
{
    my ($what, $said, $state, $field) = @_;
    is($said->{sqlstate} // '', $state, "$what: $state") or diag($json->encode($said));
    like($said->{message} // '', qr/^(?:NaN|Infinity|[^A-Z]).*[^.]$/s, "$what: the message begins small and has no period") or diag($json->encode($said));
    like($said->{detail} // '', qr/^Field: (?:$field)\./, "$what: the detail names the field") or diag($json->encode($said));
    like($said->{hint} // '', qr/^[A-Z0-9"'\$].*[.?)]$/s, "$what: the hint is a sentence") or diag($json->encode($said));
    return;
}

sub order_with
{
    my (%change) = @_;
    my $document = $json->decode($order);
    $document = { %$document, %{ $change{order} // {} } };
    $document->{lines} = [{ %{ $document->{lines}[0] }, %{ $change{line} } }] if $change{line};
    return 'SELECT * FROM distsync.submit_order(' . quote($json->encode($document)) . ')';
}
sub apply { my ($entity, $document) = @_; return "SELECT * FROM distsync.apply('$entity', " . quote($json->encode($document)) . ", 'erp')" }
sub reserve { my (%change) = @_; return 'SELECT * FROM distsync.reserve(' . quote($json->encode([{ item => 'I1', quantity => 1, unit => 'EA', site => 'S1', %change }])) . q{, '{"holder":"h"}')} }
sub quote { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }

my %payment = (company => 'CM', payment_number => 'P1', customer => 'C6', received_at => '2026-06-01T00:00:00Z', currency => 'USD', amount => '10');
my %stock = (event_id => 'E1', kind => 'delta', perspective => 'phys', sku => 'I1', site => 'S1', state => 'available', quantity => '1', unit => 'EA', event_at => '2026-06-01T00:00:00Z');
my @cases = (
    ['apply: unknown entity', q{SELECT * FROM distsync.apply('nonsense', '{}', 'erp')}, 'SD001', 'entity'],
    ['apply: unknown source', q{SELECT * FROM distsync.apply('unit', '{"unit":"BOX"}', 'nobody')}, 'SD022', 'source'],
    ['apply: no document', q{SELECT * FROM distsync.apply('unit', '[1]', 'erp')}, 'SD005', 'document'],
    ['apply: another schema', q{SELECT * FROM distsync.apply('unit', '{"schema":"item/1","unit":"BOX"}', 'erp')}, 'SD005', 'schema'],
    ['apply: unknown option', q{SELECT * FROM distsync.apply('unit', '{"unit":"BOX"}', 'erp', NULL, '{"backfil":true}')}, 'SD002', 'options\.backfil'],
    ['apply: field missing', apply('payment', { map { $_ => $payment{$_} } grep { $_ ne 'amount' } keys %payment }), 'SD005', 'amount'],
    ['apply: unknown customer', apply('payment', { %payment, customer => 'nobody' }), 'SD001', 'customer'],
    ['apply: unknown company', apply('payment', { %payment, company => 'nobody' }), 'SD001', 'company'],
    ['apply: unknown item', apply('stock_event', { %stock, sku => 'nothing' }), 'SD001', 'sku'],
    ['apply: unknown site', apply('stock_event', { %stock, site => 'nowhere' }), 'SD001', 'site'],
    ['apply: unknown unit', apply('stock_event', { %stock, unit => 'BARREL' }), 'SD004', 'unit'],
    ['apply: NaN', apply('stock_event', { %stock, quantity => 'NaN' }), 'SD002', 'quantity'],
    ['apply: Infinity', apply('payment', { %payment, amount => 'Infinity' }), 'SD002', 'amount'],
    ['apply: sign', apply('payment', { %payment, amount => '-10' }), 'SD002', 'amount'],
    ['apply: sign of a count', apply('stock_event', { %stock, kind => 'count', quantity => '-1' }), 'SD002', 'quantity'],
    ['apply: too many decimals', apply('stock_event', { %stock, quantity => '1.0000001' }), 'SD002', 'quantity'],
    ['apply: unknown currency', apply('payment', { %payment, currency => 'XXX' }), 'SD003', 'currency'],
    ['apply: currency without a rate', apply('payment', { %payment, currency => 'EUR' }), 'SD003', 'currency'],
    ['apply: no instant', apply('stock_event', { %stock, event_at => 'yesterday' }), 'SD002', 'event_at'],
    ['apply: key used for another body', q{SELECT * FROM distsync.apply('unit', '{"unit":"CRATE"}', 'erp', 'taken')}, 'SD010', 'idempotency_key'],

    ['submit_order: no document', q{SELECT * FROM distsync.submit_order('7')}, 'SD005', 'document'],
    ['submit_order: nothing', q{SELECT * FROM distsync.submit_order(NULL)}, 'SD005', 'document'],
    ['submit_order: no lines', order_with(order => { lines => [] }), 'SD005', 'lines'],
    ['submit_order: unknown source', order_with(order => { source => 'nobody' }), 'SD022', 'source'],
    ['submit_order: unknown customer', order_with(order => { customer => 'nobody' }), 'SD001', 'customer'],
    ['submit_order: unknown company', order_with(order => { company => 'nobody' }), 'SD001', 'company'],
    ['submit_order: unknown item', order_with(line => { item => 'nothing' }), 'SD001', 'lines\[0\]\.item'],
    ['submit_order: unknown site', order_with(line => { site => 'nowhere' }), 'SD001', 'lines\[0\]\.site'],
    ['submit_order: unknown unit', order_with(line => { unit => 'BARREL' }), 'SD004', 'lines\[0\]\.unit'],
    ['submit_order: NaN', order_with(line => { quantity => 'NaN' }), 'SD002', 'lines\[0\]\.quantity'],
    ['submit_order: Infinity', order_with(line => { quantity => '-Infinity' }), 'SD002', 'lines\[0\]\.quantity'],
    ['submit_order: sign', order_with(line => { quantity => '-1' }), 'SD002', 'lines\[0\]\.quantity'],
    ['submit_order: zero', order_with(line => { quantity => '0' }), 'SD002', 'lines\[0\]\.quantity'],
    ['submit_order: unknown currency', order_with(order => { currency => 'XXX' }), 'SD003', 'currency'],
    ['submit_order: key used for another body', qq{SELECT * FROM distsync.submit_order('} . ($order =~ s/C6/C7/r) . q{', 'taken')}, 'SD010', 'idempotency_key'],
    ['submit_order: key too long', qq{SELECT * FROM distsync.submit_order('$order', repeat('k', 256))}, 'SD002', 'idempotency_key'],

    # the fields of one price are its arguments
    ['price: unknown customer', q{SELECT * FROM distsync.price('nobody', 'I1', 1, 'EA')}, 'SD001', 'customer'],
    ['price: unknown item', q{SELECT * FROM distsync.price('C6', 'nothing', 1, 'EA')}, 'SD001', 'item'],
    ['price: unknown unit', q{SELECT * FROM distsync.price('C6', 'I1', 1, 'BARREL')}, 'SD004', 'unit'],
    ['price: unknown currency', q{SELECT * FROM distsync.price('C6', 'I1', 1, 'EA', NULL, '{"currency":"XXX"}')}, 'SD003', '(?:options\.)?currency'],
    ['price: NaN', q{SELECT * FROM distsync.price('C6', 'I1', 'NaN', 'EA')}, 'SD002', 'quantity'],
    ['price: Infinity', q{SELECT * FROM distsync.price('C6', 'I1', 'Infinity', 'EA')}, 'SD002', 'quantity'],
    ['price: zero', q{SELECT * FROM distsync.price('C6', 'I1', 0, 'EA')}, 'SD002', 'quantity'],
    ['prices: no lines', q{SELECT * FROM distsync.prices('C6', '{}')}, 'SD005', 'lines'],

    ['atp: unknown item', q{SELECT * FROM distsync.atp('nothing', 1, 'EA')}, 'SD001', 'item'],
    ['atp: unknown site', q{SELECT * FROM distsync.atp('I1', 1, 'EA', 'nowhere')}, 'SD001', 'site'],
    ['atp: unknown unit', q{SELECT * FROM distsync.atp('I1', 1, 'BARREL')}, 'SD004', 'unit'],
    ['atp: NaN', q{SELECT * FROM distsync.atp('I1', 'NaN', 'EA')}, 'SD002', 'quantity'],
    ['atp: Infinity', q{SELECT * FROM distsync.atp('I1', 'Infinity', 'EA')}, 'SD002', 'quantity'],
    ['atp: sign', q{SELECT * FROM distsync.atp('I1', -1, 'EA')}, 'SD002', 'quantity'],

    ['credit: unknown customer', q{SELECT * FROM distsync.credit('nobody', 1, 'USD')}, 'SD001', 'customer'],
    ['credit: unknown company', q{SELECT * FROM distsync.credit('C6', 1, 'USD', '{"company":"nobody"}')}, 'SD001', '(?:options\.)?company'],
    ['credit: NaN', q{SELECT * FROM distsync.credit('C6', 'NaN', 'USD')}, 'SD002', 'amount'],
    ['credit: Infinity', q{SELECT * FROM distsync.credit('C6', 'Infinity', 'USD')}, 'SD002', 'amount'],
    ['credit: sign', q{SELECT * FROM distsync.credit('C6', -1, 'USD')}, 'SD002', 'amount'],
    ['credit: unknown currency', q{SELECT * FROM distsync.credit('C6', 1, 'XXX')}, 'SD003', 'currency'],
    ['credit: currency without a rate', q{SELECT * FROM distsync.credit('C6', 1, 'EUR')}, 'SD003', 'currency'],

    ['reserve: no lines', q{SELECT * FROM distsync.reserve('{}')}, 'SD005', 'lines'],
    ['reserve: unknown item', reserve(item => 'nothing'), 'SD001', 'lines\[0\]\.item'],
    ['reserve: unknown site', reserve(site => 'nowhere'), 'SD001', 'lines\[0\]\.site'],
    ['reserve: unknown unit', reserve(unit => 'BARREL'), 'SD004', 'lines\[0\]\.unit'],
    ['reserve: NaN', reserve(quantity => 'NaN'), 'SD002', 'lines\[0\]\.quantity'],
    ['reserve: Infinity', reserve(quantity => 'Infinity'), 'SD002', 'lines\[0\]\.quantity'],
    ['reserve: sign', reserve(quantity => -1), 'SD002', 'lines\[0\]\.quantity'],
    ['reserve: key used for another body', q{SELECT * FROM distsync.reserve('[{"item":"I2","quantity":1,"unit":"EA","site":"S1"}]', '{"source":"shop","idempotency_key":"taken","holder":"h"}')}, 'SD010', '(?:options\.)?idempotency_key'],
);
sub books { return join "\n", grep { /^dist\./ } split /\n/, fingerprint($node, 'shopdb') }
my $before = books();
for my $case (@cases)
{
    my ($what, $statement, $state, $field) = @$case;
    my $said = $json->decode(sql('SELECT jsonb_build_object(\'sqlstate\', state, \'message\', message, \'detail\', detail, \'hint\', hint) FROM distsync_test.fault(' . quote($statement) . ')'));
    $state = $said->{sqlstate} if defined $said->{sqlstate} && $said->{sqlstate} =~ /^$state$/;
    well_worded($what, $said, $state, $field);
}

# the same through the door for partners: [what, bytes, outcome, SQLSTATE, field, how it is signed]
my $n = 0;
sub event { my ($type, $data) = @_; $n++; return qq({"specversion":"1.0","id":"bad-$n","source":"erp","type":"$type","data":) . (ref $data ? $json->encode($data) : $data) . '}' }
my @messages = (
    ['malformed JSON', '{"specversion":"1.0","id":"x","type":"payment","data":{', 'accepted', 'SD005', 'body'],
    ['NaN as a literal', event('stock_event', '{"quantity":NaN}'), 'accepted', 'SD005', 'body'],
    ['invalid UTF-8', event('unit', qq({"unit":"\xC3\x28"})), 'accepted', 'SD007', 'body'],
    ['a byte of zero', event('unit', '{"unit":"A\u0000"}'), 'accepted', 'SD007', 'body'],
    ['half a character', event('unit', '{"unit":"\ud800"}'), 'accepted', 'SD007|SD005', 'body'],
    ['a key twice', event('unit', '{"unit":"A","unit":"B"}'), 'accepted', 'SD005', 'unit'],
    ['ten thousand levels', event('unit', ('[' x 10000) . (']' x 10000)), 'accepted', 'SD006', 'body'],
    ['no entity', event('nonsense', '{"a":1}'), 'accepted', 'SD00[15]', 'entity|type'],
    ['unknown customer', event('payment', { %payment, customer => 'nobody' }), 'accepted', 'SD001', 'customer'],
    ['NaN', event('stock_event', { %stock, quantity => 'NaN' }), 'accepted', 'SD002', 'quantity'],
    ['Infinity', event('payment', { %payment, amount => 'Infinity' }), 'accepted', 'SD002', 'amount'],
    ['sign', event('payment', { %payment, amount => '-10' }), 'accepted', 'SD002', 'amount'],
    ['wrong currency', event('payment', { %payment, currency => 'XXX' }), 'accepted', 'SD003', 'currency'],
    ['one bad document among good ones', event('payment', [\%payment, { %payment, payment_number => 'P2', amount => 'x' }]), 'accepted', 'SD002', '(?:\[1\]\.)?amount'],
    ['oversize', event('unit', '{"unit":"' . ('x' x 2_000_000) . '"}'), 'refused', 'SD006', 'body'],
    ['wrong signature', event('payment', \%payment), 'refused', 'SD020', 'headers', 'other'],
    ['no signature', event('payment', \%payment), 'refused', 'SD020', 'headers', 'none'],
    ['stale timestamp', event('payment', \%payment), 'refused', 'SD021', 'headers', 'stale'],
);
# take signs bytes and hands them to receive(), as the gateway does.
sub take
{
    my ($id, $bytes, $how) = @_;
    my $file = $node->basedir . '/message';
    open(my $out, '>:raw', $file) or die "$file: $!";
    print $out $bytes;
    close $out;
    chmod 0644, $file;
    my $key = ($how // '') eq 'other' ? "convert_to('somebody else''s key', 'UTF8')" : "distsync_internal.http_secret('$SECRET')";
    my $headers = ($how // '') eq 'none' ? "jsonb_build_object('webhook-id', '$id')" : "(SELECT jsonb_object_agg(lower(split_part(l, ': ', 1)), substr(l, strpos(l, ': ') + 2)) FROM unnest(distsync_internal.http_sign('standard', ARRAY[$key], '$id', extract(epoch FROM clock_timestamp())::bigint - " . (($how // '') eq 'stale' ? 600 : 0) . ", body)) l)";
    return $json->decode(sql("SELECT to_jsonb(r) FROM (SELECT pg_read_binary_file('$file') AS body) f, LATERAL distsync.receive('erp', $headers, body) r"));
}
for my $message (@messages)
{
    my ($what, $bytes, $outcome, $state, $field, $how) = @$message;
    my $id = "bad-" . ($what =~ s/\W+/-/gr);
    my $answer = take($id, $bytes, $how);
    my $hex = unpack('H*', $bytes);
    is($answer->{outcome}, $outcome, "receive, $what: $outcome") or diag($json->encode($answer));
    if ($outcome eq 'refused')
    {
        is($answer->{sqlstate}, $state, "receive, $what: $state");
        like($answer->{reason} // '', qr/^[a-z_]+$/, "receive, $what: with a reason");
        is(sql("SELECT sample_body = substr(decode('" . substr($hex, 0, 32768) . "', 'hex'), 1, 16384) FROM sync.refused WHERE source = 'erp' AND reason = '$answer->{reason}'"), 't', "receive, $what: counted, with a sample of its bytes");
        next;
    }
    ok(until_true($node, 'shopdb', "SELECT state = 'quarantined' FROM sync.inbox WHERE inbox_id = $answer->{inbox_id}"), "receive, $what: set aside");
    my $said = $json->decode(sql("SELECT error || jsonb_build_object('sqlstate', sqlstate) FROM sync.inbox WHERE inbox_id = $answer->{inbox_id}"));
    $state = $said->{sqlstate} if defined $said->{sqlstate} && $said->{sqlstate} =~ /^(?:$state)$/;
    well_worded("receive, $what", $said, $state, $field);
    is(sql("SELECT encode(body, 'hex') FROM sync.inbox WHERE inbox_id = $answer->{inbox_id}"), $hex, "receive, $what: with exactly its bytes");
    is(sql("SELECT count(*) FROM sync.exception WHERE kind = 'quarantined' AND state = 'open' AND details ->> 'sqlstate' = '$said->{sqlstate}'") > 0 ? 1 : 0, 1, "receive, $what: people are told");
}
is(books(), $before, 'nothing has changed in the books');

# a message id that comes back with another body
my %unit = (first => event('unit', '{"unit":"PALLET"}'), second => event('unit', '{"unit":"TRAY"}'));
is(take('reused', $unit{first})->{outcome}, 'accepted', 'receive: a message');
ok(until_true($node, 'shopdb', "SELECT count(*) = 1 FROM dist.unit WHERE unit = 'PALLET'"), 'is applied');
$before = books();
my $conflict = take('reused', $unit{second});
is("$conflict->{outcome} $conflict->{sqlstate}", 'refused SD010', 'receive, key used for another body: refused');
is(sql("SELECT state || ' ' || encode(body, 'hex') FROM sync.inbox WHERE inbox_id = $conflict->{inbox_id}"), 'quarantined ' . unpack('H*', $unit{second}), 'receive, key used for another body: in quarantine with its bytes');
is(sql("SELECT outcome || ' ' || sqlstate FROM distsync.receive('nobody', '{}', 'x')"), 'refused SD022', 'receive, unknown source: refused');

is(books(), $before, 'nothing has changed in the books');
is(verify_rows($node, 'shopdb'), '', 'verify() finds nothing');
$node->stop;
done_testing();
