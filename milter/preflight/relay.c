/* Whom a service lets send to the rest of the world, by Postfix's own order of restrictions. */
#include <string.h>
#include <strings.h>

#include "milter/preflight/judge.h"

enum step { STEP_PASS, STEP_ADMIT, STEP_STOP };

struct word {
	const char *name;
	enum step step;
	unsigned admits;
	bool argument; /* the next word belongs to it */
};

/* For a recipient that is not ours. What is not listed here refuses or goes on, and admits nobody. */
static const struct word words[] = {
	{ "permit_mynetworks", STEP_ADMIT, ADMIT_NETWORK, false },
	{ "permit_inet_interfaces", STEP_ADMIT, ADMIT_NETWORK, false },
	{ "permit_sasl_authenticated", STEP_ADMIT, ADMIT_LOGIN, false },
	{ "permit_tls_clientcerts", STEP_ADMIT, ADMIT_CERT, false },
	{ "permit_tls_all_clientcerts", STEP_ADMIT, ADMIT_CERT, false },
	{ "permit", STEP_STOP, ADMIT_ALL, false },
	{ "reject", STEP_STOP, 0, false },
	{ "defer", STEP_STOP, 0, false },
	{ "reject_unauth_destination", STEP_STOP, 0, false },
	{ "defer_unauth_destination", STEP_STOP, 0, false },
	{ "check_client_access", STEP_ADMIT, ADMIT_TABLE, true },
	{ "check_ccert_access", STEP_ADMIT, ADMIT_TABLE, true },
	{ "check_sasl_access", STEP_ADMIT, ADMIT_TABLE, true },
	{ "check_helo_access", STEP_ADMIT, ADMIT_TABLE, true },
	{ "check_sender_access", STEP_ADMIT, ADMIT_TABLE, true },
	{ "check_reverse_client_hostname_access", STEP_ADMIT, ADMIT_TABLE, true },
	{ "check_recipient_access", STEP_ADMIT, ADMIT_TABLE, true },
	{ "check_policy_service", STEP_ADMIT, ADMIT_TABLE, true },
};

static const struct word *
word_find(const char *name)
{
	for (size_t i = 0; i < N_ELEMENTS(words); i++)
		if (strcasecmp(words[i].name, name) == 0)
			return &words[i];
	return NULL;
}

/* Whom one list lets through. Its end lets everybody through; a class of the administrator's may let in anybody. */
static unsigned
list_admits(const char *text, const char *classes)
{
	AUTO_WORDS struct words list = { 0 };
	unsigned admitted = 0;

	words_split(&list, text);
	for (size_t i = 0; i < list.n; i++) {
		const struct word *word = word_find(list.at[i]);

		if (!word) {
			admitted |= text_has_word(classes, list.at[i]) ? ADMIT_TABLE : 0;
			continue;
		}
		admitted |= word->admits;
		if (word->step == STEP_STOP)
			return admitted;
		i += word->argument;
	}
	return admitted | ADMIT_ALL;
}

/* Where one list lets everybody through, the other one decides. */
static unsigned
both(unsigned a, unsigned b)
{
	return (a & b) | (a & ADMIT_ALL ? b : 0) | (b & ADMIT_ALL ? a : 0);
}

unsigned
relay_admits(const struct service *service)
{
	static const char *const lists[] = {
		"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_recipient_restrictions",
	};
	const char *relay = service_text(service, "smtpd_relay_restrictions"), *classes = service_text(service, "smtpd_restriction_classes");
	unsigned admitted = *relay ? list_admits(relay, classes) : ADMIT_ALL;

	for (size_t i = 0; i < N_ELEMENTS(lists); i++)
		admitted = both(admitted, list_admits(service_text(service, lists[i]), classes));
	if (!text_is_yes(service_text(service, "smtpd_sasl_auth_enable")))
		admitted &= ~(unsigned)ADMIT_LOGIN;
	if (!*service_text(service, "mynetworks"))
		admitted &= ~(unsigned)ADMIT_NETWORK;
	return admitted;
}

void
relay_text(const struct service *service, unsigned admitted, struct buf *ret)
{
	static const struct {
		unsigned bit;
		const char *text;
	} names[] = {
		{ ADMIT_LOGIN, "logins (SASL)" }, { ADMIT_CERT, "clients with a certificate" },
		{ ADMIT_TABLE, "clients that a table, a policy server or a class of restrictions may name" }, { ADMIT_ALL, "everybody" },
	};
	const char *between = "";

	if (admitted & ADMIT_NETWORK) {
		buf_printf(ret, "clients in mynetworks (%s)", service_text(service, "mynetworks"));
		between = " and ";
	}
	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		if (!(admitted & names[i].bit))
			continue;
		buf_printf(ret, "%s%s", between, names[i].text);
		between = " and ";
	}
}

/* --- what a listener is for --- */

static bool
filters_content(const struct service *service)
{
	return *service_text(service, "content_filter") || *service_text(service, "smtpd_proxy_filter");
}

static bool
anybody_filters_content(const struct postfix *mta)
{
	for (size_t i = 0; i < mta->n_services; i++)
		if ((mta->services[i].program == PROGRAM_SMTPD || mta->services[i].program == PROGRAM_PICKUP)
		    && filters_content(&mta->services[i]))
			return true;
	return *values_text(&mta->main, "content_filter") || *values_text(&mta->main, "smtpd_proxy_filter");
}

/*
 * A content filter gives mail back to a listener that only this machine reaches, that asks no content
 * filter again, and that has no logins. Without any content filter such a listener takes new mail.
 */
static bool
is_reinjection(const struct postfix *mta, const struct service *service)
{
	return service->loopback && !filters_content(service) && anybody_filters_content(mta)
	    && !text_is_yes(service_text(service, "smtpd_sasl_auth_enable"));
}

enum listener
listener_of(const struct postfix *mta, const struct service *service)
{
	if (service->release)
		return LISTENER_RELEASE;
	if (is_reinjection(mta, service))
		return LISTENER_REINJECTION;
	if (text_is_yes(service_text(service, "smtpd_sasl_auth_enable")) || relay_admits(service) != 0)
		return LISTENER_SUBMISSION;
	return LISTENER_INBOUND;
}

const char *
listener_word(enum listener listener)
{
	switch (listener) {
	case LISTENER_INBOUND:
		return "inbound";
	case LISTENER_SUBMISSION:
		return "submission";
	case LISTENER_REINJECTION:
		return "re-injection";
	case LISTENER_RELEASE:
		return "release";
	case LISTENER_UNKNOWN:
		break;
	}
	return "unknown";
}
