/*-------------------------------------------------------------------------
 *
 * ask.h
 *		Prices for other rooms in C, with the proof of the call.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_ASK_H
#define DS_PRICING_ASK_H

#include "postgres.h"

#include "common/sha2.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* The price of a line, as a row of prices() tells it. */
typedef struct DsPriced
{
	bool priced;
	const char *code;
	const char *agreement; /* NULL = none */
	Numeric unit_price;
	int32 price_per;
	Numeric net_amount;
	TimestampTz valid_until; /* DT_NOEND = for ever */
	Jsonb *detail;
	Numeric extension; /* NULL = it is net_amount */
	bool volumes;	   /* agreed volumes are used */
} DsPriced;

/* The prices of a call. */
typedef struct DsPrices
{
	char *currency;
	int n;
	DsPriced *lines; /* in the order they were asked */
	char *document;	 /* of the proof, as jsonb prints it */
	uint8 sha256[PG_SHA256_DIGEST_LENGTH];
} DsPrices;

extern void ds_pricing_ask(int64 customer_id, Jsonb *lines, TimestampTz at, Jsonb *options,
						   DsPrices *answer);

#endif /* DS_PRICING_ASK_H */
