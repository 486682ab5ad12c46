/*-------------------------------------------------------------------------
 *
 * ratio.c
 *		Exact fractions: prices, quantities and factors before rounding.
 *
 * The narrow form works in 128-bit integers with checked arithmetic. Where a
 * product does not fit, both fractions are reduced; where that does not help
 * either, the operation is done in numeric, which has no such limit.
 *
 * Process: any backend. Locks: none. Memory: the wide form allocates in the
 * current context, the narrow form not at all.
 *
 *-------------------------------------------------------------------------
 */
#include "base/ratio.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "base/compat.h"

/* what a 10^n of 128 bits can hold */
#define MAX_POWER 38

#define NUMERIC(datum) DatumGetNumeric(datum)
#define CALL(function, a, b)                                                                       \
	NUMERIC(DirectFunctionCall2((function), NumericGetDatum(a), NumericGetDatum(b)))

/* the first word of a short number as numeric.c stores it */
#define STORED_KIND 0xC000
#define STORED_SHORT 0x8000
#define STORED_NEGATIVE 0x2000
#define STORED_WEIGHT_SIGN 0x0040
#define STORED_WEIGHT 0x003F

/* those that 64 bits can hold */
static const int64 small_powers[] = {
	1,
	10,
	100,
	1000,
	10000,
	100000,
	1000000,
	10000000,
	100000000,
	1000000000,
	INT64CONST(10000000000),
	INT64CONST(100000000000),
	INT64CONST(1000000000000),
	INT64CONST(10000000000000),
	INT64CONST(100000000000000),
	INT64CONST(1000000000000000),
	INT64CONST(10000000000000000),
	INT64CONST(100000000000000000),
	INT64CONST(1000000000000000000),
};

/* ds_ratio_power_of_ten does the look-up of 10^n, n from 0 to 38. */
int128
ds_ratio_power_of_ten(int n)
{
	const int most = lengthof(small_powers) - 1;
	int128 result = 1;

	Assert(n >= 0 && n <= MAX_POWER);
	if (n <= most)
		return small_powers[n];
	for (; n > most; n -= most)
		result *= small_powers[most];
	return result * small_powers[n];
}

/* whole_to_numeric does the conversion of a 128-bit integer. */
static Numeric
whole_to_numeric(int128 value)
{
	char digits[48];
	char *p = digits + sizeof(digits);
	bool negative = value < 0;
	unsigned __int128 rest = negative ? -(unsigned __int128) value : (unsigned __int128) value;

	if (value >= PG_INT64_MIN && value <= PG_INT64_MAX)
		return int64_to_numeric((int64) value);
	*--p = '\0';
	while (rest > 0)
	{
		*--p = '0' + (int) (rest % 10);
		rest /= 10;
	}
	if (negative)
		*--p = '-';
	return NUMERIC(DirectFunctionCall3(numeric_in, CStringGetDatum(p), ObjectIdGetDatum(InvalidOid),
									   Int32GetDatum(-1)));
}

/* read_digits does the reading of a decimal number's text as mantissa and scale. */
static bool
read_digits(const char *text, int128 *mantissa, int *scale)
{
	bool negative = *text == '-';
	bool point = false;

	*mantissa = 0;
	*scale = 0;
	for (text += negative; *text != '\0'; text++)
	{
		if (*text == '.' && !point)
		{
			point = true;
			continue;
		}
		if (*text < '0' || *text > '9')
			return false;
		if (__builtin_mul_overflow(*mantissa, (int128) 10, mantissa) ||
			__builtin_add_overflow(*mantissa, (int128) (*text - '0'), mantissa))
			return false;
		*scale += point;
	}
	while (*scale > 0 && *mantissa % 10 == 0)
	{
		*mantissa /= 10;
		(*scale)--;
	}
	if (negative)
		*mantissa = -*mantissa;
	return *scale <= MAX_POWER;
}

/*
 * ds_decimal_read does the reading of a numeric as mantissa and scale, without
 * trailing zeros. False: it is not finite or has too many digits.
 */
bool
ds_decimal_read(Numeric value, DsDecimal *decimal)
{
	char *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value)));
	bool fits = read_digits(text, &decimal->mantissa, &decimal->scale);

	pfree(text);
	return fits;
}

/*
 * read_stored does the reading of a short number from the bytes it is stored
 * as: mantissa × 10000^exponent. WHY: the way through its text costs ten times
 * as much. The bytes are those of numeric.c, the same on disk in every version:
 * a word with sign and weight, then digits to the base of 10000. False: it is
 * none of the numbers of up to four digits that most are.
 */
static inline bool
read_stored(Datum value, int64 *mantissa, int *exponent)
{
	struct varlena *stored = (struct varlena *) DatumGetPointer(value);
	int ndigits;
	uint16 word;
	int weight;

	if (VARATT_IS_COMPRESSED(stored) || VARATT_IS_EXTERNAL(stored))
		return false;
	ndigits = ((int) VARSIZE_ANY_EXHDR(stored) - (int) sizeof(word)) / (int) sizeof(int16);
	memcpy(&word, VARDATA_ANY(stored), sizeof(word));
	if ((word & STORED_KIND) != STORED_SHORT || ndigits > 4)
		return false;
	weight = (word & STORED_WEIGHT) - ((word & STORED_WEIGHT_SIGN) != 0 ? STORED_WEIGHT + 1 : 0);
	*mantissa = 0;
	for (int i = 0; i < ndigits; i++)
	{
		int16 digit;

		memcpy(&digit, VARDATA_ANY(stored) + sizeof(word) + i * sizeof(digit), sizeof(digit));
		*mantissa = *mantissa * 10000 + digit;
	}
	if ((word & STORED_NEGATIVE) != 0)
		*mantissa = -*mantissa;
	*exponent = weight + 1 - ndigits;
	return true;
}

/*
 * ds_decimal_at does the reading of a numeric at a scale: it is mantissa /
 * 10^scale. False: it is not finite, has more decimals, or too many digits.
 */
bool
ds_decimal_at(Datum value, int scale, int128 *mantissa)
{
	int64 stored;
	int exponent;
	DsDecimal decimal;

	if (read_stored(value, &stored, &exponent) && exponent * 4 + scale >= 0 &&
		exponent * 4 + scale < (int) lengthof(small_powers))
	{
		*mantissa = (int128) stored * small_powers[exponent * 4 + scale];
		return true;
	}
	if (!ds_decimal_read(DatumGetNumeric(value), &decimal) || decimal.scale > scale)
		return false;
	return !__builtin_mul_overflow(decimal.mantissa, ds_ratio_power_of_ten(scale - decimal.scale),
								   mantissa);
}

/* ds_decimal_is_zero does the question whether a numeric is 0: it has no digits. False also where that takes more than a look. */
bool
ds_decimal_is_zero(Datum value)
{
	int64 mantissa;
	int exponent;

	return read_stored(value, &mantissa, &exponent) && mantissa == 0;
}

/* ds_decimal_compare does the comparison of two stored decimals. */
int
ds_decimal_compare(DsDecimal a, DsDecimal b)
{
	if (a.scale == b.scale)
		return a.mantissa < b.mantissa ? -1 : a.mantissa > b.mantissa;
	return ds_ratio_compare(ds_ratio_decimal(a), ds_ratio_decimal(b));
}

/* widen does the same fraction in numeric. */
static DsRatio
widen(DsRatio a)
{
	if (a.wide_num == NULL)
	{
		a.wide_num = whole_to_numeric(a.num);
		a.wide_den = whole_to_numeric(a.den);
	}
	return a;
}

/* reduce does the division of both parts by their greatest common divisor. */
static DsRatio
reduce(DsRatio a)
{
	unsigned __int128 x = a.num < 0 ? -(unsigned __int128) a.num : (unsigned __int128) a.num;
	unsigned __int128 y = (unsigned __int128) a.den;

	while (y != 0)
	{
		unsigned __int128 rest = x % y;

		x = y;
		y = rest;
	}
	if (x > 1)
	{
		a.num /= (int128) x;
		a.den /= (int128) x;
	}
	return a;
}

/* ds_ratio_numeric does the making of a fraction of a finite numeric. */
DsRatio
ds_ratio_numeric(Numeric value)
{
	DsDecimal decimal;
	DsRatio r;
	int scale;

	if (ds_decimal_read(value, &decimal))
		return ds_ratio_decimal(decimal);
	scale = DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(value)));
	r = ds_ratio_narrow(0, 1);
	r.wide_den = NUMERIC(DirectFunctionCall2(numeric_power, NumericGetDatum(int64_to_numeric(10)),
											 NumericGetDatum(int64_to_numeric(scale))));
	r.wide_num = CALL(numeric_mul, value, r.wide_den);
	r.wide_num = CALL(numeric_div_trunc, r.wide_num, int64_to_numeric(1));
	r.wide_den = CALL(numeric_div_trunc, r.wide_den, int64_to_numeric(1));
	return r;
}

/* fits does the question whether 64 bits hold a number: what is done with them is cheap, with 128 bits it is not. */
static inline bool
fits(int128 n)
{
	return n >= PG_INT64_MIN && n <= PG_INT64_MAX;
}

/* multiply_whole does the product of two integers, or says that it does not fit; most are small. */
static inline bool
multiply_whole(int128 a, int128 b, int128 *result)
{
	if (fits(a) && fits(b))
	{
		*result = (int128) (int64) a * (int64) b;
		return true;
	}
	return !__builtin_mul_overflow(a, b, result);
}

/* multiply_narrow does the product in 128 bits, or says that it does not fit. */
static bool
multiply_narrow(DsRatio a, DsRatio b, DsRatio *result)
{
	*result = ds_ratio_narrow(0, 1);
	return multiply_whole(a.num, b.num, &result->num) && multiply_whole(a.den, b.den, &result->den);
}

/* ds_ratio_multiply_any does a × b. */
DsRatio
ds_ratio_multiply_any(DsRatio a, DsRatio b)
{
	DsRatio r;

	if (a.wide_num == NULL && b.wide_num == NULL &&
		(multiply_narrow(a, b, &r) || multiply_narrow(reduce(a), reduce(b), &r)))
		return r;
	a = widen(a);
	b = widen(b);
	r = ds_ratio_narrow(0, 1);
	r.wide_num = CALL(numeric_mul, a.wide_num, b.wide_num);
	r.wide_den = CALL(numeric_mul, a.wide_den, b.wide_den);
	return r;
}

/* ds_ratio_divide_any does a ÷ b. Nothing that is kept lets b be zero: if it is, something was damaged. */
DsRatio
ds_ratio_divide_any(DsRatio a, DsRatio b)
{
	DsRatio inverse = b;

	if (ds_ratio_sign(b) == 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("a number that others are divided by is 0"),
						errdetail("The door and publication let none through."),
						errhint("Call distsync.verify().")));
	if (b.wide_num == NULL)
		inverse = b.num > 0 ? ds_ratio_narrow(b.den, b.num) : ds_ratio_narrow(-b.den, -b.num);
	else
	{
		bool negative = ds_ratio_sign(b) < 0;

		inverse.wide_num = b.wide_den;
		inverse.wide_den = b.wide_num;
		if (negative)
		{
			inverse.wide_num =
				NUMERIC(DirectFunctionCall1(numeric_uminus, NumericGetDatum(inverse.wide_num)));
			inverse.wide_den =
				NUMERIC(DirectFunctionCall1(numeric_uminus, NumericGetDatum(inverse.wide_den)));
		}
	}
	return ds_ratio_multiply(a, inverse);
}

/* add_narrow does the sum in 128 bits, or says that it does not fit. */
static bool
add_narrow(DsRatio a, DsRatio b, DsRatio *result)
{
	int128 left;
	int128 right;

	*result = ds_ratio_narrow(0, 1);
	if (a.den == b.den)
	{
		result->den = a.den;
		return !__builtin_add_overflow(a.num, b.num, &result->num);
	}
	return multiply_whole(a.num, b.den, &left) && multiply_whole(b.num, a.den, &right) &&
		   !__builtin_add_overflow(left, right, &result->num) &&
		   multiply_whole(a.den, b.den, &result->den);
}

/* ds_ratio_add_any does a + b. */
DsRatio
ds_ratio_add_any(DsRatio a, DsRatio b)
{
	DsRatio r;

	if (a.wide_num == NULL && b.wide_num == NULL &&
		(add_narrow(a, b, &r) || add_narrow(reduce(a), reduce(b), &r)))
		return r;
	a = widen(a);
	b = widen(b);
	r = ds_ratio_narrow(0, 1);
	r.wide_num = CALL(numeric_add, CALL(numeric_mul, a.wide_num, b.wide_den),
					  CALL(numeric_mul, b.wide_num, a.wide_den));
	r.wide_den = CALL(numeric_mul, a.wide_den, b.wide_den);
	return r;
}

/* ds_ratio_subtract_any does a − b. */
DsRatio
ds_ratio_subtract_any(DsRatio a, DsRatio b)
{
	return ds_ratio_add(a, ds_ratio_multiply(b, ds_ratio_narrow(-1, 1)));
}

/* ds_ratio_sign does the sign: -1, 0 or 1. */
int
ds_ratio_sign(DsRatio a)
{
	if (a.wide_num == NULL)
		return a.num < 0 ? -1 : a.num > 0;
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a.wide_num),
											 NumericGetDatum(int64_to_numeric(0))));
}

/* ds_ratio_compare_any does the comparison: below 0, 0 or above 0. */
int
ds_ratio_compare_any(DsRatio a, DsRatio b)
{
	int128 left;
	int128 right;

	if (a.wide_num == NULL && b.wide_num == NULL)
	{
		if (a.den == b.den)
			return a.num < b.num ? -1 : a.num > b.num;
		if (multiply_whole(a.num, b.den, &left) && multiply_whole(b.num, a.den, &right))
			return left < right ? -1 : left > right;
	}
	return ds_ratio_sign(ds_ratio_subtract(a, b));
}

/* step does the choice between the neighbours below (0) and above (1). */
static int
step(int half, bool exact, bool odd, bool negative, DsRounding mode)
{
	if (exact)
		return 0;
	switch (mode)
	{
		case DS_ROUND_UP:
			return 1;
		case DS_ROUND_DOWN:
			return 0;
		case DS_ROUND_HALF_EVEN:
			return half > 0 || (half == 0 && odd);
		default:
			return half > 0 || (half == 0 && !negative);
	}
}

/* round_narrow does the rounding of num / den to a whole number, where 64 bits hold both. */
static int64
round_narrow(int64 num, int64 den, DsRounding mode)
{
	int64 below = num / den;
	int64 rest = num % den;
	int64 other;

	if (rest < 0)
	{
		below--;
		rest += den;
	}
	other = den - rest;
	return below + step(rest < other ? -1 : rest > other, rest == 0, below % 2 != 0, num < 0, mode);
}

/* round_wide does the same in numeric. */
static DsRatio
round_wide(DsRatio a, int scale, DsRounding mode)
{
	Numeric ten = int64_to_numeric(10);
	Numeric power = CALL(numeric_div_trunc, CALL(numeric_power, ten, int64_to_numeric(scale)),
						 int64_to_numeric(1));
	Numeric below;
	DsRatio rest;
	DsRatio r = ds_ratio_narrow(0, 1);
	int half;
	bool odd;

	a = widen(a);
	a.wide_num = CALL(numeric_mul, a.wide_num, power);
	below = CALL(numeric_div_trunc, a.wide_num, a.wide_den);
	rest = a;
	rest.wide_num = CALL(numeric_sub, a.wide_num, CALL(numeric_mul, below, a.wide_den));
	if (ds_ratio_sign(rest) < 0)
	{
		below = CALL(numeric_sub, below, int64_to_numeric(1));
		rest.wide_num = CALL(numeric_add, rest.wide_num, a.wide_den);
	}
	half = ds_ratio_compare(rest, ds_ratio_narrow(1, 2));
	odd = DatumGetInt32(DirectFunctionCall2(
			  numeric_cmp, NumericGetDatum(CALL(numeric_mod, below, int64_to_numeric(2))),
			  NumericGetDatum(int64_to_numeric(0)))) != 0;
	if (step(half, ds_ratio_sign(rest) == 0, odd, ds_ratio_sign(a) < 0, mode))
		below = CALL(numeric_add, below, int64_to_numeric(1));
	r.wide_num = below;
	r.wide_den = power;
	return r;
}

/* ds_ratio_round does the rounding to so many decimals; scale from 0 to 20. */
DsRatio
ds_ratio_round(DsRatio a, int scale, DsRounding mode)
{
	int128 power = ds_ratio_power_of_ten(scale);
	int128 num;
	int128 below;
	int128 rest;
	int128 twice;

	if (a.wide_num != NULL || !multiply_whole(a.num, power, &num))
		return round_wide(a, scale, mode);
	if (fits(num) && fits(a.den))
		return ds_ratio_narrow(round_narrow((int64) num, (int64) a.den, mode), power);
	below = num / a.den;
	rest = num % a.den;
	if (rest < 0)
	{
		below--;
		rest += a.den;
	}
	if (__builtin_mul_overflow(rest, (int128) 2, &twice))
		return round_wide(a, scale, mode);
	below += step(twice < a.den ? -1 : twice > a.den, rest == 0, below % 2 != 0, a.num < 0, mode);
	return ds_ratio_narrow(below, power);
}

/*
 * ds_ratio_to_numeric does the rounding to so many decimals and gives it as
 * numeric with that scale.
 */
Numeric
ds_ratio_to_numeric(DsRatio a, int scale, DsRounding mode)
{
	DsRatio r = ds_ratio_round(a, scale, mode);

	if (r.wide_num == NULL && fits(r.num))
		return int64_div_fast_to_numeric((int64) r.num, scale);
	/* the denominator is 10^scale: a product with its inverse is exact, a quotient in numeric need not be */
	r = widen(r);
	return NUMERIC(DirectFunctionCall2(
		numeric_round,
		NumericGetDatum(CALL(numeric_mul, r.wide_num, int64_div_fast_to_numeric(1, scale))),
		Int32GetDatum(scale)));
}

/*
 * ds_ratio_shown does a fraction as a number for eyes: rounded half up to at
 * most so many decimals, without zeros at the end but for the least.
 */
Numeric
ds_ratio_shown(DsRatio a, int least, int most)
{
	DsRatio r = ds_ratio_round(a, most, DS_ROUND_HALF_UP);

	if (r.wide_num != NULL)
		return ds_ratio_to_numeric(a, most, DS_ROUND_HALF_UP);
	if (fits(r.num))
	{
		int64 small = (int64) r.num;

		for (; most > least && small % 10 == 0; most--)
			small /= 10;
		return int64_div_fast_to_numeric(small, most);
	}
	while (most > least && r.num % 10 == 0)
	{
		r.num /= 10;
		most--;
	}
	return ds_ratio_to_numeric(ds_ratio_narrow(r.num, ds_ratio_power_of_ten(most)), most,
							   DS_ROUND_HALF_UP);
}

/* ds_decimal_shown does a stored decimal as a number for eyes, as ds_ratio_shown() does a fraction. */
Numeric
ds_decimal_shown(DsDecimal decimal, int most)
{
	int64 small = (int64) decimal.mantissa;
	int scale = decimal.scale;

	if (small != decimal.mantissa || scale > most)
		return ds_ratio_shown(ds_ratio_decimal(decimal), 0, most);
	for (; scale > 0 && small % 10 == 0; scale--)
		small /= 10;
	return int64_div_fast_to_numeric(small, scale);
}
