/*-------------------------------------------------------------------------
 *
 * named.c
 *		Which lines a rate names that is for several lines together, which rate
 *		of each agreement counts, and how an amount is split over the lines.
 *
 * Discounts of the order (level.c) and charges (charge.c) share it. A rate
 * names the priced lines whose items have its target and on which nothing but
 * its tier rejects it; returns take no part.
 *
 * Process: any backend. Locks: AccessShareLock on rates. Memory: the call's
 * context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/level.h"

#include "base/compat.h"

/* find does the look-up of a rate among those that were found, or its entering. */
static DsNamed *
find(DsLevel *l, DsCandidate *c, int place)
{
	DsNamed *m;
	int i;

	for (i = 0; i < l->nnamed; i++)
	{
		if (ds_pricing_same_rate(l->named[i].first, c))
			return &l->named[i];
	}
	l->named = l->named == NULL ? palloc(sizeof(DsNamed))
								: repalloc(l->named, sizeof(DsNamed) * (l->nnamed + 1));
	m = &l->named[l->nnamed++];
	m->source = c->source;
	m->first = c;
	m->line = l->results[place].line;
	m->nplaces = 0;
	m->places = palloc(sizeof(int) * l->n);
	m->reason = c->reason;
	return m;
}

/* add_place does the entering of a line that a rate names, or that rejects it. */
static void
add_place(DsLevel *l, DsCandidate *c, int place)
{
	DsNamed *m;

	if (c->reason != DS_REASON_NONE)
	{
		if (l->keep)
			find(l, c, place);
		return;
	}
	m = find(l, c, place);
	if (m->nplaces > 0 && m->places[m->nplaces - 1] == place)
		return;
	if (m->nplaces == 0 || c->what_rank < m->first->what_rank)
	{
		m->first = c;
		m->line = l->results[place].line;
	}
	m->reason = DS_REASON_NONE;
	m->places[m->nplaces++] = place;
}

/* share_until does the narrowing of the ends: what ends the price of one line changes what is taken or charged for the others. */
static void
share_until(DsLevel *l)
{
	TimestampTz least = DT_NOEND;
	int pass;
	int i;
	int j;

	for (pass = 0; pass < 2; pass++)
	{
		for (i = 0; i < l->nnamed; i++)
		{
			for (j = 0; l->named[i].nplaces > 1 && j < l->named[i].nplaces; j++)
			{
				DsDecision *d = l->results[l->named[i].places[j]].decision;

				if (pass == 0)
					least = Min(least, d->valid_until);
				else
					d->valid_until = Min(d->valid_until, least);
			}
		}
	}
}

/* ds_pricing_level_gather does the finding of the rates of a slot that name priced lines. */
void
ds_pricing_level_gather(DsLevel *l, DsSlotName slot)
{
	DsCall *call = l->call;
	int place;
	int i;

	for (place = 0; place < l->n; place++)
	{
		DsResult *r = &l->results[place];
		DsDecision *d;

		if (!r->finish.priced || r->line->is_return)
			continue;
		d = ds_pricing_decision(call);
		ds_pricing_look_at_edges(call, r->line, d, slot);
		for (i = 0; i < call->buyer.nsources; i++)
		{
			if (call->buyer.sources[i].version->slot == slot)
				ds_pricing_candidates_of(call, r->line, &call->buyer.sources[i], d);
		}
		for (i = 0; i < d->ncandidates; i++)
		{
			d->candidates[i].reason = ds_pricing_reason(call, r->line, d, &d->candidates[i]);
			add_place(l, &d->candidates[i], place);
		}
		r->decision->valid_until = Min(r->decision->valid_until, d->valid_until);
		ds_pricing_beside(r->decision, d);
	}
	share_until(l);
}

/* ds_pricing_level_sum does the sum of the named lines: of their extensions, or of what is left of them. */
DsRatio
ds_pricing_level_sum(const DsLevel *l, const DsNamed *m, bool extension)
{
	DsRatio sum = ds_ratio_of(0);
	int i;

	for (i = 0; i < m->nplaces; i++)
	{
		const DsFinish *f = &l->results[m->places[i]].finish;

		sum = ds_ratio_add(sum, extension ? f->extension : f->net_amount);
	}
	return sum;
}

/* ds_pricing_level_weight does the sum of the kilograms of the named lines; has_weight: one of them says its weight. */
DsRatio
ds_pricing_level_weight(const DsLevel *l, const DsNamed *m, bool *has_weight)
{
	DsRatio sum = ds_ratio_of(0);
	int i;

	*has_weight = false;
	for (i = 0; i < m->nplaces; i++)
	{
		const DsLine *line = l->results[m->places[i]].line;

		if (!line->has_weight)
			continue;
		*has_weight = true;
		sum = ds_ratio_add(sum, line->weight);
	}
	return sum;
}

/* reached does the test of a rate's tier against the lines it names. */
static bool
reached(const DsLevel *l, const DsNamed *m)
{
	DsRatio measure = ds_ratio_of(0);
	bool has_weight;
	int i;

	if (ds_rate_any(m->first->rate))
		return true;
	switch ((DsTierMeasure) m->source->version->tier_measure)
	{
		case DS_MEASURE_AMOUNT:
			measure = ds_ratio_divide(ds_pricing_level_sum(l, m, !l->after_off), m->source->fx);
			break;
		case DS_MEASURE_WEIGHT:
			measure = ds_pricing_level_weight(l, m, &has_weight);
			break;
		default:
			for (i = 0; i < m->nplaces; i++)
				measure = ds_ratio_add(measure, l->results[m->places[i]].line->base_quantity);
	}
	return ds_ratio_compare(measure, ds_pricing_tier(m->first)) >= 0;
}

/* before does the order of rates: by the policy, then by what they take or charge, then by content. */
static bool
before(const DsLevel *l, DsLevelCompare compare, const DsNamed *a, const DsNamed *b)
{
	int result = ds_pricing_compare_keys(l->call, NULL, a->first, b->first);

	if (result == 0)
		result = compare(l, a, b);
	if (result == 0)
		result = strcmp(a->source->version->agreement, b->source->version->agreement);
	if (result == 0)
		result = strcmp(ds_rate_line(a->first->rate), ds_rate_line(b->first->rate));
	return result != 0 ? result < 0
					   : a->source->version->version_no > b->source->version->version_no;
}

/* keep_highest does the leaving of the highest tier reached of each ladder. */
static void
keep_highest(DsLevel *l)
{
	int i;
	int j;

	for (i = 0; i < l->nnamed; i++)
	{
		DsNamed *m = &l->named[i];

		for (j = 0; j < l->nnamed && m->reason == DS_REASON_NONE; j++)
		{
			DsNamed *o = &l->named[j];

			if (o->reason == DS_REASON_NONE && ds_pricing_same_ladder(m->first, o->first) &&
				ds_rate_compare(o->first->rate, m->first->rate) > 0)
				m->reason = DS_REASON_LOWER_TIER;
		}
	}
}

/* ds_pricing_level_contest does the choice of one rate an agreement, in order, among those that have no reason against them. */
int
ds_pricing_level_contest(DsLevel *l, DsLevelCompare compare, DsNamed **chosen)
{
	int n = 0;
	int i;
	int j;

	for (i = 0; i < l->nnamed; i++)
	{
		if (l->named[i].reason == DS_REASON_NONE && !reached(l, &l->named[i]))
			l->named[i].reason = DS_REASON_BELOW_TIER;
	}
	keep_highest(l);
	for (i = 0; i < l->nnamed; i++)
	{
		DsNamed *m = &l->named[i];

		for (j = 0; j < l->nnamed && m->reason == DS_REASON_NONE; j++)
		{
			DsNamed *o = &l->named[j];

			if (o != m && o->reason == DS_REASON_NONE &&
				o->source->version->agreement_id == m->source->version->agreement_id &&
				before(l, compare, o, m))
				m->reason = DS_REASON_OUTRANKED;
		}
		if (m->reason != DS_REASON_NONE)
			continue;
		for (j = n++; j > 0 && before(l, compare, m, chosen[j - 1]); j--)
			chosen[j] = chosen[j - 1];
		chosen[j] = m;
	}
	return n;
}

/*
 * ds_pricing_level_allocate does the splitting of an amount in whole minor units in
 * proportion to weights that are not negative, by largest remainder: the parts
 * sum exactly, ties go to the earlier one. The weights sum to more than 0.
 */
void
ds_pricing_level_allocate(int minor_units, DsRatio amount, const DsRatio *weights, int n,
						  DsRatio *parts)
{
	bool negative = ds_ratio_sign(amount) < 0;
	DsRatio size = negative ? ds_ratio_multiply(amount, ds_ratio_of(-1)) : amount;
	DsRatio unit = ds_ratio_of(1);
	DsRatio total = ds_ratio_of(0);
	DsRatio rest = size;
	DsRatio *missing = palloc(sizeof(DsRatio) * n);
	int i;

	for (i = 0; i < minor_units; i++)
		unit = ds_ratio_divide(unit, ds_ratio_of(10));
	for (i = 0; i < n; i++)
		total = ds_ratio_add(total, weights[i]);
	for (i = 0; i < n; i++)
	{
		DsRatio share = ds_ratio_divide(ds_ratio_multiply(size, weights[i]), total);

		parts[i] = ds_ratio_round(share, minor_units, DS_ROUND_DOWN);
		missing[i] = ds_ratio_subtract(share, parts[i]);
		rest = ds_ratio_subtract(rest, parts[i]);
	}
	while (ds_ratio_sign(rest) > 0)
	{
		int most = 0;

		for (i = 1; i < n; i++)
		{
			if (ds_ratio_compare(missing[i], missing[most]) > 0)
				most = i;
		}
		parts[most] = ds_ratio_add(parts[most], unit);
		missing[most] = ds_ratio_of(-1);
		rest = ds_ratio_subtract(rest, unit);
	}
	for (i = 0; negative && i < n; i++)
		parts[i] = ds_ratio_multiply(parts[i], ds_ratio_of(-1));
	pfree(missing);
}
