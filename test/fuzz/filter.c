/*-------------------------------------------------------------------------
 *
 * filter.c
 *		Fuzz target: the filters of rate sets. The first byte chooses: b = the
 *		rest is a filter as the table may hold it, i = the rest is a list of ids.
 *		Beside crashes it looks for broken promises, with abort().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pricing/filter.h"
#include "server.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* has: what a filter answers, which must be the same with and without what makes it fast. */
static bool
has(const uint8 *bytes, Size size, int64 id)
{
	Size room = ds_pricing_filter_room(bytes, size);
	DsFilter fast = ds_pricing_filter_open(bytes, size, room == 0 ? NULL : palloc(room));
	DsFilter slow = ds_pricing_filter_open(bytes, size, NULL);
	bool yes = ds_pricing_filter_may_have(&fast, id);

	if (yes != ds_pricing_filter_may_have(&slow, id) || yes != ds_filter_has(&fast, id))
		abort();
	return yes;
}

/* fuzz_bytes: any bytes that are taken for sound can be looked into, wherever the id lies. */
static void
fuzz_bytes(const uint8 *bytes, Size size)
{
	uint8 *filter = palloc(size);

	memcpy(filter, bytes, size);
	if (!ds_pricing_filter_is_sound(filter, size))
		return;
	for (int i = 0; i < 200; i++)
	{
		int64 id = i < 100 ? i : ((int64) 1 << (i - 100) / 2) + i % 2;

		(void) has(filter, size, id);
		(void) has(filter, size, -id);
	}
	(void) ds_pricing_filter_is_exact(filter, size);
}

/* fuzz_ids: a filter that we made is sound and exact, and has all ids and no others. */
static void
fuzz_ids(const uint8 *bytes, Size size)
{
	int n = (int) Min(size / 5, 800);
	int64 *ids = palloc(sizeof(int64) * Max(n, 1));
	int64 *sorted = palloc(sizeof(int64) * Max(n, 1));
	bytea *filter;
	const uint8 *data;
	Size length;

	/* target ids have forty bits */
	for (int i = 0; i < n; i++)
	{
		ids[i] = 0;
		memcpy(&ids[i], bytes + i * 5, 5);
	}
	memcpy(sorted, ids, sizeof(int64) * n);
	filter = ds_pricing_filter_make(sorted, n);
	data = (const uint8 *) VARDATA(filter);
	length = VARSIZE(filter) - VARHDRSZ;
	if (!ds_pricing_filter_is_sound(data, length) || !ds_pricing_filter_is_exact(data, length))
		abort();
	for (int i = 0; i < n; i++)
	{
		bool twin = false;

		if (!has(data, length, ids[i]))
			abort();
		for (int j = 0; j < n && !twin; j++)
			twin = ids[j] == ids[i] + 1;
		if (has(data, length, ids[i] + 1) != twin)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 1 && data[0] == 'b')
		fuzz_bytes(data + 1, size - 1);
	else if (size > 0 && data[0] == 'i')
		fuzz_ids(data + 1, size - 1);
	fuzz_forget();
	return 0;
}
