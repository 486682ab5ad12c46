/*-------------------------------------------------------------------------
 *
 * guard.h
 *		What we never connect to, never send and never believe: addresses,
 *		URLs, methods, header lines, Retry-After. Pure functions of their
 *		arguments: they hold no state, allocate nothing that outlives them and
 *		know nothing of PostgreSQL.
 *
 * A check returns NULL where all is well and otherwise the reason, a constant
 * string of one word that is part of the public contract.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_HTTP_GUARD_H
#define DS_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DS_HTTP_MAX_URL 2048
#define DS_HTTP_MAX_HEADER_LINE 8192
#define DS_HTTP_MAX_HEADERS 64
#define DS_HTTP_RETRY_AFTER_MAX 31536000L /* a year */

struct sockaddr;

/* guard.c: addresses */
extern const char *ds_http_address_refused(const struct sockaddr *address, bool allow_private);
extern const char *ds_http_literal_refused(const char *literal, bool allow_private);

/* url.c */
extern const char *ds_http_url_refused(const char *url, size_t len, bool allow_http,
									   bool allow_private);

/* header.c */
extern const char *ds_http_method_refused(const char *method);
extern const char *ds_http_header_refused(const char *line, size_t len);
extern long ds_http_retry_after(const char *value, size_t len, int64_t now);

#endif /* DS_HTTP_GUARD_H */
