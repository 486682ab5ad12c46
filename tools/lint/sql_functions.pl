# Every SQL function of src: a comment "-- name does ..." above, a COMMENT, a pinned search_path, plain CREATE, no BEGIN
# ATOMIC; verbs live in distsync, the rest in distsync_internal and starts with the name of its room.
# A C function may leave search_path alone where no SQL can run in it: nothing in its room (in base and schema: in its
# file) includes SPI, or the comment above it says that it "runs no SQL" or "pins its path in C".
use strict;
use warnings;
use DsLint;

my @sql = files(qr{^src/.*\.sql$});
my %commented;
for my $file (@sql)
{
    my $text = strip_sql(slurp($file), 1);
    $commented{$1} = 1 while $text =~ /^\s*COMMENT ON (?:FUNCTION|PROCEDURE) ([\w.]+)/mg;
}

# runs_sql tells whether the C behind a symbol could run SQL.
sub runs_sql
{
    my ($symbol, $room) = @_;
    my @c = files(qr{^src/$room/.*\.c$});
    @c = grep { slurp($_) =~ /\b\Q$symbol\E\(PG_FUNCTION_ARGS\)/ } @c if $room =~ /^(?:base|schema)$/;
    return !@c || grep { slurp($_) =~ m{#include "(?:executor|base)/spi\.h"} } @c;
}

for my $file (@sql)
{
    my $raw = slurp($file);
    my @lines = split /\n/, $raw;
    my $room = room_of($file);
    for my $f (sql_functions($raw))
    {
        my ($name, $line) = @$f{qw(name line)};
        my ($schema, $short) = $name =~ /^(\w+)\.(\w+)$/;
        if (!defined $schema || $schema !~ /^distsync(?:_internal)?$/)
        {
            complain($file, $line, "function $name: put it into distsync (a verb) or distsync_internal, qualified");
            next;
        }
        complain($file, $line, "function $name: CREATE OR REPLACE takes over what others made, write CREATE") if $f->{replace};
        my $above = $line - 2;
        my @comment;
        unshift @comment, $lines[ $above-- ] while $above >= 0 && $lines[$above] =~ /^--/;
        complain($file, $line, "function $name: begin the comment above it with \"-- $short does ...\" and say why")
          unless grep { /^-- (?:\Q$schema\E\.)?\Q$short\E(?:\(\))?[ ,:]/ } @comment;
        complain($file, $line, "function $name: no COMMENT ON FUNCTION, say shapes, units, errors") unless $commented{$name};
        complain($file, $line, "function $name: no SET search_path = pg_catalog, pg_temp")
          unless $f->{attributes} =~ /\bSET\s+search_path\s*(?:=|TO)\s*pg_catalog\s*,\s*pg_temp\b/i
          || $f->{attributes} =~ /\bLANGUAGE\s+c\b/i && ("@comment" =~ /runs\s+no\s+SQL|pins its(?:\s|--)+path in\s+C/ || !runs_sql($f->{attributes} =~ /'(ds_sql_\w+)'/, $room));
        complain($file, $line, "function $name: BEGIN ATOMIC ties the extension to dist and sync, write a string body")
          if $f->{attributes} =~ /\bBEGIN\s+ATOMIC\b/i;
        complain($file, $line, "function $name: names of room $room in distsync_internal begin with ${room}_")
          if $schema eq 'distsync_internal' && $room !~ /^(?:base|schema)$/ && $short !~ /^\Q$room\E_/;
        complain($file, $line, "function $name: its signature has a row type of dist or sync, write the columns")
          if ($f->{attributes} =~ /\A(.*?)\bLANGUAGE\b/s ? $1 : '') =~ /\b(?:dist|sync)\.\w+/;
    }
}
finish();
