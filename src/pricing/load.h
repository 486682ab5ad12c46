/*-------------------------------------------------------------------------
 *
 * load.h
 *		Small readings that the loaders share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_LOAD_H
#define DS_PRICING_LOAD_H

#include "postgres.h"

#include "base/compat.h"
#include "pricing/engine.h"

extern const char *ds_pricing_text(DsReader *reader, int column);
extern int64 ds_pricing_int64(DsReader *reader, int column, int64 otherwise);
extern bool ds_pricing_decimal(DsReader *reader, int column, DsDecimal *decimal);
extern const DsDecimal *ds_pricing_decimal_or_null(DsReader *reader, int column);
extern DsSmall ds_pricing_small(DsReader *reader, int column, int8 *scale);
pg_noreturn extern void ds_pricing_too_many(int most, const char *what, const char *of,
											const char *hint);
extern void ds_pricing_period(DsReader *reader, int column, TimestampTz *from, TimestampTz *to);

#endif /* DS_PRICING_LOAD_H */
