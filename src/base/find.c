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

#include "access/xact.h"
#include "base/compat.h"
#include "base/hint.h"

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

		ds_reader_need_slot(reader);
		if (ds_hint_follow(&hint, reader->relation, reader->snapshot, reader->slot) &&
			ds_hint_fits(reader->slot, table->keyattnos, table->keytypes, keys, table->nkeys))
		{
			if (hint.buffer != was)
				ds_hint_keep(name, &hint);
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
	ds_hint_keep(name, &hint);
	ds_hint_keep_page(table->relid, reader->scan, table->keytypes, table->nkeys);
	return true;
}
