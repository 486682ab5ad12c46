/*-------------------------------------------------------------------------
 *
 * note.h
 *		Who writes rows without the executor tells here what a capture trigger
 *		would have seen; the room of the outbox, which base does not know,
 *		does what its trigger does.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_NOTE_H
#define DS_BASE_NOTE_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"

/* the arguments of the trigger, the rows as they are now, and how many */
typedef void (*DsNoteAction)(Relation relation, char **args, TupleTableSlot **rows, int n);

extern void ds_note_init(DsNoteAction action);
extern void ds_note_rows(Relation relation, char **args, TupleTableSlot **rows, int n);

#endif /* DS_BASE_NOTE_H */
