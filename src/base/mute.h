/*-------------------------------------------------------------------------
 *
 * mute.h
 *		Whether changes made now are history that nobody is told about.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_MUTE_H
#define DS_BASE_MUTE_H

extern void ds_base_mute_init(void);
extern bool ds_base_muted(void);

#endif /* DS_BASE_MUTE_H */
