/*-------------------------------------------------------------------------
 *
 * reserve.h
 *		A call of reserve() on its way: what is asked, where it may come from,
 *		what it gets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_RESERVE_H
#define DS_INVENTORY_RESERVE_H

#include "postgres.h"

#include "access/htup.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "base/rows.h"
#include "inventory/command.h"
#include "inventory/pool.h"
#include "inventory/slot.h"

#define DS_NUMERIC(function, a, b)                                                                 \
	DatumGetNumeric(DirectFunctionCall2((function), NumericGetDatum(a), NumericGetDatum(b)))
#define DS_NUMERIC_IS(function, a, b)                                                              \
	DatumGetBool(DirectFunctionCall2((function), NumericGetDatum(a), NumericGetDatum(b)))

/* A line: an item, and how much of it. Quantities are base units. */
typedef struct DsReserveLine
{
	int ordinal; /* place in the request, from 1 */
	int64 item_id;
	char *sku;
	char *base_unit;
	char *unit;			 /* in which it was asked */
	Numeric numerator;	 /* base units ... */
	Numeric denominator; /* ... per so many of the unit; both NULL: the base unit */
	int64 step; /* in which it is promised at each site, millionths; 0 = not looked up yet */
	Numeric quantity;
	int64 site_id;			  /* 0 = choose */
	char *site;				  /* its code as it was said */
	char *demand_key;		  /* NULL = none, as is nobody's whom it serves */
	TimestampTz requested_at; /* DT_NOEND = not said */
	Numeric available;		  /* what there was for it over all its pools, once decided */
	bool lacking;			  /* and that is not enough */
	TimestampTz moment;		  /* when there will be, if it is refused; DT_NOEND = not foreseen */
} DsReserveLine;

/* The decimals of the unit that was looked up last; NULL = none was. */
typedef struct DsReserveScale
{
	char *unit;
	int scale;
} DsReserveScale;

typedef struct DsReserveOptions
{
	char *holder; /* NULL = not said, as every text here */
	Interval ttl;
	bool commit; /* no hold: committed at once */
	bool split;	 /* several sites may serve a line */
	bool up_to;	 /* less than was asked is welcome too */
	const char *kind;
	int priority;
	char *customer;
	char *channel;
	char *company;
	int64 customer_id; /* 0 = none, as every id here */
	int64 channel_id;
	int64 company_id;
} DsReserveOptions;

/* A pool that lines may draw on. */
typedef struct DsReservePool
{
	int64 item_id;
	int64 site_id;
	char *code; /* of the site */
	int rank;
	HeapTuple row;	 /* as it was read or locked */
	DsRows *rows;	 /* that it is one of */
	bool locked;	 /* by us */
	int64 waited_us; /* for the lock */
	bool dealt;		 /* it has slots */
	DsSlots slots;
	Numeric own;   /* what its row may still promise, without slots */
	Numeric free;  /* what may still be promised, with slots, less what lines got */
	Numeric taken; /* what lines got, NULL = nothing */
} DsReservePool;

/* What a line gets from a pool. */
typedef struct DsReserveGrant
{
	DsReserveLine *line;
	DsReservePool *pool;
	Numeric quantity;
	Numeric available; /* what there was for the line over all its pools */
	Numeric before;	   /* what earlier lines got from this pool, NULL = nothing */
	int64 reservation_id;
} DsReserveGrant;

typedef struct DsReserve
{
	Jsonb *lines_said;
	Jsonb *options_said;
	DsCommand command; /* what it shares with other commands */
	bool behind;	   /* another room asks, in ids and base units, and audits it */
	DsReserveOptions options;
	DsReserveLine *lines;
	int nlines;
	bool choose;  /* a line names no site */
	bool serving; /* a line serves a demand */
	bool
		lock_first; /* it may be given back before the transaction ends: pools before anything of them */
	bool as_read;		  /* several pools are taken as they were read, none is locked before */
	bool raced;			  /* and somebody was at one of them */
	DsReservePool *pools; /* sorted by item and site */
	int npools;
	DsReserveGrant *grants; /* sorted by item, line */
	int ngrants;
	int room;
	TimestampTz at; /* when it was promised */
	TimestampTz expires_at;
	/* writers, NULL = not open */
	DsRows *pool_rows;
	DsRows *reservation_rows;
	DsRows *demand_rows;
} DsReserve;

/* what was asked: false = let the whole path see */
extern bool ds_inventory_read_options(DsReserve *call);
extern bool ds_inventory_read_lines(DsReserve *call);
extern Numeric ds_inventory_whole_steps(DsReserveLine *line, Numeric quantity);
extern void ds_inventory_usual_options(DsReserveOptions *o);
extern bool ds_inventory_has_shelf_rules(int64 customer_id);
extern bool ds_inventory_sort_lines(DsReserve *call);

/* where it comes from */
extern bool ds_inventory_list_pools(DsReserve *call);
extern bool ds_inventory_still_promises(const DsReservePool *pool);
extern bool ds_inventory_allocate(DsReserve *call);
extern DsReservePool *ds_inventory_only_pool(const DsReserve *call);

/* the pools themselves */
extern bool ds_inventory_read_pools(DsReserve *call);
extern bool ds_inventory_pool_holds(const DsReservePool *pool, TimestampTz now);
extern DsSlotResult ds_inventory_take(DsReserve *call, bool wait);
extern DsSlotResult ds_inventory_take_alone(DsReserve *call, DsReservePool *pool, bool wait);

/* what is kept of a promise, and what is answered */
extern bool ds_inventory_writers_open(DsReserve *call);
extern void ds_inventory_writers_close(DsReserve *call);
extern void ds_inventory_write(DsReserve *call, ReturnSetInfo *answer);
extern Numeric ds_inventory_in_unit(const DsReserveLine *line, Numeric quantity);

/* the whole of it: false = nothing was written, let the whole path see */
extern bool ds_inventory_promise(DsReserve *call, FunctionCallInfo fcinfo);

/* what other rooms ask and are answered */
extern bool ds_inventory_line_in_steps(DsReserveLine *line, char *base_unit, DsReserveScale *last);
extern void ds_inventory_answer_lines(DsReserve *call, ReturnSetInfo *rows);
extern void ds_inventory_answer_lacking(const DsReserveLine *line, TimestampTz moment,
										ReturnSetInfo *rows);

/* what is answered where something is short: false = let the whole path see */
extern bool ds_inventory_refuse(DsReserve *call, TimestampTz now);
extern void ds_inventory_answer_refused(const DsReserve *call, FunctionCallInfo fcinfo);

/* demands that lines serve */
extern bool ds_inventory_read_instant(const char *said, TimestampTz *instant);
extern bool ds_inventory_demands_open(DsReserve *call);
extern void ds_inventory_lock_demands(const DsReserve *call);
extern bool ds_inventory_demands_new(const DsReserve *call);
extern void ds_inventory_add_demands(DsReserve *call);

/* the columns of the answer */
enum
{
	DS_RESERVED_ORDINAL,
	DS_RESERVED_OUTCOME,
	DS_RESERVED_RESERVATION,
	DS_RESERVED_ITEM,
	DS_RESERVED_SITE,
	DS_RESERVED_QUANTITY,
	DS_RESERVED_UNIT,
	DS_RESERVED_EXPIRES_AT,
	DS_RESERVED_AVAILABLE,
	DS_RESERVED_DETAIL,
	DS_RESERVED_COUNT
};

#endif /* DS_INVENTORY_RESERVE_H */
