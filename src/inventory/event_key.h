/*-------------------------------------------------------------------------
 *
 * event_key.h
 *		Keys of events in sync.dedupe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_EVENT_KEY_H
#define DS_INVENTORY_EVENT_KEY_H

#include "base/rows.h"
#include "inventory/event.h"

typedef struct DsEventKey
{
	const uint8 *key;			/* hash of the name */
	const uint8 *body;			/* hash of what is told */
	int number;					/* of the event that it belongs to */
	DsRows *writer;				/* of the partition it is in */
	bool fresh;					/* nobody had taken it: we have */
	uint8 taken[DS_EVENT_HASH]; /* what was told when it was taken */
} DsEventKey;

extern DsRowsParts *ds_inventory_event_keys_open(DsEventKey *keys, int n);
extern void ds_inventory_event_keys_take(DsRowsParts *parts, text *source, DsEventKey *keys, int n);
extern int ds_inventory_event_key_compare(const void *a, const void *b);

#endif /* DS_INVENTORY_EVENT_KEY_H */
