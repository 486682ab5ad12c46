/*-------------------------------------------------------------------------
 *
 * event_dedupe.c
 *		The taking of event keys in sync.dedupe: what was taken before is a
 *		duplicate, or a conflict if it says something else now.
 *
 * Two calls may bring the same key at the same moment. Looking and adding is
 * one step only under the lock of the key's class; it is given back as soon as
 * the keys are there for others to find, who then wait for our transaction.
 * Keys are taken in their order, so nobody waits in a circle.
 *
 * Process: any backend. Locks: an advisory lock for moments, then waits for
 * the transactions that took a key. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/export.h"
#include "inventory/event_key.h"

/* the first bits of a key are its class */
#define CLASS_BITS 6
#define CLASS_OF(key) ((key)[0] >> (8 - CLASS_BITS))

/* kind of advisory lock, beside those of SQL, 1 and 2 */
#define LOCK_KIND 3

enum
{
	D_SOURCE,
	D_KEY_HASH,
	D_BODY,
	D_INBOX_ID,
	D_SEEN_AT,
	D_COUNT
};

static DsRowsTable dedupe_table = {
	.schema = "sync",
	.name = "dedupe",
	.adds = true,
	.by = "key_hash",
	.keys = 2,
	.columns = {{"source", TEXTOID},
				{"key_hash", BYTEAOID},
				{"body_sha256", BYTEAOID},
				{"inbox_id", INT8OID},
				{"seen_at", TIMESTAMPTZOID},
				{NULL}},
};

/* what a look at a key sees: scans keep its address */
static SnapshotData dirty;

static Datum
hash_datum(const uint8 *hash)
{
	bytea *value = palloc(VARHDRSZ + DS_EVENT_HASH);

	SET_VARSIZE(value, VARHDRSZ + DS_EVENT_HASH);
	memcpy(VARDATA(value), hash, DS_EVENT_HASH);
	return PointerGetDatum(value);
}

/* lock_class does the lock of a class of a source's keys, or gives it back. */
static void
lock_class(text *source, int class, bool take)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(
		tag, MyDatabaseId,
		hash_bytes((const unsigned char *) VARDATA_ANY(source), VARSIZE_ANY_EXHDR(source)), class,
		LOCK_KIND);
	if (take)
		(void) LockAcquire(&tag, ExclusiveLock, false, false);
	else
		LockRelease(&tag, ExclusiveLock, false);
}

/* wait_for does the waiting for whoever has taken, or is deleting, a key and has not ended yet. */
static void
wait_for(DsRows *w)
{
	TransactionId xid = TransactionIdIsValid(dirty.xmin) ? dirty.xmin : dirty.xmax;

	if (dirty.speculativeToken != 0)
		SpeculativeInsertionWait(dirty.xmin, dirty.speculativeToken);
	else
		XactLockTableWait(xid, w->relation, &w->found->tts_tid, XLTW_InsertIndex);
}

/*
 * look_up does the look at one key: fresh or taken, and what it said then.
 * False: somebody is at it, and dirty says who.
 */
static bool
look_up(DsRows *w, text *source, DsEventKey *key)
{
	Datum keys[2] = {PointerGetDatum(source), hash_datum(key->key)};
	bytea *body;

	InitDirtySnapshot(dirty);
	key->fresh = !ds_rows_find(w, &dirty, keys);
	if (key->fresh)
		return true;
	if (TransactionIdIsValid(dirty.xmin) || TransactionIdIsValid(dirty.xmax))
		return false;
	body = DatumGetByteaPP(w->values[D_BODY]);
	memset(key->taken, 0, DS_EVENT_HASH);
	memcpy(key->taken, VARDATA_ANY(body), Min(VARSIZE_ANY_EXHDR(body), DS_EVENT_HASH));
	return true;
}

/* add_key does the taking of a fresh key. */
static void
add_key(DsRows *w, text *source, const DsEventKey *key, TimestampTz now)
{
	Datum values[D_COUNT] = {PointerGetDatum(source), hash_datum(key->key), hash_datum(key->body)};
	bool nulls[D_COUNT] = {false};

	nulls[D_INBOX_ID] = true;
	values[D_SEEN_AT] = TimestampTzGetDatum(now);
	ds_rows_add(w, values, nulls);
}

/* take_class does the keys of one class, sorted. */
static void
take_class(DsRowsParts *parts, text *source, DsEventKey *keys, int n)
{
	int class = CLASS_OF(keys[0].key);
	TimestampTz now;

	for (;;)
	{
		int i;

		lock_class(source, class, true);
		for (i = 0; i < n; i++)
			if (!look_up(keys[i].writer, source, &keys[i]))
				break;
		if (i == n)
			break;
		lock_class(source, class, false);
		wait_for(keys[i].writer);
	}
	now = GetCurrentTimestamp();
	for (int i = 0; i < n; i++)
		if (keys[i].fresh)
			add_key(keys[i].writer, source, &keys[i], now);
	ds_rows_parts_flush(parts);
	lock_class(source, class, false);
}

/* ds_inventory_event_keys_open does the opening of the table, and of the parts that these keys are in; NULL: SQL has to take them. */
DsRowsParts *
ds_inventory_event_keys_open(DsEventKey *keys, int n)
{
	DsRowsParts *parts = ds_rows_parts_open(&dedupe_table);

	for (int i = 0; parts != NULL && i < n; i++)
	{
		keys[i].writer = ds_rows_parts_writer(parts, hash_datum(keys[i].key));
		if (keys[i].writer == NULL)
		{
			ds_rows_parts_close(parts);
			parts = NULL;
		}
	}
	return parts;
}

/* ds_inventory_event_keys_take does the taking of keys, which are sorted and differ. */
void
ds_inventory_event_keys_take(DsRowsParts *parts, text *source, DsEventKey *keys, int n)
{
	int from = 0;

	for (int i = 1; i <= n; i++)
	{
		if (i < n && CLASS_OF(keys[i].key) == CLASS_OF(keys[from].key))
			continue;
		take_class(parts, source, keys + from, i - from);
		from = i;
		CHECK_FOR_INTERRUPTS();
	}
}

/* ds_inventory_event_key_compare does the order in which keys are taken. */
int
ds_inventory_event_key_compare(const void *a, const void *b)
{
	return memcmp(((const DsEventKey *) a)->key, ((const DsEventKey *) b)->key, DS_EVENT_HASH);
}

/* unpack_keys does the keys of an SQL call: hashes of names and of bodies, ascending and different. */
static DsEventKey *
unpack_keys(ArrayType *names, ArrayType *bodies, int *n)
{
	Datum *name, *body;
	bool *ignored;
	int nbodies;
	DsEventKey *keys;

	deconstruct_array(names, BYTEAOID, -1, false, TYPALIGN_INT, &name, &ignored, n);
	deconstruct_array(bodies, BYTEAOID, -1, false, TYPALIGN_INT, &body, &ignored, &nbodies);
	keys = palloc0(sizeof(DsEventKey) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		bytea *k = DatumGetByteaPP(name[i]);
		bytea *b = DatumGetByteaPP(body[Min(i, nbodies - 1)]);

		if (*n != nbodies || VARSIZE_ANY_EXHDR(k) != DS_EVENT_HASH ||
			VARSIZE_ANY_EXHDR(b) != DS_EVENT_HASH)
			ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("keys are no hashes")));
		keys[i].key = (uint8 *) VARDATA_ANY(k);
		keys[i].body = (uint8 *) VARDATA_ANY(b);
		if (i > 0 && ds_inventory_event_key_compare(&keys[i - 1], &keys[i]) >= 0)
			ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("keys are not sorted")));
	}
	return keys;
}

/*
 * expect_visible does the check that what was taken before our snapshot can be
 * seen: otherwise nobody here can say what it was, as with any row that was
 * written since.
 */
static void
expect_visible(text *source, const DsEventKey *keys, int n)
{
	for (int i = 0; i < n; i++)
	{
		Datum values[2] = {PointerGetDatum(source), hash_datum(keys[i].key)};

		if (!keys[i].fresh && !ds_rows_find(keys[i].writer, GetActiveSnapshot(), values))
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent update"),
					 errdetail("An event was told by somebody else since the transaction began."),
					 errhint("Run the transaction again.")));
	}
}

/*
 * ds_sql_inventory_take_keys does distsync_internal.inventory_take_keys(): the
 * same for events that SQL reads. NULL: an INSERT has to do it.
 */
DS_FUNCTION_INFO_V1(ds_sql_inventory_take_keys);

Datum
ds_sql_inventory_take_keys(PG_FUNCTION_ARGS)
{
	text *source = PG_GETARG_TEXT_PP(0);
	int n;
	DsEventKey *keys = unpack_keys(PG_GETARG_ARRAYTYPE_P(1), PG_GETARG_ARRAYTYPE_P(2), &n);
	DsRowsParts *parts = ds_inventory_event_keys_open(keys, n);
	Datum *fresh;

	if (parts == NULL)
		PG_RETURN_NULL();
	ds_inventory_event_keys_take(parts, source, keys, n);
	if (IsolationUsesXactSnapshot())
		expect_visible(source, keys, n);
	ds_rows_parts_close(parts);
	CommandCounterIncrement();
	fresh = palloc(sizeof(Datum) * Max(n, 1));
	for (int i = 0; i < n; i++)
		fresh[i] = BoolGetDatum(keys[i].fresh);
	PG_RETURN_ARRAYTYPE_P(construct_array(fresh, n, BOOLOID, 1, true, TYPALIGN_CHAR));
}
