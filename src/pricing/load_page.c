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
	.columns = {"bytes", "version_id", "customer_id", "page"},
};

/* at_place does the look at where the only page of a part was found. */
static bool
at_place(DsReader *reader, const DsPart *part, int64 page)
{
	ItemPointerData tid = part->page_at;

	return ItemPointerIsValid(&tid) && ds_reader_at(reader, &tid) &&
		   DatumGetInt64(reader->values[1]) == part->set_id &&
		   DatumGetInt64(reader->values[2]) == part->customer_id &&
		   DatumGetInt64(reader->values[3]) == page;
}

/*
 * find does the look-up of a page. A part of one page, as most customers have,
 * remembers where it is: rows of published rate sets do not move, and what
 * lies there instead after all has another key.
 */
static bool
find(DsReader *reader, const DsPart *part, int64 page)
{
	Datum keys[3] = {Int64GetDatum(part->set_id), Int64GetDatum(part->customer_id),
					 Int64GetDatum(page)};
	bool alone = reader->relation != NULL && part->page_shift == DS_PAGE_MAX_SHIFT;

	if (alone && at_place(reader, part, page))
		return true;
	ds_reader_seek(reader, keys, 3);
	if (!ds_reader_next(reader))
		return false;
	if (alone)
		unconstify(DsPart *, part)->page_at = reader->slot->tts_tid;
	return true;
}

/* ds_pricing_load_page does the reading of a page of a part, in place: it is there until the next page is read. NULL = there is none. */
const bytea *
ds_pricing_load_page(DsCall *call, const DsPart *part, int64 page)
{
	if (call->pages == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(call->context);

		call->pages = ds_reader_open(&page_table);
		MemoryContextSwitchTo(old);
	}
	return find(call->pages, part, page) ? DatumGetByteaPP(call->pages->values[0]) : NULL;
}

/* ds_pricing_page_once does the reading of one cell of a page that is not kept, into the current context; NULL = it is not there. */
DsCell *
ds_pricing_page_once(DsCall *call, const DsPart *part, int64 target_id)
{
	int64 number = target_id >> part->page_shift;
	const bytea *bytes = ds_pricing_load_page(call, part, number);
	DsPage *page;
	int n;

	if (bytes == NULL)
		return NULL;
	page = palloc(offsetof(DsPage, units) + sizeof(char *) * (UINT8_MAX + 1));
	ds_pricing_page_open((const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
						 part->page_shift, page, page->units);
	n = ds_pricing_page_find(page, ds_page_place(part->page_shift, target_id));
	return n < 0 ? NULL : ds_pricing_page_cell(page, n);
}
