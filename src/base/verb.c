/*-------------------------------------------------------------------------
 *
 * verb.c
 *		What verbs in C need to be verbs: their row type, and the functions
 *		behind them.
 *
 * Process: any backend. Locks: those of catalog look-ups. Memory: the row type
 * lives as long as the call site.
 *
 *-------------------------------------------------------------------------
 */
#include "base/verb.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "base/compat.h"
#include "base/errors.h"

/* ds_verb_row does the look-up of the row type that a verb returns, once a call site. */
TupleDesc
ds_verb_row(FunctionCallInfo fcinfo, int columns)
{
	TupleDesc desc = fcinfo->flinfo->fn_extra;

	if (desc == NULL)
	{
		MemoryContext old;

		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
			desc->natts != columns)
			ereport(ERROR, (errcode(DS_ERRCODE_VERSION_MISMATCH),
							errmsg("the row type of function %u is not what the library expects",
								   fcinfo->flinfo->fn_oid),
							errhint("Update the extension to the version of the library: ALTER "
									"EXTENSION distsync UPDATE.")));
		old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		desc = BlessTupleDesc(CreateTupleDescCopy(desc));
		MemoryContextSwitchTo(old);
		fcinfo->flinfo->fn_extra = desc;
	}
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
