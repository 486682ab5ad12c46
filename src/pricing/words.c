/*-------------------------------------------------------------------------
 *
 * words.c
 *		The words of the books for what the engine keeps as numbers.
 *
 * Process: any backend. Locks: none. Memory: none.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/engine.h"

#include "mb/pg_wchar.h"
#include "base/compat.h"
#include "base/errors.h"

/* as much of an unknown word is shown, in bytes */
#define MOST_SHOWN 60

const char *const ds_pricing_who_words[] = {"customer",		"parent",	   "ship_to", "job",
											"buying_group", "price_class", "region",  "channel",
											"all",			NULL};
const char *const ds_pricing_what_words[] = {"item",   "variant_parent", "category", "brand",
											 "family", "vendor",		 "all",		 NULL};
const char *const ds_pricing_slot_words[] = {"list",	   "book",	"contract", "promotion",
											 "adjustment", "guard", "order",	"charge",
											 "rebate",	   "claim", NULL};
const char *const ds_pricing_slot_combine_words[] = {"override", "if_lower", "stack",  "clamp",
													 "order",	 "charge",	 "accrue", NULL};
const char *const ds_pricing_key_words[] = {"who",			"list_rank",  "what",		"channel",
											"site",			"unit",		  "currency",	"priority",
											"min_quantity", "valid_from", "version_no", NULL};
const char *const ds_pricing_calc_words[] = {"net",		"percent_off", "amount_off", "markup",
											 "margin",	"formula",	   "reference",	 "per_weight",
											 "buy_get", NULL};
const char *const ds_pricing_combine_words[] = {"override",	 "best",   "additive", "compound",
												"exclusive", "always", NULL};
const char *const ds_pricing_measure_words[] = {"quantity", "amount", "weight", NULL};
const char *const ds_pricing_basis_words[] = {"line", "item_order", "family_order", "period", NULL};
const char *const ds_pricing_date_words[] = {"order", "requested_ship", "ship", "invoice", NULL};
const char *const ds_pricing_cap_words[] = {"stop", "continue", "warn", NULL};
const char *const ds_pricing_charge_words[] = {"fee", "freight", "minimum_order", NULL};
const char *const ds_pricing_reason_words[] = {"",
											   "not_started",
											   "ended",
											   "other_company",
											   "rate_not_valid",
											   "currency",
											   "channel",
											   "site",
											   "unit",
											   "condition",
											   "no_tax_rate",
											   "commitment_used_up",
											   "below_tier",
											   "blocked",
											   "return",
											   "lower_tier",
											   "outranked",
											   "not_lower",
											   "excluded",
											   "no_cost",
											   "no_base_price",
											   "no_weight",
											   "without",
											   NULL};

StaticAssertDecl(lengthof(ds_pricing_reason_words) == DS_REASON_COUNT + 1,
				 "a word for each reason");
StaticAssertDecl(lengthof(ds_pricing_key_words) == DS_KEY_COUNT + 1, "a word for each key");
StaticAssertDecl(lengthof(ds_pricing_calc_words) == DS_CALC_COUNT + 1, "a word for each calc");
StaticAssertDecl(lengthof(ds_pricing_who_words) == DS_WHO_COUNT + 1,
				 "a word for each kind of buyer");
StaticAssertDecl(lengthof(ds_pricing_charge_words) == DS_CHARGE_COUNT + 1,
				 "a word for each kind of charge");
StaticAssertDecl(lengthof(ds_pricing_slot_words) == DS_SLOT_COUNT + 1, "a word for each slot");

/* ds_pricing_word does the look-up of a word's number. A word that this library does not know is an error, never a guess. */
int
ds_pricing_word(const char *const *words, const char *text, Size length, const char *what)
{
	int i;

	for (i = 0; words[i] != NULL; i++)
	{
		if (strlen(words[i]) == length && memcmp(words[i], text, length) == 0)
			return i;
	}
	ereport(ERROR, (errcode(DS_ERRCODE_VERSION_MISMATCH),
					errmsg("%s \"%.*s\" is not known to this library", what,
						   pg_mbcliplen(text, (int) length, MOST_SHOWN), text),
					errdetail("The books name a %s that only a later release decides.", what),
					errhint("Install the release that the schema belongs to.")));
	return -1;
}

/* ds_pricing_word_datum does the same for a text of a row. */
int
ds_pricing_word_datum(const char *const *words, Datum value, const char *what)
{
	text *t = DatumGetTextPP(value);

	return ds_pricing_word(words, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t), what);
}
