/*
 * inspect: bytes of a message to facts. The one entry for everything that reads mail.
 *
 * Checks: structure (our scanner against GMime's reading: part tree, media types, From
 * mailboxes), caps of limits.h, From and Sender, outermost cryptographic layer, and how
 * the body may be sealed, and private keys in it (material.h). The scanner enforces the caps before GMime sees a byte.
 * Does not check: signatures, certificates, whether the From may be used (policy/).
 *
 * `message` is header block, empty line and body, CRLF line ends as the MTA passes them;
 * bare CR, bare LF and NUL are facts. Whatever the bytes, the result is facts; errors are
 * our own surroundings. Thread-safe; keeps nothing.
 */
#ifndef SMIME_INSPECT_H
#define SMIME_INSPECT_H

#include "smime/buf.h"
#include "smime/err.h"
#include "smime/facts.h"

int smime_inspect(struct slice message, struct message_facts *ret, struct err *err) MUST_USE;

#endif
