/*-------------------------------------------------------------------------
 *
 * rows_write.c
 *		Rows changed, deleted and added: heap tuples and their index entries.
 *
 * Process: any backend. Locks: those of the row that is changed. Memory: what
 * is formed on the way goes at once.
 *
 *-------------------------------------------------------------------------
 */
#include "base/rows.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/place.h"

/* ds_rows_open_indexes does the opening of all indexes, when the first entry has to be made: most updates make none. */
void
ds_rows_open_indexes(DsRows *w)
{
	DsRowsPlace *place = w->place;
	MemoryContext old;

	if (w->indexes != NULL)
		return;
	old = MemoryContextSwitchTo(w->context);
	w->infos = palloc(sizeof(IndexInfo *) * Max(place->nindexes, 1));
	w->indexes = palloc(sizeof(Relation) * Max(place->nindexes, 1));
	for (int i = 0; i < place->nindexes; i++)
	{
		w->indexes[i] = index_open(place->indexes[i], RowExclusiveLock);
		w->infos[i] = place->infos[i] != NULL ? place->infos[i] : BuildIndexInfo(w->indexes[i]);
	}
	MemoryContextSwitchTo(old);
}

/* ds_rows_close_indexes does the end of that. */
void
ds_rows_close_indexes(DsRows *w)
{
	for (int i = 0; w->indexes != NULL && i < w->place->nindexes; i++)
	{
		ds_compat_index_cleanup(w->indexes[i], w->infos[i]);
		index_close(w->indexes[i], NoLock);
	}
}

/* add_entries does the index entries of a row, in those indexes that an update concerns. */
static void
add_entries(DsRows *w, TupleTableSlot *slot, bool update, ds_compat_update_indexes which)
{
	DsRowsPlace *place = w->place;
	List *recheck;

	ds_rows_open_indexes(w);
	/* an inner call may have lent it what is its own */
	place->result->ri_RelationDesc = w->relation;
	place->result->ri_IndexRelationDescs = w->indexes;
	place->result->ri_IndexRelationInfo = w->infos;
	recheck = ds_compat_index_entries(place->result, slot, place->estate, update, which);
	Assert(recheck == NIL);
	list_free(recheck);
	ResetPerTupleExprContext(place->estate);
}

/*
 * keep_constraints does the check of what a row must be, or the error of a
 * statement: asked where there are CHECKs of others, or something is missing.
 */
static void
keep_constraints(DsRows *w, TupleTableSlot *slot, bool missing)
{
	DsRowsPlace *place = w->place;

	if (!missing && !place->checked)
		return;
	place->result->ri_RelationDesc = w->relation;
	/* what makes them ready may fail in the middle, and does not say so the next time */
	place->asked = true;
	ExecConstraints(place->result, slot, place->estate);
	place->asked = false;
	ResetPerTupleExprContext(place->estate);
}

/* new_slot does a slot for a row that is formed, as long as the writer lives. */
static TupleTableSlot *
new_slot(DsRows *w)
{
	MemoryContext old = MemoryContextSwitchTo(w->context);
	TupleTableSlot *slot =
		MakeSingleTupleTableSlot(RelationGetDescr(w->relation), &TTSOpsHeapTuple);

	MemoryContextSwitchTo(old);
	return slot;
}

/* ds_rows_fresh does the slot of the new version of a row. */
TupleTableSlot *
ds_rows_fresh(DsRows *w)
{
	if (w->fresh == NULL)
		w->fresh = new_slot(w);
	return w->fresh;
}

/* expect_ours does the check that nobody changed a row past the lock that guards it. */
static void
expect_ours(const DsRows *w, TM_Result result)
{
	if (result != TM_Ok)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("a row of %s.%s was changed by somebody who does not hold its lock",
						w->table->schema, w->table->name),
				 errhint("Call again. Change the books through the verbs of distsync only.")));
}

/*
 * change does the new version of a row, whose columns are all there, with
 * some of ours changed.
 */
static TM_Result
change(DsRows *w, Snapshot snapshot, ItemPointer tid, Datum *all, bool *none, int n,
	   const int *columns, const Datum *values, const bool *nulls)
{
	TM_FailureData failure;
	TupleTableSlot *fresh = ds_rows_fresh(w);
	bool missing = false;
	LockTupleMode mode;
	ds_compat_update_indexes indexes;
	TM_Result result;

	for (int i = 0; i < n; i++)
	{
		int a = w->place->attnos[columns[i]] - 1;

		all[a] = values[i];
		none[a] = nulls != NULL && nulls[i];
		missing = missing || (none[a] && w->place->needed[columns[i]]);
	}
	ExecStoreHeapTuple(heap_form_tuple(RelationGetDescr(w->relation), all, none), fresh, true);
	keep_constraints(w, fresh, missing);
	result = table_tuple_update(w->relation, tid, fresh, GetCurrentCommandId(true), snapshot,
								InvalidSnapshot, true, &failure, &mode, &indexes);
	if (result == TM_Ok && ds_compat_updates_indexes(indexes))
		add_entries(w, fresh, true, indexes);
	ExecClearTuple(fresh);
	return result;
}

/* change_found does the same to the row that was found. */
static TM_Result
change_found(DsRows *w, Snapshot snapshot, int n, const int *columns, const Datum *values,
			 const bool *nulls)
{
	int natts = RelationGetDescr(w->relation)->natts;
	Datum all[MaxTupleAttributeNumber];
	bool none[MaxTupleAttributeNumber];

	slot_getallattrs(w->found);
	memcpy(all, w->found->tts_values, sizeof(Datum) * natts);
	memcpy(none, w->found->tts_isnull, sizeof(bool) * natts);
	return change(w, snapshot, &w->found->tts_tid, all, none, n, columns, values, nulls);
}

/*
 * ds_rows_update does the changing of columns of the row that was found and
 * whose lock, or whose owner's, the caller holds.
 */
void
ds_rows_update(DsRows *w, Snapshot snapshot, int n, const int *columns, const Datum *values,
			   const bool *nulls)
{
	expect_ours(w, change_found(w, snapshot, n, columns, values, nulls));
}

/*
 * ds_rows_update_if does the same without the lock, which it takes: false =
 * somebody has changed the row since it was found, we have waited for him, and
 * have neither lock nor changed anything.
 */
bool
ds_rows_update_if(DsRows *w, Snapshot snapshot, int n, const int *columns, const Datum *values,
				  const bool *nulls)
{
	TM_Result result = change_found(w, snapshot, n, columns, values, nulls);

	if (result != TM_Updated && result != TM_Deleted)
		expect_ours(w, result);
	return result == TM_Ok;
}

/* in_the_way does the look for somebody whose lock of a row, or change, ours would have to wait for. */
static TransactionId
in_the_way(TransactionId xmax, uint16 infomask)
{
	TransactionId found = InvalidTransactionId;
	MultiXactMember *members;
	int n;

	if ((infomask & HEAP_XMAX_IS_MULTI) == 0)
		return TransactionIdIsCurrentTransactionId(xmax) ||
					   (HEAP_XMAX_IS_LOCKED_ONLY(infomask) && HEAP_XMAX_IS_KEYSHR_LOCKED(infomask))
				   ? InvalidTransactionId
				   : xmax;
	n = GetMultiXactIdMembers(xmax, &members, false, HEAP_XMAX_IS_LOCKED_ONLY(infomask));
	for (int i = 0; i < n && !TransactionIdIsValid(found); i++)
		if (members[i].status != MultiXactStatusForKeyShare &&
			!TransactionIdIsCurrentTransactionId(members[i].xid) &&
			TransactionIdIsInProgress(members[i].xid))
			found = members[i].xid;
	if (n > 0)
		pfree(members);
	return found;
}

/*
 * is_free does the look whether an update of a row would not have to wait, at
 * this moment. The server has no update that does not wait: it refuses where
 * anybody is at the row, also those who would not be in the way.
 */
static bool
is_free(DsRows *w, ItemPointer tid, TransactionId *other)
{
	Buffer buffer = ReadBuffer(w->relation, ItemPointerGetBlockNumber(tid));
	HeapTupleData row;
	ItemId place;
	TM_Result result = TM_Deleted;
	TransactionId xmax = InvalidTransactionId;
	uint16 infomask = 0;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	place = PageGetItemId(BufferGetPage(buffer), ItemPointerGetOffsetNumber(tid));
	if (ItemIdIsNormal(place))
	{
		row.t_self = *tid;
		row.t_tableOid = RelationGetRelid(w->relation);
		row.t_len = ItemIdGetLength(place);
		row.t_data = (HeapTupleHeader) PageGetItem(BufferGetPage(buffer), place);
		result = HeapTupleSatisfiesUpdate(&row, GetCurrentCommandId(false), buffer);
		xmax = HeapTupleHeaderGetRawXmax(row.t_data);
		infomask = row.t_data->t_infomask;
	}
	UnlockReleaseBuffer(buffer);
	*other = result == TM_BeingModified ? in_the_way(xmax, infomask) : InvalidTransactionId;
	return result == TM_Ok || (result == TM_BeingModified && !TransactionIdIsValid(*other));
}

/*
 * ds_rows_try does the changing of columns of a row that the caller has a copy
 * of, if it is still the newest version. Who has locked it says that he holds
 * it; otherwise we do not wait for somebody who is at it. False: somebody is at
 * it, and other says who, or has changed it, and other is nobody.
 */
bool
ds_rows_try(DsRows *w, HeapTuple row, bool held, int n, const int *columns, const Datum *values,
			const bool *nulls, TransactionId *other)
{
	Datum all[MaxTupleAttributeNumber];
	bool none[MaxTupleAttributeNumber];
	ItemPointerData tid = row->t_self;

	*other = InvalidTransactionId;
	if (!held && !is_free(w, &tid, other))
		return false;
	heap_deform_tuple(row, RelationGetDescr(w->relation), all, none);
	/* who comes in between is waited for, as for a lock */
	return change(w, GetActiveSnapshot(), &tid, all, none, n, columns, values, nulls) == TM_Ok;
}

/* ds_rows_delete does the removal of the row that was found, under the same locks. */
void
ds_rows_delete(DsRows *w, Snapshot snapshot)
{
	TM_FailureData failure;

	expect_ours(w, table_tuple_delete(w->relation, &w->found->tts_tid, GetCurrentCommandId(true),
									  snapshot, InvalidSnapshot, true, &failure, false));
}

/* next_slot does the place for one more row that waits. */
static TupleTableSlot *
next_slot(DsRows *w)
{
	if (w->waiting == DS_ROWS_BATCH)
		ds_rows_flush(w);
	if (w->batch == NULL)
		w->batch = MemoryContextAlloc(w->context, sizeof(TupleTableSlot *) * DS_ROWS_BATCH);
	if (w->waiting == w->room)
		w->batch[w->room++] = new_slot(w);
	return w->batch[w->waiting];
}

/*
 * ds_rows_add does the adding of a row: all of our columns, others are NULL.
 * It is there after ds_rows_flush().
 */
void
ds_rows_add(DsRows *w, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot = next_slot(w);
	MemoryContext old = MemoryContextSwitchTo(w->context);
	Datum all[MaxTupleAttributeNumber];
	bool none[MaxTupleAttributeNumber];
	bool missing = false;

	memset(none, true, sizeof(bool) * RelationGetDescr(w->relation)->natts);
	for (int i = 0; i < w->table->ncolumns; i++)
	{
		int a = w->place->attnos[i] - 1;

		all[a] = values[i];
		none[a] = nulls[i];
		missing = missing || (none[a] && w->place->needed[i]);
	}
	ExecStoreHeapTuple(heap_form_tuple(RelationGetDescr(w->relation), all, none), slot, true);
	w->waiting++;
	MemoryContextSwitchTo(old);
	keep_constraints(w, slot, missing);
}

/* ds_rows_flush does the writing of the rows that wait, and of their index entries. */
void
ds_rows_flush(DsRows *w)
{
	CommandId command;
	MemoryContext old;

	if (w->waiting == 0)
		return;
	command = GetCurrentCommandId(true);
	/* what is formed on the way goes with each flush */
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(w->place->estate));
	if (w->waiting == 1)
		table_tuple_insert(w->relation, w->batch[0], command, 0, NULL);
	else
		heap_multi_insert(w->relation, w->batch, w->waiting, command, 0, NULL);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < w->waiting; i++)
		add_entries(w, w->batch[i], false, ds_compat_all_indexes);
	w->waiting = 0;
	CHECK_FOR_INTERRUPTS();
}
