/*-------------------------------------------------------------------------
 *
 * cache.c
 *		What a backend keeps of prices between calls, and what of it counts.
 *
 * Two kinds of content, and no other: cells are immutable (rates of a
 * published rate set) and need no check; everything else carries the number of
 * the epoch row it was read under, and counts only for a snapshot that sees
 * the same number. A snapshot that sees another one, older or newer, reads
 * anew; newer content stays kept. What a transaction wrote itself, what is
 * asked with known_at and what a SERIALIZABLE transaction reads is never kept:
 * it lives in a store of the call.
 *
 * Process: any backend. Locks: none. Memory: the backend's store below
 * TopMemoryContext, the call's below the call; reading happens in a context
 * that is emptied afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "base/compat.h"
#include "base/guc.h"
#include "pricing/pack.h"

/* about as much as most parties and items take: they lie in one piece */
#define PARTY_BYTES 1024
#define ITEM_BYTES 192

static DsStore *backend_store = NULL;
static MemoryContext reading = NULL;

/* ds_pricing_begin does the opening of the cache for a call, and keeps its size in bounds: here nobody holds a pointer into it. */
void
ds_pricing_begin(DsCall *call)
{
	if (backend_store == NULL)
	{
		backend_store = ds_pricing_store_create(TopMemoryContext);
		reading = AllocSetContextCreate(TopMemoryContext, "distsync prices being read",
										ALLOCSET_DEFAULT_SIZES);
	}
	ds_pricing_store_bound(backend_store, (Size) ds_guc_price_cache * 1024, DS_STORE_SHARED);
	call->alone |= IsolationIsSerializable();
}

/* ds_pricing_end does the closing of what the call opened. */
void
ds_pricing_end(DsCall *call)
{
	if (call->epochs != NULL)
		ds_reader_close(call->epochs);
	if (call->customer_rates != NULL)
		ds_reader_close(call->customer_rates);
	if (call->book_rates != NULL)
		ds_reader_close(call->book_rates);
	if (call->pages != NULL)
		ds_reader_close(call->pages);
}

/* call_store does the choice of the call's own store. */
static DsStore *
call_store(DsCall *call)
{
	if (call->store == NULL)
		call->store = ds_pricing_store_create(call->context);
	return call->store;
}

/*
 * store_for does the choice of the store for content of an epoch row: the
 * backend's with the row's number, or the call's own, whose content holds as
 * long as the call.
 */
static DsStore *
store_for(DsCall *call, DsEpochDomain domain, int bucket, int64 *n)
{
	*n = 0;
	if (!call->alone)
	{
		DsEpoch epoch = ds_pricing_epoch(call, domain, bucket);

		if (!epoch.mine)
		{
			*n = epoch.n;
			return backend_store;
		}
	}
	return call_store(call);
}

/* shared_store does the same for content of the shared row, which a call reads once. */
static DsStore *
shared_store(DsCall *call, int64 *n)
{
	if (call->shared_store == NULL)
		call->shared_store = store_for(call, DS_EPOCH_PRICE, 0, &call->shared_n);
	*n = call->shared_n;
	return call->shared_store;
}

/*
 * look does the look-up of current content by number. Where there is none, it
 * says where to put what must be read: an old snapshot does not replace newer
 * content, it gets a place in the call's store.
 */
static void *
look(DsCall *call, DsStore **store, DsStoreClass class, DsStoreKey key, int64 *n)
{
	DsKept kept = ds_pricing_store_find(*store, class, key);

	if (kept.value != NULL && kept.n > *n)
	{
		*store = call_store(call);
		*n = 0;
		kept = ds_pricing_store_find(*store, class, key);
	}
	return kept.value != NULL && kept.n == *n ? kept.value : NULL;
}

/* read_begin does the switch to the context in which rows are read. Readings nest: only the outermost empties it. */
static MemoryContext
read_begin(DsCall *call)
{
	if (call->readings++ == 0)
		MemoryContextReset(reading);
	return MemoryContextSwitchTo(reading);
}

/* read_end does the way back. */
static void
read_end(DsCall *call, MemoryContext old)
{
	MemoryContextSwitchTo(old);
	call->readings--;
}

/* expect does a step of asking for the memory of what is entered under a code. */
static void
expect(DsStoreClass class, const char *code, Size bytes, int step)
{
	if (backend_store == NULL || code == NULL)
		return;
	if (step == 0)
		ds_pricing_store_fetch_code(backend_store, class, code);
	else
		ds_pricing_store_fetch_coded(backend_store, class, code, bytes);
}

/* ds_pricing_expect_party does the asking for the memory of a party that will be looked up, in two steps: where it is entered, and what is entered there. */
void
ds_pricing_expect_party(const char *code, int step)
{
	expect(DS_STORE_PARTY, code, PARTY_BYTES, step);
}

/* ds_pricing_expect_item does the same for an item. */
void
ds_pricing_expect_item(const char *sku, int step)
{
	expect(DS_STORE_ITEM, sku, ITEM_BYTES, step);
}

/* ds_pricing_shared does the look-up of what everybody shares. */
const DsShared *
ds_pricing_shared(DsCall *call)
{
	DsStoreKey key = {-1, 0, 0};
	int64 n;
	DsStore *store = shared_store(call, &n);
	DsShared *shared = look(call, &store, DS_STORE_SHARED, key, &n);

	if (shared == NULL)
	{
		MemoryContext old = read_begin(call);

		shared = ds_pricing_pack_shared(store, DS_STORE_SHARED, ds_pricing_load_shared(call));
		read_end(call, old);
		ds_pricing_store_keep(store, DS_STORE_SHARED, key, n, shared);
	}
	return shared;
}

/* ds_pricing_party does the look-up of a party; NULL = there is none. */
const DsParty *
ds_pricing_party(DsCall *call, int64 party_id)
{
	DsStoreKey key = {party_id, 0, 0};
	int64 n;
	DsStore *store = store_for(call, DS_EPOCH_PRICE, ds_pricing_bucket(party_id), &n);
	DsParty *party = look(call, &store, DS_STORE_PARTY, key, &n);

	if (party == NULL)
	{
		MemoryContext old = read_begin(call);

		party = ds_pricing_load_party(call, party_id);
		if (party != NULL)
			party = ds_pricing_pack_party(store, DS_STORE_PARTY, party);
		read_end(call, old);
		if (party != NULL)
			ds_pricing_store_keep(store, DS_STORE_PARTY, key, n, party);
	}
	else
		ds_store_fetch(party, PARTY_BYTES);
	return party;
}

/* ds_pricing_item does the look-up of an item; NULL = there is none. */
const DsItem *
ds_pricing_item(DsCall *call, int64 item_id)
{
	DsStoreKey key = {item_id, 0, 0};
	int64 n;
	DsStore *store = store_for(call, DS_EPOCH_ITEM, ds_pricing_bucket(item_id), &n);
	DsItem *item = look(call, &store, DS_STORE_ITEM, key, &n);

	if (item == NULL)
	{
		MemoryContext old = read_begin(call);

		item = ds_pricing_load_item(call, item_id);
		if (item != NULL)
			item = ds_pricing_pack_item(store, DS_STORE_ITEM, item);
		read_end(call, old);
		if (item != NULL)
			ds_pricing_store_keep(store, DS_STORE_ITEM, key, n, item);
	}
	return item;
}

/*
 * ds_pricing_party_of does the look-up of a party by code, or the error that
 * names the field. What is kept under a code holds while the party has not
 * changed: renaming it moves its epoch.
 */
const DsParty *
ds_pricing_party_of(DsCall *call, const char *code, const char *field)
{
	DsKept kept = {NULL, 0};
	const DsParty *party;
	int64 n;

	if (!call->alone)
		kept = ds_pricing_store_find_code(backend_store, DS_STORE_PARTY, code);
	if (kept.value != NULL)
	{
		party = kept.value;
		if (store_for(call, DS_EPOCH_PRICE, ds_pricing_bucket(party->party_id), &n) ==
				backend_store &&
			n == kept.n)
			return party;
	}
	party = ds_pricing_party(call, ds_pricing_find(call, "party", code, field));
	/* cannot happen: it was just found by its code in the same snapshot */
	if (party == NULL)
		elog(ERROR, "party \"%s\" is gone", code);
	if (!call->alone && strcmp(party->code, code) == 0)
	{
		DsKept same = ds_pricing_store_find(backend_store, DS_STORE_PARTY,
											(DsStoreKey){party->party_id, 0, 0});

		if (same.value == party)
			ds_pricing_store_keep_code(backend_store, DS_STORE_PARTY, party->code, same.n,
									   unconstify(DsParty *, party));
	}
	return party;
}

/* keep_item does the reading of an item that is to be found by its code: most are asked for in no other way. */
static const DsItem *
keep_item(DsCall *call, DsStore *store, const char *sku, int64 item_id, int64 n)
{
	MemoryContext old = read_begin(call);
	DsItem *read = ds_pricing_load_item(call, item_id);

	/* cannot happen: it was just found in the same snapshot */
	if (read == NULL)
		elog(ERROR, "item \"%s\" is gone", sku);
	read = ds_pricing_pack_item(store, DS_STORE_ITEM, read);
	read_end(call, old);
	if (strcmp(read->sku, sku) == 0)
		ds_pricing_store_keep_code(store, DS_STORE_ITEM, read->sku, n, read);
	return read;
}

/* ds_pricing_item_listed does the look-up of an item that a list of all items says is there. */
const DsItem *
ds_pricing_item_listed(DsCall *call, const char *sku, int64 item_id)
{
	int64 n;
	DsStore *store = store_for(call, DS_EPOCH_ITEM, ds_pricing_bucket(item_id), &n);
	DsKept kept = ds_pricing_store_find_code(store, DS_STORE_ITEM, sku);

	if (kept.value != NULL && kept.n == n && ((const DsItem *) kept.value)->item_id == item_id)
		return kept.value;
	/* what must not be kept, or is newer than the snapshot, is read for this line only */
	if (store != backend_store || (kept.value != NULL && kept.n > n))
		return ds_pricing_load_item(call, item_id);
	return keep_item(call, store, sku, item_id, n);
}

/* ds_pricing_trim does the keeping of the cache in bounds within a call, at a moment when nobody holds an item or rates. */
void
ds_pricing_trim(DsCall *call)
{
	if (call->recent != NULL)
		memset(call->recent, 0, sizeof(DsRecent) * DS_RECENT);
	ds_pricing_store_bound(backend_store, (Size) ds_guc_price_cache * 1024, DS_STORE_ITEM);
}

/* ds_pricing_item_of does the look-up of an item by SKU, or the error that names the field. */
const DsItem *
ds_pricing_item_of(DsCall *call, const char *sku, const char *field)
{
	DsKept kept = {NULL, 0};
	const DsItem *item;
	DsStore *store;
	int64 item_id;
	int64 n;

	if (!call->alone)
		kept = ds_pricing_store_find_code(backend_store, DS_STORE_ITEM, sku);
	if (kept.value != NULL)
	{
		item = kept.value;
		if (store_for(call, DS_EPOCH_ITEM, ds_pricing_bucket(item->item_id), &n) == backend_store &&
			n == kept.n)
			return item;
	}
	item_id = ds_pricing_find(call, "item", sku, field);
	store = store_for(call, DS_EPOCH_ITEM, ds_pricing_bucket(item_id), &n);
	if (store == backend_store && kept.n <= n)
		return keep_item(call, store, sku, item_id, n);
	return ds_pricing_item(call, item_id);
}

/* ds_pricing_agreement does the look-up of the shared rate sets of an agreement. */
const DsParts *
ds_pricing_agreement(DsCall *call, int64 agreement_id)
{
	DsStoreKey key = {agreement_id, 0, 0};
	int64 n;
	DsStore *store;
	DsParts *parts;
	const DsParts *laid =
		call->overlay != NULL ? ds_pricing_overlay_agreement(call, agreement_id) : NULL;

	if (laid != NULL)
		return laid;
	store = shared_store(call, &n);
	parts = look(call, &store, DS_STORE_SHARED, key, &n);
	if (parts == NULL)
	{
		MemoryContext old = read_begin(call);
		DsParts read;

		ds_pricing_load_parts(call, 0, agreement_id, &read);
		parts = ds_pricing_store_alloc(store, DS_STORE_SHARED, sizeof(DsParts));
		ds_pricing_pack_parts(store, DS_STORE_SHARED, &read, parts);
		read_end(call, old);
		ds_pricing_store_keep(store, DS_STORE_SHARED, key, n, parts);
	}
	return parts;
}

/* ds_pricing_assigned does the look-up of the agreements that are assigned to a kind of buyer. */
const DsAssignments *
ds_pricing_assigned(DsCall *call, DsWho who, const char *key)
{
	int64 n;
	DsStore *store = shared_store(call, &n);
	char name[NAMEDATALEN];
	char *full = name;
	DsKept kept;

	if (strlen(key) + 2 > sizeof(name))
		full = palloc(strlen(key) + 2);
	full[0] = 'a' + who;
	memcpy(full + 1, key, strlen(key) + 1);
	kept = ds_pricing_store_find_code(store, DS_STORE_SHARED, full);
	if (kept.value != NULL && kept.n > n)
	{
		store = call_store(call);
		n = 0;
		kept = ds_pricing_store_find_code(store, DS_STORE_SHARED, full);
	}
	if (kept.value == NULL || kept.n != n)
	{
		MemoryContext old = read_begin(call);

		kept.value = ds_pricing_pack_assignments(store, DS_STORE_SHARED,
												 ds_pricing_load_assignments(call, who, key));
		read_end(call, old);
		ds_pricing_store_keep_code(store, DS_STORE_SHARED,
								   ds_pricing_store_string(store, DS_STORE_SHARED, full), n,
								   kept.value);
	}
	return kept.value;
}

/*
 * page_of does the look-up of the page of a part that a target belongs to. One
 * that is not there is kept as a page without cells.
 */
static const DsPage *
page_of(DsCall *call, const DsPart *part, int64 page)
{
	DsStoreKey key = {part->set_id, part->customer_id, ~page};
	DsStoreClass class = part->customer_id == 0 ? DS_STORE_SHARED_CELL : DS_STORE_OWN_CELL;
	DsStore *store = call->alone || call->wrote ? call_store(call) : backend_store;
	DsKept kept = ds_pricing_store_find(store, class, key);

	if (kept.value == NULL)
	{
		MemoryContext old = read_begin(call);

		kept.value = ds_pricing_pack_page(store, class, ds_pricing_load_page(call, part, page),
										  part->page_shift);
		read_end(call, old);
		ds_pricing_store_keep(store, class, key, 0, kept.value);
	}
	return kept.value;
}

/* kept_cell does the look-up of rates that are kept by themselves. */
static const DsCell *
kept_cell(DsCall *call, const DsPart *part, int64 target_id)
{
	DsStoreKey key = {part->set_id, part->customer_id, target_id};
	DsStoreClass class = part->customer_id == 0 ? DS_STORE_SHARED_CELL : DS_STORE_OWN_CELL;
	DsStore *store = part->draft				  ? ds_pricing_overlay_store(call)
					 : call->alone || call->wrote ? call_store(call)
												  : backend_store;
	DsKept kept = ds_pricing_store_find(store, class, key);

	if (kept.value == NULL)
	{
		MemoryContext old = read_begin(call);
		const DsCell *cell =
			part->page_shift < 0 ? NULL : ds_pricing_page_once(call, part, target_id);

		if (cell == NULL)
			cell = ds_pricing_load_cell(call, part, target_id);
		kept.value = ds_pricing_pack_cell(store, class, cell);
		read_end(call, old);
		ds_pricing_store_keep(store, class, key, 0, kept.value);
	}
	return kept.value;
}

/* by_page does the question whether the rates of a part are kept by the page: one line alone rarely comes back to a customer's. */
static inline bool
by_page(const DsCall *call, const DsPart *part)
{
	return part->page_shift >= 0 && (part->customer_id == 0 || call->many);
}

/* recent_of does the place where a call that walks over targets in order notes the last page of a part; NULL = it notes none. */
static inline DsRecent *
recent_of(const DsCall *call, const DsPart *part)
{
	return call->recent == NULL ? NULL
								: &call->recent[(uintptr_t) part / sizeof(DsPart) % DS_RECENT];
}

/*
 * ds_pricing_cell_near does a step on the way to the rates of a part for a
 * target: each asks for the memory that the next one reads. Who takes them for
 * several cells in turn waits for all of them at once. No step reads a table.
 */
void
ds_pricing_cell_near(DsCall *call, const DsPart *part, int64 target_id, DsNear *near, int step)
{
	DsStoreClass class = part->customer_id == 0 ? DS_STORE_SHARED_CELL : DS_STORE_OWN_CELL;

	if (step == 0)
	{
		near->page = NULL;
		near->skip = call->alone || call->wrote || !by_page(call, part);
	}
	if (near->skip)
		return;
	if (step <= 1)
	{
		int64 number = target_id >> part->page_shift;
		DsStoreKey key = {part->set_id, part->customer_id, ~number};
		DsRecent *recent = recent_of(call, part);

		if (recent != NULL && recent->part == part && recent->number == number)
			near->page = recent->page;
		else if (step == 0)
			ds_pricing_store_fetch(backend_store, class, key);
		else
		{
			near->page = ds_pricing_store_find(backend_store, class, key).value;
			near->skip = near->page == NULL;
			ds_store_fetch(near->page, sizeof(DsPage));
			if (recent != NULL && near->page != NULL)
				*recent = (DsRecent){part, number, near->page};
		}
	}
	else if (step == 2)
		ds_pricing_page_fetch(near->page, ds_page_place(part->page_shift, target_id),
							  part->page_shift);
	else
	{
		near->n = ds_pricing_page_find(near->page, ds_page_place(part->page_shift, target_id));
		if (near->n >= 0)
			ds_pricing_page_fetch_cell(near->page, near->n);
	}
}

/*
 * ds_pricing_cell does the look-up of the rates of a part for a target, in the
 * current context or the cache; an empty cell where there are none. near: all
 * steps were taken.
 */
const DsCell *
ds_pricing_cell(DsCall *call, const DsPart *part, int64 target_id, const DsNear *near)
{
	int n = -1;
	const DsPage *page = near->page;

	if (page != NULL)
		n = near->n;
	else if (by_page(call, part))
	{
		page = page_of(call, part, target_id >> part->page_shift);
		n = ds_pricing_page_find(page, ds_page_place(part->page_shift, target_id));
	}
	return n >= 0 ? ds_pricing_page_cell(page, n) : kept_cell(call, part, target_id);
}

/* ds_pricing_target does the look-up of what a target is named by: see ds_pricing_load_target(). */
const char *
ds_pricing_target(DsCall *call, const DsTarget *target)
{
	DsStoreKey key = {target->target_id, -2, 0};
	int64 n;
	DsStore *store = shared_store(call, &n);
	void *name = look(call, &store, DS_STORE_SHARED, key, &n);

	if (name == NULL)
	{
		MemoryContext old = read_begin(call);
		const char *read = ds_pricing_load_target(target);

		name = ds_pricing_store_copy(store, DS_STORE_SHARED, read, strlen(read) + 1);
		read_end(call, old);
		ds_pricing_store_keep(store, DS_STORE_SHARED, key, n, name);
	}
	return name;
}

/*
 * ds_pricing_content does the look-up of the hash of a published version's
 * rates, which never changes; NULL = it has none. A transaction that wrote
 * prices may still take back what it published: it reads anew.
 */
const uint8 *
ds_pricing_content(DsCall *call, int64 version_id)
{
	DsStoreKey key = {version_id, -1, 0};
	DsStore *store = call->alone || call->wrote ? call_store(call) : backend_store;
	DsKept kept = ds_pricing_store_find(store, DS_STORE_SHARED, key);
	const uint8 *hash;

	if (kept.value != NULL)
		return kept.value;
	hash = ds_pricing_load_content(version_id);
	if (hash == NULL)
		return NULL;
	kept.value = ds_pricing_store_alloc(store, DS_STORE_SHARED, DS_CONTENT_LENGTH);
	memcpy(kept.value, hash, DS_CONTENT_LENGTH);
	ds_pricing_store_keep(store, DS_STORE_SHARED, key, 0, kept.value);
	return kept.value;
}
