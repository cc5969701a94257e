#include <stdio.h>
#include <string.h>

#include "milter/filter/mta.h"

static const struct {
	int stage;
	const char *macros;
} requests[] = {
	/*
	 * TLS and login are asked for at MAIL: after STARTTLS without a second EHLO, Postfix's own
	 * lists give no TLS macro at all. The queue id exists only once a recipient was accepted.
	 */
	{ SMFIM_CONNECT, "j {daemon_name} {client_addr}" },
	{ SMFIM_HELO, "{tls_version}" },
	{ SMFIM_ENVFROM, "i {tls_version} {cipher} {auth_type} {auth_authen} {mail_addr}" },
	{ SMFIM_ENVRCPT, "i {rcpt_addr}" },
	{ SMFIM_DATA, "i" },
	{ SMFIM_EOH, "i" },
	{ SMFIM_EOM, "i" },
};

void
macros_request(SMFICTX *ctx)
{
	for (size_t i = 0; i < N_ELEMENTS(requests); i++) {
		char list[128];

		snprintf(list, sizeof(list), "%s", requests[i].macros);
		/* An MTA that does not take requests sends its own lists; what is absent then counts as absent. */
		(void)smfi_setsymlist(ctx, requests[i].stage, list);
	}
}

/* libmilter wants names without const. */
static const char *
symbol(SMFICTX *ctx, const char *name)
{
	char copy[32];
	const char *value;

	snprintf(copy, sizeof(copy), "%s", name);
	value = smfi_getsymval(ctx, copy);
	return value ? value : "";
}

void
macros_transport(SMFICTX *ctx, struct transport_facts *ret)
{
	*ret = (struct transport_facts){ .tls = false };
	snprintf(ret->tls_version, sizeof(ret->tls_version), "%s", symbol(ctx, "{tls_version}"));
	snprintf(ret->cipher, sizeof(ret->cipher), "%s", symbol(ctx, "{cipher}"));
	snprintf(ret->auth_type, sizeof(ret->auth_type), "%s", symbol(ctx, "{auth_type}"));
	/* A login that does not fit would be cut into another's name: it counts as none. */
	if (strlen(symbol(ctx, "{auth_authen}")) < sizeof(ret->login))
		snprintf(ret->login, sizeof(ret->login), "%s", symbol(ctx, "{auth_authen}"));
	ret->tls = *ret->tls_version != '\0';
}

const char *
macros_queue_id(SMFICTX *ctx)
{
	return symbol(ctx, "i");
}
