/*-------------------------------------------------------------------------
 *
 * filter.h
 *		Which targets a rate set names, in a few bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_FILTER_H
#define DS_PRICING_FILTER_H

#include "postgres.h"

/* A filter that is asked: of a bitmap its bits, so that a question is one look into memory. */
typedef struct DsFilter
{
	const uint8 *bytes;
	const uint8 *bits;	 /* NULL = another layout */
	int64 first;		 /* id of the first bit */
	const uint16 *zeros; /* before each stretch of Elias-Fano; NULL = they are counted */
	uint32 size;
	uint32 nbits;
} DsFilter;

extern bool ds_pricing_filter_is_sound(const uint8 *filter, Size size);
extern bool ds_pricing_filter_is_exact(const uint8 *filter, Size size);
extern Size ds_pricing_filter_room(const uint8 *filter, Size size);
extern DsFilter ds_pricing_filter_open(const uint8 *filter, Size size, uint16 *zeros);
extern void ds_pricing_filter_widen(DsFilter *filter);
extern bool ds_pricing_filter_may_have(const DsFilter *filter, int64 target_id);
extern bytea *ds_pricing_filter_make(int64 *target_ids, int n);

/* ds_filter_has does the question of a look-up. */
static inline bool
ds_filter_has(const DsFilter *f, int64 target_id)
{
	uint64 at = (uint64) target_id - (uint64) f->first;

	if (f->bits == NULL)
		return ds_pricing_filter_may_have(f, target_id);
	return at < f->nbits && (f->bits[at / 8] & (1 << (at % 8))) != 0;
}

/* ds_filter_fetch does the asking for the memory that the question will look at: it is rarely in the processor's cache. */
static inline void
ds_filter_fetch(const DsFilter *f, int64 target_id)
{
	uint64 at = (uint64) target_id - (uint64) f->first;

	if (f->bits != NULL && at < f->nbits)
		__builtin_prefetch(f->bits + at / 8);
}

#endif /* DS_PRICING_FILTER_H */
