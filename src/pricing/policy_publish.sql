-- Publishing a policy: how a price is decided is data, in numbered versions that never change. Some are shipped, and may be named.

-- pricing_shipped_policy does the listing of the policies that come with this release.
CREATE FUNCTION distsync_internal.pricing_shipped_policy(name text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	standard jsonb := '{
		"name": "specificity_first",
		"slots": [
			{"slot": "list", "combine": "override"},
			{"slot": "book", "combine": "override"},
			{"slot": "contract", "combine": "override"},
			{"slot": "promotion", "combine": "if_lower", "pick": "best"},
			{"slot": "adjustment", "combine": "stack"},
			{"slot": "guard", "combine": "clamp"},
			{"slot": "order", "combine": "order"},
			{"slot": "charge", "combine": "charge"},
			{"slot": "rebate", "combine": "accrue"},
			{"slot": "claim", "combine": "accrue"}
		],
		"who": ["job", "ship_to", "customer", "parent", "buying_group", "price_class", "region", "channel", "all"],
		"what": ["item", "variant_parent", "family", "brand", "category", "vendor", "all"],
		"order": ["who", "list_rank", "what", "channel", "site", "unit", "currency", "priority", "min_quantity", "valid_from", "version_no"],
		"tie": "content",
		"below_tier": "skip",
		"rounding": {"scale": 4, "mode": "half_up"}
	}';
	first text[] := CASE name WHEN 'specificity_first' THEN '{}' WHEN 'priority_first' THEN '{priority}' WHEN 'highest_break_first' THEN '{min_quantity}' WHEN 'best_price' THEN '{}'
		WHEN 'merge_by_rank' THEN '{min_quantity,list_rank}' WHEN 'first_list_by_rank' THEN '{list_rank}' END;
	more jsonb := CASE name WHEN 'best_price' THEN '{"list": {"pick": "best"}, "book": {"pick": "best"}, "contract": {"pick": "best"}}'
		WHEN 'merge_by_rank' THEN '{"list": {"blocking": true}, "book": {"blocking": true}}' ELSE '{}' END;
BEGIN
	IF first IS NULL THEN
		RETURN NULL;
	END IF;
	RETURN standard || jsonb_build_object('name', name, 'tie', CASE WHEN name = 'priority_first' THEN 'error' ELSE 'content' END,
		'order', to_jsonb(first) || (SELECT jsonb_agg(w ORDER BY n) FROM jsonb_array_elements_text(standard->'order') WITH ORDINALITY o(w, n) WHERE w <> ALL (first)),
		'slots', (SELECT jsonb_agg(s || COALESCE(more->(s->>'slot'), '{}') ORDER BY n) FROM jsonb_array_elements(standard->'slots') WITH ORDINALITY o(s, n)));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_shipped_policy(text) IS
	'A shipped price policy: specificity_first (the standard), priority_first, highest_break_first, best_price, merge_by_rank, first_list_by_rank; NULL = there is none of that name.';

-- pricing_words_fault does the check of a list of words: each known, none twice.
CREATE FUNCTION distsync_internal.pricing_words_fault(list jsonb, known text[], field text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN jsonb_typeof(list) <> 'array' THEN format('%s is not a list', field)
		ELSE (SELECT CASE WHEN NOT COALESCE(w = ANY (known), false) THEN format('%s does not know "%s"', field, w) ELSE format('%s has "%s" twice', field, w) END
			FROM (SELECT e.w, e.n, count(*) OVER (PARTITION BY e.w) AS times FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(list) = 'array' THEN list ELSE '[]' END) WITH ORDINALITY e(w, n)) x
			WHERE NOT COALESCE(w = ANY (known), false) OR times > 1 ORDER BY n LIMIT 1) END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_words_fault(jsonb, text[], text) IS 'What is wrong with a list of words of a policy, NULL = nothing.';

-- pricing_slot_fault does the check of the slots of a policy.
CREATE FUNCTION distsync_internal.pricing_slot_fault(slots jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN jsonb_typeof(slots) <> 'array' THEN 'slots is not a list' WHEN jsonb_array_length(slots) = 0 THEN 'slots is empty'
		ELSE (SELECT format('slots[%s]: %s', s.n - 1, f.problem)
			FROM (SELECT e.s, e.n, count(*) OVER (PARTITION BY e.s->>'slot') AS times FROM jsonb_array_elements(CASE WHEN jsonb_typeof(slots) = 'array' THEN slots ELSE '[]' END) WITH ORDINALITY e(s, n)) s
			CROSS JOIN LATERAL (SELECT CASE WHEN jsonb_typeof(s.s) <> 'object' THEN 'it is not an object'
				WHEN NOT COALESCE(s.s->>'slot' = ANY ('{list,book,contract,promotion,adjustment,guard,order,charge,rebate,claim}'), false) THEN format('slot "%s" is not known', s.s->>'slot')
				WHEN s.times > 1 THEN format('slot "%s" is there twice', s.s->>'slot')
				WHEN NOT COALESCE(s.s->>'combine' = ANY ('{override,if_lower,stack,clamp,order,charge,accrue}'), false) THEN format('combine "%s" is not known', s.s->>'combine')
				WHEN (s.s->>'slot' = 'charge') <> (s.s->>'combine' = 'charge') OR (s.s->>'slot' IN ('rebate', 'claim')) <> (s.s->>'combine' = 'accrue') THEN format('slot "%s" cannot combine as "%s"', s.s->>'slot', s.s->>'combine')
				WHEN s.s ? 'pick' AND NOT COALESCE(s.s->>'pick' = ANY ('{first,best}'), false) THEN format('pick "%s" is not first or best', s.s->>'pick')
				WHEN s.s ? 'blocking' AND jsonb_typeof(s.s->'blocking') <> 'boolean' THEN 'blocking is not true or false'
				ELSE (SELECT format('"%s" is not known', k) FROM jsonb_object_keys(s.s) k WHERE k <> ALL ('{slot,combine,pick,blocking}') ORDER BY k COLLATE "C" LIMIT 1) END) f(problem)
			WHERE f.problem IS NOT NULL ORDER BY s.n LIMIT 1) END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_slot_fault(jsonb) IS 'What is wrong with the slots of a policy, NULL = nothing.';

-- pricing_policy_rounding_fault does the check of the rounding of a policy.
CREATE FUNCTION distsync_internal.pricing_policy_rounding_fault(rounding jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN jsonb_typeof(rounding) <> 'object' THEN 'rounding is not an object'
		WHEN NOT COALESCE(rounding->>'scale' ~ '^[0-8]$', false) THEN format('scale %s is not from 0 to 8', rounding->>'scale')
		WHEN NOT COALESCE(rounding->>'mode' = ANY ('{half_up,half_even,up,down}'), false) THEN format('mode "%s" is not known', rounding->>'mode')
		WHEN rounding->>'multiple' IS NOT NULL AND NOT (rounding->>'multiple' ~ '^\d{1,12}(\.\d{1,6})?$' AND (rounding->>'multiple')::numeric > 0) THEN format('multiple %s is not a number above 0', rounding->>'multiple')
		WHEN rounding->>'ending' IS NOT NULL AND NOT (rounding->>'ending' ~ '^\d{1,12}(\.\d{1,6})?$' AND (rounding->>'ending')::numeric < COALESCE((rounding->>'multiple')::numeric, 1))
			THEN format('ending %s is not a number below the multiple, or below 1', rounding->>'ending')
		ELSE (SELECT format('"%s" is not known', k) FROM jsonb_object_keys(rounding) k WHERE k <> ALL ('{scale,mode,multiple,ending}') ORDER BY k COLLATE "C" LIMIT 1) END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_policy_rounding_fault(jsonb) IS 'What is wrong with the rounding of a policy, NULL = nothing.';

-- pricing_policy_document does the reading of a policy: shipped ones by name, what is missing from the standard, and refuses what is wrong.
CREATE FUNCTION distsync_internal.pricing_policy_document(document jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p jsonb;
	bad record;
BEGIN
	IF COALESCE(jsonb_typeof(document), 'null') <> 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'policy must be a JSON object', COLUMN = 'document', DETAIL = 'Field: document.', HINT = 'Send {"shipped": "specificity_first"}, or the keys that differ from it.';
	END IF;
	p := distsync_internal.pricing_shipped_policy(CASE WHEN document ? 'shipped' THEN document->>'shipped' ELSE 'specificity_first' END);
	IF p IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('no policy "%s" is shipped', left(document->>'shipped', 60)), COLUMN = 'document.shipped', DETAIL = 'Field: document.shipped.',
			HINT = 'Use one of specificity_first, priority_first, highest_break_first, best_price, merge_by_rank, first_list_by_rank.';
	END IF;
	IF NOT document ? 'shipped' THEN
		p := p - 'name';
	END IF;
	p := p || (document - 'shipped');
	IF jsonb_typeof(p->'rounding') = 'object' THEN
		p := p || jsonb_build_object('rounding', '{"scale": 4, "mode": "half_up"}' || (p->'rounding'));
	END IF;
	SELECT v.field, v.problem INTO bad FROM (
		SELECT 0 AS no, k AS field, format('a policy does not know "%s"', k) AS problem FROM jsonb_object_keys(p) k WHERE k <> ALL ('{name,slots,who,what,order,tie,below_tier,rounding}')
		UNION ALL SELECT 1, 'name', 'name is not a text' WHERE p ? 'name' AND jsonb_typeof(p->'name') <> 'string'
		UNION ALL SELECT 2, 'slots', distsync_internal.pricing_slot_fault(p->'slots')
		UNION ALL SELECT 3, 'who', distsync_internal.pricing_words_fault(p->'who', '{job,ship_to,customer,parent,buying_group,price_class,region,channel,all}', 'who')
		UNION ALL SELECT 4, 'what', distsync_internal.pricing_words_fault(p->'what', '{item,variant_parent,family,brand,category,vendor,all}', 'what')
		UNION ALL SELECT 5, 'order', distsync_internal.pricing_words_fault(p->'order', '{who,list_rank,what,channel,site,unit,currency,priority,min_quantity,valid_from,version_no}', 'order')
		UNION ALL SELECT 6, 'tie', format('tie "%s" is not content or error', p->>'tie') WHERE NOT COALESCE(p->>'tie' = ANY ('{content,error}'), false)
		UNION ALL SELECT 7, 'below_tier', format('below_tier "%s" is not skip, lowest or refuse', p->>'below_tier') WHERE NOT COALESCE(p->>'below_tier' = ANY ('{skip,lowest,refuse}'), false)
		UNION ALL SELECT 8, 'rounding', distsync_internal.pricing_policy_rounding_fault(p->'rounding')
	) v WHERE v.problem IS NOT NULL ORDER BY v.no, v.field COLLATE "C" LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = bad.problem, COLUMN = 'document.' || bad.field, DETAIL = format('Field: document.%s.', bad.field),
			HINT = 'Correct the policy; docs/pricing.md says what each key may be. Keys that are left out are those of the standard.';
	END IF;
	RETURN p;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_policy_document(jsonb) IS 'A whole policy from what somebody sent. Errors: SD005 no object, SD002 naming the key.';

-- publish_policy does the publication of a way to decide prices, from now on.
CREATE FUNCTION distsync.publish_policy(document jsonb, options jsonb DEFAULT '{}') RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	policy jsonb;
	current record;
	stamp timestamptz;
	n integer;
BEGIN
	options := distsync_internal.base_options(options, '{reason:text}');
	policy := distsync_internal.pricing_policy_document(document);
	PERFORM distsync_internal.base_lock_prices();
	SELECT p.policy_version, p.document INTO current FROM dist.price_policy p WHERE p.published_at IS NOT NULL ORDER BY p.policy_version DESC LIMIT 1;
	IF current.document = policy THEN
		RETURN current.policy_version;
	END IF;
	stamp := distsync_internal.base_touch_prices('{0}', '{}');
	INSERT INTO dist.price_policy (policy_version, document, sha256, published_at, published_by)
	SELECT COALESCE(max(p.policy_version), 0) + 1, policy, sha256(convert_to(policy::text, 'UTF8')), stamp, distsync_internal.pricing_person() FROM dist.price_policy p
	RETURNING policy_version INTO n;
	PERFORM distsync_internal.base_audit('publish_policy', 'price_policy', n::text, current.document, policy, options->>'reason');
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync.publish_policy(jsonb, jsonb) IS
	'Publishes a price policy, which decides from now on and never changes: slots, who, what, order, tie, below_tier, rounding, name; what is left out is of the shipped standard, {"shipped": name} starts from another shipped one. options: reason. Returns its number (that of the policy in force where it says the same). Errors: SD002 naming the key, SD005 no object.';

-- pricing_guard_policy does the refusing of changes to published policies.
CREATE FUNCTION distsync_internal.pricing_guard_policy() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	bad text;
BEGIN
	-- which transition tables there are depends on the statement
	EXECUTE CASE TG_OP WHEN 'DELETE' THEN 'SELECT min(g.policy_version) FROM gone g WHERE g.published_at IS NOT NULL'
		ELSE 'SELECT min(d.policy_version) FROM (SELECT g.* FROM gone g WHERE g.published_at IS NOT NULL EXCEPT SELECT c.* FROM come c) d' END INTO bad;
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = format('policy %s is published and never changes', bad), COLUMN = 'policy_version', DETAIL = 'Field: policy_version. Table dist.price_policy.',
			HINT = 'Publish another one with distsync.publish_policy().';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_guard_policy() IS 'Statement trigger of dist.price_policy: refuses (SD052) to change or delete what was published.';

-- pricing_policy_setup does the setting of that trigger, and publishes the standard where there is no policy yet. It runs at setup().
CREATE FUNCTION distsync_internal.pricing_policy_setup() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	document jsonb := distsync_internal.pricing_shipped_policy('specificity_first');
BEGIN
	CREATE OR REPLACE TRIGGER price_policy_guard_update_trg AFTER UPDATE ON dist.price_policy REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.pricing_guard_policy();
	CREATE OR REPLACE TRIGGER price_policy_guard_delete_trg AFTER DELETE ON dist.price_policy REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.pricing_guard_policy();
	IF NOT EXISTS (SELECT FROM dist.price_policy) THEN
		INSERT INTO dist.price_policy (policy_version, document, sha256, published_at, published_by)
		VALUES (1, document, sha256(convert_to(document::text, 'UTF8')), distsync_internal.base_touch_prices('{0}', '{}'), 'setup');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_policy_setup() IS 'Part of setup(): protects published policies, and publishes the shipped standard as version 1 where there is none.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('publish_policy', '{admin}');
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('trigger', 'price_policy', 50, 'distsync_internal.pricing_policy_setup');
