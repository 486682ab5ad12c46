/*-------------------------------------------------------------------------
 *
 * status.c
 *		The SQL functions of the room (worker.sql).
 *
 * Process: any backend. Locks: the slots', for copies. Memory: the tuplestore
 * of the call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/errors.h"
#include "base/export.h"
#include "base/guc.h"
#include "worker/slots.h"

#define DS_STATUS_COLUMNS 13

DS_FUNCTION_INFO_V1(ds_sql_worker_status);
DS_FUNCTION_INFO_V1(ds_sql_worker_instance_identity);

/*
 * text_datum does the text of a slot as a value: NULL if empty. A text of
 * another database may be in another encoding; what does not fit ours is
 * shown as question marks.
 */
static Datum
text_datum(char *text, bool *isnull)
{
	int len = strlen(text);

	*isnull = len == 0;
	if (!pg_verifymbstr(text, len, true))
	{
		for (int i = 0; i < len; i++)
		{
			if (IS_HIGHBIT_SET(text[i]))
				text[i] = '?';
		}
	}
	return *isnull ? (Datum) 0 : CStringGetTextDatum(text);
}

static Datum
timestamp_datum(TimestampTz at, bool *isnull)
{
	*isnull = at == 0;
	return TimestampTzGetDatum(at);
}

/*
 * put_slot does one row of worker_status.
 */
static void
put_slot(ReturnSetInfo *rsinfo, DsSlotView *view)
{
	Datum values[DS_STATUS_COLUMNS];
	bool nulls[DS_STATUS_COLUMNS] = {false};
	bool runs = view->state > DS_SLOT_STARTING;
	char *database = OidIsValid(view->dboid) ? get_database_name(view->dboid) : NULL;

	values[0] = CStringGetTextDatum(ds_worker_kind_name(view->kind));
	nulls[1] = database == NULL;
	values[1] = nulls[1] ? (Datum) 0 : DirectFunctionCall1(namein, CStringGetDatum(database));
	nulls[2] = view->pid == 0;
	values[2] = Int32GetDatum(view->pid);
	values[3] = CStringGetTextDatum(ds_worker_slot_state_name(view->state));
	values[4] = Int64GetDatum((int64) view->generation);
	values[5] = timestamp_datum(view->started_at, &nulls[5]);
	values[6] = timestamp_datum(view->last_loop_at, &nulls[6]);
	values[7] = text_datum(view->last_error, &nulls[7]);
	values[8] = Int64GetDatum(view->starts > 1 ? (int64) view->starts - 1 : 0);
	values[9] = text_datum(view->idle_reason, &nulls[9]);
	nulls[9] = nulls[9] || !runs;
	for (int c = 0; c < DS_COUNTERS; c++)
		values[10 + c] = Int64GetDatum((int64) view->counters[c]);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * put_not_preloaded does the one row that explains why there are no others.
 */
static void
put_not_preloaded(ReturnSetInfo *rsinfo)
{
	DsSlotView view;

	memset(&view, 0, sizeof(view));
	view.kind = DS_WORKER_LAUNCHER;
	view.state = DS_SLOT_STOPPED;
	strlcpy(view.last_error, "distsync is not in shared_preload_libraries: there are no workers",
			DS_SLOT_TEXTLEN);
	put_slot(rsinfo, &view);
}

/*
 * ds_sql_worker_status does worker_status(): see worker.sql.
 */
Datum
ds_sql_worker_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != DS_STATUS_COLUMNS)
		ereport(ERROR,
				(errcode(DS_ERRCODE_VERSION_MISMATCH),
				 errmsg("worker_status() of this library returns %d columns", DS_STATUS_COLUMNS),
				 errhint("Run ALTER EXTENSION distsync UPDATE.")));
	if (!ds_worker_slots_ready())
		put_not_preloaded(rsinfo);
	for (int i = 0; i < ds_worker_slots_count(); i++)
	{
		DsSlotView view;

		if (ds_worker_slots_view(i, &view) &&
			!(view.kind == DS_WORKER_PROBE && view.state <= DS_SLOT_STOPPED))
			put_slot(rsinfo, &view);
	}
	PG_RETURN_NULL();
}

/*
 * ds_sql_worker_instance_identity does worker_instance_identity(): see worker.sql.
 */
Datum
ds_sql_worker_instance_identity(PG_FUNCTION_ARGS)
{
	TupleDesc desc;
	Datum values[5];
	bool nulls[5] = {false};
	bool in_recovery = RecoveryInProgress();
	TimeLineID timeline;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 5)
		ereport(ERROR, (errcode(DS_ERRCODE_VERSION_MISMATCH),
						errmsg("worker_instance_identity() of this library returns 5 columns"),
						errhint("Run ALTER EXTENSION distsync UPDATE.")));
	if (in_recovery)
		(void) GetXLogReplayRecPtr(&timeline);
	else
		timeline = GetWALInsertionTimeLine();
	values[0] = Int64GetDatum((int64) GetSystemIdentifier());
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	values[2] = Int32GetDatum((int32) timeline);
	values[3] = CStringGetTextDatum(ds_guc_instance);
	values[4] = BoolGetDatum(in_recovery);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
