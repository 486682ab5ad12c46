/*-------------------------------------------------------------------------
 *
 * store.h
 *		Events on their way into the stream. For the files of the router only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_OUTBOX_STORE_H
#define DS_OUTBOX_STORE_H

#include "postgres.h"

#include "common/md5.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/snapshot.h"
#include "base/rows.h"

/* digits of the hash of a state */
#define DS_SAID_LENGTH 32

/* columns of distsync_internal.outbox_draft */
enum
{
	D_ORDINAL,
	D_AT,
	D_EVENT_TYPE,
	D_ENTITY,
	D_ENTITY_KEY,
	D_CUSTOMER_ID,
	D_BODY,
	D_MESSAGE_ID,
	D_CORRELATION_ID,
	D_CAUSATION_ID,
	D_ORIGIN,
	D_RING,
	D_ERROR,
	D_STATE,
	D_AGAIN,
	D_COUNT
};

/* columns of sync.event */
enum
{
	E_POSITION,
	E_MESSAGE_ID,
	E_AT,
	E_ROUTED_AT,
	E_EVENT_TYPE,
	E_ENTITY,
	E_ENTITY_KEY,
	E_INCARNATION,
	E_ENTITY_VERSION,
	E_CUSTOMER_ID,
	E_CORRELATION_ID,
	E_CAUSATION_ID,
	E_ORIGIN,
	E_BODY,
	E_COUNT
};

/* An event with its data; what is NULL is told by nulls. */
typedef struct DsOutboxDraft
{
	Datum values[D_COUNT];
	bool nulls[D_COUNT];
	bool gone;	   /* the same was told last */
	int type;	   /* number of its type */
	int place;	   /* in the order of the stream */
	int64 version; /* of its entity */
	char *text;	   /* of its data, NULL = not made, or not kept */
	int length;
} DsOutboxDraft;

/* What an event says, as JSON. */
typedef struct DsOutboxText
{
	StringInfoData text;
	int known_from; /* of an object, its member known_at and a comma: from here */
	int known_to;	/* to there; nothing = it has none */
} DsOutboxText;

/* What all events of a call have in common. */
typedef struct DsOutboxSource
{
	char *source; /* as JSON */
	int32 incarnation;
} DsOutboxSource;

/* The tables that events go to. */
typedef struct DsOutboxStream
{
	DsRowsParts *events; /* NULL: SQL writes them */
	DsRowsParts *clocks;
	DsRows *clock; /* where the clock that was asked for last is, or should be; NULL: SQL knows */
	Snapshot snapshot;
} DsOutboxStream;

/* What is known of an entity that has events. */
typedef struct DsOutboxClock
{
	Datum keys[2]; /* entity, entity_key */
	bool found;
	int64 version;
	char said[DS_SAID_LENGTH + 1]; /* hash of what was told last */
	bool has_said;
} DsOutboxClock;

/* store.c */
extern int ds_outbox_compare_texts(Datum a, Datum b);

/* event_text.c */
extern void ds_outbox_event_data(DsOutboxText *event, Jsonb *body);
extern void ds_outbox_event_said(const DsOutboxText *event, const char *prefix, char *said);
extern Datum ds_outbox_event_body(const DsOutboxDraft *draft, const DsOutboxSource *source,
								  const char *type);

/* store.c */
extern TupleDesc ds_outbox_draft_desc(Oid type);

/* stream.c */
extern void ds_outbox_stream_open(DsOutboxStream *stream);
extern void ds_outbox_stream_look(DsOutboxStream *stream, DsOutboxClock *clock);
extern void ds_outbox_stream_set(DsOutboxStream *stream, const DsOutboxClock *clock);
extern void ds_outbox_stream_add(DsOutboxStream *stream, const Datum *values, const bool *nulls);
extern void ds_outbox_stream_close(DsOutboxStream *stream);

#endif /* DS_OUTBOX_STORE_H */
