# distsync: PGXS build. Every list below is explicit and in order: the Makefile is the map of the house.
# VPATH-safe: sources are named relative to $(srcdir).

EXTENSION = distsync
EXTVERSION := $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" $(or $(srcdir),$(dir $(firstword $(MAKEFILE_LIST))))/distsync.control)
MODULE_big = distsync
PG_CONFIG ?= pg_config

# ---- C, room by room -------------------------------------------------------------------------------------------------
OBJS_base = src/base/guc.o src/base/mute.o src/base/ring.o src/base/shmem.o src/base/extension.o src/base/verb.o src/base/spi.o src/base/wake.o src/base/ratio.o src/base/hint.o src/base/reader.o src/base/find.o src/base/codes.o src/base/partition.o src/base/number.o src/base/place.o src/base/rows.o src/base/rows_write.o src/base/rows_parts.o src/base/documents.o src/base/changed.o src/base/event.o src/base/audit.o src/base/answered.o src/base/json.o src/base/json_read.o src/base/text.o
OBJS_schema = src/schema/version.o
OBJS_door = src/door/spec.o src/door/value.o src/door/document.o src/door/copy.o src/door/check.o src/door/declared.o src/door/quick.o
OBJS_master = src/master/scope.o
OBJS_pricing = src/pricing/words.o src/pricing/filter.o src/pricing/epoch.o src/pricing/store.o src/pricing/pack.o src/pricing/cache.o src/pricing/policy.o src/pricing/load_value.o src/pricing/load_shared.o \
	src/pricing/load_party.o src/pricing/load_item.o src/pricing/load_version.o src/pricing/overlay.o src/pricing/load_cell.o src/pricing/load_page.o src/pricing/page_read.o src/pricing/page_write.o src/pricing/lookup.o src/pricing/request.o src/pricing/line.o \
	src/pricing/buyer.o src/pricing/candidate.o src/pricing/order.o src/pricing/measure.o src/pricing/commitment.o src/pricing/calc.o src/pricing/stack.o src/pricing/waterfall.o \
	src/pricing/proof_input.o src/pricing/proof_line.o src/pricing/proof.o \
	src/pricing/rounding.o src/pricing/finish.o src/pricing/named.o src/pricing/level.o src/pricing/charge.o src/pricing/accrue.o src/pricing/tell.o src/pricing/tell_customer.o src/pricing/suppose.o src/pricing/charge_tell.o src/pricing/price.o src/pricing/ask.o src/pricing/impact.o src/pricing/sheet.o
OBJS_inventory = src/inventory/read.o src/inventory/render.o src/inventory/step.o src/inventory/calendar.o src/inventory/atp.o src/inventory/lots.o src/inventory/ahead.o src/inventory/timeline.o src/inventory/event_table.o src/inventory/event_read.o src/inventory/event_code.o src/inventory/event_dedupe.o src/inventory/event_stream.o src/inventory/event_flight.o src/inventory/event_named.o src/inventory/event_line.o src/inventory/event_transit.o src/inventory/event_pool.o src/inventory/event_post.o src/inventory/event_take.o src/inventory/pool.o src/inventory/command.o src/inventory/said.o src/inventory/reserve_ask.o src/inventory/reserve_place.o src/inventory/slot.o src/inventory/reserve_pool.o src/inventory/reserve_write.o src/inventory/reserve_refuse.o src/inventory/reserve_demand.o src/inventory/reserve_lines.o src/inventory/reserve.o src/inventory/hold_ask.o src/inventory/hold_judge.o src/inventory/hold_write.o src/inventory/hold.o
OBJS_credit = src/credit/rule.o src/credit/book.o src/credit/day.o src/credit/party.o src/credit/account.o src/credit/due.o src/credit/horizon.o src/credit/measure.o src/credit/judge.o src/credit/decide.o src/credit/tell.o src/credit/option.o src/credit/ask.o src/credit/carrier.o src/credit/take.o src/credit/aging_sums.o src/credit/aging.o
OBJS_order = src/order/submit_ask.o src/order/submit_find.o src/order/submit_line.o src/order/submit_price.o src/order/submit_promise.o src/order/submit_write.o src/order/submit_tell.o src/order/submit.o
OBJS_outbox = src/outbox/append.o src/outbox/capture.o src/outbox/floor.o src/outbox/window.o src/outbox/window_whole.o src/outbox/compose.o src/outbox/event_text.o src/outbox/stream.o src/outbox/store.o
OBJS_http = src/http/guard.o src/http/url.o src/http/header.o src/http/transfer.o src/http/multi.o src/http/signature_header.o src/http/signature.o src/http/check.o
OBJS_inbox = src/inbox/scan.o
OBJS_worker = src/worker/worker.o src/worker/slots.o src/worker/slot.o src/worker/lifecycle.o src/worker/launcher.o \
	src/worker/supervise.o src/worker/probe.o src/worker/session.o src/worker/task.o src/worker/handlers.o \
	src/worker/courier.o src/worker/dispatch.o src/worker/record.o src/worker/clerk.o src/worker/status.o
ifdef DISTSYNC_TEST
OBJS_base += src/base/failpoint.o
endif
OBJS = src/distsync.o $(OBJS_base) $(OBJS_schema) $(OBJS_door) $(OBJS_master) $(OBJS_pricing) $(OBJS_inventory) $(OBJS_credit) $(OBJS_order) $(OBJS_outbox) $(OBJS_http) $(OBJS_inbox) $(OBJS_worker)

# ---- extension SQL, room by room, in the order of creation -----------------------------------------------------------
SQL_base = src/base/schemas.sql src/base/registry.sql src/base/documents.sql src/base/wake.sql src/base/services.sql src/base/options.sql
SQL_schema = src/schema/m0001_sync.sql src/schema/m0001_master.sql src/schema/m0001_pricing.sql src/schema/m0001_inventory.sql src/schema/m0001_order.sql src/schema/m0001_access.sql \
	src/schema/partition.sql src/schema/instance.sql src/schema/capture.sql src/schema/setup.sql
SQL_http = src/http/http.sql
SQL_worker = src/worker/worker.sql
SQL_door = src/door/check.sql src/door/contract.sql src/door/ownership.sql src/door/version.sql src/door/snapshot.sql src/door/apply.sql
SQL_master = src/master/scope.sql src/master/lookup.sql src/master/measure.sql src/master/upsert.sql src/master/closure.sql src/master/touch.sql src/master/order_policy.sql src/master/lists.sql src/master/events.sql src/master/apply.sql src/master/entities.sql src/master/handlers.sql src/master/timed.sql src/master/relations.sql
SQL_portal = src/portal/scope.sql src/portal/token.sql
SQL_pricing = src/pricing/policy_publish.sql src/pricing/price.sql src/pricing/proof.sql \
	src/pricing/charge.sql src/pricing/beside.sql src/pricing/accrual.sql src/pricing/accrual_back.sql src/pricing/accrue.sql src/pricing/pocket.sql src/pricing/prove.sql src/pricing/publish.sql src/pricing/draft.sql src/pricing/lint.sql \
	src/pricing/agreement_document.sql src/pricing/rates.sql src/pricing/agreement_check.sql src/pricing/agreement.sql src/pricing/rounding.sql src/pricing/lock.sql src/pricing/accrual_reply.sql src/pricing/commitment.sql src/pricing/commitment_document.sql src/pricing/observed.sql src/pricing/suspect.sql src/pricing/suspect_terms.sql src/pricing/cause.sql src/pricing/check.sql src/pricing/guard.sql src/pricing/impact.sql \
	src/pricing/scope.sql src/pricing/note.sql src/pricing/boundary.sql src/pricing/changes.sql src/pricing/profile.sql src/pricing/snapshot.sql src/pricing/snapshot_diff.sql src/pricing/events.sql
SQL_inventory = src/inventory/step.sql src/inventory/terms.sql src/inventory/course.sql src/inventory/release.sql src/inventory/shelf.sql src/inventory/pool.sql src/inventory/promise.sql src/inventory/slot.sql src/inventory/source.sql src/inventory/later.sql src/inventory/backorder.sql src/inventory/dated.sql src/inventory/claim.sql src/inventory/reallocate.sql src/inventory/take_over.sql src/inventory/take_trial.sql src/inventory/reserve.sql src/inventory/pick.sql src/inventory/settle.sql src/inventory/shipped.sql src/inventory/post.sql src/inventory/returned.sql src/inventory/allocated.sql src/inventory/lot.sql src/inventory/dates.sql src/inventory/atp.sql src/inventory/kit.sql src/inventory/quota.sql src/inventory/walk.sql src/inventory/timeline.sql src/inventory/explain.sql src/inventory/reservation.sql src/inventory/hold.sql src/inventory/holds.sql src/inventory/event.sql src/inventory/reverse.sql src/inventory/replay.sql src/inventory/difference.sql src/inventory/stream.sql src/inventory/arrive.sql src/inventory/ingest.sql src/inventory/level.sql src/inventory/documents.sql src/inventory/supply.sql src/inventory/demand.sql src/inventory/rules.sql src/inventory/sourcing_rule.sql src/inventory/reallocation_rule.sql src/inventory/reallocate_verb.sql src/inventory/quota_document.sql src/inventory/publish.sql src/inventory/mark.sql src/inventory/published.sql src/inventory/history.sql src/inventory/checkpoint.sql src/inventory/retain.sql src/inventory/check.sql
SQL_credit = src/credit/account.sql src/credit/rule.sql src/credit/decide.sql src/credit/item.sql src/credit/hold.sql src/credit/watch.sql src/credit/sweep.sql src/credit/standing.sql src/credit/horizon.sql src/credit/release.sql src/credit/rehold.sql src/credit/verb.sql src/credit/aging.sql src/credit/discount.sql src/credit/payment.sql src/credit/application.sql src/credit/apply_verb.sql src/credit/what_if.sql src/credit/void.sql src/credit/entity_scheme.sql src/credit/entity_account.sql src/credit/approve.sql src/credit/entity_rule.sql src/credit/entity_payment.sql src/credit/entity_dispute.sql src/credit/clerk.sql src/credit/verify.sql
SQL_order = src/order/read.sql src/order/command.sql src/order/volume.sql src/order/decide.sql src/order/document.sql src/order/submit.sql src/order/substitute.sql src/order/keep.sql src/order/horizon.sql src/order/place.sql src/order/back.sql src/order/hold.sql src/order/rehold.sql src/order/release.sql src/order/ship_read.sql src/order/ship_kit.sql src/order/ship.sql src/order/shipment.sql src/order/scope.sql src/order/again.sql src/order/again_credit.sql src/order/offer.sql src/order/change_read.sql src/order/change.sql src/order/pick.sql src/order/accrue.sql src/order/accrue_later.sql src/order/invoice.sql src/order/void.sql src/order/fact.sql src/order/open.sql src/order/entity.sql src/order/charged.sql src/order/clerk.sql src/order/clerk_again.sql src/order/moved.sql src/order/rehome.sql src/order/return_read.sql src/order/return.sql src/order/return_authorise.sql src/order/return_step.sql src/order/return_credit.sql src/order/return_memo.sql src/order/return_entity.sql src/order/return_clerk.sql src/order/verify.sql
SQL_outbox = src/outbox/read.sql src/outbox/store.sql src/outbox/route.sql src/outbox/deliver.sql src/outbox/finish.sql src/outbox/configure.sql src/outbox/operate.sql src/outbox/resync.sql src/outbox/listen.sql src/outbox/capture.sql src/outbox/retain.sql src/outbox/checks.sql
SQL_mapping = src/mapping/value.sql src/mapping/run.sql src/mapping/mapping.sql
SQL_inbox = src/inbox/configure.sql src/inbox/receive.sql src/inbox/quarantine.sql src/inbox/apply.sql src/inbox/feed.sql \
	src/inbox/replay.sql src/inbox/watch.sql
SQL_reconcile = src/reconcile/compare.sql src/reconcile/price.sql src/reconcile/reconcile.sql src/reconcile/exception.sql src/reconcile/watch.sql
SQL_ops = src/ops/common.sql src/ops/slo.sql src/ops/verify.sql src/ops/doctor.sql src/ops/doctor_server.sql src/ops/doctor_books.sql src/ops/doctor_flow.sql src/ops/status.sql \
	src/ops/metrics.sql src/ops/schedule.sql
SQL_last = src/base/grants.sql
SQL_PARTS = $(SQL_base) $(SQL_schema) $(SQL_http) $(SQL_worker) $(SQL_door) $(SQL_master) $(SQL_portal) $(SQL_pricing) $(SQL_inventory) $(SQL_credit) $(SQL_order) \
	$(SQL_outbox) $(SQL_mapping) $(SQL_inbox) $(SQL_reconcile) $(SQL_ops) $(SQL_last)

# ---- tests -----------------------------------------------------------------------------------------------------------
# test/run.sh runs them; pgTAP files, TAP tests and Python tests are found by folder (test/README.md)
REGRESS_base = setup
REGRESS_http = http_signature http_guard
REGRESS_door = door_check door_apply
REGRESS_master = master_entities master_closure
REGRESS_pricing = pricing_publish pricing_price pricing_proof pricing_page pricing_limits pricing_guard pricing_drafts pricing_impact pricing_charges pricing_accruals pricing_check pricing_feed pricing_snapshot pricing_customer
REGRESS_inventory = inventory_events inventory_streams inventory_levels inventory_history inventory_atp inventory_reserve inventory_slots inventory_rows inventory_rules inventory_dates inventory_shelf inventory_expiry inventory_release inventory_kits inventory_quotas inventory_publish inventory_holds inventory_sourcing inventory_backorders inventory_modes inventory_lines inventory_reallocate inventory_retention inventory_facts inventory_agree inventory_due
REGRESS_credit = credit_decide credit_facts credit_release credit_rehold credit_what_if credit_approve credit_rehome credit_scopes credit_standing credit_due credit_terms credit_applications credit_apply credit_void credit_discount credit_aging credit_horizon credit_horizon_read credit_nothing credit_decisions
REGRESS_order = order_path order_policy order_history order_commitment order_accrue order_kits order_input order_release order_payer order_lines order_return order_return_credit order_return_facts order_void order_unbill order_offer order_keep order_change order_pick order_substitute order_behind
REGRESS_outbox = outbox_path outbox_events outbox_window outbox_capture outbox_deliver outbox_checks outbox_mute outbox_headers
REGRESS_inbox = inbox_receive inbox_apply inbox_feed inbox_mapping
REGRESS_reconcile = reconcile_stock reconcile_price
REGRESS_ops = ops_watch ops_verify ops_schedule ops_clerks
REGRESS = $(REGRESS_base) $(REGRESS_http) $(REGRESS_door) $(REGRESS_master) $(REGRESS_pricing) $(REGRESS_inventory) $(REGRESS_credit) $(REGRESS_order) \
	$(REGRESS_outbox) $(REGRESS_inbox) $(REGRESS_reconcile) $(REGRESS_ops)
ISOLATION = credit_payments credit_reversal credit_rehome credit_race credit_number credit_sweep order_answer order_duplicate credit_rules order_commitment price_publish price_feed inventory_demand inventory_holds inventory_last_unit inventory_month_end inventory_slots inventory_expiry inventory_shortfall inventory_reversal inventory_supply inventory_inbound inventory_sweep inventory_take_over inventory_writers inventory_quota_restore inventory_quota_holds inventory_verify inbox_receive inbox_clerks outbox_late outbox_lane outbox_notify outbox_forget pricing_accruals order_lines order_return order_change order_pools order_keep order_ship_again

DATA_built = distsync--$(EXTVERSION).sql
EXTRA_CLEAN = distsync--*.sql META.json results output_iso tmp_check tmp_check_iso

PG_CPPFLAGS = -I$(srcdir)/src -DDISTSYNC_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -std=gnu99 -fvisibility=hidden -Wall -Wextra -Wshadow=compatible-local -Wmissing-prototypes -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
SHLIB_LINK = -lcurl -ljansson
ifdef WERROR
PG_CFLAGS += -Werror
endif
ifdef DISTSYNC_TEST
PG_CPPFLAGS += -DDISTSYNC_TEST
endif

# On a machine without PostgreSQL the targets that install it must still be found: then PGXS is empty.
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(PGXS),)
include $(PGXS)
else
srcdir := $(patsubst %/,%,$(or $(dir $(firstword $(MAKEFILE_LIST))),.))
all install:
	@echo "No $(PG_CONFIG): run 'make test', which installs what is missing, or set PG_CONFIG." >&2; exit 1
endif

# PGXS of PostgreSQL 15 does not mark exported functions: we do, so that only what we mark is exported.
override CPPFLAGS += -DPGDLLEXPORT='__attribute__((visibility("default")))'

# An object is made anew when any header changed: two objects that know different shapes of a struct would read each other's garbage.
HEADERS := $(wildcard $(srcdir)/src/*/*.h)
$(OBJS) $(OBJS:.o=.bc): $(HEADERS)

distsync--$(EXTVERSION).sql: $(addprefix $(srcdir)/,$(SQL_PARTS)) $(srcdir)/tools/assemble_sql.pl $(srcdir)/distsync.control
	perl $(srcdir)/tools/assemble_sql.pl $(EXTVERSION) $(addprefix $(srcdir)/,$(SQL_PARTS)) > $@.tmp && mv $@.tmp $@

META.json: $(srcdir)/distsync.control $(srcdir)/tools/meta_json.pl
	perl $(srcdir)/tools/meta_json.pl $(srcdir)/distsync.control > $@

ifneq ($(PGXS),)
all: META.json
endif

# ---- what people call ------------------------------------------------------------------------------------------------
# make quickstart: a distributor's day on real data, on a private cluster in .quickstart/
quickstart:
	@PG_CONFIG="$(PG_CONFIG)" $(srcdir)/examples/quickstart/run.sh

quickstart-stop:
	@$(srcdir)/examples/quickstart/stop.sh

# make test [T="regress isolation pgtap tap property tap:001_lifecycle"]
test:
	@PG_CONFIG="$(PG_CONFIG)" $(srcdir)/tools/install_deps.sh build test
	@PG_CONFIG="$(PG_CONFIG)" $(srcdir)/test/run.sh $(T)

# make soak [N=100] [MINUTES=60] [TIMES=5] [SEED=...]: the kill loop of the tests for N cycles (0: none), stock and credit under fire of 64 clients for a minute and stock of 100,000 calls, then all property tests in turn for so long; not in CI
soak:
	@PG_CONFIG="$(PG_CONFIG)" $(srcdir)/tools/install_deps.sh build test
	@PG_CONFIG="$(PG_CONFIG)" SEED=$(or $(SEED),$$(date +%s)) KILL_CYCLES=$(or $(N),100) MINUTES=$(or $(MINUTES),60) TIMES=$(or $(TIMES),5) LIMIT=$$(($(or $(N),100) * 30 + $(or $(FIRE_REQUESTS),100000) / 25 + 1800)) \
		FIRE_CLIENTS=$(or $(FIRE_CLIENTS),64) FIRE_SECONDS=$(or $(FIRE_SECONDS),60) FIRE_REQUESTS=$(or $(FIRE_REQUESTS),100000) \
		$(srcdir)/test/run.sh $(if $(filter 0,$(N)),,tap:060_kill_loop) tap:045_stock_fire tap:091_credit_fire soak

# make bench [FIGURE="price_call atp_call"] [SCALE=full]: one JSON line a figure, on a cluster of its own; not in CI
bench:
	@PG_CONFIG="$(PG_CONFIG)" $(srcdir)/tools/install_deps.sh build bench >&2
	@PG_CONFIG="$(PG_CONFIG)" $(srcdir)/bench/run.sh $(FIGURE)

# make lint [L="arrows errcode"]
lint:
	@PG_CONFIG="$(PG_CONFIG)" $(srcdir)/tools/install_deps.sh build lint
	@PG_CONFIG="$(PG_CONFIG)" $(srcdir)/tools/lint/run.sh $(L)

# make fuzz [SECONDS=60] [F=http]: each fuzz target for so long, with AddressSanitizer; not in CI
fuzz:
	@PG_CONFIG="$(PG_CONFIG)" $(srcdir)/tools/install_deps.sh fuzz
	@$(srcdir)/test/fuzz/run.sh $(or $(SECONDS),20) $(F)

# make sanitize [T="regress property:test_pricing,test_tokens"]: legs of the tests with AddressSanitizer and UndefinedBehaviorSanitizer in the library; not in CI
sanitize:
	@PG_CONFIG="$(PG_CONFIG)" $(srcdir)/tools/install_deps.sh build test
	@PG_CONFIG="$(PG_CONFIG)" SANITIZE=1 $(srcdir)/test/run.sh $(or $(T),regress property)

# make matrix [PG="17 18"] [T=...]: the tests on every supported server, each on a Debian of its own; not in CI
matrix:
	@T="$(T)" $(srcdir)/tools/matrix.sh $(PG)

matrix-clean:
	@for machine in $(srcdir)/.matrix/*/; do $(srcdir)/tools/machine.sh remove $$machine; done; rm -rf $(srcdir)/.matrix

# make schema-picture: docs/schema.svg from the catalog of the database that libpq's environment names, after setup()
schema-picture:
	@PG_CONFIG="$(PG_CONFIG)" $(srcdir)/tools/install_deps.sh picture >&2
	psql -XAtq -v ON_ERROR_STOP=1 -f $(srcdir)/tools/schema_picture.sql | dot -Tsvg > $(srcdir)/docs/schema.svg

# make contracts: contracts/ from what the rooms declare; needs a server where this checkout is installed (PGHOST ...)
contracts:
	@$(srcdir)/tools/contracts.sh

# make settings: docs/settings.md from pg_settings of the server that libpq's environment names, where distsync is preloaded
settings:
	@psql -XAtq -v ON_ERROR_STOP=1 -f $(srcdir)/tools/settings.sql -c 'SELECT line FROM settings_page ORDER BY n' > $(srcdir)/docs/settings.md

# prints a list of this file: make print-OBJS
print-%:
	@echo $($*)

.PHONY: quickstart quickstart-stop contracts settings test soak bench lint fuzz sanitize matrix matrix-clean schema-picture
