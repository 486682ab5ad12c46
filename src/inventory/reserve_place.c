/*-------------------------------------------------------------------------
 *
 * reserve_place.c
 *		Where the lines of reserve() may be served from, and which pool serves
 *		which line.
 *
 * The rule is the one of inventory_allocate(): a site that can serve the whole
 * line before several, sites by rank and code, lines by item and place in the
 * request.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/reserve.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "base/compat.h"
#include "base/reader.h"
#include "inventory/read.h"

enum
{
	S_COMPANY,
	S_CAN_PROMISE,
	S_STATUS,
	S_CODE,
	S_RANK
};

static DsTable site_table = {
	.name = "site",
	.index = "site_pk",
	.keys = {"site_id"},
	.columns = {"company_id", "can_promise", "status", "code", "rank"},
};

static DsTable pool_table = {
	.name = "stock_pool",
	.index = "stock_pool_pk",
	.keys = {"item_id", "site_id"},
	.columns = {"item_id", "site_id"},
};

static DsTable item_table = {
	.name = "item",
	.index = "item_pk",
	.keys = {"item_id"},
	.columns = {"status"},
};

/* A site that this call has met. */
typedef struct Site
{
	int64 id;
	int64 company_id;
	bool may_promise;
	char *code;
	int rank;
} Site;

typedef struct Search
{
	DsReserve *call;
	DsReader *pools;
	DsReader *sites;
	Site *known;
	int nknown;
	int room;
	int last;
	int pool_room;
} Search;

/* promises does the question whether the site that a reader stands on may promise. */
static bool
promises(const DsReader *sites)
{
	return DatumGetBool(sites->values[S_CAN_PROMISE]) &&
		   ds_reader_text_is(sites, S_STATUS, "active");
}

/*
 * ds_inventory_still_promises does the question whether site and item of a pool
 * that somebody else was at may be promised: as the active snapshot says, which
 * is younger than the wait.
 */
bool
ds_inventory_still_promises(const DsReservePool *pool)
{
	DsReader *sites = ds_reader_open(&site_table);
	DsReader *items = ds_reader_open(&item_table);
	Datum site = Int64GetDatum(pool->site_id);
	Datum item = Int64GetDatum(pool->item_id);
	bool still = ds_reader_find(sites, &site) && promises(sites) && ds_reader_find(items, &item) &&
				 ds_reader_text_is(items, 0, "active");

	ds_reader_close(items);
	ds_reader_close(sites);
	return still;
}

/* find_site does the look-up of a site, once a call; NULL = there is none. */
static Site *
find_site(Search *search, int64 id)
{
	Datum key = Int64GetDatum(id);
	Site *site;

	if (search->nknown > 0 && search->known[search->last].id == id)
		return &search->known[search->last];
	for (int i = 0; i < search->nknown; i++)
	{
		if (search->known[i].id == id)
			return &search->known[search->last = i];
	}
	if (!ds_reader_find(search->sites, &key))
		return NULL;
	if (search->nknown == search->room)
	{
		search->room = Max(16, search->room * 2);
		search->known = search->known == NULL
							? palloc(sizeof(Site) * search->room)
							: repalloc(search->known, sizeof(Site) * search->room);
	}
	site = &search->known[search->last = search->nknown++];
	site->id = id;
	site->company_id = DatumGetInt64(search->sites->values[S_COMPANY]);
	site->may_promise = promises(search->sites);
	site->code = TextDatumGetCString(search->sites->values[S_CODE]);
	site->rank = DatumGetInt32(search->sites->values[S_RANK]);
	return site;
}

/* add_pool does the entering of the pool that the reader stands on. */
static void
add_pool(Search *search, int64 item_id, const Site *site)
{
	DsReserve *call = search->call;
	DsReservePool *pool;

	if (call->npools == search->pool_room)
	{
		search->pool_room = Max(16, search->pool_room * 2);
		call->pools = call->pools == NULL
						  ? palloc(sizeof(DsReservePool) * search->pool_room)
						  : repalloc_huge(call->pools, sizeof(DsReservePool) * search->pool_room);
	}
	pool = &call->pools[call->npools++];
	memset(pool, 0, sizeof(DsReservePool));
	pool->item_id = item_id;
	pool->site_id = site->id;
	pool->code = site->code;
	pool->rank = site->rank;
	pool->row = ExecCopySlotHeapTuple(search->pools->slot);
	pool->rows = call->pool_rows;
}

/* ours does the question whether a site is of the company that is named, if one is. */
static bool
ours(const Search *search, const Site *site)
{
	int64 company_id = search->call->options.company_id;

	return company_id == 0 || company_id == site->company_id;
}

/* find_named does the pool of an item at a named site that may promise. */
static bool
find_named(Search *search, const DsReserveLine *line)
{
	Datum keys[2] = {Int64GetDatum(line->item_id), Int64GetDatum(line->site_id)};
	Site *site = find_site(search, line->site_id);

	if (site == NULL || !site->may_promise || !ours(search, site))
		return false;
	if (!ds_reader_find(search->pools, keys))
		return false;
	add_pool(search, line->item_id, site);
	return true;
}

/* find_all does the pools of an item at every site that may promise, of the company if one is named. */
static bool
find_all(Search *search, const DsReserveLine *line)
{
	Datum key = Int64GetDatum(line->item_id);

	ds_reader_seek(search->pools, &key, 1);
	while (ds_reader_next(search->pools))
	{
		Site *site = find_site(search, DatumGetInt64(search->pools->values[1]));

		if (site != NULL && site->may_promise && ours(search, site))
			add_pool(search, line->item_id, site);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* compare_pools does the order in which pools are locked. */
static int
compare_pools(const void *a, const void *b)
{
	const DsReservePool *x = a;
	const DsReservePool *y = b;

	if (x->item_id != y->item_id)
		return x->item_id < y->item_id ? -1 : 1;
	return x->site_id < y->site_id ? -1 : x->site_id > y->site_id;
}

/* sort_pools does the sorting, each once. */
static void
sort_pools(DsReserve *call)
{
	int kept = 0;

	qsort(call->pools, call->npools, sizeof(DsReservePool), compare_pools);
	for (int i = 0; i < call->npools; i++)
	{
		if (kept == 0 || compare_pools(&call->pools[kept - 1], &call->pools[i]) != 0)
			call->pools[kept++] = call->pools[i];
	}
	call->npools = kept;
}

/*
 * ds_inventory_list_pools does the listing of all pools that lines may draw
 * on. False: one is missing, or tables cannot be read directly.
 */
bool
ds_inventory_list_pools(DsReserve *call)
{
	Search search = {.call = call};
	bool good = true;
	int64 scanned = 0;

	call->pools = NULL;
	call->npools = 0;
	if (!ds_table_resolve(&pool_table))
		return false;
	search.pools = ds_reader_open(&pool_table);
	search.sites = ds_reader_open(&site_table);
	for (int i = 0; good && i < call->nlines; i++)
	{
		DsReserveLine *line = &call->lines[i];

		if (line->site_id != 0)
			good = find_named(&search, line);
		else if (line->item_id != scanned)
		{
			good = find_all(&search, line);
			scanned = line->item_id;
		}
	}
	ds_reader_close(search.sites);
	ds_reader_close(search.pools);
	if (good && call->npools > 0)
		sort_pools(call);
	return good && call->npools > 0;
}

/* compare_places does the order in which sites are tried: rank, then code. */
static int
compare_places(const void *a, const void *b)
{
	const DsReservePool *x = *(DsReservePool *const *) a;
	const DsReservePool *y = *(DsReservePool *const *) b;

	if (x->item_id != y->item_id)
		return x->item_id < y->item_id ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return strcmp(x->code, y->code);
}

/* grant does the giving of a quantity from a pool to a line. */
static void
grant(DsReserve *call, DsReserveLine *line, DsReservePool *pool, Numeric quantity,
	  Numeric available)
{
	DsReserveGrant *g;

	if (call->ngrants == call->room)
	{
		call->room = Max(call->nlines, call->room * 2);
		call->grants = call->grants == NULL
						   ? palloc_extended(sizeof(DsReserveGrant) * call->room, MCXT_ALLOC_HUGE)
						   : repalloc_huge(call->grants, sizeof(DsReserveGrant) * call->room);
	}
	g = &call->grants[call->ngrants++];
	g->line = line;
	g->pool = pool;
	g->quantity = quantity;
	g->available = available;
	g->before = pool->taken;
	pool->free = DS_NUMERIC(numeric_sub, pool->free, quantity);
	pool->taken = pool->taken == NULL ? quantity : DS_NUMERIC(numeric_add, pool->taken, quantity);
}

/* serves does the question whether a pool may serve a line. */
static bool
serves(const DsReservePool *pool, const DsReserveLine *line)
{
	return line->site_id == 0 || line->site_id == pool->site_id;
}

/* in_parts does what a line may get of what a pool has, written as steps are: the unit is looked up if it was not. */
static Numeric
in_parts(DsReserveLine *line, Numeric free)
{
	(void) ds_inventory_whole_steps(line, int64_div_fast_to_numeric(1, DS_INVENTORY_SCALE));
	return ds_inventory_in_steps(free, line->step);
}

/* grant_part does the giving of what there is in whole steps, where no pool has the whole line, in the order of the pools. False: it is not enough. */
static bool
grant_part(DsReserve *call, DsReserveLine *line, DsReservePool **places, int n)
{
	Numeric zero = int64_to_numeric(0);
	Numeric rest = line->quantity;

	for (int i = 0; i < n; i++)
	{
		Numeric got = serves(places[i], line)
						  ? DS_NUMERIC(numeric_smaller, in_parts(line, places[i]->free), rest)
						  : zero;

		if (!DS_NUMERIC_IS(numeric_gt, got, zero))
			continue;
		grant(call, line, places[i], got, line->available);
		rest = DS_NUMERIC(numeric_sub, rest, got);
		if (DS_NUMERIC_IS(numeric_eq, rest, zero))
			return true;
	}
	return false;
}

/*
 * allocate_line does the decision for one line, among the pools of its item.
 * What a line gets that lacks something is not there for those after it.
 */
static void
allocate_line(DsReserve *call, DsReserveLine *line, DsReservePool **places, int n)
{
	Numeric zero = int64_to_numeric(0);
	DsReservePool *best = NULL;
	DsReservePool *most = NULL;
	Numeric at_most = zero;

	line->available = zero;
	for (int i = 0; i < n; i++)
	{
		Numeric free;

		if (!serves(places[i], line))
			continue;
		free = ds_inventory_whole_steps(line, places[i]->free);
		line->available =
			DS_NUMERIC(numeric_add, line->available, DS_NUMERIC(numeric_larger, free, zero));
		if (best == NULL && DS_NUMERIC_IS(numeric_ge, free, line->quantity))
			best = places[i];
		if (DS_NUMERIC_IS(numeric_gt, free, at_most))
		{
			most = places[i];
			at_most = free;
		}
	}
	line->lacking = false;
	if (best != NULL)
		grant(call, line, best, line->quantity, line->available);
	else if (call->options.split)
		line->lacking = !grant_part(call, line, places, n);
	else
	{
		line->lacking = true;
		if (most != NULL)
			grant(call, line, most, at_most, line->available);
	}
}

/* ds_inventory_allocate does the decision for all lines. False: something is short. */
bool
ds_inventory_allocate(DsReserve *call)
{
	DsReservePool **places =
		palloc_extended(sizeof(DsReservePool *) * call->npools, MCXT_ALLOC_HUGE);
	int start = 0;
	int stop = 0;
	bool enough = true;

	call->ngrants = 0;
	for (int i = 0; i < call->npools; i++)
	{
		places[i] = &call->pools[i];
		places[i]->taken = NULL;
	}
	qsort(places, call->npools, sizeof(DsReservePool *), compare_places);
	for (int i = 0; i < call->nlines; i++)
	{
		DsReserveLine *line = &call->lines[i];

		while (start < call->npools && places[start]->item_id < line->item_id)
			start++;
		stop = Max(stop, start);
		while (stop < call->npools && places[stop]->item_id == line->item_id)
			stop++;
		allocate_line(call, line, places + start, stop - start);
		enough = enough && !line->lacking;
	}
	pfree(places);
	return enough;
}

/* ds_inventory_only_pool does the finding of the pool that serves everything; NULL = there are several. */
DsReservePool *
ds_inventory_only_pool(const DsReserve *call)
{
	for (int i = 1; i < call->ngrants; i++)
	{
		if (call->grants[i].pool != call->grants[0].pool)
			return NULL;
	}
	return call->grants[0].pool;
}
