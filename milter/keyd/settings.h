/*
 * settings: what segel-keyd needs to know, borrowed from whoever read it (main.c: policy/config.h;
 * tests: literals). The modules here do not know where it came from.
 */
#ifndef KEYD_SETTINGS_H
#define KEYD_SETTINGS_H

#include "policy/config.h"

struct keyd_key_settings {
	const char *file;
	const char *passphrase_file; /* "credential:NAME": $CREDENTIALS_DIRECTORY/NAME */
	enum key_purpose purpose;
	unsigned limit;              /* signatures or unwrapped keys a minute, at least 1 */
	const char *const *signers;  /* who may use it, all of them among those below; none = the first of those. Of seal keys only */
	size_t n_signers;
	const char *const *unwrappers; /* the same, of keys that decrypt */
	size_t n_unwrappers;
};

struct keyd_settings {
	const char *socket;
	const char *socket_group;
	const char *user;
	const char *audit_dir;
	const char *const *signers; /* users by name or number */
	size_t n_signers;
	const char *const *unwrappers; /* users by name or number; each key of purpose decrypt names its own among them */
	size_t n_unwrappers;
	unsigned max_connections;
	const struct keyd_key_settings *keys;
	size_t n_keys;
};

#endif
