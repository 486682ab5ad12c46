/*-------------------------------------------------------------------------
 *
 * impact.c
 *		The lines of a document priced twice at one instant: as things are, and
 *		as if drafts had been published.
 *
 * A line can only change if an agreement that has a draft, or one whose rates
 * start from its price, names it with the drafts or without them; or if such a
 * line stands in the same document and amounts are summed over it, or volumes
 * are taken by one line after the other. Only those
 * are decided, twice; the rest of the document is there because tiers count it.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * overlay lives as long as the statement, a document in a context that is
 * emptied before the next one.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/finish.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/export.h"

DS_FUNCTION_INFO_V1(ds_sql_pricing_twice);

enum
{
	T_ORDINAL,
	T_CHANGED,
	T_ITEM,
	T_QUANTITY,
	T_UNIT,
	T_CURRENCY,
	T_OLD, /* price, price_per, net amount, agreement, code */
	T_NEW = T_OLD + 5,
	T_COUNT = T_NEW + 5
};

/* What all documents of a statement share. */
typedef struct Impact
{
	MemoryContext work; /* of a document */
	DsOverlay *overlay;
	int64 *concerned; /* agreements with drafts, and those that start from their price */
	int nconcerned;
} Impact;

/* A document, with its buyer as things are and with the drafts. */
typedef struct Twice
{
	Impact *impact;
	DsCall *call;
	ReturnSetInfo *set;
	DsBuyer before;
	DsBuyer after;
	const DsPart **parts; /* rate sets of concerned agreements, of either */
	int nparts;
	bool all; /* lines that do not change are told as well */
} Twice;

/* ids_of does the reading of a list of ids. */
static int64 *
ids_of(ArrayType *array, int *n)
{
	*n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	return (int64 *) ARR_DATA_PTR(array);
}

/* impact_of does the look-up of what the documents of the statement share; the first one makes it. */
static Impact *
impact_of(FunctionCallInfo fcinfo)
{
	Impact *impact = fcinfo->flinfo->fn_extra;

	if (impact == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		DsCall call = {0};
		int n;
		int64 *drafts = ids_of(PG_GETARG_ARRAYTYPE_P_COPY(4), &n);

		impact = palloc0(sizeof(Impact));
		impact->concerned = ids_of(PG_GETARG_ARRAYTYPE_P_COPY(5), &impact->nconcerned);
		impact->overlay = ds_pricing_overlay_lay(&call, drafts, n);
		impact->work = AllocSetContextCreate(CurrentMemoryContext, "distsync price impact",
											 ALLOCSET_DEFAULT_SIZES);
		MemoryContextSwitchTo(old);
		fcinfo->flinfo->fn_extra = impact;
	}
	MemoryContextReset(impact->work);
	return impact;
}

/* is_concerned does the question whether an agreement has drafts, or starts from one that has. */
static bool
is_concerned(const Impact *impact, int64 agreement_id)
{
	int i;

	for (i = 0; i < impact->nconcerned && impact->concerned[i] != agreement_id; i++)
		;
	return i < impact->nconcerned;
}

/* gather_parts does the listing of a buyer's rate sets that may make a difference. */
static void
gather_parts(Twice *t, const DsBuyer *buyer)
{
	int i;

	for (i = 0; i < buyer->nsources; i++)
	{
		const DsSource *s = &buyer->sources[i];

		if (is_concerned(t->impact, s->version->agreement_id))
			t->parts[t->nparts++] = s->part;
	}
}

/* touches does the question whether a line may change by itself. */
static bool
touches(const Twice *t, const DsLine *line)
{
	int i;

	for (i = 0; i < t->nparts; i++)
	{
		if (ds_pricing_names(t->call, line, t->parts[i]))
			return true;
	}
	return false;
}

/* discounts_sum does the question whether discounts off the sum of the lines concern a buyer. */
static bool
discounts_sum(Twice *t, const DsBuyer *buyer)
{
	t->call->buyer = *buyer;
	return ds_pricing_has_order_level(t->call);
}

/*
 * lines_meet does the question whether the price of one line may move that of
 * another: tiers count amounts over several lines, which are at list prices, or
 * the lines take a volume one after the other.
 */
static bool
lines_meet(const Twice *t, const DsBuyer *buyer)
{
	int i;

	for (i = 0; i < buyer->nsources; i++)
	{
		const DsVersion *v = buyer->sources[i].version;

		if ((v->tier_measure == DS_MEASURE_AMOUNT &&
			 (v->tier_basis == DS_BASIS_ITEM_ORDER || v->tier_basis == DS_BASIS_FAMILY_ORDER)) ||
			(t->call->request.commitment != DS_COMMITMENT_LINE && ds_pricing_has_volume(v)))
			return true;
	}
	return false;
}

/* use does the choice of a side: as things are, or with the drafts. */
static void
use(Twice *t, bool drafted)
{
	t->call->buyer = drafted ? t->after : t->before;
	t->call->overlay = drafted ? t->impact->overlay : NULL;
}

/* decide does the decision of a line, as things are or with the drafts. */
static void
decide(Twice *t, DsLine *line, bool drafted, DsResult *r)
{
	use(t, drafted);
	r->line = line;
	r->decision = ds_pricing_priced(t->call, line, &r->finish);
}

/* same_unit_price does the comparison of two prices that may be for another number of units. */
static bool
same_unit_price(const DsFinish *a, const DsFinish *b)
{
	Datum x = DirectFunctionCall2(numeric_mul, NumericGetDatum(a->unit_price),
								  NumericGetDatum(int64_to_numeric(b->price_per)));
	Datum y = DirectFunctionCall2(numeric_mul, NumericGetDatum(b->unit_price),
								  NumericGetDatum(int64_to_numeric(a->price_per)));

	return DatumGetBool(DirectFunctionCall2(numeric_eq, x, y));
}

/* fill_side does the columns of one of the two answers. */
static void
fill_side(const Twice *t, const DsResult *r, Datum *values, bool *nulls)
{
	const char *agreement = ds_pricing_winner(r->decision);

	nulls[0] = nulls[1] = nulls[2] = !r->finish.priced;
	nulls[3] = agreement == NULL;
	if (r->finish.priced)
	{
		values[0] = NumericGetDatum(r->finish.unit_price);
		values[1] = Int32GetDatum(r->finish.price_per);
		values[2] = NumericGetDatum(ds_pricing_net_amount(t->call, &r->finish));
	}
	if (agreement != NULL)
		values[3] = CStringGetTextDatum(agreement);
	values[4] = CStringGetTextDatum(r->finish.code);
}

/* tell does the row of a line, if its price changes or all are wanted. */
static void
tell(const Twice *t, const DsResult *old, const DsResult *new)
{
	const DsFinish *a = &old->finish;
	const DsFinish *b = &new->finish;
	bool same = a->priced == b->priced &&
				(!a->priced ||
				 (ds_ratio_compare(a->net_amount, b->net_amount) == 0 && same_unit_price(a, b)));
	Datum values[T_COUNT];
	bool nulls[T_COUNT] = {false};

	if (same && !t->all)
		return;
	values[T_ORDINAL] = Int32GetDatum(old->line->ordinal);
	values[T_CHANGED] = BoolGetDatum(!same);
	values[T_ITEM] = CStringGetTextDatum(old->line->item->sku);
	values[T_QUANTITY] = old->line->quantity;
	values[T_UNIT] = CStringGetTextDatum(old->line->unit);
	values[T_CURRENCY] = CStringGetTextDatum(t->call->request.currency);
	fill_side(t, old, &values[T_OLD], &nulls[T_OLD]);
	fill_side(t, new, &values[T_NEW], &nulls[T_NEW]);
	tuplestore_putvalues(t->set->setResult, t->set->setDesc, values, nulls);
}

/* run_apart does the lines that may change, each by itself. */
static void
run_apart(Twice *t)
{
	DsCall *call = t->call;
	int i;

	call->line_context =
		AllocSetContextCreate(call->context, "distsync price line", ALLOCSET_DEFAULT_SIZES);
	for (i = 0; i < call->request.nlines; i++)
	{
		DsLine *line = &call->request.lines[i];
		MemoryContext old = MemoryContextSwitchTo(call->line_context);
		DsResult results[2];

		CHECK_FOR_INTERRUPTS();
		if (t->all || touches(t, line))
		{
			decide(t, line, false, &results[0]);
			line->has_list = false;
			decide(t, line, true, &results[1]);
			tell(t, &results[0], &results[1]);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(call->line_context);
	}
}

/*
 * run_together does all lines of a document. Those that cannot change by
 * themselves have one decision; discounts off the sum may still make their
 * amounts differ.
 */
static void
run_together(Twice *t, bool each)
{
	DsCall *call = t->call;
	int n = call->request.nlines;
	DsResult *results[2];
	int drafted;
	int i;

	for (drafted = 0; drafted < 2; drafted++)
	{
		results[drafted] = MemoryContextAllocHuge(call->context, sizeof(DsResult) * n);
		call->taken = NULL;
		for (i = 0; i < n; i++)
			call->request.lines[i].has_list = false;
		for (i = 0; i < n; i++)
		{
			DsLine *line = &call->request.lines[i];

			CHECK_FOR_INTERRUPTS();
			if (drafted == 0 || each || touches(t, line))
				decide(t, line, drafted == 1, &results[drafted][i]);
			else
				results[1][i] = results[0][i];
		}
	}
	for (drafted = 0; drafted < 2; drafted++)
	{
		use(t, drafted == 1);
		if (ds_pricing_has_order_level(call))
			ds_pricing_order_level(call, results[drafted], n);
	}
	for (i = 0; i < n; i++)
		tell(t, &results[0][i], &results[1][i]);
}

/* run does a document whose options are read. */
static void
run(Twice *t, Jsonb *lines)
{
	DsCall *call = t->call;
	bool each;
	bool any;
	int i;

	ds_pricing_buyer(call);
	t->before = call->buyer;
	memset(&call->buyer, 0, sizeof(DsBuyer));
	call->buyer.customer = t->before.customer;
	call->overlay = t->impact->overlay;
	ds_pricing_buyer(call);
	t->after = call->buyer;
	t->parts = palloc(sizeof(DsPart *) * Max(t->before.nsources + t->after.nsources, 1));
	gather_parts(t, &t->before);
	gather_parts(t, &t->after);
	if (t->nparts == 0 && !t->all)
		return;
	ds_pricing_lines(call, lines);
	any = t->all;
	for (i = 0; i < call->request.nlines && !any; i++)
		any = touches(t, &call->request.lines[i]);
	if (!any)
		return;
	each = lines_meet(t, &t->before) || lines_meet(t, &t->after);
	if (each || discounts_sum(t, &t->before) || discounts_sum(t, &t->after))
		run_together(t, each);
	else
		run_apart(t);
}

/*
 * ds_sql_pricing_twice does pricing_twice(customer_id, lines, at, options,
 * drafts, concerned, all). drafts and concerned are the same for all documents
 * of a statement.
 */
Datum
ds_sql_pricing_twice(PG_FUNCTION_ARGS)
{
	Impact *impact = impact_of(fcinfo);
	MemoryContext old;
	Twice t = {.impact = impact, .set = (ReturnSetInfo *) fcinfo->resultinfo};

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC | MAT_SRF_BLESS);
	old = MemoryContextSwitchTo(impact->work);
	t.all = PG_GETARG_BOOL(6);
	t.call = palloc0(sizeof(DsCall));
	t.call->context = impact->work;
	t.call->trusted = true;
	t.call->request.customer_id = PG_GETARG_INT64(0);
	ds_pricing_request(t.call, NULL, PG_GETARG_TIMESTAMPTZ(2), PG_GETARG_JSONB_P(3));
	run(&t, PG_GETARG_JSONB_P(1));
	ds_pricing_end(t.call);
	MemoryContextSwitchTo(old);
	return (Datum) 0;
}
