/*-------------------------------------------------------------------------
 *
 * spec.c
 *		Builds the tree of declared fields out of the arrays that the door
 *		reads from distsync_internal.document_field.
 *
 * Process: any backend. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/errors.h"
#include "door/spec.h"

static const struct
{
	const char *name;
	DsDoorType type;
} type_names[] = {
	{"text", DS_DOOR_TEXT},
	{"name", DS_DOOR_NAME},
	{"code", DS_DOOR_CODE},
	{"boolean", DS_DOOR_BOOLEAN},
	{"integer", DS_DOOR_INTEGER},
	{"quantity", DS_DOOR_QUANTITY},
	{"amount", DS_DOOR_AMOUNT},
	{"price", DS_DOOR_PRICE},
	{"number", DS_DOOR_NUMBER},
	{"factor", DS_DOOR_FACTOR},
	{"currency", DS_DOOR_CURRENCY},
	{"unit", DS_DOOR_UNIT},
	{"date", DS_DOOR_DATE},
	{"instant", DS_DOOR_INSTANT},
	{"instant_or_date", DS_DOOR_INSTANT_OR_DATE},
	{"timezone", DS_DOOR_TIMEZONE},
	{"uuid", DS_DOOR_UUID},
	{"list", DS_DOOR_LIST},
	{"json", DS_DOOR_JSON},
};

int
ds_door_compare(const char *a, int alen, const char *b, int blen)
{
	if (alen != blen)
		return alen < blen ? -1 : 1;
	return memcmp(a, b, alen);
}

static DsDoorType
type_of(const char *name)
{
	for (int i = 0; i < lengthof(type_names); i++)
		if (strcmp(type_names[i].name, name) == 0)
			return type_names[i].type;
	ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
					errmsg("unknown type \"%s\" in distsync_internal.document_field", name)));
}

/*
 * find_or_add does the look-up of a name among the fields of one object, and
 * makes it if it is new. Sorting waits until all are there.
 */
static DsDoorField *
find_or_add(DsDoorFields *fields, const char *name, int len)
{
	DsDoorField *f;

	for (int i = 0; i < fields->n; i++)
		if (ds_door_compare(fields->field[i].name, fields->field[i].len, name, len) == 0)
			return &fields->field[i];
	if (fields->n == fields->capacity)
	{
		fields->capacity = fields->capacity * 2;
		fields->field = repalloc(fields->field, fields->capacity * sizeof(DsDoorField));
	}
	f = &fields->field[fields->n++];
	memset(f, 0, sizeof(*f));
	f->name = pnstrdup(name, len);
	f->len = len;
	f->type = DS_DOOR_JSON;
	f->key_index = -1;
	return f;
}

static DsDoorFields *
new_fields(void)
{
	DsDoorFields *fields = palloc(sizeof(DsDoorFields));

	fields->n = 0;
	fields->capacity = 16;
	fields->field = palloc(fields->capacity * sizeof(DsDoorField));
	return fields;
}

static int
compare_fields(const void *a, const void *b)
{
	const DsDoorField *x = a;
	const DsDoorField *y = b;

	return ds_door_compare(x->name, x->len, y->name, y->len);
}

static void
sort_fields(DsDoorFields *fields)
{
	qsort(fields->field, fields->n, sizeof(DsDoorField), compare_fields);
	for (int i = 0; i < fields->n; i++)
		if (fields->field[i].inner != NULL)
			sort_fields(fields->field[i].inner);
}

/*
 * place_of does the walk down a path such as lines[].lots[].quantity, making
 * what is not there yet.
 */
static DsDoorField *
place_of(DsDoorFields *root, const char *path)
{
	DsDoorFields *level = root;

	for (;;)
	{
		const char *dot = strchr(path, '.');
		int len = dot ? dot - path : strlen(path);
		bool list = len > 2 && strncmp(path + len - 2, "[]", 2) == 0;
		DsDoorField *f = find_or_add(level, path, list ? len - 2 : len);

		if (list)
			f->type = DS_DOOR_LIST;
		if (dot == NULL)
			return f;
		if (f->inner == NULL)
			f->inner = new_fields();
		level = f->inner;
		path = dot + 1;
	}
}

/*
 * add_reserved does the fields that every document may have: they belong to
 * the door unless the entity declares them itself.
 */
static void
add_reserved(DsDoorFields *root)
{
	static const struct
	{
		const char *name;
		DsDoorType type;
	} reserved[] = {
		{"schema", DS_DOOR_TEXT},
		{"version", DS_DOOR_NUMBER},
		{"updated_at", DS_DOOR_INSTANT},
		{"ext", DS_DOOR_JSON},
	};

	for (int i = 0; i < lengthof(reserved); i++)
	{
		DsDoorField *f = find_or_add(root, reserved[i].name, strlen(reserved[i].name));

		f->type = reserved[i].type;
		f->reserved = f->type == DS_DOOR_TEXT || f->type == DS_DOOR_JSON;
		if (f->type == DS_DOOR_NUMBER)
			f->sign = DS_DOOR_NONNEGATIVE;
	}
}

/* unpack does the taking apart of an array; without a place for NULLs there must be none. */
static int
unpack(ArrayType *array, Oid type, Datum **values, bool **nulls)
{
	bool *ignored;
	int n;

	if (nulls == NULL && array_contains_nulls(array))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("arrays of fields must not contain NULL")));

	deconstruct_array(array, type, type == BOOLOID ? 1 : -1, type == BOOLOID,
					  type == BOOLOID ? TYPALIGN_CHAR : TYPALIGN_INT, values,
					  nulls != NULL ? nulls : &ignored, &n);
	return n;
}

DsDoorFields *
ds_door_spec(ArrayType *names, ArrayType *types, ArrayType *required, ArrayType *fixed,
			 ArrayType *signs, ArrayType *choices, ArrayType *keys, int *key_parts)
{
	DsDoorFields *root = new_fields();
	Datum *name, *type, *must, *stay, *sign, *choice, *key;
	bool *no_choice;
	int n = unpack(names, TEXTOID, &name, NULL);

	if (unpack(types, TEXTOID, &type, NULL) != n || unpack(required, BOOLOID, &must, NULL) != n ||
		unpack(fixed, BOOLOID, &stay, NULL) != n || unpack(signs, TEXTOID, &sign, NULL) != n ||
		unpack(choices, TEXTOID, &choice, &no_choice) != n)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("arrays of fields differ in length")));
	for (int i = 0; i < n; i++)
	{
		DsDoorField *f = place_of(root, TextDatumGetCString(name[i]));
		char *sign_name = TextDatumGetCString(sign[i]);

		f->type = type_of(TextDatumGetCString(type[i]));
		f->required = DatumGetBool(must[i]);
		f->fixed = DatumGetBool(stay[i]) || f->required;
		f->sign = strcmp(sign_name, "positive") == 0	  ? DS_DOOR_POSITIVE
				  : strcmp(sign_name, "nonnegative") == 0 ? DS_DOOR_NONNEGATIVE
														  : DS_DOOR_ANY_SIGN;
		f->choices = no_choice[i] ? NULL : TextDatumGetCString(choice[i]);
	}
	add_reserved(root);
	*key_parts = unpack(keys, TEXTOID, &key, NULL);
	for (int i = 0; i < *key_parts; i++)
	{
		DsDoorField *f = place_of(root, TextDatumGetCString(key[i]));

		f->key_index = i;
	}
	sort_fields(root);
	return root;
}
