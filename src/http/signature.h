/*-------------------------------------------------------------------------
 *
 * signature.h
 *		What a partner presents as a signature: parsing of the headers, apart
 *		from the keys. Pure functions, no PostgreSQL (signature_header.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_HTTP_SIGNATURE_H
#define DS_HTTP_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DS_HTTP_DIGEST_LEN 32	  /* SHA-256 */
#define DS_HTTP_DIGEST_BASE64 44  /* its length in base64 */
#define DS_HTTP_MAX_SIGNATURES 16 /* in one header; a partner in rotation sends two */
#define DS_HTTP_MAX_SIGNATURE_HEADER 4096
#define DS_HTTP_MAX_MESSAGE_ID 256

/* Signatures found in a header, decoded; those that could not be one are left out. */
typedef struct DsHttpPresented
{
	int count;
	unsigned char digest[DS_HTTP_MAX_SIGNATURES][DS_HTTP_DIGEST_LEN];
	int64_t timestamp; /* Stripe's header carries it; -1 none */
} DsHttpPresented;

/* false: the header is not of the scheme's form */
extern bool ds_http_parse_standard(const char *header, size_t len, DsHttpPresented *presented);
extern bool ds_http_parse_stripe(const char *header, size_t len, DsHttpPresented *presented);
extern bool ds_http_parse_single(const char *header, size_t len, const char *prefix, bool base64,
								 DsHttpPresented *presented);
extern bool ds_http_parse_timestamp(const char *text, size_t len, int64_t *timestamp);
extern bool ds_http_message_id_fits(const char *id, size_t len);
extern bool ds_http_digests_equal(const unsigned char *a, const unsigned char *b);

#endif /* DS_HTTP_SIGNATURE_H */
