/*-------------------------------------------------------------------------
 *
 * proof.c
 *		The proof of a call: everything that decided it as a document, and the
 *		SHA-256 of its bytes.
 *
 * The document is written as the text that jsonb prints, so that its hash is
 * sha256(convert_to(document::text, 'UTF8')) for everybody. It says codes and
 * never ids, instants in UTC, numbers exactly or to ten decimals, and nothing
 * that the same question at the same known_at would answer otherwise. Members
 * stand in the order of jsonb, shorter names first.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * call's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/proof.h"

#include "common/cryptohash.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/export.h"
#include "base/text.h"

DS_FUNCTION_INFO_V1(ds_sql_pricing_prove);
DS_FUNCTION_INFO_V1(ds_sql_pricing_proved);

/* the shape of the document: it changes when what is proved does */
#define SCHEMA "price_proof/1"

/* hash does the SHA-256 of the document. */
static void
hash(DsProof *proof)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);

	if (ctx == NULL || pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) proof->text.data, proof->text.len) < 0 ||
		pg_cryptohash_final(ctx, proof->sha256, sizeof(proof->sha256)) < 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("SHA-256 cannot be computed"),
						errdetail("The server's cryptographic library refused."),
						errhint("Ask for the price without its proof.")));
	pg_cryptohash_free(ctx);
}

/* prove_lines does the lines that were asked, by the codes they were found under. */
static void
prove_lines(DsCall *call, StringInfo text)
{
	int i;

	ds_text_open(text, "lines", '[');
	for (i = 0; i < call->request.nlines; i++)
	{
		const DsLine *line = &call->request.lines[i];
		DsRatio quantity = line->amount;

		if (line->is_return)
			quantity = ds_ratio_multiply(quantity, ds_ratio_of(-1));
		ds_text_open(text, NULL, '{');
		ds_text_string(text, "item", line->item->sku);
		if (line->site_id != 0)
			ds_text_string(text, "site", ds_pricing_site_code(call, line->site_id));
		ds_text_string(text, "unit", line->unit);
		if (line->own_weight)
			ds_text_ratio(text, "weight", line->weight, DS_PROOF_SCALE);
		ds_text_ratio(text, "quantity", quantity, DS_PROOF_SCALE);
		ds_text_close(text, '}');
	}
	ds_text_close(text, ']');
}

/* prove_without does the slots that were left out. */
static void
prove_without(StringInfo text, uint32 without)
{
	int i;

	if (without == 0)
		return;
	ds_text_open(text, "without", '[');
	for (i = 0; i < DS_SLOT_COUNT; i++)
	{
		if ((without & (1 << i)) != 0)
			ds_text_string(text, NULL, ds_pricing_slot_words[i]);
	}
	ds_text_close(text, ']');
}

/* prove_date does a date that some agreements price by, where it is not the instant of the call. */
static void
prove_date(StringInfo text, const DsRequest *q, const char *name, DsPriceDate date)
{
	if (q->dates[date] != q->at)
		ds_text_instant(text, name, q->dates[date]);
}

/* party_code does the code of a party that was found before. */
static const char *
party_code(DsCall *call, int64 party_id)
{
	return ds_pricing_party(call, party_id)->code;
}

/*
 * prove_request does what was asked, in the words of the options, so that it
 * can be asked again: everything that was found by itself is said (currency,
 * company, unit), what was left out stays out.
 */
static void
prove_request(DsCall *call, StringInfo text, const DsInputs *inputs)
{
	static const char *const commitments[] = {"line", "order", "fact"};
	const DsRequest *q = &call->request;
	int i;

	ds_text_open(text, "request", '{');
	ds_text_instant(text, "at", q->at);
	if (q->job_id != 0)
		ds_text_string(text, "job", party_code(call, q->job_id));
	prove_date(text, q, "ship", DS_DATE_SHIP);
	ds_pricing_prove_used(text, inputs);
	prove_lines(call, text);
	if (q->channel != NULL)
		ds_text_string(text, "channel", q->channel);
	for (i = 0; i < call->shared->ncompanies; i++)
	{
		if (call->shared->companies[i].company_id == q->company_id)
			ds_text_string(text, "company", call->shared->companies[i].code);
	}
	if (q->context != NULL)
		ds_text_jsonb(text, "context", q->context);
	prove_date(text, q, "invoice", DS_DATE_INVOICE);
	if (q->ship_to_id != 0)
		ds_text_string(text, "ship_to", party_code(call, q->ship_to_id));
	prove_without(text, q->without);
	ds_text_string(text, "currency", q->currency);
	ds_text_string(text, "customer", call->buyer.customer->code);
	ds_text_instant(text, "known_at", ds_pricing_known_at(call));
	if (q->tax_rates != NULL)
		ds_text_jsonb(text, "tax_rates", q->tax_rates);
	if (q->commitment != DS_COMMITMENT_LINE)
		ds_text_string(text, "commitment", commitments[q->commitment]);
	if (q->document_key != NULL)
	{
		ds_text_string(text, "document_key", q->document_key);
		ds_text_string(text, "document_type", q->document_type);
	}
	prove_date(text, q, "requested_ship", DS_DATE_REQUESTED_SHIP);
	ds_text_close(text, '}');
}

/*
 * ds_pricing_prove does the proof of lines that are decided. What explain tells
 * beside comes after it: it looks at more. False: there is none, because drafts
 * were counted, which nobody has published yet.
 */
bool
ds_pricing_prove(DsCall *call, DsResult *results, int n, DsProof *proof)
{
	StringInfo text = &proof->text;
	DsInputs inputs;
	int i;

	if (call->overlay != NULL)
		return false;
	ds_pricing_inputs(call, results, n, &inputs);
	initStringInfo(text);
	ds_text_open(text, NULL, '{');
	ds_text_open(text, "lines", '[');
	for (i = 0; i < n; i++)
		ds_pricing_prove_line(call, text, &inputs, &results[i]);
	ds_text_close(text, ']');
	ds_pricing_prove_inputs(call, text);
	ds_text_open(text, "policy", '{');
	ds_text_hex(text, "sha256", call->shared->policy.sha256, sizeof(proof->sha256));
	ds_text_integer(text, "version", call->shared->policy.version);
	ds_text_close(text, '}');
	ds_text_string(text, "schema", SCHEMA);
	prove_request(call, text, &inputs);
	ds_text_close(text, '}');
	hash(proof);
	return true;
}

/* ds_pricing_proof_hex does the hash as people pass it on. */
const char *
ds_pricing_proof_hex(const DsProof *proof)
{
	static const char digit[] = "0123456789abcdef";
	char *hex = palloc(PG_SHA256_DIGEST_LENGTH * 2 + 1);
	int i;

	for (i = 0; i < PG_SHA256_DIGEST_LENGTH; i++)
	{
		hex[i * 2] = digit[proof->sha256[i] >> 4];
		hex[i * 2 + 1] = digit[proof->sha256[i] & 15];
	}
	hex[i * 2] = '\0';
	return hex;
}

/* answer does the call of both functions below: the proof with its document, and if wanted the rows of prices(). */
static Datum
answer(FunctionCallInfo fcinfo, const char *customer, int64 customer_id, bool rows)
{
	DsCall *call = palloc0(sizeof(DsCall));
	DsJson json = {0};
	DsProof proof;
	DsResult *results;
	bool proved;
	int i;

	ds_pricing_open(call, customer, customer_id, fcinfo);
	results = ds_pricing_decide_all(call);
	proved = ds_pricing_prove(call, results, call->request.nlines, &proof);
	if (!proved && !rows)
		ereport(ERROR,
				(errcode(DS_ERRCODE_INVALID_VALUE), errmsg("a price with drafts has no proof"),
				 errdetail("Field: options.drafts."),
				 errhint("Leave the drafts out: what is not published yet may still change.")));
	ds_json_open_object(&json, NULL);
	if (rows)
	{
		ds_json_open_array(&json, "lines");
		for (i = 0; i < call->request.nlines; i++)
			ds_pricing_tell_row(call, &json, &results[i], NULL);
		ds_json_close_array(&json);
	}
	if (proved)
	{
		ds_json_text(&json, "proof", ds_pricing_proof_hex(&proof));
		ds_json_jsonb(&json, "document", DatumGetJsonbP(ds_json_read(proof.text.data)));
	}
	ds_json_close_object(&json);
	ds_pricing_end(call);
	return ds_json_finish(&json);
}

/* ds_sql_pricing_prove does prove_prices(customer, lines, at, options). */
Datum
ds_sql_pricing_prove(PG_FUNCTION_ARGS)
{
	return answer(fcinfo, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)), 0, false);
}

/* ds_sql_pricing_proved does the same for a customer's id and with the rows of prices(), for other rooms: (customer_id, lines, at, options). */
Datum
ds_sql_pricing_proved(PG_FUNCTION_ARGS)
{
	return answer(fcinfo, NULL, PG_GETARG_INT64(0), true);
}
