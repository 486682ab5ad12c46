/*-------------------------------------------------------------------------
 *
 * declared.h
 *		What the rooms declared about an entity whose documents go the short
 *		way, and who may write it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DOOR_DECLARED_H
#define DS_DOOR_DECLARED_H

#include "base/documents.h"
#include "door/spec.h"

typedef struct DsDoorDeclared
{
	const char *entity;
	const char *domain;
	int key_parts;
	DsDoorFields *fields;
	DsDocumentsTake take;
} DsDoorDeclared;

extern const DsDoorDeclared *ds_door_declared(const char *entity, int len);
extern bool ds_door_may_write(const DsDoorDeclared *declared, text *source, bool *always);

#endif /* DS_DOOR_DECLARED_H */
