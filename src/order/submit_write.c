/*-------------------------------------------------------------------------
 *
 * submit_write.c
 *		What is kept of an order: its row, its lines, the proof of its prices.
 *
 * Process: any backend. Locks: RowExclusiveLock on what is written; the name
 * of the proof (an advisory lock). Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "order/submit.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/json.h"

/* columns numeric(20, scale) */
#define KEPT(scale) (((20 << 16) | (scale)) + VARHDRSZ)

enum
{
	O_CUSTOMER,
	O_ID,
	O_COMPANY,
	O_NUMBER,
	O_KIND,
	O_SOURCE,
	O_OWNER_NUMBER,
	O_SHIP_TO,
	O_PAYER,
	O_JOB,
	O_CHANNEL,
	O_ACCOUNT,
	O_CURRENCY,
	O_PO,
	O_ORDERED_AT,
	O_REQUESTED_AT,
	O_STATE,
	O_CREDIT_STATE,
	O_NET,
	O_TAX,
	O_GROSS,
	O_EXPOSURE,
	O_DEPOSIT,
	O_POLICY,
	O_DECISION,
	O_BACKFILL,
	O_CORRELATION,
	O_RECORDED_AT,
	O_ANSWER_DUE_AT,
	O_VERSION,
	O_EXT,
	O_COUNT
};

static DsRowsTable order_rows = {
	.schema = "dist",
	.name = "sales_order",
	.adds = true,
	.verb = true,
	/* states are ours, amounts are finite, and none that counts is negative */
	.kept = {"sales_order_state_chk", "sales_order_amount_chk"},
	.columns = {{"customer_id", INT8OID},
				{"order_id", INT8OID},
				{"company_id", INT8OID},
				{"order_number", TEXTOID},
				{"kind", TEXTOID},
				{"source", TEXTOID},
				{"owner_number", TEXTOID},
				{"ship_to_id", INT8OID},
				{"payer_id", INT8OID},
				{"job_id", INT8OID},
				{"channel_id", INT8OID},
				{"account_id", INT8OID},
				{"currency", TEXTOID},
				{"customer_po", TEXTOID},
				{"ordered_at", TIMESTAMPTZOID},
				{"requested_at", TIMESTAMPTZOID},
				{"state", TEXTOID},
				{"credit_state", TEXTOID},
				{"net_amount", NUMERICOID},
				{"tax_amount", NUMERICOID},
				{"gross_amount", NUMERICOID},
				{"exposure_amount", NUMERICOID},
				{"deposit_amount", NUMERICOID},
				{"policy", JSONBOID},
				{"decision", JSONBOID},
				{"backfill", BOOLOID},
				{"correlation_id", UUIDOID},
				{"recorded_at", TIMESTAMPTZOID},
				{"answer_due_at", TIMESTAMPTZOID},
				{"version", INT8OID},
				{"ext", JSONBOID}},
};

enum
{
	L_CUSTOMER,
	L_ORDER,
	L_NO,
	L_ITEM,
	L_REQUESTED_ITEM,
	L_QUANTITY,
	L_REQUESTED_QUANTITY,
	L_UNIT,
	L_BASE_QUANTITY,
	L_UNIT_PRICE,
	L_PRICE_PER,
	L_EXPECTED_PRICE,
	L_NET,
	L_TAX_CODE,
	L_TAX,
	L_TAX_BY,
	L_AGREEMENT,
	L_PROOF,
	L_DISPOSITION,
	L_SITE,
	L_RESERVATION,
	L_COMPONENTS,
	L_REQUESTED_AT,
	L_PROMISED_AT,
	L_SHIPPED,
	L_INVOICED,
	L_CANCELLED,
	L_EXT,
	L_COUNT
};

static DsRowsTable line_rows = {
	.schema = "dist",
	.name = "order_line",
	.adds = true,
	/* numbers are finite, none of them negative but amounts, and prices are per 1, 100 or 1000 */
	.kept = {"order_line_disposition_chk", "order_line_quantity_chk", "order_line_amount_chk"},
	.columns = {{"customer_id", INT8OID},
				{"order_id", INT8OID},
				{"line_no", INT4OID},
				{"item_id", INT8OID},
				{"requested_item_id", INT8OID},
				{"quantity", NUMERICOID},
				{"requested_quantity", NUMERICOID},
				{"unit", TEXTOID},
				{"base_quantity", NUMERICOID},
				{"unit_price", NUMERICOID},
				{"price_per", INT4OID},
				{"expected_price", NUMERICOID},
				{"net_amount", NUMERICOID},
				{"tax_code", TEXTOID},
				{"tax_amount", NUMERICOID},
				{"tax_by", TEXTOID},
				{"agreement_code", TEXTOID},
				{"price_proof", BYTEAOID},
				{"disposition", TEXTOID},
				{"site_id", INT8OID},
				{"reservation_id", INT8OID},
				{"components", JSONBOID},
				{"requested_at", TIMESTAMPTZOID},
				{"promised_at", TIMESTAMPTZOID},
				{"shipped_quantity", NUMERICOID},
				{"invoiced_quantity", NUMERICOID},
				{"cancelled_quantity", NUMERICOID},
				{"ext", JSONBOID}},
};

enum
{
	F_CUSTOMER,
	F_SHA256,
	F_DOCUMENT,
	F_STORED_AT,
	F_COUNT
};

static DsRowsTable proof_rows = {
	.schema = "dist",
	.name = "price_proof",
	.adds = true,
	.keys = 2,
	/* a SHA-256 has 32 bytes */
	.kept = {"price_proof_chk"},
	.columns = {{"customer_id", INT8OID},
				{"proof_sha256", BYTEAOID},
				{"document", JSONOID},
				{"stored_at", TIMESTAMPTZOID}},
};

/* ds_order_writers_open does the start of writing. False: a table wants more than we do. */
bool
ds_order_writers_open(DsOrder *o)
{
	o->order_rows = ds_rows_open(&order_rows);
	o->line_rows = ds_rows_open(&line_rows);
	o->proof_rows = ds_rows_open(&proof_rows);
	return o->order_rows != NULL && o->line_rows != NULL && o->proof_rows != NULL &&
		   ds_audit_open(&o->audit) && ds_credit_take_open(&o->credit) &&
		   o->order_rows->relation->rd_rel->relowner == GetUserId();
}

/* ds_order_writers_close does the end of writing. */
void
ds_order_writers_close(DsOrder *o)
{
	if (o->order_rows != NULL)
		ds_rows_close(o->order_rows);
	if (o->line_rows != NULL)
		ds_rows_close(o->line_rows);
	if (o->proof_rows != NULL)
		ds_rows_close(o->proof_rows);
	ds_audit_close(&o->audit);
	ds_credit_take_close(&o->credit);
}

/* as_kept does a number as a column keeps it. */
static Datum
as_kept(Numeric number, int scale)
{
	return DirectFunctionCall2(numeric, NumericGetDatum(number), Int32GetDatum(KEPT(scale)));
}

/* set_text does a text column. */
static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	values[column] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

/* set_id does the column of an id, 0 = none. */
static void
set_id(Datum *values, bool *nulls, int column, int64 id)
{
	nulls[column] = id == 0;
	values[column] = Int64GetDatum(id);
}

/* set_instant does the column of an instant, DT_NOEND = none. */
static void
set_instant(Datum *values, bool *nulls, int column, TimestampTz instant)
{
	nulls[column] = instant == DT_NOEND;
	values[column] = TimestampTzGetDatum(instant);
}

/* without_nulls does an object without the members that are null, however deep. */
static Jsonb *
without_nulls(Jsonb *object)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_strip_nulls, JsonbPGetDatum(object)));
}

/* decision does what decided the order: the amount, credit, and of each line price and stock. */
static Datum
decision(const DsOrder *o)
{
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	ds_json_open_array(&json, "lines");
	for (int i = 0; i < o->nlines; i++)
	{
		const DsOrderLine *line = &o->lines[i];

		ds_json_open_object(&json, NULL);
		ds_json_integer(&json, "line", line->line_no);
		ds_json_jsonb(&json, "price", without_nulls(line->price->detail));
		ds_json_jsonb(&json, "sources", line->sources);
		ds_json_number(&json, "reserved", line->reserved);
		DS_ORDER_FIELD(&json, "price_code", line->price->code);
		ds_json_close_object(&json);
	}
	ds_json_close_array(&json);
	ds_json_text(&json, "stock", "kept");
	if (o->decision == NULL)
		ds_json_text(&json, "credit", NULL);
	else
	{
		ds_json_open_object(&json, "credit");
		ds_json_members(&json, o->decision, "rules");
		ds_json_close_object(&json);
	}
	ds_json_number(&json, "account_amount", o->account_amount);
	ds_json_close_object(&json);
	return ds_json_finish(&json);
}

/* nothing does an empty object. */
static Datum
nothing(void)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
}

/* answer_due does the instant by which the owner must have answered; DT_NOEND = there is none. */
static TimestampTz
answer_due(const DsOrder *o)
{
	if (strcmp(o->state, "accepted") != 0 || o->policy.answer_within == NULL)
		return DT_NOEND;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(GetCurrentTimestamp()),
												   IntervalPGetDatum(o->policy.answer_within)));
}

/* fill_order does the columns of the order. */
static void
fill_order(const DsOrder *o, Datum *values, bool *nulls)
{
	bool approved = strcmp(o->credit_state, "approved") == 0;

	values[O_CUSTOMER] = Int64GetDatum(o->customer.id);
	values[O_ID] = Int64GetDatum(o->order_id);
	values[O_COMPANY] = Int64GetDatum(o->company_id);
	set_text(values, nulls, O_NUMBER, o->order_number);
	set_text(values, nulls, O_KIND, "order");
	set_text(values, nulls, O_SOURCE, o->source);
	set_text(values, nulls, O_OWNER_NUMBER,
			 strcmp(o->state, "booked") == 0 ? o->order_number : NULL);
	set_id(values, nulls, O_SHIP_TO, o->ship_to.id);
	set_id(values, nulls, O_PAYER, o->payer.id);
	set_id(values, nulls, O_JOB, o->job.id);
	set_id(values, nulls, O_CHANNEL, o->channel_id);
	set_id(values, nulls, O_ACCOUNT, o->account_id);
	set_text(values, nulls, O_CURRENCY, o->prices.currency);
	set_text(values, nulls, O_PO, o->customer_po);
	values[O_ORDERED_AT] = TimestampTzGetDatum(o->ordered_at);
	set_instant(values, nulls, O_REQUESTED_AT, o->requested_at);
	set_text(values, nulls, O_STATE, o->state);
	set_text(values, nulls, O_CREDIT_STATE, o->credit_state);
	values[O_NET] = as_kept(o->net_amount, 4);
	values[O_TAX] = as_kept(o->tax_amount, 4);
	values[O_GROSS] = as_kept(o->gross_amount, 4);
	values[O_EXPOSURE] = as_kept(approved ? o->account_amount : int64_to_numeric(0), 4);
	values[O_DEPOSIT] = as_kept(o->deposit, 4);
	values[O_POLICY] = JsonbPGetDatum(o->policy.all);
	values[O_DECISION] = decision(o);
	values[O_BACKFILL] = BoolGetDatum(false);
	values[O_CORRELATION] = o->correlation;
	values[O_RECORDED_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	set_instant(values, nulls, O_ANSWER_DUE_AT, answer_due(o));
	values[O_VERSION] = Int64GetDatum(1);
	values[O_EXT] = nothing();
}

/* fill_line does the columns of a line that are its own. */
static void
fill_line(const DsOrder *o, const DsOrderLine *line, Datum *values, bool *nulls)
{
	const DsPriced *p = line->price;
	bool taxed =
		line->tax_told != NULL && !DS_NUMERIC_IS(numeric_eq, line->tax_told, int64_to_numeric(0));

	values[L_NO] = Int32GetDatum(line->line_no);
	values[L_ITEM] = values[L_REQUESTED_ITEM] = Int64GetDatum(line->item_id);
	values[L_QUANTITY] = values[L_REQUESTED_QUANTITY] = as_kept(line->quantity, 6);
	set_text(values, nulls, L_UNIT, line->unit);
	values[L_BASE_QUANTITY] = as_kept(line->base_quantity, 6);
	values[L_UNIT_PRICE] = as_kept(p->unit_price, 8);
	values[L_PRICE_PER] = Int32GetDatum(p->price_per);
	nulls[L_EXPECTED_PRICE] = line->expected_price == NULL;
	if (line->expected_price != NULL)
		values[L_EXPECTED_PRICE] = as_kept(line->expected_price, 8);
	values[L_NET] = as_kept(line->net_amount, 4);
	set_text(values, nulls, L_TAX_CODE, line->tax_code);
	values[L_TAX] = as_kept(line->tax_amount, 4);
	set_text(values, nulls, L_TAX_BY, taxed ? o->source : NULL);
	set_text(values, nulls, L_AGREEMENT, p->agreement);
	values[L_SITE] = Int64GetDatum(line->site_id);
	values[L_RESERVATION] = Int64GetDatum(line->reservation_id);
	set_instant(values, nulls, L_REQUESTED_AT,
				line->requested_at != DT_NOEND ? line->requested_at : o->requested_at);
}

/* write_lines does the rows of the lines. */
static void
write_lines(const DsOrder *o, Datum proof)
{
	Datum values[L_COUNT] = {0};
	bool nulls[L_COUNT] = {false};

	values[L_CUSTOMER] = Int64GetDatum(o->customer.id);
	values[L_ORDER] = Int64GetDatum(o->order_id);
	values[L_PROOF] = proof;
	set_text(values, nulls, L_DISPOSITION, "accept");
	nulls[L_COMPONENTS] = true;
	values[L_PROMISED_AT] = TimestampTzGetDatum(o->promised_at);
	values[L_SHIPPED] = values[L_INVOICED] = values[L_CANCELLED] = as_kept(int64_to_numeric(0), 6);
	values[L_EXT] = nothing();
	for (int i = 0; i < o->nlines; i++)
	{
		fill_line(o, &o->lines[i], values, nulls);
		ds_rows_add(o->line_rows, values, nulls);
	}
	ds_rows_flush(o->line_rows);
}

/*
 * write_proof does the storing of the proof of the prices. Who is about to
 * store the same one is waited for, as in pricing_keep_proof().
 */
static void
write_proof(DsOrder *o, Datum proof)
{
	static const Oid types[] = {INT8OID, TEXTOID, JSONBOID};
	static const char name[] = "distsync.proof";
	text *hex =
		DatumGetTextPP(DirectFunctionCall2(binary_encode, proof, CStringGetTextDatum("hex")));
	Datum values[F_COUNT] = {Int64GetDatum(o->customer.id), proof};
	bool nulls[F_COUNT] = {false};
	bool known;

	DirectFunctionCall2(
		pg_advisory_xact_lock_int4,
		UInt32GetDatum(hash_bytes((const unsigned char *) name, sizeof(name) - 1)),
		UInt32GetDatum(hash_bytes((unsigned char *) VARDATA_ANY(hex), VARSIZE_ANY_EXHDR(hex))));
	PushActiveSnapshot(GetTransactionSnapshot());
	known = ds_rows_find(o->proof_rows, GetActiveSnapshot(), values);
	PopActiveSnapshot();
	if (known)
	{
		values[1] = PointerGetDatum(hex);
		values[2] = ds_json_read(o->prices.document);
		ds_order_call("pricing_keep_proof", types, values, lengthof(types));
		return;
	}
	values[F_DOCUMENT] = CStringGetTextDatum(o->prices.document);
	values[F_STORED_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	ds_rows_add(o->proof_rows, values, nulls);
	ds_rows_flush(o->proof_rows);
}

/*
 * write_order does the row of the order. Its number was free when it was
 * looked for: who has taken it since is told of as order_write() tells it.
 */
static void
write_order(DsOrder *o)
{
	MemoryContext context = CurrentMemoryContext;
	Datum values[O_COUNT] = {0};
	bool nulls[O_COUNT] = {false};

	fill_order(o, values, nulls);
	PG_TRY();
	{
		ds_rows_add(o->order_rows, values, nulls);
		ds_rows_flush(o->order_rows);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION || error->constraint_name == NULL ||
			strcmp(error->constraint_name, "sales_order_number_uq") != 0)
			PG_RE_THROW();
		FlushErrorState();
		ereport(ERROR,
				(errcode(DS_ERRCODE_DUPLICATE_CODE),
				 errmsg("order \"%s\" exists in company \"%s\"", o->order_number, o->said_company),
				 err_generic_string(PG_DIAG_COLUMN_NAME, "order_number"),
				 errdetail("Field: order_number."),
				 errhint("Use another number, or repeat the call with its first "
						 "idempotency key.")));
	}
	PG_END_TRY();
}

/* ds_order_write does the storing of an order that was decided. */
void
ds_order_write(DsOrder *o)
{
	bytea *proof = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	SET_VARSIZE(proof, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(proof), o->prices.sha256, PG_SHA256_DIGEST_LENGTH);
	write_order(o);
	write_lines(o, PointerGetDatum(proof));
	write_proof(o, PointerGetDatum(proof));
	CommandCounterIncrement();
}
