/*-------------------------------------------------------------------------
 *
 * slots.h
 *		The workers of the server in shared memory: who runs where, how it
 *		feels, and who asked it to leave.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_WORKER_SLOTS_H
#define DS_WORKER_SLOTS_H

#include "datatype/timestamp.h"

#define DS_SLOT_TEXTLEN 256
#define DS_SLOT_NONE (-1)

typedef enum DsWorkerKind
{
	DS_WORKER_LAUNCHER,
	DS_WORKER_PROBE,
	DS_WORKER_COURIER,
	DS_WORKER_CLERK
} DsWorkerKind;

#define DS_WORKER_KINDS 4

typedef enum DsSlotState
{
	DS_SLOT_FREE,	  /* nobody's */
	DS_SLOT_STOPPED,  /* reserved for a database and kind, nothing runs */
	DS_SLOT_STARTING, /* the launcher asked the postmaster for a process */
	DS_SLOT_ACTIVE,
	DS_SLOT_IDLE, /* runs, does nothing: idle_reason says why */
	DS_SLOT_STOPPING
} DsSlotState;

/* What a worker says when it leaves. NONE after ERROR, FATAL or SIGTERM. */
typedef enum DsSlotExit
{
	DS_EXIT_NONE,
	DS_EXIT_PRESENT,   /* probe: the extension is here */
	DS_EXIT_ABSENT,	   /* the extension is not here, or not any more */
	DS_EXIT_ASKED,	   /* somebody asked it to leave */
	DS_EXIT_DUPLICATE, /* another one does the work already */
	DS_EXIT_REFUSED	   /* cannot work here: last_error says why */
} DsSlotExit;

typedef enum DsCounter
{
	DS_COUNT_LOOPS,
	DS_COUNT_WORK,
	DS_COUNT_ERRORS
} DsCounter;

#define DS_COUNTERS 3

/* What the launcher tells the worker it starts: fits into bgw_extra */
typedef struct DsTicket
{
	int32 slot;
	Oid dboid;
	int32 kind;
	uint64 generation;
} DsTicket;

/* A copy of a slot, to look at in peace */
typedef struct DsSlotView
{
	Oid dboid;
	DsWorkerKind kind;
	DsSlotState state;
	DsSlotExit exit;
	int pid;
	uint64 generation;
	uint64 starts;
	TimestampTz started_at;
	TimestampTz last_loop_at;
	uint64 counters[DS_COUNTERS];
	char last_error[DS_SLOT_TEXTLEN];
	char idle_reason[DS_SLOT_TEXTLEN];
} DsSlotView;

extern void ds_worker_slots_init(void);
extern bool ds_worker_slots_ready(void);
extern int ds_worker_slots_count(void);
extern bool ds_worker_slots_view(int slot, DsSlotView *view);
extern int ds_worker_slots_find(Oid dboid, DsWorkerKind kind);

/* the launcher */
extern bool ds_worker_slots_reserve(Oid dboid, DsWorkerKind kind, DsTicket *ticket);
extern void ds_worker_slots_give_up(const DsTicket *ticket);
extern void ds_worker_slots_release(Oid dboid);
extern int ds_worker_slots_ask_to_leave(Oid dboid);
extern int ds_worker_slots_terminate(Oid dboid);
extern bool ds_worker_slots_blocked(Oid dboid);
extern bool ds_worker_slots_take_hint(Oid *dboid);

/* any backend */
extern bool ds_worker_slots_block(Oid dboid);
extern void ds_worker_slots_unblock(Oid dboid);
extern void ds_worker_slots_hint(Oid dboid);
extern void ds_worker_slots_wake(Oid dboid, int which);
extern void ds_worker_slots_wake_launcher(void);

/* the worker itself */
extern bool ds_worker_slot_attach(const DsTicket *ticket);
extern bool ds_worker_slot_asked_to_leave(void);
extern bool ds_worker_slot_take_wake(void);
extern void ds_worker_slot_defer_states(bool defer);
extern void ds_worker_slot_set_state(DsSlotState state, const char *idle_reason);
extern void ds_worker_slot_set_exit(DsSlotExit reason);
extern void ds_worker_slot_set_error(const char *message);
extern void ds_worker_slot_beat(void);
extern void ds_worker_slot_count(DsCounter counter, uint64 n);

extern const char *ds_worker_kind_name(DsWorkerKind kind);
extern const char *ds_worker_slot_state_name(DsSlotState state);

#endif /* DS_WORKER_SLOTS_H */
