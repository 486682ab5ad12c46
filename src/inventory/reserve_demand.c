/*-------------------------------------------------------------------------
 *
 * reserve_demand.c
 *		Lines of reserve() that serve a demand: of which nobody has spoken yet.
 *
 * A line that is known already, whoever told of it, is wanted by others too:
 * what that means for its pools is for the whole path. A new one becomes a row
 * of dist.demand that says what we have reserved, which changes nothing in any
 * pool. Between the look and the row stands the lock of its order.
 *
 * Process: any backend. Locks: demands, as inventory_lock_demand() takes them;
 * AccessShareLock on what is read. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/reserve.h"

#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "base/compat.h"
#include "base/number.h"
#include "base/reader.h"

/* classes of orders, as inventory_lock_demand() has them */
#define CLASSES 4096

static DsTable demand_table = {
	.name = "demand",
	.index = "demand_key_uq",
	.keys = {"demand_key"},
	.columns = {"item_id"},
};

enum
{
	D_ITEM,
	D_ID,
	D_KEY,
	D_SITE,
	D_CUSTOMER,
	D_RESERVED,
	D_ORDERED,
	D_ALLOCATED,
	D_SHIPPED,
	D_AHEAD,
	D_OUTSIDE,
	D_REQUIRED_AT,
	D_PRIORITY,
	D_STATUS,
	D_RECORDED_AT,
	D_COUNT
};

static DsRowsTable demand_rows = {
	.schema = "dist",
	.name = "demand",
	.adds = true,
	.told = "item_id",
	/* what is reserved is above 0 and finite, nobody has spoken of the rest, and it is open */
	.kept = {"demand_chk"},
	.columns = {{"item_id", INT8OID},
				{"demand_id", INT8OID},
				{"demand_key", TEXTOID},
				{"site_id", INT8OID},
				{"customer_id", INT8OID},
				{"reserved", NUMERICOID},
				{"ordered", NUMERICOID},
				{"allocated", NUMERICOID},
				{"shipped", NUMERICOID},
				{"ahead", NUMERICOID},
				{"phys_allocated", BOOLOID},
				{"required_at", TIMESTAMPTZOID},
				{"priority", INT4OID},
				{"status", TEXTOID},
				{"recorded_at", TIMESTAMPTZOID}},
};

/* number_at does the reading of digits. */
static int
number_at(const char *said, int from, int digits)
{
	int number = 0;

	for (int i = from; i < from + digits; i++)
		number = number * 10 + said[i] - '0';
	return number;
}

/* looks_like does the comparison of the first characters with a shape, in which 0 stands for any digit. */
static bool
looks_like(const char *said, const char *shape)
{
	for (; *shape != '\0'; said++, shape++)
		if (*shape == '0' ? *said < '0' || *said > '9' : *said != *shape)
			return false;
	return true;
}

/* ds_inventory_read_instant does the reading of an instant as most write it: 2026-05-14T10:00:00Z, or with +02:00. False: it may still be one. */
bool
ds_inventory_read_instant(const char *said, TimestampTz *instant)
{
	static const char shape[] = "0000-00-00T00:00:00";
	int length = sizeof(shape) - 1;
	const char *rest = said + length;
	int year;
	int month;
	int day;

	if (!looks_like(said, shape))
		return false;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (rest > said + length + 7 || rest == said + length + 1 ||
		(strcmp(rest, "Z") != 0 &&
		 !(strlen(rest) == 6 && (looks_like(rest, "+00:00") || looks_like(rest, "-00:00")) &&
		   number_at(rest, 1, 2) <= 15 && number_at(rest, 4, 2) < 60)))
		return false;
	year = number_at(said, 0, 4);
	month = number_at(said, 5, 2);
	day = number_at(said, 8, 2);
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > day_tab[isleap(year)][month - 1] ||
		number_at(said, 11, 2) > 23 || number_at(said, 14, 2) > 59 || number_at(said, 17, 2) > 59)
		return false;
	*instant = DatumGetTimestampTz(DirectFunctionCall3(
		timestamptz_in, CStringGetDatum(said), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	return true;
}

/* class_of does the class of the order that a demand is a line of: its key up to its last slash. */
static int
class_of(const char *key)
{
	const char *slash = strrchr(key, '/');
	int length = slash == NULL ? (int) strlen(key) : (int) (slash - key);

	return (int) (DatumGetUInt32(hash_any((const unsigned char *) key, length)) & (CLASSES - 1));
}

/* compare_integers does the order of classes. */
static int
compare_integers(const void *a, const void *b)
{
	int x = *(const int *) a;
	int y = *(const int *) b;

	return x < y ? -1 : x > y;
}

/* ds_inventory_lock_demands does the locking of the demands of all lines, class by class in their order. */
void
ds_inventory_lock_demands(const DsReserve *call)
{
	static const char name[] = "distsync.demand";
	int32 lock = (int32) DatumGetUInt32(hash_any((const unsigned char *) name, sizeof(name) - 1));
	int *classes = palloc_array(int, call->nlines);
	int n = 0;

	for (int i = 0; i < call->nlines; i++)
		if (call->lines[i].demand_key != NULL)
			classes[n++] = class_of(call->lines[i].demand_key);
	qsort(classes, n, sizeof(int), compare_integers);
	for (int i = 0; i < n; i++)
		if (i == 0 || classes[i] != classes[i - 1])
			DirectFunctionCall2(pg_advisory_xact_lock_int4, Int32GetDatum(lock),
								Int32GetDatum(classes[i]));
	/* what was committed while we waited is to be seen */
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* ds_inventory_demands_new does the question whether nobody has spoken of any of the demands of a call. */
bool
ds_inventory_demands_new(const DsReserve *call)
{
	DsReader *reader = ds_reader_open(&demand_table);
	bool known = false;

	for (int i = 0; i < call->nlines && !known; i++)
	{
		Datum key;

		if (call->lines[i].demand_key == NULL)
			continue;
		key = CStringGetTextDatum(call->lines[i].demand_key);
		ds_reader_seek(reader, &key, 1);
		known = ds_reader_next(reader);
	}
	ds_reader_close(reader);
	return !known;
}

/* ds_inventory_demands_open does the start of writing demands. False: the table wants more than we do. */
bool
ds_inventory_demands_open(DsReserve *call)
{
	call->demand_rows = ds_rows_open(&demand_rows);
	return call->demand_rows != NULL &&
		   ds_rows_tell_alike(call->demand_rows, call->reservation_rows);
}

/* compare_demands does the order in which demands are numbered: key, item, site. */
static int
compare_demands(const void *a, const void *b)
{
	const DsReserveGrant *x = *(DsReserveGrant *const *) a;
	const DsReserveGrant *y = *(DsReserveGrant *const *) b;
	int order = strcmp(x->line->demand_key, y->line->demand_key);

	if (order != 0)
		return order;
	if (x->pool->item_id != y->pool->item_id)
		return x->pool->item_id < y->pool->item_id ? -1 : 1;
	return x->pool->site_id < y->pool->site_id ? -1 : x->pool->site_id > y->pool->site_id;
}

/* add does the row of one demand at one site. */
static void
add(DsReserve *call, const DsReserveGrant *g, Numeric reserved, TimestampTz required_at)
{
	Numeric zero = ds_inventory_as_kept(int64_to_numeric(0));
	Datum values[D_COUNT] = {0};
	bool nulls[D_COUNT] = {false};

	values[D_ITEM] = Int64GetDatum(g->pool->item_id);
	values[D_ID] = Int64GetDatum(ds_next_number("dist", "demand_demand_id_seq"));
	values[D_KEY] = CStringGetTextDatum(g->line->demand_key);
	values[D_SITE] = Int64GetDatum(g->pool->site_id);
	values[D_CUSTOMER] = Int64GetDatum(call->options.customer_id);
	nulls[D_CUSTOMER] = call->options.customer_id == 0;
	values[D_RESERVED] = NumericGetDatum(ds_inventory_as_kept(reserved));
	values[D_ORDERED] = values[D_ALLOCATED] = values[D_SHIPPED] = values[D_AHEAD] =
		NumericGetDatum(zero);
	values[D_OUTSIDE] = BoolGetDatum(false);
	values[D_REQUIRED_AT] = TimestampTzGetDatum(required_at);
	nulls[D_REQUIRED_AT] = required_at == DT_NOEND;
	values[D_PRIORITY] = Int32GetDatum(call->options.priority);
	values[D_STATUS] = CStringGetTextDatum("open");
	values[D_RECORDED_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	ds_rows_add(call->demand_rows, values, nulls);
}

/* ds_inventory_add_demands does the rows of all demands that lines of a call serve. Who tells of the reservations tells of them. */
void
ds_inventory_add_demands(DsReserve *call)
{
	DsReserveGrant **serving =
		palloc_extended(sizeof(DsReserveGrant *) * call->ngrants, MCXT_ALLOC_HUGE);
	int n = 0;

	for (int i = 0; i < call->ngrants; i++)
		if (call->grants[i].line->demand_key != NULL)
			serving[n++] = &call->grants[i];
	qsort(serving, n, sizeof(DsReserveGrant *), compare_demands);
	for (int i = 0; i < n;)
	{
		DsReserveGrant *first = serving[i];
		Numeric reserved = int64_to_numeric(0);
		TimestampTz required_at = DT_NOEND;

		for (; i < n && compare_demands(&first, &serving[i]) == 0; i++)
		{
			reserved = DS_NUMERIC(numeric_add, reserved, serving[i]->quantity);
			required_at = Min(required_at, serving[i]->line->requested_at);
		}
		add(call, first, reserved, required_at);
	}
	ds_rows_flush(call->demand_rows);
}
