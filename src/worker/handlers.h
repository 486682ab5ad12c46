/*-------------------------------------------------------------------------
 *
 * handlers.h
 *		What the rooms registered for a worker in distsync_internal.handler.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_WORKER_HANDLERS_H
#define DS_WORKER_HANDLERS_H

#include "worker/task.h"

#define DS_MAX_HANDLERS 64

typedef struct DsHandler
{
	char name[NAMEDATALEN];
	char function[2 * NAMEDATALEN];
} DsHandler;

typedef struct DsHandlers
{
	int n;
	DsHandler handler[DS_MAX_HANDLERS];
} DsHandlers;

extern DsOutcome ds_worker_handlers_read(const char *kind, DsHandlers *handlers,
										 DsFailure *failure);
extern const char *ds_worker_handlers_function(const DsHandlers *handlers, const char *name);

#endif /* DS_WORKER_HANDLERS_H */
