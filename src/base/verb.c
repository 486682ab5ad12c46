/*-------------------------------------------------------------------------
 *
 * verb.c
 *		What verbs in C need to be verbs: their row type, and the functions
 *		behind them.
 *
 * Process: any backend. Locks: those of catalog look-ups. Memory: a row type
 * lives as long as the session, or as the call site.
 *
 *-------------------------------------------------------------------------
 */
#include "base/verb.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "base/compat.h"
#include "base/errors.h"

/* row types that are remembered; the others are looked up at each call site */
#define ROWS 8

/* A row type as it was copied: one that has changed since has another identifier. */
typedef struct Row
{
	Oid type;
	uint64 identifier;
	TupleDesc desc;
} Row;

/*
 * known_row does the look-up of a named row type. NULL: it is none. What is
 * copied stays: somebody may be forming a row of it.
 */
static TupleDesc
known_row(Oid type)
{
	static Row rows[ROWS];
	static int n = 0;
	TypeCacheEntry *entry = OidIsValid(type) ? lookup_type_cache(type, TYPECACHE_TUPDESC) : NULL;
	MemoryContext old;

	if (entry == NULL || entry->tupDesc == NULL || entry->typtype != TYPTYPE_COMPOSITE)
		return NULL;
	for (int i = 0; i < n; i++)
		if (rows[i].type == type && rows[i].identifier == entry->tupDesc_identifier)
			return rows[i].desc;
	if (n == ROWS)
		return NULL;
	old = MemoryContextSwitchTo(TopMemoryContext);
	rows[n] = (Row){type, entry->tupDesc_identifier, CreateTupleDescCopy(entry->tupDesc)};
	MemoryContextSwitchTo(old);
	return rows[n++].desc;
}

/* ds_verb_row does the look-up of the row type that a verb returns, once a call site, or once a session where it has a name. */
TupleDesc
ds_verb_row(FunctionCallInfo fcinfo, int columns)
{
	TupleDesc desc = fcinfo->flinfo->fn_extra;
	MemoryContext old;

	if (desc == NULL)
		desc = known_row(get_fn_expr_rettype(fcinfo->flinfo));
	if (desc != NULL && desc->natts == columns)
		return desc;
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != columns)
		ereport(ERROR, (errcode(DS_ERRCODE_VERSION_MISMATCH),
						errmsg("the row type of function %u is not what the library expects",
							   fcinfo->flinfo->fn_oid),
						errhint("Update the extension to the version of the library: ALTER "
								"EXTENSION distsync UPDATE.")));
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	desc = BlessTupleDesc(CreateTupleDescCopy(desc));
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = desc;
	return desc;
}

/*
 * ds_verb_behind does the look-up of a function behind the verbs. Who may
 * call a verb need not see the schema of what is behind it.
 */
Oid
ds_verb_behind(const char *name, const Oid *types, int n)
{
	Oid id = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
							 PointerGetDatum(buildoidvector(types, n)),
							 ObjectIdGetDatum(get_namespace_oid("distsync_internal", false)));

	if (!OidIsValid(id))
		ereport(ERROR, (errcode(DS_ERRCODE_VERSION_MISMATCH),
						errmsg("function distsync_internal.%s is missing", name),
						errhint("Update the extension to the version of the library: ALTER "
								"EXTENSION distsync UPDATE.")));
	return id;
}

/*
 * ds_verb_ask does the call of a function behind a verb with the verb's own
 * arguments; what it returns, a row or a set, is the verb's answer.
 */
Datum
ds_verb_ask(FunctionCallInfo fcinfo, const char *name, const Oid *types, int n)
{
	LOCAL_FCINFO(behind, FUNC_MAX_ARGS);
	FmgrInfo flinfo;
	Datum answer;
	int i;

	fmgr_info(ds_verb_behind(name, types, n), &flinfo);
	InitFunctionCallInfoData(*behind, &flinfo, n, fcinfo->fncollation, NULL, fcinfo->resultinfo);
	for (i = 0; i < n; i++)
		behind->args[i] = fcinfo->args[i];
	answer = FunctionCallInvoke(behind);
	fcinfo->isnull = behind->isnull;
	return answer;
}
