/*-------------------------------------------------------------------------
 *
 * json.c
 *		Building jsonb, one member after the other.
 *
 * A NULL text or number is a JSON null. A key is NULL inside an array.
 *
 * Process: any backend. Locks: none. Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "base/json.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "base/compat.h"

/* push does one token. */
static void
push(DsJson *json, JsonbIteratorToken token, JsonbValue *value)
{
	json->result = pushJsonbValue(&json->state, token, value);
}

/* push_key does the name of a member; inside an array there is none. */
static void
push_key(DsJson *json, const char *key)
{
	JsonbValue v;

	if (key == NULL)
		return;
	v.type = jbvString;
	v.val.string.val = unconstify(char *, key);
	v.val.string.len = (int) strlen(key);
	push(json, WJB_KEY, &v);
}

/* push_value does a value, as member or as element. */
static void
push_value(DsJson *json, const char *key, JsonbValue *value)
{
	push_key(json, key);
	push(json, key == NULL ? WJB_ELEM : WJB_VALUE, value);
}

/* ds_json_open_object does the beginning of an object. */
void
ds_json_open_object(DsJson *json, const char *key)
{
	push_key(json, key);
	push(json, WJB_BEGIN_OBJECT, NULL);
}

/* ds_json_close_object does the end of an object. */
void
ds_json_close_object(DsJson *json)
{
	push(json, WJB_END_OBJECT, NULL);
}

/* ds_json_open_array does the beginning of an array. */
void
ds_json_open_array(DsJson *json, const char *key)
{
	push_key(json, key);
	push(json, WJB_BEGIN_ARRAY, NULL);
}

/* ds_json_close_array does the end of an array. */
void
ds_json_close_array(DsJson *json)
{
	push(json, WJB_END_ARRAY, NULL);
}

/* ds_json_text does a string. */
void
ds_json_text(DsJson *json, const char *key, const char *value)
{
	JsonbValue v;

	v.type = value == NULL ? jbvNull : jbvString;
	if (value != NULL)
	{
		v.val.string.val = unconstify(char *, value);
		v.val.string.len = (int) strlen(value);
	}
	push_value(json, key, &v);
}

/* ds_json_number does a number. */
void
ds_json_number(DsJson *json, const char *key, Numeric value)
{
	JsonbValue v;

	v.type = value == NULL ? jbvNull : jbvNumeric;
	if (value != NULL)
		v.val.numeric = value;
	push_value(json, key, &v);
}

/* ds_json_integer does a whole number. */
void
ds_json_integer(DsJson *json, const char *key, int64 value)
{
	ds_json_number(json, key, int64_to_numeric(value));
}

/* ds_json_boolean does a truth value. */
void
ds_json_boolean(DsJson *json, const char *key, bool value)
{
	JsonbValue v;

	v.type = jbvBool;
	v.val.boolean = value;
	push_value(json, key, &v);
}

/* ds_json_instant does an instant as to_jsonb() writes it; an infinite one is null: never, or nothing. */
void
ds_json_instant(DsJson *json, const char *key, TimestampTz value)
{
	char *text = palloc(MAXDATELEN + 1);

	if (TIMESTAMP_NOT_FINITE(value))
		ds_json_text(json, key, NULL);
	else
		ds_json_text(json, key,
					 JsonEncodeDateTime(text, TimestampTzGetDatum(value), TIMESTAMPTZOID, NULL));
}

/* ds_json_jsonb does a whole document as one value. */
void
ds_json_jsonb(DsJson *json, const char *key, Jsonb *value)
{
	JsonbValue v;

	v.type = jbvBinary;
	v.val.binary.data = &value->root;
	v.val.binary.len = VARSIZE(value) - VARHDRSZ;
	push_value(json, key, &v);
}

/* ds_json_finish does the jsonb of all that was pushed. */
Datum
ds_json_finish(DsJson *json)
{
	return JsonbPGetDatum(JsonbValueToJsonb(json->result));
}
