/*-------------------------------------------------------------------------
 *
 * supervise.c
 *		One worker of one database as the launcher sees it: start it, notice
 *		that it left.
 *
 * Process: launcher. What runs is read from the slots, so that a launcher that
 * was itself restarted finds the workers of the former one. The handle only
 * tells of a process that never reached its slot.
 * Locks: the slots'. Memory: handles in the launcher's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/timestamp.h"

#include "base/export.h"
#include "worker/supervise.h"
#include "worker/task.h"

/* a worker that ran so long had recovered: its next failure counts from one */
#define DS_RECOVERED_MS 60000
/* a process of a former launcher that never came is given up after this */
#define DS_START_TIMEOUT_MS 60000

static const char *const entry_points[DS_WORKER_KINDS] = {
	"ds_worker_launcher_main", "ds_worker_probe_main", "ds_worker_courier_main",
	"ds_worker_clerk_main"};

/* places in the server that workers of ours have given back */
static uint64 places_freed = 0;

/*
 * stop_watching does the end of our interest in one process.
 */
static void
stop_watching(DsLaunch *launch)
{
	if (launch->handle != NULL)
		pfree(launch->handle);
	launch->handle = NULL;
	launch->watched = false;
}

/*
 * never_came does the test whether the process of a starting slot can still
 * be expected.
 */
static bool
never_came(const DsLaunch *launch, const DsSlotView *view, TimestampTz now)
{
	pid_t pid;

	if (launch->handle != NULL)
		return GetBackgroundWorkerPid(launch->handle, &pid) == BGWH_STOPPED;
	return TimestampDifferenceExceeds(view->started_at, now, DS_START_TIMEOUT_MS);
}

/*
 * note_exit does the decision when the next start may be: at once after a
 * polite exit, after a pause that grows after anything else.
 */
static void
note_exit(DsLaunch *launch, DsSlotExit reason, TimestampTz started_at, TimestampTz now)
{
	if (reason == DS_EXIT_ASKED || reason == DS_EXIT_ABSENT || reason == DS_EXIT_PRESENT)
	{
		launch->failures = 0;
		launch->not_before = 0;
	}
	else
	{
		if (TimestampDifferenceExceeds(started_at, now, DS_RECOVERED_MS))
			launch->failures = 0;
		launch->failures++;
		launch->not_before = ds_worker_backoff(now, launch->failures);
	}
}

/*
 * ds_worker_supervise_look does the comparison of what we believe with the slot.
 */
DsChild
ds_worker_supervise_look(DsLaunch *launch, Oid dboid, DsWorkerKind kind, DsSlotExit *reason)
{
	int slot = ds_worker_slots_find(dboid, kind);
	TimestampTz now = GetCurrentTimestamp();
	DsSlotView view;
	pid_t pid;

	if (slot == DS_SLOT_NONE || !ds_worker_slots_view(slot, &view))
		return DS_CHILD_NONE;
	if (view.state >= DS_SLOT_STARTING && !launch->watched)
	{
		/* started by a former launcher */
		launch->ticket = (DsTicket){slot, view.dboid, kind, view.generation};
		launch->watched = true;
	}
	if (view.state == DS_SLOT_STARTING && never_came(launch, &view, now))
	{
		/* it may have come and gone since the view was taken: look again */
		ds_worker_slots_give_up(&launch->ticket);
		if (!ds_worker_slots_view(slot, &view))
			return DS_CHILD_NONE;
	}
	if (view.state >= DS_SLOT_STARTING)
		return DS_CHILD_RUNS;
	if (!launch->watched || view.generation != launch->ticket.generation)
		return DS_CHILD_NONE;
	/* it has left its slot, but holds its place until the postmaster has noticed and tells us */
	if (launch->handle != NULL && GetBackgroundWorkerPid(launch->handle, &pid) != BGWH_STOPPED)
		return DS_CHILD_RUNS;
	stop_watching(launch);
	places_freed++;
	*reason = view.exit;
	note_exit(launch, view.exit, view.started_at, now);
	return DS_CHILD_LEFT;
}

/*
 * note_places does the complaint that no place for a worker is left: once for
 * as long as any start fails for that reason, however many there are.
 */
static void
note_places(DsLaunch *launch, bool exhausted, const char *dbname)
{
	static int nexhausted = 0;

	if (launch->exhausted == exhausted)
		return;
	launch->exhausted = exhausted;
	nexhausted += exhausted ? 1 : -1;
	if (exhausted && nexhausted == 1)
		ereport(
			WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("no place is left for the distsync workers of database \"%s\"", dbname),
			 errdetail("max_worker_processes is %d; the launcher needs 1 place, each database "
					   "2, and 1 more now and then.",
					   max_worker_processes),
			 errhint("Raise max_worker_processes, or name the databases that shall have workers "
					 "in distsync.databases. The launcher keeps trying.")));
	if (!exhausted && nexhausted == 0)
		ereport(LOG, (errmsg("distsync workers have found places again")));
}

/*
 * ds_worker_supervise_forget does the clean end before the memory of a launch goes.
 */
void
ds_worker_supervise_forget(DsLaunch *launch)
{
	stop_watching(launch);
	note_places(launch, false, "");
}

/*
 * ds_worker_supervise_ready does the test whether the pause after a failure
 * is over. Waiting for a place is over when one has been given back.
 */
bool
ds_worker_supervise_ready(const DsLaunch *launch, TimestampTz now)
{
	return now >= launch->not_before || (launch->exhausted && launch->places_seen != places_freed);
}

/*
 * ds_worker_supervise_start does the start of one process. It never restarts by
 * itself: the launcher decides, and a dead worker holds no place.
 */
bool
ds_worker_supervise_start(DsLaunch *launch, Oid dboid, DsWorkerKind kind, const char *dbname)
{
	BackgroundWorker worker;
	bool registered;

	Assert(!launch->watched);
	if (!ds_worker_slots_reserve(dboid, kind, &launch->ticket))
		return false;
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "distsync");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "%s", entry_points[kind]);
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "distsync %s", ds_worker_kind_name(kind));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "distsync %s for database %u",
			 ds_worker_kind_name(kind), dboid);
	StaticAssertStmt(sizeof(DsTicket) <= BGW_EXTRALEN, "the ticket must fit into bgw_extra");
	memcpy(worker.bgw_extra, &launch->ticket, sizeof(DsTicket));
	registered = RegisterDynamicBackgroundWorker(&worker, &launch->handle);
	note_places(launch, !registered, dbname);
	if (!registered)
	{
		ds_worker_slots_give_up(&launch->ticket);
		launch->handle = NULL;
		launch->places_seen = places_freed;
		launch->failures++;
		launch->not_before = ds_worker_backoff(GetCurrentTimestamp(), launch->failures);
		return false;
	}
	launch->watched = true;
	return true;
}
