/*-------------------------------------------------------------------------
 *
 * event_pool.c
 *		What is told of one pool: its balances move by what happened, and its
 *		terms with them. That is exact while nothing else of the pool changes
 *		meanwhile: time has not passed it, no lot expires, its shortfall stays,
 *		no document that is named means anything else here, and no count comes
 *		before what is known already. Anything else is for SQL.
 *
 * Process: any backend. Locks: the caller's. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "base/compat.h"
#include "inventory/event_pool.h"
#include "inventory/event_table.h"

/* so many balances of one pool are looked at here */
#define MAX_BALANCES 16

#define OP(function, a, b)                                                                         \
	DatumGetNumeric(DirectFunctionCall2((function), NumericGetDatum(a), NumericGetDatum(b)))
#define ZERO int64_to_numeric(0)

enum
{
	A_STATE,
	A_AS_OF
};

static DsTable barrier_table = {
	.name = "stock_barrier",
	.index = "stock_barrier_pk",
	.keys = {"site_id", "perspective", "state", "as_of"},
	.columns = {"state", "as_of"},
};

/* What becomes of a balance. */
typedef struct BalancePlan
{
	DsLeg *legs;
	int nlegs;
	bool counted; /* there is a count among them */
	bool exists;
	ItemPointerData tid;
	Numeric *changes; /* of each leg */
	Numeric change;	  /* in all */
	Numeric quantity; /* afterwards */
	int64 version;
	TimestampTz last_event_at;
	TimestampTz counted_at; /* DT_NOBEGIN = never */
} BalancePlan;

/* The terms of a pool as they were. */
typedef struct Terms
{
	Numeric phys, book; /* NULL = that perspective says nothing */
	Numeric low, promised, beyond, shortfall;
	int64 version;
	TimestampTz changed_at;
	bool turns; /* time will change it */
} Terms;

/* ds_inventory_leg_compare_balances does the order of what legs change: by pool, then by balance. */
int
ds_inventory_leg_compare_balances(const DsLeg *a, const DsLeg *b)
{
	int order;

	if (a->item_id != b->item_id)
		return a->item_id < b->item_id ? -1 : 1;
	if (a->site_id != b->site_id)
		return a->site_id < b->site_id ? -1 : 1;
	if (a->event->book != b->event->book)
		return a->event->book ? -1 : 1;
	order = ds_inventory_slice_compare(a->state, b->state);
	if (order == 0)
		order = ds_inventory_slice_compare(a->event->lot, b->event->lot);
	if (order == 0 && a->event->owner_id != b->event->owner_id)
		order = a->event->owner_id < b->event->owner_id ? -1 : 1;
	return order;
}

static bool
same_number(Numeric a, Numeric b)
{
	return DatumGetInt32(
			   DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b))) == 0;
}

/* ds_inventory_number_fits tells whether a number has a place in the books: fourteen digits before the point. */
bool
ds_inventory_number_fits(Numeric value)
{
	static const int64 most = INT64CONST(100000000000000);

	return value == NULL ||
		   (DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(value),
											 NumericGetDatum(int64_to_numeric(most)))) &&
			DatumGetBool(DirectFunctionCall2(numeric_gt, NumericGetDatum(value),
											 NumericGetDatum(int64_to_numeric(-most)))));
}

/* change_of does what a leg that is no count adds. */
static Numeric
change_of(const DsLeg *leg)
{
	Numeric quantity = leg->event->quantity;

	return leg->minus
			   ? DatumGetNumeric(DirectFunctionCall1(numeric_uminus, NumericGetDatum(quantity)))
			   : quantity;
}

static Datum
perspective_of(const DsLeg *leg)
{
	return CStringGetTextDatum(leg->event->book ? "book" : "phys");
}

/*
 * read_terms does the terms of a pool that holds now. False: time, slots,
 * promises beyond stock, or lots that expire before they are needed, have a say
 * in it.
 */
static bool
read_terms(const DsEventPosting *posting, const DsRows *w, Terms *terms)
{
	if (DatumGetInt16(w->values[P_SLOTS]) != 0 || DatumGetBool(w->values[P_WAITING]) ||
		(DatumGetBool(w->values[P_RULED]) && DatumGetBool(w->values[P_AHEAD])) ||
		!same_number(DatumGetNumeric(w->values[P_BACKORDER]), ZERO) ||
		(!w->nulls[P_VALID_UNTIL] && DatumGetTimestampTz(w->values[P_VALID_UNTIL]) <= posting->now))
		return false;
	terms->phys = w->nulls[P_PHYS] ? NULL : DatumGetNumericCopy(w->values[P_PHYS]);
	terms->book = w->nulls[P_BOOK] ? NULL : DatumGetNumericCopy(w->values[P_BOOK]);
	terms->low = DatumGetNumericCopy(w->values[P_LOW]);
	terms->promised = OP(numeric_add, DatumGetNumeric(w->values[P_HELD]),
						 DatumGetNumeric(w->values[P_COMMITTED]));
	/* safety stock is out of what may be promised already, but who has promised it is not short of it */
	terms->beyond = DatumGetNumericCopy(w->values[P_SAFETY]);
	terms->shortfall = DatumGetNumericCopy(w->values[P_SHORTFALL]);
	terms->version = DatumGetInt64(w->values[P_VERSION]);
	terms->changed_at = DatumGetTimestampTz(w->values[P_CHANGED_AT]);
	terms->turns = !w->nulls[P_VALID_UNTIL] &&
				   !TIMESTAMP_IS_NOEND(DatumGetTimestampTz(w->values[P_VALID_UNTIL]));
	return true;
}

/* is_plain tells whether a leg moves its balance and nothing else. */
static bool
is_plain(DsEventPosting *posting, DsEventPool *pool, const Terms *terms, const DsLeg *leg)
{
	const DsEvent *event = leg->event;

	/* when it will be promisable is a term of the pool */
	if (leg->ages || event->expires ||
		(event->lot.len > 0 && (posting->expiring || !ds_inventory_lot_is_plain(posting, leg))))
		return false;
	/* where the warehouse speaks for the first time, what the book has waiting counts no more */
	if (!event->book && terms->phys == NULL && terms->turns)
		return false;
	/* a count of the book ends the wait for what the warehouse has told */
	if (event->kind == DS_EVENT_COUNT)
		return !event->book || terms->phys == NULL;
	if (event->reference.s == NULL)
		return true;
	/* what is set aside for a line */
	if (ds_inventory_event_allocates(event) && ds_inventory_line_is_named(posting, leg))
		return false;
	/* what left a site whose stock only the book keeps */
	if (event->book && terms->phys == NULL && ds_inventory_departure_is_named(posting, leg))
		return false;
	if (ds_inventory_leg_lands(posting, leg))
		return false;
	/* what the other perspective will name, too */
	if ((leg->promisable || event->kind == DS_EVENT_SHIP) &&
		(event->book ? terms->phys : terms->book) != NULL &&
		!ds_inventory_flight_add(posting, pool, leg, change_of(leg)))
		return false;
	return event->kind == DS_EVENT_RECEIVE ? !ds_inventory_supply_is_named(posting, leg)
		   : event->kind == DS_EVENT_SHIP  ? !ds_inventory_line_is_named(posting, leg)
										   : true;
}

/* read_balance does the row of a balance. False: a lot that expires. */
static bool
read_balance(DsEventPosting *posting, BalancePlan *plan)
{
	DsRows *w = posting->call->balances;
	const DsLeg *leg = plan->legs;
	Datum keys[6] = {Int64GetDatum(leg->item_id),
					 Int64GetDatum(leg->site_id),
					 perspective_of(leg),
					 ds_inventory_slice_text(leg->state),
					 ds_inventory_slice_text(leg->event->lot),
					 Int64GetDatum(leg->event->owner_id)};

	plan->quantity = NULL;
	plan->counted_at = plan->last_event_at = DT_NOBEGIN;
	plan->exists = ds_rows_find(w, GetActiveSnapshot(), keys);
	if (!plan->exists)
		return ds_inventory_lot_is_fresh(posting, plan->legs, plan->nlegs);
	plan->tid = w->found->tts_tid;
	plan->quantity = DatumGetNumericCopy(w->values[B_QUANTITY]);
	plan->version = DatumGetInt64(w->values[B_VERSION]);
	plan->last_event_at = DatumGetTimestampTz(w->values[B_LAST_EVENT_AT]);
	if (!w->nulls[B_COUNTED_AT])
		plan->counted_at = DatumGetTimestampTz(w->values[B_COUNTED_AT]);
	return w->nulls[B_EXPIRES_ON];
}

/* compare_moments does the order of time: of one instant a count comes first, then as they are numbered. */
static int
compare_moments(const void *a, const void *b)
{
	const DsLeg *x = a;
	const DsLeg *y = b;
	bool x_count = x->event->kind == DS_EVENT_COUNT;
	bool y_count = y->event->kind == DS_EVENT_COUNT;

	if (x->event->event_at != y->event->event_at)
		return x->event->event_at < y->event->event_at ? -1 : 1;
	if (x_count != y_count)
		return x_count ? -1 : 1;
	if (x->event->numbered != y->event->numbered)
		return x->event->numbered ? -1 : 1;
	if (x->event->numbered && x->event->sequence != y->event->sequence)
		return x->event->sequence < y->event->sequence ? -1 : 1;
	return x->number - y->number;
}

/* last_barrier does the instant of the last snapshot that listed a state at a site, or all of them ('') */
static TimestampTz
last_barrier(DsEventPosting *posting, const DsLeg *leg, Datum state)
{
	DsReader *reader = ds_inventory_reader_of(&posting->barriers, &barrier_table);
	Datum keys[4] = {Int64GetDatum(leg->site_id), perspective_of(leg), state,
					 TimestampTzGetDatum(DT_NOEND)};

	ds_reader_walk(reader, DS_WALK_BACK, keys, lengthof(keys));
	return ds_reader_next(reader) ? DatumGetTimestampTz(reader->values[A_AS_OF]) : DT_NOBEGIN;
}

/* is_behind_barriers tells whether snapshots that did not list a balance have a say in what is told of it. */
static bool
is_behind_barriers(DsEventPosting *posting, const BalancePlan *plan)
{
	TimestampTz first = DT_NOEND;
	TimestampTz last;

	if (!posting->barred)
		return false;
	for (int i = 0; i < plan->nlegs; i++)
		first = Min(first, plan->legs[i].event->event_at);
	last = last_barrier(posting, plan->legs, CStringGetTextDatum(""));
	last = Max(last, last_barrier(posting, plan->legs, ds_inventory_slice_text(plan->legs->state)));
	return first <= last && plan->counted_at < last;
}

/*
 * is_in_time tells whether the legs of a balance, in the order of time where
 * one is a count, can be added as they are: none is older than a count that is known, and with a count among them, none
 * than anything that is known.
 */
static bool
is_in_time(const BalancePlan *plan)
{
	for (int i = 0; i < plan->nlegs; i++)
	{
		TimestampTz at = plan->legs[i].event->event_at;

		if (at < plan->counted_at || (plan->counted && plan->exists && at <= plan->last_event_at))
			return false;
	}
	/* of two counts of one instant the one that goes before the other is for SQL to find */
	for (int i = 1; i < plan->nlegs; i++)
		if (plan->counted && plan->legs[i].event->kind == DS_EVENT_COUNT &&
			plan->legs[i - 1].event->kind == DS_EVENT_COUNT &&
			plan->legs[i].event->event_at == plan->legs[i - 1].event->event_at)
			return false;
	return true;
}

/*
 * plan_balance does what becomes of a balance by all legs that touch it.
 * False: it is not plain.
 */
static bool
plan_balance(DsEventPosting *posting, DsEventPool *pool, const Terms *terms, BalancePlan *plan)
{
	Numeric before;

	if (!read_balance(posting, plan))
		return false;
	plan->counted = false;
	for (int i = 0; i < plan->nlegs; i++)
	{
		if (!is_plain(posting, pool, terms, &plan->legs[i]))
			return false;
		plan->counted = plan->counted || plan->legs[i].event->kind == DS_EVENT_COUNT;
	}
	if (plan->counted && plan->nlegs > 1)
		qsort(plan->legs, plan->nlegs, sizeof(DsLeg), compare_moments);
	if (!is_in_time(plan) || is_behind_barriers(posting, plan))
		return false;
	before = plan->exists ? plan->quantity : ZERO;
	plan->quantity = before;
	plan->changes = palloc(sizeof(Numeric) * plan->nlegs);
	for (int i = 0; i < plan->nlegs; i++)
	{
		const DsLeg *leg = &plan->legs[i];
		TimestampTz at = leg->event->event_at;
		bool count = leg->event->kind == DS_EVENT_COUNT;

		plan->changes[i] =
			count ? OP(numeric_sub, leg->event->quantity, plan->quantity) : change_of(leg);
		plan->quantity = OP(numeric_add, plan->quantity, plan->changes[i]);
		if (!ds_inventory_number_fits(plan->changes[i]) ||
			!ds_inventory_number_fits(plan->quantity))
			return false;
		plan->last_event_at = Max(plan->last_event_at, at);
		if (count)
			plan->counted_at = at;
	}
	plan->change = plan->nlegs == 1 ? plan->changes[0] : OP(numeric_sub, plan->quantity, before);
	return true;
}

/* write_entries does the events of a balance. */
static void
write_entries(DsEventPosting *posting, const BalancePlan *plan)
{
	for (int i = 0; i < plan->nlegs; i++)
	{
		const DsLeg *leg = &plan->legs[i];
		const DsEvent *event = leg->event;
		bool count = event->kind == DS_EVENT_COUNT;
		Datum values[E_COUNT];
		bool nulls[E_COUNT] = {false};

		values[E_ITEM_ID] = Int64GetDatum(leg->item_id);
		values[E_SITE_ID] = Int64GetDatum(leg->site_id);
		values[E_EVENT_AT] = TimestampTzGetDatum(event->event_at);
		values[E_EVENT_ID] = Int64GetDatum(nextval_internal(posting->sequence, false));
		values[E_RECORDED_AT] = TimestampTzGetDatum(posting->now);
		values[E_EVENT_KEY] = ds_inventory_slice_text(event->event_id);
		values[E_KIND] = CStringGetTextDatum(ds_inventory_event_kind_name(event->kind));
		values[E_PERSPECTIVE] = perspective_of(leg);
		values[E_LOT] = ds_inventory_slice_text(event->lot);
		values[E_OWNER_ID] = Int64GetDatum(event->owner_id);
		values[E_STATE] = ds_inventory_slice_text(leg->state);
		values[E_QUANTITY] = NumericGetDatum(plan->changes[i]);
		values[E_COUNTED] = NumericGetDatum(event->quantity);
		nulls[E_COUNTED] = !count;
		values[E_SOURCE] = PointerGetDatum(posting->call->documents->source);
		values[E_STREAM] = ds_inventory_slice_text(event->stream);
		values[E_SEQUENCE] = Int64GetDatum(event->sequence);
		nulls[E_SEQUENCE] = !event->numbered;
		nulls[E_REFERENCE] = event->reference.s == NULL;
		values[E_REFERENCE] =
			nulls[E_REFERENCE] ? (Datum) 0 : ds_inventory_slice_text(event->reference);
		nulls[E_CORRECTS_ID] = true;
		values[E_CORRELATION_ID] = UUIDPGetDatum(&posting->call->documents->correlation_id);
		nulls[E_CORRELATION_ID] = !posting->call->documents->correlated;
		ds_rows_add(posting->call->entries, values, nulls);
		if (count && event->owner_id == 0 && !same_number(plan->changes[i], ZERO))
			posting->found[posting->nfound++] = leg;
	}
}

/* write_balance does the row of a balance. */
static void
write_balance(DsEventPosting *posting, BalancePlan *plan)
{
	static const int changed[] = {B_QUANTITY, B_VERSION, B_LAST_EVENT_AT, B_COUNTED_AT};
	DsRows *w = posting->call->balances;
	const DsLeg *leg = plan->legs;
	Datum values[B_COUNT];
	bool nulls[B_COUNT] = {false};

	values[B_QUANTITY] = NumericGetDatum(plan->quantity);
	values[B_VERSION] = Int64GetDatum(plan->exists ? plan->version + 1 : 1);
	values[B_LAST_EVENT_AT] = TimestampTzGetDatum(plan->last_event_at);
	values[B_COUNTED_AT] = TimestampTzGetDatum(plan->counted_at);
	nulls[B_COUNTED_AT] = plan->counted_at == DT_NOBEGIN;
	if (plan->exists)
	{
		if (!ItemPointerEquals(&w->found->tts_tid, &plan->tid) &&
			!ds_rows_at(w, GetActiveSnapshot(), &plan->tid))
			ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
							errmsg("a balance is gone whose pool is locked")));
		ds_rows_update(w, GetActiveSnapshot(), lengthof(changed), changed, values + B_QUANTITY,
					   nulls + B_QUANTITY);
		return;
	}
	values[B_ITEM_ID] = Int64GetDatum(leg->item_id);
	values[B_SITE_ID] = Int64GetDatum(leg->site_id);
	values[B_PERSPECTIVE] = perspective_of(leg);
	values[B_STATE] = ds_inventory_slice_text(leg->state);
	values[B_LOT] = ds_inventory_slice_text(leg->event->lot);
	values[B_OWNER_ID] = Int64GetDatum(leg->event->owner_id);
	nulls[B_EXPIRES_ON] = true;
	ds_rows_add(w, values, nulls);
}

/* write_pool does the row of a pool. False: somebody has changed it since it was read; who has its lock knows better. */
static bool
write_pool(DsEventPosting *posting, const Terms *terms, Numeric cap)
{
	static const int changed[] = {P_CAP, P_PHYS, P_BOOK, P_VERSION, P_CHANGED_AT};
	DsRows *w = posting->call->pools;
	Datum values[lengthof(changed)];
	bool nulls[lengthof(changed)] = {false};

	values[0] = NumericGetDatum(cap);
	values[1] = NumericGetDatum(terms->phys);
	nulls[1] = terms->phys == NULL;
	values[2] = NumericGetDatum(terms->book);
	nulls[2] = terms->book == NULL;
	values[3] = Int64GetDatum(terms->version + 1);
	values[4] = TimestampTzGetDatum(Max(posting->now, terms->changed_at + 1));
	return ds_rows_update_if(w, GetActiveSnapshot(), lengthof(changed), changed, values, nulls);
}

/*
 * cap_of does what may be promised with these terms. False: the shortfall
 * changes, and somebody has to be told, or a number is too large for the books.
 */
static bool
cap_of(const Terms *terms, Numeric *cap)
{
	Numeric base = terms->phys == NULL	 ? terms->book
				   : terms->book == NULL ? terms->phys
										 : OP(numeric_smaller, terms->phys, terms->book);
	Numeric shortfall;

	*cap = OP(numeric_add, base, terms->low);
	shortfall = OP(numeric_larger, ZERO,
				   OP(numeric_sub, OP(numeric_sub, terms->promised, *cap), terms->beyond));
	return same_number(shortfall, terms->shortfall) && ds_inventory_number_fits(terms->phys) &&
		   ds_inventory_number_fits(terms->book) && ds_inventory_number_fits(*cap);
}

/* plan_pool does what becomes of the balances of a pool, and of its terms. False: it is not plain. */
static bool
plan_pool(DsEventPosting *posting, DsEventPool *pool, Terms *terms, BalancePlan *plans, int *nplans)
{
	Terms before = *terms;

	*nplans = 0;
	for (int i = 0; i < pool->nlegs; i++)
	{
		DsLeg *leg = &pool->legs[i];

		if (i > 0 && ds_inventory_leg_compare_balances(leg - 1, leg) == 0)
		{
			plans[*nplans - 1].nlegs++;
			continue;
		}
		if (*nplans == MAX_BALANCES)
			return false;
		plans[*nplans].legs = leg;
		plans[(*nplans)++].nlegs = 1;
	}
	for (int i = 0; i < *nplans; i++)
	{
		Numeric *side = plans[i].legs->event->book ? &terms->book : &terms->phys;
		bool moved;

		if (*side == NULL || !plan_balance(posting, pool, &before, &plans[i]))
			return false;
		moved = !same_number(plans[i].change, ZERO);
		pool->changed = pool->changed || moved || !plans[i].exists;
		if (moved && plans[i].legs->promisable)
			*side = OP(numeric_add, *side, plans[i].change);
	}
	if (pool->nflights > 0)
	{
		Numeric change = ds_inventory_flight_change(posting, pool);

		pool->changed = pool->changed || !same_number(change, ZERO);
		terms->book = OP(numeric_add, terms->book, change);
	}
	return true;
}

/*
 * ds_inventory_event_pool_post does one pool, whose row was found last. It
 * goes first, and gives the lock: balances change with it and never alone, so
 * where it is as we read it they are, too.
 */
DsEventVerdict
ds_inventory_event_pool_post(DsEventPosting *posting, DsEventPool *pool)
{
	Terms terms;
	BalancePlan plans[MAX_BALANCES];
	int nplans;
	Numeric cap;

	pool->nflights = 0;
	pool->changed = false;
	if (!read_terms(posting, posting->call->pools, &terms) ||
		!plan_pool(posting, pool, &terms, plans, &nplans) || !cap_of(&terms, &cap))
	{
		pool->changed = false;
		return DS_EVENT_NOT_PLAIN;
	}
	if (!write_pool(posting, &terms, cap))
	{
		pool->changed = false;
		return DS_EVENT_OUTDATED;
	}
	for (int i = 0; i < nplans; i++)
	{
		write_entries(posting, &plans[i]);
		write_balance(posting, &plans[i]);
	}
	ds_inventory_flight_write(posting, pool);
	return DS_EVENT_POSTED;
}

/*
 * ds_inventory_event_stamp does the reading of the instant at which we learn of
 * what is posted from now on: not before the snapshot that it is judged by.
 */
void
ds_inventory_event_stamp(DsEventPosting *posting)
{
	DsEventCall *call = posting->call;
	DsRows *entries;

	posting->now = GetCurrentTimestamp();
	entries = ds_rows_parts_writer(call->events, TimestampTzGetDatum(posting->now));
	/* the partition of this moment; that of the beginning of the call if a new one has begun and does not fit */
	if (entries != NULL)
		call->entries = entries;
	else
		posting->now = call->began;
}

/* ds_inventory_event_pools_begin does what comes before the first pool. */
void
ds_inventory_event_pools_begin(DsEventPosting *posting)
{
	ds_inventory_event_stamp(posting);
	posting->sequence = posting->call->sequence;
	for (int i = 0; i < posting->nlegs && !posting->expiring; i++)
		posting->expiring = posting->legs[i].event->expires;
}

/* close_reader does the end of a reader that may be open. */
static void
close_reader(DsReader **reader)
{
	if (*reader != NULL)
		ds_reader_close(*reader);
	*reader = NULL;
}

/* ds_inventory_event_pools_rest does the writing of what waits, and the end of what reads under the snapshot of this moment. */
void
ds_inventory_event_pools_rest(DsEventPosting *posting)
{
	ds_rows_parts_flush(posting->call->events);
	ds_rows_flush(posting->call->balances);
	close_reader(&posting->supplies);
	close_reader(&posting->demands);
	close_reader(&posting->lots);
	close_reader(&posting->kept_lots);
	close_reader(&posting->counts);
	close_reader(&posting->barriers);
	close_reader(&posting->companies);
	close_reader(&posting->departures);
	close_reader(&posting->transits);
}

/* ds_inventory_event_pools_end does the end. */
void
ds_inventory_event_pools_end(DsEventPosting *posting)
{
	ds_inventory_event_pools_rest(posting);
	if (posting->flights != NULL)
		ds_rows_close(posting->flights);
}
