/* frame: what the files behind ctl.h share with each other, and with no noun. */
#ifndef MILTER_CTL_FRAME_H
#define MILTER_CTL_FRAME_H

#include "milter/ctl/ctl.h"

/* Reads the words; CTL_OK = ctl is filled (or --help was asked for). */
enum ctl_exit frame_parse(struct ctl *ctl, const struct ctl_noun *nouns, int argc, char **argv) MUST_USE;

/* Options that every verb has, and that a verb of this mode has. */
const struct ctl_option *frame_options(void);
const struct ctl_option *frame_mode_options(enum ctl_mode mode);

/* The candidate with the fewest letters to change. Begin with zeros. */
struct nearest {
	const char *word;
	size_t distance;
};
void nearest_word(struct nearest *nearest, const char *wanted, const char *candidate);

/* Help for the verb, the noun or the whole, whichever was named. */
void frame_help(const struct ctl *ctl, const struct ctl_noun *nouns);

#endif
