/*-------------------------------------------------------------------------
 *
 * proof.h
 *		The proof of a call: its document and the hash of its bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_PROOF_H
#define DS_PRICING_PROOF_H

#include "postgres.h"

#include "common/sha2.h"
#include "lib/stringinfo.h"
#include "pricing/finish.h"

typedef struct DsProof
{
	StringInfoData text; /* of the document, as jsonb prints it */
	uint8 sha256[PG_SHA256_DIGEST_LENGTH];
} DsProof;

/* What was used of an agreement's volume before the call. */
typedef struct DsUsed
{
	const char *agreement;
	DsRatio quantity;
	DsRatio amount;
} DsUsed;

/* What decided and is not kept with both time axes: it is said in the proof, so that a later change is known as one. */
typedef struct DsInputs
{
	bool weights;  /* those of several lines were added up */
	bool families; /* those of several lines were compared */
	int nused;
	int room;
	DsUsed *used; /* in the order of jsonb's names */
} DsInputs;

/* decimals that the numbers of a proof have at most */
#define DS_PROOF_SCALE 10

/* proof.c */
extern bool ds_pricing_prove(DsCall *call, DsResult *results, int n, DsProof *proof);
extern const char *ds_pricing_proof_hex(const DsProof *proof);

/* proof_line.c */
extern void ds_pricing_prove_line(DsCall *call, StringInfo text, const DsInputs *inputs,
								  const DsResult *result);

/* proof_input.c */
extern void ds_pricing_inputs(DsCall *call, DsResult *results, int n, DsInputs *inputs);
extern void ds_pricing_prove_inputs(DsCall *call, StringInfo text);
extern void ds_pricing_prove_used(StringInfo text, const DsInputs *inputs);
extern void ds_pricing_prove_line_inputs(DsCall *call, StringInfo text, const DsInputs *inputs,
										 const DsResult *result);

#endif /* DS_PRICING_PROOF_H */
