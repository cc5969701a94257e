/*
 * poison_list: the text file of messages that made a process die (DIR/poison), for poison.c.
 *
 * One line each: hash, time, times, "poison" or "suspected", words. Who reads it in a program sees what an administrator
 * changed with the next question. Lines that are none are passed over, with a warning. Written beside the old file, then
 * in its place. Not thread-safe.
 */
#ifndef FILTER_POISON_LIST_H
#define FILTER_POISON_LIST_H

#include <sys/stat.h>
#include <time.h>

#include "smime/base.h"
#include "smime/err.h"

struct poison_entry {
	unsigned char hash[32];
	time_t at;
	unsigned times;
	bool poison; /* otherwise only suspected */
	char words[64];
};

struct poison_list {
	char *dir;
	char *path;
	struct stat read; /* of the file, when it was read */
	bool told;        /* that it cannot be read */
	struct poison_entry *entries;
	size_t n;
	unsigned char counted[16]; /* the process whose slots it has taken over */
};

void poison_list_init(struct poison_list *list, const char *dir);
void poison_list_done(struct poison_list *list);

/* No file is an empty list. */
int poison_list_read(struct poison_list *list, struct err *err) MUST_USE;
/* Reads it again where it was changed. Where it cannot be read the list stays as it is. */
void poison_list_refresh(struct poison_list *list);
int poison_list_write(struct poison_list *list, struct err *err) MUST_USE;

/* Borrowed until the list changes; NULL = not in it. */
struct poison_entry *poison_list_find(struct poison_list *list, const unsigned char hash[32]);
/* The one that is there already, or this one. */
struct poison_entry *poison_list_add(struct poison_list *list, const struct poison_entry *entry);
void poison_list_remove(struct poison_list *list, const struct poison_entry *entry);
/* Old suspicions end; how many. */
size_t poison_list_age(struct poison_list *list, time_t now);

/* `ret` holds 2 * n + 1. */
void poison_hex(const unsigned char *bytes, size_t n, char *ret);

#endif
