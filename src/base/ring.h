/*-------------------------------------------------------------------------
 *
 * ring.h
 *		Who sends the NOTIFY of an outbox row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_RING_H
#define DS_BASE_RING_H

extern void ds_base_ring_init(void);
extern bool ds_base_preloaded(void);
extern const char *ds_base_ring(void);

#endif /* DS_BASE_RING_H */
