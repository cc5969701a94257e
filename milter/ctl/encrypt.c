/* segelctl encrypt: its verbs. */
#include "milter/ctl/encrypt.h"
#include "milter/ctl/nouns.h"

const struct ctl_command ctl_encrypt_commands[] = {
	{ "", CTL_PLAIN, { "FILE" }, encrypt_file_options, "encrypt a message as it is and print it", encrypt_file },
	{ "check", CTL_READS, { "ADDRESS..." }, encrypt_check_options,
	  "what mail to these recipients together would become: class, rule, certificate or why there is none", encrypt_check },
	{ "name", CTL_PLAIN, { NULL }, NULL, "make a random name for setting split.trigger", encrypt_name },
	{ .run = NULL },
};
