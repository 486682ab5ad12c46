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
#include "port/pg_bswap.h"
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

/* zeros are told before each stretch of so many high bits, two words; where there are few, they are counted as fast */
#define STRETCH 128
#define FEW_BITS 256

/* the largest bitmap that is made of another filter for one call, in bytes */
#define WIDEST (256 * 1024)

DS_FUNCTION_INFO_V1(ds_sql_pricing_filter);

/* word_at does the reading of eight bytes, whatever their alignment and order. */
static inline uint64
word_at(const uint8 *bytes)
{
	uint64 word;

	memcpy(&word, bytes, 8);
#ifdef WORDS_BIGENDIAN
	word = pg_bswap64(word);
#endif
	return word;
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

/* set_bit does the setting of one bit. */
static void
set_bit(uint8 *bits, uint64 at)
{
	bits[at / 8] |= 1 << (at % 8);
}

/* low_bits does the reading of the l bits of an id from at on; l is at most 40, and eight bytes may be read there. */
static inline uint64
low_bits(const uint8 *bits, uint64 at, int l)
{
	return (word_at(bits + at / 8) >> (at % 8)) & (((uint64) 1 << l) - 1);
}

/* bytes_of_ones does the counting of the ones of each byte of a word. */
static inline uint64
bytes_of_ones(uint64 word)
{
	word -= (word >> 1) & UINT64CONST(0x5555555555555555);
	word =
		(word & UINT64CONST(0x3333333333333333)) + ((word >> 2) & UINT64CONST(0x3333333333333333));
	return (word + (word >> 4)) & UINT64CONST(0x0f0f0f0f0f0f0f0f);
}

/* ones does the counting of the ones of a word, in place: the server's function is called through a pointer. */
static inline int
ones(uint64 word)
{
	return (int) ((bytes_of_ones(word) * UINT64CONST(0x0101010101010101)) >> 56);
}

/* nth_one does the place of the n-th one of a word that has it; n from 1. */
static inline int
nth_one(uint64 word, int n)
{
	/* byte i of sums: the ones up to it; its high bit in reached: they are n or more */
	uint64 sums = bytes_of_ones(word) * UINT64CONST(0x0101010101010101);
	uint64 reached =
		((sums | UINT64CONST(0x8080808080808080)) - (uint64) n * UINT64CONST(0x0101010101010101)) &
		UINT64CONST(0x8080808080808080);
	int at = (pg_rightmost_one_pos64(reached) / 8) * 8; /* where the byte begins */
	uint8 byte = (uint8) (word >> at);

	if (at >= 8)
		n -= (uint8) (sums >> (at - 8));
	while (--n > 0)
		byte &= byte - 1;
	return at + pg_rightmost_one_pos32(byte);
}

/*
 * stretch_of_zero does the choice of the stretch that has the n-th zero, from 1
 * on. Ids lie about evenly, so that the guess is rarely more than one away.
 */
static inline uint32
stretch_of_zero(const uint16 *zeros, uint32 nstretches, uint32 n)
{
	uint32 i = n * nstretches / (zeros[nstretches] + 1);

	if (n > zeros[nstretches])
		return nstretches;
	while (zeros[i] >= n)
		i--;
	while (zeros[i + 1] < n)
		i++;
	return i;
}

/* after_zeros does the place behind the n-th zero: where the ids with that rest begin. zeros: as in DsFilter. */
static uint64
after_zeros(const uint8 *bits, uint64 nbits, uint64 n, const uint16 *zeros)
{
	uint64 at = 0;

	if (n == 0)
		return 0;
	if (zeros != NULL)
	{
		uint32 i = stretch_of_zero(zeros, (uint32) (nbits / STRETCH), (uint32) n);

		at = (uint64) i * STRETCH;
		n -= zeros[i];
	}
	for (; at + 64 <= nbits; at += 64)
	{
		uint64 word = ~word_at(bits + at / 8);
		uint64 found = ones(word);

		if (found >= n)
			return at + nth_one(word, (int) n) + 1;
		n -= found;
	}
	for (; n > 0 && at < nbits; at++)
		n -= !bit(bits, at);
	return n > 0 ? nbits : at;
}

/* The parts of a filter of layout 1. */
typedef struct EliasFano
{
	int l;
	int64 first;
	uint64 n;
	const uint8 *low;
	const uint8 *high;
	uint64 nbits; /* of high */
} EliasFano;

/* open_elias_fano does the finding of the parts. */
static inline EliasFano
open_elias_fano(const uint8 *filter, Size size)
{
	EliasFano e;

	e.l = filter[1];
	e.first = (int64) word_at(filter + 2);
	e.n = word_at(filter + 10) & PG_UINT32_MAX;
	e.low = filter + ELIAS_FANO_HEADER;
	e.high = e.low + (e.n * e.l + 7) / 8;
	e.nbits = (uint64) (filter + size - e.high) * 8;
	return e;
}

/* in_elias_fano does the question of a look-up in layout 1. */
static bool
in_elias_fano(const DsFilter *f, int64 target_id)
{
	EliasFano e = open_elias_fano(f->bytes, f->size);
	uint64 v = (uint64) target_id - (uint64) e.first;
	uint64 rest = v >> e.l;
	uint64 at;

	if (target_id < e.first || rest >= e.nbits)
		return false;
	v &= ((uint64) 1 << e.l) - 1;
	for (at = after_zeros(e.high, e.nbits, rest, f->zeros); at < e.nbits && bit(e.high, at); at++)
	{
		if (low_bits(e.low, (at - rest) * e.l, e.l) == v)
			return true;
	}
	return false;
}

/*
 * ds_pricing_filter_is_sound does the check that a look-up stays within a
 * filter, once when it is read: it comes from a table that others may write.
 * As many ones as there are ids, and room for a word at each of their low bits.
 */
bool
ds_pricing_filter_is_sound(const uint8 *filter, Size size)
{
	uint64 l;
	uint64 n;
	uint64 low;
	uint64 found = 0;
	Size i;

	if (size <= ELIAS_FANO_HEADER || filter[0] != LAYOUT_ELIAS_FANO)
		return true;
	l = filter[1];
	/* four bytes from 10 on, without reading beyond them */
	n = word_at(filter + 6) >> 32;
	low = (n * l + 7) / 8;
	if (l > 40 || low + 8 > size - ELIAS_FANO_HEADER)
		return false;
	for (i = ELIAS_FANO_HEADER + low; i < size; i++)
		found += ones(filter[i]);
	return found == n;
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
ds_pricing_filter_may_have(const DsFilter *f, int64 target_id)
{
	const uint8 *filter = f->bytes;
	Size size = f->size;

	if (size > BITMAP_HEADER && filter[0] == LAYOUT_BITMAP)
	{
		uint64 at = (uint64) target_id - word_at(filter + 1);

		return at < (size - BITMAP_HEADER) * 8 && bit(filter + BITMAP_HEADER, at);
	}
	if (size > ELIAS_FANO_HEADER && filter[0] == LAYOUT_ELIAS_FANO)
		return in_elias_fano(f, target_id);
	return true;
}

/* ds_pricing_filter_room does how many bytes ds_pricing_filter_open() wants to answer fast; 0 = none. */
Size
ds_pricing_filter_room(const uint8 *filter, Size size)
{
	uint64 nbits;

	if (size <= ELIAS_FANO_HEADER || filter[0] != LAYOUT_ELIAS_FANO)
		return 0;
	nbits = open_elias_fano(filter, size).nbits;
	return nbits < FEW_BITS || nbits > PG_UINT16_MAX ? 0 : sizeof(uint16) * (nbits / STRETCH + 1);
}

/* ds_pricing_filter_open does the making of a sound filter ready to be asked, with as much room as it wants, or NULL. */
DsFilter
ds_pricing_filter_open(const uint8 *filter, Size size, uint16 *zeros)
{
	DsFilter f = {.bytes = filter, .size = (uint32) size};

	if (size > BITMAP_HEADER && filter[0] == LAYOUT_BITMAP)
	{
		f.bits = filter + BITMAP_HEADER;
		f.nbits = (uint32) (size - BITMAP_HEADER) * 8;
		f.first = (int64) word_at(filter + 1);
	}
	else if (zeros != NULL && ds_pricing_filter_room(filter, size) > 0)
	{
		EliasFano e = open_elias_fano(filter, size);
		uint64 i;

		zeros[0] = 0;
		for (i = 0; i < e.nbits / STRETCH; i++)
		{
			const uint8 *words = e.high + i * (STRETCH / 8);

			zeros[i + 1] = zeros[i] + STRETCH - ones(word_at(words)) - ones(word_at(words + 8));
		}
		f.zeros = zeros;
	}
	return f;
}

/*
 * ds_pricing_filter_widen does the turning of a filter of layout 1 into a
 * bitmap, in the current context: who asks very often may pay for it. Where
 * that would be too large, or it is none, it stays what it is.
 */
void
ds_pricing_filter_widen(DsFilter *f)
{
	EliasFano e;
	uint64 at = 0;
	uint64 span;
	uint8 *bits;
	uint64 i;

	if (f->size <= ELIAS_FANO_HEADER || f->bytes[0] != LAYOUT_ELIAS_FANO)
		return;
	e = open_elias_fano(f->bytes, f->size);
	if (e.l > 40 || e.high > f->bytes + f->size)
		return;
	span = e.nbits << e.l;
	if (span / 8 > WIDEST)
		return;
	bits = palloc0(span / 8 + 1);
	for (i = 0; i < e.n; i++, at++)
	{
		while (at < e.nbits && !bit(e.high, at))
			at++;
		if (at >= e.nbits)
			break;
		set_bit(bits, (at - i) << e.l | low_bits(e.low, i * e.l, e.l));
	}
	f->bits = bits;
	f->nbits = (uint32) span;
	f->first = e.first;
}

/* compare_ids does the order of ids. */
static int
compare_ids(const void *a, const void *b)
{
	int64 x = *(const int64 *) a;
	int64 y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/* read_ids does the reading of an array of ids. */
static int64 *
read_ids(ArrayType *array, int *n)
{
	Datum *datums;
	int64 *ids;
	int i;

	if (ARR_NDIM(array) > 1 || array_contains_nulls(array))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("targets must be a list of numbers")));
	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &datums,
					  NULL, n);
	ids = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * Max(*n, 1));
	for (i = 0; i < *n; i++)
		ids[i] = DatumGetInt64(datums[i]);
	return ids;
}

/* sort_ids does the sorting of ids in place, each once. Returns how many. */
static int
sort_ids(int64 *ids, int all)
{
	int n = 0;
	int i;

	if (all > MAX_TARGETS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("more than %d targets in one rate set", MAX_TARGETS)));
	qsort(ids, all, sizeof(int64), compare_ids);
	for (i = 0; i < all; i++)
	{
		if (n == 0 || ids[n - 1] != ids[i])
			ids[n++] = ids[i];
	}
	return n;
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

/* ds_pricing_filter_make does the making of a filter of target ids, which it sorts in place. */
bytea *
ds_pricing_filter_make(int64 *ids, int all)
{
	int n = sort_ids(ids, all);
	uint64 span = n > 0 ? (uint64) ids[n - 1] - (uint64) ids[0] : 0;
	int l = 0;
	Size elias_fano;
	Size bitmap;
	Size size;
	bytea *result;

	while (l < 40 && n > 0 && (span >> (l + 1)) >= (uint64) n)
		l++;
	/* the high bits take at least eight bytes, so that a word can be read at each of the low ones */
	elias_fano = ELIAS_FANO_HEADER + ((uint64) n * l + 7) / 8 + Max(((span >> l) + n + 8) / 8, 8);
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
	return result;
}

/* ds_sql_pricing_filter does the making of a filter from an array of target ids. */
Datum
ds_sql_pricing_filter(PG_FUNCTION_ARGS)
{
	int n;
	int64 *ids = read_ids(PG_GETARG_ARRAYTYPE_P(0), &n);

	PG_RETURN_BYTEA_P(ds_pricing_filter_make(ids, n));
}
