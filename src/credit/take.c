/*-------------------------------------------------------------------------
 *
 * take.c
 *		What credit_lock() and credit_take() do, without statements: the
 *		accounts from leaf to root are locked, the decision is made under their
 *		locks, what it approves is counted in each of them, and it is kept.
 *
 * Process: any backend. Locks: rows of dist.credit_account, leaf first, until
 * the end of the transaction. Memory: the context in which it is opened.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/take.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/number.h"
#include "base/verb.h"

enum
{
	A_ID,
	A_CUSTOMER,
	A_PARENT,
	A_OPEN_ORDERS,
	A_VERSION,
	A_STANDING,
	A_HORIZON
};

static DsRowsTable account_rows = {
	.schema = "dist",
	.name = "credit_account",
	.changes = true,
	.keys = 1,
	.changed = {"open_orders", "version"},
	/* what is approved is above 0 and finite, and nothing else is changed */
	.kept = {"credit_account_chk", "credit_account_late_chk", "credit_account_counter_chk"},
	.columns = {{"account_id", INT8OID},
				{"customer_id", INT8OID},
				{"parent_id", INT8OID},
				{"open_orders", NUMERICOID},
				{"version", INT8OID},
				{"standing", TEXTOID},
				{"horizon_days", INT4OID}},
};

enum
{
	D_CUSTOMER,
	D_ID,
	D_AT,
	D_ACCOUNT,
	D_ORDER,
	D_VERB,
	D_OUTCOME,
	D_INPUTS,
	D_REASONS,
	D_VALID_UNTIL,
	D_COUNT
};

static DsRowsTable decision_rows = {
	.schema = "dist",
	.name = "credit_decision",
	.adds = true,
	.by = "decided_at",
	/* credit_decide() approves or holds */
	.kept = {"credit_decision_chk"},
	.columns = {{"customer_id", INT8OID},
				{"decision_id", INT8OID},
				{"decided_at", TIMESTAMPTZOID},
				{"account_id", INT8OID},
				{"order_id", INT8OID},
				{"verb", TEXTOID},
				{"outcome", TEXTOID},
				{"inputs", JSONBOID},
				{"reasons", JSONBOID},
				{"valid_until", TIMESTAMPTZOID}},
};

/* ds_credit_take_open does the start. False: SQL has to write. */
bool
ds_credit_take_open(DsCreditTake *take)
{
	take->began = GetCurrentTimestamp();
	take->accounts = ds_rows_open(&account_rows);
	take->decisions = ds_rows_parts_open(&decision_rows);
	return take->accounts != NULL && take->decisions != NULL &&
		   ds_rows_parts_writer(take->decisions, TimestampTzGetDatum(take->began)) != NULL;
}

/* ds_credit_take_close does the end. */
void
ds_credit_take_close(DsCreditTake *take)
{
	if (take->accounts != NULL)
		ds_rows_close(take->accounts);
	if (take->decisions != NULL)
		ds_rows_parts_close(take->decisions);
	take->accounts = NULL;
	take->decisions = NULL;
}

/* is_locked does the look whether an account was locked before: a tree that goes round ends there. */
static bool
is_locked(const DsCreditTake *take, int64 account_id)
{
	for (int i = 0; i < take->n; i++)
		if (take->ids[i] == account_id)
			return true;
	return false;
}

/*
 * ds_credit_take_lock does the locking of an account and of all above it, from
 * leaf to root: who stands above is read under the lock of who stands below.
 * False: one is not there, or counts orders by their days, or there are too
 * many.
 */
bool
ds_credit_take_lock(DsCreditTake *take, int64 account_id)
{
	DsRows *w = take->accounts;

	for (take->n = 0; account_id != 0 && !is_locked(take, account_id);)
	{
		Datum key = Int64GetDatum(account_id);
		ItemPointerData tid;

		if (take->n == DS_CREDIT_TAKE_LEVELS || !ds_rows_find(w, GetActiveSnapshot(), &key))
			return false;
		tid = w->found->tts_tid;
		if (ds_rows_lock(w, GetActiveSnapshot(), &tid, LockWaitBlock) != TM_Ok ||
			!w->nulls[A_HORIZON])
			return false;
		if (take->n == 0)
		{
			take->customer_id = DatumGetInt64(w->values[A_CUSTOMER]);
			take->stands_well = strcmp(TextDatumGetCString(w->values[A_STANDING]), "approved") == 0;
		}
		take->ids[take->n++] = account_id;
		account_id = w->nulls[A_PARENT] ? 0 : DatumGetInt64(w->values[A_PARENT]);
	}
	return true;
}

/* add does the counting of an approved amount as open order, all the way up. */
static void
add(DsCreditTake *take, Numeric amount)
{
	static const int columns[] = {A_OPEN_ORDERS, A_VERSION};
	DsRows *w = take->accounts;
	int32 kept = ((20 << 16) | 4) + VARHDRSZ;

	for (int i = 0; i < take->n; i++)
	{
		Datum key = Int64GetDatum(take->ids[i]);
		Datum values[2];

		/* it is locked, and what we hold is what the newest snapshot sees */
		if (!ds_rows_find(w, GetActiveSnapshot(), &key))
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("credit account " INT64_FORMAT " is gone", take->ids[i]),
					 errhint("Call again. Change the books through the verbs of distsync only.")));
		values[0] = DirectFunctionCall2(
			numeric,
			DirectFunctionCall2(numeric_add, w->values[A_OPEN_ORDERS], NumericGetDatum(amount)),
			Int32GetDatum(kept));
		values[1] = Int64GetDatum(DatumGetInt64(w->values[A_VERSION]) + 1);
		ds_rows_update(w, GetActiveSnapshot(), lengthof(columns), columns, values, NULL);
	}
}

/* decide does the decision, as it is now. */
static Jsonb *
decide(int64 account_id, Numeric amount, Jsonb *facts)
{
	static const Oid types[] = {INT8OID, NUMERICOID, JSONBOID};
	LOCAL_FCINFO(fcinfo, 3);
	FmgrInfo flinfo;
	DsJson json = {0};

	ds_json_open_object(&json, NULL);
	ds_json_instant(&json, "at", GetCurrentTimestamp());
	ds_json_members(&json, facts, NULL);
	ds_json_close_object(&json);
	fmgr_info(ds_verb_behind("credit_decide", types, lengthof(types)), &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, lengthof(types), InvalidOid, NULL, NULL);
	fcinfo->args[0].value = Int64GetDatum(account_id);
	fcinfo->args[1].value = NumericGetDatum(amount);
	fcinfo->args[2].value = ds_json_finish(&json);
	fcinfo->args[0].isnull = fcinfo->args[1].isnull = fcinfo->args[2].isnull = false;
	return DatumGetJsonbP(FunctionCallInvoke(fcinfo));
}

/* member does a member of a decision, NULL where it is null. */
static JsonbValue *
member(Jsonb *decision, const char *key, JsonbValue *buffer)
{
	JsonbValue *v = getKeyJsonValueFromContainer(&decision->root, key, (int) strlen(key), buffer);

	return v == NULL || v->type == jbvNull ? NULL : v;
}

/* text_of does a text of a decision. */
static Datum
text_of(const JsonbValue *v)
{
	return PointerGetDatum(cstring_to_text_with_len(v->val.string.val, v->val.string.len));
}

/* record does the keeping of a decision, and returns its number. */
static int64
record(DsCreditTake *take, Jsonb *decision, int64 order_id, const char *verb)
{
	Datum values[D_COUNT] = {0};
	bool nulls[D_COUNT] = {false};
	JsonbValue buffer;
	JsonbValue *until;
	DsJson inputs = {0};
	int64 id = ds_next_number("dist", "credit_decision_decision_id_seq");
	DsRows *w;

	values[D_CUSTOMER] = Int64GetDatum(take->customer_id);
	values[D_ID] = Int64GetDatum(id);
	/* the partition of this moment, or the one that was open before we waited */
	values[D_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	w = ds_rows_parts_writer(take->decisions, values[D_AT]);
	if (w == NULL)
	{
		values[D_AT] = TimestampTzGetDatum(take->began);
		w = ds_rows_parts_writer(take->decisions, values[D_AT]);
	}
	values[D_ACCOUNT] = Int64GetDatum(take->ids[0]);
	values[D_ORDER] = Int64GetDatum(order_id);
	values[D_VERB] = CStringGetTextDatum(verb);
	values[D_OUTCOME] = text_of(member(decision, "outcome", &buffer));
	ds_json_open_object(&inputs, NULL);
	ds_json_members(&inputs, decision, "reasons");
	ds_json_close_object(&inputs);
	values[D_INPUTS] = ds_json_finish(&inputs);
	values[D_REASONS] = JsonbPGetDatum(JsonbValueToJsonb(member(decision, "reasons", &buffer)));
	until = member(decision, "valid_until", &buffer);
	nulls[D_VALID_UNTIL] = until == NULL;
	if (until != NULL)
		values[D_VALID_UNTIL] = DirectFunctionCall3(
			timestamptz_in, CStringGetDatum(text_to_cstring(DatumGetTextPP(text_of(until)))),
			ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	ds_rows_add(w, values, nulls);
	ds_rows_flush(w);
	return id;
}

/* cross does the looking at how the account stands, where what was approved can have changed it. */
static void
cross(const DsCreditTake *take, Jsonb *decision)
{
	static const Oid types[] = {INT8OID, JSONBOID};
	JsonbValue buffer;
	JsonbValue by;
	JsonbValue *warnings = member(decision, "warnings", &buffer);
	JsonbValue *passed = member(decision, "passed_by", &by);

	if (take->stands_well && (passed == NULL || passed->type == jbvNull) &&
		(warnings == NULL || warnings->type != jbvBinary ||
		 JsonContainerSize(warnings->val.binary.data) == 0))
		return;
	CommandCounterIncrement();
	OidFunctionCall2(ds_verb_behind("credit_crossed", types, lengthof(types)),
					 Int64GetDatum(take->ids[0]), JsonbPGetDatum(decision));
}

/*
 * ds_credit_take does the decision about an amount under the locks of
 * ds_credit_take_lock(), the newest snapshot being active, and counts it where
 * it is approved. Returns the decision with its decision_id.
 */
Jsonb *
ds_credit_take(DsCreditTake *take, Numeric amount, Jsonb *facts, int64 order_id, const char *verb)
{
	Jsonb *decision = decide(take->ids[0], amount, facts);
	JsonbValue buffer;
	JsonbValue *outcome = member(decision, "outcome", &buffer);
	DsJson json = {0};

	if (outcome->val.string.len == 8 && memcmp(outcome->val.string.val, "approved", 8) == 0 &&
		DatumGetBool(DirectFunctionCall2(numeric_gt, NumericGetDatum(amount),
										 NumericGetDatum(int64_to_numeric(0)))))
	{
		add(take, amount);
		cross(take, decision);
	}
	ds_json_open_object(&json, NULL);
	ds_json_members(&json, decision, NULL);
	ds_json_integer(&json, "decision_id", record(take, decision, order_id, verb));
	ds_json_close_object(&json);
	CommandCounterIncrement();
	return DatumGetJsonbP(ds_json_finish(&json));
}
