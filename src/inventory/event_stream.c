/*-------------------------------------------------------------------------
 *
 * event_stream.c
 *		The bookkeeping of the streams of a call. What is usual (a stream that
 *		goes on where it ended, or one without numbers that was heard of a
 *		moment ago) is done here, the rest by inventory_streams() in SQL.
 *
 * Process: any backend. Locks: the row of a numbered stream, until the end of
 * the transaction: its numbers are taken in order. Memory: the caller's
 * context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/multirangetypes.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "inventory/event.h"
#include "inventory/event_table.h"

/* an unnumbered stream is a sign of life, noted not more often than this */
#define SIGN_OF_LIFE (5 * USECS_PER_SEC)

enum
{
	S_SOURCE,
	S_STREAM,
	S_NEXT,
	S_AHEAD,
	S_SITE,
	S_LAST_EVENT,
	S_LAST_RECEIVED
};

DsRowsTable ds_inventory_event_streams_table = {
	.schema = "dist",
	.name = "stock_stream",
	.changes = true,
	.keys = 2,
	.kept = {"stock_stream_perspective_chk"},
	.columns = {{"source", TEXTOID},
				{"stream", TEXTOID},
				{"next_sequence", INT8OID},
				{"ahead", INT8MULTIRANGEOID},
				{"site_id", INT8OID},
				{"last_event_at", TIMESTAMPTZOID},
				{"last_received_at", TIMESTAMPTZOID},
				{NULL}},
};

/* What the events of a stream have in common. */
typedef struct Told
{
	DsEvent **event;
	int n;
	int numbered;
	int64 site_id; /* the one they tell about, 0 = several */
	TimestampTz event_at;
} Told;

static int
compare_streams(const void *a, const void *b)
{
	const DsEvent *x = *(DsEvent *const *) a;
	const DsEvent *y = *(DsEvent *const *) b;
	int order = ds_inventory_slice_compare(x->stream, y->stream);

	if (order == 0 && x->numbered != y->numbered)
		order = x->numbered ? 1 : -1;
	if (order == 0 && x->numbered)
		order = (x->sequence > y->sequence) - (x->sequence < y->sequence);
	return order != 0 ? order : x->ordinal - y->ordinal;
}

/* sum_up does what the events of a stream have in common; they are sorted by their numbers. */
static void
sum_up(Told *told)
{
	told->numbered = 0;
	told->site_id = told->event[0]->site_id;
	told->event_at = told->event[0]->event_at;
	for (int i = 0; i < told->n; i++)
	{
		const DsEvent *event = told->event[i];

		told->numbered += event->numbered;
		told->event_at = Max(told->event_at, event->event_at);
		if (event->site_id != told->site_id || event->to_site_id != 0)
			told->site_id = 0;
	}
}

/* goes_on tells whether the numbers of a stream go on without gap from the next one that is expected, each once. */
static bool
goes_on(const Told *told, int64 next)
{
	DsEvent **numbered = told->event + (told->n - told->numbered);

	for (int i = 0; i < told->numbered; i++)
		if (numbered[i]->sequence != next + i)
			return false;
	return true;
}

/* fits_site tells whether the site of a stream stays as it is known. */
static bool
fits_site(const DsRows *w, int64 site_id)
{
	int64 known = w->nulls[S_SITE] ? -1 : DatumGetInt64(w->values[S_SITE]);

	return known == 0 || known == site_id;
}

/* note_usual does a stream the usual way. False: SQL has to do it. */
static bool
note_usual(DsEventCall *call, const Told *told, TimestampTz now)
{
	static const int changed[] = {S_NEXT, S_LAST_EVENT, S_LAST_RECEIVED};
	DsRows *w = call->streams;
	Datum keys[2] = {PointerGetDatum(call->documents->source),
					 ds_inventory_slice_text(told->event[0]->stream)};
	Datum values[lengthof(changed)];
	ItemPointerData tid;
	int64 next;

	if (!ds_rows_find(w, GetActiveSnapshot(), keys))
		return false;
	if (told->numbered == 0)
		return fits_site(w, told->site_id) && !w->nulls[S_LAST_RECEIVED] &&
			   DatumGetTimestampTz(w->values[S_LAST_RECEIVED]) >= now - SIGN_OF_LIFE;
	tid = w->found->tts_tid;
	if (ds_rows_lock(w, GetActiveSnapshot(), &tid, LockWaitBlock) != TM_Ok)
		return false;
	next = DatumGetInt64(w->values[S_NEXT]);
	if (!fits_site(w, told->site_id) || !goes_on(told, next) ||
		DatumGetMultirangeTypeP(w->values[S_AHEAD])->rangeCount != 0)
		return false;
	values[0] = Int64GetDatum(next + told->numbered);
	values[1] = TimestampTzGetDatum(
		w->nulls[S_LAST_EVENT] ? told->event_at
							   : Max(told->event_at, DatumGetTimestampTz(w->values[S_LAST_EVENT])));
	values[2] = TimestampTzGetDatum(now);
	ds_rows_update(w, GetActiveSnapshot(), lengthof(changed), changed, values, NULL);
	return true;
}

static int
compare_ordinals(const void *a, const void *b)
{
	int32 x = DatumGetInt32(*(const Datum *) a);
	int32 y = DatumGetInt32(*(const Datum *) b);

	return (x > y) - (x < y);
}

/* mark_twice does what SQL says of numbers that were told before: there may be as many as there are events. */
static void
mark_twice(const Told *told, ArrayType *ordinals)
{
	Datum *ordinal;
	bool *ignored;
	int n;

	deconstruct_array(ordinals, INT4OID, sizeof(int32), true, TYPALIGN_INT, &ordinal, &ignored, &n);
	qsort(ordinal, n, sizeof(Datum), compare_ordinals);
	for (int e = 0; e < told->n; e++)
	{
		Datum mine = Int32GetDatum(told->event[e]->ordinal);

		if (bsearch(&mine, ordinal, n, sizeof(Datum), compare_ordinals) != NULL)
			told->event[e]->outcome = DS_EVENT_DUPLICATE;
	}
}

/* note_whole does a stream in SQL. */
static void
note_whole(DsEventCall *call, const Told *told)
{
	Oid types[2] = {ds_inventory_event_array_type("inventory_event"), TEXTOID};
	Datum values[2] = {ds_inventory_event_told(told->event, told->n),
					   PointerGetDatum(call->documents->source)};
	bool isnull;
	Datum twice;

	CommandCounterIncrement();
	twice = ds_inventory_event_ask("inventory_streams", 2, types, values, NULL, &isnull);
	if (!isnull)
		mark_twice(told, DatumGetArrayTypeP(twice));
}

/* note_refused does the noting of the numbers of events that are refused: they leave no gap, and told again they are news. */
static void
note_refused(DsEventCall *call)
{
	static const Oid types[5] = {TEXTOID, TEXTARRAYOID, INT8ARRAYOID, UUIDOID, BOOLOID};
	Datum *streams = palloc(mul_size(sizeof(Datum), call->n));
	Datum *numbers = palloc(mul_size(sizeof(Datum), call->n));
	Datum values[5];
	bool nulls[5] = {false};
	bool isnull;
	int n = 0;

	for (int i = 0; i < call->n; i++)
		if (call->event[i].outcome >= DS_EVENT_CONFLICT && call->event[i].numbered)
		{
			streams[n] = ds_inventory_slice_text(call->event[i].stream);
			numbers[n++] = Int64GetDatum(call->event[i].sequence);
		}
	if (n == 0)
		return;
	values[0] = PointerGetDatum(call->documents->source);
	values[1] = PointerGetDatum(construct_array(streams, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[2] = PointerGetDatum(
		construct_array(numbers, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[3] = UUIDPGetDatum(&call->documents->correlation_id);
	nulls[3] = !call->documents->correlated;
	values[4] = BoolGetDatum(false);
	CommandCounterIncrement();
	ds_inventory_event_ask("inventory_refused", 5, types, values, nulls, &isnull);
}

/* ds_inventory_event_streams does the noting of all streams of a call, in their order. Numbers told before make their events duplicates. */
void
ds_inventory_event_streams(DsEventCall *call)
{
	DsEvent **sorted = palloc(sizeof(DsEvent *) * call->n);
	TimestampTz now = GetCurrentTimestamp();
	int n = 0;
	int from = 0;

	for (int i = 0; i < call->n; i++)
		if (call->event[i].outcome == DS_EVENT_APPLIED)
			sorted[n++] = &call->event[i];
	qsort(sorted, n, sizeof(DsEvent *), compare_streams);
	for (int i = 1; i <= n; i++)
	{
		Told told = {sorted + from, i - from};

		if (i < n && ds_inventory_slice_compare(sorted[i]->stream, sorted[from]->stream) == 0)
			continue;
		sum_up(&told);
		if (!note_usual(call, &told, now))
			note_whole(call, &told);
		from = i;
	}
	if (call->documents->rejected)
		note_refused(call);
}
