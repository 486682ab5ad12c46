/*-------------------------------------------------------------------------
 *
 * command.c
 *		What every command about promises does beside its work: the answer that
 *		was given under its key, its audit.
 *
 * Process: any backend. Locks: the idempotency key (an advisory lock);
 * RowExclusiveLock on what is written. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/command.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/verb.h"

/*
 * ds_inventory_may_command does the question whether the short way is open:
 * where statements see what is committed before each, and tables may be read
 * directly.
 */
bool
ds_inventory_may_command(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rows = (ReturnSetInfo *) fcinfo->resultinfo;

	return rows != NULL && IsA(rows, ReturnSetInfo) &&
		   (rows->allowedModes & SFRM_Materialize) != 0 && !IsolationUsesXactSnapshot() &&
		   !XactReadOnly && !RecoveryInProgress() && !IsInParallelMode();
}

/* ask does the call of a function in SQL with values that are not NULL. Returns whether its answer is. */
static bool
ask(const char *name, const Oid *types, const Datum *values, int n)
{
	LOCAL_FCINFO(fcinfo, 5);
	FmgrInfo flinfo;

	Assert(n <= 5);
	fmgr_info(ds_verb_behind(name, types, n), &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, n, InvalidOid, NULL, NULL);
	for (int i = 0; i < n; i++)
	{
		fcinfo->args[i].value = values[i];
		fcinfo->args[i].isnull = false;
	}
	FunctionCallInvoke(fcinfo);
	return fcinfo->isnull;
}

/* ds_inventory_answered does the look-up of the first answer under the key of a call; the key is locked then. */
bool
ds_inventory_answered(DsCommand *command)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID, JSONBOID};
	Datum said[] = {CStringGetTextDatum(command->source), CStringGetTextDatum(command->verb),
					CStringGetTextDatum(command->key), command->request};

	return !ask("base_answered", types, said, lengthof(types));
}

/* ds_inventory_keep_answer does the storing of the answer under the key of a call. */
void
ds_inventory_keep_answer(DsCommand *command, Datum answer)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID};
	Datum said[] = {CStringGetTextDatum(command->source), CStringGetTextDatum(command->verb),
					CStringGetTextDatum(command->key), command->request, answer};

	CommandCounterIncrement();
	ask("base_answer", types, said, lengthof(types));
}

/*
 * ds_inventory_apart does work in a subtransaction, under a snapshot of its
 * own: where the work says false it has locked nothing and written nothing.
 * What the work opens it closes, and what it needs open was opened before.
 */
bool
ds_inventory_apart(bool (*work)(void *call), void *call)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		done = work(call);
		PopActiveSnapshot();
		if (done)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		ReThrowError(error);
	}
	PG_END_TRY();
	return done;
}

/* ds_inventory_audit does the row that says who did this. */
void
ds_inventory_audit(DsCommand *command, const char *entity_key, Datum after)
{
	DsAudited what = {.verb = command->verb,
					  .entity = "reservation",
					  .entity_key = entity_key,
					  .after = after,
					  .reason = command->reason};

	ds_audit_write(&command->audit, &what);
}
