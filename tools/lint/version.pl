# Only src/base/compat.h asks which server this is.
use strict;
use warnings;
use DsLint;

for my $file (files(qr{^(?!tools/).*\.[ch]$}))
{
    next if $file eq 'src/base/compat.h';
    my $text = strip_c(slurp($file));
    while ($text =~ /\b(PG_VERSION_NUM|PG_MAJORVERSION_NUM|CATALOG_VERSION_NO)\b/g)
    {
        complain($file, line_of($text, $-[0]), "$1 outside src/base/compat.h, put the difference behind a name there");
    }
}
finish();
