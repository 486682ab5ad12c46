/*-------------------------------------------------------------------------
 *
 * mute.c
 *		Loading of history: while it is on, the capture triggers of this
 *		transaction write nothing.
 *
 * The switch belongs to the subtransaction that turned it: when that is rolled
 * back, or the transaction ends, whoever comes next is heard again.
 *
 * Process: any backend. Locks: none. Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"

#include "base/export.h"
#include "base/mute.h"

static SubTransactionId muted_in = InvalidSubTransactionId;

DS_FUNCTION_INFO_V1(ds_sql_base_mute);

/*
 * unmute_at_end does the forgetting, because numbers of subtransactions start
 * anew with each transaction.
 */
static void
unmute_at_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			muted_in = InvalidSubTransactionId;
			break;
		default:
			break;
	}
}

/*
 * ds_base_mute_init does the registration, once a process.
 */
void
ds_base_mute_init(void)
{
	RegisterXactCallback(unmute_at_end, NULL);
}

/*
 * ds_base_muted does the answer for a capture trigger: on, and not by a
 * subtransaction that has been rolled back.
 */
bool
ds_base_muted(void)
{
	return muted_in != InvalidSubTransactionId && SubTransactionIsActive(muted_in);
}

/*
 * ds_sql_base_mute does the switching for the door and returns what was
 * before, so that the caller can put it back.
 */
Datum
ds_sql_base_mute(PG_FUNCTION_ARGS)
{
	bool before = ds_base_muted();

	muted_in = PG_GETARG_BOOL(0) ? GetCurrentSubTransactionId() : InvalidSubTransactionId;
	PG_RETURN_BOOL(before);
}
