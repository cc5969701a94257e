#include "smime/decrypt.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "smime/canon.h"
#include "smime/gm.h"
#include "smime/inspect.h"
#include "smime/layers.h"
#include "smime/ossl.h"
#include "smime/protect.h"
#include "smime/signed.h"
#include "smime/verify.h"

AUTO_DEFINE(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free);

enum { BLOCK_BYTES = 16, SLOT_MS = 25, SLOT_BYTES = 1024 * 1024 };

/* The one text. */
static const char failed_why[] = "it cannot be opened, or nothing proves that what is inside is what its sender wrote";

/* One encryption, opened: its object, which became the plaintext, and what lies in that. */
struct stage {
	struct buf room;             /* owned; the object in it is decrypted in place, all of it wiped at the end */
	struct slice plain;
	struct part_tree tree;
	struct levels levels;
};

struct decrypted {
	struct decrypt_facts facts;
	struct signature_facts signature;
	struct stage stages[LIMIT_LAYERS];
	size_t n_stages;
	size_t n_layers;
	struct head head;            /* of the innermost plaintext */
	struct head payload;         /* of what only signatures lie around in it */
	struct plain_field *content; /* owned; names too */
	size_t n_content;
	struct slice body;
	struct plain_field hidden[PROTECT_HIDDEN_FIELDS];
	size_t n_hidden;
};

const char *
decrypt_state_name(enum decrypt_state state)
{
	switch (state) {
	case DECRYPT_UNKNOWN:
		return "unknown";
	case DECRYPT_NONE:
		return "none";
	case DECRYPT_OTHERS:
		return "others";
	case DECRYPT_UNSUPPORTED:
		return "unsupported";
	case DECRYPT_MALFORMED:
		return "malformed";
	case DECRYPT_FAILED:
		return "failed";
	case DECRYPT_OPENED:
		return "opened";
	}
	return "unknown";
}

static void
stage_done(struct stage *stage)
{
	levels_done(&stage->levels);
	part_tree_done(&stage->tree);
	if (stage->room.at)
		wipe(stage->room.at, stage->room.len); /* never written behind that: touching it would only cost memory */
	buf_done(&stage->room);
}

static void
drop_content(struct decrypted *decrypted)
{
	for (size_t i = 0; i < decrypted->n_content; i++)
		xfree((void *)(uintptr_t)decrypted->content[i].name);
	xfree(decrypted->content);
	decrypted->content = NULL;
	decrypted->n_content = 0;
}

void
decrypted_forget(struct decrypted *decrypted)
{
	drop_content(decrypted);
	head_done(&decrypted->head);
	head_done(&decrypted->payload);
	for (size_t i = 0; i < decrypted->n_stages; i++)
		stage_done(&decrypted->stages[i]);
	decrypted->n_stages = 0;
	decrypted->n_hidden = 0;
	decrypted->body = (struct slice){ 0 };
}

void
decrypted_free(struct decrypted *decrypted)
{
	if (!decrypted)
		return;
	decrypted_forget(decrypted);
	xfree(decrypted);
}

const struct decrypt_facts *
decrypted_facts(const struct decrypted *decrypted)
{
	return &decrypted->facts;
}

const struct signature_facts *
decrypted_signature(const struct decrypted *decrypted)
{
	return &decrypted->signature;
}

int
decrypted_inspect(const struct decrypted *decrypted, struct message_facts *ret, struct err *err)
{
	if (decrypted->facts.state != DECRYPT_OPENED || decrypted->n_stages == 0)
		return err_set(err, ERR_BUG, "what was not opened, or is forgotten, is looked into");
	return smime_inspect(decrypted->stages[decrypted->n_stages - 1].plain, ret, err);
}

static void
outcome(struct decrypted *decrypted, enum decrypt_state state, const char *why)
{
	snprintf(decrypted->facts.why, sizeof(decrypted->facts.why), "%s", why);
	decrypted->facts.state = state;
}

/* ---- the content key ---- */

/* One of our certificates, and how the content key is asked for with it. */
struct attempt {
	const struct decrypt_request *request;
	const struct enveloped_facts *gate;
	unsigned char key[KEY_CONTENT_BYTES];
	bool named;                 /* a RecipientInfo names one of our certificates */
	bool handled;               /* in a way that we handle */
	enum key_opening opening;
	const struct enveloped_recipient *recipient;
	size_t cert;
	unsigned char spki[32];
};

static bool
is_issued_as(X509 *cert, const struct enveloped_recipient *recipient)
{
	unsigned char *der = NULL;
	bool same;
	int len = i2d_X509_NAME(X509_get_issuer_name(cert), &der);

	same = len > 0 && slice_equal((struct slice){ der, (size_t)len }, recipient->issuer);
	OPENSSL_free(der);
	der = NULL;
	len = same ? i2d_ASN1_INTEGER(X509_get0_serialNumber(cert), &der) : -1;
	same = len > 0 && slice_equal((struct slice){ der, (size_t)len }, recipient->serial);
	OPENSSL_free(der);
	return same;
}

static bool
is_for(X509 *cert, const struct enveloped_recipient *recipient)
{
	const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(cert);

	if (recipient->key_id.len)
		return id && slice_equal(ossl_slice(id), recipient->key_id);
	return recipient->issuer.len && is_issued_as(cert, recipient);
}

static int
ask(struct attempt *attempt, const struct enveloped_recipient *recipient, struct err *err)
{
	const struct opener *opener = &attempt->request->opener;

	attempt->opening = KEY_OPENING_UNKNOWN;
	attempt->recipient = recipient;
	switch (recipient->kind) {
	case RECIPIENT_TRANSPORT:
		return opener->unwrap(opener->ctx, attempt->spki, &recipient->transport, attempt->key, &attempt->opening, err);
	case RECIPIENT_AGREEMENT:
		return opener->derive(opener->ctx, attempt->spki, &recipient->agreement, attempt->key, &attempt->opening, err);
	case RECIPIENT_UNKNOWN:
		break;
	}
	return err_set(err, ERR_BUG, "a key is asked to open what is not handled");
}

/* -1: our surroundings. *done: the key has answered, and is the one that counts. */
static int
try_recipient(struct attempt *attempt, X509 *cert, const struct enveloped_recipient *recipient, bool *done, struct err *err)
{
	if (!is_for(cert, recipient))
		return 0;
	attempt->named = true;
	if (recipient->kind == RECIPIENT_UNKNOWN)
		return 0;
	attempt->handled = true;
	if (signed_spki(cert, attempt->spki) == -1)
		return ossl_err(err, ERR_TEMP, "a key that cannot be named");
	if (ask(attempt, recipient, err) == -1)
		return err_wrap(err, "the content key of an encrypted message");
	*done = attempt->opening != KEY_NOT_HERE;
	return 0;
}

static int
try_cert(struct attempt *attempt, size_t i, bool *done, struct err *err)
{
	AUTO(X509_free) X509 *cert = ossl_cert(attempt->request->certs[i], err);

	if (!cert)
		return err_wrap(err, "a certificate to decrypt for");
	for (size_t r = 0; r < attempt->gate->n_recipients && !*done; r++) {
		if (try_recipient(attempt, cert, &attempt->gate->recipients[r], done, err) == -1)
			return -1;
	}
	attempt->cert = i;
	return 0;
}

static int
find_key(struct attempt *attempt, struct err *err)
{
	bool done = false;

	for (size_t i = 0; i < attempt->request->n_certs && !done; i++) {
		if (try_cert(attempt, i, &done, err) == -1)
			return -1;
	}
	return 0;
}

/* Where no key came the way goes on with one that nobody has, so that it is as long. */
static int
settle_key(struct attempt *attempt, struct decrypt_facts *facts, struct err *err)
{
	facts->limited = attempt->opening == KEY_LIMITED;
	facts->cert = attempt->cert;
	facts->padding = attempt->recipient->transport.padding;
	memcpy(facts->spki, attempt->spki, sizeof(facts->spki));
	if (attempt->opening == KEY_OPENED)
		return 0;
	if (RAND_priv_bytes(attempt->key, sizeof(attempt->key)) != 1)
		return ossl_err(err, ERR_TEMP, "no random numbers");
	return 0;
}

/* ---- the content ---- */

static const EVP_CIPHER *
evp_of(enum enveloped_cipher cipher)
{
	switch (cipher) {
	case ENVELOPED_AES128_CBC:
		return EVP_aes_128_cbc();
	case ENVELOPED_AES192_CBC:
		return EVP_aes_192_cbc();
	case ENVELOPED_AES256_CBC:
		return EVP_aes_256_cbc();
	case ENVELOPED_AES128_GCM:
		return EVP_aes_128_gcm();
	case ENVELOPED_AES192_GCM:
		return EVP_aes_192_gcm();
	case ENVELOPED_AES256_GCM:
		return EVP_aes_256_gcm();
	case ENVELOPED_CIPHER_UNKNOWN:
		break;
	}
	return NULL;
}

/* All ones if a < b, else 0; both small. Without a branch. */
static unsigned
mask_less(unsigned a, unsigned b)
{
	return 0u - ((a - b) >> 31);
}

/* PKCS#7 padding of the last block (RFC 5652 6.3). Which byte is wrong, if any, is looked at without a branch. */
static bool
is_padded(const unsigned char *block, size_t *ret)
{
	const unsigned n = block[BLOCK_BYTES - 1];
	unsigned wrong = mask_less(n, 1) | mask_less(BLOCK_BYTES, n);

	for (unsigned i = 0; i < BLOCK_BYTES; i++)
		wrong |= mask_less(i, n) & (block[BLOCK_BYTES - 1 - i] ^ n);
	*ret = n & 31;
	return wrong == 0;
}

/* In place. With bad padding all of it is the plaintext: it is parsed all the same, and then it has failed. */
static bool
decrypt_cbc(EVP_CIPHER_CTX *ctx, unsigned char *at, size_t len, struct slice *ret, bool *good)
{
	size_t padding = 0;
	int n = 0;

	EVP_CIPHER_CTX_set_padding(ctx, 0);
	if (EVP_DecryptUpdate(ctx, at, &n, at, (int)len) != 1 || (size_t)n != len)
		return false;
	*good = is_padded(at + len - BLOCK_BYTES, &padding);
	*ret = (struct slice){ at, len - (*good ? padding : 0) };
	return true;
}

/* The authenticated attributes count as a SET (RFC 5083 2.2). */
static bool
add_attributes(EVP_CIPHER_CTX *ctx, struct slice attributes)
{
	unsigned char head[6] = { BER_SET };
	size_t n = 0;
	int len = 0;

	if (attributes.len == 0)
		return true;
	for (size_t rest = attributes.len; attributes.len >= 0x80 && rest; rest >>= 8)
		n++;
	head[1] = (unsigned char)(n ? 0x80 | n : attributes.len);
	for (size_t i = 0; i < n; i++)
		head[2 + i] = (unsigned char)(attributes.len >> (8 * (n - 1 - i)));
	return EVP_DecryptUpdate(ctx, NULL, &len, head, (int)(2 + n)) == 1
	    && EVP_DecryptUpdate(ctx, NULL, &len, attributes.at, (int)attributes.len) == 1;
}

/* In place; what is not authenticated is wiped before anybody looks. */
static bool
decrypt_gcm(EVP_CIPHER_CTX *ctx, const struct enveloped_facts *gate, unsigned char *at, struct slice *ret, bool *good)
{
	const size_t len = gate->content_len;
	unsigned char end[BLOCK_BYTES];
	int n = 0;

	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)gate->tag.len, (void *)(uintptr_t)gate->tag.at) != 1
	    || !add_attributes(ctx, gate->attributes) || EVP_DecryptUpdate(ctx, at, &n, at, (int)len) != 1)
		return false;
	*good = EVP_DecryptFinal_ex(ctx, end, &n) == 1;
	if (!*good)
		wipe(at, len);
	*ret = (struct slice){ at, len };
	return true;
}

static int
decrypt_content(const struct enveloped_facts *gate, const unsigned char *key, unsigned char *at, struct slice *ret, bool *good, struct err *err)
{
	AUTO(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool done;

	if (!ctx || EVP_DecryptInit_ex(ctx, evp_of(gate->cipher), NULL, key, gate->iv.at) != 1)
		return ossl_err(err, ERR_TEMP, "AES is not available");
	if (enveloped_is_aead(gate->cipher))
		done = decrypt_gcm(ctx, gate, at, ret, good);
	else
		done = decrypt_cbc(ctx, at, gate->content_len, ret, good);
	if (!done)
		return ossl_err(err, ERR_TEMP, "AES ended in the middle of a message");
	ERR_clear_error();
	return 0;
}

/* ---- one encryption ---- */

/* An encryption's object, decoded: alone in a room of its own, or in the message's. */
struct object {
	struct buf room; /* owned */
	struct slice bytes;
};

/* The object goes over to a stage of its own, and becomes plaintext there. */
static int
open_stage(struct decrypted *decrypted, struct attempt *attempt, struct object *object, bool *good, struct err *err)
{
	const struct enveloped_facts *gate = attempt->gate;
	struct stage *stage = &decrypted->stages[decrypted->n_stages++];
	const unsigned char *from = gate->content.at ? gate->content.at : gate->pieces.at;
	unsigned char *at;
	bool whole = false;

	stage->room = buf_take(&object->room);
	at = stage->room.at + (from - stage->room.at);
	if (!gate->content.at)
		enveloped_join(gate, at);
	if (decrypt_content(gate, attempt->key, at, &stage->plain, &whole, err) == -1)
		return -1;
	decrypted->facts.cipher = gate->cipher;
	decrypted->facts.authenticated = whole && enveloped_is_aead(gate->cipher);
	*good = *good && whole && attempt->opening == KEY_OPENED;
	return 0;
}

/* What an encryption is, without a key of ours: false where it ends here. */
static bool
gate_lets_pass(struct decrypted *decrypted, const struct enveloped_facts *gate)
{
	switch (gate->state) {
	case ENVELOPED_PASSES:
		return true;
	case ENVELOPED_UNSUPPORTED:
		outcome(decrypted, DECRYPT_UNSUPPORTED, gate->why);
		return false;
	case ENVELOPED_UNKNOWN:
	case ENVELOPED_MALFORMED:
		break;
	}
	outcome(decrypted, DECRYPT_MALFORMED, gate->why);
	return false;
}

static bool
is_ours(struct decrypted *decrypted, const struct attempt *attempt)
{
	if (attempt->named && !attempt->handled)
		outcome(decrypted, DECRYPT_UNSUPPORTED, "our recipient's key is encrypted by an algorithm that is not handled; want RSA or ephemeral-static ECDH");
	else if (attempt->opening == KEY_NOT_HERE)
		outcome(decrypted, DECRYPT_OTHERS, "encrypted to a key that the key agent does not hold");
	else if (!attempt->named)
		outcome(decrypted, DECRYPT_OTHERS, "encrypted to none of the recipients' certificates");
	else
		return true;
	return false;
}

/* *stays: there is no stage, and decrypted->facts says why. */
static int
open_object(const struct decrypt_request *request, struct decrypted *decrypted, struct enveloped_facts *gate, struct object *object, bool *good,
    bool *stays, struct err *err)
{
	struct attempt attempt = { .request = request, .gate = gate };
	int result;

	*stays = true;
	enveloped_read(object->bytes, gate);
	if (decrypted->n_stages == 0)
		decrypted->facts.n_recipients = gate->n_recipients;
	if (!gate_lets_pass(decrypted, gate))
		return 0;
	if (find_key(&attempt, err) == -1)
		return -1;
	if (!is_ours(decrypted, &attempt))
		return 0;
	*stays = false;
	result = settle_key(&attempt, &decrypted->facts, err);
	if (result == 0)
		result = open_stage(decrypted, &attempt, object, good, err);
	wipe(attempt.key, sizeof(attempt.key));
	return result;
}

/* ---- what came out ---- */

/* The plaintext as one strict MIME entity: both readers see the same, and nothing is beyond a limit. */
static bool
is_strict(struct stage *stage, struct message_facts *ret)
{
	const struct mailbox_facts nobody = { .state = MAILBOX_UNKNOWN };
	const char *why;

	*ret = (struct message_facts){ .mime = MIME_AMBIGUOUS, .size = stage->plain.len };
	part_scan(stage->plain, &stage->tree);
	if (stage->tree.limit || stage->tree.n_parts == 0) {
		snprintf(ret->limit, sizeof(ret->limit), "%s", stage->tree.limit ? stage->tree.limit : "mime_parts");
		return false;
	}
	why = stage->tree.why ? stage->tree.why : gm_disagrees(stage->plain, &stage->tree, &nobody, &nobody);
	if (!why)
		ret->mime = MIME_CLEAR;
	return !why;
}

static int
judge_signature(const struct decrypt_request *request, const struct stage *stage, const struct message_facts *facts,
    struct signature_facts *ret, struct err *err)
{
	const struct verify_request verify = { .message = stage->plain, .facts = facts, .trust = request->trust, .at = request->at };

	return verify_levels(&verify, &stage->tree, &stage->levels, ret, err);
}

/* ---- what no signature is over ---- */

/*
 * In CBC whoever has the ciphertext can put 16 bytes of his own anywhere, at the price of 16 bytes of garbage before them. Where
 * only a signature proves the plaintext, that leaves him what it is not over: the head of the signed entity, that of the signature part,
 * and the text around the parts. The heads have to be of printable characters and of these fields; the text is left out.
 */
static bool
is_bare_field(struct slice name)
{
	static const char *const names[] = { "Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-Description", "MIME-Version" };

	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		if (slice_equal_nocase(name, names[i]))
			return true;
	}
	return false;
}

static bool
is_printable(struct slice head)
{
	for (size_t i = 0; i < head.len; i++) {
		const unsigned char c = head.at[i];

		if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c > '~')
			return false;
	}
	return true;
}

static bool
is_bare_head(const struct stage *stage, const struct part *part)
{
	const struct slice whole = { stage->plain.at + part->start, part->body - part->start };
	AUTO_HEAD struct head head = { 0 };

	head_scan(whole, &head);
	for (size_t i = 0; i < head.n_fields; i++) {
		if (!is_bare_field(head.fields[i].name))
			return false;
	}
	return is_printable(whole);
}

static bool
is_clear_signed(const struct stage *stage)
{
	return stage->levels.n > 0 && stage->levels.at[0].envelope.kind == ENVELOPE_CLEAR;
}

/* The signature's part: the last one below the root. */
static const struct part *
signature_part(const struct stage *stage)
{
	const struct part *last = &stage->tree.parts[0];

	for (size_t i = 1; i < stage->tree.n_parts; i++) {
		if (stage->tree.parts[i].parent == 0)
			last = &stage->tree.parts[i];
	}
	return last;
}

static bool
is_bare(const struct stage *stage)
{
	if (!is_bare_head(stage, &stage->tree.parts[0]))
		return false;
	return !is_clear_signed(stage) || is_bare_head(stage, signature_part(stage));
}

/* Of a clear-signed entity, its body from the first boundary line to the last. */
static struct slice
without_surroundings(const struct stage *stage)
{
	const struct slice plain = stage->plain;
	size_t from = stage->tree.parts[1].start, to = signature_part(stage)->end;
	const unsigned char *end;

	for (from -= 2; from > stage->tree.parts[0].body && plain.at[from - 1] != '\n'; from--)
		continue;
	to = to + 2 < plain.len ? to + 2 : plain.len; /* the line end that belongs to the boundary */
	end = memchr(plain.at + to, '\n', plain.len - to);
	return (struct slice){ plain.at + from, (end ? (size_t)(end + 1 - plain.at) : plain.len) - from };
}

/* ---- what may be given out ---- */

static void
keep_content(struct decrypted *decrypted, const struct field *field)
{
	const size_t n = decrypted->n_content;

	decrypted->content = xrealloc(decrypted->content, (n + 1) * sizeof(*decrypted->content));
	decrypted->content[n] = (struct plain_field){ .name = slice_dup(field->name), .value = field->value };
	decrypted->n_content++;
}

/* The head of the innermost entity that only signatures lie around. */
static void
read_payload(struct decrypted *decrypted, const struct stage *stage)
{
	const struct level *last = &stage->levels.at[stage->levels.n - 1];
	const struct part *part = last->tree->n_parts > last->root ? &last->tree->parts[last->root] : NULL;

	if (part)
		head_scan((struct slice){ last->bytes.at + part->start, part->end - part->start }, &decrypted->payload);
}

/* A37: after a good signature only. */
static void
read_hidden(const struct decrypt_request *request, struct decrypted *decrypted, const struct stage *stage)
{
	struct protect_hidden hidden = { .n = 0 };
	AUTO_HEAD struct head outside = { 0 };

	if (decrypted->signature.state != SIGNATURE_GOOD)
		return;
	head_scan(request->message, &outside);
	read_payload(decrypted, stage);
	if (outside.limit || decrypted->payload.limit || decrypted->payload.n_fields == 0)
		return;
	protect_compare_hidden(&outside, &decrypted->payload, &decrypted->signature, &hidden);
	for (size_t i = 0; i < hidden.n; i++)
		decrypted->hidden[decrypted->n_hidden++] = (struct plain_field){ .name = hidden.names[i], .value = hidden.fields[i]->value };
}

static void
read_offer(const struct decrypt_request *request, struct decrypted *decrypted, const struct stage *stage)
{
	head_scan(stage->plain, &decrypted->head);
	decrypted->body = decrypted->facts.authenticated || !is_clear_signed(stage) ? decrypted->head.body : without_surroundings(stage);
	for (size_t i = 0; i < decrypted->head.n_fields; i++) {
		if (canon_is_content(decrypted->head.fields[i].name))
			keep_content(decrypted, &decrypted->head.fields[i]);
	}
	read_hidden(request, decrypted, stage);
}

bool
decrypted_plain(const struct decrypted *decrypted, enum decrypt_ground ground, struct plain *ret)
{
	const struct signature_facts *signature = &decrypted->signature;
	bool holds = false;

	if (decrypted->facts.state != DECRYPT_OPENED || decrypted->n_stages == 0)
		return false;
	switch (ground) {
	case GROUND_CIPHER:
		holds = decrypted->facts.authenticated;
		break;
	case GROUND_SIGNATURE:
		holds = signature->state == SIGNATURE_GOOD && signature->coverage == COVERAGE_WHOLE;
		break;
	case GROUND_UNKNOWN:
		break;
	}
	if (!holds)
		return false;
	*ret = (struct plain){
		.content = decrypted->content, .n_content = decrypted->n_content,
		.hidden = decrypted->hidden, .n_hidden = decrypted->n_hidden,
		.body = decrypted->body,
	};
	return true;
}

/* ---- layer by layer ---- */

static void
add_layers(struct decrypted *decrypted, const struct levels *levels)
{
	char *all = decrypted->facts.layers;
	struct signature_facts told = { .layers = "" };
	size_t len = strlen(all);

	levels_tell(levels, &told);
	if (told.layers[0])
		snprintf(all + len, sizeof(decrypted->facts.layers) - len, "%s%s", len ? "/" : "", told.layers);
}

/* How many of them are layers: the last may be an ordinary entity. */
static size_t
count_layers(const struct levels *levels)
{
	const enum envelope_kind last = levels->at[levels->n - 1].envelope.kind;

	return levels->n - (last == ENVELOPE_NONE || last == ENVELOPE_UNKNOWN);
}

/* The encryption at the end of these levels, if one is there that S/MIME knows. */
static const struct level *
encrypted_level(const struct levels *levels)
{
	const struct level *last = &levels->at[levels->n - 1];

	return last->envelope.kind == ENVELOPE_ENCRYPTED ? last : NULL;
}

/* What carries through the layers of one message. */
struct opening {
	const struct decrypt_request *request;
	struct decrypted *decrypted;
	long long began;
	struct enveloped_facts *gate;
	struct message_facts facts;  /* of the innermost plaintext */
	bool good;                   /* everything so far */
	bool stays;                  /* the last encryption that was met is not opened: not ours, or not handled */
};

/* In the message's own memory where that may be spent, and where the object stands in it; else beside what it lies in. */
static void
decode_object(const struct decrypt_request *request, const struct level *level, struct object *ret)
{
	const struct part *part = &level->tree->parts[level->root];

	if (request->spend && level->bytes.at == request->spend->at && envelope_object_in_place(request->spend->at, part, &ret->bytes)) {
		ret->room = buf_take(request->spend);
		return;
	}
	envelope_object(level->bytes, part, &ret->room);
	ret->bytes = buf_slice(&ret->room);
}

static int
open_level(struct opening *opening, const struct level *level, struct err *err)
{
	struct object object = { .bytes = { 0 } };
	int result = 0;

	opening->stays = true;
	decode_object(opening->request, level, &object);
	if (object.bytes.len == 0)
		outcome(opening->decrypted, DECRYPT_MALFORMED, "said to be encrypted, and nothing in it that decodes");
	else
		result = open_object(opening->request, opening->decrypted, opening->gate, &object, &opening->good, &opening->stays, err);
	buf_done(&object.room);
	return result;
}

/*
 * Opens what is encrypted at the end of `levels`, reads what is inside, and goes on there. Inside of an encryption all that
 * goes wrong is a failure; what is encrypted again, and not to us, is content like any other.
 */
static int
open_layers(struct opening *opening, const struct levels *levels, struct err *err)
{
	struct decrypted *decrypted = opening->decrypted;
	const struct level *level;

	while ((level = encrypted_level(levels)) != NULL) {
		struct stage *stage;

		if (decrypted->n_layers > LIMIT_LAYERS) {
			opening->good = false;
			return 0;
		}
		if (open_level(opening, level, err) == -1)
			return -1;
		if (opening->stays)
			return 0;
		stage = &decrypted->stages[decrypted->n_stages - 1];
		if (!is_strict(stage, &opening->facts)) {
			opening->good = false;
			return 0;
		}
		levels_read(stage->plain, &stage->tree, &stage->levels, err);
		levels = &stage->levels;
		decrypted->n_layers += count_layers(levels);
	}
	return 0;
}

/* Behind the first opening: proven or not, with nothing in between. */
static int
judge(struct opening *opening, struct err *err)
{
	struct decrypted *decrypted = opening->decrypted;
	const struct stage *stage = &decrypted->stages[decrypted->n_stages - 1];
	struct signature_facts signature = { .state = SIGNATURE_UNKNOWN };
	const bool inner_state = decrypted->facts.state == DECRYPT_OTHERS || decrypted->facts.state == DECRYPT_UNSUPPORTED;

	if (opening->facts.mime == MIME_CLEAR && judge_signature(opening->request, stage, &opening->facts, &signature, err) == -1)
		return -1;
	if (opening->stays && !inner_state)
		opening->good = false;
	if (stage->levels.ambiguous || decrypted->n_layers > LIMIT_LAYERS)
		opening->good = false;
	if (!opening->good || (!decrypted->facts.authenticated && (signature.state != SIGNATURE_GOOD || !is_bare(stage))))
		return 0;
	decrypted->signature = signature;
	outcome(decrypted, DECRYPT_OPENED, "");
	read_offer(opening->request, decrypted, stage);
	for (size_t i = 0; i < decrypted->n_stages; i++)
		add_layers(decrypted, &decrypted->stages[i].levels);
	return 0;
}

static void
fail(struct decrypted *decrypted)
{
	decrypted->facts.authenticated = false;
	outcome(decrypted, DECRYPT_FAILED, failed_why);
}

/* How long it took tells nothing but how large the message is. */
static void
wait_for_slot(const struct decrypt_request *request, long long began)
{
	const long long slot = SLOT_MS * (1 + (long long)(request->message.len / SLOT_BYTES));
	const long long until = began + ((monotonic_ms() - began) / slot + 1) * slot;
	const struct timespec at = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };

	if (request->hasty)
		return;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
		continue;
}

static int
decrypt_levels(struct opening *opening, struct levels *levels, struct err *err)
{
	struct decrypted *decrypted = opening->decrypted;
	int result;

	add_layers(decrypted, levels);
	decrypted->n_layers = count_layers(levels);
	opening->good = true;
	result = open_layers(opening, levels, err);
	if (result == -1 || decrypted->n_stages == 0)
		return result;
	result = judge(opening, err);
	if (result == 0 && decrypted->facts.state != DECRYPT_OPENED) {
		fail(decrypted);
		wait_for_slot(opening->request, opening->began);
	}
	return result;
}

static bool
is_foreign(const struct level *level)
{
	return media_is(&level->tree->parts[level->root].media, "multipart", NULL);
}

/* The message as a whole: is it encrypted, and may it be looked at? */
static int
decrypt_message(const struct decrypt_request *request, const struct part_tree *tree, long long began, struct decrypted *decrypted,
    struct err *err)
{
	struct opening opening = { .request = request, .decrypted = decrypted, .began = began };
	AUTO_LEVELS struct levels levels = { 0 };
	int result;

	levels_read(request->message, tree, &levels, err);
	if (!encrypted_level(&levels))
		outcome(decrypted, DECRYPT_NONE, "the message as a whole is not encrypted");
	else if (request->facts->mime != MIME_CLEAR || levels.ambiguous)
		outcome(decrypted, DECRYPT_MALFORMED, levels.ambiguous ? levels.ambiguous : request->facts->mime_why);
	else if (is_foreign(encrypted_level(&levels)))
		outcome(decrypted, DECRYPT_UNSUPPORTED, "encrypted, and not by S/MIME");
	else {
		opening.gate = xcalloc(1, sizeof(*opening.gate));
		result = decrypt_levels(&opening, &levels, err);
		xfree(opening.gate);
		return result;
	}
	return 0;
}

int
smime_decrypt(const struct decrypt_request *request, struct decrypted **ret, struct err *err)
{
	AUTO(decrypted_free) struct decrypted *decrypted = xcalloc(1, sizeof(*decrypted));
	AUTO_TREE struct part_tree tree = { 0 };
	const long long began = monotonic_ms();

	ERR_clear_error();
	part_scan(request->message, &tree);
	if (tree.limit || request->facts->limit[0] || tree.n_parts == 0)
		outcome(decrypted, request->facts->outer == LAYER_NONE ? DECRYPT_NONE : DECRYPT_MALFORMED, "the message is beyond a limit");
	else if (decrypt_message(request, &tree, began, decrypted, err) == -1)
		return -1;
	*ret = TAKE(decrypted);
	return 0;
}
