/*-------------------------------------------------------------------------
 *
 * find.c
 *		One row by the keys of a unique index, first where it was found before.
 *
 * Process: any backend. Locks: AccessShareLock on the table, and on its index
 * where that is asked; a share lock on a buffer for the look. Memory: that of
 * the reader; hints are in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "base/reader.h"

#include "access/heapam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "base/compat.h"
#include "base/hint.h"

/* has_keys does the question whether the row that was read has these keys, byte for byte. */
static bool
has_keys(const DsReader *reader, const Datum *keys)
{
	const DsTable *table = reader->table;

	for (int i = 0; i < table->nkeys; i++)
	{
		bool isnull;
		Datum value = slot_getattr(reader->slot, table->keyattnos[i], &isnull);

		if (isnull || !datum_image_eq(value, keys[i], table->keytypes[i] == INT8OID,
									  table->keytypes[i] == INT8OID ? sizeof(int64) : -1))
			return false;
	}
	return true;
}

/* at_chain does the reading of the row that the snapshot sees in a chain; its buffer is told. False: there is none. */
static bool
at_chain(DsReader *reader, DsHint *hint)
{
	static uint32 visits = 0;
	BufferHeapTupleTableSlot *slot;
	BlockNumber block = ItemPointerGetBlockNumber(&hint->tid);
	ItemPointerData tid = hint->tid;
	Buffer buffer = hint->buffer;
	bool found;

	ds_reader_need_slot(reader);
	slot = (BufferHeapTupleTableSlot *) reader->slot;
	ExecClearTuple(reader->slot);
	/* now and then the long way: the short one does not tell the server that the page is in use */
	if (!BufferIsValid(buffer) || visits++ % 8 == 0 ||
		!ds_compat_read_recent_buffer(reader->relation, block, buffer))
	{
		if (block >= ds_reader_blocks(reader))
			return false;
		buffer = ReadBuffer(reader->relation, block);
	}
	heap_page_prune_opt(reader->relation, buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(&tid, reader->relation, buffer, reader->snapshot,
								   &slot->base.tupdata, NULL, true);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	hint->buffer = buffer;
	if (!found)
	{
		ReleaseBuffer(buffer);
		return false;
	}
	slot->base.tupdata.t_self = tid;
	slot->base.tupdata.t_tableOid = RelationGetRelid(reader->relation);
	ExecStorePinnedBufferHeapTuple(&slot->base.tupdata, reader->slot, buffer);
	return true;
}

/*
 * ds_reader_find does the look-up of the one row with these values of all key
 * columns of a unique index, first where it was found before. False: there is
 * none. It does what ds_reader_seek and ds_reader_next do.
 */
bool
ds_reader_find(DsReader *reader, const Datum *keys)
{
	DsTable *table = reader->table;
	DsHint hint;
	uint64 name = 0;

	/* what was not there is of interest to who is serializable, and only an index can be asked for that */
	if (reader->relation != NULL && table->unique && !IsolationIsSerializable())
		name = ds_hint_name(table->relid, keys, table->keytypes, table->nkeys);
	if (name != 0 && ds_hint_find(name, &hint))
	{
		Buffer was = hint.buffer;

		if (at_chain(reader, &hint) && has_keys(reader, keys))
		{
			if (hint.buffer != was)
				ds_hint_keep(name, &hint, false);
			ds_reader_take_row(reader);
			return true;
		}
	}
	ds_reader_seek(reader, keys, table->nkeys);
	if (name == 0)
		return ds_reader_next(reader);
	if (!ds_reader_next_tid(reader, &hint.tid))
		return false;
	hint.buffer = ((BufferHeapTupleTableSlot *) reader->slot)->buffer;
	ds_hint_keep(name, &hint, false);
	ds_hint_keep_page(table->relid, reader->scan, table->keytypes, table->nkeys);
	return true;
}
