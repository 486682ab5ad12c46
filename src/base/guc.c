/*-------------------------------------------------------------------------
 *
 * guc.c
 *		Registration of the settings.
 *
 * Process: postmaster or backend, once, from _PG_init. Locks: none.
 * Memory: the GUC machinery's own context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "base/guc.h"

char *ds_guc_instance = NULL;

/*
 * ds_guc_init does the registration of all settings and reserves the prefix,
 * so that a misspelt distsync.* setting is an error and not silence.
 */
void
ds_guc_init(void)
{
	DefineCustomStringVariable(
		"distsync.instance",
		"Name of this installation; workers send only where it equals the name in sync.instance.",
		NULL, &ds_guc_instance, "", PGC_SIGHUP, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("distsync");
}
