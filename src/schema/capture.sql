-- Which changes of the books are told to others, whoever makes them. The outbox room makes triggers of it (outbox_capture).

CREATE TABLE distsync_internal.capture (
	table_name	text NOT NULL,
	event_type	text NOT NULL,
	kind		text NOT NULL,
	entity		text NOT NULL,
	lane_group	text NOT NULL,
	key_column	text NOT NULL,
	group_column	text NOT NULL DEFAULT '',
	watch		text[] NOT NULL DEFAULT '{}',
	CONSTRAINT capture_pk PRIMARY KEY (table_name, event_type),
	CONSTRAINT capture_chk CHECK (kind IN ('state', 'document') AND lane_group IN ('customer', 'item'))
);
COMMENT ON TABLE distsync_internal.capture IS 'What triggers capture: one row for each table and event. A member of the extension, never changed by users.';
COMMENT ON COLUMN distsync_internal.capture.table_name IS 'Qualified name of the table.';
COMMENT ON COLUMN distsync_internal.capture.event_type IS 'Type of the event.';
COMMENT ON COLUMN distsync_internal.capture.kind IS 'state: every change leaves a marker, once for each key and transaction, that the router renders. document: only changes made outside the verbs, with the row as data; verbs tell their own.';
COMMENT ON COLUMN distsync_internal.capture.entity IS 'Entity of the event.';
COMMENT ON COLUMN distsync_internal.capture.lane_group IS 'customer | item: the outbox it goes to.';
COMMENT ON COLUMN distsync_internal.capture.key_column IS 'state: a bigint, the key that the renderer gets. document: the business key.';
COMMENT ON COLUMN distsync_internal.capture.group_column IS 'customer_id or item_id of the row, empty = none.';
COMMENT ON COLUMN distsync_internal.capture.watch IS 'state: an UPDATE counts only if one of these columns changes; empty = any.';
GRANT SELECT ON distsync_internal.capture TO distsync_owner;

INSERT INTO distsync_internal.capture (table_name, event_type, kind, entity, lane_group, key_column, group_column, watch) VALUES
	('dist.stock_balance', 'stock.atp_changed', 'state', 'item', 'item', 'item_id', 'item_id', '{quantity,expires_on}'),
	('dist.supply', 'stock.atp_changed', 'state', 'item', 'item', 'item_id', 'item_id', '{site_id,quantity,received,expected_at,confidence,status}'),
	('dist.demand', 'stock.atp_changed', 'state', 'item', 'item', 'item_id', 'item_id', '{site_id,reserved,ordered,allocated,shipped,phys_allocated,required_at,status}'),
	('dist.reservation', 'stock.atp_changed', 'state', 'item', 'item', 'item_id', 'item_id', '{site_id,quantity,committed,shipped,state,expires_at}'),
	('dist.stock_pool', 'stock.atp_changed', 'state', 'item', 'item', 'item_id', 'item_id', '{cap,held,committed,backorder_cap,phys,book,low}'),
	('dist.item_site', 'stock.atp_changed', 'state', 'item', 'item', 'item_id', 'item_id', '{site_id,safety,backorder_cap,lead_days,supply_grace_days,demand_fence_days,inspection_days,returns_days,transit_days}'),
	('dist.stock_quota', 'stock.atp_changed', 'state', 'item', 'item', 'item_id', 'item_id', '{site_id,scope_kind,scope_key,period,quantity,turns_at}'),
	('dist.item_component', 'stock.atp_changed', 'state', 'item', 'item', 'kit_id', 'kit_id', '{component_id,quantity}'),
	('dist.channel_item', 'stock.atp_changed', 'state', 'item', 'item', 'item_id', 'item_id', '{channel_id,buffer,cap,threshold,mode}'),
	('dist.price_change', 'price.changed', 'state', 'price_change', 'customer', 'change_id', '', '{}'),
	('dist.credit_account', 'credit.status_changed', 'state', 'credit_account', 'customer', 'account_id', 'customer_id', '{status,status_reason,standing,standing_why,dunning_level,mode,currency,parent_id,segment}'),
	('dist.credit_limit', 'credit.status_changed', 'state', 'credit_account', 'customer', 'account_id', '', '{}'),
	('dist.sales_order', 'order.changed', 'document', 'order', 'customer', 'order_number', 'customer_id', '{}'),
	('dist.shipment', 'shipment.changed', 'document', 'shipment', 'customer', 'shipment_number', 'customer_id', '{}'),
	('dist.invoice', 'invoice.changed', 'document', 'invoice', 'customer', 'invoice_number', 'customer_id', '{}'),
	('dist.customer_return', 'return.changed', 'document', 'return', 'customer', 'return_number', 'customer_id', '{}'),
	('dist.payment', 'payment.changed', 'document', 'payment', 'customer', 'payment_number', 'customer_id', '{}');
