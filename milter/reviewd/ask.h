/*
 * ask: what reviewers ask segel-reviewd, over its review socket (frame.h). The asker is told by the kernel
 * (SO_PEERCRED), its UNIX login by the password database, its role by the registry, and what the role may do
 * by policy/permit.h: all of that anew for each request.
 *
 *     asker     J {"op": OP, ...}
 *     reviewd   J {"row": {...}} ...        list: one each; history in show
 *     reviewd   D ... E                     view, export: bytes
 *     reviewd   J {"ok": true, ...}         always last
 *               J {"ok": false, "error": WORD, "text": TEXT}
 *
 * Words of `error`: usage (the request makes no sense), denied (this role may not; or no reviewer), reason (none
 * was given), not-found, changed (another version by now), refused (a rule stands against it; the text says which),
 * unavailable (could not be done now), full. A failure behind D frames means that they are worth nothing.
 *
 * op        fields (all others are refused)
 * list      filter fields of struct item_filter by name; limit, offset            total
 * show      id                                                                  item (with recipients, findings, evidence), own, release
 * view      id version? reason                                                  safe text (view.h)
 * export    id version? reason                                                  the message, byte for byte
 * release   id version? reason to[]?       state: "menunggu persetujuan" or "dilepas", or refused by the new verification
 * recall    id version? reason             a release on its way that the mail server has not taken: doubtful = an earlier try may have arrived
 * delete    id version? reason
 * extend    id version? keep (seconds) reason
 * hold      id version? on (bool) reason                                        legal hold
 * note      id version? reason
 * purge     -                                                                   counts
 * stats     -                                                                   counts
 * ping      -
 *
 * Rows are objects of item_line's or item_event's fields; `item` is item_json.h's. Whose role may not read subjects gets none, and cannot
 * search by them. view, export and every decision also answer with "state" and "version" as they are now.
 * Of an item on its way show, and its row in list, have "release": since, login, tries, tried (when last), answer, settled (the last try
 * is known not to have been taken: it may be called back), doubtful; not for whoever may list own mail only.
 * A delete that goes on record for somebody else to carry out leaves the state as it is. Who may list own mail only gets no history: it
 * holds the notes of others. limit is at most 1,000.
 *
 * `version` is the one the reviewer saw; where it is left out, the act is decided on the newest. Every view, export
 * and decision is in the audit record, fsynced, before its bytes or its answer go out, and in the item's history.
 */
#ifndef REVIEWD_ASK_H
#define REVIEWD_ASK_H

#include "milter/reviewd/desk.h"

/* Serves one connection until it ends. */
void ask_serve(struct desk *desk, int fd, uid_t peer);

#endif
