-- Snapshots: the prices of a channel as bytes that both sides can hash. How the hash is made is written down in docs/price_feed.md, so that
-- a channel can compute it in any language; what was hashed is stored.

-- pricing_field does the writing of a text as a field of a line.
CREATE FUNCTION distsync_internal.pricing_field(said text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN said ~ E'[\\\\\t\n\r]' THEN replace(replace(replace(replace(said, E'\\', E'\\\\'), E'\t', E'\\t'), E'\n', E'\\n'), E'\r', E'\\r') ELSE said END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_field(text) IS 'The text with backslash, tab, newline and carriage return as \\ \t \n \r.';

-- pricing_unfield does the reading of it.
CREATE FUNCTION distsync_internal.pricing_unfield(field text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN strpos(field, E'\\') = 0 THEN field ELSE
		(SELECT string_agg(CASE m[1] WHEN E'\\t' THEN E'\t' WHEN E'\\n' THEN E'\n' WHEN E'\\r' THEN E'\r' WHEN E'\\\\' THEN E'\\' ELSE m[1] END, '' ORDER BY n) FROM regexp_matches(field, E'(\\\\.|[^\\\\]+)', 'g') WITH ORDINALITY r(m, n)) END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_unfield(text) IS 'The text of a field that pricing_field() wrote.';

-- pricing_snapshot_buyers does the choice of whose prices a snapshot has.
CREATE FUNCTION distsync_internal.pricing_snapshot_buyers(customers jsonb, as_of timestamptz, known_at timestamptz) RETURNS TABLE (customer text, buyer text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF customers IS NULL THEN
		RETURN QUERY SELECT p.code, first_value(p.code) OVER (PARTITION BY p.profile ORDER BY p.code COLLATE "C") FROM distsync_internal.pricing_profiles(as_of, known_at) p;
	ELSE
		RETURN QUERY SELECT DISTINCT p.code, p.code FROM jsonb_array_elements_text(customers) c JOIN dist.party p ON p.party_id = distsync_internal.master_party(c, 'options.customers');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_snapshot_buyers(jsonb, timestamptz, timestamptz) IS
	'Customers of a snapshot and the buyer whose sheet is theirs: the customers given, each its own; NULL: every active customer (role sold_to), the first by code of its profile. Errors: SD001.';

-- pricing_snapshot_lines does the writing of a snapshot's lines.
CREATE FUNCTION distsync_internal.pricing_snapshot_lines(customers jsonb, as_of timestamptz, options jsonb) RETURNS TABLE (key text, line text, valid_until timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH buyer AS MATERIALIZED (SELECT b.customer, b.buyer FROM distsync_internal.pricing_snapshot_buyers(pricing_snapshot_lines.customers, as_of, (options->>'known_at')::timestamptz) b)
	SELECT concat_ws(E'\t', 'buyer', distsync_internal.pricing_field(b.customer)), concat_ws(E'\t', 'buyer', distsync_internal.pricing_field(b.customer), distsync_internal.pricing_field(b.buyer)), NULL::timestamptz FROM buyer b
	UNION ALL
	SELECT k.key, concat_ws(E'\t', k.key, distsync_internal.pricing_field(s.unit), trim_scale(s.quantity), trim_scale(s.unit_price), s.currency, s.price_per), s.valid_until
	FROM buyer b CROSS JOIN LATERAL distsync.price_sheet(b.customer, as_of, options) s
	CROSS JOIN LATERAL (SELECT concat_ws(E'\t', 'price', distsync_internal.pricing_field(b.buyer), distsync_internal.pricing_field(s.item)) AS key) k
	WHERE b.customer = b.buyer;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_snapshot_lines(jsonb, timestamptz, jsonb) IS
	'Lines of a snapshot: buyer, customer, buyer whose prices are its prices; and price, buyer, item, unit, quantity, unit_price, currency, price_per; with the key that chooses the bucket. Errors: SD001 and those of prices().';

-- pricing_snapshot_fill does the writing of a snapshot's buckets, in one statement and so from one snapshot of the books.
CREATE FUNCTION distsync_internal.pricing_snapshot_fill(snapshot bigint, customers jsonb, at timestamptz, options jsonb, most bigint, OUT known_at timestamptz, OUT rows bigint, OUT root bytea, OUT valid_until timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	WITH line AS MATERIALIZED (
		SELECT get_byte(sha256(convert_to(l.key, 'UTF8')), 0) AS bucket, l.line, l.valid_until FROM distsync_internal.pricing_snapshot_lines(pricing_snapshot_fill.customers, pricing_snapshot_fill.at, options) l LIMIT most + 1
	), filled AS (
		SELECT n AS bucket, count(l.line) AS rows, COALESCE(string_agg(l.line || E'\n', '' ORDER BY l.line COLLATE "C"), '') AS content, min(l.valid_until) AS valid_until
		FROM generate_series(0, 255) n LEFT JOIN line l ON l.bucket = n GROUP BY 1
	), written AS (
		INSERT INTO dist.price_snapshot_bucket (snapshot_id, bucket, rows, sha256, content)
		SELECT pricing_snapshot_fill.snapshot, f.bucket, f.rows, sha256(convert_to(f.content, 'UTF8')), f.content FROM filled f
		RETURNING bucket, rows, sha256
	)
	SELECT distsync_internal.pricing_stamp(), sum(w.rows), sha256(string_agg(w.sha256, ''::bytea ORDER BY w.bucket)), (SELECT min(l.valid_until) FROM line l)
	INTO known_at, rows, root, valid_until FROM written w;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_snapshot_fill(bigint, jsonb, timestamptz, jsonb, bigint) IS 'Fills the 256 buckets of a snapshot with its lines, of at most most + 1. Returns the stamp seen, lines, root hash and the first instant at which time alone changes a price.';

-- snapshot does the taking of the prices of a channel.
CREATE FUNCTION distsync.snapshot(channel text, as_of timestamptz DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (snapshot bigint, at timestamptz, known_at timestamptz, rows bigint, root_sha256 text, valid_until timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
	id bigint := distsync_internal.master_channel(distsync_internal.base_required('channel', channel), 'channel');
	code text := (SELECT c.code FROM dist.channel c WHERE c.channel_id = id);
	instant timestamptz := COALESCE(as_of, statement_timestamp());
	told jsonb;
	most bigint;
	made bigint;
	done record;
BEGIN
	options := distsync_internal.base_options(options, '{customers,currency:text,company:text,site:text,context:object,tax_rates:object,known_at:instant,max_rows:integer:1:10000000}');
	most := COALESCE((options->>'max_rows')::bigint, 1000000);
	told := NULLIF(options->'customers', 'null');
	IF jsonb_typeof(told) <> 'array' OR jsonb_path_exists(told, '$[*] ? (@.type() != "string")') OR told = '[]' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'option "customers" is not a list of codes', COLUMN = 'options.customers', DETAIL = 'Field: options.customers.',
			HINT = 'Send a list of customers, for example ["ACME", "BOLT"], or leave it out for all of them.';
	END IF;
	INSERT INTO dist.price_snapshot (channel_id, as_of, known_at, options, rows, root_sha256) VALUES (id, instant, '-infinity', options - 'max_rows', 0, '') RETURNING snapshot_id INTO made;
	SELECT * INTO done FROM distsync_internal.pricing_snapshot_fill(made, told, instant, (options - '{customers,max_rows}'::text[]) || jsonb_build_object('channel', code), most);
	IF done.rows > most THEN
		RAISE EXCEPTION USING ERRCODE = 'SD006', MESSAGE = format('the snapshot would have more than %s rows', most), COLUMN = 'options.max_rows', DETAIL = format('Field: options.max_rows. It is %s.', most),
			HINT = 'Name fewer customers, or allow more rows (up to 10000000).';
	END IF;
	done.known_at := COALESCE((options->>'known_at')::timestamptz, done.known_at);
	UPDATE dist.price_snapshot s SET known_at = done.known_at, rows = done.rows, root_sha256 = done.root, valid_until = done.valid_until WHERE s.snapshot_id = made;
	PERFORM distsync_internal.base_audit('snapshot', 'channel', code, NULL, jsonb_build_object('snapshot', made, 'at', instant, 'known_at', done.known_at, 'rows', done.rows, 'root_sha256', encode(done.root, 'hex')));
	RETURN QUERY SELECT made, instant, done.known_at, done.rows, encode(done.root, 'hex'), done.valid_until;
END
$$;
COMMENT ON FUNCTION distsync.snapshot(text, timestamptz, jsonb) IS
	'Takes and stores the prices of a channel at an instant (default now): one base unit of every active item for the customers given, or for one buyer of each profile. options: customers (codes; left out: every active customer with role sold_to, those with the same prices together), currency, company, site, context, tax_rates, known_at (all as in prices()), max_rows (1 to 10000000, default 1000000). Returns its number, the instant, known_at, lines, root hash over its 256 buckets (docs/price_feed.md says how it is made), and the first instant at which time alone changes a price of it. Errors: SD001, SD002, SD003, SD005 no channel, SD006 too many rows.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('snapshot', '{integrator,operator,admin}');
