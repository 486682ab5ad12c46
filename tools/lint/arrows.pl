# Rooms know each other only along the arrows of docs/architecture.md: in #include, in SQL and in SQL strings of C.
#
# A function, table or view of the extension belongs to the room whose folder creates it. A table of dist or sync
# belongs to the room of its section in the migrations: the file's own (0001_pricing: pricing), or the one named by a
# line "--! room NAME" above it. "perl tools/lint/arrows.pl --map" prints who owns what.
use strict;
use warnings;
use DsLint;

my @floor = qw(base schema);
my @engines = qw(pricing inventory credit);
# The fabric: rooms that move things and know no engine. Engines and they meet in the registry of base.
my @fabric = qw(outbox inbox mapping x12 http door portal);
my %knows = (
    base => [],
    schema => ['base'],
    master => [@floor],
    (map { $_ => [ @floor, 'master' ] } @engines),
    order => [ @floor, 'master', @engines ],
    (map { $_ => [ @floor, 'master', @fabric ] } @fabric),
    worker => [ @floor, 'http' ],
    reconcile => [ @floor, 'master', @engines, 'order' ],
    gateway => [],
);

# knows tells whether room $from may name things of room $to.
sub knows
{
    my ($from, $to) = @_;
    return 1 if $from eq $to || $from eq 'ops';
    return scalar grep { $_ eq $to } @{ $knows{$from} };
}

sub may
{
    my ($from) = @_;
    return join(', ', @{ $knows{$from} }) || 'nobody';
}

my (%owner, @sources);
for my $file (files(qr{^src/.*\.(?:[ch]|sql)$}))
{
    my $room = room_of($file);
    next unless defined $room;
    complain($file, 1, "room '$room' has no arrows, add it to tools/lint/arrows.pl and docs/architecture.md")
      unless $knows{$room} || $room eq 'ops';
    my $text = slurp($file);
    push @sources, [ $file, $room, $text ];
    next unless $file =~ /\.sql$/;
    my $section = $text =~ /^--! migration \d+_(\w+)$/m ? $1 : undef;
    $section = 'schema' if defined $section && !$knows{$section};
    for my $line (split /\n/, $text)
    {
        $section = $1 if $line =~ /^--! room (\w+)$/;
        next unless $line =~ /^\s*CREATE (?:OR REPLACE )?(?:UNLOGGED )?(?:FUNCTION|PROCEDURE|TABLE|VIEW|TYPE|SEQUENCE|DOMAIN) ((dist|sync|distsync|distsync_internal)\.\w+)/;
        my ($name, $schema) = ($1, $2);
        $owner{$name} = defined $section && $schema =~ /^(?:dist|sync)$/ ? $section : $room;
    }
}
if (@ARGV && $ARGV[0] eq '--map')
{
    print "$owner{$_}\t$_\n" for sort { $owner{$a} cmp $owner{$b} || $a cmp $b } keys %owner;
    exit 0;
}

for my $source (@sources)
{
    my ($file, $room, $raw) = @$source;
    next unless $knows{$room};
    my $text = $file =~ /\.sql$/ ? strip_sql($raw) : strip_c($raw);
    my %told;
    if ($file !~ /\.sql$/)
    {
        while ($text =~ /^\s*#\s*include\s*"([^"]+)"/mg)
        {
            my ($header, $line) = ($1, line_of($text, $-[1]));
            if ($header !~ m{^(\w+)/}) { complain($file, $line, "\"$header\": name headers of ours with their room") if -f "src/$room/$header"; next; }
            my $to = $1;
            next unless $knows{$to} || $to eq 'ops';
            complain($file, $line, "room $room must not include $header: it knows only " . may($room) . '; register a handler in base instead')
              unless knows($room, $to);
        }
    }
    # a migration may refer to the tables of every section: it makes the books as a whole
    next if $raw =~ /^--! migration /m;
    # of C only strings that hold SQL count, and of the strings in SQL too: a hint may name any verb
    my $sql = qr/\b(?:SELECT|INSERT|UPDATE|DELETE|MERGE|FROM|CALL|PERFORM)\b/;
    if ($file =~ /\.sql$/) { $text =~ s/('(?:''|[^'])*')/my $s = $1; $s =~ $sql ? $s : $s =~ s{[^\n]}{ }gr/ge; }
    else
    {
        $text = join '', map { /\A"/ && $_ =~ $sql ? $_ : s/[^\n]/ /gr }
          split /("(?:\\.|[^"\\\n])*"(?:\s*"(?:\\.|[^"\\\n])*")*)/, $text;
    }
    while ($text =~ /\b((?:dist|sync|distsync|distsync_internal)\.\w+)/g)
    {
        my ($name, $line) = ($1, line_of($text, $-[0]));
        my $to = $owner{$name};
        # schema makes the books as a whole
        next if $room eq 'schema' && $name =~ /^(?:dist|sync)\./;
        next if !defined $to || $told{"$name$line"}++ || knows($room, $to);
        complain($file, $line, "room $room must not name $name of room $to: it knows only " . may($room) . '; go through a handler registered in base');
    }
}
finish();
