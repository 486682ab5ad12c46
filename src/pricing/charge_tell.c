/*-------------------------------------------------------------------------
 *
 * charge_tell.c
 *		The verbs charges() and explain_charges() as SQL calls them: reads over
 *		an order whose lines are decided first.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * function's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/charge.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/export.h"

DS_FUNCTION_INFO_V1(ds_sql_pricing_charges);
DS_FUNCTION_INFO_V1(ds_sql_pricing_explain_charges);

/* decimals that sums and weights show at most */
#define SHOWN_SCALE 10

/* how many other rates of its agreement a charge tells */
#define NEAR_MISSES 5

enum
{
	C_ORDINAL,
	C_AGREEMENT,
	C_KIND,
	C_AMOUNT,
	C_CURRENCY,
	C_TAX_CLASS,
	C_CODE,
	C_VALID_UNTIL,
	C_AS_OF,
	C_KNOWN_AT,
	C_DETAIL,
	C_COUNT
};

/* An order with its charges. */
typedef struct Order
{
	DsCall call;
	DsResult *results;
	int nslots;
	DsCharges slots[DS_SLOT_COUNT];
	TimestampTz valid_until;
} Order;

/* minor does an amount in the decimals of the asked currency. */
static Numeric
minor(const DsCall *call, DsRatio amount)
{
	return ds_ratio_to_numeric(amount, call->request.minor_units, DS_ROUND_HALF_UP);
}

/* shown does a fraction as a number for eyes. */
static Numeric
shown(DsRatio r)
{
	return ds_ratio_shown(r, 0, SHOWN_SCALE);
}

/* known_at_of does the stamp of what was known; DT_NOBEGIN = nothing was ever written. */
static TimestampTz
known_at_of(const DsCall *call)
{
	return call->request.has_known_at ? call->request.known_at : call->stamp;
}

/* by_weight does the question whether a charge falls on the lines by their weight. */
static bool
by_weight(const DsNamed *m)
{
	return m->first->rate->calc == DS_CALC_PER_WEIGHT ||
		   m->source->version->tier_measure == DS_MEASURE_WEIGHT;
}

/* tell_allocation does the array of what of a charge falls on each line it names. */
static void
tell_allocation(DsJson *json, const DsLevel *l, const DsNamed *m, DsRatio amount)
{
	DsRatio *weights = palloc(sizeof(DsRatio) * m->nplaces);
	DsRatio *parts = palloc(sizeof(DsRatio) * m->nplaces);
	bool some = false;
	int i;

	for (i = 0; i < m->nplaces; i++)
	{
		const DsResult *r = &l->results[m->places[i]];

		weights[i] = !by_weight(m)		   ? r->finish.net_amount
					 : r->line->has_weight ? r->line->weight
										   : ds_ratio_of(0);
		some |= ds_ratio_sign(weights[i]) > 0;
	}
	for (i = 0; !some && i < m->nplaces; i++)
		weights[i] = ds_ratio_of(1);
	ds_pricing_level_allocate(l->call->request.minor_units, amount, weights, m->nplaces, parts);
	ds_json_open_array(json, "allocation");
	for (i = 0; i < m->nplaces; i++)
	{
		ds_json_open_object(json, NULL);
		ds_json_number(json, "amount", minor(l->call, parts[i]));
		ds_json_integer(json, "ordinal", l->results[m->places[i]].line->ordinal);
		ds_json_close_object(json);
	}
	ds_json_close_array(json);
}

/* joined does "kind:key". */
static const char *
joined(const char *kind, const char *key)
{
	return psprintf("%s:%s", kind, key);
}

/* tell_rate does the members that say which rate it is. */
static void
tell_rate(DsJson *json, const DsLevel *l, const DsNamed *m)
{
	const DsCandidate *c = m->first;

	ds_json_text(json, "who", joined(ds_pricing_who_words[c->source->who], c->source->who_key));
	ds_json_text(json, "calc", ds_pricing_calc_words[c->rate->calc]);
	ds_json_text(json, "line", ds_rate_line(c->rate));
	ds_json_text(json, "what",
				 joined(ds_pricing_what_words[c->target->what],
						ds_pricing_target_key(l->call, m->line, c->target)));
	ds_json_number(json, "value", shown(ds_ratio_decimal(ds_rate_value(c->rate))));
	ds_json_integer(json, "version", c->source->version->version_no);
	ds_json_number(json, "min_quantity", shown(ds_ratio_decimal(ds_rate_tier(c->rate))));
}

/* tell_losers does the array of rates that did not count; only: of its agreement, those that name a line. */
static void
tell_losers(DsJson *json, const char *key, const DsLevel *l, const DsNamed *only, int most)
{
	int i;

	if (key != NULL)
		ds_json_open_array(json, key);
	for (i = 0; i < l->nnamed && most > 0; i++)
	{
		const DsNamed *m = &l->named[i];

		if (m->reason == DS_REASON_NONE ||
			(only != NULL && (m->nplaces == 0 || m->source->version->agreement_id !=
													 only->source->version->agreement_id)))
			continue;
		ds_json_open_object(json, NULL);
		tell_rate(json, l, m);
		ds_json_text(json, "reason", ds_pricing_reason_words[m->reason]);
		ds_json_text(json, "agreement", m->source->version->agreement);
		ds_json_close_object(json);
		most--;
	}
	if (key != NULL)
		ds_json_close_array(json);
}

/* tell_places does an array of lines: those without a price, or those of a rate that have no weight. */
static void
tell_places(DsJson *json, const char *key, const DsLevel *l, const DsNamed *m)
{
	bool open = false;
	int i;

	for (i = 0; i < (m != NULL ? m->nplaces : l->n); i++)
	{
		const DsResult *r = &l->results[m != NULL ? m->places[i] : i];

		if (m != NULL ? r->line->has_weight : r->finish.priced)
			continue;
		if (!open)
			ds_json_open_array(json, key);
		open = true;
		ds_json_integer(json, NULL, r->line->ordinal);
	}
	if (open)
		ds_json_close_array(json);
}

/* tell_charge does the detail of a charge; key is NULL if it is all there is. */
static void
tell_charge(DsJson *json, const char *key, const DsLevel *l, const DsCharge *charge)
{
	const DsNamed *m = charge->named;
	DsRatio charged = charge->collect ? ds_ratio_of(0) : charge->amount;
	bool has_weight;
	DsRatio weight = ds_pricing_level_weight(l, m, &has_weight);

	ds_json_open_object(json, key);
	tell_rate(json, l, m);
	ds_json_number(json, "sum", minor(l->call, ds_pricing_level_sum(l, m, false)));
	ds_json_number(json, "weight", has_weight ? shown(weight) : NULL);
	if (charge->collect)
		ds_json_number(json, "would_be", minor(l->call, charge->amount));
	tell_allocation(json, l, m, charged);
	tell_places(json, "no_price", l, NULL);
	if (by_weight(m))
		tell_places(json, "no_weight", l, m);
	tell_losers(json, "near_misses", l, m, NEAR_MISSES);
	ds_json_integer(json, "policy_version", l->call->shared->policy.version);
	ds_json_close_object(json);
}

/* decide does the decision for all lines, order discounts included, and then for the charges. */
static Order *
decide(FunctionCallInfo fcinfo, bool explain)
{
	Order *o = palloc0(sizeof(Order));
	DsCall *call = &o->call;
	const DsPolicy *p;
	int n;
	int i;

	call->explain = explain;
	call->context = CurrentMemoryContext;
	ds_pricing_request(call, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)),
					   PG_ARGISNULL(2) ? GetCurrentStatementStartTimestamp()
									   : PG_GETARG_TIMESTAMPTZ(2),
					   PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3));
	ds_pricing_lines(call, PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1));
	ds_pricing_buyer(call);
	n = call->request.nlines;
	o->results = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(DsResult) * n);
	for (i = 0; i < n; i++)
	{
		DsResult *r = &o->results[i];

		CHECK_FOR_INTERRUPTS();
		r->line = &call->request.lines[i];
		r->decision = ds_pricing_decision(call);
		ds_pricing_decide(call, r->line, r->decision);
		ds_pricing_finish(call, r->line, r->decision, &r->finish);
	}
	if (ds_pricing_has_order_level(call))
		ds_pricing_order_level(call, o->results, n);
	p = &call->shared->policy;
	for (i = 0; i < p->nslots; i++)
	{
		if (p->slots[i].combine == DS_SLOT_CHARGES)
			ds_pricing_charge_slot(call, o->results, n, &p->slots[i], &o->slots[o->nslots++]);
	}
	o->valid_until = DT_NOEND;
	for (i = 0; i < n; i++)
		o->valid_until = Min(o->valid_until, o->results[i].decision->valid_until);
	return o;
}

/* ds_sql_pricing_charges does charges(customer, lines, at, options). */
Datum
ds_sql_pricing_charges(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	Order *o;
	DsCall *call;
	int ordinal = 0;
	int i;
	int j;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC | MAT_SRF_BLESS);
	o = decide(fcinfo, false);
	call = &o->call;
	for (i = 0; i < o->nslots; i++)
	{
		const DsCharges *charges = &o->slots[i];

		for (j = 0; j < charges->n; j++)
		{
			const DsCharge *c = &charges->list[j];
			const DsVersion *v = c->named->source->version;
			DsJson json = {0};
			Datum values[C_COUNT];
			bool nulls[C_COUNT] = {false};

			values[C_ORDINAL] = Int32GetDatum(++ordinal);
			values[C_AGREEMENT] = CStringGetTextDatum(v->agreement);
			values[C_KIND] = CStringGetTextDatum(ds_pricing_charge_words[c->kind]);
			values[C_AMOUNT] =
				NumericGetDatum(minor(call, c->collect ? ds_ratio_of(0) : c->amount));
			values[C_CURRENCY] = CStringGetTextDatum(call->request.currency);
			nulls[C_TAX_CLASS] = v->tax_class == NULL;
			if (v->tax_class != NULL)
				values[C_TAX_CLASS] = CStringGetTextDatum(v->tax_class);
			values[C_CODE] = CStringGetTextDatum(c->collect ? "collect" : "ok");
			values[C_VALID_UNTIL] = TimestampTzGetDatum(o->valid_until);
			nulls[C_VALID_UNTIL] = o->valid_until == DT_NOEND;
			values[C_AS_OF] = TimestampTzGetDatum(call->request.at);
			values[C_KNOWN_AT] = TimestampTzGetDatum(known_at_of(call));
			nulls[C_KNOWN_AT] = TIMESTAMP_IS_NOBEGIN(known_at_of(call));
			tell_charge(&json, NULL, &charges->level, c);
			values[C_DETAIL] = ds_json_finish(&json);
			tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
		}
	}
	ds_pricing_end(call);
	return (Datum) 0;
}

/* tell_charges does the array of all charges, and what they sum to. */
static void
tell_charges(DsJson *json, const Order *o)
{
	const DsCall *call = &o->call;
	DsRatio total = ds_ratio_of(0);
	int i;
	int j;

	ds_json_open_array(json, "charges");
	for (i = 0; i < o->nslots; i++)
	{
		for (j = 0; j < o->slots[i].n; j++)
		{
			const DsCharge *c = &o->slots[i].list[j];
			const DsVersion *v = c->named->source->version;
			DsRatio amount = c->collect ? ds_ratio_of(0) : c->amount;

			ds_json_open_object(json, NULL);
			ds_json_text(json, "code", c->collect ? "collect" : "ok");
			ds_json_text(json, "kind", ds_pricing_charge_words[c->kind]);
			ds_json_number(json, "amount", minor(call, amount));
			tell_charge(json, "detail", &o->slots[i].level, c);
			ds_json_text(json, "agreement", v->agreement);
			ds_json_text(json, "tax_class", v->tax_class);
			ds_json_close_object(json);
			total = ds_ratio_add(total, amount);
		}
	}
	ds_json_close_array(json);
	ds_json_number(json, "total", minor(call, total));
}

/* tell_lines does the array of the lines as they stand before charges. */
static void
tell_lines(DsJson *json, const Order *o)
{
	const DsCall *call = &o->call;
	int i;

	ds_json_open_array(json, "lines");
	for (i = 0; i < call->request.nlines; i++)
	{
		const DsResult *r = &o->results[i];

		ds_json_open_object(json, NULL);
		ds_json_text(json, "code", r->finish.code);
		ds_json_text(json, "item", r->line->item->sku);
		ds_json_number(json, "weight", r->line->has_weight ? shown(r->line->weight) : NULL);
		ds_json_integer(json, "ordinal", r->line->ordinal);
		ds_json_number(json, "net_amount",
					   r->finish.priced ? minor(call, r->finish.net_amount) : NULL);
		ds_json_close_object(json);
	}
	ds_json_close_array(json);
}

/* ds_sql_pricing_explain_charges does explain_charges(customer, lines, at, options): the same decision and all of it. */
Datum
ds_sql_pricing_explain_charges(PG_FUNCTION_ARGS)
{
	Order *o = decide(fcinfo, true);
	DsJson json = {0};
	int i;

	ds_json_open_object(&json, NULL);
	ds_json_instant(&json, "as_of", o->call.request.at);
	tell_lines(&json, o);
	ds_json_open_array(&json, "losers");
	for (i = 0; i < o->nslots; i++)
		tell_losers(&json, NULL, &o->slots[i].level, NULL, PG_INT32_MAX);
	ds_json_close_array(&json);
	tell_charges(&json, o);
	ds_json_text(&json, "currency", o->call.request.currency);
	ds_json_instant(&json, "known_at", known_at_of(&o->call));
	ds_json_instant(&json, "valid_until", o->valid_until);
	ds_json_integer(&json, "policy_version", o->call.shared->policy.version);
	ds_json_close_object(&json);
	ds_pricing_end(&o->call);
	return ds_json_finish(&json);
}
