/*-------------------------------------------------------------------------
 *
 * scan.c
 *		Fuzz target: the look over a message before the JSON parser. The first
 *		byte is the depth that is allowed. What it says is valid UTF-8, and a
 *		body without a brace has no depth.
 *
 *-------------------------------------------------------------------------
 */
#include "inbox/scan.c"

#include "server.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Scan scan = {0};
	char *body;
	char *problem;

	if (size < 2 ||
		pg_encoding_verifymbstr(PG_UTF8, (const char *) data + 1, size - 1) != (int) size - 1)
		return 0;
	body = palloc(size - 1);
	memcpy(body, data + 1, size - 1);
	scan.p = body;
	scan.end = body + size - 1;
	scan.max_depth = data[0] % 16 + 1;
	scan.frame = palloc(sizeof(ScanFrame) * scan.max_depth);
	scan.room = 2;
	scan.key = palloc(sizeof(ScanKey) * scan.room);
	problem = scan_json(&scan);
	if (problem != NULL &&
		(pg_encoding_verifymbstr(PG_UTF8, problem, strlen(problem)) != (int) strlen(problem) ||
		 (memchr(body, '{', size - 1) == NULL && memchr(body, '[', size - 1) == NULL)))
		abort();
	if (scan.depth < 0 || scan.depth > scan.max_depth || scan.keys > scan.room)
		abort();
	fuzz_forget();
	return 0;
}
