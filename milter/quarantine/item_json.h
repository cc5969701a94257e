/*
 * item_json: an item as a JSON object, by the names of item_field.h; and
 *
 *     "findings"   [{"reason": WORD, "evidence": TEXT}, ...]
 *     "findings_overflow"   there were more of them than an item has room for
 *     "recipients" [{"address": TEXT, "parameters": TEXT}, ...]
 *
 * Enums by their words, hashes in hex, times in seconds since 1970.
 *
 * Reading believes nothing: a field that is missing, unknown, of another type, too long or of an unknown word is
 * refused by its name.
 */
#ifndef QUARANTINE_ITEM_JSON_H
#define QUARANTINE_ITEM_JSON_H

#include <jansson.h>

#include "milter/quarantine/item.h"

/*
 * The caller's. `own`: with segel-reviewd's own fields too (and "released_at" of each recipient). What is no valid
 * UTF-8 becomes '?', byte by byte; but in the envelope, which must go out as it came, it is ERR_TEMP, and NULL.
 */
json_t *item_to_json(const struct item *item, bool own, struct err *err) MUST_USE;

/* What a filter gives: all fields but segel-reviewd's own. `ret` is to be given back by item_done where the result is 0. ERR_CONFIG. */
int item_from_json(const json_t *object, struct item *ret, struct err *err) MUST_USE;

#endif
