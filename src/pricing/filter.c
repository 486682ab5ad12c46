/*-------------------------------------------------------------------------
 *
 * filter.c
 *		Which targets a rate set names, in a few bytes.
 *
 * It is stored in dist.rate_part.filter when a rate set is published. Both
 * layouts answer exactly; the smaller one is taken. Numbers are little endian.
 *
 *	1	Elias-Fano: byte 1, byte l, first id in eight bytes, number of ids in
 *		four; then the l low bits of each id (less the first), then for each id a
 *		one and for each step of the rest a zero. About two bits more an id than
 *		the logarithm of the mean gap.
 *	2	a bitmap: byte 2, first id in eight bytes, then one bit for each id from
 *		there on. Ids are given out densely, so that large sets take it.
 *
 * Another layout gets another number; an unknown one answers "yes" to
 * everything, and the look-up finds nothing.
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/filter.h"

#include "fmgr.h"
#include "catalog/pg_type.h"
#include "port/pg_bitutils.h"
#include "utils/array.h"
#include "base/compat.h"
#include "base/export.h"

#define LAYOUT_ELIAS_FANO 1
#define LAYOUT_BITMAP 2
#define ELIAS_FANO_HEADER 14
#define BITMAP_HEADER 9
#define MAX_TARGETS (100 * 1000 * 1000)

/* up to this many ids the high bits are walked in no time; above it a bitmap is taken even if it is larger, up to four times */
#define WALK_TARGETS 4096

DS_FUNCTION_INFO_V1(ds_sql_pricing_filter);

/* read_number does the reading of a little endian number. */
static uint64
read_number(const uint8 *at, int bytes)
{
	uint64 number = 0;

	while (bytes-- > 0)
		number = number << 8 | at[bytes];
	return number;
}

/* write_number does the writing of one. */
static void
write_number(uint8 *at, uint64 number, int bytes)
{
	int i;

	for (i = 0; i < bytes; i++)
		at[i] = (uint8) (number >> (8 * i));
}

/* bit does the reading of one bit. */
static bool
bit(const uint8 *bits, uint64 at)
{
	return (bits[at / 8] & (1 << (at % 8))) != 0;
}

/* low_bits does the reading of the l bits of an id from at on. */
static uint64
low_bits(const uint8 *bits, uint64 at, int l)
{
	uint64 value = 0;
	int i;

	for (i = 0; i < l; i++)
		value |= (uint64) bit(bits, at + i) << i;
	return value;
}

/* after_zeros does the place behind the n-th zero: where the ids with that rest begin. */
static uint64
after_zeros(const uint8 *bits, uint64 nbits, uint64 n)
{
	uint64 at = 0;

	while (n > 0 && at + 64 <= nbits)
	{
		uint64 word;
		uint64 zeros;

		memcpy(&word, bits + at / 8, 8);
		zeros = 64 - pg_popcount64(word);
		if (zeros >= n)
			break;
		n -= zeros;
		at += 64;
	}
	for (; n > 0 && at < nbits; at++)
		n -= !bit(bits, at);
	return n > 0 ? nbits : at;
}

/* in_elias_fano does the question of a look-up in layout 1. */
static bool
in_elias_fano(const uint8 *filter, Size size, int64 target_id)
{
	int l = filter[1];
	uint64 v = (uint64) target_id - read_number(filter + 2, 8);
	uint64 n = read_number(filter + 10, 4);
	const uint8 *low = filter + ELIAS_FANO_HEADER;
	const uint8 *high = low + (n * l + 7) / 8;
	uint64 nbits = (uint64) (filter + size - high) * 8;
	uint64 rest = v >> l;
	uint64 at;

	if (target_id < (int64) read_number(filter + 2, 8) || rest >= nbits)
		return false;
	v &= ((uint64) 1 << l) - 1;
	for (at = after_zeros(high, nbits, rest); at < nbits && bit(high, at); at++)
	{
		if (low_bits(low, (at - rest) * l, l) == v)
			return true;
	}
	return false;
}

/* ds_pricing_filter_is_exact does the question whether "yes" is certain as well. */
bool
ds_pricing_filter_is_exact(const uint8 *filter, Size size)
{
	return (size > ELIAS_FANO_HEADER && filter[0] == LAYOUT_ELIAS_FANO) ||
		   (size > BITMAP_HEADER && filter[0] == LAYOUT_BITMAP);
}

/* ds_pricing_filter_may_have does the question of a look-up: false means that no rate of the part names the target. */
bool
ds_pricing_filter_may_have(const uint8 *filter, Size size, int64 target_id)
{
	if (size > BITMAP_HEADER && filter[0] == LAYOUT_BITMAP)
	{
		uint64 at = (uint64) target_id - read_number(filter + 1, 8);

		return at < (size - BITMAP_HEADER) * 8 && bit(filter + BITMAP_HEADER, at);
	}
	if (size > ELIAS_FANO_HEADER && filter[0] == LAYOUT_ELIAS_FANO)
		return in_elias_fano(filter, size, target_id);
	return true;
}

/* compare_ids does the order of ids. */
static int
compare_ids(const void *a, const void *b)
{
	int64 x = *(const int64 *) a;
	int64 y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/* sorted_ids does the reading of the ids, each once, in order. */
static int64 *
sorted_ids(ArrayType *array, int *n)
{
	Datum *datums;
	int64 *ids;
	int all;
	int i;

	if (ARR_NDIM(array) > 1 || array_contains_nulls(array))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("targets must be a list of numbers")));
	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &datums,
					  NULL, &all);
	if (all > MAX_TARGETS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("more than %d targets in one rate set", MAX_TARGETS)));
	ids = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * Max(all, 1));
	for (i = 0; i < all; i++)
		ids[i] = DatumGetInt64(datums[i]);
	qsort(ids, all, sizeof(int64), compare_ids);
	*n = 0;
	for (i = 0; i < all; i++)
	{
		if (*n == 0 || ids[*n - 1] != ids[i])
			ids[(*n)++] = ids[i];
	}
	return ids;
}

/* set_bit does the setting of one bit. */
static void
set_bit(uint8 *bits, uint64 at)
{
	bits[at / 8] |= 1 << (at % 8);
}

/* write_elias_fano does the writing of layout 1. */
static void
write_elias_fano(uint8 *filter, int l, const int64 *ids, int n)
{
	uint8 *low = filter + ELIAS_FANO_HEADER;
	uint8 *high = low + ((uint64) n * l + 7) / 8;
	int i;
	int j;

	filter[0] = LAYOUT_ELIAS_FANO;
	filter[1] = (uint8) l;
	write_number(filter + 2, n > 0 ? (uint64) ids[0] : 0, 8);
	write_number(filter + 10, (uint64) n, 4);
	for (i = 0; i < n; i++)
	{
		uint64 v = (uint64) ids[i] - (uint64) ids[0];

		for (j = 0; j < l; j++)
		{
			if (v & ((uint64) 1 << j))
				set_bit(low, (uint64) i * l + j);
		}
		set_bit(high, (v >> l) + i);
	}
}

/* write_bitmap does the writing of layout 2. */
static void
write_bitmap(uint8 *filter, const int64 *ids, int n)
{
	int i;

	filter[0] = LAYOUT_BITMAP;
	write_number(filter + 1, (uint64) ids[0], 8);
	for (i = 0; i < n; i++)
		set_bit(filter + BITMAP_HEADER, (uint64) ids[i] - (uint64) ids[0]);
}

/* ds_sql_pricing_filter does the making of a filter from an array of target ids. */
Datum
ds_sql_pricing_filter(PG_FUNCTION_ARGS)
{
	int n;
	int64 *ids = sorted_ids(PG_GETARG_ARRAYTYPE_P(0), &n);
	uint64 span = n > 0 ? (uint64) ids[n - 1] - (uint64) ids[0] : 0;
	int l = 0;
	Size elias_fano;
	Size bitmap;
	Size size;
	bytea *result;

	while (l < 40 && n > 0 && (span >> (l + 1)) >= (uint64) n)
		l++;
	/* a byte more, so that the walk in words ends before the end */
	elias_fano = ELIAS_FANO_HEADER + ((uint64) n * l + 7) / 8 + ((span >> l) + n + 8) / 8;
	bitmap = BITMAP_HEADER + span / 8 + 1;
	size = n > 0 && (bitmap <= elias_fano || (n > WALK_TARGETS && bitmap / 4 <= elias_fano))
			   ? bitmap
			   : elias_fano;
	result = palloc0(VARHDRSZ + size);
	SET_VARSIZE(result, VARHDRSZ + size);
	if (size == bitmap && n > 0)
		write_bitmap((uint8 *) VARDATA(result), ids, n);
	else
		write_elias_fano((uint8 *) VARDATA(result), l, ids, n);
	PG_RETURN_BYTEA_P(result);
}
