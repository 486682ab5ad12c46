/*-------------------------------------------------------------------------
 *
 * level.c
 *		Discounts off the sum of the lines: which rates, how much, and what of
 *		it falls on each line.
 *
 * A rate of the order slot names the priced lines whose items have its target;
 * returns take no part. Of each agreement the first rate by the order whose
 * tier the named lines reach counts. Discounts are rounded to minor units and
 * allocated by largest remainder, so that their parts sum exactly.
 *
 * Process: any backend. Locks: AccessShareLock on rates. Memory: the call's
 * context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/finish.h"

#include "base/compat.h"

/* A rate with the lines it names. */
typedef struct Named
{
	DsSource *source;
	DsCandidate *first; /* of the line whose target is nearest */
	int nplaces;
	int *places;
	bool alive;
} Named;

typedef struct Level
{
	DsCall *call;
	DsResult *results;
	int n;
	Named *named;
	int nnamed;
	DsRatio *entered; /* net amounts before the slot */
} Level;

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

/* add_place does the entering of a line that a rate names. */
static void
add_place(Level *l, DsCandidate *c, int place)
{
	Named *m = NULL;
	int i;

	for (i = 0; i < l->nnamed; i++)
	{
		if (l->named[i].source == c->source && l->named[i].first->rate == c->rate)
			m = &l->named[i];
	}
	if (m == NULL)
	{
		l->named = l->named == NULL ? palloc(sizeof(Named))
									: repalloc(l->named, sizeof(Named) * (l->nnamed + 1));
		m = &l->named[l->nnamed++];
		m->source = c->source;
		m->first = c;
		m->nplaces = 0;
		m->places = palloc(sizeof(int) * l->n);
		m->alive = true;
	}
	if (m->nplaces > 0 && m->places[m->nplaces - 1] == place)
		return;
	if (c->what_rank < m->first->what_rank)
		m->first = c;
	m->places[m->nplaces++] = place;
}

/* gather does the finding of the rates that name priced lines. */
static void
gather(Level *l, DsSlotName slot)
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
			if (d->candidates[i].reason == DS_REASON_NONE)
				add_place(l, &d->candidates[i], place);
		}
		r->decision->valid_until = Min(r->decision->valid_until, d->valid_until);
	}
}

/* share_until does the narrowing of the ends: what ends the price of one line changes the discount of the others. */
static void
share_until(Level *l)
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

/* sum_of does the sum of the named lines: of their extensions, of what is left, or of what was there before the slot. */
static DsRatio
sum_of(const Level *l, const Named *m, const DsRatio *entered, bool extension)
{
	DsRatio sum = ds_ratio_of(0);
	int i;

	for (i = 0; i < m->nplaces; i++)
	{
		const DsFinish *f = &l->results[m->places[i]].finish;

		sum = ds_ratio_add(sum, entered != NULL ? entered[m->places[i]]
								: extension		? f->extension
												: f->net_amount);
	}
	return sum;
}

/* reached does the test of a rate's tier against the lines it names. */
static bool
reached(const Level *l, const Named *m)
{
	DsRatio measure = ds_ratio_of(0);
	int i;

	if (ds_rate_any(m->first->rate))
		return true;
	if (m->source->version->tier_measure == DS_MEASURE_AMOUNT)
		measure = ds_ratio_divide(sum_of(l, m, NULL, true), m->source->fx);
	for (i = 0; m->source->version->tier_measure != DS_MEASURE_AMOUNT && i < m->nplaces; i++)
	{
		const DsLine *line = l->results[m->places[i]].line;

		if (m->source->version->tier_measure == DS_MEASURE_QUANTITY)
			measure = ds_ratio_add(measure, line->base_quantity);
		else if (line->has_weight)
			measure = ds_ratio_add(measure, line->weight);
	}
	return ds_ratio_compare(measure, ds_pricing_tier(m->first)) >= 0;
}

/* left_of does what a rate leaves of a sum. */
static DsRatio
left_of(const Named *m, DsRatio total)
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

/* before does the order of rates: by the policy, then by what is left, then by content. */
static bool
before(const Level *l, const Named *a, const Named *b)
{
	int result = ds_pricing_compare_keys(l->call, NULL, a->first, b->first);

	if (result == 0)
		result = ds_ratio_compare(left_of(a, sum_of(l, a, NULL, true)),
								  left_of(b, sum_of(l, b, NULL, true)));
	if (result == 0)
		result = strcmp(a->source->version->agreement, b->source->version->agreement);
	if (result == 0)
		result = strcmp(a->first->rate->line_key, b->first->rate->line_key);
	return result != 0 ? result < 0
					   : a->source->version->version_no > b->source->version->version_no;
}

/* contest does the choice of one rate an agreement, in order. */
static int
contest(Level *l, Named **chosen)
{
	int n = 0;
	int i;
	int j;

	for (i = 0; i < l->nnamed; i++)
		l->named[i].alive = (l->named[i].first->rate->calc == DS_CALC_PERCENT_OFF ||
							 l->named[i].first->rate->calc == DS_CALC_AMOUNT_OFF) &&
							reached(l, &l->named[i]);
	for (i = 0; i < l->nnamed; i++)
	{
		for (j = 0; j < l->nnamed && l->named[i].alive; j++)
		{
			if (l->named[j].alive && ds_pricing_same_ladder(l->named[i].first, l->named[j].first) &&
				ds_rate_compare(l->named[j].first->rate, l->named[i].first->rate) > 0)
				l->named[i].alive = false;
		}
	}
	for (i = 0; i < l->nnamed; i++)
	{
		Named *m = &l->named[i];

		if (!m->alive)
			continue;
		for (j = 0; j < l->nnamed && m->alive; j++)
		{
			Named *o = &l->named[j];

			if (o != m && o->alive &&
				o->source->version->agreement_id == m->source->version->agreement_id &&
				before(l, o, m))
				m->alive = false;
		}
		if (!m->alive)
			continue;
		for (j = n++; j > 0 && before(l, m, chosen[j - 1]); j--)
			chosen[j] = chosen[j - 1];
		chosen[j] = m;
	}
	return n;
}

/* allocate does the taking of a discount off the named lines, in proportion to what is left of each, by largest remainder. */
static void
allocate(Level *l, const Named *m, DsRatio off, DsRatio total)
{
	int minor = l->call->request.minor_units;
	DsRatio unit = ds_ratio_of(1);
	DsRatio rest = off;
	DsRatio *missing = palloc(sizeof(DsRatio) * m->nplaces);
	int i;

	for (i = 0; i < minor; i++)
		unit = ds_ratio_divide(unit, ds_ratio_of(10));
	for (i = 0; i < m->nplaces; i++)
	{
		DsFinish *f = &l->results[m->places[i]].finish;
		DsRatio share = ds_ratio_divide(ds_ratio_multiply(off, f->net_amount), total);
		DsRatio part = ds_ratio_round(share, minor, DS_ROUND_DOWN);

		missing[i] = ds_ratio_subtract(share, part);
		rest = ds_ratio_subtract(rest, part);
		f->net_amount = ds_ratio_subtract(f->net_amount, part);
	}
	while (ds_ratio_sign(rest) > 0)
	{
		int most = 0;

		for (i = 1; i < m->nplaces; i++)
		{
			if (ds_ratio_compare(missing[i], missing[most]) > 0)
				most = i;
		}
		l->results[m->places[most]].finish.net_amount =
			ds_ratio_subtract(l->results[m->places[most]].finish.net_amount, unit);
		missing[most] = ds_ratio_of(-1);
		rest = ds_ratio_subtract(rest, unit);
	}
}

/* apply does one discount. */
static void
apply(Level *l, const Named *m, bool additive)
{
	DsRatio base = sum_of(l, m, additive ? l->entered : NULL, false);
	DsRatio total = sum_of(l, m, NULL, false);
	DsRatio off = ds_ratio_subtract(base, left_of(m, base));

	if (ds_ratio_compare(off, total) > 0)
		off = total;
	off = ds_ratio_round(off, l->call->request.minor_units, DS_ROUND_HALF_UP);
	if (ds_ratio_sign(total) <= 0 || ds_ratio_sign(off) == 0)
		return;
	if (ds_ratio_sign(off) < 0)
	{
		/* a surcharge: allocated like a discount of a bill that is owed to us */
		int i;

		for (i = 0; i < m->nplaces; i++)
			l->results[m->places[i]].finish.net_amount =
				ds_ratio_multiply(l->results[m->places[i]].finish.net_amount, ds_ratio_of(-1));
		allocate(l, m, ds_ratio_multiply(off, ds_ratio_of(-1)),
				 ds_ratio_multiply(total, ds_ratio_of(-1)));
		for (i = 0; i < m->nplaces; i++)
			l->results[m->places[i]].finish.net_amount =
				ds_ratio_multiply(l->results[m->places[i]].finish.net_amount, ds_ratio_of(-1));
		return;
	}
	allocate(l, m, off, total);
}

/* one_group does the discounts of one group; its mode is that of its first. */
static void
one_group(Level *l, Named **group, int n)
{
	DsCombine mode = group[0]->source->version->combine;
	Named *best = NULL;
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
		total = sum_of(l, group[i], NULL, false);
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
one_slot(Level *l)
{
	Named **chosen = palloc(sizeof(Named *) * Max(l->nnamed, 1));
	Named **group = palloc(sizeof(Named *) * Max(l->nnamed, 1));
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
		Level l = {.call = call, .results = results, .n = n};

		if (p->slots[i].combine != DS_SLOT_ORDER_LEVEL ||
			(call->request.without & (1 << p->slots[i].name)) != 0)
			continue;
		gather(&l, p->slots[i].name);
		if (l.nnamed == 0)
			continue;
		share_until(&l);
		l.entered = palloc(sizeof(DsRatio) * n);
		for (j = 0; j < n; j++)
			l.entered[j] = results[j].finish.net_amount;
		one_slot(&l);
	}
}
