-- price_store.sql: what the peer keeps beside the rates: closures of who reaches what, made whole by peer.refresh(), and two indexes.
CREATE SCHEMA peer;

-- buyer: a party over time; edge: when its place or its groups change next
CREATE TABLE peer.buyer (
	buyer_id	bigint NOT NULL,			-- a party in a period in which what it reaches does not change
	code		text NOT NULL,				-- of the party
	since		timestamptz NOT NULL,
	until		timestamptz NOT NULL,
	party_id	bigint NOT NULL,
	company_id	bigint,						-- the only company
	currency	text NOT NULL,
	minor_units	smallint NOT NULL,
	edge		timestamptz,
	owners		bigint[] NOT NULL,			-- itself and those above it that have rates of their own
	own_targets	bit(8192) NOT NULL,			-- targets of these rates modulo 8192
	PRIMARY KEY (code, since)
);

-- reach: the versions whose rates a buyer may use, with their terms; fixed-width columns first, in the order of use
CREATE TABLE peer.reach (
	buyer_id	bigint NOT NULL,
	owner		bigint NOT NULL,			-- party whose own rates these are, 0 = shared
	rate_set_id	bigint NOT NULL,
	who			bigint,						-- who rank and list rank in one, NULL = not assigned in this period, but in another
	valid_from	timestamptz,
	valid_to	timestamptz NOT NULL,
	edge		timestamptz,				-- when its assignment changes next
	stage		integer NOT NULL,			-- slot × 4, + 1 adjustments in groups, + 2 those that always apply
	grp			integer NOT NULL,			-- promotions: agreement, adjustments: group, numbered in their order
	priority	integer NOT NULL,			-- negative: higher first
	late		integer NOT NULL,			-- order by later start, higher version, agreement
	version_no	integer NOT NULL,
	scale		smallint NOT NULL,
	combine		smallint NOT NULL,			-- 1 override, 2 best, 3 additive, 4 compound, 5 exclusive, 6 always
	slot		smallint NOT NULL,			-- 1 list, 2 book, 3 contract, 4 promotion, 5 adjustment, 6 guard
	clamps		boolean NOT NULL,
	usable		boolean NOT NULL,			-- assigned, company and currency are right
	agreement	text NOT NULL,
	rounding	text,						-- if it is more than a scale
	elsewhere	boolean NOT NULL,			-- of another company
	abroad		boolean NOT NULL			-- in another currency
);

-- item: an item over time
CREATE TABLE peer.item (
	sku			text NOT NULL,
	since		timestamptz NOT NULL,
	until		timestamptz NOT NULL,
	item_id		bigint NOT NULL,
	base_unit	text NOT NULL,
	targets		bigint[] NOT NULL,			-- what means it, by rank
	what_ranks	integer[] NOT NULL,
	units		text[] NOT NULL,			-- with the base unit
	numerators	bigint[] NOT NULL,
	denominators	bigint[] NOT NULL,
	PRIMARY KEY (sku, since)
);

CREATE INDEX reach_idx ON peer.reach (buyer_id);
CREATE INDEX item_idx ON peer.item (item_id);
CREATE INDEX buyer_idx ON peer.buyer (buyer_id);
CREATE INDEX peer_book_rate ON dist.book_rate (target_id) INCLUDE (version_id, line_key, calc, value, unit, min_quantity, price_per, channel_id, site_id, floor_price, ceiling_price, valid_from, valid_to, condition);
CREATE INDEX peer_customer_rate ON dist.customer_rate (customer_id, target_id);

-- refresh_periods does the listing of who a party is, what is assigned to that, and the periods between changes of either.
CREATE FUNCTION peer.refresh_periods() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS pg_temp.who, pg_temp.assigned, pg_temp.change, pg_temp.period;
	CREATE TEMP TABLE who AS
	SELECT c.party_id, CASE c.depth WHEN 0 THEN 'customer' ELSE 'parent' END AS kind, p.code AS key, CASE c.depth WHEN 0 THEN 300 ELSE 400 + c.depth END AS rank, c.valid, NULL::tstzrange AS member, c.ancestor_id
	FROM dist.party_ancestor c JOIN dist.party p ON p.party_id = c.ancestor_id
	UNION ALL
	SELECT c.party_id, g.kind, g.code, CASE g.kind WHEN 'buying_group' THEN 500 WHEN 'price_class' THEN 600 ELSE 700 END + c.depth, c.valid * m.valid, m.valid, NULL
	FROM dist.party_ancestor c JOIN dist.party_member m ON m.party_id = c.ancestor_id AND upper_inf(m.known) JOIN dist.party_group g USING (group_id) WHERE g.kind IN ('buying_group', 'price_class', 'region')
	UNION ALL SELECT party_id, 'price_class', price_class, 600, '(,)', NULL, NULL FROM dist.party WHERE price_class IS NOT NULL
	UNION ALL SELECT party_id, 'all', '', 900, '(,)', NULL, NULL FROM dist.party;
	CREATE TEMP TABLE assigned AS
	SELECT w.party_id, s.agreement_id, w.rank, s.rank AS list_rank, w.valid AS who_valid, s.valid FROM who w JOIN dist.agreement_assignment s ON s.who_kind = w.kind AND s.who_key = w.key
	WHERE upper_inf(s.known) AND s.agreement_id IN (SELECT v.agreement_id FROM dist.agreement_version v WHERE v.status = 'published' AND upper_inf(v.known));
	CREATE TEMP TABLE change AS
	SELECT c.party_id, e AS at, true AS place FROM dist.party_ancestor c, unnest(ARRAY[lower(c.valid), upper(c.valid)]) e WHERE e IS NOT NULL
	UNION SELECT w.party_id, e, true FROM who w, unnest(ARRAY[lower(w.member), upper(w.member)]) e WHERE e IS NOT NULL
	UNION SELECT s.party_id, e, false FROM assigned s, unnest(ARRAY[lower(s.valid), upper(s.valid)]) e WHERE e IS NOT NULL;
	CREATE TEMP TABLE period AS
	SELECT row_number() OVER (ORDER BY e.party_id, e.at) AS buyer_id, e.party_id, e.at AS since, lead(e.at, 1, 'infinity') OVER (PARTITION BY e.party_id ORDER BY e.at) AS until
	FROM (SELECT c.party_id, c.at FROM change c UNION SELECT p.party_id, '-infinity' FROM dist.party p) e;
	ANALYZE who; ANALYZE assigned; ANALYZE change; ANALYZE period;
END
$$;

-- refresh_reach does the making of peer.reach: the nearest assignment of each agreement in each period, with its versions and terms.
CREATE FUNCTION peer.refresh_reach() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS pg_temp.head;
	CREATE TEMP TABLE head AS
	SELECT v.agreement_id, v.rate_set_id, lower(v.valid) AS valid_from, coalesce(upper(v.valid), 'infinity') AS valid_to, v.version_no, -v.priority AS priority, array_position(ARRAY['override', 'best', 'additive', 'compound', 'exclusive', 'always'], v.combine) AS combine,
		array_position(ARRAY['list', 'book', 'contract', 'promotion', 'adjustment', 'guard'], a.slot) AS slot, v.on_breach = 'clamp' AS clamps, a.code, a.company_id, a.currency, coalesce(r.scale, 4) AS scale,
		CASE WHEN r.mode <> 'half_up' OR r.multiple IS NOT NULL OR r.ending IS NOT NULL THEN r.rounding END AS rounding,
		CASE a.slot WHEN 'promotion' THEN dense_rank() OVER (ORDER BY a.code COLLATE "C") WHEN 'adjustment' THEN dense_rank() OVER (ORDER BY v.stack_group COLLATE "C") ELSE 0 END AS grp,
		dense_rank() OVER (ORDER BY lower(v.valid) DESC NULLS LAST, v.version_no DESC, a.code COLLATE "C") AS late
	FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id) LEFT JOIN dist.rounding r ON r.rounding = v.rounding
	WHERE v.status = 'published' AND upper_inf(v.known) AND a.slot IN ('list', 'book', 'contract', 'promotion', 'adjustment', 'guard');
	ANALYZE head;
	INSERT INTO peer.reach
	SELECT s.buyer_id, s.owner, h.rate_set_id, s.who, h.valid_from, h.valid_to, s.edge, h.slot * 4 + CASE WHEN h.slot <> 5 OR h.combine = 5 THEN 0 WHEN h.combine = 6 THEN 2 ELSE 1 END,
		CASE WHEN h.slot = 5 AND h.combine > 4 THEN 0 ELSE h.grp END, h.priority, h.late, h.version_no, h.scale, h.combine, h.slot, h.clamps, s.who IS NOT NULL AND NOT f.elsewhere AND NOT f.abroad, h.code, h.rounding, f.elsewhere, f.abroad
	FROM (
		SELECT d.buyer_id, 0 AS owner, n.agreement_id, min((n.rank::bigint << 32) + n.list_rank + 2147483648) FILTER (WHERE n.valid @> d.since) AS who,
			min(least(CASE WHEN lower(n.valid) > d.since THEN lower(n.valid) END, CASE WHEN upper(n.valid) > d.since THEN upper(n.valid) END)) AS edge
		FROM period d JOIN assigned n ON n.party_id = d.party_id AND n.who_valid @> d.since GROUP BY d.buyer_id, n.agreement_id
		UNION ALL
		SELECT DISTINCT d.buyer_id, w.ancestor_id, p.agreement_id, (w.rank::bigint << 32) + 2147483648, NULL::timestamptz
		FROM period d JOIN who w ON w.party_id = d.party_id AND w.valid @> d.since JOIN dist.rate_part p ON p.customer_id = w.ancestor_id AND p.ended_at IS NULL) s
	JOIN head h USING (agreement_id) JOIN peer.buyer b USING (buyer_id)
	CROSS JOIN LATERAL (SELECT h.company_id IS NOT NULL AND h.company_id IS DISTINCT FROM b.company_id AS elsewhere, h.currency <> b.currency AS abroad OFFSET 0) f
	ORDER BY s.buyer_id, h.slot, h.rate_set_id;
END
$$;

-- refresh_items does the making of peer.item.
CREATE FUNCTION peer.refresh_items() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO peer.item
	SELECT i.sku, d.since, d.until, i.item_id, i.base_unit, x.targets, x.what_ranks, u.units, u.numerators, u.denominators
	FROM (SELECT e.item_id, e.at AS since, lead(e.at, 1, 'infinity') OVER (PARTITION BY e.item_id ORDER BY e.at) AS until
		FROM (SELECT i.item_id, '-infinity'::timestamptz AS at FROM dist.item i UNION SELECT t.item_id, e FROM dist.item_target t, unnest(ARRAY[lower(t.valid), upper(t.valid)]) e WHERE e IS NOT NULL) e) d
	JOIN dist.item i USING (item_id)
	CROSS JOIN LATERAL (SELECT array_agg(t.target_id ORDER BY w.n, t.depth, t.target_id) AS targets, array_agg(w.n * 100 + t.depth ORDER BY w.n, t.depth, t.target_id) AS what_ranks
		FROM dist.item_target t JOIN unnest(ARRAY['item', 'variant_parent', 'family', 'brand', 'category', 'vendor', 'all']) WITH ORDINALITY w(kind, n) ON w.kind = t.what_kind
		WHERE t.item_id = d.item_id AND t.valid @> d.since) x
	CROSS JOIN LATERAL (SELECT i.base_unit || array_agg(u.unit ORDER BY u.unit) AS units, 1::bigint || array_agg(u.numerator ORDER BY u.unit) AS numerators, 1::bigint || array_agg(u.denominator ORDER BY u.unit) AS denominators
		FROM dist.item_unit u WHERE u.item_id = i.item_id) u;
END
$$;

-- refresh does the making of all closures anew.
CREATE FUNCTION peer.refresh() RETURNS void
LANGUAGE plpgsql SET client_min_messages = warning SET work_mem = '256MB' AS $$
BEGIN
	TRUNCATE peer.buyer, peer.reach, peer.item;
	PERFORM peer.refresh_periods();
	DROP TABLE IF EXISTS pg_temp.bits;
	CREATE TEMP TABLE bits AS
	SELECT r.customer_id, bit_or(set_bit(0::bit(8192), (r.target_id % 8192)::integer, 1)) AS bits FROM dist.rate_part o JOIN dist.customer_rate r USING (version_id, customer_id) WHERE o.ended_at IS NULL GROUP BY 1;
	ANALYZE bits;
	INSERT INTO peer.buyer
	SELECT d.buyer_id, p.code, d.since, d.until, p.party_id, o.company_id, coalesce(p.currency, o.currency, ''), coalesce(m.minor_units, 2),
		(SELECT min(c.at) FROM change c WHERE c.party_id = d.party_id AND c.place AND c.at > d.since), coalesce(b.owners, '{}'), coalesce(b.bits, 0::bit(8192))
	FROM period d JOIN dist.party p USING (party_id)
	LEFT JOIN (SELECT min(company_id) AS company_id, min(currency) AS currency FROM dist.company WHERE status = 'active' HAVING count(*) = 1) o ON true
	LEFT JOIN dist.currency m ON m.currency = coalesce(p.currency, o.currency)
	LEFT JOIN (SELECT d.buyer_id, array_agg(w.ancestor_id ORDER BY w.rank) AS owners, bit_or(b.bits) AS bits
		FROM period d JOIN who w ON w.party_id = d.party_id AND w.valid @> d.since JOIN bits b ON b.customer_id = w.ancestor_id GROUP BY 1) b USING (buyer_id);
	PERFORM peer.refresh_reach();
	PERFORM peer.refresh_items();
	DROP TABLE who, assigned, change, period, bits, head;
END
$$;
