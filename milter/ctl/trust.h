/* trust: the verbs of `segelctl trust`, and what they share. The folder is trust_store.h's. */
#ifndef CTL_TRUST_H
#define CTL_TRUST_H

#include "milter/ctl/ctl.h"
#include "milter/ctl/trust_store.h"

/* trust_add.c */
extern const struct ctl_option trust_add_options[];
extern const struct ctl_option trust_remove_options[];
enum ctl_exit trust_add(struct ctl *ctl);
enum ctl_exit trust_remove(struct ctl *ctl);

/* trust_list.c */
enum ctl_exit trust_list(struct ctl *ctl);

/* trust_check.c */
enum ctl_exit trust_check(struct ctl *ctl);

/* trust_refresh.c */
enum ctl_exit trust_refresh(struct ctl *ctl);

/*
 * The settings; without -c and without the usual file, the defaults. NULL: ctl_fail has said why
 * (the exit is CTL_UNAVAILABLE).
 */
struct config *trust_config(struct ctl *ctl) MUST_USE;
/* The authorities; what is wrong with single files goes to ctl->err as warnings. NULL: as above. */
struct trust_store *trust_open(struct ctl *ctl, const struct config *config) MUST_USE;

#endif
