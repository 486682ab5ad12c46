-- reallocate(): the dividing of stock anew as a command, or as a preview of it.

-- inventory_claims_of does the state of all claims of pools, before or after.
CREATE FUNCTION distsync_internal.inventory_claims_of(items bigint[], sites bigint[]) RETURNS TABLE (item_id bigint, site_id bigint, place bigint, claim text, reservation_id bigint, demand_key text, holder text, customer_id bigint, kind text, strategy text, priority integer, required_at timestamptz, has numeric, short numeric)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT u.item_id, u.site_id, c.place, COALESCE(c.reservation_id::text, c.demand_key), c.reservation_id, c.demand_key, c.holder, c.customer_id, c.kind, c.strategy, c.priority, c.required_at, c.has,
		o.owed - greatest(0, least(o.owed, distsync_internal.inventory_room(u.item_id, u.site_id) - COALESCE(sum(o.owed) OVER (PARTITION BY u.item_id, u.site_id ORDER BY c.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)))
	FROM unnest(items, sites) u(item_id, site_id) CROSS JOIN LATERAL distsync_internal.inventory_claims(u.item_id, u.site_id, clock_timestamp()) c
	CROSS JOIN LATERAL (SELECT CASE WHEN c.reservation_id IS NULL THEN c.missing ELSE c.has END) o(owed);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_claims_of(bigint[], bigint[]) IS 'Claims on pools (arrays of equal length) as inventory_claims() lists them, and what of each stock does not cover, base units.';

-- inventory_reallocate_now does the reallocation of pools from end to end: locks, division, refresh; what became of each claim.
CREATE FUNCTION distsync_internal.inventory_reallocate_now(items bigint[], sites bigint[]) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	k record;
	p record;
	before jsonb;
BEGIN
	SELECT * INTO k FROM distsync_internal.inventory_with_kits(items, sites);
	PERFORM distsync_internal.inventory_quota_lock(ARRAY(SELECT DISTINCT u FROM unnest(k.items) u));
	PERFORM distsync_internal.inventory_lock(k.items, k.sites);
	PERFORM distsync_internal.inventory_refresh(k.items, k.sites);
	PERFORM distsync_internal.inventory_fold(k.items, k.sites);
	SELECT COALESCE(jsonb_agg(to_jsonb(c)), '[]') INTO before FROM distsync_internal.inventory_claims_of(items, sites) c;
	FOR p IN SELECT u.item_id, u.site_id FROM unnest(items, sites) u(item_id, site_id) JOIN dist.item i ON i.item_id = u.item_id JOIN dist.site s ON s.site_id = u.site_id ORDER BY i.sku COLLATE "C", s.code COLLATE "C" LOOP
		PERFORM distsync_internal.inventory_reallocate_pool(p.item_id, p.site_id, true, NULL, k.items, k.sites, NULL);
	END LOOP;
	PERFORM distsync_internal.inventory_refresh(k.items, k.sites);
	RETURN (SELECT COALESCE(jsonb_agg(to_jsonb(ROW(i.sku, s.code, b.reservation_id, b.demand_key, b.holder, (SELECT y.code FROM dist.party y WHERE y.party_id = b.customer_id), b.kind, b.strategy, b.priority, b.required_at,
			trim_scale(b.has), trim_scale(COALESCE(a.has, 0)), trim_scale(COALESCE(a.short, 0)), i.base_unit,
			CASE WHEN COALESCE(a.has, 0) < b.has THEN 'lost' WHEN a.has > b.has THEN 'gained' WHEN a.short > 0 THEN 'short' ELSE 'kept' END)::distsync_internal.inventory_reallocated) ORDER BY i.sku COLLATE "C", s.code COLLATE "C", b.place), '[]')
		FROM jsonb_to_recordset(before) AS b(item_id bigint, site_id bigint, place bigint, claim text, reservation_id bigint, demand_key text, holder text, customer_id bigint, kind text, strategy text, priority integer, required_at timestamptz, has numeric)
		JOIN dist.item i ON i.item_id = b.item_id JOIN dist.site s ON s.site_id = b.site_id
		LEFT JOIN distsync_internal.inventory_claims_of(items, sites) a ON a.item_id = b.item_id AND a.site_id = b.site_id AND a.claim = b.claim);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reallocate_now(bigint[], bigint[]) IS 'Reallocates pools (arrays of equal length), whose quotas and pools it locks, with those of kits that are promised there. Returns rows of inventory_reallocated as an array.';

-- reallocate does the same for an item, a site, or wherever something is short.
CREATE FUNCTION distsync.reallocate(item text DEFAULT NULL, site text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_reallocated
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	source text := COALESCE(options->>'source', session_user);
	request jsonb := jsonb_build_object('item', item, 'site', site, 'options', options);
	answer jsonb := distsync_internal.base_answered(source, 'reallocate', options->>'idempotency_key', request);
	wanted jsonb;
	for_item bigint;
	for_site bigint;
	k record;
BEGIN
	IF answer IS NULL THEN
		wanted := distsync_internal.base_options(options, '{dry_run:boolean,limit:integer:1:10000,idempotency_key:text,source:text,reason:text}');
		for_item := CASE WHEN reallocate.item IS NOT NULL THEN distsync_internal.master_item(reallocate.item, 'item', wanted->>'source') END;
		for_site := CASE WHEN reallocate.site IS NOT NULL THEN distsync_internal.master_site(reallocate.site, 'site', wanted->>'source') END;
		SELECT array_agg(x.item_id) AS items, array_agg(x.site_id) AS sites INTO k
		FROM (SELECT p.item_id, p.site_id FROM dist.stock_pool p JOIN dist.item i ON i.item_id = p.item_id JOIN dist.site s ON s.site_id = p.site_id
			WHERE (p.item_id = for_item OR for_item IS NULL) AND (p.site_id = for_site OR for_site IS NULL) AND (p.shortfall > 0 OR for_item IS NOT NULL)
			ORDER BY i.sku COLLATE "C", s.code COLLATE "C" LIMIT COALESCE((wanted->>'limit')::integer, 100)) x;
		answer := '[]';
		IF k.items IS NOT NULL THEN
			BEGIN
				answer := distsync_internal.inventory_reallocate_now(k.items, k.sites);
				IF (wanted->>'dry_run')::boolean THEN
					RAISE EXCEPTION USING ERRCODE = 'SD045', MESSAGE = 'a preview changes nothing', DETAIL = 'Everything it moved is put back.', HINT = 'Leave dry_run out to do it.';
				END IF;
			EXCEPTION WHEN SQLSTATE 'SD045' THEN
				RETURN QUERY SELECT * FROM jsonb_populate_recordset(NULL::distsync_internal.inventory_reallocated, answer);
				RETURN;
			END;
		END IF;
		PERFORM distsync_internal.base_answer(source, 'reallocate', options->>'idempotency_key', request, answer);
		PERFORM distsync_internal.base_audit('reallocate', 'item_site', concat_ws('@', COALESCE(reallocate.item, '*'), COALESCE(reallocate.site, '*')), NULL,
			(SELECT jsonb_object_agg(o.outcome, o.n) FROM (SELECT e->>'outcome' AS outcome, count(*) AS n FROM jsonb_array_elements(answer) e GROUP BY 1) o), wanted->>'reason');
	END IF;
	RETURN QUERY SELECT * FROM jsonb_populate_recordset(NULL::distsync_internal.inventory_reallocated, answer);
END
$$;
COMMENT ON FUNCTION distsync.reallocate(text, text, jsonb) IS
	'Divides what there is of an item (NULL = all that are short) at a site (NULL = all) anew among those who are promised it, as reallocation_rule documents say: takes from soft reservations and gives others back what they had lost. What is hard never loses; what cannot be cured stays in the exception shortfall. options: dry_run (the same answer, nothing changes), limit (pools, default 100, by item and site), idempotency_key, source, reason. A row for each claim, in the order in which claims are served. Tells stock.reservation_changed. Errors: SD001, SD002, SD010.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('reallocate', '{operator,admin}');
