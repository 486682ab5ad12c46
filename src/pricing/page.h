/*-------------------------------------------------------------------------
 *
 * page.h
 *		Rates of many targets in a few bytes, as dist.rate_page keeps them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_PAGE_H
#define DS_PRICING_PAGE_H

#include "postgres.h"

#include "pricing/model.h"

/* the most targets that share a page: all whose ids are below 2 ^ 31 */
#define DS_PAGE_MAX_SHIFT 31

/* A page as the cache holds it. */
typedef struct DsPage
{
	uint32 size;
	uint16 ncells;
	uint8 width; /* bytes of a target in the directory */
	uint8 nunits;
	uint8 nshapes;
	const uint8 *bytes;
	const char *units[FLEXIBLE_ARRAY_MEMBER];
} DsPage;

/* How many bytes of a target tell it from the others of its page: it starts at a multiple of 2 ^ shift. */
static inline int
ds_page_width(int shift)
{
	return shift <= 16 ? 2 : 4;
}

/* ds_page_place does the place of a target in its page. */
static inline uint64
ds_page_place(int shift, int64 target_id)
{
	return (uint64) target_id & (((uint64) 1 << shift) - 1);
}

/* page_read.c */
extern int ds_pricing_page_open(const uint8 *bytes, uint32 size, int shift, DsPage *page,
								const char **units);
extern int ds_pricing_page_find(const DsPage *page, uint64 place);
extern DsCell *ds_pricing_page_cell(const DsPage *page, int n);
extern void ds_pricing_page_fetch(const DsPage *page, uint64 place, int shift);
extern void ds_pricing_page_fetch_cell(const DsPage *page, int n);

#endif /* DS_PRICING_PAGE_H */
