/* What cppcheck has to know of the server's headers, which it does not search: above all that an error does not return. */
#define PG_VERSION_NUM 150000
#define PGDLLEXPORT
#define PG_FUNCTION_ARGS void *fcinfo
#define DS_FUNCTION_INFO_V1(name) extern int name##_info
#define pg_attribute_printf(a, b)
#define pg_attribute_noreturn()
#define pg_noreturn
#define ERROR 21
#define FATAL 22
#define PANIC 23
#define ereport(level, ...) do { if ((level) >= 21) abort(); } while (0)
#define elog(level, ...) do { if ((level) >= 21) abort(); } while (0)
#define Assert(condition) do { if (!(condition)) abort(); } while (0)
