/*-------------------------------------------------------------------------
 *
 * spi.c
 *		Thin helpers over SPI: kept plans, checked calls, typed reads.
 *
 * Process: any backend inside SPI_connect. Locks: those of the statements.
 * Memory: kept plans live until SPI_freeplan; everything else in the SPI
 * procedure context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/errors.h"
#include "base/spi.h"

/*
 * ds_spi_keep does the preparation of a statement that outlives the
 * transaction. Free it with SPI_freeplan.
 */
SPIPlanPtr
ds_spi_keep(const char *sql, int nargs, const Oid *argtypes)
{
	SPIPlanPtr plan = SPI_prepare(sql, nargs, unconstify(Oid *, argtypes));

	if (plan == NULL || SPI_keepplan(plan) != 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not prepare a statement of distsync: %s",
							   SPI_result_code_string(SPI_result)),
						errdetail("Statement: %s", sql)));
	return plan;
}

/*
 * ds_spi_run does the execution under a new snapshot and returns the number
 * of rows. WHY never read-only: each call has to see what has been committed
 * since the one before it.
 */
uint64
ds_spi_run(SPIPlanPtr plan, Datum *values, const char *nulls)
{
	int code = SPI_execute_plan(plan, values, nulls, false, 0);

	if (code < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("a statement of distsync failed: %s", SPI_result_code_string(code))));
	return SPI_processed;
}

/*
 * ds_spi_datum does the read of one value of the last result; column counts
 * from 1. A row or column that is not there reads as NULL.
 */
Datum
ds_spi_datum(uint64 row, int column, bool *isnull)
{
	*isnull = true;
	if (SPI_tuptable == NULL || row >= SPI_processed || column > SPI_tuptable->tupdesc->natts)
		return (Datum) 0;
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

/*
 * ds_spi_int32 does the read of an integer; "otherwise" stands for NULL. The
 * caller has made sure of the type.
 */
int32
ds_spi_int32(uint64 row, int column, int32 otherwise)
{
	bool isnull;
	Datum value = ds_spi_datum(row, column, &isnull);

	return isnull ? otherwise : DatumGetInt32(value);
}

/*
 * ds_spi_cstring does the read of a text as a C string, NULL for NULL.
 */
char *
ds_spi_cstring(uint64 row, int column)
{
	bool isnull;
	Datum value = ds_spi_datum(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * ds_spi_expect does the check that the last result has these column types.
 * WHY: names of functions come from a table; a function of another shape must
 * be an error and not a crash of the server.
 */
void
ds_spi_expect(const char *what, const Oid *types, int ntypes)
{
	TupleDesc desc = SPI_tuptable != NULL ? SPI_tuptable->tupdesc : NULL;
	bool fits = desc != NULL && desc->natts == ntypes;

	for (int i = 0; fits && i < ntypes; i++)
		fits = SPI_gettypeid(desc, i + 1) == types[i];
	if (!fits)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("%s does not return the columns that the worker expects", what),
						errhint("Compare the function with the contract of the handler in "
								"docs/architecture.md.")));
}
