/* process: what the libraries beneath need to know about the process they are in. */
#ifndef SMIME_PROCESS_H
#define SMIME_PROCESS_H

/*
 * For a program whose threads live on while exit() runs (libmilter's do): OpenSSL is not torn down
 * under them. Once, from main, before anything else here is used.
 */
void process_outlived_by_threads(void);

#endif
