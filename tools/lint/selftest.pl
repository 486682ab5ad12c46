# The gates find what they are for, and only that: each case is a small checkout with one fault, or with none.
use strict;
use warnings;
use Cwd 'getcwd';
use File::Basename 'dirname';
use File::Path 'make_path';
use File::Temp 'tempdir';
use DsLint;

my $top = getcwd();
my $errors = "#define DS_ERRCODE_A MAKE_SQLSTATE('S', 'D', '0', '0', '1')\n";

# a function of SQL that no gate minds; %s are its name, attributes and body
sub sql
{
    my ($name, $body, $attributes) = @_;
    $attributes //= 'LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp';
    (my $short = $name) =~ s/.*\.//;
    return "-- $short does a thing.\nCREATE FUNCTION $name() RETURNS void\n$attributes AS \$\$\nBEGIN\n$body\nEND\n\$\$;\nCOMMENT ON FUNCTION $name() IS 'A thing.';\n";
}

my $raise = "RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = 'no', DETAIL = 'Field: a.', HINT = 'Do it.';";
my $long_c = "void\nds_x_f(void)\n{\n" . "\tg();\n" x 80 . "}\n";
my @cases = (
    [ 'length', { 'src/x/a.c' => "int a;\n" x 1000 }, '' ],
    [ 'length', { 'src/x/a.c' => "int a;\n" x 1001 }, 'src/x/a.c:1001: 1001 lines' ],
    [ 'length', { 'src/x/a.c' => $long_c }, 'src/x/a.c:2: function ds_x_f has 83 lines' ],
    [ 'length', { 'src/x/a.sql' => sql('distsync.f', "\tPERFORM 1;\n" x 80) }, 'src/x/a.sql:2: function distsync.f has' ],
    [ 'length', { 'src/x/a.sql' => sql('distsync.f', "\tPERFORM 1;\n" x 60) . sql('distsync.g', "\tPERFORM 1;\n" x 60) }, '' ],
    [ 'version', { 'src/x/a.c' => "#if PG_VERSION_NUM > 1\n#endif\n" }, 'src/x/a.c:1: PG_VERSION_NUM' ],
    [ 'version', { 'src/base/compat.h' => "#if PG_VERSION_NUM > 1\n#endif\n", 'src/x/a.c' => "/* PG_VERSION_NUM */\n" }, '' ],
    [ 'version', { 'src/x/a.c' => "int a = VARSIZE(b);\n" }, 'src/x/a.c:1: VARSIZE is not' ],
    [ 'version', { 'src/x/a.h' => "extern void f(void) pg_attribute_noreturn();\n" }, 'src/x/a.h:1: pg_attribute_noreturn' ],
    [ 'errcode', { 'src/x/a.c' => "f(){\n\tereport(ERROR, (errmsg(\"no (\")));\n}\n" }, 'src/x/a.c:2: ereport' ],
    [ 'errcode', { 'src/x/a.c' => "f(){\n\tereport(ERROR,\n\t\terrcode(DS_ERRCODE_A), errmsg(\"no\"));\n\tereport(LOG, errmsg(\"so\"));\n}\n" }, '' ],
    [ 'errcode', { 'src/x/a.c' => "f(){\n\telog(ERROR, \"no\");\n}\n" }, 'src/x/a.c:2: elog' ],
    [ 'errcode', { 'src/x/a.c' => "f(){\n\t/* cannot happen: g said so */\n\telog(ERROR, \"no\");\n\tereport(LOG, errcode(DS_ERRCODE_A));\n}\n" }, '' ],
    [ 'errcode', { 'src/x/a.sql' => sql('distsync.f', $raise) }, '' ],
    [ 'errcode', { 'src/x/a.sql' => sql('distsync.f', "RAISE EXCEPTION 'no';") }, 'src/x/a.sql:5: RAISE EXCEPTION without ERRCODE' ],
    [ 'errcode', { 'src/x/a.sql' => sql('distsync.f', $raise =~ s/SD001/SD999/r) }, 'src/x/a.sql:5: code SD999' ],
    [ 'errcode', { 'src/x/a.sql' => sql('distsync.f', $raise =~ s/DETAIL = '[^']*', //r) }, 'src/x/a.sql:5: RAISE EXCEPTION without DETAIL' ],
    [ 'errcode', { 'docs/errors.md' => "none\n" }, 'docs/errors.md:1: SD001' ],
    [ 'errcode', { 'docs/errors.md' => "| SD001 | a | b |\n| SD777 | a | b |\n" }, 'docs/errors.md:2: SD777' ],
    [ 'errcode', { 'src/x/a.c' => "int a;\n" }, 'src/base/errors.h:1: code SD001 is never raised' ],
    [ 'words', { 'src/x/a.c' => "int a; // b\n" }, 'src/x/a.c:1: // comment' ],
    [ 'words', { 'src/x/a.c' => "char *a = \"http://b\"; /* http://c */\n" }, '' ],
    [ 'words', { 'a.md' => "\n" . 'TO' . "DO: b\n" }, 'a.md:2: unfinished' ],
    [ 'words', { 'a.md' => "see /wo" . "rk/main\n" }, 'a.md:1: .* folder of one machine' ],
    [ 'words', { 'a.md' => 'from registry.npmjs.' . "org\n" }, 'a.md:1: .* host of a package registry' ],
    [ 'arrows', { 'src/pricing/a.c' => "#include \"base/spi.h\"\n#include \"pricing/b.h\"\n", 'src/order/a.c' => "#include \"credit/a.h\"\n" }, '' ],
    [ 'arrows', { 'src/pricing/a.c' => "#include \"credit/a.h\"\n" }, 'src/pricing/a.c:1: room pricing must not include credit/a.h' ],
    [ 'arrows', { 'src/http/a.c' => "#include \"worker/a.h\"\n" }, 'src/http/a.c:1: room http must not include worker/a.h' ],
    [ 'arrows', { 'src/cellar/a.c' => "\n" }, "src/cellar/a.c:1: room 'cellar' has no arrows" ],
    [ 'arrows', { 'src/credit/a.sql' => sql('distsync_internal.credit_f', ''), 'src/pricing/a.sql' => sql('distsync.g', 'PERFORM distsync_internal.credit_f();') },
        'src/pricing/a.sql:5: room pricing must not name distsync_internal.credit_f of room credit' ],
    [ 'arrows', { 'src/credit/a.sql' => sql('distsync_internal.credit_f', ''), 'src/order/a.sql' => sql('distsync.g', 'PERFORM distsync_internal.credit_f(); -- and distsync.h') }, '' ],
    [ 'arrows', { 'src/schema/m.sql' => "--! migration 0001_pricing\nCREATE TABLE dist.rate (\n);\n--! room credit\nCREATE TABLE dist.hold (\n);\n",
            'src/pricing/a.sql' => sql('distsync.g', 'PERFORM FROM dist.rate; PERFORM FROM dist.hold;') }, 'src/pricing/a.sql:5: room pricing must not name dist.hold of room credit' ],
    [ 'arrows', { 'src/schema/m.sql' => "--! migration 0001_pricing\nCREATE TABLE dist.rate (\n);\n", 'src/worker/a.c' => "f(\"SELECT 1 \"\n\"FROM dist.rate\");\n" },
        'src/worker/a.c:2: room worker must not name dist.rate of room pricing' ],
    [ 'arrows', { 'src/schema/m.sql' => "--! migration 0001_pricing\nCREATE TABLE dist.rate (\n);\n", 'src/worker/a.c' => "f(\"what dist.rate says\");\n" }, '' ],
    [ 'sql_functions', { 'src/x/a.sql' => sql('distsync_internal.x_f', '') }, '' ],
    [ 'sql_functions', { 'src/x/a.sql' => sql('distsync_internal.f', '') }, 'names of room x in distsync_internal begin with x_' ],
    [ 'sql_functions', { 'src/x/a.sql' => sql('public.f', '') }, 'src/x/a.sql:2: function public.f: put it into distsync' ],
    [ 'sql_functions', { 'src/x/a.sql' => sql('distsync.f', '', 'LANGUAGE plpgsql') }, 'no SET search_path' ],
    [ 'sql_functions', { 'src/x/a.sql' => sql('distsync.f', '', 'LANGUAGE plpgsql SET search_path = public') }, 'no SET search_path' ],
    [ 'sql_functions', { 'src/x/a.sql' => sql('distsync.f', '') =~ s/^COMMENT.*//mr }, 'no COMMENT ON FUNCTION' ],
    [ 'sql_functions', { 'src/x/a.sql' => sql('distsync.f', '') =~ s/^-- f does/-- does/r }, 'begin the comment above it with' ],
    [ 'sql_functions', { 'src/x/a.sql' => sql('distsync.f', '') =~ s/CREATE/CREATE OR REPLACE/r }, 'CREATE OR REPLACE takes over' ],
    [ 'sql_functions', { 'src/x/a.sql' => sql('distsync.f', '') =~ s/RETURNS void/RETURNS SETOF dist.item/r }, 'signature has a row type' ],
    [ 'sql_functions', { 'src/x/a.sql' => "-- f does a thing.\nCREATE FUNCTION distsync.f() RETURNS int AS 'MODULE_PATHNAME', 'ds_sql_f' LANGUAGE c;\nCOMMENT ON FUNCTION distsync.f() IS 'A thing.';\n",
            'src/x/a.c' => "#include \"base/spi.h\"\nDatum\nds_sql_f(PG_FUNCTION_ARGS)\n{\n}\n" }, 'no SET search_path' ],
    [ 'sql_functions', { 'src/x/a.sql' => "-- f does a thing.\nCREATE FUNCTION distsync.f() RETURNS int AS 'MODULE_PATHNAME', 'ds_sql_f' LANGUAGE c;\nCOMMENT ON FUNCTION distsync.f() IS 'A thing.';\n",
            'src/x/a.c' => "Datum\nds_sql_f(PG_FUNCTION_ARGS)\n{\n}\n" }, '' ],
    [ 'sql_strings', { 'src/x/a.sql' => sql('distsync.f', "EXECUTE format('DROP TRIGGER %I ON dist.t', a); EXECUTE format('COMMENT ON SCHEMA dist IS %L', b || c);") }, '' ],
    [ 'sql_strings', { 'src/x/a.sql' => sql('distsync.f', "EXECUTE 'SELECT ' || a;") }, 'src/x/a.sql:5: EXECUTE of joined strings' ],
    [ 'sql_strings', { 'src/x/a.sql' => sql('distsync.f', "EXECUTE format('SELECT * FROM %s', a);") }, 'src/x/a.sql:5: EXECUTE format with %s' ],
    [ 'sql_strings', { 'src/x/a.sql' => sql('distsync.f', "EXECUTE format('SELECT %L', a) INTO b;") }, 'src/x/a.sql:5: EXECUTE format with %s' ],
    [ 'sql_strings', { 'src/x/a.sql' => sql('distsync.f', "EXECUTE format('SELECT %s(\$1)', h.function) USING a;") }, '' ],
    [ 'sql_strings', { 'src/x/a.sql' => sql('distsync.f', "-- %s is a regclass\nEXECUTE format('ANALYZE %s', a);") }, '' ],
    [ 'sql_strings', { 'src/x/a.c' => "f(){\n\tappendStringInfo(&b, \"SELECT %s\", a);\n}\n" }, 'src/x/a.c:2: appendStringInfo puts a value' ],
    [ 'sql_strings', { 'src/x/a.c' => "f(){\n\tappendStringInfo(&b, \"LISTEN %s\", quote_identifier(a));\n}\n" }, '' ],
    [ 'sql_strings', { 'src/x/a.c' => "f(){\n\tstrcat(a, b);\n}\n" }, 'src/x/a.c:2: strcat' ],
    [ 'format', { 'src/x/a.c' => "int a;\n" }, '' ],
    [ 'format', { 'src/x/a.c' => "int   a;\n" }, 'src/x/a.c:1: layout' ],
    [ 'cppcheck', { 'src/x/a.c' => "int\nds_x_f(void)\n{\n\tint a[2];\n\n\treturn a[2];\n}\n" }, 'src/x/a.c:6: ' ],
);

$ENV{PERL5LIB} = "$top/tools/lint";
my $number = 0;
for my $case (@cases)
{
    my ($gate, $files, $expected) = @$case;
    $number++;
    my $dir = tempdir(CLEANUP => 1);
    my %all = ('src/base/errors.h' => $errors, '.clang-format' => slurp("$top/.clang-format"), %$files);
    for my $file (keys %all)
    {
        make_path("$dir/" . dirname($file));
        open my $out, '>', "$dir/$file" or die "cannot write $dir/$file: $!\n";
        print $out $all{$file};
        close $out;
    }
    my ($program) = grep { -f } map { "$top/tools/lint/$gate.$_" } qw(pl sh);
    my $run = $program =~ /\.pl$/ ? 'perl' : 'bash';
    my $output = `cd '$dir' && git init -q . && $run '$program' 2>&1`;
    my $status = $? >> 8;
    my $right = $expected eq '' ? $status == 0 && $output !~ /^(?!note:)./m : $status == 1 && $output =~ /^(?!note:).*?$expected/m;
    complain($program =~ s{^\Q$top/\E}{}r, 1, "case $number should have " . ($expected eq '' ? 'been silent' : "said '$expected'") . ", said: $output") unless $right;
}
finish();
