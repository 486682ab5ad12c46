/*-------------------------------------------------------------------------
 *
 * changed.c
 *		The way from whoever writes past the triggers that capture changes to
 *		the room that they belong to.
 *
 * Process: any backend. Locks: those of the outbox. Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include "base/changed.h"

static DsChangedAction changed_action = NULL;

/* ds_changed_init does the registration, once a process. */
void
ds_changed_init(DsChangedAction action)
{
	changed_action = action;
}

/* ds_changed_tell does the noting that states with these keys have changed. */
void
ds_changed_tell(Relation relation, char *const *args, int n, const int64 *keys)
{
	if (n > 0 && changed_action != NULL)
		changed_action(relation, args, n, keys);
}
