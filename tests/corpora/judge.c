/*
 * judge: the library's verdicts about files, one question a line on standard input, one answer a line.
 *
 *     chain     anchors=DIR crls=DIR ocsp=DIR at=SECONDS leaf=FILE [untrusted=FILE]... [any] [policy=OID]... [explicit] [no-mapping] [no-any]
 *     ocsp      file=FILE issuer=FILE at=SECONDS
 *     message   file=FILE at=SECONDS [anchors=DIR] [crls=DIR] [any]     bare LF becomes CRLF, as a mail server would have it
 *     signature key=HEX alg=HEX message=HEX signature=HEX               SubjectPublicKeyInfo and AlgorithmIdentifier in DER
 *     opening   key=FILE padding=v1.5|oaep [digest=NAME mask=NAME] length=BYTES block=HEX    an RSA key in plain PEM, mode 0600
 *     cert      file=FILE                                               any bytes, as certificate, CRL and OCSP response
 *     key       file=FILE [passphrase=FILE]                             a private key as the key agent would load it; plain PEM is allowed
 *     encrypt   file=FILE cert=FILE cipher=cbc|gcm padding=v1.5|oaep out=FILE    an entity; `out` becomes the DER object
 *     decrypt   file=FILE at=SECONDS cert=FILE [key=FILE] [anchors=DIR] without a key, any use of one is an error
 *
 * The words of a question are separated by tabs. For tests/corpora/check.py. Ends the process where a library
 * function changed bytes that it was only to look at.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1t.h>

#include "smime/cert.h"
#include "smime/chain.h"
#include "smime/decrypt.h"
#include "smime/encrypt.h"
#include "smime/inspect.h"
#include "smime/key.h"
#include "smime/ocsp.h"
#include "smime/revoke.h"
#include "smime/signed.h"
#include "smime/verify.h"

enum { MAX_WORDS = 4096, MAX_FILE = 64 * 1024 * 1024 };

struct question {
	char *words[MAX_WORDS];
	size_t n;
};

static const char *
value_of(const struct question *question, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < question->n; i++) {
		if (strncmp(question->words[i], name, len) == 0 && question->words[i][len] == '=')
			return question->words[i] + len + 1;
	}
	return NULL;
}

static bool
has_word(const struct question *question, const char *word)
{
	for (size_t i = 0; i < question->n; i++) {
		if (strcmp(question->words[i], word) == 0)
			return true;
	}
	return false;
}

static size_t
values_of(const struct question *question, const char *name, const char *ret[MAX_WORDS])
{
	size_t len = strlen(name);
	size_t n = 0;

	for (size_t i = 0; i < question->n; i++) {
		if (strncmp(question->words[i], name, len) == 0 && question->words[i][len] == '=')
			ret[n++] = question->words[i] + len + 1;
	}
	return n;
}

static void
must(bool holds, const char *what, const char *which)
{
	if (holds)
		return;
	fprintf(stderr, "judge: %s: %s\n", what, which ? which : "");
	exit(1);
}

static void
read_file(const char *name, struct buf *ret)
{
	FILE *file = name ? fopen(name, "re") : NULL;
	char block[65536];
	size_t n;

	must(file, "cannot read", name);
	buf_init(ret, MAX_FILE);
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		buf_add(ret, block, n);
	fclose(file);
}

/* DER of a certificate; the bytes as they are where they are none. */
static void
read_cert(const char *name, struct buf *ret)
{
	AUTO_BUF struct buf file = { 0 };
	struct buf der = { 0 };
	struct err err = { 0 };

	read_file(name, &file);
	if (cert_read(buf_slice(&file), &der, &err) == 0) {
		*ret = der;
		return;
	}
	buf_init(ret, MAX_FILE);
	buf_add_slice(ret, buf_slice(&file));
}

static time_t
time_of(const struct question *question)
{
	const char *at = value_of(question, "at");

	must(at, "a question without at=", question->words[0]);
	return (time_t)strtoll(at, NULL, 10);
}

static struct trust *
load(const struct question *question)
{
	const struct trust_folders folders = { .anchors = value_of(question, "anchors"), .crls = value_of(question, "crls"),
		.ocsp = value_of(question, "ocsp") };
	const struct trust_ages ages = { .grace = 86400, .ocsp_most = 86400, .skew = 300 };
	struct trust *trust = NULL;
	AUTO_BUF struct buf problems = { 0 };
	struct err err = { 0 };

	buf_init(&problems, 1 << 20);
	must(trust_load(&folders, &ages, &trust, &problems, &err) == 0, "trust_load", err.text);
	if (has_word(question, "problems"))
		fputs(buf_text(&problems), stderr);
	return trust;
}

static void
ask_chain(const struct question *question)
{
	AUTO(trust_free) struct trust *trust = load(question);
	AUTO_BUF struct buf leaf = { 0 };
	static struct buf ders[MAX_WORDS];
	static struct slice untrusted[MAX_WORDS];
	const char *files[MAX_WORDS], *policies[MAX_WORDS];
	struct chain_request request = { .trust = trust, .untrusted = untrusted, .at = time_of(question),
		.any_strength = has_word(question, "any"), .policies = policies, .explicit_policy = has_word(question, "explicit"),
		.inhibit_mapping = has_word(question, "no-mapping"), .inhibit_any = has_word(question, "no-any") };
	struct chain_facts facts;

	read_cert(value_of(question, "leaf"), &leaf);
	request.leaf = buf_slice(&leaf);
	request.n_policies = values_of(question, "policy", policies);
	request.n_untrusted = values_of(question, "untrusted", files);
	for (size_t i = 0; i < request.n_untrusted; i++) {
		read_cert(files[i], &ders[i]);
		untrusted[i] = buf_slice(&ders[i]);
	}
	chain_judge(&request, &facts);
	for (size_t i = 0; i < request.n_untrusted; i++)
		buf_done(&ders[i]);
	printf("chain=%s\trevocation=%s\tlength=%zu\twhy=%s\trevocation-why=%s\n", chain_state_name(facts.state),
	    revocation_state_name(facts.revocation), facts.length, facts.why, facts.revocation_why);
}

static int
answer_of(const struct ocsp *ocsp, const char *issuer, time_t at, struct err *err)
{
	AUTO_BUF struct buf der = { 0 };
	AUTO(X509_free) X509 *authority = NULL;
	struct ocsp_facts facts = { 0 };
	X509 *delegate = NULL;

	read_cert(issuer, &der);
	authority = ossl_cert(buf_slice(&der), err);
	return authority ? ocsp_ask(ocsp, 0, NULL, authority, at, &facts, &delegate, err) : -1;
}

/* Does the response count, for any certificate of one of the issuers? */
static void
ask_ocsp(const struct question *question)
{
	AUTO_BUF struct buf file = { 0 };
	AUTO(ocsp_free) struct ocsp *ocsp = NULL;
	const char *issuers[MAX_WORDS];
	size_t n = values_of(question, "issuer", issuers);
	struct err err = { 0 };
	int result = -1;

	read_file(value_of(question, "file"), &file);
	if (ocsp_read(buf_slice(&file), &ocsp, &err) == 0) {
		for (size_t i = 0; i < n && result == -1; i++)
			result = answer_of(ocsp, issuers[i], time_of(question), &err);
	}
	printf("ocsp=%s\twhy=%s\n", result == 0 ? "accept" : "reject", result == 0 ? "" : err.text);
}

/* In a block of its own size, so that a byte read too far is seen. */
static unsigned char *
exact_copy(struct slice bytes)
{
	unsigned char *copy = xcalloc(1, bytes.len ? bytes.len : 1);

	if (bytes.len)
		memcpy(copy, bytes.at, bytes.len);
	return copy;
}

static void
with_crlf(const struct buf *file, struct buf *ret)
{
	buf_init(ret, 2 * MAX_FILE);
	for (size_t i = 0; i < file->len; i++) {
		if (file->at[i] == '\n' && (i == 0 || file->at[i - 1] != '\r'))
			buf_add(ret, "\r", 1);
		buf_add(ret, &file->at[i], 1);
	}
}

static void
print_message(const struct message_facts *facts, const struct signature_facts *sig)
{
	printf("signature=%s\tcoverage=%s\tchain=%s\trevocation=%s\tprotection=%s\tmime=%s\tencrypted=%d\tfrom=%s\tsigner=%s\twhy=%s\tchain-why=%s"
	    "\trevocation-why=%s\tmime-why=%s\tlimit=%s\n",
	    signature_state_name(sig->state), coverage_name(sig->coverage), chain_state_name(sig->chain.state),
	    revocation_state_name(sig->chain.revocation), protection_name(sig->protection), mime_state_name(facts->mime), sig->encrypted,
	    facts->from.address, sig->has_signer && sig->signer.n_addresses ? sig->signer.addresses[0] : "", sig->why, sig->chain.why,
	    sig->chain.revocation_why, facts->mime_why, facts->limit);
}

static void
ask_message(const struct question *question)
{
	AUTO(trust_free) struct trust *trust = load(question);
	AUTO_BUF struct buf file = { 0 }, mail = { 0 };
	AUTO(xfree) unsigned char *block = NULL;
	struct message_facts facts = { 0 };
	struct signature_facts signature = { 0 };
	struct verify_request request = { .trust = trust, .at = time_of(question), .any_strength = has_word(question, "any"), .facts = &facts };
	struct err err = { 0 };

	read_file(value_of(question, "file"), &file);
	with_crlf(&file, &mail);
	block = exact_copy(buf_slice(&mail));
	request.message = (struct slice){ block, mail.len };
	must(smime_inspect(request.message, &facts, &err) == 0, "smime_inspect", err.text);
	must(smime_verify(&request, &signature, &err) == 0, "smime_verify", err.text);
	must(mail.len == 0 || memcmp(block, mail.at, mail.len) == 0, "the bytes were changed", value_of(question, "file"));
	print_message(&facts, &signature);
}

static void
read_hex(const char *hex, struct buf *ret)
{
	buf_init(ret, MAX_FILE);
	must(hex, "a question without hex", NULL);
	for (; hex[0] && hex[1]; hex += 2) {
		unsigned byte = 0;
		unsigned char one;

		must(sscanf(hex, "%2x", &byte) == 1, "no hex", hex);
		one = (unsigned char)byte;
		buf_add(ret, &one, 1);
	}
}

/* Through the function that checks CRLs and OCSP answers; the item stands for its bytes, whatever they are. */
static void
ask_signature(const struct question *question)
{
	AUTO_BUF struct buf spki = { 0 }, alg = { 0 }, message = { 0 }, signature = { 0 };
	ASN1_STRING *item = ASN1_STRING_type_new(V_ASN1_SEQUENCE);
	const unsigned char *at;
	EVP_PKEY *key;

	read_hex(value_of(question, "key"), &spki);
	read_hex(value_of(question, "alg"), &alg);
	read_hex(value_of(question, "message"), &message);
	read_hex(value_of(question, "signature"), &signature);
	at = spki.at;
	key = d2i_PUBKEY(NULL, &at, (long)spki.len);
	ASN1_STRING_set(item, message.at, (int)message.len);
	printf("signature=%s\n", signed_verify(buf_slice(&alg), buf_slice(&signature), ASN1_ITEM_rptr(ASN1_SEQUENCE), item, key) ? "good" : "bad");
	EVP_PKEY_free(key);
	ASN1_STRING_free(item);
}

static enum key_hash
hash_of_name(const char *name)
{
	for (enum key_hash hash = KEY_HASH_SHA1; name && hash <= KEY_HASH_SHA512; hash++)
		if (strcmp(key_hash_name(hash), name) == 0)
			return hash;
	return KEY_HASH_UNKNOWN;
}

static void
ask_opening(const struct question *question)
{
	AUTO_BUF struct buf block = { 0 };
	AUTO(xfree) unsigned char *exact = NULL;
	AUTO(key_free) struct key *key = NULL;
	unsigned char content[KEY_CONTENT_BYTES] = { 0 };
	enum key_opening opening = KEY_OPENING_UNKNOWN;
	struct key_transport how = { .padding = strcmp(value_of(question, "padding"), "oaep") == 0 ? KEY_PADDING_OAEP : KEY_PADDING_V15,
		.digest = hash_of_name(value_of(question, "digest")), .mask = hash_of_name(value_of(question, "mask")),
		.content_len = strtoul(value_of(question, "length"), NULL, 10) };
	struct err err = { 0 };

	read_hex(value_of(question, "block"), &block);
	exact = exact_copy(buf_slice(&block));
	how.block = (struct slice){ exact, block.len };
	must(key_load(value_of(question, "key"), NULL, true, &key, &err) == 0, err.text, value_of(question, "key"));
	must(key_unwrap_mail(key, &how, content, &opening, &err) == 0, err.text, value_of(question, "key"));
	printf("opening=%s\tcontent=", opening == KEY_OPENED ? "opened" : "refused");
	for (size_t i = 0; i < how.content_len && opening == KEY_OPENED; i++)
		printf("%02x", content[i]);
	putchar('\n');
}

static void
ask_cert(const struct question *question)
{
	AUTO_BUF struct buf file = { 0 }, der = { 0 };
	AUTO(xfree) unsigned char *block = NULL;
	AUTO(crl_free) struct crl *crl = NULL;
	AUTO(ocsp_free) struct ocsp *ocsp = NULL;
	struct cert_facts facts = { 0 };
	struct err err = { 0 };
	struct slice bytes;
	bool is_cert;

	read_file(value_of(question, "file"), &file);
	block = exact_copy(buf_slice(&file));
	bytes = (struct slice){ block, file.len };
	is_cert = cert_read(bytes, &der, &err) == 0 && cert_inspect(buf_slice(&der), &facts, &err) == 0;
	printf("cert=%d\tcrl=%d\tocsp=%d\n", is_cert, crl_read(bytes, &crl, &err) == 0, ocsp_read(bytes, &ocsp, &err) == 0);
	must(file.len == 0 || memcmp(block, file.at, file.len) == 0, "the bytes were changed", value_of(question, "file"));
}

static void
ask_key(const struct question *question)
{
	AUTO(key_free) struct key *key = NULL;
	struct err err = { 0 };

	if (key_load(value_of(question, "file"), value_of(question, "passphrase"), true, &key, &err) == 0)
		printf("key=loaded\twhy=\n");
	else
		printf("key=refused\twhy=%s\n", err.text);
}

static int
write_out(void *ctx, struct slice bytes, struct err *err)
{
	if (fwrite(bytes.at, 1, bytes.len, ctx) != bytes.len)
		return err_set(err, ERR_TEMP, "cannot write the object");
	return 0;
}

static void
ask_encrypt(const struct question *question)
{
	AUTO_BUF struct buf file = { 0 }, cert = { 0 };
	AUTO(encrypt_free) struct encrypted *encrypted = NULL;
	struct encrypt_recipient recipient = { .padding = strcmp(value_of(question, "padding"), "oaep") == 0 ? KEY_PADDING_OAEP : KEY_PADDING_V15 };
	struct slice content;
	struct encrypt_request request = { .content = &content, .n_content = 1, .recipients = &recipient, .n_recipients = 1, .now = time(NULL),
		.cipher = strcmp(value_of(question, "cipher"), "gcm") == 0 ? ENCRYPT_AES256_GCM : ENCRYPT_AES256_CBC };
	struct err err = { 0 };

	read_file(value_of(question, "file"), &file);
	read_cert(value_of(question, "cert"), &cert);
	content = buf_slice(&file);
	recipient.cert = buf_slice(&cert);
	must(encrypt_new(&request, &encrypted, &err) == 0, "encrypt_new", err.text);
	if (encrypted->fit == ENCRYPT_FIT) {
		FILE *out = fopen(value_of(question, "out"), "we");
		const struct box_sink sink = { write_out, out };

		must(out, "cannot write", value_of(question, "out"));
		must(encrypt_write_der(encrypted, &sink, &err) == 0, "encrypt_write_der", err.text);
		must(fclose(out) == 0, "cannot write", value_of(question, "out"));
	}
	printf("fit=%s\n", encrypt_fit_name(encrypted->fit));
}

/* Where no key is asked for, none may be needed. */
static int
refuse_unwrap(void *ctx, const unsigned char spki[32], const struct key_transport *how, unsigned char content[KEY_CONTENT_BYTES],
    enum key_opening *ret, struct err *err)
{
	(void)ctx, (void)spki, (void)how, (void)content, (void)ret;
	return err_set(err, ERR_BUG, "a key was asked for");
}

static int
refuse_derive(void *ctx, const unsigned char spki[32], const struct key_agreement *how, unsigned char content[KEY_CONTENT_BYTES],
    enum key_opening *ret, struct err *err)
{
	(void)ctx, (void)spki, (void)how, (void)content, (void)ret;
	return err_set(err, ERR_BUG, "a key was asked for");
}

static void
print_plain(const struct decrypted *decrypted)
{
	const struct decrypt_facts *facts = decrypted_facts(decrypted);
	struct plain plain = { .n_content = 0 };

	printf("state=%s\tlayers=%s\tcipher=%s\tsignature=%s\twhy=%s\tbody=", decrypt_state_name(facts->state), facts->layers,
	    enveloped_cipher_name(facts->cipher), signature_state_name(decrypted_signature(decrypted)->state), facts->why);
	if (decrypted_plain(decrypted, facts->authenticated ? GROUND_CIPHER : GROUND_SIGNATURE, &plain))
		for (size_t i = 0; i < plain.body.len; i++)
			printf("%02x", plain.body.at[i]);
	putchar('\n');
}

static void
ask_decrypt(const struct question *question)
{
	AUTO(trust_free) struct trust *trust = load(question);
	AUTO_BUF struct buf file = { 0 }, mail = { 0 }, cert = { 0 };
	AUTO(xfree) unsigned char *block = NULL;
	AUTO(key_free) struct key *key = NULL;
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	struct message_facts facts = { 0 };
	struct slice der;
	struct decrypt_request request = { .facts = &facts, .certs = &der, .n_certs = 1, .opener = { refuse_unwrap, refuse_derive, NULL },
		.trust = trust, .at = time_of(question), .hasty = true };
	struct err err = { 0 };

	read_file(value_of(question, "file"), &file);
	read_cert(value_of(question, "cert"), &cert);
	with_crlf(&file, &mail);
	block = exact_copy(buf_slice(&mail));
	request.message = (struct slice){ block, mail.len };
	der = buf_slice(&cert);
	if (value_of(question, "key")) {
		must(key_load(value_of(question, "key"), NULL, true, &key, &err) == 0, err.text, value_of(question, "key"));
		request.opener = key_opener(key);
	}
	must(smime_inspect(request.message, &facts, &err) == 0, "smime_inspect", err.text);
	must(smime_decrypt(&request, &decrypted, &err) == 0, "smime_decrypt", err.text);
	must(mail.len == 0 || memcmp(block, mail.at, mail.len) == 0, "the bytes were changed", value_of(question, "file"));
	print_plain(decrypted);
}

static void
split(char *line, struct question *ret)
{
	ret->n = 0;
	for (char *word = strtok(line, "\t\n"); word && ret->n < MAX_WORDS; word = strtok(NULL, "\t\n"))
		ret->words[ret->n++] = word;
}

static const struct {
	const char *name;
	void (*ask)(const struct question *question);
} kinds[] = {
	{ "chain", ask_chain },
	{ "ocsp", ask_ocsp },
	{ "message", ask_message },
	{ "signature", ask_signature },
	{ "opening", ask_opening },
	{ "cert", ask_cert },
	{ "key", ask_key },
	{ "encrypt", ask_encrypt },
	{ "decrypt", ask_decrypt },
};

static void
answer(const struct question *question)
{
	for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
		if (strcmp(kinds[i].name, question->words[0]) == 0) {
			kinds[i].ask(question);
			fflush(stdout);
			return;
		}
	}
	must(false, "no such question", question->words[0]);
}

int
main(void)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0) {
		struct question question;

		split(line, &question);
		if (question.n > 0)
			answer(&question);
	}
	free(line);
	return 0;
}
