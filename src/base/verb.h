/*-------------------------------------------------------------------------
 *
 * verb.h
 *		What verbs in C need to be verbs: their row type, and the functions
 *		behind them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_VERB_H
#define DS_BASE_VERB_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "fmgr.h"

extern TupleDesc ds_verb_row(FunctionCallInfo fcinfo, int columns);
extern Oid ds_verb_behind(const char *name, const Oid *types, int n);
extern Datum ds_verb_ask(FunctionCallInfo fcinfo, const char *name, const Oid *types, int n);

#endif /* DS_BASE_VERB_H */
