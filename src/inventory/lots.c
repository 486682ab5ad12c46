/*-------------------------------------------------------------------------
 *
 * lots.c
 *		What lots that expire and goods that wait do to the stock of a site, as
 *		distsync_internal.inventory_lots_ahead() says: that is one look at the
 *		balances of the site, and decisions in C do the rest.
 *
 * Process: any backend. Locks: those of the function. Memory: the caller's
 * context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/lots.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "utils/array.h"
#include "base/compat.h"
#include "base/verb.h"

/* the columns of inventory_lots_ahead */
enum
{
	L_RELEASED_AT = 1,
	L_RELEASED,
	L_KINDS,
	L_REFERENCES,
	L_EXPIRES_AT,
	L_RESTS,
	L_NAMES
};

/* take does the elements of an array of the row; none of them is null. Returns how many, 0 if the array is null. */
static int
take(HeapTupleHeader row, int column, Oid type, Datum **elements)
{
	bool fixed = type == TIMESTAMPTZOID;
	bool null;
	int n = 0;
	Datum array = GetAttributeByNum(row, column, &null);

	if (!null)
		deconstruct_array(DatumGetArrayTypeP(array), type, fixed ? sizeof(TimestampTz) : -1,
						  fixed && FLOAT8PASSBYVAL, fixed ? TYPALIGN_DOUBLE : TYPALIGN_INT,
						  elements, NULL, &n);
	return n;
}

/* ds_inventory_lots_ahead does the reading of what is released and what expires at a site. False: it has rules that say more about dates. */
bool
ds_inventory_lots_ahead(Datum item_id, Datum site_id, TimestampTz now, DsInventoryLots *lots)
{
	static const Oid types[] = {INT8OID, INT8OID, TIMESTAMPTZOID};
	LOCAL_FCINFO(call, lengthof(types));
	FmgrInfo flinfo;
	Datum answer;
	HeapTupleHeader row;

	fmgr_info(ds_verb_behind("inventory_lots_ahead", types, lengthof(types)), &flinfo);
	InitFunctionCallInfoData(*call, &flinfo, lengthof(types), InvalidOid, NULL, NULL);
	call->args[0].value = item_id;
	call->args[1].value = site_id;
	call->args[2].value = TimestampTzGetDatum(now);
	for (int i = 0; i < lengthof(types); i++)
		call->args[i].isnull = false;
	answer = FunctionCallInvoke(call);
	if (call->isnull)
		return false;
	row = DatumGetHeapTupleHeader(answer);
	lots->nreleases = take(row, L_RELEASED_AT, TIMESTAMPTZOID, &lots->released_at);
	take(row, L_RELEASED, NUMERICOID, &lots->released);
	take(row, L_KINDS, TEXTOID, &lots->kinds);
	take(row, L_REFERENCES, TEXTOID, &lots->references);
	lots->nexpiries = take(row, L_EXPIRES_AT, TIMESTAMPTZOID, &lots->expires_at);
	take(row, L_RESTS, NUMERICOID, &lots->rests);
	take(row, L_NAMES, TEXTOID, &lots->names);
	return true;
}
