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

/* may_hint does the question whether rows may be found where they were before: an index that lets no two have the same keys, and nobody who is serializable: what was not there is of interest to him, and only an index can be asked for that. */
static bool
may_hint(const DsReader *reader)
{
	return reader->relation != NULL && reader->table->unique && !IsolationIsSerializable();
}

/* find_hinted does the look where the row was found before. */
static bool
find_hinted(DsReader *reader, uint64 name, const Datum *keys)
{
	DsTable *table = reader->table;
	DsHint hint;
	Buffer was;

	if (!ds_hint_find(name, &hint))
		return false;
	was = hint.buffer;
	ds_reader_need_slot(reader);
	if (!ds_hint_follow(&hint, reader->relation, reader->snapshot, reader->slot) ||
		!ds_hint_fits(reader->slot, table->keyattnos, table->keytypes, keys, table->nkeys))
		return false;
	if (hint.buffer != was)
		ds_hint_keep(name, &hint);
	ds_reader_take_row(reader);
	return true;
}

/* find_indexed does the look-up by the index, and the keeping of where it was, under a name that is not 0. */
static bool
find_indexed(DsReader *reader, uint64 name, const Datum *keys)
{
	DsHint hint;

	ds_reader_seek(reader, keys, reader->table->nkeys);
	if (name == 0)
		return ds_reader_next(reader);
	if (!ds_reader_next_tid(reader, &hint.tid))
		return false;
	hint.buffer = ((BufferHeapTupleTableSlot *) reader->slot)->buffer;
	ds_hint_keep(name, &hint);
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
	uint64 name =
		may_hint(reader) ? ds_hint_name(table->relid, keys, table->keytypes, table->nkeys) : 0;

	if (find_hinted(reader, name, keys))
		return true;
	if (!find_indexed(reader, name, keys))
		return false;
	if (name != 0)
		ds_hint_keep_page(table->relid, reader->scan, table->keytypes, table->nkeys);
	return true;
}

/*
 * ds_reader_find_as does the same with a name of the caller's (0 = the row's
 * own): what he knows before he knows the keys leads there too.
 */
bool
ds_reader_find_as(DsReader *reader, uint64 name, const Datum *keys)
{
	if (name == 0 || !may_hint(reader))
		return ds_reader_find(reader, keys);
	return find_hinted(reader, name, keys) || find_indexed(reader, name, keys);
}
