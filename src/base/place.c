/*-------------------------------------------------------------------------
 *
 * place.c
 *		Whether a table may be written without planner and executor, and what
 *		that takes: looked up once, and forgotten when the table changes.
 *
 * The start and end of a statement cost several times what a row does. What is
 * left of it is the same only where the table, and its partition, are plain: a
 * permanent local heap of one owner, no row security that binds its owner, no rules, no triggers
 * but those that capture changes, columns as we know them, none generated, and
 * where rows are added none of others that must not be NULL or have a default;
 * indexes that are kept at once, and ask for no expressions. CHECKs of users
 * are kept, ours too unless the caller keeps them. Privileges are not asked:
 * who may call a verb may write what it writes, as with SECURITY DEFINER.
 *
 * Process: any backend. Locks: RowExclusiveLock on what is looked at, until
 * the end of the transaction. Memory: a context for each place. One that is
 * replaced may still be in use, by an outer call: it goes when the transaction
 * ends.
 *
 *-------------------------------------------------------------------------
 */
#include "base/place.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/syscache.h"
#include "base/compat.h"
#include "base/verb.h"

/* every table that was opened, so that an invalidation can reach it */
static DsRowsTable *listed = NULL;
static uint64 forgotten = 0; /* calls of table_changed() */

/* places that were replaced in this transaction */
static MemoryContext attic = NULL;

/* table_changed does the forgetting of what we know of a relation that changed; it only sets flags. */
static void
table_changed(Datum arg, Oid relid)
{
	forgotten++;
	for (DsRowsTable *table = listed; table != NULL; table = table->next)
	{
		bool hit = !OidIsValid(relid) || table->relid == relid;

		for (int i = 0; i < table->nplaces && !hit; i++)
			hit = table->places[i]->relid == relid;
		if (!hit)
			continue;
		table->resolved = false;
		for (int i = 0; i < table->nplaces; i++)
			table->places[i]->stale = true;
	}
}

/* empty_attic does the end of the places that were replaced: nobody can be using them any more. */
static void
empty_attic(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PARALLEL_PRE_COMMIT &&
		event != XACT_EVENT_PRE_PREPARE)
		MemoryContextDeleteChildren(attic);
}

/* list does the entering of a table into the list above. */
static void
list(DsRowsTable *table)
{
	if (attic == NULL)
	{
		attic = AllocSetContextCreate(TopMemoryContext, "distsync replaced places",
									  ALLOCSET_SMALL_SIZES);
		RegisterXactCallback(empty_attic, NULL);
		CacheRegisterRelcacheCallback(table_changed, (Datum) 0);
	}
	while (table->columns[table->ncolumns].name != NULL)
		table->ncolumns++;
	table->next = listed;
	listed = table;
	table->listed = true;
}

/* resolve does the look-up of a table by name; false: it is not there. */
static bool
resolve(DsRowsTable *table)
{
	Oid namespace;

	if (table->resolved)
		return true;
	if (!table->listed)
		list(table);
	namespace = get_namespace_oid(table->schema, true);
	table->relid = OidIsValid(namespace) ? get_relname_relid(table->name, namespace) : InvalidOid;
	table->resolved = OidIsValid(table->relid);
	return table->resolved;
}

/* column_of does the number of one of our columns, -1 = it is none. */
static int
column_of(const DsRowsTable *table, const char *name)
{
	for (int c = 0; c < table->ncolumns; c++)
		if (strcmp(name, table->columns[c].name) == 0)
			return c;
	return -1;
}

/*
 * columns_fit does the look-up of the columns. Others keep what they have in
 * rows that are changed, and must be happy to be NULL in those that are added.
 */
static bool
columns_fit(const DsRowsTable *table, DsRowsPlace *place, TupleDesc desc)
{
	int found = 0;

	place->last = 0;
	for (int a = 0; a < desc->natts; a++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, a);
		int c;

		if (att->attisdropped)
			continue;
		if (att->attgenerated != '\0')
			return false;
		c = column_of(table, NameStr(att->attname));
		if (c >= 0)
		{
			if (att->atttypid != table->columns[c].type)
				return false;
			place->attnos[c] = att->attnum;
			place->needed[c] = att->attnotnull;
			place->last = Max(place->last, att->attnum);
			found++;
		}
		/* a type of somebody may have a default of its own, and rules */
		else if (table->adds && (att->attnotnull || att->atthasdef || att->attidentity != '\0' ||
								 get_typtype(att->atttypid) == TYPTYPE_DOMAIN))
			return false;
	}
	return found == table->ncolumns;
}

/* checks_fit does the look for CHECKs that the caller does not keep: they are asked. */
static void
checks_fit(const DsRowsTable *table, DsRowsPlace *place, TupleDesc desc)
{
	int checks = desc->constr == NULL ? 0 : desc->constr->num_check;

	for (int i = 0; i < checks; i++)
	{
		bool kept = false;

		for (int k = 0; table->kept[k] != NULL && !kept; k++)
			kept = strcmp(table->kept[k], desc->constr->check[i].ccname) == 0;
		place->checked = place->checked || !kept;
	}
}

/* captures does the test whether a trigger is one that captures what we write, as its caller tells of it. */
static bool
captures(const DsRowsTable *table, const Trigger *t, Oid function)
{
	return t->tgfoid == function && t->tgenabled == TRIGGER_FIRES_ON_ORIGIN &&
		   !TRIGGER_FOR_ROW(t->tgtype) && TRIGGER_FOR_AFTER(t->tgtype) && t->tgqual == NULL &&
		   t->tgnargs == DS_CAPTURE_ARGS && table->told != NULL &&
		   strcmp(t->tgargs[DS_CAPTURE_KIND], "state") == 0 &&
		   strcmp(t->tgargs[DS_CAPTURE_KEY_COLUMN], table->told) == 0 &&
		   strcmp(t->tgargs[DS_CAPTURE_GROUP_COLUMN], table->told) == 0;
}

/* is_watched does the test whether one of the columns that are changed is in a list with commas. */
static bool
is_watched(const DsRowsTable *table, const char *list)
{
	for (int i = 0; table->changed[i] != NULL; i++)
	{
		const char *name = table->changed[i];
		size_t length = strlen(name);

		for (const char *at = list; at != NULL; at = strchr(at, ','))
		{
			at += *at == ',';
			if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
				return true;
		}
	}
	return false;
}

/*
 * keeps_still does the test whether a trigger is one that captures changes and
 * has nothing to say of ours: it captures documents, which verbs tell, or
 * watches columns that are not changed.
 */
static bool
keeps_still(const DsRowsTable *table, const Trigger *t, Oid function)
{
	const char *watched;

	if (t->tgfoid != function || t->tgenabled != TRIGGER_FIRES_ON_ORIGIN ||
		TRIGGER_FOR_ROW(t->tgtype) || !TRIGGER_FOR_AFTER(t->tgtype) || t->tgqual != NULL ||
		t->tgnargs != DS_CAPTURE_ARGS)
		return false;
	if (strcmp(t->tgargs[DS_CAPTURE_KIND], "document") == 0)
		return table->verb;
	watched = t->tgargs[DS_CAPTURE_WATCHED];
	return table->changes && !table->adds && !table->removes && table->changed[0] != NULL &&
		   watched[0] != '\0' && !is_watched(table, watched);
}

/*
 * is_reference does the test whether a trigger guards a foreign key none of
 * whose columns is changed: then it has nothing to do.
 */
static bool
is_reference(const DsRowsTable *table, Relation rel, const Trigger *t)
{
	int side = RI_FKey_trigger_type(t->tgfoid);
	HeapTuple constraint;
	Datum keys;
	bool isnull;
	bool changes = false;

	if (!t->tgisinternal || side == RI_TRIGGER_NONE || !table->changes || table->adds ||
		table->removes || table->changed[0] == NULL)
		return false;
	constraint = SearchSysCache1(CONSTROID, ObjectIdGetDatum(t->tgconstraint));
	if (!HeapTupleIsValid(constraint))
		return false;
	keys = SysCacheGetAttr(
		CONSTROID, constraint,
		side == RI_TRIGGER_PK ? Anum_pg_constraint_confkey : Anum_pg_constraint_conkey, &isnull);
	if (!isnull)
	{
		ArrayType *array = DatumGetArrayTypeP(keys);
		int16 *attnums = (int16 *) ARR_DATA_PTR(array);

		for (int i = 0; i < ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)); i++)
			for (int c = 0; table->changed[c] != NULL; c++)
				changes =
					changes || get_attnum(RelationGetRelid(rel), table->changed[c]) == attnums[i];
	}
	ReleaseSysCache(constraint);
	return !isnull && !changes;
}

/* ds_place_is_told does the test whether one of its triggers says the same as these arguments. */
bool
ds_place_is_told(const DsRowsPlace *place, char *const *args)
{
	for (int i = 0; i < place->ncaptures; i++)
	{
		bool same = true;

		for (int a = DS_CAPTURE_EVENT; a <= DS_CAPTURE_GROUP && same; a++)
			same = strcmp(place->captures[i][a], args[a]) == 0;
		if (same)
			return true;
	}
	return false;
}

/*
 * triggers_fit does the check that no trigger wants to see what we write but
 * those that capture it, and that each event is captured whatever we do to a
 * row: the caller tells of all at once.
 */
static bool
triggers_fit(const DsRowsTable *table, DsRowsPlace *place, Relation rel)
{
	bool uses[3] = {table->adds, table->changes, table->removes};
	int heard[3] = {0};
	TriggerDesc *triggers;
	Oid function;

	if (rel->trigdesc == NULL)
		return true;
	function = ds_verb_behind("outbox_capture", NULL, 0);
	/* a copy: what the cache has of the table may be replaced by any look-up */
	triggers = CopyTriggerDesc(rel->trigdesc);
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger *t = &triggers->triggers[i];
		bool when[3] = {TRIGGER_FOR_INSERT(t->tgtype) != 0, TRIGGER_FOR_UPDATE(t->tgtype) != 0,
						TRIGGER_FOR_DELETE(t->tgtype) != 0};
		bool ours = false;

		if (keeps_still(table, t, function) || is_reference(table, rel, t))
			continue;
		for (int k = 0; k < lengthof(uses); k++)
		{
			ours = ours || (uses[k] && when[k]);
			heard[k] += uses[k] && when[k];
		}
		if (!ours)
			continue;
		if (!captures(table, t, function))
			return false;
		if (ds_place_is_told(place, t->tgargs))
			continue;
		if (place->ncaptures == DS_PLACE_MAX_CAPTURES)
			return false;
		place->captures[place->ncaptures++] = t->tgargs;
	}
	for (int k = 0; k < lengthof(uses); k++)
		if (uses[k] && heard[k] != place->ncaptures)
			return false;
	return true;
}

/* primary_fits does the check that an index is the primary key over our first columns, and how they are looked for. */
static bool
primary_fits(const DsRowsTable *table, DsRowsPlace *place, Relation index)
{
	if (index->rd_index->indnkeyatts < table->keys || !index->rd_index->indisvalid)
		return false;
	for (int i = 0; i < table->keys; i++)
	{
		Oid equal = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
										index->rd_opcintype[i], BTEqualStrategyNumber);

		if (index->rd_index->indkey.values[i] != place->attnos[i] || !OidIsValid(equal))
			return false;
		place->equal[i] = get_opcode(equal);
		place->collations[i] = index->rd_indcollation[i];
		place->keytypes[i] = table->columns[i].type;
	}
	place->whole = index->rd_index->indnkeyatts == table->keys;
	return true;
}

/*
 * indexes_fit does the check that all indexes can be kept at once, and of the
 * primary key. What a B-tree needs to know is kept; others keep something of
 * a call there.
 */
static bool
indexes_fit(const DsRowsTable *table, DsRowsPlace *place, Relation rel)
{
	List *indexes = RelationGetIndexList(rel);
	bool fits = table->keys == 0 || OidIsValid(rel->rd_pkindex);
	ListCell *cell;

	place->primary = rel->rd_pkindex;
	place->indexes = palloc(sizeof(Oid) * Max(list_length(indexes), 1));
	place->infos = palloc0(sizeof(IndexInfo *) * Max(list_length(indexes), 1));
	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);
		bool tree = index->rd_rel->relam == BTREE_AM_OID;

		fits = fits && (tree || index->rd_rel->relam == BRIN_AM_OID) &&
			   index->rd_index->indisready && index->rd_index->indimmediate &&
			   !index->rd_index->indisexclusion &&
			   heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL) &&
			   (table->keys == 0 || RelationGetRelid(index) != place->primary ||
				primary_fits(table, place, index));
		place->infos[place->nindexes] = tree ? BuildIndexInfo(index) : NULL;
		place->indexes[place->nindexes++] = RelationGetRelid(index);
		index_close(index, NoLock);
	}
	list_free(indexes);
	return fits;
}

/* is_plain does the check of the kind of a table. */
static bool
is_plain(Relation rel, char kind, Oid owner)
{
	return rel->rd_rel->relkind == kind && rel->rd_rel->relowner == owner &&
		   !rel->rd_rel->relforcerowsecurity && !rel->rd_rel->relhasrules &&
		   rel->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT;
}

/* is_divided does the check that a table is divided by the column that the caller says. */
static bool
is_divided(const DsRowsTable *table, const DsRowsPlace *place, Relation rel)
{
	PartitionKey key = RelationGetPartitionKey(rel);
	int by = column_of(table, table->by);

	return key->partnatts == 1 && by >= 0 && key->partattrs[0] == place->attnos[by] &&
		   key->parttypid[0] == table->columns[by].type;
}

/* judge does the decision about a table or partition that is open and locked, in the context of its place. */
static void
judge(const DsRowsTable *table, DsRowsPlace *place, Relation rel, Oid owner)
{
	TupleDesc desc = RelationGetDescr(rel);

	place->relid = RelationGetRelid(rel);
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
	{
		/* triggers of statements fire where the table is named */
		place->plain = table->by != NULL && is_plain(rel, RELKIND_PARTITIONED_TABLE, owner) &&
					   columns_fit(table, place, desc) && is_divided(table, place, rel) &&
					   triggers_fit(table, place, rel) && place->ncaptures == 0;
		return;
	}
	place->plain = is_plain(rel, RELKIND_RELATION, owner) &&
				   rel->rd_rel->relam == HEAP_TABLE_AM_OID && columns_fit(table, place, desc) &&
				   triggers_fit(table, place, rel) && indexes_fit(table, place, rel);
	if (!place->plain)
		return;
	checks_fit(table, place, desc);
	place->estate = CreateExecutorState();
	place->result = makeNode(ResultRelInfo);
	InitResultRelInfo(place->result, rel, 0, NULL, 0);
	place->result->ri_NumIndices = place->nindexes;
}

/* keep does the remembering of a place, in the place of a stale one or, where there is no room, of any. */
static void
keep(DsRowsTable *table, DsRowsPlace *place)
{
	int i = 0;

	while (i < table->nplaces && !table->places[i]->stale)
		i++;
	if (i == DS_ROWS_MAX_PLACES)
		i = place->relid % DS_ROWS_MAX_PLACES;
	if (i < table->nplaces)
		MemoryContextSetParent(table->places[i]->context, attic);
	else
		table->nplaces++;
	MemoryContextSetParent(place->context, TopMemoryContext);
	table->places[i] = place;
}

/*
 * ds_place_of does the look-up of what is known of a table or partition that
 * is open and locked, whose table has this owner, and the judging where
 * nothing is known.
 */
DsRowsPlace *
ds_place_of(DsRowsTable *table, Relation rel, Oid owner)
{
	uint64 before = forgotten;
	DsRowsPlace *place;
	MemoryContext context;
	MemoryContext old;

	for (int i = 0; i < table->nplaces; i++)
	{
		table->places[i]->stale |= table->places[i]->asked;
		if (table->places[i]->relid == RelationGetRelid(rel) && !table->places[i]->stale)
			return table->places[i];
	}
	/* it belongs to the transaction until all went well */
	context = AllocSetContextCreate(attic, "distsync place", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	place = palloc0(sizeof(DsRowsPlace));
	place->context = context;
	judge(table, place, rel, owner);
	MemoryContextSwitchTo(old);
	/* what changed while we looked is looked at again the next time; our lock keeps this one right */
	if (before == forgotten && table->resolved)
		keep(table, place);
	return place;
}

/*
 * ds_place_open does the opening of a table that is named, for writing. NULL:
 * it is not there, or this session replays what happened elsewhere.
 */
Relation
ds_place_open(DsRowsTable *table)
{
	Relation rel;

	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA || !resolve(table))
		return NULL;
	rel = try_table_open(table->relid, RowExclusiveLock);
	/* forgotten while we waited for the lock: it may be another table by now */
	if (rel != NULL && !table->resolved)
	{
		table_close(rel, NoLock);
		return NULL;
	}
	return rel;
}
