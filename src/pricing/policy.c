/*-------------------------------------------------------------------------
 *
 * policy.c
 *		A policy document as the engine walks it.
 *
 * publish_policy() has checked the document and written every default into it;
 * what is missing here is damage and an error, never a guess.
 *
 * Process: any backend. Locks: none. Memory: the caller's struct.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "base/compat.h"
#include "base/errors.h"

/* the error for a document that is not what publish_policy() lets through */
#define BROKEN(version, key)                                                                       \
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),                                               \
					errmsg("price policy %d has no usable \"%s\"", (version), (key)),              \
					errdetail("Table dist.price_policy."),                                         \
					errhint("Publish a policy with distsync.publish_policy().")))

/* decimals that publish_policy() lets a rounding have */
#define MAX_SCALE 8

/* member does the look-up of a member; NULL = absent. */
static JsonbValue *
member(JsonbContainer *object, const char *key, JsonbValue *buffer)
{
	return JsonContainerIsObject(object)
			   ? getKeyJsonValueFromContainer(object, key, (int) strlen(key), buffer)
			   : NULL;
}

/* words_of does the reading of a list of words as numbers; returns how many. */
static int
words_of(JsonbContainer *object, const char *key, const char *const *words, int32 version,
		 int *numbers, int room)
{
	JsonbValue buffer;
	JsonbValue *list = member(object, key, &buffer);
	uint32 n;
	uint32 i;

	if (list == NULL || list->type != jbvBinary || !JsonContainerIsArray(list->val.binary.data))
		BROKEN(version, key);
	n = JsonContainerSize(list->val.binary.data);
	if (n > (uint32) room)
		BROKEN(version, key);
	for (i = 0; i < n; i++)
	{
		JsonbValue *word = getIthJsonbValueFromContainer(list->val.binary.data, i);

		if (word == NULL || word->type != jbvString)
			BROKEN(version, key);
		numbers[i] = ds_pricing_word(words, word->val.string.val, word->val.string.len, key);
	}
	return (int) n;
}

/* word_of does the reading of a word; an absent one is the given one. */
static int
word_of(JsonbContainer *object, const char *key, const char *const *words, int otherwise)
{
	JsonbValue buffer;
	JsonbValue *word = member(object, key, &buffer);

	if (word == NULL || word->type != jbvString)
		return otherwise;
	return ds_pricing_word(words, word->val.string.val, word->val.string.len, key);
}

/* read_slots does the reading of the slots in their order. */
static void
read_slots(JsonbContainer *document, DsPolicy *policy)
{
	static const char *const picks[] = {"first", "best", NULL};
	JsonbValue buffer;
	JsonbValue *list = member(document, "slots", &buffer);
	uint32 i;

	if (list == NULL || list->type != jbvBinary || !JsonContainerIsArray(list->val.binary.data) ||
		JsonContainerSize(list->val.binary.data) > DS_SLOT_COUNT)
		BROKEN(policy->version, "slots");
	for (i = 0; i < JsonContainerSize(list->val.binary.data); i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(list->val.binary.data, i);
		DsSlot *slot = &policy->slots[policy->nslots++];
		int name = -1;
		int combine = -1;
		JsonbValue blocking;
		JsonbValue *flag;

		if (v != NULL && v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data))
		{
			name = word_of(v->val.binary.data, "slot", ds_pricing_slot_words, -1);
			combine = word_of(v->val.binary.data, "combine", ds_pricing_slot_combine_words, -1);
		}
		if (name < 0 || combine < 0)
			BROKEN(policy->version, "slots");
		slot->name = name;
		slot->combine = combine;
		slot->best = word_of(v->val.binary.data, "pick", picks, 0) == 1;
		flag = member(v->val.binary.data, "blocking", &blocking);
		slot->blocking = flag != NULL && flag->type == jbvBool && flag->val.boolean;
	}
}

/* number_of does the reading of a number from 0 on, which may be a string. False: absent or null. */
static bool
number_of(JsonbContainer *object, const char *key, int32 version, DsDecimal *number)
{
	JsonbValue buffer;
	JsonbValue *v = member(object, key, &buffer);
	Numeric n;

	if (v == NULL || v->type == jbvNull)
		return false;
	n = v->type == jbvString || v->type == jbvNumeric ? ds_pricing_number(v) : NULL;
	if (n == NULL || !ds_decimal_read(n, number) || number->mantissa < 0)
		BROKEN(version, key);
	return true;
}

/* read_rounding does the reading of the rounding that holds where a version names none. */
static void
read_rounding(JsonbContainer *document, DsPolicy *policy)
{
	static const char *const modes[] = {"half_up", "half_even", "up", "down", NULL};
	JsonbValue buffer;
	JsonbValue *v = member(document, "rounding", &buffer);
	int32 version = policy->version;
	DsDecimal scale;

	if (v == NULL || v->type != jbvBinary ||
		!number_of(v->val.binary.data, "scale", version, &scale) || scale.scale != 0 ||
		scale.mantissa > MAX_SCALE)
		BROKEN(version, "rounding");
	policy->rounding.scale = (int) scale.mantissa;
	policy->rounding.mode = word_of(v->val.binary.data, "mode", modes, DS_ROUND_HALF_UP);
	policy->rounding.has_multiple =
		number_of(v->val.binary.data, "multiple", version, &policy->rounding.multiple);
	policy->rounding.has_ending =
		number_of(v->val.binary.data, "ending", version, &policy->rounding.ending);
	if (policy->rounding.has_multiple && policy->rounding.multiple.mantissa == 0)
		BROKEN(version, "multiple");
}

/* ds_pricing_policy_read does the reading of a whole document. */
void
ds_pricing_policy_read(Jsonb *document, int32 version, DsPolicy *policy)
{
	static const char *const ties[] = {"content", "error", NULL};
	static const char *const below[] = {"skip", "lowest", "refuse", NULL};
	int numbers[DS_KEY_COUNT + DS_WHO_COUNT];
	int n;
	int i;

	memset(policy, 0, sizeof(DsPolicy));
	policy->version = version;
	read_slots(&document->root, policy);
	n = words_of(&document->root, "who", ds_pricing_who_words, version, numbers, DS_WHO_COUNT);
	for (i = 0; i < n; i++)
		policy->who[numbers[i]] = i + 1;
	n = words_of(&document->root, "what", ds_pricing_what_words, version, numbers, DS_WHAT_COUNT);
	for (i = 0; i < n; i++)
		policy->what[numbers[i]] = i + 1;
	policy->norder =
		words_of(&document->root, "order", ds_pricing_key_words, version, numbers, DS_KEY_COUNT);
	for (i = 0; i < policy->norder; i++)
		policy->order[i] = numbers[i];
	policy->tie_error = word_of(&document->root, "tie", ties, 0) == 1;
	policy->below_tier = word_of(&document->root, "below_tier", below, DS_BELOW_SKIP);
	read_rounding(&document->root, policy);
}
