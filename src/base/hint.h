/*-------------------------------------------------------------------------
 *
 * hint.h
 *		Where rows were found: shared by all backends, never trusted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_HINT_H
#define DS_BASE_HINT_H

#include "postgres.h"

#include "access/attnum.h"
#include "access/genam.h"
#include "executor/tuptable.h"
#include "storage/block.h"
#include "storage/buf.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

/* Where a row was found: where its chain begins, and the buffer that its page was in (InvalidBuffer = not known). */
typedef struct DsHint
{
	ItemPointerData tid;
	Buffer buffer;
} DsHint;

extern void ds_hint_init(void);
extern uint64 ds_hint_name(Oid relid, const Datum *keys, const Oid *types, int nkeys);
extern bool ds_hint_find(uint64 name, DsHint *hint);
extern void ds_hint_keep(uint64 name, const DsHint *hint);
extern BlockNumber ds_hint_blocks(Relation relation);
extern bool ds_hint_follow(DsHint *hint, Relation relation, Snapshot snapshot,
						   TupleTableSlot *slot);
extern bool ds_hint_fits(TupleTableSlot *slot, const AttrNumber *attnos, const Oid *types,
						 const Datum *keys, int nkeys);
extern void ds_hint_line_ahead(uint64 name);
extern bool ds_hint_page_ahead(uint64 name, DsHint *hint);
extern void ds_hint_row_ahead(const DsHint *hint);
extern void ds_hint_keep_page(Oid relid, IndexScanDesc scan, const Oid *types, int nkeys);

#endif /* DS_BASE_HINT_H */
