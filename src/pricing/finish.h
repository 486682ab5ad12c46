/*-------------------------------------------------------------------------
 *
 * finish.h
 *		The numbers of an answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_FINISH_H
#define DS_PRICING_FINISH_H

#include "postgres.h"

#include "fmgr.h"
#include "base/json.h"
#include "pricing/engine.h"

typedef struct DsFinish
{
	bool priced;
	const char *code;
	const char *guard; /* at_floor, at_ceiling, below_floor, above_ceiling; NULL = nothing */
	int32 price_per;
	DsRatio resolved;	/* before guard and rounding, for one unit */
	Numeric unit_price; /* for price_per units */
	DsRatio extension;	/* rounded to minor units, negative for a return */
	DsRatio net_amount; /* the same less what order discounts take */
	bool off_multiple;
	DsRatio next_quantity;
} DsFinish;

extern void ds_pricing_finish(DsCall *call, DsLine *line, DsDecision *decision, DsFinish *finish);
extern DsRatio ds_pricing_round_up(const DsRule *rule, DsRatio price);

/* A line of a call with its decision and numbers. */
typedef struct DsResult
{
	DsLine *line;
	DsDecision *decision;
	DsFinish finish;
} DsResult;

/* price.c: calls, the decision and its numbers, as price() tells them */
extern void ds_pricing_open(DsCall *call, const char *customer, int64 customer_id,
							FunctionCallInfo fcinfo);
extern DsDecision *ds_pricing_priced(DsCall *call, DsLine *line, DsFinish *finish);
extern DsResult *ds_pricing_decide_all(DsCall *call);
extern void ds_pricing_tell_row(DsCall *call, DsJson *json, DsResult *result, const char *proof);
extern const char *ds_pricing_winner(const DsDecision *decision);
extern TimestampTz ds_pricing_known_at(const DsCall *call);
extern Numeric ds_pricing_net_amount(const DsCall *call, const DsFinish *finish);

/* commitment.c: agreed volumes */
extern void ds_pricing_take(DsCall *call, const DsLine *line, const DsDecision *decision,
							const DsFinish *finish);
extern void ds_pricing_tell_volumes(DsJson *json, const DsLine *line, const DsDecision *decision);

/* level.c: discounts off the sum of the lines */
extern bool ds_pricing_has_order_level(DsCall *call);
extern void ds_pricing_order_level(DsCall *call, DsResult *results, int n);

/* tell.c: what the answer says beside its columns */
extern void ds_pricing_detail(DsCall *call, DsJson *json, const char *key, DsLine *line,
							  DsDecision *decision, const DsFinish *finish);
extern void ds_pricing_tell_free(DsCall *call, DsJson *json, const DsDecision *decision);
extern const char *ds_pricing_miss(DsCall *call, DsLine *line, DsDecision *decision);

/* tell_customer.c: the same as a customer may hear it */
extern void ds_pricing_refuse_depth(const DsCall *call);
extern const char *ds_pricing_code_for_customer(const DsFinish *f);
extern void ds_pricing_tell_customer(DsCall *call, DsJson *json, const DsResult *result);

#endif /* DS_PRICING_FINISH_H */
