/*
 * sealing: what of our own mail is made before it leaves.
 *
 *     seal       the sealed form; every signature is on record at the key agent before it is made
 *     confirm    the registry again, which may have changed while the key agent was waited for
 *     encrypt    to the certificates of the plan; the body itself goes through the cipher when it is handed over
 *
 * A failure is one more finding, decided like any other. What was sealed to be encrypted never leaves without.
 */
#ifndef FILTER_SEALING_H
#define FILTER_SEALING_H

#include "milter/filter/passage.h"

/* Each step only where the verdict, the role and the settings ask for it. */
void sealing(struct passage *passage);

#endif
