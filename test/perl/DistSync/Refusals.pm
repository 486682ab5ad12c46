# DistSync::Refusals - a cluster with a small world of stock (test/refuse/world.sql), and the checking of what is said to wrong calls: a code of its
# own, a message that begins small, a detail and a column that name the field, a hint that is a sentence, and nothing has changed.
package DistSync::Refusals;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use File::Basename qw(dirname);
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(refusing sql attempt attempts js quote);
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $node;

# refusing makes the world. No library is preloaded, so that no worker changes anything meanwhile.
sub refusing
{
    $node = PostgreSQL::Test::Cluster->new('refuse');
    $node->init;
    $node->append_conf('postgresql.conf', "log_statement = none\nlog_min_error_statement = panic\nfsync = off\n");
    $node->start;
    $node->safe_psql('postgres', 'CREATE EXTENSION distsync CASCADE');
    $node->safe_psql('postgres', 'SELECT distsync.setup()');
    $node->command_ok([ 'psql', '-XAtq', '-o', '/dev/null', '-f', dirname(__FILE__) . '/../../refuse/world.sql', $node->connstr('postgres') ], 'world.sql');
    return $node;
}

sub sql { my ($statement) = @_; return $node->safe_psql('postgres', $statement) }

# quote writes text as SQL has it.
sub quote { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }

# js writes JSON: text is text, a reference to text stands as it is, so that numbers keep their digits.
sub js
{
    my ($v) = @_;
    return '{' . join(',', map { $json->encode($_) . ':' . js($v->{$_}) } sort keys %$v) . '}' if ref $v eq 'HASH';
    return '[' . join(',', map { js($_) } @$v) . ']' if ref $v eq 'ARRAY';
    return $$v if ref $v;
    return defined $v ? $json->encode("$v") : 'null';
}

# attempt is what was said to one statement, which is undone.
sub attempt { my ($statement) = @_; return $json->decode(sql('SELECT refuse.attempt(' . quote($statement) . ')')) }

# attempts sends wrong statements in one session, [what, statement, SQLSTATE, field], and checks what was said to each. Those that answer with rows
# say the same in the columns of the first row.
sub attempts
{
    my ($about, @cases) = @_;
    my $file = $node->basedir . '/attempts.sql';
    open(my $out, '>:raw', $file) or die "$file: $!";
    print $out 'SELECT refuse.attempt(' . quote($_->[1]) . ");\n" for @cases;
    print $out "SELECT to_jsonb(COALESCE(refuse.changed(), ''));\n";
    close $out;
    my @said = map { $json->decode($_) } split /\n/, sql("\\i $file\n");
    my $changed = pop @said;
    is(scalar(@said), scalar(@cases), "$about: each call was answered");
    my @wrong;
    for my $n (0 .. $#cases)
    {
        my ($what, $statement, $state, $field) = @{ $cases[$n] };
        my @why = ill_worded($said[$n], $state, $field);
        push @wrong, "$what: " . join('; ', @why) . "\n    " . substr($statement, 0, 300) . "\n    " . substr($json->encode($said[$n]), 0, 700) if @why;
    }
    is(join("\n", @wrong), '', "$about: " . @cases . ' wrong calls are refused as they should be');
    is($changed, '', "$about: nothing has changed");
    return;
}

# ill_worded is what is wrong with a refusal.
sub ill_worded
{
    my ($said, $state, $field) = @_;
    my $row = $said->{answer} ? $said->{answer}[0] : undef;
    my $told = $row && $row->{sqlstate} ? $row : $said;
    return ('it was no refusal') unless defined $told->{sqlstate};
    my @why;
    push @why, "not $state" if $told->{sqlstate} ne $state;
    push @why, 'the message does not begin small, or has a period, or is long' unless $told->{message} =~ /^(?:NaN|-?Infinity|[^A-Z]).*[^.]$/s && length $told->{message} < 400;
    push @why, 'the hint is no sentence' unless ($told->{hint} // '') =~ /^[A-Z0-9"'\$].*[.?)]$/s;
    push @why, "the field is not $field" if ($told->{field} // '') ne $field;
    if ($told == $said)
    {
        push @why, "the detail does not name $field" if index($told->{detail} // '', "Field: $field.") != 0;
        push @why, 'the detail is long' if length($told->{detail} // '') > 800;
    }
    else
    {
        push @why, 'it was not rejected' if $row->{outcome} ne 'rejected';
        push @why, "it changed $said->{changed}" if defined $said->{changed};
    }
    return @why;
}

1;
