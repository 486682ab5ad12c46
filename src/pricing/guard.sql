-- What keeps published prices as they are, whoever writes: statement triggers refuse to touch them, and tell the price epoch of what else
-- was written past the verbs.

-- pricing_guard_rates does the refusing of changes to rates that a published version carries. The version that brought them is locked, so
-- that nobody publishes it meanwhile.
CREATE FUNCTION distsync_internal.pricing_guard_rates() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sets bigint[];
	code text;
BEGIN
	-- which transition tables there are depends on the statement
	EXECUTE CASE TG_OP WHEN 'INSERT' THEN 'SELECT array_agg(DISTINCT c.version_id) FROM come c' WHEN 'DELETE' THEN 'SELECT array_agg(DISTINCT g.version_id) FROM gone g'
		ELSE 'SELECT array_agg(DISTINCT u.version_id) FROM (SELECT c.version_id FROM come c UNION SELECT g.version_id FROM gone g) u' END INTO sets;
	IF sets IS NULL THEN
		RETURN NULL;
	END IF;
	PERFORM FROM dist.agreement_version v WHERE v.version_id = ANY (sets) ORDER BY v.version_id FOR SHARE;
	SELECT a.code || ' ' || v.version_no INTO code FROM dist.agreement_version v JOIN dist.agreement a ON a.agreement_id = v.agreement_id
	WHERE v.rate_set_id = ANY (sets) AND v.published_at IS NOT NULL ORDER BY v.version_id LIMIT 1;
	IF code IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = format('rates of a published version never change (%s)', code), COLUMN = 'version_id', DETAIL = format('Field: version_id. Table dist.%s.', TG_TABLE_NAME),
			HINT = 'Send a new version of the agreement.';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_guard_rates() IS 'Statement trigger of dist.customer_rate and dist.book_rate: refuses (SD052) changes to rates of published versions.';

-- pricing_guard_truncate does the same for TRUNCATE, which shows no rows: a table is emptied only where nothing of it is published.
CREATE FUNCTION distsync_internal.pricing_guard_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found boolean;
BEGIN
	-- %I is the table that the trigger stands on
	EXECUTE CASE TG_TABLE_NAME WHEN 'agreement_version' THEN 'SELECT EXISTS (SELECT FROM dist.agreement_version v WHERE v.published_at IS NOT NULL)'
		ELSE format('SELECT EXISTS (SELECT FROM dist.agreement_version v WHERE v.published_at IS NOT NULL AND EXISTS (SELECT FROM dist.%I r WHERE r.version_id = v.rate_set_id))', TG_TABLE_NAME) END INTO found;
	IF found THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = 'rates of a published version never change', COLUMN = 'version_id', DETAIL = format('Field: version_id. TRUNCATE of dist.%s.', TG_TABLE_NAME),
			HINT = 'End what an agreement says with distsync.withdraw(), forget a draft with distsync.drop_draft().';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_guard_truncate() IS 'Statement trigger, before TRUNCATE of the tables of rates and versions: refuses (SD052) where anything published has rows there.';

-- pricing_touch_versions does the moving of the epoch rows of those whose prices stand on rate sets. The verbs moved them before: a row
-- that this transaction has moved is not moved again.
CREATE FUNCTION distsync_internal.pricing_touch_versions(sets bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	missed integer[] := ARRAY(
		SELECT b.bucket FROM (SELECT DISTINCT CASE WHEN p.customer_id = 0 THEN 0 ELSE 1 + (p.customer_id % 256)::integer END AS bucket FROM dist.rate_part p WHERE p.version_id = ANY (sets)) b
		WHERE NOT EXISTS (SELECT FROM dist.epoch e WHERE e.domain = 'price' AND e.bucket = b.bucket AND e.xmin = pg_current_xact_id()::xid) ORDER BY 1);
BEGIN
	IF cardinality(missed) > 0 THEN
		PERFORM distsync_internal.base_touch_prices(missed, '{}');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_touch_versions(bigint[]) IS 'Moves the price epoch of the buyers of these rate sets, those rows that the transaction has not moved yet.';

-- pricing_guard_versions does the guarding of the versions themselves: of a published one only status and known change, and who changes
-- those past the verbs moves the price epoch, so that nobody goes on answering from memory.
CREATE FUNCTION distsync_internal.pricing_guard_versions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	bad text;
	sets bigint[];
BEGIN
	EXECUTE CASE TG_OP WHEN 'INSERT' THEN 'SELECT NULL' WHEN 'DELETE' THEN 'SELECT g.version_no FROM gone g WHERE g.published_at IS NOT NULL ORDER BY g.version_id LIMIT 1'
		ELSE $q$SELECT d.version_no FROM (
			SELECT g.version_id, g.version_no, to_jsonb(g) - '{status,known,approved_by}'::text[] FROM gone g WHERE g.published_at IS NOT NULL
			EXCEPT SELECT c.version_id, c.version_no, to_jsonb(c) - '{status,known,approved_by}'::text[] FROM come c) d ORDER BY d.version_id LIMIT 1$q$ END INTO bad;
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = format('version %s is published and never changes', bad), COLUMN = 'version_id', DETAIL = 'Field: version_id. Table dist.agreement_version.',
			HINT = 'Send a new version of the agreement, or end it with distsync.withdraw().';
	END IF;
	IF TG_OP <> 'DELETE' THEN
		EXECUTE CASE TG_OP WHEN 'INSERT' THEN 'SELECT array_agg(DISTINCT c.rate_set_id) FROM come c WHERE c.published_at IS NOT NULL'
			ELSE 'SELECT array_agg(DISTINCT c.rate_set_id) FROM come c JOIN gone g ON g.version_id = c.version_id WHERE c.published_at IS NOT NULL AND (c.published_at, c.known) IS DISTINCT FROM (g.published_at, g.known)' END INTO sets;
		IF sets IS NOT NULL THEN
			PERFORM distsync_internal.pricing_touch_versions(sets);
		END IF;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_guard_versions() IS 'Statement trigger of dist.agreement_version: refuses (SD052) to change or delete what was published, and moves the price epoch where what is held true changed.';

-- pricing_guard_heads does the same for what a published version relies on: the identity of its agreement, and its rounding.
CREATE FUNCTION distsync_internal.pricing_guard_heads() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	bad text;
BEGIN
	EXECUTE CASE TG_TABLE_NAME WHEN 'agreement' THEN
		'SELECT d.code FROM (SELECT g.agreement_id, g.code, g.slot, g.company_id, g.currency, g.tz, g.charge_kind, g.tax_class FROM gone g EXCEPT SELECT c.agreement_id, c.code, c.slot, c.company_id, c.currency, c.tz, c.charge_kind, c.tax_class FROM come c) d
		WHERE EXISTS (SELECT FROM dist.agreement_version v WHERE v.agreement_id = d.agreement_id AND v.published_at IS NOT NULL) ORDER BY d.code COLLATE "C" LIMIT 1'
	ELSE
		'SELECT d.rounding FROM (SELECT g.* FROM gone g EXCEPT SELECT c.* FROM come c) d
		WHERE EXISTS (SELECT FROM dist.agreement_version v WHERE v.rounding = d.rounding AND v.published_at IS NOT NULL) ORDER BY d.rounding COLLATE "C" LIMIT 1'
	END INTO bad;
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = format('%s "%s" cannot change: a version is published', TG_TABLE_NAME, bad), COLUMN = TG_TABLE_NAME, DETAIL = format('Field: %s.', TG_TABLE_NAME),
			HINT = 'Make another one with a code of its own.';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_guard_heads() IS 'Statement trigger of dist.agreement and dist.rounding: refuses (SD052) to change code, slot, company, currency, time zone, kind of charge or tax class of an agreement, or a rounding, that a published version relies on.';

-- pricing_triggers does the setting of the triggers above; part of setup().
CREATE FUNCTION distsync_internal.pricing_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY '{customer_rate,book_rate}'::text[] LOOP
		EXECUTE format('CREATE OR REPLACE TRIGGER %2$I AFTER INSERT ON dist.%1$I REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.pricing_guard_rates()', t, t || '_guard_insert_trg');
		EXECUTE format('CREATE OR REPLACE TRIGGER %2$I AFTER UPDATE ON dist.%1$I REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.pricing_guard_rates()', t, t || '_guard_update_trg');
		EXECUTE format('CREATE OR REPLACE TRIGGER %2$I AFTER DELETE ON dist.%1$I REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.pricing_guard_rates()', t, t || '_guard_delete_trg');
	END LOOP;
	FOREACH t IN ARRAY '{customer_rate,book_rate,rate_part,rate_base,agreement_version}'::text[] LOOP
		EXECUTE format('CREATE OR REPLACE TRIGGER %2$I BEFORE TRUNCATE ON dist.%1$I FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.pricing_guard_truncate()', t, t || '_guard_truncate_trg');
	END LOOP;
	CREATE OR REPLACE TRIGGER agreement_version_guard_insert_trg AFTER INSERT ON dist.agreement_version REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.pricing_guard_versions();
	CREATE OR REPLACE TRIGGER agreement_version_guard_update_trg AFTER UPDATE ON dist.agreement_version REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.pricing_guard_versions();
	CREATE OR REPLACE TRIGGER agreement_version_guard_delete_trg AFTER DELETE ON dist.agreement_version REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.pricing_guard_versions();
	CREATE OR REPLACE TRIGGER agreement_guard_update_trg AFTER UPDATE ON dist.agreement REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.pricing_guard_heads();
	CREATE OR REPLACE TRIGGER rounding_guard_update_trg AFTER UPDATE ON dist.rounding REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.pricing_guard_heads();
	PERFORM distsync_internal.master_watch_prices('rounding', 'shared', '', 'rounding, scale, mode, multiple, ending, each_step');
	PERFORM distsync_internal.master_watch_prices('agreement_assignment', 'shared', '', 'agreement_id, who_kind, who_key, rank, blocking, valid, known');
	PERFORM distsync_internal.master_watch_prices('price_lock', 'price', 'customer_id', 'customer_id, price_lock_id, document_type, document_key, item_id, unit, min_quantity, max_quantity, unit_price, currency, price_per, valid');
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_triggers() IS 'Part of setup(): creates the triggers that keep published prices and move the price epoch.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('trigger', 'pricing', 40, 'distsync_internal.pricing_triggers');
