/*
 * config_encrypt: what only shows when the settings of groups encrypt.* and egress.* are read together, for config.c.
 * Pure; opens nothing.
 */
#ifndef POLICY_CONFIG_ENCRYPT_H
#define POLICY_CONFIG_ENCRYPT_H

#include "policy/config.h"

/* `problems` gets a line for each. */
void config_check_encrypt(const struct config *config, struct buf *problems);

#endif
