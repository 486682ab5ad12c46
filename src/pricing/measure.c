/*-------------------------------------------------------------------------
 *
 * measure.c
 *		What a tier counts: quantity, amount or weight of a line, of the lines
 *		with the same item or family, or of a period.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * line's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "base/compat.h"

/* counts_with does the question whether another line of the call counts with this one. */
static bool
counts_with(const DsLine *line, const DsLine *other, DsTierBasis basis)
{
	if (line == other)
		return true;
	if (basis != DS_BASIS_ITEM_ORDER && basis != DS_BASIS_FAMILY_ORDER)
		return false;
	if (line->item->item_id == other->item->item_id)
		return true;
	return basis == DS_BASIS_FAMILY_ORDER && line->item->family != NULL &&
		   other->item->family != NULL && strcmp(line->item->family, other->item->family) == 0;
}

/* line_measure does the measure of one line; what is not known counts as 0. */
static DsRatio
line_measure(DsCall *call, DsLine *line, const DsSource *s, TimestampTz *valid_until)
{
	DsRatio price;

	switch ((DsTierMeasure) s->version->tier_measure)
	{
		case DS_MEASURE_WEIGHT:
			return line->has_weight ? line->weight : ds_ratio_of(0);
		case DS_MEASURE_AMOUNT:
			if (s->version->slot == DS_SLOT_LIST ||
				!ds_pricing_list_price(call, line, &price, valid_until))
				return ds_ratio_of(0);
			return ds_ratio_divide(ds_ratio_multiply(price, line->amount), s->fx);
		default:
			return line->base_quantity;
	}
}

/* ds_pricing_measure does the measure that a source's tiers count. */
DsRatio
ds_pricing_measure(DsCall *call, DsLine *line, DsSource *s, TimestampTz *valid_until)
{
	DsTierBasis basis = s->version->tier_basis;
	DsRatio measure = line_measure(call, line, s, valid_until);
	int i;

	if (basis == DS_BASIS_PERIOD)
	{
		ds_pricing_commitment(call, s);
		if (s->version->tier_measure != DS_MEASURE_WEIGHT)
			measure = ds_ratio_add(measure, s->version->tier_measure == DS_MEASURE_AMOUNT
												? s->used_amount
												: s->used_quantity);
	}
	else if (basis != DS_BASIS_LINE)
	{
		for (i = 0; i < call->request.nlines; i++)
		{
			DsLine *other = &call->request.lines[i];

			if (other != line && counts_with(line, other, basis))
				measure = ds_ratio_add(measure, line_measure(call, other, s, valid_until));
		}
	}
	return measure;
}

/* ds_pricing_tier does the tier of a candidate in what its source measures; quantities in base units. */
DsRatio
ds_pricing_tier(const DsCandidate *c)
{
	DsRatio tier = ds_ratio_decimal(ds_rate_tier(c->rate));

	if (c->source->version->tier_measure != DS_MEASURE_QUANTITY)
		return tier;
	return ds_ratio_multiply(tier, ds_ratio_fraction(c->unit_num, c->unit_den));
}
