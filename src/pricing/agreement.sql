-- The door for agreements: apply('agreement', ...). Every document of a call is checked whole before anything of any is written; then
-- heads and drafts are written and proved, and last, at one stamp of the price clock, all of them take effect.

-- pricing_lock_agreements does the locking of the agreements of a call, in order; where one is new, of the right to make one.
CREATE FUNCTION distsync_internal.pricing_lock_agreements(codes text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM unnest(codes) c WHERE NOT EXISTS (SELECT FROM dist.agreement a WHERE a.code = c)) THEN
		PERFORM pg_advisory_xact_lock(hashtextextended('distsync.pricing:agreement', 0));
	END IF;
	PERFORM FROM dist.agreement a WHERE a.code = ANY (codes) ORDER BY a.code COLLATE "C" FOR NO KEY UPDATE;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_lock_agreements(text[]) IS 'Locks agreements by code until the end of the transaction. Call it once with all of a request, before the price clock.';

-- pricing_check_agreements does the check of all documents of a call. What starts from the price of a rejected one is rejected with it.
CREATE FUNCTION distsync_internal.pricing_check_agreements(docs jsonb, source text) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	good jsonb := docs;
	codes text[];
	bad integer[];
	c record;
	r distsync_internal.apply_result;
BEGIN
	LOOP
		codes := ARRAY(SELECT x->'doc'->>'code' FROM jsonb_array_elements(good) x);
		bad := '{}';
		FOR c IN SELECT (x->>'ordinal')::integer AS ordinal, x->'doc'->>'code' AS code, f.* FROM jsonb_array_elements(good) x
			CROSS JOIN LATERAL distsync_internal.pricing_check_agreement(x->'doc', pricing_check_agreements.source, codes) f WHERE f.sqlstate IS NOT NULL
		LOOP
			RETURN NEXT distsync_internal.master_result(c.ordinal, 'rejected', c.code, c.sqlstate, c.field, c.message, c.hint);
			bad := bad || c.ordinal;
		END LOOP;
		EXIT WHEN cardinality(bad) = 0 OR NOT jsonb_path_exists(good, '$[*].doc.rates[*].base');
		good := (SELECT COALESCE(jsonb_agg(x), '[]') FROM jsonb_array_elements(good) x WHERE (x->>'ordinal')::integer <> ALL (bad));
	END LOOP;
	IF NOT jsonb_path_exists(good, '$[*].doc.rates[*].base') THEN
		RETURN;
	END IF;
	RETURN QUERY
	WITH edge AS MATERIALIZED (
		SELECT DISTINCT (x->>'ordinal')::integer AS ordinal, x->'doc'->>'code' AS f, e->>'base' AS t
		FROM jsonb_array_elements(good) x, jsonb_array_elements(CASE WHEN jsonb_typeof(x->'doc'->'rates') = 'array' THEN x->'doc'->'rates' ELSE '[]' END) e WHERE e->>'base' IS NOT NULL)
	SELECT m.* FROM distsync_internal.pricing_circles(ARRAY(SELECT e.f FROM edge e ORDER BY e.f, e.t), ARRAY(SELECT e.t FROM edge e ORDER BY e.f, e.t)) k
	JOIN (SELECT DISTINCT e.ordinal, e.f FROM edge e) d ON d.f = k.code
	CROSS JOIN LATERAL distsync_internal.master_result(d.ordinal, 'rejected', k.code, 'SD053', 'rates.base', k.message, format('Start the rates from another agreement than "%s", or from the list.', k.base)) m;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_check_agreements(jsonb, text) IS 'Rejections of agreement documents [{"ordinal","doc"}]: SD001-SD006, SD008, SD052, SD053; no row = all can be taken.';

-- pricing_write_head does the upsert of the agreement itself.
CREATE FUNCTION distsync_internal.pricing_write_head(head jsonb, source text, OUT id bigint, OUT changed boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF head->'was' = 'null' THEN
		INSERT INTO dist.agreement (code, name, slot, company_id, currency, tz, approval, vendor_id, vendor_reference, charge_kind, tax_class, status, owner_system, ext)
		SELECT h.code, h.name, h.slot, h.company_id, h.currency, h.tz, h.approval, h.vendor_id, h.vendor_reference, h.charge_kind, h.tax_class, h.status, NULLIF(pricing_write_head.source, 'distsync'), h.ext
		FROM jsonb_populate_record(NULL::dist.agreement, head) h RETURNING agreement_id INTO id;
		changed := true;
	ELSE
		id := (head->>'agreement_id')::bigint;
		UPDATE dist.agreement a SET name = h.name, slot = h.slot, company_id = h.company_id, currency = h.currency, tz = h.tz, approval = h.approval, vendor_id = h.vendor_id,
			vendor_reference = h.vendor_reference, charge_kind = h.charge_kind, tax_class = h.tax_class, status = h.status, ext = h.ext
		FROM jsonb_populate_record(NULL::dist.agreement, head) h
		WHERE a.agreement_id = id AND (a.name, a.slot, a.company_id, a.currency, a.tz, a.approval, a.vendor_id, a.vendor_reference, a.charge_kind, a.tax_class, a.status, a.ext)
			IS DISTINCT FROM (h.name, h.slot, h.company_id, h.currency, h.tz, h.approval, h.vendor_id, h.vendor_reference, h.charge_kind, h.tax_class, h.status, h.ext);
		changed := FOUND;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_write_head(jsonb, text) IS 'Creates or changes an agreement as pricing_head() says. Returns its id and whether anything changed.';

-- pricing_write_rates does the writing of a document's rates into a rate set of a draft. A target that has no number yet gets one under the
-- price clock, as everywhere.
CREATE FUNCTION distsync_internal.pricing_write_rates(rate_set bigint, rates distsync_internal.price_rate[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kinds text[];
	keys text[];
BEGIN
	SELECT array_agg(m.what_kind), array_agg(m.what_key) INTO kinds, keys FROM (
		SELECT DISTINCT r.what_kind, r.what_key FROM unnest(rates) r
		WHERE NOT EXISTS (SELECT FROM dist.target g WHERE g.what_kind = r.what_kind AND g.what_key = r.what_key)) m;
	IF kinds IS NOT NULL THEN
		PERFORM distsync_internal.base_lock_prices();
		PERFORM distsync_internal.master_make_targets(kinds, keys);
	END IF;
	WITH r AS MATERIALIZED (
		SELECT x.*, g.target_id, (x.d->>'floor_price')::numeric AS floor_price, (x.d->>'ceiling_price')::numeric AS ceiling_price, (x.d->>'min_margin')::numeric AS min_margin,
			NULLIF(x.d->'condition', 'null') AS condition
		FROM unnest(rates) x JOIN dist.target g ON g.what_kind = x.what_kind AND g.what_key = x.what_key
	), own AS (
		INSERT INTO dist.customer_rate (version_id, customer_id, target_id, line_key, calc, value, value2, unit, min_quantity, price_per, channel_id, site_id, base_agreement_id,
			floor_price, ceiling_price, min_margin, valid_from, valid_to, condition, extra)
		SELECT rate_set, r.customer_id, r.target_id, r.line_key, r.calc, r.value, r.value2, r.unit, r.min_quantity, r.price_per, r.channel_id, r.site_id, r.base_agreement_id,
			r.floor_price, r.ceiling_price, r.min_margin, lower(r.valid), upper(r.valid), r.condition, r.extra
		FROM r WHERE r.customer_id IS NOT NULL ORDER BY r.customer_id, r.target_id
	), shared AS (
		INSERT INTO dist.book_rate (version_id, target_id, line_key, calc, value, value2, unit, min_quantity, price_per, channel_id, site_id, base_agreement_id,
			floor_price, ceiling_price, min_margin, valid_from, valid_to, condition, extra)
		SELECT rate_set, r.target_id, r.line_key, r.calc, r.value, r.value2, r.unit, r.min_quantity, r.price_per, r.channel_id, r.site_id, r.base_agreement_id,
			r.floor_price, r.ceiling_price, r.min_margin, lower(r.valid), upper(r.valid), r.condition, r.extra
		FROM r WHERE r.customer_id IS NULL ORDER BY r.target_id)
	INSERT INTO dist.rate_base (version_id, base_agreement_id) SELECT DISTINCT rate_set, r.base_agreement_id FROM r WHERE r.base_agreement_id IS NOT NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_write_rates(bigint, distsync_internal.price_rate[]) IS 'Writes checked rates into customer_rate, book_rate and rate_base.';

-- pricing_rates_differ does the comparison of a document's rates with those of a rate set, so that what is sent again is no news.
CREATE FUNCTION distsync_internal.pricing_rates_differ(rate_set bigint, rates distsync_internal.price_rate[]) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	WITH wanted AS MATERIALIZED (
		SELECT x.customer_id, g.target_id, x.line_key, x.calc, x.value, x.value2, x.unit, x.min_quantity, x.price_per, x.channel_id, x.site_id, x.base_agreement_id, (x.d->>'floor_price')::numeric AS floor_price,
			(x.d->>'ceiling_price')::numeric AS ceiling_price, (x.d->>'min_margin')::numeric AS min_margin, lower(x.valid) AS valid_from, upper(x.valid) AS valid_to, NULLIF(x.d->'condition', 'null') AS condition, x.extra
		FROM unnest(rates) x LEFT JOIN dist.target g ON g.what_kind = x.what_kind AND g.what_key = x.what_key
	), held AS MATERIALIZED (
		SELECT c.customer_id, c.target_id, c.line_key, c.calc, c.value, c.value2, c.unit, c.min_quantity, c.price_per, c.channel_id, c.site_id, c.base_agreement_id, c.floor_price,
			c.ceiling_price, c.min_margin, c.valid_from, c.valid_to, c.condition, c.extra FROM dist.customer_rate c WHERE c.version_id = rate_set
		UNION ALL
		SELECT NULL, b.target_id, b.line_key, b.calc, b.value, b.value2, b.unit, b.min_quantity, b.price_per, b.channel_id, b.site_id, b.base_agreement_id, b.floor_price,
			b.ceiling_price, b.min_margin, b.valid_from, b.valid_to, b.condition, b.extra FROM dist.book_rate b WHERE b.version_id = rate_set)
	SELECT (SELECT count(*) FROM wanted) <> (SELECT count(*) FROM held) OR EXISTS (TABLE wanted EXCEPT TABLE held));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_rates_differ(bigint, distsync_internal.price_rate[]) IS 'Whether the rates of a document are others than those of a rate set.';

-- pricing_write_draft does the making of a draft version: with the document's rates, or with other terms or another period over the rates
-- of the newest version. Terms that come before any rates wait in a draft without rates.
CREATE FUNCTION distsync_internal.pricing_write_draft(agreement_id bigint, doc jsonb, source text, tz text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	newest jsonb := distsync_internal.pricing_newest(agreement_id);
	terms dist.agreement_version%ROWTYPE := jsonb_populate_record(NULL::dist.agreement_version, distsync_internal.pricing_terms(doc, newest));
	before dist.agreement_version%ROWTYPE := jsonb_populate_record(NULL::dist.agreement_version, distsync_internal.pricing_terms('{}', newest));
	period tstzrange := distsync_internal.pricing_period(doc, tz, CASE WHEN NOT doc ? 'rates' THEN (newest->>'valid')::tstzrange END);
	rates distsync_internal.price_rate[] := CASE WHEN doc ? 'rates' THEN distsync_internal.pricing_rate_rows(doc, pricing_write_draft.source, tz) END;
	id bigint;
BEGIN
	IF terms IS NOT DISTINCT FROM before AND (CASE
		WHEN newest IS NULL THEN NOT doc ?| '{rates,valid_from,valid_to}'
		WHEN period <> (newest->>'valid')::tstzrange THEN false
		WHEN NOT doc ? 'rates' THEN true
		ELSE newest->>'status' IN ('draft', 'approved', 'published') AND upper_inf((newest->>'known')::tstzrange)
			AND NOT distsync_internal.pricing_rates_differ((newest->>'rate_set_id')::bigint, rates) END) THEN
		RETURN NULL;
	END IF;
	id := nextval('dist.agreement_version_version_id_seq');
	INSERT INTO dist.agreement_version (version_id, agreement_id, version_no, valid, rate_set_id, combine, stack_group, priority, tier_measure, tier_basis, tier_mode, tier_scope, price_date,
		fx_allowed, tax_included, rounding, on_breach, commit_quantity, commit_amount, cap_behavior, source, drafted_by)
	SELECT id, pricing_write_draft.agreement_id, COALESCE((SELECT max(x.version_no) FROM dist.agreement_version x WHERE x.agreement_id = pricing_write_draft.agreement_id), 0) + 1, period,
		CASE WHEN doc ? 'rates' OR newest IS NULL THEN id ELSE (newest->>'rate_set_id')::bigint END, terms.combine, terms.stack_group, terms.priority, terms.tier_measure, terms.tier_basis,
		terms.tier_mode, terms.tier_scope, terms.price_date, terms.fx_allowed, terms.tax_included, terms.rounding, terms.on_breach, terms.commit_quantity, terms.commit_amount, terms.cap_behavior,
		pricing_write_draft.source, CASE WHEN pricing_write_draft.source = 'distsync' THEN distsync_internal.pricing_person() ELSE pricing_write_draft.source END;
	IF doc ? 'rates' THEN
		PERFORM distsync_internal.pricing_write_rates(id, rates);
	END IF;
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_write_draft(bigint, jsonb, text, text) IS
	'Makes a draft version of an agreement from a checked document. Returns its id, NULL where the document says nothing new about rates, terms and period.';

-- pricing_write_assignments does the replacing of who may use an agreement: what is gone was held true until the stamp, what is new from it.
CREATE FUNCTION distsync_internal.pricing_write_assignments(agreement_id bigint, doc jsonb, source text, tz text, stamp timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	WITH wanted AS MATERIALIZED (SELECT a.who_kind, a.who_key, a.rank::integer AS rank, a.blocking, a.valid FROM distsync_internal.pricing_assignment_rows(doc, source, tz) a),
	held AS MATERIALIZED (
		SELECT s.who_kind, s.who_key, s.rank, s.blocking, s.valid FROM dist.agreement_assignment s WHERE s.agreement_id = pricing_write_assignments.agreement_id AND upper_inf(s.known)),
	gone AS (
		UPDATE dist.agreement_assignment s SET known = tstzrange(lower(s.known), stamp) FROM (TABLE held EXCEPT TABLE wanted) g
		WHERE s.agreement_id = pricing_write_assignments.agreement_id AND upper_inf(s.known) AND (s.who_kind, s.who_key, s.valid) = (g.who_kind, g.who_key, g.valid) RETURNING 1)
	INSERT INTO dist.agreement_assignment (agreement_id, who_kind, who_key, rank, blocking, valid, known)
	SELECT pricing_write_assignments.agreement_id, c.who_kind, c.who_key, c.rank, c.blocking, c.valid, tstzrange(stamp, NULL)
	FROM (TABLE wanted EXCEPT TABLE held) c WHERE (SELECT count(*) FROM gone) >= 0;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_write_assignments(bigint, jsonb, text, text, timestamptz) IS 'Replaces the assignments of an agreement at a stamp; what stays the same is not touched.';

-- pricing_assignments_change does the question whether a document's list of buyers differs from what is held true.
CREATE FUNCTION distsync_internal.pricing_assignments_change(agreement_id bigint, doc jsonb, source text, tz text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	WITH wanted AS MATERIALIZED (SELECT a.who_kind, a.who_key, a.rank::integer AS rank, a.blocking, a.valid FROM distsync_internal.pricing_assignment_rows(doc, source, tz) a),
	held AS MATERIALIZED (
		SELECT s.who_kind, s.who_key, s.rank, s.blocking, s.valid FROM dist.agreement_assignment s WHERE s.agreement_id = pricing_assignments_change.agreement_id AND upper_inf(s.known))
	SELECT doc ? 'assignments' AND (EXISTS (TABLE wanted EXCEPT TABLE held) OR EXISTS (TABLE held EXCEPT TABLE wanted)));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_assignments_change(bigint, jsonb, text, text) IS 'Whether a document changes who may use an agreement.';

-- pricing_write_agreement does the writing of everything of one document that has no effect yet, and says what is to take effect.
CREATE FUNCTION distsync_internal.pricing_write_agreement(id bigint, head jsonb, doc jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	newest jsonb := distsync_internal.pricing_newest(id);
	draft bigint := distsync_internal.pricing_write_draft(id, doc, source, head->>'tz');
	active boolean := head->>'status' = 'active';
	publish boolean := active AND COALESCE((doc->>'publish')::boolean, source <> 'distsync' AND (doc ? 'rates' OR draft IS NOT NULL AND newest->>'published_at' IS NOT NULL));
BEGIN
	IF draft IS NULL AND publish AND newest->>'status' IN ('draft', 'approved') THEN
		draft := (newest->>'version_id')::bigint;
	END IF;
	RETURN jsonb_build_object('id', id, 'tz', head->'tz', 'version', draft, 'publish', publish AND draft IS NOT NULL,
		'withdraw', NOT active AND head #>> '{was,status}' = 'active', 'revive', active AND head #>> '{was,status}' = 'inactive',
		'assign', distsync_internal.pricing_assignments_change(id, doc, source, head->>'tz'));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_write_agreement(bigint, jsonb, jsonb, text) IS
	'Writes the draft that a checked document asks for. Returns {"id","tz","version","publish","withdraw","revive","assign"}: what is to be done at the stamp.';

-- pricing_apply_agreement does the taking of agreement documents.
CREATE FUNCTION distsync_internal.pricing_apply_agreement(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source text := ctx->>'source';
	good jsonb := docs;
	bad distsync_internal.apply_result[];
	plans jsonb := '[]';
	p record;
	moved record;
BEGIN
	IF ctx->>'operation' = 'deactivate' THEN
		good := (SELECT jsonb_agg(jsonb_build_object('ordinal', d->'ordinal', 'doc', jsonb_build_object('code', d->'doc'->'code', 'status', 'inactive'))) FROM jsonb_array_elements(docs) d);
	END IF;
	PERFORM distsync_internal.pricing_lock_agreements(ARRAY(SELECT d->'doc'->>'code' FROM jsonb_array_elements(good) d));
	bad := ARRAY(SELECT c FROM distsync_internal.pricing_check_agreements(good, source) c);
	IF cardinality(bad) > 0 THEN
		RETURN QUERY SELECT b.* FROM unnest(bad) b;
		IF ctx->>'on_error' IS DISTINCT FROM 'collect' THEN
			RETURN;
		END IF;
		good := (SELECT COALESCE(jsonb_agg(d), '[]') FROM jsonb_array_elements(good) d WHERE NOT EXISTS (SELECT FROM unnest(bad) b WHERE b.ordinal = (d->>'ordinal')::integer));
	END IF;
	-- all heads first: rates of one document may start from the price of another
	plans := (SELECT COALESCE(jsonb_agg(jsonb_build_object('ordinal', e.d->'ordinal', 'doc', e.d->'doc', 'head', h.head, 'id', w.id, 'changed', w.changed) ORDER BY e.n), '[]')
		FROM jsonb_array_elements(good) WITH ORDINALITY e(d, n) CROSS JOIN LATERAL distsync_internal.pricing_head(e.d->'doc', source) h(head) CROSS JOIN LATERAL distsync_internal.pricing_write_head(h.head, source) w);
	plans := (SELECT COALESCE(jsonb_agg(e || distsync_internal.pricing_write_agreement((e->>'id')::bigint, e->'head', e->'doc', source) ORDER BY n), '[]') FROM jsonb_array_elements(plans) WITH ORDINALITY u(e, n));
	SELECT * INTO moved FROM distsync_internal.pricing_take_effect(
		ARRAY(SELECT (e->>'version')::bigint FROM jsonb_array_elements(plans) e WHERE (e->>'publish')::boolean), ARRAY(SELECT (e->>'id')::bigint FROM jsonb_array_elements(plans) e WHERE (e->>'withdraw')::boolean),
		ARRAY(SELECT (e->>'id')::bigint FROM jsonb_array_elements(plans) e WHERE (e->>'revive')::boolean), ARRAY(SELECT (e->>'id')::bigint FROM jsonb_array_elements(plans) e WHERE (e->>'assign')::boolean));
	FOR p IN SELECT (e->>'ordinal')::integer AS ordinal, e, v.version_no, moved.cuts->(e->>'version') AS cut
		FROM jsonb_array_elements(plans) e LEFT JOIN dist.agreement_version v ON v.version_id = (e->>'version')::bigint ORDER BY 1
	LOOP
		IF (p.e->>'assign')::boolean THEN
			PERFORM distsync_internal.pricing_write_assignments((p.e->>'id')::bigint, p.e->'doc', source, p.e->>'tz', moved.stamp);
			PERFORM distsync_internal.pricing_write_boundaries((p.e->>'id')::bigint, moved.stamp);
		END IF;
		RETURN NEXT distsync_internal.master_result(p.ordinal, CASE WHEN p.version_no IS NOT NULL OR 'true' IN (p.e->'changed', p.e->'assign', p.e->'withdraw', p.e->'revive') THEN 'applied' ELSE 'unchanged' END,
			p.e->'doc'->>'code', NULL, NULL, NULL, NULL, CASE WHEN (p.e->>'publish')::boolean THEN jsonb_build_object('version', p.version_no, 'published_at', moved.stamp, 'superseded', p.cut)
				WHEN p.version_no IS NOT NULL THEN jsonb_build_object('version', p.version_no, 'draft', true) END);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_apply_agreement(jsonb, jsonb) IS
	'Entity handler for agreement. Rates, other terms or another period make a new version; published at once if the document says so or is a fact of another system, replacing what it overlaps. detail: {"version","published_at","superseded"} or {"version","draft"}.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'agreement', 'distsync_internal.pricing_apply_agreement');
