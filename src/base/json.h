/*-------------------------------------------------------------------------
 *
 * json.h
 *		Building jsonb, one member after the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_JSON_H
#define DS_BASE_JSON_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

typedef struct DsJson
{
	JsonbParseState *state;
	JsonbValue *result;
} DsJson;

extern void ds_json_open_object(DsJson *json, const char *key);
extern void ds_json_close_object(DsJson *json);
extern void ds_json_open_array(DsJson *json, const char *key);
extern void ds_json_close_array(DsJson *json);
extern void ds_json_text(DsJson *json, const char *key, const char *value);
extern void ds_json_number(DsJson *json, const char *key, Numeric value);
extern void ds_json_integer(DsJson *json, const char *key, int64 value);
extern void ds_json_boolean(DsJson *json, const char *key, bool value);
extern void ds_json_instant(DsJson *json, const char *key, TimestampTz value);
extern void ds_json_jsonb(DsJson *json, const char *key, Jsonb *value);
extern Datum ds_json_finish(DsJson *json);

#endif /* DS_BASE_JSON_H */
