/*-------------------------------------------------------------------------
 *
 * text.c
 *		Writing the text of a jsonb at once, without building the jsonb.
 *
 * What is written is byte for byte what jsonb_out() would print of the same
 * document, as long as the caller brings the members of each object in the
 * order of jsonb: shorter names first, then by bytes. That order is its part,
 * and its tests'. A NULL string or number is a JSON null; a key is NULL inside
 * an array.
 *
 * Process: any backend. Locks: none. Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "base/text.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "base/compat.h"

/* as much of a text as a message shows of it, in bytes */
#define SHOWN 40

/* begin does the comma and the name before a value. */
static void
begin(StringInfo text, const char *key)
{
	char last = text->len > 0 ? text->data[text->len - 1] : '{';

	/* a string ends with its quote: a bracket was opened, and a space stands behind the name of a member */
	if (last != '{' && last != '[' && last != ' ')
		appendBinaryStringInfo(text, ", ", 2);
	if (key == NULL)
		return;
	appendStringInfoChar(text, '"');
	appendStringInfoString(text, key);
	appendBinaryStringInfo(text, "\": ", 3);
}

/* ds_text_open does the beginning of an object or array. */
void
ds_text_open(StringInfo text, const char *key, char bracket)
{
	begin(text, key);
	appendStringInfoChar(text, bracket);
}

/* ds_text_close does its end. */
void
ds_text_close(StringInfo text, char bracket)
{
	appendStringInfoChar(text, bracket);
}

/* ds_text_member does the name of a member that is data, so that it may need escapes; its value comes next, without a key. */
void
ds_text_member(StringInfo text, const char *name)
{
	begin(text, NULL);
	escape_json(text, name);
	appendBinaryStringInfo(text, ": ", 2);
}

/* ds_text_string does a string. */
void
ds_text_string(StringInfo text, const char *key, const char *value)
{
	begin(text, key);
	if (value == NULL)
		appendBinaryStringInfo(text, "null", 4);
	else
		escape_json(text, value);
}

/* ds_text_hex does bytes as a string of hexadecimal digits; NULL = null. */
void
ds_text_hex(StringInfo text, const char *key, const uint8 *bytes, int n)
{
	static const char digit[] = "0123456789abcdef";
	int i;

	begin(text, key);
	if (bytes == NULL)
	{
		appendBinaryStringInfo(text, "null", 4);
		return;
	}
	appendStringInfoChar(text, '"');
	for (i = 0; i < n; i++)
	{
		appendStringInfoCharMacro(text, digit[bytes[i] >> 4]);
		appendStringInfoCharMacro(text, digit[bytes[i] & 15]);
	}
	appendStringInfoChar(text, '"');
}

/* digits does the digits of a decimal, mantissa / 10^scale. */
static void
digits(StringInfo text, int128 mantissa, int scale)
{
	char buffer[64];
	char *p = buffer + sizeof(buffer);
	bool negative = mantissa < 0;
	int n = 0;

	if (negative)
		mantissa = -mantissa;
	/* a division of 128 bits is dear, and most numbers are short */
	while (mantissa > PG_INT64_MAX || n == 0 || mantissa != 0 || n <= scale)
	{
		if (n++ == scale && scale > 0)
			*--p = '.';
		if (mantissa > PG_INT64_MAX)
		{
			*--p = '0' + (int) (mantissa % 10);
			mantissa /= 10;
		}
		else
		{
			*--p = '0' + (int) ((int64) mantissa % 10);
			mantissa = (int64) mantissa / 10;
		}
	}
	if (negative)
		*--p = '-';
	appendBinaryStringInfo(text, p, (int) (buffer + sizeof(buffer) - p));
}

/* ds_text_integer does a whole number. */
void
ds_text_integer(StringInfo text, const char *key, int64 value)
{
	begin(text, key);
	digits(text, value, 0);
}

/* ds_text_boolean does a truth value. */
void
ds_text_boolean(StringInfo text, const char *key, bool value)
{
	begin(text, key);
	appendStringInfoString(text, value ? "true" : "false");
}

/* ds_text_number does a number with the decimals it has. */
void
ds_text_number(StringInfo text, const char *key, Numeric value)
{
	begin(text, key);
	appendStringInfoString(text, value == NULL ? "null"
											   : DatumGetCString(DirectFunctionCall1(
													 numeric_out, NumericGetDatum(value))));
}

/* ds_text_ratio does a fraction, rounded half up to at most so many decimals, without zeros at the end. */
void
ds_text_ratio(StringInfo text, const char *key, DsRatio value, int most)
{
	DsRatio r = ds_ratio_round(value, most, DS_ROUND_HALF_UP);

	begin(text, key);
	if (r.wide_num != NULL)
	{
		Datum n = NumericGetDatum(ds_ratio_to_numeric(value, most, DS_ROUND_HALF_UP));

		n = DirectFunctionCall1(numeric_trim_scale, n);
		appendStringInfoString(text, DatumGetCString(DirectFunctionCall1(numeric_out, n)));
		return;
	}
	if (r.num <= PG_INT64_MAX && r.num >= PG_INT64_MIN)
	{
		int64 small = (int64) r.num;

		for (; most > 0 && small % 10 == 0; most--)
			small /= 10;
		r.num = small;
	}
	for (; most > 0 && r.num % 10 == 0; most--)
		r.num /= 10;
	digits(text, r.num, most);
}

/* ds_text_instant does an instant, whatever the session's time zone is in UTC; an infinite one is null: never, or nothing. */
void
ds_text_instant(StringInfo text, const char *key, TimestampTz value)
{
	char buffer[MAXDATELEN + 1];
	int utc = 0;

	begin(text, key);
	if (TIMESTAMP_NOT_FINITE(value))
	{
		appendBinaryStringInfo(text, "null", 4);
		return;
	}
	appendStringInfoChar(text, '"');
	appendStringInfoString(
		text, JsonEncodeDateTime(buffer, TimestampTzGetDatum(value), TIMESTAMPTZOID, &utc));
	appendStringInfoChar(text, '"');
}

/* ds_text_jsonb does a whole document as one value; NULL = null. */
void
ds_text_jsonb(StringInfo text, const char *key, Jsonb *value)
{
	begin(text, key);
	if (value == NULL)
		appendBinaryStringInfo(text, "null", 4);
	else
		JsonbToCString(text, &value->root, VARSIZE(value));
}

/* ds_text_shown does the shortening of a text that somebody sent for a message about it: half a character would be one that no client can read. */
const char *
ds_text_shown(const char *value)
{
	int length = (int) strlen(value);

	return length <= SHOWN ? value : pnstrdup(value, pg_mbcliplen(value, length, SHOWN));
}
