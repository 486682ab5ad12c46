/*-------------------------------------------------------------------------
 *
 * capture.h
 *		What captures changes, also of rows that no trigger saw.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_OUTBOX_CAPTURE_H
#define DS_OUTBOX_CAPTURE_H

extern void ds_outbox_capture_init(void);

#endif /* DS_OUTBOX_CAPTURE_H */
