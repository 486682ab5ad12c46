/*-------------------------------------------------------------------------
 *
 * price.c
 *		The verbs price(), prices() and explain_price() as SQL calls them.
 *
 * All are reads: they write nothing, run on a standby, and answer from the
 * caller's snapshot. One line is a bulk of one.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * call in the function's context, each line in a context that is emptied
 * after it.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/proof.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/export.h"
#include "base/json.h"
#include "base/verb.h"

DS_FUNCTION_INFO_V1(ds_sql_pricing_price);
DS_FUNCTION_INFO_V1(ds_sql_pricing_explain);
DS_FUNCTION_INFO_V1(ds_sql_pricing_prices);
DS_FUNCTION_INFO_V1(ds_sql_pricing_prices_of);
DS_FUNCTION_INFO_V1(ds_sql_pricing_suppose);

enum
{
	A_ORDINAL,
	A_OUTCOME,
	A_ITEM,
	A_QUANTITY,
	A_UNIT,
	A_UNIT_PRICE,
	A_CURRENCY,
	A_PRICE_PER,
	A_NET_AMOUNT,
	A_AGREEMENT,
	A_VALID_UNTIL,
	A_AS_OF,
	A_KNOWN_AT,
	A_CODE,
	A_DETAIL,
	A_COUNT
};

/*
 * ds_pricing_priced does the decision for a line and its numbers. Where there is no price
 * it is done once more with everything that explains why.
 */
DsDecision *
ds_pricing_priced(DsCall *call, DsLine *line, DsFinish *f)
{
	DsDecision *d = ds_pricing_decision(call);

	ds_pricing_decide(call, line, d);
	if (!d->has_price && !call->explain)
	{
		DsBuyer buyer = call->buyer;

		call->explain = true;
		call->buyer.sources = NULL;
		call->buyer.room = 0;
		ds_pricing_buyer(call);
		d = ds_pricing_decision(call);
		ds_pricing_decide(call, line, d);
		ds_pricing_finish(call, line, d, f);
		call->explain = false;
		call->buyer = buyer;
	}
	else
		ds_pricing_finish(call, line, d, f);
	ds_pricing_take(call, line, d, f);
	return d;
}

/* ds_pricing_winner does the code of the last agreement that replaced the price; NULL = none. */
const char *
ds_pricing_winner(const DsDecision *d)
{
	return d->winner == NULL || d->locked || !d->has_price ? NULL
														   : d->winner->source->version->agreement;
}

/* ds_pricing_known_at does the stamp of what was known; DT_NOBEGIN = nothing was ever written. */
TimestampTz
ds_pricing_known_at(const DsCall *call)
{
	return call->request.has_known_at ? call->request.known_at : call->stamp;
}

/* ds_pricing_net_amount does the amount of a line in the decimals of its currency; NULL = no price. */
Numeric
ds_pricing_net_amount(const DsCall *call, const DsFinish *f)
{
	return f->priced
			   ? ds_ratio_to_numeric(f->net_amount, call->request.minor_units, DS_ROUND_HALF_UP)
			   : NULL;
}

/* fill does the columns of an answer. */
static void
fill(DsCall *call, DsLine *line, DsDecision *d, const DsFinish *f, Datum *values, bool *nulls)
{
	DsJson json = {0};

	memset(nulls, 0, sizeof(bool) * A_COUNT);
	values[A_ORDINAL] = Int32GetDatum(line->ordinal);
	values[A_OUTCOME] = CStringGetTextDatum(f->priced ? "priced" : "no_price");
	values[A_ITEM] = CStringGetTextDatum(line->item->sku);
	values[A_QUANTITY] = line->quantity;
	values[A_UNIT] = CStringGetTextDatum(line->unit);
	values[A_UNIT_PRICE] = NumericGetDatum(f->unit_price);
	values[A_CURRENCY] = CStringGetTextDatum(call->request.currency);
	values[A_PRICE_PER] = Int32GetDatum(f->price_per);
	values[A_NET_AMOUNT] = NumericGetDatum(ds_pricing_net_amount(call, f));
	nulls[A_UNIT_PRICE] = nulls[A_NET_AMOUNT] = !f->priced;
	nulls[A_AGREEMENT] = ds_pricing_winner(d) == NULL;
	if (!nulls[A_AGREEMENT])
		values[A_AGREEMENT] = CStringGetTextDatum(ds_pricing_winner(d));
	values[A_VALID_UNTIL] = TimestampTzGetDatum(d->valid_until);
	nulls[A_VALID_UNTIL] = d->valid_until == DT_NOEND;
	values[A_AS_OF] = TimestampTzGetDatum(call->request.at);
	values[A_KNOWN_AT] = TimestampTzGetDatum(ds_pricing_known_at(call));
	nulls[A_KNOWN_AT] = TIMESTAMP_IS_NOBEGIN(ds_pricing_known_at(call));
	/* a restricted caller hears what explain_price() may tell a customer, no more */
	values[A_CODE] =
		CStringGetTextDatum(call->for_buyer ? ds_pricing_code_for_customer(f) : f->code);
	nulls[A_DETAIL] = call->for_buyer;
	if (call->for_buyer)
		return;
	ds_pricing_detail(call, &json, NULL, line, d, f);
	values[A_DETAIL] = ds_json_finish(&json);
}

/* argument_text does the reading of a text argument; NULL = null. */
static const char *
argument_text(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* argument_at does the reading of the instant: the statement's, where none is given. */
static TimestampTz
argument_at(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? GetCurrentStatementStartTimestamp() : PG_GETARG_TIMESTAMPTZ(n);
}

/* argument_options does the reading of the options; NULL = none. */
static Jsonb *
argument_options(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n);
}

/* one_line does the call of price() and explain_price() up to the answer. */
static DsResult *
one_line(FunctionCallInfo fcinfo, DsCall *call)
{
	Datum quantity = PG_ARGISNULL(2) ? NumericGetDatum(int64_to_numeric(1)) : PG_GETARG_DATUM(2);
	DsResult *r = palloc(sizeof(DsResult));

	const char *customer = argument_text(fcinfo, 0);
	const char *item = argument_text(fcinfo, 1);
	int step;

	call->context = CurrentMemoryContext;
	for (step = 0; step < 2; step++)
	{
		ds_pricing_expect_party(customer, step);
		ds_pricing_expect_item(item, step);
	}
	ds_pricing_request(call, customer, argument_at(fcinfo, 4), argument_options(fcinfo, 5));
	ds_pricing_line_one(call, item, quantity, argument_text(fcinfo, 3));
	ds_pricing_buyer(call);
	r->line = call->request.lines;
	r->decision = ds_pricing_priced(call, r->line, &r->finish);
	if (ds_pricing_has_order_level(call))
		ds_pricing_order_level(call, r, 1);
	return r;
}

/* ds_sql_pricing_price does price(customer, item, quantity, unit, at, options). */
Datum
ds_sql_pricing_price(PG_FUNCTION_ARGS)
{
	TupleDesc desc = ds_verb_row(fcinfo, A_COUNT);
	DsCall *call = palloc0(sizeof(DsCall));
	DsResult *r = one_line(fcinfo, call);
	Datum values[A_COUNT];
	bool nulls[A_COUNT];

	fill(call, r->line, r->decision, &r->finish, values, nulls);
	ds_pricing_end(call);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * ds_pricing_tell_row does the row of prices() as an object, with the hash of
 * its proof if there is one. Members come in the order of jsonb, which saves
 * sorting them.
 */
void
ds_pricing_tell_row(DsCall *call, DsJson *json, DsResult *r, const char *proof)
{
	DsLine *line = r->line;
	DsDecision *d = r->decision;
	const DsFinish *f = &r->finish;

	ds_json_open_object(json, NULL);
	ds_json_text(json, "code", f->code);
	ds_json_text(json, "item", line->item->sku);
	ds_json_text(json, "unit", line->unit);
	ds_json_instant(json, "as_of", call->request.at);
	if (proof != NULL)
		ds_json_text(json, "proof", proof);
	ds_pricing_detail(call, json, "detail", line, d, f);
	ds_json_integer(json, "ordinal", line->ordinal);
	ds_json_text(json, "outcome", f->priced ? "priced" : "no_price");
	ds_json_text(json, "currency", call->request.currency);
	ds_json_instant(json, "known_at", ds_pricing_known_at(call));
	ds_json_number(json, "quantity", DatumGetNumeric(line->quantity));
	ds_json_text(json, "agreement", ds_pricing_winner(d));
	ds_json_integer(json, "price_per", f->price_per);
	ds_json_number(json, "net_amount", ds_pricing_net_amount(call, f));
	ds_json_number(json, "unit_price", f->unit_price);
	ds_json_instant(json, "valid_until", d->valid_until);
	ds_json_close_object(json);
}

/* ds_sql_pricing_explain does explain_price(customer, item, quantity, unit, at, options): the row of price() with the whole waterfall, and its proof. */
Datum
ds_sql_pricing_explain(PG_FUNCTION_ARGS)
{
	DsCall *call = palloc0(sizeof(DsCall));
	DsJson json = {0};
	DsProof proof;
	DsResult *r;
	bool proved;

	call->explain = call->has_depth = true;
	r = one_line(fcinfo, call);
	ds_pricing_refuse_depth(call);
	if (call->request.for_customer)
		ds_pricing_tell_customer(call, &json, r);
	else
	{
		proved = ds_pricing_prove(call, r, 1, &proof);
		ds_pricing_tell_row(call, &json, r, proved ? ds_pricing_proof_hex(&proof) : NULL);
	}
	ds_pricing_end(call);
	return ds_json_finish(&json);
}

/* put does one row of the answer. */
static void
put(DsCall *call, ReturnSetInfo *set, DsLine *line, DsDecision *d, const DsFinish *f)
{
	Datum values[A_COUNT];
	bool nulls[A_COUNT];

	fill(call, line, d, f, values, nulls);
	tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
}

/* run_apart does the lines one after the other, each in a context that is emptied after it. */
static void
run_apart(DsCall *call, ReturnSetInfo *set)
{
	int i;

	call->line_context =
		AllocSetContextCreate(CurrentMemoryContext, "distsync price line", ALLOCSET_DEFAULT_SIZES);
	for (i = 0; i < call->request.nlines; i++)
	{
		DsLine *line = &call->request.lines[i];
		MemoryContext old = MemoryContextSwitchTo(call->line_context);
		DsFinish f;
		DsDecision *d;

		CHECK_FOR_INTERRUPTS();
		d = ds_pricing_priced(call, line, &f);
		put(call, set, line, d, &f);
		MemoryContextSwitchTo(old);
		MemoryContextReset(call->line_context);
	}
	MemoryContextDelete(call->line_context);
}

/* closely does the giving back of the room that a decision did not need: all of a call are held together. */
static DsDecision *
closely(DsDecision *d)
{
	if (d->nfree > 0)
		return d;
	return repalloc(d, offsetof(DsDecision, steps) + sizeof(DsStep) * d->nsteps);
}

/* ds_pricing_decide_all does the lines together: all are decided before any is told. */
DsResult *
ds_pricing_decide_all(DsCall *call)
{
	int n = call->request.nlines;
	DsResult *results = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(DsResult) * n);
	int i;

	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		results[i].line = &call->request.lines[i];
		results[i].decision = closely(ds_pricing_priced(call, results[i].line, &results[i].finish));
	}
	if (ds_pricing_has_order_level(call))
		ds_pricing_order_level(call, results, n);
	return results;
}

/* run_together does the lines where discounts off their sum concern the buyer. */
static void
run_together(DsCall *call, ReturnSetInfo *set)
{
	DsResult *results = ds_pricing_decide_all(call);
	int i;

	for (i = 0; i < call->request.nlines; i++)
		put(call, set, results[i].line, results[i].decision, &results[i].finish);
}

/*
 * ds_pricing_open does the reading of the call of prices() and of what takes
 * the same arguments after the customer: (lines, at, options).
 */
void
ds_pricing_open(DsCall *call, const char *customer, int64 customer_id, FunctionCallInfo fcinfo)
{
	call->context = CurrentMemoryContext;
	call->request.customer_id = customer_id;
	ds_pricing_request(call, customer, argument_at(fcinfo, 2), argument_options(fcinfo, 3));
	ds_pricing_lines(call, argument_options(fcinfo, 1));
	ds_pricing_buyer(call);
}

/* answer_lines does the call of prices() and of its twins for an id. */
static Datum
answer_lines(FunctionCallInfo fcinfo, DsCall *call, const char *customer, int64 customer_id)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC | MAT_SRF_BLESS);
	ds_pricing_open(call, customer, customer_id, fcinfo);
	if (ds_pricing_has_order_level(call))
		run_together(call, set);
	else
		run_apart(call, set);
	ds_pricing_end(call);
	return (Datum) 0;
}

/* ds_sql_pricing_prices does prices(customer, lines, at, options). */
Datum
ds_sql_pricing_prices(PG_FUNCTION_ARGS)
{
	return answer_lines(fcinfo, palloc0(sizeof(DsCall)), argument_text(fcinfo, 0), 0);
}

/* ds_sql_pricing_prices_of does the same for a customer's id, for other rooms: (customer_id, lines, at, options). */
Datum
ds_sql_pricing_prices_of(PG_FUNCTION_ARGS)
{
	return answer_lines(fcinfo, palloc0(sizeof(DsCall)), NULL, PG_GETARG_INT64(0));
}

/*
 * ds_sql_pricing_suppose does the same with the whole waterfall, as if
 * something had gone wrong: (customer_id, lines, at, options, suppose).
 */
Datum
ds_sql_pricing_suppose(PG_FUNCTION_ARGS)
{
	DsCall *call = palloc0(sizeof(DsCall));

	call->explain = true;
	call->suppose = ds_pricing_suppose(PG_GETARG_JSONB_P(4));
	return answer_lines(fcinfo, call, NULL, PG_GETARG_INT64(0));
}
