/*-------------------------------------------------------------------------
 *
 * aging.h
 *		Sums of what is open, by who owes it, currency and place in the order
 *		of buckets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_CREDIT_AGING_H
#define DS_CREDIT_AGING_H

#include "postgres.h"

/* places beside those of buckets: 0 is what is not late, n is the nth bucket */
#define DS_AGING_UNAPPLIED (-1)
#define DS_AGING_NO_DAY (-2)

typedef struct DsAgingSum
{
	int128 amount; /* in ten-thousandths */
	int32 items;
	int32 currency;
	int32 place;
	uint32 next; /* of the same customer, 0 = none */
} DsAgingSum;

typedef struct DsAgingSums DsAgingSums;

extern DsAgingSums *ds_credit_aging_sums(Size room);
extern uint64 ds_credit_aging_hash(int64 customer_id);
extern bool ds_credit_aging_add(DsAgingSums *self, int64 customer_id, const DsAgingSum *more);
extern const DsAgingSum *ds_credit_aging_first(const DsAgingSums *self, int64 customer_id);
extern const DsAgingSum *ds_credit_aging_next(const DsAgingSums *self, const DsAgingSum *sum);
extern void ds_credit_aging_forget(DsAgingSums *self);

#endif /* DS_CREDIT_AGING_H */
