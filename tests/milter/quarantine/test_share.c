/* What one client may have undecided in the store: whose it is, what counts, when it ends. */
#include "tests/milter/quarantine/world.h"

static struct world world;

static int
setup(void **state)
{
	(void)state;
	folder_open(&world, "/tmp");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

/* ---- whose ---- */

static const struct {
	const char *address, *want; /* NULL: nobody's */
} clients[] = {
	{ "192.0.2.7", "192.0.2.7" },
	{ "::ffff:192.0.2.7", "192.0.2.7" },
	{ "2001:db8:0:7::1", "2001:db8:0:7::/64" },
	{ "2001:db8:0:7:ffff:ffff:ffff:ffff", "2001:db8:0:7::/64" },
	{ "2001:db8:0:8::1", "2001:db8:0:8::/64" },
	{ "::1", "::/64" },
	{ "local", NULL },
	{ "unknown", NULL },
	{ "", NULL },
	{ "192.0.2.7 ", NULL },
	{ "mail.kota.go.id [192.0.2.7]", NULL },
	{ "2001:db8::1%eth0", NULL },
};

static void
test_clients(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(clients); i++) {
		unsigned char client[SHARE_CLIENT_BYTES];
		char name[SHARE_NAME_BYTES];

		assert_int_equal(share_client(clients[i].address, client), clients[i].want != NULL);
		if (!clients[i].want)
			continue;
		share_name(client, name);
		assert_string_equal(name, clients[i].want);
	}
}

/* Against plain counting: many clients in no order, all forgotten in the end. */
static void
test_counting(void **state)
{
	enum { CLIENTS = 300, STEPS = 20000 };
	AUTO(shares_free) struct shares *shares = shares_new();
	size_t items[CLIENTS] = { 0 }, random = 4711;

	(void)state;
	for (int i = 0; i < STEPS; i++) {
		unsigned char client[SHARE_CLIENT_BYTES] = { 0 };
		struct share share;
		size_t one;

		random = random * 6364136223846793005u + 1442695040888963407u;
		one = (random >> 33) % CLIENTS;
		client[0] = (unsigned char)one;
		client[7] = (unsigned char)(one >> 8);
		if ((random >> 20) % 2) {
			shares_add(shares, client, one + 1);
			items[one]++;
		} else {
			shares_take(shares, client, one + 1); /* perhaps nothing is there */
			items[one] -= items[one] > 0;
		}
		shares_get(shares, client, &share);
		assert_int_equal(share.items, items[one]);
		assert_int_equal(share.bytes, items[one] * (one + 1));
	}
}

/* ---- in the store ---- */

enum { BOX = 20 }; /* bytes that each item has on disk */

static struct store_settings
limits(long max_size, long max_items, long percent)
{
	struct store_settings settings = settings_of("q");

	settings.max_size = max_size;
	settings.max_items = max_items;
	settings.client_share = percent;
	return settings;
}

/* Item i from that client: comes, and is kept where it may. */
static enum store_outcome
give(struct quarantine *store, unsigned i, const char *role, const char *client, struct err *err)
{
	AUTO_ITEM struct item item = item_of(i);
	AUTO(incoming_free) struct incoming *incoming = NULL;
	enum store_outcome outcome = incoming_open(store, item.id, &incoming, err);

	snprintf(item.role, sizeof(item.role), "%s", role);
	snprintf(item.transport.client, sizeof(item.transport.client), "%s", client);
	if (outcome == STORE_DONE)
		outcome = incoming_charge(incoming, &item, BOX, err);
	if (outcome == STORE_DONE)
		outcome = incoming_write(incoming, slice_of("the box of a message"), err);
	if (outcome == STORE_DONE)
		outcome = incoming_keep(incoming, err);
	return outcome == STORE_DONE ? store_add(store, &item, err) : outcome;
}

static void
wants(struct quarantine *store, unsigned i, const char *client, enum store_outcome wanted)
{
	EXPECT(wanted, give(store, i, "inbound", client, &err));
}

static void
act(struct quarantine *store, unsigned i, const char *what, const struct item_change *change)
{
	AUTO_ITEM struct item item = { 0 };
	char id[ITEM_ID_BYTES];
	struct item_act one = { .id = id, .what = what, .login = "ani", .person = 5, .reason = "sebab", .detail = "", .now = NOW };

	snprintf(id, sizeof(id), "%032x", i);
	EXPECT(STORE_DONE, store_get(store, id, &item, &err));
	one.version = item.version;
	EXPECT(STORE_DONE, store_act(store, &one, change, &err));
}

/* Three messages are a client's share, by bytes or by number; what is decided makes room, and what comes back takes it. */
static void
decide(struct store_settings settings, const char *says)
{
	const struct item_change seen = { .state = ITEM_SEEN }, gone = { .state = ITEM_DELETED, .drop_body = true },
		go = { .token = "t1", .release_to = { "warga@kota.go.id" } }, again = { .token = "t2", .release_to = { "warga@kota.go.id" } };
	AUTO(store_close) struct quarantine *store = NULL;
	struct err why = { 0 };

	assert_int_equal(run("rm -rf q"), 0);
	assert_int_equal(store_open(&settings, &store, &why), 0);
	for (unsigned i = 1; i <= 3; i++)
		wants(store, i, "192.0.2.7", STORE_DONE);
	assert_int_equal(give(store, 4, "inbound", "192.0.2.7", &why), STORE_FULL);
	assert_non_null(strstr(why.text, "client 192.0.2.7: "));
	assert_non_null(strstr(why.text, says));
	assert_non_null(strstr(why.text, "quarantine.client_share"));
	wants(store, 4, "::ffff:192.0.2.7", STORE_FULL);
	assert_int_equal(run("test $(ls q/items | wc -l) = 3 && test -z \"$(ls q/incoming)\""), 0);
	/* others, and those that are no strangers */
	wants(store, 11, "192.0.2.8", STORE_DONE);
	EXPECT(STORE_DONE, give(store, 12, "egress", "192.0.2.7", &err));
	for (unsigned i = 13; i <= 17; i++)
		wants(store, i, "local", STORE_DONE);
	for (unsigned i = 21; i <= 23; i++)
		wants(store, i, i % 2 ? "2001:db8::1" : "2001:db8::ffff:1", STORE_DONE);
	wants(store, 24, "2001:db8::2", STORE_FULL);
	wants(store, 24, "2001:db8:0:1::2", STORE_DONE);
	/* looked at is not decided; deleted is; on its way is; brought back is not */
	act(store, 1, "view", &seen);
	wants(store, 4, "192.0.2.7", STORE_FULL);
	act(store, 1, "delete", &gone);
	wants(store, 4, "192.0.2.7", STORE_DONE);
	wants(store, 5, "192.0.2.7", STORE_FULL);
	act(store, 2, "release", &go);
	wants(store, 5, "192.0.2.7", STORE_DONE);
	EXPECT(STORE_DONE, store_release_failed(store, "t1", "no", NOW, &err));
	act(store, 3, "delete", &gone);
	wants(store, 6, "192.0.2.7", STORE_FULL);
	act(store, 2, "release", &again);
	EXPECT(STORE_DONE, store_released(store, "t2", NOW, &err));
	wants(store, 6, "192.0.2.7", STORE_DONE);
	wants(store, 7, "192.0.2.7", STORE_FULL);
	/* the same after a start */
	store_close(TAKE(store));
	assert_int_equal(store_open(&settings, &store, &why), 0);
	wants(store, 7, "192.0.2.7", STORE_FULL);
	wants(store, 25, "2001:db8::3", STORE_FULL);
	wants(store, 18, "local", STORE_DONE);
	act(store, 4, "delete", &gone);
	wants(store, 7, "192.0.2.7", STORE_DONE);
	/* no limit */
	settings.client_share = 0;
	store_limits(store, &settings);
	wants(store, 8, "192.0.2.7", STORE_DONE);
}

static void
test_bytes(void **state)
{
	(void)state;
	decide(limits(6 * 1000 + 1, 1000000, 1), "80 undecided bytes with this message"); /* 60 */
}

static void
test_items(void **state)
{
	(void)state;
	decide(limits(1L << 40, 30, 10), "4 undecided items with this one");
}

/* One message always fits, and what is coming counts as what is there. */
static void
test_coming(void **state)
{
	const struct store_settings settings = limits(1L << 30, 1000000, 1);
	AUTO(store_close) struct quarantine *store = NULL;
	AUTO(incoming_free) struct incoming *first = NULL, *second = NULL, *other = NULL;
	AUTO_ITEM struct item a = item_of(1), b = item_of(2);
	struct err why = { 0 };

	(void)state;
	assert_int_equal(run("rm -rf q"), 0);
	assert_int_equal(store_open(&settings, &store, &why), 0);
	snprintf(a.transport.client, sizeof(a.transport.client), "192.0.2.7");
	snprintf(b.transport.client, sizeof(b.transport.client), "192.0.2.7");
	EXPECT(STORE_DONE, incoming_open(store, a.id, &first, &err));
	EXPECT(STORE_DONE, incoming_charge(first, &a, 1L << 29, &err)); /* of 10 MB */
	EXPECT(STORE_DONE, incoming_charge(first, &a, 1L << 29, &err)); /* once is enough */
	EXPECT(STORE_DONE, incoming_open(store, b.id, &second, &err));
	EXPECT(STORE_FULL, incoming_charge(second, &b, 1, &err));
	EXPECT(STORE_UNAVAILABLE, incoming_write(second, slice_of("x"), &err)); /* refused is refused */
	incoming_free(TAKE(second));
	snprintf(b.transport.client, sizeof(b.transport.client), "192.0.2.8");
	EXPECT(STORE_DONE, incoming_open(store, b.id, &other, &err));
	EXPECT(STORE_DONE, incoming_charge(other, &b, 1, &err));
	incoming_free(TAKE(other));
	incoming_free(TAKE(first));
	wants(store, 3, "192.0.2.7", STORE_DONE);
	wants(store, 4, "192.0.2.7", STORE_DONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_counting),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_coming),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
