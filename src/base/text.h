/*-------------------------------------------------------------------------
 *
 * text.h
 *		Writing the text of a jsonb at once, without building the jsonb.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_TEXT_H
#define DS_BASE_TEXT_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "base/ratio.h"

extern void ds_text_open(StringInfo text, const char *key, char bracket);
extern void ds_text_close(StringInfo text, char bracket);
extern void ds_text_member(StringInfo text, const char *name);
extern void ds_text_string(StringInfo text, const char *key, const char *value);
extern void ds_text_hex(StringInfo text, const char *key, const uint8 *bytes, int n);
extern void ds_text_integer(StringInfo text, const char *key, int64 value);
extern void ds_text_boolean(StringInfo text, const char *key, bool value);
extern void ds_text_number(StringInfo text, const char *key, Numeric value);
extern void ds_text_ratio(StringInfo text, const char *key, DsRatio value, int most);
extern void ds_text_instant(StringInfo text, const char *key, TimestampTz value);
extern void ds_text_jsonb(StringInfo text, const char *key, Jsonb *value);
extern const char *ds_text_shown(const char *value);

#endif /* DS_BASE_TEXT_H */
