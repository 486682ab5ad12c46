/*-------------------------------------------------------------------------
 *
 * finish.c
 *		From a decided price to the numbers of the answer: guard, rounding,
 *		extension, code.
 *
 * Process: any backend. Locks: none. Memory: the line's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/finish.h"

#include "base/compat.h"

/* decimals a unit price has at most: a locked one, or one by a multiple */
#define UNIT_PRICE_SCALE 12

/* ds_pricing_price_per does the choice of how many units the price is for: the lock's, else the winner's, if it is a net rate in the line's unit. */
int32
ds_pricing_price_per(const DsLine *line, const DsDecision *d)
{
	const DsCandidate *w = d->winner;

	if (d->locked)
		return d->locked_per;
	if (w == NULL || w->rate->calc != DS_CALC_NET)
		return 1;
	return strcmp(w->unit, line->unit) == 0 ? w->rate->price_per : 1;
}

/* apply_guard does the clamping or flagging at ceiling and floor; the floor wins. */
static void
apply_guard(DsDecision *d, DsFinish *f)
{
	if (d->has_ceiling && ds_ratio_compare(d->price, d->ceiling) > 0)
	{
		f->guard = d->ceiling_flags ? "above_ceiling" : "at_ceiling";
		if (!d->ceiling_flags)
			d->price = d->ceiling;
	}
	if (d->has_floor && ds_ratio_compare(d->price, d->floor) < 0)
	{
		f->guard = d->floor_flags ? "below_floor" : "at_floor";
		if (!d->floor_flags)
			d->price = d->floor;
	}
}

/* next_multiple does the test of the quantity against the unit's sell multiple. */
static void
next_multiple(const DsLine *line, DsFinish *f)
{
	DsRatio multiple;
	DsRatio up;

	if (line->item_unit == NULL || line->item_unit->multiple == NULL)
		return;
	multiple = ds_ratio_decimal(*line->item_unit->multiple);
	up = ds_ratio_multiply(ds_ratio_round(ds_ratio_divide(line->amount, multiple), 0, DS_ROUND_UP),
						   multiple);
	f->off_multiple = ds_ratio_compare(up, line->amount) != 0;
	f->next_quantity = up;
}

/* ds_pricing_finish does the end of a decision; without a price only its code. */
void
ds_pricing_finish(DsCall *call, DsLine *line, DsDecision *d, DsFinish *f)
{
	const DsRule *rule;
	DsRatio per;
	DsRatio exact;
	DsRatio price;
	DsRatio extension;

	memset(f, 0, sizeof(DsFinish));
	f->price_per = 1;
	f->priced = d->has_price;
	if (!f->priced)
	{
		f->code = ds_pricing_miss(call, line, d);
		return;
	}
	rule = ds_pricing_rule(call, d);
	f->price_per = ds_pricing_price_per(line, d);
	f->resolved = d->price;
	per = ds_ratio_of(f->price_per);
	if (!d->locked)
	{
		ds_pricing_limits(call, line, d);
		apply_guard(d, f);
	}
	price = exact = f->price_per == 1 ? d->price : ds_ratio_multiply(d->price, per);
	if (call->suppose != NULL && ds_pricing_suppose_factor(call->suppose, rule, exact, &price))
		f->guard = NULL;
	else if (!d->locked)
	{
		price = ds_pricing_round(rule, exact);
		if (d->has_floor && !d->floor_flags &&
			ds_ratio_compare(price, ds_ratio_multiply(d->floor, per)) < 0)
		{
			price = ds_pricing_round_up(rule, ds_ratio_multiply(d->floor, per));
			f->guard = "at_floor";
		}
	}
	f->unit_price = ds_ratio_shown(price, call->request.minor_units, UNIT_PRICE_SCALE);
	extension = ds_ratio_multiply(line->amount, price);
	if (f->price_per != 1)
		extension = ds_ratio_divide(extension, per);
	f->extension = ds_ratio_round(extension, call->request.minor_units, DS_ROUND_HALF_UP);
	if (line->is_return)
		f->extension = ds_ratio_multiply(f->extension, ds_ratio_of(-1));
	f->net_amount = f->extension;
	next_multiple(line, f);
	f->code = d->locked			   ? "locked"
			  : f->guard != NULL   ? f->guard
			  : d->over_commitment ? "over_commitment"
			  : f->off_multiple	   ? "sell_multiple"
								   : "ok";
}
