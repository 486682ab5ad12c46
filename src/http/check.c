/*-------------------------------------------------------------------------
 *
 * check.c
 *		The guard's checks as SQL functions: the same code that judges a request
 *		when it is sent tells a DBA what it will say, when he defines it.
 *
 * None is STRICT: NULL in must not become NULL out, which means "fine".
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/compat.h"
#include "base/export.h"
#include "http/guard.h"

/* text_or_null makes SQL of a reason. */
#define RETURN_REASON(reason)                                                                      \
	do                                                                                             \
	{                                                                                              \
		const char *reason_ = (reason);                                                            \
		if (reason_ == NULL)                                                                       \
			PG_RETURN_NULL();                                                                      \
		PG_RETURN_TEXT_P(cstring_to_text(reason_));                                                \
	} while (0)

/* ds_sql_http_check_url does distsync_internal.http_check_url(url, allow_http, allow_private). */
DS_FUNCTION_INFO_V1(ds_sql_http_check_url);

Datum
ds_sql_http_check_url(PG_FUNCTION_ARGS)
{
	text *url;

	if (PG_ARGISNULL(0))
		RETURN_REASON("missing");
	url = PG_GETARG_TEXT_PP(0);
	RETURN_REASON(ds_http_url_refused(text_to_cstring(url), VARSIZE_ANY_EXHDR(url),
									  !PG_ARGISNULL(1) && PG_GETARG_BOOL(1),
									  !PG_ARGISNULL(2) && PG_GETARG_BOOL(2)));
}

/* ds_sql_http_address_refused does distsync_internal.http_address_refused(addr, allow_private). */
DS_FUNCTION_INFO_V1(ds_sql_http_address_refused);

Datum
ds_sql_http_address_refused(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		RETURN_REASON("missing");
	RETURN_REASON(ds_http_literal_refused(text_to_cstring(PG_GETARG_TEXT_PP(0)),
										  !PG_ARGISNULL(1) && PG_GETARG_BOOL(1)));
}

/* ds_sql_http_check_header does distsync_internal.http_check_header(line). */
DS_FUNCTION_INFO_V1(ds_sql_http_check_header);

Datum
ds_sql_http_check_header(PG_FUNCTION_ARGS)
{
	text *line;

	if (PG_ARGISNULL(0))
		RETURN_REASON("missing");
	line = PG_GETARG_TEXT_PP(0);
	RETURN_REASON(ds_http_header_refused(VARDATA_ANY(line), VARSIZE_ANY_EXHDR(line)));
}
