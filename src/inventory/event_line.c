/*-------------------------------------------------------------------------
 *
 * event_line.c
 *		Lines of orders that events name: what leaves for one, or is set aside
 *		for it, and shipments that the book posts. What follows from that is for
 *		SQL.
 *
 * Process: any backend. Locks: the caller's. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "inventory/event_pool.h"

static DsTable company_table = {
	.name = "company",
	.index = "company_code_uq",
	.keys = {"code"},
	.columns = {"code"},
};

static DsTable departure_table = {
	.name = "stock_departure",
	.index = "stock_departure_pk",
	.keys = {"item_id", "site_id", "reference"},
	.columns = {"item_id"},
};

/* has_row tells whether a table has a row with these keys. */
static bool
has_row(DsReader **reader, DsTable *table, const Datum *keys, int nkeys)
{
	DsReader *r = ds_inventory_reader_of(reader, table);

	ds_reader_seek(r, keys, nkeys);
	return ds_reader_next(r);
}

/* company_is_named tells whether a reference is written as a line of an order of a company of ours: company/order/line. */
static bool
company_is_named(DsEventPosting *posting, DsSlice reference)
{
	const char *end = reference.s + reference.len;
	const char *slash = memchr(reference.s, '/', reference.len);
	DsSlice code = {reference.s, 0};
	Datum key;

	if (slash == NULL || memchr(slash + 1, '/', end - slash - 1) == NULL)
		return false;
	code.len = slash - reference.s;
	key = ds_inventory_slice_text(code);
	return has_row(&posting->companies, &company_table, &key, 1);
}

/* ds_inventory_line_is_named tells what inventory_names_demand() does: whether there is a demand of that name, or will be one. */
bool
ds_inventory_line_is_named(DsEventPosting *posting, const DsLeg *leg)
{
	return ds_inventory_demand_is_named(posting, leg) ||
		   company_is_named(posting, leg->event->reference);
}

/* ds_inventory_departure_is_named tells whether the book posts what a shipment has told of a site that has no other stock. */
bool
ds_inventory_departure_is_named(DsEventPosting *posting, const DsLeg *leg)
{
	Datum keys[3] = {Int64GetDatum(leg->item_id), Int64GetDatum(leg->site_id),
					 ds_inventory_slice_text(leg->event->reference)};

	return has_row(&posting->departures, &departure_table, keys, 3);
}

/* ds_inventory_event_allocates tells whether an event of the warehouse moves stock into the state allocated, or out of it, for a document. */
bool
ds_inventory_event_allocates(const DsEvent *event)
{
	static const DsSlice allocated = {"allocated", 9};

	return event->kind == DS_EVENT_TRANSFER && !event->book && event->reference.s != NULL &&
		   (ds_inventory_slice_compare(event->state, allocated) == 0) !=
			   (ds_inventory_slice_compare(event->to_state, allocated) == 0);
}
