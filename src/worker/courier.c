/*-------------------------------------------------------------------------
 *
 * courier.c
 *		The courier: the loop of the process that talks to partners.
 *
 * Process: one background worker a database. One wait for everything: the
 * latch (a commit that brought work, a signal), the death of the postmaster,
 * and the HTTP driver's one descriptor. No transaction is open while it waits
 * or while HTTP runs.
 * Locks: none here. Memory: one struct in TopMemoryContext for the life of the
 * process; the scratch context is reset each loop. Handles of HTTP are the
 * process's own and never in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "base/export.h"
#include "worker/courier.h"
#include "worker/handlers.h"

#define DS_HANDLERS_AGE_MS 30000
#define DS_LEAVE_MS 500
#define DS_REST_MS 1000
#define DS_LOOK_SPACING_MS 5
#define DS_IDLE_SPACING_MS 20

extern PGDLLEXPORT void ds_worker_courier_main(Datum arg);

static const char *const task_names[DS_COURIER_TASKS] = {"route", "ring",	  "feed_claim",
														 "claim", "next_due", "feed_next_due",
														 "",	  "finish",	  "feed_finish"};

/*
 * create_courier does the set-up of everything that lives as long as the
 * process.
 */
static DsCourier *
create_courier(void)
{
	DsCourier *courier = MemoryContextAllocZero(TopMemoryContext, sizeof(DsCourier));
	char error[DS_HTTP_ERROR_LEN] = "";

	courier->scratch =
		AllocSetContextCreate(TopMemoryContext, "distsync courier turn", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < DS_COURIER_MAX_IN_FLIGHT; i++)
		courier->free[courier->nfree++] = DS_COURIER_MAX_IN_FLIGHT - 1 - i;
	strlcpy(courier->task[DS_COURIER_TRANSACTION].name, "transaction", NAMEDATALEN);
	if (!pg_strong_random(courier->worker.data, UUID_LEN))
		ds_worker_session_leave(DS_EXIT_REFUSED, "could not generate a random worker id");
	courier->worker.data[6] = (courier->worker.data[6] & 0x0f) | 0x40;
	courier->worker.data[8] = (courier->worker.data[8] & 0x3f) | 0x80;
	courier->http = ds_http_create(DS_COURIER_MAX_IN_FLIGHT, error, sizeof(error));
	if (courier->http == NULL)
		ds_worker_session_leave(DS_EXIT_REFUSED, error);
	return courier;
}

/*
 * read_tasks does the binding of the tasks to what the rooms registered, now and
 * then. What claims without anybody to record is not run at all. There may be
 * work if a task is new, or if we could not read for a while.
 */
static void
read_tasks(DsCourier *courier)
{
	static DsHandlers handlers;
	static TimestampTz read_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	bool reload = ds_worker_session_take_reload();
	bool changed = reload || read_at == 0;
	DsFailure failure;

	if (!reload && !TimestampDifferenceExceeds(read_at, now, DS_HANDLERS_AGE_MS))
		return;
	read_at = now;
	switch (ds_worker_handlers_read("courier", &handlers, &failure))
	{
		case DS_DONE:
			break;
		case DS_IDLE:
			read_at = 0;
			ds_worker_slot_set_state(DS_SLOT_IDLE, ds_worker_session_idle_reason());
			return;
		case DS_FAILED:
			read_at = 0;
			ds_worker_task_failed(&courier->task[DS_COURIER_TRANSACTION], &failure);
			return;
	}
	for (int kind = 0; kind < DS_COURIER_TASKS; kind++)
	{
		const char *function = ds_worker_handlers_function(&handlers, task_names[kind]);

		if (kind == DS_COURIER_TRANSACTION)
			continue;
		if ((kind == DS_COURIER_CLAIM &&
			 ds_worker_handlers_function(&handlers, "finish")[0] == '\0') ||
			(kind == DS_COURIER_FEED_CLAIM &&
			 ds_worker_handlers_function(&handlers, "feed_finish")[0] == '\0'))
			function = "";
		changed = ds_worker_task_name(&courier->task[kind], task_names[kind], function) || changed;
	}
	courier->look = courier->look || changed;
}

/*
 * may_dispatch does the test whether the pause after a failure is over.
 */
static bool
may_dispatch(const DsCourier *courier, TimestampTz now)
{
	return ds_worker_due(courier->task[DS_COURIER_TRANSACTION].not_before, now, DS_BACKOFF_MAX_MS);
}

/*
 * note_wakes does the question whether commits brought work. States that the
 * router leaves alone for a while are none until then.
 */
static void
note_wakes(DsCourier *courier)
{
	if (courier->states_at != 0 &&
		ds_worker_due(courier->states_at, GetCurrentTimestamp(), DS_STATES_MAX_MS))
		courier->states_at = 0;
	ds_worker_slot_defer_states(courier->states_at != 0);
	if (ds_worker_slot_take_wake())
		courier->look = true;
}

/*
 * next_event does the computation of how long there is nothing to do, in
 * milliseconds, at most the poll interval.
 */
static long
next_event(const DsCourier *courier, bool leaving)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = ds_worker_courier_record_due(courier);
	long http_ms = ds_http_timeout_ms(courier->http);
	long wait_ms;

	if (leaving)
		next = Min(next, TimestampTzPlusMilliseconds(now, DS_LEAVE_MS / 10));
	else
		next = Min(next, Max(courier->look ? now : courier->next_look,
							 courier->task[DS_COURIER_TRANSACTION].not_before));
	next = Min(next, TimestampTzPlusMilliseconds(now, ds_guc_courier_poll_interval));
	wait_ms = TimestampDifferenceMilliseconds(now, next);
	if (http_ms >= 0)
		wait_ms = Min(wait_ms, http_ms);
	return wait_ms;
}

/*
 * rest_between_looks does the spacing of wake-ups that follow each other
 * closely: after a turn that ended just now we rest as long as it took, and
 * four times as long while no answer can come in. WHY: on a busy machine the
 * time belongs to the writers who wake us, and the next turn finds more to do
 * at once. WHY before the latch is reset: while it is set, a commit costs its
 * backend no signal.
 */
static void
rest_between_looks(const DsCourier *courier, TimestampTz turn_began, TimestampTz turn_ended)
{
	bool idle = ds_http_inflight(courier->http) == 0;
	TimestampTz longest = (idle ? DS_IDLE_SPACING_MS : DS_LOOK_SPACING_MS) * INT64CONST(1000);
	TimestampTz rest = Min((turn_ended - turn_began) * (idle ? 4 : 1), longest);
	TimestampTz since = GetCurrentTimestamp() - turn_ended;

	if (since >= 0 && since < rest)
		pg_usleep((long) (rest - since));
}

/*
 * wait_for_event does the one wait, and notes whether commits brought work.
 */
static void
wait_for_event(DsCourier *courier, WaitEventSet *set, uint32 wait_event, bool leaving)
{
	static TimestampTz woken_at = 0;
	TimestampTz turn_ended = GetCurrentTimestamp();
	WaitEvent events[3];
	long timeout;
	int n;

	Assert(!IsTransactionState());
	note_wakes(courier);
	timeout = next_event(courier, leaving);
	if (timeout >= DS_REST_MS)
		ds_worker_session_rest();
	n = WaitEventSetWait(set, timeout, events, lengthof(events), wait_event);
	for (int i = 0; i < n; i++)
	{
		if (events[i].events & WL_LATCH_SET)
		{
			rest_between_looks(courier, woken_at, turn_ended);
			ResetLatch(MyLatch);
		}
	}
	note_wakes(courier);
	woken_at = GetCurrentTimestamp();
}

/*
 * check_leaving does the polite end when somebody needs the database empty:
 * nothing new is claimed, what is on its way gets half a second, what has
 * come back is recorded.
 */
static bool
check_leaving(DsCourier *courier, TimestampTz now)
{
	static TimestampTz leaving_since = 0;

	if (!ds_worker_slot_asked_to_leave())
		return false;
	if (leaving_since == 0)
	{
		leaving_since = now;
		ds_worker_slot_set_state(DS_SLOT_STOPPING, NULL);
	}
	if (ds_worker_courier_used(courier) == 0 ||
		TimestampDifferenceExceeds(leaving_since, now, DS_LEAVE_MS))
	{
		ds_http_destroy(courier->http);
		ds_worker_session_leave(DS_EXIT_ASKED, NULL);
	}
	return true;
}

/*
 * turn does one round of the loop, without the wait.
 */
static bool
turn(DsCourier *courier)
{
	TimestampTz now;
	bool leaving;

	MemoryContextReset(courier->scratch);
	ds_worker_session_interrupts();
	ds_worker_slot_beat();
	ds_http_drive(courier->http);
	ds_worker_courier_harvest(courier);
	now = GetCurrentTimestamp();
	leaving = check_leaving(courier, now);
	if (!leaving && may_dispatch(courier, now))
		read_tasks(courier);
	if (courier->ndone > 0 &&
		ds_worker_due(ds_worker_courier_record_due(courier), now, DS_BACKOFF_MAX_MS))
		ds_worker_courier_record(courier);
	now = GetCurrentTimestamp();
	if (!leaving &&
		(courier->look || ds_worker_due(courier->next_look, now, ds_guc_courier_poll_interval)) &&
		may_dispatch(courier, now))
	{
		ds_worker_courier_dispatch(courier);
		ds_http_drive(courier->http);
		ds_worker_courier_harvest(courier);
	}
	return leaving;
}

/*
 * ds_worker_courier_main does the courier's life.
 */
void
ds_worker_courier_main(Datum arg)
{
	DsCourier *courier;
	WaitEventSet *set;
	uint32 wait_event;

	ds_worker_session_start(DS_WORKER_COURIER);
	courier = create_courier();
	wait_event = ds_compat_wait_event("DistSyncCourier");
	set = ds_compat_create_wait_set(3);
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(set, WL_SOCKET_READABLE, ds_http_fd(courier->http), NULL, NULL);
	for (;;)
	{
		MemoryContextSwitchTo(courier->scratch);
		wait_for_event(courier, set, wait_event, turn(courier));
	}
}
