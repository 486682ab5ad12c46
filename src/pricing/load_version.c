/*-------------------------------------------------------------------------
 *
 * load_version.c
 *		Rate sets with the versions over them that are held true, and who may
 *		use shared ones.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * current context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/load.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "base/compat.h"
#include "base/errors.h"
#include "pricing/filter.h"

/* rate sets of a customer; without known_at those still in force suffice */
static DsTable held_table = {
	.name = "rate_part",
	.index = "rate_part_held_idx",
	.keys = {"customer_id"},
	.columns = {"version_id", "agreement_id", "filter", "dated", "what_kinds", "page_shift"},
	.where = "ended_at IS NULL",
};

static DsTable part_table = {
	.name = "rate_part",
	.index = "rate_part_pk",
	.keys = {"customer_id", "version_id"},
	.columns = {"version_id", "agreement_id", "filter", "dated", "what_kinds", "page_shift"},
};

/* versions of an agreement */
static DsTable agreement_versions_table = {
	.name = "agreement_version",
	.index = "agreement_version_no_uq",
	.keys = {"agreement_id"},
	.columns = {"version_id",	"rate_set_id", "version_no",  "valid",			 "known",
				"published_at", "combine",	   "stack_group", "priority",		 "tier_measure",
				"tier_basis",	"tier_mode",   "tier_scope",  "price_date",		 "fx_allowed",
				"tax_included", "rounding",	   "on_breach",	  "commit_quantity", "commit_amount",
				"cap_behavior"},
};

enum
{
	V_ID,
	V_RATE_SET,
	V_NO,
	V_VALID,
	V_KNOWN,
	V_PUBLISHED_AT,
	V_COMBINE,
	V_STACK_GROUP,
	V_PRIORITY,
	V_MEASURE,
	V_BASIS,
	V_MODE,
	V_SCOPE,
	V_DATE,
	V_FX,
	V_TAX,
	V_ROUNDING,
	V_BREACH,
	V_COMMIT_QUANTITY,
	V_COMMIT_AMOUNT,
	V_CAP
};

static DsTable agreement_table = {
	.name = "agreement",
	.index = "agreement_pk",
	.keys = {"agreement_id"},
	.columns = {"code", "slot", "company_id", "currency", "charge_kind", "tax_class"},
};

static DsTable content_table = {
	.name = "agreement_version",
	.index = "agreement_version_pk",
	.keys = {"version_id"},
	.columns = {"content_sha256"},
};

static DsTable assignment_table = {
	.name = "agreement_assignment",
	.index = "agreement_assignment_who_idx",
	.keys = {"who_kind", "who_key"},
	.columns = {"agreement_id", "rank", "blocking", "valid", "known"},
};

#define MAX_PARTS 100000

/* read_terms does the reading of a version's terms. */
static void
read_terms(DsReader *r, DsVersion *v)
{
	v->version_id = DatumGetInt64(r->values[V_ID]);
	v->version_no = DatumGetInt32(r->values[V_NO]);
	ds_pricing_period(r, V_VALID, &v->valid_from, &v->valid_to);
	v->combine = ds_pricing_word_datum(ds_pricing_combine_words, r->values[V_COMBINE], "combine");
	v->stack_group = ds_pricing_text(r, V_STACK_GROUP);
	v->priority = DatumGetInt32(r->values[V_PRIORITY]);
	v->tier_measure =
		ds_pricing_word_datum(ds_pricing_measure_words, r->values[V_MEASURE], "tier_measure");
	v->tier_basis = ds_pricing_word_datum(ds_pricing_basis_words, r->values[V_BASIS], "tier_basis");
	v->incremental = ds_reader_text_is(r, V_MODE, "incremental");
	v->merge = ds_reader_text_is(r, V_SCOPE, "merge");
	v->price_date = ds_pricing_word_datum(ds_pricing_date_words, r->values[V_DATE], "price_date");
	v->fx_allowed = DatumGetBool(r->values[V_FX]);
	v->tax_included = DatumGetBool(r->values[V_TAX]);
	v->rounding = ds_pricing_text(r, V_ROUNDING);
	v->flag_breach = ds_reader_text_is(r, V_BREACH, "flag");
	v->commit_quantity = ds_pricing_decimal_or_null(r, V_COMMIT_QUANTITY);
	v->commit_amount = ds_pricing_decimal_or_null(r, V_COMMIT_AMOUNT);
	v->cap_behavior = ds_pricing_word_datum(ds_pricing_cap_words, r->values[V_CAP], "cap_behavior");
}

/* read_agreement does the reading of what all versions of an agreement share. */
static bool
read_agreement(DsReader *reader, int64 agreement_id, DsVersion *model)
{
	Datum key = Int64GetDatum(agreement_id);

	memset(model, 0, sizeof(DsVersion));
	ds_reader_seek(reader, &key, 1);
	if (!ds_reader_next(reader))
		return false;
	model->agreement_id = agreement_id;
	model->agreement = ds_pricing_text(reader, 0);
	model->slot = ds_pricing_word_datum(ds_pricing_slot_words, reader->values[1], "slot");
	model->company_id = ds_pricing_int64(reader, 2, 0);
	model->currency = ds_pricing_text(reader, 3);
	if (!reader->nulls[4])
		model->charge_kind =
			ds_pricing_word_datum(ds_pricing_charge_words, reader->values[4], "charge_kind");
	model->tax_class = ds_pricing_text(reader, 5);
	return true;
}

/* add_versions does the reading of the versions over a rate set that are held true. */
static void
add_versions(DsCall *call, DsReader *versions, const DsVersion *model, DsPart *part)
{
	Datum key = Int64GetDatum(model->agreement_id);
	int room = 0;

	ds_reader_seek(versions, &key, 1);
	while (ds_reader_next(versions))
	{
		DsVersion *v;

		if (DatumGetInt64(versions->values[V_RATE_SET]) != part->set_id ||
			versions->nulls[V_PUBLISHED_AT] || !ds_pricing_known(call, versions->values[V_KNOWN]))
			continue;
		if (part->nversions == room)
		{
			room = Max(1, room * 2);
			part->versions = part->versions == NULL
								 ? palloc(sizeof(DsVersion) * room)
								 : repalloc(part->versions, sizeof(DsVersion) * room);
		}
		v = &part->versions[part->nversions++];
		*v = *model;
		read_terms(versions, v);
	}
}

/* kinds_of does the reading of a list of target kinds as bits. */
static uint8
kinds_of(Datum list)
{
	Datum *words;
	int n;
	uint8 bits = 0;

	deconstruct_array(DatumGetArrayTypeP(list), TEXTOID, -1, false, TYPALIGN_INT, &words, NULL, &n);
	while (n-- > 0)
		bits |= 1 << ds_pricing_word_datum(ds_pricing_what_words, words[n], "target kind");
	return bits;
}

/* read_part does the reading of a rate set's row: what of it is known without its versions. */
static void
read_part(DsReader *reader, int64 customer_id, DsPart *part)
{
	bytea *filter = DatumGetByteaPP(reader->values[2]);

	part->customer_id = customer_id;
	part->set_id = DatumGetInt64(reader->values[0]);
	part->dated = DatumGetBool(reader->values[3]);
	part->kinds = kinds_of(reader->values[4]);
	part->page_shift = reader->nulls[5] ? -1 : (int8) DatumGetInt16(reader->values[5]);
	part->filter.size = VARSIZE_ANY_EXHDR(filter);
	part->filter.bytes =
		memcpy(palloc(Max(part->filter.size, 1)), VARDATA_ANY(filter), part->filter.size);
	/* a damaged one says "perhaps" to everything, like one of an unknown layout */
	if (!ds_pricing_filter_is_sound(part->filter.bytes, part->filter.size))
		part->filter.size = 0;
}

/* add_part does the reading of one rate set; one without a version in force is left out again. */
static void
add_part(DsCall *call, DsReader *reader, DsReader *versions, DsReader *agreements,
		 int64 customer_id, DsParts *parts, int *room)
{
	DsPart *part;
	DsVersion model;

	if (parts->nparts >= MAX_PARTS)
		ereport(ERROR, (errcode(DS_ERRCODE_TOO_LARGE),
						errmsg("more than %d rate sets concern one customer", MAX_PARTS),
						errhint("Join the agreements, or withdraw those that are over.")));
	if (parts->nparts == *room)
	{
		*room = Max(2, *room * 2);
		parts->parts = parts->parts == NULL ? palloc(sizeof(DsPart) * *room)
											: repalloc(parts->parts, sizeof(DsPart) * *room);
	}
	part = &parts->parts[parts->nparts];
	memset(part, 0, sizeof(DsPart));
	part->set_id = DatumGetInt64(reader->values[0]);
	if (!read_agreement(agreements, DatumGetInt64(reader->values[1]), &model))
		return;
	add_versions(call, versions, &model, part);
	if (part->nversions == 0)
		return;
	read_part(reader, customer_id, part);
	parts->nparts++;
}

/* ds_pricing_load_part does the reading of a published rate set's part for a customer, or (0) shared, without its versions. False: it has none. */
bool
ds_pricing_load_part(int64 customer_id, int64 set_id, DsPart *part)
{
	DsReader *reader = ds_reader_open(&part_table);
	Datum keys[2] = {Int64GetDatum(customer_id), Int64GetDatum(set_id)};
	bool found;

	memset(part, 0, sizeof(DsPart));
	ds_reader_seek(reader, keys, 2);
	found = ds_reader_next(reader);
	if (found)
		read_part(reader, customer_id, part);
	ds_reader_close(reader);
	return found;
}

/* ds_pricing_load_versions does the reading of all versions of an agreement. Returns how many. */
int
ds_pricing_load_versions(DsCall *call, int64 agreement_id, DsHeld **list)
{
	DsReader *versions = ds_reader_open(&agreement_versions_table);
	DsReader *agreements = ds_reader_open(&agreement_table);
	Datum key = Int64GetDatum(agreement_id);
	int room = 8;
	int n = 0;
	DsVersion model;

	*list = palloc(sizeof(DsHeld) * room);
	if (read_agreement(agreements, agreement_id, &model))
		ds_reader_seek(versions, &key, 1);
	while (model.agreement_id != 0 && ds_reader_next(versions))
	{
		DsHeld *h;

		if (n == room)
			*list = repalloc(*list, sizeof(DsHeld) * (room *= 2));
		h = &(*list)[n++];
		h->version = model;
		read_terms(versions, &h->version);
		h->set_id = DatumGetInt64(versions->values[V_RATE_SET]);
		h->published = !versions->nulls[V_PUBLISHED_AT];
		h->held = h->published && ds_pricing_known(call, versions->values[V_KNOWN]);
	}
	ds_reader_close(agreements);
	ds_reader_close(versions);
	return n;
}

/* shared_sets does the reading of the rate sets of an agreement that have shared rates, by its versions. */
static void
shared_sets(DsCall *call, int64 agreement_id, DsReader *versions, DsReader *agreements,
			DsParts *parts, int *room)
{
	DsReader *reader = ds_reader_open(&part_table);
	Datum key = Int64GetDatum(agreement_id);
	int64 *sets = palloc(sizeof(int64) * 16);
	int nsets = 0;
	int nroom = 16;
	int i;

	ds_reader_seek(versions, &key, 1);
	while (ds_reader_next(versions))
	{
		int64 set = DatumGetInt64(versions->values[V_RATE_SET]);

		if (versions->nulls[V_PUBLISHED_AT] || !ds_pricing_known(call, versions->values[V_KNOWN]))
			continue;
		for (i = 0; i < nsets && sets[i] != set; i++)
			;
		if (i < nsets)
			continue;
		if (nsets == nroom)
			sets = repalloc(sets, sizeof(int64) * (nroom *= 2));
		sets[nsets++] = set;
	}
	for (i = 0; i < nsets; i++)
	{
		Datum keys[2] = {Int64GetDatum(0), Int64GetDatum(sets[i])};

		ds_reader_seek(reader, keys, 2);
		if (ds_reader_next(reader))
			add_part(call, reader, versions, agreements, 0, parts, room);
	}
	pfree(sets);
	ds_reader_close(reader);
}

/*
 * ds_pricing_load_parts does the reading of rate sets: those that have rates
 * of a customer's own, or (customer 0) those with shared rates of an agreement.
 */
void
ds_pricing_load_parts(DsCall *call, int64 customer_id, int64 agreement_id, DsParts *parts)
{
	DsReader *versions = ds_reader_open(&agreement_versions_table);
	DsReader *agreements = ds_reader_open(&agreement_table);
	int room = 0;

	memset(parts, 0, sizeof(DsParts));
	if (customer_id == 0)
		shared_sets(call, agreement_id, versions, agreements, parts, &room);
	else
	{
		DsReader *reader = ds_reader_open(call->request.has_known_at ? &part_table : &held_table);
		Datum key = Int64GetDatum(customer_id);

		ds_reader_seek(reader, &key, 1);
		while (ds_reader_next(reader))
			add_part(call, reader, versions, agreements, customer_id, parts, &room);
		ds_reader_close(reader);
	}
	ds_reader_close(agreements);
	ds_reader_close(versions);
}

/* ds_pricing_load_content does the reading of the hash of a version's rates; NULL = it has none yet. */
const uint8 *
ds_pricing_load_content(int64 version_id)
{
	DsReader *reader = ds_reader_open(&content_table);
	Datum key = Int64GetDatum(version_id);
	uint8 *hash = palloc(DS_CONTENT_LENGTH);
	bool found;

	ds_reader_seek(reader, &key, 1);
	found = ds_reader_next(reader) && ds_pricing_hash(reader, 0, hash);
	ds_reader_close(reader);
	return found ? hash : NULL;
}

/* ds_pricing_load_assigned does the finding of the kinds of buyers that anything was ever assigned to. */
uint32
ds_pricing_load_assigned(void)
{
	DsReader *reader = ds_reader_open(&assignment_table);
	uint32 kinds = 0;
	int i;

	for (i = 0; i < DS_WHO_COUNT; i++)
	{
		Datum key = CStringGetTextDatum(ds_pricing_who_words[i]);

		ds_reader_seek(reader, &key, 1);
		if (ds_reader_next(reader))
			kinds |= 1 << i;
	}
	ds_reader_close(reader);
	return kinds;
}

/* ds_pricing_load_assignments does the reading of the agreements that a kind of buyer may use. */
DsAssignments *
ds_pricing_load_assignments(DsCall *call, DsWho who, const char *key)
{
	DsReader *reader = ds_reader_open(&assignment_table);
	DsAssignments *result = palloc0(sizeof(DsAssignments));
	Datum keys[2] = {CStringGetTextDatum(ds_pricing_who_words[who]), CStringGetTextDatum(key)};
	int room = 0;

	ds_reader_seek(reader, keys, 2);
	while (ds_reader_next(reader))
	{
		DsAssignment *a;

		if (!ds_pricing_known(call, reader->values[4]))
			continue;
		if (result->n == room)
		{
			room = Max(4, room * 2);
			result->list = result->list == NULL
							   ? palloc(sizeof(DsAssignment) * room)
							   : repalloc(result->list, sizeof(DsAssignment) * room);
		}
		a = &result->list[result->n++];
		a->agreement_id = DatumGetInt64(reader->values[0]);
		a->rank = DatumGetInt32(reader->values[1]);
		a->blocking = DatumGetBool(reader->values[2]);
		ds_pricing_period(reader, 3, &a->valid_from, &a->valid_to);
	}
	ds_reader_close(reader);
	return result;
}
