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

extern DsRatio ds_ratio_numeric(Numeric value);
extern DsRatio ds_ratio_add_any(DsRatio a, DsRatio b);
extern DsRatio ds_ratio_subtract_any(DsRatio a, DsRatio b);
extern DsRatio ds_ratio_multiply_any(DsRatio a, DsRatio b);
extern DsRatio ds_ratio_divide_any(DsRatio a, DsRatio b);
extern int ds_ratio_compare_any(DsRatio a, DsRatio b);
extern int ds_ratio_sign(DsRatio a);
extern DsRatio ds_ratio_round(DsRatio a, int scale, DsRounding mode);
extern Numeric ds_ratio_to_numeric(DsRatio a, int scale, DsRounding mode);
extern Numeric ds_ratio_shown(DsRatio a, int least, int most);

extern int128 ds_ratio_power_of_ten(int n);

extern bool ds_decimal_read(Numeric value, DsDecimal *decimal);
extern bool ds_decimal_at(Datum value, int scale, int128 *mantissa);
extern bool ds_decimal_is_zero(Datum value);
extern Numeric ds_decimal_shown(DsDecimal decimal, int most);
extern int ds_decimal_compare(DsDecimal a, DsDecimal b);

/*
 * The rest is the arithmetic of fractions whose parts 64 bits hold, which most
 * are: their products fit without a check, and in the caller's registers they
 * cost a few instructions, while a call copies both fractions through memory.
 */

/* ds_ratio_narrow does the making of a fraction of two integers; den must be positive. */
static inline DsRatio
ds_ratio_narrow(int128 num, int128 den)
{
	DsRatio r;

	r.num = num;
	r.den = den;
	r.wide_num = NULL;
	r.wide_den = NULL;
	return r;
}

/* ds_ratio_of does the making of a whole number. */
static inline DsRatio
ds_ratio_of(int64 whole)
{
	return ds_ratio_narrow(whole, 1);
}

/* ds_ratio_fraction does the making of a fraction; den must be positive. */
static inline DsRatio
ds_ratio_fraction(int64 num, int64 den)
{
	Assert(den > 0);
	return ds_ratio_narrow(num, den);
}

/* ds_ratio_decimal does the making of a fraction of a stored decimal; many have no decimals at all, or two. */
static inline DsRatio
ds_ratio_decimal(DsDecimal decimal)
{
	switch (decimal.scale)
	{
		case 0:
			return ds_ratio_narrow(decimal.mantissa, 1);
		case 1:
			return ds_ratio_narrow(decimal.mantissa, 10);
		case 2:
			return ds_ratio_narrow(decimal.mantissa, 100);
		default:
			return ds_ratio_narrow(decimal.mantissa, ds_ratio_power_of_ten(decimal.scale));
	}
}

/* ds_ratio_is_small does the question whether 64 bits hold both parts. */
static inline bool
ds_ratio_is_small(DsRatio a)
{
	return a.wide_num == NULL && a.num == (int64) a.num && a.den == (int64) a.den;
}

/* ds_ratio_product does the product of two integers of 64 bits. */
static inline int128
ds_ratio_product(int128 a, int128 b)
{
	return (int128) (int64) a * (int64) b;
}

/* ds_ratio_add does a + b. */
static inline DsRatio
ds_ratio_add(DsRatio a, DsRatio b)
{
	if (!ds_ratio_is_small(a) || !ds_ratio_is_small(b))
		return ds_ratio_add_any(a, b);
	if (a.den == b.den)
		return ds_ratio_narrow(a.num + b.num, a.den);
	return ds_ratio_narrow(ds_ratio_product(a.num, b.den) + ds_ratio_product(b.num, a.den),
						   ds_ratio_product(a.den, b.den));
}

/* ds_ratio_subtract does a − b. */
static inline DsRatio
ds_ratio_subtract(DsRatio a, DsRatio b)
{
	if (!ds_ratio_is_small(a) || !ds_ratio_is_small(b))
		return ds_ratio_subtract_any(a, b);
	return ds_ratio_add(a, ds_ratio_narrow(-b.num, b.den));
}

/* ds_ratio_multiply does a × b. */
static inline DsRatio
ds_ratio_multiply(DsRatio a, DsRatio b)
{
	if (!ds_ratio_is_small(a) || !ds_ratio_is_small(b))
		return ds_ratio_multiply_any(a, b);
	return ds_ratio_narrow(ds_ratio_product(a.num, b.num), ds_ratio_product(a.den, b.den));
}

/* ds_ratio_divide does a ÷ b; a b of 0 is an error. */
static inline DsRatio
ds_ratio_divide(DsRatio a, DsRatio b)
{
	if (!ds_ratio_is_small(a) || !ds_ratio_is_small(b) || b.num <= 0)
		return ds_ratio_divide_any(a, b);
	return ds_ratio_narrow(ds_ratio_product(a.num, b.den), ds_ratio_product(a.den, b.num));
}

/* ds_ratio_compare does the comparison: below 0, 0 or above 0. */
static inline int
ds_ratio_compare(DsRatio a, DsRatio b)
{
	int128 left;
	int128 right;

	if (!ds_ratio_is_small(a) || !ds_ratio_is_small(b))
		return ds_ratio_compare_any(a, b);
	left = ds_ratio_product(a.num, b.den);
	right = ds_ratio_product(b.num, a.den);
	return left < right ? -1 : left > right;
}

#endif /* DS_BASE_RATIO_H */
