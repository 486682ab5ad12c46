/*-------------------------------------------------------------------------
 *
 * compat.h
 *		The only place that asks which server this is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_COMPAT_H
#define DS_BASE_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "distsync needs PostgreSQL 15 or later"
#endif

#endif /* DS_BASE_COMPAT_H */
