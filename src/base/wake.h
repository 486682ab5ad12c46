/*-------------------------------------------------------------------------
 *
 * wake.h
 *		Any room may ask that the workers wake when its transaction commits;
 *		the room of the workers, which base does not know, does it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_WAKE_H
#define DS_BASE_WAKE_H

#define DS_WAKE_COURIER 0x01
#define DS_WAKE_CLERK 0x02
#define DS_WAKE_BOTH (DS_WAKE_COURIER | DS_WAKE_CLERK)
#define DS_WAKE_ANNOUNCE 0x04 /* the launcher looks at this database, and both wake */
#define DS_WAKE_STATES 0x08 /* the courier, for states that may wait while it is busy with states */

/* What acts on the marks: runs after the commit and must not throw. */
typedef void (*DsWakeAction)(int marks);

extern void ds_wake_init(DsWakeAction action);
extern void ds_worker_wake_at_commit(int marks);

#endif /* DS_BASE_WAKE_H */
