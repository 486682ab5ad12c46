/*-------------------------------------------------------------------------
 *
 * submit_price.c
 *		The prices of an order's lines, and its amounts.
 *
 * An order whose lines all have the price that is expected, or expect none.
 * Where one has no price, another one, or uses an agreed volume, the whole path
 * decides what becomes of it.
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
#include "base/json.h"

static DsTable currency_table = {
	.name = "currency",
	.index = "currency_pk",
	.keys = {"currency"},
	.columns = {"minor_units"},
};

/* round_to does the rounding of an amount. */
static Numeric
round_to(Numeric amount, int units)
{
	return DatumGetNumeric(
		DirectFunctionCall2(numeric_round, NumericGetDatum(amount), Int32GetDatum(units)));
}

/* compare_lines does the order in which lines are priced: that of their numbers. */
static int
compare_lines(const void *a, const void *b)
{
	const DsOrderLine *x = *(DsOrderLine *const *) a;
	const DsOrderLine *y = *(DsOrderLine *const *) b;

	return x->line_no < y->line_no ? -1 : x->line_no > y->line_no;
}

/* in_order does the lines in the order in which they are priced. */
static DsOrderLine **
in_order(DsOrder *o)
{
	DsOrderLine **lines = palloc_array(DsOrderLine *, o->nlines);

	for (int i = 0; i < o->nlines; i++)
		lines[i] = &o->lines[i];
	qsort(lines, o->nlines, sizeof(DsOrderLine *), compare_lines);
	return lines;
}

/* asked_lines does the lines as prices are asked for. */
static Jsonb *
asked_lines(DsOrderLine **lines, int n)
{
	DsJson json = {0};

	ds_json_open_array(&json, NULL);
	for (int i = 0; i < n; i++)
	{
		ds_json_open_object(&json, NULL);
		ds_json_text(&json, "item", lines[i]->sku);
		DS_ORDER_FIELD(&json, "site", lines[i]->said_site);
		ds_json_text(&json, "unit", lines[i]->unit);
		ds_json_integer(&json, "item_id", lines[i]->item_id);
		ds_json_number(&json, "quantity", lines[i]->quantity);
		ds_json_close_object(&json);
	}
	ds_json_close_array(&json);
	return DatumGetJsonbP(ds_json_finish(&json));
}

/* asked_options does the options of the question. */
static Jsonb *
asked_options(const DsOrder *o)
{
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	DS_ORDER_FIELD(&json, "job", o->said_job);
	ds_json_text(&json, "source", o->source);
	DS_ORDER_FIELD(&json, "channel", o->said_channel);
	ds_json_text(&json, "company", o->said_company);
	DS_ORDER_FIELD(&json, "ship_to", o->said_ship_to);
	DS_ORDER_FIELD(&json, "currency", o->said_currency);
	ds_json_text(&json, "commitment", "order");
	ds_json_close_object(&json);
	return DatumGetJsonbP(ds_json_finish(&json));
}

/* find_currency does the decimals of a currency. */
static bool
find_currency(const char *currency, int *units)
{
	DsReader *reader = ds_reader_open(&currency_table);
	Datum key = CStringGetTextDatum(currency);
	bool found = ds_reader_find(reader, &key);

	if (found)
		*units = DatumGetInt16(reader->values[0]);
	ds_reader_close(reader);
	return found;
}

/* as_expected does the question whether a line has a price, the one that is expected if one is. */
static bool
as_expected(const DsOrderLine *line, const DsPriced *price)
{
	return price->priced && !price->volumes &&
		   (price->price_per == 1 || price->price_per == 100 || price->price_per == 1000) &&
		   (line->expected_price == NULL ||
			DS_NUMERIC_IS(numeric_eq, line->expected_price, price->unit_price));
}

/* total_line does the amounts of a line, as order_total() has them. */
static void
total_line(const DsOrder *o, DsOrderLine *line)
{
	const DsPriced *p = line->price;
	Numeric times = DS_NUMERIC(numeric_mul, line->quantity, p->unit_price);
	Numeric zero = int64_to_numeric(0);
	Numeric less =
		p->extension == NULL ? zero : DS_NUMERIC(numeric_sub, p->extension, p->net_amount);
	Numeric tax = line->tax_told == NULL ? zero : line->tax_told;

	times =
		round_to(DS_NUMERIC(numeric_div, times, int64_to_numeric(p->price_per)), o->minor_units);
	/* nothing is cut: what is accepted is what was asked for */
	line->net_amount = DS_NUMERIC(numeric_sub, times, round_to(less, o->minor_units));
	line->tax_amount = round_to(tax, o->minor_units);
}

/* total does the amounts of the order, and what credit counts. False: the account has another currency. */
static bool
total(DsOrder *o)
{
	Numeric zero = int64_to_numeric(0);

	for (int i = 0; i < o->nlines; i++)
	{
		DsOrderLine *line = &o->lines[i];

		total_line(o, line);
		o->net_amount =
			i == 0 ? line->net_amount : DS_NUMERIC(numeric_add, o->net_amount, line->net_amount);
		o->tax_amount =
			i == 0 ? line->tax_amount : DS_NUMERIC(numeric_add, o->tax_amount, line->tax_amount);
	}
	o->gross_amount = DS_NUMERIC(numeric_add, o->net_amount, o->tax_amount);
	if (o->account_id == 0)
		return true;
	o->account_amount = DS_NUMERIC_IS(numeric_ge, o->gross_amount, zero) ? o->gross_amount : zero;
	return strcmp(o->account_currency, o->prices.currency) == 0;
}

/* ds_order_price does the prices of all lines and the amounts. */
bool
ds_order_price(DsOrder *o)
{
	DsOrderLine **lines = in_order(o);
	int units;

	if (o->said_currency != NULL && !find_currency(o->said_currency, &units))
		return false;
	ds_pricing_ask(o->customer.id, asked_lines(lines, o->nlines), o->ordered_at, asked_options(o),
				   &o->prices);
	for (int i = 0; i < o->nlines; i++)
	{
		lines[i]->price = &o->prices.lines[i];
		if (!as_expected(lines[i], lines[i]->price))
			return false;
	}
	return o->prices.document != NULL && find_currency(o->prices.currency, &o->minor_units) &&
		   total(o);
}
