/*
 * cage: what a process that reads held mail may do from now on: compute, read and write descriptors it has. No file or
 * socket can be opened, no program started, no process or thread begun or signalled, no memory made executable.
 * System calls that are not listed are refused (EPERM); those of another machine's table end the process.
 */
#ifndef REVIEWD_CAGE_H
#define REVIEWD_CAGE_H

#include "smime/err.h"

enum cage_kind {
	CAGE_UNKNOWN,
	CAGE_VIEW,  /* bytes in, text out */
	CAGE_JUDGE, /* also reads, at any place, from files that are open already: the registry */
};

/*
 * First: nothing inherited but standard input, output and error; ends with its parent; limits of processor, memory, files. The
 * limit of memory is left out in builds with a sanitizer, whose shadow alone is larger.
 */
int cage_limits(struct err *err) MUST_USE;

/* Last, for good; before the first foreign byte is read. */
int cage_enter(enum cage_kind kind, struct err *err) MUST_USE;

#endif
