/*-------------------------------------------------------------------------
 *
 * slot.c
 *		A worker's own slot: take it, say how it goes, give it back.
 *
 * Process: launcher, probe, courier, clerk. Locks: the slots' LWLock, for
 * copies only. Memory: shared; a pointer to our slot in this process.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "worker/slot_memory.h"

static DsSlot *my_slot = NULL;
static uint64 my_generation = 0;

/*
 * detach does the clearing of our slot when the process has already left the
 * list of backends, so that whoever waits for an empty database need not wait
 * again. It touches the slot only if it is still ours.
 */
static void
detach(int code, Datum arg)
{
	if (my_slot == NULL)
		return;
	LWLockAcquire(ds_worker_slots_lock, LW_EXCLUSIVE);
	if (my_slot->generation == my_generation && my_slot->pid == MyProcPid)
	{
		pg_atomic_write_u32(&my_slot->proc, 0);
		my_slot->pid = 0;
		my_slot->state = DS_SLOT_STOPPED;
	}
	LWLockRelease(ds_worker_slots_lock);
	my_slot = NULL;
	ds_worker_slots_wake_launcher();
}

/*
 * ds_worker_slot_attach does the taking of the slot that the ticket names, first
 * thing in a worker, so that it can be found and asked to leave while it is
 * still connecting. False if the launcher gave the slot up or the database is
 * being vacated: leave at once. The launcher takes its own with a NULL ticket.
 * WHY on_shmem_exit: registered before the connection, it runs after the
 * process has left the list of backends and before it gives back its PGPROC.
 */
bool
ds_worker_slot_attach(const DsTicket *ticket)
{
	DsSlot *slot = &ds_worker_slots_memory->slot[ticket != NULL ? ticket->slot : DS_SLOT_LAUNCHER];
	bool attached;

	Assert(my_slot == NULL);
	LWLockAcquire(ds_worker_slots_lock, LW_EXCLUSIVE);
	if (ticket == NULL)
	{
		slot->generation = ds_worker_slots_memory->next_generation++;
		attached = true;
	}
	else
		attached = slot->generation == ticket->generation && slot->state == DS_SLOT_STARTING;
	if (attached)
	{
		slot->pid = MyProcPid;
		slot->state = DS_SLOT_ACTIVE;
		slot->started_at = GetCurrentTimestamp();
		slot->starts++;
		pg_atomic_write_u32(&slot->proc, ds_compat_my_proc_number() + 1);
		my_generation = slot->generation;
		my_slot = slot;
	}
	LWLockRelease(ds_worker_slots_lock);
	if (attached)
		on_shmem_exit(detach, (Datum) 0);
	pg_memory_barrier();
	return attached;
}

/*
 * ds_worker_slot_asked_to_leave does the question that a worker puts at each loop.
 */
bool
ds_worker_slot_asked_to_leave(void)
{
	return my_slot != NULL && pg_atomic_read_u32(&my_slot->leave) != 0;
}

/*
 * ds_worker_slot_take_wake does the question whether a commit brought work since
 * it was asked last; while states are deferred, work of another kind. WHY not
 * the latch alone: the server sets it for reasons of its own (signals between
 * processes, an alarm clock that nobody needs any more), and each look for
 * nothing is a transaction; and it resets it when it waits for a lock in the
 * middle of ours, which would be a wake-up lost.
 */
bool
ds_worker_slot_take_wake(void)
{
	uint32 mask = DS_SLOT_WORK | DS_SLOT_STATES;

	if (my_slot == NULL)
		return true;
	if (pg_atomic_read_u32(&my_slot->defers) != 0)
		mask = DS_SLOT_WORK;
	return (pg_atomic_fetch_and_u32(&my_slot->wake, ~mask) & mask) != 0;
}

/*
 * ds_worker_slot_defer_states does the beginning or the end of a time in which
 * commits that bring states only are noted and wake nobody.
 */
void
ds_worker_slot_defer_states(bool defer)
{
	if (my_slot == NULL || pg_atomic_read_u32(&my_slot->defers) == (defer ? 1 : 0))
		return;
	pg_atomic_exchange_u32(&my_slot->defers, defer ? 1 : 0);
}

/*
 * ds_worker_slot_set_state does the publishing of state and reason; cheap when
 * nothing changed, since a loop calls it each time.
 */
void
ds_worker_slot_set_state(DsSlotState state, const char *idle_reason)
{
	const char *reason = idle_reason != NULL ? idle_reason : "";

	/* nobody else writes these while the slot is ours: no lock to read them */
	if (my_slot == NULL || (my_slot->state == state && strcmp(my_slot->idle_reason, reason) == 0))
		return;
	LWLockAcquire(ds_worker_slots_lock, LW_EXCLUSIVE);
	my_slot->state = state;
	strlcpy(my_slot->idle_reason, reason, DS_SLOT_TEXTLEN);
	LWLockRelease(ds_worker_slots_lock);
}

void
ds_worker_slot_set_exit(DsSlotExit reason)
{
	if (my_slot == NULL)
		return;
	LWLockAcquire(ds_worker_slots_lock, LW_EXCLUSIVE);
	my_slot->exit = reason;
	LWLockRelease(ds_worker_slots_lock);
}

void
ds_worker_slot_set_error(const char *message)
{
	if (my_slot == NULL)
		return;
	LWLockAcquire(ds_worker_slots_lock, LW_EXCLUSIVE);
	strlcpy(my_slot->last_error, message, DS_SLOT_TEXTLEN);
	LWLockRelease(ds_worker_slots_lock);
	pg_atomic_fetch_add_u64(&my_slot->counters[DS_COUNT_ERRORS], 1);
}

/*
 * ds_worker_slot_beat does the heartbeat of a loop.
 */
void
ds_worker_slot_beat(void)
{
	if (my_slot == NULL)
		return;
	pg_atomic_write_u64(&my_slot->last_loop_at, (uint64) GetCurrentTimestamp());
	pg_atomic_fetch_add_u64(&my_slot->counters[DS_COUNT_LOOPS], 1);
}

void
ds_worker_slot_count(DsCounter counter, uint64 n)
{
	if (my_slot != NULL && n > 0)
		pg_atomic_fetch_add_u64(&my_slot->counters[counter], n);
}

const char *
ds_worker_kind_name(DsWorkerKind kind)
{
	static const char *const names[] = {"launcher", "probe", "courier", "clerk"};

	return names[kind];
}

const char *
ds_worker_slot_state_name(DsSlotState state)
{
	static const char *const names[] = {"free",	  "stopped", "starting",
										"active", "idle",	 "stopping"};

	return names[state];
}
