/*-------------------------------------------------------------------------
 *
 * rows.h
 *		Rows of a table found by its primary key, locked, changed and added
 *		without planner and executor, where that is the same as a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_ROWS_H
#define DS_BASE_ROWS_H

#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

#define DS_ROWS_MAX_COLUMNS 24
#define DS_ROWS_MAX_KEYS 6
#define DS_ROWS_MAX_PARTS 16
#define DS_ROWS_BATCH 64

/* A column that the caller reads or writes. */
typedef struct DsRowsColumn
{
	const char *name;
	Oid type;
} DsRowsColumn;

/* What is known of the table, or of one of its partitions. */
typedef struct DsRowsPlace
{
	Oid relid;
	bool plain;	 /* it may be written directly */
	bool told;	 /* all of its capture triggers would fire */
	Oid primary; /* its primary key */
	AttrNumber attnos[DS_ROWS_MAX_COLUMNS];
	AttrNumber last;
	RegProcedure equal[DS_ROWS_MAX_KEYS];
	Oid collations[DS_ROWS_MAX_KEYS];
} DsRowsPlace;

/* What to write: static, one for each table. The lower part is filled in and forgotten by itself. */
typedef struct DsRowsTable
{
	const char *schema;
	const char *name;
	int keys;	/* so many of the columns, the first ones, are its primary key, in their order */
	int checks; /* CHECK constraints of ours, which the caller keeps */
	bool adds;	/* rows are added: columns must be all there are */
	DsRowsColumn columns[DS_ROWS_MAX_COLUMNS]; /* a name of NULL at the end */

	bool resolved;
	Oid relid;
	int ncolumns;
	int nplaces;
	DsRowsPlace places[DS_ROWS_MAX_PARTS];
} DsRowsTable;

typedef struct DsRows
{
	DsRowsTable *table;
	DsRowsPlace place;
	MemoryContext context;
	Relation relation;
	Relation primary;
	EState *estate;
	ResultRelInfo *info;
	IndexScanDesc scan;
	Snapshot scanned; /* snapshot of the scan */
	TupleTableSlot *found;
	TupleTableSlot *fresh;
	TupleTableSlot *batch[DS_ROWS_BATCH];
	int waiting;					   /* rows in the batch */
	Datum values[DS_ROWS_MAX_COLUMNS]; /* of the row that was found */
	bool nulls[DS_ROWS_MAX_COLUMNS];
} DsRows;

/* The partitions of a table, opened one by one as they are needed. */
typedef struct DsRowsParts
{
	DsRowsTable *table;
	Relation parent;
	MemoryContext context;
	int n;
	DsRows **part;
} DsRowsParts;

extern DsRows *ds_rows_open(DsRowsTable *table);
extern bool ds_rows_find(DsRows *w, Snapshot snapshot, const Datum *keys);
extern bool ds_rows_at(DsRows *w, Snapshot snapshot, ItemPointer tid);
extern TM_Result ds_rows_lock(DsRows *w, Snapshot snapshot, ItemPointer tid);
extern void ds_rows_update(DsRows *w, Snapshot snapshot, int n, const int *columns,
						   const Datum *values, const bool *nulls);
extern void ds_rows_delete(DsRows *w, Snapshot snapshot);
extern void ds_rows_add(DsRows *w, const Datum *values, const bool *nulls);
extern void ds_rows_flush(DsRows *w);
extern void ds_rows_close(DsRows *w);

extern DsRowsParts *ds_rows_parts_open(DsRowsTable *table);
extern DsRows *ds_rows_parts_writer(DsRowsParts *parts, Datum key);
extern void ds_rows_parts_flush(DsRowsParts *parts);
extern void ds_rows_parts_close(DsRowsParts *parts);

#endif /* DS_BASE_ROWS_H */
