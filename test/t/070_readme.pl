# The README's screen of SQL works when pasted, as a whole and without an error, and tells the story it promises.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::House;

my $readme = slurp_file("$FindBin::RealBin/../../README.md");
my ($sql) = $readme =~ /^```sql\n(.*?)^```/ms;
ok($sql, 'there is a screen of SQL');
my $node = house_node('main');
$node->start;
my ($out, $err) = ('', '');
IPC::Run::run([ 'psql', '-XAt', '-v', 'ON_ERROR_STOP=1', $node->connstr('postgres') ], '<', \$sql, '>', \$out, '2>', \$err);
is($err, '', 'no error, no warning');
like($out, qr/^18\.5\S*\|222\.00\|K-ACME/m, 'the price of twelve is the contract\'s second tier');
like($out, qr/^\S+\|accepted\|222\.00$/m, 'the first order is accepted');
like($out, qr/^\S+\|held\|held\|\[/m, 'the second one is held, with reasons');
like($out, qr/^\S+\|\w+\|released$/m, 'the payment released it');
is(verify_rows($node, 'postgres'), '', 'verify() finds nothing');

# the table of verbs has every verb, and none that is not there
my ($verbs) = $readme =~ /^## The verbs\n(.*?)^## /ms;
my @told = sort map { /`(\w+)`/g } grep { /^\| \w/ } split /\n/, $verbs;
is("@told", join(' ', split /\n/, $node->safe_psql('postgres', q{SELECT DISTINCT proname COLLATE "C" FROM pg_proc WHERE pronamespace = 'distsync'::regnamespace ORDER BY 1})),
    'the table of verbs is complete and true');

# every document that the README and the docs point to is there
for my $page ('README.md', glob("$FindBin::RealBin/../../docs/*.md"))
{
    my $path = $page eq 'README.md' ? "$FindBin::RealBin/../../README.md" : $page;
    my $text = slurp_file($path);
    (my $dir = $path) =~ s{[^/]*$}{};
    is(join(' ', grep { !-e "$dir$_" } $text =~ /\]\(((?!https?:)[^)#\s]+)/g), '', "$page points to pages that exist");
}
$node->stop;
done_testing();
