/*-------------------------------------------------------------------------
 *
 * rounding.c
 *		How a price is rounded: to decimals or a multiple, then to an ending.
 *
 * Process: any backend. Locks: none. Memory: none of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/finish.h"

#include "base/compat.h"
#include "base/errors.h"

/* rule_of does the choice of the rounding: that of the winner's version, else the policy's. */
static const DsRule *
rule_of(DsCall *call, const DsDecision *d)
{
	const char *name = d->winner != NULL ? d->winner->source->version->rounding : NULL;
	int i;

	if (name == NULL)
		return &call->shared->policy.rounding;
	for (i = 0; i < call->shared->nrules; i++)
	{
		if (strcmp(call->shared->rules[i].name, name) == 0)
			return &call->shared->rules[i].rule;
	}
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("rounding \"%s\" does not exist", name),
					errhint("Call distsync.verify().")));
	return NULL;
}

/* ds_pricing_rule does the same, and bends it where another rounding is supposed. */
const DsRule *
ds_pricing_rule(DsCall *call, const DsDecision *d)
{
	const DsRule *rule = rule_of(call, d);

	return call->suppose == NULL ? rule : ds_pricing_suppose_rule(call->suppose, rule);
}

/* to_ending does the rounding to k × m + e: the next below or above, or the nearest, a tie up. */
static DsRatio
to_ending(const DsRule *rule, DsRatio price, DsRounding mode)
{
	DsRatio m = rule->has_multiple ? ds_ratio_decimal(rule->multiple) : ds_ratio_of(1);
	DsRatio e = ds_ratio_decimal(rule->ending);
	DsRatio k = ds_ratio_divide(ds_ratio_subtract(price, e), m);
	DsRatio whole = ds_ratio_round(k, 0, mode == DS_ROUND_HALF_EVEN ? DS_ROUND_HALF_UP : mode);

	/* half up is away from zero: below the first ending the tie still goes up */
	if (ds_ratio_sign(whole) < 0)
		whole = ds_ratio_of(0);
	return ds_ratio_add(ds_ratio_multiply(whole, m), e);
}

/* round_by does the rounding in a given direction. */
static DsRatio
round_by(const DsRule *rule, DsRatio price, DsRounding mode)
{
	if (rule->has_ending)
		return to_ending(rule, price, mode);
	if (rule->has_multiple)
	{
		DsRatio m = ds_ratio_decimal(rule->multiple);

		return ds_ratio_multiply(ds_ratio_round(ds_ratio_divide(price, m), 0, mode), m);
	}
	return ds_ratio_round(price, rule->scale, mode);
}

/* ds_pricing_round does the rounding of a price by a rule. */
DsRatio
ds_pricing_round(const DsRule *rule, DsRatio price)
{
	return round_by(rule, price, rule->mode);
}

/* ds_pricing_round_up does the rounding of a floor: never below it. */
DsRatio
ds_pricing_round_up(const DsRule *rule, DsRatio price)
{
	return round_by(rule, price, DS_ROUND_UP);
}
