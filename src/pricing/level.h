/*-------------------------------------------------------------------------
 *
 * level.h
 *		Rates that are for several lines together: which lines they name, and
 *		which rate of each agreement counts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_LEVEL_H
#define DS_PRICING_LEVEL_H

#include "pricing/finish.h"

/* A rate with the lines it names. */
typedef struct DsNamed
{
	DsSource *source;
	DsCandidate *first; /* of the line whose target is nearest */
	const DsLine *line; /* that line */
	int nplaces;
	int *places;	 /* in the order of lines; 0 of them = every line rejects it */
	DsReason reason; /* why it does not count */
} DsNamed;

typedef struct DsLevel
{
	DsCall *call;
	DsResult *results;
	int n;
	bool keep;		/* rates that every line rejects are kept, to be told */
	bool after_off; /* amounts are measured after order discounts */
	DsNamed *named;
	int nnamed;
	DsRatio *entered; /* net amounts before the slot */
} DsLevel;

/* Orders two rates whose keys tie by what they take or charge: below 0 = a comes first. */
typedef int (*DsLevelCompare)(const DsLevel *l, const DsNamed *a, const DsNamed *b);

extern void ds_pricing_level_gather(DsLevel *l, DsSlotName slot);
extern DsRatio ds_pricing_level_sum(const DsLevel *l, const DsNamed *m, bool extension);
extern DsRatio ds_pricing_level_weight(const DsLevel *l, const DsNamed *m, bool *has_weight);
extern int ds_pricing_level_contest(DsLevel *l, DsLevelCompare compare, DsNamed **chosen);
extern void ds_pricing_level_allocate(int minor_units, DsRatio amount, const DsRatio *weights,
									  int n, DsRatio *parts);

#endif /* DS_PRICING_LEVEL_H */
