/*-------------------------------------------------------------------------
 *
 * answered.c
 *		The first answer of a command under its key: what base_answered() and
 *		base_answer() do where a key is new, without statements.
 *
 * Process: any backend. Locks: the key (an advisory lock) until the end of the
 * transaction; RowExclusiveLock on the table. Memory: the context in which it
 * is opened.
 *
 *-------------------------------------------------------------------------
 */
#include "base/answered.h"

#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "base/compat.h"

/* characters of a key */
#define KEY_LENGTH 255

enum
{
	K_SOURCE,
	K_VERB,
	K_KEY,
	K_REQUEST,
	K_ANSWER,
	K_AT,
	K_COUNT
};

static DsRowsTable answer_rows = {
	.schema = "sync",
	.name = "idempotency",
	.adds = true,
	.by = "key",
	.keys = 3,
	/* ds_answered_open() looks at the length of the key */
	.kept = {"idempotency_key_chk"},
	.columns = {{"source", TEXTOID},
				{"verb", TEXTOID},
				{"key", TEXTOID},
				{"request_sha256", BYTEAOID},
				{"answer", JSONBOID},
				{"answered_at", TIMESTAMPTZOID}},
};

/* ds_answered_open does the opening of the answers. False: the key is none, or SQL has to look. */
bool
ds_answered_open(DsAnswered *call)
{
	int length = pg_mbstrlen(call->key);

	call->rows = NULL;
	if (length < 1 || length > KEY_LENGTH)
		return false;
	call->keys[K_SOURCE] = CStringGetTextDatum(call->source);
	call->keys[K_VERB] = CStringGetTextDatum(call->verb);
	call->keys[K_KEY] = CStringGetTextDatum(call->key);
	call->rows = ds_rows_parts_open(&answer_rows);
	if (call->rows != NULL)
		call->part = ds_rows_parts_writer(call->rows, call->keys[K_KEY]);
	return call->rows != NULL && call->part != NULL;
}

/* ds_answered_free does the locking of the key, and the look whether nobody has used it. */
bool
ds_answered_free(DsAnswered *call)
{
	char *name = psprintf("distsync.key:%d:%s:%s:%s", pg_mbstrlen(call->source), call->source,
						  call->verb, call->key);
	Datum lock = DirectFunctionCall2Coll(hashtextextended, DEFAULT_COLLATION_OID,
										 CStringGetTextDatum(name), Int64GetDatum(0));
	bool used;

	DirectFunctionCall1(pg_advisory_xact_lock_int8, lock);
	/* what was committed while we waited is to be seen */
	PushActiveSnapshot(GetTransactionSnapshot());
	used = ds_rows_find(call->part, GetActiveSnapshot(), call->keys);
	PopActiveSnapshot();
	return !used;
}

/* request_hash does the SHA-256 of the text of what was asked. */
static Datum
request_hash(Jsonb *request)
{
	bytea *result = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	char *text = JsonbToCString(NULL, &request->root, VARSIZE(request));
	char *told = pg_server_to_any(text, (int) strlen(text), PG_UTF8);
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);

	if (ctx == NULL || pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) told, strlen(told)) < 0 ||
		pg_cryptohash_final(ctx, (uint8 *) VARDATA(result), PG_SHA256_DIGEST_LENGTH) < 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("SHA-256 cannot be computed"),
						errdetail("The server's cryptographic library refused."),
						errhint("Call without an idempotency key.")));
	pg_cryptohash_free(ctx);
	SET_VARSIZE(result, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	return PointerGetDatum(result);
}

/* ds_answered_keep does the storing of the answer under a key that nobody had used. */
void
ds_answered_keep(DsAnswered *call, Datum answer)
{
	Datum values[K_COUNT];
	bool nulls[K_COUNT] = {false};

	memcpy(values, call->keys, sizeof(call->keys));
	values[K_REQUEST] = request_hash(call->request);
	values[K_ANSWER] = answer;
	values[K_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	ds_rows_add(call->part, values, nulls);
	ds_rows_flush(call->part);
}

/* ds_answered_close does the end of that. */
void
ds_answered_close(DsAnswered *call)
{
	if (call->rows != NULL)
		ds_rows_parts_close(call->rows);
	call->rows = NULL;
}
