/*-------------------------------------------------------------------------
 *
 * rows.c
 *		Rows of a table opened for writing: found by the primary key or by
 *		their place, locked, told of.
 *
 * Process: any backend. Locks: RowExclusiveLock on table and indexes until the
 * end of the transaction, row locks as a statement would. Memory: a writer
 * lives in the context that is current when it is opened.
 *
 *-------------------------------------------------------------------------
 */
#include "base/rows.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "utils/snapmgr.h"
#include "base/changed.h"
#include "base/compat.h"
#include "base/hint.h"
#include "base/place.h"

/* ds_rows_open_relation does the writer of a table or partition that is open and locked; NULL, and closed, where it is not plain. */
DsRows *
ds_rows_open_relation(DsRowsTable *table, Relation rel, Oid owner)
{
	DsRowsPlace *place = ds_place_of(table, rel, owner);
	DsRows *w;

	if (!place->plain || rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
	{
		table_close(rel, NoLock);
		return NULL;
	}
	if (table->changes)
		CheckCmdReplicaIdentity(rel, CMD_UPDATE);
	if (table->removes)
		CheckCmdReplicaIdentity(rel, CMD_DELETE);
	w = palloc0(sizeof(DsRows));
	w->table = table;
	w->place = place;
	w->context = CurrentMemoryContext;
	w->relation = rel;
	return w;
}

/* ds_rows_open does the opening of a table that is not partitioned; NULL: SQL has to write it. */
DsRows *
ds_rows_open(DsRowsTable *table)
{
	Relation rel = ds_place_open(table);

	return rel == NULL ? NULL : ds_rows_open_relation(table, rel, rel->rd_rel->relowner);
}

/* need_found does the making of the slot of the row that was found, when the first one is. */
static void
need_found(DsRows *w)
{
	MemoryContext old;

	if (w->found != NULL)
		return;
	old = MemoryContextSwitchTo(w->context);
	w->found = table_slot_create(w->relation, NULL);
	MemoryContextSwitchTo(old);
}

/*
 * ds_rows_ready does the opening of all that may be needed: before a
 * subtransaction, because what is opened in one has to be closed in it.
 */
void
ds_rows_ready(DsRows *w)
{
	need_found(w);
	(void) ds_rows_fresh(w);
	ds_rows_open_indexes(w);
}

/* take_row does the splitting of the row that was found into the columns. */
static void
take_row(DsRows *w)
{
	const DsRowsPlace *place = w->place;

	slot_getsomeattrs(w->found, place->last);
	for (int i = 0; i < w->table->ncolumns; i++)
	{
		w->values[i] = w->found->tts_values[place->attnos[i] - 1];
		w->nulls[i] = w->found->tts_isnull[place->attnos[i] - 1];
	}
}

/*
 * name_of does the name under which it is kept where a row lies; 0 = it is
 * not: a look that has to see what is not there needs the index.
 */
static uint64
name_of(const DsRows *w, Snapshot snapshot, const Datum *keys)
{
	if (!w->place->whole || !IsMVCCSnapshot(snapshot) || IsolationIsSerializable())
		return 0;
	return ds_hint_name(w->place->relid, keys, w->place->keytypes, w->table->keys);
}

/* find_hinted does the look where the row was found before. */
static bool
find_hinted(DsRows *w, Snapshot snapshot, uint64 name, const Datum *keys)
{
	DsHint hint;
	Buffer was;

	if (!ds_hint_find(name, &hint))
		return false;
	was = hint.buffer;
	if (!ds_hint_follow(&hint, w->relation, snapshot, w->found) ||
		!ds_hint_fits(w->found, w->place->attnos, w->place->keytypes, keys, w->table->keys))
	{
		ExecClearTuple(w->found);
		return false;
	}
	if (hint.buffer != was)
		ds_hint_keep(name, &hint);
	return true;
}

/* find_indexed does the look by the primary key; the beginning of the row's chain is told. */
static bool
find_indexed(DsRows *w, Snapshot snapshot, const Datum *keys, ItemPointer chain)
{
	ScanKeyData scankeys[DS_ROWS_MAX_KEYS];
	ItemPointer entry;

	for (int i = 0; i < w->table->keys; i++)
		ScanKeyEntryInitialize(&scankeys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid,
							   w->place->collations[i], w->place->equal[i], keys[i]);
	if (w->scan != NULL && w->scanned != snapshot)
	{
		index_endscan(w->scan);
		w->scan = NULL;
	}
	if (w->primary == NULL)
		w->primary = index_open(w->place->primary, RowExclusiveLock);
	if (w->scan == NULL)
		w->scan = ds_compat_index_beginscan(w->relation, w->primary, snapshot, w->table->keys);
	w->scanned = snapshot;
	index_rescan(w->scan, scankeys, w->table->keys, NULL, 0);
	while ((entry = index_getnext_tid(w->scan, ForwardScanDirection)) != NULL)
	{
		*chain = *entry;
		if (index_fetch_heap(w->scan, w->found))
			return true;
	}
	return false;
}

/*
 * ds_rows_find does the look-up of the row with this key that a snapshot
 * sees. Its columns are valid until the next look-up.
 */
bool
ds_rows_find(DsRows *w, Snapshot snapshot, const Datum *keys)
{
	MemoryContext old = MemoryContextSwitchTo(w->context);
	uint64 name = name_of(w, snapshot, keys);
	DsHint hint;
	bool found;

	Assert(w->table->keys > 0);
	need_found(w);
	/* a look at a dead row overwrites what the slot holds, and not where it says it is from */
	ExecClearTuple(w->found);
	found = name != 0 && find_hinted(w, snapshot, name, keys);
	if (!found)
	{
		found = find_indexed(w, snapshot, keys, &hint.tid);
		if (found && name != 0)
		{
			hint.buffer = ((BufferHeapTupleTableSlot *) w->found)->buffer;
			ds_hint_keep(name, &hint);
			ds_hint_keep_page(w->place->relid, w->scan, w->place->keytypes, w->table->keys);
		}
	}
	MemoryContextSwitchTo(old);
	if (found)
		take_row(w);
	return found;
}

/* ds_rows_at does the reading of the row at a place where the caller, who holds its lock, has seen it. */
bool
ds_rows_at(DsRows *w, Snapshot snapshot, ItemPointer tid)
{
	bool found;

	need_found(w);
	found = table_tuple_fetch_row_version(w->relation, tid, snapshot, w->found);
	if (found)
		take_row(w);
	return found;
}

/*
 * ds_rows_lock does the locking of the row at a place, against other
 * writers, until the end of the transaction; afterwards its newest version is
 * the one that was found, and tid its place. TM_Ok or TM_Deleted, or
 * TM_WouldBlock where the caller does not wait.
 */
TM_Result
ds_rows_lock(DsRows *w, Snapshot snapshot, ItemPointer tid, LockWaitPolicy wait)
{
	ItemPointerData place = *tid;
	TM_FailureData failure;
	TM_Result result;

	need_found(w);
	result = table_tuple_lock(w->relation, &place, snapshot, w->found, GetCurrentCommandId(true),
							  LockTupleNoKeyExclusive, wait, TUPLE_LOCK_FLAG_FIND_LAST_VERSION,
							  &failure);
	if (result == TM_Ok)
	{
		*tid = w->found->tts_tid;
		take_row(w);
	}
	else if (result == TM_Deleted || result == TM_WouldBlock)
		/* the row was found all the same: a subtransaction that is given up takes its pin away under the slot */
		ExecClearTuple(w->found);
	else
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("could not lock a row of %s.%s: %d", w->table->schema,
							   w->table->name, (int) result),
						errdetail("This very statement has changed it."),
						errhint("Run the transaction again.")));
	return result;
}

/* ds_rows_take does a copy of the row that was found, which is let go. */
HeapTuple
ds_rows_take(DsRows *w)
{
	HeapTuple row = ExecCopySlotHeapTuple(w->found);

	row->t_self = w->found->tts_tid;
	ExecClearTuple(w->found);
	return row;
}

/* ds_rows_value does the reading of one of our columns of a row that the caller has a copy of. */
Datum
ds_rows_value(const DsRows *w, HeapTuple row, int column, bool *isnull)
{
	return heap_getattr(row, w->place->attnos[column], RelationGetDescr(w->relation), isnull);
}

/* ds_rows_tell does what the capture triggers of the table would have done for rows with these keys, ascending. */
void
ds_rows_tell(DsRows *w, int n, const int64 *keys)
{
	for (int i = 0; i < w->place->ncaptures; i++)
		ds_changed_tell(w->relation, w->place->captures[i], n, keys);
}

/* says_all does the test whether whatever is told of one table is told of the other. */
static bool
says_all(const DsRowsPlace *a, const DsRowsPlace *b)
{
	for (int i = 0; i < a->ncaptures; i++)
		if (!ds_place_is_told(b, a->captures[i]))
			return false;
	return true;
}

/* ds_rows_tell_alike does the test whether to tell of rows of one table is to tell of rows of the other. */
bool
ds_rows_tell_alike(const DsRows *a, const DsRows *b)
{
	return says_all(a->place, b->place) && says_all(b->place, a->place);
}

/* ds_rows_close does the end, with what still waits; locks stay until the transaction ends. */
void
ds_rows_close(DsRows *w)
{
	ds_rows_flush(w);
	if (w->scan != NULL)
		index_endscan(w->scan);
	if (w->found != NULL)
		ExecDropSingleTupleTableSlot(w->found);
	if (w->fresh != NULL)
		ExecDropSingleTupleTableSlot(w->fresh);
	for (int i = 0; i < w->room; i++)
		ExecDropSingleTupleTableSlot(w->batch[i]);
	ds_rows_close_indexes(w);
	if (w->primary != NULL)
		index_close(w->primary, NoLock);
	table_close(w->relation, NoLock);
	pfree(w);
}
