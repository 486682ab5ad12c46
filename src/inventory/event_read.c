/*-------------------------------------------------------------------------
 *
 * event_read.c
 *		Documents of stock events, read straight from their jsonb. What is not
 *		plain (a reversal, a number that takes more than a look, anything that
 *		may be wrong) is left to distsync_internal.inventory_read_events().
 *
 * Process: any backend. Locks: none. Memory: the caller's context; slices
 * point into the documents.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "inventory/event.h"

#define MAX_DECIMALS 6
#define MAX_DIGITS 18 /* of a number in a stream */

static const struct
{
	const char *name;
	DsEventKind kind;
} kinds[] = {{"delta", DS_EVENT_DELTA},
			 {"count", DS_EVENT_COUNT},
			 {"receive", DS_EVENT_RECEIVE},
			 {"ship", DS_EVENT_SHIP},
			 {"transfer", DS_EVENT_TRANSFER}};

/* Texts of a document and where they go. */
static const struct
{
	const char *name;
	size_t at;
} texts[] = {{"lot", offsetof(DsEvent, lot)},
			 {"sku", offsetof(DsEvent, sku)},
			 {"site", offsetof(DsEvent, site)},
			 {"unit", offsetof(DsEvent, unit)},
			 {"owner", offsetof(DsEvent, owner)},
			 {"state", offsetof(DsEvent, state)},
			 {"stream", offsetof(DsEvent, stream)},
			 {"to_site", offsetof(DsEvent, to_site)},
			 {"event_id", offsetof(DsEvent, event_id)},
			 {"to_state", offsetof(DsEvent, to_state)},
			 {"reference", offsetof(DsEvent, reference)}};

/* What a document says beside its texts. */
typedef struct Told
{
	bool kind, perspective, quantity, event_at;
} Told;

/* ds_inventory_slice_compare does the order of two texts by their bytes; an absent one is first. */
int
ds_inventory_slice_compare(DsSlice a, DsSlice b)
{
	int order;

	if (a.s == NULL || b.s == NULL)
		return (a.s != NULL) - (b.s != NULL);
	order = memcmp(a.s, b.s, Min(a.len, b.len));
	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* ds_inventory_slice_text does the text of a slice; an absent one is empty. */
Datum
ds_inventory_slice_text(DsSlice slice)
{
	return PointerGetDatum(cstring_to_text_with_len(slice.s, slice.s == NULL ? 0 : slice.len));
}

static bool
is_word(const char *s, int len, const char *word)
{
	return strlen(word) == len && memcmp(s, word, len) == 0;
}

/* read_kind does the kind of an event. False: it is a reversal, or none. */
static bool
read_kind(DsEvent *event, const JsonbValue *value)
{
	if (value->type != jbvString)
		return false;
	for (int i = 0; i < lengthof(kinds); i++)
		if (is_word(value->val.string.val, value->val.string.len, kinds[i].name))
		{
			event->kind = kinds[i].kind;
			return true;
		}
	return false;
}

static bool
read_perspective(DsEvent *event, const JsonbValue *value)
{
	if (value->type != jbvString)
		return false;
	event->book = is_word(value->val.string.val, value->val.string.len, "book");
	return event->book || is_word(value->val.string.val, value->val.string.len, "phys");
}

/* read_quantity does a quantity as it is told, in whatever unit. */
static bool
read_quantity(DsEvent *event, const JsonbValue *value)
{
	if (value->type == jbvNumeric)
		event->quantity = value->val.numeric;
	else if (value->type == jbvString)
		event->quantity = DatumGetNumeric(DirectFunctionCall3(
			numeric_in, CStringGetDatum(pnstrdup(value->val.string.val, value->val.string.len)),
			ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	else
		return false;
	return !numeric_is_nan(event->quantity) && !numeric_is_inf(event->quantity);
}

/* read_sequence does a number in a stream: digits, no more than fit. */
static bool
read_sequence(DsEvent *event, const JsonbValue *value)
{
	char number[MAX_DIGITS + 1];
	const char *s = value->val.string.val;
	int len = value->type == jbvString ? value->val.string.len : 0;

	if (value->type == jbvNumeric)
	{
		s = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		len = strlen(s);
	}
	if (len == 0 || len > MAX_DIGITS)
		return false;
	memcpy(number, s, len);
	number[len] = '\0';
	if (strspn(number, "0123456789") < len)
		return false;
	event->sequence = strtoi64(number, NULL, 10);
	event->numbered = true;
	return true;
}

static bool
read_instant(DsEvent *event, const JsonbValue *value)
{
	char *text;

	if (value->type != jbvString)
		return false;
	text = pnstrdup(value->val.string.val, value->val.string.len);
	event->event_at = DatumGetTimestampTz(DirectFunctionCall3(
		timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	pfree(text);
	return !TIMESTAMP_NOT_FINITE(event->event_at);
}

static bool
read_day(DsEvent *event, const JsonbValue *value)
{
	if (value->type != jbvString)
		return false;
	event->expires_on = DatumGetDateADT(DirectFunctionCall1(
		date_in, CStringGetDatum(pnstrdup(value->val.string.val, value->val.string.len))));
	event->expires = true;
	return !DATE_NOT_FINITE(event->expires_on);
}

/* read_field does one field of a document. False: it is not plain. */
static bool
read_field(DsEvent *event, Told *told, const JsonbValue *key, const JsonbValue *value)
{
	const char *name = key->val.string.val;
	int len = key->val.string.len;

	if (value->type == jbvNull)
		return true;
	for (int i = 0; i < lengthof(texts); i++)
		if (is_word(name, len, texts[i].name))
		{
			DsSlice *slice = (DsSlice *) ((char *) event + texts[i].at);

			slice->s = value->val.string.val;
			slice->len = value->val.string.len;
			return value->type == jbvString;
		}
	if (is_word(name, len, "kind"))
		return told->kind = read_kind(event, value);
	if (is_word(name, len, "perspective"))
		return told->perspective = read_perspective(event, value);
	if (is_word(name, len, "quantity"))
		return told->quantity = read_quantity(event, value);
	if (is_word(name, len, "event_at"))
		return told->event_at = read_instant(event, value);
	if (is_word(name, len, "sequence"))
		return read_sequence(event, value);
	if (is_word(name, len, "expires_on"))
		return read_day(event, value);
	return !is_word(name, len, "reverses");
}

/* makes_sense does the checks of an event on its own. False: SQL says what is wrong. */
static bool
makes_sense(const DsEvent *event, const Told *told, TimestampTz latest)
{
	int sign;

	if (!told->kind || !told->perspective || !told->quantity || !told->event_at ||
		event->event_id.s == NULL || event->sku.s == NULL || event->site.s == NULL ||
		event->event_at > latest)
		return false;
	sign = DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(event->quantity),
											 NumericGetDatum(int64_to_numeric(0))));
	if (event->kind == DS_EVENT_TRANSFER && event->to_site.s == NULL && event->to_state.s == NULL)
		return false;
	return event->kind == DS_EVENT_DELTA || sign > 0 ||
		   (event->kind == DS_EVENT_COUNT && sign == 0);
}

/* read_document does one document. False: it is not plain. */
static bool
read_document(DsEventCall *call, DsEvent *event, JsonbContainer *body, TimestampTz latest)
{
	JsonbIterator *it = JsonbIteratorInit(body);
	JsonbIteratorToken token;
	JsonbValue key;
	JsonbValue value;
	Told told = {false};

	event->book = call->book;
	told.perspective = call->usual;
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&it, &value, true);
		if (!read_field(event, &told, &key, &value))
			return false;
	}
	return makes_sense(event, &told, latest);
}

/* hash_of does one SHA-256, in a context that is used again and again. */
static void
hash_of(pg_cryptohash_ctx *hash, const char *head, const char *s, int len, uint8 *result)
{
	if (pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, (const uint8 *) head, strlen(head)) < 0 ||
		pg_cryptohash_update(hash, (const uint8 *) s, len) < 0 ||
		pg_cryptohash_final(hash, result, DS_EVENT_HASH) < 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not compute a hash: %s", pg_cryptohash_error(hash))));
}

/* hash_events does the hashes of documents and of their names, those of inventory_event_hash(). */
static void
hash_events(DsEventCall *call)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < call->n; i++)
	{
		DsEvent *event = &call->event[i];
		char head[32];

		resetStringInfo(&text);
		JsonbToCString(&text, call->documents->document[i].body, -1);
		hash_of(hash, "", text.data, text.len, event->hash);
		snprintf(head, sizeof(head),
				 "stock_event:%d:", pg_mbstrlen_with_len(event->event_id.s, event->event_id.len));
		hash_of(hash, head, event->event_id.s, event->event_id.len, event->key);
	}
	pfree(text.data);
	pg_cryptohash_free(hash);
}

/* ds_inventory_event_read does the reading of all documents of a call. False: one of them is not plain. */
bool
ds_inventory_event_read(DsEventCall *call)
{
	TimestampTz latest = GetCurrentTimestamp() + USECS_PER_DAY;

	if (GetDatabaseEncoding() != PG_UTF8)
		return false;
	call->event = palloc0(mul_size(sizeof(DsEvent), call->n));
	for (int i = 0; i < call->n; i++)
	{
		call->event[i].ordinal = call->documents->document[i].ordinal;
		if (!read_document(call, &call->event[i], call->documents->document[i].body, latest))
			return false;
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	hash_events(call);
	return true;
}
