/*
 * seal: a message into its sealed form (RFC 8551 SignedData, RFC 1847, RFC 9788).
 *
 * The signed entity is: protected copies of From, To, Cc, Subject, Date and Message-ID, then
 * the message's own Content-* fields (Content-Type marked hp="clear"), then the body. A message that will be encrypted
 * is marked hp="cipher", and HP-Outer records what stands outside of each protected field (RFC 9788 2.2): the
 * same, but "[...]" for a Subject that is to be hidden, which the caller then puts outside; fields that tell it, too
 * (canon_tells_subject), are inside only. A clean
 * body goes in byte for byte; otherwise leaves are re-encoded (quoted-printable or base64), or
 * the whole is sealed opaque where that would touch what must not change (facts.form).
 *
 * Checks that the certificate's public key made the signature it returns (a signer that
 * answers with another key's signature is ERR_BUG, never a sealed message).
 * Does not check: whether this sender may be sealed for, dates, revocation (policy/).
 *
 * The result borrows from `message`; keep the bytes until seal_free. Thread-safe.
 */
#ifndef SMIME_SEAL_H
#define SMIME_SEAL_H

#include "smime/buf.h"
#include "smime/err.h"
#include "smime/facts.h"
#include "smime/key.h"
#include "smime/prepared.h"

enum seal_form {
	SEAL_UNKNOWN,
	SEAL_CLEAR,  /* multipart/signed, unless facts.form demands opaque */
	SEAL_OPAQUE, /* application/pkcs7-mime; smime-type=signed-data */
};

struct seal_request {
	struct slice message;              /* header block, empty line, body */
	const struct message_facts *facts; /* smime_inspect() of exactly these bytes: MIME_CLEAR, LAYER_NONE, no limit */
	struct slice cert;                 /* DER of the sealing certificate */
	const struct slice *chain;         /* DER of the issuing CAs, leaf's issuer first, without the root */
	size_t n_chain;
	/*
	 * Optional: the same certificate, opened earlier, with its chain; `chain` is not looked at then. One
	 * of another DER is not used: the certificate is opened anew. Borrowed.
	 */
	const struct prepared *prepared;
	struct signer signer;
	enum seal_form form;
	bool encrypted;                    /* an encryption will lie around it */
	bool hide_subject;                 /* with `encrypted`: Subject outside becomes SEAL_HIDDEN_SUBJECT */
	time_t now;                        /* signing time */
	/* Our own boundary: 16 random bytes by default; tests pin it. NULL = random. */
	const unsigned char *boundary_seed;
};

/* What Subject becomes outside where it is hidden (RFC 9788 3.2.1). */
#define SEAL_HIDDEN_SUBJECT "[...]"

/*
 * What the outer message becomes. Header fields not named here stay as they are: the caller
 * removes every Content-* and MIME-Version field and adds MIME-Version and these three; with hide_subject, a Subject that is
 * there gets the value SEAL_HIDDEN_SUBJECT, and fields that canon_tells_subject() go.
 */
struct sealed {
	enum seal_form form;       /* which it became */
	char *content_type;        /* value without leading blank; folds are LF + tab */
	const char *transfer_encoding; /* "7bit" or "base64"; NULL = no field. Static. */
	char *content_disposition; /* for opaque: attachment; filename="smime.p7m"; else NULL */
	struct slice *body;        /* the new body, CRLF line ends, pieces in order */
	size_t n_body;
	size_t body_len;
	unsigned char digest[32];  /* SHA-256 of the signed entity, for the record */
	void *keep;                /* memory behind the pieces */
};

int smime_seal(const struct seal_request *request, struct sealed **ret, struct err *err) MUST_USE;
void seal_free(struct sealed *sealed);
AUTO_DEFINE(struct sealed, seal_free);

#endif
