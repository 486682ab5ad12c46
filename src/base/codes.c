/*-------------------------------------------------------------------------
 *
 * codes.c
 *		Whether what a backend remembers of small tables (codes: sites, states
 *		of stock, systems, owners; rules of credit) is current: the row of
 *		dist.epoch that whoever changes one of them moves, under the snapshot of
 *		this moment.
 *
 * Who remembers something keeps the number with it, and looks it up only under
 * the same number. That is exact: a change and its move are one commit, and
 * moves are made one after the other, so snapshots that see one number see one
 * state. A transaction that has moved it itself remembers nothing, because its
 * number may be taken back and given to somebody else.
 *
 * The number itself is remembered too. A trigger on dist.epoch notes in shared
 * memory, before the commit, that there was a move and which transaction made
 * it. A snapshot that is younger than every transaction noted sees all moves
 * there were when it was taken, for all of them were noted by then: while no
 * other one is noted, all such snapshots see one number. Others read the row.
 * So do all while a transaction is open that is older than the first question
 * after a start: it may have been prepared before, when others took the notes.
 *
 * Process: any backend. Locks: AccessShareLock on the table, where the row is
 * read. Memory: shared, 16 bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "base/codes.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/export.h"
#include "base/guc.h"
#include "base/reader.h"
#include "base/shmem.h"

DS_FUNCTION_INFO_V1(ds_sql_base_epoch_moved);

enum
{
	E_DOMAIN,
	E_N
};

static DsTable epoch_table = {
	.name = "epoch",
	.index = "epoch_pk",
	.keys = {"domain"},
	.columns = {"domain", "n"},
};

/* The moves of all databases. */
typedef struct Moves
{
	pg_atomic_uint64 number; /* how many were noted; more than there were is no harm */
	pg_atomic_uint64
		newest; /* the last one of the transactions that made them, or may have before the server started; 0 = nobody has asked yet */
} Moves;

static Moves *moves = NULL;

/* moves_size does the size of the shared memory. */
static Size
moves_size(void)
{
	return sizeof(Moves);
}

/* attach_moves does the taking of the memory. */
static void
attach_moves(void *memory, LWLock *lock, bool found)
{
	moves = memory;
	if (found)
		return;
	pg_atomic_init_u64(&moves->number, 0);
	pg_atomic_init_u64(&moves->newest, 0);
}

/* ds_codes_init does the request for shared memory, from _PG_init. */
void
ds_codes_init(void)
{
	static const DsShmemPart part = {"distsync moves", moves_size, attach_moves};

	ds_shmem_add(&part);
}

/* ds_sql_base_epoch_moved does the noting of a move, as trigger on dist.epoch. */
Datum
ds_sql_base_epoch_moved(PG_FUNCTION_ARGS)
{
	uint64 xid = U64FromFullTransactionId(GetTopFullTransactionId());
	uint64 newest;

	if (moves == NULL)
		PG_RETURN_POINTER(NULL);
	newest = pg_atomic_read_u64(&moves->newest);
	while (newest < xid && !pg_atomic_compare_exchange_u64(&moves->newest, &newest, xid))
		;
	pg_atomic_fetch_add_u64(&moves->number, 1);
	PG_RETURN_POINTER(NULL);
}

/* is_noted does the look whether the table has the trigger that notes its moves, also of what is replicated. */
static bool
is_noted(Relation relation)
{
	const TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (strcmp(triggers->triggers[i].tgname, "epoch_moved_trg") == 0 &&
			triggers->triggers[i].tgenabled == TRIGGER_FIRES_ALWAYS)
			return true;
	return false;
}

/*
 * newest_noted does the last transaction that was noted. Before the first one it
 * is the last that there is: of those that were prepared before the server
 * started, or became a primary, none was noted, and they commit when they like.
 */
static TransactionId
newest_noted(void)
{
	uint64 newest = pg_atomic_read_u64(&moves->newest);

	if (newest == 0)
	{
		uint64 begun = U64FromFullTransactionId(ReadNextFullTransactionId()) - 1;

		if (pg_atomic_compare_exchange_u64(&moves->newest, &newest, begun))
			newest = begun;
	}
	return XidFromFullTransactionId(FullTransactionIdFromU64(newest));
}

/* sees_all does the question whether a snapshot is younger than every transaction that was noted. */
static bool
sees_all(Snapshot snapshot)
{
	return IsMVCCSnapshot(snapshot) && TransactionIdPrecedes(newest_noted(), snapshot->xmin);
}

/* is_kept does the question whether the number that was read last is still the one. */
static bool
is_kept(const DsCodesRow *row)
{
	return row->kept && epoch_table.resolved && row->place_of == epoch_table.relid &&
		   row->move == pg_atomic_read_u64(&moves->number) && !ds_guc_price_through_sql &&
		   sees_all(GetActiveSnapshot());
}

/* find_row does the finding of the row: where it was seen last, or by the index. Any other row may be there by now. */
static bool
find_row(DsReader *reader, DsCodesRow *row)
{
	Datum key;

	if (row->place_of == epoch_table.relid && ds_reader_at(reader, &row->place) &&
		ds_reader_text_is(reader, E_DOMAIN, row->domain))
		return true;
	key = CStringGetTextDatum(row->domain);
	ds_reader_seek(reader, &key, 1);
	if (!ds_reader_next(reader))
		return false;
	row->place = reader->slot->tts_tid;
	row->place_of = epoch_table.relid;
	return true;
}

/* ds_codes_epoch_of does the number of a domain of this moment; DS_CODES_UNKNOWN: there is none that could be relied upon. */
int64
ds_codes_epoch_of(DsCodesRow *domain)
{
	DsReader *reader;
	int64 n = DS_CODES_UNKNOWN;
	/* a standby is not told of moves */
	bool told = moves != NULL && !RecoveryInProgress();
	uint64 move;

	if (IsolationIsSerializable())
		return DS_CODES_UNKNOWN;
	if (told && is_kept(domain))
		return domain->n;
	domain->kept = false;
	reader = ds_reader_open(&epoch_table);
	move = told ? pg_atomic_read_u64(&moves->number) : 0;
	if (reader->relation != NULL && find_row(reader, domain))
	{
		HeapTuple row = ExecFetchSlotHeapTuple(reader->slot, false, NULL);

		if (!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row->t_data)))
			n = DatumGetInt64(reader->values[E_N]);
		domain->n = n;
		domain->move = move;
		domain->kept = n != DS_CODES_UNKNOWN && told && sees_all(reader->snapshot) &&
					   is_noted(reader->relation) && epoch_table.resolved;
	}
	ds_reader_close(reader);
	return n;
}

/* ds_codes_epoch does the same for the domain of codes. */
int64
ds_codes_epoch(void)
{
	static DsCodesRow codes = {.domain = "codes"};

	return ds_codes_epoch_of(&codes);
}
