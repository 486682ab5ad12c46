/*-------------------------------------------------------------------------
 *
 * export.h
 *		What the shared library exports, and nothing else.
 *
 * The library is built with -fvisibility=hidden. Functions bound from SQL are
 * declared with DS_FUNCTION_INFO_V1, which marks them for export on every
 * supported server (PostgreSQL 15 does not do it in PG_FUNCTION_INFO_V1).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_EXPORT_H
#define DS_BASE_EXPORT_H

#include "fmgr.h"

#define DS_FUNCTION_INFO_V1(name)                                                                  \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                               \
	PG_FUNCTION_INFO_V1(name)

#endif /* DS_BASE_EXPORT_H */
