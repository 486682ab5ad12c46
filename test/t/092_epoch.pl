# What a backend remembers of rules and codes is current, however they have changed: by another session, in what was rolled back, in its own
# transaction, in the role of a replica, on a standby, after its promotion, and by a transaction that was prepared before the server started.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use DistSync::Worker;

my $node = worker_node('primary', init => {allows_streaming => 1}, 'distsync.databases' => '');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE DATABASE e;
\c e
CREATE EXTENSION distsync;
SELECT distsync.setup();
SELECT distsync.add_system('erp', 'erp'), distsync.add_system('wms', 'wms');
SELECT * FROM distsync.apply('currency', '{"currency":"USD"}', 'erp');
SELECT * FROM distsync.apply('unit', '{"unit":"EA"}', 'erp');
SELECT * FROM distsync.apply('company', '{"code":"C","name":"c","currency":"USD"}', 'erp');
SELECT * FROM distsync.apply('party', '{"code":"P","name":"p"}', 'erp');
SELECT * FROM distsync.apply('credit_account', '{"code":"P","customer":"P","currency":"USD"}', 'erp');
SELECT * FROM distsync.apply('item', '{"sku":"A","base_unit":"EA"}', 'erp');
SQL

my $ASK = q{SELECT outcome FROM distsync.credit('P', 5)};
my $BLOCK = q{INSERT INTO dist.credit_rule (code, type, threshold, action) VALUES ('ALL', 'order_amount', 0, 'block')};
my $PASS = q{DELETE FROM dist.credit_rule WHERE code = 'ALL'};
my $who = session($node);
my $other = session($node);

sub session { return $_[0]->background_psql('e', on_error_stop => 1) }
sub says { my ($session, $expected, $what) = @_; is($session->query_safe($ASK), $expected, $what); return }
sub both { my ($expected, $what) = @_; says($who, $expected, $what); says($who, $expected, "$what, and so again"); return }

both('approved', 'no rule');

# another session
$other->query_safe('BEGIN');
$other->query_safe($BLOCK);
both('approved', 'a rule of another transaction is none before it commits');
$other->query_safe('COMMIT');
both('held', 'it is one as soon as that has committed');
$other->query_safe('BEGIN');
$other->query_safe($PASS);
$other->query_safe('ROLLBACK');
both('held', 'what was rolled back has changed nothing');
$other->query_safe($_) for ('BEGIN', 'SAVEPOINT s', $PASS, 'ROLLBACK TO s', 'COMMIT');
both('held', 'nor has what was rolled back to a savepoint');
$other->query_safe($_) for ('BEGIN', 'SAVEPOINT s', $PASS, 'RELEASE s');
both('held', 'a savepoint that was released is not yet committed');
$other->query_safe('COMMIT');
both('approved', 'now it is');

# the own transaction
$who->query_safe($_) for ('BEGIN', 'SAVEPOINT s', $BLOCK);
both('held', 'the own rule counts in the own transaction');
$who->query_safe('ROLLBACK TO s');
both('approved', 'and no more when it is rolled back to a savepoint');
$who->query_safe($BLOCK);
both('held', 'made again it counts again');
says($other, 'approved', 'for nobody else');
$who->query_safe('ROLLBACK');
both('approved', 'and when all is rolled back it is gone');
# a number that was taken back is given to somebody else
$other->query_safe($BLOCK);
both('held', 'who has the number of what was rolled back is not taken for it');
$other->query_safe($PASS);

# a snapshot that is older than the change
$who->query_safe($_) for ('BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT 1');
$other->query_safe($BLOCK);
both('approved', 'an old snapshot sees the old rules');
$who->query_safe('COMMIT');
both('held', 'the next one the new');
$other->query_safe($PASS);
both('approved', 'without the rule again');

# in the role of a replica: who moves the number by hand, and who changes a rule
$other->query_safe(q{SET session_replication_role = replica});
$other->query_safe($BLOCK);
both('held', 'a rule that was written in the role of a replica is seen');
$other->query_safe($PASS);
both('approved', 'and one that was taken away');
$other->query_safe($_) for ('BEGIN', $BLOCK, q{UPDATE dist.epoch SET n = n + 1 WHERE domain = 'credit'}, 'COMMIT');
both('held', 'so is one that comes with its number, as replication brings it');
$other->query_safe($PASS);
both('approved', 'and goes with it');
is($other->query_safe(q{SELECT count(*) FROM distsync.atp('A')}), '1', 'no site');
$other->query_safe(q{INSERT INTO dist.site (code, name, company_id) SELECT 'S', 's', company_id FROM dist.company});
is($who->query_safe(q{SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"1","kind":"receive","sku":"A","site":"S","quantity":1,"event_at":"2026-01-01T00:00:00Z"}', 'wms')}), 'applied', 'a site that was written so is one');
$other->query_safe('RESET session_replication_role');

# somebody switches the note off: nobody remembers
$other->query_safe('ALTER TABLE dist.epoch DISABLE TRIGGER epoch_moved_trg');
both('approved', 'where moves are not noted');
$other->query_safe($BLOCK);
both('held', 'numbers are read');
$other->query_safe($PASS);
$other->query_safe('ALTER TABLE dist.epoch ENABLE ALWAYS TRIGGER epoch_moved_trg');
both('approved', 'switched on again');

# a standby is not told, so it reads
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my $reader = session($standby);
says($reader, 'approved', 'a standby knows no rule') for 1 .. 2;
$other->query_safe($BLOCK);
$node->wait_for_catchup($standby);
says($reader, 'held', 'and knows it when it has come') for 1 .. 2;
$other->query_safe($PASS);
$node->wait_for_catchup($standby);
says($reader, 'approved', 'and when it has gone') for 1 .. 2;

# prepared before the server started, committed after: nobody has noted it since
$other->query_safe($_) for ('BEGIN', $BLOCK, q{PREPARE TRANSACTION 'rule'});
both('approved', 'a prepared rule is none');
$node->wait_for_catchup($standby);
$_->quit for $who, $other;
$node->restart('fast');
$who = session($node);
$other = session($node);
both('approved', 'nor is it after a restart');
$other->query_safe(q{COMMIT PREPARED 'rule'});
both('held', 'committed it is one');
$other->query_safe($PASS);
both('approved', 'and goes');
# on a standby that becomes a primary too
$other->query_safe($_) for ('BEGIN', $BLOCK, q{PREPARE TRANSACTION 'again'});
$node->wait_for_catchup($standby);
$_->quit for $who, $other;
$node->stop;
says($reader, 'approved', 'a prepared rule is none on the standby') for 1 .. 2;
$standby->promote;
says($reader, 'approved', 'nor after its promotion') for 1 .. 2;
$other = session($standby);
$other->query_safe(q{COMMIT PREPARED 'again'});
says($reader, 'held', 'committed there it is one') for 1 .. 2;
$other->query_safe($PASS);
says($reader, 'approved', 'and goes') for 1 .. 2;
$_->quit for $reader, $other;
$standby->stop;
done_testing();
