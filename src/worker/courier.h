/*-------------------------------------------------------------------------
 *
 * courier.h
 *		The courier: what its parts (loop, dispatch, record) share.
 *
 * A request passes through: claimed in SQL (committed) -> flight SENT (HTTP,
 * no transaction) -> flight DONE (the response is here) -> recorded in SQL
 * (committed) -> flight FREE.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_WORKER_COURIER_H
#define DS_WORKER_COURIER_H

#include "utils/uuid.h"

#include "base/guc.h"
#include "http/http.h"
#include "worker/task.h"

/* In the order in which one dispatch runs them; the last two run by themselves. */
typedef enum DsCourierTask
{
	DS_COURIER_ROUTE,
	DS_COURIER_RING,
	DS_COURIER_FEED_CLAIM,
	DS_COURIER_CLAIM,
	DS_COURIER_NEXT_DUE,
	DS_COURIER_FEED_NEXT_DUE,
	DS_COURIER_TRANSACTION, /* no function: what is around the functions of a dispatch */
	DS_COURIER_FINISH,
	DS_COURIER_FEED_FINISH
} DsCourierTask;

#define DS_COURIER_TASKS 9

/* curl codes of our own making, for what never left: CURLE_URL_MALFORMAT, CURLE_OUT_OF_MEMORY */
#define DS_CURL_INVALID 3
#define DS_CURL_NO_ROOM 27

typedef enum DsFlightState
{
	DS_FLIGHT_FREE,
	DS_FLIGHT_SENT,
	DS_FLIGHT_DONE
} DsFlightState;

typedef struct DsFlight
{
	DsFlightState state;
	bool feed;
	int tries; /* failed attempts to record it by itself */
	int64 id;
	pg_uuid_t lease;
	DsHttpResponse *response; /* malloc'ed; NULL when it was never sent: */
	int curl_code;
	char error[DS_HTTP_ERROR_LEN];
} DsFlight;

/* states wait no longer than this, whatever the router says */
#define DS_STATES_MAX_MS 60000

/* A claimed request, copied out of SQL into the scratch context */
typedef struct DsClaim
{
	bool feed;
	int64 id;
	pg_uuid_t lease;
	DsHttpRequest request;
} DsClaim;

typedef struct DsCourier
{
	DsHttp *http;
	MemoryContext scratch; /* reset each loop */
	pg_uuid_t worker;
	DsTask task[DS_COURIER_TASKS];

	/* flights: free ones on a stack, done ones in a queue in order of arrival */
	DsFlight flight[DS_COURIER_MAX_IN_FLIGHT];
	int nfree;
	int free[DS_COURIER_MAX_IN_FLIGHT];
	int ndone;
	int done[DS_COURIER_MAX_IN_FLIGHT];
	size_t done_bytes; /* of their bodies */
	int nfeeds;		   /* flights that are feeds, sent or done */
	int ndone_feeds;
	TimestampTz oldest_done; /* arrival of the first in the queue */
	int isolate;			 /* so many results are recorded one by one: one of them fails */

	/* one dispatch */
	int current; /* task that runs, for the blame */
	bool split;	 /* a commit failed: one task a dispatch, until each had its turn */
	int alone;	 /* whose turn it is */
	bool look;	 /* there may be work: dispatch now */
	TimestampTz next_look;
	TimestampTz states_at; /* until then states wait, 0 they do not */
	int room;			   /* flights that may be claimed for */
	int feed_room;
	bool round_up; /* who gets the odd one */
	int nclaims;
	DsClaim *claims;
	bool more; /* a task returned as much as it was asked for */
	TimestampTz next_due;
} DsCourier;

extern void ds_worker_courier_dispatch(DsCourier *courier);
extern void ds_worker_courier_done(DsCourier *courier, int index);
extern void ds_worker_courier_harvest(DsCourier *courier);
extern TimestampTz ds_worker_courier_record_due(const DsCourier *courier);
extern void ds_worker_courier_record(DsCourier *courier);
extern int ds_worker_courier_used(const DsCourier *courier);

#endif /* DS_WORKER_COURIER_H */
