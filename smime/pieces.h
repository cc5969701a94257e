/*
 * pieces: bytes in order, some borrowed and some owned, never joined.
 * That is how a 35 MB body is signed and handed on without a second copy. pieces_done releases
 * what is owned; borrowed bytes must stay until then.
 */
#ifndef SMIME_PIECES_H
#define SMIME_PIECES_H

#include "smime/buf.h"

struct pieces {
	struct slice *at;      /* owned list */
	size_t n;
	size_t len;            /* bytes in all pieces */
	struct block *blocks;  /* owned memory behind some of them */
	size_t n_blocks;
};

struct block {
	void *at;
	void (*release)(void *at);
};

void pieces_borrow(struct pieces *pieces, struct slice bytes);
/* Takes the buffer's memory; it is empty afterwards. */
void pieces_take(struct pieces *pieces, struct buf *buf);
/* Takes a block that `release` frees. */
void pieces_take_block(struct pieces *pieces, void *block, size_t len, void (*release)(void *at));
/* Adds all of `more` behind, with what it owns; it is empty afterwards. */
void pieces_append(struct pieces *pieces, struct pieces *more);
void pieces_done(struct pieces *pieces);

static inline __attribute__((unused)) void auto_pieces_done(struct pieces *pieces) { pieces_done(pieces); }
#define AUTO_PIECES __attribute__((cleanup(auto_pieces_done)))

#endif
