/*-------------------------------------------------------------------------
 *
 * documents.c
 *		The rooms that can take the documents of an entity in C, as they
 *		registered themselves when the library was loaded.
 *
 * Process: any backend. Locks: none. Memory: a static array; rows in a
 * tuplestore of the query.
 *
 *-------------------------------------------------------------------------
 */
#include "base/documents.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"
#include "base/errors.h"

#define MAX_TAKERS 8

static DsDocumentsTaker takers[MAX_TAKERS];
static int ntakers = 0;

/* ds_documents_register does the entering of a room, once a process. */
void
ds_documents_register(const char *entity, const char *handler, DsDocumentsTake take)
{
	Assert(ntakers < MAX_TAKERS);
	takers[ntakers].entity = entity;
	takers[ntakers].handler = handler;
	takers[ntakers].take = take;
	takers[ntakers].number = ntakers;
	ntakers++;
}

/* ds_documents_taker does the look-up of who takes an entity; NULL: nobody does in C. */
const DsDocumentsTaker *
ds_documents_taker(const char *entity, int len)
{
	for (int i = 0; i < ntakers; i++)
		if (strlen(takers[i].entity) == len && memcmp(takers[i].entity, entity, len) == 0)
			return &takers[i];
	return NULL;
}

/*
 * ds_documents_answer_to does the place for the answers of a function that
 * returns a set of apply_result.
 */
void
ds_documents_answer_to(FunctionCallInfo fcinfo, DsDocuments *documents)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	TupleDesc desc;
	MemoryContext old;

	if (info == NULL || !IsA(info, ReturnSetInfo) || (info->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("function that returns rows was called where none are expected")));
	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	/* what is expected is what is declared where somebody expects something, and that is at hand */
	if (info->expectedDesc != NULL && info->expectedDesc->natts == DS_RESULT_COUNT &&
		info->expectedDesc->tdtypeid != RECORDOID)
		desc = CreateTupleDescCopy(info->expectedDesc);
	else if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
			 desc->natts != DS_RESULT_COUNT)
		ereport(ERROR, (errcode(DS_ERRCODE_VERSION_MISMATCH),
						errmsg("the row type of function %u is not what the library expects",
							   fcinfo->flinfo->fn_oid),
						errhint("Update the extension to the version of the library: ALTER "
								"EXTENSION distsync UPDATE.")));
	documents->desc = desc;
	documents->rows =
		tuplestore_begin_heap((info->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
	MemoryContextSwitchTo(old);
	info->returnMode = SFRM_Materialize;
	info->setResult = documents->rows;
	info->setDesc = desc;
}

/* ds_documents_answer_not does the end of that place, where somebody else answers after all. */
void
ds_documents_answer_not(FunctionCallInfo fcinfo, DsDocuments *documents)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_end(documents->rows);
	FreeTupleDesc(documents->desc);
	documents->rows = NULL;
	documents->desc = NULL;
	info->returnMode = SFRM_ValuePerCall;
	info->setResult = NULL;
	info->setDesc = NULL;
}
