-- Who tells what: statement triggers write a row of dist.price_change for whatever prices may follow from, whoever writes it, under the
-- price clock; and the instants still to come at which something of it starts or ends. Their names sort behind those of the triggers that
-- move the clock, because the stamp they write is the one that was moved.

-- pricing_stamp does the reading of the stamp that the writer has just moved the price clock to.
CREATE FUNCTION distsync_internal.pricing_stamp() RETURNS timestamptz
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT e.stamped_at FROM dist.epoch e WHERE e.domain = 'clock' AND e.bucket = 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_stamp() IS 'Stamp of the price clock as the caller sees it.';

-- pricing_noted does the question whether this transaction has just said the same: a change often takes an UPDATE and an INSERT.
CREATE FUNCTION distsync_internal.pricing_noted(cause text, agreement_ids bigint[], buyers jsonb, items jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN EXISTS (SELECT FROM dist.price_change c WHERE c.change_id > (SELECT max(x.change_id) - 8 FROM dist.price_change x) AND c.xmin = pg_current_xact_id()::xid
		AND (c.cause, c.agreement_ids, c.buyers, c.items) IS NOT DISTINCT FROM (pricing_noted.cause, pricing_noted.agreement_ids, pricing_noted.buyers, pricing_noted.items));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_noted(text, bigint[], jsonb, jsonb) IS 'Whether one of the last changes is this transaction''s and says the same.';

-- pricing_note does the writing of a change that names buyers and items itself. A long list becomes several changes.
CREATE FUNCTION distsync_internal.pricing_note(cause text, who_kind text, whos text[], what_kind text, whats text[], valid tstzrange DEFAULT NULL, agreement_ids bigint[] DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most integer := distsync_internal.pricing_names_limit();
	stamp timestamptz := distsync_internal.pricing_stamp();
BEGIN
	INSERT INTO dist.price_change (at, cause, agreement_ids, valid, buyers, items)
	SELECT stamp, pricing_note.cause, pricing_note.agreement_ids, pricing_note.valid, b.list, i.list
	FROM (SELECT jsonb_agg(jsonb_build_object('who_kind', pricing_note.who_kind, 'who', u.who) ORDER BY u.n) AS list, min(u.n) AS n
			FROM unnest(whos) WITH ORDINALITY u(who, n) GROUP BY (u.n - 1) / most) b
	CROSS JOIN (SELECT jsonb_agg(jsonb_build_object('what_kind', pricing_note.what_kind, 'what', u.what) ORDER BY u.n) AS list, min(u.n) AS n
			FROM unnest(whats) WITH ORDINALITY u(what, n) WHERE pricing_note.what_kind IS NOT NULL GROUP BY (u.n - 1) / most
			UNION ALL SELECT NULL, 0 WHERE pricing_note.what_kind IS NULL) i
	WHERE NOT distsync_internal.pricing_noted(pricing_note.cause, pricing_note.agreement_ids, b.list, i.list)
	ORDER BY b.n, i.n;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_note(text, text, text[], text, text[], tstzrange, bigint[]) IS
	'Writes rows of dist.price_change for buyers × items of one kind each, at most pricing_names_limit() names of each a row; what_kind NULL: the items of the agreements.';

-- pricing_note_agreement does the same for what versions or assignments of an agreement changed: one row for one stamp, however many
-- statements it takes.
CREATE FUNCTION distsync_internal.pricing_note_agreement(cause text, agreement_id bigint, version_ids bigint[], buyers jsonb, valid tstzrange) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	stamp timestamptz := distsync_internal.pricing_stamp();
BEGIN
	UPDATE dist.price_change c SET version_ids = ARRAY(SELECT DISTINCT v FROM unnest(c.version_ids || pricing_note_agreement.version_ids) v ORDER BY v),
		valid = CASE WHEN c.valid = pricing_note_agreement.valid THEN c.valid END
	WHERE c.at = stamp AND c.agreement_id = pricing_note_agreement.agreement_id AND c.cause = 'version' AND pricing_note_agreement.cause = 'version';
	IF NOT FOUND THEN
		INSERT INTO dist.price_change (at, cause, agreement_id, version_ids, buyers, valid)
		VALUES (stamp, pricing_note_agreement.cause, pricing_note_agreement.agreement_id, pricing_note_agreement.version_ids, pricing_note_agreement.buyers, pricing_note_agreement.valid);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_note_agreement(text, bigint, bigint[], jsonb, tstzrange) IS
	'Notes a change of versions (version_ids) or assignments (buyers) of an agreement; versions are added to what was noted of them at the same stamp.';

-- pricing_difference does the saying, as SQL over the transition tables, of which rows a statement changed.
CREATE FUNCTION distsync_internal.pricing_difference(operation text, columns text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- %s is a list of columns that is ours: see pricing_note_triggers
	RETURN format(CASE operation WHEN 'INSERT' THEN '(SELECT %1$s FROM come) d' WHEN 'DELETE' THEN '(SELECT %1$s FROM gone) d'
		ELSE '((SELECT %1$s FROM come EXCEPT SELECT %1$s FROM gone) UNION ALL (SELECT %1$s FROM gone EXCEPT SELECT %1$s FROM come)) d' END, columns);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_difference(text, text) IS 'Derived table d of the rows that differ between the transition tables come and gone of a statement.';

-- pricing_note_rows does the noting of parties, items or everything that a statement changed.
CREATE FUNCTION distsync_internal.pricing_note_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	codes text[];
	period tstzrange;
BEGIN
	-- %s is what pricing_difference made, and the end of a query that is ours: see pricing_note_triggers
	EXECUTE format('SELECT array_agg(DISTINCT x.code ORDER BY x.code), range_merge(range_agg(x.valid)) FROM (SELECT %2$s AS code, %3$s AS valid FROM %1$s %4$s) x WHERE x.code IS NOT NULL',
		distsync_internal.pricing_difference(TG_OP, TG_ARGV[2]), TG_ARGV[3], TG_ARGV[4], TG_ARGV[5]) INTO codes, period;
	IF codes IS NOT NULL THEN
		PERFORM distsync_internal.pricing_note(TG_ARGV[0], CASE WHEN TG_ARGV[1] IN ('party', 'customer') THEN TG_ARGV[1] ELSE 'all' END, CASE WHEN TG_ARGV[1] IN ('party', 'customer') THEN codes ELSE '{""}' END,
			CASE TG_ARGV[1] WHEN 'item' THEN 'item' ELSE 'all' END, CASE TG_ARGV[1] WHEN 'item' THEN codes ELSE '{""}' END, period);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_note_rows() IS
	'Statement trigger: notes a price change. Arguments: cause; party, customer, item or all; the columns that prices read; the code, the period and the rest of the query, as SQL over the changed rows d.';

-- pricing_note_members does the noting of parties whose membership in a group with prices changed.
CREATE FUNCTION distsync_internal.pricing_note_members() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	group_id bigint;
	codes text[];
	period tstzrange;
	agreements bigint[];
BEGIN
	-- %s is what pricing_difference made
	FOR group_id, codes, period IN EXECUTE format('SELECT d.group_id, array_agg(DISTINCT p.code ORDER BY p.code) AS codes, range_merge(range_agg(d.valid)) AS valid FROM %s JOIN dist.party p ON p.party_id = d.party_id GROUP BY 1 ORDER BY 1',
		distsync_internal.pricing_difference(TG_OP, 'party_id, group_id, valid, known'))
	LOOP
		agreements := distsync_internal.pricing_group_agreements(ARRAY[group_id], distsync_internal.pricing_stamp());
		IF cardinality(agreements) > 0 THEN
			PERFORM distsync_internal.pricing_note('member', 'party', codes, NULL, NULL, period, agreements);
		END IF;
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_note_members() IS 'Statement trigger of dist.party_member: notes the members whose group an agreement is assigned to.';

-- pricing_note_exchange does the noting of exchange rates that changed: what may be converted between the two currencies, and everything
-- where costs are in one of them.
CREATE FUNCTION distsync_internal.pricing_note_exchange() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	currencies text[];
	period tstzrange;
BEGIN
	-- %s is what pricing_difference made
	EXECUTE format('SELECT array_agg(DISTINCT x.c), range_merge(range_agg(d.valid)) FROM %s CROSS JOIN LATERAL (VALUES (d.from_currency), (d.to_currency)) x(c) WHERE d.kind = ''spot''',
		distsync_internal.pricing_difference(TG_OP, 'from_currency, to_currency, kind, rate, valid, known')) INTO currencies, period;
	IF currencies IS NOT NULL THEN
		INSERT INTO dist.price_change (at, cause, agreement_ids, buyers, items, valid)
		SELECT s.stamp, 'exchange_rate', m.agreement_ids, m.buyers, m.items, period
		FROM (SELECT distsync_internal.pricing_stamp() AS stamp) s CROSS JOIN LATERAL distsync_internal.pricing_money_scope(currencies, s.stamp) m
		WHERE (m.agreement_ids IS NOT NULL OR m.buyers IS NOT NULL) AND NOT distsync_internal.pricing_noted('exchange_rate', m.agreement_ids, m.buyers, m.items);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_note_exchange() IS 'Statement trigger of dist.exchange_rate: notes spot rates that changed.';

-- pricing_note_locks does the noting of promised prices that changed.
CREATE FUNCTION distsync_internal.pricing_note_locks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	customer text;
	skus text[];
	period tstzrange;
BEGIN
	-- %s is what pricing_difference made
	FOR customer, skus, period IN EXECUTE format('SELECT p.code AS customer, array_agg(DISTINCT i.sku ORDER BY i.sku) AS skus, range_merge(range_agg(d.valid)) AS valid
		FROM %s JOIN dist.party p ON p.party_id = d.customer_id JOIN dist.item i ON i.item_id = d.item_id GROUP BY 1 ORDER BY 1',
		distsync_internal.pricing_difference(TG_OP, 'customer_id, item_id, document_type, document_key, unit, min_quantity, max_quantity, unit_price, currency, price_per, valid'))
	LOOP
		PERFORM distsync_internal.pricing_note('lock', 'customer', ARRAY[customer], 'item', skus, period);
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_note_locks() IS 'Statement trigger of dist.price_lock: notes the customers and items of locks that changed.';

-- pricing_note_assignments does the noting of those who were given an agreement, or lost it.
CREATE FUNCTION distsync_internal.pricing_note_assignments() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	agreement bigint;
	buyers jsonb;
	period tstzrange;
BEGIN
	-- %s is what pricing_difference made
	FOR agreement, buyers, period IN EXECUTE format('SELECT d.agreement_id, jsonb_agg(DISTINCT jsonb_build_object(''who_kind'', d.who_kind, ''who'', d.who_key)) AS buyers, range_merge(range_agg(d.valid)) AS valid FROM %s
		WHERE EXISTS (SELECT FROM dist.agreement_version v WHERE v.agreement_id = d.agreement_id AND v.published_at IS NOT NULL) GROUP BY 1 ORDER BY 1',
		distsync_internal.pricing_difference(TG_OP, 'agreement_id, who_kind, who_key, rank, blocking, valid, known'))
	LOOP
		PERFORM distsync_internal.pricing_note_agreement('assignment', agreement, NULL,
			CASE WHEN jsonb_array_length(buyers) > distsync_internal.pricing_names_limit() THEN '[{"who_kind": "all", "who": ""}]' ELSE buyers END, period);
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_note_assignments() IS 'Statement trigger of dist.agreement_assignment: notes whose use of an agreement changed.';

-- pricing_note_versions does the noting of versions that began or ceased to be held true.
CREATE FUNCTION distsync_internal.pricing_note_versions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	agreement bigint;
	versions bigint[];
	period tstzrange;
BEGIN
	-- %s is what pricing_difference made
	FOR agreement, versions, period IN EXECUTE format('SELECT d.agreement_id, array_agg(DISTINCT d.version_id ORDER BY d.version_id) AS ids, range_merge(range_agg(d.valid)) AS valid FROM %s WHERE d.published_at IS NOT NULL GROUP BY 1 ORDER BY 1',
		distsync_internal.pricing_difference(TG_OP, 'agreement_id, version_id, status, valid, known, published_at'))
	LOOP
		PERFORM distsync_internal.pricing_note_agreement('version', agreement, versions, NULL, period);
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_note_versions() IS 'Statement trigger of dist.agreement_version: notes versions that were published, superseded or withdrawn.';

-- pricing_note_boundaries does the noting of the instants still to come at which rows that were written start or end.
CREATE FUNCTION distsync_internal.pricing_note_boundaries() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- %s is the end of a query that is ours: see pricing_note_triggers
	EXECUTE format('INSERT INTO dist.price_boundary (at, cause, key, edge)
		SELECT DISTINCT e.at, $1, %1$s, e.edge FROM come d %2$s CROSS JOIN LATERAL (VALUES (lower(d.valid), ''start''), (upper(d.valid), ''end'')) e(at, edge)
		WHERE e.at > $2 AND e.at < ''infinity'' AND %3$s ORDER BY 1, 3, 4 ON CONFLICT DO NOTHING', TG_ARGV[1], TG_ARGV[2], TG_ARGV[3]) USING TG_ARGV[0], distsync_internal.pricing_stamp();
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_note_boundaries() IS
	'Statement trigger: adds to dist.price_boundary. Arguments: cause; the key, joins and condition, as SQL over the written rows d.';

-- pricing_note_on does the setting of one of these functions on a table.
CREATE FUNCTION distsync_internal.pricing_note_on(target text, what text, operations text, called text, VARIADIC arguments text[] DEFAULT '{}') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	operation text;
BEGIN
	FOREACH operation IN ARRAY string_to_array(operations, ' ') LOOP
		-- %s is a word of ours and quoted literals
		EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER %s ON dist.%I REFERENCING %s FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.%I(%s)', format('%s_watch_%s_%s_trg', target, what, operation), operation, target,
			CASE operation WHEN 'insert' THEN 'NEW TABLE AS come' WHEN 'delete' THEN 'OLD TABLE AS gone' ELSE 'OLD TABLE AS gone NEW TABLE AS come' END, called,
			(SELECT string_agg(quote_literal(a), ', ' ORDER BY n) FROM unnest(arguments) WITH ORDINALITY u(a, n)));
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_note_on(text, text, text, text, text[]) IS 'Part of setup(): statement triggers on a table of dist, for operations out of insert, update, delete, that call a function with arguments.';

-- pricing_note_triggers does the listing of the tables.
CREATE FUNCTION distsync_internal.pricing_note_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	item text := 'JOIN dist.item i ON i.item_id = d.item_id';
	party text := 'JOIN dist.party p ON p.party_id = d.party_id';
	t record;
BEGIN
	FOR t IN SELECT * FROM (VALUES
		('party', 'update delete', 'party', 'customer', 'party_id, code, currency, price_class', 'd.code', 'NULL::tstzrange', ''),
		('party_ancestor', 'insert update', 'party', 'customer', 'party_id, ancestor_id, depth, valid', 'p.code', 'NULL::tstzrange', party),
		('item', 'update delete', 'item', 'item', 'item_id, sku, base_unit, weight, catch_weight, tax_class', 'd.sku', 'NULL::tstzrange', ''),
		('item_target', 'insert update', 'item', 'item', 'item_id, target_id, depth, valid', 'i.sku', 'NULL::tstzrange', item),
		('item_unit', 'insert update delete', 'item', 'item', 'item_id, unit, numerator, denominator, sell_multiple', 'i.sku', 'NULL::tstzrange', item),
		('item_cost', 'insert update delete', 'cost', 'item', 'item_id, company_id, site_id, kind, unit, cost, currency, valid, known', 'i.sku', 'd.valid', item || ' WHERE d.kind = ''average'''),
		('price_policy', 'insert update', 'policy', 'all', 'policy_version, published_at', '''all''', 'NULL::tstzrange', 'WHERE d.published_at IS NOT NULL'),
		('currency', 'update delete', 'shared', 'all', 'currency, minor_units', '''all''', 'NULL::tstzrange', ''),
		('company', 'insert update delete', 'shared', 'all', 'company_id, code, currency, tz, status', '''all''', 'NULL::tstzrange', ''),
		('channel', 'update delete', 'shared', 'all', 'channel_id, code, company_id', '''all''', 'NULL::tstzrange', ''),
		('party_group', 'update delete', 'shared', 'all', 'group_id, kind, code', '''all''', 'NULL::tstzrange', ''),
		('rounding', 'update delete', 'shared', 'all', 'rounding, scale, mode, multiple, ending, each_step', '''all''', 'NULL::tstzrange', '')) v(target, operations, cause, kind, columns, code, period, rest)
	LOOP
		PERFORM distsync_internal.pricing_note_on(t.target, 'change', t.operations, 'pricing_note_rows', t.cause, t.kind, t.columns, t.code, t.period, t.rest);
	END LOOP;
	FOR t IN SELECT * FROM (VALUES ('party_member', 'insert update delete', 'pricing_note_members'), ('exchange_rate', 'insert update delete', 'pricing_note_exchange'),
		('price_lock', 'insert update delete', 'pricing_note_locks'), ('agreement_assignment', 'insert update delete', 'pricing_note_assignments'),
		('agreement_version', 'insert update', 'pricing_note_versions')) v(target, operations, called)
	LOOP
		PERFORM distsync_internal.pricing_note_on(t.target, 'change', t.operations, t.called);
	END LOOP;
	PERFORM distsync_internal.pricing_note_on('party_member', 'edge', 'insert update', 'pricing_note_boundaries', 'member', 'p.code', party, 'upper_inf(d.known)');
	PERFORM distsync_internal.pricing_note_on('item_cost', 'edge', 'insert update', 'pricing_note_boundaries', 'cost', 'i.sku', item, 'upper_inf(d.known) AND d.kind = ''average''');
	PERFORM distsync_internal.pricing_note_on('exchange_rate', 'edge', 'insert update', 'pricing_note_boundaries', 'exchange_rate', 'd.from_currency || ''/'' || d.to_currency', '', 'upper_inf(d.known) AND d.kind = ''spot''');
	PERFORM distsync_internal.pricing_note_on('price_lock', 'edge', 'insert update', 'pricing_note_boundaries', 'lock', 'p.code', 'JOIN dist.party p ON p.party_id = d.customer_id', 'true');
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_note_triggers() IS 'Part of setup(): which writes are noted as changes that prices may follow from, and which instants as boundaries.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('trigger', 'pricing_note', 60, 'distsync_internal.pricing_note_triggers');
