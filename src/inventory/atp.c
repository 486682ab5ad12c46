/*-------------------------------------------------------------------------
 *
 * atp.c
 *		The verb atp(): how much may be promised, from one row.
 *
 * A pool keeps the terms of an item at a site as its last writer left them, so
 * that most questions are three look-ups: item, site, pool. Whatever needs
 * more (several sites, options, another unit, what is still to come, a pool that time has passed, a name that is not ours, any error) is answered by
 * distsync_internal.inventory_atp_whole(), which says the same, slower.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "base/compat.h"
#include "base/export.h"
#include "base/json.h"
#include "base/verb.h"
#include "inventory/read.h"
#include "master/scope.h"

DS_FUNCTION_INFO_V1(ds_sql_inventory_atp);

#define OP(function, a, b)                                                                         \
	DatumGetNumeric(DirectFunctionCall2((function), NumericGetDatum(a), NumericGetDatum(b)))

/* the arguments of atp() */
enum
{
	Q_ITEM,
	Q_QUANTITY,
	Q_UNIT,
	Q_SITE,
	Q_AT,
	Q_OPTIONS,
	Q_COUNT
};

/* the columns of its answer */
enum
{
	A_OUTCOME,
	A_ITEM,
	A_SITE,
	A_QUANTITY,
	A_UNIT,
	A_ON_HAND,
	A_PROJECTED,
	A_ATP_BOOK,
	A_ATP_PHYS,
	A_ATP,
	A_AVAILABLE_AT,
	A_SHIP_AT,
	A_DELIVER_ON,
	A_BASIS,
	A_VALID_UNTIL,
	A_AS_OF,
	A_KNOWN_AT,
	A_DETAIL,
	A_COUNT
};

/* left does what may be promised of a stock: less what is promised, never below 0, in whole units. */
static Numeric
left(const DsInventoryPool *p, Datum unit, Numeric stock, Numeric promised)
{
	Numeric rest = OP(numeric_sub, OP(numeric_add, stock, p->low), promised);

	return ds_inventory_in_units(OP(numeric_larger, rest, int64_to_numeric(0)), unit);
}

/* same does the question whether two numbers are the same in all their bytes; NULL is not. */
static bool
same(Numeric a, Numeric b)
{
	return a != NULL && b != NULL && VARSIZE_ANY(a) == VARSIZE_ANY(b) &&
		   memcmp(a, b, VARSIZE_ANY(a)) == 0;
}

/* trimmed does a number without zeros at its end. */
static Datum
trimmed(Numeric value)
{
	return DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(value));
}

/* put does a number of the detail, if it is not 0. */
static void
put(DsJson *json, const char *key, Numeric value)
{
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(value),
										  NumericGetDatum(int64_to_numeric(0)))))
		ds_json_number(json, key, DatumGetNumeric(trimmed(value)));
}

/* detail does what an answer says beside its columns. */
static Datum
detail(const DsInventoryPool *p)
{
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	put(&json, "held", p->held);
	put(&json, "committed", p->committed);
	put(&json, "demand_of_others", OP(numeric_sub, int64_to_numeric(0), p->due));
	ds_json_close_object(&json);
	return ds_json_finish(&json);
}

/* reckon does the numbers of an answer. False: it takes what is to come to say when. */
static bool
reckon(const DsInventoryPool *p, Datum unit, Numeric quantity, TimestampTz as_of, TimestampTz now,
	   Datum *values, bool *nulls)
{
	Numeric promised = OP(numeric_sub, OP(numeric_add, p->held, p->committed), p->backorder);
	Numeric base = ds_inventory_base(p);
	Numeric atp = left(p, unit, base, promised);
	bool enough = DatumGetBool(
		DirectFunctionCall2(numeric_ge, NumericGetDatum(atp), NumericGetDatum(quantity)));
	if (p->ruled || (p->ahead && (as_of > now || !enough)))
		return false;
	values[A_OUTCOME] = CStringGetTextDatum(enough ? "available" : "short");
	values[A_ON_HAND] = trimmed(base);
	values[A_PROJECTED] = trimmed(
		OP(numeric_sub, OP(numeric_sub, OP(numeric_add, base, p->due), p->held), p->committed));
	values[A_ATP] = trimmed(atp);
	nulls[A_ATP_BOOK] = p->book == NULL;
	if (p->book != NULL)
		values[A_ATP_BOOK] =
			same(p->book, base) ? values[A_ATP] : trimmed(left(p, unit, p->book, promised));
	nulls[A_ATP_PHYS] = p->phys == NULL;
	if (p->phys != NULL)
		values[A_ATP_PHYS] =
			same(p->phys, base) ? values[A_ATP] : trimmed(left(p, unit, p->phys, promised));
	values[A_AVAILABLE_AT] = TimestampTzGetDatum(as_of);
	nulls[A_AVAILABLE_AT] = !enough;
	nulls[A_SHIP_AT] = true;
	nulls[A_DELIVER_ON] = true;
	values[A_BASIS] = CStringGetTextDatum(p->phys == NULL	? (p->book == NULL ? "none" : "book")
										  : p->book == NULL ? "physical"
															: "conservative");
	values[A_VALID_UNTIL] = TimestampTzGetDatum(p->valid_until);
	nulls[A_VALID_UNTIL] = p->valid_until == DT_NOEND;
	values[A_AS_OF] = TimestampTzGetDatum(as_of);
	values[A_KNOWN_AT] = TimestampTzGetDatum(p->changed_at);
	values[A_DETAIL] = detail(p);
	return true;
}

/*
 * ship does when the quantity leaves, if it is available. An answer about now
 * holds until the cut-off at the latest.
 */
static void
ship(const DsInventorySite *site, TimestampTz now, Datum *values, bool *nulls)
{
	TimestampTz at = DatumGetTimestampTz(values[A_AVAILABLE_AT]);
	TimestampTz leaves = at;

	if (nulls[A_AVAILABLE_AT] || !site->can_ship)
		return;
	if (!site->always && !TIMESTAMP_NOT_FINITE(at))
	{
		if (!ds_inventory_ship_at(site->calendar_id, at, &leaves))
			return;
		if (at == now &&
			(nulls[A_VALID_UNTIL] || leaves < DatumGetTimestampTz(values[A_VALID_UNTIL])))
		{
			values[A_VALID_UNTIL] = TimestampTzGetDatum(leaves);
			nulls[A_VALID_UNTIL] = false;
		}
	}
	values[A_SHIP_AT] = TimestampTzGetDatum(leaves);
	nulls[A_SHIP_AT] = false;
}

/* may_ask_pool does the question whether the arguments are of those that a pool can answer. */
static bool
may_ask_pool(FunctionCallInfo fcinfo)
{
	Numeric quantity;

	if (PG_ARGISNULL(Q_ITEM) || PG_ARGISNULL(Q_QUANTITY) || PG_ARGISNULL(Q_SITE) ||
		PG_ARGISNULL(Q_OPTIONS) || !ds_inventory_no_options(PG_GETARG_DATUM(Q_OPTIONS)))
		return false;
	quantity = PG_GETARG_NUMERIC(Q_QUANTITY);
	return !numeric_is_nan(quantity) && !numeric_is_inf(quantity) &&
		   DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(quantity))) <= 6 &&
		   DatumGetBool(DirectFunctionCall2(numeric_ge, NumericGetDatum(quantity),
											NumericGetDatum(int64_to_numeric(0)))) &&
		   DatumGetBool(
			   DirectFunctionCall2(numeric_lt, NumericGetDatum(quantity),
								   NumericGetDatum(int64_to_numeric(INT64CONST(100000000000000)))));
}

/* fits does the question whether a quantity is counted in whole units. */
static bool
fits(Numeric quantity, Datum unit)
{
	Numeric whole = ds_inventory_in_units(quantity, unit);

	return whole == quantity || DatumGetBool(DirectFunctionCall2(
									numeric_eq, NumericGetDatum(quantity), NumericGetDatum(whole)));
}

/* ask_pool does the answer from the pool. False: it takes more. */
static bool
ask_pool(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TimestampTz now = GetCurrentStatementStartTimestamp();
	TimestampTz as_of = PG_ARGISNULL(Q_AT) ? now : Max(now, PG_GETARG_TIMESTAMPTZ(Q_AT));
	DsInventoryItem item;
	DsInventoryPool pool;
	DsInventorySite site;

	if (!may_ask_pool(fcinfo) ||
		!ds_inventory_find_item(PG_GETARG_DATUM(Q_ITEM),
								PG_ARGISNULL(Q_UNIT) ? NULL : PG_GETARG_TEXT_PP(Q_UNIT), &item) ||
		!fits(PG_GETARG_NUMERIC(Q_QUANTITY), PointerGetDatum(item.base_unit)) ||
		!ds_inventory_find_site(PG_GETARG_DATUM(Q_SITE), &site) ||
		!ds_inventory_find_pool(item.item_id, site.site_id, now, &pool) ||
		!reckon(&pool, PointerGetDatum(item.base_unit), PG_GETARG_NUMERIC(Q_QUANTITY), as_of, now,
				values, nulls))
		return false;
	ship(&site, now, values, nulls);
	values[A_ITEM] = PG_GETARG_DATUM(Q_ITEM);
	values[A_UNIT] = PointerGetDatum(item.base_unit);
	values[A_SITE] = PG_GETARG_DATUM(Q_SITE);
	values[A_QUANTITY] = PG_GETARG_DATUM(Q_QUANTITY);
	return true;
}

/* ds_sql_inventory_atp does atp(item, quantity, unit, site, at, options). */
Datum
ds_sql_inventory_atp(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {TEXTOID, NUMERICOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID};
	TupleDesc desc = ds_verb_row(fcinfo, A_COUNT);
	Datum values[A_COUNT];
	bool nulls[A_COUNT] = {false};

	if (ds_master_restricted())
		return ds_verb_ask(fcinfo, "inventory_atp_customer", types, Q_COUNT);
	if (!ask_pool(fcinfo, values, nulls))
		return ds_verb_ask(fcinfo, "inventory_atp_whole", types, Q_COUNT);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}
