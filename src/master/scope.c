/*-------------------------------------------------------------------------
 *
 * scope.c
 *		Whose customers' business the caller may see.
 *
 * A member of distsync_portal, as session user or as the role he has set, is
 * restricted: he may name customers that a row of sync.scope gives to a role
 * of his, or that the token names that he showed in this transaction, and all
 * parties below them. Nothing that he can set says who he is: neither a
 * setting nor the rights of the function that calls us count, only his roles
 * and signatures. What he may not see does not exist for him: both are the
 * same error.
 *
 * Process: any backend. A parallel worker knows the roles, but no token.
 * Locks: AccessShareLock on what is read. Memory: none that outlives a call
 * but the customers of the token, in static memory, until the transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#include "master/scope.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rangetypes.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/export.h"
#include "base/reader.h"

DS_FUNCTION_INFO_V1(ds_sql_master_restricted);
DS_FUNCTION_INFO_V1(ds_sql_master_scope_take);
DS_FUNCTION_INFO_V1(ds_sql_master_scope_token);
DS_FUNCTION_INFO_V1(ds_sql_master_scope_has);
DS_FUNCTION_INFO_V1(ds_sql_master_scope_check);
DS_FUNCTION_INFO_V1(ds_sql_master_scope_role);

/* parties above a party that are looked at: more than any tree has */
#define MAX_ABOVE 64

enum
{
	S_ROLE,
	S_VALID
};

static DsTable scope_table = {
	.name = "scope",
	.schema = "sync",
	.index = "scope_pk",
	.keys = {"customer_id"},
	.columns = {"role_name", "valid"},
};

static DsTable party_table = {
	.name = "party",
	.index = "party_pk",
	.keys = {"party_id"},
	.columns = {"parent_id"},
};

/* what the token of this transaction says */
static struct
{
	int ncustomers; /* 0 = none was shown */
	int64 customers[DS_SCOPE_MAX_CUSTOMERS];
	TimestampTz until;
} token;

/* the last answer to "is he restricted", as long as nobody's memberships change */
static struct
{
	bool known;
	Oid session;
	Oid role;
	bool restricted;
} caller;

/* roles_changed does the forgetting of who the caller is. */
static void
roles_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	caller.known = false;
}

/* forget_token does the end of a token, with the transaction in which it was shown. */
static void
forget_token(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		token.ncustomers = 0;
}

/* start does what has to be done once in a backend. */
static void
start(void)
{
	static bool started = false;

	if (started)
		return;
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, roles_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, roles_changed, (Datum) 0);
	RegisterXactCallback(forget_token, NULL);
	started = true;
}

/*
 * ds_master_restricted does the question whether the caller is restricted to
 * some customers. What he was when he connected counts as much as what he has
 * made himself since; the owner of a function that calls us does not.
 */
bool
ds_master_restricted(void)
{
	Oid session = GetSessionUserId();
	Oid role = GetOuterUserId();
	Oid portal;

	if (caller.known && caller.session == session && caller.role == role)
		return caller.restricted;
	start();
	portal = get_role_oid("distsync_portal", true);
	caller.restricted = OidIsValid(portal) && (is_member_of_role_nosuper(session, portal) ||
											   is_member_of_role_nosuper(role, portal));
	caller.session = session;
	caller.role = role;
	caller.known = true;
	return caller.restricted;
}

/* by_token does the question whether the token names a party. */
static bool
by_token(int64 party_id)
{
	for (int i = 0; i < token.ncustomers; i++)
		if (token.customers[i] == party_id)
			return true;
	return false;
}

/* is_valid does the question whether an instant is in a range. */
static bool
is_valid(Datum range, TimestampTz at)
{
	RangeType *valid = DatumGetRangeTypeP(range);
	TypeCacheEntry *type = lookup_type_cache(RangeTypeGetOid(valid), TYPECACHE_RANGE_INFO);

	return range_contains_elem_internal(type, valid, TimestampTzGetDatum(at));
}

/* by_role does the question whether a row gives a party to a role of the caller. */
static bool
by_role(DsReader *reader, int64 party_id, TimestampTz now)
{
	Datum key = Int64GetDatum(party_id);
	bool found = false;

	ds_reader_seek(reader, &key, 1);
	while (!found && ds_reader_next(reader))
	{
		Oid role = get_role_oid(TextDatumGetCString(reader->values[S_ROLE]), true);

		found = OidIsValid(role) && is_member_of_role_nosuper(GetOuterUserId(), role) &&
				is_valid(reader->values[S_VALID], now);
	}
	return found;
}

/* expect_live does the error about a token that has ended since it was shown. */
static void
expect_live(TimestampTz now)
{
	if (token.ncustomers > 0 && token.until <= now)
		ereport(ERROR, (errcode(DS_ERRCODE_TOKEN_REFUSED), errmsg("the token has expired"),
						errdetail("Field: token. Reason: expired."),
						errhint("Begin a new transaction with a fresh token.")));
}

/* has does the question whether a restricted caller's scope has a party: itself, or one above it. */
static bool
has(int64 party_id)
{
	TimestampTz now = GetCurrentTimestamp();
	DsReader *scopes = token.ncustomers > 0 ? NULL : ds_reader_open(&scope_table);
	DsReader *parties = ds_reader_open(&party_table);
	bool found = false;

	expect_live(now);
	for (int n = 0; n < MAX_ABOVE && !found; n++)
	{
		Datum key = Int64GetDatum(party_id);

		found = scopes == NULL ? by_token(party_id) : by_role(scopes, party_id, now);
		if (found || !ds_reader_find(parties, &key) || parties->nulls[0])
			break;
		party_id = DatumGetInt64(parties->values[0]);
	}
	ds_reader_close(parties);
	if (scopes != NULL)
		ds_reader_close(scopes);
	return found;
}

/*
 * ds_master_scope_check does the refusing of a party that a restricted caller
 * names and may not see. Party 0 is one that does not exist.
 */
void
ds_master_scope_check(int64 party_id, const char *code, const char *field)
{
	if (!ds_master_restricted() || (party_id != 0 && has(party_id)))
		return;
	ereport(
		ERROR,
		(errcode(DS_ERRCODE_OUT_OF_SCOPE),
		 errmsg("\"%.*s\" is not in your scope", pg_mbcliplen(code, strlen(code), 255), code),
		 errdetail("Field: %s.", field),
		 errhint(
			 "Name a customer that your role or your token is for; distsync.scope() lists them.")));
}

/* ds_sql_master_restricted does ds_master_restricted() for SQL. */
Datum
ds_sql_master_restricted(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ds_master_restricted());
}

/* ds_sql_master_scope_has does the question whether the caller may see a party, restricted or not; nobody sees NULL but who sees all. */
Datum
ds_sql_master_scope_has(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!ds_master_restricted() || (!PG_ARGISNULL(0) && has(PG_GETARG_INT64(0))));
}

/* ds_sql_master_scope_check does ds_master_scope_check() for SQL. */
Datum
ds_sql_master_scope_check(PG_FUNCTION_ARGS)
{
	if (ds_master_restricted())
		ds_master_scope_check(PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0),
							  PG_ARGISNULL(1) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(1)),
							  PG_ARGISNULL(2) ? "customer" : text_to_cstring(PG_GETARG_TEXT_PP(2)));
	PG_RETURN_VOID();
}

/* ds_sql_master_scope_role does the question whether a role, by name, is one of the caller's. */
Datum
ds_sql_master_scope_role(PG_FUNCTION_ARGS)
{
	Oid role = get_role_oid(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);

	PG_RETURN_BOOL(OidIsValid(role) && is_member_of_role_nosuper(GetOuterUserId(), role));
}

/*
 * ds_sql_master_scope_take does the taking of a verified token's customers as
 * the scope of this transaction, which can have one only: a second token may
 * not widen what the first one gave.
 */
Datum
ds_sql_master_scope_take(PG_FUNCTION_ARGS)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);
	Datum *ids;
	int n;

	deconstruct_array(array, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE, &ids, NULL, &n);
	start();
	if (token.ncustomers > 0)
		ereport(ERROR, (errcode(DS_ERRCODE_TOKEN_REFUSED),
						errmsg("this transaction has shown a token before"),
						errdetail("Field: token. Reason: second."),
						errhint("Show one token, first of all in a transaction; begin another "
								"transaction for another one.")));
	if (n < 1 || n > DS_SCOPE_MAX_CUSTOMERS)
		ereport(ERROR, (errcode(DS_ERRCODE_TOKEN_REFUSED), errmsg("the token was refused"),
						errdetail("Field: token. Reason: customers."),
						errhint("Name 1 to %d customers.", DS_SCOPE_MAX_CUSTOMERS)));
	for (int i = 0; i < n; i++)
		token.customers[i] = DatumGetInt64(ids[i]);
	token.until = PG_GETARG_TIMESTAMPTZ(1);
	token.ncustomers = n;
	PG_RETURN_VOID();
}

/* ds_sql_master_scope_token does the list of what the token of this transaction names. */
Datum
ds_sql_master_scope_token(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < token.ncustomers; i++)
	{
		Datum values[] = {Int64GetDatum(token.customers[i]), TimestampTzGetDatum(token.until)};
		bool nulls[lengthof(values)] = {false};

		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
	return (Datum) 0;
}
