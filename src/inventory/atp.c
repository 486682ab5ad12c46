/*-------------------------------------------------------------------------
 *
 * atp.c
 *		The verb atp(): how much may be promised, from one row.
 *
 * A pool keeps the terms of an item at a site as its last writer left them, so
 * that most questions are three look-ups: item, site, pool. Whatever needs
 * more (several sites, options, another unit, what is still to come, a pool
 * that time has passed, a name that is not ours, any error) is answered by
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
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "base/compat.h"
#include "base/export.h"
#include "base/json.h"
#include "base/reader.h"
#include "base/verb.h"

DS_FUNCTION_INFO_V1(ds_sql_inventory_atp);

#define OP(function, a, b)                                                                         \
	DatumGetNumeric(DirectFunctionCall2((function), NumericGetDatum(a), NumericGetDatum(b)))
#define NO_NUMBER ((Numeric) NULL)

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
	A_BASIS,
	A_VALID_UNTIL,
	A_AS_OF,
	A_KNOWN_AT,
	A_DETAIL,
	A_COUNT
};

enum
{
	I_ID,
	I_BASE_UNIT,
	I_KIT
};

static DsTable item_table = {
	.name = "item",
	.index = "item_sku_uq",
	.keys = {"sku"},
	.columns = {"item_id", "base_unit", "kit"},
};

enum
{
	S_ID,
	S_CAN_PROMISE,
	S_STATUS,
	S_CODE
};

static DsTable site_table = {
	.name = "site",
	.index = "site_code_uq",
	.keys = {"code"},
	.columns = {"site_id", "can_promise", "status", "code"},
};

/* where sites were found, by the hash of their codes */
#define PLACES 64

typedef struct Place
{
	Oid relid; /* of the table that this was, InvalidOid = none yet */
	ItemPointerData tid;
} Place;

static Place places[PLACES];

enum
{
	P_PHYS,
	P_BOOK,
	P_DUE,
	P_LOW,
	P_HELD,
	P_COMMITTED,
	P_BACKORDER,
	P_CHANGED_AT,
	P_VALID_UNTIL,
	P_AHEAD
};

static DsTable pool_table = {
	.name = "stock_pool",
	.index = "stock_pool_pk",
	.keys = {"item_id", "site_id"},
	.columns = {"phys", "book", "due", "low", "held", "committed", "backorder_cap", "changed_at",
				"valid_until", "ahead"},
};

/* A pool, in base units, as its last writer left it. */
typedef struct Pool
{
	Numeric phys; /* promisable stock as the warehouse tells it, NULL = it tells nothing */
	Numeric book; /* as the book tells it, NULL = it tells nothing */
	Numeric due;  /* demand of others that is due, as a negative */
	Numeric low;  /* lowest point of what is to come, with due */
	Numeric held;
	Numeric committed;
	Numeric backorder;
	TimestampTz changed_at;
	TimestampTz valid_until; /* DT_NOEND = for ever */
	bool ahead;				 /* something is to come */
} Pool;

/* same_text does the comparison of two texts. */
static bool
same_text(const text *a, const text *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		   memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/* number does the copying of a numeric column; NULL = null. */
static Numeric
number(const DsReader *reader, int column)
{
	return reader->nulls[column] ? NO_NUMBER : DatumGetNumericCopy(reader->values[column]);
}

/*
 * find_item does the look-up of an item with stock of its own that is asked
 * for in its base unit. False: it is another one, or none.
 */
static bool
find_item(Datum sku, FunctionCallInfo fcinfo, Datum *item_id, Datum *base_unit)
{
	DsReader *reader = ds_reader_open(&item_table);
	bool found;

	ds_reader_seek(reader, &sku, 1);
	found = ds_reader_next(reader) && !DatumGetBool(reader->values[I_KIT]);
	if (found)
	{
		*item_id = reader->values[I_ID];
		*base_unit = PointerGetDatum(DatumGetTextPCopy(reader->values[I_BASE_UNIT]));
		found = PG_ARGISNULL(Q_UNIT) ||
				same_text(PG_GETARG_TEXT_PP(Q_UNIT), DatumGetTextPP(*base_unit));
	}
	ds_reader_close(reader);
	return found;
}

/*
 * read_site does the look-up of a site's row, first where one of its code's
 * hash was found before: sites are few and rarely change, and a row that the
 * snapshot sees there is the right one if its code is.
 */
static bool
read_site(DsReader *reader, Datum code)
{
	const text *t = DatumGetTextPP(code);
	Place *place =
		&places[hash_bytes((const unsigned char *) VARDATA_ANY(t), (int) VARSIZE_ANY_EXHDR(t)) %
				PLACES];

	if (reader->relation != NULL && place->relid == RelationGetRelid(reader->relation) &&
		ds_reader_at(reader, &place->tid) && same_text(DatumGetTextPP(reader->values[S_CODE]), t))
		return true;
	ds_reader_seek(reader, &code, 1);
	if (!ds_reader_next(reader))
		return false;
	if (reader->relation != NULL)
	{
		place->relid = RelationGetRelid(reader->relation);
		place->tid = reader->slot->tts_tid;
	}
	return true;
}

/* find_site does the look-up of a site that may promise, by our code. */
static bool
find_site(Datum code, Datum *site_id)
{
	DsReader *reader = ds_reader_open(&site_table);
	bool found;

	found = read_site(reader, code) && DatumGetBool(reader->values[S_CAN_PROMISE]) &&
			ds_reader_text_is(reader, S_STATUS, "active");
	if (found)
		*site_id = reader->values[S_ID];
	ds_reader_close(reader);
	return found;
}

/* find_pool does the look-up of a pool that holds at an instant. */
static bool
find_pool(Datum item_id, Datum site_id, TimestampTz now, Pool *pool)
{
	DsReader *reader = ds_reader_open(&pool_table);
	Datum keys[2] = {item_id, site_id};
	bool found;

	ds_reader_seek(reader, keys, 2);
	found = ds_reader_next(reader);
	if (found)
	{
		pool->valid_until = reader->nulls[P_VALID_UNTIL]
								? DT_NOEND
								: DatumGetTimestampTz(reader->values[P_VALID_UNTIL]);
		found = pool->valid_until > now;
	}
	if (found)
	{
		pool->phys = number(reader, P_PHYS);
		pool->book = number(reader, P_BOOK);
		pool->due = number(reader, P_DUE);
		pool->low = number(reader, P_LOW);
		pool->held = number(reader, P_HELD);
		pool->committed = number(reader, P_COMMITTED);
		pool->backorder = number(reader, P_BACKORDER);
		pool->changed_at = DatumGetTimestampTz(reader->values[P_CHANGED_AT]);
		pool->ahead = DatumGetBool(reader->values[P_AHEAD]);
	}
	ds_reader_close(reader);
	return found;
}

/* left does what may be promised of a stock: less what is promised, never below 0. */
static Numeric
left(const Pool *p, Numeric stock, Numeric promised)
{
	Numeric rest = OP(numeric_sub, OP(numeric_add, stock, p->low), promised);

	return OP(numeric_larger, rest, int64_to_numeric(0));
}

/* trimmed does a number without zeros at its end. */
static Datum
trimmed(Numeric value)
{
	return DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(value));
}

/* detail does what an answer says beside its columns. */
static Datum
detail(const Pool *p)
{
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	ds_json_number(&json, "held", p->held);
	ds_json_integer(&json, "sites", 1);
	ds_json_number(&json, "committed", p->committed);
	ds_json_number(&json, "demand_of_others", OP(numeric_sub, int64_to_numeric(0), p->due));
	ds_json_close_object(&json);
	return ds_json_finish(&json);
}

/* reckon does the numbers of an answer. False: it takes what is to come to say when. */
static bool
reckon(const Pool *p, Numeric quantity, TimestampTz as_of, TimestampTz now, Datum *values,
	   bool *nulls)
{
	Numeric promised = OP(numeric_sub, OP(numeric_add, p->held, p->committed), p->backorder);
	Numeric base = p->phys == NULL	 ? p->book
				   : p->book == NULL ? p->phys
									 : OP(numeric_smaller, p->phys, p->book);
	Numeric atp;
	bool enough;

	if (base == NULL)
		base = int64_to_numeric(0);
	atp = left(p, base, promised);
	enough = DatumGetBool(
		DirectFunctionCall2(numeric_ge, NumericGetDatum(atp), NumericGetDatum(quantity)));
	if (p->ahead && (as_of > now || !enough))
		return false;
	values[A_OUTCOME] = CStringGetTextDatum(enough ? "available" : "short");
	values[A_ON_HAND] = trimmed(base);
	values[A_PROJECTED] = trimmed(
		OP(numeric_sub, OP(numeric_sub, OP(numeric_add, base, p->due), p->held), p->committed));
	nulls[A_ATP_BOOK] = p->book == NULL;
	if (p->book != NULL)
		values[A_ATP_BOOK] = trimmed(left(p, p->book, promised));
	nulls[A_ATP_PHYS] = p->phys == NULL;
	if (p->phys != NULL)
		values[A_ATP_PHYS] = trimmed(left(p, p->phys, promised));
	values[A_ATP] = trimmed(atp);
	values[A_AVAILABLE_AT] = TimestampTzGetDatum(as_of);
	nulls[A_AVAILABLE_AT] = !enough;
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

/* may_ask_pool does the question whether the arguments are of those that a pool can answer. */
static bool
may_ask_pool(FunctionCallInfo fcinfo)
{
	Numeric quantity;

	if (PG_ARGISNULL(Q_ITEM) || PG_ARGISNULL(Q_QUANTITY) || PG_ARGISNULL(Q_SITE) ||
		PG_ARGISNULL(Q_OPTIONS) || !JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(Q_OPTIONS)) ||
		JB_ROOT_COUNT(PG_GETARG_JSONB_P(Q_OPTIONS)) != 0)
		return false;
	quantity = PG_GETARG_NUMERIC(Q_QUANTITY);
	return !numeric_is_nan(quantity) && !numeric_is_inf(quantity) &&
		   DatumGetBool(DirectFunctionCall2(numeric_ge, NumericGetDatum(quantity),
											NumericGetDatum(int64_to_numeric(0))));
}

/* ask_pool does the answer from the pool. False: it takes more. */
static bool
ask_pool(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TimestampTz now = GetCurrentStatementStartTimestamp();
	TimestampTz as_of = PG_ARGISNULL(Q_AT) ? now : Max(now, PG_GETARG_TIMESTAMPTZ(Q_AT));
	Datum item_id;
	Datum site_id;
	Pool pool;

	if (!may_ask_pool(fcinfo) ||
		!find_item(PG_GETARG_DATUM(Q_ITEM), fcinfo, &item_id, &values[A_UNIT]) ||
		!find_site(PG_GETARG_DATUM(Q_SITE), &site_id) || !find_pool(item_id, site_id, now, &pool) ||
		!reckon(&pool, PG_GETARG_NUMERIC(Q_QUANTITY), as_of, now, values, nulls))
		return false;
	values[A_ITEM] = PG_GETARG_DATUM(Q_ITEM);
	values[A_SITE] = PG_GETARG_DATUM(Q_SITE);
	values[A_QUANTITY] = PG_GETARG_DATUM(Q_QUANTITY);
	return true;
}

/* ask_whole does the answer from everything, in SQL. */
static Datum
ask_whole(FunctionCallInfo fcinfo)
{
	static const Oid types[] = {TEXTOID, NUMERICOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID};
	LOCAL_FCINFO(whole, Q_COUNT);
	FmgrInfo flinfo;
	Datum answer;
	int i;

	fmgr_info(ds_verb_behind("inventory_atp_whole", types, Q_COUNT), &flinfo);
	InitFunctionCallInfoData(*whole, &flinfo, Q_COUNT, InvalidOid, NULL, NULL);
	for (i = 0; i < Q_COUNT; i++)
		whole->args[i] = fcinfo->args[i];
	answer = FunctionCallInvoke(whole);
	fcinfo->isnull = whole->isnull;
	return answer;
}

/* ds_sql_inventory_atp does atp(item, quantity, unit, site, at, options). */
Datum
ds_sql_inventory_atp(PG_FUNCTION_ARGS)
{
	TupleDesc desc = ds_verb_row(fcinfo, A_COUNT);
	Datum values[A_COUNT];
	bool nulls[A_COUNT] = {false};

	if (!ask_pool(fcinfo, values, nulls))
		return ask_whole(fcinfo);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}
