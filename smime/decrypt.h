/*
 * decrypt: an encrypted message (RFC 8551 3.3, 3.4) opened, where we hold a key for it, and held shut until it is proven.
 *
 * Only the whole message: the outermost entity is encrypted, or only signatures lie around what is (A34); an encrypted part in
 * a multipart is never opened. Layers are opened from the outside in (signed, encrypted, encrypted in signed, triple),
 * at most LIMIT_LAYERS in all. The gate (enveloped.h) stands before every one.
 *
 * Unproven plaintext has no way out. struct decrypted keeps it; who wants it names the ground on which it counts:
 *   GROUND_CIPHER      the innermost encryption is authenticated (GCM, tag checked over the whole);
 *   GROUND_SIGNATURE   inside it is a message whose signature verifies good, and the caller has judged the signer
 *                      (registry, policy) by decrypted_signature().
 * CBC without a good signature inside is never given out (A32). Of what such a signature is not over, heads with anything but
 * a few plain fields are a failure, and text before the first and behind the last boundary is left out. A signature around an encryption proves nothing about
 * what is in it: it is not looked at here (smime_verify of the message as it came does, A11).
 *
 * Every failure is one state, one text, and one time class: wrong key, padding, tag, garbage, plaintext that is no strict MIME
 * entity, CBC without a good signature inside (A35). A failed unwrap goes on with a random key; CBC plaintext is parsed and its signature
 * verified whether its padding was right or not; nothing is given out before all of it was checked; and a failure is answered at the end of
 * a slot of time (25 ms, and 25 for every MB), counted from the beginning. What differs openly is what everybody can read without
 * a key: refused by the gate, unsupported, to no key of ours.
 *
 * The plaintext must be ONE strict MIME entity: our scanner and GMime agree, no limit, no ambiguity. From inside only Content-* fields,
 * and those header fields that a good signature protects and the sender has recorded as hidden (RFC 9788 HP-Outer), are offered (A37);
 * From and Sender never.
 *
 * Memory: the decoded object, decrypted in place: of base64 three quarters of the message's own size beside it. Where the caller can do
 * without the message (`spend`), nothing beside it: base64 in its outermost entity, or in a clear-signed one around it, is decoded where
 * it stands, and the buffer goes over to struct decrypted, whatever comes of it; its header block stays. It stays the caller's, and as it was,
 * where nothing was encrypted or its place is another. An encryption in another one, and an opaque signature in one, are
 * decoded beside what they lie in. Wiped when freed.
 * Does not check: who may read it, which keys count for which recipient (the caller gives only those), the registry.
 * Whatever the bytes, the result is facts; errors are our surroundings. Thread-safe.
 */
#ifndef SMIME_DECRYPT_H
#define SMIME_DECRYPT_H

#include <time.h>

#include "smime/enveloped.h"
#include "smime/trust.h"

enum decrypt_state {
	DECRYPT_UNKNOWN,
	DECRYPT_NONE,        /* the message as a whole is not encrypted */
	DECRYPT_OTHERS,      /* to no certificate of `certs`: ENC_UNREADABLE */
	DECRYPT_UNSUPPORTED, /* an algorithm or form that is not handled; PGP */
	DECRYPT_MALFORMED,   /* refused by the gate, or beyond the layers */
	DECRYPT_FAILED,      /* did not open, or nothing proves what came out; nobody is told which */
	DECRYPT_OPENED,      /* plaintext is there: authenticated, or with a good signature inside. Kept until a ground is named */
};

const char *decrypt_state_name(enum decrypt_state state); /* unknown none others unsupported malformed failed opened */

/* Why plaintext counts. */
enum decrypt_ground { GROUND_UNKNOWN, GROUND_CIPHER, GROUND_SIGNATURE };

struct decrypt_request {
	struct slice message;              /* header block, empty line, body; CRLF */
	struct buf *spend;                 /* NULL, or the buffer in which `message` lies, which need not outlive this: see Memory */
	const struct message_facts *facts; /* smime_inspect() of exactly these bytes */
	const struct slice *certs;         /* DER of the certificates whose keys count for this message's recipients */
	size_t n_certs;
	struct opener opener;              /* key.h: the key agent, or a key in this process */
	const struct trust *trust;         /* for the signature inside; NULL = no anchors */
	time_t at;                         /* when we received it */
	bool hasty;                        /* fuzzing: failures are answered at once, which tells them apart */
};

/* One header field that the outer message gets. */
struct plain_field {
	const char *name;
	struct slice value; /* as it stands inside: leading blank and folds (CRLF) included */
};

/* Facts of the opening. All of it may be logged. */
struct decrypt_facts {
	enum decrypt_state state;
	char why[FACT_WHY_BYTES];    /* of FAILED always the same */
	enum enveloped_cipher cipher; /* of the innermost encryption that was reached */
	bool authenticated;          /* that one is AEAD, and its tag was right */
	size_t n_recipients;         /* RecipientInfos of the outermost encryption */
	bool limited;                /* with FAILED: the agent did not try, too much had failed before. Not for the sender to know */
	size_t cert;                 /* with FAILED and OPENED: which of `certs` was tried on the innermost encryption that was reached */
	unsigned char spki[32];      /* its key's, for keyd_failed() */
	enum key_padding padding;    /* unknown with an agreement */
	char layers[64];             /* from the outside in, "encrypted/signed"; what is inside only with OPENED */
};

struct decrypted; /* opaque: unproven until given out */

int smime_decrypt(const struct decrypt_request *request, struct decrypted **ret, struct err *err) MUST_USE;
void decrypted_free(struct decrypted *decrypted);
AUTO_DEFINE(struct decrypted, decrypted_free);

const struct decrypt_facts *decrypted_facts(const struct decrypted *decrypted); /* borrowed */
/*
 * The signature inside the innermost encryption, as smime_verify() judges it. SIGNATURE_NONE where there is none; SIGNATURE_UNKNOWN unless OPENED.
 * `protection` compares with the header of the message as it came, and follows HP-Outer (RFC 9788 4, protect.h).
 */
const struct signature_facts *decrypted_signature(const struct decrypted *decrypted); /* borrowed */

/*
 * What smime_inspect() says of what is inside, as a message of its own: its outermost layer, keys in it, whether it can be read in one way. Of its
 * head only Content-* means anything. Nothing that could be read in it is among these facts. ERR_BUG unless OPENED.
 */
int decrypted_inspect(const struct decrypted *decrypted, struct message_facts *ret, struct err *err) MUST_USE;

/* What may be given out. Borrows from `decrypted`. */
struct plain {
	const struct plain_field *content; /* every Content-* field: they replace all Content-* of the outer message */
	size_t n_content;
	const struct plain_field *hidden;  /* header fields that replace, or are added to, the outer ones */
	size_t n_hidden;
	struct slice body;
};

/*
 * False, and nothing given, unless the ground holds: GROUND_CIPHER for what is authenticated, GROUND_SIGNATURE where
 * decrypted_signature() is SIGNATURE_GOOD over the whole. Naming the latter says that the caller accepts the signer.
 */
bool decrypted_plain(const struct decrypted *decrypted, enum decrypt_ground ground, struct plain *ret) MUST_USE;

/* It is not given out after all: its memory goes back now, wiped. The facts of the opening and of the signature stay. */
void decrypted_forget(struct decrypted *decrypted);

#endif
