/*-------------------------------------------------------------------------
 *
 * tell.c
 *		What an answer says beside its columns: the few things everybody gets,
 *		the whole waterfall for who explains, near misses where nothing applies.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * line's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/finish.h"

#include "base/compat.h"
#include "base/json.h"

/* decimals that a price of the waterfall shows at most: it is exact inside, this is for eyes */
#define SHOWN_SCALE 10

/* how many rates that did not count are told where there is no price */
#define NEAR_MISSES 5

/* shown does a fraction as a number for eyes. */
static Numeric
shown(DsRatio r)
{
	return ds_ratio_shown(r, 0, SHOWN_SCALE);
}

/* joined does "kind:key". */
static const char *
joined(const char *kind, const char *key)
{
	Size n = strlen(kind);
	char *result = palloc(n + strlen(key) + 2);

	memcpy(result, kind, n);
	result[n] = ':';
	memcpy(result + n + 1, key, strlen(key) + 1);
	return result;
}

/* shown_or_null does the same for a price that may be missing. */
static Numeric
shown_or_null(bool has, DsRatio r)
{
	return has ? shown(r) : NULL;
}

/*
 * tell_rate does the object of a rate: which one it is, and the price before
 * and after it or the reason why it did not count. Members come in the order
 * of jsonb (shorter names first), which saves sorting them.
 */
static void
tell_rate(DsCall *call, DsJson *json, const DsLine *line, const DsCandidate *c, const DsStep *step)
{
	const DsVersion *v = c->source->version;

	ds_json_open_object(json, NULL);
	ds_json_integer(json, "per", c->rate->price_per);
	ds_json_text(json, "who", joined(ds_pricing_who_words[c->source->who], c->source->who_key));
	ds_json_text(json, "calc", ds_pricing_calc_words[c->rate->calc]);
	ds_json_text(json, "line", ds_rate_line(c->rate));
	ds_json_text(json, "slot", ds_pricing_slot_words[step != NULL ? step->slot : v->slot]);
	ds_json_text(json, "unit", c->unit);
	ds_json_text(json, "what",
				 joined(ds_pricing_what_words[c->target->what],
						ds_pricing_target_key(call, line, c->target)));
	if (step != NULL)
		ds_json_number(json, "after", shown(step->after));
	ds_json_number(json, "value", ds_decimal_shown(ds_rate_value(c->rate), SHOWN_SCALE));
	if (step != NULL)
		ds_json_number(json, "before", shown_or_null(step->has_before, step->before));
	if (step != NULL && step->merged)
		ds_json_boolean(json, "merged", true);
	if (step == NULL)
		ds_json_text(json, "reason",
					 c->reason == DS_REASON_NONE ? "outranked"
												 : ds_pricing_reason_words[c->reason]);
	ds_json_integer(json, "version", v->version_no);
	ds_json_text(json, "agreement", v->agreement);
	ds_json_number(json, "min_quantity", ds_decimal_shown(ds_rate_tier(c->rate), SHOWN_SCALE));
	ds_json_close_object(json);
}

/* slot_places does the place of each slot in the policy; what the policy does not use comes last. */
static void
slot_places(DsCall *call, int *places)
{
	const DsPolicy *p = &call->shared->policy;
	int i;

	for (i = 0; i < DS_SLOT_COUNT; i++)
		places[i] = p->nslots;
	for (i = p->nslots - 1; i >= 0; i--)
		places[p->slots[i].name] = i;
}

/* later does the order of losers of a slot: by the policy's order, then by content. */
static int
later(DsCall *call, const DsLine *line, const DsCandidate *a, const DsCandidate *b)
{
	int result = ds_pricing_compare_keys(call, line, a, b);

	if (result == 0)
		result = strcmp(a->source->version->agreement, b->source->version->agreement);
	if (result == 0)
		result = strcmp(ds_rate_line(a->rate), ds_rate_line(b->rate));
	return result != 0 ? result : b->source->version->version_no - a->source->version->version_no;
}

/* losers_of does the sorting of what did not count, by slot of the policy first. */
static int
losers_of(DsCall *call, const DsLine *line, DsDecision *d, const DsCandidate ***list)
{
	const DsCandidate **sorted = palloc(sizeof(DsCandidate *) * Max(d->ncandidates, 1));
	int places[DS_SLOT_COUNT];
	int n = 0;
	int i;
	int j;

	slot_places(call, places);
	for (i = 0; i < d->ncandidates; i++)
	{
		const DsCandidate *c = &d->candidates[i];
		int place = places[c->source->version->slot];

		if (c->done)
			continue;
		for (j = n++; j > 0; j--)
		{
			int before = places[sorted[j - 1]->source->version->slot];

			if (before < place || (before == place && later(call, line, c, sorted[j - 1]) >= 0))
				break;
			sorted[j] = sorted[j - 1];
		}
		sorted[j] = c;
	}
	*list = sorted;
	return n;
}

/* tell_losers does the array of what did not count, each with its first reason. */
static void
tell_losers(DsCall *call, DsJson *json, const char *key, const DsLine *line, DsDecision *d,
			int most)
{
	const DsCandidate **list;
	int n = losers_of(call, line, d, &list);
	int i;

	ds_json_open_array(json, key);
	for (i = 0; i < n && i < most; i++)
		tell_rate(call, json, line, list[i], NULL);
	ds_json_close_array(json);
}

/* tell_steps does the array of what moved the price. */
static void
tell_steps(DsCall *call, DsJson *json, const DsLine *line, DsDecision *d)
{
	int i;

	ds_json_open_array(json, "steps");
	for (i = 0; i < d->nsteps; i++)
		tell_rate(call, json, line, d->steps[i].candidate, &d->steps[i]);
	ds_json_close_array(json);
}

/* ds_pricing_tell_free does the array of free goods. */
void
ds_pricing_tell_free(DsCall *call, DsJson *json, const DsDecision *d)
{
	int i;

	if (d->nfree == 0)
		return;
	ds_json_open_array(json, "free_goods");
	for (i = 0; i < d->nfree; i++)
	{
		const DsItem *item = ds_pricing_item(call, d->free_goods[i].item_id);

		ds_json_open_object(json, NULL);
		ds_json_text(json, "item", item != NULL ? item->sku : NULL);
		ds_json_number(json, "quantity", shown(d->free_goods[i].quantity));
		ds_json_text(json, "unit", item != NULL ? item->base_unit : NULL);
		ds_json_close_object(json);
	}
	ds_json_close_array(json);
}

/* tell_price does the detail of a priced line. */
static void
tell_price(DsCall *call, DsJson *json, const char *key, DsLine *line, DsDecision *d,
		   const DsFinish *f)
{
	DsRatio cost = ds_ratio_of(0);
	TimestampTz until = d->valid_until;
	bool has_cost = call->explain && ds_pricing_line_cost(call, line, d, &cost);

	/* it is told, the price does not depend on it */
	d->valid_until = until;

	ds_json_open_object(json, key);
	if (call->explain)
	{
		ds_json_number(json, "cost", shown_or_null(has_cost, cost));
		ds_json_number(json, "floor", shown_or_null(d->has_floor, d->floor));
	}
	ds_json_text(json, "guard", f->guard);
	if (call->explain)
	{
		tell_steps(call, json, line, d);
		ds_json_boolean(json, "locked", d->locked);
		tell_losers(call, json, "losers", line, d, PG_INT32_MAX);
		ds_json_number(json, "ceiling", shown_or_null(d->has_ceiling, d->ceiling));
		ds_json_number(json, "resolved", shown(f->resolved));
		ds_json_text(json, "rounding",
					 d->winner != NULL ? d->winner->source->version->rounding : NULL);
	}
	ds_pricing_tell_free(call, json, d);
	if (ds_ratio_compare(f->extension, f->net_amount) != 0)
		ds_json_number(json, "extension", shown(f->extension));
	ds_json_number(json, "list_price", shown_or_null(d->has_list, d->list_price));
	ds_pricing_tell_volumes(json, line, d);
	if (f->off_multiple)
		ds_json_number(json, "next_quantity", shown(f->next_quantity));
	ds_json_integer(json, "policy_version", call->shared->policy.version);
	ds_json_close_object(json);
}

/* tell_misses does the detail of a line without a price: what came near. */
static void
tell_misses(DsCall *call, DsJson *json, const char *key, DsLine *line, DsDecision *d)
{
	ds_json_open_object(json, key);
	if (call->explain)
	{
		tell_steps(call, json, line, d);
		tell_losers(call, json, "losers", line, d, PG_INT32_MAX);
	}
	ds_pricing_tell_volumes(json, line, d);
	tell_losers(call, json, "near_misses", line, d, NEAR_MISSES);
	ds_json_integer(json, "policy_version", call->shared->policy.version);
	ds_json_close_object(json);
}

/* ds_pricing_detail does what an answer says beside its columns; key is NULL if it is all there is. */
void
ds_pricing_detail(DsCall *call, DsJson *json, const char *key, DsLine *line, DsDecision *d,
				  const DsFinish *f)
{
	if (f->priced)
		tell_price(call, json, key, line, d, f);
	else
		tell_misses(call, json, key, line, d);
}

/* ds_pricing_miss does the code of a line without a price: why the first one that did not count did not. */
const char *
ds_pricing_miss(DsCall *call, DsLine *line, DsDecision *d)
{
	const DsCandidate **list;

	if (d->failure != DS_REASON_NONE)
		return ds_pricing_reason_words[d->failure];
	if (d->ambiguous)
		return "ambiguous";
	if (losers_of(call, line, d, &list) == 0)
		return "no_rate";
	return list[0]->reason == DS_REASON_NONE ? "outranked"
											 : ds_pricing_reason_words[list[0]->reason];
}
