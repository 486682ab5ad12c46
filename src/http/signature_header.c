/*-------------------------------------------------------------------------
 *
 * signature_header.c
 *		The headers that carry signatures, taken apart.
 *
 * Everything here comes from somebody who has not proved anything yet: it is
 * bounded, and what is no signature is left out rather than guessed.
 *
 * Process: any backend, fuzzer. Locks: none. Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "http/signature.h"

/* hex_value gives the value of one hex digit, -1 for anything else. */
static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* decode_hex reads a digest of 64 hex digits. */
static bool
decode_hex(const char *text, size_t len, unsigned char *digest)
{
	if (len != 2 * DS_HTTP_DIGEST_LEN)
		return false;
	for (size_t i = 0; i < DS_HTTP_DIGEST_LEN; i++)
	{
		int high = hex_value(text[2 * i]);
		int low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		digest[i] = (unsigned char) (high << 4 | low);
	}
	return true;
}

/* base64_value gives the value of one letter of RFC 4648's alphabet, -1 for anything else. */
static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* decode_base64 reads a digest of 44 letters, the last one "=". The unused bits must be 0: one digest, one spelling. */
static bool
decode_base64(const char *text, size_t len, unsigned char *digest)
{
	size_t written = 0;
	uint32_t bits = 0;
	int have = 0;

	if (len != DS_HTTP_DIGEST_BASE64 || text[len - 1] != '=')
		return false;
	for (size_t i = 0; i < len - 1; i++)
	{
		int value = base64_value(text[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t) value;
		have += 6;
		if (have >= 8)
		{
			have -= 8;
			digest[written++] = (unsigned char) (bits >> have);
			bits &= (1U << have) - 1;
		}
	}
	return written == DS_HTTP_DIGEST_LEN && bits == 0;
}

/* start empties the result and refuses a header that is too long to be one. */
static bool
start(size_t len, DsHttpPresented *presented)
{
	memset(presented, 0, sizeof(*presented));
	presented->timestamp = -1;
	return len <= DS_HTTP_MAX_SIGNATURE_HEADER;
}

/* take_digest decodes into the next free place; what can't be decoded is left out. False: there are too many. */
static bool
take_digest(const char *text, size_t len, bool base64, DsHttpPresented *presented)
{
	unsigned char *place;

	if (presented->count == DS_HTTP_MAX_SIGNATURES)
		return false;
	place = presented->digest[presented->count];
	if (base64 ? decode_base64(text, len, place) : decode_hex(text, len, place))
		presented->count++;
	return true;
}

/* next_piece cuts the piece before the next separator. False: nothing is left. */
static bool
next_piece(const char **p, const char *end, char separator, const char **piece, size_t *len)
{
	const char *stop;

	if (*p >= end)
		return false;
	stop = memchr(*p, separator, end - *p);
	*piece = *p;
	*len = (stop != NULL ? stop : end) - *p;
	*p = stop != NULL ? stop + 1 : end;
	return true;
}

/* ds_http_parse_standard reads "v1,<base64> v1,<base64> v1a,...": a list, because keys are rotated; other versions are left out. */
bool
ds_http_parse_standard(const char *header, size_t len, DsHttpPresented *presented)
{
	const char *p = header;
	const char *end = header + len;
	const char *piece;
	size_t piece_len;

	if (!start(len, presented))
		return false;
	while (next_piece(&p, end, ' ', &piece, &piece_len))
	{
		if (piece_len > 3 && memcmp(piece, "v1,", 3) == 0 &&
			!take_digest(piece + 3, piece_len - 3, true, presented))
			return false;
	}
	return true;
}

/* ds_http_parse_stripe reads "t=<seconds>,v1=<hex>,v1=<hex>,v0=...". Two times in one header are a forgery or a bug. */
bool
ds_http_parse_stripe(const char *header, size_t len, DsHttpPresented *presented)
{
	const char *p = header;
	const char *end = header + len;
	const char *piece;
	size_t piece_len;

	if (!start(len, presented))
		return false;
	while (next_piece(&p, end, ',', &piece, &piece_len))
	{
		while (piece_len > 0 && *piece == ' ')
		{
			piece++;
			piece_len--;
		}
		if (piece_len >= 2 && memcmp(piece, "t=", 2) == 0)
		{
			if (presented->timestamp >= 0 ||
				!ds_http_parse_timestamp(piece + 2, piece_len - 2, &presented->timestamp))
				return false;
		}
		else if (piece_len > 3 && memcmp(piece, "v1=", 3) == 0 &&
				 !take_digest(piece + 3, piece_len - 3, false, presented))
			return false;
	}
	return true;
}

/* ds_http_parse_single reads one digest behind a fixed prefix ("sha256=" of GitHub, none of Shopify). */
bool
ds_http_parse_single(const char *header, size_t len, const char *prefix, bool base64,
					 DsHttpPresented *presented)
{
	size_t prefix_len = strlen(prefix);

	if (!start(len, presented) || len < prefix_len || memcmp(header, prefix, prefix_len) != 0)
		return false;
	take_digest(header + prefix_len, len - prefix_len, base64, presented);
	return presented->count == 1;
}

/*
 * ds_http_parse_timestamp reads seconds since 1970 in the one spelling that has no other: digits, no sign, no leading zero.
 * The text is part of what is signed, so "+1" or "01" must not mean 1.
 */
bool
ds_http_parse_timestamp(const char *text, size_t len, int64_t *timestamp)
{
	int64_t value = 0;

	if (len == 0 || len > 12 || (text[0] == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (text[i] - '0');
	}
	*timestamp = value;
	return true;
}

/*
 * ds_http_message_id_fits tells whether an id can stand in a header and before the dot of the signed bytes: with a dot of
 * its own, id and time could be divided in two ways.
 */
bool
ds_http_message_id_fits(const char *id, size_t len)
{
	if (len == 0 || len > DS_HTTP_MAX_MESSAGE_ID)
		return false;
	for (size_t i = 0; i < len; i++)
		if (id[i] <= ' ' || id[i] >= 0x7f || id[i] == '.')
			return false;
	return true;
}

/* ds_http_digests_equal takes the same time wherever they differ. */
bool
ds_http_digests_equal(const unsigned char *a, const unsigned char *b)
{
	volatile unsigned char different = 0;

	for (int i = 0; i < DS_HTTP_DIGEST_LEN; i++)
		different |= (unsigned char) (a[i] ^ b[i]);
	return different == 0;
}
