/*-------------------------------------------------------------------------
 *
 * event_post.c
 *		Events become entries, balances and pools: legs are sorted by pool and
 *		balance, then each pool is looked at, in their order, with all that is
 *		told of it. Where the change of its terms is plain (event_pool.c) it is
 *		written here, and its lock is that of the row that is written: no other
 *		look at it is needed unless somebody has changed it since our snapshot.
 *		The others are locked and left, with their legs, to
 *		inventory_take_movements() in SQL, under the same locks.
 *
 * Process: any backend. Locks: the rows of the pools, in the order of
 * (item_id, site_id), demands before them. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "storage/bufmgr.h"
#include "storage/shmem.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "base/codes.h"
#include "base/guc.h"
#include "inventory/event_pool.h"
#include "inventory/event_table.h"

static DsTable reversal_table = {
	.name = "stock_reversal",
	.index = "stock_reversal_pk",
	.keys = {"item_id", "source", "reverses"},
	.columns = {"event_key"},
};

/* add_leg does one change of one balance. */
static void
add_leg(DsLeg *leg, const DsEvent *event, bool second, int number)
{
	leg->event = event;
	leg->item_id = event->item->id;
	leg->site_id = second && event->to_site_id != 0 ? event->to_site_id : event->site_id;
	leg->state = second ? event->to_state : event->state;
	leg->promisable = second ? event->to->promisable : event->from->promisable;
	leg->ages = second ? event->to->ages : event->from->ages;
	leg->minus = !second && (event->kind == DS_EVENT_SHIP || event->kind == DS_EVENT_TRANSFER);
	leg->number = number;
}

/* compare_legs does the order of legs: by pool, by balance, then as they were told. */
static int
compare_legs(const void *a, const void *b)
{
	const DsLeg *x = a;
	const DsLeg *y = b;
	int order = ds_inventory_leg_compare_balances(x, y);

	return order != 0 ? order : x->number - y->number;
}

/* make_legs does the legs of all events that are to be applied, sorted. */
static DsLeg *
make_legs(DsEventCall *call, int *n)
{
	DsLeg *legs = palloc(mul_size(sizeof(DsLeg), 2 * call->n));

	*n = 0;
	for (int i = 0; i < call->n; i++)
	{
		const DsEvent *event = &call->event[i];

		if (event->outcome != DS_EVENT_APPLIED)
			continue;
		add_leg(&legs[*n], event, false, *n);
		(*n)++;
		if (event->kind == DS_EVENT_TRANSFER)
		{
			add_leg(&legs[*n], event, true, *n);
			(*n)++;
		}
	}
	if (*n > 1)
		qsort(legs, *n, sizeof(DsLeg), compare_legs);
	return legs;
}

/* make_pools does the pools that sorted legs belong to. */
static DsEventPool *
make_pools(DsLeg *legs, int nlegs, int *n)
{
	DsEventPool *pools = palloc0(mul_size(sizeof(DsEventPool), nlegs));

	*n = 0;
	for (int i = 0; i < nlegs; i++)
	{
		DsEventPool *pool = *n > 0 ? &pools[*n - 1] : NULL;

		if (pool == NULL || pool->item_id != legs[i].item_id || pool->site_id != legs[i].site_id)
		{
			pool = &pools[(*n)++];
			pool->item_id = legs[i].item_id;
			pool->site_id = legs[i].site_id;
			pool->legs = &legs[i];
		}
		pool->nlegs++;
	}
	return pools;
}

/* bigints does a list of numbers. */
static Datum
bigints(Datum *values, int n)
{
	return PointerGetDatum(
		construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* line_references does the list of documents that shipments and allocations name, which may be lines of orders; 0 = none does. */
static int
line_references(const DsLeg *legs, int n, Datum *references)
{
	int found = 0;

	for (int i = 0; i < n; i++)
		if (legs[i].event->reference.s != NULL &&
			(legs[i].event->kind == DS_EVENT_SHIP || ds_inventory_event_allocates(legs[i].event)))
			references[found++] = ds_inventory_slice_text(legs[i].event->reference);
	return found;
}

/* take_others does the pools beyond ours where a demand that was locked is spoken of: SQL refreshes them. */
static void
take_others(DsEventPosting *posting, ArrayType *items, ArrayType *sites)
{
	int n;
	Datum *item, *site;
	bool *ignored;

	deconstruct_array(items, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &item,
					  &ignored, &n);
	deconstruct_array(sites, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &site,
					  &ignored, &n);
	if (n <= posting->npools)
		return;
	posting->other_items = item;
	posting->other_sites = site;
	posting->nothers = n;
}

/* lock_in_sql does the locking where demands come first, or pools have to be made. */
static void
lock_in_sql(DsEventPosting *posting, Datum *references, int nreferences)
{
	static const Oid types[3] = {TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID};
	Datum *items = palloc(sizeof(Datum) * posting->npools);
	Datum *sites = palloc(sizeof(Datum) * posting->npools);
	Datum values[3];
	bool isnull;
	HeapTupleHeader row;
	Datum locked[2];
	bool none[2];

	for (int i = 0; i < posting->npools; i++)
	{
		items[i] = Int64GetDatum(posting->pools[i].item_id);
		sites[i] = Int64GetDatum(posting->pools[i].site_id);
	}
	values[0] =
		PointerGetDatum(construct_array(references, nreferences, TEXTOID, -1, false, TYPALIGN_INT));
	values[1] = bigints(items, posting->npools);
	values[2] = bigints(sites, posting->npools);
	CommandCounterIncrement();
	row = DatumGetHeapTupleHeader(ds_inventory_event_ask("inventory_lock_demand", lengthof(types),
														 types, values, NULL, &isnull));
	locked[0] = GetAttributeByNum(row, 1, &none[0]);
	locked[1] = GetAttributeByNum(row, 2, &none[1]);
	if (!none[0] && !none[1])
		take_others(posting, DatumGetArrayTypeP(locked[0]), DatumGetArrayTypeP(locked[1]));
}

/* has_rows tells whether a table may have any row: what is empty need not be asked about. */
static bool
has_rows(const char *name)
{
	Relation rel = table_open(ds_dist_relid(name), AccessShareLock);
	bool any = RelationGetNumberOfBlocks(rel) > 0;

	table_close(rel, NoLock);
	return any;
}

/*
 * is_waited_for tells whether a reversal waits for an event of the call. Who
 * reverses an event changes the pool that it names: where a pool is as the
 * snapshot says, what waits for it is seen.
 */
static bool
is_waited_for(const DsEventPosting *posting)
{
	DsReader *reader;
	bool found = false;

	if (!has_rows("stock_reversal"))
		return false;
	reader = ds_reader_open(&reversal_table);
	for (int i = 0; !found && i < posting->call->n; i++)
	{
		const DsEvent *event = &posting->call->event[i];
		Datum keys[3] = {Int64GetDatum(event->item->id),
						 PointerGetDatum(posting->call->documents->source),
						 ds_inventory_slice_text(event->event_id)};

		ds_reader_seek(reader, keys, lengthof(keys));
		found = event->outcome == DS_EVENT_APPLIED && ds_reader_next(reader);
	}
	ds_reader_close(reader);
	return found;
}

static DsTable barrier_table = {
	.name = "stock_barrier",
	.index = "stock_barrier_pk",
	.keys = {"site_id"},
	.columns = {"as_of"},
};

/* last_barrier does the instant of the newest snapshot of stock anywhere. */
static TimestampTz
last_barrier(void)
{
	DsReader *reader = ds_reader_open(&barrier_table);
	TimestampTz last = DT_NOBEGIN;

	ds_reader_seek(reader, NULL, 0);
	while (ds_reader_next(reader))
		last = Max(last, DatumGetTimestampTz(reader->values[0]));
	ds_reader_close(reader);
	return last;
}

/*
 * is_barred tells whether any event of the call happened before the newest
 * snapshot: then it may have to be counted away. Between calls the instant is
 * kept as long as no snapshot is taken.
 */
static bool
is_barred(const DsEventPosting *posting)
{
	static int64 codes = DS_CODES_UNKNOWN;
	static TimestampTz last;
	int64 now = posting->call->documents->codes;

	if (now == DS_CODES_UNKNOWN || now != codes)
	{
		last = last_barrier();
		codes = now;
	}
	for (int i = 0; i < posting->nlegs; i++)
		if (posting->legs[i].event->event_at <= last)
			return true;
	return false;
}

/* look_again does the taking of a snapshot that sees what was committed while we waited, and what we wrote; and of the instant. */
static void
look_again(DsEventPosting *posting)
{
	ds_inventory_event_pools_rest(posting);
	PopActiveSnapshot();
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	ds_inventory_event_stamp(posting);
	posting->waited_for = is_waited_for(posting);
	posting->barred = has_rows("stock_barrier");
}

/* find_pool does the row of a pool. False: it has to be made first. */
static bool
find_pool(DsEventPosting *posting, const DsEventPool *pool)
{
	Datum keys[2] = {Int64GetDatum(pool->item_id), Int64GetDatum(pool->site_id)};

	return ds_rows_find(posting->call->pools, GetActiveSnapshot(), keys);
}

/* lock_found does the lock of the row that was found. False: it is gone. */
static bool
lock_found(DsRows *w)
{
	ItemPointerData tid = w->found->tts_tid;

	return ds_rows_lock(w, GetActiveSnapshot(), &tid, LockWaitBlock) == TM_Ok;
}

/*
 * post_found does a pool whose row was found, and gets its lock: by writing it
 * or, where SQL has to take it, without. Where somebody was there meanwhile we
 * look again, under its lock. False: it is gone.
 */
static bool
post_found(DsEventPosting *posting, DsEventPool *pool)
{
	DsRows *w = posting->call->pools;
	DsEventVerdict verdict =
		posting->waited_for ? DS_EVENT_NOT_PLAIN : ds_inventory_event_pool_post(posting, pool);

	if (verdict == DS_EVENT_POSTED)
		return pool->done = true;
	if (!lock_found(w))
		return false;
	if (verdict == DS_EVENT_NOT_PLAIN)
		return true;
	look_again(posting);
	pool->done =
		!posting->waited_for && ds_inventory_event_pool_post(posting, pool) == DS_EVENT_POSTED;
	return true;
}

/* post_pools does all pools in their order, from one on, each under its lock. Returns the first one that has to be made. */
static int
post_pools(DsEventPosting *posting, int from)
{
	int i;

	for (i = from; i < posting->npools; i++)
		if (!find_pool(posting, &posting->pools[i]) || !post_found(posting, &posting->pools[i]))
			break;
	return i;
}

/*
 * post_all does the locking of everything that the legs touch, and the posting
 * of what is plain. SQL locks where demands come first, or pools have to be
 * made: all that are left, which come after those we have in the order of
 * locks.
 */
static void
post_all(DsEventPosting *posting)
{
	Datum *references = palloc(mul_size(sizeof(Datum), posting->nlegs));
	int nreferences = line_references(posting->legs, posting->nlegs, references);
	int next = nreferences > 0 ? 0 : post_pools(posting, 0);

	if (next == posting->npools)
		return;
	ds_inventory_event_pools_rest(posting);
	lock_in_sql(posting, references, nreferences);
	look_again(posting);
	if (post_pools(posting, next) < posting->npools)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("a pool is gone that was locked")));
}

/* is_ours tells whether one of the pools that were locked besides is one of the call's own. */
static bool
is_ours(const DsEventPosting *posting, int64 item_id, int64 site_id)
{
	int low = 0, high = posting->npools;

	while (low < high)
	{
		int middle = (low + high) / 2;
		const DsEventPool *pool = &posting->pools[middle];

		if (pool->item_id == item_id && pool->site_id == site_id)
			return true;
		if (pool->item_id < item_id || (pool->item_id == item_id && pool->site_id < site_id))
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* keys_of does the pools that are not done, and those that were locked besides. Returns how many. */
static int
keys_of(const DsEventPosting *posting, Datum *items, Datum *sites)
{
	int n = 0;

	for (int i = 0; i < posting->npools; i++)
		if (!posting->pools[i].done)
		{
			items[n] = Int64GetDatum(posting->pools[i].item_id);
			sites[n++] = Int64GetDatum(posting->pools[i].site_id);
		}
	for (int i = 0; n > 0 && i < posting->nothers; i++)
		if (!is_ours(posting, DatumGetInt64(posting->other_items[i]),
					 DatumGetInt64(posting->other_sites[i])))
		{
			items[n] = posting->other_items[i];
			sites[n++] = posting->other_sites[i];
		}
	return n;
}

/* events_of does the events of a call that are applied, for whoever waited for one of them; none where nobody does. */
static Datum
events_of(const DsEventPosting *posting)
{
	DsEvent **events = palloc(mul_size(sizeof(DsEvent *), posting->call->n));
	int n = 0;

	for (int i = 0; posting->waited_for && i < posting->call->n; i++)
		if (posting->call->event[i].outcome == DS_EVENT_APPLIED)
			events[n++] = &posting->call->event[i];
	return ds_inventory_event_told(events, n);
}

/* post_in_sql does the legs of the pools that are not plain. */
static void
post_in_sql(DsEventPosting *posting)
{
	Oid types[] = {ds_inventory_event_array_type("inventory_movement"),
				   ds_inventory_event_array_type("inventory_event"),
				   TEXTOID,
				   INT8ARRAYOID,
				   INT8ARRAYOID,
				   UUIDOID,
				   BOOLOID};
	const DsLeg **legs = palloc(mul_size(sizeof(DsLeg *), posting->nlegs));
	Datum *items = palloc(sizeof(Datum) * (posting->npools + posting->nothers));
	Datum *sites = palloc(sizeof(Datum) * (posting->npools + posting->nothers));
	Datum values[lengthof(types)];
	bool nulls[lengthof(types)] = {false};
	int npools = keys_of(posting, items, sites);
	int n = 0;
	bool isnull;

	if (npools == 0)
		return;
	for (int i = 0; i < posting->npools; i++)
		for (int l = 0; !posting->pools[i].done && l < posting->pools[i].nlegs; l++)
			legs[n++] = &posting->pools[i].legs[l];
	values[0] = ds_inventory_event_moved(posting->call, legs, n);
	values[1] = events_of(posting);
	values[2] = PointerGetDatum(posting->call->documents->source);
	values[3] = bigints(items, npools);
	values[4] = bigints(sites, npools);
	values[5] = UUIDPGetDatum(&posting->call->documents->correlation_id);
	nulls[5] = !posting->call->documents->correlated;
	values[6] = BoolGetDatum(posting->call->documents->backfill);
	ds_inventory_event_ask("inventory_take_movements", lengthof(types), types, values, nulls,
						   &isnull);
}

/* tell_differences does the telling of counts that found something else, where stock has a cost. */
static void
tell_differences(DsEventPosting *posting)
{
	Oid types[] = {ds_inventory_event_array_type("inventory_movement")};
	Datum value;
	bool isnull;

	if (posting->nfound == 0 || posting->call->documents->backfill || ds_guc_count_difference < 0 ||
		!has_rows("item_cost"))
		return;
	value = ds_inventory_event_moved(posting->call, posting->found, posting->nfound);
	ds_inventory_event_ask("inventory_counted", 1, types, &value, NULL, &isnull);
}

/* tell_others does the marks for whoever wants to know of changes: each item once. Pools are sorted by them. */
static void
tell_others(DsEventPosting *posting)
{
	int64 *items = palloc(sizeof(int64) * posting->npools);
	int n = 0;

	for (int i = 0; i < posting->npools; i++)
		if (posting->pools[i].changed && (n == 0 || items[n - 1] != posting->pools[i].item_id))
			items[n++] = posting->pools[i].item_id;
	ds_rows_tell(posting->call->pools, n, items);
}

/* ds_inventory_event_post does the posting of all events of a call that are to be applied. The active snapshot is replaced by a newer one. */
void
ds_inventory_event_post(DsEventCall *call)
{
	DsEventPosting posting = {.call = call};

	posting.legs = make_legs(call, &posting.nlegs);
	if (posting.nlegs == 0)
		return;
	posting.pools = make_pools(posting.legs, posting.nlegs, &posting.npools);
	posting.found = palloc(mul_size(sizeof(DsLeg *), posting.nlegs));
	ds_inventory_event_pools_begin(&posting);
	posting.waited_for = is_waited_for(&posting);
	posting.barred = is_barred(&posting);
	post_all(&posting);
	ds_inventory_event_pools_end(&posting);
	tell_others(&posting);
	CommandCounterIncrement();
	tell_differences(&posting);
	post_in_sql(&posting);
}
