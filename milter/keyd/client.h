/*
 * client: how the filter asks segel-keyd for a signature or the content key of a message, and segel-reviewd for that of a held one.
 * Keeps a small pool of connections; a broken one is replaced once per call. Every answer that
 * is not what was asked for is an error whose text says what the agent said; the caller defers.
 * Thread-safe. The protocol is in wire.h.
 */
#ifndef KEYD_CLIENT_H
#define KEYD_CLIENT_H

#include "smime/base.h"
#include "smime/err.h"
#include "smime/key.h"

struct keyd_client;

/* What the agent writes into its intent before it signs. All are from our own facts; none may be NULL. */
struct sign_context {
	const char *login;
	const char *from;
	const char *queue_id;
	const char *session;  /* the filter's own id for the message */
};

/* Does not connect yet. */
struct keyd_client *keyd_client_new(const char *socket, int timeout_ms);
void keyd_client_free(struct keyd_client *client);
AUTO_DEFINE(struct keyd_client, keyd_client_free);

int keyd_sign(struct keyd_client *client, const struct sign_context *context, const unsigned char spki[32],
    enum digest alg, struct slice digest, unsigned char *sig, size_t *sig_len, struct err *err) MUST_USE;

/*
 * The content key (32 bytes) in this RSAES-OAEP block (box.h), unwrapped with the key of purpose decrypt whose SPKI
 * hashes to `spki`. `item` and `reason` go on record at the agent before it is done. One error for every failure of
 * the block itself: what was wrong with it is nobody's business.
 */
int keyd_unwrap(struct keyd_client *client, const char *item, const char *reason, const unsigned char spki[32], struct slice wrapped,
    unsigned char key[32], struct err *err) MUST_USE;

/* What the agent writes into its intent before it opens a content key of mail. None may be NULL. */
struct open_context {
	const char *queue_id;  /* may be empty where there is none (segelctl) */
	const char *session;   /* the filter's own id for the message */
	const char *from;      /* may be empty */
	const char *recipient; /* whose key it is, as the envelope has it */
	/*
	 * Whom a failure counts against: the client's network address, which costs more to change than a From. An IPv6 address
	 * counts with its /64.
	 */
	const char *sender;
};

/*
 * As key_unwrap_mail() and key_derive() (key.h), with the agent's key. The intent is on its disk before. KEY_NOT_HERE: the
 * agent has no such key, or not for us. -1: it could not be asked, or is not allowed to answer now; the caller defers.
 */
int keyd_open_rsa(struct keyd_client *client, const struct open_context *context, const unsigned char spki[32],
    const struct key_transport *how, unsigned char content[KEY_CONTENT_BYTES], enum key_opening *ret, struct err *err) MUST_USE;
int keyd_open_ec(struct keyd_client *client, const struct open_context *context, const unsigned char spki[32],
    const struct key_agreement *how, unsigned char content[KEY_CONTENT_BYTES], enum key_opening *ret, struct err *err) MUST_USE;

/*
 * A message from this sender did not open with this key, whatever failed: the key, the content's authentication, or what
 * came out. Once for each such message. After 20 within an hour the agent answers KEY_LIMITED for this pair until the oldest of
 * them is an hour old.
 */
int keyd_failed(struct keyd_client *client, const struct open_context *context, const unsigned char spki[32], struct err *err) MUST_USE;

/* The opener that decrypting takes (key.h). Borrows both. */
struct keyd_opener {
	struct keyd_client *client;
	const struct open_context *context;
};
struct opener keyd_opener_of(struct keyd_opener *bound);

/* Is the agent there and does it answer? For `segel-milter -n`. */
int keyd_ping(struct keyd_client *client, struct err *err) MUST_USE;

/*
 * Does the agent hold the key with this SPKI hash, for this user? Nothing is made with it and nothing recorded. -1: could not ask, or it
 * neither signs nor unwraps for us.
 */
int keyd_has(struct keyd_client *client, const unsigned char spki[32], bool *ret, struct err *err) MUST_USE;

/* The signer that smime_seal takes. Borrows both. */
struct keyd_signer {
	struct keyd_client *client;
	const struct sign_context *context;
};
struct signer keyd_signer_of(struct keyd_signer *bound);

#endif
