/*-------------------------------------------------------------------------
 *
 * distsync.c
 *		Entry point of the library: the order of initialisation, nothing else.
 *
 * Process: postmaster (when preloaded) and every backend that loads it.
 * Locks: none. Memory: TopMemoryContext through GUC registration.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/codes.h"
#include "base/failpoint.h"
#include "base/guc.h"
#include "base/mute.h"
#include "base/hint.h"
#include "base/ring.h"
#include "base/shmem.h"
#include "inventory/event.h"
#include "outbox/capture.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

/*
 * _PG_init does the registration of everything the server must know before
 * the first query: settings first, because the other rooms read them.
 */
void
_PG_init(void)
{
	ds_guc_init();
	ds_base_ring_init();
	ds_base_mute_init();
	ds_hint_init();
	ds_codes_init();
	ds_outbox_capture_init();
	ds_failpoint_init();
	ds_inventory_event_init();
	ds_worker_init();
	ds_shmem_init();
}
