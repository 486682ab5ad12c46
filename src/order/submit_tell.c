/*-------------------------------------------------------------------------
 *
 * submit_tell.c
 *		What an order that was submitted says of itself: its events, the answer
 *		of the verb, its audit.
 *
 * The document is that of order_document(), the answer that of order_answer().
 *
 * Process: any backend. Locks: those of outbox and audit; AccessShareLock on
 * what is read. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "order/submit.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/event.h"
#include "base/json.h"

/* columns numeric(20, scale) */
#define KEPT(scale) (((20 << 16) | (scale)) + VARHDRSZ)

enum
{
	T_ID,
	T_STATE
};

static DsTable po_table = {
	.name = "sales_order",
	.index = "sales_order_po_idx",
	.keys = {"customer_id", "customer_po"},
	.columns = {"order_id", "state"},
	.where = "customer_po IS NOT NULL",
};

/* kept does a number as the column of an order has it. */
static Numeric
kept(Numeric number, int scale)
{
	return DatumGetNumeric(
		DirectFunctionCall2(numeric, NumericGetDatum(number), Int32GetDatum(KEPT(scale))));
}

/* number_kept does a member of that. */
static void
number_kept(DsJson *json, const char *key, Numeric number, int scale)
{
	ds_json_number(json, key, number == NULL ? NULL : kept(number, scale));
}

/* document_line does a line in an event. */
static void
document_line(DsJson *json, const DsOrder *o, const DsOrderLine *line)
{
	const DsPriced *p = line->price;
	Numeric zero = kept(int64_to_numeric(0), 6);

	ds_json_open_object(json, NULL);
	ds_json_text(json, "sku", line->sku);
	ds_json_integer(json, "line", line->line_no);
	ds_json_text(json, "name", line->name);
	ds_json_text(json, "site", line->site);
	ds_json_text(json, "unit", line->unit);
	number_kept(json, "quantity", line->quantity, 6);
	ds_json_text(json, "tax_code", line->tax_code);
	ds_json_text(json, "agreement", p->agreement);
	ds_json_text(json, "base_unit", line->base_unit);
	ds_json_integer(json, "price_per", p->price_per);
	number_kept(json, "net_amount", line->net_amount, 4);
	number_kept(json, "tax_amount", line->tax_amount, 4);
	number_kept(json, "unit_price", p->unit_price, 8);
	ds_json_text(json, "disposition", "accept");
	ds_json_instant(json, "promised_at", o->promised_at);
	ds_json_instant(json, "requested_at",
					line->requested_at != DT_NOEND ? line->requested_at : o->requested_at);
	number_kept(json, "base_quantity", line->base_quantity, 6);
	number_kept(json, "expected_price", line->expected_price, 8);
	ds_json_number(json, "shipped_quantity", zero);
	ds_json_number(json, "invoiced_quantity", zero);
	ds_json_number(json, "cancelled_quantity", zero);
	number_kept(json, "requested_quantity", line->quantity, 6);
	ds_json_close_object(json);
}

/* compare_lines does the order of the lines in an event: that of their numbers. */
static int
compare_lines(const void *a, const void *b)
{
	const DsOrderLine *x = *(DsOrderLine *const *) a;
	const DsOrderLine *y = *(DsOrderLine *const *) b;

	return x->line_no < y->line_no ? -1 : x->line_no > y->line_no;
}

/* document_lines does the lines of an event. */
static void
document_lines(DsJson *json, const DsOrder *o)
{
	DsOrderLine **lines = palloc_array(DsOrderLine *, o->nlines);

	for (int i = 0; i < o->nlines; i++)
		lines[i] = &o->lines[i];
	qsort(lines, o->nlines, sizeof(DsOrderLine *), compare_lines);
	ds_json_open_array(json, "lines");
	for (int i = 0; i < o->nlines; i++)
		document_line(json, o, lines[i]);
	ds_json_close_array(json);
	pfree(lines);
}

/* document does the whole order, with the number that its owner gave it. */
static Datum
document(const DsOrder *o, const char *owner_number)
{
	const DsOrderParty *to = o->ship_to.id != 0 ? &o->ship_to : &o->customer;
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	ds_json_text(&json, "job", o->job.code);
	ds_json_text(&json, "kind", "order");
	document_lines(&json, o);
	ds_json_text(&json, "payer", o->payer.code);
	ds_json_text(&json, "state", o->state);
	ds_json_text(&json, "schema", "order/1");
	ds_json_text(&json, "source", o->source);
	ds_json_text(&json, "channel", o->said_channel);
	ds_json_text(&json, "company", o->said_company);
	ds_json_open_object(&json, "ship_to");
	ds_json_text(&json, "code", to->code);
	ds_json_text(&json, "name", to->name);
	ds_json_jsonb(&json, "address", to->address);
	ds_json_close_object(&json);
	ds_json_integer(&json, "version", 1);
	ds_json_text(&json, "currency", o->prices.currency);
	ds_json_text(&json, "customer", o->customer.code);
	number_kept(&json, "net_amount", o->net_amount, 4);
	ds_json_instant(&json, "ordered_at", o->ordered_at);
	number_kept(&json, "tax_amount", o->tax_amount, 4);
	ds_json_text(&json, "customer_po", o->customer_po);
	ds_json_text(&json, "credit_state", o->credit_state);
	number_kept(&json, "gross_amount", o->gross_amount, 4);
	ds_json_text(&json, "order_number", o->order_number);
	ds_json_text(&json, "owner_number", owner_number);
	ds_json_instant(&json, "requested_at", o->requested_at);
	ds_json_text(&json, "customer_name", o->customer.name);
	/* an order that asks for terms is for the whole path */
	ds_json_text(&json, "payment_terms", NULL);
	ds_json_text(&json, "credit_account", o->account);
	number_kept(&json, "deposit_amount", o->deposit, 4);
	ds_json_close_object(&json);
	return ds_json_finish(&json);
}

/* emit does the telling of an event. What a system sent it is not told again. */
static void
emit(const DsOrder *o, const char *event_type, const char *owner_number, bool echo)
{
	DsEvent event = {.event_type = event_type,
					 .entity = "order",
					 .entity_key = o->key,
					 .customer_id = o->customer.id,
					 .body = document(o, owner_number),
					 .correlation = o->correlation};

	if (!echo && strcmp(o->source, "distsync") != 0)
		event.origin = o->source;
	ds_event_emit(&event);
}

/* answer_line does a line of the answer: what is not known is not said. */
static void
answer_line(DsJson *json, const DsOrder *o, const DsOrderLine *line)
{
	const DsPriced *p = line->price;

	ds_json_open_object(json, NULL);
	ds_json_text(json, "item", line->sku);
	ds_json_integer(json, "line", line->line_no);
	ds_json_text(json, "site", line->site);
	ds_json_text(json, "unit", line->unit);
	ds_json_number(json, "quantity", line->quantity);
	ds_json_number(json, "reserved", line->reserved);
	DS_ORDER_FIELD(json, "tax_code", line->tax_code);
	DS_ORDER_FIELD(json, "agreement", p->agreement);
	ds_json_integer(json, "price_per", p->price_per);
	ds_json_number(json, "net_amount", line->net_amount);
	DS_ORDER_FIELD(json, "price_code", p->code);
	ds_json_number(json, "tax_amount", line->tax_amount);
	ds_json_number(json, "unit_price", p->unit_price);
	ds_json_text(json, "disposition", "accept");
	ds_json_instant(json, "promised_at", o->promised_at);
	ds_json_number(json, "base_quantity", line->base_quantity);
	if (line->expected_price != NULL)
		ds_json_number(json, "expected_price", line->expected_price);
	if (p->valid_until != DT_NOEND)
		ds_json_instant(json, "price_valid_until", p->valid_until);
	ds_json_number(json, "requested_quantity", line->quantity);
	ds_json_close_object(json);
}

/* decided does the telling of a part of the credit decision, if there is one. */
static void
decided(DsJson *json, const DsOrder *o, const char *key, const char *part)
{
	JsonbValue buffer;
	JsonbValue *v = o->decision == NULL ? NULL
										: getKeyJsonValueFromContainer(&o->decision->root, part,
																	   (int) strlen(part), &buffer);

	if (v == NULL || v->type == jbvNull ||
		(v->type == jbvBinary && JsonContainerIsArray(v->val.binary.data) &&
		 JsonContainerSize(v->val.binary.data) == 0))
		return;
	ds_json_jsonb(json, key, JsonbValueToJsonb(v));
}

/* answer_detail does the rest of the answer. */
static Jsonb *
answer_detail(const DsOrder *o)
{
	DsJson json = {0};
	Datum whole;

	ds_json_open_object(&json, NULL);
	decided(&json, o, "cure", "cure");
	ds_json_jsonb(&json, "policy", o->policy.all);
	ds_json_text(&json, "company", o->said_company);
	ds_json_text(&json, "customer", o->customer.code);
	decided(&json, o, "warnings", "warnings");
	ds_json_text(&json, "credit_account", o->account);
	decided(&json, o, "credit_valid_until", "valid_until");
	ds_json_close_object(&json);
	whole = DirectFunctionCall1(jsonb_strip_nulls, ds_json_finish(&json));
	return DatumGetJsonbP(whole);
}

/* correlation_text does the cause as text. */
static char *
correlation_text(const DsOrder *o)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, o->correlation));
}

/* ds_order_answer does the answer of submit_order(). */
Jsonb *
ds_order_answer(DsOrder *o)
{
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	ds_json_open_array(&json, "lines");
	for (int i = 0; i < o->nlines; i++)
		answer_line(&json, o, &o->lines[i]);
	ds_json_close_array(&json);
	ds_json_text(&json, "state", o->state);
	ds_json_jsonb(&json, "detail", answer_detail(o));
	ds_json_jsonb(&json, "reasons", o->reasons);
	ds_json_text(&json, "currency", o->prices.currency);
	ds_json_number(&json, "net_amount", o->net_amount);
	ds_json_number(&json, "tax_amount", o->tax_amount);
	ds_json_text(&json, "credit_state", o->credit_state);
	ds_json_number(&json, "gross_amount", o->gross_amount);
	ds_json_text(&json, "order_number", o->order_number);
	ds_json_text(&json, "correlation_id", correlation_text(o));
	ds_json_close_object(&json);
	return DatumGetJsonbP(ds_json_finish(&json));
}

/* audit does the row that says who submitted what. */
static void
audit(DsOrder *o)
{
	DsJson json = {0};
	DsAudited what = {.verb = "submit_order",
					  .entity = "order",
					  .entity_key = o->key,
					  .correlation = o->correlation};

	ds_json_open_object(&json, NULL);
	ds_json_text(&json, "state", o->state);
	ds_json_text(&json, "source", o->source);
	ds_json_text(&json, "currency", o->prices.currency);
	ds_json_text(&json, "credit_state", o->credit_state);
	ds_json_number(&json, "gross_amount", o->gross_amount);
	ds_json_close_object(&json);
	what.after = ds_json_finish(&json);
	ds_audit_write(&o->audit, &what);
}

/* has_twin does the question whether another order of the customer that is alive has the same PO number. */
static bool
has_twin(const DsOrder *o)
{
	DsReader *reader;
	Datum keys[2];
	bool twin = false;

	if (!o->policy.warns_of_po)
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	reader = ds_reader_open(&po_table);
	keys[0] = Int64GetDatum(o->customer.id);
	keys[1] = CStringGetTextDatum(o->customer_po);
	ds_reader_seek(reader, keys, lengthof(keys));
	while (!twin && ds_reader_next(reader))
		twin = DatumGetInt64(reader->values[T_ID]) != o->order_id &&
			   !ds_reader_text_is(reader, T_STATE, "cancelled") &&
			   !ds_reader_text_is(reader, T_STATE, "rejected");
	ds_reader_close(reader);
	PopActiveSnapshot();
	return twin;
}

/* rest does the order as the steps in SQL take it, as far as those need it that are called from here. */
static Datum
rest(const DsOrder *o)
{
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	ds_json_open_array(&json, "lines");
	for (int i = 0; i < o->nlines; i++)
	{
		ds_json_open_object(&json, NULL);
		ds_json_integer(&json, "line", o->lines[i].line_no);
		ds_json_number(&json, "reserved", o->lines[i].reserved);
		ds_json_text(&json, "disposition", "accept");
		ds_json_close_object(&json);
	}
	ds_json_close_array(&json);
	ds_json_jsonb(&json, "policy", o->policy.all);
	ds_json_text(&json, "source", o->source);
	ds_json_text(&json, "company", o->said_company);
	ds_json_jsonb(&json, "reasons", o->reasons);
	ds_json_text(&json, "currency", o->prices.currency);
	if (o->decision != NULL)
		ds_json_jsonb(&json, "decision", o->decision);
	ds_json_integer(&json, "order_id", o->order_id);
	if (o->account_id != 0)
		ds_json_integer(&json, "account_id", o->account_id);
	ds_json_integer(&json, "company_id", o->company_id);
	ds_json_integer(&json, "customer_id", o->customer.id);
	DS_ORDER_FIELD(&json, "customer_po", o->customer_po);
	ds_json_number(&json, "gross_amount", o->gross_amount);
	ds_json_text(&json, "order_number", o->order_number);
	ds_json_number(&json, "account_amount", o->account_amount);
	ds_json_text(&json, "correlation_id", correlation_text(o));
	ds_json_close_object(&json);
	return ds_json_finish(&json);
}

/* ds_order_tell does the holds, exceptions, events and audit of an order that is stored. */
void
ds_order_tell(DsOrder *o)
{
	static const Oid types[] = {JSONBOID};
	bool held = strcmp(o->state, "held") == 0;
	bool twin = has_twin(o);
	Datum order = held || twin ? rest(o) : (Datum) 0;

	if (held)
		ds_order_call("order_place_credit_hold", types, &order, lengthof(types));
	if (twin)
		ds_order_call("order_exceptions", types, &order, lengthof(types));
	if (held)
		ds_order_call("order_emit_held", types, &order, lengthof(types));
	else
		emit(o, "order.accepted", NULL, false);
	if (strcmp(o->state, "booked") == 0)
		emit(o, "order.booked", o->order_number, true);
	audit(o);
}
