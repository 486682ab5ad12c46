-- What rooms register, so that a room below never names a room above it.

CREATE TABLE distsync_internal.verb (
	name	text NOT NULL,
	roles	text[] NOT NULL,
	CONSTRAINT verb_pk PRIMARY KEY (name)
);
COMMENT ON TABLE distsync_internal.verb IS 'Who may call which verb: filled by each room beside its functions, applied by distsync.repair_grants().';
COMMENT ON COLUMN distsync_internal.verb.name IS 'Name of a function in schema distsync; holds for each of its signatures.';
COMMENT ON COLUMN distsync_internal.verb.roles IS 'Roles that get EXECUTE, without the prefix distsync_: reader, order_entry, integrator, operator, admin, portal (restricted to a customer scope); public = everybody, for what policies of tables call.';

CREATE TABLE distsync_internal.handler (
	kind		text NOT NULL,
	name		text NOT NULL,
	ordinal		int NOT NULL DEFAULT 100,
	function	text NOT NULL,
	CONSTRAINT handler_pk PRIMARY KEY (kind, name, ordinal),
	CONSTRAINT handler_kind_chk CHECK (kind IN ('entity', 'render', 'hook', 'clerk', 'courier', 'verify', 'doctor', 'metric', 'trigger', 'teardown', 'observe', 'priced_lines', 'told', 'keys', 'payer', 'let_go', 'open_next', 'open_days', 'unbilled')),
	CONSTRAINT handler_function_chk CHECK (function ~ '^distsync_internal\.[a-z0-9_]+$')
);
COMMENT ON TABLE distsync_internal.handler IS 'Functions that rooms hand to other rooms: entity handlers of apply(), renderers of state events, hooks, worker tasks, checks. The shape of each kind is in docs/architecture.md.';
COMMENT ON COLUMN distsync_internal.handler.kind IS 'entity | render | hook | clerk | courier | verify | doctor | metric | trigger | teardown | observe | priced_lines | told | keys | payer | let_go | open_next | open_days | unbilled';
COMMENT ON COLUMN distsync_internal.handler.name IS 'What it handles: the entity, the state event, the hook point, the task.';
COMMENT ON COLUMN distsync_internal.handler.ordinal IS 'Order of the call among handlers of the same kind and name.';
COMMENT ON COLUMN distsync_internal.handler.function IS 'Qualified name of the function, never anything that came from a user.';
GRANT SELECT ON distsync_internal.verb, distsync_internal.handler TO distsync_owner;
