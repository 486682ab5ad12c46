/*-------------------------------------------------------------------------
 *
 * lots.h
 *		What lots that expire and goods that wait do to the stock of a site.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_LOTS_H
#define DS_INVENTORY_LOTS_H

#include "postgres.h"

#include "utils/timestamp.h"

/* What is released and what expires at a site, each in the order of time. */
typedef struct DsInventoryLots
{
	int nreleases;
	Datum *released_at;
	Datum *released; /* numeric, base units */
	Datum *kinds;	 /* text */
	Datum *references;
	int nexpiries;
	Datum *expires_at;
	Datum *rests; /* numeric, base units: stock without what has expired by then */
	Datum *names; /* text: lots that go */
} DsInventoryLots;

extern bool ds_inventory_lots_ahead(Datum item_id, Datum site_id, TimestampTz now,
									DsInventoryLots *lots);

#endif /* DS_INVENTORY_LOTS_H */
