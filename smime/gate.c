#include "smime/gate_walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SIGNERS_COUNTED = 4 };

static const struct {
	struct slice oid;
	const char *name;
} content_types[] = {
	{ GATE_OID(GATE_ID_DATA), "data" },
	{ GATE_OID("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"), "signedData" },
	{ GATE_OID("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"), "envelopedData" },
	{ GATE_OID("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x05"), "digestedData" },
	{ GATE_OID("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06"), "encryptedData" },
	{ GATE_OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x02"), "authenticatedData" },
	{ GATE_OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09"), "compressedData" },
	{ GATE_OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17"), "authEnvelopedData" },
};

bool
gate_refuse(struct gate_walk *walk, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(walk->facts->why, sizeof(walk->facts->why), fmt, args);
	va_end(args);
	walk->facts->state = GATE_MALFORMED;
	return false;
}

void
gate_note_unsupported(struct gate_walk *walk, const char *why)
{
	if (!walk->unsupported)
		snprintf(walk->facts->why, sizeof(walk->facts->why), "%s", why);
	walk->unsupported = true;
}

static const char *
type_name(struct slice oid)
{
	for (size_t i = 0; i < N_ELEMENTS(content_types); i++) {
		if (slice_equal(content_types[i].oid, oid))
			return content_types[i].name;
	}
	return "other";
}

bool
gate_open(struct ber *all, struct slice *type, struct ber *content)
{
	struct element info, oid, wrap;
	struct ber in;

	if (!ber_take(all, BER_SEQUENCE, &info) || !ber_done(all))
		return false;
	in = ber_inside(all, &info);
	if (!ber_take(&in, BER_OID, &oid) || !ber_take(&in, BER_CONTEXT_0, &wrap) || !ber_done(&in))
		return false;
	*type = oid.content;
	*content = ber_inside(&in, &wrap);
	return true;
}

const char *
gate_content_type(struct slice cms)
{
	size_t work = ber_budget(cms.len);
	struct ber all = { .rest = cms, .depth = 1, .work = &work }, content;
	struct slice type;

	return gate_open(&all, &type, &content) ? type_name(type) : "";
}

bool
gate_may_be_signed(struct slice beginning)
{
	const struct slice type = content_types[1].oid;

	return memmem(beginning.at, beginning.len, type.at, type.len) != NULL;
}

/* ---- SignerInfo ---- */

static bool
take_version(struct gate_walk *walk, struct ber *in, const char *of, int *ret)
{
	struct element version;

	if (!ber_take(in, BER_INTEGER, &version) || version.content.len != 1 || version.content.at[0] > 5)
		return gate_refuse(walk, "a %s without a version from 0 to 5", of);
	*ret = version.content.at[0];
	return true;
}

/* The certificate that is meant: issuer and serial number (version 1), or key identifier (version 3). */
static bool
take_signer_id(struct gate_walk *walk, struct ber *in, int version)
{
	struct gate_facts *facts = walk->facts;
	struct element id, issuer, serial;
	struct ber inside;

	if (ber_peek(in) == BER_CONTEXT_0_PRIMITIVE) {
		if (version != 3 || !ber_next(in, &id) || id.content.len == 0)
			return gate_refuse(walk, "a SignerInfo by key identifier of version %d; want 3 (RFC 5652 5.3)", version);
		facts->key_id = id.content;
		return true;
	}
	if (version != 1)
		return gate_refuse(walk, "a SignerInfo by issuer and serial number of version %d; want 1 (RFC 5652 5.3)", version);
	if (!ber_take(in, BER_SEQUENCE, &id))
		return gate_refuse(walk, "a SignerInfo that names no certificate");
	inside = ber_inside(in, &id);
	if (!ber_take(&inside, BER_SEQUENCE, &issuer) || !ber_take(&inside, BER_INTEGER, &serial) || !ber_done(&inside)
	    || serial.content.len == 0)
		return gate_refuse(walk, "a SignerInfo whose issuer and serial number cannot be read");
	facts->issuer = issuer.whole;
	facts->serial = serial.whole;
	return true;
}

static bool
is_listed(const struct gate_walk *walk, enum gate_digest digest)
{
	for (size_t i = 0; i < walk->n_listed; i++) {
		if (walk->listed[i] == digest)
			return true;
	}
	return false;
}

static bool
take_signer_digest(struct gate_walk *walk, struct ber *in)
{
	switch (algorithm_digest(in, &walk->facts->digest)) {
	case ALGORITHM_READ:
		return is_listed(walk, walk->facts->digest)
		    || gate_refuse(walk, "the SignerInfo's %s is not among digestAlgorithms", gate_digest_name(walk->facts->digest));
	case ALGORITHM_UNSUPPORTED:
		gate_note_unsupported(walk, "the digest algorithm is not handled; want SHA-256, SHA-384 or SHA-512");
		return true;
	case ALGORITHM_UNKNOWN:
	case ALGORITHM_MALFORMED:
	case ALGORITHM_OTHER_DIGEST:
		break;
	}
	return gate_refuse(walk, "a SignerInfo whose digest algorithm cannot be read");
}

static bool
take_signature_algorithm(struct gate_walk *walk, struct ber *in)
{
	switch (algorithm_signature(in, walk->facts->digest)) {
	case ALGORITHM_READ:
		return true;
	case ALGORITHM_UNSUPPORTED:
		gate_note_unsupported(walk, "the signature algorithm is not handled; want RSA, RSASSA-PSS with the message's digest, or ECDSA");
		return true;
	case ALGORITHM_OTHER_DIGEST:
		if (walk->facts->digest == GATE_DIGEST_UNKNOWN)
			return true; /* the digest is not handled, which is noted */
		return gate_refuse(walk, "the signature algorithm names another digest than the SignerInfo's %s",
		    gate_digest_name(walk->facts->digest));
	case ALGORITHM_UNKNOWN:
	case ALGORITHM_MALFORMED:
		break;
	}
	return gate_refuse(walk, "a SignerInfo whose signature algorithm cannot be read");
}

static bool
check_digest_len(struct gate_walk *walk)
{
	size_t want = gate_digest_len(walk->facts->digest);
	size_t found = walk->facts->message_digest.len;

	if (want == 0 || found == want)
		return true;
	return gate_refuse(walk, "a messageDigest of %zu bytes; want %zu of %s", found, want, gate_digest_name(walk->facts->digest));
}

static bool
read_signer(struct gate_walk *walk, struct ber *in)
{
	struct element signature, ignored;
	int version;

	if (!take_version(walk, in, "SignerInfo", &version) || !take_signer_id(walk, in, version)
	    || !take_signer_digest(walk, in) || !gate_take_attributes(walk, in) || !check_digest_len(walk)
	    || !take_signature_algorithm(walk, in))
		return false;
	if (!ber_take(in, BER_OCTETS, &signature) || signature.content.len == 0)
		return gate_refuse(walk, "a SignerInfo without a signature in one piece");
	walk->facts->signature = signature.content;
	if (ber_peek(in) == BER_CONTEXT_1 && !ber_next(in, &ignored))
		return gate_refuse(walk, "unsigned attributes that cannot be read");
	return ber_done(in) || gate_refuse(walk, "something behind the SignerInfo's last field");
}

static bool
take_signers(struct gate_walk *walk, struct ber *in)
{
	struct gate_facts *facts = walk->facts;
	struct element set, info, first = { 0 };
	struct ber inside, signer;

	if (!ber_take(in, BER_SET, &set))
		return gate_refuse(walk, "no signerInfos (RFC 5652 5.1)");
	inside = ber_inside(in, &set);
	while (!ber_done(&inside) && facts->n_signers < MAX_SIGNERS_COUNTED) {
		if (!ber_take(&inside, BER_SEQUENCE, &info))
			return gate_refuse(walk, "a SignerInfo that cannot be read");
		if (info.whole.len > LIMIT_CMS_SIGNER_BYTES)
			return gate_refuse(walk, "a SignerInfo of %zu bytes; want at most %d", info.whole.len, LIMIT_CMS_SIGNER_BYTES);
		if (facts->n_signers++ == 0)
			first = info;
	}
	if (facts->n_signers > 1)
		return gate_refuse(walk, "%zu%s SignerInfos; want exactly 1", facts->n_signers, ber_done(&inside) ? "" : " or more");
	if (facts->n_signers == 0)
		return true;
	signer = ber_inside(&inside, &first);
	return read_signer(walk, &signer);
}

/* ---- SignedData ---- */

static bool
take_digests(struct gate_walk *walk, struct ber *in)
{
	struct element set;
	struct ber inside;

	if (!ber_take(in, BER_SET, &set))
		return gate_refuse(walk, "no digestAlgorithms (RFC 5652 5.1)");
	inside = ber_inside(in, &set);
	while (!ber_done(&inside)) {
		enum gate_digest digest = GATE_DIGEST_UNKNOWN;

		if (walk->n_listed == GATE_MAX_DIGESTS)
			return gate_refuse(walk, "more than %d digestAlgorithms", GATE_MAX_DIGESTS);
		switch (algorithm_digest(&inside, &digest)) {
		case ALGORITHM_READ:
		case ALGORITHM_UNSUPPORTED: /* it may be there for nobody; the SignerInfo's counts */
			walk->listed[walk->n_listed++] = digest;
			break;
		case ALGORITHM_UNKNOWN:
		case ALGORITHM_MALFORMED:
		case ALGORITHM_OTHER_DIGEST:
			return gate_refuse(walk, "digestAlgorithms that cannot be read");
		}
	}
	return true;
}

/* Every piece is an OCTET STRING, or again made of some. With `room` NULL only checked. */
static bool
join_pieces(struct ber in, struct buf *room)
{
	while (!ber_done(&in)) {
		struct element piece;

		if (!ber_next(&in, &piece))
			return false;
		if (piece.tag == BER_OCTETS_IN_PIECES) {
			if (!join_pieces(ber_inside(&in, &piece), room))
				return false;
		} else if (piece.tag != BER_OCTETS) {
			return false;
		} else if (room) {
			buf_add_slice(room, piece.content);
		}
	}
	return true;
}

static bool
read_content(struct gate_walk *walk, struct ber *in)
{
	struct gate_facts *facts = walk->facts;
	struct element octets;

	if (!ber_next(in, &octets) || !ber_done(in))
		return gate_refuse(walk, "an eContent that cannot be read");
	facts->has_content = true;
	facts->pieces = octets.whole;
	if (octets.tag == BER_OCTETS)
		facts->content = octets.content;
	else if (octets.tag != BER_OCTETS_IN_PIECES || !join_pieces(ber_inside(in, &octets), NULL))
		return gate_refuse(walk, "an eContent that is no OCTET STRING, or nested too deep");
	return true;
}

static bool
take_content(struct gate_walk *walk, struct ber *in)
{
	struct element all, type, wrap;
	struct ber inside, content;

	if (!ber_take(in, BER_SEQUENCE, &all))
		return gate_refuse(walk, "no encapContentInfo (RFC 5652 5.1)");
	inside = ber_inside(in, &all);
	if (!ber_take(&inside, BER_OID, &type))
		return gate_refuse(walk, "an encapContentInfo without a type");
	if (!slice_equal(type.content, content_types[0].oid))
		return gate_refuse(walk, "a content type that is not id-data: %s (RFC 8551 2.4.1)", type_name(type.content));
	if (ber_take(&inside, BER_CONTEXT_0, &wrap)) {
		content = ber_inside(&inside, &wrap);
		if (!read_content(walk, &content))
			return false;
	}
	return ber_done(&inside) || gate_refuse(walk, "something behind the eContent");
}

static bool
take_certs(struct gate_walk *walk, struct ber *in)
{
	struct gate_facts *facts = walk->facts;
	struct element set, cert;
	struct ber inside;

	if (ber_peek(in) != BER_CONTEXT_0)
		return true;
	if (!ber_next(in, &set))
		return gate_refuse(walk, "certificates that cannot be read");
	inside = ber_inside(in, &set);
	while (!ber_done(&inside)) {
		if (!ber_next(&inside, &cert))
			return gate_refuse(walk, "certificates that cannot be read");
		if (facts->n_certs == LIMIT_CMS_CERTS)
			return gate_refuse(walk, "more than %d certificates", LIMIT_CMS_CERTS);
		if (cert.whole.len > LIMIT_CERT_BYTES)
			return gate_refuse(walk, "a certificate of %zu bytes; want at most %d", cert.whole.len, LIMIT_CERT_BYTES);
		if (cert.tag != BER_SEQUENCE)
			gate_note_unsupported(walk, "a certificate of another kind than X.509 (RFC 5652 10.2.2)");
		facts->certs[facts->n_certs++] = cert.whole;
	}
	return true;
}

/* Never used, but OpenSSL takes them apart: 25 MB of them cost more than 100 MB. */
static bool
take_crls(struct gate_walk *walk, struct ber *in)
{
	struct gate_facts *facts = walk->facts;
	struct element set, crl;
	struct ber inside;

	if (ber_peek(in) != BER_CONTEXT_1)
		return true;
	if (!ber_next(in, &set))
		return gate_refuse(walk, "CRLs that cannot be read");
	if (set.content.len > LIMIT_CMS_CRL_BYTES)
		return gate_refuse(walk, "%zu bytes of embedded CRLs; want at most %d", set.content.len, LIMIT_CMS_CRL_BYTES);
	for (inside = ber_inside(in, &set); !ber_done(&inside); facts->n_crls++) {
		if (!ber_next(&inside, &crl))
			return gate_refuse(walk, "CRLs that cannot be read");
		if (facts->n_crls == LIMIT_CMS_CRLS)
			return gate_refuse(walk, "more than %d embedded CRLs", LIMIT_CMS_CRLS);
		if (crl.tag != BER_SEQUENCE)
			gate_note_unsupported(walk, "revocation information of another kind than a CRL (RFC 5652 10.2.1)");
	}
	return true;
}

/* Where the content has to be, and that it is no trap. */
static bool
check_content(struct gate_walk *walk)
{
	const struct gate_facts *facts = walk->facts;
	bool is_trap;
	AUTO_BUF struct buf room = { 0 };

	if (facts->n_signers == 0) {
		if (walk->detached || facts->has_content)
			return gate_refuse(walk, "no SignerInfo; want exactly 1");
		walk->facts->state = GATE_CERTS_ONLY;
		return true;
	}
	if (walk->detached && facts->has_content)
		return gate_refuse(walk, "eContent beside a detached part; want the content in one place");
	if (!walk->detached && !facts->has_content)
		return gate_refuse(walk, "no eContent, and no part that is signed");
	if (!facts->has_content)
		return true;
	is_trap = gate_is_attributes(gate_content(facts, &room));
	return !is_trap || gate_refuse(walk, "content that is itself a SET of attributes");
}

static bool
read_signed_data(struct gate_walk *walk, struct ber *wrap)
{
	struct element data;
	struct ber in;
	int version;

	if (!ber_take(wrap, BER_SEQUENCE, &data) || !ber_done(wrap))
		return gate_refuse(walk, "a SignedData that cannot be read");
	in = ber_inside(wrap, &data);
	if (!take_version(walk, &in, "SignedData", &version) || !take_digests(walk, &in) || !take_content(walk, &in)
	    || !take_certs(walk, &in) || !take_crls(walk, &in) || !take_signers(walk, &in))
		return false;
	if (!ber_done(&in))
		return gate_refuse(walk, "something behind the signerInfos");
	return check_content(walk);
}

void
gate_signed(struct slice cms, bool detached, struct gate_facts *ret)
{
	size_t work = ber_budget(cms.len);
	struct ber all = { .rest = cms, .depth = 1, .work = &work }, content;
	struct gate_walk walk = { .facts = ret, .detached = detached };
	struct slice type;

	*ret = (struct gate_facts){ .state = GATE_MALFORMED };
	if (cms.len > LIMIT_MESSAGE_BYTES || !gate_open(&all, &type, &content)) {
		gate_refuse(&walk, "no ContentInfo, or bytes behind it, or nested deeper than %d (RFC 5652 3)", LIMIT_CMS_DEPTH);
		return;
	}
	if (!slice_equal(type, content_types[1].oid)) {
		ret->state = GATE_UNSUPPORTED;
		snprintf(ret->why, sizeof(ret->why), "a ContentInfo of type %s; want signedData", type_name(type));
		return;
	}
	if (!read_signed_data(&walk, &content) || ret->state == GATE_CERTS_ONLY)
		return;
	ret->state = walk.unsupported ? GATE_UNSUPPORTED : GATE_PASSES;
}

struct slice
gate_content(const struct gate_facts *facts, struct buf *room)
{
	size_t work = ber_budget(facts->pieces.len);
	struct ber in = { .rest = facts->pieces, .depth = 1, .work = &work };
	struct element octets;

	if (!facts->has_content || facts->content.at)
		return facts->content;
	buf_init(room, facts->pieces.len);
	if (ber_next(&in, &octets))
		join_pieces(ber_inside(&in, &octets), room);
	return buf_slice(room);
}
