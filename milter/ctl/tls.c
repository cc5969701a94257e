/* segelctl tls: the encrypted channel between mail servers. */
#include "milter/ctl/tls.h"
#include "milter/ctl/nouns.h"
#include "milter/ctl/op.h"

const struct ctl_command ctl_tls_commands[] = {
	{ "report", CTL_READS, { "LOGFILE..." }, tls_report_options,
	  "how much mail went and came through TLS, by Postfix's log (- = standard input)", tls_report },
	{ "client-map", CTL_PLAIN, { NULL }, tls_map_options, "Postfix's table of the client certificates in the registry", tls_map },
	{ "policy set", CTL_WRITES, { "NEXTHOP", "LEVEL" }, tls_policy_set_options,
	  "what Postfix demands of a next hop: may, dane, encrypt, dane-only, fingerprint, verify or secure", tls_policy_set },
	{ "policy list", CTL_READS, { NULL }, op_list_options, "the TLS policies", tls_policy_list },
	{ "policy show", CTL_READS, { "NEXTHOP" }, NULL, "what Postfix is told about a next hop, and why", tls_policy_show },
	{ "policy test", CTL_READS, { "NEXTHOP" }, NULL, "asks the running segel-tlspol, and compares with the registry", tls_policy_test },
	{ "policy end", CTL_WRITES, { "NEXTHOP" }, op_end_options, "end the policy of a next hop", tls_policy_end },
	{ .run = NULL },
};
