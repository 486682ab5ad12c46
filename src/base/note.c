/*-------------------------------------------------------------------------
 *
 * note.c
 *		The way from writers that bypass statement triggers to the room that
 *		captures changes.
 *
 * Process: any backend. Locks: those of the action. Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include "base/note.h"

static DsNoteAction note_action = NULL;

/* ds_note_init does the registration of the action, once a process. */
void
ds_note_init(DsNoteAction action)
{
	note_action = action;
}

/* ds_note_rows does the telling of rows that were written without their capture trigger. */
void
ds_note_rows(Relation relation, char **args, TupleTableSlot **rows, int n)
{
	if (note_action != NULL && n > 0)
		note_action(relation, args, rows, n);
}
