/*-------------------------------------------------------------------------
 *
 * driver.c
 *		The HTTP driver against a partner that misbehaves (partner.py), without a
 *		server. Speaks TAP; run by test/http/run.sh, also under valgrind.
 *
 * getaddrinfo is ours here, so that names resolve as a test needs it: to an
 * inner address, to several, or not at all for seconds.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <curl/curl.h>

#include "http/http.h"

#define BODY_MAX (6 * 1024 * 1024)

static int tests = 0;
static int failures = 0;
static int partner_port;
static int partner_tls_port;
static int partner_stdin;
static const char *ca_file;
static sem_t resolver_released; /* the resolver of the dead name hangs until then */
static bool epoll_refuses = false;
static char last_error[DS_HTTP_ERROR_LEN];

/* check counts one assertion and says what was found when it fails. */
static void
check(bool ok, const char *what, long found)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++tests, what);
	if (!ok)
	{
		failures++;
		printf("# found %ld, last error: %s\n", found, last_error);
	}
}

/* make_address gives one resolved address behind the others, as getaddrinfo's caller will free it. */
static struct addrinfo *
make_address(const char *text, const char *service, struct addrinfo *next)
{
	struct sockaddr_in *address = calloc(1, sizeof(*address));
	struct addrinfo *info = calloc(1, sizeof(*info));

	address->sin_family = AF_INET;
	address->sin_port = htons((uint16_t) atoi(service));
	inet_pton(AF_INET, text, &address->sin_addr);
	info->ai_family = AF_INET;
	info->ai_socktype = SOCK_STREAM;
	info->ai_addrlen = sizeof(*address);
	info->ai_addr = (struct sockaddr *) address;
	info->ai_next = next;
	return info;
}

/* getaddrinfo takes the place of the C library's for libcurl's resolver threads. */
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			struct addrinfo **result)
{
	sigset_t mask;

	(void) hints;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	if (!sigismember(&mask, SIGUSR1) || !sigismember(&mask, SIGTERM))
		abort(); /* a handler of the server would run in this thread */
	if (strcmp(node, "dead.example.com") == 0)
		sem_wait(&resolver_released);
	else if (strcmp(node, "inner.example.com") == 0 || strcmp(node, "localhost") == 0)
		return *result = make_address("127.0.0.1", service, NULL), 0;
	else if (strcmp(node, "both.example.com") == 0)
		return *result =
				   make_address("10.1.2.3", service, make_address("192.168.3.4", service, NULL)),
			   0;
	else if (strcmp(node, "mixed.example.com") == 0)
		return *result =
				   make_address("224.0.0.1", service, make_address("127.0.0.1", service, NULL)),
			   0;
	return EAI_NONAME;
}

/* epoll_ctl takes the place of the C library's for the driver, to refuse a socket as a system without memory does. */
int
epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
	if (epoll_refuses && op != EPOLL_CTL_DEL)
	{
		errno = ENOSPC;
		return -1;
	}
	return (int) syscall(SYS_epoll_ctl, epoll_fd, op, fd, event);
}

/* freeaddrinfo frees what make_address made. */
void
freeaddrinfo(struct addrinfo *info)
{
	while (info != NULL)
	{
		struct addrinfo *next = info->ai_next;

		free(info->ai_addr);
		free(info);
		info = next;
	}
}

/* wait_one drives until one response is there. Only the descriptor and the timeout are used, as a worker does. */
static DsHttpResponse *
wait_one(DsHttp *http)
{
	DsHttpResponse *response;

	while ((response = ds_http_next(http)) == NULL)
	{
		struct pollfd fd = {.fd = ds_http_fd(http), .events = POLLIN};
		long timeout = ds_http_timeout_ms(http);

		if (ds_http_inflight(http) == 0)
			abort();
		poll(&fd, 1, timeout < 0 || timeout > 1000 ? 1000 : (int) timeout);
		ds_http_drive(http);
	}
	snprintf(last_error, sizeof(last_error), "%s", response->error);
	return response;
}

/* ask gives a request to the partner as most tests need it. */
static DsHttpRequest
ask(const char *path)
{
	static char url[512];
	DsHttpRequest request = {.method = "GET", .allow_http = true, .allow_private = true};

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/%s", partner_port, path);
	request.url = url;
	return request;
}

/* submit must take the request. */
static void
submit(DsHttp *http, const DsHttpRequest *request)
{
	bool invalid;

	if (!ds_http_submit(http, request, &invalid, last_error, sizeof(last_error)))
		check(false, "submit takes the request", invalid);
}

/* run sends one request and waits. */
static DsHttpResponse *
run(DsHttp *http, const DsHttpRequest *request)
{
	submit(http, request);
	return wait_one(http);
}

/* stat_of asks the partner what it saw: the second number is of the path, the first of all connections. */
static int
stat_of(DsHttp *http, const char *path, bool of_path)
{
	char stats[256];
	int counts[2] = {0};
	DsHttpRequest request;
	DsHttpResponse *response;

	snprintf(stats, sizeof(stats), "stats/%s", path);
	request = ask(stats);
	response = run(http, &request);
	sscanf(response->body, "%d %d", &counts[0], &counts[1]);
	ds_http_response_free(response);
	return counts[of_path];
}

/* A path, and what must come of it. */
typedef struct Expectation
{
	const char *path;
	long status;
	int curl_code;
	long body_len; /* -1: any */
	long retry_after_s;
	const char *what;
} Expectation;

static const Expectation expectations[] = {
	{"size/0", 200, 0, 0, -1, "an empty body"},
	{"size/1", 200, 0, 1, -1, "one byte"},
	{"size/65535", 200, 0, 65535, -1, "64 kB but one"},
	{"size/65536", 200, 0, 65536, -1, "exactly the cap"},
	{"size/65537", 200, 0, 65536, -1, "one byte over the cap is cut"},
	{"big", 200, 0, 65536, -1, "a body of 1 GB is cut"},
	{"chunks", 200, 0, 65536, -1, "chunks without end are cut"},
	{"gzip", 200, 0, -1, -1, "a bomb stays packed"},
	{"status/404", 404, 0, 0, -1, "404"},
	{"status/500", 500, 0, 0, -1, "500"},
	{"status/410", 410, 0, 0, -1, "410"},
	{"nobody", 204, 0, 0, -1, "a body after 204 is not read"},
	{"continue", 200, 0, 2, -1, "100 Continue before the answer, its headers dropped"},
	{"retry/120", 503, 0, 0, 120, "Retry-After in seconds"},
	{"retry/-5", 503, 0, 0, -1, "Retry-After negative"},
	{"retry/1000000000000", 503, 0, 0, 31536000, "Retry-After huge"},
	{"retry/99999999999999999999999999", 503, 0, 0, 31536000, "Retry-After beyond 64 bits"},
	{"retry/soon", 503, 0, 0, -1, "Retry-After garbage"},
	{"retry/Sun,_06_Nov_1994_08:49:37_GMT", 503, 0, 0, 0, "Retry-After in the past"},
	{"retry/Fri,_31_Dec_9999_23:59:59_GMT", 503, 0, 0, 31536000, "Retry-After far away"},
	{"reset", 0, CURLE_RECV_ERROR, 0, -1, "a reset"},
	{"cut", 200, CURLE_PARTIAL_FILE, 4, -1, "the end in the middle of a body"},
	{"garbage", 0, CURLE_UNSUPPORTED_PROTOCOL, 0, -1, "a status line of garbage"},
	{"old", 0, CURLE_UNSUPPORTED_PROTOCOL, 0, -1, "HTTP/0.9"},
	{"nul", 200, CURLE_WEIRD_SERVER_REPLY, 0, -1, "NUL in a header"},
	{"continues", 0, CURLE_FILESIZE_EXCEEDED, 0, -1, "1xx without end"},
	{"bighead", 200, -1, 0, -1, "a header of 1 MB"},
	{"manyheads", 200, CURLE_FILESIZE_EXCEEDED, 0, -1, "10,000 headers"},
	{"headless", 200, CURLE_FILESIZE_EXCEEDED, 0, -1, "headers without end"},
};

/* test_answers runs the table. */
static void
test_answers(DsHttp *http)
{
	for (size_t i = 0; i < sizeof(expectations) / sizeof(*expectations); i++)
	{
		const Expectation *e = &expectations[i];
		DsHttpRequest request = ask(e->path);
		DsHttpResponse *response = run(http, &request);
		bool code_fits =
			e->curl_code == -1 ? response->curl_code != 0 : response->curl_code == e->curl_code;

		check(code_fits && response->status == e->status &&
				  response->retry_after_s == e->retry_after_s &&
				  (e->body_len == -1 || response->body_len == (size_t) e->body_len) &&
				  (response->curl_code == 0 || response->error[0] != '\0'),
			  e->what, response->curl_code * 1000L + response->status);
		ds_http_response_free(response);
	}
}

/* test_bodies sends and receives bodies from one byte to five megabytes. */
static void
test_bodies(DsHttp *http)
{
	static const size_t sizes[] = {0,	  1,	 1000,	 16383,	  16384,  16385,
								   65535, 65536, 200000, 1048577, 5242880};
	char *body = calloc(1, BODY_MAX);
	char path[32];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
	{
		DsHttpRequest request = ask("echo");
		DsHttpResponse *response;

		memset(body, 0, sizes[i]);
		request.method = "POST";
		request.body = body;
		request.body_len = sizes[i];
		response = run(http, &request);
		check(response->status == 200 && (size_t) atol(response->body) == sizes[i],
			  "a body is received in full by the partner, NUL bytes and all", (long) sizes[i]);
		ds_http_response_free(response);

		snprintf(path, sizeof(path), "size/%zu", sizes[i]);
		request = ask(path);
		request.max_response = BODY_MAX;
		response = run(http, &request);
		check(response->curl_code == 0 && response->body_len == sizes[i] && !response->truncated,
			  "and one from the partner", (long) response->body_len);
		ds_http_response_free(response);
	}
	free(body);
}

/* test_cut tells deliveries and feeds apart: a cut body is half a page. */
static void
test_cut(DsHttp *http)
{
	DsHttpRequest request = ask("big");
	DsHttpResponse *response;

	request.max_response = 1000;
	request.cut_is_failure = true;
	response = run(http, &request);
	check(response->curl_code == CURLE_FILESIZE_EXCEEDED && response->truncated &&
			  response->body_len == 1000,
		  "a cut body is a failure where asked for", response->curl_code);
	ds_http_response_free(response);
}

/* test_slow bounds what a slow partner can take: the total time, and only his. */
static void
test_slow(DsHttp *http)
{
	static const char *const paths[] = {"hang", "drip"};

	for (int i = 0; i < 2; i++)
	{
		DsHttpRequest request = ask(paths[i]);
		DsHttpResponse *response;

		request.tag = 1;
		request.timeout_ms = 1000;
		submit(http, &request);
		request = ask("delay/0.05");
		request.tag = 2;
		submit(http, &request);
		response = wait_one(http);
		check(response->tag == 2 && response->status == 200,
			  "a partner's answer doesn't wait for another partner's", (long) response->tag);
		ds_http_response_free(response);
		response = wait_one(http);
		check(response->curl_code == CURLE_OPERATION_TIMEDOUT && response->total_us >= 990000,
			  "who is slow is left at the total timeout", response->curl_code);
		ds_http_response_free(response);
	}
}

/* test_dead_name looks up a name whose resolver hangs until it is let go: everybody else must go on, and so must we. */
static void
test_dead_name(DsHttp *http)
{
	DsHttpRequest request = ask("");
	int answers = 0;
	int timeouts = 0;

	request.url = "http://dead.example.com/";
	request.timeout_ms = 1000;
	submit(http, &request);
	request = ask("size/1");
	for (int i = 0; i < 20; i++)
		submit(http, &request);
	for (int i = 0; i < 21; i++)
	{
		DsHttpResponse *response = wait_one(http);

		answers += response->status == 200;
		timeouts += response->curl_code == CURLE_OPERATION_TIMEDOUT;
		ds_http_response_free(response);
	}
	check(answers == 20, "a name that can't be looked up stops nobody else", answers);
	check(timeouts == 1, "and is given up without waiting for its resolver", timeouts);
	sem_post(&resolver_released);
}

/* test_redirects follows none. */
static void
test_redirects(DsHttp *http)
{
	static const char *const targets[] = {"http://127.0.0.1:%d/landed", "file:///etc/passwd",
										  "gopher://127.0.0.1:%d/landed", "/landed"};
	static const int codes[] = {301, 302, 303, 307, 308};
	char path[256];
	char target[128];
	int before = stat_of(http, "landed", false);

	for (int code = 0; code < 5; code++)
		for (int i = 0; i < 4; i++)
		{
			DsHttpRequest request;
			DsHttpResponse *response;

			snprintf(target, sizeof(target), targets[i], partner_port);
			snprintf(path, sizeof(path), "redirect/%d/%s", codes[code], target);
			request = ask(path);
			response = run(http, &request);
			check(response->status == codes[code] && response->curl_code == 0,
				  "a redirection is the answer", response->status);
			ds_http_response_free(response);
		}
	check(stat_of(http, "landed", true) == 0, "nobody landed", 0);
	check(stat_of(http, "landed", false) == before, "no second connection was opened", before);
}

/* test_guard tries to reach inner addresses by names and by kept connections. */
static void
test_guard(DsHttp *http)
{
	char url[128];
	int before = stat_of(http, "guarded", false);
	static const char *const names[] = {"inner.example.com", "both.example.com"};
	DsHttpRequest request;
	DsHttpResponse *response;

	for (int i = 0; i < 2; i++)
	{
		snprintf(url, sizeof(url), "http://%s:%d/guarded", names[i], partner_port);
		request = ask("");
		request.url = url;
		request.allow_private = false;
		response = run(http, &request);
		check(response->refused && response->curl_code == CURLE_ABORTED_BY_CALLBACK &&
				  strncmp(response->error, "address refused: ", 17) == 0,
			  "a name that leads inside is refused at connect", response->curl_code);
		ds_http_response_free(response);
	}
	check(stat_of(http, "guarded", false) == before, "without a connection", before);

	snprintf(url, sizeof(url), "http://mixed.example.com:%d/guarded", partner_port);
	request = ask("");
	request.url = url;
	response = run(http, &request);
	check(response->status == 200 && !response->refused,
		  "of two addresses the one that is allowed is taken", response->curl_code);
	ds_http_response_free(response);

	snprintf(url, sizeof(url), "http://inner.example.com:%d/guarded", partner_port);
	response = run(http, &request);
	check(response->status == 200 && strcmp(response->address, "127.0.0.1") == 0,
		  "allow_private lets it through", response->curl_code);
	ds_http_response_free(response);
	before = stat_of(http, "guarded", true);
	request.allow_private = false;
	response = run(http, &request);
	check(response->refused, "the kept connection is no way around the guard", response->curl_code);
	ds_http_response_free(response);
	check(stat_of(http, "guarded", true) == before, "and nothing was sent over it", before);
}

/* test_environment sets what would bypass the guard. */
static void
test_environment(DsHttp *http)
{
	DsHttpRequest request = ask("size/1");
	DsHttpResponse *response;

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	response = run(http, &request);
	check(response->status == 200, "a proxy of the environment is not used", response->curl_code);
	ds_http_response_free(response);
	unsetenv("http_proxy");
	unsetenv("all_proxy");
}

/* test_invalid gives what must never be sent. */
static void
test_invalid(DsHttp *http)
{
	static const char *const lines[] = {
		"X-A: a\r\nX-B: b", "X-A: a\nX-B: b",	" folded: a", "X-A : a", "X-A", "X-A:",
		"Host: inside",		"Content-Length: 5"};
	const char *headers[2] = {NULL, NULL};
	bool invalid;
	DsHttpRequest request;

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
	{
		request = ask("");
		headers[0] = lines[i];
		request.headers = headers;
		check(!ds_http_submit(http, &request, &invalid, last_error, sizeof(last_error)) && invalid,
			  "a bad header is refused", (long) i);
	}
	request = ask("");
	request.method = "GET / HTTP/1.1\r\nX: y\r\n";
	check(!ds_http_submit(http, &request, &invalid, last_error, sizeof(last_error)) && invalid,
		  "a bad method is refused", 0);
	request = ask("");
	request.allow_http = false;
	check(!ds_http_submit(http, &request, &invalid, last_error, sizeof(last_error)) && invalid,
		  "http is refused where only https is allowed", 0);
	request = ask("");
	request.allow_private = false;
	check(!ds_http_submit(http, &request, &invalid, last_error, sizeof(last_error)) && invalid,
		  "a literal inner address is refused before a connection", 0);
}

/* test_headers looks at what is sent and at what is handed back. */
static void
test_headers(DsHttp *http)
{
	static const char *const lines[] = {"webhook-id: msg_1", "X-A: \xc3\xa9", NULL};
	static char body[2 * 1024 * 1024];
	DsHttpRequest request = ask("headers");
	DsHttpResponse *response;

	request.method = "PATCH";
	request.headers = lines;
	request.body = body;
	request.body_len = sizeof(body);
	response = run(http, &request);
	check(strncmp(response->body, "PATCH /headers HTTP/1.1\r\n", 25) == 0, "the method is sent", 0);
	check(strstr(response->body, "webhook-id: msg_1\r\n") != NULL, "headers are sent", 0);
	check(strcasestr(response->body, "expect:") == NULL, "no Expect for a large body", 0);
	check(strcasestr(response->body, "content-type:") == NULL, "no Content-Type of its own", 0);
	check(strncmp(response->headers, "HTTP/1.1 200 OK\r\n", 17) == 0, "headers come back", 0);
	ds_http_response_free(response);
	request = ask("control");
	response = run(http, &request);
	check(response->status == 200 && strstr(response->headers, "X-A: a?[31m?\r\n") != NULL,
		  "control characters of a partner are not handed on", response->curl_code);
	ds_http_response_free(response);
}

/* test_keep_alive reuses connections, and survives a partner who closes them when we use them again. */
static void
test_keep_alive(DsHttp *http)
{
	int before;
	DsHttpRequest request = ask("size/1");
	DsHttpResponse *response;

	ds_http_response_free(run(http, &request));
	before = stat_of(http, "x", false);
	for (int i = 0; i < 50; i++)
		ds_http_response_free(run(http, &request));
	check(stat_of(http, "x", false) == before, "fifty requests over a kept connection", before);
	for (int i = 0; i < 50; i++)
	{
		request = ask("last");
		request.method = "POST";
		response = run(http, &request);
		if (response->status != 200)
			check(false, "a connection closed after its answer", response->curl_code);
		ds_http_response_free(response);
	}
	check(true, "fifty connections closed after their answer, fifty answers", 0);
	request = ask("once");
	request.method = "POST";
	request.body = "{}";
	request.body_len = 2;
	for (int i = 0; i < 10; i++)
	{
		response = run(http, &request);
		if (response->status != 200)
			check(false, "a connection closed under the request", response->curl_code);
		ds_http_response_free(response);
	}
	check(true, "ten requests sent again over a new connection where the kept one was closed", 0);
}

/* test_many has two hundred in flight at once. */
static void
test_many(DsHttp *http, int many)
{
	char *seen = calloc(1, many);
	bool invalid;
	int answered = 0;
	DsHttpRequest request = ask("delay/0.3");

	for (int i = 0; i < many; i++)
	{
		request.tag = i;
		submit(http, &request);
	}
	check(ds_http_room(http) == 0 &&
			  !ds_http_submit(http, &request, &invalid, last_error, sizeof(last_error)) && !invalid,
		  "no more than the limit is taken", ds_http_room(http));
	for (int i = 0; i < many; i++)
	{
		DsHttpResponse *response = wait_one(http);

		answered += response->status == 200 && !seen[response->tag];
		seen[response->tag] = 1;
		ds_http_response_free(response);
	}
	check(answered == many, "two hundred in flight, each answered once", answered);
	check(ds_http_inflight(http) == 0 && ds_http_bytes(http) == 0, "nothing is left",
		  (long) ds_http_bytes(http));
	free(seen);
}

/* test_tls believes only whom it was told to. */
static void
test_tls(DsHttp *http)
{
	char url[128];
	DsHttpRequest request = ask("");
	DsHttpResponse *response;

	request.url = url;
	snprintf(url, sizeof(url), "https://localhost:%d/size/10", partner_tls_port);
	response = run(http, &request);
	check(response->curl_code == CURLE_PEER_FAILED_VERIFICATION && response->status == 0,
		  "a certificate nobody we trust has signed", response->curl_code);
	ds_http_response_free(response);
	request.ca_file = ca_file;
	response = run(http, &request);
	check(response->status == 200 && response->body_len == 10 && response->tls_us > 0,
		  "one that the given file has signed", response->curl_code);
	ds_http_response_free(response);
	snprintf(url, sizeof(url), "https://inner.example.com:%d/size/10", partner_tls_port);
	response = run(http, &request);
	check(response->curl_code == CURLE_PEER_FAILED_VERIFICATION && response->status == 0,
		  "one for another name", response->curl_code);
	ds_http_response_free(response);
	snprintf(url, sizeof(url), "https://localhost:%d/size/10", partner_port);
	request.connect_timeout_ms = 500;
	response = run(http, &request);
	check(response->curl_code == CURLE_OPERATION_TIMEDOUT,
		  "a partner that never answers the TLS hello", response->curl_code);
	ds_http_response_free(response);
}

/* test_broken lets the epoll set refuse sockets: what is in flight fails with words, and the driver works again after. */
static void
test_broken(DsHttp *http)
{
	DsHttpRequest request = ask("delay/0.5");
	DsHttpResponse *response;
	int failed = 0;

	for (int i = 0; i < 5; i++)
		submit(http, &request);
	ds_http_drive(http);
	epoll_refuses = true;
	for (int i = 0; i < 5; i++)
		submit(http, &request);
	for (int i = 0; i < 10; i++)
	{
		response = wait_one(http);
		failed += response->curl_code != 0 && response->error[0] != '\0';
		ds_http_response_free(response);
	}
	check(failed == 10, "what was in flight fails with words when the driver does", failed);
	epoll_refuses = false;
	request = ask("size/1");
	response = run(http, &request);
	check(response->status == 200, "and the next request is answered", response->curl_code);
	ds_http_response_free(response);
	check(ds_http_inflight(http) == 0 && ds_http_bytes(http) == 0, "nothing is left",
		  (long) ds_http_bytes(http));
}

/* test_destroy gives up requests in every state, a name that is being looked up among them. */
static void
test_destroy(void)
{
	char err[DS_HTTP_ERROR_LEN];
	DsHttp *http = ds_http_create(51, err, sizeof(err));
	static const char *const paths[] = {"hang", "drip", "chunks", "size/1", "delay/0.2"};
	DsHttpRequest request;

	for (int i = 0; i < 50; i++)
	{
		request = ask(paths[i % 5]);
		submit(http, &request);
		ds_http_drive(http);
	}
	request.url = "http://dead.example.com/";
	submit(http, &request);
	ds_http_drive(http);
	ds_http_destroy(http);
	check(true, "the driver can be destroyed with requests in every state", 0);
	sem_post(&resolver_released);
}

/* start_partner runs partner.py and reads its ports. */
static void
start_partner(const char *script, const char *certificate)
{
	int to[2];
	int from[2];
	char line[64] = "";
	size_t len = 0;

	if (pipe(to) != 0 || pipe(from) != 0)
		exit(2);
	if (fork() == 0)
	{
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		close(from[0]);
		execlp("python3", "python3", script, certificate, (char *) NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	partner_stdin = to[1];
	while (len < sizeof(line) - 1 && strchr(line, '\n') == NULL)
	{
		ssize_t got = read(from[0], line + len, sizeof(line) - 1 - len);

		if (got <= 0)
			break;
		len += got;
	}
	if (sscanf(line, "%d %d", &partner_port, &partner_tls_port) != 2)
	{
		fprintf(stderr, "partner.py did not start: \"%s\"\n", line);
		exit(2);
	}
	close(from[0]);
}

int
main(int argc, char **argv)
{
	char err[DS_HTTP_ERROR_LEN];
	const int many = 200;
	DsHttp *http;

	if (argc != 4)
	{
		fprintf(stderr, "usage: driver PARTNER.PY CERTIFICATE+KEY.PEM CA.PEM\n");
		return 2;
	}
	alarm(300); /* what hangs is a failure */
	sem_init(&resolver_released, 0, 0);
	signal(SIGPIPE, SIG_IGN); /* as every process of the server */
	ca_file = argv[3];
	start_partner(argv[1], argv[2]);
	if ((http = ds_http_create(many, err, sizeof(err))) == NULL)
	{
		fprintf(stderr, "%s\n", err);
		return 2;
	}
	test_answers(http);
	test_bodies(http);
	test_cut(http);
	test_invalid(http);
	test_headers(http);
	test_redirects(http);
	test_guard(http);
	test_environment(http);
	test_keep_alive(http);
	test_slow(http);
	test_dead_name(http);
	test_tls(http);
	test_many(http, many);
	test_broken(http);
	ds_http_destroy(http);
	test_destroy();
	curl_global_cleanup();
	printf("1..%d\n", tests);
	close(partner_stdin);
	wait(NULL);
	return failures > 0;
}
