# No SQL is built from values: C hands them over as parameters, plpgsql with USING; only names are put in, quoted.
# A %s or %L that is right (a regprocedure, a name out of the registry) has a comment "%s is ..." above that says why.
use strict;
use warnings;
use DsLint;

my $sql = qr/\b(?:SELECT|INSERT|UPDATE|DELETE|MERGE|CALL|EXECUTE|ALTER|CREATE|DROP|GRANT|REVOKE|LISTEN|NOTIFY|COPY|SET)\b/;

# explained tells whether one of the twelve lines up to $line has the comment.
sub explained
{
    my ($raw, $line) = @_;
    return join(' ', grep { defined } @$raw[ ($line > 13 ? $line - 13 : 0) .. $line - 1 ]) =~ /%[sLI] is /;
}

for my $file (files(qr{^src/.*\.[ch]$}))
{
    my $raw = slurp($file);
    my @raw = split /\n/, $raw;
    my $text = strip_c($raw);
    while ($text =~ /\b(appendStringInfo|psprintf|snprintf|sprintf|pg_snprintf)\s*\(([^;]*);/g)
    {
        my ($call, $arguments, $line) = ($1, $2, line_of($text, $-[0]));
        next unless $arguments =~ /"\s*$sql/ && $arguments =~ /%s|'%|"\s*%/;
        # a function out of the registry: base checks that it is a name of ours
        next if $arguments =~ /"SELECT (?:\* FROM )?%s\(/ && $arguments =~ /->function\b/ && $arguments !~ /'%/;
        next if $arguments =~ /\bquote_(?:identifier|qualified_identifier)\b/ && $arguments !~ /'%/;
        complain($file, $line, "$call puts a value into SQL, use parameters of SPI (or say above what \"%s is\")") unless explained(\@raw, $line);
    }
    while ($text =~ /\b(strcat|strncat|strcpy|sprintf|gets|strtok)\s*\(/g)
    {
        complain($file, line_of($text, $-[0]), "$1 knows no end, use StringInfo or strlcpy");
    }
}
for my $file (files(qr{^src/.*\.sql$}))
{
    my $raw = slurp($file);
    my @raw = split /\n/, $raw;
    my $text = strip_sql($raw);
    my $string = qr/'(?:''|[^'])*'|\$q\$.*?\$q\$/s;
    while ($text =~ /\bEXECUTE\s+(?!ON\b|FUNCTION\b|PROCEDURE\b)((?:$string|(?!\b(?:LOOP|INTO|USING)\b)[^;'])*)/g)
    {
        my ($what, $line) = ($1, line_of($text, $-[0]));
        $what =~ s/%%//g;
        # in a call of format only the first argument is text of SQL
        (my $joined = $what) =~ s/\A\s*((?:pg_catalog\.)?format\s*\((?:$string|[^,'])*),.*/$1/s;
        if ($joined =~ /\|\|/)
        {
            complain($file, $line, 'EXECUTE of joined strings, use format with %I and USING (or say above what "%s is")') unless explained(\@raw, $line);
        }
        # a function out of the registry: base checks that it is a name of ours
        next if $what =~ /\b(?:SELECT|FROM) %s\(/ && $what =~ /\b(?:function|handler)\b/ && $what !~ /%L/ && 1 == (() = $what =~ /%s/g);
        # DDL takes no parameters: there a quoted literal is right
        my $ddl = $what =~ /'(?:CREATE|ALTER|COMMENT|GRANT|REVOKE)\b/;
        if ($what =~ /%(?:\d+\$)?s/ || !$ddl && $what =~ /%(?:\d+\$)?L/)
        {
            complain($file, $line, 'EXECUTE format with %s or %L, use %I for names and USING for values (or say above what "%s is")') unless explained(\@raw, $line);
        }
    }
    complain($file, line_of($text, $-[0]), 'IF NOT EXISTS takes over what others made; the schemas are ours, say CREATE')
      while $text =~ /^CREATE\s+(?:\w+\s+){1,3}IF\s+NOT\s+EXISTS\b/mgi;
}
finish();
