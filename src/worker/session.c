/*-------------------------------------------------------------------------
 *
 * session.c
 *		The life that courier and clerk share: start, short transactions,
 *		waits, leaving.
 *
 * Process: courier, clerk. A worker connects as the bootstrap superuser, since
 * before PostgreSQL 17 a NOLOGIN role cannot connect, and becomes
 * distsync_owner at once and for good: the session authorization is changed,
 * and each transaction runs with SECURITY_LOCAL_USERID_CHANGE, under which
 * neither SET ROLE nor SET SESSION AUTHORIZATION works. So a trigger or a
 * function of somebody else that a worker happens to run finds no way back.
 * Locks: an advisory lock of the session, one a (database, kind): the real
 * mutex, whatever the slots say; the extension object, a transaction long.
 * Memory: transactions leave nothing behind; what steps return they copy into
 * a context of their caller.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/extension.h"
#include "base/failpoint.h"
#include "base/guc.h"
#include "base/spi.h"
#include "worker/session.h"

/* field 4 of an advisory lock is 1 or 2 in what SQL can take: this is ours */
#define DS_ADVISORY_CLASS 0xD5

/* look again after this, wake-ups apart: while we may not work, and while the extension is locked */
#define DS_IDLE_PAUSE_MS 5000
#define DS_BUSY_PAUSE_MS 200

static DsWorkerKind my_kind;
static Oid owner_oid = InvalidOid;
static DsExtension extension = {InvalidOid, ""};
static SPIPlanPtr state_plan = NULL;
static char idle_reason[DS_SLOT_TEXTLEN];
static int idle_pause = DS_IDLE_PAUSE_MS;
static bool reloaded = false;

/*
 * ds_worker_session_leave does the polite end: the launcher reads the reason. Exit
 * code 0, so that the server's log has no complaint.
 */
void
ds_worker_session_leave(DsSlotExit reason, const char *message)
{
	if (message != NULL)
	{
		ds_worker_slot_set_error(message);
		ereport(LOG, (errmsg("distsync %s leaves database %u: %s", ds_worker_kind_name(my_kind),
							 MyDatabaseId, message)));
	}
	ds_worker_slot_set_exit(reason);
	proc_exit(0);
}

/*
 * pin_settings does the fixing of what a database or role could otherwise
 * change under us, as autovacuum does, before the first query.
 */
static void
pin_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"session_replication_role", "origin"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"transaction_timeout", "0"},
		{"row_security", "on"},
		{"jit", "off"},
		{"bytea_output", "hex"},
#ifdef USE_LZ4
		/* what is told is stored once and read once or twice */
		{"default_toast_compression", "lz4"},
#endif
		{"DateStyle", "ISO, MDY"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "1"},
	};
	char name[NAMEDATALEN];

	for (int i = 0; i < lengthof(settings); i++)
	{
		/* not every server has all of them */
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	}
	snprintf(name, sizeof(name), "distsync %s", ds_worker_kind_name(my_kind));
	SetConfigOption("application_name", name, PGC_USERSET, PGC_S_OVERRIDE);
}

/*
 * apply_reload does the part of a reload that has to be pushed on.
 */
static void
apply_reload(void)
{
	char value[32];

	snprintf(value, sizeof(value), "%d", ds_guc_worker_lock_timeout);
	SetConfigOption("lock_timeout", value, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * refuse_templates does the second look at the database, from inside: between
 * the launcher's look and our connection it may have become a template.
 */
static void
refuse_templates(void)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	bool closed = true;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		closed = form->datistemplate || !form->datallowconn;
		ReleaseSysCache(tuple);
	}
	if (closed)
		ds_worker_session_leave(DS_EXIT_ABSENT, NULL);
}

/*
 * take_mutex does the lock that makes us the only worker of our kind here. It
 * is a session lock of the advisory kind: those survive an aborted transaction.
 */
static void
take_mutex(void)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) my_kind, 0, DS_ADVISORY_CLASS);
	if (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		ds_worker_session_leave(DS_EXIT_DUPLICATE, NULL);
}

/*
 * become_owner does the change of role, for good.
 */
static void
become_owner(void)
{
	owner_oid = get_role_oid(DS_OWNER_ROLE, true);
	if (!OidIsValid(owner_oid))
		ds_worker_session_leave(DS_EXIT_REFUSED, "role distsync_owner does not exist");
	if (superuser_arg(owner_oid))
		ds_worker_session_leave(DS_EXIT_REFUSED, "role distsync_owner is a superuser");
	SetConfigOption("session_authorization", DS_OWNER_ROLE, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * enter_database does everything that needs the first transaction.
 */
static void
enter_database(void)
{
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	refuse_templates();
	if (!ds_extension_exists())
		ds_worker_session_leave(DS_EXIT_ABSENT, NULL);
	take_mutex();
	become_owner();
	ereport(LOG, (errmsg("distsync %s works in database \"%s\"", ds_worker_kind_name(my_kind),
						 get_database_name(MyDatabaseId))));
	CommitTransactionCommand();
}

/*
 * ds_worker_session_start does the whole way from a bare process to a worker that may
 * run transactions. Handlers first, signals after: a SIGTERM must never find
 * the default handler.
 */
void
ds_worker_session_start(DsWorkerKind kind)
{
	DsTicket ticket;

	my_kind = kind;
	memcpy(&ticket, MyBgworkerEntry->bgw_extra, sizeof(ticket));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (!ds_worker_slots_ready() || ticket.kind != (int32) kind || !ds_worker_slot_attach(&ticket))
		proc_exit(0);
	if (ds_worker_slot_asked_to_leave())
		ds_worker_session_leave(DS_EXIT_ASKED, NULL);
	BackgroundWorkerInitializeConnectionByOid(ticket.dboid, InvalidOid, BGWORKER_BYPASS_ALLOWCONN);
	pin_settings();
	/* a reload between our fork and our handler was lost on us */
	ConfigReloadPending = true;
	ds_worker_session_interrupts();
	enter_database();
	DS_FAILPOINT("worker.start");
}

/*
 * ds_worker_session_interrupts does what a worker owes the server at each loop. A
 * cancel request outside a transaction has nothing to cancel.
 */
void
ds_worker_session_interrupts(void)
{
	Assert(!IsTransactionState());
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		apply_reload();
		reloaded = true;
	}
}

/*
 * ds_worker_session_take_reload does the question whether there was a reload since
 * the last question.
 */
bool
ds_worker_session_take_reload(void)
{
	bool was = reloaded;

	reloaded = false;
	return was;
}

const char *
ds_worker_session_idle_reason(void)
{
	return idle_reason;
}

/*
 * ds_worker_session_idle_pause does the telling of how long to idle, in
 * milliseconds.
 */
int
ds_worker_session_idle_pause(void)
{
	return idle_pause;
}

/*
 * may_work does the checks that every transaction begins with: the extension
 * is here and stays, its version fits, and (for what sends) this is the
 * installation that may send. It leaves the process if the extension is gone.
 */
static bool
may_work(DsNeeds needs)
{
	static const Oid text_type = TEXTOID;
	char version[NAMEDATALEN];
	char *state;

	idle_pause = DS_IDLE_PAUSE_MS;
	strlcpy(version, extension.version, sizeof(version));
	switch (ds_extension_hold(&extension))
	{
		case DS_EXTENSION_READY:
			break;
		case DS_EXTENSION_ABSENT:
			ds_worker_session_leave(DS_EXIT_ABSENT, NULL);
			break;
		case DS_EXTENSION_BUSY:
			idle_pause = DS_BUSY_PAUSE_MS;
			strlcpy(idle_reason, "the extension is being dropped", sizeof(idle_reason));
			return false;
		case DS_EXTENSION_OTHER_VERSION:
			snprintf(idle_reason, sizeof(idle_reason),
					 "the library is version %s, the extension %s: restart the server or run ALTER "
					 "EXTENSION distsync UPDATE",
					 ds_extension_library_version(), extension.version);
			return false;
	}
	/* after ALTER EXTENSION UPDATE the registry may name other functions */
	if (strcmp(version, extension.version) != 0)
		reloaded = true;
	if (needs == DS_NEEDS_EXTENSION)
		return true;
	if (state_plan == NULL)
		state_plan = ds_spi_keep("SELECT distsync_internal.instance_state()", 0, NULL);
	ds_spi_run(state_plan, NULL, NULL);
	ds_spi_expect("distsync_internal.instance_state", &text_type, 1);
	state = ds_spi_cstring(0, 1);
	if (state != NULL && strcmp(state, "active") == 0)
		return true;
	strlcpy(idle_reason, state != NULL ? state : "the state of the instance is unknown",
			sizeof(idle_reason));
	return false;
}

/*
 * begin does the start of a short transaction as distsync_owner.
 */
static void
begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	debug_query_string = activity;
	pgstat_report_activity(STATE_RUNNING, activity);
	StartTransactionCommand();
	SetUserIdAndSecContext(owner_oid, SECURITY_LOCAL_USERID_CHANGE);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not connect to SPI")));
}

/*
 * recover does the roll back after an error and keeps what it said, cut at
 * whole characters.
 */
static void
recover(DsFailure *failure)
{
	ErrorData *error;

	HOLD_INTERRUPTS();
	error = CopyErrorData();
	FlushErrorState();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	AbortCurrentTransaction();
	failure->sqlstate = error->sqlerrcode;
	ds_worker_session_clip(failure->message, error->message);
	ds_worker_session_clip(failure->detail, error->detail);
	ds_worker_session_clip(failure->context, error->context);
	FreeErrorData(error);
	RESUME_INTERRUPTS();
}

/*
 * ds_worker_session_run does one short transaction: it begins, checks that it may
 * work, calls the step inside SPI_connect, and commits. An error is caught and
 * handed to the caller, who knows what to keep, what to try again and when.
 * WHY the security context is reset only after the commit: deferred triggers
 * run in it.
 */
DsOutcome
ds_worker_session_run(const char *activity, DsNeeds needs, DsStep step, void *arg,
					  DsFailure *failure)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile DsOutcome outcome = DS_DONE;
	volatile bool in_step = false;

	Assert(!IsTransactionState());
	PG_TRY();
	{
		begin(activity);
		if (may_work(needs))
		{
			in_step = true;
			step(arg);
		}
		else
			outcome = DS_IDLE;
		SPI_finish();
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		recover(failure);
		failure->in_step = in_step;
		outcome = DS_FAILED;
	}
	PG_END_TRY();
	SetUserIdAndSecContext(owner_oid, 0);
	MemoryContextSwitchTo(caller);
	debug_query_string = NULL;
	(void) pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	return outcome;
}

/*
 * ds_worker_session_clip does the copy of a text into a field of DS_SLOT_TEXTLEN
 * bytes, cut at a whole character; NULL becomes the empty text.
 */
void
ds_worker_session_clip(char *field, const char *text)
{
	int len = text == NULL ? 0 : pg_mbcliplen(text, strlen(text), DS_SLOT_TEXTLEN - 1);

	if (len > 0)
		memcpy(field, text, len);
	field[len] = '\0';
}

/*
 * ds_worker_session_rest does what has to be done before a longer wait.
 */
void
ds_worker_session_rest(void)
{
	Assert(!IsTransactionState());
	(void) pgstat_report_stat(true);
}
