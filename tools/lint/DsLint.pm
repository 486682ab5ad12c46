# DsLint: what the gates share: the files, their rooms, C and SQL without comments, the functions in them.
package DsLint;

use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(files slurp room_of complain note finish strip_c strip_sql line_of sql_functions c_functions);

my $findings = 0;

# files returns the files of the checkout that match, committed or not but not ignored.
sub files
{
    my ($pattern) = @_;
    my @all = split /\0/, `git -c safe.directory='*' ls-files -z --cached --others --exclude-standard`;
    return grep { -f && /$pattern/ } @all;
}

sub slurp
{
    my ($file) = @_;
    open my $in, '<', $file or die "cannot read $file: $!\n";
    local $/;
    return scalar <$in>;
}

# room_of returns the room a file of src belongs to; undef for src/distsync.c and what is not in src.
sub room_of { return $_[0] =~ m{^src/([^/]+)/} ? $1 : undef; }

sub complain
{
    my ($file, $line, $text) = @_;
    $findings++;
    print "$file:$line: $text\n";
    return;
}

sub note { my ($file, $line, $text) = @_; print "note: $file:$line: $text\n"; return; }

sub finish { exit($findings ? 1 : 0); }

sub line_of { my ($text, $offset) = @_; return 1 + (substr($text, 0, $offset) =~ tr/\n//); }

# blank keeps the newlines of a text and makes spaces of the rest, so that line numbers stay.
sub blank { my ($text) = @_; $text =~ s/[^\n]/ /g; return $text; }

# strip_c blanks comments and, where asked, the contents of strings and character constants.
sub strip_c
{
    my ($text, $strings) = @_;
    $text =~ s{(/\*.*?\*/)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')}{
        defined $1 ? blank($1) : $strings ? substr($2, 0, 1) . blank(substr($2, 1, -1)) . substr($2, -1) : $2 }gse;
    return $text;
}

# strip_sql blanks comments, also inside dollar quotes (there they are comments of plpgsql); strings stay unless asked.
sub strip_sql
{
    my ($text, $strings) = @_;
    $text =~ s{(--[^\n]*|/\*.*?\*/)|('(?:''|[^'])*')}{ defined $1 ? blank($1) : $strings ? "'" . blank(substr($2, 1, -1)) . "'" : $2 }gse;
    return $text;
}

# sql_functions returns every CREATE FUNCTION and CREATE PROCEDURE of a text: name, line, attributes around the body,
# body, number of lines of the body, and whether it is in the body of a migration.
sub sql_functions
{
    my ($text) = @_;
    my @found;
    my $clean = strip_sql($text);
    while ($clean =~ /^[ \t]*CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE)\s+([\w.]+|"[^"]+")\s*\(/mgi)
    {
        my %f = (replace => $1, kind => lc $2, name => $3, offset => $-[0], line => line_of($clean, $-[0]));
        $f{line}++ if substr($clean, $-[0], 1) eq "\n";
        my $rest = substr $clean, $-[0];
        if ($rest =~ /\A((?:[^;'\$]|'[^']*')*?)\bAS\s+(\$\w*\$)/s)
        {
            my ($head, $tag, $start) = ($1, $2, $+[0]);
            my $end = index $rest, $tag, $start;
            $f{body} = substr $rest, $start, $end - $start;
            my $after = substr $rest, $end + length $tag;
            $after =~ s/;.*//s;
            $f{attributes} = "$head $after";
            $f{lines} = 1 + (substr($rest, 0, $end) =~ tr/\n//);
        }
        else
        {
            my ($whole) = $rest =~ /\A((?:[^;']|'[^']*')*);/s;
            @f{qw(attributes body lines)} = ($whole // '', '', 1 + (($whole // '') =~ tr/\n//));
        }
        push @found, \%f;
    }
    return @found;
}

# c_functions returns every function definition of a pgindent-like text: name, line of the name, lines up to the
# closing brace, whether it is static.
sub c_functions
{
    my ($text) = @_;
    my @lines = split /\n/, strip_c($text, 1);
    my @found;
    for my $i (0 .. $#lines)
    {
        next unless $lines[$i] =~ /^\{/;
        my $head = $i - 1;
        $head-- while $head >= 0 && $lines[$head] !~ /^\w/;
        next if $head < 0 || $lines[$head] !~ /^(\w+)\s*\(/;
        my $name = $1;
        my $end = $i;
        $end++ while $end < $#lines && $lines[$end] !~ /^\}/;
        my $type = $head > 0 ? $lines[ $head - 1 ] : '';
        push @found, { name => $name, line => $head + 1, lines => $end - $head + 1, static => $type =~ /\bstatic\b/ ? 1 : 0 };
    }
    return @found;
}

1;
