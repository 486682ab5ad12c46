/*-------------------------------------------------------------------------
 *
 * handlers.c
 *		What the rooms registered for a worker in distsync_internal.handler.
 *
 * Process: courier, clerk. Locks: those of one SELECT. Memory: the caller's
 * struct; the plan is kept for the life of the process.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/errors.h"
#include "base/spi.h"
#include "worker/handlers.h"

typedef struct DsHandlersRead
{
	const char *kind;
	DsHandlers *handlers;
} DsHandlersRead;

/*
 * is_function_name does the check that what goes into a statement is the
 * qualified name that the table's constraint promises, and nothing else.
 */
static bool
is_function_name(const char *name)
{
	static const char prefix[] = "distsync_internal.";
	const char *rest;

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return false;
	rest = name + strlen(prefix);
	return rest[0] != '\0' && strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(rest);
}

/*
 * read_handlers does the reading, in the order in which tasks run.
 */
static void
read_handlers(void *arg)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[2] = {TEXTOID, TEXTOID};
	DsHandlersRead *read = arg;
	Oid argtype = TEXTOID;
	Datum value = CStringGetTextDatum(read->kind);

	if (plan == NULL)
		plan = ds_spi_keep("SELECT name, function FROM distsync_internal.handler WHERE kind = $1 "
						   "ORDER BY ordinal, name",
						   1, &argtype);
	ds_spi_run(plan, &value, NULL);
	ds_spi_expect("distsync_internal.handler", types, 2);
	if (SPI_processed > DS_MAX_HANDLERS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("more than %d handlers of kind \"%s\" are registered",
							   DS_MAX_HANDLERS, read->kind)));
	read->handlers->n = (int) SPI_processed;
	for (int i = 0; i < read->handlers->n; i++)
	{
		DsHandler *handler = &read->handlers->handler[i];
		char *name = ds_spi_cstring(i, 1);
		char *function = ds_spi_cstring(i, 2);

		if (name == NULL || function == NULL || !is_function_name(function) ||
			strlen(function) >= sizeof(handler->function) || strlen(name) >= sizeof(handler->name))
			ereport(ERROR, (errcode(DS_ERRCODE_INVALID_VALUE),
							errmsg("a handler of kind \"%s\" has no usable name", read->kind)));
		strlcpy(handler->name, name, sizeof(handler->name));
		strlcpy(handler->function, function, sizeof(handler->function));
	}
}

/*
 * ds_worker_handlers_read does the transaction around it.
 */
DsOutcome
ds_worker_handlers_read(const char *kind, DsHandlers *handlers, DsFailure *failure)
{
	DsHandlersRead read = {kind, handlers};

	handlers->n = 0;
	return ds_worker_session_run("distsync: read handlers", DS_NEEDS_EXTENSION, read_handlers,
								 &read, failure);
}

/*
 * ds_worker_handlers_function does the look-up by name, "" if nobody registered it.
 */
const char *
ds_worker_handlers_function(const DsHandlers *handlers, const char *name)
{
	for (int i = 0; i < handlers->n; i++)
	{
		if (strcmp(handlers->handler[i].name, name) == 0)
			return handlers->handler[i].function;
	}
	return "";
}
