/*
 * tls: the verbs of `segelctl tls`, one file each.
 * What they have in common is the encrypted channel between mail servers (not the seal): what
 * was used, who may use it, what is demanded.
 */
#ifndef CTL_TLS_H
#define CTL_TLS_H

#include "milter/ctl/ctl.h"

/* tls_report.c: what was used, from the mail server's log. */
extern const struct ctl_option tls_report_options[];
enum ctl_exit tls_report(struct ctl *ctl);

/* tls_map.c: Postfix's table of client certificates, from the registry. */
extern const struct ctl_option tls_map_options[];
enum ctl_exit tls_map(struct ctl *ctl);

/* tls_policy.c: what Postfix shall demand of a next hop (segel-tlspol). */
extern const struct ctl_option tls_policy_set_options[];
enum ctl_exit tls_policy_set(struct ctl *ctl);
enum ctl_exit tls_policy_list(struct ctl *ctl);
enum ctl_exit tls_policy_show(struct ctl *ctl);
enum ctl_exit tls_policy_test(struct ctl *ctl);
enum ctl_exit tls_policy_end(struct ctl *ctl);

#endif
