/*-------------------------------------------------------------------------
 *
 * carrier.c
 *		The account that carries a customer, for other rooms in C: what
 *		credit_account_for() finds.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/take.h"

#include "utils/builtins.h"
#include "base/compat.h"
#include "base/reader.h"

/* parties above the payer that are looked at */
#define MAX_STEPS 16

enum
{
	P_PAYER,
	P_PARENT,
	P_SEGMENT
};

static DsTable party_table = {
	.name = "party",
	.index = "party_pk",
	.keys = {"party_id"},
	.columns = {"payer_id", "parent_id", "segment"},
};

static DsTable account_table = {
	.name = "credit_account",
	.index = "credit_account_customer_uq",
	.keys = {"customer_id", "company_id", "segment"},
	.columns = {"account_id"},
};

/* account_of does the account of a party: the one of the company before the one for all, that of the segment before the general one. */
static bool
account_of(DsReader *accounts, int64 party_id, int64 company_id, Datum segment, int64 *account_id)
{
	Datum general = CStringGetTextDatum("");
	bool found = false;

	for (int i = 0; i < 4 && !found; i++)
	{
		Datum keys[3] = {Int64GetDatum(party_id), Int64GetDatum(i < 2 ? company_id : 0),
						 i % 2 == 0 ? segment : general};

		if (i % 2 == 1 && VARSIZE_ANY_EXHDR(DatumGetPointer(segment)) == 0)
			continue;
		found = ds_reader_find(accounts, keys);
	}
	if (found)
		*account_id = DatumGetInt64(accounts->values[0]);
	return found;
}

/* id_or_none does an id of a party's row, 0 = none. */
static int64
id_or_none(const DsReader *parties, int column)
{
	return parties->nulls[column] ? 0 : DatumGetInt64(parties->values[column]);
}

/* walk does the look from the payer upwards. False: a party is not there. */
static bool
walk(DsReader *parties, DsReader *accounts, int64 customer_id, int64 company_id, int64 *account_id)
{
	Datum key = Int64GetDatum(customer_id);
	int64 party_id;
	Datum segment;

	if (!ds_reader_find(parties, &key))
		return false;
	segment = PointerGetDatum(DatumGetTextPCopy(parties->values[P_SEGMENT]));
	party_id = id_or_none(parties, P_PAYER);
	if (party_id == 0)
		party_id = customer_id;
	for (int step = 0; step <= MAX_STEPS && party_id != 0; step++)
	{
		if (account_of(accounts, party_id, company_id, segment, account_id))
			return true;
		key = Int64GetDatum(party_id);
		if (!ds_reader_find(parties, &key))
			return false;
		party_id = id_or_none(parties, P_PARENT);
	}
	return true;
}

/*
 * ds_credit_carrier does the finding of the account that carries a customer in
 * a company: the job's, the payer's, then those of the parties above the
 * payer; 0 = none does. False: SQL has to look.
 */
bool
ds_credit_carrier(int64 customer_id, int64 company_id, int64 job_id, int64 *account_id)
{
	DsReader *accounts = ds_reader_open(&account_table);
	DsReader *parties = ds_reader_open(&party_table);
	bool good;

	*account_id = 0;
	good = (job_id != 0 &&
			account_of(accounts, job_id, company_id, CStringGetTextDatum(""), account_id)) ||
		   walk(parties, accounts, customer_id, company_id, account_id);
	ds_reader_close(parties);
	ds_reader_close(accounts);
	return good;
}
