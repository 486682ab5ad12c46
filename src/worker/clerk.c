/*-------------------------------------------------------------------------
 *
 * clerk.c
 *		The clerk: the loop of the process that works inside the database.
 *
 * Process: one background worker a database. It runs the tasks that the rooms
 * registered (apply, time boundaries, re-evaluation, retention), each in
 * transactions of its own and of a bounded number of rows, in rounds, so that
 * a task with much to do does not keep the others waiting. A task that fails
 * pauses; the others go on.
 * Locks: those of the tasks, until their commit. Memory: one struct in
 * TopMemoryContext; the scratch context is reset each round.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "base/export.h"
#include "base/failpoint.h"
#include "base/guc.h"
#include "base/spi.h"
#include "worker/handlers.h"

#define DS_HANDLERS_AGE_MS 30000
#define DS_DUE_PAUSE_MS 50
#define DS_REST_MS 1000
#define DS_NEXT_DUE_SUFFIX ".next_due"

extern PGDLLEXPORT void ds_worker_clerk_main(Datum arg);

typedef struct DsClerk
{
	MemoryContext scratch;
	DsTask transaction; /* no function: what is around the tasks */
	int ntasks;
	DsTask task[DS_MAX_HANDLERS];
	DsTask due[DS_MAX_HANDLERS]; /* when there is work for it again; may be unregistered */
	bool look;
	TimestampTz next_look;
	TimestampTz next_due;
	DsTask *current;
	int32 done; /* what the task that ran returned */
} DsClerk;

/*
 * is_next_due does the test for the second function of a task.
 */
static bool
is_next_due(const char *name)
{
	size_t len = strlen(name);
	size_t suffix = strlen(DS_NEXT_DUE_SUFFIX);

	return len > suffix && strcmp(name + len - suffix, DS_NEXT_DUE_SUFFIX) == 0;
}

/*
 * bind_tasks does the transfer of the registry into our list. True: a task is new.
 */
static bool
bind_tasks(DsClerk *clerk, const DsHandlers *handlers)
{
	bool changed = false;
	int n = 0;

	for (int i = 0; i < handlers->n; i++)
	{
		const DsHandler *handler = &handlers->handler[i];
		char due[NAMEDATALEN + sizeof(DS_NEXT_DUE_SUFFIX)];

		if (is_next_due(handler->name))
			continue;
		snprintf(due, sizeof(due), "%s%s", handler->name, DS_NEXT_DUE_SUFFIX);
		changed = ds_worker_task_name(&clerk->task[n], handler->name, handler->function) || changed;
		changed =
			ds_worker_task_name(&clerk->due[n], due, ds_worker_handlers_function(handlers, due)) ||
			changed;
		n++;
	}
	for (int i = n; i < clerk->ntasks; i++)
	{
		ds_worker_task_name(&clerk->task[i], "", "");
		ds_worker_task_name(&clerk->due[i], "", "");
	}
	clerk->ntasks = n;
	return changed;
}

/*
 * note_failure does the blaming: the task, or what is around all of them.
 */
static void
note_failure(DsClerk *clerk, DsTask *task, const DsFailure *failure)
{
	if (failure->in_step)
		ds_worker_task_failed(task, failure);
	else
	{
		/* nobody has looked for what we were woken for */
		clerk->look = true;
		ds_worker_task_failed(&clerk->transaction, failure);
		ds_worker_slot_set_state(DS_SLOT_IDLE, failure->message);
	}
}

/*
 * read_tasks does the reading of the registry, now and then. There may be work if
 * a task is new, or if we could not read for a while.
 */
static void
read_tasks(DsClerk *clerk)
{
	static DsHandlers handlers;
	static TimestampTz read_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	bool reload = ds_worker_session_take_reload();
	bool first = read_at == 0;
	DsFailure failure;

	if (!reload && !TimestampDifferenceExceeds(read_at, now, DS_HANDLERS_AGE_MS))
		return;
	read_at = now;
	switch (ds_worker_handlers_read("clerk", &handlers, &failure))
	{
		case DS_DONE:
			clerk->look = bind_tasks(clerk, &handlers) || reload || first || clerk->look;
			break;
		case DS_IDLE:
			read_at = 0;
			ds_worker_slot_set_state(DS_SLOT_IDLE, ds_worker_session_idle_reason());
			break;
		case DS_FAILED:
			read_at = 0;
			ds_worker_task_failed(&clerk->transaction, &failure);
			break;
	}
}

/*
 * task_step does the call of one task.
 */
static void
task_step(void *arg)
{
	static const Oid type = INT4OID;
	Oid argtypes[1] = {INT4OID};
	DsClerk *clerk = arg;
	DsTask *task = clerk->current;
	Datum values[1] = {Int32GetDatum(ds_guc_clerk_batch)};

	ds_spi_run(ds_worker_task_plan(task, 1, argtypes), values, NULL);
	ds_spi_expect(task->function, &type, 1);
	clerk->done = ds_spi_int32(0, 1, 0);
	DS_FAILPOINT("worker.clerk.before_commit");
}

/*
 * due_step does the question when one task has work again.
 */
static void
due_step(void *arg)
{
	static const Oid type = TIMESTAMPTZOID;
	DsClerk *clerk = arg;
	DsTask *task = clerk->current;
	bool isnull;
	Datum value;

	ds_spi_run(ds_worker_task_plan(task, 0, NULL), NULL, NULL);
	ds_spi_expect(task->function, &type, 1);
	value = ds_spi_datum(0, 1, &isnull);
	if (!isnull)
		clerk->next_due = Min(clerk->next_due, DatumGetTimestampTz(value));
}

/*
 * run_one does one transaction of one task; false if nothing may run now.
 */
static bool
run_one(DsClerk *clerk, DsTask *task, DsStep step)
{
	char activity[NAMEDATALEN + 32];
	DsFailure failure;

	MemoryContextReset(clerk->scratch);
	ds_worker_session_interrupts();
	ds_worker_slot_beat();
	if (ds_worker_slot_asked_to_leave())
		ds_worker_session_leave(DS_EXIT_ASKED, NULL);
	snprintf(activity, sizeof(activity), "distsync: %s", task->name);
	clerk->current = task;
	clerk->done = 0;
	switch (ds_worker_session_run(activity, DS_NEEDS_ACTIVE, step, clerk, &failure))
	{
		case DS_DONE:
			ds_worker_slot_set_state(DS_SLOT_ACTIVE, NULL);
			ds_worker_task_worked(task);
			ds_worker_task_worked(&clerk->transaction);
			DS_FAILPOINT("worker.clerk.after_commit");
			return true;
		case DS_IDLE:
			ds_worker_slot_set_state(DS_SLOT_IDLE, ds_worker_session_idle_reason());
			clerk->next_look = TimestampTzPlusMilliseconds(
				GetCurrentTimestamp(),
				Min(ds_guc_clerk_poll_interval, ds_worker_session_idle_pause()));
			return false;
		case DS_FAILED:
			note_failure(clerk, task, &failure);
			return failure.in_step;
	}
	return false;
}

/*
 * plan_next_look does the decision when to look again without a wake-up.
 */
static void
plan_next_look(DsClerk *clerk)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = TimestampTzPlusMilliseconds(now, ds_guc_clerk_poll_interval);

	if (clerk->next_due < next)
		next = Max(clerk->next_due, TimestampTzPlusMilliseconds(now, DS_DUE_PAUSE_MS));
	for (int i = 0; i < clerk->ntasks; i++)
	{
		if (clerk->task[i].not_before > now)
			next = Min(next, clerk->task[i].not_before);
		if (clerk->due[i].not_before > now)
			next = Min(next, clerk->due[i].not_before);
	}
	clerk->next_look = next;
}

/*
 * round_of_tasks does each task once; if none had anything to do, it asks
 * when that will be.
 */
static void
round_of_tasks(DsClerk *clerk)
{
	clerk->look = false;
	for (int i = 0; i < clerk->ntasks; i++)
	{
		if (!ds_worker_task_ready(&clerk->task[i], GetCurrentTimestamp()))
			continue;
		if (!run_one(clerk, &clerk->task[i], task_step))
			return;
		if (clerk->done > 0)
		{
			clerk->look = true;
			ds_worker_slot_count(DS_COUNT_WORK, clerk->done);
		}
	}
	if (clerk->look)
		return;
	clerk->next_due = DT_NOEND;
	for (int i = 0; i < clerk->ntasks; i++)
	{
		if (ds_worker_task_ready(&clerk->due[i], GetCurrentTimestamp()) &&
			!run_one(clerk, &clerk->due[i], due_step))
			return;
	}
	plan_next_look(clerk);
}

/*
 * wait_for_work does the wait for latch, time or the end of the postmaster, and
 * notes whether commits brought work.
 */
static void
wait_for_work(DsClerk *clerk, uint32 wait_event)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next;
	long timeout;
	int events;

	Assert(!IsTransactionState());
	clerk->look = ds_worker_slot_take_wake() || clerk->look;
	next = Max(clerk->look ? now : clerk->next_look, clerk->transaction.not_before);
	next = Min(next, TimestampTzPlusMilliseconds(now, ds_guc_clerk_poll_interval));
	timeout = TimestampDifferenceMilliseconds(now, next);
	if (timeout >= DS_REST_MS)
		ds_worker_session_rest();
	events =
		WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout, wait_event);
	if (events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	clerk->look = ds_worker_slot_take_wake() || clerk->look;
}

/*
 * ds_worker_clerk_main does the clerk's life.
 */
void
ds_worker_clerk_main(Datum arg)
{
	DsClerk *clerk;
	uint32 wait_event;

	ds_worker_session_start(DS_WORKER_CLERK);
	clerk = MemoryContextAllocZero(TopMemoryContext, sizeof(DsClerk));
	clerk->scratch =
		AllocSetContextCreate(TopMemoryContext, "distsync clerk round", ALLOCSET_DEFAULT_SIZES);
	strlcpy(clerk->transaction.name, "transaction", NAMEDATALEN);
	wait_event = ds_compat_wait_event("DistSyncClerk");
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();

		MemoryContextSwitchTo(clerk->scratch);
		ds_worker_session_interrupts();
		ds_worker_slot_beat();
		if (ds_worker_slot_asked_to_leave())
			ds_worker_session_leave(DS_EXIT_ASKED, NULL);
		if (ds_worker_due(clerk->transaction.not_before, now, DS_BACKOFF_MAX_MS))
		{
			read_tasks(clerk);
			if (clerk->look || ds_worker_due(clerk->next_look, now, ds_guc_clerk_poll_interval))
				round_of_tasks(clerk);
		}
		wait_for_work(clerk, wait_event);
	}
}
