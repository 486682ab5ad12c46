/*-------------------------------------------------------------------------
 *
 * pack.c
 *		What was read, laid closely into the store.
 *
 * Loaders read rows into arrays that grow, in a context that is emptied; here
 * each value gets exactly the room it needs.
 *
 * Process: any backend. Locks: none. Memory: the store.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/pack.h"

#include "base/compat.h"
#include "pricing/page_form.h"

#define COPY(what, n) ds_pricing_store_copy(store, class, (what), sizeof(*(what)) * (n))
#define STRING(text) ds_pricing_store_string(store, class, (text))
#define WORD(text) ds_pricing_store_intern(store, class, (text))

/* pack_decimal does the copying of a number that may be missing. */
static const DsDecimal *
pack_decimal(DsStore *store, DsStoreClass class, const DsDecimal *read)
{
	return read == NULL ? NULL : COPY(read, 1);
}

/* ds_pricing_pack_shared does what everybody shares. */
DsShared *
ds_pricing_pack_shared(DsStore *store, DsStoreClass class, const DsShared *read)
{
	DsShared *s = COPY(read, 1);
	int i;

	s->companies = COPY(read->companies, read->ncompanies);
	for (i = 0; i < s->ncompanies; i++)
	{
		s->companies[i].code = STRING(read->companies[i].code);
		s->companies[i].currency = WORD(read->companies[i].currency);
	}
	s->currencies = COPY(read->currencies, read->ncurrencies);
	for (i = 0; i < s->ncurrencies; i++)
		s->currencies[i].currency = WORD(read->currencies[i].currency);
	s->channels = COPY(read->channels, read->nchannels);
	for (i = 0; i < s->nchannels; i++)
		s->channels[i].code = STRING(read->channels[i].code);
	s->rules = COPY(read->rules, read->nrules);
	for (i = 0; i < s->nrules; i++)
		s->rules[i].name = STRING(read->rules[i].name);
	return s;
}

/* pack_filter does a filter, with what makes it fast. */
static DsFilter
pack_filter(DsStore *store, DsStoreClass class, const DsFilter *read)
{
	const uint8 *bytes = ds_pricing_store_copy(store, class, read->bytes, read->size);
	Size room = ds_pricing_filter_room(bytes, read->size);

	return ds_pricing_filter_open(bytes, read->size,
								  room == 0 ? NULL : ds_pricing_store_alloc(store, class, room));
}

/* ds_pricing_pack_parts does rate sets with their versions; versions of one agreement share its code. */
void
ds_pricing_pack_parts(DsStore *store, DsStoreClass class, const DsParts *read, DsParts *parts)
{
	const char *code = NULL;
	int i;
	int j;

	parts->nparts = read->nparts;
	parts->parts = COPY(read->parts, read->nparts);
	for (i = 0; i < parts->nparts; i++)
	{
		DsPart *p = &parts->parts[i];

		p->filter = pack_filter(store, class, &p->filter);
		p->versions = COPY(p->versions, p->nversions);
		for (j = 0; j < p->nversions; j++)
		{
			DsVersion *v = &p->versions[j];

			if (code == NULL || strcmp(code, v->agreement) != 0)
				code = STRING(v->agreement);
			v->agreement = code;
			v->currency = WORD(v->currency);
			v->stack_group = WORD(v->stack_group);
			v->rounding = WORD(v->rounding);
			v->tax_class = WORD(v->tax_class);
			v->commit_quantity = pack_decimal(store, class, v->commit_quantity);
			v->commit_amount = pack_decimal(store, class, v->commit_amount);
		}
	}
}

/* ds_pricing_pack_party does a party. */
DsParty *
ds_pricing_pack_party(DsStore *store, DsStoreClass class, const DsParty *read)
{
	DsParty *p = COPY(read, 1);
	int i;

	p->code = STRING(read->code);
	p->currency = WORD(read->currency);
	p->price_class = WORD(read->price_class);
	p->ancestors = COPY(read->ancestors, read->nancestors);
	p->memberships = COPY(read->memberships, read->nmemberships);
	for (i = 0; i < p->nmemberships; i++)
		p->memberships[i].code = WORD(read->memberships[i].code);
	ds_pricing_pack_parts(store, class, &read->own, &p->own);
	return p;
}

/* pack_small does a decimal that may be large. */
static DsSmall
pack_small(DsStore *store, DsStoreClass class, DsSmall small, int scale)
{
	if (scale == DS_SCALE_LARGE)
		small.large = COPY(small.large, 1);
	return small;
}

/* units_key does the naming of what the units of an item say; "" = it is too long for a name. */
static const char *
units_key(const DsItem *read, char *key, Size room)
{
	Size used = 0;
	int i;

	for (i = 0; i < read->nunits; i++)
	{
		const DsItemUnit *u = &read->units[i];
		int64 multiple = u->multiple == NULL ? -1 : (int64) u->multiple->mantissa;

		if (u->multiple != NULL && u->multiple->mantissa != multiple)
			return "";
		used += snprintf(key + used, room - used,
						 "\001%s\001" INT64_FORMAT "\001" INT64_FORMAT "\001" INT64_FORMAT "\001%d",
						 u->unit, u->num, u->den, multiple,
						 u->multiple == NULL ? 0 : u->multiple->scale);
		if (used >= room)
			return "";
	}
	return key;
}

/* lay_units does the laying of units into one block, with their words and multiples behind them. */
static void
lay_units(const DsItem *read, DsItemUnit *units)
{
	DsDecimal *multiples = (DsDecimal *) (units + read->nunits);
	char *words = (char *) (multiples + read->nunits);
	int i;

	for (i = 0; i < read->nunits; i++)
	{
		Size length = strlen(read->units[i].unit) + 1;

		units[i] = read->units[i];
		units[i].unit = memcpy(words, read->units[i].unit, length);
		words += length;
		if (read->units[i].multiple != NULL)
			units[i].multiple = memcpy(&multiples[i], read->units[i].multiple, sizeof(DsDecimal));
	}
}

/* pack_units does the units of an item. Few items have some that no other has: what they say is kept once where it can be. */
static const DsItemUnit *
pack_units(DsStore *store, DsStoreClass class, const DsItem *read)
{
	char room[256];
	const char *key = units_key(read, room, sizeof(room));
	DsItemUnit *units = NULL;
	bool made = true;
	Size size = (sizeof(DsItemUnit) + sizeof(DsDecimal)) * read->nunits;
	int i;

	if (read->nunits == 0)
		return NULL;
	for (i = 0; i < read->nunits; i++)
		size += strlen(read->units[i].unit) + 1;
	if (*key != '\0')
		units = ds_pricing_store_common(key, size, &made);
	if (units == NULL)
		units = ds_pricing_store_alloc(store, class, size);
	if (made)
		lay_units(read, units);
	return units;
}

/* ds_pricing_pack_item does an item. */
DsItem *
ds_pricing_pack_item(DsStore *store, DsStoreClass class, const DsItem *read)
{
	DsItem *t = COPY(read, 1);

	t->sku = STRING(read->sku);
	t->base_unit = WORD(read->base_unit);
	t->family = WORD(read->family);
	t->tax_class = WORD(read->tax_class);
	if (t->has_weight)
		t->weight = pack_small(store, class, read->weight, read->weight_scale);
	t->targets = COPY(read->targets, read->ntargets);
	t->periods = COPY(read->periods, read->nperiods);
	t->units = pack_units(store, class, read);
	return t;
}

/* ds_pricing_pack_assignments does the agreements of a kind of buyer. */
DsAssignments *
ds_pricing_pack_assignments(DsStore *store, DsStoreClass class, const DsAssignments *read)
{
	DsAssignments *a = COPY(read, 1);

	a->list = COPY(read->list, read->n);
	return a;
}

/* ds_pricing_pack_cell does the rates of a cell. */
DsCell *
ds_pricing_pack_cell(DsStore *store, DsStoreClass class, const DsCell *read)
{
	DsCell *cell = ds_pricing_store_copy(store, class, read,
										 offsetof(DsCell, rates) + sizeof(DsRate) * read->nrates);
	int i;

	for (i = 0; i < cell->nrates; i++)
	{
		DsRate *r = &cell->rates[i];

		r->value = pack_small(store, class, r->value, r->value_scale);
		r->min_quantity = pack_small(store, class, r->min_quantity, r->min_scale);
		if (!r->numbered)
			r->line.text = STRING(r->line.text);
		r->unit = WORD(r->unit);
		if (r->more != NULL)
		{
			DsRateMore *more = COPY(r->more, 1);

			if (more->condition != NULL)
				more->condition =
					ds_pricing_store_copy(store, class, more->condition, VARSIZE(more->condition));
			r->more = more;
		}
	}
	return cell;
}

/* the bytes of a page without any: there is somewhere to point at */
static const uint8 no_page[DS_PAGE_HEADER];

/* ds_pricing_pack_page does a page of rates; NULL = one without any. */
DsPage *
ds_pricing_pack_page(DsStore *store, DsStoreClass class, const bytea *read, int shift)
{
	DsPage head = {0};
	DsPage *page;
	const char *units[UINT8_MAX + 1];
	int n = 0;
	int i;

	if (read != NULL)
		n = ds_pricing_page_open((const uint8 *) VARDATA_ANY(read), VARSIZE_ANY_EXHDR(read), shift,
								 &head, units);
	page = ds_pricing_store_alloc(store, class, offsetof(DsPage, units) + sizeof(char *) * n);
	memcpy(page, &head, offsetof(DsPage, units));
	page->bytes =
		read == NULL ? no_page : ds_pricing_store_copy(store, class, head.bytes, head.size);
	for (i = 0; i < n; i++)
		page->units[i] = WORD(units[i]);
	return page;
}
