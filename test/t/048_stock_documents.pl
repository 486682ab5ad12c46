# Documents of stock that are wrong: each field of each entity, in each way that its type, its sign, its choices and its meaning allow, one by one. Told
# alone they are an error, told with on_error = collect a rejected row; both name the field, and nothing has changed. A field or an entity that has no
# wrong values here fails the test.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Refusals;

my $node = refusing();

# ---- what no value of a type is: [what, JSON, SQLSTATE]; text is text, a reference to text stands as it is
my @no_code = ([ 'empty', '', 'SD002' ], [ 'a control character', "a\tb", 'SD002' ], [ 'a blank before', ' a', 'SD002' ], [ 'a blank behind', 'a ', 'SD002' ], [ '256 characters', 'x' x 256, 'SD002' ],
    (map { [ $_, \$_, 'SD005' ] } '5', 'true', '{}', '[]', '["a"]'));
my @no_number = ((map { [ "\"$_\"", $_, 'SD002' ] } 'NaN', 'Infinity', '-Infinity', 'x', '', '1e400', '0x1F', '1,5', ' 1', '1' x 201), (map { [ $_, \$_, 'SD002' ] } '1e400', '10000000000000000000'), (map { [ $_, \$_, 'SD005' ] } 'true', '{}', '[1]'));
my %type = (
    code => \@no_code,
    name => [ [ '256 characters', 'x' x 256, 'SD002' ], (map { [ $_, \$_, 'SD005' ] } '5', 'true', '{}', '[]') ],
    unit => [ @no_code, [ 'unknown', 'BARREL', 'SD004' ] ],
    text => [ [ 'a megabyte and more', 'x' x 1_100_000, 'SD006' ], (map { [ $_, \$_, 'SD005' ] } '5', 'true', '{}', '[]') ],
    quantity => [ @no_number, [ 'seven decimals', \'0.0000001', 'SD002' ], [ '15 digits', \'100000000000000', 'SD002' ] ],
    number => \@no_number,
    integer => [ @no_number, [ 'a part', \'1.5', 'SD002' ] ],
    boolean => [ map { [ $_, \$_, 'SD005' ] } '"true"', '"x"', '1', '{}', '[]' ],
    instant => [ (map { [ "\"$_\"", $_, 'SD002' ] } 'yesterday', '2026-02-30T00:00:00Z', '2026-13-01', '', 'infinity', '2026-01-01T25:00:00Z', '0000-01-01', '10:00'), (map { [ $_, \$_, 'SD005' ] } '5', 'true', '{}', '[]') ],
    date => [ (map { [ "\"$_\"", $_, 'SD002' ] } 'tomorrow', '2026-02-30', '2026-1-1', '', '2026-01-01T00:00:00Z', '0000-01-01'), (map { [ $_, \$_, 'SD005' ] } '5', 'true', '{}', '[]') ],
    list => [ (map { [ $_, \$_, 'SD005' ] } '"x"', '5', '{}', 'true'), (map { [ $_, \$_, 'SD005', '[0]' ] } '[1]', '[null]', '[{}]', '[""]') ],
);
my @unknown = ([ 'unknown', 'nothing', 'SD001' ]);

# entity: [who tells it, a document that is right, {field: what it never is besides}, {what: [changes, SQLSTATE, field]}]
my %entity = (
    stock_event => [ 'wms', { event_id => 'E1', kind => 'receive', sku => 'I1', site => 'S1', quantity => \'1', event_at => '2024-02-01T00:00:00Z' },
        { sku => [ @unknown, [ 'a kit', 'KIT', 'SD002' ] ], site => \@unknown, owner => \@unknown, state => \@unknown, event_at => [ [ 'to come', '2999-01-01T00:00:00Z', 'SD002' ] ],
            quantity => [ [ 'none', \'0', 'SD002' ], [ 'negative', \'-1', 'SD002' ], [ 'null', undef, 'SD005' ] ], sequence => [ [ 'too large', \'9223372036854775808', 'SD002' ] ],
             },
        {
            'no perspective from who has none' => [ { source => 'desk' }, 'SD005', 'perspective' ], 'no instant' => [ { event_at => undef }, 'SD005', 'event_at' ],
            'a count below 0' => [ { kind => 'count', quantity => \'-1' }, 'SD002', 'quantity' ], 'a count of nothing' => [ { kind => 'count', quantity => undef }, 'SD005', 'quantity' ],
            'a delta of nothing' => [ { kind => 'delta', quantity => undef }, 'SD005', 'quantity' ], 'a shipment of 0' => [ { kind => 'ship', quantity => \'0' }, 'SD002', 'quantity' ],
            'a transfer to nowhere' => [ { kind => 'transfer' }, 'SD005', 'to_site' ], 'a transfer to an unknown site' => [ { kind => 'transfer', to_site => 'nowhere' }, 'SD001', 'to_site' ],
            'a transfer to an unknown state' => [ { kind => 'transfer', to_state => 'lost' }, 'SD001', 'to_state' ], 'a transfer of less than 0' => [ { kind => 'transfer', to_site => 'S2', quantity => \'-3' }, 'SD002', 'quantity' ],
            'a reversal of nothing' => [ { kind => 'reverse', quantity => undef }, 'SD005', 'reverses' ], 'a reversal of a count' => [ { kind => 'reverse', quantity => undef, reverses => '1' }, 'SD002', 'reverses' ],
            'a part of a base unit' => [ { unit => 'TH' }, 'SD002', 'quantity' ], 'more than a balance holds' => [ { unit => 'BX', quantity => \'99999999999999' }, 'SD002', 'quantity' ],
            'an event that was told otherwise' => [ { event_id => '3', sku => 'I2' }, 'SD010', 'event_id' ],
        } ],
    supply => [ 'erp', { kind => 'purchase', reference => 'PO/2', sku => 'I1', site => 'S1', quantity => \'5', expected_at => '2999-01-01T00:00:00Z' },
        { sku => [ @unknown, [ 'a kit', 'KIT', 'SD002' ] ], site => [ @unknown, [ 'null', undef, 'SD005' ] ], quantity => [ [ 'negative', \'-1', 'SD002' ], [ 'null', undef, 'SD005' ] ], received => [ [ 'negative', \'-1', 'SD002' ] ],
            expected_at => [ [ 'null', undef, 'SD005' ] ], confidence => [ [ 'negative', \'-1', 'SD002' ], [ 'more than all', \'1.01', 'SD002' ], [ 'five decimals', \'0.00001', 'SD002' ] ] },
        { 'a part of a base unit' => [ { unit => 'TH' }, 'SD002', 'quantity' ], 'a part of a base unit received' => [ { unit => 'TH', quantity => \'3', received => \'1' }, 'SD002', 'received' ] } ],
    demand => [ 'erp', { demand_key => 'C/7/1', sku => 'I1', site => 'S1', ordered => \'1' },
        { sku => [ @unknown, [ 'a kit of nothing', 'EMPTY', 'SD002' ] ], site => \@unknown, customer => \@unknown, (map { $_ => [ [ 'negative', \'-1', 'SD002' ] ] } qw(ordered allocated)), priority => [ [ 'negative', \'-1', 'SD002' ], [ 'too large', \'2147483648', 'SD002' ] ] },
        { 'a part of a base unit' => [ { unit => 'TH' }, 'SD002', 'ordered' ], 'a part of a base unit allocated' => [ { unit => 'TH', ordered => \'3', allocated => \'1' }, 'SD002', 'allocated' ] } ],
    channel_item => [ 'erp', { channel => 'WEB', sku => 'I2' }, { sku => \@unknown, channel => \@unknown, (map { $_ => [ [ 'negative', \'-1', 'SD002' ] ] } qw(buffer cap threshold)) }, {} ],
    item_site => [ 'erp', { sku => 'I1', site => 'S1', safety => \'1' },
        { sku => [ @unknown, [ 'a kit', 'KIT', 'SD002' ] ], site => \@unknown, (map { $_ => [ [ 'negative', \'-1', 'SD002' ] ] } qw(safety backorder_cap)), lead_days => [ map { [ "$_ days", \$_, 'SD002' ] } '0', '-1', '3661' ],
            (map { $_ => [ map { [ "$_ days", \$_, 'SD002' ] } '-1', '367' ] } qw(ship_days supply_grace_days)), demand_fence_days => [ map { [ "$_ days", \$_, 'SD002' ] } '-1', '3661' ],
            (map { $_ => [ map { [ "$_ days", \$_, 'SD002' ] } '-2', '367' ] } qw(inspection_days returns_days transit_days)) },
        { 'a part of a base unit' => [ { unit => 'TH' }, 'SD002', 'safety' ], 'a part of a base unit beyond stock' => [ { unit => 'TH', safety => \'3', backorder_cap => \'1' }, 'SD002', 'backorder_cap' ] } ],
    stock_quota => [ 'erp', { sku => 'I1', scope_kind => 'channel', scope_key => 'WEB', quantity => \'5' },
        { sku => [ @unknown, [ 'a kit', 'KIT', 'SD002' ] ], site => \@unknown, scope_key => [ @unknown, [ 'null', undef, 'SD005' ] ], quantity => [ [ 'negative', \'-1', 'SD002' ], [ 'null', undef, 'SD005' ] ] },
        { 'an end before the beginning' => [ { valid_from => '2030-01-02T00:00:00Z', valid_to => '2030-01-01T00:00:00Z' }, 'SD002', 'valid_to' ], 'an end at the beginning' => [ { valid_from => '2030-01-01T00:00:00Z', valid_to => '2030-01-01T00:00:00Z' }, 'SD002', 'valid_to' ],
            'an unknown customer' => [ { scope_kind => 'customer' }, 'SD001', 'scope_key' ], 'an unknown region' => [ { scope_kind => 'region' }, 'SD001', 'scope_key' ], 'a part of a base unit' => [ { unit => 'TH' }, 'SD002', 'quantity' ] } ],
    sourcing_rule => [ 'erp', { company => 'C', channel => 'WEB', rules => ['rank'], preferred => ['S1'] },
        { company => \@unknown, channel => \@unknown, rules => [ [ 'unknown', ['magic'], 'SD002', '[0]' ], [ 'twice', [ 'rank', 'rank' ], 'SD002' ] ],
            preferred => [ [ 'unknown', [ 'S1', 'nowhere' ], 'SD001' ], [ 'too many', [ ('S1') x 101 ], 'SD002' ], [ 'twice', [ 'S1', 'S1' ], 'SD002' ] ] }, {} ],
    stock_level => [ 'wms', { sku => 'I1', site => 'S1', quantity => \'5', counted_at => '2024-02-01T00:00:00Z' },
        { sku => [ @unknown, [ 'a kit', 'KIT', 'SD002' ] ], site => \@unknown, owner => \@unknown, state => \@unknown, quantity => [ [ 'negative', \'-1', 'SD002' ] ], counted_at => [ [ 'to come', '2999-01-01T00:00:00Z', 'SD002' ], [ 'null', undef, 'SD005' ] ] },
        { 'no perspective from who has none' => [ { source => 'desk' }, 'SD005', 'perspective' ], 'a part of a base unit' => [ { unit => 'TH' }, 'SD002', 'quantity' ] } ],
    reallocation_rule => [ 'erp', { code => 'R1', strategy => 'gain', kind => 'soft', sku => 'I1' },
        { sku => \@unknown, category => \@unknown, customer => \@unknown, customer_group => \@unknown, channel => \@unknown, strategy => [ [ 'null', undef, 'SD005' ] ],
            (map { $_ => [ [ 'negative', \'-1', 'SD002' ] ] } qw(priority_from priority_to)) },
        { 'what is hard loses' => [ { kind => 'hard', strategy => 'lose' }, 'SD002', 'strategy' ], 'priorities the wrong way round' => [ { priority_from => \'5', priority_to => \'4' }, 'SD002', 'priority_from' ],
            'too large a priority' => [ { priority_from => \'2147483648' }, 'SD002', 'priority_from' ] } ],
    shelf_rule => [ 'erp', { customer => 'P1', sku => 'I1', shelf_days => \'5' }, { customer => \@unknown, sku => \@unknown, shelf_days => [ [ 'negative', \'-1', 'SD002' ], [ 'a hundred years and more', \'36601', 'SD002' ] ] }, {} ],
);
is(join(' ', sort keys %entity), sql(q{SELECT string_agg(e.entity, ' ' ORDER BY e.entity COLLATE "C") FROM distsync_internal.document_entity e WHERE e.domain = 'stock'}), 'each entity of stock is in the table');

for my $entity (sort keys %entity)
{
    my ($source, $good, $also, $whole) = @{ $entity{$entity} };
    my @documents;
    my %declared;
    for (split /\n/, sql("SELECT f.field, f.type, f.required OR f.field = ANY (e.key_fields) AND f.required, array_to_string(f.choices, ',') FROM distsync_internal.document_field f JOIN distsync_internal.document_entity e USING (entity) WHERE f.entity = '$entity' AND f.field NOT LIKE '%[]%' ORDER BY f.field COLLATE \"C\""))
    {
        my ($field, $type, $required, $choices) = split /\|/, $_, -1;
        $declared{$field} = 1;
        ok($type{$type}, "$entity.$field: its type, $type, is in the table");
        my @wrong = (@{ $type{$type} // [] }, @{ $also->{$field} // [] });
        push @wrong, [ 'no choice', 'magic', 'SD002' ] if $choices ne '' && $type ne 'list';
        push @wrong, [ 'null', undef, 'SD005' ] if $required eq 't';
        push @documents, map { [ "$field $_->[0]", { %$good, $field => $_->[1] }, $_->[2], $field . ($_->[3] // '') ] } @wrong;
        push @documents, [ "$field missing", { map { $_ => $good->{$_} } grep { $_ ne $field } keys %$good }, 'SD005', $field ] if $required eq 't';
    }
    is(join(' ', grep { !$declared{$_} } sort keys %$also), '', "$entity: what is in the table is declared");
    push @documents, map { [ $_, { %$good, %{ $whole->{$_}[0] } }, $whole->{$_}[1], $whole->{$_}[2] ] } sort keys %$whole;
    push @documents, map { [ "no document: $_", \$_, 'SD005', 'document' ] } '5', 'null', '[]', '"x"', 'true';
    is(attempt("SELECT * FROM distsync.apply('$entity', " . quote(js($good)) . ", '$source')")->{sqlstate}, undef, "$entity: what is changed in each wrong document is right before");
    my (@alone, @collected);
    for (@documents)
    {
        my ($what, $document, $state, $field) = @$_;
        my $from = ref $document eq 'HASH' && delete $document->{source} || $source;
        push @alone, [ $what, "SELECT * FROM distsync.apply('$entity', " . quote(js($document)) . ", '$from') r", $state, $field ];
        push @collected, [ $what, "SELECT * FROM distsync.apply_all('$entity', " . quote('[' . js($document) . ']') . ", '$from', NULL, '{\"on_error\":\"collect\"}') r", $state, $field ];
    }
    for my $way (qw(off on))
    {
        sql("ALTER DATABASE postgres SET distsync.price_through_sql = $way");
        my $how = $way eq 'on' ? 'the whole way' : 'the short way';
        attempts("$entity, alone, $how", @alone);
        attempts("$entity, collected, $how", @collected);
    }
}

# one wrong document among good ones
my @three = map { { %{ $entity{stock_event}[1] }, event_id => "M$_", quantity => \($_ == 2 ? '-1' : '1') } } 1 .. 3;
attempts('one of three', [ 'all or nothing', q{SELECT * FROM distsync.apply_all('stock_event', } . quote(js(\@three)) . q{, 'wms')}, 'SD002', 'quantity' ]);
# no documents are no event
is(attempt(q{SELECT * FROM distsync.apply_all('stock_event', '[]', 'wms') r})->{changed}, undef, 'an empty list changes nothing');

# what is wrong with the call itself
sub apply { my (%change) = @_; my %given = (entity => "'stock_event'", documents => quote('[' . js($entity{stock_event}[1]) . ']'), source => "'wms'", %change); return 'SELECT * FROM distsync.apply_all(' . join(', ', map { "$_ => $given{$_}" } sort keys %given) . ') r' }
attempts('the call',
    [ 'unknown entity', apply(entity => "'stock_events'"), 'SD001', 'entity' ], [ 'no entity', apply(entity => 'NULL'), 'SD001', 'entity' ], [ 'unknown source', apply(source => "'nobody'"), 'SD022', 'source' ], [ 'no source', apply(source => 'NULL'), 'SD022', 'source' ],
    [ 'no documents', apply(documents => 'NULL'), 'SD005', 'documents' ], [ 'no list', apply(documents => q{'{}'}), 'SD005', 'documents' ], [ 'too many', apply(documents => q{(SELECT jsonb_agg(jsonb_build_object('event_id', n)) FROM generate_series(1, 100001) n)}), 'SD006', 'documents' ],
    [ 'unknown option', apply(options => q{'{"on_eror":"collect"}'}), 'SD002', 'options.on_eror' ], [ 'a wrong option', apply(options => q{'{"on_error":"ignore"}'}), 'SD005', 'options.on_error' ], [ 'options of the wrong shape', apply(options => q{'[]'}), 'SD005', 'options' ],
    [ 'a long key', apply(idempotency_key => q{repeat('k', 256)}), 'SD002', 'idempotency_key' ]);
# what cannot be JSON is refused by the server before any verb hears of it
is(attempt(q{SELECT * FROM distsync.apply('stock_event', '{"event_id":"a\u0000"}', 'wms') r})->{sqlstate}, '22P05', 'a byte of zero is no JSON here');
$node->stop;
done_testing();
