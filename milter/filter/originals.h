/*
 * originals: encrypted mail as it came, where the mail that is delivered is in clear (decrypt.keep_dir). A file of each, readable by
 * the filter's user and root alone: the bytes as the MTA passed them, still encrypted; `segelctl decrypt FILE` opens it again.
 *
 * It is whole on disk, under its name, before its message is answered; what cannot be kept is not delivered either (the caller
 * defers). Beyond decrypt.keep it goes. A second delivery of the same message keeps a second file.
 */
#ifndef FILTER_ORIGINALS_H
#define FILTER_ORIGINALS_H

#include <time.h>

#include "milter/filter/message.h"

enum { ORIGINAL_NAME_BYTES = 64 };

/* Makes the folder, where the one above it is there. `name`: the file in it. */
int originals_keep(const char *dir, const struct message *message, time_t now, char name[ORIGINAL_NAME_BYTES], struct err *err) MUST_USE;

/* Could this process keep something there now? Makes nothing. */
int originals_check(const char *dir, struct err *err) MUST_USE;

/* Those that were kept before, by their names; what is not one of ours stays. `*n`: how many went. A folder that is not there is empty. */
int originals_forget(const char *dir, time_t before, size_t *n, struct err *err) MUST_USE;

#endif
