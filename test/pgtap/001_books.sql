-- Rules of the books (dist, sync): exact numbers, no NaN, tables that are written all the time stay free of foreign keys.
BEGIN;
SELECT plan(6);

CREATE TEMP VIEW book_column AS
	SELECT c.oid AS relid, n.nspname || '.' || c.relname AS relation, c.relname, a.attname, a.attnum, a.atttypid, a.atttypmod
	FROM pg_attribute a
	JOIN pg_class c ON c.oid = a.attrelid
	JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname IN ('dist', 'sync') AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped;

CREATE TEMP VIEW busy AS
	SELECT unnest(ARRAY['dist.stock_event', 'dist.reservation', 'dist.order_line', 'sync.outbox_customer', 'sync.outbox_item', 'sync.delivery',
		'sync.attempt', 'sync.inbox', 'sync.audit']) AS relation;

SELECT is_empty($$SELECT relation || '.' || attname FROM book_column WHERE atttypid IN ('real'::regtype, 'double precision'::regtype, 'money'::regtype) ORDER BY 1$$,
	'no column holds a binary fraction');
SELECT is_empty($$SELECT relation || '.' || attname FROM book_column WHERE atttypid = 'numeric'::regtype AND atttypmod = -1 ORDER BY 1$$,
	'every numeric column has a declared scale (and so refuses Infinity)');
-- refuses_nan tells whether a CHECK is false for a row whose other numbers are 1 and whose other columns are unknown.
CREATE FUNCTION pg_temp.refuses_nan(relation text, relid oid, attname name) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	expression text;
	passes boolean;
	numbers jsonb;
BEGIN
	SELECT jsonb_object_agg(b.attname, CASE WHEN b.attname = refuses_nan.attname THEN '"NaN"'::jsonb ELSE '1' END) INTO numbers
	FROM book_column b WHERE b.relid = refuses_nan.relid AND b.atttypid = 'numeric'::regtype;
	FOR expression IN SELECT pg_get_expr(c.conbin, c.conrelid) FROM pg_constraint c WHERE c.conrelid = refuses_nan.relid AND c.contype = 'c'
	LOOP
		EXECUTE format('SELECT %s FROM jsonb_populate_record(NULL::%s, $1)', expression, relation) INTO passes USING numbers;
		IF NOT passes THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END
$$;
SELECT is_empty($$SELECT relation || '.' || attname FROM book_column
	WHERE atttypid = 'numeric'::regtype AND NOT pg_temp.refuses_nan(relation, relid, attname) ORDER BY 1$$,
	'every numeric column has a CHECK that refuses NaN');
SELECT is_empty($$SELECT relation || '.' || attname FROM book_column WHERE atttypid IN ('timestamp'::regtype, 'json'::regtype, 'char'::regtype, 'bpchar'::regtype)
	-- the text whose hash a proof is
	AND (relation, attname) <> ('dist.price_proof', 'document') ORDER BY 1$$,
	'instants are timestamptz, documents jsonb, codes text');
SELECT is_empty($$SELECT relation FROM busy WHERE to_regclass(relation) IS NULL$$,
	'the tables that are written all the time exist');
SELECT is_empty($$SELECT b.relation || ': ' || c.conname FROM busy b
	JOIN pg_constraint c ON c.conrelid = to_regclass(b.relation) AND c.contype = 'f'$$,
	'and carry no foreign key');

SELECT * FROM finish();
ROLLBACK;
