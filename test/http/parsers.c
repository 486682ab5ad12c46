/*-------------------------------------------------------------------------
 *
 * parsers.c
 *		Tables of what the parsers of the HTTP room must say. Speaks TAP; run by
 *		test/http/run.sh. The fuzzers (test/fuzz) look for what the tables lack.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "http/guard.h"
#include "http/signature.h"

#define NOW 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT, the moment of RFC 9110's examples */

static int tests = 0;
static int failures = 0;

static void
check(bool ok, const char *what, const char *input)
{
	printf("%sok %d - %s: %s\n", ok ? "" : "not ", ++tests, what, input);
	failures += !ok;
}

static void
test_retry_after(void)
{
	static const struct
	{
		const char *value;
		long seconds;
	} cases[] = {
		{"0", 0},
		{"1", 1},
		{" 120\r\n", 120},
		{"\t120 \t", 120},
		{"31536000", 31536000},
		{"31536001", 31536000},
		{"1000000000000", 31536000},
		{"99999999999999999999999999999", 31536000},
		{"-1", -1},
		{"+1", -1},
		{"1.5", -1},
		{"1 2", -1},
		{"0x10", -1},
		{"1e3", -1},
		{"", -1},
		{"   ", -1},
		{"soon", -1},
		{"Sun, 06 Nov 1994 08:49:37 GMT", 0},
		{"Sun, 06 Nov 1994 08:50:37 GMT", 60},
		{"Sunday, 06-Nov-94 08:50:37 GMT", 60},
		{"Sun Nov  6 08:50:37 1994", 60},
		{"Mon Nov 07 08:49:37 1994", 86400},
		{"Sun, 06 Nov 1994 08:49:00 GMT", 0},
		{"Thu, 01 Jan 1970 00:00:00 GMT", 0},
		{"Fri, 31 Dec 9999 23:59:59 GMT", 31536000},
		{"Tue, 29 Feb 2000 00:00:00 GMT", 31536000},
		{"Sun, 06 Nov 1994 08:50:60 GMT", 83},
		{"Sun, 31 Nov 1994 08:50:37 GMT", -1},
		{"Thu, 29 Feb 1900 00:00:00 GMT", -1},
		{"Sun, 00 Nov 1994 08:50:37 GMT", -1},
		{"Sun, 06 Nov 1994 24:00:00 GMT", -1},
		{"Sun, 06 Nov 1994 08:60:00 GMT", -1},
		{"Sun, 06 Nov 1994 08:50:37 CET", -1},
		{"Sun, 06 Nov 1994 08:50:37", -1},
		{"Sun, 06 Nov 1994 08:50:37 GMT, 5", -1},
		{"Sun, 06 Xxx 1994 08:50:37 GMT", -1},
		{"Sun, 06 Nov 0000 08:50:37 GMT", -1},
		{"1994-11-06T08:50:37Z", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check(ds_http_retry_after(cases[i].value, strlen(cases[i].value), NOW) == cases[i].seconds,
			  "Retry-After", cases[i].value);
}

/* said compares a reason with the expected one, NULL with NULL. */
static bool
said(const char *reason, const char *expected)
{
	return reason == NULL || expected == NULL ? reason == expected : strcmp(reason, expected) == 0;
}

static void
test_headers(void)
{
	static const struct
	{
		const char *line;
		size_t len;
		const char *reason;
	} cases[] = {
		{"X-A: a", 6, NULL},
		{"X-A:a", 5, NULL},
		{"X-A: a\tb", 8, NULL},
		{"x!#$%&'*+-.^_`|~9: a", 20, NULL},
		{"X-A: \xc3\xa9", 7, NULL},
		{"Connectionless: a", 17, NULL},
		{"", 0, "missing"},
		{"X-A: a\r\n", 8, "control_character"},
		{"X-A: a\nX-B: b", 13, "control_character"},
		{"X-A: a\rX-B: b", 13, "control_character"},
		{"X-A: a\0b", 8, "control_character"},
		{"X-A: a\x7f", 7, "control_character"},
		{"X-A: \x1b[0m", 9, "control_character"},
		{" X-A: a", 7, "folded"},
		{"\tX-A: a", 7, "folded"},
		{"X-A : a", 7, "name"},
		{"X A: a", 6, "name"},
		{": a", 3, "name"},
		{"X-A", 3, "name"},
		{"X(A): a", 7, "name"},
		{"X-A;", 4, "name"},
		{"X-A:", 4, "empty_value"},
		{"X-A: \t ", 7, "empty_value"},
		{"Host: a", 7, "reserved_name"},
		{"hOST: a", 7, "reserved_name"},
		{"Transfer-Encoding: chunked", 26, "reserved_name"},
		{"Content-Length: 1", 17, "reserved_name"},
		{"Expect: 100-continue", 20, "reserved_name"},
		{"Proxy-Authorization: a", 22, "reserved_name"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check(said(ds_http_header_refused(cases[i].line, cases[i].len), cases[i].reason), "header",
			  cases[i].reason != NULL ? cases[i].reason : "sent");
	check(said(ds_http_method_refused("POST"), NULL), "method", "POST");
	check(said(ds_http_method_refused("post"), "method"), "method", "post");
	check(said(ds_http_method_refused("CONNECT"), "method"), "method", "CONNECT");
	check(said(ds_http_method_refused("GET /"), "method"), "method", "GET /");
	check(said(ds_http_url_refused("https://a.example/\0x", 20, false, false), "control_character"),
		  "url", "NUL inside");
}

#define B64 "q3CmEl4pQWzhUHHxYTxLK5LvHuvgTh2G0jkyZQnsY2E="
#define HEX "ab70a6125e29416ce15071f1613c4b2b92ef1eebe04e1d86d239326509ec6361"

static void
test_signatures(void)
{
	DsHttpPresented a;
	DsHttpPresented b;
	int64_t seconds = -1;
	char many[2048] = "";

	check(ds_http_parse_standard("v1," B64, 47, &a) && a.count == 1, "standard", "one");
	check(ds_http_parse_single("sha256=" HEX, 71, "sha256=", false, &b) &&
			  ds_http_digests_equal(a.digest[0], b.digest[0]),
		  "github", "the same digest in hex");
	b.digest[0][31] ^= 1;
	check(!ds_http_digests_equal(a.digest[0], b.digest[0]), "compare", "last bit");
	b.digest[0][31] ^= 1;
	b.digest[0][0] ^= 0x80;
	check(!ds_http_digests_equal(a.digest[0], b.digest[0]), "compare", "first bit");
	check(ds_http_parse_standard("v1a,xx v1," B64 " v2,yy v1," B64, 108, &a) && a.count == 2,
		  "standard", "other versions are left out");
	check(ds_http_parse_standard("v1,short", 8, &a) && a.count == 0, "standard", "short");
	check(ds_http_parse_standard("v1,q3CmEl4pQWzhUHHxYTxLK5LvHuvgTh2G0jkyZQnsY2F=", 47, &a) &&
			  a.count == 0,
		  "standard", "unused bits set");
	check(ds_http_parse_standard("", 0, &a) && a.count == 0, "standard", "empty");
	for (int i = 0; i < 17; i++)
		strcat(many, "v1," B64 " ");
	check(!ds_http_parse_standard(many, strlen(many), &a), "standard", "seventeen");
	check(ds_http_parse_stripe("t=5,v1=" HEX ",v0=" HEX, 139, &a) && a.count == 1 &&
			  a.timestamp == 5,
		  "stripe", "one");
	check(ds_http_parse_stripe("t=5, v1=" HEX, 72, &a) && a.count == 1, "stripe", "a space");
	check(ds_http_parse_stripe("v1=" HEX, 67, &a) && a.timestamp == -1, "stripe", "no time");
	check(!ds_http_parse_stripe("t=5,t=6,v1=" HEX, 75, &a), "stripe", "two times");
	check(!ds_http_parse_stripe("t=,v1=" HEX, 70, &a), "stripe", "empty time");
	check(!ds_http_parse_single("sha1=" HEX, 69, "sha256=", false, &a), "github", "sha1");
	check(!ds_http_parse_single("sha256=" HEX "00", 73, "sha256=", false, &a), "github", "long");
	check(!ds_http_parse_single("", 0, "", true, &a), "shopify", "empty");
	check(ds_http_parse_timestamp("0", 1, &seconds) && seconds == 0, "time", "0");
	check(ds_http_parse_timestamp("999999999999", 12, &seconds), "time", "999999999999");
	check(!ds_http_parse_timestamp("1000000000000", 13, &seconds), "time", "13 digits");
	check(!ds_http_parse_timestamp("01", 2, &seconds), "time", "01");
	check(!ds_http_parse_timestamp("+1", 2, &seconds), "time", "+1");
	check(!ds_http_parse_timestamp("-1", 2, &seconds), "time", "-1");
	check(!ds_http_parse_timestamp("1 ", 2, &seconds), "time", "1 and a space");
	check(!ds_http_parse_timestamp("", 0, &seconds), "time", "nothing");
	check(ds_http_message_id_fits("msg_2b-9", 8), "id", "msg_2b-9");
	check(!ds_http_message_id_fits("msg.1", 5), "id", "msg.1");
	check(!ds_http_message_id_fits("msg 1", 5), "id", "msg 1");
	check(!ds_http_message_id_fits("", 0), "id", "nothing");
}

int
main(void)
{
	test_retry_after();
	test_headers();
	test_signatures();
	printf("1..%d\n", tests);
	return failures > 0;
}
