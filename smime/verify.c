#include "smime/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "smime/chain_open.h"
#include "smime/fit.h"
#include "smime/layers.h"
#include "smime/protect.h"
#include "smime/seen.h"
#include "smime/signer.h"

AUTO_DEFINE(STACK_OF(X509), sk_X509_free);

/*
 * CMS_NOCRL: a revoked signer may bring along the last CRL that does not list him. CMS_NOINTERN: the
 * certificate is the one we chose and judge. The chain is chain.h's.
 */
enum { VERIFY_FLAGS = CMS_NOCRL | CMS_NOINTERN | CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY };

static void PRINTF_LIKE(3, 4)
outcome(struct signature_facts *ret, enum signature_state state, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(ret->why, sizeof(ret->why), fmt, args);
	va_end(args);
	ret->state = state;
}

/* ---- one signature ---- */

/* What one signature's verification carries along. */
struct judging {
	const struct level *layer;
	const struct signer_cert *signer;
	CMS_ContentInfo *cms;      /* borrowed */
	CMS_SignerInfo *info;      /* cms's */
	struct signature_facts *facts;
};

static bool
malformed(struct judging *judging, const char *why)
{
	outcome(judging->facts, SIGNATURE_MALFORMED, "%s", why);
	return false;
}

static const EVP_MD *
md_of(enum gate_digest digest)
{
	switch (digest) {
	case GATE_DIGEST_MD5:
		return EVP_md5();
	case GATE_DIGEST_SHA1:
		return EVP_sha1();
	case GATE_DIGEST_SHA256:
		return EVP_sha256();
	case GATE_DIGEST_SHA384:
		return EVP_sha384();
	case GATE_DIGEST_SHA512:
		return EVP_sha512();
	case GATE_DIGEST_UNKNOWN:
		break;
	}
	return NULL;
}

static bool
is_digest_of(enum gate_digest digest, struct slice bytes, struct slice want)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	return EVP_Digest(bytes.at, bytes.len, hash, &len, md_of(digest), NULL) == 1
	    && slice_equal((struct slice){ hash, len }, want);
}

static bool
same_signer_id(const struct judging *judging)
{
	const struct gate_facts *gate = &judging->layer->gate;
	ASN1_OCTET_STRING *key_id = NULL;
	ASN1_INTEGER *serial = NULL;
	X509_NAME *issuer = NULL;
	unsigned char *der = NULL;
	bool same;
	int len;

	if (CMS_SignerInfo_get0_signer_id(judging->info, &key_id, &issuer, &serial) != 1)
		return false;
	if (key_id)
		return slice_equal(ossl_slice(key_id), gate->key_id);
	len = i2d_X509_NAME(issuer, &der);
	same = len > 0 && slice_equal((struct slice){ der, (size_t)len }, gate->issuer);
	OPENSSL_free(der);
	der = NULL;
	len = i2d_ASN1_INTEGER(serial, &der);
	same = same && len > 0 && slice_equal((struct slice){ der, (size_t)len }, gate->serial);
	OPENSSL_free(der);
	return same;
}

static bool
same_attributes(const struct judging *judging)
{
	const struct gate_facts *gate = &judging->layer->gate;
	const ASN1_OCTET_STRING *hash = CMS_signed_get0_data_by_OBJ(judging->info, OBJ_nid2obj(NID_pkcs9_messageDigest), -3,
	    V_ASN1_OCTET_STRING);
	const ASN1_OBJECT *type = CMS_signed_get0_data_by_OBJ(judging->info, OBJ_nid2obj(NID_pkcs9_contentType), -3, V_ASN1_OBJECT);
	int n = CMS_signed_get_attr_count(judging->info);

	return n > 0 && (size_t)n == gate->n_attributes && hash && slice_equal(ossl_slice(hash), gate->message_digest)
	    && type && OBJ_obj2nid(type) == NID_pkcs7_data;
}

static bool
same_algorithm(const struct judging *judging)
{
	const ASN1_OBJECT *oid = NULL;
	X509_ALGOR *digest = NULL;

	CMS_SignerInfo_get0_algs(judging->info, NULL, NULL, &digest, NULL);
	if (!digest)
		return false;
	X509_ALGOR_get0(&oid, NULL, NULL, digest);
	return OBJ_obj2nid(oid) == EVP_MD_get_type(md_of(judging->layer->gate.digest));
}

static bool
same_content(const struct judging *judging)
{
	const struct level *layer = judging->layer;
	ASN1_OCTET_STRING **content = CMS_get0_content(judging->cms);
	bool inside = content && *content;

	if (inside != layer->gate.has_content || OBJ_obj2nid(CMS_get0_eContentType(judging->cms)) != NID_pkcs7_data)
		return false;
	if (inside && !slice_equal(ossl_slice(*content), layer->content))
		return false;
	return is_digest_of(layer->gate.digest, layer->content, layer->gate.message_digest);
}

/* The gate's facts once more, as OpenSSL read them. Both verified the same thing, or neither did. */
static bool
compare_readings(struct judging *judging)
{
	static const struct {
		bool (*same)(const struct judging *judging);
		const char *why;
	} rows[] = {
		{ same_signer_id, "two readers see different signers" },
		{ same_algorithm, "two readers see different digest algorithms" },
		{ same_attributes, "two readers see different signed attributes" },
		{ same_content, "two readers see different contents" },
	};
	const ASN1_OCTET_STRING *signature = CMS_SignerInfo_get0_signature(judging->info);

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		if (!rows[i].same(judging))
			return malformed(judging, rows[i].why);
	}
	if (!signature || !slice_equal(ossl_slice(signature), judging->layer->gate.signature))
		return malformed(judging, "two readers see different signature values");
	return true;
}

/* RFC 5035: the signer says by hash whose certificate it is; another one with the same name or key will not do. */
static bool
check_cert_hash(struct judging *judging)
{
	const struct gate_facts *gate = &judging->layer->gate;

	if (gate->cert_hash.len == 0 || is_digest_of(gate->cert_hash_digest, judging->signer->der, gate->cert_hash))
		return true;
	outcome(judging->facts, SIGNATURE_BAD, "the signing-certificate attribute names another certificate (RFC 5035 5)");
	return false;
}

/* Why CMS_verify said no. Our own surroundings are an error, an algorithm that is not there is unsupported. */
static int
read_failure(struct judging *judging, struct err *err)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);
	int why = ERR_GET_REASON(code);

	if (why == ERR_R_MALLOC_FAILURE)
		return ossl_err(err, ERR_TEMP, "cannot verify a signature");
	if (why == ERR_R_UNSUPPORTED || (ERR_GET_LIB(code) == ERR_LIB_EVP && why == EVP_R_UNSUPPORTED_ALGORITHM)
	    || (ERR_GET_LIB(code) == ERR_LIB_CMS && why == CMS_R_UNKNOWN_DIGEST_ALGORITHM))
		outcome(judging->facts, SIGNATURE_UNSUPPORTED, "OpenSSL: %s", reason ? reason : "unsupported");
	else
		outcome(judging->facts, SIGNATURE_BAD, "OpenSSL: %s", reason ? reason : "verification failure");
	return 0;
}

static int
check_value(struct judging *judging, struct err *err)
{
	AUTO(sk_X509_free) STACK_OF(X509) *only = sk_X509_new_null();
	AUTO(BIO_free_all) BIO *content = NULL;
	struct slice bytes = judging->layer->content;

	ERR_clear_error();
	if (!judging->layer->gate.has_content)
		content = BIO_new_mem_buf(bytes.at, (int)bytes.len);
	if (!only || !sk_X509_push(only, judging->signer->cert) || (!judging->layer->gate.has_content && !content))
		return ossl_err(err, ERR_TEMP, "cannot verify a signature");
	if (CMS_verify(judging->cms, only, NULL, content, NULL, VERIFY_FLAGS) != 1)
		return read_failure(judging, err);
	if (compare_readings(judging) && check_cert_hash(judging))
		judging->facts->state = SIGNATURE_GOOD;
	return 0;
}

static int
judge_cms(struct judging *judging, struct err *err)
{
	STACK_OF(CMS_SignerInfo) *infos = CMS_get0_SignerInfos(judging->cms);

	if (sk_CMS_SignerInfo_num(infos) != 1)
		malformed(judging, "two readers count its SignerInfos differently");
	else
		judging->info = sk_CMS_SignerInfo_value(infos, 0);
	if (judging->info && CMS_SignerInfo_cert_cmp(judging->info, judging->signer->cert) != 0)
		malformed(judging, "two readers see different signers");
	else if (judging->info)
		return check_value(judging, err);
	return 0;
}

static int
judge_signature(const struct level *layer, const struct opened *opened, const struct signer_cert *signer, struct signature_facts *ret,
    struct err *err)
{
	struct judging judging = { .layer = layer, .signer = signer, .cms = opened->cms, .facts = ret };
	int result;

	ERR_clear_error();
	result = judge_cms(&judging, err);
	ERR_clear_error();
	return result;
}

/* ---- what the facts say further ---- */

/* The signer and what he signed; the value of an ECDSA signature anybody can change into another good one. */
static int
set_value(const struct gate_facts *gate, struct signature_facts *ret, struct err *err)
{
	AUTO_BUF struct buf both = { 0 };

	ret->n_crls = gate->n_crls;
	ret->has_signing_time = gate->has_signing_time;
	ret->signing_time = gate->signing_time;
	buf_init(&both, sizeof(ret->signer.sha256) + gate->attributes.len);
	buf_add(&both, ret->signer.sha256, sizeof(ret->signer.sha256));
	buf_add_slice(&both, gate->attributes);
	return ossl_sha256(buf_slice(&both), ret->value_sha256, err);
}

static void
set_chain(const struct verify_request *request, const struct opened *opened, const struct signer_cert *signer, struct signature_facts *ret)
{
	const struct chain_request chain = { .trust = request->trust, .at = request->at, .any_strength = request->any_strength };
	AUTO(sk_X509_free) STACK_OF(X509) *helpers = sk_X509_new_null(); /* borrows */

	for (size_t i = 0; i < N_ELEMENTS(opened->certs); i++) {
		if (opened->certs[i] && opened->certs[i] != signer->cert)
			sk_X509_push(helpers, opened->certs[i]);
	}
	chain_judge_open(&chain, signer->cert, helpers, &ret->chain);
}

/* The head of the innermost entity that only signatures lie around. */
static void
set_protection(const struct verify_request *request, const struct levels *layers, struct signature_facts *ret)
{
	const struct level *last = &layers->at[layers->n - 1];
	const struct part *part = last->tree->n_parts > last->root ? &last->tree->parts[last->root] : NULL;
	AUTO_HEAD struct head outside = { 0 }, payload = { 0 };

	if (layers->n < 2 || !part)
		return;
	head_scan(request->message, &outside);
	head_scan((struct slice){ last->bytes.at + part->start, part->end - part->start }, &payload);
	if (!outside.limit && !payload.limit)
		protect_compare(&outside, &payload, ret);
}

static int
judge_good(const struct verify_request *request, const struct levels *layers, struct signature_facts *ret, struct err *err)
{
	const struct gate_facts *gate = &layers->at[0].gate;

	if (set_value(gate, ret, err) == -1)
		return -1;
	fit_unfit(ret);
	if (!request->any_strength)
		fit_weak(gate->digest, ret);
	fit_time(request->at, ret);
	seen_read(gate->attributes, &ret->seen);
	set_protection(request, layers, ret);
	return 0;
}

/* ---- the outermost entity ---- */

/* In a clear-signed entity these are bytes that mail servers change, and readers read differently. */
static const char *
odd_bytes(const struct levels *layers, const struct part_tree *tree)
{
	unsigned flags = 0;

	if (layers->at[0].envelope.kind != ENVELOPE_CLEAR)
		return NULL;
	for (size_t i = 1; i < tree->n_parts; i++)
		flags |= tree->parts[i].head_flags | tree->parts[i].body_flags;
	if (flags & LINE_NUL)
		return "a NUL in the signed part, which cannot be verified as sent";
	if (flags & (LINE_BARE_CR | LINE_BARE_LF))
		return "a bare CR or LF in the signed part, which cannot be verified as sent";
	return NULL;
}

static int
judge_gate(const struct levels *layers, const struct opened *opened, const struct signer_cert *signer, struct signature_facts *ret,
    struct err *err)
{
	const struct gate_facts *gate = &layers->at[0].gate;

	switch (gate->state) {
	case GATE_PASSES:
		if (layers->ambiguous)
			outcome(ret, SIGNATURE_MALFORMED, "ambiguous MIME: %s", layers->ambiguous);
		else if (opened->why)
			outcome(ret, SIGNATURE_MALFORMED, "%s", opened->why);
		else if (!signer->cert)
			outcome(ret, signer->state, "%s", signer->why);
		else
			return judge_signature(&layers->at[0], opened, signer, ret, err);
		return 0;
	case GATE_CERTS_ONLY:
		outcome(ret, SIGNATURE_NONE, "certificates only");
		ret->coverage = COVERAGE_NONE;
		ret->layers[0] = '\0';
		return 0;
	case GATE_UNSUPPORTED:
		outcome(ret, SIGNATURE_UNSUPPORTED, "%s", gate->why);
		return 0;
	case GATE_UNKNOWN:
	case GATE_MALFORMED:
		break;
	}
	outcome(ret, SIGNATURE_MALFORMED, "%s", gate->why);
	return 0;
}

/* Signature and path are told apart: a path is judged for whoever is named as the signer, whatever he signed. */
static int
judge_object(const struct verify_request *request, const struct levels *layers, struct signature_facts *ret, struct err *err)
{
	const struct level *outer = &layers->at[0];
	AUTO_OPENED struct opened opened = { 0 };
	struct signer_cert signer;

	if (opened_read(buf_slice(&outer->envelope.cms), &outer->gate, &opened, err) == -1)
		return -1;
	signer_find(&outer->gate, &opened, &signer);
	if (signer_read(&signer, ret, err) == -1 || judge_gate(layers, &opened, &signer, ret, err) == -1)
		return -1;
	if (ret->has_signer)
		set_chain(request, &opened, &signer, ret);
	ERR_clear_error();
	return ret->state == SIGNATURE_GOOD ? judge_good(request, layers, ret, err) : 0;
}

static int
judge_signed(const struct verify_request *request, const struct part_tree *tree, const struct levels *layers,
    struct signature_facts *ret, struct err *err)
{
	const struct message_facts *message = request->facts;
	const char *odd = odd_bytes(layers, tree);

	ret->coverage = COVERAGE_WHOLE;
	if (message->mime != MIME_CLEAR)
		outcome(ret, SIGNATURE_MALFORMED, "ambiguous MIME: %s", message->mime_why);
	else if (odd)
		outcome(ret, SIGNATURE_MALFORMED, "%s", odd);
	else if (gate_is_attributes(layers->at[0].content))
		outcome(ret, SIGNATURE_MALFORMED, "content that is itself a SET of attributes");
	else
		return judge_object(request, layers, ret, err);
	return 0;
}

/* Nothing to verify. Where the bytes can be read in two ways that is the reason, whatever one reader makes of them. */
static int
judge_broken(const struct verify_request *request, enum signature_state state, const struct envelope *outer, struct signature_facts *ret)
{
	ret->coverage = COVERAGE_WHOLE;
	if (request->facts->mime == MIME_CLEAR)
		outcome(ret, state, "%s", outer->why);
	else
		outcome(ret, SIGNATURE_MALFORMED, "ambiguous MIME: %s", request->facts->mime_why);
	return 0;
}

/* The part stands in a message/rfc822, or is what it holds. */
static bool
is_within_message(const struct part_tree *tree, size_t part)
{
	for (; part != 0; part = tree->parts[part].parent) {
		if (tree->parts[tree->parts[part].parent].kind == PART_MESSAGE)
			return true;
	}
	return false;
}

static int
judge(const struct verify_request *request, const struct part_tree *tree, const struct levels *layers, struct signature_facts *ret,
    struct err *err)
{
	const struct envelope *outer = &layers->at[0].envelope;
	size_t inner;

	levels_tell(layers, ret);
	switch (outer->kind) {
	case ENVELOPE_CLEAR:
	case ENVELOPE_OPAQUE:
		return judge_signed(request, tree, layers, ret, err);
	case ENVELOPE_BROKEN:
		return judge_broken(request, SIGNATURE_MALFORMED, outer, ret);
	case ENVELOPE_UNSUPPORTED:
		return judge_broken(request, SIGNATURE_UNSUPPORTED, outer, ret);
	case ENVELOPE_UNKNOWN:
	case ENVELOPE_NONE:
	case ENVELOPE_ENCRYPTED:
		break;
	}
	outcome(ret, SIGNATURE_NONE, "%s", outer->why);
	inner = envelope_signed_part(request->message, tree);
	ret->coverage = inner ? COVERAGE_PARTIAL : COVERAGE_NONE;
	if (inner && is_within_message(tree, inner))
		outcome(ret, SIGNATURE_NONE, "a signed message within another one (message/rfc822) that is not signed itself");
	else if (inner)
		outcome(ret, SIGNATURE_NONE, "a signed part within a %.30s/%.30s that is not signed itself", tree->parts[0].media.type,
		    tree->parts[0].media.subtype);
	return 0;
}

/* Beyond a limit the tree is not whole. A message that says it is signed then counts as one that cannot be read. */
static void
judge_limit(const struct verify_request *request, const char *limit, struct signature_facts *ret)
{
	AUTO_HEAD struct head head = { 0 };
	const struct field *type;
	struct media media = { 0 };

	head_scan(request->message, &head);
	type = head_find(&head, "Content-Type", 0);
	if (type)
		media_parse(type->value, &media);
	if (head.limit || media_is(&media, "multipart", "signed") || media_is(&media, "application", NULL))
		outcome(ret, SIGNATURE_MALFORMED, "the message is beyond the limit %s", limit);
	else
		outcome(ret, SIGNATURE_NONE, "the message is beyond the limit %s", limit);
}

int
verify_levels(const struct verify_request *request, const struct part_tree *tree, const struct levels *levels, struct signature_facts *ret,
    struct err *err)
{
	struct signature_facts facts = { .state = SIGNATURE_UNKNOWN };

	if (judge(request, tree, levels, &facts, err) == -1)
		return -1;
	*ret = facts;
	return 0;
}

int
smime_verify(const struct verify_request *request, struct signature_facts *ret, struct err *err)
{
	AUTO_TREE struct part_tree tree = { 0 };
	AUTO_LEVELS struct levels levels = { 0 };
	struct signature_facts facts = { .state = SIGNATURE_UNKNOWN };

	part_scan(request->message, &tree);
	if (tree.limit || request->facts->limit[0]) {
		judge_limit(request, tree.limit ? tree.limit : request->facts->limit, &facts);
		*ret = facts;
		return 0;
	}
	levels_read(request->message, &tree, &levels, err);
	return verify_levels(request, &tree, &levels, ret, err);
}
