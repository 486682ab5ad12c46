/*-------------------------------------------------------------------------
 *
 * event_take.c
 *		Stock events of a call, taken in C: read, resolved, deduped, noted in
 *		their streams, posted, answered. Where one of them is not plain, or a
 *		table is not as we know it, nothing is written and
 *		distsync_internal.inventory_apply_events_whole() takes the call, with the
 *		same result.
 *
 * Process: any backend. Locks: keys of events, streams, demands, pools, in
 * this order. Memory: a context of the call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "base/codes.h"
#include "base/compat.h"
#include "base/export.h"
#include "base/guc.h"
#include "base/verb.h"
#include "inventory/event.h"
#include "inventory/event_key.h"
#include "inventory/event_table.h"

#define MAX_EVENTS 100000

/* ask_system does the perspective that the sender has of its own, by the kind of its system. */
static void
ask_system(DsEventCall *call)
{
	const char *kind = call->documents->system_kind;

	call->book = kind != NULL && strcmp(kind, "erp") == 0;
	call->usual = kind != NULL &&
				  (call->book || strcmp(kind, "wms") == 0 || strcmp(kind, "third_party") == 0);
}

/* ds_inventory_event_open does the opening of everything that is written. False: something is not plain. */
bool
ds_inventory_event_open(DsEventCall *call)
{
	call->began = GetCurrentTimestamp();
	call->events = ds_rows_parts_open(&ds_inventory_event_entries_table);
	if (call->events == NULL)
		return false;
	call->sequence = ds_inventory_event_sequence(RelationGetRelid(call->events->parent));
	call->entries = ds_rows_parts_writer(call->events, TimestampTzGetDatum(call->began));
	call->balances = ds_rows_open(&ds_inventory_event_balances_table);
	call->pools = ds_rows_open(&ds_inventory_event_pools_table);
	call->streams = ds_rows_open(&ds_inventory_event_streams_table);
	return OidIsValid(call->sequence) && call->entries != NULL && call->balances != NULL &&
		   call->pools != NULL && call->streams != NULL &&
		   ds_rows_tell_alike(call->balances, call->pools);
}

/* ds_inventory_event_close does the closing of what is open. */
void
ds_inventory_event_close(DsEventCall *call)
{
	if (call->dedupe != NULL)
		ds_rows_parts_close(call->dedupe);
	if (call->events != NULL)
		ds_rows_parts_close(call->events);
	if (call->balances != NULL)
		ds_rows_close(call->balances);
	if (call->pools != NULL)
		ds_rows_close(call->pools);
	if (call->streams != NULL)
		ds_rows_close(call->streams);
}

/* judge_keys does what the keys say of their events; the first event of a key stands for it. */
static void
judge_keys(DsEventCall *call, const DsEventKey *all, const DsEventKey *keys)
{
	int k = 0;

	for (int i = 0; i < call->n; i++)
	{
		DsEvent *event = &call->event[all[i].number];
		bool first = i == 0 || ds_inventory_event_key_compare(&all[i - 1], &all[i]) != 0;
		bool same;

		if (i > 0 && first)
			k++;
		if (first && keys[k].fresh)
			continue;
		same = keys[k].fresh ? memcmp(all[i].body, keys[k].body, DS_EVENT_HASH) == 0
							 : memcmp(all[i].body, keys[k].taken, DS_EVENT_HASH) == 0;
		event->outcome = same ? DS_EVENT_DUPLICATE : DS_EVENT_CONFLICT;
	}
}

/* compare_all does the order of keys, and of events within one as they came. */
static int
compare_all(const void *a, const void *b)
{
	int order = ds_inventory_event_key_compare(a, b);

	return order != 0 ? order : ((const DsEventKey *) a)->number - ((const DsEventKey *) b)->number;
}

/* dedupe does the taking of the events' keys. False: they have to be taken by SQL. */
static bool
dedupe(DsEventCall *call)
{
	DsEventKey *all = palloc0(mul_size(sizeof(DsEventKey), call->n));
	DsEventKey *keys = palloc0(mul_size(sizeof(DsEventKey), call->n));
	int n = 0;

	for (int i = 0; i < call->n; i++)
	{
		all[i].key = call->event[i].key;
		all[i].body = call->event[i].hash;
		all[i].number = i;
	}
	if (call->n > 1)
		qsort(all, call->n, sizeof(DsEventKey), compare_all);
	for (int i = 0; i < call->n; i++)
		if (i == 0 || ds_inventory_event_key_compare(&all[i - 1], &all[i]) != 0)
			keys[n++] = all[i];
	call->dedupe = ds_inventory_event_keys_open(keys, n);
	if (call->dedupe == NULL)
		return false;
	ds_inventory_event_keys_take(call->dedupe, call->documents->source, keys, n);
	judge_keys(call, all, keys);
	return true;
}

/* mark does the outcome of events with these ordinals. */
static void
mark(DsEventCall *call, Datum list, DsEventOutcome outcome)
{
	Datum *ordinal;
	bool *ignored;
	int n;

	deconstruct_array(DatumGetArrayTypeP(list), INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &ordinal, &ignored, &n);
	for (int i = 0, e = 0; i < n; i++)
	{
		/* both are ascending, almost always */
		while (call->event[e].ordinal != DatumGetInt32(ordinal[i]))
			e = (e + 1) % call->n;
		call->event[e].outcome = outcome;
	}
}

/*
 * judge_replays does the look for events whose names may have been forgotten
 * since they were told. Nothing of the last day was: names are kept for two,
 * and no event is told a day before it happens.
 */
static void
judge_replays(DsEventCall *call)
{
	Oid types[2] = {ds_inventory_event_array_type("inventory_event"), TEXTOID};
	DsEvent **events = palloc(mul_size(sizeof(DsEvent *), call->n));
	TimestampTz since = call->began - USECS_PER_DAY;
	Datum values[2];
	HeapTupleHeader row;
	bool isnull;
	int n = 0;

	for (int i = 0; i < call->n; i++)
		if (call->event[i].outcome == DS_EVENT_APPLIED && call->event[i].event_at < since)
			events[n++] = &call->event[i];
	if (n == 0)
		return;
	values[0] = ds_inventory_event_told(events, n);
	values[1] = PointerGetDatum(call->documents->source);
	CommandCounterIncrement();
	row = DatumGetHeapTupleHeader(
		ds_inventory_event_ask("inventory_told_already", 2, types, values, NULL, &isnull));
	mark(call, GetAttributeByNum(row, 1, &isnull), DS_EVENT_DUPLICATE);
	mark(call, GetAttributeByNum(row, 2, &isnull), DS_EVENT_GONE);
}

/* What is said of an event that is refused. */
static const struct
{
	const char *sqlstate, *field, *message, *hint;
} refusals[] = {
	[DS_EVENT_CONFLICT] = {"SD010", "event_id",
						   "event \"%.*s\" was told before and said something else",
						   "Give a new event its own event_id; correct an old one by reverse or "
						   "count."},
	[DS_EVENT_GONE] = {"SD043", "event_at",
					   "event \"%.*s\" is too old: whether it was told before is not known any "
					   "more",
					   "Count the stock, or tell its correction as a delta of today."},
};

/* answer does the rows for all documents, in their order. */
static void
answer(DsEventCall *call)
{
	static const char *const outcomes[] = {"applied", "duplicate", "rejected", "rejected"};

	for (int i = 0; i < call->n; i++)
	{
		const DsEvent *event = &call->event[i];
		Datum values[DS_RESULT_COUNT];
		bool nulls[DS_RESULT_COUNT];

		memset(nulls, true, sizeof(nulls));
		nulls[DS_RESULT_ORDINAL] = nulls[DS_RESULT_OUTCOME] = nulls[DS_RESULT_ENTITY_KEY] = false;
		values[DS_RESULT_ORDINAL] = Int32GetDatum(event->ordinal);
		values[DS_RESULT_OUTCOME] = CStringGetTextDatum(outcomes[event->outcome]);
		values[DS_RESULT_ENTITY_KEY] = ds_inventory_slice_text(event->event_id);
		if (event->outcome >= DS_EVENT_CONFLICT)
		{
			nulls[DS_RESULT_SQLSTATE] = nulls[DS_RESULT_FIELD] = false;
			nulls[DS_RESULT_MESSAGE] = nulls[DS_RESULT_HINT] = false;
			values[DS_RESULT_SQLSTATE] = CStringGetTextDatum(refusals[event->outcome].sqlstate);
			values[DS_RESULT_FIELD] = CStringGetTextDatum(refusals[event->outcome].field);
			values[DS_RESULT_MESSAGE] = CStringGetTextDatum(
				psprintf(refusals[event->outcome].message, event->event_id.len, event->event_id.s));
			values[DS_RESULT_HINT] = CStringGetTextDatum(refusals[event->outcome].hint);
		}
		tuplestore_putvalues(call->documents->rows, call->documents->desc, values, nulls);
	}
}

/* may_take tells whether what a call stands in allows it: a writer of a newer snapshot's rows, and at liberty to write. */
static bool
may_take(const DsDocuments *documents)
{
	return XactIsoLevel == XACT_READ_COMMITTED && !XactReadOnly && !RecoveryInProgress() &&
		   !IsInParallelMode() && !ds_guc_price_through_sql && documents->n > 0 &&
		   documents->n <= MAX_EVENTS;
}

/*
 * take does the whole way of a call's events, in a context of its own, under
 * an active snapshot that is the call's own. False: nothing was written.
 */
static bool
take(DsDocuments *documents)
{
	DsEventCall call = {.documents = documents, .n = documents->n};
	bool taken = false;

	ask_system(&call);
	if (ds_inventory_event_read(&call) && ds_inventory_event_resolve(&call) &&
		ds_inventory_event_open(&call) && dedupe(&call))
	{
		taken = true;
		judge_replays(&call);
		for (int i = 0; i < call.n; i++)
			documents->rejected |= call.event[i].outcome >= DS_EVENT_CONFLICT;
		/* where that is an error, the door raises it and all is undone */
		if (documents->collect || !documents->rejected)
		{
			ds_inventory_event_streams(&call);
			ds_inventory_event_post(&call);
		}
	}
	ds_inventory_event_close(&call);
	if (taken)
	{
		CommandCounterIncrement();
		answer(&call);
	}
	return taken;
}

/* take_events does the taking of documents that the door has checked. */
static bool
take_events(DsDocuments *documents)
{
	MemoryContext context;
	MemoryContext old;
	bool taken;

	if (!may_take(documents))
		return false;
	context = AllocSetContextCreate(CurrentMemoryContext, "distsync stock events",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	taken = take(documents);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return taken;
}

/* ds_inventory_event_init does the registration, once a process. */
void
ds_inventory_event_init(void)
{
	ds_documents_register("stock_event", "distsync_internal.inventory_apply_events", take_events);
}

/* member_of does the look-up of a member of an object. */
static bool
member_of(JsonbContainer *object, const char *name, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(object, name, strlen(name), value) != NULL;
}

/* unpack_context does what the door says of the call. False: it is not as the door says it. */
static bool
unpack_context(Jsonb *ctx, DsDocuments *documents)
{
	JsonbValue value;

	if (!JB_ROOT_IS_OBJECT(ctx) || !member_of(&ctx->root, "source", &value) ||
		value.type != jbvString)
		return false;
	documents->source = cstring_to_text_with_len(value.val.string.val, value.val.string.len);
	documents->collect = member_of(&ctx->root, "on_error", &value) && value.type == jbvString &&
						 value.val.string.len == 7 &&
						 memcmp(value.val.string.val, "collect", 7) == 0;
	documents->backfill = member_of(&ctx->root, "backfill", &value) &&
						  (value.type == jbvBool ? value.val.boolean : value.type != jbvNull);
	documents->correlated =
		member_of(&ctx->root, "correlation_id", &value) && value.type == jbvString;
	if (documents->correlated)
		documents->correlation_id = *DatumGetUUIDP(DirectFunctionCall1(
			uuid_in, CStringGetDatum(pnstrdup(value.val.string.val, value.val.string.len))));
	if (member_of(&ctx->root, "system", &value) && value.type == jbvBinary &&
		JsonContainerIsObject(value.val.binary.data) &&
		member_of(value.val.binary.data, "kind", &value) && value.type == jbvString)
		documents->system_kind = pnstrdup(value.val.string.val, value.val.string.len);
	return true;
}

/* unpack_documents does the list [{"ordinal","doc"}]. False: it is not as the door makes it. */
static bool
unpack_documents(Jsonb *docs, DsDocuments *documents)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue element;

	if (!JB_ROOT_IS_ARRAY(docs) || JB_ROOT_IS_SCALAR(docs))
		return false;
	documents->document = palloc(mul_size(sizeof(DsDocument), JB_ROOT_COUNT(docs) + 1));
	it = JsonbIteratorInit(&docs->root);
	while ((token = JsonbIteratorNext(&it, &element, true)) != WJB_DONE)
	{
		DsDocument *document = &documents->document[documents->n];
		JsonbValue value;

		if (token != WJB_ELEM)
			continue;
		if (element.type != jbvBinary || !JsonContainerIsObject(element.val.binary.data) ||
			!member_of(element.val.binary.data, "ordinal", &value) || value.type != jbvNumeric)
			return false;
		document->ordinal =
			DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(value.val.numeric)));
		if (!member_of(element.val.binary.data, "doc", &value) || value.type != jbvBinary ||
			!JsonContainerIsObject(value.val.binary.data))
			return false;
		document->body = value.val.binary.data;
		documents->n++;
	}
	return true;
}

/*
 * ds_sql_inventory_apply_events does distsync_internal.inventory_apply_events(),
 * the handler that the door calls.
 */
DS_FUNCTION_INFO_V1(ds_sql_inventory_apply_events);

Datum
ds_sql_inventory_apply_events(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {JSONBOID, JSONBOID};
	DsDocuments documents = {0};
	LOCAL_FCINFO(whole, 2);
	FmgrInfo flinfo;

	if (unpack_context(PG_GETARG_JSONB_P(1), &documents) &&
		unpack_documents(PG_GETARG_JSONB_P(0), &documents))
	{
		bool taken;

		ds_documents_answer_to(fcinfo, &documents);
		PushActiveSnapshot(GetTransactionSnapshot());
		documents.codes = ds_codes_epoch();
		taken = take_events(&documents);
		PopActiveSnapshot();
		if (taken)
			return (Datum) 0;
		ds_documents_answer_not(fcinfo, &documents);
	}
	fmgr_info(ds_verb_behind("inventory_apply_events_whole", types, 2), &flinfo);
	InitFunctionCallInfoData(*whole, &flinfo, 2, InvalidOid, NULL, fcinfo->resultinfo);
	whole->args[0] = fcinfo->args[0];
	whole->args[1] = fcinfo->args[1];
	return FunctionCallInvoke(whole);
}
