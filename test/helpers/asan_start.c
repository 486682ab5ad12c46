/*-------------------------------------------------------------------------
 *
 * asan_start.c
 *		A server that loads AddressSanitizer first would wait for itself.
 *
 * A library of the server (libgpg-error) calls bindtextdomain() when it is
 * loaded. The memory that this takes under the lock of gettext is the first
 * that AddressSanitizer sees, so that it starts there; it looks for
 * swift_demangle(), does not find it, and dlerror() translates that, which
 * lets go the lock it does not hold. The next bindtextdomain(), in main(),
 * waits for ever. With something of that name to find nothing is translated.
 *
 *-------------------------------------------------------------------------
 */
extern char *swift_demangle(const char *name);

char *
swift_demangle(const char *name)
{
	return (char *) 0;
}
