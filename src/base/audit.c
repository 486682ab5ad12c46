/*-------------------------------------------------------------------------
 *
 * audit.c
 *		The row that says who did what: what base_audit() does, without a
 *		statement.
 *
 * Process: any backend. Locks: RowExclusiveLock on the audit. Memory: the
 * context in which it is opened.
 *
 *-------------------------------------------------------------------------
 */
#include "base/audit.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/number.h"

enum
{
	A_ID,
	A_AT,
	A_ROLE,
	A_APP_USER,
	A_VERB,
	A_ENTITY,
	A_ENTITY_KEY,
	A_BEFORE,
	A_AFTER,
	A_REASON,
	A_CORRELATION,
	A_COUNT
};

static DsRowsTable audit_rows = {
	.schema = "sync",
	.name = "audit",
	.adds = true,
	.by = "at",
	.columns = {{"audit_id", INT8OID},
				{"at", TIMESTAMPTZOID},
				{"role", TEXTOID},
				{"app_user", TEXTOID},
				{"verb", TEXTOID},
				{"entity", TEXTOID},
				{"entity_key", TEXTOID},
				{"before", JSONBOID},
				{"after", JSONBOID},
				{"reason", TEXTOID},
				{"correlation_id", UUIDOID}},
};

/* ds_audit_open does the opening of the audit, and of a partition of now. False: SQL has to write it. */
bool
ds_audit_open(DsAudit *audit)
{
	audit->began = GetCurrentTimestamp();
	audit->rows = ds_rows_parts_open(&audit_rows);
	return audit->rows != NULL &&
		   ds_rows_parts_writer(audit->rows, TimestampTzGetDatum(audit->began)) != NULL;
}

/* ds_audit_close does the end of that. */
void
ds_audit_close(DsAudit *audit)
{
	if (audit->rows != NULL)
		ds_rows_parts_close(audit->rows);
	audit->rows = NULL;
}

/* text_or_null does a text column. */
static void
text_or_null(const char *value, Datum *datum, bool *isnull)
{
	*isnull = value == NULL;
	if (value != NULL)
		*datum = CStringGetTextDatum(value);
}

/* ds_audit_write does the row. */
void
ds_audit_write(DsAudit *audit, const DsAudited *what)
{
	Datum values[A_COUNT] = {0};
	bool nulls[A_COUNT] = {false};
	DsRows *w;

	values[A_ID] = Int64GetDatum(ds_next_number("sync", "audit_audit_id_seq"));
	/* the partition of this moment, or the one that was open before we waited */
	values[A_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	w = ds_rows_parts_writer(audit->rows, values[A_AT]);
	if (w == NULL)
	{
		values[A_AT] = TimestampTzGetDatum(audit->began);
		w = ds_rows_parts_writer(audit->rows, values[A_AT]);
	}
	values[A_ROLE] = CStringGetTextDatum(GetUserNameFromId(GetSessionUserId(), false));
	text_or_null(ds_guc_app_user, &values[A_APP_USER], &nulls[A_APP_USER]);
	values[A_VERB] = CStringGetTextDatum(what->verb);
	text_or_null(what->entity, &values[A_ENTITY], &nulls[A_ENTITY]);
	text_or_null(what->entity_key, &values[A_ENTITY_KEY], &nulls[A_ENTITY_KEY]);
	values[A_AFTER] = what->after;
	nulls[A_AFTER] = what->after == 0;
	text_or_null(what->reason, &values[A_REASON], &nulls[A_REASON]);
	values[A_CORRELATION] = what->correlation;
	nulls[A_CORRELATION] = what->correlation == 0;
	nulls[A_BEFORE] = true;
	ds_rows_add(w, values, nulls);
	ds_rows_flush(w);
}
