/*
 * answer: what the registry says about a next hop, in the words of Postfix's smtp_tls_policy_maps
 * (postconf(5)), and back to a request's answer.
 *
 *     OK secure match=mx.kota.go.id:.kota.go.id protocols=>=TLSv1.2
 *     NOTFOUND                                    neither a policy nor a registered domain
 *     TEMP reason                                 could not ask: Postfix defers the mail (4.7.5)
 *     PERM reason                                 a request for another map, or none that can be read
 *
 * Does not decide: that is registry_tls(). Does not log (server.c).
 */
#ifndef TLSPOL_ANSWER_H
#define TLSPOL_ANSWER_H

#include <time.h>

#include "milter/tlspol/protocol.h"
#include "policy/input.h"
#include "policy/registry/tls.h"

/* "secure match=... protocols=..."; `minimum` as tls.minimum. Only of a policy that was found. */
void answer_policy(const struct tls_policy *policy, enum tls_version minimum, struct buf *ret);

struct answerer_settings {
	const char *registry;
	int timeout_ms; /* for a locked registry */
	const char *map;
	enum tls_version minimum;
};

struct answerer;

/* ERR_CONFIG or ERR_TEMP as registry_open(). Copies what it is given. */
int answerer_open(const struct answerer_settings *settings, struct answerer **ret, struct err *err) MUST_USE;
void answerer_close(struct answerer *answerer);
AUTO_DEFINE(struct answerer, answerer_close);

/* What became of a request, for the log. */
enum answered {
	ANSWERED_UNAVAILABLE,
	ANSWERED_BAD,
	ANSWERED_NONE,
	ANSWERED_FOUND,
	ANSWERED_RAISED, /* found, and less is in the registry than an official domain gets */
};

struct answer {
	enum answered what;
	char key[REQUEST_BYTES + 1]; /* as asked; "" of a request that could not be read */
	char why[512];
};

/* One request's payload; the whole reply is added to `reply`, `ret` says what it was. One thread at a time. */
void answerer_answer(struct answerer *answerer, struct slice payload, time_t now, struct buf *reply, struct answer *ret);

#endif
