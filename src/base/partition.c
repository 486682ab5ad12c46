/*-------------------------------------------------------------------------
 *
 * partition.c
 *		Which partition a row belongs to, for who writes without an executor.
 *
 * Process: any backend. Locks: none, the parent is open. Memory: what the
 * relation cache keeps of partitions.
 *
 *-------------------------------------------------------------------------
 */
#include "base/partition.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/*
 * ds_partition_of does what tuple routing does for a table with one key: the
 * number of the partition of a value, -1 = none, or a strategy we do not know.
 */
int
ds_partition_of(Relation parent, Datum value)
{
	PartitionKey key = RelationGetPartitionKey(parent);
	PartitionBoundInfo bounds = RelationGetPartitionDesc(parent, true)->boundinfo;
	bool isnull = false;
	bool equal;

	if (key->strategy == PARTITION_STRATEGY_HASH)
		return bounds->indexes[compute_partition_hash_value(1, key->partsupfunc, key->partcollation,
															&value, &isnull) %
							   bounds->nindexes];
	if (key->strategy == PARTITION_STRATEGY_RANGE)
	{
		int bound = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1,
												  &value, &equal);
		int part = bounds->indexes[bound + 1];

		return part >= 0 ? part : bounds->default_index;
	}
	return -1;
}

/* ds_partition_at does the same for a table that ranges of an instant divide; InvalidOid = none, or it is not such a table. */
Oid
ds_partition_at(Relation parent, TimestampTz at)
{
	PartitionKey key;
	PartitionDesc desc;
	int part;

	if (parent->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return InvalidOid;
	key = RelationGetPartitionKey(parent);
	if (key->strategy != PARTITION_STRATEGY_RANGE || key->partnatts != 1 ||
		key->partattrs[0] == 0 || key->parttypid[0] != TIMESTAMPTZOID)
		return InvalidOid;
	desc = RelationGetPartitionDesc(parent, true);
	if (desc->nparts == 0)
		return InvalidOid;
	part = ds_partition_of(parent, TimestampTzGetDatum(at));
	return part < 0 ? InvalidOid : desc->oids[part];
}
