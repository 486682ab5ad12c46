/*-------------------------------------------------------------------------
 *
 * dispatch.c
 *		The courier's way out: route, ring, claim, commit, and only then send.
 *
 * Process: courier. Locks: those of the called functions, until the commit;
 * none while anything is sent. WHY one transaction for the four: a message is
 * on its way after one flush of the log, and what was routed is durable
 * before it is sent or rung. A task that fails is left out for a while and the
 * others go on without it.
 * Memory: claims are copied into the scratch context; the HTTP driver copies
 * once more into its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/failpoint.h"
#include "base/spi.h"
#include "worker/courier.h"

/* a due time that has passed and yet nothing to claim: somebody holds it, look again after this */
#define DS_DUE_PAUSE_MS 50

static const Oid claim_types[] = {INT8OID, UUIDOID, TEXTOID, TEXTOID, TEXTARRAYOID, BYTEAOID,
								  INT4OID, INT4OID, INT4OID, BOOLOID, BOOLOID};

/*
 * copy_text does the copy of a text column into the scratch context; NULL
 * becomes the empty string, which the HTTP driver then refuses by its rules.
 */
static const char *
copy_text(DsCourier *courier, uint64 row, int column)
{
	char *text = ds_spi_cstring(row, column);

	return MemoryContextStrdup(courier->scratch, text != NULL ? text : "");
}

/*
 * copy_headers does the copy of text[] into a NULL-terminated list.
 */
static const char *const *
copy_headers(DsCourier *courier, uint64 row, int column)
{
	bool isnull;
	Datum value = ds_spi_datum(row, column, &isnull);
	Datum *elements = NULL;
	bool *nulls = NULL;
	int n = 0;
	int kept = 0;
	const char **list;

	if (!isnull)
		deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &elements,
						  &nulls, &n);
	list = MemoryContextAllocZero(courier->scratch, (n + 1) * sizeof(char *));
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			list[kept++] = MemoryContextStrdup(courier->scratch, TextDatumGetCString(elements[i]));
	}
	return list;
}

/*
 * copy_body does the copy of a bytea column.
 */
static void
copy_body(DsCourier *courier, uint64 row, int column, DsHttpRequest *request)
{
	bool isnull;
	Datum value = ds_spi_datum(row, column, &isnull);
	bytea *body;
	char *copy;

	request->body = NULL;
	request->body_len = 0;
	if (isnull)
		return;
	body = DatumGetByteaPP(value);
	request->body_len = VARSIZE_ANY_EXHDR(body);
	copy = MemoryContextAllocHuge(courier->scratch, request->body_len + 1);
	memcpy(copy, VARDATA_ANY(body), request->body_len);
	request->body = copy;
}

/*
 * copy_claim does the copy of one row of claim or feed_claim.
 */
static void
copy_claim(DsCourier *courier, uint64 row, bool feed)
{
	DsClaim *claim = &courier->claims[courier->nclaims];
	DsHttpRequest *request = &claim->request;
	bool isnull;
	Datum id = ds_spi_datum(row, 1, &isnull);
	Datum lease = isnull ? (Datum) 0 : ds_spi_datum(row, 2, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a claim has no id or no lease")));
	memset(claim, 0, sizeof(*claim));
	claim->feed = feed;
	claim->id = DatumGetInt64(id);
	memcpy(&claim->lease, DatumGetUUIDP(lease), sizeof(pg_uuid_t));
	request->method = copy_text(courier, row, 3);
	request->url = copy_text(courier, row, 4);
	request->headers = copy_headers(courier, row, 5);
	copy_body(courier, row, 6, request);
	request->timeout_ms = Max(ds_spi_int32(row, 7, 0), 0);
	request->connect_timeout_ms = Max(ds_spi_int32(row, 8, 0), 0);
	request->max_response = Max(ds_spi_int32(row, 9, 0), 0);
	request->cut_is_failure = feed;
	request->allow_http = DatumGetBool(ds_spi_datum(row, 10, &isnull)) && !isnull;
	request->allow_private = DatumGetBool(ds_spi_datum(row, 11, &isnull)) && !isnull;
	courier->nclaims++;
}

/*
 * run_claim does claim or feed_claim for "asked" rows. More rows than that
 * would be leases that nobody serves: an error, which gives them back.
 */
static void
run_claim(DsCourier *courier, DsTask *task, int asked, bool feed)
{
	Oid argtypes[2] = {INT4OID, UUIDOID};
	Datum values[2];
	uint64 rows;

	if (asked <= 0)
		return;
	values[0] = Int32GetDatum(asked);
	values[1] = UUIDPGetDatum(&courier->worker);
	rows = ds_spi_run(ds_worker_task_plan(task, 2, argtypes), values, NULL);
	ds_spi_expect(task->function, claim_types, lengthof(claim_types));
	if (rows > (uint64) asked)
		ereport(ERROR, (errcode(ERRCODE_CARDINALITY_VIOLATION),
						errmsg("%s returned more rows than it was asked for", task->function)));
	for (uint64 row = 0; row < rows; row++)
		copy_claim(courier, row, feed);
	if (rows == (uint64) asked)
		courier->more = true;
}

/*
 * run_count does a function (max_rows int) or () that returns an integer.
 */
static int32
run_count(DsTask *task, int max_rows)
{
	static const Oid type = INT4OID;
	Oid argtypes[1] = {INT4OID};
	Datum values[1] = {Int32GetDatum(max_rows)};

	if (max_rows > 0)
		ds_spi_run(ds_worker_task_plan(task, 1, argtypes), values, NULL);
	else
		ds_spi_run(ds_worker_task_plan(task, 0, NULL), NULL, NULL);
	ds_spi_expect(task->function, &type, 1);
	return ds_spi_int32(0, 1, 0);
}

/*
 * run_next_due does the question when something will be due that is not yet.
 */
static void
run_next_due(DsCourier *courier, DsTask *task)
{
	static const Oid type = TIMESTAMPTZOID;
	bool isnull;
	Datum value;

	ds_spi_run(ds_worker_task_plan(task, 0, NULL), NULL, NULL);
	ds_spi_expect(task->function, &type, 1);
	value = ds_spi_datum(0, 1, &isnull);
	if (!isnull)
		courier->next_due = Min(courier->next_due, DatumGetTimestampTz(value));
}

/*
 * note_routed does the reading of the router's answer: how many rows it read, or
 * as a negative for how many milliseconds it leaves states alone.
 */
static void
note_routed(DsCourier *courier, int32 answer)
{
	if (answer >= ds_guc_courier_route_batch)
		courier->more = true;
	else if (answer < 0)
		courier->states_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														 Min(-(int64) answer, DS_STATES_MAX_MS));
}

/*
 * run_task does one task of the dispatch.
 */
static void
run_task(DsCourier *courier, int kind)
{
	DsTask *task = &courier->task[kind];

	switch (kind)
	{
		case DS_COURIER_ROUTE:
			note_routed(courier, run_count(task, ds_guc_courier_route_batch));
			DS_FAILPOINT("worker.route.after");
			break;
		case DS_COURIER_RING:
			(void) run_count(task, 0);
			break;
		case DS_COURIER_FEED_CLAIM:
			run_claim(courier, task, courier->feed_room, true);
			break;
		case DS_COURIER_CLAIM:
			run_claim(courier, task,
					  Min(courier->room - courier->nclaims, ds_guc_courier_claim_batch), false);
			DS_FAILPOINT("worker.claim.before_commit");
			break;
		case DS_COURIER_NEXT_DUE:
		case DS_COURIER_FEED_NEXT_DUE:
			if (!courier->more)
				run_next_due(courier, task);
			break;
		default:
			break;
	}
}

/*
 * dispatch_step does the content of the transaction.
 */
static void
dispatch_step(void *arg)
{
	DsCourier *courier = arg;
	TimestampTz now = GetCurrentTimestamp();

	for (int kind = 0; kind < DS_COURIER_TRANSACTION; kind++)
	{
		if (courier->split && kind != courier->alone)
			continue;
		courier->current = kind;
		if (ds_worker_task_ready(&courier->task[kind], now))
			run_task(courier, kind);
	}
	/* what fails now fails in the commit: that is known to be the fault of one task only if one ran */
	if (!courier->split)
		courier->current = DS_COURIER_TRANSACTION;
}

/*
 * send does the hand-over of what was claimed, after the commit. What the
 * driver refuses is a result like any other: it is recorded, not lost.
 */
static void
send_claims(DsCourier *courier)
{
	for (int i = 0; i < courier->nclaims; i++)
	{
		DsClaim *claim = &courier->claims[i];
		int index = courier->free[--courier->nfree];
		DsFlight *flight = &courier->flight[index];
		bool invalid = false;

		Assert(flight->state == DS_FLIGHT_FREE);
		memset(flight, 0, sizeof(*flight));
		flight->state = DS_FLIGHT_SENT;
		flight->feed = claim->feed;
		flight->id = claim->id;
		flight->lease = claim->lease;
		courier->nfeeds += claim->feed ? 1 : 0;
		claim->request.tag = index;
		if (ds_http_submit(courier->http, &claim->request, &invalid, flight->error,
						   sizeof(flight->error)))
			continue;
		flight->curl_code = invalid ? DS_CURL_INVALID : DS_CURL_NO_ROOM;
		ds_worker_courier_done(courier, index);
	}
	courier->nclaims = 0;
}

/*
 * prepare does the sizing of one dispatch. Feeds get at most an eighth of the
 * flights and, in turns, the half of what is free, so that neither way starves
 * the other; what feeds leave is for deliveries.
 */
static void
prepare(DsCourier *courier)
{
	int room = Min(ds_guc_courier_max_in_flight - ds_worker_courier_used(courier), courier->nfree);
	int feed_room = Max(ds_guc_courier_max_in_flight / 8, 1) - courier->nfeeds;

	courier->room = Max(Min(room, ds_http_room(courier->http)), 0);
	/* answers that can't be recorded must not fill the memory, however large each may be */
	if (courier->done_bytes >= DS_HTTP_MAX_BYTES)
		courier->room = 0;
	courier->round_up = !courier->round_up;
	courier->feed_room = Max(Min((courier->room + (courier->round_up ? 1 : 0)) / 2, feed_room), 0);
	courier->current = DS_COURIER_TRANSACTION;
	courier->look = false;
	courier->nclaims = 0;
	courier->more = false;
	courier->states_at = 0;
	courier->next_due = DT_NOEND;
	courier->claims = MemoryContextAlloc(courier->scratch, sizeof(DsClaim) * Max(courier->room, 1));
}

/*
 * plan_next_look does the decision when to dispatch again without a wake-up.
 */
static void
plan_next_look(DsCourier *courier, TimestampTz now)
{
	TimestampTz next = TimestampTzPlusMilliseconds(now, ds_guc_courier_poll_interval);

	if (courier->next_due < next)
		next = Max(courier->next_due, TimestampTzPlusMilliseconds(now, DS_DUE_PAUSE_MS));
	if (courier->states_at != 0)
		next = Min(next, courier->states_at);
	for (int kind = 0; kind <= DS_COURIER_TRANSACTION; kind++)
	{
		if (courier->task[kind].not_before > now)
			next = Min(next, courier->task[kind].not_before);
	}
	courier->next_look = next;
}

/*
 * next_turn does the step from one task to the next while they run alone. After
 * the last they run together once more: alone, some could not do all they had.
 */
static void
next_turn(DsCourier *courier)
{
	if (!courier->split)
		return;
	if (++courier->alone >= DS_COURIER_TRANSACTION)
		courier->split = false;
	courier->more = true;
}

/*
 * dispatch_failed does the blaming. A task that failed pauses and the others
 * run at once without it. If the commit failed (a deferred trigger), each task
 * runs alone once, to find out whose. If we may not even look, all pause.
 */
static void
dispatch_failed(DsCourier *courier, const DsFailure *failure)
{
	courier->nclaims = 0;
	courier->look = true;
	if (courier->current != DS_COURIER_TRANSACTION)
	{
		ds_worker_task_failed(&courier->task[courier->current], failure);
		next_turn(courier);
	}
	else if (failure->in_step)
	{
		courier->split = true;
		courier->alone = 0;
	}
	else
	{
		ds_worker_task_failed(&courier->task[DS_COURIER_TRANSACTION], failure);
		ds_worker_slot_set_state(DS_SLOT_IDLE, failure->message);
	}
}

/*
 * ds_worker_courier_dispatch does one transaction of the way out, then sends.
 */
void
ds_worker_courier_dispatch(DsCourier *courier)
{
	DsFailure failure;
	DsOutcome outcome;
	TimestampTz now = GetCurrentTimestamp();

	prepare(courier);
	outcome = ds_worker_session_run("distsync: route and claim", DS_NEEDS_ACTIVE, dispatch_step,
									courier, &failure);
	if (outcome == DS_FAILED)
	{
		dispatch_failed(courier, &failure);
		return;
	}
	next_turn(courier);
	if (outcome == DS_IDLE)
	{
		ds_worker_slot_set_state(DS_SLOT_IDLE, ds_worker_session_idle_reason());
		courier->next_look = TimestampTzPlusMilliseconds(
			now, Min(ds_guc_courier_poll_interval, ds_worker_session_idle_pause()));
		courier->states_at = courier->next_look;
		return;
	}
	ds_worker_slot_set_state(DS_SLOT_ACTIVE, NULL);
	for (int kind = 0; kind <= DS_COURIER_TRANSACTION; kind++)
	{
		if (ds_worker_task_ready(&courier->task[kind], now) && courier->task[kind].failures > 0)
			ds_worker_task_worked(&courier->task[kind]);
	}
	DS_FAILPOINT("worker.claim.after_commit");
	courier->look = courier->more;
	plan_next_look(courier, now);
	send_claims(courier);
	DS_FAILPOINT("worker.submit.after");
}
