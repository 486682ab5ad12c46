/*-------------------------------------------------------------------------
 *
 * ring.c
 *		Who sends the NOTIFY of an outbox row: the courier just after commit
 *		where there is one, because a NOTIFY inside every writer takes a
 *		server-wide lock over its commit.
 *
 * Process: any backend. Locks: none. Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/export.h"
#include "base/guc.h"
#include "base/ring.h"

static bool preloaded = false;

DS_FUNCTION_INFO_V1(ds_sql_base_ring);

/*
 * ds_base_ring_init does the remembering of whether the server preloaded us:
 * children of the postmaster inherit it.
 */
void
ds_base_ring_init(void)
{
	if (process_shared_preload_libraries_in_progress)
		preloaded = true;
}

/*
 * ds_base_preloaded does the answer to "can there be workers here", because
 * without preloading nobody would ring for us.
 */
bool
ds_base_preloaded(void)
{
	return preloaded;
}

/*
 * ds_base_ring does the choice for a row written now: courier, trigger or
 * none, by the setting distsync.notify.
 */
const char *
ds_base_ring(void)
{
	switch (ds_guc_notify)
	{
		case DS_NOTIFY_OFF:
			return "none";
		case DS_NOTIFY_TRIGGER:
			return "trigger";
		case DS_NOTIFY_COURIER:
			return "courier";
		default:
			return preloaded ? "courier" : "trigger";
	}
}

/*
 * ds_sql_base_ring does ds_base_ring for the SQL of the rooms.
 */
Datum
ds_sql_base_ring(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(ds_base_ring()));
}
