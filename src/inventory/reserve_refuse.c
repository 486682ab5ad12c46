/*-------------------------------------------------------------------------
 *
 * reserve_refuse.c
 *		What reserve() answers where there is not enough.
 *
 * A flood of customers who want what is sold out must be cheap: they change
 * nothing, wait for nobody, and are told how much there is and when there will
 * be enough, from the pools and the supply and demand to come. Where that
 * takes more (rules about dates, holds of a hot item that are over, numbers
 * beyond 64 bits, rules that let one promise take from another), the whole
 * path says it.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/reserve.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/json.h"
#include "base/reader.h"
#include "inventory/read.h"

static DsTable rule_table = {
	.name = "reallocation_rule",
	.index = "reallocation_rule_pk",
	.keys = {"code"},
	.columns = {"code"},
};

/* may_take_over tells whether there are rules by which a promise might take from another. */
static bool
may_take_over(void)
{
	DsReader *reader;
	bool found;

	if (!ds_table_resolve(&rule_table))
		return true;
	reader = ds_reader_open(&rule_table);
	ds_reader_seek(reader, NULL, 0);
	found = ds_reader_next(reader);
	ds_reader_close(reader);
	return found;
}

/* foreseen does the moment at which a line that lacks something could be served; DT_NOEND = never. False: it takes more to say. */
static bool
foreseen(const DsReserve *call, DsReserveLine *line, TimestampTz now, TimestampTz *moment)
{
	Datum item_id = Int64GetDatum(line->item_id);
	DsInventoryPool one;
	DsInventoryPool *pools = &one;
	int n = 1;

	if (line->site_id == 0)
		n = ds_inventory_find_pools(item_id, call->options.company_id, now, &pools);
	else if (!ds_inventory_find_pool(item_id, Int64GetDatum(line->site_id), now, pools))
		return false;
	/* the unit is looked up if it was not: what a site has may come in parts */
	ds_inventory_whole_steps(line, int64_div_fast_to_numeric(1, DS_INVENTORY_SCALE));
	return n >= 0 &&
		   ds_inventory_foreseen(item_id, pools, n, line->quantity, line->step, now, moment);
}

/* compare_ordinals does the order of the answer. */
static int
compare_ordinals(const void *a, const void *b)
{
	return (*(DsReserveLine *const *) a)->ordinal - (*(DsReserveLine *const *) b)->ordinal;
}

/* detail does what is said of a line beside its columns. */
static Datum
detail(const DsReserveLine *line, TimestampTz moment)
{
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	ds_json_text(&json, "base_unit", line->base_unit);
	ds_json_number(&json, "base_quantity", line->quantity);
	if (line->lacking)
		ds_json_instant(&json, "available_at", moment);
	else
		ds_json_text(&json, "reason", "another line is short");
	ds_json_close_object(&json);
	return ds_json_finish(&json);
}

/* answer does the row of one line. */
static void
answer(const DsReserveLine *line, TimestampTz moment, ReturnSetInfo *rows)
{
	Datum values[DS_RESERVED_COUNT] = {0};
	bool nulls[DS_RESERVED_COUNT] = {false};

	values[DS_RESERVED_ORDINAL] = Int32GetDatum(line->ordinal);
	values[DS_RESERVED_OUTCOME] = CStringGetTextDatum(line->lacking ? "short" : "refused");
	nulls[DS_RESERVED_RESERVATION] = true;
	values[DS_RESERVED_ITEM] = CStringGetTextDatum(line->sku);
	nulls[DS_RESERVED_SITE] = line->site == NULL;
	if (line->site != NULL)
		values[DS_RESERVED_SITE] = CStringGetTextDatum(line->site);
	values[DS_RESERVED_QUANTITY] = NumericGetDatum(ds_inventory_in_unit(line, line->quantity));
	values[DS_RESERVED_UNIT] = CStringGetTextDatum(line->unit);
	nulls[DS_RESERVED_EXPIRES_AT] = true;
	values[DS_RESERVED_AVAILABLE] = NumericGetDatum(ds_inventory_in_unit(line, line->available));
	values[DS_RESERVED_DETAIL] = detail(line, moment);
	tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
}

/*
 * ds_inventory_refuse does what is to be said to a call of which a line lacks
 * something, as it was decided. False: it takes more to say when there will be
 * enough.
 */
bool
ds_inventory_refuse(DsReserve *call, TimestampTz now)
{
	if (may_take_over())
		return false;
	for (int i = 0; i < call->npools; i++)
	{
		if (!ds_inventory_pool_holds(&call->pools[i], now))
			return false;
	}
	for (int i = 0; i < call->nlines; i++)
	{
		DsReserveLine *line = &call->lines[i];

		line->moment = DT_NOEND;
		if (line->lacking && !foreseen(call, line, now, &line->moment))
			return false;
	}
	return true;
}

/* ds_inventory_answer_refused does the rows of that answer. */
void
ds_inventory_answer_refused(const DsReserve *call, FunctionCallInfo fcinfo)
{
	const DsReserveLine **lines = palloc_array(const DsReserveLine *, call->nlines);

	for (int i = 0; i < call->nlines; i++)
		lines[i] = &call->lines[i];
	qsort(lines, call->nlines, sizeof(DsReserveLine *), compare_ordinals);
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < call->nlines; i++)
		(call->behind ? ds_inventory_answer_lacking : answer)(lines[i], lines[i]->moment,
															  (ReturnSetInfo *) fcinfo->resultinfo);
}
