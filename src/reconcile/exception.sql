-- Exceptions, for people: list them, take note of one, end one.

-- exceptions does the listing, the costliest first, so that the first page is the work of the day.
CREATE FUNCTION distsync.exceptions(options jsonb DEFAULT '{}')
RETURNS TABLE (exception_id bigint, kind text, trace_key text, domain text, severity text, company text, entity text, entity_key text, state text,
	delta numeric, money_at_risk numeric, currency text, first_seen_at timestamptz, last_seen_at timestamptz, seen bigint, resolved_at timestamptz, resolved_by text, resolution text, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o jsonb := distsync_internal.base_options(options, '{state:text,kind:text,domain:text,severity:text,company:text,entity:text,entity_key:text,trace_key:text,since:instant,limit}');
	states text[];
BEGIN
	states := CASE COALESCE(o ->> 'state', 'live') WHEN 'live' THEN ARRAY['open', 'acknowledged'] WHEN 'all' THEN ARRAY['open', 'acknowledged', 'resolved', 'auto_resolved', 'suppressed']
		ELSE ARRAY[o ->> 'state'] END;
	IF NOT states <@ ARRAY['open', 'acknowledged', 'resolved', 'auto_resolved', 'suppressed'] OR COALESCE(o ->> 'limit', '100') !~ '^[1-9][0-9]{0,8}$' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'exceptions() was asked for a state or a limit that does not exist',
			DETAIL = format('Field: options. state: %s, limit: %s.', o -> 'state', o -> 'limit'),
			HINT = 'States are live (open or acknowledged), open, acknowledged, resolved, auto_resolved, suppressed and all; a limit is a number from 1 on.';
	END IF;
	RETURN QUERY
	SELECT e.exception_id, e.kind, e.trace_key, e.domain, e.severity, e.company, e.entity, e.entity_key, e.state,
		e.delta, e.money_at_risk, e.currency, e.first_seen_at, e.last_seen_at, e.seen, e.resolved_at, e.resolved_by, e.resolution, e.details
	FROM sync.exception e
	WHERE e.state = ANY (states)
		AND (o ->> 'kind' IS NULL OR e.kind = o ->> 'kind') AND (o ->> 'domain' IS NULL OR e.domain = o ->> 'domain') AND (o ->> 'severity' IS NULL OR e.severity = o ->> 'severity')
		AND (o ->> 'company' IS NULL OR e.company = o ->> 'company') AND (o ->> 'entity' IS NULL OR e.entity = o ->> 'entity') AND (o ->> 'entity_key' IS NULL OR e.entity_key = o ->> 'entity_key')
		AND (o ->> 'trace_key' IS NULL OR e.trace_key = o ->> 'trace_key') AND (o ->> 'since' IS NULL OR e.last_seen_at >= (o ->> 'since')::timestamptz)
	ORDER BY array_position(ARRAY['error', 'warning', 'info'], e.severity), e.money_at_risk DESC NULLS LAST, e.first_seen_at, e.exception_id
	LIMIT COALESCE((o ->> 'limit')::integer, 100);
END
$$;
COMMENT ON FUNCTION distsync.exceptions(jsonb) IS
	'Business exceptions: severest first, then by money at risk. Options: state (live by default: open or acknowledged; or one of open, acknowledged, resolved, auto_resolved, suppressed; or all), kind, domain, severity, company, entity, entity_key, trace_key, since (last seen), limit (100). Errors: SD002 option.';

-- resolve_exception does what people decide about one: taken note of, ended, or to be kept silent. Asked again for the same, it says the same.
CREATE FUNCTION distsync.resolve_exception(exception_id bigint, resolution text, reason text, options jsonb DEFAULT '{}')
RETURNS TABLE (kind text, trace_key text, state text, resolved_at timestamptz, resolved_by text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	e sync.exception%ROWTYPE;
	was text;
	who text := COALESCE(nullif(current_setting('distsync.app_user', true), ''), session_user);
BEGIN
	options := distsync_internal.base_options(options, '{}');
	IF resolution IS NULL OR resolution NOT IN ('acknowledged', 'resolved', 'suppressed') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('resolution "%s" does not exist', resolution),
			DETAIL = 'Field: resolution.', HINT = 'Use acknowledged (somebody is at it), resolved (it is done) or suppressed (keep silent while the same is found again).';
	END IF;
	IF COALESCE(btrim(reason), '') = '' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'resolve_exception() needs a reason', DETAIL = 'Field: reason.', HINT = 'Say in a few words what was found or done; it is kept with the exception and in sync.audit.';
	END IF;
	SELECT * INTO e FROM sync.exception x WHERE x.exception_id = resolve_exception.exception_id FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('exception %s is not known', resolve_exception.exception_id), DETAIL = 'Field: exception_id.', HINT = 'distsync.exceptions() lists those that are open.';
	END IF;
	IF e.state <> resolution THEN
		IF e.state NOT IN ('open', 'acknowledged') THEN
			RAISE EXCEPTION USING ERRCODE = 'SD090', MESSAGE = format('exception %s has ended: it is %s', e.exception_id, e.state),
				DETAIL = format('Field: exception_id. Ended %s by %s: %s.', e.resolved_at, e.resolved_by, e.resolution), HINT = 'Should the cause come back, a new exception opens.';
		END IF;
		was := e.state;
		UPDATE sync.exception x SET state = resolve_exception.resolution, resolution = reason,
			resolved_at = CASE WHEN resolve_exception.resolution <> 'acknowledged' THEN clock_timestamp() END, resolved_by = who
		WHERE x.exception_id = e.exception_id RETURNING * INTO e;
		PERFORM distsync_internal.base_audit('resolve_exception', 'exception', e.exception_id::text, jsonb_build_object('state', was), jsonb_build_object('state', e.state), reason, e.correlation_id);
		PERFORM distsync_internal.base_emit('customer', 0, CASE WHEN e.state = 'acknowledged' THEN 'exception.acknowledged' ELSE 'exception.closed' END, 'exception', e.exception_id::text,
			jsonb_build_object('exception', e.exception_id, 'kind', e.kind, 'trace_key', e.trace_key, 'state', e.state, 'by', who, 'resolution', reason), e.correlation_id);
	END IF;
	RETURN QUERY SELECT e.kind, e.trace_key, e.state, e.resolved_at, e.resolved_by;
END
$$;
COMMENT ON FUNCTION distsync.resolve_exception(bigint, text, text, jsonb) IS
	'Moves an exception: resolution acknowledged | resolved | suppressed, with a reason; audited, told as exception.acknowledged or exception.closed. Repeating a call changes nothing, so it needs no idempotency key. options: none yet. One row: the exception as it is. Errors: SD001 not known, SD002 resolution, SD005 no reason, SD090 it has ended otherwise.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('exceptions', '{reader,order_entry,integrator,operator,admin}'), ('resolve_exception', '{operator,admin}');
