/*-------------------------------------------------------------------------
 *
 * judge.c
 *		What the rules say of an account: those that speak for it, of each type
 *		the most specific ones, and whether they fail.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/credit.h"

/* more days than these are an error, or nonsense, and SQL says which */
#define MOST_DAYS 100000

/* A rule that speaks. */
typedef struct Speaker
{
	const DsCreditRule *rule;
	bool valid; /* at the instant asked */
} Speaker;

typedef struct Speakers
{
	Speaker *all;
	int n;
} Speakers;

/* is_understood does the question whether a rule can be measured here. */
static bool
is_understood(const DsCreditRule *rule, const DsCreditAccount *account)
{
	if (rule->threshold == NULL)
		return rule->grace_days <= MOST_DAYS;
	return rule->grace_days <= MOST_DAYS &&
		   (rule->currency == NULL || strcmp(rule->currency, account->currency) == 0) &&
		   (rule->type != DS_CREDIT_OLDEST_ITEM ||
			(rule->plain ? rule->at_4 <= (int128) MOST_DAYS * 10000
						 : !ds_credit_above(rule->threshold, int64_to_numeric(MOST_DAYS))));
}

/* speaks does the question whether a remembered rule is for the party that owes. */
static bool
speaks(const DsCreditRule *rule, const DsCreditAccount *account, TimestampTz at)
{
	return rule->distance != 1 || ds_credit_is_member(account->customer_id, rule, at);
}

/* collect does the listing of the rules that speak, in the order of their codes. False: one is not understood. */
static bool
collect(DsCreditCase *matter, const DsCreditBook *book, const DsCreditAsk *ask,
		const DsCreditAccount *account, Speakers *speakers)
{
	DsCreditRule *own = NULL;
	int nown = 0;
	int i = 0;
	int j = 0;

	if (book->by_customer)
	{
		const DsCreditParty *party = ds_credit_case_party(matter);

		if (party != NULL && !ds_credit_read_rules("customer", party->code, &own, &nown))
			return false;
		if (nown > 1)
			qsort(own, nown, sizeof(DsCreditRule), ds_credit_compare_rules);
	}
	speakers->all = palloc(sizeof(Speaker) * (book->nrules + nown + 1));
	while (i < book->nrules || j < nown)
	{
		const DsCreditRule *rule =
			j == nown || (i < book->nrules && ds_credit_compare_rules(&book->rules[i], &own[j]) < 0)
				? &book->rules[i++]
				: &own[j++];

		if (!speaks(rule, account, ask->at))
			continue;
		if (!is_understood(rule, account))
			return false;
		speakers->all[speakers->n].rule = rule;
		speakers->all[speakers->n++].valid = ds_credit_within(&rule->valid, ask->at);
	}
	return true;
}

/* counts does the question whether a rule counts: it is to come, or no more specific one of its type and action is valid. */
static bool
counts(const Speakers *speakers, const Speaker *one)
{
	int i;

	for (i = 0; one->valid && i < speakers->n; i++)
	{
		const Speaker *other = &speakers->all[i];

		if (other->valid && other->rule->type == one->rule->type &&
			other->rule->action == one->rule->action && other->rule->distance < one->rule->distance)
			return false;
	}
	return true;
}

/* action_of does the action that counts: an exclusion that is as specific disarms what blocks. */
static DsCreditAction
action_of(const Speakers *speakers, const Speaker *one)
{
	int i;

	if (!one->valid)
		return DS_CREDIT_LATER;
	for (i = 0; one->rule->action == DS_CREDIT_BLOCK && i < speakers->n; i++)
	{
		const Speaker *other = &speakers->all[i];

		if (other->valid && other->rule->type == one->rule->type &&
			other->rule->action == DS_CREDIT_EXCLUDE &&
			other->rule->distance <= one->rule->distance)
			return DS_CREDIT_EXCLUDE;
	}
	return one->rule->action;
}

/* ds_credit_judge does what every rule says of the account of an answer. False: SQL has to say it. */
bool
ds_credit_judge(const DsCreditBook *book, const DsCreditAsk *ask, DsCreditAnswer *answer)
{
	DsCreditCase *matter;
	Speakers speakers = {0};
	int i;

	answer->valid_until = DS_CREDIT_NEVER;
	if (book->nrules == 0 && !book->by_customer)
		return true;
	matter = ds_credit_case(book, ask, &answer->levels[0]);
	if (!collect(matter, book, ask, &answer->levels[0], &speakers))
		return false;
	answer->said = palloc0(sizeof(DsCreditSaid) * (speakers.n + 1));
	for (i = 0; i < speakers.n; i++)
	{
		const Speaker *one = &speakers.all[i];
		DsCreditSaid *said = &answer->said[answer->nsaid];

		if (!counts(&speakers, one))
			continue;
		answer->nsaid++;
		said->rule = one->rule;
		said->action = action_of(&speakers, one);
		answer->valid_until =
			ds_credit_earlier(answer->valid_until, ds_credit_turn(&one->rule->valid, ask->at));
		if (ask->whole || said->action != DS_CREDIT_LATER)
			ds_credit_want(matter, one->rule);
	}
	for (i = 0; i < answer->nsaid; i++)
	{
		if (ask->whole || answer->said[i].action != DS_CREDIT_LATER)
			ds_credit_measure(matter, &answer->said[i]);
	}
	answer->valid_until = ds_credit_earlier(answer->valid_until, ds_credit_next(matter));
	return true;
}
