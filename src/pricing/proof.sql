-- Proofs: what decided a call as a document, the hash of its bytes, and the proof of it again later.

-- pricing_prices_proved does prices() for another room, with the proof of the call.
CREATE FUNCTION distsync_internal.pricing_prices_proved(customer_id bigint, lines jsonb, at timestamptz, options jsonb) RETURNS jsonb
AS 'MODULE_PATHNAME', 'ds_sql_pricing_proved' LANGUAGE c STABLE PARALLEL SAFE;
COMMENT ON FUNCTION distsync_internal.pricing_prices_proved(bigint, jsonb, timestamptz, jsonb) IS
	'{"lines": the rows of pricing_prices() as objects, "proof", "document": as prove_prices()} of one call; arguments, options and errors as in pricing_prices().';

-- prove_prices does the same decision as prices() and proves it.
CREATE FUNCTION distsync.prove_prices(customer text, lines jsonb, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
AS 'MODULE_PATHNAME', 'ds_sql_pricing_prove' LANGUAGE c STABLE PARALLEL SAFE;
COMMENT ON FUNCTION distsync.prove_prices(text, jsonb, timestamptz, jsonb) IS
	'Proof of a call of prices(): {"proof": SHA-256 as hex, "document": everything that decided it}. The document says the request in codes with its known_at, the policy and its hash, what was looked at and has no history, and of each line the numbers and the steps with the hash of the rates they come from; proof = sha256(convert_to(document::text, ''UTF8'')). Keep both and verify_proof() says later whether the same bytes come out. Internal: shows cost and floor. Arguments, options and errors as in prices().';

-- pricing_keep_proof does the storing of a proof under its customer.
CREATE FUNCTION distsync_internal.pricing_keep_proof(customer_id bigint, proof text, document jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- who stores the same one without a statement waits for us, and we for him
	PERFORM pg_advisory_xact_lock(hashtext('distsync.proof'), hashtext(proof));
	INSERT INTO dist.price_proof AS t (customer_id, proof_sha256, document, stored_at)
	SELECT pricing_keep_proof.customer_id, decode(proof, 'hex'), pricing_keep_proof.document::text::json, clock_timestamp() WHERE proof IS NOT NULL
	ON CONFLICT ON CONSTRAINT price_proof_pk DO UPDATE SET stored_at = excluded.stored_at;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_keep_proof(bigint, text, jsonb) IS 'Stores a proof with its document; one that is there is kept for longer. Without a proof it does nothing.';

-- pricing_differences does the comparison of two documents, down to single values.
CREATE FUNCTION distsync_internal.pricing_differences(was jsonb, now jsonb, place text) RETURNS TABLE (path text, value_was jsonb, value_now jsonb)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- numbers that are equal may still be other bytes: 5.0 and 5.00
	IF was::text = now::text THEN
		RETURN;
	ELSIF jsonb_typeof(was) = 'object' AND jsonb_typeof(now) = 'object' THEN
		RETURN QUERY SELECT d.* FROM (SELECT k FROM jsonb_object_keys(was) k UNION SELECT k FROM jsonb_object_keys(now) k) x,
			distsync_internal.pricing_differences(was -> x.k, now -> x.k, concat_ws('.', NULLIF(place, ''), x.k)) d ORDER BY x.k COLLATE "C";
	ELSIF jsonb_typeof(was) = 'array' AND jsonb_typeof(now) = 'array' THEN
		RETURN QUERY SELECT d.* FROM generate_series(0, greatest(jsonb_array_length(was), jsonb_array_length(now)) - 1) i,
			distsync_internal.pricing_differences(was -> i, now -> i, format('%s[%s]', place, i)) d ORDER BY i;
	ELSE
		RETURN QUERY SELECT place, was, now;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_differences(jsonb, jsonb, text) IS 'Where two documents differ: path (lines[0].unit_price), the value in the first and in the second; NULL where one has none.';

-- pricing_proof_refuse does the refusal of what is no proof.
CREATE FUNCTION distsync_internal.pricing_proof_refuse(code text, field text, message text, hint text, detail text DEFAULT '') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, COLUMN = field, DETAIL = rtrim(format('Field: %s. %s', field, detail)), HINT = hint;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_proof_refuse(text, text, text, text, text) IS 'Raises an error of class SD about a proof, with its field, message, hint and detail.';

-- pricing_proof_document does the finding of the document of a proof, given or stored, and the check that it is one.
CREATE FUNCTION distsync_internal.pricing_proof_document(customer text, proof text, document jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint := distsync_internal.pricing_find('party', customer, 'customer', NULL);
	kept jsonb := document;
BEGIN
	IF proof IS NULL OR proof !~* '^[0-9a-f]{64}$' THEN
		PERFORM distsync_internal.pricing_proof_refuse('SD002', 'proof', format('"%s" is not a proof', left(proof, 80)), 'Give the 64 hexadecimal digits that prove_prices(), explain_price() or order_status() told.');
	END IF;
	IF kept IS NULL THEN
		SELECT p.document::jsonb INTO kept FROM dist.price_proof p WHERE p.customer_id = id AND p.proof_sha256 = decode(proof, 'hex');
		IF NOT FOUND THEN
			PERFORM distsync_internal.pricing_proof_refuse('SD001', 'proof', format('proof "%s" of customer "%s" is not stored', lower(proof), customer),
				'Only orders store theirs, for distsync.price_proof_retention: give the document that was kept with the proof.');
		END IF;
	END IF;
	IF encode(sha256(convert_to(kept::text, 'UTF8')), 'hex') <> lower(proof) THEN
		PERFORM distsync_internal.pricing_proof_refuse('SD002', CASE WHEN document IS NULL THEN 'proof' ELSE 'document' END, 'the document does not have the hash of its proof',
			'It was changed after it was proved, or is that of another proof.', format('It has %s.', encode(sha256(convert_to(kept::text, 'UTF8')), 'hex')));
	END IF;
	IF kept ->> 'schema' IS DISTINCT FROM 'price_proof/1' OR jsonb_typeof(kept -> 'request') IS DISTINCT FROM 'object' THEN
		PERFORM distsync_internal.pricing_proof_refuse('SD005', 'document', 'the document is no price_proof/1', 'Give the document that prove_prices() answered, as it was.');
	END IF;
	IF document IS NOT NULL AND kept -> 'request' ->> 'customer' IS DISTINCT FROM (SELECT p.code FROM dist.party p WHERE p.party_id = id) THEN
		PERFORM distsync_internal.pricing_proof_refuse('SD002', 'customer', format('the document is not of customer "%s"', customer), 'Name the customer of its request.');
	END IF;
	RETURN kept;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_proof_document(text, text, jsonb) IS 'Document of a proof, the given or the stored one, checked against the hash. Errors as in verify_proof().';

-- verify_proof does the same call again, as it was known then, and compares the bytes.
CREATE FUNCTION distsync.verify_proof(customer text, proof text, document jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was jsonb := distsync_internal.pricing_proof_document(customer, proof, document);
	asked jsonb := was -> 'request';
	again jsonb;
	differences jsonb;
	inputs boolean;
	message text;
	field text;
BEGIN
	BEGIN
		again := distsync.prove_prices(asked ->> 'customer', asked -> 'lines', (asked ->> 'at')::timestamptz, asked - '{customer,lines,at}'::text[]);
		-- the inputs first: the rest may follow from them
		SELECT COALESCE(jsonb_agg(jsonb_build_object('path', d.path, 'was', d.value_was, 'now', d.value_now) ORDER BY d.input DESC, d.n), '[]'), COALESCE(bool_or(d.input), false) INTO differences, inputs
		FROM (SELECT x.*, x.ordinality AS n, x.path ~ '^(inputs|request|lines\[\d+\]\.inputs)\M' AS input FROM distsync_internal.pricing_differences(was, again -> 'document', '') WITH ORDINALITY x
			ORDER BY input DESC, n LIMIT 100) d;
	EXCEPTION WHEN SQLSTATE 'SD001' OR SQLSTATE 'SD003' OR SQLSTATE 'SD004' THEN
		-- a customer, item, unit or currency that was there then is not there now
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, field = PG_EXCEPTION_DETAIL;
		differences := jsonb_build_array(jsonb_build_object('path', 'request.' || COALESCE(substring(field FROM 'Field: (?:options\.)?([^ ]+)\.'), 'lines'), 'was', NULL, 'now', message));
		inputs := true;
	END;
	RETURN jsonb_build_object('outcome', CASE WHEN again ->> 'proof' = lower(proof) THEN 'verified' WHEN inputs THEN 'inputs_changed' ELSE 'differs' END, 'proof', lower(proof),
		'proof_now', again -> 'proof', 'at', asked -> 'at', 'known_at', asked -> 'known_at', 'policy_version', was -> 'policy' -> 'version', 'differences', differences);
END
$$;
COMMENT ON FUNCTION distsync.verify_proof(text, text, jsonb) IS
	'Decides a proved call again, as it was known then, and compares: {"outcome","proof","proof_now","at","known_at","policy_version","differences": at most 100 [{"path","was","now"}], inputs first}. outcome verified: the same bytes; inputs_changed: something that has no history (a unit, weight, price class, lock) is another one now, and the differences say which; differs: the same inputs lead elsewhere, so that the document or the books were changed by hand. document: what prove_prices() answered, else the one that an order stored. Errors: SD001 unknown customer or proof, SD002 no proof, a document with another hash or of another customer, SD005 a document of another shape.';

-- pricing_verify_proofs does the check of the stored ones.
CREATE FUNCTION distsync_internal.pricing_verify_proofs() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'price.proof', 'price_proof', encode(p.proof_sha256, 'hex'), jsonb_build_object('customer_id', p.customer_id, 'of_document', encode(sha256(convert_to(p.document::text, 'UTF8')), 'hex'), 'stored_at', p.stored_at)
	FROM dist.price_proof p WHERE p.proof_sha256 <> sha256(convert_to(p.document::text, 'UTF8'))
$$;
COMMENT ON FUNCTION distsync_internal.pricing_verify_proofs() IS 'Invariant of stored proofs: the document has the hash it is stored under. No row = all have.';

-- pricing_proof_retain does the deletion of proofs that are older than they are kept.
CREATE FUNCTION distsync_internal.pricing_proof_retain(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
	kept integer := (SELECT s.setting::integer FROM pg_settings s WHERE s.name = 'distsync.price_proof_retention');
	n integer;
BEGIN
	IF kept < 0 OR EXISTS (SELECT FROM sync.progress p WHERE p.operation = 'price proof retention' AND p.updated_at BETWEEN t - interval '10 minutes' AND t AND p.done < p.total) THEN
		RETURN 0;
	END IF;
	DELETE FROM dist.price_proof d USING (
		SELECT p.customer_id, p.proof_sha256 FROM dist.price_proof p WHERE p.stored_at < t - kept * interval '1 minute'
			AND NOT EXISTS (SELECT FROM dist.price_lock k WHERE k.customer_id = p.customer_id AND k.proof_sha256 = p.proof_sha256 AND NOT upper(k.valid) <= t IS TRUE)
		ORDER BY p.stored_at LIMIT max_rows FOR UPDATE SKIP LOCKED) o
	WHERE d.customer_id = o.customer_id AND d.proof_sha256 = o.proof_sha256;
	GET DIAGNOSTICS n = ROW_COUNT;
	INSERT INTO sync.progress (operation, phase, done, total, started_at, updated_at) VALUES ('price proof retention', 'last round', n, max_rows, t, clock_timestamp())
	ON CONFLICT (operation) DO UPDATE SET done = excluded.done, total = excluded.total, started_at = excluded.started_at, updated_at = excluded.updated_at;
	RETURN CASE WHEN n >= max_rows THEN n ELSE 0 END;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_proof_retain(integer) IS
	'Clerk task: every ten minutes, deletes proofs older than distsync.price_proof_retention that no price lock in force names, the oldest first. Returns rows, when there may be more at once.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('verify', 'price_proof', 110, 'distsync_internal.pricing_verify_proofs'),
	('clerk', 'price_proof_retain', 810, 'distsync_internal.pricing_proof_retain');
INSERT INTO distsync_internal.verb (name, roles) VALUES
	('prove_prices', '{reader,operator,admin}'),
	('verify_proof', '{reader,operator,admin}');
