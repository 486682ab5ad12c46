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

/* A version of an agreement, of any status. */
typedef struct DsHeld
{
	DsVersion version;
	int64 set_id;
	bool published; /* it is, or was */
	bool held;		/* it is, and held true */
} DsHeld;

extern int ds_pricing_load_versions(DsCall *call, int64 agreement_id, DsHeld **versions);
extern bool ds_pricing_load_part(int64 customer_id, int64 set_id, DsPart *part);
extern const char *ds_pricing_text(DsReader *reader, int column);
extern int64 ds_pricing_int64(DsReader *reader, int column, int64 otherwise);
extern bool ds_pricing_decimal(DsReader *reader, int column, DsDecimal *decimal);
extern const DsDecimal *ds_pricing_decimal_or_null(DsReader *reader, int column);
extern DsSmall ds_pricing_small(DsReader *reader, int column, int8 *scale);
pg_noreturn extern void ds_pricing_too_many(int most, const char *what, const char *of,
											const char *hint);
extern Datum ds_pricing_range_from(TimestampTz from);
extern bool ds_pricing_hash(DsReader *reader, int column, uint8 *hash);
extern void ds_pricing_period(DsReader *reader, int column, TimestampTz *from, TimestampTz *to);

/* load_version.c */
extern uint32 ds_pricing_load_assigned(void);

/* load_cell.c */
extern DsReader *ds_pricing_open_rates(bool own);
extern void ds_pricing_read_rate(DsReader *reader, DsRate *rate);
extern int64 ds_pricing_rate_target(DsReader *reader);
extern int64 ds_pricing_rate_customer(DsReader *reader);

#endif /* DS_PRICING_LOAD_H */
