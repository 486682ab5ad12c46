/*-------------------------------------------------------------------------
 *
 * submit_ask.c
 *		Reading what submit_order() is asked: the members of the document.
 *
 * Only what is plainly right is read here: a member that is not known, a value
 * of another type, a number that is written in another way is left to the
 * whole path, which knows how to take it or to say what is wrong.
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "order/submit.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/uuid.h"
#include "base/compat.h"
#include "inventory/said.h"

#define MAX_CODE 255

/* shape of a UUID as most write it */
#define UUID_TEXT "00000000-0000-0000-0000-000000000000"

/* ds_order_text does the reading of a text; null is NULL. What is too long for a code, or empty, is for the whole path. */
bool
ds_order_text(const JsonbValue *value, char **text)
{
	*text = NULL;
	if (value->type == jbvNull)
		return true;
	if (value->type != jbvString || value->val.string.len < 1 || value->val.string.len > MAX_CODE)
		return false;
	*text = pnstrdup(value->val.string.val, value->val.string.len);
	return true;
}

/* ds_order_instant does the reading of an instant as most write it; null is none. */
bool
ds_order_instant(const JsonbValue *value, TimestampTz *instant)
{
	char *said;

	*instant = DT_NOEND;
	return ds_order_text(value, &said) &&
		   (said == NULL || ds_inventory_read_instant(said, instant));
}

/* read_number does the reading of the order's number. */
static bool
read_number(DsOrder *o, const JsonbValue *value)
{
	return ds_order_text(value, &o->order_number) &&
		   (o->order_number == NULL || strchr(o->order_number, '/') == NULL);
}

/* read_po does the reading of the customer's number: what is long, or nothing but blanks, is for the whole path. */
static bool
read_po(DsOrder *o, const JsonbValue *value)
{
	return ds_order_text(value, &o->customer_po) &&
		   (o->customer_po == NULL ||
			(strlen(o->customer_po) <= MAX_CODE && isgraph((unsigned char) o->customer_po[0])));
}

/* read_correlation does the reading of the cause. */
static bool
read_correlation(DsOrder *o, const JsonbValue *value)
{
	char *said;

	if (!ds_order_text(value, &said))
		return false;
	if (said == NULL)
		return true;
	if (strlen(said) != sizeof(UUID_TEXT) - 1)
		return false;
	for (int i = 0; said[i] != '\0'; i++)
		if (UUID_TEXT[i] == '-' ? said[i] != '-' : !isxdigit((unsigned char) said[i]))
			return false;
	o->correlation = DirectFunctionCall1(uuid_in, CStringGetDatum(said));
	return true;
}

/* read_policy does the reading of the policy, an object. */
static bool
read_policy(DsOrder *o, const JsonbValue *value)
{
	if (value->type == jbvNull)
		return true;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return false;
	o->said_policy = JsonbValueToJsonb(unconstify(JsonbValue *, value));
	return true;
}

/* read_lines does the noting of the lines, an array. */
static bool
read_lines(DsOrder *o, const JsonbValue *value)
{
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		return false;
	o->said_lines = JsonbValueToJsonb(unconstify(JsonbValue *, value));
	return true;
}

/* read_schema does the look whether the document is one that we know. */
static bool
read_schema(const JsonbValue *value)
{
	char *said;

	return ds_order_text(value, &said) && (said == NULL || strcmp(said, "order/1") == 0);
}

/* read_member does the reading of one member of the document. What a command may say within bounds only (the payer) is for the whole path. */
static bool
read_member(void *into, const char *name, const JsonbValue *value)
{
	DsOrder *o = into;
	struct
	{
		const char *name;
		char **target;
	} texts[] = {{"company", &o->said_company}, {"customer", &o->said_customer},
				 {"ship_to", &o->said_ship_to}, {"job", &o->said_job},
				 {"channel", &o->said_channel}, {"currency", &o->said_currency}};

	for (int i = 0; i < lengthof(texts); i++)
		if (strcmp(name, texts[i].name) == 0)
			return ds_order_text(value, texts[i].target);
	if (strcmp(name, "customer_po") == 0)
		return read_po(o, value);
	if (strcmp(name, "source") == 0)
		return ds_order_text(value, &o->source);
	if (strcmp(name, "lines") == 0)
		return read_lines(o, value);
	if (strcmp(name, "policy") == 0)
		return read_policy(o, value);
	if (strcmp(name, "schema") == 0)
		return read_schema(value);
	if (strcmp(name, "ordered_at") == 0)
		return ds_order_instant(value, &o->ordered_at);
	if (strcmp(name, "order_number") == 0)
		return read_number(o, value);
	if (strcmp(name, "requested_at") == 0)
		return ds_order_instant(value, &o->requested_at);
	if (strcmp(name, "correlation_id") == 0)
		return read_correlation(o, value);
	return false;
}

/* ds_order_read does the reading of a document. */
bool
ds_order_read(DsOrder *o)
{
	o->ordered_at = o->requested_at = DT_NOEND;
	return JB_ROOT_IS_OBJECT(o->document) &&
		   ds_inventory_said_members(&o->document->root, read_member, o) &&
		   o->said_company != NULL && o->said_customer != NULL && o->said_lines != NULL;
}
