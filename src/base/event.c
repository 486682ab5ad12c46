/*-------------------------------------------------------------------------
 *
 * event.c
 *		The way of a document event into the outbox: the short one where it is
 *		open, otherwise base_emit().
 *
 * Process: any backend. Locks: those of the outbox. Memory: the current
 * context.
 *
 *-------------------------------------------------------------------------
 */
#include "base/event.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "base/compat.h"
#include "base/verb.h"

static DsEventAction event_action = NULL;

/* ds_event_init does the registration, once a process. */
void
ds_event_init(DsEventAction action)
{
	event_action = action;
}

/* emit does the call of base_emit(). */
static void
emit(const DsEvent *event)
{
	static const Oid types[] = {TEXTOID,  INT8OID, TEXTOID, TEXTOID, TEXTOID,
								JSONBOID, UUIDOID, UUIDOID, TEXTOID};
	LOCAL_FCINFO(fcinfo, 9);
	FmgrInfo flinfo;

	fmgr_info(ds_verb_behind("base_emit", types, lengthof(types)), &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, lengthof(types), InvalidOid, NULL, NULL);
	memset(fcinfo->args, 0, sizeof(NullableDatum) * lengthof(types));
	fcinfo->args[0].value = CStringGetTextDatum("customer");
	fcinfo->args[1].value = Int64GetDatum(event->customer_id);
	fcinfo->args[2].value = CStringGetTextDatum(event->event_type);
	fcinfo->args[3].value = CStringGetTextDatum(event->entity);
	fcinfo->args[4].value = CStringGetTextDatum(event->entity_key);
	fcinfo->args[5].value = event->body;
	fcinfo->args[6].value = event->correlation;
	fcinfo->args[6].isnull = event->correlation == 0;
	fcinfo->args[7].isnull = true;
	fcinfo->args[8].isnull = event->origin == NULL;
	if (event->origin != NULL)
		fcinfo->args[8].value = CStringGetTextDatum(event->origin);
	FunctionCallInvoke(fcinfo);
}

/* ds_event_emit does the telling of an event, in the caller's commit. */
void
ds_event_emit(const DsEvent *event)
{
	if (event_action == NULL || !event_action(event))
		emit(event);
}
