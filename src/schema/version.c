/*-------------------------------------------------------------------------
 *
 * version.c
 *		The version this library was built as, for distsync.version() and for
 *		the workers, which idle when library and extension do not fit.
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/export.h"

DS_FUNCTION_INFO_V1(ds_sql_schema_library_version);

/*
 * ds_sql_schema_library_version does the reporting of DISTSYNC_VERSION, which
 * the Makefile reads from the control file, so that there is one source.
 */
Datum
ds_sql_schema_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(DISTSYNC_VERSION));
}
