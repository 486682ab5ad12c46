/*-------------------------------------------------------------------------
 *
 * page_read.c
 *		Pages of rates: what lies in dist.rate_page.bytes, read.
 *
 * The rates of a published rate set never change, so that publication lays
 * them out once more, closely: one look-up brings what several hundred would,
 * and a whole list fits the cache of a backend. A page holds the targets whose
 * ids have the same quotient by 2 ^ page_shift (dist.rate_part). Numbers are
 * little endian; v is a number in groups of seven bits, lowest first, the
 * eighth bit says that another one follows; z is a signed one, folded into v.
 *
 *	page	1, number of units, number of shapes, number of cells (2 bytes); for
 *			each cell its target less the page's first one (2 bytes, 4 if
 *			page_shift is above 16), ascending; for each cell where it begins (2
 *			bytes); the shapes; the units, each with a zero byte behind it; the
 *			cells
 *	shape	what many rates have in common, five bytes: calc + 16 × (0 price_per
 *			1, 1 = 100, 2 = 1000) + 64 if there is a tier + 128 if there is more;
 *			unit (0 = base unit); scale of the value; scale of the tier; 1 if
 *			the line_key is a number
 *	cell	v number of rates; the rates, by line_key
 *	rate	shape; value; tier; line_key: v number, or v length, text and a zero
 *			byte; more
 *	value	z mantissa, or sixteen bytes of it where the scale is above 128, less
 *			128
 *	more	2 bytes that say which of the following are there, in this order:
 *			value2, z channel, z site, z base agreement, floor, ceiling, margin,
 *			valid_from, valid_to (8 bytes each), v length of condition, its text
 *			and a zero byte, z free item, percent; amounts are their scale and a
 *			value
 *
 * Bytes of a table may be anything: nothing is read past their end.
 *
 * Process: any backend. Locks: none. Memory: cells in the current context;
 * line keys and units lie where the page lies.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/page.h"

#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "base/compat.h"
#include "base/errors.h"
#include "pricing/page_form.h"
#include "pricing/store.h"

/* as much of the targets of a page is asked for ahead */
#define FETCH_BYTES 512

/* What is being read, and how far. */
typedef struct Cursor
{
	const uint8 *at;
	const uint8 *end;
} Cursor;

/* damaged does the error for bytes that are no page. */
static void
damaged(void)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("a page of rates is damaged"),
					errdetail("Table dist.rate_page."),
					errhint("Delete the pages of the version that distsync.verify() names: prices "
							"are then read from the rates themselves.")));
}

/* take_bytes does the step over so many bytes. */
static inline const uint8 *
take_bytes(Cursor *c, Size n)
{
	const uint8 *at = c->at;

	if ((Size) (c->end - c->at) < n)
		damaged();
	c->at += n;
	return at;
}

/* take_number does the reading of a number of fixed length. */
static inline uint64
take_number(Cursor *c, int n)
{
	const uint8 *at = take_bytes(c, n);
	uint64 number = 0;

	while (n-- > 0)
		number = number << 8 | at[n];
	return number;
}

/* take_v does the reading of an unsigned number in groups of seven bits. */
static inline uint64
take_v(Cursor *c)
{
	uint64 number = 0;
	int shift = 0;
	uint8 byte;

	do
	{
		byte = *take_bytes(c, 1);
		if (shift > 63)
			damaged();
		number |= (uint64) (byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return number;
}

/* take_z does the reading of a signed one. */
static inline int64
take_z(Cursor *c)
{
	uint64 v = take_v(c);

	return (int64) (v >> 1) ^ -(int64) (v & 1);
}

/* take_string does the reading of a text with its length before it and a zero byte behind it, in place. */
static inline const char *
take_string(Cursor *c)
{
	Size length = take_v(c);
	const char *text;

	/* a sum with the zero byte cannot overflow after this */
	if (length >= (Size) (c->end - c->at))
		damaged();
	text = (const char *) take_bytes(c, length + 1);
	if (text[length] != '\0')
		damaged();
	return text;
}

/* take_condition does the reading of a condition: what is no document is damage, as everything else is. */
static Jsonb *
take_condition(Cursor *c)
{
	const char *text = take_string(c);
	MemoryContext context = CurrentMemoryContext;
	Jsonb *volatile condition = NULL;

	PG_TRY();
	{
		condition = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	}
	PG_CATCH();
	{
		/* only what is wrong with a text: who cancels, or has no memory, is told so */
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION &&
			geterrcode() != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	if (condition == NULL)
		damaged();
	return condition;
}

/* take_value does the reading of a mantissa. */
static DsDecimal
take_value(Cursor *c, uint8 scale)
{
	DsDecimal d;

	d.scale = scale & ~DS_PAGE_LARGE;
	if (d.scale > DS_PAGE_MAX_SCALE)
		damaged();
	if (scale & DS_PAGE_LARGE)
	{
		uint64 low = take_number(c, 8);

		d.mantissa = (int128) ((uint128) take_number(c, 8) << 64 | low);
		/* the least of all, which is never written, has no negative */
		if (d.mantissa == (int128) ((uint128) 1 << 127))
			damaged();
	}
	else
		d.mantissa = take_z(c);
	return d;
}

/* take_decimal does the reading of a number with its scale before it. */
static DsDecimal
take_decimal(Cursor *c)
{
	uint8 scale = *take_bytes(c, 1);

	return take_value(c, scale);
}

/* take_small does the reading of a mantissa as it lies in memory. */
static inline DsSmall
take_small(Cursor *c, uint8 from, int8 *scale)
{
	DsSmall small;
	DsDecimal d;

	if (from <= DS_PAGE_MAX_SCALE)
	{
		*scale = (int8) from;
		small.mantissa = take_z(c);
		return small;
	}
	d = take_value(c, from);
	small.large = memcpy(palloc(sizeof(DsDecimal)), &d, sizeof(DsDecimal));
	*scale = DS_SCALE_LARGE;
	return small;
}

/* take_more does the reading of what few rates have. */
static const DsRateMore *
take_more(Cursor *c)
{
	DsRateMore *m = palloc0(sizeof(DsRateMore));
	int what = (int) take_number(c, 2);

	m->valid_from = DT_NOBEGIN;
	m->valid_to = DT_NOEND;
	m->free_percent.mantissa = 100;
	m->has_floor = (what & DS_PAGE_FLOOR) != 0;
	m->has_ceiling = (what & DS_PAGE_CEILING) != 0;
	m->has_margin = (what & DS_PAGE_MARGIN) != 0;
	if (what & DS_PAGE_VALUE2)
		m->value2 = take_decimal(c);
	if (what & DS_PAGE_CHANNEL)
		m->channel_id = take_z(c);
	if (what & DS_PAGE_SITE)
		m->site_id = take_z(c);
	if (what & DS_PAGE_BASE)
		m->base_agreement_id = take_z(c);
	if (m->has_floor)
		m->floor_price = take_decimal(c);
	if (m->has_ceiling)
		m->ceiling_price = take_decimal(c);
	if (m->has_margin)
		m->min_margin = take_decimal(c);
	if (what & DS_PAGE_FROM)
		m->valid_from = (TimestampTz) take_number(c, 8);
	if (what & DS_PAGE_TO)
		m->valid_to = (TimestampTz) take_number(c, 8);
	if (what & DS_PAGE_CONDITION)
		m->condition = take_condition(c);
	if (what & DS_PAGE_FREE_ITEM)
		m->free_item_id = take_z(c);
	if (what & DS_PAGE_PERCENT)
		m->free_percent = take_decimal(c);
	return m;
}

/* shapes_of does the place of the shapes in a page. */
static inline const uint8 *
shapes_of(const DsPage *page)
{
	return page->bytes + DS_PAGE_HEADER + (Size) page->ncells * (page->width + 2);
}

/* take_rate does the reading of one rate. */
static void
take_rate(Cursor *c, const DsPage *page, const uint8 *shapes, DsRate *rate)
{
	static const uint16 per[4] = {1, 100, 1000, 0};
	uint8 n = *take_bytes(c, 1);
	const uint8 *shape = shapes + (Size) n * DS_PAGE_SHAPE;
	uint8 unit;

	if (n >= page->nshapes)
		damaged();
	unit = shape[DS_PAGE_UNIT];
	rate->calc = shape[DS_PAGE_CALC] & 0x0f;
	rate->price_per = per[(shape[DS_PAGE_CALC] >> 4) & 3];
	if (rate->calc >= DS_CALC_COUNT || rate->price_per == 0 || unit > page->nunits)
		damaged();
	rate->unit = unit == 0 ? NULL : page->units[unit - 1];
	rate->value = take_small(c, shape[DS_PAGE_VALUE_SCALE], &rate->value_scale);
	rate->min_quantity.mantissa = 0;
	rate->min_scale = 0;
	if (shape[DS_PAGE_CALC] & DS_PAGE_TIER)
		rate->min_quantity = take_small(c, shape[DS_PAGE_TIER_SCALE], &rate->min_scale);
	rate->numbered = shape[DS_PAGE_KEY] != 0;
	if (rate->numbered)
		rate->line.number = (int64) take_v(c);
	else
		rate->line.text = take_string(c);
	rate->more = (shape[DS_PAGE_CALC] & DS_PAGE_MORE) ? take_more(c) : NULL;
}

/* directory does the reading of a number of the directory. */
static inline uint32
directory(const uint8 *at, int width)
{
	return width == 2
			   ? (uint32) at[0] | (uint32) at[1] << 8
			   : (uint32) at[0] | (uint32) at[1] << 8 | (uint32) at[2] << 16 | (uint32) at[3] << 24;
}

/*
 * ds_pricing_page_open does the finding of the parts of a page: its head is
 * filled in, and its units are put into units, which has room for 255. Returns
 * how many there are.
 */
int
ds_pricing_page_open(const uint8 *bytes, uint32 size, int shift, DsPage *page, const char **units)
{
	Cursor c = {bytes, bytes + size};
	int i;

	if (*take_bytes(&c, 1) != DS_PAGE_LAYOUT)
		damaged();
	page->bytes = bytes;
	page->size = size;
	page->width = ds_page_width(shift);
	page->nunits = *take_bytes(&c, 1);
	page->nshapes = *take_bytes(&c, 1);
	page->ncells = (uint16) take_number(&c, 2);
	take_bytes(&c, (Size) page->ncells * (page->width + 2) + page->nshapes * DS_PAGE_SHAPE);
	for (i = 0; i < page->nunits; i++)
	{
		/* without a zero byte the rest is one too short */
		Size length = strnlen((const char *) c.at, c.end - c.at);

		units[i] = (const char *) take_bytes(&c, length + 1);
	}
	return page->nunits;
}

/* starts_of does the place of the numbers that say where each cell begins. */
static inline const uint8 *
starts_of(const DsPage *page)
{
	return page->bytes + DS_PAGE_HEADER + (Size) page->ncells * page->width;
}

/* ds_pricing_page_find does the look-up of the cell of the target at a place of the page: its number, -1 = it has none. */
int
ds_pricing_page_find(const DsPage *page, uint64 place)
{
	const uint8 *targets = page->bytes + DS_PAGE_HEADER;
	int low = 0;
	int n = page->ncells;

	/* without branches, which nobody could predict: low comes to stand on the last target that is not above */
	while (n > 1)
	{
		int half = n / 2;

		low = directory(targets + (Size) (low + half) * page->width, page->width) <= place
				  ? low + half
				  : low;
		n -= half;
	}
	if (low == page->ncells || directory(targets + (Size) low * page->width, page->width) != place)
		return -1;
	return low;
}

/* ds_pricing_page_cell does the reading of the n-th cell of a page. */
DsCell *
ds_pricing_page_cell(const DsPage *page, int n)
{
	Cursor c = {page->bytes + directory(starts_of(page) + (Size) n * 2, 2),
				page->bytes + page->size};
	const uint8 *shapes = shapes_of(page);
	DsCell *cell;
	uint64 nrates;
	uint64 i;

	if (c.at > c.end)
		damaged();
	nrates = take_v(&c);
	/* a rate takes at least three bytes */
	if (nrates > (uint64) (c.end - c.at) / 3)
		damaged();
	cell = palloc(offsetof(DsCell, rates) + sizeof(DsRate) * nrates);
	cell->nrates = (int) nrates;
	for (i = 0; i < nrates; i++)
		take_rate(&c, page, shapes, &cell->rates[i]);
	return cell;
}

/*
 * ds_pricing_page_fetch does the asking for what the look-up of a place of the
 * page will read: its targets, and where the cell is likely to be told and the
 * shapes lie.
 */
void
ds_pricing_page_fetch(const DsPage *page, uint64 place, int shift)
{
	Size likely = (Size) ((place * page->ncells) >> shift);

	ds_store_fetch(page->bytes, Min(FETCH_BYTES, (Size) page->ncells * page->width));
	ds_store_fetch(starts_of(page) + likely * 2, 1);
	ds_store_fetch(shapes_of(page), 1);
}

/* ds_pricing_page_fetch_cell does the asking for the n-th cell. */
void
ds_pricing_page_fetch_cell(const DsPage *page, int n)
{
	Size start = directory(starts_of(page) + (Size) n * 2, 2);

	if (start < page->size)
		ds_store_fetch(page->bytes + start, 1);
}
