/*-------------------------------------------------------------------------
 *
 * decide.c
 *		The credit decision: a read. What
 *		distsync_internal.credit_decide_whole() says in SQL.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/credit.h"

#include "utils/timestamp.h"

/* ds_credit_fails does the question whether an order passes the limit of an account. */
bool
ds_credit_fails(const DsCreditAsk *ask, const DsCreditAccount *account)
{
	return account->limit != NULL &&
		   ds_credit_above(ds_credit_asked(ask, account), account->headroom);
}

/* What is against an order. */
typedef struct Against
{
	int reasons;
	bool curable; /* a payment lifts each of them */
	Numeric pay;  /* the greatest one */
} Against;

/* count does the counting of a reason. */
static void
count(Against *against, Numeric pay)
{
	against->reasons++;
	if (pay == NULL)
		against->curable = false;
	else if (against->pay == NULL || ds_credit_above(pay, against->pay))
		against->pay = pay;
}

/* cure does the rounding up of a payment to what can be paid. */
static Numeric
cure(Numeric pay, const char *currency)
{
	int units = ds_credit_minor_units(currency);
	Numeric factor = int64_to_numeric(1);
	Datum whole;
	int i;

	for (i = 0; i < units; i++)
		factor = DS_CREDIT_OP(numeric_mul, factor, int64_to_numeric(10));
	whole =
		DirectFunctionCall1(numeric_ceil, NumericGetDatum(DS_CREDIT_OP(numeric_mul, pay, factor)));
	return DatumGetNumeric(DirectFunctionCall2(
		numeric_trunc, DirectFunctionCall2(numeric_div, whole, NumericGetDatum(factor)),
		Int32GetDatum(units)));
}

/* weigh does the counting of everything that holds the order. */
static void
weigh(const DsCreditAsk *ask, DsCreditAnswer *answer)
{
	Against against = {.curable = true};
	int i;

	for (i = 0; i < answer->nlevels; i++)
	{
		if (!answer->levels[i].open)
			count(&against, NULL);
		if (answer->passed_by == NULL && ds_credit_fails(ask, &answer->levels[i]))
			count(&against, DS_CREDIT_OP(numeric_sub, ds_credit_asked(ask, &answer->levels[i]),
										 answer->levels[i].headroom));
	}
	for (i = 0; answer->passed_by == NULL && i < answer->nsaid; i++)
	{
		if (answer->said[i].failed && answer->said[i].action == DS_CREDIT_BLOCK)
			count(&against, answer->said[i].pay);
	}
	answer->held = against.reasons > 0;
	answer->cure = answer->held && against.curable
					   ? cure(against.pay, answer->levels[answer->binding].currency)
					   : NULL;
}

/* is_prepaid does the question whether a deposit covers the order. */
static bool
is_prepaid(const DsCreditAsk *ask)
{
	return ask->deposit != NULL && ds_credit_above(ask->amount, int64_to_numeric(0)) &&
		   !ds_credit_above(ask->amount, ask->deposit);
}

/* ds_credit_decide does the decision about the account that is the first level of the answer. False: SQL has to make it. */
bool
ds_credit_decide(const DsCreditBook *book, const DsCreditAsk *ask, DsCreditAnswer *answer)
{
	int i;

	if (TIMESTAMP_NOT_FINITE(ask->at) ||
		(ask->for_order && ds_credit_held_by_others(ask->order_id)) ||
		!ds_credit_complete(book, answer, ask->at) || !ds_credit_judge(book, ask, answer))
		return false;
	for (i = 0; i < answer->nlevels; i++)
		answer->valid_until = ds_credit_earlier(answer->valid_until, answer->levels[i].changes_at);
	answer->passed_by = is_prepaid(ask) ? "prepaid" : NULL;
	for (i = 0; answer->passed_by == NULL && i < answer->nsaid; i++)
	{
		if (answer->said[i].action == DS_CREDIT_RELEASE && !answer->said[i].failed)
			answer->passed_by = answer->said[i].rule->code;
	}
	weigh(ask, answer);
	return true;
}
