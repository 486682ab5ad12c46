/*-------------------------------------------------------------------------
 *
 * extension.c
 *		Is the extension here, does it stay, and does it fit this library?
 *
 * Process: background workers, at the start of every transaction.
 * Locks: AccessShareLock on the extension object until the transaction ends,
 * never waited for: DROP EXTENSION holds the opposite lock until it commits,
 * and a worker has HTTP to drive meanwhile. Memory: none kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "base/extension.h"

/* SQL versions that this library serves: the present one and the one before it */
static const char *const served_versions[] = {DISTSYNC_VERSION};

/*
 * ds_extension_library_version does the naming of the version that this
 * library was built as.
 */
const char *
ds_extension_library_version(void)
{
	return DISTSYNC_VERSION;
}

/*
 * ds_extension_exists does the plain look-up, without a lock: the probe uses
 * it, which decides nothing more than whether to start workers.
 */
bool
ds_extension_exists(void)
{
	return OidIsValid(get_extension_oid(DS_EXTENSION_NAME, true));
}

/*
 * read_version does the recheck after the lock: it reads the row by oid and
 * returns false if it is gone. pg_extension has no syscache before 18, so the
 * scan sees what has been committed by now.
 */
static bool
read_version(DsExtension *extension)
{
	Relation rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool found;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension->oid));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		bool isnull;
		Datum version =
			heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(rel), &isnull);

		extension->version[0] = '\0';
		if (!isnull)
		{
			char *copy = TextDatumGetCString(version);

			strlcpy(extension->version, copy, sizeof(extension->version));
			pfree(copy);
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * ds_extension_hold does the lock and the recheck that every transaction of a
 * worker begins with. WHY both: between the look-up and the lock the extension
 * may have been dropped; after the lock it cannot be until we commit.
 * A known oid saves the look-up by name; a new extension of the same name has
 * another oid, and to us the old one is then simply gone.
 */
DsExtensionState
ds_extension_hold(DsExtension *extension)
{
	LOCKTAG tag;

	Assert(IsTransactionState());
	if (!OidIsValid(extension->oid))
	{
		extension->oid = get_extension_oid(DS_EXTENSION_NAME, true);
		if (!OidIsValid(extension->oid))
			return DS_EXTENSION_ABSENT;
	}
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, extension->oid, 0);
	if (LockAcquire(&tag, AccessShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return DS_EXTENSION_BUSY;
	AcceptInvalidationMessages();
	if (!read_version(extension))
		return DS_EXTENSION_ABSENT;
	for (int i = 0; i < lengthof(served_versions); i++)
	{
		if (strcmp(extension->version, served_versions[i]) == 0)
			return DS_EXTENSION_READY;
	}
	return DS_EXTENSION_OTHER_VERSION;
}
