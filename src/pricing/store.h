/*-------------------------------------------------------------------------
 *
 * store.h
 *		Memory of the price cache: values found by number or by code, laid
 *		closely, the oldest half of a class forgotten at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_STORE_H
#define DS_PRICING_STORE_H

#include "postgres.h"

#include "nodes/memnodes.h"

/* the parts of the cache that grow and are forgotten by themselves */
typedef enum DsStoreClass
{
	DS_STORE_SHARED,	  /* policy, currencies, assignments, versions of shared agreements */
	DS_STORE_PARTY,		  /* parties with their own rate sets */
	DS_STORE_ITEM,		  /* items with their targets and units */
	DS_STORE_SHARED_CELL, /* rates of shared rate sets */
	DS_STORE_OWN_CELL,	  /* rates of customers */
	DS_STORE_COUNT
} DsStoreClass;

typedef struct DsStore DsStore;

/* The key of a value that is found by numbers. */
typedef struct DsStoreKey
{
	int64 a;
	int64 b;
	int64 c;
} DsStoreKey;

/* What is kept: a value and the epoch it was read under. */
typedef struct DsKept
{
	void *value; /* NULL = nothing is kept */
	int64 n;
} DsKept;

extern DsStore *ds_pricing_store_create(MemoryContext parent);
extern void ds_pricing_store_bound(DsStore *store, Size limit, DsStoreClass from);
extern void ds_pricing_store_fetch(DsStore *store, DsStoreClass class, DsStoreKey key);
extern void ds_pricing_store_fetch_code(DsStore *store, DsStoreClass class, const char *code);
extern void ds_pricing_store_fetch_coded(DsStore *store, DsStoreClass class, const char *code,
										 Size size);
extern DsKept ds_pricing_store_find(DsStore *store, DsStoreClass class, DsStoreKey key);
extern DsKept ds_pricing_store_find_code(DsStore *store, DsStoreClass class, const char *code);
extern void ds_pricing_store_keep(DsStore *store, DsStoreClass class, DsStoreKey key, int64 n,
								  void *value);
extern void ds_pricing_store_keep_code(DsStore *store, DsStoreClass class, const char *code,
									   int64 n, void *value);
extern void *ds_pricing_store_alloc(DsStore *store, DsStoreClass class, Size size);
extern void *ds_pricing_store_copy(DsStore *store, DsStoreClass class, const void *what, Size size);
extern const char *ds_pricing_store_string(DsStore *store, DsStoreClass class, const char *text);
extern const char *ds_pricing_store_intern(DsStore *store, DsStoreClass class, const char *text);
extern void *ds_pricing_store_common(const char *name, Size size, bool *made);

/* ds_store_fetch does the asking for memory of the store, so that it comes while other things are done: it is rarely in the processor's cache. */
static inline void
ds_store_fetch(const void *at, Size size)
{
	Size i;

	for (i = 0; i < size; i += 64)
		__builtin_prefetch((const char *) at + i);
}

#endif /* DS_PRICING_STORE_H */
