/*-------------------------------------------------------------------------
 *
 * read.c
 *		What decisions about stock read: items and sites by our codes, pools.
 *
 * A false answer is no error: what is not found here (another system's code, a
 * kit, a site that may not promise, a pool that time has passed) is what the
 * functions behind the verbs look into.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/read.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "base/compat.h"
#include "base/reader.h"
#include "inventory/slot.h"

enum
{
	I_ID,
	I_BASE_UNIT,
	I_KIT,
	I_STATUS
};

static DsTable item_table = {
	.name = "item",
	.index = "item_sku_uq",
	.keys = {"sku"},
	.columns = {"item_id", "base_unit", "kit", "status"},
};

enum
{
	S_ID,
	S_CAN_PROMISE,
	S_STATUS,
	S_CODE,
	S_CAN_SHIP,
	S_CALENDAR,
	S_COMPANY
};

static DsTable site_table = {
	.name = "site",
	.index = "site_code_uq",
	.keys = {"code"},
	.columns = {"site_id", "can_promise", "status", "code", "can_ship", "calendar_id",
				"company_id"},
};

/* the same by its number */
static DsTable site_id_table = {
	.name = "site",
	.index = "site_pk",
	.keys = {"site_id"},
	.columns = {"site_id", "can_promise", "status", "code", "can_ship", "calendar_id",
				"company_id"},
};

enum
{
	P_SITE,
	P_PHYS,
	P_BOOK,
	P_DUE,
	P_LOW,
	P_HELD,
	P_COMMITTED,
	P_BACKORDER,
	P_SAFETY,
	P_CHANGED_AT,
	P_VALID_UNTIL,
	P_AHEAD,
	P_RULED,
	P_SLOTS
};

static DsTable pool_table = {
	.name = "stock_pool",
	.index = "stock_pool_pk",
	.keys = {"item_id", "site_id"},
	.columns = {"site_id", "phys", "book", "due", "low", "held", "committed", "backorder_cap",
				"safety", "changed_at", "valid_until", "ahead", "ruled", "slots"},
};

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
	return reader->nulls[column] ? NULL : DatumGetNumericCopy(reader->values[column]);
}

/*
 * ds_inventory_find_item does the look-up of an item that may be promised, has
 * stock of its own, and is asked for in its base unit (NULL = that).
 */
bool
ds_inventory_find_item(Datum sku, const text *unit, DsInventoryItem *item)
{
	DsReader *reader = ds_reader_open(&item_table);
	bool found;

	found = ds_reader_find(reader, &sku) && !DatumGetBool(reader->values[I_KIT]) &&
			ds_reader_text_is(reader, I_STATUS, "active");
	if (found)
	{
		item->item_id = reader->values[I_ID];
		item->base_unit = DatumGetTextPCopy(reader->values[I_BASE_UNIT]);
		found = unit == NULL || same_text(unit, item->base_unit);
	}
	ds_reader_close(reader);
	return found;
}

/* promises does the question whether a site that was read may promise. */
static bool
promises(const DsReader *reader)
{
	return DatumGetBool(reader->values[S_CAN_PROMISE]) &&
		   ds_reader_text_is(reader, S_STATUS, "active");
}

/* ds_inventory_find_site does the look-up of a site that may promise, by our code. */
bool
ds_inventory_find_site(Datum code, DsInventorySite *site)
{
	DsReader *reader = ds_reader_open(&site_table);
	bool found = ds_reader_find(reader, &code) && promises(reader);

	if (found)
	{
		site->site_id = reader->values[S_ID];
		site->can_ship = DatumGetBool(reader->values[S_CAN_SHIP]);
		site->always = reader->nulls[S_CALENDAR];
		site->calendar_id = reader->values[S_CALENDAR];
	}
	ds_reader_close(reader);
	return found;
}

/* add_slots does the adding of what is promised from the slots of a hot pool. */
static void
add_slots(Datum item_id, DsInventoryPool *pool)
{
	DsSlots slots = {0};

	ds_inventory_slots_read(DatumGetInt64(item_id), DatumGetInt64(pool->site_id), &slots);
	pool->held = DatumGetNumeric(
		DirectFunctionCall2(numeric_add, NumericGetDatum(pool->held), NumericGetDatum(slots.held)));
	pool->committed = DatumGetNumeric(DirectFunctionCall2(
		numeric_add, NumericGetDatum(pool->committed), NumericGetDatum(slots.committed)));
	pool->changed_at = Max(pool->changed_at, slots.changed_at);
	pool->valid_until = Min(pool->valid_until, slots.valid_until);
}

/* take_pool does the copying of the pool that was read. False: time has passed it. */
static bool
take_pool(const DsReader *reader, Datum item_id, TimestampTz now, DsInventoryPool *pool)
{
	pool->valid_until = reader->nulls[P_VALID_UNTIL]
							? DT_NOEND
							: DatumGetTimestampTz(reader->values[P_VALID_UNTIL]);
	if (pool->valid_until <= now)
		return false;
	pool->site_id = reader->values[P_SITE];
	pool->phys = number(reader, P_PHYS);
	pool->book = number(reader, P_BOOK);
	pool->due = number(reader, P_DUE);
	pool->low = number(reader, P_LOW);
	pool->held = number(reader, P_HELD);
	pool->committed = number(reader, P_COMMITTED);
	pool->backorder = number(reader, P_BACKORDER);
	pool->safety = number(reader, P_SAFETY);
	pool->changed_at = DatumGetTimestampTz(reader->values[P_CHANGED_AT]);
	pool->ahead = DatumGetBool(reader->values[P_AHEAD]);
	pool->ruled = DatumGetBool(reader->values[P_RULED]);
	if (DatumGetInt16(reader->values[P_SLOTS]) > 0)
		add_slots(item_id, pool);
	return pool->valid_until > now;
}

/* ds_inventory_find_pool does the look-up of a pool that holds at an instant. */
bool
ds_inventory_find_pool(Datum item_id, Datum site_id, TimestampTz now, DsInventoryPool *pool)
{
	DsReader *reader = ds_reader_open(&pool_table);
	Datum keys[2] = {item_id, site_id};
	bool found;

	found = ds_reader_find(reader, keys) && take_pool(reader, item_id, now, pool);
	ds_reader_close(reader);
	return found;
}

/*
 * ds_inventory_find_pools does the look-up of the pools of an item at all
 * sites that may promise it, of a company (0 = any). Returns how many, -1 if
 * one of them does not hold at that instant any more.
 */
int
ds_inventory_find_pools(Datum item_id, int64 company_id, TimestampTz now, DsInventoryPool **pools)
{
	DsReader *reader = ds_reader_open(&pool_table);
	DsReader *sites = ds_reader_open(&site_id_table);
	int n = 0;
	int room = 16;

	*pools = palloc(sizeof(DsInventoryPool) * room);
	ds_reader_seek(reader, &item_id, 1);
	while (n >= 0 && ds_reader_next(reader))
	{
		if (!ds_reader_find(sites, &reader->values[P_SITE]) || !promises(sites) ||
			(company_id != 0 && DatumGetInt64(sites->values[S_COMPANY]) != company_id))
			continue;
		if (n == room)
		{
			room *= 2;
			*pools = repalloc_array(*pools, DsInventoryPool, room);
		}
		(*pools)[n].code = TextDatumGetCString(sites->values[S_CODE]);
		(*pools)[n].company_id = DatumGetInt64(sites->values[S_COMPANY]);
		n = take_pool(reader, item_id, now, &(*pools)[n]) ? n + 1 : -1;
	}
	ds_reader_close(sites);
	ds_reader_close(reader);
	return n;
}

/* ds_inventory_base does the stock to reckon from: the lower of both truths, 0 where neither says anything. */
Numeric
ds_inventory_base(const DsInventoryPool *pool)
{
	if (pool->phys == NULL && pool->book == NULL)
		return int64_to_numeric(0);
	if (pool->phys == NULL)
		return pool->book;
	if (pool->book == NULL)
		return pool->phys;
	return DatumGetNumeric(DirectFunctionCall2(numeric_smaller, NumericGetDatum(pool->phys),
											   NumericGetDatum(pool->book)));
}

/* ds_inventory_no_options does the question whether options are an empty object. */
bool
ds_inventory_no_options(Datum options)
{
	Jsonb *jb = DatumGetJsonbP(options);

	return JB_ROOT_IS_OBJECT(jb) && JB_ROOT_COUNT(jb) == 0;
}
