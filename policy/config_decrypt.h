/*
 * config_decrypt: what only shows when the settings of group decrypt.* are read with those of the key agent, for config.c.
 * Users are compared as they are written: a name is not looked up. Pure; opens nothing.
 */
#ifndef POLICY_CONFIG_DECRYPT_H
#define POLICY_CONFIG_DECRYPT_H

#include "policy/config.h"

/* `problems` gets a line for each. */
void config_check_decrypt(const struct config *config, struct buf *problems);

#endif
