/*-------------------------------------------------------------------------
 *
 * aging_sums.c
 *		Sums of what is open, by who owes it, currency and place in the order
 *		of buckets: as much of it as there is room for.
 *
 * A table of customers with open addresses, sixteen bytes each, that leads to
 * a chain of sums: most customers have one to four. Sums lie in pieces, so
 * that nothing is copied when there are more of them.
 *
 * Process: any backend. Locks: none. Memory: a context of its own below the
 * caller's.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/aging.h"

#include "utils/memutils.h"

#define FIRST_PLACES 1024
#define NEIGHBOURS 4
#define PIECE_BITS 15
#define PIECE (1 << PIECE_BITS)

typedef struct Owner
{
	int64 customer_id;
	uint32 first; /* sum, 0 = nobody is here */
} Owner;

struct DsAgingSums
{
	MemoryContext context;
	Size room;
	Owner *owners;
	uint32 nplaces; /* a power of two */
	uint32 nowners;
	DsAgingSum **pieces;
	uint32 npieces;
	uint32 piece_room;
	uint32 nsums; /* the first one is never used */
};

/* ds_credit_aging_hash does the hash of a customer. */
uint64
ds_credit_aging_hash(int64 customer_id)
{
	uint64 h = (uint64) customer_id * UINT64CONST(0x9E3779B97F4A7C15);

	return h ^ (h >> 32);
}

/* make_owners does the making of an empty table. */
static Owner *
make_owners(DsAgingSums *self, uint32 nplaces)
{
	return MemoryContextAllocExtended(self->context, sizeof(Owner) * nplaces,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* begin does the beginning of an empty table. */
static void
begin(DsAgingSums *self)
{
	self->nplaces = FIRST_PLACES;
	self->owners = make_owners(self, self->nplaces);
	self->nowners = 0;
	self->pieces = NULL;
	self->npieces = self->piece_room = 0;
	self->nsums = 1;
}

/* ds_credit_aging_sums does the beginning: room is what the table may take at most, in bytes. */
DsAgingSums *
ds_credit_aging_sums(Size room)
{
	DsAgingSums *self = palloc0(sizeof(DsAgingSums));

	self->context =
		AllocSetContextCreate(CurrentMemoryContext, "distsync aging", ALLOCSET_DEFAULT_SIZES);
	self->room = room;
	begin(self);
	return self;
}

/* ds_credit_aging_forget does the emptying of the table. */
void
ds_credit_aging_forget(DsAgingSums *self)
{
	MemoryContextReset(self->context);
	begin(self);
}

/*
 * place_of does the place of a customer, or the free one where he belongs.
 * Neighbours by number, who are often read one after the other, begin in one
 * line of the processor's cache.
 */
static inline Owner *
place_of(Owner *owners, uint32 nplaces, int64 customer_id)
{
	uint32 line = (uint32) ds_credit_aging_hash(customer_id / NEIGHBOURS);
	uint32 i = (line * NEIGHBOURS + (uint32) (customer_id % NEIGHBOURS)) & (nplaces - 1);

	while (owners[i].first != 0 && owners[i].customer_id != customer_id)
		i = (i + 1) & (nplaces - 1);
	return &owners[i];
}

/* sum_at does the sum with a number. */
static inline DsAgingSum *
sum_at(const DsAgingSums *self, uint32 n)
{
	return &self->pieces[n >> PIECE_BITS][n & (PIECE - 1)];
}

/* is_room does the question whether there is room for more bytes; one customer always has it. */
static bool
is_room(const DsAgingSums *self, Size more)
{
	Size has = sizeof(Owner) * self->nplaces + sizeof(DsAgingSum) * PIECE * self->npieces;

	return self->nowners <= 1 || has + more <= self->room;
}

/* grow does the doubling of the table of customers. False: there is no room. */
static bool
grow(DsAgingSums *self)
{
	uint32 nplaces = self->nplaces * 2;
	Owner *owners;

	if (nplaces > PG_UINT32_MAX / 2 || !is_room(self, sizeof(Owner) * nplaces))
		return false;
	owners = make_owners(self, nplaces);
	for (uint32 i = 0; i < self->nplaces; i++)
	{
		if (self->owners[i].first != 0)
			*place_of(owners, nplaces, self->owners[i].customer_id) = self->owners[i];
	}
	pfree(self->owners);
	self->owners = owners;
	self->nplaces = nplaces;
	return true;
}

/* add_piece does the making of room for more sums. False: there is none. */
static bool
add_piece(DsAgingSums *self)
{
	if (!is_room(self, sizeof(DsAgingSum) * PIECE))
		return false;
	if (self->npieces == self->piece_room)
	{
		self->piece_room = Max(64, self->piece_room * 2);
		self->pieces = self->pieces == NULL
						   ? MemoryContextAlloc(self->context, sizeof(void *) * self->piece_room)
						   : repalloc(self->pieces, sizeof(void *) * self->piece_room);
	}
	self->pieces[self->npieces++] = MemoryContextAlloc(self->context, sizeof(DsAgingSum) * PIECE);
	return true;
}

/* ds_credit_aging_add does the adding to the sum of a customer, a currency and a place. False: there is no room for another one. */
bool
ds_credit_aging_add(DsAgingSums *self, int64 customer_id, const DsAgingSum *more)
{
	Owner *owner = place_of(self->owners, self->nplaces, customer_id);
	DsAgingSum *sum;
	uint32 n;

	for (n = owner->first; n != 0; n = sum->next)
	{
		sum = sum_at(self, n);
		if (sum->place == more->place && sum->currency == more->currency)
		{
			sum->amount += more->amount;
			sum->items += more->items;
			return true;
		}
	}
	if (self->nsums >> PIECE_BITS >= self->npieces && !add_piece(self))
		return false;
	if (owner->first == 0)
	{
		if (self->nowners >= self->nplaces / 4 * 3)
		{
			if (!grow(self))
				return false;
			owner = place_of(self->owners, self->nplaces, customer_id);
		}
		self->nowners++;
		owner->customer_id = customer_id;
	}
	sum = sum_at(self, self->nsums);
	*sum = *more;
	sum->next = owner->first;
	owner->first = self->nsums++;
	return true;
}

/* ds_credit_aging_first does the first sum of a customer, NULL if he has none. */
const DsAgingSum *
ds_credit_aging_first(const DsAgingSums *self, int64 customer_id)
{
	uint32 n = place_of(self->owners, self->nplaces, customer_id)->first;

	return n == 0 ? NULL : sum_at(self, n);
}

/* ds_credit_aging_next does the next sum of the same customer, NULL if there is none. */
const DsAgingSum *
ds_credit_aging_next(const DsAgingSums *self, const DsAgingSum *sum)
{
	return sum->next == 0 ? NULL : sum_at(self, sum->next);
}
