/*-------------------------------------------------------------------------
 *
 * engine.h
 *		The words of the pricing engine: what is kept, what is asked, what is
 *		decided. README.md of this room is the definition.
 *
 * Data flows one way: request.c and line.c read what is asked; buyer.c finds who asks
 * and which versions concern him; candidate.c finds and judges the rates of a
 * line; waterfall.c decides slot after slot; finish.c makes numbers of it and
 * tell.c tells it. load_*.c fill
 * the cache, epoch.c says what of it is current.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PRICING_ENGINE_H
#define DS_PRICING_ENGINE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/block.h"
#include "utils/jsonb.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"
#include "base/reader.h"
#include "pricing/model.h"
#include "pricing/store.h"

/* ---- what is asked -------------------------------------------------------------------------------------------------- */

/* as many targets as most items have */
#define DS_FEW_TARGETS 16

typedef struct DsLine
{
	int ordinal;
	const DsItem *item;
	Datum quantity; /* numeric as it was said; negative = a return */
	DsRatio amount; /* the same without sign */
	const char *unit;
	const DsItemUnit *item_unit; /* NULL = base unit */
	int64 num;					 /* base units = amount × num / den */
	int64 den;
	DsRatio base_quantity;
	int64 site_id; /* 0 = none */
	bool has_weight;
	bool own_weight; /* it was said with the line */
	DsRatio weight;	 /* kilograms of the whole line */
	bool is_return;
	uint8 nusable;				  /* above DS_FEW_TARGETS = look at all of the item */
	uint8 usable[DS_FEW_TARGETS]; /* those of its targets that mean it now, by place */
	bool has_list;				  /* list price was computed (order-wide measures) */
	bool list_known;
	DsRatio list_price;
	TimestampTz list_until;
	const struct DsDecision *list_decision; /* it came from, NULL = none was asked for */
} DsLine;

/* How the lines of a call stand to agreed volumes: each alone, one after the other as an order takes them, or as facts that no cap stops. */
typedef enum DsCommitment
{
	DS_COMMITMENT_LINE,
	DS_COMMITMENT_ORDER,
	DS_COMMITMENT_FACT
} DsCommitment;

typedef struct DsRequest
{
	int64 customer_id;
	int64 ship_to_id; /* 0 = none */
	int64 job_id;	  /* 0 = none */
	int64 company_id; /* 0 = several could */
	const char *currency;
	int minor_units;
	const char *channel; /* NULL = none */
	int64 channel_id;	 /* 0 = none or not known */
	int64 site_id;		 /* default of the lines, 0 = none */
	const char *source;
	const char *document_type;
	const char *document_key;
	TimestampTz at;
	TimestampTz dates[DS_DATE_COUNT];
	TimestampTz closure_at;
	bool has_known_at;
	TimestampTz known_at;
	Jsonb *context;	  /* NULL = none */
	Jsonb *tax_rates; /* NULL = none */
	Jsonb *used;	  /* volumes told instead of read, NULL = none */
	DsCommitment commitment;
	bool for_customer; /* explained as a customer may hear it */
	uint32 without;	   /* slots left out, a bit each */
	int nlines;
	DsLine *lines;
} DsRequest;

/* ---- what is decided ------------------------------------------------------------------------------------------------ */

/* A version that concerns the buyer, with what it is reached by. */
typedef struct DsSource
{
	const DsPart *part;
	const DsVersion *version;
	DsFilter filter; /* the part's, or one that answers faster */
	DsWho who;
	const char *who_key;
	int32 who_rank;
	int32 list_rank;
	bool blocking;
	DsReason reason; /* why the whole version does not count */
	TimestampTz at;	 /* the date its periods are tested against */
	bool fx_known;	 /* currency was looked at */
	bool fx_found;
	DsRatio fx; /* asked currency = its currency × fx */
	TimestampTz
		fx_until; /* first change of the exchange rates that were looked at, DT_NOEND = none */
	bool commitment_known;
	DsRatio used_quantity;
	DsRatio used_amount;
} DsSource;

/* An assignment that starts or ends: it matters to lines that the version's rates name. */
typedef struct DsEdge
{
	const DsPart *part;
	uint8 slot; /* DsSlotName */
	TimestampTz from;
	TimestampTz to;
} DsEdge;

typedef struct DsBuyer
{
	const DsParty *customer;
	int nsources;
	int room;
	DsSource *sources;
	int nedges;
	int edge_room;
	DsEdge *edges;
	TimestampTz valid_until; /* first start or end among what was looked at */
} DsBuyer;

typedef struct DsCandidate
{
	DsSource *source;
	const DsRate *rate;
	const DsTarget *target;
	int32 what_rank;
	const char *unit; /* of the rate: its own, else the item's base unit */
	int64 unit_num;	  /* rate unit in base units; 0 = the item has no such unit */
	int64 unit_den;
	DsReason reason;
	bool done; /* took part in a step */
} DsCandidate;

typedef struct DsStep
{
	const DsCandidate *candidate;
	DsSlotName slot; /* in which it was taken: a merged tier of the list counts in another */
	bool has_before;
	DsRatio before;
	DsRatio after;
	bool merged;
} DsStep;

typedef struct DsFreeGood
{
	int64 item_id;
	DsRatio quantity;
} DsFreeGood;

/* A volume that a price looked at, as it was then. */
typedef struct DsVolume
{
	const DsVersion *version;
	DsRatio used_quantity;
	DsRatio used_amount;
} DsVolume;

/* What a line of the call took of a volume. */
typedef struct DsTaken
{
	struct DsTaken *next;
	int64 agreement_id;
	DsRatio quantity; /* base units */
	DsRatio amount;	  /* in the agreement's currency */
} DsTaken;

#define DS_MAX_STEPS 64

/* The decision for one line, before it is told. */
typedef struct DsDecision
{
	struct DsDecision
		*beside; /* what was decided for it beside: base prices, discounts of the order */
	struct DsDecision *next; /* of the same list */
	int ncandidates;
	int room;
	DsCandidate *candidates;
	uint32 slots; /* that have candidates, a bit each */
	bool has_price;
	DsRatio price; /* for one line unit */
	bool has_list;
	DsRatio list_price;
	DsCandidate *winner; /* the last one that replaced the price */
	int nguards;		 /* rates whose floors, ceilings and margins hold */
	DsCandidate **guards;
	bool has_floor;
	DsRatio floor;
	bool floor_flags;
	bool has_ceiling;
	DsRatio ceiling;
	bool ceiling_flags;
	bool cost_known; /* cost was looked up */
	bool has_cost;
	DsRatio cost;
	bool locked;
	int32 locked_per;		/* units a locked price is for */
	TimestampTz lock_until; /* first start or end of the document's locks for the line */
	bool over_commitment;
	DsReason failure; /* a reason that ends everything, such as below_tier refused */
	bool ambiguous;
	int nfree;
	int nvolumes; /* volumes that were looked at */
	int volume_room;
	DsVolume *volumes;
	TimestampTz valid_until;
	int nsteps;
	int step_room;
	DsStep *steps;
	DsFreeGood *free_goods; /* as many as steps may be; NULL = none so far */
} DsDecision;

/* Drafts that count as if they were published: overlay.c. */
typedef struct DsOverlay DsOverlay;
/* What went wrong on the way to the price, as check_prices() supposes it. */
typedef struct DsSuppose DsSuppose;

typedef enum DsEpochDomain
{
	DS_EPOCH_CLOCK,
	DS_EPOCH_PRICE,
	DS_EPOCH_ITEM
} DsEpochDomain;

/* rows of parties, and of items, in dist.epoch; 0 is shared */
#define DS_EPOCH_BUCKETS 256

/* A row of dist.epoch as the snapshot sees it; mine = this transaction moved it. */
typedef struct DsEpoch
{
	int64 n;
	TimestampTz stamp;
	bool mine;
} DsEpoch;

/* The page of a part that was looked at last. */
typedef struct DsRecent
{
	const DsPart *part; /* NULL = none */
	int64 number;
	const struct DsPage *page;
} DsRecent;

#define DS_RECENT 64

/* One call: everything that its parts share. */
typedef struct DsCall
{
	DsRequest request;
	const DsShared *shared;
	DsBuyer buyer;
	uint32 line_slots; /* slots that take part in the price of a line, a bit each */
	bool explain;
	bool has_depth;		/* a depth may be asked for */
	DsSuppose *suppose; /* what went wrong on the way; NULL = nothing */
	TimestampTz stamp;	/* of the price clock */
	MemoryContext context;
	MemoryContext line_context;
	bool for_buyer;			  /* the caller is restricted to a customer scope */
	bool trusted;			  /* options are a room's own: they need no check */
	bool alone;				  /* nothing may be kept: known_at, SERIALIZABLE */
	bool wrote;				  /* this transaction moved the price clock */
	int readings;			  /* readings of rows that are under way */
	DsStore *store;			  /* for what must not be kept, made when it is needed */
	DsStore *shared_store;	  /* the store that goes with the shared epoch row, and */
	int64 shared_n;			  /* its number */
	DsEpoch clock;			  /* the price clock that the call sees */
	DsReader *epochs;		  /* opened when they are needed, closed by ds_pricing_end() */
	BlockNumber epoch_blocks; /* size of their table when the call began */
	DsReader *customer_rates;
	DsReader *book_rates;
	DsReader *pages;
	DsRecent *recent;	  /* of who asks for targets in their order; NULL = nobody does */
	bool many;			  /* many lines of one buyer are asked, one after the other or together */
	int depth;			  /* of base prices */
	DsOverlay *overlay;	  /* drafts that count; NULL = none */
	DsDecision *deciding; /* that of the line under way */
	DsTaken *taken;		  /* by the lines before it */
} DsCall;

/* epoch.c */
extern DsEpoch ds_pricing_clock(DsCall *call);
extern DsEpoch ds_pricing_epoch(DsCall *call, DsEpochDomain domain, int bucket);
extern int ds_pricing_bucket(int64 id);

/* How far the way to some rates is gone. */
typedef struct DsNear
{
	const struct DsPage *page; /* NULL = they are in none that is kept */
	int n;					   /* the cell in it, -1 = none */
	bool skip;				   /* there are no steps to take */
} DsNear;

#define DS_NEAR_STEPS 4

/* cache.c */
extern void ds_pricing_expect_party(const char *code, int step);
extern void ds_pricing_expect_item(const char *sku, int step);
extern void ds_pricing_begin(DsCall *call);
extern void ds_pricing_end(DsCall *call);
extern const DsShared *ds_pricing_shared(DsCall *call);
extern const DsParty *ds_pricing_party(DsCall *call, int64 party_id);
extern const DsItem *ds_pricing_item(DsCall *call, int64 item_id);
extern const DsParty *ds_pricing_party_of(DsCall *call, const char *code, const char *field);
extern const DsItem *ds_pricing_item_of(DsCall *call, const char *sku, const char *field);
extern void ds_pricing_trim(DsCall *call);
extern const DsItem *ds_pricing_item_listed(DsCall *call, const char *sku, int64 item_id);
extern const DsParts *ds_pricing_agreement(DsCall *call, int64 agreement_id);
extern const DsAssignments *ds_pricing_assigned(DsCall *call, DsWho who, const char *key);
extern void ds_pricing_cell_near(DsCall *call, const DsPart *part, int64 target_id, DsNear *near,
								 int step);
extern const DsCell *ds_pricing_cell(DsCall *call, const DsPart *part, int64 target_id,
									 const DsNear *near);
extern const char *ds_pricing_target(DsCall *call, const DsTarget *target);
extern const uint8 *ds_pricing_content(DsCall *call, int64 version_id);

/* overlay.c: only where call->overlay is set, but for the making of one */
extern DsOverlay *ds_pricing_overlay_open(DsCall *call, Jsonb *drafts);
extern DsOverlay *ds_pricing_overlay_lay(DsCall *call, const int64 *drafts, int ndrafts);
extern const DsParts *ds_pricing_overlay_agreement(DsCall *call, int64 agreement_id);
extern const DsParts *ds_pricing_overlay_own(DsCall *call, const DsParty *party);
extern DsStore *ds_pricing_overlay_store(DsCall *call);

/* load_party.c, load_item.c, load_version.c, load_shared.c, load_cell.c: rows into structs, allocated in the current context */
extern DsParty *ds_pricing_load_party(DsCall *call, int64 party_id);
extern DsItem *ds_pricing_load_item(DsCall *call, int64 item_id);
extern void ds_pricing_load_parts(DsCall *call, int64 customer_id, int64 agreement_id,
								  DsParts *parts);
extern DsAssignments *ds_pricing_load_assignments(DsCall *call, DsWho who, const char *key);
extern DsShared *ds_pricing_load_shared(DsCall *call);
extern DsCell *ds_pricing_load_cell(DsCall *call, const DsPart *part, int64 target_id);
extern const bytea *ds_pricing_load_page(DsCall *call, const DsPart *part, int64 page);
extern DsCell *ds_pricing_page_once(DsCall *call, const DsPart *part, int64 target_id);
extern const uint8 *ds_pricing_load_content(int64 version_id);
extern const char *ds_pricing_load_target(const DsTarget *target);
extern bool ds_pricing_known(DsCall *call, Datum range);

/* lookup.c: what is read on demand and never kept */
extern int64 ds_pricing_find(DsCall *call, const char *kind, const char *code, const char *field);
extern bool ds_pricing_exchange(DsCall *call, const char *from, DsRatio *factor,
								TimestampTz *valid_until);
extern bool ds_pricing_cost(DsCall *call, const DsLine *line, DsRatio *cost,
							TimestampTz *valid_until);
extern bool ds_pricing_locked(DsCall *call, const DsLine *line, DsRatio *price, int32 *price_per,
							  TimestampTz *valid_until);
extern bool ds_pricing_unit(const DsItem *item, const char *unit, int64 *num, int64 *den);
extern const char *ds_pricing_target_key(DsCall *call, const DsLine *line, const DsTarget *target);
extern const char *ds_pricing_site_code(DsCall *call, int64 site_id);

/* words.c */
extern const char *const ds_pricing_who_words[];
extern const char *const ds_pricing_what_words[];
extern const char *const ds_pricing_slot_words[];
extern const char *const ds_pricing_slot_combine_words[];
extern const char *const ds_pricing_key_words[];
extern const char *const ds_pricing_calc_words[];
extern const char *const ds_pricing_combine_words[];
extern const char *const ds_pricing_measure_words[];
extern const char *const ds_pricing_basis_words[];
extern const char *const ds_pricing_date_words[];
extern const char *const ds_pricing_cap_words[];
extern const char *const ds_pricing_reason_words[];
extern const char *const ds_pricing_charge_words[];
extern int ds_pricing_word(const char *const *words, const char *text, Size length,
						   const char *what);
extern int ds_pricing_word_datum(const char *const *words, Datum text, const char *what);

/* policy.c */
extern void ds_pricing_policy_read(Jsonb *document, int32 version, DsPolicy *policy);

/* request.c */
extern void ds_pricing_request(DsCall *call, const char *customer, TimestampTz at, Jsonb *options);
extern char *ds_pricing_text_of(const JsonbValue *value);
extern JsonbValue *ds_pricing_member(JsonbContainer *object, const char *key, JsonbValue *buffer);
extern Numeric ds_pricing_number(const JsonbValue *value);

/* line.c */
extern void ds_pricing_line_one(DsCall *call, const char *item, Datum quantity, const char *unit);
extern void ds_pricing_lines(DsCall *call, Jsonb *lines);
extern void ds_pricing_line_unit(DsCall *call, DsLine *line, const DsItem *item);

/* buyer.c */
extern void ds_pricing_buyer(DsCall *call);
extern DsReason ds_pricing_whole_reason(DsCall *call, const DsVersion *version, TimestampTz at);

/* candidate.c */
extern void ds_pricing_usable(const DsCall *call, DsLine *line);
extern void ds_pricing_candidates(DsCall *call, DsLine *line, DsDecision *decision);
extern void ds_pricing_candidates_of(DsCall *call, DsLine *line, DsSource *source,
									 DsDecision *decision);
extern bool ds_pricing_names(const DsCall *call, const DsLine *line, const DsPart *part);
extern void ds_pricing_judge(DsCall *call, DsLine *line, DsDecision *decision);
extern void ds_pricing_look_at(DsCall *call, const DsLine *line, DsDecision *decision, int slot);
extern void ds_pricing_look_at_edges(DsCall *call, const DsLine *line, DsDecision *decision,
									 int slot);
extern DsReason ds_pricing_reason(DsCall *call, DsLine *line, DsDecision *decision,
								  DsCandidate *candidate);
extern bool ds_pricing_same_rate(const DsCandidate *a, const DsCandidate *b);
extern bool ds_pricing_same_ladder(const DsCandidate *a, const DsCandidate *b);
extern DsRatio ds_pricing_tax(DsCall *call, const DsLine *line);

/* commitment.c */
extern bool ds_pricing_has_volume(const DsVersion *version);
extern void ds_pricing_commitment(DsCall *call, DsSource *source);
extern bool ds_pricing_used_up(DsCall *call, DsSource *source, const DsLine *line);
extern bool ds_pricing_over_commitment(DsCall *call, DsSource *source, const DsLine *line);

/* order.c */
extern int ds_pricing_compare_keys(DsCall *call, const DsLine *line, const DsCandidate *a,
								   const DsCandidate *b);
extern int ds_pricing_slot_candidates(DsDecision *decision, DsSlotName slot, DsCandidate ***list);
extern void ds_pricing_sort(DsCall *call, DsLine *line, DsDecision *decision, DsCandidate **list,
							int n, const DsRatio *running);

/* measure.c */
extern DsRatio ds_pricing_measure(DsCall *call, DsLine *line, DsSource *source,
								  TimestampTz *valid_until);
extern DsRatio ds_pricing_tier(const DsCandidate *candidate);

/* calc.c */
extern bool ds_pricing_calc(DsCall *call, DsLine *line, DsDecision *decision,
							DsCandidate *candidate, const DsRatio *running, DsRatio *price,
							DsReason *why);
extern DsRatio ds_pricing_amount(DsCall *call, const DsLine *line, const DsCandidate *candidate,
								 DsDecimal value);
extern bool ds_pricing_line_cost(DsCall *call, DsLine *line, DsDecision *decision, DsRatio *cost);

/* waterfall.c */
extern void ds_pricing_decide(DsCall *call, DsLine *line, DsDecision *decision);
extern bool ds_pricing_list_price(DsCall *call, DsLine *line, DsRatio *price,
								  TimestampTz *valid_until);
extern DsDecision *ds_pricing_decision(DsCall *call);

/* stack.c */
extern bool ds_pricing_stack(DsCall *call, DsLine *line, DsDecision *decision, DsSlotName slot,
							 DsCandidate **list, int n);
extern void ds_pricing_next_group(const DsVersion *version, const char *last, const char **next);
extern void ds_pricing_step(DsCall *call, DsLine *line, DsDecision *decision, DsSlotName slot,
							DsCandidate *candidate, DsRatio after, bool replaces);
extern void ds_pricing_guard(DsDecision *decision, DsCandidate *candidate);
extern void ds_pricing_limits(DsCall *call, DsLine *line, DsDecision *decision);
extern void ds_pricing_free_goods(DsCall *call, DsLine *line, DsDecision *decision, DsSlotName slot,
								  DsCandidate *candidate);

/* finish.c */
extern int32 ds_pricing_price_per(const DsLine *line, const DsDecision *decision);

/* rounding.c */
extern const DsRule *ds_pricing_rule(DsCall *call, const DsDecision *decision);
extern DsRatio ds_pricing_round(const DsRule *rule, DsRatio price);

/* suppose.c */
extern DsSuppose *ds_pricing_suppose(Jsonb *told);
extern TimestampTz ds_pricing_suppose_at(const DsSuppose *suppose, TimestampTz at);
extern bool ds_pricing_suppose_exchange(const DsSuppose *suppose, bool found, DsRatio *factor);
extern const DsRule *ds_pricing_suppose_rule(DsSuppose *suppose, const DsRule *rule);
extern bool ds_pricing_suppose_factor(const DsSuppose *suppose, const DsRule *rule, DsRatio exact,
									  DsRatio *price);
extern void ds_pricing_suppose_twice(const DsSuppose *suppose, DsDecision *decision, int slot,
									 bool had_price, DsRatio before);

/* ds_pricing_beside does the remembering of a decision that another one needed. */
static inline void
ds_pricing_beside(DsDecision *outer, DsDecision *inner)
{
	inner->next = outer->beside;
	outer->beside = inner;
}

/* ds_pricing_until does the narrowing of an end to an edge that lies after the instant. */
static inline void
ds_pricing_until(TimestampTz edge, TimestampTz at, TimestampTz *valid_until)
{
	if (edge > at && edge < *valid_until && !TIMESTAMP_NOT_FINITE(edge))
		*valid_until = edge;
}

/*
 * ds_pricing_until_closure does the same for a row of a closure, which tells
 * when something changed: what changed after known_at was not known.
 */
static inline void
ds_pricing_until_closure(const DsCall *call, TimestampTz from, TimestampTz to,
						 TimestampTz *valid_until)
{
	const DsRequest *q = &call->request;

	if (!q->has_known_at || from <= q->known_at)
		ds_pricing_until(from, q->at, valid_until);
	if (!q->has_known_at || to <= q->known_at)
		ds_pricing_until(to, q->at, valid_until);
}

#endif /* DS_PRICING_ENGINE_H */
