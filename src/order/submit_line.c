/*-------------------------------------------------------------------------
 *
 * submit_line.c
 *		Reading the lines of an order: items, units and sites by our codes,
 *		numbers never through a double.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "order/submit.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "base/compat.h"
#include "inventory/read.h"
#include "inventory/said.h"

#define MAX_LINES 10000
/* digits before and after the point that a number may be written with */
#define MAX_DIGITS 20

enum
{
	I_ID,
	I_NAME,
	I_BASE_UNIT,
	I_KIT,
	I_STATUS
};

static DsTable item_table = {
	.name = "item",
	.index = "item_sku_uq",
	.keys = {"sku"},
	.columns = {"item_id", "name", "base_unit", "kit", "status"},
};

enum
{
	U_NUMERATOR,
	U_DENOMINATOR
};

static DsTable unit_table = {
	.name = "item_unit",
	.index = "item_unit_pk",
	.keys = {"item_id", "unit"},
	.columns = {"numerator", "denominator"},
};

static DsTable site_table = {
	.name = "site",
	.index = "site_code_uq",
	.keys = {"code"},
	.columns = {"site_id"},
};

/* is_decimal does the look whether a text is digits, with or without a point between some. */
static bool
is_decimal(const char *said)
{
	size_t before = strspn(said, "0123456789");
	size_t after;

	if (before < 1 || before > MAX_DIGITS)
		return false;
	if (said[before] == '\0')
		return true;
	after = strspn(said + before + 1, "0123456789");
	return said[before] == '.' && after >= 1 && after <= MAX_DIGITS &&
		   said[before + 1 + after] == '\0';
}

/* read_number does the reading of a number that is not negative: at most so many decimals, below 10 to so many digits. null is NULL. */
static bool
read_number(const JsonbValue *value, int scale, int digits, Numeric *number)
{
	char *said;

	*number = NULL;
	if (value->type == jbvNull)
		return true;
	if (value->type == jbvString)
		said = pnstrdup(value->val.string.val, value->val.string.len);
	else if (value->type == jbvNumeric)
		said =
			DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	else
		return false;
	if (!is_decimal(said))
		return false;
	*number = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(said),
												  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	return DatumGetInt32(DirectFunctionCall1(numeric_min_scale, NumericGetDatum(*number))) <=
			   scale &&
		   strspn(said, "0123456789") <= (size_t) digits;
}

/* read_line_no does the reading of a line's number: a whole one. */
static bool
read_line_no(DsOrderLine *line, const JsonbValue *value)
{
	Numeric number;
	char *said;

	if (!read_number(value, 0, 9, &number))
		return false;
	if (number == NULL)
		return true;
	/* 1.0 is a number of a line too, and another name of it */
	said = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	line->line_no = strchr(said, '.') == NULL ? (int) strtol(said, NULL, 10) : 0;
	return line->line_no > 0;
}

/* read_member does the reading of one member of a line. */
static bool
read_member(void *into, const char *name, const JsonbValue *value)
{
	DsOrderLine *line = into;

	if (strcmp(name, "item") == 0)
		return ds_order_text(value, &line->sku);
	if (strcmp(name, "quantity") == 0)
		return read_number(value, 6, 14, &line->quantity);
	if (strcmp(name, "line") == 0)
		return read_line_no(line, value);
	if (strcmp(name, "unit") == 0)
		return ds_order_text(value, &line->said_unit);
	if (strcmp(name, "site") == 0)
		return ds_order_text(value, &line->said_site);
	if (strcmp(name, "tax_code") == 0)
		return ds_order_text(value, &line->tax_code);
	if (strcmp(name, "tax_amount") == 0)
		return read_number(value, 4, 14, &line->tax_told);
	if (strcmp(name, "requested_at") == 0)
		return ds_order_instant(value, &line->requested_at);
	return strcmp(name, "expected_price") == 0 && read_number(value, 8, 12, &line->expected_price);
}

/* number_of does a number of a column as a numeric. */
static Numeric
number_of(Datum value)
{
	return int64_to_numeric(DatumGetInt64(value));
}

/* find_unit does the factor of the unit of a line. */
static bool
find_unit(DsOrderLine *line)
{
	DsReader *reader;
	Datum keys[2];
	bool found;

	line->unit = line->said_unit != NULL ? line->said_unit : line->base_unit;
	line->numerator = line->denominator = int64_to_numeric(1);
	if (strcmp(line->unit, line->base_unit) == 0)
		return true;
	reader = ds_reader_open(&unit_table);
	keys[0] = Int64GetDatum(line->item_id);
	keys[1] = CStringGetTextDatum(line->unit);
	found = ds_reader_find(reader, keys);
	if (found)
	{
		line->numerator = number_of(reader->values[U_NUMERATOR]);
		line->denominator = number_of(reader->values[U_DENOMINATOR]);
	}
	ds_reader_close(reader);
	return found;
}

/* to_base does the quantity in base units, as master_exact() has it: with six decimals, if it comes out even there. What is too much for a command (order_check_quantity()) is for the whole path. */
static bool
to_base(DsOrderLine *line)
{
	static const int64 most = INT64CONST(1000000000);
	Numeric times = DS_NUMERIC(numeric_mul, line->quantity, line->numerator);
	Numeric millionths = DS_NUMERIC(numeric_mul, times, int64_to_numeric(1000000));

	if (DS_NUMERIC_IS(numeric_ge, times,
					  DS_NUMERIC(numeric_mul, int64_to_numeric(most), line->denominator)) ||
		!DS_NUMERIC_IS(numeric_eq, DS_NUMERIC(numeric_mod, millionths, line->denominator),
					   int64_to_numeric(0)))
		return false;
	line->base_quantity =
		DS_NUMERIC(numeric_mul, DS_NUMERIC(numeric_div_trunc, millionths, line->denominator),
				   int64_div_fast_to_numeric(1, DS_INVENTORY_SCALE));
	return true;
}

/* find_item does the item of a line, one that is sold and has stock of its own. */
static bool
find_item(DsOrderLine *line, DsReader *items)
{
	Datum key = CStringGetTextDatum(line->sku);

	if (!ds_reader_find(items, &key) || DatumGetBool(items->values[I_KIT]) ||
		!ds_reader_text_is(items, I_STATUS, "active"))
		return false;
	line->item_id = DatumGetInt64(items->values[I_ID]);
	line->name = TextDatumGetCString(items->values[I_NAME]);
	line->base_unit = TextDatumGetCString(items->values[I_BASE_UNIT]);
	return true;
}

/* read_line does the reading of one line. */
static bool
read_line(DsOrderLine *line, JsonbContainer *said, DsReader *items)
{
	line->requested_at = DT_NOEND;
	if (!ds_inventory_said_members(said, read_member, line) || line->sku == NULL ||
		line->quantity == NULL || !DS_NUMERIC_IS(numeric_gt, line->quantity, int64_to_numeric(0)) ||
		!find_item(line, items) || !find_unit(line) || !to_base(line))
		return false;
	if (line->line_no == 0)
		line->line_no = line->ordinal;
	return line->said_site == NULL ||
		   ds_order_find_code(&site_table, line->said_site, &line->asked_site_id);
}

/* compare_numbers does the order of the numbers of lines. */
static int
compare_numbers(const void *a, const void *b)
{
	int x = *(const int *) a;
	int y = *(const int *) b;

	return x < y ? -1 : x > y;
}

/* all_differ does the look whether no two lines have one number. */
static bool
all_differ(const DsOrder *o)
{
	int *numbers = palloc_array(int, o->nlines);

	for (int i = 0; i < o->nlines; i++)
		numbers[i] = o->lines[i].line_no;
	qsort(numbers, o->nlines, sizeof(int), compare_numbers);
	for (int i = 1; i < o->nlines; i++)
		if (numbers[i] == numbers[i - 1])
			return false;
	pfree(numbers);
	return true;
}

/* ds_order_read_lines does the reading of all lines. */
bool
ds_order_read_lines(DsOrder *o)
{
	JsonbContainer *said = &o->said_lines->root;
	int n = (int) JsonContainerSize(said);
	DsReader *items;
	bool good = true;

	if (n < 1 || n > MAX_LINES)
		return false;
	o->lines = palloc0(sizeof(DsOrderLine) * n);
	items = ds_reader_open(&item_table);
	for (o->nlines = 0; good && o->nlines < n; o->nlines++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(said, o->nlines);
		DsOrderLine *line = &o->lines[o->nlines];

		line->ordinal = o->nlines + 1;
		good = value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data) &&
			   read_line(line, value->val.binary.data, items);
	}
	ds_reader_close(items);
	return good && all_differ(o);
}
