/*-------------------------------------------------------------------------
 *
 * compose.c
 *		Events out of what the router has read: documents as they were captured;
 *		the markers of an entity as one event that tells its state now, which
 *		the rooms render.
 *
 * Process: any backend, mostly the courier. Locks: see window.c, and what
 * renderers read. Memory: that of an SPI procedure, given back at the end:
 * what window.c keeps, and the events of a piece of the window.
 *
 *-------------------------------------------------------------------------
 */
#include "outbox/store.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/export.h"
#include "base/number.h"
#include "base/spi.h"
#include "base/verb.h"
#include "outbox/window.h"

DS_FUNCTION_INFO_V1(ds_sql_outbox_drafts);

/* keys that a renderer gets at once */
#define KEYS 100

/* pieces of an outbox that are made at once, at most: outbox_route() asks for no more */
#define MAX_STEP 1000000

/* arguments and columns of outbox_drafts() */
enum
{
	A_BEFORE,
	A_TARGET,
	A_LATE,
	A_DONE_CUSTOMER,
	A_DONE_ITEM,
	A_STEP,
	A_ROOM
};

enum
{
	R_CUSTOMERS,
	R_ITEMS,
	R_DONE_CUSTOMER,
	R_DONE_ITEM,
	R_DRAFTS,
	R_COUNT
};

/* columns of outbox_render_state() */
enum
{
	S_KEY,
	S_ENTITY_KEY,
	S_CUSTOMER_ID,
	S_BODY,
	S_ERROR,
	S_COUNT
};

/* How a state is known. */
typedef struct StateName
{
	int kind;
	text *key;
} StateName;

/* A state that was rendered, or is to be. */
typedef struct State
{
	StateName name;
	bool asked; /* it has a marker */
	bool answered;
	Datum values[S_COUNT];
	bool nulls[S_COUNT];
} State;

/* What the markers of a kind have in common: what changes with them is told with the last one. */
typedef struct Last
{
	int64 ordinal;
	TimestampTz first_at;
	bool rings;
	Datum *keys; /* of its markers */
	int nkeys;
} Last;

/* hash_state does the hash of a state's name. */
static uint32
hash_state(const void *name, Size size)
{
	const StateName *n = name;

	return hash_bytes((const unsigned char *) VARDATA_ANY(n->key),
					  (int) VARSIZE_ANY_EXHDR(n->key)) ^
		   hash_bytes_uint32(n->kind);
}

/* match_state does the comparison of two: 0 = the same. */
static int
match_state(const void *a, const void *b, Size size)
{
	const StateName *x = a;
	const StateName *y = b;

	return x->kind == y->kind && ds_outbox_same_text(x->key, y->key) ? 0 : 1;
}

typedef struct Compose
{
	DsOutboxWindow windows[2]; /* customers, items */
	DsOutboxKinds kinds;
	DsOutboxPiece **piece; /* of both, in the order of the stream */
	int n;
	Last *last; /* by kind */
	HTAB *states;
	State **added; /* that have no marker */
	int nadded;
	int added_room;
	TupleDesc desc; /* of a draft */
	Datum *drafts;
	int ndrafts;
	int room;
} Compose;

/* read_windows does the pieces of both outboxes. */
static void
read_windows(Compose *c)
{
	for (int i = 0; i < lengthof(c->windows); i++)
	{
		c->windows[i].kinds = &c->kinds;
		if (!ds_outbox_read(&c->windows[i]))
			ds_outbox_read_whole(&c->windows[i]);
	}
}

/*
 * order does the order of the stream. The clocks of writers differ by less than
 * what it takes to get here; within an outbox outbox_id decides.
 */
static void
order(Compose *c)
{
	const DsOutboxWindow *customers = &c->windows[0];
	const DsOutboxWindow *items = &c->windows[1];
	TimestampTz clocks[2] = {DT_NOBEGIN, DT_NOBEGIN};
	int at[2] = {0, 0};

	c->piece = palloc_extended(sizeof(DsOutboxPiece *) * ((Size) customers->n + items->n + 1),
							   MCXT_ALLOC_HUGE);
	while (at[0] < customers->n || at[1] < items->n)
	{
		int from;

		for (int i = 0; i < 2; i++)
			if (at[i] < c->windows[i].n)
				clocks[i] = Max(clocks[i], c->windows[i].piece[at[i]]->at);
		if (at[0] == customers->n || at[1] == items->n)
			from = at[0] == customers->n;
		else
			from = clocks[1] < clocks[0];
		c->piece[c->n] = c->windows[from].piece[at[from]++];
		c->piece[c->n]->ordinal = c->n + 1;
		c->n++;
	}
}

/* state_of does the look-up of a state; one that nobody has spoken of is new. */
static State *
state_of(Compose *c, int kind, text *key)
{
	StateName name = {kind, key};
	bool found;
	State *state = hash_search(c->states, &name, HASH_ENTER, &found);

	if (!found)
		memset((char *) state + sizeof(StateName), 0, sizeof(State) - sizeof(StateName));
	return state;
}

/* ask_states does the list of what is to be rendered. */
static void
ask_states(Compose *c)
{
	int *counts = palloc0(sizeof(int) * Max(c->kinds.n, 1));

	c->last = palloc0(sizeof(Last) * Max(c->kinds.n, 1));
	for (int i = 0; i < c->n; i++)
		if (!c->piece[i]->document)
			counts[c->piece[i]->kind]++;
	for (int k = 0; k < c->kinds.n; k++)
		c->last[k].keys = palloc_extended(sizeof(Datum) * Max(counts[k], 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < c->n; i++)
	{
		DsOutboxPiece *piece = c->piece[i];
		Last *last = &c->last[piece->kind];
		State *state;

		if (piece->document)
			continue;
		last->first_at = last->nkeys == 0 ? piece->first_at : Max(last->first_at, piece->first_at);
		last->ordinal = piece->ordinal;
		last->rings = last->rings || piece->rings;
		/* both outboxes may speak of it */
		state = state_of(c, piece->kind, piece->key);
		if (state->asked)
			continue;
		state->asked = true;
		last->keys[last->nkeys++] = PointerGetDatum(piece->key);
	}
}

/* take_state does a state that a renderer brings: the first one of each key holds. */
static void
take_state(Compose *c, int kind, HeapTuple row, TupleDesc desc)
{
	Datum values[S_COUNT];
	bool nulls[S_COUNT];
	State *state;

	heap_deform_tuple(row, desc, values, nulls);
	/* whose state it is, is not said */
	if (nulls[S_KEY])
		return;
	state = state_of(c, kind, DatumGetTextPP(values[S_KEY]));
	if (state->answered)
		return;
	state->answered = true;
	memcpy(state->values, values, sizeof(values));
	memcpy(state->nulls, nulls, sizeof(nulls));
	if (state->asked)
		return;
	if (c->nadded == c->added_room)
	{
		c->added_room = Max(32, c->added_room * 2);
		c->added = c->added == NULL ? palloc(sizeof(State *) * c->added_room)
									: repalloc_huge(c->added, sizeof(State *) * c->added_room);
	}
	c->added[c->nadded++] = state;
}

/* render does the states of some keys of a kind, in the snapshot that has read the markers. */
static void
render(Compose *c, int kind, Datum *keys, int n)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTARRAYOID};
	static const Oid columns[] = {TEXTOID, TEXTOID, INT8OID, JSONBOID, TEXTOID};
	Datum values[] = {PointerGetDatum(c->kinds.kind[kind].event_type),
					  PointerGetDatum(c->kinds.kind[kind].entity),
					  PointerGetDatum(construct_array(keys, n, TEXTOID, -1, false, TYPALIGN_INT))};

	if (plan == NULL)
		plan = ds_spi_keep("SELECT key, entity_key, customer_id, body, error FROM "
						   "distsync_internal.outbox_render_state($1, $2, $3)",
						   lengthof(types), types);
	if (SPI_execute_plan(plan, values, NULL, true, 0) != SPI_OK_SELECT)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("states could not be rendered")));
	ds_spi_expect("outbox_render_state", columns, lengthof(columns));
	/* what was brought stays until the end: its rows are pointed to */
	for (uint64 i = 0; i < SPI_processed; i++)
		take_state(c, kind, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
}

/* compare_keys does the order in which keys are rendered. */
static int
compare_keys(const void *a, const void *b)
{
	return ds_outbox_compare_texts(*(const Datum *) a, *(const Datum *) b);
}

/* render_all does all states, by the hundred: so that renderers do not have to be good at more. */
static void
render_all(Compose *c)
{
	for (int k = 0; k < c->kinds.n; k++)
	{
		Last *last = &c->last[k];

		qsort(last->keys, last->nkeys, sizeof(Datum), compare_keys);
		for (int i = 0; i < last->nkeys; i += KEYS)
			render(c, k, &last->keys[i], Min(KEYS, last->nkeys - i));
	}
}

/* put does an optional column of a draft. */
static void
put(Datum *values, bool *nulls, int column, Datum value, bool isnull)
{
	values[column] = value;
	nulls[column] = isnull;
}

/* put_state does what a draft has of its state. */
static void
put_state(Datum *values, bool *nulls, const State *state, int64 customer_id)
{
	put(values, nulls, D_ENTITY_KEY,
		state->nulls[S_ENTITY_KEY] ? PointerGetDatum(state->name.key) : state->values[S_ENTITY_KEY],
		false);
	put(values, nulls, D_CUSTOMER_ID,
		state->nulls[S_CUSTOMER_ID] ? Int64GetDatum(customer_id) : state->values[S_CUSTOMER_ID],
		false);
	put(values, nulls, D_BODY, state->values[S_BODY], state->nulls[S_BODY]);
	put(values, nulls, D_ERROR, state->values[S_ERROR], state->nulls[S_ERROR]);
	put(values, nulls, D_STATE, BoolGetDatum(true), false);
}

/* add_draft does the forming of a draft. */
static void
add_draft(Compose *c, const Datum *values, const bool *nulls)
{
	if (c->ndrafts == c->room)
	{
		c->room = Max(64, c->room * 2);
		c->drafts = c->drafts == NULL ? palloc(sizeof(Datum) * c->room)
									  : repalloc_huge(c->drafts, sizeof(Datum) * c->room);
	}
	c->drafts[c->ndrafts++] = HeapTupleGetDatum(
		heap_form_tuple(c->desc, unconstify(Datum *, values), unconstify(bool *, nulls)));
}

/* put_kind does what all events of a kind have. */
static void
put_kind(const Compose *c, Datum *values, int kind)
{
	values[D_EVENT_TYPE] = PointerGetDatum(c->kinds.kind[kind].event_type);
	values[D_ENTITY] = PointerGetDatum(c->kinds.kind[kind].entity);
}

/* compose_piece does the event of a document or of an entity with markers; of what a renderer says nothing about there is none. */
static void
compose_piece(Compose *c, DsOutboxPiece *p)
{
	static const pg_uuid_t nil = {{0}};
	Datum values[D_COUNT] = {0};
	bool nulls[D_COUNT] = {false};
	int64 customer_id = p->item ? 0 : p->group;
	bool unnamed = memcmp(&p->message_id, &nil, sizeof(nil)) == 0;

	put_kind(c, values, p->kind);
	values[D_ORDINAL] = Int64GetDatum(p->ordinal);
	values[D_AT] = TimestampTzGetDatum(p->first_at);
	put(values, nulls, D_CORRELATION_ID, UUIDPGetDatum(&p->correlation_id), !p->has_correlation);
	put(values, nulls, D_CAUSATION_ID, UUIDPGetDatum(&p->causation_id), !p->has_causation);
	put(values, nulls, D_ORIGIN, PointerGetDatum(p->origin), p->origin == NULL);
	values[D_RING] = BoolGetDatum(p->rings);
	values[D_MESSAGE_ID] = !p->document && unnamed ? ds_new_uuid() : UUIDPGetDatum(&p->message_id);
	values[D_AGAIN] = BoolGetDatum(p->again);
	if (p->document)
	{
		values[D_ENTITY_KEY] = PointerGetDatum(p->key);
		values[D_CUSTOMER_ID] = Int64GetDatum(customer_id);
		put(values, nulls, D_BODY, PointerGetDatum(p->body), p->body == NULL);
		nulls[D_ERROR] = true;
	}
	else
	{
		const State *state = state_of(c, p->kind, p->key);

		if (!state->answered)
			return;
		put_state(values, nulls, state, customer_id);
	}
	add_draft(c, values, nulls);
}

/* compose_added does the event of a state that changes with others: it has no marker of its own. */
static void
compose_added(Compose *c, const State *state)
{
	const Last *last = &c->last[state->name.kind];
	Datum values[D_COUNT] = {0};
	bool nulls[D_COUNT] = {false};

	put_kind(c, values, state->name.kind);
	values[D_ORDINAL] = Int64GetDatum(last->ordinal);
	values[D_AT] = TimestampTzGetDatum(last->first_at);
	values[D_MESSAGE_ID] = ds_new_uuid();
	nulls[D_CORRELATION_ID] = nulls[D_CAUSATION_ID] = nulls[D_ORIGIN] = true;
	values[D_RING] = BoolGetDatum(last->rings);
	values[D_AGAIN] = BoolGetDatum(false);
	put_state(values, nulls, state, 0);
	add_draft(c, values, nulls);
}

/* compose does the events of all that was read. */
static void
compose(Compose *c)
{
	HASHCTL ctl = {.keysize = sizeof(StateName),
				   .entrysize = sizeof(State),
				   .hash = hash_state,
				   .match = match_state,
				   .hcxt = CurrentMemoryContext};

	c->kinds.room = 16;
	c->kinds.kind = palloc(sizeof(DsOutboxKind) * c->kinds.room);
	c->states = hash_create("distsync states", 256, &ctl,
							HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	read_windows(c);
	order(c);
	ask_states(c);
	render_all(c);
	for (int i = 0; i < c->n; i++)
	{
		compose_piece(c, c->piece[i]);
		CHECK_FOR_INTERRUPTS();
	}
	for (int i = 0; i < c->nadded; i++)
		compose_added(c, c->added[i]);
}

/* bind_window does what is to be read of an outbox. */
static void
bind_window(DsOutboxWindow *w, FunctionCallInfo fcinfo, bool item)
{
	w->item = item;
	w->before = PointerGetDatum(PG_GETARG_VARLENA_P(A_BEFORE));
	w->target = PointerGetDatum(PG_GETARG_VARLENA_P(A_TARGET));
	w->late = PointerGetDatum(PG_GETARG_ARRAYTYPE_P(A_LATE));
	w->after = PG_GETARG_INT64(item ? A_DONE_ITEM : A_DONE_CUSTOMER);
	w->step = PG_GETARG_INT32(A_STEP);
	w->room = Max(0, PG_GETARG_INT32(A_ROOM));
}

/* last_of does the outbox_id up to which an outbox was read. */
static Datum
last_of(const DsOutboxWindow *w)
{
	return Int64GetDatum(w->n == 0 ? w->after : Max(w->after, w->piece[w->n - 1]->outbox_id));
}

/* ds_sql_outbox_drafts does outbox_drafts(before, target, late, done_customer, done_item, step, room). */
Datum
ds_sql_outbox_drafts(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	TupleDesc desc = ds_verb_row(fcinfo, R_COUNT);
	Oid type = get_element_type(TupleDescAttr(desc, R_DRAFTS)->atttypid);
	Compose c = {0};
	Datum values[R_COUNT];
	bool nulls[R_COUNT] = {false};

	/* less than was asked for would be taken for the end of the window */
	if (PG_GETARG_INT32(A_STEP) < 1 || PG_GETARG_INT32(A_STEP) > MAX_STEP)
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_VALUE), errmsg("step is out of range"),
						errdetail("Field: step. It is %d.", PG_GETARG_INT32(A_STEP)),
						errhint("Ask for 1 to %d pieces.", MAX_STEP)));
	bind_window(&c.windows[0], fcinfo, false);
	bind_window(&c.windows[1], fcinfo, true);
	if (SPI_connect() != SPI_OK_CONNECT)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not connect to SPI")));
	c.desc = ds_outbox_draft_desc(type);
	compose(&c);
	values[R_CUSTOMERS] = Int32GetDatum(c.windows[0].n);
	values[R_ITEMS] = Int32GetDatum(c.windows[1].n);
	values[R_DONE_CUSTOMER] = last_of(&c.windows[0]);
	values[R_DONE_ITEM] = last_of(&c.windows[1]);
	MemoryContextSwitchTo(caller);
	values[R_DRAFTS] =
		PointerGetDatum(construct_array(c.drafts, c.ndrafts, type, -1, false, TYPALIGN_DOUBLE));
	ReleaseTupleDesc(c.desc);
	SPI_finish();
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}
