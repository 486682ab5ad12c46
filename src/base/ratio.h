/*-------------------------------------------------------------------------
 *
 * ratio.h
 *		Exact fractions: prices, quantities and factors before rounding.
 *
 * A DsRatio is num / den with den > 0. It lives in two 128-bit integers and
 * moves to numeric by itself where they do not suffice, so that no result is
 * ever rounded or wrong. Only ds_ratio_round() leaves the exact world, and
 * says how.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_RATIO_H
#define DS_BASE_RATIO_H

#include "postgres.h"

#include "utils/numeric.h"

typedef struct DsRatio
{
	int128 num;		  /* if wide_num is NULL */
	int128 den;		  /* > 0 */
	Numeric wide_num; /* whole number, not NULL = this fraction is wide */
	Numeric wide_den; /* whole number > 0 */
} DsRatio;

typedef enum DsRounding
{
	DS_ROUND_HALF_UP, /* ties away from zero */
	DS_ROUND_HALF_EVEN,
	DS_ROUND_UP,  /* to the next one above */
	DS_ROUND_DOWN /* to the next one below */
} DsRounding;

/* A decimal number as it is stored: mantissa / 10^scale. */
typedef struct DsDecimal
{
	int128 mantissa;
	int scale;
} DsDecimal;

extern DsRatio ds_ratio_of(int64 whole);
extern DsRatio ds_ratio_fraction(int64 num, int64 den);
extern DsRatio ds_ratio_decimal(DsDecimal decimal);
extern DsRatio ds_ratio_numeric(Numeric value);
extern DsRatio ds_ratio_add(DsRatio a, DsRatio b);
extern DsRatio ds_ratio_subtract(DsRatio a, DsRatio b);
extern DsRatio ds_ratio_multiply(DsRatio a, DsRatio b);
extern DsRatio ds_ratio_divide(DsRatio a, DsRatio b);
extern int ds_ratio_compare(DsRatio a, DsRatio b);
extern int ds_ratio_sign(DsRatio a);
extern DsRatio ds_ratio_round(DsRatio a, int scale, DsRounding mode);
extern Numeric ds_ratio_to_numeric(DsRatio a, int scale, DsRounding mode);
extern Numeric ds_ratio_shown(DsRatio a, int least, int most);

extern bool ds_decimal_read(Numeric value, DsDecimal *decimal);
extern int ds_decimal_compare(DsDecimal a, DsDecimal b);

#endif /* DS_BASE_RATIO_H */
