/*
 * client: asks a socketmap server one question, as Postfix would. For segelctl and tests.
 */
#ifndef TLSPOL_CLIENT_H
#define TLSPOL_CLIENT_H

#include "smime/buf.h"
#include "smime/err.h"

/* The reply ("OK ...", "NOTFOUND ", ...) is added to `reply`. -1: no reply, or none that Postfix could read. */
int tlspol_ask(const char *socket, const char *map, const char *key, int timeout_ms, struct buf *reply, struct err *err) MUST_USE;

#endif
