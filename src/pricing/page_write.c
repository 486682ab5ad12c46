/*-------------------------------------------------------------------------
 *
 * page_write.c
 *		Pages of the rates of a rate set, for publication: see page_read.c for
 *		their layout.
 *
 * The same rates give the same bytes. How many targets share a page is chosen
 * for each part: as many as fit. A target whose rates do not fit a page alone
 * gets none: its rates are read one by one.
 *
 * Process: any backend. Locks: AccessShareLock on the rates. Memory: the
 * function's context; one part at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/load.h"

#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/export.h"
#include "pricing/page.h"
#include "pricing/page_form.h"

DS_FUNCTION_INFO_V1(ds_sql_pricing_pages);

/* several targets share a page up to this size; one alone may take what a row of the table has room for */
#define SHARED_PAGE 6000
#define WHOLE_PAGE 7800

#define MAX_UNITS 255
#define MAX_SHAPES 255
#define MAX_CELLS 65535

/* A target of a part: its rates lie in the part's bytes. */
typedef struct Cell
{
	int64 target_id;
	int start;
	int size;
	int nrates;
} Cell;

/* The rates of one rate set for one customer, laid out; units are numbered over the whole part. */
typedef struct Part
{
	int64 customer_id;
	Cell *cells;
	int ncells;
	int room;
	StringInfoData bytes;
	const char *units[MAX_UNITS];
	int nunits;
	uint8 shapes[MAX_SHAPES][DS_PAGE_SHAPE];
	int nshapes;
	bool refused; /* more units or shapes than a page can number */
} Part;

/* put_number does the writing of a number of fixed length. */
static void
put_number(StringInfo out, uint64 number, int n)
{
	while (n-- > 0)
	{
		appendStringInfoCharMacro(out, (char) (number & 0xff));
		number >>= 8;
	}
}

/* put_v does the writing of an unsigned number in groups of seven bits. */
static void
put_v(StringInfo out, uint64 number)
{
	for (; number >= 0x80; number >>= 7)
		appendStringInfoCharMacro(out, (char) (number | 0x80));
	appendStringInfoCharMacro(out, (char) number);
}

/* put_z does the writing of a signed one. */
static void
put_z(StringInfo out, int64 number)
{
	put_v(out, ((uint64) number << 1) ^ (uint64) (number >> 63));
}

/* shorten does the leaving out of zeros at the end of a decimal. */
static DsDecimal
shorten(DsDecimal d)
{
	while (d.scale > 0 && d.mantissa % 10 == 0)
	{
		d.mantissa /= 10;
		d.scale--;
	}
	return d;
}

/* scale_of does the scale of a decimal, which says also whether its mantissa is large. */
static uint8
scale_of(DsDecimal d)
{
	bool large = d.mantissa < PG_INT64_MIN || d.mantissa > PG_INT64_MAX;

	return (uint8) (d.scale | (large ? DS_PAGE_LARGE : 0));
}

/* put_value does the writing of a mantissa. */
static void
put_value(StringInfo out, DsDecimal d)
{
	if (scale_of(d) & DS_PAGE_LARGE)
	{
		put_number(out, (uint64) (uint128) d.mantissa, 8);
		put_number(out, (uint64) ((uint128) d.mantissa >> 64), 8);
	}
	else
		put_z(out, (int64) d.mantissa);
}

/* put_decimal does the writing of a decimal with its scale. */
static void
put_decimal(StringInfo out, DsDecimal d)
{
	d = shorten(d);
	put_number(out, scale_of(d), 1);
	put_value(out, d);
}

/* put_string does the writing of a text. */
static void
put_string(StringInfo out, const char *text)
{
	Size length = strlen(text);

	put_v(out, length);
	appendBinaryStringInfo(out, text, length + 1);
}

/* what_of does the bits that say what of the rest a rate has. */
static int
what_of(const DsRateMore *m)
{
	return (m->value2.mantissa != 0 ? DS_PAGE_VALUE2 : 0) |
		   (m->channel_id != 0 ? DS_PAGE_CHANNEL : 0) | (m->site_id != 0 ? DS_PAGE_SITE : 0) |
		   (m->base_agreement_id != 0 ? DS_PAGE_BASE : 0) | (m->has_floor ? DS_PAGE_FLOOR : 0) |
		   (m->has_ceiling ? DS_PAGE_CEILING : 0) | (m->has_margin ? DS_PAGE_MARGIN : 0) |
		   (m->valid_from != DT_NOBEGIN ? DS_PAGE_FROM : 0) |
		   (m->valid_to != DT_NOEND ? DS_PAGE_TO : 0) |
		   (m->condition != NULL ? DS_PAGE_CONDITION : 0) |
		   (m->free_item_id != 0 ? DS_PAGE_FREE_ITEM : 0) |
		   (m->free_percent.mantissa != 100 || m->free_percent.scale != 0 ? DS_PAGE_PERCENT : 0);
}

/* put_more does the writing of what few rates have. */
static void
put_more(StringInfo out, const DsRateMore *m)
{
	int what = what_of(m);

	put_number(out, what, 2);
	if (what & DS_PAGE_VALUE2)
		put_decimal(out, m->value2);
	if (what & DS_PAGE_CHANNEL)
		put_z(out, m->channel_id);
	if (what & DS_PAGE_SITE)
		put_z(out, m->site_id);
	if (what & DS_PAGE_BASE)
		put_z(out, m->base_agreement_id);
	if (what & DS_PAGE_FLOOR)
		put_decimal(out, m->floor_price);
	if (what & DS_PAGE_CEILING)
		put_decimal(out, m->ceiling_price);
	if (what & DS_PAGE_MARGIN)
		put_decimal(out, m->min_margin);
	if (what & DS_PAGE_FROM)
		put_number(out, (uint64) m->valid_from, 8);
	if (what & DS_PAGE_TO)
		put_number(out, (uint64) m->valid_to, 8);
	if (what & DS_PAGE_CONDITION)
		put_string(out, JsonbToCString(NULL, &m->condition->root, VARSIZE(m->condition)));
	if (what & DS_PAGE_FREE_ITEM)
		put_z(out, m->free_item_id);
	if (what & DS_PAGE_PERCENT)
		put_decimal(out, m->free_percent);
}

/* number_of does the number of a unit in a part, which gets one if it has none; 0 = the base unit. */
static int
number_of(Part *part, const char *unit)
{
	int i;

	if (unit == NULL)
		return 0;
	for (i = 0; i < part->nunits; i++)
	{
		if (strcmp(part->units[i], unit) == 0)
			return i + 1;
	}
	if (part->nunits == MAX_UNITS)
	{
		part->refused = true;
		return 0;
	}
	part->units[part->nunits++] = pstrdup(unit);
	return part->nunits;
}

/* number_in does the number that a line key is; -1 = it is none that reads back the same. */
static int64
number_in(const char *key)
{
	Size digits = strspn(key, "0123456789");

	if (digits == 0 || digits > 18 || key[digits] != '\0' || (key[0] == '0' && digits > 1))
		return -1;
	return strtoll(key, NULL, 10);
}

/* shape_of does the number of a rate's shape in a part, which gets one if it has none. */
static int
shape_of(Part *part, const DsRate *rate, DsDecimal value, DsDecimal tier, bool numbered)
{
	uint8 shape[DS_PAGE_SHAPE];
	int per = rate->price_per == 1 ? 0 : rate->price_per == 100 ? 1 : 2;
	int i;

	shape[DS_PAGE_CALC] = (uint8) (rate->calc | per << 4 | (ds_rate_any(rate) ? 0 : DS_PAGE_TIER) |
								   (rate->more != NULL ? DS_PAGE_MORE : 0));
	shape[DS_PAGE_UNIT] = (uint8) number_of(part, rate->unit);
	shape[DS_PAGE_VALUE_SCALE] = scale_of(value);
	shape[DS_PAGE_TIER_SCALE] = scale_of(tier);
	shape[DS_PAGE_KEY] = numbered;
	for (i = 0; i < part->nshapes; i++)
	{
		if (memcmp(part->shapes[i], shape, DS_PAGE_SHAPE) == 0)
			return i;
	}
	if (part->nshapes == MAX_SHAPES)
	{
		part->refused = true;
		return 0;
	}
	memcpy(part->shapes[part->nshapes], shape, DS_PAGE_SHAPE);
	return part->nshapes++;
}

/* put_rate does the writing of one rate. */
static void
put_rate(Part *part, const DsRate *rate)
{
	StringInfo out = &part->bytes;
	DsDecimal value = shorten(ds_rate_value(rate));
	DsDecimal tier = shorten(ds_rate_tier(rate));
	int64 number = number_in(rate->line.text);

	put_number(out, shape_of(part, rate, value, tier, number >= 0), 1);
	put_value(out, value);
	if (!ds_rate_any(rate))
		put_value(out, tier);
	if (number >= 0)
		put_v(out, (uint64) number);
	else
		put_string(out, rate->line.text);
	if (rate->more != NULL)
		put_more(out, rate->more);
}

/* add_rate does the entering of a rate into its target's cell; they come in order. */
static void
add_rate(Part *part, int64 target_id, const DsRate *rate)
{
	Cell *cell = part->ncells > 0 ? &part->cells[part->ncells - 1] : NULL;

	if (cell == NULL || cell->target_id != target_id)
	{
		if (part->ncells == part->room)
		{
			part->room = Max(64, part->room * 2);
			part->cells = part->cells == NULL
							  ? palloc(sizeof(Cell) * part->room)
							  : repalloc_huge(part->cells, sizeof(Cell) * part->room);
		}
		cell = &part->cells[part->ncells++];
		cell->target_id = target_id;
		cell->start = part->bytes.len;
		cell->nrates = 0;
	}
	put_rate(part, rate);
	cell->size = part->bytes.len - cell->start;
	cell->nrates++;
}

/* common_size does the bytes that the units and shapes of a part take in each of its pages. */
static int
common_size(const Part *part)
{
	int size = part->nshapes * DS_PAGE_SHAPE;
	int i;

	for (i = 0; i < part->nunits; i++)
		size += strlen(part->units[i]) + 1;
	return size;
}

/* run_of does the cells from first on that share a page, and the size of the page. */
static int
run_of(const Part *part, int first, int shift, int *size)
{
	int n = 0;

	*size = DS_PAGE_HEADER + common_size(part);
	for (; first + n < part->ncells &&
		   part->cells[first + n].target_id >> shift == part->cells[first].target_id >> shift;
		 n++)
		*size += part->cells[first + n].size + ds_page_width(shift) + 2 + 3;
	return n;
}

/* choose_shift does the choice of how many targets share a page: as many as fit into the fullest one. */
static int
choose_shift(const Part *part)
{
	int shift;

	for (shift = DS_PAGE_MAX_SHIFT; shift > 0; shift--)
	{
		bool fits = true;
		int i;
		int n;

		for (i = 0; i < part->ncells && fits; i += n)
		{
			int size;

			n = run_of(part, i, shift, &size);
			fits = n == 1 || (size <= SHARED_PAGE && n <= MAX_CELLS);
		}
		if (fits)
			break;
	}
	return shift;
}

/* make_page does the laying out of the cells of one page. */
static bytea *
make_page(const Part *part, int first, int n, int shift)
{
	StringInfoData out;
	int width = ds_page_width(shift);
	int starts = DS_PAGE_HEADER + n * width;
	int i;

	initStringInfo(&out);
	put_number(&out, 0, VARHDRSZ);
	put_number(&out, DS_PAGE_LAYOUT, 1);
	put_number(&out, part->nunits, 1);
	put_number(&out, part->nshapes, 1);
	put_number(&out, n, 2);
	for (i = 0; i < n; i++)
		put_number(&out, (uint64) part->cells[first + i].target_id & (((uint64) 1 << shift) - 1),
				   width);
	for (i = 0; i < n; i++)
		put_number(&out, 0, 2);
	appendBinaryStringInfo(&out, (const char *) part->shapes, part->nshapes * DS_PAGE_SHAPE);
	for (i = 0; i < part->nunits; i++)
		appendBinaryStringInfo(&out, part->units[i], strlen(part->units[i]) + 1);
	for (i = 0; i < n; i++)
	{
		const Cell *cell = &part->cells[first + i];
		uint8 *start = (uint8 *) out.data + VARHDRSZ + starts + i * 2;

		start[0] = (uint8) (out.len - VARHDRSZ);
		start[1] = (uint8) ((out.len - VARHDRSZ) >> 8);
		put_v(&out, cell->nrates);
		appendBinaryStringInfo(&out, part->bytes.data + cell->start, cell->size);
	}
	SET_VARSIZE(out.data, out.len);
	return (bytea *) out.data;
}

/* put_part does the rows of a part. */
static void
put_part(ReturnSetInfo *set, const Part *part)
{
	int shift = choose_shift(part);
	int i;
	int n;

	for (i = 0; !part->refused && i < part->ncells; i += n)
	{
		int size;
		Datum values[4];
		bool nulls[4] = {false, false, false, false};

		n = run_of(part, i, shift, &size);
		if (size > WHOLE_PAGE || n > MAX_CELLS)
			continue;
		values[0] = Int64GetDatum(part->customer_id);
		values[1] = Int16GetDatum((int16) shift);
		values[2] = Int64GetDatum(part->cells[i].target_id >> shift);
		values[3] = PointerGetDatum(make_page(part, i, n, shift));
		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
}

/* walk does the reading of all rates of a table that belong to a rate set, part after part. */
static void
walk(ReturnSetInfo *set, bool own, int64 set_id)
{
	DsReader *reader = ds_pricing_open_rates(own);
	Datum key = Int64GetDatum(set_id);
	MemoryContext rows =
		AllocSetContextCreate(CurrentMemoryContext, "distsync a rate", ALLOCSET_DEFAULT_SIZES);
	MemoryContext parts =
		AllocSetContextCreate(CurrentMemoryContext, "distsync a part", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(parts);
	Part *part = NULL;

	ds_reader_seek(reader, &key, 1);
	while (ds_reader_next(reader))
	{
		int64 customer_id = ds_pricing_rate_customer(reader);
		DsRate rate;

		CHECK_FOR_INTERRUPTS();
		if (part != NULL && part->customer_id != customer_id)
		{
			put_part(set, part);
			MemoryContextReset(parts);
			part = NULL;
		}
		if (part == NULL)
		{
			part = palloc0(sizeof(Part));
			part->customer_id = customer_id;
			initStringInfo(&part->bytes);
		}
		MemoryContextReset(rows);
		MemoryContextSwitchTo(rows);
		ds_pricing_read_rate(reader, &rate);
		MemoryContextSwitchTo(parts);
		add_rate(part, ds_pricing_rate_target(reader), &rate);
	}
	if (part != NULL)
		put_part(set, part);
	MemoryContextSwitchTo(old);
	ds_reader_close(reader);
	MemoryContextDelete(parts);
	MemoryContextDelete(rows);
}

/* ds_sql_pricing_pages does the pages of a rate set: (customer_id, page_shift, page, bytes). */
Datum
ds_sql_pricing_pages(PG_FUNCTION_ARGS)
{
	int64 set_id = PG_GETARG_INT64(0);

	InitMaterializedSRF(fcinfo, 0);
	walk((ReturnSetInfo *) fcinfo->resultinfo, false, set_id);
	walk((ReturnSetInfo *) fcinfo->resultinfo, true, set_id);
	return (Datum) 0;
}
