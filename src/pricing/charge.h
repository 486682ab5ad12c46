/*-------------------------------------------------------------------------
 *
 * charge.h
 *		A charge of an order, decided.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_CHARGE_H
#define DS_PRICING_CHARGE_H

#include "pricing/level.h"

/* A rate that applies, with what it charges. */
typedef struct DsCharge
{
	const DsNamed *named;
	DsChargeKind kind;
	DsRatio amount; /* whole minor units of the asked currency */
	bool collect;	/* somebody else pays: it is told, not charged */
} DsCharge;

/* The charges of one slot. */
typedef struct DsCharges
{
	DsLevel level;
	int n;
	DsCharge *list; /* kind by kind, in the order in which they were applied */
} DsCharges;

extern void ds_pricing_charge_slot(DsCall *call, DsResult *results, int n, const DsSlot *slot,
								   DsCharges *charges);

#endif /* DS_PRICING_CHARGE_H */
