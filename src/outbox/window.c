/*-------------------------------------------------------------------------
 *
 * window.c
 *		What has become visible in an outbox between two snapshots: documents,
 *		and the markers of each entity as one.
 *
 * The rows are walked over once, by the primary key of each partition, which
 * begins with the writing transaction. outbox_read_customer() and
 * outbox_read_item() say the same by SQL, which sorts on disk: they are asked
 * where more entities have markers than there is room for, or an outbox has
 * something of somebody else (a partition, FORCE ROW LEVEL SECURITY).
 *
 * Process: any backend, mostly the courier. Locks: AccessShareLock on outbox,
 * partitions and indexes until the transaction ends. Memory: the current
 * context: some 200 bytes and its key for each of "room" entities at most, and
 * twice "step" documents.
 *
 *-------------------------------------------------------------------------
 */
#include "outbox/window.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "partitioning/partdesc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"
#include "base/compat.h"

typedef enum Column
{
	W_XID,
	W_OUTBOX_ID,
	W_AT,
	W_KIND,
	W_EVENT_TYPE,
	W_ENTITY,
	W_ENTITY_KEY,
	W_GROUP,
	W_BODY,
	W_MESSAGE_ID,
	W_CORRELATION_ID,
	W_CAUSATION_ID,
	W_ORIGIN,
	W_RING,
	W_COUNT
} Column;

static const struct
{
	const char *name; /* NULL: customer_id or item_id */
	Oid type;
} shape[W_COUNT] = {{"xid", XID8OID},
					{"outbox_id", INT8OID},
					{"at", TIMESTAMPTZOID},
					{"kind", TEXTOID},
					{"event_type", TEXTOID},
					{"entity", TEXTOID},
					{"entity_key", TEXTOID},
					{NULL, INT8OID},
					{"body", JSONBOID},
					{"message_id", UUIDOID},
					{"correlation_id", UUIDOID},
					{"causation_id", UUIDOID},
					{"origin", TEXTOID},
					{"ring", TEXTOID}};

/* An entity that has markers. */
typedef struct Entity
{
	int kind;
	const char *key;
	int length;
} Entity;

typedef struct Marked
{
	Entity entity;
	DsOutboxPiece *piece;
} Marked;

/* hash_entity does the hash of an entity. */
static uint32
hash_entity(const void *key, Size size)
{
	const Entity *e = key;

	return hash_bytes((const unsigned char *) e->key, e->length) ^ hash_bytes_uint32(e->kind);
}

/* match_entity does the comparison of two: 0 = the same. */
static int
match_entity(const void *a, const void *b, Size size)
{
	const Entity *x = a;
	const Entity *y = b;

	return x->kind == y->kind && x->length == y->length && memcmp(x->key, y->key, x->length) == 0
			   ? 0
			   : 1;
}

typedef struct Scan
{
	DsOutboxWindow *window;
	MemoryContext context; /* of what is kept */
	MemoryContext each;	   /* of a row */
	int column[W_COUNT];   /* where each stands in the partition that is read */
	uint64 xid;			   /* asked for last */
	bool visible;
	HTAB *marked;
	DsOutboxPiece **documents;
	int ndocuments;
} Scan;

/* ds_outbox_same_text does the comparison of two texts. */
bool
ds_outbox_same_text(const text *a, const text *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		   memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/* copy_value does a copy of what is in a row, as it stands there. */
static struct varlena *
copy_value(Scan *s, Datum value)
{
	Size size = VARSIZE_ANY(DatumGetPointer(value));
	struct varlena *copy = MemoryContextAlloc(s->context, size);

	memcpy(copy, DatumGetPointer(value), size);
	return copy;
}

/* copy_text does a copy of a text that is not compressed. */
static text *
copy_text(MemoryContext context, const text *value)
{
	Size size = VARSIZE_ANY(value);
	text *copy = MemoryContextAlloc(context, size);

	memcpy(copy, value, size);
	return copy;
}

/* is_kind does the test of a kind. */
static bool
is_kind(const DsOutboxKind *kind, const text *event_type, const text *entity)
{
	return ds_outbox_same_text(kind->event_type, event_type) &&
		   ds_outbox_same_text(kind->entity, entity);
}

/* ds_outbox_kind does the number of a type of events about something; they are few, and mostly the same one again. */
int
ds_outbox_kind(DsOutboxKinds *kinds, const text *event_type, const text *entity)
{
	int i = kinds->last;

	if (i < kinds->n && is_kind(&kinds->kind[i], event_type, entity))
		return i;
	for (i = 0; i < kinds->n; i++)
		if (is_kind(&kinds->kind[i], event_type, entity))
			break;
	if (i == kinds->n)
	{
		MemoryContext context = GetMemoryChunkContext(kinds->kind);

		if (kinds->n == kinds->room)
			kinds->kind = repalloc(kinds->kind, sizeof(DsOutboxKind) * (kinds->room *= 2));
		kinds->kind[kinds->n++] =
			(DsOutboxKind){copy_text(context, event_type), copy_text(context, entity)};
	}
	kinds->last = i;
	return i;
}

/* value does a column of the row that is read. */
static inline Datum
value(const Scan *s, TupleTableSlot *slot, Column column, bool *isnull)
{
	*isnull = slot->tts_isnull[s->column[column]];
	return slot->tts_values[s->column[column]];
}

/* text_of does a text of it. */
static text *
text_of(const Scan *s, TupleTableSlot *slot, Column column)
{
	bool isnull;
	Datum datum = value(s, slot, column, &isnull);

	return isnull ? NULL : DatumGetTextPP(datum);
}

/* is_word does the test whether a text is a word. */
static bool
is_word(const text *value, const char *word)
{
	return VARSIZE_ANY_EXHDR(value) == strlen(word) &&
		   memcmp(VARDATA_ANY(value), word, strlen(word)) == 0;
}

/* set_piece does what a piece has of its only row, or of its last marker. */
static void
set_piece(const Scan *s, DsOutboxPiece *piece, TupleTableSlot *slot, int64 outbox_id)
{
	bool isnull;
	Datum datum;

	piece->outbox_id = outbox_id;
	piece->at = DatumGetTimestampTz(value(s, slot, W_AT, &isnull));
	piece->group = DatumGetInt64(value(s, slot, W_GROUP, &isnull));
	piece->message_id = *DatumGetUUIDP(value(s, slot, W_MESSAGE_ID, &isnull));
	datum = value(s, slot, W_CORRELATION_ID, &isnull);
	piece->has_correlation = !isnull;
	if (!isnull)
		piece->correlation_id = *DatumGetUUIDP(datum);
	datum = value(s, slot, W_CAUSATION_ID, &isnull);
	piece->has_causation = !isnull;
	if (!isnull)
		piece->causation_id = *DatumGetUUIDP(datum);
}

/* new_piece does a piece of one row. */
static DsOutboxPiece *
new_piece(Scan *s, TupleTableSlot *slot, int64 outbox_id, int kind, const text *key)
{
	DsOutboxPiece *piece = MemoryContextAllocZero(s->context, sizeof(DsOutboxPiece));
	text *origin = text_of(s, slot, W_ORIGIN);

	set_piece(s, piece, slot, outbox_id);
	piece->item = s->window->item;
	piece->first_at = piece->at;
	piece->kind = kind;
	piece->key = copy_text(s->context, key);
	piece->rings = is_word(text_of(s, slot, W_RING), "courier");
	piece->origin = origin == NULL ? NULL : copy_text(s->context, origin);
	return piece;
}

/* free_piece does the end of a piece that is not wanted. */
static void
free_piece(DsOutboxPiece *piece)
{
	if (piece->body != NULL)
		pfree(piece->body);
	if (piece->origin != NULL)
		pfree(piece->origin);
	pfree(piece->key);
	pfree(piece);
}

/* compare_pieces does the order of outbox_id. */
static int
compare_pieces(const void *a, const void *b)
{
	int64 x = (*(DsOutboxPiece *const *) a)->outbox_id;
	int64 y = (*(DsOutboxPiece *const *) b)->outbox_id;

	return (x > y) - (x < y);
}

/* keep_first does the leaving of the first documents; the others are of a later piece of the window. */
static void
keep_first(Scan *s)
{
	qsort(s->documents, s->ndocuments, sizeof(DsOutboxPiece *), compare_pieces);
	while (s->ndocuments > s->window->step)
		free_piece(s->documents[--s->ndocuments]);
}

/* add_document does a document. */
static void
add_document(Scan *s, TupleTableSlot *slot, int64 outbox_id, int kind, const text *key)
{
	DsOutboxPiece *piece;
	Datum body;
	bool isnull;

	if (outbox_id <= s->window->after)
		return;
	if (s->ndocuments == s->window->step * 2)
		keep_first(s);
	piece = new_piece(s, slot, outbox_id, kind, key);
	piece->document = true;
	body = value(s, slot, W_BODY, &isnull);
	if (!isnull)
		piece->body = copy_value(s, body);
	s->documents[s->ndocuments++] = piece;
}

/* add_marker does a marker. False: there is no room for its entity. */
static bool
add_marker(Scan *s, TupleTableSlot *slot, int64 outbox_id, int kind, const text *key)
{
	Entity entity = {kind, VARDATA_ANY(key), (int) VARSIZE_ANY_EXHDR(key)};
	Marked *m = hash_search(s->marked, &entity, HASH_FIND, NULL);
	text *origin = text_of(s, slot, W_ORIGIN);
	DsOutboxPiece *piece;

	if (m == NULL)
	{
		if (hash_get_num_entries(s->marked) >= s->window->room)
			return false;
		piece = new_piece(s, slot, outbox_id, kind, key);
		entity.key = VARDATA_ANY(piece->key);
		m = hash_search(s->marked, &entity, HASH_ENTER, NULL);
		m->piece = piece;
	}
	piece = m->piece;
	if (piece->origin != NULL && (origin == NULL || !ds_outbox_same_text(piece->origin, origin)))
		piece->origin = NULL;
	piece->again = piece->again || !slot->tts_isnull[s->column[W_BODY]];
	piece->rings = piece->rings || is_word(text_of(s, slot, W_RING), "courier");
	if (outbox_id > piece->outbox_id)
		set_piece(s, piece, slot, outbox_id);
	piece->first_at = Min(piece->first_at, DatumGetTimestampTz(slot->tts_values[s->column[W_AT]]));
	return true;
}

/* is_visible does the test whether the target of the window sees a transaction; rows come in their order. */
static bool
is_visible(Scan *s, Datum xid)
{
	uint64 number = U64FromFullTransactionId(DatumGetFullTransactionId(xid));

	if (number != s->xid)
	{
		s->xid = number;
		s->visible =
			DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot, xid, s->window->target));
	}
	return s->visible;
}

/* is_whole does the test whether a row has what each must have. */
static bool
is_whole(const Scan *s, TupleTableSlot *slot)
{
	for (int c = 0; c < W_COUNT; c++)
		if (slot->tts_isnull[s->column[c]] && c != W_BODY && c != W_CORRELATION_ID &&
			c != W_CAUSATION_ID && c != W_ORIGIN)
			return false;
	return true;
}

/* take_row does one row. False: there is no room for it, or something is missing. */
static bool
take_row(Scan *s, TupleTableSlot *slot)
{
	int64 outbox_id;
	text *key;
	int kind;

	if (!is_whole(s, slot))
		return false;
	outbox_id = DatumGetInt64(slot->tts_values[s->column[W_OUTBOX_ID]]);
	key = text_of(s, slot, W_ENTITY_KEY);
	kind = ds_outbox_kind(s->window->kinds, text_of(s, slot, W_EVENT_TYPE),
						  text_of(s, slot, W_ENTITY));
	if (!is_word(text_of(s, slot, W_KIND), "document"))
		return add_marker(s, slot, outbox_id, kind, key);
	add_document(s, slot, outbox_id, kind, key);
	return true;
}

/* walk does the rows of a range of transactions, or of one that is late. False: there is no room for them. */
static bool
walk(Scan *s, Relation rel, Relation index, TupleTableSlot *slot, ScanKey keys, int nkeys,
	 bool late)
{
	IndexScanDesc scan = ds_compat_index_beginscan(rel, index, GetActiveSnapshot(), nkeys);
	bool room = true;

	index_rescan(scan, keys, nkeys, NULL, 0);
	while (room && index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(s->each);

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		if (late || is_visible(s, slot->tts_values[s->column[W_XID]]))
			room = take_row(s, slot);
		MemoryContextSwitchTo(old);
		MemoryContextReset(s->each);
	}
	index_endscan(scan);
	return room;
}

/* find_columns does the look-up of the columns of a partition. False: they are not what we know. */
static bool
find_columns(Scan *s, TupleDesc desc)
{
	int found = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		for (int c = 0; !att->attisdropped && c < W_COUNT; c++)
		{
			const char *name = shape[c].name != NULL ? shape[c].name
							   : s->window->item	 ? "item_id"
													 : "customer_id";

			if (att->atttypid != shape[c].type || strcmp(NameStr(att->attname), name) != 0)
				continue;
			s->column[c] = i;
			found++;
			break;
		}
	}
	return found == W_COUNT;
}

/* is_plain does the check that reading a partition here is the same as a statement. */
static bool
is_plain(Relation rel, Oid owner)
{
	return rel->rd_rel->relkind == RELKIND_RELATION && rel->rd_rel->relam == HEAP_TABLE_AM_OID &&
		   rel->rd_rel->relowner == owner && !rel->rd_rel->relforcerowsecurity &&
		   !rel->rd_rel->relhasrules;
}

/* primary_of does the opening of the primary key of a partition; NULL: it does not begin with the transaction. */
static Relation
primary_of(const Scan *s, Relation rel)
{
	Relation index;

	list_free(RelationGetIndexList(rel));
	if (!OidIsValid(rel->rd_pkindex))
		return NULL;
	index = index_open(rel->rd_pkindex, AccessShareLock);
	if (index->rd_index->indisvalid && index->rd_rel->relam == BTREE_AM_OID &&
		index->rd_index->indkey.values[0] == s->column[W_XID] + 1)
		return index;
	index_close(index, NoLock);
	return NULL;
}

/* read_partition does the rows of a partition. False: SQL has to read. */
static bool
read_partition(Scan *s, Relation rel, Oid owner)
{
	Relation index =
		is_plain(rel, owner) && find_columns(s, RelationGetDescr(rel)) ? primary_of(s, rel) : NULL;
	TupleTableSlot *slot;
	ScanKeyData keys[2];
	Datum *late;
	int nlate;
	bool read;

	if (index == NULL)
		return false;
	slot = table_slot_create(rel, NULL);
	ScanKeyInit(&keys[0], 1, BTGreaterEqualStrategyNumber, F_XID8GE,
				DirectFunctionCall1(pg_snapshot_xmax, s->window->before));
	ScanKeyInit(&keys[1], 1, BTLessStrategyNumber, F_XID8LT,
				DirectFunctionCall1(pg_snapshot_xmax, s->window->target));
	read = walk(s, rel, index, slot, keys, 2, false);
	deconstruct_array(DatumGetArrayTypeP(s->window->late), XID8OID, sizeof(uint64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &late, NULL, &nlate);
	for (int i = 0; read && i < nlate; i++)
	{
		ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_XID8EQ, late[i]);
		read = walk(s, rel, index, slot, keys, 1, true);
	}
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
	return read;
}

/* read_partitions does the rows of all partitions. False: SQL has to read. */
static bool
read_partitions(Scan *s, Relation parent)
{
	PartitionDesc desc;
	Oid *oids;
	int n;
	bool read;

	if (parent->rd_rel->relkind != RELKIND_PARTITIONED_TABLE || parent->rd_rel->relforcerowsecurity)
		return false;
	desc = RelationGetPartitionDesc(parent, true);
	n = desc->nparts;
	/* a copy: the description may be replaced when a lock is taken */
	oids = palloc(sizeof(Oid) * Max(n, 1));
	memcpy(oids, desc->oids, sizeof(Oid) * n);
	read = true;
	for (int i = 0; read && i < n; i++)
	{
		Relation rel = try_table_open(oids[i], AccessShareLock);

		if (rel == NULL)
			continue;
		read = read_partition(s, rel, parent->rd_rel->relowner);
		table_close(rel, NoLock);
	}
	return read;
}

/* collect does the pieces of what was read, in order. */
static void
collect(Scan *s)
{
	DsOutboxWindow *w = s->window;
	HASH_SEQ_STATUS i;
	Marked *m;

	keep_first(s);
	w->piece = MemoryContextAllocHuge(
		s->context,
		sizeof(DsOutboxPiece *) * ((Size) s->ndocuments + hash_get_num_entries(s->marked) + 1));
	memcpy(w->piece, s->documents, sizeof(DsOutboxPiece *) * s->ndocuments);
	w->n = s->ndocuments;
	hash_seq_init(&i, s->marked);
	while ((m = hash_seq_search(&i)) != NULL)
		if (m->piece->outbox_id > w->after)
			w->piece[w->n++] = m->piece;
	qsort(w->piece, w->n, sizeof(DsOutboxPiece *), compare_pieces);
	w->n = Min(w->n, w->step);
}

/*
 * ds_outbox_read does the pieces of a window, in the snapshot of the calling
 * statement. False: SQL has to read.
 */
bool
ds_outbox_read(DsOutboxWindow *w)
{
	Scan s = {.window = w, .context = CurrentMemoryContext};
	Oid schema = get_namespace_oid("sync", true);
	Oid relid = OidIsValid(schema)
					? get_relname_relid(w->item ? "outbox_item" : "outbox_customer", schema)
					: InvalidOid;
	Relation parent = OidIsValid(relid) ? try_table_open(relid, AccessShareLock) : NULL;
	HASHCTL ctl = {.keysize = sizeof(Entity),
				   .entrysize = sizeof(Marked),
				   .hash = hash_entity,
				   .match = match_entity,
				   .hcxt = s.context};
	bool read;

	w->n = 0;
	if (parent == NULL)
		return false;
	s.each = AllocSetContextCreate(s.context, "distsync outbox row", ALLOCSET_SMALL_SIZES);
	s.marked = hash_create("distsync marked entities", 256, &ctl,
						   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	s.documents =
		palloc_extended(sizeof(DsOutboxPiece *) * ((Size) w->step * 2 + 1), MCXT_ALLOC_HUGE);
	read = read_partitions(&s, parent);
	table_close(parent, NoLock);
	if (read)
		collect(&s);
	pfree(s.documents);
	hash_destroy(s.marked);
	MemoryContextDelete(s.each);
	return read;
}
