/*
 * memory: which copies the next hop has taken in the last day, so that the MTA, which asks again whenever it did not hear
 * our 250, does not have them delivered twice. SQLite in a file of its own; one process, many threads.
 *
 * A copy is named by the queue id, the sender, the recipient and the bytes as they came. Its row is PENDING from before
 * the first byte goes on until the next hop has answered, and DONE from its 250 on. After a crash in between nobody
 * knows whether the next hop has it: it is sent again. So a copy may come twice, and none is lost. A copy that is on its way in this
 * process is BUSY for whoever asks for it again meanwhile: its MTA was too impatient.
 *
 * Rows live for MEMORY_SECONDS. What could not be written defers the message; but what the next hop has taken is answered
 * with 250 in any case.
 */
#ifndef SPLIT_MEMORY_H
#define SPLIT_MEMORY_H

#include <time.h>

#include "milter/split/letter.h"
#include "smime/err.h"
#include "smime/hash.h"

enum { MEMORY_SECONDS = 24 * 60 * 60 };

enum memory_answer {
	MEMORY_UNAVAILABLE, /* could not ask */
	MEMORY_BUSY,        /* on its way just now */
	MEMORY_NEW,
	MEMORY_AGAIN,       /* handed on before, and nobody knows whether it was taken */
	MEMORY_DONE,        /* the next hop has it */
};

struct memory;

/* ERR_CONFIG: the folder is not ours to write, or what lies there is none; ERR_TEMP: another process has it. */
int memory_open(const char *dir, int timeout_ms, struct memory **ret, struct err *err) MUST_USE;
void memory_close(struct memory *memory);
AUTO_DEFINE(struct memory, memory_close);

void memory_key(const struct letter *letter, unsigned char ret[HASH_BYTES]);

/* With MEMORY_NEW and MEMORY_AGAIN the copy is the caller's until memory_end(). */
enum memory_answer memory_begin(struct memory *memory, const unsigned char key[HASH_BYTES], time_t now, struct err *err);
/* It is about to go on; nothing may go on where this fails. */
int memory_pending(struct memory *memory, const unsigned char key[HASH_BYTES], time_t now, struct err *err) MUST_USE;
/* The next hop has it. */
int memory_done(struct memory *memory, const unsigned char key[HASH_BYTES], time_t now, struct err *err) MUST_USE;
/* The next hop certainly does not have it: as if it had never come. */
int memory_drop(struct memory *memory, const unsigned char key[HASH_BYTES], struct err *err) MUST_USE;
void memory_end(struct memory *memory, const unsigned char key[HASH_BYTES]);

#endif
