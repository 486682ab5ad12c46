# The loops of courier and clerk, with handlers of the test: woken by commits and not by time, no transaction during HTTP,
# every answer recorded once, errors of one task the trouble of that task.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use DistSync::Chaos;
use DistSync::Worker;

my $chaos = DistSync::Chaos->start;
my $node = worker_node('main');
$node->start;
my $offset = -s $node->logfile;
with_handlers($node, 'one');
workers_run($node, 'one', 'workers run');

# emit commits events for a path of the partner.
sub emit
{
    my ($path, $from, $to) = @_;
    $node->safe_psql('one', "INSERT INTO distsync_test.event (url, body) SELECT '" . $chaos->url($path) . "', 'body ' || n FROM generate_series($from, $to) n");
}

# all_done waits until every job of a path has its answer.
sub all_done
{
    my ($path, $n, $what) = @_;
    wait_for_sql($node, 'one', "SELECT count(*) = $n AND bool_and(state = 'done') FROM distsync_test.job WHERE url LIKE '%$path'", $what);
}

# looks is how often the courier looked for work: its loop also turns for timers and for what partners do to idle connections.
sub looks { return $node->safe_psql('one', 'SELECT last_value FROM distsync_test.look') }

# looks_at_rest waits until the courier has found nothing to do for half a second, and returns its number of looks.
sub looks_at_rest
{
    my ($before, $now) = (-1, looks());
    while ($now != $before)
    {
        $before = $now;
        sleep 0.5;
        $now = looks();
    }
    return $now;
}

# woken by the commit: the fallback poll is ten minutes away
my $listener = $node->background_psql('one', on_error_stop => 1);
$listener->query_safe('LISTEN distsync_test');
emit('/first', 1, 1);
all_done('/first', 1, 'a commit wakes the courier, the message is delivered');
is($node->safe_psql('one', "SELECT status || '/' || curl_code || '/' || convert_from(response_body, 'UTF8') FROM distsync_test.job WHERE url LIKE '%/first'"),
    '200/0/{"ok":true}', 'the answer of the partner is kept');
is($node->safe_psql('one', "SELECT response_headers LIKE 'HTTP/1.1 200%' AND total_us > 0 AND retry_after IS NULL AND error IS NULL FROM distsync_test.job WHERE url LIKE '%/first'"), 't', 'with headers and times');
my ($request) = $chaos->wait_for(1, path => '/first');
is($request->{headers}{'webhook-id'}, 'msg_1', 'headers travel as SQL wrote them') or diag(explain($request));
like($listener->query_safe('SELECT 1'), qr/Asynchronous notification "distsync_test"/, 'the courier rang for listeners');
$listener->quit;

# a rolled back transaction wakes nobody, a prepared one wakes when it is committed: once the courier is through with the first message
my $looks = looks_at_rest();
$node->safe_psql('one', "BEGIN; INSERT INTO distsync_test.event (url, body) VALUES ('" . $chaos->url('/rolled') . "', 'x'); ROLLBACK");
is(looks(), $looks, 'a rollback wakes nobody');
$node->safe_psql('one', "BEGIN; INSERT INTO distsync_test.event (url, body) VALUES ('" . $chaos->url('/prepared') . "', 'x'); PREPARE TRANSACTION 'p'");
is(looks(), $looks, 'nor does PREPARE TRANSACTION');
# the server itself sets a worker's latch now and then: that is no work
my $loops = "SELECT loops FROM distsync_internal.worker_status() WHERE kind = 'courier' AND database = 'one'";
my $turns = $node->safe_psql('one', $loops);
kill 'USR1', $node->safe_psql('one', "SELECT pid FROM distsync_internal.worker_status() WHERE kind = 'courier' AND database = 'one'");
wait_for_sql($node, 'one', "SELECT ($loops) > $turns", 'a signal between processes turns the loop');
is(looks(), $looks, 'and wakes nobody');
$node->safe_psql('one', "COMMIT PREPARED 'p'");
all_done('/prepared', 1, 'COMMIT PREPARED does');
cmp_ok(looks(), '>', $looks, 'and then it looks');

# while the router leaves states alone, commits that bring states only are noted and wake nobody; other work wakes, and takes nothing away
sub wake { return $node->safe_psql('one', "SELECT distsync_internal.worker_wake('$_[0]')") }
sub looks_more { my ($than, $what) = @_; return wait_for_sql($node, 'one', "SELECT last_value > $than FROM distsync_test.look", $what) }
$looks = looks_at_rest();
wake('states');
looks_more($looks, 'states wake the courier');
$node->safe_psql('one', "INSERT INTO distsync_test.knob VALUES ('route_answer', '-60000')");
$looks = looks_at_rest();
wake('courier');
looks_more($looks, 'the router says that it leaves states alone');
$looks = looks_at_rest();
wake('states') for 1 .. 3;
is(looks_at_rest(), $looks, 'then they wake nobody');
$node->safe_psql('one', "UPDATE distsync_test.knob SET value = '-1000' WHERE name = 'route_answer'");
wake('courier');
looks_more($looks, 'other work does');
$node->safe_psql('one', "DELETE FROM distsync_test.knob WHERE name = 'route_answer'");
looks_more($looks + 1, 'and when the time is over, the courier looks by itself');
$looks = looks_at_rest();
wake('states');
looks_more($looks, 'and states wake it again');

# the clerk: woken, in rounds until there is nothing left, as the owner for good
$node->safe_psql('one', 'INSERT INTO distsync_test.task SELECT FROM generate_series(1, 9)');
wait_for_sql($node, 'one', 'SELECT count(*) = 9 FROM distsync_test.task WHERE done_at IS NOT NULL', 'the clerk works until nothing is left');
is($node->safe_psql('one', 'SELECT DISTINCT done_by FROM distsync_test.task'), 'distsync_owner/distsync_owner/pg_catalog, pg_temp', 'as distsync_owner, with a pinned path');
is($node->safe_psql('one', "SELECT count(*) || '/' || string_agg(DISTINCT result, ';') FROM distsync_test.escape"), '6/42501, now distsync_owner', 'and there is no way back to the superuser');

# what is due later is done then, without a wake-up
$node->safe_psql('one', "INSERT INTO distsync_test.job (id, url, body, due_at) VALUES (1001, '" . $chaos->url('/later') . "', 'x', clock_timestamp() + interval '1 s'); SELECT distsync_internal.worker_wake('courier')");
all_done('/later', 1, 'next_due bounds the wait');

# no transaction while HTTP runs; on new connections only, because libcurl repeats by itself what was lost on a used one
$chaos->drop;
$chaos->program('/hang' => 'hang');
emit('/hang', 1, 20);
$chaos->wait_for(20, path => '/hang');
wait_for_sql($node, 'postgres', "SELECT xact_start IS NULL AND backend_xmin IS NULL AND backend_xid IS NULL AND state = 'idle' FROM pg_stat_activity WHERE backend_type = 'distsync courier'",
    'while twenty requests hang the courier has no transaction');
emit('/beside', 1, 30);
all_done('/beside', 30, 'others are delivered meanwhile');
is($node->safe_psql('one', "SELECT count(*) FROM distsync_test.job WHERE url LIKE '%/hang' AND state = 'claimed'"), '20', 'the hanging ones are still out');

# an answer comes back under pause too; nothing new goes out
$node->safe_psql('one', "SELECT distsync.pause('test')");
$chaos->clear;
$chaos->drop;
all_done('/hang', 20, 'what was out when pause() came is recorded');
is($node->safe_psql('one', "SELECT count(*) FROM distsync_test.job WHERE url LIKE '%/hang' AND curl_code <> 0 AND error IS NOT NULL"), '20', 'as the failures they are');
emit('/paused', 1, 3);
wait_for_sql($node, 'one', "SELECT idle_reason = 'paused: test' FROM distsync_internal.worker_status() WHERE kind = 'courier' AND database = 'one'", 'the courier idles');
is($node->safe_psql('one', 'SELECT count(*) FROM distsync_test.event WHERE NOT routed'), '3', 'and routes nothing');
$node->safe_psql('one', 'SELECT distsync.resume()');
all_done('/paused', 3, 'resume() lets it go');

# a feed is pulled the same way
$node->safe_psql('one', "INSERT INTO distsync_test.feed (id, url) VALUES (1, '" . $chaos->url('/feed') . "'); SELECT distsync_internal.worker_wake('courier')");
wait_for_sql($node, 'one', "SELECT pulls > 0 AND status = 200 AND convert_from(body, 'UTF8') = '{\"ok\":true}' FROM distsync_test.feed", 'a feed is pulled, and its page handed over');

# what never leaves is an answer too
$node->safe_psql('one', "INSERT INTO distsync_test.event (url, body) VALUES ('gopher://x/bad', 'x'), ('http://127.0.0.1:1/bad', 'x')");
all_done('/bad', 2, 'a refused url and a closed port are recorded');
is($node->safe_psql('one', "SELECT count(*) FROM distsync_test.job WHERE url LIKE '%/bad' AND status = 0 AND curl_code <> 0 AND error <> ''"), '2', 'with code and reason');

# one result that cannot be recorded does not keep the others back
$node->safe_psql('one', "INSERT INTO distsync_test.knob SELECT 'finish_id', max(id) + 5 FROM distsync_test.event; INSERT INTO distsync_test.knob VALUES ('lease', '1 h')");
emit('/poison', 1, 12);
wait_for_sql($node, 'one', "SELECT count(*) FILTER (WHERE state = 'done') = 11 AND count(*) = 12 FROM distsync_test.job WHERE url LIKE '%/poison'", 'eleven of twelve are recorded although they came together');
$node->safe_psql('one', "DELETE FROM distsync_test.knob WHERE name = 'finish_id'");
all_done('/poison', 12, 'and the twelfth when it can be');
is(scalar $chaos->wait_for(12, path => '/poison'), 12, 'each was sent once');

# an error of one task is logged once and does not stop the others
my $mark = -s $node->logfile;
$node->safe_psql('one', "INSERT INTO distsync_test.knob VALUES ('claim', 'error'), ('task', 'error')");
emit('/claimless', 1, 2);
$node->safe_psql('one', 'INSERT INTO distsync_test.task DEFAULT VALUES');
wait_for_sql($node, 'one', "SELECT count(*) = 2 FROM distsync_test.job WHERE url LIKE '%/claimless'", 'routing goes on while claiming fails');
wait_for_sql($node, 'one', "SELECT bool_and(last_error LIKE 'knob % says so' AND errors >= 2 AND pid IS NOT NULL) FROM distsync_internal.worker_status() WHERE kind IN ('courier', 'clerk')", 'errors are counted, tried again and shown');
for my $task ('claim', 'test_task')
{
    my @logged = substr(slurp_file($node->logfile), $mark) =~ /WARNING:  task "$task" failed/g;
    is(scalar @logged, 1, "the failure of $task is logged once");
}
$node->safe_psql('one', "DELETE FROM distsync_test.knob WHERE name IN ('claim', 'task'); SELECT distsync_internal.worker_wake('both')");
all_done('/claimless', 2, 'it goes on when the error is mended');
wait_for_sql($node, 'one', 'SELECT count(*) = 0 FROM distsync_test.task WHERE done_at IS NULL', 'for the clerk too');
wait_for_log($node, qr/task "claim" works again/, 'which is logged', $mark);

# a lock that somebody holds is not waited for for ever
my $session = $node->background_psql('one', on_error_stop => 1);
$session->query_safe('BEGIN');
$session->query_safe('LOCK TABLE distsync_test.event');
$node->safe_psql('one', "SELECT distsync_internal.worker_wake('courier')");
wait_for_sql($node, 'one', "SELECT last_error LIKE '%lock timeout%' FROM distsync_internal.worker_status() WHERE kind = 'courier' AND database = 'one'", 'a worker yields to a lock');
$session->query_safe('COMMIT');
$session->quit;
emit('/unlocked', 1, 1);
all_done('/unlocked', 1, 'and goes on after it');

# DROP EXTENSION with requests out: the worker leaves at once, and the books stay
$chaos->program('/hang' => 'hang');
emit('/hang', 1, 5);
$chaos->wait_for(25, path => '/hang');
$node->safe_psql('one', 'DROP SCHEMA distsync_test CASCADE; SELECT distsync.teardown(); DROP EXTENSION distsync CASCADE');
workers_gone($node, 'one', 'DROP EXTENSION while requests hang');
stopped_cleanly($node, $offset, 'nothing crashed on the way');

# fast shutdown with requests out
with_handlers($node, 'two');
workers_run($node, 'two', 'workers run in another database');
$node->safe_psql('two', "INSERT INTO distsync_test.event (url, body) SELECT '" . $chaos->url('/hang') . "', 'x' FROM generate_series(1, 100)");
$chaos->wait_for(125, path => '/hang');
$node->stop('fast');
pass('fast shutdown does not wait for a hundred hanging requests');
$chaos->clear;
$node->start;
workers_run($node, 'two', 'after the start they run');
$node->safe_psql('two', "UPDATE distsync_test.job SET lease_until = now(); SELECT distsync_internal.worker_wake('courier')");
wait_for_sql($node, 'two', "SELECT count(*) = 100 AND bool_and(state = 'done' AND attempts = 2) FROM distsync_test.job", 'what was out is sent again when its lease is over');
$node->stop;
$chaos->stop;
stopped_cleanly($node, $offset, 'and nothing crashed');

done_testing();
