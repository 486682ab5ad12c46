/*-------------------------------------------------------------------------
 *
 * option.c
 *		Members of the jsonb that credit is asked with. Whatever is not as it is
 *		most of the time is left to SQL, which says what is wrong with it.
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/option.h"

#include <ctype.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "base/compat.h"

/* what SQL takes as a text option at most, in characters */
#define MOST_BYTES 10000

/* member does the look-up of a member. */
static JsonbValue *
member(Jsonb *options, const char *key, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(&options->root, key, strlen(key), value);
}

/* ds_credit_text_member does the reading of a text, NULL where there is none; *n counts those found. False: it is no text. */
bool
ds_credit_text_member(Jsonb *options, const char *key, char **text, int *n)
{
	JsonbValue room;
	JsonbValue *value = member(options, key, &room);

	*text = NULL;
	if (value == NULL)
		return true;
	(*n)++;
	if (value->type != jbvString || value->val.string.len > MOST_BYTES)
		return false;
	*text = pnstrdup(value->val.string.val, value->val.string.len);
	return true;
}

/* ds_credit_whole_member does the reading of a whole number, null or absent leaves it alone. False: it is none. */
bool
ds_credit_whole_member(Jsonb *options, const char *key, int64 *number, bool *told)
{
	JsonbValue room;
	JsonbValue *value = member(options, key, &room);

	if (value == NULL || value->type == jbvNull)
		return true;
	if (value->type != jbvNumeric ||
		DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(value->val.numeric))) != 0)
		return false;
	*number = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
	*told = true;
	return true;
}

/* ds_credit_number_member does the reading of a number, NULL where there is none. False: it is something else. */
bool
ds_credit_number_member(Jsonb *options, const char *key, Numeric *number)
{
	JsonbValue room;
	JsonbValue *value = member(options, key, &room);

	*number = NULL;
	if (value == NULL || value->type == jbvNull)
		return true;
	if (value->type != jbvNumeric)
		return false;
	*number = DatumGetNumericCopy(NumericGetDatum(value->val.numeric));
	return true;
}

/* digits does the reading of so many digits. False: there are not, or they are not between the limits. */
static bool
digits(const char **text, int n, int least, int most, int *number)
{
	*number = 0;
	for (; n > 0; n--, (*text)++)
	{
		if (!isdigit((unsigned char) **text))
			return false;
		*number = *number * 10 + (**text - '0');
	}
	return *number >= least && *number <= most;
}

/* sign does the step over one of some characters. */
static bool
sign(const char **text, const char *any)
{
	if (**text == '\0' || strchr(any, **text) == NULL)
		return false;
	(*text)++;
	return true;
}

/* is_day does the question whether a day of ISO 8601 that exists comes next. */
static bool
is_day(const char **text)
{
	static const int most[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year;
	int month;
	int day;

	if (!digits(text, 4, 1, 9999, &year) || !sign(text, "-") || !digits(text, 2, 1, 12, &month) ||
		!sign(text, "-") || !digits(text, 2, 1, most[month - 1], &day))
		return false;
	return month != 2 || day < 29 || (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

/* is_instant does the question whether a text is an instant with its zone: those need no look at settings, and no error can come. */
static bool
is_instant(const char *text)
{
	int number;

	if (!is_day(&text) || !sign(&text, "T ") || !digits(&text, 2, 0, 23, &number) ||
		!sign(&text, ":") || !digits(&text, 2, 0, 59, &number))
		return false;
	if (sign(&text, ":") && !digits(&text, 2, 0, 59, &number))
		return false;
	if (sign(&text, "."))
	{
		size_t fraction = strspn(text, "0123456789");

		if (fraction < 1 || fraction > 6)
			return false;
		text += fraction;
	}
	if (sign(&text, "Z"))
		return *text == '\0';
	return sign(&text, "+-") && digits(&text, 2, 0, 15, &number) &&
		   (*text == '\0' ||
			(sign(&text, ":") && digits(&text, 2, 0, 59, &number) && *text == '\0'));
}

/* ds_credit_instant_member does the reading of an instant; absent leaves it alone; *n counts those found. False: it is not one with its zone. */
bool
ds_credit_instant_member(Jsonb *options, const char *key, TimestampTz *at, int *n)
{
	char *text;

	if (!ds_credit_text_member(options, key, &text, n))
		return false;
	if (text == NULL)
		return true;
	if (!is_instant(text))
		return false;
	*at = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
												  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	return true;
}

/* ds_credit_day_member does the reading of a day, NULL as text where there is none. False: it is not one of ISO 8601. */
bool
ds_credit_day_member(Jsonb *options, const char *key, char **text, DateADT *day)
{
	JsonbValue room;
	JsonbValue *value = member(options, key, &room);
	const char *rest;

	*text = NULL;
	if (value == NULL || value->type == jbvNull)
		return true;
	if (value->type != jbvString || value->val.string.len != 10)
		return false;
	*text = pnstrdup(value->val.string.val, value->val.string.len);
	rest = *text;
	if (!is_day(&rest) || *rest != '\0')
		return false;
	*day = DatumGetDateADT(DirectFunctionCall1(date_in, CStringGetDatum(*text)));
	return true;
}
