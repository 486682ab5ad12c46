/*-------------------------------------------------------------------------
 *
 * shmem.c
 *		Request and start-up of the shared memory of all rooms.
 *
 * Process: postmaster, while it loads shared_preload_libraries, and again
 * after each crash (the server then rebuilds shared memory and calls the
 * start-up hook with empty memory).
 * Locks: AddinShmemInitLock while attaching. Memory: static.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "base/shmem.h"

#define DS_SHMEM_MAX_PARTS 8

static const DsShmemPart *parts[DS_SHMEM_MAX_PARTS];
static int nparts = 0;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

/*
 * request_parts does the asking for memory and locks, which the server allows
 * in this hook only.
 */
static void
request_parts(void)
{
	if (previous_request_hook)
		previous_request_hook();
	for (int i = 0; i < nparts; i++)
	{
		RequestAddinShmemSpace(MAXALIGN(parts[i]->size()));
		RequestNamedLWLockTranche(parts[i]->name, 1);
	}
}

/*
 * attach_parts does the allocation and hands each room its memory and lock.
 */
static void
attach_parts(void)
{
	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < nparts; i++)
	{
		Size size = parts[i]->size();
		bool found;
		void *memory = ShmemInitStruct(parts[i]->name, size, &found);

		if (!found)
			memset(memory, 0, size);
		parts[i]->attach(memory, &GetNamedLWLockTranche(parts[i]->name)->lock, found);
	}
	LWLockRelease(AddinShmemInitLock);
}

/*
 * ds_shmem_add does the registration of one part; called from _PG_init only.
 */
void
ds_shmem_add(const DsShmemPart *part)
{
	if (nparts >= DS_SHMEM_MAX_PARTS)
		ereport(FATAL,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("distsync has more than %d parts of shared memory", DS_SHMEM_MAX_PARTS)));
	parts[nparts++] = part;
}

/*
 * ds_shmem_init does the installation of the two hooks, after all parts have
 * been added. Without shared_preload_libraries there is nothing to install.
 */
void
ds_shmem_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_parts;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_parts;
}
