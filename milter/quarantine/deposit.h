/*
 * deposit: how a filter gives a message to the quarantine.
 *
 * Over segel-reviewd's hold socket, which only the users in quarantine.holders are served on:
 *
 *     filter    J {"op": "hold", "version": 1, "item": {...}}      item_json.h
 *     filter    D ... D E                                          the box, named by the item's id
 *     reviewd   J {"ok": true, "id": ID}                           on disk: file, row and audit record
 *               J {"ok": false, "error": WORD, "text": TEXT}
 *
 * A refusal may come before the box's end; reviewd closes then. And, as the first frame instead of "hold":
 *
 *     filter    J {"op": "ping", "version": 1}
 *     reviewd   J {"ok": true}                                     it could hold mail now
 *               J {"ok": false, "error": WORD, "text": TEXT}       full, unavailable: it could not
 *
 * `ok` with another id than the filter's: the same message with the same envelope and action is held already, nobody has
 * decided on it, and it has time left (store_find_same), because an earlier answer got lost on its way. Whatever else comes, or does not come in time, is a
 * failure: the message is deferred, and a second arrival finds the first item.
 *
 * The message is encrypted chunk by chunk while it is sent. Thread-safe; a connection per message.
 */
#ifndef QUARANTINE_DEPOSIT_H
#define QUARANTINE_DEPOSIT_H

#include "milter/quarantine/item.h"
#include "smime/buf.h"

struct depot;

/* Reads the quarantine's certificate (PEM). Does not connect. ERR_CONFIG: it cannot be read or cannot be written to. */
int depot_new(const char *socket, const char *cert_file, int timeout_ms, struct depot **ret, struct err *err) MUST_USE;
void depot_free(struct depot *depot);
AUTO_DEFINE(struct depot, depot_free);

/* SHA-256 of the certificate's SubjectPublicKeyInfo: which key opens what is held. */
int depot_spki(const struct depot *depot, unsigned char ret[32], struct err *err) MUST_USE;

/*
 * 0: held, `id` says as which item. `item` holds what the filter knows, its id and fingerprint too. -1, ERR_TEMP:
 * not held, or not known to be.
 */
int depot_hold(struct depot *depot, const struct item *item, struct slice message, char id[ITEM_ID_BYTES], struct err *err) MUST_USE;

/* Does segel-reviewd answer, and could it hold mail now? For readiness. */
int depot_ping(struct depot *depot, struct err *err) MUST_USE;

#endif
