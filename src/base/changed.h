/*-------------------------------------------------------------------------
 *
 * changed.h
 *		Who writes past the triggers that capture changes does here what they
 *		would have done: the room of the outbox, which base does not know,
 *		says how.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_CHANGED_H
#define DS_BASE_CHANGED_H

#include "postgres.h"

#include "utils/rel.h"

/* arguments of a capture trigger */
enum
{
	DS_CAPTURE_KIND,		 /* state | document */
	DS_CAPTURE_EVENT,		 /* type of the event */
	DS_CAPTURE_ENTITY,		 /* what it is about */
	DS_CAPTURE_GROUP,		 /* customer | item */
	DS_CAPTURE_KEY_COLUMN,	 /* that says which one */
	DS_CAPTURE_GROUP_COLUMN, /* of the customer or item, '' = none */
	DS_CAPTURE_WATCHED,		 /* columns that count in an update, '' = any */
	DS_CAPTURE_ARGS
};

/*
 * Does what a trigger with these arguments, which captures states, would do
 * for rows with these keys, which are their groups too.
 */
typedef void (*DsChangedAction)(Relation relation, char *const *args, int n, const int64 *keys);

extern void ds_changed_init(DsChangedAction action);
extern void ds_changed_tell(Relation relation, char *const *args, int n, const int64 *keys);

#endif /* DS_BASE_CHANGED_H */
