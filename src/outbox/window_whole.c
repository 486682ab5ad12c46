/*-------------------------------------------------------------------------
 *
 * window_whole.c
 *		What has become visible in an outbox between two snapshots, as SQL reads
 *		it: the way for what window.c has no room for, or may not read.
 *
 * Process: any backend inside SPI_connect, mostly the courier. Locks:
 * AccessShareLock on outbox and partitions. Memory: the current context, for as
 * many pieces as a step has.
 *
 *-------------------------------------------------------------------------
 */
#include "outbox/window.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "base/compat.h"
#include "base/spi.h"

/* columns of distsync_internal.outbox_piece */
enum
{
	P_LANE_GROUP,
	P_OUTBOX_ID,
	P_AT,
	P_FIRST_AT,
	P_KIND,
	P_EVENT_TYPE,
	P_ENTITY,
	P_ENTITY_KEY,
	P_GROUP_ID,
	P_BODY,
	P_MESSAGE_ID,
	P_CORRELATION_ID,
	P_CAUSATION_ID,
	P_ORIGIN,
	P_RING,
	P_COUNT
};

static const Oid piece_types[P_COUNT] = {TEXTOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID,
										 TEXTOID, TEXTOID, TEXTOID,		   INT8OID,		   JSONBOID,
										 UUIDOID, UUIDOID, UUIDOID,		   TEXTOID,		   TEXTOID};

/* take_piece does one piece. */
static DsOutboxPiece *
take_piece(const DsOutboxWindow *w, HeapTuple row, TupleDesc desc)
{
	DsOutboxPiece *piece = palloc0(sizeof(DsOutboxPiece));
	Datum values[P_COUNT];
	bool nulls[P_COUNT];

	heap_deform_tuple(row, desc, values, nulls);
	for (int i = 0; i < P_COUNT; i++)
		if (nulls[i] && i != P_BODY && i != P_CORRELATION_ID && i != P_CAUSATION_ID &&
			i != P_ORIGIN && i != P_RING)
			ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
							errmsg("a row of the outbox has no %s",
								   NameStr(TupleDescAttr(desc, i)->attname)),
							errdetail("outbox_id: " INT64_FORMAT,
									  nulls[P_OUTBOX_ID] ? 0 : DatumGetInt64(values[P_OUTBOX_ID])),
							errhint("Give it one, or delete the row.")));
	piece->item = w->item;
	piece->document = strcmp(TextDatumGetCString(values[P_KIND]), "document") == 0;
	piece->outbox_id = DatumGetInt64(values[P_OUTBOX_ID]);
	piece->at = DatumGetTimestampTz(values[P_AT]);
	piece->first_at = DatumGetTimestampTz(values[P_FIRST_AT]);
	piece->kind = ds_outbox_kind(w->kinds, DatumGetTextPP(values[P_EVENT_TYPE]),
								 DatumGetTextPP(values[P_ENTITY]));
	piece->key = DatumGetTextPP(values[P_ENTITY_KEY]);
	piece->group = DatumGetInt64(values[P_GROUP_ID]);
	piece->again = !piece->document && !nulls[P_BODY];
	if (piece->document && !nulls[P_BODY])
		piece->body = (struct varlena *) DatumGetPointer(values[P_BODY]);
	piece->message_id = *DatumGetUUIDP(values[P_MESSAGE_ID]);
	piece->has_correlation = !nulls[P_CORRELATION_ID];
	if (piece->has_correlation)
		piece->correlation_id = *DatumGetUUIDP(values[P_CORRELATION_ID]);
	piece->has_causation = !nulls[P_CAUSATION_ID];
	if (piece->has_causation)
		piece->causation_id = *DatumGetUUIDP(values[P_CAUSATION_ID]);
	piece->origin = nulls[P_ORIGIN] ? NULL : DatumGetTextPP(values[P_ORIGIN]);
	piece->rings = !nulls[P_RING] && strcmp(TextDatumGetCString(values[P_RING]), "courier") == 0;
	return piece;
}

/* ds_outbox_read_whole does the pieces of a window, in the snapshot of the calling statement. */
void
ds_outbox_read_whole(DsOutboxWindow *w)
{
	static SPIPlanPtr plans[2] = {NULL, NULL};
	static const Oid types[] = {PG_SNAPSHOTOID, PG_SNAPSHOTOID, XID8ARRAYOID, INT8OID, INT4OID};
	static const char *const sql[] = {
		"SELECT * FROM distsync_internal.outbox_read_customer($1, $2, $3, $4, $5)",
		"SELECT * FROM distsync_internal.outbox_read_item($1, $2, $3, $4, $5)"};
	Datum values[] = {w->before, w->target, w->late, Int64GetDatum(w->after),
					  Int32GetDatum(w->step)};

	if (plans[w->item] == NULL)
		plans[w->item] = ds_spi_keep(sql[w->item], lengthof(types), types);
	if (SPI_execute_plan(plans[w->item], values, NULL, true, 0) != SPI_OK_SELECT)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("the outbox could not be read")));
	ds_spi_expect("outbox_read", piece_types, P_COUNT);
	w->n = (int) SPI_processed;
	w->piece = palloc_extended(sizeof(DsOutboxPiece *) * Max(w->n, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < w->n; i++)
		w->piece[i] = take_piece(w, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
}
