/*-------------------------------------------------------------------------
 *
 * door.c
 *		Fuzz target: the checks of single values at the door. The first byte
 *		chooses the check: n, c, d, i, u or z. Beside crashes it looks for
 *		broken promises, with abort().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "door/value.h"
#include "server.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* must_tell: who refuses says why, in whole characters, and not at the length of what was sent. */
static bool
must_tell(bool fine, const DsDoorFault *fault)
{
	if (fine)
		return true;
	if (fault->sqlstate == NULL || fault->hint == NULL || strlen(fault->message) > 200 ||
		pg_encoding_verifymbstr(PG_UTF8, fault->message, strlen(fault->message)) !=
			(int) strlen(fault->message))
		abort();
	return false;
}

/* fuzz_number: what is a number has digits and the signs of a number, and can't be long. */
static void
fuzz_number(const char *text, int len)
{
	DsDoorFault fault = {0};
	DsDoorField field = {0};

	for (field.type = DS_DOOR_INTEGER; field.type <= DS_DOOR_FACTOR; field.type++)
	{
		field.sign = field.type % 3;
		if (!must_tell(ds_door_check_number(text, len, &field, &fault), &fault))
			continue;
		if (len < 1 || len > 200)
			abort();
		for (int i = 0; i < len; i++)
			if (!isdigit((unsigned char) text[i]) && memchr("+-.eE", text[i], 5) == NULL)
				abort();
	}
}

/* fuzz_code: a code is one line. */
static void
fuzz_code(const char *text, int len)
{
	DsDoorFault fault = {0};
	DsDoorField field = {0};

	if (must_tell(ds_door_check_code(text, len, &field, &fault), &fault) &&
		(len == 0 || memchr(text, '\n', len) != NULL || memchr(text, '\0', len) != NULL))
		abort();
}

static void
fuzz_date(const char *text, int len)
{
	DsDoorFault fault = {0};
	DsDoorField field = {0};

	if (must_tell(ds_door_check_date(text, len, &field, &fault), &fault) && len != 10)
		abort();
}

/* fuzz_instant: an offset is less than a day, and a day alone has no zone. */
static void
fuzz_instant(const char *text, int len)
{
	DsDoorFault fault = {0};
	DsDoorField field = {0};
	DsDoorInstant instant;

	if (must_tell(ds_door_check_instant(text, len, &field, NULL, &instant, &fault), &fault) &&
		(abs(instant.offset) >= 16 * 3600 || (instant.date_only && (instant.zoned || len != 10))))
		abort();
}

static void
fuzz_uuid(const char *text, int len)
{
	DsDoorFault fault = {0};
	DsDoorField field = {0};

	if (must_tell(ds_door_check_uuid(text, len, &field, &fault), &fault) && len != 36)
		abort();
}

static void
fuzz_timezone(const char *text, int len)
{
	DsDoorFault fault = {0};
	DsDoorField field = {0};

	(void) must_tell(ds_door_check_timezone(text, len, &field, &fault), &fault);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char letters[] = "ncdiuz";
	static void (*const targets[])(const char *, int) = {fuzz_number,  fuzz_code, fuzz_date,
														 fuzz_instant, fuzz_uuid, fuzz_timezone};
	const char *letter = size > 1 ? memchr(letters, data[0], strlen(letters)) : NULL;
	char *text;

	/* what reaches the door is a string of jsonb: valid, without NUL, and nothing behind it */
	if (letter == NULL ||
		pg_encoding_verifymbstr(PG_UTF8, (const char *) data + 1, size - 1) != (int) size - 1)
		return 0;
	text = palloc(size - 1);
	memcpy(text, data + 1, size - 1);
	targets[letter - letters](text, (int) size - 1);
	fuzz_forget();
	return 0;
}
