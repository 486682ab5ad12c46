/*-------------------------------------------------------------------------
 *
 * event_flight.c
 *		Movements that both perspectives will name: what the warehouse has told
 *		and the book has not is in flight, and counted in the book's number.
 *		What the book may have seen in a count is for SQL.
 *
 * Process: any backend. Locks: the caller's. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "base/compat.h"
#include "inventory/event_pool.h"

#define OP(function, a, b)                                                                         \
	DatumGetNumeric(DirectFunctionCall2((function), NumericGetDatum(a), NumericGetDatum(b)))
#define ZERO int64_to_numeric(0)

enum
{
	F_ITEM_ID,
	F_SITE_ID,
	F_REFERENCE,
	F_PHYS,
	F_BOOK,
	F_EVENT_AT,
	F_COUNT
};

static DsRowsTable flights_table = {
	.schema = "dist",
	.name = "stock_in_flight",
	.adds = true,
	.changes = true,
	.removes = true,
	.keys = 3,
	.kept = {"stock_in_flight_chk"},
	.columns = {{"item_id", INT8OID},
				{"site_id", INT8OID},
				{"reference", TEXTOID},
				{"phys", NUMERICOID},
				{"book", NUMERICOID},
				{"event_at", TIMESTAMPTZOID},
				{NULL}},
};

enum
{
	C_PERSPECTIVE,
	C_COUNTED_AT
};

static DsTable counts_table = {
	.name = "stock_balance",
	.index = "stock_balance_pk",
	.keys = {"item_id", "site_id"},
	.columns = {"perspective", "counted_at"},
};

static int
compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

/* counted_until does the last count of the book of anything in the pool: what happened up to then it may have seen. */
static TimestampTz
counted_until(DsEventPosting *posting, const DsEventPool *pool)
{
	Datum keys[2] = {Int64GetDatum(pool->item_id), Int64GetDatum(pool->site_id)};
	TimestampTz last = DT_NOBEGIN;

	if (posting->counts == NULL)
		posting->counts = ds_reader_open(&counts_table);
	ds_reader_seek(posting->counts, keys, 2);
	while (ds_reader_next(posting->counts))
		if (ds_reader_text_is(posting->counts, C_PERSPECTIVE, "book") &&
			!posting->counts->nulls[C_COUNTED_AT])
			last = Max(last, DatumGetTimestampTz(posting->counts->values[C_COUNTED_AT]));
	return last;
}

/* waiting does what the book has still to tell of a movement. */
static Numeric
waiting(Numeric phys, Numeric book)
{
	int direction = compare(phys, ZERO);
	Numeric rest = OP(numeric_sub, phys, book);

	return direction == 0  ? ZERO
		   : direction < 0 ? OP(numeric_smaller, ZERO, rest)
						   : OP(numeric_larger, ZERO, rest);
}

/* read_flight does what is known of a movement before the call. */
static void
read_flight(DsEventPosting *posting, const DsEventPool *pool, DsEventFlight *flight)
{
	DsRows *w = posting->flights;
	Datum keys[3] = {Int64GetDatum(pool->item_id), Int64GetDatum(pool->site_id),
					 ds_inventory_slice_text(flight->reference)};

	flight->exists = ds_rows_find(w, GetActiveSnapshot(), keys);
	if (!flight->exists)
		return;
	flight->tid = w->found->tts_tid;
	flight->phys = DatumGetNumericCopy(w->values[F_PHYS]);
	flight->book = DatumGetNumericCopy(w->values[F_BOOK]);
	flight->event_at = Max(flight->event_at, DatumGetTimestampTz(w->values[F_EVENT_AT]));
}

/*
 * ds_inventory_flight_add does the noting of what a leg tells of a movement.
 * False: it is for SQL. What is noted counts when the pool is written.
 */
bool
ds_inventory_flight_add(DsEventPosting *posting, DsEventPool *pool, const DsLeg *leg,
						Numeric change)
{
	DsEventFlight *flight = NULL;
	Numeric *side;

	if (posting->flights == NULL)
		posting->flights = ds_rows_open(&flights_table);
	if (posting->flights == NULL)
		return false;
	if (pool->nflights == 0)
		pool->counted_until = counted_until(posting, pool);
	if (leg->event->event_at <= pool->counted_until)
		return false;
	for (int i = 0; i < pool->nflights && flight == NULL; i++)
		if (ds_inventory_slice_compare(posting->flight[i].reference, leg->event->reference) == 0)
			flight = &posting->flight[i];
	if (flight == NULL)
	{
		if (pool->nflights == DS_EVENT_MAX_FLIGHTS)
			return false;
		flight = &posting->flight[pool->nflights++];
		flight->reference = leg->event->reference;
		flight->event_at = leg->event->event_at;
		flight->phys = flight->book = ZERO;
		read_flight(posting, pool, flight);
		flight->before = waiting(flight->phys, flight->book);
	}
	side = leg->event->book ? &flight->book : &flight->phys;
	*side = OP(numeric_add, *side, change);
	flight->event_at = Max(flight->event_at, leg->event->event_at);
	/* what has no place in the books is for SQL to refuse */
	return ds_inventory_number_fits(*side);
}

/* ds_inventory_flight_change does what the legs of a pool change in what waits for the book. */
Numeric
ds_inventory_flight_change(const DsEventPosting *posting, const DsEventPool *pool)
{
	Numeric change = ZERO;

	for (int i = 0; i < pool->nflights; i++)
	{
		const DsEventFlight *flight = &posting->flight[i];

		change = OP(numeric_add, change,
					OP(numeric_sub, waiting(flight->phys, flight->book), flight->before));
	}
	return change;
}

/* six does a number as it is kept: a sum that began with nothing may have fewer decimals. */
static Datum
six(Numeric value)
{
	return DirectFunctionCall2(numeric, NumericGetDatum(value),
							   Int32GetDatum(((20 << 16) | 6) + VARHDRSZ));
}

/* ds_inventory_flight_write does the rows of the movements of a pool; where both sides have told the same there is nothing to wait for. */
void
ds_inventory_flight_write(DsEventPosting *posting, const DsEventPool *pool)
{
	static const int changed[] = {F_PHYS, F_BOOK, F_EVENT_AT};
	DsRows *w = posting->flights;

	for (int i = 0; i < pool->nflights; i++)
	{
		DsEventFlight *flight = &posting->flight[i];
		bool settled = compare(flight->phys, flight->book) == 0;
		Datum values[F_COUNT] = {Int64GetDatum(pool->item_id),
								 Int64GetDatum(pool->site_id),
								 ds_inventory_slice_text(flight->reference),
								 six(flight->phys),
								 six(flight->book),
								 TimestampTzGetDatum(flight->event_at)};
		bool nulls[F_COUNT] = {false};

		if (flight->exists)
			ds_rows_at(w, GetActiveSnapshot(), &flight->tid);
		if (flight->exists && settled)
			ds_rows_delete(w, GetActiveSnapshot());
		else if (flight->exists)
			ds_rows_update(w, GetActiveSnapshot(), lengthof(changed), changed, values + F_PHYS,
						   NULL);
		else if (!settled)
			ds_rows_add(w, values, nulls);
	}
}
