/*-------------------------------------------------------------------------
 *
 * lifecycle.h
 *		Commands that need a database without workers, or change what runs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_WORKER_LIFECYCLE_H
#define DS_WORKER_LIFECYCLE_H

extern void ds_worker_lifecycle_init(void);

#endif /* DS_WORKER_LIFECYCLE_H */
