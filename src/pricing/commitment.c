/*-------------------------------------------------------------------------
 *
 * commitment.c
 *		Agreed volumes: what of them is used, which rates that keeps from
 *		applying, and what the lines of an order take of them.
 *
 * Process: any backend. Locks: AccessShareLock on dist.commitment. Memory:
 * what a line looked at in its context, what the lines took in the call's.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/finish.h"

#include "utils/memutils.h"
#include "base/compat.h"
#include "base/errors.h"
#include "pricing/load.h"

static DsTable commitment_table = {
	.name = "commitment",
	.index = "commitment_pk",
	.keys = {"agreement_id"},
	.columns = {"quantity", "amount"},
};

/* has_cap does the question whether a volume was agreed. */
static bool
has_cap(const DsVersion *v)
{
	return v->commit_quantity != NULL || v->commit_amount != NULL;
}

/* ds_pricing_has_volume does the question whether anything depends on how much of an agreement is used. */
bool
ds_pricing_has_volume(const DsVersion *v)
{
	return has_cap(v) || v->tier_basis == DS_BASIS_PERIOD;
}

/* said_number does the reading of one number of options.used; absent = 0. */
static DsRatio
said_number(JsonbContainer *said, const char *key, const char *agreement)
{
	JsonbValue buffer;
	JsonbValue *v = getKeyJsonValueFromContainer(said, key, (int) strlen(key), &buffer);
	Numeric number = NULL;
	DsDecimal d;

	if (v == NULL || v->type == jbvNull)
		return ds_ratio_of(0);
	if (v->type == jbvNumeric || v->type == jbvString)
		number = ds_pricing_number(v);
	if (number == NULL || !ds_decimal_read(number, &d))
		ereport(ERROR,
				(errcode(DS_ERRCODE_INVALID_VALUE),
				 errmsg("used volume of agreement \"%s\" is no number", agreement),
				 errdetail("Field: options.used.%s.%s.", agreement, key),
				 errhint("Give it as an answer told it: {\"quantity\": 60, \"amount\": 480}.")));
	return ds_ratio_decimal(d);
}

/* said_used does the taking of a used volume from the options: an answer is asked again with what it told. */
static bool
said_used(DsCall *call, DsSource *s)
{
	const char *agreement = s->version->agreement;
	JsonbValue buffer;
	JsonbValue *v;

	if (call->request.used == NULL)
		return false;
	v = getKeyJsonValueFromContainer(&call->request.used->root, agreement, (int) strlen(agreement),
									 &buffer);
	if (v == NULL || v->type == jbvNull)
		return false;
	if (v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data))
		ereport(ERROR,
				(errcode(DS_ERRCODE_INVALID_VALUE),
				 errmsg("used volume of agreement \"%s\" is no object", agreement),
				 errdetail("Field: options.used.%s.", agreement),
				 errhint("Give it as an answer told it: {\"quantity\": 60, \"amount\": 480}.")));
	s->used_quantity = said_number(v->val.binary.data, "quantity", agreement);
	s->used_amount = said_number(v->val.binary.data, "amount", agreement);
	return true;
}

/* read_used does the look-up of what is used of an agreement's volume, as the snapshot sees it. */
static void
read_used(DsCall *call, DsSource *s)
{
	DsReader *reader;
	Datum key = Int64GetDatum(s->version->agreement_id);
	DsDecimal value;
	DsTaken *t;

	s->used_quantity = s->used_amount = ds_ratio_of(0);
	if (!said_used(call, s))
	{
		reader = ds_reader_open(&commitment_table);
		ds_reader_seek(reader, &key, 1);
		if (ds_reader_next(reader))
		{
			if (ds_pricing_decimal(reader, 0, &value))
				s->used_quantity = ds_ratio_decimal(value);
			if (ds_pricing_decimal(reader, 1, &value))
				s->used_amount = ds_ratio_decimal(value);
		}
		ds_reader_close(reader);
	}
	for (t = call->taken; t != NULL; t = t->next)
	{
		if (t->agreement_id != s->version->agreement_id)
			continue;
		s->used_quantity = ds_ratio_add(s->used_quantity, t->quantity);
		s->used_amount = ds_ratio_add(s->used_amount, t->amount);
	}
	s->commitment_known = true;
}

/* note does the noting that a line's decision looked at a volume. */
static void
note(DsDecision *d, const DsSource *s)
{
	DsVolume *v;
	int i;

	for (i = 0; i < d->nvolumes; i++)
	{
		if (d->volumes[i].version->agreement_id == s->version->agreement_id)
			return;
	}
	if (d->nvolumes == d->volume_room)
	{
		d->volume_room = Max(4, d->volume_room * 2);
		d->volumes = d->volumes == NULL ? palloc(sizeof(DsVolume) * d->volume_room)
										: repalloc(d->volumes, sizeof(DsVolume) * d->volume_room);
	}
	v = &d->volumes[d->nvolumes++];
	v->version = s->version;
	v->used_quantity = s->used_quantity;
	v->used_amount = s->used_amount;
}

/*
 * ds_pricing_commitment does the look-up of what a source's agreed volume has
 * been used: read once a call, told by every line that looks at it.
 */
void
ds_pricing_commitment(DsCall *call, DsSource *s)
{
	if (!s->commitment_known)
		read_used(call, s);
	if (call->deciding != NULL)
		note(call->deciding, s);
}

/* used_up does the test of an agreement's volume. */
static bool
used_up(DsCall *call, DsSource *s, const DsLine *line)
{
	const DsVersion *v = s->version;

	ds_pricing_commitment(call, s);
	if (v->commit_quantity != NULL &&
		ds_ratio_compare(ds_ratio_add(s->used_quantity, line->base_quantity),
						 ds_ratio_decimal(*v->commit_quantity)) > 0)
		return true;
	return v->commit_amount != NULL &&
		   ds_ratio_compare(s->used_amount, ds_ratio_decimal(*v->commit_amount)) >= 0;
}

/* ds_pricing_used_up does the question whether an agreement that stops has no volume left for a line; facts are not stopped. */
bool
ds_pricing_used_up(DsCall *call, DsSource *s, const DsLine *line)
{
	return has_cap(s->version) && s->version->cap_behavior == DS_CAP_STOP &&
		   call->request.commitment != DS_COMMITMENT_FACT && used_up(call, s, line);
}

/*
 * ds_pricing_over_commitment does the looking at the volume of an agreement
 * that takes part in a price, also where it stops nothing, and the question
 * whether one that warns is over it.
 */
bool
ds_pricing_over_commitment(DsCall *call, DsSource *s, const DsLine *line)
{
	if (!ds_pricing_has_volume(s->version))
		return false;
	ds_pricing_commitment(call, s);
	return has_cap(s->version) && s->version->cap_behavior == DS_CAP_WARN && used_up(call, s, line);
}

/*
 * uses does the question whether a price uses an agreement's volume: it
 * replaced the price last, or was put on top of what did. NULL = it does not.
 */
static const DsSource *
uses(const DsLine *line, const DsDecision *d, int64 agreement_id)
{
	const DsSource *found = NULL;
	int i;

	if (!d->has_price || d->locked || line->is_return)
		return NULL;
	for (i = d->nsteps - 1; i >= 0; i--)
	{
		const DsSource *s = d->steps[i].candidate->source;

		if (s->version->agreement_id == agreement_id && ds_pricing_has_volume(s->version))
			found = s;
		if (d->steps[i].candidate == d->winner)
			break;
	}
	return found;
}

/* ds_pricing_take does the taking of a line's volume by an order: what its later lines find used. */
void
ds_pricing_take(DsCall *call, const DsLine *line, const DsDecision *d, const DsFinish *f)
{
	MemoryContext old;
	int i;
	int j;

	if (call->request.commitment == DS_COMMITMENT_LINE || !f->priced)
		return;
	old = MemoryContextSwitchTo(call->context);
	for (i = 0; i < d->nsteps; i++)
	{
		int64 agreement_id = d->steps[i].candidate->source->version->agreement_id;
		const DsSource *s = uses(line, d, agreement_id);
		DsTaken *t;

		for (j = 0; j < i && s != NULL; j++)
		{
			if (d->steps[j].candidate->source->version->agreement_id == agreement_id)
				s = NULL;
		}
		if (s == NULL)
			continue;
		t = palloc(sizeof(DsTaken));
		t->agreement_id = agreement_id;
		t->quantity = line->base_quantity;
		t->amount = s->fx_known ? ds_ratio_divide(f->extension, s->fx) : f->extension;
		t->next = call->taken;
		call->taken = t;
		for (j = 0; j < call->buyer.nsources; j++)
		{
			DsSource *o = &call->buyer.sources[j];

			if (o->version->agreement_id != agreement_id || !o->commitment_known)
				continue;
			o->used_quantity = ds_ratio_add(o->used_quantity, t->quantity);
			o->used_amount = ds_ratio_add(o->used_amount, t->amount);
		}
	}
	MemoryContextSwitchTo(old);
}

/* by_code does the order in which volumes are told. */
static int
by_code(const void *a, const void *b)
{
	return strcmp(((const DsVolume *) a)->version->agreement,
				  ((const DsVolume *) b)->version->agreement);
}

/* ds_pricing_tell_volumes does the array of the volumes that a line's price looked at, and which of them it uses. */
void
ds_pricing_tell_volumes(DsJson *json, const DsLine *line, const DsDecision *d)
{
	int i;

	if (d->nvolumes == 0)
		return;
	qsort(d->volumes, d->nvolumes, sizeof(DsVolume), by_code);
	ds_json_open_array(json, "commitments");
	for (i = 0; i < d->nvolumes; i++)
	{
		const DsVolume *v = &d->volumes[i];

		ds_json_open_object(json, NULL);
		ds_json_boolean(json, "uses", uses(line, d, v->version->agreement_id) != NULL);
		ds_json_text(json, "agreement", v->version->agreement);
		ds_json_number(json, "used_amount", ds_ratio_shown(v->used_amount, 0, 10));
		ds_json_number(json, "used_quantity", ds_ratio_shown(v->used_quantity, 0, 10));
		ds_json_close_object(json);
	}
	ds_json_close_array(json);
}
