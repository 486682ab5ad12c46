/*-------------------------------------------------------------------------
 *
 * line.c
 *		The lines that are asked: item, quantity, unit, site and weight of each,
 *		checked.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * call's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/text.h"

/* from so many lines on a customer's own rates are kept by the page */
#define MANY_LINES 8

/* so many lines are listed before they are read */
#define AHEAD 32

/* wrong_unit does the error for a unit that an item does not have. */
static void
wrong_unit(const DsItem *item, const char *unit, const char *field)
{
	StringInfoData known;
	int i;

	initStringInfo(&known);
	appendStringInfoString(&known, item->base_unit);
	for (i = 0; i < item->nunits; i++)
		appendStringInfo(&known, ", %s", item->units[i].unit);
	ereport(
		ERROR,
		(errcode(DS_ERRCODE_WRONG_UNIT),
		 errmsg("item \"%s\" has no unit \"%s\"", item->sku, ds_text_shown(unit)),
		 errdetail("Field: %s. Known: %s.", field, known.data),
		 errhint(
			 "Use one of the known units, or send the item with this unit and its factor first.")));
}

/* wrong_quantity does the error for a quantity that cannot be priced. */
static void
wrong_quantity(const char *said, const char *field)
{
	ereport(ERROR,
			(errcode(DS_ERRCODE_INVALID_VALUE),
			 errmsg("quantity \"%s\" cannot be priced", ds_text_shown(said)),
			 errdetail("Field: %s.", field),
			 errhint("Give a number other than 0 with at most 14 digits before and 6 after the "
					 "point; a negative one is a return.")));
}

/* set_quantity does the check of a quantity; a negative one is a return. */
static void
set_quantity(DsLine *line, Datum quantity, const char *field)
{
	DsDecimal d;

	if (!ds_decimal_read(DatumGetNumeric(quantity), &d) || d.mantissa == 0 || d.scale > 6)
		wrong_quantity(DatumGetCString(DirectFunctionCall1(numeric_out, quantity)), field);
	line->is_return = d.mantissa < 0;
	if (line->is_return)
		d.mantissa = -d.mantissa;
	line->quantity = quantity;
	line->amount = ds_ratio_decimal(d);
	if (ds_ratio_compare(line->amount, ds_ratio_of(INT64CONST(100000000000000))) >= 0)
		wrong_quantity(DatumGetCString(DirectFunctionCall1(numeric_out, quantity)), field);
}

/* set_item does the resolving of item and unit. */
static void
set_item(DsCall *call, DsLine *line, const DsItem *item, const char *unit, const char *field)
{
	int i;

	line->item = item;
	ds_pricing_usable(call, line);
	line->unit = unit != NULL ? unit : line->item->base_unit;
	line->num = line->den = 1;
	line->item_unit = NULL;
	for (i = 0; i < line->item->nunits; i++)
	{
		const DsItemUnit *u = &line->item->units[i];

		if (strcmp(u->unit, line->unit) == 0)
		{
			line->item_unit = u;
			line->num = u->num;
			line->den = u->den;
		}
	}
	if (line->item_unit == NULL && strcmp(line->unit, line->item->base_unit) != 0)
		wrong_unit(line->item, line->unit, field);
	line->base_quantity = ds_ratio_multiply(line->amount, ds_ratio_fraction(line->num, line->den));
}

/* set_weight does the choice of a line's weight: as found, or the item's. */
static void
set_weight(DsLine *line, const DsDecimal *found)
{
	if (found != NULL)
		line->weight = ds_ratio_decimal(*found);
	else if (line->item->has_weight)
		line->weight = ds_ratio_multiply(
			ds_ratio_decimal(ds_small_get(line->item->weight, line->item->weight_scale)),
			line->base_quantity);
	line->has_weight = found != NULL || line->item->has_weight;
	line->own_weight = found != NULL;
}

/* ds_pricing_line_one does the reading of the arguments of price(): one line. */
void
ds_pricing_line_one(DsCall *call, const char *item, Datum quantity, const char *unit)
{
	DsLine *line = palloc0(sizeof(DsLine));

	if (item == NULL)
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_DOCUMENT), errmsg("item is missing"),
						errdetail("Field: item. It is null."),
						errhint("Give it: nothing can be answered without it.")));
	call->request.lines = line;
	call->request.nlines = 1;
	line->ordinal = 1;
	line->site_id = call->request.site_id;
	set_quantity(line, quantity, "quantity");
	set_item(call, line, ds_pricing_item_of(call, item, "item"), unit, "unit");
	set_weight(line, NULL);
}

/* ds_pricing_line_unit does the line for one base unit of an item. */
void
ds_pricing_line_unit(DsCall *call, DsLine *line, const DsItem *item)
{
	memset(line, 0, sizeof(DsLine));
	line->ordinal = 1;
	line->site_id = call->request.site_id;
	line->amount = ds_ratio_of(1);
	set_item(call, line, item, NULL, "unit");
	set_weight(line, NULL);
}

/* number_member does the reading of a number of a line; not found = absent. */
static Datum
number_member(JsonbContainer *object, const char *key, const char *field, bool *found)
{
	JsonbValue buffer;
	JsonbValue *v = ds_pricing_member(object, key, &buffer);
	Numeric number;

	*found = v != NULL;
	if (v == NULL)
		return (Datum) 0;
	number = ds_pricing_number(v);
	if (number == NULL)
		wrong_quantity(ds_pricing_text_of(v) != NULL ? ds_pricing_text_of(v) : key, field);
	return NumericGetDatum(number);
}

/* item_of_id does the look-up of an item by its id, for other rooms; a number that is none names no item. */
static const DsItem *
item_of_id(DsCall *call, Datum number, const char *field)
{
	const DsItem *item = NULL;
	DsDecimal d;

	if (ds_decimal_read(DatumGetNumeric(number), &d) && d.scale == 0 && d.mantissa > 0 &&
		d.mantissa <= PG_INT64_MAX)
		item = ds_pricing_item(call, (int64) d.mantissa);
	if (item == NULL)
		ereport(ERROR,
				(errcode(DS_ERRCODE_UNKNOWN_CODE),
				 errmsg("item %s does not exist",
						ds_text_shown(DatumGetCString(DirectFunctionCall1(numeric_out, number)))),
				 errdetail("Field: %s.", field), errhint("Give its code as item.")));
	return item;
}

/* A line that is being read: errors name its members. */
typedef struct Read
{
	JsonbContainer *object; /* NULL = it is none */
	const char *item;		/* NULL = none is said */
	char field[64];			/* "lines[n]." and the member */
	int prefix;
} Read;

/* named does the naming of a member of the line. */
static const char *
named(Read *r, const char *member)
{
	strlcpy(r->field + r->prefix, member, sizeof(r->field) - r->prefix);
	return r->field;
}

/* read_item does the look-up of what a line is about. */
static const DsItem *
read_item(DsCall *call, Read *r)
{
	bool found;
	Datum number = number_member(r->object, "item_id", named(r, "item_id"), &found);

	if (found)
		return item_of_id(call, number, r->field);
	named(r, "item");
	if (r->item == NULL)
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_DOCUMENT), errmsg("%s is missing", r->field),
						errdetail("Field: %s.", r->field),
						errhint("Send [{\"item\": \"SKU\", \"quantity\": 1, \"unit\": \"EA\"}].")));
	return ds_pricing_item_of(call, r->item, r->field);
}

/* read_line does the reading of one line of prices(). */
static void
read_line(DsCall *call, Read *r, DsLine *line)
{
	JsonbValue buffer;
	const DsItem *item;
	char *text;
	Datum number;
	bool found;

	number = number_member(r->object, "quantity", named(r, "quantity"), &found);
	set_quantity(line, found ? number : NumericGetDatum(int64_to_numeric(1)), r->field);
	item = read_item(call, r);
	set_item(call, line, item, ds_pricing_text_of(ds_pricing_member(r->object, "unit", &buffer)),
			 named(r, "unit"));
	text = ds_pricing_text_of(ds_pricing_member(r->object, "site", &buffer));
	line->site_id = text == NULL ? call->request.site_id
								 : ds_pricing_find(call, "site", text, named(r, "site"));
	number = number_member(r->object, "weight", named(r, "weight"), &found);
	if (found)
	{
		DsDecimal weight;

		if (!ds_decimal_read(DatumGetNumeric(number), &weight) || weight.mantissa < 0)
			wrong_quantity(DatumGetCString(DirectFunctionCall1(numeric_out, number)), r->field);
		set_weight(line, &weight);
	}
	else
		set_weight(line, NULL);
}

/* list_lines does the listing of the next lines, so that the cache brings their items while others are read. Returns how many. */
static int
list_lines(JsonbIterator **it, int most, Read *list)
{
	JsonbValue v;
	JsonbValue buffer;
	int n;

	for (n = 0; n < most; n++)
	{
		JsonbIteratorNext(it, &v, true);
		list[n].object = v.type == jbvBinary && JsonContainerIsObject(v.val.binary.data)
							 ? v.val.binary.data
							 : NULL;
		list[n].item = list[n].object == NULL
						   ? NULL
						   : ds_pricing_text_of(ds_pricing_member(list[n].object, "item", &buffer));
		ds_pricing_expect_item(list[n].item, 0);
	}
	for (n = 0; n < most; n++)
		ds_pricing_expect_item(list[n].item, 1);
	return n;
}

/* read_lines does the reading of all lines. */
static void
read_lines(DsCall *call, Jsonb *lines)
{
	DsRequest *q = &call->request;
	JsonbIterator *it = JsonbIteratorInit(&lines->root);
	JsonbValue v;
	Read list[AHEAD];
	int i = 0;

	JsonbIteratorNext(&it, &v, true);
	while (i < q->nlines)
	{
		int n = list_lines(&it, Min(AHEAD, q->nlines - i), list);
		Read *r;

		for (r = list; r < list + n; r++, i++)
		{
			if (r->object == NULL)
				ereport(
					ERROR,
					(errcode(DS_ERRCODE_INVALID_DOCUMENT), errmsg("lines[%d] is no object", i),
					 errdetail("Field: lines[%d].", i),
					 errhint("Send [{\"item\": \"SKU\", \"quantity\": 1, \"unit\": \"EA\"}].")));
			q->lines[i].ordinal = i + 1;
			r->prefix = snprintf(r->field, sizeof(r->field), "lines[%d].", i);
			read_line(call, r, &q->lines[i]);
		}
	}
}

/* ds_pricing_lines does the reading of the lines of prices(). */
void
ds_pricing_lines(DsCall *call, Jsonb *lines)
{
	DsRequest *q = &call->request;
	int n = lines != NULL && JB_ROOT_IS_ARRAY(lines) && !JB_ROOT_IS_SCALAR(lines)
				? (int) JB_ROOT_COUNT(lines)
				: 0;

	if (n == 0)
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_DOCUMENT),
						errmsg("lines must be an array with at least one object"),
						errdetail("Field: lines."),
						errhint("Send [{\"item\": \"SKU\", \"quantity\": 1, \"unit\": \"EA\"}].")));
	q->lines = MemoryContextAllocExtended(CurrentMemoryContext, sizeof(DsLine) * n,
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	q->nlines = n;
	call->many = n >= MANY_LINES;
	read_lines(call, lines);
}
