/*-------------------------------------------------------------------------
 *
 * day.c
 *		Days of an account: which one it is at an instant, and when one begins.
 *
 * A name of a zone with a slash, and UTC, mean what pg_tzset() says; any other
 * one may be an abbreviation, which SQL reads. Where it is always as late as in
 * UTC, or so much later, days are counted.
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/credit.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* ds_credit_zone does the look-up of a zone by its name. */
DsCreditZone
ds_credit_zone(Datum name)
{
	DsCreditZone zone = {name, NULL};
	char *word = TextDatumGetCString(name);

	if (strcmp(word, "UTC") == 0 || strchr(word, '/') != NULL)
		zone.zone = pg_tzset(word);
	return zone;
}

/* ds_credit_today does the day it is in a zone. */
DateADT
ds_credit_today(const DsCreditZone *zone, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t fsec;
	int offset;
	long same;

	if (zone->zone != NULL && pg_get_timezone_offset(zone->zone, &same))
	{
		TimestampTz here = at + same * USECS_PER_SEC;

		return (DateADT) (here / USECS_PER_DAY - (here % USECS_PER_DAY < 0));
	}
	if (zone->zone != NULL && timestamp2tm(at, &offset, &tm, &fsec, NULL, zone->zone) == 0)
		return date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
	return DatumGetDateADT(
		DirectFunctionCall1(timestamp_date, DirectFunctionCall2(timestamptz_zone, zone->name,
																TimestampTzGetDatum(at))));
}

/* ds_credit_begins does the first instant of a day in a zone. */
TimestampTz
ds_credit_begins(const DsCreditZone *zone, DateADT day)
{
	Timestamp here = (Timestamp) day * USECS_PER_DAY;
	struct pg_tm tm;
	fsec_t fsec;
	TimestampTz at;
	long same;

	if (zone->zone != NULL && pg_get_timezone_offset(zone->zone, &same))
		return here - same * USECS_PER_SEC;
	if (zone->zone != NULL && timestamp2tm(here, NULL, &tm, &fsec, NULL, NULL) == 0)
	{
		int offset = DetermineTimeZoneOffset(&tm, zone->zone);

		if (tm2timestamp(&tm, fsec, &offset, &at) == 0)
			return at;
	}
	return DatumGetTimestampTz(
		DirectFunctionCall2(timestamp_zone, zone->name, TimestampGetDatum(here)));
}
