/*-------------------------------------------------------------------------
 *
 * stock.c
 *		Fuzz target: what stock events and reservations read of the texts of
 *		their documents by themselves. The first byte chooses: s a number in a
 *		stream, k a kind, p a perspective, f a field by its name (up to the
 *		first '=') and its text, t how long a hold lives, o an option likewise.
 *
 *-------------------------------------------------------------------------
 */
#include "inventory/event_read.c"
#include "inventory/reserve_ask.c"

#include "server.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* as_text does a string of jsonb: its bytes, and nothing behind them. */
static JsonbValue
as_text(const char *text, int len)
{
	JsonbValue value = {.type = jbvString};

	value.val.string.val = palloc(len);
	value.val.string.len = len;
	memcpy(value.val.string.val, text, len);
	return value;
}

/* fuzz_sequence: what is taken for a number is one, and not below 0. */
static void
fuzz_sequence(const char *text, int len)
{
	DsEvent event = {0};
	JsonbValue value = as_text(text, len);

	if (!read_sequence(&event, &value))
		return;
	if (!event.numbered || event.sequence < 0 || len > MAX_DIGITS)
		abort();
	for (int i = 0; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			abort();
}

/* fuzz_word: a kind and a perspective are known by their whole name. */
static void
fuzz_word(const char *text, int len)
{
	DsEvent event = {0};
	JsonbValue value = as_text(text, len);

	if (read_kind(&event, &value) && (event.kind > DS_EVENT_TRANSFER || len < 4 || len > 8))
		abort();
	if (read_perspective(&event, &value) && len != 4)
		abort();
}

/* is_parsed tells whether a field is read by the types of the server, which is not here. */
static bool
is_parsed(const JsonbValue *name)
{
	return is_word(name->val.string.val, name->val.string.len, "quantity") ||
		   is_word(name->val.string.val, name->val.string.len, "event_at") ||
		   is_word(name->val.string.val, name->val.string.len, "expires_on");
}

/* fuzz_field: a text of an event is a piece of its document, and in order with itself. */
static void
fuzz_field(const char *text, int len)
{
	const char *equals = memchr(text, '=', len);
	DsEvent event = {0};
	Told told = {false};
	JsonbValue name, value;

	if (equals == NULL)
		return;
	name = as_text(text, equals - text);
	value = as_text(equals + 1, len - (equals - text) - 1);
	if (is_parsed(&name) || !read_field(&event, &told, &name, &value))
		return;
	for (int i = 0; i < lengthof(texts); i++)
	{
		DsSlice slice = *(DsSlice *) ((char *) &event + texts[i].at);

		if (slice.s != NULL &&
			(slice.s != value.val.string.val || slice.len != value.val.string.len ||
			 ds_inventory_slice_compare(slice, slice) != 0))
			abort();
	}
}

/* fuzz_ttl: a hold lives for some time, and no more than a year and a day. */
static void
fuzz_ttl(const char *text, int len)
{
	JsonbValue value = as_text(text, len);
	Interval ttl;

	if (read_ttl(copy(&value), &ttl) &&
		(ttl.time < 1000 || ttl.time > 366 * USECS_PER_DAY || ttl.day != 0 || ttl.month != 0))
		abort();
}

/* fuzz_option: a text that is taken is not empty, and no longer than a code. */
static void
fuzz_option(const char *text, int len)
{
	const char *equals = memchr(text, '=', len);
	DsReserveOptions o = {0};
	char *taken[] = {NULL, NULL, NULL, NULL, NULL, NULL, NULL};
	JsonbValue name, value;

	if (equals == NULL)
		return;
	name = as_text(text, equals - text);
	value = as_text(equals + 1, len - (equals - text) - 1);
	if (!read_option(&o, copy(&name), &value))
		return;
	memcpy(taken, (char *[]){o.holder, o.customer, o.channel, o.company, o.key, o.source, o.reason},
		   sizeof(taken));
	for (int i = 0; i < lengthof(taken); i++)
		if (taken[i] != NULL && (*taken[i] == '\0' || strlen(taken[i]) > 255))
			abort();
	if (o.kind != NULL && strcmp(o.kind, "hard") != 0 && strcmp(o.kind, "soft") != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char letters[] = "skpfto";
	static void (*const targets[])(const char *, int) = {fuzz_sequence, fuzz_word, fuzz_word,
														 fuzz_field,	fuzz_ttl,  fuzz_option};
	const char *letter = size > 1 ? memchr(letters, data[0], strlen(letters)) : NULL;

	/* what arrives is a string of jsonb: valid, and without NUL */
	if (letter == NULL || memchr(data, '\0', size) != NULL ||
		pg_encoding_verifymbstr(PG_UTF8, (const char *) data + 1, size - 1) != (int) size - 1)
		return 0;
	targets[letter - letters]((const char *) data + 1, (int) size - 1);
	fuzz_forget();
	return 0;
}
