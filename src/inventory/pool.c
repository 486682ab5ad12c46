/*-------------------------------------------------------------------------
 *
 * pool.c
 *		The row of a pool as those see it who change its counters past the
 *		executor, and the reading of columns of rows that they have copies of.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/pool.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "base/compat.h"
#include "base/reader.h"

DsRowsTable ds_inventory_pool_rows = {
	.schema = "dist",
	.name = "stock_pool",
	.changes = true,
	.told = "item_id",
	.columns = {{"cap", NUMERICOID},
				{"held", NUMERICOID},
				{"committed", NUMERICOID},
				{"shortfall", NUMERICOID},
				{"backorder_cap", NUMERICOID},
				{"safety", NUMERICOID},
				{"slots", INT2OID},
				{"dealt", NUMERICOID},
				{"waited_us", INT4OID},
				{"version", INT8OID},
				{"changed_at", TIMESTAMPTZOID},
				{"valid_until", TIMESTAMPTZOID},
				{"cap_until", TIMESTAMPTZOID},
				{"ruled", BOOLOID},
				{"waiting", BOOLOID}},
};

static DsTable pool_table = {
	.name = "stock_pool",
	.index = "stock_pool_pk",
	.keys = {"item_id", "site_id"},
	.columns = {"item_id", "site_id"},
};

/* ds_inventory_pool_row does a copy of the row of a pool, with its place, as the active snapshot sees it; NULL: there is none, or it cannot be read directly. */
HeapTuple
ds_inventory_pool_row(int64 item_id, int64 site_id)
{
	DsReader *reader = ds_reader_open(&pool_table);
	Datum keys[2] = {Int64GetDatum(item_id), Int64GetDatum(site_id)};
	HeapTuple row = NULL;

	if (ds_reader_find(reader, keys) && reader->slot != NULL)
		row = ExecCopySlotHeapTuple(reader->slot);
	ds_reader_close(reader);
	return row;
}

/* ds_inventory_whole does the reading of a column that is never NULL. */
Datum
ds_inventory_whole(const DsRows *rows, HeapTuple row, int column)
{
	bool isnull;

	return ds_rows_value(rows, row, column, &isnull);
}

/* ds_inventory_number does the reading of a number that is never NULL. */
Numeric
ds_inventory_number(const DsRows *rows, HeapTuple row, int column)
{
	return DatumGetNumeric(ds_inventory_whole(rows, row, column));
}

/* ds_inventory_instant does the reading of an instant; NULL = for ever. */
TimestampTz
ds_inventory_instant(const DsRows *rows, HeapTuple row, int column)
{
	bool isnull;
	Datum value = ds_rows_value(rows, row, column, &isnull);

	return isnull ? DT_NOEND : DatumGetTimestampTz(value);
}

/* ds_inventory_as_kept does a quantity as columns keep it: six decimals. */
Numeric
ds_inventory_as_kept(Numeric quantity)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric, NumericGetDatum(quantity),
											   Int32GetDatum(((20 << 16) | 6) + VARHDRSZ)));
}
