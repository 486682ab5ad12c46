/*-------------------------------------------------------------------------
 *
 * shmem.h
 *		Shared memory: each room brings its part, this file asks for all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_SHMEM_H
#define DS_BASE_SHMEM_H

#include "storage/lwlock.h"

/* A part of shared memory. "attach" runs in the postmaster; when !found it must initialise. */
typedef struct DsShmemPart
{
	const char *name; /* of the segment and of its lock tranche */
	Size (*size)(void);
	void (*attach)(void *memory, LWLock *lock, bool found);
} DsShmemPart;

extern void ds_shmem_add(const DsShmemPart *part);
extern void ds_shmem_init(void);

#endif /* DS_BASE_SHMEM_H */
