--! migration 0001_access
-- Who may see whose business: what the restricted roles of portals are given.

-- sync.scope: a customer that members of a role may see, with all parties below him.
CREATE TABLE sync.scope (
	customer_id	bigint NOT NULL,					-- party
	role_name	text NOT NULL,						-- role, by name: numbers do not survive a dump
	valid		tstzrange NOT NULL DEFAULT tstzrange(clock_timestamp(), NULL),	-- when, half-open
	given_by	text NOT NULL,						-- by whom
	reason		text NOT NULL DEFAULT '',			-- why
	CONSTRAINT scope_pk PRIMARY KEY (customer_id, role_name),
	CONSTRAINT scope_party_fk FOREIGN KEY (customer_id) REFERENCES dist.party,
	CONSTRAINT scope_chk CHECK (length(role_name) BETWEEN 1 AND 63 AND NOT isempty(valid))
);
