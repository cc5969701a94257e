/*
 * op: the nouns of the OP's registry, and what they share: open as the officer who calls, one
 * transaction, one line about what changed.
 */
#ifndef MILTER_CTL_OP_H
#define MILTER_CTL_OP_H

#include "milter/ctl/ctl.h"
#include "policy/registry/list.h"
#include "policy/registry/write.h"

extern const struct ctl_command ctl_init_commands[];
extern const struct ctl_command ctl_unit_commands[];
extern const struct ctl_command ctl_person_commands[];
extern const struct ctl_command ctl_system_commands[];
extern const struct ctl_command ctl_domain_commands[];
extern const struct ctl_command ctl_address_commands[];
extern const struct ctl_command ctl_login_commands[];
extern const struct ctl_command ctl_officer_commands[];
extern const struct ctl_command ctl_reviewer_commands[];
extern const struct ctl_command ctl_cert_commands[];
extern const struct ctl_command ctl_bind_commands[];
extern const struct ctl_command ctl_act_commands[];

struct op {
	struct ctl *ctl;
	struct registry_writer *writer;
	struct buf said; /* what was done, in one line; the verb writes it */
	void *more;      /* of the verb */
};

/* Runs the verb in one transaction; --dry-run does all but keep it. */
enum ctl_exit op_write(struct ctl *ctl, enum write_outcome (*verb)(struct op *op, struct err *err), void *more) MUST_USE;
enum ctl_exit op_exit(enum write_outcome outcome);

/* Opens for reading; NULL: ctl_fail has said why (the exit is CTL_UNAVAILABLE). */
struct registry *op_registry(struct ctl *ctl) MUST_USE;

/* Prints a list, `id` as in struct list_filter. The options of every list verb: --all. */
enum ctl_exit op_list(struct ctl *ctl, enum list_what what, int64_t id) MUST_USE;
extern const struct ctl_option op_list_options[];
/* --reason of an end that may do without. */
extern const struct ctl_option op_end_options[];

/* The option's word, `usual` if not given; NULL: it is none of `words`, and ctl_fail has said so. */
const char *op_word(struct ctl *ctl, const char *option, const char *const *words, const char *usual) MUST_USE;
/* --category of a person. */
const char *op_category(struct ctl *ctl) MUST_USE;

/* The time of an option; 0 if it is not given. CTL_USAGE: ctl_fail has said why. */
enum ctl_exit op_time(struct ctl *ctl, const char *option, time_t *ret) MUST_USE;

#endif
