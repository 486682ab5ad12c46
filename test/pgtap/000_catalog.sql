BEGIN;
SELECT plan(1);
SELECT has_extension('distsync');
SELECT * FROM finish();
ROLLBACK;
