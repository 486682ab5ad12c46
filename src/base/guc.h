/*-------------------------------------------------------------------------
 *
 * guc.h
 *		Settings of the extension: one variable a setting, ds_guc_<name>.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BASE_GUC_H
#define DS_BASE_GUC_H

/* limits that code and settings share */
#define DS_COURIER_MAX_IN_FLIGHT 1000
#define DS_COURIER_MAX_BATCH 1000

typedef enum DsOnPromote
{
	DS_ON_PROMOTE_PAUSE,
	DS_ON_PROMOTE_CONTINUE
} DsOnPromote;

typedef enum DsNotify
{
	DS_NOTIFY_AUTO,
	DS_NOTIFY_COURIER,
	DS_NOTIFY_TRIGGER,
	DS_NOTIFY_OFF
} DsNotify;

typedef enum DsCapture
{
	DS_CAPTURE_TRIGGER,
	DS_CAPTURE_VERB
} DsCapture;

extern char *ds_guc_app_user;
extern int ds_guc_capture;
extern int ds_guc_clerk_batch;
extern int ds_guc_clerk_poll_interval;
extern int ds_guc_count_difference;
extern int ds_guc_courier_claim_batch;
extern int ds_guc_courier_max_in_flight;
extern int ds_guc_courier_poll_interval;
extern int ds_guc_courier_route_batch;
extern int ds_guc_courier_state_delay;
extern char *ds_guc_databases;
extern char *ds_guc_instance;
extern int ds_guc_hot_for;
extern int ds_guc_hot_wait;
extern int ds_guc_lease;
extern int ds_guc_notify;
extern int ds_guc_observed_price_retention;
extern int ds_guc_on_promote;
extern int ds_guc_hint_cache;
extern int ds_guc_price_cache;
extern int ds_guc_hold_retention;
extern int ds_guc_price_proof_retention;
extern int ds_guc_rebill_patience;
extern int ds_guc_return_retention;
extern int ds_guc_stock_retention;
extern int ds_guc_token_max_age;
extern bool ds_guc_price_through_sql;
extern int ds_guc_probe_interval;
extern int ds_guc_release_inline;
extern int ds_guc_reversal_patience;
extern int ds_guc_reversals_waiting;
extern int ds_guc_reallocate_at_once;
extern int ds_guc_slots_max;
extern int ds_guc_snapshot_zero_share;
extern int ds_guc_worker_lock_timeout;

extern void ds_guc_init(void);

#endif /* DS_BASE_GUC_H */
