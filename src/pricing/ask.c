/*-------------------------------------------------------------------------
 *
 * ask.c
 *		Prices for other rooms in C: what pricing_prices_proved() answers,
 *		without writing it down as JSON first.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * current context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/ask.h"

#include "base/compat.h"
#include "pricing/proof.h"

/* member_number does the reading of a number of an object; NULL = it has none. */
static Numeric
member_number(Jsonb *object, const char *key)
{
	JsonbValue buffer;
	JsonbValue *v = ds_pricing_member(&object->root, key, &buffer);

	return v == NULL ? NULL : ds_pricing_number(v);
}

/* tell does the numbers of a line. */
static void
tell(DsCall *call, DsResult *r, DsPriced *p)
{
	const DsFinish *f = &r->finish;
	JsonbValue buffer;
	DsJson json = {0};

	p->priced = f->priced;
	p->code = f->code;
	p->agreement = ds_pricing_winner(r->decision);
	p->unit_price = f->unit_price;
	p->price_per = f->price_per;
	p->net_amount = ds_pricing_net_amount(call, f);
	p->valid_until = r->decision->valid_until;
	ds_pricing_detail(call, &json, NULL, r->line, r->decision, f);
	p->detail = DatumGetJsonbP(ds_json_finish(&json));
	p->extension = member_number(p->detail, "extension");
	p->volumes = ds_pricing_member(&p->detail->root, "commitments", &buffer) != NULL;
}

/*
 * ds_pricing_ask does the prices of lines for a customer's id, with their
 * proof: arguments and errors as in pricing_prices_proved(), but that options
 * are the caller's own and are not checked.
 */
void
ds_pricing_ask(int64 customer_id, Jsonb *lines, TimestampTz at, Jsonb *options, DsPrices *answer)
{
	DsCall *call = palloc0(sizeof(DsCall));
	DsResult *results;
	DsProof proof;

	call->context = CurrentMemoryContext;
	call->trusted = true;
	call->request.customer_id = customer_id;
	ds_pricing_request(call, NULL, at, options);
	ds_pricing_lines(call, lines);
	ds_pricing_buyer(call);
	results = ds_pricing_decide_all(call);
	answer->n = call->request.nlines;
	answer->currency = pstrdup(call->request.currency);
	answer->document = NULL;
	if (ds_pricing_prove(call, results, answer->n, &proof))
	{
		answer->document = proof.text.data;
		memcpy(answer->sha256, proof.sha256, sizeof(answer->sha256));
	}
	answer->lines = palloc_array(DsPriced, answer->n);
	for (int i = 0; i < answer->n; i++)
		tell(call, &results[i], &answer->lines[i]);
	ds_pricing_end(call);
}
