/*-------------------------------------------------------------------------
 *
 * codes.h
 *		Whether what a backend remembers of small tables is current.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_CODES_H
#define DS_BASE_CODES_H

#include "postgres.h"

#include "storage/itemptr.h"

/* nothing may be remembered, or looked up in what is */
#define DS_CODES_UNKNOWN (-1)

/* The only row of a domain of dist.epoch, and where it was seen last: static, one for each domain. */
typedef struct DsCodesRow
{
	const char *domain;
	ItemPointerData place;
	Oid place_of; /* in which table that was */
	bool kept;	  /* its number is remembered */
	int64 n;	  /* the number */
	uint64 move;  /* as of so many moves */
} DsCodesRow;

extern void ds_codes_init(void);
extern int64 ds_codes_epoch(void);
extern int64 ds_codes_epoch_of(DsCodesRow *domain);

#endif /* DS_BASE_CODES_H */
