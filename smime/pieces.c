#include "smime/pieces.h"

#include <stdlib.h>

void
pieces_borrow(struct pieces *pieces, struct slice bytes)
{
	if (bytes.len == 0)
		return;
	if (pieces->n % 16 == 0)
		pieces->at = xrealloc(pieces->at, (pieces->n + 16) * sizeof(*pieces->at));
	pieces->at[pieces->n++] = bytes;
	pieces->len += bytes.len;
}

static void
keep(struct pieces *pieces, void *block, void (*release)(void *at))
{
	if (pieces->n_blocks % 16 == 0)
		pieces->blocks = xrealloc(pieces->blocks, (pieces->n_blocks + 16) * sizeof(*pieces->blocks));
	pieces->blocks[pieces->n_blocks++] = (struct block){ block, release };
}

void
pieces_take_block(struct pieces *pieces, void *block, size_t len, void (*release)(void *at))
{
	keep(pieces, block, release);
	pieces_borrow(pieces, (struct slice){ block, len });
}

void
pieces_take(struct pieces *pieces, struct buf *buf)
{
	pieces_take_block(pieces, buf->at, buf->len, xfree);
	*buf = (struct buf){ .cap = buf->cap };
}

void
pieces_append(struct pieces *pieces, struct pieces *more)
{
	for (size_t i = 0; i < more->n; i++)
		pieces_borrow(pieces, more->at[i]);
	for (size_t i = 0; i < more->n_blocks; i++)
		keep(pieces, more->blocks[i].at, more->blocks[i].release);
	free(more->at);
	free(more->blocks);
	*more = (struct pieces){ 0 };
}

void
pieces_done(struct pieces *pieces)
{
	for (size_t i = 0; i < pieces->n_blocks; i++)
		pieces->blocks[i].release(pieces->blocks[i].at);
	free(pieces->at);
	free(pieces->blocks);
	*pieces = (struct pieces){ 0 };
}
