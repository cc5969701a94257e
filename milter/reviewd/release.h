/* release: the story of a release, on one page; and of one that was interrupted. */
#ifndef REVIEWD_RELEASE_H
#define REVIEWD_RELEASE_H

#include "milter/reviewd/act.h"

/* The petition's outcome says what became of it. */
void release_item(struct petition *petition);

/*
 * Releases that have begun and not ended: each is verified again and sent again, or goes back. For the start and from
 * time to time; waits for a release at work. Ends early where the mail server does not take the first one: reviewers wait
 * for this. How many are left.
 */
size_t release_resume(struct desk *desk);

#endif
