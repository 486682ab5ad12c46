/*-------------------------------------------------------------------------
 *
 * partition.h
 *		Which partition a row belongs to, for who writes without an executor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_PARTITION_H
#define DS_BASE_PARTITION_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/relcache.h"

extern int ds_partition_of(Relation parent, Datum value);
extern Oid ds_partition_at(Relation parent, TimestampTz at);

#endif /* DS_BASE_PARTITION_H */
