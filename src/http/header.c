/*-------------------------------------------------------------------------
 *
 * header.c
 *		What may stand in a request line or header, and what a partner's
 *		Retry-After means.
 *
 * libcurl sends header lines as it gets them: a line break in a value would be
 * a second header, or a second request. So every line is checked where it is
 * defined and again where it is sent.
 *
 * Process: worker, any backend. Locks: none. Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "http/guard.h"

/* Methods we send; CONNECT, TRACE and OPTIONS are no deliveries. */
static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

/* Headers that frame the message or choose the connection: they are the driver's. */
static const char *const reserved_names[] = {"connection",
											 "content-length",
											 "expect",
											 "host",
											 "http2-settings",
											 "keep-alive",
											 "proxy",
											 "proxy-authorization",
											 "proxy-connection",
											 "te",
											 "trailer",
											 "transfer-encoding",
											 "upgrade"};

/* ds_http_method_refused allows exactly the methods above, in capitals, so nothing can be smuggled in the request line. */
const char *
ds_http_method_refused(const char *method)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (strcmp(method, methods[i]) == 0)
			return NULL;
	return "method";
}

/* is_token_char is RFC 9110's tchar: letters, digits and these fifteen. */
static bool
is_token_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		   (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/*
 * ds_http_header_refused says why a line "Name: value" can't be sent, or NULL. An empty value is refused because libcurl
 * takes it as "remove this header".
 */
const char *
ds_http_header_refused(const char *line, size_t len)
{
	size_t name = 0;
	bool empty = true;

	if (len == 0)
		return "missing";
	if (len > DS_HTTP_MAX_HEADER_LINE)
		return "too_long";
	if (line[0] == ' ' || line[0] == '\t')
		return "folded";
	while (name < len && is_token_char((unsigned char) line[name]))
		name++;
	for (size_t i = name; i < len; i++)
	{
		unsigned char c = (unsigned char) line[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return "control_character";
		if (i > name && c != ' ' && c != '\t')
			empty = false;
	}
	if (name == 0 || name == len || line[name] != ':')
		return "name";
	if (empty)
		return "empty_value";
	for (size_t i = 0; i < sizeof(reserved_names) / sizeof(*reserved_names); i++)
		if (strlen(reserved_names[i]) == name && strncasecmp(line, reserved_names[i], name) == 0)
			return "reserved_name";
	return NULL;
}

/* take_number reads between min and max digits and moves on, or returns -1. */
static long
take_number(const char **p, const char *end, int min, int max)
{
	long n = 0;
	int digits = 0;

	while (*p < end && digits < max && **p >= '0' && **p <= '9')
	{
		n = n * 10 + (*(*p)++ - '0');
		digits++;
	}
	return digits >= min ? n : -1;
}

/* take_char moves over one expected character. */
static bool
take_char(const char **p, const char *end, char c)
{
	if (*p >= end || **p != c)
		return false;
	(*p)++;
	return true;
}

/* take_name moves over one of a list of names and returns its number, or -1. HTTP's names are case-sensitive. */
static int
take_name(const char **p, const char *end, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
	{
		size_t len = strlen(names[i]);

		if ((size_t) (end - *p) >= len && memcmp(*p, names[i], len) == 0)
		{
			*p += len;
			return i;
		}
	}
	return -1;
}

/* days_since_epoch counts days of the Gregorian calendar; year >= 1, month 1..12. */
static int64_t
days_since_epoch(int64_t year, int month, int day)
{
	int64_t era;
	int64_t day_of_year;

	year -= month <= 2;
	era = year / 400;
	year -= era * 400;
	day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + year * 365 + year / 4 - year / 100 + day_of_year - 719468;
}

typedef struct DsHttpDate
{
	long year, month, day, hour, minute, second;
} DsHttpDate;

static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
										  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
/* the long names first: "Mon" would match the beginning of "Monday" */
static const char *const day_names[] = {"Monday",	"Tuesday", "Wednesday", "Thursday", "Friday",
										"Saturday", "Sunday",  "Mon",		"Tue",		"Wed",
										"Thu",		"Fri",	   "Sat",		"Sun"};

/* take_time reads "08:49:37". */
static bool
take_time(const char **p, const char *end, DsHttpDate *date)
{
	return (date->hour = take_number(p, end, 2, 2)) >= 0 && take_char(p, end, ':') &&
		   (date->minute = take_number(p, end, 2, 2)) >= 0 && take_char(p, end, ':') &&
		   (date->second = take_number(p, end, 2, 2)) >= 0;
}

/* take_day_first reads "06 Nov 1994 08:49:37 GMT" and RFC 850's "06-Nov-94 08:49:37 GMT". */
static bool
take_day_first(const char **p, const char *end, DsHttpDate *date)
{
	static const char *const gmt[] = {"GMT"};
	char separator;

	if ((date->day = take_number(p, end, 2, 2)) < 0 || *p >= end)
		return false;
	separator = **p;
	if (separator != ' ' && separator != '-')
		return false;
	if (!take_char(p, end, separator) ||
		(date->month = take_name(p, end, month_names, 12) + 1) == 0 ||
		!take_char(p, end, separator))
		return false;
	if (separator == ' ')
		date->year = take_number(p, end, 4, 4);
	else if ((date->year = take_number(p, end, 2, 2)) >= 0)
		date->year += date->year < 70 ? 2000 : 1900;
	return date->year >= 1 && take_char(p, end, ' ') && take_time(p, end, date) &&
		   take_char(p, end, ' ') && take_name(p, end, gmt, 1) == 0;
}

/* take_month_first reads asctime's "Nov  6 08:49:37 1994". */
static bool
take_month_first(const char **p, const char *end, DsHttpDate *date)
{
	if ((date->month = take_name(p, end, month_names, 12) + 1) == 0 || !take_char(p, end, ' '))
		return false;
	if (take_char(p, end, ' '))
		date->day = take_number(p, end, 1, 1);
	else
		date->day = take_number(p, end, 2, 2);
	return date->day >= 1 && take_char(p, end, ' ') && take_time(p, end, date) &&
		   take_char(p, end, ' ') && (date->year = take_number(p, end, 4, 4)) >= 1;
}

/* parse_date reads the three forms of HTTP-date (RFC 9110 5.6.7) into seconds since 1970, or says no. */
static bool
parse_date(const char *p, const char *end, int64_t *seconds)
{
	static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	DsHttpDate date = {0};
	bool leap;
	bool ok;

	if (take_name(&p, end, day_names, 14) < 0)
		return false;
	if (take_char(&p, end, ','))
		ok = take_char(&p, end, ' ') && take_day_first(&p, end, &date);
	else
		ok = take_char(&p, end, ' ') && take_month_first(&p, end, &date);
	if (!ok || p != end || date.day < 1 || date.hour > 23 || date.minute > 59 || date.second > 60)
		return false;
	leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
	if (date.day > month_days[date.month - 1] + (date.month == 2 && leap))
		return false;
	*seconds = days_since_epoch(date.year, (int) date.month, (int) date.day) * 86400 +
			   date.hour * 3600 + date.minute * 60 + date.second;
	return true;
}

/*
 * ds_http_retry_after gives the seconds a partner asks us to stay away, -1 if the value is nonsense. Both forms of RFC
 * 9110: seconds, or a date (in the past: 0). What is too large becomes a year: the caller has a ceiling of its own, and a
 * number that overflows must not become a short wait.
 */
long
ds_http_retry_after(const char *value, size_t len, int64_t now)
{
	const char *end = value + len;
	int64_t seconds = 0;

	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r' || end[-1] == '\n'))
		end--;
	if (value == end)
		return -1;
	if (*value >= '0' && *value <= '9')
	{
		for (; value < end; value++)
		{
			if (*value < '0' || *value > '9')
				return -1;
			if (seconds <= DS_HTTP_RETRY_AFTER_MAX)
				seconds = seconds * 10 + (*value - '0');
		}
	}
	else if (parse_date(value, end, &seconds))
		seconds = now >= 0 && seconds > now ? seconds - now : 0;
	else
		return -1;
	return seconds > DS_HTTP_RETRY_AFTER_MAX ? DS_HTTP_RETRY_AFTER_MAX : (long) seconds;
}
