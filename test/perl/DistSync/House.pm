# DistSync::House - a cluster with a small distributor on it (test/house.sql), for TAP tests of the whole house.
package DistSync::House;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use File::Basename qw(dirname);
use File::Spec;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(house_node furnish rise ask fingerprint until_true verify_rows $SECRET);
our $SECRET = 'whsec_' . 'aG91c2Ugb2YgdGhlIHRlc3RzLCAzMiBieXRlcyBsb25n';

my $SEED = File::Spec->rel2abs(File::Spec->catfile(dirname(__FILE__), '..', '..', 'house.sql'));

# house_node makes a node whose server preloads distsync; it is not started yet. Options are settings.
sub house_node
{
    my ($name, %settings) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init(allows_streaming => 1);
    my %all = ('shared_preload_libraries' => "'distsync'", 'distsync.instance' => "'house'", 'max_worker_processes' => 16, 'max_prepared_transactions' => 10,
        'log_min_messages' => 'info', 'autovacuum_naptime' => "'5s'", %settings);
    $node->append_conf('postgresql.conf', join('', map { "$_ = $all{$_}\n" } sort keys %all));
    return $node;
}

# furnish creates the extension and the distributor in a database; the endpoint of the shop is at $url.
sub furnish
{
    my ($node, $database, $url) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $database") unless $database eq 'postgres';
    $node->safe_psql($database, 'CREATE EXTENSION distsync');
    $node->safe_psql($database, 'SELECT distsync.setup()');
    my ($out, $err) = ('', '');
    my @command = ('psql', '-XAtq', '-v', "url=$url", '-v', "secret=$SECRET", '-f', $SEED, $node->connstr($database));
    IPC::Run::run(\@command, '>', \$out, '2>', \$err) or die "house.sql failed: $err";
    return;
}

# rise starts a server whose postmaster was killed; its last children must have let go of the shared memory first.
sub rise
{
    my ($node) = @_;
    for (1 .. 300)
    {
        return 1 if $node->start(fail_ok => 1);
        # what a failed start finds in postmaster.pid is the dead one
        $node->{_pid} = undef;
        sleep(0.1);
    }
    return 0;
}

# fingerprint is one line a table of dist and sync: its name, its rows, the hash of their content in canonical order.
sub fingerprint
{
    my ($node, $database, @without) = @_;
    my $skip = join(',', map { "'$_'" } 'sync.instance', @without);
    my @tables = split /\n/, $node->safe_psql($database, "SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('dist', 'sync') AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.oid::regclass::text NOT IN ($skip) ORDER BY c.oid::regclass::text COLLATE \"C\"");
    return join("\n", map { $_ . ' ' . $node->safe_psql($database,
        "SELECT count(*) || ' ' || COALESCE(md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\")), '-') FROM $_ t") } @tables) . "\n";
}

# ask is the answer to a query, undef while the server is away: psql may be gone before it has read what it is asked.
sub ask
{
    my ($node, $database, $query) = @_;
    my (undef, $answer) = eval { $node->psql($database, $query) };
    return $answer;
}

# until_true waits until a query answers t, at most $seconds (default 60).
sub until_true
{
    my ($node, $database, $query, $seconds) = @_;
    my $end = time() + ($seconds // 60);
    while (time() < $end)
    {
        return 1 if (ask($node, $database, $query) // '') eq 't';
        sleep(0.05);
    }
    return 0;
}

# verify_rows is what verify() finds: nothing, when all is well.
sub verify_rows
{
    my ($node, $database) = @_;
    return $node->safe_psql($database, 'SELECT * FROM distsync.verify()');
}

1;
