/*
 * part: the MIME tree of a message, as offsets into the bytes as received.
 *
 * One pass over the lines, one stack of open multiparts: linear in the size of the message,
 * whatever the boundaries (at most LIMIT_MIME_DEPTH comparisons a line). Checks the caps of
 * limits.h in every entity, nested messages included, so that what passes is safe to hand to a
 * parser that recurses. Notes (`why`) what two readers may cut differently: doubled or odd fields
 * that structure depends on, boundaries that are prefixes of each other, missing or doubled closing
 * boundaries, bare line ends at a boundary, encoded multiparts (RFC 2045 6.4, RFC 2046 5.1).
 * Does not check: what GMime thinks (gm.h), From (address.h), whether leaves decode (canon.h).
 *
 * Offsets, no pointers: the tree stays good as long as the message's bytes do. Never fails.
 */
#ifndef SMIME_PART_H
#define SMIME_PART_H

#include "smime/head.h"
#include "smime/media.h"

/* What a line may have that later hops change or readers see differently. */
enum line_flag {
	LINE_8BIT = 1 << 0,
	LINE_NUL = 1 << 1,
	LINE_BARE_CR = 1 << 2,
	LINE_BARE_LF = 1 << 3,
	LINE_LONG = 1 << 4, /* over LIMIT_LINE_BYTES */
	LINE_FROM = 1 << 5, /* begins with "From ": mbox delivery changes it */
};

unsigned line_flags(struct slice line);

enum part_kind {
	PART_UNKNOWN,
	PART_LEAF,
	PART_MULTIPART,
	PART_MESSAGE, /* message/rfc822 and its kin: one child, the message inside */
};

#define NO_PARENT SIZE_MAX

struct part {
	enum part_kind kind;
	size_t parent;        /* index; NO_PARENT for the first */
	size_t depth;         /* 1 for the first */
	size_t start;         /* of the head */
	size_t body;          /* behind the empty line */
	size_t end;           /* without the line end that belongs to a boundary */
	struct media media;
	bool has_type;        /* a Content-Type field stands there */
	enum cte cte;
	unsigned head_flags;  /* of the head's lines */
	unsigned body_flags;  /* of a leaf's lines; of a multipart's preamble and epilogue */
};

struct part_tree {
	struct part *parts;   /* owned; parents before children, in the order of the bytes */
	size_t n_parts;
	size_t depth;
	const char *why;      /* static text; NULL = nothing ambiguous found */
	const char *limit;    /* static text; NULL = none exceeded. The tree is not whole then. */
};

void part_scan(struct slice message, struct part_tree *ret);
void part_tree_done(struct part_tree *tree);

static inline __attribute__((unused)) void auto_part_tree_done(struct part_tree *tree) { part_tree_done(tree); }
#define AUTO_TREE __attribute__((cleanup(auto_part_tree_done)))

#endif
