/*-------------------------------------------------------------------------
 *
 * stack.c
 *		Rates on top of a price: exclusive, by group, always; and free goods.
 *
 * Process: any backend. Locks: none. Memory: the line's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "base/compat.h"
#include "base/errors.h"

/* what most prices do with */
#define FEW_STEPS 8

/* ds_pricing_guard does the remembering of a rate whose floor, ceiling or margin holds. */
void
ds_pricing_guard(DsDecision *d, DsCandidate *c)
{
	if (c->rate->more == NULL ||
		(!c->rate->more->has_floor && !c->rate->more->has_ceiling && !c->rate->more->has_margin))
		return;
	if (d->guards == NULL)
		d->guards = palloc(sizeof(DsCandidate *) * (d->ncandidates + DS_MAX_STEPS));
	d->guards[d->nguards++] = c;
}

/* limit does the taking over of a rate's floor, ceiling and margin. */
static void
limit(DsCall *call, DsLine *line, DsDecision *d, DsCandidate *c)
{
	const DsRateMore *m = c->rate->more;
	bool flags = c->source->version->flag_breach;
	DsRatio floor;
	DsRatio cost;
	int i;

	for (i = 0; i < 2; i++)
	{
		if (i == 0 && !m->has_floor)
			continue;
		if (i == 1 && (!m->has_margin || !ds_pricing_line_cost(call, line, d, &cost)))
			continue;
		floor = i == 0 ? ds_pricing_amount(call, line, c, m->floor_price)
					   : ds_ratio_divide(cost, ds_ratio_subtract(ds_ratio_of(1),
																 ds_ratio_decimal(m->min_margin)));
		if (!d->has_floor || ds_ratio_compare(floor, d->floor) > 0 ||
			(ds_ratio_compare(floor, d->floor) == 0 && !flags))
		{
			d->has_floor = true;
			d->floor = floor;
			d->floor_flags = flags;
		}
	}
	if (m->has_ceiling)
	{
		DsRatio ceiling = ds_pricing_amount(call, line, c, m->ceiling_price);

		if (!d->has_ceiling || ds_ratio_compare(ceiling, d->ceiling) < 0 ||
			(ds_ratio_compare(ceiling, d->ceiling) == 0 && !flags))
		{
			d->has_ceiling = true;
			d->ceiling = ceiling;
			d->ceiling_flags = flags;
		}
	}
}

/* ds_pricing_limits does the finding of floor and ceiling, once the price is known: the cost is asked only where it matters. */
void
ds_pricing_limits(DsCall *call, DsLine *line, DsDecision *d)
{
	int i;

	for (i = 0; i < d->nguards; i++)
		limit(call, line, d, d->guards[i]);
}

/* ds_pricing_step does the taking of a price: the step is kept for the waterfall. */
void
ds_pricing_step(DsCall *call, DsLine *line, DsDecision *d, DsSlotName slot, DsCandidate *c,
				DsRatio after, bool replaces)
{
	const DsRule *rule;
	DsStep *step;

	if (replaces)
		d->winner = c;
	c->done = true;
	rule = ds_pricing_rule(call, d);
	if (rule->each_step && (!d->has_price || ds_ratio_compare(after, d->price) != 0))
	{
		DsRatio per = ds_ratio_of(ds_pricing_price_per(line, d));

		after = ds_ratio_divide(ds_pricing_round(rule, ds_ratio_multiply(after, per)), per);
	}
	if (d->nsteps >= DS_MAX_STEPS)
		ereport(ERROR, (errcode(DS_ERRCODE_TOO_LARGE),
						errmsg("more than %d rates take part in one price", DS_MAX_STEPS),
						errdetail("Item \"%s\".", line->item->sku),
						errhint("Join adjustments that always apply together.")));
	if (d->nsteps == d->step_room)
	{
		d->step_room = Max(FEW_STEPS, d->step_room * 2);
		d->steps = d->steps == NULL ? palloc(sizeof(DsStep) * d->step_room)
									: repalloc(d->steps, sizeof(DsStep) * d->step_room);
	}
	step = &d->steps[d->nsteps++];
	step->candidate = c;
	step->slot = slot;
	step->has_before = d->has_price;
	step->before = d->price;
	step->after = after;
	step->merged = false;
	d->has_price = true;
	d->price = after;
	if (ds_pricing_over_commitment(call, c->source, line))
		d->over_commitment = true;
	ds_pricing_guard(d, c);
}

/* on_top does one rate on the running price. */
static void
on_top(DsCall *call, DsLine *line, DsDecision *d, DsSlotName slot, DsCandidate *c)
{
	DsRatio price;
	DsReason why;

	if (ds_pricing_calc(call, line, d, c, &d->price, &price, &why))
		ds_pricing_step(call, line, d, slot, c, price, false);
	else
		c->reason = why;
}

/* add_up does the rates of an additive group: each relative to the price on entering, summed; never below 0 in the end. */
static void
add_up(DsCall *call, DsLine *line, DsDecision *d, DsSlotName slot, DsCandidate **group, int n,
	   DsRatio entered)
{
	int i;

	for (i = 0; i < n; i++)
	{
		DsRatio price;
		DsReason why;

		if (ds_pricing_calc(call, line, d, group[i], &entered, &price, &why))
			ds_pricing_step(call, line, d, slot, group[i],
							ds_ratio_add(d->price, ds_ratio_subtract(price, entered)), false);
		else
			group[i]->reason = why;
	}
	if (ds_ratio_sign(d->price) < 0)
		d->price = d->steps[d->nsteps - 1].after = ds_ratio_of(0);
}

/* lowest_of does the rate of a best group that leads to the lowest price. */
static void
lowest_of(DsCall *call, DsLine *line, DsDecision *d, DsSlotName slot, DsCandidate **group, int n)
{
	DsCandidate *best = NULL;
	DsRatio lowest = ds_ratio_of(0);
	int i;

	for (i = 0; i < n; i++)
	{
		DsRatio price;
		DsReason why;

		if (!ds_pricing_calc(call, line, d, group[i], &d->price, &price, &why))
		{
			group[i]->reason = why;
			continue;
		}
		if (best == NULL || ds_ratio_compare(price, lowest) < 0)
		{
			if (best != NULL)
				best->reason = DS_REASON_OUTRANKED;
			best = group[i];
			lowest = price;
		}
		else
			group[i]->reason = DS_REASON_OUTRANKED;
	}
	if (best != NULL)
		ds_pricing_step(call, line, d, slot, best, lowest, false);
}

/* one_group does the rates of one group; its mode is that of its first rate. */
static void
one_group(DsCall *call, DsLine *line, DsDecision *d, DsSlotName slot, DsCandidate **group, int n,
		  DsRatio entered)
{
	DsCombine mode = group[0]->source->version->combine;
	DsCandidate **same = palloc(sizeof(DsCandidate *) * n);
	int nsame = 0;
	int i;

	for (i = 0; i < n; i++)
	{
		if (group[i]->source->version->combine == mode && (mode != DS_COMBINE_OVERRIDE || i == 0))
			same[nsame++] = group[i];
		else
			group[i]->reason = DS_REASON_OUTRANKED;
	}
	if (mode == DS_COMBINE_BEST)
		lowest_of(call, line, d, slot, same, nsame);
	else if (mode == DS_COMBINE_ADDITIVE)
		add_up(call, line, d, slot, same, nsame, entered);
	for (i = 0; i < nsame && mode != DS_COMBINE_BEST && mode != DS_COMBINE_ADDITIVE; i++)
		on_top(call, line, d, slot, same[i]);
}

/* usable does the leaving out of rates that cannot be computed. */
static int
usable(DsCall *call, DsLine *line, DsDecision *d, DsCandidate **list, int n)
{
	int m = 0;
	int i;

	for (i = 0; i < n; i++)
	{
		DsRatio price;
		DsReason why = DS_REASON_NO_BASE_PRICE;

		if (d->has_price && ds_pricing_calc(call, line, d, list[i], &d->price, &price, &why))
			list[m++] = list[i];
		else
			list[i]->reason = why;
	}
	return m;
}

/* ds_pricing_next_group does the taking of a version's stack group, if it comes by name after the last one and before the next known so far. */
void
ds_pricing_next_group(const DsVersion *v, const char *last, const char **next)
{
	if (v->combine != DS_COMBINE_ALWAYS && (last == NULL || strcmp(v->stack_group, last) > 0) &&
		(*next == NULL || strcmp(v->stack_group, *next) < 0))
		*next = v->stack_group;
}

/* next_group does the finding of the next stack group by name; NULL = there is none. */
static const char *
next_group(DsCandidate **list, int n, const char *last)
{
	const char *next = NULL;
	int i;

	for (i = 0; i < n; i++)
		ds_pricing_next_group(list[i]->source->version, last, &next);
	return next;
}

/*
 * ds_pricing_stack does the putting of rates on top of the running price: an
 * exclusive one alone, otherwise group by group; those that always apply last.
 * Returns whether one was exclusive.
 */
bool
ds_pricing_stack(DsCall *call, DsLine *line, DsDecision *d, DsSlotName slot, DsCandidate **list,
				 int n)
{
	DsRatio entered = d->price;
	DsCandidate **group = palloc(sizeof(DsCandidate *) * Max(n, 1));
	DsCandidate *alone = NULL;
	const char *name = NULL;
	int i;

	ds_pricing_sort(call, line, d, list, n, d->has_price ? &entered : NULL);
	n = usable(call, line, d, list, n);
	for (i = 0; i < n && alone == NULL; i++)
	{
		if (list[i]->source->version->combine == DS_COMBINE_EXCLUSIVE)
			alone = list[i];
	}
	if (alone != NULL)
		on_top(call, line, d, slot, alone);
	for (i = 0; alone != NULL && i < n; i++)
	{
		if (list[i] != alone && list[i]->source->version->combine != DS_COMBINE_ALWAYS)
			list[i]->reason = DS_REASON_EXCLUDED;
	}
	while (alone == NULL && (name = next_group(list, n, name)) != NULL)
	{
		int m = 0;

		for (i = 0; i < n; i++)
		{
			if (list[i]->source->version->combine != DS_COMBINE_ALWAYS &&
				strcmp(list[i]->source->version->stack_group, name) == 0)
				group[m++] = list[i];
		}
		one_group(call, line, d, slot, group, m, entered);
	}
	for (i = 0; i < n; i++)
	{
		if (list[i]->source->version->combine == DS_COMBINE_ALWAYS)
			on_top(call, line, d, slot, list[i]);
	}
	return alone != NULL;
}

/* ds_pricing_free_goods does what buy_get says: free units of the same item make the price lower, another item is given. */
void
ds_pricing_free_goods(DsCall *call, DsLine *line, DsDecision *d, DsSlotName slot, DsCandidate *c)
{
	const DsRateMore *m = c->rate->more;
	DsRatio buy = ds_ratio_decimal(ds_rate_value(c->rate));
	DsRatio get = ds_ratio_decimal(m != NULL ? m->value2 : (DsDecimal){0, 0});
	DsRatio free;

	if (!d->has_price)
	{
		c->reason = DS_REASON_NO_BASE_PRICE;
		return;
	}
	if (m != NULL && m->free_item_id != 0)
	{
		free = ds_ratio_multiply(
			ds_ratio_round(ds_ratio_divide(line->base_quantity, buy), 0, DS_ROUND_DOWN), get);
		/* the step first: it refuses what would be too many */
		ds_pricing_step(call, line, d, slot, c, d->price, false);
		if (ds_ratio_sign(free) > 0)
		{
			if (d->free_goods == NULL)
				d->free_goods = palloc(sizeof(DsFreeGood) * DS_MAX_STEPS);
			d->free_goods[d->nfree].item_id = m->free_item_id;
			d->free_goods[d->nfree].quantity = free;
			d->nfree++;
		}
		return;
	}
	free = ds_ratio_multiply(
		ds_ratio_round(ds_ratio_divide(line->base_quantity, ds_ratio_add(buy, get)), 0,
					   DS_ROUND_DOWN),
		get);
	free =
		ds_ratio_divide(ds_ratio_multiply(free, ds_ratio_decimal(m != NULL ? m->free_percent
																		   : (DsDecimal){100, 0})),
						ds_ratio_of(100));
	ds_pricing_step(
		call, line, d, slot, c,
		ds_ratio_divide(ds_ratio_multiply(d->price, ds_ratio_subtract(line->base_quantity, free)),
						line->base_quantity),
		false);
}
