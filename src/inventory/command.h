/*-------------------------------------------------------------------------
 *
 * command.h
 *		What every command about promises has: a key under which it is
 *		answered once, and an audit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_COMMAND_H
#define DS_INVENTORY_COMMAND_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"
#include "base/audit.h"

typedef struct DsCommand
{
	const char *verb;
	char *source; /* NULL = the user of the session, as every text here that was not said */
	char *key;
	char *reason;
	Datum request; /* what was asked, as the key remembers it */
	DsAudit audit;
} DsCommand;

extern bool ds_inventory_may_command(FunctionCallInfo fcinfo);
extern bool ds_inventory_answered(DsCommand *command);
extern void ds_inventory_audit(DsCommand *command, const char *entity_key, Datum after);
extern void ds_inventory_keep_answer(DsCommand *command, Datum answer);
extern bool ds_inventory_apart(bool (*work)(void *call), void *call);

#endif /* DS_INVENTORY_COMMAND_H */
