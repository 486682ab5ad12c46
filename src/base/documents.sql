-- The shape of documents that apply() takes: rooms declare their entities and fields here, beside their handlers, so that the door
-- can check every document the same way and the contracts in contracts/ can be written from one place.

CREATE TYPE distsync_internal.apply_result AS (
	ordinal		integer,
	outcome		text,
	entity_key	text,
	sqlstate	text,
	field		text,
	message		text,
	hint		text,
	detail		jsonb
);
COMMENT ON TYPE distsync_internal.apply_result IS 'What became of a document: its place in the call (from 1), outcome applied | unchanged | duplicate | stale | rejected, business key, and for a rejected one SQLSTATE, field, message, hint; anything else in detail.';

CREATE TABLE distsync_internal.document_entity (
	entity		text NOT NULL,
	key_fields	text[] NOT NULL,
	domain		text NOT NULL,
	description	text NOT NULL,
	timed		boolean NOT NULL DEFAULT true,
	CONSTRAINT document_entity_pk PRIMARY KEY (entity),
	CONSTRAINT document_entity_name_chk CHECK (entity ~ '^[a-z][a-z0-9_]*$')
);
COMMENT ON TABLE distsync_internal.document_entity IS 'Entities that apply() takes. The handler is a row of distsync_internal.handler with kind entity and the same name.';
COMMENT ON COLUMN distsync_internal.document_entity.entity IS 'Name of the entity, the first argument of apply().';
COMMENT ON COLUMN distsync_internal.document_entity.key_fields IS 'Fields that identify it; joined with / they are its entity_key. They must be in every document.';
COMMENT ON COLUMN distsync_internal.document_entity.domain IS 'Domain whose owner may write it, see sync.ownership.';
COMMENT ON COLUMN distsync_internal.document_entity.description IS 'What the document says, for its contract.';
COMMENT ON COLUMN distsync_internal.document_entity.timed IS 'The door judges by versions and times what is news. False: the room does, which knows the order of time itself; its handler also names the key of each document.';

CREATE TABLE distsync_internal.document_field (
	entity		text NOT NULL,
	field		text NOT NULL,
	type		text NOT NULL,
	required	boolean NOT NULL DEFAULT false,
	sign		text NOT NULL DEFAULT 'any',
	description	text NOT NULL,
	choices		text[],
	at_creation	boolean NOT NULL DEFAULT false,
	CONSTRAINT document_field_pk PRIMARY KEY (entity, field),
	CONSTRAINT document_field_entity_fk FOREIGN KEY (entity) REFERENCES distsync_internal.document_entity,
	CONSTRAINT document_field_name_chk CHECK (field ~ '^[a-z][a-z0-9_]*(\[\])?(\.[a-z][a-z0-9_]*(\[\])?)*$'),
	CONSTRAINT document_field_type_chk CHECK (type IN ('text', 'name', 'code', 'boolean', 'integer', 'quantity', 'amount', 'price', 'number', 'factor',
		'currency', 'unit', 'date', 'instant', 'instant_or_date', 'json', 'uuid', 'list', 'timezone')),
	CONSTRAINT document_field_sign_chk CHECK (sign IN ('any', 'nonnegative', 'positive'))
);
COMMENT ON TABLE distsync_internal.document_field IS 'Fields of each entity''s document. The door refuses what does not fit and keeps what is not declared in ext.';
COMMENT ON COLUMN distsync_internal.document_field.entity IS 'Entity.';
COMMENT ON COLUMN distsync_internal.document_field.field IS 'Name; lines[].quantity for a field of the objects in a list, address.city for one of an object.';
COMMENT ON COLUMN distsync_internal.document_field.type IS 'text | name (text of at most 255 characters) | code (1 to 255 characters, no blanks around it) | boolean | integer | quantity (6 decimals) | amount (4) | price (8) | number (12) | factor (whole, above 0) | currency | unit | date | instant (date-only: midnight in the sender''s zone) | instant_or_date (date-only is kept as it is) | timezone | json | uuid | list (of text, or of objects whose fields are declared).';
COMMENT ON COLUMN distsync_internal.document_field.required IS 'It must be in every document and must not be null. Key fields are.';
COMMENT ON COLUMN distsync_internal.document_field.sign IS 'any | nonnegative | positive.';
COMMENT ON COLUMN distsync_internal.document_field.description IS 'What it says, for the contract.';
COMMENT ON COLUMN distsync_internal.document_field.choices IS 'The values it may have, NULL = any.';
COMMENT ON COLUMN distsync_internal.document_field.at_creation IS 'It must be in the document that creates the entity and can never be cleared; later documents may leave it out.';
GRANT SELECT ON distsync_internal.document_entity, distsync_internal.document_field TO distsync_owner;
