/*-------------------------------------------------------------------------
 *
 * wake.c
 *		Any room may ask that the workers wake when its transaction commits.
 *
 * Process: any backend. A transaction only sets marks; the callback, which is
 * registered once, hands them over at COMMIT and forgets them at PREPARE and
 * ABORT, unless the extension was being changed. A rolled back subtransaction
 * may leave a mark behind: that costs one wake-up for nothing. COMMIT PREPARED
 * wakes through the utility hook of the workers.
 * Locks: none here. Memory: static.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/builtins.h"

#include "base/errors.h"
#include "base/export.h"
#include "base/wake.h"

static DsWakeAction wake_action = NULL;
static int marks_of_transaction = 0;

DS_FUNCTION_INFO_V1(ds_sql_worker_wake);
DS_FUNCTION_INFO_V1(ds_sql_worker_announce);

/*
 * act_at_end does the hand-over. It runs when the transaction is already
 * committed or aborted: nothing in it may throw.
 */
static void
act_at_end(XactEvent event, void *arg)
{
	int marks = marks_of_transaction;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	marks_of_transaction = 0;
	/* who stood aside for a change of the extension has to know that it did not come */
	if (event == XACT_EVENT_ABORT)
		marks = marks & DS_WAKE_ANNOUNCE ? DS_WAKE_BOTH : 0;
	if (event != XACT_EVENT_PREPARE && marks != 0)
		wake_action(marks);
}

/*
 * ds_wake_init does the registration of who acts, from _PG_init of the
 * postmaster: every backend inherits it, and none registers it twice.
 */
void
ds_wake_init(DsWakeAction action)
{
	wake_action = action;
	RegisterXactCallback(act_at_end, NULL);
}

/*
 * ds_worker_wake_at_commit does the marking. Without shared_preload_libraries
 * there is nobody to wake.
 */
void
ds_worker_wake_at_commit(int marks)
{
	if (wake_action != NULL)
		marks_of_transaction |= marks;
}

/*
 * ds_sql_worker_wake does worker_wake(which text): see wake.sql.
 */
Datum
ds_sql_worker_wake(PG_FUNCTION_ARGS)
{
	char *which = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (strcmp(which, "courier") == 0)
		ds_worker_wake_at_commit(DS_WAKE_COURIER);
	else if (strcmp(which, "clerk") == 0)
		ds_worker_wake_at_commit(DS_WAKE_CLERK);
	else if (strcmp(which, "both") == 0)
		ds_worker_wake_at_commit(DS_WAKE_BOTH);
	else if (strcmp(which, "states") == 0)
		ds_worker_wake_at_commit(DS_WAKE_STATES);
	else
		ereport(ERROR,
				(errcode(DS_ERRCODE_INVALID_VALUE), errmsg("unknown worker \"%s\"", which),
				 errdetail("Field: which."), errhint("Use courier, clerk, both or states.")));
	PG_RETURN_VOID();
}

/*
 * ds_sql_worker_announce does worker_announce(): see wake.sql.
 */
Datum
ds_sql_worker_announce(PG_FUNCTION_ARGS)
{
	ds_worker_wake_at_commit(DS_WAKE_ANNOUNCE | DS_WAKE_BOTH);
	PG_RETURN_VOID();
}
