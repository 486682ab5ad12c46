-- Streams: the numbers that a source gives to its events. What is missing makes physical numbers doubtful; what was refused is not
-- missing: somebody knows of it.

-- inventory_streams does the bookkeeping of numbered streams: what was seen, what is missing. Numbers seen before are duplicates, unless
-- what they named was refused: then this is it, corrected.
CREATE FUNCTION distsync_internal.inventory_streams(events distsync_internal.inventory_event[], source text) RETURNS integer[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s record;
	x record;
	t timestamptz := clock_timestamp();
	twice integer[] := '{}';
	more integer[];
BEGIN
	FOR s IN
		SELECT e.stream, min(e.perspective) AS perspective, CASE WHEN min(e.site_id) = max(e.site_id) AND count(e.to_site_id) = 0 THEN min(e.site_id) ELSE 0 END AS site_id, min(e.sequence) AS first,
			range_agg(int8range(e.sequence, e.sequence + 1)) FILTER (WHERE e.sequence IS NOT NULL) AS told, max(e.event_at) AS event_at
		FROM unnest(events) e WHERE e.outcome IS NULL GROUP BY e.stream ORDER BY e.stream COLLATE "C"
	LOOP
		INSERT INTO dist.stock_stream (source, stream, perspective, site_id, first_sequence, next_sequence, last_event_at, last_received_at)
		VALUES (inventory_streams.source, s.stream, s.perspective, s.site_id, COALESCE(s.first, 1), COALESCE(s.first, 1), s.event_at, t) ON CONFLICT DO NOTHING;
		IF s.told IS NULL THEN
			-- unnumbered: a sign of life, not more often than every few seconds, so that writers do not queue for it
			UPDATE dist.stock_stream y SET last_received_at = t, last_event_at = greatest(y.last_event_at, s.event_at), site_id = CASE WHEN y.site_id = s.site_id THEN y.site_id ELSE 0 END
			WHERE y.source = inventory_streams.source AND y.stream = s.stream AND (y.last_received_at < t - interval '5 seconds' OR y.site_id NOT IN (s.site_id, 0));
			CONTINUE;
		END IF;
		SELECT y.* INTO x FROM dist.stock_stream y WHERE y.source = inventory_streams.source AND y.stream = s.stream FOR UPDATE;
		SELECT array_agg(u.ordinal) INTO more
		FROM (SELECT e.ordinal, e.sequence, row_number() OVER (PARTITION BY e.sequence ORDER BY e.ordinal) AS nth FROM unnest(events) e WHERE e.outcome IS NULL AND e.stream = s.stream AND e.sequence IS NOT NULL) u
		WHERE u.sequence <@ (x.ahead + int8multirange(int8range(x.first_sequence, x.next_sequence)) - x.refused) OR u.nth > 1;
		twice := twice || COALESCE(more, '{}');
		UPDATE dist.stock_stream y SET last_event_at = greatest(y.last_event_at, s.event_at), site_id = CASE WHEN y.site_id = s.site_id THEN y.site_id ELSE 0 END
		WHERE y.source = inventory_streams.source AND y.stream = s.stream;
		PERFORM distsync_internal.inventory_stream_heard(inventory_streams.source, s.stream, s.told, x.refused - s.told);
	END LOOP;
	RETURN twice;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_streams(distsync_internal.inventory_event[], text) IS
	'Notes the numbers of events in their streams, finds and closes gaps. A stream starts with the lowest number told; told later, a lower one moves its start. Returns the ordinals whose number was seen before and not refused.';

-- inventory_stream_heard does the noting of numbers that were heard, and of those among all that were heard that are still refused. The
-- exception that tells of them ends with the last one.
CREATE FUNCTION distsync_internal.inventory_stream_heard(source text, stream text, told int8multirange, refused int8multirange) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	x record;
	t timestamptz := clock_timestamp();
	seen int8multirange;
	first bigint;
	next bigint;
BEGIN
	SELECT y.* INTO x FROM dist.stock_stream y WHERE y.source = inventory_stream_heard.source AND y.stream = inventory_stream_heard.stream FOR UPDATE;
	-- what comes from before the first number we know was sent earlier and told later: the stream starts there, then
	seen := x.ahead + int8multirange(int8range(x.first_sequence, x.next_sequence)) + told;
	first := least(x.first_sequence, lower(told));
	next := COALESCE((SELECT upper(r) FROM unnest(seen) r WHERE r @> first), first);
	seen := seen - int8multirange(int8range(NULL, next));
	UPDATE dist.stock_stream y SET first_sequence = first, next_sequence = next, ahead = seen, refused = inventory_stream_heard.refused, gap_from = CASE WHEN isempty(seen) THEN NULL ELSE next END,
		gap_since = CASE WHEN isempty(seen) THEN NULL WHEN y.gap_from IS NULL THEN t ELSE y.gap_since END, last_received_at = t
	WHERE y.source = inventory_stream_heard.source AND y.stream = inventory_stream_heard.stream;
	IF isempty(inventory_stream_heard.refused) AND NOT isempty(x.refused) THEN
		PERFORM distsync_internal.base_exception_close('event_refused', concat_ws(':', source, stream), 'told again and applied');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_stream_heard(text, text, int8multirange, int8multirange) IS
	'Adds numbers to those that a stream has been heard of, moves its start and its gap; refused: all numbers of it that were heard and are refused. Closes the exception event_refused when there are none left.';

-- inventory_refused does the noting of numbers whose events were refused: they count as heard, because who sent them was told, and the
-- exception event_refused tells everybody else. So one bad event does not make a warehouse doubtful for ever, and told again, corrected,
-- it is news. A stream that refuses more than that has its gap back.
CREATE FUNCTION distsync_internal.inventory_refused(source text, streams text[], sequences bigint[], correlation_id uuid, heard boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	most CONSTANT integer := 1000;
	s record;
	x record;
	news int8multirange;
BEGIN
	FOR s IN
		SELECT u.stream, range_agg(int8range(u.sequence, u.sequence + 1)) AS told FROM unnest(streams, sequences) u(stream, sequence)
		WHERE u.stream IS NOT NULL AND u.sequence IS NOT NULL GROUP BY u.stream ORDER BY u.stream COLLATE "C"
	LOOP
		SELECT y.* INTO x FROM dist.stock_stream y WHERE y.source = inventory_refused.source AND y.stream = s.stream FOR UPDATE;
		CONTINUE WHEN NOT FOUND;
		news := s.told * int8multirange(int8range(x.first_sequence, NULL)) - CASE WHEN heard THEN x.refused ELSE x.ahead + int8multirange(int8range(x.first_sequence, x.next_sequence)) END;
		CONTINUE WHEN isempty(news) OR (SELECT count(*) FROM unnest(x.refused + news)) > most;
		PERFORM distsync_internal.inventory_stream_heard(inventory_refused.source, s.stream, news, x.refused + news);
		PERFORM distsync_internal.base_exception('event_refused', concat_ws(':', inventory_refused.source, s.stream), 'stock', 'warning', NULL, 'stock_stream', s.stream,
			jsonb_build_object('source', inventory_refused.source, 'stream', s.stream, 'refused', (x.refused + news)::text), NULL, NULL, NULL, inventory_refused.correlation_id);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_refused(text, text[], bigint[], uuid, boolean) IS
	'Notes that events with these numbers (arrays of equal length; NULL = not numbered) of streams that are known were refused: they leave no gap, and told again they are applied. Opens the exception event_refused. heard: they are noted as applied, which was not to be. Beyond 1,000 ranges of a stream the gap stays.';

-- inventory_events_refused does the same for documents as they were sent, of which anything may be wrong: what the door refused, or a
-- whole message that was set aside.
CREATE FUNCTION distsync_internal.inventory_events_refused(context jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	streams text[];
	sequences bigint[];
BEGIN
	SELECT array_agg(d ->> 'stream'), array_agg((d ->> 'sequence')::bigint) INTO streams, sequences FROM jsonb_array_elements(context -> 'documents') d
	WHERE jsonb_typeof(d) = 'object' AND jsonb_typeof(d -> 'stream') = 'string' AND jsonb_typeof(d -> 'sequence') IN ('string', 'number') AND d ->> 'sequence' ~ '^\d{1,18}$';
	IF streams IS NOT NULL THEN
		PERFORM distsync_internal.inventory_refused(context ->> 'source', streams, sequences, (context ->> 'correlation_id')::uuid);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_events_refused(jsonb) IS 'Hook refused.stock_event, {"source","documents","correlation_id"}: notes the numbers of stock_event documents that were refused.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('hook', 'refused.stock_event', 'distsync_internal.inventory_events_refused');
