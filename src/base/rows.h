/*-------------------------------------------------------------------------
 *
 * rows.h
 *		Rows of a table found, locked, changed and added without planner and
 *		executor, where that is the same as a statement.
 *
 * What reader.h is for reading, this is for writing. A caller describes the
 * table once, in a static DsRowsTable. In a call it opens it; NULL says that a
 * statement would do more than this (a trigger of somebody else, row security,
 * a column with a default ...), and that the caller has to take SQL:
 *
 *		DsRows *w = ds_rows_open(&table);
 *
 *		if (w == NULL || !ds_rows_find(w, snapshot, keys))
 *			return false;
 *		ds_rows_update(w, snapshot, n, columns, values, nulls);
 *		ds_rows_tell(w, 1, &key);
 *		ds_rows_close(w);
 *
 * Columns are numbered as the description lists them. What capture triggers
 * would do is done by ds_rows_tell(), which the caller must not forget.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_ROWS_H
#define DS_BASE_ROWS_H

#include "postgres.h"

#include "access/genam.h"
#include "access/htup.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "nodes/lockoptions.h"
#include "utils/rel.h"

#define DS_ROWS_MAX_COLUMNS 36
#define DS_ROWS_MAX_KEYS 6
#define DS_ROWS_MAX_CHECKS 3
#define DS_ROWS_MAX_CHANGED 4
#define DS_ROWS_MAX_PLACES 32
#define DS_ROWS_BATCH 64

/* A column that the caller reads or writes. */
typedef struct DsRowsColumn
{
	const char *name;
	Oid type;
} DsRowsColumn;

/* What to write: static, one for each table. The lower part is filled in and forgotten by itself. */
typedef struct DsRowsTable
{
	const char *schema;
	const char *name;
	bool adds;		/* rows are added: columns must be all there are, but those that may be NULL */
	bool changes;	/* rows are changed */
	bool removes;	/* rows are deleted */
	const char *by; /* column that divides it into partitions, NULL = none */
	int keys;		/* columns of its primary key, the first ones of ours */
	const char *kept[DS_ROWS_MAX_CHECKS + 1]; /* CHECKs that the caller keeps: they are not asked */
	const char *told; /* column whose values ds_rows_tell() gets, NULL: nobody captures changes */
	bool
		verb; /* the caller is a verb, as the owner, and tells documents itself: triggers that capture them keep still */
	const char *changed
		[DS_ROWS_MAX_CHANGED +
		 1]; /* columns that are changed, NULL at the end, or any: triggers that watch others keep still */
	DsRowsColumn columns[DS_ROWS_MAX_COLUMNS + 1]; /* a name of NULL at the end */

	bool listed;
	bool resolved;
	Oid relid;
	int ncolumns;
	int nplaces;
	struct DsRowsPlace *places[DS_ROWS_MAX_PLACES]; /* it, or it and its partitions */
	struct DsRowsTable *next;
} DsRowsTable;

/* A table or partition that is open. */
typedef struct DsRows
{
	DsRowsTable *table;
	struct DsRowsPlace *place;
	MemoryContext context;
	Relation relation;
	/* of the row that was found */
	Relation primary;
	IndexScanDesc scan;
	Snapshot scanned; /* snapshot of the scan */
	TupleTableSlot *found;
	Datum values[DS_ROWS_MAX_COLUMNS];
	bool nulls[DS_ROWS_MAX_COLUMNS];
	/* of rows that are written */
	Relation *indexes; /* NULL = not open */
	struct IndexInfo **infos;
	TupleTableSlot *fresh;
	TupleTableSlot **batch;
	int room;	 /* slots in the batch */
	int waiting; /* rows in it */
} DsRows;

/* The partitions of a table, opened one by one as they are needed. */
typedef struct DsRowsParts
{
	DsRowsTable *table;
	Relation parent;
	MemoryContext context;
	int n; /* that are open */
	int room;
	DsRows **part;
} DsRowsParts;

/* rows.c: the row that was found is the newest one found, looked at or locked */
extern DsRows *ds_rows_open(DsRowsTable *table);
extern void ds_rows_ready(DsRows *w);
extern bool ds_rows_find(DsRows *w, Snapshot snapshot, const Datum *keys);
extern bool ds_rows_at(DsRows *w, Snapshot snapshot, ItemPointer tid);
extern TM_Result ds_rows_lock(DsRows *w, Snapshot snapshot, ItemPointer tid, LockWaitPolicy wait);
extern HeapTuple ds_rows_take(DsRows *w);
extern Datum ds_rows_value(const DsRows *w, HeapTuple row, int column, bool *isnull);
extern void ds_rows_tell(DsRows *w, int n, const int64 *keys);
extern bool ds_rows_tell_alike(const DsRows *a, const DsRows *b);
extern void ds_rows_close(DsRows *w);

/* rows_write.c */
extern void ds_rows_update(DsRows *w, Snapshot snapshot, int n, const int *columns,
						   const Datum *values, const bool *nulls);
extern bool ds_rows_update_if(DsRows *w, Snapshot snapshot, int n, const int *columns,
							  const Datum *values, const bool *nulls);
extern bool ds_rows_try(DsRows *w, HeapTuple row, bool held, int n, const int *columns,
						const Datum *values, const bool *nulls, TransactionId *other);
extern void ds_rows_delete(DsRows *w, Snapshot snapshot);
extern void ds_rows_add(DsRows *w, const Datum *values, const bool *nulls);
extern void ds_rows_flush(DsRows *w);

/* rows_parts.c */
extern DsRowsParts *ds_rows_parts_open(DsRowsTable *table);
extern DsRows *ds_rows_parts_writer(DsRowsParts *parts, Datum key);
extern void ds_rows_parts_flush(DsRowsParts *parts);
extern void ds_rows_parts_close(DsRowsParts *parts);

#endif /* DS_BASE_ROWS_H */
