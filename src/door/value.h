/*-------------------------------------------------------------------------
 *
 * value.h
 *		Checks of single values: numbers, instants, codes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DOOR_VALUE_H
#define DS_DOOR_VALUE_H

#include "pgtime.h"
#include "utils/timestamp.h"

#include "door/spec.h"

/* What is wrong with a value, said to whoever sent it. sqlstate NULL = nothing. */
typedef struct DsDoorFault
{
	const char *sqlstate;
	char *message;
	const char *hint;
} DsDoorFault;

extern bool ds_door_fault(DsDoorFault *fault, const char *sqlstate, const char *hint,
						  const char *format, ...) pg_attribute_printf(4, 5);

extern char *ds_door_shown(const char *s, int len);
extern bool ds_door_check_number(const char *s, int len, const DsDoorField *field,
								 DsDoorFault *fault);
extern bool ds_door_check_name(const char *s, int len, const DsDoorField *field,
							   DsDoorFault *fault);
extern bool ds_door_check_code(const char *s, int len, const DsDoorField *field,
							   DsDoorFault *fault);
extern bool ds_door_check_date(const char *s, int len, const DsDoorField *field,
							   DsDoorFault *fault);
extern bool ds_door_check_uuid(const char *s, int len, const DsDoorField *field,
							   DsDoorFault *fault);
extern bool ds_door_check_timezone(const char *s, int len, const DsDoorField *field,
								   DsDoorFault *fault);

/* An instant as it was sent. zoned: it says its own time zone. */
typedef struct DsDoorInstant
{
	TimestampTz at;
	bool zoned;
	bool date_only;
	int offset; /* seconds west of Greenwich, as in struct pg_tm */
} DsDoorInstant;

extern bool ds_door_check_instant(const char *s, int len, const DsDoorField *field, pg_tz *zone,
								  DsDoorInstant *instant, DsDoorFault *fault);

#endif /* DS_DOOR_VALUE_H */
