/*-------------------------------------------------------------------------
 *
 * hold_ask.c
 *		Reading which reservations a command is about, and what they are.
 *
 * Only what is plainly right is read here: anything else is left to the whole
 * path, which knows how to say what is wrong.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/hold.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "base/compat.h"
#include "base/reader.h"
#include "inventory/reserve.h"
#include "inventory/said.h"

#define MAX_LINES 10000
#define MAX_DIGITS 18
/* of a quantity, before the point and after it: the whole path says what is wrong with more */
#define MAX_QUANTITY_DIGITS 20

static DsTable by_number = {
	.name = "reservation",
	.index = "reservation_pk",
	.keys = {"reservation_id"},
	.columns = {"reservation_id"},
};

static DsTable by_holder = {
	.name = "reservation",
	.index = "reservation_holder_idx",
	.keys = {"holder"},
	.columns = {"reservation_id", "state", "expires_at", "kit_group"},
	.where = "state IN ('held', 'committed')",
};

enum
{
	H_ID,
	H_STATE,
	H_EXPIRES_AT,
	H_GROUP
};

static DsTable by_kit = {
	.name = "reservation",
	.index = "reservation_kit_idx",
	.keys = {"kit_group"},
	.columns = {"reservation_id"},
	.where = "kit_group IS NOT NULL",
};

/* text_of does the reading of a text that is said, and of a length that needs no look at it. */
static bool
text_of(const JsonbValue *value, char **text)
{
	if (value->type != jbvString || value->val.string.len < 1 || value->val.string.len > 255)
		return false;
	*text = pnstrdup(value->val.string.val, value->val.string.len);
	return true;
}

/* read_option does the reading of one option. */
static bool
read_option(void *into, const char *name, const JsonbValue *value)
{
	DsHoldCall *call = into;
	char *on_error;

	if (strcmp(name, "holder") == 0)
		return text_of(value, &call->holder);
	if (strcmp(name, "idempotency_key") == 0)
		return text_of(value, &call->command.key);
	if (strcmp(name, "source") == 0)
		return text_of(value, &call->command.source);
	if (strcmp(name, "reason") == 0)
		return text_of(value, &call->command.reason);
	if (strcmp(name, "keep_rest") == 0 && call->verb == DS_HOLD_COMMIT)
		return ds_inventory_said_flag(value, &call->keep_rest);
	if (strcmp(name, "void") == 0 && call->verb == DS_HOLD_RELEASE)
		return ds_inventory_said_flag(value, &call->voids);
	if (strcmp(name, "on_error") != 0 || !call->many || !text_of(value, &on_error))
		return false;
	call->collect = strcmp(on_error, "collect") == 0;
	return call->collect || strcmp(on_error, "abort") == 0;
}

/* ds_inventory_hold_options does the reading of the options of a call. */
bool
ds_inventory_hold_options(DsHoldCall *call)
{
	return JB_ROOT_IS_OBJECT(call->options_said) &&
		   ds_inventory_said_members(&call->options_said->root, read_option, call);
}

/* number_of does the reading of the number of a reservation. */
static bool
number_of(const JsonbValue *value, int64 *number)
{
	char *said;

	if (value->type != jbvNumeric)
		return false;
	said = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	if (strspn(said, "0123456789") != strlen(said) || strlen(said) > MAX_DIGITS)
		return false;
	*number = strtoll(said, NULL, 10);
	return true;
}

/* quantity_of does the reading of a quantity, of as many digits as the whole path takes. */
static bool
quantity_of(const JsonbValue *value, Numeric *quantity)
{
	char *said;
	size_t whole;

	if (value->type != jbvNumeric)
		return false;
	said = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	said += *said == '-';
	whole = strspn(said, "0123456789");
	*quantity = DatumGetNumericCopy(NumericGetDatum(value->val.numeric));
	return whole <= MAX_QUANTITY_DIGITS && strlen(said + whole) <= MAX_QUANTITY_DIGITS + 1;
}

/* What a line says. */
typedef struct Line
{
	DsHold *hold;
	bool numbered;
} Line;

/* read_member does the reading of one member of a line; of the others the whole path takes no notice either. */
static bool
read_member(void *into, const char *name, const JsonbValue *value)
{
	Line *line = into;

	if (strcmp(name, "reservation_id") == 0)
		line->numbered = number_of(value, &line->hold->said);
	else if (strcmp(name, "quantity") == 0 && value->type != jbvNull)
		return quantity_of(value, &line->hold->quantity);
	return true;
}

/* read_line does the reading of one line. */
static bool
read_line(DsHold *hold, JsonbContainer *said)
{
	Line line = {hold, false};

	return ds_inventory_said_members(said, read_member, &line) && line.numbered;
}

/* compare_said does the order of numbers. */
static int
compare_said(const void *a, const void *b)
{
	int64 x = ((const DsHold *) a)->said;
	int64 y = ((const DsHold *) b)->said;

	return x < y ? -1 : x > y;
}

/* list_held does the listing of all that a holder has, as whole_lines() in SQL does it. */
static bool
list_held(DsHoldCall *call)
{
	TimestampTz now = GetCurrentTimestamp();
	DsReader *reader;
	Datum key = CStringGetTextDatum(call->holder);
	int room = 16;

	call->holds = palloc0(sizeof(DsHold) * room);
	reader = ds_reader_open(&by_holder);
	ds_reader_seek(reader, &key, 1);
	while (ds_reader_next(reader) && call->nholds <= MAX_LINES)
	{
		bool over = !reader->nulls[H_EXPIRES_AT] &&
					DatumGetTimestampTz(reader->values[H_EXPIRES_AT]) <= now;
		int64 id = DatumGetInt64(reader->values[H_ID]);

		if (ds_reader_text_is(reader, H_STATE, "held") ? over : !call->voids)
			continue;
		if (!reader->nulls[H_GROUP] && DatumGetInt64(reader->values[H_GROUP]) != id)
			continue;
		if (call->nholds == room)
		{
			call->holds = repalloc(call->holds, sizeof(DsHold) * room * 2);
			memset(call->holds + room, 0, sizeof(DsHold) * room);
			room *= 2;
		}
		call->holds[call->nholds++].said = id;
	}
	ds_reader_close(reader);
	qsort(call->holds, call->nholds, sizeof(DsHold), compare_said);
	return call->nholds >= 1 && call->nholds <= MAX_LINES;
}

/* ds_inventory_hold_lines does the reading of the lines of a call; NULL = all that the holder has. */
bool
ds_inventory_hold_lines(DsHoldCall *call, Jsonb *lines)
{
	int n = lines == NULL ? 0 : (int) JB_ROOT_COUNT(lines);

	if (lines == NULL)
		return call->holder != NULL && list_held(call);
	if (!JB_ROOT_IS_ARRAY(lines) || JB_ROOT_IS_SCALAR(lines) || n < 1 || n > MAX_LINES)
		return false;
	call->holds = palloc0(sizeof(DsHold) * n);
	for (; call->nholds < n; call->nholds++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&lines->root, call->nholds);

		if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data) ||
			!read_line(&call->holds[call->nholds], value->val.binary.data))
			return false;
	}
	return true;
}

/* ds_inventory_hold_value does the reading of a column of a reservation. */
Datum
ds_inventory_hold_value(const DsHoldCall *call, const DsHoldPart *part, int column, bool *isnull)
{
	return ds_rows_value(call->hold_rows, part->row, column, isnull);
}

/* ds_inventory_hold_text does the same of a text; NULL = it is. */
char *
ds_inventory_hold_text(const DsHoldCall *call, const DsHoldPart *part, int column)
{
	bool isnull;
	Datum value = ds_inventory_hold_value(call, part, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* read_part does the reading of the row that a reader stands on; what stands for its kit is returned, 0 = it is none. */
static int64
read_part(DsHoldCall *call, DsHold *hold, DsReader *reader)
{
	DsHoldPart *part;
	bool isnull;
	Datum value;

	if (call->nparts == call->room)
	{
		call->room = Max(call->nholds, call->room * 2);
		call->parts = call->parts == NULL
						  ? palloc_extended(sizeof(DsHoldPart) * call->room, MCXT_ALLOC_HUGE)
						  : repalloc_huge(call->parts, sizeof(DsHoldPart) * call->room);
	}
	part = &call->parts[call->nparts++];
	hold->nparts++;
	memset(part, 0, sizeof(DsHoldPart));
	part->row = ExecCopySlotHeapTuple(reader->slot);
	part->id = DatumGetInt64(ds_inventory_whole(call->hold_rows, part->row, DS_HOLD_ID));
	part->item_id = DatumGetInt64(ds_inventory_whole(call->hold_rows, part->row, DS_HOLD_ITEM));
	part->site_id = DatumGetInt64(ds_inventory_whole(call->hold_rows, part->row, DS_HOLD_SITE));
	part->quantity = ds_inventory_number(call->hold_rows, part->row, DS_HOLD_QUANTITY);
	part->committed = ds_inventory_number(call->hold_rows, part->row, DS_HOLD_COMMITTED);
	part->shipped = ds_inventory_number(call->hold_rows, part->row, DS_HOLD_SHIPPED);
	part->expires_at = ds_inventory_instant(call->hold_rows, part->row, DS_HOLD_EXPIRES_AT);
	part->state = ds_inventory_hold_text(call, part, DS_HOLD_STATE);
	part->demand_key = ds_inventory_hold_text(call, part, DS_HOLD_DEMAND);
	ds_inventory_hold_value(call, part, DS_HOLD_LOST, &isnull);
	part->lost = !isnull;
	value = ds_inventory_hold_value(call, part, DS_HOLD_PER, &isnull);
	part->per = isnull ? NULL : DatumGetNumeric(value);
	value = ds_inventory_hold_value(call, part, DS_HOLD_GROUP, &isnull);
	return isnull ? 0 : DatumGetInt64(value);
}

/* compare_parts does the order of the components of a kit. */
static int
compare_parts(const void *a, const void *b)
{
	int64 x = ((const DsHoldPart *) a)->id;
	int64 y = ((const DsHoldPart *) b)->id;

	return x < y ? -1 : x > y;
}

/* read_hold does the reading of one reservation, of a kit with all components. */
static bool
read_hold(DsHoldCall *call, DsHold *hold, DsReader *numbers, DsReader **kits)
{
	Datum key = Int64GetDatum(hold->said);
	int64 group;

	hold->first = call->nparts;
	hold->nparts = 0;
	hold->fault = NULL;
	ds_reader_seek(numbers, &key, 1);
	if (!ds_reader_next(numbers))
		return call->collect;
	group = read_part(call, hold, numbers);
	hold->head = group == 0 ? hold->said : group;
	if (group == 0)
		return true;
	if (*kits == NULL)
		*kits = ds_reader_open(&by_kit);
	call->nparts = hold->first;
	hold->nparts = 0;
	if ((*kits)->relation == NULL)
		return false;
	key = Int64GetDatum(group);
	ds_reader_seek(*kits, &key, 1);
	while (ds_reader_next(*kits))
		read_part(call, hold, *kits);
	qsort(&call->parts[hold->first], hold->nparts, sizeof(DsHoldPart), compare_parts);
	return hold->nparts > 0;
}

/* compare_ids does the order of numbers, of pointers. */
static int
compare_ids(const void *a, const void *b)
{
	return compare_parts(*(DsHoldPart *const *) a, *(DsHoldPart *const *) b);
}

/* sort_parts does the list of all parts by number. False: one is named twice. */
static bool
sort_parts(DsHoldCall *call)
{
	call->by_id = palloc_extended(sizeof(DsHoldPart *) * call->nparts, MCXT_ALLOC_HUGE);
	for (int i = 0; i < call->nparts; i++)
		call->by_id[i] = &call->parts[i];
	qsort(call->by_id, call->nparts, sizeof(DsHoldPart *), compare_ids);
	for (int i = 1; i < call->nparts; i++)
		if (call->by_id[i - 1]->id == call->by_id[i]->id)
			return false;
	return true;
}

/* compare_missing does the order of numbers that stand for nothing. */
static int
compare_missing(const void *a, const void *b)
{
	int64 x = *(const int64 *) a;
	int64 y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/* repeats does the question whether one that is not there is named twice. */
static bool
repeats(const DsHoldCall *call)
{
	int64 *missing = palloc_array(int64, call->nholds);
	int n = 0;
	bool found = false;

	for (int i = 0; i < call->nholds; i++)
		if (call->holds[i].nparts == 0)
			missing[n++] = call->holds[i].said;
	qsort(missing, n, sizeof(int64), compare_missing);
	for (int i = 1; i < n; i++)
		found = found || missing[i - 1] == missing[i];
	return found;
}

/*
 * ds_inventory_hold_read does the reading of the reservations of a call, as
 * the active snapshot sees them. False: one is not there, where that is not
 * answered for, or named twice, or tables cannot be read directly.
 */
bool
ds_inventory_hold_read(DsHoldCall *call)
{
	DsReader *numbers;
	DsReader *kits = NULL;
	bool good = true;

	call->nparts = 0;
	if (!ds_table_resolve(&by_number) || !ds_table_resolve(&by_kit))
		return false;
	numbers = ds_reader_open(&by_number);
	good = numbers->relation != NULL;
	for (int i = 0; good && i < call->nholds; i++)
		good = read_hold(call, &call->holds[i], numbers, &kits);
	ds_reader_close(numbers);
	if (kits != NULL)
		ds_reader_close(kits);
	return good && sort_parts(call) && !repeats(call);
}
