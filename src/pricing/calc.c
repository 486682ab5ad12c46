/*-------------------------------------------------------------------------
 *
 * calc.c
 *		The arithmetic of one rate: the price it makes of its base, exactly.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * line's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "base/compat.h"

/* how deep a price may start from the price of another agreement, which starts from another one ... */
#define MAX_DEPTH 8

/* converted does an amount of a rate in the asked currency, without tax. */
static DsRatio
converted(DsCall *call, const DsLine *line, const DsCandidate *c, DsRatio amount)
{
	if (c->source->fx_known)
		amount = ds_ratio_multiply(amount, c->source->fx);
	return c->source->version->tax_included ? ds_ratio_divide(amount, ds_pricing_tax(call, line))
											: amount;
}

/* ds_pricing_amount does the conversion of a rate's amount into the price of one line unit in the asked currency, without tax. */
DsRatio
ds_pricing_amount(DsCall *call, const DsLine *line, const DsCandidate *c, DsDecimal value)
{
	DsRatio r = ds_ratio_decimal(value);

	if (c->rate->price_per != 1)
		r = ds_ratio_divide(r, ds_ratio_of(c->rate->price_per));
	if (line->num != c->unit_num || line->den != c->unit_den)
	{
		r = ds_ratio_multiply(r, ds_ratio_fraction(line->num, line->den));
		r = ds_ratio_multiply(r, ds_ratio_fraction(c->unit_den, c->unit_num));
	}
	return converted(call, line, c, r);
}

/* weight_price does the price by weight of one line unit. */
static bool
weight_price(DsCall *call, const DsLine *line, const DsCandidate *c, DsRatio *price)
{
	DsRatio r = ds_ratio_decimal(ds_rate_value(c->rate));

	if (!line->has_weight)
		return false;
	r = ds_ratio_divide(r, ds_ratio_of(c->rate->price_per));
	r = ds_ratio_multiply(r, ds_ratio_divide(line->weight, line->amount));
	*price = converted(call, line, c, r);
	return true;
}

/* ds_pricing_line_cost does the look-up of what the line unit costs us, once a line. */
bool
ds_pricing_line_cost(DsCall *call, DsLine *line, DsDecision *d, DsRatio *cost)
{
	if (!d->cost_known)
	{
		d->cost_known = true;
		d->has_cost = ds_pricing_cost(call, line, &d->cost, &d->valid_until);
	}
	*cost = d->cost;
	return d->has_cost;
}

/*
 * add_base_sources does the listing of the versions of an agreement as sources
 * of their own: its shared rates, whoever it is assigned to, after those that
 * are the buyer's own.
 */
static DsSource *
add_base_sources(DsCall *call, int64 agreement_id, int *n)
{
	const DsParts *parts = ds_pricing_agreement(call, agreement_id);
	DsSource *sources;
	int room = call->buyer.nsources;
	int i;
	int j;

	for (i = 0; i < parts->nparts; i++)
		room += parts->parts[i].nversions;
	sources = palloc0(sizeof(DsSource) * Max(room, 1));
	*n = 0;
	for (i = 0; i < call->buyer.nsources; i++)
	{
		const DsSource *own = &call->buyer.sources[i];

		if (own->version->agreement_id == agreement_id && own->part->customer_id != 0)
			sources[(*n)++] = *own;
	}
	for (i = 0; i < parts->nparts; i++)
	{
		for (j = 0; j < parts->parts[i].nversions; j++)
		{
			DsSource *s = &sources[(*n)++];

			s->part = &parts->parts[i];
			s->filter = s->part->filter;
			s->version = &parts->parts[i].versions[j];
			s->who = DS_WHO_ALL;
			s->who_key = "";
			s->who_rank = s->list_rank = PG_INT32_MAX;
			s->at = call->request.dates[s->version->price_date];
			s->reason = ds_pricing_whole_reason(call, s->version, s->at);
		}
	}
	return sources;
}

/* base_price does the price of the line in another agreement: its own first candidate, its own arithmetic. */
static bool
base_price(DsCall *call, DsLine *line, DsDecision *outer, int64 agreement_id, DsRatio *price)
{
	DsDecision *d;
	DsSource *sources;
	bool found = false;
	int n;
	int i;

	if (call->depth >= MAX_DEPTH)
		return false;
	call->depth++;
	d = ds_pricing_decision(call);
	d->valid_until = outer->valid_until;
	d->has_list = outer->has_list;
	d->list_price = outer->list_price;
	sources = add_base_sources(call, agreement_id, &n);
	for (i = 0; i < n; i++)
		ds_pricing_candidates_of(call, line, &sources[i], d);
	ds_pricing_judge(call, line, d);
	if (n > 0)
	{
		DsCandidate **list;

		n = ds_pricing_slot_candidates(d, sources[0].version->slot, &list);
		ds_pricing_sort(call, line, d, list, n, NULL);
		for (i = 0; i < n && !found; i++)
		{
			DsReason why;

			found = ds_pricing_calc(call, line, d, list[i], NULL, price, &why);
		}
	}
	outer->valid_until = d->valid_until;
	ds_pricing_beside(outer, d);
	call->depth--;
	return found;
}

/* base_of does the choice of the price that a rate starts from. */
static bool
base_of(DsCall *call, DsLine *line, DsDecision *d, DsCandidate *c, const DsRatio *running,
		DsRatio *base)
{
	const DsRateMore *m = c->rate->more;

	if (m != NULL && m->base_agreement_id != 0)
		return base_price(call, line, d, m->base_agreement_id, base);
	if (running != NULL)
	{
		*base = *running;
		return true;
	}
	*base = d->list_price;
	return d->has_list;
}

/* percent does the share of a price: base × rest / 100. */
static DsRatio
percent(DsRatio base, DsRatio rest)
{
	return ds_ratio_divide(ds_ratio_multiply(base, rest), ds_ratio_of(100));
}

/* from_base does the arithmetic of rates that start from a price. */
static bool
from_base(DsCall *call, DsLine *line, DsDecision *d, DsCandidate *c, const DsRatio *running,
		  DsRatio *price)
{
	static const DsDecimal zero = {0, 0};
	DsRatio base;

	if (!base_of(call, line, d, c, running, &base))
		return false;
	switch ((DsCalc) c->rate->calc)
	{
		case DS_CALC_PERCENT_OFF:
			*price = percent(base, ds_ratio_subtract(ds_ratio_of(100),
													 ds_ratio_decimal(ds_rate_value(c->rate))));
			break;
		case DS_CALC_AMOUNT_OFF:
			*price =
				ds_ratio_subtract(base, ds_pricing_amount(call, line, c, ds_rate_value(c->rate)));
			if (ds_ratio_sign(*price) < 0)
				*price = ds_ratio_of(0);
			break;
		case DS_CALC_FORMULA:
			*price = ds_ratio_add(
				ds_ratio_multiply(base, ds_ratio_decimal(ds_rate_value(c->rate))),
				ds_pricing_amount(call, line, c,
								  c->rate->more != NULL ? c->rate->more->value2 : zero));
			if (ds_ratio_sign(*price) < 0)
				*price = ds_ratio_of(0);
			break;
		default:
			*price = base;
			break;
	}
	return true;
}

/* calc_one does the arithmetic of one tier. */
static bool
calc_one(DsCall *call, DsLine *line, DsDecision *d, DsCandidate *c, const DsRatio *running,
		 DsRatio *price, DsReason *why)
{
	DsRatio cost;
	DsRatio value;

	switch ((DsCalc) c->rate->calc)
	{
		case DS_CALC_NET:
			*price = ds_pricing_amount(call, line, c, ds_rate_value(c->rate));
			return true;
		case DS_CALC_MARKUP:
		case DS_CALC_MARGIN:
			*why = DS_REASON_NO_COST;
			if (!ds_pricing_line_cost(call, line, d, &cost))
				return false;
			value = ds_ratio_decimal(ds_rate_value(c->rate));
			if (c->rate->calc == DS_CALC_MARKUP)
				*price = percent(cost, ds_ratio_add(ds_ratio_of(100), value));
			else
				*price = ds_ratio_divide(ds_ratio_multiply(cost, ds_ratio_of(100)),
										 ds_ratio_subtract(ds_ratio_of(100), value));
			return true;
		case DS_CALC_PER_WEIGHT:
			*why = DS_REASON_NO_WEIGHT;
			return weight_price(call, line, c, price);
		default:
			*why = DS_REASON_NO_BASE_PRICE;
			return from_base(call, line, d, c, running, price);
	}
}

/* compare_bands does the order of two tiers of a ladder, for qsort. */
static int
compare_bands(const void *a, const void *b)
{
	return ds_rate_compare((*(DsCandidate *const *) a)->rate, (*(DsCandidate *const *) b)->rate);
}

/* gather_bands does the listing of the reached tiers of a ladder, lowest first. */
static int
gather_bands(DsDecision *d, DsCandidate *c, DsCandidate **bands)
{
	int n = 0;
	int i;

	for (i = 0; i < d->ncandidates; i++)
	{
		DsCandidate *o = &d->candidates[i];

		if (o == c || (o->reason == DS_REASON_LOWER_TIER && ds_pricing_same_ladder(c, o)))
			bands[n++] = o;
	}
	qsort(bands, n, sizeof(DsCandidate *), compare_bands);
	return n;
}

/*
 * incremental does the weighted mean over the bands that the measure runs
 * through; with basis period over the part of it that this line adds.
 */
static bool
incremental(DsCall *call, DsLine *line, DsDecision *d, DsCandidate *c, const DsRatio *running,
			DsRatio *price, DsReason *why)
{
	DsCandidate **bands = palloc(sizeof(DsCandidate *) * d->ncandidates);
	DsRatio from = ds_ratio_of(0);
	DsRatio to;
	DsRatio sum = ds_ratio_of(0);
	int n = gather_bands(d, c, bands);
	int i;

	to = ds_pricing_measure(call, line, c->source, &d->valid_until);
	if (c->source->version->tier_basis == DS_BASIS_PERIOD &&
		c->source->version->tier_measure != DS_MEASURE_WEIGHT)
		from = c->source->version->tier_measure == DS_MEASURE_AMOUNT ? c->source->used_amount
																	 : c->source->used_quantity;
	if (ds_ratio_compare(to, from) <= 0)
		return calc_one(call, line, d, c, running, price, why);
	for (i = 0; i < n; i++)
	{
		DsRatio low = i == 0 ? from : ds_pricing_tier(bands[i]);
		DsRatio high = i == n - 1 ? to : ds_pricing_tier(bands[i + 1]);
		DsRatio one;

		if (ds_ratio_compare(low, from) < 0)
			low = from;
		if (ds_ratio_compare(high, to) > 0)
			high = to;
		if (ds_ratio_compare(low, high) >= 0)
			continue;
		if (!calc_one(call, line, d, bands[i], running, &one, why))
			return false;
		sum = ds_ratio_add(sum, ds_ratio_multiply(one, ds_ratio_subtract(high, low)));
	}
	*price = ds_ratio_divide(sum, ds_ratio_subtract(to, from));
	return true;
}

/* ds_pricing_calc does the price for one line unit that a candidate makes of its base. False: it cannot, why says so. */
bool
ds_pricing_calc(DsCall *call, DsLine *line, DsDecision *d, DsCandidate *c, const DsRatio *running,
				DsRatio *price, DsReason *why)
{
	if (c->source->version->incremental && !ds_rate_any(c->rate))
		return incremental(call, line, d, c, running, price, why);
	return calc_one(call, line, d, c, running, price, why);
}
