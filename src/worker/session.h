/*-------------------------------------------------------------------------
 *
 * session.h
 *		The life that courier and clerk share: start, short transactions,
 *		waits, leaving.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_WORKER_SESSION_H
#define DS_WORKER_SESSION_H

#include "base/compat.h"
#include "worker/slots.h"

/* How a transaction of a worker ended */
typedef enum DsOutcome
{
	DS_DONE,   /* committed */
	DS_IDLE,   /* nothing was run: ds_worker_session_idle_reason() says why */
	DS_FAILED, /* rolled back: the failure says why */
} DsOutcome;

typedef struct DsFailure
{
	bool in_step; /* in what the caller asked for or its commit, not in the checks before */
	int sqlstate;
	char message[DS_SLOT_TEXTLEN];
	char detail[DS_SLOT_TEXTLEN];
	char context[DS_SLOT_TEXTLEN];
} DsFailure;

typedef void (*DsStep)(void *arg);

/* What a transaction needs to be allowed to run */
typedef enum DsNeeds
{
	DS_NEEDS_EXTENSION, /* the extension, in a version we serve */
	DS_NEEDS_ACTIVE		/* and an instance that may send */
} DsNeeds;

extern void ds_worker_session_start(DsWorkerKind kind);
extern DsOutcome ds_worker_session_run(const char *activity, DsNeeds needs, DsStep step, void *arg,
									   DsFailure *failure);
extern const char *ds_worker_session_idle_reason(void);
extern int ds_worker_session_idle_pause(void);
extern void ds_worker_session_interrupts(void);
extern bool ds_worker_session_take_reload(void);
pg_noreturn extern void ds_worker_session_leave(DsSlotExit reason, const char *message);
extern void ds_worker_session_rest(void);
extern void ds_worker_session_clip(char *field, const char *text);

#endif /* DS_WORKER_SESSION_H */
