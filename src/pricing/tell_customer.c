/*-------------------------------------------------------------------------
 *
 * tell_customer.c
 *		Why this price, as a customer may hear it: what he pays and how it came
 *		from the list, without cost, floors, what did not count, and the terms
 *		and volumes of others.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * line's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/finish.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "base/compat.h"
#include "base/errors.h"

/* decimals that a price of a step shows at most, as in tell.c */
#define SHOWN_SCALE 10

/* has_role does the question whether the caller has the rights of a role. */
static bool
has_role(const char *role)
{
	Oid id = get_role_oid(role, true);

	return OidIsValid(id) && has_privs_of_role(GetUserId(), id);
}

/*
 * ds_pricing_refuse_depth does the refusing of the whole story to those who
 * may only take orders: what they are told may reach a customer.
 */
void
ds_pricing_refuse_depth(const DsCall *call)
{
	if (call->request.for_customer ||
		(!call->for_buyer && (!has_role("distsync_order_entry") || has_role("distsync_reader") ||
							  has_role("distsync_operator") || has_role("distsync_admin"))))
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("cost and floors are not for order entry and portals"),
					errdetail("Field: options.depth."),
					errhint("Ask with options {\"depth\": \"customer\"}.")));
}

/* clamped does the question whether a floor or ceiling made the price: then what came before it would tell the limit. */
static bool
clamped(const DsFinish *f)
{
	return f->guard != NULL &&
		   (strcmp(f->guard, "at_floor") == 0 || strcmp(f->guard, "at_ceiling") == 0);
}

/* ds_pricing_code_for_customer does the code that a customer may hear: limits are not named, and of what is missing only what he can change. */
const char *
ds_pricing_code_for_customer(const DsFinish *f)
{
	static const char *const told[] = {"below_tier", "currency", "unit", "no_weight",
									   "commitment_used_up"};
	int i;

	if (f->priced)
		return f->guard == NULL ? f->code : f->off_multiple ? "sell_multiple" : "ok";
	for (i = 0; i < lengthof(told); i++)
	{
		if (strcmp(f->code, told[i]) == 0)
			return f->code;
	}
	return "no_rate";
}

/* calculable does the question whether the number of a rate may be told: with the price it would give away a cost, or a price of somebody else's list. */
static bool
calculable(const DsRate *rate)
{
	return rate->calc != DS_CALC_MARKUP && rate->calc != DS_CALC_MARGIN &&
		   rate->calc != DS_CALC_FORMULA && rate->calc != DS_CALC_REFERENCE &&
		   (rate->more == NULL || rate->more->base_agreement_id == 0);
}

/* tell_step does the object of one step; what it replaced is told only where it is put on top of it. Members come in the order of jsonb. */
static void
tell_step(DsJson *json, const DsStep *step, bool on_top)
{
	const DsCandidate *c = step->candidate;
	bool numbers = calculable(c->rate);

	ds_json_open_object(json, NULL);
	if (numbers)
	{
		ds_json_integer(json, "per", c->rate->price_per);
		ds_json_text(json, "calc", ds_pricing_calc_words[c->rate->calc]);
	}
	ds_json_text(json, "slot", ds_pricing_slot_words[step->slot]);
	ds_json_text(json, "unit", c->unit);
	ds_json_number(json, "after", ds_ratio_shown(step->after, 0, SHOWN_SCALE));
	if (numbers)
		ds_json_number(json, "value",
					   ds_ratio_shown(ds_ratio_decimal(ds_rate_value(c->rate)), 0, SHOWN_SCALE));
	if (on_top)
		ds_json_number(json, "before", ds_ratio_shown(step->before, 0, SHOWN_SCALE));
	ds_json_text(json, "agreement", c->source->version->agreement);
	ds_json_number(json, "min_quantity",
				   ds_ratio_shown(ds_ratio_decimal(ds_rate_tier(c->rate)), 0, SHOWN_SCALE));
	ds_json_close_object(json);
}

/* tells does the question whether a step is told: the list, and what the price is made of; what was replaced on the way is no concern of his. */
static bool
tells(const DsDecision *d, int i)
{
	int j;

	if (d->steps[i].slot == DS_SLOT_LIST)
		return true;
	for (j = i + 1; j < d->nsteps; j++)
	{
		if (d->steps[j].candidate == d->winner)
			return false;
	}
	return true;
}

/* tell_detail does the detail of a priced line. */
static void
tell_detail(DsCall *call, DsJson *json, const DsDecision *d, const DsFinish *f)
{
	bool on_top = false;
	int i;

	ds_json_open_object(json, "detail");
	if (!clamped(f) && !d->locked)
	{
		ds_json_open_array(json, "steps");
		for (i = 0; i < d->nsteps; i++)
		{
			if (tells(d, i))
				tell_step(json, &d->steps[i], on_top);
			on_top |= d->steps[i].candidate == d->winner;
		}
		ds_json_close_array(json);
	}
	ds_json_boolean(json, "locked", d->locked);
	ds_pricing_tell_free(call, json, d);
	if (ds_ratio_compare(f->extension, f->net_amount) != 0)
		ds_json_number(json, "extension", ds_ratio_shown(f->extension, 0, SHOWN_SCALE));
	ds_json_number(json, "list_price",
				   d->has_list ? ds_ratio_shown(d->list_price, 0, SHOWN_SCALE) : NULL);
	if (f->off_multiple)
		ds_json_number(json, "next_quantity", ds_ratio_shown(f->next_quantity, 0, SHOWN_SCALE));
	ds_json_close_object(json);
}

/* ds_pricing_tell_customer does the answer of explain_price() as a customer may hear it. */
void
ds_pricing_tell_customer(DsCall *call, DsJson *json, const DsResult *r)
{
	const DsRequest *q = &call->request;
	const DsFinish *f = &r->finish;

	ds_json_open_object(json, NULL);
	ds_json_text(json, "code", ds_pricing_code_for_customer(f));
	ds_json_text(json, "item", r->line->item->sku);
	ds_json_text(json, "unit", r->line->unit);
	ds_json_instant(json, "as_of", q->at);
	if (f->priced)
		tell_detail(call, json, r->decision, f);
	ds_json_text(json, "outcome", f->priced ? "priced" : "no_price");
	ds_json_text(json, "currency", q->currency);
	ds_json_instant(json, "known_at", q->has_known_at ? q->known_at : call->stamp);
	ds_json_number(json, "quantity", DatumGetNumeric(r->line->quantity));
	ds_json_text(json, "agreement", ds_pricing_winner(r->decision));
	ds_json_integer(json, "price_per", f->price_per);
	ds_json_number(json, "net_amount", ds_pricing_net_amount(call, f));
	ds_json_number(json, "unit_price", f->unit_price);
	ds_json_instant(json, "valid_until", r->decision->valid_until);
	ds_json_close_object(json);
}
