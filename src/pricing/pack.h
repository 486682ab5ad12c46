/*-------------------------------------------------------------------------
 *
 * pack.h
 *		What was read, laid closely into the store.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_PACK_H
#define DS_PRICING_PACK_H

#include "pricing/engine.h"
#include "pricing/page.h"

extern DsShared *ds_pricing_pack_shared(DsStore *store, DsStoreClass class, const DsShared *read);
extern DsParty *ds_pricing_pack_party(DsStore *store, DsStoreClass class, const DsParty *read);
extern DsItem *ds_pricing_pack_item(DsStore *store, DsStoreClass class, const DsItem *read);
extern void ds_pricing_pack_parts(DsStore *store, DsStoreClass class, const DsParts *read,
								  DsParts *parts);
extern DsAssignments *ds_pricing_pack_assignments(DsStore *store, DsStoreClass class,
												  const DsAssignments *read);
extern DsCell *ds_pricing_pack_cell(DsStore *store, DsStoreClass class, const DsCell *read);
extern DsPage *ds_pricing_pack_page(DsStore *store, DsStoreClass class, const bytea *read,
									int shift);

#endif /* DS_PRICING_PACK_H */
