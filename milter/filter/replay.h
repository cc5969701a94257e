/*
 * replay: which signatures were seen, with which Message-ID, From, Subject and Date. One SQLite file a folder
 * (state_dir of the role), written by one process only.
 *
 * What is kept of a signature is struct signature_facts.value_sha256 and a SHA-256 over those four fields (unfolded,
 * trimmed), never a word of them. The first sight is kept; a later one is compared with it. So a retry of the same message
 * is no replay, and two RSA seals of equal content in one second, whose signatures are equal, are one where the four fields
 * are. Whether a difference is a finding is policy's (not where protected header fields match).
 *
 * Thread-safe. On disk before it answers.
 */
#ifndef FILTER_REPLAY_H
#define FILTER_REPLAY_H

#include <time.h>

#include "policy/input.h"
#include "smime/head.h"

struct replay;

int replay_open(const char *dir, int timeout_ms, struct replay **ret, struct err *err) MUST_USE;
void replay_close(struct replay *replay);
AUTO_DEFINE(struct replay, replay_close);

/* REPLAY_UNAVAILABLE: could not ask or keep; `why` says what stood against it. */
enum replay_answer replay_see(struct replay *replay, const unsigned char value[32], const struct head *head, time_t now,
    char why[FACT_WHY_BYTES]);

/* Forgets what was first seen before this time, at most `most` rows a call; how many. */
int replay_forget(struct replay *replay, time_t before, size_t most, size_t *n, struct err *err) MUST_USE;

#endif
