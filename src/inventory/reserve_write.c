/*-------------------------------------------------------------------------
 *
 * reserve_write.c
 *		What is kept of a promise: the reservations, its audit, its answer.
 *
 * Process: any backend. Locks: RowExclusiveLock on what is written. Memory:
 * the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/reserve.h"

#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/json.h"
#include "base/number.h"
#include "base/reader.h"
#include "base/verb.h"

enum
{
	R_ITEM,
	R_ID,
	R_REQUEST,
	R_SITE,
	R_LOT,
	R_HOLDER,
	R_DEMAND,
	R_CUSTOMER,
	R_CHANNEL,
	R_QUANTITY,
	R_COMMITTED,
	R_SHIPPED,
	R_KIND,
	R_STATE,
	R_PRIORITY,
	R_EXPIRES_AT,
	R_PROMISED_AT,
	R_CREATED_AT,
	R_ENDED_AT,
	R_COUNT
};

static DsRowsTable reservation_rows = {
	.schema = "dist",
	.name = "reservation",
	.adds = true,
	.told = "item_id",
	/* what is granted is above 0 and finite, all of it is committed or nothing, and it is no kit */
	.kept = {"reservation_kind_chk", "reservation_kit_chk", "reservation_quantity_chk"},
	.columns = {{"item_id", INT8OID},
				{"reservation_id", INT8OID},
				{"request_id", UUIDOID},
				{"site_id", INT8OID},
				{"lot", TEXTOID},
				{"holder", TEXTOID},
				{"demand_key", TEXTOID},
				{"customer_id", INT8OID},
				{"channel_id", INT8OID},
				{"quantity", NUMERICOID},
				{"committed", NUMERICOID},
				{"shipped", NUMERICOID},
				{"kind", TEXTOID},
				{"state", TEXTOID},
				{"priority", INT4OID},
				{"expires_at", TIMESTAMPTZOID},
				{"promised_at", TIMESTAMPTZOID},
				{"created_at", TIMESTAMPTZOID},
				{"ended_at", TIMESTAMPTZOID}},
};

/*
 * ds_inventory_writers_open does the start of writing. False: the tables want
 * more than we do, and nothing was written. All changes of stock are told as
 * one event, so the reservation's row tells for its pool too.
 */
bool
ds_inventory_writers_open(DsReserve *call)
{
	call->reservation_rows = ds_rows_open(&reservation_rows);
	call->pool_rows = ds_rows_open(&ds_inventory_pool_rows);
	if ((call->behind || ds_audit_open(&call->command.audit)) && call->reservation_rows != NULL &&
		call->pool_rows != NULL && ds_rows_tell_alike(call->pool_rows, call->reservation_rows) &&
		(!call->serving || ds_inventory_demands_open(call)))
		return true;
	ds_inventory_writers_close(call);
	return false;
}

/* ds_inventory_writers_close does the end of writing. */
void
ds_inventory_writers_close(DsReserve *call)
{
	ds_audit_close(&call->command.audit);
	if (call->pool_rows != NULL)
		ds_rows_close(call->pool_rows);
	if (call->demand_rows != NULL)
		ds_rows_close(call->demand_rows);
	if (call->reservation_rows != NULL)
		ds_rows_close(call->reservation_rows);
}

/* compare_grants does the order in which reservations are numbered: item, site, place in the request. */
static int
compare_grants(const void *a, const void *b)
{
	const DsReserveGrant *x = a;
	const DsReserveGrant *y = b;

	if (x->pool != y->pool)
		return x->pool < y->pool ? -1 : 1;
	return x->line->ordinal - y->line->ordinal;
}

/* insert_reservations does the rows of what was granted. */
static void
insert_reservations(DsReserve *call)
{
	const DsReserveOptions *o = &call->options;
	int64 *items = palloc_extended(sizeof(int64) * call->ngrants, MCXT_ALLOC_HUGE);
	Numeric zero = ds_inventory_as_kept(int64_to_numeric(0));
	const char *user = GetUserNameFromId(GetSessionUserId(), false);
	Datum values[R_COUNT] = {0};
	bool nulls[R_COUNT] = {false};

	values[R_REQUEST] = ds_new_uuid();
	values[R_LOT] = CStringGetTextDatum("");
	nulls[R_ENDED_AT] = true;
	values[R_CUSTOMER] = Int64GetDatum(o->customer_id);
	nulls[R_CUSTOMER] = o->customer_id == 0;
	values[R_CHANNEL] = Int64GetDatum(o->channel_id);
	nulls[R_CHANNEL] = o->channel_id == 0;
	values[R_SHIPPED] = NumericGetDatum(zero);
	values[R_KIND] = CStringGetTextDatum(o->kind);
	values[R_STATE] = CStringGetTextDatum(o->commit ? "committed" : "held");
	values[R_PRIORITY] = Int32GetDatum(o->priority);
	values[R_EXPIRES_AT] = TimestampTzGetDatum(call->expires_at);
	nulls[R_EXPIRES_AT] = o->commit;
	values[R_PROMISED_AT] = values[R_CREATED_AT] = TimestampTzGetDatum(call->at);
	qsort(call->grants, call->ngrants, sizeof(DsReserveGrant), compare_grants);
	for (int i = 0; i < call->ngrants; i++)
	{
		DsReserveGrant *g = &call->grants[i];
		Datum quantity = NumericGetDatum(ds_inventory_as_kept(g->quantity));

		g->reservation_id = ds_next_number("dist", "reservation_reservation_id_seq");
		nulls[R_DEMAND] = g->line->demand_key == NULL;
		if (g->line->demand_key != NULL)
			values[R_DEMAND] = CStringGetTextDatum(g->line->demand_key);
		values[R_HOLDER] = CStringGetTextDatum(o->holder != NULL			 ? o->holder
											   : g->line->demand_key != NULL ? g->line->demand_key
																			 : user);
		values[R_ITEM] = Int64GetDatum(g->pool->item_id);
		values[R_ID] = Int64GetDatum(g->reservation_id);
		values[R_SITE] = Int64GetDatum(g->pool->site_id);
		values[R_QUANTITY] = quantity;
		values[R_COMMITTED] = o->commit ? quantity : NumericGetDatum(zero);
		items[i] = g->pool->item_id;
		ds_rows_add(call->reservation_rows, values, nulls);
	}
	ds_rows_flush(call->reservation_rows);
	ds_rows_tell(call->reservation_rows, call->ngrants, items);
}

/* ds_inventory_in_unit does a quantity in base units in the unit of a line: cut at six decimals, without zeros at its end. */
Numeric
ds_inventory_in_unit(const DsReserveLine *line, Numeric quantity)
{
	if (line->numerator != NULL)
		quantity = DS_NUMERIC(numeric_div, DS_NUMERIC(numeric_mul, quantity, line->denominator),
							  line->numerator);
	quantity = DatumGetNumeric(
		DirectFunctionCall2(numeric_trunc, NumericGetDatum(quantity), Int32GetDatum(6)));
	return DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(quantity)));
}

/* compare_answers does the order of the answer: place in the request, then site. */
static int
compare_answers(const void *a, const void *b)
{
	const DsReserveGrant *x = a;
	const DsReserveGrant *y = b;

	if (x->line->ordinal != y->line->ordinal)
		return x->line->ordinal - y->line->ordinal;
	return DatumGetInt32(DirectFunctionCall2Coll(bttextcmp, DEFAULT_COLLATION_OID,
												 CStringGetTextDatum(x->pool->code),
												 CStringGetTextDatum(y->pool->code)));
}

/* answer_row does one row of the answer. */
static void
answer_row(const DsReserve *call, const DsReserveGrant *g, Datum *values, bool *nulls)
{
	DsJson detail = {0};

	memset(nulls, false, sizeof(bool) * DS_RESERVED_COUNT);
	ds_json_open_object(&detail, NULL);
	ds_json_text(&detail, "base_unit", g->line->base_unit);
	ds_json_number(&detail, "base_quantity", g->quantity);
	ds_json_close_object(&detail);
	values[DS_RESERVED_ORDINAL] = Int32GetDatum(g->line->ordinal);
	values[DS_RESERVED_OUTCOME] = CStringGetTextDatum("reserved");
	values[DS_RESERVED_RESERVATION] = Int64GetDatum(g->reservation_id);
	values[DS_RESERVED_ITEM] = CStringGetTextDatum(g->line->sku);
	values[DS_RESERVED_SITE] = CStringGetTextDatum(g->pool->code);
	values[DS_RESERVED_QUANTITY] = NumericGetDatum(ds_inventory_in_unit(g->line, g->quantity));
	values[DS_RESERVED_UNIT] = CStringGetTextDatum(g->line->unit);
	values[DS_RESERVED_EXPIRES_AT] = TimestampTzGetDatum(call->expires_at);
	nulls[DS_RESERVED_EXPIRES_AT] = call->options.commit;
	values[DS_RESERVED_AVAILABLE] = NumericGetDatum(ds_inventory_in_unit(g->line, g->available));
	values[DS_RESERVED_DETAIL] = ds_json_finish(&detail);
}

/* json_row does the same row as the audit and the next call with the key keep it. */
static void
json_row(DsJson *json, const DsReserve *call, const DsReserveGrant *g, const Datum *values)
{
	ds_json_open_object(json, NULL);
	ds_json_integer(json, "ordinal", g->line->ordinal);
	ds_json_text(json, "outcome", "reserved");
	ds_json_integer(json, "reservation_id", g->reservation_id);
	ds_json_text(json, "item", g->line->sku);
	ds_json_text(json, "site", g->pool->code);
	ds_json_number(json, "quantity", DatumGetNumeric(values[DS_RESERVED_QUANTITY]));
	ds_json_text(json, "unit", g->line->unit);
	ds_json_instant(json, "expires_at", call->options.commit ? DT_NOEND : call->expires_at);
	ds_json_number(json, "available", DatumGetNumeric(values[DS_RESERVED_AVAILABLE]));
	ds_json_open_object(json, "detail");
	ds_json_text(json, "base_unit", g->line->base_unit);
	ds_json_number(json, "base_quantity", g->quantity);
	ds_json_close_object(json);
	ds_json_close_object(json);
}

/* ds_inventory_write does everything that a promise leaves but the counters of its pools, and answers. */
void
ds_inventory_write(DsReserve *call, ReturnSetInfo *rows)
{
	DsJson json = {0};
	Datum answer;

	if (call->serving)
		ds_inventory_add_demands(call);
	insert_reservations(call);
	if (call->behind)
	{
		if (rows != NULL)
			ds_inventory_answer_lines(call, rows);
		return;
	}
	if (call->ngrants > 1)
		qsort(call->grants, call->ngrants, sizeof(DsReserveGrant), compare_answers);
	ds_json_open_array(&json, NULL);
	for (int i = 0; i < call->ngrants; i++)
	{
		Datum values[DS_RESERVED_COUNT];
		bool nulls[DS_RESERVED_COUNT];

		answer_row(call, &call->grants[i], values, nulls);
		json_row(&json, call, &call->grants[i], values);
		tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
	}
	ds_json_close_array(&json);
	answer = ds_json_finish(&json);
	ds_inventory_audit(&call->command, call->options.holder, answer);
	if (call->command.key != NULL)
		ds_inventory_keep_answer(&call->command, answer);
}
