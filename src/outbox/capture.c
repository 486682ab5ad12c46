/*-------------------------------------------------------------------------
 *
 * capture.c
 *		The statement trigger that notes changes in the outbox, in the commit
 *		that makes them.
 *
 * Arguments of the trigger: kind (state, document), event type, entity, group
 * (customer, item), key column, group column ('' none), watched columns joined
 * by commas ('' any).
 *
 * state: one marker for each key and transaction. The router renders it after
 * the commit, so a second one would say the same. document: the rows
 * themselves, but only of changes made outside the verbs, which tell their own.
 * A verb is a SECURITY DEFINER function of the owner of the books: that, and
 * no setting that a session could forge, tells the two apart.
 *
 * Process: any backend. Locks: those of an INSERT into the outbox. Memory: the
 * SPI procedure context; plans are kept for the life of the session. It writes
 * as the owner of the table, whoever changed it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "base/changed.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/event.h"
#include "base/export.h"
#include "base/guc.h"
#include "base/mute.h"
#include "base/ring.h"
#include "base/spi.h"
#include "base/wake.h"
#include "outbox/append.h"
#include "outbox/capture.h"

#define MAX_WATCHED 16

DS_FUNCTION_INFO_V1(ds_sql_outbox_capture);
DS_FUNCTION_INFO_V1(ds_sql_outbox_wake);

/* What one trigger asks for, resolved against the table as it is now */
typedef struct Capture
{
	AttrNumber key;
	AttrNumber group; /* InvalidAttrNumber: none */
	int nwatched;
	AttrNumber watched[MAX_WATCHED];
} Capture;

/* DsOutboxMarkers that this transaction has written; a few are remembered. */
#define REMEMBERED 64
typedef struct Written
{
	FullTransactionId xid;
	SubTransactionId subxid;
	uint32 event; /* hash of the type */
	int64 key;
} Written;

static Written written[REMEMBERED];
static SPIPlanPtr insert_one[2];
static SPIPlanPtr insert_many[2];

/*
 * column_of does the look-up of a column that the trigger names.
 */
static AttrNumber
column_of(Relation rel, const char *name)
{
	AttrNumber attnum = SPI_fnumber(RelationGetDescr(rel), name);

	if (attnum <= 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column \"%s\" of table \"%s\" does not exist", name,
							   RelationGetRelationName(rel)),
						errdetail("The trigger that captures changes names it."),
						errhint("Call distsync.setup(), which makes the triggers anew.")));
	return attnum;
}

/*
 * bind_capture does the resolving of the trigger's arguments, by name, because
 * users may add columns to the table.
 */
static void
bind_capture(Capture *c, Relation rel, char **args)
{
	char *names = pstrdup(args[6]);

	c->key = column_of(rel, args[4]);
	c->group = args[5][0] == '\0' ? InvalidAttrNumber : column_of(rel, args[5]);
	c->nwatched = 0;
	for (char *name = names; name != NULL && *name != '\0' && c->nwatched < MAX_WATCHED;)
	{
		char *comma = strchr(name, ',');

		if (comma != NULL)
			*comma++ = '\0';
		c->watched[c->nwatched++] = column_of(rel, name);
		name = comma;
	}
}

/*
 * slot_int64 does the read of a bigint column, 0 where it is NULL.
 */
static int64
slot_int64(TupleTableSlot *slot, AttrNumber attnum)
{
	bool isnull;
	Datum value = slot_getattr(slot, attnum, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/*
 * add_marker does the noting of one row's key.
 */
static void
add_marker(DsOutboxMarkers *markers, const Capture *c, TupleTableSlot *slot)
{
	if (markers->n == markers->capacity)
	{
		if (markers->capacity > PG_INT32_MAX / 2)
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("a statement changed too many rows to be captured"),
							errdetail("It changed more than %d rows.", markers->n),
							errhint("Change them in several statements.")));
		markers->capacity *= 2;
		markers->marker =
			repalloc_huge(markers->marker, (Size) markers->capacity * sizeof(DsOutboxMarker));
	}
	markers->marker[markers->n].key = slot_int64(slot, c->key);
	markers->marker[markers->n].group =
		c->group == InvalidAttrNumber ? 0 : slot_int64(slot, c->group);
	markers->n++;
}

/*
 * is_change does the comparison of the watched columns of an updated row.
 */
static bool
is_change(const Capture *c, TupleTableSlot *before, TupleTableSlot *after)
{
	TupleDesc desc = after->tts_tupleDescriptor;

	for (int i = 0; i < c->nwatched; i++)
	{
		bool was_null;
		bool is_null;
		Datum was = slot_getattr(before, c->watched[i], &was_null);
		Datum is = slot_getattr(after, c->watched[i], &is_null);
		Form_pg_attribute att = TupleDescAttr(desc, c->watched[i] - 1);

		if (was_null != is_null ||
			(!is_null && !datum_image_eq(was, is, att->attbyval, att->attlen)))
			return true;
	}
	return c->nwatched == 0;
}

/*
 * collect_markers does the reading of the transition tables. Old and new rows
 * of an UPDATE stand in the same order in both.
 */
static void
collect_markers(DsOutboxMarkers *markers, const Capture *c, TriggerData *trigdata)
{
	TupleDesc desc = RelationGetDescr(trigdata->tg_relation);
	Tuplestorestate *after = trigdata->tg_newtable;
	Tuplestorestate *before = trigdata->tg_oldtable;
	TupleTableSlot *old_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	TupleTableSlot *new_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);

	if (before != NULL)
		tuplestore_rescan(before);
	if (after != NULL)
		tuplestore_rescan(after);
	for (;;)
	{
		bool has_old = before != NULL && tuplestore_gettupleslot(before, true, false, old_slot);
		bool has_new = after != NULL && tuplestore_gettupleslot(after, true, false, new_slot);

		if (!has_old && !has_new)
			break;
		if (has_old && has_new)
		{
			/* a row that changed its key concerns both */
			if (slot_int64(old_slot, c->key) != slot_int64(new_slot, c->key))
				add_marker(markers, c, old_slot);
			else if (!is_change(c, old_slot, new_slot))
				continue;
		}
		add_marker(markers, c, has_new ? new_slot : old_slot);
	}
	ExecDropSingleTupleTableSlot(old_slot);
	ExecDropSingleTupleTableSlot(new_slot);
}

static int
compare_markers(const void *a, const void *b)
{
	int64 x = ((const DsOutboxMarker *) a)->key;
	int64 y = ((const DsOutboxMarker *) b)->key;

	return x < y ? -1 : x > y;
}

/*
 * is_written does the test whether this transaction has left the marker
 * already, in a subtransaction that can no longer go away alone; if not, it
 * remembers it as being written now.
 */
static bool
is_written(const char *event_type, int64 key)
{
	FullTransactionId xid = GetTopFullTransactionId();
	SubTransactionId subxid = GetCurrentSubTransactionId();
	uint32 event = DatumGetUInt32(hash_any((const unsigned char *) event_type, strlen(event_type)));
	Written *w = &written[(event ^ (uint32) key ^ (uint32) (key >> 32)) % REMEMBERED];

	if (FullTransactionIdEquals(w->xid, xid) && w->event == event && w->key == key &&
		(w->subxid == TopSubTransactionId || w->subxid == subxid))
		return true;
	w->xid = xid;
	w->subxid = subxid;
	w->event = event;
	w->key = key;
	return false;
}

/*
 * reduce_markers does the removal of repeated keys and of those already
 * written. Sorted, so that two writers insert in one order.
 */
static void
reduce_markers(DsOutboxMarkers *markers)
{
	int kept = 0;

	if (markers->n > 1)
		qsort(markers->marker, markers->n, sizeof(DsOutboxMarker), compare_markers);
	for (int i = 0; i < markers->n; i++)
	{
		if (kept > 0 && markers->marker[kept - 1].key == markers->marker[i].key)
			continue;
		if (markers->n <= REMEMBERED && is_written(markers->event_type, markers->marker[i].key))
			continue;
		markers->marker[kept++] = markers->marker[i];
	}
	markers->n = kept;
}

/*
 * connect_spi does the way to the executor.
 */
static void
connect_spi(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not connect to SPI")));
}

/*
 * write_one does the insert of a single marker, the usual case.
 */
static void
write_one(const DsOutboxMarkers *markers)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID};
	static const char *const insert[] = {
		"INSERT INTO sync.outbox_customer (kind, event_type, entity, entity_key, customer_id, "
		"ring) "
		"VALUES ('state', $1, $2, $3, $4, $5)",
		"INSERT INTO sync.outbox_item (kind, event_type, entity, entity_key, item_id, ring) "
		"VALUES ('state', $1, $2, $3, $4, $5)"};
	Datum values[5];

	if (insert_one[markers->item] == NULL)
		insert_one[markers->item] = ds_spi_keep(insert[markers->item], lengthof(types), types);
	values[0] = CStringGetTextDatum(markers->event_type);
	values[1] = CStringGetTextDatum(markers->entity);
	values[2] = CStringGetTextDatum(psprintf(INT64_FORMAT, markers->marker->key));
	values[3] = Int64GetDatum(markers->marker->group);
	values[4] = CStringGetTextDatum(ds_base_ring());
	ds_spi_run(insert_one[markers->item], values, NULL);
}

/*
 * write_many does the insert of the markers of a statement that changed much.
 */
static void
write_many(const DsOutboxMarkers *markers)
{
	static const Oid types[] = {TEXTOID, TEXTOID, INT8ARRAYOID, INT8ARRAYOID, TEXTOID};
	static const char *const insert[] = {
		"INSERT INTO sync.outbox_customer (kind, event_type, entity, entity_key, customer_id, "
		"ring) "
		"SELECT 'state', $1, $2, m.key::pg_catalog.text, m.id, $5 FROM ROWS FROM "
		"(pg_catalog.unnest($3), pg_catalog.unnest($4)) "
		"m(key, id)",
		"INSERT INTO sync.outbox_item (kind, event_type, entity, entity_key, item_id, ring) "
		"SELECT 'state', $1, $2, m.key::pg_catalog.text, m.id, $5 FROM ROWS FROM "
		"(pg_catalog.unnest($3), pg_catalog.unnest($4)) "
		"m(key, id)"};
	Datum *keys = palloc(sizeof(Datum) * markers->n);
	Datum *groups = palloc(sizeof(Datum) * markers->n);
	Datum values[5];

	for (int i = 0; i < markers->n; i++)
	{
		keys[i] = Int64GetDatum(markers->marker[i].key);
		groups[i] = Int64GetDatum(markers->marker[i].group);
	}
	if (insert_many[markers->item] == NULL)
		insert_many[markers->item] = ds_spi_keep(insert[markers->item], lengthof(types), types);
	values[0] = CStringGetTextDatum(markers->event_type);
	values[1] = CStringGetTextDatum(markers->entity);
	values[2] = PointerGetDatum(construct_array(keys, markers->n, INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[3] = PointerGetDatum(construct_array(groups, markers->n, INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[4] = CStringGetTextDatum(ds_base_ring());
	ds_spi_run(insert_many[markers->item], values, NULL);
}

/*
 * write_markers does the writing of the markers of a statement.
 */
static void
write_markers(DsOutboxMarkers *markers, Oid owner)
{
	const char *ring = ds_base_ring();

	reduce_markers(markers);
	if (markers->n == 0)
		return;
	ds_worker_wake_at_commit(markers->item ? DS_WAKE_STATES : DS_WAKE_COURIER);
	/* a writer that rings does so through the trigger of the outbox */
	if (strcmp(ring, "trigger") != 0 && ds_outbox_append(markers, owner, ring))
		return;
	connect_spi();
	if (markers->n == 1)
		write_one(markers);
	else
		write_many(markers);
	SPI_finish();
}

/*
 * capture_state does the markers of a statement.
 */
static void
capture_state(TriggerData *trigdata, char **args, Oid owner)
{
	Capture c;
	DsOutboxMarkers markers = {args[1], args[2], strcmp(args[3], "item") == 0, 0, 16, NULL, NULL};

	bind_capture(&c, trigdata->tg_relation, args);
	markers.marker = palloc(sizeof(DsOutboxMarker) * markers.capacity);
	collect_markers(&markers, &c, trigdata);
	write_markers(&markers, owner);
}

/*
 * is_verb does the test whether a verb makes the change: a SECURITY DEFINER
 * function of the owner, or a worker, which is the owner for good.
 */
static bool
is_verb(Oid user, int context, Oid owner)
{
	return user == owner &&
		   ((context & SECURITY_LOCAL_USERID_CHANGE) || ds_compat_in_background_worker());
}

/*
 * is_silent does the answer whether a change is not to be noted: history that
 * is loaded, or, where only the functions of the extension record, anybody
 * else's.
 */
static bool
is_silent(Oid user, int context, Oid owner)
{
	return ds_base_muted() || (ds_guc_capture == DS_CAPTURE_VERB && !is_verb(user, context, owner));
}

/*
 * tell_states does what a trigger does, for a room that changed rows without
 * a statement: keys are those of states whose watched columns changed, and
 * their groups.
 */
static void
tell_states(Relation relation, char *const *args, int n, const int64 *keys)
{
	Oid owner = relation->rd_rel->relowner;
	DsOutboxMarkers markers = {args[DS_CAPTURE_EVENT],
							   args[DS_CAPTURE_ENTITY],
							   strcmp(args[DS_CAPTURE_GROUP], "item") == 0,
							   n,
							   n,
							   NULL,
							   NULL};
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	if (is_silent(user, context, owner))
		return;
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE);
	markers.marker = palloc_extended(sizeof(DsOutboxMarker) * n, MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
		markers.marker[i].key = markers.marker[i].group = keys[i];
	write_markers(&markers, owner);
	SetUserIdAndSecContext(user, context);
}

/*
 * tell_document does the writing of a document event of a verb by the short
 * way. False: it is not open here.
 */
static bool
tell_document(const DsEvent *event)
{
	const char *ring = ds_base_ring();
	DsOutboxMarker group = {0, event->customer_id};
	DsOutboxMarkers markers = {event->event_type, event->entity, false, 1, 1, &group, event};

	if (strcmp(ring, "trigger") == 0 || !ds_outbox_append(&markers, GetUserId(), ring))
		return false;
	ds_worker_wake_at_commit(DS_WAKE_COURIER);
	return true;
}

/*
 * ds_outbox_capture_init does the registration of what writers tell.
 */
void
ds_outbox_capture_init(void)
{
	ds_changed_init(tell_states);
	ds_event_init(tell_document);
}

/*
 * capture_documents does the events of rows that were changed outside the
 * verbs. It is rare, so the statement is not kept.
 */
static void
capture_documents(TriggerData *trigdata, char **args)
{
	bool deleted = TRIGGER_FIRED_BY_DELETE(trigdata->tg_event);
	static const char *const insert[] = {
		"INSERT INTO sync.outbox_customer (kind, event_type, entity, entity_key, customer_id, "
		"body, ring) "
		"SELECT 'document', $1, $2, r.key, COALESCE(r.id, 0), r.body, $6 "
		"FROM new_rows n, distsync_internal.outbox_row(pg_catalog.to_jsonb(n), $3, $4, $5) r",
		"INSERT INTO sync.outbox_customer (kind, event_type, entity, entity_key, customer_id, "
		"body, ring) "
		"SELECT 'document', $1, $2, r.key, COALESCE(r.id, 0), r.body, $6 "
		"FROM old_rows n, distsync_internal.outbox_row(pg_catalog.to_jsonb(n), $3, $4, $5) r"};
	Oid types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum values[6];
	int code;

	values[0] = CStringGetTextDatum(args[1]);
	values[1] = CStringGetTextDatum(args[2]);
	values[2] = CStringGetTextDatum(args[4]);
	values[3] = CStringGetTextDatum(args[5]);
	values[4] = CStringGetTextDatum(deleted										  ? "delete"
									: TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? "insert"
																				  : "update");
	values[5] = CStringGetTextDatum(ds_base_ring());
	connect_spi();
	code = SPI_register_trigger_data(trigdata);
	if (code >= 0)
		code =
			SPI_execute_with_args(insert[deleted], lengthof(types), types, values, NULL, false, 0);
	if (code < 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not capture a change of table \"%s\": %s",
							   RelationGetRelationName(trigdata->tg_relation),
							   SPI_result_code_string(code))));
	SPI_finish();
}

/*
 * ds_sql_outbox_capture does distsync_internal.outbox_capture(), the trigger.
 */
Datum
ds_sql_outbox_capture(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Oid owner;
	Oid user;
	int context;
	bool document;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event) ||
		trigdata->tg_trigger->tgnargs != DS_CAPTURE_ARGS ||
		(trigdata->tg_newtable == NULL && trigdata->tg_oldtable == NULL))
		ereport(
			ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("function \"%s\" was called in a way it does not understand", "outbox_capture"),
			 errdetail("It is a statement trigger with transition tables and seven arguments."),
			 errhint("Call distsync.setup(), which makes the triggers anew.")));
	document = strcmp(trigdata->tg_trigger->tgargs[0], "document") == 0;
	owner = trigdata->tg_relation->rd_rel->relowner;
	GetUserIdAndSecContext(&user, &context);
	if (is_silent(user, context, owner) || (document && is_verb(user, context, owner)))
		return PointerGetDatum(NULL);

	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE);
	if (document)
		capture_documents(trigdata, trigdata->tg_trigger->tgargs);
	else
		capture_state(trigdata, trigdata->tg_trigger->tgargs, owner);
	SetUserIdAndSecContext(user, context);
	return PointerGetDatum(NULL);
}

/*
 * ds_sql_outbox_wake does distsync_internal.outbox_wake(): whoever writes into
 * an outbox wakes the courier at his commit.
 */
Datum
ds_sql_outbox_wake(PG_FUNCTION_ARGS)
{
	ds_worker_wake_at_commit(DS_WAKE_COURIER);
	return PointerGetDatum(NULL);
}
