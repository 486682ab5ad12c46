-- verify(): do the books contradict themselves? Rooms prove their own invariants; here is what no room proves for another.

-- verify does the running of every check of kind verify. One that fails itself is a finding: silence must mean that all was looked at.
CREATE FUNCTION distsync.verify(pattern text DEFAULT '%', options jsonb DEFAULT '{}') RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	h record;
	message text;
	findings jsonb := '[]';
	record_it boolean;
	t timestamptz := clock_timestamp();
BEGIN
	IF NOT distsync_internal.ops_is_set_up() THEN
		RAISE EXCEPTION USING ERRCODE = 'SD030', MESSAGE = 'distsync is not set up in this database', DETAIL = format('Database: %s.', current_database()), HINT = 'Call distsync.setup() first.';
	END IF;
	options := distsync_internal.base_options(options, '{record:boolean}');
	record_it := COALESCE((options ->> 'record')::boolean, false);
	FOR h IN SELECT r.name, r.function FROM distsync_internal.handler r WHERE r.kind = 'verify' ORDER BY r.ordinal, r.name COLLATE "C" LOOP
		BEGIN
			FOR invariant, entity, entity_key, detail IN EXECUTE format('SELECT * FROM %s()', h.function) LOOP
				IF invariant LIKE pattern THEN
					RETURN NEXT;
					IF record_it THEN
						findings := findings || jsonb_build_array(jsonb_build_object('i', invariant, 'e', entity, 'k', entity_key, 'd', detail));
					END IF;
				END IF;
			END LOOP;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
			invariant := 'verify.check_failed'; entity := 'function'; entity_key := h.function; detail := jsonb_build_object('sqlstate', SQLSTATE, 'message', message);
			RETURN NEXT;
			findings := findings || jsonb_build_array(jsonb_build_object('i', invariant, 'e', entity, 'k', entity_key, 'd', detail));
		END;
	END LOOP;
	IF record_it THEN
		PERFORM distsync_internal.ops_verify_record(pattern, findings, t);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync.verify(text, jsonb) IS
	'Runs every invariant and returns a row for each violation: invariant, what it is about, its key, the numbers. No row = the books agree with themselves. pattern: LIKE pattern of invariants to report. Options: record (true: opens an exception of kind invariant for each violation, at most 1,000, closes those that are gone, and notes the run; schedule() does this each night). Reads all tables, so it takes its time. Errors: SD030 not set up.';

-- ops_verify_record does the keeping of what a run found, as exceptions.
CREATE FUNCTION distsync_internal.ops_verify_record(pattern text, findings jsonb, started_at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v record;
	n integer := jsonb_array_length(findings);
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended('distsync.verify', 0));
	FOR v IN SELECT DISTINCT ON (k) concat_ws(':', f.value ->> 'i', f.value ->> 'e', f.value ->> 'k') COLLATE "C" AS k, f.value AS x FROM jsonb_array_elements(findings) f ORDER BY k LIMIT 1000 LOOP
		PERFORM distsync_internal.base_exception('invariant', v.k, 'sync', 'error', NULL, v.x ->> 'e', v.x ->> 'k', jsonb_build_object('invariant', v.x -> 'i', 'found', v.x -> 'd'));
	END LOOP;
	IF n <= 1000 THEN
		FOR v IN SELECT e.trace_key FROM sync.exception e
			WHERE e.kind = 'invariant' AND e.state IN ('open', 'acknowledged') AND e.last_seen_at < ops_verify_record.started_at AND e.details ->> 'invariant' LIKE pattern
			ORDER BY e.trace_key COLLATE "C"
		LOOP
			PERFORM distsync_internal.base_exception_close('invariant', v.trace_key, 'the books agree again');
		END LOOP;
	END IF;
	INSERT INTO sync.progress AS p (operation, phase, done, total, started_at, updated_at) VALUES ('verify', 'finished', n, n, ops_verify_record.started_at, clock_timestamp())
	ON CONFLICT (operation) DO UPDATE SET phase = excluded.phase, done = excluded.done, total = excluded.total, started_at = excluded.started_at, updated_at = excluded.updated_at;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_verify_record(text, jsonb, timestamptz) IS 'Part of verify(): exceptions of kind invariant for what was found, the end of those that are gone, and a note of the run in sync.progress (done = violations).';

-- ops_references does the listing of what refers to what without a foreign key. A foreign key costs the tables that are written all
-- the time too much; here is what replaces it. A column is known by its name; pairs and exceptions from the rule are named.
CREATE FUNCTION distsync_internal.ops_references() RETURNS TABLE (child text, child_columns text[], parent text, parent_columns text[], empty text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH rule (columns, parent, parent_column, empty) AS (VALUES
		(ARRAY['item_id', 'requested_item_id'], 'dist.item', 'item_id', '0'),
		(ARRAY['site_id'], 'dist.site', 'site_id', '0'),
		(ARRAY['customer_id', 'owner_id', 'payer_id', 'ship_to_id', 'sold_to_id', 'job_id', 'vendor_id', 'party_id', 'ancestor_id'], 'dist.party', 'party_id', '0'),
		(ARRAY['company_id'], 'dist.company', 'company_id', '0'),
		(ARRAY['channel_id'], 'dist.channel', 'channel_id', '0'),
		(ARRAY['carrier_id'], 'dist.carrier', 'carrier_id', '0'),
		(ARRAY['account_id'], 'dist.credit_account', 'account_id', '0'),
		(ARRAY['agreement_id', 'base_agreement_id'], 'dist.agreement', 'agreement_id', '0'),
		(ARRAY['target_id'], 'dist.target', 'target_id', NULL),
		(ARRAY['version_id', 'supersedes_id', 'rate_set_id'], 'dist.agreement_version', 'version_id', '0'),
		(ARRAY['endpoint_id'], 'sync.endpoint', 'endpoint_id', '0'),
		(ARRAY['route_id'], 'sync.route', 'route_id', '0'),
		(ARRAY['currency', 'from_currency', 'to_currency'], 'dist.currency', 'currency', NULL),
		(ARRAY['unit', 'base_unit'], 'dist.unit', 'unit', NULL),
		(ARRAY['system'], 'sync.system', 'code', 'distsync')
	), pair (child, child_columns, parent, parent_columns) AS (VALUES
		('dist.order_line', ARRAY['customer_id', 'order_id'], 'dist.sales_order', ARRAY['customer_id', 'order_id']),
		('dist.order_offer', ARRAY['customer_id', 'order_id'], 'dist.sales_order', ARRAY['customer_id', 'order_id']),
		('dist.order_line_moved', ARRAY['customer_id', 'order_id'], 'dist.sales_order', ARRAY['customer_id', 'order_id']),
		('dist.order_line', ARRAY['reservation_id'], 'dist.reservation', ARRAY['reservation_id']),
		('dist.hold', ARRAY['customer_id', 'order_id'], 'dist.sales_order', ARRAY['customer_id', 'order_id']),
		('dist.credit_decision', ARRAY['order_id'], 'dist.sales_order', ARRAY['order_id']),
		('dist.shipment', ARRAY['order_id'], 'dist.sales_order', ARRAY['order_id']),
		('dist.invoice', ARRAY['order_id'], 'dist.sales_order', ARRAY['order_id']),
		('dist.invoice', ARRAY['shipment_id'], 'dist.shipment', ARRAY['shipment_id']),
		('dist.shipment_line', ARRAY['customer_id', 'shipment_id'], 'dist.shipment', ARRAY['customer_id', 'shipment_id']),
		('dist.customer_return', ARRAY['order_id'], 'dist.sales_order', ARRAY['order_id']),
		('dist.return_line', ARRAY['customer_id', 'return_id'], 'dist.customer_return', ARRAY['customer_id', 'return_id']),
		('dist.return_line', ARRAY['order_id'], 'dist.sales_order', ARRAY['order_id']),
		('dist.return_credit', ARRAY['order_id'], 'dist.sales_order', ARRAY['order_id']),
		('dist.return_step', ARRAY['customer_id', 'return_id', 'line_no'], 'dist.return_line', ARRAY['customer_id', 'return_id', 'line_no']),
		('dist.return_credit', ARRAY['customer_id', 'return_id', 'line_no'], 'dist.return_line', ARRAY['customer_id', 'return_id', 'line_no']),
		('dist.invoice_line', ARRAY['customer_id', 'invoice_id'], 'dist.invoice', ARRAY['customer_id', 'invoice_id']),
		('dist.application', ARRAY['customer_id', 'from_item_id'], 'dist.open_item', ARRAY['customer_id', 'open_item_id']),
		('dist.application', ARRAY['customer_id', 'to_item_id'], 'dist.open_item', ARRAY['customer_id', 'open_item_id']),
		('dist.application', ARRAY['customer_id', 'reverses_id'], 'dist.application', ARRAY['customer_id', 'application_id']),
		('dist.dispute', ARRAY['customer_id', 'open_item_id'], 'dist.open_item', ARRAY['customer_id', 'open_item_id']),
		('dist.instalment', ARRAY['customer_id', 'open_item_id'], 'dist.open_item', ARRAY['customer_id', 'open_item_id']),
		('dist.reservation', ARRAY['kit_id'], 'dist.item', ARRAY['item_id']),
		('dist.stock_quota_shipped', ARRAY['item_id', 'quota_id'], 'dist.stock_quota', ARRAY['item_id', 'quota_id']),
		('dist.stock_event', ARRAY['state'], 'dist.stock_state', ARRAY['state']),
		('dist.stock_balance', ARRAY['state'], 'dist.stock_state', ARRAY['state']),
		('sync.feed', ARRAY['source'], 'sync.source', ARRAY['code'])
	), col AS (
		SELECT n.nspname || '.' || c.relname AS child, a.attname::text AS name
		FROM pg_attribute a
		JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('dist', 'sync')
		WHERE a.attnum > 0 AND NOT a.attisdropped
			AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey))
	)
	SELECT col.child, ARRAY[col.name], rule.parent, ARRAY[rule.parent_column], rule.empty
	FROM col JOIN rule ON col.name = ANY (rule.columns)
	WHERE (col.child, col.name) <> (rule.parent, rule.parent_column)
	UNION ALL
	SELECT pair.child, pair.child_columns, pair.parent, pair.parent_columns, NULL FROM pair WHERE to_regclass(pair.child) IS NOT NULL
	UNION ALL
	SELECT col.child, ARRAY['source'], 'sync.system', ARRAY['code'], 'distsync' FROM col WHERE col.name = 'source' AND col.child LIKE 'dist.%'
$$;
COMMENT ON FUNCTION distsync_internal.ops_references() IS
	'References without a foreign key, proved by verify(): child table and columns, parent table and columns, and the value that means nothing (NULL = only NULL does).';

-- ops_verify_references does the anti-join of every reference, and names at most 100 values of each.
CREATE FUNCTION distsync_internal.ops_verify_references() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r record;
	child_list text;
	parent_list text;
BEGIN
	FOR r IN SELECT * FROM distsync_internal.ops_references() f ORDER BY f.child COLLATE "C", f.child_columns LOOP
		SELECT string_agg(format('c.%I', c), ', ') INTO child_list FROM unnest(r.child_columns) c;
		SELECT string_agg(format('p.%I', p), ', ') INTO parent_list FROM unnest(r.parent_columns) p;
		-- %s is a regclass, or a list of column names that %I quoted
		RETURN QUERY EXECUTE format('SELECT $1, $2, x.k, jsonb_build_object(''columns'', $3::text, ''missing_in'', $4::text, ''rows'', x.n)
			FROM (SELECT concat_ws(''/'', %1$s) AS k, count(*) AS n FROM %2$s c
				  WHERE num_nulls(%1$s) = 0 AND ($5::text IS NULL OR concat_ws(''/'', %1$s) <> $5) AND NOT EXISTS (SELECT FROM %3$s p WHERE (%4$s) = (%1$s))
				  GROUP BY 1 ORDER BY 1 LIMIT 100) x', child_list, r.child::regclass, r.parent::regclass, parent_list)
			USING 'reference.' || split_part(r.child, '.', 2) || '.' || r.child_columns[array_upper(r.child_columns, 1)], r.child, array_to_string(r.child_columns, ', '), r.parent, r.empty;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_verify_references() IS
	'Handler of verify(): reference.<table>.<column>, ids and codes of tables without foreign keys that lead nowhere; key = the value, at most 100 of each.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('verify', '{operator,admin}');
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('verify', 'references', 900, 'distsync_internal.ops_verify_references');
