/*-------------------------------------------------------------------------
 *
 * slot_memory.h
 *		The layout of the slots in shared memory: for slots.c, which serves
 *		everybody, and slot.c, which serves the worker that owns one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_WORKER_SLOT_MEMORY_H
#define DS_WORKER_SLOT_MEMORY_H

#include "port/atomics.h"
#include "storage/lwlock.h"

#include "worker/slots.h"

#define DS_SLOT_LAUNCHER 0
#define DS_SLOT_PROBE 1
#define DS_SLOT_FIRST 2
#define DS_SLOT_WORK 0x01
#define DS_SLOT_STATES 0x02
#define DS_MAX_HINTS 32
#define DS_MAX_BLOCKS 32

typedef struct DsSlot
{
	pg_atomic_uint32 dboid;
	pg_atomic_uint32 proc; /* number of the PGPROC + 1 while attached, else 0 */
	pg_atomic_uint32 leave;
	pg_atomic_uint32 wake; /* DS_SLOT_WORK, DS_SLOT_STATES: commits brought it, nobody looked yet */
	pg_atomic_uint32 defers; /* states need no latch: the worker looks by its own clock */
	pg_atomic_uint64 last_loop_at;
	pg_atomic_uint64 counters[DS_COUNTERS];
	/* under the lock from here on */
	DsWorkerKind kind;
	DsSlotState state;
	DsSlotExit exit;
	int pid;
	uint64 generation;
	uint64 starts;
	TimestampTz started_at;
	char last_error[DS_SLOT_TEXTLEN];
	char idle_reason[DS_SLOT_TEXTLEN];
} DsSlot;

typedef struct DsSlots
{
	uint64 next_generation;
	int nhints;
	Oid hints[DS_MAX_HINTS];
	int nblocks;
	Oid blocks[DS_MAX_BLOCKS];
	int nslots;
	DsSlot slot[FLEXIBLE_ARRAY_MEMBER];
} DsSlots;

extern DsSlots *ds_worker_slots_memory; /* NULL where the library is not preloaded */
extern LWLock *ds_worker_slots_lock;

#endif /* DS_WORKER_SLOT_MEMORY_H */
