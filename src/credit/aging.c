/*-------------------------------------------------------------------------
 *
 * aging.c
 *		The verb agings(): what is open of everybody, by how late it is.
 *
 * Statements say what is open, at the end of which day, one item after the
 * other in the order in which they lie; it is added up as it comes, in a table
 * by customer. Where the table takes more than work_mem, half of the customers
 * are done after the other half. In the end the parties are read, and each is
 * told with his sums: nothing is sorted and nothing is joined. What is asked
 * for is read and checked by SQL (credit_agings_asked() in aging.sql).
 *
 * Process: any backend. Locks: those of statements that read. Memory: the
 * table as above, in the caller's context; rows in the tuplestore.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/aging.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/params.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/export.h"
#include "base/ratio.h"
#include "base/spi.h"

DS_FUNCTION_INFO_V1(ds_sql_credit_agings);

/* decimals of amounts in dist.open_item and dist.application */
#define DECIMALS 4

/* what credit_agings_asked() says of a day, and what statements are given: day, by posting, companies, zones, edges */
enum
{
	D_DAY,
	D_POSTING,
	D_COMPANIES,
	D_TZS,
	D_EDGES,
	D_GIVEN,
	D_ENDS = D_GIVEN,
	D_PARTY_TZS,
	D_PLANNED,
	D_LATER,
	D_COUNT
};

static const Oid asked_types[] = {DATEOID,		BOOLOID,	  INT8ARRAYOID,
								  TEXTARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID,
								  TEXTARRAYOID, BOOLOID,	  BOOLOID};

/* the columns of what is open */
enum
{
	I_CUSTOMER,
	I_COMPANY,
	I_KIND,
	I_CURRENCY,
	I_POSTED_AT,
	I_AMOUNT,
	I_DAY,
	I_ITEMS
};

#define ITEM "SELECT i.customer_id, i.company_id, i.kind, i.currency, i.posted_at, "
#define AGED(due)                                                                                  \
	"CASE WHEN $2 THEN (i.posted_at AT TIME ZONE ($4)[array_position($3, i.company_id)])::date "   \
	"ELSE " due " END"
#define NOT_PLANNED                                                                                \
	"NOT EXISTS (SELECT FROM dist.instalment n "                                                   \
	"WHERE n.customer_id = i.customer_id AND n.open_item_id = i.open_item_id)"

/* as it is open now */
static const char *const open_now =
	ITEM "i.open_amount, " AGED("i.due_on") ", 1 FROM dist.open_item i WHERE i.open_amount > 0";
/* the same without what is due in instalments */
static const char *const open_whole =
	ITEM "i.open_amount, " AGED("i.due_on") ", 1 FROM dist.open_item i "
											"WHERE i.open_amount > 0 AND " NOT_PLANNED;

/* what was applied after that day was open then */
#define LATER                                                                                      \
	"later AS (SELECT x.customer_id, x.item, sum(x.amount) AS amount FROM dist.application a "     \
	"CROSS JOIN LATERAL (VALUES (a.customer_id, a.from_item_id, a.amount), "                       \
	"(a.customer_id, a.to_item_id, a.amount + a.discount + a.write_off)) "                         \
	"x(customer_id, item, amount) WHERE a.effective_on > $1 AND x.item IS NOT NULL "               \
	"GROUP BY x.customer_id, x.item HAVING sum(x.amount) <> 0) "

/* an item counts once: as it is open now, or as it was and is not any more */
static const char *const open_then =
	"WITH " LATER ITEM
	"l.amount, " AGED("i.due_on") ", CASE 0::numeric WHEN i.open_amount THEN 1 "
								  "WHEN i.open_amount + l.amount THEN -1 ELSE 0 END "
								  "FROM later l JOIN dist.open_item i ON i.customer_id = "
								  "l.customer_id AND i.open_item_id = l.item "
								  "WHERE " NOT_PLANNED;

/* instalments, each on its day; in a bucket an item counts once */
static const char *const open_planned =
	"WITH " LATER
	", planned AS (SELECT DISTINCT n.customer_id, n.open_item_id FROM dist.instalment n) "
	"SELECT x.customer_id, x.company_id, x.kind, x.currency, x.posted_at, x.amount, x.day, "
	"CASE row_number() OVER (PARTITION BY x.customer_id, x.open_item_id, width_bucket($1 - x.day, "
	"$5)) "
	"WHEN 1 THEN 1 ELSE 0 END FROM (" ITEM "p.amount, i.open_item_id, " AGED(
		"p.due_on") " AS day "
					"FROM planned n JOIN dist.open_item i ON i.customer_id = n.customer_id "
					"AND i.open_item_id = n.open_item_id "
					"LEFT JOIN later l ON l.customer_id = i.customer_id AND l.item = "
					"i.open_item_id "
					"CROSS JOIN LATERAL unnest(distsync_internal.credit_parts(i.customer_id, "
					"i.open_item_id, i.due_on, "
					"i.amount, i.amount, i.open_amount + COALESCE(l.amount, 0), 0)) p) x";

static const char *const parties =
	"SELECT p.party_id, p.code FROM dist.party p WHERE $1 IS NULL OR p.tz = ANY ($1)";

/* A company: what is posted from its next day on is not there yet. */
typedef struct Company
{
	int64 company_id;
	TimestampTz end;
} Company;

typedef struct Aging
{
	ReturnSetInfo *rows;
	MemoryContext home;	   /* of what is kept until the end */
	MemoryContext context; /* of a row that is told */
	DateADT day;
	int ncompanies;
	Company *companies;
	const Company *company; /* the last one */
	int nedges;
	int32 *edges;
	int ncurrencies;
	Datum *currencies;
	int32 currency; /* the last one */
	DsAgingSums *sums;
	uint32 mask; /* of the hash of those who are done now */
	uint32 half; /* what it is under the mask */
	bool full;
} Aging;

/* What a statement brings, row by row. */
typedef struct Receiver
{
	DestReceiver receiver;
	Aging *aging;
} Receiver;

/* the columns of the answer */
enum
{
	A_CUSTOMER,
	A_CURRENCY,
	A_BUCKET,
	A_FROM,
	A_TO,
	A_AMOUNT,
	A_ITEMS,
	A_COUNT
};

/* is_word does the comparison of a text with a word. */
static inline bool
is_word(Datum value, const char *word, size_t length)
{
	struct varlena *t = (struct varlena *) DatumGetPointer(value);

	return VARSIZE_ANY_EXHDR(t) == length && memcmp(VARDATA_ANY(t), word, length) == 0;
}

#define IS_WORD(value, word) is_word((value), (word), sizeof(word) - 1)

/* is_there does the question whether an item of a company is posted by the end of the day. */
static bool
is_there(Aging *self, int64 company_id, TimestampTz posted_at)
{
	if (self->company == NULL || self->company->company_id != company_id)
	{
		self->company = NULL;
		for (int i = 0; i < self->ncompanies && self->company == NULL; i++)
		{
			if (self->companies[i].company_id == company_id)
				self->company = &self->companies[i];
		}
	}
	return self->company != NULL && posted_at < self->company->end;
}

/* currency_of does the number of a currency. */
static int32
currency_of(Aging *self, Datum currency)
{
	struct varlena *text = (struct varlena *) DatumGetPointer(currency);
	int32 n = self->currency;
	MemoryContext old;

	if (n < self->ncurrencies &&
		is_word(self->currencies[n], VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text)))
		return n;
	for (n = 0; n < self->ncurrencies; n++)
	{
		if (is_word(self->currencies[n], VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text)))
			return self->currency = n;
	}
	/* there are as many as in dist.currency */
	old = MemoryContextSwitchTo(self->home);
	self->currencies = repalloc(self->currencies, sizeof(Datum) * (n + 1));
	self->currencies[self->ncurrencies++] = datumCopy(currency, false, -1);
	MemoryContextSwitchTo(old);
	return self->currency = n;
}

/* place_of does the place of an item: the bucket of its age. */
static int32
place_of(const Aging *self, bool isnull, Datum day)
{
	int32 age = self->day - DatumGetDateADT(day);
	int low = 0;
	int high = self->nedges;

	if (isnull)
		return DS_AGING_NO_DAY;
	while (low < high)
	{
		int middle = (low + high) / 2;

		if (self->edges[middle] <= age)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* take_item does the adding of an item that is open. False: there is no room, and nothing more has to come. */
static bool
take_item(TupleTableSlot *slot, DestReceiver *receiver)
{
	Aging *self = ((Receiver *) receiver)->aging;
	Datum *values = slot->tts_values;
	int64 customer_id;
	DsAgingSum sum = {0};

	slot_getallattrs(slot);
	customer_id = DatumGetInt64(values[I_CUSTOMER]);
	if (((uint32) (ds_credit_aging_hash(customer_id) >> 32) & self->mask) != self->half ||
		!is_there(self, DatumGetInt64(values[I_COMPANY]), DatumGetTimestampTz(values[I_POSTED_AT])))
		return true;
	sum.currency = currency_of(self, values[I_CURRENCY]);
	sum.place = IS_WORD(values[I_KIND], "payment") || IS_WORD(values[I_KIND], "deposit") ||
						IS_WORD(values[I_KIND], "credit_memo")
					? DS_AGING_UNAPPLIED
					: place_of(self, slot->tts_isnull[I_DAY], values[I_DAY]);
	sum.items = DatumGetInt32(values[I_ITEMS]);
	if (!ds_decimal_at(values[I_AMOUNT], DECIMALS, &sum.amount))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("an amount of dist.open_item has more than %d decimals", DECIMALS),
						errhint("Call distsync.verify().")));
	self->full = !ds_credit_aging_add(self->sums, customer_id, &sum);
	return !self->full;
}

/* amount_of does the amount of a sum; what is unapplied is in favour of the customer. */
static Numeric
amount_of(const DsAgingSum *sum)
{
	int128 amount = sum->place == DS_AGING_UNAPPLIED ? -sum->amount : sum->amount;

	if (amount == (int64) amount)
		return int64_div_fast_to_numeric((int64) amount, DECIMALS);
	return ds_ratio_to_numeric(ds_ratio_narrow(amount, ds_ratio_power_of_ten(DECIMALS)), DECIMALS,
							   DS_ROUND_DOWN);
}

/* bucket_of does the columns that say which bucket a place is. */
static void
bucket_of(const Aging *self, int32 place, Datum *values, bool *nulls)
{
	char name[64];

	nulls[A_BUCKET] = place == DS_AGING_NO_DAY;
	nulls[A_FROM] = place <= 0;
	nulls[A_TO] = place <= 0 || place == self->nedges;
	if (place == DS_AGING_UNAPPLIED)
		strlcpy(name, "unapplied", sizeof(name));
	else if (place == 0)
		strlcpy(name, "current", sizeof(name));
	else if (!nulls[A_TO])
		snprintf(name, sizeof(name), "%d-%d", self->edges[place - 1], self->edges[place] - 1);
	else if (!nulls[A_FROM])
		snprintf(name, sizeof(name), "%d+", self->edges[place - 1]);
	if (!nulls[A_BUCKET])
		values[A_BUCKET] = CStringGetTextDatum(name);
	if (!nulls[A_FROM])
		values[A_FROM] = Int32GetDatum(self->edges[place - 1]);
	if (!nulls[A_TO])
		values[A_TO] = Int32GetDatum(self->edges[place] - 1);
}

/* take_party does the telling of the sums of a party. */
static bool
take_party(TupleTableSlot *slot, DestReceiver *receiver)
{
	Aging *self = ((Receiver *) receiver)->aging;
	MemoryContext old = MemoryContextSwitchTo(self->context);
	const DsAgingSum *sum;
	Datum values[A_COUNT];
	bool nulls[A_COUNT] = {false};

	slot_getallattrs(slot);
	values[A_CUSTOMER] = slot->tts_values[1];
	for (sum = ds_credit_aging_first(self->sums, DatumGetInt64(slot->tts_values[0])); sum != NULL;
		 sum = ds_credit_aging_next(self->sums, sum))
	{
		if (sum->items <= 0)
			continue;
		bucket_of(self, sum->place, values, nulls);
		values[A_CURRENCY] = self->currencies[sum->currency];
		values[A_AMOUNT] = NumericGetDatum(amount_of(sum));
		values[A_ITEMS] = Int64GetDatum(sum->items);
		tuplestore_putvalues(self->rows->setResult, self->rows->setDesc, values, nulls);
		MemoryContextReset(self->context);
	}
	MemoryContextSwitchTo(old);
	return true;
}

/* begin_rows, end_rows and drop_receiver do nothing: a receiver lives on the stack. */
static void
begin_rows(DestReceiver *receiver, int operation, TupleDesc desc)
{
}

static void
end_rows(DestReceiver *receiver)
{
}

/* run does a statement whose rows are taken one by one, planned for these very values. */
static void
run(Aging *self, const char *sql, bool (*take)(TupleTableSlot *, DestReceiver *), int nargs,
	const Datum *values, const bool *nulls, const Oid *types)
{
	Receiver receiver = {{take, begin_rows, end_rows, end_rows, DestNone}, self};
	SPIExecuteOptions options = {0};
	SPIPlanPtr plan =
		SPI_prepare_cursor(sql, nargs, unconstify(Oid *, types), CURSOR_OPT_CUSTOM_PLAN);
	int code;

	if (plan == NULL)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not prepare a statement of agings(): %s",
							   SPI_result_code_string(SPI_result))));
	options.params = makeParamList(nargs);
	for (int i = 0; i < nargs; i++)
		options.params->params[i] = (ParamExternData){
			.value = values[i], .isnull = nulls[i], .pflags = PARAM_FLAG_CONST, .ptype = types[i]};
	/* the snapshot of who asks */
	options.read_only = true;
	options.dest = &receiver.receiver;
	code = SPI_execute_plan_extended(plan, &options);
	if (code < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("a statement of agings() failed: %s", SPI_result_code_string(code))));
	SPI_freeplan(plan);
}

/* add_up does the sums of those that are done now. False: there is no room. */
static bool
add_up(Aging *self, const Datum *values, const bool *nulls)
{
	bool planned = DatumGetBool(values[D_PLANNED]);

	self->full = false;
	run(self, planned ? open_whole : open_now, take_item, D_GIVEN, values, nulls, asked_types);
	if (!self->full && DatumGetBool(values[D_LATER]))
		run(self, open_then, take_item, D_GIVEN, values, nulls, asked_types);
	if (!self->full && planned)
		run(self, open_planned, take_item, D_GIVEN, values, nulls, asked_types);
	return !self->full;
}

/* age does the customers whose hash is so under a mask; where there is no room for all of them, one half after the other. */
static void
age(Aging *self, uint32 mask, uint32 half, const Datum *values, const bool *nulls)
{
	self->mask = mask;
	self->half = half;
	if (add_up(self, values, nulls))
	{
		run(self, parties, take_party, 1, &values[D_PARTY_TZS], &nulls[D_PARTY_TZS],
			&asked_types[D_PARTY_TZS]);
		ds_credit_aging_forget(self->sums);
		return;
	}
	/* cannot happen: one customer always has room */
	if (mask == PG_UINT32_MAX)
		elog(ERROR, "work_mem does not suffice for one customer");
	ds_credit_aging_forget(self->sums);
	age(self, mask << 1 | 1, half, values, nulls);
	age(self, mask << 1 | 1, half | (mask + 1), values, nulls);
}

/* take_day does the reading of a day and its companies and buckets. False: there is no company. */
static bool
take_day(Aging *self, const Datum *values, const bool *nulls)
{
	Datum *ids;
	Datum *ends;
	Datum *edges;
	bool *none;
	int n;

	if (nulls[D_COMPANIES])
		return false;
	self->day = DatumGetDateADT(values[D_DAY]);
	self->company = NULL;
	deconstruct_array(DatumGetArrayTypeP(values[D_COMPANIES]), INT8OID, sizeof(int64),
					  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &ids, &none, &self->ncompanies);
	deconstruct_array(DatumGetArrayTypeP(values[D_ENDS]), TIMESTAMPTZOID, sizeof(int64),
					  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &ends, &none, &n);
	self->companies = palloc_array(Company, self->ncompanies);
	for (int i = 0; i < self->ncompanies; i++)
		self->companies[i] = (Company){DatumGetInt64(ids[i]), DatumGetTimestampTz(ends[i])};
	deconstruct_array(DatumGetArrayTypeP(values[D_EDGES]), INT4OID, sizeof(int32), true,
					  TYPALIGN_INT, &edges, &none, &self->nedges);
	self->edges = palloc_array(int32, self->nedges);
	for (int i = 0; i < self->nedges; i++)
		self->edges[i] = DatumGetInt32(edges[i]);
	return true;
}

/* age_days does the aging of all that was asked for: of everybody at one day, or of each at his own today. */
static void
age_days(FunctionCallInfo fcinfo, Aging *self)
{
	Oid types[] = {DATEOID, JSONBOID};
	Datum args[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	char nulls[] = {PG_ARGISNULL(0) ? 'n' : ' ', PG_ARGISNULL(1) ? 'n' : ' '};
	SPITupleTable *days;
	uint64 n;
	int code = SPI_execute_with_args("SELECT a.day, a.posting, a.companies, a.tzs, a.edges, "
									 "a.ends, a.party_tzs, a.planned, a.later "
									 "FROM distsync_internal.credit_agings_asked($1, $2) a",
									 lengthof(args), types, args, nulls, true, 0);

	if (code != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("a statement of agings() failed: %s", SPI_result_code_string(code))));
	days = SPI_tuptable;
	n = SPI_processed;
	ds_spi_expect("credit_agings_asked", asked_types, D_COUNT);
	for (uint64 i = 0; i < n; i++)
	{
		Datum values[D_COUNT];
		bool missing[D_COUNT];

		heap_deform_tuple(days->vals[i], days->tupdesc, values, missing);
		if (take_day(self, values, missing))
			age(self, 0, 0, values, missing);
	}
}

/* ds_sql_credit_agings does agings(as_of, options). */
Datum
ds_sql_credit_agings(PG_FUNCTION_ARGS)
{
	Aging self = {0};

	InitMaterializedSRF(fcinfo, 0);
	self.rows = (ReturnSetInfo *) fcinfo->resultinfo;
	if (SPI_connect() != SPI_OK_CONNECT)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not connect to SPI")));
	self.home = CurrentMemoryContext;
	self.context =
		AllocSetContextCreate(CurrentMemoryContext, "distsync aging row", ALLOCSET_SMALL_SIZES);
	self.currencies = palloc(sizeof(Datum));
	self.sums = ds_credit_aging_sums((Size) work_mem * 1024);
	age_days(fcinfo, &self);
	SPI_finish();
	return (Datum) 0;
}
