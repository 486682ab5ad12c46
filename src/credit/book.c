/*-------------------------------------------------------------------------
 *
 * book.c
 *		What a backend remembers for credit: rules for groups and for all, and
 *		companies.
 *
 * It is current as long as the row "credit" of dist.epoch has the number it
 * was read under; triggers on the tables move that row (credit_triggers() in
 * rule.sql). Rules for single customers may be many and are not remembered,
 * only that there are some.
 *
 * Process: any backend. Locks: AccessShareLock on what is read. Memory: a
 * context of its own below CacheMemoryContext.
 *
 *-------------------------------------------------------------------------
 */
#include "credit/credit.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "base/codes.h"
#include "base/reader.h"

enum
{
	C_ID,
	C_CODE,
	C_STATUS,
	C_TZ
};

static DsTable company_table = {
	.name = "company",
	.index = "company_pk",
	.keys = {"company_id"},
	.columns = {"company_id", "code", "status", "tz"},
};

static DsTable group_table = {
	.name = "party_group",
	.index = "party_group_code_uq",
	.keys = {"kind", "code"},
	.columns = {"group_id", "code"},
};

/* which keys there are rules for */
static DsTable key_table = {
	.name = "credit_rule",
	.index = "credit_rule_scope_idx",
	.keys = {"scope_kind", "scope_key"},
	.columns = {"scope_key"},
};

static DsCreditBook *current = NULL;

/* read_companies does the reading of all companies. */
static bool
read_companies(DsCreditBook *book)
{
	DsReader *reader = ds_reader_open(&company_table);

	book->companies = palloc(sizeof(DsCreditCompany) * DS_CREDIT_MAX_COMPANIES);
	ds_reader_seek(reader, NULL, 0);
	while (ds_reader_next(reader) && book->ncompanies <= DS_CREDIT_MAX_COMPANIES)
	{
		DsCreditCompany *company = &book->companies[book->ncompanies++];

		if (book->ncompanies > DS_CREDIT_MAX_COMPANIES)
			break;
		company->company_id = DatumGetInt64(reader->values[C_ID]);
		company->code = TextDatumGetCString(reader->values[C_CODE]);
		company->active = ds_reader_text_is(reader, C_STATUS, "active");
		company->tz = ds_credit_zone(PointerGetDatum(DatumGetTextPCopy(reader->values[C_TZ])));
	}
	ds_reader_close(reader);
	return book->ncompanies <= DS_CREDIT_MAX_COMPANIES;
}

/* has_customer_rules does the question whether any rule is for a single customer. */
static bool
has_customer_rules(void)
{
	DsReader *reader = ds_reader_open(&key_table);
	Datum key = CStringGetTextDatum("customer");
	bool found;

	ds_reader_seek(reader, &key, 1);
	found = ds_reader_next(reader);
	ds_reader_close(reader);
	return found;
}

/* add_group_rules does the reading of the rules of one scope key, with the groups that have that code. */
static bool
add_group_rules(DsCreditBook *book, const char *code)
{
	DsReader *reader = ds_reader_open(&group_table);
	int64 *groups = NULL;
	int ngroups = 0;
	int first = book->nrules;
	bool fits;

	/* a code is unique in its kind only: all groups are looked through, once an epoch */
	ds_reader_seek(reader, NULL, 0);
	while (ds_reader_next(reader))
	{
		if (!ds_reader_text_is(reader, 1, code))
			continue;
		groups = groups == NULL ? palloc(sizeof(int64))
								: repalloc(groups, sizeof(int64) * (ngroups + 1));
		groups[ngroups++] = DatumGetInt64(reader->values[0]);
	}
	ds_reader_close(reader);
	fits = ds_credit_read_rules("group", code, &book->rules, &book->nrules);
	for (; fits && first < book->nrules; first++)
	{
		book->rules[first].distance = 1;
		book->rules[first].groups = groups;
		book->rules[first].ngroups = ngroups;
	}
	return fits;
}

/* read_rules does the reading of the rules that are remembered. */
static bool
read_rules(DsCreditBook *book)
{
	DsReader *reader;
	Datum kind = CStringGetTextDatum("group");
	char *code = NULL;
	bool fits = ds_credit_read_rules("all", NULL, &book->rules, &book->nrules);
	int i;

	for (i = 0; fits && i < book->nrules; i++)
		book->rules[i].distance = 2;
	reader = ds_reader_open(&key_table);
	ds_reader_seek(reader, &kind, 1);
	while (fits && ds_reader_next(reader))
	{
		/* those of one key stand side by side */
		char *next = TextDatumGetCString(reader->values[0]);

		if (code == NULL || strcmp(next, code) != 0)
			fits = add_group_rules(book, code = next);
	}
	ds_reader_close(reader);
	if (fits && book->nrules > 1)
		qsort(book->rules, book->nrules, sizeof(DsCreditRule), ds_credit_compare_rules);
	book->by_customer = has_customer_rules();
	return fits;
}

/* read_book does the reading of everything. NULL: there is too much of it. */
static DsCreditBook *
read_book(int64 epoch)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "distsync credit", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	DsCreditBook *book = palloc0(sizeof(DsCreditBook));
	bool fits;

	book->epoch = epoch;
	book->context = context;
	fits = read_companies(book) && read_rules(book);
	MemoryContextSwitchTo(old);
	if (!fits)
	{
		MemoryContextDelete(context);
		return NULL;
	}
	MemoryContextSetParent(context, CacheMemoryContext);
	return book;
}

/* ds_credit_book does what is current under the caller's snapshot. NULL: only SQL can say. */
const DsCreditBook *
ds_credit_book(void)
{
	static DsCodesRow row = {.domain = "credit"};
	int64 epoch = ds_codes_epoch_of(&row);
	DsCreditBook *book;

	if (epoch == DS_CODES_UNKNOWN)
		return NULL;
	if (current != NULL && current->epoch == epoch)
		return current;
	book = read_book(epoch);
	if (book == NULL)
		return NULL;
	if (current != NULL)
		MemoryContextDelete(current->context);
	current = book;
	return book;
}

/* ds_credit_company does the look-up of a company. NULL: there is none. */
const DsCreditCompany *
ds_credit_company(const DsCreditBook *book, int64 company_id)
{
	int i;

	for (i = 0; i < book->ncompanies; i++)
	{
		if (book->companies[i].company_id == company_id)
			return &book->companies[i];
	}
	return NULL;
}

/*
 * ds_credit_company_named does the look-up of a company by its code, or (NULL)
 * of the only active one, 0 where there are several. False: it is not known by
 * that code.
 */
bool
ds_credit_company_named(const DsCreditBook *book, const char *code, int64 *company_id)
{
	int active = 0;
	int i;

	*company_id = 0;
	for (i = 0; i < book->ncompanies; i++)
	{
		const DsCreditCompany *company = &book->companies[i];

		if (code == NULL ? !company->active : strcmp(company->code, code) != 0)
			continue;
		*company_id = company->company_id;
		active++;
	}
	if (code == NULL && active != 1)
		*company_id = 0;
	return code == NULL || active > 0;
}
