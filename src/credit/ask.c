/*-------------------------------------------------------------------------
 *
 * ask.c
 *		The verb credit(), and the decision behind it and behind commands.
 *
 * Most questions are a handful of look-ups: customer, account, limit; what a
 * backend remembers of rules and companies is current or read anew. Whatever
 * needs more (another currency than the account's, a name that is not ours, a
 * serializable transaction, any error) is answered by the functions of SQL
 * that say the same, slower.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "base/compat.h"
#include "base/export.h"
#include "base/hint.h"
#include "base/verb.h"
#include "credit/credit.h"
#include "credit/option.h"
#include "master/scope.h"

DS_FUNCTION_INFO_V1(ds_sql_credit);
DS_FUNCTION_INFO_V1(ds_sql_credit_decide);

/* the arguments of credit() */
enum
{
	Q_CUSTOMER,
	Q_AMOUNT,
	Q_CURRENCY,
	Q_OPTIONS,
	Q_COUNT
};

/* the arguments of credit_decide() */
enum
{
	D_ACCOUNT,
	D_AMOUNT,
	D_CONTEXT,
	D_COUNT
};

/* the columns of the answer of credit() */
enum
{
	A_OUTCOME,
	A_ACCOUNT,
	A_CURRENCY,
	A_LIMIT,
	A_EXPOSURE,
	A_HEADROOM,
	A_REASONS,
	A_CURE,
	A_VALID_UNTIL,
	A_AS_OF,
	A_KNOWN_AT,
	A_DETAIL,
	A_COUNT
};

/* What credit() is asked. */
typedef struct Question
{
	char *company;
	char *job;
	char *segment;
	DsCreditParty customer;
	int64 company_id; /* 0 = none named, and not one only */
	uint64 account;	  /* name under which it is kept where the usual account lies, 0 = none */
	DsCreditAsk ask;
} Question;

/* is_amount does the question whether a number is one that may be asked for. */
static bool
is_amount(Numeric amount)
{
	return !numeric_is_nan(amount) && !numeric_is_inf(amount);
}

/* clear does the beginning of an answer: of the accounts above only those are looked at that were read. */
static void
clear(DsCreditAnswer *answer)
{
	answer->nlevels = 0;
	memset(&answer->levels[0], 0, sizeof(answer->levels[0]));
	memset(&answer->binding, 0, sizeof(*answer) - offsetof(DsCreditAnswer, binding));
}

/* what is remembered of options at most */
#define OPTIONS_BYTES 256

/* Options that name nothing but a company, as they were read last: most callers always say the same. */
static struct
{
	Size size; /* 0 = none were */
	char bytes[OPTIONS_BYTES];
	char company[OPTIONS_BYTES];
} last;

/* remember does the remembering of options. */
static void
remember(const Jsonb *options, const Question *q)
{
	Size size = VARSIZE_ANY(options);

	/* a text in there is shorter than the whole */
	if (q->company == NULL || JB_ROOT_COUNT((Jsonb *) options) != 1 || size > OPTIONS_BYTES)
		return;
	memcpy(last.bytes, options, size);
	strlcpy(last.company, q->company, OPTIONS_BYTES);
	last.size = size;
}

/* read_options does the reading of the options. False: there are others, or one is not as it should be. */
static bool
read_options(Jsonb *options, Question *q)
{
	int n = 0;
	bool good;

	if (VARSIZE_ANY(options) == last.size && memcmp(options, last.bytes, last.size) == 0)
	{
		q->company = last.company;
		return true;
	}
	good = JB_ROOT_IS_OBJECT(options) &&
		   ds_credit_text_member(options, "company", &q->company, &n) &&
		   ds_credit_text_member(options, "job", &q->job, &n) &&
		   ds_credit_text_member(options, "segment", &q->segment, &n) &&
		   ds_credit_instant_member(options, "at", &q->ask.at, &n) && JB_ROOT_COUNT(options) == n;
	if (good)
		remember(options, q);
	return good;
}

/* read_question does the reading of the arguments. */
static bool
read_question(FunctionCallInfo fcinfo, Question *q)
{
	if (PG_ARGISNULL(Q_CUSTOMER) || PG_ARGISNULL(Q_AMOUNT) || PG_ARGISNULL(Q_OPTIONS))
		return false;
	q->ask.at = GetCurrentStatementStartTimestamp();
	q->ask.amount = PG_GETARG_NUMERIC(Q_AMOUNT);
	return is_amount(q->ask.amount) && !ds_credit_above(ds_credit_zero(), q->ask.amount) &&
		   read_options(PG_GETARG_JSONB_P(Q_OPTIONS), q);
}

/*
 * find_customer does the finding of the customer and of what is remembered for
 * all. Customer and account are in no cache of the processor where there are
 * many: both are asked for ahead, so that they come together, and meanwhile the
 * rest is looked up.
 */
static bool
find_customer(FunctionCallInfo fcinfo, Question *q, const DsCreditBook **book)
{
	Datum code = PointerGetDatum(PG_GETARG_TEXT_PP(Q_CUSTOMER));
	uint64 name = ds_credit_party_name(code);
	DsHint party;
	DsHint account;
	bool party_known;

	if (q->job == NULL && q->segment == NULL)
		q->account = ds_credit_account_name(code, q->company);
	ds_hint_line_ahead(name);
	ds_hint_line_ahead(q->account);
	*book = ds_credit_book();
	if (*book == NULL || !ds_credit_company_named(*book, q->company, &q->company_id))
		return false;
	party_known = ds_hint_page_ahead(name, &party);
	if (ds_hint_page_ahead(q->account, &account))
		ds_hint_row_ahead(&account);
	if (party_known)
		ds_hint_row_ahead(&party);
	return ds_credit_party_named(TextDatumGetCString(code), &q->customer);
}

/*
 * find_account does the finding of the account that carries the customer: the
 * job's, the payer's, then those of the parties above the payer. False: SQL
 * has to look.
 */
static bool
find_account(Question *q, DsCreditAccount *account, bool *found)
{
	const char *segment = q->segment != NULL ? q->segment : q->customer.segment;
	DsCreditParty party = q->customer;
	int step;

	*found = false;
	if (q->job != NULL)
	{
		DsCreditParty job;

		if (!ds_credit_party_named(q->job, &job))
			return false;
		*found = ds_credit_account_of(job.party_id, q->company_id, "", 0, account);
	}
	if (!*found && party.payer_id != 0 && !ds_credit_party(q->customer.payer_id, &party))
		return false;
	for (step = 1; !*found; step++)
	{
		*found = ds_credit_account_of(party.party_id, q->company_id, segment,
									  step == 1 ? q->account : 0, account);
		if (*found || party.parent_id == 0 || step > 16)
			break;
		if (!ds_credit_party(party.parent_id, &party))
			return false;
	}
	/* nothing may mean that a company had to be named */
	return *found || q->company_id != 0;
}

/* shown does a number with two decimals at least, as people read amounts. */
static Datum
shown(Numeric value)
{
	int32 scale = DatumGetInt32(DirectFunctionCall1(numeric_min_scale, NumericGetDatum(value)));

	return DirectFunctionCall2(numeric_round, NumericGetDatum(value), Int32GetDatum(Max(scale, 2)));
}

/* put does a number of the answer. */
static void
put(Datum *values, bool *nulls, int column, Numeric value)
{
	nulls[column] = value == NULL;
	if (value != NULL)
		values[column] = shown(value);
}

/* no_reasons does an empty list, which most answers have. */
static Datum
no_reasons(void)
{
	static Datum none = 0;

	if (none == 0)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		none = DirectFunctionCall1(jsonb_in, CStringGetDatum("[]"));
		MemoryContextSwitchTo(old);
	}
	return none;
}

/* put_nothing does the answer that nothing limits the customer. */
static void
put_nothing(Datum *values, bool *nulls)
{
	DsJson detail = {0};
	int i;

	for (i = 0; i < A_COUNT; i++)
		nulls[i] = true;
	values[A_OUTCOME] = CStringGetTextDatum("no_account");
	values[A_REASONS] = no_reasons();
	ds_json_open_object(&detail, NULL);
	ds_json_close_object(&detail);
	values[A_DETAIL] = ds_json_finish(&detail);
	nulls[A_OUTCOME] = nulls[A_REASONS] = nulls[A_DETAIL] = false;
}

/* put_answer does the row of a decision. */
static void
put_answer(const DsCreditAsk *ask, const DsCreditAnswer *answer, Datum *values, bool *nulls)
{
	const DsCreditAccount *binding = &answer->levels[answer->binding];
	DsJson reasons = {0};

	values[A_OUTCOME] = CStringGetTextDatum(answer->held ? "held" : "approved");
	values[A_ACCOUNT] = CStringGetTextDatum(binding->code);
	values[A_CURRENCY] = CStringGetTextDatum(binding->currency);
	put(values, nulls, A_LIMIT, binding->limit);
	put(values, nulls, A_EXPOSURE, binding->exposure);
	put(values, nulls, A_HEADROOM, binding->headroom);
	values[A_REASONS] = no_reasons();
	if (answer->held)
	{
		ds_credit_tell_reasons(&reasons, NULL, ask, answer);
		values[A_REASONS] = ds_json_finish(&reasons);
	}
	put(values, nulls, A_CURE, answer->cure);
	values[A_VALID_UNTIL] = TimestampTzGetDatum(answer->valid_until);
	nulls[A_VALID_UNTIL] = answer->valid_until == DS_CREDIT_NEVER;
	values[A_DETAIL] = ds_credit_tell_detail(ask, answer);
}

/* ask_credit does the answer of credit(). False: SQL has to give it. */
static bool
ask_credit(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	Question q = {0};
	DsCreditAnswer answer;
	const DsCreditBook *book;
	bool found;

	if (!read_question(fcinfo, &q) || !find_customer(fcinfo, &q, &book))
		return false;
	clear(&answer);
	if (!find_account(&q, &answer.levels[0], &found))
		return false;
	values[A_AS_OF] = TimestampTzGetDatum(q.ask.at);
	values[A_KNOWN_AT] = TimestampTzGetDatum(GetCurrentStatementStartTimestamp());
	if (!found)
		put_nothing(values, nulls);
	else
	{
		char *currency =
			PG_ARGISNULL(Q_CURRENCY) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(Q_CURRENCY));

		q.ask.customer_id = q.customer.party_id;
		q.ask.customer = &q.customer;
		if ((currency != NULL && strcmp(currency, answer.levels[0].currency) != 0) ||
			!ds_credit_decide(book, &q.ask, &answer))
			return false;
		put_answer(&q.ask, &answer, values, nulls);
	}
	nulls[A_AS_OF] = nulls[A_KNOWN_AT] = false;
	return true;
}

/* ds_sql_credit does credit(customer, amount, currency, options). */
Datum
ds_sql_credit(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {TEXTOID, NUMERICOID, TEXTOID, JSONBOID};
	TupleDesc desc = ds_verb_row(fcinfo, A_COUNT);
	Datum values[A_COUNT];
	bool nulls[A_COUNT] = {false};

	/* what a restricted caller may hear is cut out of the whole answer */
	if (ds_master_restricted() || !ask_credit(fcinfo, values, nulls))
		return ds_verb_ask(fcinfo, "credit_whole", types, Q_COUNT);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* read_context does the reading of what a decision depends on beside account and amount. */
static bool
read_context(Jsonb *context, DsCreditAsk *ask)
{
	bool told = false;
	int n = 0;
	bool good;

	good = JB_ROOT_IS_OBJECT(context) && ds_credit_instant_member(context, "at", &ask->at, &n) &&
		   ds_credit_whole_member(context, "customer_id", &ask->customer_id, &told) &&
		   ds_credit_whole_member(context, "order_id", &ask->order_id, &ask->for_order) &&
		   ds_credit_number_member(context, "deposit", &ask->deposit) &&
		   ds_credit_text_member(context, "payment_terms", &ask->terms, &n) &&
		   ds_credit_day_member(context, "ship_on", &ask->ship_on_told, &ask->ship_on);
	ask->ships = ask->ship_on_told != NULL;
	return good;
}

/* ds_sql_credit_decide does credit_decide(account_id, amount, ctx). */
Datum
ds_sql_credit_decide(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT8OID, NUMERICOID, JSONBOID};
	DsCreditAsk ask = {0};
	DsCreditAnswer answer;
	const DsCreditBook *book;

	if (PG_ARGISNULL(D_ACCOUNT) || PG_ARGISNULL(D_AMOUNT) || PG_ARGISNULL(D_CONTEXT))
		return ds_verb_ask(fcinfo, "credit_decide_whole", types, D_COUNT);
	ask.whole = true;
	ask.at = GetCurrentStatementStartTimestamp();
	ask.amount = PG_GETARG_NUMERIC(D_AMOUNT);
	clear(&answer);
	if (!is_amount(ask.amount) || !read_context(PG_GETARG_JSONB_P(D_CONTEXT), &ask) ||
		(book = ds_credit_book()) == NULL ||
		!ds_credit_account(PG_GETARG_INT64(D_ACCOUNT), &answer.levels[0]) ||
		!ds_credit_decide(book, &ask, &answer))
		return ds_verb_ask(fcinfo, "credit_decide_whole", types, D_COUNT);
	return ds_credit_tell(&ask, &answer);
}
