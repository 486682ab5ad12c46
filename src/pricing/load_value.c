/*-------------------------------------------------------------------------
 *
 * load_value.c
 *		Small readings that the loaders share: texts, numbers, periods.
 *
 * Process: any backend. Locks: none. Memory: texts in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "pricing/load.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"
#include "base/compat.h"
#include "base/errors.h"

/* ds_pricing_text does the copying of a text column; NULL = SQL null. */
const char *
ds_pricing_text(DsReader *reader, int column)
{
	return reader->nulls[column] ? NULL : TextDatumGetCString(reader->values[column]);
}

/* ds_pricing_int64 does the reading of a bigint column. */
int64
ds_pricing_int64(DsReader *reader, int column, int64 otherwise)
{
	return reader->nulls[column] ? otherwise : DatumGetInt64(reader->values[column]);
}

/*
 * ds_pricing_decimal does the reading of a numeric column. False = null. The
 * tables keep numbers within 24 digits, so that one that does not fit is damage.
 */
bool
ds_pricing_decimal(DsReader *reader, int column, DsDecimal *decimal)
{
	decimal->mantissa = 0;
	decimal->scale = 0;
	if (reader->nulls[column])
		return false;
	if (!ds_decimal_read(DatumGetNumeric(reader->values[column]), decimal))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("dist.%s.%s is no number that fits", reader->table->name,
							   reader->table->columns[column]),
						errhint("Call distsync.verify().")));
	return true;
}

/* ds_pricing_decimal_or_null does the same into memory of its own; NULL = null. */
const DsDecimal *
ds_pricing_decimal_or_null(DsReader *reader, int column)
{
	DsDecimal *d;

	if (reader->nulls[column])
		return NULL;
	d = palloc(sizeof(DsDecimal));
	ds_pricing_decimal(reader, column, d);
	return d;
}

/* ds_pricing_small does the same as it lies in memory; null is 0. */
DsSmall
ds_pricing_small(DsReader *reader, int column, int8 *scale)
{
	DsSmall small;
	DsDecimal d;

	ds_pricing_decimal(reader, column, &d);
	small.mantissa = (int64) d.mantissa;
	*scale = d.scale;
	if (d.mantissa < PG_INT64_MIN || d.mantissa > PG_INT64_MAX)
	{
		DsDecimal *large = palloc(sizeof(DsDecimal));

		*large = d;
		small.large = large;
		*scale = DS_SCALE_LARGE;
	}
	return small;
}

/* ds_pricing_too_many does the refusing of more than we can keep of a thing: leaving any out would make a wrong price. */
void
ds_pricing_too_many(int most, const char *what, const char *of, const char *hint)
{
	ereport(ERROR, (errcode(DS_ERRCODE_TOO_LARGE), errmsg("more than %d %s", most, what),
					errdetail("%s.", of), errhint("%s", hint)));
}

/* period_type does the look-up of tstzrange, once a backend. */
static TypeCacheEntry *
period_type(void)
{
	static TypeCacheEntry *type = NULL;

	if (type == NULL)
		type = lookup_type_cache(TSTZRANGEOID, TYPECACHE_RANGE_INFO);
	return type;
}

/* ds_pricing_range_from does the range from an instant on without end: of all that have begun by then none sorts behind it. */
Datum
ds_pricing_range_from(TimestampTz from)
{
	RangeBound lower;
	RangeBound upper;

	memset(&lower, 0, sizeof(lower));
	memset(&upper, 0, sizeof(upper));
	lower.val = TimestampTzGetDatum(from);
	lower.inclusive = lower.lower = true;
	upper.infinite = true;
	return RangeTypePGetDatum(ds_compat_make_range(period_type(), &lower, &upper));
}

/* ds_pricing_hash does the copying of a column with a hash. False: it is null, or none. */
bool
ds_pricing_hash(DsReader *reader, int column, uint8 *hash)
{
	bytea *bytes = reader->nulls[column] ? NULL : DatumGetByteaPP(reader->values[column]);

	if (bytes == NULL || VARSIZE_ANY_EXHDR(bytes) != DS_CONTENT_LENGTH)
		return false;
	memcpy(hash, VARDATA_ANY(bytes), DS_CONTENT_LENGTH);
	return true;
}

/* read_period does the splitting of a range into its first instant and the first one after it. */
static void
read_period(Datum value, TimestampTz *from, TimestampTz *to)
{
	RangeBound lower;
	RangeBound upper;
	bool empty;

	range_deserialize(period_type(), DatumGetRangeTypeP(value), &lower, &upper, &empty);
	if (empty)
	{
		*from = *to = DT_NOBEGIN;
		return;
	}
	*from = lower.infinite ? DT_NOBEGIN : DatumGetTimestampTz(lower.val);
	*to = upper.infinite ? DT_NOEND : DatumGetTimestampTz(upper.val);
	if (!TIMESTAMP_NOT_FINITE(*from) && !lower.inclusive)
		(*from)++;
	if (!TIMESTAMP_NOT_FINITE(*to) && upper.inclusive)
		(*to)++;
}

/* ds_pricing_period does the reading of a tstzrange column. */
void
ds_pricing_period(DsReader *reader, int column, TimestampTz *from, TimestampTz *to)
{
	read_period(reader->values[column], from, to);
}

/* ds_pricing_known does the question whether something is held true: now, or at the known_at of the call. */
bool
ds_pricing_known(DsCall *call, Datum range)
{
	TimestampTz from;
	TimestampTz to;

	read_period(range, &from, &to);
	if (!call->request.has_known_at)
		return to == DT_NOEND;
	return from <= call->request.known_at && call->request.known_at < to;
}
