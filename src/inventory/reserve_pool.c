/*-------------------------------------------------------------------------
 *
 * reserve_pool.c
 *		Taking a promise from pools: the guarded update of their counters.
 *
 * A pool is changed without locking it first where nobody else is at it. Where
 * somebody is, we wait for the lock and look again. Pools are taken in the
 * order of item and site, so that calls wait for each other but never in a
 * circle; what was taken is given back if a later pool has not enough, and the
 * whole path decides, with the same pools locked.
 *
 * Process: any backend. Locks: rows of dist.stock_pool until the end of the
 * transaction. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/reserve.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/reader.h"
#include "base/verb.h"

enum
{
	P_CAP,
	P_HELD,
	P_COMMITTED,
	P_BACKORDER,
	P_SLOTS,
	P_DEALT,
	P_WAITED,
	P_VERSION,
	P_CHANGED_AT,
	P_VALID_UNTIL,
	P_CAP_UNTIL,
	P_RULED,
	P_COUNT
};

DsWriter ds_inventory_pool_writer = {
	.schema = "dist",
	.name = "stock_pool",
	.updates = true,
	.columns = {{"cap", NUMERICOID},
				{"held", NUMERICOID},
				{"committed", NUMERICOID},
				{"backorder_cap", NUMERICOID},
				{"slots", INT2OID},
				{"dealt", NUMERICOID},
				{"waited_us", INT4OID},
				{"version", INT8OID},
				{"changed_at", TIMESTAMPTZOID},
				{"valid_until", TIMESTAMPTZOID},
				{"cap_until", TIMESTAMPTZOID},
				{"ruled", BOOLOID}},
};

/* shares that are set aside are not in the numbers of a pool, but then it says that there is more to know */
static DsTable quota_table = {
	.name = "stock_quota",
	.index = "stock_quota_pk",
	.keys = {"item_id"},
	.columns = {"item_id"},
};

/* number does the reading of a numeric column, which is never NULL. */
static Numeric
number(HeapTuple row, int column)
{
	bool isnull;

	return DatumGetNumeric(ds_writer_value(&ds_inventory_pool_writer, row, column, &isnull));
}

/* instant does the reading of an instant; NULL = for ever. */
static TimestampTz
instant(HeapTuple row, int column)
{
	bool isnull;
	Datum value = ds_writer_value(&ds_inventory_pool_writer, row, column, &isnull);

	return isnull ? DT_NOEND : DatumGetTimestampTz(value);
}

/* whole does the reading of a whole number, which is never NULL. */
static Datum
whole(HeapTuple row, int column)
{
	bool isnull;

	return ds_writer_value(&ds_inventory_pool_writer, row, column, &isnull);
}

/*
 * look does the reckoning of what may be promised of a pool. False: time has
 * passed it. Of a hot pool holds may be over: they end together, and until
 * then it only promises less than it could.
 */
static bool
look(DsReservePool *pool)
{
	HeapTuple row = pool->row;
	Numeric most = DS_NUMERIC(numeric_add, number(row, P_CAP), number(row, P_BACKORDER));
	Numeric promised = DS_NUMERIC(numeric_add, number(row, P_HELD), number(row, P_COMMITTED));

	pool->dealt = DatumGetInt16(whole(row, P_SLOTS)) > 0;
	pool->own =
		DS_NUMERIC(numeric_sub, DS_NUMERIC(numeric_sub, most, promised), number(row, P_DEALT));
	pool->free = pool->own;
	if (!pool->dealt)
		return instant(row, P_VALID_UNTIL) > GetCurrentTimestamp();
	ds_inventory_slots_read(pool->item_id, pool->site_id, &pool->slots);
	pool->free = DS_NUMERIC(numeric_add, pool->own, pool->slots.free);
	return instant(row, P_CAP_UNTIL) > GetCurrentTimestamp();
}

/* has_quotas does the question whether shares of an item are set aside. */
static bool
has_quotas(int64 item_id)
{
	DsReader *reader = ds_reader_open(&quota_table);
	Datum key = Int64GetDatum(item_id);
	bool found;

	ds_reader_seek(reader, &key, 1);
	found = ds_reader_next(reader);
	ds_reader_close(reader);
	return found;
}

/* ds_inventory_read_pools does the look at all pools as they were read. False: one of them needs more. */
bool
ds_inventory_read_pools(DsReserve *call)
{
	for (int i = 0; i < call->npools; i++)
	{
		DsReservePool *pool = &call->pools[i];

		if (!look(pool) || (DatumGetBool(whole(pool->row, P_RULED)) && has_quotas(pool->item_id)))
			return false;
	}
	return true;
}

/* lock does the locking of one pool, and reads it anew. False: somebody has it, and we do not wait. */
static bool
lock(DsReservePool *pool, LockWaitPolicy wait)
{
	TimestampTz began = GetCurrentTimestamp();
	HeapTuple row;
	TM_Result result = ds_writer_lock(&ds_inventory_pool_writer, &pool->row->t_self, wait, &row);

	if (result == TM_WouldBlock)
		return false;
	if (result != TM_Ok)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("stock changed while it was being promised"),
						errdetail("A pool is gone or was changed by this very statement."),
						errhint("Run the transaction again.")));
	pool->row = row;
	pool->locked = true;
	pool->waited_us = GetCurrentTimestamp() - began;
	/* what was committed while we waited is to be seen */
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
	return true;
}

/* ds_inventory_lock_pools does the locking of all pools, in their order. */
void
ds_inventory_lock_pools(DsReserve *call)
{
	for (int i = 0; i < call->npools; i++)
		lock(&call->pools[i], LockWaitBlock);
}

/* new_wait does the moving average of waits for a pool, with ours. */
static int
new_wait(const DsReservePool *pool)
{
	int64 before = DatumGetInt32(whole(pool->row, P_WAITED));

	return (int) Min((before * 7 + pool->waited_us) / 8, PG_INT32_MAX);
}

/* try does the guarded update of a pool, if nobody else is at it. */
static bool
try(const DsReserve *call, DsReservePool *pool)
{
	Datum values[P_COUNT];
	bool nulls[P_COUNT] = {false};
	bool changed[P_COUNT] = {false};
	int counter = call->options.commit ? P_COMMITTED : P_HELD;
	TimestampTz until = instant(pool->row, P_VALID_UNTIL);
	TransactionId other;

	values[counter] =
		NumericGetDatum(DS_NUMERIC(numeric_add, number(pool->row, counter), pool->taken));
	values[P_VERSION] = Int64GetDatum(DatumGetInt64(whole(pool->row, P_VERSION)) + 1);
	values[P_WAITED] = Int32GetDatum(new_wait(pool));
	values[P_CHANGED_AT] =
		TimestampTzGetDatum(Max(GetCurrentTimestamp(), instant(pool->row, P_CHANGED_AT) + 1));
	changed[counter] = changed[P_VERSION] = changed[P_WAITED] = changed[P_CHANGED_AT] = true;
	if (!call->options.commit && call->expires_at < until)
	{
		values[P_VALID_UNTIL] = TimestampTzGetDatum(call->expires_at);
		changed[P_VALID_UNTIL] = true;
	}
	pool->after = ds_writer_update(&ds_inventory_pool_writer, pool->row, values, nulls, changed,
								   pool->locked, &other);
	return pool->after != NULL;
}

/* give_back does the undoing of what was taken, pool by pool. */
static void
give_back(DsReserve *call)
{
	CommandCounterIncrement();
	for (int i = 0; i < call->npools; i++)
	{
		DsReservePool *pool = &call->pools[i];
		Datum values[P_COUNT];
		bool nulls[P_COUNT];
		bool changed[P_COUNT];
		TransactionId other;

		if (pool->after == NULL)
			continue;
		for (int c = 0; c < P_COUNT; c++)
		{
			values[c] = ds_writer_value(&ds_inventory_pool_writer, pool->row, c, &nulls[c]);
			changed[c] = true;
		}
		if (ds_writer_update(&ds_inventory_pool_writer, pool->after, values, nulls, changed, true,
							 &other) == NULL)
			ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
							errmsg("stock changed while it was being promised"),
							errhint("Run the transaction again.")));
	}
	CommandCounterIncrement();
}

/* tell_again does the reckoning of what there was for lines whose pool had changed. */
static void
tell_again(DsReserve *call, const DsReservePool *pool)
{
	for (int i = 0; i < call->ngrants; i++)
	{
		DsReserveGrant *g = &call->grants[i];

		if (g->pool == pool)
			g->available =
				g->before == NULL ? pool->free : DS_NUMERIC(numeric_sub, pool->free, g->before);
	}
}

/* take_one does the taking from one pool. False: it has not enough any more, or needs more than this. */
static bool
take_one(DsReserve *call, DsReservePool *pool)
{
	if (DS_NUMERIC_IS(numeric_lt, pool->own, pool->taken))
		return false;
	while (!try(call, pool))
	{
		lock(pool, LockWaitBlock);
		if (!look(pool) || DS_NUMERIC_IS(numeric_lt, pool->own, pool->taken))
			return false;
		tell_again(call, pool);
	}
	return true;
}

/* ds_inventory_take does the taking of all that lines were granted. False: nothing is taken. */
bool
ds_inventory_take(DsReserve *call)
{
	for (int i = 0; i < call->npools; i++)
	{
		if (call->pools[i].taken == NULL || take_one(call, &call->pools[i]))
			continue;
		give_back(call);
		return false;
	}
	return true;
}

/* deal does the dealing out of a pool that is hot, or was and has something again. */
static void
deal(const DsReservePool *pool)
{
	static const Oid types[] = {INT8OID, INT8OID, NUMERICOID};
	LOCAL_FCINFO(fcinfo, 3);
	FmgrInfo flinfo;

	if (ds_guc_slots_max < 2 || (!pool->dealt && new_wait(pool) < (int64) ds_guc_hot_wait * 1000))
		return;
	fmgr_info(ds_verb_behind("inventory_deal", types, lengthof(types)), &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, lengthof(types), InvalidOid, NULL, NULL);
	fcinfo->args[0].value = Int64GetDatum(pool->item_id);
	fcinfo->args[1].value = Int64GetDatum(pool->site_id);
	fcinfo->args[2].value = NumericGetDatum(pool->taken);
	for (int i = 0; i < lengthof(types); i++)
		fcinfo->args[i].isnull = false;
	CommandCounterIncrement();
	FunctionCallInvoke(fcinfo);
}

/*
 * take_slot does the taking from a slot of a hot pool. Where somebody is at
 * each of them, we deal more if nobody else does, otherwise wait. Taken or
 * not, the pool may be locked then.
 */
static bool
take_slot(DsReserve *call, DsReservePool *pool)
{
	DsSlotTake take = {pool->item_id, pool->site_id, pool->taken, call->options.commit,
					   call->expires_at};
	DsSlotResult result;

	if (!ds_inventory_slots_open())
		return false;
	result = ds_inventory_slots_take(&take, &pool->slots, pool->slots.n >= ds_guc_slots_max);
	if (result == DS_SLOT_BUSY && !(call->npools == 1 && lock(pool, LockWaitSkip)))
		result = ds_inventory_slots_take(&take, &pool->slots, true);
	ds_inventory_slots_close();
	return result == DS_SLOT_TAKEN;
}

/* take_row does the taking from the row of a pool that is locked and has been read anew. */
static bool
take_row(DsReserve *call, DsReservePool *pool)
{
	if (!take_one(call, pool))
		return false;
	deal(pool);
	return true;
}

/*
 * ds_inventory_take_alone does the taking of a call that draws on one pool:
 * from a slot if it has some, otherwise or if they have not enough from its
 * row. False: nothing is taken. The pool is locked then only if the call has
 * no other one to choose.
 */
bool
ds_inventory_take_alone(DsReserve *call, DsReservePool *pool)
{
	if (pool->locked)
		return take_row(call, pool);
	if (pool->dealt && take_slot(call, pool))
		return true;
	if (!pool->dealt && try(call, pool))
	{
		deal(pool);
		return true;
	}
	if (!pool->locked)
	{
		if (call->npools > 1)
			return false;
		lock(pool, LockWaitBlock);
	}
	if (!look(pool))
		return false;
	tell_again(call, pool);
	return take_row(call, pool);
}
