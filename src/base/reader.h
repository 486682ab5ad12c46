/*-------------------------------------------------------------------------
 *
 * reader.h
 *		Rows of a table by the leading columns of one of its indexes, as the
 *		caller's snapshot sees them: directly where that is safe, otherwise
 *		through SPI, with the same result.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_READER_H
#define DS_BASE_READER_H

#include "postgres.h"

#include "access/genam.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#define DS_TABLE_MAX_COLUMNS 32
#define DS_TABLE_MAX_KEYS 5

/* Which rows a reader walks over, and in which order. */
typedef enum DsWalk
{
	DS_WALK_EQUAL, /* in the order of the index */
	DS_WALK_BACK,  /* those whose last key is at most so much, the last one first */
	DS_WALK_ON	   /* those whose last key is above it, the first one first */
} DsWalk;

/* What to read: static, one for each access path. The lower part is filled in and forgotten by itself. */
typedef struct DsTable
{
	const char *name;						   /* table */
	const char *index;						   /* its index whose first columns are the keys */
	const char *schema;						   /* of both, NULL = dist */
	const char *keys[DS_TABLE_MAX_KEYS + 1];   /* key columns, NULL at the end */
	const char *columns[DS_TABLE_MAX_COLUMNS]; /* columns wanted, NULL at the end */
	const char *where;						   /* predicate of a partial index, NULL = none */

	bool resolved;
	bool direct; /* may be read directly */
	Oid relid;
	Oid indexid;
	int nkeys;
	int ncolumns;
	AttrNumber attnos[DS_TABLE_MAX_COLUMNS];
	AttrNumber last; /* the greatest of them */
	Oid keytypes[DS_TABLE_MAX_KEYS];
	AttrNumber keyattnos[DS_TABLE_MAX_KEYS];
	bool unique; /* the index lets no two rows have the same keys */
	RegProcedure equal[DS_TABLE_MAX_KEYS];
	RegProcedure at_most[DS_TABLE_MAX_KEYS];
	RegProcedure above[DS_TABLE_MAX_KEYS];
	Oid collations[DS_TABLE_MAX_KEYS];
	struct _SPI_plan *plan;
	DsWalk plan_walk; /* what it was prepared for */
} DsTable;

typedef struct DsReader
{
	DsTable *table;
	Relation relation;
	Relation index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	DsWalk walk;
	MemoryContext context; /* where the reader and what SPI brings live */
	Snapshot snapshot;
	HeapTuple *rows; /* what SPI brought */
	TupleDesc desc;
	uint64 nrows;
	uint64 next;
	Datum values[DS_TABLE_MAX_COLUMNS];
	bool nulls[DS_TABLE_MAX_COLUMNS];
} DsReader;

extern DsReader *ds_reader_open(DsTable *table);
extern void ds_reader_seek(DsReader *reader, const Datum *keys, int nkeys);
extern void ds_reader_walk(DsReader *reader, DsWalk walk, const Datum *keys, int nkeys);
extern bool ds_reader_next(DsReader *reader);
extern bool ds_reader_find(DsReader *reader, const Datum *keys);
extern bool ds_reader_find_as(DsReader *reader, uint64 name, const Datum *keys);
extern bool ds_reader_next_tid(DsReader *reader, ItemPointer tid);
extern bool ds_reader_text_is(const DsReader *reader, int column, const char *word);
extern bool ds_reader_at(DsReader *reader, ItemPointer tid);
extern void ds_reader_close(DsReader *reader);
extern void ds_reader_need_slot(DsReader *reader);
extern void ds_reader_take_row(DsReader *reader);
extern bool ds_table_resolve(DsTable *table);
extern Oid ds_dist_relid(const char *name);

#endif /* DS_BASE_READER_H */
