/*-------------------------------------------------------------------------
 *
 * document.h
 *		Check of one document against the declared fields, and the copy of it
 *		that handlers get.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DOOR_DOCUMENT_H
#define DS_DOOR_DOCUMENT_H

#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "door/spec.h"
#include "door/value.h"

/* Where we are in a document: a frame for each object or list entered. */
typedef struct DsDoorFrame
{
	const struct DsDoorFrame *up;
	const char *name;
	int len;
	int index; /* element of the list, -1 = no list */
} DsDoorFrame;

typedef struct DsDoorDocument
{
	/* the same for all documents of a call */
	const DsDoorFields *spec;
	const char *entity;
	pg_tz *zone;
	const char *currencies; /* known ones, three letters each */
	bool keys_only;			/* a deactivation: only the key counts */
	int key_parts;
	/* of this document */
	DsDoorFault fault;
	char *field;  /* path of the faulty field */
	bool rewrite; /* the copy differs from what was sent */
	char **key_part;
	Numeric version;
	bool told; /* it has an instant */
	TimestampTz told_at;
	char *company;
} DsDoorDocument;

extern bool ds_door_check_document(DsDoorDocument *doc, JsonbValue *value);
extern void ds_door_copy_document(const DsDoorDocument *doc, JsonbValue *value,
								  JsonbParseState **state);
extern char *ds_door_key(const DsDoorDocument *doc);
extern char *ds_door_text(const JsonbValue *value);
extern void ds_door_push_text(JsonbParseState **state, JsonbIteratorToken token, const char *s);

#endif /* DS_DOOR_DOCUMENT_H */
