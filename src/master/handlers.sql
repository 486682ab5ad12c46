-- Which function handles which master entity: one for all that are described in distsync_internal.master_table, because the door says
-- in the context whose documents they are.

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('entity', 'currency', 'distsync_internal.master_apply'),
	('entity', 'unit', 'distsync_internal.master_apply'),
	('entity', 'calendar', 'distsync_internal.master_apply'),
	('entity', 'company', 'distsync_internal.master_apply'),
	('entity', 'category', 'distsync_internal.master_apply'),
	('entity', 'party', 'distsync_internal.master_apply'),
	('entity', 'item', 'distsync_internal.master_apply'),
	('entity', 'site', 'distsync_internal.master_apply'),
	('entity', 'carrier', 'distsync_internal.master_apply'),
	('entity', 'channel', 'distsync_internal.master_apply'),
	('entity', 'party.scope', 'distsync_internal.master_scope_party'),
	('entity', 'item.scope', 'distsync_internal.master_scope_item'),
	('entity', 'site.scope', 'distsync_internal.master_scope_site');
