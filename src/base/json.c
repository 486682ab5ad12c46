/*-------------------------------------------------------------------------
 *
 * json.c
 *		Building jsonb, one member after the other.
 *
 * The bytes that jsonb is stored as are written directly, each object or array
 * once, when it is closed: the way through trees of values costs several times
 * as much, and an explained price has two hundred members. The format is told
 * in utils/jsonb.h: a count, an entry for each key and value with its type and
 * length (every 32nd with its offset), then the bytes, numbers and containers
 * at multiples of four.
 *
 * A NULL text or number is a JSON null. A key is NULL inside an array. Of
 * members with the same name the last one counts.
 *
 * Process: any backend. Locks: none. Memory: the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "base/json.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "base/compat.h"

/* check_size does the refusal of what an entry cannot tell the length of. */
static void
check_size(Size size)
{
	if (size > JENTRY_OFFLENMASK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("answer is too large for jsonb"),
				 errdetail("A part of it has %zu bytes.", size), errhint("Ask for less at once.")));
}

/* add does the noting of a value, as member or as element. */
static void
add(DsJson *json, const char *key, JEntry type, const void *bytes, Size length)
{
	DsJsonEntry *entry;

	check_size(length);
	if (json->nentries == json->room)
	{
		json->room = Max(json->room * 2, 32);
		json->entries = json->entries == NULL
							? palloc(sizeof(DsJsonEntry) * json->room)
							: repalloc(json->entries, sizeof(DsJsonEntry) * json->room);
	}
	entry = &json->entries[json->nentries++];
	entry->key = key;
	entry->key_length = key == NULL ? 0 : (uint32) strlen(key);
	entry->type = type;
	entry->bytes = bytes;
	entry->length = (uint32) length;
}

/* begin does the beginning of an object or array; its own entry stands before those of its members. */
static void
begin(DsJson *json, const char *key)
{
	/* cannot happen: nothing that is told nests so deep */
	if (json->depth == DS_JSON_DEPTH)
		elog(ERROR, "jsonb of more than %d levels", DS_JSON_DEPTH);
	add(json, key, JENTRY_ISCONTAINER, NULL, 0);
	json->first[json->depth++] = json->nentries;
}

/* compare_entries does the order of members in jsonb: shorter names first. */
static int
compare_entries(const DsJsonEntry *a, const DsJsonEntry *b)
{
	if (a->key_length != b->key_length)
		return a->key_length < b->key_length ? -1 : 1;
	return memcmp(a->key, b->key, a->key_length);
}

/* sort does the ordering of members; most come in order. Returns how many are left. */
static int
sort(DsJsonEntry *entries, int n)
{
	int kept = 0;
	int i;
	int j;

	for (i = 0; i < n; i++)
	{
		DsJsonEntry one = entries[i];
		int order = -1;

		for (j = kept; j > 0 && (order = compare_entries(&entries[j - 1], &one)) > 0; j--)
			entries[j] = entries[j - 1];
		if (j > 0 && order == 0)
		{
			/* what was moved goes back: the older one makes room */
			memmove(&entries[j], &entries[j + 1], sizeof(DsJsonEntry) * (kept - j));
			entries[j - 1] = one;
			continue;
		}
		entries[j] = one;
		kept++;
	}
	return kept;
}

/* is_aligned does the question whether the bytes of a value begin at a multiple of four. */
static inline bool
is_aligned(JEntry type)
{
	return type == JENTRY_ISNUMERIC || type == JENTRY_ISCONTAINER;
}

/* size_of does the bytes of an object or array. */
static Size
size_of(const DsJsonEntry *entries, int n, bool object)
{
	Size size = 0;
	int i;

	for (i = 0; object && i < n; i++)
		size += entries[i].key_length;
	for (i = 0; i < n; i++)
		size = (is_aligned(entries[i].type) ? INTALIGN(size) : size) + entries[i].length;
	return sizeof(uint32) + sizeof(JEntry) * n * (object ? 2 : 1) + size;
}

/* What has been written of a container. */
typedef struct Writer
{
	JEntry *entry; /* the next one */
	char *data;
	uint32 offset; /* in data */
	int index;	   /* of the next entry */
} Writer;

/* write_part does a key or a value. */
static inline void
write_part(Writer *w, JEntry type, const void *bytes, uint32 length)
{
	uint32 from = w->offset;

	while (is_aligned(type) && w->offset % ALIGNOF_INT != 0)
		w->data[w->offset++] = '\0';
	memcpy(w->data + w->offset, bytes, length);
	w->offset += length;
	*w->entry++ =
		type | (w->index++ % JB_OFFSET_STRIDE == 0 ? w->offset | JENTRY_HAS_OFF : w->offset - from);
}

/* end does the end of an object or array: its members become its bytes. */
static void
end(DsJson *json, bool object)
{
	int first = json->first[--json->depth];
	DsJsonEntry *entries = &json->entries[first];
	int n = object ? sort(entries, json->nentries - first) : json->nentries - first;
	Size size = size_of(entries, n, object);
	uint32 *bytes;
	Writer w = {0};
	int i;

	check_size(size);
	bytes = palloc(size);
	w.entry = bytes + 1;
	*bytes = (uint32) n | (object ? JB_FOBJECT : JB_FARRAY);
	w.data = (char *) (bytes + 1 + n * (object ? 2 : 1));
	for (i = 0; object && i < n; i++)
		write_part(&w, JENTRY_ISSTRING, entries[i].key, entries[i].key_length);
	for (i = 0; i < n; i++)
		write_part(&w, entries[i].type, entries[i].bytes, entries[i].length);
	json->nentries = first;
	entries[-1].bytes = bytes;
	entries[-1].length = (uint32) size;
}

/* ds_json_open_object does the beginning of an object. */
void
ds_json_open_object(DsJson *json, const char *key)
{
	begin(json, key);
}

/* ds_json_close_object does the end of an object. */
void
ds_json_close_object(DsJson *json)
{
	end(json, true);
}

/* ds_json_open_array does the beginning of an array. */
void
ds_json_open_array(DsJson *json, const char *key)
{
	begin(json, key);
}

/* ds_json_close_array does the end of an array. */
void
ds_json_close_array(DsJson *json)
{
	end(json, false);
}

/* ds_json_text does a string. */
void
ds_json_text(DsJson *json, const char *key, const char *value)
{
	if (value == NULL)
		add(json, key, JENTRY_ISNULL, "", 0);
	else
		add(json, key, JENTRY_ISSTRING, value, strlen(value));
}

/* ds_json_number does a number. */
void
ds_json_number(DsJson *json, const char *key, Numeric value)
{
	if (value == NULL)
		add(json, key, JENTRY_ISNULL, "", 0);
	else
		add(json, key, JENTRY_ISNUMERIC, value, VARSIZE_ANY(value));
}

/* ds_json_integer does a whole number. */
void
ds_json_integer(DsJson *json, const char *key, int64 value)
{
	ds_json_number(json, key, int64_to_numeric(value));
}

/* ds_json_boolean does a truth value. */
void
ds_json_boolean(DsJson *json, const char *key, bool value)
{
	add(json, key, value ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE, "", 0);
}

/* ds_json_instant does an instant as to_jsonb() writes it; an infinite one is null: never, or nothing. */
void
ds_json_instant(DsJson *json, const char *key, TimestampTz value)
{
	char *text = palloc(MAXDATELEN + 1);

	if (TIMESTAMP_NOT_FINITE(value))
		ds_json_text(json, key, NULL);
	else
		ds_json_text(json, key,
					 JsonEncodeDateTime(text, TimestampTzGetDatum(value), TIMESTAMPTZOID, NULL));
}

/* ds_json_jsonb does a whole document as one value. */
void
ds_json_jsonb(DsJson *json, const char *key, Jsonb *value)
{
	JEntry only = value->root.children[0];

	if (!JB_ROOT_IS_SCALAR(value))
		add(json, key, JENTRY_ISCONTAINER, &value->root, VARSIZE(value) - VARHDRSZ);
	else
		/* one value alone is kept as an array of it, which begins with its only entry */
		add(json, key, only & JENTRY_TYPEMASK, &value->root.children[1], JBE_OFFLENFLD(only));
}

/*
 * ds_json_members does the members of an object, as they are stored there, but
 * the one with a name, if one is told. The object has to stay until what is
 * built is closed.
 */
void
ds_json_members(DsJson *json, const Jsonb *object, const char *without)
{
	const JsonbContainer *c = &object->root;
	int n = JsonContainerSize(c);
	const char *data = (const char *) &c->children[2 * n];

	/* cannot happen: who asks has made the object */
	if (!JsonContainerIsObject(c))
		elog(ERROR, "jsonb is not an object");
	for (int i = 0; i < n; i++)
	{
		const char *key = data + getJsonbOffset(c, i);
		uint32 key_length = getJsonbLength(c, i);
		uint32 offset = getJsonbOffset(c, n + i);
		uint32 end_of = offset + getJsonbLength(c, n + i);
		JEntry type = c->children[n + i] & JENTRY_TYPEMASK;

		if (without != NULL && strlen(without) == key_length &&
			memcmp(without, key, key_length) == 0)
			continue;
		if (is_aligned(type))
			offset = INTALIGN(offset);
		add(json, "", type, data + offset, end_of - offset);
		json->entries[json->nentries - 1].key = key;
		json->entries[json->nentries - 1].key_length = key_length;
	}
}

/* ds_json_finish does the jsonb of all that was told: one object or array. */
Datum
ds_json_finish(DsJson *json)
{
	DsJsonEntry *whole = json->entries;
	Jsonb *result;

	/* cannot happen: who begins an object ends it */
	if (json->depth != 0 || json->nentries != 1 || whole->type != JENTRY_ISCONTAINER)
		elog(ERROR, "jsonb is not one whole object or array");
	result = palloc(VARHDRSZ + whole->length);
	SET_VARSIZE(result, VARHDRSZ + whole->length);
	memcpy(&result->root, whole->bytes, whole->length);
	return JsonbPGetDatum(result);
}
