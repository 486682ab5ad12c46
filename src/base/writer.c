/*-------------------------------------------------------------------------
 *
 * writer.c
 *		Rows written without an executor: heap tuples and their index entries.
 *
 * The start and end of an INSERT cost several times what the row does. A
 * writer does what is left of it, and only where that is all: a plain local
 * heap of the owner of the books with the columns we know, B-trees, no trigger
 * but those that capture changes, no rules, no row security, rows from this
 * session and not from replication. CHECKs are kept, and columns and indexes
 * of users too, unless they want defaults. Anything else: ds_writer_open
 * returns false, and the caller takes SQL.
 *
 * What a capture trigger would have done is done through ds_note_rows, which
 * an INSERT calls by itself; who only updates rows tells of them otherwise.
 *
 * Process: any backend. Locks: RowExclusiveLock on table, partition and
 * indexes until the end of the transaction. Memory: what is known of a table
 * lives until the table changes; rows in the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "base/writer.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "base/compat.h"
#include "base/note.h"
#include "base/partition.h"
#include "base/verb.h"

/* every writer that was resolved, so that an invalidation can reach it */
#define WRITERS 32
static DsWriter *known[WRITERS];
static int nknown = 0;
static uint64 forgotten = 0; /* calls of forget() */

/* forget does the forgetting of what we know of a relation that changed; it only sets flags. */
static void
forget(Datum arg, Oid relid)
{
	forgotten++;
	for (int i = 0; i < nknown; i++)
	{
		if (!OidIsValid(relid) || known[i]->relid == relid || known[i]->parent == relid)
			known[i]->resolved = false;
	}
}

/* remember does the entering of a writer into the list above, once. */
static void
remember(DsWriter *writer)
{
	for (int i = 0; i < nknown; i++)
	{
		if (known[i] == writer)
			return;
	}
	if (nknown == 0)
		CacheRegisterRelcacheCallback(forget, (Datum) 0);
	if (nknown == WRITERS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("too many tables are written")));
	known[nknown++] = writer;
}

/*
 * columns_fit does the check that the table has the columns we write, of
 * their types, and that it needs no others.
 */
static bool
columns_fit(DsWriter *writer, TupleDesc desc)
{
	int found = 0;

	for (writer->ncolumns = 0; writer->columns[writer->ncolumns].name != NULL;)
		writer->ncolumns++;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		int c;

		if (att->attisdropped)
			continue;
		for (c = 0; c < writer->ncolumns; c++)
		{
			if (strcmp(NameStr(att->attname), writer->columns[c].name) == 0 &&
				att->atttypid == writer->columns[c].type)
				break;
		}
		if (att->attgenerated != '\0')
			return false;
		if (c < writer->ncolumns)
		{
			writer->attnos[c] = att->attnum;
			found++;
		}
		else if (writer->inserts && (att->attnotnull || att->atthasdef || att->attidentity != '\0'))
			return false;
	}
	return found == writer->ncolumns;
}

/*
 * triggers_fit does the check that no trigger wants to see what we write but
 * one that captures changes after a statement. What it is told is kept.
 */
static bool
triggers_fit(DsWriter *writer, Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;
	Oid function;

	if (triggers == NULL)
		return true;
	function = ds_verb_behind("outbox_capture", NULL, 0);
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		Trigger *t = &triggers->triggers[i];

		if (!(writer->inserts && TRIGGER_FOR_INSERT(t->tgtype)) &&
			!(writer->updates && TRIGGER_FOR_UPDATE(t->tgtype)))
			continue;
		if (t->tgfoid != function || t->tgenabled != TRIGGER_FIRES_ON_ORIGIN ||
			TRIGGER_FOR_ROW(t->tgtype) || TRIGGER_FOR_BEFORE(t->tgtype) || t->tgnargs < 1 ||
			strcmp(t->tgargs[0], "state") != 0 || writer->capture != NULL)
			return false;
		writer->capture =
			MemoryContextAlloc(writer->estate->es_query_cxt, sizeof(char *) * t->tgnargs);
		for (int a = 0; a < t->tgnargs; a++)
			writer->capture[a] = MemoryContextStrdup(writer->estate->es_query_cxt, t->tgargs[a]);
	}
	return true;
}

/* indexes_fit does the finding of the indexes, and the check that entries can be made one by one. */
static bool
indexes_fit(DsWriter *writer, Relation rel)
{
	ResultRelInfo *result = writer->result;
	List *indexes = RelationGetIndexList(rel);
	bool fits = true;
	ListCell *cell;
	int n = list_length(indexes);

	result->ri_NumIndices = 0;
	writer->indexes = palloc0(sizeof(Oid) * Max(n, 1));
	result->ri_IndexRelationDescs = palloc0(sizeof(Relation) * Max(n, 1));
	result->ri_IndexRelationInfo = palloc0(sizeof(IndexInfo *) * Max(n, 1));
	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);

		fits = fits && index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indisready &&
			   index->rd_index->indimmediate && !index->rd_index->indisexclusion &&
			   heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL);
		writer->indexes[result->ri_NumIndices] = RelationGetRelid(index);
		result->ri_IndexRelationInfo[result->ri_NumIndices++] = BuildIndexInfo(index);
		index_close(index, NoLock);
	}
	list_free(indexes);
	return fits;
}

/* is_plain does the check of the kind of table. */
static bool
is_plain(Relation rel, char kind, Oid owner)
{
	return rel->rd_rel->relkind == kind && rel->rd_rel->relowner == owner &&
		   !rel->rd_rel->relrowsecurity && !rel->rd_rel->relhasrules &&
		   rel->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT;
}

/* judge does the decision whether a table may be written directly, and makes ready what that takes. */
static void
judge(DsWriter *writer, Relation parent, Relation rel)
{
	uint64 before = forgotten;
	EState *was = writer->estate;
	MemoryContext old;

	remember(writer);
	writer->resolved = false;
	writer->estate = NULL;
	if (was != NULL)
		FreeExecutorState(was);
	old = MemoryContextSwitchTo(TopMemoryContext);
	writer->estate = CreateExecutorState();
	MemoryContextSwitchTo(writer->estate->es_query_cxt);
	writer->capture = NULL;
	writer->relid = RelationGetRelid(rel);
	writer->result = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->result, rel, 0, NULL, 0);
	writer->fits =
		is_plain(rel, RELKIND_RELATION, parent->rd_rel->relowner) &&
		rel->rd_rel->relam == HEAP_TABLE_AM_OID &&
		(rel == parent || (is_plain(parent, RELKIND_PARTITIONED_TABLE, parent->rd_rel->relowner) &&
						   triggers_fit(writer, parent))) &&
		columns_fit(writer, RelationGetDescr(rel)) && triggers_fit(writer, rel) &&
		indexes_fit(writer, rel);
	MemoryContextSwitchTo(old);
	/* what changed while we looked is looked at again the next time; our lock keeps this one right */
	writer->resolved = before == forgotten;
}

/*
 * ds_writer_open does the start of writing: false = take SQL. Nothing was
 * written then, and nothing needs to be closed.
 */
bool
ds_writer_open(DsWriter *writer)
{
	Relation parent;
	Relation rel;
	Oid relid;

	if (SessionReplicationRole != SESSION_REPLICATION_ROLE_ORIGIN)
		return false;
	if (!writer->resolved)
	{
		Oid schema = get_namespace_oid(writer->schema, true);

		writer->parent = OidIsValid(schema) ? get_relname_relid(writer->name, schema) : InvalidOid;
		if (!OidIsValid(writer->parent))
			return false;
	}
	parent = try_table_open(writer->parent, RowExclusiveLock);
	if (parent == NULL)
		return false;
	relid =
		writer->by_time ? ds_partition_at(parent, GetCurrentTimestamp()) : RelationGetRelid(parent);
	if (!OidIsValid(relid))
	{
		table_close(parent, NoLock);
		return false;
	}
	rel = writer->by_time ? table_open(relid, RowExclusiveLock) : parent;
	if (!writer->resolved || writer->relid != relid)
		judge(writer, parent, rel);
	if (rel != parent)
		table_close(parent, NoLock);
	if (!writer->fits)
	{
		table_close(rel, NoLock);
		return false;
	}
	writer->relation = rel;
	writer->result->ri_RelationDesc = rel;
	writer->indexes_open = false;
	if (writer->updates)
		CheckCmdReplicaIdentity(rel, CMD_UPDATE);
	return true;
}

/* ds_writer_close does the end; locks stay until the transaction ends. */
void
ds_writer_close(DsWriter *writer)
{
	for (int i = 0; writer->indexes_open && i < writer->result->ri_NumIndices; i++)
		index_close(writer->result->ri_IndexRelationDescs[i], NoLock);
	table_close(writer->relation, NoLock);
	writer->relation = NULL;
}

/* ds_writer_slot does the making of a slot for rows of the table. */
TupleTableSlot *
ds_writer_slot(DsWriter *writer)
{
	return MakeSingleTupleTableSlot(RelationGetDescr(writer->relation), &TTSOpsHeapTuple);
}

/* ds_writer_value does the reading of one of our columns. */
Datum
ds_writer_value(const DsWriter *writer, HeapTuple row, int column, bool *isnull)
{
	return heap_getattr(row, writer->attnos[column], RelationGetDescr(writer->relation), isnull);
}

/* ds_writer_form does a new row from our columns; those of users are NULL. */
HeapTuple
ds_writer_form(const DsWriter *writer, const Datum *values, const bool *nulls)
{
	TupleDesc desc = RelationGetDescr(writer->relation);
	Datum *all = palloc0(sizeof(Datum) * desc->natts);
	bool *none = palloc(sizeof(bool) * desc->natts);
	HeapTuple row;

	memset(none, true, sizeof(bool) * desc->natts);
	for (int c = 0; c < writer->ncolumns; c++)
	{
		all[writer->attnos[c] - 1] = values[c];
		none[writer->attnos[c] - 1] = nulls[c];
	}
	row = heap_form_tuple(desc, all, none);
	pfree(all);
	pfree(none);
	return row;
}

/*
 * ds_writer_open_indexes does the opening of the indexes, unless they are: when
 * the first entry is made, because most updates make none, or before a
 * subtransaction that may make one.
 */
void
ds_writer_open_indexes(DsWriter *writer)
{
	for (int i = 0; !writer->indexes_open && i < writer->result->ri_NumIndices; i++)
		writer->result->ri_IndexRelationDescs[i] = index_open(writer->indexes[i], RowExclusiveLock);
	writer->indexes_open = true;
}

/* add_entries does the index entries of a row, in those indexes that an update concerns. */
static void
add_entries(DsWriter *writer, TupleTableSlot *slot, bool update, ds_compat_update_indexes which)
{
	List *recheck;

	ds_writer_open_indexes(writer);
	recheck = ds_compat_index_entries(writer->result, slot, writer->estate, update, which);
	Assert(recheck == NIL);
	list_free(recheck);
	ResetPerTupleExprContext(writer->estate);
}

/* ds_writer_insert does the insertion of rows, and of what its capture trigger would do. */
void
ds_writer_insert(DsWriter *writer, HeapTuple *rows, int n)
{
	TupleTableSlot **slots = palloc(sizeof(TupleTableSlot *) * Max(n, 1));
	CommandId command = GetCurrentCommandId(true);

	for (int i = 0; i < n; i++)
	{
		slots[i] = ds_writer_slot(writer);
		ExecForceStoreHeapTuple(rows[i], slots[i], false);
		if (RelationGetDescr(writer->relation)->constr != NULL)
			ExecConstraints(writer->result, slots[i], writer->estate);
		ResetPerTupleExprContext(writer->estate);
	}
	if (n == 1)
		table_tuple_insert(writer->relation, slots[0], command, 0, NULL);
	else if (n > 1)
	{
		BulkInsertState bulk = GetBulkInsertState();

		table_multi_insert(writer->relation, slots, n, command, 0, bulk);
		FreeBulkInsertState(bulk);
	}
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		add_entries(writer, slots[i], false, ds_compat_all_indexes);
	}
	if (writer->capture != NULL)
		ds_note_rows(writer->relation, writer->capture, slots, n);
	for (int i = 0; i < n; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	pfree(slots);
}

/*
 * ds_writer_update does the change of some columns of a row, if it is still
 * the newest version. Who has locked it says so; otherwise it does not wait for
 * somebody who is at it. Returns the new row; NULL: somebody changed it or is
 * at it, and other says who. What a capture trigger would do is the caller's.
 */
HeapTuple
ds_writer_update(DsWriter *writer, HeapTuple row, const Datum *values, const bool *nulls,
				 const bool *changed, bool locked, TransactionId *other)
{
	TupleDesc desc = RelationGetDescr(writer->relation);
	Datum *all = palloc(sizeof(Datum) * desc->natts);
	bool *none = palloc(sizeof(bool) * desc->natts);
	TupleTableSlot *slot = ds_writer_slot(writer);
	ItemPointerData was = row->t_self;
	TM_FailureData failure;
	LockTupleMode mode;
	ds_compat_update_indexes indexes;
	HeapTuple after;
	TM_Result result;

	heap_deform_tuple(row, desc, all, none);
	for (int c = 0; c < writer->ncolumns; c++)
	{
		if (!changed[c])
			continue;
		all[writer->attnos[c] - 1] = values[c];
		none[writer->attnos[c] - 1] = nulls[c];
	}
	after = heap_form_tuple(desc, all, none);
	ExecForceStoreHeapTuple(after, slot, false);
	if (desc->constr != NULL)
		ExecConstraints(writer->result, slot, writer->estate);
	ResetPerTupleExprContext(writer->estate);
	/* without waiting our own lock would stand in our way */
	result =
		table_tuple_update(writer->relation, &was, slot, GetCurrentCommandId(true),
						   GetActiveSnapshot(), InvalidSnapshot, locked, &failure, &mode, &indexes);
	if (result == TM_Ok && ds_compat_updates_indexes(indexes))
		add_entries(writer, slot, true, indexes);
	after->t_self = slot->tts_tid;
	*other = result == TM_Ok ? InvalidTransactionId : failure.xmax;
	ExecDropSingleTupleTableSlot(slot);
	pfree(all);
	pfree(none);
	return result == TM_Ok ? after : NULL;
}

/*
 * ds_writer_lock does the locking of the newest version of a row that the
 * active snapshot sees, and returns a copy of it.
 */
TM_Result
ds_writer_lock(DsWriter *writer, ItemPointer tid, LockWaitPolicy wait, HeapTuple *row)
{
	TupleTableSlot *slot = table_slot_create(writer->relation, NULL);
	TM_FailureData failure;
	TM_Result result = table_tuple_lock(writer->relation, tid, GetActiveSnapshot(), slot,
										GetCurrentCommandId(false), LockTupleNoKeyExclusive, wait,
										TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);

	*row = result == TM_Ok ? ExecCopySlotHeapTuple(slot) : NULL;
	if (*row != NULL)
		(*row)->t_self = slot->tts_tid;
	ExecDropSingleTupleTableSlot(slot);
	return result;
}
