/*-------------------------------------------------------------------------
 *
 * slots.c
 *		The workers of the server in shared memory.
 *
 * Process: all. Slot 0 is the launcher's, slot 1 the probe's; the others are
 * given to (database, kind) by the launcher. Shared memory holds ids, counters
 * and texts of fixed size, never a pointer into a process.
 * Locks: one LWLock, held for copies only: nothing under it can throw. What is
 * read at every commit (database, process number) is atomic and read without
 * it. Memory: shared.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "base/shmem.h"
#include "base/wake.h"
#include "worker/slot_memory.h"

DsSlots *ds_worker_slots_memory = NULL;
LWLock *ds_worker_slots_lock = NULL;

/*
 * number_of_slots does the sizing: no more workers can run than the server
 * has places for background workers, so more slots would never be used.
 */
static int
number_of_slots(void)
{
	return DS_SLOT_FIRST + 2 * Max(max_worker_processes, 4);
}

static Size
slots_size(void)
{
	return offsetof(DsSlots, slot) + number_of_slots() * sizeof(DsSlot);
}

/*
 * attach_slots does the initialisation of empty memory, at server start and
 * after each crash.
 */
static void
attach_slots(void *memory, LWLock *lock, bool found)
{
	ds_worker_slots_memory = memory;
	ds_worker_slots_lock = lock;
	if (found)
		return;
	ds_worker_slots_memory->next_generation = 1;
	ds_worker_slots_memory->nslots = number_of_slots();
	for (int i = 0; i < ds_worker_slots_memory->nslots; i++)
	{
		DsSlot *slot = &ds_worker_slots_memory->slot[i];

		pg_atomic_init_u32(&slot->dboid, InvalidOid);
		pg_atomic_init_u32(&slot->proc, 0);
		pg_atomic_init_u32(&slot->leave, 0);
		pg_atomic_init_u32(&slot->wake, 0);
		pg_atomic_init_u32(&slot->defers, 0);
		pg_atomic_init_u64(&slot->last_loop_at, 0);
		for (int c = 0; c < DS_COUNTERS; c++)
			pg_atomic_init_u64(&slot->counters[c], 0);
	}
	ds_worker_slots_memory->slot[DS_SLOT_LAUNCHER].kind = DS_WORKER_LAUNCHER;
	ds_worker_slots_memory->slot[DS_SLOT_LAUNCHER].state = DS_SLOT_STOPPED;
	ds_worker_slots_memory->slot[DS_SLOT_PROBE].kind = DS_WORKER_PROBE;
	ds_worker_slots_memory->slot[DS_SLOT_PROBE].state = DS_SLOT_STOPPED;
}

/*
 * ds_worker_slots_init does the request for shared memory, from _PG_init.
 */
void
ds_worker_slots_init(void)
{
	static const DsShmemPart part = {"distsync workers", slots_size, attach_slots};

	ds_shmem_add(&part);
}

/*
 * ds_worker_slots_ready does the test whether the library was preloaded: without
 * that there are no workers, and everything else works.
 */
bool
ds_worker_slots_ready(void)
{
	return ds_worker_slots_memory != NULL;
}

int
ds_worker_slots_count(void)
{
	return ds_worker_slots_memory != NULL ? ds_worker_slots_memory->nslots : 0;
}

/*
 * is_live does the test whether a process stands, or will stand, behind a slot.
 */
static bool
is_live(const DsSlot *slot)
{
	return slot->state >= DS_SLOT_STARTING;
}

/*
 * set_latch does the wake-up of whoever holds that PGPROC. WHY it needs no
 * lock: latches of PGPROCs live as long as the server; a process that left
 * meanwhile costs its successor one spurious wake-up.
 */
static void
set_latch(DsSlot *slot)
{
	uint32 proc = pg_atomic_read_u32(&slot->proc);

	if (proc != 0)
		SetLatch(&ProcGlobal->allProcs[proc - 1].procLatch);
}

/*
 * ds_worker_slots_view does the copy of one slot; false if nobody has it.
 */
bool
ds_worker_slots_view(int index, DsSlotView *view)
{
	DsSlot *slot = &ds_worker_slots_memory->slot[index];

	LWLockAcquire(ds_worker_slots_lock, LW_SHARED);
	view->dboid = pg_atomic_read_u32(&slot->dboid);
	view->kind = slot->kind;
	view->state = slot->state;
	view->exit = slot->exit;
	view->pid = slot->pid;
	view->generation = slot->generation;
	view->starts = slot->starts;
	view->started_at = slot->started_at;
	memcpy(view->last_error, slot->last_error, DS_SLOT_TEXTLEN);
	memcpy(view->idle_reason, slot->idle_reason, DS_SLOT_TEXTLEN);
	LWLockRelease(ds_worker_slots_lock);
	view->last_loop_at = (TimestampTz) pg_atomic_read_u64(&slot->last_loop_at);
	for (int c = 0; c < DS_COUNTERS; c++)
		view->counters[c] = pg_atomic_read_u64(&slot->counters[c]);
	return view->state != DS_SLOT_FREE;
}

/*
 * find_slot does the search under the lock.
 */
static int
find_slot(Oid dboid, DsWorkerKind kind)
{
	if (kind == DS_WORKER_LAUNCHER)
		return DS_SLOT_LAUNCHER;
	if (kind == DS_WORKER_PROBE)
		return DS_SLOT_PROBE;
	for (int i = DS_SLOT_FIRST; i < ds_worker_slots_memory->nslots; i++)
	{
		DsSlot *slot = &ds_worker_slots_memory->slot[i];

		if (slot->state != DS_SLOT_FREE && slot->kind == kind &&
			pg_atomic_read_u32(&slot->dboid) == dboid)
			return i;
	}
	return DS_SLOT_NONE;
}

int
ds_worker_slots_find(Oid dboid, DsWorkerKind kind)
{
	int index;

	LWLockAcquire(ds_worker_slots_lock, LW_SHARED);
	index = find_slot(dboid, kind);
	LWLockRelease(ds_worker_slots_lock);
	return index;
}

/*
 * find_or_add_slot does the search, or takes a free slot. The counters of a
 * database live as long as its slot.
 */
static int
find_or_add_slot(Oid dboid, DsWorkerKind kind)
{
	int index = find_slot(dboid, kind);

	if (index != DS_SLOT_NONE)
		return index;
	for (int i = DS_SLOT_FIRST; i < ds_worker_slots_memory->nslots; i++)
	{
		DsSlot *slot = &ds_worker_slots_memory->slot[i];

		if (slot->state != DS_SLOT_FREE)
			continue;
		slot->kind = kind;
		slot->state = DS_SLOT_STOPPED;
		slot->starts = 0;
		slot->last_error[0] = '\0';
		pg_atomic_write_u64(&slot->last_loop_at, 0);
		for (int c = 0; c < DS_COUNTERS; c++)
			pg_atomic_write_u64(&slot->counters[c], 0);
		return i;
	}
	return DS_SLOT_NONE;
}

/*
 * is_blocked does the search in the list of databases that shall be empty,
 * under the lock.
 */
static bool
is_blocked(Oid dboid)
{
	for (int i = 0; i < ds_worker_slots_memory->nblocks; i++)
	{
		if (ds_worker_slots_memory->blocks[i] == dboid)
			return true;
	}
	return false;
}

/*
 * ds_worker_slots_reserve does the booking of a slot for a worker that is about to
 * be started, and writes its ticket. False if one is there already, the
 * database is being vacated, or no slot is left.
 */
bool
ds_worker_slots_reserve(Oid dboid, DsWorkerKind kind, DsTicket *ticket)
{
	bool reserved = false;
	int index = DS_SLOT_NONE;
	DsSlot *slot = NULL;

	LWLockAcquire(ds_worker_slots_lock, LW_EXCLUSIVE);
	if (!is_blocked(dboid))
		index = find_or_add_slot(dboid, kind);
	if (index != DS_SLOT_NONE)
		slot = &ds_worker_slots_memory->slot[index];
	if (slot != NULL && !is_live(slot))
	{
		pg_atomic_write_u32(&slot->dboid, dboid);
		pg_atomic_write_u32(&slot->leave, 0);
		slot->state = DS_SLOT_STARTING;
		slot->exit = DS_EXIT_NONE;
		slot->pid = 0;
		slot->generation = ds_worker_slots_memory->next_generation++;
		slot->started_at = GetCurrentTimestamp();
		slot->idle_reason[0] = '\0';
		ticket->slot = index;
		ticket->dboid = dboid;
		ticket->kind = kind;
		ticket->generation = slot->generation;
		reserved = true;
	}
	LWLockRelease(ds_worker_slots_lock);
	return reserved;
}

/*
 * ds_worker_slots_give_up does the return of a slot whose process never came.
 */
void
ds_worker_slots_give_up(const DsTicket *ticket)
{
	DsSlot *slot = &ds_worker_slots_memory->slot[ticket->slot];

	LWLockAcquire(ds_worker_slots_lock, LW_EXCLUSIVE);
	if (slot->generation == ticket->generation && slot->state == DS_SLOT_STARTING)
		slot->state = DS_SLOT_STOPPED;
	LWLockRelease(ds_worker_slots_lock);
}

/*
 * ds_worker_slots_release does the return of all stopped slots of a database.
 */
void
ds_worker_slots_release(Oid dboid)
{
	LWLockAcquire(ds_worker_slots_lock, LW_EXCLUSIVE);
	for (int i = DS_SLOT_FIRST; i < ds_worker_slots_memory->nslots; i++)
	{
		DsSlot *slot = &ds_worker_slots_memory->slot[i];

		if (slot->state == DS_SLOT_STOPPED && pg_atomic_read_u32(&slot->dboid) == dboid)
		{
			slot->state = DS_SLOT_FREE;
			pg_atomic_write_u32(&slot->dboid, InvalidOid);
		}
	}
	LWLockRelease(ds_worker_slots_lock);
}

/*
 * ds_worker_slots_ask_to_leave does the polite request to every worker of a database
 * and returns how many are still there.
 */
int
ds_worker_slots_ask_to_leave(Oid dboid)
{
	int n = 0;

	LWLockAcquire(ds_worker_slots_lock, LW_SHARED);
	for (int i = DS_SLOT_PROBE; i < ds_worker_slots_memory->nslots; i++)
	{
		DsSlot *slot = &ds_worker_slots_memory->slot[i];

		if (!is_live(slot) || pg_atomic_read_u32(&slot->dboid) != dboid)
			continue;
		n++;
		if (pg_atomic_exchange_u32(&slot->leave, 1) == 0)
			set_latch(slot);
	}
	LWLockRelease(ds_worker_slots_lock);
	return n;
}

/*
 * ds_worker_slots_terminate does the impolite one: SIGTERM, which interrupts SQL
 * too. The pid is the worker's as long as we hold the lock: it clears the
 * slot under the same lock before it is gone.
 */
int
ds_worker_slots_terminate(Oid dboid)
{
	int n = 0;

	LWLockAcquire(ds_worker_slots_lock, LW_SHARED);
	for (int i = DS_SLOT_PROBE; i < ds_worker_slots_memory->nslots; i++)
	{
		DsSlot *slot = &ds_worker_slots_memory->slot[i];

		if (!is_live(slot) || slot->pid == 0 || pg_atomic_read_u32(&slot->dboid) != dboid)
			continue;
		n++;
		(void) kill(slot->pid, SIGTERM);
	}
	LWLockRelease(ds_worker_slots_lock);
	return n;
}

/*
 * ds_worker_slots_blocked does the test whether somebody needs the database empty.
 */
bool
ds_worker_slots_blocked(Oid dboid)
{
	bool blocked;

	LWLockAcquire(ds_worker_slots_lock, LW_SHARED);
	blocked = is_blocked(dboid);
	LWLockRelease(ds_worker_slots_lock);
	return blocked;
}

/*
 * ds_worker_slots_block does the reservation of an empty database for the caller's
 * transaction: no worker starts in it until ds_worker_slots_unblock. The same
 * database may be blocked by several. False if there is no room: the caller
 * then goes on without, and a worker may come in its way.
 */
bool
ds_worker_slots_block(Oid dboid)
{
	bool room;

	LWLockAcquire(ds_worker_slots_lock, LW_EXCLUSIVE);
	room = ds_worker_slots_memory->nblocks < DS_MAX_BLOCKS;
	if (room)
		ds_worker_slots_memory->blocks[ds_worker_slots_memory->nblocks++] = dboid;
	LWLockRelease(ds_worker_slots_lock);
	return room;
}

/*
 * ds_worker_slots_unblock does the end of one reservation. It runs in the callback
 * at the end of a transaction and cannot fail.
 */
void
ds_worker_slots_unblock(Oid dboid)
{
	LWLockAcquire(ds_worker_slots_lock, LW_EXCLUSIVE);
	for (int i = 0; i < ds_worker_slots_memory->nblocks; i++)
	{
		if (ds_worker_slots_memory->blocks[i] == dboid)
		{
			ds_worker_slots_memory->blocks[i] =
				ds_worker_slots_memory->blocks[--ds_worker_slots_memory->nblocks];
			break;
		}
	}
	LWLockRelease(ds_worker_slots_lock);
}

/*
 * ds_worker_slots_hint does the note to the launcher that a database deserves a look
 * now. With too many notes the last place says "look at all" (InvalidOid).
 */
void
ds_worker_slots_hint(Oid dboid)
{
	bool known = false;

	LWLockAcquire(ds_worker_slots_lock, LW_EXCLUSIVE);
	for (int i = 0; i < ds_worker_slots_memory->nhints; i++)
		known = known || ds_worker_slots_memory->hints[i] == dboid;
	if (!known && ds_worker_slots_memory->nhints < DS_MAX_HINTS)
		ds_worker_slots_memory->hints[ds_worker_slots_memory->nhints++] = dboid;
	else if (!known)
		ds_worker_slots_memory->hints[DS_MAX_HINTS - 1] = InvalidOid;
	LWLockRelease(ds_worker_slots_lock);
	ds_worker_slots_wake_launcher();
}

/*
 * ds_worker_slots_take_hint does the reading of one note; InvalidOid stands for all
 * databases.
 */
bool
ds_worker_slots_take_hint(Oid *dboid)
{
	bool any;

	LWLockAcquire(ds_worker_slots_lock, LW_EXCLUSIVE);
	any = ds_worker_slots_memory->nhints > 0;
	if (any)
		*dboid = ds_worker_slots_memory->hints[--ds_worker_slots_memory->nhints];
	LWLockRelease(ds_worker_slots_lock);
	return any;
}

/*
 * mark_of does the translation of what a transaction asks for into what a kind
 * of worker is told.
 */
static uint32
mark_of(DsWorkerKind kind, int which)
{
	if (which & (kind == DS_WORKER_COURIER ? DS_WAKE_COURIER : DS_WAKE_CLERK))
		return DS_SLOT_WORK;
	return kind == DS_WORKER_COURIER && (which & DS_WAKE_STATES) ? DS_SLOT_STATES : 0;
}

/*
 * wake_slot does the mark and the latch. WHY states need no latch while they
 * are deferred: who defers looks at the marks again when that is over, and says
 * so before it asks for them. A mark that stands already is not written again,
 * because every commit of a busy server would take the line from the others.
 */
static void
wake_slot(DsSlot *slot, uint32 mark)
{
	if ((pg_atomic_read_u32(&slot->wake) & mark) != mark)
		pg_atomic_fetch_or_u32(&slot->wake, mark);
	if (mark == DS_SLOT_WORK || pg_atomic_read_u32(&slot->defers) == 0)
		set_latch(slot);
}

/*
 * ds_worker_slots_wake does the wake-up of a database's workers, at every commit
 * that brought work: no lock, and nothing that can fail. WHY no wake-up is
 * lost: the commit is visible before we look for the process, a worker
 * publishes its process before it looks for work, and it asks for the mark
 * before it waits, because a wait for a lock may have swallowed the latch.
 */
void
ds_worker_slots_wake(Oid dboid, int which)
{
	static int found[2] = {DS_SLOT_FIRST, DS_SLOT_FIRST};
	static const DsWorkerKind kinds[2] = {DS_WORKER_COURIER, DS_WORKER_CLERK};

	pg_memory_barrier();
	for (int k = 0; k < 2; k++)
	{
		uint32 mark = mark_of(kinds[k], which);

		if (mark == 0)
			continue;
		for (int i = 0; i < ds_worker_slots_memory->nslots - DS_SLOT_FIRST; i++)
		{
			DsSlot *slot = &ds_worker_slots_memory->slot[found[k]];

			if (slot->kind == kinds[k] && pg_atomic_read_u32(&slot->dboid) == dboid)
			{
				wake_slot(slot, mark);
				break;
			}
			if (++found[k] == ds_worker_slots_memory->nslots)
				found[k] = DS_SLOT_FIRST;
		}
	}
}

void
ds_worker_slots_wake_launcher(void)
{
	set_latch(&ds_worker_slots_memory->slot[DS_SLOT_LAUNCHER]);
}
