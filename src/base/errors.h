/*-------------------------------------------------------------------------
 *
 * errors.h
 *		SQLSTATEs of distsync. Class SD; the same codes are used by the SQL of
 *		the rooms (RAISE ... USING ERRCODE) and documented in docs/errors.md.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_ERRORS_H
#define DS_BASE_ERRORS_H

#include "utils/elog.h"

/* documents and codes */
#define DS_ERRCODE_UNKNOWN_CODE MAKE_SQLSTATE('S', 'D', '0', '0', '1')
#define DS_ERRCODE_INVALID_VALUE MAKE_SQLSTATE('S', 'D', '0', '0', '2')
#define DS_ERRCODE_WRONG_CURRENCY MAKE_SQLSTATE('S', 'D', '0', '0', '3')
#define DS_ERRCODE_WRONG_UNIT MAKE_SQLSTATE('S', 'D', '0', '0', '4')
#define DS_ERRCODE_INVALID_DOCUMENT MAKE_SQLSTATE('S', 'D', '0', '0', '5')
#define DS_ERRCODE_TOO_LARGE MAKE_SQLSTATE('S', 'D', '0', '0', '6')
#define DS_ERRCODE_INVALID_ENCODING MAKE_SQLSTATE('S', 'D', '0', '0', '7')
#define DS_ERRCODE_DUPLICATE_CODE MAKE_SQLSTATE('S', 'D', '0', '0', '8')
#define DS_ERRCODE_REHEARSAL MAKE_SQLSTATE('S', 'D', '0', '0', '9')

/* keys and ownership */
#define DS_ERRCODE_IDEMPOTENCY_CONFLICT MAKE_SQLSTATE('S', 'D', '0', '1', '0')
#define DS_ERRCODE_NOT_OWNER MAKE_SQLSTATE('S', 'D', '0', '1', '1')
#define DS_ERRCODE_OUT_OF_SCOPE MAKE_SQLSTATE('S', 'D', '0', '1', '2')
#define DS_ERRCODE_TOKEN_REFUSED MAKE_SQLSTATE('S', 'D', '0', '1', '3')

/* doors */
#define DS_ERRCODE_INVALID_SIGNATURE MAKE_SQLSTATE('S', 'D', '0', '2', '0')
#define DS_ERRCODE_STALE_TIMESTAMP MAKE_SQLSTATE('S', 'D', '0', '2', '1')
#define DS_ERRCODE_UNKNOWN_SOURCE MAKE_SQLSTATE('S', 'D', '0', '2', '2')

/* installation */
#define DS_ERRCODE_NOT_SET_UP MAKE_SQLSTATE('S', 'D', '0', '3', '0')
#define DS_ERRCODE_FOREIGN_SCHEMA MAKE_SQLSTATE('S', 'D', '0', '3', '1')
#define DS_ERRCODE_PAUSED MAKE_SQLSTATE('S', 'D', '0', '3', '2')
#define DS_ERRCODE_VERSION_MISMATCH MAKE_SQLSTATE('S', 'D', '0', '3', '3')

/* inventory */
#define DS_ERRCODE_RESERVATION_STATE MAKE_SQLSTATE('S', 'D', '0', '4', '1')
#define DS_ERRCODE_RESERVATION_EXPIRED MAKE_SQLSTATE('S', 'D', '0', '4', '2')
#define DS_ERRCODE_HISTORY_GONE MAKE_SQLSTATE('S', 'D', '0', '4', '3')
#define DS_ERRCODE_ITEM_STATUS MAKE_SQLSTATE('S', 'D', '0', '4', '4')
#define DS_ERRCODE_UNDONE MAKE_SQLSTATE('S', 'D', '0', '4', '5')

/* pricing */
#define DS_ERRCODE_AGREEMENT_OVERLAP MAKE_SQLSTATE('S', 'D', '0', '5', '1')
#define DS_ERRCODE_AGREEMENT_STATE MAKE_SQLSTATE('S', 'D', '0', '5', '2')
#define DS_ERRCODE_CIRCULAR_REFERENCE MAKE_SQLSTATE('S', 'D', '0', '5', '3')

/* credit and orders */
#define DS_ERRCODE_CREDIT_REFUSED MAKE_SQLSTATE('S', 'D', '0', '6', '0')
#define DS_ERRCODE_HOLD_STATE MAKE_SQLSTATE('S', 'D', '0', '6', '1')
#define DS_ERRCODE_OVER_APPLICATION MAKE_SQLSTATE('S', 'D', '0', '6', '2')
#define DS_ERRCODE_ITEM_VOID MAKE_SQLSTATE('S', 'D', '0', '6', '3')
#define DS_ERRCODE_APPLICATION_REVERSED MAKE_SQLSTATE('S', 'D', '0', '6', '4')
#define DS_ERRCODE_OTHER_PAYER MAKE_SQLSTATE('S', 'D', '0', '6', '5')
#define DS_ERRCODE_PROPOSAL_STATE MAKE_SQLSTATE('S', 'D', '0', '6', '6')
#define DS_ERRCODE_ORDER_STATE MAKE_SQLSTATE('S', 'D', '0', '7', '0')
#define DS_ERRCODE_ORDER_REFUSED MAKE_SQLSTATE('S', 'D', '0', '7', '1')
#define DS_ERRCODE_RETURN_STATE MAKE_SQLSTATE('S', 'D', '0', '7', '5')

/* endpoints */
#define DS_ERRCODE_INVALID_ENDPOINT MAKE_SQLSTATE('S', 'D', '0', '8', '0')
#define DS_ERRCODE_ADDRESS_REFUSED MAKE_SQLSTATE('S', 'D', '0', '8', '1')
#define DS_ERRCODE_POSITION_GONE MAKE_SQLSTATE('S', 'D', '0', '8', '3')

/* exceptions, reconciliation, schedules */
#define DS_ERRCODE_EXCEPTION_STATE MAKE_SQLSTATE('S', 'D', '0', '9', '0')
#define DS_ERRCODE_NOT_COMPARED MAKE_SQLSTATE('S', 'D', '0', '9', '1')
#define DS_ERRCODE_NO_SCHEDULER MAKE_SQLSTATE('S', 'D', '0', '9', '2')

/* test builds only */
#define DS_ERRCODE_FAILPOINT MAKE_SQLSTATE('S', 'D', '0', '9', '9')

#endif /* DS_BASE_ERRORS_H */
