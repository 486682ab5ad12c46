#!/usr/bin/perl
# assemble_sql.pl VERSION FILE...: prints the extension script, the files joined in the given order.
#
# In migration files the comment is written once, beside the thing it describes, and becomes a COMMENT ON:
#
#     -- dist.company: a legal entity that sells, ships or bills.          (may go on in further "-- " lines)
#     CREATE TABLE dist.company (
#         code text NOT NULL,    -- business code, unique
#
# A file with a line "--! migration NAME" is wrapped into the function distsync_internal.migration_NAME(), whose
# body is the file: that is how setup() runs DDL that belongs to no extension.
use strict;
use warnings;

my ($version, @files) = @ARGV;

sub quote { my $t = shift; $t =~ s/'/''/g; return "'$t'"; }

# comments turns the trailing comments of CREATE TABLE and CREATE VIEW lists into COMMENT ON statements.
sub comments
{
    my ($text) = @_;
    my ($out, $table, %about, $pending) = ('', undef);
    for my $line (split /\n/, $text, -1)
    {
        if ($line =~ /^-- ((?:dist|sync)\.\w+): (.*)$/) { $pending = $1; $about{$pending} = $2; }
        elsif (defined $pending && $line =~ /^-- {1,3}(\S.*)$/) { $about{$pending} .= " $1"; }
        else { $pending = undef; }
        $table = $1 if $line =~ /^CREATE (?:UNLOGGED )?TABLE ((?:dist|sync)\.\w+) \($/;
        $out .= "$line\n";
        if (defined $table)
        {
            if ($line =~ /^\t(\w+)\s.*?\t*-- (.*)$/ && $1 ne 'CONSTRAINT')
            {
                push @{ $about{"$table\0cols"} }, [ $1, $2 ];
            }
            if ($line =~ /^\).*;$/)
            {
                $out .= "COMMENT ON TABLE $table IS " . quote($about{$table}) . ";\n" if $about{$table};
                $out .= "COMMENT ON COLUMN $table.$_->[0] IS " . quote($_->[1]) . ";\n" for @{ $about{"$table\0cols"} };
                $table = undef;
            }
        }
    }
    return $out;
}

print "-- distsync $version: assembled by tools/assemble_sql.pl, do not edit\n";
print "\\echo Use \"CREATE EXTENSION distsync\" to load this file. \\quit\n";
for my $file (@files)
{
    open my $in, '<', $file or die "cannot read $file: $!\n";
    my $text = do { local $/; <$in> };
    $text =~ s/\@VERSION\@/$version/g;
    (my $short = $file) =~ s{^.*?(src/)}{$1};
    print "\n-- ---- $short\n";
    if ($text =~ /^--! migration (\w+)\n/m)
    {
        my $name = $1;
        print "CREATE FUNCTION distsync_internal.migration_$name() RETURNS void\n",
            "LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS \$migration\$\nBEGIN\n",
            comments($text), "END\n\$migration\$;\n",
            "COMMENT ON FUNCTION distsync_internal.migration_$name() IS ",
            quote("Part of setup(): creates what $short says. Run by setup() only, as distsync_owner."), ";\n";
    }
    else { print $text; }
}
