/*-------------------------------------------------------------------------
 *
 * audit.h
 *		The row that says who did what, without a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_AUDIT_H
#define DS_BASE_AUDIT_H

#include "postgres.h"

#include "utils/timestamp.h"
#include "base/rows.h"

/* What a command did; NULL or 0 = nothing to say. */
typedef struct DsAudited
{
	const char *verb;
	const char *entity;
	const char *entity_key;
	Datum after; /* jsonb */
	const char *reason;
	Datum correlation; /* uuid */
} DsAudited;

/* The audit, open for writing. */
typedef struct DsAudit
{
	DsRowsParts *rows;
	TimestampTz began; /* a partition of this instant is open */
} DsAudit;

extern bool ds_audit_open(DsAudit *audit);
extern void ds_audit_close(DsAudit *audit);
extern void ds_audit_write(DsAudit *audit, const DsAudited *what);

#endif /* DS_BASE_AUDIT_H */
