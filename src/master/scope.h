/*-------------------------------------------------------------------------
 *
 * scope.h
 *		Whose customers' business the caller may see: the second question of
 *		every verb, after whether he may call it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_MASTER_SCOPE_H
#define DS_MASTER_SCOPE_H

#include "postgres.h"

/* customers that a token names at most */
#define DS_SCOPE_MAX_CUSTOMERS 100

extern bool ds_master_restricted(void);
extern void ds_master_scope_check(int64 party_id, const char *code, const char *field);

#endif /* DS_MASTER_SCOPE_H */
