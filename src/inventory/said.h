/*-------------------------------------------------------------------------
 *
 * said.h
 *		Reading what the JSON of a call says.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_SAID_H
#define DS_INVENTORY_SAID_H

#include "postgres.h"

#include "utils/jsonb.h"

/* Reads one member of an object. False: it is not for the short way. */
typedef bool (*DsSaidMember)(void *into, const char *name, const JsonbValue *value);

extern bool ds_inventory_said_members(JsonbContainer *said, DsSaidMember read, void *into);
extern bool ds_inventory_said_flag(const JsonbValue *value, bool *flag);

#endif /* DS_INVENTORY_SAID_H */
