-- Before a version is published its rates are proved: that they are what the door would have taken, whoever loaded them, and which
-- content they are. All of it happens before the price clock is touched.

-- pricing_filter does the making of the filter that says which targets a part of a rate set is surely not for. It runs no SQL.
CREATE FUNCTION distsync_internal.pricing_filter(targets bigint[]) RETURNS bytea
AS 'MODULE_PATHNAME', 'ds_sql_pricing_filter' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION distsync_internal.pricing_filter(bigint[]) IS 'Filter over target ids, for dist.rate_part: which targets a rate set names.';

-- pricing_pages does the laying out of the rates of a rate set for dist.rate_page.
CREATE FUNCTION distsync_internal.pricing_pages(rate_set bigint) RETURNS TABLE (customer_id bigint, page_shift smallint, page bigint, bytes bytea)
AS 'MODULE_PATHNAME', 'ds_sql_pricing_pages' LANGUAGE c STABLE STRICT;
COMMENT ON FUNCTION distsync_internal.pricing_pages(bigint) IS
	'Rows of dist.rate_page for a rate set, with the page_shift of the part they belong to. No row for rates that fit no page.';

-- pricing_person does the naming of whoever is acting: the application's user, else the role.
CREATE FUNCTION distsync_internal.pricing_person() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT COALESCE(NULLIF(current_setting('distsync.app_user', true), ''), session_user::text)
$$;
COMMENT ON FUNCTION distsync_internal.pricing_person() IS 'Who is acting: setting distsync.app_user, else the session''s role.';

-- pricing_set_fault does the finding of a rate that the door would not have taken.
CREATE FUNCTION distsync_internal.pricing_set_fault(rate_set bigint, slot text) RETURNS TABLE (line_key text, sqlstate text, field text, problem text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.line_key, q.sqlstate, q.field, q.problem
	FROM (
		SELECT c.line_key, c.customer_id, c.target_id, c.calc, c.value, c.value2, c.unit, c.channel_id, c.site_id, c.base_agreement_id, c.floor_price, c.ceiling_price, c.min_margin, c.condition, c.extra
		FROM dist.customer_rate c WHERE c.version_id = rate_set
		UNION ALL
		SELECT b.line_key, NULL, b.target_id, b.calc, b.value, b.value2, b.unit, b.channel_id, b.site_id, b.base_agreement_id, b.floor_price, b.ceiling_price, b.min_margin, b.condition, b.extra
		FROM dist.book_rate b WHERE b.version_id = rate_set
	) r
	LEFT JOIN dist.party p ON p.party_id = r.customer_id
	LEFT JOIN dist.target g ON g.target_id = r.target_id
	LEFT JOIN dist.item i ON i.item_id = CASE WHEN g.what_kind IN ('item', 'variant_parent') THEN g.what_key::bigint END
	LEFT JOIN dist.category k ON k.category_id = CASE WHEN g.what_kind = 'category' THEN g.what_key::bigint END
	LEFT JOIN dist.party v ON v.party_id = CASE WHEN g.what_kind = 'vendor' THEN g.what_key::bigint END
	LEFT JOIN dist.channel h ON h.channel_id = r.channel_id
	LEFT JOIN dist.site s ON s.site_id = r.site_id
	LEFT JOIN dist.agreement a ON a.agreement_id = r.base_agreement_id
	LEFT JOIN dist.unit u ON u.unit = r.unit
	LEFT JOIN dist.item_unit w ON w.item_id = CASE WHEN g.what_kind = 'item' THEN g.what_key::bigint END AND w.unit = r.unit
	LEFT JOIN LATERAL (SELECT f.* FROM distsync_internal.pricing_rate_fault(pricing_set_fault.slot, r.calc, r.value, r.value2, r.base_agreement_id IS NOT NULL, r.extra) f
		WHERE r.calc <> 'net' OR r.extra IS NOT NULL OR pricing_set_fault.slot = 'rebate') f ON true
	LEFT JOIN LATERAL (SELECT m.* FROM distsync_internal.pricing_limit_fault(pricing_set_fault.slot, r.calc, r.base_agreement_id IS NOT NULL, r.floor_price, r.ceiling_price, r.min_margin) m
		WHERE pricing_set_fault.slot IN ('charge', 'rebate', 'claim')) n ON true
	CROSS JOIN LATERAL (SELECT * FROM (VALUES
		(1, 'SD001', 'customer', format('party %s is not known', r.customer_id), r.customer_id IS NOT NULL AND p.party_id IS NULL),
		(2, 'SD001', 'what', format('target %s is not known', r.target_id), g.target_id IS NULL OR num_nonnulls(i.item_id, k.category_id, v.party_id) = 0 AND g.what_kind NOT IN ('brand', 'family', 'all')),
		(3, 'SD001', 'channel', format('channel %s is not known', r.channel_id), r.channel_id IS NOT NULL AND h.channel_id IS NULL),
		(4, 'SD001', 'site', format('site %s is not known', r.site_id), r.site_id IS NOT NULL AND s.site_id IS NULL),
		(5, 'SD001', 'base', format('agreement %s is not known', r.base_agreement_id), r.base_agreement_id IS NOT NULL AND a.agreement_id IS NULL),
		(6, 'SD004', 'unit', format('unit "%s" is not known', r.unit), r.unit IS NOT NULL AND u.unit IS NULL),
		(7, 'SD004', 'unit', format('item "%s" has no unit "%s"', i.sku, r.unit), g.what_kind = 'item' AND r.unit <> i.base_unit AND w.unit IS NULL),
		(8, 'SD002', f.field, f.problem, f.problem IS NOT NULL),
		(9, 'SD002', n.field, n.problem, n.problem IS NOT NULL),
		(10, 'SD002', 'condition', 'condition is not an object', jsonb_typeof(r.condition) <> 'object')
	) x(no, sqlstate, field, problem, bad) WHERE x.bad ORDER BY x.no LIMIT 1) q
	WHERE (p.party_id IS NULL AND r.customer_id IS NOT NULL OR g.target_id IS NULL OR num_nonnulls(i.item_id, k.category_id, v.party_id) = 0 OR h.channel_id IS NULL AND r.channel_id IS NOT NULL
		OR s.site_id IS NULL AND r.site_id IS NOT NULL OR a.agreement_id IS NULL AND r.base_agreement_id IS NOT NULL OR u.unit IS NULL AND r.unit IS NOT NULL
		OR r.unit <> i.base_unit OR f.problem IS NOT NULL OR n.problem IS NOT NULL OR r.condition IS NOT NULL)
	ORDER BY r.line_key COLLATE "C" LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_set_fault(bigint, text) IS 'First rate of a rate set, by line, that the door would not have taken: line, SQLSTATE, field, what is wrong; no row where all would.';

-- pricing_set_twins does the finding of two rates of a rate set that nothing separates: in one pass over the set.
CREATE FUNCTION distsync_internal.pricing_set_twins(rate_set bigint) RETURNS TABLE (first_line text, second_line text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT t.before, t.line_key
	FROM (
		SELECT r.line_key, lag(r.line_key) OVER w AS before, COALESCE(r.valid_from, '-infinity')
			< max(COALESCE(r.valid_to, 'infinity')) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bad
		FROM (
			SELECT c.line_key, c.customer_id, c.target_id, c.channel_id, c.site_id, c.unit, c.min_quantity, c.valid_from, c.valid_to FROM dist.customer_rate c WHERE c.version_id = rate_set
			UNION ALL
			SELECT b.line_key, 0, b.target_id, b.channel_id, b.site_id, b.unit, b.min_quantity, b.valid_from, b.valid_to FROM dist.book_rate b WHERE b.version_id = rate_set
		) r
		LEFT JOIN dist.target g ON r.unit IS NOT NULL AND g.target_id = r.target_id AND g.what_kind = 'item'
		LEFT JOIN dist.item i ON i.item_id = g.what_key::bigint
		WINDOW w AS (PARTITION BY r.customer_id, r.target_id, r.channel_id, r.site_id, NULLIF(r.unit, i.base_unit), r.min_quantity ORDER BY r.valid_from NULLS FIRST, r.line_key COLLATE "C")
	) t WHERE t.bad ORDER BY t.line_key COLLATE "C", t.before COLLATE "C" LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_set_twins(bigint) IS
	'Two rates of a rate set for the same buyer, target, channel, site, unit and tier whose periods overlap: their lines; no row = none.';

-- pricing_hash does the hash of a rate set's content in canonical text, by business codes: the same rates give the same hash on every
-- server. It is a hash of hashes, because the text of a large set would be too long for one value.
CREATE FUNCTION distsync_internal.pricing_hash(rate_set bigint) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	WITH line AS (
		SELECT p.code AS customer, substr(md5(r.line_key), 1, 2) AS part, ROW(r.line_key, g.what_kind, COALESCE(i.sku, k.code, v.code, g.what_key), h.code, s.code, r.unit, trim_scale(r.min_quantity),
			r.calc, trim_scale(r.value), trim_scale(r.value2), COALESCE(r.price_per, 1), a.code, trim_scale(r.floor_price), trim_scale(r.ceiling_price), trim_scale(r.min_margin),
			extract(epoch FROM r.valid_from), extract(epoch FROM r.valid_to), r.condition,
			CASE WHEN r.extra IS NOT NULL THEN r.extra || jsonb_build_object('item', (SELECT x.sku FROM dist.item x WHERE x.item_id = (r.extra->>'item')::bigint)) END)::text AS line
		FROM (
			SELECT c.customer_id, c.line_key, c.target_id, c.channel_id, c.site_id, c.unit, c.min_quantity, c.calc, c.value, c.value2, c.price_per, c.base_agreement_id, c.floor_price, c.ceiling_price,
				c.min_margin, c.valid_from, c.valid_to, c.condition, c.extra FROM dist.customer_rate c WHERE c.version_id = rate_set
			UNION ALL
			SELECT NULL, b.line_key, b.target_id, b.channel_id, b.site_id, b.unit, b.min_quantity, b.calc, b.value, b.value2, b.price_per, b.base_agreement_id, b.floor_price, b.ceiling_price,
				b.min_margin, b.valid_from, b.valid_to, b.condition, b.extra FROM dist.book_rate b WHERE b.version_id = rate_set
		) r
		JOIN dist.target g ON g.target_id = r.target_id
		LEFT JOIN dist.party p ON p.party_id = r.customer_id
		LEFT JOIN dist.item i ON i.item_id = CASE WHEN g.what_kind IN ('item', 'variant_parent') THEN g.what_key::bigint END
		LEFT JOIN dist.category k ON k.category_id = CASE WHEN g.what_kind = 'category' THEN g.what_key::bigint END
		LEFT JOIN dist.party v ON v.party_id = CASE WHEN g.what_kind = 'vendor' THEN g.what_key::bigint END
		LEFT JOIN dist.channel h ON h.channel_id = r.channel_id
		LEFT JOIN dist.site s ON s.site_id = r.site_id
		LEFT JOIN dist.agreement a ON a.agreement_id = r.base_agreement_id
	), part AS (
		SELECT l.customer, l.part, sha256(convert_to(string_agg(l.line, E'\n' ORDER BY l.line COLLATE "C"), 'UTF8')) AS sha FROM line l GROUP BY 1, 2
	)
	SELECT sha256(convert_to(COALESCE(string_agg(ROW(t.customer, t.part, encode(t.sha, 'hex'))::text, E'\n' ORDER BY t.customer COLLATE "C" NULLS FIRST, t.part COLLATE "C"), ''), 'UTF8')) FROM part t);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_hash(bigint) IS 'SHA-256 over the rates of a rate set in canonical order, by codes and not by ids.';

-- pricing_refuse_faults does the proof of one version: that it can be published, and that its rates are what the door would have taken. It writes nothing.
CREATE FUNCTION distsync_internal.pricing_refuse_faults(id bigint) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v dist.agreement_version%ROWTYPE;
	bad record;
BEGIN
	SELECT * INTO v FROM dist.agreement_version o WHERE o.version_id = id;
	IF v.status NOT IN ('draft', 'approved') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = format('version %s is %s and cannot be published', v.version_no, v.status), DETAIL = 'Field: version.',
			HINT = 'Published versions never change: send a new version of the agreement.';
	END IF;
	PERFORM distsync_internal.pricing_reject(v.version_id);
	IF EXISTS (SELECT FROM dist.agreement_version o WHERE o.rate_set_id = v.rate_set_id AND o.published_at IS NOT NULL) THEN
		RETURN;
	END IF;
	SELECT f.* INTO bad FROM dist.agreement a, distsync_internal.pricing_set_fault(v.rate_set_id, a.slot) f WHERE a.agreement_id = v.agreement_id;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = bad.sqlstate, MESSAGE = format('line "%s": %s', bad.line_key, bad.problem), COLUMN = 'rates.' || bad.field,
			DETAIL = format('Field: rates.%s. Line "%s" of version %s.', bad.field, bad.line_key, v.version_no), HINT = 'Correct the rate while the version is a draft, or send what it names first.';
	END IF;
	SELECT * INTO bad FROM distsync_internal.pricing_set_twins(v.rate_set_id);
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD051', MESSAGE = format('lines "%s" and "%s" are for the same buyer, target and tier', bad.first_line, bad.second_line), COLUMN = 'rates.min_quantity',
			DETAIL = format('Field: rates.min_quantity. Lines "%s" and "%s" of version %s.', bad.first_line, bad.second_line, v.version_no), HINT = 'Keep one rate for each tier at any time.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_refuse_faults(bigint) IS
	'Refuses a version that cannot be published, as it is now. Errors: SD052 state; SD001, SD002, SD004 a rate that the door would not take; SD051 two that nothing separates.';

-- pricing_prove does the proof of one version's rates, and writes down what publication needs: parts, bases, instants, hash.
CREATE FUNCTION distsync_internal.pricing_prove(id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = auto AS $$
DECLARE
	v dist.agreement_version%ROWTYPE;
BEGIN
	-- the version that brought the rates: nobody may add any while they are proved
	PERFORM FROM dist.agreement_version o WHERE o.version_id = (SELECT n.rate_set_id FROM dist.agreement_version n WHERE n.version_id = id) FOR UPDATE;
	SELECT * INTO v FROM dist.agreement_version o WHERE o.version_id = id FOR UPDATE;
	-- the plans of many small sets would take a large one row by row; the setting ends with this function
	IF (SELECT count(*) FROM ((SELECT FROM dist.customer_rate c WHERE c.version_id = v.rate_set_id LIMIT 10000) UNION ALL (SELECT FROM dist.book_rate b WHERE b.version_id = v.rate_set_id LIMIT 10000)) n) >= 10000 THEN
		PERFORM set_config('plan_cache_mode', 'force_custom_plan', true);
	END IF;
	PERFORM distsync_internal.pricing_refuse_faults(id);
	IF EXISTS (SELECT FROM dist.agreement_version o WHERE o.rate_set_id = v.rate_set_id AND o.published_at IS NOT NULL) THEN
		UPDATE dist.agreement_version o SET content_sha256 = (SELECT x.content_sha256 FROM dist.agreement_version x WHERE x.rate_set_id = v.rate_set_id AND x.published_at IS NOT NULL LIMIT 1)
		WHERE o.version_id = id;
		RETURN;
	END IF;
	DELETE FROM dist.rate_part p WHERE p.version_id = v.rate_set_id;
	INSERT INTO dist.rate_part (customer_id, version_id, agreement_id, rates, dated, what_kinds, filter)
	SELECT r.customer_id, v.rate_set_id, v.agreement_id, sum(r.rates), bool_or(r.dated), array_agg(DISTINCT t.what_kind ORDER BY t.what_kind), distsync_internal.pricing_filter(array_agg(r.target_id))
	FROM (
		SELECT c.customer_id, c.target_id, count(*) AS rates, bool_or(c.valid_from IS NOT NULL OR c.valid_to IS NOT NULL) AS dated FROM dist.customer_rate c WHERE c.version_id = v.rate_set_id GROUP BY 1, 2
		UNION ALL
		SELECT 0, b.target_id, count(*), bool_or(b.valid_from IS NOT NULL OR b.valid_to IS NOT NULL) FROM dist.book_rate b WHERE b.version_id = v.rate_set_id GROUP BY 2) r
	JOIN dist.target t ON t.target_id = r.target_id
	GROUP BY r.customer_id;
	IF EXISTS (SELECT FROM dist.rate_part p WHERE p.version_id = v.rate_set_id AND p.rates > distsync_internal.pricing_most_rates())
		AND (EXISTS (SELECT FROM dist.customer_rate c WHERE c.version_id = v.rate_set_id GROUP BY c.customer_id, c.target_id HAVING count(*) > distsync_internal.pricing_most_rates())
			OR EXISTS (SELECT FROM dist.book_rate b WHERE b.version_id = v.rate_set_id GROUP BY b.target_id HAVING count(*) > distsync_internal.pricing_most_rates())) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD006', MESSAGE = format('more than %s rates for one buyer and target', distsync_internal.pricing_most_rates()), COLUMN = 'rates',
			DETAIL = format('Field: rates. Version %s.', v.version_no), HINT = 'Spread the rates over several agreements.';
	END IF;
	DELETE FROM dist.rate_page p WHERE p.version_id = v.rate_set_id;
	WITH laid AS MATERIALIZED (SELECT * FROM distsync_internal.pricing_pages(v.rate_set_id)),
	written AS (INSERT INTO dist.rate_page (customer_id, version_id, page, bytes) SELECT l.customer_id, v.rate_set_id, l.page, l.bytes FROM laid l)
	UPDATE dist.rate_part p SET page_shift = l.page_shift FROM (SELECT DISTINCT laid.customer_id, laid.page_shift FROM laid) l
	WHERE p.version_id = v.rate_set_id AND p.customer_id = l.customer_id;
	INSERT INTO dist.rate_base (version_id, base_agreement_id)
	SELECT v.rate_set_id, c.base_agreement_id FROM dist.customer_rate c WHERE c.version_id = v.rate_set_id AND c.base_agreement_id IS NOT NULL
	UNION SELECT v.rate_set_id, b.base_agreement_id FROM dist.book_rate b WHERE b.version_id = v.rate_set_id AND b.base_agreement_id IS NOT NULL
	ON CONFLICT DO NOTHING;
	INSERT INTO dist.price_boundary (at, version_id, edge)
	SELECT DISTINCT e.at, v.rate_set_id, e.edge
	FROM (SELECT c.valid_from, c.valid_to FROM dist.customer_rate c WHERE c.version_id = v.rate_set_id UNION SELECT b.valid_from, b.valid_to FROM dist.book_rate b WHERE b.version_id = v.rate_set_id) r
	CROSS JOIN LATERAL (VALUES (r.valid_from, 'start'), (r.valid_to, 'end')) e(at, edge) WHERE e.at > clock_timestamp() AND e.at < 'infinity'
	ON CONFLICT DO NOTHING;
	UPDATE dist.agreement_version o SET content_sha256 = distsync_internal.pricing_hash(v.rate_set_id) WHERE o.version_id = id;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_prove(bigint) IS
	'Proves the rates of a draft version and writes dist.rate_part, dist.rate_base, dist.price_boundary and its hash. Errors: SD052 state; SD001, SD002, SD004, SD006 rates that the door would not take; SD051 two that nothing separates.';

-- pricing_refuse_circles does the refusing of versions whose rates would start from their own price.
CREATE FUNCTION distsync_internal.pricing_refuse_circles(ids bigint[], unproved boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	codes text[];
	bases text[];
	c record;
BEGIN
	SELECT array_agg(a.code), array_agg(b.code) INTO codes, bases
	FROM dist.agreement_version v JOIN dist.agreement a ON a.agreement_id = v.agreement_id
	CROSS JOIN LATERAL (
		SELECT r.base_agreement_id FROM dist.rate_base r WHERE r.version_id = v.rate_set_id
		UNION SELECT r.base_agreement_id FROM dist.customer_rate r WHERE unproved AND r.version_id = v.rate_set_id AND r.base_agreement_id IS NOT NULL
		UNION SELECT r.base_agreement_id FROM dist.book_rate r WHERE unproved AND r.version_id = v.rate_set_id AND r.base_agreement_id IS NOT NULL) r
	JOIN dist.agreement b ON b.agreement_id = r.base_agreement_id
	WHERE v.version_id = ANY (ids);
	IF codes IS NULL THEN
		RETURN;
	END IF;
	SELECT * INTO c FROM distsync_internal.pricing_circles(codes, bases) k ORDER BY k.code COLLATE "C" LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD053', MESSAGE = c.message, COLUMN = 'rates.base', DETAIL = format('Field: rates.base. It starts from agreement "%s".', c.base),
			HINT = 'Start the rates from another agreement, or from the list.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_refuse_circles(bigint[], boolean) IS 'Refuses (SD053) versions whose rates lead round to their own price, or more than 8 deep. unproved: their bases are read from the rates, because dist.rate_base does not know them yet.';
