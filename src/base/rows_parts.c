/*-------------------------------------------------------------------------
 *
 * rows_parts.c
 *		Rows of a table that is divided into partitions by one column.
 *
 * Process: any backend. Locks: RowExclusiveLock on the table and on those
 * partitions that are written, until the end of the transaction. Memory: as
 * writers, in the context that is current when they are opened.
 *
 *-------------------------------------------------------------------------
 */
#include "base/rows.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "partitioning/partdesc.h"
#include "base/partition.h"
#include "base/place.h"

/* ds_rows_parts_open does the opening of a table that is divided; NULL: SQL has to write it. */
DsRowsParts *
ds_rows_parts_open(DsRowsTable *table)
{
	Relation parent = ds_place_open(table);
	DsRowsParts *parts;

	if (parent == NULL)
		return NULL;
	if (parent->rd_rel->relkind != RELKIND_PARTITIONED_TABLE ||
		!ds_place_of(table, parent, parent->rd_rel->relowner)->plain)
	{
		table_close(parent, NoLock);
		return NULL;
	}
	parts = palloc0(sizeof(DsRowsParts));
	parts->table = table;
	parts->parent = parent;
	parts->context = CurrentMemoryContext;
	return parts;
}

/*
 * open_part does the opening of a partition, and a place for it; NULL: SQL has
 * to write it. Attached and detached are partitions while the table is locked as
 * we do, so their numbers say nothing from one moment to the next.
 */
static DsRows *
open_part(DsRowsParts *parts, Oid relid)
{
	MemoryContext old = MemoryContextSwitchTo(parts->context);
	DsRows *w = ds_rows_open_relation(parts->table, table_open(relid, RowExclusiveLock),
									  parts->parent->rd_rel->relowner);

	if (w != NULL && parts->n == parts->room)
	{
		parts->room = Max(8, parts->room * 2);
		parts->part = parts->part == NULL ? palloc(sizeof(DsRows *) * parts->room)
										  : repalloc(parts->part, sizeof(DsRows *) * parts->room);
	}
	if (w != NULL)
		parts->part[parts->n++] = w;
	MemoryContextSwitchTo(old);
	return w;
}

/* ds_rows_parts_writer does the writer of the partition of a key; NULL: SQL has to write it. */
DsRows *
ds_rows_parts_writer(DsRowsParts *parts, Datum key)
{
	PartitionDesc desc = RelationGetPartitionDesc(parts->parent, true);
	int part = desc->nparts == 0 ? -1 : ds_partition_of(parts->parent, key);

	if (part < 0)
		return NULL;
	for (int i = 0; i < parts->n; i++)
		if (RelationGetRelid(parts->part[i]->relation) == desc->oids[part])
			return parts->part[i];
	return open_part(parts, desc->oids[part]);
}

/* ds_rows_parts_flush does the writing of what waits in any partition. */
void
ds_rows_parts_flush(DsRowsParts *parts)
{
	for (int i = 0; i < parts->n; i++)
		ds_rows_flush(parts->part[i]);
}

/* ds_rows_parts_close does the end of all. */
void
ds_rows_parts_close(DsRowsParts *parts)
{
	for (int i = 0; i < parts->n; i++)
		ds_rows_close(parts->part[i]);
	table_close(parts->parent, NoLock);
	pfree(parts);
}
