/*-------------------------------------------------------------------------
 *
 * record.c
 *		The courier's way back: responses become rows, in batches.
 *
 * Process: courier. A response stays in its flight until the transaction that
 * records it has committed; so nothing is lost by an error, and a courier that
 * cannot record stops claiming by itself, because its flights are taken.
 * Results that cannot be recorded together are tried one by one, and one that
 * fails alone again and again is let go: its lease runs out and it is sent
 * again under the same message id.
 * Locks: those of finish and feed_finish. Memory: arrays in the SPI context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/failpoint.h"
#include "base/spi.h"
#include "worker/courier.h"

#define DS_RECORD_BATCH 100
#define DS_RECORD_BYTES (8 * 1024 * 1024)
#define DS_RECORD_DELAY_MS 20
#define DS_RECORD_TRIES 5
#define DS_RECORD_IDLE_MS 1000
#define DS_FINISH_ARGS 13

/* One transaction's share of the queue: deliveries together, a feed by itself */
typedef struct DsBatch
{
	DsCourier *courier;
	bool feed;
	int n;
	int index[DS_RECORD_BATCH];
} DsBatch;

int
ds_worker_courier_used(const DsCourier *courier)
{
	return DS_COURIER_MAX_IN_FLIGHT - courier->nfree;
}

/*
 * ds_worker_courier_harvest does the collection of what HTTP has finished.
 */
void
ds_worker_courier_harvest(DsCourier *courier)
{
	DsHttpResponse *response;
	int n = 0;

	while ((response = ds_http_next(courier->http)) != NULL)
	{
		int64 index = response->tag;

		if (index < 0 || index >= DS_COURIER_MAX_IN_FLIGHT ||
			courier->flight[index].state != DS_FLIGHT_SENT)
		{
			ds_http_response_free(response);
			ereport(WARNING, (errcode(ERRCODE_INTERNAL_ERROR),
							  errmsg("a response came back that nobody waits for")));
			continue;
		}
		courier->flight[index].response = response;
		ds_worker_courier_done(courier, (int) index);
		n++;
	}
	ds_worker_slot_count(DS_COUNT_WORK, n);
}

/*
 * not_before does the question how long the pause after a failure lasts: the
 * shorter one, if deliveries and feeds wait and both have failed.
 */
static TimestampTz
not_before(const DsCourier *courier)
{
	TimestampTz until = DT_NOEND;

	if (courier->ndone > courier->ndone_feeds)
		until = courier->task[DS_COURIER_FINISH].not_before;
	if (courier->ndone_feeds > 0)
		until = Min(until, courier->task[DS_COURIER_FEED_FINISH].not_before);
	return until;
}

/*
 * ds_worker_courier_record_due does the decision when to record: at once if a batch
 * is full or nothing else is on its way, otherwise a moment later, together
 * with those that arrive until then.
 */
TimestampTz
ds_worker_courier_record_due(const DsCourier *courier)
{
	if (courier->ndone == 0)
		return DT_NOEND;
	if (courier->ndone >= DS_RECORD_BATCH || ds_http_inflight(courier->http) == 0)
		return Max(courier->oldest_done, not_before(courier));
	return Max(TimestampTzPlusMilliseconds(courier->oldest_done, DS_RECORD_DELAY_MS),
			   not_before(courier));
}

/*
 * task_of does the choice of the function that records a flight.
 */
static DsTask *
task_of(DsCourier *courier, int index)
{
	return &courier->task[courier->flight[index].feed ? DS_COURIER_FEED_FINISH : DS_COURIER_FINISH];
}

/* body_len does the size of what a flight brought back. */
static size_t
body_len(const DsFlight *flight)
{
	return flight->response != NULL ? flight->response->body_len : 0;
}

/*
 * ds_worker_courier_done does the entry of a flight at the end of the queue.
 */
void
ds_worker_courier_done(DsCourier *courier, int index)
{
	DsFlight *flight = &courier->flight[index];

	flight->state = DS_FLIGHT_DONE;
	if (courier->ndone == 0)
		courier->oldest_done = GetCurrentTimestamp();
	courier->done[courier->ndone++] = index;
	courier->done_bytes += body_len(flight);
	courier->ndone_feeds += flight->feed ? 1 : 0;
}

/*
 * take_batch does the choice from the head of the queue: deliveries up to a
 * number and a size, or one feed.
 */
static void
take_batch(DsCourier *courier, DsBatch *batch)
{
	TimestampTz now = GetCurrentTimestamp();
	int limit = courier->isolate > 0 ? 1 : DS_RECORD_BATCH;
	size_t bytes = 0;

	batch->courier = courier;
	batch->n = 0;
	for (int i = 0; i < courier->ndone && batch->n < limit; i++)
	{
		DsFlight *flight = &courier->flight[courier->done[i]];

		if (batch->n == 0)
		{
			batch->feed = flight->feed;
			if (flight->feed)
				limit = 1;
		}
		if (flight->feed != batch->feed ||
			!ds_worker_task_ready(task_of(courier, courier->done[i]), now))
			continue;
		bytes += body_len(flight);
		if (batch->n > 0 && bytes > DS_RECORD_BYTES)
			break;
		batch->index[batch->n++] = courier->done[i];
	}
}

/*
 * body_datum does the copy of a response's body into a bytea.
 */
static Datum
body_datum(const DsHttpResponse *response)
{
	bytea *body = palloc(VARHDRSZ + response->body_len);

	SET_VARSIZE(body, VARHDRSZ + response->body_len);
	memcpy(VARDATA(body), response->body, response->body_len);
	return PointerGetDatum(body);
}

/*
 * error_text does the choice of the text that says why there is no answer.
 */
static const char *
error_text(const DsFlight *flight)
{
	return flight->response != NULL ? flight->response->error : flight->error;
}

/*
 * fill_result does one row of the arrays of finish. What did not happen is
 * NULL (texts, retry_after, body) or 0 (status, times).
 */
static void
fill_result(const DsFlight *flight, int i, Datum *columns[DS_FINISH_ARGS],
			bool *nulls[DS_FINISH_ARGS])
{
	const DsHttpResponse *r = flight->response;
	const char *error = error_text(flight);

	for (int c = 0; c < DS_FINISH_ARGS; c++)
	{
		columns[c][i] = Int64GetDatum(0);
		nulls[c][i] = false;
	}
	columns[0][i] = Int64GetDatum(flight->id);
	columns[1][i] = UUIDPGetDatum(&flight->lease);
	columns[4][i] = CStringGetTextDatum(error);
	nulls[4][i] = error[0] == '\0';
	if (r == NULL)
	{
		columns[3][i] = Int32GetDatum(flight->curl_code);
		nulls[5][i] = nulls[6][i] = nulls[7][i] = true;
		return;
	}
	columns[2][i] = Int32GetDatum((int32) r->status);
	columns[3][i] = Int32GetDatum(r->curl_code);
	nulls[5][i] = r->retry_after_s < 0;
	columns[5][i] = Int32GetDatum((int32) Min(r->retry_after_s, PG_INT32_MAX));
	columns[6][i] = CStringGetTextDatum(r->headers);
	columns[7][i] = body_datum(r);
	columns[8][i] = Int64GetDatum(r->dns_us);
	columns[9][i] = Int64GetDatum(r->connect_us);
	columns[10][i] = Int64GetDatum(r->tls_us);
	columns[11][i] = Int64GetDatum(r->ttfb_us);
	columns[12][i] = Int64GetDatum(r->total_us);
}

/*
 * build_array does one argument of finish.
 */
static Datum
build_array(Datum *values, bool *nulls, int n, Oid element)
{
	int dims[1] = {n};
	int lower[1] = {1};
	int16 len;
	bool byval;
	char align;

	get_typlenbyvalalign(element, &len, &byval, &align);
	return PointerGetDatum(
		construct_md_array(values, nulls, 1, dims, lower, element, len, byval, align));
}

/*
 * finish_step does the recording of a batch of deliveries.
 */
static void
finish_step(void *arg)
{
	static const Oid elements[DS_FINISH_ARGS] = {INT8OID, UUIDOID, INT4OID,	 INT4OID, TEXTOID,
												 INT4OID, TEXTOID, BYTEAOID, INT8OID, INT8OID,
												 INT8OID, INT8OID, INT8OID};
	DsBatch *batch = arg;
	DsTask *task = &batch->courier->task[DS_COURIER_FINISH];
	Datum *columns[DS_FINISH_ARGS];
	bool *nulls[DS_FINISH_ARGS];
	Datum values[DS_FINISH_ARGS];
	Oid argtypes[DS_FINISH_ARGS];

	for (int c = 0; c < DS_FINISH_ARGS; c++)
	{
		argtypes[c] = get_array_type(elements[c]);
		columns[c] = palloc(sizeof(Datum) * batch->n);
		nulls[c] = palloc(sizeof(bool) * batch->n);
	}
	for (int i = 0; i < batch->n; i++)
		fill_result(&batch->courier->flight[batch->index[i]], i, columns, nulls);
	for (int c = 0; c < DS_FINISH_ARGS; c++)
		values[c] = build_array(columns[c], nulls[c], batch->n, elements[c]);
	ds_spi_run(ds_worker_task_plan(task, DS_FINISH_ARGS, argtypes), values, NULL);
	DS_FAILPOINT("worker.finish.before_commit");
}

/*
 * feed_finish_step does the recording of one feed's answer.
 */
static void
feed_finish_step(void *arg)
{
	static const Oid argtypes[] = {INT8OID, UUIDOID, INT4OID, INT4OID, TEXTOID, BYTEAOID};
	DsBatch *batch = arg;
	DsTask *task = &batch->courier->task[DS_COURIER_FEED_FINISH];
	DsFlight *flight = &batch->courier->flight[batch->index[0]];
	DsHttpResponse *response = flight->response;
	const char *error = error_text(flight);
	char nulls[] = "      ";
	Datum values[6];

	values[0] = Int64GetDatum(flight->id);
	values[1] = UUIDPGetDatum(&flight->lease);
	values[2] = Int32GetDatum(response != NULL ? (int32) response->status : 0);
	values[3] = Int32GetDatum(response != NULL ? response->curl_code : flight->curl_code);
	values[4] = CStringGetTextDatum(error);
	values[5] = response != NULL ? body_datum(response) : (Datum) 0;
	nulls[4] = error[0] == '\0' ? 'n' : ' ';
	nulls[5] = response == NULL ? 'n' : ' ';
	ds_spi_run(ds_worker_task_plan(task, lengthof(argtypes), argtypes), values, nulls);
	DS_FAILPOINT("worker.feed_finish.before_commit");
}

/*
 * free_flights does the end of a batch's flights: their responses are freed
 * and they leave the queue.
 */
static void
free_flights(DsCourier *courier, const DsBatch *batch)
{
	int kept = 0;

	for (int i = 0; i < batch->n; i++)
	{
		DsFlight *flight = &courier->flight[batch->index[i]];

		courier->done_bytes -= body_len(flight);
		ds_http_response_free(flight->response);
		flight->response = NULL;
		flight->state = DS_FLIGHT_FREE;
		courier->nfeeds -= flight->feed ? 1 : 0;
		courier->ndone_feeds -= flight->feed ? 1 : 0;
		courier->free[courier->nfree++] = batch->index[i];
	}
	for (int i = 0; i < courier->ndone; i++)
	{
		if (courier->flight[courier->done[i]].state == DS_FLIGHT_DONE)
			courier->done[kept++] = courier->done[i];
	}
	courier->ndone = kept;
	courier->oldest_done = GetCurrentTimestamp();
}

/*
 * batch_failed does the consequences of an error: next time one by one, the
 * one that failed alone goes to the end of the queue, and in the end it goes.
 */
static void
batch_failed(DsCourier *courier, DsTask *task, DsBatch *batch, const DsFailure *failure)
{
	DsFlight *flight = &courier->flight[batch->index[0]];

	ds_worker_task_failed(task, failure);
	if (batch->n > 1)
	{
		courier->isolate = batch->n;
		return;
	}
	if (++flight->tries >= DS_RECORD_TRIES)
	{
		ereport(WARNING,
				(errcode(failure->sqlstate),
				 errmsg("the answer to %s " INT64_FORMAT " could not be recorded: %s",
						flight->feed ? "feed" : "delivery", flight->id, failure->message),
				 errhint("Its lease runs out and it is sent again under the same message id.")));
		free_flights(courier, batch);
		return;
	}
	for (int i = 0; i + 1 < courier->ndone; i++)
	{
		if (courier->done[i] == batch->index[0])
		{
			courier->done[i] = courier->done[i + 1];
			courier->done[i + 1] = batch->index[0];
		}
	}
}

/*
 * ds_worker_courier_record does one batch. Results are recorded whatever the state
 * of the instance: they have happened.
 */
void
ds_worker_courier_record(DsCourier *courier)
{
	DsBatch batch;
	DsFailure failure;
	DsTask *task;
	DsOutcome outcome;

	take_batch(courier, &batch);
	if (batch.n == 0)
		return;
	task = task_of(courier, batch.index[0]);
	DS_FAILPOINT("worker.record.before");
	outcome = ds_worker_session_run(
		batch.feed ? "distsync: record feed" : "distsync: record deliveries", DS_NEEDS_EXTENSION,
		batch.feed ? feed_finish_step : finish_step, &batch, &failure);
	if (outcome == DS_FAILED)
	{
		batch_failed(courier, task, &batch, &failure);
		return;
	}
	if (outcome == DS_IDLE)
	{
		ds_worker_slot_set_state(DS_SLOT_IDLE, ds_worker_session_idle_reason());
		task->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), DS_RECORD_IDLE_MS);
		return;
	}
	DS_FAILPOINT("worker.finish.after_commit");
	if (courier->isolate > 0 && !batch.feed)
		courier->isolate -= batch.n;
	ds_worker_task_worked(task);
	free_flights(courier, &batch);
	courier->look = true;
}
