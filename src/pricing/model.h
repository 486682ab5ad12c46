/*-------------------------------------------------------------------------
 *
 * model.h
 *		What the pricing engine keeps: the books' words as numbers, and rows as
 *		structs. All of it is immutable once it was read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_MODEL_H
#define DS_PRICING_MODEL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "utils/jsonb.h"
#include "base/ratio.h"
#include "pricing/filter.h"

/* ---- words that the policy ranks; the order here means nothing ------------------------------------------------------- */

typedef enum DsWho
{
	DS_WHO_CUSTOMER,
	DS_WHO_PARENT,
	DS_WHO_SHIP_TO,
	DS_WHO_JOB,
	DS_WHO_BUYING_GROUP,
	DS_WHO_PRICE_CLASS,
	DS_WHO_REGION,
	DS_WHO_CHANNEL,
	DS_WHO_ALL,
	DS_WHO_COUNT
} DsWho;

typedef enum DsWhat
{
	DS_WHAT_ITEM,
	DS_WHAT_VARIANT_PARENT,
	DS_WHAT_CATEGORY,
	DS_WHAT_BRAND,
	DS_WHAT_FAMILY,
	DS_WHAT_VENDOR,
	DS_WHAT_ALL,
	DS_WHAT_COUNT
} DsWhat;

typedef enum DsSlotName
{
	DS_SLOT_LIST,
	DS_SLOT_BOOK,
	DS_SLOT_CONTRACT,
	DS_SLOT_PROMOTION,
	DS_SLOT_ADJUSTMENT,
	DS_SLOT_GUARD,
	DS_SLOT_ORDER,
	DS_SLOT_CHARGE,
	DS_SLOT_REBATE,
	DS_SLOT_CLAIM,
	DS_SLOT_COUNT
} DsSlotName;

typedef enum DsSlotCombine
{
	DS_SLOT_OVERRIDE,
	DS_SLOT_IF_LOWER,
	DS_SLOT_STACK,
	DS_SLOT_CLAMP,
	DS_SLOT_ORDER_LEVEL,
	DS_SLOT_CHARGES,
	DS_SLOT_ACCRUE
} DsSlotCombine;

typedef enum DsOrderKey
{
	DS_KEY_WHO,
	DS_KEY_LIST_RANK,
	DS_KEY_WHAT,
	DS_KEY_CHANNEL,
	DS_KEY_SITE,
	DS_KEY_UNIT,
	DS_KEY_CURRENCY,
	DS_KEY_PRIORITY,
	DS_KEY_MIN_QUANTITY,
	DS_KEY_VALID_FROM,
	DS_KEY_VERSION_NO,
	DS_KEY_COUNT
} DsOrderKey;

typedef enum DsCalc
{
	DS_CALC_NET,
	DS_CALC_PERCENT_OFF,
	DS_CALC_AMOUNT_OFF,
	DS_CALC_MARKUP,
	DS_CALC_MARGIN,
	DS_CALC_FORMULA,
	DS_CALC_REFERENCE,
	DS_CALC_PER_WEIGHT,
	DS_CALC_BUY_GET,
	DS_CALC_COUNT
} DsCalc;

typedef enum DsCombine
{
	DS_COMBINE_OVERRIDE,
	DS_COMBINE_BEST,
	DS_COMBINE_ADDITIVE,
	DS_COMBINE_COMPOUND,
	DS_COMBINE_EXCLUSIVE,
	DS_COMBINE_ALWAYS,
	DS_COMBINE_COUNT
} DsCombine;

typedef enum DsTierMeasure
{
	DS_MEASURE_QUANTITY,
	DS_MEASURE_AMOUNT,
	DS_MEASURE_WEIGHT,
	DS_MEASURE_COUNT
} DsTierMeasure;

typedef enum DsTierBasis
{
	DS_BASIS_LINE,
	DS_BASIS_ITEM_ORDER,
	DS_BASIS_FAMILY_ORDER,
	DS_BASIS_PERIOD,
	DS_BASIS_COUNT
} DsTierBasis;

typedef enum DsPriceDate
{
	DS_DATE_ORDER,
	DS_DATE_REQUESTED_SHIP,
	DS_DATE_SHIP,
	DS_DATE_INVOICE,
	DS_DATE_COUNT
} DsPriceDate;

typedef enum DsCap
{
	DS_CAP_STOP,
	DS_CAP_CONTINUE,
	DS_CAP_WARN,
	DS_CAP_COUNT
} DsCap;

/* kinds of charges, in the order of their words by bytes */
typedef enum DsChargeKind
{
	DS_CHARGE_FEE,
	DS_CHARGE_FREIGHT,
	DS_CHARGE_MINIMUM_ORDER,
	DS_CHARGE_COUNT
} DsChargeKind;

/* why a rate does not count; the first ones in the order in which they are tested */
typedef enum DsReason
{
	DS_REASON_NONE,
	DS_REASON_NOT_STARTED,
	DS_REASON_ENDED,
	DS_REASON_OTHER_COMPANY,
	DS_REASON_RATE_NOT_VALID,
	DS_REASON_CURRENCY,
	DS_REASON_CHANNEL,
	DS_REASON_SITE,
	DS_REASON_UNIT,
	DS_REASON_CONDITION,
	DS_REASON_NO_TAX_RATE,
	DS_REASON_COMMITMENT,
	DS_REASON_BELOW_TIER,
	DS_REASON_BLOCKED,
	DS_REASON_RETURN,
	/* lost to another one, or could not be computed */
	DS_REASON_LOWER_TIER,
	DS_REASON_OUTRANKED,
	DS_REASON_NOT_LOWER,
	DS_REASON_EXCLUDED,
	DS_REASON_NO_COST,
	DS_REASON_NO_BASE_PRICE,
	DS_REASON_NO_WEIGHT,
	DS_REASON_WITHOUT,
	DS_REASON_COUNT
} DsReason;

/* ---- what is kept: immutable content, or tagged with the epoch it was read at ---------------------------------------- */

/* The mantissa of a decimal as it lies in memory: most fit 64 bits, the others are pointed to. */
typedef union DsSmall
{
	int64 mantissa;
	const DsDecimal *large;
} DsSmall;

#define DS_SCALE_LARGE (-1)

/* What few rates have. */
typedef struct DsRateMore
{
	TimestampTz valid_from;	 /* DT_NOBEGIN = none */
	TimestampTz valid_to;	 /* DT_NOEND = none */
	int64 channel_id;		 /* 0 = any */
	int64 site_id;			 /* 0 = any */
	int64 base_agreement_id; /* 0 = the list */
	bool has_floor;
	bool has_ceiling;
	bool has_margin;
	DsDecimal value2;
	DsDecimal floor_price;
	DsDecimal ceiling_price;
	DsDecimal min_margin;
	Jsonb *condition;		/* NULL = none */
	int64 free_item_id;		/* of buy_get, 0 = the same item */
	DsDecimal free_percent; /* of buy_get */
} DsRateMore;

typedef struct DsRate
{
	DsSmall value;
	DsSmall min_quantity;	/* 0 = any */
	const DsRateMore *more; /* NULL for most */
	union
	{
		const char *text;
		int64 number; /* most keys are one: see ds_rate_line() */
	} line;
	const char *unit; /* NULL = base unit */
	uint16 price_per;
	uint8 calc;		  /* DsCalc */
	int8 value_scale; /* DS_SCALE_LARGE = the mantissa is pointed to */
	int8 min_scale;
	bool numbered; /* line is a number */
} DsRate;

/* All rates of a rate set for one customer (or shared) and one target. */
typedef struct DsCell
{
	int nrates;
	DsRate rates[FLEXIBLE_ARRAY_MEMBER];
} DsCell;

typedef struct DsVersion
{
	int64 version_id;
	int64 agreement_id;
	int64 company_id; /* 0 = every company */
	const char *agreement;
	const char *currency;
	const char *stack_group;
	const char *rounding;  /* NULL = the policy's */
	const char *tax_class; /* of a charge, NULL = none */
	TimestampTz valid_from;
	TimestampTz valid_to;
	int32 version_no;
	int32 priority;
	uint8 slot;			/* DsSlotName */
	uint8 combine;		/* DsCombine */
	uint8 tier_measure; /* DsTierMeasure */
	uint8 tier_basis;	/* DsTierBasis */
	uint8 price_date;	/* DsPriceDate */
	uint8 cap_behavior; /* DsCap */
	uint8 charge_kind;	/* DsChargeKind */
	bool incremental;
	bool merge;
	bool fx_allowed;
	bool tax_included;
	bool flag_breach;
	const DsDecimal *commit_quantity; /* NULL = none */
	const DsDecimal *commit_amount;	  /* NULL = none */
} DsVersion;

/* The rates of one rate set for one customer, and the versions over them that are held true. */
typedef struct DsPart
{
	int64 customer_id; /* 0 = shared */
	int64 set_id;
	DsFilter filter;
	uint8 kinds; /* of targets that it names, a bit each: DsWhat */
	bool dated;	 /* some of its rates have periods of their own */
	bool draft;	 /* they are not published: of an overlay */
	ItemPointerData
		page_at; /* where the only page was found; a hint, and the only thing here that changes */
	int8 page_shift; /* targets of one id / 2 ^ it share a page; -1 = there are none */
	int32 nversions;
	DsVersion *versions;
} DsPart;

typedef struct DsParts
{
	int nparts;
	DsPart *parts;
} DsParts;

typedef struct DsAncestor
{
	int64 party_id;
	int depth;
	TimestampTz valid_from;
	TimestampTz valid_to;
} DsAncestor;

typedef struct DsMembership
{
	DsWho kind;
	const char *code;
	TimestampTz valid_from;
	TimestampTz valid_to;
} DsMembership;

typedef struct DsParty
{
	int64 party_id;
	const char *code;
	const char *currency;	 /* NULL = none */
	const char *price_class; /* NULL = none */
	int nancestors;
	DsAncestor *ancestors; /* without itself */
	int nmemberships;
	DsMembership *memberships;
	DsParts own; /* rates of its own */
} DsParty;

typedef struct DsPeriod
{
	TimestampTz from;
	TimestampTz to;
} DsPeriod;

/* What means an item, in eight bytes: there are many. */
typedef struct DsTarget
{
	uint64 target_id : 40;
	uint64 period : 12; /* 0 = always, else 1 + its place in the item's periods */
	uint64 depth : 8;
	uint64 what : 4; /* DsWhat */
} DsTarget;

typedef struct DsItemUnit
{
	const char *unit;
	int64 num;
	int64 den;
	const DsDecimal *multiple; /* it is sold in multiples of, NULL = any quantity */
} DsItemUnit;

typedef struct DsItem
{
	int64 item_id;
	const char *sku;
	const char *base_unit;
	const char *family;	   /* NULL = none */
	const char *tax_class; /* '' = none */
	DsSmall weight;		   /* kilograms of one base unit */
	DsTarget *targets;
	const DsItemUnit *units;
	DsPeriod *periods;
	uint16 ntargets;
	uint16 nunits;
	uint16 nperiods;
	bool has_weight;
	int8 weight_scale;
} DsItem;

typedef struct DsAssignment
{
	int64 agreement_id;
	int32 rank;
	bool blocking;
	TimestampTz valid_from;
	TimestampTz valid_to;
} DsAssignment;

/* The agreements that are assigned to one (kind, key). */
typedef struct DsAssignments
{
	int n;
	DsAssignment *list;
} DsAssignments;

typedef struct DsRule
{
	int scale;
	DsRounding mode;
	bool has_multiple;
	bool has_ending;
	bool each_step;
	DsDecimal multiple;
	DsDecimal ending;
} DsRule;

typedef struct DsSlot
{
	DsSlotName name;
	DsSlotCombine combine;
	bool best;
	bool blocking;
} DsSlot;

/* bytes of the hash of a policy, or of the rates of a published version */
#define DS_CONTENT_LENGTH 32

typedef struct DsPolicy
{
	int32 version;
	uint8 sha256[DS_CONTENT_LENGTH]; /* of its document */
	int nslots;
	DsSlot slots[DS_SLOT_COUNT];
	int who[DS_WHO_COUNT];	 /* place, 0 = not used */
	int what[DS_WHAT_COUNT]; /* place, 0 = not used */
	int norder;
	DsOrderKey order[DS_KEY_COUNT];
	bool tie_error;
	enum
	{
		DS_BELOW_SKIP,
		DS_BELOW_LOWEST,
		DS_BELOW_REFUSE
	} below_tier;
	DsRule rounding;
} DsPolicy;

typedef struct DsCompany
{
	int64 company_id;
	const char *code;
	const char *currency;
	bool active;
} DsCompany;

typedef struct DsCurrency
{
	const char *currency;
	int minor_units;
} DsCurrency;

typedef struct DsChannel
{
	int64 channel_id;
	const char *code;
} DsChannel;

typedef struct DsNamedRule
{
	const char *name;
	DsRule rule;
} DsNamedRule;

/* What everybody shares, of one state of the shared epoch. */
typedef struct DsShared
{
	DsPolicy policy;
	int ncompanies;
	DsCompany *companies;
	int ncurrencies;
	DsCurrency *currencies;
	int nchannels;
	DsChannel *channels;
	int nrules;
	DsNamedRule *rules;
	uint32 assigned; /* kinds of buyers that anything was ever assigned to, a bit each: DsWho */
} DsShared;

/* ds_small_get does the reading of a decimal as it lies in memory. */
static inline DsDecimal
ds_small_get(DsSmall small, int scale)
{
	DsDecimal d;

	if (scale == DS_SCALE_LARGE)
		return *small.large;
	d.mantissa = small.mantissa;
	d.scale = scale;
	return d;
}

/* ds_rate_value does the number a rate calculates with. */
static inline DsDecimal
ds_rate_value(const DsRate *rate)
{
	return ds_small_get(rate->value, rate->value_scale);
}

/* ds_rate_tier does the tier of a rate in its own unit; 0 = any. */
static inline DsDecimal
ds_rate_tier(const DsRate *rate)
{
	return ds_small_get(rate->min_quantity, rate->min_scale);
}

/* ds_rate_line does the key of a rate's line, in the current context where it is kept as a number. */
static inline const char *
ds_rate_line(const DsRate *rate)
{
	return rate->numbered ? psprintf(INT64_FORMAT, rate->line.number) : rate->line.text;
}

/* ds_rate_any does the question whether a rate is for any quantity. */
static inline bool
ds_rate_any(const DsRate *rate)
{
	return rate->min_scale != DS_SCALE_LARGE && rate->min_quantity.mantissa == 0;
}

/* ds_rate_compare does the comparison of two tiers of one unit. */
static inline int
ds_rate_compare(const DsRate *a, const DsRate *b)
{
	if (a->min_scale == b->min_scale && a->min_scale != DS_SCALE_LARGE)
		return a->min_quantity.mantissa < b->min_quantity.mantissa
				   ? -1
				   : a->min_quantity.mantissa > b->min_quantity.mantissa;
	return ds_decimal_compare(ds_rate_tier(a), ds_rate_tier(b));
}

/* ds_target_valid does the question whether a target means its item at an instant. */
static inline bool
ds_target_valid(const DsItem *item, const DsTarget *target, TimestampTz at)
{
	if (target->period == 0)
		return true;
	return item->periods[target->period - 1].from <= at &&
		   at < item->periods[target->period - 1].to;
}

#endif /* DS_PRICING_MODEL_H */
