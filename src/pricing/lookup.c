/*-------------------------------------------------------------------------
 *
 * lookup.c
 *		What a price reads on demand and never keeps: codes, exchange rates,
 *		costs, locked prices.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * current context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/load.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/verb.h"

static DsTable party_code_table = {
	.name = "party", .index = "party_code_uq", .keys = {"code"}, .columns = {"party_id"}};
static DsTable item_code_table = {
	.name = "item", .index = "item_sku_uq", .keys = {"sku"}, .columns = {"item_id"}};
static DsTable site_code_table = {
	.name = "site", .index = "site_code_uq", .keys = {"code"}, .columns = {"site_id"}};

static DsTable exchange_table = {
	.name = "exchange_rate",
	.index = "exchange_rate_pair_idx",
	.keys = {"from_currency", "to_currency", "kind", "valid"},
	.columns = {"rate", "valid", "known"},
};

static DsTable cost_table = {
	.name = "item_cost",
	.index = "item_cost_item_idx",
	.keys = {"item_id", "company_id", "site_id", "kind", "valid"},
	.columns = {"unit", "cost", "currency", "valid", "known"},
};

static DsTable lock_table = {
	.name = "price_lock",
	.index = "price_lock_document_idx",
	.keys = {"customer_id", "document_type", "document_key"},
	.columns = {"item_id", "unit", "min_quantity", "max_quantity", "unit_price", "currency",
				"price_per", "valid"},
};

/* find_through_sql does the look-up of a name that another system uses, or the error that names the field. */
static int64
find_through_sql(DsCall *call, const char *kind, const char *code, const char *field)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Oid function = ds_verb_behind("pricing_find", types, 4);
	FmgrInfo flinfo;
	LOCAL_FCINFO(fcinfo, 4);
	Datum result;

	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = CStringGetTextDatum(kind);
	fcinfo->args[1].value = CStringGetTextDatum(code);
	fcinfo->args[2].value = CStringGetTextDatum(field);
	fcinfo->args[3].value =
		call->request.source != NULL ? CStringGetTextDatum(call->request.source) : (Datum) 0;
	fcinfo->args[0].isnull = fcinfo->args[1].isnull = fcinfo->args[2].isnull = false;
	fcinfo->args[3].isnull = call->request.source == NULL;
	result = FunctionCallInvoke(fcinfo);
	return fcinfo->isnull ? 0 : DatumGetInt64(result);
}

/* ds_pricing_find does the look-up of a party, item or site by its code, or the error that names the field. */
int64
ds_pricing_find(DsCall *call, const char *kind, const char *code, const char *field)
{
	DsReader *reader = ds_reader_open(kind[0] == 'p'   ? &party_code_table
									  : kind[0] == 'i' ? &item_code_table
													   : &site_code_table);
	Datum key = CStringGetTextDatum(code);
	int64 id = 0;

	ds_reader_seek(reader, &key, 1);
	if (ds_reader_next(reader))
		id = DatumGetInt64(reader->values[0]);
	ds_reader_close(reader);
	return id != 0 ? id : find_through_sql(call, kind, code, field);
}

/*
 * dated does the finding of the row of a timeline that holds at an instant:
 * keys are those before its period, period and known are columns.
 * What holds at one time does not overlap, so that it is the last one of those
 * that have begun, however long the history is. True: the reader stands on it.
 */
static bool
dated(DsCall *call, DsReader *reader, TimestampTz at, Datum *keys, int nkeys, int period, int known,
	  TimestampTz *valid_until)
{
	TimestampTz start;
	TimestampTz end;

	keys[nkeys] = ds_pricing_range_from(at);
	ds_reader_walk(reader, DS_WALK_BACK, keys, nkeys + 1);
	while (ds_reader_next(reader))
	{
		if (!ds_pricing_known(call, reader->values[known]))
			continue;
		ds_pricing_period(reader, period, &start, &end);
		if (end <= at)
			break;
		ds_pricing_until(end, at, valid_until);
		return true;
	}
	ds_reader_walk(reader, DS_WALK_ON, keys, nkeys + 1);
	while (ds_reader_next(reader))
	{
		if (!ds_pricing_known(call, reader->values[known]))
			continue;
		ds_pricing_period(reader, period, &start, &end);
		ds_pricing_until(start, at, valid_until);
		break;
	}
	return false;
}

/* exchange_rate does the look-up of one direction of a pair. */
static bool
exchange_rate(DsCall *call, const char *from, const char *to, DsDecimal *rate,
			  TimestampTz *valid_until)
{
	DsReader *reader = ds_reader_open(&exchange_table);
	Datum keys[4] = {CStringGetTextDatum(from), CStringGetTextDatum(to),
					 CStringGetTextDatum("spot")};
	TimestampTz at = call->suppose == NULL ? call->request.at
										   : ds_pricing_suppose_at(call->suppose, call->request.at);
	bool found = dated(call, reader, at, keys, 3, 1, 2, valid_until);

	if (found)
		ds_pricing_decimal(reader, 0, rate);
	ds_reader_close(reader);
	return found;
}

/* exchange does the look-up of the factor between two currencies. */
static bool
exchange(DsCall *call, const char *from, DsRatio *factor, TimestampTz *valid_until)
{
	DsDecimal rate;

	*factor = ds_ratio_of(1);
	if (exchange_rate(call, from, call->request.currency, &rate, valid_until))
	{
		*factor = ds_ratio_decimal(rate);
		return true;
	}
	if (exchange_rate(call, call->request.currency, from, &rate, valid_until))
	{
		*factor = ds_ratio_divide(*factor, ds_ratio_decimal(rate));
		return true;
	}
	return false;
}

/* ds_pricing_exchange does the look-up of the factor from a currency to the asked one. False: there is no rate. */
bool
ds_pricing_exchange(DsCall *call, const char *from, DsRatio *factor, TimestampTz *valid_until)
{
	bool found;

	*factor = ds_ratio_of(1);
	if (strcmp(from, call->request.currency) == 0)
		return true;
	found = exchange(call, from, factor, valid_until);
	return call->suppose == NULL ? found
								 : ds_pricing_suppose_exchange(call->suppose, found, factor);
}

/* ds_pricing_unit does the look-up of a unit of an item as base units, num / den. False: it has no such unit. */
bool
ds_pricing_unit(const DsItem *item, const char *unit, int64 *num, int64 *den)
{
	int i;

	*num = *den = 1;
	/* kept words are kept once, so that most comparisons end at the pointer */
	if (unit == item->base_unit || strcmp(unit, item->base_unit) == 0)
		return true;
	for (i = 0; i < item->nunits; i++)
	{
		if (strcmp(unit, item->units[i].unit) == 0)
		{
			*num = item->units[i].num;
			*den = item->units[i].den;
			return true;
		}
	}
	return false;
}

/* A cost that holds, as it was told. */
typedef struct DsCost
{
	DsDecimal value;
	const char *unit;
	const char *currency;
} DsCost;

/* read_cost does the reading of the average cost of an item at a site, 0 = every site of the company. */
static bool
read_cost(DsCall *call, DsReader *reader, const DsLine *line, int64 site_id, DsCost *cost,
		  TimestampTz *valid_until)
{
	Datum keys[5] = {Int64GetDatum(line->item->item_id), Int64GetDatum(call->request.company_id),
					 Int64GetDatum(site_id), CStringGetTextDatum("average")};

	if (!dated(call, reader, call->request.at, keys, 4, 3, 4, valid_until))
		return false;
	cost->unit = ds_pricing_text(reader, 0);
	ds_pricing_decimal(reader, 1, &cost->value);
	cost->currency = ds_pricing_text(reader, 2);
	return true;
}

/*
 * ds_pricing_cost does the look-up of what one unit of a line costs us, in the
 * asked currency: the average cost at its site, else of the company. Where the
 * site has one, that of the company is not looked at.
 */
bool
ds_pricing_cost(DsCall *call, const DsLine *line, DsRatio *cost, TimestampTz *valid_until)
{
	DsReader *reader = ds_reader_open(&cost_table);
	DsCost c;
	DsRatio factor;
	int64 num;
	int64 den;
	bool found;

	found = (line->site_id != 0 && read_cost(call, reader, line, line->site_id, &c, valid_until)) ||
			read_cost(call, reader, line, 0, &c, valid_until);
	ds_reader_close(reader);
	if (!found || !ds_pricing_unit(line->item, c.unit, &num, &den) ||
		!ds_pricing_exchange(call, c.currency, &factor, valid_until))
		return false;
	*cost = ds_ratio_multiply(ds_ratio_decimal(c.value), factor);
	*cost = ds_ratio_divide(ds_ratio_multiply(*cost, ds_ratio_fraction(line->num, line->den)),
							ds_ratio_fraction(num, den));
	return true;
}

/* ds_pricing_locked does the look-up of a price that was promised for the document, for one unit of the line. */
bool
ds_pricing_locked(DsCall *call, const DsLine *line, DsRatio *price, int32 *price_per,
				  TimestampTz *valid_until)
{
	DsRequest *q = &call->request;
	DsReader *reader;
	Datum keys[3];
	bool found = false;
	DsDecimal best = {0, 0};

	if (q->document_key == NULL)
		return false;
	reader = ds_reader_open(&lock_table);
	keys[0] = Int64GetDatum(q->customer_id);
	keys[1] = CStringGetTextDatum(q->document_type);
	keys[2] = CStringGetTextDatum(q->document_key);
	ds_reader_seek(reader, keys, 3);
	while (ds_reader_next(reader))
	{
		TimestampTz start;
		TimestampTz end;
		DsDecimal least;
		DsDecimal most;
		DsDecimal value;
		bool bounded;

		if (DatumGetInt64(reader->values[0]) != line->item->item_id ||
			strcmp(ds_pricing_text(reader, 1), line->unit) != 0 ||
			strcmp(ds_pricing_text(reader, 5), q->currency) != 0)
			continue;
		ds_pricing_decimal(reader, 2, &least);
		bounded = ds_pricing_decimal(reader, 3, &most);
		if (ds_ratio_compare(line->amount, ds_ratio_decimal(least)) < 0 ||
			(bounded && ds_ratio_compare(line->amount, ds_ratio_decimal(most)) > 0))
			continue;
		ds_pricing_period(reader, 7, &start, &end);
		ds_pricing_until(start, q->at, valid_until);
		ds_pricing_until(end, q->at, valid_until);
		if (start > q->at || q->at >= end || (found && ds_decimal_compare(least, best) < 0))
			continue;
		found = true;
		best = least;
		ds_pricing_decimal(reader, 4, &value);
		*price_per = DatumGetInt32(reader->values[6]);
		*price = ds_ratio_divide(ds_ratio_decimal(value), ds_ratio_of(*price_per));
	}
	ds_reader_close(reader);
	return found;
}

static DsTable target_table = {
	.name = "target", .index = "target_pk", .keys = {"target_id"}, .columns = {"what_key"}};
static DsTable category_table = {
	.name = "category", .index = "category_pk", .keys = {"category_id"}, .columns = {"code"}};

static DsTable site_table = {
	.name = "site", .index = "site_pk", .keys = {"site_id"}, .columns = {"code"}};

/* text_of_id does the look-up of a row's text by its id; "" = there is none. */
static const char *
text_of_id(DsTable *table, int64 id)
{
	DsReader *reader = ds_reader_open(table);
	Datum key = Int64GetDatum(id);
	const char *result = "";

	ds_reader_seek(reader, &key, 1);
	if (ds_reader_next(reader))
		result = ds_pricing_text(reader, 0);
	ds_reader_close(reader);
	return result;
}

/* ds_pricing_site_code does the naming of a site by its code; "" = there is none. */
const char *
ds_pricing_site_code(DsCall *call, int64 site_id)
{
	return text_of_id(&site_table, site_id);
}

/* ds_pricing_load_target does the reading of what a target is named by: the code of a category, the id of an item or a party, otherwise its key. */
const char *
ds_pricing_load_target(const DsTarget *target)
{
	const char *key = text_of_id(&target_table, target->target_id);

	return target->what == DS_WHAT_CATEGORY ? text_of_id(&category_table, strtoll(key, NULL, 10))
											: key;
}

/* ds_pricing_target_key does the naming of a target by its business code: ids stay inside. */
const char *
ds_pricing_target_key(DsCall *call, const DsLine *line, const DsTarget *target)
{
	const char *key;

	if (target->what == DS_WHAT_ITEM)
		return line->item->sku;
	if (target->what == DS_WHAT_ALL)
		return "";
	key = ds_pricing_target(call, target);
	if (target->what == DS_WHAT_VARIANT_PARENT)
	{
		const DsItem *item = ds_pricing_item(call, strtoll(key, NULL, 10));

		return item != NULL ? item->sku : "";
	}
	if (target->what == DS_WHAT_VENDOR)
	{
		const DsParty *party = ds_pricing_party(call, strtoll(key, NULL, 10));

		return party != NULL ? party->code : "";
	}
	return key;
}
