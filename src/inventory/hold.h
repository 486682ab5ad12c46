/*-------------------------------------------------------------------------
 *
 * hold.h
 *		A command on reservations on its way: which ones, what becomes of
 *		them, of their pools and of the demands they serve.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_HOLD_H
#define DS_INVENTORY_HOLD_H

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

typedef enum DsHoldVerb
{
	DS_HOLD_COMMIT,
	DS_HOLD_RELEASE,
	DS_HOLD_EXTEND
} DsHoldVerb;

/* A pool that reservations of the call stand in, and how its counters change. */
typedef struct DsHoldPool
{
	int64 item_id;
	int64 site_id;
	HeapTuple row;
	bool moves;				 /* a reservation of it changes */
	Numeric held;			 /* that goes out of held */
	Numeric taken;			 /* that comes into committed */
	Numeric freed;			 /* that goes out of committed */
	TimestampTz first_gone;	 /* the earliest end of a hold that holds no more, or until later */
	TimestampTz first_stays; /* the earliest end of those of the call that hold on */
} DsHoldPool;

/* A demand that reservations of the call serve, and what it has less. */
typedef struct DsHoldDemand
{
	const DsHoldPool *pool;
	const char *key;
	HeapTuple row;
	Numeric reserved; /* as it will be */
	const char *status;
} DsHoldDemand;

/* A row of dist.reservation: one reservation, or a component of one of a kit. Quantities are base units. */
typedef struct DsHoldPart
{
	int64 id;
	int64 item_id;
	int64 site_id;
	HeapTuple row;
	DsHoldPool *pool;
	char *demand_key; /* NULL = none */
	Numeric per;	  /* in one kit; NULL = it is no kit */
	Numeric quantity;
	Numeric committed;
	Numeric shipped;
	const char *state;
	TimestampTz expires_at; /* DT_NOEND = never */
	bool lost;				/* something of it was taken away: who gives back waives it */
	/* what becomes of it */
	Numeric new_quantity;
	Numeric new_committed;
	const char *new_state;
	TimestampTz new_expires_at;
	bool ends;
	bool stays;				/* as it is: something is wrong */
	Numeric taken;			/* committed */
	Numeric from_held;		/* given back */
	Numeric from_committed; /* given back */
} DsHoldPart;

/* A reservation as it was named: by its number, of a kit by that of any component. */
typedef struct DsHold
{
	int64 said;
	Numeric quantity; /* NULL = all of it; of a kit whole kits */
	int64 head;		  /* number that stands for it */
	int first;		  /* of its parts */
	int nparts;		  /* 0: there is no such reservation */
	Datum
		*fault; /* what is wrong with it: SQLSTATE, field, message, detail, hint; NULL = nothing */
} DsHold;

typedef struct DsHoldCall
{
	DsHoldVerb verb;
	bool many;
	Jsonb *options_said;
	DsCommand command;
	/* options */
	char *holder; /* NULL = not said */
	bool keep_rest;
	bool voids;
	bool collect; /* what is wrong is answered, and the others are done */
	Interval ttl;

	bool listed; /* none was named: all that the holder has */
	DsHold *holds;
	int nholds;
	DsHoldPart *parts;
	int nparts;
	int room;
	DsHoldPart **by_id; /* sorted */
	DsHoldPool *pools;	/* sorted by item and site */
	int npools;
	DsHoldDemand *demands;
	int ndemands;
	TimestampTz at; /* when it is done, under the locks */
	TimestampTz until;
	/* writers, NULL = not open */
	DsRows *hold_rows;
	DsRows *pool_rows;
	DsRows *demand_rows;
} DsHoldCall;

/* columns of hold_rows */
enum
{
	DS_HOLD_ID,
	DS_HOLD_ITEM,
	DS_HOLD_SITE,
	DS_HOLD_HOLDER,
	DS_HOLD_DEMAND,
	DS_HOLD_QUANTITY,
	DS_HOLD_COMMITTED,
	DS_HOLD_SHIPPED,
	DS_HOLD_KIND,
	DS_HOLD_STATE,
	DS_HOLD_PRIORITY,
	DS_HOLD_KIT,
	DS_HOLD_GROUP,
	DS_HOLD_PER,
	DS_HOLD_EXPIRES_AT,
	DS_HOLD_LOST,
	DS_HOLD_PROMISED_AT,
	DS_HOLD_REASON,
	DS_HOLD_CREATED_AT,
	DS_HOLD_ENDED_AT
};

/* which ones: false = let the whole path see */
extern bool ds_inventory_hold_options(DsHoldCall *call);
extern bool ds_inventory_hold_lines(DsHoldCall *call, Jsonb *lines);
extern bool ds_inventory_hold_read(DsHoldCall *call);

/* what becomes of them: false = let the whole path see */
extern bool ds_inventory_hold_judge(DsHoldCall *call);
extern TimestampTz ds_inventory_hold_until(const DsHoldCall *call, const DsHoldPool *pool);

/* what is written, and answered */
extern bool ds_inventory_hold_open(DsHoldCall *call);
extern void ds_inventory_hold_close(DsHoldCall *call);
extern void ds_inventory_hold_write(DsHoldCall *call);
extern void ds_inventory_hold_answer(DsHoldCall *call, ReturnSetInfo *rows);
extern Datum ds_inventory_hold_value(const DsHoldCall *call, const DsHoldPart *part, int column,
									 bool *isnull);
extern char *ds_inventory_hold_text(const DsHoldCall *call, const DsHoldPart *part, int column);

#endif /* DS_INVENTORY_HOLD_H */
