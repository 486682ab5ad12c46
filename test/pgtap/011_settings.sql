-- docs/settings.md says what pg_settings says, and every setting says what it is for.
BEGIN;
SELECT plan(3);
\i tools/settings.sql
CREATE TEMP TABLE page (n serial, line text);
\copy page (line) FROM 'docs/settings.md' WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')
SELECT cmp_ok((SELECT count(*)::int FROM pg_settings WHERE name LIKE 'distsync.%'), '>', 10, 'the library is loaded and has its settings');
SELECT results_eq('SELECT COALESCE(line, $n$$n$) FROM page ORDER BY n', 'SELECT line FROM settings_page ORDER BY n', 'docs/settings.md is current (make settings writes it)');
SELECT is_empty($$SELECT name FROM pg_settings WHERE name LIKE 'distsync.%' AND (COALESCE(short_desc, '') = '' OR context = 'internal')$$, 'every setting has a description');
SELECT * FROM finish();
ROLLBACK;
