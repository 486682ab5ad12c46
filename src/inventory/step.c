/*-------------------------------------------------------------------------
 *
 * step.c
 *		Steps: what is asked for in a unit is promised in whole steps of it.
 *
 * A unit says with how many decimals it is counted. The rules are those of
 * step.sql; what they make of most questions (a whole number of base units) is
 * seen without looking at the unit.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/read.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "base/compat.h"
#include "base/ratio.h"
#include "base/reader.h"

static DsTable unit_table = {
	.name = "unit",
	.index = "unit_pk",
	.keys = {"unit"},
	.columns = {"scale"},
};

/* ds_inventory_scale does the look-up of the decimals a unit is counted with; one that is unknown is not limited. */
int
ds_inventory_scale(Datum unit)
{
	DsReader *reader = ds_reader_open(&unit_table);
	int scale =
		ds_reader_find(reader, &unit) ? DatumGetInt16(reader->values[0]) : DS_INVENTORY_SCALE;

	ds_reader_close(reader);
	return scale;
}

/* divisor does the greatest common divisor of two numbers above 0. */
static int128
divisor(int128 a, int128 b)
{
	while (b != 0)
	{
		int128 rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * ds_inventory_step does the smallest quantity that is whole in a unit of
 * numerator / denominator base units and in the base unit, in millionths of
 * base units. 0 = it is beyond 64 bits.
 */
int64
ds_inventory_step(int64 numerator, int64 denominator, int scale, int base_scale)
{
	int128 base = ds_ratio_power_of_ten(DS_INVENTORY_SCALE - base_scale);
	int128 step = 1;

	if (scale < DS_INVENTORY_SCALE)
	{
		step = (int128) numerator * ds_ratio_power_of_ten(DS_INVENTORY_SCALE - scale);
		step /= divisor(step, denominator);
	}
	step = step / divisor(step, base) * base;
	return step <= PG_INT64_MAX ? (int64) step : 0;
}

/* ds_inventory_is_whole does the question whether a quantity is a whole number. */
bool
ds_inventory_is_whole(Numeric quantity)
{
	return DatumGetInt32(DirectFunctionCall1(numeric_min_scale, NumericGetDatum(quantity))) == 0;
}

/* ds_inventory_in_steps does the cutting of a quantity to whole steps, which are millionths. */
Numeric
ds_inventory_in_steps(Numeric quantity, int64 step)
{
	Datum size;

	if (step == 1)
		return quantity;
	size = DirectFunctionCall1(
		numeric_trim_scale, NumericGetDatum(int64_div_fast_to_numeric(step, DS_INVENTORY_SCALE)));
	return DatumGetNumeric(DirectFunctionCall2(
		numeric_mul, DirectFunctionCall2(numeric_div_trunc, NumericGetDatum(quantity), size),
		size));
}

/* ds_inventory_in_units does the cutting of a quantity to what a base unit is counted with. */
Numeric
ds_inventory_in_units(Numeric quantity, Datum base_unit)
{
	if (ds_inventory_is_whole(quantity))
		return quantity;
	return DatumGetNumeric(DirectFunctionCall2(numeric_trunc, NumericGetDatum(quantity),
											   Int32GetDatum(ds_inventory_scale(base_unit))));
}
