/* quarantine_key: `segelctl quarantine key`. */
#ifndef CTL_QUARANTINE_KEY_H
#define CTL_QUARANTINE_KEY_H

#include "milter/ctl/ctl.h"

extern const struct ctl_option ctl_quarantine_key_options[];

/* Makes key, passphrase and certificate, and says what to write into the settings. Overwrites nothing. */
enum ctl_exit ctl_quarantine_key(struct ctl *ctl);

#endif
