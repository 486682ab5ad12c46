/*-------------------------------------------------------------------------
 *
 * hold_write.c
 *		What is written of a command on reservations, and answered.
 *
 * Process: any backend. Locks: those of the pools are held; RowExclusiveLock
 * on what is written. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/hold.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/json.h"
#include "base/reader.h"
#include "base/verb.h"
#include "inventory/reserve.h"

static DsRowsTable hold_rows = {
	.schema = "dist",
	.name = "reservation",
	.changes = true,
	.told = "item_id",
	.columns = {{"reservation_id", INT8OID},
				{"item_id", INT8OID},
				{"site_id", INT8OID},
				{"holder", TEXTOID},
				{"demand_key", TEXTOID},
				{"quantity", NUMERICOID},
				{"committed", NUMERICOID},
				{"shipped", NUMERICOID},
				{"kind", TEXTOID},
				{"state", TEXTOID},
				{"priority", INT4OID},
				{"kit_id", INT8OID},
				{"kit_group", INT8OID},
				{"kit_per", NUMERICOID},
				{"expires_at", TIMESTAMPTZOID},
				{"lost", NUMERICOID},
				{"promised_at", TIMESTAMPTZOID},
				{"reason", TEXTOID},
				{"created_at", TIMESTAMPTZOID},
				{"ended_at", TIMESTAMPTZOID}},
};

enum
{
	Y_RESERVED,
	Y_STATUS
};

static DsRowsTable demand_rows = {
	.schema = "dist",
	.name = "demand",
	.changes = true,
	.told = "item_id",
	.columns = {{"reserved", NUMERICOID}, {"status", TEXTOID}},
};

enum
{
	N_SKU,
	N_BASE_UNIT
};

static DsTable item_table = {
	.name = "item",
	.index = "item_pk",
	.keys = {"item_id"},
	.columns = {"sku", "base_unit"},
};

static DsTable site_table = {
	.name = "site",
	.index = "site_pk",
	.keys = {"site_id"},
	.columns = {"code"},
};

/* columns of distsync_internal.inventory_reservation */
enum
{
	V_RESERVATION,
	V_STATE,
	V_ITEM,
	V_SITE,
	V_QUANTITY,
	V_COMMITTED,
	V_SHIPPED,
	V_UNIT,
	V_EXPIRES_AT,
	V_HOLDER,
	V_DETAIL,
	V_COUNT
};

/* columns of distsync_internal.inventory_settled */
enum
{
	T_ORDINAL,
	T_OUTCOME,
	T_RESERVATION,
	T_STATE,
	T_QUANTITY,
	T_COMMITTED,
	T_SHIPPED,
	T_SQLSTATE,
	T_FIELD,
	T_MESSAGE,
	T_HINT,
	T_COUNT
};

/*
 * ds_inventory_hold_open does the start of writing. False: the tables want
 * more than we do, and nothing was written. All changes of stock are told as
 * one event, so the reservation's row tells for its pool and demand too.
 */
bool
ds_inventory_hold_open(DsHoldCall *call)
{
	call->hold_rows = ds_rows_open(&hold_rows);
	call->pool_rows = ds_rows_open(&ds_inventory_pool_rows);
	call->demand_rows = ds_rows_open(&demand_rows);
	if (ds_audit_open(&call->command.audit) && call->hold_rows != NULL && call->pool_rows != NULL &&
		call->demand_rows != NULL && ds_rows_tell_alike(call->pool_rows, call->hold_rows) &&
		ds_rows_tell_alike(call->demand_rows, call->hold_rows))
		return true;
	ds_inventory_hold_close(call);
	return false;
}

/* ds_inventory_hold_close does the end of writing. */
void
ds_inventory_hold_close(DsHoldCall *call)
{
	ds_audit_close(&call->command.audit);
	if (call->demand_rows != NULL)
		ds_rows_close(call->demand_rows);
	if (call->pool_rows != NULL)
		ds_rows_close(call->pool_rows);
	if (call->hold_rows != NULL)
		ds_rows_close(call->hold_rows);
}

/* code_of does the code of an item or site; its number, if it is not to be found. */
static char *
code_of(DsTable *table, int64 id)
{
	DsReader *reader = ds_reader_open(table);
	Datum key = Int64GetDatum(id);
	char *code = ds_reader_find(reader, &key) ? TextDatumGetCString(reader->values[0])
											  : psprintf(INT64_FORMAT, id);

	ds_reader_close(reader);
	return code;
}

/*
 * refuse does the error where a row of a pool that is locked is not as it was
 * read: who has the lock is the only one who may change it. where: the table,
 * and the row in it.
 */
static void
refuse(const DsHoldPool *pool, const char *where)
{
	char *detail =
		psprintf("Table: %s. Item \"%s\" at site \"%s\".", where,
				 code_of(&item_table, pool->item_id), code_of(&site_table, pool->site_id));

	/* what an old snapshot does not see is nobody's fault */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("stock changed since this transaction began"),
						errdetail_internal("%s", detail), errhint("Run the transaction again.")));
	ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					errmsg("a reservation was changed by somebody who does not hold its lock"),
					errdetail_internal("%s", detail),
					errhint("Call again. Change the books through the verbs of distsync only.")));
}

/*
 * gather does the moving of what a hot pool's row lacks out of its slots, in
 * SQL, and reads the row anew.
 */
static void
gather(const DsHoldCall *call, DsHoldPool *pool)
{
	static const Oid types[] = {INT8OID, INT8OID, NUMERICOID, NUMERICOID};
	LOCAL_FCINFO(fcinfo, 4);
	FmgrInfo flinfo;

	fmgr_info(ds_verb_behind("inventory_gather", types, lengthof(types)), &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, lengthof(types), InvalidOid, NULL, NULL);
	fcinfo->args[0].value = Int64GetDatum(pool->item_id);
	fcinfo->args[1].value = Int64GetDatum(pool->site_id);
	fcinfo->args[2].value = NumericGetDatum(pool->held);
	fcinfo->args[3].value = NumericGetDatum(pool->freed);
	for (int i = 0; i < lengthof(types); i++)
		fcinfo->args[i].isnull = false;
	CommandCounterIncrement();
	FunctionCallInvoke(fcinfo);
	CommandCounterIncrement();
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
	pool->row = ds_inventory_pool_row(pool->item_id, pool->site_id);
	if (pool->row == NULL)
		refuse(pool, "dist.stock_pool, after its slots were taken back");
}

/* change_pool does the counters of a pool. */
static void
change_pool(const DsHoldCall *call, DsHoldPool *pool)
{
	static const int columns[] = {DS_POOL_VERSION, DS_POOL_CHANGED_AT, DS_POOL_VALID_UNTIL,
								  DS_POOL_HELD, DS_POOL_COMMITTED};
	DsRows *w = call->pool_rows;
	TimestampTz until;
	Datum values[lengthof(columns)];
	bool nulls[lengthof(columns)] = {false};
	TransactionId other;
	Numeric committed;

	if (DatumGetInt16(ds_inventory_whole(w, pool->row, DS_POOL_SLOTS)) > 0)
		gather(call, pool);
	/* slots that were taken back may have told the row of holds that end sooner */
	until = ds_inventory_hold_until(call, pool);
	committed =
		DS_NUMERIC(numeric_add, ds_inventory_number(w, pool->row, DS_POOL_COMMITTED), pool->taken);
	values[0] = Int64GetDatum(DatumGetInt64(ds_inventory_whole(w, pool->row, DS_POOL_VERSION)) + 1);
	values[1] = TimestampTzGetDatum(
		Max(call->at, ds_inventory_instant(w, pool->row, DS_POOL_CHANGED_AT) + 1));
	values[2] = TimestampTzGetDatum(until);
	nulls[2] = until == DT_NOEND;
	values[3] = NumericGetDatum(ds_inventory_as_kept(
		DS_NUMERIC(numeric_sub, ds_inventory_number(w, pool->row, DS_POOL_HELD), pool->held)));
	values[4] =
		NumericGetDatum(ds_inventory_as_kept(DS_NUMERIC(numeric_sub, committed, pool->freed)));
	if (!ds_rows_try(w, pool->row, true, call->verb == DS_HOLD_EXTEND ? 3 : lengthof(columns),
					 columns, values, nulls, &other))
		refuse(pool, "dist.stock_pool");
}

/* change_part does the row of a reservation. */
static void
change_part(const DsHoldCall *call, const DsHoldPart *part)
{
	static const int columns[] = {DS_HOLD_EXPIRES_AT, DS_HOLD_QUANTITY, DS_HOLD_COMMITTED,
								  DS_HOLD_STATE, DS_HOLD_ENDED_AT};
	Datum values[lengthof(columns)];
	bool nulls[lengthof(columns)] = {false};
	TransactionId other;

	values[0] = TimestampTzGetDatum(part->new_expires_at);
	nulls[0] = part->new_expires_at == DT_NOEND;
	values[1] = NumericGetDatum(ds_inventory_as_kept(part->new_quantity));
	values[2] = NumericGetDatum(ds_inventory_as_kept(part->new_committed));
	values[3] = CStringGetTextDatum(part->new_state);
	values[4] = TimestampTzGetDatum(call->at);
	if (!ds_rows_try(call->hold_rows, part->row, true,
					 call->verb == DS_HOLD_EXTEND ? 1
					 : part->ends				  ? lengthof(columns)
												  : lengthof(columns) - 1,
					 columns, values, nulls, &other))
		refuse(part->pool, psprintf("dist.reservation, number " INT64_FORMAT, part->id));
}

/* change_demand does the row of a demand. */
static void
change_demand(const DsHoldCall *call, const DsHoldDemand *demand)
{
	static const int columns[] = {Y_RESERVED, Y_STATUS};
	Datum values[] = {NumericGetDatum(ds_inventory_as_kept(demand->reserved)),
					  CStringGetTextDatum(demand->status)};
	TransactionId other;

	if (!ds_rows_try(call->demand_rows, demand->row, true, lengthof(columns), columns, values, NULL,
					 &other))
		refuse(demand->pool, psprintf("dist.demand, line \"%s\"", demand->key));
}

/* ds_inventory_hold_write does the writing of what was planned. */
void
ds_inventory_hold_write(DsHoldCall *call)
{
	int64 *items = palloc_extended(sizeof(int64) * call->npools, MCXT_ALLOC_HUGE);
	int n = 0;

	for (int i = 0; i < call->npools; i++)
	{
		change_pool(call, &call->pools[i]);
		if (call->pools[i].moves)
			items[n++] = call->pools[i].item_id;
	}
	for (int i = 0; i < call->nparts; i++)
		if (!call->parts[i].stays)
			change_part(call, &call->parts[i]);
	for (int i = 0; i < call->ndemands; i++)
		change_demand(call, &call->demands[i]);
	ds_rows_tell(call->hold_rows, n, items);
}

/* trimmed does a number without zeros at its end. */
static Numeric
trimmed(Numeric number)
{
	return DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(number)));
}

/* name does the code of the row of a reader with this id. */
static Datum
name(DsReader *reader, int64 id)
{
	Datum key = Int64GetDatum(id);

	if (!ds_reader_find(reader, &key))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("an item or site of a reservation does not exist")));
	return reader->values[0];
}

/* instant_of does an instant of a reservation as JSON; one that is not there is null. */
static void
instant_of(DsJson *json, const char *key, const DsHoldCall *call, const DsHoldPart *part,
		   int column)
{
	ds_json_instant(json, key, ds_inventory_instant(call->hold_rows, part->row, column));
}

/* put_detail does the detail of a reservation. */
static void
put_detail(DsJson *json, const char *key, const DsHoldCall *call, const DsHoldPart *part,
		   DsReader *items)
{
	const char *reason = ds_inventory_hold_text(call, part, DS_HOLD_REASON);

	ds_json_open_object(json, key);
	ds_json_text(json, "demand_key", part->demand_key);
	ds_json_text(json, "kind", ds_inventory_hold_text(call, part, DS_HOLD_KIND));
	ds_json_integer(
		json, "priority",
		DatumGetInt32(ds_inventory_whole(call->hold_rows, part->row, DS_HOLD_PRIORITY)));
	instant_of(json, "promised_at", call, part, DS_HOLD_PROMISED_AT);
	instant_of(json, "created_at", call, part, DS_HOLD_CREATED_AT);
	ds_json_instant(json, "ended_at", part->ends ? call->at : DT_NOEND);
	if (reason != NULL)
		ds_json_text(json, "reason", reason);
	if (part->per != NULL)
	{
		int64 kit = DatumGetInt64(ds_inventory_whole(call->hold_rows, part->row, DS_HOLD_KIT));

		ds_json_text(json, "kit", TextDatumGetCString(name(items, kit)));
		ds_json_integer(
			json, "kit_reservation",
			DatumGetInt64(ds_inventory_whole(call->hold_rows, part->row, DS_HOLD_GROUP)));
		ds_json_number(json, "per_kit", trimmed(part->per));
	}
	ds_json_close_object(json);
}

/* answer_part does one row of the answer to a command on one reservation, and the same row as JSON. */
static void
answer_part(DsJson *json, const DsHoldCall *call, const DsHoldPart *part, DsReader *items,
			DsReader *sites, ReturnSetInfo *rows)
{
	Datum values[V_COUNT];
	bool nulls[V_COUNT] = {false};
	DsJson detail = {0};
	char *sku = TextDatumGetCString(name(items, part->item_id));
	char *unit = TextDatumGetCString(items->values[N_BASE_UNIT]);
	char *site = TextDatumGetCString(name(sites, part->site_id));
	char *holder = ds_inventory_hold_text(call, part, DS_HOLD_HOLDER);
	Numeric numbers[] = {trimmed(part->new_quantity), trimmed(part->new_committed),
						 trimmed(part->shipped)};

	put_detail(&detail, NULL, call, part, items);
	values[V_RESERVATION] = Int64GetDatum(part->id);
	values[V_STATE] = CStringGetTextDatum(part->new_state);
	values[V_ITEM] = CStringGetTextDatum(sku);
	values[V_SITE] = CStringGetTextDatum(site);
	for (int i = 0; i < lengthof(numbers); i++)
		values[V_QUANTITY + i] = NumericGetDatum(numbers[i]);
	values[V_UNIT] = CStringGetTextDatum(unit);
	values[V_EXPIRES_AT] = TimestampTzGetDatum(part->new_expires_at);
	nulls[V_EXPIRES_AT] = part->new_expires_at == DT_NOEND;
	values[V_HOLDER] = CStringGetTextDatum(holder);
	values[V_DETAIL] = ds_json_finish(&detail);
	tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);

	ds_json_open_object(json, NULL);
	ds_json_integer(json, "reservation_id", part->id);
	ds_json_text(json, "state", part->new_state);
	ds_json_text(json, "item", sku);
	ds_json_text(json, "site", site);
	ds_json_number(json, "quantity", numbers[0]);
	ds_json_number(json, "committed", numbers[1]);
	ds_json_number(json, "shipped", numbers[2]);
	ds_json_text(json, "unit", unit);
	ds_json_instant(json, "expires_at", part->new_expires_at);
	ds_json_text(json, "holder", holder);
	put_detail(json, "detail", call, part, items);
	ds_json_close_object(json);
}

/* answer_one does the answer to a command on one reservation, and returns it as JSON. */
static Datum
answer_one(const DsHoldCall *call, ReturnSetInfo *rows)
{
	DsReader *items = ds_reader_open(&item_table);
	DsReader *sites = ds_reader_open(&site_table);
	DsJson json = {0};

	ds_json_open_array(&json, NULL);
	for (int i = 0; i < call->nparts; i++)
		answer_part(&json, call, &call->parts[i], items, sites, rows);
	ds_json_close_array(&json);
	ds_reader_close(sites);
	ds_reader_close(items);
	return ds_json_finish(&json);
}

/* in_kits does a quantity in whole kits where it is one of a kit. */
static Numeric
in_kits(const DsHoldPart *part, Numeric quantity)
{
	if (part->per != NULL)
		quantity = DS_NUMERIC(numeric_div_trunc, quantity, part->per);
	return trimmed(quantity);
}

/* answer_line does one row of the answer to a command on many reservations, and the same row as JSON. */
static void
answer_line(DsJson *json, const DsHoldCall *call, int n, ReturnSetInfo *rows)
{
	/* of what is wrong, and the names of the columns */
	static const struct
	{
		const char *name;
		int part;
	} faults[] = {{"sqlstate", 0}, {"field", 1}, {"message", 2}, {"hint", 4}};
	static const char *const counted[] = {"quantity", "committed", "shipped"};
	const DsHold *hold = &call->holds[n];
	const DsHoldPart *part = hold->nparts == 0 ? NULL : &call->parts[hold->first];
	const char *outcome = hold->fault == NULL ? "done" : "rejected";
	Datum values[T_COUNT] = {0};
	bool nulls[T_COUNT] = {false};
	Numeric numbers[lengthof(counted)] = {NULL};

	if (part != NULL)
	{
		numbers[0] = in_kits(part, part->new_quantity);
		numbers[1] = in_kits(part, part->new_committed);
		numbers[2] = in_kits(part, part->shipped);
		values[T_STATE] = CStringGetTextDatum(part->new_state);
	}
	nulls[T_STATE] = part == NULL;
	values[T_ORDINAL] = Int32GetDatum(n + 1);
	values[T_OUTCOME] = CStringGetTextDatum(outcome);
	values[T_RESERVATION] = Int64GetDatum(hold->said);
	ds_json_open_object(json, NULL);
	ds_json_integer(json, "ordinal", n + 1);
	ds_json_text(json, "outcome", outcome);
	ds_json_integer(json, "reservation_id", hold->said);
	ds_json_text(json, "state", part == NULL ? NULL : part->new_state);
	for (int i = 0; i < lengthof(counted); i++)
	{
		values[T_QUANTITY + i] = NumericGetDatum(numbers[i]);
		nulls[T_QUANTITY + i] = part == NULL;
		ds_json_number(json, counted[i], numbers[i]);
	}
	for (int i = 0; i < lengthof(faults); i++)
	{
		nulls[T_SQLSTATE + i] = hold->fault == NULL;
		if (hold->fault != NULL)
			values[T_SQLSTATE + i] = hold->fault[faults[i].part];
		ds_json_text(json, faults[i].name,
					 hold->fault == NULL ? NULL : TextDatumGetCString(values[T_SQLSTATE + i]));
	}
	ds_json_close_object(json);
	tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
}

/* answer_many does the answer to a command on many reservations, and returns it as JSON. */
static Datum
answer_many(const DsHoldCall *call, ReturnSetInfo *rows)
{
	DsJson json = {0};

	ds_json_open_array(&json, NULL);
	for (int i = 0; i < call->nholds; i++)
		answer_line(&json, call, i, rows);
	ds_json_close_array(&json);
	return ds_json_finish(&json);
}

/* ds_inventory_hold_answer does the answer, its audit, and its keeping under the key of the call. */
void
ds_inventory_hold_answer(DsHoldCall *call, ReturnSetInfo *rows)
{
	Datum answer = call->many ? answer_many(call, rows) : answer_one(call, rows);
	Datum after = answer;

	/* what is audited of one reservation is the reservation */
	if (!call->many && call->nparts == 1)
	{
		Jsonb *array = DatumGetJsonbP(answer);

		after = JsonbPGetDatum(JsonbValueToJsonb(getIthJsonbValueFromContainer(&array->root, 0)));
	}
	ds_inventory_audit(&call->command,
					   call->many ? call->holder : psprintf(INT64_FORMAT, call->holds[0].head),
					   after);
	if (call->command.key != NULL)
		ds_inventory_keep_answer(&call->command, answer);
}
