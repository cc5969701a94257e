/*
 * pulse: is the filter alive as its MTA would see it? Greets our own milter socket as an MTA does
 * and waits for the answer, which takes a thread of libmilter's and our callbacks.
 */
#ifndef FILTER_PULSE_H
#define FILTER_PULSE_H

#include "smime/base.h"

bool pulse_beats(const char *socket);

#endif
