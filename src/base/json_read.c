/*-------------------------------------------------------------------------
 *
 * json_read.c
 *		Building jsonb from the text of one that text.h has written.
 *
 * The server's own parser serves texts of everybody and sorts what it has
 * read. Ours knows that the text is right and in order, that numbers have no
 * exponent, and what is escaped: it takes a fifth of the time.
 *
 * Process: any backend. Locks: none. Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "base/json.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "base/compat.h"

/* Where the reading stands. */
typedef struct Reading
{
	DsJson json;
	char *at; /* in a copy: strings are ended where they stand */
} Reading;

/* cannot does the error for a text that text.h has not written. */
pg_noreturn static void
cannot(const Reading *r)
{
	/* cannot happen: nobody else gives us texts */
	elog(ERROR, "text is no jsonb as it is written here, at \"%.40s\"", r->at);
}

/* skip does the passing over of what separates. */
static void
skip(Reading *r)
{
	while (*r->at == ' ' || *r->at == ',' || *r->at == ':')
		r->at++;
}

/* unescape does one escaped character; \u00xx is the only form of a code. */
static char
unescape(Reading *r)
{
	static const char names[] = "bfnrt";
	static const char values[] = "\b\f\n\r\t";
	const char *found;
	char c = *r->at++;

	if (c == 'u')
	{
		char code[5] = {0};

		strncpy(code, r->at, 4);
		r->at += strlen(code);
		return (char) strtol(code, NULL, 16);
	}
	found = c == '\0' ? NULL : strchr(names, c);
	return found == NULL ? c : values[found - names];
}

/* read_escaped does the reading of a text of which something is escaped, up to its closing quote: what it says is shorter. */
static char *
read_escaped(Reading *r)
{
	char *result = r->at;
	char *to = result;

	while (*r->at != '"')
	{
		if (*r->at == '\0')
			cannot(r);
		if (*r->at == '\\')
		{
			r->at++;
			*to++ = unescape(r);
		}
		else
			*to++ = *r->at++;
	}
	r->at++;
	*to = '\0';
	return result;
}

/* read_string does the same of any text: most are as they are told. */
static char *
read_string(Reading *r)
{
	char *result = ++r->at;
	size_t length = strcspn(result, "\"\\");

	if (result[length] != '"')
		return read_escaped(r);
	result[length] = '\0';
	r->at = result + length + 1;
	return result;
}

/* read_number does the reading of a number. */
static Numeric
read_number(Reading *r)
{
	size_t length = strspn(r->at, "+-0123456789.");
	size_t whole = strspn(r->at, "0123456789");
	size_t decimals = 0;
	char *said = r->at;
	int64 mantissa = 0;

	if (length == 0)
		cannot(r);
	r->at += length;
	if (whole > 0 && whole < length && said[whole] == '.')
		decimals = strspn(said + whole + 1, "0123456789");
	if (length > 18 || length != whole + (decimals > 0) + decimals)
		return DatumGetNumeric(
			DirectFunctionCall3(numeric_in, CStringGetDatum(pnstrdup(said, length)),
								ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	for (size_t i = 0; i < length; i++)
	{
		if (said[i] != '.')
			mantissa = mantissa * 10 + (said[i] - '0');
	}
	return int64_div_fast_to_numeric(mantissa, (int) decimals);
}

/* is_word does the reading of a word, if it stands there. */
static bool
is_word(Reading *r, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(r->at, word, length) != 0)
		return false;
	r->at += length;
	return true;
}

/* read_plain does the reading of a value that holds no others. */
static void
read_plain(Reading *r, const char *key)
{
	if (*r->at == '"')
		ds_json_text(&r->json, key, read_string(r));
	else if (is_word(r, "null"))
		ds_json_text(&r->json, key, NULL);
	else if (is_word(r, "true"))
		ds_json_boolean(&r->json, key, true);
	else if (is_word(r, "false"))
		ds_json_boolean(&r->json, key, false);
	else
		ds_json_number(&r->json, key, read_number(r));
}

/* ds_json_read does the jsonb of a text: one object. */
Datum
ds_json_read(const char *text)
{
	Reading r = {.at = pstrdup(text)};
	bool object[DS_JSON_DEPTH]; /* of what is open, the innermost last */
	int depth = 0;

	do
	{
		char *key = NULL;

		skip(&r);
		if (*r.at == '}' || *r.at == ']')
		{
			if (object[--depth])
				ds_json_close_object(&r.json);
			else
				ds_json_close_array(&r.json);
			r.at++;
			continue;
		}
		if (depth > 0 && object[depth - 1])
		{
			key = read_string(&r);
			skip(&r);
		}
		if (*r.at == '{' || *r.at == '[')
		{
			bool is_object = *r.at++ == '{';

			if (is_object)
				ds_json_open_object(&r.json, key);
			else
				ds_json_open_array(&r.json, key);
			if (depth < DS_JSON_DEPTH)
				object[depth++] = is_object;
			else
				cannot(&r);
		}
		else
			read_plain(&r, key);
	} while (depth > 0);
	return ds_json_finish(&r.json);
}
