/*-------------------------------------------------------------------------
 *
 * window.h
 *		What the router reads of the outboxes between two snapshots.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_OUTBOX_WINDOW_H
#define DS_OUTBOX_WINDOW_H

#include "postgres.h"

#include "utils/timestamp.h"
#include "utils/uuid.h"

/* An event type and what it is about. */
typedef struct DsOutboxKind
{
	text *event_type;
	text *entity;
} DsOutboxKind;

typedef struct DsOutboxKinds
{
	DsOutboxKind *kind;
	int n;
	int room;
	int last; /* that was asked for last */
} DsOutboxKinds;

/* A document, or all markers of one entity: the place, the ids and the instant of the last. */
typedef struct DsOutboxPiece
{
	bool item; /* from the outbox of items, not of customers */
	bool document;
	int64 outbox_id;
	TimestampTz at;
	TimestampTz first_at; /* of the first marker */
	int kind;
	text *key;
	int64 group;		  /* customer_id or item_id */
	struct varlena *body; /* jsonb of a document, NULL = none */
	bool again;			  /* markers: told even if it was told last */
	bool rings;			  /* the courier rings */
	pg_uuid_t message_id;
	bool has_correlation;
	pg_uuid_t correlation_id;
	bool has_causation;
	pg_uuid_t causation_id;
	text *origin;  /* that all agree on, NULL = none */
	int64 ordinal; /* place in the window */
} DsOutboxPiece;

/* Which rows, and the pieces they make, in the order of outbox_id. */
typedef struct DsOutboxWindow
{
	bool item;
	Datum before; /* pg_snapshot */
	Datum target;
	Datum late;	 /* xid8[] */
	int64 after; /* outbox_id */
	int step;	 /* pieces at most */
	int room;	 /* entities whose markers are kept at once; of more SQL reads */
	DsOutboxKinds *kinds;
	DsOutboxPiece **piece;
	int n;
} DsOutboxWindow;

/* window.c */
extern int ds_outbox_kind(DsOutboxKinds *kinds, const text *event_type, const text *entity);
extern bool ds_outbox_same_text(const text *a, const text *b);
extern bool ds_outbox_read(DsOutboxWindow *w);

/* window_whole.c */
extern void ds_outbox_read_whole(DsOutboxWindow *w);

#endif /* DS_OUTBOX_WINDOW_H */
