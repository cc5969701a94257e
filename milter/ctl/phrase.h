/*
 * phrase: the words of records and items, said for people. A word that is not in its table says itself:
 * it is of another version of the program.
 */
#ifndef CTL_PHRASE_H
#define CTL_PHRASE_H

#include "smime/base.h"

struct phrase {
	const char *word, *phrase;
};

/* Each ended by word NULL. */
extern const struct phrase action_phrases[], seal_phrases[], encrypt_phrases[], decrypted_phrases[], signature_phrases[], coverage_phrases[], chain_phrases[],
    revocation_phrases[], registry_phrases[], identity_phrases[], item_state_phrases[], item_event_phrases[];

const char *phrase_of(const struct phrase *table, const char *word);
/* Of the first word of "bad, coverage whole: why"; NULL where the table does not have it. */
const char *phrase_of_first(const struct phrase *table, const char *text);

#endif
