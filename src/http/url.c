/*-------------------------------------------------------------------------
 *
 * url.c
 *		Which URLs may be an endpoint.
 *
 * Checked when an endpoint is defined, so that a mistake is an answer and not
 * a failed delivery, and again when a request is submitted. It judges what can
 * be known from the text; where a name leads is known at connect time only
 * (guard.c).
 *
 * libcurl's own parser takes the URL apart, because libcurl connects: two
 * parsers that disagree are how guards are bypassed. curl_url() needs no
 * initialised library and touches no network.
 *
 * Process: worker, any backend. Locks: none. Memory: malloc through libcurl,
 * freed before return.
 *
 *-------------------------------------------------------------------------
 */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/guard.h"

/* Names that lead inside whatever a resolver says. A leading dot stands for everything below. */
static const char *const inner_names[] = {"localhost",	  ".localhost",	   "localhost.localdomain",
										  ".localdomain", "ip6-localhost", "ip6-loopback",
										  ".internal",	  ".local",		   ".home.arpa",
										  ".lan"};

static const char *const metadata_names[] = {"metadata", "metadata.google.internal",
											 "metadata.goog", "instance-data",
											 "instance-data.ec2.internal"};

/* raw_text_refused finds what must not stand in a URL in any place. */
static const char *
raw_text_refused(const char *url, size_t len)
{
	if (len == 0)
		return "missing";
	if (len > DS_HTTP_MAX_URL)
		return "too_long";
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) url[i];

		if (c <= ' ' || c == 0x7f)
			return "control_character";
		if (c >= 0x80)
			return "non_ascii";
		if (strchr("\\\"<>^`{|}", c) != NULL)
			return "malformed";
	}
	return NULL;
}

/* port_refused judges what stands behind the colon of "host:port"; the range is checked once it is a number. */
static const char *
port_refused(const char *authority, size_t len)
{
	const char *end = authority + len;
	const char *host_end = memchr(authority, ']', len);
	const char *colon = memchr(host_end != NULL ? host_end : authority, ':',
							   end - (host_end != NULL ? host_end : authority));

	if (*authority == '[' && host_end == NULL)
		return "host";
	if (colon == NULL)
		return NULL;
	if (colon == authority)
		return "host";
	if (colon + 1 == end || end - colon > 6)
		return "port";
	for (const char *p = colon + 1; p < end; p++)
		if (*p < '0' || *p > '9')
			return "port";
	return NULL;
}

/* authority_refused judges the part between // and the path as it was written, before anybody decodes it. */
static const char *
authority_refused(const char *url)
{
	const char *authority;
	size_t len;

	/* both slashes: libcurl takes https:/host too, others don't, and who disagrees can be deceived */
	if (strncasecmp(url, "https://", 8) == 0)
		authority = url + 8;
	else if (strncasecmp(url, "http://", 7) == 0)
		authority = url + 7;
	else
		return "scheme";
	len = strcspn(authority, "/?#");
	if (len == 0)
		return "host";
	if (memchr(authority, '@', len) != NULL)
		return "userinfo";
	/* %31%32%37... is an address to some and a name to others; a zone is never a partner */
	if (memchr(authority, '%', len) != NULL)
		return "host";
	return port_refused(authority, len);
}

/* ends_in_number tells whether the last label is a number: then it is an address or nothing, never a name. */
static bool
ends_in_number(const char *host)
{
	const char *dot = strrchr(host, '.');
	const char *label = dot != NULL ? dot + 1 : host;

	if (label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
		return true;
	return label[0] != '\0' && label[strspn(label, "0123456789")] == '\0';
}

/* name_is_one_of compares with a list, in which ".x" stands for every name that ends in it. */
static bool
name_is_one_of(const char *host, const char *const *list, size_t count)
{
	size_t len = strlen(host);

	for (size_t i = 0; i < count; i++)
	{
		size_t suffix = strlen(list[i]);

		if (strcasecmp(host, list[i]) == 0)
			return true;
		if (list[i][0] == '.' && len > suffix && strcasecmp(host + len - suffix, list[i]) == 0)
			return true;
	}
	return false;
}

/* name_refused judges the letters and labels of a host name. */
static const char *
name_refused(const char *host)
{
	size_t label = 0;

	for (const char *p = host;; p++)
	{
		if (*p == '.' || *p == '\0')
		{
			if (label == 0 || label > 63 || p[-1] == '-')
				return "host";
			label = 0;
			if (*p == '\0')
				return NULL;
			continue;
		}
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			  *p == '-' || *p == '_'))
			return "host";
		if (*p == '-' && label == 0)
			return "host";
		label++;
	}
}

/* host_refused judges the host as libcurl will use it: an address by the guard's table, a name by its letters. */
static const char *
host_refused(const char *curl_host, bool allow_private)
{
	char host[256];
	size_t len = strlen(curl_host);
	const char *reason;

	if (len == 0 || len >= sizeof(host))
		return "host";
	memcpy(host, curl_host, len + 1);
	/* "127.0.0.1." and "localhost." mean what they mean without the dot */
	if (len > 1 && host[len - 1] == '.')
		host[--len] = '\0';
	if (host[0] == '[' || ends_in_number(host))
	{
		reason = ds_http_literal_refused(host, allow_private);
		return reason != NULL && strcmp(reason, "not_an_address") == 0 ? "host" : reason;
	}
	if ((reason = name_refused(host)) != NULL)
		return reason;
	if (name_is_one_of(host, metadata_names, sizeof(metadata_names) / sizeof(*metadata_names)))
		return "metadata";
	if (!allow_private &&
		name_is_one_of(host, inner_names, sizeof(inner_names) / sizeof(*inner_names)))
		return "inner_name";
	return NULL;
}

/* part_refused judges scheme, host and port of a parsed URL. */
static const char *
part_refused(CURLU *parsed, CURLUPart part, bool allow_http, bool allow_private)
{
	const char *reason = NULL;
	char *text = NULL;
	CURLUcode rc = curl_url_get(parsed, part, &text, 0);

	if (rc != CURLUE_OK)
		return part == CURLUPART_PORT && rc == CURLUE_NO_PORT ? NULL : "malformed";
	switch (part)
	{
		case CURLUPART_SCHEME:
			if (strcmp(text, "https") != 0 && !(allow_http && strcmp(text, "http") == 0))
				reason = "scheme";
			break;
		case CURLUPART_HOST:
			reason = host_refused(text, allow_private);
			break;
		case CURLUPART_PORT:
			if (atol(text) < 1 || atol(text) > 65535)
				reason = "port";
			break;
		default:
			break;
	}
	curl_free(text);
	return reason;
}

/*
 * ds_http_url_refused says why a URL can't be an endpoint, or NULL. `url` is NUL-terminated; `len` is given too, so that a
 * NUL inside is seen.
 */
const char *
ds_http_url_refused(const char *url, size_t len, bool allow_http, bool allow_private)
{
	static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
	const char *reason = raw_text_refused(url, len);
	CURLUcode rc;
	CURLU *parsed;

	if (reason != NULL)
		return reason;
	if (strchr(url, '#') != NULL)
		return "fragment"; /* would be dropped in silence */
	if ((reason = authority_refused(url)) != NULL)
		return reason;
	if ((parsed = curl_url()) == NULL)
		return "out_of_memory";
	rc = curl_url_set(parsed, CURLUPART_URL, url, CURLU_DISALLOW_USER);
	if (rc == CURLUE_UNSUPPORTED_SCHEME || rc == CURLUE_BAD_SCHEME)
		reason = "scheme";
	else if (rc == CURLUE_BAD_PORT_NUMBER)
		reason = "port";
	else if (rc == CURLUE_BAD_HOSTNAME || rc == CURLUE_BAD_IPV6 || rc == CURLUE_NO_HOST)
		reason = "host";
	else if (rc != CURLUE_OK)
		reason = "malformed";
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts) && reason == NULL; i++)
		reason = part_refused(parsed, parts[i], allow_http, allow_private);
	curl_url_cleanup(parsed);
	return reason;
}
