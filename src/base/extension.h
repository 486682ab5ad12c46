/*-------------------------------------------------------------------------
 *
 * extension.h
 *		Is the extension here, does it stay, and does it fit this library?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_EXTENSION_H
#define DS_BASE_EXTENSION_H

#define DS_EXTENSION_NAME "distsync"
#define DS_OWNER_ROLE "distsync_owner"

typedef enum DsExtensionState
{
	DS_EXTENSION_READY,		   /* locked until the end of the transaction */
	DS_EXTENSION_ABSENT,	   /* not installed, or dropped meanwhile */
	DS_EXTENSION_BUSY,		   /* being dropped by somebody who has not committed yet */
	DS_EXTENSION_OTHER_VERSION /* locked, but its SQL is not what this library serves */
} DsExtensionState;

typedef struct DsExtension
{
	Oid oid; /* InvalidOid until it was seen */
	char version[NAMEDATALEN];
} DsExtension;

extern const char *ds_extension_library_version(void);
extern bool ds_extension_exists(void);
extern DsExtensionState ds_extension_hold(DsExtension *extension);

#endif /* DS_BASE_EXTENSION_H */
