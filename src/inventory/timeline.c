/*-------------------------------------------------------------------------
 *
 * timeline.c
 *		The verb atp_timeline(): what is to come, and what it leaves.
 *
 * Pools say where each site stands; supply and demand are walked by index, put
 * into one order with what lots.c knows of lots that expire and goods that wait
 * for their release, and added up as whole numbers of millionths. What takes more
 * than that (options, rules about dates, quotas, a kit, a name that is not ours, a
 * pool that time has passed, numbers beyond 64 bits, any error) is answered by
 * distsync_internal.inventory_timeline_whole(), which says the same, slower.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context, given back with the call; rows in the tuplestore.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/export.h"
#include "base/json.h"
#include "base/ratio.h"
#include "base/reader.h"
#include "base/verb.h"
#include "inventory/ahead.h"
#include "inventory/lots.h"
#include "inventory/read.h"

DS_FUNCTION_INFO_V1(ds_sql_inventory_timeline);

/* the arguments of atp_timeline() */
enum
{
	Q_ITEM,
	Q_SITE,
	Q_AT,
	Q_OPTIONS,
	Q_COUNT
};

/* its columns */
enum
{
	T_MOMENT,
	T_SUPPLY,
	T_DEMAND,
	T_PROJECTED,
	T_ATP,
	T_UNIT,
	T_DETAIL,
	T_COUNT
};

enum
{
	S_EXPECTED_AT,
	S_QUANTITY,
	S_RECEIVED,
	S_CONFIDENCE,
	S_KIND,
	S_REFERENCE
};

static DsTable supply_table = {
	.name = "supply",
	.index = "supply_open_idx",
	.keys = {"item_id", "site_id", "expected_at"},
	.columns = {"expected_at", "quantity", "received", "confidence", "kind", "reference"},
	.where = "status = 'open'",
};

enum
{
	D_REQUIRED_AT,
	D_ORDERED,
	D_ALLOCATED,
	D_RESERVED,
	D_SHIPPED,
	D_KEY
};

static DsTable demand_table = {
	.name = "demand",
	.index = "demand_open_idx",
	.keys = {"item_id", "site_id", "required_at"},
	.columns = {"required_at", "ordered", "allocated", "reserved", "shipped", "demand_key"},
	.where = "status = 'open'",
};

enum
{
	B_EXPIRES_ON,
	B_STATE,
	B_QUANTITY
};

static DsTable balance_table = {
	.name = "stock_balance",
	.index = "stock_balance_pk",
	.keys = {"item_id", "site_id"},
	.columns = {"expires_on", "state", "quantity"},
};

enum
{
	A_AGES_INTO
};

static DsTable state_table = {
	.name = "stock_state",
	.index = "stock_state_pk",
	.keys = {"state"},
	.columns = {"ages_into"},
};

/* millionths */
#define SCALE DS_INVENTORY_SCALE

/* amount_of does a quantity in millionths. False: it is beyond what we reckon with. */
static bool
amount_of(Datum quantity, int64 *amount)
{
	DsDecimal decimal;
	int128 value;

	if (!ds_decimal_read(DatumGetNumeric(quantity), &decimal) || decimal.scale > SCALE)
		return false;
	for (value = decimal.mantissa; decimal.scale < SCALE; decimal.scale++)
	{
		if (value > PG_INT64_MAX || value < PG_INT64_MIN)
			return false;
		value *= 10;
	}
	*amount = (int64) value;
	return value <= PG_INT64_MAX && value >= PG_INT64_MIN;
}

/* share_of does the part of an amount above 0 to count on, rounded half up. */
static bool
share_of(Datum confidence, int64 *amount)
{
	DsDecimal decimal;
	int128 value = *amount;
	int128 parts = 1;

	if (!ds_decimal_read(DatumGetNumeric(confidence), &decimal) || decimal.scale > SCALE ||
		decimal.mantissa < 0 || decimal.mantissa > PG_INT32_MAX)
		return false;
	for (; decimal.scale > 0; decimal.scale--)
		parts *= 10;
	value = (value * decimal.mantissa * 2 + parts) / (2 * parts);
	*amount = (int64) value;
	return value <= PG_INT64_MAX;
}

/* add does the noting of a change. False: together they are beyond what we reckon with. */
static bool
add(DsAhead *t, int place, TimestampTz moment, int64 amount, const char *kind,
	const char *reference)
{
	DsAheadChange *c;

	if (t->n == t->room)
	{
		t->room = Max(64, t->room * 2);
		t->changes = t->changes == NULL
						 ? palloc_array(DsAheadChange, t->room)
						 : repalloc_huge(t->changes, sizeof(DsAheadChange) * t->room);
	}
	c = &t->changes[t->n++];
	c->moment = moment;
	c->amount = amount;
	c->rest = DS_AHEAD_NEVER;
	c->place = place;
	c->expires = false;
	c->kind = kind;
	c->reference = reference;
	return amount > PG_INT64_MIN &&
		   !pg_add_s64_overflow(t->total, amount < 0 ? -amount : amount, &t->total);
}

/* stand does where a site stands now. False: a number is too large. */
static bool
stand(DsAhead *t, int place, const DsInventoryPool *pool, TimestampTz now)
{
	DsAheadPlace *p = &t->places[place];
	int64 amount;
	int64 due;
	int64 held;
	int64 committed;
	int64 safety;

	if (!amount_of(NumericGetDatum(ds_inventory_base(pool)), &amount) ||
		!amount_of(NumericGetDatum(pool->due), &due) ||
		!amount_of(NumericGetDatum(pool->held), &held) ||
		!amount_of(NumericGetDatum(pool->committed), &committed) ||
		!amount_of(NumericGetDatum(pool->backorder), &p->allowance) ||
		!amount_of(NumericGetDatum(pool->safety), &safety) ||
		pg_add_s64_overflow(amount, due, &amount) || pg_sub_s64_overflow(amount, held, &amount) ||
		pg_sub_s64_overflow(amount, committed, &amount) ||
		pg_add_s64_overflow(t->total, p->allowance, &t->total) ||
		pg_add_s64_overflow(t->total, safety, &t->total))
		return false;
	p->allowance -= safety;
	p->stand = amount;
	return add(t, place, now, amount, NULL, NULL);
}

/* read_supply does the walk over what comes to a site after an instant. */
static bool
read_supply(DsAhead *t, int place, DsReader *reader, Datum *keys)
{
	ds_reader_walk(reader, DS_WALK_ON, keys, 3);
	while (ds_reader_next(reader))
	{
		int64 amount;
		int64 received;

		CHECK_FOR_INTERRUPTS();
		if (!amount_of(reader->values[S_QUANTITY], &amount) ||
			!amount_of(reader->values[S_RECEIVED], &received) ||
			pg_sub_s64_overflow(amount, received, &amount))
			return false;
		if (amount <= 0)
			continue;
		if (!share_of(reader->values[S_CONFIDENCE], &amount) ||
			!add(t, place, DatumGetTimestampTz(reader->values[S_EXPECTED_AT]), amount,
				 TextDatumGetCString(reader->values[S_KIND]),
				 TextDatumGetCString(reader->values[S_REFERENCE])))
			return false;
	}
	return true;
}

/* read_demand does the walk over what is wanted from a site after an instant and not ours. */
static bool
read_demand(DsAhead *t, int place, DsReader *reader, Datum *keys)
{
	ds_reader_walk(reader, DS_WALK_ON, keys, 3);
	while (ds_reader_next(reader))
	{
		int64 ordered;
		int64 allocated;
		int64 reserved;
		int64 shipped;

		CHECK_FOR_INTERRUPTS();
		if (!amount_of(reader->values[D_ORDERED], &ordered) ||
			!amount_of(reader->values[D_ALLOCATED], &allocated) ||
			!amount_of(reader->values[D_RESERVED], &reserved) ||
			!amount_of(reader->values[D_SHIPPED], &shipped))
			return false;
		/* all of them are 0 or more */
		ordered = Max(ordered, allocated) - Max(reserved, shipped);
		if (ordered > 0 && !add(t, place, DatumGetTimestampTz(reader->values[D_REQUIRED_AT]),
								-ordered, "demand", TextDatumGetCString(reader->values[D_KEY])))
			return false;
	}
	return true;
}

/* read_lots does the walk over what is released and what expires. False: it is too large, or the site has rules that say more about its dates. */
static bool
read_lots(DsAhead *t, int place, Datum *keys, TimestampTz now)
{
	DsInventoryLots lots;
	int64 amount;

	if (!ds_inventory_lots_ahead(keys[0], keys[1], now, &lots))
		return false;
	for (int i = 0; i < lots.nreleases; i++)
	{
		if (!amount_of(lots.released[i], &amount) ||
			!add(t, place, DatumGetTimestampTz(lots.released_at[i]), amount,
				 TextDatumGetCString(lots.kinds[i]), TextDatumGetCString(lots.references[i])))
			return false;
	}
	for (int i = 0; i < lots.nexpiries; i++)
	{
		if (!amount_of(lots.rests[i], &amount) || amount == PG_INT64_MIN ||
			pg_add_s64_overflow(t->total, amount < 0 ? -amount : amount, &t->total) ||
			!add(t, place, DatumGetTimestampTz(lots.expires_at[i]), 0, "expiry",
				 TextDatumGetCString(lots.names[i])))
			return false;
		t->changes[t->n - 1].expires = true;
		t->changes[t->n - 1].rest = amount;
		t->lots = true;
	}
	return true;
}

/*
 * keeps tells whether the stock of a site stays what it is: no lot expires, for
 * what that leaves when depends on what goes before, and nothing waits for its
 * release. Either would turn the pool.
 */
static bool
keeps(DsReader *reader, const DsInventoryPool *pool, Datum *keys)
{
	bool same = true;
	DsReader *states = NULL;

	if (pool->valid_until == DT_NOEND)
		return true;
	ds_reader_seek(reader, keys, 2);
	while (same && ds_reader_next(reader))
	{
		CHECK_FOR_INTERRUPTS();
		same = reader->nulls[B_EXPIRES_ON];
		if (!same || ds_reader_text_is(reader, B_STATE, "available") ||
			!DatumGetBool(DirectFunctionCall2(numeric_gt, reader->values[B_QUANTITY],
											  NumericGetDatum(int64_to_numeric(0)))))
			continue;
		if (states == NULL)
			states = ds_reader_open(&state_table);
		ds_reader_seek(states, &reader->values[B_STATE], 1);
		same = ds_reader_next(states) && states->nulls[A_AGES_INTO];
	}
	if (states != NULL)
		ds_reader_close(states);
	return same;
}

/* number does a numeric of millionths, without zeros at its end. */
static Numeric
number(int64 amount)
{
	int scale = SCALE;

	while (scale > 0 && amount % 10 == 0)
	{
		amount /= 10;
		scale--;
	}
	return scale == 0 ? int64_to_numeric(amount) : int64_div_fast_to_numeric(amount, scale);
}

/* silent tells whether a change is none to be told: what is there already, and lots that others have taken before they expire. */
static bool
silent(const DsAheadChange *c)
{
	return c->kind == NULL || (c->expires && c->amount == 0);
}

/* told does the documents behind a row: [{"kind", "reference", "change"}]. */
static Datum
told(const DsAheadChange *changes, int n)
{
	DsJson json = {0};
	int i;

	ds_json_open_array(&json, NULL);
	for (i = 0; i < n; i++)
	{
		if (silent(&changes[i]))
			continue;
		ds_json_open_object(&json, NULL);
		ds_json_text(&json, "kind", changes[i].kind);
		ds_json_text(&json, "reference", changes[i].reference);
		ds_json_number(&json, "change", number(changes[i].amount));
		ds_json_close_object(&json);
	}
	ds_json_close_array(&json);
	return ds_json_finish(&json);
}

/* give does the rows, one for each moment from an instant on. */
static void
give(DsAhead *t, TimestampTz from, Datum unit, ReturnSetInfo *rsinfo)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "distsync timeline", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	bool nulls[T_COUNT] = {false};
	int64 projected = 0;
	int64 atp = 0;
	int i = 0;

	while (i < t->n)
	{
		Datum values[T_COUNT];
		int64 sums[2] = {0}; /* what goes, what comes */
		int first = i;
		bool shown = t->changes[i].kind == NULL;
		TimestampTz moment = t->changes[i].moment;

		for (; i < t->n && t->changes[i].moment == moment; i++)
		{
			DsAheadChange *c = &t->changes[i];
			DsAheadPlace *p = &t->places[c->place];

			projected += c->amount;
			atp += c->atp - p->atp;
			p->atp = c->atp;
			shown = shown || !silent(c);
			if (c->kind != NULL)
				sums[c->amount > 0] += c->amount < 0 ? -c->amount : c->amount;
		}
		if (moment < from || !shown)
			continue;
		values[T_MOMENT] = TimestampTzGetDatum(moment);
		values[T_SUPPLY] = NumericGetDatum(number(sums[true]));
		values[T_DEMAND] = NumericGetDatum(number(sums[false]));
		values[T_PROJECTED] = NumericGetDatum(number(projected));
		values[T_ATP] = NumericGetDatum(number(atp));
		values[T_UNIT] = unit;
		values[T_DETAIL] = told(&t->changes[first], i - first);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* read_all does the timeline of an item over the sites of these pools. */
static bool
read_all(DsAhead *t, Datum item_id, const DsInventoryPool *pools, int n, TimestampTz now)
{
	DsReader *supply = ds_reader_open(&supply_table);
	DsReader *demand = ds_reader_open(&demand_table);
	DsReader *balance = ds_reader_open(&balance_table);
	bool fits = true;
	int i;

	t->places = palloc0_array(DsAheadPlace, Max(n, 1));
	for (i = 0; i < n && fits; i++)
	{
		Datum keys[3] = {item_id, pools[i].site_id, TimestampTzGetDatum(now)};

		t->places[i].low = t->places[i].beyond = DS_AHEAD_NEVER;
		t->places[i].rest = t->places[i].last = DS_AHEAD_NEVER;
		t->places[i].seen = DT_NOBEGIN;
		fits =
			stand(t, i, &pools[i], now) &&
			((!pools[i].ruled && keeps(balance, &pools[i], keys)) || read_lots(t, i, keys, now)) &&
			read_supply(t, i, supply, keys) && read_demand(t, i, demand, keys);
	}
	ds_reader_close(balance);
	ds_reader_close(demand);
	ds_reader_close(supply);
	if (fits && t->n > 0)
	{
		ds_inventory_look_ahead(t);
	}
	return fits;
}

/*
 * ds_inventory_foreseen does the first moment from which on sites may promise
 * a quantity of an item in whole steps; DT_NOEND = none is foreseen. False: it
 * takes more than pools, supply and demand to say.
 */
bool
ds_inventory_foreseen(Datum item_id, const DsInventoryPool *pools, int n, Numeric quantity,
					  int64 step, TimestampTz now, TimestampTz *moment)
{
	DsAhead t = {.step = step};
	int64 wanted;
	int64 atp = 0;
	int i = 0;

	*moment = DT_NOEND;
	if (!amount_of(NumericGetDatum(quantity), &wanted) || !read_all(&t, item_id, pools, n, now))
		return false;
	while (i < t.n)
	{
		TimestampTz at = t.changes[i].moment;

		for (; i < t.n && t.changes[i].moment == at; i++)
		{
			DsAheadPlace *p = &t.places[t.changes[i].place];

			atp += t.changes[i].atp - p->atp;
			p->atp = t.changes[i].atp;
		}
		if (atp < wanted)
			continue;
		*moment = at;
		return !TIMESTAMP_NOT_FINITE(at);
	}
	return true;
}

/* ask_pools does the answer from pools, supply and demand. False: it takes more. */
static bool
ask_pools(FunctionCallInfo fcinfo)
{
	TimestampTz now = GetCurrentStatementStartTimestamp();
	DsAhead t = {NULL};
	DsInventoryItem item;
	DsInventoryPool *pools;
	DsInventorySite site;
	int n = 1;

	if (PG_ARGISNULL(Q_ITEM) || PG_ARGISNULL(Q_OPTIONS) ||
		!ds_inventory_no_options(PG_GETARG_DATUM(Q_OPTIONS)) ||
		!ds_inventory_find_item(PG_GETARG_DATUM(Q_ITEM), NULL, &item))
		return false;
	if (PG_ARGISNULL(Q_SITE))
		n = ds_inventory_find_pools(item.item_id, 0, now, &pools);
	else
	{
		pools = palloc_object(DsInventoryPool);
		if (!ds_inventory_find_site(PG_GETARG_DATUM(Q_SITE), &site) ||
			!ds_inventory_find_pool(item.item_id, site.site_id, now, pools))
			return false;
	}
	t.step = ds_inventory_step(1, 1, SCALE, ds_inventory_scale(PointerGetDatum(item.base_unit)));
	if (n < 0 || !read_all(&t, item.item_id, pools, n, now))
		return false;
	InitMaterializedSRF(fcinfo, 0);
	give(&t, PG_ARGISNULL(Q_AT) ? now : PG_GETARG_TIMESTAMPTZ(Q_AT),
		 PointerGetDatum(item.base_unit), (ReturnSetInfo *) fcinfo->resultinfo);
	return true;
}

/* ds_sql_inventory_timeline does atp_timeline(item, site, at, options). */
Datum
ds_sql_inventory_timeline(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID};

	if (!ask_pools(fcinfo))
		return ds_verb_ask(fcinfo, "inventory_timeline_whole", types, Q_COUNT);
	return (Datum) 0;
}
