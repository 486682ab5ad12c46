#!/usr/bin/perl
# meta_json.pl CONTROL: prints the PGXN META.json, so that name, version and abstract have one source: the control file.
use strict;
use warnings;

my %control;
open my $in, '<', $ARGV[0] or die "cannot read $ARGV[0]: $!\n";
while (<$in>) { $control{$1} = $2 if /^(\w+)\s*=\s*'?([^'\n]*)'?\s*$/; }
my ($abstract, $version) = @control{qw(comment default_version)};
print <<"JSON";
{
    "name": "distsync",
    "abstract": "$abstract",
    "version": "$version",
    "maintainer": "the distsync developers",
    "license": "postgresql",
    "provides": {
        "distsync": {
            "abstract": "$abstract",
            "file": "distsync--$version.sql",
            "docfile": "README.md",
            "version": "$version"
        }
    },
    "prereqs": { "runtime": { "requires": { "PostgreSQL": "15.0.0" } } },
    "release_status": "testing",
    "meta-spec": { "version": "1.0.0", "url": "https://pgxn.org/meta/spec.txt" },
    "tags": [ "distribution", "pricing", "inventory", "credit", "synchronization", "webhooks" ]
}
JSON
