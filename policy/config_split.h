/*
 * config_split: what only shows when the settings of group split.* are read together, for config.c. Pure; opens nothing.
 */
#ifndef POLICY_CONFIG_SPLIT_H
#define POLICY_CONFIG_SPLIT_H

#include "policy/config.h"

/* `problems` gets a line for each. */
void config_check_split(const struct config *config, struct buf *problems);

#endif
