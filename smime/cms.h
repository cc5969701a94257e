/*
 * cms: a detached SignedData over pieces (RFC 5652 5, RFC 8551 2.5).
 * Signed attributes: content type, digest, signing time, SMIMECapabilities, ESS
 * signing-certificate-v2 (RFC 5035). One SignerInfo, leaf and chain embedded, no CRLs, DER.
 * SHA-256; SHA-384 with P-384. The content is read once and never copied.
 */
#ifndef SMIME_CMS_H
#define SMIME_CMS_H

#include <time.h>

#include "smime/buf.h"
#include "smime/err.h"
#include "smime/key.h"
#include "smime/pieces.h"

struct cms_request {
	struct slice cert;         /* DER */
	const struct slice *chain; /* DER */
	size_t n_chain;
	const struct signer *signer;
	time_t now;
};

struct cms_signed {
	unsigned char *der;        /* free with cms_signed_done */
	size_t len;
	enum digest alg;
	unsigned char sha256[32];  /* of the content */
};

int cms_sign(const struct cms_request *request, const struct pieces *content, struct cms_signed *ret, struct err *err) MUST_USE;
void cms_signed_done(struct cms_signed *signed_data);

/*
 * The same SignedData with the content inside (eContent), as pieces: two new ends around the
 * borrowed content and der. Keeps DER, so both forms have one and the same signature.
 */
int cms_attach(const struct cms_signed *detached, const struct pieces *content, struct pieces *ret, struct err *err) MUST_USE;

static inline __attribute__((unused)) void auto_cms_signed_done(struct cms_signed *owned) { cms_signed_done(owned); }
#define AUTO_SIGNED __attribute__((cleanup(auto_cms_signed_done)))

#endif
