/*-------------------------------------------------------------------------
 *
 * hint.c
 *		Where rows were found: shared by all backends, never trusted.
 *
 * A look-up by an index touches three pages of it before the row, and in a
 * large table most of them are in no cache of the processor. A hint tells
 * where the chain of the row begins and in which buffer its page was; whoever
 * goes there looks at what is there under its own snapshot, and compares the
 * keys. A unique index lets a snapshot see one row with a key: what has the key
 * and is seen is the right row, whenever the hint was kept. So hints need no
 * invalidation: VACUUM, a row that moved, a table that was made anew or two
 * names that look alike cost a look-up, no more. Nor do they need a lock: a
 * hint that is read while it is written is one more that leads nowhere.
 *
 * Names are hashes of database, table and keys. A line of the processor's cache
 * holds five hints; a name belongs to one line, or to the one beside it where
 * that is full, and what is full forgets.
 *
 * Process: any backend; memory comes with shared_preload_libraries, without it
 * nothing is kept. Locks: a share lock on an index page. Memory: shared, as
 * distsync.hint_cache says.
 *
 *-------------------------------------------------------------------------
 */
#include "base/hint.h"

#include "access/heapam.h"
#include "access/nbtree.h"
#include "access/relscan.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "storage/smgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/rel.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/shmem.h"

#define LINE_BYTES 64
#define HINTS 5
/* a line and the one beside it, which a processor fetches together */
#define PAIR_BYTES (2 * LINE_BYTES)

/* A hint as it is kept; offset 0 = free. */
typedef struct Kept
{
	BlockNumber block;
	Buffer buffer;
	OffsetNumber offset;
	uint16 tag; /* part of the name */
} Kept;

typedef union Line
{
	Kept kept[HINTS];
	char bytes[LINE_BYTES];
} Line;

static Line *lines = NULL;
static uint64 nlines = 0;

/* how many pages are not worth it, since the last one found its lines full, or its entries known */
#define CROWDED 1000
#define KNOWN 100
static int crowded = 0;

/* a page with less room is cleaned up when it is visited */
#define CROWDED_PAGE (BLCKSZ / 8)

/* hint_size does the size of the memory: whole pairs of lines, and one to begin at a pair. */
static Size
hint_size(void)
{
	return ds_guc_hint_cache == 0 ? 0 : (Size) ds_guc_hint_cache * 1024 + PAIR_BYTES;
}

/* attach_hints does the taking of the memory; zeros are free hints. */
static void
attach_hints(void *memory, LWLock *lock, bool found)
{
	lines = (Line *) TYPEALIGN(PAIR_BYTES, memory);
	nlines = (uint64) ds_guc_hint_cache * 1024 / PAIR_BYTES * 2;
}

/* ds_hint_init does the request for shared memory, from _PG_init. */
void
ds_hint_init(void)
{
	static const DsShmemPart part = {"distsync hints", hint_size, attach_hints};

	if (ds_guc_hint_cache > 0)
		ds_shmem_add(&part);
}

/* mix does the joining of two hashes. */
static inline uint64
mix(uint64 name, uint64 more)
{
	return (name ^ more) * UINT64CONST(0x9E3779B97F4A7C15) ^ (name >> 29);
}

/*
 * ds_hint_name does the name of a row by its keys, which are bigint or text
 * and not null; 0 = it has none, because hints are not kept or a key is not
 * plain.
 */
uint64
ds_hint_name(Oid relid, const Datum *keys, const Oid *types, int nkeys)
{
	uint64 name = ((uint64) MyDatabaseId << 32) | relid;

	if (nlines == 0)
		return 0;
	for (int i = 0; i < nkeys; i++)
	{
		uint64 more;

		if (types[i] == INT8OID)
			more = (uint64) DatumGetInt64(keys[i]);
		else
		{
			struct varlena *text = (struct varlena *) DatumGetPointer(keys[i]);

			if (types[i] != TEXTOID || VARATT_IS_COMPRESSED(text) || VARATT_IS_EXTERNAL(text))
				return 0;
			more = hash_bytes_extended((const unsigned char *) VARDATA_ANY(text),
									   (int) VARSIZE_ANY_EXHDR(text), 0);
		}
		name = mix(name, more);
	}
	name = mix(name, UINT64CONST(0x8EBC6AF09C88C6E3));
	return name == 0 ? 1 : name;
}

/* line_of does the line of a name. */
static inline Line *
line_of(uint64 name)
{
	return &lines[((name & PG_UINT32_MAX) * nlines) >> 32];
}

/* tag_of does the part of a name that is kept. */
static inline uint16
tag_of(uint64 name)
{
	return (uint16) (name >> 48);
}

/* beside does the other line of a pair. */
static inline Line *
beside(Line *line)
{
	return &lines[(line - lines) ^ 1];
}

/* find_in does the look-up of a tag in a line; NULL = it is not there. */
static inline Kept *
find_in(Line *line, uint16 tag)
{
	for (int i = 0; i < HINTS; i++)
	{
		if (line->kept[i].tag == tag && line->kept[i].offset != InvalidOffsetNumber)
			return &line->kept[i];
	}
	return NULL;
}

/* free_in does the look for a free hint in a line; NULL = it is full. */
static inline Kept *
free_in(Line *line)
{
	for (int i = 0; i < HINTS; i++)
	{
		if (line->kept[i].offset == InvalidOffsetNumber)
			return &line->kept[i];
	}
	return NULL;
}

/* ds_hint_find does the look-up of the hint of a name. False: it is not known. */
bool
ds_hint_find(uint64 name, DsHint *hint)
{
	const Kept *found;
	Kept kept;

	if (name == 0)
		return false;
	found = find_in(line_of(name), tag_of(name));
	if (found == NULL)
		found = find_in(beside(line_of(name)), tag_of(name));
	if (found == NULL)
		return false;
	kept = *found;
	/* somebody may have written it meanwhile */
	if (kept.tag != tag_of(name) || kept.offset == InvalidOffsetNumber)
		return false;
	ItemPointerSet(&hint->tid, kept.block, kept.offset);
	hint->buffer = kept.buffer > 0 && kept.buffer <= NBuffers ? kept.buffer : InvalidBuffer;
	return true;
}

/*
 * What is asked for ahead is on its way to the processor's cache while
 * something else is done: first the line of a name, then what stands at the
 * head of the page and its buffer, then the row. Nothing is locked or believed.
 */

/* ds_hint_line_ahead does the asking for the line of a name. */
void
ds_hint_line_ahead(uint64 name)
{
	if (name != 0)
		__builtin_prefetch(line_of(name));
}

/* item_of does the place of the pointer to a row in its page. */
static inline const char *
item_of(const DsHint *hint)
{
	return (const char *) BufferGetBlock(hint->buffer) + SizeOfPageHeaderData +
		   (ItemPointerGetOffsetNumberNoCheck(&hint->tid) - 1) * sizeof(ItemIdData);
}

/* ds_hint_page_ahead does the asking for the page that the hint of a name leads to. False: there is none, or its buffer is not known. */
bool
ds_hint_page_ahead(uint64 name, DsHint *hint)
{
	if (!ds_hint_find(name, hint) || !BufferIsValid(hint->buffer) ||
		ItemPointerGetOffsetNumberNoCheck(&hint->tid) > MaxHeapTuplesPerPage)
		return false;
	__builtin_prefetch(GetBufferDescriptor(hint->buffer - 1));
	__builtin_prefetch(BufferGetBlock(hint->buffer));
	__builtin_prefetch(item_of(hint));
	return true;
}

/* bytes of a row that are asked for: most are as long */
#define ROW_BYTES 320

/* ds_hint_row_ahead does the asking for the row where its page says that it is, now. */
void
ds_hint_row_ahead(const DsHint *hint)
{
	ItemIdData item;
	const char *page = (const char *) BufferGetBlock(hint->buffer);

	memcpy(&item, item_of(hint), sizeof(item));
	for (unsigned at = ItemIdGetOffset(&item);
		 at < ItemIdGetOffset(&item) + ROW_BYTES && at < BLCKSZ; at += LINE_BYTES)
		__builtin_prefetch(page + at);
}

/* place_of does the finding of the place of a name: where it is, else a free one; NULL = both lines are full. */
static inline Kept *
place_of(uint64 name, bool *known)
{
	Line *line = line_of(name);
	Kept *place = find_in(line, tag_of(name));

	if (place == NULL)
		place = find_in(beside(line), tag_of(name));
	*known = place != NULL;
	if (place == NULL)
		place = free_in(line);
	return place != NULL ? place : free_in(beside(line));
}

/*
 * ds_hint_keep does the keeping of a hint: where the name is, otherwise in a
 * free hint, otherwise in one that the name chooses.
 */
void
ds_hint_keep(uint64 name, const DsHint *hint)
{
	Kept *place;
	bool known;

	if (name == 0)
		return;
	place = place_of(name, &known);
	if (place == NULL)
		place = &line_of(name)->kept[(name >> 32) % HINTS];
	*place = (Kept){ItemPointerGetBlockNumber(&hint->tid), hint->buffer,
					ItemPointerGetOffsetNumber(&hint->tid), tag_of(name)};
}

/*
 * ds_hint_blocks does the number of blocks that a table has at least. What
 * the storage manager remembers may be too small, which is no harm, but never
 * too large: truncation waits for our lock and tells everybody before it goes.
 */
BlockNumber
ds_hint_blocks(Relation relation)
{
	BlockNumber n = RelationGetSmgr(relation)->smgr_cached_nblocks[MAIN_FORKNUM];

	return n != InvalidBlockNumber ? n : RelationGetNumberOfBlocks(relation);
}

/*
 * ds_hint_follow does the reading of the row that a snapshot sees in the chain
 * that a hint leads to, into a slot of the table's own kind; its buffer is told.
 * False: there is none.
 */
bool
ds_hint_follow(DsHint *hint, Relation relation, Snapshot snapshot, TupleTableSlot *slot)
{
	static uint32 visits = 0;
	HeapTuple row = &((BufferHeapTupleTableSlot *) slot)->base.tupdata;
	BlockNumber block = ItemPointerGetBlockNumber(&hint->tid);
	ItemPointerData tid = hint->tid;
	Buffer buffer = hint->buffer;
	bool found;

	ExecClearTuple(slot);
	/* now and then the long way: the short one does not tell the server that the page is in use */
	if (!BufferIsValid(buffer) || visits++ % 8 == 0 ||
		!ds_compat_read_recent_buffer(relation, block, buffer))
	{
		if (block >= ds_hint_blocks(relation))
			return false;
		buffer = ReadBuffer(relation, block);
	}
	/* to prune at each visit, as the server does in a table that keeps room for updates, costs more than a chain of a few versions */
	if (PageGetHeapFreeSpace(BufferGetPage(buffer)) < CROWDED_PAGE)
		heap_page_prune_opt(relation, buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(&tid, relation, buffer, snapshot, row, NULL, true);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	hint->buffer = buffer;
	if (!found)
	{
		ReleaseBuffer(buffer);
		return false;
	}
	row->t_self = tid;
	row->t_tableOid = RelationGetRelid(relation);
	ExecStorePinnedBufferHeapTuple(row, slot, buffer);
	return true;
}

/* ds_hint_fits does the question whether a row has these keys, byte for byte. */
bool
ds_hint_fits(TupleTableSlot *slot, const AttrNumber *attnos, const Oid *types, const Datum *keys,
			 int nkeys)
{
	for (int i = 0; i < nkeys; i++)
	{
		bool isnull;
		Datum value = slot_getattr(slot, attnos[i], &isnull);

		if (isnull || !datum_image_eq(value, keys[i], types[i] == INT8OID,
									  types[i] == INT8OID ? sizeof(int64) : -1))
			return false;
	}
	return true;
}

/* What became of the entries of an index page. */
typedef struct PageKept
{
	int n;
	int known;
	int lost; /* there was no room */
} PageKept;

/* keep_entry does the keeping of the hint that an index entry leads to, where it is not known and something is free. */
static void
keep_entry(Oid relid, Relation index, IndexTuple entry, const Oid *types, int nkeys, PageKept *page)
{
	Datum keys[INDEX_MAX_KEYS];
	bool isnull = false;
	bool known;
	uint64 name;
	Kept *place;

	if (BTreeTupleIsPivot(entry) || BTreeTupleIsPosting(entry))
		return;
	for (int i = 0; i < nkeys && !isnull; i++)
		keys[i] = index_getattr(entry, i + 1, RelationGetDescr(index), &isnull);
	name = isnull ? 0 : ds_hint_name(relid, keys, types, nkeys);
	if (name == 0)
		return;
	place = place_of(name, &known);
	page->n++;
	page->known += known;
	page->lost += place == NULL;
	if (place != NULL && !known)
		*place = (Kept){ItemPointerGetBlockNumber(&entry->t_tid), InvalidBuffer,
						ItemPointerGetOffsetNumber(&entry->t_tid), tag_of(name)};
}

/*
 * ds_hint_keep_page does the keeping of all hints on the index page that a
 * scan of a unique B-tree has just found a row through: whoever asks for one
 * row will ask for others, and the page is in the processor's cache now. Where
 * there is little room left, or little that was not known, it is not done for a
 * while: then hints are kept one by one, and push out others.
 */
void
ds_hint_keep_page(Oid relid, IndexScanDesc scan, const Oid *types, int nkeys)
{
	BlockNumber block = ((BTScanOpaque) scan->opaque)->currPos.currPage;
	Relation index = scan->indexRelation;
	Buffer buffer;
	Page page;
	PageKept kept = {0};

	if (nlines == 0 || !BlockNumberIsValid(block) || crowded-- > 0)
		return;
	crowded = 0;
	buffer = ReadBuffer(index, block);
	LockBuffer(buffer, BT_READ);
	page = BufferGetPage(buffer);
	if (!PageIsNew(page) && P_ISLEAF(BTPageGetOpaque(page)) && !P_IGNORE(BTPageGetOpaque(page)))
	{
		OffsetNumber last = PageGetMaxOffsetNumber(page);

		for (OffsetNumber o = P_FIRSTDATAKEY(BTPageGetOpaque(page)); o <= last; o++)
		{
			ItemId item = PageGetItemId(page, o);

			if (!ItemIdIsDead(item))
				keep_entry(relid, index, (IndexTuple) PageGetItem(page, item), types, nkeys, &kept);
		}
	}
	UnlockReleaseBuffer(buffer);
	if (kept.lost > kept.n / 4)
		crowded = CROWDED;
	else if (kept.known > kept.n / 2)
		crowded = KNOWN;
}
