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
	S_SLOT,
	S_CAP,
	S_HELD,
	S_COMMITTED,
	S_CHANGED_AT,
	S_VALID_UNTIL,
	S_COUNT
};

static DsTable slot_table = {
	.name = "stock_pool_slot",
	.index = "stock_pool_slot_pk",
	.keys = {"item_id", "site_id"},
	.columns = {"slot", "cap", "held", "committed", "changed_at", "valid_until"},
};

static DsRowsTable slot_rows = {
	.schema = "dist",
	.name = "stock_pool_slot",
	.changes = true,
	.columns = {{"slot", INT2OID},
				{"cap", NUMERICOID},
				{"held", NUMERICOID},
				{"committed", NUMERICOID},
				{"changed_at", TIMESTAMPTZOID},
				{"valid_until", TIMESTAMPTZOID}},
};

/* where we promised from the last time, -1 = never */
static int usual = -1;

/* ds_inventory_slots_open does the start of writing. NULL: take SQL. */
DsRows *
ds_inventory_slots_open(void)
{
	return ds_table_resolve(&slot_table) ? ds_rows_open(&slot_rows) : NULL;
}

/* add does the entering of the slot that the reader stands on. */
static void
add(DsSlots *slots, DsReader *reader)
{
	DsSlot *slot;

	if (slots->n == slots->room)
	{
		slots->room = Max(64, slots->room * 2);
		slots->slot = slots->slot == NULL ? palloc(sizeof(DsSlot) * slots->room)
										  : repalloc(slots->slot, sizeof(DsSlot) * slots->room);
	}
	slot = &slots->slot[slots->n++];
	slot->number = DatumGetInt16(reader->values[S_SLOT]);
	slot->held = DatumGetNumericCopy(reader->values[S_HELD]);
	slot->committed = DatumGetNumericCopy(reader->values[S_COMMITTED]);
	slot->free = DS_NUMERIC(
		numeric_sub, DS_NUMERIC(numeric_sub, DatumGetNumeric(reader->values[S_CAP]), slot->held),
		slot->committed);
	slot->changed_at = DatumGetTimestampTz(reader->values[S_CHANGED_AT]);
	slot->valid_until = reader->nulls[S_VALID_UNTIL]
							? DT_NOEND
							: DatumGetTimestampTz(reader->values[S_VALID_UNTIL]);
	slot->row = reader->slot == NULL ? NULL : ExecCopySlotHeapTuple(reader->slot);
	slots->held = DS_NUMERIC(numeric_add, slots->held, slot->held);
	slots->committed = DS_NUMERIC(numeric_add, slots->committed, slot->committed);
	slots->free = DS_NUMERIC(numeric_add, slots->free, slot->free);
	slots->changed_at = Max(slots->changed_at, slot->changed_at);
	slots->valid_until = Min(slots->valid_until, slot->valid_until);
}

/* ds_inventory_slots_read does the reading of all slots of a pool, as the active snapshot sees them. */
void
ds_inventory_slots_read(int64 item_id, int64 site_id, DsSlots *slots)
{
	DsReader *reader = ds_reader_open(&slot_table);
	Datum keys[2] = {Int64GetDatum(item_id), Int64GetDatum(site_id)};

	slots->n = 0;
	slots->held = slots->committed = slots->free = int64_to_numeric(0);
	slots->changed_at = DT_NOBEGIN;
	slots->valid_until = DT_NOEND;
	ds_reader_seek(reader, keys, 2);
	while (ds_reader_next(reader))
		add(slots, reader);
	ds_reader_close(reader);
}

/* try does the guarded update of a slot that has enough, if nobody else is at it; otherwise other says who is. */
static bool
try(DsRows *w, const DsSlotTake *take, const DsSlot *slot, TransactionId *other)
{
	int columns[] = {take->commit ? S_COMMITTED : S_HELD, S_CHANGED_AT, S_VALID_UNTIL};
	bool sooner = !take->commit && take->expires_at < slot->valid_until;
	Datum values[lengthof(columns)];

	values[0] = NumericGetDatum(
		DS_NUMERIC(numeric_add, take->commit ? slot->committed : slot->held, take->quantity));
	values[1] = TimestampTzGetDatum(Max(GetCurrentTimestamp(), slot->changed_at + 1));
	values[2] = TimestampTzGetDatum(take->expires_at);
	return ds_rows_try(w, slot->row, false, sooner ? 3 : 2, columns, values, NULL, other);
}

/* enough does the guard. */
static bool
enough(const DsSlotTake *take, const DsSlot *slot)
{
	return DS_NUMERIC_IS(numeric_ge, slot->free, take->quantity);
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

		if (!enough(take, &slots->slot[number]))
			continue;
		*some = true;
		if (try(w, take, &slots->slot[number], &at_it))
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
