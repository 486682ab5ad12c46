/*-------------------------------------------------------------------------
 *
 * hold_judge.c
 *		What becomes of reservations that are committed, released or extended,
 *		and of what they stand in: nothing is written here.
 *
 * It is what inventory_hold_do() and inventory_give_back() do, where nothing
 * is wrong and the pools need no more than their counters: nothing waits in
 * them, they promise no more than there is, time has not passed them, and the
 * demands that have less of ours want no more from them.
 *
 * Process: any backend. Locks: those of the pools are held. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/hold.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "base/compat.h"
#include "base/reader.h"
#include "base/verb.h"
#include "inventory/reserve.h"

enum
{
	L_ID,
	L_STATE,
	L_EXPIRES_AT
};

/* the live reservations of a pool, that which ends first before the others */
static DsTable live_table = {
	.name = "reservation",
	.index = "reservation_live_idx",
	.keys = {"item_id", "site_id", "expires_at"},
	.columns = {"reservation_id", "state", "expires_at"},
	.where = "state IN ('held', 'committed')",
};

enum
{
	D_RESERVED,
	D_ORDERED,
	D_ALLOCATED,
	D_SHIPPED
};

static DsTable demand_table = {
	.name = "demand",
	.index = "demand_key_uq",
	.keys = {"demand_key", "item_id", "site_id"},
	.columns = {"reserved", "ordered", "allocated", "shipped"},
};

/* what inventory_hold_fault() says */
#define FAULT_PARTS 5

#define ZERO int64_to_numeric(0)
#define PLUS(a, b) DS_NUMERIC(numeric_add, (a), (b))
#define LESS(a, b) DS_NUMERIC(numeric_sub, (a), (b))
#define LEAST(a, b) DS_NUMERIC(numeric_smaller, (a), (b))
#define MOST(a, b) DS_NUMERIC(numeric_larger, (a), (b))
#define SAME(a, b) DS_NUMERIC_IS(numeric_eq, (a), (b))
#define ABOVE(a, b) DS_NUMERIC_IS(numeric_gt, (a), (b))

/* is_whole does the question whether a number has no more decimals than so many. */
static bool
is_whole(Numeric number, int decimals)
{
	return !numeric_is_nan(number) && !numeric_is_inf(number) &&
		   DatumGetInt32(DirectFunctionCall1(numeric_min_scale, NumericGetDatum(number))) <=
			   decimals;
}

/*
 * kits_of does the number of kits that a component's quantity makes. False: it
 * makes no whole number of them, because some have shipped.
 */
static bool
kits_of(const DsHoldPart *part, Numeric quantity, Numeric *kits)
{
	*kits = DS_NUMERIC(numeric_div_trunc, quantity, part->per);
	return SAME(DS_NUMERIC(numeric_mul, *kits, part->per), quantity);
}

/* is_intact does the question whether the components of a kit are in the same state, and nothing of them has shipped. */
static bool
is_intact(const DsHoldCall *call, const DsHold *hold)
{
	const DsHoldPart *first = &call->parts[hold->first];
	Numeric quantity;
	Numeric committed;

	if (!kits_of(first, first->quantity, &quantity) ||
		!kits_of(first, first->committed, &committed))
		return false;
	for (int i = 0; i < hold->nparts; i++)
	{
		const DsHoldPart *part = first + i;
		Numeric kits;

		if (part->per == NULL || strcmp(part->state, first->state) != 0 ||
			part->expires_at != first->expires_at || !SAME(part->shipped, ZERO) ||
			!kits_of(part, part->quantity, &kits) || !SAME(kits, quantity) ||
			!kits_of(part, part->committed, &kits) || !SAME(kits, committed))
			return false;
	}
	return true;
}

/* is_right does the question whether nothing is wrong with the command on a reservation: inventory_hold_fault() says what is. */
static bool
is_right(const DsHoldCall *call, const DsHold *hold)
{
	const DsHoldPart *part = &call->parts[hold->first];
	bool held = strcmp(part->state, "held") == 0;
	Numeric most = LESS(part->quantity, call->voids ? part->shipped : part->committed);
	Numeric asked = hold->quantity;

	if (!held && (!call->voids || strcmp(part->state, "committed") != 0))
		return false;
	if (held && part->expires_at <= call->at)
		return false;
	if (call->holder != NULL &&
		strcmp(call->holder, ds_inventory_hold_text(call, part, DS_HOLD_HOLDER)) != 0)
		return false;
	if (part->per != NULL && !is_intact(call, hold))
		return false;
	if (asked == NULL)
		return true;
	if (!is_whole(asked, part->per == NULL ? 6 : 0) || !ABOVE(asked, ZERO))
		return false;
	return !ABOVE(part->per == NULL ? asked : DS_NUMERIC(numeric_mul, asked, part->per), most);
}

/*
 * ask_fault does what is wrong with the command on a reservation, as the whole
 * path says it. False: it takes the whole path.
 */
static bool
ask_fault(const DsHoldCall *call, DsHold *hold)
{
	static const Oid types[] = {TEXTOID, INT8OID, NUMERICOID, JSONBOID};
	LOCAL_FCINFO(fcinfo, 4);
	FmgrInfo flinfo;
	Datum said;
	int n;

	if (!call->collect || (hold->nparts > 0 && call->parts[hold->first].per != NULL))
		return false;
	fmgr_info(ds_verb_behind("inventory_hold_fault", types, lengthof(types)), &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, lengthof(types), InvalidOid, NULL, NULL);
	fcinfo->args[0].value =
		CStringGetTextDatum(call->verb == DS_HOLD_COMMIT ? "commit" : "release");
	fcinfo->args[1].value = Int64GetDatum(hold->said);
	fcinfo->args[2].value = NumericGetDatum(hold->quantity);
	fcinfo->args[3].value = JsonbPGetDatum(call->options_said);
	for (int i = 0; i < lengthof(types); i++)
		fcinfo->args[i].isnull = i == 2 && hold->quantity == NULL;
	said = FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull)
		return false;
	deconstruct_array(DatumGetArrayTypePCopy(said), TEXTOID, -1, false, TYPALIGN_INT, &hold->fault,
					  NULL, &n);
	return n == FAULT_PARTS;
}

/*
 * ends_partly does the question whether a reservation is over that is
 * committed in part: the whole path ends it first, and what was committed can
 * be given back then. Of a hot pool that is not seen by the pool.
 */
static bool
ends_partly(const DsHoldCall *call, const DsHold *hold)
{
	for (int i = 0; i < hold->nparts; i++)
	{
		const DsHoldPart *part = &call->parts[hold->first + i];

		if (strcmp(part->state, "held") == 0 && part->expires_at <= call->at &&
			ABOVE(part->committed, ZERO))
			return true;
	}
	return false;
}

/* commit does what becomes of a part that is committed. */
static void
commit(const DsHoldCall *call, DsHoldPart *part, Numeric asked)
{
	Numeric open = LESS(part->quantity, part->committed);

	part->taken = asked == NULL ? open : LEAST(asked, open);
	part->from_held = call->keep_rest ? ZERO : LESS(open, part->taken);
	part->from_committed = ZERO;
	part->new_quantity = LESS(part->quantity, part->from_held);
	part->new_committed = PLUS(part->committed, part->taken);
	if (SAME(part->new_committed, part->new_quantity))
	{
		part->new_state = "committed";
		part->new_expires_at = DT_NOEND;
	}
}

/* give_back does what becomes of a part that is released: what is held first, then what is committed and has not left. */
static void
give_back(const DsHoldCall *call, DsHoldPart *part, Numeric asked)
{
	Numeric open = LESS(part->quantity, part->committed);

	if (asked == NULL)
		asked = LESS(part->quantity, call->voids ? part->shipped : part->committed);
	part->taken = ZERO;
	part->from_held = LEAST(asked, open);
	part->from_committed =
		LEAST(LESS(asked, part->from_held), LESS(part->committed, part->shipped));
	if (SAME(PLUS(part->from_held, part->from_committed), part->quantity))
	{
		/* what has ended keeps its quantity: it says what was promised */
		part->new_state = call->voids ? "void" : "released";
		part->new_committed = ZERO;
		part->ends = true;
		return;
	}
	part->new_quantity = LESS(LESS(part->quantity, part->from_held), part->from_committed);
	part->new_committed = LESS(part->committed, part->from_committed);
	part->ends = SAME(part->new_quantity, part->shipped);
	part->new_state = part->ends ? "shipped" : SAME(part->from_held, open) ? "committed" : "held";
	if (SAME(part->from_held, open))
		part->new_expires_at = DT_NOEND;
}

/* leave does what becomes of a part of which something is wrong: nothing. */
static void
leave(DsHoldPart *part)
{
	part->new_quantity = part->quantity;
	part->new_committed = part->committed;
	part->new_state = part->state;
	part->new_expires_at = part->expires_at;
	part->ends = false;
	part->stays = true;
	part->taken = part->from_held = part->from_committed = ZERO;
}

/* plan does what becomes of a part. asked: base units, NULL = all of it. */
static void
plan(const DsHoldCall *call, DsHoldPart *part, Numeric asked)
{
	leave(part);
	part->stays = false;
	if (call->verb == DS_HOLD_EXTEND)
		part->new_expires_at = call->until;
	else if (call->verb == DS_HOLD_COMMIT)
		commit(call, part, asked);
	else
		give_back(call, part, asked);
}

/*
 * plan_all does the same for all parts of all reservations. False: something is
 * wrong with one, one is to end first, or it waives what it has lost.
 */
static bool
plan_all(DsHoldCall *call)
{
	for (int i = 0; i < call->nholds; i++)
	{
		DsHold *hold = &call->holds[i];

		if (ends_partly(call, hold) ||
			(!(hold->nparts > 0 && is_right(call, hold)) && !ask_fault(call, hold)))
			return false;
		for (int n = 0; n < hold->nparts; n++)
		{
			DsHoldPart *part = &call->parts[hold->first + n];

			if (hold->fault != NULL)
			{
				leave(part);
				continue;
			}
			if (part->lost && call->verb != DS_HOLD_EXTEND)
				return false;
			plan(call, part,
				 hold->quantity == NULL || part->per == NULL
					 ? hold->quantity
					 : DS_NUMERIC(numeric_mul, hold->quantity, part->per));
		}
	}
	return true;
}

/* count does the sums of what the parts change in their pools. */
static void
count(DsHoldCall *call)
{
	for (int i = 0; i < call->npools; i++)
	{
		call->pools[i].held = call->pools[i].taken = call->pools[i].freed = ZERO;
		call->pools[i].moves = false;
		call->pools[i].first_gone = call->pools[i].first_stays = DT_NOEND;
	}
	for (int i = 0; i < call->nparts; i++)
	{
		DsHoldPart *part = &call->parts[i];
		DsHoldPool *pool = part->pool;
		bool stays = strcmp(part->new_state, "held") == 0;

		pool->moves = pool->moves || !part->stays;
		pool->held = PLUS(pool->held, PLUS(part->taken, part->from_held));
		pool->taken = PLUS(pool->taken, part->taken);
		pool->freed = PLUS(pool->freed, part->from_committed);
		if (!stays || part->new_expires_at > part->expires_at)
			pool->first_gone = Min(pool->first_gone, part->expires_at);
		if (stays)
			pool->first_stays = Min(pool->first_stays, part->new_expires_at);
	}
}

/* suffices does the question whether the counters of a pool are all that changes in it. */
static bool
suffices(const DsHoldCall *call, const DsHoldPool *pool)
{
	const DsRows *w = call->pool_rows;
	HeapTuple row = pool->row;
	bool dealt = DatumGetInt16(ds_inventory_whole(w, row, DS_POOL_SLOTS)) > 0;
	Numeric promised = PLUS(PLUS(ds_inventory_number(w, row, DS_POOL_HELD),
								 ds_inventory_number(w, row, DS_POOL_COMMITTED)),
							ds_inventory_number(w, row, DS_POOL_DEALT));
	Numeric most =
		PLUS(ds_inventory_number(w, row, DS_POOL_CAP), ds_inventory_number(w, row, DS_POOL_SAFETY));

	/* of a hot pool holds may be over: they end together */
	return !DatumGetBool(ds_inventory_whole(w, row, DS_POOL_WAITING)) &&
		   SAME(ds_inventory_number(w, row, DS_POOL_SHORTFALL), ZERO) && !ABOVE(promised, most) &&
		   ds_inventory_instant(w, row, dealt ? DS_POOL_CAP_UNTIL : DS_POOL_VALID_UNTIL) > call->at;
}

/* owed does what a demand wants that we do not hold. */
static Numeric
owed(const Datum *values, Numeric reserved)
{
	Numeric wanted = MOST(DatumGetNumeric(values[D_ORDERED]), DatumGetNumeric(values[D_ALLOCATED]));
	Numeric ours = MOST(reserved, DatumGetNumeric(values[D_SHIPPED]));

	return MOST(ZERO, LESS(wanted, ours));
}

/* status_of does what inventory_demand_status() does. */
static const char *
status_of(const Datum *values, Numeric reserved)
{
	Numeric shipped = DatumGetNumeric(values[D_SHIPPED]);
	Numeric most = MOST(MOST(reserved, DatumGetNumeric(values[D_ORDERED])),
						DatumGetNumeric(values[D_ALLOCATED]));

	return ABOVE(most, shipped) ? "open" : ABOVE(shipped, ZERO) ? "done" : "cancelled";
}

/* compare_demands does the order of parts by the demand that they serve. */
static int
compare_demands(const void *a, const void *b)
{
	const DsHoldPart *x = *(DsHoldPart *const *) a;
	const DsHoldPart *y = *(DsHoldPart *const *) b;

	if (x->item_id != y->item_id)
		return x->item_id < y->item_id ? -1 : 1;
	if (x->site_id != y->site_id)
		return x->site_id < y->site_id ? -1 : 1;
	return strcmp(x->demand_key, y->demand_key);
}

/* read_demand does the look-up of a demand that has so much less of ours. False: it is not there, or wants more from its pool then. */
static bool
read_demand(DsReader *reader, const DsHoldPart *part, Numeric less, DsHoldDemand *demand)
{
	Datum keys[3] = {CStringGetTextDatum(part->demand_key), Int64GetDatum(part->item_id),
					 Int64GetDatum(part->site_id)};
	Numeric reserved;

	ds_reader_seek(reader, keys, 3);
	if (!ds_reader_next(reader) || reader->slot == NULL)
		return false;
	reserved = DatumGetNumeric(reader->values[D_RESERVED]);
	demand->pool = part->pool;
	demand->key = part->demand_key;
	demand->row = ExecCopySlotHeapTuple(reader->slot);
	demand->reserved = LESS(reserved, less);
	demand->status = status_of(reader->values, demand->reserved);
	return SAME(owed(reader->values, reserved), owed(reader->values, demand->reserved));
}

/* read_demands does the same for all that have less. */
static bool
read_demands(DsHoldCall *call)
{
	DsHoldPart **serving = palloc_extended(sizeof(DsHoldPart *) * call->nparts, MCXT_ALLOC_HUGE);
	DsReader *reader;
	int n = 0;
	bool good = true;

	call->ndemands = 0;
	for (int i = 0; i < call->nparts; i++)
		if (call->parts[i].demand_key != NULL &&
			ABOVE(PLUS(call->parts[i].from_held, call->parts[i].from_committed), ZERO))
			serving[n++] = &call->parts[i];
	if (n == 0)
		return true;
	if (call->demand_rows == NULL)
		return false;
	qsort(serving, n, sizeof(DsHoldPart *), compare_demands);
	call->demands = palloc_extended(sizeof(DsHoldDemand) * n, MCXT_ALLOC_HUGE);
	reader = ds_reader_open(&demand_table);
	for (int i = 0; good && i < n;)
	{
		int first = i;
		Numeric less = ZERO;

		for (; i < n && compare_demands(&serving[first], &serving[i]) == 0; i++)
			less = PLUS(less, PLUS(serving[i]->from_held, serving[i]->from_committed));
		good = read_demand(reader, serving[first], less, &call->demands[call->ndemands++]);
	}
	ds_reader_close(reader);
	return good;
}

/* is_ours does the question whether a reservation is one of the call. */
static bool
is_ours(const DsHoldCall *call, int64 id)
{
	int low = 0;
	int high = call->nparts;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (call->by_id[middle]->id == id)
			return true;
		if (call->by_id[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* next_end does the first end of a hold of a pool that is none of the call's; DT_NOEND = none. */
static TimestampTz
next_end(const DsHoldCall *call, const DsHoldPool *pool)
{
	DsReader *reader = ds_reader_open(&live_table);
	Datum keys[2] = {Int64GetDatum(pool->item_id), Int64GetDatum(pool->site_id)};
	TimestampTz end = DT_NOEND;

	ds_reader_seek(reader, keys, 2);
	while (end == DT_NOEND && ds_reader_next(reader) && !reader->nulls[L_EXPIRES_AT])
		if (ds_reader_text_is(reader, L_STATE, "held") &&
			!is_ours(call, DatumGetInt64(reader->values[L_ID])))
			end = DatumGetTimestampTz(reader->values[L_EXPIRES_AT]);
	ds_reader_close(reader);
	return end;
}

/* ds_inventory_hold_until does the first instant at which time alone changes a pool, once the call is done; DT_NOEND = never. */
TimestampTz
ds_inventory_hold_until(const DsHoldCall *call, const DsHoldPool *pool)
{
	TimestampTz until = ds_inventory_instant(call->pool_rows, pool->row, DS_POOL_VALID_UNTIL);

	if (pool->first_gone <= until)
		until = Min(ds_inventory_instant(call->pool_rows, pool->row, DS_POOL_CAP_UNTIL),
					next_end(call, pool));
	return Min(until, pool->first_stays);
}

/*
 * ds_inventory_hold_judge does the plan of what becomes of everything, under
 * the locks of the pools. False: something is wrong, or more is to be done
 * than this.
 */
bool
ds_inventory_hold_judge(DsHoldCall *call)
{
	if (!plan_all(call))
		return false;
	count(call);
	for (int i = 0; i < call->npools; i++)
		if (!suffices(call, &call->pools[i]))
			return false;
	return read_demands(call);
}
