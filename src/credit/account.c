/*-------------------------------------------------------------------------
 *
 * account.c
 *		Credit accounts: the row with its terms of exposure, its limit, and
 *		those above it.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/credit.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "base/compat.h"
#include "base/hint.h"
#include "base/ratio.h"
#include "base/reader.h"

/* of amounts */
#define DECIMALS 4

enum
{
	A_ID,
	A_CODE,
	A_CUSTOMER,
	A_COMPANY,
	A_PARENT,
	A_CURRENCY,
	A_STATUS,
	A_REASON,
	A_RECEIVABLE,
	A_UNBILLED,
	A_OPEN_ORDERS,
	A_UNAPPLIED,
	A_DEPOSITS,
	A_CREDITS,
	A_DISPUTED,
	A_DUNNING,
	A_REVIEW,
	A_EXCLUDE,
	A_LATE_ON,
	A_LATE,
	A_LATE_DISPUTED,
	A_OLDEST,
	A_NEXT,
	A_BEFORE,
	A_LIMIT,
	A_LIMIT_ENDED,
	A_LIMIT_FROM,
	A_LIMIT_UNTIL,
	A_HORIZON,
	A_HORIZON_TO,
	A_LATER
};

#define ACCOUNT_COLUMNS                                                                            \
	{                                                                                              \
		"account_id", "code", "customer_id", "company_id", "parent_id", "currency", "status",      \
			"status_reason", "receivable", "unbilled", "open_orders", "unapplied", "deposits",     \
			"credits", "disputed", "dunning_level", "review_on", "exclude_disputed", "late_on",    \
			"late_amount", "late_disputed", "oldest_due_on", "next_due_on", "late_before",         \
			"limit_amount", "limit_ended", "limit_from", "limit_until", "horizon_days",            \
			"horizon_to", "later_amount"                                                           \
	}

static DsTable account_table = {
	.name = "credit_account",
	.index = "credit_account_pk",
	.keys = {"account_id"},
	.columns = ACCOUNT_COLUMNS,
};

static DsTable customer_table = {
	.name = "credit_account",
	.index = "credit_account_customer_uq",
	.keys = {"customer_id", "company_id", "segment"},
	.columns = ACCOUNT_COLUMNS,
};

enum
{
	L_KIND,
	L_AMOUNT,
	L_VALID
};

static DsTable limit_table = {
	.name = "credit_limit",
	.index = "credit_limit_account_idx",
	.keys = {"account_id"},
	.columns = {"kind", "amount", "valid"},
};

const char *const ds_credit_term_words[DS_CREDIT_TERMS] = {
	"receivable", "unbilled", "open_orders", "unapplied", "deposits", "credits", "disputed"};

/* day does a day of a column, DATEVAL_NOEND for null. */
static DateADT
day(const DsReader *reader, int column)
{
	return reader->nulls[column] ? DATEVAL_NOEND : DatumGetDateADT(reader->values[column]);
}

/* number does the copying of a number of a column. */
static Numeric
number(const DsReader *reader, int column)
{
	return DatumGetNumericCopy(reader->values[column]);
}

/* ds_credit_zero does the number 0. */
Numeric
ds_credit_zero(void)
{
	static Numeric zero = NULL;

	if (zero == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		zero = int64_to_numeric(0);
		MemoryContextSwitchTo(old);
	}
	return zero;
}

/* nothing does the number 0 as the columns of accounts keep it, with four decimals. */
static Numeric
nothing(void)
{
	static Numeric zero = NULL;

	if (zero == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		zero = int64_div_fast_to_numeric(0, DECIMALS);
		MemoryContextSwitchTo(old);
	}
	return zero;
}

/* amount does an amount of a column, which has four decimals: most are 0. */
static Numeric
amount(const DsReader *reader, int column)
{
	return ds_decimal_is_zero(reader->values[column]) ? nothing() : number(reader, column);
}

/* take_terms does the reading of the terms of exposure, with their signs, and their sum. All have four decimals, so that a 0 adds nothing. */
static void
take_terms(const DsReader *reader, DsCreditAccount *account)
{
	int i;

	for (i = 0; i < DS_CREDIT_TERMS; i++)
	{
		Numeric term = amount(reader, A_RECEIVABLE + i);
		bool any = term != nothing();

		if (A_RECEIVABLE + i == A_DISPUTED)
		{
			account->disputed = any;
			if (!account->exclude_disputed)
			{
				term = ds_credit_zero();
				any = false;
			}
		}
		if (any && A_RECEIVABLE + i >= A_UNAPPLIED)
			term = DatumGetNumeric(DirectFunctionCall1(numeric_uminus, NumericGetDatum(term)));
		account->terms[i] = term;
		account->owed[i] = any;
		if (i == 0)
			account->exposure = term;
		else if (any)
			account->exposure = DS_CREDIT_OP(numeric_add, account->exposure, term);
	}
}

/* take_before does the copying of what was due before each of the last days. */
static void
take_before(const DsReader *reader, DsCreditAccount *account)
{
	ArrayType *days;
	Datum *values;
	bool *nulls;
	int i;

	account->nbefore = 0;
	if (reader->nulls[A_BEFORE])
		return;
	days = DatumGetArrayTypePCopy(reader->values[A_BEFORE]);
	deconstruct_array(days, NUMERICOID, -1, false, TYPALIGN_INT, &values, &nulls,
					  &account->nbefore);
	account->before = palloc(sizeof(Numeric) * account->nbefore);
	for (i = 0; i < account->nbefore; i++)
	{
		if (nulls[i])
			account->nbefore = i;
		else
			account->before[i] = DatumGetNumeric(values[i]);
	}
}

/* take does the copying of an account that was read. */
static void
take(const DsReader *reader, DsCreditAccount *account)
{
	account->account_id = DatumGetInt64(reader->values[A_ID]);
	account->customer_id = DatumGetInt64(reader->values[A_CUSTOMER]);
	account->company_id = DatumGetInt64(reader->values[A_COMPANY]);
	account->parent_id = reader->nulls[A_PARENT] ? 0 : DatumGetInt64(reader->values[A_PARENT]);
	account->code = TextDatumGetCString(reader->values[A_CODE]);
	account->currency = TextDatumGetCString(reader->values[A_CURRENCY]);
	account->open = ds_reader_text_is(reader, A_STATUS, "open");
	account->status = account->open ? NULL : TextDatumGetCString(reader->values[A_STATUS]);
	account->status_reason =
		reader->nulls[A_REASON] ? NULL : TextDatumGetCString(reader->values[A_REASON]);
	account->exclude_disputed = DatumGetBool(reader->values[A_EXCLUDE]);
	account->dunning_level = DatumGetInt16(reader->values[A_DUNNING]);
	account->review_on = day(reader, A_REVIEW);
	account->late_on = DatumGetDateADT(reader->values[A_LATE_ON]);
	account->late_amount = amount(reader, A_LATE);
	account->late_disputed = amount(reader, A_LATE_DISPUTED);
	account->oldest_due_on = day(reader, A_OLDEST);
	account->next_due_on = day(reader, A_NEXT);
	take_before(reader, account);
	account->limit = reader->nulls[A_LIMIT] ? NULL : number(reader, A_LIMIT);
	account->limit_ended = DatumGetBool(reader->values[A_LIMIT_ENDED]);
	account->limit_from = DatumGetTimestampTz(reader->values[A_LIMIT_FROM]);
	account->limit_until = reader->nulls[A_LIMIT_UNTIL]
							   ? DS_CREDIT_NEVER
							   : DatumGetTimestampTz(reader->values[A_LIMIT_UNTIL]);
	account->horizon = !reader->nulls[A_HORIZON];
	if (account->horizon)
	{
		account->horizon_days = DatumGetInt32(reader->values[A_HORIZON]);
		account->reading = !reader->nulls[A_HORIZON_TO];
		account->later = number(reader, A_LATER);
	}
	take_terms(reader, account);
}

/* ds_credit_account does the look-up of an account by its number. */
bool
ds_credit_account(int64 account_id, DsCreditAccount *account)
{
	DsReader *reader = ds_reader_open(&account_table);
	Datum key = Int64GetDatum(account_id);
	bool found = ds_reader_find(reader, &key);

	if (found)
		take(reader, account);
	ds_reader_close(reader);
	return found;
}

/*
 * ds_credit_account_name does the name under which it is kept where the account
 * lies that answers most questions about a customer: known before he is.
 */
uint64
ds_credit_account_name(Datum code, const char *company)
{
	static const Oid types[] = {TEXTOID, TEXTOID};
	Datum keys[] = {code, CStringGetTextDatum(company == NULL ? "" : company)};

	return ds_hint_name(customer_table.relid, keys, types, lengthof(types));
}

/*
 * ds_credit_account_of does the look-up of the account of a party: the one of
 * the company (0 = none is known) before the one for all, that of the segment
 * before the general one. Where the first of them lies may be kept under
 * another name than its own (0 = it is not).
 */
bool
ds_credit_account_of(int64 customer_id, int64 company_id, const char *segment, uint64 name,
					 DsCreditAccount *account)
{
	DsReader *reader = ds_reader_open(&customer_table);
	Datum general = PointerGetDatum(cstring_to_text_with_len("", 0));
	Datum own = segment[0] == '\0' ? general : CStringGetTextDatum(segment);
	int64 companies[2] = {company_id, 0};
	bool found = false;
	int i;

	for (i = company_id == 0 ? 1 : 0; !found && i < 2; i++)
	{
		Datum keys[3] = {Int64GetDatum(customer_id), Int64GetDatum(companies[i]), own};

		found = ds_reader_find_as(reader, name, keys);
		name = 0;
		keys[2] = general;
		if (!found && own != general)
			found = ds_reader_find(reader, keys);
	}
	if (found)
		take(reader, account);
	ds_reader_close(reader);
	return found;
}

/* What the limits of an account add up to. */
typedef struct Limits
{
	bool based;		 /* there is one to start from, valid or not */
	bool unlimited;	 /* one that is valid */
	bool base;		 /* there is a base limit */
	bool base_valid; /* that is valid */
	Numeric greatest;
	Numeric more;
	TimestampTz changes_at;
} Limits;

/* add_limit does the counting of a limit that was read. False: it is not understood. */
static bool
add_limit(const DsReader *reader, TimestampTz at, Limits *limits)
{
	bool base = ds_reader_text_is(reader, L_KIND, "base");
	bool starts = base || ds_reader_text_is(reader, L_KIND, "insured");
	DsCreditPeriod period;
	bool valid;

	if (!ds_credit_period(reader->values[L_VALID], &period))
		return false;
	valid = ds_credit_within(&period, at);
	limits->changes_at = ds_credit_earlier(limits->changes_at, ds_credit_turn(&period, at));
	limits->based |= starts;
	limits->base |= base;
	limits->base_valid |= base && valid;
	if (!valid)
		return true;
	if (reader->nulls[L_AMOUNT])
		limits->unlimited = true;
	else
	{
		Numeric amount = number(reader, L_AMOUNT);
		Numeric *sum = starts ? &limits->greatest : &limits->more;

		*sum = *sum == NULL ? amount
							: DS_CREDIT_OP(starts ? numeric_larger : numeric_add, *sum, amount);
	}
	return true;
}

/* read_limit does the reckoning of the limit of an account at an instant. */
static bool
read_limit(DsCreditAccount *account, TimestampTz at)
{
	Limits limits = {.changes_at = DS_CREDIT_NEVER};
	DsReader *reader = ds_reader_open(&limit_table);
	Datum key = Int64GetDatum(account->account_id);
	bool fits = true;

	ds_reader_seek(reader, &key, 1);
	while (fits && ds_reader_next(reader))
		fits = add_limit(reader, at, &limits);
	ds_reader_close(reader);
	account->limit_ended = limits.base && !limits.base_valid;
	account->changes_at = limits.changes_at;
	account->limit = NULL;
	if (limits.based && !limits.unlimited)
	{
		Numeric none = int64_to_numeric(0);

		account->limit = DS_CREDIT_OP(numeric_add, limits.greatest == NULL ? none : limits.greatest,
									  limits.more == NULL ? none : limits.more);
		/* as it is kept */
		account->limit = DatumGetNumeric(
			DirectFunctionCall2(numeric_round, NumericGetDatum(account->limit), Int32GetDatum(4)));
	}
	return fits;
}

/* find_limit does the finding of the limit of an account at an instant: it keeps the one of today. False: SQL has to look. */
static bool
find_limit(const DsCreditBook *book, DsCreditAccount *account, TimestampTz at)
{
	bool fits = true;

	if (at >= account->limit_from &&
		(account->limit_until == DS_CREDIT_NEVER || at < account->limit_until))
		account->changes_at = account->limit_until;
	else
		fits = read_limit(account, at);
	ds_credit_horizon(book, account, at);
	account->headroom = account->limit == NULL
							? NULL
							: DS_CREDIT_OP(numeric_sub, account->limit, account->exposure);
	return fits;
}

/* is_less does the question whether there is less headroom; unlimited is most. */
static bool
is_less(Numeric a, Numeric b)
{
	return a != NULL &&
		   (b == NULL ||
			DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(a), NumericGetDatum(b))));
}

/*
 * ds_credit_complete does the reading of the limit of the account that is
 * there and of all accounts above it, and finds the one that binds. False:
 * there are too many, or an account stands above itself.
 */
bool
ds_credit_complete(const DsCreditBook *book, DsCreditAnswer *answer, TimestampTz at)
{
	bool fits = find_limit(book, &answer->levels[0], at);
	int n = 1;

	answer->binding = 0;
	for (; fits && answer->levels[n - 1].parent_id != 0; n++)
	{
		fits = n < DS_CREDIT_LEVELS &&
			   ds_credit_account(answer->levels[n - 1].parent_id, &answer->levels[n]) &&
			   find_limit(book, &answer->levels[n], at);
		if (fits && is_less(answer->levels[n].headroom, answer->levels[answer->binding].headroom))
			answer->binding = n;
	}
	answer->nlevels = n;
	return fits;
}
