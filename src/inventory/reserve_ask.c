/*-------------------------------------------------------------------------
 *
 * reserve_ask.c
 *		Reading what reserve() is asked: options and lines, codes and units.
 *
 * Only what is plainly right is read here: anything else (a name that is not
 * ours, a value of another type, a line for a demand) is left to the whole
 * path, which knows how to say what is wrong.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/reserve.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "base/compat.h"
#include "base/reader.h"
#include "inventory/read.h"
#include "inventory/said.h"

#define MAX_LINES 10000
#define TTL_DIGITS 6

enum
{
	I_ID,
	I_BASE_UNIT,
	I_KIT,
	I_STATUS
};

static DsTable item_table = {
	.name = "item",
	.index = "item_sku_uq",
	.keys = {"sku"},
	.columns = {"item_id", "base_unit", "kit", "status"},
};

enum
{
	U_NUMERATOR,
	U_DENOMINATOR
};

static DsTable unit_table = {
	.name = "item_unit",
	.index = "item_unit_pk",
	.keys = {"item_id", "unit"},
	.columns = {"numerator", "denominator"},
};

static DsTable site_table = {
	.name = "site",
	.index = "site_code_uq",
	.keys = {"code"},
	.columns = {"site_id"},
};

static DsTable party_table = {
	.name = "party",
	.index = "party_code_uq",
	.keys = {"code"},
	.columns = {"party_id"},
};

static DsTable channel_table = {
	.name = "channel",
	.index = "channel_code_uq",
	.keys = {"code"},
	.columns = {"channel_id"},
};

static DsTable company_table = {
	.name = "company",
	.index = "company_code_uq",
	.keys = {"code"},
	.columns = {"company_id"},
};

/* lots that are too old for a customer are not in its pools' numbers */
static DsTable shelf_table = {
	.name = "shelf_rule",
	.index = "shelf_rule_pk",
	.keys = {"customer_id"},
	.columns = {"customer_id"},
};

/* where sites are chosen by other rules than ours */
static DsTable sourcing_table = {
	.name = "sourcing_rule",
	.index = "sourcing_rule_pk",
	.keys = {"company_id"},
	.columns = {"company_id"},
};

/* The site of the line before: most calls name one. */
typedef struct LastSite
{
	char *code;
	int64 id;
} LastSite;

/* copy does a C string of a JSON string; NULL = it is none. */
static char *
copy(const JsonbValue *value)
{
	return value->type == jbvString ? pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}

/* code_of does the same for a code; NULL = also where it is so long that the whole path has something to say about it. */
static char *
code_of(const JsonbValue *value)
{
	return value->type == jbvString && value->val.string.len <= 255 ? copy(value) : NULL;
}

/*
 * read_ttl does the reading of a time such as "15 minutes"; whatever else an
 * interval may look like is read by the whole path.
 */
static bool
read_ttl(const char *said, Interval *ttl)
{
	static const struct
	{
		const char *name;
		int64 length;
	} units[] = {{"millisecond", 1000},
				 {"second", USECS_PER_SEC},
				 {"minute", USECS_PER_MINUTE},
				 {"hour", USECS_PER_HOUR}};
	size_t digits = strspn(said, "0123456789");
	const char *unit = said + digits + 1;
	long number;

	if (digits < 1 || digits > TTL_DIGITS || said[digits] != ' ')
		return false;
	number = strtol(said, NULL, 10);
	for (int i = 0; i < lengthof(units); i++)
	{
		size_t length = strlen(units[i].name);

		if (strncmp(unit, units[i].name, length) != 0 ||
			(unit[length] != '\0' && strcmp(unit + length, "s") != 0))
			continue;
		ttl->time = number * units[i].length;
		ttl->day = 0;
		ttl->month = 0;
		return number > 0 && ttl->time <= 366 * USECS_PER_DAY;
	}
	return false;
}

/* read_integer does the reading of a whole number that fits into an integer and is not below 0. */
static bool
read_integer(const JsonbValue *value, int *result)
{
	char *said;

	if (value->type != jbvNumeric)
		return false;
	said = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	if (strspn(said, "0123456789") != strlen(said) || strlen(said) > 9)
		return false;
	*result = (int) strtol(said, NULL, 10);
	return true;
}

/* read_word does the choice of one of two words; which says which. */
static bool
read_word(const JsonbValue *value, const char *first, const char *second, const char **word)
{
	char *said = copy(value);

	if (said == NULL)
		return false;
	*word = strcmp(said, first) == 0 ? first : strcmp(said, second) == 0 ? second : NULL;
	return *word != NULL;
}

/* read_option does the reading of one option. */
static bool
read_option(void *into, const char *name, const JsonbValue *value)
{
	DsReserve *call = into;
	DsReserveOptions *o = &call->options;
	DsCommand *c = &call->command;
	struct
	{
		const char *name;
		char **target;
	} texts[] = {{"holder", &o->holder},   {"customer", &o->customer}, {"channel", &o->channel},
				 {"company", &o->company}, {"source", &c->source},	   {"idempotency_key", &c->key},
				 {"reason", &c->reason}};
	const char *mode;

	for (int i = 0; i < lengthof(texts); i++)
	{
		if (strcmp(name, texts[i].name) != 0)
			continue;
		*texts[i].target = code_of(value);
		return *texts[i].target != NULL && **texts[i].target != '\0';
	}
	if (strcmp(name, "ttl") == 0)
		return value->type == jbvString && read_ttl(copy(value), &o->ttl);
	if (strcmp(name, "mode") == 0)
	{
		bool known = read_word(value, "all_or_none", "take_up_to", &mode);

		o->up_to = known && strcmp(mode, "take_up_to") == 0;
		return known;
	}
	if (strcmp(name, "kind") == 0)
		return read_word(value, "hard", "soft", &o->kind);
	if (strcmp(name, "priority") == 0)
		return read_integer(value, &o->priority);
	if (strcmp(name, "split") == 0)
		return ds_inventory_said_flag(value, &o->split);
	if (strcmp(name, "commit") == 0)
		return ds_inventory_said_flag(value, &o->commit);
	return false;
}

/* find_id does the look-up of the id behind one of our codes; 0 for none. */
static bool
find_id(DsTable *table, const char *code, int64 *id)
{
	DsReader *reader;
	Datum key;
	bool found;

	*id = 0;
	if (code == NULL)
		return true;
	reader = ds_reader_open(table);
	key = CStringGetTextDatum(code);
	found = ds_reader_find(reader, &key);
	if (found)
		*id = DatumGetInt64(reader->values[0]);
	ds_reader_close(reader);
	return found;
}

/* ds_inventory_has_shelf_rules does the question whether a customer wants lots that last longer than others do. */
bool
ds_inventory_has_shelf_rules(int64 customer_id)
{
	DsReader *reader;
	Datum key = Int64GetDatum(customer_id);
	bool found;

	if (customer_id == 0)
		return false;
	reader = ds_reader_open(&shelf_table);
	ds_reader_seek(reader, &key, 1);
	found = ds_reader_next(reader);
	ds_reader_close(reader);
	return found;
}

/* ds_inventory_usual_options does what holds where nothing is said. */
void
ds_inventory_usual_options(DsReserveOptions *o)
{
	o->ttl.time = 15 * USECS_PER_MINUTE;
	o->split = true;
	o->kind = "hard";
	o->priority = 100;
}

/* ds_inventory_read_options does the reading of the options of a call. */
bool
ds_inventory_read_options(DsReserve *call)
{
	DsReserveOptions *o = &call->options;

	ds_inventory_usual_options(o);
	return JB_ROOT_IS_OBJECT(call->options_said) &&
		   ds_inventory_said_members(&call->options_said->root, read_option, call) &&
		   find_id(&party_table, o->customer, &o->customer_id) &&
		   !ds_inventory_has_shelf_rules(o->customer_id) &&
		   find_id(&channel_table, o->channel, &o->channel_id) &&
		   find_id(&company_table, o->company, &o->company_id);
}

/* in_range does the check of a quantity as it was said: above 0, 14 digits before the point and 6 after. */
static bool
in_range(Numeric quantity)
{
	static const int64 most = INT64CONST(100000000000000);

	return !numeric_is_nan(quantity) && !numeric_is_inf(quantity) &&
		   DS_NUMERIC_IS(numeric_gt, quantity, int64_to_numeric(0)) &&
		   DS_NUMERIC_IS(numeric_lt, quantity, int64_to_numeric(most)) &&
		   DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(quantity))) <= 20 &&
		   DatumGetInt32(DirectFunctionCall1(numeric_min_scale, NumericGetDatum(quantity))) <= 6;
}

/* to_base does the turning of a quantity into base units, if it comes out even at six decimals. */
static bool
to_base(DsReserveLine *line)
{
	Numeric million = int64_to_numeric(1000000);
	Numeric product = DS_NUMERIC(numeric_mul, line->quantity, line->numerator);
	Numeric millionths = DS_NUMERIC(numeric_mul, product, million);
	Numeric most =
		DS_NUMERIC(numeric_mul, int64_to_numeric(INT64CONST(100000000000000)), line->denominator);
	Numeric step = DatumGetNumeric(
		DirectFunctionCall3(numeric_in, CStringGetDatum("0.000001"), 0, Int32GetDatum(-1)));

	if (!DS_NUMERIC_IS(numeric_eq, DS_NUMERIC(numeric_mod, millionths, line->denominator),
					   int64_to_numeric(0)) ||
		!DS_NUMERIC_IS(numeric_lt, product, most))
		return false;
	line->quantity =
		DS_NUMERIC(numeric_mul, DS_NUMERIC(numeric_div_trunc, millionths, line->denominator), step);
	return DS_NUMERIC_IS(numeric_gt, line->quantity, int64_to_numeric(0));
}

/*
 * ds_inventory_whole_steps does the part of a quantity in base units that a
 * site may promise to a line. What comes in whole base units needs no look at
 * them, if the line is asked in them.
 */
Numeric
ds_inventory_whole_steps(DsReserveLine *line, Numeric quantity)
{
	if (line->step == 0 && ds_inventory_is_whole(quantity))
		return quantity;
	if (line->step == 0)
		line->step = ds_inventory_step(1, 1, DS_INVENTORY_SCALE,
									   ds_inventory_scale(CStringGetTextDatum(line->base_unit)));
	return ds_inventory_in_steps(quantity, line->step);
}

/* in_steps does the check that a line asks for whole steps. */
static bool
in_steps(DsReserveLine *line)
{
	Numeric whole = ds_inventory_whole_steps(line, line->quantity);

	return whole == line->quantity || DS_NUMERIC_IS(numeric_eq, whole, line->quantity);
}

/* find_unit does the look-up of the unit of a line, which is not the base unit. */
static bool
find_unit(DsReserveLine *line)
{
	DsReader *reader = ds_reader_open(&unit_table);
	Datum keys[2] = {Int64GetDatum(line->item_id), CStringGetTextDatum(line->unit)};
	int decimals =
		DatumGetInt32(DirectFunctionCall1(numeric_min_scale, NumericGetDatum(line->quantity)));
	int scale = ds_inventory_scale(keys[1]);
	bool found;

	ds_reader_seek(reader, keys, 2);
	found = ds_reader_next(reader);
	if (found)
	{
		line->numerator = int64_to_numeric(DatumGetInt64(reader->values[U_NUMERATOR]));
		line->denominator = int64_to_numeric(DatumGetInt64(reader->values[U_DENOMINATOR]));
		line->step = ds_inventory_step(DatumGetInt64(reader->values[U_NUMERATOR]),
									   DatumGetInt64(reader->values[U_DENOMINATOR]), scale,
									   ds_inventory_scale(CStringGetTextDatum(line->base_unit)));
	}
	ds_reader_close(reader);
	return found && decimals <= scale && line->step > 0 && to_base(line) && in_steps(line);
}

/* find_item does the look-up of the item of a line, which may be promised and has stock of its own. */
static bool
find_item(DsReader *items, DsReserveLine *line)
{
	Datum sku = CStringGetTextDatum(line->sku);

	if (!ds_reader_find(items, &sku) || DatumGetBool(items->values[I_KIT]) ||
		!ds_reader_text_is(items, I_STATUS, "active"))
		return false;
	line->item_id = DatumGetInt64(items->values[I_ID]);
	line->base_unit = TextDatumGetCString(items->values[I_BASE_UNIT]);
	if (line->unit == NULL || strcmp(line->unit, line->base_unit) == 0)
	{
		line->unit = line->base_unit;
		return in_steps(line);
	}
	return find_unit(line);
}

/* find_site does the look-up of the site of a line. */
static bool
find_site(LastSite *last, const char *code, int64 *id)
{
	if (last->code == NULL || strcmp(last->code, code) != 0)
	{
		if (!find_id(&site_table, code, &last->id))
			return false;
		last->code = pstrdup(code);
	}
	*id = last->id;
	return true;
}

/* read_member does the reading of one member of a line. */
static bool
read_member(void *into, const char *name, const JsonbValue *value)
{
	DsReserveLine *line = into;

	if (strcmp(name, "item") == 0)
		return (line->sku = code_of(value)) != NULL;
	if (strcmp(name, "unit") == 0)
		return (line->unit = code_of(value)) != NULL;
	if (strcmp(name, "site") == 0)
		return (line->site = code_of(value)) != NULL;
	if (strcmp(name, "quantity") == 0)
	{
		line->quantity = value->type == jbvNumeric
							 ? DatumGetNumericCopy(NumericGetDatum(value->val.numeric))
							 : NULL;
		return line->quantity != NULL && in_range(line->quantity);
	}
	if (strcmp(name, "demand_key") == 0)
		return value->type == jbvNull ||
			   ((line->demand_key = code_of(value)) != NULL && *line->demand_key != '\0');
	return strcmp(name, "requested_at") != 0 || value->type == jbvNull ||
		   (value->type == jbvString &&
			ds_inventory_read_instant(copy(value), &line->requested_at));
}

/* read_line does the reading of one line. */
static bool
read_line(DsReserveLine *line, JsonbContainer *said, DsReader *items, LastSite *last)
{
	line->quantity = int64_to_numeric(1);
	line->requested_at = DT_NOEND;
	return ds_inventory_said_members(said, read_member, line) && line->sku != NULL &&
		   find_item(items, line) &&
		   (line->site == NULL || find_site(last, line->site, &line->site_id));
}

/* compare_lines does the order in which lines are served: item, then place in the request. */
static int
compare_lines(const void *a, const void *b)
{
	const DsReserveLine *x = a;
	const DsReserveLine *y = b;

	if (x->item_id != y->item_id)
		return x->item_id < y->item_id ? -1 : 1;
	return x->ordinal - y->ordinal;
}

/* has_sourcing does the question whether there is any rule that says which site serves first. */
static bool
has_sourcing(void)
{
	DsReader *reader = ds_reader_open(&sourcing_table);
	bool found;

	ds_reader_seek(reader, NULL, 0);
	found = ds_reader_next(reader);
	ds_reader_close(reader);
	return found;
}

/* ds_inventory_sort_lines does the sorting of lines as they are served. False: who serves them is for rules to say. */
bool
ds_inventory_sort_lines(DsReserve *call)
{
	qsort(call->lines, call->nlines, sizeof(DsReserveLine), compare_lines);
	return !(call->choose && has_sourcing());
}

/* ds_inventory_read_lines does the reading of the lines of a call, and sorts them. */
bool
ds_inventory_read_lines(DsReserve *call)
{
	JsonbContainer *said = &call->lines_said->root;
	int n = (int) JsonContainerSize(said);
	LastSite last = {NULL, 0};
	DsReader *items;
	bool good = true;

	if (!JsonContainerIsArray(said) || JsonContainerIsScalar(said) || n < 1 || n > MAX_LINES)
		return false;
	call->lines = palloc0(sizeof(DsReserveLine) * n);
	items = ds_reader_open(&item_table);
	for (call->nlines = 0; good && call->nlines < n; call->nlines++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(said, call->nlines);
		DsReserveLine *line = &call->lines[call->nlines];

		line->ordinal = call->nlines + 1;
		good = value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data) &&
			   read_line(line, value->val.binary.data, items, &last);
		call->choose = call->choose || line->site_id == 0;
		call->serving = call->serving || line->demand_key != NULL;
	}
	ds_reader_close(items);
	return good && ds_inventory_sort_lines(call);
}
