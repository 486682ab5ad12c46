/*-------------------------------------------------------------------------
 *
 * reserve_lines.c
 *		What other rooms ask of reserve(): lines in ids and base units, answered
 *		in them, without a key or an audit of its own.
 *
 * The promise itself is that of reserve.c. What it does not do is done by
 * distsync_internal.inventory_promise_whole(), before anything was written.
 *
 * Process: any backend. Locks: demands, then rows of dist.stock_pool in the
 * order of item and site. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/reserve.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/export.h"
#include "base/json.h"
#include "base/reader.h"
#include "base/verb.h"
#include "inventory/read.h"
#include "inventory/said.h"

#define MAX_LINES 10000
#define MAX_DIGITS 18

DS_FUNCTION_INFO_V1(ds_sql_inventory_reserve_lines);

static DsTable item_table = {
	.name = "item",
	.index = "item_pk",
	.keys = {"item_id"},
	.columns = {"kit", "status", "base_unit"},
};

enum
{
	I_KIT,
	I_STATUS,
	I_BASE_UNIT
};

/* columns of distsync_internal.inventory_promise */
enum
{
	M_ORDINAL,
	M_OUTCOME,
	M_RESERVATION,
	M_SITE,
	M_QUANTITY,
	M_PROMISED_AT,
	M_DETAIL,
	M_COUNT
};

/* read_id does the reading of a whole number above 0; null is 0. */
static bool
read_id(const JsonbValue *value, int64 *id)
{
	char *said;

	*id = 0;
	if (value->type == jbvNull)
		return true;
	if (value->type != jbvNumeric)
		return false;
	said = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	if (strspn(said, "0123456789") != strlen(said) || strlen(said) > MAX_DIGITS)
		return false;
	*id = strtoll(said, NULL, 10);
	return *id > 0;
}

/* read_text does the reading of a text that is not empty; null is NULL. */
static bool
read_text(const JsonbValue *value, char **text)
{
	*text = NULL;
	if (value->type == jbvNull)
		return true;
	if (value->type != jbvString || value->val.string.len < 1 || value->val.string.len > 255)
		return false;
	*text = pnstrdup(value->val.string.val, value->val.string.len);
	return true;
}

/* read_flag does the reading of a truth value; null is what it was. */
static bool
read_flag(const JsonbValue *value, bool *flag)
{
	if (value->type == jbvBool)
		*flag = value->val.boolean;
	return value->type == jbvBool || value->type == jbvNull;
}

/* read_mode does the reading of the mode of a call. */
static bool
read_mode(DsReserveOptions *o, const JsonbValue *value)
{
	char *mode;

	if (!read_text(value, &mode) || mode == NULL)
		return false;
	o->up_to = strcmp(mode, "take_up_to") == 0;
	return o->up_to || strcmp(mode, "all_or_none") == 0;
}

/* read_option does the reading of one option. */
static bool
read_option(void *into, const char *name, const JsonbValue *value)
{
	DsReserveOptions *o = into;
	int64 number;

	if (strcmp(name, "holder") == 0)
		return read_text(value, &o->holder);
	if (strcmp(name, "customer_id") == 0)
		return read_id(value, &o->customer_id);
	if (strcmp(name, "channel_id") == 0)
		return read_id(value, &o->channel_id);
	if (strcmp(name, "company_id") == 0)
		return read_id(value, &o->company_id);
	if (strcmp(name, "mode") == 0)
		return read_mode(o, value);
	if (strcmp(name, "split") == 0)
		return read_flag(value, &o->split);
	if (strcmp(name, "commit") == 0)
		return read_flag(value, &o->commit);
	if (strcmp(name, "priority") == 0)
	{
		if (!read_id(value, &number) || number > PG_INT32_MAX)
			return false;
		o->priority = number == 0 ? o->priority : (int) number;
		return true;
	}
	if (strcmp(name, "kind") == 0)
		return value->type == jbvString && value->val.string.len == 4 &&
			   memcmp(value->val.string.val, "hard", 4) == 0;
	/* no line is a kit here; and whose doing it is, is told by nobody who makes no promise move */
	return strcmp(name, "kits") == 0 || strcmp(name, "correlation_id") == 0;
}

/* read_options does the reading of the options of a call. */
static bool
read_options(DsReserve *call)
{
	DsReserveOptions *o = &call->options;

	return JB_ROOT_IS_OBJECT(call->options_said) &&
		   ds_inventory_said_members(&call->options_said->root, read_option, o) &&
		   !ds_inventory_has_shelf_rules(o->customer_id);
}

/* read_quantity does the reading of a quantity that columns can keep. */
static bool
read_quantity(const JsonbValue *value, Numeric *quantity)
{
	static const int64 most = INT64CONST(100000000000000);

	if (value->type != jbvNumeric)
		return false;
	*quantity = DatumGetNumericCopy(NumericGetDatum(value->val.numeric));
	return DS_NUMERIC_IS(numeric_gt, *quantity, int64_to_numeric(0)) &&
		   DS_NUMERIC_IS(numeric_lt, *quantity, int64_to_numeric(most)) &&
		   DatumGetInt32(DirectFunctionCall1(numeric_min_scale, NumericGetDatum(*quantity))) <= 6;
}

/* read_factor does the reading of a part of the factor of a unit. */
static bool
read_factor(const JsonbValue *value, Numeric *factor)
{
	int64 number;

	if (!read_id(value, &number))
		return false;
	*factor = number == 0 ? NULL : int64_to_numeric(number);
	return true;
}

/* whole_number does a number that read_factor() has read; 1 where there is none. */
static int64
whole_number(Numeric factor)
{
	return factor == NULL
			   ? 1
			   : DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(factor)));
}

/* scale_of does the decimals of a unit: most lines of a call have the same one. */
static int
scale_of(DsReserveScale *last, char *unit)
{
	if (last->unit == NULL || strcmp(last->unit, unit) != 0)
	{
		last->scale = ds_inventory_scale(CStringGetTextDatum(unit));
		last->unit = unit;
	}
	return last->scale;
}

/* ds_inventory_line_in_steps does the step of a line, and the check that it asks for whole ones. */
bool
ds_inventory_line_in_steps(DsReserveLine *line, char *base_unit, DsReserveScale *last)
{
	int scale = line->unit == NULL ? DS_INVENTORY_SCALE : scale_of(last, line->unit);

	line->step = ds_inventory_step(whole_number(line->numerator), whole_number(line->denominator),
								   scale, scale_of(last, base_unit));
	return line->step > 0 &&
		   DS_NUMERIC_IS(numeric_eq, ds_inventory_in_steps(line->quantity, line->step),
						 line->quantity);
}

/* read_member does the reading of one member of a line. */
static bool
read_member(void *into, const char *name, const JsonbValue *value)
{
	DsReserveLine *line = into;
	char *said;
	int64 number;

	if (strcmp(name, "ordinal") == 0)
	{
		if (!read_id(value, &number) || number == 0 || number > PG_INT32_MAX)
			return false;
		line->ordinal = (int) number;
		return true;
	}
	if (strcmp(name, "item_id") == 0)
		return read_id(value, &line->item_id);
	if (strcmp(name, "site_id") == 0)
		return read_id(value, &line->site_id);
	if (strcmp(name, "base_quantity") == 0)
		return read_quantity(value, &line->quantity);
	if (strcmp(name, "unit") == 0)
		return read_text(value, &line->unit);
	if (strcmp(name, "numerator") == 0)
		return read_factor(value, &line->numerator);
	if (strcmp(name, "denominator") == 0)
		return read_factor(value, &line->denominator);
	if (strcmp(name, "demand_key") == 0)
		return read_text(value, &line->demand_key);
	if (strcmp(name, "requested_at") == 0)
		return read_text(value, &said) &&
			   (said == NULL || ds_inventory_read_instant(said, &line->requested_at));
	return false;
}

/* read_line does the reading of one line, of an item that may be promised and is no kit. */
static bool
read_line(DsReserveLine *line, JsonbContainer *said, DsReader *items, DsReserveScale *last)
{
	Datum key;

	line->requested_at = DT_NOEND;
	if (!ds_inventory_said_members(said, read_member, line))
		return false;
	key = Int64GetDatum(line->item_id);
	return line->ordinal > 0 && line->quantity != NULL && ds_reader_find(items, &key) &&
		   !DatumGetBool(items->values[I_KIT]) && ds_reader_text_is(items, I_STATUS, "active") &&
		   ds_inventory_line_in_steps(line, TextDatumGetCString(items->values[I_BASE_UNIT]), last);
}

/* read_lines does the reading of the lines of a call, which have ordinals that differ, and sorts them. */
static bool
read_lines(DsReserve *call)
{
	JsonbContainer *said = &call->lines_said->root;
	int n = (int) JsonContainerSize(said);
	DsReserveScale last = {NULL};
	DsReader *items;
	bool good = true;

	if (!JsonContainerIsArray(said) || JsonContainerIsScalar(said) || n < 1 || n > MAX_LINES)
		return false;
	call->lines = palloc0(sizeof(DsReserveLine) * n);
	items = ds_reader_open(&item_table);
	for (call->nlines = 0; good && call->nlines < n; call->nlines++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(said, call->nlines);
		DsReserveLine *line = &call->lines[call->nlines];

		good = value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data) &&
			   read_line(line, value->val.binary.data, items, &last) &&
			   (call->nlines == 0 || line->ordinal > line[-1].ordinal);
		call->choose = call->choose || line->site_id == 0;
		call->serving = call->serving || line->demand_key != NULL;
	}
	ds_reader_close(items);
	return good && ds_inventory_sort_lines(call);
}

/* compare_grants does the order of the answer: place in the request, then site. */
static int
compare_grants(const void *a, const void *b)
{
	const DsReserveGrant *x = a;
	const DsReserveGrant *y = b;

	if (x->line->ordinal != y->line->ordinal)
		return x->line->ordinal < y->line->ordinal ? -1 : 1;
	return x->pool->site_id < y->pool->site_id ? -1 : x->pool->site_id > y->pool->site_id;
}

/* ds_inventory_answer_lines does the answer to lines that were served. */
void
ds_inventory_answer_lines(DsReserve *call, ReturnSetInfo *rows)
{
	qsort(call->grants, call->ngrants, sizeof(DsReserveGrant), compare_grants);
	for (int i = 0; i < call->ngrants; i++)
	{
		const DsReserveGrant *g = &call->grants[i];
		Datum values[M_COUNT];
		bool nulls[M_COUNT] = {false};
		DsJson detail = {0};

		ds_json_open_object(&detail, NULL);
		ds_json_number(&detail, "available", g->available);
		ds_json_instant(&detail, "expires_at", call->options.commit ? DT_NOEND : call->expires_at);
		ds_json_close_object(&detail);
		values[M_ORDINAL] = Int32GetDatum(g->line->ordinal);
		values[M_OUTCOME] = CStringGetTextDatum("reserved");
		values[M_RESERVATION] = Int64GetDatum(g->reservation_id);
		values[M_SITE] = Int64GetDatum(g->pool->site_id);
		values[M_QUANTITY] = NumericGetDatum(g->quantity);
		values[M_PROMISED_AT] = TimestampTzGetDatum(call->at);
		values[M_DETAIL] = ds_json_finish(&detail);
		tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
	}
}

/* ds_inventory_answer_lacking does the answer to one line of a call that was refused. */
void
ds_inventory_answer_lacking(const DsReserveLine *line, TimestampTz moment, ReturnSetInfo *rows)
{
	Datum values[M_COUNT] = {0};
	bool nulls[M_COUNT] = {false};
	DsJson detail = {0};

	ds_json_open_object(&detail, NULL);
	ds_json_number(&detail, "available", line->available);
	if (!line->lacking)
		ds_json_text(&detail, "reason", "another line is short");
	ds_json_close_object(&detail);
	values[M_ORDINAL] = Int32GetDatum(line->ordinal);
	values[M_OUTCOME] = CStringGetTextDatum(line->lacking ? "short" : "refused");
	nulls[M_RESERVATION] = true;
	values[M_SITE] = Int64GetDatum(line->site_id);
	nulls[M_SITE] = line->site_id == 0;
	values[M_QUANTITY] = NumericGetDatum(line->quantity);
	values[M_PROMISED_AT] = TimestampTzGetDatum(moment);
	nulls[M_PROMISED_AT] = moment == DT_NOEND;
	values[M_DETAIL] = ds_json_finish(&detail);
	tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
}

/* ds_sql_inventory_reserve_lines does inventory_reserve(lines, options). */
Datum
ds_sql_inventory_reserve_lines(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {JSONBOID, JSONBOID};
	DsReserve call = {.behind = true};

	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1) && ds_inventory_may_command(fcinfo))
	{
		call.lines_said = PG_GETARG_JSONB_P(0);
		call.options_said = PG_GETARG_JSONB_P(1);
		ds_inventory_usual_options(&call.options);
		if (read_options(&call) && read_lines(&call) && ds_inventory_promise(&call, fcinfo))
			return (Datum) 0;
	}
	return ds_verb_ask(fcinfo, "inventory_promise_whole", types, lengthof(types));
}
