/*-------------------------------------------------------------------------
 *
 * epoch.c
 *		What is current: the rows of dist.epoch under the caller's snapshot.
 *
 * A row never leaves its page as long as the page has room (fillfactor 10),
 * so where its chain begins is remembered for this backend, and one look at a
 * page that is surely in memory answers. A remembered place may be wrong after
 * VACUUM FULL or a row that moved: then the row found there has another key or
 * none is visible, and the index is asked. Two rows with one key are never
 * visible to one snapshot, so a row with the right key is the right one.
 *
 * No row moves without the price clock, and writers commit in the order of
 * their stamps: two snapshots that see one number of the clock see one number
 * of every row. So a call reads the clock, and other rows only where they were
 * not read under that number before.
 *
 * Process: any backend. Locks: AccessShareLock on the table; a share lock on
 * one buffer for the look. Memory: none of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "access/heapam.h"
#include "access/xact.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/hint.h"

#define BUCKETS (DS_EPOCH_BUCKETS + 1)

enum
{
	EPOCH_DOMAIN,
	EPOCH_BUCKET,
	EPOCH_N,
	EPOCH_STAMPED_AT
};

static DsTable epoch_table = {
	.name = "epoch",
	.index = "epoch_pk",
	.keys = {"domain", "bucket"},
	.columns = {"domain", "bucket", "n", "stamped_at"},
};

static const char *const domain_words[] = {"clock", "price", "item"};

/* where the chain of each row begins, and in which table that was */
static ItemPointerData places[3][BUCKETS];
static Oid places_of = InvalidOid;

/* the number of each row, and of the clock when it was read */
typedef struct Told
{
	int64 clock;
	int64 n;
} Told;

static Told told[3][BUCKETS];

/* ds_pricing_bucket does the choice of the row of a party or an item. */
int
ds_pricing_bucket(int64 id)
{
	return 1 + (int) (id % DS_EPOCH_BUCKETS);
}

/* take does the reading of a row that the reader stands on. */
static DsEpoch
take(DsReader *reader, TransactionId xmin)
{
	DsEpoch epoch;

	epoch.n = DatumGetInt64(reader->values[EPOCH_N]);
	epoch.stamp = DatumGetTimestampTz(reader->values[EPOCH_STAMPED_AT]);
	epoch.mine = TransactionIdIsValid(xmin) && TransactionIdIsCurrentTransactionId(xmin);
	return epoch;
}

/* at_place does the look at a remembered place. False: the row is not there. */
static bool
at_place(DsReader *reader, BlockNumber nblocks, DsEpochDomain domain, int bucket, DsEpoch *epoch)
{
	ItemPointerData tid = places[domain][bucket];
	Relation relation = reader->relation;
	TupleDesc desc = RelationGetDescr(relation);
	DsTable *table = reader->table;
	HeapTupleData tuple;
	Buffer buffer;
	bool found;

	if (!ItemPointerIsValid(&tid) || ItemPointerGetBlockNumber(&tid) >= nblocks)
		return false;
	buffer = ReadBuffer(relation, ItemPointerGetBlockNumber(&tid));
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(&tid, relation, buffer, reader->snapshot, &tuple, NULL, true);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	if (found)
	{
		bool isnull;
		text *name =
			DatumGetTextPP(heap_getattr(&tuple, table->attnos[EPOCH_DOMAIN], desc, &isnull));
		const char *word = domain_words[domain];

		found = VARSIZE_ANY_EXHDR(name) == strlen(word) &&
				memcmp(VARDATA_ANY(name), word, strlen(word)) == 0 &&
				DatumGetInt16(heap_getattr(&tuple, table->attnos[EPOCH_BUCKET], desc, &isnull)) ==
					bucket;
		epoch->n = DatumGetInt64(heap_getattr(&tuple, table->attnos[EPOCH_N], desc, &isnull));
		epoch->stamp = DatumGetTimestampTz(
			heap_getattr(&tuple, table->attnos[EPOCH_STAMPED_AT], desc, &isnull));
		epoch->mine = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple.t_data));
	}
	ReleaseBuffer(buffer);
	return found;
}

/*
 * read_row does the reading of one row. A row that is missing reads as moved
 * by this transaction: then nothing is taken from the cache.
 */
static DsEpoch
read_row(DsCall *call, DsEpochDomain domain, int bucket)
{
	DsReader *reader;
	DsEpoch epoch = {0, DT_NOBEGIN, true};
	Datum keys[2];

	if (call->epochs == NULL)
	{
		call->epochs = ds_reader_open(&epoch_table);
		if (call->epochs->relation != NULL)
			call->epoch_blocks = ds_hint_blocks(call->epochs->relation);
	}
	reader = call->epochs;
	if (reader->relation != NULL && !IsolationIsSerializable())
	{
		if (places_of != RelationGetRelid(reader->relation))
		{
			memset(places, 0xff, sizeof(places));
			memset(told, 0, sizeof(told));
			places_of = RelationGetRelid(reader->relation);
		}
		if (at_place(reader, call->epoch_blocks, domain, bucket, &epoch))
			return epoch;
	}
	keys[0] = CStringGetTextDatum(domain_words[domain]);
	keys[1] = Int16GetDatum((int16) bucket);
	ds_reader_seek(reader, keys, 2);
	if (reader->relation == NULL)
		return ds_reader_next(reader) ? take(reader, GetTopTransactionIdIfAny()) : epoch;
	if (ds_reader_next_tid(reader, &places[domain][bucket]))
	{
		HeapTuple tuple = ((BufferHeapTupleTableSlot *) reader->slot)->base.tuple;

		epoch = take(reader, HeapTupleHeaderGetXmin(tuple->t_data));
	}
	return epoch;
}

/* ds_pricing_clock does the reading of the price clock, which a call begins with. */
DsEpoch
ds_pricing_clock(DsCall *call)
{
	call->clock = read_row(call, DS_EPOCH_CLOCK, 0);
	return call->clock;
}

/* ds_pricing_epoch does the look-up of the number of a row; what this transaction moved is never remembered. */
DsEpoch
ds_pricing_epoch(DsCall *call, DsEpochDomain domain, int bucket)
{
	Told *t = &told[domain][bucket];
	DsEpoch epoch = {t->n, call->clock.stamp, false};

	if (!call->clock.mine && t->clock == call->clock.n && t->clock != 0)
		return epoch;
	epoch = read_row(call, domain, bucket);
	if (!call->clock.mine && !epoch.mine)
	{
		t->clock = call->clock.n;
		t->n = epoch.n;
	}
	return epoch;
}
