/*-------------------------------------------------------------------------
 *
 * reader.c
 *		Rows of a table by the leading columns of one of its indexes, as the
 *		caller's snapshot sees them.
 *
 * Directly: an index scan without planner and executor, about a microsecond.
 * That needs a plain local heap table without row security, and the expected
 * valid btree index over the expected columns; anything else (a distributed
 * or partitioned table, an index that was dropped) goes through a prepared
 * statement with the same keys. Columns are found by name, so that a user may
 * add some. The table's privileges are not asked: the functions that read
 * through here are what a role is granted, as with SECURITY DEFINER; the
 * statement runs as the owner of the table, with a pinned search_path.
 *
 * Process: any backend. Locks: AccessShareLock on table and index, kept until
 * the end of the transaction. Memory: the reader in the context that is
 * current when it is opened; plans in the SPI cache context.
 *
 *-------------------------------------------------------------------------
 */
#include "base/reader.h"

#include "access/heapam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/guc.h"
#include "base/hint.h"

/* so often a table is looked up that changes all the time: then SQL reads it */
#define MAX_LOOKS 4

/* every table that was resolved, so that an invalidation can reach it */
static DsTable **known_tables = NULL;
static int known_count = 0;
static int known_room = 0;
static uint64 forgotten = 0; /* how often one of them was */

/* table_changed does the forgetting of what we know of a relation that changed; it only sets flags. */
static void
table_changed(Datum arg, Oid relid)
{
	int i;

	for (i = 0; i < known_count; i++)
	{
		if (!OidIsValid(relid) || known_tables[i]->relid == relid ||
			known_tables[i]->indexid == relid)
		{
			known_tables[i]->resolved = false;
			forgotten++;
		}
	}
}

/* remember_table does the entering of a table into the list above, once. */
static void
remember_table(DsTable *table)
{
	int i;

	for (i = 0; i < known_count; i++)
	{
		if (known_tables[i] == table)
			return;
	}
	if (known_tables == NULL)
	{
		known_room = 32;
		known_tables = MemoryContextAlloc(TopMemoryContext, known_room * sizeof(DsTable *));
		CacheRegisterRelcacheCallback(table_changed, (Datum) 0);
	}
	else if (known_count == known_room)
	{
		known_room *= 2;
		known_tables = repalloc(known_tables, known_room * sizeof(DsTable *));
	}
	known_tables[known_count++] = table;
}

/* schema_of does the schema of a table. */
static const char *
schema_of(const DsTable *table)
{
	return table->schema != NULL ? table->schema : "dist";
}

/* find_relation does the look-up of a relation of ours, or the error that setup() is missing. */
static Oid
find_relation(const char *schema, const char *name)
{
	Oid namespace = get_namespace_oid(schema, true);
	Oid relid = OidIsValid(namespace) ? get_relname_relid(name, namespace) : InvalidOid;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(DS_ERRCODE_NOT_SET_UP), errmsg("table %s.%s does not exist", schema, name),
				 errdetail("The tables of distsync are not there, or not all of them."),
				 errhint("Call distsync.setup().")));
	return relid;
}

/* ds_dist_relid does the same for a relation of schema dist. */
Oid
ds_dist_relid(const char *name)
{
	return find_relation("dist", name);
}

/* find_columns does the look-up of the wanted columns by name. */
static void
find_columns(DsTable *table)
{
	table->last = 0;
	for (table->ncolumns = 0; table->columns[table->ncolumns] != NULL; table->ncolumns++)
	{
		AttrNumber attno = get_attnum(table->relid, table->columns[table->ncolumns]);

		if (attno == InvalidAttrNumber)
			ereport(ERROR, (errcode(DS_ERRCODE_NOT_SET_UP),
							errmsg("column %s.%s.%s does not exist", schema_of(table), table->name,
								   table->columns[table->ncolumns]),
							errdetail("The tables are of another version than the library."),
							errhint("Call distsync.setup().")));
		table->attnos[table->ncolumns] = attno;
		table->last = Max(table->last, attno);
	}
	for (table->nkeys = 0; table->keys[table->nkeys] != NULL; table->nkeys++)
	{
		AttrNumber attno = get_attnum(table->relid, table->keys[table->nkeys]);

		table->keyattnos[table->nkeys] = attno;
		table->keytypes[table->nkeys] = get_atttype(table->relid, attno);
	}
}

/* index_fits does the check that an index is the one that a direct scan needs. */
static bool
index_fits(DsTable *table, Relation index)
{
	int i;

	if (index->rd_rel->relam != BTREE_AM_OID || !index->rd_index->indisvalid ||
		!index->rd_index->indisready || index->rd_index->indnkeyatts < table->nkeys)
		return false;
	for (i = 0; i < table->nkeys; i++)
	{
		AttrNumber attno = index->rd_index->indkey.values[i];
		char *name = attno > 0 ? get_attname(table->relid, attno, true) : NULL;
		Oid opfamily = index->rd_opfamily[i];
		Oid intype = index->rd_opcintype[i];
		Oid equal = get_opfamily_member(opfamily, intype, intype, BTEqualStrategyNumber);
		Oid at_most = get_opfamily_member(opfamily, intype, intype, BTLessEqualStrategyNumber);
		Oid above = get_opfamily_member(opfamily, intype, intype, BTGreaterStrategyNumber);

		if (name == NULL || strcmp(name, table->keys[i]) != 0 || !OidIsValid(equal) ||
			!OidIsValid(at_most) || !OidIsValid(above) ||
			(index->rd_indoption[i] & INDOPTION_DESC) != 0)
			return false;
		table->equal[i] = get_opcode(equal);
		table->at_most[i] = get_opcode(at_most);
		table->above[i] = get_opcode(above);
		table->collations[i] = index->rd_indcollation[i];
	}
	table->unique = index->rd_index->indisunique && index->rd_index->indimmediate &&
					index->rd_index->indnkeyatts == table->nkeys &&
					heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);
	return true;
}

/* may_go_direct does the decision about a table that is open, and finds the index. */
static bool
may_go_direct(DsTable *table, Relation relation)
{
	bool fits = relation->rd_rel->relkind == RELKIND_RELATION &&
				relation->rd_rel->relam == HEAP_TABLE_AM_OID &&
				!relation->rd_rel->relforcerowsecurity && !relation->rd_rel->relispartition &&
				relation->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT;

	table->indexid = InvalidOid;
	if (fits)
	{
		table->indexid =
			get_relname_relid(table->index, get_namespace_oid(schema_of(table), false));
		fits = OidIsValid(table->indexid);
	}
	if (fits)
	{
		Relation index = relation_open(table->indexid, AccessShareLock);

		fits = index->rd_rel->relkind == RELKIND_INDEX &&
			   index->rd_index->indrelid == table->relid && index_fits(table, index);
		relation_close(index, NoLock);
	}
	return fits;
}

/*
 * resolve does one look-up of everything by name. The table is locked first:
 * what is looked up then stays, unless somebody renamed it while we waited.
 * What is forgotten meanwhile is not resolved.
 */
static void
resolve(DsTable *table)
{
	Relation relation;
	uint64 before;

	table->indexid = InvalidOid;
	table->relid = find_relation(schema_of(table), table->name);
	relation = try_table_open(table->relid, AccessShareLock);
	if (relation == NULL)
		return;
	before = forgotten;
	find_columns(table);
	table->direct = may_go_direct(table, relation);
	table->resolved =
		find_relation(schema_of(table), table->name) == table->relid && before == forgotten;
	table_close(relation, NoLock);
}

/* ds_table_resolve does the look-up of everything by name, where something changed. Returns whether it may be read directly. */
bool
ds_table_resolve(DsTable *table)
{
	if (!table->resolved)
	{
		remember_table(table);
		if (table->plan != NULL)
		{
			SPI_freeplan(table->plan);
			table->plan = NULL;
		}
		for (int look = 0; look < MAX_LOOKS && !table->resolved; look++)
			resolve(table);
	}
	return table->resolved && table->direct && !ds_guc_price_through_sql;
}

/* open_resolved does the opening of a table that may be read directly; NULL: SQL has to read it. */
static Relation
open_resolved(DsTable *table)
{
	for (int look = 0; look < MAX_LOOKS && ds_table_resolve(table); look++)
	{
		Relation relation = try_table_open(table->relid, AccessShareLock);

		/* what was forgotten while we waited for the lock is looked up again */
		if (relation != NULL && table->resolved)
			return relation;
		if (relation != NULL)
			table_close(relation, NoLock);
	}
	return NULL;
}

/* ds_reader_open does the start: a reader may be sought any number of times. */
DsReader *
ds_reader_open(DsTable *table)
{
	DsReader *reader = palloc0(sizeof(DsReader));

	reader->table = table;
	reader->context = CurrentMemoryContext;
	reader->snapshot = GetActiveSnapshot();
	reader->relation = open_resolved(table);
	return reader;
}

/* ds_reader_need_slot does the making of the slot that rows are read into, when the first one is; it lives as long as the reader. */
void
ds_reader_need_slot(DsReader *reader)
{
	MemoryContext old = MemoryContextSwitchTo(reader->context);

	if (reader->slot == NULL)
		reader->slot = table_slot_create(reader->relation, NULL);
	MemoryContextSwitchTo(old);
}

/* prepare_statement does the making of the statement that reads what the index scan would. */
static void
prepare_statement(DsTable *table, DsWalk walk, int nkeys)
{
	static const char *const operators[] = {"=", "<=", ">"};
	StringInfoData sql;
	SPIPlanPtr plan;
	int i;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (i = 0; i < table->ncolumns; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", quote_identifier(table->columns[i]));
	appendStringInfo(&sql, " FROM %s.%s WHERE true", schema_of(table),
					 quote_identifier(table->name));
	for (i = 0; i < nkeys; i++)
		appendStringInfo(&sql, " AND %s OPERATOR(pg_catalog.%s) $%d",
						 quote_identifier(table->keys[i]),
						 operators[i == nkeys - 1 ? walk : DS_WALK_EQUAL], i + 1);
	if (table->where != NULL)
		appendStringInfo(&sql, " AND %s", table->where);
	/* in the order of the index, or backwards */
	for (i = 0; i < table->nkeys; i++)
		appendStringInfo(&sql, "%s%s%s", i > 0 ? ", " : " ORDER BY ",
						 quote_identifier(table->keys[i]), walk == DS_WALK_BACK ? " DESC" : "");
	plan = SPI_prepare(sql.data, nkeys, table->keytypes);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not prepare \"%s\"", sql.data)));
	table->plan = plan;
	table->plan_walk = walk;
}

/* seek_through_sql does the reading of all rows through SPI, as the owner of the table. */
static void
seek_through_sql(DsReader *reader, const Datum *keys, int nkeys)
{
	DsTable *table = reader->table;
	MemoryContext old = CurrentMemoryContext;
	Oid user;
	int context;
	int nest;
	uint64 i;
	Datum values[DS_TABLE_MAX_KEYS];

	memcpy(values, keys, sizeof(Datum) * nkeys);
	GetUserIdAndSecContext(&user, &context);
	nest = NewGUCNestLevel();
	set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_SAVE, true, 0, false);
	SetUserIdAndSecContext(get_rel_relkind(table->relid) != '\0'
							   ? DatumGetObjectId(GetSysCacheOid1(RELOID, Anum_pg_class_relowner,
																  ObjectIdGetDatum(table->relid)))
							   : user,
						   context | SECURITY_LOCAL_USERID_CHANGE);
	if (SPI_connect() != SPI_OK_CONNECT)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not connect to SPI")));
	/* a full scan, a look-up and a walk are statements of their own; only the last one is kept */
	if (table->plan != NULL &&
		(SPI_getargcount(table->plan) != nkeys || table->plan_walk != reader->walk))
	{
		SPI_freeplan(table->plan);
		table->plan = NULL;
	}
	if (table->plan == NULL)
		prepare_statement(table, reader->walk, nkeys);
	if (SPI_execute_snapshot(table->plan, values, NULL, reader->snapshot, InvalidSnapshot, true,
							 false, 0) != SPI_OK_SELECT)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not read %s.%s", schema_of(table), table->name)));
	MemoryContextSwitchTo(reader->context);
	reader->nrows = SPI_processed;
	reader->next = 0;
	reader->desc = CreateTupleDescCopy(SPI_tuptable->tupdesc);
	reader->rows = palloc_extended(sizeof(HeapTuple) * Max(reader->nrows, 1), MCXT_ALLOC_HUGE);
	for (i = 0; i < reader->nrows; i++)
		reader->rows[i] = heap_copytuple(SPI_tuptable->vals[i]);
	SPI_finish();
	MemoryContextSwitchTo(old);
	SetUserIdAndSecContext(user, context);
	AtEOXact_GUC(false, nest);
}

/* strategy_of does the choice of how the last key is compared. */
static StrategyNumber
strategy_of(DsWalk walk)
{
	return walk == DS_WALK_EQUAL  ? BTEqualStrategyNumber
		   : walk == DS_WALK_BACK ? BTLessEqualStrategyNumber
								  : BTGreaterStrategyNumber;
}

/*
 * ds_reader_walk does the positioning before the first row with these values
 * of the first nkeys key columns (0 = all rows); the last one of them is a
 * bound where the walk is not for equal ones.
 */
void
ds_reader_walk(DsReader *reader, DsWalk walk, const Datum *keys, int nkeys)
{
	DsTable *table = reader->table;
	ScanKeyData scankeys[DS_TABLE_MAX_KEYS];
	MemoryContext old;
	int i;

	Assert(nkeys <= table->nkeys);
	reader->walk = walk;
	if (reader->relation == NULL)
	{
		seek_through_sql(reader, keys, nkeys);
		return;
	}
	for (i = 0; i < nkeys; i++)
	{
		DsWalk one = i == nkeys - 1 ? walk : DS_WALK_EQUAL;

		ScanKeyEntryInitialize(&scankeys[i], 0, i + 1, strategy_of(one), InvalidOid,
							   table->collations[i],
							   one == DS_WALK_EQUAL	 ? table->equal[i]
							   : one == DS_WALK_BACK ? table->at_most[i]
													 : table->above[i],
							   keys[i]);
	}
	if (reader->scan != NULL && reader->scan->numberOfKeys != nkeys)
	{
		index_endscan(reader->scan);
		reader->scan = NULL;
	}
	ds_reader_need_slot(reader);
	old = MemoryContextSwitchTo(reader->context);
	/* whoever finds its rows by their place needs no index; the lock on the table keeps it from being dropped meanwhile */
	if (reader->index == NULL)
		reader->index = index_open(table->indexid, AccessShareLock);
	if (reader->scan == NULL)
		reader->scan =
			ds_compat_index_beginscan(reader->relation, reader->index, reader->snapshot, nkeys);
	index_rescan(reader->scan, scankeys, nkeys, NULL, 0);
	MemoryContextSwitchTo(old);
}

/* ds_reader_seek does the same for equal keys. */
void
ds_reader_seek(DsReader *reader, const Datum *keys, int nkeys)
{
	ds_reader_walk(reader, DS_WALK_EQUAL, keys, nkeys);
}

/* ds_reader_take_row does the splitting of the current row into the wanted columns. */
void
ds_reader_take_row(DsReader *reader)
{
	DsTable *table = reader->table;
	int i;

	slot_getsomeattrs(reader->slot, table->last);
	for (i = 0; i < table->ncolumns; i++)
	{
		reader->values[i] = reader->slot->tts_values[table->attnos[i] - 1];
		reader->nulls[i] = reader->slot->tts_isnull[table->attnos[i] - 1];
	}
}

/*
 * ds_reader_next does the step to the next row; its columns are valid until
 * the next step. False: there is none. The scan allocates as it goes, for dead
 * rows for example: that must live as long as the reader, whatever context its
 * caller is in.
 */
bool
ds_reader_next(DsReader *reader)
{
	int i;

	if (reader->relation != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(reader->context);
		bool found = index_getnext_slot(reader->scan,
										reader->walk == DS_WALK_BACK ? BackwardScanDirection
																	 : ForwardScanDirection,
										reader->slot);

		MemoryContextSwitchTo(old);
		if (found)
			ds_reader_take_row(reader);
		return found;
	}
	if (reader->next >= reader->nrows)
		return false;
	for (i = 0; i < reader->table->ncolumns; i++)
		reader->values[i] =
			heap_getattr(reader->rows[reader->next], i + 1, reader->desc, &reader->nulls[i]);
	reader->next++;
	return true;
}

/*
 * ds_reader_next_tid does the same for a caller that wants to find the row
 * again: tid is where the index points, the root of its chain. Only for a
 * direct reader.
 */
bool
ds_reader_next_tid(DsReader *reader, ItemPointer tid)
{
	MemoryContext old = MemoryContextSwitchTo(reader->context);
	ItemPointer found;

	Assert(reader->relation != NULL);
	while ((found = index_getnext_tid(reader->scan, ForwardScanDirection)) != NULL)
	{
		*tid = *found;
		if (index_fetch_heap(reader->scan, reader->slot))
			break;
	}
	MemoryContextSwitchTo(old);
	if (found != NULL)
		ds_reader_take_row(reader);
	return found != NULL;
}

/*
 * ds_reader_at does the reading of the row at a remembered place, in the place
 * of a look-up: false = no row that the snapshot sees is there. Another one
 * may be: the caller compares its columns. Only for a direct reader.
 */
bool
ds_reader_at(DsReader *reader, ItemPointer tid)
{
	Assert(reader->relation != NULL);
	ds_reader_need_slot(reader);
	if (ItemPointerGetBlockNumber(tid) >= ds_hint_blocks(reader->relation) ||
		!table_tuple_fetch_row_version(reader->relation, tid, reader->snapshot, reader->slot))
		return false;
	ds_reader_take_row(reader);
	return true;
}

/* ds_reader_text_is does the comparison of a text column, which is not null, with a word. */
bool
ds_reader_text_is(const DsReader *reader, int column, const char *word)
{
	text *t = DatumGetTextPP(reader->values[column]);

	return VARSIZE_ANY_EXHDR(t) == strlen(word) && memcmp(VARDATA_ANY(t), word, strlen(word)) == 0;
}

/* ds_reader_close does the end; locks stay until the transaction ends. */
void
ds_reader_close(DsReader *reader)
{
	if (reader->scan != NULL)
		index_endscan(reader->scan);
	if (reader->slot != NULL)
		ExecDropSingleTupleTableSlot(reader->slot);
	if (reader->index != NULL)
		index_close(reader->index, NoLock);
	if (reader->relation != NULL)
		table_close(reader->relation, NoLock);
	pfree(reader);
}
