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

/*
 * The pieces' bytes, one behind the other, in base64: lines of 76, CRLF. Never NULL: GLib ends the
 * process when memory is out. Free with gm_free.
 */
void *gm_base64(const struct slice *pieces, size_t n_pieces, size_t *ret_len) MUST_USE;
/* A whole entity, head and body: the detached signature. */
void *gm_signature_part(struct slice der, size_t *ret_len) MUST_USE;
void gm_free(void *block);

#endif
