/*-------------------------------------------------------------------------
 *
 * order.c
 *		Which candidate comes first: the total order that the policy names.
 *
 * Process: any backend. Locks: none. Memory: the line's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "base/compat.h"

/* sign does the comparison of two numbers. */
static int
sign(int64 a, int64 b)
{
	return a < b ? -1 : a > b;
}

/* start_of does the start of a version; no start comes after every other. */
static int64
start_of(const DsCandidate *c)
{
	return c->source->version->valid_from;
}

/* other_unit does the question whether a rate is in another unit than the line; without a line (order level) it is not asked. */
static int
other_unit(const DsLine *line, const DsCandidate *c)
{
	return line != NULL && strcmp(c->unit, line->unit) != 0;
}

/* compare_key does the comparison by one key: below 0 = a comes first. */
static int
compare_key(DsCall *call, const DsLine *line, DsOrderKey key, const DsCandidate *a,
			const DsCandidate *b)
{
	const DsRateMore *x = a->rate->more;
	const DsRateMore *y = b->rate->more;

	switch (key)
	{
		case DS_KEY_WHO:
			return sign(a->source->who_rank, b->source->who_rank);
		case DS_KEY_LIST_RANK:
			return sign(a->source->list_rank, b->source->list_rank);
		case DS_KEY_WHAT:
			return sign(a->what_rank, b->what_rank);
		case DS_KEY_CHANNEL:
			return (x == NULL || x->channel_id == 0) - (y == NULL || y->channel_id == 0);
		case DS_KEY_SITE:
			return (x == NULL || x->site_id == 0) - (y == NULL || y->site_id == 0);
		case DS_KEY_UNIT:
			return other_unit(line, a) - other_unit(line, b);
		case DS_KEY_CURRENCY:
			return (strcmp(a->source->version->currency, call->request.currency) != 0) -
				   (strcmp(b->source->version->currency, call->request.currency) != 0);
		case DS_KEY_PRIORITY:
			return sign(b->source->version->priority, a->source->version->priority);
		case DS_KEY_MIN_QUANTITY:
			if (ds_rate_any(a->rate) && ds_rate_any(b->rate))
				return 0;
			return ds_ratio_compare(ds_pricing_tier(b), ds_pricing_tier(a));
		case DS_KEY_VALID_FROM:
			return sign(start_of(b), start_of(a));
		case DS_KEY_VERSION_NO:
			return sign(b->source->version->version_no, a->source->version->version_no);
		case DS_KEY_COUNT:
			break;
	}
	return 0;
}

/* ds_pricing_compare_keys does the comparison by all keys of the policy; 0 = only content can tell them apart. */
int
ds_pricing_compare_keys(DsCall *call, const DsLine *line, const DsCandidate *a,
						const DsCandidate *b)
{
	const DsPolicy *p = &call->shared->policy;
	int result = 0;
	int i;

	for (i = 0; i < p->norder && result == 0; i++)
		result = compare_key(call, line, p->order[i], a, b);
	return result;
}

/* compare_content does the decision where all keys tie: the lower price, then agreement code, line and version. */
static int
compare_content(DsCall *call, DsLine *line, DsDecision *d, DsCandidate *a, DsCandidate *b,
				const DsRatio *running)
{
	DsRatio x;
	DsRatio y;
	DsReason why;
	bool has_x =
		a->rate->calc != DS_CALC_BUY_GET && ds_pricing_calc(call, line, d, a, running, &x, &why);
	bool has_y =
		b->rate->calc != DS_CALC_BUY_GET && ds_pricing_calc(call, line, d, b, running, &y, &why);
	int result = has_x && has_y ? ds_ratio_compare(x, y) : has_y - has_x;

	if (result == 0)
		result = strcmp(a->source->version->agreement, b->source->version->agreement);
	if (result == 0)
		result = strcmp(ds_rate_line(a->rate), ds_rate_line(b->rate));
	return result != 0 ? result
					   : sign(b->source->version->version_no, a->source->version->version_no);
}

/*
 * ds_pricing_sort does the putting of candidates into their order. There are
 * few: they are inserted one by one. running is the price that they would
 * start from, NULL = the list price.
 */
void
ds_pricing_sort(DsCall *call, DsLine *line, DsDecision *d, DsCandidate **list, int n,
				const DsRatio *running)
{
	int i;
	int j;

	for (i = 1; i < n; i++)
	{
		DsCandidate *c = list[i];

		for (j = i; j > 0; j--)
		{
			int order = ds_pricing_compare_keys(call, line, c, list[j - 1]);

			if (order == 0)
				order = compare_content(call, line, d, c, list[j - 1], running);
			if (order >= 0)
				break;
			list[j] = list[j - 1];
		}
		list[j] = c;
	}
}

/* ds_pricing_slot_candidates does the gathering of the candidates of a slot that apply, in no order. */
int
ds_pricing_slot_candidates(DsDecision *d, DsSlotName slot, DsCandidate ***list)
{
	DsCandidate **found = NULL;
	int n = 0;
	int i;

	for (i = 0; i < d->ncandidates; i++)
	{
		DsCandidate *c = &d->candidates[i];

		if (c->source->version->slot != slot || c->reason != DS_REASON_NONE)
			continue;
		if (found == NULL)
			found = palloc(sizeof(DsCandidate *) * (d->ncandidates - i));
		found[n++] = c;
	}
	*list = found;
	return n;
}
