-- A token in a header line of an endpoint is read by admins only, and stands in no audit row.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.add_system('hd', 'shop');
SELECT distsync.add_endpoint('hd', 'hd', 'https://shop.example/x', '{"scheme":"none","headers":["Authorization: Bearer canary-1","X-Tenant: 7"]}');
SELECT distsync.add_endpoint('hd', 'hd', 'https://shop.example/x', '{"headers":["Authorization: Bearer canary-2"]}');
\o
SELECT before -> 'headers' AS before, after -> 'headers' AS after FROM sync.audit WHERE verb = 'add_endpoint' AND entity_key = 'hd' ORDER BY audit_id;
SELECT count(*) FROM sync.audit a WHERE a::text LIKE '%canary%';
SET ROLE distsync_reader;
SELECT code, url FROM sync.endpoint WHERE code = 'hd';
SELECT headers FROM sync.endpoint WHERE code = 'hd';
SET ROLE distsync_operator;
SELECT headers FROM sync.endpoint WHERE code = 'hd';
RESET ROLE;
DELETE FROM sync.secret WHERE code = 'hd';
DELETE FROM sync.endpoint WHERE code = 'hd';
DELETE FROM sync.system WHERE code = 'hd';
