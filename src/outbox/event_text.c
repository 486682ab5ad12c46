/*-------------------------------------------------------------------------
 *
 * event_text.c
 *		What an event says, as bytes: the data as jsonb_out() prints it, its
 *		hash, and the CloudEvent around it, which partners get as it is.
 *
 * Process: any backend, mostly the courier. Locks: none. Memory: the current
 * context.
 *
 *-------------------------------------------------------------------------
 */
#include "outbox/store.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "base/compat.h"
#include "base/export.h"

/* when a state was known is no part of what it says */
#define KNOWN_AT "known_at"

DS_FUNCTION_INFO_V1(ds_sql_outbox_said);

/* put does the adding of bytes that are known. */
#define PUT(text, literal) appendBinaryStringInfo((text), (literal), sizeof(literal) - 1)

/* put_string does a string of a jsonb. */
static void
put_string(StringInfo text, const JsonbValue *value)
{
	char *string = pnstrdup(value->val.string.val, value->val.string.len);

	escape_json(text, string);
	pfree(string);
}

/* put_value does a member's value. */
static void
put_value(StringInfo text, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			PUT(text, "null");
			break;
		case jbvBool:
			appendStringInfoString(text, value->val.boolean ? "true" : "false");
			break;
		case jbvString:
			put_string(text, value);
			break;
		case jbvNumeric:
			appendStringInfoString(text, DatumGetCString(DirectFunctionCall1(
											 numeric_out, NumericGetDatum(value->val.numeric))));
			break;
		default:
			/* cannot happen: what holds others was asked for as a whole */
			if (value->type != jbvBinary)
				elog(ERROR, "unexpected jsonb value of type %d", (int) value->type);
			JsonbToCString(text, value->val.binary.data, value->val.binary.len);
	}
}

/* is_known_at does the test of a member's name. */
static bool
is_known_at(const JsonbValue *key)
{
	return key->val.string.len == strlen(KNOWN_AT) &&
		   memcmp(key->val.string.val, KNOWN_AT, strlen(KNOWN_AT)) == 0;
}

/* put_object does an object as jsonb_out() prints it, and tells where in it known_at is. */
static void
put_object(DsOutboxText *event, Jsonb *body)
{
	JsonbIterator *it = JsonbIteratorInit(&body->root);
	StringInfo text = &event->text;
	JsonbValue value;
	int n = 0;
	bool open = false; /* known_at is the first member, and its comma is to come */

	(void) JsonbIteratorNext(&it, &value, true);
	appendStringInfoChar(text, '{');
	while (JsonbIteratorNext(&it, &value, true) == WJB_KEY)
	{
		int before = text->len;
		bool known = is_known_at(&value);

		if (n++ > 0)
			PUT(text, ", ");
		if (open)
			event->known_to = text->len;
		put_string(text, &value);
		PUT(text, ": ");
		(void) JsonbIteratorNext(&it, &value, true);
		put_value(text, &value);
		open = known && n == 1;
		if (known)
		{
			event->known_from = before;
			event->known_to = text->len;
		}
	}
	appendStringInfoChar(text, '}');
}

/* ds_outbox_event_data does the data of an event; NULL = nothing at all. */
void
ds_outbox_event_data(DsOutboxText *event, Jsonb *body)
{
	resetStringInfo(&event->text);
	event->known_from = event->known_to = 0;
	if (body == NULL)
		return;
	if (JB_ROOT_IS_OBJECT(body))
		put_object(event, body);
	else
		JsonbToCString(&event->text, &body->root, VARSIZE(body));
}

/*
 * ds_outbox_event_said does the hash of a state, with what stands before it: the
 * incarnation, so that after a failover all is news, and the type.
 */
void
ds_outbox_event_said(const DsOutboxText *event, const char *prefix, char *said)
{
	const StringInfoData *text = &event->text;
	const char *wrong = NULL;
	StringInfoData whole;

	initStringInfo(&whole);
	appendStringInfoString(&whole, prefix);
	appendBinaryStringInfo(&whole, text->data, event->known_from);
	appendBinaryStringInfo(&whole, text->data + event->known_to, text->len - event->known_to);
	if (!pg_md5_hash(whole.data, whole.len, said, &wrong))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not compute %s hash: %s", "MD5", wrong)));
	pfree(whole.data);
}

/* ds_sql_outbox_said does outbox_said(incarnation, event_type, body). */
Datum
ds_sql_outbox_said(PG_FUNCTION_ARGS)
{
	char said[DS_SAID_LENGTH + 1];
	DsOutboxText event;

	initStringInfo(&event.text);
	ds_outbox_event_data(&event, PG_GETARG_JSONB_P(2));
	ds_outbox_event_said(
		&event, psprintf("%d %s ", PG_GETARG_INT32(0), text_to_cstring(PG_GETARG_TEXT_PP(1))),
		said);
	PG_RETURN_TEXT_P(cstring_to_text(said));
}

/* put_uuid does a UUID. */
static void
put_uuid(StringInfo text, Datum uuid)
{
	static const char digit[] = "0123456789abcdef";
	const unsigned char *bytes = DatumGetUUIDP(uuid)->data;
	char out[UUID_LEN * 2 + 4];
	char *p = out;

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = digit[bytes[i] >> 4];
		*p++ = digit[bytes[i] & 15];
	}
	appendBinaryStringInfo(text, out, sizeof(out));
}

/* put_instant does an instant in UTC, to the microsecond; an infinite one is empty. */
static void
put_instant(StringInfo text, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t fraction;
	char out[MAXDATELEN + 1];
	char *p = out;

	if (TIMESTAMP_NOT_FINITE(at))
		return;
	if (timestamp2tm(at, NULL, &tm, &fraction, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	p = pg_ultostr_zeropad(p, tm.tm_year <= 0 ? 1 - tm.tm_year : tm.tm_year, 4);
	*p++ = '-';
	p = pg_ultostr_zeropad(p, tm.tm_mon, 2);
	*p++ = '-';
	p = pg_ultostr_zeropad(p, tm.tm_mday, 2);
	*p++ = 'T';
	p = pg_ultostr_zeropad(p, tm.tm_hour, 2);
	*p++ = ':';
	p = pg_ultostr_zeropad(p, tm.tm_min, 2);
	*p++ = ':';
	p = pg_ultostr_zeropad(p, tm.tm_sec, 2);
	*p++ = '.';
	p = pg_ultostr_zeropad(p, fraction, 6);
	*p++ = 'Z';
	appendBinaryStringInfo(text, out, p - out);
}

/* put_data does what the event tells: as it was printed before, or anew. */
static void
put_data(StringInfo text, const DsOutboxDraft *draft)
{
	Jsonb *body;

	if (draft->text != NULL)
	{
		appendBinaryStringInfo(text, draft->text, draft->length);
		return;
	}
	if (draft->nulls[D_BODY])
	{
		PUT(text, "null");
		return;
	}
	body = DatumGetJsonbP(draft->values[D_BODY]);
	JsonbToCString(text, &body->root, VARSIZE(body));
}

/* put_event does the whole CloudEvent. */
static void
put_event(StringInfo to, const DsOutboxDraft *draft, const DsOutboxSource *source, const char *type)
{
	char *entity = TextDatumGetCString(draft->values[D_ENTITY]);
	char version[MAXINT8LEN + 1];

	PUT(to, "{\"specversion\":\"1.0\",\"id\":\"");
	if (!draft->nulls[D_MESSAGE_ID])
		put_uuid(to, draft->values[D_MESSAGE_ID]);
	PUT(to, "\",\"source\":");
	appendStringInfoString(to, source->source);
	PUT(to, ",\"type\":");
	appendStringInfoString(to, type);
	PUT(to, ",\"time\":\"");
	if (!draft->nulls[D_AT])
		put_instant(to, DatumGetTimestampTz(draft->values[D_AT]));
	PUT(to, "\",\"subject\":");
	escape_json(to, psprintf("%s/%s", entity, TextDatumGetCString(draft->values[D_ENTITY_KEY])));
	PUT(to, ",\"datacontenttype\":\"application/json\",\"entity\":");
	escape_json(to, entity);
	PUT(to, ",\"entityversion\":\"");
	pg_ltoa(source->incarnation, version);
	appendStringInfoString(to, version);
	appendStringInfoChar(to, '.');
	pg_lltoa(draft->version, version);
	appendStringInfoString(to, version);
	appendStringInfoChar(to, '"');
	for (int c = D_CORRELATION_ID; c <= D_CAUSATION_ID; c++)
	{
		if (draft->nulls[c])
			continue;
		appendStringInfoString(to, c == D_CORRELATION_ID ? ",\"correlationid\":\""
														 : ",\"causationid\":\"");
		put_uuid(to, draft->values[c]);
		appendStringInfoChar(to, '"');
	}
	PUT(to, ",\"data\":");
	put_data(to, draft);
	appendStringInfoChar(to, '}');
}

/* ds_outbox_event_body does the bytes that partners get, in UTF-8; type is JSON. */
Datum
ds_outbox_event_body(const DsOutboxDraft *draft, const DsOutboxSource *source, const char *type)
{
	StringInfoData text;
	char *utf8;
	bytea *body;

	initStringInfo(&text);
	/* the length of a bytea stands before it */
	appendStringInfoSpaces(&text, VARHDRSZ);
	put_event(&text, draft, source, type);
	utf8 = pg_server_to_any(text.data + VARHDRSZ, text.len - VARHDRSZ, PG_UTF8);
	if (utf8 == text.data + VARHDRSZ)
	{
		SET_VARSIZE(text.data, text.len);
		return PointerGetDatum(text.data);
	}
	body = palloc(VARHDRSZ + strlen(utf8));
	SET_VARSIZE(body, VARHDRSZ + strlen(utf8));
	memcpy(VARDATA(body), utf8, strlen(utf8));
	return PointerGetDatum(body);
}
