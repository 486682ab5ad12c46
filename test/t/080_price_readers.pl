# Readers beside a publisher never see a price that is older or newer than their snapshot: READ COMMITTED, REPEATABLE READ, an old
# cursor beside new statements of the same backend, a transaction that wrote prices itself, SERIALIZABLE, and a hot standby. The
# publisher tells in the same transaction which price it published, so that one snapshot must see both.
use strict;
use warnings;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $reads = $ENV{PRICE_READS} || 100_000;
my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', 'max_standby_streaming_delay = -1');
$primary->start;
$primary->safe_psql('postgres', <<'SQL');
CREATE EXTENSION distsync CASCADE;
SELECT distsync.setup();
SELECT distsync.add_system('erp', 'erp');
SELECT * FROM distsync.apply('currency', '{"currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply('unit', '{"unit":"EA"}', 'distsync');
SELECT * FROM distsync.apply('company', '{"code":"C","name":"c","currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('party', '[{"code":"P","name":"Parent"},{"code":"K","name":"Kid","parent":"P"}]', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"A","base_unit":"EA"}', 'distsync');
SELECT * FROM distsync.apply('agreement', '{"code":"LIST","slot":"list","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"A","value":0}]}', 'distsync');
SELECT * FROM distsync.publish('LIST');
CREATE TABLE told (n integer NOT NULL);
INSERT INTO told VALUES (0);
-- one more than the last one: a shared list, and every third time the parent's own contract
CREATE PROCEDURE publish_more(many integer) LANGUAGE plpgsql AS $$
DECLARE
	now integer;
BEGIN
	FOR i IN 1..many LOOP
		UPDATE told SET n = n + 1 RETURNING n INTO now;
		PERFORM * FROM distsync.apply('agreement', jsonb_build_object('code', 'LIST', 'rates', jsonb_build_array(jsonb_build_object('what', 'A', 'value', now))), 'erp');
		IF now % 3 = 0 THEN
			PERFORM * FROM distsync.apply('agreement', jsonb_build_object('code', 'OWN', 'slot', 'contract', 'currency', 'USD', 'rates', jsonb_build_array(jsonb_build_object('what', 'A', 'customer', 'P', 'value', now))), 'erp');
		ELSE
			PERFORM * FROM distsync.apply('agreement', '{"code":"OWN","slot":"contract","currency":"USD","rates":[]}', 'erp');
		END IF;
		COMMIT;
	END LOOP;
END
$$;
-- reads many times, and says how often price and word differed
CREATE FUNCTION differing(many integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	word integer;
	said integer;
	wrong integer := 0;
BEGIN
	FOR i IN 1..many LOOP
		SELECT t.n, p.unit_price INTO word, said FROM told t, distsync.price('K', 'A') p;
		wrong := wrong + (word IS DISTINCT FROM said)::integer;
	END LOOP;
	RETURN wrong;
END
$$;
-- a cursor keeps its snapshot while the same backend reads newer prices
CREATE FUNCTION differing_beside_cursor(many integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	old CURSOR FOR SELECT t.n, p.unit_price FROM generate_series(1, 50) g, told t, LATERAL distsync.price('K', 'A', 1 + g - g) p;
	word integer;
	said integer;
	first integer;
	wrong integer := 0;
BEGIN
	FOR i IN 1..many LOOP
		OPEN old;
		first := NULL;
		LOOP
			FETCH old INTO word, said;
			EXIT WHEN NOT FOUND;
			first := COALESCE(first, word);
			wrong := wrong + (word IS DISTINCT FROM said OR word <> first)::integer + differing(1);
		END LOOP;
		CLOSE old;
	END LOOP;
	RETURN wrong;
END
$$;
SQL
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# reader starts a reader, in an isolation level, and returns its handle with its output
sub reader
{
    my ($node, $level, $statement, $times) = @_;
    my ($out, $err) = ('', '');
    # from a file: a harness that is not pumped feeds nothing, and all of them shall run at once
    my $script = PostgreSQL::Test::Utils::tempdir() . '/script.sql';
    PostgreSQL::Test::Utils::append_to_file($script, "SET default_transaction_isolation = '$level';\n" . "$statement;\n" x $times);
    return { out => \$out, err => \$err, run => start(['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $script], '>', \$out, '2>', \$err),
        name => "$level on " . $node->name . ": $statement" };
}

my $part = int($reads / 10);
my $publisher = reader($primary, 'read committed', 'CALL publish_more(100)', 4);
my @readers = (
    reader($primary, 'read committed', "SELECT differing($part)", 3),
    reader($primary, 'repeatable read', 'SELECT differing(200)', int(3 * $part / 200)),
    reader($primary, 'read committed', 'SELECT differing_beside_cursor(' . int($part / 50) . ')', 1),
    reader($standby, 'read committed', "SELECT differing($part)", 2),
    reader($standby, 'repeatable read', 'SELECT differing(200)', int($part / 200)));
for my $r (@readers)
{
    finish($r->{run});
    my %seen = map { $_ => 1 } split /\n/, ${ $r->{out} };
    is(join(',', sort keys %seen), '0', "price and snapshot agree, $r->{name}") or diag(${ $r->{err} });
}
finish($publisher->{run});
is(${ $publisher->{err} }, '', 'the publisher got through');

# what a transaction wrote itself, it sees; after the savepoint is gone it does not, nor does anybody else
is($primary->safe_psql('postgres', <<'SQL'), "1000\nt\n1001\nt", 'own writes, a savepoint, and nothing of it kept');
BEGIN;
SELECT * FROM distsync.apply('agreement', '{"code":"OWN","slot":"contract","currency":"USD","rates":[{"what":"A","customer":"P","value":1000}]}', 'erp') \g /dev/null
SELECT unit_price::integer FROM distsync.price('K', 'A');
SAVEPOINT s;
SELECT * FROM distsync.apply('agreement', '{"code":"OWN","slot":"contract","currency":"USD","rates":[{"what":"A","customer":"P","value":1001}]}', 'erp') \g /dev/null
SELECT unit_price = 1001 FROM distsync.price('K', 'A');
SELECT unit_price::integer FROM distsync.price('K', 'A');
ROLLBACK TO s;
SELECT unit_price = 1000 FROM distsync.price('K', 'A');
ROLLBACK;
SQL
is($primary->safe_psql('postgres', 'SELECT differing(10)'), '0', 'rolled back, it is as it was');
is($primary->safe_psql('postgres', "SET default_transaction_isolation = 'serializable'; SELECT differing(10)"), '0', 'SERIALIZABLE reads anew');
is($primary->safe_psql('postgres', "SET distsync.price_through_sql = on; SELECT differing(10)"), '0', 'through SQL the same');

# after replay the standby answers as the primary, explanation and all
$primary->wait_for_catchup($standby);
my $explain = q{SELECT distsync.explain_price('K', 'A', 1, 'EA', '2026-06-01 00:00+00')};
is($standby->safe_psql('postgres', $explain), $primary->safe_psql('postgres', $explain), 'the same on both');
is($primary->safe_psql('postgres', 'SELECT count(*) FROM distsync.verify()'), '0', 'verify() finds nothing');
$standby->stop;
$primary->stop;
done_testing();
