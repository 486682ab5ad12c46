/*-------------------------------------------------------------------------
 *
 * pool.h
 *		The row of a pool as those see it who change its counters past the
 *		executor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_POOL_H
#define DS_INVENTORY_POOL_H

#include "postgres.h"

#include "access/htup.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "base/rows.h"

/* columns of ds_inventory_pool_rows */
enum
{
	DS_POOL_CAP,
	DS_POOL_HELD,
	DS_POOL_COMMITTED,
	DS_POOL_SHORTFALL,
	DS_POOL_BACKORDER,
	DS_POOL_SAFETY,
	DS_POOL_SLOTS,
	DS_POOL_DEALT,
	DS_POOL_WAITED,
	DS_POOL_VERSION,
	DS_POOL_CHANGED_AT,
	DS_POOL_VALID_UNTIL,
	DS_POOL_CAP_UNTIL,
	DS_POOL_RULED,
	DS_POOL_WAITING
};

extern DsRowsTable ds_inventory_pool_rows;

extern HeapTuple ds_inventory_pool_row(int64 item_id, int64 site_id);
extern Datum ds_inventory_whole(const DsRows *rows, HeapTuple row, int column);
extern Numeric ds_inventory_number(const DsRows *rows, HeapTuple row, int column);
extern TimestampTz ds_inventory_instant(const DsRows *rows, HeapTuple row, int column);
extern Numeric ds_inventory_as_kept(Numeric quantity);

#endif /* DS_INVENTORY_POOL_H */
