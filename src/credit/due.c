/*-------------------------------------------------------------------------
 *
 * due.c
 *		What of an account is due before a day, from the days and not the items.
 *
 * The account keeps what was due before one day and before each of some days
 * before it, the first day of all and the first one from that day on, so that
 * most questions read nothing. Where a rule looks from another day (an instant
 * that has passed, one that nobody has rolled forward to) or leaves out what
 * is in dispute, the days between are read, once for all rules: first what
 * they want is told, then they are answered.
 *
 * Process: any backend. Locks: AccessShareLock on dist.open_due. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/credit.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "base/reader.h"

enum
{
	D_DUE_ON,
	D_AMOUNT,
	D_DISPUTED
};

static DsTable due_table = {
	.name = "open_due",
	.index = "open_due_pk",
	.keys = {"account_id", "due_on"},
	.columns = {"due_on", "amount", "disputed"},
};

typedef struct Day
{
	DateADT day;
	Numeric amount; /* that counts */
} Day;

struct DsCreditDue
{
	const DsCreditAccount *account;
	bool told;	  /* what the account keeps of its last days counts */
	bool whole;	  /* there is nothing before those */
	DateADT from; /* what is wanted: days from this one */
	DateADT to;	  /* to before this one */
	bool read;
	Day *days; /* of those wanted, and the first one after them */
	int ndays;
	int room;
};

/* is_positive does the question whether a number is above 0. */
static bool
is_positive(Numeric amount)
{
	return DatumGetBool(DirectFunctionCall2(numeric_gt, NumericGetDatum(amount),
											NumericGetDatum(int64_to_numeric(0))));
}

/* is_told does the question whether the account keeps what was due before a day. */
static bool
is_told(const DsCreditDue *due, DateADT day)
{
	return due->told && day <= due->account->late_on &&
		   (due->whole || due->account->late_on - day < due->account->nbefore);
}

/* ds_credit_due does the beginning. */
DsCreditDue *
ds_credit_due(const DsCreditAccount *account)
{
	DsCreditDue *due = palloc0(sizeof(DsCreditDue));

	due->account = account;
	due->from = due->to = account->late_on;
	due->told = account->nbefore > 0 && !(account->exclude_disputed && account->disputed);
	due->whole = due->told && !is_positive(account->before[account->nbefore - 1]);
	return due;
}

/* counts does the amount of a row that counts. */
static Numeric
counts(const DsCreditAccount *account, const DsReader *reader)
{
	Numeric amount = DatumGetNumericCopy(reader->values[D_AMOUNT]);

	if (!account->exclude_disputed)
		return amount;
	return DS_CREDIT_OP(numeric_sub, amount, DatumGetNumericCopy(reader->values[D_DISPUTED]));
}

/* ds_credit_due_oldest does the first day on which something is due that counts, DATEVAL_NOEND if there is none. */
DateADT
ds_credit_due_oldest(DsCreditDue *due)
{
	const DsCreditAccount *account = due->account;
	DsReader *reader;
	Datum key = Int64GetDatum(account->account_id);
	DateADT oldest = DATEVAL_NOEND;

	if (!account->exclude_disputed || !account->disputed || account->oldest_due_on == DATEVAL_NOEND)
		return account->oldest_due_on;
	reader = ds_reader_open(&due_table);
	ds_reader_seek(reader, &key, 1);
	while (oldest == DATEVAL_NOEND && ds_reader_next(reader))
	{
		if (is_positive(counts(account, reader)))
			oldest = DatumGetDateADT(reader->values[D_DUE_ON]);
	}
	ds_reader_close(reader);
	return oldest;
}

/* ds_credit_due_want does the noting that what is due before a day will be asked for. */
void
ds_credit_due_want(DsCreditDue *due, DateADT day)
{
	if (is_told(due, day))
		return;
	due->from = Min(due->from, day);
	due->to = Max(due->to, day);
}

/* read_days does the reading of the days between that hold something. */
static void
read_days(DsCreditDue *due)
{
	const DsCreditAccount *account = due->account;
	DateADT from = Max(due->from, account->oldest_due_on);
	DsReader *reader;
	Datum keys[2] = {Int64GetDatum(account->account_id), DateADTGetDatum(from - 1)};

	due->read = true;
	/* nothing before the day that is kept, nothing from it on to the one that is wanted */
	if (account->oldest_due_on == DATEVAL_NOEND ||
		(from >= account->late_on && account->next_due_on >= due->to))
		return;
	reader = ds_reader_open(&due_table);
	ds_reader_walk(reader, DS_WALK_ON, keys, 2);
	while (ds_reader_next(reader))
	{
		DateADT day = DatumGetDateADT(reader->values[D_DUE_ON]);

		/* what is kept says what comes first from its own day on */
		if (day >= due->to && due->to <= account->late_on)
			break;
		if (due->ndays == due->room)
		{
			due->room = Max(2 * due->room, 32);
			due->days = due->days == NULL ? palloc(sizeof(Day) * due->room)
										  : repalloc(due->days, sizeof(Day) * due->room);
		}
		due->days[due->ndays].day = day;
		due->days[due->ndays++].amount = counts(account, reader);
		if (day >= due->to)
			break;
	}
	ds_reader_close(reader);
}

/* ds_credit_due_before does the amount due before a day that was wanted. */
Numeric
ds_credit_due_before(DsCreditDue *due, DateADT day)
{
	const DsCreditAccount *account = due->account;
	Numeric sum = account->late_amount;
	int i;

	if (is_told(due, day))
		return account->before[Min(account->late_on - day, account->nbefore - 1)];
	Assert(day >= due->from && day <= due->to);
	if (!due->read)
		read_days(due);
	if (account->exclude_disputed)
		sum = DS_CREDIT_OP(numeric_sub, sum, account->late_disputed);
	for (i = 0; i < due->ndays; i++)
	{
		if (due->days[i].day >= account->late_on && due->days[i].day < day)
			sum = DS_CREDIT_OP(numeric_add, sum, due->days[i].amount);
		else if (due->days[i].day < account->late_on && due->days[i].day >= day)
			sum = DS_CREDIT_OP(numeric_sub, sum, due->days[i].amount);
	}
	return sum;
}

/* ds_credit_due_from does the first day on which something is due, from one on that was wanted; DATEVAL_NOEND if there is none. */
DateADT
ds_credit_due_from(DsCreditDue *due, DateADT day)
{
	int i;

	if (is_told(due, day))
	{
		const DsCreditAccount *account = due->account;

		/* a day on which something is due makes what was due before it and before the next one differ */
		for (i = Min(account->late_on - day, account->nbefore - 1); i > 0; i--)
		{
			if (ds_credit_above(account->before[i - 1], account->before[i]))
				return account->late_on - i;
		}
		return account->next_due_on;
	}
	if (!due->read)
		read_days(due);
	for (i = 0; i < due->ndays; i++)
	{
		if (due->days[i].day >= day)
			return due->days[i].day;
	}
	return due->account->next_due_on >= day ? due->account->next_due_on : DATEVAL_NOEND;
}
