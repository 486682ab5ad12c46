/*-------------------------------------------------------------------------
 *
 * load_party.c
 *		A party as prices see it: who is above it, which groups it is in, and
 *		the rate sets that have rates of its own.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * current context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/load.h"

#include "base/compat.h"

static DsTable party_table = {
	.name = "party",
	.index = "party_pk",
	.keys = {"party_id"},
	.columns = {"party_id", "code", "currency", "price_class"},
};

static DsTable ancestor_table = {
	.name = "party_ancestor",
	.index = "party_ancestor_up_idx",
	.keys = {"party_id"},
	.columns = {"ancestor_id", "depth", "valid"},
};

static DsTable member_table = {
	.name = "party_member",
	.index = "party_member_party_idx",
	.keys = {"party_id"},
	.columns = {"group_id", "valid", "known"},
};

static DsTable group_table = {
	.name = "party_group",
	.index = "party_group_pk",
	.keys = {"group_id"},
	.columns = {"kind", "code"},
};

/* the most that one party may have of a thing, all times together: more is refused */
#define MAX_ANCESTORS 4096
#define MAX_MEMBERSHIPS 65536

/* load_ancestors does the reading of who is above, with all the times it was so. */
static void
load_ancestors(DsParty *party)
{
	DsReader *reader = ds_reader_open(&ancestor_table);
	Datum key = Int64GetDatum(party->party_id);
	int room = 4;

	party->ancestors = palloc(sizeof(DsAncestor) * room);
	ds_reader_seek(reader, &key, 1);
	while (ds_reader_next(reader))
	{
		DsAncestor *a;

		if (DatumGetInt16(reader->values[1]) == 0)
			continue;
		if (party->nancestors == MAX_ANCESTORS)
			ds_pricing_too_many(MAX_ANCESTORS, "parties above one party",
								psprintf("Party \"%s\"", party->code),
								"Its parent moved too often: give it a new party.");
		if (party->nancestors == room)
			party->ancestors = repalloc(party->ancestors, sizeof(DsAncestor) * (room *= 2));
		a = &party->ancestors[party->nancestors++];
		a->party_id = DatumGetInt64(reader->values[0]);
		a->depth = DatumGetInt16(reader->values[1]);
		ds_pricing_period(reader, 2, &a->valid_from, &a->valid_to);
	}
	ds_reader_close(reader);
}

/* add_membership does the reading of one group's kind and code. Segments mean nothing to prices. */
static void
add_membership(DsParty *party, DsReader *groups, int64 group_id, TimestampTz from, TimestampTz to,
			   int *room)
{
	Datum key = Int64GetDatum(group_id);
	const char *kind;
	DsMembership *m;

	ds_reader_seek(groups, &key, 1);
	if (!ds_reader_next(groups))
		return;
	kind = ds_pricing_text(groups, 0);
	if (strcmp(kind, "segment") == 0)
		return;
	if (party->nmemberships == *room)
		party->memberships = repalloc(party->memberships, sizeof(DsMembership) * (*room *= 2));
	m = &party->memberships[party->nmemberships++];
	m->kind = ds_pricing_word(ds_pricing_who_words, kind, strlen(kind), "group kind");
	m->code = ds_pricing_text(groups, 1);
	m->valid_from = from;
	m->valid_to = to;
}

/* load_memberships does the reading of the groups a party is in. */
static void
load_memberships(DsCall *call, DsParty *party)
{
	DsReader *reader = ds_reader_open(&member_table);
	DsReader *groups = NULL;
	Datum key = Int64GetDatum(party->party_id);
	int room = 4;

	party->memberships = palloc(sizeof(DsMembership) * room);
	ds_reader_seek(reader, &key, 1);
	while (ds_reader_next(reader))
	{
		TimestampTz from;
		TimestampTz to;

		if (!ds_pricing_known(call, reader->values[2]))
			continue;
		if (party->nmemberships == MAX_MEMBERSHIPS)
			ds_pricing_too_many(MAX_MEMBERSHIPS, "memberships of one party",
								psprintf("Party \"%s\"", party->code),
								"Take it out of some groups.");
		if (groups == NULL)
			groups = ds_reader_open(&group_table);
		ds_pricing_period(reader, 1, &from, &to);
		add_membership(party, groups, DatumGetInt64(reader->values[0]), from, to, &room);
	}
	if (groups != NULL)
		ds_reader_close(groups);
	ds_reader_close(reader);
}

/* ds_pricing_load_party does the reading of a party; NULL = there is none. */
DsParty *
ds_pricing_load_party(DsCall *call, int64 party_id)
{
	DsReader *reader = ds_reader_open(&party_table);
	Datum key = Int64GetDatum(party_id);
	DsParty *party = NULL;

	ds_reader_seek(reader, &key, 1);
	if (ds_reader_next(reader))
	{
		party = palloc0(sizeof(DsParty));
		party->party_id = party_id;
		party->code = ds_pricing_text(reader, 1);
		party->currency = ds_pricing_text(reader, 2);
		party->price_class = ds_pricing_text(reader, 3);
	}
	ds_reader_close(reader);
	if (party == NULL)
		return NULL;
	load_ancestors(party);
	load_memberships(call, party);
	ds_pricing_load_parts(call, party_id, 0, &party->own);
	return party;
}
