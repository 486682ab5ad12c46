/*-------------------------------------------------------------------------
 *
 * event_transit.c
 *		Goods on their way to a site, and receipts that may be of them. What
 *		follows from that is for SQL: inventory_land().
 *
 * Process: any backend. Locks: the caller's. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "inventory/event_pool.h"

static const DsSlice in_transit = {"in_transit", 10};

static DsTable transit_table = {
	.name = "stock_balance",
	.index = "stock_balance_pk",
	.keys = {"item_id", "site_id", "perspective", "state"},
	.columns = {"quantity"},
};

/* something_waits tells whether a perspective has anything of an item in transit to a site. */
static bool
something_waits(DsEventPosting *posting, const DsLeg *leg)
{
	Datum keys[4] = {Int64GetDatum(leg->item_id), Int64GetDatum(leg->site_id),
					 CStringGetTextDatum(leg->event->book ? "book" : "phys"),
					 ds_inventory_slice_text(in_transit)};

	if (posting->transits == NULL)
		posting->transits = ds_reader_open(&transit_table);
	ds_reader_seek(posting->transits, keys, 4);
	while (ds_reader_next(posting->transits))
		if (DatumGetBool(DirectFunctionCall2(numeric_gt, posting->transits->values[0],
											 NumericGetDatum(int64_to_numeric(0)))))
			return true;
	return false;
}

/* ds_inventory_leg_lands tells whether a leg with a reference may have to do with goods that are on their way, or have come. */
bool
ds_inventory_leg_lands(DsEventPosting *posting, const DsLeg *leg)
{
	return ds_inventory_slice_compare(leg->state, in_transit) == 0 ||
		   (leg->event->kind == DS_EVENT_RECEIVE && something_waits(posting, leg));
}
