-- Stock events: what the owners of stock say has happened, taken in bulk. Twice told is once counted, late told does not undo a count.

CREATE TYPE distsync_internal.inventory_event AS (
	ordinal		integer,
	event_key	text,
	kind		text,
	perspective	text,
	item_id		bigint,
	site_id		bigint,
	to_site_id	bigint,
	state		text,
	to_state	text,
	lot			text,
	owner_id	bigint,
	quantity	numeric,
	event_at	timestamptz,
	stream		text,
	sequence	bigint,
	reference	text,
	expires_on	date,
	reverses	text,
	hash		bytea,
	outcome		text,
	sqlstate	text,
	field		text,
	message		text,
	hint		text
);
COMMENT ON TYPE distsync_internal.inventory_event IS 'A stock_event document with its codes resolved, quantity in base units, hash of its body, and what became of it (outcome NULL = still to be applied).';

-- inventory_read_events does the resolving of codes and the checks of a whole call, by joins.
CREATE FUNCTION distsync_internal.inventory_read_events(docs jsonb, source text) RETURNS distsync_internal.inventory_event[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	usual text := (SELECT CASE WHEN s.kind IN ('wms', 'third_party') THEN 'phys' WHEN s.kind = 'erp' THEN 'book' END FROM sync.system s WHERE s.code = source);
BEGIN
	RETURN (
	WITH d AS MATERIALIZED (
		SELECT (e->>'ordinal')::integer AS ordinal, sha256(convert_to((e->'doc')::text, 'UTF8')) AS hash, x.*
		FROM jsonb_array_elements(docs) e
		CROSS JOIN LATERAL jsonb_to_record(e->'doc') AS x(event_id text, kind text, perspective text, sku text, site text, to_site text, state text, to_state text, lot text, owner text,
			quantity numeric, unit text, event_at timestamptz, stream text, sequence bigint, reference text, expires_on date, reverses text)
	), r AS (
		SELECT d.*, COALESCE(d.perspective, usual) AS side, i.id AS item_id, t.kit, t.lot_controlled, s.id AS site_id, ts.id AS to_site_id, p.id AS owner_id, st.state AS known_state, st.ages_into AS released, tst.state AS known_to_state,
			t.base_unit, COALESCE(d.unit, i.unit, t.base_unit) AS used_unit, u.numerator, u.denominator,
			CASE WHEN COALESCE(d.unit, i.unit, t.base_unit) = t.base_unit THEN distsync_internal.master_exact(d.quantity, 1, 1)
				WHEN u.unit IS NOT NULL THEN distsync_internal.master_exact(d.quantity, u.numerator, u.denominator) END AS base_quantity
		FROM d
		LEFT JOIN distsync_internal.master_items(ARRAY(SELECT DISTINCT c.sku FROM d c), inventory_read_events.source) i ON i.code = d.sku
		LEFT JOIN dist.item t ON t.item_id = i.id
		LEFT JOIN distsync_internal.master_sites(ARRAY(SELECT DISTINCT c.site FROM d c UNION SELECT c.to_site FROM d c), inventory_read_events.source) s ON s.code = d.site
		LEFT JOIN distsync_internal.master_sites(ARRAY(SELECT DISTINCT c.to_site FROM d c), inventory_read_events.source) ts ON ts.code = d.to_site
		LEFT JOIN distsync_internal.master_parties(ARRAY(SELECT DISTINCT c.owner FROM d c), inventory_read_events.source) p ON p.code = d.owner
		LEFT JOIN dist.stock_state st ON st.state = COALESCE(d.state, 'available')
		LEFT JOIN dist.stock_state tst ON tst.state = d.to_state
		LEFT JOIN dist.item_unit u ON u.item_id = i.id AND u.unit = COALESCE(d.unit, i.unit)
	)
	SELECT array_agg(ROW(r.ordinal, r.event_id, r.kind, r.side, r.item_id, r.site_id, r.to_site_id, r.known_state, COALESCE(r.to_state, CASE WHEN r.kind = 'transfer' AND r.to_site IS NULL THEN r.released END, r.known_state), COALESCE(r.lot, ''), COALESCE(r.owner_id, 0),
		r.base_quantity, r.event_at, COALESCE(r.stream, ''), r.sequence, r.reference, r.expires_on, r.reverses, r.hash,
		CASE WHEN f.fault IS NOT NULL THEN 'rejected' END, f.fault[1], f.fault[2], f.fault[3], f.fault[4])::distsync_internal.inventory_event ORDER BY r.ordinal)
	FROM r CROSS JOIN LATERAL (SELECT CASE
		WHEN r.item_id IS NULL THEN ARRAY['SD001', 'sku', format('unknown item "%s"', r.sku), 'Send the item first, correct the code, or add a cross-reference for it.']
		WHEN r.kit THEN ARRAY['SD002', 'sku', format('item "%s" is a kit and has no stock of its own', r.sku), 'Send the events of its components.']
		WHEN r.site_id IS NULL THEN ARRAY['SD001', 'site', format('unknown site "%s"', r.site), 'Send the site first, correct the code, or add a cross-reference for it.']
		WHEN r.to_site IS NOT NULL AND r.to_site_id IS NULL THEN ARRAY['SD001', 'to_site', format('unknown site "%s"', r.to_site), 'Send the site first, correct the code, or add a cross-reference for it.']
		WHEN r.owner IS NOT NULL AND r.owner_id IS NULL THEN ARRAY['SD001', 'owner', format('unknown party "%s"', r.owner), 'Send the party first, correct the code, or add a cross-reference for it.']
		WHEN r.known_state IS NULL THEN ARRAY['SD001', 'state', format('unknown stock state "%s"', r.state), 'Use a state of dist.stock_state.']
		WHEN r.to_state IS NOT NULL AND r.known_to_state IS NULL THEN ARRAY['SD001', 'to_state', format('unknown stock state "%s"', r.to_state), 'Use a state of dist.stock_state.']
		WHEN r.side IS NULL THEN ARRAY['SD005', 'perspective', 'field "perspective" is missing', 'Say book or phys: this source is neither an ERP nor a warehouse.']
		WHEN r.lot_controlled AND r.side = 'phys' AND COALESCE(r.lot, '') = '' AND r.kind <> 'reverse' THEN ARRAY['SD005', 'lot', format('item "%s" is kept by lot and the event names none', r.sku), 'Name the lot, or send the item with lot_controlled false.']
		WHEN r.event_at IS NULL AND r.kind <> 'reverse' THEN ARRAY['SD005', 'event_at', 'field "event_at" is missing', 'Say when it happened.']
		WHEN r.event_at > clock_timestamp() + interval '1 day' THEN ARRAY['SD002', 'event_at', format('event of %s has not happened yet', r.event_at), 'Correct the clock of the sender; what is expected is supply, not an event.']
		WHEN r.kind = 'reverse' AND r.reverses IS NULL THEN ARRAY['SD005', 'reverses', 'field "reverses" is missing', 'Name the event_id of the event to reverse.']
		WHEN r.kind <> 'reverse' AND r.quantity IS NULL THEN ARRAY['SD005', 'quantity', 'field "quantity" is missing', 'Send the quantity.']
		WHEN r.quantity IS NOT NULL AND r.used_unit <> r.base_unit AND r.numerator IS NULL THEN ARRAY['SD004', 'unit', format('item "%s" has no unit "%s"', r.sku, r.used_unit), 'Use one of its units, or send the item with this unit first.']
		WHEN r.quantity IS NOT NULL AND r.base_quantity IS NULL THEN ARRAY['SD002', 'quantity', format('quantity %s %s is no exact number of base units', r.quantity, r.used_unit), 'Send the quantity in the base unit.']
		WHEN r.kind IN ('receive', 'ship', 'transfer') AND r.quantity <= 0 THEN ARRAY['SD002', 'quantity', format('quantity %s of a %s must be above 0', r.quantity, r.kind), 'Use reverse to undo an event, delta for a correction.']
		WHEN r.kind = 'count' AND r.quantity < 0 THEN ARRAY['SD002', 'quantity', format('nobody counts %s', r.quantity), 'A count is 0 or more.']
		WHEN r.kind = 'transfer' AND r.to_site IS NULL AND r.to_state IS NULL AND r.released IS NULL THEN ARRAY['SD005', 'to_site', format('a transfer of stock in state "%s" needs to_site or to_state', r.known_state), 'Say where it went.']
		END) f(fault));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_read_events(jsonb, text) IS 'stock_event documents [{"ordinal","doc"}] as events with ids and base units; what is wrong with one stands in its outcome, sqlstate, field, message and hint.';

-- inventory_take_keys does the taking of keys in C, for all ways that events go. It runs no SQL.
CREATE FUNCTION distsync_internal.inventory_take_keys(source text, key_hashes bytea[], bodies bytea[]) RETURNS boolean[]
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'ds_sql_inventory_take_keys';
COMMENT ON FUNCTION distsync_internal.inventory_take_keys(text, bytea[], bytea[]) IS
	'Takes keys of a source in sync.dedupe, ascending and different, with the hashes of their bodies: whether each was fresh. NULL: the table is not as the library knows it, an INSERT has to take them.';

-- inventory_dedupe does the taking of event keys: what was taken before is a duplicate, or a conflict if it says something else now.
CREATE FUNCTION distsync_internal.inventory_dedupe(events distsync_internal.inventory_event[], source text) RETURNS distsync_internal.inventory_event[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	keys bytea[];
	bodies bytea[];
	taken boolean[];
	fresh bytea[];
BEGIN
	SELECT COALESCE(array_agg(k.key_hash ORDER BY k.key_hash), '{}'), COALESCE(array_agg(k.hash ORDER BY k.key_hash), '{}') INTO keys, bodies
	FROM (SELECT DISTINCT ON (h.key_hash) h.key_hash, e.hash FROM unnest(events) e
		CROSS JOIN LATERAL (SELECT distsync_internal.inventory_event_hash(e.event_key)) h(key_hash)
		WHERE e.outcome IS NULL ORDER BY h.key_hash, e.ordinal) k;
	taken := distsync_internal.inventory_take_keys(inventory_dedupe.source, keys, bodies);
	IF taken IS NOT NULL THEN
		fresh := ARRAY(SELECT k.key_hash FROM unnest(keys, taken) k(key_hash, fresh) WHERE k.fresh);
	ELSE
		WITH i AS (
			INSERT INTO sync.dedupe (source, key_hash, body_sha256, seen_at) SELECT inventory_dedupe.source, k.key_hash, k.hash, clock_timestamp() FROM unnest(keys, bodies) k(key_hash, hash) ORDER BY k.key_hash
			ON CONFLICT DO NOTHING RETURNING key_hash
		)
		SELECT COALESCE(array_agg(i.key_hash), '{}') INTO fresh FROM i;
	END IF;
	RETURN (
		WITH e AS (
			SELECT u.*, h.key_hash, row_number() OVER (PARTITION BY h.key_hash ORDER BY u.ordinal) AS nth
			FROM unnest(events) u CROSS JOIN LATERAL (SELECT CASE WHEN u.outcome IS NULL THEN distsync_internal.inventory_event_hash(u.event_key) END) h(key_hash)
		)
		SELECT array_agg(ROW(e.ordinal, e.event_key, e.kind, e.perspective, e.item_id, e.site_id, e.to_site_id, e.state, e.to_state, e.lot, e.owner_id, e.quantity, e.event_at, e.stream, e.sequence, e.reference,
			e.expires_on, e.reverses, e.hash, CASE WHEN e.outcome IS NOT NULL OR f.key_hash IS NOT NULL AND e.nth = 1 THEN e.outcome WHEN d.body_sha256 = e.hash THEN 'duplicate' ELSE 'rejected' END,
			CASE WHEN c.conflict THEN 'SD010' ELSE e.sqlstate END, CASE WHEN c.conflict THEN 'event_id' ELSE e.field END,
			CASE WHEN c.conflict THEN format('event "%s" was told before and said something else', e.event_key) ELSE e.message END,
			CASE WHEN c.conflict THEN 'Give a new event its own event_id; correct an old one by reverse or count.' ELSE e.hint END)::distsync_internal.inventory_event ORDER BY e.ordinal)
		FROM e
		LEFT JOIN unnest(fresh) AS f(key_hash) ON f.key_hash = e.key_hash
		LEFT JOIN sync.dedupe d ON d.source = inventory_dedupe.source AND d.key_hash = e.key_hash
		CROSS JOIN LATERAL (SELECT e.outcome IS NULL AND NOT (f.key_hash IS NOT NULL AND e.nth = 1) AND d.body_sha256 <> e.hash) c(conflict));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_dedupe(distsync_internal.inventory_event[], text) IS 'Takes the keys of events that are to be applied; those taken before get outcome duplicate, or rejected (SD010) if their body differs.';

-- inventory_event_hash does the key of an event in sync.dedupe.
CREATE FUNCTION distsync_internal.inventory_event_hash(event_key text) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN sha256(convert_to(format('stock_event:%s:', length(event_key)) || event_key, 'UTF8'));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_event_hash(text) IS 'SHA-256 under which sync.dedupe knows a stock event of a source.';

-- inventory_reversals does the finding of what reversals undo. A count is not undone but counted again. What is not known may still come.
CREATE FUNCTION distsync_internal.inventory_reversals(events distsync_internal.inventory_event[], source text) RETURNS distsync_internal.inventory_event[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM unnest(events) e WHERE e.kind = 'reverse' AND e.outcome IS NULL) THEN
		RETURN events;
	END IF;
	RETURN (SELECT array_agg(ROW(e.ordinal, e.event_key, e.kind, e.perspective, e.item_id, e.site_id, e.to_site_id, e.state, e.to_state, e.lot, e.owner_id, e.quantity, e.event_at, e.stream, e.sequence, e.reference,
			e.expires_on, e.reverses, e.hash, CASE WHEN f.fault IS NOT NULL THEN 'rejected' ELSE e.outcome END, COALESCE(f.fault[1], e.sqlstate), COALESCE(f.fault[2], e.field),
			COALESCE(f.fault[3], e.message), COALESCE(f.fault[4], e.hint))::distsync_internal.inventory_event ORDER BY e.ordinal)
		FROM (SELECT u.*, first_value(u.event_key) OVER (PARTITION BY u.kind, u.item_id, u.reverses, u.outcome IS NULL ORDER BY u.ordinal) AS first_key FROM unnest(events) u) e
		LEFT JOIN LATERAL (SELECT bool_or(o.kind = 'count') AS counted, bool_or(EXISTS (SELECT FROM dist.stock_event c WHERE c.item_id = e.item_id AND c.site_id = o.site_id AND c.event_at = o.event_at AND c.corrects_id = o.event_id
				AND c.event_key IS DISTINCT FROM e.event_key)) AS undone
			FROM distsync_internal.inventory_original(e.item_id, inventory_reversals.source, e.reverses) o) o ON e.kind = 'reverse' AND e.outcome IS NULL
		CROSS JOIN LATERAL (SELECT CASE
			WHEN e.kind <> 'reverse' OR e.outcome IS NOT NULL THEN NULL
			WHEN o.counted THEN ARRAY['SD002', 'reverses', format('event "%s" is a count', e.reverses), 'Send another count.']
			WHEN o.undone OR e.first_key <> e.event_key OR EXISTS (SELECT FROM dist.stock_reversal w
					WHERE w.item_id = e.item_id AND w.source = inventory_reversals.source AND w.reverses = e.reverses AND w.event_key <> e.event_key)
				THEN ARRAY['SD002', 'reverses', format('event "%s" is reversed already', e.reverses), 'Nothing is left to reverse.'] END) f(fault));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reversals(distsync_internal.inventory_event[], text) IS 'Checks what reversals refer to: rejected (SD002) if it is a count, or has another reversal. One of an event that is not known is fine: see inventory_reverse().';
