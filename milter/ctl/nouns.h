/* nouns: the verb tables that main.c knows. */
#ifndef CTL_NOUNS_H
#define CTL_NOUNS_H

#include "milter/ctl/ctl.h"

extern const struct ctl_command ctl_audit_commands[];
extern const struct ctl_command ctl_check_commands[];
extern const struct ctl_command ctl_config_commands[];
extern const struct ctl_command ctl_decrypt_commands[];
extern const struct ctl_command ctl_encrypt_commands[];
extern const struct ctl_command ctl_explain_commands[];
extern const struct ctl_command ctl_local_commands[];
extern const struct ctl_command ctl_policy_commands[];
extern const struct ctl_command ctl_quarantine_commands[];
extern const struct ctl_command ctl_seal_commands[];
extern const struct ctl_command ctl_stats_commands[];
extern const struct ctl_command ctl_tls_commands[];
extern const struct ctl_command ctl_trust_commands[];
extern const struct ctl_command ctl_verify_commands[];

#endif
