/*-------------------------------------------------------------------------
 *
 * task.h
 *		One thing a worker does again and again, and how it backs off.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_WORKER_TASK_H
#define DS_WORKER_TASK_H

#include "executor/spi.h"

#include "worker/session.h"

#define DS_BACKOFF_MAX_MS 60000

typedef struct DsTask
{
	char name[NAMEDATALEN];
	char function[2 * NAMEDATALEN]; /* qualified, from the registry; "" if not registered */
	SPIPlanPtr plan;				/* kept, NULL until first used */
	int failures;					/* in a row */
	TimestampTz not_before;			/* 0: at any time */
	int logged_sqlstate;			/* what was logged last, 0: nothing since it last worked */
	char logged_message[DS_SLOT_TEXTLEN];
} DsTask;

extern bool ds_worker_task_name(DsTask *task, const char *name, const char *function);
extern SPIPlanPtr ds_worker_task_plan(DsTask *task, int nargs, const Oid *argtypes);
extern void ds_worker_task_forget_plan(DsTask *task);
extern bool ds_worker_task_ready(const DsTask *task, TimestampTz now);
extern void ds_worker_task_failed(DsTask *task, const DsFailure *failure);
extern void ds_worker_task_worked(DsTask *task);
extern bool ds_worker_due(TimestampTz at, TimestampTz now, int64 horizon_ms);
extern TimestampTz ds_worker_backoff(TimestampTz now, int failures);

#endif /* DS_WORKER_TASK_H */
