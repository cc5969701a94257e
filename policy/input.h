/*
 * input: everything a verdict is made of. Facts only, gathered before anything is decided;
 * policy asks no clock, no file and no registry of its own.
 */
#ifndef POLICY_INPUT_H
#define POLICY_INPUT_H

#include "policy/config.h"
#include "policy/registry/registry.h"
#include "smime/facts.h"

enum tls_version {
	TLS_VERSION_UNKNOWN, /* no TLS, or a version we do not know the rank of */
	TLS_VERSION_1_0,
	TLS_VERSION_1_1,
	TLS_VERSION_1_2,
	TLS_VERSION_1_3,
};

/* From the MTA's macros only; an absent macro means the thing is absent. */
struct transport_facts {
	bool tls;
	char tls_version[32];
	char cipher[64];
	char auth_type[32];
	char login[LIMIT_TOKEN_BYTES + 1];
	char client[128]; /* address of the client, for the record */
};

struct envelope_facts {
	char sender[LIMIT_ADDRESS_BYTES + 1]; /* without angle brackets; "" = null sender */
	bool sender_too_long;
	size_t n_recipients;
};

struct registry_facts {
	enum login_answer owns_from;     /* may this login use the From address? */
	enum login_answer owns_envelope; /* the envelope sender? (LOGIN_OWNS for the null sender) */
	enum login_answer owns_sender;   /* the Sender field's address, if there is one? */
	struct registry_found seal;      /* certificate for sealing mail of From; owned */
	bool cert_read;                  /* `cert` was read from it and agrees with the row */
	struct cert_facts cert;
	char sender[LIMIT_ADDRESS_BYTES + 1]; /* what Sender must name; "" = From is in the certificate, or it has no address */
	int sender_known;                /* is that address registered? 1, 0, -1 could not ask */
};

struct policy_input {
	enum class class;
	const struct config *config;
	const struct transport_facts *transport;
	const struct envelope_facts *envelope;
	const struct message_facts *message;   /* NULL before the end of the message */
	const struct registry_facts *registry; /* NULL before the end of the message */
	time_t now;
};

/* "TLSv1.2" to its rank. */
enum tls_version tls_version_from(const char *name);

/*
 * Which address Sender must name when this certificate seals for this From (RFC 8550 3):
 * NULL when From is one of the certificate's, or it has none. Domains compare without case and in A-labels.
 */
const char *seal_sender(const struct cert_facts *cert, const char *from);

#endif
