/*-------------------------------------------------------------------------
 *
 * hold.c
 *		The verbs commit_reservation(), release_reservation(),
 *		extend_reservation(), and those for many.
 *
 * Where nothing is wrong and pools need no more than their counters, that is
 * what is written: the reservations, the counters, an audit, one marker an
 * item. Whatever is more than that (mistakes, promises that wait for supply,
 * pools that time has passed, demands that others have spoken of) is done by
 * inventory_hold_one() and inventory_hold_many(), before anything was written
 * here; they say the same, slower.
 *
 * Process: any backend. Locks: the idempotency key, then rows of
 * dist.stock_pool in the order of item and site. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/hold.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/export.h"
#include "base/json.h"
#include "base/verb.h"

DS_FUNCTION_INFO_V1(ds_sql_inventory_commit);
DS_FUNCTION_INFO_V1(ds_sql_inventory_release);
DS_FUNCTION_INFO_V1(ds_sql_inventory_extend);
DS_FUNCTION_INFO_V1(ds_sql_inventory_commit_many);
DS_FUNCTION_INFO_V1(ds_sql_inventory_release_many);

static const char *const words[] = {"commit", "release", "extend"};

/* compare_pools does the order in which pools are locked. */
static int
compare_pools(const void *a, const void *b)
{
	const DsHoldPool *x = a;
	const DsHoldPool *y = b;

	if (x->item_id != y->item_id)
		return x->item_id < y->item_id ? -1 : 1;
	return x->site_id < y->site_id ? -1 : x->site_id > y->site_id;
}

/* list_pools does the listing of the pools of all parts, sorted, each once. */
static void
list_pools(DsHoldCall *call)
{
	int kept = 0;

	call->pools = palloc_extended(sizeof(DsHoldPool) * call->nparts, MCXT_ALLOC_HUGE);
	for (int i = 0; i < call->nparts; i++)
	{
		call->pools[i].item_id = call->parts[i].item_id;
		call->pools[i].site_id = call->parts[i].site_id;
		call->pools[i].row = NULL;
	}
	qsort(call->pools, call->nparts, sizeof(DsHoldPool), compare_pools);
	for (int i = 0; i < call->nparts; i++)
		if (kept == 0 || compare_pools(&call->pools[kept - 1], &call->pools[i]) != 0)
			call->pools[kept++] = call->pools[i];
	call->npools = kept;
}

/* place_parts does the finding of the pool of each part. False: one stands in a pool that is none of the call's. */
static bool
place_parts(DsHoldCall *call)
{
	for (int i = 0; i < call->nparts; i++)
	{
		DsHoldPool key = {call->parts[i].item_id, call->parts[i].site_id};

		call->parts[i].pool =
			bsearch(&key, call->pools, call->npools, sizeof(DsHoldPool), compare_pools);
		if (call->parts[i].pool == NULL)
			return false;
	}
	return true;
}

/* lacks_some does the question whether one of the reservations that were named is not there. */
static bool
lacks_some(const DsHoldCall *call)
{
	for (int i = 0; i < call->nholds; i++)
		if (call->holds[i].nparts == 0)
			return true;
	return false;
}

/*
 * lock_pools does the locking of all pools in their order. Returns whether
 * none of them has changed since the snapshot that reservations were read
 * under: whoever changes a reservation changes its pool.
 */
static bool
lock_pools(DsHoldCall *call)
{
	bool same = true;

	for (int i = 0; i < call->npools; i++)
	{
		DsHoldPool *pool = &call->pools[i];
		ItemPointerData tid = pool->row->t_self;

		if (ds_rows_lock(call->pool_rows, GetActiveSnapshot(), &tid, LockWaitBlock) != TM_Ok)
			ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
							errmsg("a pool of a reservation is gone"),
							errhint("Run the transaction again.")));
		same = same && ItemPointerEquals(&tid, &pool->row->t_self);
		pool->row = ds_rows_take(call->pool_rows);
	}
	return same;
}

/* find_pools does the reading of all pools. False: one is not there. */
static bool
find_pools(DsHoldCall *call)
{
	for (int i = 0; i < call->npools; i++)
	{
		DsHoldPool *pool = &call->pools[i];

		pool->row = ds_inventory_pool_row(pool->item_id, pool->site_id);
		if (pool->row == NULL)
			return false;
	}
	return true;
}

/*
 * decide does the locking, and the plan of what becomes of everything, as a
 * snapshot sees it that is younger than the locks: who had them before may have
 * laid a demand over other sites, and changed nothing of its pools. What was
 * not there may be there by now, and its pool may be one that is not locked.
 */
static bool
decide(void *what)
{
	DsHoldCall *call = what;
	bool same = lock_pools(call);

	/* the holder may have others by now */
	if (!same && call->listed)
		return false;
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
	if ((!same || lacks_some(call)) && !ds_inventory_hold_read(call))
		return false;
	if (!place_parts(call))
		return false;
	call->at = GetCurrentTimestamp();
	call->until = DatumGetTimestampTz(DirectFunctionCall2(
		timestamptz_pl_interval, TimestampTzGetDatum(call->at), IntervalPGetDatum(&call->ttl)));
	return ds_inventory_hold_judge(call);
}

/* settle does the whole of a call whose writers are open. False: nothing was written. */
static bool
settle(DsHoldCall *call, Jsonb *lines, FunctionCallInfo fcinfo)
{
	bool apart;

	if (call->nholds == 0 && !ds_inventory_hold_lines(call, lines))
		return false;
	if (!ds_inventory_hold_read(call))
		return false;
	list_pools(call);
	if (!find_pools(call))
		return false;
	/* the whole path reads anew what a holder has, and what was not there: it may lock pools that come before ours */
	call->listed = call->many && lines == NULL;
	apart = call->listed || (call->many && lacks_some(call));
	if (apart)
		ds_rows_ready(call->pool_rows);
	if (!(apart ? ds_inventory_apart(decide, call) : decide(call)))
		return false;
	/* the work apart had a snapshot of its own: what was committed while it waited is to be seen */
	if (apart)
	{
		PopActiveSnapshot();
		PushActiveSnapshot(GetTransactionSnapshot());
	}
	ds_inventory_hold_write(call);
	InitMaterializedSRF(fcinfo, 0);
	ds_inventory_hold_answer(call, (ReturnSetInfo *) fcinfo->resultinfo);
	return true;
}

/* run does a call, as the owner of the tables. False: nothing was written, the whole path shall see. */
static bool
run(DsHoldCall *call, Jsonb *lines, FunctionCallInfo fcinfo)
{
	Oid user;
	int context;
	bool done;

	if (!ds_inventory_hold_open(call))
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(call->pool_rows->relation->rd_rel->relowner,
						   context | SECURITY_LOCAL_USERID_CHANGE);
	done = settle(call, lines, fcinfo);
	SetUserIdAndSecContext(user, context);
	PopActiveSnapshot();
	ds_inventory_hold_close(call);
	if (done)
		CommandCounterIncrement();
	return done;
}

/* is_free does the look-up of the first answer under the key of a call. False: there is one, and the whole path says it. */
static bool
is_free(DsCommand *command, Datum request)
{
	if (command->key == NULL)
		return true;
	command->request = request;
	return !ds_inventory_answered(command);
}

/* whose does the source of a call: the user of the session, if nobody is said. */
static void
whose(DsCommand *command)
{
	if (command->source == NULL)
		command->source = GetUserNameFromId(GetSessionUserId(), false);
}

/* ask_whole does the call from everything, in SQL: its own arguments stand behind the name of the command. */
static Datum
ask_whole(FunctionCallInfo fcinfo, const char *function, const Oid *types, int n,
		  const NullableDatum *args)
{
	LOCAL_FCINFO(whole, 5);
	FmgrInfo flinfo;
	Datum answer;

	fmgr_info(ds_verb_behind(function, types, n), &flinfo);
	InitFunctionCallInfoData(*whole, &flinfo, n, InvalidOid, NULL, fcinfo->resultinfo);
	for (int i = 0; i < n; i++)
		whole->args[i] = args[i];
	answer = FunctionCallInvoke(whole);
	fcinfo->isnull = whole->isnull;
	return answer;
}

/* request_one does what was asked of one reservation, as the key of the call remembers it. */
static Datum
request_one(const DsHoldCall *call, const NullableDatum *args)
{
	const DsHold *hold = &call->holds[0];
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	ds_json_integer(&json, "reservation_id", hold->said);
	ds_json_jsonb(&json, "options", call->options_said);
	if (call->verb == DS_HOLD_EXTEND)
		ds_json_text(&json, "ttl",
					 DatumGetCString(DirectFunctionCall1(interval_out, args[3].value)));
	else
		ds_json_number(&json, "quantity", hold->quantity);
	ds_json_close_object(&json);
	return ds_json_finish(&json);
}

/* is_short does the question whether a time is one of hours and days, above 0 and of at most 366 days. */
static bool
is_short(const Interval *ttl)
{
	static const int64 most = 366;
	int64 rest;

	if (ttl->month != 0 || ttl->day < 0 || ttl->day > most || ttl->time < 0 ||
		ttl->time > most * USECS_PER_DAY)
		return false;
	rest = ttl->day * USECS_PER_DAY + ttl->time;
	return rest > 0 && rest <= most * USECS_PER_DAY;
}

/* do_one does a command on one reservation. args: the verb, the reservation, a quantity, a time, options. */
static Datum
do_one(FunctionCallInfo fcinfo, DsHoldVerb verb, NullableDatum *args)
{
	static const Oid types[] = {TEXTOID, INT8OID, NUMERICOID, INTERVALOID, JSONBOID};
	DsHold hold = {0};
	DsHoldCall call = {.verb = verb, .holds = &hold, .nholds = 1};

	call.command.verb = psprintf("%s_reservation", words[verb]);
	args[0].value = CStringGetTextDatum(words[verb]);
	args[0].isnull = false;
	if (!args[1].isnull && !args[4].isnull && (verb != DS_HOLD_EXTEND || !args[3].isnull) &&
		ds_inventory_may_command(fcinfo))
	{
		call.options_said = DatumGetJsonbP(args[4].value);
		hold.said = DatumGetInt64(args[1].value);
		if (!args[2].isnull)
			hold.quantity = DatumGetNumeric(args[2].value);
		if (!args[3].isnull)
			call.ttl = *DatumGetIntervalP(args[3].value);
		if ((verb != DS_HOLD_EXTEND || is_short(&call.ttl)) && ds_inventory_hold_options(&call))
		{
			whose(&call.command);
			if (is_free(&call.command,
						call.command.key == NULL ? (Datum) 0 : request_one(&call, args)) &&
				run(&call, NULL, fcinfo))
				return (Datum) 0;
		}
	}
	return ask_whole(fcinfo, "inventory_hold_one", types, lengthof(types), args);
}

/* request_many does what was asked of many reservations. */
static Datum
request_many(const DsHoldCall *call, Jsonb *lines)
{
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	if (lines == NULL)
		ds_json_text(&json, "lines", NULL);
	else
		ds_json_jsonb(&json, "lines", lines);
	ds_json_jsonb(&json, "options", call->options_said);
	ds_json_close_object(&json);
	return ds_json_finish(&json);
}

/* do_many does a command on many reservations. */
static Datum
do_many(FunctionCallInfo fcinfo, DsHoldVerb verb)
{
	static const Oid types[] = {TEXTOID, JSONBOID, JSONBOID};
	DsHoldCall call = {.verb = verb, .many = true};
	Jsonb *lines = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);
	NullableDatum args[3] = {
		{CStringGetTextDatum(words[verb]), false}, fcinfo->args[0], fcinfo->args[1]};

	call.command.verb = psprintf("%s_reservations", words[verb]);
	if (!PG_ARGISNULL(1) && ds_inventory_may_command(fcinfo))
	{
		call.options_said = PG_GETARG_JSONB_P(1);
		if (ds_inventory_hold_options(&call))
		{
			whose(&call.command);
			if (is_free(&call.command,
						call.command.key == NULL ? (Datum) 0 : request_many(&call, lines)) &&
				run(&call, lines, fcinfo))
				return (Datum) 0;
		}
	}
	return ask_whole(fcinfo, "inventory_hold_many", types, lengthof(types), args);
}

/* with_quantity does the call of a command on one reservation that takes a quantity. */
static Datum
with_quantity(FunctionCallInfo fcinfo, DsHoldVerb verb)
{
	NullableDatum args[5] = {
		{0, true}, fcinfo->args[0], fcinfo->args[1], {0, true}, fcinfo->args[2]};

	return do_one(fcinfo, verb, args);
}

/* ds_sql_inventory_commit does commit_reservation(reservation_id, quantity, options). */
Datum
ds_sql_inventory_commit(PG_FUNCTION_ARGS)
{
	return with_quantity(fcinfo, DS_HOLD_COMMIT);
}

/* ds_sql_inventory_release does release_reservation(reservation_id, quantity, options). */
Datum
ds_sql_inventory_release(PG_FUNCTION_ARGS)
{
	return with_quantity(fcinfo, DS_HOLD_RELEASE);
}

/* ds_sql_inventory_extend does extend_reservation(reservation_id, ttl, options). */
Datum
ds_sql_inventory_extend(PG_FUNCTION_ARGS)
{
	NullableDatum args[5] = {
		{0, true}, fcinfo->args[0], {0, true}, fcinfo->args[1], fcinfo->args[2]};

	return do_one(fcinfo, DS_HOLD_EXTEND, args);
}

/* ds_sql_inventory_commit_many does commit_reservations(lines, options). */
Datum
ds_sql_inventory_commit_many(PG_FUNCTION_ARGS)
{
	return do_many(fcinfo, DS_HOLD_COMMIT);
}

/* ds_sql_inventory_release_many does release_reservations(lines, options). */
Datum
ds_sql_inventory_release_many(PG_FUNCTION_ARGS)
{
	return do_many(fcinfo, DS_HOLD_RELEASE);
}
