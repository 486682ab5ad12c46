/*-------------------------------------------------------------------------
 *
 * event.h
 *		Document events of customers, told by verbs in C: the room of the
 *		outbox, which base does not know, says how they are kept.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_EVENT_H
#define DS_BASE_EVENT_H

#include "postgres.h"

/* A document event, as base_emit() takes it. */
typedef struct DsEvent
{
	const char *event_type;
	const char *entity;
	const char *entity_key;
	int64 customer_id;
	Datum body;			/* jsonb */
	Datum correlation;	/* uuid, 0 = none */
	const char *origin; /* NULL = none */
} DsEvent;

/* Writes an event by the short way. False: it is not open here, and nothing was written. */
typedef bool (*DsEventAction)(const DsEvent *event);

extern void ds_event_init(DsEventAction action);
extern void ds_event_emit(const DsEvent *event);

#endif /* DS_BASE_EVENT_H */
