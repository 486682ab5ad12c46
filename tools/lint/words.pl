# What must not be in the sources: // comments in C, unfinished work, folders of one machine, hosts of package registries.
use strict;
use warnings;
use DsLint;

my $self = 'tools/lint/words.pl';
my $unfinished = join '|', 'TO' . 'DO', 'FIX' . 'ME', 'XX' . 'X', 'HA' . 'CK', 'for ' . 'now\b', 'not ' . 'implemented';
my $machine = '(?<![\w.*)}])/(?:work|opt/pgx)(?:/|\b)';
my $registry = join '|', map { "\\b$_" } '(?:deb|security|ftp|httpredir|snapshot|archive)\.debian\.' . 'org', 'apt\.postgresql\.' . 'org',
  'registry\.npmjs\.' . 'org', 'registry\.yarnpkg\.' . 'com', 'pypi\.' . 'org', 'proxy\.golang\.' . 'org', 'nodesource\.' . 'com';

for my $file (files(qr{\.[ch]$}))
{
    my $text = strip_c(slurp($file), 1);
    complain($file, line_of($text, $-[0]), '// comment, write /* */') while $text =~ m{//}g;
}
for my $file (files(qr{^(?!examples/.*\.(?:csv|sql)$|LICENSE)}))
{
    next if -B $file || $file eq $self;
    my $n = 0;
    for my $line (split /\n/, slurp($file))
    {
        $n++;
        complain($file, $n, "unfinished: '$1', finish it or say what is true") if $line =~ /(?<![\w'"])($unfinished)(?!\w)/;
        complain($file, $n, "'$&' is a folder of one machine, name none") if $line =~ m{$machine};
        complain($file, $n, "'$&' is a host of a package registry, name none: the machine's own configuration decides")
          if $line =~ m{$registry};
    }
}
finish();
