/*-------------------------------------------------------------------------
 *
 * number.h
 *		Names of new rows: numbers of a sequence, random UUIDs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_NUMBER_H
#define DS_BASE_NUMBER_H

#include "postgres.h"

extern int64 ds_next_number(const char *schema, const char *name);
extern Datum ds_new_uuid(void);

#endif /* DS_BASE_NUMBER_H */
