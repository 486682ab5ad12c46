/*-------------------------------------------------------------------------
 *
 * event.h
 *		Stock events of a call on their way from document to book.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_EVENT_H
#define DS_INVENTORY_EVENT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/date.h"
#include "utils/numeric.h"
#include "base/documents.h"
#include "base/rows.h"

#define DS_EVENT_HASH 32

/* A piece of a text that somebody else keeps; s NULL = absent. */
typedef struct DsSlice
{
	const char *s;
	int len;
} DsSlice;

typedef enum DsEventKind
{
	DS_EVENT_DELTA,
	DS_EVENT_COUNT,
	DS_EVENT_RECEIVE,
	DS_EVENT_SHIP,
	DS_EVENT_TRANSFER
} DsEventKind;

typedef enum DsEventOutcome
{
	DS_EVENT_APPLIED,
	DS_EVENT_DUPLICATE,
	DS_EVENT_CONFLICT,
	DS_EVENT_GONE /* whether it was told before is not known any more */
} DsEventOutcome;

/* What a code means; filled in once a call. */
typedef struct DsEventCode
{
	int64 id;
	DsSlice unit;	 /* of an item: its base unit */
	bool serial;	 /* of an item: its lots are serial numbers */
	bool lots;		 /* of an item: it is kept by lot */
	bool promisable; /* of a state */
	bool ages;		 /* of a state: what is in it will be promisable */
} DsEventCode;

typedef struct DsEvent
{
	int ordinal;
	DsEventOutcome outcome;
	DsEventKind kind;
	bool book; /* the perspective: book or phys */
	/* as they were told */
	DsSlice event_id, sku, site, to_site, state, to_state, lot, owner, unit, stream, reference;
	Numeric quantity; /* base units, six decimals */
	TimestampTz event_at;
	DateADT expires_on;
	bool expires;
	int64 sequence;
	bool numbered;
	/* what they mean */
	const DsEventCode *item;
	int64 site_id, to_site_id; /* 0 = none */
	int64 owner_id;
	const DsEventCode *from, *to; /* states */
	uint8 hash[DS_EVENT_HASH];	  /* of the document */
	uint8 key[DS_EVENT_HASH];	  /* of its name, in sync.dedupe */
} DsEvent;

/* A call. */
typedef struct DsEventCall
{
	DsDocuments *documents;
	int n;
	DsEvent *event;
	struct DsEventCodes *codes;
	bool usual; /* the system is a warehouse or an ERP: it has a perspective of its own */
	bool book;	/* which is the book */
	/* writers, NULL = not open */
	DsRowsParts *dedupe;
	DsRowsParts *events;
	DsRows *entries; /* the partition of this moment */
	Oid sequence;	 /* numbers them */
	TimestampTz began;
	DsRows *balances;
	DsRows *pools;
	DsRows *streams;
} DsEventCall;

/* One change of one balance: a transfer makes two. */
typedef struct DsLeg
{
	const DsEvent *event;
	int64 item_id;
	int64 site_id;
	DsSlice state;
	bool promisable;
	bool ages;
	bool minus;
	int number;
} DsLeg;

extern void ds_inventory_event_init(void);
extern int ds_inventory_slice_compare(DsSlice a, DsSlice b);
extern Datum ds_inventory_slice_text(DsSlice slice);
extern bool ds_inventory_event_read(DsEventCall *call);
extern bool ds_inventory_event_resolve(DsEventCall *call);
extern bool ds_inventory_event_open(DsEventCall *call);
extern void ds_inventory_event_close(DsEventCall *call);
extern void ds_inventory_event_streams(DsEventCall *call);
extern void ds_inventory_event_post(DsEventCall *call);

#endif /* DS_INVENTORY_EVENT_H */
