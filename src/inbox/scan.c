/*-------------------------------------------------------------------------
 *
 * scan.c
 *		A look over a message before the JSON parser sees it.
 *
 * The parser of the server recurses, keeps the last of two equal keys and
 * stops at the stack's depth. Whoever sends a body must not choose how much
 * stack we use, and two prices under one name are no price: so depth and
 * keys are judged here, without recursion, over bytes of any kind. Everything
 * else about the syntax is left to the parser, which runs afterwards.
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/export.h"

#define MAX_DEPTH 1000
#define SHOWN_KEY 64

/* A key of an object that is still open */
typedef struct ScanKey
{
	const char *name;
	int len;
} ScanKey;

/* An object or array that is still open */
typedef struct ScanFrame
{
	Size first_key;
	bool object;
	bool wants_key;
} ScanFrame;

typedef struct Scan
{
	const char *p;
	const char *end;
	ScanFrame *frame;
	int depth;
	int max_depth;
	ScanKey *key;
	Size keys;
	Size room;
} Scan;

/* compare_keys orders keys by bytes. */
static int
compare_keys(const void *a, const void *b)
{
	const ScanKey *left = a;
	const ScanKey *right = b;
	int order = memcmp(left->name, right->name, Min(left->len, right->len));

	return order != 0 ? order : left->len - right->len;
}

/* read_hex4 reads the four digits of \uXXXX, -1 if they are none. */
static int
read_hex4(const char *p)
{
	int value = 0;

	for (int i = 0; i < 4; i++)
	{
		char c = p[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return value;
}

/*
 * read_code_point reads the \uXXXX at the backslash, or a pair of them, and tells how long it is; 0 for what is no
 * character by itself: NUL and half a pair, which the parser will refuse. Text must never hold them.
 */
static int
read_code_point(const char *p, int len, int *used)
{
	int unit = len >= 6 && p[1] == 'u' ? read_hex4(p + 2) : 0;
	int low;

	*used = 6;
	if (unit < 0xD800 || unit > 0xDFFF)
		return Max(unit, 0);
	low = len >= 12 && p[6] == '\\' && p[7] == 'u' ? read_hex4(p + 8) : 0;
	if (unit > 0xDBFF || low < 0xDC00 || low > 0xDFFF)
		return 0;
	*used = 12;
	return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
}

/*
 * unescape_key makes of a key with backslashes the key that is meant: "\u0061" is "a". No escape is shorter than what it
 * stands for; so as many bytes are enough, and a body of nothing but short keys costs no more than a few times its size.
 */
static ScanKey
unescape_key(const char *name, int len)
{
	static const char letters[] = "bfnrt";
	static const char meant[] = "\b\f\n\r\t";
	char *out = palloc(len + 1);
	ScanKey key = {out, 0};

	for (int i = 0; i < len;)
	{
		int used;
		int code;
		const char *letter;

		if (name[i] != '\\' || i + 1 >= len)
		{
			*out++ = name[i++];
			continue;
		}
		code = read_code_point(name + i, len - i, &used);
		if (code > 0)
		{
			unicode_to_utf8((pg_wchar) code, (unsigned char *) out);
			out += pg_encoding_mblen(PG_UTF8, out);
			i += used;
			continue;
		}
		/* the mark of a half pair stays as it is written, so that it equals itself only */
		if (name[i + 1] == 'u')
			*out++ = '\\';
		letter = memchr(letters, name[i + 1], strlen(letters));
		*out++ = letter != NULL ? meant[letter - letters] : name[i + 1];
		i += 2;
	}
	key.len = out - key.name;
	return key;
}

/* skip_string moves behind the string that starts at the current quote and gives its inside; false if it never ends. */
static bool
skip_string(Scan *scan, const char **inside, int *len, bool *escaped)
{
	*inside = ++scan->p;
	*escaped = false;
	for (; scan->p < scan->end; scan->p++)
	{
		if (*scan->p == '"')
		{
			*len = scan->p - *inside;
			scan->p++;
			return true;
		}
		if (*scan->p == '\\')
		{
			*escaped = true;
			scan->p++;
		}
	}
	return false;
}

/* push_key remembers a key of the innermost object. */
static void
push_key(Scan *scan, const char *name, int len, bool escaped)
{
	if (scan->keys == scan->room)
	{
		scan->room *= 2;
		scan->key = repalloc_huge(scan->key, scan->room * sizeof(ScanKey));
	}
	if (escaped)
		scan->key[scan->keys] = unescape_key(name, len);
	else
	{
		scan->key[scan->keys].name = name;
		scan->key[scan->keys].len = len;
	}
	scan->keys++;
}

/* pop_frame closes the innermost object or array; the key that stood in it twice, or NULL. */
static const ScanKey *
pop_frame(Scan *scan)
{
	ScanFrame *frame = &scan->frame[--scan->depth];
	ScanKey *first = scan->key + frame->first_key;
	Size count = scan->keys - frame->first_key;

	scan->keys = frame->first_key;
	if (count < 2)
		return NULL;
	qsort(first, count, sizeof(ScanKey), compare_keys);
	for (Size i = 1; i < count; i++)
		if (compare_keys(&first[i - 1], &first[i]) == 0)
			return &first[i];
	return NULL;
}

/* push_frame opens an object or array; false if that is one too many. */
static bool
push_frame(Scan *scan, bool object)
{
	ScanFrame *frame;

	if (scan->depth == scan->max_depth)
		return false;
	frame = &scan->frame[scan->depth++];
	frame->first_key = scan->keys;
	frame->object = object;
	frame->wants_key = object;
	return true;
}

/* take_string moves over a string and keeps it if it is a key; false if it never ends. */
static bool
take_string(Scan *scan)
{
	const char *inside;
	int len;
	bool escaped;
	ScanFrame *frame = scan->depth > 0 ? &scan->frame[scan->depth - 1] : NULL;

	if (!skip_string(scan, &inside, &len, &escaped))
		return false;
	if (frame != NULL && frame->wants_key)
	{
		push_key(scan, inside, len, escaped);
		frame->wants_key = false;
	}
	return true;
}

/* scan_json does the walk: what is wrong with depth or keys, or NULL. It stops where it stops being JSON. */
static char *
scan_json(Scan *scan)
{
	const ScanKey *twice;

	while (scan->p < scan->end)
	{
		char c = *scan->p;

		if (c == '"')
		{
			if (!take_string(scan))
				return NULL;
			continue;
		}
		scan->p++;
		if (c == '{' || c == '[')
		{
			CHECK_FOR_INTERRUPTS();
			if (!push_frame(scan, c == '{'))
				return psprintf("depth: %d", scan->max_depth);
		}
		else if (c == '}' || c == ']')
		{
			if (scan->depth == 0)
				return NULL;
			twice = pop_frame(scan);
			if (twice != NULL)
				return psprintf("duplicate_key: %.*s",
								pg_encoding_mbcliplen(PG_UTF8, twice->name, twice->len, SHOWN_KEY),
								twice->name);
		}
		else if (c == ',' && scan->depth > 0)
			scan->frame[scan->depth - 1].wants_key = scan->frame[scan->depth - 1].object;
	}
	return NULL;
}

/* ds_sql_inbox_scan does distsync_internal.inbox_scan(body, max_depth): NULL, or what the parser must not be given. */
DS_FUNCTION_INFO_V1(ds_sql_inbox_scan);

Datum
ds_sql_inbox_scan(PG_FUNCTION_ARGS)
{
	bytea *body = PG_GETARG_BYTEA_PP(0);
	const char *data = VARDATA_ANY(body);
	int len = VARSIZE_ANY_EXHDR(body);
	int valid = pg_encoding_verifymbstr(PG_UTF8, data, len);
	Scan scan = {0};
	char *problem;

	if (PG_GETARG_INT32(1) < 1 || PG_GETARG_INT32(1) > MAX_DEPTH)
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_VALUE),
						errmsg("depth must be between 1 and %d", MAX_DEPTH),
						errdetail("Field: max_depth. It is %d.", PG_GETARG_INT32(1)),
						errhint("Give the number of levels that a message may have.")));
	if (valid != len)
		PG_RETURN_TEXT_P(cstring_to_text(psprintf("encoding: %d", valid)));
	scan.p = data;
	scan.end = data + len;
	scan.max_depth = PG_GETARG_INT32(1);
	scan.frame = palloc(sizeof(ScanFrame) * scan.max_depth);
	scan.room = 64;
	scan.key = palloc(sizeof(ScanKey) * scan.room);
	problem = scan_json(&scan);
	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(pg_any_to_server(problem, strlen(problem), PG_UTF8)));
}
