# A cluster under fire: clients that do random acts (fire.step(client) of test/fire) one after the other, over a new connection whenever they lose
# one, and one more that only looks (fire.look(client)), while backends are ended and the server is killed. new() makes the cluster with the schema
# fire, begin() starts the clients, hit() ends one of them where it stands, cease() ends all and returns when nothing of them is left.
package DistSync::Fire;
use strict;
use warnings;
use FindBin;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

# backends of clients
my $clients = "application_name LIKE 'fire%'";

# new makes it: clients, seconds (short ones need no durable disk), conf (further settings), parts (files of test/fire), pause (seconds of who looks),
# old (client => whether it works in REPEATABLE READ), options (client => settings of its session).
sub new
{
    my ($class, %self) = @_;
    my $node = $self{node} = PostgreSQL::Test::Cluster->new('fire');
    $node->init;
    $node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = 'distsync'
distsync.instance = 'lab'
fsync = @{[ $self{seconds} < 30 ? 'off' : 'on' ]}
restart_after_crash = on
deadlock_timeout = 100ms
max_connections = @{[ $self{clients} + 30 ]}
log_statement = none
log_line_prefix = '%m [%p] %a %e '
$self{conf}
CONF
    $node->start;
    $node->safe_psql('postgres', 'CREATE EXTENSION distsync CASCADE');
    $node->safe_psql('postgres', 'SELECT distsync.setup()');
    for my $part (@{ $self{parts} })
    {
        $node->command_ok([ 'psql', '-XAtq', '-o', '/dev/null', '-f', "$FindBin::RealBin/../fire/$part.sql", $node->connstr('postgres') ], "$part.sql");
    }
    $node->safe_psql('postgres', "INSERT INTO fire.client SELECT generate_series(1, $self{clients} + 1)");
    $self{stop} = $node->basedir . '/stop';
    return bless \%self, $class;
}

# begin starts all clients.
sub begin
{
    my ($self) = @_;
    $self->{running} = [ map { $self->_client($_) } 1 .. $self->{clients} + 1 ];
    return;
}

# _client starts one that sends statements until it is told to stop.
sub _client
{
    my ($self, $client) = @_;
    my $script = $self->{node}->basedir . "/client$client.sql";
    my $looks = $client > $self->{clients};
    my $old = $looks || $self->{old}->($client);
    append_to_file($script, 'SELECT setseed(' . rand() . ");\n" . ($looks ? "SELECT fire.look($client); SELECT pg_sleep($self->{pause});\n" : "SELECT fire.step($client);\n") x 5000);
    local $ENV{PGAPPNAME} = $looks ? 'fire look' : $old ? 'fire old' : 'fire';
    local $ENV{PGOPTIONS} = ($old ? '-c default_transaction_isolation=repeatable\ read ' : '') . ($self->{options} ? $self->{options}->($client) : '');
    return IPC::Run::start([ 'sh', '-c', 'until [ -e "$1" ]; do psql -XAtq -f "$2" "$3" >/dev/null 2>&1; sleep 0.2; done', 'client', $self->{stop}, $script, $self->{node}->connstr('postgres') ]);
}

# ask is a question whose answer may fail to come, because the server is just starting anew.
sub ask
{
    my ($self, $sql) = @_;
    my ($rc, $out) = eval { $self->{node}->psql('postgres', $sql, timeout => 60) };
    # psql may be gone before it was told what to ask
    die $@ if $@ && $@ !~ /broken pipe/i;
    return defined $rc && $rc == 0 ? $out : undef;
}

# up waits until the server takes questions again.
sub up
{
    my ($self) = @_;
    for (1 .. 600) { return 1 if ($self->ask('SELECT NOT pg_is_in_recovery()') // '') eq 't'; sleep(0.1); }
    BAIL_OUT('the server did not come back');
}

# victim chooses the process of a client that is at work.
sub victim
{
    my ($self) = @_;
    return $self->ask("SELECT pid FROM pg_stat_activity WHERE $clients AND state = 'active' ORDER BY random() LIMIT 1");
}

# hit ends the backend of one that is at work. True: there was one.
sub hit
{
    my ($self) = @_;
    return $self->ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $clients AND state = 'active' ORDER BY random() LIMIT 1");
}

# cease ends all of it.
sub cease
{
    my ($self) = @_;
    append_to_file($self->{stop}, '');
    $self->{node}->poll_query_until('postgres', "SELECT count(pg_terminate_backend(pid)) = 0 FROM pg_stat_activity WHERE $clients") or die 'clients do not end';
    IPC::Run::finish($_) for @{ $self->{running} };
    return;
}

1;
