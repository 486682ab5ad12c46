/*-------------------------------------------------------------------------
 *
 * submit.c
 *		The verb submit_order(): price, stock and credit in one transaction.
 *
 * Most orders name what they want by our codes, every line has a price and
 * stock, and nothing is to be compared with what was expected: they are read,
 * priced, promised and stored here, without a statement. Whatever is more than
 * that (kits, agreed volumes, lines that are short, other policies, codes of
 * others, mistakes) is done by distsync_internal.order_submit_whole(), before
 * anything was written here; it says the same, slower.
 *
 * Process: any backend. Locks: the idempotency key; the credit account with
 * all above it; demands; rows of dist.stock_pool. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "order/submit.h"

#include "access/toast_compression.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"
#include "base/compat.h"
#include "base/export.h"
#include "base/verb.h"
#include "master/scope.h"

DS_FUNCTION_INFO_V1(ds_sql_order_submit);

/* the function behind the verb, which does whatever is not usual */
#define WHOLE "order_submit_whole"

static const Oid argument_types[] = {JSONBOID, TEXTOID};

/* what most orders take, of memory */
#define ROOM (256 * 1024)

/* columns of submit_order() */
enum
{
	S_NUMBER,
	S_STATE,
	S_CREDIT_STATE,
	S_CURRENCY,
	S_NET,
	S_TAX,
	S_GROSS,
	S_LINES,
	S_REASONS,
	S_CORRELATION,
	S_DETAIL,
	S_COUNT
};

/* lock_account does the locking of the account and all above it: from here on nobody else moves it. */
static bool
lock_account(DsOrder *o)
{
	if (o->account_id == 0)
		return true;
	if (!ds_credit_take_lock(&o->credit, o->account_id))
		return false;
	/* what was committed while we waited is to be seen */
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
	return true;
}

/* part does a member of the answer. */
static Datum
part(Jsonb *answer, const char *key)
{
	JsonbValue buffer;
	JsonbValue *v = getKeyJsonValueFromContainer(&answer->root, key, (int) strlen(key), &buffer);

	return JsonbPGetDatum(JsonbValueToJsonb(v));
}

/* put does the row of the answer. */
static void
put(FunctionCallInfo fcinfo, const DsOrder *o, Jsonb *answer)
{
	ReturnSetInfo *rows = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum values[S_COUNT];
	bool nulls[S_COUNT] = {false};

	values[S_NUMBER] = CStringGetTextDatum(o->order_number);
	values[S_STATE] = CStringGetTextDatum(o->state);
	values[S_CREDIT_STATE] = CStringGetTextDatum(o->credit_state);
	values[S_CURRENCY] = CStringGetTextDatum(o->prices.currency);
	values[S_NET] = NumericGetDatum(o->net_amount);
	values[S_TAX] = NumericGetDatum(o->tax_amount);
	values[S_GROSS] = NumericGetDatum(o->gross_amount);
	values[S_LINES] = part(answer, "lines");
	values[S_REASONS] = part(answer, "reasons");
	values[S_CORRELATION] = o->correlation;
	values[S_DETAIL] = part(answer, "detail");
	InitMaterializedSRF(fcinfo, 0);
	tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
}

/*
 * lock_po does the locking of the customer's PO number, as order_lock_po() does:
 * of two at once the second sees the first. It comes with the keys, before all
 * other locks.
 */
static void
lock_po(DsOrder *o)
{
	Datum named, key;

	if (o->customer_po == NULL)
		return;
	named = CStringGetTextDatum(
		psprintf("distsync.po:" INT64_FORMAT ":%s", o->customer.id, o->customer_po));
	key = DirectFunctionCall2Coll(hashtextextended, DEFAULT_COLLATION_OID, named, Int64GetDatum(0));
	DirectFunctionCall1(o->policy.warns_of_po ? pg_advisory_xact_lock_int8
											  : pg_advisory_xact_lock_shared_int8,
						key);
}

/* prepare does all that comes before the locks of rows. */
static bool
prepare(DsOrder *o)
{
	if (!ds_order_find(o) || !ds_order_read_lines(o) || !ds_order_read_policy(o))
		return false;
	lock_po(o);
	return ds_order_price(o) && ds_order_writers_open(o);
}

/* decide does the promise, the decision and all that is kept of them. False: nothing was written. */
static bool
decide(DsOrder *o)
{
	bool native;

	if (!lock_account(o) || ds_order_has_deposit(o))
		return false;
	native = ds_order_is_native(o);
	if (!ds_order_promise(o))
		return false;
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
	ds_order_credit(o);
	o->state = strcmp(o->credit_state, "held") == 0 ? "held" : native ? "booked" : "accepted";
	ds_order_write(o);
	ds_order_tell(o);
	return true;
}

/* submit does an order under its key, if it has one. False: nothing was written, the whole path shall see. */
static bool
submit(FunctionCallInfo fcinfo, DsOrder *o, DsAnswered *key)
{
	Jsonb *answer;
	bool done;

	PushActiveSnapshot(GetTransactionSnapshot());
	done = prepare(o) && decide(o);
	if (done)
	{
		answer = ds_order_answer(o);
		if (key != NULL)
			ds_answered_keep(key, JsonbPGetDatum(answer));
		put(fcinfo, o, answer);
	}
	ds_order_writers_close(o);
	PopActiveSnapshot();
	return done;
}

/* try does the same with the key locked, where nobody has used it. */
static bool
try(FunctionCallInfo fcinfo)
{
	DsOrder *o = palloc0(sizeof(DsOrder));
	DsAnswered key = {.verb = "submit_order"};
	bool done = false;

	o->document = PG_GETARG_JSONB_P(0);
	if (!ds_order_read(o))
		return false;
	ds_order_source(o);
	if (PG_ARGISNULL(1))
		return submit(fcinfo, o, NULL);
	key.key = text_to_cstring(PG_GETARG_TEXT_PP(1));
	key.source = o->source;
	key.request = o->document;
	if (ds_answered_open(&key))
		done = ds_answered_free(&key) && submit(fcinfo, o, &key);
	ds_answered_close(&key);
	return done;
}

/* compress_quickly does the choice of how long documents are compressed, where nobody has chosen: it took a tenth of the time. */
static void
compress_quickly(void)
{
#ifdef USE_LZ4
	if (default_toast_compression == TOAST_PGLZ_COMPRESSION)
		(void) set_config_option("default_toast_compression", "lz4", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
#endif
}

/* as_owner does the same as the owner of the books, who owns the function behind the verb too. */
static bool
as_owner(FunctionCallInfo fcinfo)
{
	HeapTuple behind = SearchSysCache1(
		PROCOID, ObjectIdGetDatum(ds_verb_behind(WHOLE, argument_types, lengthof(argument_types))));
	Oid owner = ((Form_pg_proc) GETSTRUCT(behind))->proowner;
	Oid user;
	int context;
	bool done;

	ReleaseSysCache(behind);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE);
	done = try(fcinfo);
	SetUserIdAndSecContext(user, context);
	return done;
}

/*
 * try_apart does the same in a context of its own, which is kept from call to
 * call: what an order takes would be given back to the system and fetched anew
 * each time. An error takes it along with the caller's.
 */
static bool
try_apart(FunctionCallInfo fcinfo)
{
	static MemoryContext kept = NULL;
	MemoryContext room = kept;
	MemoryContext old;
	int level = NewGUCNestLevel();
	bool done;

	kept = NULL;
	if (room == NULL)
		room = AllocSetContextCreate(CurrentMemoryContext, "distsync order", ROOM, ROOM,
									 ALLOCSET_DEFAULT_MAXSIZE);
	else
		MemoryContextSetParent(room, CurrentMemoryContext);
	old = MemoryContextSwitchTo(room);
	compress_quickly();
	done = as_owner(fcinfo);
	AtEOXact_GUC(true, level);
	MemoryContextSwitchTo(old);
	MemoryContextReset(room);
	MemoryContextSetParent(room, TopMemoryContext);
	kept = room;
	return done;
}

/* ds_sql_order_submit does submit_order(document, idempotency_key). */
Datum
ds_sql_order_submit(PG_FUNCTION_ARGS)
{
	/* what a restricted caller may say and hear is for the whole path */
	if (!PG_ARGISNULL(0) && !ds_master_restricted() && ds_inventory_may_command(fcinfo) &&
		try_apart(fcinfo))
		return (Datum) 0;
	return ds_verb_ask(fcinfo, WHOLE, argument_types, lengthof(argument_types));
}
