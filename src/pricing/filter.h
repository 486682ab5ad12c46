/*-------------------------------------------------------------------------
 *
 * filter.h
 *		Which targets a rate set names, in a few bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_FILTER_H
#define DS_PRICING_FILTER_H

#include "postgres.h"

extern bool ds_pricing_filter_is_sound(const uint8 *filter, Size size);
extern bool ds_pricing_filter_is_exact(const uint8 *filter, Size size);
extern const uint8 *ds_pricing_filter_widen(const uint8 *filter, Size size, Size *widened);
extern bool ds_pricing_filter_may_have(const uint8 *filter, Size size, int64 target_id);
extern bytea *ds_pricing_filter_make(int64 *target_ids, int n);

#endif /* DS_PRICING_FILTER_H */
