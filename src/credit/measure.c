/*-------------------------------------------------------------------------
 *
 * measure.c
 *		What a rule compares: its number, the payment that brings it down, and
 *		the day on which time alone may change it. What
 *		distsync_internal.credit_measure() says in SQL, digit by digit.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/credit.h"

#include "base/ratio.h"

/* decimals of what is compared in whole numbers */
#define DECIMALS 4
#define ONE 10000

struct DsCreditCase
{
	const DsCreditBook *book;
	const DsCreditAsk *ask;
	const DsCreditAccount *account;
	DsCreditParty party; /* that owes: read when a rule asks for it */
	bool has_party;
	bool no_party;
	bool has_day;
	DsCreditZone zone;
	DateADT today;
	DsCreditDue *due;
	Numeric zero;
	DateADT
		changes_on; /* first day on which time alone may change something, DATEVAL_NOEND = none */
};

/* ds_credit_case does the beginning. */
DsCreditCase *
ds_credit_case(const DsCreditBook *book, const DsCreditAsk *ask, const DsCreditAccount *account)
{
	DsCreditCase *self = palloc0(sizeof(DsCreditCase));

	self->book = book;
	self->ask = ask;
	self->account = account;
	self->due = ds_credit_due(account);
	self->zero = ds_credit_zero();
	self->changes_on = DATEVAL_NOEND;
	return self;
}

/* ds_credit_case_party does the party that owes, NULL if it is not there. */
const DsCreditParty *
ds_credit_case_party(DsCreditCase *self)
{
	const DsCreditParty *asked = self->ask->customer;

	if (asked != NULL && asked->party_id == self->account->customer_id)
		return asked;
	if (!self->has_party)
		self->no_party = !ds_credit_party(self->account->customer_id, &self->party);
	self->has_party = true;
	return self->no_party ? NULL : &self->party;
}

/* today does the day it is for the account: that of its company, else of who owes. */
static DateADT
today(DsCreditCase *self)
{
	if (!self->has_day)
	{
		const DsCreditCompany *company = ds_credit_company(self->book, self->account->company_id);
		const DsCreditParty *party = company == NULL ? ds_credit_case_party(self) : NULL;

		self->zone = company != NULL
						 ? company->tz
						 : ds_credit_zone(party != NULL ? party->tz : CStringGetTextDatum("UTC"));
		self->today = ds_credit_today(&self->zone, self->ask->at);
		self->has_day = true;
	}
	return self->today;
}

/* threshold does the number that a rule fails above. */
static Numeric
threshold(const DsCreditCase *self, const DsCreditRule *rule)
{
	return rule->threshold == NULL ? self->zero : rule->threshold;
}

/* days does the same as days. */
static int32
days(const DsCreditCase *self, const DsCreditRule *rule)
{
	if (rule->plain && rule->at_4 % ONE == 0)
		return (int32) (rule->at_4 / ONE);
	return DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(threshold(self, rule))));
}

/* how_late does the days by which the oldest item is late beyond the grace of a rule. */
static int64
how_late(DsCreditCase *self, const DsCreditRule *rule)
{
	DateADT oldest = ds_credit_due_oldest(self->due);

	return oldest == DATEVAL_NOEND ? 0 : Max((int64) today(self) - oldest - rule->grace_days, 0);
}

/* oldest_fails does the question whether the oldest item is too old. */
static bool
oldest_fails(DsCreditCase *self, const DsCreditRule *rule)
{
	if (rule->plain)
		return (int128) how_late(self, rule) * ONE > rule->at_4;
	return ds_credit_above(int64_to_numeric(how_late(self, rule)), threshold(self, rule));
}

/* ds_credit_want does the noting of the days that a rule will look at. */
void
ds_credit_want(DsCreditCase *self, const DsCreditRule *rule)
{
	if (rule->type == DS_CREDIT_OVERDUE_AMOUNT || rule->type == DS_CREDIT_OVERDUE_SHARE)
		ds_credit_due_want(self->due, today(self) - rule->grace_days);
	else if (rule->type == DS_CREDIT_OLDEST_ITEM && (self->ask->whole || oldest_fails(self, rule)))
		ds_credit_due_want(self->due, today(self) - rule->grace_days - days(self, rule));
}

/* late does the amount that is late for a rule. */
static Numeric
late(DsCreditCase *self, const DsCreditRule *rule)
{
	return ds_credit_due_before(self->due, today(self) - rule->grace_days);
}

/* asked does the exposure with the order. */
static Numeric
asked(const DsCreditCase *self)
{
	Numeric exposed = self->account->exposure;

	/* what ships beyond the horizon adds nothing, but decimals */
	if (ds_credit_beyond(self->ask, self->account))
		exposed = DS_CREDIT_OP(numeric_sub, exposed, self->ask->amount);
	return DS_CREDIT_OP(numeric_add, exposed, self->ask->amount);
}

/* percent does a part of a whole in percent, to four decimals. */
static Numeric
percent(Numeric part, Numeric all)
{
	Numeric share =
		DS_CREDIT_OP(numeric_div, DS_CREDIT_OP(numeric_mul, int64_to_numeric(100), part), all);

	return DatumGetNumeric(
		DirectFunctionCall2(numeric_round, NumericGetDatum(share), Int32GetDatum(4)));
}

/* limit_share does the percentage of the limit that would be used. */
static Numeric
limit_share(const DsCreditCase *self)
{
	Numeric limit = self->account->limit;

	if (limit != NULL && ds_credit_above(limit, self->zero))
		return percent(asked(self), limit);
	/* a limit is never below 0 */
	return limit != NULL && ds_credit_above(asked(self), self->zero) ? int64_to_numeric(999999)
																	 : self->zero;
}

/* inactive does the number of parties of the question that are not active. */
static int
inactive(DsCreditCase *self)
{
	const DsCreditParty *owes = ds_credit_case_party(self);
	DsCreditParty other;
	int n = owes != NULL && !owes->active;

	if (self->ask->customer_id == 0 || self->ask->customer_id == self->account->customer_id)
		return n;
	if (self->ask->customer != NULL)
		return n + !self->ask->customer->active;
	return n + (ds_credit_party(self->ask->customer_id, &other) && !other.active);
}

/* other_terms does the question whether the order has other terms of payment than who owes. */
static bool
other_terms(DsCreditCase *self)
{
	const DsCreditParty *owes = ds_credit_case_party(self);

	return self->ask->terms != NULL && owes != NULL && owes->terms != NULL &&
		   strcmp(self->ask->terms, owes->terms) != 0;
}

/* value_of does the number that a rule compares. */
static Numeric
value_of(DsCreditCase *self, const DsCreditRule *rule)
{
	const DsCreditAccount *account = self->account;

	switch (rule->type)
	{
		case DS_CREDIT_LIMIT_SHARE:
			return limit_share(self);
		case DS_CREDIT_OVERDUE_AMOUNT:
			return late(self, rule);
		case DS_CREDIT_OVERDUE_SHARE:
			return ds_credit_above(account->terms[0], self->zero)
					   ? percent(late(self, rule), account->terms[0])
					   : self->zero;
		case DS_CREDIT_OLDEST_ITEM:
			return int64_to_numeric(how_late(self, rule));
		case DS_CREDIT_DUNNING_LEVEL:
			return int64_to_numeric(account->dunning_level);
		case DS_CREDIT_ORDER_AMOUNT:
			return self->ask->amount;
		case DS_CREDIT_TERMS_CHANGE:
			return int64_to_numeric(other_terms(self));
		case DS_CREDIT_LIMIT_EXPIRED:
			return int64_to_numeric(account->limit_ended);
		case DS_CREDIT_REVIEW_DUE:
			return int64_to_numeric(account->review_on != DATEVAL_NOEND &&
									account->review_on <= today(self));
		case DS_CREDIT_CUSTOMER_STATUS:
			return int64_to_numeric(inactive(self));
		case DS_CREDIT_TYPES:
			break;
	}
	return self->zero;
}

/* share_pay does the payment that brings the late share of what is owed down: it lowers both. */
static Numeric
share_pay(DsCreditCase *self, const DsCreditRule *rule)
{
	Numeric hundred = int64_to_numeric(100);
	Numeric most = threshold(self, rule);
	Numeric allowed;
	Numeric rest;

	if (!ds_credit_above(hundred, most))
		return NULL;
	allowed = DS_CREDIT_OP(numeric_div, DS_CREDIT_OP(numeric_mul, self->account->terms[0], most),
						   hundred);
	rest = DS_CREDIT_OP(numeric_sub, int64_to_numeric(1), DS_CREDIT_OP(numeric_div, most, hundred));
	return DS_CREDIT_OP(numeric_div, DS_CREDIT_OP(numeric_sub, late(self, rule), allowed), rest);
}

/* pay_of does the payment that brings the number of a rule down to its threshold. NULL: none does. */
static Numeric
pay_of(DsCreditCase *self, const DsCreditRule *rule)
{
	Numeric most = threshold(self, rule);

	switch (rule->type)
	{
		case DS_CREDIT_LIMIT_SHARE:
			if (self->account->limit == NULL)
				return NULL;
			return DS_CREDIT_OP(numeric_sub, asked(self),
								DS_CREDIT_OP(numeric_div,
											 DS_CREDIT_OP(numeric_mul, self->account->limit, most),
											 int64_to_numeric(100)));
		case DS_CREDIT_OVERDUE_AMOUNT:
			return DS_CREDIT_OP(numeric_sub, late(self, rule), most);
		case DS_CREDIT_OVERDUE_SHARE:
			return share_pay(self, rule);
		case DS_CREDIT_OLDEST_ITEM:
			return ds_credit_due_before(self->due,
										today(self) - rule->grace_days - days(self, rule));
		default:
			return NULL;
	}
}

/* changes_on does the day on which time alone changes what a rule says, DATEVAL_NOEND if it does not. */
static DateADT
changes_on(DsCreditCase *self, const DsCreditRule *rule, bool failed)
{
	DateADT day = DATEVAL_NOEND;

	switch (rule->type)
	{
		case DS_CREDIT_OVERDUE_AMOUNT:
		case DS_CREDIT_OVERDUE_SHARE:
			day = ds_credit_due_from(self->due, today(self) - rule->grace_days);
			return day == DATEVAL_NOEND ? day : day + rule->grace_days + 1;
		case DS_CREDIT_OLDEST_ITEM:
			if (!failed)
				day = ds_credit_due_oldest(self->due);
			return day == DATEVAL_NOEND ? day : day + rule->grace_days + days(self, rule) + 1;
		case DS_CREDIT_REVIEW_DUE:
			if (self->account->review_on > today(self))
				day = self->account->review_on;
			return day;
		default:
			return day;
	}
}

/*
 * share_fails does the question whether a part of a whole is more than so many
 * percent. Percents are rounded to as many decimals as the rule is compared
 * with here, and rounding never passes one of those: between two of them it is
 * not known here. False: not known.
 */
static bool
share_fails(int128 part, Numeric all, const DsCreditRule *rule, bool *fails)
{
	int128 whole;

	if (!ds_decimal_at(NumericGetDatum(all), DECIMALS, &whole) || whole <= 0 || part < 0 ||
		part > PG_INT64_MAX || whole > PG_INT64_MAX || rule->at_4 < 0 || rule->at_4 >= PG_INT32_MAX)
		return false;
	part *= 100 * ONE;
	*fails = part >= whole * (rule->at_4 + 1);
	return *fails || part <= whole * rule->at_4;
}

/* quickly does the question whether a rule fails, without its number. False: it takes that. */
static bool
quickly(DsCreditCase *self, const DsCreditRule *rule, bool *fails)
{
	const DsCreditAccount *account = self->account;
	int128 amount;
	int128 exposure;

	if (!rule->plain)
		return false;
	switch (rule->type)
	{
		case DS_CREDIT_LIMIT_SHARE:
			return account->limit != NULL && !ds_credit_beyond(self->ask, account) &&
				   ds_decimal_at(NumericGetDatum(account->exposure), DECIMALS, &exposure) &&
				   ds_decimal_at(NumericGetDatum(self->ask->amount), DECIMALS, &amount) &&
				   share_fails(exposure + amount, account->limit, rule, fails);
		case DS_CREDIT_OVERDUE_SHARE:
			return ds_decimal_at(NumericGetDatum(late(self, rule)), DECIMALS, &amount) &&
				   share_fails(amount, account->terms[0], rule, fails);
		case DS_CREDIT_OVERDUE_AMOUNT:
			*fails = false;
			if (!ds_decimal_at(NumericGetDatum(late(self, rule)), DECIMALS, &amount))
				return false;
			*fails = amount > rule->at_4;
			return true;
		case DS_CREDIT_OLDEST_ITEM:
			*fails = oldest_fails(self, rule);
			return true;
		default:
			return false;
	}
}

/* ds_credit_measure does the evaluation of a rule with the action that counts. */
void
ds_credit_measure(DsCreditCase *self, DsCreditSaid *said)
{
	const DsCreditRule *rule = said->rule;
	bool failed = true;

	if (self->ask->whole || !quickly(self, rule, &failed) || failed)
	{
		said->value = value_of(self, rule);
		failed = ds_credit_above(said->value, threshold(self, rule));
	}
	if (self->ask->whole || failed)
		said->pay = pay_of(self, rule);
	if (said->action == DS_CREDIT_LATER)
		return;
	said->failed = failed;
	self->changes_on = Min(self->changes_on, changes_on(self, rule, failed));
}

/* ds_credit_next does the first instant at which time alone may change what was measured. */
TimestampTz
ds_credit_next(DsCreditCase *self)
{
	return self->changes_on == DATEVAL_NOEND ? DS_CREDIT_NEVER
											 : ds_credit_begins(&self->zone, self->changes_on);
}
