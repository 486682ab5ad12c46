/*-------------------------------------------------------------------------
 *
 * writer.h
 *		Writing rows without an executor, where that is the same as an INSERT
 *		or UPDATE.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_WRITER_H
#define DS_BASE_WRITER_H

#include "postgres.h"

#include "access/tableam.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

#define DS_WRITER_MAX_COLUMNS 32

typedef struct DsColumn
{
	const char *name;
	Oid type;
} DsColumn;

/* What is written: static, one a table. The lower part is filled in and made anew when the table changes. */
typedef struct DsWriter
{
	const char *schema;
	const char *name;
	bool inserts;
	bool updates;
	bool by_time; /* partitioned by an instant: rows go where now belongs */
	/* the columns that are known, name NULL at the end; in new rows those of users are NULL */
	DsColumn columns[DS_WRITER_MAX_COLUMNS];

	bool resolved;
	bool fits;	/* this way is the same as the statement */
	Oid parent; /* the table that is named */
	Oid relid;	/* it, or the partition of now */
	int ncolumns;
	AttrNumber attnos[DS_WRITER_MAX_COLUMNS];
	Oid *indexes;
	char **capture; /* arguments of the trigger that captures its changes, NULL = none */
	EState *estate; /* lives as long as what is known: expressions are made ready once */
	ResultRelInfo *result;

	Relation relation; /* while it is open */
	bool indexes_open;
} DsWriter;

extern bool ds_writer_open(DsWriter *writer);
extern void ds_writer_open_indexes(DsWriter *writer);
extern void ds_writer_close(DsWriter *writer);
extern TupleTableSlot *ds_writer_slot(DsWriter *writer);
extern Datum ds_writer_value(const DsWriter *writer, HeapTuple row, int column, bool *isnull);
extern HeapTuple ds_writer_form(const DsWriter *writer, const Datum *values, const bool *nulls);
extern void ds_writer_insert(DsWriter *writer, HeapTuple *rows, int n);
extern HeapTuple ds_writer_update(DsWriter *writer, HeapTuple row, const Datum *values,
								  const bool *nulls, const bool *changed, bool locked,
								  TransactionId *other);
extern TM_Result ds_writer_lock(DsWriter *writer, ItemPointer tid, LockWaitPolicy wait,
								HeapTuple *row);

#endif /* DS_BASE_WRITER_H */
