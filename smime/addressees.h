/*
 * addressees: whom To and Cc name, so that it can be told who is hidden (in neither).
 *
 * Every To and Cc field, groups too; plain addr-specs only. What cannot be read so is left out, and whoever it meant counts as
 * hidden: that costs him a body of his own, and tells nobody of him. Bcc and Resent-* are not looked at.
 * Give it only the head of a message that keeps the limits (part.h): the parser recurses.
 */
#ifndef SMIME_ADDRESSEES_H
#define SMIME_ADDRESSEES_H

#include "smime/head.h"

enum { LIMIT_ADDRESSEES = 2 * LIMIT_RECIPIENTS }; /* those behind it are left out */

struct addressees {
	char **at; /* owned */
	size_t n;
};

void addressees_read(const struct head *head, struct addressees *ret);
void addressees_done(struct addressees *addressees);

static inline __attribute__((unused)) void auto_addressees_done(struct addressees *addressees) { addressees_done(addressees); }
#define AUTO_ADDRESSEES __attribute__((cleanup(auto_addressees_done)))

#endif
