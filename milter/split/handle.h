/*
 * handle: the story of one letter on one page.
 *
 *     remember   was this very copy taken by the next hop before? then 250, and nothing is sent again (memory.h)
 *     transform  sealed by us? what must its recipient get? encrypted, or as it is (transform.h)
 *     pending    on disk, before the first byte goes on
 *     deliver    to the next hop (deliver.h)
 *     done       on disk, after its 250
 *     answer     250 only now; the next hop's 5xx as it is; everything else 4xx
 *
 * One line is logged for each.
 */
#ifndef SPLIT_HANDLE_H
#define SPLIT_HANDLE_H

#include "milter/split/station.h"

void handle_letter(struct station *station, const struct letter *letter, struct reply *ret);

#endif
