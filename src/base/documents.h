/*-------------------------------------------------------------------------
 *
 * documents.h
 *		Where the door and the rooms of entities meet without SQL between:
 *		documents that were checked, and the rooms that can take them in C.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_DOCUMENTS_H
#define DS_BASE_DOCUMENTS_H

#include "postgres.h"

#include "funcapi.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* columns of distsync_internal.apply_result */
enum
{
	DS_RESULT_ORDINAL,
	DS_RESULT_OUTCOME,
	DS_RESULT_ENTITY_KEY,
	DS_RESULT_SQLSTATE,
	DS_RESULT_FIELD,
	DS_RESULT_MESSAGE,
	DS_RESULT_HINT,
	DS_RESULT_DETAIL,
	DS_RESULT_COUNT
};

typedef struct DsDocument
{
	int ordinal;
	JsonbContainer *body;
} DsDocument;

/* A call's documents of one entity, as a handler would get them, and where its answers go. */
typedef struct DsDocuments
{
	text *source;
	const char *system_kind; /* of the source, NULL = not a system */
	bool backfill;			 /* history: nobody is told what it means */
	bool collect;			 /* on_error collect: answer for what is wrong, do not raise */
	pg_uuid_t correlation_id;
	bool correlated; /* it has one */
	int64 codes;	 /* ds_codes_epoch() when the call began */
	int n;
	DsDocument *document;
	bool rejected;		   /* answer: a row says so; with on_error abort nothing else counts then */
	Tuplestorestate *rows; /* for a row of apply_result for each document, in order */
	TupleDesc desc;
} DsDocuments;

/* What takes documents: false = nothing was written, the handler in SQL has to take them. */
typedef bool (*DsDocumentsTake)(DsDocuments *documents);

typedef struct DsDocumentsTaker
{
	const char *entity;
	const char *handler; /* the function in SQL that does the same */
	DsDocumentsTake take;
	int number;
} DsDocumentsTaker;

extern void ds_documents_register(const char *entity, const char *handler, DsDocumentsTake take);
extern const DsDocumentsTaker *ds_documents_taker(const char *entity, int len);
extern void ds_documents_answer_to(FunctionCallInfo fcinfo, DsDocuments *documents);
extern void ds_documents_answer_not(FunctionCallInfo fcinfo, DsDocuments *documents);

#endif /* DS_BASE_DOCUMENTS_H */
