/*
 * accept: what libmilter's listener does when the process has no descriptor left.
 *
 * It asks again at once and says nothing: a core is busy until some connection ends [seen with
 * Debian 12's 1.0.1]. So the program has an accept() of its own, which the linker gives to libmilter
 * in place of libc's: out of descriptors or memory, it says so and pauses; all else is as ever.
 */
#ifndef FILTER_ACCEPT_H
#define FILTER_ACCEPT_H

/* As many descriptors as the system lets us have. Before threads start. */
void accept_raise_limit(void);

#endif
