/* segelctl quarantine: held mail. */
#include "milter/ctl/nouns.h"
#include "milter/ctl/quarantine_key.h"

const struct ctl_command ctl_quarantine_commands[] = {
	{ "key", CTL_PLAIN, { 0 }, ctl_quarantine_key_options, "make a key and a certificate for the quarantine", ctl_quarantine_key },
	{ .run = NULL },
};
