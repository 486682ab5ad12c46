/*-------------------------------------------------------------------------
 *
 * append.h
 *		Markers of changes and documents, and the short way into an outbox.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_OUTBOX_APPEND_H
#define DS_OUTBOX_APPEND_H

#include "postgres.h"

#include "base/event.h"

/* "the state of this key has changed" */
typedef struct DsOutboxMarker
{
	int64 key;
	int64 group; /* customer_id or item_id */
} DsOutboxMarker;

/* What one statement leaves in an outbox */
typedef struct DsOutboxMarkers
{
	const char *event_type;
	const char *entity;
	bool item; /* the outbox of items, not of customers */
	int n;
	int capacity;
	DsOutboxMarker *marker;
	const DsEvent *document; /* that is told instead of the only marker; NULL = markers */
} DsOutboxMarkers;

extern bool ds_outbox_append(const DsOutboxMarkers *markers, Oid owner, const char *ring);

#endif /* DS_OUTBOX_APPEND_H */
