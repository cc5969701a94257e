/*
 * agent: one request to one answer. Who asks, with which key, how often, on record, signed or opened.
 * Knows no sockets. Thread-safe.
 *
 * A request is answered in this order: is the caller a signer (an unwrapper); is the key here, and for that; do digest
 * and algorithm fit the key; is the limit kept; is the intent on disk; sign (unwrap, open, derive). Once writing an intent has
 * failed, nothing is done until the agent is started anew; while the clock is behind the last
 * record, nothing is done until it is right again.
 *
 * A key has one purpose: what seals never unwraps, what decrypts never signs. A block that cannot be unwrapped
 * has one answer, whatever is wrong with it; one of v1.5 has a content key for its answer, too (key.h).
 *
 * A sender whose mail did not open FAILURES_AN_HOUR times within an hour (failure.h; the callers say so, and each is on record) has
 * nothing more opened with this key until the hour is over.
 *
 * Whether a key is here is told only to those who may use keys of its purpose, and not recorded: nothing is made with it.
 */
#ifndef KEYD_AGENT_H
#define KEYD_AGENT_H

#include "milter/audit/audit.h"
#include "milter/keyd/intent.h"
#include "milter/keyd/store.h"
#include "milter/log.h"

struct agent;

/* Borrows the audit; takes over a count of the store. */
struct agent *agent_new(struct audit *audit, struct store **store);
void agent_free(struct agent *agent);
AUTO_DEFINE(struct agent, agent_free);

/* From now on this snapshot; requests at work keep theirs. Takes over the count. */
void agent_replace_store(struct agent *agent, struct store **store);
/* May this user sign or unwrap? */
bool agent_knows(struct agent *agent, uid_t uid);

/* Appends the answer's bytes. False: the connection is no use any more (bytes that are no request). */
bool agent_answer(struct agent *agent, const struct peer *peer, struct slice frame, struct buf *ret);
/* The refusal of bytes that are not even a frame. */
void agent_refuse(struct agent *agent, const struct peer *peer, const char *text, struct buf *ret);

/* A line about a peer. At most some a second: who sends garbage may not fill the disk with our log. */
void agent_log(struct agent *agent, enum log_level level, const struct peer *peer, const char *text);

#endif
