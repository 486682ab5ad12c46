/*-------------------------------------------------------------------------
 *
 * load_cell.c
 *		The rates of one rate set for one customer and one target.
 *
 * Process: any backend. Locks: AccessShareLock on the rates. Memory: the
 * current context; the readers stay open for the call.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/load.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "base/compat.h"

#define RATE_COLUMNS                                                                               \
	"line_key", "calc", "value", "unit", "min_quantity", "price_per", "value2", "channel_id",      \
		"site_id", "base_agreement_id", "floor_price", "ceiling_price", "min_margin",              \
		"valid_from", "valid_to", "condition", "extra", "target_id"

enum
{
	R_LINE_KEY,
	R_CALC,
	R_VALUE,
	R_UNIT,
	R_MIN_QUANTITY,
	R_PRICE_PER,
	R_VALUE2,
	R_CHANNEL,
	R_SITE,
	R_BASE,
	R_FLOOR,
	R_CEILING,
	R_MARGIN,
	R_VALID_FROM,
	R_VALID_TO,
	R_CONDITION,
	R_EXTRA,
	R_TARGET,
	R_CUSTOMER
};

static DsTable customer_rate_table = {
	.name = "customer_rate",
	.index = "customer_rate_pk",
	.keys = {"version_id", "customer_id", "target_id", "line_key"},
	.columns = {RATE_COLUMNS, "customer_id"},
};

static DsTable book_rate_table = {
	.name = "book_rate",
	.index = "book_rate_pk",
	.keys = {"version_id", "target_id", "line_key"},
	.columns = {RATE_COLUMNS},
};

/* more for one buyer and target is refused; pricing_most_rates() tells it to those who write */
#define MAX_RATES 100000

/* read_extra does the reading of what buy_get needs. */
static void
read_extra(Jsonb *extra, DsRateMore *more)
{
	JsonbValue buffer;
	JsonbValue *v = getKeyJsonValueFromContainer(&extra->root, "item", 4, &buffer);

	if (v != NULL && v->type == jbvNumeric)
		more->free_item_id =
			DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(v->val.numeric)));
	v = getKeyJsonValueFromContainer(&extra->root, "percent", 7, &buffer);
	if (v != NULL && v->type == jbvNumeric)
		ds_decimal_read(v->val.numeric, &more->free_percent);
}

/* read_more does the reading of what few rates have; NULL = this one has nothing of it. */
static const DsRateMore *
read_more(DsReader *r)
{
	DsRateMore *more;
	int i;

	for (i = R_VALUE2; i <= R_EXTRA && r->nulls[i]; i++)
		;
	if (i > R_EXTRA)
		return NULL;
	more = palloc0(sizeof(DsRateMore));
	ds_pricing_decimal(r, R_VALUE2, &more->value2);
	more->channel_id = ds_pricing_int64(r, R_CHANNEL, 0);
	more->site_id = ds_pricing_int64(r, R_SITE, 0);
	more->base_agreement_id = ds_pricing_int64(r, R_BASE, 0);
	more->has_floor = ds_pricing_decimal(r, R_FLOOR, &more->floor_price);
	more->has_ceiling = ds_pricing_decimal(r, R_CEILING, &more->ceiling_price);
	more->has_margin = ds_pricing_decimal(r, R_MARGIN, &more->min_margin);
	more->valid_from =
		r->nulls[R_VALID_FROM] ? DT_NOBEGIN : DatumGetTimestampTz(r->values[R_VALID_FROM]);
	more->valid_to = r->nulls[R_VALID_TO] ? DT_NOEND : DatumGetTimestampTz(r->values[R_VALID_TO]);
	more->free_percent.mantissa = 100;
	if (!r->nulls[R_CONDITION])
		more->condition = DatumGetJsonbPCopy(r->values[R_CONDITION]);
	if (!r->nulls[R_EXTRA])
		read_extra(DatumGetJsonbP(r->values[R_EXTRA]), more);
	return more;
}

/* ds_pricing_read_rate does the reading of one row. */
void
ds_pricing_read_rate(DsReader *r, DsRate *rate)
{
	memset(rate, 0, sizeof(DsRate));
	rate->line.text = ds_pricing_text(r, R_LINE_KEY);
	rate->calc = ds_pricing_word_datum(ds_pricing_calc_words, r->values[R_CALC], "calc");
	rate->value = ds_pricing_small(r, R_VALUE, &rate->value_scale);
	rate->unit = ds_pricing_text(r, R_UNIT);
	rate->min_quantity = ds_pricing_small(r, R_MIN_QUANTITY, &rate->min_scale);
	rate->price_per = r->nulls[R_PRICE_PER] ? 1 : DatumGetInt32(r->values[R_PRICE_PER]);
	rate->more = read_more(r);
}

/* ds_pricing_open_rates does the opening of the rates of customers, or of the shared ones: by version, (customer,) target and line. */
DsReader *
ds_pricing_open_rates(bool own)
{
	return ds_reader_open(own ? &customer_rate_table : &book_rate_table);
}

/* ds_pricing_rate_target does the target of a row of theirs. */
int64
ds_pricing_rate_target(DsReader *r)
{
	return DatumGetInt64(r->values[R_TARGET]);
}

/* ds_pricing_rate_customer does its customer; 0 = shared. */
int64
ds_pricing_rate_customer(DsReader *r)
{
	return r->table == &customer_rate_table ? DatumGetInt64(r->values[R_CUSTOMER]) : 0;
}

/* open_rates does the opening of the right table, once a call. */
static DsReader *
open_rates(DsCall *call, bool own)
{
	DsReader **reader = own ? &call->customer_rates : &call->book_rates;

	if (*reader == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(call->context);

		*reader = ds_pricing_open_rates(own);
		MemoryContextSwitchTo(old);
	}
	return *reader;
}

/* ds_pricing_load_cell does the reading of the rates of a part for a target. */
DsCell *
ds_pricing_load_cell(DsCall *call, const DsPart *part, int64 target_id)
{
	bool own = part->customer_id != 0;
	DsReader *reader = open_rates(call, own);
	DsRate few[16];
	DsRate *rates = few;
	int room = lengthof(few);
	int n = 0;
	DsCell *cell;
	Datum keys[3];

	keys[0] = Int64GetDatum(part->set_id);
	keys[1] = own ? Int64GetDatum(part->customer_id) : Int64GetDatum(target_id);
	keys[2] = Int64GetDatum(target_id);
	ds_reader_seek(reader, keys, own ? 3 : 2);
	while (ds_reader_next(reader))
	{
		if (n == MAX_RATES)
			ds_pricing_too_many(MAX_RATES, "rates for one buyer and target",
								psprintf("Agreement \"%s\"", part->versions[0].agreement),
								"Spread the rates over several agreements.");
		if (n == room)
		{
			DsRate *more = palloc(sizeof(DsRate) * room * 2);

			memcpy(more, rates, sizeof(DsRate) * n);
			rates = more;
			room *= 2;
		}
		ds_pricing_read_rate(reader, &rates[n++]);
	}
	cell = palloc(offsetof(DsCell, rates) + sizeof(DsRate) * n);
	cell->nrates = n;
	memcpy(cell->rates, rates, sizeof(DsRate) * n);
	return cell;
}
