/*-------------------------------------------------------------------------
 *
 * number.c
 *		Names of new rows: numbers of a sequence, random UUIDs.
 *
 * Process: any backend. Locks: those of a sequence. Memory: a UUID is in the
 * current context.
 *
 *-------------------------------------------------------------------------
 */
#include "base/number.h"

#include "catalog/namespace.h"
#include "commands/sequence.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"
#include "base/compat.h"

/* ds_next_number does the next number of a sequence. */
int64
ds_next_number(const char *schema, const char *name)
{
	Oid sequence = get_relname_relid(name, get_namespace_oid(schema, false));

	if (!OidIsValid(sequence))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("sequence %s.%s does not exist", schema, name),
						errhint("Call distsync.setup().")));
	/* whoever may call the verb may have a number */
	return nextval_internal(sequence, false);
}

/*
 * ds_new_uuid does a random UUID, of version 4. Randomness is drawn for many
 * at once: one by one it costs as much as a look-up.
 */
Datum
ds_new_uuid(void)
{
	static unsigned char drawn[64 * UUID_LEN];
	static int left = 0;
	pg_uuid_t *uuid = palloc_object(pg_uuid_t);

	if (left == 0)
	{
		if (!pg_strong_random(drawn, sizeof(drawn)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
		left = sizeof(drawn) / UUID_LEN;
	}
	memcpy(uuid->data, drawn + --left * UUID_LEN, UUID_LEN);
	uuid->data[6] = (uuid->data[6] & 0x0f) | 0x40;
	uuid->data[8] = (uuid->data[8] & 0x3f) | 0x80;
	return UUIDPGetDatum(uuid);
}
