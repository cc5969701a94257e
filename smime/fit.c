#include "smime/fit.h"

#include <stdarg.h>
#include <stdio.h>

enum { RSA_LEAST = 2048, RSA_MOST = 8192 };

static void
unfit(struct signature_facts *ret, const char *why)
{
	ret->unfit = true;
	snprintf(ret->unfit_why, sizeof(ret->unfit_why), "%s", why);
}

void
fit_unfit(struct signature_facts *ret)
{
	const struct cert_facts *cert = &ret->signer;

	if (cert->is_ca)
		unfit(ret, "the certificate is a CA's (RFC 8550 4.4.1)");
	else if (!cert->may_sign)
		unfit(ret, "key usage or extended key usage does not allow signing mail (RFC 8550 4.4.2, 4.4.4)");
	else if (cert->ascii_as_utf8)
		unfit(ret, "the certificate names a SmtpUTF8Mailbox whose local part is ASCII (RFC 9598 3)");
	else if (cert->odd_address)
		unfit(ret, "the certificate names an address that is no plain addr-spec (RFC 5280 4.2.1.6)");
}

static void PRINTF_LIKE(2, 3)
weak(struct signature_facts *ret, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(ret->weak_why, sizeof(ret->weak_why), fmt, args);
	va_end(args);
	ret->weak = true;
}

/* False where the switch names every good kind and this is none. */
static bool
is_strong_key(const struct cert_facts *cert)
{
	switch (cert->key) {
	case KEY_RSA:
		return cert->key_bits >= RSA_LEAST && cert->key_bits <= RSA_MOST;
	case KEY_P256:
	case KEY_P384:
	case KEY_P521:
		return true;
	case KEY_UNKNOWN:
	case KEY_OTHER:
		return false;
	}
	return false;
}

void
fit_weak(enum gate_digest digest, struct signature_facts *ret)
{
	const struct cert_facts *cert = &ret->signer;

	if (digest < GATE_DIGEST_SHA256)
		weak(ret, "the message's digest is %s; want SHA-256, SHA-384 or SHA-512", gate_digest_name(digest));
	else if (!is_strong_key(cert) && cert->key == KEY_RSA)
		weak(ret, "an RSA key of %d bits; want %d to %d", cert->key_bits, RSA_LEAST, RSA_MOST);
	else if (!is_strong_key(cert))
		weak(ret, "a key that is neither RSA nor on the named curves P-256, P-384 and P-521");
	else if (cert->weak_signature)
		weak(ret, "the certificate is signed with MD5 or SHA-1");
}

void
fit_time(time_t at, struct signature_facts *ret)
{
	const struct chain_facts *chain = &ret->chain;
	const char *why = "";

	if (!ret->has_signing_time)
		return;
	if (chain->revocation == REVOCATION_REVOKED && chain->revoked_at != 0 && ret->signing_time >= chain->revoked_at)
		why = "the signing time lies after the revocation";
	else if (ret->signing_time > at + FIT_SKEW)
		why = "the signing time lies in the future";
	else if (ret->signing_time < ret->signer.not_before)
		why = "the signing time lies before the certificate's notBefore";
	else if (ret->signing_time > ret->signer.not_after)
		why = "the signing time lies after the certificate's notAfter";
	else if (ret->signing_time < at - FIT_OLD)
		why = "signed more than 7 days before it came";
	snprintf(ret->signing_time_why, sizeof(ret->signing_time_why), "%s", why);
}
