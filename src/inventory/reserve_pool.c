/*-------------------------------------------------------------------------
 *
 * reserve_pool.c
 *		Taking a promise from pools: the guarded update of their counters.
 *
 * A pool is changed without locking it first where nobody else is at it; so are
 * several that serve an order. Where somebody is, we wait for the lock and look
 * again: an order that has taken from some gives all up and begins anew, with
 * all of them locked. Pools are locked and taken in the order of item and site,
 * so that calls wait for each other but never in a circle; if one has not
 * enough, all is undone and the whole path decides.
 *
 * Process: any backend. Locks: rows of dist.stock_pool until the end of the
 * transaction. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/reserve.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/reader.h"
#include "base/verb.h"

/* so often a slot is tried that somebody else has changed */
#define MAX_ROUNDS 100

/* shares that are set aside are not in the numbers of a pool, but then it says that there is more to know */
static DsTable quota_table = {
	.name = "stock_quota",
	.index = "stock_quota_pk",
	.keys = {"item_id"},
	.columns = {"item_id"},
};

/* is_passed does the question whether time has passed a pool: of a hot one holds may be over. */
static bool
is_passed(const DsReservePool *pool)
{
	return ds_inventory_instant(pool->rows, pool->row,
								pool->dealt ? DS_POOL_CAP_UNTIL : DS_POOL_VALID_UNTIL) <=
		   GetCurrentTimestamp();
}

/*
 * look does the reckoning of what may be promised of a pool. False: time has
 * passed it, or promises may go beyond stock: then they have a place in a
 * queue, and a date. Of a hot pool holds may be over: they end together, and
 * until then it only promises less than it could.
 */
static bool
look(DsReservePool *pool)
{
	Numeric most = DS_NUMERIC(numeric_add, ds_inventory_number(pool->rows, pool->row, DS_POOL_CAP),
							  ds_inventory_number(pool->rows, pool->row, DS_POOL_BACKORDER));
	Numeric promised =
		DS_NUMERIC(numeric_add, ds_inventory_number(pool->rows, pool->row, DS_POOL_HELD),
				   ds_inventory_number(pool->rows, pool->row, DS_POOL_COMMITTED));

	pool->dealt = DatumGetInt16(ds_inventory_whole(pool->rows, pool->row, DS_POOL_SLOTS)) > 0;
	pool->own = DS_NUMERIC(numeric_sub, DS_NUMERIC(numeric_sub, most, promised),
						   ds_inventory_number(pool->rows, pool->row, DS_POOL_DEALT));
	pool->free = pool->own;
	if (DatumGetBool(ds_inventory_whole(pool->rows, pool->row, DS_POOL_WAITING)) ||
		!DS_NUMERIC_IS(numeric_eq, ds_inventory_number(pool->rows, pool->row, DS_POOL_BACKORDER),
					   int64_to_numeric(0)))
		return false;
	if (!pool->dealt)
		return !is_passed(pool);
	ds_inventory_slots_read(pool->item_id, pool->site_id, &pool->slots);
	/* what is dealt out is what slots may promise in all */
	pool->free = DS_NUMERIC(
		numeric_sub,
		DS_NUMERIC(numeric_sub, DS_NUMERIC(numeric_sub, most, promised), pool->slots.held),
		pool->slots.committed);
	return !is_passed(pool);
}

/*
 * ds_inventory_pool_holds does the question whether nothing that a pool counts
 * is over at an instant: of a hot one holds may be.
 */
bool
ds_inventory_pool_holds(const DsReservePool *pool, TimestampTz now)
{
	return ds_inventory_instant(pool->rows, pool->row, DS_POOL_VALID_UNTIL) > now &&
		   (!pool->dealt || pool->slots.valid_until > now);
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

/* suffices does the reckoning of a pool whose row is all there is to know. False: it needs more. */
static bool
suffices(DsReservePool *pool)
{
	return look(pool) && (!DatumGetBool(ds_inventory_whole(pool->rows, pool->row, DS_POOL_RULED)) ||
						  !has_quotas(pool->item_id));
}

/* still_suffices does the same of a pool that somebody else was at: its site may have been closed meanwhile. */
static bool
still_suffices(DsReservePool *pool)
{
	return ds_inventory_still_promises(pool) && suffices(pool);
}

/* ds_inventory_read_pools does the look at all pools as they were read. False: one of them needs more. */
bool
ds_inventory_read_pools(DsReserve *call)
{
	for (int i = 0; i < call->npools; i++)
	{
		if (!suffices(&call->pools[i]))
			return false;
	}
	return true;
}

/* lock does the locking of one pool, and reads it anew. False: somebody has it, and we do not wait. */
static bool
lock(DsReservePool *pool, LockWaitPolicy wait)
{
	TimestampTz began = GetCurrentTimestamp();
	ItemPointerData tid = pool->row->t_self;
	TM_Result result = ds_rows_lock(pool->rows, GetActiveSnapshot(), &tid, wait);

	if (result == TM_WouldBlock)
		return false;
	if (result != TM_Ok)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("stock changed while it was being promised"),
						errdetail("A pool is gone or was changed by this very statement."),
						errhint("Run the transaction again.")));
	pool->row = ds_rows_take(pool->rows);
	pool->locked = true;
	/* a clock may be set back */
	pool->waited_us = Max(GetCurrentTimestamp() - began, 0);
	/* what was committed while we waited is to be seen */
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
	return true;
}

/* lock_all does the locking of all pools, in their order. False: one of them needs more. */
static bool
lock_all(DsReserve *call)
{
	for (int i = 0; i < call->npools; i++)
		lock(&call->pools[i], LockWaitBlock);
	for (int i = 0; i < call->npools; i++)
		if (!still_suffices(&call->pools[i]))
			return false;
	return true;
}

/* new_wait does the moving average of waits for a pool, with ours. */
static int
new_wait(const DsReservePool *pool)
{
	int64 before = DatumGetInt32(ds_inventory_whole(pool->rows, pool->row, DS_POOL_WAITED));

	return (int) Min((before * 7 + pool->waited_us) / 8, PG_INT32_MAX);
}

/* try does the guarded update of a pool, if nobody else is at it. */
static bool
try(const DsReserve *call, DsReservePool *pool)
{
	int columns[] = {call->options.commit ? DS_POOL_COMMITTED : DS_POOL_HELD, DS_POOL_VERSION,
					 DS_POOL_WAITED, DS_POOL_CHANGED_AT, DS_POOL_VALID_UNTIL};
	bool sooner =
		!call->options.commit &&
		call->expires_at < ds_inventory_instant(pool->rows, pool->row, DS_POOL_VALID_UNTIL);
	Datum values[lengthof(columns)];
	TransactionId other;

	values[0] = NumericGetDatum(ds_inventory_as_kept(DS_NUMERIC(
		numeric_add, ds_inventory_number(pool->rows, pool->row, columns[0]), pool->taken)));
	values[1] = Int64GetDatum(
		DatumGetInt64(ds_inventory_whole(pool->rows, pool->row, DS_POOL_VERSION)) + 1);
	values[2] = Int32GetDatum(new_wait(pool));
	values[3] = TimestampTzGetDatum(
		Max(GetCurrentTimestamp(),
			ds_inventory_instant(pool->rows, pool->row, DS_POOL_CHANGED_AT) + 1));
	values[4] = TimestampTzGetDatum(call->expires_at);
	return ds_rows_try(pool->rows, pool->row, pool->locked, sooner ? 5 : 4, columns, values, NULL,
					   &other);
}

/* tell_again does the reckoning of what there was for lines whose pool had changed. */
static void
tell_again(DsReserve *call, const DsReservePool *pool)
{
	for (int i = 0; i < call->ngrants; i++)
	{
		DsReserveGrant *g = &call->grants[i];

		if (g->pool == pool)
			g->available = ds_inventory_whole_steps(
				g->line,
				g->before == NULL ? pool->free : DS_NUMERIC(numeric_sub, pool->free, g->before));
	}
}

/*
 * take_one does the taking from one pool. False: it has not enough any more, or
 * needs more than this: time may have passed it while we waited for another one.
 */
static bool
take_one(DsReserve *call, DsReservePool *pool)
{
	if (is_passed(pool) || DS_NUMERIC_IS(numeric_lt, pool->own, pool->taken))
		return false;
	while (!try(call, pool))
	{
		/* others that were taken already may come after it */
		if (call->as_read)
			return false;
		lock(pool, LockWaitBlock);
		if (!still_suffices(pool) || DS_NUMERIC_IS(numeric_lt, pool->own, pool->taken))
			return false;
		tell_again(call, pool);
	}
	return true;
}

/* take_all does the taking of all that lines were granted. False: a pool has not enough any more. */
static bool
take_all(DsReserve *call)
{
	for (int i = 0; i < call->npools; i++)
	{
		if (call->pools[i].taken != NULL && !take_one(call, &call->pools[i]))
			return false;
	}
	return true;
}

/*
 * deal does the dealing out of a pool that is hot, or was and has something
 * again; to more slots where somebody was at each of them.
 */
static void
deal(const DsReservePool *pool, bool more)
{
	static const Oid types[] = {INT8OID, INT8OID, NUMERICOID, BOOLOID};
	LOCAL_FCINFO(fcinfo, 4);
	FmgrInfo flinfo;

	if (ds_guc_slots_max < 2 || (!pool->dealt && new_wait(pool) < (int64) ds_guc_hot_wait * 1000))
		return;
	fmgr_info(ds_verb_behind("inventory_deal", types, lengthof(types)), &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, lengthof(types), InvalidOid, NULL, NULL);
	fcinfo->args[0].value = Int64GetDatum(pool->item_id);
	fcinfo->args[1].value = Int64GetDatum(pool->site_id);
	fcinfo->args[2].value = NumericGetDatum(pool->taken);
	fcinfo->args[3].value = BoolGetDatum(more);
	for (int i = 0; i < lengthof(types); i++)
		fcinfo->args[i].isnull = false;
	CommandCounterIncrement();
	FunctionCallInvoke(fcinfo);
}

/*
 * ds_inventory_take_alone does the taking of a call that draws on one pool
 * where nobody is in the way, from a slot if it has some: nothing is locked
 * if nothing was taken. Waiting: for somebody who is at a slot.
 */
DsSlotResult
ds_inventory_take_alone(DsReserve *call, DsReservePool *pool, bool wait)
{
	DsSlotTake take = {pool->item_id, pool->site_id, ds_inventory_as_kept(pool->taken),
					   call->options.commit, call->expires_at};
	DsSlotResult result = DS_SLOT_CHANGED;
	DsRows *slots;

	if (!pool->dealt)
	{
		if (DS_NUMERIC_IS(numeric_lt, pool->own, pool->taken) || !try(call, pool))
			return DS_SLOT_SHORT;
		deal(pool, false);
		return DS_SLOT_TAKEN;
	}
	slots = ds_inventory_slots_open();
	if (slots == NULL)
		return DS_SLOT_SHORT;
	for (int round = 0; round < MAX_ROUNDS; round++)
	{
		HeapTuple row;

		result = ds_inventory_slots_take(slots, &take, &pool->slots,
										 wait || pool->slots.n >= ds_guc_slots_max);
		if (result != DS_SLOT_CHANGED)
			break;
		CHECK_FOR_INTERRUPTS();
		/* time, or somebody, may have changed what may be promised of the pool */
		PopActiveSnapshot();
		PushActiveSnapshot(GetTransactionSnapshot());
		row = ds_inventory_pool_row(pool->item_id, pool->site_id);
		/* who locks it later on finds it by the row that was read before */
		if (row == NULL)
			break;
		pool->row = row;
		if (!still_suffices(pool) || !pool->dealt)
			break;
	}
	ds_rows_close(slots);
	return result;
}

/* is_any_dealt does the question whether one of the pools that lines were granted is hot: of it its own row has little. */
static bool
is_any_dealt(const DsReserve *call)
{
	for (int i = 0; i < call->npools; i++)
		if (call->pools[i].taken != NULL && call->pools[i].dealt)
			return true;
	return false;
}

/*
 * take_as_read does the taking of what was decided from several pools without
 * locking those that could serve the lines too: each is as it was read, or
 * somebody was at it and all of this has to be given up.
 */
static DsSlotResult
take_as_read(DsReserve *call)
{
	if (take_all(call))
		return DS_SLOT_TAKEN;
	call->raced = true;
	return DS_SLOT_SHORT;
}

/*
 * take_locked does the taking with the pools locked, where several could serve
 * the lines or somebody was in the way. A pool that was dealt out while we
 * waited for it needs no more than that. Busy: somebody else has the lock, and
 * we do not wait for him. Short: not enough is there, or more than this is needed.
 */
static DsSlotResult
take_locked(DsReserve *call, bool wait)
{
	DsReservePool *only = ds_inventory_only_pool(call);
	bool dealt = only != NULL && only->dealt;

	if (call->lock_first || (call->choose && call->npools > 1))
	{
		if (call->as_read && only == NULL && !is_any_dealt(call))
			return take_as_read(call);
		if (!lock_all(call) || !ds_inventory_allocate(call))
			return DS_SLOT_SHORT;
	}
	else if (call->npools == 1)
	{
		if (!lock(call->pools, wait ? LockWaitBlock : LockWaitSkip))
			return DS_SLOT_BUSY;
		if (!still_suffices(call->pools))
			return DS_SLOT_SHORT;
		tell_again(call, call->pools);
	}
	if (!take_all(call))
		return DS_SLOT_SHORT;
	only = ds_inventory_only_pool(call);
	if (only != NULL && (dealt || !only->dealt))
		deal(only, !wait);
	return DS_SLOT_TAKEN;
}

/* How a call takes with locks. */
typedef struct Taking
{
	DsReserve *call;
	bool wait;
	DsSlotResult result;
} Taking;

/* take_apart does the taking, in a subtransaction. */
static bool
take_apart(void *what)
{
	Taking *taking = what;

	taking->result = take_locked(taking->call, taking->wait);
	return taking->result == DS_SLOT_TAKEN;
}

/*
 * ds_inventory_take does the taking with locks, in a subtransaction: if it
 * fails it has locked nothing, so that the whole path may take its locks in
 * their order, quotas and demands before pools. Who serves demands is in one
 * already, and gives it up. Not waiting: busy where somebody else has the lock
 * of the only pool.
 */
DsSlotResult
ds_inventory_take(DsReserve *call, bool wait)
{
	Taking taking = {call, wait, DS_SLOT_SHORT};

	ds_rows_ready(call->pool_rows);
	if (!(call->serving ? take_apart(&taking) : ds_inventory_apart(take_apart, &taking)))
		for (int i = 0; i < call->npools; i++)
			call->pools[i].locked = false;
	return taking.result;
}
