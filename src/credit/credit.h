/*-------------------------------------------------------------------------
 *
 * credit.h
 *		The credit decision in C: what is read, what is decided, what is told.
 *
 * Whatever it cannot do is a false answer and no error: the functions behind
 * the verbs say the same, slower, and raise what is to be raised.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_CREDIT_CREDIT_H
#define DS_CREDIT_CREDIT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/numeric.h"
#include "base/compat.h"
#include "base/json.h"

/* accounts from leaf to root that are looked at, as credit_position() does */
#define DS_CREDIT_LEVELS 17
/* rules and companies that a backend remembers; where there are more, SQL decides */
#define DS_CREDIT_MAX_RULES 1000
#define DS_CREDIT_MAX_COMPANIES 1000
/* no instant; nothing that changes later is as early */
#define DS_CREDIT_NEVER DT_NOBEGIN

#define DS_CREDIT_OP(function, a, b)                                                               \
	DatumGetNumeric(DirectFunctionCall2((function), NumericGetDatum(a), NumericGetDatum(b)))

/* What a rule compares, in the order of the words in rule.c. */
typedef enum DsCreditType
{
	DS_CREDIT_LIMIT_SHARE,
	DS_CREDIT_OVERDUE_AMOUNT,
	DS_CREDIT_OVERDUE_SHARE,
	DS_CREDIT_OLDEST_ITEM,
	DS_CREDIT_DUNNING_LEVEL,
	DS_CREDIT_ORDER_AMOUNT,
	DS_CREDIT_TERMS_CHANGE,
	DS_CREDIT_LIMIT_EXPIRED,
	DS_CREDIT_REVIEW_DUE,
	DS_CREDIT_CUSTOMER_STATUS,
	DS_CREDIT_TYPES
} DsCreditType;

typedef enum DsCreditAction
{
	DS_CREDIT_BLOCK,
	DS_CREDIT_WARN,
	DS_CREDIT_EXCLUDE,
	DS_CREDIT_RELEASE,
	DS_CREDIT_LATER, /* not valid at the instant asked */
	DS_CREDIT_ACTIONS
} DsCreditAction;

/* An instant at which a range begins or ends; any may be open. */
typedef struct DsCreditPeriod
{
	bool begins;
	bool ends;
	bool begins_with; /* it holds at its first instant */
	bool ends_with;	  /* it holds at its last instant */
	TimestampTz first;
	TimestampTz last;
} DsCreditPeriod;

/* A rule, as it is kept. */
typedef struct DsCreditRule
{
	char *code;
	DsCreditType type;
	DsCreditAction action;
	int distance; /* 0 customer, 1 group, 2 all */
	int ngroups;
	int64 *groups;	   /* groups that it is for */
	Numeric threshold; /* NULL = 0 */
	bool plain;		   /* it has four decimals at most, and ... */
	int128 at_4;	   /* ... is so many ten-thousandths */
	char *currency;	   /* NULL = the account's */
	int32 grace_days;
	DsCreditPeriod valid;
} DsCreditRule;

/* A time zone: zone is NULL where only SQL knows what its name means. */
typedef struct DsCreditZone
{
	Datum name;
	pg_tz *zone;
} DsCreditZone;

typedef struct DsCreditCompany
{
	int64 company_id;
	char *code;
	bool active;
	DsCreditZone tz;
} DsCreditCompany;

/* What a backend remembers: the rules for groups and for all, and companies. */
typedef struct DsCreditBook
{
	int64 epoch;
	MemoryContext context;
	int nrules;
	DsCreditRule *rules; /* in the order of their codes */
	bool by_customer;	 /* there are rules for single customers beside */
	int ncompanies;
	DsCreditCompany *companies;
} DsCreditBook;

/* A party, of what credit looks at. */
typedef struct DsCreditParty
{
	int64 party_id;
	int64 parent_id; /* 0 = none */
	int64 payer_id;	 /* 0 = itself */
	char *code;
	char *segment;
	char *terms; /* NULL = none */
	bool active;
	Datum tz;
} DsCreditParty;

/* signed terms of exposure, in the order of account.c */
#define DS_CREDIT_TERMS 7
#define DS_CREDIT_OPEN_ORDERS 2

/* An account and its limit at an instant. */
typedef struct DsCreditAccount
{
	int64 account_id;
	int64 customer_id;
	int64 company_id;
	int64 parent_id; /* 0 = root */
	char *code;
	char *currency;
	char *status;
	char *status_reason; /* NULL = none */
	bool open;
	bool exclude_disputed;
	bool disputed; /* something is, here or below */
	bool horizon;  /* open orders count when their day comes */
	bool reading;  /* not all of them are read, and those that are not count */
	int32 horizon_days;
	DateADT inside_on; /* last day that counts */
	Numeric later;	   /* open orders that ship after it */
	int16 dunning_level;
	DateADT review_on; /* DATEVAL_NOEND = none */
	Numeric terms[DS_CREDIT_TERMS];
	bool owed[DS_CREDIT_TERMS]; /* the term is not 0 */
	Numeric exposure;
	Numeric limit;	  /* NULL = unlimited */
	Numeric headroom; /* NULL = unlimited */
	bool limit_ended;
	TimestampTz changes_at;
	DateADT late_on;
	Numeric late_amount;
	Numeric late_disputed;
	DateADT oldest_due_on; /* DATEVAL_NOEND = none */
	DateADT next_due_on;   /* DATEVAL_NOEND = none */
	int nbefore; /* what was due before late_on, the day before it and so on, as far as is told */
	Numeric *before;
	TimestampTz limit_from;	 /* limit and limit_ended are kept of instants from this one */
	TimestampTz limit_until; /* DS_CREDIT_NEVER = for ever */
} DsCreditAccount;

/* ds_credit_zero does the number 0. */
extern Numeric ds_credit_zero(void);

/* ds_credit_above does the comparison of two numbers. */
static inline bool
ds_credit_above(Numeric a, Numeric b)
{
	return DatumGetBool(DirectFunctionCall2(numeric_gt, NumericGetDatum(a), NumericGetDatum(b)));
}

/* A question. */
typedef struct DsCreditAsk
{
	int64 customer_id;			   /* sold-to, 0 = not told */
	const DsCreditParty *customer; /* the same, where it was read */
	Numeric amount;				   /* in the account's currency */
	Numeric deposit;			   /* NULL = none */
	char *terms;				   /* payment terms of the order, NULL = not told */
	int64 order_id;
	bool for_order;		/* order_id is told */
	bool ships;			/* ship_on is told, else it ships at once */
	char *ship_on_told; /* as it was told */
	DateADT ship_on;
	bool whole; /* every rule is told, not only those that decide */
	TimestampTz at;
} DsCreditAsk;

/* What a rule says. */
typedef struct DsCreditSaid
{
	const DsCreditRule *rule;
	DsCreditAction action; /* the one that counts */
	bool failed;
	Numeric value; /* of one that failed, or where every rule is told */
	Numeric pay;   /* NULL = no payment cures it */
} DsCreditSaid;

/* An answer. */
typedef struct DsCreditAnswer
{
	int nlevels;
	DsCreditAccount levels[DS_CREDIT_LEVELS];
	int binding; /* level with the least headroom */
	int nsaid;
	DsCreditSaid *said; /* in the order of codes */
	const char *passed_by;
	bool by_rules; /* limits and rules count: nothing passes the order */
	bool held;
	Numeric cure; /* NULL = none */
	TimestampTz valid_until;
} DsCreditAnswer;

/* rule.c */
extern bool ds_credit_period(Datum range, DsCreditPeriod *period);
extern bool ds_credit_within(const DsCreditPeriod *period, TimestampTz at);
extern TimestampTz ds_credit_turn(const DsCreditPeriod *period, TimestampTz at);
extern TimestampTz ds_credit_earlier(TimestampTz a, TimestampTz b);
extern const char *ds_credit_type_word(DsCreditType type);
extern const char *ds_credit_action_word(DsCreditAction action);
extern bool ds_credit_read_rules(const char *kind, const char *key, DsCreditRule **rules, int *n);
extern int ds_credit_compare_rules(const void *a, const void *b);

/* book.c */
extern const DsCreditBook *ds_credit_book(void);
extern const DsCreditCompany *ds_credit_company(const DsCreditBook *book, int64 company_id);
extern bool ds_credit_company_named(const DsCreditBook *book, const char *code, int64 *company_id);

/* day.c */
extern DsCreditZone ds_credit_zone(Datum name);
extern DateADT ds_credit_today(const DsCreditZone *zone, TimestampTz at);
extern TimestampTz ds_credit_begins(const DsCreditZone *zone, DateADT day);

/* party.c */
extern bool ds_credit_party_named(const char *code, DsCreditParty *party);
extern uint64 ds_credit_party_name(Datum code);
extern bool ds_credit_party(int64 party_id, DsCreditParty *party);
extern bool ds_credit_is_member(int64 party_id, const DsCreditRule *rule, TimestampTz at);
extern int ds_credit_minor_units(const char *currency);
extern bool ds_credit_held_by_others(int64 order_id);

/* account.c */
extern const char *const ds_credit_term_words[DS_CREDIT_TERMS];
extern bool ds_credit_account(int64 account_id, DsCreditAccount *account);
extern bool ds_credit_account_of(int64 customer_id, int64 company_id, const char *segment,
								 uint64 name, DsCreditAccount *account);
extern uint64 ds_credit_account_name(Datum code, const char *company);
extern bool ds_credit_complete(const DsCreditBook *book, DsCreditAnswer *answer, TimestampTz at);

/* horizon.c */
extern void ds_credit_horizon(const DsCreditBook *book, DsCreditAccount *account, TimestampTz at);
extern bool ds_credit_beyond(const DsCreditAsk *ask, const DsCreditAccount *account);
extern Numeric ds_credit_asked(const DsCreditAsk *ask, const DsCreditAccount *account);

/* due.c */
typedef struct DsCreditDue DsCreditDue;
extern DsCreditDue *ds_credit_due(const DsCreditAccount *account);
extern DateADT ds_credit_due_oldest(DsCreditDue *due);
extern void ds_credit_due_want(DsCreditDue *due, DateADT day);
extern Numeric ds_credit_due_before(DsCreditDue *due, DateADT day);
extern DateADT ds_credit_due_from(DsCreditDue *due, DateADT day);

/* measure.c */
typedef struct DsCreditCase DsCreditCase;
extern DsCreditCase *ds_credit_case(const DsCreditBook *book, const DsCreditAsk *ask,
									const DsCreditAccount *account);
extern const DsCreditParty *ds_credit_case_party(DsCreditCase *self);
extern void ds_credit_want(DsCreditCase *self, const DsCreditRule *rule);
extern void ds_credit_measure(DsCreditCase *self, DsCreditSaid *said);
extern TimestampTz ds_credit_next(DsCreditCase *self);

/* judge.c */
extern bool ds_credit_judge(const DsCreditBook *book, const DsCreditAsk *ask,
							DsCreditAnswer *answer);

/* decide.c */
extern bool ds_credit_fails(const DsCreditAsk *ask, const DsCreditAccount *account);
extern bool ds_credit_decide(const DsCreditBook *book, const DsCreditAsk *ask,
							 DsCreditAnswer *answer);

/* tell.c */
extern void ds_credit_tell_reasons(DsJson *json, const char *key, const DsCreditAsk *ask,
								   const DsCreditAnswer *answer);
extern Datum ds_credit_tell(const DsCreditAsk *ask, const DsCreditAnswer *answer);
extern Datum ds_credit_tell_detail(const DsCreditAsk *ask, const DsCreditAnswer *answer);

#endif /* DS_CREDIT_CREDIT_H */
