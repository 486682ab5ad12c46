/*-------------------------------------------------------------------------
 *
 * http.c
 *		Fuzz target: the parsers of the HTTP room. The first byte chooses the
 *		parser: r, h, u, a or s. Beside crashes it looks for broken promises, with abort().
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "http/guard.h"
#include "http/signature.h"

#define NOW 1700000000

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* fuzz_retry_after: a wait is -1 or lies between now and a year. */
static void
fuzz_retry_after(const char *text, size_t len)
{
	long seconds = ds_http_retry_after(text, len, NOW);

	if (seconds < -1 || seconds > DS_HTTP_RETRY_AFTER_MAX)
		abort();
}

/* fuzz_header: what is let through is one line with a name and a value. */
static void
fuzz_header(const char *text, size_t len)
{
	if (ds_http_header_refused(text, len) != NULL)
		return;
	if (memchr(text, '\r', len) || memchr(text, '\n', len) || memchr(text, '\0', len) ||
		memchr(text, ':', len) == NULL || *text == ':' || *text == ' ')
		abort();
}

/* fuzz_url: what is let through is one https URL without user, and no permission opens less. */
static void
fuzz_url(const char *text, size_t len)
{
	const char *reason = ds_http_url_refused(text, len, false, false);
	const char *open_reason = ds_http_url_refused(text, len, true, true);

	if (reason != NULL)
		return;
	if (open_reason != NULL || strlen(text) != len || strncasecmp(text, "https://", 8) != 0 ||
		strpbrk(text, "\r\n \t\\#") != NULL ||
		memchr(text + 8, '@', strcspn(text + 8, "/?")) != NULL)
		abort();
}

/* fuzz_address: text that is an address is judged as the address it is. */
static void
fuzz_address(const char *text, size_t len)
{
	const char *reason = ds_http_literal_refused(text, false);
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	(void) len;
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1 &&
		ds_http_address_refused((struct sockaddr *) &v4, false) != reason)
		abort();
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1 &&
		ds_http_address_refused((struct sockaddr *) &v6, false) != reason)
		abort();
}

/* fuzz_signatures: every header is bounded, whatever its form. */
static void
fuzz_signatures(const char *text, size_t len)
{
	DsHttpPresented presented;
	int64_t seconds;

	if (ds_http_parse_standard(text, len, &presented) && presented.count > DS_HTTP_MAX_SIGNATURES)
		abort();
	if (ds_http_parse_stripe(text, len, &presented) &&
		(presented.count > DS_HTTP_MAX_SIGNATURES || presented.timestamp < -1))
		abort();
	if (ds_http_parse_single(text, len, "sha256=", false, &presented) && presented.count != 1)
		abort();
	if (ds_http_parse_single(text, len, "", true, &presented) && len != DS_HTTP_DIGEST_BASE64)
		abort();
	if (ds_http_parse_timestamp(text, len, &seconds) && (seconds < 0 || seconds > 999999999999))
		abort();
	if (ds_http_message_id_fits(text, len) && memchr(text, '.', len) != NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char letters[] = "rhuas";
	static void (*const targets[])(const char *, size_t) = {fuzz_retry_after, fuzz_header, fuzz_url,
															fuzz_address, fuzz_signatures};
	const char *letter = size > 0 ? memchr(letters, data[0], strlen(letters)) : NULL;
	char *text;

	if (letter == NULL)
		return 0;
	/* a copy of exactly this size: AddressSanitizer sees the first byte read beyond it */
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	targets[letter - letters](text, size - 1);
	free(text);
	return 0;
}
