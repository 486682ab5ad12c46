/*-------------------------------------------------------------------------
 *
 * signature.c
 *		Signing what we send and verifying what we receive.
 *
 * Keys are bytes and come as arguments; they are compared and reported
 * nowhere. HMAC is the server's own (common/hmac.h).
 *
 * Process: any backend or worker. Locks: none. Memory: the caller's context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/export.h"
#include "http/signature.h"

#define MIN_SECRET_LEN 24 /* Standard Webhooks */
#define MAX_SECRET_LEN 64

typedef enum DsHttpScheme
{
	DS_HTTP_STANDARD,
	DS_HTTP_GITHUB,
	DS_HTTP_SHOPIFY,
	DS_HTTP_STRIPE,
	DS_HTTP_HMAC_SHA256_HEX,
	DS_HTTP_NONE
} DsHttpScheme;

/* What distinguishes the schemes. The signed bytes are [id "."] [timestamp "."] body. */
typedef struct DsHttpSchemeTraits
{
	const char *name;
	const char *header; /* lower case; NULL: no signature */
	const char *prefix; /* before the digest, for schemes with one digest a header */
	bool base64;
	bool signs_id;
	bool signs_timestamp;
} DsHttpSchemeTraits;

static const DsHttpSchemeTraits schemes[] = {
	[DS_HTTP_STANDARD] = {"standard", "webhook-signature", NULL, true, true, true},
	[DS_HTTP_GITHUB] = {"github", "x-hub-signature-256", "sha256=", false, false, false},
	[DS_HTTP_SHOPIFY] = {"shopify", "x-shopify-hmac-sha256", "", true, false, false},
	[DS_HTTP_STRIPE] = {"stripe", "stripe-signature", NULL, false, false, true},
	[DS_HTTP_HMAC_SHA256_HEX] = {"hmac_sha256_hex", "x-signature", "", false, false, false},
	[DS_HTTP_NONE] = {"none", NULL, NULL, false, false, false},
};

/* A key or a body: bytes of a detoasted datum. */
typedef struct DsHttpBytes
{
	const uint8 *data;
	size_t len;
} DsHttpBytes;

/* missing_argument refuses NULL where NULL could be taken for "valid" or "unsigned". */
static void
missing_argument(const char *name)
{
	ereport(ERROR, (errcode(DS_ERRCODE_INVALID_VALUE), errmsg("argument \"%s\" is missing", name),
					errdetail("Field: %s. It is NULL.", name),
					errhint("Give a value; scheme \"none\" is for no signature.")));
}

/* find_scheme looks a scheme up by name. */
static DsHttpScheme
find_scheme(text *name)
{
	char *wanted = text_to_cstring(name);

	for (int i = 0; i < (int) lengthof(schemes); i++)
		if (strcmp(schemes[i].name, wanted) == 0)
			return (DsHttpScheme) i;
	ereport(ERROR,
			(errcode(DS_ERRCODE_INVALID_VALUE), errmsg("unknown signature scheme \"%s\"", wanted),
			 errdetail("Field: scheme. It is \"%s\".", wanted),
			 errhint("Use standard, github, shopify, stripe, hmac_sha256_hex or none.")));
	pg_unreachable();
}

/* bytes_of looks into a bytea, detoasting it where necessary. */
static DsHttpBytes
bytes_of(Datum datum)
{
	bytea *value = DatumGetByteaPP(datum);
	DsHttpBytes bytes = {(const uint8 *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};

	return bytes;
}

/* read_secrets takes the keys, the newest first. An empty key would let anybody sign. */
static DsHttpBytes *
read_secrets(ArrayType *array, int *count)
{
	Datum *datums;
	bool *nulls;
	DsHttpBytes *secrets;

	deconstruct_array(array, BYTEAOID, -1, false, TYPALIGN_INT, &datums, &nulls, count);
	secrets = palloc(sizeof(DsHttpBytes) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		if (!nulls[i])
			secrets[i] = bytes_of(datums[i]);
		if (nulls[i] || secrets[i].len == 0)
			ereport(ERROR, (errcode(DS_ERRCODE_INVALID_VALUE), errmsg("secret %d is empty", i + 1),
							errdetail("Field: secrets. It has %d elements.", *count),
							errhint("Store a key of 24 to 64 bytes, or take the element out.")));
	}
	return secrets;
}

/* authenticate computes HMAC-SHA256 over a head and a body. */
static void
authenticate(DsHttpBytes key, const StringInfo head, DsHttpBytes body, unsigned char *digest)
{
	pg_hmac_ctx *ctx = pg_hmac_create(PG_SHA256);
	bool ok = ctx != NULL && pg_hmac_init(ctx, key.data, key.len) >= 0 &&
			  pg_hmac_update(ctx, (const uint8 *) head->data, head->len) >= 0 &&
			  pg_hmac_update(ctx, body.data, body.len) >= 0 &&
			  pg_hmac_final(ctx, digest, PG_SHA256_DIGEST_LENGTH) >= 0;

	if (ctx != NULL)
		pg_hmac_free(ctx);
	if (!ok)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute a signature"),
						errhint("Look into the server's log for a failure of its TLS library.")));
}

/* start_signed_bytes writes what is signed before the body. */
static void
start_signed_bytes(StringInfo head, const DsHttpSchemeTraits *scheme, const char *id, int id_len,
				   int64 timestamp)
{
	initStringInfo(head);
	if (scheme->signs_id)
	{
		appendBinaryStringInfo(head, id, id_len);
		appendStringInfoChar(head, '.');
	}
	if (scheme->signs_timestamp)
		appendStringInfo(head, INT64_FORMAT ".", timestamp);
}

/* append_digest writes a digest as the scheme does. */
static void
append_digest(StringInfo out, const unsigned char *digest, bool base64)
{
	char encoded[DS_HTTP_DIGEST_BASE64 + 1];

	if (base64)
	{
		int len = pg_b64_encode((const void *) digest, DS_HTTP_DIGEST_LEN, encoded,
								DS_HTTP_DIGEST_BASE64);

		appendBinaryStringInfo(out, encoded, len);
		return;
	}
	for (int i = 0; i < DS_HTTP_DIGEST_LEN; i++)
		appendStringInfo(out, "%02x", digest[i]);
}

/* sign_with_all writes the signature header: a list where the scheme has one, otherwise with the newest key only. */
static void
sign_with_all(StringInfo line, DsHttpScheme scheme, const DsHttpBytes *secrets, int count,
			  const StringInfo head, DsHttpBytes body, int64 timestamp)
{
	const DsHttpSchemeTraits *traits = &schemes[scheme];
	unsigned char digest[DS_HTTP_DIGEST_LEN];

	appendStringInfo(line, "%s: ", traits->header);
	if (scheme == DS_HTTP_STRIPE)
		appendStringInfo(line, "t=" INT64_FORMAT, timestamp);
	for (int i = 0; i < count; i++)
	{
		authenticate(secrets[i], head, body, digest);
		if (scheme == DS_HTTP_STANDARD)
			appendStringInfoString(line, i == 0 ? "v1," : " v1,");
		else if (scheme == DS_HTTP_STRIPE)
			appendStringInfoString(line, ",v1=");
		else
			appendStringInfoString(line, traits->prefix);
		append_digest(line, digest, traits->base64);
		if (traits->prefix != NULL)
			break;
	}
}

/* check_signing refuses what a receiver could not verify. */
static void
check_signing(const DsHttpSchemeTraits *traits, int count, const char *id, int id_len,
			  int64 timestamp)
{
	if (count == 0 || count > DS_HTTP_MAX_SIGNATURES)
		ereport(ERROR,
				(errcode(DS_ERRCODE_INVALID_VALUE),
				 errmsg("scheme \"%s\" can't sign with %d secrets", traits->name, count),
				 errdetail("Field: secrets. It has %d elements.", count),
				 errhint("Give 1 to %d secrets, the newest first.", DS_HTTP_MAX_SIGNATURES)));
	if (traits->signs_timestamp && (timestamp < 0 || timestamp > INT64CONST(999999999999)))
		ereport(ERROR, (errcode(DS_ERRCODE_INVALID_VALUE), errmsg("timestamp is out of range"),
						errdetail("Field: ts. It is " INT64_FORMAT ".", timestamp),
						errhint("Give seconds since 1970, not milliseconds.")));
	if (traits->signs_id && !ds_http_message_id_fits(id, id_len))
		ereport(ERROR,
				(errcode(DS_ERRCODE_INVALID_VALUE), errmsg("message id can't be signed"),
				 errdetail("Field: message_id. It has %d bytes.", id_len),
				 errhint("Use 1 to %d visible ASCII characters without a dot, for example a UUID.",
						 DS_HTTP_MAX_MESSAGE_ID)));
}

/*
 * ds_sql_http_sign does distsync_internal.http_sign(scheme, secrets, message_id, ts, body): the header lines to send. All
 * live keys sign where the scheme allows a list, so that a receiver may change his key at any moment.
 */
DS_FUNCTION_INFO_V1(ds_sql_http_sign);

Datum
ds_sql_http_sign(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"scheme", "secrets", "message_id", "ts", "body"};
	DsHttpScheme scheme;
	DsHttpBytes *secrets;
	DsHttpBytes body;
	StringInfoData head;
	StringInfoData line;
	Datum lines[3];
	text *id;
	int64 timestamp;
	int count;
	int n = 0;

	for (int i = 0; i < (int) lengthof(names); i++)
		if (PG_ARGISNULL(i))
			missing_argument(names[i]);
	scheme = find_scheme(PG_GETARG_TEXT_PP(0));
	if (scheme == DS_HTTP_NONE)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
	secrets = read_secrets(PG_GETARG_ARRAYTYPE_P(1), &count);
	id = PG_GETARG_TEXT_PP(2);
	timestamp = PG_GETARG_INT64(3);
	body = bytes_of(PG_GETARG_DATUM(4));
	check_signing(&schemes[scheme], count, VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id), timestamp);

	initStringInfo(&line);
	if (scheme == DS_HTTP_STANDARD)
	{
		appendStringInfoString(&line, "webhook-id: ");
		appendBinaryStringInfo(&line, VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));
		lines[n++] = PointerGetDatum(cstring_to_text_with_len(line.data, line.len));
		resetStringInfo(&line);
		appendStringInfo(&line, "webhook-timestamp: " INT64_FORMAT, timestamp);
		lines[n++] = PointerGetDatum(cstring_to_text_with_len(line.data, line.len));
		resetStringInfo(&line);
	}
	start_signed_bytes(&head, &schemes[scheme], VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id), timestamp);
	sign_with_all(&line, scheme, secrets, count, &head, body, timestamp);
	lines[n++] = PointerGetDatum(cstring_to_text_with_len(line.data, line.len));
	PG_RETURN_ARRAYTYPE_P(construct_array(lines, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* get_header finds a header by its lower-case name. 1: a string; 0: none; -1: no string (two headers of one name?). */
static int
get_header(Jsonb *headers, const char *name, DsHttpBytes *value)
{
	JsonbValue buffer;
	JsonbValue *found = getKeyJsonValueFromContainer(&headers->root, name, strlen(name), &buffer);

	if (found == NULL || found->type == jbvNull)
		return 0;
	if (found->type != jbvString)
		return -1;
	value->data = (const uint8 *) found->val.string.val;
	value->len = found->val.string.len;
	return 1;
}

/* What a partner presented, beside the signatures themselves. */
typedef struct DsHttpClaim
{
	DsHttpPresented presented;
	DsHttpBytes id;
	int64 timestamp;
} DsHttpClaim;

/* read_standard reads the three headers of Standard Webhooks, under the name of Svix too, who invented them. */
static const char *
read_standard(Jsonb *headers, DsHttpClaim *claim)
{
	static const char *const names[2][3] = {
		{"webhook-signature", "webhook-timestamp", "webhook-id"},
		{"svix-signature", "svix-timestamp", "svix-id"},
	};
	DsHttpBytes value;
	int family = 0;
	int found = get_header(headers, names[0][0], &value);

	if (found == 0)
		found = get_header(headers, names[family = 1][0], &value);
	if (found == 0)
		return "signature_missing";
	if (found < 0 ||
		!ds_http_parse_standard((const char *) value.data, value.len, &claim->presented))
		return "header_invalid";
	found = get_header(headers, names[family][1], &value);
	if (found == 0)
		return "timestamp_missing";
	if (found < 0 ||
		!ds_http_parse_timestamp((const char *) value.data, value.len, &claim->timestamp))
		return "header_invalid";
	if (get_header(headers, names[family][2], &claim->id) <= 0 ||
		!ds_http_message_id_fits((const char *) claim->id.data, claim->id.len))
		return "header_invalid";
	return NULL;
}

/* read_claim reads the headers of a scheme; a reason if they can't be what they should be. */
static const char *
read_claim(DsHttpScheme scheme, Jsonb *headers, DsHttpClaim *claim)
{
	const DsHttpSchemeTraits *traits = &schemes[scheme];
	DsHttpBytes value;
	const char *header;
	int found;

	memset(claim, 0, sizeof(*claim));
	if (!JB_ROOT_IS_OBJECT(headers))
		return "header_invalid";
	if (scheme == DS_HTTP_STANDARD)
		return read_standard(headers, claim);
	found = get_header(headers, traits->header, &value);
	if (found == 0)
		return "signature_missing";
	if (found < 0)
		return "header_invalid";
	header = (const char *) value.data;
	if (scheme == DS_HTTP_STRIPE)
	{
		if (!ds_http_parse_stripe(header, value.len, &claim->presented))
			return "header_invalid";
		claim->timestamp = claim->presented.timestamp;
		return claim->timestamp < 0 ? "timestamp_missing" : NULL;
	}
	return ds_http_parse_single(header, value.len, traits->prefix, traits->base64,
								&claim->presented)
			   ? NULL
			   : "header_invalid";
}

/* is_stale judges a timestamp by the clock, in both directions: one from the future could be replayed until then. */
static bool
is_stale(int64 timestamp, TimestampTz at, int32 tolerance_s)
{
	double now;

	if (TIMESTAMP_NOT_FINITE(at))
		return true;
	now = (double) at / USECS_PER_SEC +
		  (double) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	return fabs(now - (double) timestamp) > tolerance_s;
}

/* matches_any compares every signature with every key, always all of them: the time taken tells nothing. */
static bool
matches_any(const DsHttpClaim *claim, const DsHttpSchemeTraits *traits, const DsHttpBytes *secrets,
			int count, DsHttpBytes body)
{
	unsigned char digest[DS_HTTP_DIGEST_LEN];
	StringInfoData head;
	bool matches = false;

	start_signed_bytes(&head, traits, (const char *) claim->id.data, claim->id.len,
					   claim->timestamp);
	for (int i = 0; i < count; i++)
	{
		authenticate(secrets[i], &head, body, digest);
		for (int j = 0; j < claim->presented.count; j++)
			matches |= ds_http_digests_equal(digest, claim->presented.digest[j]);
	}
	return matches;
}

/*
 * ds_sql_http_verify does distsync_internal.http_verify(scheme, secrets, headers, body, tolerance_s, at): NULL if the
 * signature is valid, otherwise the reason. It is not STRICT, because a NULL argument would make NULL of any signature.
 */
DS_FUNCTION_INFO_V1(ds_sql_http_verify);

Datum
ds_sql_http_verify(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"scheme", "secrets",	 "headers",
										"body",	  "tolerance_s", "at"};
	const DsHttpSchemeTraits *traits;
	DsHttpScheme scheme;
	DsHttpBytes *secrets;
	DsHttpClaim claim;
	const char *reason;
	int count;

	for (int i = 0; i < (int) lengthof(names); i++)
		if (PG_ARGISNULL(i))
			missing_argument(names[i]);
	scheme = find_scheme(PG_GETARG_TEXT_PP(0));
	traits = &schemes[scheme];
	if (scheme == DS_HTTP_NONE)
		PG_RETURN_NULL();
	secrets = read_secrets(PG_GETARG_ARRAYTYPE_P(1), &count);
	reason = read_claim(scheme, PG_GETARG_JSONB_P(2), &claim);
	if (reason == NULL && traits->signs_timestamp &&
		is_stale(claim.timestamp, PG_GETARG_TIMESTAMPTZ(5), PG_GETARG_INT32(4)))
		reason = "timestamp_stale";
	if (reason == NULL &&
		!matches_any(&claim, traits, secrets, count, bytes_of(PG_GETARG_DATUM(3))))
		reason = "signature_invalid";
	if (reason == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(reason));
}

/*
 * ds_sql_http_secret does distsync_internal.http_secret(secret): the key in a "whsec_..." string. The error never shows
 * the secret, not even a part of it.
 */
DS_FUNCTION_INFO_V1(ds_sql_http_secret);

Datum
ds_sql_http_secret(PG_FUNCTION_ARGS)
{
	static const char prefix[] = "whsec_";
	text *secret = PG_GETARG_TEXT_PP(0);
	const char *encoded = VARDATA_ANY(secret);
	int len = VARSIZE_ANY_EXHDR(secret);
	bytea *key = palloc(VARHDRSZ + MAX_SECRET_LEN + 3);
	int key_len = -1;

	if (len > (int) strlen(prefix) && memcmp(encoded, prefix, strlen(prefix)) == 0 &&
		pg_b64_dec_len(len - strlen(prefix)) <= MAX_SECRET_LEN + 3)
		key_len = pg_b64_decode(encoded + strlen(prefix), len - strlen(prefix),
								(void *) VARDATA(key), MAX_SECRET_LEN + 3);
	if (key_len < 0)
		ereport(ERROR,
				(errcode(DS_ERRCODE_INVALID_VALUE), errmsg("secret is not a Standard Webhooks key"),
				 errdetail("Field: secret. It has %d characters.", len),
				 errhint("It is \"whsec_\" and the base64 of %d to %d bytes. Keys of other schemes "
						 "are stored as bytes: convert_to(secret, 'UTF8').",
						 MIN_SECRET_LEN, MAX_SECRET_LEN)));
	if (key_len < MIN_SECRET_LEN || key_len > MAX_SECRET_LEN)
		ereport(ERROR,
				(errcode(DS_ERRCODE_INVALID_VALUE), errmsg("secret has a wrong length"),
				 errdetail("Field: secret. It holds %d bytes, allowed are %d to %d.", key_len,
						   MIN_SECRET_LEN, MAX_SECRET_LEN),
				 errhint("Make one with: SELECT 'whsec_' || encode(gen_random_bytes(32), 'base64') "
						 "(extension pgcrypto).")));
	SET_VARSIZE(key, VARHDRSZ + key_len);
	PG_RETURN_BYTEA_P(key);
}
