/*-------------------------------------------------------------------------
 *
 * probe.c
 *		A short visit to a database: is the extension here?
 *
 * Process: dynamic background worker, at most one at a time in the server, so
 * that many databases do not take the places of other people's workers.
 * Locks: those of a catalog read. Memory: gone with the process.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"

#include "base/extension.h"
#include "worker/launcher.h"
#include "worker/slots.h"

/*
 * ds_worker_probe_main does the look and leaves its answer in the slot. It runs no
 * function and reads one catalog, so it may stay the superuser that it is.
 */
void
ds_worker_probe_main(Datum arg)
{
	DsTicket ticket;
	bool present;

	memcpy(&ticket, MyBgworkerEntry->bgw_extra, sizeof(ticket));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (!ds_worker_slots_ready() || ticket.kind != DS_WORKER_PROBE ||
		!ds_worker_slot_attach(&ticket))
		proc_exit(0);
	if (ds_worker_slot_asked_to_leave())
	{
		ds_worker_slot_set_exit(DS_EXIT_ASKED);
		proc_exit(0);
	}
	BackgroundWorkerInitializeConnectionByOid(ticket.dboid, InvalidOid, BGWORKER_BYPASS_ALLOWCONN);
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	present = ds_extension_exists();
	CommitTransactionCommand();
	ds_worker_slot_set_exit(present ? DS_EXIT_PRESENT : DS_EXIT_ABSENT);
	proc_exit(0);
}
