/*-------------------------------------------------------------------------
 *
 * horizon.c
 *		What of the open orders of an account is to come. What
 *		distsync_internal.credit_horizon_at() says in SQL.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/credit.h"

#include "base/ratio.h"
#include "base/reader.h"

enum
{
	D_SHIP_ON,
	D_AMOUNT
};

static DsTable day_table = {
	.name = "open_order_day",
	.index = "open_order_day_pk",
	.keys = {"account_id", "ship_on"},
	.columns = {"ship_on", "amount"},
};

/* zone_of does the time zone of an account: that of its company, else of who owes. */
static DsCreditZone
zone_of(const DsCreditBook *book, const DsCreditAccount *account)
{
	const DsCreditCompany *company = ds_credit_company(book, account->company_id);
	DsCreditParty party;

	if (company != NULL)
		return company->tz;
	return ds_credit_zone(
		ds_credit_party(account->customer_id, &party) ? party.tz : CStringGetTextDatum("UTC"));
}

/*
 * ds_credit_horizon does the taking out of exposure of what ships later than an
 * account with a horizon looks at an instant: what it keeps of that, without the
 * days that have come inside since the clerk looked. changes_at becomes the
 * instant at which the next day counts.
 */
void
ds_credit_horizon(const DsCreditBook *book, DsCreditAccount *account, TimestampTz at)
{
	DsCreditZone zone;
	DsReader *reader;
	Datum key = Int64GetDatum(account->account_id);
	Numeric *open = &account->terms[DS_CREDIT_OPEN_ORDERS];

	if (!account->horizon)
		return;
	zone = zone_of(book, account);
	account->inside_on = ds_credit_today(&zone, at) + account->horizon_days;
	reader = ds_reader_open(&day_table);
	ds_reader_seek(reader, &key, 1);
	/* in the order of days, of which few have come in */
	while (ds_reader_next(reader))
	{
		DateADT day = DatumGetDateADT(reader->values[D_SHIP_ON]);

		if (day > account->inside_on)
		{
			account->changes_at = ds_credit_earlier(
				account->changes_at, ds_credit_begins(&zone, day - account->horizon_days));
			break;
		}
		account->later = DS_CREDIT_OP(numeric_sub, account->later,
									  DatumGetNumericCopy(reader->values[D_AMOUNT]));
	}
	ds_reader_close(reader);
	*open = DS_CREDIT_OP(numeric_sub, *open, account->later);
	account->owed[DS_CREDIT_OPEN_ORDERS] = !ds_decimal_is_zero(NumericGetDatum(*open));
	account->exposure = DS_CREDIT_OP(numeric_sub, account->exposure, account->later);
}

/* ds_credit_beyond does the question whether an order ships later than an account looks. */
bool
ds_credit_beyond(const DsCreditAsk *ask, const DsCreditAccount *account)
{
	return account->horizon && ask->ships && account->inside_on < ask->ship_on;
}

/* ds_credit_asked does the amount that an order takes of an account. */
Numeric
ds_credit_asked(const DsCreditAsk *ask, const DsCreditAccount *account)
{
	return ds_credit_beyond(ask, account) ? ds_credit_zero() : ask->amount;
}
