# DistSync::Chaos - the chaos server (test/chaos) for TAP tests.
#
#   my $chaos = DistSync::Chaos->start(secrets => [$secret]);
#   $chaos->program('/erp' => 'status(503) times 2; ok', '*' => 'ok');
#   ...point an endpoint at $chaos->url('/erp')...
#   my @got = $chaos->wait_for(3, path => '/erp');
#   is(scalar(@got), 3, 'two refusals and one acceptance');
#   $chaos->stop;
#
# The server ends with the test that started it, also when that dies: its standard input is a pipe from here.
package DistSync::Chaos;

use strict;
use warnings FATAL => 'all';

use Carp qw(croak);
use File::Basename qw(dirname);
use File::Spec;
use File::Temp ();
use HTTP::Tiny;
use IO::Handle;
use JSON::PP ();
use Time::HiRes qw(sleep time);

my $JSON = JSON::PP->new->utf8->canonical;
my $SCRIPT = File::Spec->rel2abs(File::Spec->catfile(dirname(__FILE__), '..', '..', 'chaos', 'chaos.py'));

# start launches a server and returns when it listens. Options: secrets (array, entries "whsec_..." or "/path=whsec_..."),
# log (file; a temporary one otherwise), program (of "*"), host, port, python, arguments (array, further command line).
sub start
{
    my ($class, %options) = @_;
    my $directory = File::Temp->newdir('chaos-XXXXXX', TMPDIR => 1);
    my $log = $options{log} // "$directory/requests.jsonl";
    my @command = ($options{python} // '/usr/bin/python3', $SCRIPT, '--stdin-lifeline', '--log', $log);
    push @command, '--host', $options{host} if defined $options{host};
    push @command, '--port', $options{port} if defined $options{port};
    push @command, '--program', $options{program} if defined $options{program};
    push @command, map { ('--secret', $_) } @{ $options{secrets} // [] };
    push @command, @{ $options{arguments} // [] };

    pipe(my $child_in, my $lifeline) or croak "pipe: $!";
    pipe(my $ready, my $child_out) or croak "pipe: $!";
    my $pid = fork() // croak "fork: $!";
    if (!$pid)
    {
        close $lifeline;
        close $ready;
        open(STDIN, '<&', $child_in) or die "stdin: $!";
        open(STDOUT, '>&', $child_out) or die "stdout: $!";
        exec { $command[0] } @command or die "cannot run $command[0]: $!";
    }
    close $child_in;
    close $child_out;
    my $line = <$ready>;
    if (!defined $line)
    {
        waitpid($pid, 0);
        croak "the chaos server did not start: @command";
    }
    my $hello = $JSON->decode($line);
    return bless {
        pid => $pid, owner => $$, lifeline => $lifeline, directory => $directory, log => $log, offset => 0, events => [],
        host => $options{host} // '127.0.0.1', port => $hello->{port}, control => $hello->{control},
        http => HTTP::Tiny->new(timeout => 30, keep_alive => 1),
    }, $class;
}

sub port { return $_[0]{port} }
sub pid { return $_[0]{pid} }
sub log_file { return $_[0]{log} }

# url returns the address of a path; https_url the same for TLS.
sub url { my ($self, $path) = @_; return "http://$self->{host}:$self->{port}" . ($path // '/') }
sub https_url { my ($self, $path, $host) = @_; return 'https://' . ($host // $self->{host}) . ":$self->{port}" . ($path // '/') }

# control sends one command to the control interface and returns its JSON; an error of the server is an error here.
sub control
{
    my ($self, $method, $path, $document) = @_;
    my $answer = $self->{http}->request($method, "http://$self->{host}:$self->{control}$path",
        { defined $document ? (content => $JSON->encode($document), headers => { 'content-type' => 'application/json' }) : () });
    croak "chaos control $method $path: $answer->{status} $answer->{content}" unless $answer->{success};
    return $JSON->decode($answer->{content});
}

# program replaces the programs of the paths named; each is a text or an array of steps.
sub program { my ($self, %programs) = @_; return $self->control('POST', '/program', { programs => \%programs }) }
# programs returns what is set now, with the counters of every step.
sub programs { return $_[0]->control('GET', '/program') }
# clear makes the partner well again.
sub clear { return $_[0]->control('DELETE', '/program') }
# secrets replaces the secrets of a path, or of "*".
sub secrets { my ($self, $path, @secrets) = @_; return $self->control('POST', '/secrets', { path => $path, secrets => \@secrets }) }
sub status { return $_[0]->control('GET', '/status') }
# drop resets every open connection.
sub drop { return $_[0]->control('POST', '/drop', {}) }
# ca_file returns the authority a client must trust to accept tls(good).
sub ca_file { return $_[0]->control('GET', '/tls')->{ca} }
# mark writes a line into the log and returns its number: requests(since => mark) are those after it.
sub mark { my ($self, $note) = @_; return $self->control('POST', '/mark', { note => $note })->{seq} }

# events returns all lines of the log so far, in order.
sub events
{
    my ($self) = @_;
    open(my $file, '<:raw', $self->{log}) or croak "$self->{log}: $!";
    seek($file, $self->{offset}, 0);
    while (my $line = <$file>)
    {
        last unless $line =~ /\n\z/;
        $self->{offset} += length $line;
        push @{ $self->{events} }, $JSON->decode($line);
    }
    close $file;
    return @{ $self->{events} };
}

# requests returns the requests received: since => seq, path => '/x', id => webhook id, containing => part of the body, event => other kind of line.
sub requests
{
    my ($self, %filter) = @_;
    my $event = $filter{event} // 'request';
    return grep {
        $_->{event} eq $event
            && (!defined $filter{since} || $_->{seq} > $filter{since})
            && (!defined $filter{path} || ($_->{path} // '') eq $filter{path})
            && (!defined $filter{id} || ($_->{webhook_id} // '') eq $filter{id})
            && (!defined $filter{containing} || index($_->{body} // '', $filter{containing}) >= 0)
    } $self->events;
}

# wait_for waits until so many requests (filter as above) have come and returns them; after timeout seconds (30) those there are.
sub wait_for
{
    my ($self, $count, %filter) = @_;
    my $end = time + (delete $filter{timeout} // 30);
    while (1)
    {
        my @found = $self->requests(%filter);
        return @found if @found >= $count || time > $end;
        sleep 0.02;
    }
}

# stop ends the server and waits for it; its exit status is returned.
sub stop
{
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    kill 'TERM', $pid;
    close $self->{lifeline};
    waitpid($pid, 0);
    return $?;
}

sub DESTROY
{
    my ($self) = @_;
    return if !$self->{pid} || $self->{owner} != $$;
    local ($?, $!, $@);
    $self->stop;
    return;
}

1;
