# Only src/base/compat.h asks which server this is, and who uses what it evens out includes it.
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
    next unless $file =~ /^src/ && $file =~ /\.c$/;
    if ($text =~ /\b(VARDATA\w*|VARSIZE\w*|SET_VARSIZE\w*|VARATT_\w+)\b/ && $text !~ m{#include "base/compat\.h"})
    {
        complain($file, line_of($text, $-[0]), "$1 is not in postgres.h since 16, include base/compat.h");
    }
}
for my $file (files(qr{^src/.*\.[ch]$}))
{
    next if $file eq 'src/base/compat.h';
    my $text = strip_c(slurp($file));
    complain($file, line_of($text, $-[0]), 'pg_attribute_noreturn is gone in 18, put pg_noreturn of base/compat.h in front')
      while $text =~ /\bpg_attribute_noreturn\b/g;
}
finish();
