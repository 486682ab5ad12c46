-- Limits that take a second person: what people raise is a proposal until somebody else has approved it. What the owner of credit tells is a
-- fact, and who lowers a limit asks nobody.

-- credit_person does the telling of who acts.
CREATE FUNCTION distsync_internal.credit_person() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT COALESCE(NULLIF(current_setting('distsync.app_user', true), ''), session_user::text)
$$;
COMMENT ON FUNCTION distsync_internal.credit_person() IS 'Who is acting: setting distsync.app_user, else the session''s role.';

-- credit_limits_supposed does the listing of an account's limits as credit_limit_at() takes them.
CREATE FUNCTION distsync_internal.credit_limits_supposed(account_id bigint) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', l.kind, 'amount', l.amount, 'valid', l.valid)), '[]') FROM dist.credit_limit l WHERE l.account_id = credit_limits_supposed.account_id
$$;
COMMENT ON FUNCTION distsync_internal.credit_limits_supposed(bigint) IS 'Limits of an account as [{kind, amount, valid}].';

-- credit_raised does the question whether limits allow more than others, now or at any instant to come.
CREATE FUNCTION distsync_internal.credit_raised(account_id bigint, before jsonb, after jsonb, at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (
		SELECT FROM (
			SELECT credit_raised.at AS at
			UNION
			SELECT b.at FROM jsonb_to_recordset(before || after) AS l(valid tstzrange) CROSS JOIN LATERAL (VALUES (lower(l.valid)), (upper(l.valid))) b(at) WHERE b.at > credit_raised.at) t
		CROSS JOIN LATERAL distsync_internal.credit_limit_at(credit_raised.account_id, t.at, before) o
		CROSS JOIN LATERAL distsync_internal.credit_limit_at(credit_raised.account_id, t.at, after) n
		WHERE o.amount IS NOT NULL AND (n.amount IS NULL OR n.amount > o.amount));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_raised(bigint, jsonb, jsonb, timestamptz) IS 'Whether limits [{kind, amount, valid}] allow more than others at an instant or after it.';

-- credit_tell_limits does what a credit_account document says of limits: it writes them, or keeps them as a proposal.
CREATE FUNCTION distsync_internal.credit_tell_limits(account_id bigint, doc jsonb, at timestamptz, fresh boolean, ctx jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
	proposed jsonb := (SELECT COALESCE(jsonb_object_agg(k, doc -> k), '{}') FROM unnest('{limit,limits,limit_approval,reason}'::text[]) k WHERE doc ? k);
	by_two boolean;
	ends boolean;
	-- nothing was allowed before there was an account
	before jsonb := CASE WHEN fresh THEN '[{"kind":"base","amount":0,"valid":"(,)"}]' ELSE distsync_internal.credit_limits_supposed(credit_tell_limits.account_id) END;
	changed boolean;
BEGIN
	SELECT x.*, d.tz INTO a FROM dist.credit_account x CROSS JOIN LATERAL distsync_internal.credit_day(x.customer_id, x.company_id, credit_tell_limits.at) d WHERE x.account_id = credit_tell_limits.account_id;
	by_two := a.limit_approval = 'second_person' AND ctx ->> 'source' = 'distsync';
	ends := by_two AND (doc ->> 'limit_approval') IS NOT DISTINCT FROM 'none';
	IF by_two AND NOT proposed ?| '{limit,limits}' AND NOT ends AND NOT fresh THEN
		RETURN false;
	END IF;
	BEGIN
		changed := distsync_internal.credit_write_limits(a.account_id, CASE WHEN by_two THEN distsync_internal.credit_unsigned(doc) ELSE doc END, a.tz, credit_tell_limits.at, CASE WHEN by_two THEN distsync_internal.credit_person() ELSE ctx ->> 'source' END);
		IF NOT by_two OR NOT ends AND NOT distsync_internal.credit_raised(a.account_id, before, distsync_internal.credit_limits_supposed(a.account_id), credit_tell_limits.at) THEN
			IF changed THEN
				PERFORM distsync_internal.credit_propose_end(a.account_id, 'replaced', NULL, NULL);
			END IF;
			RETURN changed;
		END IF;
		RAISE EXCEPTION USING ERRCODE = 'SD045', MESSAGE = 'a limit that waits for approval changes nothing', DETAIL = 'Field: limit. What was written is put back.', HINT = 'Let somebody else approve it, with distsync.approve_limit().';
	EXCEPTION WHEN SQLSTATE 'SD045' THEN
		NULL;
	END;
	IF fresh THEN
		INSERT INTO dist.credit_limit (account_id, amount, valid, approved_by, reason) VALUES (a.account_id, 0, tstzrange(NULL, NULL), 'distsync', 'until a limit is approved');
	END IF;
	IF proposed - 'reason' = (SELECT p.document - 'reason' FROM dist.limit_proposal p WHERE p.account_id = a.account_id AND p.state = 'open') THEN
		RETURN fresh;
	END IF;
	PERFORM distsync_internal.credit_propose_end(a.account_id, 'replaced', NULL, NULL);
	INSERT INTO dist.limit_proposal (account_id, document, proposed_by) VALUES (a.account_id, proposed, distsync_internal.credit_person());
	PERFORM distsync_internal.base_exception('limit_unapproved', a.code, 'credit', 'warning', (SELECT c.code FROM dist.company c WHERE c.company_id = a.company_id), 'credit_account', a.code,
		jsonb_build_object('proposed', proposed, 'proposed_by', distsync_internal.credit_person(), 'limits', distsync_internal.credit_limits_of(a.account_id)), correlation_id => (ctx ->> 'correlation_id')::uuid);
	RETURN true;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_tell_limits(bigint, jsonb, timestamptz, boolean, jsonb) IS
	'Writes the limits of a credit_account document, or where they are raised by people on an account of limit_approval second_person keeps them as a proposal and opens limit_unapproved; an account that is new then has no credit until it is approved. Tells whether anything changed. The caller holds the account''s lock.';

-- credit_unsigned does the taking out of who approved: where it takes two, that is not for a document to say.
CREATE FUNCTION distsync_internal.credit_unsigned(doc jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT (doc - 'approved_by') || CASE WHEN jsonb_typeof(doc -> 'limits') = 'array' THEN jsonb_build_object('limits', (SELECT COALESCE(jsonb_agg(l - 'approved_by' ORDER BY n), '[]') FROM jsonb_array_elements(doc -> 'limits') WITH ORDINALITY x(l, n))) ELSE '{}' END
$$;
COMMENT ON FUNCTION distsync_internal.credit_unsigned(jsonb) IS 'A credit_account document without approved_by, its own and those of its limits.';

-- credit_propose_end does the ending of a proposal.
CREATE FUNCTION distsync_internal.credit_propose_end(account_id bigint, state text, decided_by text, reason text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	UPDATE dist.limit_proposal p SET state = credit_propose_end.state, decided_by = credit_propose_end.decided_by, decided_at = clock_timestamp(), reason = credit_propose_end.reason
	WHERE p.account_id = credit_propose_end.account_id AND p.state = 'open';
	IF FOUND THEN
		PERFORM distsync_internal.base_exception_close('limit_unapproved', a.code, credit_propose_end.state) FROM dist.credit_account a WHERE a.account_id = credit_propose_end.account_id;
	END IF;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_propose_end(bigint, text, text, text) IS 'Ends the open proposal of an account as approved, rejected or replaced, and its exception. Tells whether there was one. The caller holds the account''s lock.';

-- approve_limit does the approval, or the rejection, of what somebody else has proposed.
CREATE FUNCTION distsync.approve_limit(account text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('account', account, 'options', CASE WHEN jsonb_typeof(options) = 'object' THEN options - 'idempotency_key' ELSE options END);
	answer jsonb := distsync_internal.base_answered('distsync', 'approve_limit', options ->> 'idempotency_key', request);
	person text := distsync_internal.credit_person();
	at timestamptz;
	a record;
	p record;
	before jsonb;
	goes_to text;
	released integer := 0;
BEGIN
	IF answer IS NOT NULL THEN
		RETURN answer;
	END IF;
	options := distsync_internal.base_options(options, '{reject:boolean,reason:text,idempotency_key:text:1:255}');
	goes_to := CASE WHEN (options ->> 'reject')::boolean THEN 'rejected' ELSE 'approved' END;
	SELECT x.account_id, x.code, x.customer_id, x.company_id INTO a FROM dist.credit_account x WHERE x.code = distsync_internal.base_required('account', account);
	IF NOT FOUND THEN
		PERFORM distsync_internal.credit_command_refuse('SD001', 'account', format('unknown credit account "%s"', left(account, 255)), '', 'Name the account by its code.');
	END IF;
	PERFORM distsync_internal.credit_lock_tree(ARRAY[a.account_id]);
	SELECT * INTO p FROM dist.limit_proposal x WHERE x.account_id = a.account_id AND x.state = 'open';
	IF NOT FOUND THEN
		PERFORM distsync_internal.credit_command_refuse('SD066', 'account', format('no limit of account "%s" waits for approval', a.code), '', 'It was decided or replaced before: look at its limits in explain_credit().');
	ELSIF goes_to = 'approved' AND person = p.proposed_by THEN
		PERFORM distsync_internal.credit_command_refuse('SD066', 'account', format('"%s" has proposed it and can not approve it', person), '', 'Let somebody else approve it, or reject it yourself.');
	END IF;
	before := distsync_internal.credit_limits_of(a.account_id);
	PERFORM distsync_internal.credit_propose_end(a.account_id, goes_to, person, options ->> 'reason');
	IF goes_to = 'approved' THEN
		at := clock_timestamp();
		PERFORM distsync_internal.credit_write_limits(a.account_id, distsync_internal.credit_unsigned(p.document), (SELECT d.tz FROM distsync_internal.credit_day(a.customer_id, a.company_id, at) d), at, person);
		UPDATE dist.credit_account x SET version = x.version + 1, limit_approval = COALESCE(p.document ->> 'limit_approval', x.limit_approval), due_at = least(x.due_at, (SELECT l.changes_at FROM distsync_internal.credit_limit_at(a.account_id, at) l))
		WHERE x.account_id = a.account_id;
		released := distsync_internal.credit_settle(ARRAY[a.account_id], 'approve_limit', '{}');
	END IF;
	answer := jsonb_build_object('account', a.code, 'state', goes_to, 'proposed_by', p.proposed_by, 'limits', distsync_internal.credit_limits_of(a.account_id), 'released_orders', released);
	PERFORM distsync_internal.base_audit('approve_limit', 'credit_account', a.code, jsonb_build_object('limits', before, 'proposed', p.document, 'proposed_by', p.proposed_by), answer - 'account', options ->> 'reason');
	PERFORM distsync_internal.base_answer('distsync', 'approve_limit', options ->> 'idempotency_key', request, answer);
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync.approve_limit(text, jsonb) IS
	'Approves the limits that somebody else has proposed for an account of limit_approval second_person (apply(''credit_account'', …) by people): they count from now on, and what waits and fits then goes on in the same transaction. Options: reject (ends the proposal instead, also by who made it), reason, idempotency_key. Who acts is the setting distsync.app_user, else the session''s role. Returns {account, state approved | rejected, proposed_by, limits, released_orders}. Errors: SD001 unknown account, SD005, SD010 key with another request, SD066 nothing waits for approval, or who proposed it would approve it.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('approve_limit', '{operator,admin}');
