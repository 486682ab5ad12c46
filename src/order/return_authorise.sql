-- Authorising returns, and taking that back: commands, which may be refused. Of a line of an order never more may come back than has left.

-- order_return_shape does the check of the shape of the document of authorise_return().
CREATE FUNCTION distsync_internal.order_return_shape(document jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l record;
	field text;
BEGIN
	IF jsonb_typeof(document) IS DISTINCT FROM 'object' THEN
		PERFORM distsync_internal.order_refuse('SD005', 'document', 'a return must be an object', 'Send {"company": …, "order_number": …, "lines": […]}.');
	ELSIF document ->> 'company' IS NULL OR document ->> 'order_number' IS NULL THEN
		field := CASE WHEN document ->> 'company' IS NULL THEN 'company' ELSE 'order_number' END;
		PERFORM distsync_internal.order_refuse('SD005', field, format('a return needs %s', CASE field WHEN 'company' THEN 'a company' ELSE 'an order' END), 'Name the order whose goods come back; what comes without one is a fact: send it through apply().');
	ELSIF document ? 'return_number' AND (COALESCE(length(document ->> 'return_number'), 0) NOT BETWEEN 1 AND 200 OR document ->> 'return_number' LIKE '%/%') THEN
		PERFORM distsync_internal.order_refuse('SD005', 'return_number', 'a return number has 1 to 200 characters and no slash', 'Give another number, or leave it out.');
	ELSIF jsonb_typeof(document -> 'lines') IS DISTINCT FROM 'array' OR jsonb_array_length(document -> 'lines') NOT BETWEEN 1 AND 10000 THEN
		PERFORM distsync_internal.order_refuse('SD005', 'lines', 'a return needs 1 to 10,000 lines', 'Send lines as an array of objects.');
	ELSIF jsonb_typeof(COALESCE(document -> 'moves_stock', 'true')) <> 'boolean' THEN
		PERFORM distsync_internal.order_refuse('SD002', 'moves_stock', format('moves_stock can not be %s', left(document ->> 'moves_stock', 80)), 'Send true or false.');
	END IF;
	SELECT string_agg(k, ', ' ORDER BY k COLLATE "C") INTO field FROM jsonb_object_keys(document) k WHERE k <> ALL ('{schema,company,return_number,order_number,site,reason,expires_at,moves_stock,source,lines,ext}');
	IF field IS NOT NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', split_part(field, ', ', 1), format('unknown field %s', left(field, 80)), 'Leave it out, or put it into ext.');
	END IF;
	FOR l IN SELECT x.value AS line, format('lines[%s]', x.place - 1) AS field FROM jsonb_array_elements(document -> 'lines') WITH ORDINALITY x(value, place) LOOP
		IF jsonb_typeof(l.line) <> 'object' THEN
			PERFORM distsync_internal.order_refuse('SD005', l.field, 'a line must be an object', 'Send {"order_line": 1, "quantity": 1}.');
		ELSIF distsync_internal.order_number_in(l.line, 'order_line', l.field || '.order_line', 0, 'positive') > 2147483647 THEN
			PERFORM distsync_internal.order_refuse('SD002', l.field || '.order_line', format('%s is too large', l.line ->> 'order_line'), 'Send the number of a line of the order.');
		ELSIF distsync_internal.order_number_in(l.line, 'quantity', l.field || '.quantity', 6, 'positive') IS NULL THEN
			PERFORM distsync_internal.order_refuse('SD005', l.field || '.quantity', 'a line needs a quantity', 'Say how much may come back.');
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_shape(jsonb) IS 'Checks the shape of the document of authorise_return(). Errors: SD002, SD005 naming the field.';

-- order_return_write does the storing of a new return.
CREATE FUNCTION distsync_internal.order_return_write(d jsonb, ctx jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint := nextval('dist.customer_return_return_id_seq');
BEGIN
	INSERT INTO dist.customer_return (customer_id, return_id, company_id, return_number, source, order_id, payer_id, site_id, currency, reason, authorised_by, expires_at, moves_stock, backfill, correlation_id, ext)
	VALUES ((d ->> 'customer_id')::bigint, id, (d ->> 'company_id')::bigint, COALESCE(d -> 'doc' ->> 'return_number', 'R' || id), ctx ->> 'source', (d ->> 'order_id')::bigint, (d ->> 'payer_id')::bigint, (d ->> 'site_id')::bigint,
		d ->> 'currency', COALESCE(d -> 'doc' ->> 'reason', ''), ctx ->> 'by', (d ->> 'expires_at')::timestamptz, COALESCE((d -> 'doc' ->> 'moves_stock')::boolean, true), COALESCE((ctx ->> 'backfill')::boolean, false),
		COALESCE((d ->> 'correlation_id')::uuid, (ctx ->> 'correlation_id')::uuid, gen_random_uuid()), COALESCE(d -> 'doc' -> 'ext', '{}'))
	ON CONFLICT ON CONSTRAINT customer_return_number_uq DO NOTHING;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_write(jsonb, jsonb) IS 'Stores a read return without its lines; ctx: source, by (who allows it), backfill, correlation_id. Returns its id, NULL where its number is taken.';

-- order_return_add_line does the storing of a new line.
CREATE FUNCTION distsync_internal.order_return_add_line(customer_id bigint, return_id bigint, order_id bigint, l jsonb, quantity numeric) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	n integer;
BEGIN
	INSERT INTO dist.return_line (customer_id, return_id, line_no, order_id, order_line_no, item_id, components, reason, authorised, claimed)
	SELECT order_return_add_line.customer_id, order_return_add_line.return_id, COALESCE(max(x.line_no), 0) + 1, CASE WHEN l ->> 'order_line' IS NOT NULL THEN order_return_add_line.order_id END, (l ->> 'order_line')::integer, (l ->> 'item_id')::bigint,
		NULLIF(l -> 'components', 'null'), COALESCE(l -> 'doc' ->> 'reason', ''), order_return_add_line.quantity, order_return_add_line.quantity
	FROM dist.return_line x WHERE x.customer_id = order_return_add_line.customer_id AND x.return_id = order_return_add_line.return_id
	RETURNING line_no INTO n;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_add_line(bigint, bigint, bigint, jsonb, numeric) IS 'Adds a line, as order_return_lines() reads it, to a return; quantity may come back, base units. Returns its number.';

-- order_return_within does the time for which an authority lasts that says none.
CREATE FUNCTION distsync_internal.order_return_within(customer_id bigint, order_id bigint) RETURNS interval
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN COALESCE((SELECT (o.policy ->> 'return_within')::interval FROM dist.sales_order o WHERE o.customer_id = order_return_within.customer_id AND o.order_id = order_return_within.order_id
		AND NOT EXISTS (SELECT FROM distsync_internal.master_policy_faults(jsonb_build_object('return_within', o.policy -> 'return_within'), true))), '30 days');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_within(bigint, bigint) IS 'How long goods of an order may come back after they are allowed to: its policy return_within, 30 days where it says nothing of use.';

-- authorise_return does the allowing of goods to come back.
CREATE FUNCTION distsync.authorise_return(document jsonb, idempotency_key text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source text;
	key_source text;
	answer jsonb;
	d jsonb;
	l jsonb;
	fault text[];
	free numeric;
	id bigint;
	customer bigint;
BEGIN
	PERFORM distsync_internal.order_scope_return(document);
	source := distsync_internal.order_source(document, true);
	key_source := distsync_internal.order_key_source(source, document ->> 'order_number');
	answer := distsync_internal.base_answered(key_source, 'authorise_return', idempotency_key, document);
	IF answer IS NOT NULL THEN
		RETURN distsync_internal.order_scope_returned(answer);
	END IF;
	PERFORM distsync_internal.order_return_shape(document);
	d := distsync_internal.order_return_read(jsonb_build_object('doc', document, 'company_id', distsync_internal.master_company(document ->> 'company', 'company')), source);
	IF d ->> 'order_id' IS NULL THEN
		PERFORM distsync_internal.order_refuse('SD001', 'order_number', format('unknown order "%s"', document ->> 'order_number'), 'Name an order that we know; what comes back without one is a fact: send it through apply().');
	END IF;
	IF d ->> 'return_id' IS NOT NULL THEN
		PERFORM distsync_internal.order_refuse('SD008', 'return_number', format('return "%s" exists', document ->> 'return_number'), 'Use another number, or repeat the call with its first idempotency key.');
	END IF;
	PERFORM distsync_internal.order_return_lock(ARRAY[(d ->> 'order_id')::bigint], '{}');
	-- under the lock: others may have sent back what was open
	d := distsync_internal.order_return_read(d, source);
	customer := (d ->> 'customer_id')::bigint;
	fault := distsync_internal.order_return_check(d);
	IF fault IS NOT NULL THEN
		PERFORM distsync_internal.order_refuse(fault[1], fault[2], fault[3], fault[4]);
	ELSIF (d ->> 'expires_at')::timestamptz <= clock_timestamp() THEN
		PERFORM distsync_internal.order_refuse('SD002', 'expires_at', format('"%s" is over', document ->> 'expires_at'), 'Send an instant to come, or leave it out.');
	END IF;
	id := distsync_internal.order_return_write(d || jsonb_build_object('expires_at', COALESCE((d ->> 'expires_at')::timestamptz, clock_timestamp() + distsync_internal.order_return_within(customer, (d ->> 'order_id')::bigint))), jsonb_build_object('source', source, 'by', session_user));
	IF id IS NULL THEN
		PERFORM distsync_internal.order_refuse('SD008', 'return_number', format('return "%s" exists', document ->> 'return_number'), 'Use another number, or repeat the call with its first idempotency key.');
	END IF;
	FOR l IN SELECT x FROM jsonb_array_elements(d -> 'lines') x ORDER BY (x ->> 'place')::integer LOOP
		free := COALESCE(distsync_internal.order_return_open(customer, (d ->> 'order_id')::bigint, (l ->> 'order_line')::integer), 0);
		IF (l ->> 'quantity')::numeric > free THEN
			PERFORM distsync_internal.order_refuse('SD002', (l ->> 'at') || 'quantity', format('%s is more than the %s that may come back', trim_scale((l ->> 'quantity')::numeric), trim_scale(greatest(free, 0))),
				'Authorise at most what has shipped of the line and has not come back, in base units.', format('Line %s.', COALESCE(l ->> 'order_line', 'none')));
		END IF;
		PERFORM distsync_internal.order_return_add_line(customer, id, (d ->> 'order_id')::bigint, l, (l ->> 'quantity')::numeric);
	END LOOP;
	-- whoever decides by an older snapshot is told to begin again
	UPDATE dist.sales_order o SET version = o.version + 1 WHERE o.customer_id = customer AND o.order_id = (d ->> 'order_id')::bigint;
	PERFORM distsync_internal.order_return_emit(customer, id, 'return.authorised', '{}', jsonb_build_object('source', source));
	answer := distsync_internal.order_return_document(customer, id) - '{schema,source,version}'::text[] || jsonb_build_object('correlation_id', d -> 'correlation_id');
	PERFORM distsync_internal.base_audit('authorise_return', 'return', (document ->> 'company') || '/' || (answer ->> 'return_number'), NULL, answer, document ->> 'reason', (d ->> 'correlation_id')::uuid);
	PERFORM distsync_internal.base_answer(key_source, 'authorise_return', idempotency_key, document, answer);
	RETURN distsync_internal.order_scope_returned(answer);
END
$$;
COMMENT ON FUNCTION distsync.authorise_return(jsonb, text) IS
	'Allows goods of an order to come back: document {company, order_number, return_number (absent = ours), site (absent = where the line is served, or else left), reason, expires_at (absent = as policy return_within of the order says, 30 days), moves_stock (false: whoever keeps the stock tells these movements himself), source, ext, lines [{order_line or sku, quantity, unit, reason}]}. Never more of a line than has shipped and has not come back. Emits return.authorised. Returns the return with its lines, base units. A restricted caller names an order of his customers, and says neither number, site, end nor moves_stock. Errors: SD001, SD002 more than may come back, SD004, SD005, SD008 number taken, SD010, SD012 not for this caller to say, SD022.';

-- cancel_return does the taking back of an authority: what has come stays.
CREATE FUNCTION distsync.cancel_return(return_number text, reason text, idempotency_key text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('return_number', return_number, 'reason', reason, 'options', options);
	source text;
	key_source text;
	answer jsonb;
	f record;
	r record;
BEGIN
	PERFORM distsync_internal.order_scope_return_number(return_number, options);
	source := distsync_internal.order_source(options, true);
	key_source := distsync_internal.order_key_source(source, return_number);
	answer := distsync_internal.base_answered(key_source, 'cancel_return', idempotency_key, request);
	IF answer IS NOT NULL THEN
		RETURN answer;
	END IF;
	SELECT * INTO f FROM distsync_internal.order_return_find(cancel_return.return_number, options, '{source:text}');
	PERFORM distsync_internal.order_return_lock(ARRAY[f.order_id], ARRAY[f.return_id]);
	SELECT x.* INTO r FROM dist.customer_return x WHERE x.customer_id = f.customer_id AND x.return_id = f.return_id;
	IF NOT r.awaits OR NOT EXISTS (SELECT FROM dist.return_line l WHERE l.customer_id = f.customer_id AND l.return_id = f.return_id AND l.authorised > l.received) THEN
		PERFORM distsync_internal.order_return_refuse_state(r.return_number, r.state, 'nothing of it may come any more', 'What has come is inspected: restocked, scrapped or refused.');
	END IF;
	UPDATE dist.customer_return x SET awaits = false WHERE x.customer_id = f.customer_id AND x.return_id = f.return_id;
	PERFORM distsync_internal.order_return_advance(f.customer_id, f.return_id, 'cancelled');
	PERFORM distsync_internal.order_return_tell(f.customer_id, f.return_id, 'return.cancelled', jsonb_build_object('cancel_reason', cancel_return.reason), r.state, jsonb_build_object('source', source));
	answer := (SELECT jsonb_build_object('return_number', x.return_number, 'state', x.state, 'correlation_id', x.correlation_id) FROM dist.customer_return x WHERE x.customer_id = f.customer_id AND x.return_id = f.return_id);
	PERFORM distsync_internal.base_audit('cancel_return', 'return', f.company || '/' || r.return_number, jsonb_build_object('state', r.state), answer, cancel_return.reason, r.correlation_id);
	PERFORM distsync_internal.base_answer(key_source, 'cancel_return', idempotency_key, request, answer);
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync.cancel_return(text, text, text, jsonb) IS
	'Ends the authority of a return: what has not come may not come any more, and may be authorised anew; what has come stays to be inspected. Emits return.cancelled. Options: company, source. Returns {return_number, state, correlation_id}. Errors: SD001, SD002, SD005, SD010, SD022, SD075 nothing is left to come.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('authorise_return', '{order_entry,integrator,operator,admin,portal}'), ('cancel_return', '{order_entry,integrator,operator,admin,portal}');
