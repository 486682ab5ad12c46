/*-------------------------------------------------------------------------
 *
 * append.c
 *		The short way into an outbox: one heap tuple and its index entries,
 *		without an executor. A marker is written in every change of stock, and
 *		two thirds of its cost were the start of an INSERT.
 *
 * The way is taken only where it is the same as the INSERT: a plain local table
 * with the columns we know, the triggers we made, indexes on columns, no row
 * security, the same owner. Whoever adds more to the outbox gets the INSERT
 * (ds_outbox_append returns false).
 *
 * Process: any backend. Locks: RowExclusiveLock on outbox, partition and
 * indexes until the end of the transaction. Memory: the caller's context; what
 * was found about a partition stays until the relation changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/xid8.h"

#include "base/number.h"
#include "base/partition.h"
#include "outbox/append.h"

#define BATCH 64 /* markers that are formed before they are written */

typedef enum Column
{
	COL_XID,
	COL_OUTBOX_ID,
	COL_AT,
	COL_KIND,
	COL_EVENT_TYPE,
	COL_ENTITY,
	COL_ENTITY_KEY,
	COL_GROUP,
	COL_BODY,
	COL_MESSAGE_ID,
	COL_CORRELATION_ID,
	COL_CAUSATION_ID,
	COL_ORIGIN,
	COL_RING,
	NCOLUMNS
} Column;

typedef struct ColumnShape
{
	const char *name; /* NULL: customer_id or item_id */
	Oid type;
} ColumnShape;

static const ColumnShape shape[NCOLUMNS] = {{"xid", XID8OID},
											{"outbox_id", INT8OID},
											{"at", TIMESTAMPTZOID},
											{"kind", TEXTOID},
											{"event_type", TEXTOID},
											{"entity", TEXTOID},
											{"entity_key", TEXTOID},
											{NULL, INT8OID},
											{"body", JSONBOID},
											{"message_id", UUIDOID},
											{"correlation_id", UUIDOID},
											{"causation_id", UUIDOID},
											{"origin", TEXTOID},
											{"ring", TEXTOID}};

/* What is known of an outbox and of the partition written last */
typedef struct Outbox
{
	Oid parent;
	Oid sequence;
	Oid partition;
	Oid owner; /* as whom the partition was judged */
	bool fits; /* of the partition: the short way is the same as the INSERT */
	int column[NCOLUMNS];
} Outbox;

static Outbox outbox[2];
static bool watching = false;
static uint64 forgotten = 0; /* calls of forget() */

/*
 * forget does the dropping of what we know when a relation changes; without
 * an Oid, everything has. It runs whenever a lock is taken: whoever opens
 * anything works with a copy of what is known.
 */
static void
forget(Datum arg, Oid relid)
{
	forgotten++;
	for (int i = 0; i < lengthof(outbox); i++)
	{
		if (relid == InvalidOid || relid == outbox[i].parent || relid == outbox[i].sequence)
			memset(&outbox[i], 0, sizeof(Outbox));
		else if (relid == outbox[i].partition)
			outbox[i].partition = InvalidOid;
	}
}

/*
 * find_outbox does the look-up of the parent table and of the sequence that
 * numbers its rows. False where there is none.
 */
static bool
find_outbox(Outbox *o, bool item)
{
	Oid schema = get_namespace_oid("sync", true);
	Datum sequence;
	LOCAL_FCINFO(fcinfo, 2);

	memset(o, 0, sizeof(Outbox));
	if (!OidIsValid(schema))
		return false;
	o->parent = get_relname_relid(item ? "outbox_item" : "outbox_customer", schema);
	if (!OidIsValid(o->parent))
		return false;
	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = CStringGetTextDatum(item ? "sync.outbox_item" : "sync.outbox_customer");
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = CStringGetTextDatum("outbox_id");
	fcinfo->args[1].isnull = false;
	sequence = pg_get_serial_sequence(fcinfo);
	if (fcinfo->isnull)
		return false;
	o->sequence = DatumGetObjectId(DirectFunctionCall1(to_regclass, sequence));
	return OidIsValid(o->sequence);
}

/*
 * columns_fit does the check that a partition has the columns we fill and no
 * others; where each stands is kept.
 */
static bool
columns_fit(Outbox *o, Relation rel, bool item)
{
	TupleDesc desc = RelationGetDescr(rel);
	int found = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		int c;

		if (att->attisdropped)
			continue;
		if (att->attgenerated != '\0')
			return false;
		for (c = 0; c < NCOLUMNS; c++)
		{
			const char *name = shape[c].name != NULL ? shape[c].name
							   : item				 ? "item_id"
													 : "customer_id";

			if (strcmp(NameStr(att->attname), name) == 0 && att->atttypid == shape[c].type)
				break;
		}
		if (c == NCOLUMNS)
			return false;
		o->column[c] = i;
		found++;
	}
	return found == NCOLUMNS;
}

/*
 * indexes_fit does the check that index entries can be made of columns alone.
 * Only B-trees: other kinds may want to be told when the insertion has ended.
 */
static bool
indexes_fit(Relation rel)
{
	List *indexes = RelationGetIndexList(rel);
	ListCell *cell;
	bool fits = true;

	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);

		fits = fits && index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indisready &&
			   index->rd_index->indimmediate && !index->rd_index->indisexclusion &&
			   heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL) &&
			   heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);
		index_close(index, NoLock);
	}
	list_free(indexes);
	return fits;
}

/*
 * is_plain does the check of everything else that an INSERT would heed. One
 * row trigger on a partition is ours: it rings, and the caller asks for this
 * way only where it would not. So is the one CHECK.
 */
static bool
is_plain(Relation rel, Oid owner, int triggers)
{
	return rel->rd_rel->relowner == owner && !rel->rd_rel->relforcerowsecurity &&
		   !rel->rd_rel->relhasrules &&
		   (rel->trigdesc == NULL ? 0 : rel->trigdesc->numtriggers) == triggers &&
		   (rel->rd_att->constr == NULL || rel->rd_att->constr->num_check <= 1);
}

/*
 * judge_partition does the decision whether the short way may be taken into a
 * partition by this owner. Parent and partition are locked: what is found
 * holds as long as we use it, and is kept if nothing was forgotten meanwhile.
 */
static void
judge_partition(Outbox *o, Relation parent, Relation rel, Oid owner, bool item)
{
	uint64 before = forgotten;

	o->partition = RelationGetRelid(rel);
	o->owner = owner;
	o->fits = is_plain(parent, owner, 2) && is_plain(rel, owner, 1) &&
			  rel->rd_rel->relkind == RELKIND_RELATION && columns_fit(o, rel, item) &&
			  indexes_fit(rel);
	if (before == forgotten && outbox[item].parent == o->parent)
		outbox[item] = *o;
}

/*
 * known_outbox does the copy of what is known, which is looked up the first
 * time. WHY a copy: while we open relations, forget() may run.
 */
static bool
known_outbox(Outbox *o, bool item)
{
	uint64 before;

	if (!watching)
	{
		CacheRegisterRelcacheCallback(forget, (Datum) 0);
		watching = true;
	}
	*o = outbox[item];
	if (OidIsValid(o->parent))
		return true;
	before = forgotten;
	if (!find_outbox(o, item))
		return false;
	if (before == forgotten)
		outbox[item] = *o;
	return true;
}

/*
 * insert_entries does the index entries of a tuple.
 */
static void
insert_entries(Relation rel, Relation *index, IndexInfo **info, int nindexes, TupleTableSlot *slot)
{
	for (int i = 0; i < nindexes; i++)
	{
		Datum values[INDEX_MAX_KEYS];
		bool isnull[INDEX_MAX_KEYS];

		FormIndexDatum(info[i], slot, NULL, values, isnull);
		index_insert(index[i], values, isnull, &slot->tts_tid, rel,
					 index[i]->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false,
					 info[i]);
	}
}

/*
 * form_markers does the rows of so many markers, from one on, in slots.
 */
static void
form_markers(const Outbox *o, Relation rel, const DsOutboxMarkers *markers, int from, int n,
			 Datum *values, bool *nulls, TupleTableSlot **slots)
{
	const int *column = o->column;

	for (int i = 0; i < n; i++)
	{
		const DsOutboxMarker *marker = &markers->marker[from + i];
		char key[MAXINT8LEN + 1];

		pg_lltoa(marker->key, key);
		values[column[COL_OUTBOX_ID]] = Int64GetDatum(nextval_internal(o->sequence, false));
		values[column[COL_ENTITY_KEY]] =
			CStringGetTextDatum(markers->document != NULL ? markers->document->entity_key : key);
		values[column[COL_GROUP]] = Int64GetDatum(marker->group);
		ExecStoreHeapTuple(heap_form_tuple(RelationGetDescr(rel), values, nulls), slots[i], true);
	}
}

/*
 * insert_markers does the writing of rows that were formed, a page at a time
 * where there are many.
 */
static void
insert_markers(Relation rel, TupleTableSlot **slots, int n)
{
	if (n == 1)
		table_tuple_insert(rel, slots[0], GetCurrentCommandId(true), 0, NULL);
	else
		table_multi_insert(rel, slots, n, GetCurrentCommandId(true), 0, NULL);
}

/* set_values does what all rows have in common. */
static void
set_values(const Outbox *o, const DsOutboxMarkers *markers, Datum *values, bool *nulls)
{
	/* the router gives the event its own: a random one for each marker is dear */
	static const pg_uuid_t nil = {{0}};
	const int *column = o->column;
	const DsEvent *d = markers->document;

	for (int c = 0; c < NCOLUMNS; c++)
		nulls[column[c]] =
			c == COL_BODY || c == COL_CORRELATION_ID || c == COL_CAUSATION_ID || c == COL_ORIGIN;
	values[column[COL_XID]] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	values[column[COL_KIND]] = CStringGetTextDatum(d != NULL ? "document" : "state");
	values[column[COL_EVENT_TYPE]] = CStringGetTextDatum(markers->event_type);
	values[column[COL_ENTITY]] = CStringGetTextDatum(markers->entity);
	values[column[COL_MESSAGE_ID]] = UUIDPGetDatum(&nil);
	if (d == NULL)
		return;
	values[column[COL_MESSAGE_ID]] = ds_new_uuid();
	values[column[COL_BODY]] = d->body;
	nulls[column[COL_BODY]] = false;
	values[column[COL_CORRELATION_ID]] = d->correlation;
	nulls[column[COL_CORRELATION_ID]] = d->correlation == 0;
	nulls[column[COL_ORIGIN]] = d->origin == NULL;
	if (d->origin != NULL)
		values[column[COL_ORIGIN]] = CStringGetTextDatum(d->origin);
}

/*
 * append_markers does the writing of all markers into one partition.
 */
static void
append_markers(const Outbox *o, Relation rel, const DsOutboxMarkers *markers, TimestampTz at,
			   const char *ring)
{
	TupleTableSlot *slots[BATCH];
	int nslots = Min(markers->n, BATCH);
	List *indexes = RelationGetIndexList(rel);
	int nindexes = list_length(indexes);
	Relation *index = palloc(sizeof(Relation) * Max(nindexes, 1));
	IndexInfo **info = palloc(sizeof(IndexInfo *) * Max(nindexes, 1));
	const int *column = o->column;
	int natts = RelationGetDescr(rel)->natts;
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);

	for (int i = 0; i < nslots; i++)
		slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsHeapTuple);
	for (int i = 0; i < nindexes; i++)
	{
		index[i] = index_open(list_nth_oid(indexes, i), RowExclusiveLock);
		info[i] = BuildIndexInfo(index[i]);
	}
	memset(nulls, true, sizeof(bool) * natts);
	set_values(o, markers, values, nulls);
	values[column[COL_AT]] = TimestampTzGetDatum(at);
	values[column[COL_RING]] = CStringGetTextDatum(ring);
	for (int i = 0; i < markers->n; i += nslots)
	{
		int n = Min(nslots, markers->n - i);

		form_markers(o, rel, markers, i, n, values, nulls, slots);
		insert_markers(rel, slots, n);
		for (int s = 0; s < n; s++)
			insert_entries(rel, index, info, nindexes, slots[s]);
		CHECK_FOR_INTERRUPTS();
	}
	for (int i = 0; i < nindexes; i++)
		index_close(index[i], NoLock);
	for (int i = 0; i < nslots; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
}

/*
 * ds_outbox_append does the writing of markers by the short way, as owner of
 * the outbox. False: it is not open here, and nothing was written.
 */
bool
ds_outbox_append(const DsOutboxMarkers *markers, Oid owner, const char *ring)
{
	const Outbox *known = &outbox[markers->item];
	TimestampTz at = GetCurrentTimestamp();
	Outbox o;
	Relation parent;
	Relation rel;
	Oid partition;
	bool done = false;

	if (!known_outbox(&o, markers->item))
		return false;
	parent = try_table_open(o.parent, RowExclusiveLock);
	if (parent == NULL)
		return false;
	/* forgotten while we waited for the lock: it may be another table by now */
	partition = known->parent == o.parent ? ds_partition_at(parent, at) : InvalidOid;
	if (OidIsValid(partition))
	{
		rel = table_open(partition, RowExclusiveLock);
		if (known->partition != partition || known->owner != owner)
			judge_partition(&o, parent, rel, owner, markers->item);
		done = o.fits;
		if (done)
			append_markers(&o, rel, markers, at, ring);
		table_close(rel, NoLock);
	}
	table_close(parent, NoLock);
	return done;
}
