/*-------------------------------------------------------------------------
 *
 * compat.h
 *		The only place that asks which server this is.
 *
 * Included after the server headers whose names it translates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_COMPAT_H
#define DS_BASE_COMPAT_H

/* what is inside a varlena moved out of postgres.h in 16 */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 150000
#error "distsync needs PostgreSQL 15 or later"
#endif

/* the mark of a function that never returns stands in front since 18 */
#if PG_VERSION_NUM < 180000 && !defined(pg_noreturn)
#define pg_noreturn pg_attribute_noreturn()
#endif

/* the owner check of a database got a general name in 16 */
#if PG_VERSION_NUM >= 160000
#define ds_compat_owns_database(dboid, role) object_ownercheck(DatabaseRelationId, (dboid), (role))
#else
#define ds_compat_owns_database(dboid, role) pg_database_ownercheck((dboid), (role))
#endif

/* the number of our PGPROC moved out of PGPROC, wait sets got an owner, and kinds of processes their tests, in 17 */
#if PG_VERSION_NUM >= 170000
#define ds_compat_my_proc_number() ((uint32) MyProcNumber)
#define ds_compat_create_wait_set(nevents) CreateWaitEventSet(NULL, (nevents))
#define ds_compat_wait_event(name) WaitEventExtensionNew(name)
#define ds_compat_in_background_worker() AmBackgroundWorkerProcess()
#else
#define ds_compat_my_proc_number() ((uint32) MyProc->pgprocno)
#define ds_compat_create_wait_set(nevents) CreateWaitEventSet(TopMemoryContext, (nevents))
#define ds_compat_wait_event(name) PG_WAIT_EXTENSION
#define ds_compat_in_background_worker() IsBackgroundWorker
#endif

/* a scan reports to its instrumentation since 18 */
#if PG_VERSION_NUM >= 180000
#define ds_compat_index_beginscan(heap, index, snapshot, nkeys)                                    \
	index_beginscan((heap), (index), (snapshot), NULL, (nkeys), 0)
#else
#define ds_compat_index_beginscan(heap, index, snapshot, nkeys)                                    \
	index_beginscan((heap), (index), (snapshot), (nkeys), 0)
#endif

/* files of relations are told by a locator since 16 */
#if PG_VERSION_NUM >= 160000
#define ds_compat_read_recent_buffer(relation, block, buffer)                                      \
	ReadRecentBuffer((relation)->rd_locator, MAIN_FORKNUM, (block), (buffer))
#else
#define ds_compat_read_recent_buffer(relation, block, buffer)                                      \
	ReadRecentBuffer((relation)->rd_node, MAIN_FORKNUM, (block), (buffer))
#endif

/* an update says since 16 which kinds of indexes it touches, and their entries ask */
#if PG_VERSION_NUM >= 160000
#define ds_compat_update_indexes TU_UpdateIndexes
#define ds_compat_all_indexes TU_All
#define ds_compat_updates_indexes(which) ((which) != TU_None)
#define ds_compat_index_entries(info, slot, estate, update, which)                                 \
	ExecInsertIndexTuples((info), (slot), (estate), (update), false, NULL, NIL,                    \
						  (which) == TU_Summarizing)
#else
#define ds_compat_update_indexes bool
#define ds_compat_all_indexes true
#define ds_compat_updates_indexes(which) (which)
#define ds_compat_index_entries(info, slot, estate, update, which)                                 \
	ExecInsertIndexTuples((info), (slot), (estate), (update), false, NULL, NIL)
#endif

/* an index is told when the adding of entries ends since 17 */
#if PG_VERSION_NUM >= 170000
#define ds_compat_index_cleanup(index, info) index_insert_cleanup((index), (info))
#else
#define ds_compat_index_cleanup(index, info) ((void) 0)
#endif

/* a range that cannot be made is told without an error since 16 */
#if PG_VERSION_NUM >= 160000
#define ds_compat_make_range(type, lower, upper) make_range((type), (lower), (upper), false, NULL)
#else
#define ds_compat_make_range(type, lower, upper) make_range((type), (lower), (upper), false)
#endif

#endif /* DS_BASE_COMPAT_H */
