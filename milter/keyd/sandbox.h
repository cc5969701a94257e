/*
 * sandbox: system calls the agent never needs are refused from now on (EPERM), in all threads
 * started later: running programs, sockets other than UNIX ones, reading other processes' memory,
 * io_uring (which would go round the others). Needs PR_SET_NO_NEW_PRIVS (priv.h) or root.
 *
 * On a kernel or machine without such filters this is ERR_CONFIG; the caller decides.
 */
#ifndef KEYD_SANDBOX_H
#define KEYD_SANDBOX_H

#include "smime/err.h"

int sandbox_enter(struct err *err) MUST_USE;

#endif
