/*-------------------------------------------------------------------------
 *
 * event_named.c
 *		Whether what an event names, a document or a lot, means more than its
 *		balance: a supply that arrives, a demand that ships, a lot that expires.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "base/compat.h"
#include "base/guc.h"
#include "inventory/event_pool.h"

static DsTable supply_table = {
	.name = "supply",
	.index = "supply_named_idx",
	.keys = {"item_id", "site_id", "reference"},
	.columns = {"item_id"},
};

static DsTable demand_table = {
	.name = "demand",
	.index = "demand_key_uq",
	.keys = {"demand_key", "item_id"},
	.columns = {"item_id"},
};

static DsTable lot_table = {
	.name = "stock_balance",
	.index = "stock_balance_lot_idx",
	.keys = {"item_id", "lot"},
	.columns = {"expires_on"},
	.where = "lot <> ''",
};

/* of lots whose balances were cleared away */
static DsTable kept_lot_table = {
	.name = "stock_lot",
	.index = "stock_lot_pk",
	.keys = {"item_id", "lot"},
	.columns = {"expires_on"},
};

/* so many balances of a lot are looked at */
#define MAX_PLACES 200

/* ds_inventory_reader_of does the opening of what is seldom read. */
DsReader *
ds_inventory_reader_of(DsReader **reader, DsTable *table)
{
	if (*reader == NULL)
		*reader = ds_reader_open(table);
	return *reader;
}

/* ds_inventory_supply_is_named tells whether a receipt names a supply of its item and site. */
bool
ds_inventory_supply_is_named(DsEventPosting *posting, const DsLeg *leg)
{
	DsReader *reader = ds_inventory_reader_of(&posting->supplies, &supply_table);
	Datum keys[3] = {Int64GetDatum(leg->item_id), Int64GetDatum(leg->site_id),
					 ds_inventory_slice_text(leg->event->reference)};

	ds_reader_seek(reader, keys, 3);
	return ds_reader_next(reader);
}

/* ds_inventory_demand_is_named tells whether a shipment names a demand. */
bool
ds_inventory_demand_is_named(DsEventPosting *posting, const DsLeg *leg)
{
	DsReader *reader = ds_inventory_reader_of(&posting->demands, &demand_table);
	Datum keys[2] = {ds_inventory_slice_text(leg->event->reference), Int64GetDatum(leg->item_id)};

	ds_reader_seek(reader, keys, 2);
	return ds_reader_next(reader);
}

/*
 * ds_inventory_lot_is_plain tells whether a lot is only a name: it does not expire, as far
 * as is known of it anywhere, and is no serial number.
 */
bool
ds_inventory_lot_is_plain(DsEventPosting *posting, const DsLeg *leg)
{
	DsReader *reader = ds_inventory_reader_of(&posting->lots, &lot_table);
	Datum keys[2] = {Int64GetDatum(leg->item_id), ds_inventory_slice_text(leg->event->lot)};

	if (leg->event->item->serial)
		return false;
	ds_reader_seek(reader, keys, lengthof(keys));
	for (int n = 0; ds_reader_next(reader); n++)
		if (n == MAX_PLACES || !reader->nulls[0])
			return false;
	reader = ds_inventory_reader_of(&posting->kept_lots, &kept_lot_table);
	ds_reader_seek(reader, keys, lengthof(keys));
	return !ds_reader_next(reader);
}

/*
 * ds_inventory_lot_is_fresh tells whether all that is told of a balance that is
 * not there happened so lately that it was never there: one of a lot may have
 * been cleared away.
 */
bool
ds_inventory_lot_is_fresh(const DsEventPosting *posting, const DsLeg *legs, int n)
{
	TimestampTz kept = posting->now - (int64) ds_guc_stock_retention * USECS_PER_MINUTE;

	if (legs->event->lot.len == 0 || ds_guc_stock_retention < 0)
		return true;
	for (int i = 0; i < n; i++)
	{
		if (legs[i].event->event_at < kept)
			return false;
	}
	return true;
}
