/*-------------------------------------------------------------------------
 *
 * http.h
 *		The HTTP driver of a worker: many requests in flight, one file
 *		descriptor to wait for, nothing that throws.
 *
 * The driver knows nothing of PostgreSQL: no palloc, no ereport, no latch. It
 * mallocs, bounds and counts everything, so that its caller may throw, and so
 * that it runs under a fuzzer or valgrind without a server.
 *
 * The loop of a caller:
 *
 *		for as long as there is work and room, ds_http_submit();
 *		wait for latch or ds_http_fd(), at most ds_http_timeout_ms();
 *		ds_http_drive();
 *		while ((response = ds_http_next())) { record; ds_http_response_free(); }
 *
 * No transaction is open while it waits. A caller that may throw between
 * create and destroy destroys the driver when its process exits; nothing is
 * in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_HTTP_HTTP_H
#define DS_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DS_HTTP_ERROR_LEN 256
#define DS_HTTP_ADDRESS_LEN 64

/* What a zero in a request means, and where a request is cut. */
#define DS_HTTP_DEFAULT_TIMEOUT_MS 15000
#define DS_HTTP_DEFAULT_CONNECT_TIMEOUT_MS 5000
#define DS_HTTP_DEFAULT_MAX_RESPONSE (64 * 1024)
#define DS_HTTP_MAX_TIMEOUT_MS (15 * 60 * 1000)
#define DS_HTTP_MAX_RESPONSE (64 * 1024 * 1024)
#define DS_HTTP_MAX_REQUEST_BODY (64 * 1024 * 1024)
#define DS_HTTP_MAX_BYTES ((size_t) 256 * 1024 * 1024) /* all buffers of one driver */

typedef struct DsHttp DsHttp; /* one per worker process */

typedef struct DsHttpRequest
{
	int64_t tag;		/* the caller's own number, handed back in the response */
	const char *method; /* GET, HEAD, POST, PUT, PATCH, DELETE */
	const char *url;
	const char *const *headers; /* NULL-terminated "Name: value"; NULL is none */
	const char *body;			/* any bytes */
	size_t body_len;
	int timeout_ms;			/* total; 0 is the default */
	int connect_timeout_ms; /* name, connect and TLS; 0 is the default */
	size_t max_response;	/* bytes of body kept; 0 is the default */
	bool cut_is_failure;	/* false: a longer body is cut and the status decides (a delivery);
							 * true: it is a failure, curl_code 63 (a feed: half a page is none) */
	bool allow_http;		/* plain http too, not only https */
	bool allow_private;		/* partners inside: private and loopback addresses too */
	const char *ca_file;	/* PEM file of trusted roots; NULL is the system's */
} DsHttpRequest;

typedef struct DsHttpResponse
{
	int64_t tag;
	long status;   /* last HTTP status seen, 0 is none */
	int curl_code; /* 0: a complete answer. Otherwise a CURLcode, and `error` says why */
	char error[DS_HTTP_ERROR_LEN]; /* printable ASCII, no secret of the request in it */
	char *body;					   /* never NULL, NUL-terminated, may hold NUL bytes */
	size_t body_len;
	bool truncated; /* the body was longer than max_response */
	bool refused;	/* the address guard let no connection through: error names the reason */
	char *headers;	/* lines of the final response, printable ASCII, capped at 16 kB; never NULL */
	char address[DS_HTTP_ADDRESS_LEN]; /* where we were connected, "" if nowhere */

	/* each phase by itself, 0 where it did not happen (kept-alive connection, plain http) */
	int64_t dns_us, connect_us, tls_us, ttfb_us, total_us;
	long retry_after_s;			 /* -1 none or nonsense; never more than a year */
	struct DsHttpResponse *next; /* the driver's */
} DsHttpResponse;

/* NULL if memory, descriptors or a fitting libcurl are missing; err says which */
extern DsHttp *ds_http_create(int max_inflight, char *err, size_t errlen);
extern void ds_http_destroy(DsHttp *http);

/*
 * Copies everything. False: nothing was started and err says why, either because the request is one we never send (bad
 * header, refused URL: *invalid is set) or because the driver is full (*invalid is not set: try again later).
 */
extern bool ds_http_submit(DsHttp *http, const DsHttpRequest *request, bool *invalid, char *err,
						   size_t errlen);

extern int ds_http_fd(const DsHttp *http);			/* epoll fd, one WL_SOCKET_READABLE */
extern long ds_http_timeout_ms(const DsHttp *http); /* -1 none */
extern void ds_http_drive(DsHttp *http);			/* moves what can be moved, never waits */

extern DsHttpResponse *ds_http_next(DsHttp *http); /* a finished one, the caller's now, or NULL */
extern void ds_http_response_free(DsHttpResponse *response);

extern int ds_http_inflight(const DsHttp *http); /* submitted and not yet handed out by next */
extern int ds_http_room(const DsHttp *http);	 /* how many more submit takes */
extern size_t ds_http_bytes(const DsHttp *http); /* held in buffers now */

#endif /* DS_HTTP_HTTP_H */
