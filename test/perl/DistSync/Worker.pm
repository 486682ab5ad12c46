# Worker: a server with distsync preloaded and what the tests of the workers ask of it.
#
# Workers poll every ten minutes here, so whatever happens in a test happened because somebody woke them.
package DistSync::Worker;

use strict;
use warnings;
use parent 'Exporter';
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

our @EXPORT = qw(worker_node with_extension with_handlers with_failpoints workers_run workers_gone pid_of status_of wait_for_sql wait_for_log stopped_cleanly);

# worker_node makes a server; further settings by name.
sub worker_node
{
    my ($name, %settings) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init(%{ delete $settings{init} // {} });
    my %all = (
        shared_preload_libraries => 'distsync', 'distsync.instance' => 'lab', 'distsync.courier_poll_interval' => '10min',
        'distsync.clerk_poll_interval' => '10min', 'distsync.probe_interval' => '1h', restart_after_crash => 'on',
        max_prepared_transactions => 5, max_worker_processes => 16, log_line_prefix => '%m [%p] %b %d ', %settings);
    $node->append_conf('postgresql.conf', join '', map { "$_ = '$all{$_}'\n" } sort keys %all);
    return $node;
}

# wait_for_sql waits until a query returns "t", or a given text, and is a test of its own.
sub wait_for_sql
{
    my ($node, $db, $sql, $what, $expected) = @_;
    my $done = $node->poll_query_until($db, $sql, $expected // 't');
    ok($done, $what) or diag($node->safe_psql('postgres', 'SELECT backend_type, datname, state, query FROM pg_stat_activity'), slurp_tail($node));
    return $done;
}

sub slurp_tail { my $log = slurp_file($_[0]->logfile); return substr($log, length $log > 4000 ? -4000 : 0) }

# wait_for_log waits until the server's log has a line, and is a test of its own.
sub wait_for_log
{
    my ($node, $pattern, $what, $offset) = @_;
    my $found = 0;
    for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
    {
        last if $found = substr(slurp_file($node->logfile), $offset // 0) =~ $pattern;
        select(undef, undef, undef, 0.1);
    }
    return ok($found, $what);
}

# with_extension makes a database that has all that users have.
sub with_extension
{
    my ($node, $db) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE \"$db\"") unless $db eq 'postgres';
    $node->safe_psql($db, 'CREATE EXTENSION distsync');
    $node->safe_psql($db, 'SELECT distsync.setup()');
}

# with_handlers adds the handlers of the tests.
sub with_handlers
{
    my ($node, $db) = @_;
    with_extension($node, $db);
    $node->safe_psql($db, slurp_file("$FindBin::RealBin/../worker/handlers.sql"));
}

# with_failpoints adds the functions that arm fail-points: only a library built with DISTSYNC_TEST=1 has them.
sub with_failpoints
{
    my ($node, $db) = @_;
    $node->safe_psql($db, slurp_file("$FindBin::RealBin/../failpoint.sql"));
}

# workers_run waits for courier and clerk of a database, in a state.
sub workers_run
{
    my ($node, $db, $what, $state) = @_;
    $state //= 'active';
    wait_for_sql($node, $db, "SELECT count(*) = 2 FROM distsync_internal.worker_status() WHERE database = '$db' AND pid IS NOT NULL AND state = '$state'", $what);
}

# workers_gone waits until no process of ours is in a database.
sub workers_gone
{
    my ($node, $db, $what) = @_;
    wait_for_sql($node, 'postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '$db' AND backend_type LIKE 'distsync%'", $what);
}

sub pid_of
{
    my ($node, $db, $kind) = @_;
    return $node->safe_psql('postgres', "SELECT max(pid) FROM pg_stat_activity WHERE backend_type = 'distsync $kind'" . (defined $db ? " AND datname = '$db'" : ''));
}

sub status_of
{
    my ($node, $db, $kind, $column) = @_;
    return $node->safe_psql($db, "SELECT $column FROM distsync_internal.worker_status() WHERE kind = '$kind' AND database " . ($kind eq 'launcher' ? 'IS NULL' : "= '$db'"));
}

# stopped_cleanly checks the log from an offset: no crash, no assertion, no complaint about leaks.
sub stopped_cleanly
{
    my ($node, $offset, $what) = @_;
    unlike(substr(slurp_file($node->logfile), $offset), qr/was terminated by signal|PANIC|TRAP:|leaked|out of shared memory/i, $what);
}

1;
