/*-------------------------------------------------------------------------
 *
 * spi.h
 *		Thin helpers over SPI: kept plans, checked calls, typed reads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_SPI_H
#define DS_BASE_SPI_H

#include "executor/spi.h"

extern SPIPlanPtr ds_spi_keep(const char *sql, int nargs, const Oid *argtypes);
extern uint64 ds_spi_run(SPIPlanPtr plan, Datum *values, const char *nulls);
extern Datum ds_spi_datum(uint64 row, int column, bool *isnull);
extern int32 ds_spi_int32(uint64 row, int column, int32 otherwise);
extern char *ds_spi_cstring(uint64 row, int column);
extern void ds_spi_expect(const char *what, const Oid *types, int ntypes);

#endif /* DS_BASE_SPI_H */
