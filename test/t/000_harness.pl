# The library loads at server start, and a misspelt setting of ours is an error and not silence.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'distsync'\ndistsync.instance = 'north'");
$node->start;
is($node->safe_psql('postgres', 'SHOW distsync.instance'), 'north', 'the setting is read at start');
my ($rc, $out, $err) = $node->psql('postgres', 'SET distsync.instanze = 1');
like($err, qr/invalid configuration parameter name "distsync\.instanze"/, 'a misspelt setting is refused');
$node->safe_psql('postgres', 'CREATE EXTENSION distsync');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_extension WHERE extname = 'distsync'"), '1', 'the extension can be created');
$node->stop;
done_testing();
