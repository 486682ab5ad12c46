-- The policies that decide orders, as a party or a document of an order may set them: which there are, and what each can be.

-- master_policy_faults does the finding of what is wrong with a set of policies.
CREATE FUNCTION distsync_internal.master_policy_faults(policy jsonb, of_party boolean) RETURNS TABLE (key text, code text, message text, hint text)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	known text[] := '{shortage:backorder|cut|reject!,all_or_none:boolean!,split:boolean!,price_mismatch:change|hold|reject!,price_tolerance:percent!,no_price:reject|refuse!,held_stock:keep|soft|none!,keep_for:interval:1 second:366 days,reprice:keep|offer|take!,repromise:offer|take!,offer_within:interval:1 second:366 days,ship_complete:boolean!,credit_at:entry|pick|ship!,substitute:allow|none!,on_hold:hold|refuse!,duplicate_po:warn|allow|refuse!,answer_within:interval:1 second:366 days,return_within:interval:1 second:3660 days,priority:integer!}';
BEGIN
	IF policy IS NULL OR policy IN ('null', '{}') THEN
		RETURN;
	ELSIF jsonb_typeof(policy) <> 'object' THEN
		RETURN QUERY SELECT '', 'SD005', 'policy must be an object', 'Send {"shortage": "cut"}, or leave it out.';
		RETURN;
	END IF;
	IF of_party THEN
		known := known || 'backdate:interval!:0 seconds:366 days'::text;
	END IF;
	RETURN QUERY
	SELECT p.key, CASE WHEN d.declared IS NULL THEN 'SD005' ELSE 'SD002' END,
		CASE WHEN d.declared IS NULL THEN format('unknown policy "%s"', left(p.key, 80)) ELSE format('policy %s can not be %s', p.key, left(p.value::text, 80)) END,
		CASE WHEN d.declared IS NULL THEN format('Known: %s.', (SELECT string_agg(split_part(k, ':', 1), ', ' ORDER BY n) FROM unnest(known) WITH ORDINALITY u(k, n)))
			WHEN d.declared[2] = 'percent!' THEN 'Send a number from 0 to 1000.'
			WHEN d.declared[2] LIKE '%|%' THEN format('Choose one of %s.', replace(rtrim(d.declared[2], '!'), '|', ', '))
			ELSE distsync_internal.base_option_hint(d.declared) END
	FROM jsonb_each(policy) p
	CROSS JOIN LATERAL (SELECT (SELECT string_to_array(k, ':') FROM unnest(known) k WHERE split_part(k, ':', 1) = p.key) AS declared) d
	WHERE d.declared IS NULL OR NOT COALESCE(CASE
		WHEN d.declared[2] = 'percent!' THEN CASE WHEN p.value #>> '{}' ~ '^\d{1,4}(\.\d{1,8})?$' THEN (p.value #>> '{}')::numeric <= 1000 END
		ELSE distsync_internal.base_option_fits(d.declared, p.value) END, false)
	ORDER BY p.key COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync_internal.master_policy_faults(jsonb, boolean) IS
	'Policies of an order that do not exist (SD005) or cannot be what they say (SD002), with a message and a hint each; no row = all can be used. of_party: those that only a party may set are known too.';

-- master_check_policy does the check of what party documents say of their orders.
CREATE FUNCTION distsync_internal.master_check_policy(docs jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT r.* FROM jsonb_array_elements(docs) d CROSS JOIN LATERAL distsync_internal.master_policy_faults(d -> 'doc' -> 'order_policy', true) f,
		distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', d -> 'doc' ->> 'code', f.code, rtrim('order_policy.' || f.key, '.'), f.message, f.hint) r
	WHERE d -> 'doc' ? 'order_policy'
$$;
COMMENT ON FUNCTION distsync_internal.master_check_policy(jsonb) IS 'Rejections of party documents for their order_policy (SD002, SD005).';
