/*-------------------------------------------------------------------------
 *
 * proof_line.c
 *		A line in a proof: its numbers, and the steps that made them.
 *
 * Members stand in the order of jsonb, shorter names first.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * current context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/proof.h"

#include "base/compat.h"
#include "base/text.h"

/* prove_word does a member "kind:key". */
static void
prove_word(StringInfo text, const char *name, const char *kind, const char *key)
{
	Size n = strlen(kind);
	Size m = strlen(key);
	char *joined = palloc(n + m + 2);

	memcpy(joined, kind, n);
	joined[n] = ':';
	memcpy(joined + n + 1, key, m + 1);
	ds_text_string(text, name, joined);
	pfree(joined);
}

/* prove_step does one step: the rate by all that names it, the hash of the rates it stands among, the price before and after it. */
static void
prove_step(DsCall *call, StringInfo text, const DsLine *line, const DsStep *step)
{
	const DsCandidate *c = step->candidate;
	const DsVersion *v = c->source->version;

	ds_text_open(text, NULL, '{');
	if (strcmp(v->currency, call->request.currency) != 0)
		ds_text_ratio(text, "fx", c->source->fx, DS_PROOF_SCALE);
	prove_word(text, "who", ds_pricing_who_words[c->source->who], c->source->who_key);
	ds_text_string(text, "line", ds_rate_line(c->rate));
	ds_text_string(text, "slot", ds_pricing_slot_words[step->slot]);
	prove_word(text, "what", ds_pricing_what_words[c->target->what],
			   ds_pricing_target_key(call, line, c->target));
	ds_text_ratio(text, "after", step->after, DS_PROOF_SCALE);
	if (step->has_before)
		ds_text_ratio(text, "before", step->before, DS_PROOF_SCALE);
	if (step->merged)
		ds_text_boolean(text, "merged", true);
	ds_text_hex(text, "sha256", ds_pricing_content(call, v->version_id), DS_CONTENT_LENGTH);
	ds_text_integer(text, "version", v->version_no);
	ds_text_string(text, "agreement", v->agreement);
	ds_text_close(text, '}');
}

/* prove_guard does the limits that the price was held against. */
static void
prove_guard(StringInfo text, const DsDecision *d, const DsFinish *f)
{
	if (d->locked || (!d->has_floor && !d->has_ceiling))
		return;
	ds_text_open(text, "guard", '{');
	if (f->guard != NULL)
		ds_text_string(text, "code", f->guard);
	if (d->has_floor)
		ds_text_ratio(text, "floor", d->floor, DS_PROOF_SCALE);
	if (d->has_ceiling)
		ds_text_ratio(text, "ceiling", d->ceiling, DS_PROOF_SCALE);
	ds_text_close(text, '}');
}

/* prove_rounding does the rule by which a price that is not locked was rounded; without a name it is the policy's. */
static void
prove_rounding(DsCall *call, StringInfo text, const DsDecision *d)
{
	static const char *const modes[] = {"half_up", "half_even", "up", "down"};
	const DsRule *rule;

	if (d->locked)
		return;
	rule = ds_pricing_rule(call, d);
	ds_text_open(text, "rounding", '{');
	ds_text_string(text, "mode", modes[rule->mode]);
	if (d->winner != NULL && d->winner->source->version->rounding != NULL)
		ds_text_string(text, "name", d->winner->source->version->rounding);
	ds_text_integer(text, "scale", rule->scale);
	if (rule->has_ending)
		ds_text_ratio(text, "ending", ds_ratio_decimal(rule->ending), DS_PROOF_SCALE);
	if (rule->has_multiple)
		ds_text_ratio(text, "multiple", ds_ratio_decimal(rule->multiple), DS_PROOF_SCALE);
	if (rule->each_step)
		ds_text_boolean(text, "each_step", true);
	ds_text_close(text, '}');
}

/* prove_free does the free goods. */
static void
prove_free(DsCall *call, StringInfo text, const DsDecision *d)
{
	int i;

	if (d->nfree == 0)
		return;
	ds_text_open(text, "free_goods", '[');
	for (i = 0; i < d->nfree; i++)
	{
		const DsItem *item = ds_pricing_item(call, d->free_goods[i].item_id);

		ds_text_open(text, NULL, '{');
		ds_text_string(text, "item", item != NULL ? item->sku : NULL);
		ds_text_ratio(text, "quantity", d->free_goods[i].quantity, DS_PROOF_SCALE);
		ds_text_close(text, '}');
	}
	ds_text_close(text, ']');
}

/* prove_numbers does the numbers of a priced line, and what else its answer says. */
static void
prove_numbers(DsCall *call, StringInfo text, const DsDecision *d, const DsFinish *f)
{
	prove_rounding(call, text, d);
	ds_text_string(text, "agreement", ds_pricing_winner(d));
	ds_text_ratio(text, "extension", f->extension, DS_PROOF_SCALE);
	ds_text_integer(text, "price_per", f->price_per);
	prove_free(call, text, d);
	if (d->has_list)
		ds_text_ratio(text, "list_price", d->list_price, DS_PROOF_SCALE);
	ds_text_number(text, "net_amount", ds_pricing_net_amount(call, f));
	ds_text_number(text, "unit_price", f->unit_price);
}

/* ds_pricing_prove_line does the object of a line. */
void
ds_pricing_prove_line(DsCall *call, StringInfo text, const DsInputs *inputs, const DsResult *r)
{
	const DsDecision *d = r->decision;
	const DsFinish *f = &r->finish;
	int i;

	ds_text_open(text, NULL, '{');
	ds_text_string(text, "code", f->code);
	if (f->priced && d->cost_known && d->has_cost)
		ds_text_ratio(text, "cost", d->cost, DS_PROOF_SCALE);
	if (f->priced)
		prove_guard(text, d, f);
	ds_text_open(text, "steps", '[');
	for (i = 0; i < d->nsteps; i++)
		prove_step(call, text, r->line, &d->steps[i]);
	ds_text_close(text, ']');
	ds_pricing_prove_line_inputs(call, text, inputs, r);
	ds_text_string(text, "outcome", f->priced ? "priced" : "no_price");
	if (f->priced)
		prove_numbers(call, text, d, f);
	ds_text_instant(text, "valid_until", d->valid_until);
	if (f->priced && f->off_multiple)
		ds_text_ratio(text, "next_quantity", f->next_quantity, DS_PROOF_SCALE);
	ds_text_close(text, '}');
}
