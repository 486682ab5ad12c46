/*-------------------------------------------------------------------------
 *
 * guc.c
 *		Registration of the settings, in alphabetical order within each kind.
 *
 * Process: postmaster or backend, once, from _PG_init. Locks: none.
 * Memory: the GUC machinery's own context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "base/guc.h"

char *ds_guc_app_user = NULL;
int ds_guc_capture = DS_CAPTURE_TRIGGER;
int ds_guc_clerk_batch = 200;
int ds_guc_clerk_poll_interval = 5000;
int ds_guc_count_difference = 100;
int ds_guc_courier_claim_batch = 100;
int ds_guc_courier_max_in_flight = 200;
int ds_guc_courier_poll_interval = 5000;
int ds_guc_courier_route_batch = 500;
int ds_guc_courier_state_delay = 5000;
char *ds_guc_databases = NULL;
char *ds_guc_instance = NULL;
int ds_guc_hot_for = 60;
int ds_guc_hot_wait = 2;
int ds_guc_lease = 30;
int ds_guc_notify = DS_NOTIFY_AUTO;
int ds_guc_observed_price_retention = 576000;
int ds_guc_on_promote = DS_ON_PROMOTE_PAUSE;
int ds_guc_hold_retention = 129600;
int ds_guc_hint_cache = 32768;
int ds_guc_price_cache = 65536;
int ds_guc_price_proof_retention = 1051200;
bool ds_guc_price_through_sql = false;
int ds_guc_probe_interval = 60;
int ds_guc_release_inline = 100;
int ds_guc_reversal_patience = 1440;
int ds_guc_reversals_waiting = 100000;
int ds_guc_reallocate_at_once = 100;
int ds_guc_slots_max = 64;
int ds_guc_snapshot_zero_share = 30;
int ds_guc_rebill_patience = 20160;
int ds_guc_return_retention = 576000;
int ds_guc_stock_retention = 576000;
int ds_guc_token_max_age = 3600;
int ds_guc_worker_lock_timeout = 900;

static const struct config_enum_entry capture_options[] = {
	{"trigger", DS_CAPTURE_TRIGGER, false}, {"verb", DS_CAPTURE_VERB, false}, {NULL, 0, false}};

static const struct config_enum_entry notify_options[] = {{"auto", DS_NOTIFY_AUTO, false},
														  {"courier", DS_NOTIFY_COURIER, false},
														  {"trigger", DS_NOTIFY_TRIGGER, false},
														  {"off", DS_NOTIFY_OFF, false},
														  {NULL, 0, false}};

static const struct config_enum_entry on_promote_options[] = {
	{"pause", DS_ON_PROMOTE_PAUSE, false},
	{"continue", DS_ON_PROMOTE_CONTINUE, false},
	{NULL, 0, false}};

/*
 * check_databases does the parsing of the allow list when it is set, so that
 * a list that cannot be read is refused at reload and not by the launcher.
 */
static bool
check_databases(char **newval, void **extra, GucSource source)
{
	char *copy = pstrdup(*newval);
	List *names = NIL;
	bool valid = SplitIdentifierString(copy, ',', &names);

	list_free(names);
	pfree(copy);
	if (!valid)
		GUC_check_errdetail("List syntax is invalid: expected database names separated by commas.");
	return valid;
}

static void
define_enums(void)
{
	DefineCustomEnumVariable(
		"distsync.capture", "Sets what records a change in the outbox.",
		"\"trigger\": statement triggers see every change. \"verb\": only the functions of the "
		"extension record, for tables that are distributed over nodes.",
		&ds_guc_capture, DS_CAPTURE_TRIGGER, capture_options, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable(
		"distsync.notify", "Sets who rings NOTIFY for listeners.",
		"\"courier\": the worker, just after commit. \"trigger\": the writer's own transaction. "
		"\"auto\": the courier where the library is preloaded, otherwise the trigger.",
		&ds_guc_notify, DS_NOTIFY_AUTO, notify_options, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable(
		"distsync.on_promote", "Sets what the workers do after a standby was promoted.",
		"\"pause\": they wait for distsync.resume(). \"continue\": the promoted server takes over "
		"as the same installation; only safe where the old primary is fenced.",
		&ds_guc_on_promote, DS_ON_PROMOTE_PAUSE, on_promote_options, PGC_SIGHUP, 0, NULL, NULL,
		NULL);
}

static void
define_strings(void)
{
	DefineCustomStringVariable(
		"distsync.app_user", "Sets the name of the application's user for the audit.",
		"An application that shares one role among its users sets it per session or transaction.",
		&ds_guc_app_user, "", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable(
		"distsync.databases", "Sets the databases that may have workers.",
		"Names separated by commas; empty means every database that has the extension.",
		&ds_guc_databases, "", PGC_SIGHUP, GUC_LIST_INPUT, check_databases, NULL, NULL);
	DefineCustomStringVariable(
		"distsync.instance",
		"Sets the name of this installation; workers send only where it equals the name in "
		"sync.instance.",
		"Give every copy of a server (test, clone, restored backup) its own name, or none: it then "
		"never talks to the partners of the original.",
		&ds_guc_instance, "", PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static void
define_worker_numbers(void)
{
	DefineCustomIntVariable(
		"distsync.clerk_batch", "Sets how many rows the clerk asks of one task in one transaction.",
		NULL, &ds_guc_clerk_batch, 200, 1, 100000, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.clerk_poll_interval", "Sets how long the clerk sleeps when nothing wakes it.",
		"Commits that bring work wake it at once; this is the fallback.",
		&ds_guc_clerk_poll_interval, 5000, 10, 3600000, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("distsync.probe_interval",
							"Sets how often databases without the extension are looked at again.",
							"CREATE EXTENSION announces itself; this is the fallback.",
							&ds_guc_probe_interval, 60, 1, 86400, PGC_SIGHUP, GUC_UNIT_S, NULL,
							NULL, NULL);
	DefineCustomIntVariable(
		"distsync.worker_lock_timeout", "Sets how long a worker waits for a lock before it yields.",
		"Below deadlock_timeout a worker yields before anybody else is made to. 0 waits for ever.",
		&ds_guc_worker_lock_timeout, 900, 0, 3600000, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.release_inline",
		"Sets how many waiting orders a payment tries to release in its own transaction.",
		"A new horizon reads as many open orders. The clerk goes on with the rest.",
		&ds_guc_release_inline, 100, 0, 1000000, PGC_USERSET, 0, NULL, NULL, NULL);
}

/* define_prices does the settings of prices. */
static void
define_prices(void)
{
	DefineCustomIntVariable("distsync.observed_price_retention",
							"Sets how long prices that channels charged are kept for comparison.",
							"The clerk deletes what was told longer ago. 0 keeps them for ever.",
							&ds_guc_observed_price_retention, 576000, 0, 5256000, PGC_SIGHUP,
							GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.price_cache", "Sets how much memory a backend may keep prices in.",
		"Rates, items and customers that were read for prices are kept between calls up to this "
		"size.",
		&ds_guc_price_cache, 65536, 1024, 4194304, PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("distsync.price_proof_retention",
							"Sets how long the proofs of orders' prices are kept.",
							"Older ones are deleted, but for those that a price lock in force "
							"names. The hash stays with "
							"the order, and a document that was kept elsewhere can still be "
							"verified. -1 keeps them for "
							"ever.",
							&ds_guc_price_proof_retention, 1051200, -1, 52560000, PGC_SIGHUP,
							GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomBoolVariable("distsync.price_through_sql",
							 "Reads prices through SQL instead of directly.",
							 "Direct reads are used where they are safe; this turns them off. For "
							 "tests and to narrow down a problem.",
							 &ds_guc_price_through_sql, false, PGC_USERSET, 0, NULL, NULL, NULL);
}

/* define_stock does the settings of stock. */
static void
define_stock(void)
{
	/* shared memory is asked for when the library is preloaded; where it is not, there is none */
	DefineCustomIntVariable(
		"distsync.hint_cache",
		"Sets how much shared memory remembers where items, sites, pools and balances were found.",
		"Twelve bytes for each of them that is asked for often, so that it is found without its "
		"index. Needs a restart, and distsync in shared_preload_libraries. 0 turns it off.",
		&ds_guc_hint_cache, 32768, 0, 4194304,
		process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP, GUC_UNIT_KB,
		NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.count_difference",
		"Sets the value from which the difference of a count is shown to people.",
		"In whole units of the currency of the item's cost. A count that differs from what was "
		"known "
		"by at least this value opens the exception count_difference. -1 turns it off.",
		&ds_guc_count_difference, 100, -1, 1000000000, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.reallocate_at_once",
		"Sets how many soft promises of an item at a site a fact takes away at once, where it "
		"leaves "
		"less than is promised.",
		"The clerk goes on with the others. 0 leaves all of it to reallocate().",
		&ds_guc_reallocate_at_once, 100, 0, 10000, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.reversal_patience",
		"Sets how long a reversal may wait for the event it reverses before people are told.",
		"It waits on; the exception reversal_waiting says what for.", &ds_guc_reversal_patience,
		1440, 0, 5256000, PGC_SIGHUP, GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.reversals_waiting",
		"Sets how many reversals of one source may wait for events that were not told yet.",
		"One more is refused.", &ds_guc_reversals_waiting, 100000, 0, 1000000000, PGC_USERSET, 0,
		NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.snapshot_zero_share",
		"Sets how much of the stock of its scope a snapshot may count to 0 by leaving it out.",
		"In percent of the balances of the scope that are not 0; 10 of them are always allowed. "
		"Beyond that nothing is counted to 0, and the exception snapshot_zeroes asks people. 100 "
		"turns it off.",
		&ds_guc_snapshot_zero_share, 30, 0, 100, PGC_USERSET, 0, NULL, NULL, NULL);
}

/* define_stock_retention does the settings of how long what has ended is kept. */
static void
define_stock_retention(void)
{
	DefineCustomIntVariable("distsync.rebill_patience",
							"Sets how long what is credited or void may wait to be billed again "
							"before people are told.",
							"It goes on counting; the exception rebill_missing says what for.",
							&ds_guc_rebill_patience, 20160, 0, 5256000, PGC_SIGHUP, GUC_UNIT_MIN,
							NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.return_retention",
		"Sets how long the single steps of returns are kept after these have ended.",
		"The clerk deletes older ones; the sums of a return, and what it was credited, stay. "
		"-1 keeps them for ever.",
		&ds_guc_return_retention, 576000, -1, 52560000, PGC_SIGHUP, GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.hold_retention",
		"Sets how long reservations are kept after they were released, expired or void.",
		"The clerk deletes older ones. -1 keeps them for ever.", &ds_guc_hold_retention, 129600, -1,
		52560000, PGC_SIGHUP, GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.stock_retention",
		"Sets how long lines of demand and supply that are closed, and what has shipped for them, "
		"are kept.",
		"Also empty lots, lists of stock and quotas that have ended. The clerk deletes what is "
		"older; what is told of it later is taken as new. -1 keeps them for ever.",
		&ds_guc_stock_retention, 576000, -1, 52560000, PGC_SIGHUP, GUC_UNIT_MIN, NULL, NULL, NULL);
}

/* define_access does the settings of who may see what. */
static void
define_access(void)
{
	DefineCustomIntVariable(
		"distsync.token_max_age", "Sets how long a token of a portal may live at most.",
		"use_token() refuses a token whose end is further away than that.", &ds_guc_token_max_age,
		3600, 1, 2592000, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

/* define_hot does the settings of items that many clients promise from. */
static void
define_hot(void)
{
	DefineCustomIntVariable(
		"distsync.hot_for", "Sets how long slots stay after the last promise from them.",
		"The clerk takes them back then: the item is not hot any more.", &ds_guc_hot_for, 60, 1,
		86400, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.hot_wait", "Sets from which wait on an item at a site is hot.",
		"Where promises wait longer for each other, as a moving average, what there is of the "
		"item is dealt out to slots, so that they need not.",
		&ds_guc_hot_wait, 2, 0, 60000, PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("distsync.slots_max",
							"Sets how many slots a hot item gets at a site, at most.",
							"Below 2 there are none: promises of an item wait for each other.",
							&ds_guc_slots_max, 64, 0, 256, PGC_USERSET, 0, NULL, NULL, NULL);
}

static void
define_courier_numbers(void)
{
	DefineCustomIntVariable("distsync.courier_claim_batch",
							"Sets how many deliveries the courier claims in one transaction.", NULL,
							&ds_guc_courier_claim_batch, 100, 1, DS_COURIER_MAX_BATCH, PGC_SIGHUP,
							0, NULL, NULL, NULL);
	DefineCustomIntVariable("distsync.courier_max_in_flight",
							"Sets how many HTTP requests of one database are in flight at most.",
							NULL, &ds_guc_courier_max_in_flight, 200, 1, DS_COURIER_MAX_IN_FLIGHT,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("distsync.courier_poll_interval",
							"Sets how long the courier sleeps when nothing wakes it.",
							"Commits that bring work wake it at once; this is the fallback.",
							&ds_guc_courier_poll_interval, 5000, 10, 3600000, PGC_SIGHUP,
							GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"distsync.courier_state_delay",
		"Sets how long state events may wait for more of their kind on a busy server.",
		"After routing states for a while the courier leaves the next ones alone for nine "
		"times as long, at most this long: what changes often is then told once. Orders, "
		"payments and other documents never wait. 0 turns it off.",
		&ds_guc_courier_state_delay, 5000, 0, 60000, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("distsync.courier_route_batch",
							"Sets how many outbox rows the courier routes in one transaction.",
							NULL, &ds_guc_courier_route_batch, 500, 1, 100000, PGC_SIGHUP, 0, NULL,
							NULL, NULL);
	DefineCustomIntVariable(
		"distsync.lease", "Sets how long after its timeout a request still belongs to its worker.",
		"A worker that has not reported by then is taken for dead, and the request is sent again.",
		&ds_guc_lease, 30, 1, 86400, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

/*
 * ds_guc_init does the registration of all settings and reserves the prefix,
 * so that a misspelt distsync.* setting is an error and not silence.
 */
void
ds_guc_init(void)
{
	define_enums();
	define_strings();
	define_worker_numbers();
	define_courier_numbers();
	define_prices();
	define_stock();
	define_stock_retention();
	define_hot();
	define_access();
	MarkGUCPrefixReserved("distsync");
}
