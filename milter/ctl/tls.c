/* segelctl tls: the encrypted channel between mail servers. */
#include "milter/ctl/tls.h"
#include "milter/ctl/nouns.h"

const struct ctl_command ctl_tls_commands[] = {
	{ "client-map", CTL_PLAIN, { NULL }, tls_map_options, "Postfix's table of the client certificates in the registry", tls_map },
	{ .run = NULL },
};
