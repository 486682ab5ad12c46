/*-------------------------------------------------------------------------
 *
 * party.c
 *		What a credit decision reads beside accounts: parties, membership,
 *		currencies, holds.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/credit.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "base/hint.h"
#include "base/reader.h"

enum
{
	P_ID,
	P_PARENT,
	P_PAYER,
	P_CODE,
	P_SEGMENT,
	P_TERMS,
	P_STATUS,
	P_TZ
};

#define PARTY_COLUMNS                                                                              \
	{                                                                                              \
		"party_id", "parent_id", "payer_id", "code", "segment", "payment_terms", "status", "tz"    \
	}

static DsTable party_table = {
	.name = "party",
	.index = "party_code_uq",
	.keys = {"code"},
	.columns = PARTY_COLUMNS,
};

static DsTable party_id_table = {
	.name = "party",
	.index = "party_pk",
	.keys = {"party_id"},
	.columns = PARTY_COLUMNS,
};

static DsTable member_table = {
	.name = "party_member",
	.index = "party_member_party_idx",
	.keys = {"party_id"},
	.columns = {"group_id", "valid", "known"},
};

static DsTable currency_table = {
	.name = "currency",
	.index = "currency_pk",
	.keys = {"currency"},
	.columns = {"minor_units"},
};

static DsTable hold_table = {
	.name = "hold",
	.index = "hold_order_idx",
	.keys = {"order_id"},
	.columns = {"released_at", "kind", "owner"},
};

/* whole does a number of a column, 0 for null. */
static int64
whole(const DsReader *reader, int column)
{
	return reader->nulls[column] ? 0 : DatumGetInt64(reader->values[column]);
}

/* read_party does the look-up of a party by the key of a unique index. */
static bool
read_party(DsTable *table, Datum key, DsCreditParty *party)
{
	DsReader *reader = ds_reader_open(table);
	bool found = ds_reader_find(reader, &key);

	if (found)
	{
		party->party_id = whole(reader, P_ID);
		party->parent_id = whole(reader, P_PARENT);
		party->payer_id = whole(reader, P_PAYER);
		party->code = TextDatumGetCString(reader->values[P_CODE]);
		party->segment = TextDatumGetCString(reader->values[P_SEGMENT]);
		party->terms = reader->nulls[P_TERMS] ? NULL : TextDatumGetCString(reader->values[P_TERMS]);
		party->active = ds_reader_text_is(reader, P_STATUS, "active");
		party->tz = PointerGetDatum(DatumGetTextPCopy(reader->values[P_TZ]));
	}
	ds_reader_close(reader);
	return found;
}

/* ds_credit_party_name does the name under which it is kept where a party with a code lies. */
uint64
ds_credit_party_name(Datum code)
{
	static const Oid types[] = {TEXTOID};

	return ds_hint_name(party_table.relid, &code, types, lengthof(types));
}

/* ds_credit_party_named does the look-up of a party by our code. */
bool
ds_credit_party_named(const char *code, DsCreditParty *party)
{
	return read_party(&party_table, CStringGetTextDatum(code), party);
}

/* ds_credit_party does the look-up of a party by its number. */
bool
ds_credit_party(int64 party_id, DsCreditParty *party)
{
	return read_party(&party_id_table, Int64GetDatum(party_id), party);
}

/* ds_credit_is_member does the question whether a party is, as far as known, in one of the groups of a rule. */
bool
ds_credit_is_member(int64 party_id, const DsCreditRule *rule, TimestampTz at)
{
	DsReader *reader = ds_reader_open(&member_table);
	Datum key = Int64GetDatum(party_id);
	bool found = false;

	ds_reader_seek(reader, &key, 1);
	while (!found && ds_reader_next(reader))
	{
		DsCreditPeriod valid;
		DsCreditPeriod known;
		int i;

		for (i = 0; i < rule->ngroups && rule->groups[i] != DatumGetInt64(reader->values[0]); i++)
			;
		found = i < rule->ngroups && ds_credit_period(reader->values[1], &valid) &&
				ds_credit_within(&valid, at) && ds_credit_period(reader->values[2], &known) &&
				!known.ends;
	}
	ds_reader_close(reader);
	return found;
}

/* ds_credit_minor_units does the decimals that payments in a currency have. */
int
ds_credit_minor_units(const char *currency)
{
	DsReader *reader = ds_reader_open(&currency_table);
	Datum key = CStringGetTextDatum(currency);
	int units = ds_reader_find(reader, &key) ? DatumGetInt16(reader->values[0]) : 2;

	ds_reader_close(reader);
	return units;
}

/* ds_credit_held_by_others does the question whether an order has a hold that no rule lifts. */
bool
ds_credit_held_by_others(int64 order_id)
{
	DsReader *reader = ds_reader_open(&hold_table);
	Datum key = Int64GetDatum(order_id);
	bool held = false;

	ds_reader_seek(reader, &key, 1);
	while (!held && ds_reader_next(reader))
		held = reader->nulls[0] &&
			   !(ds_reader_text_is(reader, 1, "auto") && ds_reader_text_is(reader, 2, "credit"));
	ds_reader_close(reader);
	return held;
}
