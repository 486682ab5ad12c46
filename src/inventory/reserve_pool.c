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

enum
{
	P_CAP,
	P_HELD,
	P_COMMITTED,
	P_BACKORDER,
	P_SLOTS,
	P_VERSION,
	P_CHANGED_AT,
	P_VALID_UNTIL,
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
				{"version", INT8OID},
				{"changed_at", TIMESTAMPTZOID},
				{"valid_until", TIMESTAMPTZOID}},
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

/* look does the reckoning of what may be promised of a pool. False: time has passed it, or it is none for us. */
static bool
look(DsReservePool *pool)
{
	bool isnull;
	Numeric most =
		DS_NUMERIC(numeric_add, number(pool->row, P_CAP), number(pool->row, P_BACKORDER));

	pool->free = DS_NUMERIC(numeric_sub, DS_NUMERIC(numeric_sub, most, number(pool->row, P_HELD)),
							number(pool->row, P_COMMITTED));
	return instant(pool->row, P_VALID_UNTIL) > GetCurrentTimestamp() &&
		   DatumGetInt16(ds_writer_value(&ds_inventory_pool_writer, pool->row, P_SLOTS, &isnull)) ==
			   0;
}

/* ds_inventory_read_pools does the look at all pools as they were read. False: one of them needs more. */
bool
ds_inventory_read_pools(DsReserve *call)
{
	for (int i = 0; i < call->npools; i++)
	{
		if (!look(&call->pools[i]))
			return false;
	}
	return true;
}

/* lock does the locking of one pool and reads it anew. */
static void
lock(DsReservePool *pool)
{
	HeapTuple row;
	TM_Result result =
		ds_writer_lock(&ds_inventory_pool_writer, &pool->row->t_self, LockWaitBlock, &row);

	if (result != TM_Ok)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("stock changed while it was being promised"),
						errdetail("A pool is gone or was changed by this very statement."),
						errhint("Run the transaction again.")));
	pool->row = row;
	pool->locked = true;
}

/* ds_inventory_lock_pools does the locking of all pools, in their order. */
void
ds_inventory_lock_pools(DsReserve *call)
{
	for (int i = 0; i < call->npools; i++)
		lock(&call->pools[i]);
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
	bool isnull;

	values[counter] =
		NumericGetDatum(DS_NUMERIC(numeric_add, number(pool->row, counter), pool->taken));
	values[P_VERSION] = Int64GetDatum(
		DatumGetInt64(ds_writer_value(&ds_inventory_pool_writer, pool->row, P_VERSION, &isnull)) +
		1);
	values[P_CHANGED_AT] =
		TimestampTzGetDatum(Max(GetCurrentTimestamp(), instant(pool->row, P_CHANGED_AT) + 1));
	changed[counter] = changed[P_VERSION] = changed[P_CHANGED_AT] = true;
	if (!call->options.commit && call->expires_at < until)
	{
		values[P_VALID_UNTIL] = TimestampTzGetDatum(call->expires_at);
		changed[P_VALID_UNTIL] = true;
	}
	pool->after = ds_writer_update(&ds_inventory_pool_writer, pool->row, values, nulls, changed,
								   pool->locked);
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

		if (pool->after == NULL)
			continue;
		for (int c = 0; c < P_COUNT; c++)
		{
			values[c] = ds_writer_value(&ds_inventory_pool_writer, pool->row, c, &nulls[c]);
			changed[c] = true;
		}
		if (ds_writer_update(&ds_inventory_pool_writer, pool->after, values, nulls, changed,
							 true) == NULL)
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
	while (!try(call, pool))
	{
		lock(pool);
		if (!look(pool) || DS_NUMERIC_IS(numeric_lt, pool->free, pool->taken))
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
