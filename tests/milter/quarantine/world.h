/* world: what the tests of the quarantine share: a folder, items that fill every field, and bodies for them. */
#ifndef TESTS_QUARANTINE_WORLD_H
#define TESTS_QUARANTINE_WORLD_H

#include "milter/quarantine/store_db.h"
#include "tests/smime/world.h"

enum { NOW = 1790000000 };

/* As world_open(), from one folder further down. */
static inline UNUSED void
folder_open(struct world *world, const char *parent)
{
	char self[400] = "";
	char *slash;

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	slash = strrchr(self, '/');
	assert_non_null(slash);
	*slash = '\0';
	snprintf(world->mkpki, sizeof(world->mkpki), "%s/../../pki/mkpki", self);
	snprintf(world->dir, sizeof(world->dir), "%s/segel-test.XXXXXX", parent);
	assert_non_null(mkdtemp(world->dir));
	assert_int_equal(chdir(world->dir), 0);
}

static inline UNUSED struct store_settings
settings_of(const char *dir)
{
	return (struct store_settings){ .dir = dir, .timeout_ms = 300, .max_size = 1L << 40, .max_items = 1000000, .min_free = 0 };
}

static inline UNUSED struct quarantine *
store_at(const char *dir)
{
	const struct store_settings settings = settings_of(dir);
	struct quarantine *store = NULL;
	struct err err = { 0 };

	if (store_open(&settings, &store, &err) == -1)
		fail_msg("%s", err.text);
	return store;
}

/* Item i; all fields filled, those that must differ by i. To be given back by item_done. */
static inline UNUSED struct item
item_of(unsigned i)
{
	struct item item = {
		.arrived = NOW + (time_t)i,
		.role = "inbound",
		.class = CLASS_INBOUND_OFFICIAL,
		.action = ACTION_HOLD,
		.reason = REASON_SIG_INVALID,
		.session = "S1",
		.transport = { .tls = true, .tls_version = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384", .client_cert = CLIENT_CERT_TRUSTED,
			.client_subject = "CN=a", .client_issuer = "CN=b", .auth_type = "PLAIN", .login = "budi", .client = "mail.kota.go.id [192.0.2.1]",
			.without_smtp = true },
		.authserv_id = "mail.kota.go.id",
		.sender = "Kantor@kota.go.id",
		.sender_parameters = xstrdup("BODY=8BITMIME SIZE=100"),
		.n_recipients = 2,
		.size = 1000 + i,
		.unparsed = true,
		.from = "kepala@kota.go.id",
		.message_id = "<a@b>",
		.signature = "bad",
		.chain = "good",
		.revocation = "fresh",
		.registry = "aktif",
		.identity = "match",
		.signer_subject = "CN=Kepala Dinas",
		.signer_issuer = "CN=CA",
		.signer_serial = "0a0b",
		.signer_sha256 = "00ff",
		.expires = NOW + 1000000,
	};

	snprintf(item.id, sizeof(item.id), "%032x", i);
	snprintf(item.queue_id, sizeof(item.queue_id), "Q%u", i);
	snprintf(item.subject, sizeof(item.subject), "Surat %u", i);
	memcpy(item.fingerprint, &i, sizeof(i));
	memset(item.sha256, 7, sizeof(item.sha256));
	finding_add(&item.findings, REASON_SIG_INVALID, "digest=x");
	finding_add(&item.findings, REASON_TLS_WEAK, "tls=y");
	item.recipients = xcalloc(2, sizeof(*item.recipients));
	item.recipients[0] = (struct item_recipient){ .address = xstrdup("warga@kota.go.id"), .parameters = xstrdup("NOTIFY=NEVER") };
	item.recipients[1] = (struct item_recipient){ .address = xstrdup("Sekda@kota.go.id"), .parameters = xstrdup("") };
	return item;
}

static inline UNUSED enum store_outcome
put_body(struct quarantine *store, const char *id, struct slice body, struct err *err)
{
	AUTO(incoming_free) struct incoming *incoming = NULL;
	enum store_outcome outcome = incoming_open(store, id, &incoming, err);

	if (outcome == STORE_DONE)
		outcome = incoming_write(incoming, body, err);
	return outcome == STORE_DONE ? incoming_keep(incoming, err) : outcome;
}

static inline UNUSED enum store_outcome
put_item(struct quarantine *store, const struct item *item, struct err *err)
{
	enum store_outcome outcome = put_body(store, item->id, slice_of("the box of a message"), err);

	return outcome == STORE_DONE ? store_add(store, item, err) : outcome;
}

/* The id of item i, which must be held. */
static inline UNUSED const char *
put_number(struct quarantine *store, unsigned i, char id[ITEM_ID_BYTES])
{
	AUTO_ITEM struct item item = item_of(i);
	struct err err = { 0 };

	if (put_item(store, &item, &err) != STORE_DONE)
		fail_msg("item %u: %s", i, err.text);
	memcpy(id, item.id, ITEM_ID_BYTES);
	return id;
}

#define EXPECT(wanted, call)                                                                   \
	do {                                                                                   \
		struct err err = { 0 };                                                        \
		enum store_outcome outcome_ = (call);                                          \
		if (outcome_ != (wanted))                                                      \
			fail_msg("%s: %s, wanted %s: %s", #call, store_outcome_name(outcome_), store_outcome_name(wanted), err.text); \
		assert_true(outcome_ == STORE_DONE || err.text[0]);                            \
	} while (0)

#endif
