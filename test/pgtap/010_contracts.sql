-- The contracts in contracts/ are what the rooms declare, no more, no less; and what the rooms declare fits together.
BEGIN;
SELECT plan(7);
CREATE TEMP TABLE file (line text);
-- one line a file; the quote and the delimiter are characters that JSON can't have
\copy file FROM PROGRAM 'for f in contracts/*.schema.json; do tr -d "\n" < "$f"; echo; done' WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')
CREATE TEMP VIEW contract AS SELECT split_part(line::jsonb ->> 'title', '/', 1) AS entity, line::jsonb AS body FROM file;
SELECT is_empty($$SELECT entity FROM distsync_internal.document_entity EXCEPT SELECT entity FROM contract ORDER BY 1$$,
	'every entity has its contract in contracts/ (tools/contracts.sh writes them)');
SELECT is_empty($$SELECT entity FROM contract EXCEPT SELECT entity FROM distsync_internal.document_entity ORDER BY 1$$, 'no contract is left over');
SELECT is_empty($$SELECT entity FROM contract WHERE body IS DISTINCT FROM distsync_internal.door_contract(entity) ORDER BY 1$$,
	'every contract is current (tools/contracts.sh writes them)');
SELECT is_empty($$SELECT e.entity FROM distsync_internal.document_entity e
	WHERE NOT EXISTS (SELECT FROM distsync_internal.handler h WHERE h.kind = 'entity' AND h.name = e.entity) ORDER BY 1$$, 'every entity has a handler');
SELECT is_empty($$SELECT h.name FROM distsync_internal.handler h WHERE h.kind = 'entity' AND split_part(h.name, '.', 1) NOT IN (SELECT entity FROM distsync_internal.document_entity) ORDER BY 1$$,
	'every handler of an entity has a declaration');
SELECT is_empty($$SELECT e.entity || '.' || k FROM distsync_internal.document_entity e, unnest(e.key_fields) k
	WHERE NOT EXISTS (SELECT FROM distsync_internal.document_field f WHERE f.entity = e.entity AND f.field = k) ORDER BY 1$$, 'every field of a key is declared');
SELECT is_empty($$SELECT h.kind || ' ' || h.name || ': ' || p.oid::regprocedure FROM distsync_internal.handler h
	JOIN pg_proc p ON p.oid = to_regproc(h.function)
	WHERE h.kind = 'entity' AND h.name NOT LIKE '%.%' AND pg_get_function_arguments(p.oid) <> 'docs jsonb, ctx jsonb'$$, 'every handler takes (docs jsonb, ctx jsonb)');
SELECT * FROM finish();
ROLLBACK;
