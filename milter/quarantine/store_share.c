/*
 * How much one client may have undecided. In memory, not in the database: it is asked for every message that is to be held, changes with every
 * decision, and the database knows it anew at each start.
 *
 * Only mail from outside counts, by its filter's role: at the others one client, this machine or an office's, speaks for many senders that
 * we know.
 */
#include "milter/quarantine/store_db.h"

#include <string.h>

#define FROM_OUTSIDE "inbound"
#define UNDECIDED " role = '" FROM_OUTSIDE "' AND has_body = 1 AND state IN ('baru', 'ditinjau', 'menunggu persetujuan')"

static struct taken
taken_of(const char *client, size_t bytes)
{
	struct taken taken = { .bytes = bytes };

	taken.counts = share_client(client, taken.client);
	return taken;
}

struct taken
store_taken_by(const struct item *item, size_t bytes)
{
	if (strcmp(item->role, FROM_OUTSIDE) != 0)
		return (struct taken){ .counts = false };
	return taken_of(item->transport.client, bytes);
}

enum store_outcome
store_taken(struct quarantine *store, int64_t item, struct taken *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->writer, &stmt, err, "SELECT client, disk FROM item WHERE n = ?1 AND" UNDECIDED,
	    "i", item);

	*ret = (struct taken){ .counts = false };
	if (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1)
		*ret = taken_of(db_column(stmt, 0), (size_t)sqlite3_column_int64(stmt, 1));
	return outcome;
}

enum store_outcome
store_load_shares(struct quarantine *store, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err, "SELECT client, disk FROM item WHERE" UNDECIDED, "");

	while (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1) {
		const struct taken taken = taken_of(db_column(stmt, 0), (size_t)sqlite3_column_int64(stmt, 1));

		store_recount(store, NULL, &taken);
	}
	return outcome;
}

void
store_recount(struct quarantine *store, const struct taken *before, const struct taken *after)
{
	pthread_mutex_lock(&store->lock);
	if (before && before->counts)
		shares_take(store->shares, before->client, before->bytes);
	if (after && after->counts)
		shares_add(store->shares, after->client, after->bytes);
	pthread_mutex_unlock(&store->lock);
}

/* One client's share, and what it would be with one more. */
struct claim {
	struct share with;
	size_t max_items, max_bytes;
	long percent;
};

/* Under the lock. */
static bool
fits(const struct quarantine *store, const struct taken *taken, struct claim *ret)
{
	shares_get(store->shares, taken->client, &ret->with);
	ret->with.items++;
	ret->with.bytes += taken->bytes;
	ret->percent = store->client_share;
	ret->max_items = (size_t)store->max_items * (size_t)ret->percent / 100;
	ret->max_bytes = (size_t)store->max_size * (size_t)ret->percent / 100;
	return ret->percent == 0 || ret->with.items == 1 || (ret->with.items <= ret->max_items && ret->with.bytes <= ret->max_bytes);
}

static enum store_outcome
share_full(const struct claim *claim, struct err *err)
{
	char client[SHARE_NAME_BYTES];

	share_name(claim->with.client, client);
	if (claim->with.items > claim->max_items)
		return store_fail(STORE_FULL, err, "client %s: %zu undecided items with this one; quarantine.client_share (%ld percent of max_items) is "
		    "%zu", client, claim->with.items, claim->percent, claim->max_items);
	return store_fail(STORE_FULL, err, "client %s: %zu undecided bytes with this message; quarantine.client_share (%ld percent of max_size) is "
	    "%zu", client, claim->with.bytes, claim->percent, claim->max_bytes);
}

enum store_outcome
store_take(struct quarantine *store, const struct taken *taken, struct err *err)
{
	struct claim claim;
	bool good;

	if (!taken->counts)
		return STORE_DONE;
	pthread_mutex_lock(&store->lock);
	good = fits(store, taken, &claim);
	if (good)
		shares_add(store->shares, taken->client, taken->bytes);
	pthread_mutex_unlock(&store->lock);
	return good ? STORE_DONE : share_full(&claim, err);
}
