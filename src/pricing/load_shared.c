/*-------------------------------------------------------------------------
 *
 * load_shared.c
 *		What everybody shares: policy, companies, currencies, channels,
 *		roundings. Small tables, read whole when the shared epoch moves.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: the
 * current context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/load.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "base/compat.h"
#include "base/errors.h"

static DsTable policy_table = {
	.name = "price_policy",
	.index = "price_policy_pk",
	.keys = {"policy_version"},
	.columns = {"policy_version", "document", "published_at", "sha256"},
};

static DsTable company_table = {
	.name = "company",
	.index = "company_pk",
	.keys = {"company_id"},
	.columns = {"company_id", "code", "currency", "status"},
};

static DsTable currency_table = {
	.name = "currency",
	.index = "currency_pk",
	.keys = {"currency"},
	.columns = {"currency", "minor_units"},
};

static DsTable channel_table = {
	.name = "channel",
	.index = "channel_pk",
	.keys = {"channel_id"},
	.columns = {"channel_id", "code"},
};

static DsTable rounding_table = {
	.name = "rounding",
	.index = "rounding_pk",
	.keys = {"rounding"},
	.columns = {"rounding", "scale", "mode", "multiple", "ending", "each_step"},
};

/* grown does the making of room for one more element. */
static void *
grown(void *list, int n, Size size)
{
	if (list == NULL)
		return palloc(size * 4);
	if (n >= 4 && (n & (n - 1)) == 0)
		return repalloc(list, size * n * 2);
	return list;
}

/* load_policy does the reading of the policy in force: now, or at the known_at of the call. */
static void
load_policy(DsCall *call, DsShared *shared)
{
	DsReader *reader = ds_reader_open(&policy_table);
	Jsonb *document = NULL;
	uint8 sha256[DS_CONTENT_LENGTH] = {0};
	int32 version = -1;

	ds_reader_seek(reader, NULL, 0);
	while (ds_reader_next(reader))
	{
		TimestampTz published_at;

		if (reader->nulls[2] || DatumGetInt32(reader->values[0]) <= version)
			continue;
		published_at = DatumGetTimestampTz(reader->values[2]);
		if (call->request.has_known_at && published_at > call->request.known_at)
			continue;
		version = DatumGetInt32(reader->values[0]);
		document = DatumGetJsonbPCopy(reader->values[1]);
		ds_pricing_hash(reader, 3, sha256);
	}
	ds_reader_close(reader);
	if (document == NULL)
		ereport(ERROR,
				(errcode(DS_ERRCODE_NOT_SET_UP), errmsg("there is no published price policy"),
				 errdetail("Table: dist.price_policy."),
				 errhint("Call distsync.setup(), which publishes the shipped one.")));
	ds_pricing_policy_read(document, version, &shared->policy);
	memcpy(shared->policy.sha256, sha256, sizeof(sha256));
}

/* load_companies does the reading of the companies. */
static void
load_companies(DsShared *shared)
{
	DsReader *reader = ds_reader_open(&company_table);

	ds_reader_seek(reader, NULL, 0);
	while (ds_reader_next(reader))
	{
		DsCompany *c;

		shared->companies = grown(shared->companies, shared->ncompanies, sizeof(DsCompany));
		c = &shared->companies[shared->ncompanies++];
		c->company_id = DatumGetInt64(reader->values[0]);
		c->code = ds_pricing_text(reader, 1);
		c->currency = ds_pricing_text(reader, 2);
		c->active = strcmp(ds_pricing_text(reader, 3), "active") == 0;
	}
	ds_reader_close(reader);
}

/* load_currencies does the reading of the currencies. */
static void
load_currencies(DsShared *shared)
{
	DsReader *reader = ds_reader_open(&currency_table);

	ds_reader_seek(reader, NULL, 0);
	while (ds_reader_next(reader))
	{
		DsCurrency *c;

		shared->currencies = grown(shared->currencies, shared->ncurrencies, sizeof(DsCurrency));
		c = &shared->currencies[shared->ncurrencies++];
		c->currency = ds_pricing_text(reader, 0);
		c->minor_units = DatumGetInt16(reader->values[1]);
	}
	ds_reader_close(reader);
}

/* load_channels does the reading of the channels. */
static void
load_channels(DsShared *shared)
{
	DsReader *reader = ds_reader_open(&channel_table);

	ds_reader_seek(reader, NULL, 0);
	while (ds_reader_next(reader))
	{
		DsChannel *c;

		shared->channels = grown(shared->channels, shared->nchannels, sizeof(DsChannel));
		c = &shared->channels[shared->nchannels++];
		c->channel_id = DatumGetInt64(reader->values[0]);
		c->code = ds_pricing_text(reader, 1);
	}
	ds_reader_close(reader);
}

/* load_roundings does the reading of the roundings. */
static void
load_roundings(DsShared *shared)
{
	static const char *const modes[] = {"half_up", "half_even", "up", "down", NULL};
	DsReader *reader = ds_reader_open(&rounding_table);

	ds_reader_seek(reader, NULL, 0);
	while (ds_reader_next(reader))
	{
		DsNamedRule *r;

		shared->rules = grown(shared->rules, shared->nrules, sizeof(DsNamedRule));
		r = &shared->rules[shared->nrules++];
		r->name = ds_pricing_text(reader, 0);
		r->rule.scale = DatumGetInt16(reader->values[1]);
		r->rule.mode = ds_pricing_word_datum(modes, reader->values[2], "rounding mode");
		r->rule.has_multiple = ds_pricing_decimal(reader, 3, &r->rule.multiple);
		r->rule.has_ending = ds_pricing_decimal(reader, 4, &r->rule.ending);
		r->rule.each_step = DatumGetBool(reader->values[5]);
	}
	ds_reader_close(reader);
}

/* ds_pricing_load_shared does the reading of all of it. */
DsShared *
ds_pricing_load_shared(DsCall *call)
{
	DsShared *shared = palloc0(sizeof(DsShared));

	load_policy(call, shared);
	load_companies(shared);
	load_currencies(shared);
	load_channels(shared);
	load_roundings(shared);
	shared->assigned = ds_pricing_load_assigned();
	return shared;
}
