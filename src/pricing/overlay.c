/*-------------------------------------------------------------------------
 *
 * overlay.c
 *		Drafts that count as if they had been published now.
 *
 * An overlay holds, of each agreement with a draft, the versions that would be
 * held true after publish(): the draft, what it does not overlap, and what is
 * left of what it does. Its rate sets stand in the place of the agreement's;
 * everything else comes from the cache as always, and nothing of an overlay
 * ever gets there: rate sets and the rates of drafts, which may still change,
 * lie in a store of the overlay, which lives as long as the call that opened
 * it, or the statement.
 *
 * publish() writes the parts of a rate set; those of a draft are made here,
 * for the parties that are asked, of one index range each.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * overlay's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/load.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "base/compat.h"
#include "base/verb.h"
#include "pricing/filter.h"
#include "pricing/pack.h"

/* An agreement with a draft: its versions as they would be held. */
typedef struct Overlaid
{
	int64 agreement_id;
	int n;
	DsHeld *versions;
	int32 last_no; /* highest number of a version so far */
} Overlaid;

struct DsOverlay
{
	MemoryContext context;
	DsStore *store; /* rate sets and cells */
	int n;
	Overlaid *agreements;
	int64 last_id; /* of versions that publication would make: they have no id yet */
};

static DsTable version_table = {
	.name = "agreement_version",
	.index = "agreement_version_pk",
	.keys = {"version_id"},
	.columns = {"agreement_id"},
};

static DsTable own_targets_table = {
	.name = "customer_rate",
	.index = "customer_rate_pk",
	.keys = {"version_id", "customer_id"},
	.columns = {"target_id", "valid_from", "valid_to"},
};

static DsTable shared_targets_table = {
	.name = "book_rate",
	.index = "book_rate_pk",
	.keys = {"version_id"},
	.columns = {"target_id", "valid_from", "valid_to"},
};

/* overlaid does the look-up of an agreement; NULL = nothing is laid over it. */
static Overlaid *
overlaid(const DsOverlay *overlay, int64 agreement_id)
{
	int i;

	for (i = 0; i < overlay->n; i++)
	{
		if (overlay->agreements[i].agreement_id == agreement_id)
			return &overlay->agreements[i];
	}
	return NULL;
}

/* agreement_of does the look-up of a version's agreement. */
static int64
agreement_of(int64 version_id)
{
	DsReader *reader = ds_reader_open(&version_table);
	Datum key = Int64GetDatum(version_id);
	int64 result = 0;

	ds_reader_seek(reader, &key, 1);
	if (ds_reader_next(reader))
		result = DatumGetInt64(reader->values[0]);
	ds_reader_close(reader);
	return result;
}

/* by_number does the order of versions: publication cuts them in this one, so that what is left gets the same numbers. */
static int
by_number(const void *a, const void *b)
{
	int32 x = ((const DsHeld *) a)->version.version_no;
	int32 y = ((const DsHeld *) b)->version.version_no;

	return x < y ? -1 : x > y;
}

/* keep_rest does the entering of what a cut version still says in a part of its period. */
static void
keep_rest(DsOverlay *overlay, Overlaid *o, const DsHeld *cut, TimestampTz from, TimestampTz to,
		  DsHeld *rest)
{
	*rest = *cut;
	rest->version.version_id = --overlay->last_id;
	rest->version.version_no = ++o->last_no;
	rest->version.valid_from = from;
	rest->version.valid_to = to;
}

/* lay does the laying of a draft over the versions that are held: see pricing_supersede() and pricing_continue(). */
static void
lay(DsOverlay *overlay, Overlaid *o, const DsHeld *draft)
{
	DsHeld *versions = palloc(sizeof(DsHeld) * (2 * o->n + 1));
	TimestampTz from = draft->version.valid_from;
	TimestampTz to = draft->version.valid_to;
	int n = 0;
	int i;

	qsort(o->versions, o->n, sizeof(DsHeld), by_number);
	for (i = 0; i < o->n; i++)
	{
		const DsHeld *held = &o->versions[i];

		if (held->version.valid_to <= from || to <= held->version.valid_from)
		{
			versions[n++] = *held;
			continue;
		}
		if (held->version.valid_from < from)
			keep_rest(overlay, o, held, held->version.valid_from, from, &versions[n++]);
		if (to < held->version.valid_to)
			keep_rest(overlay, o, held, to, held->version.valid_to, &versions[n++]);
	}
	versions[n++] = *draft;
	o->versions = versions;
	o->n = n;
}

/* set_published does the question whether the rates of a set are published: then their parts are there, and they do not change. */
static bool
set_published(const DsHeld *versions, int n, int64 set_id)
{
	int i;

	for (i = 0; i < n; i++)
	{
		if (versions[i].set_id == set_id && versions[i].published)
			return true;
	}
	return false;
}

/* overlay_agreement does the laying of all drafts of one agreement, by number. */
static void
overlay_agreement(DsCall *call, DsOverlay *overlay, int64 agreement_id, const int64 *drafts,
				  int ndrafts)
{
	Overlaid *o = &overlay->agreements[overlay->n++];
	DsHeld *all;
	int n = ds_pricing_load_versions(call, agreement_id, &all);
	int i;
	int j;

	qsort(all, n, sizeof(DsHeld), by_number);
	o->agreement_id = agreement_id;
	o->versions = palloc(sizeof(DsHeld) * Max(n, 1));
	o->n = 0;
	o->last_no = n == 0 ? 0 : all[n - 1].version.version_no;
	for (i = 0; i < n; i++)
	{
		all[i].published = all[i].published || set_published(all, n, all[i].set_id);
		if (all[i].held)
			o->versions[o->n++] = all[i];
	}
	for (i = 0; i < n; i++)
	{
		for (j = 0; j < ndrafts; j++)
		{
			if (drafts[j] != all[i].version.version_id)
				continue;
			lay(overlay, o, &all[i]);
			break;
		}
	}
}

/* ds_pricing_overlay_lay does the making of an overlay of drafts that were proved, in the current context. */
DsOverlay *
ds_pricing_overlay_lay(DsCall *call, const int64 *drafts, int ndrafts)
{
	DsOverlay *overlay = palloc0(sizeof(DsOverlay));
	int i;

	overlay->context = CurrentMemoryContext;
	overlay->store = ds_pricing_store_create(overlay->context);
	overlay->agreements = palloc0(sizeof(Overlaid) * Max(ndrafts, 1));
	for (i = 0; i < ndrafts; i++)
	{
		int64 agreement_id = agreement_of(drafts[i]);

		if (overlaid(overlay, agreement_id) == NULL)
			overlay_agreement(call, overlay, agreement_id, drafts, ndrafts);
	}
	return overlay;
}

/* ds_pricing_overlay_open does the making of the overlay of option drafts: SQL finds and proves them, or says what publish() would. */
DsOverlay *
ds_pricing_overlay_open(DsCall *call, Jsonb *drafts)
{
	static const Oid arguments[] = {JSONBOID, TEXTOID};
	Oid function = ds_verb_behind("pricing_drafts", arguments, 2);
	ArrayType *ids = DatumGetArrayTypeP(
		OidFunctionCall2(function, JsonbPGetDatum(drafts), CStringGetTextDatum("options.drafts")));

	return ds_pricing_overlay_lay(call, (int64 *) ARR_DATA_PTR(ids),
								  ArrayGetNItems(ARR_NDIM(ids), ARR_DIMS(ids)));
}

/* draft_part does the making of a part of a rate set that is not published: its targets, by one range of its rates. */
static bool
draft_part(int64 customer_id, int64 set_id, DsPart *part)
{
	DsReader *reader =
		ds_reader_open(customer_id == 0 ? &shared_targets_table : &own_targets_table);
	Datum keys[2] = {Int64GetDatum(set_id), Int64GetDatum(customer_id)};
	int64 *targets = palloc(sizeof(int64) * 64);
	Size room = 64;
	int n = 0;
	bytea *filter;

	memset(part, 0, sizeof(DsPart));
	ds_reader_seek(reader, keys, customer_id == 0 ? 1 : 2);
	while (ds_reader_next(reader))
	{
		if (n == room)
			targets = repalloc_huge(targets, sizeof(int64) * (room *= 2));
		targets[n++] = DatumGetInt64(reader->values[0]);
		part->dated |= !reader->nulls[1] || !reader->nulls[2];
	}
	ds_reader_close(reader);
	if (n > 0)
	{
		filter = ds_pricing_filter_make(targets, n);
		part->customer_id = customer_id;
		part->set_id = set_id;
		part->draft = true;
		part->page_shift = -1;
		/* a kind that is not there is one look more into the filter */
		part->kinds = (1 << DS_WHAT_COUNT) - 1;
		part->filter.bytes = (uint8 *) VARDATA_ANY(filter);
		part->filter.size = VARSIZE_ANY_EXHDR(filter);
	}
	pfree(targets);
	return n > 0;
}

/* read_parts does the reading of the parts of an overlaid agreement, for a party or (0) shared. */
static void
read_parts(const Overlaid *o, int64 customer_id, DsParts *parts)
{
	int i;
	int j;

	memset(parts, 0, sizeof(DsParts));
	parts->parts = palloc(sizeof(DsPart) * Max(o->n, 1));
	for (i = 0; i < o->n; i++)
	{
		DsPart *part = &parts->parts[parts->nparts];

		for (j = 0; j < i && o->versions[j].set_id != o->versions[i].set_id; j++)
			;
		if (j < i || !(o->versions[i].published
						   ? ds_pricing_load_part(customer_id, o->versions[i].set_id, part)
						   : draft_part(customer_id, o->versions[i].set_id, part)))
			continue;
		part->versions = palloc(sizeof(DsVersion) * (o->n - i));
		for (j = i; j < o->n; j++)
		{
			if (o->versions[j].set_id == o->versions[i].set_id)
				part->versions[part->nversions++] = o->versions[j].version;
		}
		parts->nparts++;
	}
}

/* parts_of does the look-up of the parts of an overlaid agreement. */
static const DsParts *
parts_of(DsOverlay *overlay, const Overlaid *o, int64 customer_id)
{
	DsStoreKey key = {o->agreement_id, customer_id, 0};
	DsKept kept = ds_pricing_store_find(overlay->store, DS_STORE_PARTY, key);

	if (kept.value == NULL)
	{
		DsParts read;

		read_parts(o, customer_id, &read);
		kept.value = ds_pricing_store_alloc(overlay->store, DS_STORE_PARTY, sizeof(DsParts));
		ds_pricing_pack_parts(overlay->store, DS_STORE_PARTY, &read, kept.value);
		ds_pricing_store_keep(overlay->store, DS_STORE_PARTY, key, 0, kept.value);
	}
	return kept.value;
}

/* ds_pricing_overlay_agreement does the look-up of the shared rate sets of an agreement; NULL = nothing is laid over it. */
const DsParts *
ds_pricing_overlay_agreement(DsCall *call, int64 agreement_id)
{
	const Overlaid *o = overlaid(call->overlay, agreement_id);

	return o == NULL ? NULL : parts_of(call->overlay, o, 0);
}

/* ds_pricing_overlay_own does the rate sets of a party with the overlay's in the place of those it stands for; they are good for the call. */
const DsParts *
ds_pricing_overlay_own(DsCall *call, const DsParty *party)
{
	DsOverlay *overlay = call->overlay;
	DsParts *own = palloc0(sizeof(DsParts));
	int room = party->own.nparts;
	int i;

	for (i = 0; i < overlay->n; i++)
		room += parts_of(overlay, &overlay->agreements[i], party->party_id)->nparts;
	own->parts = palloc(sizeof(DsPart) * Max(room, 1));
	for (i = 0; i < party->own.nparts; i++)
	{
		if (overlaid(overlay, party->own.parts[i].versions[0].agreement_id) == NULL)
			own->parts[own->nparts++] = party->own.parts[i];
	}
	for (i = 0; i < overlay->n; i++)
	{
		const DsParts *parts = parts_of(overlay, &overlay->agreements[i], party->party_id);

		if (parts->nparts > 0)
			memcpy(&own->parts[own->nparts], parts->parts, sizeof(DsPart) * parts->nparts);
		own->nparts += parts->nparts;
	}
	return own;
}

/* ds_pricing_overlay_store does the store for rates of drafts. */
DsStore *
ds_pricing_overlay_store(DsCall *call)
{
	return call->overlay->store;
}
