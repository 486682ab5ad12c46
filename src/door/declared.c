/*-------------------------------------------------------------------------
 *
 * declared.c
 *		What the rooms declared about an entity whose documents go the short
 *		way, kept between calls, and who may write it, which is looked up in
 *		each.
 *
 * Declarations are rows of tables that only an update of the extension
 * changes; a trigger on them tells every session to forget.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: a
 * context of the session for each entity.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rangetypes.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/export.h"
#include "base/verb.h"
#include "door/declared.h"

#define MAX_ENTITIES 4

/* columns of distsync_internal.door_declared() */
enum
{
	D_HANDLER = 1,
	D_DOMAIN,
	D_NAMES,
	D_TYPES,
	D_REQUIRED,
	D_FIXED,
	D_SIGNS,
	D_CHOICES,
	D_KEYS,
	D_COUNT = D_KEYS
};

/* what is read of sync.ownership */
static const char *const owner_columns[] = {"domain", "attribute", "company", "system", "valid"};

/* the tables that declarations are in */
static const char *const declaring[] = {"handler", "document_entity", "document_field"};

typedef struct Known
{
	const DsDocumentsTaker *taker;
	MemoryContext context; /* NULL = there is nothing of it */
	bool open;			   /* the short way is open to it */
	DsDoorDeclared declared;
} Known;

static Known known[MAX_ENTITIES];
static Oid watched[lengthof(declaring)];
static bool stale = true; /* somebody may have declared something */

/* declarations_changed does the noting that what we keep may be old; it only sets a flag. */
static void
declarations_changed(Datum arg, Oid relid)
{
	for (int i = 0; i < lengthof(watched); i++)
		stale = stale || !OidIsValid(relid) || relid == watched[i];
}

/* forget does the dropping of all that is kept. */
static void
forget(void)
{
	Oid schema = get_namespace_oid("distsync_internal", false);
	static bool watching = false;

	if (!watching)
	{
		CacheRegisterRelcacheCallback(declarations_changed, (Datum) 0);
		watching = true;
	}
	for (int i = 0; i < MAX_ENTITIES; i++)
	{
		if (known[i].context != NULL)
			MemoryContextDelete(known[i].context);
		memset(&known[i], 0, sizeof(Known));
	}
	for (int i = 0; i < lengthof(declaring); i++)
		watched[i] = get_relname_relid(declaring[i], schema);
	stale = false;
}

/* declared_text does a text of what was declared. */
static char *
declared_text(HeapTupleHeader row, int column)
{
	bool isnull;
	Datum value = GetAttributeByNum(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* declared_list does a list of what was declared. */
static ArrayType *
declared_list(HeapTupleHeader row, int column)
{
	bool isnull;
	Datum value = GetAttributeByNum(row, column, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("an entity is declared without fields")));
	return DatumGetArrayTypeP(value);
}

/* load does the reading of what was declared about an entity; the way stays shut where the handler is not the taker's own. */
static void
load(Known *k, const DsDocumentsTaker *taker)
{
	static const Oid types[] = {TEXTOID};
	Oid function = ds_verb_behind("door_declared", types, lengthof(types));
	HeapTupleHeader row;
	MemoryContext old;
	char *handler;

	if (k->context != NULL)
		MemoryContextDelete(k->context);
	k->context = AllocSetContextCreate(TopMemoryContext, "distsync declared", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(k->context);
	row = DatumGetHeapTupleHeader(OidFunctionCall1(function, CStringGetTextDatum(taker->entity)));
	handler = declared_text(row, D_HANDLER);
	k->open = handler != NULL && strcmp(handler, taker->handler) == 0;
	if (k->open)
	{
		k->declared.entity = taker->entity;
		k->declared.take = taker->take;
		k->declared.domain = declared_text(row, D_DOMAIN);
		k->declared.fields =
			ds_door_spec(declared_list(row, D_NAMES), declared_list(row, D_TYPES),
						 declared_list(row, D_REQUIRED), declared_list(row, D_FIXED),
						 declared_list(row, D_SIGNS), declared_list(row, D_CHOICES),
						 declared_list(row, D_KEYS), &k->declared.key_parts);
	}
	/* from here on it is whole */
	k->taker = taker;
	MemoryContextSwitchTo(old);
}

/* ds_door_declared does what is declared about an entity; NULL: the short way is not open to it. */
const DsDoorDeclared *
ds_door_declared(const char *entity, int len)
{
	const DsDocumentsTaker *taker = ds_documents_taker(entity, len);
	Known *k;

	if (taker == NULL || taker->number >= MAX_ENTITIES)
		return NULL;
	if (stale)
		forget();
	k = &known[taker->number];
	if (k->taker == NULL)
		load(k, taker);
	return k->open ? &k->declared : NULL;
}

/* says tells whether a column of an owner's row says this. */
static bool
says(const TupleTableSlot *slot, AttrNumber column, const char *s, int len)
{
	const text *value = DatumGetTextPP(slot->tts_values[column - 1]);

	return VARSIZE_ANY_EXHDR(value) == len && memcmp(VARDATA_ANY(value), s, len) == 0;
}

/*
 * judge_owner does what one row of sync.ownership says of a domain as a whole.
 * 0: nothing, 1: the source is an owner, -1: another one is, -2: fields have
 * owners of their own, which is for the whole way to judge.
 */
static int
judge_owner(const TupleTableSlot *slot, const AttrNumber *column, const char *domain, text *source)
{
	TypeCacheEntry *type = lookup_type_cache(TSTZRANGEOID, TYPECACHE_RANGE_INFO);

	if (!says(slot, column[0], domain, strlen(domain)))
		return 0;
	if (!says(slot, column[1], "*", 1))
		return -2;
	if (!says(slot, column[2], "*", 1) ||
		!range_contains_elem_internal(type, DatumGetRangeTypeP(slot->tts_values[column[4] - 1]),
									  TimestampTzGetDatum(GetCurrentTimestamp())))
		return 0;
	return says(slot, column[3], VARDATA_ANY(source), VARSIZE_ANY_EXHDR(source)) ? 1 : -1;
}

/*
 * ds_door_may_write tells whether a source may write a whole domain, of
 * documents that name no company: nobody owns it, or the source does. False:
 * the whole way has to judge. always: time alone does not change it, because
 * nobody owns anything of it.
 */
bool
ds_door_may_write(const DsDoorDeclared *declared, text *source, bool *always)
{
	Oid schema = get_namespace_oid("sync", true);
	Oid relid = OidIsValid(schema) ? get_relname_relid("ownership", schema) : InvalidOid;
	Relation owners = OidIsValid(relid) ? try_table_open(relid, AccessShareLock) : NULL;
	AttrNumber column[lengthof(owner_columns)];
	bool fine = owners != NULL && owners->rd_rel->relkind == RELKIND_RELATION &&
				owners->rd_rel->relam == HEAP_TABLE_AM_OID;
	bool mine = false, others = false, any = false;
	TableScanDesc scan;
	TupleTableSlot *slot;

	for (int i = 0; fine && i < lengthof(column); i++)
		fine = (column[i] = get_attnum(relid, owner_columns[i])) != InvalidAttrNumber;
	if (fine)
	{
		slot = table_slot_create(owners, NULL);
		scan = table_beginscan(owners, GetActiveSnapshot(), 0, NULL);
		while (fine && table_scan_getnextslot(scan, ForwardScanDirection, slot))
		{
			int verdict;

			slot_getallattrs(slot);
			verdict = judge_owner(slot, column, declared->domain, source);
			fine = verdict != -2;
			any = any || says(slot, column[0], declared->domain, strlen(declared->domain));
			mine = mine || verdict == 1;
			others = others || verdict == -1;
		}
		table_endscan(scan);
		ExecDropSingleTupleTableSlot(slot);
	}
	if (owners != NULL)
		table_close(owners, AccessShareLock);
	*always = fine && !any;
	return fine && (mine || !others);
}

/*
 * ds_sql_door_redeclared does distsync_internal.door_redeclared(), the trigger
 * on the tables of declarations: every session forgets what it keeps of them.
 */
DS_FUNCTION_INFO_V1(ds_sql_door_redeclared);

Datum
ds_sql_door_redeclared(PG_FUNCTION_ARGS)
{
	if (CALLED_AS_TRIGGER(fcinfo))
		CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	return PointerGetDatum(NULL);
}
