/*-------------------------------------------------------------------------
 *
 * load_item.c
 *		An item as prices see it: its units and everything that means it.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * current context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/load.h"

#include "base/compat.h"

static DsTable item_table = {
	.name = "item",
	.index = "item_pk",
	.keys = {"item_id"},
	.columns = {"sku", "base_unit", "family", "tax_class", "weight"},
};

static DsTable target_table = {
	.name = "item_target",
	.index = "item_target_item_idx",
	.keys = {"item_id"},
	.columns = {"target_id", "what_kind", "depth", "valid"},
};

static DsTable unit_table = {
	.name = "item_unit",
	.index = "item_unit_pk",
	.keys = {"item_id"},
	.columns = {"unit", "numerator", "denominator", "sell_multiple"},
};

/* the most that one item may have of a thing: more is refused */
#define MAX_TARGETS 4095
#define MAX_UNITS 1024

/* what most items do with */
#define FEW_UNITS 4

/* place_of does the entering of a period, each once; 0 = always. */
static uint16
place_of(DsItem *item, DsPeriod period)
{
	int i;

	if (period.from == DT_NOBEGIN && period.to == DT_NOEND)
		return 0;
	for (i = 0; i < item->nperiods; i++)
	{
		if (item->periods[i].from == period.from && item->periods[i].to == period.to)
			return i + 1;
	}
	if (item->periods == NULL)
		item->periods = palloc(sizeof(DsPeriod) * MAX_TARGETS);
	item->periods[item->nperiods++] = period;
	return item->nperiods;
}

/* load_targets does the reading of what means the item, with all the times it did. */
static void
load_targets(DsItem *item)
{
	DsTarget targets[64];
	DsTarget *list = targets;
	int room = lengthof(targets);
	DsReader *reader = ds_reader_open(&target_table);
	Datum key = Int64GetDatum(item->item_id);

	ds_reader_seek(reader, &key, 1);
	while (ds_reader_next(reader))
	{
		DsTarget *t;
		DsPeriod period;

		if (item->ntargets == MAX_TARGETS)
			ds_pricing_too_many(
				MAX_TARGETS, "targets mean one item", psprintf("Item \"%s\"", item->sku),
				"Its category, brand or vendor moved too often: give it a new item.");

		if (item->ntargets == room)
		{
			DsTarget *more = palloc(sizeof(DsTarget) * room * 2);

			memcpy(more, list, sizeof(DsTarget) * room);
			list = more;
			room *= 2;
		}
		t = &list[item->ntargets++];
		t->target_id = DatumGetInt64(reader->values[0]);
		t->what = ds_pricing_word_datum(ds_pricing_what_words, reader->values[1], "target kind");
		t->depth = DatumGetInt16(reader->values[2]);
		ds_pricing_period(reader, 3, &period.from, &period.to);
		t->period = place_of(item, period);
	}
	ds_reader_close(reader);
	item->targets = palloc(sizeof(DsTarget) * Max(item->ntargets, 1));
	memcpy(item->targets, list, sizeof(DsTarget) * item->ntargets);
}

/* load_units does the reading of the other units. */
static void
load_units(DsItem *item)
{
	DsReader *reader = ds_reader_open(&unit_table);
	Datum key = Int64GetDatum(item->item_id);
	int room = FEW_UNITS;
	DsItemUnit *units = palloc(sizeof(DsItemUnit) * room);

	ds_reader_seek(reader, &key, 1);
	while (ds_reader_next(reader))
	{
		DsItemUnit *u;

		if (item->nunits == MAX_UNITS)
			ds_pricing_too_many(MAX_UNITS, "units of one item", psprintf("Item \"%s\"", item->sku),
								"Leave out units that nobody uses.");
		if (item->nunits == room)
			units = repalloc(units, sizeof(DsItemUnit) * (room *= 2));
		u = &units[item->nunits++];
		u->unit = ds_pricing_text(reader, 0);
		u->num = DatumGetInt64(reader->values[1]);
		u->den = DatumGetInt64(reader->values[2]);
		u->multiple = ds_pricing_decimal_or_null(reader, 3);
	}
	ds_reader_close(reader);
	item->units = units;
}

/* ds_pricing_load_item does the reading of an item; NULL = there is none. */
DsItem *
ds_pricing_load_item(DsCall *call, int64 item_id)
{
	DsReader *reader = ds_reader_open(&item_table);
	Datum key = Int64GetDatum(item_id);
	DsItem *item = NULL;

	ds_reader_seek(reader, &key, 1);
	if (ds_reader_next(reader))
	{
		item = palloc0(sizeof(DsItem));
		item->item_id = item_id;
		item->sku = ds_pricing_text(reader, 0);
		item->base_unit = ds_pricing_text(reader, 1);
		item->family = ds_pricing_text(reader, 2);
		item->tax_class = reader->nulls[3] ? "" : ds_pricing_text(reader, 3);
		item->has_weight = !reader->nulls[4];
		item->weight = ds_pricing_small(reader, 4, &item->weight_scale);
	}
	ds_reader_close(reader);
	if (item != NULL)
	{
		load_targets(item);
		load_units(item);
	}
	return item;
}
