/*
 * answering: the verdict as an answer to the mail server, with the edits that it carries out. Plans them and changes nothing itself.
 */
#ifndef FILTER_ANSWERING_H
#define FILTER_ANSWERING_H

#include "milter/filter/passage.h"

/* `go_on` is the answer that lets the message pass; only ANSWER_ACCEPT has edits, which take what was sealed, encrypted or opened. */
void answering(struct passage *passage, enum answer_kind go_on, struct answer *ret);

#endif
