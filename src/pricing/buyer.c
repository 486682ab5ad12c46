/*-------------------------------------------------------------------------
 *
 * buyer.c
 *		Who is buying, and every version that concerns him.
 *
 * The buyer set is walked once a call. Its result is the list of sources: a
 * version with the way it is reached (its rank), and whether its period, its
 * company and its currency let it count at all.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * call's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "base/compat.h"
#include "pricing/filter.h"

/* A party of the buyer's chain: with the kind under which its own rates and assignments are ranked. */
typedef struct Link
{
	const DsParty *party;
	DsWho who;
	int depth;
} Link;

/* master keeps hierarchies within 16 steps, so that the chain always fits */
#define MAX_LINKS 64

/* as much of a filter is asked for ahead */
#define FETCH_BYTES 512

/* rank_of does the rank of a kind at a depth; -1 = the policy does not use the kind. */
static int32
rank_of(DsCall *call, DsWho who, int depth)
{
	int place = call->shared->policy.who[who];

	return place == 0 ? -1 : place * 100 + depth;
}

/* until does the narrowing of the answer's end by a period that was looked at. */
static void
until(DsCall *call, TimestampTz from, TimestampTz to)
{
	ds_pricing_until(from, call->request.at, &call->buyer.valid_until);
	ds_pricing_until(to, call->request.at, &call->buyer.valid_until);
}

/* ds_pricing_whole_reason does the test of what keeps a whole version from counting. */
DsReason
ds_pricing_whole_reason(DsCall *call, const DsVersion *v, TimestampTz at)
{
	if (v->valid_from > at)
		return DS_REASON_NOT_STARTED;
	if (v->valid_to <= at)
		return DS_REASON_ENDED;
	if (v->company_id != 0 && v->company_id != call->request.company_id)
		return DS_REASON_OTHER_COMPANY;
	return DS_REASON_NONE;
}

/* better does the choice between two ways to one version: the smaller rank, then list rank, then key. */
static bool
better(int32 who_rank, int32 list_rank, const char *key, const DsSource *than)
{
	if (who_rank != than->who_rank)
		return who_rank < than->who_rank;
	if (list_rank != than->list_rank)
		return list_rank < than->list_rank;
	return strcmp(key, than->who_key) < 0;
}

/* set_way does the noting of how a version is reached. */
static void
set_way(DsSource *s, DsWho who, const char *key, int32 who_rank, int32 list_rank, bool blocking)
{
	s->who = who;
	s->who_key = key;
	s->who_rank = who_rank;
	s->list_rank = list_rank;
	s->blocking = blocking;
}

/* add_source does the entering of a version, or the shortening of the way to it. */
static void
add_source(DsCall *call, const DsPart *part, const DsVersion *v, DsWho who, const char *key,
		   int32 who_rank, int32 list_rank, bool blocking)
{
	DsBuyer *buyer = &call->buyer;
	TimestampTz at = call->request.dates[v->price_date];
	DsReason reason = ds_pricing_whole_reason(call, v, at);
	DsSource *s;
	int i;

	/* what is over can neither apply nor begin: only who explains wants to hear of it */
	if (reason == DS_REASON_ENDED && !call->explain)
		return;
	for (i = 0; part->customer_id == 0 && i < buyer->nsources; i++)
	{
		s = &buyer->sources[i];
		if (s->version->version_id != v->version_id || s->part->customer_id != 0)
			continue;
		if (!better(who_rank, list_rank, key, s))
			return;
		set_way(s, who, key, who_rank, list_rank, blocking);
		return;
	}
	if (buyer->nsources == buyer->room)
	{
		buyer->room = Max(16, buyer->room * 2);
		buyer->sources = buyer->sources == NULL
							 ? palloc(sizeof(DsSource) * buyer->room)
							 : repalloc(buyer->sources, sizeof(DsSource) * buyer->room);
	}
	s = &buyer->sources[buyer->nsources++];
	memset(s, 0, sizeof(DsSource));
	s->part = part;
	s->version = v;
	s->filter = part->filter;
	set_way(s, who, key, who_rank, list_rank, blocking);
	s->reason = reason;
	s->at = at;
}

/* fetch does the asking for a filter's memory, which the lines will look at soon: it is rarely in the processor's cache. */
static void
fetch(const DsPart *part)
{
	if (part->filter.bits == NULL)
		ds_store_fetch(part->filter.bytes, Min(part->filter.size, FETCH_BYTES));
}

/* add_own does the entering of a party's own rate sets. */
static void
add_own(DsCall *call, const Link *link)
{
	int32 rank = rank_of(call, link->who, link->depth);
	const DsParts *own =
		call->overlay == NULL ? &link->party->own : ds_pricing_overlay_own(call, link->party);
	int i;
	int j;

	for (i = 0; rank >= 0 && i < own->nparts; i++)
	{
		const DsPart *part = &own->parts[i];

		fetch(part);
		for (j = 0; j < part->nversions; j++)
			add_source(call, part, &part->versions[j], link->who, link->party->code, rank, 0,
					   false);
	}
}

/* add_edge does the entering of an assignment's start and end. */
static void
add_edge(DsCall *call, const DsPart *part, const DsAssignment *a)
{
	DsBuyer *buyer = &call->buyer;

	if (buyer->nedges == buyer->edge_room)
	{
		buyer->edge_room = Max(8, buyer->edge_room * 2);
		buyer->edges = buyer->edges == NULL
						   ? palloc(sizeof(DsEdge) * buyer->edge_room)
						   : repalloc(buyer->edges, sizeof(DsEdge) * buyer->edge_room);
	}
	buyer->edges[buyer->nedges].part = part;
	buyer->edges[buyer->nedges].slot = part->versions[0].slot;
	buyer->edges[buyer->nedges].from = a->valid_from;
	buyer->edges[buyer->nedges].to = a->valid_to;
	buyer->nedges++;
}

/* add_assigned does the entering of the agreements that are assigned to a kind of buyer. */
static void
add_assigned(DsCall *call, DsWho who, const char *key, int depth)
{
	int32 rank = rank_of(call, who, depth);
	const DsAssignments *assigned;
	int i;
	int j;
	int k;

	if (rank < 0 || (call->shared->assigned & (1 << who)) == 0)
		return;
	assigned = ds_pricing_assigned(call, who, key);
	for (i = 0; i < assigned->n; i++)
	{
		const DsAssignment *a = &assigned->list[i];
		const DsParts *parts = ds_pricing_agreement(call, a->agreement_id);

		for (j = 0; j < parts->nparts; j++)
		{
			for (k = 0; k < parts->parts[j].nversions; k++)
			{
				const DsVersion *v = &parts->parts[j].versions[k];
				TimestampTz at = call->request.dates[v->price_date];

				if (at == call->request.at &&
					(!TIMESTAMP_IS_NOBEGIN(a->valid_from) || !TIMESTAMP_IS_NOEND(a->valid_to)) &&
					v->valid_to > at)
					add_edge(call, &parts->parts[j], a);
				if (a->valid_from <= at && at < a->valid_to)
					add_source(call, &parts->parts[j], v, who, key, rank, a->rank, a->blocking);
			}
		}
	}
}

/* make_links does the walk over the chain: the customer, who is above it, ship-to and job. */
static int
make_links(DsCall *call, Link *links)
{
	const DsParty *customer = call->buyer.customer;
	DsRequest *q = &call->request;
	int n = 0;
	int i;

	links[n++] = (Link){customer, DS_WHO_CUSTOMER, 0};
	for (i = 0; i < customer->nancestors && n < MAX_LINKS - 2; i++)
	{
		const DsAncestor *a = &customer->ancestors[i];
		const DsParty *party;

		ds_pricing_until_closure(call, a->valid_from, a->valid_to, &call->buyer.valid_until);
		if (a->valid_from > q->closure_at || q->closure_at >= a->valid_to)
			continue;
		party = ds_pricing_party(call, a->party_id);
		if (party != NULL)
			links[n++] = (Link){party, DS_WHO_PARENT, a->depth};
	}
	if (q->ship_to_id != 0)
		links[n++] = (Link){ds_pricing_party(call, q->ship_to_id), DS_WHO_SHIP_TO, 0};
	if (q->job_id != 0)
		links[n++] = (Link){ds_pricing_party(call, q->job_id), DS_WHO_JOB, 0};
	return n;
}

/* add_groups does the entering of the groups of the chain, each once, by its nearest member. */
static void
add_groups(DsCall *call, const Link *links, int nlinks)
{
	TimestampTz at = call->request.at;
	int i;
	int j;
	int k;
	int l;

	for (i = 0; i < nlinks; i++)
	{
		for (j = 0; j < links[i].party->nmemberships; j++)
		{
			const DsMembership *m = &links[i].party->memberships[j];
			int depth = links[i].depth;
			bool nearest = true;

			if (rank_of(call, m->kind, depth) < 0)
				continue;
			until(call, m->valid_from, m->valid_to);
			if (m->valid_from > at || at >= m->valid_to)
				continue;
			for (k = 0; k < nlinks && nearest; k++)
			{
				for (l = 0; l < links[k].party->nmemberships && nearest; l++)
				{
					const DsMembership *o = &links[k].party->memberships[l];

					if ((k != i || l != j) && o->kind == m->kind && o->valid_from <= at &&
						at < o->valid_to && strcmp(o->code, m->code) == 0)
						nearest = links[k].depth > depth ||
								  (links[k].depth == depth && (k > i || (k == i && l > j)));
				}
			}
			if (nearest)
				add_assigned(call, m->kind, m->code, depth);
		}
	}
}

/* widen does the making of filters that answer faster, each once, where many lines will ask them. */
static void
widen(DsBuyer *buyer)
{
	int i;
	int j;

	for (i = 0; i < buyer->nsources; i++)
	{
		DsSource *s = &buyer->sources[i];

		for (j = 0; j < i && buyer->sources[j].part != s->part; j++)
			;
		if (j == i)
			ds_pricing_filter_widen(&s->filter);
		else
			s->filter = buyer->sources[j].filter;
	}
}

/* line_slots does the finding of the slots that take part in the price of a line: in the policy, not of the order level, not left out. */
static uint32
line_slots(DsCall *call)
{
	const DsPolicy *p = &call->shared->policy;
	uint32 slots = 0;
	int i;

	for (i = 0; i < p->nslots; i++)
	{
		if (p->slots[i].combine <= DS_SLOT_CLAMP)
			slots |= 1 << p->slots[i].name;
	}
	return slots & ~call->request.without;
}

/* ds_pricing_buyer does the finding of every version that concerns the buyer. */
void
ds_pricing_buyer(DsCall *call)
{
	DsRequest *q = &call->request;
	Link links[MAX_LINKS];
	int n;
	int i;

	call->buyer.nsources = 0;
	call->buyer.nedges = 0;
	call->buyer.valid_until = DT_NOEND;
	call->line_slots = line_slots(call);
	n = make_links(call, links);
	for (i = 0; i < n; i++)
	{
		add_own(call, &links[i]);
		add_assigned(call, links[i].who, links[i].party->code, links[i].depth);
	}
	add_groups(call, links, n);
	if (call->buyer.customer->price_class != NULL)
		add_assigned(call, DS_WHO_PRICE_CLASS, call->buyer.customer->price_class, 0);
	if (q->channel != NULL)
		add_assigned(call, DS_WHO_CHANNEL, q->channel, 0);
	add_assigned(call, DS_WHO_ALL, "", 0);
	if (call->many)
		widen(&call->buyer);
}
