/* segelctl act: the registry's own history. */
#include "milter/ctl/op.h"

static enum ctl_exit
list(struct ctl *ctl)
{
	return op_list(ctl, LIST_ACT, 0);
}

const struct ctl_command ctl_act_commands[] = {
	{ "list", CTL_READS, { 0 }, NULL, "who changed what in the registry, and when", list },
	{ 0 },
};
