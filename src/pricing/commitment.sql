-- Agreed volumes: how much of an agreement is used, by which line of which document, and what its owner told. The row of dist.commitment
-- is the lock of a volume: who takes or gives back holds it until he commits, so that nobody gets what somebody else just took.

-- pricing_commitment_lock does the locking of volumes, one after the other by id; a volume that nobody used yet gets its row here.
CREATE FUNCTION distsync_internal.pricing_commitment_lock(agreements bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a bigint;
BEGIN
	FOR a IN SELECT DISTINCT u.id FROM unnest(agreements) u(id) WHERE u.id IS NOT NULL ORDER BY u.id LOOP
		PERFORM FROM dist.commitment c WHERE c.agreement_id = a FOR NO KEY UPDATE;
		IF NOT FOUND THEN
			INSERT INTO dist.commitment (agreement_id) VALUES (a) ON CONFLICT DO NOTHING;
			PERFORM FROM dist.commitment c WHERE c.agreement_id = a FOR NO KEY UPDATE;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_commitment_lock(bigint[]) IS
	'Locks the volumes of agreements in the order of their ids, until the end of the transaction. Locks, always: credit accounts, order rows, volumes, demands, stock pools; a call locks all its volumes at once.';

-- pricing_commitment_of does the telling of which volumes documents use.
CREATE FUNCTION distsync_internal.pricing_commitment_of(documents text[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ARRAY(SELECT DISTINCT u.agreement_id FROM dist.commitment_use u WHERE u.document_key = ANY (documents));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_commitment_of(text[]) IS 'Agreements whose volume these documents use, or used and gave back.';

-- pricing_commitment_rate does the look-up of what one unit of a currency is in an agreement's; no rate is no answer, not an error: a fact is not refused for it.
CREATE FUNCTION distsync_internal.pricing_commitment_rate(from_currency text, to_currency text, at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
BEGIN
	IF from_currency = to_currency THEN
		RETURN 1;
	END IF;
	SELECT * INTO f FROM distsync_internal.master_rate(from_currency, to_currency, at);
	RETURN round(f.multiply / f.divide, 16);
EXCEPTION WHEN SQLSTATE 'SD003' THEN
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_commitment_rate(text, text, timestamptz) IS 'One unit of a currency in another at the spot rate of an instant, 16 decimals; NULL = there is no rate.';

-- pricing_commitment_set does the setting of what lines of documents use: the counter moves by the difference to what they used before,
-- so that saying the same again counts nothing. What was placed before the owner told his numbers is in them.
CREATE FUNCTION distsync_internal.pricing_commitment_set(uses jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.pricing_commitment_lock(ARRAY(SELECT (u ->> 'agreement_id')::bigint FROM jsonb_array_elements(uses) u));
	WITH told AS (
		SELECT t.agreement_id, t.document_key, t.line_no, COALESCE(w.rate, t.rate, 1) AS rate, t.quantity, round(t.amount * COALESCE(w.rate, t.rate, 1), 4) AS amount, COALESCE(w.used_at, t.used_at) AS used_at,
			t.quantity - COALESCE(w.quantity, 0) AS more_quantity, round(t.amount * COALESCE(w.rate, t.rate, 1), 4) - COALESCE(w.amount, 0) AS more_amount
		FROM jsonb_to_recordset(uses) t(agreement_id bigint, document_key text, line_no integer, rate numeric, quantity numeric, amount numeric, used_at timestamptz)
		LEFT JOIN dist.commitment_use w ON w.agreement_id = t.agreement_id AND w.document_key = t.document_key AND w.line_no = t.line_no
	), written AS (
		INSERT INTO dist.commitment_use AS u (agreement_id, document_key, line_no, rate, quantity, amount, used_at)
		SELECT t.agreement_id, t.document_key, t.line_no, t.rate, t.quantity, t.amount, t.used_at FROM told t WHERE t.more_quantity <> 0 OR t.more_amount <> 0
		ON CONFLICT ON CONSTRAINT commitment_use_pk DO UPDATE SET quantity = excluded.quantity, amount = excluded.amount
	)
	UPDATE dist.commitment c SET quantity = c.quantity + d.quantity, amount = c.amount + d.amount
	FROM (SELECT t.agreement_id, sum(t.more_quantity) AS quantity, sum(t.more_amount) AS amount FROM told t JOIN dist.commitment x ON x.agreement_id = t.agreement_id
		WHERE (t.more_quantity <> 0 OR t.more_amount <> 0) AND (x.told_at IS NULL OR t.used_at > x.told_at) GROUP BY 1) d
	WHERE c.agreement_id = d.agreement_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_commitment_set(jsonb) IS
	'Sets what lines of documents use of agreed volumes: uses [{agreement_id, document_key, line_no, quantity in base units, amount in the document''s currency, rate (one unit of it in the agreement''s currency), used_at}]; rate and used_at count when a line first uses a volume. Once for each agreement and line: the same again changes nothing.';

-- pricing_commitment_drop does the end of uses: the line has another price and uses the volume no more.
CREATE FUNCTION distsync_internal.pricing_commitment_drop(uses jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.pricing_commitment_set((SELECT jsonb_agg(u || '{"quantity":0,"amount":0}') FROM jsonb_array_elements(uses) u));
	DELETE FROM dist.commitment_use w USING jsonb_to_recordset(uses) u(agreement_id bigint, document_key text, line_no integer)
	WHERE w.agreement_id = u.agreement_id AND w.document_key = u.document_key AND w.line_no = u.line_no;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_commitment_drop(jsonb) IS 'Gives back what lines of documents use of agreed volumes, and forgets that they did: uses [{agreement_id, document_key, line_no}]. The caller holds the locks of the volumes.';

-- pricing_commitment_watch does the opening and closing of exceptions about volumes that are exceeded.
CREATE FUNCTION distsync_internal.pricing_commitment_watch(agreements bigint[], at timestamptz, opens boolean, context jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c record;
BEGIN
	FOR c IN
		SELECT a.code, a.currency, k.code AS company, x.quantity, x.amount, v.commit_quantity, v.commit_amount, x.quantity > v.commit_quantity IS TRUE OR x.amount > v.commit_amount IS TRUE AS over
		FROM dist.commitment x JOIN dist.agreement a ON a.agreement_id = x.agreement_id LEFT JOIN dist.company k ON k.company_id = a.company_id
		LEFT JOIN dist.agreement_version v ON v.agreement_id = a.agreement_id AND v.status = 'published' AND upper_inf(v.known) AND v.valid @> pricing_commitment_watch.at
		WHERE x.agreement_id = ANY (agreements) ORDER BY a.code COLLATE "C"
	LOOP
		IF c.over AND opens THEN
			PERFORM distsync_internal.base_exception('over_commitment', c.code, 'price', 'warning', c.company, 'agreement', c.code,
				context || jsonb_strip_nulls(jsonb_build_object('used_quantity', c.quantity, 'commit_quantity', c.commit_quantity, 'used_amount', c.amount, 'commit_amount', c.commit_amount)),
				c.quantity - c.commit_quantity, greatest(c.amount - c.commit_amount, 0), c.currency, (context ->> 'correlation_id')::uuid);
		ELSIF NOT c.over THEN
			PERFORM distsync_internal.base_exception_close('over_commitment', c.code, 'within its volume again');
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_commitment_watch(bigint[], timestamptz, boolean, jsonb) IS
	'Closes over_commitment of agreements that are within the volume of the version that holds at an instant; where opens is true (a fact was counted) it opens it for those that are beyond.';

-- pricing_verify_commitments does the check that the counters are the sum of what documents use.
CREATE FUNCTION distsync_internal.pricing_verify_commitments() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'price.commitment', 'agreement', a.code, jsonb_build_object('quantity', COALESCE(c.quantity, 0), 'amount', COALESCE(c.amount, 0), 'told', c.told_at, 'uses_quantity', COALESCE(u.quantity, 0), 'uses_amount', COALESCE(u.amount, 0))
	FROM (
		SELECT x.agreement_id, sum(x.quantity) FILTER (WHERE k.told_at IS NULL OR x.used_at > k.told_at) AS quantity, sum(x.amount) FILTER (WHERE k.told_at IS NULL OR x.used_at > k.told_at) AS amount
		FROM dist.commitment_use x LEFT JOIN dist.commitment k ON k.agreement_id = x.agreement_id GROUP BY 1) u
	FULL JOIN dist.commitment c ON c.agreement_id = u.agreement_id
	JOIN dist.agreement a ON a.agreement_id = COALESCE(c.agreement_id, u.agreement_id)
	WHERE (c.quantity, c.amount) IS DISTINCT FROM (c.told_quantity + COALESCE(u.quantity, 0), c.told_amount + COALESCE(u.amount, 0))
$$;
COMMENT ON FUNCTION distsync_internal.pricing_verify_commitments() IS 'Agreements whose used volume is not what their owner told and what lines of documents use since then. No row = all are.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('verify', 'price_commitments', 101, 'distsync_internal.pricing_verify_commitments');
