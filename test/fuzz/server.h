/*-------------------------------------------------------------------------
 *
 * server.h
 *		The part of the server that fuzz targets bring along (server.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_FUZZ_SERVER_H
#define DS_FUZZ_SERVER_H

extern void fuzz_forget(void);

#endif /* DS_FUZZ_SERVER_H */
