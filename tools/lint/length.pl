# A file of C or SQL has at most 1,000 lines (from 600 on it is told), a function of C or plpgsql at most 80.
use strict;
use warnings;
use DsLint;

my ($soft, $hard, $function) = (600, 1000, 80);
for my $file (files(qr{^(?!examples/).*\.(?:c|h|sql)$}))
{
    my $text = slurp($file);
    my $lines = $text =~ tr/\n//;
    if ($lines > $hard) { complain($file, $hard + 1, "$lines lines, more than $hard: make two files of it, one thing each"); }
    elsif ($lines > $soft) { note($file, $soft + 1, "$lines lines, more than $soft: time to think of a second file"); }
    for my $f ($file =~ /\.sql$/ ? sql_functions($text) : c_functions($text))
    {
        complain($file, $f->{line}, "function $f->{name} has $f->{lines} lines, more than $function: make two of it")
          if $f->{lines} > $function;
    }
}
finish();
