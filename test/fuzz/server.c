/*-------------------------------------------------------------------------
 *
 * server.c
 *		What the parsers call of the server, for fuzz targets without one.
 *		Memory comes from malloc, each piece of exactly its size, so that
 *		AddressSanitizer sees the first byte beyond it; fuzz_forget() frees all.
 *
 * The rest (StringInfo, encodings, sorting) is the server's own, out of
 * libpgcommon and libpgport.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/memutils.h"

#include "server.h"

#define MAX_PIECES 100000

volatile sig_atomic_t InterruptPending = false;

static void *pieces[MAX_PIECES];
static int npieces = 0;

/* fuzz_forget frees what one input took. */
void
fuzz_forget(void)
{
	while (npieces > 0)
		free(pieces[--npieces]);
}

/* keep remembers a piece of memory. */
static void *
keep(void *piece)
{
	if (piece == NULL || npieces == MAX_PIECES)
		abort();
	return pieces[npieces++] = piece;
}

void *
palloc(Size size)
{
	return keep(malloc(size > 0 ? size : 1));
}

void *
palloc0(Size size)
{
	return keep(calloc(1, size > 0 ? size : 1));
}

void *
repalloc(void *pointer, Size size)
{
	for (int i = npieces - 1; i >= 0; i--)
		if (pieces[i] == pointer)
			return pieces[i] = realloc(pointer, size);
	abort();
}

void *
repalloc_huge(void *pointer, Size size)
{
	return repalloc(pointer, size);
}

void
pfree(void *pointer)
{
	for (int i = npieces - 1; i >= 0; i--)
		if (pieces[i] == pointer)
		{
			free(pointer);
			pieces[i] = pieces[--npieces];
			return;
		}
	abort();
}

char *
pnstrdup(const char *in, Size len)
{
	char *out = palloc(strnlen(in, len) + 1);

	memcpy(out, in, strnlen(in, len));
	out[strnlen(in, len)] = '\0';
	return out;
}

char *
pstrdup(const char *in)
{
	return pnstrdup(in, strlen(in));
}

int
pg_mbcliplen(const char *mbstr, int len, int limit)
{
	return pg_encoding_mbcliplen(PG_UTF8, mbstr, len, limit);
}

/* pg_encoding_mbcliplen is the server's, which no library has. */
int
pg_encoding_mbcliplen(int encoding, const char *mbstr, int len, int limit)
{
	int clipped = 0;

	while (clipped < len && mbstr[clipped] != '\0')
	{
		int l = pg_encoding_mblen(encoding, mbstr + clipped);

		if (clipped + l > Min(len, limit))
			break;
		clipped += l;
	}
	return clipped;
}

int
pg_mbstrlen_with_len(const char *mbstr, int limit)
{
	int n = 0;

	while (limit > 0 && *mbstr != '\0')
	{
		int l = pg_encoding_mblen(PG_UTF8, mbstr);

		limit -= l;
		mbstr += l;
		n++;
	}
	return n;
}

/* The zones of the world are not what is looked for: one is enough. */
pg_tz *
pg_tzset(const char *name)
{
	return strcmp(name, "Europe/Vienna") == 0 ? (pg_tz *) pieces : NULL;
}

int
DetermineTimeZoneOffset(struct pg_tm *tm, pg_tz *tzp)
{
	return -3600;
}

const int day_tab[2][13] = {{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0},
							{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0}};

int
tm2timestamp(struct pg_tm *tm, fsec_t fsec, int *tzp, Timestamp *dt)
{
	*dt = (((tm->tm_year * INT64CONST(372) + tm->tm_mon * 31 + tm->tm_mday) * 24 + tm->tm_hour) *
			   3600 +
		   tm->tm_min * 60 + tm->tm_sec) *
			  USECS_PER_SEC +
		  fsec;
	return 0;
}

char *
pg_any_to_server(const char *s, int len, int encoding)
{
	return pstrdup(s);
}

/* What only the SQL functions around the parsers call: nobody comes here. */
#define NOT_HERE(declaration)                                                                      \
	declaration                                                                                    \
	{                                                                                              \
		abort();                                                                                   \
	}

NOT_HERE(void ProcessInterrupts(void))
NOT_HERE(text *cstring_to_text(const char *s))
NOT_HERE(struct varlena *pg_detoast_datum_packed(struct varlena *datum))
NOT_HERE(bool errstart(int elevel, const char *domain))
NOT_HERE(bool errstart_cold(int elevel, const char *domain))
NOT_HERE(void errfinish(const char *filename, int lineno, const char *funcname))
NOT_HERE(int errcode(int sqlerrcode))
NOT_HERE(int errmsg(const char *fmt, ...))
NOT_HERE(int errdetail(const char *fmt, ...))
NOT_HERE(int errhint(const char *fmt, ...))
