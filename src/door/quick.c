/*-------------------------------------------------------------------------
 *
 * quick.c
 *		The verbs apply() and apply_all(): the short way of documents whose room
 *		takes them in C.
 *
 * Nothing is made into jsonb, arrays or rows between the check of a document
 * and its room. The way is open to a plain call: an active system that may
 * write the whole domain, no idempotency key, no options but on_error and
 * causes, documents without faults and versions, of an entity without
 * snapshots. Every other call goes through distsync_internal.door_apply_all(),
 * which does the same, and says what is wrong.
 *
 * Process: any backend. Locks: AccessShareLock on what is read; what the room
 * takes. Memory: a context of the call; declared fields stay until they
 * change.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/uuid.h"
#include "base/codes.h"
#include "base/compat.h"
#include "base/documents.h"
#include "base/export.h"
#include "base/extension.h"
#include "base/reader.h"
#include "base/verb.h"
#include "door/declared.h"
#include "door/document.h"

#define MAX_DOCUMENTS 100000
#define UUID_LENGTH 36
#define MAX_SENDERS 8
#define MAX_SOURCE 64
#define MAX_KIND 24

/* the arguments of both verbs */
enum
{
	A_ENTITY,
	A_DOCUMENTS,
	A_SOURCE,
	A_KEY,
	A_OPTIONS,
	A_COUNT
};

enum
{
	S_KIND,
	S_TZ,
	S_STATUS
};

static DsTable system_table = {
	.schema = "sync",
	.name = "system",
	.index = "system_code_uq",
	.keys = {"code"},
	.columns = {"kind", "tz", "status"},
};

/* A call on its way. */
typedef struct Call
{
	const DsDoorDeclared *declared;
	DsDocuments documents;
	DsDoorDocument check;
} Call;

/* A sender that was found, and may write a domain as long as nobody changes that. */
typedef struct Sender
{
	int64 codes; /* ds_codes_epoch() then */
	char domain[MAX_KIND];
	int len;
	char source[MAX_SOURCE];
	char kind[MAX_KIND];
	pg_tz *zone; /* the server keeps it */
} Sender;

static Sender senders[MAX_SENDERS];

static bool
is_text(const JsonbValue *value, const char *word)
{
	return value->type == jbvString && value->val.string.len == strlen(word) &&
		   memcmp(value->val.string.val, word, value->val.string.len) == 0;
}

/* read_uuid does the reading of a cause. False: that is for the whole way to say. */
static bool
read_uuid(const JsonbValue *value, pg_uuid_t *uuid)
{
	if (value->type != jbvString || value->val.string.len != UUID_LENGTH ||
		strspn(pnstrdup(value->val.string.val, UUID_LENGTH), "0123456789abcdefABCDEF-") <
			UUID_LENGTH)
		return false;
	*uuid = *DatumGetUUIDP(DirectFunctionCall1(
		uuid_in, CStringGetDatum(pnstrdup(value->val.string.val, UUID_LENGTH))));
	return true;
}

/* read_option does one option. False: it is none of those that leave the way as it is. */
static bool
read_option(Call *call, const JsonbValue *key, const JsonbValue *value)
{
	pg_uuid_t ignored;

	if (is_text(key, "on_error"))
	{
		call->documents.collect = is_text(value, "collect");
		return call->documents.collect || is_text(value, "abort");
	}
	if (is_text(key, "correlation_id"))
		return read_uuid(value, &call->documents.correlation_id);
	if (is_text(key, "causation_id"))
		return read_uuid(value, &ignored);
	if (is_text(key, "mode"))
		return is_text(value, "document");
	return is_text(key, "operation") && is_text(value, "upsert");
}

/* read_options does the options of a call. False: the whole way has to look at them. */
static bool
read_options(Call *call, Jsonb *options)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue key;
	JsonbValue value;

	call->documents.correlated = true;
	call->documents.correlation_id =
		*DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0));
	if (options == NULL)
		return true;
	if (!JB_ROOT_IS_OBJECT(options))
		return false;
	it = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&it, &value, true);
		if (!read_option(call, &key, &value))
			return false;
	}
	return true;
}

/* recall does the sender as it is remembered. False: it is not. */
static bool
recall(Call *call, text *source)
{
	if (call->documents.codes == DS_CODES_UNKNOWN)
		return false;
	for (int i = 0; i < MAX_SENDERS; i++)
	{
		const Sender *sender = &senders[i];

		if (sender->codes == call->documents.codes &&
			strcmp(sender->domain, call->declared->domain) == 0 &&
			VARSIZE_ANY_EXHDR(source) == sender->len &&
			memcmp(VARDATA_ANY(source), sender->source, sender->len) == 0)
		{
			call->documents.source = source;
			call->documents.system_kind = pstrdup(sender->kind);
			call->check.zone = sender->zone;
			return true;
		}
	}
	return false;
}

/* remember does the keeping of a sender that may write, in the place of the one that was met first. */
static void
remember(const Call *call, text *source)
{
	static int next = 0;
	Sender *sender = &senders[next];

	if (call->documents.codes == DS_CODES_UNKNOWN || VARSIZE_ANY_EXHDR(source) > MAX_SOURCE ||
		strlen(call->documents.system_kind) >= MAX_KIND ||
		strlen(call->declared->domain) >= MAX_KIND)
		return;
	next = (next + 1) % MAX_SENDERS;
	sender->codes = call->documents.codes;
	strlcpy(sender->domain, call->declared->domain, sizeof(sender->domain));
	sender->len = VARSIZE_ANY_EXHDR(source);
	memcpy(sender->source, VARDATA_ANY(source), sender->len);
	strlcpy(sender->kind, call->documents.system_kind, sizeof(sender->kind));
	sender->zone = call->check.zone;
}

/* find_system does the look-up of who sends. False: no active system of that name. */
static bool
find_system(Call *call, text *source)
{
	DsReader *reader = ds_reader_open(&system_table);
	Datum code = PointerGetDatum(source);
	bool found;

	ds_reader_seek(reader, &code, 1);
	found = ds_reader_next(reader) && ds_reader_text_is(reader, S_STATUS, "active");
	if (found)
	{
		call->documents.source = source;
		call->documents.system_kind = TextDatumGetCString(reader->values[S_KIND]);
		call->check.zone = pg_tzset(TextDatumGetCString(reader->values[S_TZ]));
	}
	ds_reader_close(reader);
	return found && call->check.zone != NULL;
}

/* find_sender does the look-up of who sends, and whether it may write. False: the whole way has to say. */
static bool
find_sender(Call *call, text *source)
{
	bool always;

	call->documents.codes = ds_codes_epoch();
	if (recall(call, source))
		return true;
	if (!find_system(call, source) || !ds_door_may_write(call->declared, source, &always))
		return false;
	if (always)
		remember(call, source);
	return true;
}

/* take_in does the check of one document. False: it has a fault, or a version, which others have to judge. */
static bool
take_in(Call *call, JsonbValue *value)
{
	DsDocument *document = &call->documents.document[call->documents.n];
	JsonbParseState *state = NULL;

	if (!ds_door_check_document(&call->check, value) || call->check.version != NULL ||
		call->check.told)
		return false;
	document->ordinal = ++call->documents.n;
	document->body = value->val.binary.data;
	if (call->check.rewrite)
	{
		Jsonb *copy;

		pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		ds_door_copy_document(&call->check, value, &state);
		copy = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
		document->body = getIthJsonbValueFromContainer(&copy->root, 0)->val.binary.data;
	}
	return true;
}

/* check_documents does the check of all. False: the whole way has to look at them. */
static bool
check_documents(Call *call, Jsonb *documents, bool one)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue value;
	int n = one ? 1 : JB_ROOT_COUNT(documents);

	call->check.spec = call->declared->fields;
	call->check.entity = call->declared->entity;
	call->check.key_parts = call->declared->key_parts;
	call->check.key_part = palloc0(Max(call->check.key_parts, 1) * sizeof(char *));
	call->check.currencies = "";
	call->documents.document = palloc(mul_size(sizeof(DsDocument), Max(n, 1)));
	if (one)
	{
		value.type = jbvBinary;
		value.val.binary.data = &documents->root;
		value.val.binary.len = VARSIZE(documents) - VARHDRSZ;
		return JB_ROOT_IS_OBJECT(documents) && take_in(call, &value);
	}
	if (!JB_ROOT_IS_ARRAY(documents) || JB_ROOT_IS_SCALAR(documents) || n == 0 || n > MAX_DOCUMENTS)
		return false;
	it = JsonbIteratorInit(&documents->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_ELEM && !take_in(call, &value))
			return false;
	return true;
}

/* go_quick does the short way of a call, as the owner of the books. False: nothing was written. */
static bool
go_quick(FunctionCallInfo fcinfo, Call *call, bool one)
{
	text *source = PG_GETARG_TEXT_PP(A_SOURCE);

	return read_options(call, PG_ARGISNULL(A_OPTIONS) ? NULL : PG_GETARG_JSONB_P(A_OPTIONS)) &&
		   find_sender(call, source) &&
		   check_documents(call, PG_GETARG_JSONB_P(A_DOCUMENTS), one) &&
		   call->declared->take(&call->documents);
}

/* raise_first does the error for the first document that was rejected, in the words of the whole way. */
static void
raise_first(const Call *call)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(call->documents.desc, &TTSOpsMinimalTuple);
	Oid types[2] = {TEXTOID, call->documents.desc->tdtypeid};
	FmgrInfo flinfo;

	fmgr_info(ds_verb_behind("door_raise", types, 2), &flinfo);
	while (tuplestore_gettupleslot(call->documents.rows, true, false, slot))
	{
		bool isnull;

		slot_getattr(slot, DS_RESULT_SQLSTATE + 1, &isnull);
		if (!isnull)
			FunctionCall2(&flinfo, CStringGetTextDatum(call->declared->entity),
						  ExecFetchSlotHeapTupleDatum(slot));
	}
	ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("a rejected document has no error")));
}

/* go does a call the short way, if it is open to it. */
static bool
go(FunctionCallInfo fcinfo, bool one)
{
	Call call = {0};
	text *entity;
	Oid user;
	int security;
	MemoryContext context, old;
	bool done;

	if (PG_ARGISNULL(A_ENTITY) || PG_ARGISNULL(A_DOCUMENTS) || PG_ARGISNULL(A_SOURCE) ||
		!PG_ARGISNULL(A_KEY))
		return false;
	entity = PG_GETARG_TEXT_PP(A_ENTITY);
	call.declared = ds_door_declared(VARDATA_ANY(entity), VARSIZE_ANY_EXHDR(entity));
	if (call.declared == NULL)
		return false;
	ds_documents_answer_to(fcinfo, &call.documents);
	context =
		AllocSetContextCreate(CurrentMemoryContext, "distsync documents", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(get_role_oid(DS_OWNER_ROLE, false),
						   security | SECURITY_LOCAL_USERID_CHANGE);
	PushActiveSnapshot(GetTransactionSnapshot());
	done = go_quick(fcinfo, &call, one);
	PopActiveSnapshot();
	if (done && call.documents.rejected && !call.documents.collect)
		raise_first(&call);
	SetUserIdAndSecContext(user, security);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	/* what is left there stays until the statement ends, for each of its rows */
	if (!done)
		ds_documents_answer_not(fcinfo, &call.documents);
	return done;
}

/* go_whole does the same in SQL. */
static Datum
go_whole(FunctionCallInfo fcinfo, const char *name)
{
	static const Oid types[] = {TEXTOID, JSONBOID, TEXTOID, TEXTOID, JSONBOID};
	LOCAL_FCINFO(whole, A_COUNT);
	FmgrInfo flinfo;

	fmgr_info(ds_verb_behind(name, types, A_COUNT), &flinfo);
	InitFunctionCallInfoData(*whole, &flinfo, A_COUNT, InvalidOid, NULL, fcinfo->resultinfo);
	for (int i = 0; i < A_COUNT; i++)
		whole->args[i] = fcinfo->args[i];
	return FunctionCallInvoke(whole);
}

DS_FUNCTION_INFO_V1(ds_sql_door_apply);
DS_FUNCTION_INFO_V1(ds_sql_door_apply_all);

/* ds_sql_door_apply does apply(entity, document, source, idempotency_key, options). */
Datum
ds_sql_door_apply(PG_FUNCTION_ARGS)
{
	return go(fcinfo, true) ? (Datum) 0 : go_whole(fcinfo, "door_apply");
}

/* ds_sql_door_apply_all does apply_all(entity, documents, source, idempotency_key, options). */
Datum
ds_sql_door_apply_all(PG_FUNCTION_ARGS)
{
	return go(fcinfo, false) ? (Datum) 0 : go_whole(fcinfo, "door_apply_all");
}
