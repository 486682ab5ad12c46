/*-------------------------------------------------------------------------
 *
 * submit_find.c
 *		Everybody an order names, by our codes, what carries it, and the
 *		policies that decide it.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "order/submit.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "base/compat.h"
#include "base/number.h"
#include "base/verb.h"

/* what holds where neither customer nor document say anything, as order_policy() has it */
#define USUAL_POLICY                                                                               \
	"{\"shortage\":\"backorder\",\"price_mismatch\":\"change\",\"price_tolerance\":0,"             \
	"\"held_stock\":\"keep\",\"duplicate_po\":\"warn\",\"on_hold\":\"hold\","                      \
	"\"no_price\":\"reject\",\"all_or_none\":false,\"split\":true,\"priority\":100}"

enum
{
	P_ID,
	P_CODE,
	P_NAME,
	P_ADDRESS,
	P_PAYER,
	P_POLICY,
	P_STATUS
};

static DsTable party_code_table = {
	.name = "party",
	.index = "party_code_uq",
	.keys = {"code"},
	.columns = {"party_id", "code", "name", "address", "payer_id", "order_policy", "status"},
};

static DsTable party_table = {
	.name = "party",
	.index = "party_pk",
	.keys = {"party_id"},
	.columns = {"party_id", "code", "name", "address"},
};

static DsTable company_table = {
	.name = "company",
	.index = "company_code_uq",
	.keys = {"code"},
	.columns = {"company_id"},
};

static DsTable channel_table = {
	.name = "channel",
	.index = "channel_code_uq",
	.keys = {"code"},
	.columns = {"channel_id"},
};

enum
{
	A_CODE,
	A_CURRENCY
};

static DsTable account_table = {
	.name = "credit_account",
	.index = "credit_account_pk",
	.keys = {"account_id"},
	.columns = {"code", "currency"},
};

static DsTable number_table = {
	.name = "sales_order",
	.index = "sales_order_number_uq",
	.keys = {"company_id", "kind", "order_number"},
	.columns = {"order_id"},
};

/* ds_order_call does the call of a function in SQL with values none of which is NULL; its answer may be: 0. */
Datum
ds_order_call(const char *name, const Oid *types, const Datum *values, int n)
{
	LOCAL_FCINFO(fcinfo, 5);
	FmgrInfo flinfo;
	Datum answer;

	Assert(n <= 5);
	fmgr_info(ds_verb_behind(name, types, n), &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, n, InvalidOid, NULL, NULL);
	for (int i = 0; i < n; i++)
	{
		fcinfo->args[i].value = values[i];
		fcinfo->args[i].isnull = false;
	}
	answer = FunctionCallInvoke(fcinfo);
	return fcinfo->isnull ? (Datum) 0 : answer;
}

/* ds_order_find_code does the look-up of the id behind one of our codes. */
bool
ds_order_find_code(DsTable *table, const char *code, int64 *id)
{
	DsReader *reader = ds_reader_open(table);
	Datum key = CStringGetTextDatum(code);
	bool found = ds_reader_find(reader, &key);

	if (found)
		*id = DatumGetInt64(reader->values[0]);
	ds_reader_close(reader);
	return found;
}

/* take_party does the keeping of the party that a reader stands on. */
static void
take_party(const DsReader *reader, DsOrderParty *party)
{
	party->id = DatumGetInt64(reader->values[P_ID]);
	party->code = TextDatumGetCString(reader->values[P_CODE]);
	party->name = TextDatumGetCString(reader->values[P_NAME]);
	party->address = DatumGetJsonbPCopy(reader->values[P_ADDRESS]);
}

/* find_party does the look-up of a party that is named, if one is. */
static bool
find_party(const char *code, DsOrderParty *party)
{
	DsReader *reader;
	Datum key;
	bool found;

	if (code == NULL)
		return true;
	reader = ds_reader_open(&party_code_table);
	key = CStringGetTextDatum(code);
	found = ds_reader_find(reader, &key);
	if (found)
		take_party(reader, party);
	ds_reader_close(reader);
	return found;
}

/* find_payer does the party that pays: the customer's, else he himself. */
static bool
find_payer(DsOrder *o, int64 payer_id)
{
	DsReader *reader;
	Datum key = Int64GetDatum(payer_id);
	bool found;

	if (payer_id == 0)
	{
		o->payer = o->customer;
		return true;
	}
	reader = ds_reader_open(&party_table);
	found = ds_reader_find(reader, &key);
	if (found)
		take_party(reader, &o->payer);
	ds_reader_close(reader);
	return found;
}

/* lay_policy does the laying of the document's policy over the customer's over ours. */
static Jsonb *
lay_policy(Jsonb *customers, Jsonb *documents)
{
	static const Oid types[] = {JSONBOID, JSONBOID};
	static Jsonb *usual = NULL;
	Datum empty;
	Datum said[2];

	if (usual == NULL)
	{
		Datum made = DirectFunctionCall1(jsonb_in, CStringGetDatum(USUAL_POLICY));
		Jsonb *kept = MemoryContextAlloc(TopMemoryContext, VARSIZE(DatumGetPointer(made)));

		memcpy(kept, DatumGetPointer(made), VARSIZE(DatumGetPointer(made)));
		usual = kept;
	}
	if (documents == NULL && JB_ROOT_IS_OBJECT(customers) && JB_ROOT_COUNT(customers) == 0)
		return usual;
	empty = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
	said[0] = JsonbPGetDatum(customers);
	said[1] = documents == NULL ? empty : JsonbPGetDatum(documents);
	return DatumGetJsonbP(ds_order_call("order_policy", types, said, lengthof(types)));
}

/* policy_flag does the reading of a truth value of a policy. */
static bool
policy_flag(Jsonb *policy, const char *name, bool *flag)
{
	JsonbValue buffer;
	JsonbValue *v = getKeyJsonValueFromContainer(&policy->root, name, (int) strlen(name), &buffer);

	if (v == NULL || v->type != jbvBool)
		return false;
	*flag = v->val.boolean;
	return true;
}

/* policy_word does the reading of a text of a policy; NULL = it is none. */
static char *
policy_word(Jsonb *policy, const char *name)
{
	JsonbValue buffer;
	JsonbValue *v = getKeyJsonValueFromContainer(&policy->root, name, (int) strlen(name), &buffer);

	return v == NULL || v->type != jbvString ? NULL
											 : pnstrdup(v->val.string.val, v->val.string.len);
}

/* policy_priority does the reading of the priority, a whole number above 0. */
static bool
policy_priority(Jsonb *policy, int *priority)
{
	JsonbValue buffer;
	JsonbValue *v = getKeyJsonValueFromContainer(&policy->root, "priority", 8, &buffer);
	char *said;

	if (v == NULL || v->type != jbvNumeric)
		return false;
	said = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
	if (strspn(said, "0123456789") != strlen(said) || strlen(said) > 9)
		return false;
	*priority = (int) strtol(said, NULL, 10);
	return *priority > 0;
}

/*
 * within_bounds does the question whether the day of an order is one that may
 * be told without more ado: of the last day, as order_command() has it. Others
 * are refused, or cut, by the whole path.
 */
static bool
within_bounds(const DsOrder *o, Jsonb *policy)
{
	TimestampTz now = GetCurrentTimestamp();
	JsonbValue buffer;

	return o->ordered_at <= now && o->ordered_at > now - USECS_PER_DAY &&
		   getKeyJsonValueFromContainer(&policy->root, "backdate", 8, &buffer) == NULL;
}

/*
 * ds_order_read_policy does the reading of what the policies say. What may make
 * a refusal, or looks at more than this order, is for the whole path. What is
 * wrong with them is told after what is wrong with lines.
 */
bool
ds_order_read_policy(DsOrder *o)
{
	DsOrderPolicy *p = &o->policy;
	Jsonb *all = lay_policy(o->customers_policy, o->said_policy);
	char *on_hold = policy_word(all, "on_hold");
	char *duplicate_po = policy_word(all, "duplicate_po");
	char *within = policy_word(all, "answer_within");
	char *keeps = policy_word(all, "held_stock");
	JsonbValue buffer;

	p->all = all;
	if (!within_bounds(o, all) || !policy_flag(all, "all_or_none", &p->all_or_none) ||
		!policy_flag(all, "split", &p->split) || !policy_priority(all, &p->priority) ||
		on_hold == NULL || strcmp(on_hold, "hold") != 0 || duplicate_po == NULL ||
		(strcmp(duplicate_po, "refuse") == 0 && o->customer_po != NULL) ||
		getKeyJsonValueFromContainer(&all->root, "substitute", 10, &buffer) != NULL)
		return false;
	p->keeps_nothing = keeps != NULL && strcmp(keeps, "none") == 0;
	p->warns_of_po = strcmp(duplicate_po, "warn") == 0 && o->customer_po != NULL;
	if (within == NULL)
		return getKeyJsonValueFromContainer(&all->root, "answer_within", 13, &buffer) == NULL;
	p->answer_within = DatumGetIntervalP(DirectFunctionCall3(
		interval_in, CStringGetDatum(within), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	return true;
}

/* find_customer does the buyer and who pays. One who is blocked or no longer active is for the whole path. */
static bool
find_customer(DsOrder *o)
{
	DsReader *reader = ds_reader_open(&party_code_table);
	Datum key = CStringGetTextDatum(o->said_customer);
	bool good = ds_reader_find(reader, &key) && ds_reader_text_is(reader, P_STATUS, "active");
	Jsonb *customers = NULL;
	int64 payer_id = 0;

	if (good)
	{
		take_party(reader, &o->customer);
		customers = DatumGetJsonbPCopy(reader->values[P_POLICY]);
		payer_id = reader->nulls[P_PAYER] ? 0 : DatumGetInt64(reader->values[P_PAYER]);
	}
	ds_reader_close(reader);
	o->customers_policy = customers;
	return good && find_payer(o, payer_id);
}

/* find_account does the credit account that carries the order, if there is one. */
static bool
find_account(DsOrder *o)
{
	DsReader *reader;
	Datum id;

	if (!ds_credit_carrier(o->customer.id, o->company_id, o->job.id, &o->account_id))
		return false;
	if (o->account_id == 0)
		return true;
	id = Int64GetDatum(o->account_id);
	reader = ds_reader_open(&account_table);
	if (ds_reader_find(reader, &id))
	{
		o->account = TextDatumGetCString(reader->values[A_CODE]);
		o->account_currency = TextDatumGetCString(reader->values[A_CURRENCY]);
	}
	ds_reader_close(reader);
	return o->account != NULL;
}

/* find_number does the number of the order, one that is free. */
static bool
find_number(DsOrder *o)
{
	DsReader *reader;
	Datum keys[3];
	bool taken;

	o->order_id = ds_next_number("dist", "sales_order_order_id_seq");
	if (o->order_number == NULL)
		o->order_number = psprintf("D" INT64_FORMAT, o->order_id);
	o->key = psprintf("%s/%s", o->said_company, o->order_number);
	reader = ds_reader_open(&number_table);
	keys[0] = Int64GetDatum(o->company_id);
	keys[1] = CStringGetTextDatum("order");
	keys[2] = CStringGetTextDatum(o->order_number);
	ds_reader_seek(reader, keys, lengthof(keys));
	taken = ds_reader_next(reader);
	ds_reader_close(reader);
	return !taken;
}

/* ds_order_source does the system that a command comes from, or nobody's. One that gives no commands is an error. */
void
ds_order_source(DsOrder *o)
{
	static const Oid types[] = {JSONBOID, BOOLOID};

	if (o->source == NULL)
		o->source = pstrdup("distsync");
	if (strcmp(o->source, "distsync") != 0)
		OidFunctionCall2(ds_verb_behind("order_source", types, lengthof(types)),
						 JsonbPGetDatum(o->document), BoolGetDatum(false));
}

/* ds_order_find does the finding of everything that the document names but lines. */
bool
ds_order_find(DsOrder *o)
{
	if (!ds_order_find_code(&company_table, o->said_company, &o->company_id) || !find_customer(o) ||
		!find_party(o->said_ship_to, &o->ship_to) || !find_party(o->said_job, &o->job) ||
		(o->said_channel != NULL &&
		 !ds_order_find_code(&channel_table, o->said_channel, &o->channel_id)) ||
		!find_account(o) || !find_number(o))
		return false;
	if (o->ordered_at == DT_NOEND)
		o->ordered_at = GetCurrentStatementStartTimestamp();
	if (o->correlation == 0)
		o->correlation = ds_new_uuid();
	return true;
}
