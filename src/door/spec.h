/*-------------------------------------------------------------------------
 *
 * spec.h
 *		What a document may hold: fields as the rooms declared them in
 *		distsync_internal.document_field, as a tree in the order of jsonb keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DOOR_SPEC_H
#define DS_DOOR_SPEC_H

#include "utils/array.h"

typedef enum DsDoorType
{
	DS_DOOR_TEXT,
	DS_DOOR_NAME,
	DS_DOOR_CODE,
	DS_DOOR_BOOLEAN,
	DS_DOOR_INTEGER,
	DS_DOOR_QUANTITY,
	DS_DOOR_AMOUNT,
	DS_DOOR_PRICE,
	DS_DOOR_NUMBER,
	DS_DOOR_FACTOR,
	DS_DOOR_CURRENCY,
	DS_DOOR_UNIT,
	DS_DOOR_DATE,
	DS_DOOR_INSTANT,
	DS_DOOR_INSTANT_OR_DATE,
	DS_DOOR_TIMEZONE,
	DS_DOOR_UUID,
	DS_DOOR_LIST,
	DS_DOOR_JSON
} DsDoorType;

typedef enum DsDoorSign
{
	DS_DOOR_ANY_SIGN,
	DS_DOOR_NONNEGATIVE,
	DS_DOOR_POSITIVE
} DsDoorSign;

typedef struct DsDoorFields DsDoorFields;

typedef struct DsDoorField
{
	const char *name;
	int len;
	DsDoorType type;
	DsDoorSign sign;
	bool required;		 /* in every document */
	bool fixed;			 /* can't be cleared */
	bool reserved;		 /* of the door: schema, ext */
	int key_index;		 /* place in the key, -1 = none */
	const char *choices; /* joined by \x1f, NULL = any */
	DsDoorFields *inner; /* fields of the objects inside, NULL = none declared */
} DsDoorField;

struct DsDoorFields
{
	int n;
	int capacity;
	DsDoorField *field;
};

extern DsDoorFields *ds_door_spec(ArrayType *names, ArrayType *types, ArrayType *required,
								  ArrayType *fixed, ArrayType *signs, ArrayType *choices,
								  ArrayType *keys, int *key_parts);

/* ds_door_compare does the order of keys in jsonb: shorter first, then by bytes. */
extern int ds_door_compare(const char *a, int alen, const char *b, int blen);

#endif /* DS_DOOR_SPEC_H */
