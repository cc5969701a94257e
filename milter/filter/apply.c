#include <stdlib.h>
#include <string.h>

#include "milter/filter/mta.h"

/* Under SMFIP_HDR_LEADSPC the blank behind the colon is part of the value. */
static int
apply_edit(SMFICTX *ctx, const struct edit *edit)
{
	AUTO(xfree) char *value = edit->value ? xasprintf(" %s", edit->value) : NULL;

	switch (edit->kind) {
	case EDIT_DELETE:
	case EDIT_CHANGE:
		return smfi_chgheader(ctx, edit->name, (int)edit->ordinal, value);
	case EDIT_ADD:
		return smfi_addheader(ctx, edit->name, value);
	case EDIT_INSERT: /* 0 is above the MTA's own Received, 1 below it */
		return smfi_insheader(ctx, 0, edit->name, value);
	}
	return MI_FAILURE;
}

static int
replace_body(SMFICTX *ctx, struct slice piece)
{
	while (piece.len > 0) {
		const size_t len = piece.len < 0x40000000 ? piece.len : 0x40000000;

		if (smfi_replacebody(ctx, (unsigned char *)(uintptr_t)piece.at, (int)len) != MI_SUCCESS)
			return MI_FAILURE;
		piece.at += len;
		piece.len -= len;
	}
	return MI_SUCCESS;
}

/* Every call of libmilter's is a frame, and wakes the MTA: small pieces go together in one. */
struct together {
	SMFICTX *ctx;
	size_t len;
	unsigned char bytes[16 * 1024];
};

static int
flush(struct together *together)
{
	const struct slice all = { together->bytes, together->len };

	together->len = 0;
	return replace_body(together->ctx, all);
}

static int
add_piece(struct together *together, struct slice piece)
{
	if (piece.len > sizeof(together->bytes) - together->len && flush(together) != MI_SUCCESS)
		return MI_FAILURE;
	if (piece.len > sizeof(together->bytes))
		return replace_body(together->ctx, piece);
	if (piece.len)
		memcpy(together->bytes + together->len, piece.at, piece.len);
	together->len += piece.len;
	return MI_SUCCESS;
}

/* One uninterrupted series: the MTA takes the pieces for one new body. */
static int
apply_body(SMFICTX *ctx, const struct sealed *sealed)
{
	struct together together;

	together.ctx = ctx;
	together.len = 0;
	for (size_t i = 0; i < sealed->n_body; i++) {
		if (add_piece(&together, sealed->body[i]) != MI_SUCCESS)
			return MI_FAILURE;
	}
	return flush(&together);
}

/* The sink of an encryption; what it writes is the new body. */
static int
write_piece(void *ctx, struct slice bytes, struct err *err)
{
	if (add_piece(ctx, bytes) != MI_SUCCESS)
		return err_set(err, ERR_TEMP, "the new body was not taken");
	return 0;
}

static int
apply_encrypted(SMFICTX *ctx, struct encrypted *encrypted)
{
	struct together together;
	const struct box_sink sink = { write_piece, &together };
	struct err err;

	together.ctx = ctx;
	together.len = 0;
	if (encrypt_write(encrypted, &sink, &err) == -1)
		return MI_FAILURE;
	return flush(&together);
}

/* libmilter wants both without const, and changes neither. */
static int
apply_sender(SMFICTX *ctx, const struct edit_plan *plan)
{
	return plan->sender ? smfi_chgfrom(ctx, plan->sender, plan->parameters) : MI_SUCCESS;
}

static int
apply_new_body(SMFICTX *ctx, const struct edit_plan *plan)
{
	if (plan->decrypted)
		return replace_body(ctx, plan->plain); /* in its own memory, which is wiped */
	if (plan->encrypted)
		return apply_encrypted(ctx, plan->encrypted);
	return plan->sealed ? apply_body(ctx, plan->sealed) : MI_SUCCESS;
}

int
apply_edits(SMFICTX *ctx, const struct edit_plan *plan, const char **why)
{
	if (apply_sender(ctx, plan) != MI_SUCCESS) { /* before anything that a bounce must not carry */
		*why = "RET=HDRS was not taken";
		return -1;
	}
	for (size_t i = 0; i < plan->n; i++) {
		if (apply_edit(ctx, &plan->edits[i]) != MI_SUCCESS) {
			*why = "a header edit failed";
			return -1;
		}
	}
	if (apply_new_body(ctx, plan) != MI_SUCCESS) {
		*why = "the new body was not taken";
		return -1;
	}
	return 0;
}
