/*-------------------------------------------------------------------------
 *
 * event_table.h
 *		The tables that stock events are written to, and the way of events
 *		into SQL where SQL has to take them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_INVENTORY_EVENT_TABLE_H
#define DS_INVENTORY_EVENT_TABLE_H

#include "base/rows.h"
#include "inventory/event.h"

enum
{
	E_ITEM_ID,
	E_SITE_ID,
	E_EVENT_AT,
	E_EVENT_ID,
	E_RECORDED_AT,
	E_EVENT_KEY,
	E_KIND,
	E_PERSPECTIVE,
	E_LOT,
	E_OWNER_ID,
	E_STATE,
	E_QUANTITY,
	E_COUNTED,
	E_SOURCE,
	E_STREAM,
	E_SEQUENCE,
	E_REFERENCE,
	E_CORRECTS_ID,
	E_CORRELATION_ID,
	E_COUNT
};

enum
{
	B_ITEM_ID,
	B_SITE_ID,
	B_PERSPECTIVE,
	B_STATE,
	B_LOT,
	B_OWNER_ID,
	B_QUANTITY,
	B_VERSION,
	B_LAST_EVENT_AT,
	B_COUNTED_AT,
	B_EXPIRES_ON,
	B_COUNT
};

enum
{
	P_ITEM_ID,
	P_SITE_ID,
	P_CAP,
	P_HELD,
	P_COMMITTED,
	P_SHORTFALL,
	P_BACKORDER,
	P_SAFETY,
	P_PHYS,
	P_BOOK,
	P_LOW,
	P_AHEAD,
	P_RULED,
	P_WAITING,
	P_SLOTS,
	P_VERSION,
	P_CHANGED_AT,
	P_VALID_UNTIL
};

extern DsRowsTable ds_inventory_event_entries_table;
extern DsRowsTable ds_inventory_event_balances_table;
extern DsRowsTable ds_inventory_event_pools_table;
extern DsRowsTable ds_inventory_event_streams_table;

extern const char *ds_inventory_event_kind_name(DsEventKind kind);
extern Oid ds_inventory_event_sequence(Oid relid);
extern Oid ds_inventory_event_array_type(const char *name);
extern Datum ds_inventory_event_told(DsEvent *const *events, int n);
extern Datum ds_inventory_event_moved(const DsEventCall *call, const DsLeg *const *legs, int n);
extern Datum ds_inventory_event_ask(const char *function, int n, const Oid *types,
									const Datum *values, const bool *nulls, bool *isnull);

#endif /* DS_INVENTORY_EVENT_TABLE_H */
