/* query: what is asked for with JSON, and items, events and counts as JSON (ask.h). Pure. */
#ifndef REVIEWD_QUERY_H
#define REVIEWD_QUERY_H

#include <jansson.h>

#include "milter/quarantine/store.h"

enum { QUERY_MOST_ROWS = 1000 };

/* The filter of a list. A field that is unknown, of another type, too long or of an unknown word is refused by its name. */
int query_filter(const json_t *fields, struct item_filter *ret, struct err *err) MUST_USE;

/* All the caller's. */
json_t *query_line(const struct item_line *line, bool with_subject) MUST_USE;
json_t *query_event(const struct item_event *event) MUST_USE;
json_t *query_release(const struct release_standing *standing);
json_t *query_stats(const struct store_stats *stats) MUST_USE;

#endif
