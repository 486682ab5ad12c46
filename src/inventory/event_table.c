/*-------------------------------------------------------------------------
 *
 * event_table.c
 *		The tables that stock events are written to, and the way of events
 *		into SQL where SQL has to take them.
 *
 * Process: any backend. Locks: those of catalog look-ups. Memory: the caller's
 * context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "base/errors.h"
#include "base/verb.h"
#include "inventory/event_table.h"

#define MAX_COLUMNS 24
#define MAX_ARGUMENTS 8

DsRowsTable ds_inventory_event_entries_table = {
	.schema = "dist",
	.name = "stock_event",
	.adds = true,
	.by = "recorded_at",
	.keys = 5,
	.kept = {"stock_event_kind_chk", "stock_event_quantity_chk"},
	.columns = {{"item_id", INT8OID},
				{"site_id", INT8OID},
				{"event_at", TIMESTAMPTZOID},
				{"event_id", INT8OID},
				{"recorded_at", TIMESTAMPTZOID},
				{"event_key", TEXTOID},
				{"kind", TEXTOID},
				{"perspective", TEXTOID},
				{"lot", TEXTOID},
				{"owner_id", INT8OID},
				{"state", TEXTOID},
				{"quantity", NUMERICOID},
				{"counted", NUMERICOID},
				{"source", TEXTOID},
				{"stream", TEXTOID},
				{"sequence", INT8OID},
				{"reference", TEXTOID},
				{"corrects_id", INT8OID},
				{"correlation_id", UUIDOID},
				{NULL}},
};

DsRowsTable ds_inventory_event_balances_table = {
	.schema = "dist",
	.name = "stock_balance",
	.adds = true,
	.changes = true,
	.keys = 6,
	.kept = {"stock_balance_chk"},
	.told = "item_id",
	.columns = {{"item_id", INT8OID},
				{"site_id", INT8OID},
				{"perspective", TEXTOID},
				{"state", TEXTOID},
				{"lot", TEXTOID},
				{"owner_id", INT8OID},
				{"quantity", NUMERICOID},
				{"version", INT8OID},
				{"last_event_at", TIMESTAMPTZOID},
				{"counted_at", TIMESTAMPTZOID},
				{"expires_on", DATEOID},
				{NULL}},
};

DsRowsTable ds_inventory_event_pools_table = {
	.schema = "dist",
	.name = "stock_pool",
	.changes = true,
	.keys = 2,
	.kept = {"stock_pool_chk"},
	.told = "item_id",
	.columns = {{"item_id", INT8OID},
				{"site_id", INT8OID},
				{"cap", NUMERICOID},
				{"held", NUMERICOID},
				{"committed", NUMERICOID},
				{"shortfall", NUMERICOID},
				{"backorder_cap", NUMERICOID},
				{"safety", NUMERICOID},
				{"phys", NUMERICOID},
				{"book", NUMERICOID},
				{"low", NUMERICOID},
				{"ahead", BOOLOID},
				{"ruled", BOOLOID},
				{"waiting", BOOLOID},
				{"slots", INT2OID},
				{"version", INT8OID},
				{"changed_at", TIMESTAMPTZOID},
				{"valid_until", TIMESTAMPTZOID},
				{NULL}},
};

/* columns of the type inventory_event that streams and reversals are interested in */
enum
{
	T_ORDINAL = 0,
	T_EVENT_KEY = 1,
	T_KIND = 2,
	T_PERSPECTIVE = 3,
	T_ITEM_ID = 4,
	T_SITE_ID = 5,
	T_TO_SITE_ID = 6,
	T_STATE = 7,
	T_TO_STATE = 8,
	T_LOT = 9,
	T_OWNER_ID = 10,
	T_EVENT_AT = 12,
	T_STREAM = 13,
	T_SEQUENCE = 14,
	T_COUNT = 24
};

/* columns of the type inventory_movement */
enum
{
	M_ORDINAL,
	M_ITEM_ID,
	M_SITE_ID,
	M_PERSPECTIVE,
	M_STATE,
	M_LOT,
	M_OWNER_ID,
	M_KIND,
	M_QUANTITY,
	M_COUNTED,
	M_EVENT_AT,
	M_SOURCE,
	M_STREAM,
	M_SEQUENCE,
	M_REFERENCE,
	M_EVENT_KEY,
	M_CORRECTS_ID,
	M_EXPIRES_ON,
	M_CORRELATION_ID,
	M_COUNT
};

/* ds_inventory_event_kind_name does the name of a kind. */
const char *
ds_inventory_event_kind_name(DsEventKind kind)
{
	static const char *const names[] = {[DS_EVENT_DELTA] = "delta",
										[DS_EVENT_COUNT] = "count",
										[DS_EVENT_RECEIVE] = "receive",
										[DS_EVENT_SHIP] = "ship",
										[DS_EVENT_TRANSFER] = "transfer"};

	return names[kind];
}

/* ds_inventory_event_sequence does the look-up of the sequence that numbers events, once for each table. */
Oid
ds_inventory_event_sequence(Oid relid)
{
	static Oid known_relid = InvalidOid;
	static Oid sequence = InvalidOid;

	if (known_relid != relid || !SearchSysCacheExists1(RELOID, ObjectIdGetDatum(sequence)))
	{
		LOCAL_FCINFO(fcinfo, 2);
		Datum name;

		InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
		fcinfo->args[0].value = CStringGetTextDatum("dist.stock_event");
		fcinfo->args[1].value = CStringGetTextDatum("event_id");
		fcinfo->args[0].isnull = fcinfo->args[1].isnull = false;
		name = pg_get_serial_sequence(fcinfo);
		if (fcinfo->isnull)
			return InvalidOid;
		sequence = DatumGetObjectId(DirectFunctionCall1(to_regclass, name));
		known_relid = relid;
	}
	return sequence;
}

/* type_of does the look-up of a row type of ours. */
static Oid
type_of(const char *name)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
						   ObjectIdGetDatum(get_namespace_oid("distsync_internal", false)));
}

/* ds_inventory_event_array_type does the type of lists of one of our row types. */
Oid
ds_inventory_event_array_type(const char *name)
{
	return get_array_type(type_of(name));
}

/* row_of does the row type that the library expects. */
static TupleDesc
row_of(const char *name, int columns)
{
	TupleDesc desc = lookup_rowtype_tupdesc_copy(type_of(name), -1);

	if (desc->natts != columns)
		ereport(ERROR, (errcode(DS_ERRCODE_VERSION_MISMATCH),
						errmsg("type distsync_internal.%s is not what the library expects", name),
						errhint("Update the extension to the version of the library: ALTER "
								"EXTENSION distsync UPDATE.")));
	return desc;
}

static Datum
perspective_of(const DsEvent *event)
{
	return CStringGetTextDatum(event->book ? "book" : "phys");
}

/* ds_inventory_event_told does events as SQL takes them: what they are called, where they stand in their streams. */
Datum
ds_inventory_event_told(DsEvent *const *events, int n)
{
	TupleDesc desc = row_of("inventory_event", T_COUNT);
	Datum *rows = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		Datum values[T_COUNT];
		bool nulls[T_COUNT];

		memset(nulls, true, sizeof(nulls));
		nulls[T_ORDINAL] = nulls[T_PERSPECTIVE] = nulls[T_SITE_ID] = false;
		nulls[T_EVENT_AT] = nulls[T_STREAM] = false;
		nulls[T_EVENT_KEY] = nulls[T_KIND] = nulls[T_ITEM_ID] = false;
		nulls[T_STATE] = nulls[T_TO_STATE] = nulls[T_LOT] = nulls[T_OWNER_ID] = false;
		values[T_EVENT_KEY] = ds_inventory_slice_text(events[i]->event_id);
		values[T_KIND] = CStringGetTextDatum(ds_inventory_event_kind_name(events[i]->kind));
		values[T_ITEM_ID] = Int64GetDatum(events[i]->item->id);
		nulls[T_TO_SITE_ID] = events[i]->to_site_id == 0;
		nulls[T_SEQUENCE] = !events[i]->numbered;
		values[T_ORDINAL] = Int32GetDatum(events[i]->ordinal);
		values[T_PERSPECTIVE] = perspective_of(events[i]);
		values[T_SITE_ID] = Int64GetDatum(events[i]->site_id);
		values[T_TO_SITE_ID] = Int64GetDatum(events[i]->to_site_id);
		values[T_STATE] = ds_inventory_slice_text(events[i]->state);
		values[T_TO_STATE] = ds_inventory_slice_text(events[i]->to_state);
		values[T_LOT] = ds_inventory_slice_text(events[i]->lot);
		values[T_OWNER_ID] = Int64GetDatum(events[i]->owner_id);
		values[T_EVENT_AT] = TimestampTzGetDatum(events[i]->event_at);
		values[T_STREAM] = ds_inventory_slice_text(events[i]->stream);
		values[T_SEQUENCE] = Int64GetDatum(events[i]->sequence);
		rows[i] = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
	}
	return PointerGetDatum(construct_array(rows, n, desc->tdtypeid, -1, false, TYPALIGN_DOUBLE));
}

/* move does one leg as a row of inventory_movement. */
static Datum
move(const DsEventCall *call, const DsLeg *leg, TupleDesc desc)
{
	const DsEvent *event = leg->event;
	Datum values[M_COUNT];
	bool nulls[M_COUNT] = {false};

	values[M_ORDINAL] = Int32GetDatum(event->ordinal);
	values[M_ITEM_ID] = Int64GetDatum(leg->item_id);
	values[M_SITE_ID] = Int64GetDatum(leg->site_id);
	values[M_PERSPECTIVE] = perspective_of(event);
	values[M_STATE] = ds_inventory_slice_text(leg->state);
	values[M_LOT] = ds_inventory_slice_text(event->lot);
	values[M_OWNER_ID] = Int64GetDatum(event->owner_id);
	values[M_KIND] = CStringGetTextDatum(ds_inventory_event_kind_name(event->kind));
	nulls[M_QUANTITY] = event->kind == DS_EVENT_COUNT;
	nulls[M_COUNTED] = !nulls[M_QUANTITY];
	values[M_COUNTED] = NumericGetDatum(event->quantity);
	values[M_QUANTITY] = leg->minus
							 ? DirectFunctionCall1(numeric_uminus, NumericGetDatum(event->quantity))
							 : NumericGetDatum(event->quantity);
	values[M_EVENT_AT] = TimestampTzGetDatum(event->event_at);
	values[M_SOURCE] = PointerGetDatum(call->documents->source);
	values[M_STREAM] = ds_inventory_slice_text(event->stream);
	values[M_SEQUENCE] = Int64GetDatum(event->sequence);
	nulls[M_SEQUENCE] = !event->numbered;
	nulls[M_REFERENCE] = event->reference.s == NULL;
	values[M_REFERENCE] =
		nulls[M_REFERENCE] ? (Datum) 0 : ds_inventory_slice_text(event->reference);
	values[M_EVENT_KEY] = ds_inventory_slice_text(event->event_id);
	nulls[M_CORRECTS_ID] = true;
	nulls[M_EXPIRES_ON] = !event->expires;
	values[M_EXPIRES_ON] = DateADTGetDatum(event->expires_on);
	nulls[M_CORRELATION_ID] = !call->documents->correlated;
	values[M_CORRELATION_ID] = UUIDPGetDatum(&call->documents->correlation_id);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* ds_inventory_event_moved does legs as SQL takes them: a list of inventory_movement. */
Datum
ds_inventory_event_moved(const DsEventCall *call, const DsLeg *const *legs, int n)
{
	TupleDesc desc = row_of("inventory_movement", M_COUNT);
	Datum *rows = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		rows[i] = move(call, legs[i], desc);
	return PointerGetDatum(construct_array(rows, n, desc->tdtypeid, -1, false, TYPALIGN_DOUBLE));
}

/* ds_inventory_event_ask does the call of a function behind the verbs. */
Datum
ds_inventory_event_ask(const char *function, int n, const Oid *types, const Datum *values,
					   const bool *nulls, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, MAX_ARGUMENTS);
	FmgrInfo flinfo;
	Datum result;

	Assert(n <= MAX_ARGUMENTS);
	fmgr_info(ds_verb_behind(function, types, n), &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, n, InvalidOid, NULL, NULL);
	for (int i = 0; i < n; i++)
	{
		fcinfo->args[i].value = values[i];
		fcinfo->args[i].isnull = nulls != NULL && nulls[i];
	}
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull;
	return result;
}
