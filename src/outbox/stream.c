/*-------------------------------------------------------------------------
 *
 * stream.c
 *		The tables that events go to: the stream and the clocks of entities.
 *
 * Rows are written as base/rows.h does it, and by a statement where that would
 * do more: a trigger of somebody on the stream, FORCE ROW LEVEL SECURITY, a
 * partition of somebody else. The router is the only writer, under its lock.
 *
 * Process: any backend inside SPI_connect, mostly the courier. Locks:
 * RowExclusiveLock on tables, partitions and indexes until the transaction
 * ends; rows that are changed. Memory: the context in which it is opened;
 * plans as long as the session.
 *
 *-------------------------------------------------------------------------
 */
#include "outbox/store.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/spi.h"

static DsRowsTable event_rows = {
	.schema = "sync",
	.name = "event",
	.adds = true,
	.by = "position",
	.columns = {{"position", INT8OID},
				{"message_id", UUIDOID},
				{"at", TIMESTAMPTZOID},
				{"routed_at", TIMESTAMPTZOID},
				{"event_type", TEXTOID},
				{"entity", TEXTOID},
				{"entity_key", TEXTOID},
				{"incarnation", INT4OID},
				{"entity_version", INT8OID},
				{"customer_id", INT8OID},
				{"correlation_id", UUIDOID},
				{"causation_id", UUIDOID},
				{"origin", TEXTOID},
				{"body", BYTEAOID}},
};

enum
{
	C_ENTITY,
	C_ENTITY_KEY,
	C_VERSION,
	C_SAID,
	C_COUNT
};

static DsRowsTable clock_rows = {
	.schema = "sync",
	.name = "entity_clock",
	.adds = true,
	.changes = true,
	.by = "entity_key",
	.keys = 2,
	.changed = {"version", "said"},
	.columns = {{"entity", TEXTOID},
				{"entity_key", TEXTOID},
				{"version", INT8OID},
				{"said", TEXTOID}},
};

/* ds_outbox_stream_open does the opening of the tables. */
void
ds_outbox_stream_open(DsOutboxStream *stream)
{
	stream->events = ds_rows_parts_open(&event_rows);
	stream->clocks = ds_rows_parts_open(&clock_rows);
	stream->clock = NULL;
	stream->snapshot = GetActiveSnapshot();
}

/* take_clock does the reading of what was found. */
static void
take_clock(DsOutboxClock *clock, Datum version, Datum said, bool no_said)
{
	clock->version = DatumGetInt64(version);
	clock->has_said = !no_said;
	if (clock->has_said)
		text_to_cstring_buffer(DatumGetTextPP(said), clock->said, sizeof(clock->said));
}

/* ask_clock does the look-up by a statement. */
static void
ask_clock(DsOutboxClock *clock)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {TEXTOID, TEXTOID};
	bool isnull;

	if (plan == NULL)
		plan = ds_spi_keep("SELECT version, said FROM sync.entity_clock WHERE entity = $1 AND "
						   "entity_key = $2",
						   lengthof(types), types);
	clock->found = ds_spi_run(plan, clock->keys, NULL) > 0;
	if (clock->found)
	{
		Datum version = ds_spi_datum(0, 1, &isnull);
		Datum said = ds_spi_datum(0, 2, &isnull);

		take_clock(clock, version, said, isnull);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* ds_outbox_stream_look does the look-up of the clock of an entity, by its keys; one that is not there says 0. */
void
ds_outbox_stream_look(DsOutboxStream *stream, DsOutboxClock *clock)
{
	clock->version = 0;
	clock->has_said = false;
	stream->clock = stream->clocks == NULL
						? NULL
						: ds_rows_parts_writer(stream->clocks, clock->keys[C_ENTITY_KEY]);
	if (stream->clock == NULL)
	{
		ask_clock(clock);
		return;
	}
	clock->found = ds_rows_find(stream->clock, stream->snapshot, clock->keys);
	if (clock->found)
		take_clock(clock, stream->clock->values[C_VERSION], stream->clock->values[C_SAID],
				   stream->clock->nulls[C_SAID]);
}

/* tell_clock does the writing of a clock by a statement. */
static void
tell_clock(Datum *values, const bool *nulls)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {TEXTOID, TEXTOID, INT8OID, TEXTOID};
	char marks[C_COUNT];

	for (int i = 0; i < C_COUNT; i++)
		marks[i] = nulls[i] ? 'n' : ' ';
	if (plan == NULL)
		plan = ds_spi_keep("INSERT INTO sync.entity_clock (entity, entity_key, version, said) "
						   "VALUES ($1, $2, $3, $4) ON CONFLICT (entity, entity_key) DO UPDATE SET "
						   "version = excluded.version, said = excluded.said",
						   lengthof(types), types);
	ds_spi_run(plan, values, marks);
}

/* ds_outbox_stream_set does the setting of the clock that was looked up last. */
void
ds_outbox_stream_set(DsOutboxStream *stream, const DsOutboxClock *clock)
{
	static const int changed[] = {C_VERSION, C_SAID};
	Datum values[C_COUNT] = {clock->keys[C_ENTITY], clock->keys[C_ENTITY_KEY],
							 Int64GetDatum(clock->version), (Datum) 0};
	bool nulls[C_COUNT] = {false, false, false, !clock->has_said};

	if (clock->has_said)
		values[C_SAID] = CStringGetTextDatum(clock->said);
	if (stream->clock == NULL)
		tell_clock(values, nulls);
	else if (clock->found)
		ds_rows_update(stream->clock, stream->snapshot, lengthof(changed), changed,
					   &values[C_VERSION], &nulls[C_VERSION]);
	else
		ds_rows_add(stream->clock, values, nulls);
}

/* tell_event does the adding of an event by a statement. */
static void
tell_event(const Datum *values, const bool *nulls)
{
	static SPIPlanPtr plan = NULL;
	Oid types[E_COUNT];
	Datum given[E_COUNT];
	char marks[E_COUNT];

	for (int i = 0; i < E_COUNT; i++)
	{
		types[i] = event_rows.columns[i].type;
		given[i] = values[i];
		marks[i] = nulls[i] ? 'n' : ' ';
	}
	if (plan == NULL)
		plan = ds_spi_keep("INSERT INTO sync.event (position, message_id, at, routed_at, "
						   "event_type, entity, entity_key, incarnation, entity_version, "
						   "customer_id, correlation_id, causation_id, origin, body) VALUES ($1, "
						   "$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
						   E_COUNT, types);
	ds_spi_run(plan, given, marks);
}

/* ds_outbox_stream_add does the adding of an event; it is there when the stream is closed. */
void
ds_outbox_stream_add(DsOutboxStream *stream, const Datum *values, const bool *nulls)
{
	DsRows *w =
		stream->events == NULL ? NULL : ds_rows_parts_writer(stream->events, values[E_POSITION]);

	if (w == NULL)
		tell_event(values, nulls);
	else
		ds_rows_add(w, values, nulls);
}

/* ds_outbox_stream_close does the writing of what waits, and the end. */
void
ds_outbox_stream_close(DsOutboxStream *stream)
{
	if (stream->clocks != NULL)
		ds_rows_parts_close(stream->clocks);
	if (stream->events != NULL)
		ds_rows_parts_close(stream->events);
}
