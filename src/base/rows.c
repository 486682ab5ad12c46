/*-------------------------------------------------------------------------
 *
 * rows.c
 *		Rows of a table found by its primary key, locked, changed and added
 *		without planner and executor.
 *
 * That is the same as a statement only for a plain local heap: no row
 * security, no rules, no triggers but the ones that capture changes (the
 * caller tells the outbox himself), no CHECKs but ours, no generated columns,
 * indexes that are kept at once. What does not fit is left to SQL: opening it
 * gives NULL. Privileges are not asked: who may call a verb may write what it
 * writes, as with SECURITY DEFINER.
 *
 * Process: any backend. Locks: RowExclusiveLock on table and indexes until the
 * end of the transaction, row locks as a statement would. Memory: a writer
 * lives in the context that is current when it is opened.
 *
 *-------------------------------------------------------------------------
 */
#include "base/rows.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "partitioning/partdesc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/partition.h"

#define MAX_TABLES 16

/* every table that was resolved, so that an invalidation can reach it */
static DsRowsTable *known[MAX_TABLES];
static int nknown = 0;
static uint64 forgotten = 0; /* calls of table_changed() */

/* table_changed does the forgetting of what we know of a relation that changed; it only sets flags. */
static void
table_changed(Datum arg, Oid relid)
{
	forgotten++;
	for (int i = 0; i < nknown; i++)
	{
		bool hit = !OidIsValid(relid) || known[i]->relid == relid;

		for (int p = 0; p < known[i]->nplaces && !hit; p++)
			hit = known[i]->places[p].relid == relid;
		if (hit)
		{
			known[i]->resolved = false;
			known[i]->nplaces = 0;
		}
	}
}

/* resolve does the look-up of a table by name; false: it is not there. */
static bool
resolve(DsRowsTable *table)
{
	Oid namespace;

	if (table->resolved)
		return OidIsValid(table->relid);
	if (nknown == 0)
		CacheRegisterRelcacheCallback(table_changed, (Datum) 0);
	if (table->ncolumns == 0)
	{
		if (nknown == MAX_TABLES)
			return false;
		known[nknown++] = table;
		while (table->columns[table->ncolumns].name != NULL)
			table->ncolumns++;
	}
	namespace = get_namespace_oid(table->schema, true);
	table->relid = OidIsValid(namespace) ? get_relname_relid(table->name, namespace) : InvalidOid;
	table->nplaces = 0;
	table->resolved = true;
	return OidIsValid(table->relid);
}

/* is_capture does the test whether a trigger is one of ours that notes changes in the outbox, and would fire. */
static bool
is_capture(const Trigger *trigger)
{
	char *name;

	if (TRIGGER_FOR_ROW(trigger->tgtype) || trigger->tgenabled != TRIGGER_FIRES_ON_ORIGIN ||
		get_func_namespace(trigger->tgfoid) != get_namespace_oid("distsync_internal", true))
		return false;
	name = get_func_name(trigger->tgfoid);
	return name != NULL && strcmp(name, "outbox_capture") == 0;
}

/* triggers_fit does the check that nobody but the outbox wants to know of changes; told says whether it does. */
static bool
triggers_fit(Relation rel, bool *told)
{
	bool on_insert = false, on_update = false;
	/* a copy: what the cache has of the table may be replaced by any look-up */
	TriggerDesc *desc = CopyTriggerDesc(rel->trigdesc);

	for (int i = 0; desc != NULL && i < desc->numtriggers; i++)
	{
		if (!is_capture(&desc->triggers[i]))
			return false;
		on_insert = on_insert || TRIGGER_FOR_INSERT(desc->triggers[i].tgtype);
		on_update = on_update || TRIGGER_FOR_UPDATE(desc->triggers[i].tgtype);
	}
	*told = on_insert && on_update;
	return on_insert == on_update;
}

/* columns_fit does the look-up of the columns; where rows are added, others must be happy to be NULL. */
static bool
columns_fit(const DsRowsTable *table, DsRowsPlace *place, Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	int found = 0;

	place->last = 0;
	for (int a = 0; a < desc->natts; a++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, a);
		int c;

		if (att->attisdropped)
			continue;
		for (c = 0; c < table->ncolumns; c++)
			if (strcmp(NameStr(att->attname), table->columns[c].name) == 0)
				break;
		if (c < table->ncolumns)
		{
			if (att->atttypid != table->columns[c].type)
				return false;
			place->attnos[c] = a + 1;
			place->last = Max(place->last, a + 1);
			found++;
		}
		else if (table->adds && (att->attnotnull || att->atthasdef))
			return false;
	}
	return found == table->ncolumns;
}

/* indexes_fit does the check that all indexes are kept at once, and of the primary key. */
static bool
indexes_fit(const DsRowsTable *table, DsRowsPlace *place, Relation rel)
{
	List *indexes = RelationGetIndexList(rel);
	bool fits = OidIsValid(rel->rd_pkindex);
	ListCell *cell;

	place->primary = rel->rd_pkindex;
	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);

		fits = fits &&
			   (index->rd_rel->relam == BTREE_AM_OID || index->rd_rel->relam == BRIN_AM_OID) &&
			   index->rd_index->indisready && index->rd_index->indisvalid &&
			   index->rd_index->indimmediate && !index->rd_index->indisexclusion;
		if (fits && RelationGetRelid(index) == place->primary)
		{
			fits = index->rd_index->indnkeyatts >= table->keys;
			for (int i = 0; fits && i < table->keys; i++)
			{
				Oid equal = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
												index->rd_opcintype[i], BTEqualStrategyNumber);

				fits = index->rd_index->indkey.values[i] == place->attnos[i] && OidIsValid(equal);
				place->equal[i] = fits ? get_opcode(equal) : InvalidOid;
				place->collations[i] = index->rd_indcollation[i];
			}
		}
		index_close(index, NoLock);
	}
	list_free(indexes);
	return fits;
}

/* judge does the decision about a table or partition that is open and locked. */
static void
judge(const DsRowsTable *table, DsRowsPlace *place, Relation rel)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;

	memset(place, 0, sizeof(*place));
	place->relid = RelationGetRelid(rel);
	place->plain =
		rel->rd_rel->relkind == RELKIND_RELATION && rel->rd_rel->relam == HEAP_TABLE_AM_OID &&
		rel->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT && !rel->rd_rel->relrowsecurity &&
		!rel->rd_rel->relhasrules &&
		(constr == NULL || (constr->num_check <= table->checks && !constr->has_generated_stored)) &&
		triggers_fit(rel, &place->told) && columns_fit(table, place, rel) &&
		indexes_fit(table, place, rel);
}

/* find_place does the look-up of what is known of a relation that is open and locked, and the judging where it is not known. */
static void
find_place(DsRowsTable *table, DsRowsPlace *place, Relation rel)
{
	uint64 before = forgotten;

	for (int i = 0; i < table->nplaces; i++)
	{
		if (table->places[i].relid == RelationGetRelid(rel))
		{
			*place = table->places[i];
			return;
		}
	}
	judge(table, place, rel);
	if (before == forgotten && table->resolved && table->nplaces < DS_ROWS_MAX_PARTS)
		table->places[table->nplaces++] = *place;
}

/* open_relation does the writer of a table or partition that is open and locked; NULL, and closed, where it is not plain. */
static DsRows *
open_relation(DsRowsTable *table, Relation rel)
{
	DsRowsPlace place;
	DsRows *w;

	find_place(table, &place, rel);
	if (!place.plain)
	{
		table_close(rel, NoLock);
		return NULL;
	}
	w = palloc0(sizeof(DsRows));
	w->table = table;
	w->place = place;
	w->context = CurrentMemoryContext;
	w->relation = rel;
	w->primary = index_open(place.primary, RowExclusiveLock);
	w->found = table_slot_create(rel, NULL);
	return w;
}

/* need_indexes does the opening of all indexes, when the first entry has to be made: most updates make none. */
static void
need_indexes(DsRows *w)
{
	MemoryContext old = MemoryContextSwitchTo(w->context);

	if (w->info == NULL)
	{
		w->estate = CreateExecutorState();
		w->info = makeNode(ResultRelInfo);
		InitResultRelInfo(w->info, w->relation, 0, NULL, 0);
		ExecOpenIndices(w->info, false);
	}
	MemoryContextSwitchTo(old);
}

/*
 * ds_rows_open does the opening of a table that is not partitioned; NULL:
 * it has to be written by SQL.
 */
DsRows *
ds_rows_open(DsRowsTable *table)
{
	Relation rel;

	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA || !resolve(table))
		return NULL;
	rel = try_table_open(table->relid, RowExclusiveLock);
	if (rel == NULL)
		return NULL;
	/* forgotten while we waited for the lock: it may be another table by now */
	if (!table->resolved)
	{
		table_close(rel, NoLock);
		return NULL;
	}
	return open_relation(table, rel);
}

/* take_row does the splitting of the row that was found into the columns. */
static void
take_row(DsRows *w)
{
	slot_getsomeattrs(w->found, w->place.last);
	for (int i = 0; i < w->table->ncolumns; i++)
	{
		w->values[i] = w->found->tts_values[w->place.attnos[i] - 1];
		w->nulls[i] = w->found->tts_isnull[w->place.attnos[i] - 1];
	}
}

/*
 * ds_rows_find does the look-up of the row with this key that a snapshot
 * sees. Its columns are valid until the next look-up.
 */
bool
ds_rows_find(DsRows *w, Snapshot snapshot, const Datum *keys)
{
	ScanKeyData scankeys[DS_ROWS_MAX_KEYS];
	MemoryContext old = MemoryContextSwitchTo(w->context);
	bool found;

	for (int i = 0; i < w->table->keys; i++)
		ScanKeyEntryInitialize(&scankeys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid,
							   w->place.collations[i], w->place.equal[i], keys[i]);
	if (w->scan != NULL && w->scanned != snapshot)
	{
		index_endscan(w->scan);
		w->scan = NULL;
	}
	if (w->scan == NULL)
		w->scan = ds_compat_index_beginscan(w->relation, w->primary, snapshot, w->table->keys);
	w->scanned = snapshot;
	index_rescan(w->scan, scankeys, w->table->keys, NULL, 0);
	found = index_getnext_slot(w->scan, ForwardScanDirection, w->found);
	MemoryContextSwitchTo(old);
	if (found)
		take_row(w);
	return found;
}

/* ds_rows_at does the reading of the row at a place where the caller, who holds its lock, has seen it. */
bool
ds_rows_at(DsRows *w, Snapshot snapshot, ItemPointer tid)
{
	bool found = table_tuple_fetch_row_version(w->relation, tid, snapshot, w->found);

	if (found)
		take_row(w);
	return found;
}

/*
 * ds_rows_lock does the locking of the row at a place, against other
 * writers, until the end of the transaction; afterwards its newest version is
 * the one that was found, and tid its place. TM_Ok or TM_Deleted.
 */
TM_Result
ds_rows_lock(DsRows *w, Snapshot snapshot, ItemPointer tid)
{
	ItemPointerData place = *tid;
	TM_FailureData failure;
	TM_Result result = table_tuple_lock(w->relation, &place, snapshot, w->found,
										GetCurrentCommandId(true), LockTupleNoKeyExclusive,
										LockWaitBlock, TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);

	if (result == TM_Ok)
	{
		*tid = w->found->tts_tid;
		take_row(w);
	}
	else if (result != TM_Deleted)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not lock a row of %s.%s: %d", w->table->schema,
							   w->table->name, (int) result)));
	return result;
}

/* store does the forming of a row into a slot that owns it. */
static void
store(DsRows *w, TupleTableSlot *slot, const Datum *values, const bool *nulls)
{
	ExecStoreHeapTuple(heap_form_tuple(RelationGetDescr(w->relation), unconstify(Datum *, values),
									   unconstify(bool *, nulls)),
					   slot, true);
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
 * ds_rows_update does the changing of columns of the row that was found and
 * whose lock, or whose owner's, the caller holds.
 */
void
ds_rows_update(DsRows *w, Snapshot snapshot, int n, const int *columns, const Datum *values,
			   const bool *nulls)
{
	TupleTableSlot *fresh;
	int natts = RelationGetDescr(w->relation)->natts;
	Datum all[MaxTupleAttributeNumber];
	bool none[MaxTupleAttributeNumber];
	LockTupleMode mode;
	TM_FailureData failure;
	ds_compat_update_indexes indexes;
	TM_Result result;

	if (w->fresh == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(w->context);

		w->fresh = MakeSingleTupleTableSlot(RelationGetDescr(w->relation), &TTSOpsHeapTuple);
		MemoryContextSwitchTo(old);
	}
	fresh = w->fresh;
	slot_getallattrs(w->found);
	memcpy(all, w->found->tts_values, sizeof(Datum) * natts);
	memcpy(none, w->found->tts_isnull, sizeof(bool) * natts);
	for (int i = 0; i < n; i++)
	{
		all[w->place.attnos[columns[i]] - 1] = values[i];
		none[w->place.attnos[columns[i]] - 1] = nulls != NULL && nulls[i];
	}
	store(w, fresh, all, none);
	result = table_tuple_update(w->relation, &w->found->tts_tid, fresh, GetCurrentCommandId(true),
								snapshot, InvalidSnapshot, true, &failure, &mode, &indexes);
	expect_ours(w, result);
	if (ds_compat_updates_indexes(indexes))
	{
		need_indexes(w);
		ResetPerTupleExprContext(w->estate);
		ds_compat_index_entries(w->info, fresh, w->estate, true, indexes);
	}
	ExecClearTuple(fresh);
}

/* ds_rows_delete does the removal of the row that was found, under the same locks. */
void
ds_rows_delete(DsRows *w, Snapshot snapshot)
{
	TM_FailureData failure;

	expect_ours(w, table_tuple_delete(w->relation, &w->found->tts_tid, GetCurrentCommandId(true),
									  snapshot, InvalidSnapshot, true, &failure, false));
}

/*
 * ds_rows_add does the adding of a row: all columns in the order of the
 * table, others are NULL. It is there after ds_rows_flush().
 */
void
ds_rows_add(DsRows *w, const Datum *values, const bool *nulls)
{
	MemoryContext old = MemoryContextSwitchTo(w->context);
	Datum all[MaxTupleAttributeNumber];
	bool none[MaxTupleAttributeNumber];

	if (w->waiting == DS_ROWS_BATCH)
		ds_rows_flush(w);
	if (w->batch[w->waiting] == NULL)
		w->batch[w->waiting] =
			MakeSingleTupleTableSlot(RelationGetDescr(w->relation), &TTSOpsHeapTuple);
	memset(none, true, sizeof(bool) * RelationGetDescr(w->relation)->natts);
	for (int i = 0; i < w->table->ncolumns; i++)
	{
		all[w->place.attnos[i] - 1] = values[i];
		none[w->place.attnos[i] - 1] = nulls[i];
	}
	store(w, w->batch[w->waiting++], all, none);
	MemoryContextSwitchTo(old);
}

/* ds_rows_flush does the writing of the rows that wait, and of their index entries. */
void
ds_rows_flush(DsRows *w)
{
	MemoryContext old;

	if (w->waiting == 0)
		return;
	need_indexes(w);
	/* the rows that are formed on the way go with each flush */
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(w->estate));
	heap_multi_insert(w->relation, w->batch, w->waiting, GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < w->waiting; i++)
		ds_compat_index_entries(w->info, w->batch[i], w->estate, false, ds_compat_all_indexes);
	MemoryContextSwitchTo(old);
	ResetPerTupleExprContext(w->estate);
	w->waiting = 0;
	CHECK_FOR_INTERRUPTS();
}

/* ds_rows_close does the end, with what still waits; locks stay until the transaction ends. */
void
ds_rows_close(DsRows *w)
{
	ds_rows_flush(w);
	if (w->scan != NULL)
		index_endscan(w->scan);
	ExecDropSingleTupleTableSlot(w->found);
	if (w->fresh != NULL)
		ExecDropSingleTupleTableSlot(w->fresh);
	for (int i = 0; i < DS_ROWS_BATCH && w->batch[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(w->batch[i]);
	if (w->info != NULL)
	{
		ExecCloseIndices(w->info);
		FreeExecutorState(w->estate);
	}
	index_close(w->primary, NoLock);
	table_close(w->relation, NoLock);
	pfree(w);
}

/* ds_rows_parts_open does the opening of a table that is partitioned by one column; NULL: it has to be written by SQL. */
DsRowsParts *
ds_rows_parts_open(DsRowsTable *table)
{
	DsRowsParts *parts;
	Relation parent;
	bool told;

	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA || !resolve(table))
		return NULL;
	parent = try_table_open(table->relid, RowExclusiveLock);
	if (parent == NULL)
		return NULL;
	if (!table->resolved || parent->rd_rel->relkind != RELKIND_PARTITIONED_TABLE ||
		parent->rd_rel->relrowsecurity || parent->rd_rel->relhasrules ||
		!triggers_fit(parent, &told) || told || RelationGetPartitionKey(parent)->partnatts != 1 ||
		RelationGetPartitionKey(parent)->partattrs[0] == 0)
	{
		table_close(parent, NoLock);
		return NULL;
	}
	parts = palloc0(sizeof(DsRowsParts));
	parts->table = table;
	parts->parent = parent;
	parts->context = CurrentMemoryContext;
	parts->n = RelationGetPartitionDesc(parent, true)->nparts;
	parts->part = palloc0(sizeof(DsRows *) * Max(parts->n, 1));
	return parts;
}

/* ds_rows_parts_writer does the writer of the partition of a key; NULL: it has to be written by SQL. */
DsRows *
ds_rows_parts_writer(DsRowsParts *parts, Datum key)
{
	int part = parts->n == 0 ? -1 : ds_partition_of(parts->parent, key);

	if (part < 0)
		return NULL;
	if (parts->part[part] == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(parts->context);

		parts->part[part] = open_relation(
			parts->table, table_open(RelationGetPartitionDesc(parts->parent, true)->oids[part],
									 RowExclusiveLock));
		MemoryContextSwitchTo(old);
	}
	return parts->part[part];
}

/* ds_rows_parts_flush does the writing of what waits in any partition. */
void
ds_rows_parts_flush(DsRowsParts *parts)
{
	for (int i = 0; i < parts->n; i++)
		if (parts->part[i] != NULL)
			ds_rows_flush(parts->part[i]);
}

/* ds_rows_parts_close does the end of all. */
void
ds_rows_parts_close(DsRowsParts *parts)
{
	for (int i = 0; i < parts->n; i++)
		if (parts->part[i] != NULL)
			ds_rows_close(parts->part[i]);
	table_close(parts->parent, NoLock);
	pfree(parts);
}
