/*-------------------------------------------------------------------------
 *
 * transfer.c
 *		One request: its options, its callbacks, its response.
 *
 * The callbacks run inside libcurl. They never throw, never call libcurl and
 * never allocate from PostgreSQL: they fill bounded buffers, leave a mark why
 * they gave up, and ds_http_transfer_finish() makes words of it afterwards.
 *
 * Process: worker. Locks: none. Memory: malloc, counted in the driver's budget.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http/guard.h"
#include "http/transfer.h"

/* before it, a name whose resolver hangs stalls every other partner until the resolver gives up */
#if LIBCURL_VERSION_NUM < 0x075700
#error "distsync needs libcurl 7.87 or later (CURLOPT_QUICK_EXIT)"
#endif

#define MAX_CONNECTION_IDLE_S 55L /* below the idle timeout of usual load balancers */
#define MAX_CONNECTION_AGE_S 600L /* a partner that moves to another address is followed */
#define LOW_SPEED_BYTES 10L		  /* a second, over ... */
#define LOW_SPEED_S 60L			  /* ... so long: for feeds with long total timeouts */

static const char *const no_headers[] = {NULL};

/* printable replaces what a log, a text column or a terminal could stumble over; line breaks stay if asked. */
static void
printable(char *text, size_t len, bool keep_lines)
{
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if ((c < ' ' || c >= 0x7f) && !(keep_lines && (c == '\n' || c == '\r' || c == '\t')))
			text[i] = '?';
	}
}

/* reserve makes room for len bytes and the final NUL, within the driver's budget. */
static bool
reserve(DsHttpBuffer *buffer, size_t len, DsHttpBudget *budget)
{
	size_t size = buffer->size == 0 ? 256 : buffer->size;
	char *data;

	if (len < buffer->size)
		return true;
	while (size <= len)
		size *= 2;
	if (size > buffer->max + 1)
		size = buffer->max + 1;
	if (size - buffer->size > budget->max - budget->used)
		return false;
	if ((data = realloc(buffer->data, size)) == NULL)
		return false;
	budget->used += size - buffer->size;
	buffer->data = data;
	buffer->size = size;
	return true;
}

/* append copies what still fits and tells how much that was; -1 without memory. */
static ssize_t
append(DsHttpBuffer *buffer, const char *data, size_t len, DsHttpBudget *budget)
{
	size_t fits = len <= buffer->max - buffer->len ? len : buffer->max - buffer->len;

	if (!reserve(buffer, buffer->len + fits, budget))
		return -1;
	memcpy(buffer->data + buffer->len, data, fits);
	buffer->len += fits;
	buffer->data[buffer->len] = '\0';
	return (ssize_t) fits;
}

/* receive_body keeps the body up to its cap. Beyond it the connection is given up: nothing is read to be thrown away. */
static size_t
receive_body(char *data, size_t size, size_t count, void *arg)
{
	DsHttpTransfer *transfer = arg;
	size_t len = size * count;
	ssize_t kept = append(&transfer->body, data, len, transfer->budget);

	if (kept >= 0 && (size_t) kept == len)
		return len;
	transfer->stop = kept < 0 ? DS_HTTP_STOP_MEMORY : DS_HTTP_STOP_BODY;
	return 0;
}

/*
 * receive_header keeps the lines of the last response head (a 100 Continue before it is dropped) and looks for
 * Retry-After. All lines count against the limit, so a partner can't send heads without end.
 */
static size_t
receive_header(char *data, size_t size, size_t count, void *arg)
{
	static const char retry_after[] = "retry-after:";
	const size_t name_len = sizeof(retry_after) - 1;
	DsHttpTransfer *transfer = arg;
	size_t len = size * count;

	transfer->header_bytes += len;
	if (transfer->header_bytes > DS_HTTP_MAX_HEADER_BYTES)
	{
		transfer->stop = DS_HTTP_STOP_HEADERS;
		return 0;
	}
	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
	{
		transfer->head.len = 0;
		transfer->head.data[0] = '\0';
		transfer->response->retry_after_s = -1;
	}
	if (len > name_len && strncasecmp(data, retry_after, name_len) == 0)
		transfer->response->retry_after_s =
			ds_http_retry_after(data + name_len, len - name_len, (int64_t) time(NULL));
	if (append(&transfer->head, data, len, transfer->budget) < 0)
	{
		transfer->stop = DS_HTTP_STOP_MEMORY;
		return 0;
	}
	return len;
}

/* note_refusal remembers what the guard said, and about which address. */
static void
note_refusal(DsHttpTransfer *transfer, const char *reason, const char *address)
{
	transfer->refused = reason;
	snprintf(transfer->refused_address, sizeof(transfer->refused_address), "%s", address);
}

/* open_socket is the guard's post: it sees the address after every trick of spelling and naming, before the first packet. */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	DsHttpTransfer *transfer = arg;
	const char *reason = purpose == CURLSOCKTYPE_IPCXN
							 ? ds_http_address_refused(&address->addr, transfer->allow_private)
							 : "purpose";
	int fd;

	if (reason != NULL)
	{
		char text[INET6_ADDRSTRLEN] = "";
		const void *bytes =
			address->family == AF_INET
				? (const void *) &((struct sockaddr_in *) (void *) &address->addr)->sin_addr
				: (const void *) &((struct sockaddr_in6 *) (void *) &address->addr)->sin6_addr;

		if (address->family == AF_INET || address->family == AF_INET6)
			inet_ntop(address->family, bytes, text, sizeof(text));
		note_refusal(transfer, reason, text);
		return CURL_SOCKET_BAD;
	}
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	transfer->sockets_opened++;
	return fd;
}

/*
 * before_request asks the guard once more, when the connection is there and nothing is sent yet. A kept-alive connection
 * passes no open_socket, and may have been opened by a request that was allowed more.
 */
static int
before_request(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	DsHttpTransfer *transfer = arg;
	const char *reason = ds_http_literal_refused(peer, transfer->allow_private);

	(void) local;
	(void) peer_port;
	(void) local_port;
	snprintf(transfer->response->address, sizeof(transfer->response->address), "%s", peer);
	if (reason == NULL)
		return CURL_PREREQFUNC_OK;
	note_refusal(transfer, reason, peer);
	transfer->sockets_opened = 0;
	return CURL_PREREQFUNC_ABORT;
}

#define SET(option, value)                                                                         \
	do                                                                                             \
	{                                                                                              \
		if (curl_easy_setopt(transfer->easy, option, value) != CURLE_OK)                           \
			return false;                                                                          \
	} while (0)

/* set_protection says what we never do, whatever the environment, the URL or the partner asks for. */
static bool
set_protection(DsHttpTransfer *transfer, const DsHttpRequest *request)
{
	SET(CURLOPT_PROTOCOLS_STR, request->allow_http ? "https,http" : "https");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY,
		""); /* not even from the postmaster's environment: the guard would see the proxy */
	SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, transfer);
	SET(CURLOPT_PREREQFUNCTION, before_request);
	SET(CURLOPT_PREREQDATA, transfer);
	return true;
}

/* within takes the default for what was not given and cuts what is too much. */
static long
within(long value, long standard, long most)
{
	if (value <= 0)
		return standard;
	return value < most ? value : most;
}

/* set_limits bounds the time of every phase and the life of a connection; the sizes are bounded by the callbacks. */
static bool
set_limits(DsHttpTransfer *transfer, const DsHttpRequest *request)
{
	long total = within(request->timeout_ms, DS_HTTP_DEFAULT_TIMEOUT_MS, DS_HTTP_MAX_TIMEOUT_MS);
	long connecting =
		within(request->connect_timeout_ms, DS_HTTP_DEFAULT_CONNECT_TIMEOUT_MS, total);

	SET(CURLOPT_TIMEOUT_MS, total);
	SET(CURLOPT_CONNECTTIMEOUT_MS, connecting < total ? connecting : total);
	SET(CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_BYTES);
	SET(CURLOPT_LOW_SPEED_TIME, LOW_SPEED_S);
	SET(CURLOPT_MAXAGE_CONN, MAX_CONNECTION_IDLE_S);
	SET(CURLOPT_MAXLIFETIME_CONN, MAX_CONNECTION_AGE_S);
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	return true;
}

/* set_message hands method, URL, headers and body to libcurl; everything it points to lives as long as the transfer. */
static bool
set_message(DsHttpTransfer *transfer, const DsHttpRequest *request)
{
	bool sends_body = transfer->request_body_len > 0 || strcmp(request->method, "POST") == 0 ||
					  strcmp(request->method, "PUT") == 0 || strcmp(request->method, "PATCH") == 0;

	SET(CURLOPT_URL, request->url);
	SET(CURLOPT_PATH_AS_IS, 1L);
	if (sends_body)
	{
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) transfer->request_body_len);
		SET(CURLOPT_POSTFIELDS, transfer->request_body);
	}
	else if (strcmp(request->method, "HEAD") == 0)
		SET(CURLOPT_NOBODY, 1L);
	else
		SET(CURLOPT_HTTPGET, 1L);
	SET(CURLOPT_CUSTOMREQUEST, request->method);
	SET(CURLOPT_HTTPHEADER, transfer->headers);
	SET(CURLOPT_PRIVATE, transfer);
	SET(CURLOPT_ERRORBUFFER, transfer->curl_error);
	SET(CURLOPT_WRITEFUNCTION, receive_body);
	SET(CURLOPT_WRITEDATA, transfer);
	SET(CURLOPT_HEADERFUNCTION, receive_header);
	SET(CURLOPT_HEADERDATA, transfer);
	return true;
}

/* add_header copies one line behind the others. */
static bool
add_header(DsHttpTransfer *transfer, const char *line)
{
	struct curl_slist *list = curl_slist_append(transfer->headers, line);

	if (list == NULL)
		return false;
	transfer->headers = list;
	return true;
}

/* add_headers copies the request's lines, and takes away the two that libcurl would add by itself. */
static bool
add_headers(DsHttpTransfer *transfer, const char *const *lines)
{
	bool has_type = false;

	for (; *lines != NULL; lines++)
	{
		if (strncasecmp(*lines, "content-type:", 13) == 0)
			has_type = true;
		if (!add_header(transfer, *lines))
			return false;
	}
	/* waiting for 100 Continue costs a second with a partner that never sends it */
	return add_header(transfer, "Expect:") && (has_type || add_header(transfer, "Content-Type:"));
}

/* find_fault looks for what we never send, before anything is allocated. */
static bool
find_fault(const DsHttpRequest *request, char *err, size_t errlen)
{
	const char *const *lines = request->headers != NULL ? request->headers : no_headers;
	const char *reason = "missing";
	int count = 0;

	if (request->method == NULL || (reason = ds_http_method_refused(request->method)) != NULL)
		snprintf(err, errlen, "method refused: %s", reason);
	else if ((reason = request->url == NULL
						   ? "missing"
						   : ds_http_url_refused(request->url, strlen(request->url),
												 request->allow_http, request->allow_private)) !=
			 NULL)
		snprintf(err, errlen, "url refused: %s", reason);
	else if (request->body_len > DS_HTTP_MAX_REQUEST_BODY)
		snprintf(err, errlen, "body refused: longer than %d bytes", DS_HTTP_MAX_REQUEST_BODY);
	else
	{
		for (; lines[count] != NULL; count++)
		{
			if (count >= DS_HTTP_MAX_HEADERS)
				reason = "too_many";
			else
				reason = ds_http_header_refused(lines[count], strlen(lines[count]));
			if (reason != NULL)
			{
				snprintf(err, errlen, "header %d refused: %s", count + 1, reason);
				return true;
			}
		}
		return false;
	}
	return true;
}

/* allocate makes everything a transfer needs but its options, so that nothing has to be allocated when it ends. */
static bool
allocate(DsHttpTransfer *transfer, const DsHttpRequest *request)
{
	size_t body_size = request->body_len > 0 ? request->body_len : 1;

	transfer->body.max =
		request->max_response == 0 ? DS_HTTP_DEFAULT_MAX_RESPONSE : request->max_response;
	if (transfer->body.max > DS_HTTP_MAX_RESPONSE)
		transfer->body.max = DS_HTTP_MAX_RESPONSE;
	transfer->head.max = DS_HTTP_KEPT_HEADERS;
	if (request->body_len > transfer->budget->max - transfer->budget->used)
		return false;
	if ((transfer->request_body = malloc(body_size)) == NULL)
		return false;
	transfer->request_body_len = request->body_len;
	transfer->budget->used += request->body_len;
	if (request->body_len > 0)
		memcpy(transfer->request_body, request->body, request->body_len);
	if ((transfer->response = calloc(1, sizeof(DsHttpResponse))) == NULL)
		return false;
	transfer->response->tag = request->tag;
	transfer->response->retry_after_s = -1;
	return append(&transfer->body, "", 0, transfer->budget) == 0 &&
		   append(&transfer->head, "", 0, transfer->budget) == 0 &&
		   add_headers(transfer, request->headers != NULL ? request->headers : no_headers) &&
		   (transfer->easy = curl_easy_init()) != NULL;
}

/*
 * set_roots says whom we trust. Without a directory of roots beside the file libcurl parses the system's roots once for
 * all connections, not anew for each (tens of milliseconds); and a file of the caller's must not be widened by that
 * directory.
 */
static bool
set_roots(DsHttpTransfer *transfer, const DsHttpRequest *request)
{
	static int system_file_readable = -1;
	const char *system_file = curl_version_info(CURLVERSION_NOW)->cainfo;

	if (system_file_readable < 0)
		system_file_readable = system_file != NULL && access(system_file, R_OK) == 0;
	if (request->ca_file != NULL)
		SET(CURLOPT_CAINFO, request->ca_file);
	if (request->ca_file != NULL || system_file_readable)
		SET(CURLOPT_CAPATH, NULL);
	return true;
}

/* ds_http_transfer_create copies a request into a transfer ready to be added, or says why not. */
DsHttpTransfer *
ds_http_transfer_create(const DsHttpRequest *request, DsHttpBudget *budget, bool *invalid,
						char *err, size_t errlen)
{
	DsHttpTransfer *transfer;

	*invalid = find_fault(request, err, errlen);
	if (*invalid)
		return NULL;
	if ((transfer = calloc(1, sizeof(DsHttpTransfer))) == NULL)
	{
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	transfer->budget = budget;
	transfer->allow_private = request->allow_private;
	transfer->cut_is_failure = request->cut_is_failure;
	if (allocate(transfer, request) && set_protection(transfer, request) &&
		set_limits(transfer, request) && set_message(transfer, request) &&
		set_roots(transfer, request))
		return transfer;
	snprintf(err, errlen, "the buffers of the driver are full");
	ds_http_transfer_free(transfer);
	return NULL;
}

/* explain turns libcurl's result and the marks of the callbacks into a code and words. */
static void
explain(DsHttpTransfer *transfer, CURLcode result)
{
	DsHttpResponse *response = transfer->response;
	char *err = response->error;
	size_t errlen = sizeof(response->error);

	response->truncated = transfer->stop == DS_HTTP_STOP_BODY;
	response->refused =
		result != CURLE_OK && transfer->refused != NULL && transfer->sockets_opened == 0;
	if (result == CURLE_OK)
		return;
	if (response->refused)
	{
		result = CURLE_ABORTED_BY_CALLBACK;
		snprintf(err, errlen, "address refused: %s (%s)", transfer->refused,
				 transfer->refused_address);
	}
	else if (transfer->stop == DS_HTTP_STOP_BODY)
	{
		result = transfer->cut_is_failure ? CURLE_FILESIZE_EXCEEDED : CURLE_OK;
		snprintf(err, errlen, "response body cut at %zu bytes", transfer->body.max);
	}
	else if (transfer->stop == DS_HTTP_STOP_HEADERS)
	{
		result = CURLE_FILESIZE_EXCEEDED;
		snprintf(err, errlen, "response headers are longer than %d bytes",
				 DS_HTTP_MAX_HEADER_BYTES);
	}
	else if (transfer->stop == DS_HTTP_STOP_MEMORY)
	{
		result = CURLE_OUT_OF_MEMORY;
		snprintf(err, errlen, "no memory for the response");
	}
	else
		snprintf(err, errlen, "%s",
				 transfer->curl_error[0] != '\0' ? transfer->curl_error
												 : curl_easy_strerror(result));
	response->curl_code = result;
	printable(err, strlen(err), false);
}

/* measure reads the clocks. libcurl's all start with the request; ours are one phase each. */
static void
measure(DsHttpTransfer *transfer)
{
	DsHttpResponse *response = transfer->response;
	curl_off_t dns = 0;
	curl_off_t connected = 0;
	curl_off_t secured = 0;
	curl_off_t ready = 0;
	curl_off_t first_byte = 0;
	curl_off_t total = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_NAMELOOKUP_TIME_T, &dns);
	curl_easy_getinfo(transfer->easy, CURLINFO_CONNECT_TIME_T, &connected);
	curl_easy_getinfo(transfer->easy, CURLINFO_APPCONNECT_TIME_T, &secured);
	curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
	curl_easy_getinfo(transfer->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_byte);
	curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &total);
	response->dns_us = dns;
	response->connect_us = connected > dns ? connected - dns : 0;
	response->tls_us = secured > connected ? secured - connected : 0;
	response->ttfb_us = first_byte > ready ? first_byte - ready : 0;
	response->total_us = total;
}

/* give hands a buffer over to the response; it leaves the budget with it. */
static char *
give(DsHttpBuffer *buffer, DsHttpBudget *budget)
{
	char *data = buffer->data;

	budget->used -= buffer->size;
	memset(buffer, 0, sizeof(*buffer));
	return data;
}

/*
 * ds_http_transfer_finish completes the response and gives it away. The buffers count until then: what waits to be fetched
 * is small, and the caller fetches after every drive.
 */
DsHttpResponse *
ds_http_transfer_finish(DsHttpTransfer *transfer, CURLcode result)
{
	DsHttpResponse *response = transfer->response;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &response->status);
	if (response->status < 200)
		response->status = 0; /* 100 Continue is not an answer */
	explain(transfer, result);
	measure(transfer);
	printable(transfer->head.data, transfer->head.len, true);
	response->body_len = transfer->body.len;
	response->body = give(&transfer->body, transfer->budget);
	response->headers = give(&transfer->head, transfer->budget);
	transfer->response = NULL;
	return response;
}

/* ds_http_transfer_free frees a transfer that libcurl's multi handle no longer knows. */
void
ds_http_transfer_free(DsHttpTransfer *transfer)
{
	curl_easy_cleanup(transfer->easy);
	curl_slist_free_all(transfer->headers);
	transfer->budget->used -=
		transfer->request_body_len + transfer->body.size + transfer->head.size;
	free(transfer->request_body);
	free(transfer->body.data);
	free(transfer->head.data);
	free(transfer->response);
	free(transfer);
}

/* ds_http_response_free frees a response its caller is done with. */
void
ds_http_response_free(DsHttpResponse *response)
{
	if (response == NULL)
		return;
	free(response->body);
	free(response->headers);
	free(response);
}
