/*-------------------------------------------------------------------------
 *
 * calendar.c
 *		When a site ships: the first open day of its calendar whose cut-off is
 *		still ahead. What distsync_internal.inventory_ship_at() says in SQL.
 *
 * Process: any backend. Locks: AccessShareLock on calendars and their days.
 * Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "base/compat.h"
#include "base/reader.h"
#include "inventory/read.h"

/* a calendar that is closed for so many days on end is closed for good */
#define LONGEST_CLOSED 366

enum
{
	C_TZ,
	C_WEEKDAYS,
	C_CUT_OFF
};

static DsTable calendar_table = {
	.name = "calendar",
	.index = "calendar_pk",
	.keys = {"calendar_id"},
	.columns = {"tz", "weekdays", "cut_off"},
};

enum
{
	D_OPEN,
	D_CUT_OFF
};

static DsTable day_table = {
	.name = "calendar_day",
	.index = "calendar_day_pk",
	.keys = {"calendar_id", "day"},
	.columns = {"open", "cut_off"},
};

typedef struct Calendar
{
	Datum id;
	Datum tz;
	bool open[7]; /* from Sunday on */
	TimeADT cut_off;
} Calendar;

/* read_weekdays does the marking of the weekdays that are open. */
static void
read_weekdays(ArrayType *days, bool *open)
{
	int n = ArrayGetNItems(ARR_NDIM(days), ARR_DIMS(days));
	const int16 *iso = (const int16 *) ARR_DATA_PTR(days);
	int i;

	/* the table's CHECK has no nulls among them */
	for (i = 0; i < n; i++)
		open[iso[i] % 7] = true;
}

/* read_calendar does the look-up of a calendar. */
static bool
read_calendar(Datum id, Calendar *calendar)
{
	DsReader *reader = ds_reader_open(&calendar_table);
	bool found;

	memset(calendar, 0, sizeof(Calendar));
	ds_reader_seek(reader, &id, 1);
	found = ds_reader_next(reader);
	if (found)
	{
		calendar->id = id;
		calendar->tz = PointerGetDatum(DatumGetTextPCopy(reader->values[C_TZ]));
		read_weekdays(DatumGetArrayTypeP(reader->values[C_WEEKDAYS]), calendar->open);
		calendar->cut_off = DatumGetTimeADT(reader->values[C_CUT_OFF]);
	}
	ds_reader_close(reader);
	return found;
}

/* open_on does the look at one day, special or not: whether it is open, and until when. */
static bool
open_on(const Calendar *calendar, DsReader *days, DateADT day, TimeADT *cut_off)
{
	Datum keys[2] = {calendar->id, DateADTGetDatum(day)};

	*cut_off = calendar->cut_off;
	ds_reader_seek(days, keys, 2);
	if (!ds_reader_next(days))
		return calendar->open[j2day(day + POSTGRES_EPOCH_JDATE)];
	if (!days->nulls[D_CUT_OFF])
		*cut_off = DatumGetTimeADT(days->values[D_CUT_OFF]);
	return DatumGetBool(days->values[D_OPEN]);
}

/*
 * ds_inventory_ship_at does the finding of the cut-off at which what is
 * available at an instant leaves. False: never, or the calendar is not there.
 */
bool
ds_inventory_ship_at(Datum calendar_id, TimestampTz available_at, TimestampTz *ship_at)
{
	Calendar calendar;
	DsReader *days;
	Timestamp here;
	DateADT first;
	DateADT day;
	bool found = false;

	if (!read_calendar(calendar_id, &calendar))
		return false;
	here = DatumGetTimestamp(
		DirectFunctionCall2(timestamptz_zone, calendar.tz, TimestampTzGetDatum(available_at)));
	first = DatumGetDateADT(DirectFunctionCall1(timestamp_date, TimestampGetDatum(here)));
	days = ds_reader_open(&day_table);
	for (day = first; !found && day < first + LONGEST_CLOSED; day++)
	{
		TimeADT cut_off;
		Timestamp leaves;

		if (!open_on(&calendar, days, day, &cut_off))
			continue;
		leaves = (Timestamp) day * USECS_PER_DAY + cut_off;
		found = day > first || here < leaves;
		if (found)
			*ship_at = DatumGetTimestampTz(
				DirectFunctionCall2(timestamp_zone, calendar.tz, TimestampGetDatum(leaves)));
	}
	ds_reader_close(days);
	return found;
}
