/*-------------------------------------------------------------------------
 *
 * floor.c
 *		Where the search for due lanes of an endpoint starts.
 *
 * Lanes that were claimed leave dead index entries at the low end of the due
 * times; while somebody holds an old snapshot they can't be removed, and a
 * search from the beginning walks over all of them each time. What we claimed
 * last tells where to start: lanes due earlier are gone, but for the few whose
 * writer committed late. For those every search after SEARCH_ALL_US is a whole
 * one, and so is one that would find nothing.
 *
 * Process: any backend that claims, in practice the courier. Locks: none.
 * Memory: a hash table for the life of the process.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "base/export.h"

#define SEARCH_ALL_US INT64CONST(5000000)
#define MARGIN_US INT64CONST(1000000)

typedef struct Floor
{
	int64 endpoint_id;
	TimestampTz due_at;		 /* search from here */
	TimestampTz searched_at; /* last whole search */
} Floor;

static HTAB *floors = NULL;

DS_FUNCTION_INFO_V1(ds_sql_outbox_floor);
DS_FUNCTION_INFO_V1(ds_sql_outbox_raise_floor);
DS_FUNCTION_INFO_V1(ds_sql_outbox_drop_floors);

/*
 * floor_of does the look-up of an endpoint, with a new entry where there is
 * none.
 */
static Floor *
floor_of(int64 endpoint_id)
{
	Floor *f;
	bool found;

	if (floors == NULL)
	{
		HASHCTL ctl = {0};

		ctl.keysize = sizeof(int64);
		ctl.entrysize = sizeof(Floor);
		floors = hash_create("distsync floors", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	f = hash_search(floors, &endpoint_id, HASH_ENTER, &found);
	if (!found)
	{
		f->due_at = DT_NOBEGIN;
		f->searched_at = DT_NOBEGIN;
	}
	return f;
}

/*
 * ds_sql_outbox_floor does distsync_internal.outbox_floor(endpoint_id).
 */
Datum
ds_sql_outbox_floor(PG_FUNCTION_ARGS)
{
	Floor *f = floor_of(PG_GETARG_INT64(0));
	TimestampTz now = GetCurrentTimestamp();

	/* also after a clock that was set back */
	if (now < f->searched_at || f->searched_at < now - SEARCH_ALL_US)
	{
		f->searched_at = now;
		f->due_at = DT_NOBEGIN;
	}
	PG_RETURN_TIMESTAMPTZ(f->due_at);
}

/*
 * ds_sql_outbox_raise_floor does distsync_internal.outbox_raise_floor(
 * endpoint_id, claimed_due_at).
 */
Datum
ds_sql_outbox_raise_floor(PG_FUNCTION_ARGS)
{
	Floor *f = floor_of(PG_GETARG_INT64(0));
	TimestampTz due_at = PG_GETARG_TIMESTAMPTZ(1);

	if (!TIMESTAMP_NOT_FINITE(due_at) && due_at - MARGIN_US > f->due_at)
		f->due_at = due_at - MARGIN_US;
	PG_RETURN_VOID();
}

/*
 * ds_sql_outbox_drop_floors does distsync_internal.outbox_drop_floors(): true
 * if there was one, so that another search may find more.
 */
Datum
ds_sql_outbox_drop_floors(PG_FUNCTION_ARGS)
{
	HASH_SEQ_STATUS seq;
	Floor *f;
	bool any = false;

	if (floors == NULL)
		PG_RETURN_BOOL(false);
	hash_seq_init(&seq, floors);
	while ((f = hash_seq_search(&seq)) != NULL)
	{
		any = any || f->due_at != DT_NOBEGIN;
		f->due_at = DT_NOBEGIN;
		f->searched_at = GetCurrentTimestamp();
	}
	PG_RETURN_BOOL(any);
}
