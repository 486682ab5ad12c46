/*-------------------------------------------------------------------------
 *
 * store.c
 *		Memory of the price cache.
 *
 * Each class has two generations. New values go to the young one; when the
 * whole store is over its limit, the class that is the most times its share drops
 * its old generation and its young one becomes old. Shares follow what it
 * costs to read a value again: an item takes ten times as long as a cell. What
 * a class does not use, the others may. Found values are not moved: a population that
 * fits is never read twice, one that does not is forgotten in the order it
 * came. Values lie closely, without a header each, in blocks of their
 * generation. Short words that repeat (units, currencies, group codes) are
 * kept once, up to a bound.
 *
 * Pointers into the store are good until ds_pricing_store_bound(), which is called
 * only when a call begins.
 *
 * Process: any backend. Locks: none. Memory: one context a generation below
 * the store's parent.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/store.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#define BLOCK_SIZE (32 * 1024)
#define MAX_WORDS 65536
#define MAX_WORD_LENGTH 31

/* an entry stands not farther from its place than this, most of the time */
#define FETCH_ENTRIES 4

/* the share of the limit that a class may use whatever the others do, in percent */
static const int class_share[DS_STORE_COUNT] = {3, 32, 28, 35, 2};

/* as pg_backend_memory_contexts shows them */
static const char *const class_name[DS_STORE_COUNT] = {"shared", "parties", "items", "shared rates",
													   "customers' rates"};

/* the template of the server shadows a variable of its own */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wshadow=compatible-local"
#endif

typedef struct NumberEntry
{
	DsStoreKey key;
	void *value;
	int64 n : 62;
	uint64 status : 2; /* with the number: there are many entries */
} NumberEntry;

/* mix does the spreading of a key's numbers over 32 bits. */
static inline uint32
mix(DsStoreKey key)
{
	uint64 h = (uint64) key.a * UINT64CONST(0x9e3779b97f4a7c15) +
			   (uint64) key.b * UINT64CONST(0xc2b2ae3d27d4eb4f) + (uint64) key.c;

	h ^= h >> 33;
	h *= UINT64CONST(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64CONST(0xc4ceb9fe1a85ec53);
	return (uint32) (h ^ (h >> 33));
}

#define SH_PREFIX numbers
#define SH_ELEMENT_TYPE NumberEntry
#define SH_KEY_TYPE DsStoreKey
#define SH_KEY key
#define SH_HASH_KEY(table, k) mix(k)
#define SH_EQUAL(table, x, y) ((x).a == (y).a && (x).b == (y).b && (x).c == (y).c)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* hash_of does the spreading of a code over 32 bits. */
static inline uint32
hash_of(const char *code)
{
	return hash_bytes((const unsigned char *) code, (int) strlen(code));
}

typedef struct CodeEntry
{
	const char *key;
	int64 n;
	void *value;
	uint32 hash;
	char status;
} CodeEntry;

#define SH_PREFIX codes
#define SH_ELEMENT_TYPE CodeEntry
#define SH_KEY_TYPE const char *
#define SH_KEY key
#define SH_HASH_KEY(table, k) hash_of(k)
#define SH_EQUAL(table, x, y) (strcmp((x), (y)) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(table, e) ((e)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct Generation
{
	MemoryContext context; /* NULL = there is none */
	numbers_hash *numbers;
	codes_hash *codes;
	char *free; /* rest of the current block */
	Size left;
} Generation;

typedef struct Class
{
	Generation young;
	Generation old;
} Class;

struct DsStore
{
	MemoryContext parent;
	Class classes[DS_STORE_COUNT];
	codes_hash *words; /* in TopMemoryContext, shared by all stores of the backend */
};

static codes_hash *backend_words = NULL;

/* what many values share, by names that are no words: whatever a word says, it is none of them */
static codes_hash *backend_common = NULL;

/* open_generation does the making of an empty generation. */
static void
open_generation(DsStore *store, DsStoreClass which, Generation *g)
{
	g->context = AllocSetContextCreate(store->parent, "distsync prices", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSetIdentifier(g->context, class_name[which]);
	g->numbers = numbers_create(g->context, 16, NULL);
	g->codes = codes_create(g->context, 16, NULL);
	g->free = NULL;
	g->left = 0;
}

/* ds_pricing_store_create does the making of an empty store; its classes take memory when they get something. */
DsStore *
ds_pricing_store_create(MemoryContext parent)
{
	DsStore *store = MemoryContextAllocZero(parent, sizeof(DsStore));

	if (backend_words == NULL)
	{
		backend_words = codes_create(TopMemoryContext, 64, NULL);
		backend_common = codes_create(TopMemoryContext, 64, NULL);
	}
	store->parent = parent;
	return store;
}

/* size_of does the memory of a generation. */
static Size
size_of(const Generation *g)
{
	return g->context == NULL ? 0 : MemoryContextMemAllocated(g->context, true);
}

/* ds_pricing_store_bound does the keeping of the whole below a limit, at a moment when nobody holds a pointer into the classes from one on. */
void
ds_pricing_store_bound(DsStore *store, Size limit, DsStoreClass from)
{
	for (;;)
	{
		Size total = 0;
		Size most = 0;
		Class *largest = NULL;
		int i;

		for (i = 0; i < DS_STORE_COUNT; i++)
		{
			Size size = size_of(&store->classes[i].young) + size_of(&store->classes[i].old);
			Size of_share = size / class_share[i];

			total += size;
			if (i >= (int) from && of_share > most)
			{
				most = of_share;
				largest = &store->classes[i];
			}
		}
		if (total <= limit || largest == NULL)
			return;
		if (largest->old.context != NULL)
			MemoryContextDelete(largest->old.context);
		largest->old = largest->young;
		memset(&largest->young, 0, sizeof(Generation));
	}
}

/* ds_pricing_store_fetch does the asking for the place where a value is entered under numbers, ahead of the look-up. */
void
ds_pricing_store_fetch(DsStore *store, DsStoreClass which, DsStoreKey key)
{
	const Generation *g = &store->classes[which].young;

	if (g->context != NULL)
		ds_store_fetch(&g->numbers->data[mix(key) & g->numbers->sizemask], sizeof(NumberEntry) * 2);
}

/* ds_pricing_store_fetch_code does the same for a code. */
void
ds_pricing_store_fetch_code(DsStore *store, DsStoreClass which, const char *code)
{
	const Generation *g = &store->classes[which].young;

	if (g->context != NULL)
		ds_store_fetch(&g->codes->data[hash_of(code) & g->codes->sizemask],
					   sizeof(CodeEntry) * FETCH_ENTRIES);
}

/*
 * ds_pricing_store_fetch_coded does the next step: what is probably entered
 * under the code is asked for, the code itself and so many bytes of the value.
 */
void
ds_pricing_store_fetch_coded(DsStore *store, DsStoreClass which, const char *code, Size size)
{
	const Generation *g = &store->classes[which].young;
	uint32 hash = hash_of(code);
	uint32 i;

	for (i = 0; g->context != NULL && i < FETCH_ENTRIES; i++)
	{
		const CodeEntry *e = &g->codes->data[(hash + i) & g->codes->sizemask];

		if (e->status != codes_SH_IN_USE)
			return;
		if (e->hash != hash)
			continue;
		ds_store_fetch(e->key, 1);
		ds_store_fetch(e->value, size);
		return;
	}
}

/* ds_pricing_store_find does the look-up of a value by numbers. */
DsKept
ds_pricing_store_find(DsStore *store, DsStoreClass which, DsStoreKey key)
{
	Class *class = &store->classes[which];
	DsKept kept = {NULL, 0};
	NumberEntry *e =
		class->young.context == NULL ? NULL : numbers_lookup(class->young.numbers, key);

	if (e == NULL && class->old.context != NULL)
		e = numbers_lookup(class->old.numbers, key);
	if (e != NULL)
	{
		kept.value = e->value;
		kept.n = e->n;
	}
	return kept;
}

/* ds_pricing_store_find_code does the look-up of a value by code. */
DsKept
ds_pricing_store_find_code(DsStore *store, DsStoreClass which, const char *code)
{
	Class *class = &store->classes[which];
	DsKept kept = {NULL, 0};
	uint32 hash = hash_of(code);
	CodeEntry *e =
		class->young.context == NULL ? NULL : codes_lookup_hash(class->young.codes, code, hash);

	if (e == NULL && class->old.context != NULL)
		e = codes_lookup_hash(class->old.codes, code, hash);
	if (e != NULL)
	{
		kept.value = e->value;
		kept.n = e->n;
	}
	return kept;
}

/* young does the generation that takes new values. */
static Generation *
young(DsStore *store, DsStoreClass which)
{
	Generation *g = &store->classes[which].young;

	if (g->context == NULL)
		open_generation(store, which, g);
	return g;
}

/* ds_pricing_store_keep does the entering of a value under numbers; the value lies in the store. */
void
ds_pricing_store_keep(DsStore *store, DsStoreClass which, DsStoreKey key, int64 n, void *value)
{
	bool found;
	NumberEntry *e = numbers_insert(young(store, which)->numbers, key, &found);

	e->n = n;
	e->value = value;
}

/* ds_pricing_store_keep_code does the same under a code, which lies in the store as well. */
void
ds_pricing_store_keep_code(DsStore *store, DsStoreClass which, const char *code, int64 n,
						   void *value)
{
	bool found;
	CodeEntry *e = codes_insert(young(store, which)->codes, code, &found);

	e->key = code;
	e->n = n;
	e->value = value;
}

/* ds_pricing_store_alloc does the taking of room for a value. */
void *
ds_pricing_store_alloc(DsStore *store, DsStoreClass which, Size size)
{
	Generation *g = young(store, which);
	void *result;

	size = MAXALIGN(Max(size, 1));
	if (size > BLOCK_SIZE / 4)
		return MemoryContextAllocHuge(g->context, size);
	if (size > g->left)
	{
		g->free = MemoryContextAlloc(g->context, BLOCK_SIZE);
		g->left = BLOCK_SIZE;
	}
	result = g->free;
	g->free += size;
	g->left -= size;
	return result;
}

/* ds_pricing_store_copy does the copying of a value into the store. */
void *
ds_pricing_store_copy(DsStore *store, DsStoreClass which, const void *what, Size size)
{
	return size == 0 ? NULL : memcpy(ds_pricing_store_alloc(store, which, size), what, size);
}

/* ds_pricing_store_string does the copying of a text; NULL stays NULL. */
const char *
ds_pricing_store_string(DsStore *store, DsStoreClass which, const char *text)
{
	return text == NULL ? NULL : ds_pricing_store_copy(store, which, text, strlen(text) + 1);
}

/* ds_pricing_store_intern does the same for words that repeat: each is kept once for the life of the backend, as long as there are not too many. */
const char *
ds_pricing_store_intern(DsStore *store, DsStoreClass which, const char *text)
{
	CodeEntry *e;
	bool found;

	if (text == NULL)
		return NULL;
	e = codes_lookup(backend_words, text);
	if (e != NULL)
		return e->key;
	if (strlen(text) > MAX_WORD_LENGTH || backend_words->members >= MAX_WORDS)
		return ds_pricing_store_string(store, which, text);
	text = MemoryContextStrdup(TopMemoryContext, text);
	e = codes_insert(backend_words, text, &found);
	e->key = text;
	return e->key;
}

/*
 * ds_pricing_store_common does the look-up of what many values share, by a
 * name that says all of it: room for it, kept for the life of the backend.
 * made says that it is new and must be filled. NULL = there are too many.
 */
void *
ds_pricing_store_common(const char *name, Size size, bool *made)
{
	CodeEntry *e = codes_lookup(backend_common, name);
	bool found;

	*made = e == NULL;
	if (e != NULL)
		return e->value;
	if (backend_common->members >= MAX_WORDS)
		return NULL;
	name = MemoryContextStrdup(TopMemoryContext, name);
	e = codes_insert(backend_common, name, &found);
	e->key = name;
	e->value = MemoryContextAllocZero(TopMemoryContext, size);
	return e->value;
}
