/*-------------------------------------------------------------------------
 *
 * json.h
 *		Building jsonb, one member after the other.
 *
 * Keys, texts and numbers are not copied before what holds them is closed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_JSON_H
#define DS_BASE_JSON_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* what may be open at once */
#define DS_JSON_DEPTH 16

/* A member or element: its bytes stay where they are until what holds it is closed. */
typedef struct DsJsonEntry
{
	const char *key; /* NULL in an array */
	uint32 key_length;
	JEntry type;
	const void *bytes;
	uint32 length;
} DsJsonEntry;

/* What is being built, all zeros at first. */
typedef struct DsJson
{
	DsJsonEntry *entries; /* of all that is open, the innermost last */
	int nentries;
	int room;
	int depth;
	int first[DS_JSON_DEPTH]; /* entry with which what is open begins */
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
extern void ds_json_members(DsJson *json, const Jsonb *object, const char *without);
extern Datum ds_json_finish(DsJson *json);

/* json_read.c */
extern Datum ds_json_read(const char *text);

#endif /* DS_BASE_JSON_H */
