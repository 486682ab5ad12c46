/*-------------------------------------------------------------------------
 *
 * codes.c
 *		Whether what a backend remembers of small tables of codes (sites, states
 *		of stock, systems, owners) is current: the row of dist.epoch that whoever
 *		changes one of them moves, under the snapshot of this moment.
 *
 * Who remembers something keeps the number with it, and looks it up only under
 * the same number. That is exact: a change and its move are one commit, and
 * moves are made one after the other, so snapshots that see one number see one
 * state. A transaction that has moved it itself remembers nothing, because its
 * number may be taken back and given to somebody else.
 *
 * Process: any backend. Locks: AccessShareLock on the table. Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include "base/codes.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "base/reader.h"

enum
{
	E_DOMAIN,
	E_N
};

static DsTable epoch_table = {
	.name = "epoch",
	.index = "epoch_pk",
	.keys = {"domain"},
	.columns = {"domain", "n"},
};

/* where the row was seen last, and in which table; any other row may be there by now */
static ItemPointerData place;
static Oid place_of = InvalidOid;

/* find_row does the finding of the row: where it was seen last, or by the index. */
static bool
find_row(DsReader *reader)
{
	Datum key;

	if (place_of == epoch_table.relid && ds_reader_at(reader, &place) &&
		ds_reader_text_is(reader, E_DOMAIN, "codes"))
		return true;
	key = CStringGetTextDatum("codes");
	ds_reader_seek(reader, &key, 1);
	if (!ds_reader_next(reader))
		return false;
	place = reader->slot->tts_tid;
	place_of = epoch_table.relid;
	return true;
}

/* ds_codes_epoch does the number of this moment; DS_CODES_UNKNOWN: there is none that could be relied upon. */
int64
ds_codes_epoch(void)
{
	DsReader *reader = ds_reader_open(&epoch_table);
	int64 n = DS_CODES_UNKNOWN;

	if (reader->relation != NULL && !IsolationIsSerializable() && find_row(reader))
	{
		HeapTuple row = ExecFetchSlotHeapTuple(reader->slot, false, NULL);

		if (!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row->t_data)))
			n = DatumGetInt64(reader->values[E_N]);
	}
	ds_reader_close(reader);
	return n;
}
