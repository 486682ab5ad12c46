/*-------------------------------------------------------------------------
 *
 * answered.h
 *		The first answer of a command under its key, without statements.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_ANSWERED_H
#define DS_BASE_ANSWERED_H

#include "postgres.h"

#include "common/sha2.h"
#include "utils/jsonb.h"
#include "base/rows.h"

/* A key, and what it was used for. */
typedef struct DsAnswered
{
	const char *source;
	const char *verb;
	const char *key;
	Jsonb *request;
	DsRowsParts *rows;
	DsRows *part; /* the partition of the key */
	Datum keys[3];
} DsAnswered;

extern bool ds_answered_open(DsAnswered *call);
extern bool ds_answered_free(DsAnswered *call);
extern void ds_answered_keep(DsAnswered *call, Datum answer);
extern void ds_answered_close(DsAnswered *call);

#endif /* DS_BASE_ANSWERED_H */
