/*-------------------------------------------------------------------------
 *
 * supervise.h
 *		One worker of one database as the launcher sees it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_WORKER_SUPERVISE_H
#define DS_WORKER_SUPERVISE_H

#include "postmaster/bgworker.h"

#include "worker/slots.h"

typedef enum DsChild
{
	DS_CHILD_RUNS, /* or is about to */
	DS_CHILD_LEFT, /* just now: its exit says why */
	DS_CHILD_NONE
} DsChild;

typedef struct DsLaunch
{
	DsTicket ticket;
	BackgroundWorkerHandle *handle; /* NULL for a worker that a former launcher started */
	bool watched;
	bool exhausted;		/* the last start found no place in the server */
	uint64 places_seen; /* and so many had been given back by then */
	int failures;		/* in a row */
	TimestampTz not_before;
} DsLaunch;

extern void ds_worker_supervise_forget(DsLaunch *launch);
extern DsChild ds_worker_supervise_look(DsLaunch *launch, Oid dboid, DsWorkerKind kind,
										DsSlotExit *reason);
extern bool ds_worker_supervise_ready(const DsLaunch *launch, TimestampTz now);
extern bool ds_worker_supervise_start(DsLaunch *launch, Oid dboid, DsWorkerKind kind,
									  const char *dbname);

#endif /* DS_WORKER_SUPERVISE_H */
