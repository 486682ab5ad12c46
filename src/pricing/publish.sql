-- Publishing: a draft version becomes immutable and is held true from a stamped instant on.

-- pricing_reject does the refusal of what this version of the engine cannot decide, at the door, so that no price is ever silently
-- wrong.
CREATE FUNCTION distsync_internal.pricing_reject(version_id bigint) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	what text;
BEGIN
	SELECT CASE
		WHEN a.tier_basis <> 'line' THEN format('tier_basis "%s"', a.tier_basis)
		WHEN a.tier_mode <> 'all_units' THEN format('tier_mode "%s"', a.tier_mode)
		WHEN a.tier_scope <> 'own' THEN format('tier_scope "%s"', a.tier_scope)
		WHEN a.price_date <> 'order' THEN format('price_date "%s"', a.price_date)
		WHEN a.tax_included THEN 'tax_included'
		WHEN a.slot IN ('charge', 'rebate', 'claim') THEN format('slot "%s"', a.slot)
	END INTO what
	FROM dist.agreement a JOIN dist.agreement_version v ON v.agreement_id = a.agreement_id
	WHERE v.version_id = pricing_reject.version_id;
	SELECT COALESCE(what, (
		SELECT format('calc "%s" in line "%s"', r.calc, r.line_key)
		FROM (SELECT b.calc, b.line_key FROM dist.book_rate b WHERE b.version_id = pricing_reject.version_id
			  UNION ALL
			  SELECT c.calc, c.line_key FROM dist.customer_rate c WHERE c.version_id = pricing_reject.version_id) r
		WHERE r.calc IN ('formula', 'reference', 'per_weight') ORDER BY r.line_key COLLATE "C" LIMIT 1)) INTO what;
	IF what IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = format('%s cannot be published by this version', what), DETAIL = 'Field: agreement.',
			HINT = 'Express the price with net, percent_off, amount_off, markup or margin rates and tiers per line, or wait for the release that supports it.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_reject(bigint) IS 'Refuses with SD052 to publish a version that uses a price model this release does not decide.';

-- pricing_hash does the hash of a version's content in canonical text: the same rates give the same hash on every server.
CREATE FUNCTION distsync_internal.pricing_hash(version_id bigint) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT sha256(convert_to(COALESCE(string_agg(x.line, E'\n' ORDER BY x.line COLLATE "C"), ''), 'UTF8'))
	FROM (
		SELECT concat_ws('|', r.line_key, p.code, r.what_kind, r.what_key, r.channel_id, r.site_id, r.unit, trim_scale(r.min_quantity), r.calc, trim_scale(r.value), trim_scale(r.value2), r.price_per,
			trim_scale(r.floor_price), trim_scale(r.ceiling_price), trim_scale(r.min_margin), r.condition::text, r.valid::text) AS line
		FROM dist.customer_rate r JOIN dist.party p ON p.party_id = r.customer_id WHERE r.version_id = pricing_hash.version_id
		UNION ALL
		SELECT concat_ws('|', r.line_key, '', r.what_kind, r.what_key, r.channel_id, r.site_id, r.unit, trim_scale(r.min_quantity), r.calc, trim_scale(r.value), trim_scale(r.value2), r.price_per,
			trim_scale(r.floor_price), trim_scale(r.ceiling_price), trim_scale(r.min_margin), r.condition::text, r.valid::text)
		FROM dist.book_rate r WHERE r.version_id = pricing_hash.version_id
	) x
$$;
COMMENT ON FUNCTION distsync_internal.pricing_hash(bigint) IS 'SHA-256 over the rates of a version in canonical order.';

-- pricing_supersede does the making of room: what an earlier version still says outside the new one's period lives on as a version
-- of its own over the same rates; the earlier one is no longer held true from the stamp on. Nothing is ever changed in place.
CREATE FUNCTION distsync_internal.pricing_supersede(version_id bigint, stamp timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	new dist.agreement_version%ROWTYPE;
	old dist.agreement_version%ROWTYPE;
	part tstzrange;
	n integer := 0;
BEGIN
	SELECT * INTO new FROM dist.agreement_version v WHERE v.version_id = pricing_supersede.version_id;
	FOR old IN SELECT * FROM dist.agreement_version v
		WHERE v.agreement_id = new.agreement_id AND v.status = 'published' AND upper_inf(v.known) AND v.valid && new.valid AND v.version_id <> new.version_id
		ORDER BY v.version_no
	LOOP
		UPDATE dist.agreement_version v SET known = tstzrange(lower(v.known), stamp) WHERE v.version_id = old.version_id;
		FOR part IN SELECT unnest(tstzmultirange(old.valid) - tstzmultirange(new.valid)) LOOP
			INSERT INTO dist.agreement_version (agreement_id, version_no, status, valid, known, rate_set_id, content_sha256, source, approved_by, published_at, supersedes_id)
			SELECT old.agreement_id, (SELECT max(x.version_no) + 1 FROM dist.agreement_version x WHERE x.agreement_id = old.agreement_id), 'published', part, tstzrange(stamp, NULL),
				old.rate_set_id, old.content_sha256, old.source, old.approved_by, stamp, old.version_id;
		END LOOP;
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_supersede(bigint, timestamptz) IS
	'Ends what published versions of the agreement say within the new version''s period, from the stamp on; the rest of each lives on as a version over the same rates. Returns how many were cut.';

-- pricing_publish does the publication of one draft version under the epoch's lock: its stamp is what known_at will name.
CREATE FUNCTION distsync_internal.pricing_publish(version_id bigint, supersede boolean, approved_by text) RETURNS TABLE (version_no integer, stamp timestamptz, cut integer)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	v dist.agreement_version%ROWTYPE;
	clash record;
	b integer;
BEGIN
	SELECT * INTO v FROM dist.agreement_version x WHERE x.version_id = pricing_publish.version_id FOR UPDATE;
	IF v.status NOT IN ('draft', 'approved') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = format('version %s is %s and cannot be published', v.version_no, v.status), DETAIL = 'Field: version.',
			HINT = 'Published versions never change: send a new version of the agreement.';
	END IF;
	PERFORM distsync_internal.pricing_reject(version_id);
	PERFORM FROM dist.agreement a WHERE a.agreement_id = v.agreement_id FOR UPDATE;
	SELECT x.version_no, x.valid INTO clash FROM dist.agreement_version x
	WHERE x.agreement_id = v.agreement_id AND x.status = 'published' AND upper_inf(x.known) AND x.valid && v.valid ORDER BY x.version_no LIMIT 1;
	IF FOUND AND NOT supersede THEN
		RAISE EXCEPTION USING ERRCODE = 'SD051', MESSAGE = format('period of version %s overlaps version %s, which is published', v.version_no, clash.version_no),
			DETAIL = format('Field: valid_from. New period %s, published period %s.', v.valid, clash.valid),
			HINT = 'Publish with options {"supersede": true} to let the new version replace the old one within its period, or change the period.';
	END IF;
	FOR b IN SELECT DISTINCT 1 + (r.customer_id % 256)::integer FROM dist.customer_rate r WHERE r.version_id = v.rate_set_id UNION SELECT 0 ORDER BY 1 LOOP
		PERFORM distsync_internal.base_touch_epoch('price', b);
	END LOOP;
	SELECT max(e.stamped_at) INTO stamp FROM dist.epoch e WHERE e.domain = 'price'
		AND e.bucket IN (SELECT 1 + (r.customer_id % 256)::integer FROM dist.customer_rate r WHERE r.version_id = v.rate_set_id UNION SELECT 0);
	cut := distsync_internal.pricing_supersede(version_id, stamp);
	UPDATE dist.agreement_version x SET status = 'published', known = tstzrange(stamp, NULL), published_at = stamp, approved_by = COALESCE(pricing_publish.approved_by, x.approved_by),
		content_sha256 = distsync_internal.pricing_hash(x.rate_set_id)
	WHERE x.version_id = v.version_id;
	INSERT INTO dist.price_boundary (at, version_id, edge)
	SELECT e.at, e.id, e.edge FROM (
		SELECT lower(x.valid) AS at, x.version_id AS id, 'start' AS edge FROM dist.agreement_version x WHERE x.agreement_id = v.agreement_id AND x.status = 'published' AND upper_inf(x.known)
		UNION ALL
		SELECT upper(x.valid), x.version_id, 'end' FROM dist.agreement_version x WHERE x.agreement_id = v.agreement_id AND x.status = 'published' AND upper_inf(x.known)
	) e WHERE e.at > stamp AND e.at < 'infinity'
	ON CONFLICT DO NOTHING;
	version_no := v.version_no;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_publish(bigint, boolean, text) IS
	'Publishes a draft version, superseding what it overlaps if asked. Returns its number, the stamp known_at will name, and how many versions were cut. Errors: SD051 overlap, SD052 state or model.';

-- publish does the publication of an agreement's newest draft, by people.
CREATE FUNCTION distsync.publish(agreement text, options jsonb DEFAULT '{}') RETURNS TABLE (version_no integer, published_at timestamptz, superseded integer, ambiguous jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a dist.agreement%ROWTYPE;
	v dist.agreement_version%ROWTYPE;
BEGIN
	options := distsync_internal.base_options(options, '{supersede:boolean,approved_by:text,reason:text}');
	SELECT * INTO a FROM dist.agreement x WHERE x.code = publish.agreement FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('agreement "%s" is not known', left(publish.agreement, 60)), DETAIL = 'Field: agreement.',
			HINT = 'Send it first: distsync.apply(''agreement'', ...).';
	END IF;
	SELECT * INTO v FROM dist.agreement_version x WHERE x.agreement_id = a.agreement_id AND x.status IN ('draft', 'approved') ORDER BY x.version_no DESC LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = format('agreement "%s" has no draft to publish', a.code), DETAIL = 'Field: agreement.',
			HINT = 'Send a new version with distsync.apply(''agreement'', ...).';
	END IF;
	SELECT p.version_no, p.stamp, p.cut INTO version_no, published_at, superseded
	FROM distsync_internal.pricing_publish(v.version_id, COALESCE((options->>'supersede')::boolean, false), options->>'approved_by') p;
	ambiguous := distsync_internal.pricing_lint(v.version_id);
	PERFORM distsync_internal.base_audit('publish', 'agreement', a.code, NULL, jsonb_build_object('version', version_no, 'valid', v.valid, 'superseded', superseded), options->>'reason');
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync.publish(text, jsonb) IS
	'Publishes the newest draft of an agreement: from now on it decides prices and never changes. options: supersede (replace what it overlaps), approved_by, reason. Returns version, instant, versions cut, and rates of other agreements that differ from these only by content ties. Errors: SD001, SD051 overlap, SD052 nothing to publish or unsupported model.';

-- pricing_lint does the search for rates that nothing but a content tie separates: same slot, same buyer, same target, same tier.
CREATE FUNCTION distsync_internal.pricing_lint(version_id bigint) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH mine AS (
		SELECT a.agreement_id, a.slot, a.currency, a.priority, v.valid, v.rate_set_id FROM dist.agreement_version v JOIN dist.agreement a ON a.agreement_id = v.agreement_id
		WHERE v.version_id = pricing_lint.version_id
	), other AS (
		SELECT a.code, v.rate_set_id, v.valid, a.agreement_id, m.rate_set_id AS mine_set
		FROM mine m JOIN dist.agreement a ON a.agreement_id <> m.agreement_id AND a.slot = m.slot AND a.currency = m.currency AND a.priority = m.priority AND a.status = 'active'
		JOIN dist.agreement_version v ON v.agreement_id = a.agreement_id AND v.status = 'published' AND upper_inf(v.known) AND v.valid && m.valid
	)
	SELECT COALESCE(jsonb_agg(x.clash ORDER BY x.clash), '[]')
	FROM (
		SELECT jsonb_build_object('agreement', o.code, 'customer', p.code, 'what', r.what_kind || ':' || r.what_key, 'min_quantity', r.min_quantity) AS clash
		FROM other o
		JOIN dist.customer_rate r ON r.version_id = o.mine_set
		JOIN dist.customer_rate q ON q.version_id = o.rate_set_id AND q.customer_id = r.customer_id AND q.what_kind = r.what_kind AND q.what_key = r.what_key
			AND q.channel_id = r.channel_id AND q.site_id = r.site_id AND COALESCE(q.unit, '') = COALESCE(r.unit, '') AND q.min_quantity = r.min_quantity AND q.valid && r.valid
		JOIN dist.party p ON p.party_id = r.customer_id
		LIMIT 100
	) x
$$;
COMMENT ON FUNCTION distsync_internal.pricing_lint(bigint) IS 'Up to 100 rates of other published agreements that differ from this version''s only by content ties: [{"agreement","customer","what","min_quantity"}].';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('publish', '{integrator,admin}');
