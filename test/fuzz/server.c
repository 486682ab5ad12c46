/*-------------------------------------------------------------------------
 *
 * server.c
 *		What the parsers call of the server, for fuzz targets without one.
 *		Memory comes from malloc, each piece of exactly its size, so that
 *		AddressSanitizer sees the first byte beyond it; fuzz_forget() frees all.
 *
 * An error leads to the next PG_CATCH(); without one it ends the run. What
 * lies in TopMemoryContext stays for all inputs, everything else is one memory.
 *
 * The rest (StringInfo, encodings, sorting, hashes) is the server's own, out
 * of libpgcommon and libpgport.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "server.h"

#define MAX_PIECES 100000

volatile sig_atomic_t InterruptPending = false;
sigjmp_buf *PG_exception_stack = NULL;
ErrorContextCallback *error_context_stack = NULL;

static MemoryContextData contexts[2] = {{.type = T_AllocSetContext}, {.type = T_AllocSetContext}};
MemoryContext TopMemoryContext = &contexts[0];
MemoryContext CurrentMemoryContext = &contexts[1];

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
			pieces[i] = pieces[--npieces];
			break;
		}
	/* of what stays there is no list: AddressSanitizer knows what was taken */
	free(pointer);
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

/* ---- contexts: the one that stays, and the one of the input ----------------------------------------------------------- */

/* in_context takes memory as palloc() does, of the context that stays without the end that fuzz_forget() brings. */
static void *
in_context(MemoryContext context, void *piece)
{
	if (context == TopMemoryContext)
		npieces--;
	return piece;
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name, Size min, Size init, Size max)
{
	return &contexts[1];
}

void
MemoryContextSetIdentifier(MemoryContext context, const char *id)
{
}

Size
MemoryContextMemAllocated(MemoryContext context, bool recurse)
{
	return 0;
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	return in_context(context, palloc(size));
}

void *
MemoryContextAllocHuge(MemoryContext context, Size size)
{
	return in_context(context, palloc(size));
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return in_context(context, palloc0(size));
}

void *
MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
	return in_context(context, (flags & MCXT_ALLOC_ZERO) != 0 ? palloc0(size) : palloc(size));
}

char *
MemoryContextStrdup(MemoryContext context, const char *in)
{
	return in_context(context, pstrdup(in));
}

/* ---- encodings ------------------------------------------------------------------------------------------------------ */

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

/* ---- errors ---------------------------------------------------------------------------------------------------------- */

static int sqlstate = 0;

bool
errstart(int elevel, const char *domain)
{
	sqlstate = ERRCODE_INTERNAL_ERROR;
	return true;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

int
errcode(int sqlerrcode)
{
	return sqlstate = sqlerrcode;
}

int
geterrcode(void)
{
	return sqlstate;
}

void
FlushErrorState(void)
{
}

void
pg_re_throw(void)
{
	if (PG_exception_stack == NULL)
		abort();
	siglongjmp(*PG_exception_stack, 1);
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	pg_re_throw();
}

/* What an error says is not looked at. */
#define SAYS(function)                                                                             \
	int function(const char *fmt, ...)                                                             \
	{                                                                                              \
		return 0;                                                                                  \
	}

SAYS(errmsg)
SAYS(errmsg_internal)
SAYS(errdetail)
SAYS(errhint)

/* ---- functions of SQL ------------------------------------------------------------------------------------------------ */

Datum
DirectFunctionCall1Coll(PGFunction func, Oid collation, Datum arg1)
{
	LOCAL_FCINFO(fcinfo, 1);

	InitFunctionCallInfoData(*fcinfo, NULL, 1, collation, NULL, NULL);
	fcinfo->args[0].value = arg1;
	fcinfo->args[0].isnull = false;
	return func(fcinfo);
}

/* jsonb_in takes whatever stands in braces for a document, and keeps its text. */
Datum
jsonb_in(PG_FUNCTION_ARGS)
{
	const char *json = PG_GETARG_CSTRING(0);
	Size length = strlen(json);
	struct varlena *result = palloc(VARHDRSZ + length);

	if (length < 2 || json[0] != '{' || json[length - 1] != '}')
		ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION), errmsg("no document")));
	memcpy(VARDATA(result), json, length);
	SET_VARSIZE(result, VARHDRSZ + length);
	return PointerGetDatum(result);
}

struct varlena *
pg_detoast_datum(struct varlena *datum)
{
	return datum;
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
NOT_HERE(void MemoryContextDelete(MemoryContext context))
NOT_HERE(bool array_contains_nulls(ArrayType *array))
NOT_HERE(void deconstruct_array(ArrayType *array, Oid elmtype, int elmlen, bool elmbyval,
								char elmalign, Datum **elemsp, bool **nullsp, int *nelemsp))
