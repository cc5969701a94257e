/*
 * cms: a detached SignedData over pieces (RFC 5652 5, RFC 8551 2.5).
 * Signed attributes: content type, digest, signing time, SMIMECapabilities, ESS
 * signing-certificate-v2 (RFC 5035). One SignerInfo, leaf and chain embedded, no CRLs, DER.
 * SHA-256; SHA-384 with P-384. The content is read once and never copied.
 *
 * Written here as DER, not by CMS_sign: of 73 microseconds that takes with P-256, 25 are the
 * signature. A test holds it against OpenSSL's own, byte for byte. Checks the signer's answer with the
 * certificate's public key before anything is made of it. The certificate is prepared.h's.
 */
#ifndef SMIME_CMS_H
#define SMIME_CMS_H

#include <time.h>

#include "smime/buf.h"
#include "smime/err.h"
#include "smime/key.h"
#include "smime/pieces.h"
#include "smime/prepared.h"

struct cms_request {
	const struct prepared *cert; /* with its chain */
	const struct signer *signer;
	time_t now;
};

struct cms_signed {
	struct buf der;            /* owned */
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
