/*
 * config_quarantine: what only shows when the settings about held mail are read together, and with the keys that
 * open it. For config.c and its callers. Pure: looks at no file, user or group.
 */
#ifndef POLICY_CONFIG_QUARANTINE_H
#define POLICY_CONFIG_QUARANTINE_H

#include "policy/config.h"

/* One line a problem; such settings are not taken. */
void config_check_quarantine(const struct config *config, struct buf *problems);

/* One line for what may be meant so, but works otherwise than its reader may think: `segelctl config check`, segel-milter -n. */
void config_notes(const struct config *config, struct buf *ret);

#endif
