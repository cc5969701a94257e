/* recall: calls a release back that the mail server does not take. */
#ifndef REVIEWD_RECALL_H
#define REVIEWD_RECALL_H

#include "milter/reviewd/act.h"

/*
 * For those who may release. Only where the last try is known not to have been taken: then the item is back where it was, for a decision.
 * Otherwise it stays on its way. `doubtful`: a try before got no answer, so that one may have arrived nevertheless. Waits for a release
 * at work. The petition's outcome says what became of it.
 */
void recall_item(struct petition *petition, bool *doubtful);

#endif
