/*-------------------------------------------------------------------------
 *
 * tell.c
 *		A credit decision as jsonb. Members are told in the order that jsonb
 *		keeps them in.
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/credit.h"

#include "catalog/pg_type.h"
#include "utils/datetime.h"
#include "utils/json.h"

/* A detail leaves out what is null. */
#define TOLD(value) (!spare || (value) != NULL)

/* terms does the terms of exposure of an account; spare: those that are not 0, and nothing where all are. */
static void
terms(DsJson *json, const char *key, const DsCreditAccount *account, bool spare)
{
	static const int order[DS_CREDIT_TERMS] = {5, 4, 6, 1, 3, 0, 2};
	bool any = !spare;
	int i;

	for (i = 0; i < DS_CREDIT_TERMS; i++)
		any |= account->owed[i];
	if (!any)
		return;
	ds_json_open_object(json, key);
	for (i = 0; i < DS_CREDIT_TERMS; i++)
	{
		if (!spare || account->owed[order[i]])
			ds_json_number(json, ds_credit_term_words[order[i]], account->terms[order[i]]);
	}
	ds_json_close_object(json);
}

/* day_of does a day as to_jsonb() writes it. */
static void
day_of(DsJson *json, const char *key, DateADT day)
{
	char *text = palloc(MAXDATELEN + 1);

	ds_json_text(json, key, JsonEncodeDateTime(text, DateADTGetDatum(day), DATEOID, NULL));
}

/* horizon does how far an account looks. */
static void
horizon(DsJson *json, const DsCreditAccount *account)
{
	if (!account->horizon)
		return;
	ds_json_open_object(json, "horizon");
	ds_json_integer(json, "days", account->horizon_days);
	ds_json_number(json, "later", account->later);
	if (account->reading)
		ds_json_boolean(json, "reading", true);
	day_of(json, "inside_on", account->inside_on);
	ds_json_close_object(json);
}

/* picture does an account with its limit. */
static void
picture(DsJson *json, const DsCreditAsk *ask, const DsCreditAccount *account, bool spare)
{
	ds_json_open_object(json, NULL);
	if (TOLD(account->limit))
		ds_json_number(json, "limit", account->limit);
	terms(json, "terms", account, false);
	if (ds_credit_beyond(ask, account))
		ds_json_integer(json, "counts", 0);
	ds_json_text(json, "account", account->code);
	horizon(json, account);
	ds_json_text(json, "currency", account->currency);
	ds_json_number(json, "exposure", account->exposure);
	if (TOLD(account->headroom))
		ds_json_number(json, "headroom", account->headroom);
	ds_json_close_object(json);
}

/* pictures does the accounts from leaf to root. */
static void
pictures(DsJson *json, const DsCreditAsk *ask, const DsCreditAnswer *answer, bool spare)
{
	int i;

	ds_json_open_array(json, "accounts");
	for (i = 0; i < answer->nlevels; i++)
		picture(json, ask, &answer->levels[i], spare);
	ds_json_close_array(json);
}

/* rule does what a rule says; whole: with its action and whether it failed. */
static void
rule(DsJson *json, const DsCreditSaid *said, const char *currency, bool whole, bool spare)
{
	ds_json_open_object(json, NULL);
	if (TOLD(said->pay))
		ds_json_number(json, "pay", said->pay);
	ds_json_text(json, "code", said->rule->code);
	ds_json_text(json, "rule", ds_credit_type_word(said->rule->type));
	ds_json_number(json, "value", said->value);
	if (whole)
	{
		ds_json_text(json, "action", ds_credit_action_word(said->action));
		ds_json_boolean(json, "failed", said->failed);
	}
	ds_json_text(json, "currency", currency);
	if (TOLD(said->rule->threshold))
		ds_json_number(json, "threshold", said->rule->threshold);
	ds_json_close_object(json);
}

/* failing does the rules with an action that fail. */
static void
failing(DsJson *json, const DsCreditAnswer *answer, DsCreditAction action, bool spare)
{
	int i;

	for (i = 0; i < answer->nsaid; i++)
	{
		if (answer->said[i].failed && answer->said[i].action == action)
			rule(json, &answer->said[i], answer->levels[0].currency, false, spare);
	}
}

/* status does the reason that an account is blocked or closed. */
static void
status(DsJson *json, const DsCreditAccount *account)
{
	ds_json_open_object(json, NULL);
	ds_json_text(json, "rule", "account_status");
	ds_json_text(json, "reason", account->status_reason);
	ds_json_text(json, "status", account->status);
	ds_json_text(json, "account", account->code);
	ds_json_close_object(json);
}

/* limit does the reason that an amount passes the limit of an account. */
static void
limit(DsJson *json, const DsCreditAccount *account, Numeric amount)
{
	Numeric over = DS_CREDIT_OP(numeric_sub, amount, account->headroom);

	ds_json_open_object(json, NULL);
	ds_json_number(json, "pay", over);
	ds_json_number(json, "over", over);
	ds_json_text(json, "rule", "limit");
	ds_json_number(json, "value", DS_CREDIT_OP(numeric_add, account->exposure, amount));
	ds_json_text(json, "account", account->code);
	ds_json_text(json, "currency", account->currency);
	ds_json_number(json, "threshold", account->limit);
	ds_json_close_object(json);
}

/* ds_credit_tell_reasons does all that is against the order. */
void
ds_credit_tell_reasons(DsJson *json, const char *key, const DsCreditAsk *ask,
					   const DsCreditAnswer *answer)
{
	int i;

	ds_json_open_array(json, key);
	for (i = 0; answer->held && i < answer->nlevels; i++)
	{
		if (!answer->levels[i].open)
			status(json, &answer->levels[i]);
	}
	for (i = 0; answer->held && answer->passed_by == NULL && i < answer->nlevels; i++)
	{
		if (ds_credit_fails(ask, &answer->levels[i]))
			limit(json, &answer->levels[i], ds_credit_asked(ask, &answer->levels[i]));
	}
	if (answer->held && answer->passed_by == NULL)
		failing(json, answer, DS_CREDIT_BLOCK, false);
	ds_json_close_array(json);
}

/* warnings does the rules that only warn; spare: nothing where none does. */
static void
warnings(DsJson *json, const DsCreditAnswer *answer, bool spare)
{
	int i;

	for (i = 0; i < answer->nsaid; i++)
	{
		if (answer->said[i].failed && answer->said[i].action == DS_CREDIT_WARN)
			break;
	}
	if (spare && i == answer->nsaid)
		return;
	ds_json_open_array(json, "warnings");
	failing(json, answer, DS_CREDIT_WARN, spare);
	ds_json_close_array(json);
}

/* instant does an instant as to_jsonb() writes it, infinite ones too. */
static void
instant(DsJson *json, const char *key, TimestampTz at)
{
	char *text = palloc(MAXDATELEN + 1);

	ds_json_text(json, key,
				 at == DS_CREDIT_NEVER
					 ? NULL
					 : JsonEncodeDateTime(text, TimestampTzGetDatum(at), TIMESTAMPTZOID, NULL));
}

/* is_beyond does the question whether an order counts nothing yet in one of the accounts. */
static bool
is_beyond(const DsCreditAsk *ask, const DsCreditAnswer *answer)
{
	for (int i = 0; i < answer->nlevels; i++)
		if (ds_credit_beyond(ask, &answer->levels[i]))
			return true;
	return false;
}

/* ds_credit_tell does the whole decision. */
Datum
ds_credit_tell(const DsCreditAsk *ask, const DsCreditAnswer *answer)
{
	const DsCreditAccount *binding = &answer->levels[answer->binding];
	DsJson json = {0};
	int i;

	ds_json_open_object(&json, NULL);
	ds_json_number(&json, "cure", answer->cure);
	instant(&json, "as_of", ask->at);
	ds_json_number(&json, "limit", binding->limit);
	ds_json_open_array(&json, "rules");
	for (i = 0; i < answer->nsaid; i++)
		rule(&json, &answer->said[i], answer->levels[0].currency, true, false);
	ds_json_close_array(&json);
	ds_json_number(&json, "total", binding->exposure);
	ds_json_number(&json, "amount", ask->amount);
	ds_json_text(&json, "account", binding->code);
	ds_json_text(&json, "outcome", answer->held ? "held" : "approved");
	ds_credit_tell_reasons(&json, "reasons", ask, answer);
	if (is_beyond(ask, answer))
		ds_json_text(&json, "ship_on", ask->ship_on_told);
	pictures(&json, ask, answer, false);
	ds_json_text(&json, "currency", binding->currency);
	terms(&json, "exposure", binding, false);
	ds_json_number(&json, "headroom", binding->headroom);
	warnings(&json, answer, false);
	ds_json_text(&json, "passed_by", answer->passed_by);
	instant(&json, "valid_until", answer->valid_until);
	ds_json_close_object(&json);
	return ds_json_finish(&json);
}

/* ds_credit_tell_detail does what credit() says beside its columns. */
Datum
ds_credit_tell_detail(const DsCreditAsk *ask, const DsCreditAnswer *answer)
{
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	terms(&json, "terms", &answer->levels[answer->binding], true);
	ds_json_number(&json, "amount", ask->amount);
	horizon(&json, &answer->levels[answer->binding]);
	if (answer->nlevels > 1)
		pictures(&json, ask, answer, true);
	warnings(&json, answer, true);
	if (answer->passed_by != NULL)
		ds_json_text(&json, "passed_by", answer->passed_by);
	ds_json_close_object(&json);
	return ds_json_finish(&json);
}
