/*-------------------------------------------------------------------------
 *
 * load_page.c
 *		Pages of rates as publication wrote them.
 *
 * Process: any backend. Locks: AccessShareLock on the pages. Memory: the
 * current context; the reader stays open for the call.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/load.h"

#include "base/compat.h"
#include "pricing/page.h"

static DsTable page_table = {
	.name = "rate_page",
	.index = "rate_page_pk",
	.keys = {"version_id", "customer_id", "page"},
	.columns = {"bytes"},
};

/* ds_pricing_load_page does the reading of a page of a part, in place: it is there until the next page is read. NULL = there is none. */
const bytea *
ds_pricing_load_page(DsCall *call, const DsPart *part, int64 page)
{
	Datum keys[3] = {Int64GetDatum(part->set_id), Int64GetDatum(part->customer_id),
					 Int64GetDatum(page)};

	if (call->pages == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(call->context);

		call->pages = ds_reader_open(&page_table);
		MemoryContextSwitchTo(old);
	}
	ds_reader_seek(call->pages, keys, 3);
	return ds_reader_next(call->pages) ? DatumGetByteaPP(call->pages->values[0]) : NULL;
}

/* ds_pricing_page_once does the reading of one cell of a page that is not kept, into the current context; NULL = it is not there. */
DsCell *
ds_pricing_page_once(DsCall *call, const DsPart *part, int64 target_id)
{
	int64 number = target_id >> part->page_shift;
	const bytea *bytes = ds_pricing_load_page(call, part, number);
	DsPage *page;

	if (bytes == NULL)
		return NULL;
	page = palloc(offsetof(DsPage, units) + sizeof(char *) * (UINT8_MAX + 1));
	ds_pricing_page_open((const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
						 part->page_shift, page, page->units);
	return ds_pricing_page_cell(page, (uint64) (target_id - (number << part->page_shift)));
}
