/*-------------------------------------------------------------------------
 *
 * submit.h
 *		An order on its way through submit_order(): what it says, what was
 *		found, priced, promised and decided.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_ORDER_SUBMIT_H
#define DS_ORDER_SUBMIT_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "base/answered.h"
#include "base/audit.h"
#include "base/reader.h"
#include "base/rows.h"
#include "credit/take.h"
#include "inventory/reserve.h"
#include "pricing/ask.h"

/* A party that an order names. */
typedef struct DsOrderParty
{
	int64 id; /* 0 = none */
	char *code;
	char *name;
	Jsonb *address;
} DsOrderParty;

/* A line: what it says, what was found, and what became of it. Numbers are as the document says them. */
typedef struct DsOrderLine
{
	int ordinal; /* place in the document, from 1 */
	int line_no;
	char *sku;
	char *said_unit; /* NULL = the base unit */
	char *said_site; /* NULL = choose */
	Numeric quantity;
	Numeric expected_price;	  /* NULL = none */
	Numeric tax_told;		  /* NULL = none */
	char *tax_code;			  /* NULL = none */
	TimestampTz requested_at; /* DT_NOEND = not said */
	/* found */
	int64 item_id;
	char *name;
	char *base_unit;
	char *unit;
	Numeric numerator; /* base units per denominator of the unit */
	Numeric denominator;
	Numeric base_quantity;
	int64 asked_site_id; /* 0 = choose */
	/* priced */
	const DsPriced *price;
	Numeric net_amount;
	Numeric tax_amount;
	/* promised */
	Numeric reserved;
	Numeric available;
	int64 site_id;
	char *site; /* its code */
	int64 reservation_id;
	Jsonb *sources;
} DsOrderLine;

/* What the policies say; the whole of it is kept with the order. */
typedef struct DsOrderPolicy
{
	Jsonb *all;
	bool all_or_none;
	bool split;
	bool keeps_nothing; /* of stock, while it is held */
	int priority;
	bool warns_of_po;		 /* an order with the same PO number is an exception */
	Interval *answer_within; /* NULL = the owner has no limit */
} DsOrderPolicy;

typedef struct DsOrder
{
	Jsonb *document;
	char *source; /* NULL = not said, until it is looked up */
	char *order_number;
	char *said_company;
	char *said_customer;
	char *said_ship_to;
	char *said_job;
	char *said_channel;
	char *said_currency;
	char *customer_po;
	TimestampTz ordered_at;	  /* the instant of the statement */
	TimestampTz requested_at; /* DT_NOEND = not said */
	Datum correlation;		  /* uuid */
	Jsonb *said_policy;
	Jsonb *said_lines;
	/* found */
	int64 order_id;
	int64 company_id;
	char *key; /* company/order number */
	DsOrderParty customer;
	DsOrderParty payer;
	DsOrderParty ship_to;
	DsOrderParty job;
	int64 channel_id;
	int64 account_id; /* 0 = none */
	char *account;
	char *account_currency;
	Jsonb *customers_policy;
	DsOrderPolicy policy;
	DsOrderLine *lines;
	int nlines;
	/* priced */
	DsPrices prices;
	int minor_units;
	Numeric net_amount;
	Numeric tax_amount;
	Numeric gross_amount;
	Numeric account_amount; /* NULL = no account */
	/* promised and decided */
	TimestampTz promised_at;
	Numeric deposit;
	Jsonb *decision; /* NULL = no account */
	const char *credit_state;
	Jsonb *reasons;
	const char *state;
	/* writers, NULL = not open */
	DsRows *order_rows;
	DsRows *line_rows;
	DsRows *proof_rows;
	DsAudit audit;
	DsCreditTake credit;
} DsOrder;

/* submit_ask.c, submit_find.c, submit_line.c: what it says and means. False, as everywhere: let the whole path see */
extern bool ds_order_read(DsOrder *o);
extern void ds_order_source(DsOrder *o);
extern bool ds_order_find(DsOrder *o);
extern bool ds_order_read_lines(DsOrder *o);
extern bool ds_order_read_policy(DsOrder *o);
extern bool ds_order_text(const JsonbValue *value, char **text);
extern bool ds_order_instant(const JsonbValue *value, TimestampTz *instant);
extern bool ds_order_find_code(DsTable *table, const char *code, int64 *id);
extern Datum ds_order_call(const char *name, const Oid *types, const Datum *values, int n);

/* submit_price.c */
extern bool ds_order_price(DsOrder *o);

/* submit_promise.c */
extern bool ds_order_has_deposit(const DsOrder *o);
extern bool ds_order_promise(DsOrder *o);
extern void ds_order_credit(DsOrder *o);
extern bool ds_order_is_native(DsOrder *o);

/* submit_write.c */
extern bool ds_order_writers_open(DsOrder *o);
extern void ds_order_writers_close(DsOrder *o);
extern void ds_order_write(DsOrder *o);

/* submit_tell.c */
extern Jsonb *ds_order_answer(DsOrder *o);
extern void ds_order_tell(DsOrder *o);

#define DS_ORDER_FIELD(json, key, value)                                                           \
	do                                                                                             \
	{                                                                                              \
		if ((value) != NULL)                                                                       \
			ds_json_text(json, key, value);                                                        \
	} while (0)

#endif /* DS_ORDER_SUBMIT_H */
