/*-------------------------------------------------------------------------
 *
 * event_pool.h
 *		What a call tells of one pool after the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_EVENT_POOL_H
#define DS_INVENTORY_EVENT_POOL_H

#include "base/reader.h"
#include "inventory/event.h"

/* documents of one pool that are looked at here */
#define DS_EVENT_MAX_FLIGHTS 16

/* A movement that both perspectives will name, with what the call tells of it. */
typedef struct DsEventFlight
{
	DsSlice reference;
	bool exists;
	ItemPointerData tid;
	Numeric phys, book;
	Numeric before; /* what of it waited for the book before the call */
	TimestampTz event_at;
} DsEventFlight;

/* What became of a pool. */
typedef enum DsEventVerdict
{
	DS_EVENT_POSTED,
	DS_EVENT_NOT_PLAIN, /* nothing was written: it is for SQL */
	DS_EVENT_OUTDATED	/* nothing was written: somebody has changed it since we read it */
} DsEventVerdict;

/* A pool and the legs that touch it. */
typedef struct DsEventPool
{
	int64 item_id;
	int64 site_id;
	DsLeg *legs;
	int nlegs;
	bool done;				   /* it was plain, and is written */
	int nflights;			   /* movements of it in the posting */
	TimestampTz counted_until; /* by the book, where there are any */
	bool changed;			   /* something that others want to know has changed */
} DsEventPool;

typedef struct DsEventPosting
{
	DsEventCall *call;
	DsLeg *legs;
	int nlegs;
	DsEventPool *pools;
	int npools;
	Datum *other_items; /* of pools that were locked besides, with those of ours among them */
	Datum *other_sites;
	int nothers;
	bool waited_for; /* a reversal waits for an event of the call */
	bool
		expiring; /* an event of the call tells when a lot expires: that holds for the lot wherever the call moves it */
	/* of event_pool.c */
	TimestampTz now;
	DsReader *supplies; /* NULL = not open */
	DsReader *demands;
	DsReader *companies;
	DsReader *departures;
	DsReader *transits;
	DsReader *lots;
	DsReader *kept_lots;
	DsReader *counts;
	DsReader *barriers;
	bool barred; /* snapshots have been taken */
	DsRows *flights;
	DsEventFlight flight[DS_EVENT_MAX_FLIGHTS]; /* of the pool that is looked at */
	const DsLeg **found; /* counts that found something else than was known */
	int nfound;
	Oid sequence;
} DsEventPosting;

extern int ds_inventory_leg_compare_balances(const DsLeg *a, const DsLeg *b);
extern bool ds_inventory_event_allocates(const DsEvent *event);
extern bool ds_inventory_line_is_named(DsEventPosting *posting, const DsLeg *leg);
extern bool ds_inventory_departure_is_named(DsEventPosting *posting, const DsLeg *leg);
extern bool ds_inventory_leg_lands(DsEventPosting *posting, const DsLeg *leg);
extern bool ds_inventory_number_fits(Numeric value);
extern void ds_inventory_event_pools_begin(DsEventPosting *posting);
extern void ds_inventory_event_stamp(DsEventPosting *posting);
extern DsEventVerdict ds_inventory_event_pool_post(DsEventPosting *posting, DsEventPool *pool);
extern DsReader *ds_inventory_reader_of(DsReader **reader, DsTable *table);
extern bool ds_inventory_supply_is_named(DsEventPosting *posting, const DsLeg *leg);
extern bool ds_inventory_demand_is_named(DsEventPosting *posting, const DsLeg *leg);
extern bool ds_inventory_lot_is_plain(DsEventPosting *posting, const DsLeg *leg);
extern bool ds_inventory_lot_is_fresh(const DsEventPosting *posting, const DsLeg *legs, int n);
extern bool ds_inventory_flight_add(DsEventPosting *posting, DsEventPool *pool, const DsLeg *leg,
									Numeric change);
extern Numeric ds_inventory_flight_change(const DsEventPosting *posting, const DsEventPool *pool);
extern void ds_inventory_flight_write(DsEventPosting *posting, const DsEventPool *pool);
extern void ds_inventory_event_pools_rest(DsEventPosting *posting);
extern void ds_inventory_event_pools_end(DsEventPosting *posting);

#endif /* DS_INVENTORY_EVENT_POOL_H */
