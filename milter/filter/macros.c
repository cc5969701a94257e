#include <stdio.h>
#include <string.h>

#include "milter/filter/mta.h"

#define TLS_MACROS "{tls_version} {cipher} {verify} {cert_subject} {cert_issuer}"

/*
 * TLS is asked for at every stage from HELO on: after STARTTLS without a second EHLO, Postfix's own
 * lists give no TLS macro at all. The queue id exists only once a recipient was accepted.
 */
static const struct {
	int stage;
	const char *macros;
} requests[] = {
	{ SMFIM_CONNECT, "j {daemon_name} {client_addr} {client_port}" },
	{ SMFIM_HELO, TLS_MACROS },
	{ SMFIM_ENVFROM, "i " TLS_MACROS " {auth_type} {auth_authen} {mail_addr}" },
	{ SMFIM_ENVRCPT, "i {rcpt_addr} " TLS_MACROS },
	{ SMFIM_DATA, "i " TLS_MACROS },
	{ SMFIM_EOH, "i " TLS_MACROS },
	{ SMFIM_EOM, "i " TLS_MACROS },
};

void
macros_request(SMFICTX *ctx)
{
	for (size_t i = 0; i < N_ELEMENTS(requests); i++) {
		char list[256];

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

/*
 * Sendmail says in {verify} how it went; Postfix has no such macro, and names a certificate only where
 * its chain is trusted.
 */
static enum client_cert
client_cert_from(const char *verify, const char *subject)
{
	static const struct {
		const char *verify;
		enum client_cert state;
	} words[] = {
		{ "OK", CLIENT_CERT_TRUSTED },
		{ "FAIL", CLIENT_CERT_UNTRUSTED },
		{ "NO", CLIENT_CERT_NONE },  /* asked for, not shown */
		{ "NOT", CLIENT_CERT_NONE }, /* not asked for */
		{ "NONE", CLIENT_CERT_NONE }, /* no STARTTLS */
	};

	if (!*verify)
		return *subject ? CLIENT_CERT_TRUSTED : CLIENT_CERT_UNKNOWN;
	for (size_t i = 0; i < N_ELEMENTS(words); i++)
		if (strcmp(words[i].verify, verify) == 0)
			return words[i].state;
	return CLIENT_CERT_UNKNOWN;
}

void
macros_transport(SMFICTX *ctx, struct transport_facts *ret)
{
	*ret = (struct transport_facts){ .tls = false };
	snprintf(ret->tls_version, sizeof(ret->tls_version), "%s", symbol(ctx, "{tls_version}"));
	snprintf(ret->cipher, sizeof(ret->cipher), "%s", symbol(ctx, "{cipher}"));
	snprintf(ret->client_subject, sizeof(ret->client_subject), "%s", symbol(ctx, "{cert_subject}"));
	snprintf(ret->client_issuer, sizeof(ret->client_issuer), "%s", symbol(ctx, "{cert_issuer}"));
	ret->client_cert = client_cert_from(symbol(ctx, "{verify}"), ret->client_subject);
	snprintf(ret->auth_type, sizeof(ret->auth_type), "%s", symbol(ctx, "{auth_type}"));
	/* A login that does not fit would be cut into another's name: it counts as none. */
	if (strlen(symbol(ctx, "{auth_authen}")) < sizeof(ret->login))
		snprintf(ret->login, sizeof(ret->login), "%s", symbol(ctx, "{auth_authen}"));
	/* For mail without SMTP Postfix makes up a client, at 127.0.0.1 and port 0; every real one has a port. */
	ret->without_smtp = strcmp(symbol(ctx, "{client_port}"), "0") == 0;
	ret->tls = *ret->tls_version != '\0';
}

const char *
macros_sender(SMFICTX *ctx)
{
	const char *address = symbol(ctx, "{mail_addr}");

	return *address ? address : NULL;
}

const char *
macros_recipient(SMFICTX *ctx)
{
	const char *address = symbol(ctx, "{rcpt_addr}");

	return *address ? address : NULL;
}

const char *
macros_mta(SMFICTX *ctx)
{
	return symbol(ctx, "j");
}

const char *
macros_queue_id(SMFICTX *ctx)
{
	return symbol(ctx, "i");
}
