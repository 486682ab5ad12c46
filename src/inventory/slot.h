/*-------------------------------------------------------------------------
 *
 * slot.h
 *		Slots: shares of a hot pool, so that many clients can promise at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_SLOT_H
#define DS_INVENTORY_SLOT_H

#include "postgres.h"

#include "access/htup.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "base/rows.h"

/* The slots of a pool as one snapshot sees them. */
typedef struct DsSlots
{
	int n;
	int room;
	HeapTuple *rows; /* in the order of their numbers; NULL where slots cannot be written */
	Numeric held;	 /* sums of them */
	Numeric committed;
	TimestampTz changed_at;	 /* the newest */
	TimestampTz valid_until; /* the earliest, DT_NOEND = for ever */
} DsSlots;

/* what is taken from a slot */
typedef struct DsSlotTake
{
	int64 item_id;
	int64 site_id;
	Numeric quantity;
	bool commit;
	TimestampTz expires_at;
} DsSlotTake;

/* how it went */
typedef enum DsSlotResult
{
	DS_SLOT_TAKEN,
	DS_SLOT_BUSY,	 /* somebody is at each slot that has enough */
	DS_SLOT_CHANGED, /* one of them has changed since it was read */
	DS_SLOT_SHORT	 /* none has enough */
} DsSlotResult;

extern DsRows *ds_inventory_slots_open(void);
extern void ds_inventory_slots_read(int64 item_id, int64 site_id, DsSlots *slots);
extern DsSlotResult ds_inventory_slots_take(DsRows *w, const DsSlotTake *take, const DsSlots *slots,
											bool wait);

#endif /* DS_INVENTORY_SLOT_H */
