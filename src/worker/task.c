/*-------------------------------------------------------------------------
 *
 * task.c
 *		One thing a worker does again and again, and how it backs off.
 *
 * Process: launcher, courier, clerk. Locks: none. Memory: the caller's; kept
 * plans until ds_worker_task_forget_plan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/spi.h"
#include "worker/task.h"

#define DS_BACKOFF_FIRST_MS 1000

/*
 * ds_worker_backoff does the arithmetic: 1 s, 2 s, 4 s ... 60 s.
 */
TimestampTz
ds_worker_backoff(TimestampTz now, int failures)
{
	int64 wait = DS_BACKOFF_FIRST_MS;

	for (int i = 1; i < failures && wait < DS_BACKOFF_MAX_MS; i++)
		wait *= 2;
	return TimestampTzPlusMilliseconds(now, Min(wait, DS_BACKOFF_MAX_MS));
}

/*
 * ds_worker_due does the test whether a time that we set ourselves has come.
 * A time further away than any that we set was set by another clock: somebody
 * turned it back, and the time has come.
 */
bool
ds_worker_due(TimestampTz at, TimestampTz now, int64 horizon_ms)
{
	return now >= at || at > TimestampTzPlusMilliseconds(now, horizon_ms + 1000);
}

/*
 * ds_worker_task_name does the binding of a task to its function. A task whose
 * function stays the same keeps its plan and its backoff. True: it is another.
 */
bool
ds_worker_task_name(DsTask *task, const char *name, const char *function)
{
	if (strcmp(task->function, function) == 0 && strcmp(task->name, name) == 0)
		return false;
	ds_worker_task_forget_plan(task);
	memset(task, 0, sizeof(DsTask));
	strlcpy(task->name, name, sizeof(task->name));
	strlcpy(task->function, function, sizeof(task->function));
	return true;
}

/*
 * ds_worker_task_plan does the preparation of the call of a task's function, at its
 * first use, inside SPI.
 */
SPIPlanPtr
ds_worker_task_plan(DsTask *task, int nargs, const Oid *argtypes)
{
	char parameters[128] = "";
	char sql[512];
	int len = 0;

	if (task->plan != NULL)
		return task->plan;
	for (int i = 0; i < nargs && len < (int) sizeof(parameters) - 8; i++)
		len +=
			snprintf(parameters + len, sizeof(parameters) - len, "%s$%d", i > 0 ? ", " : "", i + 1);
	/* %s is the name of a function out of the registry, checked by handlers.c, and $1, $2 ... */
	snprintf(sql, sizeof(sql), "SELECT * FROM %s(%s)", task->function, parameters);
	task->plan = ds_spi_keep(sql, nargs, argtypes);
	return task->plan;
}

void
ds_worker_task_forget_plan(DsTask *task)
{
	if (task->plan != NULL)
		SPI_freeplan(task->plan);
	task->plan = NULL;
}

bool
ds_worker_task_ready(const DsTask *task, TimestampTz now)
{
	return task->function[0] != '\0' && ds_worker_due(task->not_before, now, DS_BACKOFF_MAX_MS);
}

/*
 * ds_worker_task_failed does the bookkeeping of a failure: it is logged once for
 * each new reason, published, and tried again after a while.
 */
void
ds_worker_task_failed(DsTask *task, const DsFailure *failure)
{
	task->failures++;
	task->not_before = ds_worker_backoff(GetCurrentTimestamp(), task->failures);
	ds_worker_slot_set_error(failure->message);
	if (task->logged_sqlstate == failure->sqlstate &&
		strcmp(task->logged_message, failure->message) == 0)
		return;
	task->logged_sqlstate = failure->sqlstate;
	memcpy(task->logged_message, failure->message, DS_SLOT_TEXTLEN);
	ereport(WARNING,
			(errcode(failure->sqlstate),
			 errmsg("task \"%s\" failed: %s", task->name, failure->message),
			 failure->detail[0] != '\0' ? errdetail("%s", failure->detail) : 0,
			 failure->context[0] != '\0' ? errcontext("%s", failure->context) : 0,
			 errhint("It is tried again, at most once a minute, and logged again when the reason "
					 "changes.")));
}

/*
 * ds_worker_task_worked does the end of a row of failures.
 */
void
ds_worker_task_worked(DsTask *task)
{
	if (task->failures > 0)
		ereport(LOG, (errmsg("task \"%s\" works again", task->name)));
	task->failures = 0;
	task->not_before = 0;
	task->logged_sqlstate = 0;
	task->logged_message[0] = '\0';
}
