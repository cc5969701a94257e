/*
 * gm: GMime as the second opinion on what our scanner read, and as the builder of new parts.
 * GMime never produces bytes that are signed or delivered out of a received entity: it drops
 * header lines it cannot read when it writes a part back.
 *
 * Give it only messages whose part_scan() named no limit: it recurses. Initialised once, on
 * first use, whatever the thread.
 */
#ifndef SMIME_GM_H
#define SMIME_GM_H

#include "smime/buf.h"
#include "smime/facts.h"
#include "smime/part.h"

/*
 * Does GMime see the same tree (kinds, types, nesting) and the same From and Sender, where those
 * are MAILBOX_ONE? NULL if so; otherwise a static text. Copies no content.
 */
const char *gm_disagrees(struct slice message, const struct part_tree *tree, const struct mailbox_facts *from,
    const struct mailbox_facts *sender);

enum { GM_NAME_BYTES = 256 };

/*
 * A parameter of a Content-Type or Content-Disposition value ("name", "filename") as mail programs
 * show it: RFC 2231 and encoded words undone. False where it has none; a longer one loses its
 * beginning. UTF-8 or whatever the sender wrote, NUL-terminated.
 */
bool gm_file_name(struct slice value, const char *param, char ret[GM_NAME_BYTES]);

/* A field's value with encoded words undone, as mail programs show it; UTF-8, never NULL. Free with gm_free. */
char *gm_decoded_text(struct slice value) MUST_USE;
/* Do two values read as the same list of addresses and names? */
bool gm_same_addresses(struct slice a, struct slice b);

/* Each mailbox's addr-spec in a list of addresses, those in groups too, as GMime reads it. The text is borrowed for the call. */
void gm_each_address(struct slice value, void (*each)(void *ctx, const char *addr_spec), void *ctx);

/*
 * The pieces' bytes, one behind the other, in base64: lines of 76, CRLF. Never NULL: GLib ends the
 * process when memory is out. Free with gm_free.
 */
void *gm_base64(const struct slice *pieces, size_t n_pieces, size_t *ret_len) MUST_USE;
/* A whole entity, head and body: the detached signature. */
void *gm_signature_part(struct slice der, size_t *ret_len) MUST_USE;
void gm_free(void *block);

/* One line: "  GMime 3.2.13\n". */
void gm_library(struct buf *ret);

#endif
