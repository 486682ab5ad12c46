/*-------------------------------------------------------------------------
 *
 * said.c
 *		Reading what the JSON of a call says.
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/said.h"

/* ds_inventory_said_members does the reading of an object member by member, until one is not read. */
bool
ds_inventory_said_members(JsonbContainer *said, DsSaidMember read, void *into)
{
	JsonbIterator *iterator = JsonbIteratorInit(said);
	JsonbIteratorToken token;
	JsonbValue value;
	char *name = NULL;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE && !read(into, name, &value))
			return false;
	}
	return true;
}

/* ds_inventory_said_flag does the reading of a truth value. */
bool
ds_inventory_said_flag(const JsonbValue *value, bool *flag)
{
	*flag = value->type == jbvBool && value->val.boolean;
	return value->type == jbvBool;
}
