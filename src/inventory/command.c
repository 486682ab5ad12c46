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
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/verb.h"

enum
{
	A_ID,
	A_AT,
	A_ROLE,
	A_APP_USER,
	A_VERB,
	A_ENTITY,
	A_ENTITY_KEY,
	A_BEFORE,
	A_AFTER,
	A_REASON,
	A_CORRELATION,
	A_COUNT
};

static DsRowsTable audit_rows = {
	.schema = "sync",
	.name = "audit",
	.adds = true,
	.by = "at",
	.columns = {{"audit_id", INT8OID},
				{"at", TIMESTAMPTZOID},
				{"role", TEXTOID},
				{"app_user", TEXTOID},
				{"verb", TEXTOID},
				{"entity", TEXTOID},
				{"entity_key", TEXTOID},
				{"before", JSONBOID},
				{"after", JSONBOID},
				{"reason", TEXTOID},
				{"correlation_id", UUIDOID}},
};

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

/* ds_inventory_next_number does the next number of a sequence. */
int64
ds_inventory_next_number(const char *schema, const char *name)
{
	Oid sequence = get_relname_relid(name, get_namespace_oid(schema, false));

	if (!OidIsValid(sequence))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("sequence %s.%s does not exist", schema, name),
						errhint("Call distsync.setup().")));
	/* whoever may call the verb may have a number */
	return nextval_internal(sequence, false);
}

/* ds_inventory_audit_open does the opening of the audit, and of a partition of now. False: SQL has to write it. */
bool
ds_inventory_audit_open(DsCommand *command)
{
	command->began = GetCurrentTimestamp();
	command->audit_rows = ds_rows_parts_open(&audit_rows);
	return command->audit_rows != NULL &&
		   ds_rows_parts_writer(command->audit_rows, TimestampTzGetDatum(command->began)) != NULL;
}

/* ds_inventory_audit_close does the end of that. */
void
ds_inventory_audit_close(DsCommand *command)
{
	if (command->audit_rows != NULL)
		ds_rows_parts_close(command->audit_rows);
	command->audit_rows = NULL;
}

/* text_or_null does a text column. */
static void
text_or_null(const char *value, Datum *datum, bool *isnull)
{
	*isnull = value == NULL;
	if (value != NULL)
		*datum = CStringGetTextDatum(value);
}

/* ds_inventory_audit does the row that says who did this. */
void
ds_inventory_audit(DsCommand *command, const char *entity_key, Datum after)
{
	Datum values[A_COUNT] = {0};
	bool nulls[A_COUNT] = {false};
	DsRows *w;

	values[A_ID] = Int64GetDatum(ds_inventory_next_number("sync", "audit_audit_id_seq"));
	/* the partition of this moment, or the one that was open before we waited */
	values[A_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	w = ds_rows_parts_writer(command->audit_rows, values[A_AT]);
	if (w == NULL)
	{
		values[A_AT] = TimestampTzGetDatum(command->began);
		w = ds_rows_parts_writer(command->audit_rows, values[A_AT]);
	}
	values[A_ROLE] = CStringGetTextDatum(GetUserNameFromId(GetSessionUserId(), false));
	text_or_null(ds_guc_app_user, &values[A_APP_USER], &nulls[A_APP_USER]);
	values[A_VERB] = CStringGetTextDatum(command->verb);
	values[A_ENTITY] = CStringGetTextDatum("reservation");
	text_or_null(entity_key, &values[A_ENTITY_KEY], &nulls[A_ENTITY_KEY]);
	values[A_AFTER] = after;
	text_or_null(command->reason, &values[A_REASON], &nulls[A_REASON]);
	nulls[A_BEFORE] = nulls[A_CORRELATION] = true;
	ds_rows_add(w, values, nulls);
	ds_rows_flush(w);
}
