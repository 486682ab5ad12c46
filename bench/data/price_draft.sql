-- price_draft.sql: the draft of a contract, and as a view the :rates rates that belong to it, spread over all customers.
\set ON_ERROR_STOP on
INSERT INTO dist.agreement (code, slot, currency) VALUES ('DRAFT', 'contract', 'USD');
INSERT INTO dist.agreement_version (version_id, agreement_id, version_no, valid, rate_set_id)
SELECT v.id, a.agreement_id, 1, '[2026-01-01 00:00+00,)', v.id FROM dist.agreement a, (SELECT nextval('dist.agreement_version_version_id_seq') AS id) v WHERE a.code = 'DRAFT';
CREATE VIEW bench.draft_rate AS
SELECT v.version_id, 1 + n % :customers AS customer_id, t.target_id, n::text AS line_key, 'net' AS calc, 5 + n % 9973 * 0.01 AS value, 'EA' AS unit
FROM dist.agreement a JOIN dist.agreement_version v USING (agreement_id), generate_series(0::bigint, :rates - 1) n JOIN dist.target t ON t.what_kind = 'item' AND t.what_key = (1 + n / :customers)::text WHERE a.code = 'DRAFT';
