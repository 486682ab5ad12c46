/*-------------------------------------------------------------------------
 *
 * charge.c
 *		What is charged beside the lines: which rates, how much, and how they
 *		stand together.
 *
 * README.md of this room, Charges, is the definition. Each kind of charge is a
 * stack of its own; in a group the rates that charge come first, then those
 * that change what was charged.
 *
 * Process: any backend. Locks: AccessShareLock on rates. Memory: the call's
 * context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/charge.h"

#include "base/compat.h"

/* A group that is being applied. */
typedef struct Group
{
	DsCharges *charges;
	DsChargeKind kind;
	DsRatio running; /* charged so far, C of the definition */
} Group;

/* changes does the question whether a rate changes what was charged instead of charging something. */
static bool
changes(const DsNamed *m)
{
	return m->first->rate->calc == DS_CALC_PERCENT_OFF ||
		   m->first->rate->calc == DS_CALC_AMOUNT_OFF;
}

/* in_asked does the conversion of an amount of a rate for the document. */
static DsRatio
in_asked(const DsNamed *m, DsDecimal amount)
{
	return ds_ratio_multiply(ds_ratio_decimal(amount), m->source->fx);
}

/* per_document does the same for its values, which are for price_per. */
static DsRatio
per_document(const DsNamed *m, DsDecimal value)
{
	return ds_ratio_divide(in_asked(m, value), ds_ratio_of(m->first->rate->price_per));
}

/* within does the keeping of a charge within the rate's ceiling and floor; the floor wins. */
static DsRatio
within(const DsNamed *m, DsRatio amount)
{
	const DsRateMore *more = m->first->rate->more;
	DsRatio limit;

	if (more != NULL && more->has_ceiling)
	{
		limit = in_asked(m, more->ceiling_price);
		if (ds_ratio_compare(amount, limit) > 0)
			amount = limit;
	}
	if (more != NULL && more->has_floor)
	{
		limit = in_asked(m, more->floor_price);
		if (ds_ratio_compare(amount, limit) < 0)
			amount = limit;
	}
	return amount;
}

/* amount_of does what a rate charges, exactly; running: what a percentage is of. */
static DsRatio
amount_of(const DsLevel *l, const DsNamed *m, DsRatio running)
{
	const DsRate *rate = m->first->rate;
	DsRatio value = ds_ratio_decimal(ds_rate_value(rate));
	DsRatio amount;
	bool has_weight;

	switch ((DsCalc) rate->calc)
	{
		case DS_CALC_PERCENT_OFF:
			return ds_ratio_divide(ds_ratio_multiply(running, value), ds_ratio_of(-100));
		case DS_CALC_AMOUNT_OFF:
			return ds_ratio_multiply(per_document(m, ds_rate_value(rate)), ds_ratio_of(-1));
		case DS_CALC_PER_WEIGHT:
			return within(m, ds_ratio_multiply(per_document(m, ds_rate_value(rate)),
											   ds_pricing_level_weight(l, m, &has_weight)));
		case DS_CALC_FORMULA:
			amount = ds_ratio_multiply(ds_pricing_level_sum(l, m, false), value);
			if (rate->more != NULL)
				amount = ds_ratio_add(amount, per_document(m, rate->more->value2));
			if (ds_ratio_sign(amount) < 0)
				amount = ds_ratio_of(0);
			return within(m, amount);
		default:
			return within(m, per_document(m, ds_rate_value(rate)));
	}
}

/* compare_charge does the order of two rates that tie: the lower charge, from nothing, comes first. */
static int
compare_charge(const DsLevel *l, const DsNamed *a, const DsNamed *b)
{
	return ds_ratio_compare(amount_of(l, a, ds_ratio_of(0)), amount_of(l, b, ds_ratio_of(0)));
}

/* collects does the question whether somebody else pays the carrier. */
static bool
collects(const DsCall *call)
{
	static const char *const terms[] = {"collect", "third_party"};
	JsonbValue buffer;
	JsonbValue *v;
	int i;

	if (call->request.context == NULL || !JB_ROOT_IS_OBJECT(call->request.context))
		return false;
	v = getKeyJsonValueFromContainer(&call->request.context->root, "freight_terms",
									 (int) strlen("freight_terms"), &buffer);
	for (i = 0; v != NULL && v->type == jbvString && i < (int) lengthof(terms); i++)
	{
		if (v->val.string.len == (int) strlen(terms[i]) &&
			memcmp(v->val.string.val, terms[i], v->val.string.len) == 0)
			return true;
	}
	return false;
}

/* apply does one rate: rounded, and never more off than was charged. */
static void
apply(Group *g, const DsNamed *m, DsRatio base)
{
	DsCharges *charges = g->charges;
	DsCall *call = charges->level.call;
	DsCharge *c = &charges->list[charges->n++];
	DsRatio least = ds_ratio_multiply(g->running, ds_ratio_of(-1));

	c->named = m;
	c->kind = g->kind;
	c->amount = ds_ratio_round(amount_of(&charges->level, m, base), call->request.minor_units,
							   DS_ROUND_HALF_UP);
	if (ds_ratio_compare(c->amount, least) < 0)
		c->amount = least;
	c->collect = g->kind == DS_CHARGE_FREIGHT && collects(call);
	g->running = ds_ratio_add(g->running, c->amount);
}

/* apply_all does a group whose rates apply together: first those that charge, then those that change it. */
static void
apply_all(Group *g, DsNamed **group, int n, DsCombine mode)
{
	DsRatio charged = ds_ratio_of(0);
	int pass;
	int i;

	for (pass = 0; pass < 2; pass++)
	{
		for (i = 0; i < n; i++)
		{
			if (group[i]->reason == DS_REASON_NONE && changes(group[i]) == (pass == 1))
				apply(g, group[i], mode == DS_COMBINE_ADDITIVE ? charged : g->running);
		}
		charged = g->running;
	}
}

/* one_group does the rates of one group; its mode is that of its first. */
static void
one_group(Group *g, DsNamed **group, int n)
{
	const DsLevel *l = &g->charges->level;
	DsCombine mode = group[0]->source->version->combine;
	DsNamed *only = mode == DS_COMBINE_OVERRIDE ? group[0] : NULL;
	int i;

	for (i = 0; i < n; i++)
	{
		if (group[i]->source->version->combine != mode)
			group[i]->reason = DS_REASON_OUTRANKED;
		else if (mode == DS_COMBINE_BEST && (only == NULL || compare_charge(l, group[i], only) < 0))
			only = group[i];
	}
	for (i = 0; only != NULL && i < n; i++)
	{
		if (group[i] != only)
			group[i]->reason = DS_REASON_OUTRANKED;
	}
	g->running = ds_ratio_of(0);
	apply_all(g, group, n, mode);
}

/* only_exclusive does the leaving of the first exclusive rate of a kind; the others are excluded, except those that always apply. */
static void
only_exclusive(DsNamed **list, int n)
{
	const DsNamed *alone = NULL;
	int i;

	for (i = 0; i < n && alone == NULL; i++)
	{
		if (list[i]->source->version->combine == DS_COMBINE_EXCLUSIVE)
			alone = list[i];
	}
	for (i = 0; alone != NULL && i < n; i++)
	{
		if (list[i] != alone && list[i]->source->version->combine != DS_COMBINE_ALWAYS)
			list[i]->reason = DS_REASON_EXCLUDED;
	}
}

/* one_kind does the stack of one kind of charge, over its rates in order. */
static void
one_kind(DsCharges *charges, DsChargeKind kind, DsNamed **list, int n)
{
	Group g = {.charges = charges, .kind = kind};
	DsNamed **group = palloc(sizeof(DsNamed *) * Max(n, 1));
	DsRatio total = ds_ratio_of(0);
	const char *last = NULL;
	int i;

	only_exclusive(list, n);
	for (;;)
	{
		const char *next = NULL;
		int m = 0;

		for (i = 0; i < n; i++)
		{
			if (list[i]->reason == DS_REASON_NONE)
				ds_pricing_next_group(list[i]->source->version, last, &next);
		}
		if (next == NULL)
			break;
		for (i = 0; i < n; i++)
		{
			if (list[i]->reason == DS_REASON_NONE &&
				list[i]->source->version->combine != DS_COMBINE_ALWAYS &&
				strcmp(list[i]->source->version->stack_group, next) == 0)
				group[m++] = list[i];
		}
		last = next;
		one_group(&g, group, m);
		total = ds_ratio_add(total, g.running);
	}
	g.running = total;
	for (i = 0; i < n; i++)
	{
		if (list[i]->source->version->combine == DS_COMBINE_ALWAYS)
			apply(&g, list[i], g.running);
	}
}

/* leave_out does the dropping of rates that charge nothing that could be computed. */
static void
leave_out(DsLevel *l)
{
	bool has_weight;
	int i;

	for (i = 0; i < l->nnamed; i++)
	{
		DsNamed *m = &l->named[i];

		if (m->reason != DS_REASON_NONE || m->first->rate->calc != DS_CALC_PER_WEIGHT)
			continue;
		ds_pricing_level_weight(l, m, &has_weight);
		if (!has_weight)
			m->reason = DS_REASON_NO_WEIGHT;
	}
}

/* ds_pricing_charge_slot does the charges of one slot over lines that were decided. */
void
ds_pricing_charge_slot(DsCall *call, DsResult *results, int n, const DsSlot *slot,
					   DsCharges *charges)
{
	DsLevel *l = &charges->level;
	DsNamed **chosen;
	DsNamed **list;
	int nchosen;
	int kind;
	int i;

	memset(charges, 0, sizeof(DsCharges));
	l->call = call;
	l->results = results;
	l->n = n;
	l->keep = l->after_off = true;
	if ((call->request.without & (1 << slot->name)) != 0)
		return;
	ds_pricing_level_gather(l, slot->name);
	leave_out(l);
	chosen = palloc(sizeof(DsNamed *) * Max(l->nnamed, 1));
	list = palloc(sizeof(DsNamed *) * Max(l->nnamed, 1));
	charges->list = palloc(sizeof(DsCharge) * Max(l->nnamed, 1));
	nchosen = ds_pricing_level_contest(l, compare_charge, chosen);
	for (kind = 0; kind < DS_CHARGE_COUNT; kind++)
	{
		int m = 0;

		for (i = 0; i < nchosen; i++)
		{
			if (chosen[i]->source->version->charge_kind == kind)
				list[m++] = chosen[i];
		}
		one_kind(charges, kind, list, m);
	}
}
