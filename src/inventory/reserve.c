/*-------------------------------------------------------------------------
 *
 * reserve.c
 *		The verb reserve(): a promise of stock, in the caller's transaction.
 *
 * Most calls ask for items by our codes, and there is enough: then the promise
 * is a guarded update of each pool, a row for each reservation, one for the
 * audit, one marker an item. Where there is not enough, the call is refused
 * from what one snapshot sees, without a lock. Whatever is more than that (a
 * line for a demand, pools that time has passed, names of others, mistakes) is
 * done by distsync_internal.inventory_reserve_whole(), before anything was
 * written here; it says the same, slower.
 *
 * Process: any backend. Locks: the idempotency key, then rows of
 * dist.stock_pool in the order of item and site. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/reserve.h"

#include "access/xact.h"
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

/* request_of does what was asked, as the key of the call remembers it. */
static Datum
request_of(const DsReserve *call)
{
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	ds_json_jsonb(&json, "lines", call->lines_said);
	ds_json_jsonb(&json, "options", call->options_said);
	ds_json_close_object(&json);
	return ds_json_finish(&json);
}

/* after_ttl does the end of a hold that begins at an instant. */
static TimestampTz
after_ttl(const DsReserve *call, TimestampTz at)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(at),
												   IntervalPGetDatum(&call->options.ttl)));
}

/*
 * take does the taking of what was decided. What several pools could serve is
 * decided without locks where it comes from one of them and nobody is at that,
 * otherwise with all of them locked. Where somebody is at every slot of a hot
 * pool, more are dealt if nobody else does that, or else we wait for a slot.
 * What may be given back has its pools locked first, as who gives back does.
 * False: nothing is taken and nothing is locked.
 */
static bool
take(DsReserve *call)
{
	DsReservePool *only = ds_inventory_only_pool(call);
	DsSlotResult result = DS_SLOT_SHORT;

	if (call->lock_first)
		return ds_inventory_take(call, true) == DS_SLOT_TAKEN;
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

/* How a call went. */
typedef enum Outcome
{
	TAKEN,
	REFUSED, /* something is short: that is the answer */
	UNKNOWN	 /* nothing was written, the whole path shall see */
} Outcome;

/*
 * decide does the choice and the taking, under the newest snapshot. To refuse
 * takes no lock: what the snapshot sees is what was there at its instant, and
 * it was not enough. Where somebody took it while we wanted to, we look again.
 */
static Outcome
decide(DsReserve *call)
{
	for (int look = 0; look < 2; look++)
	{
		TimestampTz now = GetCurrentTimestamp();

		if (look > 0)
		{
			PopActiveSnapshot();
			PushActiveSnapshot(GetTransactionSnapshot());
		}
		call->expires_at = after_ttl(call, now);
		if (!ds_inventory_list_pools(call) || !ds_inventory_read_pools(call))
			return UNKNOWN;
		if (!ds_inventory_allocate(call))
			return !call->options.up_to && ds_inventory_refuse(call, now) ? REFUSED : UNKNOWN;
		if (look == 0 && take(call))
			return TAKEN;
		/* what was locked in vain goes with the subtransaction only */
		if (call->serving)
			break;
	}
	return UNKNOWN;
}

/* How a call that serves demands went. */
typedef struct Serving
{
	DsReserve *call;
	Outcome outcome;
} Serving;

/* decide_serving does the same with the demands of the lines locked before the pools, in a subtransaction. */
static bool
decide_serving(void *what)
{
	Serving *serving = what;

	ds_inventory_lock_demands(serving->call);
	if (ds_inventory_demands_new(serving->call))
		serving->outcome = decide(serving->call);
	return serving->outcome == TAKEN;
}

/*
 * decide_all does the same for all calls. Where there is more to do nothing
 * may be locked: quotas come before demands. To refuse leaves nothing either.
 */
static Outcome
decide_all(DsReserve *call)
{
	Serving serving = {call, UNKNOWN};

	if (!call->serving)
		return decide(call);
	ds_rows_ready(call->pool_rows);
	call->as_read = call->choose && !call->lock_first;
	ds_inventory_apart(decide_serving, &serving);
	call->as_read = false;
	/* nothing is left of it: now with all pools locked in their order */
	if (call->raced)
		ds_inventory_apart(decide_serving, &serving);
	return serving.outcome;
}

/*
 * ds_inventory_promise does a call whose options and lines were read. False:
 * nothing was written, the whole path shall see. Without fcinfo the caller
 * looks at the grants himself, and to refuse is left to the whole path too.
 */
bool
ds_inventory_promise(DsReserve *call, FunctionCallInfo fcinfo)
{
	Oid user;
	int context;
	Outcome outcome;

	if (!ds_inventory_writers_open(call))
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(call->pool_rows->relation->rd_rel->relowner,
						   context | SECURITY_LOCAL_USERID_CHANGE);
	outcome = decide_all(call);
	if (outcome == TAKEN)
	{
		call->at = GetCurrentTimestamp();
		call->expires_at = after_ttl(call, call->at);
		if (fcinfo != NULL)
			InitMaterializedSRF(fcinfo, 0);
		ds_inventory_write(call, fcinfo == NULL ? NULL : (ReturnSetInfo *) fcinfo->resultinfo);
	}
	else if (outcome == REFUSED && fcinfo != NULL)
		ds_inventory_answer_refused(call, fcinfo);
	SetUserIdAndSecContext(user, context);
	PopActiveSnapshot();
	ds_inventory_writers_close(call);
	if (outcome == TAKEN)
		CommandCounterIncrement();
	return outcome == TAKEN || (outcome == REFUSED && fcinfo != NULL);
}

/* promise does the whole of a call. False: nothing was written, the whole path shall see. */
static bool
promise(DsReserve *call, FunctionCallInfo fcinfo)
{
	if (!ds_inventory_read_options(call))
		return false;
	if (call->command.source == NULL)
		call->command.source = GetUserNameFromId(GetSessionUserId(), false);
	if (call->command.key != NULL)
	{
		call->command.request = request_of(call);
		if (ds_inventory_answered(&call->command))
			return false;
	}
	return ds_inventory_read_lines(call) && ds_inventory_promise(call, fcinfo);
}

/* ds_sql_inventory_reserve does reserve(lines, options). */
Datum
ds_sql_inventory_reserve(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {JSONBOID, JSONBOID};
	DsReserve call = {.command = {.verb = "reserve"}};

	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1) && ds_inventory_may_command(fcinfo))
	{
		call.lines_said = PG_GETARG_JSONB_P(0);
		call.options_said = PG_GETARG_JSONB_P(1);
		if (promise(&call, fcinfo))
			return (Datum) 0;
	}
	return ds_verb_ask(fcinfo, "inventory_reserve_whole", types, lengthof(types));
}
