/*-------------------------------------------------------------------------
 *
 * document.c
 *		Check of one document: a walk over its keys and the declared fields,
 *		both in the order of jsonb keys, so that each is looked at once.
 *
 * Process: any backend. Locks: none. Memory: the caller's context, which is
 * reset by the end of the call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "door/document.h"

#define INVALID_DOCUMENT "SD005"
#define MAX_TEXT (256 * 1024)

static bool check_object(DsDoorDocument *doc, JsonbContainer *object, const DsDoorFields *spec,
						 const DsDoorFrame *frame);

/* path_of does the writing of a path such as lines[2].quantity. */
static char *
path_of(const DsDoorFrame *frame, const char *name, int len)
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (frame != NULL)
	{
		appendStringInfoString(&buf, path_of(frame->up, frame->name, frame->len));
		if (frame->index >= 0)
			appendStringInfo(&buf, "[%d]", frame->index);
		if (len > 0 && buf.len > 0)
			appendStringInfoChar(&buf, '.');
	}
	appendBinaryStringInfo(&buf, name, len);
	return buf.data;
}

/* fault_at does the noting of the field of a fault that was just found. */
static bool
fault_at(DsDoorDocument *doc, const DsDoorFrame *frame, const char *name, int len)
{
	doc->field = path_of(frame, name, len);
	return false;
}

/* ds_door_text does the text of a scalar, as ->> gives it; NULL for null. */
char *
ds_door_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

/* allowed tells whether a value is among the choices of its field. */
static bool
allowed(const char *choices, const char *s, int len)
{
	for (const char *c = choices;;)
	{
		const char *end = strchr(c, '\x1f');
		int clen = end ? end - c : strlen(c);

		if (clen == len && memcmp(c, s, len) == 0)
			return true;
		if (end == NULL)
			return false;
		c = end + 1;
	}
}

static bool
check_choice(const DsDoorField *field, const char *s, int len, DsDoorFault *fault)
{
	char *list;

	if (field->choices == NULL || allowed(field->choices, s, len))
		return true;
	list = pstrdup(field->choices);
	for (char *c = list; *c; c++)
		if (*c == '\x1f')
			*c = '|';
	return ds_door_fault(fault, "SD002", psprintf("Send one of %s.", list), "\"%s\" is not allowed",
						 ds_door_shown(s, len));
}

static bool
check_currency(const DsDoorDocument *doc, const char *s, int len, DsDoorFault *fault)
{
	if (len == 3)
		for (const char *c = doc->currencies; strnlen(c, 3) == 3; c += 3)
			if (memcmp(c, s, 3) == 0)
				return true;
	return ds_door_fault(
		fault, "SD003",
		"Send the ISO 4217 code of a currency that is in use here, or send that currency first.",
		"unknown currency \"%s\"", ds_door_shown(s, len));
}

/* check_text does the check of a JSON string by the type of its field. */
static bool
check_text(DsDoorDocument *doc, const JsonbValue *value, const DsDoorField *field)
{
	const char *s = value->val.string.val;
	int len = value->val.string.len;
	DsDoorInstant instant;

	switch (field->type)
	{
		case DS_DOOR_TEXT:
			if (len > MAX_TEXT)
				return ds_door_fault(&doc->fault, "SD006",
									 "Send it in parts, or a reference to it.",
									 "text of %d bytes is too long", len);
			break;
		case DS_DOOR_NAME:
			if (!ds_door_check_name(s, len, field, &doc->fault))
				return false;
			break;
		case DS_DOOR_CODE:
		case DS_DOOR_UNIT:
			if (!ds_door_check_code(s, len, field, &doc->fault))
				return false;
			break;
		case DS_DOOR_CURRENCY:
			if (!check_currency(doc, s, len, &doc->fault))
				return false;
			break;
		case DS_DOOR_DATE:
			return ds_door_check_date(s, len, field, &doc->fault);
		case DS_DOOR_UUID:
			return ds_door_check_uuid(s, len, field, &doc->fault);
		case DS_DOOR_TIMEZONE:
			return ds_door_check_timezone(s, len, field, &doc->fault);
		case DS_DOOR_INSTANT:
		case DS_DOOR_INSTANT_OR_DATE:
			if (!ds_door_check_instant(s, len, field, doc->zone, &instant, &doc->fault))
				return false;
			if (!instant.zoned && !(instant.date_only && field->type == DS_DOOR_INSTANT_OR_DATE))
				doc->rewrite = true;
			return true;
		case DS_DOOR_BOOLEAN:
			return ds_door_fault(&doc->fault, INVALID_DOCUMENT,
								 "Send true or false, without quotes.",
								 "\"%s\" is not true or false", ds_door_shown(s, len));
		default:
			if (!ds_door_check_number(s, len, field, &doc->fault))
				return false;
	}
	return check_choice(field, s, len, &doc->fault);
}

/* check_list does the check of a list: of objects where their fields are declared, of text otherwise. */
static bool
check_list(DsDoorDocument *doc, JsonbContainer *list, const DsDoorField *field,
		   const DsDoorFrame *frame)
{
	JsonbIterator *it = JsonbIteratorInit(list);
	JsonbIteratorToken token;
	JsonbValue v;
	DsDoorFrame inner = {frame, field->name, field->len, 0};

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (field->inner != NULL)
		{
			if (v.type != jbvBinary || !JsonContainerIsObject(v.val.binary.data))
			{
				ds_door_fault(&doc->fault, INVALID_DOCUMENT, "Send a list of objects.",
							  "element is not an object");
				return fault_at(doc, &inner, "", 0);
			}
			if (!check_object(doc, v.val.binary.data, field->inner, &inner))
				return false;
		}
		else if (v.type != jbvString || v.val.string.len == 0 ||
				 !check_choice(field, v.val.string.val, v.val.string.len, &doc->fault))
		{
			if (doc->fault.sqlstate == NULL)
				ds_door_fault(&doc->fault, INVALID_DOCUMENT, "Send a list of texts.",
							  "element is not a text");
			return fault_at(doc, &inner, "", 0);
		}
		inner.index++;
	}
	return true;
}

/* check_container does the check of an object or list as the value of a field. */
static bool
check_container(DsDoorDocument *doc, JsonbContainer *container, const DsDoorField *field,
				const DsDoorFrame *frame)
{
	DsDoorFrame inner = {frame, field->name, field->len, -1};
	bool list = JsonContainerIsArray(container);

	if (field->type == DS_DOOR_LIST && list)
		return check_list(doc, container, field, frame);
	if (field->type == DS_DOOR_JSON && !(field->reserved && list))
	{
		if (field->inner == NULL)
			return true;
		if (!list)
			return check_object(doc, container, field->inner, &inner);
	}
	ds_door_fault(&doc->fault, INVALID_DOCUMENT,
				  field->type == DS_DOOR_LIST	? "Send a list."
				  : field->type == DS_DOOR_JSON ? "Send an object."
												: "Send a single value.",
				  "field has %s", list ? "a list" : "an object");
	return fault_at(doc, frame, field->name, field->len);
}

/* capture does the keeping of what the door itself needs of a document: key, version, instant, company. */
static bool
capture(DsDoorDocument *doc, const JsonbValue *value, const DsDoorField *field)
{
	DsDoorInstant instant;
	DsDoorFault ignored;

	if (field->key_index >= 0)
		doc->key_part[field->key_index] = ds_door_text(value);
	if (field->len == 7 && memcmp(field->name, "version", 7) == 0 && field->type == DS_DOOR_NUMBER)
		doc->version = value->type == jbvNumeric
						   ? value->val.numeric
						   : DatumGetNumeric(DirectFunctionCall3(
								 numeric_in, CStringGetDatum(ds_door_text(value)),
								 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	else if (field->len == 10 && memcmp(field->name, "updated_at", 10) == 0 &&
			 value->type == jbvString)
	{
		doc->told = ds_door_check_instant(value->val.string.val, value->val.string.len, field,
										  doc->zone, &instant, &ignored);
		doc->told_at = instant.at;
	}
	else if (field->len == 7 && memcmp(field->name, "company", 7) == 0 && value->type == jbvString)
		doc->company = ds_door_text(value);
	else if (field->len == 6 && memcmp(field->name, "schema", 6) == 0 && field->reserved)
	{
		char *expected = psprintf("%s/1", doc->entity);

		doc->rewrite = true;
		if (strcmp(ds_door_text(value), expected) != 0)
			return ds_door_fault(&doc->fault, INVALID_DOCUMENT,
								 psprintf("This server takes %s here: call the door with the right "
										  "entity, or send that version.",
										  expected),
								 "document says it is \"%s\"",
								 ds_door_shown(value->val.string.val, value->val.string.len));
	}
	return true;
}

/* check_field does the check of one value against its field. */
static bool
check_field(DsDoorDocument *doc, const JsonbValue *value, const DsDoorField *field,
			const DsDoorFrame *frame)
{
	bool fine = true;

	if (value->type == jbvBinary)
		return check_container(doc, value->val.binary.data, field, frame);
	if (value->type == jbvNull)
	{
		if (field->fixed || field->key_index >= 0)
			fine =
				ds_door_fault(&doc->fault, INVALID_DOCUMENT,
							  "Send a value; null clears a field, and this one can't be cleared.",
							  "field can't be null");
	}
	else if (field->type == DS_DOOR_LIST ||
			 (field->type == DS_DOOR_JSON && (field->inner != NULL || field->reserved)))
		fine = ds_door_fault(&doc->fault, INVALID_DOCUMENT,
							 field->type == DS_DOOR_LIST ? "Send a list." : "Send an object.",
							 "field has a single value");
	else if (field->type == DS_DOOR_JSON)
		return true;
	else if (value->type == jbvString)
		fine = check_text(doc, value, field);
	else if (value->type == jbvNumeric && field->type >= DS_DOOR_INTEGER &&
			 field->type <= DS_DOOR_FACTOR)
	{
		char *s = ds_door_text(value);

		fine = ds_door_check_number(s, strlen(s), field, &doc->fault) &&
			   check_choice(field, s, strlen(s), &doc->fault);
	}
	else if (value->type != jbvBool || field->type != DS_DOOR_BOOLEAN)
		fine =
			ds_door_fault(&doc->fault, INVALID_DOCUMENT,
						  value->type == jbvNumeric
							  ? "Send it as text, in quotes: digits of a code may begin with 0."
							  : "Send a value of the right kind.",
						  "field has a %s", value->type == jbvNumeric ? "number" : "truth value");
	if (fine && frame == NULL && value->type != jbvNull)
		fine = capture(doc, value, field);
	return fine || fault_at(doc, frame, field->name, field->len);
}

/* missing does the complaint about a field that must be there. */
static bool
missing(DsDoorDocument *doc, const DsDoorField *field, const DsDoorFrame *frame)
{
	ds_door_fault(&doc->fault, INVALID_DOCUMENT,
				  "Send the field; contracts/ says what each document must have.",
				  "field \"%.*s\" is missing", field->len, field->name);
	return fault_at(doc, frame, field->name, field->len);
}

/*
 * wanted tells whether the absence of a field is an error here: a deactivation
 * needs nothing but the key.
 */
static bool
wanted(const DsDoorDocument *doc, const DsDoorField *field, const DsDoorFrame *frame)
{
	return field->key_index >= 0 ? field->required
								 : field->required && !(doc->keys_only && frame == NULL);
}

/*
 * check_object does the walk over an object and its declared fields: both are
 * sorted the same way, so one pass finds what is unknown and what is missing.
 */
static bool
check_object(DsDoorDocument *doc, JsonbContainer *object, const DsDoorFields *spec,
			 const DsDoorFrame *frame)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue key;
	JsonbValue value;
	int f = 0;

	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		int order = 1;

		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&it, &value, true);
		for (; f < spec->n; f++)
		{
			order = ds_door_compare(spec->field[f].name, spec->field[f].len, key.val.string.val,
									key.val.string.len);
			if (order >= 0)
				break;
			if (wanted(doc, &spec->field[f], frame))
				return missing(doc, &spec->field[f], frame);
		}
		if (f == spec->n || order > 0)
			doc->rewrite = true;
		else
		{
			if (!check_field(doc, &value, &spec->field[f], frame))
				return false;
			f++;
		}
	}
	for (; f < spec->n; f++)
		if (wanted(doc, &spec->field[f], frame))
			return missing(doc, &spec->field[f], frame);
	return true;
}

/*
 * ds_door_check_document does the check of one document; false = doc->fault
 * and doc->field say what is wrong with it.
 */
bool
ds_door_check_document(DsDoorDocument *doc, JsonbValue *value)
{
	memset(&doc->fault, 0, sizeof(doc->fault));
	doc->field = NULL;
	doc->rewrite = false;
	memset(doc->key_part, 0, doc->key_parts * sizeof(char *));
	doc->version = NULL;
	doc->told = false;
	doc->company = NULL;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
	{
		ds_door_fault(&doc->fault, INVALID_DOCUMENT,
					  "Send an object with the fields of the document.",
					  "document is not an object");
		doc->field = pstrdup("document");
		return false;
	}
	return check_object(doc, value->val.binary.data, doc->spec, NULL);
}

/*
 * ds_door_key does the key of a checked document: its parts joined with a
 * slash. A slash inside any but the last part is escaped, so that two keys
 * never read the same.
 */
char *
ds_door_key(const DsDoorDocument *doc)
{
	StringInfoData buf;

	if (doc->key_parts == 0)
		return NULL;
	if (doc->key_parts == 1)
		return doc->key_part[0];
	initStringInfo(&buf);
	for (int i = 0; i < doc->key_parts; i++)
	{
		const char *part = doc->key_part[i] ? doc->key_part[i] : "";

		if (i > 0)
			appendStringInfoChar(&buf, '/');
		for (; *part; part++)
		{
			if (i < doc->key_parts - 1 && (*part == '/' || *part == '%'))
				appendStringInfoString(&buf, *part == '/' ? "%2F" : "%25");
			else
				appendStringInfoChar(&buf, *part);
		}
	}
	return buf.data;
}
