/*-------------------------------------------------------------------------
 *
 * guc.h
 *		Settings of the extension: one variable a setting, ds_guc_<name>.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_GUC_H
#define DS_BASE_GUC_H

extern char *ds_guc_instance;

extern void ds_guc_init(void);

#endif /* DS_BASE_GUC_H */
