/*-------------------------------------------------------------------------
 *
 * value.c
 *		Checks of single values, on their text: nothing passes through a binary
 *		fraction, nothing is rounded, and only one spelling of each is taken.
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/datetime.h"

#include "door/value.h"

#define INVALID_VALUE "SD002"
#define SHOWN 40 /* bytes of a bad value that a message shows */
#define MAX_NUMBER                                                                                 \
	200 /* bytes of a number: more than the digits of any type need, less than numeric takes */

/*
 * ds_door_fault does the noting of what is wrong; it returns false so that a
 * check can end with it.
 */
bool
ds_door_fault(DsDoorFault *fault, const char *sqlstate, const char *hint, const char *format, ...)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (;;)
	{
		va_list args;
		int needed;

		va_start(args, format);
		needed = appendStringInfoVA(&buf, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&buf, needed);
	}
	fault->sqlstate = sqlstate;
	fault->message = buf.data;
	fault->hint = hint;
	return false;
}

/* ds_door_shown makes a bad value short enough for a message, cut between characters. */
char *
ds_door_shown(const char *s, int len)
{
	return pnstrdup(s, pg_mbcliplen(s, len, SHOWN));
}

/* How many digits each type has before and after the point. */
static void
digits_of(DsDoorType type, int *before, int *after)
{
	*before = 14;
	*after = 6;
	switch (type)
	{
		case DS_DOOR_AMOUNT:
			*before = 16;
			*after = 4;
			break;
		case DS_DOOR_PRICE:
			*before = 12;
			*after = 8;
			break;
		case DS_DOOR_NUMBER:
			*before = 26;
			*after = 12;
			break;
		case DS_DOOR_INTEGER:
		case DS_DOOR_FACTOR:
			*before = 18;
			*after = 0;
			break;
		default:
			break;
	}
}

/*
 * scan_number does the grammar of a JSON number and finds where its first and
 * last digits that count stand: before is the number of digits before the
 * point, after the number behind it, trailing zeros not counted. Returns false
 * if it is no number; zero tells that all digits are.
 */
static bool
scan_number(const char *s, int len, bool *negative, bool *zero, int *before, int *after)
{
	int i = 0, point = -1, digits = 0, first = -1, last = -1, exponent = 0;

	*negative = len > 0 && s[0] == '-';
	i = *negative ? 1 : 0;
	for (; i < len && (isdigit((unsigned char) s[i]) || (s[i] == '.' && point < 0 && digits > 0));
		 i++)
	{
		if (s[i] == '.')
		{
			point = digits;
			continue;
		}
		if (s[i] != '0')
		{
			last = digits;
			if (first < 0)
				first = digits;
		}
		digits++;
	}
	if (digits == 0 || point == digits)
		return false;
	if (point < 0)
		point = digits;
	if (i < len && (s[i] == 'e' || s[i] == 'E'))
	{
		bool down = i + 1 < len && s[i + 1] == '-';
		int start;

		i += (i + 1 < len && (s[i + 1] == '-' || s[i + 1] == '+')) ? 2 : 1;
		for (start = i; i < len && isdigit((unsigned char) s[i]) && i - start < 4; i++)
			exponent = exponent * 10 + (s[i] - '0');
		if (i == start)
			return false;
		if (down)
			exponent = -exponent;
	}
	*zero = first < 0;
	*before = *zero ? 0 : Max(point - first + exponent, 0);
	*after = *zero ? 0 : Max(last + 1 - point - exponent, 0);
	return i == len;
}

/* ds_door_check_number does the check of a number by its digits, so that nothing is ever rounded in silence. */
bool
ds_door_check_number(const char *s, int len, const DsDoorField *field, DsDoorFault *fault)
{
	bool negative, zero;
	int before, after, max_before, max_after;

	if (!scan_number(s, len, &negative, &zero, &before, &after))
	{
		int sign = len > 0 && (s[0] == '-' || s[0] == '+') ? 1 : 0;

		if (len - sign >= 3 && len <= 9 &&
			(pg_strncasecmp(s, "nan", 3) == 0 || pg_strncasecmp(s + sign, "inf", 3) == 0))
			return ds_door_fault(fault, INVALID_VALUE,
								 "Send a number, or leave the field out if there is none.",
								 "%s is refused", ds_door_shown(s, len));
		return ds_door_fault(fault, INVALID_VALUE,
							 "Send digits with a point, for example 12.50, without blanks, "
							 "currency signs or separators of thousands.",
							 "\"%s\" is not a number", ds_door_shown(s, len));
	}
	digits_of(field->type, &max_before, &max_after);
	if (before > max_before)
		return ds_door_fault(fault, INVALID_VALUE, "Check the value and its unit.",
							 "%s has %d digits before the point, at most %d are allowed",
							 ds_door_shown(s, len), before, max_before);
	if (after > max_after)
		return ds_door_fault(
			fault, INVALID_VALUE,
			max_after == 0
				? "Send a whole number."
				: "Round it yourself, the way your books do; it is never rounded in silence.",
			"%s has %d decimals, at most %d are allowed", ds_door_shown(s, len), after, max_after);
	if (negative && !zero && field->sign != DS_DOOR_ANY_SIGN)
		return ds_door_fault(fault, INVALID_VALUE,
							 "Check the sign; returns and corrections have documents of their own.",
							 "%s is negative", ds_door_shown(s, len));
	if ((zero || negative) && (field->sign == DS_DOOR_POSITIVE || field->type == DS_DOOR_FACTOR))
		return ds_door_fault(fault, INVALID_VALUE, "Send a value above 0.", "%s is not above 0",
							 ds_door_shown(s, len));
	if (len > MAX_NUMBER)
		return ds_door_fault(fault, INVALID_VALUE, "Leave out the zeros that say nothing.",
							 "number of %d characters is too long", len);
	return true;
}

/* ds_door_check_code does the check of a code: it must survive being printed, compared and typed. */
bool
ds_door_check_code(const char *s, int len, const DsDoorField *field, DsDoorFault *fault)
{
	if (len == 0)
		return ds_door_fault(fault, INVALID_VALUE, "Send the code, or leave the field out.",
							 "code is empty");
	for (int i = 0; i < len; i++)
		if ((unsigned char) s[i] < 0x20 || s[i] == 0x7f)
			return ds_door_fault(fault, INVALID_VALUE, "Send the code alone, on one line.",
								 "code has a control character at byte %d", i + 1);
	if (s[0] == ' ' || s[len - 1] == ' ')
		return ds_door_fault(fault, INVALID_VALUE, "Cut the blanks off.",
							 "code \"%s\" begins or ends with a blank", ds_door_shown(s, len));
	if (len > 255 && pg_mbstrlen_with_len(s, len) > 255)
		return ds_door_fault(fault, INVALID_VALUE, "Codes have at most 255 characters.",
							 "code of %d characters is too long", pg_mbstrlen_with_len(s, len));
	return true;
}

/* ds_door_check_name does the check of a text that indexes keep: what somebody calls a thing, in his own way. */
bool
ds_door_check_name(const char *s, int len, const DsDoorField *field, DsDoorFault *fault)
{
	if (len > 255 && pg_mbstrlen_with_len(s, len) > 255)
		return ds_door_fault(fault, INVALID_VALUE, "Send at most 255 characters.",
							 "name of %d characters is too long", pg_mbstrlen_with_len(s, len));
	return true;
}

/* fixed_digits reads a number of fixed width, -1 = there is none. */
static int
fixed_digits(const char *s, int n)
{
	int value = 0;

	for (int i = 0; i < n; i++)
	{
		if (!isdigit((unsigned char) s[i]))
			return -1;
		value = value * 10 + (s[i] - '0');
	}
	return value;
}

/* scan_date reads YYYY-MM-DD, a day that exists. */
static bool
scan_date(const char *s, int len, struct pg_tm *tm)
{
	if (len < 10 || s[4] != '-' || s[7] != '-')
		return false;
	tm->tm_year = fixed_digits(s, 4);
	tm->tm_mon = fixed_digits(s + 5, 2);
	tm->tm_mday = fixed_digits(s + 8, 2);
	return tm->tm_year >= 1 && tm->tm_mon >= 1 && tm->tm_mon <= 12 && tm->tm_mday >= 1 &&
		   tm->tm_mday <= day_tab[isleap(tm->tm_year)][tm->tm_mon - 1];
}

bool
ds_door_check_date(const char *s, int len, const DsDoorField *field, DsDoorFault *fault)
{
	struct pg_tm tm;

	if (len == 10 && scan_date(s, len, &tm))
		return true;
	return ds_door_fault(fault, INVALID_VALUE, "Send a day that exists as YYYY-MM-DD.",
						 "\"%s\" is not a date", ds_door_shown(s, len));
}

/*
 * scan_time reads HH:MM, HH:MM:SS or HH:MM:SS.ffffff and returns the bytes it
 * took, 0 = it is none. Digits beyond microseconds are dropped, as every
 * timestamptz does.
 */
static int
scan_time(const char *s, int len, struct pg_tm *tm, fsec_t *fsec)
{
	int i = 5;

	*fsec = 0;
	tm->tm_sec = 0;
	if (len < 5 || s[2] != ':')
		return 0;
	tm->tm_hour = fixed_digits(s, 2);
	tm->tm_min = fixed_digits(s + 3, 2);
	if (tm->tm_hour < 0 || tm->tm_hour > 23 || tm->tm_min < 0 || tm->tm_min > 59)
		return 0;
	if (i < len && s[i] == ':')
	{
		if (len < 8 || (tm->tm_sec = fixed_digits(s + 6, 2)) < 0 || tm->tm_sec > 59)
			return 0;
		i = 8;
		if (i < len && s[i] == '.')
		{
			int unit = 100000;
			int start = ++i;

			for (; i < len && isdigit((unsigned char) s[i]); i++, unit /= 10)
				*fsec += unit * (s[i] - '0');
			if (i == start)
				return 0;
		}
	}
	return i;
}

/* scan_zone reads Z, +HH, +HHMM or +HH:MM, all of the rest; offset is west of Greenwich, as in struct pg_tm. */
static bool
scan_zone(const char *s, int len, int *offset)
{
	int hours, minutes = 0;

	if (len == 1 && (s[0] == 'Z' || s[0] == 'z'))
	{
		*offset = 0;
		return true;
	}
	if (len < 3 || (s[0] != '+' && s[0] != '-') || (hours = fixed_digits(s + 1, 2)) < 0 ||
		hours > 15)
		return false;
	if (len == 5)
		minutes = fixed_digits(s + 3, 2);
	else if (len == 6 && s[3] == ':')
		minutes = fixed_digits(s + 4, 2);
	else if (len != 3)
		return false;
	if (minutes < 0 || minutes > 59)
		return false;
	*offset = (hours * 60 + minutes) * 60 * (s[0] == '+' ? -1 : 1);
	return true;
}

/*
 * ds_door_check_instant does the check of an instant and finds out which one
 * it is: without a zone of its own it is read in the sender's.
 */
bool
ds_door_check_instant(const char *s, int len, const DsDoorField *field, pg_tz *zone,
					  DsDoorInstant *instant, DsDoorFault *fault)
{
	struct pg_tm tm = {0};
	fsec_t fsec = 0;
	Timestamp local;

	instant->date_only = len == 10;
	instant->zoned = false;
	if (scan_date(s, len, &tm))
	{
		int used = instant->date_only || (s[10] != 'T' && s[10] != 't' && s[10] != ' ')
					   ? 0
					   : scan_time(s + 11, len - 11, &tm, &fsec);
		int end = 11 + used;

		instant->zoned = used > 0 && end < len && scan_zone(s + end, len - end, &instant->offset);
		if (instant->zoned || instant->date_only || (used > 0 && end == len))
		{
			if (!instant->zoned)
				instant->offset = DetermineTimeZoneOffset(&tm, zone);
			if (tm2timestamp(&tm, fsec, NULL, &local) == 0)
			{
				instant->at = local + instant->offset * USECS_PER_SEC;
				return true;
			}
		}
	}
	return ds_door_fault(fault, INVALID_VALUE,
						 "Send an instant with its zone, for example 2026-05-14T10:00:00Z or "
						 "2026-05-14T10:00:00+02:00.",
						 "\"%s\" is not an instant", ds_door_shown(s, len));
}

bool
ds_door_check_uuid(const char *s, int len, const DsDoorField *field, DsDoorFault *fault)
{
	bool fine = len == 36;

	for (int i = 0; fine && i < len; i++)
		fine = (i == 8 || i == 13 || i == 18 || i == 23) ? s[i] == '-'
														 : isxdigit((unsigned char) s[i]) != 0;
	return fine || ds_door_fault(fault, INVALID_VALUE, "Send it as 8-4-4-4-12 hexadecimal digits.",
								 "\"%s\" is not a UUID", ds_door_shown(s, len));
}

/*
 * is_rule tells whether the server would read a name as a rule such as "ABC+1:23". Each one that it has read it keeps for
 * as long as the process lives: a sender who makes them up would fill a worker's memory. Real names hold no digits, with
 * few exceptions.
 */
static bool
is_rule(const char *name)
{
	static const char *const with_digits[] = {"CST6CDT", "EST5EDT", "MST7MDT", "PST8PDT",
											  "GMT0",	 "GMT+0",	"GMT-0",   "Etc/GMT0"};

	if (strpbrk(name, "0123456789") == NULL)
		return false;
	for (int i = 0; i < lengthof(with_digits); i++)
		if (pg_strcasecmp(name, with_digits[i]) == 0)
			return false;
	return pg_strncasecmp(name, "Etc/GMT", 7) != 0 || (name[7] != '+' && name[7] != '-') ||
		   strlen(name) > 10 || strspn(name + 8, "0123456789") != strlen(name + 8) ||
		   atoi(name + 8) > 14;
}

bool
ds_door_check_timezone(const char *s, int len, const DsDoorField *field, DsDoorFault *fault)
{
	char *name = pnstrdup(s, Min(len, 65));

	if (len > 0 && len <= 64 && !is_rule(name) && pg_tzset(name) != NULL)
		return true;
	return ds_door_fault(fault, INVALID_VALUE,
						 "Send a name of the tz database, for example Europe/Vienna.",
						 "\"%s\" is not a time zone", ds_door_shown(s, len));
}
