# Counts: the plain formatter of prove and pg_prove, which also writes what it counted to the file $DISTSYNC_COUNTS.
#
# One line a run: "passed failed skipped". A file that died, broke its plan or ran nothing counts as one failed test,
# so that no leg is green because its test went away.
package DistSync::Counts;

use strict;
use warnings;
use parent 'TAP::Formatter::File';

sub summary
{
    my ($self, $aggregate, @rest) = @_;
    $self->SUPER::summary($aggregate, @rest);
    my $broken = 0;
    for my $parser ($aggregate->parsers)
    {
        next if $parser->failed || !$parser->has_problems;
        $broken++ if $parser->parse_errors || $parser->exit || $parser->wait;
    }
    for my $parser ($aggregate->parsers)
    {
        $broken++ if !$parser->tests_run && !$parser->has_problems && !defined $parser->skip_all;
    }
    # TAP calls a skipped test passed; the closing line does not
    my $skipped = $aggregate->skipped;
    my $failed = $aggregate->failed + $broken;
    my $passed = $aggregate->passed - $skipped;
    open my $out, '>', $ENV{DISTSYNC_COUNTS} or die "cannot write $ENV{DISTSYNC_COUNTS}: $!\n";
    print $out "$passed $failed $skipped\n";
    close $out or die "cannot write $ENV{DISTSYNC_COUNTS}: $!\n";
    return;
}

1;
