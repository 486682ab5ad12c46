/*-------------------------------------------------------------------------
 *
 * request.c
 *		What is asked: codes and options, checked; the first thing wrong is an
 *		error that names its field, never a silent fallback. line.c reads the
 *		lines.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * call's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/text.h"
#include "base/verb.h"
#include "master/scope.h"

/* the options that were found right last, so that an application that always sends the same ones is checked once */
#define KEEP_OPTIONS 1024

static char checked_options[KEEP_OPTIONS];
static Size checked_size = 0;

/* check_options does the check of names and types, in SQL, as for every verb. */
static void
check_options(Jsonb *options)
{
	Size size = VARSIZE_ANY(options);
	Oid argument = JSONBOID;

	if (size == checked_size && memcmp(options, checked_options, size) == 0)
		return;
	OidFunctionCall1(ds_verb_behind("pricing_options", &argument, 1), JsonbPGetDatum(options));
	if (size <= KEEP_OPTIONS)
	{
		memcpy(checked_options, options, size);
		checked_size = size;
	}
}

/*
 * restrict_options does the refusing of options that are not for customers to
 * give. It is asked each time: the same options may be somebody else's next.
 */
static void
restrict_options(DsCall *call, Jsonb *options)
{
	Oid argument = JSONBOID;

	call->for_buyer = true;
	if (options != NULL)
		OidFunctionCall1(ds_verb_behind("pricing_scope_options", &argument, 1),
						 JsonbPGetDatum(options));
}

/* named_party does the look-up of a party that the caller names, if he may. */
static const DsParty *
named_party(DsCall *call, const char *code, const char *field)
{
	const DsParty *party = ds_pricing_party_of(call, code, field);

	if (call->for_buyer)
		ds_master_scope_check(party->party_id, code, field);
	return party;
}

/* ds_pricing_text_of does the copying of a string or number. */
char *
ds_pricing_text_of(const JsonbValue *v)
{
	if (v == NULL || v->type == jbvNull)
		return NULL;
	if (v->type == jbvString)
		return pnstrdup(v->val.string.val, v->val.string.len);
	if (v->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
	return NULL;
}

/* ds_pricing_member does the look-up of a member; NULL = absent or null. */
JsonbValue *
ds_pricing_member(JsonbContainer *object, const char *key, JsonbValue *buffer)
{
	JsonbValue *v = getKeyJsonValueFromContainer(object, key, (int) strlen(key), buffer);

	return v == NULL || v->type == jbvNull ? NULL : v;
}

/* text_option does the reading of a text option. */
static char *
text_option(Jsonb *options, const char *key)
{
	JsonbValue buffer;

	return options == NULL ? NULL
						   : ds_pricing_text_of(ds_pricing_member(&options->root, key, &buffer));
}

/* instant_option does the reading of an instant, whose form was checked before. */
static TimestampTz
instant_option(Jsonb *options, const char *key, TimestampTz otherwise)
{
	char *text = text_option(options, key);

	if (text == NULL)
		return otherwise;
	return DatumGetTimestampTz(DirectFunctionCall3(
		timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* object_option does the copying of an object. */
static Jsonb *
object_option(Jsonb *options, const char *key)
{
	JsonbValue buffer;
	JsonbValue *v = options == NULL ? NULL : ds_pricing_member(&options->root, key, &buffer);

	return v == NULL || v->type != jbvBinary ? NULL : JsonbValueToJsonb(v);
}

/* read_without does the reading of the slots to leave out. */
static uint32
read_without(Jsonb *options)
{
	Jsonb *list = object_option(options, "without");
	uint32 bits = 0;
	uint32 i;

	for (i = 0; list != NULL && i < JB_ROOT_COUNT(list); i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(&list->root, i);

		if (v != NULL && v->type == jbvString)
			bits |= 1 << ds_pricing_word(ds_pricing_slot_words, v->val.string.val,
										 v->val.string.len, "slot");
	}
	return bits;
}

/* read_commitment does the reading of how the lines stand to agreed volumes, whose word was checked before. */
static DsCommitment
read_commitment(Jsonb *options)
{
	char *word = text_option(options, "commitment");

	if (word == NULL || strcmp(word, "line") == 0)
		return DS_COMMITMENT_LINE;
	return strcmp(word, "fact") == 0 ? DS_COMMITMENT_FACT : DS_COMMITMENT_ORDER;
}

/* read_depth does the reading of how much is explained; only who explains has a depth. */
static bool
read_depth(const DsCall *call, Jsonb *options)
{
	char *word = text_option(options, "depth");

	if (word != NULL && !call->has_depth)
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_VALUE), errmsg("only explain_price has a depth"),
						errdetail("Field: options.depth."), errhint("Leave it out.")));
	return word != NULL && strcmp(word, "customer") == 0;
}

/* choose_company does the choice of the selling company: named, or the only active one. */
static const DsCompany *
choose_company(DsCall *call, const char *code)
{
	const DsCompany *only = NULL;
	int active = 0;
	int i;

	for (i = 0; i < call->shared->ncompanies; i++)
	{
		const DsCompany *c = &call->shared->companies[i];

		if (code != NULL ? strcmp(c->code, code) == 0 : c->active)
		{
			only = c;
			active++;
		}
	}
	if (code != NULL && only == NULL)
	{
		int64 id = ds_pricing_find(call, "company", code, "options.company");

		for (i = 0; i < call->shared->ncompanies; i++)
		{
			if (call->shared->companies[i].company_id == id)
				return &call->shared->companies[i];
		}
	}
	return code != NULL || active == 1 ? only : NULL;
}

/* choose_currency does the choice of the currency to price in: asked for, the buyer's, the company's; never a guess. */
static void
choose_currency(DsCall *call, const char *asked, const DsParty *customer, const DsCompany *company)
{
	DsRequest *q = &call->request;
	int i;

	q->currency = asked != NULL				   ? asked
				  : customer->currency != NULL ? customer->currency
				  : company != NULL			   ? company->currency
											   : NULL;
	for (i = 0; q->currency != NULL && i < call->shared->ncurrencies; i++)
	{
		if (strcmp(call->shared->currencies[i].currency, q->currency) == 0)
		{
			q->minor_units = call->shared->currencies[i].minor_units;
			return;
		}
	}
	ereport(
		ERROR,
		(errcode(DS_ERRCODE_WRONG_CURRENCY),
		 q->currency == NULL ? errmsg("no currency to price in")
							 : errmsg("currency \"%s\" is not known", ds_text_shown(q->currency)),
		 errdetail("Field: options.currency."),
		 errhint(
			 "Give options.currency or options.company, or set the currency of the customer.")));
}

/* read_options does the reading of the options into the request. */
static void
read_options(DsCall *call, Jsonb *options)
{
	DsRequest *q = &call->request;
	Jsonb *drafts = object_option(options, "drafts");

	q->source = text_option(options, "source");
	q->channel = text_option(options, "channel");
	q->document_key = text_option(options, "document_key");
	q->document_type = text_option(options, "document_type");
	if (q->document_type == NULL)
		q->document_type = "quote";
	q->dates[DS_DATE_ORDER] = q->at;
	q->dates[DS_DATE_REQUESTED_SHIP] = instant_option(options, "requested_ship", q->at);
	q->dates[DS_DATE_SHIP] = instant_option(options, "ship", q->at);
	q->dates[DS_DATE_INVOICE] = instant_option(options, "invoice", q->at);
	q->known_at = instant_option(options, "known_at", DT_NOEND);
	q->has_known_at = q->known_at != DT_NOEND;
	q->closure_at = Min(q->at, q->known_at);
	q->context = object_option(options, "context");
	q->tax_rates = object_option(options, "tax_rates");
	q->used = object_option(options, "used");
	q->commitment = read_commitment(options);
	q->for_customer = read_depth(call, options);
	q->without = read_without(options);
	call->alone |= q->has_known_at;
	if (drafts != NULL)
		call->overlay = ds_pricing_overlay_open(call, drafts);
}

/*
 * ds_pricing_request does the reading of everything but the lines, and opens
 * the call: from here on what is current is decided.
 */
void
ds_pricing_request(DsCall *call, const char *customer, TimestampTz at, Jsonb *options)
{
	DsRequest *q = &call->request;
	const DsParty *party;
	const DsCompany *company;
	char *code;
	int i;

	if (options != NULL && !JB_ROOT_IS_OBJECT(options))
		check_options(options);
	if (options != NULL && JB_ROOT_COUNT(options) == 0)
		options = NULL;
	if (options != NULL && !call->trusted)
		check_options(options);
	/* rooms that ask by number have asked for themselves */
	if (q->customer_id == 0 && ds_master_restricted())
		restrict_options(call, options);
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_VALUE),
						errmsg("a price needs an instant that exists"), errdetail("Field: at."),
						errhint("Give a finite instant, or leave it out to ask for this moment.")));
	q->at = at;
	ds_pricing_begin(call);
	read_options(call, options);
	call->stamp = ds_pricing_clock(call).stamp;
	call->wrote = call->clock.mine;
	call->shared = ds_pricing_shared(call);
	if (q->customer_id == 0)
	{
		if (customer == NULL)
			ereport(ERROR, (errcode(DS_ERRCODE_INVALID_DOCUMENT), errmsg("customer is missing"),
							errdetail("Field: customer. It is null."),
							errhint("Give it: nothing can be answered without it.")));
		party = named_party(call, customer, "customer");
	}
	else
		party = ds_pricing_party(call, q->customer_id);
	if (party == NULL)
		ereport(ERROR, (errcode(DS_ERRCODE_UNKNOWN_CODE),
						errmsg("party " INT64_FORMAT " does not exist", q->customer_id),
						errdetail("Field: customer.")));
	q->customer_id = party->party_id;
	code = text_option(options, "ship_to");
	q->ship_to_id = code == NULL ? 0 : named_party(call, code, "options.ship_to")->party_id;
	code = text_option(options, "job");
	q->job_id = code == NULL ? 0 : named_party(call, code, "options.job")->party_id;
	code = text_option(options, "site");
	q->site_id = code == NULL ? 0 : ds_pricing_find(call, "site", code, "options.site");
	company = choose_company(call, text_option(options, "company"));
	q->company_id = company != NULL ? company->company_id : 0;
	choose_currency(call, text_option(options, "currency"), party, company);
	for (i = 0; q->channel != NULL && i < call->shared->nchannels; i++)
	{
		if (strcmp(call->shared->channels[i].code, q->channel) == 0)
			q->channel_id = call->shared->channels[i].channel_id;
	}
	if (q->channel != NULL && q->channel_id == 0)
	{
		/* another system's name: agreements are assigned to ours */
		q->channel_id = ds_pricing_find(call, "channel", q->channel, "options.channel");
		for (i = 0; i < call->shared->nchannels; i++)
		{
			if (call->shared->channels[i].channel_id == q->channel_id)
				q->channel = call->shared->channels[i].code;
		}
	}
	call->buyer.customer = party;
}

/* ds_pricing_number does the reading of a number that may be a string; NULL = it is none. */
Numeric
ds_pricing_number(const JsonbValue *v)
{
	char *text;
	Size digits;

	if (v->type == jbvNumeric)
		return DatumGetNumericCopy(NumericGetDatum(v->val.numeric));
	text = ds_pricing_text_of(v);
	digits = text == NULL ? 0 : strspn(text, "0123456789.+-");
	if (text == NULL || digits == 0 || text[digits] != '\0' || digits > 40 ||
		strpbrk(text + 1, "+-") != NULL || strchr(text, '.') != strrchr(text, '.') ||
		strpbrk(text, "0123456789") == NULL)
		return NULL;
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}
