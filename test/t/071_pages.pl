# The worked examples of the pages give the answers that the pages show: each block of SQL runs, in order, and what psql says to one
# that an answer follows is compared with it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::House;

my $node = house_node('main');
$node->start;

# tidy does the removal of what Markdown and editors do not keep: spaces at the ends of lines, empty lines at the end.
sub tidy
{
    my ($text) = @_;
    $text =~ s/[ \t]+$//mg;
    $text =~ s/\n+\z/\n/;
    return $text;
}

for my $spec ('pricing', 'charges', 'commitments', 'price_proof', 'price_impact', 'inventory', 'promises', 'returns', 'orders#A worked day', 'credit#A worked day')
{
    # of some pages one section only is an example that runs from the beginning
    my ($page, $section) = split /#/, $spec;
    my $text = slurp_file("$FindBin::RealBin/../../docs/$page.md");
    my ($title, @blocks) = ('');
    while ($text =~ /^(?:#+ +([^\n]*)|```(sql|text)\n(.*?)^```)$/msg)
    {
        if (defined $1) { $title = $1; }
        elsif ($2 eq 'sql') { push @blocks, { title => $title, sql => $3 }; }
        else { $blocks[-1]{answer} = $3; }
    }
    @blocks = grep { $_->{title} eq $section } @blocks if defined $section;
    $node->safe_psql('postgres', "CREATE DATABASE $page TEMPLATE template0");
    $node->safe_psql($page, 'SET client_min_messages = warning; CREATE EXTENSION distsync CASCADE; SELECT distsync.setup()');
    my $script = join('', "\\pset footer off\n", map { "\\echo ==== $_\n\\warn ==== $_\n$blocks[$_]{sql}\n" } 0 .. $#blocks);
    my ($out, $err) = ('', '');
    IPC::Run::run([ 'psql', '-Xq', '-P', 'pager=off', $node->connstr($page) ], '<', \$script, '>', \$out, '2>', \$err);
    my %told = $out =~ /^==== (\d+)\n(.*?)(?=^==== |\z)/msg;
    my %said = $err =~ /^==== (\d+)\n(.*?)(?=^==== |\z)/msg;
    cmp_ok(scalar(grep { defined $_->{answer} } @blocks), '>', 0, "$page.md shows answers");
    for my $n (0 .. $#blocks)
    {
        my $b = $blocks[$n];
        is($said{$n}, '', "$page.md: $b->{title}: block $n runs without an error or a warning");
        if (defined $b->{answer}) { is(tidy($told{$n} // ''), tidy($b->{answer}), "$page.md: $b->{title}: the answer of block $n is the one shown"); }
        else { unlike($told{$n} // '', qr/rejected|no_price/, "$page.md: $b->{title}: block $n is taken"); }
    }
    my %anchors = map { my $a = lc; $a =~ s/[^\w -]//g; $a =~ tr/ /-/; $a => 1 } $text =~ /^#+ +(.*)$/mg;
    is(join(' ', grep { !$anchors{$_} } $text =~ /\]\(#([^)]+)\)/g), '', "$page.md: every link into the page leads somewhere");
    is(verify_rows($node, $page), '', "$page.md: verify() finds nothing after it");
}
$node->stop;
done_testing();
