/*
 * run: another program's answer. Started without a shell, with an environment of its own and no
 * input; bounded in time and in bytes, so that a program that hangs or babbles is an error here.
 */
#ifndef PREFLIGHT_RUN_H
#define PREFLIGHT_RUN_H

#include "smime/buf.h"
#include "smime/err.h"

struct run {
	int status;     /* exit status; -1 = ended by a signal */
	struct buf out; /* standard output */
	struct buf err; /* standard error */
};

/* argv[0] is the program's file name. -1: it could not be started, took too long or said too much. */
int run_program(const char *const *argv, struct run *ret, struct err *err) MUST_USE;
void run_done(struct run *run);

static inline __attribute__((unused)) void auto_run_done(struct run *run) { run_done(run); }
#define AUTO_RUN __attribute__((cleanup(auto_run_done)))

#endif
