/* encrypt: the verbs of `segelctl encrypt`, one file each: who gets encrypted mail, and the transform alone. */
#ifndef CTL_ENCRYPT_H
#define CTL_ENCRYPT_H

#include "milter/ctl/ctl.h"

/* encrypt_file.c: the transform alone. */
extern const struct ctl_option encrypt_file_options[];
enum ctl_exit encrypt_file(struct ctl *ctl);
/* encrypt_check.c: what recipients would get, and why. */
extern const struct ctl_option encrypt_check_options[];
enum ctl_exit encrypt_check(struct ctl *ctl);
/* A name for split.trigger that nobody guesses. */
enum ctl_exit encrypt_name(struct ctl *ctl);

#endif
