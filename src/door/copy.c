/*-------------------------------------------------------------------------
 *
 * copy.c
 *		The copy of a checked document that its handler gets: unknown fields
 *		moved into ext, instants without a zone given the sender's, the tag
 *		"schema" taken off. A document that needs none of it is copied whole.
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "door/document.h"

static void copy_object(const DsDoorDocument *doc, JsonbContainer *object, const DsDoorFields *spec,
						bool top, JsonbParseState **state);

void
ds_door_push_text(JsonbParseState **state, JsonbIteratorToken token, const char *s)
{
	JsonbValue v;

	v.type = jbvString;
	v.val.string.val = unconstify(char *, s);
	v.val.string.len = strlen(s);
	pushJsonbValue(state, token, &v);
}

/* push_instant does the copy of an instant; one without a zone gets the offset that the sender's zone had then. */
static void
push_instant(const DsDoorDocument *doc, const DsDoorField *field, JsonbValue *value,
			 JsonbParseState **state)
{
	DsDoorInstant instant;
	DsDoorFault ignored;
	int east;
	char *text;

	if (value->type != jbvString ||
		!ds_door_check_instant(value->val.string.val, value->val.string.len, field, doc->zone,
							   &instant, &ignored) ||
		instant.zoned || (instant.date_only && field->type == DS_DOOR_INSTANT_OR_DATE))
	{
		pushJsonbValue(state, WJB_VALUE, value);
		return;
	}
	east = -instant.offset;
	text = psprintf("%.*s%s%c%02d:%02d", value->val.string.len, value->val.string.val,
					instant.date_only ? "T00:00:00" : "", east < 0 ? '-' : '+', abs(east) / 3600,
					abs(east) / 60 % 60);
	/* before standard time, zones were off by seconds */
	if (east % 60 != 0)
		text = psprintf("%s:%02d", text, abs(east) % 60);
	ds_door_push_text(state, WJB_VALUE, text);
}

/* copy_list does the copy of a list of objects whose fields are declared. */
static void
copy_list(const DsDoorDocument *doc, JsonbContainer *list, const DsDoorFields *spec,
		  JsonbParseState **state)
{
	JsonbIterator *it = JsonbIteratorInit(list);
	JsonbIteratorToken token;
	JsonbValue v;

	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			copy_object(doc, v.val.binary.data, spec, false, state);
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* copy_value does the copy of the value of a declared field. */
static void
copy_value(const DsDoorDocument *doc, const DsDoorField *field, JsonbValue *value,
		   JsonbParseState **state)
{
	if (field->type == DS_DOOR_INSTANT || field->type == DS_DOOR_INSTANT_OR_DATE)
		push_instant(doc, field, value, state);
	else if (field->inner != NULL && value->type == jbvBinary &&
			 JsonContainerIsArray(value->val.binary.data))
		copy_list(doc, value->val.binary.data, field->inner, state);
	else if (field->inner != NULL && value->type == jbvBinary)
		copy_object(doc, value->val.binary.data, field->inner, false, state);
	else
		pushJsonbValue(state, WJB_VALUE, value);
}

/* field_of does the search of a key among the declared fields. */
static const DsDoorField *
field_of(const DsDoorFields *spec, const JsonbValue *key)
{
	int low = 0, high = spec->n;

	while (low < high)
	{
		int middle = (low + high) / 2;
		int order = ds_door_compare(spec->field[middle].name, spec->field[middle].len,
									key->val.string.val, key->val.string.len);

		if (order == 0)
			return &spec->field[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* is_ext tells whether a key is the object in which unknown fields are kept. */
static bool
is_ext(const JsonbValue *key)
{
	return key->val.string.len == 3 && memcmp(key->val.string.val, "ext", 3) == 0;
}

/* push_members does the copy of what a document already has in ext. */
static void
push_members(JsonbContainer *object, JsonbParseState **state)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue v;

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		if (token == WJB_KEY || token == WJB_VALUE)
			pushJsonbValue(state, token, &v);
}

/* push_unknown does the member ext: what nobody declared, and what was sent in ext. */
static void
push_unknown(JsonbContainer *object, const DsDoorFields *spec, JsonbParseState **state)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue key;
	JsonbValue value;

	ds_door_push_text(state, WJB_KEY, "ext");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&it, &value, true);
		if (is_ext(&key))
		{
			if (value.type == jbvBinary && JsonContainerIsObject(value.val.binary.data))
				push_members(value.val.binary.data, state);
		}
		else if (field_of(spec, &key) == NULL)
		{
			pushJsonbValue(state, WJB_KEY, &key);
			pushJsonbValue(state, WJB_VALUE, &value);
		}
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static void
copy_object(const DsDoorDocument *doc, JsonbContainer *object, const DsDoorFields *spec, bool top,
			JsonbParseState **state)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue key;
	JsonbValue value;
	bool unknown = false;

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		const DsDoorField *field;

		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&it, &value, true);
		field = field_of(spec, &key);
		if (is_ext(&key) || field == NULL)
			unknown = true;
		else if (!(top && field->reserved))
		{
			pushJsonbValue(state, WJB_KEY, &key);
			copy_value(doc, field, &value, state);
		}
	}
	if (unknown)
		push_unknown(object, spec, state);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* ds_door_copy_document does the copy of a checked document as the value of a key that was just pushed. */
void
ds_door_copy_document(const DsDoorDocument *doc, JsonbValue *value, JsonbParseState **state)
{
	if (doc->rewrite)
		copy_object(doc, value->val.binary.data, doc->spec, true, state);
	else
		pushJsonbValue(state, WJB_VALUE, value);
}
