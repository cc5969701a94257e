#include "smime/algorithm.h"

enum { MAX_SALT = 1024 };

/* The contents of an OBJECT IDENTIFIER. */
#define OID(text) { (const unsigned char *)(text), sizeof(text) - 1 }

static const struct {
	struct slice oid;
	enum gate_digest digest;
	size_t len;
	const char *name;
} digests[] = {
	{ OID("\x2a\x86\x48\x86\xf7\x0d\x02\x05"), GATE_DIGEST_MD5, 16, "MD5" },
	{ OID("\x2b\x0e\x03\x02\x1a"), GATE_DIGEST_SHA1, 20, "SHA-1" },
	{ OID("\x60\x86\x48\x01\x65\x03\x04\x02\x01"), GATE_DIGEST_SHA256, 32, "SHA-256" },
	{ OID("\x60\x86\x48\x01\x65\x03\x04\x02\x02"), GATE_DIGEST_SHA384, 48, "SHA-384" },
	{ OID("\x60\x86\x48\x01\x65\x03\x04\x02\x03"), GATE_DIGEST_SHA512, 64, "SHA-512" },
};

enum scheme { SCHEME_RSA, SCHEME_ECDSA, SCHEME_PSS };

static const struct {
	struct slice oid;
	enum scheme scheme;
	enum gate_digest digest; /* which it names; unknown = it names none */
} signatures[] = {
	{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), SCHEME_RSA, GATE_DIGEST_UNKNOWN },
	{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04"), SCHEME_RSA, GATE_DIGEST_MD5 },
	{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05"), SCHEME_RSA, GATE_DIGEST_SHA1 },
	{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"), SCHEME_RSA, GATE_DIGEST_SHA256 },
	{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"), SCHEME_RSA, GATE_DIGEST_SHA384 },
	{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"), SCHEME_RSA, GATE_DIGEST_SHA512 },
	{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"), SCHEME_PSS, GATE_DIGEST_UNKNOWN },
	{ OID("\x2a\x86\x48\xce\x3d\x04\x01"), SCHEME_ECDSA, GATE_DIGEST_SHA1 },
	{ OID("\x2a\x86\x48\xce\x3d\x04\x03\x02"), SCHEME_ECDSA, GATE_DIGEST_SHA256 },
	{ OID("\x2a\x86\x48\xce\x3d\x04\x03\x03"), SCHEME_ECDSA, GATE_DIGEST_SHA384 },
	{ OID("\x2a\x86\x48\xce\x3d\x04\x03\x04"), SCHEME_ECDSA, GATE_DIGEST_SHA512 },
};

static const struct slice id_mgf1 = OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08");

const char *
gate_digest_name(enum gate_digest digest)
{
	for (size_t i = 0; i < N_ELEMENTS(digests); i++) {
		if (digests[i].digest == digest)
			return digests[i].name;
	}
	return "unknown";
}

size_t
gate_digest_len(enum gate_digest digest)
{
	for (size_t i = 0; i < N_ELEMENTS(digests); i++) {
		if (digests[i].digest == digest)
			return digests[i].len;
	}
	return 0;
}

bool
algorithm_take(struct ber *in, struct algorithm_id *ret)
{
	struct element all, oid, params;
	struct ber inside;

	if (!ber_take(in, BER_SEQUENCE, &all))
		return false;
	inside = ber_inside(in, &all);
	if (!ber_take(&inside, BER_OID, &oid))
		return false;
	*ret = (struct algorithm_id){ .oid = oid.content, .params = inside, .plain = true };
	if (ber_done(&inside))
		return true;
	if (!ber_next(&inside, &params) || !ber_done(&inside))
		return false;
	ret->is_null = params.tag == BER_NULL && params.content.len == 0;
	ret->plain = ret->is_null;
	return true;
}

enum algorithm_state
algorithm_digest(struct ber *in, enum gate_digest *ret)
{
	struct algorithm_id id;

	if (!algorithm_take(in, &id))
		return ALGORITHM_MALFORMED;
	for (size_t i = 0; i < N_ELEMENTS(digests); i++) {
		if (!slice_equal(digests[i].oid, id.oid))
			continue;
		*ret = digests[i].digest;
		return id.plain ? ALGORITHM_READ : ALGORITHM_MALFORMED;
	}
	return ALGORITHM_UNSUPPORTED;
}

/* An explicitly tagged AlgorithmIdentifier of exactly this digest. */
static bool
is_tagged_digest(struct ber *in, unsigned tag, enum gate_digest want)
{
	enum gate_digest found = GATE_DIGEST_UNKNOWN;
	struct element wrap;
	struct ber inside;

	if (!ber_take(in, tag, &wrap))
		return false;
	inside = ber_inside(in, &wrap);
	return algorithm_digest(&inside, &found) == ALGORITHM_READ && found == want && ber_done(&inside);
}

static bool
is_tagged_mask(struct ber *in, unsigned tag, enum gate_digest want)
{
	enum gate_digest found = GATE_DIGEST_UNKNOWN;
	struct element wrap;
	struct algorithm_id id;
	struct ber inside;

	if (!ber_take(in, tag, &wrap))
		return false;
	inside = ber_inside(in, &wrap);
	if (!algorithm_take(&inside, &id) || !ber_done(&inside) || !slice_equal(id.oid, id_mgf1))
		return false;
	return algorithm_digest(&id.params, &found) == ALGORITHM_READ && found == want;
}

/* A small explicitly tagged INTEGER; -1 where it is none. */
static long
tagged_number(struct ber *in, unsigned tag)
{
	struct element wrap, number;
	struct ber inside;
	long value = 0;

	if (!ber_take(in, tag, &wrap))
		return -1;
	inside = ber_inside(in, &wrap);
	if (!ber_take(&inside, BER_INTEGER, &number) || !ber_done(&inside) || number.content.len - 1 > 1 || number.content.at[0] & 0x80)
		return -1;
	for (size_t i = 0; i < number.content.len; i++)
		value = value << 8 | number.content.at[i];
	return value;
}

/* RFC 4055 3.1. The defaults are SHA-1's, so what is left out is not for us. */
static bool
is_good_pss(struct ber params, enum gate_digest digest)
{
	struct element all;
	struct ber in;
	long salt;

	if (digest < GATE_DIGEST_SHA256 || !ber_take(&params, BER_SEQUENCE, &all))
		return false;
	in = ber_inside(&params, &all);
	if (!is_tagged_digest(&in, BER_CONTEXT_0, digest) || !is_tagged_mask(&in, BER_CONTEXT_1, digest))
		return false;
	salt = tagged_number(&in, BER_CONTEXT_2);
	if (salt < (long)gate_digest_len(digest) || salt > MAX_SALT)
		return false;
	return ber_done(&in) || (tagged_number(&in, BER_CONTEXT_3) == 1 && ber_done(&in));
}

static enum algorithm_state
check_row(size_t row, const struct algorithm_id *id, enum gate_digest digest)
{
	if (signatures[row].scheme == SCHEME_PSS)
		return is_good_pss(id->params, digest) ? ALGORITHM_READ : ALGORITHM_UNSUPPORTED;
	if (!id->plain)
		return ALGORITHM_MALFORMED;
	if (signatures[row].digest != GATE_DIGEST_UNKNOWN && signatures[row].digest != digest)
		return ALGORITHM_OTHER_DIGEST;
	return ALGORITHM_READ;
}

enum algorithm_state
algorithm_signature(struct ber *in, enum gate_digest digest)
{
	struct algorithm_id id;

	if (!algorithm_take(in, &id))
		return ALGORITHM_MALFORMED;
	for (size_t i = 0; i < N_ELEMENTS(signatures); i++) {
		if (slice_equal(signatures[i].oid, id.oid))
			return check_row(i, &id, digest);
	}
	return ALGORITHM_UNSUPPORTED;
}
