-- The page docs/settings.md, line by line, as the temporary view settings_page: from pg_settings of a server that preloads distsync.
-- "make settings" writes the page, test/pgtap/011_settings.sql compares it.
CREATE TEMP VIEW settings_page AS
	SELECT row_number() OVER (ORDER BY b.block, b.name COLLATE "C") AS n, b.line
	FROM (
		SELECT 1 AS block, h.n::text AS name, h.line
		FROM unnest(ARRAY['# Settings', '',
			'`make settings` writes this page from `pg_settings`. Where one takes effect: *configuration*: `postgresql.conf` or `ALTER SYSTEM`,',
			'then `SELECT pg_reload_conf()`; *superuser*: also `SET`, by a superuser; *session*: `SET` by anybody; *restart*: `postgresql.conf`',
			'or `ALTER SYSTEM`, and a restart. The workers need `distsync` in `shared_preload_libraries`; a setting that is misspelt is an error.', '',
			'| setting | default | limits | where | meaning |', '|---|---|---|---|---|']) WITH ORDINALITY h(line, n)
		UNION ALL
		SELECT 2, s.name, format('| `%s` | %s | %s | %s | %s |', s.name,
			CASE WHEN s.boot_val = '' THEN 'empty' ELSE '`' || s.boot_val || COALESCE(' ' || s.unit, '') || '`' END,
			CASE WHEN s.enumvals IS NOT NULL THEN '`' || array_to_string(s.enumvals, '` `') || '`' WHEN s.min_val IS NOT NULL THEN s.min_val || ' to ' || s.max_val ELSE 'a text' END,
			CASE s.context WHEN 'user' THEN 'session' WHEN 'superuser' THEN 'superuser' WHEN 'sighup' THEN 'configuration' WHEN 'postmaster' THEN 'restart' ELSE s.context END,
			replace(concat_ws(' ', s.short_desc, s.extra_desc), '|', '\|'))
		FROM pg_settings s WHERE s.name LIKE 'distsync.%') b;
