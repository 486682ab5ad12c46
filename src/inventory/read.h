/*-------------------------------------------------------------------------
 *
 * read.h
 *		What decisions about stock read: items and sites by our codes, pools.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_READ_H
#define DS_INVENTORY_READ_H

#include "postgres.h"

#include "utils/numeric.h"
#include "utils/timestamp.h"

/* decimals of every quantity of stock */
#define DS_INVENTORY_SCALE 6

/* An item with stock of its own. */
typedef struct DsInventoryItem
{
	Datum item_id;
	text *base_unit;
} DsInventoryItem;

/* A site that may promise. */
typedef struct DsInventorySite
{
	Datum site_id;
	bool can_ship;
	bool always;	   /* it ships at any time */
	Datum calendar_id; /* otherwise by this one */
} DsInventorySite;

/* A pool, in base units, as its last writer left it. */
typedef struct DsInventoryPool
{
	Datum site_id;
	Numeric phys; /* promisable stock as the warehouse tells it, NULL = it tells nothing */
	Numeric book; /* as the book tells it, NULL = it tells nothing */
	Numeric due;  /* demand of others that is due, as a negative */
	Numeric low;  /* lowest point of what is to come, with due, less safety */
	Numeric held;
	Numeric committed;
	Numeric backorder;
	Numeric safety; /* kept back */
	TimestampTz changed_at;
	TimestampTz valid_until; /* DT_NOEND = for ever */
	bool ahead;				 /* something is to come */
	bool ruled;				 /* dates are not those of supply and demand alone */
	/* of its site, where all of an item are looked for */
	char *code;
	int64 company_id;
} DsInventoryPool;

extern bool ds_inventory_find_item(Datum sku, const text *unit, DsInventoryItem *item);
extern bool ds_inventory_find_site(Datum code, DsInventorySite *site);
extern bool ds_inventory_find_pool(Datum item_id, Datum site_id, TimestampTz now,
								   DsInventoryPool *pool);
extern int ds_inventory_find_pools(Datum item_id, int64 company_id, TimestampTz now,
								   DsInventoryPool **pools);
extern bool ds_inventory_foreseen(Datum item_id, const DsInventoryPool *pools, int n,
								  Numeric quantity, int64 step, TimestampTz now,
								  TimestampTz *moment);
extern int ds_inventory_scale(Datum unit);
extern int64 ds_inventory_step(int64 numerator, int64 denominator, int scale, int base_scale);
extern bool ds_inventory_is_whole(Numeric quantity);
extern Numeric ds_inventory_in_steps(Numeric quantity, int64 step);
extern Numeric ds_inventory_in_units(Numeric quantity, Datum base_unit);
extern Numeric ds_inventory_base(const DsInventoryPool *pool);
extern bool ds_inventory_no_options(Datum options);
extern bool ds_inventory_ship_at(Datum calendar_id, TimestampTz available_at, TimestampTz *ship_at);

#endif /* DS_INVENTORY_READ_H */
