# Every error carries an SQLSTATE: ereport(ERROR) an errcode, RAISE EXCEPTION an ERRCODE. elog(ERROR) is for what cannot
# happen, and says so in a comment beside it. RAISE EXCEPTION carries DETAIL and HINT. Codes of class SD stand in
# src/base/errors.h and docs/errors.md, and each is used.
use strict;
use warnings;
use DsLint;

# call_at returns the text of a call up to its closing parenthesis.
sub call_at
{
    my ($text, $offset) = @_;
    my $depth = 0;
    for (my $i = $offset; $i < length $text; $i++)
    {
        my $c = substr $text, $i, 1;
        $depth++ if $c eq '(';
        if ($c eq ')' && --$depth == 0) { return substr $text, $offset, $i - $offset + 1; }
    }
    return substr $text, $offset;
}

# which codes there are, and that each is used and described, and none is described that is not there
my %known;
my $errors_h = slurp('src/base/errors.h');
my $sources = join '', map { slurp($_) } files(qr{^src/(?!base/errors\.h$).*\.(?:[ch]|sql)$});
while ($errors_h =~ /#define (\w+) MAKE_SQLSTATE\('(.)', '(.)', '(.)', '(.)', '(.)'\)/g)
{
    my ($name, $code, $line) = ($1, "$2$3$4$5$6", line_of($errors_h, $-[0]));
    complain('src/base/errors.h', $line, "code $code stands twice, give the second its own") if $known{$code}++;
    complain('src/base/errors.h', $line, "code $code is never raised, take it out") unless $sources =~ /\b$name\b|'$code'/;
}
my %described;
if (-f 'docs/errors.md')
{
    my $docs = slurp('docs/errors.md');
    $described{$1} = line_of($docs, $-[0]) while $docs =~ /^\| (SD[0-9A-Z]{3}) \|/mg;
    for my $code (sort keys %known)
    {
        complain('docs/errors.md', 1, "$code of src/base/errors.h is not described, add it") unless $described{$code};
    }
    for my $code (sort keys %described)
    {
        complain('docs/errors.md', $described{$code}, "$code is not in src/base/errors.h, take it out") unless $known{$code};
    }
}

for my $file (files(qr{^src/.*\.[ch]$}))
{
    my $raw = slurp($file);
    my @raw = split /\n/, $raw;
    my $text = strip_c($raw, 1);
    while ($text =~ /\b(ereport|elog)\s*\(/g)
    {
        my ($name, $line) = ($1, line_of($text, $-[0]));
        my $call = call_at($text, $-[0]);
        next unless $call =~ /^\w+\s*\(\s*(?:ERROR|FATAL|PANIC)\b/;
        if ($name eq 'ereport')
        {
            complain($file, $line, 'ereport(ERROR) without errcode, give it one of base/errors.h or a standard one')
              unless $call =~ /\berrcode(?:_for_\w+)?\s*\(/;
        }
        else
        {
            my $around = join ' ', @raw[ ($line > 3 ? $line - 4 : 0) .. $line - 1 ];
            complain($file, $line, 'elog(ERROR): use ereport with an errcode, or say in a comment above why it "cannot happen"')
              unless $around =~ /cannot happen/;
        }
    }
}

for my $file (files(qr{^src/.*\.sql$}))
{
    my $text = strip_sql(slurp($file));
    while ($text =~ /\bRAISE\s+EXCEPTION\b((?:'(?:''|[^'])*'|[^;'])*);/gi)
    {
        my ($call, $line) = ($1, line_of($text, $-[0]));
        complain($file, $line, 'RAISE EXCEPTION without ERRCODE, give it one of src/base/errors.h') unless $call =~ /\bERRCODE\s*=/i;
        complain($file, $line, 'RAISE EXCEPTION without HINT, say what to do in a full sentence') unless $call =~ /\bHINT\s*=/i;
        complain($file, $line, 'RAISE EXCEPTION without DETAIL, name the field or the thing and its value') unless $call =~ /\bDETAIL\s*=/i;
    }
    while ($text =~ /'(SD[0-9A-Z]{3})'/g)
    {
        complain($file, line_of($text, $-[0]), "code $1 is not in src/base/errors.h, add it there") unless $known{$1};
    }
}
finish();
