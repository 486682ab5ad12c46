/*-------------------------------------------------------------------------
 *
 * rule.c
 *		Rules of credit as they are read: words, periods, rows.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/credit.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/rangetypes.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/varlena.h"
#include "base/compat.h"
#include "base/ratio.h"
#include "base/reader.h"

/* rules for which room is made at once */
#define ROOM 16

enum
{
	R_CODE,
	R_TYPE,
	R_THRESHOLD,
	R_CURRENCY,
	R_GRACE_DAYS,
	R_ACTION,
	R_VALID
};

static DsTable rule_table = {
	.name = "credit_rule",
	.index = "credit_rule_scope_idx",
	.keys = {"scope_kind", "scope_key"},
	.columns = {"code", "type", "threshold", "currency", "grace_days", "action", "valid"},
};

static const char *const type_words[DS_CREDIT_TYPES] = {
	"limit_share",	"overdue_amount", "overdue_share", "oldest_item", "dunning_level",
	"order_amount", "terms_change",	  "limit_expired", "review_due",  "customer_status"};

static const char *const action_words[DS_CREDIT_ACTIONS] = {"block", "warn", "exclude", "release",
															"later"};

/* ds_credit_type_word does the word for a type. */
const char *
ds_credit_type_word(DsCreditType type)
{
	return type_words[type];
}

/* ds_credit_action_word does the word for an action. */
const char *
ds_credit_action_word(DsCreditAction action)
{
	return action_words[action];
}

/* ds_credit_earlier does the earlier of two instants, of which either may be none. */
TimestampTz
ds_credit_earlier(TimestampTz a, TimestampTz b)
{
	if (a == DS_CREDIT_NEVER)
		return b;
	return b == DS_CREDIT_NEVER ? a : Min(a, b);
}

/* ds_credit_period does the reading of a range of instants. False: it is empty. */
bool
ds_credit_period(Datum range, DsCreditPeriod *period)
{
	TypeCacheEntry *type = lookup_type_cache(TSTZRANGEOID, TYPECACHE_RANGE_INFO);
	RangeBound lower;
	RangeBound upper;
	bool empty;

	range_deserialize(type, DatumGetRangeTypeP(range), &lower, &upper, &empty);
	period->begins = !lower.infinite;
	period->ends = !upper.infinite;
	period->begins_with = lower.inclusive;
	period->ends_with = upper.inclusive;
	period->first = lower.infinite ? 0 : DatumGetTimestampTz(lower.val);
	period->last = upper.infinite ? 0 : DatumGetTimestampTz(upper.val);
	return !empty;
}

/* ds_credit_within does the question whether an instant is within a period. */
bool
ds_credit_within(const DsCreditPeriod *period, TimestampTz at)
{
	return (!period->begins || period->first < at ||
			(period->first == at && period->begins_with)) &&
		   (!period->ends || at < period->last || (period->last == at && period->ends_with));
}

/* ds_credit_turn does the next instant at which a period begins or ends. */
TimestampTz
ds_credit_turn(const DsCreditPeriod *period, TimestampTz at)
{
	TimestampTz first = period->begins && period->first > at ? period->first : DS_CREDIT_NEVER;
	TimestampTz last = period->ends && period->last > at ? period->last : DS_CREDIT_NEVER;

	return ds_credit_earlier(first, last);
}

/* word_of does the number of a word of a list. */
static int
word_of(Datum value, const char *const *words, int n)
{
	text *t = DatumGetTextPP(value);
	int i;

	for (i = 0; i < n; i++)
	{
		if (VARSIZE_ANY_EXHDR(t) == strlen(words[i]) &&
			memcmp(VARDATA_ANY(t), words[i], VARSIZE_ANY_EXHDR(t)) == 0)
			break;
	}
	return i;
}

/* take does the copying of a rule that was read. False: it is of a kind that is not known here. */
static bool
take(const DsReader *reader, DsCreditRule *rule)
{
	rule->code = TextDatumGetCString(reader->values[R_CODE]);
	rule->type = (DsCreditType) word_of(reader->values[R_TYPE], type_words, DS_CREDIT_TYPES);
	rule->action =
		(DsCreditAction) word_of(reader->values[R_ACTION], action_words, DS_CREDIT_LATER);
	rule->threshold =
		reader->nulls[R_THRESHOLD] ? NULL : DatumGetNumericCopy(reader->values[R_THRESHOLD]);
	rule->currency =
		reader->nulls[R_CURRENCY] ? NULL : TextDatumGetCString(reader->values[R_CURRENCY]);
	rule->plain =
		rule->threshold == NULL || ds_decimal_at(NumericGetDatum(rule->threshold), 4, &rule->at_4);
	rule->grace_days = DatumGetInt32(reader->values[R_GRACE_DAYS]);
	return ds_credit_period(reader->values[R_VALID], &rule->valid) &&
		   rule->type < DS_CREDIT_TYPES && rule->action < DS_CREDIT_LATER;
}

/*
 * ds_credit_read_rules does the reading of the rules of a kind of scope, of
 * one key or (NULL) of all, after those that are there. False: there are too
 * many, or one that is not understood.
 */
bool
ds_credit_read_rules(const char *kind, const char *key, DsCreditRule **rules, int *n)
{
	DsReader *reader = ds_reader_open(&rule_table);
	Datum keys[2] = {CStringGetTextDatum(kind), key == NULL ? (Datum) 0 : CStringGetTextDatum(key)};
	bool fits = true;

	ds_reader_seek(reader, keys, key == NULL ? 1 : 2);
	while (fits && ds_reader_next(reader))
	{
		if (*n % ROOM == 0)
			*rules = *rules == NULL ? palloc(sizeof(DsCreditRule) * ROOM)
									: repalloc(*rules, sizeof(DsCreditRule) * (*n + ROOM));
		memset(&(*rules)[*n], 0, sizeof(DsCreditRule));
		fits = *n < DS_CREDIT_MAX_RULES && take(reader, &(*rules)[*n]);
		(*n)++;
	}
	ds_reader_close(reader);
	return fits;
}

/* ds_credit_compare_rules does the order of rules by their codes, as SQL orders texts. */
int
ds_credit_compare_rules(const void *a, const void *b)
{
	const char *left = ((const DsCreditRule *) a)->code;
	const char *right = ((const DsCreditRule *) b)->code;

	return varstr_cmp(left, strlen(left), right, strlen(right), DEFAULT_COLLATION_OID);
}
