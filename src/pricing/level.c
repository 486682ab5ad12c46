/*-------------------------------------------------------------------------
 *
 * level.c
 *		Discounts off the sum of the lines: which rates, how much, and what of
 *		it falls on each line.
 *
 * Which lines a rate names and which rate of an agreement counts is in
 * named.c. Discounts are rounded to minor units and allocated by largest
 * remainder, so that their parts sum exactly.
 *
 * Process: any backend. Locks: AccessShareLock on rates. Memory: the call's
 * context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/level.h"

#include "base/compat.h"

/* ds_pricing_has_order_level does the question whether discounts off the sum concern the buyer, or will once an assignment begins. */
bool
ds_pricing_has_order_level(DsCall *call)
{
	const DsPolicy *p = &call->shared->policy;
	int i;
	int j;

	for (i = 0; i < p->nslots; i++)
	{
		if (p->slots[i].combine != DS_SLOT_ORDER_LEVEL ||
			(call->request.without & (1 << p->slots[i].name)) != 0)
			continue;
		for (j = 0; j < call->buyer.nsources; j++)
		{
			if (call->buyer.sources[j].version->slot == p->slots[i].name)
				return true;
		}
		for (j = 0; j < call->buyer.nedges; j++)
		{
			if (call->buyer.edges[j].slot == p->slots[i].name)
				return true;
		}
	}
	return false;
}

/* left_of does what a rate leaves of a sum. */
static DsRatio
left_of(const DsNamed *m, DsRatio total)
{
	DsRatio value = ds_ratio_decimal(ds_rate_value(m->first->rate));
	DsRatio left;

	if (m->first->rate->calc == DS_CALC_PERCENT_OFF)
		return ds_ratio_divide(ds_ratio_multiply(total, ds_ratio_subtract(ds_ratio_of(100), value)),
							   ds_ratio_of(100));
	value = ds_ratio_multiply(ds_ratio_divide(value, ds_ratio_of(m->first->rate->price_per)),
							  m->source->fx);
	left = ds_ratio_subtract(total, value);
	return ds_ratio_sign(left) < 0 ? ds_ratio_of(0) : left;
}

/* compare_left does the order of two discounts that tie: less left of the extensions comes first. */
static int
compare_left(const DsLevel *l, const DsNamed *a, const DsNamed *b)
{
	return ds_ratio_compare(left_of(a, ds_pricing_level_sum(l, a, true)),
							left_of(b, ds_pricing_level_sum(l, b, true)));
}

/* entered_sum does the sum of what the named lines were before the slot. */
static DsRatio
entered_sum(const DsLevel *l, const DsNamed *m)
{
	DsRatio sum = ds_ratio_of(0);
	int i;

	for (i = 0; i < m->nplaces; i++)
		sum = ds_ratio_add(sum, l->entered[m->places[i]]);
	return sum;
}

/* contest does the choice of one rate an agreement among those that take something off. */
static int
contest(DsLevel *l, DsNamed **chosen)
{
	int i;

	for (i = 0; i < l->nnamed; i++)
	{
		DsNamed *m = &l->named[i];

		if (m->first->rate->calc != DS_CALC_PERCENT_OFF &&
			m->first->rate->calc != DS_CALC_AMOUNT_OFF)
			m->reason = DS_REASON_EXCLUDED;
	}
	return ds_pricing_level_contest(l, compare_left, chosen);
}

/* apply does one discount: what it takes is split in proportion to what is left of each line; a surcharge adds. */
static void
apply(DsLevel *l, const DsNamed *m, bool additive)
{
	int minor = l->call->request.minor_units;
	DsRatio total = ds_pricing_level_sum(l, m, false);
	DsRatio base = additive ? entered_sum(l, m) : total;
	DsRatio off = ds_ratio_subtract(base, left_of(m, base));
	DsRatio *weights;
	DsRatio *parts;
	int i;

	if (ds_ratio_compare(off, total) > 0)
		off = total;
	off = ds_ratio_round(off, minor, DS_ROUND_HALF_UP);
	if (ds_ratio_sign(total) <= 0 || ds_ratio_sign(off) == 0)
		return;
	weights = palloc(sizeof(DsRatio) * m->nplaces);
	parts = palloc(sizeof(DsRatio) * m->nplaces);
	for (i = 0; i < m->nplaces; i++)
		weights[i] = l->results[m->places[i]].finish.net_amount;
	ds_pricing_level_allocate(minor, off, weights, m->nplaces, parts);
	for (i = 0; i < m->nplaces; i++)
	{
		DsFinish *f = &l->results[m->places[i]].finish;

		f->net_amount = ds_ratio_subtract(f->net_amount, parts[i]);
	}
}

/* one_group does the discounts of one group; its mode is that of its first. */
static void
one_group(DsLevel *l, DsNamed **group, int n)
{
	DsCombine mode = group[0]->source->version->combine;
	DsNamed *best = NULL;
	DsRatio most = ds_ratio_of(0);
	int i;

	for (i = 0; i < n; i++)
	{
		DsRatio total;
		DsRatio off;

		if (group[i]->source->version->combine != mode)
			continue;
		if (mode != DS_COMBINE_BEST)
		{
			apply(l, group[i], mode == DS_COMBINE_ADDITIVE);
			if (mode == DS_COMBINE_OVERRIDE)
				return;
			continue;
		}
		total = ds_pricing_level_sum(l, group[i], false);
		off = ds_ratio_subtract(total, left_of(group[i], total));
		if (best == NULL || ds_ratio_compare(off, most) > 0)
		{
			best = group[i];
			most = off;
		}
	}
	if (best != NULL)
		apply(l, best, false);
}

/* one_slot does a slot of the order level: combined as in stack. */
static void
one_slot(DsLevel *l)
{
	DsNamed **chosen = palloc(sizeof(DsNamed *) * Max(l->nnamed, 1));
	DsNamed **group = palloc(sizeof(DsNamed *) * Max(l->nnamed, 1));
	int n = contest(l, chosen);
	const char *last = NULL;
	bool alone = false;
	int i;

	for (i = 0; i < n && !alone; i++)
	{
		if (chosen[i]->source->version->combine == DS_COMBINE_EXCLUSIVE)
		{
			apply(l, chosen[i], false);
			alone = true;
		}
	}
	while (!alone)
	{
		const char *next = NULL;
		int m = 0;

		for (i = 0; i < n; i++)
			ds_pricing_next_group(chosen[i]->source->version, last, &next);
		if (next == NULL)
			break;
		for (i = 0; i < n; i++)
		{
			if (chosen[i]->source->version->combine != DS_COMBINE_ALWAYS &&
				strcmp(chosen[i]->source->version->stack_group, next) == 0)
				group[m++] = chosen[i];
		}
		last = next;
		one_group(l, group, m);
	}
	for (i = 0; i < n; i++)
	{
		if (chosen[i]->source->version->combine == DS_COMBINE_ALWAYS)
			apply(l, chosen[i], false);
	}
}

/* ds_pricing_order_level does the discounts off the sum of the lines. */
void
ds_pricing_order_level(DsCall *call, DsResult *results, int n)
{
	const DsPolicy *p = &call->shared->policy;
	int i;
	int j;

	for (i = 0; i < p->nslots; i++)
	{
		DsLevel l = {.call = call, .results = results, .n = n};

		if (p->slots[i].combine != DS_SLOT_ORDER_LEVEL ||
			(call->request.without & (1 << p->slots[i].name)) != 0)
			continue;
		ds_pricing_level_gather(&l, p->slots[i].name);
		if (l.nnamed == 0)
			continue;
		l.entered = palloc(sizeof(DsRatio) * n);
		for (j = 0; j < n; j++)
			l.entered[j] = results[j].finish.net_amount;
		one_slot(&l);
	}
}
