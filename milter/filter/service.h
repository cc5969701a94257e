/*
 * service: a role served from its start to its end: sockets and records opened, root given up, the MTA's
 * connections taken, signals heard, messages in hand finished. Of the main thread only; the process
 * serves one role once. main.c gives libmilter's signal thread its own sigwait(), without which a HUP
 * could end the process.
 */
#ifndef FILTER_SERVICE_H
#define FILTER_SERVICE_H

#include "milter/command.h"
#include "milter/filter/filter.h"

/* Filter: file, role and pretend are set. Signals are blocked already. `metrics_fd` is -1, and stays so where no metrics are wanted. */
int service_start(struct filter *filter, const struct command_line *line, int *metrics_fd, struct err *err) MUST_USE;
/* Until TERM, or until libmilter gives up. The exit status of the process. */
int service_run(struct filter *filter, int *metrics_fd) MUST_USE;

#endif
