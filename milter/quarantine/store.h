/*
 * store: the quarantine on disk: one box a body (DIR/items/ID), and one SQLite database (DIR/quarantine.db: WAL,
 * synchronous=FULL) with everything else. Only segel-reviewd opens it, and only once (flock on DIR/lock).
 *
 * Order of writes of a new item: box under a temporary name (DIR/incoming/); the caller's audit record; fsync, rename, fsync of
 * both folders; row, recipients, findings and first event in one transaction; then the answer.
 * A crash in between leaves a file without a row, and so does a database from yesterday's backup: store_sweep() moves those to
 * DIR/orphans, at start and later, and removes them from there after 30 days. Nothing else reads them.
 * A deletion goes the other way: the row says that there is no body, then the file goes.
 *
 * Every change of an item is one transaction that names the version it was decided on, counts it up, and
 * leaves an event (who, when, what, why). WAS_CHANGED when the version is another one by now: nothing was done.
 *
 * A failed fsync or commit of the database's disk is never retried: the store is closed for writing (STORE_BROKEN)
 * until the process starts anew. Full (size, items, free space, ENOSPC) is a state that passes.
 *
 * Thread-safe; writers wait for each other.
 */
#ifndef QUARANTINE_STORE_H
#define QUARANTINE_STORE_H

#include "milter/quarantine/item.h"

struct store_settings {
	const char *dir;
	int timeout_ms;  /* a locked database */
	long max_size;   /* bytes of all boxes */
	long max_items;  /* with a body */
	long min_free;   /* bytes that must stay free on the file system */
	long client_share; /* percent of max_size, and of max_items, for what is undecided of one client; 0 = no limit */
};

enum store_outcome {
	STORE_UNAVAILABLE, /* locked, damaged, disk trouble that may pass */
	STORE_FULL,
	STORE_BROKEN,      /* a write failed in a way that says nothing about what is on disk */
	STORE_NOT_FOUND,
	STORE_CHANGED,     /* another version by now */
	STORE_DONE,
};

const char *store_outcome_name(enum store_outcome outcome);

struct quarantine;

/* Makes what is missing, checks the schema, sweeps. ERR_CONFIG, ERR_TEMP. */
int store_open(const struct store_settings *settings, struct quarantine **ret, struct err *err) MUST_USE;
void store_close(struct quarantine *store);
AUTO_DEFINE(struct quarantine, store_close);

/* New limits from now on. */
void store_limits(struct quarantine *store, const struct store_settings *settings);

/*
 * Files older than `age` seconds: what was broken off on its way in goes, and bodies whose row says that they are gone; bodies
 * without a row become orphans: how many, those of the start included. Rows whose file is missing are told through `lost`.
 */
int store_sweep(struct quarantine *store, time_t now, long age, size_t *swept, size_t *lost, struct err *err) MUST_USE;

/* Is there room for a body of this size? STORE_DONE, STORE_FULL with err saying which limit, STORE_BROKEN. */
enum store_outcome store_room(struct quarantine *store, size_t bytes, struct err *err) MUST_USE;

/* A body on its way in. */
struct incoming;
enum store_outcome incoming_open(struct quarantine *store, const char *id, struct incoming **ret, struct err *err) MUST_USE;
enum store_outcome incoming_write(struct incoming *incoming, struct slice bytes, struct err *err) MUST_USE;
/*
 * Once, before the first byte: what comes is this item, of `bytes` at most. Of mail from outside (role inbound, the client an address)
 * STORE_FULL where it and what is undecided of its client (share.h) are more than the client's share; err says
 * which limit, and whose. One message always fits: a client of whom nothing is undecided is never told so.
 */
enum store_outcome incoming_charge(struct incoming *incoming, const struct item *item, size_t bytes, struct err *err) MUST_USE;
/* fsync, rename, fsync. The file is the item's now, and swept if no row follows. */
enum store_outcome incoming_keep(struct incoming *incoming, struct err *err) MUST_USE;
void incoming_free(struct incoming *incoming); /* what was not kept goes */
AUTO_DEFINE(struct incoming, incoming_free);

/*
 * The id of an item that stands for this one too: of the same fingerprint and action, with its body, that nobody has released or
 * deleted, and whose body stays at least half as long as this one's would. Whoever is told "held already" forgets the message.
 */
enum store_outcome store_find_same(struct quarantine *store, const struct item *item, char id[ITEM_ID_BYTES], struct err *err) MUST_USE;

/*
 * The row of a kept body, state baru, version 1; of segel-reviewd's own fields only `expires` is taken from the item. STORE_CHANGED: the
 * same message (store_find_same) was held in the meantime by another delivery; store_find_same() says as what. Where no row came to
 * be, the body goes too.
 */
enum store_outcome store_add(struct quarantine *store, const struct item *item, struct err *err) MUST_USE;

/* One whole item. `ret` is to be given back by item_done. */
enum store_outcome store_get(struct quarantine *store, const char *id, struct item *ret, struct err *err) MUST_USE;

/* An open descriptor of its box, at its beginning. */
enum store_outcome store_body(struct quarantine *store, const char *id, int *ret, struct err *err) MUST_USE;

/* Which items; "" and 0 mean any. Texts of addresses and subject match a part, ASCII letters in either case. */
struct item_filter {
	enum item_state state;
	bool open;             /* baru, ditinjau or menunggu */
	enum reason reason;    /* any of its findings */
	enum class class;
	enum action action;
	char from[256], sender[256], recipient[256], subject[256], signer[256], queue_id[64], client[128], role[16], id[ITEM_ID_BYTES];
	char tls[32];          /* version; "none" */
	char by[64];           /* login that acted on it */
	time_t since, until;   /* arrived */
	time_t expires_before;
	size_t min_size, max_size;
	bool legal_hold, asked_for, unparsed;
	const char *const *own; /* only with one of these addresses as From, sender or recipient; NULL-terminated; NULL = any */
	bool registry_only;     /* only items with a finding of reason_of_registry() */
	size_t limit;           /* 0 = 100 */
	size_t offset;
};

/* What a list shows; enough for one line, without findings and recipients beyond the first. */
struct item_line {
	const char *id;
	time_t arrived, expires;
	enum item_state state;
	enum class class;
	enum action action;
	enum reason reason;
	const char *from, *sender, *subject, *recipient, *queue_id, *signer, *client, *tls, *by; /* borrowed */
	size_t n_recipients, size;
	long version;
	bool legal_hold, asked_for, has_body;
};

/* Newest first. `total`: how many there are without limit and offset. */
enum store_outcome store_list(struct quarantine *store, const struct item_filter *filter,
    void (*each)(void *ctx, const struct item_line *line), void *ctx, size_t *total, struct err *err) MUST_USE;

/* Who acts, and why; goes into the item's history. */
struct item_act {
	const char *id;
	long version;       /* that it was decided on */
	const char *what;   /* word: view, export, note, propose, release, ... */
	const char *login;
	int64_t person;
	const char *reason; /* "" = none given */
	const char *detail;
	time_t now;
};

/* What changes with an act; zero stays as it is. */
struct item_change {
	enum item_state state;
	time_t expires;
	int legal_hold;            /* 1 on, -1 off */
	bool asked_for;
	bool propose, withdraw;    /* the acting login becomes the first of two; nobody is any more */
	bool drop_body;            /* no body any more; the file goes after the commit */
	const char *token;         /* of a release that begins: single use */
	const char *release_to[LIMIT_RECIPIENTS + 1]; /* of a release that begins: the recipients it goes to, NULL-terminated; at least one */
	const struct findings *findings; /* of a new verification: replace the old; a proposal is withdrawn with them */
};

/*
 * With a token the state becomes ITEM_RELEASING by itself; STORE_CHANGED where a recipient of the release got it by an
 * earlier one, STORE_NOT_FOUND where it is none of the item's. A law of the database that stands against the change
 * (a body under legal hold, a release of what was refused, ...) is ERR_BUG and STORE_UNAVAILABLE: ask before.
 */
enum store_outcome store_act(struct quarantine *store, const struct item_act *act, const struct item_change *change, struct err *err) MUST_USE;

/*
 * The mail server has taken it: marks the recipients of the release that `token` began, ends it, and leaves the event. A token
 * counts once; STORE_NOT_FOUND where it is none or was used.
 */
enum store_outcome store_released(struct quarantine *store, const char *token, time_t now, struct err *err) MUST_USE;
/* It was refused, or never begun: back to where it was. */
enum store_outcome store_release_failed(struct quarantine *store, const char *token, const char *why, time_t now, struct err *err) MUST_USE;

/* Somebody calls it back, who and why `act` says (id and version are not looked at): back to where it was. */
enum store_outcome store_recalled(struct quarantine *store, const char *token, const struct item_act *act, struct err *err) MUST_USE;

/*
 * What the item's history says of a release: it begins or is tried again, and what came of the try. Of a try without a word nothing is
 * known: perhaps the process ended in the middle.
 */
#define RELEASE_BEGIN "release"
#define RELEASE_RESUME "resume"
#define RELEASE_NOT_TAKEN "not-taken" /* the mail server said so, or was not there */
#define RELEASE_NOT_SENT "not-sent"   /* it did not come to that: what was verified again could not be found out */
#define RELEASE_NO_ANSWER "no-answer" /* it may have arrived */

/* How a release that has not ended stands. */
struct release_standing {
	char token[ITEM_ID_BYTES], login[64];
	time_t began, tried;   /* the last try */
	size_t tries;
	char answer[512];      /* what came of the last one that has a word; "" = none has */
	bool settled;          /* the last that was sent is known not to have been taken */
	bool doubtful;         /* one before may have arrived: nobody knows */
};
/* STORE_NOT_FOUND: none is on its way. */
enum store_outcome store_release_of(struct quarantine *store, const char *id, struct release_standing *ret, struct err *err) MUST_USE;

/* Releases that have begun and not ended, after a crash. */
struct release_row {
	const char *id, *token, *login;
	const char *const *recipients;
	time_t began;
};
enum store_outcome store_each_releasing(struct quarantine *store, void (*each)(void *ctx, const struct release_row *row), void *ctx,
    struct err *err) MUST_USE;

/* Events of one item, oldest first. */
struct item_event {
	time_t at;
	const char *what, *login, *reason, *detail;
};
enum store_outcome store_history(struct quarantine *store, const char *id, void (*each)(void *ctx, const struct item_event *event),
    void *ctx, struct err *err) MUST_USE;

/* Ids and states of bodies whose time is over at `now` and that are under no legal hold, at most `most`, for store_act(drop_body). */
enum store_outcome store_expired(struct quarantine *store, time_t now, size_t most, void (*each)(void *ctx, const char *id, long version, enum item_state state),
    void *ctx, struct err *err) MUST_USE;
/* When something was last done here, by the clock of then; 0 = never. */
enum store_outcome store_last_event(struct quarantine *store, time_t *ret, struct err *err) MUST_USE;
/* Rows that have had no body since before this time go, with their history. How many. */
enum store_outcome store_forget(struct quarantine *store, time_t before, size_t *n, struct err *err) MUST_USE;

struct store_stats {
	size_t items[N_ITEM_STATES];
	size_t bodies, bytes, free_bytes;
	time_t oldest_open;
};
enum store_outcome store_stats(struct quarantine *store, struct store_stats *ret, struct err *err) MUST_USE;

#endif
