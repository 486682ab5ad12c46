/*-------------------------------------------------------------------------
 *
 * worker.h
 *		The room of the workers, for _PG_init. To wake them: base/wake.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_WORKER_WORKER_H
#define DS_WORKER_WORKER_H

extern void ds_worker_init(void);

#endif /* DS_WORKER_WORKER_H */
