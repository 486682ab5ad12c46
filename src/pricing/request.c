/*-------------------------------------------------------------------------
 *
 * request.c
 *		What is asked: codes, options and lines, checked; the first thing wrong
 *		is an error that names its field, never a silent fallback.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * call's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/text.h"

/* the options that were found right last, so that an application that always sends the same ones is checked once */
#define KEEP_OPTIONS 1024

/* from so many lines on a customer's own rates are kept by the page */
#define MANY_LINES 8
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
	OidFunctionCall1(ds_pricing_function("pricing_options", &argument, 1), JsonbPGetDatum(options));
	if (size <= KEEP_OPTIONS)
	{
		memcpy(checked_options, options, size);
		checked_size = size;
	}
}

/* text_of does the copying of a string or number. */
static char *
text_of(const JsonbValue *v)
{
	if (v == NULL || v->type == jbvNull)
		return NULL;
	if (v->type == jbvString)
		return pnstrdup(v->val.string.val, v->val.string.len);
	if (v->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
	return NULL;
}

/* member does the look-up of a member; NULL = absent or null. */
static JsonbValue *
member(JsonbContainer *object, const char *key, JsonbValue *buffer)
{
	JsonbValue *v = getKeyJsonValueFromContainer(object, key, (int) strlen(key), buffer);

	return v == NULL || v->type == jbvNull ? NULL : v;
}

/* text_option does the reading of a text option. */
static char *
text_option(Jsonb *options, const char *key)
{
	JsonbValue buffer;

	return options == NULL ? NULL : text_of(member(&options->root, key, &buffer));
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
	JsonbValue *v = options == NULL ? NULL : member(&options->root, key, &buffer);

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
		party = ds_pricing_party_of(call, customer, "customer");
	}
	else
		party = ds_pricing_party(call, q->customer_id);
	if (party == NULL)
		ereport(ERROR, (errcode(DS_ERRCODE_UNKNOWN_CODE),
						errmsg("party " INT64_FORMAT " does not exist", q->customer_id),
						errdetail("Field: customer.")));
	q->customer_id = party->party_id;
	code = text_option(options, "ship_to");
	q->ship_to_id = code == NULL ? 0 : ds_pricing_party_of(call, code, "options.ship_to")->party_id;
	code = text_option(options, "job");
	q->job_id = code == NULL ? 0 : ds_pricing_party_of(call, code, "options.job")->party_id;
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

/* wrong_unit does the error for a unit that an item does not have. */
static void
wrong_unit(const DsItem *item, const char *unit, const char *field)
{
	StringInfoData known;
	int i;

	initStringInfo(&known);
	appendStringInfoString(&known, item->base_unit);
	for (i = 0; i < item->nunits; i++)
		appendStringInfo(&known, ", %s", item->units[i].unit);
	ereport(
		ERROR,
		(errcode(DS_ERRCODE_WRONG_UNIT),
		 errmsg("item \"%s\" has no unit \"%s\"", item->sku, ds_text_shown(unit)),
		 errdetail("Field: %s. Known: %s.", field, known.data),
		 errhint(
			 "Use one of the known units, or send the item with this unit and its factor first.")));
}

/* wrong_quantity does the error for a quantity that cannot be priced. */
static void
wrong_quantity(const char *said, const char *field)
{
	ereport(ERROR,
			(errcode(DS_ERRCODE_INVALID_VALUE),
			 errmsg("quantity \"%s\" cannot be priced", ds_text_shown(said)),
			 errdetail("Field: %s.", field),
			 errhint("Give a number other than 0 with at most 14 digits before and 6 after the "
					 "point; a negative one is a return.")));
}

/* set_quantity does the check of a quantity; a negative one is a return. */
static void
set_quantity(DsLine *line, Datum quantity, const char *field)
{
	DsDecimal d;

	if (!ds_decimal_read(DatumGetNumeric(quantity), &d) || d.mantissa == 0 || d.scale > 6)
		wrong_quantity(DatumGetCString(DirectFunctionCall1(numeric_out, quantity)), field);
	line->is_return = d.mantissa < 0;
	if (line->is_return)
		d.mantissa = -d.mantissa;
	line->quantity = quantity;
	line->amount = ds_ratio_decimal(d);
	if (ds_ratio_compare(line->amount, ds_ratio_of(INT64CONST(100000000000000))) >= 0)
		wrong_quantity(DatumGetCString(DirectFunctionCall1(numeric_out, quantity)), field);
}

/* set_item does the resolving of item and unit. */
static void
set_item(DsCall *call, DsLine *line, const DsItem *item, const char *unit, const char *field)
{
	int i;

	line->item = item;
	ds_pricing_usable(call, line);
	line->unit = unit != NULL ? unit : line->item->base_unit;
	line->num = line->den = 1;
	line->item_unit = NULL;
	for (i = 0; i < line->item->nunits; i++)
	{
		const DsItemUnit *u = &line->item->units[i];

		if (strcmp(u->unit, line->unit) == 0)
		{
			line->item_unit = u;
			line->num = u->num;
			line->den = u->den;
		}
	}
	if (line->item_unit == NULL && strcmp(line->unit, line->item->base_unit) != 0)
		wrong_unit(line->item, line->unit, field);
	line->base_quantity = ds_ratio_multiply(line->amount, ds_ratio_fraction(line->num, line->den));
}

/* set_weight does the choice of a line's weight: as found, or the item's. */
static void
set_weight(DsLine *line, const DsDecimal *found)
{
	if (found != NULL)
		line->weight = ds_ratio_decimal(*found);
	else if (line->item->has_weight)
		line->weight = ds_ratio_multiply(
			ds_ratio_decimal(ds_small_get(line->item->weight, line->item->weight_scale)),
			line->base_quantity);
	line->has_weight = found != NULL || line->item->has_weight;
	line->own_weight = found != NULL;
}

/* ds_pricing_line_one does the reading of the arguments of price(): one line. */
void
ds_pricing_line_one(DsCall *call, const char *item, Datum quantity, const char *unit)
{
	DsLine *line = palloc0(sizeof(DsLine));

	if (item == NULL)
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_DOCUMENT), errmsg("item is missing"),
						errdetail("Field: item. It is null."),
						errhint("Give it: nothing can be answered without it.")));
	call->request.lines = line;
	call->request.nlines = 1;
	line->ordinal = 1;
	line->site_id = call->request.site_id;
	set_quantity(line, quantity, "quantity");
	set_item(call, line, ds_pricing_item_of(call, item, "item"), unit, "unit");
	set_weight(line, NULL);
}

/* ds_pricing_line_unit does the line for one base unit of an item. */
void
ds_pricing_line_unit(DsCall *call, DsLine *line, const DsItem *item)
{
	memset(line, 0, sizeof(DsLine));
	line->ordinal = 1;
	line->site_id = call->request.site_id;
	line->amount = ds_ratio_of(1);
	set_item(call, line, item, NULL, "unit");
	set_weight(line, NULL);
}

/* ds_pricing_number does the reading of a number that may be a string; NULL = it is none. */
Numeric
ds_pricing_number(const JsonbValue *v)
{
	char *text;
	Size digits;

	if (v->type == jbvNumeric)
		return DatumGetNumericCopy(NumericGetDatum(v->val.numeric));
	text = text_of(v);
	digits = text == NULL ? 0 : strspn(text, "0123456789.+-");
	if (text == NULL || digits == 0 || text[digits] != '\0' || digits > 40 ||
		strpbrk(text + 1, "+-") != NULL || strchr(text, '.') != strrchr(text, '.') ||
		strpbrk(text, "0123456789") == NULL)
		return NULL;
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* number_member does the reading of a number of a line; not found = absent. */
static Datum
number_member(JsonbContainer *object, const char *key, const char *field, bool *found)
{
	JsonbValue buffer;
	JsonbValue *v = member(object, key, &buffer);
	Numeric number;

	*found = v != NULL;
	if (v == NULL)
		return (Datum) 0;
	number = ds_pricing_number(v);
	if (number == NULL)
		wrong_quantity(text_of(v) != NULL ? text_of(v) : key, field);
	return NumericGetDatum(number);
}

/* item_of_id does the look-up of an item by its id, for other rooms; a number that is none names no item. */
static const DsItem *
item_of_id(DsCall *call, Datum number, const char *field)
{
	const DsItem *item = NULL;
	DsDecimal d;

	if (ds_decimal_read(DatumGetNumeric(number), &d) && d.scale == 0 && d.mantissa > 0 &&
		d.mantissa <= PG_INT64_MAX)
		item = ds_pricing_item(call, (int64) d.mantissa);
	if (item == NULL)
		ereport(ERROR,
				(errcode(DS_ERRCODE_UNKNOWN_CODE),
				 errmsg("item %s does not exist",
						ds_text_shown(DatumGetCString(DirectFunctionCall1(numeric_out, number)))),
				 errdetail("Field: %s.", field), errhint("Give its code as item.")));
	return item;
}

/* read_line does the reading of one line of prices(). */
static void
read_line(DsCall *call, JsonbContainer *object, int index, DsLine *line)
{
	JsonbValue buffer;
	char field[64];
	char *text;
	Datum number;
	bool found;
	const DsItem *item;

	line->ordinal = index + 1;
	snprintf(field, sizeof(field), "lines[%d].quantity", index);
	number = number_member(object, "quantity", field, &found);
	set_quantity(line, found ? number : NumericGetDatum(int64_to_numeric(1)), field);
	snprintf(field, sizeof(field), "lines[%d].item_id", index);
	number = number_member(object, "item_id", field, &found);
	if (found)
		item = item_of_id(call, number, field);
	else
	{
		snprintf(field, sizeof(field), "lines[%d].item", index);
		text = text_of(member(object, "item", &buffer));
		if (text == NULL)
			ereport(ERROR,
					(errcode(DS_ERRCODE_INVALID_DOCUMENT), errmsg("%s is missing", field),
					 errdetail("Field: %s.", field),
					 errhint("Send [{\"item\": \"SKU\", \"quantity\": 1, \"unit\": \"EA\"}].")));
		item = ds_pricing_item_of(call, text, field);
	}
	snprintf(field, sizeof(field), "lines[%d].unit", index);
	set_item(call, line, item, text_of(member(object, "unit", &buffer)), field);
	snprintf(field, sizeof(field), "lines[%d].site", index);
	text = text_of(member(object, "site", &buffer));
	line->site_id =
		text == NULL ? call->request.site_id : ds_pricing_find(call, "site", text, field);
	snprintf(field, sizeof(field), "lines[%d].weight", index);
	number = number_member(object, "weight", field, &found);
	if (found)
	{
		DsDecimal weight;

		if (!ds_decimal_read(DatumGetNumeric(number), &weight) || weight.mantissa < 0)
			wrong_quantity(DatumGetCString(DirectFunctionCall1(numeric_out, number)), field);
		set_weight(line, &weight);
	}
	else
		set_weight(line, NULL);
}

/* ds_pricing_lines does the reading of the lines of prices(). */
void
ds_pricing_lines(DsCall *call, Jsonb *lines)
{
	DsRequest *q = &call->request;
	int n = lines != NULL && JB_ROOT_IS_ARRAY(lines) && !JB_ROOT_IS_SCALAR(lines)
				? (int) JB_ROOT_COUNT(lines)
				: 0;
	int i;

	if (n == 0)
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_DOCUMENT),
						errmsg("lines must be an array with at least one object"),
						errdetail("Field: lines."),
						errhint("Send [{\"item\": \"SKU\", \"quantity\": 1, \"unit\": \"EA\"}].")));
	q->lines = MemoryContextAllocExtended(CurrentMemoryContext, sizeof(DsLine) * n,
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	q->nlines = n;
	call->many = n >= MANY_LINES;
	{
		JsonbIterator *it = JsonbIteratorInit(&lines->root);
		JsonbValue v;

		JsonbIteratorNext(&it, &v, true);
		for (i = 0; i < n; i++)
		{
			JsonbIteratorNext(&it, &v, true);
			if (v.type != jbvBinary || !JsonContainerIsObject(v.val.binary.data))
				ereport(
					ERROR,
					(errcode(DS_ERRCODE_INVALID_DOCUMENT), errmsg("lines[%d] is no object", i),
					 errdetail("Field: lines[%d].", i),
					 errhint("Send [{\"item\": \"SKU\", \"quantity\": 1, \"unit\": \"EA\"}].")));
			read_line(call, v.val.binary.data, i, &q->lines[i]);
		}
	}
}
