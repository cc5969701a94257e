/*
 * job: what the child of segel-reviewd does (child.h), from its first line on: limits, everything that must be
 * opened, the cage (cage.h), then the message, then the answer.
 *
 *     view CAP           message on standard input; text on standard output
 *     judge FILE         4 bytes of length, an object {"item", "authserv_id", "now"}, and the message
 *     probe              for the tests: tries what it may not do, and says how that ended
 */
#ifndef REVIEWD_JOB_H
#define REVIEWD_JOB_H

enum { JOB_HEAD_BYTES = 4 * 1024 * 1024 };

/* main() of the child; returns its exit status. `argument` may be NULL. */
int job_main(const char *job, const char *argument);

#endif
