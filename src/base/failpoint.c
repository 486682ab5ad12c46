/*-------------------------------------------------------------------------
 *
 * failpoint.c
 *		Places where tests make the server fail, at a chosen hit.
 *
 * Process: any, only in libraries built with -DDISTSYNC_TEST. The points are
 * set from SQL (test/failpoint.sql) and live in shared memory, so that a test
 * reaches the workers too; a crash of the server forgets them.
 * Locks: the LWLock of the part, never while acting. Memory: shared.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/failpoint.h"

#ifdef DISTSYNC_TEST

#include <signal.h>
#include <unistd.h>

#include "common/pg_prng.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/export.h"
#include "base/shmem.h"

#define DS_FAILPOINT_MAX 64
#define DS_FAILPOINT_NAMELEN 64

typedef enum DsFailAction
{
	DS_FAIL_OFF,
	DS_FAIL_ERROR,
	DS_FAIL_FATAL,
	DS_FAIL_SIGKILL,
	DS_FAIL_SLEEP
} DsFailAction;

static const char *const action_names[] = {"off", "error", "fatal", "sigkill", "sleep"};

typedef struct DsFailpoint
{
	char name[DS_FAILPOINT_NAMELEN]; /* "" for a free place */
	DsFailAction action;
	int64 nth;			/* act at this hit only; 0: not by number */
	int64 every;		/* act at each hit that this divides; 0: not */
	double probability; /* act with this chance; 0: not */
	int32 sleep_ms;
	pg_prng_state random;
	int64 hits;
	int64 acted;
} DsFailpoint;

static DsFailpoint *points = NULL;
static LWLock *points_lock = NULL;

DS_FUNCTION_INFO_V1(ds_sql_failpoint);
DS_FUNCTION_INFO_V1(ds_sql_failpoint_set);
DS_FUNCTION_INFO_V1(ds_sql_failpoint_list);

static Size
points_size(void)
{
	return sizeof(DsFailpoint) * DS_FAILPOINT_MAX;
}

static void
attach_points(void *memory, LWLock *lock, bool found)
{
	points = memory;
	points_lock = lock;
}

/*
 * ds_failpoint_init does the request for shared memory, from _PG_init.
 */
void
ds_failpoint_init(void)
{
	static const DsShmemPart part = {"distsync failpoints", points_size, attach_points};

	if (process_shared_preload_libraries_in_progress)
		ds_shmem_add(&part);
}

/*
 * find_point does the search by name, or of a free place if "add". The caller
 * holds the lock.
 */
static DsFailpoint *
find_point(const char *name, bool add)
{
	DsFailpoint *empty = NULL;

	for (int i = 0; i < DS_FAILPOINT_MAX; i++)
	{
		if (strcmp(points[i].name, name) == 0)
			return &points[i];
		if (empty == NULL && points[i].name[0] == '\0')
			empty = &points[i];
	}
	if (add && empty != NULL)
		strlcpy(empty->name, name, DS_FAILPOINT_NAMELEN);
	return add ? empty : NULL;
}

/*
 * act does what the test asked for. SIGKILL ends this process without a
 * trace, which the postmaster answers with a restart of the server.
 */
static void
act(const char *name, DsFailAction action, int32 sleep_ms)
{
	switch (action)
	{
		case DS_FAIL_OFF:
			break;
		case DS_FAIL_ERROR:
			ereport(ERROR, (errcode(DS_ERRCODE_FAILPOINT), errmsg("fail-point \"%s\"", name)));
			break;
		case DS_FAIL_FATAL:
			ereport(FATAL, (errcode(DS_ERRCODE_FAILPOINT), errmsg("fail-point \"%s\"", name)));
			break;
		case DS_FAIL_SIGKILL:
			kill(getpid(), SIGKILL);
			break;
		case DS_FAIL_SLEEP:
			for (int32 left = sleep_ms; left > 0; left -= 10)
			{
				CHECK_FOR_INTERRUPTS();
				pg_usleep(Min(left, 10) * 1000L);
			}
			break;
	}
}

/*
 * ds_failpoint_hit does the counting and, at the chosen hit, the failure.
 */
void
ds_failpoint_hit(const char *name)
{
	DsFailpoint *point;
	DsFailAction action = DS_FAIL_OFF;
	int32 sleep_ms = 0;

	if (points == NULL)
		return;
	LWLockAcquire(points_lock, LW_EXCLUSIVE);
	point = find_point(name, false);
	if (point != NULL)
	{
		point->hits++;
		if (point->hits == point->nth || (point->every > 0 && point->hits % point->every == 0) ||
			(point->probability > 0 && pg_prng_double(&point->random) < point->probability))
		{
			point->acted++;
			action = point->action;
			sleep_ms = point->sleep_ms;
		}
	}
	LWLockRelease(points_lock);
	act(name, action, sleep_ms);
}

/*
 * require_points does the refusal where there is no shared memory.
 */
static void
require_points(void)
{
	if (points == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("fail-points need the library in shared_preload_libraries"),
				 errhint("Add distsync to shared_preload_libraries and restart the server.")));
}

/*
 * ds_sql_failpoint does a hit from SQL: failpoint(name text) returns void.
 */
Datum
ds_sql_failpoint(PG_FUNCTION_ARGS)
{
	ds_failpoint_hit(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

/*
 * ds_sql_failpoint_set does the arming: failpoint_set(name text, action text,
 * nth bigint, every bigint, probability float8, seed bigint, sleep_ms int)
 * returns void. Counting starts anew.
 */
Datum
ds_sql_failpoint_set(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *action_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int action = 0;
	DsFailpoint *point;

	require_points();
	while (action < lengthof(action_names) && strcmp(action_names[action], action_name) != 0)
		action++;
	if (action == lengthof(action_names))
		ereport(ERROR,
				(errcode(DS_ERRCODE_INVALID_VALUE), errmsg("unknown action \"%s\"", action_name),
				 errhint("Use off, error, fatal, sigkill or sleep.")));
	if (name[0] == '\0' || strlen(name) >= DS_FAILPOINT_NAMELEN)
		ereport(ERROR,
				(errcode(DS_ERRCODE_INVALID_VALUE),
				 errmsg("name of a fail-point must have 1 to %d bytes", DS_FAILPOINT_NAMELEN - 1)));
	LWLockAcquire(points_lock, LW_EXCLUSIVE);
	point = find_point(name, true);
	if (point != NULL)
	{
		point->action = (DsFailAction) action;
		point->nth = PG_GETARG_INT64(2);
		point->every = PG_GETARG_INT64(3);
		point->probability = PG_GETARG_FLOAT8(4);
		pg_prng_seed(&point->random, (uint64) PG_GETARG_INT64(5));
		point->sleep_ms = PG_GETARG_INT32(6);
		point->hits = 0;
		point->acted = 0;
	}
	LWLockRelease(points_lock);
	if (point == NULL)
		ereport(ERROR, (errcode(DS_ERRCODE_TOO_LARGE),
						errmsg("no room for more than %d fail-points", DS_FAILPOINT_MAX)));
	PG_RETURN_VOID();
}

/*
 * ds_sql_failpoint_list does the listing: name, action, hits, acted.
 */
Datum
ds_sql_failpoint_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	DsFailpoint copy[DS_FAILPOINT_MAX];

	require_points();
	InitMaterializedSRF(fcinfo, 0);
	LWLockAcquire(points_lock, LW_SHARED);
	memcpy(copy, points, sizeof(copy));
	LWLockRelease(points_lock);
	for (int i = 0; i < DS_FAILPOINT_MAX; i++)
	{
		Datum values[4];
		bool nulls[4] = {false};

		if (copy[i].name[0] == '\0')
			continue;
		values[0] = CStringGetTextDatum(copy[i].name);
		values[1] = CStringGetTextDatum(action_names[copy[i].action]);
		values[2] = Int64GetDatum(copy[i].hits);
		values[3] = Int64GetDatum(copy[i].acted);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

#endif /* DISTSYNC_TEST */
