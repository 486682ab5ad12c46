/*-------------------------------------------------------------------------
 *
 * launcher.h
 *		The process that decides in which databases workers run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_WORKER_LAUNCHER_H
#define DS_WORKER_LAUNCHER_H

#include "fmgr.h"

extern void ds_worker_launcher_register(void);
extern PGDLLEXPORT void ds_worker_launcher_main(Datum arg);
extern PGDLLEXPORT void ds_worker_probe_main(Datum arg);

#endif /* DS_WORKER_LAUNCHER_H */
