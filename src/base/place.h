/*-------------------------------------------------------------------------
 *
 * place.h
 *		What is known of a table, or of one of its partitions, that rows.h
 *		writes to. For the files of rows.h only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_PLACE_H
#define DS_BASE_PLACE_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "base/changed.h"
#include "base/rows.h"

#define DS_PLACE_MAX_CAPTURES 4

typedef struct DsRowsPlace
{
	MemoryContext
		context; /* of it and all that it points to: until the end of a transaction in which it became stale */
	Oid relid;
	bool stale; /* it may have changed since */
	bool plain; /* writing here is the same as a statement */
	AttrNumber attnos[DS_ROWS_MAX_COLUMNS];
	AttrNumber last;				  /* the greatest of them */
	bool needed[DS_ROWS_MAX_COLUMNS]; /* NOT NULL */
	bool checked;					  /* there are CHECKs that the caller does not keep */
	bool asked;	 /* and an error came while they were asked: they may be half ready */
	Oid primary; /* its primary key */
	bool whole;	 /* which has no more columns than ours */
	Oid keytypes[DS_ROWS_MAX_KEYS];
	RegProcedure equal[DS_ROWS_MAX_KEYS];
	Oid collations[DS_ROWS_MAX_KEYS];
	int nindexes;
	Oid *indexes;
	IndexInfo **infos; /* NULL: made anew for each call */
	int ncaptures;
	char **captures[DS_PLACE_MAX_CAPTURES]; /* arguments of the triggers that capture changes */
	EState *estate;							/* in which expressions are made ready once */
	ResultRelInfo *result;
} DsRowsPlace;

extern Relation ds_place_open(DsRowsTable *table);
extern DsRowsPlace *ds_place_of(DsRowsTable *table, Relation rel, Oid owner);
extern bool ds_place_is_told(const DsRowsPlace *place, char *const *args);

/* rows.c */
extern DsRows *ds_rows_open_relation(DsRowsTable *table, Relation rel, Oid owner);

/* rows_write.c */
extern void ds_rows_open_indexes(DsRows *w);
extern void ds_rows_close_indexes(DsRows *w);
extern TupleTableSlot *ds_rows_fresh(DsRows *w);

#endif /* DS_BASE_PLACE_H */
