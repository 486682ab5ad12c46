-- Taking effect: at one stamp of the price clock versions begin and end to be held true. What is published never changes.

-- pricing_write_boundaries does the noting of the instants at which a price of an agreement starts or ends without a write.
CREATE FUNCTION distsync_internal.pricing_write_boundaries(agreement_id bigint, stamp timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	INSERT INTO dist.price_boundary (at, version_id, edge)
	SELECT DISTINCT e.at, v.version_id, e.edge
	FROM dist.agreement_version v
	CROSS JOIN LATERAL (SELECT v.valid UNION ALL SELECT s.valid FROM dist.agreement_assignment s WHERE s.agreement_id = v.agreement_id AND upper_inf(s.known)) p
	CROSS JOIN LATERAL (VALUES (lower(p.valid), 'start'), (upper(p.valid), 'end')) e(at, edge)
	WHERE v.agreement_id = pricing_write_boundaries.agreement_id AND v.status = 'published' AND upper_inf(v.known) AND e.at > stamp AND e.at < 'infinity'
	ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_write_boundaries(bigint, timestamptz) IS 'Notes in dist.price_boundary the starts and ends, after a stamp, of an agreement''s held versions and assignments.';

-- pricing_continue does the making of a version that says within a part of its period what another one said: the same terms, the same rates.
CREATE FUNCTION distsync_internal.pricing_continue(id bigint, part tstzrange, stamp timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	INSERT INTO dist.agreement_version (agreement_id, version_no, status, valid, known, rate_set_id, combine, stack_group, priority, tier_measure, tier_basis, tier_mode, tier_scope, price_date,
		fx_allowed, tax_included, rounding, on_breach, commit_quantity, commit_amount, cap_behavior, content_sha256, source, drafted_by, approved_by, published_at, supersedes_id)
	SELECT o.agreement_id, (SELECT max(x.version_no) + 1 FROM dist.agreement_version x WHERE x.agreement_id = o.agreement_id), 'published', part, tstzrange(stamp, NULL), o.rate_set_id, o.combine,
		o.stack_group, o.priority, o.tier_measure, o.tier_basis, o.tier_mode, o.tier_scope, o.price_date, o.fx_allowed, o.tax_included, o.rounding, o.on_breach, o.commit_quantity, o.commit_amount,
		o.cap_behavior, o.content_sha256, o.source, o.drafted_by, o.approved_by, stamp, o.version_id
	FROM dist.agreement_version o WHERE o.version_id = id;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_continue(bigint, tstzrange, timestamptz) IS 'Publishes, from a stamp on, a version over the same rates and terms as another one, for a part of its period.';

-- pricing_supersede does the making of room: what an earlier version still says outside the new one's period lives on as a version of its
-- own; the earlier one is no longer held true from the stamp on. Nothing is ever changed in place.
CREATE FUNCTION distsync_internal.pricing_supersede(id bigint, stamp timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old record;
	part tstzrange;
	n integer := 0;
BEGIN
	FOR old IN SELECT v.version_id, v.valid, new.valid AS taken FROM dist.agreement_version new JOIN dist.agreement_version v ON v.agreement_id = new.agreement_id
		WHERE new.version_id = id AND v.version_id <> id AND v.status = 'published' AND upper_inf(v.known) AND v.valid && new.valid ORDER BY v.version_no
	LOOP
		UPDATE dist.agreement_version v SET known = tstzrange(lower(v.known), stamp) WHERE v.version_id = old.version_id;
		FOR part IN SELECT unnest(tstzmultirange(old.valid) - tstzmultirange(old.taken)) LOOP
			PERFORM distsync_internal.pricing_continue(old.version_id, part, stamp);
		END LOOP;
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_supersede(bigint, timestamptz) IS
	'Ends what published versions of the agreement say within a version''s period, from the stamp on; the rest of each lives on. Returns how many were cut.';

-- pricing_revive does the publishing anew of what was withdrawn last, with the same rates and periods, where nothing else says something.
CREATE FUNCTION distsync_internal.pricing_revive(agreement_id bigint, stamp timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	old record;
	n integer := 0;
BEGIN
	FOR old IN
		SELECT v.version_id, unnest(tstzmultirange(v.valid) - COALESCE((SELECT range_agg(h.valid) FROM dist.agreement_version h
			WHERE h.agreement_id = v.agreement_id AND h.status = 'published' AND upper_inf(h.known)), '{}')) AS part
		FROM dist.agreement_version v
		WHERE v.agreement_id = pricing_revive.agreement_id AND v.status = 'withdrawn' AND v.published_at IS NOT NULL
			AND upper(v.known) = (SELECT max(upper(w.known)) FROM dist.agreement_version w WHERE w.agreement_id = v.agreement_id AND w.status = 'withdrawn')
		ORDER BY v.version_no, 2
	LOOP
		PERFORM distsync_internal.pricing_continue(old.version_id, old.part, stamp);
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_revive(bigint, timestamptz) IS 'Publishes anew the versions that were withdrawn last, outside the periods of those that are held. Returns how many.';

-- pricing_hold_parts does the noting of which rate sets are held true by a version and which are not any more.
CREATE FUNCTION distsync_internal.pricing_hold_parts(sets bigint[], stamp timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	UPDATE dist.rate_part p SET ended_at = CASE WHEN h.held THEN NULL ELSE stamp END
	FROM (SELECT s, EXISTS (SELECT FROM dist.agreement_version v WHERE v.rate_set_id = s AND v.status = 'published' AND upper_inf(v.known)) AS held FROM unnest(sets) s) h
	WHERE p.version_id = h.s AND (p.ended_at IS NULL) <> h.held;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_hold_parts(bigint[], timestamptz) IS 'Sets ended_at of the parts of rate sets that no version holds true since a stamp, and clears it where one does.';

-- pricing_take_effect does all that begins or ends to be held true in one call, at one stamp: the heavy part comes first, then the clock.
CREATE FUNCTION distsync_internal.pricing_take_effect(publish bigint[], withdraw bigint[], revive bigint[], assign bigint[], approved_by text DEFAULT NULL, OUT stamp timestamptz, OUT cuts jsonb)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint;
	sets bigint[];
	buckets integer[];
BEGIN
	cuts := '{}';
	IF cardinality(publish || withdraw || revive || assign) = 0 THEN
		RETURN;
	END IF;
	PERFORM distsync_internal.pricing_prove(p) FROM unnest(publish) p;
	sets := ARRAY(SELECT DISTINCT v.rate_set_id FROM dist.agreement_version v
		WHERE v.version_id = ANY (publish) OR v.agreement_id = ANY (revive) OR v.status = 'published' AND upper_inf(v.known)
			AND (v.agreement_id = ANY (withdraw) OR v.agreement_id IN (SELECT n.agreement_id FROM dist.agreement_version n WHERE n.version_id = ANY (publish))));
	buckets := ARRAY(SELECT DISTINCT CASE WHEN p.customer_id = 0 THEN 0 ELSE 1 + (p.customer_id % 256)::integer END FROM dist.rate_part p WHERE p.version_id = ANY (sets)
		UNION SELECT 0 WHERE cardinality(assign) > 0);
	stamp := distsync_internal.base_touch_prices(buckets, '{}');
	-- again under the clock: another call may have published the other half of a circle meanwhile
	PERFORM distsync_internal.pricing_refuse_circles(publish);
	UPDATE dist.agreement_version v SET known = tstzrange(lower(v.known), stamp), status = 'withdrawn' WHERE v.agreement_id = ANY (withdraw) AND v.status = 'published' AND upper_inf(v.known);
	FOR id IN SELECT v.version_id FROM unnest(publish) p JOIN dist.agreement_version v ON v.version_id = p JOIN dist.agreement a ON a.agreement_id = v.agreement_id ORDER BY a.code COLLATE "C", v.version_no LOOP
		cuts := cuts || jsonb_build_object(id, distsync_internal.pricing_supersede(id, stamp));
		UPDATE dist.agreement_version v SET status = 'published', known = tstzrange(stamp, NULL), published_at = stamp, approved_by = COALESCE(pricing_take_effect.approved_by, v.approved_by)
		WHERE v.version_id = id;
	END LOOP;
	PERFORM distsync_internal.pricing_revive(r, stamp) FROM unnest(revive) r;
	PERFORM distsync_internal.pricing_hold_parts(sets, stamp);
	PERFORM distsync_internal.pricing_write_boundaries(x.agreement_id, stamp)
	FROM (SELECT DISTINCT v.agreement_id FROM dist.agreement_version v WHERE v.version_id = ANY (publish) OR v.agreement_id = ANY (revive)) x;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_take_effect(bigint[], bigint[], bigint[], bigint[], text) IS
	'Publishes versions (superseding what they overlap), withdraws and revives agreements, and moves the epoch for those whose assignments the caller is about to change, all at one stamp; NULL = there was nothing. cuts: {"version_id": versions cut}. The agreements are locked. Errors: those of pricing_prove(), SD053.';

-- pricing_agreement_of does the locking of the agreement that a verb names.
CREATE FUNCTION distsync_internal.pricing_agreement_of(code text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint := (SELECT a.agreement_id FROM dist.agreement a WHERE a.code = pricing_agreement_of.code);
BEGIN
	IF id IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('agreement "%s" is not known', left(distsync_internal.base_required('agreement', code), 60)), COLUMN = 'agreement', DETAIL = 'Field: agreement.',
			HINT = 'Send it first: distsync.apply(''agreement'', ...).';
	END IF;
	PERFORM distsync_internal.pricing_lock_agreements(ARRAY[code]);
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_agreement_of(text) IS 'Id of an agreement by code, locked until the end of the transaction. Errors: SD001, SD005 no code.';

-- pricing_draft_of does the finding of the version that a person is about to decide on.
CREATE FUNCTION distsync_internal.pricing_draft_of(agreement_id bigint, code text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint := (SELECT v.version_id FROM dist.agreement_version v WHERE v.agreement_id = pricing_draft_of.agreement_id AND v.status IN ('draft', 'approved') ORDER BY v.version_no DESC LIMIT 1);
BEGIN
	IF id IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = format('agreement "%s" has no draft', code), COLUMN = 'agreement', DETAIL = 'Field: agreement.',
			HINT = 'Send a new version with distsync.apply(''agreement'', ...).';
	END IF;
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_draft_of(bigint, text) IS 'Newest draft or approved version of an agreement. Errors: SD052 there is none.';

-- pricing_refuse_approver does the rule of two: who approves may not be who wrote the draft.
CREATE FUNCTION distsync_internal.pricing_refuse_approver(version_id bigint, approver text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	author text := (SELECT v.drafted_by FROM dist.agreement_version v WHERE v.version_id = pricing_refuse_approver.version_id);
BEGIN
	IF approver IS NULL OR approver = author THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = CASE WHEN approver IS NULL THEN 'the approval of a second person is missing' ELSE format('"%s" wrote the draft and cannot approve it', approver) END,
			COLUMN = 'options.approved_by', DETAIL = 'Field: options.approved_by.', HINT = 'Let somebody else approve it, with distsync.approve() or options {"approved_by": ...}.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_refuse_approver(bigint, text) IS 'Refuses (SD052) an approver who is nobody, or who wrote the draft.';

-- publish does the publication of an agreement's newest draft, by people.
CREATE FUNCTION distsync.publish(agreement text, options jsonb DEFAULT '{}') RETURNS TABLE (version_no integer, published_at timestamptz, superseded integer, ambiguous jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint;
	v record;
	clash record;
	done record;
BEGIN
	options := distsync_internal.base_options(options, '{supersede:boolean,approved_by:text,reason:text}');
	-- first the lock, then a statement of its own: what somebody else published meanwhile is no draft any more
	id := distsync_internal.pricing_agreement_of(agreement);
	id := distsync_internal.pricing_draft_of(id, agreement);
	SELECT x.version_no, x.valid, x.agreement_id, COALESCE(options->>'approved_by', x.approved_by) AS approver, a.approval, a.status INTO v
	FROM dist.agreement_version x JOIN dist.agreement a ON a.agreement_id = x.agreement_id WHERE x.version_id = id;
	IF v.status = 'inactive' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = format('agreement "%s" is inactive', agreement), COLUMN = 'agreement', DETAIL = 'Field: agreement.',
			HINT = 'Send it with status active first.';
	END IF;
	IF v.approval = 'second_person' THEN
		PERFORM distsync_internal.pricing_refuse_approver(id, v.approver);
	END IF;
	SELECT x.version_no, x.valid INTO clash FROM dist.agreement_version x
	WHERE x.agreement_id = v.agreement_id AND x.status = 'published' AND upper_inf(x.known) AND x.valid && v.valid ORDER BY x.version_no LIMIT 1;
	IF FOUND AND NOT COALESCE((options->>'supersede')::boolean, false) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD051', MESSAGE = format('period of version %s overlaps version %s, which is published', v.version_no, clash.version_no), COLUMN = 'valid_from',
			DETAIL = format('Field: valid_from. New period %s, published period %s.', v.valid, clash.valid),
			HINT = 'Publish with options {"supersede": true} to let the new version replace the old one within its period, or change the period.';
	END IF;
	SELECT * INTO done FROM distsync_internal.pricing_take_effect(ARRAY[id], '{}', '{}', '{}', v.approver);
	version_no := v.version_no;
	published_at := done.stamp;
	superseded := (done.cuts->>(id::text))::integer;
	ambiguous := distsync_internal.pricing_lint(id);
	PERFORM distsync_internal.base_audit('publish', 'agreement', agreement, NULL, jsonb_build_object('version', version_no, 'valid', v.valid, 'superseded', superseded, 'approved_by', v.approver), options->>'reason');
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync.publish(text, jsonb) IS
	'Publishes the newest draft of an agreement: from now on it decides prices and never changes. options: supersede (replace what it overlaps), approved_by, reason. Returns version, instant, versions cut, and rates of other agreements that differ from these only by content ties. Errors: SD001, SD051 overlap or twin rates, SD052 nothing to publish, not approved or inactive, SD053; SD002, SD004, SD006 rates that the door would not take.';

-- approve does the approval of an agreement's newest draft by a second person.
CREATE FUNCTION distsync.approve(agreement text, options jsonb DEFAULT '{}') RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint;
	person text;
	answer integer;
BEGIN
	options := distsync_internal.base_options(options, '{approved_by:text,reason:text}');
	person := COALESCE(options->>'approved_by', distsync_internal.pricing_person());
	id := distsync_internal.pricing_agreement_of(agreement);
	id := distsync_internal.pricing_draft_of(id, agreement);
	IF (SELECT a.approval FROM dist.agreement a WHERE a.code = agreement) = 'second_person' THEN
		PERFORM distsync_internal.pricing_refuse_approver(id, person);
	END IF;
	UPDATE dist.agreement_version v SET status = 'approved', approved_by = person WHERE v.version_id = id RETURNING v.version_no INTO answer;
	PERFORM distsync_internal.base_audit('approve', 'agreement', agreement, NULL, jsonb_build_object('version', answer, 'approved_by', person), options->>'reason');
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync.approve(text, jsonb) IS
	'Approves the newest draft of an agreement, which publish() can then publish. options: approved_by (who is acting if left out), reason. Returns the version. Errors: SD001, SD052 no draft, or the approver wrote it where a second person is asked for.';

-- withdraw does the ending of everything that an agreement says.
CREATE FUNCTION distsync.withdraw(agreement text, options jsonb DEFAULT '{}') RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint;
	held integer[];
BEGIN
	options := distsync_internal.base_options(options, '{reason:text}');
	id := distsync_internal.pricing_agreement_of(agreement);
	held := ARRAY(SELECT v.version_no FROM dist.agreement_version v WHERE v.agreement_id = id AND v.status = 'published' AND upper_inf(v.known) ORDER BY v.version_no);
	IF cardinality(held) = 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = format('agreement "%s" has no version to withdraw', agreement), COLUMN = 'agreement', DETAIL = 'Field: agreement.',
			HINT = 'Nothing of it decides a price now.';
	END IF;
	PERFORM distsync_internal.pricing_take_effect('{}', ARRAY[id], '{}', '{}');
	UPDATE dist.agreement a SET status = 'inactive' WHERE a.agreement_id = id;
	PERFORM distsync_internal.base_audit('withdraw', 'agreement', agreement, jsonb_build_object('versions', held), jsonb_build_object('status', 'inactive'), options->>'reason');
	RETURN cardinality(held);
END
$$;
COMMENT ON FUNCTION distsync.withdraw(text, jsonb) IS
	'Ends all versions of an agreement that are held true, from now on, and makes it inactive; prices as they were known before do not move. options: reason. Returns how many versions. Errors: SD001, SD052 there is none.';

-- drop_draft does the forgetting of an agreement's newest draft, with its rates. Where another version stands on those, the draft stays
-- in their place as a withdrawn one that was never published.
CREATE FUNCTION distsync.drop_draft(agreement text, options jsonb DEFAULT '{}') RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint;
	v record;
	rates bigint := 0;
BEGIN
	options := distsync_internal.base_options(options, '{reason:text}');
	id := distsync_internal.pricing_draft_of(distsync_internal.pricing_agreement_of(agreement), agreement);
	SELECT x.version_no, x.status, x.valid, x.drafted_by, x.approved_by, x.rate_set_id = id AS own,
		EXISTS (SELECT FROM dist.agreement_version o WHERE o.rate_set_id = id AND o.version_id <> id) AS shared INTO v
	FROM dist.agreement_version x WHERE x.version_id = id FOR UPDATE;
	IF v.shared THEN
		UPDATE dist.agreement_version x SET status = 'withdrawn' WHERE x.version_id = id;
	ELSE
		IF v.own THEN
			WITH own AS (DELETE FROM dist.customer_rate r WHERE r.version_id = id RETURNING 1), shared AS (DELETE FROM dist.book_rate r WHERE r.version_id = id RETURNING 1)
			SELECT (SELECT count(*) FROM own) + (SELECT count(*) FROM shared) INTO rates;
			DELETE FROM dist.rate_part p WHERE p.version_id = id;
			DELETE FROM dist.rate_base b WHERE b.version_id = id;
		END IF;
		DELETE FROM dist.price_boundary b WHERE b.version_id = id;
		DELETE FROM dist.agreement_version x WHERE x.version_id = id;
	END IF;
	PERFORM distsync_internal.base_audit('drop_draft', 'agreement', agreement, jsonb_build_object('version', v.version_no, 'status', v.status, 'valid', v.valid, 'drafted_by', v.drafted_by,
		'approved_by', v.approved_by, 'rates', rates), NULL, options->>'reason');
	RETURN v.version_no;
END
$$;
COMMENT ON FUNCTION distsync.drop_draft(text, jsonb) IS
	'Forgets the newest draft or approved version of an agreement, and its rates where no other version stands on them; call it again for the one before. What is published is not touched. options: reason. Returns the version. Errors: SD001, SD052 no draft.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('publish', '{integrator,admin}'), ('approve', '{integrator,admin}'), ('withdraw', '{integrator,admin}'), ('drop_draft', '{integrator,admin}');
