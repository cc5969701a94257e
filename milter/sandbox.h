/*
 * sandbox: system calls that a daemon without business of its own on the network never needs are refused from now on (EPERM), in all threads
 * started later: running programs, sockets other than UNIX ones, reading other processes' memory,
 * io_uring (which would go round the others). Needs PR_SET_NO_NEW_PRIVS (priv.h) or root.
 *
 * On a kernel or machine without such filters this is ERR_CONFIG; the caller decides.
 */
#ifndef MILTER_SANDBOX_H
#define MILTER_SANDBOX_H

#include "smime/err.h"

int sandbox_enter(struct err *err) MUST_USE;

#endif
