/*-------------------------------------------------------------------------
 *
 * sheet.c
 *		The verb price_sheet(): what one base unit of every item costs a
 *		customer.
 *
 * Each item is a call of one line by itself, so that the sheet says what
 * price() would; what they share is done once. The list of items comes from
 * the caller's snapshot.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * call in the function's context, each item in a context that is emptied after
 * it; the cache is kept in bounds on the way.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/finish.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/export.h"
#include "pricing/load.h"

DS_FUNCTION_INFO_V1(ds_sql_pricing_sheet);

static DsTable items_table = {
	.name = "item",
	.index = "item_pk",
	.keys = {"item_id"},
	.columns = {"item_id", "sku", "status"},
};

enum
{
	S_ITEM,
	S_UNIT,
	S_QUANTITY,
	S_UNIT_PRICE,
	S_CURRENCY,
	S_PRICE_PER,
	S_AGREEMENT,
	S_VALID_UNTIL,
	S_CODE,
	S_COUNT
};

/* so many items are read ahead; after them the cache is trimmed */
#define AHEAD 64

/* An item to come. */
typedef struct Listed
{
	int64 item_id;
	const char *sku;
} Listed;

/* put does the row of an item that has a price. */
static void
put(DsCall *call, ReturnSetInfo *set, const DsLine *line, const DsDecision *d, const DsFinish *f,
	Datum *values, bool *nulls)
{
	const char *agreement = ds_pricing_winner(d);

	values[S_ITEM] = CStringGetTextDatum(line->item->sku);
	values[S_UNIT] = CStringGetTextDatum(line->unit);
	values[S_UNIT_PRICE] = NumericGetDatum(f->unit_price);
	values[S_PRICE_PER] = Int32GetDatum(f->price_per);
	nulls[S_AGREEMENT] = agreement == NULL;
	if (agreement != NULL)
		values[S_AGREEMENT] = CStringGetTextDatum(agreement);
	values[S_VALID_UNTIL] = TimestampTzGetDatum(d->valid_until);
	nulls[S_VALID_UNTIL] = d->valid_until == DT_NOEND;
	values[S_CODE] =
		CStringGetTextDatum(call->for_buyer ? ds_pricing_code_for_customer(f) : f->code);
	tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
}

/* one_item does the decision for an item. */
static void
one_item(DsCall *call, ReturnSetInfo *set, DsLine *line, const Listed *item, Datum *values,
		 bool *nulls)
{
	DsDecision *d;
	DsFinish f;

	ds_pricing_line_unit(call, line, ds_pricing_item_listed(call, item->sku, item->item_id));
	line->quantity = values[S_QUANTITY];
	d = ds_pricing_decision(call);
	ds_pricing_decide(call, line, d);
	if (!d->has_price)
		return;
	ds_pricing_finish(call, line, d, &f);
	put(call, set, line, d, &f, values, nulls);
}

/* list_items does the reading of the next active items into the current context, at most AHEAD. Returns how many. */
static int
list_items(DsReader *items, Listed *list)
{
	int n = 0;

	while (n < AHEAD && ds_reader_next(items))
	{
		CHECK_FOR_INTERRUPTS();
		if (!ds_reader_text_is(items, 2, "active"))
			continue;
		list[n].item_id = DatumGetInt64(items->values[0]);
		list[n].sku = TextDatumGetCString(items->values[1]);
		ds_pricing_expect_item(list[n++].sku, 0);
	}
	return n;
}

/* run does the walk over all items: a few are read ahead, so that the cache brings them while others are decided. */
static void
run(DsCall *call, ReturnSetInfo *set)
{
	DsReader *items = ds_reader_open(&items_table);
	DsLine *line = palloc0(sizeof(DsLine));
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext listing =
		AllocSetContextCreate(outer, "distsync items listed", ALLOCSET_SMALL_SIZES);
	Listed list[AHEAD];
	Datum values[S_COUNT];
	bool nulls[S_COUNT] = {false};
	int n;
	int i;

	call->recent = palloc0(sizeof(DsRecent) * DS_RECENT);
	call->request.lines = line;
	call->request.nlines = 1;
	call->line_context =
		AllocSetContextCreate(outer, "distsync price line", ALLOCSET_DEFAULT_SIZES);
	values[S_QUANTITY] = NumericGetDatum(int64_to_numeric(1));
	values[S_CURRENCY] = CStringGetTextDatum(call->request.currency);
	ds_reader_seek(items, NULL, 0);
	do
	{
		ds_pricing_trim(call);
		MemoryContextReset(listing);
		MemoryContextSwitchTo(listing);
		n = list_items(items, list);
		for (i = 0; i < n; i++)
			ds_pricing_expect_item(list[i].sku, 1);
		MemoryContextSwitchTo(call->line_context);
		for (i = 0; i < n; i++)
		{
			one_item(call, set, line, &list[i], values, nulls);
			MemoryContextReset(call->line_context);
		}
	} while (n == AHEAD);
	MemoryContextSwitchTo(outer);
	ds_reader_close(items);
}

/* ds_sql_pricing_sheet does price_sheet(customer, as_of, options). */
Datum
ds_sql_pricing_sheet(PG_FUNCTION_ARGS)
{
	DsCall *call = palloc0(sizeof(DsCall));

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC | MAT_SRF_BLESS);
	call->context = CurrentMemoryContext;
	ds_pricing_request(call, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)),
					   PG_ARGISNULL(1) ? GetCurrentStatementStartTimestamp()
									   : PG_GETARG_TIMESTAMPTZ(1),
					   PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2));
	call->many = true;
	ds_pricing_buyer(call);
	run(call, (ReturnSetInfo *) fcinfo->resultinfo);
	ds_pricing_end(call);
	return (Datum) 0;
}
