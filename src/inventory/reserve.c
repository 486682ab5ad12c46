/*-------------------------------------------------------------------------
 *
 * reserve.c
 *		The verb reserve(): a promise of stock, in the caller's transaction.
 *
 * Most calls ask for items by our codes, and there is enough: then the promise
 * is a guarded update of each pool, a row for each reservation, one for the
 * audit, one marker an item. Whatever is more than that (a line for a demand,
 * a short line, pools that time has passed, names of others, mistakes) is
 * done by distsync_internal.inventory_reserve_whole(), before anything was
 * written here; it says the same, slower.
 *
 * Process: any backend. Locks: the idempotency key, then rows of
 * dist.stock_pool in the order of item and site. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/reserve.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/export.h"
#include "base/failpoint.h"
#include "base/json.h"
#include "base/reader.h"
#include "base/verb.h"

DS_FUNCTION_INFO_V1(ds_sql_inventory_reserve);

/* answered does the look-up of the first answer under the key of the call; the key is locked then. */
static bool
answered(DsReserve *call)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID, JSONBOID};
	LOCAL_FCINFO(fcinfo, 4);
	DsJson json = {0};
	FmgrInfo flinfo;
	Datum said[4];

	ds_json_open_object(&json, NULL);
	ds_json_jsonb(&json, "lines", call->lines_said);
	ds_json_jsonb(&json, "options", call->options_said);
	ds_json_close_object(&json);
	call->request = ds_json_finish(&json);
	said[0] = CStringGetTextDatum(call->options.source);
	said[1] = CStringGetTextDatum("reserve");
	said[2] = CStringGetTextDatum(call->options.key);
	said[3] = call->request;
	fmgr_info(ds_verb_behind("base_answered", types, lengthof(types)), &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, lengthof(types), InvalidOid, NULL, NULL);
	for (int i = 0; i < lengthof(types); i++)
	{
		fcinfo->args[i].value = said[i];
		fcinfo->args[i].isnull = false;
	}
	FunctionCallInvoke(fcinfo);
	return !fcinfo->isnull;
}

/* after_ttl does the end of a hold that begins at an instant. */
static TimestampTz
after_ttl(const DsReserve *call, TimestampTz at)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(at),
												   IntervalPGetDatum(&call->options.ttl)));
}

/*
 * decide does the choice and the taking, under the newest snapshot. False:
 * nothing is taken. What several pools could serve is decided without locks
 * where it comes from one of them and nobody is at that, otherwise with all
 * of them locked. Where somebody is at every slot of a hot pool, more are
 * dealt if nobody else does that, or else we wait for a slot.
 */
static bool
decide(DsReserve *call)
{
	DsReservePool *only;
	DsSlotResult result = DS_SLOT_SHORT;

	if (!ds_inventory_list_pools(call))
		return false;
	call->expires_at = after_ttl(call, GetCurrentTimestamp());
	if (!ds_inventory_read_pools(call) || !ds_inventory_allocate(call))
		return false;
	only = ds_inventory_only_pool(call);
	if (only != NULL)
		result = ds_inventory_take_alone(call, only, false);
	if (result == DS_SLOT_BUSY)
		DS_FAILPOINT("inventory.slots.busy");
	if (result == DS_SLOT_BUSY && call->npools == 1)
	{
		result = ds_inventory_take(call, false);
		/* with the lock it was seen that there is not enough, or more to know */
		if (result == DS_SLOT_SHORT)
			return false;
	}
	if (result == DS_SLOT_BUSY)
		result = ds_inventory_take_alone(call, only, true);
	if (result != DS_SLOT_TAKEN)
		result = ds_inventory_take(call, true);
	return result == DS_SLOT_TAKEN;
}

/* promise does the whole of a call. False: nothing was written, the whole path shall see. */
static bool
promise(DsReserve *call, FunctionCallInfo fcinfo)
{
	Oid user;
	int context;
	bool done;

	if (!ds_inventory_read_options(call))
		return false;
	if (call->options.source == NULL)
		call->options.source = GetUserNameFromId(GetSessionUserId(), false);
	if (call->options.key != NULL && answered(call))
		return false;
	if (!ds_inventory_read_lines(call) || !ds_inventory_writers_open(call))
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(call->pool_rows->relation->rd_rel->relowner,
						   context | SECURITY_LOCAL_USERID_CHANGE);
	done = decide(call);
	if (done)
	{
		call->at = GetCurrentTimestamp();
		call->expires_at = after_ttl(call, call->at);
		InitMaterializedSRF(fcinfo, 0);
		ds_inventory_write(call, (ReturnSetInfo *) fcinfo->resultinfo);
	}
	SetUserIdAndSecContext(user, context);
	PopActiveSnapshot();
	ds_inventory_writers_close(call);
	if (done)
		CommandCounterIncrement();
	return done;
}

/* ask_whole does the call from everything, in SQL. */
static Datum
ask_whole(FunctionCallInfo fcinfo)
{
	static const Oid types[] = {JSONBOID, JSONBOID};
	LOCAL_FCINFO(whole, 2);
	FmgrInfo flinfo;
	Datum answer;

	fmgr_info(ds_verb_behind("inventory_reserve_whole", types, lengthof(types)), &flinfo);
	InitFunctionCallInfoData(*whole, &flinfo, lengthof(types), InvalidOid, NULL,
							 fcinfo->resultinfo);
	whole->args[0] = fcinfo->args[0];
	whole->args[1] = fcinfo->args[1];
	answer = FunctionCallInvoke(whole);
	fcinfo->isnull = whole->isnull;
	return answer;
}

/*
 * may_write does the question whether the short way is open: where statements
 * see what is committed before each, and tables may be read directly.
 */
static bool
may_write(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rows = (ReturnSetInfo *) fcinfo->resultinfo;

	return !PG_ARGISNULL(0) && !PG_ARGISNULL(1) && rows != NULL && IsA(rows, ReturnSetInfo) &&
		   (rows->allowedModes & SFRM_Materialize) != 0 && !IsolationUsesXactSnapshot() &&
		   !XactReadOnly && !RecoveryInProgress() && !IsInParallelMode();
}

/* ds_sql_inventory_reserve does reserve(lines, options). */
Datum
ds_sql_inventory_reserve(PG_FUNCTION_ARGS)
{
	DsReserve call = {0};

	if (may_write(fcinfo))
	{
		call.lines_said = PG_GETARG_JSONB_P(0);
		call.options_said = PG_GETARG_JSONB_P(1);
		if (promise(&call, fcinfo))
			return (Datum) 0;
	}
	return ask_whole(fcinfo);
}
