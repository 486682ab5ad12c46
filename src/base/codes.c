/*-------------------------------------------------------------------------
 *
 * codes.c
 *		Whether what a backend remembers of small tables (codes: sites, states
 *		of stock, systems, owners; rules of credit) is current: the row of
 *		dist.epoch that whoever changes one of them moves, under the snapshot of
 *		this moment.
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

/* find_row does the finding of the row: where it was seen last, or by the index. Any other row may be there by now. */
static bool
find_row(DsReader *reader, DsCodesRow *row)
{
	Datum key;

	if (row->place_of == epoch_table.relid && ds_reader_at(reader, &row->place) &&
		ds_reader_text_is(reader, E_DOMAIN, row->domain))
		return true;
	key = CStringGetTextDatum(row->domain);
	ds_reader_seek(reader, &key, 1);
	if (!ds_reader_next(reader))
		return false;
	row->place = reader->slot->tts_tid;
	row->place_of = epoch_table.relid;
	return true;
}

/* ds_codes_epoch_of does the number of a domain of this moment; DS_CODES_UNKNOWN: there is none that could be relied upon. */
int64
ds_codes_epoch_of(DsCodesRow *domain)
{
	DsReader *reader = ds_reader_open(&epoch_table);
	int64 n = DS_CODES_UNKNOWN;

	if (reader->relation != NULL && !IsolationIsSerializable() && find_row(reader, domain))
	{
		HeapTuple row = ExecFetchSlotHeapTuple(reader->slot, false, NULL);

		if (!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row->t_data)))
			n = DatumGetInt64(reader->values[E_N]);
	}
	ds_reader_close(reader);
	return n;
}

/* ds_codes_epoch does the same for the domain of codes. */
int64
ds_codes_epoch(void)
{
	static DsCodesRow codes = {.domain = "codes"};

	return ds_codes_epoch_of(&codes);
}
