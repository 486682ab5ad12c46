/*-------------------------------------------------------------------------
 *
 * suppose.c
 *		What a price would be if something had gone wrong on the way to it:
 *		another exchange rate, another rounding, a factor, a discount twice.
 *
 * check_prices() asks it to find out what went wrong. Nothing else does: every
 * other call has no DsSuppose, and takes no branch of it.
 *
 * Process: any backend. Locks: none. Memory: the call's context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/finish.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "base/compat.h"
#include "base/errors.h"

struct DsSuppose
{
	enum
	{
		DS_EXCHANGE_AS_IT_IS,
		DS_EXCHANGE_NONE,
		DS_EXCHANGE_INVERSE,
		DS_EXCHANGE_AT
	} exchange;
	TimestampTz exchange_at;
	int scale; /* of the rounding, -1 = its own */
	int mode;  /* of the rounding, -1 = its own */
	bool each_step_known;
	bool each_step;
	DsRule rule; /* the rounding asked for last, changed so */
	bool has_factor;
	DsRatio factor; /* the price comes out so many times as high */
	int twice;		/* slot whose discount is taken twice, -1 = none */
	bool compound;	/* the second time of what the first one left */
};

/* as many decimals as a rounding may be supposed to have */
#define MAX_SCALE 20

/* wrong does the error for what cannot be supposed; field: the member with a point before it, "" = all of it. */
static void
wrong(const char *field)
{
	ereport(ERROR, (errcode(DS_ERRCODE_INVALID_VALUE),
					errmsg("suppose%s is nothing that can be supposed", field),
					errdetail("Field: suppose%s.", field),
					errhint("The comment of pricing_suppose() says what can be.")));
}

/* text_member does the reading of a member as text; NULL = absent or null. */
static const char *
text_member(Jsonb *object, const char *key)
{
	JsonbValue buffer;
	JsonbValue *v = getKeyJsonValueFromContainer(&object->root, key, (int) strlen(key), &buffer);

	if (v == NULL)
		return NULL;
	if (v->type == jbvString)
		return pnstrdup(v->val.string.val, v->val.string.len);
	if (v->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
	if (v->type == jbvBool)
		return v->val.boolean ? "true" : "false";
	return NULL;
}

/* word_member does the reading of a member as one of the words; -1 = absent. */
static int
word_member(Jsonb *object, const char *key, const char *const *words)
{
	const char *text = text_member(object, key);

	return text == NULL ? -1 : ds_pricing_word(words, text, strlen(text), key);
}

/* ratio_member does the reading of a member as a number; 1 = absent. */
static DsRatio
ratio_member(Jsonb *object, const char *key)
{
	const char *text = text_member(object, key);
	Numeric n;

	if (text == NULL)
		return ds_ratio_of(1);
	n = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	if (numeric_is_nan(n) || numeric_is_inf(n) || ds_ratio_sign(ds_ratio_numeric(n)) == 0)
		wrong(psprintf(".%s", key));
	return ds_ratio_numeric(n);
}

/* ds_pricing_suppose does the reading of what is supposed. */
DsSuppose *
ds_pricing_suppose(Jsonb *told)
{
	static const char *const modes[] = {"half_up", "half_even", "up", "down", NULL};
	DsSuppose *s = palloc0(sizeof(DsSuppose));
	const char *text;

	if (!JB_ROOT_IS_OBJECT(told))
		wrong("");
	text = text_member(told, "exchange");
	if (text != NULL && strcmp(text, "none") == 0)
		s->exchange = DS_EXCHANGE_NONE;
	else if (text != NULL && strcmp(text, "inverse") == 0)
		s->exchange = DS_EXCHANGE_INVERSE;
	else if (text != NULL)
	{
		s->exchange = DS_EXCHANGE_AT;
		s->exchange_at = DatumGetTimestampTz(
			DirectFunctionCall3(timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
								Int32GetDatum(-1)));
	}
	text = text_member(told, "scale");
	s->scale = text == NULL ? -1 : pg_strtoint32(text);
	if (text != NULL && (s->scale < 0 || s->scale > MAX_SCALE))
		wrong(".scale");
	s->mode = word_member(told, "mode", modes);
	text = text_member(told, "each_step");
	s->each_step_known = text != NULL;
	s->each_step = text != NULL && strcmp(text, "true") == 0;
	s->has_factor = text_member(told, "times") != NULL || text_member(told, "over") != NULL;
	s->factor = ds_ratio_divide(ratio_member(told, "times"), ratio_member(told, "over"));
	s->twice = word_member(told, "twice", ds_pricing_slot_words);
	text = text_member(told, "compound");
	s->compound = text != NULL && strcmp(text, "true") == 0;
	return s;
}

/* ds_pricing_suppose_at does the choice of the instant whose exchange rates hold. */
TimestampTz
ds_pricing_suppose_at(const DsSuppose *s, TimestampTz at)
{
	return s->exchange == DS_EXCHANGE_AT ? s->exchange_at : at;
}

/* ds_pricing_suppose_exchange does the wrong use of an exchange rate, or of none. */
bool
ds_pricing_suppose_exchange(const DsSuppose *s, bool found, DsRatio *factor)
{
	if (s->exchange == DS_EXCHANGE_NONE)
	{
		*factor = ds_ratio_of(1);
		return true;
	}
	if (s->exchange == DS_EXCHANGE_INVERSE && found)
		*factor = ds_ratio_divide(ds_ratio_of(1), *factor);
	return found;
}

/* ds_pricing_suppose_rule does the changing of a rounding. With another scale it is to decimals only. */
const DsRule *
ds_pricing_suppose_rule(DsSuppose *s, const DsRule *rule)
{
	s->rule = *rule;
	if (s->scale >= 0)
	{
		s->rule.scale = s->scale;
		s->rule.has_multiple = s->rule.has_ending = false;
	}
	if (s->mode >= 0)
		s->rule.mode = s->mode;
	if (s->each_step_known)
		s->rule.each_step = s->each_step;
	return &s->rule;
}

/* ds_pricing_suppose_factor does the coming out of a price too high or too low, rounded as it would be. False: it is not supposed to. */
bool
ds_pricing_suppose_factor(const DsSuppose *s, const DsRule *rule, DsRatio exact, DsRatio *price)
{
	if (s->has_factor)
		*price = ds_pricing_round(rule, ds_ratio_multiply(exact, s->factor));
	return s->has_factor;
}

/* ds_pricing_suppose_twice does the second taking of what a slot has taken off. */
void
ds_pricing_suppose_twice(const DsSuppose *s, DsDecision *d, int slot, bool had_price,
						 DsRatio before)
{
	DsRatio twice;

	if (s->twice != slot || !had_price || ds_ratio_sign(before) <= 0 ||
		ds_ratio_compare(d->price, before) >= 0)
		return;
	if (s->compound)
		twice = ds_ratio_divide(ds_ratio_multiply(d->price, d->price), before);
	else
		twice = ds_ratio_subtract(ds_ratio_add(d->price, d->price), before);
	d->price = ds_ratio_sign(twice) < 0 ? ds_ratio_of(0) : twice;
}
