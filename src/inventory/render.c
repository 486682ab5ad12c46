/*-------------------------------------------------------------------------
 *
 * render.c
 *		What the event stock.atp_changed says of items: what each site and
 *		each channel may sell now.
 *
 * A courier does this for every item that has moved. Most have pools that
 * hold, are in no kit and set nothing aside, and channels look at them from
 * the careful side: these are told from the rows of their pools. Of all others
 * distsync_internal.inventory_render_whole() says the same, slower.
 *
 * Process: any backend, mostly the courier. Locks: AccessShareLock on what is
 * read. Memory: a context of its own, given back with each item; rows in the
 * tuplestore.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/tuplestore.h"
#include "base/compat.h"
#include "base/export.h"
#include "base/json.h"
#include "base/reader.h"
#include "base/verb.h"
#include "inventory/read.h"

DS_FUNCTION_INFO_V1(ds_sql_inventory_render);

#define OP(function, a, b)                                                                         \
	DatumGetNumeric(DirectFunctionCall2((function), NumericGetDatum(a), NumericGetDatum(b)))

/* columns of an answer */
#define COLUMNS 4

/* digits of the number of an item */
#define MAX_DIGITS 18

enum
{
	I_SKU,
	I_BASE_UNIT,
	I_KIT,
	I_STATUS
};

static DsTable item_table = {
	.name = "item",
	.index = "item_pk",
	.keys = {"item_id"},
	.columns = {"sku", "base_unit", "kit", "status"},
};

static DsTable component_table = {
	.name = "item_component",
	.index = "item_component_component_idx",
	.keys = {"component_id"},
	.columns = {"component_id"},
};

static DsTable quota_table = {
	.name = "stock_quota",
	.index = "stock_quota_pk",
	.keys = {"item_id"},
	.columns = {"item_id"},
};

enum
{
	L_CHANNEL,
	L_BUFFER,
	L_CAP,
	L_THRESHOLD,
	L_MODE
};

/* what a channel lists */
static DsTable listed_table = {
	.name = "channel_item",
	.index = "channel_item_pk",
	.keys = {"item_id"},
	.columns = {"channel_id", "buffer", "cap", "threshold", "mode"},
};

enum
{
	C_CODE,
	C_COMPANY
};

static DsTable channel_table = {
	.name = "channel",
	.index = "channel_pk",
	.keys = {"channel_id"},
	.columns = {"code", "company_id"},
};

/* A site or channel, and how much it may sell. */
typedef struct Place
{
	char *code;
	int64 company_id; /* 0 = none */
	Numeric quantity;
} Place;

typedef struct Rendering
{
	ReturnSetInfo *out;
	TimestampTz at;
	MemoryContext each;
	DsReader *items;
	DsReader *components;
	DsReader *quotas;
	DsReader *listed;
	DsReader *channels;
	Datum *rest; /* keys of what needs more */
	int nrest;
} Rendering;

/* compare_places does the order of codes. */
static int
compare_places(const void *a, const void *b)
{
	return strcmp(((const Place *) a)->code, ((const Place *) b)->code);
}

/* is_in does the question whether a table has a row of an item. */
static bool
is_in(DsReader *reader, Datum item_id)
{
	ds_reader_seek(reader, &item_id, 1);
	return ds_reader_next(reader);
}

/* sites does what each site may sell, by code; when it was known last. Negative: a pool does not hold any more. */
static int
sites(const Rendering *r, Datum item_id, bool active, Place **places, TimestampTz *known_at)
{
	Numeric zero = int64_to_numeric(0);
	DsInventoryPool *pools;
	int n = ds_inventory_find_pools(item_id, 0, r->at, &pools);

	*places = palloc(sizeof(Place) * Max(n, 1));
	*known_at = DT_NOBEGIN;
	for (int i = 0; i < n; i++)
	{
		const DsInventoryPool *p = &pools[i];
		Numeric promised = OP(numeric_add, p->held, p->committed);
		Numeric rest = OP(numeric_sub, OP(numeric_add, p->low, p->backorder), promised);

		rest = OP(numeric_larger, zero, OP(numeric_add, rest, ds_inventory_base(p)));
		(*places)[i] = (Place){p->code, p->company_id, active ? rest : zero};
		*known_at = Max(*known_at, p->changed_at);
	}
	if (n > 1)
		qsort(*places, n, sizeof(Place), compare_places);
	return n;
}

/* shown does what a channel is shown of what there is, as inventory_shown() has it. */
static Numeric
shown(const DsReader *listed, Numeric atp)
{
	Numeric least = int64_to_numeric(0);
	Numeric free =
		OP(numeric_larger, least, OP(numeric_sub, atp, DatumGetNumeric(listed->values[L_BUFFER])));

	if (DatumGetBool(
			DirectFunctionCall2(numeric_lt, NumericGetDatum(free), listed->values[L_THRESHOLD])))
		return least;
	return listed->nulls[L_CAP] ? free
								: OP(numeric_smaller, free, DatumGetNumeric(listed->values[L_CAP]));
}

/* sum does what all sites have, or those of a company (0 = all). */
static Numeric
sum(const Place *places, int n, int64 company_id)
{
	Numeric all = int64_to_numeric(0);

	for (int i = 0; i < n; i++)
		if (company_id == 0 || places[i].company_id == company_id)
			all = OP(numeric_add, all, places[i].quantity);
	return all;
}

/* channels does what each channel is shown, by code. Negative: one looks at it in another way, or within shares. */
static int
channels(const Rendering *r, Datum item_id, const Place *from, int nfrom, Place **places)
{
	int room = 8;
	int n = 0;

	*places = palloc(sizeof(Place) * room);
	ds_reader_seek(r->listed, &item_id, 1);
	while (ds_reader_next(r->listed))
	{
		Place *p;

		if (!ds_reader_text_is(r->listed, L_MODE, "conservative") ||
			!ds_reader_find(r->channels, &r->listed->values[L_CHANNEL]))
			return -1;
		if (n == room)
			*places = repalloc(*places, sizeof(Place) * (room *= 2));
		p = &(*places)[n++];
		p->code = TextDatumGetCString(r->channels->values[C_CODE]);
		p->company_id =
			r->channels->nulls[C_COMPANY] ? 0 : DatumGetInt64(r->channels->values[C_COMPANY]);
		p->quantity = shown(r->listed, sum(from, nfrom, p->company_id));
	}
	if (n > 0 && is_in(r->quotas, item_id))
		return -1;
	if (n > 1)
		qsort(*places, n, sizeof(Place), compare_places);
	return n;
}

/* put_number does a number without zeros at its end. */
static void
put_number(DsJson *json, const char *key, Numeric value)
{
	ds_json_number(
		json, key,
		DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(value))));
}

/* put_places does the list of places. */
static void
put_places(DsJson *json, const char *key, const char *name, const char *quantity,
		   const Place *places, int n)
{
	ds_json_open_array(json, key);
	for (int i = 0; i < n; i++)
	{
		ds_json_open_object(json, NULL);
		put_number(json, quantity, places[i].quantity);
		ds_json_text(json, name, places[i].code);
		ds_json_close_object(json);
	}
	ds_json_close_array(json);
}

/* render does the row of one item. False: it needs more than this. */
static bool
render(const Rendering *r, Datum key, Datum item_id)
{
	Datum values[COLUMNS] = {key};
	bool nulls[COLUMNS] = {false, false, true, false};
	Place *of_sites;
	Place *of_channels;
	TimestampTz known_at;
	DsJson json = {0};
	int nsites;
	int nchannels;

	/* of what is not there, or no more, there is nothing to say */
	if (!ds_reader_find(r->items, &item_id))
		return true;
	if (DatumGetBool(r->items->values[I_KIT]) || is_in(r->components, item_id))
		return false;
	nsites =
		sites(r, item_id, ds_reader_text_is(r->items, I_STATUS, "active"), &of_sites, &known_at);
	if (nsites < 0)
		return false;
	nchannels = channels(r, item_id, of_sites, nsites, &of_channels);
	if (nchannels < 0)
		return false;
	ds_json_open_object(&json, NULL);
	put_number(&json, "atp", sum(of_sites, nsites, 0));
	ds_json_text(&json, "sku", TextDatumGetCString(r->items->values[I_SKU]));
	ds_json_text(&json, "unit", TextDatumGetCString(r->items->values[I_BASE_UNIT]));
	put_places(&json, "sites", "site", "atp", of_sites, nsites);
	put_places(&json, "channels", "channel", "quantity", of_channels, nchannels);
	ds_json_instant(&json, "known_at", known_at);
	ds_json_close_object(&json);
	values[1] = r->items->values[I_SKU];
	values[3] = ds_json_finish(&json);
	tuplestore_putvalues(r->out->setResult, r->out->setDesc, values, nulls);
	return true;
}

/* read_key does the reading of a key: the number of an item. */
static bool
read_key(Datum key, Datum *item_id)
{
	const char *text = VARDATA_ANY(DatumGetPointer(key));
	int n = VARSIZE_ANY_EXHDR(DatumGetPointer(key));
	int64 id = 0;

	if (n < 1 || n > MAX_DIGITS)
		return false;
	for (int i = 0; i < n; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		id = id * 10 + (text[i] - '0');
	}
	*item_id = Int64GetDatum(id);
	return true;
}

/* ask does the same for what needs more. */
static void
ask(const Rendering *r)
{
	static const Oid types[] = {TEXTARRAYOID};
	LOCAL_FCINFO(behind, lengthof(types));
	FmgrInfo flinfo;
	ReturnSetInfo answer = *r->out;
	TupleTableSlot *slot;

	answer.returnMode = SFRM_ValuePerCall;
	answer.setResult = NULL;
	answer.setDesc = NULL;
	fmgr_info(ds_verb_behind("inventory_render_whole", types, lengthof(types)), &flinfo);
	InitFunctionCallInfoData(*behind, &flinfo, lengthof(types), InvalidOid, NULL, (Node *) &answer);
	behind->args[0].value =
		PointerGetDatum(construct_array(r->rest, r->nrest, TEXTOID, -1, false, TYPALIGN_INT));
	behind->args[0].isnull = false;
	FunctionCallInvoke(behind);
	/* of none of them there is anything to say */
	if (answer.setResult == NULL)
		return;
	slot = MakeSingleTupleTableSlot(answer.setDesc, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(answer.setResult, true, false, slot))
		tuplestore_puttupleslot(r->out->setResult, slot);
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(answer.setResult);
}

/* render_all does the rows of all keys. */
static void
render_all(Rendering *r, const Datum *keys, const bool *nulls, int n)
{
	for (int i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(r->each);
		Datum item_id;

		CHECK_FOR_INTERRUPTS();
		if (!nulls[i] && read_key(keys[i], &item_id) && !render(r, keys[i], item_id))
			r->rest[r->nrest++] = keys[i];
		MemoryContextSwitchTo(old);
		MemoryContextReset(r->each);
	}
}

/* ds_sql_inventory_render does inventory_render(keys). */
Datum
ds_sql_inventory_render(PG_FUNCTION_ARGS)
{
	Rendering r = {.out = (ReturnSetInfo *) fcinfo->resultinfo,
				   .at = GetCurrentStatementStartTimestamp()};
	Datum *keys;
	bool *nulls;
	int n;

	InitMaterializedSRF(fcinfo, 0);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &keys, &nulls,
					  &n);
	r.rest = palloc(sizeof(Datum) * Max(n, 1));
	r.items = ds_reader_open(&item_table);
	r.components = ds_reader_open(&component_table);
	r.quotas = ds_reader_open(&quota_table);
	r.listed = ds_reader_open(&listed_table);
	r.channels = ds_reader_open(&channel_table);
	r.each =
		AllocSetContextCreate(CurrentMemoryContext, "distsync rendering", ALLOCSET_SMALL_SIZES);
	render_all(&r, keys, nulls, n);
	MemoryContextDelete(r.each);
	ds_reader_close(r.channels);
	ds_reader_close(r.listed);
	ds_reader_close(r.quotas);
	ds_reader_close(r.components);
	ds_reader_close(r.items);
	if (r.nrest > 0)
		ask(&r);
	return (Datum) 0;
}
