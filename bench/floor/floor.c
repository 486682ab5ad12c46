/*-------------------------------------------------------------------------
 *
 * floor.c
 *		The floor of a benchmark: C functions that return the row of a verb
 *		without deciding anything. Nothing in SQL can be cheaper.
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(floor_row);

/*
 * floor_row does the return of one row of the declared type, every text the
 * same word and everything else NULL, because a driver must still read it.
 */
Datum
floor_row(PG_FUNCTION_ARGS)
{
	TupleDesc desc;
	Datum *values;
	bool *nulls;
	int i;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("row type needed")));
	desc = BlessTupleDesc(desc);
	values = palloc0(sizeof(Datum) * desc->natts);
	nulls = palloc0(sizeof(bool) * desc->natts);
	for (i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->atttypid == 25)
			values[i] = CStringGetTextDatum("priced");
		else
			nulls[i] = true;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
