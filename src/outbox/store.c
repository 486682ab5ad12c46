/*-------------------------------------------------------------------------
 *
 * store.c
 *		Events get version and place in the stream: what is news, the bytes
 *		that partners get, the bell, and the rooms that keep what was told.
 *
 * Of types that a room wants told only when there is news (handler told), what
 * was told last is kept as a hash beside the version of the entity: a state
 * that is still the same is no event.
 *
 * Process: any backend, mostly the courier; one at a time, under the lock of
 * the router. Locks: see stream.c. Memory: that of an SPI procedure, given back
 * at the end: the drafts, some two hundred bytes more for each, and the text of
 * KEPT_TEXT bytes of states.
 *
 *-------------------------------------------------------------------------
 */
#include "outbox/store.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/export.h"
#include "base/spi.h"

DS_FUNCTION_INFO_V1(ds_sql_outbox_store);

/* bytes of states that are kept as text from their hash to their event; others are printed twice */
#define KEPT_TEXT (16 * 1024 * 1024)

/* A type of events. */
typedef struct Type
{
	text *name;
	char *json;	   /* as JSON */
	char *channel; /* that it rings, NULL = none */
	char *prefix;  /* of the hash of its states */
	bool told;	   /* a room wants it told only when there is news */
	int n;		   /* events of it that are told */
} Type;

typedef struct Store
{
	DsOutboxDraft *drafts;
	int n;
	DsOutboxDraft **ordered; /* as they come in the stream */
	DsOutboxDraft **grouped; /* by entity */
	Type *types;
	int ntypes;
	DsOutboxSource source;
	DsOutboxStream stream;
	int64 last; /* position */
	Datum routed_at;
	DsOutboxText state; /* being read */
	int64 kept;			/* bytes of texts */
	MemoryContext each;
} Store;

static const Oid draft_types[D_COUNT] = {INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID,
										 INT8OID, JSONBOID,		  UUIDOID, UUIDOID, UUIDOID,
										 TEXTOID, BOOLOID,		  TEXTOID, BOOLOID, BOOLOID};

/* ds_outbox_draft_desc does the row type of a draft, if it is what we take it for; it has to be released. */
TupleDesc
ds_outbox_draft_desc(Oid type)
{
	TupleDesc desc = OidIsValid(type) ? lookup_rowtype_tupdesc_noerror(type, -1, true) : NULL;
	bool fits = desc != NULL && desc->natts == D_COUNT;

	for (int i = 0; fits && i < D_COUNT; i++)
		fits = !TupleDescAttr(desc, i)->attisdropped &&
			   TupleDescAttr(desc, i)->atttypid == draft_types[i];
	if (!fits)
		ereport(ERROR,
				(errcode(DS_ERRCODE_VERSION_MISMATCH),
				 errmsg("type distsync_internal.outbox_draft is not what the library expects"),
				 errhint("Update the extension to the version of the library: ALTER "
						 "EXTENSION distsync UPDATE.")));
	return desc;
}

/* read_draft does the reading of one draft. */
static void
read_draft(DsOutboxDraft *draft, Datum row, TupleDesc desc)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(row);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};

	heap_deform_tuple(&tuple, desc, draft->values, draft->nulls);
	for (int i = D_EVENT_TYPE; i <= D_ENTITY_KEY; i++)
	{
		if (draft->nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
							errmsg("an event has no %s", NameStr(TupleDescAttr(desc, i)->attname)),
							errhint("Look at the handler of kind render of its type.")));
		draft->values[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(draft->values[i]));
	}
	draft->gone = false;
	draft->text = NULL;
}

/* read_drafts does the reading of all. */
static void
read_drafts(Store *s, ArrayType *array)
{
	Datum *rows;
	bool *nulls;
	TupleDesc desc = ds_outbox_draft_desc(ARR_ELEMTYPE(array));

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_DOUBLE, &rows, &nulls, &s->n);
	s->drafts = palloc_extended(sizeof(DsOutboxDraft) * Max(s->n, 1), MCXT_ALLOC_HUGE);
	s->ordered = palloc_extended(sizeof(DsOutboxDraft *) * Max(s->n, 1), MCXT_ALLOC_HUGE);
	s->grouped = palloc_extended(sizeof(DsOutboxDraft *) * Max(s->n, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < s->n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("an event is missing")));
		read_draft(&s->drafts[i], rows[i], desc);
		s->ordered[i] = s->grouped[i] = &s->drafts[i];
	}
	ReleaseTupleDesc(desc);
}

/* ds_outbox_compare_texts does the order of texts by their bytes. */
int
ds_outbox_compare_texts(Datum a, Datum b)
{
	int an = (int) VARSIZE_ANY_EXHDR(DatumGetPointer(a));
	int bn = (int) VARSIZE_ANY_EXHDR(DatumGetPointer(b));
	int order =
		memcmp(VARDATA_ANY(DatumGetPointer(a)), VARDATA_ANY(DatumGetPointer(b)), Min(an, bn));

	return order != 0 ? order : an - bn;
}

/* compare_places does the order of the stream. */
static int
compare_places(const void *a, const void *b)
{
	const DsOutboxDraft *x = *(DsOutboxDraft *const *) a;
	const DsOutboxDraft *y = *(DsOutboxDraft *const *) b;
	int64 xn = DatumGetInt64(x->values[D_ORDINAL]);
	int64 yn = DatumGetInt64(y->values[D_ORDINAL]);
	int order;

	if (xn != yn)
		return xn < yn ? -1 : 1;
	order = ds_outbox_compare_texts(x->values[D_ENTITY_KEY], y->values[D_ENTITY_KEY]);
	return order != 0 ? order : (x > y) - (x < y);
}

/* compare_entities does the order of entities, and of the events of one. */
static int
compare_entities(const void *a, const void *b)
{
	const DsOutboxDraft *x = *(DsOutboxDraft *const *) a;
	const DsOutboxDraft *y = *(DsOutboxDraft *const *) b;
	int order = ds_outbox_compare_texts(x->values[D_ENTITY], y->values[D_ENTITY]);

	if (order == 0)
		order = ds_outbox_compare_texts(x->values[D_ENTITY_KEY], y->values[D_ENTITY_KEY]);
	return order != 0 ? order : x->place - y->place;
}

/* order_drafts does the two orders. */
static void
order_drafts(Store *s)
{
	qsort(s->ordered, s->n, sizeof(DsOutboxDraft *), compare_places);
	for (int i = 0; i < s->n; i++)
		s->ordered[i]->place = i;
	qsort(s->grouped, s->n, sizeof(DsOutboxDraft *), compare_entities);
}

/* as_json does a text as JSON. */
static char *
as_json(const char *value)
{
	StringInfoData text;

	initStringInfo(&text);
	escape_json(&text, value);
	return text.data;
}

/* find_source does the reading of who we are. */
static void
find_source(Store *s)
{
	static SPIPlanPtr plan = NULL;

	if (plan == NULL)
		plan = ds_spi_keep("SELECT name, incarnation FROM sync.instance", 0, NULL);
	if (ds_spi_run(plan, NULL, NULL) == 0)
		ereport(ERROR, (errcode(DS_ERRCODE_NOT_SET_UP), errmsg("table sync.instance has no row"),
						errdetail("Events tell which installation and incarnation they come from."),
						errhint("Call distsync.setup().")));
	s->source.source = as_json(psprintf("distsync/%s", ds_spi_cstring(0, 1)));
	s->source.incarnation = ds_spi_int32(0, 2, 0);
}

/* list_types does the types there are: few, and mostly the same one again. */
static void
list_types(Store *s)
{
	int last = 0;
	int room = 16;

	s->types = palloc(sizeof(Type) * room);
	for (int i = 0; i < s->n; i++)
	{
		DsOutboxDraft *draft = &s->drafts[i];
		Datum name = draft->values[D_EVENT_TYPE];

		if (last >= s->ntypes ||
			ds_outbox_compare_texts(name, PointerGetDatum(s->types[last].name)) != 0)
			for (last = 0; last < s->ntypes; last++)
				if (ds_outbox_compare_texts(name, PointerGetDatum(s->types[last].name)) == 0)
					break;
		if (last == s->ntypes)
		{
			if (s->ntypes == room)
				s->types = repalloc(s->types, sizeof(Type) * (room *= 2));
			s->types[s->ntypes++] = (Type){.name = (text *) DatumGetPointer(name)};
		}
		draft->type = last;
	}
}

/* type_names does the array of their names. */
static Datum
type_names(const Store *s)
{
	Datum *names = palloc(sizeof(Datum) * Max(s->ntypes, 1));

	for (int i = 0; i < s->ntypes; i++)
		names[i] = PointerGetDatum(s->types[i].name);
	return PointerGetDatum(construct_array(names, s->ntypes, TEXTOID, -1, false, TYPALIGN_INT));
}

/* find_types does the look-up of what is to be known of the types. */
static void
find_types(Store *s)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {TEXTARRAYOID};
	Datum names = type_names(s);
	bool isnull;

	if (plan == NULL)
		plan = ds_spi_keep("SELECT 'distsync_' || distsync_internal.outbox_domain(u.name), EXISTS "
						   "(SELECT FROM distsync_internal.handler h WHERE h.kind = 'told' AND "
						   "h.name = u.name) FROM pg_catalog.unnest($1) WITH ORDINALITY u(name, "
						   "nth) ORDER BY u.nth",
						   lengthof(types), types);
	ds_spi_run(plan, &names, NULL);
	for (int i = 0; i < s->ntypes; i++)
	{
		Type *type = &s->types[i];
		char *name = text_to_cstring(type->name);

		type->json = as_json(name);
		type->channel = ds_spi_cstring(i, 1);
		type->told = DatumGetBool(ds_spi_datum(i, 2, &isnull)) && !isnull;
		type->prefix = psprintf("%d %s ", s->source.incarnation, name);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* flag does a boolean of a draft; NULL is false. */
static bool
flag(const DsOutboxDraft *draft, int column)
{
	return !draft->nulls[column] && DatumGetBool(draft->values[column]);
}

/* is_state does the test whether a draft is told only when it differs. */
static bool
is_state(const Store *s, const DsOutboxDraft *draft)
{
	return flag(draft, D_STATE) && s->types[draft->type].told;
}

/* hash_state does what a state says as a hash, nothing where it is not known; its text is kept for the event. */
static void
hash_state(Store *s, DsOutboxDraft *draft, char *said)
{
	MemoryContext old = MemoryContextSwitchTo(s->each);

	said[0] = '\0';
	if (draft->nulls[D_ERROR])
	{
		ds_outbox_event_data(&s->state,
							 draft->nulls[D_BODY] ? NULL : DatumGetJsonbP(draft->values[D_BODY]));
		ds_outbox_event_said(&s->state, s->types[draft->type].prefix, said);
		if (!draft->nulls[D_BODY] && s->kept + s->state.text.len < KEPT_TEXT)
		{
			MemoryContextSwitchTo(old);
			draft->length = s->state.text.len;
			draft->text = pnstrdup(s->state.text.data, draft->length);
			s->kept += draft->length;
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(s->each);
}

/* tell_entity does the events of one entity: what was told last is left out, the others get their versions. */
static void
tell_entity(Store *s, DsOutboxDraft **events, int n)
{
	DsOutboxClock clock = {.keys = {events[0]->values[D_ENTITY], events[0]->values[D_ENTITY_KEY]}};
	char last[DS_SAID_LENGTH + 1] = "";
	bool has_last = false;
	int told = 0;

	ds_outbox_stream_look(&s->stream, &clock);
	for (int i = 0; i < n; i++)
	{
		DsOutboxDraft *draft = events[i];

		if (is_state(s, draft))
		{
			char said[DS_SAID_LENGTH + 1];

			hash_state(s, draft, said);
			draft->gone = clock.has_said && !flag(draft, D_AGAIN) && draft->nulls[D_ERROR] &&
						  strcmp(said, clock.said) == 0;
			if (draft->gone)
				continue;
			strlcpy(last, said, sizeof(last));
			has_last = true;
		}
		draft->version = clock.version + ++told;
		s->types[draft->type].n++;
	}
	if (told == 0)
		return;
	clock.version += told;
	if (has_last)
	{
		strlcpy(clock.said, last, sizeof(clock.said));
		clock.has_said = true;
	}
	ds_outbox_stream_set(&s->stream, &clock);
}

/* tell_entities does the same for all, in the order of their keys. */
static void
tell_entities(Store *s)
{
	int from = 0;

	for (int i = 1; i <= s->n; i++)
	{
		const DsOutboxDraft *first = s->grouped[from];

		if (i < s->n &&
			ds_outbox_compare_texts(first->values[D_ENTITY_KEY],
									s->grouped[i]->values[D_ENTITY_KEY]) == 0 &&
			ds_outbox_compare_texts(first->values[D_ENTITY], s->grouped[i]->values[D_ENTITY]) == 0)
			continue;
		tell_entity(s, &s->grouped[from], i - from);
		from = i;
		CHECK_FOR_INTERRUPTS();
	}
}

/* add_event does one event of the stream, and rings. */
static void
add_event(Store *s, const DsOutboxDraft *draft, int64 position)
{
	const Type *type = &s->types[draft->type];
	Datum values[E_COUNT];
	bool nulls[E_COUNT] = {false};
	static const int columns[][2] = {{E_MESSAGE_ID, D_MESSAGE_ID},
									 {E_AT, D_AT},
									 {E_EVENT_TYPE, D_EVENT_TYPE},
									 {E_ENTITY, D_ENTITY},
									 {E_ENTITY_KEY, D_ENTITY_KEY},
									 {E_CUSTOMER_ID, D_CUSTOMER_ID},
									 {E_CORRELATION_ID, D_CORRELATION_ID},
									 {E_CAUSATION_ID, D_CAUSATION_ID},
									 {E_ORIGIN, D_ORIGIN}};

	for (int i = 0; i < lengthof(columns); i++)
	{
		values[columns[i][0]] = draft->values[columns[i][1]];
		nulls[columns[i][0]] = draft->nulls[columns[i][1]];
	}
	values[E_POSITION] = Int64GetDatum(position);
	values[E_ROUTED_AT] = s->routed_at;
	values[E_INCARNATION] = Int32GetDatum(s->source.incarnation);
	values[E_ENTITY_VERSION] = Int64GetDatum(draft->version);
	values[E_BODY] = ds_outbox_event_body(draft, &s->source, type->json);
	ds_outbox_stream_add(&s->stream, values, nulls);
	if (flag(draft, D_RING) && type->channel != NULL && !draft->nulls[D_MESSAGE_ID])
		Async_Notify(
			type->channel,
			psprintf("{\"id\":\"%s\",\"type\":%s}",
					 DatumGetCString(DirectFunctionCall1(uuid_out, draft->values[D_MESSAGE_ID])),
					 type->json));
}

/* add_events does all events that are told. Returns how many. */
static int
add_events(Store *s)
{
	int n = 0;

	for (int i = 0; i < s->n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(s->each);

		if (!s->ordered[i]->gone)
			add_event(s, s->ordered[i], s->last + ++n);
		MemoryContextSwitchTo(old);
		MemoryContextReset(s->each);
		CHECK_FOR_INTERRUPTS();
	}
	return n;
}

/* note_unrendered does the exceptions for what has no data. */
static void
note_unrendered(const Store *s)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID};

	for (int i = 0; i < s->n; i++)
	{
		const DsOutboxDraft *draft = s->ordered[i];
		Datum values[] = {draft->values[D_EVENT_TYPE], draft->values[D_ENTITY],
						  draft->values[D_ENTITY_KEY], draft->values[D_ERROR]};

		if (draft->nulls[D_ERROR])
			continue;
		if (plan == NULL)
			plan = ds_spi_keep("SELECT distsync_internal.base_exception('unrendered', $1 || ' ' || "
							   "$3, 'sync', 'error', NULL, $2, $3, "
							   "pg_catalog.jsonb_build_object('event_type', $1, 'error', $4))",
							   lengthof(types), types);
		ds_spi_run(plan, values, NULL);
		SPI_freetuptable(SPI_tuptable);
	}
}

/* keep_told does the giving of what was told of a type to the room that keeps it. */
static void
keep_told(const Store *s, Datum function, Datum name, int n)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {TEXTOID,	  TEXTOID,		 TEXTARRAYOID,
								INT8ARRAYOID, JSONBARRAYOID, TIMESTAMPTZOID};
	Datum *keys = palloc_extended(sizeof(Datum) * n * 3, MCXT_ALLOC_HUGE);
	Datum *versions = keys + n;
	Datum *bodies = versions + n;
	Datum nothing = DirectFunctionCall1(jsonb_in, CStringGetDatum("null"));
	Datum values[lengthof(types)] = {function, name};
	int found = 0;

	for (int i = 0; i < s->n; i++)
	{
		const DsOutboxDraft *draft = s->ordered[i];

		if (draft->gone || ds_outbox_compare_texts(draft->values[D_EVENT_TYPE], name) != 0)
			continue;
		keys[found] = draft->values[D_ENTITY_KEY];
		versions[found] = Int64GetDatum(draft->version);
		bodies[found++] = draft->nulls[D_BODY] ? nothing : draft->values[D_BODY];
	}
	Assert(found == n);
	values[2] = PointerGetDatum(construct_array(keys, found, TEXTOID, -1, false, TYPALIGN_INT));
	values[3] = PointerGetDatum(
		construct_array(versions, found, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[4] = PointerGetDatum(construct_array(bodies, found, JSONBOID, -1, false, TYPALIGN_INT));
	values[5] = s->routed_at;
	if (plan == NULL)
		plan = ds_spi_keep("SELECT distsync_internal.outbox_told($1, $2, $3, $4, $5, $6)",
						   lengthof(types), types);
	ds_spi_run(plan, values, NULL);
	SPI_freetuptable(SPI_tuptable);
	pfree(keys);
}

/* told_of does how many events of a type were told. */
static int
told_of(const Store *s, Datum name)
{
	for (int i = 0; i < s->ntypes; i++)
		if (ds_outbox_compare_texts(PointerGetDatum(s->types[i].name), name) == 0)
			return s->types[i].n;
	return 0;
}

/* keep_all does the same for all types that a room keeps. */
static void
keep_all(const Store *s)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {TEXTARRAYOID};
	Datum names = type_names(s);
	SPITupleTable *handlers;
	uint64 n;

	if (plan == NULL)
		plan = ds_spi_keep("SELECT function, name FROM distsync_internal.handler WHERE kind = "
						   "'told' AND name = ANY ($1) ORDER BY ordinal, name",
						   lengthof(types), types);
	n = ds_spi_run(plan, &names, NULL);
	handlers = SPI_tuptable;
	for (uint64 i = 0; i < n; i++)
	{
		bool isnull;
		Datum function = SPI_getbinval(handlers->vals[i], handlers->tupdesc, 1, &isnull);
		Datum name = SPI_getbinval(handlers->vals[i], handlers->tupdesc, 2, &isnull);
		int told = told_of(s, name);

		if (told > 0)
			keep_told(s, function, name, told);
	}
}

/* store does the whole, inside SPI. */
static int
store(Store *s, ArrayType *array)
{
	int n;

	read_drafts(s, array);
	if (s->n == 0)
		return 0;
	s->each = AllocSetContextCreate(CurrentMemoryContext, "distsync event", ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&s->state.text);
	find_source(s);
	list_types(s);
	find_types(s);
	order_drafts(s);
	ds_outbox_stream_open(&s->stream);
	tell_entities(s);
	n = add_events(s);
	ds_outbox_stream_close(&s->stream);
	note_unrendered(s);
	keep_all(s);
	return n;
}

/* ds_sql_outbox_store does outbox_store(drafts, last_position, routed_at). */
Datum
ds_sql_outbox_store(PG_FUNCTION_ARGS)
{
	Store s = {.last = PG_GETARG_INT64(1), .routed_at = PG_GETARG_DATUM(2)};
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);
	int n;

	if (SPI_connect() != SPI_OK_CONNECT)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not connect to SPI")));
	n = store(&s, array);
	SPI_finish();
	PG_RETURN_INT32(n);
}
