/*-------------------------------------------------------------------------
 *
 * changed.h
 *		Whoever writes past the triggers that capture changes tells the room
 *		of the outbox, which base does not know, through here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_CHANGED_H
#define DS_BASE_CHANGED_H

#include "postgres.h"

#include "utils/rel.h"

/* Does what the update triggers of a table would do for rows with these keys. */
typedef void (*DsChangedAction)(Relation relation, int n, const int64 *keys);

extern void ds_changed_init(DsChangedAction action);
extern void ds_changed_tell(Relation relation, int n, const int64 *keys);

#endif /* DS_BASE_CHANGED_H */
