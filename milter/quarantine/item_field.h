/*
 * item_field: THE table of what an item is made of. What goes over the hold socket (item_json.h) and what lies in the
 * database (store.h) are both read off it, by the same names. Recipients and findings are lists, and not in it.
 */
#ifndef QUARANTINE_ITEM_FIELD_H
#define QUARANTINE_ITEM_FIELD_H

#include "milter/quarantine/item.h"

enum { ITEM_PARAMETER_BYTES = 2000 }; /* of MAIL or one RCPT; RFC 5321 4.5.3.1.4 allows 512 for the command, extensions a little more */

enum field_kind {
	FIELD_NONE,
	FIELD_TEXT,  /* char[size] */
	FIELD_OWNED, /* char *, at most `size` - 1 bytes; NULL reads as "" */
	FIELD_HASH,  /* unsigned char[32] */
	FIELD_WORD,  /* an enum, by its word */
	FIELD_BOOL,
	FIELD_TIME,  /* time_t */
	FIELD_SIZE,  /* size_t */
	FIELD_LONG,
	FIELD_NUMBER, /* int64_t */
};

/* An enum's words. */
struct field_words {
	const char *(*name)(unsigned value);
	bool (*from)(const char *name, unsigned *ret);
	const char *wanted; /* for the error */
};

struct item_field {
	const char *name;
	enum field_kind kind;
	size_t at;
	size_t size;
	const struct field_words *words;
	bool evidence; /* kept apart from what lists and filters look at */
	bool own;      /* segel-reviewd's; never from a filter */
	bool exact;    /* goes out again at release: bytes that cannot be carried are an error, not a '?' */
};

extern const struct item_field item_fields[];
extern const size_t n_item_fields;

static inline void *
field_of(const struct item_field *field, struct item *item)
{
	return (char *)item + field->at;
}

static inline const void *
field_in(const struct item_field *field, const struct item *item)
{
	return (const char *)item + field->at;
}

/* Texts only; "" for none. Borrowed. */
const char *field_text(const struct item_field *field, const struct item *item);
/* False: longer than the field can hold; nothing was set. */
bool field_set_text(const struct item_field *field, struct item *item, const char *text);
unsigned field_word(const struct item_field *field, const struct item *item);
/* The numbers, whatever their type. False: it cannot hold that one. */
int64_t field_number(const struct item_field *field, const struct item *item);
bool field_set_number(const struct item_field *field, struct item *item, int64_t number);

#endif
