/* segelctl tls: the encrypted channel between mail servers. */
#include "milter/ctl/tls.h"
#include "milter/ctl/nouns.h"

const struct ctl_command ctl_tls_commands[] = {
	{ "report", CTL_READS, { "LOGFILE..." }, tls_report_options,
	  "how much mail went and came through TLS, by Postfix's log (- = standard input)", tls_report },
	{ "client-map", CTL_PLAIN, { NULL }, tls_map_options, "Postfix's table of the client certificates in the registry", tls_map },
	{ .run = NULL },
};
