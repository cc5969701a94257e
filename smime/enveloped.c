#include "smime/enveloped.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "smime/algorithm.h"
#include "smime/gate.h"

enum {
	BLOCK_BYTES = 16,
	NONCE_BYTES = 12,
	TAG_LEAST = 12,
	TAG_MOST = 16,
	MAX_VERSION = 5,
	MAX_IGNORED = LIMIT_CMS_CRL_BYTES, /* originatorInfo, attributes */
	MAX_BLOCK = LIMIT_CERT_KEY_BITS / 8,
	MAX_POINT = 1 + 2 * 66,            /* P-521 */
};

#define OID(text) { (const unsigned char *)(text), sizeof(text) - 1 }

static const struct slice id_data = OID("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01");
static const struct slice id_enveloped = OID("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03");
static const struct slice id_auth_enveloped = OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17");
static const struct slice id_rsa = OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01");
static const struct slice id_oaep = OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07");
static const struct slice id_mgf1 = OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08");
static const struct slice id_p_specified = OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x09");
static const struct slice id_ec_public_key = OID("\x2a\x86\x48\xce\x3d\x02\x01");

static const struct {
	struct slice oid;
	enum enveloped_cipher cipher;
	const char *name;
	size_t key_len;
	bool aead;
} ciphers[] = {
	{ OID("\x60\x86\x48\x01\x65\x03\x04\x01\x02"), ENVELOPED_AES128_CBC, "aes-128-cbc", 16, false },
	{ OID("\x60\x86\x48\x01\x65\x03\x04\x01\x16"), ENVELOPED_AES192_CBC, "aes-192-cbc", 24, false },
	{ OID("\x60\x86\x48\x01\x65\x03\x04\x01\x2a"), ENVELOPED_AES256_CBC, "aes-256-cbc", 32, false },
	{ OID("\x60\x86\x48\x01\x65\x03\x04\x01\x06"), ENVELOPED_AES128_GCM, "aes-128-gcm", 16, true },
	{ OID("\x60\x86\x48\x01\x65\x03\x04\x01\x1a"), ENVELOPED_AES192_GCM, "aes-192-gcm", 24, true },
	{ OID("\x60\x86\x48\x01\x65\x03\x04\x01\x2e"), ENVELOPED_AES256_GCM, "aes-256-gcm", 32, true },
};

/* dhSinglePass-stdDH-*kdf-scheme, and -cofactorDH-: on P-256 and P-384, whose cofactor is 1, the same (RFC 5753 7.1.4). */
static const struct {
	struct slice oid;
	enum key_hash kdf;
} schemes[] = {
	{ OID("\x2b\x81\x05\x10\x86\x48\x3f\x00\x02"), KEY_HASH_SHA1 },
	{ OID("\x2b\x81\x04\x01\x0b\x00"), KEY_HASH_SHA224 },
	{ OID("\x2b\x81\x04\x01\x0b\x01"), KEY_HASH_SHA256 },
	{ OID("\x2b\x81\x04\x01\x0b\x02"), KEY_HASH_SHA384 },
	{ OID("\x2b\x81\x04\x01\x0b\x03"), KEY_HASH_SHA512 },
	{ OID("\x2b\x81\x05\x10\x86\x48\x3f\x00\x03"), KEY_HASH_SHA1 },
	{ OID("\x2b\x81\x04\x01\x0e\x00"), KEY_HASH_SHA224 },
	{ OID("\x2b\x81\x04\x01\x0e\x01"), KEY_HASH_SHA256 },
	{ OID("\x2b\x81\x04\x01\x0e\x02"), KEY_HASH_SHA384 },
	{ OID("\x2b\x81\x04\x01\x0e\x03"), KEY_HASH_SHA512 },
};

static const struct {
	struct slice oid;
	size_t len;
} wraps[] = {
	{ OID("\x60\x86\x48\x01\x65\x03\x04\x01\x05"), 16 },
	{ OID("\x60\x86\x48\x01\x65\x03\x04\x01\x19"), 24 },
	{ OID("\x60\x86\x48\x01\x65\x03\x04\x01\x2d"), 32 },
};

const char *
enveloped_cipher_name(enum enveloped_cipher cipher)
{
	for (size_t i = 0; i < N_ELEMENTS(ciphers); i++) {
		if (ciphers[i].cipher == cipher)
			return ciphers[i].name;
	}
	return "unknown";
}

size_t
enveloped_key_len(enum enveloped_cipher cipher)
{
	for (size_t i = 0; i < N_ELEMENTS(ciphers); i++) {
		if (ciphers[i].cipher == cipher)
			return ciphers[i].key_len;
	}
	return 0;
}

bool
enveloped_is_aead(enum enveloped_cipher cipher)
{
	for (size_t i = 0; i < N_ELEMENTS(ciphers); i++) {
		if (ciphers[i].cipher == cipher)
			return ciphers[i].aead;
	}
	return false;
}

/* What the gate knows while it walks one object. */
struct walk {
	struct enveloped_facts *facts;
	bool aead;         /* an AuthEnvelopedData */
	size_t tag_len;    /* that its parameters name */
	bool unsupported;  /* `why` says what; something malformed still outranks it */
};

/* Always false: handed up, it ends the walk. */
static bool PRINTF_LIKE(2, 3)
refuse(struct walk *walk, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(walk->facts->why, sizeof(walk->facts->why), fmt, args);
	va_end(args);
	walk->facts->state = ENVELOPED_MALFORMED;
	return false;
}

static void
note_unsupported(struct walk *walk, const char *why)
{
	if (!walk->unsupported)
		snprintf(walk->facts->why, sizeof(walk->facts->why), "%s", why);
	walk->unsupported = true;
}

static bool
take_version(struct walk *walk, struct ber *in, const char *of, int *ret)
{
	struct element version;

	if (!ber_take(in, BER_INTEGER, &version) || version.content.len != 1 || version.content.at[0] > MAX_VERSION)
		return refuse(walk, "%s without a version from 0 to %d", of, MAX_VERSION);
	*ret = version.content.at[0];
	return true;
}

/* ---- whose certificate is meant ---- */

static bool
read_issuer_and_serial(struct ber in, struct enveloped_recipient *ret)
{
	struct element issuer, serial;

	if (!ber_take(&in, BER_SEQUENCE, &issuer) || !ber_take(&in, BER_INTEGER, &serial) || !ber_done(&in) || serial.content.len == 0)
		return false;
	ret->issuer = issuer.whole;
	ret->serial = serial.whole;
	return true;
}

/* RecipientKeyIdentifier: the identifier, and a date and more that nobody looks at. */
static bool
read_key_identifier(struct ber in, struct enveloped_recipient *ret)
{
	struct element id;

	if (!ber_take(&in, BER_OCTETS, &id) || id.content.len == 0)
		return false;
	ret->key_id = id.content;
	return true;
}

static bool
take_recipient_id(struct walk *walk, struct ber *in, struct enveloped_recipient *ret)
{
	struct element id;
	bool read = false;

	if (ber_next(in, &id)) {
		if (id.tag == BER_SEQUENCE)
			read = read_issuer_and_serial(ber_inside(in, &id), ret);
		else if (id.tag == BER_CONTEXT_0)
			read = read_key_identifier(ber_inside(in, &id), ret);
		else if (id.tag == BER_CONTEXT_0_PRIMITIVE && id.content.len > 0) {
			ret->key_id = id.content;
			read = true;
		}
	}
	return read || refuse(walk, "a RecipientInfo that names no certificate (RFC 5652 6.2)");
}

/* ---- key transport ---- */

static enum key_hash
hash_of(enum gate_digest digest)
{
	switch (digest) {
	case GATE_DIGEST_SHA1:
		return KEY_HASH_SHA1;
	case GATE_DIGEST_SHA256:
		return KEY_HASH_SHA256;
	case GATE_DIGEST_SHA384:
		return KEY_HASH_SHA384;
	case GATE_DIGEST_SHA512:
		return KEY_HASH_SHA512;
	case GATE_DIGEST_MD5:
	case GATE_DIGEST_UNKNOWN:
		break;
	}
	return KEY_HASH_UNKNOWN;
}

static enum key_hash
take_hash(struct ber *in)
{
	enum gate_digest digest = GATE_DIGEST_UNKNOWN;

	return algorithm_digest(in, &digest) == ALGORITHM_READ ? hash_of(digest) : KEY_HASH_UNKNOWN;
}

/* A field that is there is explicitly tagged; one that is left out is SHA-1 (RFC 4055 4.1). */
static enum key_hash
oaep_hash(struct ber *in)
{
	enum key_hash hash;
	struct element wrap;
	struct ber inside;

	if (ber_peek(in) != BER_CONTEXT_0)
		return KEY_HASH_SHA1;
	if (!ber_next(in, &wrap))
		return KEY_HASH_UNKNOWN;
	inside = ber_inside(in, &wrap);
	hash = take_hash(&inside);
	return ber_done(&inside) ? hash : KEY_HASH_UNKNOWN;
}

static enum key_hash
oaep_mask(struct ber *in)
{
	struct algorithm_id id;
	enum key_hash hash;
	struct element wrap;
	struct ber inside;

	if (ber_peek(in) != BER_CONTEXT_1)
		return KEY_HASH_SHA1;
	if (!ber_next(in, &wrap))
		return KEY_HASH_UNKNOWN;
	inside = ber_inside(in, &wrap);
	if (!algorithm_take(&inside, &id) || !ber_done(&inside) || !slice_equal(id.oid, id_mgf1))
		return KEY_HASH_UNKNOWN;
	hash = take_hash(&id.params);
	return ber_done(&id.params) ? hash : KEY_HASH_UNKNOWN;
}

/* The label, which has to be the empty one. */
static bool
is_empty_label(struct ber *in)
{
	struct algorithm_id id;
	struct element wrap, label;
	struct ber inside;

	if (ber_done(in))
		return true;
	if (!ber_take(in, BER_CONTEXT_2, &wrap) || !ber_done(in))
		return false;
	inside = ber_inside(in, &wrap);
	return algorithm_take(&inside, &id) && ber_done(&inside) && slice_equal(id.oid, id_p_specified)
	    && ber_take(&id.params, BER_OCTETS, &label) && label.content.len == 0;
}

/* Parameters left out mean the defaults; what cannot be read is never taken for v1.5. */
bool
enveloped_read_oaep(struct ber params, struct key_transport *ret)
{
	struct element all;
	struct ber in;

	if (ber_done(&params)) {
		*ret = (struct key_transport){ .padding = KEY_PADDING_OAEP, .digest = KEY_HASH_SHA1, .mask = KEY_HASH_SHA1 };
		return true;
	}
	if (!ber_take(&params, BER_SEQUENCE, &all))
		return false;
	in = ber_inside(&params, &all);
	ret->digest = oaep_hash(&in);
	ret->mask = oaep_mask(&in);
	ret->padding = KEY_PADDING_OAEP;
	return ret->digest != KEY_HASH_UNKNOWN && ret->mask != KEY_HASH_UNKNOWN && is_empty_label(&in);
}

static bool
read_transport_algorithm(const struct algorithm_id *id, struct key_transport *ret)
{
	if (slice_equal(id->oid, id_rsa)) {
		ret->padding = KEY_PADDING_V15;
		return id->plain;
	}
	return slice_equal(id->oid, id_oaep) && enveloped_read_oaep(id->params, ret);
}

static struct enveloped_recipient *
next_recipient(struct walk *walk)
{
	struct enveloped_facts *facts = walk->facts;

	if (facts->n_recipients == LIMIT_CMS_RECIPIENTS) {
		refuse(walk, "more than %d recipients", LIMIT_CMS_RECIPIENTS);
		return NULL;
	}
	return &facts->recipients[facts->n_recipients++];
}

/* KeyTransRecipientInfo (RFC 5652 6.2.1). */
static bool
read_transport(struct walk *walk, struct ber in)
{
	struct enveloped_recipient *recipient = next_recipient(walk);
	struct key_transport how = { .padding = KEY_PADDING_UNKNOWN };
	struct algorithm_id id;
	struct element block;
	int version;

	if (!recipient || !take_version(walk, &in, "a KeyTransRecipientInfo", &version) || !take_recipient_id(walk, &in, recipient))
		return false;
	if (version != (recipient->key_id.len ? 2 : 0))
		return refuse(walk, "a KeyTransRecipientInfo of version %d; want %d (RFC 5652 6.2.1)", version, recipient->key_id.len ? 2 : 0);
	if (!algorithm_take(&in, &id) || !ber_take(&in, BER_OCTETS, &block) || !ber_done(&in))
		return refuse(walk, "a KeyTransRecipientInfo that cannot be read");
	if (block.content.len == 0 || block.content.len > MAX_BLOCK)
		return refuse(walk, "an encrypted key of %zu bytes; want 1 to %d", block.content.len, MAX_BLOCK);
	if (!read_transport_algorithm(&id, &how))
		return true;
	how.block = block.content;
	recipient->transport = how;
	recipient->kind = RECIPIENT_TRANSPORT;
	return true;
}

/* ---- key agreement ---- */

/* OriginatorPublicKey: false where it is another originator, or a key of another kind. */
static bool
read_originator(struct ber in, struct slice *ret)
{
	struct element key, bits, curve;
	struct algorithm_id id;
	struct ber inside;

	if (!ber_take(&in, BER_CONTEXT_1, &key) || !ber_done(&in))
		return false;
	inside = ber_inside(&in, &key);
	if (!algorithm_take(&inside, &id) || !slice_equal(id.oid, id_ec_public_key) || !ber_take(&inside, BER_BITS, &bits) || !ber_done(&inside))
		return false;
	/* The curve may be named; whether the point lies on ours is looked at with our key. Spelled-out curves are not for us. */
	if (!id.plain && !ber_take(&id.params, BER_OID, &curve))
		return false;
	if (bits.content.len < 2 || bits.content.len > 1 + MAX_POINT || bits.content.at[0] != 0)
		return false;
	*ret = (struct slice){ bits.content.at + 1, bits.content.len - 1 };
	return true;
}

static bool
read_wrap(struct ber params, struct key_agreement *ret)
{
	struct algorithm_id id;

	if (!algorithm_take(&params, &id) || !id.plain)
		return false;
	for (size_t i = 0; i < N_ELEMENTS(wraps); i++) {
		if (slice_equal(wraps[i].oid, id.oid)) {
			ret->wrap_len = wraps[i].len;
			ret->wrap_null = id.is_null;
			return true;
		}
	}
	return false;
}

static bool
read_agreement_algorithm(const struct algorithm_id *id, struct key_agreement *ret)
{
	for (size_t i = 0; i < N_ELEMENTS(schemes); i++) {
		if (slice_equal(schemes[i].oid, id->oid)) {
			ret->kdf = schemes[i].kdf;
			return read_wrap(id->params, ret);
		}
	}
	return false;
}

static bool
take_ukm(struct walk *walk, struct ber *in, struct key_agreement *ret)
{
	struct element wrap, octets;
	struct ber inside;

	if (ber_peek(in) != BER_CONTEXT_1)
		return true;
	if (!ber_next(in, &wrap))
		return refuse(walk, "a KeyAgreeRecipientInfo that cannot be read");
	inside = ber_inside(in, &wrap);
	if (!ber_take(&inside, BER_OCTETS, &octets) || !ber_done(&inside) || octets.content.len > KEY_UKM_BYTES)
		return refuse(walk, "keying material that cannot be read, or of more than %d bytes", KEY_UKM_BYTES);
	ret->has_ukm = true;
	ret->ukm = octets.content;
	return true;
}

static bool
read_encrypted_key(struct walk *walk, struct ber in, const struct key_agreement *how, bool handled)
{
	struct enveloped_recipient *recipient = next_recipient(walk);
	struct element wrapped;

	if (!recipient || !take_recipient_id(walk, &in, recipient))
		return false;
	if (!ber_take(&in, BER_OCTETS, &wrapped) || !ber_done(&in))
		return refuse(walk, "a RecipientEncryptedKey that cannot be read");
	if (!handled)
		return true;
	recipient->agreement = *how;
	recipient->agreement.wrapped = wrapped.content;
	recipient->kind = RECIPIENT_AGREEMENT;
	return true;
}

/* KeyAgreeRecipientInfo (RFC 5652 6.2.2): one key of the sender's, and a wrapped key for each recipient. */
static bool
read_agreement(struct walk *walk, struct ber in)
{
	struct key_agreement how = { .kdf = KEY_HASH_UNKNOWN };
	struct element originator, keys, one;
	struct algorithm_id id;
	struct ber inside;
	bool handled;
	int version;

	if (!take_version(walk, &in, "a KeyAgreeRecipientInfo", &version))
		return false;
	if (version != 3)
		return refuse(walk, "a KeyAgreeRecipientInfo of version %d; want 3 (RFC 5652 6.2.2)", version);
	if (!ber_take(&in, BER_CONTEXT_0, &originator))
		return refuse(walk, "a KeyAgreeRecipientInfo without an originator");
	handled = read_originator(ber_inside(&in, &originator), &how.point);
	if (!take_ukm(walk, &in, &how))
		return false;
	if (!algorithm_take(&in, &id) || !ber_take(&in, BER_SEQUENCE, &keys) || !ber_done(&in) || keys.content.len == 0)
		return refuse(walk, "a KeyAgreeRecipientInfo that cannot be read");
	handled = read_agreement_algorithm(&id, &how) && handled;
	for (inside = ber_inside(&in, &keys); !ber_done(&inside);) {
		if (!ber_take(&inside, BER_SEQUENCE, &one))
			return refuse(walk, "a RecipientEncryptedKey that cannot be read");
		if (!read_encrypted_key(walk, ber_inside(&inside, &one), &how, handled))
			return false;
	}
	return true;
}

/* ---- recipientInfos ---- */

static bool
read_recipient(struct walk *walk, const struct ber *in, const struct element *info)
{
	switch (info->tag) {
	case BER_SEQUENCE:
		return read_transport(walk, ber_inside(in, info));
	case BER_CONTEXT_1:
		return read_agreement(walk, ber_inside(in, info));
	case BER_CONTEXT_2:
		return refuse(walk, "a KEKRecipientInfo; want certificates as recipients only");
	case BER_CONTEXT_3:
		return refuse(walk, "a PasswordRecipientInfo; want certificates as recipients only");
	case BER_CONTEXT_4:
		return refuse(walk, "an OtherRecipientInfo; want certificates as recipients only");
	default: /* not an enum: any octet */
		return refuse(walk, "a RecipientInfo that cannot be read");
	}
}

static bool
take_recipients(struct walk *walk, struct ber *in)
{
	struct element set, info;
	struct ber inside;

	if (!ber_take(in, BER_SET, &set))
		return refuse(walk, "no recipientInfos (RFC 5652 6.1)");
	for (inside = ber_inside(in, &set); !ber_done(&inside);) {
		if (!ber_next(&inside, &info))
			return refuse(walk, "a RecipientInfo that cannot be read");
		if (!read_recipient(walk, &inside, &info))
			return false;
	}
	return walk->facts->n_recipients > 0 || refuse(walk, "no RecipientInfo (RFC 5652 6.1)");
}

/* ---- the content ---- */

static bool
read_cbc(struct walk *walk, struct ber params)
{
	struct element iv;

	if (!ber_take(&params, BER_OCTETS, &iv) || iv.content.len != BLOCK_BYTES)
		return refuse(walk, "AES-CBC without an IV of %d bytes (RFC 3565 2.3.1)", BLOCK_BYTES);
	walk->facts->iv = iv.content;
	return true;
}

static bool
read_gcm(struct walk *walk, struct ber params)
{
	struct element all, nonce, len = { .tag = 0 };
	struct ber in;

	if (!ber_take(&params, BER_SEQUENCE, &all))
		return refuse(walk, "AES-GCM without its parameters (RFC 5084 3.2)");
	in = ber_inside(&params, &all);
	if (!ber_take(&in, BER_OCTETS, &nonce) || nonce.content.len != NONCE_BYTES)
		return refuse(walk, "AES-GCM without a nonce of %d bytes (RFC 5084 3.2)", NONCE_BYTES);
	walk->facts->iv = nonce.content;
	walk->tag_len = TAG_LEAST; /* what a length that is left out means */
	if (!ber_done(&in) && (!ber_take(&in, BER_INTEGER, &len) || !ber_done(&in) || len.content.len != 1))
		return refuse(walk, "AES-GCM with parameters that cannot be read (RFC 5084 3.2)");
	if (len.tag)
		walk->tag_len = len.content.at[0];
	if (walk->tag_len < TAG_LEAST || walk->tag_len > TAG_MOST)
		return refuse(walk, "AES-GCM with a tag of %zu bytes; want %d to %d (RFC 5084 3.2)", walk->tag_len, TAG_LEAST, TAG_MOST);
	return true;
}

static bool
take_cipher(struct walk *walk, struct ber *in)
{
	struct algorithm_id id;

	if (!algorithm_take(in, &id))
		return refuse(walk, "a content cipher that cannot be read");
	for (size_t i = 0; i < N_ELEMENTS(ciphers); i++) {
		if (!slice_equal(ciphers[i].oid, id.oid))
			continue;
		if (ciphers[i].aead != walk->aead)
			return refuse(walk, "%s in %s (RFC 8551 2.7)", ciphers[i].name, walk->aead ? "an AuthEnvelopedData" : "an EnvelopedData");
		walk->facts->cipher = ciphers[i].cipher;
		return ciphers[i].aead ? read_gcm(walk, id.params) : read_cbc(walk, id.params);
	}
	note_unsupported(walk, walk->aead ? "the content cipher is not handled; want AES-GCM" : "the content cipher is not handled; want AES-CBC");
	return true;
}

/* Every piece is an OCTET STRING, or again made of some. Adds up their lengths; with `room` copies them there too. */
static bool
join(struct ber in, unsigned char *room, size_t *len)
{
	while (!ber_done(&in)) {
		struct element piece;

		if (!ber_next(&in, &piece))
			return false;
		if (piece.tag == BER_OCTETS_IN_PIECES) {
			if (!join(ber_inside(&in, &piece), room, len))
				return false;
			continue;
		}
		if (piece.tag != BER_OCTETS)
			return false;
		/* The room may be the object's own, with pieces still to come: they all lie behind what is written. */
		if (room && piece.content.len)
			memmove(room + *len, piece.content.at, piece.content.len);
		*len += piece.content.len;
	}
	return true;
}

static bool
take_ciphertext(struct walk *walk, struct ber *in)
{
	struct enveloped_facts *facts = walk->facts;
	struct element content;

	if (!ber_next(in, &content) || !ber_done(in))
		return refuse(walk, "no encrypted content, or more than one");
	facts->pieces = content.whole;
	if (content.tag == BER_CONTEXT_0_PRIMITIVE) {
		facts->content = content.content;
		facts->content_len = content.content.len;
	} else if (content.tag != BER_CONTEXT_0 || !join(ber_inside(in, &content), NULL, &facts->content_len)) {
		return refuse(walk, "encrypted content that is no OCTET STRING, or nested too deep");
	}
	if (facts->cipher == ENVELOPED_CIPHER_UNKNOWN || walk->aead)
		return true;
	if (facts->content_len == 0 || facts->content_len % BLOCK_BYTES != 0)
		return refuse(walk, "%zu bytes of AES-CBC; want whole blocks of %d", facts->content_len, BLOCK_BYTES);
	return true;
}

static bool
take_content(struct walk *walk, struct ber *in)
{
	struct element all, type;
	struct ber inside;

	if (!ber_take(in, BER_SEQUENCE, &all))
		return refuse(walk, "no encryptedContentInfo (RFC 5652 6.1)");
	inside = ber_inside(in, &all);
	if (!ber_take(&inside, BER_OID, &type))
		return refuse(walk, "an encryptedContentInfo without a type");
	if (!slice_equal(type.content, id_data))
		note_unsupported(walk, "the encrypted content's type is not id-data (RFC 8551 2.4)");
	return take_cipher(walk, &inside) && take_ciphertext(walk, &inside);
}

/* ---- around it ---- */

/* What nobody uses. */
static bool
step_over(struct walk *walk, struct ber *in, unsigned tag, const char *what)
{
	struct element ignored;

	if (ber_peek(in) != tag)
		return true;
	if (!ber_next(in, &ignored))
		return refuse(walk, "%s that cannot be read", what);
	if (ignored.content.len > MAX_IGNORED)
		return refuse(walk, "%s of %zu bytes; want at most %d", what, ignored.content.len, MAX_IGNORED);
	return true;
}

/* Their DER goes into the tag as a SET (RFC 5083 2.2), so that only DER can be checked. */
static bool
take_attributes(struct walk *walk, struct ber *in)
{
	struct element attributes;

	if (ber_peek(in) != BER_CONTEXT_1)
		return true;
	if (!ber_next(in, &attributes) || attributes.content.len == 0 || attributes.content.len > LIMIT_CMS_SIGNER_BYTES
	    || !ber_is_der(ber_inside(in, &attributes)))
		return refuse(walk, "authenticated attributes that are no DER, empty, or of more than %d bytes (RFC 5083 2.1)",
		    LIMIT_CMS_SIGNER_BYTES);
	walk->facts->attributes = attributes.content;
	return true;
}

static bool
take_tag(struct walk *walk, struct ber *in)
{
	struct element tag;

	if (!ber_take(in, BER_OCTETS, &tag))
		return refuse(walk, "no authentication tag (RFC 5083 2.1)");
	if (walk->facts->cipher != ENVELOPED_CIPHER_UNKNOWN && tag.content.len != walk->tag_len)
		return refuse(walk, "a tag of %zu bytes; want the %zu that the parameters name (RFC 5084 3.2)", tag.content.len, walk->tag_len);
	walk->facts->tag = tag.content;
	return true;
}

static bool
read_data(struct walk *walk, struct ber *wrap)
{
	const char *name = walk->aead ? "an AuthEnvelopedData" : "an EnvelopedData";
	struct element data;
	struct ber in;
	int version;

	if (!ber_take(wrap, BER_SEQUENCE, &data) || !ber_done(wrap))
		return refuse(walk, "%s that cannot be read", name);
	in = ber_inside(wrap, &data);
	if (!take_version(walk, &in, name, &version) || !step_over(walk, &in, BER_CONTEXT_0, "originatorInfo") || !take_recipients(walk, &in)
	    || !take_content(walk, &in))
		return false;
	if (walk->aead && (!take_attributes(walk, &in) || !take_tag(walk, &in)))
		return false;
	if (!step_over(walk, &in, walk->aead ? BER_CONTEXT_2 : BER_CONTEXT_1, "unprotected attributes"))
		return false;
	return ber_done(&in) || refuse(walk, "something behind the last field of %s", name);
}

/* The content cipher says how long its key is; every recipient must ask for that. */
static void
set_key_len(struct enveloped_facts *facts)
{
	const size_t len = enveloped_key_len(facts->cipher);

	for (size_t i = 0; i < facts->n_recipients; i++) {
		facts->recipients[i].transport.content_len = len;
		facts->recipients[i].agreement.content_len = len;
	}
}

void
enveloped_read(struct slice cms, struct enveloped_facts *ret)
{
	size_t work = ber_budget(cms.len);
	struct ber all = { .rest = cms, .depth = 1, .work = &work }, content;
	struct walk walk = { .facts = ret };
	struct slice type;

	*ret = (struct enveloped_facts){ .state = ENVELOPED_MALFORMED };
	if (cms.len > LIMIT_MESSAGE_BYTES || !gate_open(&all, &type, &content)) {
		refuse(&walk, "no ContentInfo, or bytes behind it, or nested deeper than %d (RFC 5652 3)", LIMIT_CMS_DEPTH);
		return;
	}
	walk.aead = slice_equal(type, id_auth_enveloped);
	if (!walk.aead && !slice_equal(type, id_enveloped)) {
		ret->state = ENVELOPED_UNSUPPORTED;
		snprintf(ret->why, sizeof(ret->why), "a ContentInfo of type %s; want envelopedData or authEnvelopedData", gate_content_type(cms));
		return;
	}
	if (!read_data(&walk, &content))
		return;
	set_key_len(ret);
	ret->state = walk.unsupported ? ENVELOPED_UNSUPPORTED : ENVELOPED_PASSES;
}

void
enveloped_join(const struct enveloped_facts *facts, unsigned char *room)
{
	size_t work = ber_budget(facts->pieces.len);
	struct ber in = { .rest = facts->pieces, .depth = 1, .work = &work };
	struct element content;
	size_t len = 0;

	if (facts->content.at)
		memmove(room, facts->content.at, facts->content_len);
	else if (ber_next(&in, &content))
		(void)join(ber_inside(&in, &content), room, &len);
}
