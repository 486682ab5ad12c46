/*-------------------------------------------------------------------------
 *
 * candidate.c
 *		The rates that name a line, and the first thing that keeps each from
 *		applying.
 *
 * Filters say which targets have rates, so that only cells with rates are
 * looked at. Candidates of one cell and source stand together: ladders are
 * found among neighbours.
 *
 * Process: any backend. Locks: AccessShareLock on rates. Memory: the line's
 * context; cells in the cache.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "utils/jsonb.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/text.h"
#include "pricing/filter.h"

/* as many are taken together */
#define MAX_HITS 32

/* add does the entering of a candidate. */
static DsCandidate *
add(DsDecision *d, const DsItem *item, DsSource *source, const DsRate *rate, const DsTarget *target,
	int32 what_rank)
{
	DsCandidate *c;

	if (d->ncandidates == d->room)
	{
		d->room = Max(16, d->room * 2);
		d->candidates = d->candidates == NULL
							? palloc(sizeof(DsCandidate) * d->room)
							: repalloc(d->candidates, sizeof(DsCandidate) * d->room);
	}
	d->slots |= 1 << source->version->slot;
	c = &d->candidates[d->ncandidates++];
	c->source = source;
	c->rate = rate;
	c->target = target;
	c->what_rank = what_rank;
	c->unit = rate->unit != NULL ? rate->unit : item->base_unit;
	if (!ds_pricing_unit(item, c->unit, &c->unit_num, &c->unit_den))
		c->unit_num = 0;
	c->reason = DS_REASON_NONE;
	c->done = false;
	return c;
}

/* look does the narrowing of the answer's end by what names the line. */
static void
look(DsCall *call, DsDecision *d, const DsSource *source, const DsRate *rate)
{
	TimestampTz at = call->request.at;

	if (source->at != at || source->reason == DS_REASON_ENDED)
		return;
	ds_pricing_until(source->version->valid_from, at, &d->valid_until);
	ds_pricing_until(source->version->valid_to, at, &d->valid_until);
	if (rate != NULL && rate->more != NULL)
	{
		ds_pricing_until(rate->more->valid_from, at, &d->valid_until);
		ds_pricing_until(rate->more->valid_to, at, &d->valid_until);
	}
}

/* means does the question whether a target means the line and the policy uses its kind. */
static inline bool
means(const DsCall *call, const DsLine *line, const DsTarget *t)
{
	return call->shared->policy.what[t->what] != 0 &&
		   ds_target_valid(line->item, t, call->request.closure_at);
}

/* ds_pricing_names does the question whether a part has rates for any target that means the line; it asks no table. */
bool
ds_pricing_names(const DsCall *call, const DsLine *line, const DsPart *part)
{
	int i;

	for (i = 0; i < line->item->ntargets; i++)
	{
		const DsTarget *t = &line->item->targets[i];

		if ((part->kinds & (1 << t->what)) != 0 && means(call, line, t) &&
			ds_filter_has(&part->filter, t->target_id))
			return true;
	}
	return false;
}

/* ds_pricing_usable does the finding of the targets that mean a line, once, where they are not too many. */
void
ds_pricing_usable(const DsCall *call, DsLine *line)
{
	int i;

	line->nusable = 0;
	for (i = 0; i < line->item->ntargets; i++)
	{
		if (!means(call, line, &line->item->targets[i]))
			continue;
		if (line->nusable == DS_FEW_TARGETS || i > UINT8_MAX)
		{
			line->nusable = UINT8_MAX;
			return;
		}
		line->usable[line->nusable++] = i;
	}
}

/* A source that has rates for a target of the line. */
typedef struct Hit
{
	DsSource *source;
	const DsTarget *target;
	DsNear near;
} Hit;

/* Hits that wait to be taken together. */
typedef struct Hits
{
	int n;
	Hit list[MAX_HITS];
} Hits;

/* take_cell does the entering of the rates of one source for one target. */
static void
take_cell(DsCall *call, DsLine *line, const Hit *hit, DsDecision *d)
{
	DsSource *source = hit->source;
	const DsTarget *t = hit->target;
	const DsCell *cell = ds_pricing_cell(call, source->part, t->target_id, &hit->near);
	int i;

	for (i = 0; i < cell->nrates; i++)
	{
		add(d, line->item, source, &cell->rates[i], t,
			call->shared->policy.what[t->what] * 100 + t->depth);
		look(call, d, source, &cell->rates[i]);
	}
}

/* take_hits does the entering of the rates of all hits, in their order: what they read is asked for step by step, for all of them at once. */
static void
take_hits(DsCall *call, DsLine *line, Hits *hits, DsDecision *d)
{
	int step;
	int i;

	for (step = 1; step < DS_NEAR_STEPS; step++)
	{
		for (i = 0; i < hits->n; i++)
			ds_pricing_cell_near(call, hits->list[i].source->part, hits->list[i].target->target_id,
								 &hits->list[i].near, step);
	}
	for (i = 0; i < hits->n; i++)
		take_cell(call, line, &hits->list[i], d);
	hits->n = 0;
}

/* find_hits does the finding of the targets of the line that a source has rates for. */
static void
find_hits(DsCall *call, DsLine *line, DsSource *source, Hits *hits, DsDecision *d)
{
	const DsPart *part = source->part;
	bool few = line->nusable <= DS_FEW_TARGETS;
	int n = few ? line->nusable : line->item->ntargets;
	bool only_when; /* of what begins later it is enough to know that it names the line */
	int i;

	only_when = source->reason == DS_REASON_NOT_STARTED && !call->explain && !part->dated &&
				ds_pricing_filter_is_exact(part->filter.bytes, part->filter.size);
	for (i = 0; i < n; i++)
	{
		const DsTarget *t = &line->item->targets[few ? line->usable[i] : i];
		Hit *hit;

		if ((part->kinds & (1 << t->what)) == 0 || !(few || means(call, line, t)) ||
			!ds_filter_has(&source->filter, t->target_id))
			continue;
		if (only_when)
		{
			look(call, d, source, NULL);
			return;
		}
		if (hits->n == MAX_HITS)
			take_hits(call, line, hits, d);
		hit = &hits->list[hits->n++];
		hit->source = source;
		hit->target = t;
		ds_pricing_cell_near(call, part, t->target_id, &hit->near, 0);
	}
}

/* ds_pricing_candidates_of does the finding of the rates of one source that name the line. */
void
ds_pricing_candidates_of(DsCall *call, DsLine *line, DsSource *source, DsDecision *d)
{
	Hits hits;

	hits.n = 0;
	find_hits(call, line, source, &hits, d);
	take_hits(call, line, &hits, d);
}

/*
 * ds_pricing_look_at_edges does the narrowing of the answer's end by
 * assignments of agreements whose rates name the line: of one slot, or (-1) of
 * all that take part in the price of a line.
 */
void
ds_pricing_look_at_edges(DsCall *call, const DsLine *line, DsDecision *d, int slot)
{
	TimestampTz at = call->request.at;
	int i;

	for (i = 0; i < call->buyer.nedges; i++)
	{
		const DsEdge *edge = &call->buyer.edges[i];

		if ((slot < 0 ? (call->line_slots & (1 << edge->slot)) == 0 : edge->slot != slot) ||
			!ds_pricing_names(call, line, edge->part))
			continue;
		ds_pricing_until(edge->from, at, &d->valid_until);
		ds_pricing_until(edge->to, at, &d->valid_until);
	}
}

/* ds_pricing_look_at does the narrowing of the answer's end by everything about buyer and item that comes before any rate. */
void
ds_pricing_look_at(DsCall *call, const DsLine *line, DsDecision *d, int slot)
{
	int i;

	d->valid_until = Min(d->valid_until, call->buyer.valid_until);
	for (i = 0; i < line->item->nperiods; i++)
		ds_pricing_until_closure(call, line->item->periods[i].from, line->item->periods[i].to,
								 &d->valid_until);
	ds_pricing_look_at_edges(call, line, d, slot);
}

/* fetch does the asking for what the filters will look at, so that it comes while other things are done. */
static void
fetch(const DsCall *call, const DsLine *line)
{
	int i;
	int j;

	for (i = 0; i < call->buyer.nsources; i++)
	{
		const DsSource *s = &call->buyer.sources[i];

		for (j = 0; s->filter.bits != NULL && j < line->nusable; j++)
		{
			const DsTarget *t = &line->item->targets[line->usable[j]];

			if (s->part->kinds & (1 << t->what))
				ds_filter_fetch(&s->filter, t->target_id);
		}
	}
}

/* ds_pricing_candidates does the finding of all rates that name the line. */
void
ds_pricing_candidates(DsCall *call, DsLine *line, DsDecision *d)
{
	Hits hits;
	int i;

	hits.n = 0;
	if (!call->many && line->nusable <= DS_FEW_TARGETS)
		fetch(call, line);
	ds_pricing_look_at(call, line, d, -1);
	for (i = 0; i < call->buyer.nsources; i++)
	{
		DsSource *s = &call->buyer.sources[i];

		if (call->line_slots & (1 << s->version->slot))
			find_hits(call, line, s, &hits, d);
	}
	take_hits(call, line, &hits, d);
}

/* has_exchange does the look-up of a source's exchange rate, once. */
static bool
has_exchange(DsCall *call, DsSource *s, TimestampTz *valid_until)
{
	if (!s->fx_known)
	{
		s->fx_known = true;
		s->fx = ds_ratio_of(1);
		s->fx_until = DT_NOEND;
		s->fx_found = strcmp(s->version->currency, call->request.currency) == 0;
		if (!s->fx_found && s->version->fx_allowed)
			s->fx_found = ds_pricing_exchange(call, s->version->currency, &s->fx, &s->fx_until);
	}
	ds_pricing_until(s->fx_until, call->request.at, valid_until);
	return s->fx_found;
}

/* context_has does the test of a rate's condition: an absent attribute never matches. */
static bool
context_has(DsCall *call, Jsonb *condition)
{
	JsonbIterator *have;
	JsonbIterator *want;

	if (call->request.context == NULL)
		return JB_ROOT_COUNT(condition) == 0;
	if (JB_ROOT_IS_OBJECT(call->request.context) != JB_ROOT_IS_OBJECT(condition))
		return false;
	have = JsonbIteratorInit(&call->request.context->root);
	want = JsonbIteratorInit(&condition->root);
	return JsonbDeepContains(&have, &want);
}

/* tax_rate does the look-up of the tax rate for an item, in percent; a number may be a string. */
static bool
tax_rate(DsCall *call, const DsLine *line, DsRatio *rate)
{
	const char *class = line->item->tax_class;
	JsonbValue buffer;
	JsonbValue *v;
	Numeric number;
	DsDecimal d;

	if (call->request.tax_rates == NULL)
		return false;
	v = getKeyJsonValueFromContainer(&call->request.tax_rates->root, class, (int) strlen(class),
									 &buffer);
	if (v == NULL || v->type == jbvNull)
		return false;
	number = ds_pricing_number(v);
	if (number == NULL || !ds_decimal_read(number, &d) || d.mantissa < 0)
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_VALUE),
						errmsg("tax rate of class \"%s\" is no percentage", ds_text_shown(class)),
						errdetail("Field: options.tax_rates.%s.", class),
						errhint("Give a number that is not negative, such as 8.875.")));
	*rate = ds_ratio_decimal(d);
	return true;
}

/* ds_pricing_tax does the factor by which an amount that contains tax is divided. */
DsRatio
ds_pricing_tax(DsCall *call, const DsLine *line)
{
	DsRatio rate;

	if (!tax_rate(call, line, &rate))
		return ds_ratio_of(1);
	return ds_ratio_divide(ds_ratio_add(rate, ds_ratio_of(100)), ds_ratio_of(100));
}

/* tier_reason does the test of a tier. */
static DsReason
tier_reason(DsCall *call, DsLine *line, DsDecision *d, DsCandidate *c)
{
	DsRatio measure;

	if (ds_rate_any(c->rate))
		return DS_REASON_NONE;
	measure = ds_pricing_measure(call, line, c->source, &d->valid_until);
	return ds_ratio_compare(measure, ds_pricing_tier(c)) < 0 ? DS_REASON_BELOW_TIER
															 : DS_REASON_NONE;
}

/* ds_pricing_reason does the judging of one candidate by everything but its tier. */
DsReason
ds_pricing_reason(DsCall *call, DsLine *line, DsDecision *d, DsCandidate *c)
{
	DsSource *s = c->source;
	const DsVersion *v = s->version;
	const DsRateMore *m = c->rate->more;

	if (s->reason != DS_REASON_NONE)
		return s->reason;
	if (m != NULL && (m->valid_from > s->at || s->at >= m->valid_to))
		return DS_REASON_RATE_NOT_VALID;
	if (!has_exchange(call, s, &d->valid_until))
		return DS_REASON_CURRENCY;
	if (m != NULL && m->channel_id != 0 && m->channel_id != call->request.channel_id)
		return DS_REASON_CHANNEL;
	if (m != NULL && m->site_id != 0 && m->site_id != line->site_id)
		return DS_REASON_SITE;
	if (c->unit_num == 0)
		return DS_REASON_UNIT;
	if (m != NULL && m->condition != NULL && !context_has(call, m->condition))
		return DS_REASON_CONDITION;
	if (v->tax_included)
	{
		DsRatio rate;

		if (!tax_rate(call, line, &rate))
			return DS_REASON_NO_TAX_RATE;
	}
	if (ds_pricing_used_up(call, s, line))
		return DS_REASON_COMMITMENT;
	return DS_REASON_NONE;
}

/* ds_pricing_same_rate does the question whether two candidates, of whatever lines, are one rate. */
bool
ds_pricing_same_rate(const DsCandidate *a, const DsCandidate *b)
{
	return a->source == b->source && a->target->target_id == b->target->target_id &&
		   strcmp(ds_rate_line(a->rate), ds_rate_line(b->rate)) == 0;
}

/* same_ladder does the question whether two candidates are tiers of one ladder. */
bool
ds_pricing_same_ladder(const DsCandidate *a, const DsCandidate *b)
{
	static const DsRateMore none = {.valid_from = DT_NOBEGIN, .valid_to = DT_NOEND};
	const DsRateMore *x = a->rate->more != NULL ? a->rate->more : &none;
	const DsRateMore *y = b->rate->more != NULL ? b->rate->more : &none;

	return a->source == b->source && a->target == b->target && x->channel_id == y->channel_id &&
		   x->site_id == y->site_id && x->valid_from == y->valid_from &&
		   x->valid_to == y->valid_to && strcmp(a->unit, b->unit) == 0;
}

/* lift_lowest does what policy below_tier = lowest says: a ladder that is above the measure applies with its lowest tier. */
static void
lift_lowest(DsDecision *d, int i)
{
	DsCandidate *c = &d->candidates[i];
	int j;

	if (c->reason != DS_REASON_BELOW_TIER)
		return;
	for (j = 0; j < d->ncandidates; j++)
	{
		DsCandidate *o = &d->candidates[j];

		if (o != c && ds_pricing_same_ladder(c, o) &&
			(o->reason == DS_REASON_NONE ||
			 (o->reason == DS_REASON_BELOW_TIER && ds_rate_compare(o->rate, c->rate) < 0)))
			return;
	}
	c->reason = DS_REASON_NONE;
}

/* block does what blocking lists say in one slot: lists are walked by rank, then code. */
static void
block(DsCall *call, DsDecision *d, DsSlotName slot)
{
	bool earlier = false;
	bool blocked = false;
	int32 rank = PG_INT32_MIN;
	const char *code = "";

	for (;;)
	{
		const DsSource *next = NULL;
		bool named = false;
		int i;

		/* the next list after (rank, code) that names the line */
		for (i = 0; i < d->ncandidates; i++)
		{
			const DsSource *s = d->candidates[i].source;

			if (s->version->slot != slot || s->list_rank < rank ||
				(s->list_rank == rank && strcmp(s->version->agreement, code) <= 0))
				continue;
			if (next == NULL || s->list_rank < next->list_rank ||
				(s->list_rank == next->list_rank &&
				 strcmp(s->version->agreement, next->version->agreement) < 0))
				next = s;
		}
		if (next == NULL)
			return;
		rank = next->list_rank;
		code = next->version->agreement;
		for (i = 0; i < d->ncandidates; i++)
		{
			DsCandidate *c = &d->candidates[i];

			if (c->source->version->agreement_id != next->version->agreement_id ||
				c->source->list_rank != rank)
				continue;
			named |= c->reason == DS_REASON_NONE || c->reason == DS_REASON_BELOW_TIER;
			if (c->reason == DS_REASON_NONE && (blocked || (next->blocking && earlier)))
				c->reason = DS_REASON_BLOCKED;
		}
		if (named && next->blocking && !earlier)
			blocked = true;
		earlier |= named && !next->blocking;
	}
}

/* keep_highest does the leaving of the highest reached tier of each ladder. */
static void
keep_highest(DsDecision *d)
{
	int i;
	int j;

	for (i = 0; i < d->ncandidates; i++)
	{
		DsCandidate *c = &d->candidates[i];

		if (c->reason != DS_REASON_NONE)
			continue;
		for (j = i + 1; j < d->ncandidates && d->candidates[j].source == c->source &&
						d->candidates[j].target == c->target;
			 j++)
		{
			DsCandidate *o = &d->candidates[j];

			if (o->reason != DS_REASON_NONE || !ds_pricing_same_ladder(c, o))
				continue;
			if (ds_rate_compare(o->rate, c->rate) > 0)
			{
				c->reason = DS_REASON_LOWER_TIER;
				break;
			}
			o->reason = DS_REASON_LOWER_TIER;
		}
	}
}

/* ds_pricing_judge does the judging of all candidates of a line. */
void
ds_pricing_judge(DsCall *call, DsLine *line, DsDecision *d)
{
	const DsPolicy *p = &call->shared->policy;
	int i;

	for (i = 0; i < d->ncandidates; i++)
	{
		DsCandidate *c = &d->candidates[i];

		c->reason = ds_pricing_reason(call, line, d, c);
		if (c->reason == DS_REASON_NONE)
			c->reason = tier_reason(call, line, d, c);
	}
	for (i = 0; p->below_tier != DS_BELOW_SKIP && i < d->ncandidates; i++)
	{
		if (p->below_tier == DS_BELOW_LOWEST)
			lift_lowest(d, i);
		else if (d->candidates[i].reason == DS_REASON_BELOW_TIER)
		{
			/* refused only where no tier of the ladder is reached */
			lift_lowest(d, i);
			if (d->candidates[i].reason == DS_REASON_NONE)
				d->failure = DS_REASON_BELOW_TIER;
			d->candidates[i].reason = DS_REASON_BELOW_TIER;
		}
	}
	for (i = 0; i < p->nslots; i++)
	{
		if (p->slots[i].blocking)
			block(call, d, p->slots[i].name);
	}
	for (i = 0; line->is_return && call->depth == 0 && i < d->ncandidates; i++)
	{
		if (d->candidates[i].reason == DS_REASON_NONE &&
			d->candidates[i].source->version->slot == DS_SLOT_PROMOTION)
			d->candidates[i].reason = DS_REASON_RETURN;
	}
	keep_highest(d);
}
