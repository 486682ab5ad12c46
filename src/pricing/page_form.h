/*-------------------------------------------------------------------------
 *
 * page_form.h
 *		The layout of a page of rates, for who reads and who writes it: see
 *		page_read.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_PAGE_FORM_H
#define DS_PRICING_PAGE_FORM_H

#define DS_PAGE_LAYOUT 1
#define DS_PAGE_HEADER 5

/* bytes of a shape, and which is which */
#define DS_PAGE_SHAPE 5
#define DS_PAGE_CALC 0
#define DS_PAGE_UNIT 1
#define DS_PAGE_VALUE_SCALE 2
#define DS_PAGE_TIER_SCALE 3
#define DS_PAGE_KEY 4

/* in the first byte of a shape */
#define DS_PAGE_TIER 0x40
#define DS_PAGE_MORE 0x80

/* on top of a scale: a mantissa of sixteen bytes */
#define DS_PAGE_LARGE 0x80
#define DS_PAGE_MAX_SCALE 30

/* what of the rest a rate has */
#define DS_PAGE_VALUE2 0x0001
#define DS_PAGE_CHANNEL 0x0002
#define DS_PAGE_SITE 0x0004
#define DS_PAGE_BASE 0x0008
#define DS_PAGE_FLOOR 0x0010
#define DS_PAGE_CEILING 0x0020
#define DS_PAGE_MARGIN 0x0040
#define DS_PAGE_FROM 0x0080
#define DS_PAGE_TO 0x0100
#define DS_PAGE_CONDITION 0x0200
#define DS_PAGE_FREE_ITEM 0x0400
#define DS_PAGE_PERCENT 0x0800

#endif /* DS_PRICING_PAGE_FORM_H */
