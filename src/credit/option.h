/*-------------------------------------------------------------------------
 *
 * option.h
 *		Members of the jsonb that credit is asked with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_CREDIT_OPTION_H
#define DS_CREDIT_OPTION_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

extern bool ds_credit_text_member(Jsonb *options, const char *key, char **text, int *n);
extern bool ds_credit_whole_member(Jsonb *options, const char *key, int64 *number, bool *told);
extern bool ds_credit_number_member(Jsonb *options, const char *key, Numeric *number);
extern bool ds_credit_instant_member(Jsonb *options, const char *key, TimestampTz *at, int *n);
extern bool ds_credit_day_member(Jsonb *options, const char *key, char **text, DateADT *day);

#endif /* DS_CREDIT_OPTION_H */
