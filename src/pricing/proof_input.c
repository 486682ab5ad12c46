/*-------------------------------------------------------------------------
 *
 * proof_input.c
 *		What decided a price and is not kept with both time axes.
 *
 * Rates, assignments, groups, hierarchies, costs and exchange rates can be
 * read as they were. Units of items, weights, families, tax classes, the price
 * class of a party, locks and decimals of a currency cannot: a proof says what
 * they were, where they were looked at, so that a difference is put down to
 * them and not to prices. What was not looked at is not said, so that its
 * change leaves the proof as it is. Used volumes can be told instead of read:
 * they are part of the request.
 *
 * Process: any backend. Locks: none. Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/proof.h"

#include "base/compat.h"
#include "base/text.h"

/* What is asked of the candidates of a line. */
typedef struct Seen
{
	DsInputs *inputs; /* NULL = of the line alone */
	const DsItem *item;
	bool tax;
	bool weight;
	int nunits;
	int room;
	const char **units; /* in the order of jsonb's names */
} Seen;

/* compare_names does the order of jsonb's names: shorter ones first, then by bytes. */
static int
compare_names(const char *a, const char *b)
{
	Size n = strlen(a);
	Size m = strlen(b);

	return n != m ? (n < m ? -1 : 1) : memcmp(a, b, n);
}

/* add_used does the entering of what was used of a volume; the first that is said of an agreement counts. */
static void
add_used(DsInputs *in, const char *agreement, DsRatio quantity, DsRatio amount)
{
	int i;
	int j;

	for (i = 0; i < in->nused; i++)
	{
		int order = compare_names(in->used[i].agreement, agreement);

		if (order == 0)
			return;
		if (order > 0)
			break;
	}
	if (in->nused == in->room)
	{
		in->room = Max(8, in->room * 2);
		in->used = in->used == NULL ? palloc(sizeof(DsUsed) * in->room)
									: repalloc(in->used, sizeof(DsUsed) * in->room);
	}
	for (j = in->nused++; j > i; j--)
		in->used[j] = in->used[j - 1];
	in->used[i] = (DsUsed){agreement, quantity, amount};
}

/* add_unit does the entering of a unit. */
static void
add_unit(Seen *seen, const char *unit)
{
	int i;
	int j;

	for (i = 0; i < seen->nunits; i++)
	{
		int order = compare_names(seen->units[i], unit);

		if (order == 0)
			return;
		if (order > 0)
			break;
	}
	if (seen->nunits == seen->room)
	{
		seen->room = Max(8, seen->room * 2);
		seen->units = seen->units == NULL ? palloc(sizeof(char *) * seen->room)
										  : repalloc(seen->units, sizeof(char *) * seen->room);
	}
	for (j = seen->nunits++; j > i; j--)
		seen->units[j] = seen->units[j - 1];
	seen->units[i] = unit;
}

/*
 * see does the asking of the candidates of a decision, and of those that were
 * decided beside it for a base price or a discount of the order. Versions that
 * do not count at all are not asked: who explains looks at more of them.
 */
static void
see(Seen *seen, const DsDecision *d)
{
	const DsDecision *beside;
	int i;

	for (i = 0; i < d->ncandidates; i++)
	{
		const DsCandidate *c = &d->candidates[i];
		const DsVersion *v = c->source->version;
		bool tier = !ds_rate_any(c->rate);

		if (c->source->reason != DS_REASON_NONE)
			continue;
		if (c->unit != seen->item->base_unit && strcmp(c->unit, seen->item->base_unit) != 0)
			add_unit(seen, c->unit);
		seen->tax |= v->tax_included;
		seen->weight |=
			c->rate->calc == DS_CALC_PER_WEIGHT || (tier && v->tier_measure == DS_MEASURE_WEIGHT);
		if (seen->inputs == NULL)
			continue;
		if (c->source->commitment_known)
			add_used(seen->inputs, v->agreement, c->source->used_quantity, c->source->used_amount);
		seen->inputs->weights |=
			tier && v->tier_measure == DS_MEASURE_WEIGHT &&
			(v->tier_basis == DS_BASIS_ITEM_ORDER || v->tier_basis == DS_BASIS_FAMILY_ORDER);
		seen->inputs->families |= tier && v->tier_basis == DS_BASIS_FAMILY_ORDER;
	}
	for (beside = d->beside; beside != NULL; beside = beside->next)
		see(seen, beside);
}

/* see_line does the asking of everything that was decided for a line. */
static void
see_line(Seen *seen, DsInputs *inputs, const DsResult *r)
{
	memset(seen, 0, sizeof(Seen));
	seen->inputs = inputs;
	seen->item = r->line->item;
	see(seen, r->decision);
	if (r->line->list_decision != NULL)
		see(seen, r->line->list_decision);
}

/*
 * ds_pricing_inputs does the finding of what the lines of a call looked at
 * together. What the first line that looked at a volume found is what was used
 * before the call; later ones may find what earlier ones take. What no line
 * noted was looked at for a discount of the order, and no line takes of it.
 */
void
ds_pricing_inputs(DsCall *call, DsResult *results, int n, DsInputs *inputs)
{
	int i;
	int j;

	memset(inputs, 0, sizeof(DsInputs));
	for (i = 0; i < n; i++)
	{
		const DsDecision *d = results[i].decision;

		for (j = 0; j < d->nvolumes; j++)
			add_used(inputs, d->volumes[j].version->agreement, d->volumes[j].used_quantity,
					 d->volumes[j].used_amount);
	}
	for (i = 0; i < n; i++)
	{
		Seen seen;

		see_line(&seen, inputs, &results[i]);
	}
	/* of one line there is no other family */
	inputs->families &= n > 1;
}

/* ds_pricing_prove_used does the used volumes, as the option of that name tells them. */
void
ds_pricing_prove_used(StringInfo text, const DsInputs *in)
{
	int i;

	if (in->nused == 0)
		return;
	ds_text_open(text, "used", '{');
	for (i = 0; i < in->nused; i++)
	{
		ds_text_member(text, in->used[i].agreement);
		ds_text_open(text, NULL, '{');
		ds_text_ratio(text, "amount", in->used[i].amount, DS_PROOF_SCALE);
		ds_text_ratio(text, "quantity", in->used[i].quantity, DS_PROOF_SCALE);
		ds_text_close(text, '}');
	}
	ds_text_close(text, '}');
}

/* ds_pricing_prove_inputs does the inputs of the call. */
void
ds_pricing_prove_inputs(DsCall *call, StringInfo text)
{
	ds_text_open(text, "inputs", '{');
	ds_text_integer(text, "minor_units", call->request.minor_units);
	if (call->shared->policy.who[DS_WHO_PRICE_CLASS] != 0)
		ds_text_string(text, "price_class", call->buyer.customer->price_class);
	ds_text_close(text, '}');
}

/* prove_units does the units of a line as base units: a whole number, or a fraction; null = the item has no such unit. */
static void
prove_units(StringInfo text, const Seen *seen)
{
	int i;

	if (seen->nunits == 0)
		return;
	ds_text_open(text, "units", '{');
	for (i = 0; i < seen->nunits; i++)
	{
		int64 num;
		int64 den;
		char factor[48];

		if (!ds_pricing_unit(seen->item, seen->units[i], &num, &den))
			factor[0] = '\0';
		else if (den == 1)
			snprintf(factor, sizeof(factor), INT64_FORMAT, num);
		else
			snprintf(factor, sizeof(factor), INT64_FORMAT "/" INT64_FORMAT, num, den);
		ds_text_member(text, seen->units[i]);
		ds_text_string(text, NULL, factor[0] == '\0' ? NULL : factor);
	}
	ds_text_close(text, '}');
}

/* prove_lock does what a lock of the document says for the line, and when the next one starts or ends. */
static void
prove_lock(DsCall *call, StringInfo text, const DsDecision *d)
{
	DsRatio price = ds_ratio_of(0);

	if (call->request.document_key == NULL)
		return;
	if (d->locked)
		price = ds_ratio_multiply(d->price, ds_ratio_of(d->locked_per));
	ds_text_open(text, "lock", '{');
	if (d->locked)
		ds_text_ratio(text, "price", price, DS_PROOF_SCALE);
	ds_text_instant(text, "until", d->lock_until);
	if (d->locked)
		ds_text_integer(text, "price_per", d->locked_per);
	ds_text_close(text, '}');
}

/* ds_pricing_prove_line_inputs does the inputs of a line. */
void
ds_pricing_prove_line_inputs(DsCall *call, StringInfo text, const DsInputs *in, const DsResult *r)
{
	const DsLine *line = r->line;
	const DsItem *item = line->item;
	Seen seen;

	see_line(&seen, NULL, r);
	if (strcmp(line->unit, item->base_unit) != 0)
		add_unit(&seen, line->unit);
	ds_text_open(text, "inputs", '{');
	prove_lock(call, text, r->decision);
	prove_units(text, &seen);
	if (in->families)
		ds_text_string(text, "family", item->family);
	if ((in->weights || seen.weight) && !line->own_weight)
	{
		if (!item->has_weight)
			ds_text_string(text, "weight", NULL);
		else
			ds_text_ratio(text, "weight",
						  ds_ratio_decimal(ds_small_get(item->weight, item->weight_scale)),
						  DS_PROOF_SCALE);
	}
	if (r->finish.priced && line->item_unit != NULL && line->item_unit->multiple != NULL)
		ds_text_ratio(text, "multiple", ds_ratio_decimal(*line->item_unit->multiple),
					  DS_PROOF_SCALE);
	if (seen.tax)
		ds_text_string(text, "tax_class", item->tax_class);
	ds_text_close(text, '}');
}
