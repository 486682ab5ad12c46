-- price_changes: what may have another price since a moment, for those who keep prices. What has started or ended with time alone, then
-- writes in the order of the price clock.

-- pricing_feed_keep does the saying of how long changes are kept.
CREATE FUNCTION distsync_internal.pricing_feed_keep() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT interval '35 days'
$$;
COMMENT ON FUNCTION distsync_internal.pricing_feed_keep() IS 'How long dist.price_change and what was told of dist.price_boundary is kept: price_changes() answers back to then.';

-- pricing_feed_retain does the forgetting of what is older, a few rows at a time.
CREATE FUNCTION distsync_internal.pricing_feed_retain(max_rows integer DEFAULT 1000) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	-- a little longer than is answered for: who asks now still finds all of it; the last change stays, positions are told from it
	before timestamptz := clock_timestamp() - distsync_internal.pricing_feed_keep() - interval '1 hour';
	n integer;
	k integer;
BEGIN
	DELETE FROM dist.price_change c WHERE c.change_id IN (SELECT x.change_id FROM dist.price_change x WHERE x.at < before AND x.change_id < (SELECT max(y.change_id) FROM dist.price_change y) ORDER BY x.at LIMIT max_rows);
	GET DIAGNOSTICS n = ROW_COUNT;
	DELETE FROM dist.price_boundary b USING (SELECT x.version_id, x.at, x.edge, x.cause, x.key FROM dist.price_boundary x WHERE x.at < before AND x.fired_at IS NOT NULL ORDER BY x.at LIMIT max_rows) o
	WHERE (b.version_id, b.at, b.edge, b.cause, b.key) = (o.version_id, o.at, o.edge, o.cause, o.key);
	GET DIAGNOSTICS k = ROW_COUNT;
	RETURN CASE WHEN greatest(n, k) >= max_rows THEN n + k ELSE 0 END;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_feed_retain(integer) IS 'Clerk task: deletes changes and told boundaries that are older than pricing_feed_keep(). Returns rows, when there may be more at once.';

-- pricing_feed_place does the writing of a position.
CREATE FUNCTION distsync_internal.pricing_feed_place(change bigint, instant timestamptz) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN format('p%s.%s', change, (extract(epoch FROM instant) * 1000000)::bigint);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_feed_place(bigint, timestamptz) IS 'Position of a reader who has all writes up to a change and all boundaries up to an instant.';

-- pricing_feed_position does the reading of a position that price_changes() gave.
CREATE FUNCTION distsync_internal.pricing_feed_position(said text, OUT change bigint, OUT instant timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m text[] := regexp_match(said, '^p(\d{1,18})\.(\d{1,17})$');
BEGIN
	change := m[1]::bigint;
	instant := 'epoch'::timestamptz + m[2]::bigint * interval '1 microsecond';
	IF m IS NULL OR change > COALESCE((SELECT max(c.change_id) FROM dist.price_change c), 0) AND change > 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD083', MESSAGE = format('position "%s" is none of price_changes', left(said, 60)), COLUMN = 'options.after', DETAIL = 'Field: options.after.',
			HINT = 'Give the position of the last row you have, as it came, or leave it out and give since.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_feed_position(text) IS 'Last change and instant that a position stands for. Errors: SD083 no position, or one that is not reached yet.';

-- pricing_feed_refuse does the refusing of a moment that is longer ago than changes are kept.
CREATE FUNCTION distsync_internal.pricing_feed_refuse(since timestamptz, field text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF since < clock_timestamp() - distsync_internal.pricing_feed_keep() THEN
		RAISE EXCEPTION USING ERRCODE = 'SD083', MESSAGE = format('price changes are kept for %s days', extract(day FROM distsync_internal.pricing_feed_keep())), COLUMN = field, DETAIL = format('Field: %s. It is %s.', field, since),
			HINT = 'Price everything anew, and ask for changes from then on.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_feed_refuse(timestamptz, text) IS 'Errors: SD083 the moment is longer ago than pricing_feed_keep().';

-- pricing_scope_rows does the writing of blocks as rows. A block of very many pairs keeps the shorter of its lists.
CREATE FUNCTION distsync_internal.pricing_scope_rows(scope jsonb) RETURNS TABLE (who_kind text, who text, what_kind text, what text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT DISTINCT w->>'who_kind', w->>'who', i->>'what_kind', i->>'what'
	FROM jsonb_array_elements(scope) b
	-- once for a block: its lists are long
	CROSS JOIN LATERAL (SELECT b->'buyers' AS buyers, b->'items' AS items OFFSET 0) l
	CROSS JOIN LATERAL (SELECT jsonb_array_length(l.buyers) AS buyers, jsonb_array_length(l.items) AS items OFFSET 0) n
	CROSS JOIN LATERAL (SELECT CASE WHEN n.buyers::bigint * n.items > 10000 AND n.buyers > n.items THEN '[{"who_kind": "all", "who": ""}]' ELSE l.buyers END AS buyers,
		CASE WHEN n.buyers::bigint * n.items > 10000 AND n.buyers <= n.items THEN '[{"what_kind": "all", "what": ""}]' ELSE l.items END AS items OFFSET 0) c
	CROSS JOIN LATERAL jsonb_array_elements(c.buyers) w
	CROSS JOIN LATERAL jsonb_array_elements(c.items) i
	ORDER BY 1, 2, 3, 4;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_scope_rows(jsonb) IS 'Pairs of blocks, each once; of a block with more than 10,000 pairs the longer list counts as all.';

-- pricing_buyer_names does the listing of everything that may have meant a customer.
CREATE FUNCTION distsync_internal.pricing_buyer_names(party bigint) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ARRAY(
		SELECT DISTINCT n.name FROM (SELECT c.ancestor_id, c.depth, p.code, p.price_class FROM dist.party_ancestor c JOIN dist.party p ON p.party_id = c.ancestor_id WHERE c.party_id = party) a
		CROSS JOIN LATERAL (SELECT 'party:' || a.code UNION ALL SELECT 'customer:' || a.code WHERE a.depth = 0 UNION ALL SELECT 'parent:' || a.code WHERE a.depth > 0
			UNION ALL SELECT 'price_class:' || a.price_class WHERE a.depth = 0
			UNION ALL SELECT g.kind || ':' || g.code FROM dist.party_member m JOIN dist.party_group g ON g.group_id = m.group_id WHERE m.party_id = a.ancestor_id) n(name)
		WHERE n.name IS NOT NULL UNION SELECT 'all:');
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_buyer_names(bigint) IS 'Names, as kind:code, under which a customer is or was a buyer without ship-to, job and channel.';

-- pricing_item_names does the same for an item.
CREATE FUNCTION distsync_internal.pricing_item_names(item bigint) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ARRAY(SELECT (w->>'what_kind') || ':' || (w->>'what')
		FROM jsonb_array_elements(distsync_internal.pricing_whats(ARRAY(SELECT DISTINCT t.target_id FROM dist.item_target t WHERE t.item_id = item))) w);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_item_names(bigint) IS 'Names, as kind:code, that mean an item or did.';

-- pricing_row_concerns does the choice of rows for one buyer, item or channel.
CREATE FUNCTION distsync_internal.pricing_row_concerns(who_kind text, who text, what_kind text, what text, buyers text[], items text[], channel text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (items IS NULL OR what_kind || ':' || what = ANY (items)) AND (who_kind = 'channel' AND (channel IS NULL OR who = channel) OR who_kind <> 'channel' AND (buyers IS NULL OR who_kind || ':' || who = ANY (buyers)));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_row_concerns(text, text, text, text, text[], text[], text) IS 'Whether a pair of names may mean one of these buyers (NULL = any), items (NULL = any) and this channel (NULL = any).';

-- pricing_edge_rows does the listing of what starts or ends with time alone. It stops behind a whole instant.
CREATE FUNCTION distsync_internal.pricing_edge_rows(after timestamptz, until timestamptz, most integer, buyers text[], items text[], channel text)
RETURNS TABLE (at timestamptz, cause text, agreement text, version integer, who_kind text, who text, what_kind text, what text, valid tstzrange)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	place timestamptz := after;
	before timestamptz;
	told bigint := 0;
	n bigint;
	e record;
BEGIN
	LOOP
		before := place;
		FOR e IN SELECT x.*, a.code, v.version_no, v.valid FROM distsync_internal.pricing_edges(before, until, false, 1000) x
			LEFT JOIN dist.agreement_version v ON v.version_id = x.version_id LEFT JOIN dist.agreement a ON a.agreement_id = v.agreement_id
		LOOP
			IF told >= most AND e.at > place THEN
				RETURN;
			END IF;
			place := e.at;
			RETURN QUERY SELECT e.at, e.cause, e.code, e.version_no, r.who_kind, r.who, r.what_kind, r.what, e.valid
				FROM distsync_internal.pricing_scope_rows(distsync_internal.pricing_edge_scope(e.at, e.cause, e.keys, e.version_id)) r
				WHERE distsync_internal.pricing_row_concerns(r.who_kind, r.who, r.what_kind, r.what, buyers, items, channel);
			GET DIAGNOSTICS n = ROW_COUNT;
			told := told + n;
		END LOOP;
		EXIT WHEN place = before;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_edge_rows(timestamptz, timestamptz, integer, text[], text[], text) IS
	'Rows of price_changes() for what starts or ends after one instant and not after another, in order, until there are enough; what of it is held true now counts.';

-- price_changes does the answer to "what may have another price since".
CREATE FUNCTION distsync.price_changes(since timestamptz DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (at timestamptz, kind text, cause text, agreement text, version integer, who_kind text, who text, what_kind text, what text, valid tstzrange, "position" text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
	place record;
	buyers text[];
	items text[];
	most integer;
	instant timestamptz;
	until timestamptz;
	c record;
	n bigint;
	told bigint := 0;
BEGIN
	options := distsync_internal.base_options(options, '{as_of:instant,until:instant,after:text,limit:integer:1:100000,customer:text,item:text,channel:text}');
	most := COALESCE((options->>'limit')::integer, 10000);
	IF options->>'after' IS NOT NULL THEN
		SELECT p.change, p.instant INTO place FROM distsync_internal.pricing_feed_position(options->>'after') p;
		instant := place.instant;
		PERFORM distsync_internal.pricing_feed_refuse(instant, 'options.after');
	ELSE
		PERFORM distsync_internal.base_required('since', price_changes.since::text);
		instant := COALESCE((options->>'as_of')::timestamptz, price_changes.since);
		price_changes.since := least(price_changes.since, instant);
		PERFORM distsync_internal.pricing_feed_refuse(price_changes.since, 'since');
		SELECT COALESCE(max(x.change_id), 0) AS change INTO place FROM dist.price_change x WHERE x.at <= price_changes.since;
	END IF;
	until := COALESCE((options->>'until')::timestamptz, greatest(statement_timestamp(), instant));
	buyers := CASE WHEN options->>'customer' IS NOT NULL THEN distsync_internal.pricing_buyer_names(distsync_internal.master_party(options->>'customer', 'options.customer')) END;
	items := CASE WHEN options->>'item' IS NOT NULL THEN distsync_internal.pricing_item_names(distsync_internal.master_item(options->>'item', 'options.item')) END;
	RETURN QUERY SELECT e.at, 'boundary'::text, e.cause, e.agreement, e.version, e.who_kind, e.who, e.what_kind, e.what, e.valid, distsync_internal.pricing_feed_place(place.change, e.at)
		FROM distsync_internal.pricing_edge_rows(instant, until, most, buyers, items, options->>'channel') e;
	GET DIAGNOSTICS told = ROW_COUNT;
	-- where there may be more instants, writes wait for the next call; otherwise who has them has the instants, too
	IF told >= most THEN
		RETURN;
	END IF;
	FOR c IN
		SELECT x.change_id, x.at, x.cause, x.valid, a.code, (SELECT max(v.version_no) FROM dist.agreement_version v WHERE v.version_id = ANY (x.version_ids)) AS version_no
		FROM dist.price_change x LEFT JOIN dist.agreement a ON a.agreement_id = x.agreement_id WHERE x.change_id > place.change ORDER BY x.change_id
	LOOP
		RETURN QUERY SELECT c.at, 'change'::text, c.cause, c.code, c.version_no, r.who_kind, r.who, r.what_kind, r.what, c.valid, distsync_internal.pricing_feed_place(c.change_id, until)
			FROM distsync_internal.pricing_scope_rows(distsync_internal.pricing_change_scope(c.change_id)) r
			WHERE distsync_internal.pricing_row_concerns(r.who_kind, r.who, r.what_kind, r.what, buyers, items, options->>'channel');
		GET DIAGNOSTICS n = ROW_COUNT;
		told := told + n;
		EXIT WHEN told >= most;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync.price_changes(timestamptz, jsonb) IS
	'What may have another price since a stamp of the price clock (the known_at of the prices one has), by buyers × items: every price that differs is covered by a row, not every row is a price that differs. kind: change (a write, at its stamp) | boundary (something starts or ends at an instant without a write); cause: version, assignment, member, party, item, cost, exchange_rate, lock, policy, shared; who_kind: party (as buyer, above the buyer, as ship-to or job), customer, parent, ship_to, job, buying_group, price_class, region, channel, all; what_kind: item, variant_parent, category, brand, family, vendor, all; valid: period of what changed. options: as_of (instant the prices were for, default since), until (default now), after (position of the last row one has, instead of since), limit (rows after which no further change is begun, default 10000), customer (without ship-to and job), item, channel. No row: nothing changed. Errors: SD001, SD002, SD005 since is missing, SD083 longer ago than changes are kept, or no position.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('price_changes', '{integrator,operator,admin}');
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('clerk', 'price_feed_retain', 810, 'distsync_internal.pricing_feed_retain');
