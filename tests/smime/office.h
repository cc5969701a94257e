/*
 * office: what the tests of encryption share: certificates of every kind that counts, messages sealed and encrypted by us,
 * and decryption with the key in the process.
 */
#ifndef TESTS_SMIME_OFFICE_H
#define TESTS_SMIME_OFFICE_H

#include "tests/smime/world.h"

#include <time.h>

#include "smime/cert.h"
#include "smime/decrypt.h"
#include "smime/encrypt.h"
#include "smime/inspect.h"
#include "tests/support/forge.h"

enum kind { RSA, P256, P384, OTHER, N_KINDS };

static const char *const kind_names[N_KINDS] = { "rsa", "p256", "p384", "other" };

struct office {
	struct world world;
	struct buf cert[N_KINDS];   /* to encrypt to */
	struct key *key[N_KINDS];
	struct buf signer;          /* P-256 */
	struct key *signer_key;
};

static inline UNUSED void
office_cert(const char *name, struct buf *cert, struct key **key)
{
	char file[64];
	struct slice pem;
	struct err err = { .text = "" };

	snprintf(file, sizeof(file), "%s.crt", name);
	pem = read_file(file);
	buf_init(cert, LIMIT_CERT_BYTES);
	if (cert_read(pem, cert, &err) == -1)
		fail_msg("%s", err.text);
	heap_free(pem);
	snprintf(file, sizeof(file), "%s.key", name);
	if (key && key_load(file, NULL, true, key, &err) == -1)
		fail_msg("%s", err.text);
}

static inline UNUSED int
office_open(void **given)
{
	struct office *office = xcalloc(1, sizeof(*office));

	*given = office;
	world_open(&office->world);
	mkpki(&office->world, "--self --out ca --ca --cn 'Test CA' --from -2d --to +9y --key rsa2048");
	mkpki(&office->world, "--out signer --ca-of ca --cn Kantor --email budi@kota.example --from -1d --to +2y --key p256 --usage sign");
	office_cert("signer", &office->signer, &office->signer_key);
	for (size_t i = 0; i < N_KINDS; i++) {
		mkpki(&office->world, "--out %s --ca-of ca --cn %s --email ana@prov.example --from -1d --to +2y --key %s --usage encrypt", kind_names[i],
		    kind_names[i], i == RSA || i == OTHER ? "rsa2048" : kind_names[i]);
		office_cert(kind_names[i], &office->cert[i], &office->key[i]);
	}
	return 0;
}

static inline UNUSED int
office_close(void **given)
{
	struct office *office = *given;

	for (size_t i = 0; i < N_KINDS; i++) {
		buf_done(&office->cert[i]);
		key_free(office->key[i]);
	}
	buf_done(&office->signer);
	key_free(office->signer_key);
	world_close(&office->world);
	free(office);
	return 0;
}

static inline UNUSED int
office_take(void *ctx, struct slice bytes, struct err *err)
{
	(void)err;
	buf_add_slice(ctx, bytes);
	return 0;
}

struct wanted {
	enum encrypt_cipher cipher;
	enum key_padding padding;
	bool by_key_id;
};

/* The DER of `content` encrypted to these kinds. */
static inline UNUSED void
office_encrypt(struct office *office, const struct wanted *wanted, const enum kind *kinds, size_t n, struct slice content, struct buf *ret)
{
	AUTO(encrypt_free) struct encrypted *encrypted = NULL;
	struct encrypt_recipient recipients[N_KINDS];
	struct encrypt_request request = { .content = &content, .n_content = 1, .cipher = wanted->cipher, .recipients = recipients,
		.n_recipients = n, .now = time(NULL) };
	struct box_sink sink = { office_take, ret };
	struct err err = { .text = "" };

	for (size_t i = 0; i < n; i++)
		recipients[i] = (struct encrypt_recipient){ .cert = buf_slice(&office->cert[kinds[i]]), .padding = wanted->padding,
			.by_key_id = wanted->by_key_id };
	buf_init(ret, LIMIT_MESSAGE_BYTES);
	if (encrypt_new(&request, &encrypted, &err) == -1 || encrypted->fit != ENCRYPT_FIT || encrypt_write_der(encrypted, &sink, &err) == -1)
		fail_msg("encrypting: %s", err.text);
	assert_int_equal(ret->len, encrypted->der_len);
}

/* A message of that object. */
static inline UNUSED void
office_mail(const char *head, struct slice der, struct buf *ret)
{
	buf_init(ret, LIMIT_MESSAGE_BYTES);
	buf_add_text(ret, head);
	buf_add_text(ret, "MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=\"smime.p7m\"\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\n");
	forge_base64(der, ret);
}

/* The sealed entity of a message. */
static inline UNUSED void
office_seal(struct office *office, struct slice message, bool hide, struct buf *ret)
{
	AUTO(seal_free) struct sealed *sealed = NULL;
	AUTO_PIECES struct pieces entity = { 0 };
	struct message_facts facts;
	struct err err = { .text = "" };
	struct seal_request request = { .message = message, .facts = &facts, .cert = buf_slice(&office->signer), .form = SEAL_CLEAR,
		.signer = key_signer(office->signer_key), .encrypted = true, .hide_subject = hide, .now = time(NULL) };

	assert_int_equal(smime_inspect(message, &facts, &err), 0);
	if (smime_seal(&request, &sealed, &err) == -1)
		fail_msg("%s", err.text);
	encrypt_entity(sealed, &entity);
	buf_init(ret, LIMIT_MESSAGE_BYTES);
	for (size_t i = 0; i < entity.n; i++)
		buf_add_slice(ret, entity.at[i]);
}

/* `spend` may be NULL. */
static inline UNUSED void
office_decrypt_in(struct office *office, enum kind kind, struct slice message, struct buf *spend, bool hasty, struct decrypted **ret)
{
	struct slice cert = buf_slice(&office->cert[kind]);
	struct message_facts facts;
	struct err err = { .text = "" };
	struct decrypt_request request = { .message = message, .spend = spend, .facts = &facts, .certs = &cert, .n_certs = 1,
		.opener = key_opener(office->key[kind]), .at = time(NULL), .hasty = hasty };

	assert_int_equal(smime_inspect(message, &facts, &err), 0);
	if (smime_decrypt(&request, ret, &err) == -1)
		fail_msg("%s", err.text);
}

static inline UNUSED void
office_same_fields(const struct plain_field *a, size_t n_a, const struct plain_field *b, size_t n_b)
{
	assert_int_equal(n_a, n_b);
	for (size_t i = 0; i < n_a; i++) {
		assert_string_equal(a[i].name, b[i].name);
		assert_true(slice_equal(a[i].value, b[i].value));
	}
}

static inline UNUSED void
office_same(const struct decrypted *a, const struct decrypted *b)
{
	const struct decrypt_facts *one = decrypted_facts(a), *other = decrypted_facts(b);

	assert_int_equal(one->state, other->state);
	assert_string_equal(one->why, other->why);
	assert_string_equal(one->layers, other->layers);
	assert_int_equal(one->cipher, other->cipher);
	assert_int_equal(one->authenticated, other->authenticated);
	assert_int_equal(one->n_recipients, other->n_recipients);
	assert_int_equal(one->cert, other->cert);
	assert_memory_equal(one->spki, other->spki, sizeof(one->spki));
	assert_int_equal(decrypted_signature(a)->state, decrypted_signature(b)->state);
	assert_string_equal(decrypted_signature(a)->why, decrypted_signature(b)->why);
	for (enum decrypt_ground ground = GROUND_UNKNOWN; ground <= GROUND_SIGNATURE; ground++) {
		struct plain mine, theirs;

		assert_int_equal(decrypted_plain(a, ground, &mine), decrypted_plain(b, ground, &theirs));
		if (!decrypted_plain(a, ground, &mine))
			continue;
		office_same_fields(mine.content, mine.n_content, theirs.content, theirs.n_content);
		office_same_fields(mine.hidden, mine.n_hidden, theirs.hidden, theirs.n_hidden);
		assert_true(slice_equal(mine.body, theirs.body));
	}
}

/* In the message's own memory, or beside it: what comes of it is the same. In haste both are tried, and the former is returned. */
static inline UNUSED void
office_decrypt(struct office *office, enum kind kind, struct slice message, bool hasty, struct decrypted **ret)
{
	AUTO(decrypted_free) struct decrypted *beside = NULL;
	AUTO_BUF struct buf spend = { 0 };

	office_decrypt_in(office, kind, message, NULL, hasty, hasty ? &beside : ret);
	if (!hasty)
		return;
	buf_init(&spend, LIMIT_MESSAGE_BYTES);
	buf_add_slice(&spend, message);
	office_decrypt_in(office, kind, buf_slice(&spend), &spend, hasty, ret);
	assert_true(!spend.at || slice_equal(buf_slice(&spend), message));
	office_same(*ret, beside);
}

#endif
