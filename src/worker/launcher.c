/*-------------------------------------------------------------------------
 *
 * launcher.c
 *		The process that decides in which databases workers run.
 *
 * Process: one static background worker, started when recovery has finished
 * (so: not on a standby, and on a promoted one). It is connected to no
 * database and reads pg_database; what it cannot see, whether a database has
 * the extension, it asks a probe, one database at a time. A database that has
 * it gets a courier and a clerk.
 * Locks: those of a catalog scan; the slots'. Memory: a hash of databases in
 * the launcher's own context; a scratch context is reset each turn.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "base/failpoint.h"
#include "base/guc.h"
#include "worker/launcher.h"
#include "worker/supervise.h"
#include "worker/task.h"

#define DS_LAUNCHER_RESTART_S 5
#define DS_REPROBE_MS 1000
#define DS_RETRY_BLOCKED_MS 1000
#define DS_PATIENCE_MS 5000

typedef enum DsPresence
{
	DS_PRESENCE_UNKNOWN,
	DS_PRESENCE_YES,
	DS_PRESENCE_NO
} DsPresence;

/* A database as the launcher knows it; key of the hash is the oid */
typedef struct DsDatabase
{
	Oid oid;
	char name[NAMEDATALEN];
	bool wanted; /* seen, open, no template, allowed: in this turn's scan */
	DsPresence presence;
	TimestampTz next_probe;
	int probe_failures;		   /* in a row */
	TimestampTz leaving_since; /* not 0: its workers were asked to leave */
	DsLaunch launch[2];		   /* courier, clerk */
} DsDatabase;

static const DsWorkerKind kinds[2] = {DS_WORKER_COURIER, DS_WORKER_CLERK};

static HTAB *databases = NULL;
static MemoryContext launcher_context = NULL;
static MemoryContext scratch_context = NULL;
static DsLaunch probe;
static Oid probe_dboid = InvalidOid;
static TimestampTz wake_at;

/*
 * ds_worker_launcher_register does the registration of the launcher, from _PG_init
 * of the postmaster. While pg_upgrade runs nobody may change the databases.
 */
void
ds_worker_launcher_register(void)
{
	BackgroundWorker worker;

	if (IsBinaryUpgrade)
		return;
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = DS_LAUNCHER_RESTART_S;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "distsync");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "ds_worker_launcher_main");
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "distsync launcher");
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "distsync launcher");
	RegisterBackgroundWorker(&worker);
}

/*
 * look_again_at does the shortening of the next wait.
 */
static void
look_again_at(TimestampTz at)
{
	if (at < wake_at)
		wake_at = at;
}

/*
 * is_allowed does the test against the allow list; an empty list allows all.
 */
static bool
is_allowed(List *allowed, const char *name)
{
	ListCell *cell;

	foreach (cell, allowed)
	{
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	}
	return allowed == NIL;
}

/*
 * note_database does the entry of one row of pg_database.
 */
static void
note_database(Form_pg_database form, List *allowed)
{
	bool found;
	DsDatabase *database;

	if (form->datistemplate || !form->datallowconn || database_is_invalid_form(form) ||
		!is_allowed(allowed, NameStr(form->datname)))
		return;
	database = hash_search(databases, &form->oid, HASH_ENTER, &found);
	if (!found)
	{
		memset(database, 0, sizeof(DsDatabase));
		database->oid = form->oid;
	}
	strlcpy(database->name, NameStr(form->datname), NAMEDATALEN);
	database->wanted = true;
}

/*
 * scan_databases does the reading of pg_database into the hash, as autovacuum
 * does it: a transaction for the snapshot, no database needed.
 */
static void
scan_databases(void)
{
	List *allowed = NIL;
	HASH_SEQ_STATUS status;
	DsDatabase *database;
	Relation rel;
	TableScanDesc scan;
	HeapTuple tuple;

	if (!SplitIdentifierString(pstrdup(ds_guc_databases), ',', &allowed))
		allowed = list_make1("");
	hash_seq_init(&status, databases);
	while ((database = hash_seq_search(&status)) != NULL)
		database->wanted = false;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
		note_database((Form_pg_database) GETSTRUCT(tuple), allowed);
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(scratch_context);
}

/*
 * take_hints does the reading of what backends announced.
 */
static void
take_hints(void)
{
	Oid dboid;

	while (ds_worker_slots_take_hint(&dboid))
	{
		HASH_SEQ_STATUS status;
		DsDatabase *database;

		hash_seq_init(&status, databases);
		while ((database = hash_seq_search(&status)) != NULL)
		{
			if (database->presence != DS_PRESENCE_YES &&
				(database->oid == dboid || !OidIsValid(dboid)))
			{
				database->presence = DS_PRESENCE_UNKNOWN;
				database->next_probe = 0;
			}
		}
	}
}

/*
 * settle_probe does the reading of the probe's answer, once it has left.
 */
static void
settle_probe(TimestampTz now)
{
	DsSlotExit reason = DS_EXIT_NONE;
	DsDatabase *database;

	if (ds_worker_supervise_look(&probe, probe_dboid, DS_WORKER_PROBE, &reason) != DS_CHILD_LEFT)
		return;
	/* a database that cannot be visited is the trouble of that database */
	probe.failures = 0;
	probe.not_before = 0;
	database = hash_search(databases, &probe_dboid, HASH_FIND, NULL);
	probe_dboid = InvalidOid;
	if (database == NULL)
		return;
	database->probe_failures =
		reason == DS_EXIT_PRESENT || reason == DS_EXIT_ABSENT ? 0 : database->probe_failures + 1;
	if (reason == DS_EXIT_PRESENT)
		database->presence = DS_PRESENCE_YES;
	else if (reason == DS_EXIT_ABSENT)
	{
		database->presence = DS_PRESENCE_NO;
		database->next_probe =
			TimestampTzPlusMilliseconds(now, (int64) ds_guc_probe_interval * 1000);
	}
	else
		database->next_probe = ds_worker_backoff(now, database->probe_failures);
}

/*
 * probe_next does the start of the probe in the database that waits longest.
 */
static void
probe_next(TimestampTz now)
{
	DsDatabase *next = NULL;
	HASH_SEQ_STATUS status;
	DsDatabase *database;

	hash_seq_init(&status, databases);
	while ((database = hash_seq_search(&status)) != NULL)
	{
		if (!database->wanted || database->presence == DS_PRESENCE_YES ||
			ds_worker_slots_blocked(database->oid))
			continue;
		if (next == NULL || database->next_probe < next->next_probe)
			next = database;
	}
	if (next == NULL || probe.watched)
		return;
	if (now < next->next_probe || !ds_worker_supervise_ready(&probe, now))
		look_again_at(Max(next->next_probe, probe.not_before));
	else if (ds_worker_supervise_start(&probe, next->oid, DS_WORKER_PROBE, next->name))
		probe_dboid = next->oid;
	else
		look_again_at(Max(probe.not_before, TimestampTzPlusMilliseconds(now, DS_REPROBE_MS)));
}

/*
 * tend_worker does the look at one worker of a database, and its start.
 */
static bool
tend_worker(DsDatabase *database, int k, bool start, TimestampTz now)
{
	DsLaunch *launch = &database->launch[k];
	DsSlotExit reason = DS_EXIT_NONE;
	DsChild child = ds_worker_supervise_look(launch, database->oid, kinds[k], &reason);

	if (child == DS_CHILD_RUNS)
		return true;
	if (child == DS_CHILD_LEFT && reason == DS_EXIT_ABSENT)
	{
		/* dropped, perhaps to be created again at once: look soon */
		database->presence = DS_PRESENCE_UNKNOWN;
		database->next_probe = TimestampTzPlusMilliseconds(now, DS_REPROBE_MS);
		return false;
	}
	if (!start || database->presence != DS_PRESENCE_YES)
		return false;
	DS_FAILPOINT("worker.launcher.before_start");
	if (ds_worker_supervise_ready(launch, now) &&
		ds_worker_supervise_start(launch, database->oid, kinds[k], database->name))
		return true;
	look_again_at(Max(launch->not_before, TimestampTzPlusMilliseconds(now, DS_RETRY_BLOCKED_MS)));
	return false;
}

/*
 * tend_database does the supervision of one database. One that is not wanted
 * any more (a template now, closed, not on the list, dropped) gets its workers
 * asked to leave, later told to, and is then forgotten.
 */
static void
tend_database(DsDatabase *database, TimestampTz now)
{
	bool start = database->wanted && !ds_worker_slots_blocked(database->oid);
	bool runs = false;

	for (int k = 0; k < 2; k++)
		runs = tend_worker(database, k, start, now) || runs;
	if (database->wanted)
	{
		database->leaving_since = 0;
		if (!runs && database->presence == DS_PRESENCE_NO)
			ds_worker_slots_release(database->oid);
		return;
	}
	if (runs && database->leaving_since == 0)
		database->leaving_since = now;
	if (runs)
	{
		(void) ds_worker_slots_ask_to_leave(database->oid);
		if (TimestampDifferenceExceeds(database->leaving_since, now, DS_PATIENCE_MS))
			(void) ds_worker_slots_terminate(database->oid);
		look_again_at(TimestampTzPlusMilliseconds(now, DS_RETRY_BLOCKED_MS));
		return;
	}
	ds_worker_slots_release(database->oid);
	for (int k = 0; k < 2; k++)
		ds_worker_supervise_forget(&database->launch[k]);
	(void) hash_search(databases, &database->oid, HASH_REMOVE, NULL);
}

/*
 * turn does one round: what is, what shall be, and the difference.
 */
static void
turn(void)
{
	TimestampTz now = GetCurrentTimestamp();
	HASH_SEQ_STATUS status;
	DsDatabase *database;

	wake_at = TimestampTzPlusMilliseconds(now, (int64) ds_guc_probe_interval * 1000);
	MemoryContextSwitchTo(scratch_context);
	scan_databases();
	MemoryContextSwitchTo(launcher_context);
	take_hints();
	settle_probe(now);
	hash_seq_init(&status, databases);
	while ((database = hash_seq_search(&status)) != NULL)
		tend_database(database, now);
	probe_next(now);
	MemoryContextReset(scratch_context);
	ds_worker_slot_beat();
}

/*
 * start_launcher does the way from a bare process to the first turn.
 */
static void
start_launcher(void)
{
	HASHCTL control;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (!ds_worker_slots_ready())
		proc_exit(0);
	(void) ds_worker_slot_attach(NULL);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("distsync launcher");
	launcher_context =
		AllocSetContextCreate(TopMemoryContext, "distsync launcher", ALLOCSET_DEFAULT_SIZES);
	scratch_context =
		AllocSetContextCreate(TopMemoryContext, "distsync launcher turn", ALLOCSET_DEFAULT_SIZES);
	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(DsDatabase);
	control.hcxt = launcher_context;
	databases =
		hash_create("distsync databases", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ConfigReloadPending = true;
	ereport(LOG, (errmsg("distsync launcher started")));
}

/*
 * ds_worker_launcher_main does the launcher's loop. An error ends the process; the
 * postmaster starts it again, and it finds the workers in their slots.
 */
void
ds_worker_launcher_main(Datum arg)
{
	uint32 wait_event;

	start_launcher();
	wait_event = ds_compat_wait_event("DistSyncLauncher");
	for (;;)
	{
		QueryCancelPending = false;
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		turn();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(GetCurrentTimestamp(), wake_at) + 1,
						 wait_event);
		ResetLatch(MyLatch);
	}
}
