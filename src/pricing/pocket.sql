-- The verb pocket_price: the waterfall from list over invoice to pocket, with what would accrue below the line.

-- pocket_price does explain_price, and goes on below the invoice line.
CREATE FUNCTION distsync.pocket_price(customer text, item text, quantity numeric DEFAULT 1, unit text DEFAULT NULL, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	priced jsonb := distsync.explain_price(customer, item, quantity, unit, at, options);
	buyer bigint;
	payer bigint;
	goods bigint;
	net numeric := (priced ->> 'net_amount')::numeric;
	cost numeric := round((priced #>> '{detail,cost}')::numeric * (priced ->> 'quantity')::numeric, (SELECT c.minor_units FROM dist.currency c WHERE c.currency = priced ->> 'currency'));
	rows distsync_internal.accrual_row[];
	rebates numeric;
	claims numeric;
BEGIN
	IF priced ->> 'outcome' <> 'priced' THEN
		RETURN priced || '{"pocket": null}';
	END IF;
	buyer := distsync_internal.master_party(customer, 'customer', options ->> 'source');
	payer := (SELECT COALESCE(p.payer_id, p.party_id) FROM dist.party p WHERE p.party_id = buyer);
	goods := (SELECT i.item_id FROM dist.item i WHERE i.sku = priced ->> 'item');
	rows := ARRAY(SELECT r FROM distsync_internal.pricing_accruals(payer, buyer, jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('item_id', goods, 'net_amount', net, 'site', options -> 'site',
		'quantity', round(distsync_internal.master_to_base(goods, (priced ->> 'quantity')::numeric, priced ->> 'unit'), 6)))), (priced ->> 'as_of')::timestamptz, options || jsonb_build_object('currency', priced -> 'currency'), NULL) r);
	-- in another currency nothing is added up
	SELECT COALESCE(sum(r.amount) FILTER (WHERE r.kind = 'rebate'), 0), COALESCE(sum(r.amount) FILTER (WHERE r.kind = 'claim'), 0) INTO rebates, claims FROM unnest(rows) r WHERE NOT r.adjusts
	HAVING COALESCE(bool_and(r.currency = priced ->> 'currency'), true);
	RETURN priced || jsonb_build_object('pocket', jsonb_build_object('invoice_amount', net, 'pocket_amount', net + rebates, 'cost_amount', cost, 'claim_amount', claims, 'margin_amount', net + rebates + claims - cost,
		'accruals', (SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', r.kind, 'agreement', r.agreement, 'version', r.version_no, 'line', r.line_key, 'amount', r.amount, 'currency', r.currency, 'adjusts', r.adjusts, 'skipped', r.skipped)
			ORDER BY n), '[]') FROM unnest(rows) WITH ORDINALITY r(ordinal, kind, agreement_id, agreement, version_no, line_key, ladder, adjusts, quantity, base_amount, amount, currency, skipped, n))));
END
$$;
COMMENT ON FUNCTION distsync.pocket_price(text, text, numeric, text, timestamptz, jsonb) IS
	'What is left of a price: the answer of explain_price() with "pocket": {"invoice_amount","pocket_amount" (less rebates),"claim_amount","cost_amount","margin_amount","accruals":[{"kind","agreement","version","line","amount","currency","adjusts","skipped"}]}: what would accrue for the line now, over the volumes so far (adjusts: earlier lines rated again, not part of this line). Sums are null where an accrual is in another currency or no cost is known; pocket is null without a price. Options and errors as in price(). Internal: shows cost.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('pocket_price', '{reader,operator,admin}');
