-- The verb accrue: what was recorded and could not accrue, or waits for an invoice that will not come, accrues now, once.

-- order_accrue_find does the look-up of documents by their keys; without any it finds what can accrue again.
CREATE FUNCTION distsync_internal.order_accrue_find(documents text[], most integer) RETURNS TABLE (place integer, payer_id bigint, invoice_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF documents IS NULL THEN
		RETURN QUERY
		SELECT row_number() OVER (ORDER BY x.issued_at, x.kind COLLATE "C" DESC, c.code COLLATE "C", x.invoice_number COLLATE "C")::integer, x.customer_id, x.invoice_id
		FROM dist.invoice x JOIN dist.company c ON c.company_id = x.company_id
		WHERE x.accrual <> 'done' AND (x.accrual = 'failed' OR EXISTS (SELECT FROM dist.invoice t WHERE t.company_id = x.company_id AND t.kind = 'invoice' AND t.invoice_number = x.corrects_number AND t.accrual = 'done'))
		ORDER BY 1 LIMIT most;
		RETURN;
	END IF;
	RETURN QUERY
	SELECT d.place::integer, x.customer_id, x.invoice_id
	FROM unnest(documents) WITH ORDINALITY d(document, place)
	LEFT JOIN LATERAL (SELECT regexp_match(d.document, '^(.+?)/(invoice|credit_memo|debit_memo)/(.+)$') AS part) m ON true
	LEFT JOIN dist.company c ON c.code = m.part[1]
	LEFT JOIN dist.invoice x ON x.company_id = c.company_id AND x.kind = m.part[2] AND x.invoice_number = m.part[3]
	ORDER BY 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_accrue_find(text[], integer) IS 'Ids of documents (company/kind/number), NULL where there is none such; without documents at most so many that failed, or wait although their invoice has accrued, by date, invoices before memos.';

-- accrue does the accruing of documents that were recorded without it. What has accrued does not accrue again, so it needs no idempotency key.
CREATE FUNCTION distsync.accrue(documents text[] DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o jsonb := distsync_internal.base_options(options, '{alone:boolean,reason:text,limit:integer:1:100000}');
	alone boolean := COALESCE((o ->> 'alone')::boolean, false);
	reason text := NULLIF(btrim(o ->> 'reason'), '');
	payers bigint[];
	ids bigint[];
	wrong integer;
	rows distsync_internal.apply_result[];
BEGIN
	SELECT array_agg(f.payer_id ORDER BY f.place), array_agg(f.invoice_id ORDER BY f.place), min(f.place) FILTER (WHERE f.invoice_id IS NULL) INTO payers, ids, wrong
	FROM distsync_internal.order_accrue_find(documents, COALESCE((o ->> 'limit')::integer, 1000)) f;
	IF wrong IS NOT NULL THEN
		PERFORM distsync_internal.order_refuse('SD001', format('documents[%s]', wrong - 1), format('no document "%s" is recorded', documents[wrong]), 'Name it as company/kind/number, the way exceptions do: kind invoice, credit_memo or debit_memo.');
	ELSIF alone AND (documents IS NULL OR reason IS NULL) THEN
		PERFORM distsync_internal.order_refuse('SD005', CASE WHEN documents IS NULL THEN 'documents' ELSE 'options.reason' END, 'a memo accrues without its invoice only by name and with a reason', 'Name the memos, and say in options.reason why their invoices will not come.');
	END IF;
	PERFORM distsync_internal.pricing_lock_accruals(payers);
	PERFORM FROM dist.invoice x JOIN unnest(payers, ids) u(payer, id) ON x.customer_id = u.payer AND x.invoice_id = u.id ORDER BY x.invoice_id FOR NO KEY UPDATE OF x;
	rows := ARRAY(SELECT r FROM distsync_internal.order_accrue(
		ARRAY(SELECT u.payer FROM unnest(payers, ids) WITH ORDINALITY u(payer, id, n) JOIN dist.invoice x ON x.customer_id = u.payer AND x.invoice_id = u.id WHERE x.accrual <> 'done' ORDER BY u.n),
		ARRAY(SELECT u.id FROM unnest(payers, ids) WITH ORDINALITY u(payer, id, n) JOIN dist.invoice x ON x.customer_id = u.payer AND x.invoice_id = u.id WHERE x.accrual <> 'done' ORDER BY u.n), alone, '{}') r);
	PERFORM distsync_internal.base_audit('accrue', 'accrual', r.entity_key, '{"accrued":false}', jsonb_build_object('accrued', true, 'alone', alone), reason) FROM unnest(rows) r WHERE r.outcome = 'applied';
	RETURN QUERY
	SELECT row_number() OVER (ORDER BY d.n, r.ordinal)::integer, COALESCE(r.outcome, 'unchanged'), COALESCE(r.entity_key, d.document), r.sqlstate, r.field, r.message, r.hint, r.detail
	FROM unnest(rows) r FULL JOIN (SELECT u.document, min(u.n) AS n FROM unnest(documents) WITH ORDINALITY u(document, n) GROUP BY u.document) d ON d.document = r.entity_key ORDER BY 1;
END
$$;
COMMENT ON FUNCTION distsync.accrue(text[], jsonb) IS
	'Accrues rebates and claims for recorded documents (company/kind/number) that could not (exceptions accrual_failed, accrual_waits), as if they were recorded now, and the memos that wait for them; each once. documents NULL: those that failed, or wait though their invoice has accrued, by date, at most options.limit (1000). options.alone: a memo whose invoice is not known accrues as a line of its own; with options.reason. Rows as apply_all(): outcome applied, unchanged (it has accrued), waiting, or failed with sqlstate, field, message, hint; memos that were waiting stand behind. Audited. Errors: SD001 unknown document, SD002 option, SD005 alone without name or reason.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('accrue', '{operator,admin}');
