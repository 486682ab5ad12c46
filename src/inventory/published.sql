-- What channels were told, and what they would be told now.

-- published_stock does the listing for a channel.
CREATE FUNCTION distsync.published_stock(channel text, item text DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (item_code text, unit text, told numeric, version bigint, told_at timestamptz, would_be_told numeric, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	at timestamptz := statement_timestamp();
	of bigint := distsync_internal.master_channel(published_stock.channel, 'channel');
	one bigint := distsync_internal.master_item(published_stock.item, 'item');
	items bigint[];
BEGIN
	options := distsync_internal.base_options(options, '{after:text,limit:integer:1:10000}');
	IF of IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'no channel is named', COLUMN = 'channel', DETAIL = 'Field: channel.', HINT = 'Name the channel whose items you want to see.';
	END IF;
	SELECT array_agg(k.item_id) INTO items FROM (
		SELECT i.item_id FROM dist.item i
		WHERE (i.item_id = one OR published_stock.item IS NULL) AND (NOT options ? 'after' OR i.sku > options ->> 'after')
			AND (EXISTS (SELECT FROM dist.channel_item c WHERE c.item_id = i.item_id AND c.channel_id = of) OR EXISTS (SELECT FROM dist.channel_availability a WHERE a.item_id = i.item_id AND a.channel_id = of))
		ORDER BY i.sku LIMIT COALESCE((options ->> 'limit')::integer, 1000)) k;
	RETURN QUERY
	SELECT i.sku, i.base_unit, trim_scale(a.quantity), a.version, a.told_at, trim_scale(n.quantity),
		jsonb_strip_nulls(jsonb_build_object('buffer', trim_scale(NULLIF(c.buffer, 0)), 'cap', trim_scale(c.cap), 'threshold', trim_scale(NULLIF(c.threshold, 0)), 'mode', c.mode))
	FROM dist.item i
	LEFT JOIN dist.channel_availability a ON a.item_id = i.item_id AND a.channel_id = of
	LEFT JOIN dist.channel_item c ON c.item_id = i.item_id AND c.channel_id = of
	LEFT JOIN distsync_internal.inventory_channels(items, ARRAY(SELECT o FROM distsync_internal.inventory_site_atp(items, at) o), at) n ON n.item_id = i.item_id AND n.channel_id = of
	WHERE i.item_id = ANY (items) ORDER BY i.sku;
END
$$;
COMMENT ON FUNCTION distsync.published_stock(text, text, jsonb) IS
	'What a channel was told of its items (item NULL = all, by code), in base units: told (NULL = nothing yet, or that it does not sell the item), with the version of the event stock.atp_changed and when, and would_be_told: what the event would say now (NULL = the channel does not sell it any more); where the two differ an event is on its way. detail: buffer, cap, threshold, mode. options: after (code: the next page), limit (1,000; at most 10,000). Reads only. Errors: SD001 unknown channel or item, SD002 option, SD005 no channel.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('published_stock', '{reader,order_entry,integrator,operator,admin}');
