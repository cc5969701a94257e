/*
 * fuzz: what the fuzz targets share. Each target is one small file with libFuzzer's entry; an
 * invariant that does not hold ends the program, so that libFuzzer keeps the input.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smime/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static inline __attribute__((unused)) void
fuzz_must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "this must hold: %s\n", what);
	abort();
}

/* Bytes taken from the front of an input; zeros and nothing behind its end. */
struct feed {
	const uint8_t *at;
	size_t len;
};

static inline __attribute__((unused)) unsigned
feed_byte(struct feed *feed)
{
	if (feed->len == 0)
		return 0;
	feed->len--;
	return *feed->at++;
}

/* Up to `most` bytes as a text of their own, so that a read too far is seen; free it. */
static inline __attribute__((unused)) char *
feed_text(struct feed *feed, size_t most)
{
	size_t len = feed_byte(feed);
	char *text;

	if (len > most)
		len = most;
	if (len > feed->len)
		len = feed->len;
	text = xstrndup((const char *)feed->at, len);
	feed->at += len;
	feed->len -= len;
	return text;
}

#endif
