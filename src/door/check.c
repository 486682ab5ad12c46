/*-------------------------------------------------------------------------
 *
 * check.c
 *		The check of all documents of a call, in one pass, as an SQL function:
 *		good ones come back as the array that handlers take, bad ones as a list
 *		of faults. It runs no SQL.
 *
 * Process: any backend. Locks: none. Memory: the function's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

#include "base/errors.h"
#include "base/export.h"
#include "door/document.h"

#define DS_DOOR_CHECK_ARGS 12

/* What comes back about the good documents, in their order. */
typedef struct DsDoorGood
{
	int n;
	Datum *ordinal;
	Datum *key;
	bool *no_key;
	Datum *version;
	bool *no_version;
	Datum *told;
	bool *not_told;
	Datum *company;
	bool *no_company;
	Datum *wave;
	bool *no_wave;
	bool any_version, any_told, any_company;
	int waves;
} DsDoorGood;

typedef struct DsDoorSeen
{
	uint64 key; /* hash of an entity key */
	int times;
} DsDoorSeen;

static void
new_good(DsDoorGood *good, int n)
{
	memset(good, 0, sizeof(*good));
	n = Max(n, 1);
	good->ordinal = palloc(n * sizeof(Datum));
	good->key = palloc(n * sizeof(Datum));
	good->version = palloc(n * sizeof(Datum));
	good->told = palloc(n * sizeof(Datum));
	good->company = palloc(n * sizeof(Datum));
	good->wave = palloc(n * sizeof(Datum));
	good->no_key = palloc(n);
	good->no_version = palloc(n);
	good->not_told = palloc(n);
	good->no_company = palloc(n);
	good->no_wave = palloc0(n);
}

/*
 * wave_of does the count of how often an entity has come in this call. The
 * second document of one entity waits until the first one is done. Two keys
 * with one hash only wait for nothing.
 */
static int
wave_of(HTAB *seen, const char *key)
{
	uint64 hash = hash_bytes_extended((const unsigned char *) key, strlen(key), 0);
	bool found;
	DsDoorSeen *entry = hash_search(seen, &hash, HASH_ENTER, &found);

	entry->times = found ? entry->times + 1 : 1;
	return entry->times;
}

static void
note_good(DsDoorGood *good, int ordinal, const DsDoorDocument *doc, HTAB *seen)
{
	int i = good->n++;
	char *key = ds_door_key(doc);
	int wave = key ? wave_of(seen, key) : 1;

	good->ordinal[i] = Int32GetDatum(ordinal);
	good->no_key[i] = key == NULL;
	good->key[i] = key ? CStringGetTextDatum(key) : (Datum) 0;
	good->no_version[i] = doc->version == NULL;
	good->version[i] = NumericGetDatum(doc->version);
	good->any_version |= doc->version != NULL;
	good->not_told[i] = !doc->told;
	good->told[i] = TimestampTzGetDatum(doc->told_at);
	good->any_told |= doc->told;
	good->no_company[i] = doc->company == NULL;
	good->company[i] = doc->company ? CStringGetTextDatum(doc->company) : (Datum) 0;
	good->any_company |= doc->company != NULL;
	good->wave[i] = Int32GetDatum(wave);
	good->waves = Max(good->waves, wave);
}

static void
push_number(JsonbParseState **state, JsonbIteratorToken token, int n)
{
	JsonbValue v;

	v.type = jbvNumeric;
	v.val.numeric = int64_to_numeric(n);
	pushJsonbValue(state, token, &v);
}

static void
push_member(JsonbParseState **state, const char *key, const char *value)
{
	JsonbValue none = {.type = jbvNull};

	ds_door_push_text(state, WJB_KEY, key);
	if (value != NULL)
		ds_door_push_text(state, WJB_VALUE, value);
	else
		pushJsonbValue(state, WJB_VALUE, &none);
}

static void
push_fault(JsonbParseState **state, int ordinal, const DsDoorDocument *doc)
{
	bool whole = true;

	for (int i = 0; i < doc->key_parts; i++)
		whole = whole && doc->key_part[i] != NULL;
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	ds_door_push_text(state, WJB_KEY, "ordinal");
	push_number(state, WJB_VALUE, ordinal);
	push_member(state, "entity_key", whole ? ds_door_key(doc) : NULL);
	push_member(state, "sqlstate", doc->fault.sqlstate);
	push_member(state, "field", doc->field);
	push_member(state, "message", doc->fault.message);
	push_member(state, "hint", doc->fault.hint);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* array_or_null makes the array of one thing about the good documents; NULL where no document has it. */
static Datum
array_or_null(Datum *values, bool *nulls, int n, Oid type, bool any, bool *isnull)
{
	int16 len;
	bool byval;
	char align;
	int dims[1] = {n};
	int lower[1] = {1};

	*isnull = !any;
	if (!any)
		return (Datum) 0;
	if (n == 0)
		return PointerGetDatum(construct_empty_array(type));
	get_typlenbyvalalign(type, &len, &byval, &align);
	return PointerGetDatum(
		construct_md_array(values, nulls, 1, dims, lower, type, len, byval, align));
}

/* check_all does the pass over the documents. Returns how many were bad. */
static int
check_all(Jsonb *documents, DsDoorDocument *doc, DsDoorGood *good, JsonbParseState **docs,
		  JsonbParseState **faults)
{
	HASHCTL info = {
		.keysize = sizeof(uint64), .entrysize = sizeof(DsDoorSeen), .hcxt = CurrentMemoryContext};
	HTAB *seen = hash_create("distsync documents seen", JB_ROOT_COUNT(documents) + 1, &info,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	JsonbIterator *it = JsonbIteratorInit(&documents->root);
	JsonbIteratorToken token;
	JsonbValue value;
	int ordinal = 0, bad = 0;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		CHECK_FOR_INTERRUPTS();
		ordinal++;
		if (!ds_door_check_document(doc, &value))
		{
			push_fault(faults, ordinal, doc);
			bad++;
			continue;
		}
		pushJsonbValue(docs, WJB_BEGIN_OBJECT, NULL);
		ds_door_push_text(docs, WJB_KEY, "ordinal");
		push_number(docs, WJB_VALUE, ordinal);
		ds_door_push_text(docs, WJB_KEY, "doc");
		ds_door_copy_document(doc, &value, docs);
		pushJsonbValue(docs, WJB_END_OBJECT, NULL);
		note_good(good, ordinal, doc, seen);
	}
	return bad;
}

/*
 * ds_sql_door_check does distsync_internal.door_check(documents, entity,
 * names, types, required, fixed, signs, choices, keys, currencies, zone,
 * keys_only). It runs no SQL.
 */
DS_FUNCTION_INFO_V1(ds_sql_door_check);

Datum
ds_sql_door_check(PG_FUNCTION_ARGS)
{
	Jsonb *documents = PG_GETARG_JSONB_P(0);
	DsDoorDocument doc = {0};
	DsDoorGood good;
	JsonbParseState *docs = NULL;
	JsonbParseState *faults = NULL;
	TupleDesc tupdesc;
	Datum values[9];
	bool nulls[9] = {false};
	int bad;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE ||
		tupdesc->natts != lengthof(values) || PG_NARGS() != DS_DOOR_CHECK_ARGS)
		ereport(ERROR,
				(errcode(DS_ERRCODE_VERSION_MISMATCH),
				 errmsg("door_check() of this library takes %d arguments and returns %d columns",
						DS_DOOR_CHECK_ARGS, (int) lengthof(values)),
				 errhint("Run ALTER EXTENSION distsync UPDATE.")));
	if (!JB_ROOT_IS_ARRAY(documents) || JB_ROOT_IS_SCALAR(documents))
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_DOCUMENT), errmsg("documents are not a list"),
						errdetail("Field: documents."),
						errhint("Send a JSON array of documents, or one document with apply().")));
	doc.entity = text_to_cstring(PG_GETARG_TEXT_PP(1));
	doc.spec =
		ds_door_spec(PG_GETARG_ARRAYTYPE_P(2), PG_GETARG_ARRAYTYPE_P(3), PG_GETARG_ARRAYTYPE_P(4),
					 PG_GETARG_ARRAYTYPE_P(5), PG_GETARG_ARRAYTYPE_P(6), PG_GETARG_ARRAYTYPE_P(7),
					 PG_GETARG_ARRAYTYPE_P(8), &doc.key_parts);
	doc.key_part = palloc0(Max(doc.key_parts, 1) * sizeof(char *));
	doc.currencies = text_to_cstring(PG_GETARG_TEXT_PP(9));
	doc.zone = pg_tzset(text_to_cstring(PG_GETARG_TEXT_PP(10)));
	doc.keys_only = PG_GETARG_BOOL(11);
	if (doc.zone == NULL)
		doc.zone = pg_tzset("UTC");
	new_good(&good, JB_ROOT_COUNT(documents));
	pushJsonbValue(&docs, WJB_BEGIN_ARRAY, NULL);
	pushJsonbValue(&faults, WJB_BEGIN_ARRAY, NULL);
	bad = check_all(documents, &doc, &good, &docs, &faults);
	values[0] = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&docs, WJB_END_ARRAY, NULL)));
	values[1] = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&faults, WJB_END_ARRAY, NULL)));
	nulls[1] = bad == 0;
	values[2] = array_or_null(good.key, good.no_key, good.n, TEXTOID, doc.key_parts > 0, &nulls[2]);
	values[3] = array_or_null(good.version, good.no_version, good.n, NUMERICOID, good.any_version,
							  &nulls[3]);
	values[4] =
		array_or_null(good.told, good.not_told, good.n, TIMESTAMPTZOID, good.any_told, &nulls[4]);
	values[5] =
		array_or_null(good.company, good.no_company, good.n, TEXTOID, good.any_company, &nulls[5]);
	values[6] = array_or_null(good.wave, good.no_wave, good.n, INT4OID, good.waves > 1, &nulls[6]);
	values[7] = Int32GetDatum(good.waves);
	values[8] = array_or_null(good.ordinal, good.no_wave, good.n, INT4OID, true, &nulls[8]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
