/*-------------------------------------------------------------------------
 *
 * transfer.h
 *		One request in flight: between multi.c, which moves many of them, and
 *		transfer.c, which knows what one is. Nobody else includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_HTTP_TRANSFER_H
#define DS_HTTP_TRANSFER_H

#include <curl/curl.h>

#include "http/http.h"

#define DS_HTTP_KEPT_HEADERS (16 * 1024) /* bytes of header lines handed back */
#define DS_HTTP_MAX_HEADER_BYTES                                                                   \
	(64 * 1024) /* of all header lines, 1xx included, then we hang up */

/* What all buffers of one driver may hold together. */
typedef struct DsHttpBudget
{
	size_t used;
	size_t max;
} DsHttpBudget;

/* A malloced buffer that grows up to max and always ends with a NUL. */
typedef struct DsHttpBuffer
{
	char *data;
	size_t len;
	size_t size;
	size_t max;
} DsHttpBuffer;

/* Why a callback gave up; libcurl only tells that one did. */
typedef enum DsHttpStop
{
	DS_HTTP_STOP_NONE,
	DS_HTTP_STOP_BODY,
	DS_HTTP_STOP_HEADERS,
	DS_HTTP_STOP_MEMORY
} DsHttpStop;

typedef struct DsHttpTransfer
{
	CURL *easy;
	struct curl_slist *headers;
	char *request_body;
	size_t request_body_len;
	bool allow_private;
	bool cut_is_failure;
	DsHttpBudget *budget;
	DsHttpResponse *response;
	DsHttpBuffer body;
	DsHttpBuffer head;
	size_t header_bytes;
	DsHttpStop stop;
	int sockets_opened;
	const char *refused; /* the guard's reason, NULL none */
	char refused_address[DS_HTTP_ADDRESS_LEN];
	char curl_error[CURL_ERROR_SIZE];
	struct DsHttpTransfer *prev, *next;
} DsHttpTransfer;

extern DsHttpTransfer *ds_http_transfer_create(const DsHttpRequest *request, DsHttpBudget *budget,
											   bool *invalid, char *err, size_t errlen);
extern DsHttpResponse *ds_http_transfer_finish(DsHttpTransfer *transfer, CURLcode result);
extern void ds_http_transfer_free(DsHttpTransfer *transfer);

#endif /* DS_HTTP_TRANSFER_H */
