# What is wrong, in a table: each verb of stock with each argument, option and field of a line wrong in each way. Whatever it is, it has a code of its
# own, a message, a detail that names the field, a hint that is a sentence, and nothing has changed. A verb, an argument or an option that has no
# wrong values here fails the test.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Refusals;

my $node = refusing();

# ---- values that are wrong: [what, SQL or JSON, SQLSTATE, field if it is not the argument itself]; a reference is JSON as it stands
my $long = 'x' x 300;
my %never = (unknown => 'nothing', empty => '', long => $long, odd => "a\nb\tc", blank => ' I1');
sub codes { my ($state, %also) = @_; my %all = (%never, %also); return map { [ $_, $all{$_}, $state ] } sort keys %all }
my @no_text = map { [ "of the wrong kind: $_", \$_, 'SD002' ] } '{}', '[]', '["x"]', 'true';
my @no_boolean = map { [ "no boolean: $_", \$_, 'SD002' ] } '"maybe"', '1', '0', '[]', '{}', '""';
my @no_integer = map { [ "no whole number: $_", \$_, 'SD002' ] } '1.5', '"x"', '1e30', '[]', '{}', 'true', '""', '-1';
my @no_instant = map { [ "no instant: $_", \$_, 'SD002' ] } '"yesterday"', '"2026-02-30T00:00:00Z"', '"2026-13-01"', '""', '5', '[]', '"infinity"', '"NaN"';
my @no_numbers = (map { [ "$_", $_, 'SD002' ] } 'NaN', 'Infinity', '-Infinity', 'x', '', '1e400', '0x1F', '1,5'), (map { [ "$_", \$_, 'SD002' ] } '1e400', 'true', '{}', '[1]');
my @too_many_digits = map { [ "$_", \$_, 'SD002' ] } '1000000000000000', '0.0000001', '1.2345678', '99999999999999999999999999999999';

# what an option of this name never is, in whatever verb; the codes it may name are unknown
my %option = (
    idempotency_key => [ @no_text, (map { [ length($_) . ' characters', $_, 'SD002', 'idempotency_key' ] } '', 'x' x 256) ],
    (map { $_ => [ @no_text, [ 'too long', 'x' x 10001, 'SD002' ] ] } qw(reason demand_key lot)),
    holder => [ @no_text, [ 'too long', 'x' x 10001, 'SD002' ] ],
    (map { $_ => [ @no_text, codes('SD001') ] } qw(company customer channel item site owner state ship_to carrier)),
    zone => [ @no_text ],
    source => [ @no_text ],
    mode => [ @no_text, [ 'unknown', 'magic', 'SD002' ], [ 'empty', '', 'SD002' ] ],
    perspective => [ @no_text, [ 'unknown', 'magic', 'SD002' ] ],
    on_error => [ @no_text, [ 'unknown', 'magic', 'SD002' ] ],
    kind => [ @no_text, [ 'unknown', 'magic', 'SD002' ] ],
    (map { $_ => \@no_boolean } qw(use_safety detail substitutes split commit keep_rest void dry_run take_over)),
    min_shelf_days => [ @no_integer, [ 'a hundred years and more', \'36601', 'SD002' ] ],
    priority => [ @no_integer, [ 'too large', \'2147483648', 'SD002' ] ],
    (map { $_ => [ @no_integer, [ 'none', \'0', 'SD002' ], [ 'too many', \'100001', 'SD002' ] ] } qw(limit)),
    after => [ @no_integer ],
    max_parts => [ @no_integer, [ 'none', \'0', 'SD002' ], [ 'too many', \'101', 'SD002' ], [ 'of what is no schedule', \'3', 'SD002' ] ],
    # where something stands only in one verb, or means something else there
    'reserve.holder' => [ @no_text, [ 'empty', '', 'SD002' ], [ '256 characters', 'x' x 256, 'SD002' ] ],
    'published_stock.after' => [ @no_text ],
    (map { $_ => \@no_instant } qw(until known_at)),
    ttl => [ (map { [ $_, $_, 'SD002' ] } 'soon', '', '0 seconds', '-1 minute', '367 days', '1 year 1 month', 'infinity'), @no_text[0, 1, 3] ],
    ids => [ (map { [ "no numbers: $_", \$_, 'SD005' ] } '5', '"5"', '{}', '["x"]', '[-1]', '[1.5]', '[null]', '[[1]]', '[9999999999999999999]'), [ 'too many', \('[' . join(',', 1 .. 10001) . ']'), 'SD005' ] ],
    sourcing => [ map { [ "no rules: $_", \$_, 'SD002' ] } '"rank"', '{}', '[]', '["magic"]', '[1]', '[["rank"]]', '["rank","rank","rank","rank","rank","rank"]' ],
    preferred => [ (map { [ "no sites: $_", \$_, 'SD002' ] } '"S1"', '{}', '[1]', '[null]', '[["S1"]]', '[' . join(',', ('"S1"') x 101) . ']'), [ 'unknown', \'["S1","nowhere"]', 'SD001', 'options.preferred[1]' ] ],
);

# ---- arguments: name of the argument, what it never is
my @unknown_item = ([ 'unknown', "'nothing'", 'SD001' ], [ 'empty', "''", 'SD001' ], [ 'long', "repeat('x', 5000)", 'SD001' ], [ 'odd', "E'a\\nb'", 'SD001' ]);
my @unknown_site = @unknown_item;
my @asked = (map { [ $_, quote($_), 'SD002' ] } 'NaN', 'Infinity', '-Infinity', '-1', '-0.000001', '1e400', '1000000000000000', '0.0000001');
my @unknown_unit = ([ 'unknown', "'BARREL'", 'SD004' ], [ 'empty', "''", 'SD004' ], [ 'long', "repeat('x', 5000)", 'SD004' ]);
my @no_reservation = map { [ $_, $_, 'SD001' ] } 'NULL', '0', '-1', '9223372036854775807';
my %ended = (released => 'SD041', void => 'SD041', shipped => 'SD041', swept => 'SD042', expired => 'SD042');
my @over = ([ 'NaN', "'NaN'", 'SD002' ], [ 'Infinity', "'Infinity'", 'SD002' ], [ '-Infinity', "'-Infinity'", 'SD002' ], [ 'zero', '0', 'SD002' ], [ 'negative', '-1', 'SD002' ], [ 'seven decimals', '0.0000001', 'SD002' ],
    [ 'more than is held', '10.000001', 'SD041' ], [ 'far more', '99999999999999', 'SD041' ], [ 'too many digits', '99999999999999999999.000001', 'SD041' ]);
# a command on one reservation: the states in which it is refused, and quantities
sub ended { my @also = @_; return ((map { [ $_, "refuse.id('$_')", $ended{$_} ] } sort keys %ended), @no_reservation, map { [ $_, "refuse.id('$_')", 'SD041' ] } @also) }
my @no_options = ([ 'a list', "'[]'", 'SD005' ], [ 'a number', "'7'", 'SD005' ], [ 'a text', q{'"x"'}, 'SD005' ], [ 'null', q{'null'}, 'SD005' ], [ 'unknown', q{'{"no such option":1}'}, 'SD002', 'options.no such option' ],
    [ 'unknown and long', q{jsonb_build_object(repeat('y', 5000), 1)}, 'SD002', 'options.' . 'y' x 80 ]);

# lines of a call of reserve(): a good one, and what each of its fields never is
my %line = (
    item => [ [ 'missing', undef, 'SD005', 'lines[0]' ], codes('SD001'), [ 'a kit of nothing', 'EMPTY', 'SD002' ], (map { [ "of the wrong kind: $_", \$_, 'SD005', 'lines[0].item' ] } '{}', '[]', 'true', '5') ],
    quantity => [ @no_numbers, @too_many_digits, [ 'zero', \'0', 'SD002' ], [ 'negative', \'-1', 'SD002' ], [ 'negative text', '-0.5', 'SD002' ] ],
    unit => [ [ 'unknown', 'BARREL', 'SD004' ], [ 'empty', '', 'SD004' ], [ 'long', $long, 'SD004' ], (map { [ "of the wrong kind: $_", \$_, 'SD005' ] } '{}', '[]', 'true') ],
    site => [ codes('SD001'), (map { [ "of the wrong kind: $_", \$_, 'SD005' ] } '{}', '[]', 'true') ],
    demand_key => [ [ 'too long', $long, 'SD002' ], (map { [ "of the wrong kind: $_", \$_, 'SD005' ] } '{}', '[]', 'true') ],
    requested_at => [ (grep { ref $_->[1] && ${ $_->[1] } =~ /^"/ } @no_instant), (map { [ "of the wrong kind: $_", \$_, 'SD005' ] } '{}', '[]', '5') ],
);
my @no_lines = ((map { [ $_, "'$_'", 'SD005' ] } '{}', '[]', '7', 'null', '"x"'), [ 'NULL', 'NULL', 'SD005' ]);
sub no_line { my ($field) = @_; return map { [ "a line is $_", "'[$_]'", 'SD005', $field ] } '5', 'null', '[]', '"I1"', '{}' }
my @of_numbers = (
    (map { [ "reservation $_->[0]", "jsonb_build_array(jsonb_build_object('reservation_id', $_->[1]))", $_->[1] =~ /^(?:NULL|-1|\d{19})$/ ? 'SD005' : $_->[2], 'lines[0].reservation_id' ] } ended('committed')),
    (map { [ "reservation_id $_", qq{'[{"reservation_id":$_}]'}, 'SD005', 'lines[0].reservation_id' ] } '"x"', '1.5', '{}', '[1]', '99999999999999999999', 'true'),
    (map { [ "quantity $_->[0]", qq{jsonb_build_array(jsonb_build_object('reservation_id', refuse.id('held'), 'quantity', $_->[1]))}, $_->[2], 'lines[0].quantity' ] } @over),
    [ 'the same twice', q{jsonb_build_array(jsonb_build_object('reservation_id', refuse.id('held'), 'quantity', 1), jsonb_build_object('reservation_id', refuse.id('held'), 'quantity', 1))}, 'SD002', 'lines[0].reservation_id' ],
    [ 'a part of a kit', q{jsonb_build_array(jsonb_build_object('reservation_id', refuse.id('kit'), 'quantity', 1.5))}, 'SD002', 'lines[0].quantity' ],
    [ 'the second is wrong', q{jsonb_build_array(jsonb_build_object('reservation_id', refuse.id('held')), jsonb_build_object('reservation_id', refuse.id('void')))}, 'SD041', 'lines[1].reservation_id' ],
    [ 'too many', q{(SELECT jsonb_agg(jsonb_build_object('reservation_id', n)) FROM generate_series(1, 10001) n)}, 'SD005' ],
);
my @others = ([ 'another holder', q{'{"holder":"nobody"}'}, 'SD041', 'options.holder' ], [ 'a key that was used for another call', q{'{"source":"erp","idempotency_key":"taken"}'}, 'SD010', 'idempotency_key' ]);
my $taken = [ 'a key that was used for another call', q{'{"source":"erp","idempotency_key":"taken","holder":"other"}'}, 'SD010', 'idempotency_key' ];

# verb: [arguments that are right, {argument: what it never is}]; [] = any value of its type is right
my @what = ({ item => "'I1'", quantity => '1', unit => "'EA'", site => "'S1'", at => 'NULL', options => "'{}'" }, { item => [ @unknown_item, [ 'NULL', 'NULL', 'SD005' ] ], quantity => [ @asked, [ 'NULL', 'NULL', 'SD002' ] ], unit => \@unknown_unit, site => \@unknown_site, at => [], options => \@no_options });
my $one = { reservation_id => "refuse.id('held')", quantity => 'NULL', options => "'{}'" };
my %verb = (
    atp => \@what,
    explain_atp => \@what,
    atp_timeline => [ { item => "'I1'", site => "'S1'", at => 'NULL', options => "'{}'" }, { item => $what[1]{item}, site => \@unknown_site, at => [], options => \@no_options } ],
    reserve => [ { lines => q{'[{"item":"I1","quantity":1}]'}, options => q{'{"holder":"x"}'} }, { options => [ @no_options, $taken, map { [ "a soft promise in mode $_", qq{'{"holder":"x","kind":"soft","mode":"$_"}'}, 'SD002', 'options.kind' ] } qw(one_date complete schedule) ], lines => [ @no_lines, no_line('lines[0]'),
        (map { my $f = $_; map { [ "$f $_->[0]", quote('[' . js({ item => 'I1', quantity => \'1', $f => $_->[1] }) . ']'), $_->[2], $_->[3] // "lines[0].$f" ] } @{ $line{$f} } } sort keys %line),
        [ 'no whole kits', q{'[{"item":"KIT","quantity":1.5}]'}, 'SD002', 'lines[0].quantity' ], [ 'the second is wrong', q{'[{"item":"I1","quantity":1},{"item":"I1","quantity":-1}]'}, 'SD002', 'lines[1].quantity' ],
        [ 'finer than its unit', q{'[{"item":"WHOLE","quantity":0.5}]'}, 'SD002', 'lines[0].quantity' ], [ 'blocked', q{'[{"item":"OFF","quantity":1}]'}, 'SD044', 'lines[0].item' ],
        [ 'inactive', q{'[{"item":"I1","quantity":1},{"item":"OLD","quantity":1}]'}, 'SD044', 'lines[1].item' ], [ 'a part of a base unit', q{'[{"item":"I1","quantity":1,"unit":"TH"}]'}, 'SD002', 'lines[0].quantity' ],
        [ 'too many', q{(SELECT jsonb_agg('{"item":"I1","quantity":1}'::jsonb) FROM generate_series(1, 10001))}, 'SD005' ] ] } ],
    commit_reservation => [ $one, { reservation_id => [ ended('committed') ], quantity => [ @over ], options => [ @no_options, @others ] } ],
    release_reservation => [ $one, { reservation_id => [ ended('committed') ], quantity => [ @over ], options => [ @no_options, @others ] } ],
    extend_reservation => [ { reservation_id => "refuse.id('held')", ttl => "'1 hour'", options => "'{}'" }, { reservation_id => [ ended('committed') ], options => [ @no_options, @others ],
        ttl => [ (map { [ $_, "interval '$_'", 'SD002', 'ttl' ] } '0', '-1 second', '367 days', '1 month -30 days', '-1 month', '2 years'), [ 'NULL', 'NULL', 'SD005', 'ttl' ] ] } ],
    commit_reservations => [ { lines => q{jsonb_build_array(jsonb_build_object('reservation_id', refuse.id('held')))}, options => "'{}'" }, { lines => [ @no_lines, no_line('lines[0].reservation_id'), @of_numbers ], options => [ @no_options, @others ] } ],
    release_reservations => [ { lines => q{jsonb_build_array(jsonb_build_object('reservation_id', refuse.id('held')))}, options => "'{}'" }, { lines => [ @no_lines, no_line('lines[0].reservation_id'), @of_numbers ], options => [ @no_options, @others ] } ],
    reservation_status => [ { reservation_id => 'NULL', options => "'{}'" }, { reservation_id => [], options => \@no_options } ],
    stock_as_of => [ { item => "'I1'", site => "'S1'", as_of => 'NULL', options => "'{}'" }, { item => \@unknown_item, site => \@unknown_site, as_of => [], options => \@no_options } ],
    count_differences => [ { item => "'I1'", site => "'S1'", from_at => 'NULL', to_at => 'NULL', options => "'{}'" }, { item => \@unknown_item, site => \@unknown_site, from_at => [], to_at => [], options => \@no_options } ],
    reallocate => [ { item => "'I1'", site => "'S1'", options => "'{}'" }, { item => \@unknown_item, site => \@unknown_site, options => \@no_options } ],
    rebuild_stock => [ { item => "'I1'", site => "'S1'", options => "'{}'" }, { item => \@unknown_item, site => \@unknown_site, options => \@no_options } ],
    published_stock => [ { channel => "'WEB'", item => 'NULL', options => "'{}'" }, { channel => [ @unknown_item, [ 'NULL', 'NULL', 'SD005' ] ], item => \@unknown_item, options => \@no_options } ],
    hot_items => [ {}, {} ],
);

# call is a statement that calls a verb, with one argument as it should not be.
sub call
{
    my ($verb, $good, %change) = @_;
    my %given = (%$good, %change);
    return "SELECT * FROM distsync.$verb(" . join(', ', map { "$_ => $given{$_}" } sort keys %given) . ') r';
}

# the verbs of the room are those that its sources register
my %mine = map { $_ => 1 } map { my $text = slurp_file($_); map { /\('(\w+)', '\{/g } $text =~ /INSERT INTO distsync_internal\.verb \(name, roles\) VALUES(.*?);/sg } glob("$FindBin::RealBin/../../src/inventory/*.sql");
my %registered = map { $_ => 1 } split /\n/, sql('SELECT name FROM distsync_internal.verb');
is(join(' ', grep { !$registered{$_} } sort keys %mine), '', 'the verbs of the room are registered');
is(join(' ', grep { !$verb{$_} } sort keys %mine), '', 'each verb of the room is in the table');
is(join(' ', grep { !$mine{$_} } sort keys %verb), '', 'and no other');

for my $verb (grep { $mine{$_} } sort keys %verb)
{
    my ($good, $wrong) = @{ $verb{$verb} };
    my @arguments = split /\n/, sql("SELECT unnest(p.proargnames[1:p.pronargs]) FROM pg_proc p WHERE p.pronamespace = 'distsync'::regnamespace AND p.proname = '$verb' AND p.pronargs > 0");
    is(join(' ', sort keys %$wrong), join(' ', sort @arguments), "$verb: each argument is in the table");
    my @cases;
    for my $argument (sort keys %$wrong)
    {
        push @cases, map { [ "$argument $_->[0]", call($verb, $good, $argument => $_->[1]), $_->[2], $_->[3] // $argument ] } @{ $wrong->{$argument} };
    }
    if ($good->{options})
    {
        # the verb itself says which options it knows
        my $hint = attempt(call($verb, $good, options => q{'{"?":1}'}))->{hint};
        my @options = $hint =~ /^Known options are (.*)\.$/ ? split(/, /, $1) : ();
        my %wrong_option = map { $_ => $option{"$verb.$_"} // $option{$_} } @options;
        is(join(' ', grep { !$wrong_option{$_} } @options), '', "$verb: each option is in the table");
        for my $option (grep { $wrong_option{$_} } @options)
        {
            push @cases, map { [ "options.$option $_->[0]", call($verb, $good, options => quote(js({ ($good->{options} =~ /holder/ ? (holder => 'x') : ()), $option => $_->[1] }))), $_->[2], $_->[3] // "options.$option" ] } @{ $wrong_option{$option} };
        }
    }
    # a call must be right but for what is wrong in it
    is(attempt(call($verb, $good))->{sqlstate}, undef, "$verb: what is changed in each wrong call is right before");
    attempts($verb, @cases) if @cases;
}
# what there is not enough of is no error but an answer: it changes nothing either, and the key may be used again
for my $lines ('[{"item":"I1","quantity":1000000}]', '[{"item":"I1","quantity":1},{"item":"I2","quantity":1000000}]', '[{"item":"KIT","quantity":1000000}]')
{
    my $said = attempt(call('reserve', $verb{reserve}[0], lines => quote($lines), options => q{'{"holder":"x","idempotency_key":"again"}'}));
    is(join(' ', map { $_->{outcome} } grep { $_->{outcome} ne 'refused' } @{ $said->{answer} }), 'short', "$lines: there is too little");
    is($said->{changed}, undef, "$lines: nothing has changed");
}
$node->stop;
done_testing();
