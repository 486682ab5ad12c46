-- Look-ups: from a code to the id behind it. A code is ours, or the sender's own name for the thing (sync.xref); an item may also
-- be named by its GTIN. The bulk forms take many codes; one is a bulk of one, so that both always answer the same.

-- master_unknown does the error for a code that nobody knows, in the same words everywhere.
CREATE FUNCTION distsync_internal.master_unknown(entity text, code text, field text, source text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('unknown %s "%s"', entity, left(code, 255)), COLUMN = field,
		DETAIL = CASE WHEN source IS NULL THEN format('Field: %s. It is no code of ours.', field)
			ELSE format('Field: %s. It is neither a code of ours nor a name that system "%s" is known to use.', field, source) END,
		HINT = format('Send the %s first, correct the code, or add a cross-reference for it.', entity);
END
$$;
COMMENT ON FUNCTION distsync_internal.master_unknown(text, text, text, text) IS 'Raises SD001 for an unknown code: entity, code, field of the document, system that sent it or NULL.';

-- master_parties does the look-up of party codes.
CREATE FUNCTION distsync_internal.master_parties(codes text[], source text DEFAULT NULL) RETURNS TABLE (code text, id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT c.code, COALESCE(p.party_id, q.party_id)
	FROM (SELECT DISTINCT u.code FROM unnest(codes) AS u(code) WHERE u.code IS NOT NULL) c
	LEFT JOIN dist.party p ON p.code = c.code
	LEFT JOIN sync.xref x ON p.party_id IS NULL AND x.system = master_parties.source AND x.entity = 'party' AND x.external_id = c.code
		AND x.status IN ('active', 'merged') AND x.valid @> statement_timestamp()
	LEFT JOIN dist.party q ON q.code = x.code;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_parties(text[], text) IS 'Ids of parties by our code or by the name a system uses; one row for each distinct code, id NULL = unknown.';

-- master_items does the look-up of item codes: SKU, the sender's own name, GTIN. A GTIN may mean another unit than the base unit.
CREATE FUNCTION distsync_internal.master_items(codes text[], source text DEFAULT NULL) RETURNS TABLE (code text, id bigint, unit text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT c.code, COALESCE(i.item_id, j.item_id, g.item_id), CASE WHEN i.item_id IS NULL AND j.item_id IS NULL THEN g.unit END
	FROM (SELECT DISTINCT u.code FROM unnest(codes) AS u(code) WHERE u.code IS NOT NULL) c
	LEFT JOIN dist.item i ON i.sku = c.code
	LEFT JOIN sync.xref x ON i.item_id IS NULL AND x.system = master_items.source AND x.entity = 'item' AND x.external_id = c.code
		AND x.status IN ('active', 'merged') AND x.valid @> statement_timestamp()
	LEFT JOIN dist.item j ON j.sku = x.code
	LEFT JOIN dist.item_identifier g ON i.item_id IS NULL AND j.item_id IS NULL AND g.kind = 'gtin' AND g.party_id = 0 AND g.identifier = c.code;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_items(text[], text) IS
	'Ids of items by SKU, by the name a system uses, or by GTIN; one row for each distinct code, id NULL = unknown. unit: the unit that a GTIN means, NULL = the document says.';

-- master_sites does the look-up of site codes.
CREATE FUNCTION distsync_internal.master_sites(codes text[], source text DEFAULT NULL) RETURNS TABLE (code text, id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT c.code, COALESCE(s.site_id, t.site_id)
	FROM (SELECT DISTINCT u.code FROM unnest(codes) AS u(code) WHERE u.code IS NOT NULL) c
	LEFT JOIN dist.site s ON s.code = c.code
	LEFT JOIN sync.xref x ON s.site_id IS NULL AND x.system = master_sites.source AND x.entity = 'site' AND x.external_id = c.code
		AND x.status IN ('active', 'merged') AND x.valid @> statement_timestamp()
	LEFT JOIN dist.site t ON t.code = x.code;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_sites(text[], text) IS 'Ids of sites by our code or by the name a system uses; one row for each distinct code, id NULL = unknown.';

-- master_companies does the look-up of company codes.
CREATE FUNCTION distsync_internal.master_companies(codes text[], source text DEFAULT NULL) RETURNS TABLE (code text, id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT c.code, COALESCE(s.company_id, t.company_id)
	FROM (SELECT DISTINCT u.code FROM unnest(codes) AS u(code) WHERE u.code IS NOT NULL) c
	LEFT JOIN dist.company s ON s.code = c.code
	LEFT JOIN sync.xref x ON s.company_id IS NULL AND x.system = master_companies.source AND x.entity = 'company' AND x.external_id = c.code
		AND x.status IN ('active', 'merged') AND x.valid @> statement_timestamp()
	LEFT JOIN dist.company t ON t.code = x.code;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_companies(text[], text) IS 'Ids of companies by our code or by the name a system uses; one row for each distinct code, id NULL = unknown.';

-- master_channels does the look-up of channel codes.
CREATE FUNCTION distsync_internal.master_channels(codes text[], source text DEFAULT NULL) RETURNS TABLE (code text, id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT c.code, COALESCE(s.channel_id, t.channel_id)
	FROM (SELECT DISTINCT u.code FROM unnest(codes) AS u(code) WHERE u.code IS NOT NULL) c
	LEFT JOIN dist.channel s ON s.code = c.code
	LEFT JOIN sync.xref x ON s.channel_id IS NULL AND x.system = master_channels.source AND x.entity = 'channel' AND x.external_id = c.code
		AND x.status IN ('active', 'merged') AND x.valid @> statement_timestamp()
	LEFT JOIN dist.channel t ON t.code = x.code;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_channels(text[], text) IS 'Ids of channels by our code or by the name a system uses; one row for each distinct code, id NULL = unknown.';

-- master_party does the look-up of one party, or the error.
CREATE FUNCTION distsync_internal.master_party(code text, field text DEFAULT 'customer', source text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found bigint := (SELECT p.party_id FROM dist.party p WHERE p.code = master_party.code);
BEGIN
	IF found IS NULL AND code IS NOT NULL THEN
		found := (SELECT p.id FROM distsync_internal.master_parties(ARRAY[master_party.code], master_party.source) p);
	END IF;
	IF code IS NOT NULL THEN
		PERFORM distsync_internal.master_scope_check(found, code, field);
		IF found IS NULL THEN
			PERFORM distsync_internal.master_unknown('party', code, field, source);
		END IF;
	END IF;
	RETURN found;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_party(text, text, text) IS 'Id of a party, by our code or the name a system uses. NULL for NULL. Errors: SD001 naming the field, SD012 not in the scope of a restricted caller.';

-- master_item does the look-up of one item, or the error.
CREATE FUNCTION distsync_internal.master_item(code text, field text DEFAULT 'item', source text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found bigint := (SELECT i.item_id FROM dist.item i WHERE i.sku = master_item.code);
BEGIN
	IF found IS NULL AND code IS NOT NULL THEN
		found := (SELECT i.id FROM distsync_internal.master_items(ARRAY[master_item.code], master_item.source) i);
		IF found IS NULL THEN
			PERFORM distsync_internal.master_unknown('item', code, field, source);
		END IF;
	END IF;
	RETURN found;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_item(text, text, text) IS 'Id of an item, by SKU, the name a system uses, or GTIN. NULL for NULL. Errors: SD001 naming the field.';

-- master_site does the look-up of one site, or the error.
CREATE FUNCTION distsync_internal.master_site(code text, field text DEFAULT 'site', source text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found bigint := (SELECT s.site_id FROM dist.site s WHERE s.code = master_site.code);
BEGIN
	IF found IS NULL AND code IS NOT NULL THEN
		found := (SELECT s.id FROM distsync_internal.master_sites(ARRAY[master_site.code], master_site.source) s);
		IF found IS NULL THEN
			PERFORM distsync_internal.master_unknown('site', code, field, source);
		END IF;
	END IF;
	RETURN found;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_site(text, text, text) IS 'Id of a site, by our code or the name a system uses. NULL for NULL. Errors: SD001 naming the field.';

-- master_company does the look-up of one company, or the error.
CREATE FUNCTION distsync_internal.master_company(code text, field text DEFAULT 'company', source text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found bigint := (SELECT s.company_id FROM dist.company s WHERE s.code = master_company.code);
BEGIN
	IF found IS NULL AND code IS NOT NULL THEN
		found := (SELECT s.id FROM distsync_internal.master_companies(ARRAY[master_company.code], master_company.source) s);
		IF found IS NULL THEN
			PERFORM distsync_internal.master_unknown('company', code, field, source);
		END IF;
	END IF;
	RETURN found;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_company(text, text, text) IS 'Id of a company, by our code or the name a system uses. NULL for NULL. Errors: SD001 naming the field.';

-- master_channel does the look-up of one channel, or the error.
CREATE FUNCTION distsync_internal.master_channel(code text, field text DEFAULT 'channel', source text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found bigint := (SELECT s.channel_id FROM dist.channel s WHERE s.code = master_channel.code);
BEGIN
	IF found IS NULL AND code IS NOT NULL THEN
		found := (SELECT s.id FROM distsync_internal.master_channels(ARRAY[master_channel.code], master_channel.source) s);
		IF found IS NULL THEN
			PERFORM distsync_internal.master_unknown('channel', code, field, source);
		END IF;
	END IF;
	RETURN found;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_channel(text, text, text) IS 'Id of a channel, by our code or the name a system uses. NULL for NULL. Errors: SD001 naming the field.';
