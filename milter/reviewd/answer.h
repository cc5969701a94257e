/* answer: the last frame of an exchange on either socket, and the words of its failures (ask.h). */
#ifndef REVIEWD_ANSWER_H
#define REVIEWD_ANSWER_H

#include <jansson.h>

#include "milter/quarantine/store.h"

enum answer_word {
	ANSWER_UNAVAILABLE, /* could not be done now */
	ANSWER_USAGE,
	ANSWER_DENIED,
	ANSWER_REASON,
	ANSWER_NOT_FOUND,
	ANSWER_CHANGED,
	ANSWER_REFUSED,
	ANSWER_FULL,
};

enum { ANSWER_MS = 30 * 1000 }; /* a frame to a peer that takes it slowly */

/* {"ok": true} with these fields; takes `fields`, NULL = none. -1: the peer is gone. */
int answer_ok(int fd, json_t *fields, struct err *err) MUST_USE;
int answer_error(int fd, enum answer_word word, const char *text, struct err *err) MUST_USE;

/* What the store's outcome is called; not for STORE_DONE. */
enum answer_word answer_of_store(enum store_outcome outcome);
const char *answer_word_name(enum answer_word word);

#endif
