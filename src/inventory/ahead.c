/*-------------------------------------------------------------------------
 *
 * ahead.c
 *		What may be promised from each instant on: the sums of what comes and
 *		goes, of lots that expire, and of what is still to come. README.md has
 *		the reckoning, inventory_curve_sites() does the same in SQL.
 *
 * Process: any backend. Locks: none. Memory: the caller's.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/ahead.h"

/* compare_changes does the order of a timeline: what is there first, then by moment, kind, document and amount. */
static int
compare_changes(const void *left, const void *right)
{
	const DsAheadChange *a = left;
	const DsAheadChange *b = right;
	int order;

	if (a->moment != b->moment)
		return a->moment < b->moment ? -1 : 1;
	if (a->kind == NULL || b->kind == NULL)
		return (a->kind != NULL) - (b->kind != NULL);
	order = strcmp(a->kind, b->kind);
	if (order == 0)
		order = strcmp(a->reference, b->reference);
	if (order == 0 && a->amount != b->amount)
		order = a->amount < b->amount ? -1 : 1;
	return order;
}

/*
 * add_up does where each site stands after each change. What expires at an
 * instant is what is left of its lots by then: what went before took from them
 * first. README.md has the reckoning.
 */
static void
add_up(DsAhead *t)
{
	for (int i = 0; i < t->n; i++)
	{
		DsAheadChange *c = &t->changes[i];
		DsAheadPlace *p = &t->places[c->place];

		if (p->seen != c->moment)
			p->before = p->gone;
		p->seen = c->moment;
		if (c->expires)
		{
			int64 was = Min(0, p->rest == DS_AHEAD_NEVER ? 0 : p->rest - p->stand);

			p->rest = Min(p->rest, c->rest - p->before);
			c->amount = Min(0, p->rest - p->stand) - was;
		}
		else
		{
			p->running += c->amount;
			if (c->kind != NULL)
				p->gone += Min(0, c->amount);
		}
		c->rest = p->rest;
		c->atp = p->running;
	}
}

/*
 * look_back does what a site may promise from a moment on, the last of which
 * comes first: what lots leave, and the lowest point to come; where that is only
 * because a lot is gone by then, no more of it than what does not need the lot.
 */
static void
look_back(DsAheadPlace *p, const DsAheadChange *c)
{
	int64 spoilt = c->rest == DS_AHEAD_NEVER ? 0 : Min(0, c->rest - p->stand);

	if (c->rest != p->last)
	{
		if (p->low != DS_AHEAD_NEVER)
			p->beyond = Min(p->beyond, Max(p->low, -p->last));
		p->low = DS_AHEAD_NEVER;
		p->last = c->rest;
	}
	p->low = Min(p->low, c->atp - p->stand);
	p->raw = p->stand + spoilt + Min(p->low, p->beyond) + p->allowance;
}

/*
 * ds_inventory_look_ahead does the order of all changes, and what each site may
 * promise from each of them on, never below 0, in whole steps. A first pass adds
 * up, a second one looks back from the end.
 */
void
ds_inventory_look_ahead(DsAhead *t)
{
	qsort(t->changes, t->n, sizeof(DsAheadChange), compare_changes);
	add_up(t);
	for (int i = 0; i < t->n; i++)
		t->places[t->changes[i].place].seen = DT_NOBEGIN;
	for (int i = t->n - 1; i >= 0; i--)
	{
		DsAheadChange *c = &t->changes[i];
		DsAheadPlace *p = &t->places[c->place];

		/* at a moment counts what is left after all of its changes */
		if (p->seen != c->moment)
			look_back(p, c);
		p->seen = c->moment;
		c->atp = Max(0, p->raw);
		c->atp -= c->atp % t->step;
	}
	/* what expires is known only now, and documents are told in the order of their amounts */
	if (t->lots)
		qsort(t->changes, t->n, sizeof(DsAheadChange), compare_changes);
}
