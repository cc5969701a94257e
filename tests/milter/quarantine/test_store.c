/* The store by its contract: items in and out, versions, tokens, laws, limits, lists; the sqlite3 program looks on. */
#include <fcntl.h>
#include <sys/stat.h>

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

/* A fresh folder "q" for each test. */
static struct quarantine *
fresh(void)
{
	assert_int_equal(run("rm -rf q"), 0);
	return store_at("q");
}

static long
version_of(struct quarantine *store, const char *id)
{
	AUTO_ITEM struct item item = { 0 };

	EXPECT(STORE_DONE, store_get(store, id, &item, &err));
	return item.version;
}

static struct item_act
act_of(struct quarantine *store, const char *id, const char *what)
{
	return (struct item_act){ .id = id, .version = version_of(store, id), .what = what, .login = "ani", .person = 5, .reason = "sebab",
		.detail = "", .now = NOW };
}

static void
same_item(const struct item *a, const struct item *b)
{
	struct item x = *a, y = *b;

	assert_string_equal(a->sender_parameters, b->sender_parameters);
	assert_int_equal(a->n_recipients, b->n_recipients);
	for (size_t i = 0; i < a->n_recipients; i++) {
		assert_string_equal(a->recipients[i].address, b->recipients[i].address);
		assert_string_equal(a->recipients[i].parameters, b->recipients[i].parameters);
		assert_int_equal(a->recipients[i].released_at, b->recipients[i].released_at);
	}
	x.sender_parameters = y.sender_parameters = NULL;
	x.recipients = y.recipients = NULL;
	assert_memory_equal(&x.transport, &y.transport, sizeof(x.transport));
	assert_memory_equal(&x, &y, sizeof(x));
}

static void
test_in_and_out(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	AUTO_ITEM struct item item = item_of(1), found = { 0 };
	char id[ITEM_ID_BYTES];
	AUTO_FD int fd = -1;
	char body[64] = "";
	struct stat st;

	(void)state;
	EXPECT(STORE_NOT_FOUND, store_get(store, item.id, &found, &err));
	EXPECT(STORE_NOT_FOUND, store_find_same(store, &item, id, &err));
	EXPECT(STORE_NOT_FOUND, store_body(store, item.id, &fd, &err));
	EXPECT(STORE_DONE, put_item(store, &item, &err));
	EXPECT(STORE_DONE, store_get(store, item.id, &found, &err));
	item.state = ITEM_NEW;
	item.version = 1;
	item.has_body = true;
	same_item(&item, &found);
	EXPECT(STORE_DONE, store_find_same(store, &item, id, &err));
	assert_string_equal(id, item.id);
	EXPECT(STORE_DONE, store_body(store, item.id, &fd, &err));
	assert_true(read(fd, body, sizeof(body) - 1) > 0);
	assert_string_equal(body, "the box of a message");
	EXPECT(STORE_NOT_FOUND, store_body(store, "../quarantine.db", &fd, &err));
	assert_int_equal(stat("q/quarantine.db", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat("q/items/00000000000000000000000000000001", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(run("test \"$(sqlite3 q/quarantine.db 'PRAGMA integrity_check; PRAGMA foreign_key_check; PRAGMA journal_mode' | tr -d '\\n')\""
	    " = okwal"), 0);
}

/* The first one wins, in whatever way the second one comes. */
static void
test_doubles(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	AUTO_ITEM struct item item = item_of(1), twin = item_of(2);
	AUTO(incoming_free) struct incoming *first = NULL, *second = NULL;
	char id[ITEM_ID_BYTES];

	(void)state;
	memcpy(twin.fingerprint, item.fingerprint, sizeof(item.fingerprint));
	EXPECT(STORE_DONE, put_item(store, &item, &err));
	/* another id, same message: found under the lock, and its body goes */
	EXPECT(STORE_CHANGED, put_item(store, &twin, &err));
	assert_int_equal(access("q/items/00000000000000000000000000000002", F_OK), -1);
	/* the same id: the body that is there stays */
	EXPECT(STORE_UNAVAILABLE, put_body(store, item.id, slice_of("another body"), &err));
	EXPECT(STORE_UNAVAILABLE, store_add(store, &item, &err));
	assert_int_equal(run("grep -q 'the box' q/items/%s", item.id), 0);
	/* the same id at once */
	EXPECT(STORE_DONE, incoming_open(store, twin.id, &first, &err));
	EXPECT(STORE_UNAVAILABLE, incoming_open(store, twin.id, &second, &err));
	/* no id, no body */
	EXPECT(STORE_UNAVAILABLE, incoming_open(store, "../../etc/passwd", &second, &err));
	EXPECT(STORE_UNAVAILABLE, store_add(store, &twin, &err));
	/* decided on: a second arrival is a new item */
	{
		struct item_act act = act_of(store, item.id, "delete");
		const struct item_change gone = { .state = ITEM_DELETED, .drop_body = true };

		EXPECT(STORE_DONE, store_act(store, &act, &gone, &err));
	}
	EXPECT(STORE_NOT_FOUND, store_find_same(store, &item, id, &err));
	incoming_free(TAKE(first));
	EXPECT(STORE_DONE, put_item(store, &twin, &err));
	EXPECT(STORE_DONE, store_find_same(store, &item, id, &err));
	assert_string_equal(id, twin.id);
	assert_int_equal(run("test $(ls q/items | wc -l) = 1 && test $(ls q/incoming | wc -l) = 0"), 0);
}

static const struct {
	const char *name;
	enum action first, second;
	long sooner; /* the first one ends this much before the second one */
	bool same;
} arrivals[] = {
	{ "a retry", ACTION_HOLD, ACTION_HOLD, 0, true },
	{ "a retry of what was refused", ACTION_REJECT_HOLD, ACTION_REJECT_HOLD, 0, true },
	{ "a retry after days", ACTION_HOLD, ACTION_HOLD, 400000, true },
	{ "accepted now, refused then: a copy is never released", ACTION_REJECT_HOLD, ACTION_HOLD, 0, false },
	{ "refused now, accepted then: nobody was told that it arrives", ACTION_HOLD, ACTION_REJECT_HOLD, 0, false },
	{ "the first one is about to expire", ACTION_HOLD, ACTION_HOLD, 600000, false },
	{ "the first one has expired and waits for the purge", ACTION_HOLD, ACTION_HOLD, 1000002, false },
};

/* "Held already" is a promise about the first item: it must keep what the second one would. */
static void
test_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(arrivals); i++) {
		AUTO(store_close) struct quarantine *store = fresh();
		AUTO_ITEM struct item item = item_of(1), second = item_of(2);
		char id[ITEM_ID_BYTES] = "";
		struct err why = { 0 };
		enum store_outcome found, added;

		memcpy(second.fingerprint, item.fingerprint, sizeof(item.fingerprint));
		item.action = arrivals[i].first;
		item.expires -= arrivals[i].sooner;
		second.action = arrivals[i].second;
		EXPECT(STORE_DONE, put_item(store, &item, &err));
		found = store_find_same(store, &second, id, &why);
		added = put_item(store, &second, &why);
		if (found != (arrivals[i].same ? STORE_DONE : STORE_NOT_FOUND) || added != (arrivals[i].same ? STORE_CHANGED : STORE_DONE))
			fail_msg("%s: found %s, added %s", arrivals[i].name, store_outcome_name(found), store_outcome_name(added));
	}
}

struct told {
	size_t n;
	char text[4096];
};

static void
tell_event(void *ctx, const struct item_event *event)
{
	struct told *told = ctx;
	size_t len = strlen(told->text);

	told->n++;
	snprintf(told->text + len, sizeof(told->text) - len, "%s:%s:%s:%s\n", event->what, event->login, event->reason, event->detail);
}

static void
test_acts(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	AUTO_ITEM struct item item = { 0 };
	struct told told = { 0 };
	char id[ITEM_ID_BYTES];
	struct item_act act;
	const struct item_change seen = { .state = ITEM_SEEN }, held = { .legal_hold = 1 }, unheld = { .legal_hold = -1 },
		note = { .asked_for = true }, gone = { .state = ITEM_DELETED, .drop_body = true }, later = { .expires = NOW + 99 },
		first = { .state = ITEM_WAITING, .propose = true }, back = { .withdraw = true }, again = { .state = ITEM_SEEN };

	(void)state;
	put_number(store, 1, id);
	act = act_of(store, id, "view");
	EXPECT(STORE_DONE, store_act(store, &act, &seen, &err));
	/* decided on the version before */
	EXPECT(STORE_CHANGED, store_act(store, &act, &seen, &err));
	act.version = 3;
	EXPECT(STORE_CHANGED, store_act(store, &act, &seen, &err));
	act.version = 0;
	EXPECT(STORE_CHANGED, store_act(store, &act, &seen, &err));
	act = act_of(store, id, "extend");
	EXPECT(STORE_DONE, store_act(store, &act, &later, &err));
	act = act_of(store, id, "note");
	EXPECT(STORE_DONE, store_act(store, &act, &note, &err));
	act = act_of(store, id, "propose");
	EXPECT(STORE_DONE, store_act(store, &act, &first, &err));
	EXPECT(STORE_DONE, store_get(store, id, &item, &err));
	assert_int_equal(item.state, ITEM_WAITING);
	assert_string_equal(item.proposed_by, "ani");
	assert_int_equal(item.proposed_person, 5);
	assert_int_equal(item.proposed_at, NOW);
	assert_int_equal(item.expires, NOW + 99);
	assert_true(item.asked_for && !item.legal_hold && item.has_body);
	assert_int_equal(item.version, 5);
	item_done(&item);
	act = act_of(store, id, "withdraw");
	EXPECT(STORE_DONE, store_act(store, &act, &back, &err));
	EXPECT(STORE_DONE, store_get(store, id, &item, &err));
	assert_int_equal(item.state, ITEM_SEEN);
	assert_true(!*item.proposed_by && !item.proposed_person && !item.proposed_at);
	/* law: a body under legal hold stays */
	act = act_of(store, id, "hold");
	EXPECT(STORE_DONE, store_act(store, &act, &held, &err));
	act = act_of(store, id, "delete");
	EXPECT(STORE_UNAVAILABLE, store_act(store, &act, &gone, &err));
	assert_int_equal(run("test -f q/items/%s", id), 0);
	act = act_of(store, id, "hold");
	EXPECT(STORE_DONE, store_act(store, &act, &unheld, &err));
	act = act_of(store, id, "delete");
	EXPECT(STORE_DONE, store_act(store, &act, &gone, &err));
	assert_int_equal(run("test -e q/items/%s", id), 1);
	/* law: deleted is final */
	act = act_of(store, id, "view");
	EXPECT(STORE_UNAVAILABLE, store_act(store, &act, &again, &err));
	EXPECT(STORE_DONE, store_history(store, id, tell_event, &told, &err));
	assert_string_equal(told.text, "held:::SIG_INVALID\nview:ani:sebab:\nextend:ani:sebab:\nnote:ani:sebab:\npropose:ani:sebab:\n"
	    "withdraw:ani:sebab:\nhold:ani:sebab:\nhold:ani:sebab:\ndelete:ani:sebab:\n");
	act.id = "00000000000000000000000000000009";
	EXPECT(STORE_NOT_FOUND, store_act(store, &act, &seen, &err));
	EXPECT(STORE_NOT_FOUND, store_history(store, act.id, tell_event, &told, &err));
}

static void
test_new_findings(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	AUTO_ITEM struct item item = { 0 };
	char id[ITEM_ID_BYTES];
	struct item_act act;
	struct findings findings = { .n = 0 };
	const struct item_change first = { .state = ITEM_WAITING, .propose = true }, judged = { .findings = &findings };

	(void)state;
	finding_add(&findings, REASON_CERT_REVOKED, "serial=1");
	put_number(store, 1, id);
	act = act_of(store, id, "propose");
	EXPECT(STORE_DONE, store_act(store, &act, &first, &err));
	act = act_of(store, id, "judged");
	EXPECT(STORE_DONE, store_act(store, &act, &judged, &err));
	EXPECT(STORE_DONE, store_get(store, id, &item, &err));
	assert_int_equal(item.findings.n, 1);
	assert_int_equal(item.findings.at[0].reason, REASON_CERT_REVOKED);
	assert_string_equal(item.findings.at[0].evidence, "serial=1");
	assert_int_equal(item.reason, REASON_SIG_INVALID);
	assert_int_equal(item.state, ITEM_SEEN);
	assert_string_equal(item.proposed_by, "");
}

static void
tell_release(void *ctx, const struct release_row *row)
{
	struct told *told = ctx;
	size_t len = strlen(told->text);

	told->n++;
	snprintf(told->text + len, sizeof(told->text) - len, "%s %s %s %ld", row->id, row->token, row->login, (long)row->began - NOW);
	for (const char *const *to = row->recipients; *to; to++) {
		len = strlen(told->text);
		snprintf(told->text + len, sizeof(told->text) - len, " %s", *to);
	}
}

static void
underway(struct quarantine *store, const char *wanted)
{
	struct told told = { 0 };

	EXPECT(STORE_DONE, store_each_releasing(store, tell_release, &told, &err));
	assert_string_equal(told.text, wanted);
}

static void
test_releases(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	AUTO_ITEM struct item item = { 0 };
	struct told told = { 0 };
	char id[ITEM_ID_BYTES], text[200];
	struct item_act act;
	const struct item_change one = { .token = "t1", .release_to = { "warga@kota.go.id" } },
		again = { .token = "t2", .release_to = { "warga@kota.go.id" } }, rest = { .token = "t3", .release_to = { "Sekda@kota.go.id" } },
		stranger = { .token = "t4", .release_to = { "sekda@kota.go.id" } }, nobody = { .token = "t5" },
		gone = { .drop_body = true }, seen = { .state = ITEM_SEEN }, by_hand = { .state = ITEM_RELEASED }, begun = { .state = ITEM_RELEASING },
		nothing = { .state = ITEM_UNKNOWN }, used = { .token = "t1", .release_to = { "Sekda@kota.go.id" } };

	(void)state;
	put_number(store, 1, id);
	act = act_of(store, id, "release");
	/* laws: not without a release, not to strangers (an address is a recipient as it was named), not to nobody */
	EXPECT(STORE_UNAVAILABLE, store_act(store, &act, &by_hand, &err));
	EXPECT(STORE_UNAVAILABLE, store_act(store, &act, &begun, &err));
	EXPECT(STORE_NOT_FOUND, store_act(store, &act, &stranger, &err));
	EXPECT(STORE_UNAVAILABLE, store_act(store, &act, &nobody, &err));
	underway(store, "");
	/* it fails: back to where it was */
	act = act_of(store, id, "view");
	EXPECT(STORE_DONE, store_act(store, &act, &seen, &err));
	act = act_of(store, id, "release");
	EXPECT(STORE_DONE, store_act(store, &act, &one, &err));
	snprintf(text, sizeof(text), "%s t1 ani 0 warga@kota.go.id", id);
	underway(store, text);
	act = act_of(store, id, "release");
	EXPECT(STORE_UNAVAILABLE, store_act(store, &act, &again, &err)); /* one at a time */
	EXPECT(STORE_UNAVAILABLE, store_act(store, &act, &gone, &err));
	EXPECT(STORE_UNAVAILABLE, store_act(store, &act, &seen, &err));
	act = act_of(store, id, "note"); /* what changes nothing may happen meanwhile */
	EXPECT(STORE_DONE, store_act(store, &act, &nothing, &err));
	EXPECT(STORE_NOT_FOUND, store_released(store, "t2", NOW, &err));
	EXPECT(STORE_DONE, store_release_failed(store, "t1", "451 later", NOW, &err));
	EXPECT(STORE_NOT_FOUND, store_release_failed(store, "t1", "", NOW, &err));
	EXPECT(STORE_NOT_FOUND, store_released(store, "t1", NOW, &err));
	underway(store, "");
	EXPECT(STORE_DONE, store_get(store, id, &item, &err));
	assert_int_equal(item.state, ITEM_SEEN);
	assert_int_equal(item.recipients[0].released_at, 0);
	item_done(&item);
	/* to one, and then to the rest; nobody twice; no token twice */
	act = act_of(store, id, "release");
	EXPECT(STORE_UNAVAILABLE, store_act(store, &act, &used, &err));
	EXPECT(STORE_DONE, store_act(store, &act, &again, &err));
	EXPECT(STORE_DONE, store_released(store, "t2", NOW + 7, &err));
	EXPECT(STORE_NOT_FOUND, store_released(store, "t2", NOW + 8, &err));
	EXPECT(STORE_DONE, store_get(store, id, &item, &err));
	assert_int_equal(item.state, ITEM_RELEASED);
	assert_int_equal(item.recipients[0].released_at, NOW + 7);
	assert_int_equal(item.recipients[1].released_at, 0);
	item_done(&item);
	act = act_of(store, id, "release");
	EXPECT(STORE_UNAVAILABLE, store_act(store, &act, &used, &err));
	{
		const struct item_change twice = { .token = "t6", .release_to = { "warga@kota.go.id" } };

		EXPECT(STORE_CHANGED, store_act(store, &act, &twice, &err));
	}
	EXPECT(STORE_DONE, store_act(store, &act, &rest, &err));
	EXPECT(STORE_DONE, store_released(store, "t3", NOW + 9, &err));
	EXPECT(STORE_DONE, store_get(store, id, &item, &err));
	assert_int_equal(item.recipients[0].released_at, NOW + 7);
	assert_int_equal(item.recipients[1].released_at, NOW + 9);
	EXPECT(STORE_DONE, store_history(store, id, tell_event, &told, &err));
	assert_string_equal(told.text, "held:::SIG_INVALID\nview:ani:sebab:\nrelease:ani:sebab:\nnote:ani:sebab:\nrelease-failed:ani::451 later\n"
	    "release:ani:sebab:\nreleased:ani::\nrelease:ani:sebab:\nreleased:ani::\n");
}

/* What was refused is never released, whoever says so. */
static void
test_refused_copy(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	AUTO_ITEM struct item item = item_of(1);
	const struct item_change go = { .token = "t1", .release_to = { "warga@kota.go.id" } }, wait = { .state = ITEM_WAITING, .propose = true },
		seen = { .state = ITEM_SEEN };
	struct item_act act;

	(void)state;
	item.action = ACTION_REJECT_HOLD;
	EXPECT(STORE_DONE, put_item(store, &item, &err));
	act = act_of(store, item.id, "release");
	EXPECT(STORE_UNAVAILABLE, store_act(store, &act, &go, &err));
	EXPECT(STORE_UNAVAILABLE, store_act(store, &act, &wait, &err));
	EXPECT(STORE_DONE, store_act(store, &act, &seen, &err));
	underway(store, "");
}

/* SQL against the laws, by the sqlite3 program. */
static const struct {
	const char *sql, *says;
} crimes[] = {
	{ "DELETE FROM event", "history goes only with its item" },
	{ "UPDATE event SET reason='x'", "history is never changed" },
	{ "INSERT OR REPLACE INTO event SELECT seq, item, at, what, 'x', person, reason, detail FROM event LIMIT 1", "history is never changed" },
	{ "DELETE FROM item", "not forgotten" },
	{ "UPDATE item SET state='dilepas', version=version+1", "released only by a release" },
	{ "UPDATE item SET state='dilepas-sedang', version=version+1", "only with a release that has begun" },
	{ "UPDATE item SET state='entah', version=version+1", "CHECK" },
	{ "UPDATE item SET state='ditinjau'", "counts its version" },
	{ "UPDATE item SET sender='x', version=version+1", "was recorded" },
	{ "UPDATE item SET action='reject+hold', version=version+1", "was recorded" },
	{ "UPDATE item SET has_body=0, version=version+1", "CHECK" },
	{ "INSERT OR REPLACE INTO item SELECT * FROM item", "begins as baru" },
};

static void
test_laws(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	const struct item_change seen = { .state = ITEM_SEEN };
	struct item_act act;
	char id[ITEM_ID_BYTES];

	(void)state;
	put_number(store, 1, id);
	act = act_of(store, id, "view");
	EXPECT(STORE_DONE, store_act(store, &act, &seen, &err));
	for (size_t i = 0; i < N_ELEMENTS(crimes); i++)
		if (run("sqlite3 q/quarantine.db \"PRAGMA foreign_keys=ON; %s\" 2>&1 | grep -q '%s'", crimes[i].sql, crimes[i].says) != 0)
			fail_msg("%s", crimes[i].sql);
	assert_int_equal(version_of(store, id), 2);
}

static void
test_forgetting(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	const struct item_change gone = { .state = ITEM_EXPIRED, .drop_body = true };
	struct told told = { 0 };
	char one[ITEM_ID_BYTES], two[ITEM_ID_BYTES];
	struct item_act act;
	size_t n = 9;

	(void)state;
	put_number(store, 1, one);
	put_number(store, 2, two);
	EXPECT(STORE_DONE, store_forget(store, NOW + 1000, &n, &err));
	assert_int_equal(n, 0);
	act = act_of(store, one, "purge");
	EXPECT(STORE_DONE, store_act(store, &act, &gone, &err));
	EXPECT(STORE_DONE, store_forget(store, NOW, &n, &err));
	assert_int_equal(n, 0);
	EXPECT(STORE_DONE, store_forget(store, NOW + 1, &n, &err));
	assert_int_equal(n, 1);
	EXPECT(STORE_NOT_FOUND, store_history(store, one, tell_event, &told, &err));
	EXPECT(STORE_DONE, store_history(store, two, tell_event, &told, &err));
	assert_int_equal(told.n, 1);
	assert_int_equal(run("test $(sqlite3 q/quarantine.db 'SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM recipient) +"
	    " (SELECT count(*) FROM finding) + (SELECT count(*) FROM evidence)') = 6"), 0);
}

static void
tell_due(void *ctx, const char *id, long version, enum item_state state)
{
	struct told *told = ctx;
	size_t len = strlen(told->text);

	(void)state;
	snprintf(told->text + len, sizeof(told->text) - len, "%s/%ld ", id + 31, version);
}

static void
test_expiry(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	const struct item_change held = { .legal_hold = 1 }, go = { .token = "t1", .release_to = { "warga@kota.go.id" } };
	struct told told = { 0 };
	char id[ITEM_ID_BYTES];
	struct item_act act;

	(void)state;
	for (unsigned i = 1; i <= 6; i++) {
		AUTO_ITEM struct item item = item_of(i);

		item.expires = i == 5 ? 0 : i == 6 ? NOW + 1 : NOW - (time_t)i;
		EXPECT(STORE_DONE, put_item(store, &item, &err));
	}
	snprintf(id, sizeof(id), "%032x", 2);
	act = act_of(store, id, "hold");
	EXPECT(STORE_DONE, store_act(store, &act, &held, &err));
	snprintf(id, sizeof(id), "%032x", 3);
	act = act_of(store, id, "release");
	EXPECT(STORE_DONE, store_act(store, &act, &go, &err));
	/* 2 is under legal hold, 3 on its way, 5 kept for ever, 6 not due yet */
	EXPECT(STORE_DONE, store_expired(store, NOW, 10, tell_due, &told, &err));
	assert_string_equal(told.text, "4/1 1/1 ");
	told = (struct told){ 0 };
	EXPECT(STORE_DONE, store_expired(store, NOW, 1, tell_due, &told, &err));
	assert_string_equal(told.text, "4/1 ");
}

static void
tell_line(void *ctx, const struct item_line *line)
{
	struct told *told = ctx;
	size_t len = strlen(told->text);

	told->n++;
	snprintf(told->text + len, sizeof(told->text) - len, "%s ", line->id + 31);
}

static const char *
listed(struct quarantine *store, const struct item_filter *filter, struct told *told)
{
	size_t total = 99;

	*told = (struct told){ 0 };
	EXPECT(STORE_DONE, store_list(store, filter, tell_line, told, &total, &err));
	if (!filter->limit && !filter->offset)
		assert_int_equal(total, told->n);
	return told->text;
}

/* Items 1 to 5; each row finds exactly those. */
static const struct {
	struct item_filter filter;
	const char *wanted;
} filters[] = {
	{ { .limit = 0 }, "5 4 3 2 1 " },
	{ { .limit = 2 }, "5 4 " },
	{ { .limit = 2, .offset = 3 }, "2 1 " },
	{ { .state = ITEM_NEW }, "5 3 2 1 " },
	{ { .state = ITEM_DELETED }, "4 " },
	{ { .open = true }, "5 3 2 1 " },
	{ { .reason = REASON_TLS_WEAK }, "5 4 3 2 1 " },
	{ { .reason = REASON_CERT_REVOKED }, "2 " },
	{ { .registry_only = true }, "2 " },
	{ { .class = CLASS_INBOUND_OTHER }, "3 " },
	{ { .action = ACTION_REJECT_HOLD }, "2 " },
	{ { .action = ACTION_HOLD }, "5 4 3 1 " },
	{ { .from = "BUPATI@" }, "3 " },
	{ { .sender = "other.example" }, "1 " },
	{ { .recipient = "sekDA" }, "5 4 3 2 1 " },
	{ { .recipient = "dinas_x" }, "5 " },
	{ { .subject = "100%" }, "1 " },
	{ { .subject = "%" }, "1 " },
	{ { .subject = "_" }, "2 " },
	{ { .subject = "\\" }, "3 " },
	{ { .subject = "surat" }, "5 4 3 2 1 " },
	{ { .signer = "kepala" }, "5 4 3 2 1 " },
	{ { .signer = "0C0D" }, "4 " },
	{ { .queue_id = "Q4" }, "4 " },
	{ { .queue_id = "Q" }, "" },
	{ { .client = "192.0.2.1" }, "5 4 3 2 1 " },
	{ { .role = "inbound" }, "5 4 3 2 1 " },
	{ { .role = "local" }, "" },
	{ { .id = "00000000000000000000000000000005" }, "5 " },
	{ { .id = "0000" }, "5 4 3 2 1 " },
	{ { .id = "1" }, "" },
	{ { .tls = "none" }, "5 " },
	{ { .tls = "TLSv1.3" }, "4 3 2 1 " },
	{ { .by = "ani" }, "4 3 " },
	{ { .by = "an" }, "" },
	{ { .since = NOW + 3 }, "5 4 3 " },
	{ { .until = NOW + 3 }, "2 1 " },
	{ { .since = NOW + 2, .until = NOW + 4 }, "3 2 " },
	{ { .expires_before = NOW + 10 }, "1 " },
	{ { .min_size = 1004 }, "5 4 " },
	{ { .max_size = 1002 }, "2 1 " },
	{ { .legal_hold = true }, "3 " },
	{ { .asked_for = true }, "3 " },
	{ { .unparsed = true }, "5 4 3 2 " },
	{ { .own = (const char *const[]){ "nobody@kota.go.id", NULL } }, "" },
	{ { .own = (const char *const[]){ NULL } }, "" },
	{ { .own = (const char *const[]){ "bupati@kota.go.id", "x@OTHER.example", NULL } }, "3 1 " },
	{ { .own = (const char *const[]){ "dinas_x@kota.go.id", NULL } }, "5 " },
	{ { .own = (const char *const[]){ "dinasax@kota.go.id", NULL } }, "" },
	{ { .open = true, .registry_only = true, .from = "kepala", .subject = "SURAT", .tls = "TLSv1.3" }, "2 " },
	{ { .subject = "' OR 1=1 --" }, "" },
};

static void
vary(unsigned i, struct item *item)
{
	switch (i) {
	case 1:
		strcpy(item->sender, "x@other.example");
		strcpy(item->subject, "Surat 100%");
		item->expires = NOW + 5;
		item->unparsed = false;
		break;
	case 2:
		item->action = ACTION_REJECT_HOLD;
		strcpy(item->subject, "Surat a_b");
		finding_add(&item->findings, REASON_CERT_REVOKED, "serial=1");
		break;
	case 3:
		item->class = CLASS_INBOUND_OTHER;
		strcpy(item->from, "Bupati@kota.go.id");
		strcpy(item->subject, "Surat \\ x");
		break;
	case 4:
		strcpy(item->signer_serial, "0c0d");
		break;
	case 5:
		item->transport.tls = false;
		item->transport.tls_version[0] = '\0';
		free(item->recipients[0].address);
		item->recipients[0].address = xstrdup("dinas_x@kota.go.id");
		break;
	}
}

static void
test_filters(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	const struct item_change gone = { .state = ITEM_DELETED, .drop_body = true }, held = { .legal_hold = 1, .asked_for = true };
	char three[] = "00000000000000000000000000000003", four[] = "00000000000000000000000000000004";
	struct item_act act;
	struct told told;

	(void)state;
	for (unsigned i = 1; i <= 5; i++) {
		AUTO_ITEM struct item item = item_of(i);

		vary(i, &item);
		EXPECT(STORE_DONE, put_item(store, &item, &err));
	}
	act = act_of(store, three, "hold");
	EXPECT(STORE_DONE, store_act(store, &act, &held, &err));
	act = act_of(store, four, "delete");
	EXPECT(STORE_DONE, store_act(store, &act, &gone, &err));
	for (size_t i = 0; i < N_ELEMENTS(filters); i++)
		if (strcmp(listed(store, &filters[i].filter, &told), filters[i].wanted) != 0)
			fail_msg("filter %zu: '%s', wanted '%s'", i, told.text, filters[i].wanted);
}

static void
check_line(void *ctx, const struct item_line *line)
{
	(void)ctx;
	assert_string_equal(line->id, "00000000000000000000000000000001");
	assert_string_equal(line->from, "kepala@kota.go.id");
	assert_string_equal(line->sender, "Kantor@kota.go.id");
	assert_string_equal(line->subject, "Surat 1");
	assert_string_equal(line->recipient, "warga@kota.go.id");
	assert_string_equal(line->queue_id, "Q1");
	assert_string_equal(line->signer, "CN=Kepala Dinas");
	assert_string_equal(line->client, "mail.kota.go.id [192.0.2.1]");
	assert_string_equal(line->tls, "TLSv1.3");
	assert_string_equal(line->by, "ani");
	assert_int_equal(line->arrived, NOW + 1);
	assert_int_equal(line->expires, NOW + 1000000);
	assert_int_equal(line->state, ITEM_SEEN);
	assert_int_equal(line->class, CLASS_INBOUND_OFFICIAL);
	assert_int_equal(line->action, ACTION_HOLD);
	assert_int_equal(line->reason, REASON_SIG_INVALID);
	assert_int_equal(line->n_recipients, 2);
	assert_int_equal(line->size, 1001);
	assert_int_equal(line->version, 2);
	assert_true(line->has_body && !line->legal_hold && !line->asked_for);
}

static void
test_line(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	const struct item_change seen = { .state = ITEM_SEEN };
	const struct item_filter all = { .limit = 0 };
	struct item_act act;
	char id[ITEM_ID_BYTES];
	size_t total = 0;

	(void)state;
	put_number(store, 1, id);
	act = act_of(store, id, "view");
	EXPECT(STORE_DONE, store_act(store, &act, &seen, &err));
	EXPECT(STORE_DONE, store_list(store, &all, check_line, NULL, &total, &err));
	assert_int_equal(total, 1);
}

static void
test_limits(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	AUTO_ITEM struct item item = item_of(9);
	AUTO(incoming_free) struct incoming *first = NULL, *second = NULL;
	struct store_settings settings = settings_of("q");
	const struct item_change gone = { .state = ITEM_DELETED, .drop_body = true };
	struct item_act act;
	struct store_stats stats;
	char id[ITEM_ID_BYTES];

	(void)state;
	put_number(store, 1, id);
	settings.max_items = 2;
	store_limits(store, &settings);
	EXPECT(STORE_DONE, store_room(store, 100, &err));
	/* one that is coming counts */
	EXPECT(STORE_DONE, incoming_open(store, item.id, &first, &err));
	EXPECT(STORE_FULL, store_room(store, 100, &err));
	EXPECT(STORE_FULL, incoming_open(store, "00000000000000000000000000000008", &second, &err));
	incoming_free(TAKE(first));
	EXPECT(STORE_DONE, store_room(store, 100, &err));
	put_number(store, 2, id);
	EXPECT(STORE_FULL, put_item(store, &item, &err));
	act = act_of(store, id, "delete");
	EXPECT(STORE_DONE, store_act(store, &act, &gone, &err));
	EXPECT(STORE_DONE, store_room(store, 100, &err));
	/* bytes: what is there, what is coming, what is asked for */
	settings = settings_of("q");
	settings.max_size = 20 + 1000;
	store_limits(store, &settings);
	EXPECT(STORE_DONE, store_room(store, 100, &err));
	EXPECT(STORE_FULL, store_room(store, 1000, &err));
	EXPECT(STORE_DONE, incoming_open(store, item.id, &first, &err));
	for (int i = 0; i < 10; i++)
		EXPECT(STORE_DONE, incoming_write(first, (struct slice){ (const unsigned char *)filters, 100 }, &err));
	EXPECT(STORE_FULL, incoming_write(first, slice_of("x"), &err));
	EXPECT(STORE_UNAVAILABLE, incoming_keep(first, &err)); /* not whole */
	incoming_free(TAKE(first));
	assert_int_equal(run("test $(ls q/incoming | wc -l) = 0"), 0);
	settings = settings_of("q");
	settings.min_free = 1L << 60;
	store_limits(store, &settings);
	EXPECT(STORE_FULL, store_room(store, 0, &err));
	EXPECT(STORE_FULL, put_item(store, &item, &err));
	EXPECT(STORE_DONE, store_stats(store, &stats, &err));
	assert_int_equal(stats.bodies, 1);
	assert_int_equal(stats.bytes, 20);
	assert_int_equal(stats.items[ITEM_NEW], 1);
	assert_int_equal(stats.items[ITEM_DELETED], 1);
	assert_int_equal(stats.oldest_open, NOW + 1);
	assert_true(stats.free_bytes > 0);
}

/* An administrator has put yesterday's database back. What was held since is no mail that nobody was told of. */
static void
test_backup(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	const struct item_change gone = { .state = ITEM_DELETED, .drop_body = true };
	char kept[ITEM_ID_BYTES], since[ITEM_ID_BYTES], deleted[ITEM_ID_BYTES];
	struct item_act act;
	struct err err = { 0 };
	size_t swept = 0, lost = 0;

	(void)state;
	put_number(store, 1, kept);
	put_number(store, 2, deleted);
	act = act_of(store, deleted, "delete");
	assert_int_equal(store_act(store, &act, &gone, &err), STORE_DONE);
	store_close(TAKE(store));
	assert_int_equal(run("cp q/quarantine.db yesterday"), 0);
	store = store_at("q");
	put_number(store, 3, since);
	store_close(TAKE(store));
	assert_int_equal(run("cp q/items/%s box; cp yesterday q/quarantine.db; cp box q/items/%s", since, deleted), 0);
	store = store_at("q");
	/* it lies where an administrator finds it; what was deleted is not kept for a file's sake */
	assert_int_equal(run("cmp box q/orphans/%s && test \"$(ls q/items)\" = %s && test $(ls q/orphans | wc -l) = 1", since, kept), 0);
	assert_int_equal(store_sweep(store, time(NULL), 3600, &swept, &lost, &err), 0);
	assert_int_equal(swept, 1);
	assert_int_equal(lost, 0);
	assert_int_equal(store_sweep(store, time(NULL) + 29 * 86400, 3600, &swept, &lost, &err), 0);
	assert_int_equal(swept, 0);
	assert_int_equal(run("test -e q/orphans/%s", since), 0);
	assert_int_equal(store_sweep(store, time(NULL) + 31 * 86400, 3600, &swept, &lost, &err), 0);
	assert_int_equal(run("test ! -e q/orphans/%s", since), 0);
}

/* Counted anew at each start, and left over from nothing. */
static void
test_reopened(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh(), *other = NULL;
	const struct store_settings settings = settings_of("q");
	AUTO_ITEM struct item item = { 0 };
	struct store_stats stats;
	struct err why = { 0 };
	char id[ITEM_ID_BYTES];
	size_t swept, lost;

	(void)state;
	put_number(store, 1, id);
	assert_int_equal(store_open(&settings, &other, &why), -1);
	assert_int_equal(why.kind, ERR_CONFIG);
	assert_non_null(strstr(why.text, "another process"));
	store_close(TAKE(store));
	assert_int_equal(run("echo x >q/items/000000000000000000000000000000ff; echo x >q/incoming/000000000000000000000000000000fe; echo x >q/items/mine"), 0);
	store = store_at("q");
	assert_int_equal(run("test \"$(ls q/items q/incoming | grep -c 0f)\" = 0 && test -e q/items/mine && test -z \"$(ls q/incoming)\""), 0);
	assert_int_equal(run("test \"$(ls q/orphans)\" = 000000000000000000000000000000ff"), 0);
	EXPECT(STORE_DONE, store_stats(store, &stats, &err));
	assert_int_equal(stats.bodies, 1);
	assert_int_equal(stats.bytes, 20);
	EXPECT(STORE_DONE, store_get(store, id, &item, &err));
	/* while it is open only what is old goes: a younger file's row may be on its way */
	assert_int_equal(run("echo x >q/items/000000000000000000000000000000ff; touch -d '2 hours ago' q/items/000000000000000000000000000000ff;"
	    "echo x >q/items/000000000000000000000000000000fe; rm q/items/%s", id), 0);
	assert_int_equal(store_sweep(store, time(NULL), 3600, &swept, &lost, &why), 0);
	assert_int_equal(swept, 2); /* the one of the start is told, too */
	assert_int_equal(lost, 1);
	assert_int_equal(run("test -e q/items/000000000000000000000000000000fe"), 0);
	{
		AUTO_FD int fd = -1;

		EXPECT(STORE_NOT_FOUND, store_body(store, id, &fd, &err));
	}
}

static const struct {
	const char *name, *make, *says;
} folders[] = {
	{ "open to others", "mkdir -m 755 q", "chmod 700" },
	{ "writable for the group", "mkdir -m 770 q", "chmod 700" },
	{ "a file", "touch q", "cannot be opened" },
	{ "no parent", "rm -rf q; mkdir -p q && rmdir q; ln -s nowhere/at/all q", "cannot be" },
	{ "another program's database", "mkdir -m 700 q; sqlite3 q/quarantine.db 'CREATE TABLE t(x)'", "no quarantine" },
	{ "another schema", "mkdir -m 700 q; sqlite3 q/quarantine.db 'PRAGMA application_id=1399278705; PRAGMA user_version=9; CREATE TABLE t(x)'",
	    "schema 9" },
	{ "no database", "mkdir -m 700 q; head -c 9000 /dev/urandom >q/quarantine.db", "" },
};

static void
test_folders(void **state)
{
	const struct store_settings settings = settings_of("q");

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(folders); i++) {
		AUTO(store_close) struct quarantine *store = NULL;
		struct err err = { 0 };

		assert_int_equal(run("rm -rf q; %s", folders[i].make), 0);
		if (store_open(&settings, &store, &err) != -1 || !strstr(err.text, folders[i].says) || !*err.text)
			fail_msg("%s: '%s'", folders[i].name, err.text);
	}
}

/* Somebody else holds the lock: told within the time that was set, and over when it is over. */
static void
test_locked(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	AUTO_ITEM struct item item = item_of(2), found = { 0 };
	char id[ITEM_ID_BYTES];
	sqlite3 *other = NULL;
	struct timespec before, after;
	long ms;

	(void)state;
	put_number(store, 1, id);
	assert_int_equal(sqlite3_open("q/quarantine.db", &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	clock_gettime(CLOCK_MONOTONIC, &before);
	EXPECT(STORE_UNAVAILABLE, put_item(store, &item, &err));
	clock_gettime(CLOCK_MONOTONIC, &after);
	ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	print_message("locked for %ld ms of 300\n", ms);
	assert_true(ms >= 250 && ms < 3000);
	/* nothing is left of it, and who reads reads */
	assert_int_equal(run("test $(ls q/items | wc -l) = 1"), 0);
	EXPECT(STORE_DONE, store_get(store, id, &found, &err));
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	EXPECT(STORE_DONE, put_item(store, &item, &err));
}

/* A body's text is in no file but its own. */
static void
test_canary(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	AUTO_ITEM struct item item = item_of(1);

	(void)state;
	EXPECT(STORE_DONE, put_body(store, item.id, slice_of("KENARI-4711"), &err));
	EXPECT(STORE_DONE, store_add(store, &item, &err));
	assert_int_equal(run("test \"$(grep -rl KENARI-4711 q)\" = q/items/%s", item.id), 0);
	assert_int_equal(run("grep -q 'Surat 1' q/quarantine.db-wal"), 0);
}

enum { MANY = 10000 };

static double
ms_of(struct quarantine *store, const struct item_filter *filter, size_t *total)
{
	struct timespec before, after;
	double best = 1e9;

	for (int i = 0; i < 3; i++) {
		struct told *told = xcalloc(1, sizeof(*told));
		double ms;

		clock_gettime(CLOCK_MONOTONIC, &before);
		EXPECT(STORE_DONE, store_list(store, filter, tell_line, told, total, &err));
		clock_gettime(CLOCK_MONOTONIC, &after);
		ms = (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6;
		best = ms < best ? ms : best;
		free(told);
	}
	return best;
}

/* Straight into the tables: the laws are not what is measured. */
static void
fill(unsigned n)
{
	assert_int_equal(run("sqlite3 q/quarantine.db \"PRAGMA foreign_keys=OFF; PRAGMA synchronous=OFF; BEGIN;"
	    "CREATE TEMP TABLE c AS WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n < %u) SELECT n FROM c;"
	    "INSERT INTO item SELECT c.n, printf('%%032x', c.n), CAST(zeroblob(28) || randomblob(4) AS BLOB), arrived + c.n, role, class, action, reason,"
	    " 'Q' || c.n, session, tls, tls_version, 'mail' || c.n || '.kota.go.id [192.0.2.1]', 'kantor' || (c.n %% 100) || '@kota.go.id', size + c.n,"
	    " sha256, unparsed, 'kepala' || (c.n %% 1000) || '@kota.go.id', 'Perihal: undangan rapat koordinasi nomor ' || c.n || ' tahun 2026',"
	    " message_id, signer_subject || c.n, printf('%%08x', c.n), signer_sha256, n_recipients, findings_overflow, disk, state, version, expires + c.n,"
	    " legal_hold, has_body, gone_at, asked_for, proposed_by, proposed_person, proposed_at, 'ani' FROM c, item i WHERE i.n = 1;"
	    "INSERT INTO evidence SELECT c.n, cipher, client_cert, client_subject, client_issuer, auth_type, login, without_smtp, authserv_id, sender_parameters,"
	    " signature, printf('%%0300d', 0), revocation, registry, identity, signer_issuer FROM c, evidence e WHERE e.item = 1;"
	    "INSERT INTO recipient SELECT c.n, i, c.n || address, parameters, 0 FROM c, recipient r WHERE r.item = 1;"
	    "INSERT INTO finding SELECT c.n, i, reason, evidence FROM c, finding f WHERE f.item = 1;"
	    "INSERT INTO event(item, at, what, login, person, reason, detail) SELECT c.n, at, what, 'ani', 5, reason, detail FROM c, event e WHERE e.item = 1;"
	    "COMMIT\"", n), 0);
}

static void
test_ten_thousand(void **state)
{
	AUTO(store_close) struct quarantine *store = fresh();
	char id[ITEM_ID_BYTES];
	double worst = 0;
	size_t total = 0;

	(void)state;
	put_number(store, 1, id);
	fill(MANY);
	for (size_t i = 0; i < N_ELEMENTS(filters); i++) {
		double ms = ms_of(store, &filters[i].filter, &total);

		if (i == 0)
			assert_int_equal(total, MANY);
		worst = ms > worst ? ms : worst;
		if (ms >= 100)
			print_message("filter %zu: %.1f ms\n", i, ms);
	}
	print_message("10,000 items: the slowest filter takes %.1f ms\n", worst);
	assert_true(worst < 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_and_out),
		cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_acts),
		cmocka_unit_test(test_new_findings),
		cmocka_unit_test(test_releases),
		cmocka_unit_test(test_refused_copy),
		cmocka_unit_test(test_laws),
		cmocka_unit_test(test_forgetting),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_backup),
		cmocka_unit_test(test_reopened),
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_canary),
		cmocka_unit_test(test_ten_thousand),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
