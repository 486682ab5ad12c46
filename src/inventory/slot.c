/*-------------------------------------------------------------------------
 *
 * slot.c
 *		Promising from a slot: the guarded update of one of the shares of a
 *		hot pool.
 *
 * Every backend begins at the slot that it had the last time and goes on to
 * the next one where somebody is at it: so they soon have one each. A slot is
 * never locked before it is known to have enough, and nobody waits for one
 * while having another. Where somebody is at each of those that have enough,
 * we wait for him to end, and look again. So whoever finds nothing here holds
 * nothing here, and may go and lock the pool.
 *
 * Process: any backend. Locks: the row of one slot until the end of the
 * transaction. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/slot.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/reader.h"
#include "base/rows.h"
#include "inventory/reserve.h"

enum
{
	S_HELD,
	S_COMMITTED,
	S_CHANGED_AT,
	S_VALID_UNTIL,
	S_CAP
};

static DsTable slot_table = {
	.name = "stock_pool_slot",
	.index = "stock_pool_slot_pk",
	.keys = {"item_id", "site_id"},
	.columns = {"held", "committed", "changed_at", "valid_until"},
};

static DsRowsTable slot_rows = {
	.schema = "dist",
	.name = "stock_pool_slot",
	.changes = true,
	.columns = {{"held", NUMERICOID},
				{"committed", NUMERICOID},
				{"changed_at", TIMESTAMPTZOID},
				{"valid_until", TIMESTAMPTZOID},
				{"cap", NUMERICOID}},
};

/* where we promised from the last time, -1 = never */
static int usual = -1;

/* ds_inventory_slots_open does the start of writing. NULL: take SQL. */
DsRows *
ds_inventory_slots_open(void)
{
	return ds_table_resolve(&slot_table) ? ds_rows_open(&slot_rows) : NULL;
}

/* plus does the adding of a counter to a sum; most are of one kind, and the others zero. */
static Numeric
plus(Numeric sum, Datum value, Numeric zero)
{
	struct varlena *v = PG_DETOAST_DATUM_PACKED(value);

	if (VARSIZE_ANY_EXHDR(v) == VARSIZE_ANY_EXHDR(zero) &&
		memcmp(VARDATA_ANY(v), VARDATA_ANY(zero), VARSIZE_ANY_EXHDR(zero)) == 0)
		return sum;
	return DS_NUMERIC(numeric_add, sum, DatumGetNumeric(value));
}

/* add does the entering of the slot that the reader stands on. */
static void
add(DsSlots *slots, DsReader *reader, Numeric zero)
{
	slots->held = plus(slots->held, reader->values[S_HELD], zero);
	slots->committed = plus(slots->committed, reader->values[S_COMMITTED], zero);
	slots->changed_at = Max(slots->changed_at, DatumGetTimestampTz(reader->values[S_CHANGED_AT]));
	if (!reader->nulls[S_VALID_UNTIL])
		slots->valid_until =
			Min(slots->valid_until, DatumGetTimestampTz(reader->values[S_VALID_UNTIL]));
	if (slots->n == slots->room)
	{
		slots->room = Max(64, slots->room * 2);
		slots->rows = slots->rows == NULL ? palloc_array(HeapTuple, slots->room)
										  : repalloc_array(slots->rows, HeapTuple, slots->room);
	}
	slots->rows[slots->n++] = reader->slot == NULL ? NULL : ExecCopySlotHeapTuple(reader->slot);
}

/* ds_inventory_slots_read does the reading of all slots of a pool, as the active snapshot sees them. */
void
ds_inventory_slots_read(int64 item_id, int64 site_id, DsSlots *slots)
{
	DsReader *reader = ds_reader_open(&slot_table);
	Datum keys[2] = {Int64GetDatum(item_id), Int64GetDatum(site_id)};
	/* as columns keep it */
	Numeric zero = DatumGetNumeric(
		DirectFunctionCall3(numeric_in, CStringGetDatum("0.000000"), 0, Int32GetDatum(-1)));

	slots->n = 0;
	slots->held = slots->committed = int64_to_numeric(0);
	slots->changed_at = DT_NOBEGIN;
	slots->valid_until = DT_NOEND;
	ds_reader_seek(reader, keys, 2);
	while (ds_reader_next(reader))
		add(slots, reader, zero);
	ds_reader_close(reader);
}

/* try does the guarded update of a slot that has enough, if nobody else is at it; otherwise other says who is. */
static bool
try(DsRows *w, const DsSlotTake *take, HeapTuple row, TransactionId *other)
{
	int columns[] = {take->commit ? S_COMMITTED : S_HELD, S_CHANGED_AT, S_VALID_UNTIL};
	bool sooner = !take->commit && take->expires_at < ds_inventory_instant(w, row, S_VALID_UNTIL);
	Datum values[lengthof(columns)];

	values[0] = NumericGetDatum(
		DS_NUMERIC(numeric_add, ds_inventory_number(w, row, columns[0]), take->quantity));
	values[1] = TimestampTzGetDatum(
		Max(GetCurrentTimestamp(), ds_inventory_instant(w, row, S_CHANGED_AT) + 1));
	values[2] = TimestampTzGetDatum(take->expires_at);
	return ds_rows_try(w, row, false, sooner ? 3 : 2, columns, values, NULL, other);
}

/* enough does the guard. */
static bool
enough(const DsRows *w, const DsSlotTake *take, HeapTuple row)
{
	Numeric promised = DS_NUMERIC(numeric_add, ds_inventory_number(w, row, S_HELD),
								  ds_inventory_number(w, row, S_COMMITTED));

	return DS_NUMERIC_IS(numeric_ge,
						 DS_NUMERIC(numeric_sub, ds_inventory_number(w, row, S_CAP), promised),
						 take->quantity);
}

/*
 * try_all does one round over the slots. Returns whether something was taken;
 * if not, some says whether any has enough, and other who is at one of them,
 * unless one has changed since it was read.
 */
static bool
try_all(DsRows *w, const DsSlotTake *take, const DsSlots *slots, bool *some, TransactionId *other)
{
	bool changed = false;

	if (usual < 0)
		usual = (int) (ds_compat_my_proc_number() % 256);
	*some = false;
	*other = InvalidTransactionId;
	for (int i = 0; i < slots->n; i++)
	{
		int number = (usual + i) % slots->n;
		TransactionId at_it;

		if (!enough(w, take, slots->rows[number]))
			continue;
		*some = true;
		if (try(w, take, slots->rows[number], &at_it))
		{
			usual = number;
			return true;
		}
		if (!TransactionIdIsInProgress(at_it) || TransactionIdIsCurrentTransactionId(at_it))
			changed = true;
		else if (!TransactionIdIsValid(*other))
			*other = at_it;
	}
	if (changed)
		*other = InvalidTransactionId;
	return false;
}

/*
 * ds_inventory_slots_take does the taking of a quantity from one of the slots
 * that were read. If nothing was taken, nothing is locked. Waiting: for
 * somebody who is at a slot; then the caller looks at the pool again, because
 * anything may have changed meanwhile.
 */
DsSlotResult
ds_inventory_slots_take(DsRows *w, const DsSlotTake *take, const DsSlots *slots, bool wait)
{
	TransactionId other;
	bool some;

	if (try_all(w, take, slots, &some, &other))
		return DS_SLOT_TAKEN;
	if (!some)
		return DS_SLOT_SHORT;
	if (TransactionIdIsValid(other))
	{
		if (!wait)
			return DS_SLOT_BUSY;
		XactLockTableWait(other, NULL, NULL, XLTW_None);
	}
	return DS_SLOT_CHANGED;
}
