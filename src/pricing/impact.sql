-- Impact: what a draft would do to the prices of open documents, before it is published.
--
-- Which lines could change is found set-wise, from who and what the draft and what it replaces are for; they are priced twice, at the same
-- instant, with the draft and without it. Documents come from the rooms that have them, through handlers of kind priced_lines.

CREATE TYPE distsync_internal.price_twice AS (
	ordinal		integer,
	changed		boolean,
	item		text,
	quantity	numeric,
	unit		text,
	currency	text,
	old_unit_price	numeric,
	old_price_per	integer,
	old_net_amount	numeric,
	old_agreement	text,
	old_code	text,
	new_unit_price	numeric,
	new_price_per	integer,
	new_net_amount	numeric,
	new_agreement	text,
	new_code	text
);
COMMENT ON TYPE distsync_internal.price_twice IS 'A line priced as things are and with drafts: ordinal is its place in the question, changed says whether unit price, amount or outcome differ; the rest is as in price_result, prices NULL where there is none.';

-- pricing_twice does the pricing of one document with drafts and without them. It is made for many documents of one statement, which share the drafts.
CREATE FUNCTION distsync_internal.pricing_twice(customer_id bigint, lines jsonb, at timestamptz, options jsonb, drafts bigint[], concerned bigint[], everything boolean)
RETURNS SETOF distsync_internal.price_twice
AS 'MODULE_PATHNAME', 'ds_sql_pricing_twice' LANGUAGE c STABLE STRICT ROWS 10;
COMMENT ON FUNCTION distsync_internal.pricing_twice(bigint, jsonb, timestamptz, jsonb, bigint[], bigint[], boolean) IS
	'Prices the lines of one customer as prices() does, now and as if versions had been published: lines that differ, or everything. options are not checked. drafts, which pricing_drafts() has proved, and concerned, the agreements that have them or start from the price of one, must be the same for all calls of a statement.';

-- pricing_concerned does the finding of the agreements of which drafts may change a price: their own, and all that start from the price of one.
CREATE FUNCTION distsync_internal.pricing_concerned(drafts bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(
	WITH RECURSIVE up AS (
		SELECT v.agreement_id FROM dist.agreement_version v WHERE v.version_id = ANY (drafts)
		UNION
		SELECT v.agreement_id FROM up JOIN dist.rate_base r ON r.base_agreement_id = up.agreement_id JOIN dist.agreement_version v ON v.rate_set_id = r.version_id AND v.status = 'published' AND upper_inf(v.known)
	)
	SELECT u.agreement_id FROM up u ORDER BY 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_concerned(bigint[]) IS 'Agreements of draft versions, and those held whose rates start from the price of one of them, however many steps away.';

-- pricing_reach does the finding of the parties that agreements are for: of own rates, by assignment, and everybody below them.
CREATE FUNCTION distsync_internal.pricing_reach(agreements bigint[], sets bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
	IF EXISTS (SELECT FROM dist.agreement_assignment s WHERE s.agreement_id = ANY (agreements) AND upper_inf(s.known) AND s.who_kind IN ('all', 'channel'))
		AND EXISTS (SELECT FROM dist.book_rate b WHERE b.version_id = ANY (sets)) THEN
		RETURN NULL;
	END IF;
	RETURN ARRAY(
	WITH who AS MATERIALIZED (SELECT s.who_kind, s.who_key FROM dist.agreement_assignment s WHERE s.agreement_id = ANY (agreements) AND upper_inf(s.known)),
	named AS MATERIALIZED (
		SELECT c.customer_id AS party_id FROM dist.customer_rate c WHERE c.version_id = ANY (sets)
		UNION SELECT p.party_id FROM who w JOIN dist.party p ON p.code = w.who_key WHERE w.who_kind IN ('customer', 'parent', 'ship_to', 'job')
		UNION SELECT m.party_id FROM who w JOIN dist.party_group g ON g.kind = w.who_kind AND g.code = w.who_key JOIN dist.party_member m ON m.group_id = g.group_id AND upper_inf(m.known)
		UNION SELECT p.party_id FROM who w JOIN dist.party p ON p.price_class = w.who_key WHERE w.who_kind = 'price_class')
	SELECT n.party_id FROM named n UNION SELECT a.party_id FROM named n JOIN dist.party_ancestor a ON a.ancestor_id = n.party_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_reach(bigint[], bigint[]) IS 'Parties that rates of agreements and rate sets may be for, at any time, with all below them; NULL = any party.';

-- pricing_items does the finding of the items that rate sets name.
CREATE FUNCTION distsync_internal.pricing_items(sets bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
	targets bigint[] := ARRAY(SELECT c.target_id FROM dist.customer_rate c WHERE c.version_id = ANY (sets) UNION SELECT b.target_id FROM dist.book_rate b WHERE b.version_id = ANY (sets));
BEGIN
	IF EXISTS (SELECT FROM dist.target g WHERE g.what_kind = 'all' AND g.target_id = ANY (targets)) THEN
		RETURN NULL;
	END IF;
	RETURN ARRAY(
	SELECT DISTINCT i.item_id FROM unnest(targets) t JOIN dist.target g ON g.target_id = t JOIN dist.item_target i ON i.what_kind = g.what_kind AND i.what_key = g.what_key);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_items(bigint[]) IS 'Items that rates of rate sets name, at any time; NULL = all items.';

-- pricing_scope does the finding of what drafts may concern, as widely as it takes to miss nothing.
CREATE FUNCTION distsync_internal.pricing_scope(drafts bigint[], concerned bigint[], OUT items bigint[], OUT parties bigint[], OUT whole boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sets bigint[] := ARRAY(SELECT DISTINCT v.rate_set_id FROM dist.agreement_version v
		WHERE v.version_id = ANY (drafts) OR v.agreement_id = ANY (concerned) AND v.status = 'published' AND upper_inf(v.known));
BEGIN
	items := distsync_internal.pricing_items(sets);
	parties := distsync_internal.pricing_reach(concerned, sets);
	whole := EXISTS (SELECT FROM dist.agreement_version v JOIN dist.agreement a ON a.agreement_id = v.agreement_id
		WHERE (v.version_id = ANY (drafts) OR v.status = 'published' AND upper_inf(v.known)) AND (a.slot = 'order' OR v.tier_basis <> 'line' OR num_nonnulls(v.commit_quantity, v.commit_amount) > 0));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_scope(bigint[], bigint[]) IS
	'Items and parties (NULL = all) whose prices drafts may change, among concerned agreements; whole: prices may depend on other lines of a document, because some agreement sums over them, or has a volume.';

-- pricing_impact does the pricing of open documents with a draft and without it.
CREATE FUNCTION distsync_internal.pricing_impact(agreement text, options jsonb)
RETURNS TABLE (customer text, document_kind text, document text, company text, line integer, item text, quantity numeric, unit text, currency text, old_unit_price numeric, old_price_per integer,
	old_net_amount numeric, new_unit_price numeric, new_price_per integer, new_net_amount numeric, delta numeric, outcome text, code text, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
	drafts bigint[];
	concerned bigint[];
	only_customer bigint;
	scope record;
	h record;
BEGIN
	PERFORM distsync_internal.base_required('agreement', pricing_impact.agreement);
	options := distsync_internal.base_options(options, '{version:integer:1,at:instant,at_document_date:boolean,customer:text,unchanged:boolean}');
	drafts := distsync_internal.pricing_drafts(jsonb_build_array(jsonb_build_object('agreement', pricing_impact.agreement, 'version', options->'version')), 'agreement');
	only_customer := distsync_internal.master_party(options->>'customer', 'options.customer');
	concerned := distsync_internal.pricing_concerned(drafts);
	scope := distsync_internal.pricing_scope(drafts, concerned);
	IF COALESCE((options->>'unchanged')::boolean, false) THEN
		scope.items := NULL; scope.parties := NULL;
	END IF;
	IF only_customer IS NOT NULL THEN
		scope.parties := ARRAY[only_customer];
	END IF;
	FOR h IN SELECT r.function FROM distsync_internal.handler r WHERE r.kind = 'priced_lines' ORDER BY r.ordinal, r.name COLLATE "C" LOOP
		RETURN QUERY EXECUTE format($sql$
			SELECT p.code, d.document_kind, d.document_key, d.options->>'company', (l.told->>'line')::integer, t.item, trim_scale(t.quantity), t.unit, t.currency, t.old_unit_price, t.old_price_per, t.old_net_amount,
				t.new_unit_price, t.new_price_per, t.new_net_amount, round((t.new_net_amount - t.old_net_amount) * COALESCE((l.told->>'open')::numeric, 1) / COALESCE((l.told->>'of')::numeric, 1), c.minor_units),
				CASE WHEN NOT t.changed THEN CASE t.new_code WHEN 'locked' THEN 'locked' ELSE 'unchanged' END WHEN t.new_unit_price IS NULL THEN 'lost' WHEN t.old_unit_price IS NULL THEN 'gained'
					WHEN t.new_unit_price * t.old_price_per > t.old_unit_price * t.new_price_per THEN 'raised' WHEN t.new_unit_price * t.old_price_per < t.old_unit_price * t.new_price_per THEN 'lowered'
					WHEN t.new_net_amount > t.old_net_amount THEN 'raised' ELSE 'lowered' END,
				t.new_code, jsonb_build_object('old_agreement', t.old_agreement, 'new_agreement', t.new_agreement, 'old_code', t.old_code)
					|| CASE WHEN l.told ? 'open' THEN jsonb_build_object('open', l.told->'open', 'of', l.told->'of') ELSE '{}' END
			FROM (SELECT * FROM %s($1, $2, $3) x WHERE x.customer_id = $4 OR $4 IS NULL ORDER BY x.customer_id) d
			CROSS JOIN LATERAL distsync_internal.pricing_twice(d.customer_id, d.lines, CASE WHEN $5 THEN d.at ELSE $6 END, d.options, $7, $8, $9) t
			CROSS JOIN LATERAL (SELECT d.lines->(t.ordinal - 1)) l(told)
			JOIN dist.party p ON p.party_id = d.customer_id
			JOIN dist.currency c ON c.currency = t.currency
			WHERE COALESCE((l.told->>'open')::numeric > 0, true) $sql$, h.function)
		USING scope.items, scope.parties, scope.whole, only_customer, COALESCE((options->>'at_document_date')::boolean, false), COALESCE((options->>'at')::timestamptz, statement_timestamp()),
			drafts, concerned, COALESCE((options->>'unchanged')::boolean, false);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_impact(text, jsonb) IS 'Rows of price_impact(), in no order.';

-- price_impact does the telling of every open line that a draft would change.
CREATE FUNCTION distsync.price_impact(agreement text, options jsonb DEFAULT '{}')
RETURNS TABLE (customer text, document_kind text, document text, company text, line integer, item text, quantity numeric, unit text, currency text, old_unit_price numeric, old_price_per integer,
	old_net_amount numeric, new_unit_price numeric, new_price_per integer, new_net_amount numeric, delta numeric, outcome text, code text, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY SELECT i.* FROM distsync_internal.pricing_impact(price_impact.agreement, options) i
	ORDER BY i.customer COLLATE "C", i.company COLLATE "C", i.document_kind, i.document COLLATE "C", i.line;
END
$$;
COMMENT ON FUNCTION distsync.price_impact(text, jsonb) IS
	'What publishing the newest draft of an agreement would do to open orders and quotes: each line whose unit price, amount or outcome would change, priced twice at the same instant, as things are (old_) and as if it had been published (new_). old_net_amount and new_net_amount are for the whole line, after order discounts; delta is their difference for what is still open, NULL where one is missing. outcome raised | lowered | lost (it would have no price) | gained, and with option unchanged: unchanged | locked; code as in price(); detail {"old_agreement","new_agreement","old_code"} and, where some of the line is gone already, {"open","of"} in base units. options: version (of several drafts), at (this moment if left out), at_document_date (each document when it was placed), customer, unchanged (all open lines). Writes nothing. Errors: those of publish() of the draft, but for approval and overlap; SD001, SD002 option.';

-- price_impact_summary does the adding up of the same, so that a person sees the size before the rows.
CREATE FUNCTION distsync.price_impact_summary(agreement text, options jsonb DEFAULT '{}')
RETURNS TABLE (customer text, currency text, replaces text, documents bigint, lines bigint, raised bigint, lowered bigint, lost bigint, gained bigint, delta numeric, at_risk numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY SELECT i.customer, i.currency, i.replaces, count(DISTINCT (i.company, i.document_kind, i.document)), count(*), count(*) FILTER (WHERE i.outcome = 'raised'),
		count(*) FILTER (WHERE i.outcome = 'lowered'), count(*) FILTER (WHERE i.outcome = 'lost'), count(*) FILTER (WHERE i.outcome = 'gained'), COALESCE(sum(i.delta), 0), COALESCE(-sum(i.delta) FILTER (WHERE i.delta < 0), 0)
	FROM (SELECT x.*, x.detail->>'old_agreement' AS replaces FROM distsync_internal.pricing_impact(price_impact_summary.agreement, options - 'unchanged') x) i
	GROUP BY i.customer, i.currency, i.replaces ORDER BY i.customer COLLATE "C", i.currency, i.replaces COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync.price_impact_summary(text, jsonb) IS
	'price_impact() added up by customer, currency and the agreement that decides the price now (replaces, NULL = none does): documents, lines, how many are raised, lowered, lose or gain a price, the sum of delta in currency, and at_risk, what is lost on the lines that become cheaper. options and errors as there.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('price_impact', '{integrator,operator,admin}'), ('price_impact_summary', '{integrator,operator,admin}');
