-- The door: what a document must look like. Each fault has its SQLSTATE, a message, the exact field and a hint, and nothing is written.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
\set SHOW_CONTEXT never
-- an entity that has every type of field; its handler keeps the documents as they reach it
CREATE TABLE public.door_taken (ordinal integer, doc jsonb);
GRANT ALL ON public.door_taken TO distsync_owner;
CREATE FUNCTION distsync_internal.door_try(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO public.door_taken SELECT (d ->> 'ordinal')::integer, d -> 'doc' FROM jsonb_array_elements(docs) d
	RETURNING ordinal, 'applied', doc ->> 'code', NULL, NULL, NULL, NULL, NULL::jsonb
$$;
GRANT EXECUTE ON FUNCTION distsync_internal.door_try(jsonb, jsonb) TO distsync_owner;
INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'door_try', 'distsync_internal.door_try');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES ('door_try', '{code}', 'door_try', 'For this test.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('door_try', 'code', 'code', true, 'any', '-', NULL, false), ('door_try', 'text', 'text', false, 'any', '-', NULL, false),
	('door_try', 'pick', 'text', false, 'any', '-', '{red,blue}', false), ('door_try', 'stay', 'text', false, 'any', '-', NULL, true),
	('door_try', 'yes', 'boolean', false, 'any', '-', NULL, false), ('door_try', 'whole', 'integer', false, 'any', '-', NULL, false),
	('door_try', 'quantity', 'quantity', false, 'any', '-', NULL, false), ('door_try', 'amount', 'amount', false, 'nonnegative', '-', NULL, false),
	('door_try', 'price', 'price', false, 'positive', '-', NULL, false), ('door_try', 'factor', 'factor', false, 'any', '-', NULL, false),
	('door_try', 'number', 'number', false, 'any', '-', NULL, false), ('door_try', 'currency', 'currency', false, 'any', '-', NULL, false),
	('door_try', 'day', 'date', false, 'any', '-', NULL, false), ('door_try', 'at', 'instant', false, 'any', '-', NULL, false),
	('door_try', 'until', 'instant_or_date', false, 'any', '-', NULL, false), ('door_try', 'tz', 'timezone', false, 'any', '-', NULL, false),
	('door_try', 'id', 'uuid', false, 'any', '-', NULL, false), ('door_try', 'free', 'json', false, 'any', '-', NULL, false),
	('door_try', 'tags', 'list', false, 'any', '-', '{a,b}', false), ('door_try', 'lines', 'list', false, 'any', '-', NULL, false),
	('door_try', 'lines[].line', 'code', true, 'any', '-', NULL, false), ('door_try', 'lines[].quantity', 'quantity', true, 'positive', '-', NULL, false),
	('door_try', 'lines[].lots', 'list', false, 'any', '-', NULL, false), ('door_try', 'lines[].lots[].quantity', 'quantity', false, 'any', '-', NULL, false),
	('door_try', 'address.country', 'text', false, 'any', '-', '{AT,US}', false);
INSERT INTO dist.currency (currency) VALUES ('USD'), ('JPY') ON CONFLICT DO NOTHING;
INSERT INTO sync.system (code, kind, tz) VALUES ('door-erp', 'erp', 'Europe/Vienna'), ('door-shop', 'shop', 'UTC');
INSERT INTO sync.system (code, kind, status) VALUES ('door-off', 'erp', 'inactive');

-- an error as callers see it
SELECT * FROM distsync.apply('door_try', '{"code":"A","lines":[{"line":"1","quantity":1},{"line":"2","quantity":"NaN"}]}', 'door-erp');
\echo :LAST_ERROR_SQLSTATE

-- every way to be wrong, in one call: rows instead of errors
CREATE TABLE public.door_bad (n serial, what text, doc jsonb);
INSERT INTO public.door_bad (what, doc) VALUES
	('no object', '7'), ('no object', '[]'), ('no key', '{}'), ('null key', '{"code":null}'), ('empty key', '{"code":""}'), ('number as key', '{"code":7}'),
	('object as key', '{"code":{"x":1}}'), ('blank in code', '{"code":" A"}'), ('control character', '{"code":"A\tB"}'), ('long code', jsonb_build_object('code', repeat('x', 256))),
	('cut between characters', jsonb_build_object('code', 'A', 'pick', repeat('ö', 50), 'quantity', repeat('ü', 39) || 'x')),
	('NaN', '{"code":"A","quantity":"NaN"}'), ('Infinity', '{"code":"A","quantity":"-Infinity"}'), ('too many decimals', '{"code":"A","quantity":1.0000001}'),
	('too many decimals in text', '{"code":"A","price":"1.000000001"}'), ('too large', '{"code":"A","quantity":100000000000000}'), ('exponent', '{"code":"A","quantity":"1e99"}'),
	('tiny exponent', '{"code":"A","amount":"1e-9"}'), ('many digits', jsonb_build_object('code', 'A', 'number', ('1' || repeat('0', 100000))::numeric)),
	('no number', '{"code":"A","quantity":"1,5"}'), ('blank number', '{"code":"A","quantity":" 1"}'), ('hexadecimal', '{"code":"A","whole":"0x10"}'), ('empty number', '{"code":"A","whole":""}'),
	('point at the end', '{"code":"A","amount":"1."}'), ('two points', '{"code":"A","amount":"1.0.0"}'), ('fraction', '{"code":"A","whole":1.5}'),
	('boolean as number', '{"code":"A","whole":true}'), ('list as number', '{"code":"A","whole":[1]}'),
	('negative', '{"code":"A","amount":-0.01}'), ('zero where above 0', '{"code":"A","price":0}'), ('negative factor', '{"code":"A","factor":-3}'), ('zero factor', '{"code":"A","factor":0}'),
	('unknown currency', '{"code":"A","currency":"XXX"}'), ('currency in small letters', '{"code":"A","currency":"usd"}'), ('text as boolean', '{"code":"A","yes":"true"}'),
	('no choice', '{"code":"A","pick":"green"}'), ('cleared what stays', '{"code":"A","stay":null}'), ('no such day', '{"code":"A","day":"2026-02-29"}'), ('month 13', '{"code":"A","day":"2026-13-01"}'),
	('day with time', '{"code":"A","day":"2026-02-28T00:00:00Z"}'), ('no instant', '{"code":"A","at":"tomorrow"}'), ('infinity', '{"code":"A","at":"infinity"}'), ('25 o''clock', '{"code":"A","at":"2026-02-28T25:00:00Z"}'),
	('odd zone', '{"code":"A","at":"2026-02-28T05:00:00 Europe/Vienna"}'), ('no such zone', '{"code":"A","tz":"Mars/Base"}'), ('made-up rule', '{"code":"A","tz":"ABC+1:23"}'), ('rule like a name', '{"code":"A","tz":"Etc/GMT+15"}'), ('no uuid', '{"code":"A","id":"1-2"}'),
	('text as list', '{"code":"A","lines":"x"}'), ('object as list', '{"code":"A","lines":{}}'), ('text in list of objects', '{"code":"A","lines":["x"]}'), ('number in list of text', '{"code":"A","tags":[1]}'),
	('no choice in list', '{"code":"A","tags":["a","c"]}'), ('field missing in list', '{"code":"A","lines":[{"line":"1","quantity":1},{"line":"2"}]}'), ('sign in list', '{"code":"A","lines":[{"line":"1","quantity":-1}]}'),
	('deep', '{"code":"A","lines":[{"line":"1","quantity":1,"lots":[{"quantity":1},{"quantity":"x"}]}]}'), ('inside an object', '{"code":"A","address":{"country":"XX"}}'), ('text as object', '{"code":"A","address":"x"}'),
	('other schema', '{"code":"A","schema":"door_try/2"}'), ('negative version', '{"code":"A","version":-1}'), ('list as ext', '{"code":"A","ext":[1]}'), ('version NaN', '{"code":"A","version":"NaN"}'),
	('zeros without end', jsonb_build_object('code', 'A', 'version', '1.' || repeat('0', 20000))),
	('long text', jsonb_build_object('code', 'A', 'text', repeat('x', 300000)));
SELECT b.what, r.sqlstate, r.field, r.message, r.hint
FROM (SELECT jsonb_agg(doc ORDER BY n) AS docs FROM public.door_bad) d, distsync.apply_all('door_try', d.docs, 'door-erp', options => '{"on_error":"collect"}') r
JOIN public.door_bad b ON b.n = r.ordinal
ORDER BY r.ordinal;
SELECT count(*) AS taken FROM public.door_taken;
-- with a good one among them, only that is taken
SELECT ordinal, outcome, entity_key, sqlstate FROM distsync.apply_all('door_try', '[{"code":"A","whole":"x"},{"code":"B"},{}]', 'door-erp', options => '{"on_error":"collect"}');
SELECT * FROM public.door_taken;
-- and none at all where one error stops all
SELECT * FROM distsync.apply_all('door_try', '[{"code":"C"},{"code":"D","whole":"x"}]', 'door-erp');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) AS taken FROM public.door_taken;
TRUNCATE public.door_taken;

-- what handlers get: unknown fields in ext, at every level; instants with a zone; numbers as they were sent
\t on
\o /dev/null
SELECT * FROM distsync.apply('door_try', '{"schema":"door_try/1","code":"A","unheard":1.10,"ext":{"kept":[1,{"x":null}]},"at":"2026-07-01T12:00:00","until":"2026-07-01","quantity":"12.50","amount":19.990,"tags":["a"],"free":{"any":[1]},"lines":[{"line":"1","quantity":1.000000,"colour":"red","ext":{"y":1}}],"address":{"country":"AT","city":"Wien"}}', 'door-erp');
SELECT * FROM distsync.apply('door_try', '{"code":"A","at":"2026-01-01","until":"2026-01-01T00:00","price":null,"version":"3"}', 'door-erp');
SELECT * FROM distsync.apply('door_try', '{"code":"A","at":"2026-07-01T12:00:00.123456789Z","day":"2028-02-29","tz":"Europe/Vienna","id":"00000000-0000-0000-0000-00000000000a","number":"-1e-12","whole":"-0"}', 'door-erp');
\o
SELECT jsonb_pretty(doc) FROM public.door_taken;
\t off
-- names of the tz database that hold digits
SELECT ordinal, outcome FROM distsync.apply_all('door_try', '[{"code":"Z1","tz":"EST5EDT"},{"code":"Z2","tz":"Etc/GMT-14"},{"code":"Z3","tz":"UTC"}]', 'door-erp');
-- a declaration with holes is an error
SELECT distsync_internal.door_check('[]', 'door_try', '{NULL}', '{text}', '{true}', '{true}', '{any}', '{NULL}', '{code}', '', 'UTC', false);
\echo :LAST_ERROR_SQLSTATE
-- the call itself
SELECT * FROM distsync.apply('door_try', '{"code":"A"}', 'door-nobody');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.apply('door_try', '{"code":"A"}', 'door-off');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY terse
SELECT * FROM distsync.apply('door_tri', '{"code":"A"}', 'door-erp');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
SELECT * FROM distsync.apply_all('door_try', '{"code":"A"}', 'door-erp');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.apply('door_try', '{"code":"A"}', 'door-erp', options => '{"on_eror":"collect"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.apply('door_try', '{"code":"A"}', 'door-erp', options => '{"mode":"half"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.apply('door_try', '{"code":"A"}', 'door-erp', options => '{"operation":"snapshot"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.apply_all('door_try', '[]', 'door-erp');
-- bytes that are no document
SELECT distsync_internal.door_parse(convert_to('{"a":1.10}', 'UTF8')), distsync_internal.door_parse('\xefbbbf7b7d');
SELECT distsync_internal.door_parse('\x7b22ff227d');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.door_parse(convert_to('{"a":', 'UTF8'));
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.door_parse(convert_to('{"a":"\u0000"}', 'UTF8'));
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.door_parse(convert_to('{"a":"\ud800"}', 'UTF8'));
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.door_parse(convert_to('{"a":NaN}', 'UTF8'));
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.door_parse(convert_to('{"a":1e1000000}', 'UTF8'));
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY terse
SELECT distsync_internal.door_parse(convert_to(repeat('[', 200000), 'UTF8'));
\echo :LAST_ERROR_SQLSTATE
-- leave no trace
DELETE FROM distsync_internal.handler WHERE name = 'door_try';
DELETE FROM distsync_internal.document_field WHERE entity = 'door_try';
DELETE FROM distsync_internal.document_entity WHERE entity = 'door_try';
DROP FUNCTION distsync_internal.door_try(jsonb, jsonb);
DROP TABLE public.door_taken, public.door_bad;
