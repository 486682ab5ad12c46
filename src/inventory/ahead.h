/*-------------------------------------------------------------------------
 *
 * ahead.h
 *		What comes and goes at several sites, and what it leaves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_AHEAD_H
#define DS_INVENTORY_AHEAD_H

#include "postgres.h"

#include "utils/timestamp.h"

/* nothing expires */
#define DS_AHEAD_NEVER PG_INT64_MAX

/* Where a site stands while the timeline is walked, in millionths of base units. */
typedef struct DsAheadPlace
{
	int64 stand;	 /* stock less what is owed, now */
	int64 running;	 /* with what came and went so far */
	int64 gone;		 /* of it what went, below 0 */
	int64 before;	 /* the same before the moment it is at */
	int64 rest;		 /* the least that was left of the stock when lots expired so far */
	int64 low;		 /* lowest point of running from here until the next lots expire */
	int64 beyond;	 /* the same after that, where whoever comes now takes nothing from it */
	int64 last;		 /* rest of the moments that low is about */
	int64 allowance; /* may be promised beyond it, below 0 = is kept back */
	int64 raw;		 /* what may be promised from the moment on, without a floor */
	int64 atp;		 /* what it adds to what may be promised */
	TimestampTz seen;
} DsAheadPlace;

/* Something that comes or goes. */
typedef struct DsAheadChange
{
	TimestampTz moment;
	int64 amount;	  /* millionths of base units, below 0 = it goes */
	int64 rest;		  /* of an expiry: what it leaves of the stock; then: of the place */
	int place;		  /* which of the sites */
	bool expires;	  /* lots expire: amount is what nobody has taken before */
	int64 atp;		  /* what the site may promise from this moment on */
	const char *kind; /* NULL = what is there already */
	const char *reference;
} DsAheadChange;

typedef struct DsAhead
{
	DsAheadPlace *places;
	DsAheadChange *changes;
	int n;
	int room;
	int64 total; /* of all amounts without their signs: no sum of some of them can be larger */
	int64 step;	 /* what may be promised of a site comes in whole steps */
	bool lots;	 /* some expire */
} DsAhead;

extern void ds_inventory_look_ahead(DsAhead *t);

#endif /* DS_INVENTORY_AHEAD_H */
