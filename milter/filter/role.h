/*
 * role: what the processes of segel-milter have in common, and where they differ. One table; what a
 * role does with a message is told by its class and the checks of that class (policy/check.c).
 */
#ifndef FILTER_ROLE_H
#define FILTER_ROLE_H

#include "policy/config.h"

struct role_traits {
	enum role role;
	const char *name; /* of -r, of its group of settings, and in its records */
	const char *help;
	size_t settings;  /* of struct role_settings in struct config */
	bool seals;       /* asks the key agent and changes mail */
	bool holds;       /* gives mail to the quarantine */
	/*
	 * May refuse at MAIL. Mail that comes without SMTP is refused at its end only: earlier, Postfix would
	 * keep it in its maildrop and try for ever. Role egress judges nothing but recipients and the message.
	 */
	bool judges_mail;
};

extern const struct role_traits role_table[]; /* ended by name NULL */

const struct role_traits *role_find(const char *name); /* NULL: no such role */
const struct role_traits *role_of(enum role role);
const struct role_settings *role_settings(const struct role_traits *role, const struct config *config);
bool role_opens(const struct role_traits *role, const struct config *config); /* asks the key agent to open what arrives encrypted */

#endif
