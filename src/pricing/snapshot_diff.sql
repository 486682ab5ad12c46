-- Comparing snapshots: a channel sends the hashes of its buckets and gets the rows of those that differ; two snapshots are compared row by row.

-- pricing_snapshot_of does the look-up of a snapshot.
CREATE FUNCTION distsync_internal.pricing_snapshot_of(snapshot bigint, field text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.base_required(field, snapshot::text);
	IF NOT EXISTS (SELECT FROM dist.price_snapshot s WHERE s.snapshot_id = snapshot) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('snapshot %s is not known', snapshot), COLUMN = field, DETAIL = format('Field: %s.', field), HINT = 'Take one with distsync.snapshot(); old ones are deleted after 35 days.';
	END IF;
	RETURN snapshot;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_snapshot_of(bigint, text) IS 'The number of a snapshot that is there. Errors: SD001, SD005 naming the field.';

-- pricing_snapshot_row does the reading of one line.
CREATE FUNCTION distsync_internal.pricing_snapshot_row(line text, OUT kind text, OUT customer text, OUT buyer text, OUT item text, OUT unit text, OUT quantity numeric, OUT unit_price numeric, OUT currency text, OUT price_per integer)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f text[] := string_to_array(line, E'\t');
BEGIN
	kind := f[1];
	IF kind = 'buyer' THEN
		customer := distsync_internal.pricing_unfield(f[2]);
		buyer := distsync_internal.pricing_unfield(f[3]);
	ELSE
		buyer := distsync_internal.pricing_unfield(f[2]);
		item := distsync_internal.pricing_unfield(f[3]);
		unit := distsync_internal.pricing_unfield(f[4]);
		quantity := f[5]::numeric;
		unit_price := f[6]::numeric;
		currency := f[7];
		price_per := f[8]::integer;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_snapshot_row(text) IS 'A line of a snapshot as columns: kind buyer (customer, buyer) or price (buyer, item, unit, quantity, unit_price, currency, price_per).';

-- pricing_bucket_lines does the reading of one bucket's lines.
CREATE FUNCTION distsync_internal.pricing_bucket_lines(content text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_to_table(left(content, -1), E'\n') WHERE content <> ''
$$;
COMMENT ON FUNCTION distsync_internal.pricing_bucket_lines(text) IS 'Lines of the content of a bucket, in order.';

-- snapshot_buckets does the showing of the hashes of a snapshot.
CREATE FUNCTION distsync.snapshot_buckets(snapshot bigint) RETURNS TABLE (bucket integer, rows bigint, sha256 text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	PERFORM distsync_internal.pricing_snapshot_of(snapshot_buckets.snapshot, 'snapshot');
	RETURN QUERY SELECT b.bucket::integer, b.rows, encode(b.sha256, 'hex') FROM dist.price_snapshot_bucket b WHERE b.snapshot_id = snapshot_buckets.snapshot ORDER BY b.bucket;
END
$$;
COMMENT ON FUNCTION distsync.snapshot_buckets(bigint) IS 'The 256 buckets of a snapshot: number, rows, hash of its lines in hexadecimal. Errors: SD001, SD005 no snapshot.';

-- snapshot_rows does the showing of the rows of some buckets.
CREATE FUNCTION distsync.snapshot_rows(snapshot bigint, buckets integer[] DEFAULT NULL)
RETURNS TABLE (bucket integer, kind text, customer text, buyer text, item text, unit text, quantity numeric, unit_price numeric, currency text, price_per integer, line text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	PERFORM distsync_internal.pricing_snapshot_of(snapshot_rows.snapshot, 'snapshot');
	RETURN QUERY SELECT b.bucket::integer, r.*, l FROM dist.price_snapshot_bucket b CROSS JOIN LATERAL distsync_internal.pricing_bucket_lines(b.content) l CROSS JOIN LATERAL distsync_internal.pricing_snapshot_row(l) r
	WHERE b.snapshot_id = snapshot_rows.snapshot AND (buckets IS NULL OR b.bucket = ANY (buckets)) ORDER BY b.bucket, l COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync.snapshot_rows(bigint, integer[]) IS
	'Rows of some buckets of a snapshot (NULL = all), in canonical order: kind buyer (customer has the prices of buyer) or price; line is what is hashed, without its newline. Errors: SD001, SD005 no snapshot.';

-- pricing_told_buckets does the reading of the hashes that a channel sends.
CREATE FUNCTION distsync_internal.pricing_told_buckets(said jsonb) RETURNS TABLE (bucket integer, sha256 bytea)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	bad text;
BEGIN
	IF jsonb_typeof(said) = 'array' AND jsonb_array_length(said) = 256 THEN
		said := (SELECT jsonb_object_agg(n - 1, e) FROM jsonb_array_elements(said) WITH ORDINALITY u(e, n));
	END IF;
	IF COALESCE(jsonb_typeof(said), 'null') <> 'object' THEN
		bad := 'it is neither a list of 256 hashes, nor an object, nor the number of a snapshot';
	ELSE
		bad := (SELECT format('"%s": %s is no bucket and its hash', left(e.key, 20), left(e.value::text, 80)) FROM jsonb_each(said) e
			WHERE NOT COALESCE(e.key ~ '^(0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])$' AND jsonb_typeof(e.value) = 'string' AND e.value #>> '{}' ~ '^[0-9A-Fa-f]{64}$', false) ORDER BY e.key COLLATE "C" LIMIT 1);
	END IF;
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'buckets cannot be read: ' || bad, COLUMN = 'buckets', DETAIL = 'Field: buckets.', HINT = 'Send {"0": "<64 hexadecimal digits>", ...}, or a list of all 256 hashes.';
	END IF;
	RETURN QUERY SELECT e.key::integer, decode(e.value #>> '{}', 'hex') FROM jsonb_each(said) e;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_told_buckets(jsonb) IS 'Buckets and hashes as a channel sends them: an object by bucket, or a list of all. Errors: SD002.';

-- diff_snapshot does the comparison of a snapshot with what somebody else has.
CREATE FUNCTION distsync.diff_snapshot(snapshot bigint, buckets jsonb)
RETURNS TABLE (bucket integer, side text, kind text, customer text, buyer text, item text, unit text, quantity numeric, unit_price numeric, currency text, price_per integer, line text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	mine bigint := distsync_internal.pricing_snapshot_of(diff_snapshot.snapshot, 'snapshot');
	other bigint;
BEGIN
	IF jsonb_typeof(buckets) = 'number' AND buckets::text ~ '^\d{1,18}$' THEN
		other := distsync_internal.pricing_snapshot_of(buckets::text::bigint, 'buckets');
		RETURN QUERY
		WITH pair AS MATERIALIZED (
			SELECT a.bucket, a.content AS ours, b.content AS theirs FROM dist.price_snapshot_bucket a JOIN dist.price_snapshot_bucket b ON b.bucket = a.bucket AND b.snapshot_id = other WHERE a.snapshot_id = mine AND a.sha256 <> b.sha256
		), ours AS (SELECT p.bucket, l FROM pair p CROSS JOIN LATERAL distsync_internal.pricing_bucket_lines(p.ours) l),
		theirs AS (SELECT p.bucket, l FROM pair p CROSS JOIN LATERAL distsync_internal.pricing_bucket_lines(p.theirs) l)
		SELECT d.bucket::integer, d.side, r.*, d.l FROM (SELECT 'ours'::text AS side, x.* FROM (TABLE ours EXCEPT TABLE theirs) x UNION ALL SELECT 'theirs', x.* FROM (TABLE theirs EXCEPT TABLE ours) x) d
		CROSS JOIN LATERAL distsync_internal.pricing_snapshot_row(d.l) r ORDER BY d.bucket, d.l COLLATE "C", d.side;
		RETURN;
	END IF;
	RETURN QUERY
	SELECT b.bucket::integer, 'ours'::text, COALESCE(r.kind, 'empty'), r.customer, r.buyer, r.item, r.unit, r.quantity, r.unit_price, r.currency, r.price_per, l
	FROM distsync_internal.pricing_told_buckets(buckets) t JOIN dist.price_snapshot_bucket b ON b.bucket = t.bucket AND b.snapshot_id = mine AND b.sha256 <> t.sha256
	LEFT JOIN LATERAL distsync_internal.pricing_bucket_lines(b.content) l ON true LEFT JOIN LATERAL distsync_internal.pricing_snapshot_row(l) r ON l IS NOT NULL
	ORDER BY b.bucket, l COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync.diff_snapshot(bigint, jsonb) IS
	'What differs. buckets = {"0": hash, ...} or a list of 256 hashes, of what a channel has: all rows of the buckets of the snapshot that differ (side ours; kind empty: the bucket has none). buckets = number of another snapshot: the rows that only this one has (ours) and only the other one (theirs). No row: the same. Errors: SD001, SD002, SD005 no snapshot.';

-- pricing_snapshot_retain does the forgetting of old snapshots; the last of each channel stays.
CREATE FUNCTION distsync_internal.pricing_snapshot_retain(max_rows integer DEFAULT 100) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer;
BEGIN
	DELETE FROM dist.price_snapshot s WHERE s.snapshot_id IN (SELECT x.snapshot_id FROM dist.price_snapshot x WHERE x.created_at < clock_timestamp() - distsync_internal.pricing_feed_keep()
		AND x.snapshot_id < (SELECT max(y.snapshot_id) FROM dist.price_snapshot y WHERE y.channel_id = x.channel_id) ORDER BY x.snapshot_id LIMIT least(max_rows, 100));
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN CASE WHEN n >= least(max_rows, 100) THEN n ELSE 0 END;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_snapshot_retain(integer) IS 'Clerk task: deletes snapshots older than pricing_feed_keep(), but never the last of a channel. Returns how many, when there may be more at once.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('snapshot_buckets', '{integrator,operator,admin}'), ('snapshot_rows', '{integrator,operator,admin}'), ('diff_snapshot', '{integrator,operator,admin}');
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('clerk', 'price_snapshot_retain', 820, 'distsync_internal.pricing_snapshot_retain');
