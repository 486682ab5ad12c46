/*-------------------------------------------------------------------------
 *
 * event_code.c
 *		What the codes of stock events mean: items, sites, owners, states and
 *		units, each looked up once a call; sites and states are kept between calls
 *		as long as nobody changes one. A code that is not ours may be the
 *		sender's own name. A GTIN, or one that is none: that is for SQL to say.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "port/pg_bitutils.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rangetypes.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "base/codes.h"
#include "base/compat.h"
#include "base/reader.h"
#include "inventory/event.h"

#define KEPT_CODES 512 /* a power of two */
#define MAX_KEPT 48

/* what a code is a code of */
typedef enum CodeKind
{
	CODE_ITEM,
	CODE_SITE,
	CODE_OWNER,
	CODE_STATE,
	CODE_KINDS
} CodeKind;

/* A code that was looked up, in a chain of those that share a bucket. */
typedef struct CodeEntry
{
	struct CodeEntry *next;
	uint32 hash;
	CodeKind kind;
	DsSlice code;
	bool found;
	DsEventCode what;
} CodeEntry;

/* columns of each kind: its id first */
enum
{
	C_ID,
	C_BASE_UNIT,
	C_KIT,
	C_SERIAL,
	C_LOTS
};

static DsTable code_tables[CODE_KINDS] = {
	[CODE_ITEM] = {.name = "item",
				   .index = "item_sku_uq",
				   .keys = {"sku"},
				   .columns = {"item_id", "base_unit", "kit", "serial_controlled",
							   "lot_controlled"}},
	[CODE_SITE] = {.name = "site",
				   .index = "site_code_uq",
				   .keys = {"code"},
				   .columns = {"site_id"}},
	[CODE_OWNER] = {.name = "party",
					.index = "party_code_uq",
					.keys = {"code"},
					.columns = {"party_id"}},
	[CODE_STATE] = {.name = "stock_state",
					.index = "stock_state_pk",
					.keys = {"state"},
					.columns = {"promisable", "ages_into"}},
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

enum
{
	X_CODE,
	X_STATUS,
	X_VALID
};

/* what another system calls our things */
static DsTable name_table = {
	.schema = "sync",
	.name = "xref",
	.index = "xref_pk",
	.keys = {"system", "entity", "external_id"},
	.columns = {"code", "status", "valid"},
};

/* A code of a small table, as it was found under a number of ds_codes_epoch(). */
typedef struct Kept
{
	int64 codes;
	CodeKind kind;
	int len;
	char code[MAX_KEPT];
	DsEventCode what;
} Kept;

/* a code has one place here, and shares it with others */
static Kept kept[KEPT_CODES];

struct DsEventCodes
{
	int64 epoch; /* what is kept under this number is current */
	text *source;
	DsReader *names;
	CodeEntry **bucket;
	uint32 mask; /* number of buckets, a power of two, less one */
	DsReader *reader[CODE_KINDS];
	DsReader *units;
};

/* take_code does the keeping of what a row says of a code. False: it is a kit, which has no stock. */
static bool
take_code(CodeKind kind, const DsReader *reader, DsEventCode *what)
{
	if (kind == CODE_STATE)
	{
		what->promisable = DatumGetBool(reader->values[0]);
		what->ages = !what->promisable && !reader->nulls[1];
		return true;
	}
	what->id = DatumGetInt64(reader->values[C_ID]);
	if (kind == CODE_ITEM)
	{
		text *unit = DatumGetTextPCopy(reader->values[C_BASE_UNIT]);

		what->unit.s = VARDATA_ANY(unit);
		what->unit.len = VARSIZE_ANY_EXHDR(unit);
		what->serial = DatumGetBool(reader->values[C_SERIAL]);
		what->lots = DatumGetBool(reader->values[C_LOTS]);
		return !DatumGetBool(reader->values[C_KIT]);
	}
	return true;
}

/* entry_of does the entry of a code; it is made where there is none. */
static CodeEntry *
entry_of(struct DsEventCodes *codes, CodeKind kind, DsSlice code, bool *known)
{
	uint32 hash = hash_bytes((const unsigned char *) code.s, code.len) + (uint32) kind;
	CodeEntry **bucket = &codes->bucket[hash & codes->mask];
	CodeEntry *entry;

	for (entry = *bucket; entry != NULL; entry = entry->next)
		if (entry->hash == hash && entry->kind == kind &&
			ds_inventory_slice_compare(entry->code, code) == 0)
			break;
	*known = entry != NULL;
	if (!*known)
	{
		entry = palloc0(sizeof(CodeEntry));
		entry->hash = hash;
		entry->kind = kind;
		entry->code = code;
		entry->next = *bucket;
		*bucket = entry;
	}
	return entry;
}

/* place_of does the place of a code of a small table among those that are kept; NULL: it is not kept. */
static Kept *
place_of(const struct DsEventCodes *codes, CodeKind kind, uint32 hash, DsSlice code)
{
	return codes->epoch == DS_CODES_UNKNOWN || (kind != CODE_SITE && kind != CODE_STATE) ||
				   code.len > MAX_KEPT
			   ? NULL
			   : &kept[hash & (KEPT_CODES - 1)];
}

/* recall does what is kept of a code. False: nothing that is current. */
static bool
recall(const struct DsEventCodes *codes, CodeEntry *entry)
{
	const Kept *k = place_of(codes, entry->kind, entry->hash, entry->code);

	if (k == NULL || k->codes != codes->epoch || k->kind != entry->kind ||
		k->len != entry->code.len || memcmp(k->code, entry->code.s, k->len) != 0)
		return false;
	entry->what = k->what;
	entry->found = true;
	return true;
}

/* keep does the keeping of a code of ours that was found. */
static void
keep(const struct DsEventCodes *codes, const CodeEntry *entry)
{
	Kept *k = place_of(codes, entry->kind, entry->hash, entry->code);

	if (k == NULL)
		return;
	k->codes = codes->epoch;
	k->kind = entry->kind;
	k->len = entry->code.len;
	memcpy(k->code, entry->code.s, k->len);
	k->what = entry->what;
}

/* our_code does our code for what the sender calls so. False: nobody knows that name of it. */
static bool
our_code(struct DsEventCodes *codes, CodeKind kind, Datum *code)
{
	static const char *const entities[] = {
		[CODE_ITEM] = "item", [CODE_SITE] = "site", [CODE_OWNER] = "party"};
	DsReader *reader = codes->names;
	Datum keys[3] = {PointerGetDatum(codes->source), CStringGetTextDatum(entities[kind]), *code};
	bool found;

	if (reader == NULL)
		reader = codes->names = ds_reader_open(&name_table);
	ds_reader_seek(reader, keys, 3);
	found = ds_reader_next(reader) &&
			(ds_reader_text_is(reader, X_STATUS, "active") ||
			 ds_reader_text_is(reader, X_STATUS, "merged")) &&
			range_contains_elem_internal(lookup_type_cache(TSTZRANGEOID, TYPECACHE_RANGE_INFO),
										 DatumGetRangeTypeP(reader->values[X_VALID]),
										 TimestampTzGetDatum(GetCurrentStatementStartTimestamp()));
	if (found)
		*code = PointerGetDatum(DatumGetTextPCopy(reader->values[X_CODE]));
	return found;
}

/* find_code does the look-up of a code; NULL: it is none of ours, or one that SQL has to speak about. */
static const DsEventCode *
find_code(struct DsEventCodes *codes, CodeKind kind, DsSlice code)
{
	bool known;
	CodeEntry *entry = entry_of(codes, kind, code, &known);

	if (!known && !recall(codes, entry))
	{
		Datum value = ds_inventory_slice_text(code);
		DsReader *reader = codes->reader[kind];
		bool ours;

		if (reader == NULL)
			reader = codes->reader[kind] = ds_reader_open(&code_tables[kind]);
		known = ours = ds_reader_find(reader, &value);
		if (!known && kind != CODE_STATE && our_code(codes, kind, &value))
		{
			ds_reader_seek(reader, &value, 1);
			known = ds_reader_next(reader);
		}
		entry->found = known && take_code(kind, reader, &entry->what);
		if (ours && entry->found)
			keep(codes, entry);
	}
	return entry->found ? &entry->what : NULL;
}

/* at_six_decimals does a number as quantities are kept. False: it has more decimals, or too many digits before them. */
static bool
at_six_decimals(Numeric value, Numeric *result)
{
	static const int32 typmod = ((38 << 16) | 6) + VARHDRSZ;
	Numeric kept = DatumGetNumeric(
		DirectFunctionCall2(numeric, NumericGetDatum(value), Int32GetDatum(typmod)));
	Numeric size = DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(kept)));

	*result = kept;
	return DatumGetBool(
			   DirectFunctionCall2(numeric_eq, NumericGetDatum(kept), NumericGetDatum(value))) &&
		   DatumGetBool(
			   DirectFunctionCall2(numeric_lt, NumericGetDatum(size),
								   NumericGetDatum(int64_to_numeric(INT64CONST(100000000000000)))));
}

/* in_base_unit does the quantity of an event in base units. False: there is no such unit, or it does not come out even. */
static bool
in_base_unit(DsEventCall *call, DsEvent *event)
{
	DsReader *reader = call->codes->units;
	Datum keys[2];
	Numeric product;
	Numeric quotient;
	Numeric back;

	if (event->unit.s == NULL || ds_inventory_slice_compare(event->unit, event->item->unit) == 0)
		return at_six_decimals(event->quantity, &event->quantity);
	if (reader == NULL)
		reader = call->codes->units = ds_reader_open(&unit_table);
	keys[0] = Int64GetDatum(event->item->id);
	keys[1] = ds_inventory_slice_text(event->unit);
	ds_reader_seek(reader, keys, 2);
	if (!ds_reader_next(reader))
		return false;
	product = DatumGetNumeric(DirectFunctionCall2(
		numeric_mul, NumericGetDatum(event->quantity),
		NumericGetDatum(int64_to_numeric(DatumGetInt64(reader->values[U_NUMERATOR])))));
	quotient = DatumGetNumeric(DirectFunctionCall2(
		numeric_div, NumericGetDatum(product),
		NumericGetDatum(int64_to_numeric(DatumGetInt64(reader->values[U_DENOMINATOR])))));
	if (!at_six_decimals(quotient, &event->quantity))
		return false;
	/* a quotient is rounded somewhere: only the way back proves that it came out even */
	back = DatumGetNumeric(DirectFunctionCall2(
		numeric_mul, NumericGetDatum(event->quantity),
		NumericGetDatum(int64_to_numeric(DatumGetInt64(reader->values[U_DENOMINATOR])))));
	return DatumGetBool(
		DirectFunctionCall2(numeric_eq, NumericGetDatum(back), NumericGetDatum(product)));
}

/* site_of does the id of a site; 0 = it is none of ours. */
static int64
site_of(struct DsEventCodes *codes, DsSlice code)
{
	const DsEventCode *site = find_code(codes, CODE_SITE, code);

	return site == NULL ? 0 : site->id;
}

/* resolve_event does the codes of one event. False: SQL has to look at it. */
static bool
resolve_event(DsEventCall *call, DsEvent *event)
{
	struct DsEventCodes *codes = call->codes;
	const DsEventCode *owner;

	if (event->state.s == NULL)
	{
		event->state.s = "available";
		event->state.len = strlen(event->state.s);
	}
	if (event->to_state.s == NULL)
		event->to_state = event->state;
	if (event->lot.s == NULL)
		event->lot.s = "";
	if (event->stream.s == NULL)
		event->stream.s = "";
	event->item = find_code(codes, CODE_ITEM, event->sku);
	event->site_id = site_of(codes, event->site);
	event->to_site_id = event->to_site.s == NULL ? 0 : site_of(codes, event->to_site);
	event->from = find_code(codes, CODE_STATE, event->state);
	event->to = find_code(codes, CODE_STATE, event->to_state);
	if (event->item == NULL || event->site_id == 0 || event->from == NULL || event->to == NULL ||
		(event->to_site.s != NULL && event->to_site_id == 0))
		return false;
	/* whose lot is missing is for SQL to refuse */
	if (event->item->lots && !event->book && event->lot.len == 0)
		return false;
	if (event->owner.s != NULL)
	{
		owner = find_code(codes, CODE_OWNER, event->owner);
		if (owner == NULL)
			return false;
		event->owner_id = owner->id;
	}
	return in_base_unit(call, event);
}

/* ds_inventory_event_resolve does the codes of all events of a call. False: SQL has to look at one of them. */
bool
ds_inventory_event_resolve(DsEventCall *call)
{
	struct DsEventCodes *codes = palloc0(sizeof(struct DsEventCodes));
	bool fine = true;

	codes->epoch = call->documents->codes;
	codes->source = call->documents->source;
	codes->mask = pg_nextpower2_32((uint32) call->n + 16) - 1;
	codes->bucket = palloc0(mul_size(sizeof(CodeEntry *), codes->mask + 1));
	call->codes = codes;
	for (int i = 0; i < call->n && fine; i++)
		fine = resolve_event(call, &call->event[i]);
	for (int kind = 0; kind < CODE_KINDS; kind++)
		if (codes->reader[kind] != NULL)
			ds_reader_close(codes->reader[kind]);
	if (codes->units != NULL)
		ds_reader_close(codes->units);
	if (codes->names != NULL)
		ds_reader_close(codes->names);
	return fine;
}
