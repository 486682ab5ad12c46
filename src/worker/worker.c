/*-------------------------------------------------------------------------
 *
 * worker.c
 *		The room's share of _PG_init.
 *
 * Process: postmaster, while it loads shared_preload_libraries. Without that
 * there are no workers; every function of the extension works all the same.
 * Locks: none. Memory: static.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/wake.h"
#include "worker/launcher.h"
#include "worker/lifecycle.h"
#include "worker/slots.h"
#include "worker/worker.h"

/*
 * act_on_marks does what a committed transaction asked for.
 */
static void
act_on_marks(int marks)
{
	ds_worker_slots_wake(MyDatabaseId, marks);
	if (marks & DS_WAKE_ANNOUNCE)
		ds_worker_slots_hint(MyDatabaseId);
}

/*
 * ds_worker_init does the request for shared memory, the hooks and the
 * registration of the launcher.
 */
void
ds_worker_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	ds_worker_slots_init();
	ds_wake_init(act_on_marks);
	ds_worker_lifecycle_init();
	ds_worker_launcher_register();
}
