/* segelctl: everything an administrator or an officer of the OP does from a terminal. */
#include "milter/ctl/nouns.h"
#include "milter/ctl/op.h"

static const struct ctl_noun nouns[] = {
	{ "init", "make the registry", ctl_init_commands },
	{ "unit", "agencies (Perangkat Daerah)", ctl_unit_commands },
	{ "person", "people", ctl_person_commands },
	{ "system", "programs and machines with a certificate (Sistem Elektronik)", ctl_system_commands },
	{ "domain", "mail domains", ctl_domain_commands },
	{ "address", "official mail addresses", ctl_address_commands },
	{ "login", "which addresses a login of the mail server may write as", ctl_login_commands },
	{ "officer", "who may write to the registry", ctl_officer_commands },
	{ "reviewer", "who may look at held mail and let it go", ctl_reviewer_commands },
	{ "cert", "certificates", ctl_cert_commands },
	{ "bind", "for whom a certificate speaks, and for what", ctl_bind_commands },
	{ "act", "the registry's history", ctl_act_commands },
	{ "audit", "the daemons' records", ctl_audit_commands },
	{ "check", "is the mail server set up safely?", ctl_check_commands },
	{ "config", "the settings file", ctl_config_commands },
	{ "policy", "what is done about which finding", ctl_policy_commands },
	{ "explain", "what would happen to a message, or did, and why", ctl_explain_commands },
	{ "quarantine", "held mail", ctl_quarantine_commands },
	{ "verify", "what a signature is worth, offline", ctl_verify_commands },
	{ "seal", "the sealing transform alone, with a key of your own", ctl_seal_commands },
	{ "encrypt", "the encrypting transform alone; who gets encrypted mail, and why", ctl_encrypt_commands },
	{ "decrypt", "the decrypting transform alone, with the key agent or a key of your own", ctl_decrypt_commands },
	{ "tls", "the encrypted channel between mail servers", ctl_tls_commands },
	{ "trust", "authorities whose certificates count, CRLs and OCSP", ctl_trust_commands },
	{ "local", "mail that comes without SMTP", ctl_local_commands },
	{ "stats", "the counters of the running filter", ctl_stats_commands },
	{ 0 },
};

int
main(int argc, char **argv)
{
	return (int)ctl_main(nouns, argc, argv, stdout, stderr);
}
