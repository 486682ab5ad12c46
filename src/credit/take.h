/*-------------------------------------------------------------------------
 *
 * take.h
 *		Taking what a decision approves, without statements.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_CREDIT_TAKE_H
#define DS_CREDIT_TAKE_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "base/json.h"
#include "base/rows.h"

/* accounts from leaf to root */
#define DS_CREDIT_TAKE_LEVELS 32

/* Accounts that are locked, and the decisions about them. */
typedef struct DsCreditTake
{
	DsRows *accounts;
	DsRowsParts *decisions;
	TimestampTz began; /* a partition of this instant is open */
	int n;
	int64 ids[DS_CREDIT_TAKE_LEVELS]; /* leaf first */
	int64 customer_id;				  /* of the leaf */
	bool stands_well;				  /* the leaf, before */
} DsCreditTake;

extern bool ds_credit_take_open(DsCreditTake *take);
extern void ds_credit_take_close(DsCreditTake *take);
extern bool ds_credit_take_lock(DsCreditTake *take, int64 account_id);
extern Jsonb *ds_credit_take(DsCreditTake *take, Numeric amount, Jsonb *facts, int64 order_id,
							 const char *verb);
extern bool ds_credit_carrier(int64 customer_id, int64 company_id, int64 job_id, int64 *account_id);

#endif /* DS_CREDIT_TAKE_H */
