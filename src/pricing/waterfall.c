/*-------------------------------------------------------------------------
 *
 * waterfall.c
 *		The decision for one line: slot after slot, as the policy says.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * line's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "base/compat.h"

/* ds_pricing_decision does the making of an empty decision. */
DsDecision *
ds_pricing_decision(DsCall *call)
{
	DsDecision *d = palloc0(sizeof(DsDecision));

	d->valid_until = DT_NOEND;
	return d;
}

/* lose does the marking of candidates that take no part. */
static void
lose(DsCandidate **list, int n, DsReason reason)
{
	int i;

	for (i = 0; i < n; i++)
	{
		if (!list[i]->done && list[i]->reason == DS_REASON_NONE)
			list[i]->reason = reason;
	}
}

/* ties does the question whether another candidate that can be computed has the same keys as the first. */
static bool
ties(DsCall *call, DsLine *line, DsDecision *d, DsCandidate *first, DsCandidate **list, int n)
{
	int i;

	for (i = 0; i < n; i++)
	{
		DsRatio price;
		DsReason why;

		if (list[i] != first && list[i]->reason == DS_REASON_NONE &&
			ds_pricing_compare_keys(call, line, first, list[i]) == 0 &&
			ds_pricing_calc(call, line, d, list[i], NULL, &price, &why))
			return true;
	}
	return false;
}

/* first_of does the choice of the first candidate whose price can be computed. */
static DsCandidate *
first_of(DsCall *call, DsLine *line, DsDecision *d, DsCandidate **list, int n, DsRatio *price)
{
	int i;

	for (i = 0; i < n; i++)
	{
		DsReason why;

		if (ds_pricing_calc(call, line, d, list[i], NULL, price, &why))
			return list[i];
		list[i]->reason = why;
	}
	return NULL;
}

/* best_of does the choice of the lowest price among the first candidates of each agreement; ties by agreement code. */
static DsCandidate *
best_of(DsCall *call, DsLine *line, DsDecision *d, DsCandidate **list, int n, DsRatio *price)
{
	DsCandidate **own = palloc(sizeof(DsCandidate *) * Max(n, 1));
	DsCandidate *best = NULL;
	int i;
	int j;

	for (i = 0; i < n; i++)
	{
		int64 agreement_id = list[i]->source->version->agreement_id;
		DsCandidate *first;
		DsRatio one;
		int m = 0;

		for (j = 0; j < i && list[j]->source->version->agreement_id != agreement_id; j++)
			;
		if (j < i)
			continue;
		for (j = i; j < n; j++)
		{
			if (list[j]->source->version->agreement_id == agreement_id)
				own[m++] = list[j];
		}
		first = first_of(call, line, d, own, m, &one);
		if (first == NULL)
			continue;
		if (best == NULL || ds_ratio_compare(one, *price) < 0 ||
			(ds_ratio_compare(one, *price) == 0 &&
			 strcmp(first->source->version->agreement, best->source->version->agreement) < 0))
		{
			best = first;
			*price = one;
		}
	}
	return best;
}

/* higher_tier does the finding of a higher tier of the list that takes the winner's place, where its agreement says that those count too. */
static DsCandidate *
higher_tier(DsCall *call, DsLine *line, DsDecision *d, DsCandidate *winner, DsRatio *price)
{
	DsCandidate **list = palloc(sizeof(DsCandidate *) * d->ncandidates);
	DsCandidate *highest = NULL;
	int n = 0;
	int i;

	for (i = 0; i < d->ncandidates; i++)
	{
		DsCandidate *c = &d->candidates[i];

		if (c->source->version->slot == DS_SLOT_LIST && c != winner &&
			(c->reason == DS_REASON_NONE || c->reason == DS_REASON_OUTRANKED) &&
			ds_ratio_compare(ds_pricing_tier(c), ds_pricing_tier(winner)) > 0)
			list[n++] = c;
	}
	ds_pricing_sort(call, line, d, list, n, NULL);
	for (i = 0; i < n; i++)
	{
		DsRatio one;
		DsReason why;

		if ((highest == NULL ||
			 ds_ratio_compare(ds_pricing_tier(list[i]), ds_pricing_tier(highest)) > 0) &&
			ds_pricing_calc(call, line, d, list[i], NULL, &one, &why))
		{
			highest = list[i];
			*price = one;
		}
	}
	return highest;
}

/* pick does the choice of a slot's winner; taken is what takes its place, itself or a higher tier of the list. */
static DsCandidate *
pick(DsCall *call, DsLine *line, DsDecision *d, const DsSlot *slot, DsCandidate **list, int n,
	 DsCandidate **taken, DsRatio *price)
{
	DsCandidate *winner;

	ds_pricing_sort(call, line, d, list, n, NULL);
	winner = (slot->best ? best_of : first_of)(call, line, d, list, n, price);
	*taken = winner;
	if (winner == NULL)
		return NULL;
	if (call->shared->policy.tie_error && !slot->best && ties(call, line, d, winner, list, n))
		d->ambiguous = true;
	if (winner->source->version->merge)
	{
		DsCandidate *higher = higher_tier(call, line, d, winner, price);

		if (higher != NULL)
			*taken = higher;
	}
	return winner;
}

/* take does the step of a slot's winner, or of the tier that takes its place. */
static void
take(DsCall *call, DsLine *line, DsDecision *d, const DsSlot *slot, DsCandidate *winner,
	 DsCandidate *taken, DsRatio price)
{
	ds_pricing_step(call, line, d, slot->name, taken, price, true);
	if (taken == winner)
		return;
	d->steps[d->nsteps - 1].merged = true;
	winner->reason = DS_REASON_OUTRANKED;
}

/*
 * compete does the contest of a slot: its winner replaces the running price,
 * in an if_lower slot only where it is lower. Returns what did, or NULL.
 */
static DsCandidate *
compete(DsCall *call, DsLine *line, DsDecision *d, const DsSlot *slot, DsCandidate **list, int n)
{
	DsRatio price = ds_ratio_of(0);
	DsCandidate *taken;
	DsCandidate *winner = pick(call, line, d, slot, list, n, &taken, &price);

	if (winner != NULL && slot->combine == DS_SLOT_IF_LOWER && d->has_price &&
		ds_ratio_compare(price, d->price) >= 0)
	{
		winner->reason = DS_REASON_NOT_LOWER;
		taken = NULL;
	}
	if (taken != NULL)
		take(call, line, d, slot, winner, taken, price);
	lose(list, n, DS_REASON_OUTRANKED);
	return taken;
}

/* give does the free goods of a slot, after everything else of it. */
static void
give(DsCall *call, DsLine *line, DsDecision *d, const DsSlot *slot, DsCandidate **list, int n)
{
	int i;

	ds_pricing_sort(call, line, d, list, n, NULL);
	for (i = 0; i < n; i++)
		ds_pricing_free_goods(call, line, d, slot->name, list[i]);
}

/*
 * replace does a slot whose winner takes the place of the running price; then,
 * in an if_lower slot, stackable ones on top; then free goods.
 */
static void
replace(DsCall *call, DsLine *line, DsDecision *d, const DsSlot *slot, DsCandidate **list, int n)
{
	DsCandidate **sorts[3]; /* competing, stackable, free goods */
	int counts[3] = {0, 0, 0};
	DsCandidate *taken;
	bool lower = slot->combine == DS_SLOT_IF_LOWER;
	int i;

	if (lower && d->winner != NULL && d->winner->source->version->combine == DS_COMBINE_EXCLUSIVE)
	{
		lose(list, n, DS_REASON_EXCLUDED);
		return;
	}
	for (i = 0; i < 3; i++)
		sorts[i] = palloc(sizeof(DsCandidate *) * n);
	for (i = 0; i < n; i++)
	{
		DsCombine combine = list[i]->source->version->combine;
		bool stackable = combine == DS_COMBINE_ADDITIVE || combine == DS_COMBINE_COMPOUND;
		int sort = list[i]->rate->calc == DS_CALC_BUY_GET ? 2 : lower && stackable ? 1 : 0;

		sorts[sort][counts[sort]++] = list[i];
	}
	taken = compete(call, line, d, slot, sorts[0], counts[0]);
	if (taken != NULL && taken->source->version->combine == DS_COMBINE_EXCLUSIVE)
	{
		lose(list, n, DS_REASON_EXCLUDED);
		return;
	}
	ds_pricing_stack(call, line, d, slot->name, sorts[1], counts[1]);
	give(call, line, d, slot, sorts[2], counts[2]);
}

/* stack does a slot whose rates apply on top of the running price; then free goods, unless one is exclusive. */
static void
stack(DsCall *call, DsLine *line, DsDecision *d, const DsSlot *slot, DsCandidate **list, int n)
{
	DsCandidate **sorts[2]; /* on top, free goods */
	int counts[2] = {0, 0};
	int i;

	for (i = 0; i < 2; i++)
		sorts[i] = palloc(sizeof(DsCandidate *) * n);
	for (i = 0; i < n; i++)
	{
		int sort = list[i]->rate->calc == DS_CALC_BUY_GET;

		sorts[sort][counts[sort]++] = list[i];
	}
	if (ds_pricing_stack(call, line, d, slot->name, sorts[0], counts[0]))
		lose(sorts[1], counts[1], DS_REASON_EXCLUDED);
	else
		give(call, line, d, slot, sorts[1], counts[1]);
}

/* one_slot does one slot of the policy. */
static void
one_slot(DsCall *call, DsLine *line, DsDecision *d, const DsSlot *slot)
{
	DsCandidate **list;
	int nsteps = d->nsteps;
	int n;
	int i;

	if ((d->slots & (1 << slot->name)) == 0)
		return;
	n = ds_pricing_slot_candidates(d, slot->name, &list);
	if (n == 0)
		return;
	switch (slot->combine)
	{
		case DS_SLOT_OVERRIDE:
		case DS_SLOT_IF_LOWER:
			replace(call, line, d, slot, list, n);
			break;
		case DS_SLOT_STACK:
			stack(call, line, d, slot, list, n);
			break;
		case DS_SLOT_CLAMP:
			for (i = 0; i < n; i++)
			{
				ds_pricing_guard(d, list[i]);
				list[i]->done = true;
			}
			break;
		default:
			break;
	}
	if (slot->name == DS_SLOT_LIST && d->nsteps > nsteps)
	{
		d->has_list = true;
		d->list_price = d->price;
	}
}

/* ds_pricing_decide does the whole decision for one line. */
void
ds_pricing_decide(DsCall *call, DsLine *line, DsDecision *d)
{
	const DsPolicy *p = &call->shared->policy;
	DsRatio price;
	int i;

	call->deciding = d;
	ds_pricing_candidates(call, line, d);
	ds_pricing_judge(call, line, d);
	for (i = 0; i < p->nslots; i++)
	{
		bool had_price = d->has_price;
		DsRatio before = d->price;

		one_slot(call, line, d, &p->slots[i]);
		if (call->suppose != NULL)
			ds_pricing_suppose_twice(call->suppose, d, p->slots[i].name, had_price, before);
	}
	call->deciding = NULL;
	if (d->failure != DS_REASON_NONE || d->ambiguous)
		d->has_price = false;
	d->lock_until = DT_NOEND;
	if (ds_pricing_locked(call, line, &price, &d->locked_per, &d->lock_until))
	{
		d->locked = true;
		d->has_price = true;
		d->price = price;
	}
	d->valid_until = Min(d->valid_until, d->lock_until);
}

/* ds_pricing_list_price does the list price of a line by itself: what amounts are measured with. */
bool
ds_pricing_list_price(DsCall *call, DsLine *line, DsRatio *price, TimestampTz *valid_until)
{
	if (!line->has_list)
	{
		/* it is kept for the other lines of the call */
		MemoryContext old = MemoryContextSwitchTo(call->context);
		const DsPolicy *p = &call->shared->policy;
		DsDecision *d = ds_pricing_decision(call);
		bool asked = false;
		int i;

		line->has_list = true;
		line->list_known = false;
		/* a policy without the slot has no list prices, and looks at none */
		for (i = 0; i < p->nslots; i++)
			asked |= p->slots[i].name == DS_SLOT_LIST;
		if (asked)
			ds_pricing_look_at(call, line, d, DS_SLOT_LIST);
		for (i = 0; asked && i < call->buyer.nsources; i++)
		{
			if (call->buyer.sources[i].version->slot == DS_SLOT_LIST)
				ds_pricing_candidates_of(call, line, &call->buyer.sources[i], d);
		}
		ds_pricing_judge(call, line, d);
		for (i = 0; i < p->nslots; i++)
		{
			if (p->slots[i].name == DS_SLOT_LIST)
				one_slot(call, line, d, &p->slots[i]);
		}
		line->list_known = d->has_list;
		line->list_price = d->list_price;
		line->list_until = d->valid_until;
		line->list_decision = d;
		MemoryContextSwitchTo(old);
	}
	*valid_until = Min(*valid_until, line->list_until);
	*price = line->list_price;
	return line->list_known;
}
