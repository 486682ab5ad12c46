/*
 * clock.c: a clock that a test moves. Preloaded into a server, it lets the time of one session run beside that of the others:
 * now(), clock_timestamp(), defaults of columns and what C asks for, all that comes from gettimeofday(). Linked with nothing of
 * PostgreSQL, so that every program bears it. test/property/test_order_histories.py uses it; README.md of the tests says how.
 */
#define _GNU_SOURCE
#include "postgres.h"

#include <dlfcn.h>
#include <sys/time.h>

#include "fmgr.h"
#include "datatype/timestamp.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(clock_beside);
PG_FUNCTION_INFO_V1(clock_at);

static int64 beside = 0; /* microseconds that this session is ahead */

/*
 * gettimeofday does what libc does, for a session that is ahead of the others.
 */
int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	static int (*libc)(struct timeval *restrict, void *restrict) = NULL;
	int done;

	if (libc == NULL)
		libc = (int (*)(struct timeval *restrict, void *restrict)) dlsym(RTLD_NEXT, "gettimeofday");
	done = libc(now, zone);
	if (beside != 0 && done == 0)
	{
		int64 micros = now->tv_usec + beside % 1000000;

		now->tv_sec += beside / 1000000 + (micros < 0 ? -1 : micros / 1000000);
		now->tv_usec = (micros + 1000000) % 1000000;
	}
	return done;
}

/*
 * clock_beside does the setting: how many microseconds this session is ahead from now on.
 */
Datum
clock_beside(PG_FUNCTION_ARGS)
{
	beside = PG_GETARG_INT64(0);
	PG_RETURN_INT64(beside);
}

/*
 * clock_at does the setting by an instant: it is that instant now for this session.
 */
Datum
clock_at(PG_FUNCTION_ARGS)
{
	struct timeval now;
	int64 zero = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * USECS_PER_SEC;

	beside = 0;
	gettimeofday(&now, NULL);
	beside = PG_GETARG_INT64(0) + zero - now.tv_sec * USECS_PER_SEC - now.tv_usec;
	PG_RETURN_VOID();
}
