/*-------------------------------------------------------------------------
 *
 * page.c
 *		Fuzz target: pages of rates, and what the cache keeps of them and of
 *		items. The first byte chooses: 2 or 4 = the rest is a page whose targets
 *		are told in so many bytes, u = the rest is items with their units.
 *		Beside crashes it looks for broken promises, with abort(): a page is
 *		read or refused as damaged, what is kept is what was read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "pricing/pack.h"
#include "pricing/page_form.h"
#include "server.h"

#define MAX_ITEMS 4
#define MAX_UNITS 6

/* places of a page that are asked for beside those it names */
#define PLACES 64

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static DsStore *store = NULL;

/* must ends the run if a promise is broken. */
static void
must(bool kept)
{
	if (!kept)
		abort();
}

/* same_text compares texts that may be missing. */
static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* same_decimal compares decimals, which are within what arithmetic can take. */
static bool
same_decimal(DsDecimal a, DsDecimal b)
{
	/* the least of all has no negative */
	must(a.scale >= 0 && a.scale <= DS_PAGE_MAX_SCALE &&
		 a.mantissa != (int128) ((uint128) 1 << 127));
	return a.mantissa == b.mantissa && a.scale == b.scale;
}

/* same_more compares what few rates have. */
static bool
same_more(const DsRateMore *a, const DsRateMore *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return a->valid_from == b->valid_from && a->valid_to == b->valid_to &&
		   a->channel_id == b->channel_id && a->site_id == b->site_id &&
		   a->base_agreement_id == b->base_agreement_id && a->free_item_id == b->free_item_id &&
		   a->has_floor == b->has_floor && a->has_ceiling == b->has_ceiling &&
		   a->has_margin == b->has_margin && same_decimal(a->value2, b->value2) &&
		   same_decimal(a->floor_price, b->floor_price) &&
		   same_decimal(a->ceiling_price, b->ceiling_price) &&
		   same_decimal(a->min_margin, b->min_margin) &&
		   same_decimal(a->free_percent, b->free_percent) &&
		   (a->condition == NULL || b->condition == NULL
				? a->condition == b->condition
				: VARSIZE(a->condition) == VARSIZE(b->condition) &&
					  memcmp(a->condition, b->condition, VARSIZE(a->condition)) == 0);
}

/* same_cell compares cells, and so looks at all that they point to. */
static bool
same_cell(const DsCell *a, const DsCell *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	must(a->nrates == b->nrates);
	for (int i = 0; i < a->nrates; i++)
	{
		const DsRate *x = &a->rates[i];
		const DsRate *y = &b->rates[i];

		must(x->calc < DS_CALC_COUNT &&
			 (x->price_per == 1 || x->price_per == 100 || x->price_per == 1000));
		if (x->calc != y->calc || x->price_per != y->price_per || x->numbered != y->numbered ||
			!same_decimal(ds_rate_value(x), ds_rate_value(y)) ||
			!same_decimal(ds_rate_tier(x), ds_rate_tier(y)) || !same_text(x->unit, y->unit) ||
			(x->numbered ? x->line.number != y->line.number
						 : !same_text(x->line.text, y->line.text)) ||
			!same_more(x->more, y->more))
			return false;
	}
	return true;
}

/* cell_of reads the cell of the target at a place of a page, having asked for its memory; NULL = it has none. */
static DsCell *
cell_of(const DsPage *page, uint64 place, int shift)
{
	int n = ds_pricing_page_find(page, place);

	ds_pricing_page_fetch(page, place, shift);
	if (n < 0)
		return NULL;
	ds_pricing_page_fetch_cell(page, n);
	return ds_pricing_page_cell(page, n);
}

/* read_page does what the engine does with a page, in place and kept. */
static void
read_page(const uint8 *bytes, Size size, int shift)
{
	bytea *value = palloc(VARHDRSZ + size);
	DsPage *page = palloc(offsetof(DsPage, units) + sizeof(char *) * (UINT8_MAX + 1));
	DsPage *kept;

	SET_VARSIZE(value, VARHDRSZ + size);
	memcpy(VARDATA(value), bytes, size);
	ds_pricing_page_open((uint8 *) VARDATA(value), size, shift, page, page->units);
	/* a part may have no page there */
	kept = ds_pricing_pack_page(store, DS_STORE_SHARED_CELL, NULL, shift);
	must(cell_of(kept, size, shift) == NULL);
	kept = ds_pricing_pack_page(store, DS_STORE_SHARED_CELL, value, shift);
	for (int i = 0; i < Min(page->ncells, PLACES) + PLACES; i++)
	{
		const uint8 *target = page->bytes + DS_PAGE_HEADER + (Size) i * page->width;
		uint64 place = i;
		DsCell *cell;

		/* first the targets it names, then whatever comes */
		if (i < Min(page->ncells, PLACES))
			for (int j = place = 0; j < page->width; j++)
				place |= (uint64) target[j] << (8 * j);
		cell = cell_of(page, place, shift);
		must(same_cell(cell, cell_of(kept, place, shift)));
		if (cell != NULL)
			must(same_cell(cell, ds_pricing_pack_cell(store, DS_STORE_OWN_CELL, cell)));
	}
}

/* fuzz_page reads a page, or is told that it is damaged. */
static void
fuzz_page(const uint8 *bytes, Size size, int shift)
{
	PG_TRY();
	{
		read_page(bytes, size, shift);
	}
	PG_CATCH();
	{
		must(geterrcode() == ERRCODE_DATA_CORRUPTED);
	}
	PG_END_TRY();
}

/* take_text takes a text of at most so many bytes, "" at the end. */
static const char *
take_text(const uint8 **at, const uint8 *end, Size most)
{
	Size length = strnlen((const char *) *at, Min((Size) (end - *at), most));
	const char *text = pnstrdup((const char *) *at, length);

	*at += Min(length + 1, (Size) (end - *at));
	return text;
}

/* take_units takes the units of an item. */
static const DsItemUnit *
take_units(const uint8 **at, const uint8 *end, int n)
{
	DsItemUnit *units = palloc0(sizeof(DsItemUnit) * n);

	for (int i = 0; i < n; i++)
	{
		units[i].unit = take_text(at, end, 12);
		units[i].num = *at < end ? *(*at)++ : 1;
		units[i].den = 1;
		if (units[i].num % 4 == 3)
		{
			DsDecimal *multiple = palloc0(sizeof(DsDecimal));

			multiple->mantissa = (int128) units[i].num << (units[i].num / 4);
			multiple->scale = units[i].num % 6;
			units[i].multiple = multiple;
		}
	}
	return units;
}

/* same_item compares items. */
static bool
same_item(const DsItem *a, const DsItem *b)
{
	must(same_text(a->sku, b->sku) && same_text(a->base_unit, b->base_unit) &&
		 same_text(a->family, b->family) && same_text(a->tax_class, b->tax_class) &&
		 a->nunits == b->nunits);
	for (int i = 0; i < a->nunits; i++)
	{
		const DsItemUnit *x = &a->units[i];
		const DsItemUnit *y = &b->units[i];

		if (!same_text(x->unit, y->unit) || x->num != y->num || x->den != y->den ||
			(x->multiple == NULL) != (y->multiple == NULL) ||
			(x->multiple != NULL && !same_decimal(*x->multiple, *y->multiple)))
			return false;
	}
	return true;
}

/* fuzz_items keeps items one after the other, with words that may be the names of what others share. */
static void
fuzz_items(const uint8 *at, Size size)
{
	const uint8 *end = at + size;
	DsItem items[MAX_ITEMS] = {0};
	DsItem *kept[MAX_ITEMS];
	int n;

	for (n = 0; n < MAX_ITEMS && at < end; n++)
	{
		items[n].nunits = *at++ % MAX_UNITS;
		items[n].sku = take_text(&at, end, 40);
		items[n].base_unit = take_text(&at, end, 12);
		items[n].family = take_text(&at, end, 40);
		items[n].tax_class = "";
		items[n].units = take_units(&at, end, items[n].nunits);
		kept[n] = ds_pricing_pack_item(store, DS_STORE_ITEM, &items[n]);
	}
	while (n-- > 0)
		must(same_item(kept[n], &items[n]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	store = ds_pricing_store_create(CurrentMemoryContext);
	if (size > 0 && data[0] == '2')
		fuzz_page(data + 1, size - 1, 16);
	else if (size > 0 && data[0] == '4')
		fuzz_page(data + 1, size - 1, 31);
	else if (size > 0 && data[0] == 'u')
		fuzz_items(data + 1, size - 1);
	fuzz_forget();
	return 0;
}
