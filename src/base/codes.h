/*-------------------------------------------------------------------------
 *
 * codes.h
 *		Whether what a backend remembers of small tables of codes is current.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_CODES_H
#define DS_BASE_CODES_H

#include "postgres.h"

/* nothing may be remembered, or looked up in what is */
#define DS_CODES_UNKNOWN (-1)

extern int64 ds_codes_epoch(void);

#endif /* DS_BASE_CODES_H */
