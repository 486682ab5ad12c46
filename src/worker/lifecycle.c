/*-------------------------------------------------------------------------
 *
 * lifecycle.c
 *		Commands that need a database without workers, or change what runs.
 *
 * DROP DATABASE, ALTER DATABASE RENAME and SET TABLESPACE, and CREATE DATABASE
 * ... TEMPLATE refuse a database somebody is connected to. A worker is nobody
 * to a user: before such a command its workers are asked to leave, then told
 * to, and none starts until the command's transaction has ended; then the
 * launcher decides anew. This happens in every database, whether or not it has
 * the extension itself.
 *
 * Extensions that come, change or go are seen through the object access hook:
 * it also sees DROP OWNED and DROP SCHEMA ... CASCADE.
 *
 * Process: any backend. Locks: none held while waiting. Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "base/wake.h"
#include "worker/lifecycle.h"
#include "worker/slots.h"

#define DS_VACATE_POLITE_MS 1000
#define DS_VACATE_TOTAL_MS 10000
#define DS_VACATE_STEP_MS 10

static ProcessUtility_hook_type previous_process_utility = NULL;
static object_access_hook_type previous_object_access = NULL;

/* of this transaction */
static Oid blocked_database = InvalidOid;
static bool wake_launcher_at_end = false;

/*
 * act_at_end does the end of a block and the wake-up of the launcher, however
 * the transaction ends: also a FATAL aborts it, and aborting calls back.
 * Nothing in it may throw.
 */
static void
act_at_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (OidIsValid(blocked_database))
	{
		ds_worker_slots_unblock(blocked_database);
		blocked_database = InvalidOid;
		wake_launcher_at_end = true;
	}
	if (wake_launcher_at_end)
		ds_worker_slots_wake_launcher();
	wake_launcher_at_end = false;
}

/*
 * option_string does the look-up of a textual option of a command.
 */
static const char *
option_string(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/*
 * database_to_vacate does the naming of the database that a command needs
 * without connections, NULL for all other commands.
 */
static const char *
database_to_vacate(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) statement)->subname;
			return NULL;
		case T_AlterDatabaseStmt:
			if (option_string(((AlterDatabaseStmt *) statement)->options, "tablespace") != NULL)
				return ((AlterDatabaseStmt *) statement)->dbname;
			return NULL;
		case T_CreatedbStmt:
		{
			const char *source = option_string(((CreatedbStmt *) statement)->options, "template");

			return source != NULL ? source : "template1";
		}
		default:
			return NULL;
	}
}

/*
 * wait_for_vacancy does the waiting until no worker is in the database: it
 * asks, after a second it sends SIGTERM, and in the end it leaves the verdict
 * to the command itself, which has its own message for a database in use.
 */
static void
wait_for_vacancy(Oid dboid)
{
	TimestampTz start = GetCurrentTimestamp();

	while (ds_worker_slots_ask_to_leave(dboid) > 0)
	{
		TimestampTz now = GetCurrentTimestamp();

		if (TimestampDifferenceExceeds(start, now, DS_VACATE_TOTAL_MS))
			return;
		if (TimestampDifferenceExceeds(start, now, DS_VACATE_POLITE_MS))
			(void) ds_worker_slots_terminate(dboid);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 DS_VACATE_STEP_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * vacate does the emptying for somebody who owns the database: others are
 * about to be refused, and shall not be able to stop its workers by trying.
 */
static void
vacate(const char *dbname)
{
	Oid dboid = get_database_oid(dbname, true);

	if (!OidIsValid(dboid) || dboid == MyDatabaseId || !ds_compat_owns_database(dboid, GetUserId()))
		return;
	if (!OidIsValid(blocked_database) && ds_worker_slots_block(dboid))
		blocked_database = dboid;
	wait_for_vacancy(dboid);
}

/*
 * before_utility does our part before the command runs. In a transaction
 * block the database commands fail anyway: their workers are left in peace.
 */
static void
before_utility(Node *statement, ProcessUtilityContext context)
{
	const char *dbname = database_to_vacate(statement);

	if (dbname != NULL && context == PROCESS_UTILITY_TOPLEVEL && !IsTransactionBlock())
		vacate(dbname);
	if (IsA(statement, AlterDatabaseStmt) || IsA(statement, CreatedbStmt))
		wake_launcher_at_end = true;
	if (IsA(statement, TransactionStmt) &&
		((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED)
		ds_worker_wake_at_commit(DS_WAKE_BOTH);
}

/*
 * process_utility does the hook's duty: our part, then the one before us.
 */
static void
process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *query_env,
				DestReceiver *dest, QueryCompletion *qc)
{
	if (ds_worker_slots_ready() && !RecoveryInProgress())
		before_utility(pstmt->utilityStmt, context);
	if (previous_process_utility)
		previous_process_utility(pstmt, query_string, read_only_tree, context, params, query_env,
								 dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params, query_env,
								dest, qc);
}

/*
 * object_access does the noticing of extensions that come, change or go. It
 * asks for no name: a new extension's row cannot be read yet, and one look of
 * the launcher more costs nothing.
 */
static void
object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_object_access)
		previous_object_access(access, class_id, object_id, sub_id, arg);
	if (class_id == ExtensionRelationId &&
		(access == OAT_POST_CREATE || access == OAT_POST_ALTER || access == OAT_DROP))
		ds_worker_wake_at_commit(DS_WAKE_ANNOUNCE | DS_WAKE_BOTH);
}

/*
 * ds_worker_lifecycle_init does the installation of the hooks, from _PG_init.
 */
void
ds_worker_lifecycle_init(void)
{
	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	previous_object_access = object_access_hook;
	object_access_hook = object_access;
	RegisterXactCallback(act_at_end, NULL);
}
