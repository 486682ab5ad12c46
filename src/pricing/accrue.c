/*-------------------------------------------------------------------------
 *
 * accrue.c
 *		What may accrue below an invoice line: of each rebate and claim that
 *		names it, the ladder that counts, with all its tiers.
 *
 * Which tier is reached depends on what was accrued before, which SQL keeps
 * (accrual.sql): here is decided who, what and when, as for prices. README.md
 * of this room, Rebates and claims, is the definition.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * function's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/export.h"

DS_FUNCTION_INFO_V1(ds_sql_pricing_accrual_rates);

/* decimals of quantities in base units, and of what a base unit costs */
#define QUANTITY_SCALE 6
#define COST_SCALE 8

enum
{
	R_ORDINAL,
	R_SLOT,
	R_PLACE,
	R_AGREEMENT_ID,
	R_AGREEMENT,
	R_VERSION,
	R_COMBINE,
	R_STACK_GROUP,
	R_CURRENCY,
	R_MEASURE,
	R_BASIS,
	R_INCREMENTAL,
	R_LADDER,
	R_LINE_KEY,
	R_CALC,
	R_VALUE,
	R_PER_NUM,
	R_PER_DEN,
	R_TIER,
	R_AMOUNT,
	R_COST,
	R_COUNT
};

/* A line with the ladders that count for it, each by one of its rates. */
typedef struct Found
{
	DsCall *call;
	DsLine *line;
	DsDecision *decision;
	DsRatio amount; /* net amount in the asked currency, of a credit below 0 */
} Found;

/* before does the order of rates: by the policy, then by agreement, line and version. */
static bool
before(DsCall *call, const DsCandidate *a, const DsCandidate *b)
{
	int result = ds_pricing_compare_keys(call, NULL, a, b);

	if (result == 0)
		result = strcmp(a->source->version->agreement, b->source->version->agreement);
	if (result == 0)
		result = strcmp(ds_rate_line(a->rate), ds_rate_line(b->rate));
	return result != 0 ? result < 0
					   : a->source->version->version_no > b->source->version->version_no;
}

/* leave_out_keys does the dropping of keys that do not count: tiers are reached later, and what accrues is for no unit. */
static void
leave_out_keys(DsCall *call)
{
	DsShared *shared = palloc(sizeof(DsShared));
	DsPolicy *p = &shared->policy;
	int n = 0;
	int i;

	*shared = *call->shared;
	for (i = 0; i < p->norder; i++)
	{
		if (p->order[i] != DS_KEY_MIN_QUANTITY && p->order[i] != DS_KEY_UNIT)
			p->order[n++] = p->order[i];
	}
	p->norder = n;
	call->shared = shared;
}

/* minor_units_of does the look-up of a currency's decimals. */
static int
minor_units_of(const DsCall *call, const char *currency)
{
	int i;

	for (i = 0; i < call->shared->ncurrencies; i++)
	{
		if (strcmp(call->shared->currencies[i].currency, currency) == 0)
			return call->shared->currencies[i].minor_units;
	}
	return call->request.minor_units;
}

/* ladder_of does the naming of a ladder across versions: who, what, where, in which unit. */
static char *
ladder_of(const DsLine *line, const DsCandidate *c)
{
	const DsRateMore *m = c->rate->more;
	bool base = c->rate->unit == NULL || (c->target->what == DS_WHAT_ITEM &&
										  strcmp(c->rate->unit, line->item->base_unit) == 0);

	return psprintf(INT64_FORMAT "/" INT64_FORMAT "/" INT64_FORMAT "/" INT64_FORMAT "/%s",
					c->source->part->customer_id, (int64) c->target->target_id,
					m == NULL ? (int64) 0 : m->channel_id, m == NULL ? (int64) 0 : m->site_id,
					base ? "" : c->rate->unit);
}

/* cost_of does what a base unit costs us in the agreement's currency; NULL = nobody knows, or it is not asked. */
static Numeric
cost_of(const Found *f, const DsCandidate *c)
{
	DsRatio cost;

	if (c->source->version->slot != DS_SLOT_CLAIM || c->rate->calc == DS_CALC_AMOUNT_OFF ||
		!ds_pricing_line_cost(f->call, f->line, f->decision, &cost))
		return NULL;
	return ds_ratio_to_numeric(ds_ratio_divide(cost, c->source->fx), COST_SCALE, DS_ROUND_HALF_UP);
}

/* put does one tier of a ladder as a row. */
static void
put(const Found *f, ReturnSetInfo *set, const DsCandidate *c, int place)
{
	const DsVersion *v = c->source->version;
	Numeric cost = cost_of(f, c);
	Datum values[R_COUNT];
	bool nulls[R_COUNT] = {false};
	int scale = v->tier_measure == DS_MEASURE_QUANTITY ? QUANTITY_SCALE : QUANTITY_SCALE + 4;

	values[R_ORDINAL] = Int32GetDatum(f->line->ordinal);
	values[R_SLOT] = CStringGetTextDatum(ds_pricing_slot_words[v->slot]);
	values[R_PLACE] = Int32GetDatum(place);
	values[R_AGREEMENT_ID] = Int64GetDatum(v->agreement_id);
	values[R_AGREEMENT] = CStringGetTextDatum(v->agreement);
	values[R_VERSION] = Int32GetDatum(v->version_no);
	values[R_COMBINE] = CStringGetTextDatum(ds_pricing_combine_words[v->combine]);
	values[R_STACK_GROUP] = CStringGetTextDatum(v->stack_group);
	values[R_CURRENCY] = CStringGetTextDatum(v->currency);
	values[R_MEASURE] = CStringGetTextDatum(ds_pricing_measure_words[v->tier_measure]);
	values[R_BASIS] = CStringGetTextDatum(ds_pricing_basis_words[v->tier_basis]);
	values[R_INCREMENTAL] = BoolGetDatum(v->incremental);
	values[R_LADDER] = CStringGetTextDatum(ladder_of(f->line, c));
	values[R_LINE_KEY] = CStringGetTextDatum(ds_rate_line(c->rate));
	values[R_CALC] = CStringGetTextDatum(ds_pricing_calc_words[c->rate->calc]);
	values[R_VALUE] =
		NumericGetDatum(ds_ratio_shown(ds_ratio_decimal(ds_rate_value(c->rate)), 0, 20));
	values[R_PER_NUM] = NumericGetDatum(int64_to_numeric(c->unit_num * c->rate->price_per));
	values[R_PER_DEN] = NumericGetDatum(int64_to_numeric(c->unit_den));
	nulls[R_TIER] = ds_rate_any(c->rate);
	if (!nulls[R_TIER])
		values[R_TIER] =
			NumericGetDatum(ds_ratio_to_numeric(ds_pricing_tier(c), scale, DS_ROUND_HALF_UP));
	values[R_AMOUNT] = NumericGetDatum(
		ds_ratio_to_numeric(ds_ratio_divide(f->amount, c->source->fx),
							minor_units_of(f->call, v->currency), DS_ROUND_HALF_UP));
	nulls[R_COST] = cost == NULL;
	if (cost != NULL)
		values[R_COST] = NumericGetDatum(cost);
	tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
}

/* put_ladder does the tiers of the ladder that a rate belongs to, lowest first. */
static void
put_ladder(const Found *f, ReturnSetInfo *set, const DsCandidate *of, int place)
{
	DsDecision *d = f->decision;
	const DsCandidate *last = NULL;
	int i;

	for (;;)
	{
		const DsCandidate *next = NULL;

		for (i = 0; i < d->ncandidates; i++)
		{
			const DsCandidate *c = &d->candidates[i];

			if (c->reason == DS_REASON_NONE && ds_pricing_same_ladder(c, of) &&
				(last == NULL || ds_rate_compare(c->rate, last->rate) > 0) &&
				(next == NULL || ds_rate_compare(c->rate, next->rate) < 0))
				next = c;
		}
		if (next == NULL)
			return;
		put(f, set, next, place);
		last = next;
	}
}

/* one_slot does the ladders of one slot for a line: of each agreement the first by the order, agreements in order. */
static void
one_slot(const Found *f, ReturnSetInfo *set, DsSlotName slot)
{
	DsDecision *d = f->decision;
	DsCandidate **first = palloc(sizeof(DsCandidate *) * Max(d->ncandidates, 1));
	int n = 0;
	int i;
	int j;

	for (i = 0; i < d->ncandidates; i++)
	{
		DsCandidate *c = &d->candidates[i];

		if (c->reason != DS_REASON_NONE || c->source->version->slot != slot)
			continue;
		for (j = 0;
			 j < n && first[j]->source->version->agreement_id != c->source->version->agreement_id;
			 j++)
			;
		if (j == n)
			first[n++] = c;
		else if (before(f->call, c, first[j]))
			first[j] = c;
	}
	for (i = 1; i < n; i++)
	{
		DsCandidate *c = first[i];

		for (j = i; j > 0 && before(f->call, c, first[j - 1]); j--)
			first[j] = first[j - 1];
		first[j] = c;
	}
	for (i = 0; i < n; i++)
		put_ladder(f, set, first[i], i + 1);
}

/*
 * lacks_exchange does the question whether nothing but a missing exchange rate
 * rejects a candidate: then nobody knows what would accrue, which is no reason
 * to let it accrue nothing.
 */
static bool
lacks_exchange(const Found *f, DsCandidate *c)
{
	DsSource *s = c->source;
	bool lacks;

	if (c->reason != DS_REASON_CURRENCY || !s->version->fx_allowed)
		return false;
	s->fx_found = true;
	lacks = ds_pricing_reason(f->call, f->line, f->decision, c) == DS_REASON_NONE;
	s->fx_found = false;
	return lacks;
}

/* put_lacking does a row without a calc: an agreement that lacks an exchange rate for the line. */
static void
put_lacking(const Found *f, ReturnSetInfo *set, const DsCandidate *c)
{
	const DsVersion *v = c->source->version;
	Datum values[R_COUNT] = {0};
	bool nulls[R_COUNT];

	memset(nulls, true, sizeof(nulls));
	values[R_ORDINAL] = Int32GetDatum(f->line->ordinal);
	values[R_SLOT] = CStringGetTextDatum(ds_pricing_slot_words[v->slot]);
	values[R_AGREEMENT_ID] = Int64GetDatum(v->agreement_id);
	values[R_AGREEMENT] = CStringGetTextDatum(v->agreement);
	values[R_VERSION] = Int32GetDatum(v->version_no);
	values[R_CURRENCY] = CStringGetTextDatum(v->currency);
	nulls[R_ORDINAL] = nulls[R_SLOT] = nulls[R_AGREEMENT_ID] = nulls[R_AGREEMENT] =
		nulls[R_VERSION] = nulls[R_CURRENCY] = false;
	tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
}

/* one_line does the finding of what may accrue for a line. */
static void
one_line(DsCall *call, ReturnSetInfo *set, DsLine *line, DsRatio amount)
{
	const DsPolicy *p = &call->shared->policy;
	Found f = {.call = call, .line = line, .amount = amount};
	int i;
	int j;

	f.decision = ds_pricing_decision(call);
	for (i = 0; i < p->nslots; i++)
	{
		if (p->slots[i].combine != DS_SLOT_ACCRUE)
			continue;
		for (j = 0; j < call->buyer.nsources; j++)
		{
			if (call->buyer.sources[j].version->slot == p->slots[i].name)
				ds_pricing_candidates_of(call, line, &call->buyer.sources[j], f.decision);
		}
	}
	for (i = 0; i < f.decision->ncandidates; i++)
		f.decision->candidates[i].reason =
			ds_pricing_reason(call, line, f.decision, &f.decision->candidates[i]);
	for (i = 0; i < f.decision->ncandidates; i++)
	{
		if (lacks_exchange(&f, &f.decision->candidates[i]))
			put_lacking(&f, set, &f.decision->candidates[i]);
	}
	for (i = 0; i < p->nslots; i++)
	{
		if (p->slots[i].combine == DS_SLOT_ACCRUE)
			one_slot(&f, set, p->slots[i].name);
	}
}

/*
 * ds_sql_pricing_accrual_rates does pricing_accrual_rates(customer_id, lines,
 * amounts, at, options): the tiers of every ladder that may accrue, line by
 * line. amounts are the net amounts of the lines.
 */
Datum
ds_sql_pricing_accrual_rates(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	DsCall *call = palloc0(sizeof(DsCall));
	Datum *amounts;
	int n;
	int i;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC | MAT_SRF_BLESS);
	call->context = CurrentMemoryContext;
	call->request.customer_id = PG_GETARG_INT64(0);
	ds_pricing_request(call, NULL, PG_GETARG_TIMESTAMPTZ(3), PG_GETARG_JSONB_P(4));
	ds_pricing_lines(call, PG_GETARG_JSONB_P(1));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), NUMERICOID, -1, false, TYPALIGN_INT, &amounts, NULL,
					  &n);
	if (n != call->request.nlines)
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_DOCUMENT),
						errmsg("%d amounts for %d lines", n, call->request.nlines),
						errdetail("Field: amounts.")));
	ds_pricing_buyer(call);
	leave_out_keys(call);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		one_line(call, set, &call->request.lines[i], ds_ratio_numeric(DatumGetNumeric(amounts[i])));
	}
	ds_pricing_end(call);
	return (Datum) 0;
}
