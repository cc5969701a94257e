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
	}
	return MI_FAILURE;
}

/* One uninterrupted series: the MTA takes the pieces for one new body. */
static int
apply_body(SMFICTX *ctx, const struct sealed *sealed)
{
	for (size_t i = 0; i < sealed->n_body; i++) {
		struct slice piece = sealed->body[i];

		while (piece.len > 0) {
			const size_t len = piece.len < 0x40000000 ? piece.len : 0x40000000;

			if (smfi_replacebody(ctx, (unsigned char *)(uintptr_t)piece.at, (int)len) != MI_SUCCESS)
				return MI_FAILURE;
			piece.at += len;
			piece.len -= len;
		}
	}
	return MI_SUCCESS;
}

int
apply_edits(SMFICTX *ctx, const struct edit_plan *plan, const char **why)
{
	for (size_t i = 0; i < plan->n; i++) {
		if (apply_edit(ctx, &plan->edits[i]) != MI_SUCCESS) {
			*why = "a header edit failed";
			return -1;
		}
	}
	if (plan->sealed && apply_body(ctx, plan->sealed) != MI_SUCCESS) {
		*why = "the new body was not taken";
		return -1;
	}
	return 0;
}
