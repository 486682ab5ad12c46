-- Draws dist and sync as a graph for graphviz, from the catalog: psql -XAtq -f tools/schema_picture.sql | dot -Tsvg
-- A solid arrow is a foreign key; a dotted one is a column named after another table's key, where a constraint would cost too much.
WITH t AS (
	SELECT c.oid, n.nspname, c.relname, c.relkind = 'p' AS partitioned
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname IN ('dist', 'sync') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
), pk AS (
	SELECT t.oid, n.name AS attname
	FROM t JOIN (VALUES ('party', 'customer_id'), ('credit_account', 'account_id'), ('agreement_version', 'version_id'), ('sales_order', 'order_id'), ('event', 'position')) n(relname, name) USING (relname)
	UNION
	SELECT t.oid, a.attname
	FROM t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'p'
	JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.conkey[array_length(k.conkey, 1)] AND a.attname = t.relname || '_id'
), fk AS (
	SELECT DISTINCT k.conrelid AS a, k.confrelid AS b FROM pg_constraint k JOIN t ON t.oid = k.conrelid WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
), soft AS (
	SELECT DISTINCT t.oid AS a, pk.oid AS b
	FROM t JOIN pg_attribute x ON x.attrelid = t.oid AND x.attnum > 0 JOIN pk ON pk.attname = x.attname AND pk.oid <> t.oid
	EXCEPT SELECT a, b FROM fk
), out AS (
	SELECT 0 AS o, 'digraph schema { rankdir=LR; graph [fontname="sans", nodesep=0.12, ranksep=1.1]; node [shape=box, fontname="sans", fontsize=10, style=filled, fillcolor=white]; edge [color="#777777", arrowsize=0.6];' AS line
	UNION ALL SELECT CASE nspname WHEN 'dist' THEN 1 ELSE 3 END, 'subgraph cluster_' || nspname || ' { label="' || nspname || '"; color="#bbbbbb"; style=rounded;' FROM (SELECT DISTINCT nspname FROM t) s
	UNION ALL SELECT CASE nspname WHEN 'dist' THEN 2 ELSE 4 END, format('"%s.%s" [label="%s"%s];', nspname, relname, relname, CASE WHEN partitioned THEN ', fillcolor="#e8eef7"' ELSE '' END) FROM t
	UNION ALL SELECT CASE nspname WHEN 'dist' THEN 2.5 ELSE 4.5 END, '}' FROM (SELECT DISTINCT nspname FROM t) s
	UNION ALL SELECT 5, format('"%s.%s" -> "%s.%s";', a.nspname, a.relname, b.nspname, b.relname) FROM fk JOIN t a ON a.oid = fk.a JOIN t b ON b.oid = fk.b
	UNION ALL SELECT 6, format('"%s.%s" -> "%s.%s" [style=dotted];', a.nspname, a.relname, b.nspname, b.relname) FROM soft JOIN t a ON a.oid = soft.a JOIN t b ON b.oid = soft.b
	UNION ALL SELECT 7, '}'
)
SELECT line FROM out ORDER BY o, line COLLATE "C";
