/*-------------------------------------------------------------------------
 *
 * multi.c
 *		The driver: libcurl's multi handle behind one file descriptor.
 *
 * libcurl tells which sockets it waits for and until when; the sockets live in
 * an epoll set of our own, whose descriptor the worker puts beside its latch
 * (the wait event sets of PostgreSQL 15 can't let go of a socket), and the
 * time bounds the worker's wait. Signals are blocked whenever libcurl runs:
 * its resolver threads inherit the mask, and a handler of PostgreSQL must
 * never run in one of them.
 *
 * Process: worker; libcurl is initialised in it, never in the postmaster.
 * Locks: none. Memory: malloc.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "http/transfer.h"

#define EVENTS_AT_ONCE 64
#define ROUNDS_AT_ONCE 16 /* then the worker looks at its latch again */

struct DsHttp
{
	CURLM *multi;
	int epoll_fd;
	int64_t deadline_ms; /* libcurl's timer, monotonic; -1 none */
	int max_inflight;
	int inflight;
	DsHttpBudget budget;
	DsHttpTransfer *running;
	DsHttpResponse *first, *last; /* finished, in the order they finished */
};

/* now_ms reads a clock that nobody sets. */
static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* block_signals holds back all signals but those of a crash, which must not be held back. */
static void
block_signals(sigset_t *before)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
	sigset_t all;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
		sigdelset(&all, faults[i]);
	sigprocmask(SIG_SETMASK, &all, before);
}

/* restore_signals lets in what waited meanwhile. */
static void
restore_signals(const sigset_t *before)
{
	sigprocmask(SIG_SETMASK, before, NULL);
}

/* watch_socket is told by libcurl what to wait for; a closed socket has left the epoll set by itself. */
static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	DsHttp *http = arg;
	struct epoll_event event = {0};

	(void) easy;
	(void) socket_arg;
	if (what == CURL_POLL_REMOVE)
	{
		epoll_ctl(http->epoll_fd, EPOLL_CTL_DEL, fd, &event);
		return 0;
	}
	event.data.fd = fd;
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	if (epoll_ctl(http->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0)
		return 0;
	if (errno == ENOENT && epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	return -1;
}

/* set_timer is told by libcurl when to call it, whatever the sockets do. */
static int
set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	DsHttp *http = arg;

	(void) multi;
	http->deadline_ms = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	return 0;
}

/* open_multi makes the multi handle and its epoll set. */
static bool
open_multi(DsHttp *http)
{
	http->deadline_ms = -1;
	http->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (http->epoll_fd < 0)
		return false;
	http->multi = curl_multi_init();
	return http->multi != NULL &&
		   curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) == CURLM_OK &&
		   curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
		   curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
		   curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) == CURLM_OK &&
		   curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, (long) CURLPIPE_NOTHING) ==
			   CURLM_OK &&
#if LIBCURL_VERSION_NUM >= 0x081400
		   /* since 8.20 resolver threads belong to the multi handle, which waits for them unless told */
		   curl_multi_setopt(http->multi, CURLMOPT_QUICK_EXIT, 1L) == CURLM_OK &&
#endif
		   curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long) http->max_inflight) ==
			   CURLM_OK;
}

/* library_fits asks the libcurl we run with, which need not be the one we were built with. */
static bool
library_fits(char *err, size_t errlen)
{
	static bool initialised = false;
	const curl_version_info_data *info;

	if (!initialised && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
	{
		snprintf(err, errlen, "libcurl can't be initialised");
		return false;
	}
	initialised = true;
	info = curl_version_info(CURLVERSION_NOW);
	if (info->version_num < 0x075700)
	{
		snprintf(err, errlen, "libcurl %s is too old, 7.87 is needed", info->version);
		return false;
	}
	if (!(info->features & CURL_VERSION_SSL) || !(info->features & CURL_VERSION_ASYNCHDNS))
	{
		snprintf(err, errlen, "libcurl %s lacks TLS or the asynchronous resolver", info->version);
		return false;
	}
	return true;
}

/* ds_http_create makes a driver for one process; max_inflight also bounds the connections kept alive. */
DsHttp *
ds_http_create(int max_inflight, char *err, size_t errlen)
{
	DsHttp *http;
	sigset_t before;
	bool ok;

	if ((http = calloc(1, sizeof(DsHttp))) == NULL)
	{
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	http->max_inflight = max_inflight > 0 ? max_inflight : 1;
	http->budget.max = DS_HTTP_MAX_BYTES;
	http->epoll_fd = -1;
	block_signals(&before);
	ok = library_fits(err, errlen);
	if (ok && !(ok = open_multi(http)))
		snprintf(err, errlen, "no file descriptor or memory for the HTTP driver");
	restore_signals(&before);
	if (ok)
		return http;
	ds_http_destroy(http);
	return NULL;
}

/* link_running puts a transfer on the list of what libcurl works on. */
static void
link_running(DsHttp *http, DsHttpTransfer *transfer)
{
	transfer->prev = NULL;
	transfer->next = http->running;
	if (http->running != NULL)
		http->running->prev = transfer;
	http->running = transfer;
}

/* unlink_running takes it off again. */
static void
unlink_running(DsHttp *http, DsHttpTransfer *transfer)
{
	if (transfer->prev != NULL)
		transfer->prev->next = transfer->next;
	else
		http->running = transfer->next;
	if (transfer->next != NULL)
		transfer->next->prev = transfer->prev;
}

/* complete moves a transfer from the running to the finished. */
static void
complete(DsHttp *http, DsHttpTransfer *transfer, CURLcode result)
{
	DsHttpResponse *response;

	curl_multi_remove_handle(http->multi, transfer->easy);
	unlink_running(http, transfer);
	response = ds_http_transfer_finish(transfer, result);
	ds_http_transfer_free(transfer);
	if (http->last != NULL)
		http->last->next = response;
	else
		http->first = response;
	http->last = response;
}

/* collect takes what libcurl has finished. */
static void
collect(DsHttp *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		CURLcode result = message->data.result;
		char *private = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
		complete(http, (DsHttpTransfer *) (void *) private, result);
	}
}

/*
 * act lets libcurl work on one socket or its timer. An error here is one of the multi handle itself (the epoll set refused
 * a socket, no memory): libcurl then ends its transfers one after the other, and we end the others for it.
 */
static void
act(DsHttp *http, curl_socket_t fd, int what)
{
	int running;
	CURLMcode rc = curl_multi_socket_action(http->multi, fd, what, &running);

	if (rc == CURLM_OK)
		return;
	collect(http);
	while (http->running != NULL)
	{
		DsHttpTransfer *transfer = http->running;

		snprintf(transfer->curl_error, sizeof(transfer->curl_error), "the HTTP driver failed: %s",
				 curl_multi_strerror(rc));
		complete(http, transfer, CURLE_FAILED_INIT);
	}
}

/* act_on_timer calls libcurl if its time has come, and tells whether it had. */
static bool
act_on_timer(DsHttp *http)
{
	if (http->deadline_ms < 0 || http->deadline_ms > now_ms())
		return false;
	http->deadline_ms = -1;
	act(http, CURL_SOCKET_TIMEOUT, 0);
	return true;
}

/* ds_http_submit copies a request and starts it. */
bool
ds_http_submit(DsHttp *http, const DsHttpRequest *request, bool *invalid, char *err, size_t errlen)
{
	DsHttpTransfer *transfer;
	CURLMcode rc;
	sigset_t before;

	*invalid = false;
	if (http->inflight >= http->max_inflight)
	{
		snprintf(err, errlen, "%d requests are in flight, no more are taken", http->inflight);
		return false;
	}
	block_signals(&before);
	transfer = ds_http_transfer_create(request, &http->budget, invalid, err, errlen);
	if (transfer != NULL)
	{
		rc = curl_multi_add_handle(http->multi, transfer->easy);
		if (rc == CURLM_OK)
		{
			link_running(http, transfer);
			http->inflight++;
			act_on_timer(http);
			collect(http);
		}
		else
		{
			snprintf(err, errlen, "libcurl took no request: %s", curl_multi_strerror(rc));
			ds_http_transfer_free(transfer);
			transfer = NULL;
		}
	}
	restore_signals(&before);
	return transfer != NULL;
}

/* ds_http_fd is readable when ds_http_drive has something to do. */
int
ds_http_fd(const DsHttp *http)
{
	return http->epoll_fd;
}

/* ds_http_timeout_ms bounds the wait for ds_http_fd: 0 if something is finished already. */
long
ds_http_timeout_ms(const DsHttp *http)
{
	int64_t left;

	if (http->first != NULL)
		return 0;
	if (http->deadline_ms < 0)
		return -1;
	left = http->deadline_ms - now_ms();
	return left > 0 ? (long) left : 0;
}

/* ds_http_drive moves every socket that is ready. It comes back soon even if the partners never pause. */
void
ds_http_drive(DsHttp *http)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	sigset_t before;

	block_signals(&before);
	for (int round = 0; round < ROUNDS_AT_ONCE; round++)
	{
		int count = epoll_wait(http->epoll_fd, events, EVENTS_AT_ONCE, 0);

		for (int i = 0; i < count; i++)
		{
			int what = 0;

			if (events[i].events & EPOLLIN)
				what |= CURL_CSELECT_IN;
			if (events[i].events & EPOLLOUT)
				what |= CURL_CSELECT_OUT;
			if (events[i].events & (EPOLLERR | EPOLLHUP))
				what |= CURL_CSELECT_ERR;
			act(http, events[i].data.fd, what);
		}
		if (!act_on_timer(http) && count <= 0)
			break;
	}
	collect(http);
	restore_signals(&before);
}

/* ds_http_next hands out the oldest finished response. */
DsHttpResponse *
ds_http_next(DsHttp *http)
{
	DsHttpResponse *response = http->first;

	if (response == NULL)
		return NULL;
	http->first = response->next;
	if (http->first == NULL)
		http->last = NULL;
	response->next = NULL;
	http->inflight--;
	return response;
}

/* ds_http_inflight counts what was submitted and not yet handed out by next. */
int
ds_http_inflight(const DsHttp *http)
{
	return http->inflight;
}

/* ds_http_room tells how many more requests submit takes. */
int
ds_http_room(const DsHttp *http)
{
	return http->max_inflight - http->inflight;
}

/* ds_http_bytes tells what the buffers of unfinished requests hold. */
size_t
ds_http_bytes(const DsHttp *http)
{
	return http->budget.used;
}

/* ds_http_destroy gives up what is in flight and closes every connection. */
void
ds_http_destroy(DsHttp *http)
{
	DsHttpResponse *response;
	sigset_t before;

	if (http == NULL)
		return;
	block_signals(&before);
	while (http->running != NULL)
	{
		DsHttpTransfer *transfer = http->running;

		curl_multi_remove_handle(http->multi, transfer->easy);
		unlink_running(http, transfer);
		ds_http_transfer_free(transfer);
	}
	curl_multi_cleanup(http->multi);
	if (http->epoll_fd >= 0)
		close(http->epoll_fd);
	restore_signals(&before);
	while ((response = ds_http_next(http)) != NULL)
		ds_http_response_free(response);
	free(http);
}
