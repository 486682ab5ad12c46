/*-------------------------------------------------------------------------
 *
 * submit_promise.c
 *		The promise of an order's stock, and the decision about its credit.
 *
 * Process: any backend. Locks: the credit account with all above it; the
 * demands of the order; rows of dist.stock_pool in the order of item and site.
 * Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "order/submit.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "base/codes.h"
#include "base/compat.h"
#include "base/json.h"

static DsTable deposit_table = {
	.name = "payment",
	.index = "payment_order_idx",
	.keys = {"company_id", "order_number"},
	.columns = {"kind"},
	.where = "order_number IS NOT NULL",
};

/* Whether orders of a company are ours, as it was found under a number of ds_codes_epoch(). */
static struct
{
	int64 codes;
	int64 company_id;
	TimestampTz until; /* time alone may change it then */
	bool native;
} owned = {DS_CODES_UNKNOWN};

/* ask_lines does the lines as stock is asked for. */
static bool
ask_lines(const DsOrder *o, DsReserve *call)
{
	DsReserveScale last = {NULL};

	call->lines = palloc0(sizeof(DsReserveLine) * o->nlines);
	call->nlines = o->nlines;
	call->serving = true;
	for (int i = 0; i < o->nlines; i++)
	{
		const DsOrderLine *line = &o->lines[i];
		DsReserveLine *asked = &call->lines[i];

		asked->ordinal = line->ordinal;
		asked->item_id = line->item_id;
		asked->site_id = line->asked_site_id;
		asked->quantity = line->base_quantity;
		asked->unit = line->unit;
		asked->numerator = line->numerator;
		asked->denominator = line->denominator;
		asked->demand_key = psprintf("%s/%d", o->key, line->line_no);
		asked->requested_at = line->requested_at != DT_NOEND ? line->requested_at : o->requested_at;
		call->choose = call->choose || asked->site_id == 0;
		if (strlen(asked->demand_key) > 255 ||
			!ds_inventory_line_in_steps(asked, line->base_unit, &last))
			return false;
	}
	return ds_inventory_sort_lines(call);
}

/* compare_grants does the order of what serves a line: its place, then sites. */
static int
compare_grants(const void *a, const void *b)
{
	const DsReserveGrant *x = a;
	const DsReserveGrant *y = b;

	if (x->line->ordinal != y->line->ordinal)
		return x->line->ordinal < y->line->ordinal ? -1 : 1;
	return x->pool->site_id < y->pool->site_id ? -1 : x->pool->site_id > y->pool->site_id;
}

/* take_grants does the taking over of what serves one line; the site that gives most is the line's. */
static void
take_grants(DsOrderLine *line, const DsReserveGrant *grants, int n)
{
	const DsReserveGrant *most = grants;
	DsJson json = {0};

	line->reserved = grants->quantity;
	line->available = grants->available;
	ds_json_open_array(&json, NULL);
	for (int i = 0; i < n; i++)
	{
		const DsReserveGrant *g = &grants[i];

		if (i > 0)
			line->reserved = DS_NUMERIC(numeric_add, line->reserved, g->quantity);
		if (DS_NUMERIC_IS(numeric_gt, g->quantity, most->quantity))
			most = g;
		ds_json_open_object(&json, NULL);
		ds_json_integer(&json, "site_id", g->pool->site_id);
		ds_json_number(&json, "base_quantity", g->quantity);
		ds_json_integer(&json, "reservation_id", g->reservation_id);
		ds_json_close_object(&json);
	}
	ds_json_close_array(&json);
	line->sources = DatumGetJsonbP(ds_json_finish(&json));
	line->site_id = most->pool->site_id;
	line->site = most->pool->code;
	line->reservation_id = most->reservation_id;
}

/* ds_order_promise does the promise of all stock of an order, committed. False: nothing was written. */
bool
ds_order_promise(DsOrder *o)
{
	DsReserve call = {.behind = true, .lock_first = o->policy.keeps_nothing};
	int n;

	ds_inventory_usual_options(&call.options);
	call.options.holder = o->key;
	call.options.commit = true;
	call.options.up_to = !o->policy.all_or_none;
	call.options.split = o->policy.split;
	call.options.priority = o->policy.priority;
	call.options.customer_id = o->customer.id;
	call.options.channel_id = o->channel_id;
	call.options.company_id = o->company_id;
	if (strlen(o->key) > 255 || ds_inventory_has_shelf_rules(o->customer.id) ||
		!ask_lines(o, &call) || !ds_inventory_promise(&call, NULL))
		return false;
	o->promised_at = call.at;
	qsort(call.grants, call.ngrants, sizeof(DsReserveGrant), compare_grants);
	for (int i = 0; i < call.ngrants; i += n)
	{
		DsReserveGrant *g = &call.grants[i];

		for (n = 1; i + n < call.ngrants && g[n].line == g->line;)
			n++;
		take_grants(&o->lines[g->line->ordinal - 1], g, n);
	}
	return true;
}

/* ds_order_has_deposit does the look whether somebody has paid in advance for the order: whose money counts, and as how much, the whole path says. */
bool
ds_order_has_deposit(const DsOrder *o)
{
	DsReader *reader = ds_reader_open(&deposit_table);
	Datum keys[2] = {Int64GetDatum(o->company_id), CStringGetTextDatum(o->order_number)};
	bool paid;

	ds_reader_seek(reader, keys, lengthof(keys));
	paid = ds_reader_next(reader);
	ds_reader_close(reader);
	return paid;
}

/* facts does what a decision about an order may look at. */
static Jsonb *
facts(const DsOrder *o)
{
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	ds_json_text(&json, "verb", "submit_order");
	ds_json_number(&json, "deposit", o->deposit);
	ds_json_text(&json, "currency", o->prices.currency);
	ds_json_integer(&json, "order_id", o->order_id);
	ds_json_integer(&json, "customer_id", o->customer.id);
	ds_json_text(&json, "order_number", o->order_number);
	ds_json_close_object(&json);
	return DatumGetJsonbP(ds_json_finish(&json));
}

/* ds_order_credit does the decision about the amount of an order, which is taken where it is approved. */
void
ds_order_credit(DsOrder *o)
{
	JsonbValue outcome;
	JsonbValue reasons;

	o->deposit = int64_to_numeric(0);
	o->credit_state = "none";
	o->reasons = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("[]")));
	if (o->account_id == 0)
		return;
	o->decision =
		ds_credit_take(&o->credit, o->account_amount, facts(o), o->order_id, "submit_order");
	if (getKeyJsonValueFromContainer(&o->decision->root, "outcome", 7, &outcome) != NULL)
		o->credit_state = pnstrdup(outcome.val.string.val, outcome.val.string.len);
	if (getKeyJsonValueFromContainer(&o->decision->root, "reasons", 7, &reasons) != NULL)
		o->reasons = JsonbValueToJsonb(&reasons);
}

/* ask_owner does the question whether orders of a company are ours, and until when the answer holds. */
static void
ask_owner(const char *company, bool *native, TimestampTz *until)
{
	static const Oid types[] = {TEXTOID};
	Datum key = CStringGetTextDatum(company);
	ArrayType *owners =
		DatumGetArrayTypeP(ds_order_call("order_owner", types, &key, lengthof(types)));
	Datum *systems;
	Datum change;
	int n;

	deconstruct_array(owners, TEXTOID, -1, false, TYPALIGN_INT, &systems, NULL, &n);
	*native = false;
	for (int i = 0; i < n; i++)
		*native = *native || strcmp(TextDatumGetCString(systems[i]), "distsync") == 0;
	change = ds_order_call("order_owner_until", types, &key, lengthof(types));
	*until = change == 0 ? DT_NOEND : DatumGetTimestampTz(change);
}

/* ds_order_is_native does the question whether orders of the company are ours. */
bool
ds_order_is_native(DsOrder *o)
{
	int64 codes = ds_codes_epoch();
	TimestampTz until;
	bool native;

	if (codes != DS_CODES_UNKNOWN && codes == owned.codes && owned.company_id == o->company_id &&
		GetCurrentStatementStartTimestamp() < owned.until)
		return owned.native;
	ask_owner(o->said_company, &native, &until);
	owned.codes = codes;
	owned.company_id = o->company_id;
	owned.until = until;
	owned.native = native;
	return native;
}
