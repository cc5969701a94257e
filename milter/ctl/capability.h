/* capability: segelctl cert set-capability, as an officer says it or as a signed mail of its owner does (seen.h). */
#ifndef CTL_CAPABILITY_H
#define CTL_CAPABILITY_H

#include "milter/ctl/ctl.h"

extern const struct ctl_option ctl_capability_options[];
enum ctl_exit ctl_set_capability(struct ctl *ctl) MUST_USE;

#endif
