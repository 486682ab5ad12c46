# The workers fail at every point of their loops, once, in each way: whatever happens, every message is delivered and
# recorded, under its one id, and every task is done once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Chaos;
use DistSync::Worker;

my $chaos = DistSync::Chaos->start;
my $node = worker_node('main');
$node->start;
with_handlers($node, 'one');
with_failpoints($node, 'one');
$node->safe_psql('one', "INSERT INTO distsync_test.knob VALUES ('lease', '1 s')");
workers_run($node, 'one', 'workers run');

# arm sets a point: it acts at its next hit.
sub arm { my ($point, $action) = @_; $node->safe_psql('one', "SELECT distsync_test.failpoint_set('$point', '$action', nth => 1)") }

# back_again waits until the server is back after a kill -9 of one of its processes.
sub back_again
{
    $node->poll_query_until('postgres', "SELECT NOT pg_is_in_recovery() AND EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'distsync launcher')");
}

# play commits 5 messages and 5 rows for the clerk and waits until all is done.
sub play
{
    my ($point, $action) = @_;
    my ($path, $mark) = ("/$point/$action", -s $node->logfile);
    my $wake = "SELECT distsync_internal.worker_wake('both')";
    my $tell = "INSERT INTO distsync_test.event (url, body) SELECT '" . $chaos->url($path) . "', 'x' FROM generate_series(1, 5); INSERT INTO distsync_test.task SELECT FROM generate_series(1, 5)";
    $node->psql('one', "BEGIN; $tell; SELECT distsync_test.failpoint_set('$point', '$action', nth => 1); COMMIT");
    wait_for_log($node, $action eq 'sigkill' ? qr/was terminated by signal 9/ : qr/fail-point "\Q$point\E"/, "$action at $point happens", $mark);
    back_again() if $action eq 'sigkill';
    # a worker that was busy with something else may have come to the point before the commit, and taken it along
    my $told = "SELECT EXISTS (SELECT FROM distsync_test.event WHERE url LIKE '%$path') OR EXISTS (SELECT FROM distsync_test.job WHERE url LIKE '%$path')";
    $node->safe_psql('one', "BEGIN; $tell; COMMIT") if $action eq 'sigkill' && $node->safe_psql('one', $told) eq 'f';
    # a crash loses wake-ups, so the poll (ten minutes here) is played by hand
    ok($node->poll_query_until('one', "$wake; SELECT (SELECT count(*) = 5 AND bool_and(state = 'done' AND status = 200) FROM distsync_test.job WHERE url LIKE '%$path') AND NOT EXISTS (SELECT FROM distsync_test.task WHERE done_at IS NULL)", "\nt"),
        'and all is delivered, recorded and done after it');
    my %ids;
    $ids{ $_->{headers}{'webhook-id'} }++ for $chaos->requests(path => $path);
    is(scalar keys %ids, 5, 'under five ids');
    return \%ids;
}

for my $point ('worker.route.after', 'worker.claim.before_commit', 'worker.claim.after_commit', 'worker.submit.after',
    'worker.record.before', 'worker.finish.before_commit', 'worker.finish.after_commit')
{
    for my $action ('error', 'fatal', 'sigkill')
    {
        my $ids = play($point, $action);
        my $sent = 0;
        $sent += $_ for values %$ids;
        is($sent, 5, 'each sent once') if $point =~ /route|claim/;
    }
}
for my $action ('error', 'fatal', 'sigkill')
{
    play("worker.clerk.$_", $action) for 'before_commit', 'after_commit';
}

# at the start of a worker, and in the launcher
for my $point ('worker.start', 'worker.launcher.before_start')
{
    for my $action ('error', 'fatal', 'sigkill')
    {
        my $mark = -s $node->logfile;
        arm($point, $action);
        my $courier = pid_of($node, 'one', 'courier');
        $node->psql('postgres', "SELECT pg_terminate_backend($courier)");
        wait_for_log($node, $action eq 'sigkill' ? qr/was terminated by signal 9/ : qr/fail-point "\Q$point\E"/, "$action at $point happens", $mark);
        back_again() if $action eq 'sigkill';
        workers_run($node, 'one', 'and the workers are back after it');
    }
}
is($node->safe_psql('one', 'SELECT count(*) FROM distsync_test.task WHERE done_at IS NULL'), '0', 'nothing is left');
$node->stop;
$chaos->stop;

done_testing();
