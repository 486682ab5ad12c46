/*-------------------------------------------------------------------------
 *
 * failpoint.h
 *		Places where tests make the server fail. Compiled in only with
 *		-DDISTSYNC_TEST; otherwise nothing of it is in the library.
 *
 * DS_FAILPOINT("room.point") may throw: never put it into a curl callback,
 * a critical section or a commit callback.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_FAILPOINT_H
#define DS_BASE_FAILPOINT_H

#ifdef DISTSYNC_TEST
#define DS_FAILPOINT(name) ds_failpoint_hit(name)
extern void ds_failpoint_init(void);
extern void ds_failpoint_hit(const char *name);
#else
#define DS_FAILPOINT(name) ((void) 0)
#define ds_failpoint_init() ((void) 0)
#endif

#endif /* DS_BASE_FAILPOINT_H */
